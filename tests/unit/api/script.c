#include "script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/response.h"
#include "pagoda/fs.h"
#include "pagoda/jsonw.h"
#include "pagoda/mem.h"

enum { IM_END = 268 };

static pgd_api *api;
static pgd_api_loop *loop;
static pgd_tokenizer *tok;
static pgd_chat *chat;
static pgd_json_doc *golden;
static pgd_model_spec spec = {.vocab_size = 272, .eos_ids = {IM_END}, .n_eos = 1};
static const char *const names[] = {"m"};

static void no_wake(void *ctx) {
    (void)ctx;
}

int script_set_up(void **state) {
    (void)state;
    const pgd_api_options opt = {.n_workers = 1};
    tok = test_tokenizer();
    chat = test_chat();
    const pgd_api_model model = {.tokenizer = tok,
                                 .chat = chat,
                                 .spec = &spec,
                                 .names = names,
                                 .n_names = 1,
                                 .max_model_len = 4096,
                                 .max_logprobs = 20};
    if (pgd_api_create(&opt, &api, NULL) != PGD_OK) return -1;
    pgd_api_attach(api, &model);
    pgd_buf text = {0};
    pgd_error err = {0};
    if (pgd_fs_read(API_GOLDEN "/outputs.json", 1 << 20, &text, &err) != PGD_OK) return -1;
    golden = test_json(text.p, text.n);
    pgd_buf_fini(&text);
    return pgd_api_loop_create(api, no_wake, NULL, &loop) == PGD_OK ? 0 : -1;
}

int script_tear_down(void **state) {
    (void)state;
    pgd_json_free(&golden);
    pgd_api_loop_destroy(&loop);
    pgd_api_destroy(&api);
    pgd_chat_destroy(&chat);
    pgd_tokenizer_destroy(&tok);
    return 0;
}

pgd_api *script_api(void) {
    return api;
}

const pgd_json *script_golden(void) {
    return pgd_json_root(golden);
}

void script_speak(const char *tools, const char *think) {
    pgd_error err = {0};
    if (pgd_api_get_state(api) != PGD_API_READY) fail_msg("no model");
    if (api_formats_pick(NULL, tools, think, &api->formats, &err) != PGD_OK)
        fail_msg("%s", err.msg);
}

pgd_call *script_call(pgd_route route, const char *body) {
    pgd_call *const c = pgd_calloc(1, sizeof *c);
    c->api = api;
    c->loop = loop;
    c->model = &api->model_data;
    c->route = route;
    c->wire = api_wire_of(route);
    (void)snprintf(c->id, sizeof c->id, "x-1");
    pgd_buf_puts(&c->body, body);
    api_prep_run(c);
    if (c->err.status != PGD_OK) fail_msg("%s", c->err.msg);
    c->phase = API_RUN;
    return c;
}

static void log_token(pgd_call *c, int32_t id) {
    pgd_toklog *const log = &c->g.requests[0].r.out[0];
    const uint32_t n = atomic_load(&log->len);
    assert_true(n < log->cap);
    log->token[n] = id;
    if (log->logprob) log->logprob[n] = -0.25f * (float)(n + 1);
    atomic_store(&log->len, n + 1);
}

void script_feed(pgd_call *c, const int32_t *ids, size_t n, uint64_t seed, bool whole) {
    for (size_t at = 0; at < n && c->phase == API_RUN;) {
        size_t group = seed ? 1 + test_rand(&seed) % 9 : 1;
        for (; group && at < n; group--)
            log_token(c, ids[at++]);
        (void)api_call_pump(c, 0, c->g.n_choices);
    }
    if (c->phase == API_RUN) {
        pgd_toklog *const log = &c->g.requests[0].r.out[0];
        if (whole) log_token(c, IM_END);
        log->stop_token = IM_END;
        atomic_store(&log->finish, (uint32_t)(whole ? PGD_FINISH_STOP : PGD_FINISH_LENGTH));
        (void)api_call_pump(c, 0, c->g.n_choices);
    }
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    assert_int_equal(pgd_call_http_status(c), 200);
}

void script_play(pgd_route route, const char *body, pgd_sv raw, uint64_t seed, pgd_buf *out) {
    int32_t *const ids = pgd_malloc((raw.n + 1) * sizeof *ids);
    for (size_t i = 0; i < raw.n; i++)
        ids[i] = (uint8_t)raw.p[i];
    pgd_call *c = script_call(route, body);
    script_feed(c, ids, raw.n, seed, true);
    pgd_buf_clear(out);
    pgd_buf_putsv(out, pgd_buf_sv(&c->out));
    pgd_call_release(&c);
    pgd_free(ids);
}

static pgd_status translate(pgd_route route, const char *json, pgd_buf *out, api_error *e) {
    pgd_call c = {.route = route, .api = api};
    pgd_json_doc *doc = test_json(json, strlen(json));
    assert_int_equal(pgd_arena_create(&c.arena, 0), PGD_OK);
    pgd_buf_clear(out);
    const pgd_status st = api_wire_of(route)->translate(&c, pgd_json_root(doc), out);
    *e = c.err;
    api_response_destroy(&c.response);
    pgd_arena_destroy(&c.arena);
    pgd_json_free(&doc);
    return st;
}

void script_bodies(pgd_route route, const char *const (*cases)[2], size_t n) {
    pgd_buf out = {0};
    for (size_t i = 0; i < n; i++) {
        api_error e;
        if (translate(route, cases[i][0], &out, &e) != PGD_OK) fail_msg("%zu: %s", i, e.msg);
        assert_string_equal(out.p, cases[i][1]);
    }
    pgd_buf_fini(&out);
}

void script_refused(pgd_route route, const char *body, api_error *e) {
    pgd_buf out = {0};
    assert_int_not_equal(translate(route, body, &out, e), PGD_OK);
    pgd_buf_fini(&out);
}

void script_events(pgd_sv bytes, void (*fn)(void *ctx, const pgd_json *e), void *ctx) {
    for (size_t at = 0; at < bytes.n;) {
        const size_t end = pgd_sv_find(bytes, PGD_SV("\n\n"), at);
        if (end == SIZE_MAX) fail_msg("the last event has no blank line");
        const pgd_sv event = {bytes.p + at, end - at};
        at = end + 2;
        const size_t line = pgd_sv_find(event, PGD_SV("\ndata: "), 0);
        assert_true(pgd_sv_starts(event, PGD_SV("event: ")) && line != SIZE_MAX);
        pgd_json_doc *doc = test_json(event.p + line + 7, event.n - line - 7);
        const pgd_sv name = {event.p + 7, line - 7};
        assert_true(pgd_sv_eq(script_str(pgd_json_root(doc), "type"), name));
        fn(ctx, pgd_json_root(doc));
        pgd_json_free(&doc);
    }
}

void script_put_node(pgd_buf *b, const pgd_json *v) {
    pgd_jsonw w;
    pgd_jsonw_init(&w, b);
    pgd_jsonw_node(&w, v);
}

pgd_sv script_str(const pgd_json *v, const char *key) {
    pgd_sv s = {"", 0};
    (void)pgd_json_as_str(pgd_json_get(v, key), &s);
    return s;
}
