/* Vocabularies: strings to ids and back.
 *
 * Strings are copied to the tokenizer's arena; the hash map borrows them. Ids size an array, so
 * they are bounded before anything is allocated. Thread: the loader's while parsing, then any. Does
 * not know about added tokens. */
#include <stdio.h>

#include "tok_model.h"

static void destroy_strmap(void *arg) {
    pgd_strmap *m = arg;
    pgd_strmap_destroy(&m);
}

pgd_status pgd_tok_strmap(pgd_arena *arena, size_t hint, pgd_strmap **out) {
    PGD_TRY(pgd_strmap_create(out, hint));
    const pgd_status st = pgd_arena_cleanup(arena, destroy_strmap, *out);
    if (st != PGD_OK) pgd_strmap_destroy(out);
    return st;
}

static pgd_status largest_id(const pgd_json *obj, const pgd_tj_path *at, pgd_tok_vocab *v,
                             pgd_error *err) {
    for (const pgd_json *e = pgd_json_first(obj); e != NULL; e = pgd_json_next(e)) {
        int64_t id = 0;
        if (!pgd_json_as_i64(e, &id) || id < 0 || id > PGD_TOK_MAX_ID) {
            return pgd_fail(err, PGD_E_FORMAT, "%s[\"%.60s\"]: wanted an id between 0 and %d",
                            at->s, pgd_json_key(e), PGD_TOK_MAX_ID);
        }
        if ((size_t)id >= v->n_ids) v->n_ids = (size_t)id + 1;
        v->n_entries++;
    }
    /* ids size arrays: a few bytes of file must not ask for gigabytes */
    if (v->n_ids > 16 * v->n_entries + 65536) {
        return pgd_fail(err, PGD_E_FORMAT, "%s: largest id %zu in a vocabulary of %zu tokens",
                        at->s, v->n_ids - 1, v->n_entries);
    }
    return PGD_OK;
}

pgd_status pgd_tok_vocab_parse(const pgd_json *obj, const pgd_tj_path *at, pgd_arena *arena,
                               pgd_tok_vocab *out, pgd_error *err) {
    *out = (pgd_tok_vocab){0};
    if (obj == NULL || pgd_json_typeof(obj) != PGD_JSON_OBJECT) {
        return pgd_tj_wrong(obj, at, "", "an object", err);
    }
    PGD_TRY(largest_id(obj, at, out, err));
    out->str = pgd_arena_array(arena, out->n_ids + 1, sizeof *out->str);
    if (out->str == NULL || pgd_tok_strmap(arena, out->n_entries, &out->ids) != PGD_OK) {
        return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    for (const pgd_json *e = pgd_json_first(obj); e != NULL; e = pgd_json_next(e)) {
        int64_t id = 0;
        pgd_sv s;
        (void)pgd_json_as_i64(e, &id);
        if (pgd_tj_copy(arena, pgd_sv_c(pgd_json_key(e)), &s) != PGD_OK ||
            pgd_strmap_put(out->ids, s, (uint64_t)id) != PGD_OK) {
            return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        }
        out->str[id] = s;
    }
    out->n_entries = pgd_strmap_count(out->ids);
    return PGD_OK;
}

void pgd_tok_vocab_bytes(const pgd_tok_vocab *v, int32_t out[256]) {
    for (unsigned b = 0; b < 256; b++) {
        char s[8];
        (void)snprintf(s, sizeof s, "<0x%02X>", b);
        out[b] = pgd_tok_vocab_id(v, pgd_sv_c(s));
    }
}
