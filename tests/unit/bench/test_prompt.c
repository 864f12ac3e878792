/* Prompts: their length under a counting rule, what they share, and the choice of words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/prompt.h"

/* A vocabulary in which words of over seven letters are two tokens, plus 5 of a template. */
static pgd_status count(void *ctx, pgd_sv text, uint64_t *n, pgd_error *err) {
    (void)err;
    ++*(int *)ctx;
    *n = 5;
    for (size_t at = 0; at < text.n;) {
        size_t end = pgd_sv_find(text, PGD_SV(" "), at);
        if (end > text.n) end = text.n;
        *n += end - at > 7 ? 2 : 1;
        at = end + 1;
    }
    return PGD_OK;
}

static pgd_status count_letters(void *ctx, pgd_sv text, uint64_t *n, pgd_error *err) {
    (void)ctx;
    (void)err;
    *n = text.n;
    return PGD_OK;
}

static void words_of_two_tokens_are_left_out(void **state) {
    (void)state;
    bench_prompts p = {0};
    int calls = 0;
    assert_int_equal(bench_prompts_calibrate(&p, count, &calls, NULL), PGD_OK);
    assert_int_equal(p.extra, 5);
    assert_true(p.n_words > 100 && p.n_words < BENCH_MAX_WORDS);
    for (uint32_t i = 0; i < p.n_words; i++)
        assert_true(strlen(p.word[i]) <= 7);
    assert_true(calls < 100); /* groups first: not one call a word */
}

static void text_has_exactly_the_tokens_asked_for(void **state) {
    (void)state;
    bench_prompts p = {.seed = 3};
    int calls = 0;
    assert_int_equal(bench_prompts_calibrate(&p, count, &calls, NULL), PGD_OK);
    for (uint32_t n = 6; n < 200; n++) {
        const bench_item item = {.n_in = n, .n_prefix = n / 3};
        pgd_buf text = {0};
        bench_prompt_put(&p, &item, n, &text);
        assert_int_equal(text.p[0], '"');
        assert_int_equal(text.p[text.n - 1], '"');
        uint64_t got = 0;
        count(&calls, (pgd_sv){text.p + 1, text.n - 2}, &got, NULL);
        assert_int_equal(got, n);
        pgd_buf_fini(&text);
    }
}

static void a_vocabulary_without_our_words_is_an_error(void **state) {
    (void)state;
    bench_prompts p = {0};
    pgd_error err = {0};
    assert_int_equal(bench_prompts_calibrate(&p, count_letters, NULL, &err), PGD_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "single tokens"));
}

static uint32_t n_ids(const char *json) {
    uint32_t n = 1;
    for (; *json != '\0'; json++)
        n += *json == ',';
    return n;
}

static void token_arrays_have_their_length_and_range(void **state) {
    (void)state;
    const bench_prompts p = {.tokens = true, .seed = 1, .extra = 5, .ids = {1000, 1009}};
    for (uint32_t n = 1; n < 50; n++) {
        const bench_item item = {.n_in = n};
        pgd_buf text = {0};
        bench_prompt_put(&p, &item, n, &text);
        assert_int_equal(n_ids(text.p), n);
        for (const char *s = text.p; *s != ']'; s += 5)
            assert_int_equal(memcmp(s + 1, "100", 3), 0);
        pgd_buf_fini(&text);
    }
}

static void prompts_share_their_prefix_and_nothing_more(void **state) {
    (void)state;
    const bench_prompts p = {.tokens = true, .seed = 1, .ids = {10000, 99999}};
    const bench_item item = {.n_in = 30, .n_prefix = 20, .prefix = 4};
    bench_item other = item;
    other.prefix = 5;
    pgd_buf a = {0}, b = {0}, c = {0}, again = {0};
    bench_prompt_put(&p, &item, 1, &a);
    bench_prompt_put(&p, &item, 2, &b);
    bench_prompt_put(&p, &other, 1, &c);
    bench_prompt_put(&p, &item, 1, &again);
    assert_string_equal(a.p, again.p);
    assert_int_equal(memcmp(a.p, b.p, 20 * 6), 0); /* "[12345,...": 6 bytes an id */
    assert_int_not_equal(memcmp(a.p + 20 * 6, b.p + 20 * 6, 6), 0);
    assert_int_not_equal(memcmp(a.p, c.p, 6), 0);
    pgd_buf_fini(&a);
    pgd_buf_fini(&b);
    pgd_buf_fini(&c);
    pgd_buf_fini(&again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_two_tokens_are_left_out),
        cmocka_unit_test(text_has_exactly_the_tokens_asked_for),
        cmocka_unit_test(a_vocabulary_without_our_words_is_an_error),
        cmocka_unit_test(token_arrays_have_their_length_and_range),
        cmocka_unit_test(prompts_share_their_prefix_and_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
