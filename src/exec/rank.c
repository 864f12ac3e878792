/* The rank executor: one thread that owns a device and runs plans on it, in order.
 *
 * Steps live in a fixed ring of steps_in_flight entries; entry k % n holds the plan buffer and the
 * result arrays of step k. An entry belongs to the engine from begin to submit and from poll to
 * release, to the rank thread in between; ownership moves with the entry's index through two
 * single-producer rings, whose release and acquire order the memory.
 *
 *   engine: begin → (write plan) → submit ──to_rank──► rank: check, run ──results──► poll → release
 *
 * All calls on the device come from the rank thread, loading included: pgd_exec_open waits for the
 * first word of `results`. A device error is final: the step that met it and all later ones carry
 * PGD_E_DEVICE, and nothing runs any more. A plan that fails its check is a bug of the engine and
 * fails its step with PGD_E_INTERNAL without touching the device. */
#include "rank.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "loader.h"
#include "pagoda/log.h"
#include "pagoda/mem.h"
#include "pagoda/queue.h"
#include "program.h"
#include "sizing.h"
#include "slots.h"

enum { RING_CAPACITY = 8, MAX_IN_FLIGHT = 3 };
static const uint64_t stop_word = UINT64_MAX;
static const uint64_t forever = UINT64_MAX;

typedef struct rank_step {
    void *plan; /* owned, max_plan_bytes */
    pgd_sample_out *sample;
    pgd_score_out *score;
    pgd_step_result result;
} rank_step;

typedef struct rank_exec {
    pgd_exec base;
    const pgd_model *model; /* borrowed until destroy */
    pgd_exec_options opt;
    rank_device device;
    pgd_exec_info info; /* written while opening, then read-only */
    pgd_ring *to_rank, *results;
    pthread_t thread;
    rank_step step[MAX_IN_FLIGHT];
    void (*notify)(void *ctx);
    void *notify_ctx;

    /* engine thread */
    uint64_t n_begun, n_submitted, n_released;
    const pgd_step_result *polled; /* between poll and release */

    /* rank thread */
    pgd_clock clock;
    pgd_device *dev;
    devmem mem;
    exec_weights weights;
    program prog;
    pgd_slots slots;
    step_buffers bufs;
    bool failed;
    _Atomic uint32_t *progress;
    pgd_status open_status; /* read by open after the first word of results */
    pgd_error open_error;
} rank_exec;

/* --- rank thread: opening ------------------------------------------------------------------- */

static pgd_status alloc_steps(rank_exec *r, const sizing *z, pgd_error *err) {
    for (uint32_t i = 0; i < z->steps_in_flight; i++) {
        rank_step *const s = &r->step[i];
        s->plan = pgd_aligned_alloc(z->limits.max_plan_bytes, 64);
        s->sample = pgd_calloc(z->limits.max_seqs, sizeof *s->sample);
        s->score = pgd_calloc(z->limits.max_tokens, sizeof *s->score);
        if (!s->plan || !s->sample || !s->score)
            return pgd_fail(err, PGD_E_NOMEM, "no memory for the buffers of %u steps",
                            z->steps_in_flight);
    }
    return PGD_OK;
}

static pgd_status alloc_kv(rank_exec *r, const sizing *z, pgd_error *err) {
    const pgd_model_spec *const s = pgd_model_get_spec(r->model);
    kv_pool *const kv = &r->prog.kv;
    *kv = (kv_pool){.type = s->dtype,
                    .n_layers = s->n_layers,
                    .n_pages = z->limits.n_pages,
                    .page_tokens = z->limits.page_tokens,
                    .n_kv_heads = s->n_kv_heads,
                    .head_dim = s->head_dim,
                    .page_bytes = z->page_bytes};
    return devmem_array(&r->mem, "KV cache", z->page_bytes * s->n_layers, z->limits.n_pages,
                        &kv->kv, err);
}

static void write_info(rank_exec *r, const sizing *z) {
    r->info = (pgd_exec_info){.limits = z->limits,
                              .steps_in_flight = z->steps_in_flight,
                              .max_model_len = z->max_model_len,
                              .kv_bytes = z->kv_bytes,
                              .weight_bytes = r->weights.bytes,
                              .workspace_bytes = z->workspace_bytes,
                              .device_name = r->dev->info.name};
}

static pgd_status open_all(rank_exec *r, pgd_error *err) {
    const pgd_model_spec *const s = pgd_model_get_spec(r->model);
    const bool dummy = pgd_model_is_dummy(r->model);
    unsigned loader_flags = 0;
    sizing z;
    if (dummy != r->opt.dummy_weights)
        return pgd_fail(err, PGD_E_INVALID, "the model was opened %s weights, the executor %s them",
                        dummy ? "without" : "with", dummy ? "wants" : "is to invent");
    PGD_TRY(r->device.open(r->device.ctx, &r->opt, &r->dev, &loader_flags, err));
    r->mem.dev = r->dev;
    PGD_TRY(sizing_decide(&r->opt, r->model, r->dev, loader_flags, &z, err));
    if (!r->opt.max_model_len && z.max_model_len < s->max_position)
        pgd_log(PGD_LOG_WARN, "exec", "context cut to what the KV cache holds max_model_len=%u",
                z.max_model_len);
    PGD_TRY(loader_load(r->model, &r->mem, loader_flags, r->progress, &r->weights, err));
    PGD_TRY(alloc_kv(r, &z, err));
    PGD_TRY(slots_create(&r->slots, &z.limits, &r->mem, err));
    PGD_TRY(step_buffers_create(&r->bufs, &z.limits, &r->mem, err));
    PGD_TRY(program_build(&r->prog, s, &r->weights, &r->mem, z.limits.max_tokens, z.max_model_len,
                          err));
    if (r->opt.profile) r->prog.clock = &r->clock;
    write_info(r, &z); /* before alloc_steps: closing needs the size of the plan buffers */
    return alloc_steps(r, &z, err);
}

static void close_all(rank_exec *r) {
    for (uint32_t i = 0; i < MAX_IN_FLIGHT; i++) {
        if (r->step[i].plan) pgd_aligned_free(r->step[i].plan, r->info.limits.max_plan_bytes);
        pgd_free(r->step[i].sample);
        pgd_free(r->step[i].score);
    }
    program_fini(&r->prog);
    step_buffers_fini(&r->bufs);
    if (!r->dev) return;
    loader_free(r->dev, &r->weights);
    devmem_free_all(&r->mem);
    r->dev->close(r->dev);
}

/* --- rank thread: running ------------------------------------------------------------------- */

static pgd_status check(const rank_exec *r, const pgd_plan *plan) {
    pgd_error err = {0};
    const pgd_status s = pgd_plan_check(plan, plan->bytes, &r->info.limits, &err);
    if (s != PGD_OK) pgd_log(PGD_LOG_ERROR, "exec", "refused %s", err.msg);
    return s;
}

static pgd_status run(rank_exec *r, rank_step *s) {
    const pgd_plan *const plan = s->plan;
    const step_out out = {.sample = s->sample, .score = s->score};
    if (r->failed) return PGD_E_DEVICE;
    PGD_TRY(check(r, plan));
    pgd_noalloc_begin();
    const pgd_status st = program_run(&r->prog, plan, &r->bufs, &r->slots, &out);
    pgd_noalloc_end();
    const char *const fatal = r->dev->fatal(r->dev);
    if (st == PGD_OK && !fatal) return PGD_OK;
    r->failed = true;
    pgd_log(PGD_LOG_ERROR, "exec", "device failed: %s step=%llu",
            fatal ? fatal : pgd_status_name(st), (unsigned long long)plan->step);
    return PGD_E_DEVICE;
}

static void run_step(rank_exec *r, uint64_t index) {
    rank_step *const s = &r->step[index];
    const pgd_plan *const plan = s->plan;
    const uint64_t start = pgd_clock_now(&r->clock);
    const pgd_status st = run(r, s);
    s->result = (pgd_step_result){.step = plan->step,
                                  .digest = plan->digest,
                                  .status = st,
                                  .n_sample = st == PGD_OK ? plan->n_sample : 0,
                                  .n_score = st == PGD_OK ? plan->n_score : 0,
                                  .sample = s->sample,
                                  .score = s->score,
                                  .device_ns = pgd_clock_now(&r->clock) - start};
    const bool pushed = pgd_ring_push(r->results, index);
    PGD_ASSERT(pushed); /* the ring is larger than the number of steps */
    if (r->notify) r->notify(r->notify_ctx);
}

static void *rank_main(void *arg) {
    rank_exec *const r = arg;
    uint64_t word;
    r->open_status = open_all(r, &r->open_error);
    (void)pgd_ring_push(r->results, 0);
    while (r->open_status == PGD_OK && pgd_ring_wait(r->to_rank, &word, forever) &&
           word != stop_word)
        run_step(r, word);
    close_all(r);
    return NULL;
}

/* --- engine thread -------------------------------------------------------------------------- */

static rank_exec *rank_of(pgd_exec *x) {
    return (rank_exec *)x;
}

static const pgd_exec_info *rank_info(const pgd_exec *x) {
    return &((const rank_exec *)x)->info;
}

static void *rank_begin(pgd_exec *x) {
    rank_exec *const r = rank_of(x);
    PGD_ASSERT(r->n_begun == r->n_submitted);
    if (r->n_begun - r->n_released == r->info.steps_in_flight) return NULL;
    return r->step[r->n_begun++ % r->info.steps_in_flight].plan;
}

static void rank_submit(pgd_exec *x) {
    rank_exec *const r = rank_of(x);
    PGD_ASSERT(r->n_begun == r->n_submitted + 1);
    const bool pushed = pgd_ring_push(r->to_rank, r->n_submitted++ % r->info.steps_in_flight);
    PGD_ASSERT(pushed);
}

static const pgd_step_result *rank_poll(pgd_exec *x) {
    rank_exec *const r = rank_of(x);
    uint64_t index;
    if (!r->polled && pgd_ring_pop(r->results, &index)) r->polled = &r->step[index].result;
    return r->polled;
}

static void rank_release(pgd_exec *x) {
    rank_exec *const r = rank_of(x);
    PGD_ASSERT(r->polled != NULL);
    r->polled = NULL;
    r->n_released++;
}

static void rank_on_result(pgd_exec *x, void (*fn)(void *ctx), void *ctx) {
    rank_exec *const r = rank_of(x);
    PGD_ASSERT(r->n_begun == 0);
    r->notify_ctx = ctx; /* seen by the rank thread through the push of the first plan */
    r->notify = fn;
}

static void free_exec(rank_exec *r) {
    pgd_ring_destroy(&r->to_rank);
    pgd_ring_destroy(&r->results);
    pgd_free(r);
}

static void rank_destroy(pgd_exec *x) {
    rank_exec *const r = rank_of(x);
    const bool pushed = pgd_ring_push(r->to_rank, stop_word);
    PGD_ASSERT(pushed);
    (void)pthread_join(r->thread, NULL);
    free_exec(r);
}

static pgd_status start(rank_exec *r, pgd_error *err) {
    if (pgd_ring_create(&r->to_rank, RING_CAPACITY) != PGD_OK ||
        pgd_ring_create(&r->results, RING_CAPACITY) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "no memory for an executor");
    const int e = pthread_create(&r->thread, NULL, rank_main, r);
    return e ? pgd_fail(err, PGD_E_NOMEM, "cannot start the rank thread: error %d", e) : PGD_OK;
}

pgd_status rank_open(const pgd_model *model, const pgd_exec_options *opt, rank_device device,
                     _Atomic uint32_t *progress, pgd_exec **out, pgd_error *err) {
    rank_exec *r = pgd_calloc(1, sizeof *r);
    uint64_t word;
    *out = NULL;
    if (!r) return pgd_fail(err, PGD_E_NOMEM, "no memory for an executor");
    r->base = (pgd_exec){.info = rank_info,
                         .begin = rank_begin,
                         .submit = rank_submit,
                         .poll = rank_poll,
                         .release = rank_release,
                         .on_result = rank_on_result,
                         .destroy = rank_destroy};
    r->model = model;
    r->opt = *opt;
    r->device = device;
    r->progress = progress;
    r->clock = pgd_clock_monotonic();
    pgd_status s = start(r, err);
    if (s == PGD_OK) {
        (void)pgd_ring_wait(r->results, &word, forever);
        s = r->open_status;
        if (s == PGD_OK) {
            *out = &r->base;
            return PGD_OK;
        }
        (void)pthread_join(r->thread, NULL);
        if (err) *err = r->open_error;
    }
    free_exec(r);
    return s;
}

void pgd_exec_describe(const pgd_exec *x, pgd_buf *out) {
    const rank_exec *const r = (const rank_exec *)x;
    PGD_ASSERT(x->info == rank_info && r->n_released == r->n_submitted);
    program_describe(&r->prog, out);
}

static pgd_status open_device(void *ctx, const pgd_exec_options *opt, pgd_device **out,
                              unsigned *flags, pgd_error *err) {
    const char *const name = opt->device ? opt->device : "cpu";
    (void)ctx;
    if (strcmp(name, "cpu") == 0) {
        const pgd_cpu_options o = {.n_threads = opt->n_threads, .isa = opt->isa};
        *flags = LOADER_HOST_MEMORY;
        PGD_TRY(pgd_device_open_cpu(&o, out, err));
        pgd_pool_pin_caller(pgd_device_cpu_pool(*out)); /* this is the rank thread */
        return PGD_OK;
    }
    return pgd_fail(err, PGD_E_UNSUPPORTED, "--device is '%s', this build has: cpu", name);
}

pgd_status pgd_exec_open(const pgd_model *model, const pgd_exec_options *opt,
                         _Atomic uint32_t *progress, pgd_exec **out, pgd_error *err) {
    const rank_device device = {.open = open_device};
    return rank_open(model, opt, device, progress, out, err);
}
