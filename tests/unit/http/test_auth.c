/* Routes, key files and key lookup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/auth.h"
#include "http/route.h"
#include "pagoda/mem.h"

static const pgd_route_row *find(const char *target, pgd_buf *scratch, pgd_sv *arg) {
    return pgd_route_find(pgd_sv_c(target), scratch, arg);
}

static void paths_forgive_slashes_and_queries(void **state) {
    (void)state;
    pgd_buf scratch = {0};
    pgd_sv arg;
    static const char *const same[] = {"/v1/models", "/v1/models/", "//v1//models", "/models",
                                       "/v1/models?x=/y"};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        const pgd_route_row *row = find(same[i], &scratch, &arg);
        assert_non_null(row);
        assert_int_equal(row->route, PGD_ROUTE_MODELS);
    }
    assert_null(find("/v1/modelz", &scratch, &arg));
    assert_null(find("/v1", &scratch, &arg));
    assert_int_equal(find("/", &scratch, &arg)->route, PGD_ROUTE_ROOT);
    pgd_buf_fini(&scratch);
}

static void a_model_id_may_hold_slashes_and_escapes(void **state) {
    (void)state;
    pgd_buf scratch = {0};
    pgd_sv arg;
    const pgd_route_row *row = find("/v1/models/meta%2Fllama:8b/x", &scratch, &arg);
    assert_non_null(row);
    assert_int_equal(row->route, PGD_ROUTE_MODEL);
    assert_true(pgd_sv_eq(arg, PGD_SV("meta/llama:8b/x")));
    assert_null(find("/v1/models/a%00b", &scratch, &arg));
    pgd_buf_fini(&scratch);
}

static void a_suffix_tells_apart_what_a_prefix_shares(void **state) {
    (void)state;
    pgd_buf scratch = {0};
    pgd_sv arg;
    static const struct {
        const char *path;
        pgd_route route;
        const char *arg;
    } cases[] = {{"/v1/responses", PGD_ROUTE_RESPONSES, ""},
                 {"/v1/responses/", PGD_ROUTE_RESPONSES, ""},
                 {"/v1/responses/input_tokens", PGD_ROUTE_INPUT_TOKENS, ""},
                 {"/v1/responses/resp_1?x=1", PGD_ROUTE_RESPONSE, "resp_1"},
                 {"/v1/responses/resp%5F1/input_items?limit=2", PGD_ROUTE_INPUT_ITEMS, "resp_1"},
                 {"/v1/responses/input_items", PGD_ROUTE_RESPONSE, "input_items"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const pgd_route_row *row = find(cases[i].path, &scratch, &arg);
        assert_non_null(row);
        assert_int_equal(row->route, cases[i].route);
        assert_true(pgd_sv_eq(arg, pgd_sv_c(cases[i].arg)));
    }
    assert_string_equal(pgd_route_allow(find("/v1/responses/x", &scratch, &arg)),
                        "GET, HEAD, DELETE, OPTIONS");
    pgd_buf_fini(&scratch);
}

/* The path and the decoded argument share a buffer: no length of theirs may move it in between. */
static void arguments_of_any_length_are_decoded(void **state) {
    (void)state;
    for (size_t n = 1; n < 300; n++) {
        pgd_buf scratch = {0}, target = {0};
        pgd_sv arg;
        pgd_buf_puts(&target, "/v1/responses/");
        for (size_t i = 0; i < n; i++)
            pgd_buf_putc(&target, 'x');
        pgd_buf_puts(&target, n % 2 ? "%41" : "/input_items");
        const pgd_route_row *row = pgd_route_find(pgd_buf_sv(&target), &scratch, &arg);
        assert_non_null(row);
        assert_int_equal(row->route, n % 2 ? PGD_ROUTE_RESPONSE : PGD_ROUTE_INPUT_ITEMS);
        assert_int_equal(arg.n, n + n % 2);
        for (size_t i = 0; i < arg.n; i++)
            assert_int_equal(arg.p[i], i < n ? 'x' : 'A');
        pgd_buf_fini(&target);
        pgd_buf_fini(&scratch);
    }
}

/* A head with one header. */
static pgd_http_head head_with(const char *name, const char *value) {
    pgd_http_head h;
    memset(&h, 0, sizeof(h));
    h.field[0].name = pgd_sv_c(name);
    h.field[0].value = pgd_sv_c(value);
    h.n_fields = 1;
    return h;
}

static void keys_are_found_in_both_headers_and_nowhere_else(void **state) {
    (void)state;
    pgd_api_key keys[2];
    pgd_http_key_from_secret(PGD_SV("alpha"), 0, &keys[0]);
    pgd_http_key_from_secret(PGD_SV("beta"), 1, &keys[1]);
    pgd_http_options opt = pgd_http_options_default;
    opt.keys = keys;
    opt.n_keys = 2;
    pgd_http_head h = head_with("Authorization", "Bearer beta");
    assert_ptr_equal(pgd_auth_find(&opt, &h), &keys[1]);
    h = head_with("authorization", "bearer alpha");
    assert_ptr_equal(pgd_auth_find(&opt, &h), &keys[0]);
    h = head_with("X-Api-Key", "alpha");
    assert_ptr_equal(pgd_auth_find(&opt, &h), &keys[0]);
    static const char *const wrong[] = {"Bearer gamma", "Bearer ", "Bearer",
                                        "Basic beta",   "beta",    ""};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        h = head_with("authorization", wrong[i]);
        assert_null(pgd_auth_find(&opt, &h));
    }
    h = head_with("host", "a");
    assert_null(pgd_auth_find(&opt, &h));
}

static void a_key_file_names_its_bad_lines(void **state) {
    (void)state;
    /* SHA-256 of "secret" */
    const char *digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    pgd_api_key *keys = NULL;
    uint32_t n = 0;
    pgd_error err = {0};
    pgd_buf text = {0};
    pgd_buf_putf(&text, "# team keys\n\n alice:%s\nbob:%s:team-b:priority\r\n", digest, digest);
    assert_int_equal(pgd_http_parse_keys(pgd_buf_sv(&text), &keys, &n, &err), PGD_OK);
    assert_int_equal(n, 2);
    assert_string_equal(keys[0].tenant, "alice");
    assert_false(keys[0].may_set_priority);
    assert_string_equal(keys[1].tenant, "team-b");
    assert_true(keys[1].may_set_priority);
    pgd_http_options opt = pgd_http_options_default;
    opt.keys = keys;
    opt.n_keys = 1;
    pgd_http_head h = head_with("x-api-key", "secret");
    assert_ptr_equal(pgd_auth_find(&opt, &h), &keys[0]);
    static const char *const bad[] = {"alice", "alice:zz", ":00", "a b:00", "alice:abc:t:admin"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "\n%s\n", bad[i]);
        assert_int_equal(pgd_http_parse_keys(pgd_sv_c(line), &keys, &n, &err), PGD_E_FORMAT);
        assert_non_null(strstr(err.msg, "line 2"));
    }
    pgd_free(keys);
    pgd_buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_forgive_slashes_and_queries),
        cmocka_unit_test(arguments_of_any_length_are_decoded),
        cmocka_unit_test(a_suffix_tells_apart_what_a_prefix_shares),
        cmocka_unit_test(a_model_id_may_hold_slashes_and_escapes),
        cmocka_unit_test(keys_are_found_in_both_headers_and_nowhere_else),
        cmocka_unit_test(a_key_file_names_its_bad_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
