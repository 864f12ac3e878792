/* The gated feed-forward block: norm, gate and up in one matrix whose epilogue multiplies them, and
 * the down projection added to the residual stream. In the last layer it runs over the gathered
 * logits rows instead of all tokens; the intermediate buffer is shared, since a tile of rows is
 * never larger than a step. */
#include "builder.h"

pgd_status emit_ffn_block(builder *b, uint32_t layer, uint32_t over_rows) {
    const layer_weights *const w = &b->w->layer[layer];
    const workspace *const ws = &b->p->ws;
    const pgd_tensor *const h = over_rows ? &ws->rows : &ws->h;
    const pgd_tensor *const normed = over_rows ? &ws->rows_act : &ws->normed;
    const int32_t l = (int32_t)layer;
    PGD_TRY(emit_norm(b, l, "ffn.norm", h, &w->ffn_norm, normed, over_rows));
    PGD_TRY(emit_linear(b, l, "ffn.gate_up", normed, &w->gate_up, &w->gate_up_bias, &ws->ff,
                        PGD_EPI_SWIGLU, over_rows));
    return emit_linear(b, l, "ffn.down", &ws->ff, &w->down, &w->down_bias, h, PGD_EPI_RESIDUAL,
                       over_rows);
}
