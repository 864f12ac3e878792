/* Packs weight matrices into panels of 16 columns (layout in cpu_internal.h) on the device's pool,
 * at load. Sources may be any float type with any row stride; a part without data is filled with
 * small pseudo-random values that depend on (seed, part, row, column) only, so that a dummy model
 * is the same on any number of threads. Padding is zero: products with it vanish.
 *
 * Also grows the work space, so that a step with this weight allocates nothing. */
#include "cpu_internal.h"

#include <math.h>
#include <string.h>

#include "pagoda/mem.h"

typedef struct pack_job {
    const pgd_tensor *parts;
    uint32_t n_parts, paired;
    uint64_t seed;
    float dummy_scale;
    const pgd_weight *w;
    uint32_t kp;
} pack_job;

/* Row of W that column `lane` of panel p holds: its part and the row there; false: padding. */
static bool find_row(const pack_job *j, uint32_t p, uint32_t lane, uint32_t *part, uint64_t *row) {
    if (j->paired) {
        *part = p & 1;
        *row = (uint64_t)(p >> 1) * PGD_CPU_LANES + lane;
        return *row < j->parts[*part].shape[0];
    }
    uint64_t r = (uint64_t)p * PGD_CPU_LANES + lane;
    for (*part = 0; *part < j->n_parts; (*part)++) {
        if (r < j->parts[*part].shape[0]) {
            *row = r;
            return true;
        }
        r -= j->parts[*part].shape[0];
    }
    return false;
}

static float dummy_value(const pack_job *j, uint32_t part, uint64_t row, uint32_t col) {
    uint64_t z = (j->seed + part) * 0x9E3779B97F4A7C15U + row * 0xD1B54A32D192ED03U + col;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z ^= z >> 27;
    return (float)((int32_t)((z >> 8) & 0xffff) - 0x8000) * j->dummy_scale;
}

static float source_value(const pgd_tensor *t, const void *row, uint32_t col) {
    switch (t->dtype) {
    case PGD_F32:
        return ((const float *)row)[col];
    case PGD_BF16:
        return pgd_bf16_to_f32(((const uint16_t *)row)[col]);
    default:
        return pgd_f16_to_f32(((const uint16_t *)row)[col]);
    }
}

/* Place of element k of a lane, in elements. */
static size_t place(pgd_dtype t, uint32_t lane, uint32_t k) {
    if (t == PGD_BF16) return (size_t)(k >> 1) * 2 * PGD_CPU_LANES + 2 * lane + (k & 1);
    return (size_t)k * PGD_CPU_LANES + lane;
}

/* One column of a panel; equal types are copied, bit for bit. */
static void pack_lane(const pack_job *j, void *panel, uint32_t lane, uint32_t part, uint64_t row) {
    const pgd_tensor *t = &j->parts[part];
    const void *src = t->data ? pgd_cpu_row(t, row) : NULL;
    const uint32_t k = j->w->k;
    const pgd_dtype to = j->w->dtype;
    uint16_t *const h = panel;
    float *const f = panel;
    if (src && t->dtype == to && to == PGD_F32)
        for (uint32_t i = 0; i < k; i++)
            f[place(to, lane, i)] = ((const float *)src)[i];
    else if (src && t->dtype == to)
        for (uint32_t i = 0; i < k; i++)
            h[place(to, lane, i)] = ((const uint16_t *)src)[i];
    else
        for (uint32_t i = 0; i < k; i++) {
            const float v = src ? source_value(t, src, i) : dummy_value(j, part, row, i);
            if (to == PGD_F32)
                f[place(to, lane, i)] = v;
            else
                h[place(to, lane, i)] = to == PGD_BF16 ? pgd_f32_to_bf16(v) : pgd_f32_to_f16(v);
        }
}

static void pack_panels(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    const pack_job *const j = arg;
    (void)thread;
    const uint64_t panel_bytes = (uint64_t)j->kp * PGD_CPU_LANES * pgd_dtype_bytes(j->w->dtype);
    for (uint64_t p = begin; p < end; p++)
        for (uint32_t lane = 0; lane < PGD_CPU_LANES; lane++) {
            uint32_t part;
            uint64_t row;
            if (find_row(j, (uint32_t)p, lane, &part, &row))
                pack_lane(j, (unsigned char *)j->w->data + p * panel_bytes, lane, part, row);
        }
}

static pgd_status check_parts(const pgd_tensor *parts, uint32_t n_parts, uint32_t interleave,
                              pgd_dtype dtype, uint64_t *n, pgd_error *err) {
    if (!n_parts || (interleave != 1 && interleave != 2))
        return pgd_fail(err, PGD_E_INVALID, "pack: %u parts, interleave %u", n_parts, interleave);
    if (interleave == 2 && (n_parts != 2 || parts[0].shape[0] != parts[1].shape[0]))
        return pgd_fail(err, PGD_E_INVALID, "pack: interleaving needs two parts of equal rows");
    if (dtype != PGD_F32 && dtype != PGD_BF16 && dtype != PGD_F16)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "pack: no packed layout for %s",
                        pgd_dtype_name(dtype));
    *n = 0;
    for (uint32_t i = 0; i < n_parts; i++) {
        const pgd_tensor *t = &parts[i];
        if (t->ndim != 2 || t->shape[1] != parts[0].shape[1] || !t->shape[0] || !t->shape[1])
            return pgd_fail(err, PGD_E_INVALID, "pack: part %u is not a matrix of the common width",
                            i);
        if (t->data && t->dtype != PGD_F32 && t->dtype != PGD_BF16 && t->dtype != PGD_F16)
            return pgd_fail(err, PGD_E_UNSUPPORTED, "pack: part %u is %s", i,
                            pgd_dtype_name(t->dtype));
        *n += t->shape[0];
    }
    if (*n > UINT32_MAX / 2 || parts[0].shape[1] > UINT32_MAX / 4)
        return pgd_fail(err, PGD_E_LIMIT, "pack: matrix %llu x %llu is too large",
                        (unsigned long long)*n, (unsigned long long)parts[0].shape[1]);
    return PGD_OK;
}

pgd_status pgd_cpu_pack_linear(pgd_device *d, const pgd_tensor *parts, uint32_t n_parts,
                               uint32_t interleave, pgd_dtype dtype, uint64_t seed, pgd_weight *out,
                               pgd_error *err) {
    pgd_cpu_device *c = pgd_cpu_of(d);
    uint64_t n = 0;
    PGD_TRY(check_parts(parts, n_parts, interleave, dtype, &n, err));
    pgd_weight w = {.n = (uint32_t)n,
                    .k = (uint32_t)parts[0].shape[1],
                    .dtype = dtype,
                    .layout = interleave == 2 ? PGD_CPU_PAIRED : PGD_CPU_PLAIN};
    const uint32_t kp = pgd_cpu_round_up(w.k, 2);
    const uint64_t n_panels = interleave == 2 ? 2 * ((n / 2 + PGD_CPU_LANES - 1) / PGD_CPU_LANES)
                                              : (n + PGD_CPU_LANES - 1) / PGD_CPU_LANES;
    size_t bytes;
    if (!pgd_mul_size((size_t)n_panels * PGD_CPU_LANES, (size_t)kp * pgd_dtype_bytes(dtype),
                      &bytes))
        return pgd_fail(err, PGD_E_LIMIT, "pack: matrix %u x %u is too large", w.n, w.k);
    /* packed rows (at most 4 bytes an element) and the tile results of one row block */
    const size_t rows = PGD_CPU_ROW_BLOCK;
    PGD_TRY(pgd_cpu_reserve(c, rows * (kp + PGD_CPU_TILE_COLS) * 4, err));
    /* a row of logits, should this be the lm head */
    PGD_TRY(pgd_cpu_reserve(c, sizeof(pgd_cpu_hist) + 64 + (size_t)w.n * 4, err));
    w.data = pgd_aligned_alloc(bytes, PGD_CPU_TILE_COLS);
    w.bytes = bytes;
    if (!w.data)
        return pgd_fail(err, PGD_E_NOMEM, "pack: no memory for %u x %u weights (%zu bytes)", w.n,
                        w.k, bytes);
    const pack_job job = {.parts = parts,
                          .n_parts = n_parts,
                          .paired = interleave == 2,
                          .seed = seed,
                          .dummy_scale = sqrtf(3.0F / (float)w.k) / 32768.0F,
                          .w = &w,
                          .kp = kp};
    pgd_pool_for(c->pool, n_panels, 1, pack_panels, (void *)(uintptr_t)&job);
    *out = w;
    return PGD_OK;
}

pgd_status pgd_cpu_fill_uniform(pgd_device *d, void *dst, pgd_dtype type, uint64_t n) {
    const size_t bytes = pgd_dtype_bytes(type);
    uint64_t state = 1;
    (void)d;
    for (uint64_t i = 0; i < n; i++) {
        const float v =
            (float)((int64_t)(pgd_rng_next(&state) >> 40) - (1 << 23)) / (float)(1 << 23);
        pgd_convert((unsigned char *)dst + i * bytes, type, &v, PGD_F32, 1);
    }
    return PGD_OK;
}
