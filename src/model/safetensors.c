/* Reader of one safetensors file: 8 bytes of header length (little endian), a JSON header, data.
 *
 * Nothing in the header is believed before it was checked against the size of the file: every range
 * lies inside the data section, its length is what type and shape say, and sorted by offset the
 * ranges tile the section without overlap, hole or remainder (the format demands it; a truncated
 * download fails here, at the first look, and not as noise in the output). Weights are never
 * copied: a tensor is a view of the mapped file. Offsets need not be aligned, so neither are views.
 * Immutable after open, shared read-only. Does not know which tensors a model needs. */
#include "safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/fs.h"
#include "pagoda/json.h"
#include "pagoda/map.h"
#include "pagoda/mem.h"

enum { ST_MAX_HEADER_BYTES = 100 * 1000 * 1000 };

struct st_file {
    char *path;
    pgd_fs_map map; /* {NULL, 0} when the bytes are borrowed */
    pgd_json_doc *header;
    pgd_strmap *by_name; /* name → index */
    st_tensor *tensor;   /* owned, [n], sorted by begin */
    size_t n;
};

typedef struct st_type {
    const char *name;
    uint32_t bits;
    bool is_float;
    pgd_dtype dtype;
} st_type;

static const st_type st_types[] = {
    {"F32", 32, true, PGD_F32},    {"BF16", 16, true, PGD_BF16},  {"F16", 16, true, PGD_F16},
    {"F64", 64, false, PGD_F32},   {"I64", 64, false, PGD_I32},   {"U64", 64, false, PGD_I32},
    {"I32", 32, false, PGD_I32},   {"U32", 32, false, PGD_I32},   {"I16", 16, false, PGD_I32},
    {"U16", 16, false, PGD_I32},   {"I8", 8, false, PGD_U8},      {"U8", 8, false, PGD_U8},
    {"BOOL", 8, false, PGD_U8},    {"F8_E4M3", 8, false, PGD_U8}, {"F8_E5M2", 8, false, PGD_U8},
    {"F8_E8M0", 8, false, PGD_U8},
};

static pgd_status parse_type(const st_file *f, st_tensor *t, const pgd_json *v, uint32_t *bits,
                             pgd_error *err) {
    pgd_sv s = {NULL, 0};
    if (!pgd_json_as_str(pgd_json_get(v, "dtype"), &s))
        return pgd_fail(err, PGD_E_FORMAT, "%s: tensor '%.*s' has no dtype string", f->path,
                        (int)t->name.n, t->name.p);
    for (size_t i = 0; i < sizeof st_types / sizeof st_types[0]; i++) {
        if (!pgd_sv_eq(s, pgd_sv_c(st_types[i].name))) continue;
        t->is_float = st_types[i].is_float;
        t->dtype = st_types[i].dtype;
        t->type_name = st_types[i].name;
        *bits = st_types[i].bits;
        return PGD_OK;
    }
    return pgd_fail(err, PGD_E_UNSUPPORTED,
                    "%s: tensor '%.*s' has dtype \"%.*s\", expected BF16, F16 or F32", f->path,
                    (int)t->name.n, t->name.p, (int)(s.n > 32 ? 32 : s.n), s.p);
}

/* Fills shape; *bytes becomes the product with the element size, checked for overflow. */
static pgd_status parse_shape(const st_file *f, st_tensor *t, const pgd_json *v, uint32_t bits,
                              size_t *bytes, pgd_error *err) {
    const pgd_json *shape = pgd_json_get(v, "shape");
    if (!shape || pgd_json_typeof(shape) != PGD_JSON_ARRAY || pgd_json_count(shape) > ST_MAX_DIMS)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: tensor '%.*s': shape is not an array of at most %d dimensions",
                        f->path, (int)t->name.n, t->name.p, ST_MAX_DIMS);
    size_t total = bits / 8;
    bool fits = true;
    for (const pgd_json *d = pgd_json_first(shape); d; d = pgd_json_next(d)) {
        int64_t dim;
        if (!pgd_json_as_i64(d, &dim) || dim < 0)
            return pgd_fail(err, PGD_E_FORMAT,
                            "%s: tensor '%.*s': dimension %" PRIu32
                            " is not a whole number that fits 63 bits",
                            f->path, (int)t->name.n, t->name.p, t->ndim);
        t->shape[t->ndim++] = (uint64_t)dim;
        fits = fits && pgd_mul_size(total, (size_t)dim, &total);
    }
    if (!fits)
        return pgd_fail(err, PGD_E_FORMAT, "%s: tensor '%.*s': the product of its shape overflows",
                        f->path, (int)t->name.n, t->name.p);
    *bytes = total;
    return PGD_OK;
}

static pgd_status parse_offsets(const st_file *f, st_tensor *t, const pgd_json *v, size_t bytes,
                                uint64_t data_bytes, pgd_error *err) {
    const pgd_json *off = pgd_json_get(v, "data_offsets");
    const pgd_json *first = pgd_json_first(off);
    int64_t b, e;
    if (!off || pgd_json_typeof(off) != PGD_JSON_ARRAY || pgd_json_count(off) != 2 ||
        !pgd_json_as_i64(first, &b) || !pgd_json_as_i64(pgd_json_next(first), &e) || b < 0 || e < b)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: tensor '%.*s': data_offsets is not [begin, end] with begin <= end",
                        f->path, (int)t->name.n, t->name.p);
    t->begin = (uint64_t)b;
    t->end = (uint64_t)e;
    if (t->end > data_bytes)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: tensor '%.*s' ends at byte %" PRIu64
                        " of the data, but the file holds %" PRIu64 ": is it complete?",
                        f->path, (int)t->name.n, t->name.p, t->end, data_bytes);
    if (t->end - t->begin != bytes)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: tensor '%.*s' spans %" PRIu64 " bytes, its type and shape need %zu",
                        f->path, (int)t->name.n, t->name.p, t->end - t->begin, bytes);
    return PGD_OK;
}

static int by_begin(const void *a, const void *b) {
    const st_tensor *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return 0;
}

/* Sorted by offset, each tensor starts where the one before ended. */
static pgd_status check_tiling(const st_file *f, uint64_t data_bytes, pgd_error *err) {
    uint64_t at = 0;
    for (size_t i = 0; i < f->n; i++) {
        const st_tensor *t = &f->tensor[i];
        if (t->begin != at)
            return pgd_fail(err, PGD_E_FORMAT,
                            "%s: tensor '%.*s' begins at byte %" PRIu64
                            " of the data, expected %" PRIu64 " (%s)",
                            f->path, (int)t->name.n, t->name.p, t->begin, at,
                            t->begin < at ? "overlaps the tensor before it" : "a hole");
        at = t->end;
    }
    if (at != data_bytes)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: the file holds %" PRIu64 " bytes of data, its tensors end at %" PRIu64,
                        f->path, data_bytes, at);
    return PGD_OK;
}

static pgd_status index_names(st_file *f, pgd_error *err) {
    if (pgd_strmap_create(&f->by_name, f->n) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "%s: no memory for %zu tensor names", f->path, f->n);
    for (size_t i = 0; i < f->n; i++) {
        uint64_t seen;
        if (pgd_strmap_get(f->by_name, f->tensor[i].name, &seen))
            return pgd_fail(err, PGD_E_FORMAT, "%s: tensor '%.*s' is in the header twice", f->path,
                            (int)f->tensor[i].name.n, f->tensor[i].name.p);
        if (pgd_strmap_put(f->by_name, f->tensor[i].name, i) != PGD_OK)
            return pgd_fail(err, PGD_E_NOMEM, "%s: no memory for tensor names", f->path);
    }
    return PGD_OK;
}

static pgd_status parse_header(st_file *f, const uint8_t *data, uint64_t data_bytes,
                               pgd_error *err) {
    const pgd_json *root = pgd_json_root(f->header);
    if (pgd_json_typeof(root) != PGD_JSON_OBJECT)
        return pgd_fail(err, PGD_E_FORMAT, "%s: the header is %s, expected an object", f->path,
                        pgd_json_type_name(root));
    f->tensor = pgd_calloc(pgd_json_count(root), sizeof *f->tensor);
    if (!f->tensor) return pgd_fail(err, PGD_E_NOMEM, "%s: no memory for the header", f->path);
    for (const pgd_json *v = pgd_json_first(root); v; v = pgd_json_next(v)) {
        st_tensor *t = &f->tensor[f->n];
        t->name = pgd_sv_c(pgd_json_key(v));
        if (pgd_sv_eq(t->name, PGD_SV("__metadata__"))) continue;
        if (pgd_json_typeof(v) != PGD_JSON_OBJECT)
            return pgd_fail(err, PGD_E_FORMAT, "%s: tensor '%.*s' is %s, expected an object",
                            f->path, (int)t->name.n, t->name.p, pgd_json_type_name(v));
        uint32_t bits = 0;
        size_t bytes = 0;
        PGD_TRY(parse_type(f, t, v, &bits, err));
        PGD_TRY(parse_shape(f, t, v, bits, &bytes, err));
        PGD_TRY(parse_offsets(f, t, v, bytes, data_bytes, err));
        t->data = data + t->begin;
        f->n++;
    }
    qsort(f->tensor, f->n, sizeof *f->tensor, by_begin);
    PGD_TRY(check_tiling(f, data_bytes, err));
    return index_names(f, err);
}

static pgd_status open_header(st_file *f, const uint8_t *bytes, size_t n, pgd_error *err) {
    if (n < 8)
        return pgd_fail(err, PGD_E_FORMAT, "%s: %zu bytes, expected at least 8 (header length)",
                        f->path, n);
    uint64_t len = 0;
    for (int i = 7; i >= 0; i--)
        len = len << 8 | bytes[i];
    if (len > ST_MAX_HEADER_BYTES || len > n - 8)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: header length is %" PRIu64
                        ", expected at most %zu (the file holds %zu "
                        "bytes)",
                        f->path, len, n - 8 < ST_MAX_HEADER_BYTES ? n - 8 : ST_MAX_HEADER_BYTES, n);
    const pgd_sv text = {(const char *)bytes + 8, (size_t)len};
    if (pgd_json_parse(text, &pgd_json_limits_file, &f->header, err) != PGD_OK)
        return pgd_wrap(err, "%s: header", f->path);
    return parse_header(f, bytes + 8 + len, n - 8 - len, err);
}

static pgd_status st_create(const char *path, st_file **out, pgd_error *err) {
    st_file *f = pgd_calloc(1, sizeof *f);
    if (f) f->path = pgd_strndup(path, strlen(path));
    if (!f || !f->path) {
        pgd_free(f);
        return pgd_fail(err, PGD_E_NOMEM, "%s: no memory", path);
    }
    *out = f;
    return PGD_OK;
}

pgd_status st_open_bytes(const char *name, const uint8_t *bytes, size_t n, st_file **out,
                         pgd_error *err) {
    st_file *f = NULL;
    *out = NULL;
    PGD_TRY(st_create(name, &f, err));
    const pgd_status s = open_header(f, bytes, n, err);
    if (s != PGD_OK) st_close(&f);
    *out = f;
    return s;
}

pgd_status st_open(const char *path, st_file **out, pgd_error *err) {
    st_file *f = NULL;
    *out = NULL;
    PGD_TRY(st_create(path, &f, err));
    pgd_status s = pgd_fs_map_open(path, &f->map, err);
    if (s == PGD_OK) s = open_header(f, f->map.data, f->map.bytes, err);
    if (s != PGD_OK) st_close(&f);
    *out = f;
    return s;
}

void st_close(st_file **f) {
    if (!*f) return;
    pgd_strmap_destroy(&(*f)->by_name);
    pgd_free((*f)->tensor);
    pgd_json_free(&(*f)->header);
    pgd_fs_map_close(&(*f)->map);
    pgd_free((*f)->path);
    pgd_free(*f);
    *f = NULL;
}

void st_idle(const st_file *f) {
    pgd_fs_map_idle(&f->map);
}

const char *st_path(const st_file *f) {
    return f->path;
}

size_t st_count(const st_file *f) {
    return f->n;
}

const st_tensor *st_at(const st_file *f, size_t i) {
    return &f->tensor[i];
}

const st_tensor *st_find(const st_file *f, pgd_sv name) {
    uint64_t i;
    return pgd_strmap_get(f->by_name, name, &i) ? &f->tensor[i] : NULL;
}
