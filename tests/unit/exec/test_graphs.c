/* Memory of its own, and recorded graphs, without a GPU: the CPU device, told that its memory is
 * not the host's, so that plans are sent and results fetched, with operations that can be recorded
 * and replayed. Its operations know no idle rows, so a graph is only met by steps of exactly its
 * size.
 */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "exec/rank.h"
#include "pagoda/mem.h"
#include "pagoda/queue.h"

/* --- the device ------------------------------------------------------------------------------- */

enum { MAX_CALLS = 64 };

typedef struct call {
    pgd_op op;
    const void *args; /* of the program: they outlive the graph */
    pgd_step_view view;
} call;

typedef struct graph {
    call call[MAX_CALLS];
    uint32_t n;
} graph;

/* Rank thread only, but for the counts, which tests read between steps. */
static struct recorder {
    pgd_op_fn op[PGD_OP_N];
    graph *recording; /* NULL: operations run */
    uint32_t n_graphs, n_launched, n_freed;
} rec;

static pgd_status run_or_record(pgd_device *d, pgd_op op, const void *args,
                                const pgd_step_view *view) {
    if (!rec.recording) return rec.op[op](d, args, view);
    graph *g = rec.recording;
    PGD_ASSERT(g->n < MAX_CALLS);
    g->call[g->n++] = (call){.op = op, .args = args, .view = *view};
    return PGD_OK;
}

#define WRAP(U, l)                                                                                 \
    static pgd_status wrap_##l(pgd_device *d, const void *args, const pgd_step_view *v) {          \
        return run_or_record(d, PGD_OP_##U, args, v);                                              \
    }
PGD_OPS(WRAP)
#undef WRAP

static pgd_op_fn cpu_fill;

/* Of the empty plan of a first run: rows that nobody reads, each with a place of its own. */
static pgd_status fill_even_nothing(pgd_device *d, const void *args, const pgd_step_view *v) {
    const pgd_step_fill_args *a = args;
    if (a->plan->n_tok) return cpu_fill(d, args, v);
    for (uint32_t i = 0; i < v->n_seq; i++) {
        a->seq[i] = (pgd_plan_seq){.slot = i};
        a->ids[i] = 0;
        a->pos[i] = a->tok_seq[i] = a->row_tok[i] = a->row_seq[i] = (int32_t)i;
        a->row_target[i] = -1;
    }
    return PGD_OK;
}

static pgd_status graph_begin(pgd_device *d) {
    (void)d;
    rec.recording = pgd_calloc(1, sizeof *rec.recording);
    return rec.recording ? PGD_OK : PGD_E_NOMEM;
}

static pgd_status graph_end(pgd_device *d, void **out) {
    (void)d;
    *out = rec.recording;
    rec.recording = NULL;
    rec.n_graphs++;
    return PGD_OK;
}

static pgd_status graph_launch(pgd_device *d, void *what) {
    const graph *g = what;
    rec.n_launched++;
    for (uint32_t i = 0; i < g->n; i++)
        PGD_TRY(rec.op[g->call[i].op](d, g->call[i].args, &g->call[i].view));
    return PGD_OK;
}

static void graph_free(pgd_device *d, void *what) {
    (void)d;
    pgd_free(what);
    rec.n_freed++;
}

static pgd_status open_apart(void *ctx, const pgd_exec_options *opt, pgd_device **out,
                             pgd_error *err) {
    const pgd_cpu_options o = {.n_threads = opt->n_threads, .isa = opt->isa};
    (void)ctx;
    PGD_TRY(pgd_device_open_cpu(&o, out, err));
    pgd_device *d = *out;
    d->info.host_memory = false;
    d->info.mem_total = d->info.mem_available = 1ULL << 30;
    memcpy(rec.op, d->op, sizeof rec.op);
    cpu_fill = rec.op[PGD_OP_STEP_FILL];
    rec.op[PGD_OP_STEP_FILL] = fill_even_nothing;
#define SET(U, l) d->op[PGD_OP_##U] = wrap_##l;
    PGD_OPS(SET)
#undef SET
    d->graph_begin = graph_begin;
    d->graph_end = graph_end;
    d->graph_launch = graph_launch;
    d->graph_free = graph_free;
    return PGD_OK;
}

/* --- tests ------------------------------------------------------------------------------------ */

typedef struct runner {
    pgd_model *model;
    pgd_exec *x;
    plan_writer pw;
    pgd_mailbox *wake;
} runner;

static void on_result(void *ctx) {
    runner *r = ctx;
    pgd_mailbox_wake(r->wake);
}

static void runner_open(runner *r, const char *name, const pgd_exec_options *opt) {
    pgd_error err = {0};
    memset(r, 0, sizeof *r);
    memset(&rec, 0, sizeof rec);
    r->model = golden_model(name);
    assert_int_equal(pgd_mailbox_create(&r->wake), PGD_OK);
    if (rank_open(r->model, opt, (rank_device){open_apart, NULL}, NULL, &r->x, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    r->x->on_result(r->x, on_result, r);
}

static void runner_close(runner *r) {
    r->x->destroy(r->x);
    pgd_mailbox_destroy(&r->wake);
    pgd_model_close(&r->model);
}

static const pgd_step_result *step(runner *r) {
    void *buf = r->x->begin(r->x);
    const pgd_step_result *res;
    assert_non_null(buf);
    (void)pw_write(&r->pw, buf, r->x->info(r->x)->limits.max_plan_bytes);
    r->x->submit(r->x);
    while (!(res = r->x->poll(r->x)))
        pgd_mailbox_wait(r->wake, 1000000000);
    assert_int_equal(res->status, PGD_OK);
    return res;
}

/* The prompt in slots 0..n, then greedy tokens of all of them at once. */
static void generate(runner *r, const golden *g, uint32_t n) {
    static int32_t pages[8][64];
    const pgd_plan_limits *lim = &r->x->info(r->x)->limits;
    const uint32_t n_pages = (g->n_prompt + g->n_greedy + 15) / 16;
    const pgd_sampling s = greedy_sampling(3);
    for (uint32_t i = 0; i < n; i++) {
        page_order(lim, i, pages[i], n_pages);
        pw_init(&r->pw, i, g->n_prompt, &s, NULL, 0, NULL, 0);
        pw_table(&r->pw, i, 0, pages[i], n_pages);
        pw_seq(&r->pw, i, g->prompt, g->n_prompt, 0, PGD_PLAN_SAMPLE, -1);
    }
    for (uint32_t k = 0; k < g->n_greedy; k++) {
        for (uint32_t i = 0; k > 0 && i < n; i++)
            pw_seq(&r->pw, i, NULL, 1, g->n_prompt + k - 1, PGD_PLAN_SAMPLE | PGD_PLAN_LATE_ID, -1);
        const pgd_step_result *res = step(r);
        assert_int_equal(res->n_sample, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(res->sample[i].slot, i);
            assert_int_equal(res->sample[i].token, g->greedy[k]);
            assert_int_equal(res->sample[i].n_top, 3);
        }
        r->x->release(r->x);
    }
}

static void decode_steps_ride_graphs_and_give_the_same_tokens(void **state) {
    (void)state;
    static const char *const names[] = {"qwen3-tied-bf16", "mistral-window-bf16", "llama-bias-f32"};
    for (size_t m = 0; m < sizeof names / sizeof names[0]; m++) {
        runner r;
        golden g;
        golden_load(names[m], &g);
        const pgd_exec_options opt = small_options(1024);
        runner_open(&r, names[m], &opt);
        assert_int_equal(rec.n_graphs, 2 * 4); /* body and head of 1, 2, 4, 8 */
        const uint32_t sizes[] = {1, 4, 2};
        uint32_t launched = 0;
        for (size_t i = 0; i < 3; i++) {
            generate(&r, &g, sizes[i]);
            launched += 2 * (g.n_greedy - 1);
            assert_int_equal(rec.n_launched, launched);
        }
        runner_close(&r);
        assert_int_equal(rec.n_freed, rec.n_graphs);
        golden_free(&g);
    }
}

static void no_graph_is_recorded_when_none_is_wanted(void **state) {
    (void)state;
    runner r;
    golden g;
    golden_load("qwen2-bf16", &g);
    pgd_exec_options opt = small_options(1024);
    opt.enforce_eager = true;
    runner_open(&r, "qwen2-bf16", &opt);
    generate(&r, &g, 3);
    assert_int_equal(rec.n_graphs + rec.n_launched, 0);
    runner_close(&r);
    golden_free(&g);
}

static void a_graph_is_chosen_by_what_a_step_holds(void **state) {
    (void)state;
    const step_graphs g = {.n = 3, .rows = {1, 2, 8}};
    const pgd_plan one = {.n_seq = 1}, three = {.n_seq = 3}, nine = {.n_seq = 9};
    const pgd_plan scored = {.n_seq = 1, .n_score = 1};
    assert_int_equal(graphs_find(&g, &one, 1), 0);
    assert_int_equal(graphs_find(&g, &three, 1), 2);
    assert_int_equal(graphs_find(&g, &nine, 1), -1);
    assert_int_equal(graphs_find(&g, &one, 2), -1);
    assert_int_equal(graphs_find(&g, &scored, 1), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_steps_ride_graphs_and_give_the_same_tokens),
        cmocka_unit_test(no_graph_is_recorded_when_none_is_wanted),
        cmocka_unit_test(a_graph_is_chosen_by_what_a_step_holds),
    };
    return cmocka_run_group_tests_name("exec_graphs", tests, NULL, NULL);
}
