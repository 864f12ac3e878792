/* Cancelling by id: in every phase, by either id, only by the tenant whose call it is, and from any
 * thread. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/call.h"
#include "rig.h"

#define CHAT(extra)                                                                                \
    "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"                  \
    "\"ignore_eos\":true" extra "}"

static pgd_call *begin(rig *r, pgd_route route, const char *tenant, const char *body) {
    const pgd_api_request rq = {
        .route = route, .tenant = pgd_sv_c(tenant), .request_id = PGD_SV("mine-1")};
    return rig_begin_as(r, &rq, body);
}

static int cancel(rig *r, pgd_route route, const char *tenant, const char *id, rig_reply *out) {
    const pgd_api_request rq = {.route = route, .tenant = pgd_sv_c(tenant), .arg = pgd_sv_c(id)};
    rig_finish(r, rig_begin_as(r, &rq, ""), out);
    return out->status;
}

static void expect(rig *r, pgd_route route, const char *tenant, const char *id, int status) {
    rig_reply p;
    if (cancel(r, route, tenant, id, &p) != status)
        fail_msg("%s: status %d, want %d: %s", id, p.status, status, p.body.p);
    rig_reply_fini(&p);
}

static void turns(rig *r, int n) {
    while (n--)
        rig_turn(r);
}

static void a_running_call_ends_and_frees_what_it_held(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    for (int by_answer = 0; by_answer < 2; by_answer++) {
        pgd_call *const c = begin(&r, PGD_ROUTE_CHAT, "t", CHAT(""));
        rig_wait_prepared(&r, c);
        turns(&r, 4);
        assert_int_equal(pgd_call_get_state(c), PGD_CALL_PREPARING);
        expect(&r, PGD_ROUTE_CANCEL, "other", "mine-1", 404);
        expect(&r, PGD_ROUTE_CANCEL, "t", "mine-2", 404);
        turns(&r, 2);
        assert_int_equal(pgd_call_get_state(c), PGD_CALL_PREPARING);
        expect(&r, PGD_ROUTE_CANCEL, "t", by_answer ? c->id : "mine-1", 200);
        rig_reply p;
        rig_finish(&r, c, &p);
        assert_int_equal(p.status, 499);
        assert_non_null(strstr(p.body.p, "\"code\":\"request_cancelled\""));
        rig_reply_fini(&p);
        rig_settle(&r);
        expect(&r, PGD_ROUTE_CANCEL, "t", "mine-1", 404);
    }
    rig_close(&r);
}

static void a_stream_ends_with_an_error_event(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    pgd_call *const c = begin(&r, PGD_ROUTE_CHAT, "", CHAT(",\"stream\":true"));
    rig_wait_prepared(&r, c);
    while (pgd_call_get_state(c) == PGD_CALL_PREPARING)
        rig_turn(&r);
    const pgd_sv id = PGD_SV("mine-1");
    assert_int_equal(pgd_api_cancel(r.api, id, NULL), 1);
    rig_reply p;
    rig_finish(&r, c, &p);
    assert_int_equal(p.status, 200);
    assert_non_null(strstr(p.body.p, "\"code\":\"request_cancelled\""));
    assert_true(pgd_sv_ends(pgd_buf_sv(&p.body), PGD_SV("data: [DONE]\n\n")));
    rig_reply_fini(&p);
    rig_close(&r);
}

static void a_call_that_waits_or_is_prepared_ends_too(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_seqs = 1});
    r.hold_engine = true;
    pgd_call *const c = begin(&r, PGD_ROUTE_CHAT, "", CHAT(""));
    assert_int_equal(pgd_api_cancel(r.api, PGD_SV("mine-1"), NULL), 1); /* a worker has it */
    rig_reply p;
    rig_finish(&r, c, &p);
    assert_int_equal(p.status, 499);
    rig_reply_fini(&p);
    pgd_call *const queued = begin(&r, PGD_ROUTE_CHAT, "", CHAT(""));
    rig_wait_prepared(&r, queued);
    assert_int_equal(pgd_api_cancel(r.api, PGD_SV("mine-1"), NULL), 1);
    rig_finish(&r, queued, &p);
    assert_int_equal(p.status, 499);
    rig_reply_fini(&p);
    rig_close(&r);
}

static void the_name_in_a_body_counts(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    pgd_call *const c = rig_begin(&r, PGD_ROUTE_CHAT, CHAT(",\"request_id\":\"from-body\""));
    rig_wait_prepared(&r, c);
    expect(&r, PGD_ROUTE_CANCEL, "", "from-body", 200);
    rig_reply p;
    rig_finish(&r, c, &p);
    assert_int_equal(p.status, 499);
    rig_reply_fini(&p);
    rig_close(&r);
}

static void a_cancelled_response_can_be_read(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    for (int stream = 0; stream < 2; stream++) {
        pgd_call *const c = begin(
            &r, PGD_ROUTE_RESPONSES, "t",
            stream ? "{\"model\":\"small\",\"input\":\"q\",\"ignore_eos\":true,\"stream\":true}"
                   : "{\"model\":\"small\",\"input\":\"q\",\"ignore_eos\":true}");
        char id[API_ID_BYTES];
        (void)snprintf(id, sizeof id, "%s", c->id);
        rig_wait_prepared(&r, c);
        turns(&r, 6);
        expect(&r, PGD_ROUTE_RESPONSE_CANCEL, "other", id, 404);
        expect(&r, PGD_ROUTE_RESPONSE_CANCEL, "t", id, 200);
        rig_reply p;
        rig_finish(&r, c, &p);
        assert_int_equal(p.status, stream ? 200 : 499);
        if (stream) assert_non_null(strstr(p.body.p, "event: response.failed\n"));
        rig_reply_fini(&p);
        assert_int_equal(cancel(&r, PGD_ROUTE_RESPONSE, "t", id, &p), 200);
        assert_non_null(strstr(p.body.p, "\"status\":\"cancelled\""));
        rig_reply_fini(&p);
        expect(&r, PGD_ROUTE_RESPONSE_CANCEL, "t", id, 200); /* again: as it is */
    }
    expect(&r, PGD_ROUTE_RESPONSE_CANCEL, "t", "resp_none", 404);
    rig_close(&r);
}

typedef struct canceller {
    pgd_api *api;
    _Atomic uint32_t stop, n;
} canceller;

static void *cancel_all_the_time(void *arg) {
    canceller *const x = arg;
    while (!atomic_load(&x->stop))
        (void)atomic_fetch_add(&x->n, pgd_api_cancel(x->api, PGD_SV("mine-1"), NULL));
    return NULL;
}

static void another_thread_may_cancel_at_any_time(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    canceller x = {.api = r.api};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, cancel_all_the_time, &x), 0);
    int n_cancelled = 0;
    for (int i = 0; i < 200 || (!n_cancelled && i < 5000); i++) {
        const char *const body = i % 2 ? CHAT(",\"max_tokens\":3,\"request_id\":\"x\"")
                                       : CHAT(",\"max_tokens\":3,\"stream\":true");
        rig_reply p;
        rig_finish(&r, begin(&r, PGD_ROUTE_CHAT, "", body), &p);
        n_cancelled += p.status == 499;
        rig_reply_fini(&p);
    }
    atomic_store(&x.stop, 1);
    pthread_join(t, NULL);
    assert_true(n_cancelled > 0);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_call_ends_and_frees_what_it_held),
        cmocka_unit_test(a_stream_ends_with_an_error_event),
        cmocka_unit_test(a_call_that_waits_or_is_prepared_ends_too),
        cmocka_unit_test(the_name_in_a_body_counts),
        cmocka_unit_test(a_cancelled_response_can_be_read),
        cmocka_unit_test(another_thread_may_cancel_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
