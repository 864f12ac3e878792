/* An open model folder: spec, generation defaults, and every slot resolved.
 *
 * All checks happen in open, so that pgd_model_slot cannot fail and the loader only moves bytes.
 * With dummy weights no weight file is looked at: slots have shapes and no data. Immutable after
 * open, shared read-only. Knows no device. */
#include "pagoda/model.h"

#include "arch.h"
#include "pagoda/fs.h"
#include "pagoda/mem.h"
#include "weights.h"

enum { MAX_CONFIG_BYTES = 4 << 20, MAX_PATH = 4096 };

struct pgd_model {
    pgd_model_spec spec;
    pgd_generation_config generation;
    weights *w;           /* owned; NULL with dummy weights */
    pgd_slot_parts *slot; /* owned, [n_layers][PGD_W_N]; global slots in layer 0 */
    uint64_t bytes;
};

static pgd_status read_json(const char *dir, const char *name, pgd_buf *out, pgd_error *err) {
    char path[MAX_PATH];
    PGD_TRY(pgd_fs_join(path, sizeof path, dir, name, err));
    return pgd_fs_read(path, MAX_CONFIG_BYTES, out, err);
}

static pgd_status read_spec(pgd_model *m, const char *dir, pgd_error *err) {
    pgd_buf text = {0};
    char path[MAX_PATH];
    pgd_status s = read_json(dir, "config.json", &text, err);
    if (s == PGD_OK) {
        s = pgd_model_spec_parse(text.p, text.n, &m->spec, err);
        if (s != PGD_OK) s = pgd_wrap(err, "%s", dir);
    }
    pgd_buf_clear(&text);
    if (s == PGD_OK) s = pgd_fs_join(path, sizeof path, dir, "generation_config.json", err);
    if (s == PGD_OK && pgd_fs_exists(path))
        s = read_json(dir, "generation_config.json", &text, err);
    if (s == PGD_OK) {
        s = pgd_generation_parse(text.p, text.n, &m->spec, &m->generation, err);
        if (s != PGD_OK) s = pgd_wrap(err, "%s", dir);
    }
    pgd_buf_fini(&text);
    return s;
}

static void dummy_slot(const pgd_model_spec *s, pgd_slot_kind kind, pgd_slot_parts *out) {
    out->n_parts = slot_n_parts(kind);
    for (uint32_t p = 0; p < out->n_parts; p++)
        out->part[p] = slot_part_shape(s, kind, p);
}

static pgd_status resolve_slot(pgd_model *m, pgd_slot_kind kind, uint32_t layer, pgd_error *err) {
    pgd_slot_parts *out = &m->slot[(size_t)layer * PGD_W_N + kind];
    if (!slot_exists(&m->spec, kind)) return PGD_OK;
    if (m->w)
        PGD_TRY(weights_slot(m->w, &m->spec, kind, layer, out, err));
    else
        dummy_slot(&m->spec, kind, out);
    if (kind == PGD_W_LM_HEAD && m->spec.tied_embeddings) return PGD_OK;
    for (uint32_t p = 0; p < out->n_parts; p++) {
        size_t bytes;
        PGD_TRY(pgd_tensor_bytes(&out->part[p], &bytes));
        m->bytes += bytes;
    }
    return PGD_OK;
}

static pgd_status resolve(pgd_model *m, pgd_error *err) {
    m->slot = pgd_calloc((size_t)m->spec.n_layers * PGD_W_N, sizeof *m->slot);
    if (!m->slot) return pgd_fail(err, PGD_E_NOMEM, "no memory for the table of weights");
    for (uint32_t layer = 0; layer < m->spec.n_layers; layer++)
        for (uint32_t k = 0; k < PGD_W_N; k++)
            if (layer == 0 || !arch_slot_is_global((pgd_slot_kind)k))
                PGD_TRY(resolve_slot(m, (pgd_slot_kind)k, layer, err));
    return m->w ? weights_check_unused(m->w, &m->spec, err) : PGD_OK;
}

static pgd_status open_all(pgd_model *m, const char *dir, unsigned flags, pgd_error *err) {
    if (!pgd_fs_is_dir(dir))
        return pgd_fail(err, PGD_E_NOT_FOUND, "%s: no such folder, expected a model folder", dir);
    PGD_TRY(read_spec(m, dir, err));
    if (flags & PGD_MODEL_DUMMY_WEIGHTS) {
        if (m->spec.dtype == PGD_DTYPE_N) m->spec.dtype = PGD_BF16;
    } else {
        PGD_TRY(weights_open(dir, &m->w, err));
        if (m->spec.dtype == PGD_DTYPE_N) PGD_TRY(weights_dtype(m->w, &m->spec.dtype, err));
    }
    return resolve(m, err);
}

pgd_status pgd_model_open(const char *dir, unsigned flags, pgd_model **out, pgd_error *err) {
    pgd_model *m = pgd_calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return pgd_fail(err, PGD_E_NOMEM, "%s: no memory", dir);
    const pgd_status s = open_all(m, dir, flags, err);
    if (s != PGD_OK) pgd_model_close(&m);
    *out = m;
    return s;
}

void pgd_model_close(pgd_model **m) {
    if (!*m) return;
    weights_close(&(*m)->w);
    pgd_free((*m)->slot);
    pgd_free(*m);
    *m = NULL;
}

void pgd_model_weights_idle(const pgd_model *m) {
    if (m->w) weights_idle(m->w);
}

const pgd_model_spec *pgd_model_get_spec(const pgd_model *m) {
    return &m->spec;
}

const pgd_generation_config *pgd_model_get_generation(const pgd_model *m) {
    return &m->generation;
}

bool pgd_model_is_dummy(const pgd_model *m) {
    return m->w == NULL;
}

bool pgd_model_has_slot(const pgd_model *m, pgd_slot_kind kind) {
    return slot_exists(&m->spec, kind);
}

void pgd_model_slot(const pgd_model *m, pgd_slot_kind kind, uint32_t layer, pgd_slot_parts *out) {
    const uint32_t at = arch_slot_is_global(kind) ? 0 : layer;
    PGD_ASSERT(at < m->spec.n_layers && slot_exists(&m->spec, kind));
    *out = m->slot[(size_t)at * PGD_W_N + kind];
}

uint64_t pgd_model_weight_bytes(const pgd_model *m) {
    return m->bytes;
}
