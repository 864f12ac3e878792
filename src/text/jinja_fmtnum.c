/* Padded and formatted numbers for "%" and str.format in the template engine: the mini-language of
 * Python's format() for int and float. Numbers count as the template's text.
 * Thread: one run, one thread. */
#include "jinja_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PRECISION = 100, MAX_WIDTH = 1 << 16 };

static bool check_size(jrun *r, const jfmt_spec *spec) {
    if (spec->width > MAX_WIDTH || (spec->has_precision && spec->precision > MAX_WIDTH))
        return jfail(r, "format: width or precision is too large") != NULL;
    return jsteps(r, spec->width / 16);
}

bool jfmt_text(jrun *r, jsb *b, const jval *text, const jfmt_spec *spec) {
    if (!check_size(r, spec)) return false;
    size_t chars = text->as.s.chars;
    if (spec->has_precision && spec->precision < chars) chars = spec->precision;
    const size_t pad = spec->width > chars ? spec->width - chars : 0;
    const pgd_sv fill = spec->fill.n ? spec->fill : PGD_SV(" ");
    size_t left = 0;
    if (spec->align == '>') left = pad;
    if (spec->align == '^') left = pad / 2;
    jsb_fill(r, b, fill, left, true);
    jsb_put_sub(r, b, text, 0, jstr_offset(text, chars));
    jsb_fill(r, b, fill, pad - left, true);
    return !b->failed;
}

/* Digits of |v| in a base; returns the count. */
static size_t int_digits(uint64_t v, unsigned base, bool upper, char *out) {
    const char *const alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char tmp[64];
    size_t n = 0;
    do {
        tmp[n++] = alphabet[v % base];
        v /= base;
    } while (v);
    for (size_t i = 0; i < n; i++)
        out[i] = tmp[n - 1 - i];
    return n;
}

/* Insert a separator every `every` digits into the integer part of digits[0..n). */
static size_t group_digits(char *digits, size_t n, char sep, size_t every) {
    size_t whole = 0;
    while (whole < n && ((digits[whole] >= '0' && digits[whole] <= '9') ||
                         (every == 4 && digits[whole] >= 'a' && digits[whole] <= 'f')))
        whole++;
    const size_t extra = whole ? (whole - 1) / every : 0;
    memmove(digits + whole + extra, digits + whole, n - whole);
    size_t to = whole + extra;
    for (size_t i = 0; i < whole && extra; i++) {
        digits[--to] = digits[whole - 1 - i];
        if ((i + 1) % every == 0 && to) digits[--to] = sep;
    }
    return n + extra;
}

/* Drop the trailing zeros (and point) of the mantissa in text[0..n), as %g does without '#'. */
static size_t float_digits(double f, const jfmt_spec *spec, char *out, size_t cap) {
    const int precision = spec->has_precision ? (int)spec->precision : 6;
    if (isnan(f)) return (size_t)snprintf(out, cap, "nan");
    if (isinf(f)) return (size_t)snprintf(out, cap, "inf");
    switch (spec->type) {
    case 'e':
        return (size_t)snprintf(out, cap, spec->alt ? "%#.*e" : "%.*e", precision, f);
    case 'E':
        return (size_t)snprintf(out, cap, spec->alt ? "%#.*E" : "%.*E", precision, f);
    case 'f':
    case 'F':
        return (size_t)snprintf(out, cap, spec->alt ? "%#.*f" : "%.*f", precision, f);
    case '%':
        return (size_t)snprintf(out, cap, "%.*f%%", precision, f * 100);
    case 'g':
        return (size_t)snprintf(out, cap, spec->alt ? "%#.*g" : "%.*g", precision, f);
    case 'G':
        return (size_t)snprintf(out, cap, spec->alt ? "%#.*G" : "%.*G", precision, f);
    default:
        break;
    }
    if (!spec->has_precision) return jfloat_repr(f, out);
    const size_t n = (size_t)snprintf(out, cap, "%.*g", precision ? precision : 1, f);
    if (strpbrk(out, ".e")) return n; /* no type means %g that still looks like a float */
    return n + (size_t)snprintf(out + n, cap - n, ".0");
}

static bool is_float_type(char t) {
    return t && strchr("eEfFgG%", t) != NULL;
}

bool jfmt_number(jrun *r, jsb *b, const jval *v, const jfmt_spec *spec) {
    char digits[800];
    const char *prefix = "";
    size_t n;
    bool negative;
    int64_t i;
    if (!check_size(r, spec)) return false;
    if (spec->has_precision && spec->precision > MAX_PRECISION)
        return jfail(r, "format: precision is too large") != NULL;
    if (jas_int(v, &i) && !is_float_type(spec->type)) {
        unsigned base = 10;
        negative = i < 0;
        const uint64_t magnitude = negative ? 0 - (uint64_t)i : (uint64_t)i;
        if (spec->type == 'x' || spec->type == 'X') base = 16;
        if (spec->type == 'o') base = 8;
        if (spec->type == 'b') base = 2;
        if (!base || (spec->type && !strchr("dinuxXobc", spec->type)))
            return jfail(r, "Unknown format code '%c' for object of type 'int'", spec->type) !=
                   NULL;
        n = int_digits(magnitude, base, spec->type == 'X', digits);
        if (spec->alt && base != 10)
            prefix = base == 8 ? "0o" : base == 2 ? "0b" : spec->type == 'X' ? "0X" : "0x";
    } else {
        const double f = jas_double(v);
        if (spec->type && !is_float_type(spec->type) && spec->type != 'n')
            return jfail(r, "Unknown format code '%c' for object of type 'float'", spec->type) !=
                   NULL;
        negative = signbit(f) && !isnan(f);
        n = float_digits(fabs(f), spec, digits, 400);
    }
    if (spec->group)
        n = group_digits(digits, n, spec->group, spec->type && strchr("xXob", spec->type) ? 4 : 3);
    char sign[4];
    const size_t n_sign = (size_t)snprintf(sign, sizeof(sign), "%s%s",
                                           negative            ? "-"
                                           : spec->sign == '+' ? "+"
                                           : spec->sign == ' ' ? " "
                                                               : "",
                                           prefix);
    const size_t pad = spec->width > n + n_sign ? spec->width - n - n_sign : 0;
    const pgd_sv fill = spec->fill.n ? spec->fill : PGD_SV(" ");
    const char align = spec->align ? spec->align : '>';
    const size_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
    jsb_fill(r, b, fill, left, true);
    jsb_put(r, b, (pgd_sv){sign, n_sign}, true);
    if (align == '=') jsb_fill(r, b, fill, pad, true);
    jsb_put(r, b, (pgd_sv){digits, n}, true);
    if (align != '=') jsb_fill(r, b, fill, pad - left, true);
    return !b->failed;
}
