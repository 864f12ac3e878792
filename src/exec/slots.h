/* State of sequences on the device between steps, and the arrays of one step. */
#ifndef PAGODA_EXEC_SLOTS_H
#define PAGODA_EXEC_SLOTS_H

#include "devmem.h"
#include "pagoda/ops.h"
#include "pagoda/plan.h"

/* Allocate all per-slot arrays. Errors: PGD_E_NOMEM. */
pgd_status slots_create(pgd_slots *out, const pgd_plan_limits *lim, devmem *mem, pgd_error *err);
uint64_t slots_bytes(const pgd_plan_limits *lim);

/* The step that runs, in device memory; steps follow one another there, so there is one of each. A
 * step wants at most one logits row per token, hence at most so many results. */
typedef struct step_buffers {
    uint32_t page_tokens;
    pgd_step_fill_args fill; /* arrays of max_seqs sequences, max_tokens tokens and rows */
    pgd_sample_out *sample;  /* [max_seqs] */
    pgd_score_out *score;    /* [max_tokens] */
    void *plan;              /* where the plan is sent; NULL: the device reads it where it is, */
    void *late;              /* and the same of its late part */
} step_buffers;

pgd_status step_buffers_create(step_buffers *b, const pgd_plan_limits *lim, devmem *mem,
                               pgd_error *err);
/* What step_buffers_create takes. */
uint64_t step_buffers_bytes(const pgd_plan_limits *lim, const pgd_device_info *dev);
/* The view of a step of so many sequences, tokens and rows. */
pgd_step_view step_view(const step_buffers *b, const pgd_slots *slots, uint32_t n_seq,
                        uint32_t n_tok, uint32_t n_rows);

#endif
