/* Grammars: each sequence's matcher follows its committed tokens, and the oldest step in flight
 * gets its masks.
 *
 *   step N's result ─► commit: matchers take its tokens ─► masks of step N+1 ─► executor's head
 *
 * A step's masks can be written once every step before it has been committed, which is when it has
 * become the oldest in flight; its forward pass runs meanwhile. A matcher follows its sequence, not
 * its slot: preemption and resuming do not touch it. Rows of sequences that ended while the step
 * was in flight allow everything: nobody reads what is sampled there. A mask that cannot be made
 * ends its own request. Thread: engine. Allocates nothing. */
#include <string.h>

#include "engine_int.h"
#include "pagoda/grammar.h"

static bool is_set(const uint32_t *bits, uint32_t id) {
    return bits[id / 32] >> (id % 32) & 1;
}

static void allow_all(uint32_t *row, uint32_t vocab_size) {
    const uint32_t n = pgd_mask_words(vocab_size), tail = vocab_size % 32;
    memset(row, 0xFF, n * sizeof *row);
    if (tail) row[n - 1] = (1U << tail) - 1;
}

static bool any(const uint32_t *row, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (row[i]) return true;
    return false;
}

/* Below min_tokens no stop id, as long as something else is allowed. */
static void withhold_stops(const pgd_sampling *p, uint32_t *row, uint32_t n_words) {
    uint64_t was = 0; /* bit i: stop id i was allowed */
    for (uint32_t i = 0; i < p->n_stop_ids; i++) {
        const uint32_t id = (uint32_t)p->stop_ids[i];
        was |= (uint64_t)is_set(row, id) << i;
        row[id / 32] &= ~(1U << (id % 32));
    }
    if (!was || any(row, n_words)) return;
    for (uint32_t i = 0; i < p->n_stop_ids; i++)
        if (was >> i & 1) row[p->stop_ids[i] / 32] |= 1U << (p->stop_ids[i] % 32);
}

static void fail(pgd_engine *e, pgd_seq *s, pgd_status code, pgd_error *err) {
    pgd_wrap(err, "structured output");
    eng_fail_job(e, s->job, code, err->msg);
}

static void write_mask(pgd_engine *e, pgd_seq *s, uint32_t *row) {
    const uint32_t vocab_size = e->info->limits.vocab_size;
    const pgd_sampling *p = &s->req->sampling;
    pgd_error err = {0};
    if (!seq_is_live(s)) {
        allow_all(row, vocab_size);
    } else if (pgd_matcher_mask(s->match, row, &err) != PGD_OK) {
        allow_all(row, vocab_size);
        fail(e, s, err.code, &err);
    } else if (s->n_known - s->n_prompt < p->min_tokens) {
        withhold_stops(p, row, pgd_mask_words(vocab_size));
    }
}

/* The late part of f, which is due. */
static pgd_plan_late *open_late(pgd_engine *e, flight *f) {
    const uint32_t n_words = pgd_mask_words(e->info->limits.vocab_size);
    pgd_plan_late *late = e->exec->begin_late(e->exec);
    *late = (pgd_plan_late){.magic = PGD_PLAN_LATE_MAGIC,
                            .step = f->step,
                            .n_mask = f->n_mask,
                            .n_words = n_words,
                            .bytes = (uint32_t)(sizeof *late + 4 * (size_t)n_words * f->n_mask)};
    f->late_due = false;
    return late;
}

void eng_give_masks(pgd_engine *e) {
    flight *f = &e->flight[e->flight_head];
    if (e->n_flights == 0 || !f->late_due) return;
    /* After a failure requests are gone before the steps they were in. */
    if (atomic_load_explicit(&e->fatal, memory_order_relaxed)) {
        eng_abandon_masks(e);
        return;
    }
    pgd_plan_late *late = open_late(e, f);
    for (uint32_t i = 0, row = 0; i < f->n; i++)
        if (f->entry[i].masked) write_mask(e, f->entry[i].seq, pgd_plan_late_row(late, row++));
    e->exec->submit_late(e->exec);
}

void eng_abandon_masks(pgd_engine *e) {
    for (uint32_t k = 0; k < e->n_flights; k++) {
        flight *f = &e->flight[(e->flight_head + k) % ENG_FLY_MAX];
        if (!f->late_due) continue;
        pgd_plan_late *late = open_late(e, f);
        for (uint32_t i = 0; i < f->n_mask; i++)
            allow_all(pgd_plan_late_row(late, i), e->info->limits.vocab_size);
        e->exec->submit_late(e->exec);
    }
}

bool eng_match_token(pgd_engine *e, pgd_seq *s, int32_t token) {
    pgd_error err = {0};
    if (!s->match || pgd_matcher_advance(s->match, (uint32_t)token, &err) == PGD_OK) return true;
    /* A token that the mask forbids would be a bug of the executor's; want of room for the
     * grammar's states is the request's own. */
    fail(e, s, err.code == PGD_E_LIMIT ? PGD_E_LIMIT : PGD_E_INTERNAL, &err);
    return false;
}
