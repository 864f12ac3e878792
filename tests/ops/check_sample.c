/* sample, logits_post and slots_apply. The drawn token is compared with a sampler that sorts and
 * works in float64 with the same noise; where rounding decides (a tie within 1e-5, a cumulative
 * mass at the edge of top-p) either answer counts, and such cases must be rare. All levels must
 * give the scalar level's bits. Frequencies over many seeds are held to the distribution by a
 * chi-square test. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

typedef struct rows_case {
    check *c;
    uint32_t n, vocab, max_pages;
    float *logits; /* [n, vocab] */
    pgd_slots slots;
    pgd_plan_seq *seq;
    int32_t *pos, *row, *target;
    pgd_step_view step;
} rows_case;

static void open_rows(rows_case *r, check *c, uint32_t n, uint32_t vocab) {
    *r = (rows_case){.c = c, .n = n, .vocab = vocab, .max_pages = 4};
    r->logits = check_alloc((size_t)n * vocab * 4);
    r->slots = (pgd_slots){.max_slots = n,
                           .max_pages = r->max_pages,
                           .vocab_size = vocab,
                           .page_table = check_alloc(n * r->max_pages * 4),
                           .last_token = check_alloc(n * 4),
                           .sampling = check_alloc(n * sizeof(pgd_sampling)),
                           .n_prompt = check_alloc(n * 4),
                           .counts = check_alloc((size_t)n * vocab * 2),
                           .bias = check_alloc(n * PGD_MAX_BIAS * sizeof(pgd_bias)),
                           .n_bias = check_alloc(n * 4)};
    r->seq = check_alloc(n * sizeof *r->seq);
    r->pos = check_alloc(n * 4);
    r->row = check_alloc(n * 4);
    r->target = check_alloc(n * 4);
    for (uint32_t i = 0; i < n; i++) {
        r->seq[i] = (pgd_plan_seq){.slot = i, .q_start = i, .n_new = 1, .kv_start = 100 + i};
        r->pos[i] = (int32_t)(100 + i);
        r->row[i] = (int32_t)i;
        r->target[i] = -1;
        r->slots.n_prompt[i] = 90;
        r->slots.sampling[i] = (pgd_sampling){
            .temperature = 1.0F, .top_p = 1.0F, .repetition_penalty = 1.0F, .seed = i};
    }
    r->step = (pgd_step_view){.n_tok = n,
                              .n_seq = n,
                              .n_rows = n,
                              .seq = r->seq,
                              .pos = r->pos,
                              .tok_seq = r->row,
                              .row_tok = r->row,
                              .row_seq = r->row,
                              .row_target = r->target,
                              .slots = &r->slots,
                              .page_tokens = 16};
}

static void close_rows(rows_case *r) {
    check *c = r->c;
    check_free(c, r->logits, "logits");
    check_free(c, r->slots.page_table, "page table");
    check_free(c, r->slots.last_token, "last token");
    check_free(c, r->slots.sampling, "sampling");
    check_free(c, r->slots.n_prompt, "n_prompt");
    check_free(c, r->slots.counts, "counts");
    check_free(c, r->slots.bias, "bias");
    check_free(c, r->slots.n_bias, "n_bias");
    check_free(c, r->seq, "seq");
    check_free(c, r->pos, "pos");
    check_free(c, r->row, "row");
    check_free(c, r->target, "target");
}

static void sample_on(rows_case *r, pgd_device *d, pgd_sample_out *out, pgd_score_out *score) {
    const pgd_sample_args a = {.logits = pgd_tensor_2d(r->logits, PGD_F32, r->n, r->vocab),
                               .sample_out = out,
                               .score_out = score};
    check_run(d, PGD_OP_SAMPLE, &a, &r->step);
}

/* ---- the sorting sampler ---- */

typedef struct ranked {
    double z;
    uint32_t id;
} ranked;

static int by_rank(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->z != y->z) return x->z > y->z ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Tokens kept of t[0..n), which becomes sorted. slack moves every limit a little. */
static uint32_t kept(ranked *t, uint32_t n, const pgd_sampling *s, double slack) {
    qsort(t, n, sizeof *t, by_rank);
    uint32_t m = 0;
    const double floor = s->min_p > 0.0F ? t[0].z + log((double)s->min_p) + slack : -INFINITY;
    while (m < n && t[m].z > -INFINITY && (m == 0 || t[m].z >= floor))
        m++;
    if (s->top_k > 0 && (uint32_t)s->top_k < m) m = (uint32_t)s->top_k;
    if (s->top_p >= 1.0F) return m;
    double total = 0.0, sum = 0.0;
    for (uint32_t i = 0; i < m; i++)
        total += exp(t[i].z - t[0].z);
    for (uint32_t i = 0; i < m; i++) {
        sum += exp(t[i].z - t[0].z);
        if (sum >= ((double)s->top_p + slack) * total) return i + 1;
    }
    return m;
}

static double noisy(const ranked *t, const pgd_sampling *s, uint32_t position) {
    const double u = (double)pgd_rng_uniform(s->seed, s->choice, position, PGD_RNG_SAMPLE, t->id);
    return t->z - log(-log(u));
}

/* The token to draw, or UINT32_MAX when rounding decides. */
static uint32_t draw_reference(const float *x, uint32_t n, const pgd_sampling *s,
                               uint32_t position) {
    ranked *t = pgd_calloc(n, sizeof *t);
    uint32_t answer[2];
    float max = -INFINITY;
    for (uint32_t i = 0; i < n; i++)
        if (x[i] > max) max = x[i];
    bool close = false;
    for (uint32_t v = 0; v < 2; v++) {
        for (uint32_t i = 0; i < n; i++)
            t[i] = (ranked){.z = (double)((x[i] - max) / s->temperature), .id = i};
        const uint32_t m = kept(t, n, s, v ? 4e-6 : -4e-6);
        double best = -INFINITY, second = -INFINITY;
        for (uint32_t i = 0; i < m; i++) {
            const double y = noisy(&t[i], s, position);
            if (y > best) {
                second = best;
                best = y;
                answer[v] = t[i].id;
            } else if (y > second) {
                second = y;
            }
        }
        if (best - second < 1e-5) close = true;
    }
    pgd_free(t);
    return close || answer[0] != answer[1] ? UINT32_MAX : answer[0];
}

/* ---- checks ---- */

enum { LOGIT_KINDS = 5 };

static void fill_logits(rows_case *r, uint32_t kind) {
    for (size_t i = 0; i < (size_t)r->n * r->vocab; i++) {
        float v = (check_rand(r->c) + check_rand(r->c) + check_rand(r->c)) * 4.0F;
        if (kind == 1) v = 0.25F;    /* all equal */
        if (kind == 2) v = rintf(v); /* many ties */
        if (kind == 3 && i % 5 == 0) v = -INFINITY;
        if (kind == 4) v *= 6.0F; /* peaked */
        r->logits[i] = v;
    }
}

static void random_params(check *c, pgd_sampling *s) {
    static const float temperatures[] = {0.3F, 0.7F, 1.0F, 1.7F};
    static const float top_p[] = {1.0F, 0.9F, 0.5F, 0.01F};
    static const int32_t top_k[] = {0, 1, 5, 40, 100000};
    static const float min_p[] = {0.0F, 0.0F, 0.05F, 0.5F, 1.0F};
    s->temperature = temperatures[check_below(c, 4)];
    s->top_p = top_p[check_below(c, 4)];
    s->top_k = top_k[check_below(c, 5)];
    s->min_p = min_p[check_below(c, 5)];
    s->choice = check_below(c, 3);
    s->seed = pgd_rng_next(&c->rng);
    s->flags = PGD_SAMPLE_LOGPROBS | (check_below(c, 8) ? 0 : PGD_SAMPLE_GREEDY);
    s->n_top = check_below(c, PGD_MAX_TOP_LOGPROBS + 1);
}

static void check_logprobs(check *c, const float *x, uint32_t n, int32_t token, float logprob,
                           uint32_t n_want, uint32_t n_top, const pgd_top *top) {
    ranked *t = pgd_calloc(n, sizeof *t);
    uint32_t finite = 0;
    double max = -INFINITY, sum = 0.0;
    for (uint32_t i = 0; i < n; i++) {
        t[i] = (ranked){.z = (double)x[i], .id = i};
        finite += x[i] > -INFINITY;
        if (t[i].z > max) max = t[i].z;
    }
    for (uint32_t i = 0; i < n; i++)
        sum += exp(t[i].z - max);
    const double lse = max + log(sum);
    c->n_checks++;
    if (!(fabs((double)logprob - ((double)x[token] - lse)) < 2e-5))
        check_fail(c, "logprob %g of token %d, expected %g", (double)logprob, token,
                   (double)x[token] - lse);
    qsort(t, n, sizeof *t, by_rank);
    if (n_top != (n_want < finite ? n_want : finite))
        check_fail(c, "%u top logprobs of %u wanted, %u finite", n_top, n_want, finite);
    for (uint32_t i = 0; i < n_top; i++)
        if ((uint32_t)top[i].id != t[i].id ||
            !(fabs((double)top[i].logprob - (t[i].z - lse)) < 2e-5))
            check_fail(c, "top logprob %u is token %d, expected %u", i, top[i].id, t[i].id);
    pgd_free(t);
}

static void check_draws(check *c, uint32_t vocab, uint32_t kind) {
    enum { ROWS = 64 };
    rows_case r;
    open_rows(&r, c, ROWS, vocab);
    fill_logits(&r, kind);
    if (kind == 3) r.logits[0] = 0.0F; /* a row is never all -inf here */
    for (uint32_t i = 0; i < ROWS; i++) {
        random_params(c, &r.slots.sampling[i]);
        if (kind == 3) r.logits[(size_t)i * vocab] = 0.0F;
        if (i % 8 == 7) r.target[i] = (int32_t)check_below(c, vocab);
        if (r.target[i] >= 0) r.logits[(size_t)i * vocab + (uint32_t)r.target[i]] = 1.0F;
    }
    pgd_sample_out *out = check_alloc(ROWS * sizeof *out), *ref = check_alloc(ROWS * sizeof *ref);
    pgd_score_out *score = check_alloc(ROWS * sizeof *score),
                  *sref = check_alloc(ROWS * sizeof *sref);
    sample_on(&r, c->dev, out, score);
    sample_on(&r, c->ref, ref, sref);
    check_same(c, "sample against the scalar level", out, ref, ROWS * sizeof *out);
    check_same(c, "score against the scalar level", score, sref, ROWS * sizeof *score);
    uint32_t n_sample = 0, n_score = 0, n_open = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        const float *x = r.logits + (size_t)i * vocab;
        const pgd_sampling *s = &r.slots.sampling[i];
        if (r.target[i] >= 0) {
            const pgd_score_out *o = &score[n_score++];
            if (o->slot != i || o->position != 101 + i) check_fail(c, "score row %u misplaced", i);
            check_logprobs(c, x, vocab, r.target[i], o->logprob, s->n_top, o->n_top, o->top);
            continue;
        }
        const pgd_sample_out *o = &out[n_sample++];
        if (o->slot != i || o->flags) check_fail(c, "sample row %u misplaced", i);
        check_logprobs(c, x, vocab, o->token, o->logprob, s->n_top, o->n_top, o->top);
        uint32_t want = (uint32_t)o->top[0].id;
        if (!(s->flags & PGD_SAMPLE_GREEDY))
            want = draw_reference(x, vocab, s, 101 + i);
        else if (!o->n_top)
            continue;
        n_open += want == UINT32_MAX;
        if (want != UINT32_MAX && want != (uint32_t)o->token)
            check_fail(c,
                       "vocab %u kind %u: drew %d, expected %u (T %g top_p %g top_k %d min_p %g)",
                       vocab, kind, o->token, want, (double)s->temperature, (double)s->top_p,
                       s->top_k, (double)s->min_p);
    }
    if (n_open > ROWS / 4) check_fail(c, "%u of %u draws were decided by rounding", n_open, ROWS);
    check_free(c, out, "sample out");
    check_free(c, ref, "sample ref");
    check_free(c, score, "score out");
    check_free(c, sref, "score ref");
    close_rows(&r);
}

static void check_bad_logits(check *c) {
    rows_case r;
    open_rows(&r, c, 4, 40);
    check_fill(c, r.logits, PGD_F32, 160, 1.0F);
    r.logits[39] = NAN;
    r.logits[40 + 17] = INFINITY;
    for (uint32_t i = 0; i < 40; i++)
        r.logits[80 + i] = -INFINITY;
    pgd_sample_out out[4];
    sample_on(&r, c->dev, out, NULL);
    for (uint32_t i = 0; i < 4; i++)
        if ((out[i].flags == PGD_OUT_BAD_LOGITS) != (i < 3))
            check_fail(c, "bad logits row %u: flags %u", i, out[i].flags);
    c->n_checks++;
    close_rows(&r);
}

/* However low the temperature, the draw is the maximum and nothing overflows. */
static void check_cold_draws(check *c) {
    static const float temperatures[] = {1e-3F, 1e-10F, 1e-30F, FLT_MIN, 1e-45F};
    rows_case r;
    open_rows(&r, c, 5, 300);
    check_fill(c, r.logits, PGD_F32, 1500, 50.0F);
    for (uint32_t i = 0; i < 5; i++) {
        r.slots.sampling[i].temperature = temperatures[i];
        r.slots.sampling[i].top_p = i % 2 ? 1.0F : 0.9F;
        r.logits[i * 300 + 7 * i] = 60.0F;
    }
    pgd_sample_out out[5];
    sample_on(&r, c->dev, out, NULL);
    c->n_checks++;
    for (uint32_t i = 0; i < 5; i++)
        if (out[i].token != (int32_t)(7 * i) || out[i].flags)
            check_fail(c, "temperature %g drew %d, the maximum is %u", (double)temperatures[i],
                       out[i].token, 7 * i);
    close_rows(&r);
}

/* Frequencies of 40,000 draws against float64 probabilities; the limit is the 1e-6 quantile for
 * the degrees of freedom, by Wilson and Hilferty's approximation. */
static void check_frequencies(check *c, float temperature, float top_p, int32_t top_k) {
    enum { ROWS = 100, ROUNDS = 400, VOCAB = 23 };
    rows_case r;
    open_rows(&r, c, ROWS, VOCAB);
    for (uint32_t i = 0; i < VOCAB; i++)
        r.logits[i] = check_rand(c) * 3.0F;
    for (uint32_t i = 1; i < ROWS; i++)
        memcpy(r.logits + (size_t)i * VOCAB, r.logits, VOCAB * 4);
    const pgd_sampling s = {.temperature = temperature, .top_p = top_p, .top_k = top_k};
    ranked t[VOCAB];
    for (uint32_t i = 0; i < VOCAB; i++)
        t[i] = (ranked){.z = (double)(r.logits[i] / temperature), .id = i};
    const uint32_t m = kept(t, VOCAB, &s, 0.0);
    uint32_t seen[VOCAB] = {0};
    pgd_sample_out *out = check_alloc(ROWS * sizeof *out);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < ROWS; i++) {
            r.slots.sampling[i] = s;
            r.slots.sampling[i].seed = round / 4; /* other draws come from other positions */
            r.slots.sampling[i].choice = round % 4;
        }
        sample_on(&r, c->dev, out, NULL);
        for (uint32_t i = 0; i < ROWS; i++)
            seen[out[i].token]++;
    }
    double total = 0.0, chi = 0.0;
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < m; i++)
        total += exp(t[i].z - t[0].z);
    for (uint32_t i = 0; i < m; i++) {
        const double want = ROWS * ROUNDS * exp(t[i].z - t[0].z) / total;
        chi += (seen[t[i].id] - want) * (seen[t[i].id] - want) / want;
        n_kept += seen[t[i].id];
    }
    const double f = m > 1 ? m - 1.0 : 1.0;
    const double q = 1.0 - 2.0 / (9.0 * f) + 4.753 * sqrt(2.0 / (9.0 * f));
    c->n_checks++;
    if (n_kept != ROWS * ROUNDS || !(chi <= f * q * q * q))
        check_fail(c, "chi-square %.1f over %u tokens (limit %.1f), %u draws outside the kept set",
                   chi, m, f * q * q * q, ROWS * ROUNDS - n_kept);
    check_free(c, out, "frequencies");
    close_rows(&r);
}

/* A plan with one slot init and one page-table diff. */
enum { HISTORY = 8, PROMPT = 5, PLAN_VOCAB = 53 };
typedef struct small_plan {
    pgd_plan plan;
    pgd_plan_init init;
    pgd_plan_table table;
    int32_t history[HISTORY];
    pgd_bias bias[2];
    int32_t pages[2];
} small_plan;

static void make_plan(small_plan *b) {
    memset(b, 0, sizeof *b);
    b->init = (pgd_plan_init){.slot = 1,
                              .n_prompt = PROMPT,
                              .n_history = HISTORY,
                              .off_history = (uint32_t)offsetof(small_plan, history),
                              .n_bias = 2,
                              .off_bias = (uint32_t)offsetof(small_plan, bias)};
    b->init.sampling = (pgd_sampling){.flags = PGD_SAMPLE_PENALTIES,
                                      .temperature = 1.0F,
                                      .top_p = 1.0F,
                                      .repetition_penalty = 1.5F,
                                      .presence_penalty = 0.25F,
                                      .frequency_penalty = 0.5F,
                                      .min_tokens = 4,
                                      .n_stop_ids = 1,
                                      .stop_ids = {50}};
    const int32_t history[HISTORY] = {1, 2, 2, 9, 1, 2, 7, 7};
    memcpy(b->history, history, sizeof history);
    b->bias[0] = (pgd_bias){.id = 2, .value = 5.0F};
    b->bias[1] = (pgd_bias){.id = 30, .value = -3.0F};
    b->table = (pgd_plan_table){
        .slot = 0, .first = 1, .n = 2, .off_pages = (uint32_t)offsetof(small_plan, pages)};
    b->pages[0] = 11;
    b->pages[1] = 12;
    b->plan = (pgd_plan){.n_init = 1,
                         .n_table = 1,
                         .off_init = (uint32_t)offsetof(small_plan, init),
                         .off_table = (uint32_t)offsetof(small_plan, table)};
}

/* Slots filled from a plan, then logits processed: every knob, against the formulas. */
static void check_processing(check *c) {
    small_plan blob;
    make_plan(&blob);
    rows_case r;
    open_rows(&r, c, 2, PLAN_VOCAB);
    check_fill(c, r.logits, PGD_F32, 2 * PLAN_VOCAB, 4.0F);
    float before[2 * PLAN_VOCAB];
    memcpy(before, r.logits, sizeof before);
    const pgd_slots_apply_args apply = {.plan = &blob.plan, .slots = &r.slots};
    check_run(c->dev, PGD_OP_SLOTS_APPLY, &apply, &r.step);
    c->n_checks++;
    const int32_t *table = r.slots.page_table;
    if (table[0] != 0 || table[1] != 11 || table[2] != 12 || table[3] != 0)
        check_fail(c, "page table diff misplaced");
    /* row 1 is a sampling row of slot 1 with 3 tokens generated, row 0 is scored */
    r.target[0] = 3;
    r.pos[1] = PROMPT + 3 - 1;
    const pgd_logits_post_args post = {.logits = pgd_tensor_2d(r.logits, PGD_F32, 2, PLAN_VOCAB)};
    check_run(c->dev, PGD_OP_LOGITS_POST, &post, &r.step);
    check_same(c, "scored rows stay raw", r.logits, before, PLAN_VOCAB * 4);
    double want[PLAN_VOCAB], tol[PLAN_VOCAB];
    for (uint32_t i = 0; i < PLAN_VOCAB; i++) {
        want[i] = (double)before[PLAN_VOCAB + i] + (i == 2 ? 5.0 : i == 30 ? -3.0 : 0.0);
        const bool known = i == 1 || i == 2 || i == 9 || i == 7;
        if (known) want[i] = want[i] > 0.0 ? want[i] / 1.5 : want[i] * 1.5;
        if (i == 2) want[i] -= 0.25 + 0.5;
        if (i == 7) want[i] -= 0.25 + 1.0;
        tol[i] = 1e-6;
    }
    if (r.logits[PLAN_VOCAB + 50] != -INFINITY)
        check_fail(c, "stop id before min_tokens is not masked");
    r.logits[PLAN_VOCAB + 50] = before[PLAN_VOCAB + 50];
    check_near(c, "logits_post", r.logits + PLAN_VOCAB, PGD_F32, want, tol, PLAN_VOCAB);
    /* sampling counts the token that it draws */
    r.slots.sampling[1].flags |= PGD_SAMPLE_GREEDY;
    pgd_sample_out out[2];
    pgd_score_out score[2];
    sample_on(&r, c->dev, out, score);
    const uint16_t count = r.slots.counts[PLAN_VOCAB + (uint32_t)out[0].token] & 0x7fff;
    const uint16_t had = out[0].token == 2 ? 1 : out[0].token == 7 ? 2 : 0;
    if (count != had + 1 || r.slots.last_token[1] != out[0].token)
        check_fail(c, "token %d counted %u times, last token %d", out[0].token, count,
                   r.slots.last_token[1]);
    close_rows(&r);
}

/* Some rows sample under masks, some freely, one is scored; vocabularies end inside a word or not.
 */
static void check_masks(check *c, uint32_t vocab) {
    enum { ROWS = 7 };
    static const bool masked[ROWS] = {true, false, true, true, false, false, true};
    const uint32_t words = pgd_mask_words(vocab);
    rows_case r;
    open_rows(&r, c, ROWS, vocab);
    float *const before = check_alloc((size_t)ROWS * vocab * 4);
    uint32_t *const mask = check_alloc((size_t)ROWS * words * 4), n_masks = 0;
    check_fill(c, r.logits, PGD_F32, ROWS * vocab, 4.0F);
    memcpy(before, r.logits, (size_t)ROWS * vocab * 4);
    for (uint32_t i = 0; i < ROWS * words; i++)
        mask[i] = i % 3 ? check_below(c, UINT32_MAX) : i % 2 ? UINT32_MAX : 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        r.seq[i].flags = PGD_PLAN_SAMPLE | (masked[i] ? (uint32_t)PGD_PLAN_MASK : 0U);
        if (i == 4) r.target[i] = 0;
    }
    r.step.mask = mask;
    const pgd_logits_mask_args args = {.logits = pgd_tensor_2d(r.logits, PGD_F32, ROWS, vocab)};
    check_run(c->dev, PGD_OP_LOGITS_MASK, &args, &r.step);
    for (uint32_t i = 0; i < ROWS; i++) {
        float *const want = before + (size_t)i * vocab;
        for (uint32_t t = 0; masked[i] && t < vocab; t++)
            if (!(mask[n_masks * words + t / 32] >> (t % 32) & 1)) want[t] = -INFINITY;
        n_masks += masked[i];
    }
    check_same(c, "logits_mask", r.logits, before, (size_t)ROWS * vocab * 4);
    check_free(c, before, "masks' logits");
    check_free(c, mask, "masks");
    close_rows(&r);
}

void check_sample(check *c) {
    static const uint32_t vocabs[] = {1, 7, 1000, 5003};
    for (uint32_t v = 0; v < sizeof vocabs / sizeof *vocabs; v++)
        for (uint32_t kind = 0; kind < LOGIT_KINDS; kind++)
            check_draws(c, vocabs[v], kind);
    check_bad_logits(c);
    check_cold_draws(c);
    check_frequencies(c, 1.0F, 1.0F, 0);
    check_frequencies(c, 0.7F, 0.8F, 0);
    check_frequencies(c, 1.3F, 0.95F, 10);
    check_processing(c);
    check_masks(c, 5003);
    check_masks(c, 64);
}

typedef struct bench_arg {
    rows_case r;
    pgd_sample_out out;
} bench_arg;

static void sample_once(void *arg) {
    bench_arg *b = arg;
    sample_on(&b->r, b->r.c->dev, &b->out, NULL);
}

void bench_sample(check *c) {
    enum { VOCAB = 128256 };
    static const struct {
        const char *name;
        pgd_sampling s;
        float spread;
    } cases[] = {
        {"greedy", {.flags = PGD_SAMPLE_GREEDY}, 3.0F},
        {"greedy, 20 logprobs", {.flags = PGD_SAMPLE_GREEDY | PGD_SAMPLE_LOGPROBS, .n_top = 20}, 3},
        {"temperature 1", {.temperature = 1.0F, .top_p = 1.0F}, 3.0F},
        {"temperature 1, flat", {.temperature = 1.0F, .top_p = 1.0F}, 0.1F},
        {"top_p 0.9", {.temperature = 1.0F, .top_p = 0.9F}, 3.0F},
        {"top_p 0.9, flat", {.temperature = 1.0F, .top_p = 0.9F}, 0.1F},
        {"top_k 50, top_p 0.9", {.temperature = 0.7F, .top_p = 0.9F, .top_k = 50}, 3.0F},
        {"min_p 0.05", {.temperature = 1.0F, .top_p = 1.0F, .min_p = 0.05F}, 3.0F},
    };
    const pgd_tensor head = pgd_tensor_2d(NULL, PGD_BF16, VOCAB, 2);
    pgd_weight w;
    pgd_error err = {0};
    if (c->dev->pack_linear(c->dev, &head, 1, 1, PGD_BF16, 0, &w, &err) != PGD_OK) return;
    for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench_arg b;
        open_rows(&b.r, c, 1, VOCAB);
        for (uint32_t t = 0; t < VOCAB; t++)
            b.r.logits[t] =
                (check_rand(c) + check_rand(c) + check_rand(c) + check_rand(c)) * cases[i].spread;
        b.r.slots.sampling[0] = cases[i].s;
        check_report(c, "sample", cases[i].name, check_time(sample_once, &b), 4.0 * VOCAB, 0.0);
        close_rows(&b.r);
    }
    c->dev->free_weight(c->dev, &w);
}
