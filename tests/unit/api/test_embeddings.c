/* /v1/embeddings over the simulated device, whose hidden states are known: which are taken, how
 * they are scaled and written, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/exec.h"
#include "rig.h"

static const int32_t ids[3][6] = {{5, 6, 7, 8, 9, 0}, {40, 41, 0, 0, 0, 0}, {17, 0, 0, 0, 0, 0}};
static const uint32_t lengths[3] = {5, 2, 1};
#define INPUT "\"input\":[[5,6,7,8,9],[40,41],[17]]"

/* Value j of the embedding of ids[i]. */
static double expected(uint32_t i, uint32_t j, bool mean, bool scaled) {
    double v[RIG_WIDTH] = {0}, squares = 0;
    for (uint32_t k = 0; k < RIG_WIDTH; k++) {
        for (uint32_t n = mean ? 1 : lengths[i]; n <= lengths[i]; n++)
            v[k] += (double)pgd_sim_hidden(ids[i], n, k);
        if (mean) v[k] /= lengths[i];
        squares += v[k] * v[k];
    }
    return scaled ? v[j] / sqrt(squares) : v[j];
}

static void states_are_pooled_and_scaled(void **state) {
    (void)state;
    static const struct {
        const char *extra;
        bool mean, scaled;
    } cases[] = {{"", false, true},
                 {",\"pooling\":\"last\",\"dimensions\":7,\"normalize\":true", false, true},
                 {",\"pooling\":\"mean\",\"encoding_format\":\"float\"", true, true},
                 {",\"pooling\":\"mean\",\"normalize\":false", true, false},
                 {",\"normalize\":false", false, false}};
    rig r;
    rig_open(&r, &(rig_options){0});
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char body[256];
        rig_reply p;
        (void)snprintf(body, sizeof body, "{\"model\":\"small\"," INPUT "%s}", cases[k].extra);
        rig_post(&r, PGD_ROUTE_EMBEDDINGS, body, &p);
        if (p.status != 200) fail_msg("%d %s", p.status, p.body.p);
        pgd_json_doc *doc = test_json(p.body.p, p.body.n);
        test_str_is(pgd_json_root(doc), "object", "list");
        test_str_is(pgd_json_root(doc), "model", "small");
        test_int_is(pgd_json_root(doc), "usage.prompt_tokens", 8);
        test_int_is(pgd_json_root(doc), "usage.total_tokens", 8);
        const pgd_json *d = pgd_json_first(test_at(pgd_json_root(doc), "data"));
        uint32_t i = 0;
        for (; d; d = pgd_json_next(d), i++) {
            uint32_t j = 0;
            test_str_is(d, "object", "embedding");
            test_int_is(d, "index", i);
            const pgd_json *v = pgd_json_first(test_at(d, "embedding"));
            for (; v; v = pgd_json_next(v), j++) {
                double got = 0;
                assert_true(pgd_json_as_f64(v, &got));
                const double want = expected(i, j, cases[k].mean, cases[k].scaled);
                if (fabs(got - want) > 1e-6 * (1 + fabs(want)))
                    fail_msg("case %zu, input %u, %u: %g, want %g", k, i, j, got, want);
            }
            assert_int_equal(j, RIG_WIDTH);
        }
        assert_int_equal(i, 3);
        pgd_json_free(&doc);
        rig_reply_fini(&p);
    }
    rig_close(&r);
}

static int digit(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *const at = c ? strchr(digits, c) : NULL;
    if (!at) fail_msg("'%c' is no base64", c);
    return (int)(at - digits);
}

static void base64_holds_little_endian_floats(void **state) {
    (void)state;
    rig r;
    rig_reply p;
    rig_open(&r, &(rig_options){0});
    rig_post(&r, PGD_ROUTE_EMBEDDINGS,
             "{\"model\":\"small\",\"encoding_format\":\"base64\"," INPUT "}", &p);
    assert_int_equal(p.status, 200);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    pgd_sv s;
    assert_true(pgd_json_as_str(test_at(pgd_json_root(doc), "data.1.embedding"), &s));
    assert_int_equal(s.n, (4 * RIG_WIDTH + 2) / 3 * 4);
    uint8_t bytes[4 * RIG_WIDTH + 3];
    size_t n = 0;
    for (size_t i = 0; i < s.n; i += 4) {
        const int pad = (s.p[i + 2] == '=') + (s.p[i + 3] == '=');
        const int c = pad > 1 ? 0 : digit(s.p[i + 2]), d = pad ? 0 : digit(s.p[i + 3]);
        const int v = digit(s.p[i]) << 18 | digit(s.p[i + 1]) << 12 | c << 6 | d;
        for (int k = 0; k < 3 - pad; k++)
            bytes[n++] = (uint8_t)(v >> (16 - 8 * k));
    }
    assert_int_equal(n, 4 * RIG_WIDTH);
    for (uint32_t j = 0; j < RIG_WIDTH; j++) {
        float f;
        memcpy(&f, bytes + 4 * (size_t)j, sizeof f);
        assert_true(fabs((double)f - expected(1, j, false, true)) < 1e-6);
    }
    pgd_json_free(&doc);
    rig_reply_fini(&p);
    rig_close(&r);
}

static void texts_come_alone_or_in_lists(void **state) {
    (void)state;
    static const char *const inputs[] = {"\"hello\"", "[\"hello\"]", "[104,101,108,108,111]"};
    rig r;
    rig_open(&r, &(rig_options){0});
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        char body[256];
        rig_reply p;
        (void)snprintf(body, sizeof body, "{\"model\":\"small\",\"input\":%s}", inputs[i]);
        rig_post(&r, PGD_ROUTE_EMBEDDINGS, body, &p);
        assert_int_equal(p.status, 200);
        rig_reply_fini(&p);
    }
    rig_close(&r);
}

/* More inputs than the engine takes of one call at once: each has its own place in the answer. */
static void as_many_inputs_as_openai_takes(void **state) {
    (void)state;
    rig r;
    rig_reply p;
    rig_open(&r, &(rig_options){0});
    for (int n = 2048; n <= 2049; n++) {
        pgd_buf body = {0};
        pgd_buf_puts(&body, "{\"model\":\"small\",\"normalize\":false,\"input\":[");
        for (int i = 0; i < n; i++)
            pgd_buf_putf(&body, i ? ",[%d,%d]" : "[%d,%d]", i / 50 + 1, i % 50 + 1);
        pgd_buf_puts(&body, "]}");
        rig_post(&r, PGD_ROUTE_EMBEDDINGS, body.p, &p);
        assert_int_equal(p.status, n == 2048 ? 200 : 400);
        pgd_json_doc *doc = test_json(p.body.p, p.body.n);
        const pgd_json *const v = pgd_json_root(doc);
        if (n == 2048) {
            int64_t i = 0;
            for (const pgd_json *d = pgd_json_first(test_at(v, "data")); d; d = pgd_json_next(d)) {
                const int32_t own[2] = {(int32_t)i / 50 + 1, (int32_t)i % 50 + 1};
                double value;
                assert_true(pgd_json_as_f64(test_at(d, "embedding.3"), &value));
                assert_true(fabs(value - (double)pgd_sim_hidden(own, 2, 3)) < 1e-6);
                assert_int_equal(test_int(d, "index"), i++);
            }
            assert_int_equal(i, n);
            assert_int_equal(test_int(v, "usage.prompt_tokens"), 2 * n);
        } else {
            test_str_is(v, "error.param", "input");
            test_str_is(v, "error.code", "array_above_max_length");
        }
        pgd_json_free(&doc);
        pgd_buf_fini(&body);
        rig_reply_fini(&p);
    }
    rig_close(&r);
}

static void what_cannot_be_is_refused_by_name(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"{\"model\":\"small\"}", "input", "missing_required_parameter"},
        {"{\"model\":\"small\",\"input\":\"\"}", "input", "string_below_min_length"},
        {"{\"model\":\"small\",\"input\":[\"a\",\"\"]}", "input", "string_below_min_length"},
        {"{\"model\":\"small\",\"input\":[]}", "input", "empty_array"},
        {"{\"model\":\"small\",\"input\":[[1],[]]}", "input[1]", "empty_array"},
        {"{\"model\":\"small\",\"input\":[[1],[\"a\"]]}", "input[1][0]", "invalid_type"},
        {"{\"model\":\"small\",\"input\":\"a\",\"dimensions\":3}", "dimensions",
         "unsupported_value"},
        {"{\"model\":\"small\",\"input\":\"a\",\"dimensions\":\"3\"}", "dimensions",
         "invalid_type"},
        {"{\"model\":\"small\",\"input\":\"a\",\"encoding_format\":\"x\"}", "encoding_format",
         "invalid_value"},
        {"{\"model\":\"small\",\"input\":\"a\",\"pooling\":\"cls\"}", "pooling", "invalid_value"},
        {"{\"model\":\"small\",\"input\":\"a\",\"normalize\":1}", "normalize", "invalid_type"},
        {"{\"input\":\"a\"}", "model", "missing_required_parameter"}};
    rig r;
    rig_open(&r, &(rig_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        rig_expect_error(&r, PGD_ROUTE_EMBEDDINGS, cases[i][0], 400, cases[i][1], cases[i][2]);
    rig_close(&r);
    rig_open(&r, &(rig_options){.no_embeddings = true});
    rig_expect_error(&r, PGD_ROUTE_EMBEDDINGS, "{\"model\":\"small\",\"input\":\"a\"}", 400,
                     "model", "unsupported_value");
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_pooled_and_scaled),
        cmocka_unit_test(base64_holds_little_endian_floats),
        cmocka_unit_test(texts_come_alone_or_in_lists),
        cmocka_unit_test(as_many_inputs_as_openai_takes),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
