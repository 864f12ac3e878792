/* Encode one step: choices into the blob of plan.h, and into the flight record that reads its
 * result later. Writes every byte of the blob that the digest covers, padding included, so that
 * equal steps have equal digests. Thread: engine. Knows the layout and nothing about policy. */
#include "engine_int.h"

#include <string.h>

typedef struct writer {
    char *base;
    uint32_t at; /* bytes written */
} writer;

/* Reserve n bytes at a multiple of 8, padding zeroed. Returns the offset. */
static uint32_t reserve(writer *w, size_t n) {
    const uint32_t off = (w->at + 7) & ~7U;
    memset(w->base + w->at, 0, off - w->at);
    w->at = off + (uint32_t)n;
    return off;
}

static bool is_dirty(const pgd_seq *s) {
    return s->tab_hi > s->tab_lo;
}

static void write_init(writer *w, uint32_t off, const pgd_seq *s) {
    const pgd_request *r = s->req;
    pgd_plan_init *in = (pgd_plan_init *)(void *)(w->base + off);
    memset(in, 0, sizeof *in);
    in->slot = s->slot;
    in->n_prompt = s->n_prompt;
    in->sampling = r->sampling;
    in->sampling.choice = r->sampling.choice + s->choice;
    if (s->match) in->sampling.min_tokens = 0; /* the masks see to it */
    if (r->sampling.flags & PGD_SAMPLE_PENALTIES) {
        in->n_history = s->n_known;
        in->off_history = reserve(w, s->n_known * sizeof(int32_t));
        int32_t *h = (int32_t *)(void *)(w->base + in->off_history);
        memcpy(h, r->prompt, s->n_prompt * sizeof *h);
        memcpy(h + s->n_prompt, s->log->token, (s->n_known - s->n_prompt) * sizeof *h);
    }
    if (r->n_bias) {
        in->n_bias = r->n_bias;
        in->off_bias = reserve(w, r->n_bias * sizeof *r->bias);
        memcpy(w->base + in->off_bias, r->bias, r->n_bias * sizeof *r->bias);
    }
}

static void write_table(writer *w, uint32_t off, pgd_seq *s) {
    const uint32_t n = s->tab_hi - s->tab_lo;
    pgd_plan_table *t = (pgd_plan_table *)(void *)(w->base + off);
    *t = (pgd_plan_table){.slot = s->slot, .first = s->tab_lo, .n = n};
    t->off_pages = reserve(w, n * sizeof(int32_t));
    memcpy(w->base + t->off_pages, s->pages + s->tab_lo, n * sizeof(int32_t));
    s->tab_lo = UINT32_MAX;
    s->tab_hi = 0;
}

/* One choice's row of the seq section and its ids; the flight remembers it. */
static void write_seq(const sched_choice *c, pgd_plan_seq *q, int32_t *ids, uint32_t q_start,
                      flight *f) {
    pgd_seq *s = c->seq;
    const uint32_t end = c->start + c->rows;
    uint32_t i = 0, n_score = 0;
    *q = (pgd_plan_seq){.slot = s->slot,
                        .q_start = q_start,
                        .n_new = c->rows,
                        .kv_start = c->start,
                        .score_next = -1};
    if (c->start >= s->n_known) { /* still on the device: the sample of a step in flight */
        PGD_ASSERT(c->rows == 1 && c->start + 1 == s->n_known + seq_fly_samples(s));
        q->flags |= PGD_PLAN_LATE_ID;
        ids[i++] = -1;
    }
    for (; i < c->rows; i++)
        ids[i] = seq_token(s, c->start + i);
    if (end == s->n_known + seq_fly_samples(s)) q->flags |= PGD_PLAN_SAMPLE;
    if (c->start + 1 < s->n_prompt && seq_scoring(s)) {
        q->flags |= s->req->pooled ? PGD_PLAN_SCORE | PGD_PLAN_HIDDEN : PGD_PLAN_SCORE;
        if (end < s->n_prompt) q->score_next = seq_token(s, end);
        n_score = c->rows - (q->score_next < 0);
    }
    const bool sampled = q->flags & PGD_PLAN_SAMPLE, masked = sampled && s->match;
    if (masked) q->flags |= PGD_PLAN_MASK;
    f->entry[f->n++] = (flight_entry){
        .seq = s, .rows = c->rows, .n_score = n_score, .sampled = sampled, .masked = masked};
    s->fly[f->step % ENG_FLY_MAX] = (seq_fly){.rows = c->rows, .samples = sampled};
    s->fence = f->step;
}

static void write_copy(char *at, const sched_choice *c, uint64_t step) {
    const pgd_plan_copy y = {.src = c->donor->pages[c->n_shared],
                             .dst = c->seq->pages[c->n_shared],
                             .n_tokens = c->n_copy};
    memcpy(at, &y, sizeof y);
    if (c->donor->fence < step) c->donor->fence = step; /* its page is read by this step */
}

static void count(const sched_out *out, pgd_plan *p) {
    for (uint32_t i = 0; i < out->n_choices; i++) {
        const sched_choice *c = &out->choice[i];
        p->n_tok += c->rows;
        p->n_init += c->admit;
        p->n_copy += c->n_copy > 0;
        p->n_table += is_dirty(c->seq);
    }
    p->n_seq = out->n_choices;
}

void eng_encode(pgd_engine *e, const sched_out *out, void *buf, flight *f) {
    pgd_plan *p = buf;
    writer w = {.base = buf, .at = sizeof *p};
    *p = (pgd_plan){.magic = PGD_PLAN_MAGIC, .version = PGD_PLAN_VERSION, .step = f->step};
    count(out, p);
    p->off_seq = reserve(&w, p->n_seq * sizeof(pgd_plan_seq));
    p->off_ids = reserve(&w, p->n_tok * sizeof(int32_t));
    p->off_init = reserve(&w, p->n_init * sizeof(pgd_plan_init));
    p->off_table = reserve(&w, p->n_table * sizeof(pgd_plan_table));
    p->off_copy = reserve(&w, p->n_copy * sizeof(pgd_plan_copy));
    p->off_aux = reserve(&w, 0);
    pgd_plan_seq *seq = (pgd_plan_seq *)(void *)(w.base + p->off_seq);
    int32_t *ids = (int32_t *)(void *)(w.base + p->off_ids);
    uint32_t row = 0, n_init = 0, n_table = 0, n_copy = 0;
    f->n = 0;
    for (uint32_t i = 0; i < out->n_choices; i++) {
        const sched_choice *c = &out->choice[i];
        write_seq(c, &seq[i], ids + row, row, f);
        row += c->rows;
        p->n_sample += f->entry[i].sampled;
        p->n_score += f->entry[i].n_score;
        p->n_mask += f->entry[i].masked;
        if (c->admit)
            write_init(&w, p->off_init + n_init++ * (uint32_t)sizeof(pgd_plan_init), c->seq);
        if (is_dirty(c->seq))
            write_table(&w, p->off_table + n_table++ * (uint32_t)sizeof(pgd_plan_table), c->seq);
        if (c->n_copy)
            write_copy(w.base + p->off_copy + n_copy++ * sizeof(pgd_plan_copy), c, f->step);
    }
    p->bytes = (w.at + 7) & ~7U;
    memset(w.base + w.at, 0, p->bytes - w.at);
    PGD_ASSERT(p->bytes <= e->info->limits.max_plan_bytes);
    p->digest = pgd_plan_digest(p);
    f->digest = p->digest;
    f->n_tok = p->n_tok;
    f->n_mask = p->n_mask;
    f->late_due = p->n_mask > 0;
}
