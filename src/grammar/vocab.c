/* Tokens as a byte trie.
 *
 * The trie is an array in depth-first order: walking all of it is a forward scan, and leaving a
 * subtree out is one addition. Beside it lie bitmasks ("slices") of the tokens that are nothing but
 * up to n plain characters: nine in ten of a usual vocabulary, which inside a string are decided
 * together instead of one by one (mask.c).
 * Immutable after creation; shared by any number of threads. */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

#include "ir.h"
#include "pagoda/mem.h"

const uint8_t pgd_slice_need[PGD_SLICES] = {1, 2, 4, 6, 8, 16, PGD_NEED_FREE};

typedef struct entry {
    const char *p;
    uint32_t n, id;
} entry;

static int by_bytes(const void *a, const void *b) {
    const entry *const x = a, *const y = b;
    const int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    if (c) return c;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Plain characters of a token, or PGD_NEED_OTHER. */
static uint8_t need_of(const char *p, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; count++) {
        uint32_t cp = 0;
        const size_t len = pgd_utf8_decode(p + i, n - i, &cp);
        if (len == 0 || !pgd_is_plain(cp)) return PGD_NEED_OTHER;
        i += len;
    }
    return (uint8_t)(count < PGD_NEED_FREE ? count : PGD_NEED_FREE);
}

static void add_to_slices(pgd_vocab *v, uint32_t id, uint8_t need) {
    for (size_t i = 0; i < PGD_SLICES; i++)
        if (need <= pgd_slice_need[i]) v->slices[i * v->n_words + id / 32] |= 1u << (id % 32);
}

/* Make the nodes of the sorted entries[0..n). All nodes of a new path begin at its entry, so only
 * the deepest of them has tokens: of the others the next node's `first` is the same. */
static bool build_trie(pgd_vocab *v, const entry *entries, uint32_t n) {
    size_t cap = 0, n_nodes = 0;
    void *nodes = NULL;
    for (uint32_t i = 0; i < n; i++) {
        size_t common = 0;
        if (i > 0)
            while (common < entries[i].n && common < entries[i - 1].n &&
                   entries[i].p[common] == entries[i - 1].p[common])
                common++;
        for (size_t d = i > 0 ? common + 1 : 0; d <= entries[i].n; d++) {
            if (!pgd_gr_reserve(&nodes, n_nodes, &cap, sizeof(pgd_trie_node))) {
                pgd_free(nodes);
                return false;
            }
            ((pgd_trie_node *)nodes)[n_nodes++] = (pgd_trie_node){
                .first = i, .depth = (uint16_t)d, .byte = d ? (uint8_t)entries[i].p[d - 1] : 0};
        }
        v->tok[i] = entries[i].id;
    }
    /* one more, so that the last node's tokens have an end */
    if (!pgd_gr_reserve(&nodes, n_nodes, &cap, sizeof(pgd_trie_node))) {
        pgd_free(nodes);
        return false;
    }
    v->trie = nodes;
    v->trie[n_nodes] = (pgd_trie_node){.first = n};
    v->n_trie = (uint32_t)n_nodes;
    return true;
}

/* How large each subtree is: a node is closed by the first later one that is no deeper. */
static void close_nodes(pgd_vocab *v) {
    uint32_t open[PGD_TOKEN_BYTES_MAX + 2], depth = 0; /* open[0..depth): the path to here */
    for (uint32_t i = 0; i <= v->n_trie; i++) {
        const uint32_t d = i < v->n_trie ? v->trie[i].depth : 0;
        for (; depth > d; depth--)
            v->trie[open[depth - 1]].skip = i - open[depth - 1];
        open[depth++] = i;
    }
}

/* What the tokens of each subtree need, from the leaves up. */
static void sum_needs(pgd_vocab *v) {
    for (uint32_t i = v->n_trie; i-- > 0;) {
        pgd_trie_node *const t = &v->trie[i];
        for (uint32_t k = t->first; k < v->trie[i + 1].first; k++) {
            const uint32_t id = v->tok[k];
            const uint8_t need = need_of(v->bytes + v->start[id], v->start[id + 1] - v->start[id]);
            if (need > t->need) t->need = need;
            add_to_slices(v, id, need);
        }
        for (uint32_t c = i + 1; c < i + t->skip; c += v->trie[c].skip)
            if (v->trie[c].need > t->need) t->need = v->trie[c].need;
    }
}

/* Copy the bytes of usable tokens and list them. */
static uint32_t copy_tokens(pgd_vocab *v, const pgd_sv *tokens, entry *entries) {
    uint32_t n = 0, at = 0;
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        size_t len = tokens[id].n > PGD_TOKEN_BYTES_MAX ? 0 : tokens[id].n;
        for (uint32_t k = 0; k < v->n_eos; k++)
            if (v->eos[k] == id) len = 0;
        v->start[id] = at;
        if (len == 0) continue;
        memcpy(v->bytes + at, tokens[id].p, len);
        entries[n++] = (entry){v->bytes + at, (uint32_t)len, id};
        at += (uint32_t)len;
        if (len > v->max_len) v->max_len = (uint32_t)len;
    }
    v->start[v->n_tokens] = at;
    return n;
}

static bool fill(pgd_vocab *v, const pgd_sv *tokens) {
    size_t total = 1;
    for (uint32_t id = 0; id < v->n_tokens; id++)
        if (tokens[id].n <= PGD_TOKEN_BYTES_MAX) total += tokens[id].n;
    entry *const entries = pgd_calloc((size_t)v->n_tokens + 1, sizeof *entries);
    v->start = pgd_calloc((size_t)v->n_tokens + 1, sizeof *v->start);
    v->tok = pgd_calloc((size_t)v->n_tokens + 1, sizeof *v->tok);
    v->slices = pgd_calloc(PGD_SLICES * v->n_words + 1, sizeof *v->slices);
    v->bytes = total < UINT32_MAX ? pgd_malloc(total) : NULL;
    bool ok = entries && v->start && v->tok && v->slices && v->bytes;
    if (ok) {
        const uint32_t n = copy_tokens(v, tokens, entries);
        if (n > 1) qsort(entries, n, sizeof *entries, by_bytes);
        ok = build_trie(v, entries, n);
    }
    if (ok) {
        close_nodes(v);
        sum_needs(v);
    }
    pgd_free(entries);
    return ok;
}

pgd_status pgd_vocab_create(pgd_vocab **out, const pgd_sv *tokens, uint32_t n, const uint32_t *eos,
                            uint32_t n_eos, pgd_error *err) {
    for (uint32_t i = 0; i < n_eos; i++)
        if (eos[i] >= n)
            return pgd_fail(err, PGD_E_INVALID, "end token %u of a vocabulary of %u", eos[i], n);
    pgd_vocab *v = pgd_calloc(1, sizeof *v);
    if (v) {
        v->n_tokens = n;
        v->n_words = ((size_t)n + 31) / 32;
        v->n_eos = n_eos;
        v->eos = pgd_calloc((size_t)n_eos + 1, sizeof *v->eos);
        if (v->eos && n_eos) memcpy(v->eos, eos, n_eos * sizeof *eos);
    }
    if (!v || !v->eos || !fill(v, tokens)) {
        pgd_vocab_destroy(&v);
        return pgd_fail(err, PGD_E_NOMEM, "out of memory for a vocabulary of %u tokens", n);
    }
    *out = v;
    return PGD_OK;
}

void pgd_vocab_destroy(pgd_vocab **pv) {
    pgd_vocab *const v = *pv;
    if (!v) return;
    pgd_free(v->eos);
    pgd_free(v->start);
    pgd_free(v->bytes);
    pgd_free(v->trie);
    pgd_free(v->tok);
    pgd_free(v->slices);
    pgd_free(v);
    *pv = NULL;
}

uint32_t pgd_vocab_size(const pgd_vocab *v) {
    return v->n_tokens;
}

size_t pgd_vocab_mask_words(const pgd_vocab *v) {
    return v->n_words;
}
