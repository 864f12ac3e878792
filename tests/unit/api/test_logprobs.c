/* Logprobs through whole calls: alignment with tokens and text, both forms, echo and scoring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

static rig r;

static int set_up(void **state) {
    (void)state;
    rig_open(&r, &(rig_options){0});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rig_close(&r);
    return 0;
}

static pgd_json_doc *post(pgd_route route, const char *body) {
    rig_reply p;
    rig_post(&r, route, body, &p);
    if (p.status != 200) fail_msg("status %d: %s", p.status, p.body.p);
    pgd_json_doc *const doc = test_json(p.body.p, p.body.n);
    rig_reply_fini(&p);
    return doc;
}

static void put_bytes(pgd_buf *b, const pgd_json *bytes) {
    for (const pgd_json *v = pgd_json_first(bytes); v; v = pgd_json_next(v)) {
        int64_t x = -1;
        assert_true(pgd_json_as_i64(v, &x));
        assert_in_range(x, 0, 255);
        pgd_buf_putc(b, (char)x);
    }
}

/* The sound text in s: what is no UTF-8, and the mark that stands for it in answers, is left out
 * (how many marks a run of stray bytes gets is the decoder's affair). */
static void sound_text(pgd_sv s, pgd_buf *out) {
    for (size_t at = 0; at < s.n;) {
        uint32_t cp;
        const size_t n = pgd_utf8_decode(s.p + at, s.n - at, &cp);
        if (n && cp != 0xFFFD) pgd_buf_put(out, s.p + at, n);
        at += n ? n : 1;
    }
}

static void bytes_of_chat_logprobs_join_to_the_text(void **state) {
    (void)state;
    for (int seed = 0; seed < 30; seed++) {
        char body[512];
        (void)snprintf(body, sizeof body,
                       "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
                       "\"logprobs\":true,\"top_logprobs\":3,\"seed\":%d,\"max_tokens\":20,"
                       "\"ignore_eos\":true,\"logit_bias\":{\"5\":1}}",
                       seed);
        pgd_json_doc *doc = post(PGD_ROUTE_CHAT, body);
        const pgd_json *const root = pgd_json_root(doc);
        pgd_buf joined = {0}, got = {0}, want = {0};
        size_t n = 0;
        for (const pgd_json *t = pgd_json_first(test_at(root, "choices.0.logprobs.content")); t;
             t = pgd_json_next(t), n++) {
            put_bytes(&joined, test_at(t, "bytes"));
            assert_int_equal(pgd_json_count(test_at(t, "top_logprobs")), 3);
            double lp;
            assert_true(pgd_json_as_f64(test_at(t, "logprob"), &lp));
            assert_true(lp <= 0 && lp >= -9999.0);
        }
        assert_int_equal(n, 20);
        pgd_sv content;
        assert_true(pgd_json_as_str(test_at(root, "choices.0.message.content"), &content));
        sound_text(content, &got);
        sound_text(pgd_buf_sv(&joined), &want);
        assert_true(pgd_sv_eq(pgd_buf_sv(&got), pgd_buf_sv(&want)));
        pgd_buf_fini(&joined);
        pgd_buf_fini(&got);
        pgd_buf_fini(&want);
        pgd_json_free(&doc);
    }
}

static void chat_without_top_logprobs_has_empty_lists(void **state) {
    (void)state;
    pgd_json_doc *doc =
        post(PGD_ROUTE_CHAT, "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":"
                             "\"a\"}],\"logprobs\":true,\"max_tokens\":2,\"ignore_eos\":true}");
    assert_int_equal(
        pgd_json_count(test_at(pgd_json_root(doc), "choices.0.logprobs.content.0.top_logprobs")),
        0);
    pgd_json_free(&doc);
    doc = post(PGD_ROUTE_CHAT, "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":"
                               "\"a\"}],\"max_tokens\":2}");
    assert_true(pgd_json_is_null(test_at(pgd_json_root(doc), "choices.0.logprobs")));
    pgd_json_free(&doc);
}

static void the_old_form_has_four_arrays_of_one_length(void **state) {
    (void)state;
    pgd_json_doc *doc =
        post(PGD_ROUTE_COMPLETIONS, "{\"model\":\"small\",\"prompt\":\"hi\",\"logprobs\":2,"
                                    "\"max_tokens\":10,\"seed\":4,\"ignore_eos\":true}");
    const pgd_json *const lp = test_at(pgd_json_root(doc), "choices.0.logprobs");
    static const char *const keys[] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pgd_json_count(test_at(lp, keys[i])), 10);
    int64_t last = 0;
    const pgd_json *top = pgd_json_first(test_at(lp, "top_logprobs"));
    for (const pgd_json *o = pgd_json_first(test_at(lp, "text_offset")); o;
         o = pgd_json_next(o), top = pgd_json_next(top)) {
        int64_t at;
        assert_true(pgd_json_as_i64(o, &at));
        assert_true(at >= last);
        last = at;
        assert_in_range(pgd_json_count(top), 2, 3);
    }
    pgd_json_free(&doc);
}

static void echo_scores_the_prompt(void **state) {
    (void)state;
    static const char *const max[] = {"0", "3"};
    for (int k = 0; k < 2; k++) {
        char body[256];
        (void)snprintf(
            body, sizeof body,
            "{\"model\":\"small\",\"prompt\":\"h\xC3\xA9y\",\"echo\":true,\"logprobs\":1,"
            "\"max_tokens\":%s,\"seed\":2,\"ignore_eos\":true}",
            max[k]);
        pgd_json_doc *doc = post(PGD_ROUTE_COMPLETIONS, body);
        const pgd_json *const c = test_at(pgd_json_root(doc), "choices.0");
        pgd_sv text;
        assert_true(pgd_json_as_str(test_at(c, "text"), &text));
        assert_true(pgd_sv_starts(text, PGD_SV("h\xC3\xA9y")));
        if (k == 0) assert_int_equal(text.n, 4);
        const pgd_json *const lp = test_at(c, "logprobs");
        assert_int_equal(pgd_json_count(test_at(lp, "tokens")), k ? 8 : 5); /* BOS h C3 A9 y */
        assert_true(pgd_json_is_null(test_at(lp, "token_logprobs.0")));
        assert_true(pgd_json_is_null(test_at(lp, "top_logprobs.0")));
        double v;
        for (int i = 1; i < 5; i++) {
            char path[32];
            (void)snprintf(path, sizeof path, "token_logprobs.%d", i);
            assert_true(pgd_json_as_f64(test_at(lp, path), &v));
        }
        test_str_is(lp, "tokens.0", "<|bos|>");
        test_str_is(lp, "tokens.2", "bytes:\\xc3");
        test_int_is(lp, "text_offset.0", 0);
        test_int_is(lp, "text_offset.1", 0);
        test_int_is(lp, "text_offset.4", 2); /* h, e-acute, then y */
        if (k) test_int_is(lp, "text_offset.5", 3);
        test_int_is(pgd_json_root(doc), "usage.completion_tokens", k ? 3 : 0);
        test_str_is(c, "finish_reason", "length");
        pgd_json_free(&doc);
    }
}

static void scores_do_not_depend_on_the_cache(void **state) {
    (void)state;
    static const char body[] =
        "{\"model\":\"small\",\"prompt\":\"0123456789012345678901234567890123"
        "4567890123456789\",\"echo\":true,\"logprobs\":2,\"max_tokens\":0}";
    fold a, b;
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, body, 0, &a);
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, body, 0, &b);
    pgd_buf_clear(&a.usage);
    fold_assert_equal(&a, &b);
    assert_int_equal(a.choice[0].n_logprobs, 51);
    fold_fini(&a);
    fold_fini(&b);
}

static void nothing_to_do_is_answered_without_the_engine(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"small\",\"prompt\":[65],\"max_tokens\":0}",
        "{\"model\":\"small\",\"prompt\":\"hello\",\"max_tokens\":0,\"echo\":true}",
        "{\"model\":\"small\",\"prompt\":[65],\"max_tokens\":0,\"echo\":true,\"logprobs\":1}",
        "{\"model\":\"small\",\"prompt\":\"hello\",\"max_tokens\":0,\"echo\":true,\"stream\":true}",
    };
    static const char *const want[] = {"", "hello", "A", "hello"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        fold f;
        rig_fold(&r, PGD_ROUTE_COMPLETIONS, bodies[i], 0, &f);
        assert_string_equal(f.choice[0].text.p ? f.choice[0].text.p : "", want[i]);
        assert_string_equal(f.choice[0].finish.p, "length");
        fold_fini(&f);
    }
}

static void tokens_may_be_named_by_id(void **state) {
    (void)state;
    pgd_json_doc *doc =
        post(PGD_ROUTE_COMPLETIONS, "{\"model\":\"small\",\"prompt\":\"hi\",\"logprobs\":0,"
                                    "\"echo\":true,\"max_tokens\":0,"
                                    "\"return_tokens_as_token_ids\":true}");
    test_str_is(pgd_json_root(doc), "choices.0.logprobs.tokens.0", "token_id:266");
    test_str_is(pgd_json_root(doc), "choices.0.logprobs.tokens.1", "token_id:104");
    pgd_json_free(&doc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_chat_logprobs_join_to_the_text),
        cmocka_unit_test(chat_without_top_logprobs_has_empty_lists),
        cmocka_unit_test(the_old_form_has_four_arrays_of_one_length),
        cmocka_unit_test(echo_scores_the_prompt),
        cmocka_unit_test(scores_do_not_depend_on_the_cache),
        cmocka_unit_test(nothing_to_do_is_answered_without_the_engine),
        cmocka_unit_test(tokens_may_be_named_by_id),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
