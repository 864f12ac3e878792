/* JSON one byte at a time: a strict checker of one value, and the undoing of string escapes.
 * Control characters inside strings pass the checker: models write raw newlines there, and the
 * caller escapes them, so that the arguments it hands on are JSON. Nesting is a bit a level,
 * nothing recurses. Thread: the choice's. */
#include <string.h>

#include "parse_int.h"

enum {
    J_VALUE,
    J_STR,
    J_KEY,
    J_STR_ESC,
    J_KEY_ESC,
    J_STR_HEX,
    J_KEY_HEX,
    J_LITERAL,
    J_NEG, /* numbers: what was read last */
    J_ZERO,
    J_INT,
    J_DOT,
    J_FRAC,
    J_E,
    J_SIGN,
    J_EXP,
    J_ARRAY_FIRST,
    J_OBJECT_FIRST,
    J_OBJECT_KEY,
    J_COLON,
    J_AFTER
};

static const char *const literals[] = {"true", "false", "null"};

void jscan_init(jscan *s) {
    memset(s, 0, sizeof *s);
}

bool jscan_in_string(const jscan *s) {
    return s->state == J_STR || s->state == J_KEY;
}

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

static bool in_object(const jscan *s) {
    const unsigned at = s->depth - 1u;
    return (s->stack[at / 8] >> (at % 8)) & 1;
}

static step push(jscan *s, bool object) {
    if (s->depth == API_MAX_DEPTH) return STEP_FAIL;
    const unsigned at = s->depth++;
    const uint8_t bit = (uint8_t)(1u << (at % 8));
    s->stack[at / 8] = (uint8_t)(object ? s->stack[at / 8] | bit : s->stack[at / 8] & ~bit);
    s->state = object ? J_OBJECT_FIRST : J_ARRAY_FIRST;
    return STEP_MORE;
}

/* A value has ended with this byte. */
static step ended(jscan *s) {
    s->state = J_AFTER;
    return s->depth ? STEP_MORE : STEP_DONE;
}

static step pop(jscan *s, char c) {
    if (in_object(s) != (c == '}')) return STEP_FAIL;
    s->depth--;
    return ended(s);
}

static step value_byte(jscan *s, char c) {
    if (parse_white(c)) return STEP_MORE;
    if (c == '{' || c == '[') return push(s, c == '{');
    s->at = 1;
    switch (c) {
    case '"':
        s->state = J_STR;
        return STEP_MORE;
    case '-':
        s->state = J_NEG;
        return STEP_MORE;
    case '0':
        s->state = J_ZERO;
        return STEP_MORE;
    case 't':
    case 'f':
    case 'n':
        s->state = J_LITERAL;
        s->literal = c == 't' ? 0 : c == 'f' ? 1 : 2;
        return STEP_MORE;
    default:
        break;
    }
    if (!digit(c)) return STEP_FAIL;
    s->state = J_INT;
    return STEP_MORE;
}

static step after_byte(jscan *s, char c) {
    if (parse_white(c)) return STEP_MORE;
    if (c == '}' || c == ']') return pop(s, c);
    if (c != ',') return STEP_FAIL;
    s->state = in_object(s) ? J_OBJECT_KEY : J_VALUE;
    return STEP_MORE;
}

/* The byte is no part of the number any more. */
static step number_ended(jscan *s, char c) {
    if (!s->depth) return STEP_DONE_BEFORE;
    s->state = J_AFTER;
    return after_byte(s, c);
}

static step number_byte(jscan *s, char c) {
    const uint8_t was = s->state;
    const bool whole = was == J_ZERO || was == J_INT;
    if (digit(c) && was != J_ZERO) {
        s->state = was == J_NEG                                    ? (c == '0' ? J_ZERO : J_INT)
                   : was == J_DOT                                  ? J_FRAC
                   : (was == J_E || was == J_SIGN || was == J_EXP) ? J_EXP
                                                                   : was;
        return STEP_MORE;
    }
    if (c == '.' && whole) {
        s->state = J_DOT;
        return STEP_MORE;
    }
    if ((c == 'e' || c == 'E') && (whole || was == J_FRAC)) {
        s->state = J_E;
        return STEP_MORE;
    }
    if ((c == '+' || c == '-') && was == J_E) {
        s->state = J_SIGN;
        return STEP_MORE;
    }
    if (whole || was == J_FRAC || was == J_EXP) return number_ended(s, c);
    return STEP_FAIL;
}

static bool hex(char c) {
    return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static step string_byte(jscan *s, char c) {
    const bool key = s->state == J_KEY || s->state == J_KEY_ESC || s->state == J_KEY_HEX;
    if (s->state == J_STR_HEX || s->state == J_KEY_HEX) {
        if (!hex(c)) return STEP_FAIL;
        if (++s->at == 4) s->state = key ? J_KEY : J_STR;
        return STEP_MORE;
    }
    if (s->state == J_STR_ESC || s->state == J_KEY_ESC) {
        if (!c || !strchr("\"\\/bfnrtu", c)) return STEP_FAIL;
        s->at = 0;
        s->state = c == 'u' ? (key ? J_KEY_HEX : J_STR_HEX) : (key ? J_KEY : J_STR);
        return STEP_MORE;
    }
    if (c == '\\') {
        s->state = key ? J_KEY_ESC : J_STR_ESC;
    } else if (c == '"') {
        if (!key) return ended(s);
        s->state = J_COLON;
    }
    return STEP_MORE;
}

static step literal_byte(jscan *s, char c) {
    const char *const text = literals[s->literal];
    if (c != text[s->at]) return STEP_FAIL;
    return text[++s->at] ? STEP_MORE : ended(s);
}

step jscan_byte(jscan *s, char c) {
    switch (s->state) {
    case J_VALUE:
        return value_byte(s, c);
    case J_LITERAL:
        return literal_byte(s, c);
    case J_ARRAY_FIRST:
        if (c == ']') return pop(s, c);
        if (!parse_white(c)) s->state = J_VALUE;
        return value_byte(s, c);
    case J_OBJECT_FIRST:
        if (c == '}') return pop(s, c);
        break;
    case J_OBJECT_KEY:
        break;
    case J_COLON:
        if (c == ':') s->state = J_VALUE;
        return c == ':' || parse_white(c) ? STEP_MORE : STEP_FAIL;
    case J_AFTER:
        return after_byte(s, c);
    default:
        return s->state >= J_NEG && s->state <= J_EXP ? number_byte(s, c) : string_byte(s, c);
    }
    if (parse_white(c)) return STEP_MORE; /* where a key is due */
    if (c != '"') return STEP_FAIL;
    s->state = J_KEY;
    return STEP_MORE;
}

/* ---- strings ---- */

enum { U_PLAIN, U_ESC, U_HEX };

static void put_cp(pgd_buf *out, uint32_t cp) {
    char utf8[4];
    const size_t n = pgd_utf8_encode(cp, utf8);
    if (n)
        pgd_buf_put(out, utf8, n);
    else
        pgd_buf_puts(out, "\xEF\xBF\xBD");
}

/* A high surrogate that no low one follows. */
static void drop_high(unescape *u, pgd_buf *out) {
    if (u->high) pgd_buf_puts(out, "\xEF\xBF\xBD");
    u->high = 0;
}

static step hex_byte(unescape *u, char c, pgd_buf *out) {
    if (!hex(c)) return STEP_FAIL;
    const uint32_t v = (uint32_t)(digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    u->unit = u->unit << 4 | v;
    if (--u->digits) return STEP_MORE;
    u->state = U_PLAIN;
    if (u->high && u->unit >= 0xDC00 && u->unit <= 0xDFFF) {
        put_cp(out, 0x10000 + ((u->high - 0xD800) << 10) + (u->unit - 0xDC00));
        u->high = 0;
        return STEP_MORE;
    }
    drop_high(u, out);
    if (u->unit >= 0xD800 && u->unit <= 0xDBFF)
        u->high = u->unit;
    else
        put_cp(out, u->unit ? u->unit : 0xFFFD);
    return STEP_MORE;
}

static step escape_byte(unescape *u, char c, pgd_buf *out) {
    u->state = U_PLAIN;
    if (c == 'u' || c == 'x') {
        u->state = U_HEX;
        u->digits = c == 'u' ? 4 : 2;
        u->unit = 0;
        return STEP_MORE;
    }
    drop_high(u, out);
    const char *const from = "bfnrt", *const at = c ? strchr(from, c) : NULL;
    if (at)
        pgd_buf_putc(out, "\b\f\n\r\t"[at - from]);
    else if (c == '"' || c == '\'' || c == '\\' || c == '/')
        pgd_buf_putc(out, c);
    else
        return STEP_FAIL;
    return STEP_MORE;
}

step unescape_byte(unescape *u, char c, char quote, pgd_buf *out) {
    if (u->state == U_HEX) return hex_byte(u, c, out);
    if (u->state == U_ESC) return escape_byte(u, c, out);
    if (c == '\\') {
        u->state = U_ESC;
        return STEP_MORE;
    }
    drop_high(u, out);
    if (c == quote) return STEP_DONE;
    pgd_buf_putc(out, c);
    return STEP_MORE;
}
