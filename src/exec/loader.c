/* Model slots → device.
 *
 * Matrices go through the device's pack_linear, tensor by tensor, straight from the mapped files;
 * vectors (norms, biases) become f32. A dummy model has no data: matrices and the embedding are
 * filled with random values, norms with ones, biases with zeros, so that any config.json can
 * be measured. Views from a safetensors file may start at any byte; one that is not aligned to its
 * element is copied first, since the device reads whole elements. */
#include "loader.h"

#include <string.h>

#include "pagoda/mem.h"

enum { CONVERT_BYTES = 4 << 20 };

typedef struct loader {
    const pgd_model *model;
    const pgd_model_spec *spec;
    devmem *mem;
    _Atomic uint32_t *progress;
    uint64_t done, all; /* bytes */
    exec_weights *out;
    pgd_error *err;
} loader;

static void advance(loader *l, const pgd_slot_parts *s) {
    for (uint32_t p = 0; p < s->n_parts; p++) {
        size_t bytes = 0;
        if (pgd_tensor_bytes(&s->part[p], &bytes) == PGD_OK) l->done += bytes;
    }
    if (!l->progress || !l->all) return;
    const uint64_t part = l->done < l->all ? l->done : l->all;
    atomic_store_explicit(l->progress, (uint32_t)(part * 1000 / l->all), memory_order_relaxed);
}

/* Copies of the unaligned parts of s, owned by the caller: bounce[p] is NULL where none. */
static pgd_status align_parts(loader *l, pgd_slot_parts *s, void *bounce[PGD_SLOT_MAX_PARTS]) {
    for (uint32_t p = 0; p < s->n_parts; p++) {
        pgd_tensor *const t = &s->part[p];
        size_t bytes;
        bounce[p] = NULL;
        if (!t->data || (uintptr_t)t->data % pgd_dtype_bytes(t->dtype) == 0) continue;
        PGD_TRY(pgd_tensor_bytes(t, &bytes));
        bounce[p] = pgd_malloc(bytes);
        if (!bounce[p])
            return pgd_fail(l->err, PGD_E_NOMEM, "no memory to align %zu bytes of weights", bytes);
        memcpy(bounce[p], t->data, bytes);
        t->data = bounce[p];
    }
    return PGD_OK;
}

static pgd_status load_matrix(loader *l, pgd_slot_kind kind, uint32_t layer, pgd_weight *out) {
    pgd_device *const dev = l->mem->dev;
    pgd_slot_parts s;
    void *bounce[PGD_SLOT_MAX_PARTS] = {NULL};
    pgd_model_slot(l->model, kind, layer, &s);
    pgd_status st = align_parts(l, &s, bounce);
    if (st == PGD_OK)
        st = dev->pack_linear(dev, s.part, s.n_parts, kind == PGD_W_GATE_UP ? 2 : 1, l->spec->dtype,
                              (uint64_t)layer * PGD_W_N + kind, out, l->err);
    for (uint32_t p = 0; p < PGD_SLOT_MAX_PARTS; p++)
        pgd_free(bounce[p]);
    if (st != PGD_OK) return st;
    l->out->bytes += out->bytes;
    advance(l, &s);
    return PGD_OK;
}

/* The f32 vector of a slot, parts one after the other, or alternating element by element as the
 * rows of an interleaved matrix do. Without data: `fill`. */
static pgd_status gather_vector(loader *l, const pgd_slot_parts *s, uint32_t interleave, float fill,
                                float **out, uint64_t *n) {
    *n = 0;
    for (uint32_t p = 0; p < s->n_parts; p++)
        *n += s->part[p].shape[0];
    float *const v = pgd_calloc(2 * (size_t)*n, sizeof *v);
    if (!v) return pgd_fail(l->err, PGD_E_NOMEM, "no memory for a vector of weights");
    float *const part = v + *n; /* second half: one converted part */
    uint64_t at = 0;
    for (uint32_t p = 0; p < s->n_parts; p++) {
        const pgd_tensor *const t = &s->part[p];
        const uint64_t len = t->shape[0];
        if (t->data) pgd_convert(part, PGD_F32, t->data, t->dtype, (size_t)len);
        for (uint64_t i = 0; i < len; i++)
            v[interleave == 2 ? 2 * i + p : at + i] = t->data ? part[i] : fill;
        at += len;
    }
    *out = v;
    return PGD_OK;
}

static pgd_status load_vector(loader *l, pgd_slot_kind kind, uint32_t layer, float fill,
                              pgd_tensor *out) {
    pgd_slot_parts s;
    void *bounce[PGD_SLOT_MAX_PARTS] = {NULL}, *data = NULL;
    float *v = NULL;
    uint64_t n = 0;
    if (!pgd_model_has_slot(l->model, kind)) return PGD_OK;
    pgd_model_slot(l->model, kind, layer, &s);
    pgd_status st = align_parts(l, &s, bounce);
    if (st == PGD_OK) st = gather_vector(l, &s, kind == PGD_W_GATE_UP_BIAS ? 2 : 1, fill, &v, &n);
    if (st == PGD_OK) st = devmem_array(l->mem, "norms and biases", n, sizeof *v, &data, l->err);
    if (st == PGD_OK) st = l->mem->dev->upload(l->mem->dev, data, v, n * sizeof *v);
    for (uint32_t p = 0; p < PGD_SLOT_MAX_PARTS; p++)
        pgd_free(bounce[p]);
    pgd_free(v);
    if (st != PGD_OK) return st;
    *out = pgd_tensor_1d(data, PGD_F32, n);
    l->out->bytes += n * sizeof *v;
    advance(l, &s);
    return PGD_OK;
}

/* Where the device reads host memory, the embedding stays in the mapped file. */
static bool stays_mapped(const pgd_tensor *t, const pgd_device *dev) {
    return dev->info.host_memory && t->data && (uintptr_t)t->data % pgd_dtype_bytes(t->dtype) == 0;
}

/* Upload a matrix in another type, some rows at a time. */
static pgd_status upload_converted(loader *l, const pgd_tensor *t, void *dst, pgd_dtype type) {
    pgd_device *const dev = l->mem->dev;
    const size_t cols = (size_t)t->shape[1], each = cols * pgd_dtype_bytes(type);
    const size_t from = cols * pgd_dtype_bytes(t->dtype);
    const size_t most = CONVERT_BYTES / each ? CONVERT_BYTES / each : 1;
    void *const row = pgd_malloc(most * each);
    if (!row) return pgd_fail(l->err, PGD_E_NOMEM, "no memory to convert the embedding");
    pgd_status st = PGD_OK;
    for (uint64_t r = 0; r < t->shape[0] && st == PGD_OK; r += most) {
        const size_t n = t->shape[0] - r < most ? (size_t)(t->shape[0] - r) : most;
        pgd_convert(row, type, (const char *)t->data + r * from, t->dtype, n * cols);
        st = dev->upload(dev, (char *)dst + r * each, row, n * each);
    }
    pgd_free(row);
    return st == PGD_OK ? PGD_OK : pgd_fail(l->err, st, "uploading the embedding");
}

static pgd_status fill_embedding(loader *l, const pgd_tensor *t, void *dst, pgd_dtype type,
                                 size_t bytes) {
    pgd_device *const dev = l->mem->dev;
    if (t->data && t->dtype != type) return upload_converted(l, t, dst, type);
    const pgd_status st = t->data ? dev->upload(dev, dst, t->data, bytes)
                                  : dev->fill_uniform(dev, dst, type, t->shape[0] * t->shape[1]);
    return st == PGD_OK ? PGD_OK : pgd_fail(l->err, st, "filling the embedding");
}

static pgd_status load_embedding(loader *l) {
    pgd_slot_parts s;
    void *bounce[PGD_SLOT_MAX_PARTS] = {NULL}, *data = NULL;
    size_t bytes;
    pgd_model_slot(l->model, PGD_W_EMBED, 0, &s);
    l->out->embed = s.part[0];
    advance(l, &s);
    if (stays_mapped(&s.part[0], l->mem->dev)) return PGD_OK;
    if (!l->mem->dev->info.host_memory) l->out->embed.dtype = l->spec->dtype;
    PGD_TRY(pgd_tensor_bytes(&l->out->embed, &bytes));
    PGD_TRY(devmem_array(l->mem, "embedding", bytes, 1, &data, l->err));
    pgd_status st = align_parts(l, &s, bounce);
    if (st == PGD_OK) st = fill_embedding(l, &s.part[0], data, l->out->embed.dtype, bytes);
    pgd_free(bounce[0]);
    if (st != PGD_OK) return st;
    l->out->embed.data = data;
    l->out->bytes += bytes;
    return PGD_OK;
}

static pgd_status load_layer(loader *l, uint32_t i) {
    layer_weights *const w = &l->out->layer[i];
    PGD_TRY(load_vector(l, PGD_W_ATTN_NORM, i, 1, &w->attn_norm));
    PGD_TRY(load_matrix(l, PGD_W_QKV, i, &w->qkv));
    PGD_TRY(load_vector(l, PGD_W_QKV_BIAS, i, 0, &w->qkv_bias));
    PGD_TRY(load_vector(l, PGD_W_Q_NORM, i, 1, &w->q_norm));
    PGD_TRY(load_vector(l, PGD_W_K_NORM, i, 1, &w->k_norm));
    PGD_TRY(load_matrix(l, PGD_W_O, i, &w->o));
    PGD_TRY(load_vector(l, PGD_W_O_BIAS, i, 0, &w->o_bias));
    PGD_TRY(load_vector(l, PGD_W_FFN_NORM, i, 1, &w->ffn_norm));
    PGD_TRY(load_matrix(l, PGD_W_GATE_UP, i, &w->gate_up));
    PGD_TRY(load_vector(l, PGD_W_GATE_UP_BIAS, i, 0, &w->gate_up_bias));
    PGD_TRY(load_matrix(l, PGD_W_DOWN, i, &w->down));
    return load_vector(l, PGD_W_DOWN_BIAS, i, 0, &w->down_bias);
}

pgd_status loader_load(const pgd_model *model, devmem *mem, _Atomic uint32_t *progress,
                       exec_weights *out, pgd_error *err) {
    loader l = {.model = model,
                .spec = pgd_model_get_spec(model),
                .mem = mem,
                .progress = progress,
                .all = pgd_model_weight_bytes(model),
                .out = out,
                .err = err};
    *out = (exec_weights){.n_layers = l.spec->n_layers};
    out->layer = pgd_calloc(out->n_layers, sizeof *out->layer);
    if (!out->layer) return pgd_fail(err, PGD_E_NOMEM, "no memory for the table of layers");
    PGD_TRY(load_embedding(&l));
    for (uint32_t i = 0; i < out->n_layers; i++)
        if (load_layer(&l, i) != PGD_OK) return pgd_wrap(err, "layer %u", i);
    PGD_TRY(load_vector(&l, PGD_W_FINAL_NORM, 0, 1, &out->final_norm));
    PGD_TRY(load_matrix(&l, PGD_W_LM_HEAD, 0, &out->lm_head));
    pgd_model_weights_idle(model);
    if (progress) atomic_store_explicit(progress, 1000, memory_order_relaxed);
    return PGD_OK;
}

void loader_free(pgd_device *dev, exec_weights *w) {
    for (uint32_t i = 0; w->layer && i < w->n_layers; i++) {
        layer_weights *const x = &w->layer[i];
        pgd_weight *const all[] = {&x->qkv, &x->o, &x->gate_up, &x->down};
        for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
            if (all[j]->data) dev->free_weight(dev, all[j]);
    }
    if (w->lm_head.data) dev->free_weight(dev, &w->lm_head);
    pgd_free(w->layer);
    *w = (exec_weights){0};
}

uint64_t loader_estimate(const pgd_model *model, const pgd_device *dev) {
    const pgd_model_spec *const s = pgd_model_get_spec(model);
    uint64_t bytes = 0;
    for (uint32_t layer = 0; layer < s->n_layers; layer++)
        for (uint32_t k = 0; k < PGD_W_N; k++) {
            const bool global = k == PGD_W_EMBED || k == PGD_W_FINAL_NORM || k == PGD_W_LM_HEAD;
            pgd_slot_parts p;
            if ((global && layer > 0) || !pgd_model_has_slot(model, (pgd_slot_kind)k)) continue;
            pgd_model_slot(model, (pgd_slot_kind)k, layer, &p);
            if (k == PGD_W_EMBED && stays_mapped(&p.part[0], dev)) continue;
            for (uint32_t i = 0; i < p.n_parts; i++) {
                const uint64_t cols = p.part[i].ndim > 1 ? p.part[i].shape[1] : 1;
                const pgd_dtype t = p.part[i].ndim > 1 ? s->dtype : PGD_F32;
                bytes += p.part[i].shape[0] * cols * pgd_dtype_bytes(t);
            }
        }
    return bytes;
}
