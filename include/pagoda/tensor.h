/* Element types and tensor descriptors. A tensor is a value that describes memory it does not own;
 * rows are contiguous, the row stride may exceed the row length. `data` is an address on the device
 * the tensor belongs to (host memory on the CPU backend). */
#ifndef PAGODA_TENSOR_H
#define PAGODA_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"

typedef enum pgd_dtype { PGD_F32, PGD_BF16, PGD_F16, PGD_I32, PGD_U8, PGD_DTYPE_N } pgd_dtype;

typedef struct pgd_tensor {
    void *data;
    pgd_dtype dtype;
    uint32_t ndim;
    uint64_t shape[4];
    uint64_t row_stride; /* elements between rows of the last-but-one dimension; 0: contiguous */
} pgd_tensor;

size_t pgd_dtype_bytes(pgd_dtype t);
const char *pgd_dtype_name(pgd_dtype t); /* "f32", "bf16", ... */

/* Round to nearest even; NaN stays NaN, overflow becomes infinity. */
uint16_t pgd_f32_to_bf16(float v);
float pgd_bf16_to_f32(uint16_t v);
uint16_t pgd_f32_to_f16(float v);
float pgd_f16_to_f32(uint16_t v);
/* n elements; src and dst do not overlap. Any pair of float types. */
void pgd_convert(void *dst, pgd_dtype dst_type, const void *src, pgd_dtype src_type, size_t n);

pgd_tensor pgd_tensor_1d(void *data, pgd_dtype t, uint64_t n);
pgd_tensor pgd_tensor_2d(void *data, pgd_dtype t, uint64_t rows, uint64_t cols);
/* Bytes of a contiguous tensor. Errors: PGD_E_LIMIT on overflow. */
pgd_status pgd_tensor_bytes(const pgd_tensor *t, size_t *out);

#endif
