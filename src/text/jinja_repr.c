/* str() and repr() of the template engine, as CPython prints them: None, True, shortest floats,
 * quotes chosen by content, lists and dicts with nested reprs.
 *
 * Taint: text of a string keeps its taint where it is copied unchanged; inside a repr it is
 * untrusted as a whole if any of it is; brackets, quotes and numbers count as the template's.
 * Recursion is counted (jenter). Thread: one run, one thread. */
#include "jinja_int.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jinja_unicode.h"

/* Digits and decimal exponent of the shortest decimal that reads back as f (f finite, > 0):
 * value = 0.d1d2d3... * 10^point. Fifteen digits always survive a double, so if they read back,
 * dropping their trailing zeros is already the shortest; otherwise 16 or 17 are needed. Subnormals
 * have fewer digits and try all lengths. */
static size_t shortest_digits(double f, char digits[20], int *point) {
    char text[40];
    double back;
    for (int precision = f < DBL_MIN ? 0 : 14;; precision++) {
        const int n = snprintf(text, sizeof(text), "%.*e", precision, f);
        if (precision == 16 || (pgd_parse_f64((pgd_sv){text, (size_t)n}, &back) && back == f))
            break;
    }
    size_t n = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p != '.') digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    int exponent = 0;
    const bool negative = p[1] == '-';
    for (p += 2; *p; p++)
        exponent = exponent * 10 + (*p - '0');
    *point = (negative ? -exponent : exponent) + 1;
    return n;
}

size_t jfloat_repr(double f, char out[40]) {
    if (isnan(f)) return (size_t)snprintf(out, 40, "nan");
    if (isinf(f)) return (size_t)snprintf(out, 40, f < 0 ? "-inf" : "inf");
    if (f == 0) return (size_t)snprintf(out, 40, signbit(f) ? "-0.0" : "0.0");
    char d[20] = {0};
    int point = 0;
    size_t n = 0;
    const size_t nd = shortest_digits(fabs(f), d, &point);
    if (f < 0) out[n++] = '-';
    if (point <= -4 || point > 16) { /* 1.5e-07, 1e+16 */
        out[n++] = d[0];
        if (nd > 1) {
            out[n++] = '.';
            memcpy(out + n, d + 1, nd - 1);
            n += nd - 1;
        }
        const int e = point - 1;
        n += (size_t)snprintf(out + n, 40 - n, "e%c%02d", e < 0 ? '-' : '+', e < 0 ? -e : e);
        return n;
    }
    if (point <= 0) {
        out[n++] = '0';
        out[n++] = '.';
        for (int i = point; i < 0; i++)
            out[n++] = '0';
        memcpy(out + n, d, nd);
        return n + nd;
    }
    for (int i = 0; i < point || i < (int)nd; i++) {
        if (i == point) out[n++] = '.';
        out[n++] = i < (int)nd ? d[i] : '0';
    }
    if ((int)nd <= point) {
        out[n++] = '.';
        out[n++] = '0';
    }
    return n;
}

/* ---- repr --------------------------------------------------------------------------------- */

static void put_escaped_char(jrun *r, jsb *b, uint32_t c, pgd_sv raw, char quote, bool trusted) {
    char esc[16];
    int n = 0;
    if (c == '\n')
        n = snprintf(esc, sizeof(esc), "\\n");
    else if (c == '\r')
        n = snprintf(esc, sizeof(esc), "\\r");
    else if (c == '\t')
        n = snprintf(esc, sizeof(esc), "\\t");
    else if (c == '\\' || c == (unsigned char)quote)
        n = snprintf(esc, sizeof(esc), "\\%c", (char)c);
    else if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0x100 && !juc_printable(c)))
        n = snprintf(esc, sizeof(esc), "\\x%02x", c);
    else if (c >= 0x100 && !juc_printable(c))
        n = snprintf(esc, sizeof(esc), c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    jsb_put(r, b, n ? (pgd_sv){esc, (size_t)n} : raw, trusted);
}

static void put_str_repr(jrun *r, jsb *b, const jval *s) {
    const jstr *const t = &s->as.s;
    const bool trusted = jstr_all_trusted(s);
    const bool single = t->n && memchr(t->p, '\'', t->n);
    const bool twice = t->n && memchr(t->p, '"', t->n);
    const char quote = single && !twice ? '"' : '\'';
    jsb_put(r, b, (pgd_sv){&quote, 1}, true);
    size_t plain = 0; /* start of the run of characters that need no escape */
    for (size_t i = 0; i < t->n;) {
        uint32_t c;
        size_t w = pgd_utf8_decode(t->p + i, t->n - i, &c);
        if (!w) w = 1;
        if (c < 0x20 || c >= 0x7f || c == '\\' || c == (unsigned char)quote) {
            jsb_put(r, b, (pgd_sv){t->p + plain, i - plain}, trusted);
            put_escaped_char(r, b, c, (pgd_sv){t->p + i, w}, quote, trusted);
            plain = i + w;
        }
        i += w;
    }
    jsb_put(r, b, (pgd_sv){t->p + plain, t->n - plain}, trusted);
    jsb_put(r, b, (pgd_sv){&quote, 1}, true);
}

static bool put_items(jrun *r, jsb *b, const jseq *q) {
    for (size_t i = 0; i < q->n; i++) {
        if (i) jsb_puts(r, b, ", ");
        if (!jput_repr(r, b, q->v[i])) return false;
    }
    return true;
}

static bool put_seq(jrun *r, jsb *b, const jval *v) {
    static const char *const open[] = {[JQ_LIST] = "[",
                                       [JQ_TUPLE] = "(",
                                       [JQ_GEN] = "<generator object",
                                       [JQ_KEYS] = "dict_keys([",
                                       [JQ_VALUES] = "dict_values([",
                                       [JQ_ITEMS] = "dict_items(["};
    static const char *const close[] = {[JQ_LIST] = "]",  [JQ_TUPLE] = ")",   [JQ_GEN] = ">",
                                        [JQ_KEYS] = "])", [JQ_VALUES] = "])", [JQ_ITEMS] = "])"};
    jsb_puts(r, b, open[v->sub]);
    if (v->sub != JQ_GEN && !put_items(r, b, &v->as.q)) return false;
    if (v->sub == JQ_TUPLE && v->as.q.n == 1) jsb_puts(r, b, ",");
    jsb_puts(r, b, close[v->sub]);
    return true;
}

static bool put_dict(jrun *r, jsb *b, const jdict *d) {
    jsb_puts(r, b, "{");
    for (size_t i = 0; i < d->n; i++) {
        if (i) jsb_puts(r, b, ", ");
        if (!jput_repr(r, b, d->e[i].key)) return false;
        jsb_puts(r, b, ": ");
        if (!jput_repr(r, b, d->e[i].val)) return false;
    }
    jsb_puts(r, b, "}");
    return true;
}

static void put_scalar(jrun *r, jsb *b, const jval *v) {
    char text[96];
    size_t n;
    switch (v->type) {
    case JV_NULL:
        jsb_puts(r, b, "None");
        return;
    case JV_BOOL:
        jsb_puts(r, b, v->as.b ? "True" : "False");
        return;
    case JV_INT:
        n = (size_t)snprintf(text, sizeof(text), "%" PRId64, v->as.i);
        break;
    case JV_FLOAT:
        n = jfloat_repr(v->as.f, text);
        break;
    case JV_RANGE: {
        const int64_t start = v->as.range.start, step = v->as.range.step;
        const int64_t stop = start + step * v->as.range.n;
        n = (size_t)(step == 1 ? snprintf(text, sizeof(text), "range(%" PRId64 ", %" PRId64 ")",
                                          start, stop)
                               : snprintf(text, sizeof(text),
                                          "range(%" PRId64 ", %" PRId64 ", %" PRId64 ")", start,
                                          stop, step));
        break;
    }
    case JV_UNDEF:
        jsb_puts(r, b, "Undefined");
        return;
    case JV_MACRO: {
        const pgd_sv name = v->as.macro->name;
        n = (size_t)snprintf(text, sizeof(text), "<Macro '%.*s'>", name.n > 80 ? 80 : (int)name.n,
                             name.p);
        break;
    }
    default:
        n = (size_t)snprintf(text, sizeof(text), "<%s object>", jtype_name(v));
        break;
    }
    jsb_put(r, b, (pgd_sv){text, n}, true);
}

bool jput_repr(jrun *r, jsb *b, const jval *v) {
    bool ok = true;
    if (!jstep(r)) return false;
    switch (v->type) {
    case JV_STR:
        if (v->markup) jsb_puts(r, b, "Markup(");
        put_str_repr(r, b, v);
        if (v->markup) jsb_puts(r, b, ")");
        break;
    case JV_SEQ:
    case JV_DICT:
        if (!jenter(r)) return false;
        ok = v->type == JV_SEQ ? put_seq(r, b, v) : put_dict(r, b, &v->as.d);
        jleave(r);
        break;
    case JV_NAMESPACE:
        if (!jenter(r)) return false;
        jsb_puts(r, b, "<Namespace ");
        ok = put_dict(r, b, &v->as.d);
        jsb_puts(r, b, ">");
        jleave(r);
        break;
    default:
        put_scalar(r, b, v);
        break;
    }
    return ok && !b->failed && r->status == PGD_OK;
}

bool jput_str(jrun *r, jsb *b, const jval *v) {
    if (v->type == JV_UNDEF) return true;
    if (v->type != JV_STR) return jput_repr(r, b, v);
    jsb_put_str(r, b, v);
    return !b->failed;
}

jval *jto_str(jrun *r, const jval *v) {
    if (v->type == JV_STR) return jstr_sub(r, v, 0, v->as.s.n);
    jsb b = {0};
    return jput_str(r, &b, v) ? jsb_done(r, &b) : NULL;
}

jval *jto_repr(jrun *r, const jval *v) {
    jsb b = {0};
    return jput_repr(r, &b, v) ? jsb_done(r, &b) : NULL;
}

/* ---- taint of a whole value --------------------------------------------------------------- */

bool jany_untrusted(jrun *r, const jval *v) {
    bool any = false;
    if (v->type == JV_STR) return !jstr_all_trusted(v);
    if (v->type != JV_SEQ && v->type != JV_DICT) return false;
    if (!jenter(r)) return true;
    if (v->type == JV_SEQ) {
        for (size_t i = 0; i < v->as.q.n && !any; i++)
            any = jany_untrusted(r, v->as.q.v[i]);
    } else {
        for (size_t i = 0; i < v->as.d.n && !any; i++)
            any = jany_untrusted(r, v->as.d.e[i].key) || jany_untrusted(r, v->as.d.e[i].val);
    }
    jleave(r);
    return any;
}
