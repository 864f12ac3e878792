/* Members of structural tags, read with the path to them: what the 400s name.
 *
 * A reader keeps the path in a buffer that grows on the way in and is cut back on the way out; on
 * an error it stays where it was, at the culprit. Paths longer than the buffer are cut, never
 * wrong. Lists of strings are bounded in number and length, since they are compared with each
 * other and become automata that are intersected. Nothing here knows formats or grammars; strings
 * are borrowed from the request. Thread: a worker. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "structural.h"

enum { MAX_TEXTS = 32, MAX_TEXT_BYTES = 1024 };

/* Append to the path; the returned length is what api_st_leave() goes back to. */
size_t api_st_enter(st_reader *r, const char *fmt, ...) {
    const size_t was = r->path_n;
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(r->path + was, sizeof r->path - was, fmt, ap);
    va_end(ap);
    r->path_n = n < 0 ? was : was + (size_t)n;
    if (r->path_n >= sizeof r->path) r->path_n = sizeof r->path - 1;
    return was;
}

void api_st_leave(st_reader *r, size_t was) {
    r->path_n = was;
    r->path[was] = '\0';
}

pgd_status api_st_name(st_reader *r, pgd_grammar_spec *s) {
    s->name = pgd_arena_strndup(r->arena, r->path + r->base_n + 1, r->path_n - r->base_n - 1);
    return s->name ? PGD_OK : api_fail_nomem(r->e);
}

pgd_status api_st_fail(st_reader *r, const char *fmt, ...) {
    char what[API_MSG_BYTES / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return api_fail(r->e, PGD_E_INVALID, "invalid_value", r->path, "Invalid '%s': %s.", r->path,
                    what);
}

pgd_status api_st_enter_member(st_reader *r, const pgd_json *o, const char *key, pgd_json_type type,
                               const char *want, const pgd_json **out) {
    *out = pgd_json_get(o, key);
    (void)api_st_enter(r, ".%s", key);
    if (pgd_json_is_null(*out)) return api_fail_missing(r->e, r->path);
    if (want && pgd_json_typeof(*out) != type) return api_fail_type(r->e, r->path, want, *out);
    return PGD_OK;
}

pgd_status api_st_text(st_reader *r, const pgd_json *o, const char *key, pgd_sv *out) {
    const size_t was = r->path_n;
    const pgd_json *v;
    PGD_TRY(api_st_enter_member(r, o, key, PGD_JSON_STRING, "a string", &v));
    (void)pgd_json_as_str(v, out);
    api_st_leave(r, was);
    return PGD_OK;
}

pgd_status api_st_flag(st_reader *r, const pgd_json *o, const char *key, bool *out) {
    const size_t was = api_st_enter(r, ".%s", key);
    const pgd_json *const v = pgd_json_get(o, key);
    *out = false;
    if (!pgd_json_is_null(v) && !pgd_json_as_bool(v, out))
        return api_fail_type(r->e, r->path, "a boolean", v);
    api_st_leave(r, was);
    return PGD_OK;
}

bool api_st_among(const st_texts *t, pgd_sv s) {
    for (size_t i = 0; i < t->n; i++)
        if (pgd_sv_eq(t->v[i], s)) return true;
    return false;
}

pgd_status api_st_texts(st_reader *r, const pgd_json *list, bool may_be_empty, st_texts *out) {
    *out = (st_texts){.v = pgd_arena_array(r->arena, MAX_TEXTS, sizeof *out->v)};
    if (!out->v) return api_fail_nomem(r->e);
    size_t i = 0;
    for (const pgd_json *x = pgd_json_first(list); x; x = pgd_json_next(x), i++) {
        const size_t was = api_st_enter(r, "[%zu]", i);
        pgd_sv s;
        if (!pgd_json_as_str(x, &s)) return api_fail_type(r->e, r->path, "a string", x);
        if (!s.n && !may_be_empty) return api_st_fail(r, "must not be empty");
        if (s.n > MAX_TEXT_BYTES)
            return api_st_fail(r, "at most %d bytes are supported", (int)MAX_TEXT_BYTES);
        api_st_leave(r, was);
        if (i == MAX_TEXTS)
            return api_st_fail(r, "at most %d strings are supported", (int)MAX_TEXTS);
        if (!api_st_among(out, s)) out->v[out->n++] = s;
    }
    return PGD_OK;
}

pgd_status api_st_excludes(st_reader *r, const pgd_json *o, st_texts *out) {
    const pgd_json *const v = pgd_json_get(o, "excludes");
    const size_t was = api_st_enter(r, ".excludes");
    *out = (st_texts){0};
    if (!pgd_json_is_null(v)) {
        if (pgd_json_typeof(v) != PGD_JSON_ARRAY)
            return api_fail_type(r->e, r->path, "an array", v);
        PGD_TRY(api_st_texts(r, v, false, out));
    }
    api_st_leave(r, was);
    return PGD_OK;
}

pgd_status api_st_enter_list(st_reader *r, const pgd_json *o, const char *key,
                             const pgd_json **out) {
    PGD_TRY(api_st_enter_member(r, o, key, PGD_JSON_ARRAY, "an array", out));
    if (pgd_json_first(*out)) return PGD_OK;
    return api_fail(r->e, PGD_E_INVALID, "empty_array", r->path,
                    "Invalid '%s': expected at least one element.", r->path);
}

bool api_st_is_type(const pgd_json *v, pgd_sv want) {
    pgd_sv type;
    return pgd_json_as_str(pgd_json_get(v, "type"), &type) && pgd_sv_eq(type, want);
}

/* Whether a member says no more than its absence would. */
static bool says_nothing(const pgd_json *v) {
    bool yes = false;
    if (pgd_json_is_null(v) || (pgd_json_as_bool(v, &yes) && !yes)) return true;
    return pgd_json_typeof(v) == PGD_JSON_ARRAY && !pgd_json_first(v);
}

pgd_status api_st_check_members(st_reader *r, const pgd_json *o, const char *const *known) {
    for (const pgd_json *v = pgd_json_first(o); v; v = pgd_json_next(v)) {
        const char *const key = pgd_json_key(v);
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (known[i] || says_nothing(v)) continue;
        (void)api_st_enter(r, ".%.48s", key);
        return api_fail_unsupported(r->e, r->path);
    }
    return PGD_OK;
}
