/* Sequence states and the questions asked about one sequence. Owns no memory. Invariant: a sequence
 * has a slot, pages and perhaps a tree lock exactly in RUNNING, PREEMPTED and DRAINING. Thread:
 * engine. Deliberately knows neither lists nor policy: engine code moves a sequence between lists
 * where it calls seq_transition. */
#include "seq.h"

#include "pagoda/mem.h"

void job_free(pgd_job *job) {
    for (uint32_t i = 0; i < job->n_seqs; i++)
        pgd_matcher_destroy(&job->seq[i].match);
    pgd_free(job);
}

static int next_state(seq_state from, seq_event ev) {
    switch (from) {
    case SEQ_PARKED:
        if (ev == SEQ_EV_UNPARK) return SEQ_WAITING;
        return ev == SEQ_EV_FINISH ? SEQ_DONE : -1;
    case SEQ_WAITING:
        if (ev == SEQ_EV_ADMIT) return SEQ_RUNNING;
        return ev == SEQ_EV_FINISH ? SEQ_DONE : -1;
    case SEQ_RUNNING:
        if (ev == SEQ_EV_PREEMPT) return SEQ_PREEMPTED;
        return ev == SEQ_EV_FINISH ? SEQ_DRAINING : -1;
    case SEQ_PREEMPTED:
        if (ev == SEQ_EV_RELEASED) return SEQ_WAITING;
        return ev == SEQ_EV_FINISH ? SEQ_DRAINING : -1;
    case SEQ_DRAINING:
        return ev == SEQ_EV_RELEASED ? SEQ_DONE : -1;
    case SEQ_DONE:
    default:
        return -1;
    }
}

void seq_transition(pgd_seq *s, seq_event ev) {
    const int to = next_state((seq_state)s->state, ev);
    PGD_ASSERT(to >= 0);
    s->state = (uint8_t)to;
}

bool seq_scoring(const pgd_seq *s) {
    const pgd_request *r = s->req;
    return s->choice == 0 && r->score_prompt &&
           atomic_load_explicit(&r->scores->len, memory_order_relaxed) + 1 < s->n_prompt;
}

pgd_seq *seq_donor(const pgd_seq *s) {
    pgd_job *const job = s->job;
    pgd_seq *best = NULL;
    for (uint32_t i = 0; i < job->n_seqs; i++) {
        pgd_seq *d = &job->seq[i];
        if (d == s || d->state != SEQ_RUNNING) continue;
        if (!best || d->n_kv > best->n_kv) best = d;
        if (best->n_kv >= s->n_prompt) break; /* nobody shares more than the prompt */
    }
    return best;
}

uint32_t seq_exclusive_pages(const pgd_seq *s, const pgd_page_pool *pool) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_pages; i++)
        n += pgd_page_pool_holders(pool, s->pages[i]) == 1;
    return n;
}
