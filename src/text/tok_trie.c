/* Byte trie in breadth-first order: the children of a node are neighbours, so a node is nine bytes
 * and a step touches one or two cache lines.
 *
 * Built from sorted keys: the keys below a node are one range of the sorted array, its children are
 * the runs of equal bytes at its depth. Node 0 is the root. Thread: the builder's. Does not support
 * changes after the build. */
#include "tok_trie.h"

#include <stdlib.h>
#include <string.h>

#include "pagoda/mem.h"
#include "tok_text.h"

/* Range of sorted keys below a node and the node's depth in bytes. */
typedef struct span_of_keys {
    size_t lo, hi;
    size_t depth;
} span_of_keys;

typedef struct sort_key {
    pgd_sv key;
    int32_t value;
    size_t order;
} sort_key;

static int compare_keys(const void *pa, const void *pb) {
    const sort_key *const a = pa;
    const sort_key *const b = pb;
    const size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
    const int c = n == 0 ? 0 : memcmp(a->key.p, b->key.p, n);
    if (c != 0) return c;
    if (a->key.n != b->key.n) return a->key.n < b->key.n ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static bool grow_nodes(pgd_tok_trie *t, span_of_keys **work) {
    if (t->n < t->cap) return true;
    const size_t want = t->cap == 0 ? 256 : t->cap * 2;
    uint32_t *const first = pgd_realloc(t->first, want * sizeof *first);
    if (first != NULL) t->first = first;
    uint16_t *const kids = pgd_realloc(t->n_kids, want * sizeof *kids);
    if (kids != NULL) t->n_kids = kids;
    uint8_t *const label = pgd_realloc(t->label, want);
    if (label != NULL) t->label = label;
    int32_t *const value = pgd_realloc(t->value, want * sizeof *value);
    if (value != NULL) t->value = value;
    span_of_keys *const w = pgd_realloc(*work, want * sizeof *w);
    if (w != NULL) *work = w;
    if (first == NULL || kids == NULL || label == NULL || value == NULL || w == NULL) return false;
    t->cap = want;
    return true;
}

static pgd_status add_node(pgd_tok_trie *t, span_of_keys **work, uint8_t label, span_of_keys keys) {
    if (t->n >= INT32_MAX) return PGD_E_LIMIT;
    if (!grow_nodes(t, work)) return PGD_E_NOMEM;
    PGD_ASSERT(*work != NULL && t->first != NULL);
    t->first[t->n] = 0;
    t->n_kids[t->n] = 0;
    t->label[t->n] = label;
    t->value[t->n] = -1;
    (*work)[t->n] = keys;
    t->n++;
    return PGD_OK;
}

/* Give node its value and its children, which are appended. */
static pgd_status expand(pgd_tok_trie *t, span_of_keys **work, const sort_key *keys, size_t node) {
    const span_of_keys s = (*work)[node];
    size_t i = s.lo;
    for (; i < s.hi && keys[i].key.n == s.depth; i++) {
        if (s.depth > 0) t->value[node] = keys[i].value;
    }
    t->first[node] = (uint32_t)t->n;
    while (i < s.hi) {
        const uint8_t c = (uint8_t)keys[i].key.p[s.depth];
        size_t j = i + 1;
        while (j < s.hi && (uint8_t)keys[j].key.p[s.depth] == c) {
            j++;
        }
        PGD_TRY(add_node(t, work, c, (span_of_keys){i, j, s.depth + 1}));
        t->n_kids[node]++;
        i = j;
    }
    return PGD_OK;
}

pgd_status pgd_tok_trie_build(pgd_tok_trie *t, pgd_tok_key *keys, size_t n) {
    *t = (pgd_tok_trie){0};
    sort_key *const sorted = pgd_calloc(n + 1, sizeof *sorted);
    if (sorted == NULL) return PGD_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (sort_key){keys[i].key, keys[i].value, i};
    }
    qsort(sorted, n, sizeof *sorted, compare_keys);
    span_of_keys *work = NULL;
    pgd_status st = add_node(t, &work, 0, (span_of_keys){0, n, 0});
    for (size_t node = 0; st == PGD_OK && node < t->n; node++) {
        st = expand(t, &work, sorted, node);
    }
    if (st == PGD_OK) {
        for (uint32_t k = 0; k < t->n_kids[0]; k++) {
            t->root[t->label[t->first[0] + k]] = t->first[0] + k;
        }
    } else {
        pgd_tok_trie_fini(t);
    }
    pgd_free(work);
    pgd_free(sorted);
    return st;
}

void pgd_tok_trie_fini(pgd_tok_trie *t) {
    pgd_free(t->first);
    pgd_free(t->n_kids);
    pgd_free(t->label);
    pgd_free(t->value);
    *t = (pgd_tok_trie){0};
}
