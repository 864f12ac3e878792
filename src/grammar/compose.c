/* Specifications to rules: each kind's front end, and the kinds that join others.
 *
 * FREE and UNTIL are the languages "no marker inside" and "the first marker at the end", made as
 * differences of regular expressions, which the automaton's product resolves. Parts nest as deep as
 * the caller built them, which the depth limit bounds.
 * Thread: the caller's. Memory: the IR's. */
#include "ir.h"

static const pgd_byteset NOT_CONTROL = {{~0ull, ~0ull, ~0ull, ~0ull >> 1}};

static pgd_status parse_choices(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t *root,
                                pgd_error *err) {
    const size_t mark = pgd_ir_mark(ir);
    size_t total = 0;
    if (spec->n_choices == 0) return pgd_fail(err, PGD_E_INVALID, "no choices");
    for (size_t i = 0; i < spec->n_choices; i++) {
        const pgd_sv c = spec->choices[i];
        total += c.n;
        if (total > ir->lim->max_source_bytes)
            return pgd_fail(err, PGD_E_LIMIT, "choices of more than %zu bytes together",
                            ir->lim->max_source_bytes);
        if (pgd_utf8_valid_prefix(c.p, c.n) != c.n)
            return pgd_fail(err, PGD_E_INVALID, "choice %zu is not UTF-8", i);
        pgd_ir_push(ir, pgd_ir_lit(ir, c));
    }
    *root = pgd_ir_alt(ir, mark);
    return pgd_ir_check(ir, err);
}

static pgd_status parse_schema_text(pgd_ir *ir, const pgd_grammar_spec *spec, pgd_sv text,
                                    uint32_t *root, pgd_error *err) {
    const pgd_json_limits lim = {
        .max_bytes = ir->lim->max_source_bytes,
        .max_nodes = ir->lim->max_source_bytes,
        .max_depth = ir->lim->max_depth,
    };
    pgd_json_doc *doc = NULL;
    pgd_status st = pgd_json_parse(text, &lim, &doc, err);
    if (st == PGD_E_FORMAT) st = PGD_E_INVALID; /* here the text is a caller's value */
    if (st == PGD_OK) st = pgd_schema_parse(ir, pgd_json_root(doc), spec->space, root, err);
    pgd_json_free(&doc);
    if (err && st != PGD_OK) err->code = st;
    return st;
}

static pgd_status parse_schema(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t *root,
                               pgd_error *err) {
    pgd_error why = {0};
    const pgd_status st = spec->json ? pgd_schema_parse(ir, spec->json, spec->space, root, &why)
                                     : parse_schema_text(ir, spec, spec->text, root, &why);
    if (st == PGD_E_UNSUPPORTED && spec->lenient && ir->st == PGD_OK)
        return parse_schema_text(ir, spec, PGD_SV("{\"type\":\"object\"}"), root, err);
    if (st != PGD_OK && err) *err = why;
    return st;
}

/* ---- Free text ---- */

/* Any bytes but control ones, any number of times. */
static uint32_t any_bytes(pgd_ir *ir) {
    return pgd_ir_count(ir, pgd_ir_set(ir, &NOT_CONTROL), 0, PGD_IR_INF);
}

/* any x any */
static uint32_t with_any(pgd_ir *ir, uint32_t x) {
    return pgd_ir_seq2(ir, any_bytes(ir), pgd_ir_seq2(ir, x, any_bytes(ir)));
}

/* Texts that begin with none of these bytes. */
static uint32_t not_begun_by(pgd_ir *ir, pgd_sv bytes) {
    pgd_byteset set = NOT_CONTROL;
    for (size_t i = 0; i < bytes.n; i++) {
        const uint8_t b = (uint8_t)bytes.p[i];
        set.w[b >> 6] &= ~(1ull << (b & 63));
    }
    return pgd_ir_opt(ir, pgd_ir_seq2(ir, pgd_ir_set(ir, &set), any_bytes(ir)));
}

static bool is_control(pgd_sv text) {
    return text.n && (uint8_t)text.p[0] == PGD_GRAMMAR_CONTROL;
}

/* Texts in which a marker stands. One tail for all of them: the product follows this operand as
 * sets of its nodes, and a tail for each would let those remember which markers were seen. A marker
 * that begins with a control byte cannot occur in free text anyway. */
static uint32_t with_marker(pgd_ir *ir, const pgd_grammar_spec *spec) {
    const size_t mark = pgd_ir_mark(ir);
    for (size_t i = 0; i < spec->n_choices; i++)
        if (!is_control(spec->choices[i]) && spec->choices[i].n)
            pgd_ir_push(ir, pgd_ir_lit(ir, spec->choices[i]));
    const uint32_t markers = pgd_ir_alt(ir, mark);
    return markers == PGD_IR_FAIL ? markers : with_any(ir, markers);
}

static uint32_t free_text(pgd_ir *ir, const pgd_grammar_spec *spec) {
    const bool until = spec->kind == PGD_GRAMMAR_UNTIL;
    uint32_t all = until || !spec->text.n ? any_bytes(ir) : not_begun_by(ir, spec->text);
    uint32_t never = with_marker(ir, spec);
    if (until && !is_control(spec->text)) { /* the marker, and then something */
        const uint32_t more = pgd_ir_count(ir, pgd_ir_set(ir, &NOT_CONTROL), 1, PGD_IR_INF);
        const uint32_t end = pgd_ir_lit(ir, spec->text);
        never = pgd_ir_alt2(ir, never, pgd_ir_seq2(ir, any_bytes(ir), pgd_ir_seq2(ir, end, more)));
        all = pgd_ir_seq2(ir, all, pgd_ir_lit(ir, spec->text));
    }
    if (never != PGD_IR_FAIL) all = pgd_ir_diff(ir, all, never);
    return until && is_control(spec->text) ? pgd_ir_seq2(ir, all, pgd_ir_lit(ir, spec->text)) : all;
}

/* ---- Parts ---- */

static pgd_status parse_at(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t depth, uint32_t *root,
                           pgd_error *err);

static pgd_status parse_repeat(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t depth,
                               uint32_t *root, pgd_error *err) {
    uint32_t one = PGD_IR_FAIL, between = PGD_IR_EMPTY;
    PGD_TRY(parse_at(ir, &spec->parts[0], depth, &one, err));
    if (spec->n_parts > 1) PGD_TRY(parse_at(ir, &spec->parts[1], depth, &between, err));
    const uint32_t min = spec->min, max = spec->max ? spec->max : PGD_IR_INF;
    const uint32_t more = pgd_ir_count(ir, pgd_ir_seq2(ir, between, one), min ? min - 1 : 0,
                                       max == PGD_IR_INF ? max : max - 1);
    *root = pgd_ir_seq2(ir, one, more);
    if (!min) *root = pgd_ir_opt(ir, *root);
    return pgd_ir_check(ir, err);
}

static pgd_status parse_parts(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t depth,
                              uint32_t *root, pgd_error *err) {
    if (depth >= ir->lim->max_depth)
        return pgd_fail(err, PGD_E_LIMIT, "parts nested more than %u deep", ir->lim->max_depth);
    if (spec->n_parts == 0) return pgd_fail(err, PGD_E_INVALID, "a grammar without parts");
    if (spec->kind == PGD_GRAMMAR_REPEAT) return parse_repeat(ir, spec, depth, root, err);
    const size_t mark = pgd_ir_mark(ir);
    for (size_t i = 0; i < spec->n_parts; i++) {
        uint32_t one = PGD_IR_FAIL;
        PGD_TRY(parse_at(ir, &spec->parts[i], depth, &one, err));
        pgd_ir_push(ir, one);
    }
    *root = spec->kind == PGD_GRAMMAR_SEQ ? pgd_ir_seq(ir, mark) : pgd_ir_alt(ir, mark);
    return pgd_ir_check(ir, err);
}

static pgd_status parse_kind(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t depth,
                             uint32_t *root, pgd_error *err) {
    switch (spec->kind) {
    case PGD_GRAMMAR_JSON_SCHEMA:
        return parse_schema(ir, spec, root, err);
    case PGD_GRAMMAR_JSON_OBJECT:
        return parse_schema_text(ir, spec, PGD_SV("{\"type\":\"object\"}"), root, err);
    case PGD_GRAMMAR_REGEX:
        return pgd_regex_parse(ir, spec->text, PGD_CHARS_RAW, false, root, err);
    case PGD_GRAMMAR_EBNF:
        return pgd_ebnf_parse(ir, spec->text, root, err);
    case PGD_GRAMMAR_CHOICE:
        return parse_choices(ir, spec, root, err);
    case PGD_GRAMMAR_TEXT:
        *root = pgd_ir_lit(ir, spec->text);
        return pgd_ir_check(ir, err);
    case PGD_GRAMMAR_FREE:
    case PGD_GRAMMAR_UNTIL:
        *root = free_text(ir, spec);
        return pgd_ir_check(ir, err);
    case PGD_GRAMMAR_SEQ:
    case PGD_GRAMMAR_ALT:
    case PGD_GRAMMAR_REPEAT:
        return parse_parts(ir, spec, depth, root, err);
    default:
        return pgd_fail(err, PGD_E_INTERNAL, "grammar kind %d", (int)spec->kind);
    }
}

static pgd_status parse_at(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t depth, uint32_t *root,
                           pgd_error *err) {
    const pgd_status st = parse_kind(ir, spec, depth + 1, root, err);
    return st != PGD_OK && spec->name ? pgd_wrap(err, "%s", spec->name) : st;
}

pgd_status pgd_spec_parse(pgd_ir *ir, const pgd_grammar_spec *spec, uint32_t *root,
                          pgd_error *err) {
    return parse_at(ir, spec, 0, root, err);
}
