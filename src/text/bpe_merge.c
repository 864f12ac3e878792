/* The merging of BPE: lowest rank first, leftmost of equals first, until nothing merges.
 *
 * A word is first cut into runs. If no merge of the vocabulary joins a token that ends in character
 * x to one that starts with y, nothing can ever merge across a border xy, so both sides are
 * separate words as far as merging goes. That makes texts without a pre-tokenizer (one "word" of a
 * megabyte) as cheap as words. The test is a bit per hashed pair: a false hit only leaves two runs
 * together.
 *
 * Short runs keep their candidate merges in a binary heap. Long runs, which only repetitive text
 * has, keep a queue per rank: positions come in almost sorted, so pushing and popping are
 * sequential where a heap of a million entries would miss the cache at every level. Either way a
 * run of n symbols costs O(n log n).
 *
 * A candidate whose pair no longer stands at its place is dropped when it surfaces. The test for
 * that is the one of `tokenizers`: the pair now at the place must merge to the same token, not have
 * the same rank. Thread: the call's. */
#include <string.h>

#include "bpe_impl.h"
#include "pagoda/mem.h"

/* ---- Candidates of short runs: a binary heap ---- */

static bool before(const pgd_tok_merge *a, const pgd_tok_merge *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->pos < b->pos;
}

static pgd_status heap_push(pgd_tok_work *w, pgd_tok_merge x) {
    if (w->heap_n == w->heap_cap) {
        pgd_tok_merge *const h = pgd_tok_grow(w->heap, &w->heap_cap, w->heap_n + 1, sizeof *h);
        if (h == NULL) return PGD_E_NOMEM;
        w->heap = h;
    }
    size_t i = w->heap_n++;
    while (i > 0 && before(&x, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = x;
    return PGD_OK;
}

static pgd_tok_merge heap_pop(pgd_tok_work *w) {
    const pgd_tok_merge top = w->heap[0];
    const pgd_tok_merge x = w->heap[--w->heap_n];
    size_t i = 0;
    for (;;) {
        size_t kid = 2 * i + 1;
        if (kid >= w->heap_n) break;
        if (kid + 1 < w->heap_n && before(&w->heap[kid + 1], &w->heap[kid])) kid++;
        if (!before(&w->heap[kid], &x)) break;
        w->heap[i] = w->heap[kid];
        i = kid;
    }
    w->heap[i] = x;
    return top;
}

/* ---- Candidates of long runs: a queue per rank ----
 *
 * w->queues[rank] is a linked list of w->waiting[] sorted by position, unless `unsorted` says that
 * it must be sorted before the next pop. The heap then holds each rank whose queue is not empty. */

static pgd_status queue_push(pgd_tok_work *w, pgd_tok_merge x) {
    pgd_tok_queue *const q = &w->queues[x.rank];
    if (w->waiting_n == w->waiting_cap) {
        pgd_tok_waiting *const p =
            pgd_tok_grow(w->waiting, &w->waiting_cap, w->waiting_n + 1, sizeof *p);
        if (p == NULL || w->waiting_n >= INT32_MAX) return PGD_E_NOMEM;
        w->waiting = p;
    }
    const int32_t at = (int32_t)w->waiting_n++;
    w->waiting[at] = (pgd_tok_waiting){x.pos, x.new_id, 0};
    if (q->head == 0) {
        *q = (pgd_tok_queue){at, at, false};
        return heap_push(w, (pgd_tok_merge){x.rank, 0, 0});
    }
    q->unsorted = q->unsorted || w->waiting[q->tail].pos > x.pos;
    w->waiting[q->tail].next = at;
    q->tail = at;
    return PGD_OK;
}

/* Merge two sorted lists. */
static int32_t merge_lists(pgd_tok_waiting *p, int32_t a, int32_t b) {
    int32_t head = 0, *end = &head;
    while (a != 0 && b != 0) {
        int32_t *const least = p[a].pos <= p[b].pos ? &a : &b;
        const int32_t taken = *least;
        *least = p[taken].next;
        *end = taken;
        end = &p[taken].next;
    }
    *end = a != 0 ? a : b;
    return head;
}

/* Bottom-up merge sort of a queue: bin k holds a sorted list of 2^k entries. */
static void sort_queue(pgd_tok_work *w, pgd_tok_queue *q) {
    pgd_tok_waiting *const p = w->waiting;
    int32_t bins[32] = {0};
    for (int32_t i = q->head; i != 0;) {
        int32_t list = i;
        i = p[i].next;
        p[list].next = 0;
        size_t k = 0;
        for (; k < 31 && bins[k] != 0; k++) {
            list = merge_lists(p, bins[k], list);
            bins[k] = 0;
        }
        bins[k] = list;
    }
    int32_t all = 0;
    for (size_t k = 0; k < 32; k++) {
        all = merge_lists(p, bins[k], all);
    }
    q->head = all;
    for (q->tail = all; p[q->tail].next != 0;) {
        q->tail = p[q->tail].next;
    }
    q->unsorted = false;
}

static pgd_tok_merge queue_pop(pgd_tok_work *w) {
    const uint32_t rank = w->heap[0].rank;
    pgd_tok_queue *const q = &w->queues[rank];
    if (q->unsorted) sort_queue(w, q);
    const pgd_tok_waiting *const e = &w->waiting[q->head];
    const pgd_tok_merge x = {rank, e->new_id, e->pos};
    q->head = e->next;
    if (q->head == 0) (void)heap_pop(w); /* its rank is at the top */
    return x;
}

/* The queues are sized by the vocabulary, so they are made when a call first has a long run. All of
 * them are empty again after every run. */
static pgd_status ready_queues(const pgd_bpe *m, pgd_tok_work *w) {
    if (w->queues == NULL) {
        w->queues = pgd_calloc(m->n_merges + 1, sizeof *w->queues);
        if (w->queues == NULL) return PGD_E_NOMEM;
    }
    w->waiting_n = 1; /* index 0 means none */
    if (w->waiting_cap > 0) return PGD_OK;
    w->waiting = pgd_tok_grow(NULL, &w->waiting_cap, 1024, sizeof *w->waiting);
    return w->waiting == NULL ? PGD_E_NOMEM : PGD_OK;
}

/* ---- Merging ---- */

/* Offer the pair whose left symbol is at `left` as a candidate. */
static pgd_status consider(const pgd_bpe *m, pgd_tok_work *w, bool queued, size_t left) {
    const int64_t right = w->symbols[left].next;
    if (right < 0) return PGD_OK;
    const pgd_bpe_merge *const s = pgd_bpe_find(m, w->symbols[left].id, w->symbols[right].id);
    if (s == NULL) return PGD_OK;
    const pgd_tok_merge x = {s->rank, s->new_id, left};
    return queued ? queue_push(w, x) : heap_push(w, x);
}

/* Merge the run of symbols [begin, end), which is a list of its own. */
static pgd_status merge_run(const pgd_bpe *m, pgd_tok_work *w, size_t begin, size_t end) {
    const bool queued = end - begin > PGD_BPE_LONG_RUN;
    w->heap_n = 0;
    if (queued) PGD_TRY(ready_queues(m, w));
    for (size_t i = begin; i + 1 < end; i++) {
        PGD_TRY(consider(m, w, queued, i));
    }
    while (w->heap_n > 0) {
        const pgd_tok_merge top = queued ? queue_pop(w) : heap_pop(w);
        pgd_tok_symbol *const left = &w->symbols[top.pos];
        if (left->id < 0 || left->next < 0) continue;
        pgd_tok_symbol *const right = &w->symbols[left->next];
        const pgd_bpe_merge *const now = pgd_bpe_find(m, left->id, right->id);
        if (now == NULL || now->new_id != top.new_id) continue;
        left->id = top.new_id;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0) w->symbols[left->next].prev = (int64_t)top.pos;
        if (left->prev >= 0) PGD_TRY(consider(m, w, queued, (size_t)left->prev));
        PGD_TRY(consider(m, w, queued, top.pos));
    }
    return PGD_OK;
}

static bool may_join(const pgd_bpe *m, int32_t left, int32_t right) {
    const size_t bit = pgd_bpe_join_bit(m->edges[left].last, m->edges[right].first);
    return (m->joins[bit / 64] >> (bit % 64) & 1) != 0;
}

pgd_status pgd_bpe_merge_word(const pgd_bpe *m, pgd_tok_work *w, size_t n) {
    int64_t last = -1; /* last symbol of the run before, to be linked to this one */
    for (size_t begin = 0; begin < n;) {
        size_t end = begin + 1;
        while (end < n && may_join(m, w->symbols[end - 1].id, w->symbols[end].id)) {
            end++;
        }
        for (size_t i = begin; i < end; i++) {
            w->symbols[i].prev = i == begin ? -1 : (int64_t)i - 1;
            w->symbols[i].next = i + 1 == end ? -1 : (int64_t)i + 1;
        }
        if (end - begin > 1) PGD_TRY(merge_run(m, w, begin, end));
        if (last >= 0) w->symbols[last].next = (int64_t)begin;
        for (last = (int64_t)begin; w->symbols[last].next >= 0;) {
            last = w->symbols[last].next;
        }
        begin = end;
    }
    return PGD_OK;
}
