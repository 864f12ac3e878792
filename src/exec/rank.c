/* The rank executor: one thread that owns a device and runs plans on it, in order.
 *
 * Steps live in a fixed ring of steps_in_flight entries; entry k % n holds the plan buffer and the
 * result arrays of step k. An entry belongs to the engine from begin to submit and from poll to
 * release, to the rank thread in between; ownership moves with the entry's index through two
 * single-producer rings, whose release and acquire order the memory.
 *
 *   engine: begin → (write plan) → submit ──to_rank──► rank: check, launch … done ──results──► poll
 *
 * Launching only enqueues where the device is asynchronous: step N + 1 is launched while N runs, so
 * that the device goes from one to the next by itself. The thread publishes before it launches;
 * a device that is done when the launch returns (the CPU) thus runs and publishes step by step.
 *
 * A plan with masks has its late part handed over through a ring of its own: the thread launches
 * the body, waits for that, and launches the head.
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

enum { RING_CAPACITY = 8 };
static const uint64_t stop_word = UINT64_MAX;
static const uint64_t forever = UINT64_MAX;
static const uint64_t poll_ns = 20000; /* between looks at a running step */

typedef struct rank_step {
    void *plan;             /* max_plan_bytes, host_alloc, as are */
    pgd_plan_late *late;    /* pgd_plan_late_room; NULL: the device has no operation for masks */
    pgd_sample_out *sample; /* [max_seqs] */
    pgd_score_out *score;   /* [max_tokens] */
    void *hidden;           /* [max_tokens][hidden_width]; NULL: none are reported */
    bool wants_hidden;      /* the plan under way */
    bool late_due;          /* wants a late part that was not handed over; engine thread */
    pgd_status launched;    /* not PGD_OK: nothing of it runs */
    pgd_step_result result;
} rank_step;

typedef struct rank_exec {
    pgd_exec base;
    const pgd_model *model; /* borrowed until destroy */
    pgd_exec_options opt;
    rank_device device;
    pgd_exec_info info; /* written while opening, then read-only */
    pgd_ring *to_rank, *late, *results;
    pthread_t thread;
    rank_step step[PGD_MAX_STEPS_IN_FLIGHT];
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
    uint64_t n_launched, n_published;
    _Atomic uint64_t busy_ns; /* relaxed: a sum that anyone may look at */
    bool failed;
    _Atomic uint32_t *progress;
    pgd_status open_status; /* read by open after the first word of results */
    pgd_error open_error;
} rank_exec;

/* --- rank thread: opening ------------------------------------------------------------------- */

static size_t hidden_bytes(const rank_exec *r) {
    return (size_t)r->info.limits.max_tokens * r->info.hidden_width *
           pgd_dtype_bytes(r->info.hidden_type);
}

static pgd_status alloc_steps(rank_exec *r, const pgd_plan_limits *l, pgd_error *err) {
    pgd_device *const dev = r->dev;
    for (uint32_t i = 0; i < r->info.steps_in_flight; i++) {
        rank_step *const s = &r->step[i];
        s->plan = dev->host_alloc(dev, l->max_plan_bytes);
        if (dev->op[PGD_OP_LOGITS_MASK]) s->late = dev->host_alloc(dev, pgd_plan_late_room(l));
        s->sample = dev->host_alloc(dev, l->max_seqs * sizeof *s->sample);
        s->score = dev->host_alloc(dev, l->max_tokens * sizeof *s->score);
        const size_t hidden = hidden_bytes(r);
        if (hidden) s->hidden = dev->host_alloc(dev, hidden);
        const bool late = s->late || !dev->op[PGD_OP_LOGITS_MASK];
        if (!s->plan || !late || !s->sample || !s->score || (hidden && !s->hidden))
            return pgd_fail(err, PGD_E_NOMEM, "no memory for the buffers of %u steps",
                            r->info.steps_in_flight);
    }
    return PGD_OK;
}

static void free_steps(rank_exec *r) {
    pgd_device *const dev = r->dev;
    const pgd_plan_limits *const l = &r->info.limits;
    for (uint32_t i = 0; i < PGD_MAX_STEPS_IN_FLIGHT; i++) {
        const rank_step *const s = &r->step[i];
        if (s->plan) dev->host_free(dev, s->plan, l->max_plan_bytes);
        if (s->late) dev->host_free(dev, s->late, pgd_plan_late_room(l));
        if (s->sample) dev->host_free(dev, s->sample, l->max_seqs * sizeof *s->sample);
        if (s->score) dev->host_free(dev, s->score, l->max_tokens * sizeof *s->score);
        if (s->hidden) dev->host_free(dev, s->hidden, hidden_bytes(r));
    }
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
    sizing_tell(z, &r->opt, r->model, r->dev, &r->info);
    r->info.weight_bytes = r->weights.bytes;
}

static pgd_status capture_graphs(rank_exec *r, pgd_error *err) {
    pgd_device *const dev = r->dev;
    const uint64_t before = dev->mem_available(dev), start = pgd_clock_now(&r->clock);
    if (r->opt.enforce_eager) return PGD_OK;
    PGD_TRY(graphs_capture(&r->prog, &r->info.limits, err));
    if (!r->prog.graphs.n) return PGD_OK;
    const uint64_t after = dev->mem_available(dev);
    r->info.graph_bytes = before > after ? before - after : 0;
    pgd_log(PGD_LOG_INFO, "exec", "recorded %u graphs, up to %u sequences ms=%llu",
            r->prog.graphs.n, r->prog.graphs.rows[r->prog.graphs.n - 1],
            (unsigned long long)((pgd_clock_now(&r->clock) - start) / 1000000));
    return PGD_OK;
}

static pgd_status check_model(const rank_exec *r, pgd_error *err) {
    const bool dummy = pgd_model_is_dummy(r->model);
    if (dummy == r->opt.dummy_weights) return PGD_OK;
    return pgd_fail(err, PGD_E_INVALID, "the model was opened %s weights, the executor %s them",
                    dummy ? "without" : "with", dummy ? "wants" : "is to invent");
}

static pgd_status open_all(rank_exec *r, pgd_error *err) {
    const pgd_model_spec *const s = pgd_model_get_spec(r->model);
    sizing z;
    PGD_TRY(check_model(r, err));
    PGD_TRY(r->device.open(r->device.ctx, &r->opt, &r->dev, err));
    r->mem.dev = r->dev;
    PGD_TRY(sizing_decide(&r->opt, r->model, r->dev, &z, err));
    if (!r->opt.max_model_len && z.max_model_len < s->max_position)
        pgd_log(PGD_LOG_WARN, "exec", "context cut to what the KV cache holds max_model_len=%u",
                z.max_model_len);
    PGD_TRY(r->dev->reserve(r->dev, &z.device, err));
    PGD_TRY(loader_load(r->model, &r->mem, r->progress, &r->weights, err));
    PGD_TRY(alloc_kv(r, &z, err));
    PGD_TRY(program_build(&r->prog, s, &r->weights, &r->mem, &z.limits, z.max_model_len, err));
    if (r->opt.profile) r->prog.clock = &r->clock;
    write_info(r, &z); /* before alloc_steps: freeing needs the sizes */
    PGD_TRY(alloc_steps(r, &z.limits, err));
    return capture_graphs(r, err);
}

static void close_all(rank_exec *r) {
    if (!r->dev) return;
    r->dev->sync(r->dev);
    free_steps(r);
    program_fini(&r->prog);
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

/* Latch a failure of the device; st: what an operation returned. */
static pgd_status look_for_failure(rank_exec *r, const pgd_plan *plan, pgd_status st) {
    const char *const fatal = r->dev->fatal(r->dev);
    if (r->failed) return PGD_E_DEVICE;
    if (st == PGD_OK && !fatal) return PGD_OK;
    r->failed = true;
    pgd_log(PGD_LOG_ERROR, "exec", "device failed: %s step=%llu",
            fatal ? fatal : pgd_status_name(st), (unsigned long long)plan->step);
    return PGD_E_DEVICE;
}

static void publish_done(rank_exec *r);

/* Wait for the late part of step `index`, whose body runs. The engine makes it out of the results
 * of the steps before, so those are published meanwhile. */
static pgd_status wait_late(rank_exec *r, uint32_t index) {
    const pgd_plan *const plan = r->step[index].plan;
    pgd_error err = {0};
    uint64_t word;
    for (;;) {
        publish_done(r);
        const bool running = r->n_published != r->n_launched;
        if (pgd_ring_wait(r->late, &word, running ? poll_ns : forever)) break;
    }
    if (word == stop_word) return PGD_E_CANCELLED;
    PGD_ASSERT(word == index); /* they come in the order of their plans */
    const pgd_status s = pgd_plan_late_check(plan, r->step[index].late, &r->info.limits, &err);
    if (s != PGD_OK) pgd_log(PGD_LOG_ERROR, "exec", "refused %s", err.msg);
    return s;
}

static pgd_status launch_parts(rank_exec *r, uint32_t index) {
    pgd_device *const dev = r->dev;
    rank_step *const s = &r->step[index];
    s->wants_hidden = program_wants_hidden(s->plan);
    const step_out out = {
        .sample = s->sample, .score = s->score, .hidden = s->wants_hidden ? s->hidden : NULL};
    program_step part;
    PGD_TRY(dev->begin(dev, index));
    PGD_TRY(program_launch_body(&r->prog, s->plan, &part));
    const bool masks = ((const pgd_plan *)s->plan)->n_mask > 0;
    if (masks) PGD_TRY(wait_late(r, index));
    PGD_TRY(program_launch_head(&r->prog, &part, masks ? s->late : NULL, &out));
    return dev->mark(dev, index);
}

static pgd_status launch(rank_exec *r, uint32_t index) {
    const pgd_plan *const plan = r->step[index].plan;
    if (r->failed) return PGD_E_DEVICE;
    PGD_TRY(check(r, plan));
    pgd_noalloc_begin();
    const pgd_status st = launch_parts(r, index);
    pgd_noalloc_end();
    if (st == PGD_E_CANCELLED) return st; /* the executor is being destroyed */
    return look_for_failure(r, plan, st);
}

static void publish(rank_exec *r, uint32_t index) {
    rank_step *const s = &r->step[index];
    const pgd_plan *const plan = s->plan;
    const bool ran = s->launched == PGD_OK;
    const pgd_status st = ran ? look_for_failure(r, plan, PGD_OK) : s->launched;
    s->result = (pgd_step_result){.step = plan->step,
                                  .digest = plan->digest,
                                  .status = st,
                                  .n_sample = st == PGD_OK ? plan->n_sample : 0,
                                  .n_score = st == PGD_OK ? plan->n_score : 0,
                                  .sample = s->sample,
                                  .score = s->score,
                                  .hidden = s->wants_hidden ? s->hidden : NULL,
                                  .device_ns = st == PGD_OK ? r->dev->step_ns(r->dev, index) : 0};
    atomic_fetch_add_explicit(&r->busy_ns, s->result.device_ns, memory_order_relaxed);
    const bool pushed = pgd_ring_push(r->results, index);
    PGD_ASSERT(pushed); /* the ring is larger than the number of steps */
    if (r->notify) r->notify(r->notify_ctx);
}

/* Publish the launched steps that the device is done with, oldest first. */
static void publish_done(rank_exec *r) {
    while (r->n_published != r->n_launched) {
        const uint32_t index = (uint32_t)(r->n_published % r->info.steps_in_flight);
        if (r->step[index].launched == PGD_OK && !r->dev->done(r->dev, index)) return;
        publish(r, index);
        r->n_published++;
    }
}

static void run_plans(rank_exec *r) {
    uint64_t index;
    for (;;) {
        publish_done(r);
        const bool running = r->n_published != r->n_launched;
        if (!pgd_ring_wait(r->to_rank, &index, running ? poll_ns : forever)) continue;
        if (index == stop_word) return;
        r->step[index].launched = launch(r, (uint32_t)index);
        r->n_launched++;
    }
}

static void *rank_main(void *arg) {
    rank_exec *const r = arg;
    r->open_status = open_all(r, &r->open_error);
    if (r->open_status != PGD_OK) {
        const char *const fatal = r->dev ? r->dev->fatal(r->dev) : NULL;
        if (fatal && !strstr(r->open_error.msg, fatal)) (void)pgd_wrap(&r->open_error, "%s", fatal);
    }
    (void)pgd_ring_push(r->results, 0);
    if (r->open_status == PGD_OK) run_plans(r);
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
    rank_step *const s = &r->step[r->n_submitted % r->info.steps_in_flight];
    s->late_due = ((const pgd_plan *)s->plan)->n_mask > 0;
    const bool pushed = pgd_ring_push(r->to_rank, r->n_submitted++ % r->info.steps_in_flight);
    PGD_ASSERT(pushed);
}

static rank_step *first_late(rank_exec *r) {
    for (uint64_t k = r->n_released; k < r->n_submitted; k++) {
        rank_step *const s = &r->step[k % r->info.steps_in_flight];
        if (s->late_due) return s;
    }
    PGD_ASSERT(false); /* callers ask only while a late part is due */
    return NULL;
}

static pgd_plan_late *rank_begin_late(pgd_exec *x) {
    return first_late(rank_of(x))->late;
}

static void rank_submit_late(pgd_exec *x) {
    rank_exec *const r = rank_of(x);
    rank_step *const s = first_late(r);
    s->late_due = false;
    const bool pushed = pgd_ring_push(r->late, (uint64_t)(s - r->step));
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
    pgd_ring_destroy(&r->late);
    pgd_ring_destroy(&r->results);
    pgd_free(r);
}

static void rank_destroy(pgd_exec *x) {
    rank_exec *const r = rank_of(x);
    const bool pushed = pgd_ring_push(r->late, stop_word) && pgd_ring_push(r->to_rank, stop_word);
    PGD_ASSERT(pushed);
    (void)pthread_join(r->thread, NULL);
    free_exec(r);
}

static pgd_status start(rank_exec *r, pgd_error *err) {
    if (pgd_ring_create(&r->to_rank, RING_CAPACITY) != PGD_OK ||
        pgd_ring_create(&r->late, RING_CAPACITY) != PGD_OK ||
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
            if (r->step[0].late) {
                r->base.begin_late = rank_begin_late;
                r->base.submit_late = rank_submit_late;
            }
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

uint64_t pgd_exec_busy_ns(const pgd_exec *x) {
    const rank_exec *const r = (const rank_exec *)x;
    PGD_ASSERT(x->info == rank_info);
    return atomic_load_explicit(&r->busy_ns, memory_order_relaxed);
}
