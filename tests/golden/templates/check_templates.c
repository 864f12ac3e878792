/* check_templates FILE.jsonl...: renders every row with our engine and compares with what the row
 * expects. Exit status 1 when any row differs. Rows are objects:
 *   template | template_file   the source, or a path beside the JSONL file
 *   context                    the variables
 *   options                    {trim_blocks, lstrip_blocks, keep_trailing_newline}; default: as
 *                              chat templates are compiled
 *   expected | error           the text, or a piece of the message ("" for any failure);
 *                              without either, any failure will do
 *   python_jinja2              {output} or {error}, where another engine made `expected`: wins
 * strftime_now is fixed at 2025-07-10 12:00 UTC. The control spans of each result must ascend and
 * be disjoint. */
#include <stdio.h>
#include <string.h>

#include "pagoda/arena.h"
#include "pagoda/fs.h"
#include "pagoda/jinja.h"
#include "pagoda/json.h"

#include "text/jinja_int.h"

typedef struct tally {
    size_t rows, bad;
    char dir[4096];
} tally;

static void report(const tally *t, const pgd_json *row, const char *what, pgd_sv got, pgd_sv want) {
    pgd_sv name = {0};
    if (!pgd_json_as_str(pgd_json_get(row, "template_file"), &name))
        pgd_json_as_str(pgd_json_get(row, "template"), &name);
    size_t at = 0;
    while (at < got.n && at < want.n && got.p[at] == want.p[at])
        at++;
    const size_t from = at > 40 ? at - 40 : 0;
    printf("row %zu: %s\n  template: %.*s\n  differs at byte %zu\n  got:    %.*s\n  wanted: %.*s\n",
           t->rows, what, name.n > 300 ? 300 : (int)name.n, name.p, at,
           got.n - from > 160 ? 160 : (int)(got.n - (from < got.n ? from : got.n)),
           got.p ? got.p + (from < got.n ? from : got.n) : "",
           want.n - from > 160 ? 160 : (int)(want.n - (from < want.n ? from : want.n)),
           want.p ? want.p + (from < want.n ? from : want.n) : "");
}

static bool option(const pgd_json *opt, const char *key, bool dflt) {
    bool v = dflt;
    pgd_json_as_bool(pgd_json_get(opt, key), &v);
    return v;
}

/* What the row expects: text, or (is_error) a piece of a message. */
static pgd_sv wanted(const pgd_json *row, bool *is_error) {
    pgd_sv s = {0};
    const pgd_json *python = pgd_json_get(row, "python_jinja2");
    *is_error = false;
    if (pgd_json_as_str(pgd_json_get(python, "output"), &s)) {
        /* A lazy failure in Python: here it fails at once, with the message of the other engine. */
        if (!pgd_sv_starts(s, PGD_SV("<generator"))) return s;
        python = NULL;
    }
    if (pgd_json_get(python, "error")) {
        *is_error = true;
        return (pgd_sv){"", 0};
    }
    if (pgd_json_as_str(pgd_json_get(row, "expected"), &s)) return s;
    *is_error = true;
    s = (pgd_sv){"", 0};
    pgd_json_as_str(pgd_json_get(row, "error"), &s);
    return s;
}

static bool spans_ok(const pgd_rendered *out) {
    size_t at = 0;
    for (size_t i = 0; i < out->n_control; i++) {
        if (out->control[i].begin < at || out->control[i].end <= out->control[i].begin)
            return false;
        at = out->control[i].end;
    }
    return at <= out->text.n;
}

static pgd_status render(tally *t, const pgd_json *row, pgd_rendered *out, pgd_error *err) {
    pgd_buf file = {0};
    pgd_sv source = {0}, path = {0};
    pgd_jinja *tpl = NULL;
    pgd_arena *a = NULL;
    const pgd_json *const opt = pgd_json_get(row, "options");
    const jlex_options lex = {option(opt, "trim_blocks", true), option(opt, "lstrip_blocks", true),
                              option(opt, "keep_trailing_newline", false)};
    pgd_status st = PGD_OK;
    if (pgd_json_as_str(pgd_json_get(row, "template_file"), &path)) {
        char full[8192];
        snprintf(full, sizeof(full), "%s/%.*s", t->dir, (int)path.n, path.p);
        st = pgd_fs_read(full, (size_t)4 << 20, &file, err);
        source = pgd_buf_sv(&file);
    } else {
        pgd_json_as_str(pgd_json_get(row, "template"), &source);
    }
    if (st == PGD_OK) st = pgd_jinja_compile_with(source, &lex, &tpl, err);
    if (st == PGD_OK) st = pgd_arena_create(&a, 0);
    if (st == PGD_OK) {
        pgd_jinja_limits lim = pgd_jinja_limits_default;
        lim.now_unix = 1752148800;
        const pgd_json *const ctx = pgd_json_get(row, "context");
        const pgd_jinja_value *const v = ctx ? pgd_jinja_from_json(a, ctx) : pgd_jinja_dict(a);
        st = pgd_jinja_render(tpl, v, &lim, out, err);
    }
    pgd_arena_destroy(&a);
    pgd_jinja_destroy(&tpl);
    pgd_buf_fini(&file);
    return st;
}

static void check_row(tally *t, const pgd_json *row) {
    bool is_error;
    pgd_error err = {0};
    pgd_rendered out = {0};
    const pgd_sv want = wanted(row, &is_error);
    const pgd_status st = render(t, row, &out, &err);
    const pgd_sv got = st == PGD_OK ? pgd_buf_sv(&out.text) : pgd_sv_c(err.msg);
    const char *what = NULL;
    if (is_error && st == PGD_OK)
        what = "rendered, but must fail";
    else if (is_error && pgd_sv_find(got, want, 0) == SIZE_MAX)
        what = "fails with another message";
    else if (!is_error && st != PGD_OK)
        what = "fails";
    else if (!is_error && !pgd_sv_eq(got, want))
        what = "differs";
    else if (!spans_ok(&out))
        what = "control spans are not in order";
    if (what) {
        t->bad++;
        report(t, row, what, got, want);
    }
    pgd_rendered_fini(&out);
}

static int check_file(const char *path, tally *t) {
    pgd_buf text = {0};
    pgd_error err = {0};
    if (pgd_fs_read(path, (size_t)256 << 20, &text, &err) != PGD_OK) {
        printf("%s\n", err.msg);
        return 1;
    }
    const char *const slash = strrchr(path, '/');
    snprintf(t->dir, sizeof(t->dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    for (size_t i = 0; i < text.n;) {
        const char *const nl = memchr(text.p + i, '\n', text.n - i);
        const size_t end = nl ? (size_t)(nl - text.p) : text.n;
        pgd_json_doc *doc = NULL;
        t->rows++;
        if (pgd_json_parse((pgd_sv){text.p + i, end - i}, &pgd_json_limits_file, &doc, &err) !=
            PGD_OK) {
            printf("row %zu: %s\n", t->rows, err.msg);
            t->bad++;
        } else {
            check_row(t, pgd_json_root(doc));
        }
        pgd_json_free(&doc);
        i = end + 1;
    }
    pgd_buf_fini(&text);
    return 0;
}

int main(int argc, char **argv) {
    int rc = argc < 2;
    for (int i = 1; i < argc; i++) {
        tally t = {0};
        rc |= check_file(argv[i], &t);
        printf("%s: %zu rows, %zu differ\n", argv[i], t.rows, t.bad);
        rc |= t.bad != 0 || t.rows == 0;
    }
    return rc;
}
