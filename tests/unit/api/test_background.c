/* Responses in the background: read while they go on, cancelled, left by their clients, bounded
 * like all other work, and refused where nobody could read them later. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/call.h"
#include "pagoda/mem.h"
#include "rig.h"

#define BEHIND(extra)                                                                              \
    "{\"model\":\"small\",\"input\":\"hi\",\"seed\":3,\"ignore_eos\":true,\"background\":"         \
    "true" extra "}"

/* The status of a response, "" where the answer is an error. */
static void expect_status(rig *r, const char *tenant, const char *id, const char *status) {
    rig_reply p;
    char want[64];
    (void)rig_ask(r, PGD_ROUTE_RESPONSE, tenant, id, "", false, &p);
    (void)snprintf(want, sizeof want, "\"status\":\"%s\"", status);
    if (!strstr(p.body.p, *status ? want : "\"error\":{"))
        fail_msg("'%s' is not the status of %s", status, p.body.p);
    rig_reply_fini(&p);
}

static void begin_behind(rig *r, const char *tenant, const char *body, char id[64]) {
    rig_reply p;
    rig_respond(r, tenant, body, &p, id);
    if (p.status != 200) fail_msg("%s", p.body.p);
    assert_non_null(strstr(p.body.p, "\"status\":\"queued\""));
    assert_non_null(strstr(p.body.p, "\"background\":true"));
    rig_reply_fini(&p);
}

static void a_response_in_the_background_can_be_watched(void **state) {
    (void)state;
    rig r;
    rig_reply p, plain;
    char id[64], other[64], body[256];
    rig_open(&r, &(rig_options){0});
    r.hold_engine = true;
    begin_behind(&r, "t", BEHIND(",\"max_output_tokens\":8"), id);
    assert_int_equal(pgd_api_active(r.api), 1);
    expect_status(&r, "t", id, "queued");
    expect_status(&r, "other", id, "");
    assert_int_equal(rig_ask(&r, PGD_ROUTE_INPUT_ITEMS, "t", id, "", false, &p), 200);
    assert_non_null(strstr(p.body.p, "\"text\":\"hi\""));
    rig_reply_fini(&p);
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "t", id, "", true, &p), 400);
    rig_reply_fini(&p);
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"small\",\"input\":\"x\",\"previous_response_id\":\"%s\"}", id);
    rig_respond(&r, "t", body, &p, other);
    assert_int_equal(p.status, 400);
    assert_non_null(strstr(p.body.p, "\"code\":\"response_in_progress\""));
    rig_reply_fini(&p);
    r.hold_engine = false;
    for (int i = 0; i < 4; i++)
        rig_turn(&r);
    expect_status(&r, "t", id, "in_progress");
    rig_settle(&r);
    assert_int_equal(pgd_api_active(r.api), 0);
    /* the same as in front, but for what differs by itself */
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "t", id, "", false, &p), 200);
    rig_respond(&r, "t",
                "{\"model\":\"small\",\"input\":\"hi\",\"seed\":3,\"ignore_eos\":true,"
                "\"max_output_tokens\":8}",
                &plain, other);
    pgd_json_doc *a = test_json(p.body.p, p.body.n), *b = test_json(plain.body.p, plain.body.n);
    const pgd_json *const got = pgd_json_root(a), *const want = pgd_json_root(b);
    test_str_is(got, "status", "incomplete");
    pgd_sv text;
    assert_true(pgd_json_as_str(test_at(want, "output.0.content.0.text"), &text) && text.n > 0);
    test_str_is(got, "output.0.content.0.text", text.p);
    assert_int_equal(test_int(got, "usage.output_tokens"), 8);
    pgd_json_free(&a);
    pgd_json_free(&b);
    rig_reply_fini(&p);
    rig_reply_fini(&plain);
    assert_int_equal(rig_ask(&r, PGD_ROUTE_INPUT_ITEMS, "t", id, "", false, &p), 200);
    rig_reply_fini(&p);
    rig_respond(&r, "t", body, &p, other); /* and it can be gone on from */
    assert_int_equal(p.status, 200);
    rig_reply_fini(&p);
    rig_close(&r);
}

static void cancelling_ends_what_runs_in_the_background(void **state) {
    (void)state;
    rig r;
    rig_reply p;
    char id[64];
    rig_open(&r, &(rig_options){0});
    for (int queued = 0; queued < 2; queued++) {
        r.hold_engine = queued;
        begin_behind(&r, "t", BEHIND(""), id);
        for (int i = 0; i < 6; i++)
            rig_turn(&r);
        assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE_CANCEL, "other", id, "", false, &p), 404);
        rig_reply_fini(&p);
        expect_status(&r, "t", id, queued ? "queued" : "in_progress");
        assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE_CANCEL, "t", id, "", false, &p), 200);
        assert_non_null(strstr(p.body.p, "\"status\":\"cancelled\""));
        assert_non_null(strstr(p.body.p, "\"background\":true"));
        rig_reply_fini(&p);
        rig_turn(&r);
        expect_status(&r, "t", id, "cancelled");
        assert_int_equal(pgd_api_active(r.api), 0);
        assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE_CANCEL, "t", id, "", false, &p), 200);
        rig_reply_fini(&p);
        assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "t", id, "", true, &p), 200);
        rig_reply_fini(&p);
    }
    rig_close(&r);
}

/* What nobody was told of ends with its client, what somebody was told of does not. */
static void a_client_may_leave_what_runs_in_the_background(void **state) {
    (void)state;
    rig r;
    char id[64];
    rig_open(&r, &(rig_options){0});
    const pgd_api_request rq = {.route = PGD_ROUTE_RESPONSES};
    pgd_call *c = rig_begin_as(&r, &rq, BEHIND(",\"max_output_tokens\":8"));
    rig_wait(&r, c);
    (void)snprintf(id, sizeof id, "%s", c->id);
    pgd_call_abort(c);
    pgd_call_release(&c);
    rig_settle(&r);
    expect_status(&r, "", id, "incomplete");
    c = rig_begin_as(&r, &rq, BEHIND(""));
    (void)snprintf(id, sizeof id, "%s", c->id);
    pgd_call_release(&c);
    rig_settle(&r);
    expect_status(&r, "", id, "");
    /* a transport that is slow to take the answer finds it as it was, whatever came meanwhile */
    c = rig_begin_as(&r, &rq, BEHIND(",\"max_output_tokens\":8"));
    rig_wait_prepared(&r, c);
    rig_settle(&r);
    rig_reply p;
    rig_finish(&r, c, &p);
    assert_non_null(strstr(p.body.p, "\"status\":\"queued\""));
    rig_reply_fini(&p);
    rig_close(&r);
}

static void work_in_the_background_counts_and_is_bounded(void **state) {
    (void)state;
    rig r;
    rig_reply p;
    char id[64];
    rig_open(&r, &(rig_options){.max_queued = 1, .deadline_ns = 20000000});
    begin_behind(&r, "", BEHIND(""), id);
    rig_expect_error(&r, PGD_ROUTE_RESPONSES, "{\"model\":\"small\",\"input\":\"hi\"}", 503, NULL,
                     "server_overloaded");
    rig_settle(&r); /* the deadline ends it */
    assert_int_equal(rig_ask(&r, PGD_ROUTE_RESPONSE, "", id, "", false, &p), 200);
    assert_non_null(strstr(p.body.p, "\"status\":\"failed\""));
    assert_non_null(strstr(p.body.p, "\"code\":\"timeout\""));
    rig_reply_fini(&p);
    rig_close(&r);
    rig_open(&r, &(rig_options){.fail_at_step = 3});
    begin_behind(&r, "", BEHIND(""), id);
    rig_settle(&r);
    expect_status(&r, "", id, "failed");
    rig_close(&r);
}

static void ignore_change(pgd_call *call, void *ctx) {
    (void)call;
    (void)ctx;
}

/* A drain with its n-th allocation failing, unless one has failed already. */
static void drain_without(rig *r, int64_t n, bool *fired) {
    if (!*fired) (void)pgd_mem_fail_after(n);
    pgd_api_loop_drain(r->loop, ignore_change, NULL);
    *fired = pgd_mem_fail_after(-1) || *fired;
}

static bool run_without(rig *r, int64_t n) {
    bool fired = false;
    pgd_call *c = rig_begin(r, PGD_ROUTE_RESPONSES, BEHIND(",\"max_output_tokens\":8"));
    pgd_api_loop_wait(r->loop);
    drain_without(r, n, &fired);
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    assert_true(pgd_call_http_status(c) == 200 || (fired && pgd_call_http_status(c) == 503));
    pgd_call_release(&c);
    for (int i = 0; i < 100 && pgd_api_active(r->api); i++) {
        (void)pgd_engine_step(r->engine); /* its own allocations are not the subject here */
        drain_without(r, n, &fired);
    }
    assert_int_equal(pgd_api_active(r->api), 0);
    rig_settle(r);
    return fired;
}

static void a_failed_allocation_ends_the_work_and_leaves_nothing(void **state) {
    (void)state;
    rig r;
    int64_t n = 0;
    char id[64];
    rig_open(&r, &(rig_options){0});
    while (run_without(&r, n))
        n++;
    print_message("%d allocations a drain at most\n", (int)n);
    assert_true(n > 2);
    begin_behind(&r, "", BEHIND(",\"max_output_tokens\":8"), id);
    rig_settle(&r);
    expect_status(&r, "", id, "incomplete");
    rig_close(&r);
}

static void what_could_not_be_read_later_is_refused(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    rig_expect_error(&r, PGD_ROUTE_RESPONSES, BEHIND(",\"store\":false"), 400, "background",
                     "invalid_value");
    rig_expect_error(&r, PGD_ROUTE_RESPONSES, BEHIND(",\"stream\":true"), 400, "stream",
                     "unsupported_value");
    rig_expect_error(&r, PGD_ROUTE_RESPONSES,
                     "{\"model\":\"small\",\"input\":\"hi\",\"background\":1}", 400, "background",
                     "invalid_type");
    rig_close(&r);
    rig_open(&r, &(rig_options){.no_store = true});
    rig_expect_error(&r, PGD_ROUTE_RESPONSES, BEHIND(""), 400, "background", "invalid_value");
    rig_close(&r);
}

typedef struct watcher {
    rig *r;
    const char *id;
    uint32_t n_seen;
} watcher;

static void wake_nobody(void *ctx) {
    (void)ctx;
}

/* Another loop's thread: reads the response until it has ended. */
static void *watch(void *arg) {
    watcher *const w = arg;
    pgd_api_loop *l = NULL;
    bool ended = pgd_api_loop_create(w->r->api, wake_nobody, NULL, &l) != PGD_OK;
    while (!ended) {
        const pgd_route routes[] = {PGD_ROUTE_INPUT_ITEMS, PGD_ROUTE_RESPONSE};
        for (int i = 0; i < 2; i++) {
            pgd_buf none = {0};
            const pgd_api_request rq = {
                .route = routes[i], .tenant = PGD_SV("t"), .arg = pgd_sv_c(w->id), .body = &none};
            pgd_call *c = pgd_api_begin(l, &rq);
            if (pgd_call_http_status(c) != 200) ended = true;
            pgd_buf *const out = pgd_call_output(c);
            if (i &&
                pgd_sv_find(pgd_buf_sv(out), PGD_SV("\"incomplete_details\":{"), 0) != SIZE_MAX)
                ended = true;
            else if (i && !ended)
                w->n_seen++;
            pgd_call_release(&c);
        }
    }
    pgd_api_loop_destroy(&l);
    return NULL;
}

static void other_threads_may_watch_the_background(void **state) {
    (void)state;
    rig r;
    char id[64];
    pthread_t t;
    rig_open(&r, &(rig_options){.threaded = true});
    begin_behind(&r, "t", BEHIND(",\"max_output_tokens\":100"), id);
    watcher w = {.r = &r, .id = id};
    assert_int_equal(pthread_create(&t, NULL, watch, &w), 0);
    while (pgd_api_active(r.api))
        rig_turn(&r);
    pthread_join(t, NULL);
    expect_status(&r, "t", id, "incomplete");
    print_message("read %u times before the end\n", w.n_seen);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_in_the_background_can_be_watched),
        cmocka_unit_test(cancelling_ends_what_runs_in_the_background),
        cmocka_unit_test(a_client_may_leave_what_runs_in_the_background),
        cmocka_unit_test(work_in_the_background_counts_and_is_bounded),
        cmocka_unit_test(a_failed_allocation_ends_the_work_and_leaves_nothing),
        cmocka_unit_test(what_could_not_be_read_later_is_refused),
        cmocka_unit_test(other_threads_may_watch_the_background),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
