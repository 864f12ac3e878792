/* Sequences and jobs: the engine's vocabulary. A job is one submitted request; it owns one sequence
 * per choice of n, in one allocation made by the submitting thread. From intake on everything here
 * belongs to the engine thread. */
#ifndef PGD_ENGINE_SEQ_H
#define PGD_ENGINE_SEQ_H

#include "pagoda/grammar.h"
#include "pagoda/kv.h"
#include "pagoda/request.h"

enum { ENG_FLY_MAX = 4 }; /* steps in flight; a power of two */

typedef enum seq_state {
    SEQ_PARKED,    /* choice 1..n-1: until the prompt of choice 0 is computed */
    SEQ_WAITING,   /* in the queue; holds nothing */
    SEQ_RUNNING,   /* has a slot and pages */
    SEQ_PREEMPTED, /* gives slot and pages back once its last step has passed, then waits again */
    SEQ_DRAINING,  /* finished; slot and pages likewise */
    SEQ_DONE,
} seq_state;

typedef enum seq_event {
    SEQ_EV_UNPARK,
    SEQ_EV_ADMIT,
    SEQ_EV_PREEMPT,
    SEQ_EV_RELEASED,
    SEQ_EV_FINISH,
} seq_event;

/* What one step in flight will add at most. */
typedef struct seq_fly {
    uint32_t rows, samples;
} seq_fly;

typedef struct pgd_job pgd_job;

typedef struct pgd_seq {
    pgd_job *job;
    pgd_request *req;   /* the job's */
    pgd_toklog *log;    /* its output in it */
    pgd_matcher *match; /* owned; at the last committed token; NULL: free text */
    uint64_t order;     /* age: unique, earlier is smaller */
    uint64_t fence;     /* last submitted step that touches its slot or pages */
    uint32_t *pages;    /* row of the slot's page table; valid while it has a slot */
    int32_t priority;
    uint8_t state;
    uint32_t choice, slot;
    uint32_t n_prompt;
    uint32_t n_known;         /* tokens on the host: prompt + committed output; only grows */
    uint32_t n_kv;            /* positions with committed KV; falls only at preemption */
    uint32_t max_known;       /* n_known at which it ends for length */
    seq_fly fly[ENG_FLY_MAX]; /* by step % ENG_FLY_MAX; sums are recomputed, never decremented */
    uint32_t n_pages;         /* entries of pages[] */
    uint32_t n_tree, node;    /* pages[0..n_tree) are in the tree, which is locked at node */
    uint32_t tab_lo, tab_hi;  /* entries the device has not been told yet; empty: lo >= hi */
    uint32_t bypassed;        /* times a younger one was admitted first */
    uint64_t picked;          /* scheduler scratch: step of its admission */
    uint64_t peek_version;    /* scheduler scratch: tree version of peek_pages */
    uint32_t peek_pages;
    uint64_t last_token_ns;
    struct pgd_seq *prev, *next; /* waiting queue */
} pgd_seq;

struct pgd_job {
    pgd_link link; /* inbox */
    pgd_request *req;
    pgd_job *prev, *next; /* all live jobs in order of arrival */
    uint32_t n_seqs, n_done;
    bool scheduled;   /* was admitted once (or ended): no longer counts as queued */
    bool prompt_done; /* the prompt was computed once: choices 1..n-1 are in the queue */
    bool failed;      /* req->error is set */
    pgd_seq seq[];
};

/* Free a job with its matchers. */
void job_free(pgd_job *job);

/* The one place where states change. An impossible pair is a bug. */
void seq_transition(pgd_seq *s, seq_event ev);

static inline uint32_t seq_fly_rows(const pgd_seq *s) {
    return s->fly[0].rows + s->fly[1].rows + s->fly[2].rows + s->fly[3].rows;
}

static inline uint32_t seq_fly_samples(const pgd_seq *s) {
    return s->fly[0].samples + s->fly[1].samples + s->fly[2].samples + s->fly[3].samples;
}

/* The first position that has no KV, neither committed nor in flight. */
static inline uint32_t seq_start(const pgd_seq *s) {
    return s->n_kv + seq_fly_rows(s);
}

/* Positions that must get KV for all that is known or promised. The last token of a sequence needs
 * none: nothing follows it. */
static inline uint32_t seq_goal(const pgd_seq *s) {
    const uint32_t known = s->n_known + seq_fly_samples(s);
    return known < s->max_known ? known : s->max_known - 1;
}

/* The counting rule: rows a sequence wants now. Prefill, decode and resuming are the same. */
static inline uint32_t seq_want(const pgd_seq *s) {
    return seq_goal(s) - seq_start(s);
}

/* More important first: lower priority value, then older. A total order. */
static inline bool seq_before(const pgd_seq *a, const pgd_seq *b) {
    return a->priority != b->priority ? a->priority < b->priority : a->order < b->order;
}

static inline bool seq_has_slot(const pgd_seq *s) {
    return s->state == SEQ_RUNNING || s->state == SEQ_PREEMPTED || s->state == SEQ_DRAINING;
}

/* Whether what its steps in flight bring is committed. */
static inline bool seq_is_live(const pgd_seq *s) {
    return s->state == SEQ_RUNNING || s->state == SEQ_PREEMPTED;
}

static inline pgd_toks seq_toks(const pgd_seq *s) {
    return (pgd_toks){.head = s->req->prompt, .n_head = s->n_prompt, .tail = s->log->token};
}

/* Token at a position below n_known. */
static inline int32_t seq_token(const pgd_seq *s, uint32_t pos) {
    return pos < s->n_prompt ? s->req->prompt[pos] : s->log->token[pos - s->n_prompt];
}

/* Prompt positions are still to be scored: every row counts, so nothing may come from a cache. */
bool seq_scoring(const pgd_seq *s);
/* A running sibling whose committed prompt KV can be shared, or NULL: the one that shares most. */
pgd_seq *seq_donor(const pgd_seq *s);
/* Pages that nobody else holds: what its release would make available. O(pages). */
uint32_t seq_exclusive_pages(const pgd_seq *s, const pgd_page_pool *pool);

#endif
