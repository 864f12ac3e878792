/* norm, embed, gather, qkv_post and kv_copy: row-wise ops against float64, odd sizes included. The
 * KV pages are read back through their layout, so that a change of it must be made here too. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "cpu_internal.h"
#include "pagoda/mem.h"

static const pgd_dtype float_types[] = {PGD_F32, PGD_BF16, PGD_F16};

static double rounding(pgd_dtype t, double v) {
    return fabs(v) * (t == PGD_BF16 ? 0x1p-8 : t == PGD_F16 ? 0x1p-10 : 0x1p-22) + 0x1p-24;
}

static void check_norm(check *c, uint32_t rows, uint32_t n, pgd_dtype y_type) {
    float *x = check_alloc((size_t)rows * n * 4), *w = check_alloc(n * 4);
    void *y = check_alloc((size_t)rows * n * pgd_dtype_bytes(y_type));
    double *want = pgd_calloc((size_t)rows * n, sizeof *want);
    double *tol = pgd_calloc((size_t)rows * n, sizeof *tol);
    const float eps = 1e-5F;
    check_fill(c, x, PGD_F32, (size_t)rows * n, 4.0F);
    check_fill(c, w, PGD_F32, n, 2.0F);
    for (uint32_t r = 0; r < rows; r++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < n; i++)
            sum += (double)x[(size_t)r * n + i] * (double)x[(size_t)r * n + i];
        const double scale = 1.0 / sqrt(sum / n + (double)eps);
        for (uint32_t i = 0; i < n; i++) {
            const size_t at = (size_t)r * n + i;
            want[at] = (double)x[at] * scale * (double)w[i];
            tol[at] = rounding(y_type, want[at]) + fabs(want[at]) * 0x1p-20;
        }
    }
    const pgd_norm_args a = {.x = pgd_tensor_2d(x, PGD_F32, rows, n),
                             .w = pgd_tensor_1d(w, PGD_F32, n),
                             .y = pgd_tensor_2d(y, y_type, rows, n),
                             .eps = eps};
    const pgd_step_view step = check_step(rows, 0);
    check_run(c->dev, PGD_OP_NORM, &a, &step);
    char what[64];
    snprintf(what, sizeof what, "norm %ux%u to %s", rows, n, pgd_dtype_name(y_type));
    check_near(c, what, y, y_type, want, tol, (size_t)rows * n);
    check_free(c, x, what);
    check_free(c, w, what);
    check_free(c, y, what);
    pgd_free(want);
    pgd_free(tol);
}

/* Embedding converts exactly; gather copies. */
static void check_moves(check *c, uint32_t n_tok, uint32_t d, pgd_dtype t) {
    enum { VOCAB = 37 };
    void *table = check_alloc(VOCAB * d * pgd_dtype_bytes(t));
    float *y = check_alloc((size_t)n_tok * d * 4), *g = check_alloc((size_t)n_tok * d * 4);
    int32_t *ids = check_alloc(n_tok * 4), *rows = check_alloc(n_tok * 4);
    float *want = pgd_calloc((size_t)n_tok * d, 4);
    check_fill(c, table, t, (size_t)VOCAB * d, 1.0F);
    for (uint32_t i = 0; i < n_tok; i++) {
        ids[i] = (int32_t)check_below(c, VOCAB);
        rows[i] = (int32_t)check_below(c, n_tok);
        for (uint32_t k = 0; k < d; k++)
            want[(size_t)i * d + k] = check_at(table, t, (size_t)ids[i] * d + k);
    }
    pgd_step_view step = check_step(n_tok, n_tok);
    step.ids = ids;
    step.row_tok = rows;
    const pgd_embed_args e = {.table = pgd_tensor_2d(table, t, VOCAB, d),
                              .y = pgd_tensor_2d(y, PGD_F32, n_tok, d)};
    const pgd_gather_args ga = {.x = e.y, .y = pgd_tensor_2d(g, PGD_F32, n_tok, d)};
    check_run(c->dev, PGD_OP_EMBED, &e, &step);
    check_same(c, "embed", y, want, (size_t)n_tok * d * 4);
    check_run(c->dev, PGD_OP_GATHER, &ga, &step);
    for (uint32_t i = 0; i < n_tok; i++)
        check_same(c, "gather", g + (size_t)i * d, want + (size_t)rows[i] * d, d * 4);
    check_free(c, table, "embed table");
    check_free(c, y, "embed y");
    check_free(c, g, "gather y");
    check_free(c, ids, "embed ids");
    check_free(c, rows, "gather rows");
    pgd_free(want);
}

typedef struct qkv_case {
    check *c;
    uint32_t n_tok, n_heads, n_kv, d, rotary, page_tokens, norms;
    pgd_dtype kv_type;
    float *qkv, *q_norm, *k_norm, *cos, *sin;
    int32_t *pages; /* [2 slots][max_pages] */
    uint32_t max_pages, n_pages;
} qkv_case;

enum { MAX_POS = 600 };

/* What a head becomes, in float64. */
static void head_reference(const qkv_case *q, const float *x, const float *norm, uint32_t pos,
                           double *out) {
    double sum = 0.0;
    for (uint32_t i = 0; i < q->d; i++)
        sum += (double)x[i] * (double)x[i];
    const double scale = q->norms ? 1.0 / sqrt(sum / q->d + 1e-6) : 1.0;
    for (uint32_t i = 0; i < q->d; i++)
        out[i] = (double)x[i] * scale * (q->norms ? (double)norm[i] : 1.0);
    const uint32_t half = q->rotary / 2;
    for (uint32_t i = 0; i < half; i++) {
        const double cs = (double)q->cos[pos * half + i], sn = (double)q->sin[pos * half + i];
        const double a = out[i], b = out[half + i];
        out[i] = a * cs - b * sn;
        out[half + i] = b * cs + a * sn;
    }
}

/* Element of K or V as the pages hold it. */
static float kv_element(const qkv_case *q, const unsigned char *kv, bool v, uint32_t slot,
                        uint32_t pos, uint32_t head, uint32_t i) {
    const pgd_cpu_kv_shape s = pgd_cpu_kv_shape_of(q->n_kv, q->d, q->page_tokens, q->kv_type);
    const uint32_t page = (uint32_t)q->pages[slot * q->max_pages + pos / q->page_tokens];
    const uint32_t t = pos % q->page_tokens;
    const unsigned char *base = kv + page * 2 * s.v_offset + head * s.head_bytes;
    if (v) return check_at(base + s.v_offset, q->kv_type, (size_t)t * s.dp + i);
    const size_t panel = (size_t)(t / 16) * 16 * s.dp;
    const size_t at =
        q->kv_type == PGD_BF16 ? (i / 2) * 32 + (t % 16) * 2 + i % 2 : i * 16 + t % 16;
    return check_at(base, q->kv_type, panel + at);
}

static void make_qkv(qkv_case *q) {
    check *c = q->c;
    const uint32_t width = (q->n_heads + 2 * q->n_kv) * q->d, half = q->rotary / 2;
    q->qkv = check_alloc((size_t)q->n_tok * width * 4);
    q->q_norm = check_alloc(q->d * 4);
    q->k_norm = check_alloc(q->d * 4);
    q->cos = check_alloc((size_t)MAX_POS * half * 4);
    q->sin = check_alloc((size_t)MAX_POS * half * 4);
    check_fill(c, q->qkv, PGD_F32, (size_t)q->n_tok * width, 3.0F);
    check_fill(c, q->q_norm, PGD_F32, q->d, 2.0F);
    check_fill(c, q->k_norm, PGD_F32, q->d, 2.0F);
    for (uint32_t i = 0; i < MAX_POS * half; i++) {
        const double angle = 3.2 * (double)check_rand(c);
        q->cos[i] = (float)cos(angle);
        q->sin[i] = (float)sin(angle);
    }
    q->max_pages = MAX_POS / 16 + 1;
    q->n_pages = 2 * q->max_pages;
    q->pages = check_alloc(q->n_pages * 4);
    for (uint32_t i = 0; i < q->n_pages; i++)
        q->pages[i] = (int32_t)((i * 7 + 3) % q->n_pages);
}

static void check_heads(const qkv_case *q, const void *out, const unsigned char *kv,
                        const pgd_step_view *step) {
    const uint32_t n_all = q->n_heads + 2 * q->n_kv;
    const pgd_dtype q_type = q->kv_type == PGD_BF16 ? PGD_BF16 : PGD_F32;
    double want[256], tol[256];
    float got[256];
    for (uint32_t t = 0; t < q->n_tok; t++)
        for (uint32_t h = 0; h < n_all; h++) {
            const float *x = q->qkv + ((size_t)t * n_all + h) * q->d;
            const bool is_q = h < q->n_heads, is_v = h >= q->n_heads + q->n_kv;
            const uint32_t pos = (uint32_t)step->pos[t], slot = (uint32_t)step->tok_seq[t] ^ 1U;
            if (is_v)
                for (uint32_t i = 0; i < q->d; i++)
                    want[i] = (double)x[i];
            else
                head_reference(q, x, is_q ? q->q_norm : q->k_norm, pos, want);
            for (uint32_t i = 0; i < q->d; i++) {
                tol[i] = rounding(is_q ? q_type : q->kv_type, want[i]) + 12.0 * 0x1p-20;
                if (is_q)
                    got[i] = check_at(out, q_type, ((size_t)t * q->n_heads + h) * q->d + i);
                else
                    got[i] = kv_element(q, kv, is_v, slot, pos, (h - q->n_heads) % q->n_kv, i);
            }
            check_near(q->c,
                       is_q   ? "qkv_post q"
                       : is_v ? "qkv_post v"
                              : "qkv_post k",
                       got, PGD_F32, want, tol, q->d);
        }
}

static void check_qkv(qkv_case *q) {
    check *c = q->c;
    make_qkv(q);
    const uint32_t n_all = q->n_heads + 2 * q->n_kv;
    const pgd_dtype q_type = q->kv_type == PGD_BF16 ? PGD_BF16 : PGD_F32;
    int32_t *pos = check_alloc(q->n_tok * 4), *tok_seq = check_alloc(q->n_tok * 4);
    const pgd_plan_seq seq[2] = {{.slot = 1}, {.slot = 0}};
    for (uint32_t t = 0; t < q->n_tok; t++) {
        tok_seq[t] = t >= q->n_tok / 2;
        pos[t] = (int32_t)(tok_seq[t] ? 5 + t : 250 + t);
    }
    const uint64_t page_bytes =
        c->dev->kv_page_bytes(c->dev, q->n_kv, q->d, q->page_tokens, q->kv_type);
    unsigned char *kv = check_alloc(page_bytes * q->n_pages);
    void *out = check_alloc((size_t)q->n_tok * q->n_heads * q->d * pgd_dtype_bytes(q_type));
    float *work = check_alloc((size_t)q->n_tok * n_all * q->d * 4);
    memcpy(work, q->qkv, (size_t)q->n_tok * n_all * q->d * 4);
    const pgd_slots slots = {.max_slots = 2, .max_pages = q->max_pages, .page_table = q->pages};
    pgd_step_view step = check_step(q->n_tok, 0);
    step.n_seq = 2;
    step.seq = seq;
    step.pos = pos;
    step.tok_seq = tok_seq;
    step.slots = &slots;
    step.page_tokens = q->page_tokens;
    float *const none = NULL;
    const pgd_qkv_post_args a = {
        .qkv = pgd_tensor_2d(work, PGD_F32, q->n_tok, (uint64_t)n_all * q->d),
        .q = pgd_tensor_2d(out, q_type, q->n_tok, (uint64_t)q->n_heads * q->d),
        .q_norm = pgd_tensor_1d(q->norms ? q->q_norm : none, PGD_F32, q->d),
        .k_norm = pgd_tensor_1d(q->norms ? q->k_norm : none, PGD_F32, q->d),
        .cos = pgd_tensor_2d(q->cos, PGD_F32, MAX_POS, q->rotary / 2),
        .sin = pgd_tensor_2d(q->sin, PGD_F32, MAX_POS, q->rotary / 2),
        .kv = kv,
        .kv_type = q->kv_type,
        .n_heads = q->n_heads,
        .n_kv_heads = q->n_kv,
        .head_dim = q->d,
        .rotary_dim = q->rotary,
        .page_bytes = page_bytes,
        .eps = 1e-6F};
    check_run(c->dev, PGD_OP_QKV_POST, &a, &step);
    check_heads(q, out, kv, &step);
    check_free(c, pos, "pos");
    check_free(c, tok_seq, "tok_seq");
    check_free(c, kv, "kv pages");
    check_free(c, out, "q");
    check_free(c, work, "qkv");
    check_free(c, q->qkv, "qkv in");
    check_free(c, q->q_norm, "q norm");
    check_free(c, q->k_norm, "k norm");
    check_free(c, q->cos, "cos");
    check_free(c, q->sin, "sin");
    check_free(c, q->pages, "pages");
}

/* Copied positions read back equal, in every layer; other pages stay as they were. */
static void check_kv_copy(check *c, pgd_dtype t, uint32_t page_tokens, uint32_t n_tokens) {
    enum { LAYERS = 3, PAGES = 4, KV = 2, D = 40 };
    const uint64_t page_bytes = c->dev->kv_page_bytes(c->dev, KV, D, page_tokens, t);
    const uint64_t total = LAYERS * PAGES * page_bytes;
    unsigned char *kv = check_alloc(total), *before = check_alloc(total);
    check_fill(c, kv, t, total / pgd_dtype_bytes(t), 1.0F);
    memcpy(before, kv, total);
    const pgd_plan_copy copy = {.src = 2, .dst = 0, .n_tokens = n_tokens};
    const pgd_kv_copy_args a = {.kv = kv,
                                .kv_type = t,
                                .n_layers = LAYERS,
                                .n_pages = PAGES,
                                .n_kv_heads = KV,
                                .head_dim = D,
                                .page_tokens = page_tokens,
                                .page_bytes = page_bytes,
                                .copy = &copy,
                                .n_copy = 1};
    const pgd_step_view step = check_step(0, 0);
    check_run(c->dev, PGD_OP_KV_COPY, &a, &step);
    int32_t identity[PAGES] = {0, 1, 2, 3};
    const qkv_case q = {.d = D,
                        .n_kv = KV,
                        .page_tokens = page_tokens,
                        .kv_type = t,
                        .pages = identity,
                        .max_pages = PAGES};
    for (uint32_t l = 0; l < LAYERS; l++) {
        const unsigned char *now = kv + l * PAGES * page_bytes;
        const unsigned char *old = before + l * PAGES * page_bytes;
        check_same(c, "kv_copy other pages", now + page_bytes, old + page_bytes, 3 * page_bytes);
        for (uint32_t i = 0; i < n_tokens * D * KV * 2; i++) {
            const uint32_t p = i / (D * KV * 2), h = i / (D * 2) % KV, e = i / 2 % D;
            const float got = kv_element(&q, now, i & 1, 0, p, h, e);
            const float want = kv_element(&q, old, i & 1, 0, 2 * page_tokens + p, h, e);
            if (got != want) check_fail(c, "kv_copy layer %u position %u head %u", l, p, h);
        }
    }
    check_free(c, kv, "kv_copy");
    check_free(c, before, "kv_copy");
}

void check_rows(check *c) {
    static const uint32_t sizes[] = {1, 15, 16, 64, 80, 129, 576, 2048};
    for (uint32_t t = 0; t < 3; t++) {
        for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            check_norm(c, i % 3 ? 3 : 70, sizes[i], float_types[t]);
        check_moves(c, 1, 33, float_types[t]);
        check_moves(c, 9, 64, float_types[t]);
        for (uint32_t pt = 16; pt <= 256; pt *= 4)
            check_kv_copy(c, float_types[t], pt, pt - 5);
        for (uint32_t i = 0; i < 4; i++) {
            static const uint32_t dims[4] = {64, 80, 96, 128}, rotary[4] = {64, 40, 96, 128};
            qkv_case q = {.c = c,
                          .n_tok = i ? 40 : 1,
                          .n_heads = 6,
                          .n_kv = i == 1   ? 6
                                  : i == 2 ? 1
                                           : 2,
                          .d = dims[i],
                          .rotary = rotary[i],
                          .page_tokens = 16U << i,
                          .norms = i & 1,
                          .kv_type = float_types[t]};
            check_qkv(&q);
        }
    }
}

typedef struct bench_arg {
    pgd_device *d;
    const pgd_norm_args *a;
    pgd_step_view step;
} bench_arg;

static void norm_once(void *arg) {
    bench_arg *b = arg;
    check_run(b->d, PGD_OP_NORM, b->a, &b->step);
}

void bench_rows(check *c) {
    enum { N = 2048 };
    for (uint32_t rows = 1; rows <= 256; rows *= 16) {
        float *x = check_alloc((size_t)rows * N * 4), *w = check_alloc(N * 4);
        void *y = check_alloc((size_t)rows * N * 2);
        check_fill(c, x, PGD_F32, (size_t)rows * N, 1.0F);
        const pgd_norm_args a = {.x = pgd_tensor_2d(x, PGD_F32, rows, N),
                                 .w = pgd_tensor_1d(w, PGD_F32, N),
                                 .y = pgd_tensor_2d(y, PGD_BF16, rows, N),
                                 .eps = 1e-5F};
        bench_arg b = {.d = c->dev, .a = &a, .step = check_step(rows, 0)};
        char shape[64];
        snprintf(shape, sizeof shape, "%ux%d to bf16", rows, N);
        check_report(c, "norm", shape, check_time(norm_once, &b), rows * N * 6.0, 0.0);
        check_free(c, x, "bench x");
        check_free(c, w, "bench w");
        check_free(c, y, "bench y");
    }
}
