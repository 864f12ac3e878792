/* Fuzz target of the template engine: a template, a NUL, and a JSON object as its context. Beyond
 * not crashing: the output is valid UTF-8 within its limit, the spans of control text ascend and
 * are disjoint, and a second render of the same template gives the same bytes. */
#include <stdint.h>
#include <string.h>

#include "pagoda/arena.h"
#include "pagoda/jinja.h"
#include "pagoda/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const pgd_jinja_limits limits = {
    .max_steps = 20000,
    .max_output_bytes = 1 << 18,
    .max_memory_bytes = (size_t)8 << 20,
    .max_depth = 200,
    .now_unix = 1752148800,
};

static void check(const pgd_rendered *r) {
    PGD_ASSERT(pgd_utf8_valid_prefix(r->text.p, r->text.n) == r->text.n);
    PGD_ASSERT(r->text.n <= limits.max_output_bytes);
    size_t at = 0;
    for (size_t i = 0; i < r->n_control; i++) {
        PGD_ASSERT(r->control[i].begin >= at && r->control[i].end > r->control[i].begin);
        at = r->control[i].end;
    }
    PGD_ASSERT(at <= r->text.n);
}

static void render(const pgd_jinja *t, const pgd_json *context) {
    pgd_arena *a = NULL;
    pgd_rendered first = {0}, second = {0};
    pgd_error err = {0};
    if (pgd_arena_create(&a, (size_t)16 << 20) != PGD_OK) return;
    const pgd_jinja_value *const v = context ? pgd_jinja_from_json(a, context) : pgd_jinja_dict(a);
    if (v) {
        const pgd_status st = pgd_jinja_render(t, v, &limits, &first, &err);
        PGD_ASSERT(st == PGD_OK || err.msg[0] != '\0');
        PGD_ASSERT(pgd_jinja_render(t, v, &limits, &second, NULL) == st);
        check(&first);
        PGD_ASSERT(pgd_sv_eq(pgd_buf_sv(&first.text), pgd_buf_sv(&second.text)));
        PGD_ASSERT(first.n_control == second.n_control);
    }
    pgd_rendered_fini(&first);
    pgd_rendered_fini(&second);
    pgd_arena_destroy(&a);
}

/* A private-use character that marks data. */
#define MARK "\xee\x80\x80"

/* As pgd_jinja_from_json, with the mark behind every string; depth is bounded by the parser. */
static pgd_jinja_value *marked_value(pgd_arena *a, const pgd_json *v) {
    const pgd_json_type type = pgd_json_typeof(v);
    pgd_sv s;
    if (type == PGD_JSON_STRING && pgd_json_as_str(v, &s)) {
        char *const text = pgd_arena_alloc(a, s.n + 4);
        if (!text) return NULL;
        if (s.n) memcpy(text, s.p, s.n);
        memcpy(text + s.n, MARK, 3);
        return pgd_jinja_str(a, (pgd_sv){text, s.n + 3}, false);
    }
    if (type != PGD_JSON_ARRAY && type != PGD_JSON_OBJECT) return pgd_jinja_from_json(a, v);
    pgd_jinja_value *const out = type == PGD_JSON_ARRAY ? pgd_jinja_list(a) : pgd_jinja_dict(a);
    for (const pgd_json *c = pgd_json_first(v); c; c = pgd_json_next(c)) {
        pgd_jinja_value *const item = marked_value(a, c);
        const bool ok = type == PGD_JSON_ARRAY
                            ? pgd_jinja_push(a, out, item)
                            : pgd_jinja_set_untrusted(a, out, pgd_sv_c(pgd_json_key(c)), item);
        if (!ok) return NULL;
    }
    return out;
}

/* No mark may lie in a span of control text. Templates that can write it themselves do not count.
 */
static void check_marks(const pgd_jinja *t, pgd_sv source, const pgd_json *context) {
    static const char *const ways[] = {MARK, "e000", "E000", "c'", "c\"", "160000"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (pgd_sv_find(source, pgd_sv_c(ways[i]), 0) != SIZE_MAX) return;
    pgd_arena *a = NULL;
    pgd_rendered r = {0};
    if (pgd_arena_create(&a, (size_t)16 << 20) != PGD_OK) return;
    const pgd_jinja_value *const v = marked_value(a, context);
    if (v && pgd_jinja_render(t, v, &limits, &r, NULL) == PGD_OK) {
        for (size_t i = 0; i < r.n_control; i++) {
            const size_t begin = r.control[i].begin, end = r.control[i].end;
            const size_t at = pgd_sv_find((pgd_sv){r.text.p, end}, PGD_SV(MARK), begin);
            PGD_ASSERT(at == SIZE_MAX);
        }
    }
    pgd_rendered_fini(&r);
    pgd_arena_destroy(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const pgd_json_limits lim = {.max_bytes = 1 << 16, .max_nodes = 1 << 12, .max_depth = 60};
    const char *const text = (const char *)data;
    const char *const nul = size ? memchr(text, 0, size) : NULL;
    const size_t n = nul ? (size_t)(nul - text) : size;
    pgd_jinja *t = NULL;
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    if (pgd_jinja_compile((pgd_sv){text, n}, &t, &err) != PGD_OK) {
        PGD_ASSERT(err.msg[0] != '\0' && !t);
        return 0;
    }
    if (nul) (void)pgd_json_parse((pgd_sv){nul + 1, size - n - 1}, &lim, &doc, NULL);
    const pgd_json *const root = doc ? pgd_json_root(doc) : NULL;
    const bool object = root && pgd_json_typeof(root) == PGD_JSON_OBJECT;
    render(t, object ? root : NULL);
    if (object) check_marks(t, (pgd_sv){text, n}, root);
    pgd_json_free(&doc);
    pgd_jinja_destroy(&t);
    return 0;
}
