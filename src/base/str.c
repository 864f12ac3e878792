/* Views, growable buffers and number parsing.
 *
 * Invariants of a buffer: n < cap whenever p is set, p[n] is NUL, and after a failed append the
 * content is what it was before that append. Sizes double, so that a run of appends is linear.
 * Number parsing checks the grammar itself before strtod sees the text: strtod alone would take
 * hexadecimal, "inf", blanks and, in a foreign locale, a comma. Its own use of the locale's decimal
 * point is safe because the program never calls setlocale (banned by the lint), so that the "C"
 * locale holds. Thread: a buffer belongs to one thread at a time. */
#include "pagoda/str.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/mem.h"

enum { MIN_CAP = 64, MAX_NUMBER_BYTES = 512 };

pgd_sv pgd_sv_c(const char *s) {
    return (pgd_sv){s, s ? strlen(s) : 0};
}

bool pgd_sv_eq(pgd_sv a, pgd_sv b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool pgd_sv_starts(pgd_sv s, pgd_sv prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool pgd_sv_ends(pgd_sv s, pgd_sv suffix) {
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

size_t pgd_sv_find(pgd_sv s, pgd_sv needle, size_t from) {
    if (from > s.n) return SIZE_MAX;
    if (needle.n == 0) return from;
    if (s.n - from < needle.n) return SIZE_MAX;
    const char *hit = memmem(s.p + from, s.n - from, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

bool pgd_sv_cut(pgd_sv *rest, pgd_sv sep, pgd_sv *part) {
    if (rest->n == 0) return false;
    const size_t at = pgd_sv_find(*rest, sep, 0);
    const size_t end = at == SIZE_MAX ? rest->n : at;
    const size_t used = at == SIZE_MAX ? rest->n : at + sep.n;
    *part = (pgd_sv){rest->p, end};
    *rest = (pgd_sv){rest->p + used, rest->n - used};
    return true;
}

void pgd_buf_fini(pgd_buf *b) {
    pgd_free(b->p);
    *b = (pgd_buf){0};
}

void pgd_buf_clear(pgd_buf *b) {
    b->n = 0;
    b->failed = false;
    if (b->p) b->p[0] = '\0';
}

pgd_status pgd_buf_reserve(pgd_buf *b, size_t extra) {
    if (b->failed) return PGD_E_NOMEM;
    if (b->p && extra < b->cap - b->n) return PGD_OK;
    size_t need;
    if (!pgd_add_size(b->n, extra, &need) || !pgd_add_size(need, 1, &need)) {
        b->failed = true;
        return PGD_E_NOMEM;
    }
    size_t cap = b->cap > SIZE_MAX / 2 ? need : b->cap * 2;
    if (cap < need) cap = need;
    if (cap < MIN_CAP) cap = MIN_CAP;
    char *p = pgd_realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return PGD_E_NOMEM;
    }
    if (!b->p) p[0] = '\0';
    b->p = p;
    b->cap = cap;
    return PGD_OK;
}

void pgd_buf_put(pgd_buf *b, const void *data, size_t n) {
    if (pgd_buf_reserve(b, n) != PGD_OK) return;
    if (n) memcpy(b->p + b->n, data, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void pgd_buf_putc(pgd_buf *b, char c) {
    pgd_buf_put(b, &c, 1);
}

void pgd_buf_puts(pgd_buf *b, const char *s) {
    pgd_buf_put(b, s, strlen(s));
}

void pgd_buf_putsv(pgd_buf *b, pgd_sv s) {
    pgd_buf_put(b, s.p, s.n);
}

/* Two passes: measure, then write in place. */
void pgd_buf_putf(pgd_buf *b, const char *fmt, ...) {
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
    } else if (pgd_buf_reserve(b, (size_t)n) == PGD_OK) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void pgd_buf_put_u64(pgd_buf *b, uint64_t v) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    pgd_buf_put(b, digits + at, sizeof digits - at);
}

void pgd_buf_put_i64(pgd_buf *b, int64_t v) {
    if (v >= 0) {
        pgd_buf_put_u64(b, (uint64_t)v);
        return;
    }
    char digits[21];
    size_t at = sizeof digits;
    uint64_t m = 0 - (uint64_t)v;
    do {
        digits[--at] = (char)('0' + m % 10);
        m /= 10;
    } while (m);
    digits[--at] = '-';
    pgd_buf_put(b, digits + at, sizeof digits - at);
}

void pgd_buf_put_wrapped(pgd_buf *b, const char *text, size_t indent, size_t width) {
    size_t col = 0;
    while (*text != '\0') {
        const size_t word = strcspn(text, " ");
        if (col > 0 && col + 1 + word > width) {
            pgd_buf_putc(b, '\n');
            col = 0;
        }
        if (col == 0) {
            pgd_buf_putf(b, "%*s", (int)indent, "");
            col = indent;
        } else {
            pgd_buf_putc(b, ' ');
            col++;
        }
        pgd_buf_put(b, text, word);
        col += word;
        text += word;
        while (*text == ' ')
            text++;
    }
    pgd_buf_putc(b, '\n');
}

void pgd_buf_drop_front(pgd_buf *b, size_t n) {
    if (n == 0) return;
    PGD_ASSERT(n <= b->n);
    b->n -= n;
    memmove(b->p, b->p + n, b->n + 1);
}

pgd_sv pgd_buf_sv(const pgd_buf *b) {
    return (pgd_sv){b->p, b->n};
}

bool pgd_parse_u64(pgd_sv s, uint64_t *out) {
    uint64_t v = 0;
    if (s.n == 0) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        if (__builtin_mul_overflow(v, (uint64_t)10, &v)) return false;
        if (__builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v)) return false;
    }
    *out = v;
    return true;
}

bool pgd_parse_i64(pgd_sv s, int64_t *out) {
    const bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t m;
    if (!pgd_parse_u64(negative ? (pgd_sv){s.p + 1, s.n - 1} : s, &m)) return false;
    if (m > (uint64_t)INT64_MAX + (negative ? 1 : 0)) return false;
    *out = negative ? (int64_t)(0 - m) : (int64_t)m;
    return true;
}

static size_t skip_digits(pgd_sv s, size_t i) {
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit on at least one side of the point. */
static bool is_decimal(pgd_sv s) {
    size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    const size_t whole = i;
    i = skip_digits(s, i);
    size_t digits = i - whole;
    if (i < s.n && s.p[i] == '.') {
        const size_t fraction = i + 1;
        i = skip_digits(s, fraction);
        digits += i - fraction;
    }
    if (digits == 0) return false;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+')) i++;
        const size_t exponent = i;
        i = skip_digits(s, i);
        if (i == exponent) return false;
    }
    return i == s.n;
}

bool pgd_parse_f64(pgd_sv s, double *out) {
    char text[MAX_NUMBER_BYTES];
    if (s.n >= sizeof text || !is_decimal(s)) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    const double v = strtod(text, NULL);
    if (!isfinite(v)) return false;
    *out = v;
    return true;
}
