/* The attention block: norm, one matrix for q, k and v, rotary embedding and page write, paged
 * attention, output projection added to the residual stream. Biases, q/k norms and the window are
 * facts of the spec, bound here once. */
#include "builder.h"

#include <math.h>

static void *layer_pages(const kv_pool *kv, uint32_t layer) {
    return (char *)kv->kv + (uint64_t)layer * kv->n_pages * kv->page_bytes;
}

static pgd_status emit_qkv_post(builder *b, uint32_t layer) {
    const pgd_model_spec *const s = b->spec;
    const workspace *const ws = &b->p->ws;
    const kv_pool *const kv = &b->p->kv;
    program_op *const o = emit(b, PGD_OP_QKV_POST, (int32_t)layer, "attn.qkv_post");
    if (!o) return b->err->code;
    o->args.qkv_post = (pgd_qkv_post_args){.qkv = ws->qkv,
                                           .q = ws->q,
                                           .q_norm = b->w->layer[layer].q_norm,
                                           .k_norm = b->w->layer[layer].k_norm,
                                           .cos = ws->cos,
                                           .sin = ws->sin,
                                           .kv = layer_pages(kv, layer),
                                           .kv_type = kv->type,
                                           .n_heads = s->n_heads,
                                           .n_kv_heads = s->n_kv_heads,
                                           .head_dim = s->head_dim,
                                           .rotary_dim = s->rope.rotary_dim,
                                           .page_bytes = kv->page_bytes,
                                           .eps = (float)s->rms_eps};
    return PGD_OK;
}

static pgd_status emit_attention(builder *b, uint32_t layer) {
    const pgd_model_spec *const s = b->spec;
    const kv_pool *const kv = &b->p->kv;
    const bool windowed = layer >= s->window_from_layer && layer < s->window_to_layer;
    program_op *const o = emit(b, PGD_OP_ATTN, (int32_t)layer, "attn.attn");
    if (!o) return b->err->code;
    o->args.attn = (pgd_attn_args){.q = b->p->ws.q,
                                   .out = b->p->ws.attn,
                                   .kv = layer_pages(kv, layer),
                                   .kv_type = kv->type,
                                   .n_heads = s->n_heads,
                                   .n_kv_heads = s->n_kv_heads,
                                   .head_dim = s->head_dim,
                                   .window = windowed ? s->sliding_window : 0,
                                   .page_bytes = kv->page_bytes,
                                   .scale = (float)(1 / sqrt(s->head_dim))};
    return PGD_OK;
}

pgd_status emit_attn_block(builder *b, uint32_t layer) {
    const layer_weights *const w = &b->w->layer[layer];
    const workspace *const ws = &b->p->ws;
    const int32_t l = (int32_t)layer;
    PGD_TRY(emit_norm(b, l, "attn.norm", &ws->h, &w->attn_norm, &ws->normed, 0));
    PGD_TRY(emit_linear(b, l, "attn.qkv", &ws->normed, &w->qkv, &w->qkv_bias, &ws->qkv,
                        PGD_EPI_NONE, 0));
    PGD_TRY(emit_qkv_post(b, layer));
    PGD_TRY(emit_attention(b, layer));
    return emit_linear(b, l, "attn.o", &ws->attn, &w->o, &w->o_bias, &ws->h, PGD_EPI_RESIDUAL, 0);
}
