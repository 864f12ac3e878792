/* What the fuzz targets of the grammar compilers share. Beyond not crashing: a refusal has a
 * message and one of the documented codes; a compiled grammar has a first mask with a bit in it; a
 * walk over masks, steered by the input's bytes, is never stuck, and what the mask allows advances,
 * unless a limit says so; what a matcher took back it can do again. */
#ifndef TESTS_FUZZ_GRAMMAR_FUZZ_H
#define TESTS_FUZZ_GRAMMAR_FUZZ_H

#include <stdint.h>
#include <string.h>

#include "pagoda/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_TOKENS = 262, FUZZ_WORDS = 9, FUZZ_STEPS = 24 };

static inline pgd_vocab *grammar_fuzz_vocab(void) {
    static const char *const texts[] = {"\":", "{\"", "aa", "\xc3\xa9", "12"};
    char bytes[256];
    pgd_sv tokens[FUZZ_TOKENS];
    const uint32_t eos = FUZZ_TOKENS - 1;
    pgd_vocab *v = NULL;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        tokens[i] = (pgd_sv){&bytes[i], 1};
    }
    for (int i = 256; i < FUZZ_TOKENS - 1; i++)
        tokens[i] = pgd_sv_c(texts[i - 256]);
    tokens[eos] = PGD_SV("");
    return pgd_vocab_create(&v, tokens, FUZZ_TOKENS, &eos, 1, NULL) == PGD_OK ? v : NULL;
}

static inline void grammar_fuzz_walk(pgd_grammar *g, const uint8_t *data, size_t size) {
    pgd_matcher *m = NULL;
    uint32_t bits[FUZZ_WORDS], again[FUZZ_WORDS];
    if (pgd_matcher_create(&m, g) != PGD_OK) return;
    for (size_t step = 0; step < FUZZ_STEPS; step++) {
        uint32_t allowed[FUZZ_TOKENS], n = 0;
        pgd_error err = {0};
        const pgd_status st = pgd_matcher_mask(m, bits, &err);
        PGD_ASSERT(st == PGD_OK || (st == PGD_E_LIMIT && err.msg[0]));
        if (st != PGD_OK) break;
        for (uint32_t id = 0; id < FUZZ_TOKENS; id++)
            if (bits[id / 32] >> (id % 32) & 1) allowed[n++] = id;
        PGD_ASSERT(n > 0);
        const uint32_t id = allowed[(size ? data[step % size] * 31u + step : step) % n];
        const pgd_status went = pgd_matcher_advance(m, id, &err);
        PGD_ASSERT(went == PGD_OK || (went == PGD_E_LIMIT && err.msg[0]));
        if (went != PGD_OK) break;
        PGD_ASSERT(pgd_matcher_rollback(m, 1, NULL) == PGD_OK);
        if (pgd_matcher_mask(m, again, NULL) == PGD_OK)
            PGD_ASSERT(memcmp(bits, again, sizeof bits) == 0);
        if (pgd_matcher_advance(m, id, NULL) != PGD_OK || id == FUZZ_TOKENS - 1) break;
    }
    pgd_matcher_destroy(&m);
}

static inline void grammar_fuzz(pgd_grammar_kind kind, const uint8_t *data, size_t size) {
    pgd_grammar_limits lim = pgd_grammar_limits_default;
    const pgd_grammar_spec spec = {.kind = kind,
                                   .text = {(const char *)data, size},
                                   .space = size % 2 ? PGD_JSON_SPACE_ANY : PGD_JSON_SPACE_NONE};
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    lim.max_nodes = 20000;
    lim.max_states = 40000;
    lim.max_steps = 400000;
    lim.max_mask_steps = 200000;
    lim.run_bytes = 1 << 20;
    lim.mask_bytes = 1 << 12;
    pgd_vocab *v = grammar_fuzz_vocab();
    if (!v) return;
    const pgd_status st = pgd_grammar_compile(&g, &spec, v, &lim, &err);
    if (st == PGD_OK) {
        grammar_fuzz_walk(g, data, size);
    } else {
        PGD_ASSERT(!g && err.msg[0]);
        PGD_ASSERT(st == PGD_E_INVALID || st == PGD_E_UNSUPPORTED || st == PGD_E_LIMIT);
    }
    pgd_grammar_release(&g);
    pgd_vocab_destroy(&v);
}

#endif
