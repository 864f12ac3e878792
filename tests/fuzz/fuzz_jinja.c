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
    render(t, root && pgd_json_typeof(root) == PGD_JSON_OBJECT ? root : NULL);
    pgd_json_free(&doc);
    pgd_jinja_destroy(&t);
    return 0;
}
