/* One case: encode and compare ids, decode and compare text, decode incrementally and compare
 * again. Prints the first difference so that a failure can be understood from the log alone. */
#include "golden/tokenizers/cases.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "pagoda/fs.h"
#include "pagoda/json.h"
#include "pagoda/mem.h"
#include "pagoda/str.h"

enum { MAX_SPANS = 32, MAX_PRINTED = 20 };

typedef struct one {
    const char *path;
    size_t line;
    case_counts *counts;
    bool tidied; /* the expected text went through clean_up_tokenization_spaces */
    bool failed;
} one;

static void complain(one *o, const char *what) {
    o->failed = true;
    if (o->counts->failed < MAX_PRINTED) fprintf(stderr, "%s:%zu: %s\n", o->path, o->line, what);
}

static void print_ids(const char *label, const int32_t *v, size_t n, size_t from) {
    fprintf(stderr, "  %s (%zu) from %zu:", label, n, from);
    for (size_t i = from; i < n && i < from + 12; i++) {
        fprintf(stderr, " %d", (int)v[i]);
    }
    fprintf(stderr, "\n");
}

static void compare_ids(one *o, const pgd_ids *got, const pgd_ids *want) {
    size_t i = 0;
    while (i < got->n && i < want->n && got->v[i] == want->v[i]) {
        i++;
    }
    if (i == got->n && i == want->n) return;
    complain(o, "ids differ");
    if (o->counts->failed >= MAX_PRINTED) return;
    print_ids("got ", got->v, got->n, i > 2 ? i - 2 : 0);
    print_ids("want", want->v, want->n, i > 2 ? i - 2 : 0);
}

/* What transformers' clean_up_tokenization_spaces makes of a text. */
static void tidy(pgd_sv text, pgd_buf *out) {
    static const char *const rules[][2] = {
        {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
        {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    pgd_buf_putsv(out, text);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const size_t n = strlen(rules[i][0]);
        size_t at = 0;
        while ((at = pgd_sv_find(pgd_buf_sv(out), pgd_sv_c(rules[i][0]), at)) != SIZE_MAX) {
            pgd_buf next = {0};
            pgd_buf_put(&next, out->p, at);
            pgd_buf_puts(&next, rules[i][1]);
            pgd_buf_put(&next, out->p + at + n, out->n - at - n);
            pgd_buf_fini(out);
            *out = next;
            at += strlen(rules[i][1]);
        }
    }
}

static void compare_text(one *o, const char *what, pgd_sv got, pgd_sv want) {
    if (pgd_sv_eq(got, want)) return;
    pgd_buf t = {0};
    if (o->tidied) tidy(got, &t);
    const bool same = o->tidied && pgd_sv_eq(pgd_buf_sv(&t), want);
    pgd_buf_fini(&t);
    if (same) return;
    complain(o, what);
    if (o->counts->failed >= MAX_PRINTED) return;
    fprintf(stderr, "  got  \"%.*s\"\n  want \"%.*s\"\n", (int)(got.n < 400 ? got.n : 400),
            got.p == NULL ? "" : got.p, (int)(want.n < 400 ? want.n : 400), want.p);
}

/* The JSON reader refuses NUL in strings, but a tokenizer must take it: NUL travels as U+F8FF,
 * which no case uses. `from` and `to` are the two forms. */
static void swap_text(pgd_sv text, pgd_sv from, pgd_sv to, pgd_buf *out) {
    size_t done = 0;
    for (size_t at; (at = pgd_sv_find(text, from, done)) != SIZE_MAX;) {
        pgd_buf_put(out, text.p + done, at - done);
        pgd_buf_putsv(out, to);
        done = at + from.n;
    }
    pgd_buf_put(out, text.p + done, text.n - done);
}

static const char NUL_FORM[] = "\xEF\xA3\xBF";

static void check_decode(one *o, const pgd_tokenizer *tok, const pgd_ids *ids, bool skip,
                         pgd_sv want) {
    pgd_error err = {0};
    pgd_buf whole = {0}, parts = {0};
    if (pgd_tokenizer_decode(tok, ids->v, ids->n, skip, &whole, &err) != PGD_OK) {
        complain(o, err.msg);
    } else {
        pgd_buf real = {0};
        swap_text(want, pgd_sv_c(NUL_FORM), PGD_SV("\0"), &real);
        compare_text(o, skip ? "decoded_skip differs" : "decoded differs", pgd_buf_sv(&whole),
                     pgd_buf_sv(&real));
        pgd_buf_fini(&real);
    }
    pgd_detok *d = NULL;
    pgd_status st = pgd_detok_create(tok, skip, &d);
    for (size_t i = 0; i < ids->n && st == PGD_OK; i++) {
        st = pgd_detok_push(d, ids->v[i], &parts);
        if (pgd_utf8_valid_prefix(parts.p, parts.n) != parts.n) complain(o, "emitted cut UTF-8");
    }
    if (st == PGD_OK) st = pgd_detok_flush(d, &parts);
    if (st != PGD_OK) complain(o, "incremental decoding failed");
    compare_text(o, "incremental text differs", pgd_buf_sv(&parts), pgd_buf_sv(&whole));
    pgd_detok_destroy(&d);
    pgd_buf_fini(&whole);
    pgd_buf_fini(&parts);
}

static size_t read_spans(const pgd_json *list, pgd_span spans[MAX_SPANS]) {
    size_t n = 0;
    for (const pgd_json *v = pgd_json_first(list); v != NULL && n < MAX_SPANS;
         v = pgd_json_next(v)) {
        int64_t b = 0, e = 0;
        const pgd_json *const first = pgd_json_first(v);
        if (!pgd_json_as_i64(first, &b) || !pgd_json_as_i64(pgd_json_next(first), &e)) break;
        spans[n++] = (pgd_span){(size_t)b, (size_t)e};
    }
    return n;
}

static void encode_and_compare(one *o, const pgd_tokenizer *tok, pgd_sv text, unsigned flags,
                               const pgd_span *spans, size_t n_spans, const pgd_ids *want) {
    pgd_ids got = {0};
    pgd_error err = {0};
    if (pgd_tokenizer_encode(tok, text, flags, spans, n_spans, &got, &err) != PGD_OK) {
        complain(o, err.msg);
    } else {
        compare_ids(o, &got, want);
    }
    pgd_ids_fini(&got);
}

static void check_encode(one *o, const pgd_tokenizer *tok, const pgd_json *c, pgd_sv text,
                         const pgd_ids *want) {
    bool special = false, plain = false;
    pgd_span spans[MAX_SPANS];
    pgd_buf real = {0};
    swap_text(text, pgd_sv_c(NUL_FORM), PGD_SV("\0"), &real);
    (void)pgd_json_as_bool(pgd_json_get(c, "add_special_tokens"), &special);
    (void)pgd_json_as_bool(pgd_json_get(c, "plain"), &plain);
    const pgd_json *const control = pgd_json_get(c, "control");
    const size_t n_spans = read_spans(control, spans);
    const unsigned flags = special ? PGD_ENCODE_ADD_SPECIAL : 0u;
    if (plain || control != NULL) {
        encode_and_compare(o, tok, pgd_buf_sv(&real), flags | PGD_ENCODE_CONTROL_SPANS, spans,
                           n_spans, want);
    } else {
        /* without spans, and with one span over everything */
        const pgd_span all = {0, real.n};
        encode_and_compare(o, tok, pgd_buf_sv(&real), flags, NULL, 0, want);
        encode_and_compare(o, tok, pgd_buf_sv(&real), flags | PGD_ENCODE_CONTROL_SPANS, &all, 1,
                           want);
    }
    pgd_buf_fini(&real);
}

static void run_case(one *o, const pgd_tokenizer *tok, const pgd_json *c) {
    pgd_sv s = {0};
    pgd_ids want = {0};
    for (const pgd_json *v = pgd_json_first(pgd_json_get(c, "ids")); v != NULL;
         v = pgd_json_next(v)) {
        int64_t id = -1;
        (void)pgd_json_as_i64(v, &id);
        (void)pgd_ids_push(&want, (int32_t)id);
    }
    /* Cases with a name come from transformers.js, whose decoding tidies English afterwards. */
    o->tidied = pgd_json_get(c, "name") != NULL;
    if (pgd_json_as_str(pgd_json_get(c, "text"), &s)) check_encode(o, tok, c, s, &want);
    if (pgd_json_as_str(pgd_json_get(c, "decoded"), &s)) check_decode(o, tok, &want, false, s);
    if (pgd_json_as_str(pgd_json_get(c, "decoded_skip"), &s)) {
        check_decode(o, tok, &want, true, s);
    }
    pgd_ids_fini(&want);
}

static void run_line(const pgd_tokenizer *tok, one *o, pgd_sv line) {
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    pgd_buf safe = {0};
    swap_text(line, PGD_SV("\\u0000"), PGD_SV("\\uF8FF"), &safe);
    if (pgd_json_parse(pgd_buf_sv(&safe), &pgd_json_limits_file, &doc, &err) != PGD_OK) {
        complain(o, err.msg);
    } else if (!pgd_json_is_null(pgd_json_get(pgd_json_root(doc), "text_pair"))) {
        o->counts->skipped++;
    } else {
        o->counts->run++;
        run_case(o, tok, pgd_json_root(doc));
    }
    pgd_json_free(&doc);
    pgd_buf_fini(&safe);
    if (o->failed) o->counts->failed++;
}

void run_cases(const pgd_tokenizer *tok, const char *path, case_counts *counts) {
    pgd_buf file = {0};
    pgd_error err = {0};
    if (pgd_fs_read(path, (size_t)256 << 20, &file, &err) != PGD_OK) {
        fprintf(stderr, "%s\n", err.msg);
        counts->failed++;
        return;
    }
    size_t line = 0;
    for (size_t i = 0; i < file.n; line++) {
        const char *const nl = memchr(file.p + i, '\n', file.n - i);
        const size_t end = nl == NULL ? file.n : (size_t)(nl - file.p);
        one o = {.path = path, .line = line + 1, .counts = counts};
        if (end > i) run_line(tok, &o, (pgd_sv){file.p + i, end - i});
        i = end + 1;
    }
    pgd_buf_fini(&file);
}
