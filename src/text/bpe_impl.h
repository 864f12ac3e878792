/* Inside of the BPE model, shared by its two files. */
#ifndef PGD_TEXT_BPE_IMPL_H
#define PGD_TEXT_BPE_IMPL_H

#include "tok_model.h"

enum {
    PGD_BPE_LOW_CHARS = 0x800,   /* code points of one and two bytes have a direct table */
    PGD_BPE_JOIN_BITS = 1 << 20, /* size of the filter of joinable characters */
    PGD_BPE_LONG_RUN = 64,       /* runs above this length are merged by buckets */
};

typedef struct pgd_bpe_merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: empty slot */
    uint32_t rank;
    int32_t new_id;
} pgd_bpe_merge;

/* First and last code point of a token's string. */
typedef struct pgd_bpe_edges {
    uint32_t first, last;
} pgd_bpe_edges;

struct pgd_bpe {
    const pgd_tok_vocab *vocab;
    pgd_bpe_merge *slots; /* [mask + 1] */
    size_t mask;
    size_t n_merges;                /* ranks are below this */
    pgd_bpe_edges *edges;           /* [vocab->n_ids] */
    uint64_t *joins;                /* bit per hashed (last, first) that some merge joins */
    int32_t low[PGD_BPE_LOW_CHARS]; /* id of a code point alone, -1 when none */
    int32_t bytes[256];             /* byte fallback */
    int32_t unk;                    /* -1: unknown characters vanish */
    pgd_sv prefix, suffix;          /* continuing subword prefix, end of word suffix */
    bool byte_fallback, fuse_unk, ignore_merges;
};

static inline size_t pgd_bpe_slot(uint64_t pair, size_t mask) {
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
    return (size_t)h & mask;
}

static inline const pgd_bpe_merge *pgd_bpe_find(const pgd_bpe *m, int32_t left, int32_t right) {
    const uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t i = pgd_bpe_slot(pair, m->mask);; i = (i + 1) & m->mask) {
        if (m->slots[i].pair == pair) return &m->slots[i];
        if (m->slots[i].pair == UINT64_MAX) return NULL;
    }
}

static inline size_t pgd_bpe_join_bit(uint32_t last, uint32_t first) {
    uint64_t h = ((uint64_t)last << 32 | first) * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 40) & (PGD_BPE_JOIN_BITS - 1);
}

/* Merge w->symbols[0..n), one word's initial symbols, until no merge applies; what is left is the
 * list that starts at 0 and follows `next`. Errors: PGD_E_NOMEM. */
pgd_status pgd_bpe_merge_word(const pgd_bpe *m, pgd_tok_work *w, size_t n);

#endif
