/* slots_apply, step_fill and logits_post: the per-slot state that lives between steps, the arrays
 * of a step, and what the state does to the logits before sampling. Plans were checked by their
 * receiver; offsets are trusted here. There are no graphs on the CPU, so the counts of a step are
 * those of its plan. */
#include "cpu_internal.h"

#include <math.h>
#include <string.h>

enum { IN_PROMPT = 0x8000, MAX_COUNT = 0x7fff };

static const void *at(const pgd_plan *p, uint32_t offset) {
    return (const unsigned char *)p + offset;
}

static void apply_init(pgd_slots *s, const pgd_plan *plan, const pgd_plan_init *in) {
    s->sampling[in->slot] = in->sampling;
    s->n_prompt[in->slot] = in->n_prompt;
    s->n_bias[in->slot] = in->n_bias;
    if (in->n_bias)
        memcpy(s->bias + (size_t)in->slot * PGD_MAX_BIAS, at(plan, in->off_bias),
               in->n_bias * sizeof(pgd_bias));
    if (!(in->sampling.flags & PGD_SAMPLE_PENALTIES)) return;
    uint16_t *counts = s->counts + (size_t)in->slot * s->vocab_size;
    memset(counts, 0, s->vocab_size * sizeof *counts);
    const int32_t *history = at(plan, in->off_history);
    for (uint32_t i = 0; i < in->n_history; i++) {
        uint16_t *c = &counts[history[i]];
        if (i < in->n_prompt)
            *c |= IN_PROMPT;
        else if ((*c & MAX_COUNT) < MAX_COUNT)
            (*c)++;
    }
}

pgd_status pgd_cpu_slots_apply(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_slots_apply_args *a = args;
    const pgd_plan *p = a->plan;
    (void)d;
    (void)step;
    const pgd_plan_init *init = at(p, p->off_init);
    for (uint32_t i = 0; i < p->n_init; i++)
        apply_init(a->slots, p, &init[i]);
    const pgd_plan_table *t = at(p, p->off_table);
    for (uint32_t i = 0; i < p->n_table; i++)
        memcpy(a->slots->page_table + (size_t)t[i].slot * a->slots->max_pages + t[i].first,
               at(p, t[i].off_pages), t[i].n * sizeof(int32_t));
    return PGD_OK;
}

/* Logits rows of sequence i: every row with a scored next token, and the last when it samples. */
static uint32_t fill_rows(const pgd_step_fill_args *a, uint32_t i, const int32_t *ids,
                          uint32_t n_rows) {
    const pgd_plan_seq *const s = &a->seq[i];
    const uint32_t last = s->n_new - 1;
    for (uint32_t j = s->flags & PGD_PLAN_SCORE ? 0 : last; j <= last; j++) {
        const bool samples = j == last && s->flags & PGD_PLAN_SAMPLE;
        const int32_t next = j < last ? ids[s->q_start + j + 1] : s->score_next;
        if (!samples && next < 0) continue;
        a->row_tok[n_rows] = (int32_t)(s->q_start + j);
        a->row_seq[n_rows] = (int32_t)i;
        a->row_target[n_rows] = samples ? -1 : next;
        n_rows++;
    }
    return n_rows;
}

pgd_status pgd_cpu_step_fill(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_step_fill_args *const a = args;
    const pgd_plan *const p = a->plan;
    const int32_t *const ids = at(p, p->off_ids);
    uint32_t n_rows = 0;
    (void)d;
    PGD_ASSERT(step->n_tok == p->n_tok && step->n_seq == p->n_seq);
    memcpy(a->seq, at(p, p->off_seq), p->n_seq * sizeof *a->seq);
    memcpy(a->ids, ids, p->n_tok * sizeof *ids);
    for (uint32_t i = 0; i < p->n_seq; i++) {
        const pgd_plan_seq *const s = &a->seq[i];
        for (uint32_t j = 0; j < s->n_new; j++) {
            a->pos[s->q_start + j] = (int32_t)(s->kv_start + j);
            a->tok_seq[s->q_start + j] = (int32_t)i;
        }
        if (s->flags & PGD_PLAN_LATE_ID) a->ids[s->q_start] = step->slots->last_token[s->slot];
        n_rows = fill_rows(a, i, ids, n_rows);
    }
    PGD_ASSERT(n_rows == step->n_rows);
    return PGD_OK;
}

typedef struct post_job {
    const pgd_logits_post_args *a;
    const pgd_step_view *step;
} post_job;

static void penalize(float *x, const uint16_t *counts, uint32_t n, const pgd_sampling *p) {
    for (uint32_t i = 0; i < n; i++) {
        uint64_t four;
        while (i + 4 <= n && (memcpy(&four, counts + i, sizeof four), four == 0))
            i += 4; /* most of a vocabulary never occurred */
        if (i == n) break;
        const uint16_t c = counts[i];
        if (!c) continue;
        if (p->repetition_penalty != 1.0F)
            x[i] = x[i] > 0.0F ? x[i] / p->repetition_penalty : x[i] * p->repetition_penalty;
        if (c & MAX_COUNT)
            x[i] -= p->presence_penalty + p->frequency_penalty * (float)(c & MAX_COUNT);
    }
}

static void post_rows(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    const post_job *const j = arg;
    const pgd_step_view *v = j->step;
    const pgd_slots *s = v->slots;
    const uint32_t vocab = (uint32_t)j->a->logits.shape[1];
    (void)thread;
    for (uint64_t r = begin; r < end; r++) {
        if (v->row_target[r] >= 0) continue;
        float *x = (float *)(void *)pgd_cpu_row(&j->a->logits, r);
        const uint32_t slot = v->seq[v->row_seq[r]].slot;
        const pgd_sampling *p = &s->sampling[slot];
        const pgd_bias *bias = s->bias + (size_t)slot * PGD_MAX_BIAS;
        for (uint32_t i = 0; i < s->n_bias[slot]; i++)
            if ((uint32_t)bias[i].id < vocab) x[bias[i].id] += bias[i].value;
        const uint32_t known = (uint32_t)v->pos[v->row_tok[r]] + 1;
        if (known < s->n_prompt[slot] + p->min_tokens)
            for (uint32_t i = 0; i < p->n_stop_ids; i++)
                if ((uint32_t)p->stop_ids[i] < vocab) x[p->stop_ids[i]] = -INFINITY;
        if (p->flags & PGD_SAMPLE_PENALTIES)
            penalize(x, s->counts + (size_t)slot * s->vocab_size, vocab, p);
    }
}

static void mask_row(float *x, uint32_t n, const uint32_t *bits) {
    for (uint32_t w = 0; w * 32 < n; w++) {
        const uint32_t m = bits[w], end = n - w * 32 < 32 ? n - w * 32 : 32;
        if (m == UINT32_MAX) continue;
        for (uint32_t i = 0; i < end; i++)
            if (!(m >> i & 1)) x[w * 32 + i] = -INFINITY;
    }
}

static void mask_rows(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    const post_job *const j = arg;
    const pgd_step_view *v = j->step;
    const uint32_t vocab = (uint32_t)j->a->logits.shape[1];
    (void)thread;
    for (uint64_t r = begin; r < end; r++) {
        const uint32_t seq = (uint32_t)v->row_seq[r];
        uint32_t n_before = 0;
        if (v->row_target[r] >= 0 || !(v->seq[seq].flags & PGD_PLAN_MASK)) continue;
        for (uint32_t i = 0; i < seq; i++)
            n_before += v->seq[i].flags & PGD_PLAN_MASK ? 1 : 0;
        mask_row((float *)(void *)pgd_cpu_row(&j->a->logits, r), vocab,
                 v->mask + (size_t)n_before * pgd_mask_words(vocab));
    }
}

pgd_status pgd_cpu_logits_mask(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_logits_mask_args *a = args;
    const pgd_logits_post_args post = {.logits = a->logits};
    post_job j = {.a = &post, .step = step};
    pgd_pool_for(step->n_rows > 1 ? pgd_cpu_of(d)->pool : NULL, step->n_rows, 1, mask_rows, &j);
    return PGD_OK;
}

pgd_status pgd_cpu_logits_post(pgd_device *d, const void *args, const pgd_step_view *step) {
    post_job j = {.a = args, .step = step};
    pgd_pool_for(step->n_rows > 1 ? pgd_cpu_of(d)->pool : NULL, step->n_rows, 1, post_rows, &j);
    return PGD_OK;
}
