/* Regular expressions -> rule expressions.
 *
 * ECMA-like syntax read as code points: alternation, groups (plain, named, non-capturing), greedy
 * and lazy quantifiers (the same language), classes, \d \w \s and their complements, \xHH, \uHHHH,
 * \u{...}, \cX, anchors. What has no meaning for a whole language (captures) is ignored; what makes
 * it irregular or ambiguous (backreferences, \b, inline flags) is refused by name. Anchors may
 * stand where a match begins or ends; the last pass moves them outwards and turns an unanchored
 * side of a search into "any characters". Lookahead may stand anywhere outside groups: there, what
 * follows is the rest of the text, and the two are intersected. So is lookbehind with all that
 * stands before it, unless a lookahead is in between: then the two overlap, and neither side is a
 * text to itself.
 *
 * One pass, recursion bounded by max_depth, so linear in the pattern. Thread: the caller's. */
#include <string.h>

#include "ir.h"

typedef struct parser {
    pgd_ir *ir;
    pgd_sv s;
    size_t i;
    uint32_t depth;
    pgd_charmode mode;
    bool in_ahead, in_behind;
    uint32_t rest; /* expression: any characters; made when a lookaround needs it, else FAIL */
    pgd_error *err;
    pgd_status st;
} parser;

/* A builder that failed makes the parser stumble later: its failure is the one to tell. */
static uint32_t fail_at(parser *p, pgd_status st, size_t at, const char *what) {
    if (p->st == PGD_OK && p->ir->st != PGD_OK) p->st = pgd_ir_check(p->ir, p->err);
    if (p->st == PGD_OK) p->st = pgd_fail(p->err, st, "pattern, offset %zu: %s", at, what);
    return PGD_IR_FAIL;
}

static bool more(const parser *p) {
    return p->i < p->s.n && p->st == PGD_OK;
}

static bool next_is(parser *p, const char *text) {
    const pgd_sv t = pgd_sv_c(text);
    if (!pgd_sv_starts((pgd_sv){p->s.p + p->i, p->s.n - p->i}, t)) return false;
    p->i += t.n;
    return true;
}

static uint32_t next_cp(parser *p) {
    uint32_t cp = 0;
    const size_t n = p->i < p->s.n ? pgd_utf8_decode(p->s.p + p->i, p->s.n - p->i, &cp) : 0;
    if (n == 0) {
        (void)fail_at(p, PGD_E_INVALID, p->i, "ends too early or is not UTF-8");
        p->i = p->s.n;
        return 0;
    }
    p->i += n;
    return cp;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Exactly n hex digits. */
static uint32_t hex(parser *p, size_t n) {
    uint32_t v = 0;
    for (size_t k = 0; k < n; k++) {
        const int d = p->i < p->s.n ? hex_value(p->s.p[p->i]) : -1;
        if (d < 0) {
            (void)fail_at(p, PGD_E_INVALID, p->i, "expected a hex digit");
            return 0;
        }
        v = v * 16 + (uint32_t)d;
        p->i++;
    }
    return v;
}

/* After "\u": four digits (a surrogate pair counts as one character) or braces. */
static uint32_t unicode_escape(parser *p) {
    const size_t at = p->i - 2;
    uint32_t cp = 0;
    if (next_is(p, "{")) {
        size_t n = 0;
        while (p->i < p->s.n && n < 6 && hex_value(p->s.p[p->i]) >= 0) {
            cp = cp * 16 + (uint32_t)hex_value(p->s.p[p->i++]);
            n++;
        }
        if (n == 0 || !next_is(p, "}") || cp > 0x10FFFF)
            return fail_at(p, PGD_E_INVALID, at, "malformed \\u{...}");
    } else {
        cp = hex(p, 4);
        if (cp >= 0xD800 && cp < 0xDC00 && next_is(p, "\\u")) {
            const uint32_t low = hex(p, 4);
            if (low < 0xDC00 || low > 0xDFFF)
                return fail_at(p, PGD_E_INVALID, at, "half a surrogate pair");
            return 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    if (cp >= 0xD800 && cp <= 0xDFFF) return fail_at(p, PGD_E_INVALID, at, "half a surrogate pair");
    return cp;
}

/* The class that \d, \w, \s or their upper-case complement names; false for other letters. */
static bool named_class(char c, pgd_cpset *out) {
    static const pgd_cprange space[] = {
        {9, 13},          {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
        {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    pgd_cpset s = {0};
    switch (c | 32) {
    case 'w':
        pgd_cpset_add(&s, 'A', 'Z');
        pgd_cpset_add(&s, 'a', 'z');
        pgd_cpset_add(&s, '_', '_');
        pgd_cpset_add(&s, '0', '9');
        break;
    case 'd':
        pgd_cpset_add(&s, '0', '9');
        break;
    case 's':
        for (size_t i = 0; i < sizeof space / sizeof space[0]; i++)
            pgd_cpset_add(&s, space[i].lo, space[i].hi);
        break;
    default:
        return false;
    }
    if (c < 'a') pgd_cpset_invert(&s);
    for (size_t i = 0; i < s.n; i++)
        pgd_cpset_add(out, s.v[i].lo, s.v[i].hi);
    out->failed |= s.failed;
    pgd_cpset_fini(&s);
    return true;
}

/* A character escape, the backslash consumed. */
static uint32_t escape(parser *p, bool in_class) {
    const size_t at = p->i - 1;
    const uint32_t c = next_cp(p);
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'f':
        return '\f';
    case 'v':
        return '\v';
    case 'x':
        return hex(p, 2);
    case 'u':
        return unicode_escape(p);
    case 'c': {
        const uint32_t l = next_cp(p) | 32;
        return l >= 'a' && l <= 'z' ? l - 'a' + 1 : fail_at(p, PGD_E_INVALID, at, "malformed \\c");
    }
    case '0':
        if (p->i < p->s.n && p->s.p[p->i] >= '0' && p->s.p[p->i] <= '9')
            return fail_at(p, PGD_E_UNSUPPORTED, at, "octal escapes are not supported");
        return 0;
    case 'b':
        return in_class ? '\b' : fail_at(p, PGD_E_UNSUPPORTED, at, "\\b is not supported");
    default:
        break;
    }
    if (c >= '1' && c <= '9')
        return fail_at(p, PGD_E_UNSUPPORTED, at, "backreferences are not supported");
    if (c == 'k') return fail_at(p, PGD_E_UNSUPPORTED, at, "backreferences are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return fail_at(p, PGD_E_UNSUPPORTED, at, "this escape is not supported");
    return c;
}

/* \d and its kin, or \p{...} and \P{...}, the backslash consumed: added to s. False for others. */
static bool escaped_class(parser *p, pgd_cpset *s) {
    const size_t at = p->i - 1;
    const char c = p->i < p->s.n ? p->s.p[p->i] : '\0';
    if (c != 'p' && c != 'P') {
        const bool named = named_class(c, s);
        p->i += named;
        return named;
    }
    p->i++;
    size_t end = p->i;
    while (end < p->s.n && p->s.p[end] != '}')
        end++;
    if (!next_is(p, "{") || end == p->s.n) {
        (void)fail_at(p, PGD_E_INVALID, at, "expected \\p{...}");
        return true;
    }
    const pgd_sv name = {p->s.p + p->i, end - p->i};
    p->i = end + 1;
    if (!pgd_cpset_property(p->ir, s, name, c == 'p'))
        (void)fail_at(p, PGD_E_UNSUPPORTED, at,
                      "of \\p only categories, sc= and scx= with known values are supported");
    return true;
}

/* One member of a class: a code point, or (returning false) a named class added to s. */
static bool class_atom(parser *p, pgd_cpset *s, uint32_t *cp) {
    if (!next_is(p, "\\")) {
        *cp = next_cp(p);
        return true;
    }
    if (escaped_class(p, s)) return false;
    *cp = escape(p, true);
    return true;
}

static uint32_t parse_class(parser *p) {
    const size_t at = p->i - 1;
    pgd_cpset s = {0};
    const bool invert = next_is(p, "^");
    for (bool closed = false; !closed;) {
        uint32_t lo = 0, hi = 0;
        if (!more(p)) {
            (void)fail_at(p, PGD_E_INVALID, at, "'[' without ']'");
            break;
        }
        closed = next_is(p, "]");
        if (closed || !pgd_ir_step(p->ir, 1)) break;
        if (!class_atom(p, &s, &lo)) continue;
        hi = lo;
        if (p->i + 1 < p->s.n && p->s.p[p->i] == '-' && p->s.p[p->i + 1] != ']') {
            const size_t dash = p->i++;
            if (!class_atom(p, &s, &hi)) { /* [a-\d]: the dash is itself */
                pgd_cpset_add(&s, '-', '-');
                hi = lo;
            }
            if (hi < lo) (void)fail_at(p, PGD_E_INVALID, dash, "range out of order in class");
        }
        pgd_cpset_add(&s, lo, hi);
    }
    if (invert) pgd_cpset_invert(&s);
    const uint32_t x = p->st == PGD_OK ? pgd_ir_class(p->ir, &s, p->mode) : PGD_IR_FAIL;
    pgd_cpset_fini(&s);
    return x;
}

static uint32_t parse_alt(parser *p);

static uint32_t parse_inside(parser *p, size_t at) {
    if (++p->depth > p->ir->lim->max_depth)
        return fail_at(p, PGD_E_LIMIT, at, "groups are nested too deeply");
    const uint32_t x = parse_alt(p);
    p->depth--;
    if (p->st == PGD_OK && !next_is(p, ")"))
        return fail_at(p, PGD_E_INVALID, at, "'(' without ')'");
    return x;
}

static uint32_t parse_look(parser *p, size_t at, bool behind, uint32_t negative) {
    if (p->depth)
        return fail_at(p, PGD_E_UNSUPPORTED, at,
                       behind ? "lookbehind inside a group is not supported"
                              : "lookahead inside a group is not supported");
    p->in_ahead = !behind;
    p->in_behind = behind;
    const uint32_t x = parse_inside(p, at);
    p->in_ahead = p->in_behind = false;
    return pgd_ir_look(p->ir, behind ? PGD_OP_BEHIND : PGD_OP_AHEAD, x, negative);
}

static uint32_t parse_group(parser *p) {
    const size_t at = p->i - 1;
    static const char *const looks[] = {"?=", "?!", "?<=", "?<!"};
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
        if (next_is(p, looks[i])) return parse_look(p, at, i >= 2, i % 2);
    if (next_is(p, "?")) {
        if (next_is(p, "<") || next_is(p, "P<")) {
            while (more(p) && p->s.p[p->i] != '>')
                p->i++;
            if (!next_is(p, ">")) return fail_at(p, PGD_E_INVALID, at, "unfinished group name");
        } else if (!next_is(p, ":")) {
            return fail_at(p, PGD_E_UNSUPPORTED, at,
                           "inline flags and (?...) extensions are not "
                           "supported");
        }
    }
    return parse_inside(p, at);
}

static uint32_t dot(parser *p) {
    pgd_cpset s = {0};
    pgd_cpset_add(&s, '\n', '\n');
    pgd_cpset_add(&s, '\r', '\r');
    pgd_cpset_add(&s, 0x2028, 0x2029);
    pgd_cpset_invert(&s);
    const uint32_t x = pgd_ir_class(p->ir, &s, p->mode);
    pgd_cpset_fini(&s);
    return x;
}

static uint32_t parse_atom(parser *p) {
    const size_t at = p->i;
    if (next_is(p, "(")) return parse_group(p);
    if (next_is(p, "[")) return parse_class(p);
    if (next_is(p, ".")) return dot(p);
    if (p->in_ahead && next_is(p, "^"))
        return fail_at(p, PGD_E_UNSUPPORTED, at, "'^' inside a lookahead is not supported");
    if (p->in_behind && next_is(p, "$"))
        return fail_at(p, PGD_E_UNSUPPORTED, at, "'$' inside a lookbehind is not supported");
    if (next_is(p, "^")) return pgd_ir_anchor(p->ir, PGD_OP_BEGIN);
    if (next_is(p, "$")) return pgd_ir_anchor(p->ir, PGD_OP_END);
    if (next_is(p, "\\")) {
        pgd_cpset s = {0};
        const bool named = escaped_class(p, &s);
        const uint32_t class = named ? pgd_ir_class(p->ir, &s, p->mode) : PGD_IR_FAIL;
        pgd_cpset_fini(&s);
        if (named) return class;
        if (p->i < p->s.n && p->s.p[p->i] == 'B')
            return fail_at(p, PGD_E_UNSUPPORTED, at, "\\B is not supported");
        const uint32_t cp = escape(p, false);
        return p->st == PGD_OK ? pgd_ir_char(p->ir, cp, p->mode) : PGD_IR_FAIL;
    }
    const uint32_t cp = next_cp(p);
    if (cp == '*' || cp == '+' || cp == '?')
        return fail_at(p, PGD_E_INVALID, at, "a quantifier without something to repeat");
    return p->st == PGD_OK ? pgd_ir_char(p->ir, cp, p->mode) : PGD_IR_FAIL;
}

static bool number(parser *p, uint32_t *out) {
    uint64_t v = 0;
    const size_t start = p->i;
    while (p->i < p->s.n && p->s.p[p->i] >= '0' && p->s.p[p->i] <= '9') {
        v = v * 10 + (uint64_t)(p->s.p[p->i++] - '0');
        if (v > PGD_IR_INF - 1) v = PGD_IR_INF - 1;
    }
    *out = (uint32_t)v;
    return p->i > start;
}

/* {m}, {m,}, {m,n}; anything else in braces is literal text, as in ECMA's web grammar. */
static bool braces(parser *p, uint32_t *min, uint32_t *max) {
    const size_t start = p->i;
    if (next_is(p, "{") && number(p, min)) {
        *max = *min;
        if (next_is(p, ",") && !number(p, max)) *max = PGD_IR_INF;
        if (next_is(p, "}")) return true;
    }
    p->i = start;
    return false;
}

static uint32_t parse_term(parser *p) {
    uint32_t x = parse_atom(p);
    while (more(p)) {
        const size_t at = p->i;
        uint32_t min = 0, max = PGD_IR_INF;
        if (next_is(p, "+"))
            min = 1;
        else if (next_is(p, "?"))
            max = 1;
        else if (!next_is(p, "*") && !braces(p, &min, &max))
            break;
        if (min > max) return fail_at(p, PGD_E_INVALID, at, "repetition bounds out of order");
        if (p->ir->nodes[x].anchor)
            return fail_at(p, PGD_E_UNSUPPORTED, at,
                           "a repeated anchor or lookaround is not supported");
        if (next_is(p, "+"))
            return fail_at(p, PGD_E_UNSUPPORTED, at, "possessive quantifiers are not supported");
        (void)next_is(p, "?"); /* lazy: the same language */
        x = pgd_ir_count(p->ir, x, min, max);
        if (more(p) && (p->s.p[p->i] == '*' || p->s.p[p->i] == '+' || p->s.p[p->i] == '?'))
            return fail_at(p, PGD_E_INVALID, p->i, "a quantifier after a quantifier");
    }
    return x;
}

static uint32_t parse_alt(parser *p) {
    pgd_ir *const ir = p->ir;
    const size_t alt = pgd_ir_mark(ir);
    for (;;) {
        const size_t seq = pgd_ir_mark(ir);
        while (more(p) && p->s.p[p->i] != '|' && p->s.p[p->i] != ')')
            pgd_ir_push(ir, parse_term(p));
        pgd_ir_push(ir, pgd_ir_seq(ir, seq));
        if (!more(p) || !next_is(p, "|")) break;
    }
    return pgd_ir_alt(ir, alt);
}

/* ---- Anchors ---- */

static uint32_t lift(parser *p, uint32_t x, uint32_t any, uint32_t depth);

static uint32_t any_chars(parser *p) {
    pgd_cpset all = {0};
    pgd_cpset_add(&all, 0, 0x10FFFF);
    const uint32_t one = pgd_ir_class(p->ir, &all, p->mode);
    pgd_cpset_fini(&all);
    return pgd_ir_count(p->ir, one, 0, PGD_IR_INF);
}

/* seq with its child at `at` replaced by each branch of that child, lifted. */
static uint32_t distribute(parser *p, uint32_t x, uint32_t at, uint32_t any, uint32_t depth) {
    pgd_ir *const ir = p->ir;
    const pgd_ir_node seq = ir->nodes[x], alt = ir->nodes[ir->list[seq.a + at]];
    const size_t mark = pgd_ir_mark(ir);
    for (uint32_t b = 0; b < alt.b && pgd_ir_step(ir, seq.b); b++) {
        const size_t inner = pgd_ir_mark(ir);
        for (uint32_t i = 0; i < seq.b; i++) {
            const uint32_t child = ir->list[i == at ? alt.a + b : seq.a + i];
            const pgd_ir_node c = ir->nodes[child];
            if (i == at && c.op == PGD_OP_SEQ) /* flat, so that its anchors are at the ends */
                for (uint32_t k = 0; k < c.b; k++)
                    pgd_ir_push(ir, ir->list[c.a + k]);
            else
                pgd_ir_push(ir, child);
        }
        pgd_ir_push(ir, lift(p, pgd_ir_seq(ir, inner), any, depth + 1));
    }
    return pgd_ir_alt(ir, mark);
}

/* head, items [from, to) of seq, tail */
static uint32_t join(pgd_ir *ir, uint32_t head, const pgd_ir_node *seq, uint32_t from, uint32_t to,
                     uint32_t tail) {
    const size_t mark = pgd_ir_mark(ir);
    pgd_ir_push(ir, head);
    for (uint32_t i = from; i < to; i++)
        pgd_ir_push(ir, ir->list[seq->a + i]);
    pgd_ir_push(ir, tail);
    return pgd_ir_seq(ir, mark);
}

/* The texts in which a lookaround's pattern matches at the near end: it begins where they begin
 * (or, behind, ends where they end), and the far end is where it likes. */
static uint32_t seen(parser *p, const pgd_ir_node *look, uint32_t depth) {
    pgd_ir *const ir = p->ir;
    const bool behind = look->op == PGD_OP_BEHIND;
    const uint32_t begin = behind ? PGD_IR_EMPTY : pgd_ir_anchor(ir, PGD_OP_BEGIN);
    const uint32_t end = behind ? pgd_ir_anchor(ir, PGD_OP_END) : PGD_IR_EMPTY;
    const pgd_ir_node x = ir->nodes[look->a];
    const size_t mark = pgd_ir_mark(ir);
    if (p->rest == PGD_IR_FAIL) p->rest = any_chars(p);
    if (x.op == PGD_OP_SEQ) /* flat, so that its anchors are at the ends */
        return lift(p, join(ir, begin, &x, 0, x.b, end), p->rest, depth + 1);
    pgd_ir_push(ir, begin);
    pgd_ir_push(ir, look->a);
    pgd_ir_push(ir, end);
    return lift(p, pgd_ir_seq(ir, mark), p->rest, depth + 1);
}

/* What a lookaround leaves of `side`, all of the text on the side that it looks at. */
static uint32_t limit(parser *p, const pgd_ir_node *look, uint32_t side, uint32_t depth) {
    const uint32_t x = seen(p, look, depth);
    return look->b ? pgd_ir_diff(p->ir, side, x) : pgd_ir_and(p->ir, side, x);
}

/* The item of seq if it is a lookaround; fails at other anchors. */
static bool look_at(parser *p, const pgd_ir_node *seq, uint32_t i, pgd_ir_node *out) {
    *out = p->ir->nodes[p->ir->list[seq->a + i]];
    const bool look = out->op == PGD_OP_AHEAD || out->op == PGD_OP_BEHIND;
    if (!look && out->anchor)
        (void)fail_at(p, PGD_E_UNSUPPORTED, 0,
                      "'^' or '$' inside the pattern is not "
                      "supported");
    return look;
}

/* Items [lo, hi) of seq between head and tail. Lookbehinds are about all that stands before them,
 * so they go from the first on; lookaheads, from the last. */
static uint32_t lift_items(parser *p, const pgd_ir_node *seq, uint32_t lo, uint32_t hi,
                           uint32_t head, uint32_t tail, uint32_t depth) {
    pgd_ir *const ir = p->ir;
    uint32_t from = lo, to = hi, ahead = hi; /* what is left; the first lookahead */
    pgd_ir_node look;
    for (uint32_t i = lo; i < hi && p->st == PGD_OK; i++) {
        if (!look_at(p, seq, i, &look)) continue;
        if (look.op == PGD_OP_AHEAD && ahead == hi) ahead = i;
        if (look.op == PGD_OP_AHEAD) continue;
        if (ahead < hi)
            return fail_at(p, PGD_E_UNSUPPORTED, 0,
                           "lookbehind after a lookahead is not supported, but where the pattern "
                           "begins with the lookahead and '^'");
        head = limit(p, &look, join(ir, head, seq, from, i, PGD_IR_EMPTY), depth);
        from = i + 1;
    }
    for (uint32_t i = hi; i-- > ahead && p->st == PGD_OK;) {
        if (!look_at(p, seq, i, &look)) continue;
        tail = limit(p, &look, join(ir, PGD_IR_EMPTY, seq, i + 1, to, tail), depth);
        to = i;
    }
    return join(ir, head, seq, from, to, tail);
}

/* The same with nothing before the first item: lookaheads there are about the whole text. */
static uint32_t lift_begun(parser *p, const pgd_ir_node *seq, uint32_t lo, uint32_t hi,
                           uint32_t tail, uint32_t depth) {
    uint32_t first = lo;
    pgd_ir_node look;
    while (first < hi && look_at(p, seq, first, &look) && look.op == PGD_OP_AHEAD)
        first++;
    uint32_t x = lift_items(p, seq, first, hi, PGD_IR_EMPTY, tail, depth);
    while (first > lo && p->st == PGD_OK) {
        (void)look_at(p, seq, --first, &look);
        x = limit(p, &look, x, depth);
    }
    return x;
}

static uint32_t lift_seq(parser *p, uint32_t x, uint32_t any, uint32_t depth) {
    pgd_ir *const ir = p->ir;
    const pgd_ir_node seq = ir->nodes[x];
    uint32_t lo = 0, hi = seq.b;
    for (uint32_t i = 0; i<seq.b; i += seq.b> 1 ? seq.b - 1 : 1) {
        const pgd_ir_node c = ir->nodes[ir->list[seq.a + i]];
        if (c.anchor && c.op == PGD_OP_ALT) return distribute(p, x, i, any, depth);
    }
    while (lo < hi && ir->nodes[ir->list[seq.a + lo]].op == PGD_OP_BEGIN)
        lo++;
    while (hi > lo && ir->nodes[ir->list[seq.a + hi - 1]].op == PGD_OP_END)
        hi--;
    const uint32_t tail = hi == seq.b ? any : PGD_IR_EMPTY;
    if (lo > 0 || any == PGD_IR_EMPTY) return lift_begun(p, &seq, lo, hi, tail, depth);
    return lift_items(p, &seq, lo, hi, any, tail, depth);
}

/* x with its outermost anchors consumed and `any` on the sides that have none. */
static uint32_t lift(parser *p, uint32_t x, uint32_t any, uint32_t depth) {
    pgd_ir *const ir = p->ir;
    const pgd_ir_node n = ir->nodes[x];
    if (p->st != PGD_OK || !pgd_ir_step(ir, 1)) return PGD_IR_FAIL;
    if (depth > 2 * ir->lim->max_depth)
        return fail_at(p, PGD_E_LIMIT, 0, "anchors are nested too deeply");
    if (n.op == PGD_OP_BEGIN || n.op == PGD_OP_END) return any;
    if (n.op == PGD_OP_AHEAD) return pgd_ir_seq2(ir, any, limit(p, &n, any, depth));
    if (n.op == PGD_OP_BEHIND) return pgd_ir_seq2(ir, limit(p, &n, any, depth), any);
    if (n.op == PGD_OP_ALT && n.anchor) {
        const size_t mark = pgd_ir_mark(ir);
        for (uint32_t i = 0; i < n.b; i++)
            pgd_ir_push(ir, lift(p, ir->list[n.a + i], any, depth + 1));
        return pgd_ir_alt(ir, mark);
    }
    if (n.op == PGD_OP_SEQ) return lift_seq(p, x, any, depth);
    const size_t mark = pgd_ir_mark(ir);
    pgd_ir_push(ir, any);
    pgd_ir_push(ir, x);
    pgd_ir_push(ir, any);
    return pgd_ir_seq(ir, mark);
}

pgd_status pgd_regex_parse(pgd_ir *ir, pgd_sv pattern, pgd_charmode mode, bool search,
                           uint32_t *out, pgd_error *err) {
    parser p = {.ir = ir, .s = pattern, .mode = mode, .err = err};
    uint32_t any = PGD_IR_EMPTY;
    if (pattern.n > ir->lim->max_source_bytes)
        return pgd_fail(err, PGD_E_LIMIT, "pattern of %zu bytes, at most %zu are allowed",
                        pattern.n, ir->lim->max_source_bytes);
    uint32_t x = parse_alt(&p);
    if (more(&p)) (void)fail_at(&p, PGD_E_INVALID, p.i, "')' without '('");
    if (search) any = any_chars(&p);
    if (p.st == PGD_OK && (search || ir->nodes[x].anchor)) x = lift(&p, x, any, 0);
    if (p.st != PGD_OK) return p.st;
    *out = x;
    return pgd_ir_check(ir, err);
}
