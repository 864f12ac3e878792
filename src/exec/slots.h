/* State of sequences on the device between steps, and the arrays of one step. */
#ifndef PAGODA_EXEC_SLOTS_H
#define PAGODA_EXEC_SLOTS_H

#include "devmem.h"
#include "pagoda/ops.h"
#include "pagoda/plan.h"

/* Allocate all per-slot arrays. Errors: PGD_E_NOMEM. */
pgd_status slots_create(pgd_slots *out, const pgd_plan_limits *lim, devmem *mem, pgd_error *err);
uint64_t slots_bytes(const pgd_plan_limits *lim);

/* The arrays of a step: filled on the host, uploaded in one piece. Each array has room for
 * max_tokens items, since a step wants at most one row per token. */
typedef struct step_buffers {
    uint32_t max_tokens, page_tokens;
    int32_t *host;   /* owned, [6][max_tokens] */
    int32_t *device; /* same layout, device memory */
} step_buffers;

pgd_status step_buffers_create(step_buffers *b, const pgd_plan_limits *lim, devmem *mem,
                               pgd_error *err);
void step_buffers_fini(step_buffers *b);
/* Spread the plan's sequences over rows. Slots must already have the plan's diffs applied: late ids
 * are read from them. Errors: the upload failed. */
pgd_status step_buffers_fill(step_buffers *b, pgd_device *dev, const pgd_plan *plan,
                             const pgd_slots *slots, pgd_step_view *out);
/* Target of logits row r of the filled step: -1 samples. */
int32_t step_row_target(const step_buffers *b, uint32_t r);

#endif
