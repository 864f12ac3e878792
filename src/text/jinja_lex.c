/* The lexer of the template engine: source text to a token array. Whitespace control ({%- -%},
 * trim_blocks, lstrip_blocks, the last newline) is settled here by cutting the data tokens, in the
 * same order as jinja2 does it, so that nothing after this file knows about it.
 *
 * Invariants: token text lies in the template's arena and is valid UTF-8; the array ends in JT_EOF;
 * brackets are balanced within a tag (which is how `}}` inside a dict literal is told from an end).
 * Thread: any, one arena at a time. Does not know keywords: a name is a name. */
#include "jinja_int.h"

#include <string.h>

typedef struct lexer {
    pgd_arena *a;
    const jlex_options *opt;
    pgd_error *err;
    const char *s;
    size_t n, pos;
    uint32_t line;
    jtok *tok;
    size_t n_tok, cap_tok;
    char bracket[JINJA_MAX_PARSE_DEPTH];
    size_t n_bracket;
} lexer;

static pgd_status lex_fail(lexer *x, const char *what) {
    return pgd_fail(x->err, PGD_E_FORMAT, "template line %u: %s", x->line, what);
}

static pgd_status push(lexer *x, jtok t) {
    if (x->n_tok == x->cap_tok) {
        const size_t cap = x->cap_tok ? x->cap_tok * 2 : 256;
        jtok *grown = pgd_arena_array(x->a, cap, sizeof(jtok));
        if (!grown) return pgd_fail(x->err, PGD_E_NOMEM, "template is too large");
        if (x->n_tok) memcpy(grown, x->tok, x->n_tok * sizeof(jtok));
        x->tok = grown;
        x->cap_tok = cap;
    }
    x->tok[x->n_tok++] = t;
    return PGD_OK;
}

static uint32_t count_lines(const char *p, size_t n) {
    uint32_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void advance(lexer *x, size_t to) {
    x->line += count_lines(x->s + x->pos, to - x->pos);
    x->pos = to;
}

static size_t skip_space(const lexer *x, size_t pos) {
    size_t w;
    while (pos < x->n && (w = jspace_at(x->s + pos, x->n - pos)) != 0)
        pos += w;
    return pos;
}

static bool at(const lexer *x, size_t pos, const char *what) {
    const size_t w = strlen(what);
    return pos + w <= x->n && memcmp(x->s + pos, what, w) == 0;
}

/* \r\n and \r become \n, and one newline at the very end goes, as jinja2 does before lexing. */
static pgd_status normalise(lexer *x, pgd_sv src) {
    char *out = pgd_arena_alloc(x->a, src.n + 1);
    if (!out) return pgd_fail(x->err, PGD_E_NOMEM, "template is too large");
    size_t n = 0;
    for (size_t i = 0; i < src.n; i++) {
        if (src.p[i] == '\r') {
            out[n++] = '\n';
            if (i + 1 < src.n && src.p[i + 1] == '\n') i++;
        } else {
            out[n++] = src.p[i];
        }
    }
    if (!x->opt->keep_trailing_newline && n && out[n - 1] == '\n') n--;
    out[n] = 0;
    x->s = out;
    x->n = n;
    return PGD_OK;
}

/* Emit the data x->pos..end, cut on its right as the tag that follows asks: strip_sign '-' removes
 * all white space, otherwise lstrip_blocks removes blanks since the line's start (not before {{ and
 * not with '+'). */
static pgd_status put_data(lexer *x, size_t end, char strip_sign, bool is_variable) {
    const size_t begin = x->pos;
    size_t stop = end;
    if (strip_sign == '-') {
        size_t w;
        while (stop > begin && (w = jspace_before(x->s + begin, stop - begin)) != 0)
            stop -= w;
    } else if (strip_sign != '+' && x->opt->lstrip_blocks && !is_variable) {
        size_t l = stop;
        while (l > begin && x->s[l - 1] != '\n')
            l--;
        const bool line_starts = l > begin || begin == 0 || x->s[begin - 1] == '\n';
        if (line_starts && skip_space(x, l) >= stop) stop = l;
    }
    const jtok t = {.kind = JT_DATA, .line = x->line, .text = {x->s + begin, stop - begin}};
    advance(x, end);
    return stop > begin ? push(x, t) : PGD_OK;
}

/* After the end of a block or comment: `-` eats white space, else trim_blocks eats one newline. */
static size_t after_end(const lexer *x, size_t pos, char sign) {
    if (sign == '-') return skip_space(x, pos);
    if (sign != '+' && x->opt->trim_blocks && pos < x->n && x->s[pos] == '\n') return pos + 1;
    return pos;
}

static char sign_at(const lexer *x, size_t pos) {
    return pos < x->n && (x->s[pos] == '-' || x->s[pos] == '+') ? x->s[pos] : 0;
}

static pgd_status lex_comment(lexer *x) {
    const size_t begin = x->pos + 2;
    const size_t end = pgd_sv_find((pgd_sv){x->s, x->n}, PGD_SV("#}"), begin);
    if (end == SIZE_MAX) return lex_fail(x, "missing end of comment tag");
    char sign = end > begin ? x->s[end - 1] : 0;
    if (sign != '-' && sign != '+') sign = 0;
    advance(x, after_end(x, end + 2, sign));
    return PGD_OK;
}

/* Past `{% raw %}` when that is what stands at pos; 0 otherwise. Unlike other blocks its end takes
 * no newline with it. */
static size_t raw_begin(const lexer *x, size_t pos) {
    size_t p = pos + 2;
    if (sign_at(x, p)) p++;
    p = skip_space(x, p);
    if (!at(x, p, "raw")) return 0;
    p = skip_space(x, p + 3);
    if (at(x, p, "-%}")) return skip_space(x, p + 3);
    return at(x, p, "%}") ? p + 2 : 0;
}

static pgd_status lex_raw(lexer *x, size_t body) {
    advance(x, body);
    for (size_t p = body; p < x->n; p++) {
        if (!at(x, p, "{%")) continue;
        size_t q = p + 2;
        const char open_sign = sign_at(x, q);
        if (open_sign) q++;
        q = skip_space(x, q);
        if (!at(x, q, "endraw")) continue;
        q = skip_space(x, q + 6);
        const char sign = sign_at(x, q);
        if (sign) q++;
        if (!at(x, q, "%}")) continue;
        PGD_TRY(put_data(x, p, open_sign, false));
        advance(x, after_end(x, q + 2, sign));
        return PGD_OK;
    }
    return lex_fail(x, "missing end of raw directive");
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

/* (\d+_)*\d+ at pos; the position after it, pos when there is none. */
static size_t digits(const lexer *x, size_t pos) {
    size_t p = pos;
    while (p < x->n && (is_digit(x->s[p]) ||
                        (p > pos && x->s[p] == '_' && p + 1 < x->n && is_digit(x->s[p + 1]))))
        p++;
    return p;
}

static int digit_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

static pgd_status lex_int(lexer *x, jtok *t) {
    int base = 10;
    size_t p = x->pos;
    if (x->s[p] == '0' && p + 1 < x->n) {
        const char c = (char)(x->s[p + 1] | 0x20);
        base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
        if (base != 10) p += 2;
    }
    const bool zeros = base == 10 && x->s[p] == '0'; /* only more zeros may follow */
    const size_t begin = p;
    int64_t v = 0;
    for (; p < x->n; p++) {
        if (x->s[p] == '_' && p + 1 < x->n && digit_value(x->s[p + 1]) < base) continue;
        const int d = digit_value(x->s[p]);
        if (d >= base || (zeros && d != 0)) break;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
            return lex_fail(x, "integer is too large");
    }
    if (p == begin) return lex_fail(x, "bad number");
    t->kind = JT_INT;
    t->i = v;
    advance(x, p);
    return PGD_OK;
}

static pgd_status lex_number(lexer *x) {
    jtok t = {.line = x->line};
    size_t p = digits(x, x->pos);
    const bool after_dot = x->pos > 0 && x->s[x->pos - 1] == '.';
    bool is_float = false;
    if (!after_dot && p < x->n && x->s[p] == '.' && digits(x, p + 1) > p + 1) {
        p = digits(x, p + 1);
        is_float = true;
    }
    if (!after_dot && p < x->n && (x->s[p] | 0x20) == 'e') {
        size_t q = p + 1;
        if (sign_at(x, q)) q++;
        if (digits(x, q) > q) {
            p = digits(x, q);
            is_float = true;
        }
    }
    if (!is_float) {
        PGD_TRY(lex_int(x, &t));
        return push(x, t);
    }
    char text[128];
    size_t n = 0;
    for (size_t i = x->pos; i < p; i++) {
        if (x->s[i] == '_') continue;
        if (n == sizeof(text)) return lex_fail(x, "number is too long");
        text[n++] = x->s[i];
    }
    t.kind = JT_FLOAT;
    if (!pgd_parse_f64((pgd_sv){text, n}, &t.f)) return lex_fail(x, "number is out of range");
    advance(x, p);
    return push(x, t);
}

static bool hex(const char *p, const char *end, int count, uint32_t *out) {
    uint32_t v = 0;
    if (end - p < count) return false;
    for (int i = 0; i < count; i++) {
        const int d = digit_value(p[i]);
        if (d > 15) return false;
        v = v * 16 + (uint32_t)d;
    }
    *out = v;
    return true;
}

/* One escape after a backslash at *pp, as Python's unicode-escape reads it. False when malformed.
 * A surrogate pair becomes its code point. */
static bool unescape(const char **pp, const char *end, char out[4], size_t *n) {
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *p = *pp;
    const char c = *p++;
    const char *const simple = strchr(from, c);
    *n = 1;
    if (c == '\n') {
        *n = 0;
    } else if (c && simple) {
        out[0] = to[simple - from];
    } else if (c >= '0' && c <= '7') {
        uint32_t v = (uint32_t)(c - '0');
        for (int i = 0; i < 2 && p < end && *p >= '0' && *p <= '7'; i++)
            v = v * 8 + (uint32_t)(*p++ - '0');
        *n = pgd_utf8_encode(v, out);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        const int count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        uint32_t v, low;
        if (!hex(p, end, count, &v)) return false;
        p += count;
        if (v >= 0xd800 && v < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
            hex(p + 2, end, 4, &low) && low >= 0xdc00 && low < 0xe000) {
            v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
            p += 6;
        }
        *n = pgd_utf8_encode(v, out);
        if (!*n) return false;
    } else if (c == 'N') {
        return false;
    } else {
        out[0] = '\\'; /* unknown escapes stay as they are */
        p--;
    }
    *pp = p;
    return true;
}

static pgd_status lex_string(lexer *x) {
    const char quote = x->s[x->pos];
    size_t end = x->pos + 1;
    while (end < x->n && x->s[end] != quote)
        end += x->s[end] == '\\' ? 2 : 1;
    if (end >= x->n) return lex_fail(x, "unterminated string");
    char *out = pgd_arena_alloc(x->a, end - x->pos);
    if (!out) return pgd_fail(x->err, PGD_E_NOMEM, "template is too large");
    size_t n = 0;
    const char *p = x->s + x->pos + 1, *const stop = x->s + end;
    while (p < stop) {
        if (*p != '\\') {
            out[n++] = *p++;
            continue;
        }
        char piece[4];
        size_t w;
        p++;
        if (!unescape(&p, stop, piece, &w)) return lex_fail(x, "bad escape in a string");
        memcpy(out + n, piece, w);
        n += w;
    }
    const jtok t = {.kind = JT_STRING, .line = x->line, .text = {out, n}};
    advance(x, end + 1);
    return push(x, t);
}

static pgd_status lex_op(lexer *x) {
    static const char two[][3] = {"//", "**", "==", "!=", ">=", "<="};
    static const char one[] = "+-/*%~[](){}><=.:|,;";
    const char c = x->s[x->pos];
    jtok t = {.kind = JT_OP, .line = x->line, .op = c};
    size_t w = 1;
    for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++) {
        if (!at(x, x->pos, two[i])) continue;
        t.op = JOP2(two[i][0], two[i][1]);
        w = 2;
    }
    if (w == 1 && (!c || !strchr(one, c))) {
        return pgd_fail(x->err, PGD_E_FORMAT,
                        "template line %u: unexpected character '%c' (0x%02x)", x->line,
                        c >= 0x20 && c < 0x7f ? c : '?', (unsigned)(unsigned char)c);
    }
    if (c == '(' || c == '[' || c == '{') {
        if (x->n_bracket == sizeof(x->bracket)) return lex_fail(x, "brackets are nested too deep");
        x->bracket[x->n_bracket++] = (char)(c == '(' ? ')' : c + 2);
    } else if (c == ')' || c == ']' || c == '}') {
        if (!x->n_bracket || x->bracket[--x->n_bracket] != c)
            return pgd_fail(x->err, PGD_E_FORMAT, "template line %u: unexpected '%c'", x->line, c);
    }
    advance(x, x->pos + w);
    return push(x, t);
}

/* Tokens inside {{ }} or {% %}, up to and with its end. */
static pgd_status lex_tag(lexer *x, bool is_variable) {
    const char *const close = is_variable ? "}}" : "%}";
    x->n_bracket = 0;
    for (;;) {
        advance(x, skip_space(x, x->pos));
        if (x->pos >= x->n)
            return lex_fail(x, is_variable ? "unexpected end of template, expected '}}'"
                                           : "unexpected end of template, expected '%}'");
        char sign = sign_at(x, x->pos);
        if (is_variable && sign == '+') sign = 0; /* {{ }} knows no '+' at its end */
        const size_t e = x->pos + (sign ? 1 : 0);
        if (!x->n_bracket && at(x, e, close)) {
            const jtok t = {.kind = is_variable ? JT_VAR_END : JT_BLOCK_END, .line = x->line};
            size_t next = e + 2;
            if (!is_variable || sign == '-') next = after_end(x, next, sign);
            advance(x, next);
            return push(x, t);
        }
        const char c = x->s[x->pos];
        if (is_digit(c)) {
            PGD_TRY(lex_number(x));
        } else if (is_alpha(c)) {
            size_t p = x->pos;
            while (p < x->n && (is_alpha(x->s[p]) || is_digit(x->s[p])) &&
                   !jspace_at(x->s + p, x->n - p))
                p++;
            const jtok t = {.kind = JT_NAME, .line = x->line, .text = {x->s + x->pos, p - x->pos}};
            advance(x, p);
            PGD_TRY(push(x, t));
        } else if (c == '\'' || c == '"') {
            PGD_TRY(lex_string(x));
        } else {
            PGD_TRY(lex_op(x));
        }
    }
}

/* Offset of the next tag opening at or after pos; x->n when there is none. */
static size_t next_tag(const lexer *x, size_t pos) {
    while (pos + 1 < x->n) {
        const char *const p = memchr(x->s + pos, '{', x->n - 1 - pos);
        if (!p) break;
        if (p[1] == '{' || p[1] == '%' || p[1] == '#') return (size_t)(p - x->s);
        pos = (size_t)(p - x->s) + 1;
    }
    return x->n;
}

static pgd_status lex_all(lexer *x) {
    while (x->pos < x->n) {
        const size_t tag = next_tag(x, x->pos);
        if (tag == x->n) {
            PGD_TRY(put_data(x, x->n, '+', false));
            break;
        }
        const char kind = x->s[tag + 1];
        const char sign = sign_at(x, tag + 2);
        PGD_TRY(put_data(x, tag, sign, kind == '{'));
        const size_t raw = kind == '%' ? raw_begin(x, tag) : 0;
        if (kind == '#') {
            PGD_TRY(lex_comment(x));
        } else if (raw) {
            PGD_TRY(lex_raw(x, raw));
        } else {
            const jtok t = {.kind = kind == '{' ? JT_VAR_BEGIN : JT_BLOCK_BEGIN, .line = x->line};
            PGD_TRY(push(x, t));
            advance(x, tag + 2 + (sign ? 1 : 0));
            PGD_TRY(lex_tag(x, kind == '{'));
        }
    }
    return push(x, (jtok){.kind = JT_EOF, .line = x->line});
}

pgd_status jlex(pgd_arena *a, pgd_sv source, const jlex_options *opt, jtok **out, size_t *n,
                pgd_error *err) {
    lexer x = {.a = a, .opt = opt, .err = err, .line = 1};
    if (pgd_utf8_valid_prefix(source.p, source.n) != source.n)
        return pgd_fail(err, PGD_E_FORMAT, "template is not valid UTF-8");
    PGD_TRY(normalise(&x, source));
    PGD_TRY(lex_all(&x));
    *out = x.tok;
    *n = x.n_tok;
    return PGD_OK;
}
