/* Sets of code points, and how a character of a set is written as bytes.
 *
 * A range of code points becomes alternatives of byte-range sequences, cut where the number of
 * bytes or a common prefix changes; surrogates are no characters and never part of a set. In JSON
 * mode the characters that JSON strings must escape are written as their shortest escapes, all
 * others as themselves. Thread: the caller's. */
#include <stdlib.h>
#include <string.h>

#include "ir.h"
#include "pagoda/mem.h"

enum { CP_MAX = 0x10FFFF, SUR_LO = 0xD800, SUR_HI = 0xDFFF };

void pgd_cpset_fini(pgd_cpset *s) {
    pgd_free(s->v);
    *s = (pgd_cpset){0};
}

static void put(pgd_cpset *s, uint32_t lo, uint32_t hi) {
    if (lo > hi) return;
    if (!pgd_gr_reserve((void **)&s->v, s->n, &s->cap, sizeof *s->v)) {
        s->failed = true;
        return;
    }
    s->v[s->n++] = (pgd_cprange){lo, hi};
}

void pgd_cpset_add(pgd_cpset *s, uint32_t lo, uint32_t hi) {
    if (hi > CP_MAX) hi = CP_MAX;
    if (lo < SUR_LO) put(s, lo, hi < SUR_LO ? hi : SUR_LO - 1);
    if (hi > SUR_HI) put(s, lo > SUR_HI ? lo : SUR_HI + 1, hi);
}

static int by_lo(const void *a, const void *b) {
    const pgd_cprange *const x = a, *const y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

void pgd_cpset_normalize(pgd_cpset *s) {
    if (s->n == 0) return;
    qsort(s->v, s->n, sizeof *s->v, by_lo);
    size_t n = 1;
    for (size_t i = 1; i < s->n; i++) {
        if (s->v[i].lo <= s->v[n - 1].hi + 1) {
            if (s->v[i].hi > s->v[n - 1].hi) s->v[n - 1].hi = s->v[i].hi;
        } else {
            s->v[n++] = s->v[i];
        }
    }
    s->n = n;
}

void pgd_cpset_invert(pgd_cpset *s) {
    pgd_cpset out = {.failed = s->failed};
    uint32_t at = 0;
    pgd_cpset_normalize(s);
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].lo > at) pgd_cpset_add(&out, at, s->v[i].lo - 1);
        at = s->v[i].hi + 1;
    }
    if (at <= CP_MAX) pgd_cpset_add(&out, at, CP_MAX);
    pgd_cpset_fini(s);
    *s = out;
}

/* Byte ranges of lo..hi, which have the same length n and need no further cut. */
static uint32_t utf8_run(pgd_ir *ir, uint32_t lo, uint32_t hi) {
    char a[4] = {0}, b[4] = {0};
    const size_t n = pgd_utf8_encode(lo, a), m = pgd_utf8_encode(hi, b);
    const size_t mark = pgd_ir_mark(ir);
    PGD_ASSERT(n == m && n > 0);
    for (size_t i = 0; i < n; i++)
        pgd_ir_push(ir, pgd_ir_range(ir, (uint8_t)a[i], (uint8_t)b[i]));
    return pgd_ir_seq(ir, mark);
}

/* Push the sequences of lo..hi, all above U+007F. Each cut leaves ends whose low 6, 12 or 18 bits
 * are all zeros and all ones, so that every byte position is an independent range. */
static void push_utf8(pgd_ir *ir, uint32_t lo, uint32_t hi) {
    static const uint32_t length_end[] = {0x7FF, 0xFFFF};
    while (lo <= hi && pgd_ir_step(ir, 1)) {
        uint32_t end = hi;
        for (size_t i = 0; i < 2; i++)
            if (lo <= length_end[i] && end > length_end[i]) end = length_end[i];
        for (unsigned bits = 6; bits <= 18; bits += 6) {
            const uint32_t mask = (1u << bits) - 1;
            if ((lo & ~mask) == (end & ~mask)) continue; /* same prefix: no cut at this level */
            if (lo & mask)
                end = lo | mask;
            else if ((end & mask) != mask)
                end = (end & ~mask) - 1;
        }
        pgd_ir_push(ir, utf8_run(ir, lo, end));
        lo = end + 1;
    }
}

/* Escapes of a set of characters, sharing what they have in common: a class with all control
 * characters is part of every dot, and each node counts where automata are multiplied. */
typedef struct escapes {
    pgd_byteset letter;   /* \n and its like */
    pgd_byteset digit[2]; /* the last digits of \u000X and \u001X */
} escapes;

static void add_escape(escapes *e, uint32_t cp) {
    static const char short_form[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (size_t i = 0; short_form[i]; i += 2)
        if ((uint32_t)short_form[i] == cp) {
            pgd_byteset_add(&e->letter, (uint8_t)short_form[i + 1]);
            return;
        }
    const char digit = "0123456789abcdef"[cp & 15];
    pgd_byteset_add(&e->digit[cp >> 4], (uint8_t)digit);
    if (digit >= 'a') pgd_byteset_add(&e->digit[cp >> 4], (uint8_t)(digit - 32));
}

static uint32_t escapes_expr(pgd_ir *ir, const escapes *e) {
    const uint32_t low = pgd_ir_seq2(ir, pgd_ir_range(ir, '0', '0'), pgd_ir_set(ir, &e->digit[0]));
    const uint32_t high = pgd_ir_seq2(ir, pgd_ir_range(ir, '1', '1'), pgd_ir_set(ir, &e->digit[1]));
    const uint32_t code =
        pgd_ir_seq2(ir, pgd_ir_lit(ir, PGD_SV("u00")), pgd_ir_alt2(ir, low, high));
    return pgd_ir_seq2(ir, pgd_ir_lit(ir, PGD_SV("\\")),
                       pgd_ir_alt2(ir, pgd_ir_set(ir, &e->letter), code));
}

static bool json_must_escape(uint32_t cp) {
    return cp < 0x20 || cp == '"' || cp == '\\';
}

static uint32_t one_char(pgd_ir *ir, uint32_t x) {
    if (x > PGD_IR_EMPTY) ir->nodes[x].one_char = true; /* x is new: nobody else has it */
    return x;
}

uint32_t pgd_ir_class(pgd_ir *ir, pgd_cpset *s, pgd_charmode mode) {
    const size_t mark = pgd_ir_mark(ir);
    pgd_byteset ascii = {{0}};
    escapes escaped = {{{0}}, {{{0}}, {{0}}}};
    if (s->failed && ir->st == PGD_OK) ir->st = PGD_E_NOMEM;
    pgd_cpset_normalize(s);
    for (size_t i = 0; i < s->n; i++) {
        const uint32_t lo = s->v[i].lo, hi = s->v[i].hi;
        for (uint32_t cp = lo; cp <= hi && cp < 0x80; cp++) {
            if (mode == PGD_CHARS_JSON && json_must_escape(cp)) {
                if (cp) add_escape(&escaped, cp);
            } else {
                pgd_byteset_add(&ascii, (uint8_t)cp);
            }
        }
        if (hi >= 0x80) push_utf8(ir, lo < 0x80 ? 0x80 : lo, hi);
    }
    pgd_ir_push(ir, escapes_expr(ir, &escaped));
    pgd_ir_push(ir, pgd_ir_set(ir, &ascii));
    return one_char(ir, pgd_ir_alt(ir, mark));
}

uint32_t pgd_ir_char(pgd_ir *ir, uint32_t cp, pgd_charmode mode) {
    char b[4];
    if (mode == PGD_CHARS_JSON && json_must_escape(cp)) {
        escapes escaped = {{{0}}, {{{0}}, {{0}}}};
        if (cp) add_escape(&escaped, cp);
        return one_char(ir, escapes_expr(ir, &escaped));
    }
    return one_char(ir, pgd_ir_lit(ir, (pgd_sv){b, pgd_utf8_encode(cp, b)}));
}

uint32_t pgd_ir_text(pgd_ir *ir, pgd_sv text, pgd_charmode mode) {
    const size_t mark = pgd_ir_mark(ir);
    size_t done = 0;
    for (size_t i = 0; mode == PGD_CHARS_JSON && i < text.n; i++) {
        const uint8_t c = (uint8_t)text.p[i];
        if (!json_must_escape(c)) continue;
        pgd_ir_push(ir, pgd_ir_lit(ir, (pgd_sv){text.p + done, i - done}));
        pgd_ir_push(ir, pgd_ir_char(ir, c, mode));
        done = i + 1;
    }
    pgd_ir_push(ir, pgd_ir_lit(ir, (pgd_sv){text.p + done, text.n - done}));
    return pgd_ir_seq(ir, mark);
}
