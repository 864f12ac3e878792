/* The operator's routes: what is under way, of all tenants; cancelling anybody's; and the reset of
 * the prefix cache, which the engine answers. */
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
#define LONG "{\"model\":\"small\",\"prompt\":\"" TEN TEN TEN TEN TEN "\",\"max_tokens\":2}"
#define TEN "a b c d e "

static pgd_call *begin(rig *r, const char *tenant, const char *id, const char *body) {
    const pgd_api_request rq = {
        .route = PGD_ROUTE_CHAT, .tenant = pgd_sv_c(tenant), .request_id = pgd_sv_c(id)};
    return rig_begin_as(r, &rq, body);
}

static void drop(rig *r, pgd_call *c) {
    rig_reply p;
    (void)pgd_api_cancel(r->api, pgd_sv_c(c->request_id), NULL);
    rig_finish(r, c, &p);
    rig_reply_fini(&p);
}

static void calls_of_all_tenants_are_listed_oldest_first(void **state) {
    (void)state;
    rig r;
    rig_reply p;
    rig_open(&r, &(rig_options){.max_seqs = 1});
    pgd_call *c[3];
    c[0] = begin(&r, "one", "job-1", CHAT(",\"max_tokens\":100"));
    rig_wait_prepared(&r, c[0]);
    while (atomic_load(&c[0]->g.requests[0].r.out[0].len) < 5)
        rig_turn(&r);
    c[1] = begin(&r, "two", "job-2", CHAT(",\"max_tokens\":100"));
    rig_wait_prepared(&r, c[1]);
    rig_turn(&r);
    r.hold_engine = true;
    c[2] = begin(&r, "", "job-3", CHAT("")); /* with a worker until the next drain */
    rig_post(&r, PGD_ROUTE_REQUESTS, NULL, &p);
    assert_int_equal(p.status, 200);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    const pgd_json *const v = pgd_json_root(doc);
    assert_int_equal(pgd_json_count(test_at(v, "data")), 3);
    test_str_is(v, "data.0.id", "job-1");
    test_str_is(v, "data.0.answer_id", c[0]->id);
    test_str_is(v, "data.0.tenant", "one");
    test_str_is(v, "data.0.route", "chat");
    test_str_is(v, "data.0.state", "running");
    test_int_is(v, "data.0.prompt_tokens", c[0]->g.requests[0].r.n_prompt);
    assert_true(test_int(v, "data.0.output_tokens") >= 5);
    assert_true(test_int(v, "data.0.age_ms") > test_int(v, "data.1.age_ms"));
    test_str_is(v, "data.1.id", "job-2");
    test_str_is(v, "data.1.state", "waiting");
    test_int_is(v, "data.1.output_tokens", 0);
    test_str_is(v, "data.2.id", "job-3");
    test_str_is(v, "data.2.state", "preparing");
    assert_true(pgd_json_is_null(test_at(v, "data.2.prompt_tokens")));
    pgd_json_free(&doc);
    rig_reply_fini(&p);
    r.hold_engine = false;
    for (int i = 0; i < 3; i++)
        drop(&r, c[i]);
    rig_post(&r, PGD_ROUTE_REQUESTS, NULL, &p);
    assert_string_equal(p.body.p, "{\"object\":\"list\",\"data\":[]}");
    rig_reply_fini(&p);
    rig_close(&r);
}

static void anybodys_call_can_be_cancelled(void **state) {
    (void)state;
    rig r;
    rig_reply p;
    rig_open(&r, &(rig_options){0});
    pgd_call *const c = begin(&r, "one", "job-1", CHAT(""));
    rig_wait_prepared(&r, c);
    const pgd_api_request own = {
        .route = PGD_ROUTE_CANCEL, .tenant = PGD_SV("two"), .arg = PGD_SV("job-1")};
    rig_finish(&r, rig_begin_as(&r, &own, NULL), &p);
    assert_int_equal(p.status, 404);
    rig_reply_fini(&p);
    const pgd_api_request any = {.route = PGD_ROUTE_CANCEL_ANY, .arg = PGD_SV("job-1")};
    rig_finish(&r, rig_begin_as(&r, &any, NULL), &p);
    assert_int_equal(p.status, 200);
    rig_reply_fini(&p);
    rig_finish(&r, c, &p);
    assert_int_equal(p.status, 499);
    rig_reply_fini(&p);
    rig_finish(&r, rig_begin_as(&r, &any, NULL), &p);
    assert_int_equal(p.status, 404);
    assert_non_null(strstr(p.body.p, "request_not_found"));
    rig_reply_fini(&p);
    rig_close(&r);
}

/* Ask for a reset; returns the pages freed. */
static int64_t reset(rig *r) {
    rig_reply p;
    rig_post(r, PGD_ROUTE_RESET_CACHE, NULL, &p);
    assert_int_equal(p.status, 200);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    test_str_is(pgd_json_root(doc), "object", "prefix_cache.reset");
    test_int_is(pgd_json_root(doc), "pages_kept", 0);
    const int64_t n = test_int(pgd_json_root(doc), "pages_freed");
    pgd_json_free(&doc);
    rig_reply_fini(&p);
    return n;
}

static bool is_cached(rig *r) {
    rig_reply p;
    rig_post(r, PGD_ROUTE_COMPLETIONS, LONG, &p);
    assert_int_equal(p.status, 200);
    const bool cached = strstr(p.body.p, "\"cached_tokens\":0") == NULL;
    rig_reply_fini(&p);
    rig_settle(r);
    return cached;
}

static void after_a_reset_nothing_is_cached(void **state) {
    (void)state;
    for (int threaded = 0; threaded < 2; threaded++) {
        rig r;
        rig_open(&r, &(rig_options){.threaded = threaded});
        assert_false(is_cached(&r));
        assert_true(is_cached(&r));
        assert_true(reset(&r) > 0);
        assert_int_equal(reset(&r), 0);
        assert_false(is_cached(&r));
        assert_true(is_cached(&r));
        rig_close(&r);
    }
}

static void without_a_model_there_is_nothing_to_reset(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.not_attached = true});
    rig_expect_error(&r, PGD_ROUTE_RESET_CACHE, "", 503, "", "model_loading");
    rig_close(&r);
}

static void a_reset_outlives_the_client_that_asked(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.deadline_ns = 5000000});
    assert_false(is_cached(&r));
    r.hold_engine = true;
    pgd_call *gone = rig_begin(&r, PGD_ROUTE_RESET_CACHE, NULL);
    assert_int_equal(pgd_call_get_state(gone), PGD_CALL_PREPARING);
    pgd_call_release(&gone);
    pgd_call *late = rig_begin(&r, PGD_ROUTE_RESET_CACHE, NULL);
    pgd_call *waiting = rig_begin(&r, PGD_ROUTE_RESET_CACHE, NULL);
    waiting->deadline_ns = 0;
    for (int i = 0; i < 10; i++)
        rig_turn(&r);
    assert_true(pgd_call_tick(late)); /* its deadline is over */
    assert_int_equal(pgd_call_http_status(late), 504);
    r.hold_engine = false;
    rig_reply p;
    rig_finish(&r, waiting, &p);
    assert_int_equal(p.status, 200);
    assert_null(strstr(p.body.p, "\"pages_freed\":0"));
    rig_reply_fini(&p);
    pgd_call_release(&late);
    assert_false(is_cached(&r));
    rig_close(&r);
}

typedef struct watcher {
    rig *r;
    _Atomic uint32_t stop, n;
} watcher;

static void *watch(void *arg) {
    watcher *const w = arg;
    pgd_buf out = {0};
    while (!atomic_load(&w->stop)) {
        pgd_buf_clear(&out);
        api_live_write(w->r->api, &out);
        atomic_fetch_add(&w->n, strstr(out.p, "\"id\":\"") != NULL);
    }
    pgd_buf_fini(&out);
    return NULL;
}

static void another_loop_may_look_at_any_time(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.threaded = true});
    watcher w = {.r = &r};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, watch, &w), 0);
    for (int i = 0; i < 100 || (!atomic_load(&w.n) && i < 5000); i++) {
        rig_reply p;
        pgd_call *const c = begin(&r, "t", "job", CHAT(",\"max_tokens\":3,\"request_id\":\"x\""));
        rig_finish(&r, c, &p);
        assert_int_equal(p.status, 200);
        rig_reply_fini(&p);
    }
    atomic_store(&w.stop, 1);
    pthread_join(t, NULL);
    assert_true(atomic_load(&w.n) > 0);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_all_tenants_are_listed_oldest_first),
        cmocka_unit_test(anybodys_call_can_be_cancelled),
        cmocka_unit_test(after_a_reset_nothing_is_cached),
        cmocka_unit_test(without_a_model_there_is_nothing_to_reset),
        cmocka_unit_test(a_reset_outlives_the_client_that_asked),
        cmocka_unit_test(another_loop_may_look_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
