/* The gated feed-forward block: norm, gate and up in one matrix whose epilogue multiplies them, and
 * the down projection added to the residual stream. */
#include "builder.h"

pgd_status emit_ffn_block(builder *b, uint32_t layer) {
    const layer_weights *const w = &b->w->layer[layer];
    const workspace *const ws = &b->p->ws;
    const int32_t l = (int32_t)layer;
    PGD_TRY(emit_norm(b, l, "ffn.norm", &ws->h, &w->ffn_norm, &ws->normed, 0));
    PGD_TRY(emit_linear(b, l, "ffn.gate_up", &ws->normed, &w->gate_up, &w->gate_up_bias, &ws->ff,
                        PGD_EPI_SWIGLU));
    return emit_linear(b, l, "ffn.down", &ws->ff, &w->down, &w->down_bias, &ws->h,
                       PGD_EPI_RESIDUAL);
}
