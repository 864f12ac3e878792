/* A byte trie over a fixed set of keys: longest and common prefixes of a text. Immutable after
 * build; any thread may read it. Private to the tokenizer. */
#ifndef PGD_TEXT_TOK_TRIE_H
#define PGD_TEXT_TOK_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_tok_trie {
    uint32_t *first;    /* [n] first child; children are consecutive and ordered by label */
    uint16_t *n_kids;   /* [n] 0..256 */
    uint8_t *label;     /* [n] byte on the edge from the parent */
    int32_t *value;     /* [n] value of the key that ends here, -1 when none does */
    uint32_t root[256]; /* child of the root per byte, 0 when none */
    size_t n, cap;
} pgd_tok_trie;

typedef struct pgd_tok_key {
    pgd_sv key;
    int32_t value; /* >= 0 */
} pgd_tok_key;

/* Build from keys[0..n), which it reorders; of equal keys the last one counts, empty ones are left
 * out. Errors: PGD_E_NOMEM, PGD_E_LIMIT (over 2^31 nodes). */
pgd_status pgd_tok_trie_build(pgd_tok_trie *t, pgd_tok_key *keys, size_t n);
void pgd_tok_trie_fini(pgd_tok_trie *t);

/* The child of node by byte c, or 0 (the root is nobody's child). */
static inline uint32_t pgd_tok_trie_step(const pgd_tok_trie *t, uint32_t node, uint8_t c) {
    if (node == 0) return t->root[c];
    uint32_t lo = t->first[node], hi = lo + t->n_kids[node];
    while (hi - lo > 4) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (t->label[mid] <= c) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    for (; lo < hi; lo++) {
        if (t->label[lo] == c) return lo;
    }
    return 0;
}

#endif
