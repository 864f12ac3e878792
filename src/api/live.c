/* Calls that are under way, by the names under which a client may cancel them: the request id and
 * the id of the answer; and the operator's list of them.
 *
 * A call belongs to its loop, so a cancel from elsewhere only marks it and wakes that loop, which
 * looks for marks at its next drain. The lock guards the list and the ids in it (a worker may
 * rename a request); a call is in the list from its begin to its end, so that a pointer found under
 * the lock is alive, and one of the own loop stays so afterwards. Thread: any. */
#include <string.h>

#include "call.h"
#include "pagoda/jsonw.h"
#include "pagoda/log.h"

void api_live_add(pgd_call *c) {
    pgd_api *const a = c->api;
    pthread_mutex_lock(&a->live_lock);
    c->live_next = a->live;
    if (c->live_next) c->live_next->live_prev = c;
    a->live = c;
    c->is_live = true;
    pthread_mutex_unlock(&a->live_lock);
}

void api_live_remove(pgd_call *c) {
    if (!c->is_live) return;
    pgd_api *const a = c->api;
    pthread_mutex_lock(&a->live_lock);
    *(c->live_prev ? &c->live_prev->live_next : &a->live) = c->live_next;
    if (c->live_next) c->live_next->live_prev = c->live_prev;
    c->live_prev = c->live_next = NULL;
    c->is_live = false;
    pthread_mutex_unlock(&a->live_lock);
}

bool api_live_rename(pgd_call *c, pgd_sv wanted) {
    pthread_mutex_lock(&c->api->live_lock);
    const bool taken = api_take_request_id(c, wanted);
    pthread_mutex_unlock(&c->api->live_lock);
    return taken;
}

uint32_t pgd_api_cancel(pgd_api *api, pgd_sv id, const pgd_sv *tenant) {
    uint32_t n = 0;
    if (!id.n) return 0;
    pthread_mutex_lock(&api->live_lock);
    for (pgd_call *c = api->live; c; c = c->live_next) {
        if (!pgd_sv_eq(id, pgd_sv_c(c->request_id)) && !pgd_sv_eq(id, pgd_sv_c(c->id))) continue;
        if (tenant && !pgd_sv_eq(*tenant, pgd_buf_sv(&c->tenant))) continue;
        n++;
        c->cancel_asked = true;
        atomic_store_explicit(&c->loop->cancels, 1, memory_order_release);
        c->loop->wake(c->loop->ctx);
    }
    pthread_mutex_unlock(&api->live_lock);
    return n;
}

/* A marked call of the loop that no worker holds; its mark is taken. */
static pgd_call *take_marked(pgd_api_loop *l) {
    pgd_api *const a = l->api;
    pthread_mutex_lock(&a->live_lock);
    pgd_call *c = a->live;
    while (c && !(c->loop == l && c->cancel_asked && c->phase == API_RUN))
        c = c->live_next;
    if (c) c->cancel_asked = false;
    pthread_mutex_unlock(&a->live_lock);
    return c;
}

static void cancel(pgd_call *c) {
    api_error e = {0};
    (void)api_fail(&e, PGD_E_CANCELLED, "request_cancelled", NULL, "The request was cancelled.");
    api_call_fail(c, &e);
}

bool api_live_check(pgd_call *c) {
    pthread_mutex_lock(&c->api->live_lock);
    const bool asked = c->cancel_asked;
    c->cancel_asked = false;
    pthread_mutex_unlock(&c->api->live_lock);
    if (asked) cancel(c);
    return asked;
}

void api_live_drain(pgd_api_loop *l) {
    if (!atomic_exchange_explicit(&l->cancels, 0, memory_order_acquire)) return;
    for (pgd_call *c; (c = take_marked(l)) != NULL;) {
        cancel(c);
        api_call_changed(c);
        api_call_collect(c); /* of a detached one that may have been all */
    }
}

/* ---- without their clients ---- */

void api_live_detach(pgd_call *c) {
    pthread_mutex_lock(&c->api->live_lock);
    c->detached = true;
    pthread_mutex_unlock(&c->api->live_lock);
}

bool api_live_see(pgd_api *a, pgd_sv id, pgd_sv tenant, void (*see)(const pgd_call *c, void *ctx),
                  void *ctx) {
    pthread_mutex_lock(&a->live_lock);
    const pgd_call *c = a->live;
    while (c && !(c->detached && pgd_sv_eq(id, pgd_sv_c(c->id)) &&
                  pgd_sv_eq(tenant, pgd_buf_sv(&c->tenant))))
        c = c->live_next;
    if (c && see) see(c, ctx);
    pthread_mutex_unlock(&a->live_lock);
    return c != NULL;
}

void api_live_prepared(pgd_call *c) {
    pthread_mutex_lock(&c->api->live_lock);
    c->is_prepared = true;
    pthread_mutex_unlock(&c->api->live_lock);
}

/* ---- the routes ---- */

void api_answer_cancel(pgd_call *c, pgd_sv id, const pgd_sv *tenant) {
    char quoted[API_QUOTE_BYTES];
    const uint32_t n = pgd_api_cancel(c->api, id, tenant);
    if (!tenant)
        pgd_log(PGD_LOG_INFO, "api", "operator cancels id='%s' found=%u request_id=%s",
                api_quote(quoted, id), n, c->request_id);
    if (!n) {
        api_error e = {0};
        (void)api_fail(&e, PGD_E_NOT_FOUND, "request_not_found", "id",
                       "No request with id '%s' is under way.", api_quote(quoted, id));
        api_call_fail(c, &e);
        return;
    }
    pgd_jsonw w;
    pgd_jsonw_init(&w, &c->out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "id");
    pgd_jsonw_str(&w, id);
    pgd_jsonw_key(&w, "object");
    pgd_jsonw_cstr(&w, "request.cancelled");
    pgd_jsonw_key(&w, "cancelled");
    pgd_jsonw_bool(&w, true);
    pgd_jsonw_end_obj(&w);
    api_answer_json(c, 200);
}

typedef struct live_counts {
    uint64_t n_prompt, n_out;
    bool scheduled;
} live_counts;

/* What the engine has done for a prepared call so far: its logs grow meanwhile, and each number is
 * true by itself. */
static live_counts count_tokens(const pgd_call *c) {
    live_counts n = {0};
    for (uint32_t i = 0; i < c->g.n_requests; i++) {
        const pgd_request *const r = &c->g.requests[i].r;
        n.n_prompt += r->n_prompt;
        n.scheduled |= atomic_load_explicit(&r->scheduled_ns, memory_order_relaxed) != 0;
        for (uint32_t k = 0; r->out && k < r->n_choices; k++)
            n.n_out += atomic_load_explicit(&r->out[k].len, memory_order_relaxed);
    }
    return n;
}

static void write_one(pgd_jsonw *w, const pgd_call *c, uint64_t now) {
    const live_counts n = c->is_prepared ? count_tokens(c) : (live_counts){0};
    pgd_jsonw_obj(w);
    pgd_jsonw_key(w, "id");
    pgd_jsonw_cstr(w, c->request_id);
    pgd_jsonw_key(w, "answer_id");
    pgd_jsonw_cstr(w, c->id);
    pgd_jsonw_key(w, "route");
    pgd_jsonw_cstr(w, api_route_name(c->route));
    pgd_jsonw_key(w, "tenant");
    pgd_jsonw_str(w, pgd_buf_sv(&c->tenant));
    pgd_jsonw_key(w, "state");
    pgd_jsonw_cstr(w, !c->is_prepared ? "preparing" : n.scheduled ? "running" : "waiting");
    pgd_jsonw_key(w, "age_ms");
    pgd_jsonw_u64(w, now > c->begin_ns ? (now - c->begin_ns) / 1000000u : 0);
    pgd_jsonw_key(w, "prompt_tokens"); /* not known before */
    if (c->is_prepared)
        pgd_jsonw_u64(w, n.n_prompt);
    else
        pgd_jsonw_null(w);
    pgd_jsonw_key(w, "output_tokens");
    pgd_jsonw_u64(w, n.n_out);
    pgd_jsonw_end_obj(w);
}

void api_live_write(pgd_api *a, pgd_buf *out) {
    const uint64_t now = pgd_clock_now(&a->clock);
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "object");
    pgd_jsonw_cstr(&w, "list");
    pgd_jsonw_key(&w, "data");
    pgd_jsonw_arr(&w);
    pthread_mutex_lock(&a->live_lock);
    const pgd_call *c = a->live;
    while (c && c->live_next)
        c = c->live_next;
    for (; c; c = c->live_prev)
        write_one(&w, c, now);
    pthread_mutex_unlock(&a->live_lock);
    pgd_jsonw_end_arr(&w);
    pgd_jsonw_end_obj(&w);
}
