/* Everything the engine claims about its state, recomputed: each live sequence is in exactly the
 * list that its state names; lists are sorted; holders of every page and locks of every node equal
 * what the sequences say; slots are owned once; counters of steps in flight equal the flight
 * records. Runs after every step in tests and simulation (options.checks). Allocates scratch, so
 * never in the step path of a server. Thread: engine, between steps. */
#include "engine_int.h"

#include <string.h>

#include "pagoda/mem.h"

typedef struct tally {
    uint32_t *holders; /* [n_pages] */
    uint8_t *slots;    /* [max_slots] */
    uint32_t *locked;  /* [max_slots] */
    uint32_t n_locked, n_run, n_leave, n_waiting;
} tally;

static pgd_status wrong(const pgd_seq *s, const char *what, uint64_t a, uint64_t b,
                        pgd_error *err) {
    return pgd_fail(err, PGD_E_INTERNAL, "request %llu choice %u, state %u: %s (%llu, %llu)",
                    (unsigned long long)s->req->id, s->choice, s->state, what,
                    (unsigned long long)a, (unsigned long long)b);
}

static pgd_status check_counts(const pgd_engine *e, const pgd_seq *s, pgd_error *err) {
    const pgd_toklog *log = s->log;
    const uint32_t len = atomic_load_explicit(&log->len, memory_order_relaxed);
    const bool ended = atomic_load_explicit(&log->finish, memory_order_relaxed) != PGD_FINISH_NONE;
    if (s->n_known != s->n_prompt + len) return wrong(s, "tokens known", s->n_known, len, err);
    if (s->n_known > s->max_known) return wrong(s, "past its end", s->n_known, s->max_known, err);
    if (ended != (s->state == SEQ_DRAINING || s->state == SEQ_DONE))
        return wrong(s, "finish and state differ", ended, s->state, err);
    if (!seq_has_slot(s) && (s->n_pages || s->n_kv || s->node != PGD_NO_NODE || seq_fly_rows(s)))
        return wrong(s, "holds something without a slot", s->n_pages, s->n_kv, err);
    if (!seq_has_slot(s)) return PGD_OK;
    if (s->n_kv > s->n_known || seq_start(s) > seq_goal(s) + ended * ENG_FLY_MAX)
        return wrong(s, "rows counted twice", seq_start(s), seq_goal(s), err);
    if ((uint64_t)s->n_pages * e->page_tokens < seq_start(s) ||
        s->n_tree > s->n_kv / e->page_tokens || (s->n_tree > 0) != (s->node != PGD_NO_NODE))
        return wrong(s, "pages do not cover its rows", s->n_pages, s->n_tree, err);
    return PGD_OK;
}

static pgd_status check_seq(const pgd_engine *e, const pgd_seq *s, tally *t, pgd_error *err) {
    PGD_TRY(check_counts(e, s, err));
    t->n_run += s->state == SEQ_RUNNING;
    t->n_leave += s->state == SEQ_PREEMPTED || s->state == SEQ_DRAINING;
    t->n_waiting += s->state == SEQ_WAITING;
    if (!seq_has_slot(s)) return PGD_OK;
    if (s->slot >= e->info->limits.max_slots || t->slots[s->slot]++)
        return wrong(s, "slot taken twice", s->slot, 0, err);
    t->locked[t->n_locked++] = s->node;
    for (uint32_t i = 0; i < s->n_pages; i++) {
        if (s->pages[i] >= e->info->limits.n_pages) return wrong(s, "page id", i, s->pages[i], err);
        t->holders[s->pages[i]]++;
        if (i < s->n_tree && !pgd_page_pool_in_tree(e->pool, s->pages[i]))
            return wrong(s, "page is not in the tree", i, s->pages[i], err);
    }
    return PGD_OK;
}

static pgd_status check_lists(const pgd_engine *e, const tally *t, pgd_error *err) {
    uint32_t n_waiting = 0;
    for (const pgd_seq *s = e->waiting; s; s = s->next, n_waiting++) {
        if (s->state != SEQ_WAITING) return wrong(s, "in the queue", 0, 0, err);
        if (s->next && !seq_before(s, s->next)) return wrong(s, "queue not sorted", 0, 0, err);
        if (s->bypassed > e->opt.max_bypass) return wrong(s, "overtaken", s->bypassed, 0, err);
    }
    for (uint32_t i = 0; i < e->n_run; i++) {
        if (e->run[i]->state != SEQ_RUNNING) return wrong(e->run[i], "in run", i, 0, err);
        if (i && !seq_before(e->run[i - 1], e->run[i]))
            return wrong(e->run[i], "run not sorted", i, 0, err);
    }
    for (uint32_t i = 0; i < e->n_leave; i++) {
        const pgd_seq *s = e->leave[i];
        if ((s->state != SEQ_PREEMPTED && s->state != SEQ_DRAINING) || s->fence <= e->passed)
            return wrong(s, "in leave", s->fence, e->passed, err);
    }
    if (n_waiting != t->n_waiting || n_waiting != e->n_waiting || e->n_run != t->n_run ||
        e->n_leave != t->n_leave || e->n_run > e->opt.max_num_seqs ||
        t->n_locked + e->n_free_slots != e->info->limits.max_slots)
        return pgd_fail(err, PGD_E_INTERNAL,
                        "lists hold %u waiting %u running %u leaving, states say %u %u %u; %u "
                        "slots used, %u free",
                        n_waiting, e->n_run, e->n_leave, t->n_waiting, t->n_run, t->n_leave,
                        t->n_locked, e->n_free_slots);
    return PGD_OK;
}

/* Every record in flight is counted in its sequence's fly[], and nothing else is; every page that a
 * step in flight may touch is held or retiring. */
static pgd_status check_flights(const pgd_engine *e, pgd_error *err) {
    uint64_t rows = 0, counted = 0;
    for (uint32_t k = 0; k < e->n_flights; k++) {
        const flight *f = &e->flight[(e->flight_head + k) % ENG_FLY_MAX];
        for (uint32_t i = 0; i < f->n; i++) {
            const pgd_seq *s = f->entry[i].seq;
            rows += f->entry[i].rows;
            if (!seq_has_slot(s) || s->fence < f->step || f->step <= e->passed)
                return wrong(s, "in flight but not fenced", s->fence, f->step, err);
        }
    }
    for (const pgd_job *job = e->jobs; job; job = job->next)
        for (uint32_t i = 0; i < job->n_seqs; i++)
            counted += seq_fly_rows(&job->seq[i]);
    if (rows != counted)
        return pgd_fail(err, PGD_E_INTERNAL, "%llu rows in flight, sequences count %llu",
                        (unsigned long long)rows, (unsigned long long)counted);
    return PGD_OK;
}

static pgd_status check_all(const pgd_engine *e, tally *t, pgd_error *err) {
    uint32_t n_inside = 0;
    for (const pgd_job *job = e->jobs; job; job = job->next) {
        uint32_t n_done = 0;
        n_inside++;
        for (uint32_t i = 0; i < job->n_seqs; i++) {
            PGD_TRY(check_seq(e, &job->seq[i], t, err));
            n_done += job->seq[i].state == SEQ_DONE;
            if (job->seq[i].state == SEQ_PARKED && job->prompt_done)
                return wrong(&job->seq[i], "parked after the prompt was done", 0, 0, err);
        }
        if (n_done != job->n_done || n_done == job->n_seqs)
            return wrong(&job->seq[0], "choices done", n_done, job->n_done, err);
    }
    if (n_inside > atomic_load_explicit(&e->n_inside, memory_order_relaxed))
        return pgd_fail(err, PGD_E_INTERNAL, "%u jobs, fewer counted inside", n_inside);
    PGD_TRY(check_lists(e, t, err));
    if (!atomic_load_explicit(&e->fatal, memory_order_relaxed)) PGD_TRY(check_flights(e, err));
    PGD_TRY(pgd_page_pool_check(e->pool, t->holders, err));
    return pgd_radix_check(e->tree, t->locked, t->n_locked, err);
}

pgd_status pgd_engine_check(const pgd_engine *e, pgd_error *err) {
    const pgd_plan_limits *l = &e->info->limits;
    tally t = {.holders = pgd_calloc(l->n_pages, sizeof *t.holders),
               .slots = pgd_calloc(l->max_slots, sizeof *t.slots),
               .locked = pgd_calloc(l->max_slots, sizeof *t.locked)};
    pgd_status s = PGD_E_NOMEM;
    if (t.holders && t.slots && t.locked)
        s = check_all(e, &t, err);
    else
        (void)pgd_fail(err, s, "engine check: out of memory");
    pgd_free(t.holders);
    pgd_free(t.slots);
    pgd_free(t.locked);
    return s;
}

void eng_assert_checks(const pgd_engine *e) {
    pgd_error err = {0};
    if (pgd_engine_check(e, &err) == PGD_OK) return;
    pgd_assert_fail(err.msg, __FILE__, __LINE__);
}
