/* Stop strings: matching against a naive search, and the bound on what is held back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/stop.h"
#include "support.h"

static pgd_arena *arena;

static int make_arena(void **state) {
    (void)state;
    return pgd_arena_create(&arena, 0) == PGD_OK ? 0 : -1;
}

static int drop_arena(void **state) {
    (void)state;
    pgd_arena_destroy(&arena);
    return 0;
}

static void a_stop_string_split_over_pieces_is_found(void **state) {
    (void)state;
    api_stops s = {0};
    assert_int_equal(api_stops_add(&s, arena, PGD_SV("STOP")), PGD_OK);
    api_stop_scan scan = {0};
    api_stop_hit hit;
    assert_false(api_stop_feed(&s, &scan, "hello S", 7, &hit));
    assert_int_equal(api_stop_hold(&s, &scan), 1);
    assert_false(api_stop_feed(&s, &scan, "TO", 2, &hit));
    assert_int_equal(api_stop_hold(&s, &scan), 3);
    assert_true(api_stop_feed(&s, &scan, "P now", 5, &hit));
    assert_int_equal(hit.end, 1);
    assert_int_equal(hit.len_bytes, 4);
}

static void the_longest_of_strings_that_end_together_wins(void **state) {
    (void)state;
    api_stops s = {0};
    assert_int_equal(api_stops_add(&s, arena, PGD_SV("OP")), PGD_OK);
    assert_int_equal(api_stops_add(&s, arena, PGD_SV("STOP")), PGD_OK);
    api_stop_scan scan = {0};
    api_stop_hit hit;
    assert_true(api_stop_feed(&s, &scan, "xSTOP", 5, &hit));
    assert_int_equal(hit.which, 1);
    assert_int_equal(hit.len_bytes, 4);
}

static void bad_lengths_and_too_many_are_refused(void **state) {
    (void)state;
    api_stops s = {0};
    char big[API_MAX_STOP_BYTES + 1];
    memset(big, 'a', sizeof big);
    assert_int_equal(api_stops_add(&s, arena, (pgd_sv){big, 0}), PGD_E_LIMIT);
    assert_int_equal(api_stops_add(&s, arena, (pgd_sv){big, sizeof big}), PGD_E_LIMIT);
    for (int i = 0; i < API_MAX_STOPS; i++)
        assert_int_equal(api_stops_add(&s, arena, (pgd_sv){big, sizeof big - 1}), PGD_OK);
    assert_int_equal(api_stops_add(&s, arena, PGD_SV("x")), PGD_E_LIMIT);
    /* sixteen runs of one letter, the worst text for them: still linear, and nothing is found */
    api_stop_scan scan = {0};
    api_stop_hit hit;
    for (int i = 0; i < 64; i++) {
        assert_false(api_stop_feed(&s, &scan, big, API_MAX_STOP_BYTES - 1, &hit));
        assert_int_equal(api_stop_hold(&s, &scan), API_MAX_STOP_BYTES - 1);
        assert_false(api_stop_feed(&s, &scan, "b", 1, &hit));
    }
}

/* Where the first match of any pattern ends in text[0..n), SIZE_MAX when nowhere. */
static size_t naive(const api_stops *s, const char *text, size_t n) {
    for (size_t end = 1; end <= n; end++)
        for (uint32_t i = 0; i < s->n; i++)
            if (s->text[i].n <= end &&
                memcmp(text + end - s->text[i].n, s->text[i].p, s->text[i].n) == 0)
                return end;
    return SIZE_MAX;
}

/* The longest suffix of text that begins some pattern. */
static size_t naive_hold(const api_stops *s, const char *text, size_t n) {
    size_t best = 0;
    for (uint32_t i = 0; i < s->n; i++)
        for (size_t k = 1; k < s->text[i].n && k <= n; k++)
            if (k > best && memcmp(text + n - k, s->text[i].p, k) == 0) best = k;
    return best;
}

static void random_texts_agree_with_naive_search(void **state) {
    (void)state;
    uint64_t seed = 20260101;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 3000; round++) {
        api_stops s = {0};
        char pat[6], text[40];
        const uint32_t n_pat = 1 + (uint32_t)(test_rand(&seed) % 4);
        for (uint32_t i = 0; i < n_pat; i++) {
            const size_t n = 1 + test_rand(&seed) % sizeof pat;
            for (size_t k = 0; k < n; k++)
                pat[k] = (char)('a' + test_rand(&seed) % 2);
            assert_int_equal(api_stops_add(&s, arena, (pgd_sv){pat, n}), PGD_OK);
        }
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = (char)('a' + test_rand(&seed) % 2);
        const size_t want = naive(&s, text, sizeof text);
        api_stop_scan scan = {0};
        api_stop_hit hit;
        size_t at = 0, got = SIZE_MAX;
        while (at < sizeof text && got == SIZE_MAX) {
            size_t n = 1 + test_rand(&seed) % 5;
            if (n > sizeof text - at) n = sizeof text - at;
            if (api_stop_feed(&s, &scan, text + at, n, &hit))
                got = at + hit.end;
            else
                assert_int_equal(api_stop_hold(&s, &scan), naive_hold(&s, text, at + n));
            at += n;
        }
        assert_int_equal(got, want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_string_split_over_pieces_is_found),
        cmocka_unit_test(the_longest_of_strings_that_end_together_wins),
        cmocka_unit_test(bad_lengths_and_too_many_are_refused),
        cmocka_unit_test(random_texts_agree_with_naive_search),
    };
    return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
