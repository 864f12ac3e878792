/* Tensor names → slots.
 *
 * Owns the open weight files. A name resolves to a file through the index of a sharded model, or to
 * the one file there is; then shape and type are checked against what the spec says, so that the
 * loader never sees a wrong tensor. Tensors that no slot asked for are refused, except the
 * redundant ones that old exporters wrote: ignoring an unknown bias or scale would give wrong text
 * without a word. File names in an index are untrusted: plain names inside the folder only. */
#include "weights.h"

#include <stdio.h>
#include <string.h>

#include "arch.h"
#include "pagoda/fs.h"
#include "pagoda/json.h"
#include "pagoda/map.h"
#include "pagoda/mem.h"

enum { MAX_SHARDS = 4096, MAX_INDEX_BYTES = 256 << 20, MAX_NAME = 128, MAX_PATH = 4096 };

struct weights {
    st_file **file; /* owned, [n_files] */
    bool **used;    /* [n_files][tensors of the file] */
    uint32_t n_files;
    pgd_buf index_text;
    pgd_json_doc *index;
    pgd_strmap *shard_of; /* tensor name → file; NULL for one file */
};

static pgd_status add_file(weights *w, const char *path, pgd_error *err) {
    st_file **file = pgd_realloc(w->file, (w->n_files + 1) * sizeof *file);
    if (file) w->file = file;
    bool **used = pgd_realloc(w->used, (w->n_files + 1) * sizeof *used);
    if (used) w->used = used;
    if (!file || !used) return pgd_fail(err, PGD_E_NOMEM, "%s: no memory", path);
    PGD_TRY(st_open(path, &w->file[w->n_files], err));
    w->used[w->n_files] = pgd_calloc(st_count(w->file[w->n_files]), sizeof(bool));
    const bool ok = w->used[w->n_files] != NULL;
    w->n_files++;
    return ok ? PGD_OK : pgd_fail(err, PGD_E_NOMEM, "%s: no memory", path);
}

/* A plain file name: anything else could reach outside the folder. */
static bool plain_name(pgd_sv s) {
    if (s.n == 0 || s.n >= MAX_NAME || s.p[0] == '.') return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '/' || s.p[i] == '\\') return false;
    return pgd_sv_ends(s, PGD_SV(".safetensors"));
}

static pgd_status map_tensor(weights *w, const char *dir, const char *index_path, pgd_strmap *files,
                             const pgd_json *v, pgd_error *err) {
    const pgd_sv name = pgd_sv_c(pgd_json_key(v));
    pgd_sv file = {NULL, 0};
    uint64_t at, seen;
    if (!pgd_json_as_str(v, &file) || !plain_name(file))
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: weight_map names no plain *.safetensors file for '%.*s'", index_path,
                        (int)(name.n > MAX_NAME ? MAX_NAME : name.n), name.p);
    if (pgd_strmap_get(w->shard_of, name, &seen))
        return pgd_fail(err, PGD_E_FORMAT, "%s: weight_map lists '%.*s' twice", index_path,
                        (int)(name.n > MAX_NAME ? MAX_NAME : name.n), name.p);
    if (!pgd_strmap_get(files, file, &at)) {
        char plain[MAX_NAME], path[MAX_PATH];
        if (w->n_files == MAX_SHARDS)
            return pgd_fail(err, PGD_E_LIMIT, "%s: more than %d shards", index_path, MAX_SHARDS);
        (void)snprintf(plain, sizeof plain, "%.*s", (int)file.n, file.p);
        PGD_TRY(pgd_fs_join(path, sizeof path, dir, plain, err));
        at = w->n_files;
        PGD_TRY(add_file(w, path, err));
        if (pgd_strmap_put(files, file, at) != PGD_OK)
            return pgd_fail(err, PGD_E_NOMEM, "%s: no memory", index_path);
    }
    if (pgd_strmap_put(w->shard_of, name, at) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "%s: no memory", index_path);
    return PGD_OK;
}

static pgd_status open_shards(weights *w, const char *dir, const char *path, pgd_error *err) {
    PGD_TRY(pgd_fs_read(path, MAX_INDEX_BYTES, &w->index_text, err));
    if (pgd_json_parse(pgd_buf_sv(&w->index_text), &pgd_json_limits_file, &w->index, err) != PGD_OK)
        return pgd_wrap(err, "%s", path);
    const pgd_json *map = pgd_json_get(pgd_json_root(w->index), "weight_map");
    if (!map || pgd_json_typeof(map) != PGD_JSON_OBJECT || pgd_json_count(map) == 0)
        return pgd_fail(err, PGD_E_FORMAT, "%s: field 'weight_map' is missing, empty or no object",
                        path);
    pgd_strmap *files = NULL;
    pgd_status s = PGD_OK;
    if (pgd_strmap_create(&w->shard_of, pgd_json_count(map)) != PGD_OK ||
        pgd_strmap_create(&files, 16) != PGD_OK)
        s = pgd_fail(err, PGD_E_NOMEM, "%s: no memory", path);
    for (const pgd_json *v = pgd_json_first(map); v && s == PGD_OK; v = pgd_json_next(v))
        s = map_tensor(w, dir, path, files, v, err);
    pgd_strmap_destroy(&files);
    return s;
}

static pgd_status open_files(weights *w, const char *dir, pgd_error *err) {
    char one[MAX_PATH], index[MAX_PATH], pickle[MAX_PATH];
    PGD_TRY(pgd_fs_join(one, sizeof one, dir, "model.safetensors", err));
    PGD_TRY(pgd_fs_join(index, sizeof index, dir, "model.safetensors.index.json", err));
    PGD_TRY(pgd_fs_join(pickle, sizeof pickle, dir, "pytorch_model.bin", err));
    if (pgd_fs_exists(one)) return add_file(w, one, err);
    if (pgd_fs_exists(index)) return open_shards(w, dir, index, err);
    if (pgd_fs_exists(pickle))
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "%s: pickled weights are code and are not read; convert the model to "
                        "safetensors",
                        pickle);
    return pgd_fail(err, PGD_E_NOT_FOUND,
                    "%s: holds neither model.safetensors nor model.safetensors.index.json", dir);
}

pgd_status weights_open(const char *dir, weights **out, pgd_error *err) {
    weights *w = pgd_calloc(1, sizeof *w);
    *out = NULL;
    if (!w) return pgd_fail(err, PGD_E_NOMEM, "%s: no memory", dir);
    const pgd_status s = open_files(w, dir, err);
    if (s != PGD_OK) weights_close(&w);
    *out = w;
    return s;
}

void weights_close(weights **w) {
    if (!*w) return;
    for (uint32_t i = 0; i < (*w)->n_files; i++) {
        st_close(&(*w)->file[i]);
        pgd_free((*w)->used[i]);
    }
    pgd_strmap_destroy(&(*w)->shard_of);
    pgd_json_free(&(*w)->index);
    pgd_buf_fini(&(*w)->index_text);
    pgd_free((*w)->file);
    pgd_free((*w)->used);
    pgd_free(*w);
    *w = NULL;
}

void weights_idle(const weights *w) {
    for (uint32_t i = 0; i < w->n_files; i++)
        st_idle(w->file[i]);
}

static const st_tensor *find(const weights *w, const char *name, uint32_t *file) {
    uint64_t at = 0;
    const pgd_sv key = pgd_sv_c(name);
    if (w->shard_of && !pgd_strmap_get(w->shard_of, key, &at)) return NULL;
    *file = (uint32_t)at;
    return st_find(w->file[at], key);
}

pgd_status weights_dtype(const weights *w, pgd_dtype *out, pgd_error *err) {
    const char *name = arch_tensor_name(PGD_W_EMBED, 0);
    uint32_t file = 0;
    const st_tensor *t = find(w, name, &file);
    if (!t || !t->is_float)
        return pgd_fail(err, PGD_E_FORMAT, "%s: tensor '%s' is missing or not of a float type",
                        st_path(w->file[file]), name);
    *out = t->dtype;
    return PGD_OK;
}

bool slot_exists(const pgd_model_spec *s, pgd_slot_kind kind) {
    switch (kind) {
    case PGD_W_QKV_BIAS:
        return s->qkv_bias;
    case PGD_W_O_BIAS:
        return s->o_bias;
    case PGD_W_GATE_UP_BIAS:
    case PGD_W_DOWN_BIAS:
        return s->mlp_bias;
    case PGD_W_Q_NORM:
    case PGD_W_K_NORM:
        return s->qk_norm;
    default:
        return kind < PGD_W_N;
    }
}

uint32_t slot_n_parts(pgd_slot_kind kind) {
    uint32_t n = 0;
    while (n < PGD_SLOT_MAX_PARTS && arch_tensor_name(kind, n))
        n++;
    return n;
}

pgd_tensor slot_part_shape(const pgd_model_spec *s, pgd_slot_kind kind, uint32_t part) {
    const uint64_t d = s->d_model, hd = s->head_dim;
    const uint64_t qkv_rows = part == 0 ? s->n_heads * hd : s->n_kv_heads * hd;
    switch (kind) {
    case PGD_W_EMBED:
    case PGD_W_LM_HEAD:
        return pgd_tensor_2d(NULL, s->dtype, s->vocab_size, d);
    case PGD_W_FINAL_NORM:
    case PGD_W_ATTN_NORM:
    case PGD_W_FFN_NORM:
    case PGD_W_O_BIAS:
    case PGD_W_DOWN_BIAS:
        return pgd_tensor_1d(NULL, s->dtype, d);
    case PGD_W_QKV:
        return pgd_tensor_2d(NULL, s->dtype, qkv_rows, d);
    case PGD_W_QKV_BIAS:
        return pgd_tensor_1d(NULL, s->dtype, qkv_rows);
    case PGD_W_Q_NORM:
    case PGD_W_K_NORM:
        return pgd_tensor_1d(NULL, s->dtype, hd);
    case PGD_W_O:
        return pgd_tensor_2d(NULL, s->dtype, d, s->n_heads * hd);
    case PGD_W_GATE_UP:
        return pgd_tensor_2d(NULL, s->dtype, s->d_ff, d);
    case PGD_W_GATE_UP_BIAS:
        return pgd_tensor_1d(NULL, s->dtype, s->d_ff);
    case PGD_W_DOWN:
        return pgd_tensor_2d(NULL, s->dtype, d, s->d_ff);
    case PGD_W_N:
        break;
    }
    PGD_ASSERT(false); /* the enum has no other value */
    return (pgd_tensor){0};
}

static void shape_text(char *out, size_t n, uint32_t ndim, const uint64_t *shape) {
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < ndim && at < n; i++) {
        const int w =
            snprintf(out + at, n - at, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
        at += w > 0 ? (size_t)w : 0;
    }
}

static pgd_status check_tensor(const char *path, const char *name, const st_tensor *t,
                               const pgd_tensor *want, pgd_error *err) {
    if (!t->is_float)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "%s: tensor '%s' has dtype %s, expected BF16, F16 or F32", path, name,
                        t->type_name);
    if (t->ndim == want->ndim && memcmp(t->shape, want->shape, t->ndim * sizeof t->shape[0]) == 0)
        return PGD_OK;
    char got[96], expected[96];
    shape_text(got, sizeof got, t->ndim, t->shape);
    shape_text(expected, sizeof expected, want->ndim, want->shape);
    return pgd_fail(err, PGD_E_FORMAT, "%s: tensor '%s' has shape [%s], config.json makes it [%s]",
                    path, name, got, expected);
}

pgd_status weights_slot(weights *w, const pgd_model_spec *s, pgd_slot_kind kind, uint32_t layer,
                        pgd_slot_parts *out, pgd_error *err) {
    const pgd_slot_kind source = kind == PGD_W_LM_HEAD && s->tied_embeddings ? PGD_W_EMBED : kind;
    out->n_parts = slot_n_parts(source);
    for (uint32_t p = 0; p < out->n_parts; p++) {
        char name[MAX_NAME];
        uint32_t file = 0;
        if (arch_slot_is_global(source))
            (void)snprintf(name, sizeof name, "%s", arch_tensor_name(source, p));
        else
            (void)snprintf(name, sizeof name, "model.layers.%u.%s", layer,
                           arch_tensor_name(source, p));
        const st_tensor *t = find(w, name, &file);
        const char *path = st_path(w->file[file]);
        if (!t)
            return pgd_fail(err, PGD_E_FORMAT, "%s: tensor '%s' is missing, %s needs it", path,
                            name, s->architecture);
        out->part[p] = slot_part_shape(s, source, p);
        PGD_TRY(check_tensor(path, name, t, &out->part[p], err));
        out->part[p].dtype = t->dtype;
        /* A view of read-only memory in a type that also describes buffers: nobody writes it. */
        out->part[p].data = (void *)(uintptr_t)t->data;
        w->used[file][t - st_at(w->file[file], 0)] = true;
    }
    return PGD_OK;
}

/* Written by old exporters and derived from config.json, or the head of a tied model. */
static bool redundant(pgd_sv name, const pgd_model_spec *s) {
    return pgd_sv_ends(name, PGD_SV("rotary_emb.inv_freq")) ||
           (s->tied_embeddings && pgd_sv_eq(name, PGD_SV("lm_head.weight")));
}

pgd_status weights_check_unused(const weights *w, const pgd_model_spec *s, pgd_error *err) {
    for (uint32_t i = 0; i < w->n_files; i++)
        for (size_t j = 0; j < st_count(w->file[i]); j++) {
            const st_tensor *t = st_at(w->file[i], j);
            if (w->used[i][j] || redundant(t->name, s)) continue;
            return pgd_fail(err, PGD_E_UNSUPPORTED,
                            "%s: tensor '%.*s' is not part of a %s as config.json describes it",
                            st_path(w->file[i]), (int)(t->name.n > MAX_NAME ? MAX_NAME : t->name.n),
                            t->name.p, s->architecture);
        }
    return PGD_OK;
}
