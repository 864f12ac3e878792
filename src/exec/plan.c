/* The receiver's check of a plan, its digest, and the room it needs.
 *
 * A plan comes from our own engine, but it may have crossed a network on the way, and a wrong page
 * id would read another request's memory: so everything is checked that can be checked from the
 * blob and the limits alone, in one pass and without memory. What a page table must hold before a
 * sequence runs is not in the blob; the simulator checks that from the other side. Thread: any. */
#include "pagoda/plan.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "pagoda/hash.h"

typedef struct checker {
    const pgd_plan *p;
    const char *base;
    const pgd_plan_limits *lim;
    pgd_error *err;
    uint8_t seen[PGD_PLAN_MAX_SLOTS / 8]; /* slots (or pages) met in the section being read */
} checker;

static pgd_status bad(const checker *c, const char *what, uint64_t index, int64_t got,
                      int64_t limit) {
    return pgd_fail(c->err, PGD_E_INTERNAL, "plan %llu: %s (item %llu): got %lld, limit %lld",
                    (unsigned long long)c->p->step, what, (unsigned long long)index, (long long)got,
                    (long long)limit);
}

static const void *at(const checker *c, uint32_t off) {
    return c->base + off;
}

/* n items of `size` bytes at `off` lie in [from, bytes); *from moves behind them. */
static pgd_status section(const checker *c, const char *what, uint32_t off, uint32_t n, size_t size,
                          uint64_t *from) {
    const uint64_t end = (uint64_t)off + (uint64_t)n * size;
    if (off % 8) return bad(c, what, 0, off, 8);
    if (off < *from) return bad(c, what, 0, off, (int64_t)*from);
    if (end > c->p->bytes) return bad(c, what, n, (int64_t)end, c->p->bytes);
    *from = end;
    return PGD_OK;
}

/* A list of n items in aux. */
static pgd_status aux(const checker *c, const char *what, uint32_t off, uint32_t n, size_t size) {
    uint64_t from = c->p->off_aux;
    return n ? section(c, what, off, n, size, &from) : PGD_OK;
}

static pgd_status once(checker *c, const char *what, uint64_t index, uint32_t slot) {
    if (slot >= c->lim->max_slots) return bad(c, what, index, slot, c->lim->max_slots);
    if (c->seen[slot / 8] >> (slot % 8) & 1) return bad(c, what, index, slot, 1);
    c->seen[slot / 8] = (uint8_t)(c->seen[slot / 8] | 1U << (slot % 8));
    return PGD_OK;
}

static pgd_status check_header(const checker *c, size_t bytes) {
    const pgd_plan *p = c->p;
    uint64_t from = sizeof *p;
    if (p->magic != PGD_PLAN_MAGIC) return bad(c, "magic", 0, p->magic, PGD_PLAN_MAGIC);
    if (p->version != PGD_PLAN_VERSION) return bad(c, "version", 0, p->version, PGD_PLAN_VERSION);
    if (p->bytes != bytes) return bad(c, "bytes", 0, p->bytes, (int64_t)bytes);
    if (bytes > c->lim->max_plan_bytes) return bad(c, "bytes", 0, p->bytes, c->lim->max_plan_bytes);
    if (p->n_seq > c->lim->max_seqs) return bad(c, "n_seq", 0, p->n_seq, c->lim->max_seqs);
    if (p->n_tok > c->lim->max_tokens) return bad(c, "n_tok", 0, p->n_tok, c->lim->max_tokens);
    PGD_TRY(section(c, "off_seq", p->off_seq, p->n_seq, sizeof(pgd_plan_seq), &from));
    PGD_TRY(section(c, "off_ids", p->off_ids, p->n_tok, sizeof(int32_t), &from));
    PGD_TRY(section(c, "off_init", p->off_init, p->n_init, sizeof(pgd_plan_init), &from));
    PGD_TRY(section(c, "off_table", p->off_table, p->n_table, sizeof(pgd_plan_table), &from));
    PGD_TRY(section(c, "off_copy", p->off_copy, p->n_copy, sizeof(pgd_plan_copy), &from));
    return section(c, "off_aux", p->off_aux, 0, 1, &from);
}

static pgd_status check_ids(const checker *c, const char *what, const int32_t *ids, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= c->lim->vocab_size)
            return bad(c, what, i, ids[i], c->lim->vocab_size);
    return PGD_OK;
}

/* What the sequences of a plan add up to. */
typedef struct seq_counts {
    uint32_t n_tok, n_sample, n_score, n_mask;
} seq_counts;

static pgd_status check_seq(checker *c, uint32_t i, const pgd_plan_seq *s, seq_counts *n) {
    const uint32_t known =
        PGD_PLAN_SAMPLE | PGD_PLAN_LATE_ID | PGD_PLAN_SCORE | PGD_PLAN_MASK | PGD_PLAN_HIDDEN;
    const uint64_t context = (uint64_t)c->lim->max_pages_per_seq * c->lim->page_tokens;
    const int32_t *ids = (const int32_t *)at(c, c->p->off_ids) + n->n_tok;
    const uint32_t late = s->flags & PGD_PLAN_LATE_ID ? 1 : 0;
    PGD_TRY(once(c, "seq slot", i, s->slot));
    if (s->q_start != n->n_tok) return bad(c, "seq q_start", i, s->q_start, n->n_tok);
    if (s->n_new == 0 || s->n_new > c->p->n_tok - n->n_tok)
        return bad(c, "seq n_new", i, s->n_new, c->p->n_tok - n->n_tok);
    if ((uint64_t)s->kv_start + s->n_new > context)
        return bad(c, "seq kv_start + n_new", i, (int64_t)s->kv_start + s->n_new, (int64_t)context);
    if (s->flags & ~known) return bad(c, "seq flags", i, s->flags, known);
    if (late && ids[0] != -1) return bad(c, "late id", i, ids[0], -1);
    PGD_TRY(check_ids(c, "token id", ids + late, s->n_new - late));
    n->n_tok += s->n_new;
    n->n_sample += s->flags & PGD_PLAN_SAMPLE ? 1 : 0;
    n->n_mask += s->flags & PGD_PLAN_MASK ? 1 : 0;
    if (s->flags & PGD_PLAN_MASK && !(s->flags & PGD_PLAN_SAMPLE))
        return bad(c, "seq mask without a sample", i, s->flags, PGD_PLAN_SAMPLE);
    if (s->flags & PGD_PLAN_HIDDEN && !(s->flags & PGD_PLAN_SCORE))
        return bad(c, "seq hidden states without scores", i, s->flags, PGD_PLAN_SCORE);
    if (!(s->flags & PGD_PLAN_SCORE))
        return s->score_next == -1 ? PGD_OK : bad(c, "seq score_next", i, s->score_next, -1);
    n->n_score += s->n_new - (s->score_next < 0);
    if (s->score_next < -1 || s->score_next >= (int64_t)c->lim->vocab_size)
        return bad(c, "seq score_next", i, s->score_next, c->lim->vocab_size);
    /* The last row has one set of logits: it is sampled from or scored, not both. */
    if (s->score_next >= 0 && s->flags & PGD_PLAN_SAMPLE)
        return bad(c, "seq score_next of a sampling row", i, s->score_next, -1);
    return PGD_OK;
}

static pgd_status check_seqs(checker *c) {
    const pgd_plan_seq *s = at(c, c->p->off_seq);
    seq_counts n = {0};
    memset(c->seen, 0, sizeof c->seen);
    for (uint32_t i = 0; i < c->p->n_seq; i++)
        PGD_TRY(check_seq(c, i, &s[i], &n));
    if (n.n_tok != c->p->n_tok) return bad(c, "n_tok", 0, c->p->n_tok, n.n_tok);
    if (n.n_sample != c->p->n_sample) return bad(c, "n_sample", 0, c->p->n_sample, n.n_sample);
    if (n.n_score != c->p->n_score) return bad(c, "n_score", 0, c->p->n_score, n.n_score);
    if (n.n_mask != c->p->n_mask) return bad(c, "n_mask", 0, c->p->n_mask, n.n_mask);
    return PGD_OK;
}

static bool in_range(float v, float lo, float hi) {
    return v >= lo && v <= hi; /* false for NaN */
}

static pgd_status check_sampling(const checker *c, uint32_t i, const pgd_sampling *s) {
    const uint32_t known = PGD_SAMPLE_GREEDY | PGD_SAMPLE_PENALTIES | PGD_SAMPLE_LOGPROBS;
    if (s->flags & ~known) return bad(c, "sampling flags", i, s->flags, known);
    if (!(s->flags & PGD_SAMPLE_GREEDY) && !(s->temperature > 0 && isfinite(s->temperature)))
        return bad(c, "temperature is not above 0", i, 0, 0);
    if (!(s->top_p > 0 && s->top_p <= 1)) return bad(c, "top_p outside (0, 1]", i, 0, 1);
    if (!in_range(s->min_p, 0, 1)) return bad(c, "min_p outside [0, 1]", i, 0, 1);
    if (!(s->repetition_penalty > 0 && isfinite(s->repetition_penalty)) ||
        !isfinite(s->presence_penalty) || !isfinite(s->frequency_penalty))
        return bad(c, "penalty is not finite", i, 0, 0);
    if (s->n_top > PGD_MAX_TOP_LOGPROBS) return bad(c, "n_top", i, s->n_top, PGD_MAX_TOP_LOGPROBS);
    if (s->n_stop_ids > PGD_MAX_STOP_IDS)
        return bad(c, "n_stop_ids", i, s->n_stop_ids, PGD_MAX_STOP_IDS);
    return check_ids(c, "stop id", s->stop_ids, s->n_stop_ids);
}

static pgd_status check_bias(const checker *c, const pgd_plan_init *in) {
    const pgd_bias *b = at(c, in->n_bias ? in->off_bias : 0);
    for (uint32_t i = 0; i < in->n_bias; i++) {
        PGD_TRY(check_ids(c, "bias id", &b[i].id, 1));
        if (isnan(b[i].value)) return bad(c, "bias value is NaN", i, 0, 0);
    }
    return PGD_OK;
}

static pgd_status check_inits(checker *c) {
    const pgd_plan_init *in = at(c, c->p->off_init);
    const uint64_t context = (uint64_t)c->lim->max_pages_per_seq * c->lim->page_tokens;
    memset(c->seen, 0, sizeof c->seen);
    for (uint32_t i = 0; i < c->p->n_init; i++, in++) {
        PGD_TRY(once(c, "init slot", i, in->slot));
        if (in->n_prompt > context)
            return bad(c, "init n_prompt", i, in->n_prompt, (int64_t)context);
        if (in->n_history > context)
            return bad(c, "init n_history", i, in->n_history, (int64_t)context);
        if (in->n_history && in->n_history < in->n_prompt)
            return bad(c, "init n_history below n_prompt", i, in->n_history, in->n_prompt);
        if (in->n_bias > PGD_MAX_BIAS) return bad(c, "init n_bias", i, in->n_bias, PGD_MAX_BIAS);
        PGD_TRY(aux(c, "init off_history", in->off_history, in->n_history, sizeof(int32_t)));
        PGD_TRY(aux(c, "init off_bias", in->off_bias, in->n_bias, sizeof(pgd_bias)));
        if (in->n_history)
            PGD_TRY(check_ids(c, "history id", at(c, in->off_history), in->n_history));
        PGD_TRY(check_bias(c, in));
        PGD_TRY(check_sampling(c, i, &in->sampling));
    }
    return PGD_OK;
}

static pgd_status check_tables(const checker *c) {
    const pgd_plan_table *t = at(c, c->p->off_table);
    for (uint32_t i = 0; i < c->p->n_table; i++, t++) {
        if (t->slot >= c->lim->max_slots)
            return bad(c, "table slot", i, t->slot, c->lim->max_slots);
        if ((uint64_t)t->first + t->n > c->lim->max_pages_per_seq)
            return bad(c, "table first + n", i, (int64_t)t->first + t->n,
                       c->lim->max_pages_per_seq);
        PGD_TRY(aux(c, "table off_pages", t->off_pages, t->n, sizeof(int32_t)));
        const int32_t *page = at(c, t->n ? t->off_pages : 0);
        for (uint32_t j = 0; j < t->n; j++)
            if (page[j] < 0 || (uint32_t)page[j] >= c->lim->n_pages)
                return bad(c, "table page", i, page[j], c->lim->n_pages);
    }
    return PGD_OK;
}

/* The place of a page in `seen`, which is smaller than the pool: a bit that is set only says that
 * it is worth looking. */
static bool marked(const checker *c, uint32_t page) {
    const uint32_t bit = page % PGD_PLAN_MAX_SLOTS;
    return c->seen[bit / 8] >> (bit % 8) & 1;
}

static bool is_target(const pgd_plan_copy *y, uint32_t n, uint32_t page) {
    for (uint32_t i = 0; i < n; i++)
        if (y[i].dst == page) return true;
    return false;
}

/* A device runs the copies side by side: what one writes no other may read or write. */
static pgd_status check_copies_apart(checker *c) {
    const pgd_plan_copy *const y = at(c, c->p->off_copy);
    memset(c->seen, 0, sizeof c->seen);
    for (uint32_t i = 0; i < c->p->n_copy; i++) {
        const uint32_t bit = y[i].dst % PGD_PLAN_MAX_SLOTS;
        if (marked(c, y[i].dst) && is_target(y, i, y[i].dst))
            return bad(c, "copy dst of two copies", i, y[i].dst, 1);
        c->seen[bit / 8] = (uint8_t)(c->seen[bit / 8] | 1U << (bit % 8));
    }
    for (uint32_t i = 0; i < c->p->n_copy; i++)
        if (marked(c, y[i].src) && is_target(y, c->p->n_copy, y[i].src))
            return bad(c, "copy src is the dst of another copy", i, y[i].src, 0);
    return PGD_OK;
}

static pgd_status check_copies(checker *c) {
    const pgd_plan_copy *y = at(c, c->p->off_copy);
    for (uint32_t i = 0; i < c->p->n_copy; i++, y++) {
        if (y->src >= c->lim->n_pages) return bad(c, "copy src", i, y->src, c->lim->n_pages);
        if (y->dst >= c->lim->n_pages || y->dst == y->src)
            return bad(c, "copy dst", i, y->dst, c->lim->n_pages);
        if (y->n_tokens == 0 || y->n_tokens > c->lim->page_tokens)
            return bad(c, "copy n_tokens", i, y->n_tokens, c->lim->page_tokens);
    }
    return check_copies_apart(c);
}

pgd_status pgd_plan_check(const void *blob, size_t bytes, const pgd_plan_limits *lim,
                          pgd_error *err) {
    checker c = {.p = blob, .base = blob, .lim = lim, .err = err};
    PGD_ASSERT(lim->max_slots <= PGD_PLAN_MAX_SLOTS);
    if (bytes < sizeof(pgd_plan) || (uintptr_t)blob % 8)
        return pgd_fail(err, PGD_E_INTERNAL,
                        "plan: %zu bytes at %p, expected a header of %zu bytes aligned to 8", bytes,
                        blob, sizeof(pgd_plan));
    PGD_TRY(check_header(&c, bytes));
    PGD_TRY(check_seqs(&c));
    PGD_TRY(check_inits(&c));
    PGD_TRY(check_tables(&c));
    PGD_TRY(check_copies(&c));
    const uint64_t digest = pgd_plan_digest(c.p);
    if (digest != c.p->digest)
        return pgd_fail(err, PGD_E_INTERNAL, "plan %llu: digest %016llx, computed %016llx",
                        (unsigned long long)c.p->step, (unsigned long long)c.p->digest,
                        (unsigned long long)digest);
    return PGD_OK;
}

static pgd_status check_mask(const checker *c, uint32_t i, const uint32_t *row, uint32_t n_words) {
    const uint32_t tail = c->lim->vocab_size % 32;
    if (tail && row[n_words - 1] >> tail)
        return bad(c, "late mask past the vocabulary", i, row[n_words - 1], c->lim->vocab_size);
    for (uint32_t w = 0; w < n_words; w++)
        if (row[w]) return PGD_OK;
    return bad(c, "late mask allows nothing", i, 0, 1);
}

pgd_status pgd_plan_late_check(const pgd_plan *plan, const void *blob, const pgd_plan_limits *lim,
                               pgd_error *err) {
    const checker c = {.p = plan, .base = blob, .lim = lim, .err = err};
    const pgd_plan_late *const late = blob;
    const uint32_t n_words = pgd_mask_words(lim->vocab_size);
    const uint64_t bytes = sizeof *late + 4ULL * n_words * plan->n_mask;
    if (late->magic != PGD_PLAN_LATE_MAGIC)
        return bad(&c, "late magic", 0, late->magic, PGD_PLAN_LATE_MAGIC);
    if (late->step != plan->step)
        return bad(&c, "late step", 0, (int64_t)late->step, (int64_t)plan->step);
    if (late->n_mask != plan->n_mask) return bad(&c, "late n_mask", 0, late->n_mask, plan->n_mask);
    if (late->n_words != n_words) return bad(&c, "late n_words", 0, late->n_words, n_words);
    if (late->bytes != bytes) return bad(&c, "late bytes", 0, late->bytes, (int64_t)bytes);
    const uint32_t *row = (const void *)(late + 1);
    for (uint32_t i = 0; i < late->n_mask; i++, row += n_words)
        PGD_TRY(check_mask(&c, i, row, n_words));
    return PGD_OK;
}

uint64_t pgd_plan_late_room(const pgd_plan_limits *lim) {
    return sizeof(pgd_plan_late) + 4ULL * pgd_mask_words(lim->vocab_size) * lim->max_seqs;
}

uint64_t pgd_plan_digest(const pgd_plan *plan) {
    const size_t from = offsetof(pgd_plan, digest) + sizeof plan->digest;
    return pgd_hash64((const char *)plan + from, plan->bytes - from, plan->step);
}

uint64_t pgd_plan_room(const pgd_plan_limits *lim, uint32_t max_model_len) {
    enum { SEQ_AUX_BYTES = 1024, AUX_SLACK_BYTES = 64 << 10 };
    const uint64_t n = lim->max_seqs;
    const uint64_t sections = sizeof(pgd_plan) + n * sizeof(pgd_plan_seq) + 4ULL * lim->max_tokens +
                              n * sizeof(pgd_plan_init) + n * sizeof(pgd_plan_table) +
                              n * sizeof(pgd_plan_copy) + 6 * 8;
    const uint64_t largest =
        4ULL * max_model_len + PGD_MAX_BIAS * sizeof(pgd_bias) + 4ULL * lim->max_pages_per_seq;
    const uint64_t all = sections + largest + n * SEQ_AUX_BYTES + AUX_SLACK_BYTES;
    return (all + 7) & ~7ULL;
}
