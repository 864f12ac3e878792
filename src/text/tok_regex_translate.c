/* From Oniguruma's pattern syntax to PCRE2's.
 *
 * The two agree on nearly everything that tokenizers use. Where they differ:
 *   \s \S \w \W     Oniguruma: Unicode properties; PCRE2's own sets are slightly different
 *   \b \B           borders of Oniguruma's words
 *   \h \H           hex digit / not; in PCRE2 horizontal space
 *   [[:alpha:]]     Unicode properties, the named ones only
 *   \uHHHH          a code point
 *   (?m)            dot matches newline, PCRE2 (?s)
 *   {,n}            {0,n}
 *   X{n,m}+         one or more of X{n,m}, in PCRE2 possessive
 *   \p{Han}         the script; in PCRE2 the script extensions
 *   [a[bc]]         union, which becomes [abc]
 *   [A&&[B]]        intersection, which becomes (?=[B])[A]
 * What has no counterpart is refused: a pattern that means something else would split text wrongly
 * without anybody noticing. Thread: the loader's. Does not check the syntax; PCRE2 does. */
#include <string.h>

#include "tok_regex.h"

enum { MAX_GROUPS = 128 };

/* Contents of classes. Each ends in a property, so that a hyphen behind it stays a hyphen. */
#define SPACE "\\x{9}-\\x{d}\\x{85}\\p{Z}"
#define WORD_CLASS "\\x{24b6}-\\x{24e9}\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}"
#define WORD "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}" WORD_CLASS

typedef struct xlat {
    pgd_sv in;
    size_t i;
    pgd_buf *out;
    size_t group[MAX_GROUPS]; /* output offset of each open group */
    size_t n_groups;
    size_t atom; /* output offset of the atom that a quantifier would apply to */
    pgd_error *err;
} xlat;

static pgd_status refuse(const xlat *x, const char *what) {
    return pgd_fail(x->err, PGD_E_UNSUPPORTED, "pattern at byte %zu: %s", x->i, what);
}

static int peek(const xlat *x, size_t ahead) {
    return x->i + ahead < x->in.n ? (int)(unsigned char)x->in.p[x->i + ahead] : -1;
}

static void insert(pgd_buf *b, size_t at, const char *s) {
    const size_t n = strlen(s), old = b->n;
    pgd_buf_puts(b, s);
    if (b->failed || at >= old) return;
    memmove(b->p + at + n, b->p + at, old - at);
    memcpy(b->p + at, s, n);
}

/* \uHHHH at x->i; false when fewer than four hex digits follow. */
static bool code_point(xlat *x) {
    for (size_t k = 2; k < 6; k++) {
        const int c = peek(x, k);
        if (c < 0 || strchr("0123456789abcdefABCDEF", c) == NULL) return false;
    }
    pgd_buf_putf(x->out, "\\x{%.4s}", x->in.p + x->i + 2);
    x->i += 6;
    return true;
}

/* A braced property, reference or code point whose "\\p" is written already; x->i is at the brace.
 * PCRE2 takes a bare script name for the script extensions, Oniguruma for the script itself. */
static pgd_status braced(xlat *x, bool property) {
    static const char *const scripts[] = {
        "Han",    "Hiragana", "Katakana",   "Hangul",  "Bopomofo", "Latin",  "Greek",    "Cyrillic",
        "Arabic", "Hebrew",   "Devanagari", "Bengali", "Thai",     "Common", "Inherited"};
    const size_t begin = x->i + 1;
    while (peek(x, 0) >= 0 && peek(x, 0) != '}') {
        x->i++;
    }
    if (peek(x, 0) < 0) return refuse(x, "unclosed brace");
    pgd_sv name = {x->in.p + begin, x->i - begin};
    pgd_buf_putc(x->out, '{');
    if (property && name.n > 0 && name.p[0] == '^') {
        pgd_buf_putc(x->out, '^');
        name = (pgd_sv){name.p + 1, name.n - 1};
    }
    for (size_t k = 0; property && k < sizeof scripts / sizeof *scripts; k++) {
        if (pgd_sv_eq(name, pgd_sv_c(scripts[k]))) pgd_buf_puts(x->out, "sc:");
    }
    pgd_buf_putsv(x->out, name);
    pgd_buf_putc(x->out, '}');
    x->i++;
    return PGD_OK;
}

/* An escape at x->i; in_class: inside [...]. */
static pgd_status escape(xlat *x, bool in_class) {
    const int c = peek(x, 1);
    const char *const open = in_class ? "" : "[";
    const char *const close = in_class ? "" : "]";
    if (c == 's' || c == 'w' || c == 'h') {
        pgd_buf_putf(x->out, "%s%s%s", open,
                     c == 's'   ? SPACE
                     : c == 'w' ? WORD
                                : "0-9a-fA-F",
                     close);
    } else if (c == 'S' && in_class) {
        pgd_buf_puts(x->out, "\\P{White_Space}");
    } else if ((c == 'W' || c == 'H') && in_class) {
        return refuse(x, "\\W and \\H inside a class are not supported");
    } else if (c == 'S' || c == 'W' || c == 'H') {
        pgd_buf_putf(x->out, "[^%s]", c == 'S' ? SPACE : c == 'W' ? WORD : "0-9a-fA-F");
    } else if ((c == 'b' || c == 'B') && !in_class) {
        const char not_second = c == 'b' ? '!' : '=', second = c == 'b' ? '=' : '!';
        pgd_buf_putf(x->out, "(?:(?<=[%s])(?%c[%s])|(?<![%s])(?%c[%s]))", WORD, not_second, WORD,
                     WORD, second, WORD);
    } else if (c == 'u') {
        if (!code_point(x)) return refuse(x, "\\u without four hex digits");
        return PGD_OK;
    } else if (c < 0) {
        return refuse(x, "ends in a backslash");
    } else {
        pgd_buf_put(x->out, x->in.p + x->i, 2);
        if ((c == 'p' || c == 'P' || c == 'x' || c == 'k' || c == 'g') && peek(x, 2) == '{') {
            x->i += 2;
            return braced(x, c == 'p' || c == 'P');
        }
    }
    x->i += 2;
    return PGD_OK;
}

/* [:name:] at x->i: Oniguruma's Unicode meaning of it. */
static pgd_status posix_class(xlat *x) {
    static const struct {
        const char *name, *meaning;
    } names[] = {{"alpha", "\\p{Alphabetic}"}, {"alnum", "\\p{Alphabetic}\\p{Nd}"},
                 {"punct", "\\p{P}\\p{S}"},    {"space", SPACE},
                 {"upper", "\\p{Uppercase}"},  {"lower", "\\p{Lowercase}"},
                 {"word", WORD_CLASS},         {"digit", "\\p{Nd}"},
                 {"xdigit", "0-9a-fA-F"},      {"blank", "\\t\\p{Zs}"}};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const size_t n = strlen(names[k].name);
        if (x->in.n - x->i < n + 4 || memcmp(x->in.p + x->i + 2, names[k].name, n) != 0 ||
            memcmp(x->in.p + x->i + 2 + n, ":]", 2) != 0) {
            continue;
        }
        pgd_buf_puts(x->out, names[k].meaning);
        x->i += n + 4;
        return PGD_OK;
    }
    return refuse(x, "this POSIX class is not supported");
}

/* Where in a class the translation stands. */
typedef struct class_place {
    unsigned depth; /* nested classes around the item */
    bool border;    /* a nested class has just begun or ended */
} class_place;

/* One item of a class at x->i. A union [a[bc]] is written flat, [abc]; hyphens beside the inner
 * borders are escaped, since they are literal there and might make a range here. */
static pgd_status class_item(xlat *x, class_place *at) {
    const int c = peek(x, 0), next = peek(x, 1);
    const bool after_border = at->border;
    at->border = c == ']' || (c == '[' && next != ':');
    if (c == '\\') return escape(x, true);
    if (c == '[' && next == ':') return posix_class(x);
    if (c == '[') {
        if (next == '^') return refuse(x, "a negated class inside a class is not supported");
        at->depth++;
        x->i++;
        return PGD_OK;
    } else if (c == ']') {
        at->depth--;
        x->i++;
        return PGD_OK;
    } else if (c == '&' && next == '&') {
        return refuse(x, "only [A&&[B]] intersections are supported");
    } else if (c == '-' && (after_border || next == '[' || (at->depth > 0 && next == ']'))) {
        pgd_buf_putc(x->out, '\\');
    }
    pgd_buf_putc(x->out, x->in.p[x->i++]);
    return PGD_OK;
}

/* The class at x->i ('['), without intersections: copied with its escapes translated. */
static pgd_status plain_class(xlat *x) {
    class_place at = {0};
    pgd_buf_putc(x->out, x->in.p[x->i++]);
    if (peek(x, 0) == '^') pgd_buf_putc(x->out, x->in.p[x->i++]);
    if (peek(x, 0) == ']') {
        pgd_buf_puts(x->out, "\\]");
        x->i++;
    }
    while (peek(x, 0) >= 0 && (peek(x, 0) != ']' || at.depth > 0)) {
        PGD_TRY(class_item(x, &at));
    }
    if (peek(x, 0) < 0) return refuse(x, "unclosed class");
    pgd_buf_putc(x->out, x->in.p[x->i++]);
    return PGD_OK;
}

/* Offset of "&&[" at the top level of the class at x->i, or 0 when there is none. */
static size_t find_intersection(const xlat *x) {
    size_t depth = 0;
    for (size_t j = x->i + 1; j + 2 < x->in.n; j++) {
        const char c = x->in.p[j];
        if (c == '\\') {
            j++;
        } else if (c == '[') {
            depth++;
        } else if (c == ']' && depth > 0) {
            depth--;
        } else if (c == ']') {
            return 0;
        } else if (c == '&' && x->in.p[j + 1] == '&' && x->in.p[j + 2] == '[') {
            return j;
        }
    }
    return 0;
}

static pgd_status class_or_intersection(xlat *x) {
    const size_t and_at = find_intersection(x);
    if (and_at == 0) return plain_class(x);
    /* [A&&[B]] becomes (?:(?=[B])[A]): translate B, then A from a copy with a closing bracket. */
    const size_t start = x->i;
    pgd_buf_puts(x->out, "(?:(?=");
    x->i = and_at + 2;
    PGD_TRY(plain_class(x));
    if (peek(x, 0) != ']') return refuse(x, "only [A&&[B]] intersections are supported");
    const size_t after = x->i + 1;
    pgd_buf_putc(x->out, ')');
    pgd_buf left = {0};
    pgd_buf_put(&left, x->in.p + start, and_at - start);
    pgd_buf_putc(&left, ']');
    if (left.failed) return pgd_fail(x->err, PGD_E_NOMEM, "out of memory");
    xlat sub = {.in = pgd_buf_sv(&left), .out = x->out, .err = x->err};
    const pgd_status st = plain_class(&sub);
    pgd_buf_fini(&left);
    PGD_TRY(st);
    pgd_buf_putc(x->out, ')');
    x->i = after;
    return PGD_OK;
}

static pgd_status open_group(xlat *x) {
    if (x->n_groups == MAX_GROUPS) return refuse(x, "too many nested groups");
    x->group[x->n_groups++] = x->out->n;
    pgd_buf_putc(x->out, x->in.p[x->i++]);
    if (peek(x, 0) != '?') return PGD_OK;
    pgd_buf_putc(x->out, x->in.p[x->i++]);
    while (peek(x, 0) >= 0 && strchr("imx-", peek(x, 0)) != NULL) {
        pgd_buf_putc(x->out, peek(x, 0) == 'm' ? 's' : x->in.p[x->i]);
        x->i++;
    }
    return PGD_OK;
}

/* {n}, {n,}, {,m}, {n,m} at x->i; anything else is a literal brace in both syntaxes. */
static void quantifier(xlat *x) {
    size_t j = x->i + 1;
    while (j < x->in.n && ((x->in.p[j] >= '0' && x->in.p[j] <= '9') || x->in.p[j] == ',')) {
        j++;
    }
    const bool counted = j < x->in.n && x->in.p[j] == '}' && j > x->i + 1;
    if (!counted) {
        x->atom = x->out->n;
        pgd_buf_putc(x->out, x->in.p[x->i++]);
        return;
    }
    const bool again = j + 1 < x->in.n && x->in.p[j + 1] == '+';
    if (again) insert(x->out, x->atom, "(?:");
    pgd_buf_putc(x->out, '{');
    if (x->in.p[x->i + 1] == ',') pgd_buf_putc(x->out, '0');
    pgd_buf_put(x->out, x->in.p + x->i + 1, j - x->i);
    x->i = j + 1;
    if (again) pgd_buf_putc(x->out, ')');
}

pgd_status pgd_tok_regex_translate(pgd_sv pattern, pgd_buf *out, pgd_error *err) {
    xlat x = {.in = pattern, .out = out, .err = err};
    while (x.i < pattern.n) {
        const int c = peek(&x, 0);
        if (c == '{') {
            quantifier(&x);
        } else if (c == '*' || c == '+' || c == '?' || c == '|') {
            pgd_buf_putc(out, pattern.p[x.i++]);
        } else if (c == '(') {
            PGD_TRY(open_group(&x));
        } else if (c == ')') {
            if (x.n_groups > 0) x.atom = x.group[--x.n_groups];
            pgd_buf_putc(out, pattern.p[x.i++]);
        } else {
            x.atom = out->n;
            if (c == '\\') {
                PGD_TRY(escape(&x, false));
            } else if (c == '[') {
                PGD_TRY(class_or_intersection(&x));
            } else {
                /* whole code points, so that an atom never starts inside one */
                do {
                    pgd_buf_putc(out, pattern.p[x.i++]);
                } while ((peek(&x, 0) & 0xC0) == 0x80 && peek(&x, 0) >= 0);
            }
        }
    }
    if (out->failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    return PGD_OK;
}
