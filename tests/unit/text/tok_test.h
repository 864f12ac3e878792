/* Small helpers of the tokenizer tests. Include after cmocka.h. */
#ifndef PGD_TESTS_TOK_TEST_H
#define PGD_TESTS_TOK_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "pagoda/tokenizer.h"

/* A tokenizer of this JSON text; fails the test when it does not load. */
static inline pgd_tokenizer *tok_make(const char *json) {
    pgd_tokenizer *tok = NULL;
    pgd_error err = {0};
    if (pgd_tokenizer_parse(pgd_sv_c(json), &tok, &err) != PGD_OK) fail_msg("%s", err.msg);
    return tok;
}

/* Check that encoding text gives exactly want[0..n). */
static inline void tok_expect(const pgd_tokenizer *tok, pgd_sv text, unsigned flags,
                              const pgd_span *control, size_t n_control, const int32_t *want,
                              size_t n) {
    pgd_ids ids = {0};
    pgd_error err = {0};
    if (pgd_tokenizer_encode(tok, text, flags, control, n_control, &ids, &err) != PGD_OK) {
        fail_msg("%s", err.msg);
    }
    for (size_t i = 0; i < ids.n || i < n; i++) {
        if (i < ids.n && i < n && ids.v[i] == want[i]) continue;
        print_message("\"%.*s\":", (int)text.n, text.p);
        for (size_t k = 0; k < ids.n; k++) {
            print_message(" %d", (int)ids.v[k]);
        }
        print_message(", wanted");
        for (size_t k = 0; k < n; k++) {
            print_message(" %d", (int)want[k]);
        }
        print_message("\n");
        fail_msg("ids differ at %zu", i);
    }
    pgd_ids_fini(&ids);
}

#define TOK_IDS(...) ((const int32_t[]){__VA_ARGS__}), sizeof((const int32_t[]){__VA_ARGS__}) / 4

/* Deterministic random numbers: xorshift64*. */
static inline uint32_t tok_random(uint64_t *state, uint32_t below) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545F4914F6CDD1Du) >> 33) % below;
}

#endif
