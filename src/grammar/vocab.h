/* The vocabulary trie. Immutable after creation. */
#ifndef PAGODA_GRAMMAR_VOCAB_H
#define PAGODA_GRAMMAR_VOCAB_H

#include "pagoda/grammar.h"

enum {
    PGD_TOKEN_BYTES_MAX = 1024,
    PGD_SLICES = 7,
    PGD_NEED_FREE = 254, /* slice level: any number of plain characters */
    PGD_NEED_OTHER = 255 /* some token below is not plain text */
};

/* In depth-first order; node 0 is the root. A node's tokens are tok[first .. next node's first). */
typedef struct pgd_trie_node {
    uint32_t skip; /* nodes of the subtree, this one included */
    uint32_t first;
    uint16_t depth; /* bytes from the root */
    uint8_t byte;
    uint8_t need; /* most plain characters of a token in the subtree, or PGD_NEED_* */
} pgd_trie_node;

struct pgd_vocab {
    uint32_t n_tokens, n_eos, max_len;
    size_t n_words;
    uint32_t *eos;
    uint32_t *start; /* [n_tokens + 1] into bytes */
    char *bytes;
    pgd_trie_node *trie;
    uint32_t n_trie;
    uint32_t *tok;
    uint32_t *slices; /* [PGD_SLICES][n_words]: tokens of at most slice_need[i] plain characters */
};

extern const uint8_t pgd_slice_need[PGD_SLICES];

/* Plain characters: what JSON strings hold unescaped and a regex's dot matches: printable ASCII
 * without quote and backslash, and any character above it but the two line separators. */
static inline bool pgd_is_plain(uint32_t cp) {
    if (cp < 0x80) return cp >= 0x20 && cp < 0x7F && cp != '"' && cp != '\\';
    return cp != 0x2028 && cp != 0x2029;
}

#endif
