/* EBNF -> rules: GBNF as llama.cpp and xgrammar read it, and the like-minded part of Lark.
 *
 *   name ::= "literal" | [a-z] other* ( group )? x{2,5} .       # comment
 *   name: "literal"i /regex/ TERMINAL~2..5 -> alias             // comment
 *
 * A rule ends where the next one begins, so line breaks have no meaning. The start rule is `root`,
 * or else `start`, or else the first. Lark's %ignore, %import, templates and priorities change what
 * a grammar means and are refused by name, as are lookaheads. Identifiers may be used before they
 * are defined; one that never is, is an error.
 *
 * One pass, recursion bounded by max_depth. Thread: the caller's. */
#include <string.h>

#include "ir.h"
#include "pagoda/map.h"

typedef struct parser {
    pgd_ir *ir;
    pgd_sv s;
    size_t i;
    uint32_t depth;
    pgd_strmap *rules; /* name -> rule; names are views of s */
    uint32_t first;    /* rule of this text; those before it are others' */
    pgd_buf defined;   /* one byte a rule, from first on */
    pgd_error *err;
    pgd_status st;
} parser;

static uint32_t fail_at(parser *p, pgd_status st, size_t at, const char *what) {
    uint32_t line = 1;
    for (size_t k = 0; k < at && k < p->s.n; k++)
        line += p->s.p[k] == '\n';
    /* a builder that failed makes the parser stumble later: its failure is the one to tell */
    if (p->st == PGD_OK && p->ir->st != PGD_OK) p->st = pgd_ir_check(p->ir, p->err);
    if (p->st == PGD_OK) p->st = pgd_fail(p->err, st, "grammar, line %u: %s", line, what);
    return PGD_IR_FAIL;
}

static char peek(const parser *p) {
    return p->i < p->s.n && p->st == PGD_OK ? p->s.p[p->i] : '\0';
}

static bool next_is(parser *p, const char *text) {
    const pgd_sv t = pgd_sv_c(text);
    if (p->st != PGD_OK) return false;
    if (!pgd_sv_starts((pgd_sv){p->s.p + p->i, p->s.n - p->i}, t)) return false;
    p->i += t.n;
    return true;
}

static void skip_space(parser *p) {
    for (;;) {
        const char c = peek(p);
        const bool comment = c == '#' || (c == '/' && p->i + 1 < p->s.n && p->s.p[p->i + 1] == '/');
        if (comment) {
            while (p->i < p->s.n && p->s.p[p->i] != '\n')
                p->i++;
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            p->i++;
        } else {
            return;
        }
    }
}

static bool name_char(char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

static pgd_sv name(parser *p) {
    const size_t start = p->i;
    while (p->i < p->s.n && name_char(p->s.p[p->i], p->i == start))
        p->i++;
    while (p->i > start && p->s.p[p->i - 1] == '-') /* "a->b": an alias, no name */
        p->i--;
    return (pgd_sv){p->s.p + start, p->i - start};
}

/* Whether a rule head stands here: a name with ::= , := or : behind it. Consumes nothing. */
static bool at_head(const parser *p) {
    parser q = *p;
    if (peek(&q) == '?' || peek(&q) == '!') q.i++;
    if (name(&q).n == 0) return false;
    while (peek(&q) == ' ' || peek(&q) == '\t')
        q.i++;
    return next_is(&q, "::=") || next_is(&q, ":");
}

static uint32_t rule_of(parser *p, pgd_sv id) {
    uint64_t r = 0;
    if (pgd_strmap_get(p->rules, id, &r)) return (uint32_t)r;
    const uint32_t rule = pgd_ir_new_rule(p->ir, id);
    pgd_buf_putc(&p->defined, 0);
    if (pgd_strmap_put(p->rules, id, rule) != PGD_OK || p->defined.failed)
        (void)fail_at(p, PGD_E_NOMEM, p->i, "out of memory");
    return rule;
}

static uint32_t hex_digits(parser *p, size_t n) {
    uint32_t v = 0;
    for (size_t k = 0; k < n; k++) {
        const char c = peek(p);
        const bool digit = c >= '0' && c <= '9', letter = (c | 32) >= 'a' && (c | 32) <= 'f';
        if (!digit && !letter) return fail_at(p, PGD_E_INVALID, p->i, "expected a hex digit");
        v = v * 16 + (uint32_t)(digit ? c - '0' : (c | 32) - 'a' + 10);
        p->i++;
    }
    return v;
}

/* One character of a literal or class. */
static uint32_t character(parser *p) {
    uint32_t cp = 0;
    if (next_is(p, "\\")) {
        static const char codes[] = "n\nr\rt\tf\fv\v0\0";
        const char c = peek(p);
        p->i++;
        if (c == 'x') return hex_digits(p, 2);
        if (c == 'u') return hex_digits(p, 4);
        if (c == 'U') return hex_digits(p, 8);
        for (size_t k = 0; k + 1 < sizeof codes; k += 2)
            if (codes[k] == c) return (uint8_t)codes[k + 1];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\0' || (c & 0x80))
            return fail_at(p, PGD_E_INVALID, p->i - 1, "unknown escape");
        return (uint8_t)c;
    }
    const size_t n = p->i < p->s.n ? pgd_utf8_decode(p->s.p + p->i, p->s.n - p->i, &cp) : 0;
    if (n == 0) return fail_at(p, PGD_E_INVALID, p->i, "ends too early or is not UTF-8");
    p->i += n;
    return cp;
}

static uint32_t any_case(pgd_ir *ir, uint32_t cp) {
    pgd_cpset s = {0};
    const bool letter = (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z');
    if (!letter) return pgd_ir_char(ir, cp, PGD_CHARS_RAW);
    pgd_cpset_add(&s, cp & ~32u, cp & ~32u);
    pgd_cpset_add(&s, cp | 32, cp | 32);
    const uint32_t x = pgd_ir_class(ir, &s, PGD_CHARS_RAW);
    pgd_cpset_fini(&s);
    return x;
}

static uint32_t literal(parser *p) {
    const size_t start = p->i++;
    pgd_buf text = {0};
    uint32_t x = PGD_IR_FAIL;
    while (peek(p) != '"') {
        char b[4];
        if (p->i >= p->s.n || peek(p) == '\n')
            (void)fail_at(p, PGD_E_INVALID, start, "a literal without its end quote");
        const uint32_t cp = character(p);
        const size_t n = pgd_utf8_encode(cp, b);
        if (p->st == PGD_OK && n == 0)
            (void)fail_at(p, PGD_E_INVALID, start, "a literal holds no Unicode character");
        pgd_buf_put(&text, b, n);
        if (p->st != PGD_OK) break;
    }
    p->i++;
    if (text.failed) (void)fail_at(p, PGD_E_NOMEM, start, "out of memory");
    if (p->st == PGD_OK && peek(p) == 'i' &&
        !(p->i + 1 < p->s.n && name_char(p->s.p[p->i + 1], false))) {
        const size_t mark = pgd_ir_mark(p->ir);
        p->i++;
        for (size_t k = 0; k < text.n;) {
            uint32_t cp = 0;
            k += pgd_utf8_decode(text.p + k, text.n - k, &cp);
            pgd_ir_push(p->ir, any_case(p->ir, cp));
        }
        x = pgd_ir_seq(p->ir, mark);
    } else if (p->st == PGD_OK) {
        x = pgd_ir_lit(p->ir, pgd_buf_sv(&text));
    }
    pgd_buf_fini(&text);
    return x;
}

static uint32_t char_class(parser *p) {
    const size_t start = p->i++;
    pgd_cpset s = {0};
    const bool invert = next_is(p, "^");
    while (!next_is(p, "]") && p->st == PGD_OK && pgd_ir_step(p->ir, 1)) {
        if (p->i >= p->s.n) (void)fail_at(p, PGD_E_INVALID, start, "'[' without ']'");
        const uint32_t lo = character(p);
        uint32_t hi = lo;
        if (peek(p) == '-' && p->i + 1 < p->s.n && p->s.p[p->i + 1] != ']') {
            p->i++;
            hi = character(p);
        }
        if (hi < lo) (void)fail_at(p, PGD_E_INVALID, start, "range out of order in class");
        pgd_cpset_add(&s, lo, hi);
    }
    if (invert) pgd_cpset_invert(&s);
    const uint32_t x = p->st == PGD_OK ? pgd_ir_class(p->ir, &s, PGD_CHARS_RAW) : PGD_IR_FAIL;
    pgd_cpset_fini(&s);
    return x;
}

static uint32_t regex(parser *p) {
    const size_t start = p->i++;
    uint32_t x = PGD_IR_FAIL;
    while (p->i < p->s.n && p->s.p[p->i] != '/' && p->s.p[p->i] != '\n')
        p->i += p->s.p[p->i] == '\\' ? 2 : 1;
    if (p->i >= p->s.n || p->s.p[p->i] != '/')
        return fail_at(p, PGD_E_INVALID, start, "'/' without its end");
    const pgd_sv pattern = {p->s.p + start + 1, p->i - start - 1};
    p->i++;
    if (name_char(peek(p), true))
        return fail_at(p, PGD_E_UNSUPPORTED, p->i, "flags of a regex are not supported");
    p->st = pgd_regex_parse(p->ir, pattern, PGD_CHARS_RAW, false, &x, p->err);
    return x;
}

static uint32_t any_char(parser *p) {
    pgd_cpset s = {0};
    p->i++;
    pgd_cpset_add(&s, 0, 0x10FFFF);
    const uint32_t x = pgd_ir_class(p->ir, &s, PGD_CHARS_RAW);
    pgd_cpset_fini(&s);
    return x;
}

static uint32_t alternatives(parser *p);

static uint32_t group(parser *p, const char *close) {
    const size_t start = p->i++;
    if (peek(p) == '=' || peek(p) == '!')
        return fail_at(p, PGD_E_UNSUPPORTED, start, "lookahead is not supported");
    if (++p->depth > p->ir->lim->max_depth)
        return fail_at(p, PGD_E_LIMIT, start, "groups are nested too deeply");
    const uint32_t x = alternatives(p);
    p->depth--;
    skip_space(p);
    if (p->st == PGD_OK && !next_is(p, close))
        return fail_at(p, PGD_E_INVALID, start, "a group without its end");
    return x;
}

static bool number(parser *p, uint32_t *out) {
    uint64_t v = 0;
    skip_space(p);
    const size_t start = p->i;
    while (peek(p) >= '0' && peek(p) <= '9') {
        v = v * 10 + (uint64_t)(p->s.p[p->i++] - '0');
        if (v > PGD_IR_INF - 1) v = PGD_IR_INF - 1;
    }
    *out = (uint32_t)v;
    const bool any = p->i > start;
    skip_space(p);
    return any;
}

static bool quantifier(parser *p, uint32_t *min, uint32_t *max) {
    const size_t at = p->i;
    bool ok = true;
    *min = 0;
    *max = PGD_IR_INF;
    if (next_is(p, "*")) return true;
    if (next_is(p, "+")) {
        *min = 1;
    } else if (!at_head(p) && next_is(p, "?")) {
        *max = 1;
    } else if (next_is(p, "{")) {
        const bool low = number(p, min);
        *max = *min;
        if (next_is(p, ",") && !number(p, max)) *max = PGD_IR_INF;
        ok = (low || *max != PGD_IR_INF) && next_is(p, "}") && *min <= *max;
    } else if (next_is(p, "~")) {
        ok = number(p, min);
        *max = *min;
        if (next_is(p, "..")) ok = number(p, max) && *min <= *max;
    } else {
        return false;
    }
    if (!ok) (void)fail_at(p, PGD_E_INVALID, at, "malformed repetition");
    return true;
}

static uint32_t element(parser *p) {
    const char c = peek(p);
    if (c == '"') return literal(p);
    if (c == '[') return char_class(p);
    if (c == '(') return group(p, ")");
    if (c == '/') return regex(p);
    if (c == '.') return any_char(p);
    if (name_char(c, true)) return pgd_ir_rule_ref(p->ir, rule_of(p, name(p)));
    return fail_at(p, PGD_E_INVALID, p->i, "expected a literal, class, group or rule name");
}

static bool at_element_end(const parser *p) {
    const char c = peek(p);
    return c == '\0' || c == '|' || c == ')' || c == '%' || at_head(p);
}

static uint32_t alternatives(parser *p) {
    pgd_ir *const ir = p->ir;
    const size_t alt = pgd_ir_mark(ir);
    do {
        const size_t seq = pgd_ir_mark(ir);
        for (skip_space(p); !at_element_end(p); skip_space(p)) {
            if (next_is(p, "->")) { /* Lark: a name for the tree, which nobody builds */
                skip_space(p);
                (void)name(p);
                continue;
            }
            uint32_t x = element(p), min = 0, max = 0;
            while (quantifier(p, &min, &max))
                x = pgd_ir_count(ir, x, min, max);
            pgd_ir_push(ir, x);
        }
        pgd_ir_push(ir, pgd_ir_seq(ir, seq));
    } while (next_is(p, "|"));
    return pgd_ir_alt(ir, alt);
}

static void rule(parser *p) {
    const size_t at = p->i;
    if (peek(p) == '%')
        (void)fail_at(p, PGD_E_UNSUPPORTED, at,
                      "%ignore, %import and other % lines are not "
                      "supported");
    else if (!at_head(p))
        (void)fail_at(p, PGD_E_INVALID, at, "expected a rule: name ::= ...");
    if (p->st != PGD_OK) return;
    if (!next_is(p, "?")) (void)next_is(p, "!");
    const pgd_sv id = name(p);
    const uint32_t r = rule_of(p, id);
    skip_space(p);
    if (!next_is(p, "::=")) (void)next_is(p, ":");
    if (p->st == PGD_OK && p->ir->st == PGD_OK && p->defined.p[r - p->first])
        (void)fail_at(p, PGD_E_INVALID, at, "this rule is defined twice");
    const uint32_t body = alternatives(p);
    if (p->st != PGD_OK || p->ir->st != PGD_OK) return;
    if (peek(p) == ')') (void)fail_at(p, PGD_E_INVALID, p->i, "')' without '('");
    p->ir->rules[r].body = body;
    p->defined.p[r - p->first] = 1;
}

/* Whether x begins with a reference to rule r; *rest is what follows it. */
static bool begins_with(pgd_ir *ir, uint32_t x, uint32_t r, uint32_t *rest) {
    const pgd_ir_node n = ir->nodes[x];
    *rest = PGD_IR_EMPTY;
    if (n.op == PGD_OP_RULE) return n.a == r;
    if (n.op != PGD_OP_SEQ || n.b == 0) return false;
    const pgd_ir_node first = ir->nodes[ir->list[n.a]];
    if (first.op != PGD_OP_RULE || first.a != r) return false;
    const size_t mark = pgd_ir_mark(ir);
    for (uint32_t i = 1; i < n.b; i++)
        pgd_ir_push(ir, ir->list[n.a + i]);
    *rest = pgd_ir_seq(ir, mark);
    return true;
}

/* r = r a | r b | c becomes r = c (a | b)*, the same language. Recursion through other rules on the
 * left is left as it is, for the automaton to refuse. */
static void straighten(pgd_ir *ir, uint32_t r) {
    const uint32_t body = ir->rules[r].body;
    const pgd_ir_node n = ir->nodes[body];
    const bool alt = n.op == PGD_OP_ALT;
    uint32_t more = PGD_IR_FAIL, base = PGD_IR_FAIL, rest = PGD_IR_EMPTY;
    for (uint32_t i = 0; i < (alt ? n.b : 1) && pgd_ir_step(ir, 1); i++) {
        const uint32_t x = alt ? ir->list[n.a + i] : body;
        if (!begins_with(ir, x, r, &rest))
            base = pgd_ir_alt2(ir, base, x);
        else if (rest != PGD_IR_EMPTY) /* r = r says nothing */
            more = pgd_ir_alt2(ir, more, rest);
        else if (more == PGD_IR_FAIL)
            more = PGD_IR_EMPTY;
    }
    if (ir->st != PGD_OK || more == PGD_IR_FAIL) return;
    ir->rules[r].body = pgd_ir_seq2(ir, base, pgd_ir_count(ir, more, 0, PGD_IR_INF));
}

/* The start rule, once every name has a definition. */
static uint32_t start_rule(parser *p) {
    uint64_t r = p->first;
    for (size_t k = 0; k < p->defined.n && p->st == PGD_OK; k++) {
        const pgd_ir_rule *const u = &p->ir->rules[p->first + k];
        if (!p->defined.p[k])
            p->st =
                pgd_fail(p->err, PGD_E_INVALID, "grammar: rule '%.*s' is used but not defined",
                         (int)(u->name_len < 200 ? u->name_len : 200), p->ir->bytes.p + u->name);
    }
    if (!pgd_strmap_get(p->rules, PGD_SV("root"), &r))
        (void)pgd_strmap_get(p->rules, PGD_SV("start"), &r);
    return (uint32_t)r;
}

pgd_status pgd_ebnf_parse(pgd_ir *ir, pgd_sv text, uint32_t *root, pgd_error *err) {
    parser p = {.ir = ir, .s = text, .first = (uint32_t)ir->n_rules, .err = err};
    if (text.n > ir->lim->max_source_bytes)
        return pgd_fail(err, PGD_E_LIMIT, "grammar of %zu bytes, at most %zu are allowed", text.n,
                        ir->lim->max_source_bytes);
    if (pgd_strmap_create(&p.rules, 64) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "out of memory for the grammar");
    skip_space(&p);
    if (p.i >= text.n) (void)fail_at(&p, PGD_E_INVALID, 0, "no rules");
    while (p.i < text.n && p.st == PGD_OK && ir->st == PGD_OK) {
        rule(&p);
        skip_space(&p);
    }
    pgd_status st = p.st == PGD_OK ? pgd_ir_check(ir, err) : p.st;
    if (st == PGD_OK) {
        for (size_t k = 0; k < p.defined.n; k++)
            straighten(ir, p.first + (uint32_t)k);
        *root = pgd_ir_rule_ref(ir, start_rule(&p));
        st = p.st == PGD_OK ? pgd_ir_check(ir, err) : p.st;
    }
    pgd_buf_fini(&p.defined);
    pgd_strmap_destroy(&p.rules);
    return st;
}
