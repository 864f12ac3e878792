/* Device memory of one executor: every allocation is recorded, all are freed together. */
#ifndef PAGODA_EXEC_DEVMEM_H
#define PAGODA_EXEC_DEVMEM_H

#include "pagoda/device.h"

typedef struct devmem_block {
    void *p;
    uint64_t bytes;
} devmem_block;

typedef struct devmem {
    pgd_device *dev; /* borrowed; outlives this */
    devmem_block *block;
    uint32_t n, cap;
    uint64_t total_bytes;
} devmem;

/* n items of `bytes` each, zeroed, or an error that says for what. Borrowed until devmem_free_all.
 * Thread: the rank's. */
pgd_status devmem_array(devmem *m, const char *what, uint64_t n, uint64_t bytes, void **out,
                        pgd_error *err);
void devmem_free_all(devmem *m);

#endif
