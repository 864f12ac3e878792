/* Typed reads of tokenizer.json members.
 *
 * Every message says which member, what stands there and what was wanted, since these files come
 * from anywhere. Strings are copied to the tokenizer's arena because the document is freed after
 * loading. Thread: the loader's. Does not know what any member means. */
#include "tok_json.h"

#include <stdio.h>

enum { MAX_DEPTH = 8 }; /* of Sequences in each other */

pgd_tj_path pgd_tj_root(const char *name) {
    pgd_tj_path p;
    (void)snprintf(p.s, sizeof p.s, "%s", name);
    return p;
}

pgd_tj_path pgd_tj_item(const pgd_tj_path *parent, const char *key, size_t index) {
    pgd_tj_path p;
    (void)snprintf(p.s, sizeof p.s, "%.150s.%s[%zu]", parent->s, key, index);
    return p;
}

pgd_status pgd_tj_copy(pgd_arena *arena, pgd_sv s, pgd_sv *out) {
    char *const p = pgd_arena_strndup(arena, s.p == NULL ? "" : s.p, s.n);
    if (p == NULL) return PGD_E_NOMEM;
    *out = (pgd_sv){p, s.n};
    return PGD_OK;
}

pgd_status pgd_tj_wrong(const pgd_json *got, const pgd_tj_path *at, const char *key,
                        const char *wanted, pgd_error *err) {
    return pgd_fail(err, PGD_E_FORMAT, "%s%s%s is %s, wanted %s", at->s, *key == '\0' ? "" : ".",
                    key, got == NULL ? "absent" : pgd_json_type_name(got), wanted);
}

pgd_status pgd_tj_unknown(pgd_sv type, const pgd_tj_path *at, const char *what, pgd_error *err) {
    return pgd_fail(err, PGD_E_UNSUPPORTED, "%s.type \"%.*s\": no such %s here", at->s,
                    (int)(type.n < 60 ? type.n : 60), type.p == NULL ? "" : type.p, what);
}

pgd_status pgd_tj_type(const pgd_json *obj, const pgd_tj_path *at, pgd_sv *out, pgd_error *err) {
    if (pgd_json_is_null(obj) || pgd_json_typeof(obj) != PGD_JSON_OBJECT) {
        return pgd_tj_wrong(obj, at, "", "an object", err);
    }
    const pgd_json *const v = pgd_json_get(obj, "type");
    if (!pgd_json_as_str(v, out)) return pgd_tj_wrong(v, at, "type", "a string", err);
    return PGD_OK;
}

pgd_status pgd_tj_opt_str(const pgd_json *obj, const pgd_tj_path *at, const char *key,
                          pgd_arena *arena, pgd_sv *out, pgd_error *err) {
    *out = (pgd_sv){0};
    const pgd_json *const v = pgd_json_get(obj, key);
    if (pgd_json_is_null(v)) return PGD_OK;
    pgd_sv s;
    if (!pgd_json_as_str(v, &s)) return pgd_tj_wrong(v, at, key, "a string", err);
    if (pgd_tj_copy(arena, s, out) != PGD_OK) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    return PGD_OK;
}

pgd_status pgd_tj_str(const pgd_json *obj, const pgd_tj_path *at, const char *key, pgd_arena *arena,
                      pgd_sv *out, pgd_error *err) {
    PGD_TRY(pgd_tj_opt_str(obj, at, key, arena, out, err));
    if (out->p == NULL) return pgd_tj_wrong(pgd_json_get(obj, key), at, key, "a string", err);
    return PGD_OK;
}

pgd_status pgd_tj_bool(const pgd_json *obj, const pgd_tj_path *at, const char *key, bool fallback,
                       bool *out, pgd_error *err) {
    const pgd_json *const v = pgd_json_get(obj, key);
    *out = fallback;
    if (pgd_json_is_null(v)) return PGD_OK;
    if (!pgd_json_as_bool(v, out)) return pgd_tj_wrong(v, at, key, "a boolean", err);
    return PGD_OK;
}

pgd_status pgd_tj_uint(const pgd_json *obj, const pgd_tj_path *at, const char *key,
                       int64_t fallback, int64_t max, int64_t *out, pgd_error *err) {
    const pgd_json *const v = pgd_json_get(obj, key);
    *out = fallback;
    if (pgd_json_is_null(v)) return PGD_OK;
    if (!pgd_json_as_i64(v, out) || *out < 0 || *out > max) {
        return pgd_fail(err, PGD_E_FORMAT, "%s.%s: wanted an integer between 0 and %lld", at->s,
                        key, (long long)max);
    }
    return PGD_OK;
}

pgd_status pgd_tj_char(const pgd_json *obj, const pgd_tj_path *at, const char *key, uint32_t *out,
                       pgd_error *err) {
    const pgd_json *const v = pgd_json_get(obj, key);
    pgd_sv s;
    if (!pgd_json_as_str(v, &s)) return pgd_tj_wrong(v, at, key, "a string", err);
    if (s.n == 0 || pgd_utf8_decode(s.p, s.n, out) != s.n) {
        return pgd_fail(err, PGD_E_FORMAT, "%s.%s: wanted exactly one character", at->s, key);
    }
    return PGD_OK;
}

static void free_regex(void *re) {
    pgd_tok_regex *r = re;
    pgd_tok_regex_free(&r);
}

pgd_status pgd_tj_regex(pgd_sv pattern, bool literal, const pgd_tj_path *at, const char *key,
                        pgd_arena *arena, pgd_tok_regex **out, pgd_error *err) {
    const pgd_status st = pgd_tok_regex_compile(pattern, literal, out, err);
    if (st != PGD_OK) {
        (void)pgd_wrap(err, "%s.%s", at->s, key); /* err may be NULL: the code is st */
        return st;
    }
    if (pgd_arena_cleanup(arena, free_regex, *out) != PGD_OK) {
        pgd_tok_regex_free(out);
        return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    return PGD_OK;
}

pgd_status pgd_tj_pattern(const pgd_json *obj, const pgd_tj_path *at, const char *key,
                          pgd_arena *arena, pgd_sv *text, pgd_tok_regex **re, pgd_error *err) {
    const pgd_json *const v = pgd_json_get(obj, key);
    pgd_sv s;
    const bool literal = pgd_json_as_str(pgd_json_get(v, "String"), &s);
    *re = NULL;
    if (!literal && !pgd_json_as_str(pgd_json_get(v, "Regex"), &s)) {
        return pgd_tj_wrong(v, at, key, "{\"String\": ...} or {\"Regex\": ...}", err);
    }
    if (pgd_tj_copy(arena, s, text) != PGD_OK) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    if (literal && s.n > 0) return PGD_OK;
    return pgd_tj_regex(*text, literal, at, key, arena, re, err);
}

typedef struct walk {
    const char *list;
    pgd_tj_visit *visit;
    void *ctx;
    pgd_error *err;
} walk;

static pgd_status walk_node(const walk *w, const pgd_json *node, const pgd_tj_path *at, int depth) {
    pgd_sv type = {"", 0};
    if (depth > MAX_DEPTH) return pgd_fail(w->err, PGD_E_LIMIT, "%s: nested too deep", at->s);
    PGD_TRY(pgd_tj_type(node, at, &type, w->err));
    if (!pgd_sv_eq(type, PGD_SV("Sequence"))) return w->visit(w->ctx, node, at, type);
    const pgd_json *const list = pgd_json_get(node, w->list);
    if (list == NULL || pgd_json_typeof(list) != PGD_JSON_ARRAY) {
        return pgd_tj_wrong(list, at, w->list, "an array", w->err);
    }
    size_t i = 0;
    for (const pgd_json *v = pgd_json_first(list); v != NULL; v = pgd_json_next(v)) {
        const pgd_tj_path sub = pgd_tj_item(at, w->list, i++);
        PGD_TRY(walk_node(w, v, &sub, depth + 1));
    }
    return PGD_OK;
}

pgd_status pgd_tj_each(const pgd_json *node, const pgd_tj_path *at, const char *list,
                       pgd_tj_visit *visit, void *ctx, pgd_error *err) {
    const walk w = {list, visit, ctx, err};
    return walk_node(&w, node, at, 0);
}
