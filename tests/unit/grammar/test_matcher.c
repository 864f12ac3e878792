/* Matchers: going on, going back, copies, bounded memory, bounded depth, failing allocations. */
#include "gr_test.h"

#include "pagoda/mem.h"
#include "pagoda/rng.h"

static const char *const TEXTS[] = {"{\"", "\":", ",\"", "12", "abc", "},{", "[[", "]]"};
enum { N_TEXTS = sizeof TEXTS / sizeof TEXTS[0], EOS = 256 + N_TEXTS, WORDS = (EOS + 32) / 32 };

static int setup(void **state) {
    *state = gr_vocab(TEXTS, N_TEXTS);
    return 0;
}

static int teardown(void **state) {
    pgd_vocab *v = *state;
    pgd_vocab_destroy(&v);
    return 0;
}

static uint32_t pick(const uint32_t *bits, uint64_t *rng) {
    uint32_t allowed[EOS + 1], n = 0;
    for (uint32_t id = 0; id < EOS; id++)
        if (gr_bit(bits, id)) allowed[n++] = id;
    return n ? allowed[pgd_rng_next(rng) % n] : EOS;
}

static void rollback_returns_to_the_same_masks(void **state) {
    pgd_grammar *g = NULL;
    pgd_matcher *m = NULL;
    uint32_t masks[40][WORDS] = {{0}}, again[WORDS] = {0};
    uint64_t rng = 42;
    uint32_t n = 0;
    assert_int_equal(gr_compile(&g, PGD_GRAMMAR_JSON_OBJECT, "", *state, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    for (; n < 39; n++) {
        assert_int_equal(pgd_matcher_mask(m, masks[n], NULL), PGD_OK);
        const uint32_t id = pick(masks[n], &rng);
        if (id == EOS) break;
        assert_int_equal(pgd_matcher_advance(m, id, NULL), PGD_OK);
    }
    assert_int_equal(pgd_matcher_undoable(m), n);
    while (n > 0) {
        const uint32_t back = 1 + (uint32_t)(pgd_rng_next(&rng) % (n < 3 ? n : 3));
        assert_int_equal(pgd_matcher_rollback(m, back, NULL), PGD_OK);
        n -= back;
        assert_int_equal(pgd_matcher_mask(m, again, NULL), PGD_OK);
        assert_memory_equal(again, masks[n], sizeof again);
    }
    pgd_error err = {0};
    assert_int_equal(pgd_matcher_rollback(m, 1, &err), PGD_E_INVALID);
    assert_int_equal(pgd_matcher_rollback(m, 0, NULL), PGD_OK);
    pgd_matcher_destroy(&m);
    pgd_grammar_release(&g);
}

static void rollback_undoes_the_end_and_keeps_64_tokens(void **state) {
    pgd_grammar *g = NULL;
    pgd_matcher *m = NULL;
    assert_int_equal(gr_compile(&g, PGD_GRAMMAR_REGEX, "a{100}b", *state, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(pgd_matcher_advance(m, 'a', NULL), PGD_OK);
    assert_int_equal(pgd_matcher_advance(m, 'a', NULL), PGD_E_INVALID);
    assert_int_equal(pgd_matcher_advance(m, 'b', NULL), PGD_OK);
    assert_true(pgd_matcher_done(m));
    assert_int_equal(pgd_matcher_advance(m, EOS, NULL), PGD_OK);
    assert_true(pgd_matcher_done(m));
    assert_int_equal(pgd_matcher_undoable(m), PGD_MATCHER_UNDO);
    assert_int_equal(pgd_matcher_rollback(m, PGD_MATCHER_UNDO + 1, NULL), PGD_E_INVALID);
    assert_int_equal(pgd_matcher_rollback(m, 1, NULL), PGD_OK);
    assert_true(pgd_matcher_accepts(m));
    assert_int_equal(pgd_matcher_rollback(m, PGD_MATCHER_UNDO - 1, NULL), PGD_OK);
    for (int i = 0; i < PGD_MATCHER_UNDO - 2; i++)
        assert_int_equal(pgd_matcher_advance(m, 'a', NULL), PGD_OK);
    assert_int_equal(pgd_matcher_advance(m, 'b', NULL), PGD_OK);
    pgd_matcher_destroy(&m);
    pgd_grammar_release(&g);
}

static void copies_go_their_own_way(void **state) {
    pgd_grammar *g = NULL;
    pgd_matcher *m = NULL, *copy = NULL;
    assert_int_equal(gr_compile(&g, PGD_GRAMMAR_REGEX, "(abc|abd)+", *state, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    pgd_grammar_release(&g); /* the matchers hold it */
    assert_int_equal(pgd_matcher_advance(m, 'a', NULL), PGD_OK);
    assert_int_equal(pgd_matcher_copy(&copy, m), PGD_OK);
    assert_int_equal(pgd_matcher_advance_bytes(copy, PGD_SV("bc"), NULL), PGD_OK);
    assert_true(pgd_matcher_accepts(copy));
    assert_false(pgd_matcher_accepts(m));
    assert_int_equal(pgd_matcher_rollback(copy, 2, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_advance_bytes(copy, PGD_SV("abd"), NULL), PGD_OK);
    pgd_matcher_destroy(&m);
    pgd_matcher_destroy(&copy);
}

/* Many matchers walk under so little memory that the states are collected again and again. */
static void small_memory_changes_no_mask(void **state) {
    pgd_grammar_limits lim = pgd_grammar_limits_default;
    const pgd_grammar_spec spec = {
        .kind = PGD_GRAMMAR_JSON_SCHEMA,
        .text =
            PGD_SV("{\"type\":\"array\",\"items\":{\"type\":\"object\",\"additionalProperties\":"
                   "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"maxLength\":50}}}}")};
    enum { N = 6, STEPS = 300 };
    pgd_grammar *big = NULL, *small = NULL;
    pgd_matcher *a[N] = {NULL}, *b[N] = {NULL};
    uint32_t x[WORDS] = {0}, y[WORDS] = {0};
    uint64_t rng = 7;
    lim.run_bytes = 400000;
    lim.mask_bytes = 4096;
    assert_int_equal(pgd_grammar_compile(&big, &spec, *state, NULL, NULL), PGD_OK);
    assert_int_equal(pgd_grammar_compile(&small, &spec, *state, &lim, NULL), PGD_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(pgd_matcher_create(&a[i], big), PGD_OK);
        assert_int_equal(pgd_matcher_create(&b[i], small), PGD_OK);
    }
    for (int step = 0; step < STEPS; step++) {
        const int i = step % N;
        pgd_error err = {0};
        assert_int_equal(pgd_matcher_mask(a[i], x, NULL), PGD_OK);
        if (pgd_matcher_mask(b[i], y, &err) != PGD_OK) fail_msg("step %d: %s", step, err.msg);
        assert_memory_equal(x, y, sizeof x);
        if (step % 11 == 10 && pgd_matcher_undoable(a[i]) >= 3) {
            assert_int_equal(pgd_matcher_rollback(a[i], 3, NULL), PGD_OK);
            assert_int_equal(pgd_matcher_rollback(b[i], 3, NULL), PGD_OK);
            continue;
        }
        const uint32_t id = pick(x, &rng);
        if (id == EOS) continue;
        assert_int_equal(pgd_matcher_advance(a[i], id, NULL), PGD_OK);
        assert_int_equal(pgd_matcher_advance(b[i], id, NULL), PGD_OK);
    }
    for (int i = 0; i < N; i++) {
        pgd_matcher_destroy(&a[i]);
        pgd_matcher_destroy(&b[i]);
    }
    assert_true(pgd_grammar_bytes(small) < pgd_grammar_bytes(big));
    pgd_grammar_release(&big);
    pgd_grammar_release(&small);
}

static void nesting_is_bounded_and_closes_in_time(void **state) {
    pgd_grammar_limits lim = pgd_grammar_limits_default;
    const pgd_grammar_spec spec = {.kind = PGD_GRAMMAR_JSON_SCHEMA, .text = PGD_SV("true")};
    pgd_grammar *g = NULL;
    pgd_matcher *m = NULL;
    uint32_t bits[WORDS] = {0}, depth = 0;
    lim.max_stack = 20;
    assert_int_equal(pgd_grammar_compile(&g, &spec, *state, &lim, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    while (depth < 100 && pgd_matcher_advance(m, '[', NULL) == PGD_OK)
        depth++;
    assert_in_range(depth, 10, 21);
    for (; depth > 0; depth--) {
        assert_int_equal(pgd_matcher_mask(m, bits, NULL), PGD_OK);
        assert_true(gr_bit(bits, ']'));
        assert_int_equal(pgd_matcher_advance(m, ']', NULL), PGD_OK);
    }
    assert_true(pgd_matcher_done(m));
    pgd_matcher_destroy(&m);
    pgd_grammar_release(&g);
}

static void too_ambiguous_a_text_is_an_error_and_not_a_hang(void **state) {
    pgd_grammar *g = NULL;
    pgd_matcher *m = NULL;
    pgd_error err = {0};
    const char *const text = "root ::= s\ns ::= \"a\" s \"b\"? s | \"a\" (s s | s)? \"c\"? | \"a\"";
    assert_int_equal(gr_compile(&g, PGD_GRAMMAR_EBNF, text, *state, NULL), PGD_OK);
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    pgd_status st = PGD_OK;
    for (int i = 0; i < 3000 && st == PGD_OK; i++)
        st = pgd_matcher_advance(m, 'a', &err);
    assert_true(st == PGD_OK || st == PGD_E_LIMIT);
    if (st == PGD_E_LIMIT) assert_true(err.msg[0]);
    pgd_matcher_destroy(&m);
    pgd_grammar_release(&g);
}

static void a_failed_allocation_anywhere_is_reported_and_leaks_nothing(void **state) {
    static const struct {
        pgd_grammar_kind kind;
        const char *text;
    } cases[] = {
        {PGD_GRAMMAR_JSON_SCHEMA, "{\"anyOf\":[{\"type\":\"string\",\"pattern\":\"^a\","
                                  "\"maxLength\":3},{\"type\":\"object\","
                                  "\"properties\":{\"a\":{\"multipleOf\":3}},\"patternProperties\":"
                                  "{\"b\":{\"$ref\":\"#\"}}},"
                                  "{\"enum\":[1,\"x\"]}]}"},
        {PGD_GRAMMAR_EBNF, "root ::= [a-z]{50,90} \"x\"i* | /a|b/ root"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pgd_status st = PGD_E_NOMEM;
        int64_t n = 0;
        for (; n < 20000 && st != PGD_OK; n++) {
            pgd_grammar *g = NULL;
            pgd_error err = {0};
            (void)pgd_mem_fail_after(n);
            st = gr_compile(&g, cases[i].kind, cases[i].text, *state, &err);
            (void)pgd_mem_fail_after(-1);
            if (st != PGD_OK && st != PGD_E_NOMEM)
                fail_msg("allocation %lld: %s: %s", (long long)n, pgd_status_name(st), err.msg);
            pgd_grammar_release(&g);
        }
        assert_int_equal(st, PGD_OK);
        assert_true(n > 20);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollback_returns_to_the_same_masks),
        cmocka_unit_test(rollback_undoes_the_end_and_keeps_64_tokens),
        cmocka_unit_test(copies_go_their_own_way),
        cmocka_unit_test(small_memory_changes_no_mask),
        cmocka_unit_test(nesting_is_bounded_and_closes_in_time),
        cmocka_unit_test(too_ambiguous_a_text_is_an_error_and_not_a_hang),
        cmocka_unit_test(a_failed_allocation_anywhere_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
