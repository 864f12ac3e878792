/* Run one scenario: virtual time, submissions, cancels, the reader on the other side of the sink,
 * and the checks. A failure is reported as text; the caller knows the seed. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#include "engine/engine_int.h"
#include "pagoda/hash.h"

enum { MAX_TURNS = 60000 };

typedef struct run {
    scenario *s;
    sim_totals *t;
    pgd_exec *exec;
    pgd_engine *e;
    pgd_sink sink;
    pgd_cache_reset reset;
    uint64_t now_ns, hash;
    uint32_t n_done, n_refused, n_wakes, turn;
    bool draining;
    const char *what;
    char *text;
    size_t n_text;
    pgd_seq *was_running[SIM_MAX_REQS * SIM_MAX_N];
    uint32_t n_was_running;
} run;

static uint64_t virtual_now(void *ctx) {
    return ((const run *)ctx)->now_ns;
}

static void woken(void *ctx) {
    ((run *)ctx)->n_wakes++;
}

static void mix(run *u, uint64_t a, uint64_t b) {
    const uint64_t v[3] = {u->hash, a, b};
    u->hash = pgd_hash64(v, sizeof v, 1);
}

static void blame(run *u, const sim_req *q, const char *what) {
    if (u->what) return;
    (void)snprintf(u->text, u->n_text, "turn %u, request %llu: %s", u->turn,
                   q ? (unsigned long long)q->r.id : 0ULL, what);
    u->what = u->text;
}

/* ---- the reader's side ---- */

static void look_at(run *u, sim_req *q) {
    for (uint32_t c = 0; c < q->r.n_choices; c++) {
        const uint32_t finish = atomic_load_explicit(&q->out[c].finish, memory_order_acquire);
        const uint32_t len = atomic_load_explicit(&q->out[c].len, memory_order_acquire);
        if (len < q->seen_len[c]) blame(u, q, "the log shrank");
        if (q->seen_finish[c] && (finish != q->seen_finish[c] || len != q->seen_len[c]))
            blame(u, q, "something came after the finish");
        mix(u, q->r.id << 8 | c, (uint64_t)len << 8 | finish);
        q->seen_len[c] = len;
        q->seen_finish[c] = finish;
    }
}

static void drain(run *u) {
    pgd_link *done = pgd_stack_take_all(&u->sink.done);
    pgd_link *dirty = pgd_stack_take_all(&u->sink.dirty);
    while (dirty) {
        sim_req *q = (sim_req *)(void *)PGD_FROM_LINK(dirty, pgd_request, dirty_link);
        dirty = dirty->next;
        if (q->done) blame(u, q, "marked dirty after it was done");
        atomic_store_explicit(&q->r.dirty, 0, memory_order_seq_cst);
        look_at(u, q);
    }
    while (done) {
        sim_req *q = (sim_req *)(void *)PGD_FROM_LINK(done, pgd_request, done_link);
        done = done->next;
        if (q->done) blame(u, q, "done twice");
        for (uint32_t c = 0; c < q->r.n_choices; c++)
            if (!q->seen_finish[c]) blame(u, q, "done before its finish was seen");
        q->done = true;
        u->n_done++;
    }
}

/* ---- what happens from outside ---- */

static void ask_end(run *u, sim_req *q) {
    q->asked_end = true;
    pgd_engine_cancel(u->e, &q->r, PGD_CANCEL_CLIENT);
}

static void submit_due(run *u) {
    for (uint32_t i = 0; i < u->s->n_reqs; i++) {
        sim_req *q = &u->s->req[i];
        pgd_error err = {0};
        if (q->submitted || q->refused || q->at_ns > u->now_ns) continue;
        q->r.sink = &u->sink;
        const uint32_t queued = atomic_load(&u->e->n_queued);
        const pgd_status st = pgd_engine_submit(u->e, &q->r, &err);
        if (st == PGD_OK) {
            q->submitted = true;
            if (u->draining) blame(u, q, "accepted while draining");
            if (queued >= u->s->opt.max_queued) blame(u, q, "accepted past the queue's limit");
            if (q->cancel == CANCEL_AT_ONCE) ask_end(u, q);
        } else {
            q->refused = true;
            u->n_refused++;
            const bool limit = st == PGD_E_LIMIT && q->r.n_prompt >= u->e->max_ctx;
            const bool busy = st == PGD_E_BUSY && (u->draining || queued >= u->s->opt.max_queued);
            const bool dead = st == PGD_E_DEVICE && atomic_load(&u->e->fatal);
            if (!limit && !busy && !dead) blame(u, q, err.msg);
        }
    }
}

static bool cancel_due(const sim_req *q) {
    const uint32_t len = atomic_load(&q->out[0].len);
    switch (q->cancel) {
    case CANCEL_QUEUED:
        return q->turns >= q->cancel_delay;
    case CANCEL_SCHEDULED:
        return atomic_load(&q->r.scheduled_ns) != 0;
    case CANCEL_FIRST_TOKEN:
        return len >= 1;
    case CANCEL_LATER:
        return len >= 1 + q->cancel_delay;
    case CANCEL_NEVER:
    case CANCEL_AT_ONCE:
    default:
        return false;
    }
}

static void interfere(run *u) {
    for (uint32_t i = 0; i < u->s->n_reqs; i++) {
        sim_req *q = &u->s->req[i];
        if (!q->submitted || q->done) continue;
        q->turns++;
        if (!q->asked_end && cancel_due(q)) ask_end(u, q);
        const uint32_t c = q->stop_choice;
        if (c < q->r.n_choices && !(q->stopped >> c & 1) &&
            atomic_load(&q->out[c].len) >= q->stop_len) {
            q->stopped |= 1U << c;
            pgd_engine_stop_choice(u->e, &q->r, c);
        }
    }
    if (u->turn == u->s->drain_turn) {
        u->draining = true;
        pgd_engine_drain(u->e);
    }
    if (u->turn == u->s->reset_turn) pgd_engine_ask_cache_reset(u->e, &u->reset);
    if (u->turn == u->s->cancel_all_turn) {
        pgd_engine_cancel_all(u->e);
        for (uint32_t i = 0; i < u->s->n_reqs; i++)
            if (u->s->req[i].submitted) u->s->req[i].asked_end = true;
    }
}

/* ---- checks between turns ---- */

/* What was asked before the turn must hold after it. */
static void check_ends(run *u) {
    for (uint32_t i = 0; i < u->s->n_reqs; i++) {
        sim_req *q = &u->s->req[i];
        if (!q->submitted || q->done) continue;
        const bool late = q->r.deadline_ns && q->r.deadline_ns <= u->now_ns;
        if (late) q->asked_end = true;
        for (uint32_t c = 0; c < q->r.n_choices; c++)
            if ((q->asked_end || q->stopped >> c & 1) && !atomic_load(&q->out[c].finish))
                blame(u, q, late ? "lives past its deadline" : "lives after it was ended");
        if (q->asked_end && !q->stopped && !atomic_load(&q->r.cancel) &&
            atomic_load(&q->out[0].finish) == PGD_FINISH_CANCELLED)
            blame(u, q, "cancelled without a reason");
    }
}

static void remember_running(run *u) {
    u->n_was_running = u->e->n_run;
    memcpy(u->was_running, u->e->run, u->e->n_run * sizeof *u->e->run);
}

/* A victim is less important than all who ran before and still do. */
static void check_victims(run *u) {
    for (uint32_t i = 0; i < u->e->n_leave; i++) {
        const pgd_seq *v = u->e->leave[i];
        bool ran = false;
        if (v->state != SEQ_PREEMPTED) continue;
        for (uint32_t k = 0; k < u->n_was_running; k++)
            ran |= u->was_running[k] == v;
        for (uint32_t k = 0; ran && k < u->n_was_running; k++) {
            const pgd_seq *o = u->was_running[k];
            for (uint32_t j = 0; j < u->e->n_run; j++)
                if (u->e->run[j] == o && !seq_before(o, v))
                    blame(u, NULL, "preempted although a less important one runs");
        }
    }
}

/* A reset is answered in the turn after it was asked for, and no other time. */
static void check_reset(run *u) {
    const bool asked = u->turn == u->s->reset_turn;
    const pgd_link *at = pgd_stack_take_all(&u->sink.resets);
    if (at != (asked ? &u->reset.link : NULL) || (at && at->next))
        blame(u, NULL, "the reset of the prefix cache was not answered once");
    if (asked && u->reset.pages_freed + u->reset.pages_kept > u->s->sim.limits.n_pages)
        blame(u, NULL, "the reset freed and kept more pages than there are");
    if (at) mix(u, u->reset.pages_freed, u->reset.pages_kept);
}

static void check_turn(run *u) {
    pgd_error err = {0};
    if (pgd_engine_check(u->e, &err) != PGD_OK) blame(u, NULL, err.msg);
    if (pgd_sim_fault(u->exec)[0]) blame(u, NULL, pgd_sim_fault(u->exec));
    if (u->n_wakes > 1) blame(u, NULL, "the sink was woken twice in a turn");
    if ((atomic_load(&u->sink.dirty.head) || atomic_load(&u->sink.done.head)) &&
        u->s->idle_reader == 1 && u->n_wakes == 0)
        blame(u, NULL, "something was pushed and nobody was woken");
    check_victims(u);
    check_ends(u);
    check_reset(u);
}

static void check_end(run *u) {
    pgd_page_pool_counts c;
    const bool fatal = atomic_load(&u->e->fatal);
    if (u->s->sim.fail_at_step == 0 && fatal) blame(u, NULL, u->e->fatal_msg);
    for (uint32_t i = 0; i < u->s->n_reqs; i++) {
        const sim_req *q = &u->s->req[i];
        if (!q->submitted) continue;
        const char *w = sim_check_request(u->s, q, u->e->max_ctx, fatal);
        if (!w) w = sim_check_cache(u->s, q);
        if (w) blame(u, q, w);
        u->t->finished[atomic_load(&q->out[0].finish)]++;
    }
    if (atomic_load(&u->e->n_inside) || atomic_load(&u->e->n_queued) || u->e->oldest_queued)
        blame(u, NULL, "requests are still counted");
    pgd_engine_reset_prefix_cache(u->e);
    u->now_ns += 1000000;
    (void)pgd_engine_step(u->e);
    pgd_page_pool_get_counts(u->e->pool, &c);
    if (!fatal && (c.free != c.total || pgd_radix_namespaces(u->e->tree)))
        blame(u, NULL, "pages or namespaces are left over at the end");
}

static void count_totals(run *u) {
    pgd_engine_stats st;
    pgd_engine_get_stats(u->e, &st);
    u->t->steps += st.steps;
    u->t->preemptions += st.preemptions;
    u->t->evicted += st.evicted_pages;
    u->t->cached_tokens += st.cached_tokens;
    u->t->generated += st.generated_tokens;
    u->t->fatal += st.fatal;
    u->t->turns += u->turn;
    u->t->refused += u->n_refused;
    mix(u, st.steps, st.preemptions);
    mix(u, st.cached_tokens, st.evicted_pages);
}

static void play(run *u) {
    scenario *s = u->s;
    while (!u->what && u->n_done + u->n_refused < s->n_reqs) {
        if (++u->turn > MAX_TURNS) {
            blame(u, NULL, "does not come to an end");
            return;
        }
        submit_due(u);
        interfere(u);
        remember_running(u);
        u->n_wakes = 0;
        const bool did = pgd_engine_step(u->e);
        check_turn(u);
        if (u->turn % s->idle_reader == 0) drain(u);
        /* Often just a little, so that results are late and steps pile up. */
        u->now_ns += did ? sim_rand(s, 60) : 20 + sim_rand(s, 200);
    }
    drain(u);
}

uint64_t sim_run_scenario(scenario *s, sim_totals *t, char *text, size_t n, const char **what) {
    run u = {.s = s, .t = t, .text = text, .n_text = n};
    pgd_error err = {0};
    const pgd_clock clock = {.now_ns = virtual_now, .ctx = &u};
    u.sink.wake = woken;
    u.sink.ctx = &u;
    u.reset.sink = &u.sink;
    s->sim.clock = s->opt.clock = &clock;
    if (pgd_exec_open_sim(&s->sim, &u.exec, &err) != PGD_OK ||
        pgd_engine_create(u.exec, &s->opt, &u.e, &err) != PGD_OK) {
        blame(&u, NULL, err.msg);
    } else {
        play(&u);
        if (!u.what) check_end(&u);
        count_totals(&u);
    }
    if (u.e) pgd_engine_destroy(&u.e);
    if (u.exec) u.exec->destroy(u.exec);
    *what = u.what;
    return u.hash;
}
