/* What the grammar tests share: small vocabularies, compiling in one line, matching a whole text.
 */
#ifndef TESTS_UNIT_GRAMMAR_GR_TEST_H
#define TESTS_UNIT_GRAMMAR_GR_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/grammar.h"

/* Every byte (ids 0..255), then the given texts, then the end token, which is last. */
static inline pgd_vocab *gr_vocab(const char *const *texts, size_t n_texts) {
    static char bytes[256];
    pgd_sv *const tokens = calloc(257 + n_texts, sizeof *tokens);
    pgd_vocab *v = NULL;
    const uint32_t eos = (uint32_t)(256 + n_texts);
    assert_non_null(tokens);
    for (size_t i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        tokens[i] = (pgd_sv){&bytes[i], 1};
    }
    for (size_t i = 0; i < n_texts; i++)
        tokens[256 + i] = pgd_sv_c(texts[i]);
    tokens[eos] = PGD_SV("</s>");
    assert_int_equal(pgd_vocab_create(&v, tokens, eos + 1, &eos, 1, NULL), PGD_OK);
    free(tokens);
    return v;
}

static inline pgd_status gr_compile(pgd_grammar **g, pgd_grammar_kind kind, const char *text,
                                    const pgd_vocab *v, pgd_error *err) {
    const pgd_grammar_spec spec = {.kind = kind, .text = pgd_sv_c(text)};
    return pgd_grammar_compile(g, &spec, v, NULL, err);
}

/* Whether the grammar matches all of the text. */
static inline bool gr_accepts(pgd_grammar *g, pgd_sv text) {
    pgd_matcher *m = NULL;
    assert_int_equal(pgd_matcher_create(&m, g), PGD_OK);
    const bool yes = pgd_matcher_advance_bytes(m, text, NULL) == PGD_OK && pgd_matcher_accepts(m);
    pgd_matcher_destroy(&m);
    return yes;
}

/* One grammar against lists (NULL-terminated) of texts to accept and to reject. */
static inline void gr_check(const pgd_vocab *v, pgd_grammar_kind kind, const char *text,
                            const char *const *good, const char *const *bad) {
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    if (gr_compile(&g, kind, text, v, &err) != PGD_OK) fail_msg("%s: %s", text, err.msg);
    for (; *good; good++)
        if (!gr_accepts(g, pgd_sv_c(*good))) fail_msg("%s: rejects %s", text, *good);
    for (; *bad; bad++)
        if (gr_accepts(g, pgd_sv_c(*bad))) fail_msg("%s: accepts %s", text, *bad);
    pgd_grammar_release(&g);
}

/* Compiling must fail with this status and a message that holds `part`. */
static inline void gr_refused(const pgd_vocab *v, pgd_grammar_kind kind, const char *text,
                              pgd_status want, const char *part) {
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    const pgd_status st = gr_compile(&g, kind, text, v, &err);
    if (st != want || !strstr(err.msg, part))
        fail_msg("%.200s: status %s, message '%s'; wanted %s, '%s'", text, pgd_status_name(st),
                 err.msg, pgd_status_name(want), part);
    assert_null(g);
}

static inline bool gr_bit(const uint32_t *bits, uint32_t id) {
    return bits[id / 32] >> (id % 32) & 1;
}

#endif
