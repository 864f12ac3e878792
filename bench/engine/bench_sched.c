/* bench_sched [running [steps [page_tokens]]]: host time of one engine step at `running` sequences
 * (default 1024), all decoding, on the simulated device, which runs on a thread of its own as a
 * real one does. Prints percentiles of plan:   schedule, take pages, encode the blob and its
 * digest, submit commit: results into sequences, tree, logs and metrics turn:   both, and the stats
 * over steady decoding, where page boundaries and tree inserts happen as they come. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_int.h"
#include "pagoda/mem.h"

enum { PROMPT = 128, MAX_STEPS = 20000 };

typedef struct bench {
    pgd_exec *exec;
    uint32_t n_running, n_steps, page_tokens;
    pgd_sink sink;
    pgd_request *req;
    pgd_toklog *out;
    int32_t *tok;
} bench;

static uint64_t now(void) {
    const pgd_clock c = pgd_clock_monotonic();
    return pgd_clock_now(&c);
}

static void no_wake(void *ctx) {
    (void)ctx;
}

static int by_value(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, uint64_t *v, uint32_t n) {
    uint64_t sum = 0;
    qsort(v, n, sizeof *v, by_value);
    for (uint32_t i = 0; i < n; i++)
        sum += v[i];
    (void)printf("%-7s mean %7.1f  p50 %7.1f  p90 %7.1f  p99 %7.1f  max %7.1f us\n", what,
                 (double)sum / n / 1e3, (double)v[n / 2] / 1e3, (double)v[n * 9 / 10] / 1e3,
                 (double)v[n * 99 / 100] / 1e3, (double)v[n - 1] / 1e3);
}

static void make_requests(bench *b) {
    const uint32_t cap = b->n_steps + 64;
    b->req = pgd_calloc(b->n_running, sizeof *b->req);
    b->out = pgd_calloc(b->n_running, sizeof *b->out);
    b->tok = pgd_calloc((size_t)b->n_running * (PROMPT + cap), sizeof *b->tok);
    if (!b->req || !b->out || !b->tok) abort();
    for (uint32_t i = 0; i < b->n_running; i++) {
        int32_t *tok = b->tok + (size_t)i * (PROMPT + cap);
        for (uint32_t k = 0; k < PROMPT; k++)
            tok[k] = (int32_t)((i * 131 + k * 7) % 32000);
        b->out[i] = (pgd_toklog){.cap = cap, .token = tok + PROMPT};
        pgd_request *r = &b->req[i];
        r->id = i + 1;
        r->arrival_ns = now();
        r->prompt = tok;
        r->n_prompt = PROMPT - i % b->page_tokens; /* page boundaries spread over the steps */
        r->n_choices = 1;
        r->max_new_tokens = cap;
        r->sampling = (pgd_sampling){.temperature = 1,
                                     .top_p = 1,
                                     .repetition_penalty = 1,
                                     .seed = i,
                                     .n_stop_ids = 2,
                                     .stop_ids = {32001, 32002}};
        r->sink = &b->sink;
        r->out = &b->out[i];
    }
}

static pgd_engine *open_engine(bench *b, pgd_metrics *m) {
    const uint32_t len = PROMPT + b->n_steps + 64, pages = len / b->page_tokens + 2;
    pgd_error err = {0};
    pgd_engine *e = NULL;
    const pgd_sim_options sim = {.limits = {.max_seqs = b->n_running,
                                            .max_tokens = 8192,
                                            .max_slots = 2 * b->n_running,
                                            .max_pages_per_seq = pages,
                                            .page_tokens = b->page_tokens,
                                            .n_pages = b->n_running * pages,
                                            .vocab_size = 32064,
                                            .max_plan_bytes = 1 << 24},
                                 .steps_in_flight = 2,
                                 .max_model_len = len,
                                 .eos_id = -1,
                                 .realtime = true};
    const pgd_engine_options opt = {.max_num_seqs = b->n_running,
                                    .max_num_batched_tokens = 8192,
                                    .max_model_len = len,
                                    .max_queued = b->n_running,
                                    .prefix_caching = true,
                                    .metrics = m};
    if (pgd_exec_open_sim(&sim, &b->exec, &err) != PGD_OK ||
        pgd_engine_create(b->exec, &opt, &e, &err) != PGD_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return e;
}

/* One step taken apart: commit what is ready, then plan. */
static void one_step(pgd_engine *e, uint64_t *plan, uint64_t *commit, uint64_t *turn) {
    const pgd_step_result *r;
    while (!(r = e->exec->poll(e->exec)))
        pgd_mailbox_wait(e->inbox, 1000000);
    const uint64_t t0 = now();
    e->now_ns = now();
    eng_commit(e, r);
    e->exec->release(e->exec);
    (void)eng_release_passed(e);
    const uint64_t t1 = now();
    (void)eng_plan_step(e);
    const uint64_t t2 = now();
    eng_publish_stats(e);
    const uint64_t t3 = now();
    *commit = t1 - t0;
    *plan = t2 - t1;
    *turn = t3 - t0;
}

int main(int argc, char **argv) {
    bench b = {.n_running = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1024,
               .n_steps = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000,
               .page_tokens = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 16};
    if (b.n_running == 0 || b.n_steps == 0 || b.n_steps > MAX_STEPS || b.page_tokens == 0) {
        (void)fprintf(stderr, "usage: bench_sched [running [steps <= 20000 [page_tokens]]]\n");
        return 2;
    }
    pgd_metrics *m = NULL;
    if (pgd_metrics_create(&m, "model_name=\"sim\"") != PGD_OK) return 1;
    b.sink.wake = no_wake;
    pgd_engine *e = open_engine(&b, m);
    make_requests(&b);
    for (uint32_t i = 0; i < b.n_running; i++)
        if (pgd_engine_submit(e, &b.req[i], NULL) != PGD_OK) return 1;
    while (atomic_load(&b.out[b.n_running - 1].len) < 2)
        (void)pgd_engine_step(e);
    uint64_t *v = pgd_calloc((size_t)3 * b.n_steps, sizeof *v);
    if (!v) return 1;
    for (uint32_t i = 0; i < b.n_steps; i++)
        one_step(e, &v[i], &v[b.n_steps + i], &v[2 * (size_t)b.n_steps + i]);
    (void)printf("%u sequences decoding, %u steps, pages of %u tokens, 2 steps in flight, metrics "
                 "on, host time per step:\n",
                 b.n_running, b.n_steps, b.page_tokens);
    report("plan", v, b.n_steps);
    report("commit", v + b.n_steps, b.n_steps);
    report("turn", v + 2 * (size_t)b.n_steps, b.n_steps);
    while (atomic_load(&e->n_notified) + 1 < e->next_step) /* the device may be about to ring */
        pgd_mailbox_wait(e->inbox, 1000000);
    pgd_engine_destroy(&e);
    b.exec->destroy(b.exec);
    pgd_metrics_destroy(&m);
    pgd_free(v);
    pgd_free(b.req);
    pgd_free(b.out);
    pgd_free(b.tok);
    return 0;
}
