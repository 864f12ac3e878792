/* See sse_json.h. Text is read by the server's own validator, which is stricter than RFC 8259. */
#include "sse_json.h"

#include <stdio.h>
#include <string.h>

#include "pagoda/jsonw.h"

/* Arguments of calls may nest deeper (256) than what a request may send. */
static const pgd_json_limits limits = {
    .max_bytes = (size_t)64 << 20, .max_nodes = 4000000, .max_depth = 300};

const pgd_json *node_at(const pgd_json *v, const char *key) {
    const pgd_json *const m = pgd_json_get(v, key);
    PGD_ASSERT(m);
    return m;
}

pgd_sv node_str(const pgd_json *v) {
    pgd_sv s = {"", 0};
    PGD_ASSERT(pgd_json_as_str(v, &s));
    PGD_ASSERT(pgd_utf8_valid_prefix(s.p, s.n) == s.n);
    return s;
}

pgd_sv node_str_at(const pgd_json *v, const char *key) {
    return node_str(node_at(v, key));
}

int64_t node_int_at(const pgd_json *v, const char *key) {
    int64_t n = 0;
    PGD_ASSERT(pgd_json_as_i64(node_at(v, key), &n));
    return n;
}

bool sv_is(pgd_sv s, const char *what) {
    return pgd_sv_eq(s, pgd_sv_c(what));
}

/* One spelling of a value. Recursive: its depth is bounded by `limits`. */
void node_put(pgd_buf *b, const pgd_json *v) {
    const pgd_json_type type = pgd_json_typeof(v);
    pgd_sv s;
    double d = 0;
    bool yes = false;
    if (type == PGD_JSON_OBJECT || type == PGD_JSON_ARRAY) {
        pgd_buf_putc(b, type == PGD_JSON_OBJECT ? '{' : '[');
        for (const pgd_json *m = pgd_json_first(v); m; m = pgd_json_next(m)) {
            if (pgd_json_key(m)) pgd_buf_putf(b, "%s=", pgd_json_key(m));
            node_put(b, m);
            pgd_buf_putc(b, ',');
        }
        pgd_buf_putc(b, type == PGD_JSON_OBJECT ? '}' : ']');
    } else if (pgd_json_as_str(v, &s)) {
        pgd_buf_putc(b, '"');
        pgd_json_escape(b, s);
        pgd_buf_putc(b, '"');
    } else if (pgd_json_as_f64(v, &d)) {
        pgd_buf_putf(b, "%.17g", d);
    } else {
        pgd_buf_puts(b, !pgd_json_as_bool(v, &yes) ? "null" : yes ? "true" : "false");
    }
}

void node_put_members(pgd_buf *b, const pgd_json *array) {
    PGD_ASSERT(pgd_json_typeof(array) == PGD_JSON_ARRAY);
    for (const pgd_json *m = pgd_json_first(array); m; m = pgd_json_next(m)) {
        node_put(b, m);
        pgd_buf_putc(b, ',');
    }
}

pgd_json_doc *node_parse(pgd_sv text, bool must) {
    pgd_buf copy = {0};
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    pgd_buf_putsv(&copy, text);
    for (size_t i = 0; i + 5 < copy.n; i++) {
        if (copy.p[i] != '\\') continue;
        if (memcmp(copy.p + i, "\\u0000", 6) == 0) copy.p[i + 5] = '1';
        i++;
    }
    const pgd_status st = pgd_json_parse(pgd_buf_sv(&copy), &limits, &doc, &err);
    if (st != PGD_OK && must) (void)fprintf(stderr, "%s in %.*s\n", err.msg, (int)text.n, text.p);
    PGD_ASSERT(st == PGD_OK || !must);
    pgd_buf_fini(&copy);
    return doc;
}
