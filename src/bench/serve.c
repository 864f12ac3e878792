/* `pagoda bench serve`: options, set-up, warm-up, the run, the result.
 *
 * One thread and one loop. The generator must not be what is measured: it raises its limit of open
 * files, builds prompts from tables, parses each event once, and reports by how much requests left
 * late. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/result.h"
#include "bench/setup.h"
#include "pagoda/clock.h"
#include "pagoda/mem.h"

/* Warm-up prompts are others than the measured ones, or those would be in the prefix cache. */
#define WARMUP_INDEX (1ull << 40)
enum { DEFAULT_REQUESTS = 100 };

typedef struct bench_job {
    bench_options opt;
    int n_args;
    const char *const *args;
    const char *version;
    bench_slo slo;
    bench_url url;
    uv_loop_t loop;
    bench_client *client;
    pgd_buf key, model, server_version, extra;
    bench_prompts prompts;
    bench_workload workload;
    bench_ask ask;
    bench_run run;
    bench_result result;
} bench_job;

/* One descriptor a stream. */
static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static bench_load make_load(const bench_job *j) {
    const bench_options *o = &j->opt;
    const bool trace = j->workload.kind == BENCH_TRACE;
    bench_load l = {
        .open = o->rate > 0 || trace,
        .concurrency = o->concurrency,
        .rate = o->rate,
        .burstiness = o->burstiness,
        .time_scale = o->time_scale,
        .n_requests = o->num_requests,
        .duration_ns = (uint64_t)(1e9 * o->duration),
        .stagger_ns = (uint64_t)(1e9 * o->stagger),
        .timeout_ns = (uint64_t)(1e9 * o->timeout),
    };
    if (!l.open && l.concurrency == 0) l.concurrency = 1;
    if (l.n_requests == 0)
        l.n_requests = trace             ? j->workload.trace.n
                       : o->duration > 0 ? UINT64_MAX
                                         : DEFAULT_REQUESTS;
    return l;
}

static void init_run(bench_job *j, bench_run *r, const char *label) {
    *r = (bench_run){.loop = &j->loop,
                     .client = j->client,
                     .ask = &j->ask,
                     .prompts = &j->prompts,
                     .workload = &j->workload,
                     .load = make_load(j),
                     .label = label,
                     .progress = !j->opt.quiet && isatty(STDERR_FILENO) == 1};
}

/* Closed loop, with the streams of the run or 8. */
static pgd_status warm_up(bench_job *j, pgd_error *err) {
    if (j->opt.warmup == 0) return PGD_OK;
    bench_run r;
    init_run(j, &r, "warm-up");
    bench_load *l = &r.load;
    l->open = false;
    if (l->concurrency == 0) l->concurrency = 8;
    l->n_requests = j->opt.warmup;
    l->duration_ns = l->stagger_ns = 0;
    l->first_index = WARMUP_INDEX;
    pgd_status s = bench_run_go(&r, err);
    if (s == PGD_OK && r.n_failed == r.n_ended && r.n_ended > 0)
        s = pgd_fail(err, PGD_E_IO, "no warm-up request succeeded: %s: %s",
                     bench_fault_name(r.rec[0]->fault), r.rec[0]->why);
    if (s == PGD_OK && r.interrupted) s = pgd_fail(err, PGD_E_CANCELLED, "interrupted");
    bench_run_fini(&r);
    return s;
}

static pgd_status set_up(bench_job *j, pgd_error *err) {
    const bench_options *o = &j->opt;
    const bench_client_options co = {
        .url = &j->url,
        .api_key = j->key.n > 0 ? j->key.p : NULL,
        .keep_alive = strcmp(o->connection, "keep-alive") == 0,
    };
    PGD_TRY(bench_client_create(&j->loop, &co, &j->client, err));
    PGD_TRY(bench_setup_model(j->client, o, &j->model, err));
    bench_setup_version(j->client, &j->server_version);
    PGD_TRY(bench_setup_prompts(j->client, o, j->model.p, &j->prompts, err));
    j->prompts.seed = o->seed;
    j->ask = (bench_ask){.chat = strcmp(o->endpoint, "chat") == 0,
                         .model = j->model.p,
                         .temperature = o->temperature,
                         .natural_stop = o->natural_stop,
                         .extra_members = pgd_buf_sv(&j->extra)};
    return PGD_OK;
}

/* ---- result ---- */

static void put_load(const bench_job *j, pgd_jsonw *w) {
    const bench_load *l = &j->run.load;
    pgd_jsonw_key(w, "load");
    pgd_jsonw_obj(w);
    pgd_jsonw_key(w, "loop");
    pgd_jsonw_cstr(w, !l->open ? "closed" : l->rate > 0 ? "open, by rate" : "open, by trace");
    pgd_jsonw_key(w, "concurrency");
    pgd_jsonw_u64(w, l->concurrency);
    pgd_jsonw_key(w, "rate_per_s");
    pgd_jsonw_f64(w, l->rate);
    pgd_jsonw_key(w, "burstiness");
    pgd_jsonw_f64(w, l->burstiness);
    pgd_jsonw_key(w, "stagger_s");
    pgd_jsonw_f64(w, j->opt.stagger);
    pgd_jsonw_key(w, "warmup");
    pgd_jsonw_u64(w, j->opt.warmup);
    pgd_jsonw_key(w, "peak_in_flight");
    pgd_jsonw_u64(w, j->run.n_peak);
    pgd_jsonw_key(w, "connections");
    pgd_jsonw_u64(w, bench_client_opened(j->client));
    pgd_jsonw_key(w, "interrupted");
    pgd_jsonw_bool(w, j->run.interrupted);
    pgd_jsonw_end_obj(w);
}

static pgd_status write_json(const bench_job *j, pgd_error *err) {
    pgd_buf text = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &text);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "kind");
    pgd_jsonw_cstr(&w, "serve");
    pgd_bench_put_environment(&w, j->version, j->n_args, j->args);
    pgd_jsonw_key(&w, "model");
    pgd_jsonw_str(&w, pgd_buf_sv(&j->model));
    pgd_jsonw_key(&w, "server_version");
    pgd_jsonw_str(&w, pgd_buf_sv(&j->server_version));
    pgd_jsonw_key(&w, "workload");
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "name");
    pgd_jsonw_cstr(&w, j->opt.workload);
    pgd_jsonw_key(&w, "endpoint");
    pgd_jsonw_cstr(&w, j->opt.endpoint);
    pgd_jsonw_key(&w, "prompts");
    pgd_jsonw_cstr(&w, j->prompts.lengths);
    pgd_jsonw_key(&w, "seed");
    pgd_jsonw_u64(&w, j->workload.seed);
    pgd_jsonw_end_obj(&w);
    put_load(j, &w);
    bench_result_put_json(&j->result, &j->slo, &w);
    bench_result_put_requests(&j->run, &w);
    pgd_jsonw_end_obj(&w);
    pgd_buf_putc(&text, '\n');
    const pgd_status s = text.failed ? pgd_fail(err, PGD_E_NOMEM, "no memory for %s", j->opt.json)
                                     : pgd_bench_write_file(j->opt.json, pgd_buf_sv(&text), err);
    pgd_buf_fini(&text);
    return s;
}

static pgd_status write_svg(const bench_job *j, pgd_error *err) {
    const bench_load *l = &j->run.load;
    pgd_buf title = {0}, text = {0};
    pgd_buf_putf(&title, "%s, %s: ", j->model.p, j->opt.workload);
    if (!l->open)
        pgd_buf_putf(&title, "%llu streams", (unsigned long long)l->concurrency);
    else if (l->rate > 0)
        pgd_buf_putf(&title, "%g requests/s", l->rate);
    else
        pgd_buf_puts(&title, "arrivals of the trace");
    pgd_buf_putf(&title, ", %llu requests, %.1f output tokens/s",
                 (unsigned long long)j->result.n_ok, j->result.output_s);
    if (!title.failed) bench_result_put_svg(&j->result, title.p, &text);
    const pgd_status s = title.failed || text.failed
                             ? pgd_fail(err, PGD_E_NOMEM, "no memory for %s", j->opt.svg)
                             : pgd_bench_write_file(j->opt.svg, pgd_buf_sv(&text), err);
    pgd_buf_fini(&title);
    pgd_buf_fini(&text);
    return s;
}

static pgd_status report(bench_job *j, pgd_error *err) {
    PGD_TRY(bench_result_make(&j->run, &j->slo, &j->result, err));
    pgd_buf text = {0};
    pgd_buf_putf(&text, "model         %s at %s\nworkload      %s, %s, seed %llu (%s)\n",
                 j->model.p, j->opt.url, j->opt.workload, j->opt.endpoint,
                 (unsigned long long)j->workload.seed, j->prompts.lengths);
    bench_result_put_text(&j->result, &j->run, &text);
    if (!text.failed) (void)fputs(text.p, stdout);
    pgd_buf_fini(&text);
    if (j->opt.json != NULL) PGD_TRY(write_json(j, err));
    if (j->opt.svg != NULL) PGD_TRY(write_svg(j, err));
    return j->result.n_ok > 0 ? PGD_OK : pgd_fail(err, PGD_E_IO, "no request succeeded");
}

static pgd_status measure(bench_job *j, pgd_error *err) {
    PGD_TRY(set_up(j, err));
    PGD_TRY(warm_up(j, err));
    init_run(j, &j->run, "");
    PGD_TRY(bench_run_go(&j->run, err));
    return report(j, err);
}

static void close_job(bench_job *j) {
    if (j->client != NULL) bench_client_close(j->client);
    uv_run(&j->loop, UV_RUN_DEFAULT);
    if (j->client != NULL) bench_client_free(&j->client);
    uv_loop_close(&j->loop);
    bench_result_fini(&j->result);
    bench_run_fini(&j->run);
    bench_prompts_fini(&j->prompts);
}

static pgd_status prepare(bench_job *j, pgd_error *err) {
    PGD_TRY(bench_slo_parse(j->opt.goodput, &j->slo, err));
    PGD_TRY(bench_url_parse(j->opt.url, &j->url, err));
    PGD_TRY(bench_setup_extra(j->opt.extra_body, &j->extra, err));
    PGD_TRY(bench_setup_key(j->opt.api_key_file, &j->key, err));
    if (j->opt.seed == 0) j->opt.seed = pgd_wall_ns() >> 10 & 0xffffffff;
    return bench_setup_workload(&j->opt, &j->workload, err);
}

static int run_job(bench_job *j) {
    pgd_error err = {0};
    int code = PGD_BENCH_OK;
    if (prepare(j, &err) != PGD_OK) {
        code = PGD_BENCH_USAGE;
    } else if (uv_loop_init(&j->loop) != 0) {
        pgd_fail(&err, PGD_E_IO, "cannot create an event loop");
        code = PGD_BENCH_FAILED;
    } else {
        (void)signal(SIGPIPE, SIG_IGN);
        raise_file_limit();
        if (measure(j, &err) != PGD_OK) code = PGD_BENCH_FAILED;
        close_job(j);
    }
    if (code != PGD_BENCH_OK) (void)fprintf(stderr, "pagoda bench serve: %s\n", err.msg);
    bench_trace_fini(&j->workload.trace);
    pgd_buf_fini(&j->extra);
    pgd_buf_fini(&j->model);
    pgd_buf_fini(&j->server_version);
    pgd_buf_fini(&j->key);
    return code;
}

int pgd_bench_serve(int n_args, const char *const *args, const char *version) {
    bench_job *j = pgd_calloc(1, sizeof(*j));
    pgd_error err = {0};
    if (j == NULL) return PGD_BENCH_FAILED;
    j->n_args = n_args;
    j->args = args;
    j->version = version;
    int code = PGD_BENCH_OK;
    if (bench_options_parse(n_args, args, &j->opt, &err) != PGD_OK) {
        (void)fprintf(stderr, "pagoda bench serve: %s\n", err.msg);
        code = PGD_BENCH_USAGE;
    } else if (j->opt.help) {
        pgd_buf text = {0};
        pgd_bench_flags_help(bench_serve_help, bench_serve_flags, bench_n_serve_flags, &text);
        if (!text.failed) (void)fputs(text.p, stdout);
        pgd_buf_fini(&text);
    } else {
        code = run_job(j);
    }
    pgd_free(j);
    return code;
}
