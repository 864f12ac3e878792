/* The engine: create and destroy, the turn of the loop, its thread, and publishing. One turn is
 *
 *   inbox → cancels and deadlines → results (commit) → masks → releases → plan and submit → wake
 *
 * and it never blocks, allocates or touches a device. Plans are made until the executor takes no
 * more or nothing wants to run, so that a step is always queued while another runs. Tokens are
 * published by marking the request dirty; each sink is woken at most once a turn, after everything
 * of the turn was pushed. Between turns the thread sleeps on the inbox, which the executor rings
 * when a step has finished. Thread: engine, except create, destroy, start. Decides nothing about
 * requests (sched.c). */
#include "engine_int.h"

#include <stdio.h>

#include "pagoda/hash.h"
#include "pagoda/log.h"
#include "pagoda/mem.h"

enum { DEFAULT_MAX_BYPASS = 32 };
static const uint64_t IDLE_NS = 1000000000; /* heartbeat of an idle engine */
static const uint64_t HANG_NS = 5000000000; /* how long destroy waits for steps in flight */

void eng_note_sink(pgd_engine *e, pgd_sink *s) {
    for (uint32_t i = 0; i < e->n_sinks; i++)
        if (e->sink[i] == s) return;
    if (e->n_sinks == ENG_MAX_SINKS) { /* more event loops than expected: wake one early */
        pgd_sink *first = e->sink[0];
        e->sink[0] = s;
        first->wake(first->ctx);
        return;
    }
    e->sink[e->n_sinks++] = s;
}

void eng_touch(pgd_engine *e, pgd_request *r) {
    /* The reader clears `dirty` before it reads len: whoever sees 1 here knows that the reader is
     * still to come. */
    if (atomic_exchange_explicit(&r->dirty, 1, memory_order_acq_rel)) return;
    eng_note_sink(e, r->sink);
    pgd_stack_push(&r->sink->dirty, &r->dirty_link);
}

static void wake_sinks(pgd_engine *e) {
    for (uint32_t i = 0; i < e->n_sinks; i++)
        e->sink[i]->wake(e->sink[i]->ctx);
    e->n_sinks = 0;
}

static bool turn(pgd_engine *e) {
    bool did = false;
    e->now_ns = pgd_clock_now(&e->clock);
    /* Before the inbox: a request that was submitted and cancelled is then in the list. */
    const bool look = atomic_exchange_explicit(&e->look, false, memory_order_acquire);
    pgd_noalloc_begin();
    eng_intake(e, &did);
    if (look) eng_sweep(e);
    if (e->now_ns >= e->next_deadline_ns) eng_sweep_deadlines(e);
    const pgd_step_result *r;
    while ((r = e->exec->poll(e->exec))) {
        e->now_ns = pgd_clock_now(&e->clock);
        eng_commit(e, r);
        eng_give_masks(e); /* first of all: a step is running that will wait for them */
        e->exec->release(e->exec);
        did = true;
    }
    did |= eng_release_passed(e) | look;
    if (!atomic_load_explicit(&e->fatal, memory_order_relaxed))
        while (eng_plan_step(e)) {
            eng_give_masks(e);
            did = true;
        }
    wake_sinks(e);
    eng_publish_stats(e);
    pgd_noalloc_end();
    if (e->opt.checks) eng_assert_checks(e);
    return did;
}

static void *engine_main(void *arg) {
    pgd_engine *e = arg;
    while (!atomic_load_explicit(&e->stop, memory_order_acquire)) {
        if (turn(e)) continue;
        uint64_t ns = IDLE_NS;
        if (e->next_deadline_ns != UINT64_MAX) {
            const uint64_t now = pgd_clock_now(&e->clock);
            const uint64_t left = e->next_deadline_ns > now ? e->next_deadline_ns - now : 0;
            if (left < ns) ns = left;
        }
        pgd_mailbox_wait(e->inbox, ns);
    }
    return NULL;
}

static void on_result(void *ctx) {
    pgd_engine *e = ctx;
    pgd_mailbox_wake(e->inbox);
    /* The last touch of this step from outside; destroy counts them. */
    atomic_fetch_add_explicit(&e->n_notified, 1, memory_order_release);
}

static pgd_status check_options(const pgd_engine_options *o, const pgd_exec_info *i,
                                pgd_error *err) {
    if (o->max_num_seqs == 0 || o->max_num_seqs > i->limits.max_seqs ||
        o->max_num_seqs > i->limits.max_slots)
        return pgd_fail(err, PGD_E_INVALID, "max_num_seqs %u: want 1 to %u", o->max_num_seqs,
                        i->limits.max_seqs);
    if (o->max_num_batched_tokens == 0 || o->max_num_batched_tokens > i->limits.max_tokens)
        return pgd_fail(err, PGD_E_INVALID, "max_num_batched_tokens %u: want 1 to %u",
                        o->max_num_batched_tokens, i->limits.max_tokens);
    if (i->steps_in_flight == 0 || i->steps_in_flight > ENG_FLY_MAX)
        return pgd_fail(err, PGD_E_INVALID, "%u steps in flight: want 1 to %d", i->steps_in_flight,
                        ENG_FLY_MAX);
    if (o->max_model_len < 2 || o->max_queued == 0)
        return pgd_fail(err, PGD_E_INVALID, "max_model_len %u, max_queued %u: too small",
                        o->max_model_len, o->max_queued);
    return PGD_OK;
}

static uint32_t context_limit(const pgd_engine_options *o, const pgd_exec_info *i) {
    const pgd_plan_limits *l = &i->limits;
    uint64_t n = o->max_model_len;
    const uint64_t pool = (uint64_t)l->n_pages * l->page_tokens;
    const uint64_t table = (uint64_t)l->max_pages_per_seq * l->page_tokens;
    if (i->max_model_len && i->max_model_len < n) n = i->max_model_len;
    if (pool < n) n = pool;
    if (table < n) n = table;
    return (uint32_t)n;
}

static bool alloc_arrays(pgd_engine *e) {
    const pgd_plan_limits *l = &e->info->limits;
    const size_t n = e->opt.max_num_seqs;
    size_t n_table;
    if (!pgd_mul_size(l->max_slots, l->max_pages_per_seq, &n_table)) return false;
    e->table = pgd_calloc(n_table, sizeof *e->table);
    e->free_slot = pgd_calloc(l->max_slots, sizeof *e->free_slot);
    e->run = pgd_calloc(n, sizeof *e->run);
    e->leave = pgd_calloc(l->max_slots, sizeof *e->leave);
    e->choices.choice = pgd_calloc(n, sizeof *e->choices.choice);
    e->choices.victim = pgd_calloc(n, sizeof *e->choices.victim);
    bool ok =
        e->table && e->free_slot && e->run && e->leave && e->choices.choice && e->choices.victim;
    for (uint32_t i = 0; i < ENG_FLY_MAX; i++) {
        e->flight[i].entry = pgd_calloc(n, sizeof *e->flight[i].entry);
        ok = ok && e->flight[i].entry;
    }
    if (!ok) return false;
    for (uint32_t i = l->max_slots; i-- > 0;)
        e->free_slot[e->n_free_slots++] = i;
    return true;
}

static pgd_status build(pgd_engine *e, pgd_error *err) {
    uint64_t seed;
    pgd_random_bytes(&seed, sizeof seed); /* of hashes only: no decision depends on it */
    PGD_TRY(pgd_page_pool_create(&e->pool, e->info->limits.n_pages, err));
    PGD_TRY(pgd_radix_create(&e->tree, e->pool, e->page_tokens, seed, err));
    if (!alloc_arrays(e) || pgd_mailbox_create(&e->inbox) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "engine: out of memory or descriptors");
    if (e->opt.metrics) eng_metrics_init(e);
    e->exec->on_result(e->exec, on_result, e);
    return PGD_OK;
}

pgd_status pgd_engine_create(pgd_exec *exec, const pgd_engine_options *opt, pgd_engine **out,
                             pgd_error *err) {
    const pgd_exec_info *info = exec->info(exec);
    PGD_TRY(check_options(opt, info, err));
    pgd_engine *e = pgd_calloc(1, sizeof *e);
    if (!e) return pgd_fail(err, PGD_E_NOMEM, "engine: out of memory");
    e->exec = exec;
    e->info = info;
    e->opt = *opt;
    if (e->opt.max_bypass == 0) e->opt.max_bypass = DEFAULT_MAX_BYPASS;
    e->clock = opt->clock ? *opt->clock : pgd_clock_monotonic();
    e->page_tokens = info->limits.page_tokens;
    e->max_ctx = context_limit(opt, info);
    e->next_step = 1;
    e->next_order = 1;
    e->next_deadline_ns = UINT64_MAX;
    const pgd_status s = build(e, err);
    if (s != PGD_OK) {
        pgd_engine_destroy(&e);
        return s;
    }
    e->now_ns = pgd_clock_now(&e->clock);
    eng_publish_stats(e);
    *out = e;
    return PGD_OK;
}

/* Whoever is still inside learns it. */
static void end_all(pgd_engine *e) {
    bool did = false;
    if (!e->inbox) return;
    if (!atomic_load_explicit(&e->fatal, memory_order_relaxed)) {
        e->fatal_code = PGD_E_CANCELLED;
        (void)snprintf(e->fatal_msg, sizeof e->fatal_msg, "the engine was shut down");
        atomic_store_explicit(&e->fatal, true, memory_order_release);
    }
    eng_intake(e, &did);
    for (pgd_job *job = e->jobs, *next; job; job = next) {
        next = job->next;
        eng_fail_job(e, job, e->fatal_code, e->fatal_msg);
    }
    for (uint32_t i = 0; i < e->n_leave; i++)
        e->leave[i]->fence = 0;
    (void)eng_release_passed(e);
    eng_reset_cache(e); /* whoever waits for one is answered */
    wake_sinks(e);
}

/* Stop the thread, then wait until the executor has rung for every step it was given: it may be
 * about to touch the inbox. Whether it has; a device that hangs never will. */
static bool stop_thread(pgd_engine *e) {
    atomic_store_explicit(&e->stop, true, memory_order_release);
    pgd_mailbox_wake(e->inbox);
    (void)pthread_join(e->thread, NULL);
    eng_abandon_masks(e);
    const uint64_t n = e->next_step - 1, from = pgd_clock_now(&e->clock);
    while (atomic_load_explicit(&e->n_notified, memory_order_acquire) < n) {
        if (pgd_clock_now(&e->clock) - from > HANG_NS) return false;
        pgd_mailbox_wait(e->inbox, 1000000);
    }
    return true;
}

void pgd_engine_destroy(pgd_engine **out) {
    pgd_engine *e = *out;
    if (!e) return;
    *out = NULL;
    const bool quiet = !e->started || stop_thread(e);
    end_all(e);
    if (!quiet) { /* the process is about to end; memory that another thread may touch stays */
        pgd_log(PGD_LOG_ERROR, "engine", "the executor does not answer; leaving its steps behind");
        return;
    }
    for (uint32_t i = 0; i < ENG_FLY_MAX; i++)
        pgd_free(e->flight[i].entry);
    pgd_free(e->choices.choice);
    pgd_free(e->choices.victim);
    pgd_free(e->leave);
    pgd_free(e->run);
    pgd_free(e->free_slot);
    pgd_free(e->table);
    pgd_mailbox_destroy(&e->inbox);
    pgd_radix_destroy(&e->tree);
    pgd_page_pool_destroy(&e->pool);
    pgd_free(e);
}

pgd_status pgd_engine_start(pgd_engine *e, pgd_error *err) {
    PGD_ASSERT(!e->started);
    if (pthread_create(&e->thread, NULL, engine_main, e) != 0)
        return pgd_fail(err, PGD_E_NOMEM, "engine: cannot start its thread");
    e->started = true;
    return PGD_OK;
}

bool pgd_engine_step(pgd_engine *e) {
    PGD_ASSERT(!e->started);
    return turn(e);
}
