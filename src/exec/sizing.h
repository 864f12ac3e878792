/* How much of everything: limits, pages and the memory they take. */
#ifndef PAGODA_EXEC_SIZING_H
#define PAGODA_EXEC_SIZING_H

#include "pagoda/device.h"
#include "pagoda/exec.h"

typedef struct sizing {
    pgd_plan_limits limits;
    uint32_t max_model_len, steps_in_flight;
    pgd_device_limits device; /* the same limits, as the device wants them */
    uint64_t page_bytes;      /* of one layer */
    uint64_t kv_bytes, weight_bytes, workspace_bytes;
    uint64_t staging_bytes; /* plans and results of all steps in flight, on the host */
} sizing;

/* Decide all sizes from the options, the model and the memory there is, before anything is
 * allocated. Errors: PGD_E_INVALID naming the flag that is out of
 * range, PGD_E_NOMEM with what was needed and what there is. Thread: the rank's. */
pgd_status sizing_decide(const pgd_exec_options *opt, const pgd_model *model, pgd_device *dev,
                         sizing *out, pgd_error *err);

/* The same for those who ask an executor. */
void sizing_tell(const sizing *z, const pgd_exec_options *opt, const pgd_model *model,
                 pgd_device *dev, pgd_exec_info *out);

#endif
