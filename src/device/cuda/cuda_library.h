/* What libpagoda_cuda.so exports: one constant of this type, under one name. The executable opens
 * the library, compares the build id, which covers every header that both sides compile, and only
 * then calls into it. */
#ifndef PGD_CUDA_LIBRARY_H
#define PGD_CUDA_LIBRARY_H

#include "pagoda/device.h"

#define PGD_CUDA_FILE "libpagoda_cuda.so"
#define PGD_CUDA_SYMBOL "pagoda_cuda"

typedef struct pgd_cuda_library {
    char build_id[64]; /* first, whatever else changes; NUL-terminated */
    /* As pgd_device_open_cuda. */
    pgd_status (*open)(pgd_device **out, pgd_error *err);
} pgd_cuda_library;

#endif
