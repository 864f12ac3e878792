/* attn against float64 softmax attention, and its invariance: the same row gives the same bits for
 * any page size, chunking, company in the batch and number of threads. Pages are shuffled, and all
 * that was never written holds NaN, so that a read out of bounds of the causal range shows. Q, K
 * and V enter through qkv_post without rotation, so the reference knows them exactly. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "pagoda/mem.h"

enum { MAX_SEQS = 4 };

typedef struct attn_case {
    check *c;
    uint32_t n_heads, n_kv, d, window, n_seq;
    uint32_t len[MAX_SEQS]; /* tokens of each sequence */
    uint32_t max_len;
    pgd_dtype kv_type, act;
    float *qkv; /* [n_seq][max_len][(n_heads + 2 n_kv) d] */
} attn_case;

/* One way to compute the case. */
typedef struct attn_way {
    pgd_device *d;
    uint32_t page_tokens, chunk;
    uint32_t only; /* this sequence alone, or MAX_SEQS for all together */
} attn_way;

static size_t width(const attn_case *a) {
    return (size_t)(a->n_heads + 2 * a->n_kv) * a->d;
}
static size_t out_bytes(const attn_case *a) {
    return (size_t)a->n_heads * a->d * pgd_dtype_bytes(a->act);
}

/* Buffers of a run. */
typedef struct attn_run {
    unsigned char *kv, *out; /* out [n_seq][max_len] rows */
    int32_t *pages;
    uint64_t page_bytes;
    uint32_t max_pages;
} attn_run;

static void open_run(const attn_case *a, const attn_way *w, attn_run *r) {
    r->max_pages = (a->max_len + w->page_tokens - 1) / w->page_tokens;
    r->page_bytes = w->d->kv_page_bytes(w->d, a->n_kv, a->d, w->page_tokens, a->kv_type);
    const uint32_t n_pages = a->n_seq * r->max_pages;
    r->kv = check_alloc(n_pages * r->page_bytes);
    memset(r->kv, 0xff, n_pages * r->page_bytes);
    r->out = check_alloc(a->n_seq * a->max_len * out_bytes(a));
    r->pages = check_alloc(n_pages * sizeof *r->pages);
    for (uint32_t i = 0; i < n_pages; i++)
        r->pages[i] = (int32_t)i;
    for (uint32_t i = n_pages; i > 1; i--) {
        const uint32_t k = check_below(a->c, i);
        const int32_t t = r->pages[k];
        r->pages[k] = r->pages[i - 1];
        r->pages[i - 1] = t;
    }
}

static void close_run(const attn_case *a, attn_run *r) {
    check_free(a->c, r->kv, "attn kv");
    check_free(a->c, r->out, "attn out");
    check_free(a->c, r->pages, "attn pages");
}

/* Up to `chunk` next tokens of each sequence taking part; of[i] is the case's number of seq[i].
 * Returns the number of tokens. */
static uint32_t plan_step(const attn_case *a, const attn_way *w, const uint32_t *done,
                          pgd_plan_seq *seq, uint32_t *of, uint32_t *n_seq) {
    uint32_t n_tok = 0;
    *n_seq = 0;
    for (uint32_t s = 0; s < a->n_seq; s++) {
        if (w->only != MAX_SEQS && w->only != s) continue;
        const uint32_t left = a->len[s] - done[s], n = left < w->chunk ? left : w->chunk;
        if (!n) continue;
        of[*n_seq] = s;
        seq[(*n_seq)++] =
            (pgd_plan_seq){.slot = s, .q_start = n_tok, .n_new = n, .kv_start = done[s]};
        n_tok += n;
    }
    return n_tok;
}

/* One step. Returns the tokens in it. */
static uint32_t run_step(const attn_case *a, const attn_way *w, attn_run *r, uint32_t *done) {
    pgd_plan_seq seq[MAX_SEQS];
    uint32_t n_seq, of[MAX_SEQS];
    const uint32_t n_tok = plan_step(a, w, done, seq, of, &n_seq);
    if (!n_tok) return 0;
    float *qkv = check_alloc(n_tok * width(a) * 4);
    unsigned char *q = check_alloc(n_tok * out_bytes(a)), *out = check_alloc(n_tok * out_bytes(a));
    int32_t *pos = check_alloc(n_tok * 4), *tok_seq = check_alloc(n_tok * 4);
    for (uint32_t i = 0; i < n_seq; i++) {
        memcpy(qkv + seq[i].q_start * width(a),
               a->qkv + ((size_t)of[i] * a->max_len + seq[i].kv_start) * width(a),
               seq[i].n_new * width(a) * 4);
        for (uint32_t t = 0; t < seq[i].n_new; t++) {
            pos[seq[i].q_start + t] = (int32_t)(seq[i].kv_start + t);
            tok_seq[seq[i].q_start + t] = (int32_t)i;
        }
    }
    const pgd_slots slots = {
        .max_slots = a->n_seq, .max_pages = r->max_pages, .page_table = r->pages};
    const pgd_step_view step = {.n_tok = n_tok,
                                .n_seq = n_seq,
                                .seq = seq,
                                .pos = pos,
                                .tok_seq = tok_seq,
                                .slots = &slots,
                                .page_tokens = w->page_tokens};
    const pgd_tensor q_t = pgd_tensor_2d(q, a->act, n_tok, (uint64_t)a->n_heads * a->d);
    const pgd_qkv_post_args post = {.qkv = pgd_tensor_2d(qkv, PGD_F32, n_tok, width(a)),
                                    .q = q_t,
                                    .kv = r->kv,
                                    .kv_type = a->kv_type,
                                    .n_heads = a->n_heads,
                                    .n_kv_heads = a->n_kv,
                                    .head_dim = a->d,
                                    .page_bytes = r->page_bytes};
    const pgd_attn_args attn = {.q = q_t,
                                .out = pgd_tensor_2d(out, a->act, n_tok, q_t.shape[1]),
                                .kv = r->kv,
                                .kv_type = a->kv_type,
                                .n_heads = a->n_heads,
                                .n_kv_heads = a->n_kv,
                                .head_dim = a->d,
                                .window = a->window,
                                .page_bytes = r->page_bytes,
                                .scale = 1.0F / sqrtf((float)a->d)};
    check_run(w->d, PGD_OP_QKV_POST, &post, &step);
    check_run(w->d, PGD_OP_ATTN, &attn, &step);
    for (uint32_t i = 0; i < n_seq; i++) {
        memcpy(r->out + ((size_t)of[i] * a->max_len + seq[i].kv_start) * out_bytes(a),
               out + seq[i].q_start * out_bytes(a), seq[i].n_new * out_bytes(a));
        done[of[i]] += seq[i].n_new;
    }
    check_free(a->c, qkv, "attn qkv");
    check_free(a->c, q, "attn q");
    check_free(a->c, out, "attn out rows");
    check_free(a->c, pos, "attn pos");
    check_free(a->c, tok_seq, "attn tok_seq");
    return n_tok;
}

static void run_way(const attn_case *a, const attn_way *w, attn_run *r) {
    uint32_t done[MAX_SEQS] = {0};
    open_run(a, w, r);
    while (run_step(a, w, r, done)) {
    }
}

/* Output of one (sequence, position, head) in float64. */
static void reference(const attn_case *a, uint32_t s, uint32_t p, uint32_t h, double *out) {
    const uint32_t kv = h / (a->n_heads / a->n_kv);
    const float *seq = a->qkv + (size_t)s * a->max_len * width(a);
    const float *q = seq + p * width(a) + (size_t)h * a->d;
    const uint32_t from = a->window && p >= a->window ? p - a->window + 1 : 0;
    double *w = pgd_calloc(p + 1, sizeof *w), max = -INFINITY, sum = 0.0;
    const double scale = (double)(1.0F / sqrtf((float)a->d));
    for (uint32_t t = from; t <= p; t++) {
        const float *k = seq + t * width(a) + (size_t)(a->n_heads + kv) * a->d;
        for (uint32_t i = 0; i < a->d; i++)
            w[t] += (double)q[i] * (double)k[i];
        w[t] *= scale;
        if (w[t] > max) max = w[t];
    }
    for (uint32_t i = 0; i < a->d; i++)
        out[i] = 0.0;
    for (uint32_t t = from; t <= p; t++) {
        const float *v = seq + t * width(a) + (size_t)(a->n_heads + a->n_kv + kv) * a->d;
        const double e = exp(w[t] - max);
        sum += e;
        for (uint32_t i = 0; i < a->d; i++)
            out[i] += e * (double)v[i];
    }
    for (uint32_t i = 0; i < a->d; i++)
        out[i] /= sum;
    pgd_free(w);
}

static void against_reference(const attn_case *a, const attn_run *r, const char *what) {
    double want[512], tol[512];
    for (uint32_t s = 0; s < a->n_seq; s++)
        for (uint32_t p = 0; p<a->len[s]; p += a->len[s]> 200 ? 37 : 1)
            for (uint32_t h = 0; h < a->n_heads; h++) {
                reference(a, s, p, h, want);
                for (uint32_t i = 0; i < a->d; i++)
                    tol[i] = 1e-5 * 2.0 + (a->act == PGD_BF16 ? 0x1p-8 * fabs(want[i]) : 0.0);
                const unsigned char *row = r->out + ((size_t)s * a->max_len + p) * out_bytes(a);
                check_near(a->c, what, row + h * a->d * pgd_dtype_bytes(a->act), a->act, want, tol,
                           a->d);
            }
}

static void same_rows(const attn_case *a, const attn_way *w, const attn_run *base,
                      const char *what) {
    attn_run r;
    run_way(a, w, &r);
    for (uint32_t s = 0; s < a->n_seq; s++)
        if (w->only == MAX_SEQS || w->only == s)
            check_same(a->c, what, r.out + s * a->max_len * out_bytes(a),
                       base->out + s * a->max_len * out_bytes(a), a->len[s] * out_bytes(a));
    close_run(a, &r);
}

static void check_case(attn_case *a) {
    check *c = a->c;
    a->act = a->kv_type == PGD_BF16 ? PGD_BF16 : PGD_F32;
    for (uint32_t s = 0; s < a->n_seq; s++)
        if (a->len[s] > a->max_len) a->max_len = a->len[s];
    const size_t n = (size_t)a->n_seq * a->max_len * width(a);
    a->qkv = check_alloc(n * 4);
    for (size_t i = 0; i < n; i++) { /* values that kv_type holds exactly */
        const float v = check_rand(c) * 2.0F;
        uint32_t tmp;
        pgd_convert(&tmp, a->kv_type, &v, PGD_F32, 1);
        pgd_convert(&a->qkv[i], PGD_F32, &tmp, a->kv_type, 1);
    }
    char what[96];
    snprintf(what, sizeof what, "attn %s heads %u/%u d %u window %u len %u",
             pgd_dtype_name(a->kv_type), a->n_heads, a->n_kv, a->d, a->window, a->len[0]);
    const attn_way all = {.d = c->dev, .page_tokens = 16, .chunk = UINT32_MAX, .only = MAX_SEQS};
    attn_run base;
    run_way(a, &all, &base);
    against_reference(a, &base, what);
    const attn_way ways[] = {
        {c->solo, 16, UINT32_MAX, MAX_SEQS}, {c->dev, 64, 1, MAX_SEQS},   {c->dev, 32, 7, 0},
        {c->solo, 128, 100, a->n_seq - 1},   {c->dev, 256, 16, MAX_SEQS},
    };
    for (uint32_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (ways[i].chunk > 1 || a->max_len < 300) same_rows(a, &ways[i], &base, what);
    close_run(a, &base);
    check_free(c, a->qkv, "attn case");
}

void check_attn(check *c) {
    static const pgd_dtype types[] = {PGD_BF16, PGD_F16, PGD_F32};
    for (uint32_t t = 0; t < 3; t++) {
        attn_case cases[] = {
            {.n_heads = 1, .n_kv = 1, .d = 64, .n_seq = 1, .len = {1}},
            {.n_heads = 4, .n_kv = 4, .d = 80, .n_seq = 2, .len = {70, 3}},
            {.n_heads = 6, .n_kv = 2, .d = 96, .n_seq = 3, .len = {129, 64, 17}, .window = 50},
            {.n_heads = 7, .n_kv = 1, .d = 128, .n_seq = 2, .len = {65, 66}},
            {.n_heads = 28, .n_kv = 1, .d = 40, .n_seq = 1, .len = {90}, .window = 1},
            {.n_heads = 2, .n_kv = 1, .d = 256, .n_seq = 2, .len = {100, 33}, .window = 64},
            {.n_heads = 2, .n_kv = 2, .d = 64, .n_seq = 2, .len = {777, 20}},
        };
        for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            cases[i].c = c;
            cases[i].kv_type = types[t];
            check_case(&cases[i]);
        }
    }
}

typedef struct bench_arg {
    pgd_device *d;
    const pgd_attn_args *a;
    pgd_step_view step;
} bench_arg;

static void attn_once(void *arg) {
    bench_arg *b = arg;
    check_run(b->d, PGD_OP_ATTN, b->a, &b->step);
}

/* One sequence at the end of a context of `len`: a decode row, or a chunk of n_new. */
static void bench_shape(check *c, uint32_t n_heads, uint32_t n_kv, uint32_t d, uint32_t len,
                        uint32_t n_new) {
    const uint32_t n_pages = len / 16;
    const uint64_t page_bytes = c->dev->kv_page_bytes(c->dev, n_kv, d, 16, PGD_BF16);
    unsigned char *kv = check_alloc(n_pages * page_bytes);
    int32_t *pages = check_alloc(n_pages * 4);
    for (uint32_t i = 0; i < n_pages; i++)
        pages[i] = (int32_t)i;
    uint16_t *q = check_alloc((size_t)n_new * n_heads * d * 2),
             *out = check_alloc((size_t)n_new * n_heads * d * 2);
    check_fill(c, q, PGD_BF16, (size_t)n_new * n_heads * d, 1.0F);
    check_fill(c, kv, PGD_BF16, n_pages * page_bytes / 2, 1.0F);
    const pgd_plan_seq seq = {.n_new = n_new, .kv_start = len - n_new};
    const pgd_slots slots = {.max_slots = 1, .max_pages = n_pages, .page_table = pages};
    const pgd_attn_args a = {.q = pgd_tensor_2d(q, PGD_BF16, n_new, (uint64_t)n_heads * d),
                             .out = pgd_tensor_2d(out, PGD_BF16, n_new, (uint64_t)n_heads * d),
                             .kv = kv,
                             .kv_type = PGD_BF16,
                             .n_heads = n_heads,
                             .n_kv_heads = n_kv,
                             .head_dim = d,
                             .page_bytes = page_bytes,
                             .scale = 0.125F};
    bench_arg b = {.d = c->dev, .a = &a};
    b.step = (pgd_step_view){
        .n_tok = n_new, .n_seq = 1, .seq = &seq, .slots = &slots, .page_tokens = 16};
    char shape[64];
    snprintf(shape, sizeof shape, "%u/%u heads d %u, %u of %u", n_heads, n_kv, d, n_new, len);
    const double seen = (double)n_new * (len - n_new) + 0.5 * n_new * n_new;
    check_report(c, "attn", shape, check_time(attn_once, &b), (double)(n_pages * page_bytes),
                 4.0 * seen * n_heads * d);
    check_free(c, kv, "bench kv");
    check_free(c, pages, "bench pages");
    check_free(c, q, "bench q");
    check_free(c, out, "bench out");
}

void bench_attn(check *c) {
    bench_shape(c, 32, 8, 64, 1024, 1);
    bench_shape(c, 32, 8, 64, 32768, 1);
    if (c->isa == PGD_ISA_SCALAR) return;
    bench_shape(c, 32, 8, 64, 2048, 512);
    bench_shape(c, 32, 32, 128, 2048, 512);
}
