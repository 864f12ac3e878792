/* The rank executor over a device of the caller's choice. */
#ifndef PAGODA_EXEC_RANK_H
#define PAGODA_EXEC_RANK_H

#include "pagoda/device.h"
#include "pagoda/exec.h"

/* How the rank thread opens its device; called once, on that thread. */
typedef struct rank_device {
    pgd_status (*open)(void *ctx, const pgd_exec_options *opt, pgd_device **out, pgd_error *err);
    void *ctx;
} rank_device;

/* As pgd_exec_open, which passes the devices of this build; tests pass ones that fail. */
pgd_status rank_open(const pgd_model *model, const pgd_exec_options *opt, rank_device device,
                     _Atomic uint32_t *progress, pgd_exec **out, pgd_error *err);

#endif
