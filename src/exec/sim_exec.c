/* The simulator behind the executor port: buffers, time and threads; sim_exec_run.c runs the plans.
 * Owns a ring of steps_in_flight steps. On virtual time (a clock, or none) a plan runs inside
 * submit, or inside submit_late when it has a late part, and its result is held back until its time
 * has come: the order of effects is the device's, and tests stay on one thread. A late part that
 * comes within the time of its step costs nothing, as the forward pass runs meanwhile. In realtime
 * mode a thread of its own runs plans, sleeps for their
 * cost and rings on_result. Invariant: steps [head, head + n) of the ring are outstanding, oldest
 * first. Thread: the engine's, but for the runner in realtime mode, which touches the device and
 * steps handed to it through the ring. Deliberately never blocks the engine. */
#include "sim_exec.h"

#include <pthread.h>
#include <string.h>

#include "pagoda/mem.h"
#include "pagoda/queue.h"

enum { RING = 8 };
#define STOP UINT64_MAX

typedef struct sim_exec {
    pgd_exec port; /* first: a pgd_exec points here */
    pgd_exec_info info;
    sim_device dev;
    sim_step step[RING];
    uint32_t head, n;
    uint32_t n_ran; /* virtual time: of these, the first n_ran ran */
    uint64_t last_ready_ns;
    pgd_clock clock;
    void (*notify)(void *ctx);
    void *notify_ctx;
    pgd_ring *to_run;   /* realtime: indices of steps */
    pgd_ring *late;     /* realtime: the same of those whose late part is there */
    pgd_mailbox *pause; /* realtime: to sleep on; nobody pushes, destroy wakes */
    pthread_t thread;
    bool running;
    atomic_bool stopping;
} sim_exec;

static sim_exec *self(pgd_exec *x) {
    return (sim_exec *)(void *)x;
}

static const pgd_exec_info *sim_info(const pgd_exec *x) {
    return &((const sim_exec *)(const void *)x)->info;
}

static sim_step *nth(sim_exec *x, uint32_t i) {
    return &x->step[(x->head + i) % x->info.steps_in_flight];
}

static void *sim_begin(pgd_exec *port) {
    sim_exec *x = self(port);
    return x->n == x->info.steps_in_flight ? NULL : nth(x, x->n)->blob;
}

static uint64_t cost_ns(const sim_exec *x, const sim_step *s) {
    const pgd_plan *p = (const pgd_plan *)s->blob;
    return x->dev.opt.step_base_ns + x->dev.opt.step_token_ns * p->n_tok;
}

static void run_now(sim_exec *x, sim_step *s) {
    sim_run(&x->dev, s);
    s->ready_ns = 0;
    if (x->clock.now_ns) {
        const uint64_t now = pgd_clock_now(&x->clock);
        const uint64_t begin = s->submit_ns > x->last_ready_ns ? s->submit_ns : x->last_ready_ns;
        const uint64_t end = begin + cost_ns(x, s);
        x->last_ready_ns = s->ready_ns = end > now ? end : now;
    } else if (x->notify) {
        x->notify(x->notify_ctx);
    }
    atomic_store_explicit(&s->done, true, memory_order_relaxed);
}

/* Virtual time: run what has all it needs, in order. */
static void run_ready(sim_exec *x) {
    while (x->n_ran < x->n && !nth(x, x->n_ran)->late_due)
        run_now(x, nth(x, x->n_ran++));
}

static void sim_submit(pgd_exec *port) {
    sim_exec *x = self(port);
    sim_step *s = nth(x, x->n++);
    s->late_due = ((const pgd_plan *)s->blob)->n_mask > 0;
    atomic_store_explicit(&s->done, false, memory_order_relaxed);
    if (x->running) {
        const bool pushed = pgd_ring_push(x->to_run, (uint64_t)(s - x->step));
        PGD_ASSERT(pushed);
        return;
    }
    s->submit_ns = x->clock.now_ns ? pgd_clock_now(&x->clock) : 0;
    run_ready(x);
}

static sim_step *first_late(sim_exec *x) {
    uint32_t i = 0;
    while (i < x->n && !nth(x, i)->late_due)
        i++;
    PGD_ASSERT(i < x->n);
    return nth(x, i);
}

static pgd_plan_late *sim_begin_late(pgd_exec *port) {
    return (pgd_plan_late *)(void *)first_late(self(port))->late;
}

static void sim_submit_late(pgd_exec *port) {
    sim_exec *x = self(port);
    sim_step *s = first_late(x);
    s->late_due = false;
    if (x->running) {
        const bool pushed = pgd_ring_push(x->late, (uint64_t)(s - x->step));
        PGD_ASSERT(pushed);
    } else {
        run_ready(x);
    }
}

static const pgd_step_result *sim_poll(pgd_exec *port) {
    sim_exec *x = self(port);
    if (x->n == 0) return NULL;
    const sim_step *s = nth(x, 0);
    /* Pairs with the runner's release: the result is complete. */
    if (!atomic_load_explicit(&s->done, memory_order_acquire)) return NULL;
    if (!x->running && x->clock.now_ns && pgd_clock_now(&x->clock) < s->ready_ns) return NULL;
    return &s->result;
}

static void sim_release(pgd_exec *port) {
    sim_exec *x = self(port);
    PGD_ASSERT(x->n > 0);
    atomic_store_explicit(&x->dev.released, nth(x, 0)->result.step, memory_order_relaxed);
    x->head = (x->head + 1) % x->info.steps_in_flight;
    x->n--;
    if (!x->running) x->n_ran--;
}

static void sim_on_result(pgd_exec *port, void (*fn)(void *ctx), void *ctx) {
    sim_exec *x = self(port);
    x->notify = fn;
    x->notify_ctx = ctx;
}

static void *runner(void *arg) {
    sim_exec *x = arg;
    uint64_t i;
    while (pgd_ring_wait(x->to_run, &i, UINT64_MAX) && i != STOP) {
        sim_step *s = &x->step[i];
        const uint64_t now = pgd_clock_now(&x->clock);
        const uint64_t begin = now > x->last_ready_ns ? now : x->last_ready_ns;
        x->last_ready_ns = begin + cost_ns(x, s);
        uint64_t k = i;
        if (((const pgd_plan *)s->blob)->n_mask > 0 &&
            (!pgd_ring_wait(x->late, &k, UINT64_MAX) || k == STOP))
            break;
        PGD_ASSERT(k == i); /* late parts come in the order of their plans */
        sim_run(&x->dev, s);
        uint64_t t;
        while ((t = pgd_clock_now(&x->clock)) < x->last_ready_ns &&
               !atomic_load_explicit(&x->stopping, memory_order_relaxed))
            pgd_mailbox_wait(x->pause, x->last_ready_ns - t);
        atomic_store_explicit(&s->done, true, memory_order_release);
        if (x->notify) x->notify(x->notify_ctx);
    }
    return NULL;
}

static void sim_destroy(pgd_exec *port) {
    sim_exec *x = self(port);
    if (x->running) {
        atomic_store_explicit(&x->stopping, true, memory_order_relaxed);
        pgd_mailbox_wake(x->pause);
        const bool pushed = pgd_ring_push(x->late, STOP) && pgd_ring_push(x->to_run, STOP);
        PGD_ASSERT(pushed);
        (void)pthread_join(x->thread, NULL);
    }
    pgd_ring_destroy(&x->to_run);
    pgd_ring_destroy(&x->late);
    pgd_mailbox_destroy(&x->pause);
    for (uint32_t i = 0; i < RING; i++) {
        pgd_free(x->step[i].blob);
        pgd_free(x->step[i].late);
        pgd_free(x->step[i].sample);
        pgd_free(x->step[i].score);
        pgd_free(x->step[i].hidden);
    }
    if (x->dev.slot) {
        pgd_free(x->dev.slot[0].table);
        pgd_free(x->dev.slot[0].history);
    }
    pgd_free(x->dev.slot);
    pgd_free(x->dev.page);
    pgd_free(x->dev.tok);
    pgd_free(x->dev.text);
    pgd_free(x);
}

static bool alloc_device(sim_device *d) {
    const pgd_plan_limits *l = &d->opt.limits;
    size_t n_tok, n_table, n_text;
    if (!pgd_mul_size(l->n_pages, l->page_tokens, &n_tok) ||
        !pgd_mul_size(l->max_slots, l->max_pages_per_seq, &n_table) ||
        !pgd_mul_size(l->max_slots, (size_t)d->opt.max_model_len + 1, &n_text))
        return false;
    d->slot = pgd_calloc(l->max_slots, sizeof *d->slot);
    if (!d->slot) return false;
    d->slot[0].table = pgd_calloc(n_table, sizeof(int32_t));
    d->slot[0].history = pgd_calloc(n_text, sizeof(int32_t));
    d->page = pgd_calloc(l->n_pages, sizeof *d->page);
    d->tok = pgd_malloc(n_tok * sizeof *d->tok);
    d->text = pgd_calloc((size_t)d->opt.max_model_len + 1, sizeof *d->text);
    if (!d->slot[0].table || !d->slot[0].history || !d->page || !d->tok || !d->text) return false;
    for (uint32_t i = 0; i < l->max_slots; i++) {
        d->slot[i].table = d->slot[0].table + (size_t)i * l->max_pages_per_seq;
        d->slot[i].history = d->slot[0].history + (size_t)i * (d->opt.max_model_len + 1);
    }
    for (size_t i = 0; i < n_tok; i++)
        d->tok[i] = SIM_UNWRITTEN;
    for (uint32_t i = 0; i < l->n_pages; i++)
        d->page[i].owner = SIM_OWNER_NONE;
    return true;
}

static bool alloc_steps(sim_exec *x) {
    const pgd_plan_limits *l = &x->info.limits;
    for (uint32_t i = 0; i < x->info.steps_in_flight; i++) {
        sim_step *s = &x->step[i];
        s->blob = pgd_calloc((size_t)l->max_plan_bytes / 8 + 1, sizeof *s->blob);
        s->late = pgd_calloc((size_t)pgd_plan_late_room(l) / 8 + 1, sizeof *s->late);
        s->sample = pgd_calloc(l->max_seqs, sizeof *s->sample);
        s->score = pgd_calloc(l->max_tokens, sizeof *s->score);
        if (!s->blob || !s->late || !s->sample || !s->score) return false;
        if (!x->info.hidden_width) continue;
        s->hidden = pgd_calloc(l->max_tokens, x->info.hidden_width * sizeof *s->hidden);
        if (!s->hidden) return false;
    }
    return true;
}

static pgd_status start_runner(sim_exec *x, pgd_error *err) {
    x->clock = pgd_clock_monotonic();
    if (pgd_ring_create(&x->to_run, RING) != PGD_OK || pgd_ring_create(&x->late, RING) != PGD_OK ||
        pgd_mailbox_create(&x->pause) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "simulator: out of memory or descriptors");
    if (pthread_create(&x->thread, NULL, runner, x) != 0)
        return pgd_fail(err, PGD_E_NOMEM, "simulator: cannot start its thread");
    x->running = true;
    return PGD_OK;
}

pgd_status pgd_exec_open_sim(const pgd_sim_options *opt, pgd_exec **out, pgd_error *err) {
    const pgd_plan_limits *l = &opt->limits;
    if (opt->steps_in_flight == 0 || opt->steps_in_flight >= RING)
        return pgd_fail(err, PGD_E_INVALID, "simulator: %u steps in flight, want 1 to %d",
                        opt->steps_in_flight, RING - 1);
    if (!l->max_seqs || !l->max_tokens || !l->max_slots || !l->n_pages || !l->page_tokens ||
        !l->vocab_size || !opt->max_model_len || l->max_slots > PGD_PLAN_MAX_SLOTS)
        return pgd_fail(err, PGD_E_INVALID, "simulator: a limit is 0, or more than %d slots",
                        PGD_PLAN_MAX_SLOTS);
    sim_exec *x = pgd_calloc(1, sizeof *x);
    if (!x) return pgd_fail(err, PGD_E_NOMEM, "simulator: out of memory");
    x->port = (pgd_exec){.info = sim_info,
                         .begin = sim_begin,
                         .submit = sim_submit,
                         .begin_late = sim_begin_late,
                         .submit_late = sim_submit_late,
                         .poll = sim_poll,
                         .release = sim_release,
                         .on_result = sim_on_result,
                         .destroy = sim_destroy};
    x->info = (pgd_exec_info){.limits = *l,
                              .steps_in_flight = opt->steps_in_flight,
                              .max_model_len = opt->max_model_len,
                              .hidden_width = opt->hidden_width,
                              .hidden_type = PGD_F32,
                              .device_name = "sim"};
    x->dev.opt = *opt;
    if (opt->clock) x->clock = *opt->clock;
    pgd_status s = PGD_OK;
    if (!alloc_device(&x->dev) || !alloc_steps(x))
        s = pgd_fail(err, PGD_E_NOMEM, "simulator: out of memory for %u pages and %u slots",
                     l->n_pages, l->max_slots);
    if (s == PGD_OK && opt->realtime) s = start_runner(x, err);
    if (s == PGD_OK)
        *out = &x->port;
    else
        sim_destroy(&x->port);
    return s;
}

const char *pgd_sim_fault(const pgd_exec *sim) {
    return ((const sim_exec *)(const void *)sim)->dev.fault.msg;
}
