/* The serve command. Order of birth: metrics, API, HTTP (the port opens and says "loading"), then
 * the loader thread brings model, executor and engine. Order of death: HTTP loops end, the engine
 * stops (its last touches of requests), the API lets go of its calls, then everything else. The
 * main thread runs HTTP loop 0. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/serve.h"
#include "pagoda/fs.h"
#include "pagoda/log.h"
#include "pagoda/mem.h"
#include "pagoda/web.h"

/* Fix the names under which the model is served; before other threads start. */
static void decide_names(pgd_server *s) {
    s->names = s->config->served_model_name;
    if (s->names.n > 0) return;
    const char *path = s->config->model != NULL ? s->config->model : "model";
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    const char *name = pgd_arena_strndup(s->config->arena, path + begin, end - begin);
    s->default_name[0] = name != NULL ? name : "model";
    s->names = (pgd_config_list){s->default_name, 1};
}

static pgd_status load_keys(pgd_server *s, pgd_error *err) {
    const pgd_config *c = s->config;
    if (c->api_key_file != NULL) {
        pgd_buf text = {0};
        pgd_status st = pgd_fs_read(c->api_key_file, 16u << 20, &text, err);
        if (st == PGD_OK) st = pgd_http_parse_keys(pgd_buf_sv(&text), &s->keys, &s->n_keys, err);
        pgd_buf_fini(&text);
        if (st != PGD_OK) return pgd_wrap(err, "--api-key-file %s", c->api_key_file);
        if (s->n_keys == 0)
            return pgd_fail(err, PGD_E_INVALID, "--api-key-file %s holds no key", c->api_key_file);
    }
    for (uint32_t i = 0; i < c->api_key.n; i++) {
        pgd_api_key *grown = pgd_realloc(s->keys, (s->n_keys + 1) * sizeof(*grown));
        if (grown == NULL) return pgd_fail(err, PGD_E_NOMEM, "no memory for API keys");
        s->keys = grown;
        pgd_http_key_from_secret(pgd_sv_c(c->api_key.v[i]), i, &s->keys[s->n_keys++]);
    }
    return PGD_OK;
}

static uint64_t ns_of(double seconds) {
    return (uint64_t)(seconds * 1e9);
}

/* A page on a public address is one more thing to attack, and asks passers-by in. */
static bool wants_pages(const pgd_config *c) {
    if (strcmp(c->playground, "auto") == 0) return pgd_http_host_is_loopback(c->host);
    return strcmp(c->playground, "on") == 0;
}

static void fill_http_options(pgd_server *s) {
    const pgd_config *c = s->config;
    s->http_options = pgd_http_options_default;
    pgd_http_options *o = &s->http_options;
    o->host = c->host;
    o->port = (uint16_t)c->port;
    o->n_loops = (uint32_t)c->http_threads;
    o->keys = s->keys;
    o->n_keys = s->n_keys;
    o->metrics_need_key = c->metrics_require_key;
    o->admin_socket = c->admin_socket;
    o->cors_origins = c->allowed_origins.v;
    o->n_cors_origins = c->allowed_origins.n;
    o->allowed_hosts = c->allowed_host.v;
    o->n_allowed_hosts = c->allowed_host.n;
    if (wants_pages(c)) {
        o->pages = pgd_web_pages;
        o->n_pages = pgd_web_n_pages;
    }
    o->max_body_bytes = (size_t)c->max_body_bytes;
    o->max_connections = (uint32_t)c->max_connections;
    o->head_timeout_ns = ns_of(c->head_timeout);
    o->body_timeout_ns = ns_of(c->body_timeout);
    o->idle_timeout_ns = ns_of(c->idle_timeout);
    o->stall_timeout_ns = ns_of(c->stall_timeout);
    o->metrics = s->metrics;
    o->access_log = c->access_log;
}

static pgd_status create_metrics(pgd_server *s, pgd_error *err) {
    pgd_buf labels = {0};
    pgd_buf_puts(&labels, "model_name=\"");
    for (const char *p = s->names.v[0]; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') pgd_buf_putc(&labels, '\\');
        pgd_buf_putc(&labels, *p);
    }
    pgd_buf_puts(&labels, "\",engine=\"0\"");
    const pgd_status st = labels.failed ? PGD_E_NOMEM : pgd_metrics_create(&s->metrics, labels.p);
    pgd_buf_fini(&labels);
    if (st != PGD_OK) return pgd_fail(err, st, "no memory for metrics");
    pgd_metric_set(pgd_metrics_gauge(s->metrics, "process_start_time_seconds", NULL, "",
                                     "Unix time at which the process started."),
                   (double)pgd_wall_ns() * 1e-9);
    return PGD_OK;
}

pgd_status pgd_server_start_front(pgd_server *s, pgd_error *err) {
    const pgd_config *c = s->config;
    decide_names(s);
    if (pgd_sv_ends(pgd_sv_c(s->names.v[0]), PGD_SV("*")))
        return pgd_fail(err, PGD_E_INVALID,
                        "served-model-name: the first name is the one that is reported and must "
                        "not end in *");
    PGD_TRY(load_keys(s, err));
    PGD_TRY(create_metrics(s, err));
    const pgd_api_options opt = {
        .metrics = s->metrics,
        .clock = &s->clock,
        .n_workers = (uint32_t)c->api_workers,
        .max_queued = (uint32_t)c->max_queued_requests,
        .keep_alive_ns = ns_of(c->sse_keep_alive),
        .default_deadline_ns = ns_of(c->request_timeout),
        .response_store_bytes = (size_t)c->response_store_bytes,
        .trace_requests = c->access_log,
        .system_fingerprint = "fp_pagoda_" PGD_VERSION,
    };
    PGD_TRY(pgd_api_create(&opt, &s->api, err));
    pgd_api_set_progress(s->api, &s->load_progress);
    fill_http_options(s);
    return pgd_http_create(s->api, &s->http_options, &s->http, err);
}

/* A missing model is told before the port opens. */
static pgd_status start_front(pgd_server *s, pgd_error *err) {
    if (s->config->model == NULL) return pgd_server_open_model(s, err);
    return pgd_server_start_front(s, err);
}

static void *run_loader(void *arg) {
    pgd_server *s = arg;
    pgd_error err = {0};
    pgd_status st = pgd_server_open_model(s, &err);
    if (st == PGD_OK) st = pgd_server_start_engine(s, &err);
    if (st != PGD_OK) {
        pgd_log(PGD_LOG_ERROR, "app", "cannot serve %s: %s", s->config->model, err.msg);
        atomic_store(&s->exit_code, PGD_EXIT_MODEL);
        atomic_store(&s->load_state, PGD_LOAD_FAILED);
        pgd_http_stop(s->http);
        return NULL;
    }
    atomic_store(&s->load_state, PGD_LOAD_DONE);
    pgd_log(PGD_LOG_INFO, "app", "ready model=%s", s->names.v[0]);
    return NULL;
}

static void block_signals(pgd_server *s) {
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &s->signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

void pgd_server_close(pgd_server *s) {
    pgd_engine_destroy(&s->engine);
    pgd_http_destroy(&s->http);
    pgd_api_destroy(&s->api);
    if (s->exec != NULL) s->exec->destroy(s->exec);
    pgd_chat_destroy(&s->chat);
    pgd_tokenizer_destroy(&s->tokenizer);
    pgd_model_close(&s->model);
    pgd_metrics_destroy(&s->metrics);
    pgd_buf_fini(&s->memory_plan);
    pgd_free(s->keys);
}

static int check_config(pgd_server *s) {
    pgd_error err = {0};
    const pgd_status keys = load_keys(s, &err);
    const pgd_status model = keys == PGD_OK ? pgd_server_open_model(s, &err) : PGD_OK;
    if (keys != PGD_OK || model != PGD_OK) {
        (void)fprintf(stderr, "pagoda: %s\n", err.msg);
        pgd_server_close(s);
        return keys != PGD_OK || s->config->model == NULL ? PGD_EXIT_CONFIG : PGD_EXIT_MODEL;
    }
    pgd_buf text = {0};
    pgd_config_print(s->config, &text);
    (void)printf("%s# configuration and model are good: %s, %u layers\n",
                 text.p != NULL ? text.p : "", pgd_model_get_spec(s->model)->architecture,
                 pgd_model_get_spec(s->model)->n_layers);
    pgd_buf_fini(&text);
    pgd_server_close(s);
    return PGD_EXIT_OK;
}

static int fail_start(pgd_server *s, const char *what, int code) {
    (void)fprintf(stderr, "pagoda: %s\n", what);
    pgd_server_close(s);
    return code;
}

int pgd_serve(const pgd_config *config) {
    pgd_server s;
    memset(&s, 0, sizeof(s));
    s.config = config;
    s.clock = pgd_clock_monotonic();
    if (config->check_config) return check_config(&s);
    pgd_log_level level = PGD_LOG_INFO;
    pgd_log_parse_level(config->log_level, &level);
    pgd_log_setup(level, strcmp(config->log_format, "json") == 0 ? PGD_LOG_JSON : PGD_LOG_TEXT);
    block_signals(&s);
    pgd_error err = {0};
    if (start_front(&s, &err) != PGD_OK) return fail_start(&s, err.msg, PGD_EXIT_CONFIG);
    pgd_log(PGD_LOG_INFO, "app", "listening on http://%s:%u, loading %s", config->host,
            pgd_http_port(s.http), config->model);
    if (config->admin_socket != NULL)
        pgd_log(PGD_LOG_INFO, "app", "admin socket at %s", config->admin_socket);
    if (s.http_options.n_pages > 0)
        pgd_log(PGD_LOG_INFO, "app", "playground at http://%s:%u/, status at /status", config->host,
                pgd_http_port(s.http));
    if (pthread_create(&s.loader, NULL, run_loader, &s) != 0)
        return fail_start(&s, "cannot start the loader thread", PGD_EXIT_CONFIG);
    const bool monitored = pthread_create(&s.monitor, NULL, pgd_server_monitor, &s) == 0;
    if (!monitored) pgd_log(PGD_LOG_ERROR, "app", "cannot start the monitor thread");
    pgd_http_run(s.http);
    if (atomic_load(&s.load_state) == PGD_LOAD_RUNNING) {
        /* asked to leave while loading: nothing is in flight, and loading cannot be interrupted */
        _exit(atomic_load(&s.exit_code));
    }
    pthread_join(s.loader, NULL);
    if (monitored) pthread_join(s.monitor, NULL);
    const int code = atomic_load(&s.exit_code);
    if (code == PGD_EXIT_STALLED) _exit(code); /* the rank thread cannot be joined */
    pgd_server_close(&s);
    return code;
}
