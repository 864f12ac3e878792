#include "rig.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/call.h"

static uint64_t rig_now(void *ctx) {
    return atomic_load(&((rig *)ctx)->now);
}

static void count_wake(void *ctx) {
    atomic_fetch_add(&((rig *)ctx)->wakes, 1);
}

static void open_engine(rig *r, const rig_options *o) {
    const uint32_t seqs = o->max_seqs ? o->max_seqs : 16;
    pgd_error err = {0};
    r->sim = (pgd_sim_options){
        .limits = {.max_seqs = seqs,
                   .max_tokens = 128,
                   .max_slots = 2 * seqs,
                   .max_pages_per_seq = r->model.max_model_len / 16 + 1,
                   .page_tokens = 16,
                   .n_pages = o->n_pages ? o->n_pages : 512,
                   .vocab_size = T_VOCAB,
                   .max_plan_bytes = 1 << 20},
        .steps_in_flight = 2,
        .max_model_len = r->model.max_model_len,
        .hidden_width = RIG_WIDTH,
        .eos_id = T_IM_END,
        .mean_len = o->mean_len,
        .fail_at_step = o->fail_at_step,
        .clock = &r->clock,
        .realtime = o->threaded,
    };
    if (pgd_exec_open_sim(&r->sim, &r->exec, &err) != PGD_OK) fail_msg("%s", err.msg);
    const pgd_engine_options eo = {
        .max_num_seqs = seqs,
        .max_num_batched_tokens = 128,
        .max_model_len = r->model.max_model_len,
        .max_queued = o->engine_queued ? o->engine_queued : 2048,
        .prefix_caching = true,
        .checks = true,
        .clock = &r->clock,
    };
    if (pgd_engine_create(r->exec, &eo, &r->engine, &err) != PGD_OK) fail_msg("%s", err.msg);
    if (o->threaded && pgd_engine_start(r->engine, &err) != PGD_OK) fail_msg("%s", err.msg);
}

void rig_open(rig *r, const rig_options *o) {
    static const char *const names[] = {"small", "org/small:alias", "claude-*"};
    memset(r, 0, sizeof *r);
    r->clock = o->threaded ? pgd_clock_monotonic() : (pgd_clock){.now_ns = rig_now, .ctx = r};
    r->threaded = o->threaded;
    r->turn_ns = 1000000;
    atomic_store(&r->now, 1000000000u);
    r->tok = test_tokenizer();
    r->chat = o->no_chat ? NULL : test_chat();
    r->spec = (pgd_model_spec){
        .vocab_size = T_VOCAB, .d_model = RIG_WIDTH, .eos_ids = {T_IM_END}, .n_eos = 1};
    assert_int_equal(pgd_metrics_create(&r->metrics, "model_name=\"small\""), PGD_OK);
    const pgd_api_options ao = {.metrics = r->metrics,
                                .clock = &r->clock,
                                .n_workers = 2,
                                .max_queued = o->max_queued,
                                .keep_alive_ns = o->keep_alive_ns,
                                .default_deadline_ns = o->deadline_ns,
                                .response_store_bytes = o->no_store ? 0 : 1 << 20,
                                .trace_requests = o->trace};
    assert_int_equal(pgd_api_create(&ao, &r->api, NULL), PGD_OK);
    assert_int_equal(pgd_api_loop_create(r->api, count_wake, r, &r->loop), PGD_OK);
    r->model.max_model_len = o->max_model_len ? o->max_model_len : 256;
    open_engine(r, o);
    r->model = (pgd_api_model){.engine = r->engine,
                               .tokenizer = r->tok,
                               .chat = r->chat,
                               .spec = &r->spec,
                               .generation = o->generation,
                               .names = names,
                               .n_names = 3,
                               .max_model_len = r->model.max_model_len,
                               .max_logprobs = o->max_logprobs ? o->max_logprobs : 20,
                               .created = 1700000000,
                               .tool_call_parser = o->tool_parser,
                               .reasoning_parser = o->think_parser,
                               .embeddings = !o->no_embeddings,
                               .enable_priority = o->enable_priority};
    if (!o->not_attached) pgd_api_attach(r->api, &r->model);
}

static void note_changed(pgd_call *call, void *ctx) {
    (void)call;
    ((rig *)ctx)->n_changed++;
}

void rig_turn(rig *r) {
    if (r->threaded)
        (void)sched_yield();
    else if (!r->hold_engine)
        (void)pgd_engine_step(r->engine);
    pgd_api_loop_drain(r->loop, note_changed, r);
    atomic_fetch_add(&r->now, r->turn_ns);
}

/* Workers run on threads of their own: while one has the call there is nothing to do but wait. */
void rig_wait_prepared(rig *r, pgd_call *c) {
    for (int i = 0; c->with_worker; i++) {
        if (i == 2000000) fail_msg("a worker did not come back");
        (void)sched_yield();
        pgd_api_loop_drain(r->loop, note_changed, r);
    }
}

void rig_wait(rig *r, pgd_call *c) {
    rig_wait_prepared(r, c);
    for (int i = 0; pgd_call_get_state(c) != PGD_CALL_DONE; i++) {
        if (i == (r->threaded ? 50000000 : 100000)) fail_msg("the call did not end");
        rig_turn(r);
    }
}

void rig_settle(rig *r) {
    pgd_engine_stats st;
    for (int i = 0; i < (r->threaded ? 50000000 : 100000); i++) {
        rig_turn(r);
        pgd_engine_get_stats(r->engine, &st);
        if (!st.inside) return;
    }
    fail_msg("the engine did not settle");
}

void rig_close(rig *r) {
    r->hold_engine = false;
    pgd_api_loop_wait(r->loop); /* calls may have been released while a worker held them */
    rig_settle(r);
    rig_turn(r);
    pgd_error err = {0};
    if (!r->threaded && pgd_engine_check(r->engine, &err) != PGD_OK) fail_msg("%s", err.msg);
    assert_int_equal(pgd_api_active(r->api), 0);
    pgd_engine_destroy(&r->engine);
    pgd_api_loop_destroy(&r->loop);
    pgd_api_destroy(&r->api);
    r->exec->destroy(r->exec);
    pgd_metrics_destroy(&r->metrics);
    pgd_chat_destroy(&r->chat);
    pgd_tokenizer_destroy(&r->tok);
}

pgd_call *rig_begin_as(rig *r, const pgd_api_request *rq, const char *body) {
    pgd_api_request mine = *rq;
    pgd_buf b = {0};
    if (body) pgd_buf_puts(&b, body);
    mine.body = &b;
    pgd_call *const c = pgd_api_begin(r->loop, &mine);
    assert_non_null(c);
    assert_null(b.p);
    return c;
}

pgd_call *rig_begin(rig *r, pgd_route route, const char *body) {
    const pgd_api_request rq = {.route = route};
    return rig_begin_as(r, &rq, body);
}

void rig_finish(rig *r, pgd_call *c, rig_reply *out) {
    rig_wait(r, c);
    *out = (rig_reply){.status = pgd_call_http_status(c)};
    (void)snprintf(out->content_type, sizeof out->content_type, "%s", pgd_call_content_type(c));
    pgd_buf_putsv(&out->headers, pgd_call_headers(c));
    pgd_buf_putsv(&out->body, pgd_buf_sv(pgd_call_output(c)));
    pgd_buf_clear(pgd_call_output(c));
    pgd_call_release(&c);
}

void rig_post(rig *r, pgd_route route, const char *body, rig_reply *out) {
    rig_finish(r, rig_begin(r, route, body), out);
}

void rig_reply_fini(rig_reply *p) {
    pgd_buf_fini(&p->headers);
    pgd_buf_fini(&p->body);
}

const char *rig_header(const rig_reply *p, const char *name) {
    static char value[256];
    char start[64];
    (void)snprintf(start, sizeof start, "%s: ", name);
    const pgd_sv h = pgd_buf_sv(&p->headers);
    size_t at = pgd_sv_find(h, pgd_sv_c(start), 0);
    value[0] = '\0';
    if (at == SIZE_MAX) return value;
    at += strlen(start);
    const size_t end = pgd_sv_find(h, PGD_SV("\r\n"), at);
    assert_true(end != SIZE_MAX && end - at < sizeof value);
    memcpy(value, h.p + at, end - at);
    value[end - at] = '\0';
    return value;
}

void rig_expect_error(rig *r, pgd_route route, const char *body, int status, const char *param,
                      const char *code) {
    rig_reply p;
    rig_post(r, route, body, &p);
    if (p.status != status)
        fail_msg("status %d, want %d for %s: %s", p.status, status, body, p.body.p);
    assert_string_equal(p.content_type, "application/json");
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    const pgd_json *const v = pgd_json_root(doc);
    pgd_sv s;
    assert_true(pgd_json_as_str(test_at(v, "error.message"), &s) && s.n > 0);
    test_str_is(v, "error.type", status >= 500 ? "server_error" : "invalid_request_error");
    if (param && *param)
        test_str_is(v, "error.param", param);
    else if (param)
        assert_true(pgd_json_is_null(test_at(v, "error.param")));
    if (code)
        test_str_is(v, "error.code", code);
    else
        assert_true(pgd_json_is_null(test_at(v, "error.code")));
    pgd_json_free(&doc);
    rig_reply_fini(&p);
}

void rig_respond(rig *r, const char *tenant, const char *body, rig_reply *out, char id[64]) {
    const pgd_api_request rq = {.route = PGD_ROUTE_RESPONSES, .tenant = pgd_sv_c(tenant)};
    rig_finish(r, rig_begin_as(r, &rq, body), out);
    if (out->status != 200) return;
    pgd_json_doc *doc = test_json(out->body.p, out->body.n);
    pgd_sv s;
    assert_true(pgd_json_as_str(test_at(pgd_json_root(doc), "id"), &s));
    (void)snprintf(id, 64, "%s", s.p);
    pgd_json_free(&doc);
}

int rig_ask(rig *r, pgd_route route, const char *tenant, const char *id, const char *query,
            bool remove, rig_reply *out) {
    const pgd_api_request rq = {.route = route,
                                .tenant = pgd_sv_c(tenant),
                                .arg = pgd_sv_c(id),
                                .query = pgd_sv_c(query),
                                .remove = remove};
    rig_finish(r, rig_begin_as(r, &rq, ""), out);
    return out->status;
}

void rig_fold(rig *r, pgd_route route, const char *body, unsigned flags, fold *out) {
    rig_reply p;
    rig_post(r, route, body, &p);
    if (p.status != 200) fail_msg("status %d for %s: %s", p.status, body, p.body.p);
    if (strncmp(p.content_type, "text/event-stream", 17) == 0)
        fold_stream(out, pgd_buf_sv(&p.body), flags);
    else
        fold_answer(out, pgd_buf_sv(&p.body));
    rig_reply_fini(&p);
}
