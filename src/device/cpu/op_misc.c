/* embed and gather: rows moved by index. Ids were checked when the plan was. */
#include "cpu_internal.h"

#include <string.h>

pgd_status pgd_cpu_embed(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_embed_args *a = args;
    (void)d;
    const size_t n = (size_t)a->table.shape[1];
    for (uint32_t i = 0; i < step->n_tok; i++) {
        PGD_ASSERT((uint64_t)(uint32_t)step->ids[i] < a->table.shape[0]);
        pgd_convert(pgd_cpu_row(&a->y, i), PGD_F32, pgd_cpu_row(&a->table, (uint32_t)step->ids[i]),
                    a->table.dtype, n);
    }
    return PGD_OK;
}

pgd_status pgd_cpu_gather(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_gather_args *a = args;
    (void)d;
    const size_t bytes = (size_t)a->x.shape[a->x.ndim - 1] * pgd_dtype_bytes(a->x.dtype);
    for (uint32_t r = 0; r < step->n_rows; r++)
        memcpy(pgd_cpu_row(&a->y, r), pgd_cpu_row(&a->x, (uint32_t)step->row_tok[r]), bytes);
    return PGD_OK;
}
