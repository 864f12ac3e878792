/* The run loop of a program.
 *
 * A step: slot inits and page-table diffs, page copies, the arrays of the step, the body over all
 * tokens, then the head over tiles of the rows whose logits are wanted. The tile bounds the logits
 * buffer, so that scoring a long prompt does not need n_tok x vocab floats; a row's result does not
 * depend on its tile, since no operation reduces across rows. The only arguments that change from
 * step to step are the output pointers of `sample`, and only where there are several tiles.
 *
 * Body and head are launched apart, so that what the head waits for on the host (a grammar's masks)
 * can be computed while the body runs. Masks are an operation of their own between the last two of
 * the head: steps without them do not know of it, and steps with them run their head unrecorded.
 * Allocates nothing. Thread: the rank's. */
#include "program.h"

#include "pagoda/mem.h"

/* The plan as the device sees it. */
static const pgd_plan *device_plan(const program *p, const pgd_plan *plan) {
    return p->bufs.plan ? p->bufs.plan : plan;
}

static pgd_status apply_diffs(program *p, const pgd_plan *plan) {
    const pgd_step_view none = {.slots = &p->slots, .page_tokens = p->kv.page_tokens};
    const pgd_plan *const there = device_plan(p, plan);
    if (plan->n_init || plan->n_table) {
        const pgd_slots_apply_args args = {.plan = there, .host = plan, .slots = &p->slots};
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
        .copy = (const void *)((const char *)there + plan->off_copy),
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
        p->dev->sync(p->dev);
        o->ns += pgd_clock_now(p->clock) - start;
        o->calls++;
    }
    return PGD_OK;
}

pgd_status program_run_body(program *p, const pgd_step_view *view) {
    PGD_TRY(p->dev->op[PGD_OP_STEP_FILL](p->dev, &p->bufs.fill, view));
    return run_ops(p, 0, p->n_body, view);
}

/* How many of the plan's logits rows [0, end) sample. */
static uint32_t count_samples(const pgd_plan *plan, uint32_t end) {
    const pgd_plan_seq *const seq = (const void *)((const char *)plan + plan->off_seq);
    uint32_t n = 0;
    for (uint32_t i = 0, row = 0; i < plan->n_seq; i++) {
        if (seq[i].flags & PGD_PLAN_SCORE) row += seq[i].n_new - (seq[i].score_next < 0);
        if (!(seq[i].flags & PGD_PLAN_SAMPLE)) continue;
        if (row >= end) break;
        n++;
        row++;
    }
    return n;
}

bool program_wants_hidden(const pgd_plan *plan) {
    const pgd_plan_seq *const seq = (const void *)((const char *)plan + plan->off_seq);
    for (uint32_t i = 0; plan->n_score && i < plan->n_seq; i++)
        if (seq[i].flags & PGD_PLAN_HIDDEN) return true;
    return false;
}

/* Rows [first, first + n) of the step's hidden states, before the next tile takes their place. */
static pgd_status fetch_hidden(program *p, void *hidden, uint32_t first, uint32_t n) {
    const pgd_tensor *const t = &p->ws.rows_act;
    const size_t row = (size_t)t->shape[1] * pgd_dtype_bytes(t->dtype);
    return p->dev->fetch(p->dev, (char *)hidden + first * row, t->data, n * row);
}

pgd_status program_run_head(program *p, const pgd_step_view *view, const pgd_plan *plan,
                            void *hidden) {
    pgd_sample_args *const sample = &p->op[p->n_ops - 1].args.sample;
    const pgd_logits_mask_args mask = {.logits = sample->logits};
    for (uint32_t first = 0; first < view->n_rows; first += p->tile_rows) {
        const uint32_t left = view->n_rows - first;
        const uint32_t n_sample = first ? count_samples(plan, first) : 0;
        pgd_step_view tile = *view;
        tile.n_rows = left < p->tile_rows ? left : p->tile_rows;
        tile.row_tok += first;
        tile.row_seq += first;
        tile.row_target += first;
        sample->sample_out = p->bufs.sample + n_sample;
        sample->score_out = p->bufs.score + (first - n_sample);
        PGD_TRY(run_ops(p, p->n_body, p->n_ops - 1, &tile));
        if (view->mask) PGD_TRY(p->dev->op[PGD_OP_LOGITS_MASK](p->dev, &mask, &tile));
        PGD_TRY(run_ops(p, p->n_ops - 1, p->n_ops, &tile));
        if (hidden) PGD_TRY(fetch_hidden(p, hidden, first, tile.n_rows));
    }
    return PGD_OK;
}

static uint32_t longest(const pgd_plan *plan) {
    const pgd_plan_seq *const seq = (const void *)((const char *)plan + plan->off_seq);
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->n_seq; i++)
        if (seq[i].n_new > n) n = seq[i].n_new;
    return n;
}

pgd_status program_launch_body(program *p, const pgd_plan *plan, program_step *out) {
    pgd_device *const dev = p->dev;
    *out = (program_step){.plan = plan, .graph = -1};
    if (p->bufs.plan) PGD_TRY(dev->send(dev, p->bufs.plan, plan, plan->bytes));
    PGD_TRY(apply_diffs(p, plan));
    if (plan->n_tok == 0) return PGD_OK;
    const uint32_t max_new = longest(plan);
    out->view =
        step_view(&p->bufs, &p->slots, plan->n_seq, plan->n_tok, plan->n_sample + plan->n_score);
    out->view.max_new = max_new;
    out->graph = graphs_find(&p->graphs, plan, max_new);
    if (out->graph >= 0) return dev->graph_launch(dev, p->graphs.body[out->graph]);
    p->bufs.fill.plan = device_plan(p, plan);
    return program_run_body(p, &out->view);
}

/* The masks as the device sees them. */
static pgd_status send_masks(const program *p, const pgd_plan_late *late, const uint32_t **out) {
    const pgd_plan_late *const there = p->bufs.late ? p->bufs.late : late;
    if (p->bufs.late) PGD_TRY(p->dev->send(p->dev, p->bufs.late, late, late->bytes));
    *out = (const uint32_t *)(const void *)(there + 1);
    return PGD_OK;
}

pgd_status program_launch_head(program *p, const program_step *s, const pgd_plan_late *late,
                               const step_out *out) {
    pgd_device *const dev = p->dev;
    const pgd_plan *const plan = s->plan;
    pgd_step_view view = s->view;
    if (late) PGD_TRY(send_masks(p, late, &view.mask));
    if (s->graph >= 0 && !late)
        PGD_TRY(dev->graph_launch(dev, p->graphs.head[s->graph]));
    else
        PGD_TRY(program_run_head(p, &view, plan, out->hidden));
    if (plan->n_sample)
        PGD_TRY(dev->fetch(dev, out->sample, p->bufs.sample, plan->n_sample * sizeof *out->sample));
    if (plan->n_score)
        PGD_TRY(dev->fetch(dev, out->score, p->bufs.score, plan->n_score * sizeof *out->score));
    return PGD_OK;
}

void program_fini(program *p) {
    graphs_free(p);
    pgd_free(p->op);
    *p = (program){0};
}
