/* sample: from processed logits to tokens and logprobs, one row at a time, without sorting.
 *
 * A draw works on a copy z of the row in the thread's work space (reserved when the lm head was
 * packed): z is the row, less its maximum, over the temperature (so that no
 * temperature overflows), every token outside the kept set becomes -inf, and
 * the token with the largest z + gumbel noise wins. The kept set is exact: a
 * radix selection over order-preserving keys finds the least kept key T and how many tokens equal
 * to T stay (lowest ids). Probability mass is counted in integers (2^-30 of the most likely token),
 * so that its sums do not depend on their order. Cheap first tries at a floor below the maximum
 * keep the passes short: logits usually have few tokens within 8 of the maximum.
 *
 * Logits are only read. The kernels (sample_scalar.c and simd_sample.c) give the same bits on every
 * instruction-set level. */
#include "cpu_internal.h"

#include <math.h>
#include <string.h>

#include "cpu_math.h"

enum { KEY_LEVELS = 3 };

typedef struct sample_job {
    const pgd_cpu_device *c;
    const pgd_sample_args *a;
    const pgd_step_view *step;
} sample_job;

/* Work space of a thread. */
typedef struct sample_space {
    _Alignas(64) pgd_cpu_hist hist;
    float z[]; /* [vocab] */
} sample_space;

/* ---- the kept set ---- */

typedef struct row_draw {
    const pgd_cpu_kernels *k;
    pgd_cpu_hist *hist;
    float *z;
    uint32_t n;
    float max;
} row_draw;

/* The least kept key, how many tokens with that key are kept, and the mass of what is kept. */
typedef struct kept_set {
    uint32_t least, n_equal;
    uint64_t mass;
} kept_set;

/* Highest tokens z >= floor until their count (by_mass: their mass) reaches target, which is at
 * least 1 and at most what lies above the floor. */
static kept_set select_top(const row_draw *d, float floor, uint64_t target, bool by_mass) {
    static const uint32_t shift[KEY_LEVELS] = {21, 10, 0}, bits[KEY_LEVELS] = {11, 11, 10};
    kept_set set = {0};
    uint64_t left = target;
    for (uint32_t level = 0; level < KEY_LEVELS; level++) {
        memset(d->hist, 0, sizeof *d->hist);
        d->k->hist(d->hist, d->z, d->n, floor, d->max, set.least, shift[level], bits[level]);
        uint32_t digit = (1U << bits[level]) - 1;
        for (;; digit--) {
            const uint64_t here = by_mass ? d->hist->mass[digit] : d->hist->count[digit];
            if (here >= left || digit == 0) break;
            left -= here;
            set.mass += d->hist->mass[digit];
        }
        set.least = set.least << bits[level] | digit;
        if (level + 1 < KEY_LEVELS) continue;
        /* all tokens of this digit have the same key, hence the same mass */
        const uint32_t equal = d->hist->count[digit];
        const uint64_t each = equal ? d->hist->mass[digit] / equal : 0;
        set.n_equal = (uint32_t)left;
        if (by_mass) set.n_equal = each ? (uint32_t)((left + each - 1) / each) : equal;
        set.n_equal = pgd_cpu_min(set.n_equal, equal);
        set.mass += set.n_equal * each;
    }
    return set;
}

static uint64_t share_of(uint64_t mass, float top_p) {
    const double want = ceil((double)top_p * (double)mass);
    if (want <= 1.0) return 1;
    return want < (double)mass ? (uint64_t)want : mass;
}

/* Lower the floor in steps until it holds the wanted number of tokens, or the wanted mass. */
static float find_floor(const row_draw *d, float least, uint64_t n_want, uint64_t mass_want) {
    static const float below[] = {8.0F, 16.0F};
    for (uint32_t i = 0; i < sizeof below / sizeof *below; i++) {
        const float floor = d->max - below[i];
        if (floor <= least) break;
        const pgd_cpu_mass m = d->k->mass(d->z, d->n, floor, d->max);
        if (m.count >= n_want && m.mass >= mass_want) return floor;
    }
    return least;
}

static float value_of_key(uint32_t key) {
    return pgd_cpu_float_of(key & 0x80000000U ? key ^ 0x80000000U : ~key);
}

/* -inf for every token that min-p, top-k and top-p leave out, in this order. */
static void keep_only(const row_draw *d, const pgd_sampling *s) {
    float floor = -INFINITY;
    bool cut = false;
    kept_set set = {.n_equal = UINT32_MAX};
    if (s->min_p > 0.0F) {
        floor = d->max + pgd_cpu_log(s->min_p);
        if (floor > d->max) floor = d->max;
        set.least = pgd_cpu_key(floor);
        cut = true;
    }
    const bool top_p = s->top_p < 1.0F;
    if (s->top_k > 0 && (uint32_t)s->top_k < d->n) {
        floor = find_floor(d, floor, (uint64_t)s->top_k, 0);
        const pgd_cpu_mass m = d->k->mass(d->z, d->n, floor, d->max);
        const uint64_t k = (uint64_t)s->top_k < m.count ? (uint64_t)s->top_k : m.count;
        set = select_top(d, floor, k, false);
        if (top_p) {
            const kept_set nucleus =
                select_top(d, value_of_key(set.least), share_of(set.mass, s->top_p), true);
            set = nucleus;
        }
        cut = true;
    } else if (top_p) {
        const uint64_t all = d->k->mass(d->z, d->n, floor, d->max).mass;
        const uint64_t want = share_of(all, s->top_p);
        set = select_top(d, find_floor(d, floor, 0, want), want, true);
        cut = true;
    }
    if (cut) d->k->cut(d->z, d->n, set.least, set.n_equal);
}

static uint32_t draw(const sample_job *j, const float *x, uint32_t n, uint32_t argmax,
                     const pgd_sampling *s, uint32_t position, sample_space *space) {
    const pgd_cpu_kernels *k = &j->c->k;
    if (s->flags & PGD_SAMPLE_GREEDY) return argmax;
    k->scale_logits(space->z, x, n, x[argmax], s->temperature);
    const row_draw d = {
        .k = k, .hist = &space->hist, .z = space->z, .n = n, .max = space->z[argmax]};
    keep_only(&d, s);
    const pgd_cpu_noise noise = {.seed = s->seed, .choice = s->choice, .position = position};
    return k->gumbel(d.z, n, argmax, &noise);
}

/* ---- logprobs ---- */

static double log_sum_exp(const sample_job *j, const float *x, uint32_t n, float max) {
    return (double)max + log(j->c->k.sum_exp(x, n, max));
}

/* The n_top largest, descending, ties by lower id; tokens at -inf do not appear. */
static uint32_t top_list(const sample_job *j, const float *x, uint32_t n, double lse,
                         uint32_t n_top, pgd_top *top) {
    uint32_t len = 0;
    if (n_top > PGD_MAX_TOP_LOGPROBS) n_top = PGD_MAX_TOP_LOGPROBS;
    if (!n_top) return 0;
    float least = -INFINITY; /* once the list is full: its last value */
    for (uint32_t i = 0; (i = j->c->k.find_above(x, i, n, least)) < n; i++) {
        uint32_t at = len < n_top ? len++ : n_top - 1;
        for (; at > 0 && x[top[at - 1].id] < x[i]; at--)
            top[at] = top[at - 1];
        top[at].id = (int32_t)i;
        if (len == n_top) least = x[top[n_top - 1].id];
    }
    for (uint32_t i = 0; i < len; i++)
        top[i].logprob = (float)((double)x[top[i].id] - lse);
    return len;
}

/* ---- rows ---- */

static void sample_row(const sample_job *j, uint32_t r, sample_space *space, pgd_sample_out *out) {
    const pgd_step_view *v = j->step;
    const pgd_slots *slots = v->slots;
    const float *x = (const float *)(const void *)pgd_cpu_row(&j->a->logits, r);
    const uint32_t n = (uint32_t)j->a->logits.shape[1];
    const uint32_t slot = v->seq[v->row_seq[r]].slot;
    const pgd_sampling *s = &slots->sampling[slot];
    const pgd_cpu_logit_stats st = j->c->k.logit_stats(x, n);
    memset(out, 0, sizeof *out);
    out->slot = slot;
    slots->last_token[slot] = 0;
    if (st.bad) {
        out->flags = PGD_OUT_BAD_LOGITS;
        return;
    }
    const uint32_t token = draw(j, x, n, st.argmax, s, (uint32_t)v->pos[v->row_tok[r]] + 1, space);
    if (s->flags & PGD_SAMPLE_LOGPROBS) {
        const double lse = log_sum_exp(j, x, n, st.max);
        out->logprob = (float)((double)x[token] - lse);
        out->n_top = top_list(j, x, n, lse, s->n_top, out->top);
    }
    out->token = (int32_t)token;
    slots->last_token[slot] = (int32_t)token;
    if (s->flags & PGD_SAMPLE_PENALTIES) {
        uint16_t *c = &slots->counts[(size_t)slot * slots->vocab_size + token];
        if ((*c & 0x7fff) < 0x7fff) (*c)++;
    }
}

static void score_row(const sample_job *j, uint32_t r, pgd_score_out *out) {
    const pgd_step_view *v = j->step;
    const float *x = (const float *)(const void *)pgd_cpu_row(&j->a->logits, r);
    const uint32_t n = (uint32_t)j->a->logits.shape[1];
    const uint32_t slot = v->seq[v->row_seq[r]].slot;
    const pgd_cpu_logit_stats st = j->c->k.logit_stats(x, n);
    memset(out, 0, sizeof *out);
    out->slot = slot;
    out->position = (uint32_t)v->pos[v->row_tok[r]] + 1;
    out->logprob = NAN;
    if (st.bad) return;
    const double lse = log_sum_exp(j, x, n, st.max);
    out->logprob = (float)((double)x[v->row_target[r]] - lse);
    out->n_top = top_list(j, x, n, lse, v->slots->sampling[slot].n_top, out->top);
}

static void sample_rows(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    const sample_job *const j = arg;
    uint32_t n_sample = 0, n_score = 0;
    for (uint64_t r = 0; r < end; r++) {
        const bool score = j->step->row_target[r] >= 0;
        if (r >= begin && score)
            score_row(j, (uint32_t)r, &j->a->score_out[n_score]);
        else if (r >= begin)
            sample_row(j, (uint32_t)r, pgd_cpu_scratch(j->c, thread), &j->a->sample_out[n_sample]);
        n_score += score;
        n_sample += !score;
    }
}

pgd_status pgd_cpu_sample(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_sample_args *a = args;
    sample_job j = {.c = pgd_cpu_of(d), .a = a, .step = step};
    PGD_ASSERT(sizeof(sample_space) + a->logits.shape[1] * sizeof(float) <= j.c->scratch_bytes);
    pgd_pool_for(step->n_rows > 1 ? j.c->pool : NULL, step->n_rows, 1, sample_rows, &j);
    return PGD_OK;
}
