/* Runs the output parser over a file of recorded model outputs and counts what comes out as
 * recorded; a tool, no test of its own, since the file is given:
 *
 *   check_outputs FILE [-v]
 *
 * FILE has one JSON object a line: "template" (a file name that says the family), "input", "tools",
 * "expected" {content, reasoning_content, tool_calls [{name, arguments, id}]}, and the request's
 * "enable_thinking", "reasoning_format", "messages" with "continue_final_message". Arguments are
 * compared as JSON values. What the prompt leaves open is told by the family and those fields, as
 * there is no template here to render. */
#include <stdio.h>
#include <string.h>

#include "api/parse.h"
#include "pagoda/fs.h"
#include "pagoda/jsonw.h"

typedef struct family {
    const char *part; /* of the template's file name */
    const char *tools, *think;
    bool opens; /* the prompt opens a reasoning block unless thinking is off */
} family;

static const family families[] = {
    {"Kimi-K3", "kimi_k3", "kimi_k3", true},   {"Qwen3.5", "hermes", "think", true},
    {"QwQ", "hermes", "think", true},          {"Qwen3-Coder", "hermes", "none", false},
    {"Qwen2.5", "hermes", "none", false},      {"MiMo", "hermes", "none", false},
    {"R1-Distill", "deepseek", "think", true}, {"DeepSeek-V3.1", "deepseek", "think", false},
    {"gpt-oss", "harmony", "harmony", false},  {"Llama-3", "llama3_json", "none", false},
    {"Kimi-K2", "kimi_k2", "think", false},    {"r7b", "cohere", "cohere", false},
    {"Cohere2", "cohere", "cohere", true},     {"r-plus", "cohere", "none", false},
    {"GigaChat", "gigachat", "none", false},
};

static pgd_sv text_of(const pgd_json *v, const char *key) {
    pgd_sv s = {"", 0};
    (void)pgd_json_as_str(pgd_json_get(v, key), &s);
    return s;
}

static bool says(const pgd_json *v, const char *key) {
    bool b = false;
    return pgd_json_as_bool(pgd_json_get(v, key), &b) && b;
}

/* The value in one spelling; what is no JSON stays as it is. */
static void normal(pgd_sv json, pgd_buf *out) {
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    if (pgd_json_parse(json, &pgd_json_limits_file, &doc, &err) != PGD_OK) {
        pgd_buf_putsv(out, json);
        return;
    }
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_node(&w, pgd_json_root(doc));
    pgd_json_free(&doc);
}

typedef struct message {
    pgd_buf text, reasoning, calls;
} message;

static void add_call(pgd_buf *out, pgd_sv id, pgd_sv name, pgd_sv args) {
    pgd_buf_putf(out, "%.*s|%.*s|", (int)id.n, id.p, (int)name.n, name.p);
    normal(args, out);
    pgd_buf_putc(out, '\n');
}

static void fold(const api_pieces *p, bool ids, message *m) {
    const char *at = p->bytes.p;
    pgd_sv id = {"", 0}, name = {"", 0};
    pgd_buf args = {0};
    for (size_t i = 0; i < p->n; at += p->v[i++].len) {
        const api_piece *const v = &p->v[i];
        if (v->kind == API_TEXT) pgd_buf_put(&m->text, at, v->len);
        if (v->kind == API_REASONING) pgd_buf_put(&m->reasoning, at, v->len);
        if (v->kind == API_TOOL_ARGS) pgd_buf_put(&args, at, v->len);
        if (v->kind == API_TOOL_BEGIN) {
            id = (pgd_sv){at, ids ? v->id_len : 0};
            name = (pgd_sv){at + v->id_len, v->len - v->id_len};
        }
        if (v->kind != API_TOOL_END) continue;
        add_call(&m->calls, id, name, pgd_buf_sv(&args));
        pgd_buf_clear(&args);
    }
    pgd_buf_fini(&args);
}

static void expected(const pgd_json *row, bool ids, message *m) {
    const pgd_json *const e = pgd_json_get(row, "expected");
    pgd_buf_putsv(&m->text, text_of(e, "content"));
    pgd_buf_putsv(&m->reasoning, text_of(e, "reasoning_content"));
    for (const pgd_json *c = pgd_json_first(pgd_json_get(e, "tool_calls")); c; c = pgd_json_next(c))
        add_call(&m->calls, ids ? text_of(c, "id") : (pgd_sv){"", 0}, text_of(c, "name"),
                 text_of(c, "arguments"));
}

static bool same(const pgd_buf *a, const pgd_buf *b) {
    return pgd_sv_eq(pgd_buf_sv(a), pgd_buf_sv(b));
}

static void fini(message *m) {
    pgd_buf_fini(&m->text);
    pgd_buf_fini(&m->reasoning);
    pgd_buf_fini(&m->calls);
}

/* The answer that is continued precedes the output in what is expected. */
static void prepend_continued(const pgd_json *row, api_parser_options *opt, message *m) {
    const pgd_sv what = text_of(row, "continue_final_message");
    if (!what.n) return;
    const pgd_json *last = NULL;
    for (const pgd_json *v = pgd_json_first(pgd_json_get(row, "messages")); v; v = pgd_json_next(v))
        last = v;
    const bool thinks = opt->formats.think && !opt->keep_reasoning;
    if (thinks) pgd_buf_putsv(&m->reasoning, text_of(last, "reasoning_content"));
    const bool in_text = pgd_sv_eq(what, PGD_SV("content"));
    if (in_text) pgd_buf_putsv(&m->text, text_of(last, "content"));
    opt->open = in_text ? API_OPEN_MESSAGE : thinks ? API_OPEN_REASONING : API_OPEN_NOTHING;
}

/* 1: as recorded, 0: not, -1: a family that is not known here. */
static int check(const pgd_json *row, bool verbose) {
    const pgd_sv template = text_of(row, "template");
    const family *f = NULL;
    for (size_t i = 0; i < sizeof families / sizeof families[0] && !f; i++)
        if (pgd_sv_find(template, pgd_sv_c(families[i].part), 0) != SIZE_MAX) f = &families[i];
    if (!f) return -1;
    const pgd_sv format = text_of(row, "reasoning_format");
    const pgd_json *const thinking = pgd_json_get(row, "enable_thinking");
    const bool apart = format.n && !pgd_sv_eq(format, PGD_SV("none"));
    api_parser_options opt = {.keep_reasoning = !apart};
    pgd_error err = {0};
    if (api_formats_pick(NULL, f->tools, f->think, &opt.formats, &err) != PGD_OK) return 0;
    const bool on = thinking ? says(row, "enable_thinking") : f->opens;
    const bool deepseek = pgd_sv_find(template, PGD_SV("V3.1"), 0) != SIZE_MAX;
    if (apart && on && (f->opens || deepseek)) opt.open = API_OPEN_REASONING;
    pgd_arena *arena = NULL;
    const pgd_json *const tools = pgd_json_get(row, "tools");
    if (pgd_arena_create(&arena, 0) != PGD_OK ||
        (tools && api_toolset_create(tools, arena, &opt.tools) != PGD_OK))
        return 0;
    message got = {0}, want = {0};
    prepend_continued(row, &opt, &got);
    api_pieces pieces = {0};
    api_parser *p = NULL;
    const pgd_sv raw = text_of(row, "input");
    if (api_parser_create(&opt, &pieces, &p) != PGD_OK) return 0;
    api_parser_feed(p, raw.p, raw.n);
    api_parser_finish(p);
    const bool ids = pgd_sv_find(template, PGD_SV("Kimi-K2"), 0) != SIZE_MAX;
    fold(&pieces, ids, &got);
    expected(row, ids, &want);
    const bool ok = same(&got.text, &want.text) && same(&got.reasoning, &want.reasoning) &&
                    same(&got.calls, &want.calls);
    if (!ok && verbose)
        (void)printf("-- %s\n%s\n got: [%s] [%s] [%s]\nwant: [%s] [%s] [%s]\n", template.p, raw.p,
                     got.text.p ? got.text.p : "", got.reasoning.p ? got.reasoning.p : "",
                     got.calls.p ? got.calls.p : "", want.text.p, want.reasoning.p,
                     want.calls.p ? want.calls.p : "");
    api_parser_destroy(&p);
    api_pieces_fini(&pieces);
    fini(&got);
    fini(&want);
    pgd_arena_destroy(&arena);
    return ok;
}

int main(int argc, char **argv) {
    pgd_buf file = {0};
    pgd_error err = {0};
    if (argc < 2 || pgd_fs_read(argv[1], (size_t)64 << 20, &file, &err) != PGD_OK) {
        (void)fprintf(stderr, "usage: check_outputs FILE [-v]; %s\n", err.msg);
        return 2;
    }
    int n = 0, n_same = 0, n_unknown = 0;
    for (size_t at = 0; at < file.n;) {
        size_t end = pgd_sv_find(pgd_buf_sv(&file), PGD_SV("\n"), at);
        if (end == SIZE_MAX) end = file.n;
        pgd_json_doc *doc = NULL;
        if (pgd_json_parse((pgd_sv){file.p + at, end - at}, &pgd_json_limits_file, &doc, &err) ==
            PGD_OK) {
            const int r = check(pgd_json_root(doc), argc > 2 && strcmp(argv[2], "-v") == 0);
            n++;
            n_same += r > 0;
            n_unknown += r < 0;
        }
        pgd_json_free(&doc);
        at = end + 1;
    }
    (void)printf("%d outputs: %d as recorded, %d not, %d of families not known here\n", n, n_same,
                 n - n_same - n_unknown, n_unknown);
    pgd_buf_fini(&file);
    return n_same + n_unknown == n ? 0 : 1;
}
