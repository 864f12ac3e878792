/* Raw outputs of every family against what a client must get, cut at every byte: the pieces, their
 * raw positions included, must not depend on the cuts. Cases: tests/golden/api/outputs.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/parse.h"
#include "pagoda/fs.h"
#include "pagoda/mem.h"
#include "support.h"

typedef struct world {
    pgd_json_doc *doc;
    pgd_arena *arena;
    const api_toolset *tools;
} world;

static int set_up(void **state) {
    static world w;
    pgd_buf text = {0};
    pgd_error err = {0};
    if (pgd_fs_read(API_GOLDEN "/outputs.json", 1 << 20, &text, &err) != PGD_OK) return -1;
    w.doc = test_json(text.p, text.n);
    pgd_buf_fini(&text);
    if (pgd_arena_create(&w.arena, 0) != PGD_OK) return -1;
    *state = &w;
    return api_toolset_create(test_at(pgd_json_root(w.doc), "tools"), w.arena, &w.tools) == PGD_OK
               ? 0
               : -1;
}

static int tear_down(void **state) {
    world *const w = *state;
    pgd_json_free(&w->doc);
    pgd_arena_destroy(&w->arena);
    return 0;
}

static pgd_sv str_of(const pgd_json *v, const char *key) {
    pgd_sv s = {"", 0};
    (void)pgd_json_as_str(pgd_json_get(v, key), &s);
    return s;
}

static api_parser_options options_of(const world *w, const pgd_json *c) {
    const pgd_sv tools = str_of(c, "tools"), think = str_of(c, "think"), open = str_of(c, "open");
    api_parser_options opt = {.tools = tools.n ? w->tools : NULL};
    pgd_error err = {0};
    if (api_formats_pick(NULL, tools.n ? tools.p : "none", think.n ? think.p : "none", &opt.formats,
                         &err) != PGD_OK)
        fail_msg("%s", err.msg);
    opt.open = pgd_sv_eq(open, PGD_SV("reasoning")) ? API_OPEN_REASONING
               : open.n                             ? API_OPEN_MESSAGE
                                                    : API_OPEN_NOTHING;
    return opt;
}

/* Feed in two pieces cut at `at`, or one by one (SIZE_MAX). */
static void run(const api_parser_options *opt, pgd_sv raw, size_t at, api_pieces *out) {
    api_parser *p = NULL;
    assert_int_equal(api_parser_create(opt, out, &p), PGD_OK);
    if (at == SIZE_MAX) {
        for (size_t i = 0; i < raw.n; i++)
            api_parser_feed(p, raw.p + i, 1);
    } else {
        api_parser_feed(p, raw.p, at);
        api_parser_feed(p, raw.p + at, raw.n - at);
    }
    api_parser_finish(p);
    api_parser_destroy(&p);
    assert_null(p);
    assert_false(out->bytes.failed);
}

static void assert_same(const api_pieces *a, const api_pieces *b, const char *name) {
    if (a->n != b->n || !pgd_sv_eq(pgd_buf_sv(&a->bytes), pgd_buf_sv(&b->bytes)))
        fail_msg("%s: pieces depend on the cut", name);
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].kind != b->v[i].kind || a->v[i].len != b->v[i].len ||
            a->v[i].raw_end != b->v[i].raw_end || a->v[i].id_len != b->v[i].id_len)
            fail_msg("%s: piece %zu depends on the cut", name, i);
}

static void expect(const char *name, const char *what, pgd_sv got, pgd_sv want) {
    if (!pgd_sv_eq(got, want))
        fail_msg("%s: %s is\n  '%.*s', want\n  '%.*s'", name, what, (int)got.n, got.p, (int)want.n,
                 want.p);
}

/* Pieces in order, text where it stands in the raw text, calls well formed: BEGIN, ARGS, END. */
static void check(const pgd_json *c, const api_pieces *got, pgd_sv all) {
    const char *const name = str_of(c, "name").p;
    pgd_buf text = {0}, reasoning = {0}, args = {0};
    const pgd_json *call = pgd_json_first(test_at(c, "calls"));
    bool in_call = false;
    uint64_t raw = 0;
    const char *at = got->bytes.p;
    for (size_t i = 0; i < got->n; at += got->v[i++].len) {
        const api_piece *const v = &got->v[i];
        if (v->raw_end < raw || v->raw_end > all.n) fail_msg("%s: raw position", name);
        raw = v->raw_end;
        const pgd_sv bytes = {at, v->len};
        if (v->kind == API_TEXT)
            expect(name, "raw text", (pgd_sv){all.p + raw - v->len, v->len}, bytes);
        if (v->kind == API_TEXT) pgd_buf_putsv(&text, bytes);
        if (v->kind == API_REASONING) pgd_buf_putsv(&reasoning, bytes);
        if (v->kind == API_TOOL_ARGS) pgd_buf_putsv(&args, bytes);
        if (v->kind == API_TOOL_BEGIN) {
            if (in_call || !call) fail_msg("%s: a call too many", name);
            in_call = true;
            expect(name, "id", (pgd_sv){at, v->id_len}, str_of(call, "id"));
            expect(name, "name", (pgd_sv){at + v->id_len, v->len - v->id_len},
                   str_of(call, "name"));
        } else if (v->kind != API_TOOL_ARGS && v->kind != API_TOOL_END) {
            assert_false(in_call);
        }
        if (v->kind != API_TOOL_END) continue;
        if (!in_call) fail_msg("%s: an end without a call", name);
        in_call = false;
        expect(name, "arguments", pgd_buf_sv(&args), str_of(call, "arguments"));
        pgd_buf_clear(&args);
        call = pgd_json_next(call);
    }
    if (in_call || call) fail_msg("%s: a call is missing or open", name);
    expect(name, "text", pgd_buf_sv(&text), str_of(c, "text"));
    expect(name, "reasoning", pgd_buf_sv(&reasoning), str_of(c, "reasoning"));
    pgd_buf_fini(&text);
    pgd_buf_fini(&reasoning);
    pgd_buf_fini(&args);
}

static void every_family_is_taken_apart_however_it_is_cut(void **state) {
    const world *const w = *state;
    const pgd_json *c = pgd_json_first(test_at(pgd_json_root(w->doc), "cases"));
    size_t n_cases = 0;
    for (; c; c = pgd_json_next(c), n_cases++) {
        const api_parser_options opt = options_of(w, c);
        const pgd_sv raw = str_of(c, "raw");
        api_pieces one = {0};
        run(&opt, raw, SIZE_MAX, &one);
        check(c, &one, raw);
        for (size_t at = 0; at <= raw.n; at++) {
            api_pieces two = {0};
            run(&opt, raw, at, &two);
            assert_same(&one, &two, str_of(c, "name").p);
            api_pieces_fini(&two);
        }
        api_pieces_fini(&one);
    }
    assert_true(n_cases > 60);
}

/* Whatever is cut off at the end of an output, nothing is lost: without a call the text is all of
 * it, and with one the arguments so far are a prefix of the whole ones. */
static void a_truncated_output_is_a_prefix_of_the_whole(void **state) {
    const world *const w = *state;
    const pgd_json *c = pgd_json_first(test_at(pgd_json_root(w->doc), "cases"));
    for (; c; c = pgd_json_next(c)) {
        if (str_of(c, "think").n || pgd_json_first(test_at(c, "calls"))) continue;
        const api_parser_options opt = options_of(w, c);
        const pgd_sv raw = str_of(c, "raw");
        if (!pgd_sv_eq(raw, str_of(c, "text"))) continue;
        for (size_t n = 0; n <= raw.n; n++) {
            api_pieces got = {0};
            run(&opt, (pgd_sv){raw.p, n}, n, &got);
            if (got.n < 2) /* more: a head that could still have been a call */
                expect(str_of(c, "name").p, "text", pgd_buf_sv(&got.bytes), (pgd_sv){raw.p, n});
            api_pieces_fini(&got);
        }
    }
}

static void nesting_and_length_are_bounded(void **state) {
    const world *const w = *state;
    api_parser_options opt = {.tools = w->tools};
    assert_int_equal(api_formats_pick(NULL, "hermes", "none", &opt.formats, NULL), PGD_OK);
    pgd_buf raw = {0};
    pgd_buf_puts(&raw, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": ");
    for (int i = 0; i < 100000; i++)
        pgd_buf_putc(&raw, '[');
    api_pieces got = {0};
    run(&opt, pgd_buf_sv(&raw), 7, &got);
    assert_int_equal(got.n, 3); /* begin, verbatim arguments, end */
    assert_int_equal(got.v[1].len, 100000 + strlen("{\"a\": "));
    api_pieces_fini(&got);
    pgd_buf_clear(&raw);
    pgd_buf_puts(&raw, "<tool_call>{\"name\": \"");
    for (int i = 0; i < 100000; i++)
        pgd_buf_putc(&raw, 'n');
    run(&opt, pgd_buf_sv(&raw), 7, &got);
    assert_int_equal(got.n, 1);
    assert_int_equal(got.v[0].kind, API_TEXT);
    assert_int_equal(got.bytes.n, raw.n);
    api_pieces_fini(&got);
    pgd_buf_fini(&raw);
}

static void unknown_names_of_formats_are_refused(void **state) {
    (void)state;
    api_formats f;
    pgd_error err = {0};
    assert_int_equal(api_formats_pick(NULL, "xyz", "auto", &f, &err), PGD_E_INVALID);
    assert_non_null(strstr(err.msg, "xyz"));
    assert_int_equal(api_formats_pick(NULL, "auto", "xyz", &f, &err), PGD_E_INVALID);
    assert_int_equal(api_formats_pick(NULL, NULL, NULL, &f, &err), PGD_OK);
    assert_null(f.tools);
    assert_string_equal(api_tool_format_name(f.tools), "none");
    assert_string_equal(api_think_format_name(f.think), "none");
}

static void memory_failures_are_seen_and_nothing_leaks(void **state) {
    const world *const w = *state;
    const pgd_json *c = pgd_json_first(test_at(pgd_json_root(w->doc), "cases"));
    for (; c; c = pgd_json_next(c)) {
        const api_parser_options opt = options_of(w, c);
        const pgd_sv raw = str_of(c, "raw");
        for (int64_t nth = 1; nth < 200; nth++) {
            api_pieces got = {0};
            api_parser *p = NULL;
            pgd_mem_fail_after(nth);
            const pgd_status st = api_parser_create(&opt, &got, &p);
            if (st == PGD_OK) {
                api_parser_feed(p, raw.p, raw.n);
                api_parser_finish(p);
            }
            const bool done = st == PGD_OK && !got.bytes.failed;
            pgd_mem_fail_after(-1);
            api_parser_destroy(&p);
            api_pieces_fini(&got);
            if (done) break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_is_taken_apart_however_it_is_cut),
        cmocka_unit_test(a_truncated_output_is_a_prefix_of_the_whole),
        cmocka_unit_test(nesting_and_length_are_bounded),
        cmocka_unit_test(unknown_names_of_formats_are_refused),
        cmocka_unit_test(memory_failures_are_seen_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
