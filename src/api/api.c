/* The process-wide half of the API: options, workers, the attached model, states, admission, and
 * the loops with their drain.
 *
 * Invariants: the model is published once and never changes; `active` counts calls between begin
 * and their end; a loop's calls are touched by its thread alone, so nothing here locks. The drain
 * takes the done stack before the dirty stack (request.h says why) and frees calls only after both
 * were walked. It decides nothing about bytes: deltas.c and the wires do. */
#include <sched.h>
#include <string.h>

#include "call.h"
#include "pagoda/hash.h"
#include "pagoda/log.h"
#include "pagoda/mem.h"
#include "response_store.h"

static const double prep_bounds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                     0.1,    0.2,   0.5,   1,     2,    5};

static pgd_metric *rejected(pgd_metrics *m, const char *labels) {
    return pgd_metrics_counter(m, "pagoda_admission_rejected_total", NULL, labels,
                               "Calls refused before any work was done, by reason.");
}

static pgd_metric *gone(pgd_metrics *m, const char *labels) {
    return pgd_metrics_counter(m, "pagoda_client_disconnects_total", NULL, labels,
                               "Calls whose client left before the end, by phase.");
}

static pgd_metric *expired(pgd_metrics *m, const char *labels) {
    return pgd_metrics_counter(m, "pagoda_deadline_exceeded_total", NULL, labels,
                               "Calls ended by their deadline, by phase.");
}

static void register_metrics(pgd_metrics *r, api_metrics *m) {
    if (!r) return;
    m->rejected_queue_full = rejected(r, "reason=\"queue_full\"");
    m->rejected_loading = rejected(r, "reason=\"loading\"");
    m->rejected_draining = rejected(r, "reason=\"draining\"");
    m->rejected_dead = rejected(r, "reason=\"dead\"");
    m->gone_prep = gone(r, "phase=\"prepare\"");
    m->gone_queued = gone(r, "phase=\"queued\"");
    m->gone_running = gone(r, "phase=\"running\"");
    m->queue_timeouts = expired(r, "phase=\"queued\"");
    m->timeouts = expired(r, "phase=\"running\"");
    m->prep_seconds =
        pgd_metrics_histogram(r, "pagoda_prepare_seconds", NULL, "",
                              "From the end of a body to its token ids: waiting for a worker, "
                              "parsing, rendering, tokenizing.",
                              prep_bounds, sizeof prep_bounds / sizeof prep_bounds[0]);
    m->grammar_seconds = pgd_metrics_histogram(
        r, "pagoda_grammar_compile_seconds", NULL, "",
        "From what a request demands to its grammar, compiled or found again.", prep_bounds,
        sizeof prep_bounds / sizeof prep_bounds[0]);
    m->grammar_rejects =
        pgd_metrics_counter(r, "pagoda_grammar_rejected_total", NULL, "",
                            "Requests refused for a schema or grammar that cannot be honoured.");
    m->stop_string_ends = pgd_metrics_counter(r, "pagoda_stop_string_ends_total", NULL, "",
                                              "Choices ended by a stop string.");
    m->prompt_rejects = pgd_metrics_counter(r, "pagoda_request_rejects_total", NULL, "",
                                            "Calls whose request was refused as invalid.");
}

pgd_status pgd_api_create(const pgd_api_options *opt, pgd_api **out, pgd_error *err) {
    pgd_api *const a = pgd_calloc(1, sizeof *a);
    if (!a) return pgd_fail(err, PGD_E_NOMEM, "out of memory for the API");
    a->opt = *opt;
    a->clock = opt->clock ? *opt->clock : pgd_clock_monotonic();
    if (!a->opt.system_fingerprint) a->opt.system_fingerprint = "fp_pagoda";
    pgd_random_bytes(a->boot_key, sizeof a->boot_key);
    register_metrics(opt->metrics, &a->m);
    const uint32_t n = opt->n_workers ? opt->n_workers : 1;
    if (pgd_workers_create(&a->workers, n, "pgd-prep") != PGD_OK) {
        pgd_free(a);
        return pgd_fail(err, PGD_E_NOMEM, "cannot start %u API workers", n);
    }
    (void)pthread_mutex_init(&a->live_lock, NULL);
    const api_store_limits keep = {.max_entries = 4096,
                                   .max_bytes = opt->response_store_bytes,
                                   .ttl_ns = 3600ull * 1000000000u};
    if (opt->response_store_bytes && api_store_create(&keep, &a->store) != PGD_OK) {
        pgd_workers_destroy(&a->workers);
        pthread_mutex_destroy(&a->live_lock);
        pgd_free(a);
        return pgd_fail(err, PGD_E_NOMEM, "out of memory for the table of responses");
    }
    *out = a;
    return PGD_OK;
}

void pgd_api_destroy(pgd_api **api) {
    if (!api || !*api) return;
    pgd_workers_destroy(&(*api)->workers);
    api_grammars_destroy(&(*api)->grammars);
    memset((*api)->boot_key, 0, sizeof(*api)->boot_key);
    api_store_destroy(&(*api)->store);
    pthread_mutex_destroy(&(*api)->live_lock);
    pgd_free(*api);
    *api = NULL;
}

void pgd_api_set_progress(pgd_api *api, const _Atomic uint32_t *progress) {
    atomic_store_explicit(&api->progress, progress, memory_order_release);
}

pgd_status pgd_api_pick_formats(const pgd_chat *chat, const char *tool_call_parser,
                                const char *reasoning_parser, const char **tools,
                                const char **reasoning, pgd_error *err) {
    api_formats f = {0};
    PGD_TRY(api_formats_pick(chat, tool_call_parser, reasoning_parser, &f, err));
    *tools = api_tool_format_name(f.tools);
    *reasoning = api_think_format_name(f.think);
    return PGD_OK;
}

void pgd_api_attach(pgd_api *api, const pgd_api_model *model) {
    PGD_ASSERT(!atomic_load_explicit(&api->model, memory_order_relaxed));
    pgd_error err = {0};
    if (api_formats_pick(model->chat, model->tool_call_parser, model->reasoning_parser,
                         &api->formats, &err) != PGD_OK)
        pgd_log(PGD_LOG_WARN, "api", "output formats not chosen: %s", err.msg);
    if (model->chat)
        pgd_log(PGD_LOG_INFO, "api", "output formats tool_calls=%s reasoning=%s",
                api_tool_format_name(api->formats.tools),
                api_think_format_name(api->formats.think));
    if (model->engine && pgd_engine_vocab_size(model->engine) &&
        api_grammars_create(model->tokenizer, model->spec, &api->formats,
                            pgd_engine_vocab_size(model->engine), &api->grammars, &err) != PGD_OK)
        pgd_log(PGD_LOG_WARN, "api", "no structured output: %s", err.msg);
    api->model_data = *model;
    if (api->model_data.max_logprobs > PGD_MAX_TOP_LOGPROBS)
        api->model_data.max_logprobs = PGD_MAX_TOP_LOGPROBS;
    atomic_store_explicit(&api->model, &api->model_data, memory_order_release);
    uint32_t loading = PGD_API_LOADING; /* a drain or death that came first stays */
    (void)atomic_compare_exchange_strong(&api->state, &loading, PGD_API_READY);
}

void pgd_api_set_state(pgd_api *api, pgd_api_state s) {
    atomic_store_explicit(&api->state, s, memory_order_release);
}

pgd_api_state pgd_api_get_state(const pgd_api *api) {
    return (pgd_api_state)atomic_load_explicit(&api->state, memory_order_acquire);
}

uint32_t pgd_api_active(const pgd_api *api) {
    return atomic_load_explicit(&api->active, memory_order_acquire);
}

/* Retry-After from the age of the oldest waiting request: at the present rate a newcomer would wait
 * about as long. Within 1..60 s, which the official clients obey. */
pgd_status api_overloaded(pgd_api *a, api_error *e) {
    const pgd_api_model *const m = atomic_load_explicit(&a->model, memory_order_acquire);
    pgd_engine_stats st = {0};
    if (m) pgd_engine_get_stats(m->engine, &st);
    const uint64_t now = pgd_clock_now(&a->clock);
    const uint64_t age_ns =
        st.queue_oldest_ns && now > st.queue_oldest_ns ? now - st.queue_oldest_ns : 0;
    uint64_t wait_s = age_ns / 1000000000u + 1;
    if (wait_s > 60) wait_s = 60;
    pgd_metric_add(a->m.rejected_queue_full, 1);
    e->retry_after_ms = (uint32_t)wait_s * 1000;
    return api_fail(e, PGD_E_BUSY, "server_overloaded", NULL,
                    "The server is overloaded: %u requests queued, estimated wait %u s. Please "
                    "try again in %us.",
                    st.waiting, (unsigned)wait_s, (unsigned)wait_s);
}

pgd_status api_admit(pgd_api *a, api_error *e) {
    switch (pgd_api_get_state(a)) {
    case PGD_API_READY:
        break;
    case PGD_API_LOADING:
        pgd_metric_add(a->m.rejected_loading, 1);
        e->retry_after_ms = 2000;
        return api_fail(e, PGD_E_BUSY, "model_loading", NULL,
                        "The model is still loading. Please try again in 2s.");
    case PGD_API_LEAVING:
        break;
    case PGD_API_DRAINING:
        pgd_metric_add(a->m.rejected_draining, 1);
        e->retry_after_ms = 1000;
        return api_fail(e, PGD_E_BUSY, "server_shutting_down", NULL,
                        "The server is shutting down. Please try again in 1s.");
    case PGD_API_DEAD:
        pgd_metric_add(a->m.rejected_dead, 1);
        e->retry_after_ms = 5000;
        return api_fail(e, PGD_E_DEVICE, "internal_error", NULL,
                        "The engine has failed and the server is about to restart.");
    }
    if (a->opt.max_queued && pgd_api_active(a) >= a->opt.max_queued) return api_overloaded(a, e);
    return PGD_OK;
}

pgd_status pgd_api_loop_create(pgd_api *api, void (*wake)(void *ctx), void *ctx,
                               pgd_api_loop **out) {
    pgd_api_loop *const l = pgd_calloc(1, sizeof *l);
    if (!l) return PGD_E_NOMEM;
    l->api = api;
    l->wake = wake;
    l->ctx = ctx;
    l->sink.wake = wake;
    l->sink.ctx = ctx;
    *out = l;
    return PGD_OK;
}

void pgd_api_loop_wait(pgd_api_loop *l) {
    /* acquire pairs with the release of a job's last touch; a job takes milliseconds at most */
    while (atomic_load_explicit(&l->with_workers, memory_order_acquire))
        (void)sched_yield();
}

/* A take-all stack hands items over newest first; calls are served oldest first. */
static pgd_link *reversed(pgd_link *head) {
    pgd_link *out = NULL;
    while (head) {
        pgd_link *const next = head->next;
        head->next = out;
        out = head;
        head = next;
    }
    return out;
}

static api_request *request_of(pgd_request *r) {
    return r->api;
}

static void drain_engine(pgd_api_loop *l) {
    pgd_link *const done = reversed(pgd_stack_take_all(&l->sink.done));
    pgd_link *dirty = reversed(pgd_stack_take_all(&l->sink.dirty));
    for (pgd_link *k = done; k; k = k->next)
        request_of(PGD_FROM_LINK(k, pgd_request, done_link))->finished = true;
    while (dirty) {
        pgd_link *const next =
            dirty->next; /* before the flag falls: then the engine may reuse it */
        pgd_request *const r = PGD_FROM_LINK(dirty, pgd_request, dirty_link);
        /* pairs with the engine's exchange(1): what it logged before is visible below */
        (void)atomic_exchange_explicit(&r->dirty, 0, memory_order_acq_rel);
        const api_request *const q = request_of(r);
        if (api_call_pump(q->call, q->first_choice, r->n_choices)) api_call_changed(q->call);
        dirty = next;
    }
    for (pgd_link *k = done; k;) {
        pgd_link *const next = k->next;
        api_request *const q = request_of(PGD_FROM_LINK(k, pgd_request, done_link));
        pgd_call *const c = q->call;
        q->inside = false;
        c->n_inside--;
        if (api_call_pump(c, q->first_choice, q->r.n_choices)) api_call_changed(c);
        if (c->phase == API_RUN) {
            api_call_submit(c);
            if (c->phase == API_ENDED) api_call_changed(c);
        }
        api_call_collect(c);
        k = next;
    }
}

void pgd_api_loop_drain(pgd_api_loop *l, void (*changed)(pgd_call *call, void *ctx), void *ctx) {
    for (pgd_link *k = reversed(pgd_stack_take_all(&l->prepared)); k;) {
        pgd_link *const next = k->next;
        api_call_prepared(PGD_FROM_LINK(k, pgd_call, prepared_link));
        k = next;
    }
    drain_engine(l);
    api_resets_drain(l);
    api_live_drain(l);
    while (l->changed) {
        pgd_call *const c = l->changed;
        l->changed = c->changed_next;
        if (l->changed) l->changed->changed_prev = NULL;
        c->changed_next = NULL;
        c->in_changed = false;
        changed(c, ctx); /* may release any call; release unlinks it */
    }
}

static void tell_nobody(pgd_call *call, void *ctx) {
    (void)call;
    (void)ctx;
}

void pgd_api_loop_destroy(pgd_api_loop **l) {
    if (!l || !*l) return;
    pgd_api_loop_wait(*l);
    pgd_api_loop_drain(*l, tell_nobody,
                       NULL); /* all calls are released: this frees the last of them */
    PGD_ASSERT(!(*l)->changed);
    pgd_free(*l);
    *l = NULL;
}
