/* Where sequences stand and what they hold: the queue, the running set, and the way out of it. A
 * sequence that leaves the running set (preempted or finished) keeps slot, pages and tree lock
 * until the last step that touches them has passed; then all of it goes back at once. So a page
 * that becomes free or cached is never read or written by a step in flight. Preemption is by
 * recompute: tokens of steps in flight are still committed, full pages stay in the tree while
 * memory allows, and the sequence waits in its old place. Invariants: run[] and the queue are
 * sorted by seq_before; a sequence is in exactly one of queue, run[] and leave[] according to its
 * state. Thread: engine. Does not choose victims (sched.c). */
#include "engine_int.h"

#include <string.h>

void eng_queue(pgd_engine *e, pgd_seq *s) {
    pgd_seq *after = e->last_waiting; /* arrivals go to the end, returning ones near the front */
    if (e->waiting && seq_before(s, e->waiting)) after = NULL;
    while (after && seq_before(s, after))
        after = after->prev;
    s->prev = after;
    s->next = after ? after->next : e->waiting;
    *(s->prev ? &s->prev->next : &e->waiting) = s;
    *(s->next ? &s->next->prev : &e->last_waiting) = s;
    e->n_waiting++;
}

void eng_unqueue(pgd_engine *e, pgd_seq *s) {
    *(s->prev ? &s->prev->next : &e->waiting) = s->next;
    *(s->next ? &s->next->prev : &e->last_waiting) = s->prev;
    s->prev = s->next = NULL;
    e->n_waiting--;
}

/* Index of the first running sequence that is not before s. */
static uint32_t run_place(const pgd_engine *e, const pgd_seq *s) {
    uint32_t lo = 0, hi = e->n_run;
    while (lo < hi) {
        const uint32_t mid = (lo + hi) / 2;
        if (seq_before(e->run[mid], s))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

void eng_run_add(pgd_engine *e, pgd_seq *s) {
    const uint32_t i = run_place(e, s);
    PGD_ASSERT(e->n_run < e->opt.max_num_seqs);
    memmove(&e->run[i + 1], &e->run[i], (e->n_run - i) * sizeof *e->run);
    e->run[i] = s;
    e->n_run++;
}

void eng_run_remove(pgd_engine *e, pgd_seq *s) {
    const uint32_t i = run_place(e, s);
    PGD_ASSERT(i < e->n_run && e->run[i] == s);
    memmove(&e->run[i], &e->run[i + 1], (e->n_run - i - 1) * sizeof *e->run);
    e->n_run--;
    e->leave[e->n_leave++] = s;
}

void eng_preempt(pgd_engine *e, pgd_seq *s) {
    seq_transition(s, SEQ_EV_PREEMPT);
    eng_run_remove(e, s);
    e->pressed = true;
    atomic_fetch_add_explicit(&e->stats.preemptions, 1, memory_order_relaxed);
    pgd_metric_add(e->m.preemptions, 1);
}

void eng_release(pgd_engine *e, pgd_seq *s) {
    pgd_radix_unlock(e->tree, s->node);
    for (uint32_t i = 0; i < s->n_pages; i++)
        pgd_page_pool_retire(e->pool, s->pages[i], e->passed);
    s->n_pages = s->n_tree = s->n_kv = 0;
    s->node = PGD_NO_NODE;
    s->tab_lo = UINT32_MAX;
    s->tab_hi = 0;
    memset(s->fly, 0, sizeof s->fly);
    s->pages = NULL;
    e->free_slot[e->n_free_slots++] = s->slot;
    seq_transition(s, SEQ_EV_RELEASED);
    if (s->state == SEQ_WAITING) eng_queue(e, s);
}

bool eng_release_passed(pgd_engine *e) {
    uint32_t n = 0;
    bool any = false;
    for (uint32_t i = 0; i < e->n_leave; i++) {
        pgd_seq *s = e->leave[i];
        if (s->fence > e->passed) {
            e->leave[n++] = s;
            continue;
        }
        any = true;
        eng_release(e, s);
        if (s->state == SEQ_DONE) eng_seq_done(e, s);
    }
    e->n_leave = n;
    return any;
}
