/* The run loop of a program.
 *
 * A step: slot inits and page-table diffs, page copies, the body over all tokens, then the head
 * over tiles of the rows whose logits are wanted. The tile bounds the logits buffer, so that
 * scoring a long prompt does not need n_tok x vocab floats; a row's result does not depend on its
 * tile, since no operation reduces across rows. The only arguments that change from step to step
 * are the output pointers of `sample`. Allocates nothing. Thread: the rank's. */
#include "program.h"

#include "pagoda/mem.h"

static pgd_status apply_diffs(const program *p, const pgd_plan *plan, pgd_slots *slots) {
    const pgd_step_view none = {.slots = slots, .page_tokens = p->kv.page_tokens};
    if (plan->n_init || plan->n_table) {
        const pgd_slots_apply_args args = {.plan = plan, .slots = slots};
        PGD_TRY(p->dev->op[PGD_OP_SLOTS_APPLY](p->dev, &args, &none));
    }
    if (!plan->n_copy) return PGD_OK;
    const pgd_kv_copy_args args = {
        .kv = p->kv.kv,
        .kv_type = p->kv.type,
        .n_layers = p->kv.n_layers,
        .n_pages = p->kv.n_pages,
        .n_kv_heads = p->kv.n_kv_heads,
        .head_dim = p->kv.head_dim,
        .page_tokens = p->kv.page_tokens,
        .page_bytes = p->kv.page_bytes,
        .copy = (const void *)((const char *)plan + plan->off_copy),
        .n_copy = plan->n_copy,
    };
    return p->dev->op[PGD_OP_KV_COPY](p->dev, &args, &none);
}

static pgd_status run_ops(program *p, uint32_t from, uint32_t to, const pgd_step_view *view) {
    for (uint32_t i = from; i < to; i++) {
        program_op *const o = &p->op[i];
        if (!p->clock) {
            PGD_TRY(o->fn(p->dev, &o->args, view));
            continue;
        }
        const uint64_t start = pgd_clock_now(p->clock);
        PGD_TRY(o->fn(p->dev, &o->args, view));
        o->ns += pgd_clock_now(p->clock) - start;
        o->calls++;
    }
    return PGD_OK;
}

static pgd_status run_head(program *p, const step_buffers *step, const pgd_step_view *view,
                           const step_out *out) {
    program_op *const sample = &p->op[p->n_ops - 1];
    uint32_t n_sample = 0, n_score = 0;
    for (uint32_t first = 0; first < view->n_rows; first += p->tile_rows) {
        const uint32_t left = view->n_rows - first;
        pgd_step_view tile = *view;
        tile.n_rows = left < p->tile_rows ? left : p->tile_rows;
        tile.row_tok += first;
        tile.row_seq += first;
        tile.row_target += first;
        sample->args.sample.sample_out = out->sample + n_sample;
        sample->args.sample.score_out = out->score + n_score;
        PGD_TRY(run_ops(p, p->n_body, p->n_ops, &tile));
        for (uint32_t r = first; r < first + tile.n_rows; r++)
            *(step_row_target(step, r) < 0 ? &n_sample : &n_score) += 1;
    }
    return PGD_OK;
}

pgd_status program_run(program *p, const pgd_plan *plan, step_buffers *step, pgd_slots *slots,
                       const step_out *out) {
    pgd_step_view view;
    PGD_TRY(apply_diffs(p, plan, slots));
    if (plan->n_tok == 0) return PGD_OK;
    PGD_TRY(step_buffers_fill(step, p->dev, plan, slots, &view));
    PGD_TRY(run_ops(p, 0, p->n_body, &view));
    return run_head(p, step, &view, out);
}

void program_fini(program *p) {
    pgd_free(p->op);
    *p = (program){0};
}
