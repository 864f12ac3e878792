/* The life of calls over the real engine: answers, refusals by state and load, deadlines, clients
 * that leave in every phase, keep-alive, shutdown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/call.h"
#include "rig.h"

/* No end token is sampled, so that nothing ends by chance. */
#define CHAT(extra)                                                                                \
    "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"                  \
    "\"ignore_eos\":true" extra "}"
#define SECOND 1000000000ull

static double metric(rig *r, const char *line) {
    pgd_buf b = {0};
    pgd_metrics_render(r->metrics, &b);
    const char *const at = strstr(b.p, line);
    double v = -1;
    if (at) (void)sscanf(at + strlen(line), " %lf", &v);
    pgd_buf_fini(&b);
    return v;
}

static void a_chat_is_answered_with_headers_and_usage(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.mean_len = 10});
    rig_reply p;
    rig_post(&r, PGD_ROUTE_CHAT, CHAT(",\"max_tokens\":7,\"seed\":1"), &p);
    assert_int_equal(p.status, 200);
    assert_string_equal(p.content_type, "application/json");
    assert_int_equal(strncmp(rig_header(&p, "x-request-id"), "req_", 4), 0);
    assert_true(strlen(rig_header(&p, "openai-processing-ms")) > 0);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    const pgd_json *const v = pgd_json_root(doc);
    test_str_is(v, "object", "chat.completion");
    test_str_is(v, "model", "small");
    const int64_t in = test_int(v, "usage.prompt_tokens"),
                  n = test_int(v, "usage.completion_tokens");
    assert_in_range(n, 1, 7);
    test_int_is(v, "usage.total_tokens", in + n);
    (void)test_int(v, "usage.prompt_tokens_details.cached_tokens");
    pgd_json_free(&doc);
    rig_reply_fini(&p);
    rig_close(&r);
}

static void a_second_equal_prompt_reports_cached_tokens(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    static const char body[] = "{\"model\":\"small\",\"max_tokens\":2,\"prompt\":\"0123456789012345"
                               "67890123456789012345678901234567890123456789\"}";
    fold a, b;
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, body, 0, &a);
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, body, 0, &b);
    assert_non_null(strstr(a.usage.p, "\"cached_tokens\":0"));
    assert_non_null(strstr(b.usage.p, "\"cached_tokens\":48"));
    fold_fini(&a);
    fold_fini(&b);
    rig_close(&r);
}

static void other_tenants_and_salts_share_no_cache(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
#define LONG "0123456789012345678901234567890123456789"
    static const struct {
        const char *tenant, *body;
        bool cached;
    } steps[] = {
        {"a", "{\"model\":\"small\",\"max_tokens\":1,\"prompt\":\"" LONG "\"}", false},
        {"b", "{\"model\":\"small\",\"max_tokens\":1,\"prompt\":\"" LONG "\"}", false},
        {"a", "{\"model\":\"small\",\"max_tokens\":1,\"prompt\":\"" LONG "\",\"cache_salt\":\"s\"}",
         false},
        {"as", "{\"model\":\"small\",\"max_tokens\":1,\"prompt\":\"" LONG "\"}", false},
        {"a", "{\"model\":\"small\",\"max_tokens\":1,\"prompt\":\"" LONG "\"}", true},
        {"a", "{\"model\":\"small\",\"max_tokens\":1,\"prompt\":\"" LONG "\",\"cache_salt\":\"s\"}",
         true},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const pgd_api_request rq = {.route = PGD_ROUTE_COMPLETIONS,
                                    .tenant = pgd_sv_c(steps[i].tenant)};
        rig_reply p;
        rig_finish(&r, rig_begin_as(&r, &rq, steps[i].body), &p);
        const bool cached = strstr(p.body.p, "\"cached_tokens\":0") == NULL;
        if (cached != steps[i].cached) fail_msg("step %zu: %s", i, p.body.p);
        rig_reply_fini(&p);
    }
    rig_close(&r);
}

static void request_ids_are_echoed_when_they_are_printable(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    const char *const ids[] = {"abc-1", "with space", ""};
    for (size_t i = 0; i < 3; i++) {
        const pgd_api_request rq = {.route = PGD_ROUTE_VERSION, .request_id = pgd_sv_c(ids[i])};
        rig_reply p;
        rig_finish(&r, rig_begin_as(&r, &rq, NULL), &p);
        if (i == 0)
            assert_string_equal(rig_header(&p, "x-request-id"), "abc-1");
        else
            assert_int_equal(strncmp(rig_header(&p, "x-request-id"), "req_", 4), 0);
        rig_reply_fini(&p);
    }
    rig_close(&r);
}

static void a_request_id_in_the_body_counts_when_no_header_has_one(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    const char *const header[] = {"", "from-header"};
    const char *const want[] = {"from-body", "from-header"};
    for (int i = 0; i < 2; i++) {
        const pgd_api_request rq = {.route = PGD_ROUTE_CHAT, .request_id = pgd_sv_c(header[i])};
        rig_reply p;
        rig_finish(
            &r, rig_begin_as(&r, &rq, CHAT(",\"max_tokens\":1,\"request_id\":\"from-body\"")), &p);
        assert_string_equal(rig_header(&p, "x-request-id"), want[i]);
        rig_reply_fini(&p);
    }
    rig_close(&r);
}

static void states_other_than_ready_refuse_with_retry_after(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.not_attached = true});
    rig_expect_error(&r, PGD_ROUTE_CHAT, CHAT(""), 503, "", "model_loading");
    rig_expect_error(&r, PGD_ROUTE_MODELS, NULL, 503, "", "model_loading");
    rig_expect_error(&r, PGD_ROUTE_TOKENIZE, "{\"prompt\":\"a\"}", 503, "", "model_loading");
    rig_reply p;
    rig_post(&r, PGD_ROUTE_CHAT, CHAT(""), &p);
    assert_string_equal(rig_header(&p, "retry-after"), "2");
    assert_string_equal(rig_header(&p, "retry-after-ms"), "2000");
    rig_reply_fini(&p);
    pgd_api_attach(r.api, &r.model);
    fold f;
    rig_fold(&r, PGD_ROUTE_CHAT, CHAT(",\"max_tokens\":1"), 0, &f);
    fold_fini(&f);
    pgd_api_set_state(r.api, PGD_API_DRAINING);
    rig_expect_error(&r, PGD_ROUTE_CHAT, CHAT(""), 503, "", "server_shutting_down");
    pgd_api_set_state(r.api, PGD_API_DEAD);
    rig_expect_error(&r, PGD_ROUTE_CHAT, CHAT(""), 503, "", "internal_error");
    assert_true(
        metric(&r, "pagoda_admission_rejected_total{model_name=\"small\",reason=\"loading\"}") >
            0 ||
        metric(&r, "pagoda_admission_rejected_total{reason=\"loading\",model_name=\"small\"}") > 0);
    rig_close(&r);
}

static void a_full_house_refuses_with_retry_after(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_queued = 2});
    pgd_call *a = rig_begin(&r, PGD_ROUTE_CHAT, CHAT(",\"max_tokens\":2"));
    pgd_call *b = rig_begin(&r, PGD_ROUTE_CHAT, CHAT(",\"max_tokens\":2"));
    rig_reply p;
    rig_post(&r, PGD_ROUTE_CHAT, CHAT(""), &p);
    assert_int_equal(p.status, 503);
    assert_non_null(strstr(p.body.p, "server_overloaded"));
    assert_true(strlen(rig_header(&p, "retry-after")) > 0);
    rig_reply_fini(&p);
    rig_finish(&r, a, &p);
    assert_int_equal(p.status, 200);
    rig_reply_fini(&p);
    rig_finish(&r, b, &p);
    rig_reply_fini(&p);
    rig_post(&r, PGD_ROUTE_CHAT, CHAT(",\"max_tokens\":2"), &p);
    assert_int_equal(p.status, 200);
    rig_reply_fini(&p);
    rig_close(&r);
}

static void a_full_engine_refuses_a_call_it_cannot_begin(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.engine_queued = 2});
    r.hold_engine = true;
    pgd_call *waiting =
        rig_begin(&r, PGD_ROUTE_COMPLETIONS,
                  "{\"model\":\"small\",\"prompt\":[\"a\",\"b\"],\"max_tokens\":1}");
    rig_wait_prepared(&r, waiting);
    pgd_call *c = rig_begin(&r, PGD_ROUTE_COMPLETIONS, "{\"model\":\"small\",\"prompt\":\"c\"}");
    rig_wait_prepared(&r, c);
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    assert_int_equal(pgd_call_http_status(c), 503);
    assert_non_null(strstr(pgd_call_output(c)->p, "server_overloaded"));
    pgd_call_release(&c);
    r.hold_engine = false;
    rig_wait(&r, waiting);
    assert_int_equal(pgd_call_http_status(waiting), 200);
    pgd_call_release(&waiting);
    rig_close(&r);
}

static void a_batch_larger_than_the_queue_goes_in_piece_by_piece(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.engine_queued = 2});
    pgd_buf body = {0};
    pgd_buf_puts(&body, "{\"model\":\"small\",\"max_tokens\":2,\"ignore_eos\":true,\"prompt\":[");
    for (int i = 0; i < 600; i++)
        pgd_buf_putf(&body, i ? ",[%d]" : "[%d]", i % 256);
    pgd_buf_puts(&body, "]}");
    fold f;
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, body.p, 0, &f);
    assert_int_equal(f.n_choices, 600);
    assert_non_null(strstr(f.usage.p, "\"completion_tokens\":1200"));
    fold_fini(&f);
    pgd_buf_fini(&body);
    rig_close(&r);
}

static void a_prompt_larger_than_the_whole_cache_is_refused(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.n_pages = 3});
    pgd_buf body = {0};
    pgd_buf_puts(&body, "{\"model\":\"small\",\"prompt\":[1");
    for (int i = 0; i < 99; i++)
        pgd_buf_puts(&body, ",1");
    pgd_buf_puts(&body, "]}");
    rig_expect_error(&r, PGD_ROUTE_COMPLETIONS, body.p, 400, "prompt", "context_length_exceeded");
    pgd_buf_fini(&body);
    rig_close(&r);
}

static void a_deadline_that_passed_at_the_workers_is_a_queue_timeout(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.deadline_ns = 5 * SECOND});
    pgd_call *c = rig_begin(&r, PGD_ROUTE_CHAT, CHAT(""));
    atomic_fetch_add(&r.now, 6 * SECOND);
    (void)pgd_call_tick(c);
    rig_wait_prepared(&r, c);
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    assert_int_equal(pgd_call_http_status(c), 504);
    assert_non_null(strstr(pgd_call_output(c)->p, "queue_timeout"));
    pgd_call_release(&c);
    rig_close(&r);
}

typedef struct crowd {
    pgd_call *call[6];
    int told;
} crowd;

/* The first call that is reported lets go of all of them. */
static void release_all(pgd_call *call, void *ctx) {
    crowd *const all = ctx;
    assert_ptr_equal(pgd_call_user(call), all);
    all->told++;
    for (int i = 0; i < 6; i++)
        pgd_call_release(&all->call[i]);
}

static void calls_may_be_released_while_changes_are_reported(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    crowd all = {{0}, 0};
    r.hold_engine = true;
    for (int i = 0; i < 6; i++) {
        const pgd_api_request rq = {.route = PGD_ROUTE_CHAT, .user = &all};
        all.call[i] = rig_begin_as(&r, &rq, CHAT(",\"max_tokens\":50,\"stream\":true"));
        rig_wait_prepared(&r, all.call[i]);
    }
    for (int i = 0; i < 5; i++)
        (void)pgd_engine_step(r.engine);
    pgd_call_release(&all.call[2]);
    pgd_api_loop_drain(r.loop, release_all, &all);
    assert_int_equal(all.told, 1);
    r.hold_engine = false;
    rig_close(&r);
}

static void waiting_past_the_deadline_is_a_queue_timeout(void **state) {
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++) {
        rig r;
        rig_open(&r, &(rig_options){.deadline_ns = 5 * SECOND});
        r.hold_engine = true;
        pgd_call *c = rig_begin(&r, PGD_ROUTE_CHAT, streamed ? CHAT(",\"stream\":true") : CHAT(""));
        rig_wait_prepared(&r, c);
        assert_false(pgd_call_tick(c));
        atomic_fetch_add(&r.now, 6 * SECOND);
        assert_true(pgd_call_tick(c));
        assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
        assert_int_equal(pgd_call_http_status(c), 504);
        assert_non_null(strstr(pgd_call_output(c)->p, "queue_timeout"));
        pgd_call_release(&c);
        rig_close(&r);
    }
}

static void generating_past_the_deadline_is_a_timeout(void **state) {
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++) {
        rig r;
        rig_open(&r, &(rig_options){0});
        const pgd_api_request rq = {.route = PGD_ROUTE_CHAT, .timeout_ns = SECOND / 10};
        pgd_call *c = rig_begin_as(&r, &rq, streamed ? CHAT(",\"stream\":true") : CHAT(""));
        rig_wait_prepared(&r, c);
        for (int i = 0; i < 20; i++)
            rig_turn(&r);
        assert_int_equal(pgd_call_get_state(c), streamed ? PGD_CALL_STREAMING : PGD_CALL_PREPARING);
        atomic_fetch_add(&r.now, SECOND);
        assert_true(pgd_call_tick(c));
        assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
        if (streamed) {
            fold f;
            fold_stream(&f, pgd_buf_sv(pgd_call_output(c)), 0);
            assert_non_null(strstr(f.error.p, "\"code\":\"timeout\""));
            fold_fini(&f);
        } else {
            assert_int_equal(pgd_call_http_status(c), 504);
            assert_non_null(strstr(pgd_call_output(c)->p, "\"code\":\"timeout\""));
        }
        pgd_call_release(&c);
        rig_close(&r);
    }
}

static void the_deadline_is_also_kept_by_the_engine(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.deadline_ns = SECOND / 50});
    rig_reply p;
    rig_post(&r, PGD_ROUTE_CHAT, CHAT(""), &p); /* nobody ticks: some 30 turns of 1 ms suffice */
    if (p.status == 200)
        print_message("finished before its deadline\n");
    else
        assert_int_equal(p.status, 504);
    rig_reply_fini(&p);
    rig_close(&r);
}

static void keep_alive_comments_open_a_silent_stream(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.keep_alive_ns = 10 * SECOND, .mean_len = 8});
    r.hold_engine = true;
    pgd_call *c = rig_begin(&r, PGD_ROUTE_CHAT, CHAT(",\"stream\":true,\"max_tokens\":5"));
    assert_false(pgd_call_tick(c)); /* not before validation is over */
    rig_wait_prepared(&r, c);
    atomic_fetch_add(&r.now, 9 * SECOND);
    assert_false(pgd_call_tick(c));
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_PREPARING);
    atomic_fetch_add(&r.now, 2 * SECOND);
    assert_true(pgd_call_tick(c));
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_STREAMING);
    assert_string_equal(pgd_call_output(c)->p, ": keep-alive\n\n");
    assert_false(pgd_call_tick(c));
    r.hold_engine = false;
    rig_wait(&r, c);
    fold f;
    fold_stream(&f, pgd_buf_sv(pgd_call_output(c)), 0);
    assert_int_equal(f.n_comments, 1);
    const rig_reply head = {
        .headers = {.p = (char *)(uintptr_t)pgd_call_headers(c).p, .n = pgd_call_headers(c).n}};
    assert_string_equal(rig_header(&head, "x-accel-buffering"), "no");
    assert_string_equal(rig_header(&head, "cache-control"), "no-cache");
    fold_fini(&f);
    pgd_call_release(&c);
    rig_close(&r);
}

static void plain_answers_have_no_keep_alive(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.keep_alive_ns = SECOND});
    r.hold_engine = true;
    pgd_call *c = rig_begin(&r, PGD_ROUTE_CHAT, CHAT(",\"max_tokens\":1"));
    rig_wait_prepared(&r, c);
    atomic_fetch_add(&r.now, 60 * SECOND);
    assert_false(pgd_call_tick(c));
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_PREPARING);
    pgd_call_release(&c);
    rig_close(&r);
}

static uint32_t held_pages(rig *r) {
    pgd_engine_stats st;
    pgd_engine_get_stats(r->engine, &st);
    return st.kv_pages_held;
}

static void clients_may_leave_in_every_phase(void **state) {
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++)
        for (int turns = -2; turns < 12; turns++) {
            rig r;
            rig_open(&r, &(rig_options){0});
            const char *const body = streamed ? CHAT(",\"stream\":true,\"n\":3") : CHAT(",\"n\":3");
            pgd_call *c = rig_begin(&r, PGD_ROUTE_CHAT, body);
            if (turns >= -1) rig_wait_prepared(&r, c);
            for (int i = 0; i < turns; i++)
                rig_turn(&r);
            assert_int_equal(pgd_api_active(r.api), 1);
            pgd_call_abort(c);
            assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
            assert_int_equal(pgd_api_active(r.api), 0);
            const uint32_t before = r.n_changed;
            pgd_call_release(&c);
            assert_null(c);
            for (int i = 0; i < 6; i++)
                rig_turn(&r);
            assert_int_equal(r.n_changed, before); /* a released call is never reported */
            if (turns >= 0) assert_int_equal(held_pages(&r), 0);
            rig_close(&r);
        }
}

static void cut_by_shutdown_is_an_error_never_a_stop(void **state) {
    (void)state;
    for (int streamed = 0; streamed < 2; streamed++) {
        rig r;
        rig_open(&r, &(rig_options){0});
        pgd_call *c = rig_begin(&r, PGD_ROUTE_CHAT, streamed ? CHAT(",\"stream\":true") : CHAT(""));
        rig_wait_prepared(&r, c);
        for (int i = 0; i < 10; i++)
            rig_turn(&r);
        pgd_engine_cancel_all(r.engine);
        rig_wait(&r, c);
        assert_non_null(strstr(pgd_call_output(c)->p, "server_shutting_down"));
        assert_null(strstr(pgd_call_output(c)->p, "\"finish_reason\":\"stop\""));
        if (!streamed) assert_int_equal(pgd_call_http_status(c), 503);
        pgd_call_release(&c);
        rig_close(&r);
    }
}

static void a_device_failure_ends_all_calls_with_errors(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.fail_at_step = 5});
    pgd_call *a = rig_begin(&r, PGD_ROUTE_CHAT, CHAT(",\"stream\":true"));
    pgd_call *b = rig_begin(&r, PGD_ROUTE_CHAT, CHAT(""));
    rig_reply p;
    rig_finish(&r, a, &p);
    fold f;
    if (p.status == 200) {
        fold_stream(&f, pgd_buf_sv(&p.body), 0);
        assert_non_null(strstr(f.error.p, "internal_error"));
        fold_fini(&f);
    }
    rig_reply_fini(&p);
    rig_finish(&r, b, &p);
    assert_int_equal(p.status, 503);
    assert_non_null(strstr(p.body.p, "internal_error"));
    rig_reply_fini(&p);
    rig_expect_error(&r, PGD_ROUTE_HEALTH, NULL, 503, "", "not_ready");
    rig_close(&r);
}

static void bodies_that_are_no_json_objects_are_refused(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    rig_expect_error(&r, PGD_ROUTE_CHAT, "", 400, "", NULL);
    rig_expect_error(&r, PGD_ROUTE_CHAT, "{", 400, "", "invalid_json");
    rig_expect_error(&r, PGD_ROUTE_CHAT, "{} x", 400, "", "invalid_json");
    rig_expect_error(&r, PGD_ROUTE_CHAT, "[]", 400, "", NULL);
    rig_expect_error(&r, PGD_ROUTE_CHAT, "{\"model\":\"\xff\"}", 400, "", "invalid_json");
    rig_expect_error(&r, PGD_ROUTE_CHAT, "{}", 400, "model", "missing_required_parameter");
    rig_expect_error(&r, PGD_ROUTE_CHAT, "{\"model\":\"small\"}", 400, "messages",
                     "missing_required_parameter");
    rig_expect_error(&r, PGD_ROUTE_CHAT, "{\"model\":\"small\",\"messages\":[]}", 400, "messages",
                     "empty_array");
    rig_expect_error(&r, PGD_ROUTE_CHAT, "{\"model\":\"gpt\",\"messages\":[]}", 404, "model",
                     "model_not_found");
    rig_expect_error(&r, PGD_ROUTE_COMPLETIONS, "{\"model\":\"small\"}", 400, "prompt",
                     "missing_required_parameter");
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_is_answered_with_headers_and_usage),
        cmocka_unit_test(a_second_equal_prompt_reports_cached_tokens),
        cmocka_unit_test(other_tenants_and_salts_share_no_cache),
        cmocka_unit_test(request_ids_are_echoed_when_they_are_printable),
        cmocka_unit_test(a_request_id_in_the_body_counts_when_no_header_has_one),
        cmocka_unit_test(states_other_than_ready_refuse_with_retry_after),
        cmocka_unit_test(a_full_house_refuses_with_retry_after),
        cmocka_unit_test(a_full_engine_refuses_a_call_it_cannot_begin),
        cmocka_unit_test(a_batch_larger_than_the_queue_goes_in_piece_by_piece),
        cmocka_unit_test(a_prompt_larger_than_the_whole_cache_is_refused),
        cmocka_unit_test(a_deadline_that_passed_at_the_workers_is_a_queue_timeout),
        cmocka_unit_test(calls_may_be_released_while_changes_are_reported),
        cmocka_unit_test(waiting_past_the_deadline_is_a_queue_timeout),
        cmocka_unit_test(generating_past_the_deadline_is_a_timeout),
        cmocka_unit_test(the_deadline_is_also_kept_by_the_engine),
        cmocka_unit_test(keep_alive_comments_open_a_silent_stream),
        cmocka_unit_test(plain_answers_have_no_keep_alive),
        cmocka_unit_test(clients_may_leave_in_every_phase),
        cmocka_unit_test(cut_by_shutdown_is_an_error_never_a_stop),
        cmocka_unit_test(a_device_failure_ends_all_calls_with_errors),
        cmocka_unit_test(bodies_that_are_no_json_objects_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
