/* Frozen shapes: each file of tests/golden/api holds a request and what the answer looks like.
 * Clients depend on keys, types and order, so a change of shape is a change of a golden file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/fs.h"
#include "pagoda/jsonw.h"
#include "rig.h"

/* Same keys in the same order, same types; a golden string "=x" asks for exactly x, "@map" for any
 * object; each element of an array looks like the golden array's first, and an empty golden array
 * is empty. */
static void same_shape(const pgd_json *want, const pgd_json *got, const char *path) {
    char at[512];
    const pgd_json_type type = pgd_json_typeof(want);
    pgd_sv w, g;
    if (pgd_json_as_str(want, &w) && pgd_sv_eq(w, PGD_SV("@map"))) {
        assert_int_equal(pgd_json_typeof(got), PGD_JSON_OBJECT);
        return;
    }
    if (type != pgd_json_typeof(got))
        fail_msg("%s: %s, want %s", path, pgd_json_type_name(got), pgd_json_type_name(want));
    if (pgd_json_as_str(want, &w) && w.n && w.p[0] == '=') {
        assert_true(pgd_json_as_str(got, &g));
        if (strcmp(w.p + 1, g.p) != 0) fail_msg("%s: '%s', want '%s'", path, g.p, w.p + 1);
    }
    if (type == PGD_JSON_OBJECT) {
        const pgd_json *b = pgd_json_first(got);
        for (const pgd_json *a = pgd_json_first(want); a; a = pgd_json_next(a)) {
            (void)snprintf(at, sizeof at, "%s.%s", path, pgd_json_key(a));
            if (!b) fail_msg("%s is missing", at);
            if (strcmp(pgd_json_key(a), pgd_json_key(b)) != 0)
                fail_msg("%s: found '%s' in its place", at, pgd_json_key(b));
            same_shape(a, b, at);
            b = pgd_json_next(b);
        }
        if (b) fail_msg("%s: unexpected '%s'", path, pgd_json_key(b));
    }
    if (type == PGD_JSON_ARRAY) {
        const pgd_json *const a = pgd_json_first(want);
        if (!a && pgd_json_first(got)) fail_msg("%s: not empty", path);
        if (a && !pgd_json_first(got)) fail_msg("%s: empty", path);
        (void)snprintf(at, sizeof at, "%s[]", path);
        for (const pgd_json *b = pgd_json_first(got); b; b = pgd_json_next(b))
            same_shape(a, b, at);
    }
}

static pgd_route route_named(pgd_sv name) {
    static const struct {
        const char *name;
        pgd_route route;
    } routes[] = {{"chat", PGD_ROUTE_CHAT},
                  {"completions", PGD_ROUTE_COMPLETIONS},
                  {"models", PGD_ROUTE_MODELS},
                  {"tokenize", PGD_ROUTE_TOKENIZE},
                  {"detokenize", PGD_ROUTE_DETOKENIZE},
                  {"apply_template", PGD_ROUTE_APPLY_TEMPLATE},
                  {"server_info", PGD_ROUTE_SERVER_INFO},
                  {"health", PGD_ROUTE_HEALTH},
                  {"live", PGD_ROUTE_LIVE},
                  {"startup", PGD_ROUTE_STARTUP},
                  {"version", PGD_ROUTE_VERSION},
                  {"root", PGD_ROUTE_ROOT}};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (pgd_sv_eq(pgd_sv_c(routes[i].name), name)) return routes[i].route;
    fail_msg("no route '%s'", name.p);
    return PGD_ROUTE_NONE;
}

/* Which golden chunk a chunk of a stream must look like: first, delta, finish, usage. */
static size_t kind_of(const pgd_json *chunk, size_t n) {
    if (!pgd_json_first(test_at(chunk, "choices"))) return 3;
    if (!pgd_json_is_null(test_at(chunk, "choices.0.finish_reason"))) return 2;
    return n == 0 ? 0 : 1;
}

static void check_stream(const pgd_json *want, pgd_sv body) {
    size_t at = 0, n = 0, seen[4] = {0};
    char path[64];
    while (at < body.n) {
        const size_t end = pgd_sv_find(body, PGD_SV("\n\n"), at);
        assert_true(end != SIZE_MAX);
        const pgd_sv data = {body.p + at + 6, end - at - 6};
        at = end + 2;
        if (pgd_sv_eq(data, PGD_SV("[DONE]"))) break;
        pgd_json_doc *doc = test_json(data.p, data.n);
        const size_t kind = kind_of(pgd_json_root(doc), n);
        (void)snprintf(path, sizeof path, "%zu", kind);
        const pgd_json *const golden = test_at(want, path);
        (void)snprintf(path, sizeof path, "chunk %zu", n++);
        same_shape(golden, pgd_json_root(doc), path);
        seen[kind]++;
        pgd_json_free(&doc);
    }
    assert_int_equal(at, body.n);
    for (int k = 0; k < 4; k++)
        assert_true(seen[k] > 0);
}

static void check_file(const char *name) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s.json", API_GOLDEN, name);
    pgd_buf text = {0};
    pgd_error err = {0};
    if (pgd_fs_read(path, 1 << 20, &text, &err) != PGD_OK) fail_msg("%s", err.msg);
    pgd_json_doc *doc = test_json(text.p, text.n);
    const pgd_json *const g = pgd_json_root(doc);
    pgd_sv route;
    assert_true(pgd_json_as_str(test_at(g, "route"), &route));
    pgd_buf body = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &body);
    if (test_find(g, "body")) pgd_jsonw_node(&w, test_at(g, "body"));
    rig r;
    rig_open(&r, &(rig_options){0});
    rig_reply p;
    rig_post(&r, route_named(route), body.p, &p);
    if (p.status != test_int(g, "status")) fail_msg("%s: %d %s", name, p.status, p.body.p);
    if (test_find(g, "stream")) {
        check_stream(test_at(g, "stream"), pgd_buf_sv(&p.body));
    } else {
        pgd_json_doc *got = test_json(p.body.p, p.body.n);
        same_shape(test_at(g, "answer"), pgd_json_root(got), name);
        pgd_json_free(&got);
    }
    rig_reply_fini(&p);
    rig_close(&r);
    pgd_buf_fini(&body);
    pgd_buf_fini(&text);
    pgd_json_free(&doc);
}

static void answers_have_their_frozen_shapes(void **state) {
    (void)state;
    static const char *const files[] = {"chat",
                                        "chat_stream",
                                        "chat_logprobs",
                                        "completions",
                                        "completions_stream",
                                        "completions_logprobs",
                                        "models",
                                        "tokenize",
                                        "detokenize",
                                        "apply_template",
                                        "server_info",
                                        "health",
                                        "live",
                                        "startup",
                                        "version",
                                        "error_type",
                                        "error_context"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        check_file(files[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_have_their_frozen_shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
