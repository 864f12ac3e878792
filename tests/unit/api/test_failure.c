/* Failing allocations: whatever allocation of a call fails, that call alone is answered with an
 * error (or its stream ends at a whole event), nothing leaks, and the next call works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/call.h"
#include "api/response_store.h"
#include "pagoda/mem.h"
#include "rig.h"

static const struct {
    pgd_route route;
    const char *body;
} cases[] = {
    {PGD_ROUTE_CHAT,
     "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":4,"
     "\"seed\":1,\"n\":2,\"stop\":[\"zq\"],\"logprobs\":true,\"top_logprobs\":2,"
     "\"logit_bias\":{\"5\":1},\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {PGD_ROUTE_CHAT,
     "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":4,"
     "\"seed\":1,\"logprobs\":true,\"return_token_ids\":true}"},
    {PGD_ROUTE_MESSAGES,
     "{\"model\":\"small\",\"max_tokens\":4,\"system\":[{\"type\":\"text\",\"text\":\"s\"}],"
     "\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":[{"
     "\"type\":\"thinking\",\"thinking\":\"t\"},{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
     "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
     "\"a\",\"content\":\"1\"}]}],\"tools\":[{\"name\":\"f\",\"input_schema\":{}}],\"stream\":"
     "true,\"seed\":1}"},
    {PGD_ROUTE_RESPONSES,
     "{\"model\":\"small\",\"max_output_tokens\":4,\"seed\":1,\"stream\":true,\"input\":[{\"role\":"
     "\"user\",\"content\":\"q\"},{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
     "\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"1\"}]"
     ",\"tools\":[{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[{\"type\":\"function\","
     "\"name\":\"f\"}]}],\"include\":[\"message.output_text.logprobs\"]}"},
    {PGD_ROUTE_COMPLETIONS,
     "{\"model\":\"small\",\"prompt\":[65,66,67],\"max_tokens\":4,\"seed\":1,\"ignore_eos\":true,"
     "\"echo\":true,\"logprobs\":1,\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {PGD_ROUTE_RESPONSES, "{\"model\":\"small\",\"max_output_tokens\":4,\"seed\":1,\"input\":"
                          "\"q\",\"previous_response_id\":\"resp_kept\"}"},
    {PGD_ROUTE_RESPONSES,
     "{\"model\":\"small\",\"max_output_tokens\":4,\"seed\":1,\"input\":[{\"role\":\"user\","
     "\"content\":\"q\"},{\"type\":\"item_reference\",\"id\":\"msg_kept\"},{\"role\":\"user\","
     "\"content\":\"q\"}]}"},
};
enum { N_CASES = sizeof cases / sizeof cases[0], N_SCORED = 7 /* of the echo's */ };

/* What the last cases go on from. */
static void keep_one(rig *r) {
    api_kept *const k = api_kept_create(NULL);
    assert_non_null(k);
    pgd_buf_puts(&k->id, "resp_kept");
    pgd_buf_puts(&k->input, "{\"id\":\"a\",\"role\":\"user\",\"content\":\"q\"}");
    pgd_buf_puts(&k->items, "msg_kept\n");
    pgd_buf_puts(&k->object,
                 "{\"output\":[{\"type\":\"message\",\"id\":\"msg_kept\",\"role\":\"assistant\","
                 "\"content\":[{\"type\":\"output_text\",\"text\":\"a\"}]}]}");
    api_store_put(r->api->store, k, 0);
}

/* Run the worker's part on this thread with the n-th allocation failing. Returns whether it was
 * reached. */
static bool prepare_with_failure(rig *r, size_t i, int64_t n) {
    pgd_call *c = pgd_calloc(1, sizeof *c);
    c->api = r->api;
    c->loop = r->loop;
    c->model = &r->model;
    c->route = cases[i].route;
    c->wire = api_wire_of(c->route);
    pgd_buf_puts(&c->body, cases[i].body);
    (void)pgd_mem_fail_after(n);
    api_prep_run(c);
    const bool fired = pgd_mem_fail_after(-1);
    if (fired) {
        if (c->err.status != PGD_E_NOMEM) fail_msg("%zu, n=%d: %s", i, (int)n, c->err.msg);
    } else {
        assert_int_equal(c->err.status, PGD_OK);
    }
    c->phase = API_ENDED;
    pgd_call_release(&c);
    return fired;
}

static void a_failed_allocation_while_preparing_fails_that_call_alone(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    keep_one(&r);
    for (size_t i = 0; i < N_CASES; i++) {
        int64_t n = 0;
        while (prepare_with_failure(&r, i, n))
            n++;
        print_message("%d allocations\n", (int)n);
        assert_true(n > 20);
    }
    rig_close(&r);
}

static void ignore_change(pgd_call *call, void *ctx) {
    (void)call;
    (void)ctx;
}

/* Whole events of JSON, response.created the first of its protocol. */
static void check_events(const pgd_call *c, pgd_sv rest) {
    const pgd_sv created = PGD_SV("event: response.created\n");
    if (c->route == PGD_ROUTE_RESPONSES && rest.n) assert_true(pgd_sv_starts(rest, created));
    for (pgd_sv line; pgd_sv_cut(&rest, PGD_SV("\n"), &line);) {
        if (!pgd_sv_starts(line, PGD_SV("data: {"))) continue;
        pgd_json_doc *doc = test_json(line.p + 6, line.n - 6);
        pgd_json_free(&doc);
    }
}

static void check_end(const pgd_call *c, bool fired) {
    const pgd_sv out = {c->out.p, c->out.n};
    if (!c->streaming) {
        if (fired && c->http == 503 && out.n == 0) return; /* no memory even for the body */
        assert_true(c->http == 200 || c->http == 503);
        pgd_json_doc *doc = test_json(out.p, out.n);
        pgd_json_free(&doc);
        return;
    }
    check_events(c, out);
    if (fired && !pgd_sv_ends(out, PGD_SV("data: [DONE]\n\n"))) {
        assert_true(out.n == 0 || pgd_sv_ends(out, PGD_SV("\n\n")));
        return;
    }
    if (c->route != PGD_ROUTE_CHAT && c->route != PGD_ROUTE_COMPLETIONS) {
        assert_true(pgd_sv_ends(out, PGD_SV("\n\n")));
        return;
    }
    fold f;
    fold_stream(&f, out, FOLD_USAGE);
    if (c->route == PGD_ROUTE_COMPLETIONS && !f.error.n)
        assert_int_equal(f.choice[0].n_logprobs, N_SCORED);
    fold_fini(&f);
}

/* Everything the loop does from the first token on, with allocation n of it failing. */
static bool run_with_failure(rig *r, size_t i_case, int64_t n) {
    pgd_call *c = rig_begin(r, cases[i_case].route, cases[i_case].body);
    rig_wait_prepared(r, c);
    bool fired = false;
    for (int i = 0; i < 1000 && pgd_call_get_state(c) != PGD_CALL_DONE; i++) {
        (void)pgd_engine_step(r->engine); /* its own allocations are not the subject here */
        atomic_fetch_add(&r->now, 1000000);
        if (!fired) (void)pgd_mem_fail_after(n);
        pgd_api_loop_drain(r->loop, ignore_change, NULL);
        fired = pgd_mem_fail_after(-1) || fired;
    }
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    check_end(c, fired);
    pgd_call_release(&c);
    rig_settle(r);
    return fired;
}

static void a_failed_allocation_while_answering_fails_that_call_alone(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    keep_one(&r);
    for (size_t i = 0; i < N_CASES; i++) {
        int64_t n = 0;
        while (run_with_failure(&r, i, n))
            n++;
        print_message("%d allocations a drain at most\n", (int)n);
        assert_true(n > 2);
    }
    fold f; /* and the next call is none the wiser */
    rig_fold(&r, PGD_ROUTE_CHAT, cases[1].body, 0, &f);
    fold_fini(&f);
    rig_close(&r);
}

static void a_failed_allocation_at_the_start_leaves_the_body_or_answers(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    bool fired = true;
    for (int64_t n = 0; fired; n++) {
        pgd_buf body = {0};
        pgd_buf_puts(&body, cases[1].body);
        const pgd_api_request rq = {
            .route = PGD_ROUTE_CHAT, .body = &body, .tenant = PGD_SV("someone")};
        (void)pgd_mem_fail_after(n);
        pgd_call *c = pgd_api_begin(r.loop, &rq);
        fired = pgd_mem_fail_after(-1);
        if (!c) {
            pgd_buf_fini(&body);
            continue;
        }
        rig_wait(&r, c);
        assert_true(pgd_call_http_status(c) == 200 || (fired && pgd_call_http_status(c) == 503));
        pgd_call_release(&c);
    }
    rig_close(&r);
}

static void small_routes_survive_failed_allocations(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    static const pgd_route routes[] = {PGD_ROUTE_MODELS, PGD_ROUTE_HEALTH, PGD_ROUTE_METRICS,
                                       PGD_ROUTE_ROOT};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        bool fired = true;
        for (int64_t n = 0; fired; n++) {
            const pgd_api_request rq = {.route = routes[i]};
            (void)pgd_mem_fail_after(n);
            pgd_call *c = pgd_api_begin(r.loop, &rq);
            fired = pgd_mem_fail_after(-1);
            if (!c) continue;
            assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
            assert_true(pgd_call_http_status(c) == 200 || pgd_call_http_status(c) == 503);
            pgd_call_release(&c);
        }
    }
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_allocation_while_preparing_fails_that_call_alone),
        cmocka_unit_test(a_failed_allocation_while_answering_fails_that_call_alone),
        cmocka_unit_test(a_failed_allocation_at_the_start_leaves_the_body_or_answers),
        cmocka_unit_test(small_routes_survive_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
