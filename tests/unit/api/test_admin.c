/* Models, probes, metrics, version, root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static void each_served_name_is_a_model(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    rig_reply p;
    rig_post(&r, PGD_ROUTE_MODELS, NULL, &p);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    const pgd_json *const v = pgd_json_root(doc);
    assert_int_equal(pgd_json_count(test_at(v, "data")), 2);
    test_str_is(v, "data.0.id", "small");
    test_str_is(v, "data.1.id", "org/small:alias");
    test_str_is(v, "data.1.root", "small");
    test_int_is(v, "data.0.max_model_len", 256);
    test_str_is(v, "data.0.created_at", "2023-11-14T22:13:20Z");
    pgd_json_free(&doc);
    rig_reply_fini(&p);
    const pgd_api_request one = {.route = PGD_ROUTE_MODEL, .arg = PGD_SV("org/small:alias")};
    rig_finish(&r, rig_begin_as(&r, &one, NULL), &p);
    assert_int_equal(p.status, 200);
    rig_reply_fini(&p);
    const pgd_api_request none = {.route = PGD_ROUTE_MODEL, .arg = PGD_SV("no")};
    rig_finish(&r, rig_begin_as(&r, &none, NULL), &p);
    assert_int_equal(p.status, 404);
    assert_non_null(strstr(p.body.p, "model_not_found"));
    rig_reply_fini(&p);
    rig_close(&r);
}

static void an_alias_is_answered_under_its_own_name(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    fold f;
    rig_fold(&r, PGD_ROUTE_COMPLETIONS,
             "{\"model\":\"org/small:alias\",\"prompt\":\"a\",\"max_tokens\":1}", 0, &f);
    assert_string_equal(f.model.p, "\"org/small:alias\"");
    fold_fini(&f);
    rig_close(&r);
}

static void a_name_that_ends_in_a_star_serves_all_that_begin_so(void **state) {
    (void)state;
    rig r;
    rig_reply p;
    fold f;
    rig_open(&r, &(rig_options){0});
    rig_fold(&r, PGD_ROUTE_COMPLETIONS,
             "{\"model\":\"claude-any-1\",\"prompt\":\"a\",\"max_tokens\":1}", 0, &f);
    assert_string_equal(f.model.p, "\"claude-any-1\"");
    fold_fini(&f);
    const pgd_api_request one = {.route = PGD_ROUTE_MODEL, .arg = PGD_SV("claude-x")};
    rig_finish(&r, rig_begin_as(&r, &one, NULL), &p);
    assert_int_equal(p.status, 200);
    assert_non_null(strstr(p.body.p, "\"id\":\"claude-x\",\"object\":\"model\""));
    rig_reply_fini(&p);
    rig_post(&r, PGD_ROUTE_MODELS, NULL, &p);
    assert_null(strstr(p.body.p, "claude"));
    assert_non_null(strstr(p.body.p, "\"last_id\":\"org/small:alias\""));
    rig_reply_fini(&p);
    rig_expect_error(&r, PGD_ROUTE_COMPLETIONS, "{\"model\":\"claud\",\"prompt\":\"a\"}", 404,
                     "model", "model_not_found");
    rig_close(&r);
}

static int status_of(rig *r, pgd_route route) {
    rig_reply p;
    rig_post(r, route, NULL, &p);
    const int s = p.status;
    rig_reply_fini(&p);
    return s;
}

static void probes_follow_the_state(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.not_attached = true});
    const _Atomic uint32_t progress = 425;
    pgd_api_set_progress(r.api, &progress);
    assert_int_equal(status_of(&r, PGD_ROUTE_LIVE), 200);
    assert_int_equal(status_of(&r, PGD_ROUTE_HEALTH), 503);
    rig_reply p;
    rig_post(&r, PGD_ROUTE_STARTUP, NULL, &p);
    assert_int_equal(p.status, 503);
    assert_non_null(strstr(p.body.p, "42.5%"));
    rig_reply_fini(&p);
    pgd_api_attach(r.api, &r.model);
    static const struct {
        pgd_api_state state;
        int live, ready, startup;
    } rows[] = {{PGD_API_READY, 200, 200, 200},
                {PGD_API_LEAVING, 200, 503, 200},
                {PGD_API_DRAINING, 200, 503, 200},
                {PGD_API_DEAD, 503, 503, 503}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pgd_api_set_state(r.api, rows[i].state);
        assert_int_equal(status_of(&r, PGD_ROUTE_LIVE), rows[i].live);
        assert_int_equal(status_of(&r, PGD_ROUTE_HEALTH), rows[i].ready);
        assert_int_equal(status_of(&r, PGD_ROUTE_STARTUP), rows[i].startup);
    }
    rig_close(&r);
}

static void a_drain_that_came_during_loading_stays(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.not_attached = true});
    pgd_api_set_state(r.api, PGD_API_DRAINING);
    pgd_api_attach(r.api, &r.model);
    assert_int_equal(pgd_api_get_state(r.api), PGD_API_DRAINING);
    rig_close(&r);
}

static void ready_is_not_flipped_by_load_or_by_idling(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_queued = 1});
    pgd_call *c = rig_begin(&r, PGD_ROUTE_COMPLETIONS, "{\"model\":\"small\",\"prompt\":\"a\"}");
    assert_int_equal(status_of(&r, PGD_ROUTE_HEALTH), 200);
    rig_wait(&r, c);
    pgd_call_release(&c);
    rig_settle(&r);
    atomic_fetch_add(&r.now, 3600ull * 1000000000u);
    assert_int_equal(status_of(&r, PGD_ROUTE_HEALTH), 200);
    rig_close(&r);
}

static void a_step_that_never_ends_makes_it_unready(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    pgd_call *c = rig_begin(&r, PGD_ROUTE_COMPLETIONS, "{\"model\":\"small\",\"prompt\":\"a\"}");
    rig_wait_prepared(&r, c);
    rig_turn(&r); /* a step is in flight now, and stays there */
    atomic_fetch_add(&r.now, 600ull * 1000000000u);
    rig_reply p;
    rig_post(&r, PGD_ROUTE_HEALTH, NULL, &p);
    assert_int_equal(p.status, 503);
    assert_non_null(strstr(p.body.p, "no progress"));
    rig_reply_fini(&p);
    pgd_call_release(&c);
    rig_close(&r);
}

static void metrics_version_and_root_answer(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.trace = true});
    fold f;
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, "{\"model\":\"small\",\"prompt\":\"a\",\"max_tokens\":1}",
             0, &f);
    fold_fini(&f);
    rig_reply p;
    rig_post(&r, PGD_ROUTE_METRICS, NULL, &p);
    assert_int_equal(p.status, 200);
    assert_string_equal(p.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(p.body.p, "pagoda_prepare_seconds_count"));
    assert_non_null(strstr(p.body.p, "pagoda_admission_rejected_total"));
    rig_reply_fini(&p);
    assert_int_equal(status_of(&r, PGD_ROUTE_VERSION), 200);
    assert_int_equal(status_of(&r, PGD_ROUTE_ROOT), 200);
    assert_int_equal(status_of(&r, PGD_ROUTE_N), 404);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_served_name_is_a_model),
        cmocka_unit_test(a_name_that_ends_in_a_star_serves_all_that_begin_so),
        cmocka_unit_test(an_alias_is_answered_under_its_own_name),
        cmocka_unit_test(probes_follow_the_state),
        cmocka_unit_test(a_drain_that_came_during_loading_stays),
        cmocka_unit_test(ready_is_not_flipped_by_load_or_by_idling),
        cmocka_unit_test(a_step_that_never_ends_makes_it_unready),
        cmocka_unit_test(metrics_version_and_root_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
