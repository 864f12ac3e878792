/* attn: causal attention over the KV pages of each sequence.
 *
 * A task is (tile of rows, kv head). The rows of a sequence are its (token, query head of the
 * group) pairs, token first: heads that share K and V, and neighbouring tokens, pass over each
 * block of 64 positions together. Blocks start at multiples of 64, whatever the page size or the
 * chunk; within a block each row sees exactly its own range of positions, in order:
 *
 *   scores (tile kernel, K of 16 positions is a panel) -> online softmax -> o = alpha o + p V
 *
 * so a row's arithmetic is a function of its query, its position and the cached K and V alone.
 * Positions that a row must not see are not read as V (they may hold anything, NaN included); their
 * scores are computed and dropped. Threads take tasks from a counter, since rows late in a prompt
 * cost more; results do not depend on who takes what. */
#include "cpu_internal.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "cpu_math.h"

enum {
    BLOCK = PGD_CPU_ATTN_BLOCK,
    ROWS = PGD_CPU_ATTN_ROWS,
    TILE = PGD_CPU_TILE_ROWS,
    PV_ROWS = PGD_CPU_PV_ROWS
};

typedef struct attn_job {
    const pgd_cpu_device *c;
    const pgd_attn_args *a;
    const pgd_step_view *step;
    pgd_cpu_kv_shape shape;
    uint32_t group; /* query heads per kv head */
    _Atomic uint64_t next;
    uint64_t n_tasks;
} attn_job;

/* A tile of rows: [first, first + n) of the n_new * group rows of one sequence. */
typedef struct attn_tile {
    const pgd_plan_seq *seq;
    const int32_t *pages;
    uint32_t kv_head, first, n;
} attn_tile;

/* Work space of a thread. */
typedef struct attn_space {
    float scores[ROWS * BLOCK];
    float alpha[ROWS];
    uint32_t lo[ROWS], hi[ROWS];
    pgd_cpu_soft soft[ROWS];
    float q[ROWS * PGD_CPU_MAX_HEAD]; /* packed rows */
    float o[ROWS * PGD_CPU_MAX_HEAD];
} attn_space;

static uint32_t row_position(const attn_job *j, const attn_tile *t, uint32_t r) {
    return t->seq->kv_start + (t->first + r) / j->group;
}

static uint32_t first_visible(const attn_job *j, uint32_t position) {
    const uint32_t w = j->a->window;
    return w && position >= w ? position - w + 1 : 0;
}

static void pack_queries(const attn_job *j, const attn_tile *t, attn_space *s) {
    const pgd_attn_args *a = j->a;
    const uint32_t kp = pgd_cpu_round_up(a->head_dim, 2);
    const uint32_t row_bytes = kp * j->c->k.a_bytes[a->kv_type];
    const size_t head_bytes = a->head_dim * pgd_dtype_bytes(a->q.dtype);
    for (uint32_t r0 = 0; r0 < t->n; r0 += TILE) {
        const uint32_t n = pgd_cpu_min(TILE, t->n - r0);
        const void *row[TILE];
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t r = t->first + r0 + i;
            const uint32_t head = t->kv_head * j->group + r % j->group;
            row[i] = pgd_cpu_row(&a->q, t->seq->q_start + r / j->group) + head * head_bytes;
        }
        j->c->k.pack_rows((unsigned char *)s->q + (size_t)r0 * row_bytes, row, n, a->kv_type,
                          a->head_dim);
    }
}

/* K panels and V rows of positions base, base + 16, ... */
static void find_panels(const attn_job *j, const attn_tile *t, uint32_t base, uint32_t n_panels,
                        const void **k, const void **v) {
    const pgd_cpu_kv_shape *sh = &j->shape;
    const uint32_t page_tokens = j->step->page_tokens;
    for (uint32_t i = 0; i < n_panels; i++) {
        const uint32_t p = base + i * PGD_CPU_LANES;
        const uint64_t page = (uint64_t)(uint32_t)t->pages[p / page_tokens];
        const unsigned char *head =
            (const unsigned char *)j->a->kv + page * j->a->page_bytes + t->kv_head * sh->head_bytes;
        const uint64_t at = (uint64_t)(p % page_tokens) * sh->dp * sh->elt_bytes;
        k[i] = head + at;
        v[i] = head + sh->v_offset + at;
    }
}

/* Ask for the next block while this one is worked on: a head's share of a page is small (2 KiB of
 * K for 16 positions of 64), too short for the hardware's own prefetching to get going. */
static void prefetch_block(const attn_job *j, const attn_tile *t, uint32_t base, uint32_t last) {
    if (base > last) return;
    const uint32_t n_pos = pgd_cpu_min(BLOCK, last + 1 - base);
    const uint32_t n_panels = (n_pos + PGD_CPU_LANES - 1) / PGD_CPU_LANES;
    const size_t bytes = (size_t)PGD_CPU_LANES * j->shape.dp * j->shape.elt_bytes;
    const void *k[PGD_CPU_TILE_PANELS], *v[PGD_CPU_TILE_PANELS];
    find_panels(j, t, base, n_panels, k, v);
    for (uint32_t i = 0; i < n_panels; i++)
        for (size_t at = 0; at < bytes; at += 64) {
            __builtin_prefetch((const unsigned char *)k[i] + at);
            __builtin_prefetch((const unsigned char *)v[i] + at);
        }
}

static void softmax_rows(const attn_job *j, const attn_tile *t, attn_space *s, uint32_t base) {
    for (uint32_t r = 0; r < t->n; r++) {
        const uint32_t p = row_position(j, t, r), from = first_visible(j, p);
        s->lo[r] = from > base ? pgd_cpu_min(from - base, BLOCK) : 0;
        s->hi[r] = p >= base ? pgd_cpu_min(p + 1 - base, BLOCK) : 0;
        if (s->lo[r] < s->hi[r])
            s->alpha[r] = j->c->k.softmax(s->scores + r * BLOCK, s->lo[r], s->hi[r], j->a->scale,
                                          &s->soft[r]);
    }
}

/* Runs of rows that see the same part of the block go through pv together. */
static void add_values(const attn_job *j, const attn_tile *t, attn_space *s, const void *const *v) {
    const uint32_t dp = j->shape.dp;
    uint32_t r = 0;
    while (r < t->n) {
        uint32_t n = 1;
        while (n < PV_ROWS && r + n < t->n && s->lo[r + n] == s->lo[r] && s->hi[r + n] == s->hi[r])
            n++;
        if (s->lo[r] < s->hi[r])
            j->c->k.pv(s->o + (size_t)r * dp, s->scores + r * BLOCK, s->alpha + r, v, j->a->kv_type,
                       n, s->lo[r], s->hi[r], dp);
        r += n;
    }
}

static void run_tile(const attn_job *j, const attn_tile *t, attn_space *s) {
    const pgd_attn_args *a = j->a;
    const uint32_t kp = pgd_cpu_round_up(a->head_dim, 2), dp = j->shape.dp;
    const uint32_t row_bytes = kp * j->c->k.a_bytes[a->kv_type];
    const uint32_t last = row_position(j, t, t->n - 1);
    pack_queries(j, t, s);
    memset(s->o, 0, (size_t)t->n * dp * sizeof *s->o);
    for (uint32_t r = 0; r < t->n; r++)
        s->soft[r] = (pgd_cpu_soft){.max = -INFINITY, .sum = 0.0F};
    uint32_t base = first_visible(j, row_position(j, t, 0)) / BLOCK * BLOCK;
    for (; base <= last; base += BLOCK) {
        const uint32_t n_pos = pgd_cpu_min(BLOCK, last + 1 - base);
        const uint32_t n_panels = (n_pos + PGD_CPU_LANES - 1) / PGD_CPU_LANES;
        const void *k[PGD_CPU_TILE_PANELS], *v[PGD_CPU_TILE_PANELS];
        find_panels(j, t, base, n_panels, k, v);
        prefetch_block(j, t, base + BLOCK, last);
        for (uint32_t r0 = 0; r0 < t->n; r0 += TILE)
            j->c->k.tile[a->kv_type]((const unsigned char *)s->q + (size_t)r0 * row_bytes, k, kp,
                                     pgd_cpu_min(TILE, t->n - r0), n_panels, s->scores + r0 * BLOCK,
                                     BLOCK, 0, NULL);
        softmax_rows(j, t, s, base);
        add_values(j, t, s, v);
    }
    const size_t out_bytes = a->head_dim * pgd_dtype_bytes(a->out.dtype);
    for (uint32_t r = 0; r < t->n; r++) {
        const uint32_t row = t->first + r, head = t->kv_head * j->group + row % j->group;
        j->c->k.store(pgd_cpu_row(&a->out, t->seq->q_start + row / j->group) + head * out_bytes,
                      a->out.dtype, s->o + (size_t)r * dp, 1.0F / s->soft[r].sum, a->head_dim);
    }
}

static uint64_t tiles_of(const attn_job *j, uint32_t seq) {
    return ((uint64_t)j->step->seq[seq].n_new * j->group + ROWS - 1) / ROWS;
}

/* Tasks are numbered tile by tile, kv heads innermost; a thread's numbers ascend, so it walks the
 * sequences once. */
static void run_tasks(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    attn_job *const j = arg;
    const uint32_t n_kv = j->a->n_kv_heads;
    attn_space *s = pgd_cpu_scratch(j->c, thread);
    uint32_t seq = 0;
    uint64_t seq_tile = 0; /* number of the first tile of seq */
    (void)begin;
    (void)end;
    for (;;) {
        const uint64_t task = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed);
        if (task >= j->n_tasks) return;
        const uint64_t tile = task / n_kv;
        while (tile >= seq_tile + tiles_of(j, seq))
            seq_tile += tiles_of(j, seq++);
        const pgd_plan_seq *q = &j->step->seq[seq];
        attn_tile t = {.seq = q, .kv_head = (uint32_t)(task % n_kv)};
        t.pages = j->step->slots->page_table + (size_t)q->slot * j->step->slots->max_pages;
        t.first = (uint32_t)(tile - seq_tile) * ROWS;
        t.n = pgd_cpu_min(ROWS, q->n_new * j->group - t.first);
        run_tile(j, &t, s);
    }
}

pgd_status pgd_cpu_attn(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_cpu_device *c = pgd_cpu_of(d);
    const pgd_attn_args *a = args;
    PGD_ASSERT(sizeof(attn_space) <= c->scratch_bytes);
    PGD_ASSERT(a->head_dim <= PGD_CPU_MAX_HEAD && a->n_heads % a->n_kv_heads == 0);
    PGD_ASSERT((a->kv_type == PGD_BF16) == (a->q.dtype == PGD_BF16));
    attn_job j = {.c = c, .a = a, .step = step, .group = a->n_heads / a->n_kv_heads};
    j.shape = pgd_cpu_kv_shape_of(a->n_kv_heads, a->head_dim, step->page_tokens, a->kv_type);
    for (uint32_t i = 0; i < step->n_seq; i++)
        j.n_tasks += tiles_of(&j, i) * a->n_kv_heads;
    if (!j.n_tasks) return PGD_OK;
    const uint64_t n = j.n_tasks < c->n_threads ? j.n_tasks : c->n_threads;
    pgd_pool_for(c->pool, n, 1, run_tasks, &j);
    return PGD_OK;
}

/* ---- scalar kernels ---- */

static float softmax(float *s, uint32_t lo, uint32_t hi, float scale, pgd_cpu_soft *state) {
    float max = state->max;
    for (uint32_t i = lo; i < hi; i++) {
        s[i] *= scale;
        if (s[i] > max) max = s[i];
    }
    float sum = 0.0F;
    for (uint32_t i = lo; i < hi; i++) {
        s[i] = pgd_cpu_exp(s[i] - max);
        sum += s[i];
    }
    const float alpha = pgd_cpu_exp(state->max - max);
    for (uint32_t i = 0; i < BLOCK; i++)
        if (i < lo || i >= hi) s[i] = 0.0F;
    state->max = max;
    state->sum = state->sum * alpha + sum;
    return alpha;
}

static float kv_at(const void *p, pgd_dtype t, size_t i) {
    if (t == PGD_F32) return ((const float *)p)[i];
    const uint16_t h = ((const uint16_t *)p)[i];
    return t == PGD_F16 ? pgd_f16_to_f32(h) : pgd_bf16_to_f32(h);
}

static void pv(float *o, const float *p, const float *alpha, const void *const *v, pgd_dtype v_type,
               uint32_t n_rows, uint32_t lo, uint32_t hi, uint32_t dp) {
    for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t d = 0; d < dp; d++) {
            float acc = o[(size_t)r * dp + d] * alpha[r];
            for (uint32_t t = lo; t < hi; t++)
                acc += p[r * BLOCK + t] * kv_at(v[t / 16], v_type, (size_t)(t % 16) * dp + d);
            o[(size_t)r * dp + d] = acc;
        }
}

void pgd_cpu_kernels_attn(pgd_cpu_kernels *k) {
    k->softmax = softmax;
    k->pv = pv;
}
