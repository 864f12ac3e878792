/* The scheduling policy as one pure function of what it is given: no clock, no memory, no effects
 * but its output (and two scratch fields of waiting sequences). apply.c makes its choices true. */
#ifndef PGD_ENGINE_SCHED_H
#define PGD_ENGINE_SCHED_H

#include "pagoda/plan.h"
#include "seq.h"

typedef struct sched_in {
    uint64_t step;       /* that is being planned */
    uint64_t passed;     /* steps up to this one have passed */
    pgd_seq *const *run; /* [n_run] running, most important first */
    uint32_t n_run;
    pgd_seq *const *leave; /* [n_leave] preempted and draining: their pages come back soon */
    uint32_t n_leave;
    pgd_seq *waiting; /* head of the queue, most important first */
    uint32_t max_seqs, max_tokens, n_free_slots;
    uint32_t max_bytes; /* of the plan */
    uint32_t page_tokens, max_bypass;
    const pgd_page_pool *pool;
    const pgd_radix *tree; /* NULL: no prefix caching */
    bool pressed;          /* a preemption happened and the pressure has not eased yet */
} sched_in;

typedef struct sched_choice {
    pgd_seq *seq;
    uint32_t start, rows; /* positions [start, start + rows) */
    uint32_t n_new_pages;
    bool admit;
    /* of an admission: */
    uint32_t n_tree_pages; /* matched in the tree */
    uint32_t n_shared;     /* these, and more full pages shared with the donor */
    uint32_t n_copy;       /* tokens copied from the donor's next page */
    pgd_seq *donor;
} sched_choice;

typedef struct sched_out {
    sched_choice *choice; /* [max_seqs] running ones first, each in order of importance */
    uint32_t n_choices;
    pgd_seq **victim; /* [max_seqs] to preempt */
    uint32_t n_victims;
    bool pressed;
} sched_out;

/* Decide one step. out's arrays are the caller's. Thread: engine. */
void sched_step(const sched_in *in, sched_out *out);

/* Upper bound of the plan bytes that one sequence of a request can ever need in one step: a plan
 * with it alone must fit. */
size_t sched_max_bytes(const pgd_request *r, uint32_t max_known, uint32_t max_rows,
                       uint32_t page_tokens);

#endif
