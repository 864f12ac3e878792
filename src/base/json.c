/* Reading JSON: a tree by cJSON behind the strict checker, and typed access to it.
 *
 * The only file that sees cJSON. A pgd_json is a cJSON node under another name. Two things cJSON
 * loses are put back by one walk over text and tree in step (linear, no search): whether a number
 * was written as an integer (a private bit of the node's type, above those cJSON uses), and the
 * digits of integers beyond 2^53, hung on the node's valuestring, which cJSON_Delete frees.
 * Recursion here and in cJSON is bounded by the checker's depth limit. cJSON notes parse failures
 * in a global that nobody reads; concurrent parses write it without harm. Trees are immutable.
 * Thread: one document, one thread at a time. */
#include "pagoda/json.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <string.h>

#include "json_check.h"
#include "pagoda/mem.h"

enum { INTEGER_LITERAL = 1 << 16 };
#define EXACT_MAX 9007199254740992.0 /* 2^53: up to here a double holds every integer */

struct pgd_json_doc {
    cJSON *root;
};

static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;

static void set_hooks(void) {
    cJSON_Hooks hooks = {.malloc_fn = pgd_malloc, .free_fn = pgd_free};
    cJSON_InitHooks(&hooks);
}

static const cJSON *node(const pgd_json *v) {
    return (const cJSON *)(const void *)v;
}

static const pgd_json *wrap(const cJSON *v) {
    return (const pgd_json *)(const void *)v;
}

/* Next number at or after *at in checked text; strings are stepped over. */
static pgd_sv next_number(pgd_sv text, size_t *at) {
    size_t i = *at;
    while (text.p[i] != '-' && (text.p[i] < '0' || text.p[i] > '9')) {
        if (text.p[i++] != '"') continue;
        while (text.p[i] != '"')
            i += text.p[i] == '\\' ? 2 : 1;
        i++;
    }
    const size_t from = i;
    while (i < text.n && text.p[i] != '\0' && strchr("+-.0123456789eE", text.p[i]))
        i++;
    *at = i;
    return (pgd_sv){text.p + from, i - from};
}

static bool is_integer_text(pgd_sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '-' && (s.p[i] < '0' || s.p[i] > '9')) return false;
    return true;
}

/* Visit numbers in text order, which is the tree's order. False when memory ran out. */
static bool mark_numbers(cJSON *first, pgd_sv text, size_t *at) {
    for (cJSON *v = first; v; v = v->next) {
        if (v->child && !mark_numbers(v->child, text, at)) return false;
        if (!cJSON_IsNumber(v)) continue;
        const pgd_sv s = next_number(text, at);
        if (!is_integer_text(s)) continue;
        v->type |= INTEGER_LITERAL;
        if (v->valuedouble < EXACT_MAX && v->valuedouble > -EXACT_MAX) continue;
        v->valuestring = pgd_strndup(s.p, s.n);
        if (!v->valuestring) return false;
    }
    return true;
}

pgd_status pgd_json_parse(pgd_sv text, const pgd_json_limits *lim, pgd_json_doc **out,
                          pgd_error *err) {
    PGD_TRY(pgd_json_validate(text, lim, err));
    (void)pthread_once(&hooks_once, set_hooks);
    pgd_json_doc *doc = pgd_calloc(1, sizeof *doc);
    size_t at = 0;
    if (doc) doc->root = cJSON_ParseWithLengthOpts(text.p, text.n, NULL, 0);
    /* checked text that fits cJSON's own limits can fail only for want of memory */
    if (!doc || !doc->root || !mark_numbers(doc->root, text, &at)) {
        pgd_json_free(&doc);
        return pgd_fail(err, PGD_E_NOMEM, "JSON: out of memory after %zu bytes of text", text.n);
    }
    *out = doc;
    return PGD_OK;
}

void pgd_json_free(pgd_json_doc **doc) {
    if (!doc || !*doc) return;
    cJSON_Delete((*doc)->root);
    pgd_free(*doc);
    *doc = NULL;
}

const pgd_json *pgd_json_root(const pgd_json_doc *doc) {
    return wrap(doc->root);
}

pgd_json_type pgd_json_typeof(const pgd_json *v) {
    switch (node(v)->type & 0xFF) {
    case cJSON_False:
    case cJSON_True:
        return PGD_JSON_BOOL;
    case cJSON_Number:
        return PGD_JSON_NUMBER;
    case cJSON_String:
        return PGD_JSON_STRING;
    case cJSON_Array:
        return PGD_JSON_ARRAY;
    case cJSON_Object:
        return PGD_JSON_OBJECT;
    default:
        return PGD_JSON_NULL;
    }
}

const char *pgd_json_type_name(const pgd_json *v) {
    if (!v) return "null";
    switch (pgd_json_typeof(v)) {
    case PGD_JSON_BOOL:
        return "a boolean";
    case PGD_JSON_NUMBER:
        return pgd_json_is_integer_literal(v) ? "an integer" : "a decimal";
    case PGD_JSON_STRING:
        return "a string";
    case PGD_JSON_ARRAY:
        return "an array";
    case PGD_JSON_OBJECT:
        return "an object";
    default:
        return "null";
    }
}

const pgd_json *pgd_json_get(const pgd_json *obj, const char *key) {
    if (!obj || !cJSON_IsObject(node(obj))) return NULL;
    const cJSON *found = NULL;
    for (const cJSON *v = node(obj)->child; v; v = v->next)
        if (strcmp(v->string, key) == 0) found = v;
    return wrap(found);
}

const pgd_json *pgd_json_first(const pgd_json *v) {
    return v ? wrap(node(v)->child) : NULL;
}

const pgd_json *pgd_json_next(const pgd_json *v) {
    return v ? wrap(node(v)->next) : NULL;
}

const char *pgd_json_key(const pgd_json *v) {
    return v ? node(v)->string : NULL;
}

size_t pgd_json_count(const pgd_json *v) {
    size_t n = 0;
    for (const pgd_json *c = pgd_json_first(v); c; c = pgd_json_next(c))
        n++;
    return n;
}

bool pgd_json_is_null(const pgd_json *v) {
    return !v || cJSON_IsNull(node(v));
}

bool pgd_json_as_bool(const pgd_json *v, bool *out) {
    if (!v || !cJSON_IsBool(node(v))) return false;
    *out = cJSON_IsTrue(node(v)) != 0;
    return true;
}

bool pgd_json_as_i64(const pgd_json *v, int64_t *out) {
    if (!v || !cJSON_IsNumber(node(v))) return false;
    const double d = node(v)->valuedouble;
    if (node(v)->valuestring) return pgd_parse_i64(pgd_sv_c(node(v)->valuestring), out);
    /* beyond 2^53 a decimal may have lost digits: only a literal's text is trusted there */
    if (d > EXACT_MAX || d < -EXACT_MAX || d != (double)(int64_t)d) return false;
    *out = (int64_t)d;
    return true;
}

bool pgd_json_as_u64(const pgd_json *v, uint64_t *out) {
    int64_t i;
    if (v && cJSON_IsNumber(node(v)) && node(v)->valuestring)
        return pgd_parse_u64(pgd_sv_c(node(v)->valuestring), out);
    if (!pgd_json_as_i64(v, &i) || i < 0) return false;
    *out = (uint64_t)i;
    return true;
}

bool pgd_json_as_f64(const pgd_json *v, double *out) {
    if (!v || !cJSON_IsNumber(node(v))) return false;
    *out = node(v)->valuedouble;
    return true;
}

bool pgd_json_as_str(const pgd_json *v, pgd_sv *out) {
    if (!v || !cJSON_IsString(node(v))) return false;
    *out = pgd_sv_c(node(v)->valuestring);
    return true;
}

bool pgd_json_is_integer_literal(const pgd_json *v) {
    return v && (node(v)->type & INTEGER_LITERAL) != 0;
}

bool pgd_json_big_digits(const pgd_json *v, pgd_sv *out) {
    if (!v || !cJSON_IsNumber(node(v)) || !node(v)->valuestring) return false;
    *out = pgd_sv_c(node(v)->valuestring);
    return true;
}
