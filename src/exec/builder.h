/* Emitting operations: shared by builder.c and the files of the blocks. */
#ifndef PAGODA_EXEC_BUILDER_H
#define PAGODA_EXEC_BUILDER_H

#include "program.h"

typedef struct builder {
    program *p;
    const pgd_model_spec *spec;
    const exec_weights *w;
    pgd_error *err;
} builder;

/* Append an operation for the caller to fill in; NULL after an error (recorded in b->err): the
 * device lacks it, or memory ran out. */
program_op *emit(builder *b, pgd_op op, int32_t layer, const char *name);
pgd_status emit_norm(builder *b, int32_t layer, const char *name, const pgd_tensor *x,
                     const pgd_tensor *w, const pgd_tensor *y, uint32_t over_rows);
/* bias may have no data. Errors: also when the device cannot multiply these types. */
pgd_status emit_linear(builder *b, int32_t layer, const char *name, const pgd_tensor *x,
                       const pgd_weight *w, const pgd_tensor *bias, const pgd_tensor *y,
                       pgd_epilogue epilogue, uint32_t over_rows);

/* h += attention(norm(h)): block_attn.c. */
pgd_status emit_attn_block(builder *b, uint32_t layer);
/* h += mlp(norm(h)), over all tokens or over the gathered logits rows: block_ffn.c. */
pgd_status emit_ffn_block(builder *b, uint32_t layer, uint32_t over_rows);

#endif
