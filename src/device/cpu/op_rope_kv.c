/* qkv_post and kv_copy: everything that writes KV pages.
 *
 * A page of one layer is K of every kv head, then V of every kv head. K of a head is stored as
 * panels of 16 positions (the packed layout of cpu_internal.h with positions as columns), so that
 * attention's scores are the same tile kernel as a linear; V of a head is [page_tokens][dp]. dp is
 * head_dim rounded up to 16; the padding is zero since allocation and nobody writes it. */
#include "cpu_internal.h"

#include <string.h>

enum { FORK_ELEMENTS = 8192 };

typedef struct qkv_job {
    const pgd_cpu_device *c;
    const pgd_qkv_post_args *a;
    const pgd_step_view *step;
    pgd_cpu_kv_shape shape;
} qkv_job;

/* Norm and rotate one head in place. */
static void finish_head(const qkv_job *j, float *x, const pgd_tensor *norm, uint32_t pos) {
    const pgd_qkv_post_args *a = j->a;
    const uint32_t half = a->rotary_dim / 2;
    if (norm->data) j->c->k.norm(x, norm->data, x, PGD_F32, a->head_dim, a->eps);
    if (half)
        j->c->k.rope(x, (const float *)a->cos.data + (size_t)pos * half,
                     (const float *)a->sin.data + (size_t)pos * half, half);
}

/* Element d of a position at `slot` of its panel: [d / 2][16][2] or [d][16]. */
static void scatter_k(void *panel, pgd_dtype t, uint32_t slot, const void *src, uint32_t n) {
    if (t == PGD_F32) {
        for (uint32_t d = 0; d < n; d++)
            ((float *)panel)[(size_t)d * PGD_CPU_LANES + slot] = ((const float *)src)[d];
        return;
    }
    uint16_t *const out = panel;
    const uint16_t *const h = src;
    for (uint32_t d = 0; d < n; d++) {
        const size_t at = t == PGD_BF16 ? (size_t)(d >> 1) * 2 * PGD_CPU_LANES + 2 * slot + (d & 1)
                                        : (size_t)d * PGD_CPU_LANES + slot;
        out[at] = h[d];
    }
}

static void write_kv(const qkv_job *j, uint32_t tok, float *k, const float *v) {
    const pgd_qkv_post_args *a = j->a;
    const pgd_slots *slots = j->step->slots;
    const uint32_t pos = (uint32_t)j->step->pos[tok];
    const uint32_t slot = j->step->seq[j->step->tok_seq[tok]].slot;
    const uint32_t in_page = pos % j->step->page_tokens;
    const int32_t page =
        slots->page_table[(size_t)slot * slots->max_pages + pos / j->step->page_tokens];
    unsigned char *base = (unsigned char *)a->kv + (uint64_t)(uint32_t)page * a->page_bytes;
    const uint64_t position_bytes = (uint64_t)j->shape.dp * j->shape.elt_bytes;
    for (uint32_t h = 0; h < a->n_kv_heads; h++, base += j->shape.head_bytes) {
        float rounded[PGD_CPU_MAX_HEAD];
        finish_head(j, k + (size_t)h * a->head_dim, &a->k_norm, pos);
        j->c->k.store(rounded, a->kv_type, k + (size_t)h * a->head_dim, 1.0F, a->head_dim);
        scatter_k(base + in_page / PGD_CPU_LANES * PGD_CPU_LANES * position_bytes, a->kv_type,
                  in_page % PGD_CPU_LANES, rounded, a->head_dim);
        j->c->k.store(base + j->shape.v_offset + in_page * position_bytes, a->kv_type,
                      v + (size_t)h * a->head_dim, 1.0F, a->head_dim);
    }
}

static void qkv_tokens(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    const qkv_job *const j = arg;
    const pgd_qkv_post_args *a = j->a;
    const size_t d = a->head_dim, q_bytes = d * pgd_dtype_bytes(a->q.dtype);
    (void)thread;
    for (uint64_t t = begin; t < end; t++) {
        float *x = (float *)(void *)pgd_cpu_row(&a->qkv, t);
        unsigned char *q = pgd_cpu_row(&a->q, t);
        for (uint32_t h = 0; h < a->n_heads; h++) {
            finish_head(j, x + h * d, &a->q_norm, (uint32_t)j->step->pos[t]);
            j->c->k.store(q + h * q_bytes, a->q.dtype, x + h * d, 1.0F, a->head_dim);
        }
        float *k = x + a->n_heads * d;
        write_kv(j, (uint32_t)t, k, k + a->n_kv_heads * d);
    }
}

pgd_status pgd_cpu_qkv_post(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_qkv_post_args *a = args;
    PGD_ASSERT(a->head_dim <= PGD_CPU_MAX_HEAD && a->rotary_dim <= a->head_dim);
    qkv_job j = {.c = pgd_cpu_of(d), .a = a, .step = step};
    j.shape = pgd_cpu_kv_shape_of(a->n_kv_heads, a->head_dim, step->page_tokens, a->kv_type);
    const uint64_t width = (uint64_t)(a->n_heads + 2 * a->n_kv_heads) * a->head_dim;
    pgd_pool *pool = step->n_tok * width >= FORK_ELEMENTS ? j.c->pool : NULL;
    pgd_pool_for(pool, step->n_tok, 1, qkv_tokens, &j);
    return PGD_OK;
}

pgd_status pgd_cpu_kv_copy(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_kv_copy_args *a = args;
    (void)d;
    (void)step;
    const pgd_cpu_kv_shape s =
        pgd_cpu_kv_shape_of(a->n_kv_heads, a->head_dim, a->page_tokens, a->kv_type);
    const uint64_t position_bytes = (uint64_t)s.dp * s.elt_bytes;
    for (uint32_t i = 0; i < a->n_copy; i++) {
        /* K moves in whole panels: what lies past n_tokens is never read before it is written */
        const uint64_t k_bytes =
            pgd_cpu_round_up(a->copy[i].n_tokens, PGD_CPU_LANES) * position_bytes;
        const uint64_t v_bytes = a->copy[i].n_tokens * position_bytes;
        for (uint32_t l = 0; l < a->n_layers; l++) {
            unsigned char *layer =
                (unsigned char *)a->kv + (uint64_t)l * a->n_pages * a->page_bytes;
            const unsigned char *src = layer + a->copy[i].src * a->page_bytes;
            unsigned char *dst = layer + a->copy[i].dst * a->page_bytes;
            for (uint32_t h = 0; h < a->n_kv_heads; h++) {
                const uint64_t at = h * s.head_bytes;
                memcpy(dst + at, src + at, k_bytes);
                memcpy(dst + s.v_offset + at, src + s.v_offset + at, v_bytes);
            }
        }
    }
    return PGD_OK;
}
