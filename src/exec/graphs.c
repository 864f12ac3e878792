/* Decode steps as recorded graphs.
 *
 * A step in which every sequence has one token and nothing is scored has nothing on the host that
 * changes but the number of sequences: lengths, page tables, sampler state and the plan lie in
 * device memory at fixed addresses. So the operations are recorded once for each of a few sizes,
 * and a step rides the smallest graph that holds it; rows past its own hold no work. A row's result
 * does not depend on the number of rows, so a step gives the same bytes with a graph and without.
 *
 * Sizes are close (1, 2, 4, 8, then every 8) because a padded row costs time in every matrix
 * product. Each size runs once before it is recorded, on the empty plan that zeroed memory is: what
 * a kernel sets up at its first launch is not allowed during a recording. Thread: the rank's. */
#include "program.h"

enum { MAX_ROWS = 256 };

static uint32_t next_rows(uint32_t rows, uint32_t most) {
    const uint32_t next = rows < 8 ? 2 * rows : rows + 8;
    return next < most ? next : most;
}

static pgd_status capture(program *p, uint32_t rows) {
    pgd_device *const dev = p->dev;
    step_graphs *const g = &p->graphs;
    pgd_step_view view = step_view(&p->bufs, &p->slots, rows, rows, rows);
    view.max_new = 1;
    p->bufs.fill.plan = p->bufs.plan;
    PGD_TRY(program_run_body(p, &view));
    PGD_TRY(program_run_head(p, &view, NULL, NULL));
    PGD_TRY(dev->graph_begin(dev));
    PGD_TRY(program_run_body(p, &view));
    PGD_TRY(dev->graph_end(dev, &g->body[g->n]));
    g->rows[g->n++] = rows; /* from here on graphs_free knows of the body */
    PGD_TRY(dev->graph_begin(dev));
    PGD_TRY(program_run_head(p, &view, NULL, NULL));
    return dev->graph_end(dev, &g->head[g->n - 1]);
}

static uint32_t most_rows(const program *p, const pgd_plan_limits *lim) {
    uint32_t most = lim->max_seqs < MAX_ROWS ? lim->max_seqs : MAX_ROWS;
    if (lim->max_tokens < most) most = lim->max_tokens;
    return p->tile_rows < most ? p->tile_rows : most; /* one tile: its results have fixed places */
}

pgd_status graphs_capture(program *p, const pgd_plan_limits *lim, pgd_error *err) {
    pgd_device *const dev = p->dev;
    const uint32_t most = most_rows(p, lim);
    if (!dev->graph_begin || !p->bufs.plan || p->clock) return PGD_OK;
    for (uint32_t rows = 1;; rows = next_rows(rows, most)) {
        const pgd_status s = capture(p, rows);
        if (s != PGD_OK) {
            const char *const why = dev->fatal(dev);
            return pgd_fail(err, s, "recording a step of %u sequences: %s", rows,
                            why ? why : pgd_status_name(s));
        }
        if (rows == most) break;
    }
    dev->sync(dev);
    return PGD_OK;
}

int32_t graphs_find(const step_graphs *g, const pgd_plan *plan, uint32_t max_new) {
    if (max_new != 1 || plan->n_score) return -1;
    for (uint32_t i = 0; i < g->n; i++)
        if (plan->n_seq <= g->rows[i]) return (int32_t)i;
    return -1;
}

void graphs_free(program *p) {
    for (uint32_t i = 0; i < p->graphs.n; i++) {
        if (p->graphs.body[i]) p->dev->graph_free(p->dev, p->graphs.body[i]);
        if (p->graphs.head[i]) p->dev->graph_free(p->dev, p->graphs.head[i]);
    }
    p->graphs.n = 0;
}
