/* The life of a call on its loop: begin, hand to a worker, submit, pump, end, release.
 *
 * Invariants: headers are fixed once, before the first byte; after ENDED nothing is written; every
 * submitted request is either counted in n_inside or was taken from the done stack; an engine
 * function is never called for a request whose done link was taken (`finished`). A failed
 * allocation ends this call alone: the event being written is undone and an error takes its place.
 * Thread: the loop's, but for run_job, which runs on a worker. */
#include "call.h"

#include <stdio.h>
#include <string.h>

#include "pagoda/hash.h"
#include "pagoda/log.h"
#include "pagoda/mem.h"
#include "response.h"

bool api_is_chat(pgd_route r) {
    return r == PGD_ROUTE_CHAT || r == PGD_ROUTE_MESSAGES || r == PGD_ROUTE_RESPONSES;
}

static bool is_generation(pgd_route r) {
    return r == PGD_ROUTE_COMPLETIONS || r == PGD_ROUTE_EMBEDDINGS || api_is_chat(r);
}

static bool needs_worker(pgd_route r) {
    return is_generation(r) || r == PGD_ROUTE_TOKENIZE || r == PGD_ROUTE_DETOKENIZE ||
           r == PGD_ROUTE_APPLY_TEMPLATE || r == PGD_ROUTE_COUNT_TOKENS ||
           r == PGD_ROUTE_INPUT_TOKENS;
}

const api_wire *api_wire_of(pgd_route r) {
    if (pgd_route_is_anthropic(r)) return &api_wire_messages;
    if (r == PGD_ROUTE_EMBEDDINGS) return &api_wire_embeddings;
    if (r == PGD_ROUTE_RESPONSES || r == PGD_ROUTE_INPUT_TOKENS) return &api_wire_responses;
    return r == PGD_ROUTE_CHAT ? &api_wire_chat : &api_wire_completions;
}

void api_random_id(char *out, size_t n) {
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t raw[32];
    PGD_ASSERT(n <= sizeof raw);
    pgd_random_bytes(raw, n);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[raw[i] % 62];
    out[n] = '\0';
}

bool api_take_request_id(pgd_call *c, pgd_sv wanted) {
    bool ok = wanted.n > 0 && wanted.n <= 128;
    for (size_t i = 0; ok && i < wanted.n; i++)
        ok = wanted.p[i] > 0x20 && wanted.p[i] < 0x7F;
    if (!ok) return false;
    memcpy(c->request_id, wanted.p, wanted.n);
    c->request_id[wanted.n] = '\0';
    return true;
}

static void set_request_id(pgd_call *c, pgd_sv wanted) {
    c->id_is_ours = !api_take_request_id(c, wanted);
    if (!c->id_is_ours) return;
    memcpy(c->request_id, "req_", 4);
    api_random_id(c->request_id + 4, 24);
}

/* The call is over for drain and admission, whatever the engine still holds of it. */
static void uncount(pgd_call *c) {
    if (!c->counted) return;
    c->counted = false;
    (void)atomic_fetch_sub_explicit(&c->api->active, 1, memory_order_acq_rel);
}

void api_call_fix_headers(pgd_call *c, int http, const char *content_type) {
    PGD_ASSERT(c->http == 0);
    c->http = http;
    c->content_type = content_type;
    const uint64_t ms = (pgd_clock_now(&c->api->clock) - c->begin_ns) / 1000000u;
    pgd_buf *const h = &c->headers;
    pgd_buf_putf(h, "x-request-id: %s\r\n", c->request_id);
    if (pgd_route_is_anthropic(c->route))
        pgd_buf_putf(h, "request-id: %s\r\n", c->request_id);
    else if (is_generation(c->route))
        pgd_buf_putf(h, "openai-processing-ms: %llu\r\n", (unsigned long long)ms);
    if (c->streaming) pgd_buf_puts(h, "cache-control: no-cache\r\nx-accel-buffering: no\r\n");
    if (c->g.ignored_priority) pgd_buf_puts(h, "x-pagoda-ignored: priority\r\n");
    if (c->err.retry_after_ms)
        pgd_buf_putf(h, "retry-after: %u\r\nretry-after-ms: %u\r\n",
                     (c->err.retry_after_ms + 999) / 1000, c->err.retry_after_ms);
}

static void trace(const pgd_call *c) {
    if (!c->api->opt.trace_requests || !needs_worker(c->route) || c->with_worker) return;
    const uint64_t now = pgd_clock_now(&c->api->clock);
    uint64_t scheduled = 0;
    if (c->g.n_requests)
        scheduled = atomic_load_explicit(&c->g.requests[0].r.scheduled_ns, memory_order_relaxed);
    pgd_log(PGD_LOG_INFO, "api",
            "request id=%s route=%s status=%d n_prompt=%u n_cached=%u n_out=%u prep_ms=%.1f "
            "queue_ms=%.1f ttft_ms=%.1f total_ms=%.1f finish=%s%s%s",
            c->request_id, api_route_name(c->route), c->http, api_prompt_tokens(c),
            api_cached_tokens(c), api_completion_tokens(c), (double)c->prep_ns / 1e6,
            scheduled > c->begin_ns ? (double)(scheduled - c->begin_ns) / 1e6 : 0.0,
            c->first_token_ns ? (double)(c->first_token_ns - c->begin_ns) / 1e6 : 0.0,
            (double)(now - c->begin_ns) / 1e6,
            c->g.n_choices && c->g.choices[0].finish ? api_finish_name(&c->g.choices[0]) : "none",
            c->err.status ? " error=" : "", c->err.status ? pgd_status_name(c->err.status) : "");
}

void api_call_end(pgd_call *c) {
    if (c->phase == API_ENDED) return;
    c->phase = API_ENDED;
    api_live_remove(c);
    c->backlog = false;
    trace(c);
    uncount(c);
}

void api_call_cancel(pgd_call *c, pgd_cancel_reason reason) {
    for (uint32_t i = 0; i < c->g.n_requests; i++) {
        api_request *const q = &c->g.requests[i];
        if (q->inside && !q->finished) pgd_engine_cancel(c->model->engine, &q->r, reason);
    }
}

/* The end of a detached call. What it has in `out` is the client's and stays. */
static void settle(pgd_call *c) {
    c->wire->settle(c);
    api_call_end(c);
}

void api_call_fail(pgd_call *c, const api_error *e) {
    if (c->phase == API_ENDED) return;
    if (e != &c->err) c->err = *e;
    if (c->err.code && strcmp(c->err.code, "internal_error") == 0) {
        const size_t n = strlen(c->err.msg);
        (void)snprintf(c->err.msg + n, sizeof c->err.msg - n, " (request id %s)", c->request_id);
    }
    api_call_cancel(c, c->err.status == PGD_E_TIMEOUT ? PGD_CANCEL_DEADLINE : PGD_CANCEL_CLIENT);
    if (c->detached) {
        settle(c);
        return;
    }
    c->mark = c->out.n;
    if (!c->streaming) pgd_buf_clear(&c->out);
    if (c->wire)
        c->wire->error(c);
    else
        api_error_write(&c->err, &c->out);
    if (c->streaming) {
        if (c->out.failed) { /* no memory even for that: the stream just ends, at a whole event */
            c->out.failed = false;
            c->out.n = c->mark;
        }
    } else {
        if (c->out.failed) pgd_buf_clear(&c->out); /* the status alone must do */
        api_call_fix_headers(c, pgd_status_http(c->err.status), "application/json");
    }
    c->mark = c->out.n;
    api_call_end(c);
}

/* There was no room for what should have gone to `out`. */
static void fail_nomem(pgd_call *c) {
    api_error e = {0};
    (void)api_fail_nomem(&e);
    api_call_fail(c, &e);
}

void api_call_event_done(pgd_call *c) {
    if (!c->out.failed) {
        c->mark = c->out.n;
        c->last_out_ns = pgd_clock_now(&c->api->clock);
        return;
    }
    c->out.failed = false;
    c->out.n = c->mark;
    fail_nomem(c);
}

void api_call_start_stream(pgd_call *c) {
    if (c->streaming) return;
    c->streaming = true;
    api_call_fix_headers(c, 200, "text/event-stream; charset=utf-8");
}

/* ---- PREP: to a worker and back ---- */

static void run_job(pgd_job *job) {
    pgd_call *const c = PGD_FROM_LINK(job, pgd_call, job);
    api_prep_run(c);
}

static void job_done(pgd_job *job) {
    pgd_call *const c = PGD_FROM_LINK(job, pgd_call, job);
    pgd_api_loop *const l = c->loop;
    const bool wanted = atomic_load_explicit(&c->give_up, memory_order_relaxed) != API_GONE;
    pgd_stack_push(&l->prepared, &c->prepared_link); /* the loop may free c from here on */
    if (wanted) l->wake(l->ctx);
    atomic_fetch_sub_explicit(&l->with_workers, 1, memory_order_release);
}

pgd_call *pgd_api_begin(pgd_api_loop *l, const pgd_api_request *rq) {
    pgd_api *const a = l->api;
    pgd_call *const c = pgd_calloc(1, sizeof *c);
    if (!c) return NULL;
    c->api = a;
    c->loop = l;
    c->route = rq->route;
    c->user = rq->user;
    c->may_set_priority = rq->may_set_priority;
    c->begin_ns = pgd_clock_now(&a->clock);
    c->created = pgd_wall_ns() / 1000000000u;
    set_request_id(c, rq->request_id);
    if (rq->body) {
        c->body = *rq->body;
        *rq->body = (pgd_buf){0};
    }
    uint64_t timeout = a->opt.default_deadline_ns;
    if (rq->timeout_ns && (!timeout || rq->timeout_ns < timeout)) timeout = rq->timeout_ns;
    if (timeout) c->deadline_ns = c->begin_ns + timeout;
    pgd_buf_putsv(&c->tenant, rq->tenant);
    if (!needs_worker(c->route)) {
        api_route_small(c, rq);
        return c;
    }
    c->wire = api_wire_of(c->route);
    api_error e = {0};
    if (api_admit(a, &e) != PGD_OK || (c->tenant.failed && api_fail_nomem(&e) != PGD_OK)) {
        api_call_fail(c, &e);
        return c;
    }
    c->model = atomic_load_explicit(&a->model, memory_order_acquire);
    memcpy(c->id, c->wire->id_prefix, strlen(c->wire->id_prefix));
    api_random_id(c->id + strlen(c->wire->id_prefix), 24);
    api_live_add(c);
    c->counted = true;
    (void)atomic_fetch_add_explicit(&a->active, 1, memory_order_acq_rel);
    c->job = (pgd_job){.run = run_job, .done = job_done};
    c->with_worker = true;
    (void)atomic_fetch_add_explicit(&l->with_workers, 1, memory_order_relaxed);
    pgd_workers_submit(a->workers, &c->job);
    return c;
}

/* Whether the engine has begun with any of it. False in PREP, when a worker owns the requests. */
static bool was_scheduled(const pgd_call *c) {
    if (c->phase != API_RUN) return false;
    for (uint32_t i = 0; i < c->g.n_requests; i++)
        if (atomic_load_explicit(&c->g.requests[i].r.scheduled_ns, memory_order_relaxed))
            return true;
    return false;
}

/* The deadline has passed. Not while a worker holds the call. */
static void expire(pgd_call *c) {
    api_error e = {0};
    if (was_scheduled(c)) {
        pgd_metric_add(c->api->m.timeouts, 1);
        (void)api_fail(&e, PGD_E_TIMEOUT, "timeout", NULL,
                       "The request did not finish within its deadline.");
    } else {
        pgd_metric_add(c->api->m.queue_timeouts, 1);
        e.retry_after_ms = 1000;
        (void)api_fail(&e, PGD_E_TIMEOUT, "queue_timeout", NULL,
                       "The request waited in the queue until its deadline passed.");
    }
    api_call_fail(c, &e);
}

static pgd_status submit_failed(pgd_call *c, const pgd_error *err, api_error *e) {
    if (err->code == PGD_E_BUSY) {
        if (pgd_api_get_state(c->api) != PGD_API_READY) return api_admit(c->api, e);
        return api_overloaded(c->api, e);
    }
    return api_fail_from(e, err, "context_length_exceeded",
                         api_is_chat(c->route) ? "messages" : "prompt");
}

/* A batch goes in piece by piece, so that one call neither fills the queue for all nor is refused
 * for its size: what finds the queue full is tried again when one of its own requests ends, and
 * every second. Only a call of which nothing could be taken is refused. */
void api_call_submit(pgd_call *c) {
    for (; c->g.n_submitted < c->g.n_requests; c->g.n_submitted++) {
        api_request *const q = &c->g.requests[c->g.n_submitted];
        if (c->n_inside == API_MAX_INSIDE) return;
        if (api_request_is_empty(q)) continue;
        q->r.id = atomic_fetch_add_explicit(&c->api->next_id, 1, memory_order_relaxed) + 1;
        q->r.sink = &c->loop->sink;
        pgd_error err = {0};
        if (pgd_engine_submit(c->model->engine, &q->r, &err) != PGD_OK) {
            if (err.code == PGD_E_BUSY && c->g.n_submitted > 0 &&
                pgd_api_get_state(c->api) == PGD_API_READY)
                return;
            api_error e = {0};
            (void)submit_failed(c, &err, &e);
            api_call_fail(c, &e);
            return;
        }
        q->inside = true;
        c->n_inside++;
    }
}

/* The call goes on in the background: the client gets its answer now. From here on its work counts
 * as before, its deadline is the engine's to keep, and the transport may let go of it. */
static void detach(pgd_call *c) {
    c->wire->accept(c);
    if (c->out.failed) {
        fail_nomem(c);
        return;
    }
    api_call_fix_headers(c, 200, "application/json");
    c->mark = c->out.n;
    api_live_detach(c);
    api_call_changed(c);
}

void api_call_prepared(pgd_call *c) {
    c->with_worker = false;
    c->prep_ns = pgd_clock_now(&c->api->clock) - c->begin_ns;
    pgd_metric_observe(c->api->m.prep_seconds, (double)c->prep_ns / 1e9);
    if (c->phase == API_ENDED) { /* the client left meanwhile */
        api_call_collect(c);
        return;
    }
    if (c->deadline_ns && pgd_clock_now(&c->api->clock) >= c->deadline_ns) {
        expire(c);
        api_call_changed(c);
        return;
    }
    c->phase = API_RUN;
    if (c->err.status != PGD_OK) {
        if (pgd_status_http(c->err.status) < 500) pgd_metric_add(c->api->m.prompt_rejects, 1);
        api_call_fail(c, &c->err);
    } else if (api_live_check(c)) {
        /* it has ended */
    } else if (!is_generation(c->route)) {
        api_answer_json(c, 200);
    } else {
        api_live_prepared(c);
        api_call_submit(c);
        if (c->background && c->phase == API_RUN) detach(c);
    }
    if (api_call_pump(c, 0, c->g.n_choices) || c->phase == API_ENDED) api_call_changed(c);
}

/* ---- RUN ---- */

static void end_of_all(pgd_call *c) {
    if (c->detached) {
        settle(c);
        return;
    }
    if (!c->streaming) {
        c->wire->answer(c);
        if (c->out.failed) {
            fail_nomem(c);
            return;
        }
        api_call_fix_headers(c, 200, "application/json");
        c->mark = c->out.n;
        api_call_end(c);
        return;
    }
    c->wire->end(c);
    api_call_event_done(c);
    api_call_end(c);
}

/* Take what the engine has logged since the last time. Returns whether anything is to be told to
 * the transport. */
bool api_call_pump(pgd_call *c, uint32_t first, uint32_t n) {
    if (c->phase != API_RUN) return false;
    const size_t before = c->out.n;
    const bool was_streaming = c->streaming;
    c->mark = before;
    for (uint32_t i = first; i < first + n && c->phase == API_RUN; i++)
        if (c->g.choices[i].finish == PGD_FINISH_NONE) api_choice_pump(c, &c->g.choices[i]);
    if (c->phase == API_RUN && c->g.n_open == 0) end_of_all(c);
    return c->out.n != before || c->streaming != was_streaming || c->phase == API_ENDED;
}

void api_call_changed(pgd_call *c) {
    if (c->in_changed || c->released) return;
    c->in_changed = true;
    c->changed_prev = NULL;
    c->changed_next = c->loop->changed;
    if (c->changed_next) c->changed_next->changed_prev = c;
    c->loop->changed = c;
}

static void unlink_changed(pgd_call *c) {
    if (!c->in_changed) return;
    c->in_changed = false;
    if (c->changed_prev)
        c->changed_prev->changed_next = c->changed_next;
    else
        c->loop->changed = c->changed_next;
    if (c->changed_next) c->changed_next->changed_prev = c->changed_prev;
}

/* ---- the transport's side ---- */

pgd_call_state pgd_call_get_state(const pgd_call *c) {
    if (c->phase == API_ENDED || c->detached) return PGD_CALL_DONE;
    return c->streaming ? PGD_CALL_STREAMING : PGD_CALL_PREPARING;
}

void *pgd_call_user(const pgd_call *c) {
    return c->user;
}

int pgd_call_http_status(const pgd_call *c) {
    return c->http;
}

const char *pgd_call_content_type(const pgd_call *c) {
    return c->content_type;
}

pgd_sv pgd_call_headers(const pgd_call *c) {
    return pgd_buf_sv(&c->headers);
}

pgd_buf *pgd_call_output(pgd_call *c) {
    if (!c->backlog) return &c->out;
    /* The reader takes what is there, so that tokens that waited in their log can come: at once
     * when the buffer is empty already, else when the loop reports this call again. */
    if (c->out.n < API_COALESCE_BYTES) {
        c->backlog = false;
        (void)api_call_pump(c, 0, c->g.n_choices);
    }
    api_call_changed(c);
    c->loop->wake(c->loop->ctx);
    return &c->out;
}

bool pgd_call_tick(pgd_call *c) {
    if (c->phase == API_ENDED) return false;
    const uint64_t now = pgd_clock_now(&c->api->clock);
    if (c->deadline_ns && now >= c->deadline_ns) {
        /* a worker may be writing the call now: it stops early, and the answer follows */
        atomic_store_explicit(&c->give_up, API_EXPIRED, memory_order_relaxed);
        if (c->with_worker) return false;
        expire(c);
        return true;
    }
    if (c->phase == API_RUN) {
        api_call_submit(c);
        if (c->phase == API_ENDED) return true;
    }
    const uint64_t every = c->api->opt.keep_alive_ns;
    if (c->phase != API_RUN || !c->g.stream || !every) return false;
    if (now - (c->last_out_ns ? c->last_out_ns : c->begin_ns) < every) return false;
    api_call_start_stream(c);
    c->mark = c->out.n;
    c->wire->keep_alive(c);
    api_call_event_done(c);
    return true;
}

void pgd_call_abort(pgd_call *c) {
    if (c->detached) return;
    atomic_store_explicit(&c->give_up, API_GONE, memory_order_relaxed);
    if (c->phase == API_ENDED) return;
    pgd_metric_add(c->phase == API_PREP ? c->api->m.gone_prep
                   : was_scheduled(c)   ? c->api->m.gone_running
                                        : c->api->m.gone_queued,
                   1);
    if (c->phase == API_RUN) api_call_cancel(c, PGD_CANCEL_CLIENT);
    if (!c->http) c->http = 499; /* for logs; nobody reads it */
    api_call_end(c);
}

void api_call_collect(pgd_call *c) {
    if (!c->released || c->phase != API_ENDED || c->with_worker || c->n_inside || c->resetting)
        return;
    unlink_changed(c);
    api_gen *const g = &c->g;
    for (uint32_t i = 0; g->choices && i < g->n_choices; i++)
        api_choice_fini(&g->choices[i]);
    for (uint32_t i = 0; g->requests && i < g->n_requests; i++) {
        pgd_ids_fini(&g->requests[i].prompt);
        pgd_buf_fini(&g->requests[i].echo);
        pgd_free(g->requests[i].logs);
    }
    pgd_grammar_release(&g->grammar);
    pgd_free(g->choices);
    pgd_free(g->requests);
    pgd_buf_fini(&g->prefix);
    api_items_fini(&c->items);
    api_response_destroy(&c->response);
    pgd_buf_fini(&c->body);
    pgd_buf_fini(&c->tenant);
    pgd_buf_fini(&c->headers);
    pgd_buf_fini(&c->out);
    pgd_arena_destroy(&c->arena);
    pgd_free(c);
}

void pgd_call_release(pgd_call **c) {
    if (!c || !*c) return;
    pgd_call *const call = *c;
    *c = NULL;
    if (call->phase != API_ENDED) pgd_call_abort(call);
    call->released = true;
    unlink_changed(call);
    api_call_collect(call);
}
