/* JSON Schema: numbers.
 *
 * Bounds become digit automata: for each number of digits the text runs along the digits of the
 * lower and of the upper bound until it is free of them. Bounds are taken in the shortest decimal
 * form that reads back as the same double, which is what the schema's author wrote. Numbers with
 * bounds or multipleOf are written without exponent. All numbers have at most 19 digits before and
 * 20 behind the point, so that a model cannot write digits for ever and every number is finite.
 * multipleOf is a remainder automaton over the digits, intersected with the rest.
 * Thread: the caller's. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "schema.h"

enum { INT_DIGITS = 19, FRACTION_DIGITS = 20, BOUND_DIGITS = 64, MULTIPLE_MAX = 10000 };

static const char ANY_INTEGER[] = "-?(?:0|[1-9][0-9]{0,18})";
static const char ANY_NUMBER[] =
    "-?(?:0|[1-9][0-9]{0,18})(?:\\.[0-9]{1,20})?(?:[eE][+-]?[01]?[0-9]{1,2})?";

/* A decimal number of 0 or more. */
typedef struct decimal {
    char whole[BOUND_DIGITS],
        part[BOUND_DIGITS]; /* digit values; whole has no leading zero but 0 */
    uint32_t n_whole, n_part;
} decimal;

/* The decimal digits of |x|. False when there are too many. */
static bool to_decimal(double x, decimal *out) {
    char text[64] = {0};
    double back = NAN;
    memset(out, 0, sizeof *out);
    for (int p = 0; p <= 17 && back != fabs(x); p++) {
        const int n = snprintf(text, sizeof text, "%.*e", p, fabs(x));
        if (!pgd_parse_f64((pgd_sv){text, (size_t)n}, &back)) back = NAN;
    }
    char digits[24] = {0};
    int n_digits = 0, exponent = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p != '.' && n_digits < (int)sizeof digits) digits[n_digits++] = (char)(*p - '0');
    const bool negative = *p && p[1] == '-';
    for (p += *p ? 2 : 0; *p >= '0' && *p <= '9'; p++)
        exponent = exponent * 10 + (*p - '0');
    if (negative) exponent = -exponent;
    if (exponent >= BOUND_DIGITS || n_digits - 1 - exponent >= BOUND_DIGITS) return false;
    for (int i = 0; i <= exponent; i++)
        out->whole[out->n_whole++] = i < n_digits ? digits[i] : 0;
    if (out->n_whole == 0) out->n_whole = 1; /* 0.xxx */
    for (int i = -1; i > exponent; i--)
        out->n_part++; /* zeros behind the point */
    for (int i = exponent + 1 > 0 ? exponent + 1 : 0; i < n_digits; i++)
        out->part[out->n_part++] = digits[i];
    while (out->n_part > 0 && out->part[out->n_part - 1] == 0)
        out->n_part--;
    return true;
}

/* One automaton of digits: n of them before the point and up to n_part behind it. */
typedef struct digits {
    pgd_ir *ir;
    const decimal *lo, *hi; /* hi NULL: none */
    bool lo_open, hi_open;
    uint32_t n, n_part;
} digits;

static int digit_of(const digits *g, const decimal *d, uint32_t at) {
    if (at < g->n) return d->whole[at];
    return at - g->n < d->n_part ? d->part[at - g->n] : 0;
}

/* Whether the bound has only zeros from position `at` on. */
static bool zeros_from(const digits *g, const decimal *d, uint32_t at) {
    for (; at < g->n + d->n_part; at++)
        if (digit_of(g, d, at)) return false;
    return true;
}

static uint32_t any_digits(pgd_ir *ir, uint32_t min, uint32_t max) {
    return pgd_ir_count(ir, pgd_ir_range(ir, '0', '9'), min, max);
}

/* Whether the number may end after `at` digits. */
static bool may_end(const digits *g, uint32_t at, bool on_lo, bool on_hi) {
    if (at < g->n) return false;
    if (on_lo && (!zeros_from(g, g->lo, at) || g->lo_open)) return false;
    return !on_hi || !zeros_from(g, g->hi, at) || !g->hi_open;
}

/* What may follow `at` digits that agree with the bounds so far. Depth: the number of digits. */
static uint32_t follow(const digits *g, uint32_t at, bool on_lo, bool on_hi, bool point) {
    pgd_ir *const ir = g->ir;
    if (on_lo && !g->lo_open && zeros_from(g, g->lo, at)) on_lo = false;
    if (at == g->n && !point) {
        const uint32_t end = may_end(g, at, on_lo, on_hi) ? PGD_IR_EMPTY : PGD_IR_FAIL;
        if (g->n_part == 0) return end;
        const uint32_t part = follow(g, at, on_lo, on_hi, true);
        return pgd_ir_alt2(ir, end, pgd_ir_seq2(ir, pgd_ir_lit(ir, PGD_SV(".")), part));
    }
    const uint32_t room = g->n + g->n_part - at;
    if (!on_lo && !on_hi && at > 0) {
        if (at >= g->n) return any_digits(ir, at == g->n ? 1 : 0, room);
        const uint32_t part =
            pgd_ir_seq2(ir, pgd_ir_lit(ir, PGD_SV(".")), any_digits(ir, 1, g->n_part));
        return pgd_ir_seq2(ir, any_digits(ir, g->n - at, g->n - at),
                           g->n_part ? pgd_ir_opt(ir, part) : PGD_IR_EMPTY);
    }
    const int lo = on_lo ? digit_of(g, g->lo, at) : at == 0 && g->n > 1 ? 1 : 0;
    const int hi = on_hi ? digit_of(g, g->hi, at) : 9;
    const size_t mark = pgd_ir_mark(ir);
    if (at > g->n && may_end(g, at, on_lo, on_hi)) pgd_ir_push(ir, PGD_IR_EMPTY);
    for (int d = lo; d <= hi && room > 0 && ir->st == PGD_OK;) {
        const bool lo_here = on_lo && d == lo, hi_here = on_hi && d == hi;
        int last = d;
        if (!lo_here && !hi_here) last = on_hi ? hi - 1 : hi;
        const uint32_t head = pgd_ir_range(ir, (uint8_t)('0' + d), (uint8_t)('0' + last));
        pgd_ir_push(ir, pgd_ir_seq2(ir, head, follow(g, at + 1, lo_here, hi_here, at >= g->n)));
        d = last + 1;
    }
    return pgd_ir_alt(ir, mark);
}

/* Numbers from lo to hi (NULL: as large as they get), both of 0 or more. */
static uint32_t range_expr(pgd_ir *ir, const decimal *lo, bool lo_open, const decimal *hi,
                           bool hi_open, uint32_t n_part) {
    const size_t mark = pgd_ir_mark(ir);
    const uint32_t last = hi && hi->n_whole < INT_DIGITS ? hi->n_whole : INT_DIGITS;
    for (uint32_t n = lo->n_whole; n <= last; n++) {
        digits g = {ir, lo, hi, lo_open, hi_open, n, n_part};
        pgd_ir_push(ir, follow(&g, 0, n == lo->n_whole, hi && n == hi->n_whole, false));
    }
    return pgd_ir_alt(ir, mark);
}

static uint32_t bounded(pgd_schema *sc, const pgd_bounds *b, uint32_t n_part) {
    pgd_ir *const ir = sc->ir;
    const size_t mark = pgd_ir_mark(ir);
    const decimal zero = {.n_whole = 1};
    decimal lo = zero, hi = zero;
    if ((b->has_lo && !to_decimal(b->lo, &lo)) || (b->has_hi && !to_decimal(b->hi, &hi)))
        return pgd_schema_fail(sc, PGD_E_UNSUPPORTED, NULL, NULL,
                               "a bound of a number is too large or too fine");
    if (!b->has_hi || b->hi >= 0) {
        const bool from_zero = !b->has_lo || b->lo < 0;
        pgd_ir_push(ir, range_expr(ir, from_zero ? &zero : &lo, !from_zero && b->lo_open,
                                   b->has_hi ? &hi : NULL, b->hi_open, n_part));
    }
    if (!b->has_lo || b->lo < 0) { /* "-" and a number above 0, or above -hi */
        const bool to_zero = !b->has_hi || b->hi >= 0;
        const uint32_t x = range_expr(ir, to_zero ? &zero : &hi, to_zero || b->hi_open,
                                      b->has_lo ? &lo : NULL, b->lo_open, n_part);
        pgd_ir_push(ir, pgd_ir_seq2(ir, pgd_ir_lit(ir, PGD_SV("-")), x));
    }
    return pgd_ir_alt(ir, mark);
}

/* ---- multipleOf ---- */

/* Text of all numbers whose digits, with the point taken out and the fraction filled up to n_part
 * digits, are a multiple of q. One rule for each remainder and each place behind the point. */
static uint32_t multiple_expr(pgd_ir *ir, uint32_t q, uint32_t n_part) {
    const uint32_t places = n_part + 1; /* place 0: before the point */
    const uint32_t first = (uint32_t)ir->n_rules;
    for (uint64_t i = 0; i < (uint64_t)q * places && ir->st == PGD_OK; i++)
        (void)pgd_ir_new_rule(ir, PGD_SV(""));
    for (uint32_t place = 0; place < places && ir->st == PGD_OK; place++) {
        uint64_t scale = 1;
        for (uint32_t i = place; i < n_part; i++)
            scale = scale * 10 % q;
        for (uint32_t r = 0; r < q && ir->st == PGD_OK; r++) {
            const size_t mark = pgd_ir_mark(ir);
            if (r * scale % q == 0) pgd_ir_push(ir, PGD_IR_EMPTY);
            for (uint32_t d = 0; d < 10 && (place == 0 || place < n_part); d++) {
                const uint32_t to = (r * 10 + d) % q + (place ? (place + 1) * q : 0);
                const uint8_t c = (uint8_t)('0' + d);
                pgd_ir_push(
                    ir, pgd_ir_seq2(ir, pgd_ir_range(ir, c, c), pgd_ir_rule_ref(ir, first + to)));
            }
            for (uint32_t d = 0; d < 10 && place == 0 && n_part > 0; d++) {
                const char text[] = {'.', (char)('0' + d)};
                const uint32_t to = (r * 10 + d) % q + q;
                pgd_ir_push(ir, pgd_ir_seq2(ir, pgd_ir_lit(ir, (pgd_sv){text, 2}),
                                            pgd_ir_rule_ref(ir, first + to)));
            }
            const uint32_t body = pgd_ir_alt(ir, mark);
            if (ir->st == PGD_OK) ir->rules[first + place * q + r].body = body;
        }
    }
    const uint32_t sign = pgd_ir_opt(ir, pgd_ir_lit(ir, PGD_SV("-")));
    return pgd_ir_seq2(ir, sign, pgd_ir_rule_ref(ir, first));
}

/* m as q * 10^-n_part with an integer q. */
static bool split_multiple(double m, uint32_t *q, uint32_t *n_part) {
    decimal d;
    uint64_t v = 0;
    if (!(m > 0) || !to_decimal(m, &d) || d.n_whole > 9 || d.n_part > 9) return false;
    for (uint32_t i = 0; i < d.n_whole; i++)
        v = v * 10 + (uint64_t)d.whole[i];
    for (uint32_t i = 0; i < d.n_part; i++)
        v = v * 10 + (uint64_t)d.part[i];
    *q = v <= MULTIPLE_MAX ? (uint32_t)v : 0;
    *n_part = d.n_part;
    return *q != 0;
}

/* ---- Keywords ---- */

static void tighten(pgd_schema *sc, const pgd_json *s, const char *word, bool upper, bool open,
                    pgd_bounds *b) {
    const pgd_json *const v = pgd_json_get(s, word);
    double d = 0;
    if (!v) return;
    if (!pgd_json_as_f64(v, &d) || !isfinite(d)) {
        (void)pgd_schema_fail(sc, PGD_E_INVALID, s, word, "is not a number");
        return;
    }
    double *const at = upper ? &b->hi : &b->lo;
    bool *const has = upper ? &b->has_hi : &b->has_lo, *const is_open =
                                                           upper ? &b->hi_open : &b->lo_open;
    const bool tighter = !*has || (upper ? d < *at : d > *at);
    if (tighter || (d == *at && open)) *is_open = open;
    if (tighter) *at = d;
    *has = true;
}

pgd_bounds pgd_schema_bounds(pgd_schema *sc, const pgd_parts *flat) {
    pgd_bounds b = {0};
    for (uint32_t i = 0; i < flat->n; i++) {
        const pgd_json *const s = flat->v[i].s;
        pgd_sv format;
        tighten(sc, s, "minimum", false, false, &b);
        tighten(sc, s, "exclusiveMinimum", false, true, &b);
        tighten(sc, s, "maximum", true, false, &b);
        tighten(sc, s, "exclusiveMaximum", true, true, &b);
        if (!pgd_json_as_str(pgd_json_get(s, "format"), &format)) continue;
        if (!pgd_sv_eq(format, PGD_SV("int32"))) continue;
        if (!b.has_lo || b.lo < INT32_MIN)
            b = (pgd_bounds){INT32_MIN, b.hi, true, b.has_hi, false, b.hi_open};
        if (!b.has_hi || b.hi > INT32_MAX)
            b = (pgd_bounds){b.lo, INT32_MAX, true, true, b.lo_open, false};
    }
    return b;
}

/* Numbers that are no integers, also once they are doubles: the last digit is none of zero, and
 * there are few enough. */
static const char FRACTION[] = "-?(?:0|[1-9][0-9]{0,8})\\.[0-9]{0,5}[1-9]";

static uint32_t numbers(pgd_schema *sc, const pgd_parts *flat, uint32_t types) {
    const pgd_bounds b = pgd_schema_bounds(sc, flat);
    uint32_t n_part = types & PGD_T_FRACTION ? FRACTION_DIGITS : 0, x = PGD_IR_FAIL;
    bool exponent = n_part > 0 && !b.has_lo && !b.has_hi;
    uint32_t multiples = PGD_IR_FAIL;
    for (uint32_t i = 0; i < flat->n && sc->st == PGD_OK; i++) {
        const pgd_json *const s = flat->v[i].s, *const v = pgd_json_get(s, "multipleOf");
        uint32_t q = 0, places = 0;
        double m = 0;
        if (!v) continue;
        if (!pgd_json_as_f64(v, &m) || !(m > 0))
            return pgd_schema_fail(sc, PGD_E_INVALID, s, "multipleOf", "is not a number above 0");
        if (!split_multiple(m, &q, &places))
            return pgd_schema_fail(sc, PGD_E_UNSUPPORTED, s, "multipleOf",
                                   "only values of up to 4 significant digits are supported");
        exponent = false;
        if (places < n_part) n_part = places;
        if (q == 1) continue;
        const uint32_t one = multiple_expr(sc->ir, q, places);
        multiples = multiples == PGD_IR_FAIL ? one : pgd_ir_and(sc->ir, multiples, one);
    }
    if (sc->st != PGD_OK) return PGD_IR_FAIL;
    if (exponent || (n_part == 0 && !b.has_lo && !b.has_hi)) {
        const pgd_sv text = exponent ? PGD_SV(ANY_NUMBER) : PGD_SV(ANY_INTEGER);
        sc->st = pgd_regex_parse(sc->ir, text, PGD_CHARS_RAW, false, &x, sc->err);
    } else {
        x = bounded(sc, &b, n_part);
    }
    return multiples == PGD_IR_FAIL ? x : pgd_ir_and(sc->ir, x, multiples);
}

uint32_t pgd_schema_number(pgd_schema *sc, const pgd_parts *flat, uint32_t types) {
    const uint32_t not_these = pgd_schema_excluded(sc, flat, types & PGD_T_NUMBER);
    uint32_t fractions = PGD_IR_FAIL, integers = PGD_IR_FAIL;
    types &= PGD_T_NUMBER;
    if (types == PGD_T_INT || (types && not_these == PGD_IR_FAIL && types != PGD_T_FRACTION)) {
        const uint32_t x = numbers(sc, flat, types);
        return not_these == PGD_IR_FAIL ? x : pgd_ir_diff(sc->ir, x, not_these);
    }
    /* integers apart: there, each has one spelling */
    if (types & PGD_T_INT) integers = pgd_schema_number(sc, flat, PGD_T_INT);
    if (sc->st == PGD_OK)
        sc->st =
            pgd_regex_parse(sc->ir, PGD_SV(FRACTION), PGD_CHARS_RAW, false, &fractions, sc->err);
    fractions = pgd_ir_and(sc->ir, numbers(sc, flat, PGD_T_FRACTION), fractions);
    return pgd_ir_alt2(sc->ir, integers, fractions);
}
