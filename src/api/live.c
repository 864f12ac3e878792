/* Calls that are under way, by the names under which a client may cancel them: the request id and
 * the id of the answer.
 *
 * A call belongs to its loop, so a cancel from elsewhere only marks it and wakes that loop, which
 * looks for marks at its next drain. The lock guards the list and the ids in it (a worker may
 * rename a request); a call is in the list from its begin to its end, so that a pointer found under
 * the lock is alive, and one of the own loop stays so afterwards. Thread: any. */
#include <string.h>

#include "call.h"
#include "pagoda/jsonw.h"

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
    }
}

/* ---- the route ---- */

void api_answer_cancel(pgd_call *c, pgd_sv id) {
    const pgd_sv tenant = pgd_buf_sv(&c->tenant);
    if (!pgd_api_cancel(c->api, id, &tenant)) {
        api_error e = {0};
        char quoted[API_QUOTE_BYTES];
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
