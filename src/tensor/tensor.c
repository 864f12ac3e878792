/* Tensor descriptors: plain values that describe memory owned by someone else. Only constructors
 * and the size computation live here; everything that touches elements is an op. Thread: any. */
#include "pagoda/tensor.h"

#include "pagoda/mem.h"

pgd_tensor pgd_tensor_1d(void *data, pgd_dtype t, uint64_t n) {
    return (pgd_tensor){.data = data, .dtype = t, .ndim = 1, .shape = {n}};
}

pgd_tensor pgd_tensor_2d(void *data, pgd_dtype t, uint64_t rows, uint64_t cols) {
    return (pgd_tensor){.data = data, .dtype = t, .ndim = 2, .shape = {rows, cols}};
}

pgd_status pgd_tensor_bytes(const pgd_tensor *t, size_t *out) {
    size_t n = pgd_dtype_bytes(t->dtype);
    for (uint32_t i = 0; i < t->ndim; i++)
        if (!pgd_mul_size(n, (size_t)t->shape[i], &n)) return PGD_E_LIMIT;
    *out = n;
    return PGD_OK;
}
