/* Fuzz target of json.c and jsonw.c. Beyond not crashing: checker and parser agree; what was
 * accepted can be walked and written; and what was written is accepted again and writes the same
 * text (so escapes, numbers and nesting survive). */
#include <stdint.h>
#include <string.h>

#include "pagoda/json.h"
#include "pagoda/jsonw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Call every getter on every node; depth is bounded by the parser's limit. */
static void walk(const pgd_json *v) {
    bool b = false;
    int64_t i = 0;
    uint64_t u = 0;
    double d = 0;
    pgd_sv s = {0};
    size_t children = 0;
    (void)pgd_json_as_bool(v, &b);
    if (pgd_json_as_i64(v, &i) && i >= 0) PGD_ASSERT(pgd_json_as_u64(v, &u) && u == (uint64_t)i);
    if (pgd_json_as_f64(v, &d)) PGD_ASSERT(pgd_json_typeof(v) == PGD_JSON_NUMBER);
    if (pgd_json_as_str(v, &s)) PGD_ASSERT(pgd_utf8_valid_prefix(s.p, s.n) == s.n);
    for (const pgd_json *c = pgd_json_first(v); c; c = pgd_json_next(c), children++) {
        if (pgd_json_typeof(v) == PGD_JSON_OBJECT)
            PGD_ASSERT(pgd_json_get(v, pgd_json_key(c)) != NULL);
        walk(c);
    }
    PGD_ASSERT(pgd_json_count(v) == children);
}

static void write_tree(const pgd_json_doc *doc, pgd_buf *out) {
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_node(&w, pgd_json_root(doc));
    PGD_ASSERT(!out->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const pgd_json_limits lim = {.max_bytes = 1 << 20, .max_nodes = 1 << 12, .max_depth = 100};
    const pgd_sv text = {(const char *)data, size};
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    const pgd_status checked = pgd_json_validate(text, &lim, &err);
    PGD_ASSERT(pgd_json_parse(text, &lim, &doc, &err) == checked);
    PGD_ASSERT((checked == PGD_OK) == (doc != NULL));
    if (!doc) {
        PGD_ASSERT(err.msg[0] != '\0');
        return 0;
    }
    walk(pgd_json_root(doc));
    pgd_buf first = {0};
    pgd_buf second = {0};
    write_tree(doc, &first);
    pgd_json_free(&doc);
    PGD_ASSERT(pgd_json_parse(pgd_buf_sv(&first), &pgd_json_limits_file, &doc, &err) == PGD_OK);
    write_tree(doc, &second);
    PGD_ASSERT(pgd_sv_eq(pgd_buf_sv(&first), pgd_buf_sv(&second)));
    pgd_json_free(&doc);
    pgd_buf_fini(&first);
    pgd_buf_fini(&second);
    return 0;
}
