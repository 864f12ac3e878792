/* Operations → launchers: each function copies the arguments of an operation (ops.h) and the counts
 * of the step into the arguments of one or two launchers (launch.h). Nothing here reads device
 * memory, allocates or waits, so that a graph can record it. Thread: the rank's. */
#include "cuda_internal.h"

static uint32_t rows_of(const pgd_step_view *v, uint32_t over_rows) {
    return over_rows ? v->n_rows : v->n_tok;
}

static uint32_t last_dim(const pgd_tensor *t) {
    return (uint32_t)t->shape[t->ndim - 1];
}

/* A launcher's answer: PGD_OK, or latched under the op's name. */
static pgd_status launched(pgd_cuda_device *c, int e, pgd_op op) {
    return pgd_cuda_check(c, e, pgd_op_name(op));
}

static pgd_status cuda_embed(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_embed_args *const a = args;
    const pgd_k_embed k = {.table = a->table.data,
                           .ids = v->ids,
                           .y = a->y.data,
                           .type = a->table.dtype,
                           .n = v->n_tok,
                           .d = last_dim(&a->table)};
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_embed(&k, c->stream), PGD_OP_EMBED);
}

static pgd_status cuda_norm(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_norm_args *const a = args;
    const pgd_k_norm k = {.x = a->x.data,
                          .w = a->w.data,
                          .y = a->y.data,
                          .type = a->y.dtype,
                          .n = rows_of(v, a->over_rows),
                          .d = last_dim(&a->x),
                          .eps = a->eps};
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_norm(&k, c->stream), PGD_OP_NORM);
}

static pgd_status cuda_linear(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_linear_args *const a = args;
    const pgd_k_linear k = {.x = a->x.data,
                            .w = a->w->data,
                            .y = a->y.data,
                            .bias = a->bias.data,
                            .type = a->w->dtype,
                            .y_type = a->y.dtype,
                            .epilogue = a->epilogue,
                            .gelu = a->gelu,
                            .m = rows_of(v, a->over_rows),
                            .n = a->w->n,
                            .k = a->w->k,
                            .ldx = last_dim(&a->x),
                            .ldy = last_dim(&a->y)};
    if (c->failed) return PGD_E_DEVICE;
    PGD_TRY(pgd_cuda_finish_packing(c));
    return launched(c, pgd_k_run_linear(&k, c->stream), PGD_OP_LINEAR);
}

static pgd_status cuda_qkv_post(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_qkv_post_args *const a = args;
    const pgd_k_qkv_post k = {.qkv = a->qkv.data,
                              .q_norm = a->q_norm.data,
                              .k_norm = a->k_norm.data,
                              .cos = a->cos.data,
                              .sin = a->sin.data,
                              .q = a->q.data,
                              .kv = a->kv,
                              .pos = v->pos,
                              .tok_seq = v->tok_seq,
                              .seq = v->seq,
                              .page_table = v->slots->page_table,
                              .page_bytes = a->page_bytes,
                              .type = a->kv_type,
                              .n = v->n_tok,
                              .max_pages = v->slots->max_pages,
                              .n_heads = a->n_heads,
                              .n_kv_heads = a->n_kv_heads,
                              .head_dim = a->head_dim,
                              .rotary_dim = a->rotary_dim,
                              .eps = a->eps};
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_qkv_post(&k, c->stream), PGD_OP_QKV_POST);
}

static pgd_status cuda_attn(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_attn_args *const a = args;
    const pgd_k_attn k = {.q = a->q.data,
                          .out = a->out.data,
                          .kv = a->kv,
                          .seq = v->seq,
                          .page_table = v->slots->page_table,
                          .space = c->attn_space,
                          .limits = &c->attn,
                          .page_bytes = a->page_bytes,
                          .n_seq = v->n_seq,
                          .n_tok = v->n_tok,
                          .max_new = v->max_new,
                          .window = a->window,
                          .max_pages = v->slots->max_pages,
                          .scale = a->scale};
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_attn(&k, c->stream), PGD_OP_ATTN);
}

static pgd_status cuda_gather(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_gather_args *const a = args;
    const pgd_k_gather k = {.x = a->x.data,
                            .row_tok = v->row_tok,
                            .y = a->y.data,
                            .n = v->n_rows,
                            .d = last_dim(&a->x)};
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_gather(&k, c->stream), PGD_OP_GATHER);
}

static pgd_k_sample sample_args(const pgd_cuda_device *c, const pgd_tensor *logits,
                                const pgd_step_view *v) {
    return (pgd_k_sample){.logits = logits->data,
                          .pos = v->pos,
                          .row_tok = v->row_tok,
                          .row_seq = v->row_seq,
                          .row_target = v->row_target,
                          .seq = v->seq,
                          .slots = *v->slots,
                          .space = c->sample_space,
                          .n_rows = v->n_rows,
                          .vocab = last_dim(logits)};
}

static pgd_status cuda_logits_post(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_logits_post_args *const a = args;
    const pgd_k_sample k = sample_args(c, &a->logits, v);
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_logits_post(&k, c->stream), PGD_OP_LOGITS_POST);
}

static pgd_status cuda_logits_mask(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_logits_mask_args *const a = args;
    const pgd_k_logits_mask k = {.logits = a->logits.data,
                                 .row_tok = v->row_tok,
                                 .row_seq = v->row_seq,
                                 .row_target = v->row_target,
                                 .seq = v->seq,
                                 .mask = v->mask,
                                 .n_rows = v->n_rows,
                                 .vocab = last_dim(&a->logits)};
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_logits_mask(&k, c->stream), PGD_OP_LOGITS_MASK);
}

static pgd_status cuda_sample(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_sample_args *const a = args;
    pgd_k_sample k = sample_args(c, &a->logits, v);
    k.sample_out = a->sample_out;
    k.score_out = a->score_out;
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_sample(&k, c->stream), PGD_OP_SAMPLE);
}

static pgd_status cuda_kv_copy(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_kv_copy_args *const a = args;
    (void)v;
    const pgd_k_kv_copy k = {.kv = a->kv,
                             .copy = a->copy,
                             .page_bytes = a->page_bytes,
                             .type = a->kv_type,
                             .n_copy = a->n_copy,
                             .n_layers = a->n_layers,
                             .n_pages = a->n_pages,
                             .n_kv_heads = a->n_kv_heads,
                             .head_dim = a->head_dim};
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_kv_copy(&k, c->stream), PGD_OP_KV_COPY);
}

static pgd_status cuda_slots_apply(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_slots_apply_args *const a = args;
    (void)v;
    const pgd_k_slots_apply k = {.plan = a->plan,
                                 .slots = *a->slots,
                                 .n_init = a->host->n_init,
                                 .n_table = a->host->n_table,
                                 .off_init = a->host->off_init,
                                 .off_table = a->host->off_table};
    if (c->failed) return PGD_E_DEVICE;
    return launched(c, pgd_k_run_slots_apply(&k, c->stream), PGD_OP_SLOTS_APPLY);
}

/* The arrays of the step, and from them who does what in attention, for all layers. */
static pgd_status cuda_step_fill(pgd_device *d, const void *args, const pgd_step_view *v) {
    pgd_cuda_device *const c = pgd_cuda_of(d);
    const pgd_step_fill_args *const a = args;
    const pgd_k_step_fill fill = {.plan = a->plan,
                                  .slots = *v->slots,
                                  .seq = a->seq,
                                  .ids = a->ids,
                                  .pos = a->pos,
                                  .tok_seq = a->tok_seq,
                                  .row_tok = a->row_tok,
                                  .row_seq = a->row_seq,
                                  .row_target = a->row_target,
                                  .n_tok = v->n_tok,
                                  .n_seq = v->n_seq,
                                  .n_rows = v->n_rows};
    const pgd_k_attn_plan plan = {.seq = v->seq,
                                  .space = c->attn_space,
                                  .limits = &c->attn,
                                  .n_seq = v->n_seq,
                                  .n_tok = v->n_tok,
                                  .max_new = v->max_new,
                                  .window = c->window};
    if (c->failed) return PGD_E_DEVICE;
    PGD_TRY(launched(c, pgd_k_run_step_fill(&fill, c->stream), PGD_OP_STEP_FILL));
    return pgd_cuda_check(c, pgd_k_run_attn_plan(&plan, c->stream), "planning attention");
}

void pgd_cuda_fill_ops(pgd_device *d) {
#define PGD_CUDA_FILL(U, l) d->op[PGD_OP_##U] = cuda_##l;
    PGD_OPS(PGD_CUDA_FILL)
#undef PGD_CUDA_FILL
}
