/* check_schemas FILE.jsonl [--walks N] [--space any] [--out FILE]: JSON Schemas against labels of
 * another validator.
 *
 * Rows are {"schema", "valid": [text], "invalid": [text]}, made by scripts/golden/schemas.py. Each
 * schema must compile, accept every valid text and reject every invalid one. With --walks, N random
 * walks over the masks are made from each grammar; a walk that ends by itself must give JSON that
 * parses, and with --out its schema and document are written as JSON lines, which
 * scripts/golden/check_walks.py judges. Exit status 1 when anything differs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/fs.h"
#include "pagoda/grammar.h"
#include "pagoda/json.h"
#include "pagoda/jsonw.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

enum { MAX_TOKENS = 400, MAX_FAILURES = 20 };

typedef struct run {
    pgd_vocab *vocab;
    uint32_t eos;
    uint32_t *bits;
    uint64_t rows, texts, walks, ended, failures;
    FILE *out;
    pgd_json_space space;
} run;

static const char *const PIECES[] = {
    "\"",    "\":",   "\",\"",    "{\"",          "\"}",      "},{\"", "}}",  "]}",   "],[",
    "true",  "false", "null",     "the",          " and",     "an",    "in",  "er",   "12",
    "0.",    "10",    "00",       "99",           "-1",       "2024-", ":\"", ":{",   ":[",
    ", ",    ": ",    "\xc3\xa9", "\xe4\xbd\xa0", "\xa0\xe5", "\\u00", "\\n", "\\\"", "red",
    "green", "value", "next",     "kind",         "cat",      "abc",   "ab",  "a\"",  "\"b\"",
};

static void make_vocab(run *r) {
    enum { N = 256 + sizeof PIECES / sizeof PIECES[0] + 1 };
    static char bytes[256];
    static pgd_sv tokens[N];
    for (size_t i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        tokens[i] = (pgd_sv){&bytes[i], 1};
    }
    for (size_t i = 256; i < N - 1; i++)
        tokens[i] = pgd_sv_c(PIECES[i - 256]);
    r->eos = N - 1;
    if (pgd_vocab_create(&r->vocab, tokens, N, &r->eos, 1, NULL) != PGD_OK) exit(2);
    r->bits = pgd_calloc(pgd_vocab_mask_words(r->vocab), sizeof *r->bits);
    if (!r->bits) exit(2);
}

static void complain(run *r, const char *what, pgd_sv text) {
    if (r->failures++ < MAX_FAILURES)
        printf("row %llu: %s: %.*s\n", (unsigned long long)r->rows, what,
               text.n < 500 ? (int)text.n : 500, text.p);
}

static void check_texts(run *r, pgd_grammar *g, const pgd_json *list, bool valid) {
    for (const pgd_json *c = pgd_json_first(list); c; c = pgd_json_next(c)) {
        pgd_matcher *m = NULL;
        pgd_sv text = {0};
        (void)pgd_json_as_str(c, &text);
        if (pgd_matcher_create(&m, g) != PGD_OK) exit(2);
        const bool yes =
            pgd_matcher_advance_bytes(m, text, NULL) == PGD_OK && pgd_matcher_accepts(m);
        if (yes != valid) complain(r, valid ? "rejects" : "accepts", text);
        pgd_matcher_destroy(&m);
        r->texts++;
    }
}

/* A random allowed token. Late in a walk those that close something are preferred, so that most
 * walks end. */
static uint32_t choose(const run *r, uint64_t *rng, uint32_t step) {
    uint32_t allowed[600], n = 0, closing[64], n_closing = 0;
    for (uint32_t id = 0; id <= r->eos; id++) {
        if (!(r->bits[id / 32] >> (id % 32) & 1)) continue;
        allowed[n++] = id;
        if ((id == r->eos || id == '}' || id == ']' || id == '"') && n_closing < 64)
            closing[n_closing++] = id;
    }
    if (n == 0) return UINT32_MAX;
    const uint64_t x = pgd_rng_next(rng);
    if (n_closing > 0 && (x >> 40) % 100 < (step > 30 ? 80u : 12u)) return closing[x % n_closing];
    return allowed[x % n];
}

static pgd_sv token_text(uint32_t id, char *one) {
    *one = (char)id;
    return id < 256 ? (pgd_sv){one, 1} : pgd_sv_c(PIECES[id - 256]);
}

static void write_walk(run *r, const pgd_buf *schema, const pgd_buf *doc) {
    pgd_buf line = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &line);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "schema");
    pgd_jsonw_raw(&w, pgd_buf_sv(schema));
    pgd_jsonw_key(&w, "text");
    pgd_jsonw_str(&w, pgd_buf_sv(doc));
    pgd_jsonw_end_obj(&w);
    if (!line.failed) fprintf(r->out, "%s\n", line.p);
    pgd_buf_fini(&line);
}

static void walk(run *r, pgd_grammar *g, uint64_t *rng, const pgd_buf *schema) {
    pgd_matcher *m = NULL;
    pgd_buf doc = {0};
    pgd_error err = {0};
    bool ended = false;
    if (pgd_matcher_create(&m, g) != PGD_OK) exit(2);
    for (uint32_t step = 0; step < MAX_TOKENS && !ended; step++) {
        char one;
        if (pgd_matcher_mask(m, r->bits, &err) != PGD_OK) {
            complain(r, err.msg, pgd_buf_sv(&doc));
            break;
        }
        const uint32_t id = choose(r, rng, step);
        if (id == UINT32_MAX || pgd_matcher_advance(m, id, &err) != PGD_OK) {
            complain(r, "no way on from", pgd_buf_sv(&doc));
            break;
        }
        ended = id == r->eos;
        if (!ended) pgd_buf_putsv(&doc, token_text(id, &one));
    }
    r->walks++;
    if (ended) {
        pgd_json_doc *parsed = NULL;
        r->ended++;
        if (pgd_json_parse(pgd_buf_sv(&doc), &pgd_json_limits_request, &parsed, &err) != PGD_OK)
            complain(r, "a walk gave what does not parse", pgd_buf_sv(&doc));
        else if (r->out)
            write_walk(r, schema, &doc);
        pgd_json_free(&parsed);
    }
    pgd_buf_fini(&doc);
    pgd_matcher_destroy(&m);
}

static void check_row(run *r, const pgd_json *row, uint32_t n_walks) {
    const pgd_json *const schema = pgd_json_get(row, "schema");
    const pgd_grammar_spec spec = {
        .kind = PGD_GRAMMAR_JSON_SCHEMA, .json = schema, .space = r->space};
    pgd_grammar *g = NULL;
    pgd_error err = {0};
    pgd_buf text = {0};
    pgd_jsonw w;
    uint64_t rng = r->rows + 1;
    pgd_jsonw_init(&w, &text);
    pgd_jsonw_node(&w, schema);
    r->rows++;
    if (pgd_grammar_compile(&g, &spec, r->vocab, NULL, &err) != PGD_OK) {
        complain(r, err.msg, pgd_buf_sv(&text));
    } else {
        const uint64_t failures = r->failures;
        check_texts(r, g, pgd_json_get(row, "valid"), true);
        check_texts(r, g, pgd_json_get(row, "invalid"), false);
        for (uint32_t i = 0; i < n_walks; i++)
            walk(r, g, &rng, &text);
        if (r->failures > failures && r->failures <= MAX_FAILURES)
            printf("  schema: %.*s\n", text.n < 1500 ? (int)text.n : 1500, text.p);
    }
    pgd_grammar_release(&g);
    pgd_buf_fini(&text);
}

static bool read_rows(run *r, const char *path, uint32_t n_walks) {
    pgd_buf text = {0};
    pgd_error err = {0};
    bool ok = pgd_fs_read(path, (size_t)256 << 20, &text, &err) == PGD_OK;
    for (size_t i = 0; ok && i < text.n;) {
        const char *const nl = memchr(text.p + i, '\n', text.n - i);
        const size_t end = nl ? (size_t)(nl - text.p) : text.n;
        pgd_json_doc *doc = NULL;
        ok = pgd_json_parse((pgd_sv){text.p + i, end - i}, &pgd_json_limits_file, &doc, &err) ==
             PGD_OK;
        if (ok) check_row(r, pgd_json_root(doc), n_walks);
        pgd_json_free(&doc);
        i = end + 1;
    }
    if (!ok) printf("%s: %s\n", path, err.msg);
    pgd_buf_fini(&text);
    return ok;
}

int main(int argc, char **argv) {
    run r = {0};
    uint64_t n_walks = 0;
    bool ok = argc >= 2;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--walks") == 0)
            ok = ok && pgd_parse_u64(pgd_sv_c(argv[i + 1]), &n_walks) && n_walks < 100000;
        else if (strcmp(argv[i], "--space") == 0)
            r.space = PGD_JSON_SPACE_ANY;
        else if (strcmp(argv[i], "--out") == 0)
            r.out = fopen(argv[i + 1], "w");
        else
            ok = false;
    }
    if (!ok) {
        printf("usage: check_schemas FILE.jsonl [--walks N] [--space any] [--out FILE]\n");
        return 2;
    }
    make_vocab(&r);
    ok = read_rows(&r, argv[1], (uint32_t)n_walks);
    if (r.out) fclose(r.out);
    printf(
        "%llu schemas, %llu texts, %llu walks of which %llu ended by themselves, %llu failures\n",
        (unsigned long long)r.rows, (unsigned long long)r.texts, (unsigned long long)r.walks,
        (unsigned long long)r.ended, (unsigned long long)r.failures);
    pgd_vocab_destroy(&r.vocab);
    pgd_free(r.bits);
    return ok && r.failures == 0 && r.rows > 0 ? 0 : 1;
}
