/* Building specifications of grammars in an arena: bottom-up, by value, with one sticky failure.
 *
 * Text that a model writes may hold control tokens: they are found by their text (the longest that
 * fits) and marked as the grammar wants them. Thread: a worker. */
#include <string.h>

#include "constrain.h"

static void *take(api_builder *b, size_t n, size_t bytes) {
    void *const p = pgd_arena_array(b->arena, n ? n : 1, bytes);
    b->failed = b->failed || !p;
    return p;
}

/* The control token that text begins with, or nothing. */
static pgd_sv control_at(const api_controls *k, pgd_sv text) {
    pgd_sv best = {NULL, 0};
    for (size_t i = 0; k && i < k->n; i++)
        if (k->v[i].n > best.n && pgd_sv_starts(text, k->v[i])) best = k->v[i];
    return best;
}

pgd_sv api_spec_control(api_builder *b, pgd_sv text) {
    char *const out = take(b, 2 * text.n, 1);
    size_t n = 0;
    if (!out) return (pgd_sv){"", 0};
    for (size_t i = 0; i < text.n;) {
        const pgd_sv rest = {text.p + i, text.n - i};
        const pgd_sv token = control_at(b->controls, rest);
        const size_t len = token.n ? token.n : 1;
        if (token.n) out[n++] = (char)PGD_GRAMMAR_CONTROL;
        memcpy(out + n, rest.p, len);
        n += len;
        i += len;
    }
    return (pgd_sv){out, n};
}

pgd_grammar_spec api_spec_text(api_builder *b, const char *text) {
    return (pgd_grammar_spec){.kind = PGD_GRAMMAR_TEXT,
                              .text = api_spec_control(b, pgd_sv_c(text ? text : ""))};
}

static bool is_nothing(const pgd_grammar_spec *s) {
    return (s->kind == PGD_GRAMMAR_SEQ && s->n_parts == 0) ||
           (s->kind == PGD_GRAMMAR_TEXT && s->text.n == 0);
}

pgd_grammar_spec api_spec_join(api_builder *b, pgd_grammar_kind kind, const pgd_grammar_spec *parts,
                               size_t n) {
    pgd_grammar_spec *const copy = take(b, n, sizeof *copy);
    size_t kept = 0;
    for (size_t i = 0; copy && i < n; i++)
        if (kind != PGD_GRAMMAR_SEQ || !is_nothing(&parts[i])) copy[kept++] = parts[i];
    if (kept == 1) return copy[0];
    return (pgd_grammar_spec){.kind = kind, .parts = copy, .n_parts = kept};
}

pgd_grammar_spec api_spec_repeat(api_builder *b, pgd_grammar_spec x, pgd_grammar_spec between,
                                 uint32_t min, uint32_t max) {
    pgd_grammar_spec *const parts = take(b, 2, sizeof *parts);
    if (parts) parts[0] = x;
    if (parts) parts[1] = between;
    return (pgd_grammar_spec){.kind = PGD_GRAMMAR_REPEAT,
                              .parts = parts,
                              .n_parts = is_nothing(&between) ? 1 : 2,
                              .min = min,
                              .max = max};
}

pgd_grammar_spec api_spec_optional(api_builder *b, pgd_grammar_spec x) {
    return is_nothing(&x)
               ? x
               : api_spec_repeat(b, x, (pgd_grammar_spec){.kind = PGD_GRAMMAR_SEQ}, 0, 1);
}

static void set_without(api_builder *b, pgd_grammar_spec *s, const char *const *without, size_t n) {
    pgd_sv *const v = take(b, n, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        v[i] = pgd_sv_c(without[i]); /* as plain text: control tokens cannot occur anyway */
    s->choices = v;
    s->n_choices = v ? n : 0;
}

pgd_grammar_spec api_spec_free(api_builder *b, const char *const *without, size_t n,
                               const char *not_first) {
    pgd_grammar_spec s = {.kind = PGD_GRAMMAR_FREE, .text = pgd_sv_c(not_first)};
    set_without(b, &s, without, n);
    return s;
}

pgd_grammar_spec api_spec_until(api_builder *b, const char *end, const char *const *without,
                                size_t n) {
    pgd_grammar_spec s = {.kind = PGD_GRAMMAR_UNTIL, .text = api_spec_control(b, pgd_sv_c(end))};
    set_without(b, &s, without, n);
    return s;
}

pgd_grammar_spec api_spec_json(pgd_sv schema, bool lenient, const char *name) {
    return (pgd_grammar_spec){.kind = PGD_GRAMMAR_JSON_SCHEMA,
                              .text = schema,
                              .space = PGD_JSON_SPACE_ANY,
                              .lenient = lenient,
                              .name = name};
}
