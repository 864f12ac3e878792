/* Filters of the template engine: lookup, attribute paths, sorting, and the filters over numbers
 * and any value. Sequences are in jinja_filter_seq.c, picking in jinja_filter_pick.c, text in
 * jinja_filter_text.c.
 *
 * A filter gets its input apart from its arguments. Thread: one run, one thread. */
#include "jinja_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const jfilter_def *jfilter_find(pgd_sv name) {
    const jfilter_def *const tables[] = {jfilters_text, jfilters_seq, jfilters_pick, jfilters_num,
                                         jfilters_wrap};
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        for (const jfilter_def *d = tables[t]; d->name; d++)
            if (pgd_sv_eq(name, pgd_sv_c(d->name))) return d;
    return NULL;
}

/* ---- shared helpers ----------------------------------------------------------------------- */

jval *jattr_path(jrun *r, jval *item, const jval *path, jval *dflt) {
    if (path->type == JV_INT) return jgetitem(r, item, jint(r, path->as.i));
    if (path->type != JV_STR) return jfail(r, "an attribute must be a string or an integer");
    const pgd_sv p = jsv(path);
    for (size_t i = 0; item && i <= p.n;) {
        size_t end = pgd_sv_find(p, PGD_SV("."), i);
        if (end == SIZE_MAX) end = p.n;
        const pgd_sv part = {p.p + i, end - i};
        int64_t n;
        jval *const key =
            pgd_parse_i64(part, &n) && part.p[0] != '-' ? jint(r, n) : jstr_trusted(r, part);
        if (!key) return NULL;
        item = jgetitem(r, item, key);
        if (item && item->type == JV_UNDEF && dflt) return dflt;
        i = end + 1;
    }
    return item;
}

jval *jfold_case(jrun *r, jval *v) {
    return v->type == JV_STR ? jstr_case(r, v, JCASE_LOWER) : v;
}

/* Merge sort: stable, and safe with a comparison that fails half-way. */
bool jsort(jrun *r, jval **items, jval **keys, size_t n, bool reverse) {
    jval **tmp_i = jalloc_array(r, n, sizeof(jval *)), **tmp_k = jalloc_array(r, n, sizeof(jval *));
    if (!tmp_i || !tmp_k) return false;
    for (size_t width = 1; width < n; width *= 2) {
        if (!jsteps(r, n)) return false;
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            const size_t mid = lo + width < n ? lo + width : n;
            const size_t hi = lo + 2 * width < n ? lo + 2 * width : n;
            size_t a = lo, b = mid;
            for (size_t k = lo; k < hi; k++) {
                bool take_b = a == mid;
                if (a < mid && b < hi) {
                    const bool ok = reverse ? jless(r, keys[a], keys[b], &take_b)
                                            : jless(r, keys[b], keys[a], &take_b);
                    if (!ok) return false;
                }
                const size_t from = take_b ? b++ : a++;
                tmp_i[k] = items[from];
                tmp_k[k] = keys[from];
            }
        }
        memcpy(items, tmp_i, n * sizeof(*items));
        memcpy(keys, tmp_k, n * sizeof(*keys));
    }
    return true;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static jval *f_abs(jrun *r, jval *v, const jargs *args) {
    int64_t i;
    if (!jbind(r, "abs", "", args, NULL, 0)) return NULL;
    if (v->type == JV_FLOAT) return jfloat(r, fabs(v->as.f));
    if (jas_int(v, &i)) {
        jval *const n = jint(r, i);
        return n && i < 0 ? jneg(r, n) : n;
    }
    if (v->type == JV_UNDEF) return jundef_fail(r, v);
    return jfail(r, "bad operand type for abs(): '%s'", jtype_name(v));
}

/* s as Python's int() and float() read it: white space around and underscores between digits. */
static pgd_sv clean_number(const jval *v, char *buf, size_t cap) {
    pgd_sv s = jsv(v);
    size_t w, n = 0;
    while ((w = jspace_at(s.p, s.n)) != 0) {
        s.p += w;
        s.n -= w;
    }
    while ((w = jspace_before(s.p, s.n)) != 0)
        s.n -= w;
    for (size_t i = 0; i < s.n && n < cap; i++) {
        const bool between = i && i + 1 < s.n && s.p[i - 1] >= '0' && s.p[i - 1] <= '9' &&
                             s.p[i + 1] >= '0' && s.p[i + 1] <= '9';
        if (s.p[i] == '_' && between) continue;
        buf[n++] = s.p[i];
    }
    if (n && buf[0] == '+') return (pgd_sv){buf + 1, n - 1};
    return (pgd_sv){buf, n};
}

static bool str_to_double(const jval *v, double *out) {
    char buf[64];
    const pgd_sv s = clean_number(v, buf, sizeof(buf));
    const bool neg = s.n && s.p[0] == '-';
    const pgd_sv t = {s.p + (neg ? 1 : 0), s.n - (neg ? 1 : 0)};
    if (t.n == 3 && (memcmp(t.p, "inf", 3) == 0 || memcmp(t.p, "nan", 3) == 0)) {
        *out = t.p[0] == 'i' ? (double)INFINITY : (double)NAN;
        if (neg) *out = -*out;
        return true;
    }
    if (pgd_parse_f64(s, out)) return true;
    if (t.n > 1 && t.n < sizeof(buf) - 1 && t.p[t.n - 1] == '.') /* "5." */
        return pgd_parse_f64((pgd_sv){s.p, s.n - 1}, out);
    if (t.n > 1 && t.p[0] == '.' && t.p[1] >= '0' && t.p[1] <= '9') { /* ".5" */
        char zero[70] = "0";
        memcpy(zero + 1, t.p, t.n);
        if (!pgd_parse_f64((pgd_sv){zero, t.n + 1}, out)) return false;
        if (neg) *out = -*out;
        return true;
    }
    return false;
}

static jval *double_to_int(jrun *r, double f, jval *dflt) {
    if (!(f > -9.2e18 && f < 9.2e18)) return dflt;
    return jint(r, (int64_t)f);
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

/* Digits of s in a base from 2 to 36, with an optional 0x, 0o or 0b that names it. */
static bool parse_base(pgd_sv s, int64_t base, int64_t *out) {
    size_t i = s.n && s.p[0] == '-' ? 1 : 0;
    const bool neg = i != 0;
    if (i + 1 < s.n && s.p[i] == '0') {
        const char c = (char)(s.p[i + 1] | 0x20);
        const int64_t named = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
        if (named && (named == base || base == 0)) {
            base = named;
            i += 2;
        }
    }
    if (base == 0) base = 10;
    if (i >= s.n) return false;
    int64_t v = 0;
    for (; i < s.n; i++) {
        const int d = digit_of(s.p[i]);
        if (d >= base || __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
            return false;
    }
    *out = neg ? -v : v;
    return true;
}

static jval *f_int(jrun *r, jval *v, const jargs *args) {
    jval *arg[2];
    char buf[64];
    double f;
    int64_t i, base = 10;
    if (!jbind(r, "int", "default,base", args, arg, 2)) return NULL;
    jval *const dflt = arg[0] ? arg[0] : jint(r, 0);
    if (arg[1] && !jas_int(arg[1], &base)) return jfail(r, "int: base must be an integer");
    if (base != 0 && (base < 2 || base > 36)) return dflt;
    if (v->type == JV_UNDEF) return jundef_fail(r, v);
    if (jas_int(v, &i)) return jint(r, i);
    if (v->type == JV_FLOAT) return double_to_int(r, v->as.f, dflt);
    if (v->type != JV_STR) return dflt;
    if (parse_base(clean_number(v, buf, sizeof(buf)), base, &i)) return jint(r, i);
    return str_to_double(v, &f) ? double_to_int(r, f, dflt) : dflt;
}

static jval *f_float(jrun *r, jval *v, const jargs *args) {
    jval *arg[1];
    double f;
    if (!jbind(r, "float", "default", args, arg, 1)) return NULL;
    if (v->type == JV_UNDEF) return jundef_fail(r, v);
    if (jis_num(v)) return jfloat(r, jas_double(v));
    if (v->type == JV_STR && str_to_double(v, &f)) return jfloat(r, f);
    return arg[0] ? arg[0] : jfloat(r, 0.0);
}

/* Round half to even on the decimal value, as CPython does by printing and reading back. */
static double round_common(double f, int precision) {
    char text[400];
    double out = f;
    if (!isfinite(f)) return f;
    if (precision < 0) {
        const double scale = pow(10, -precision);
        return nearbyint(f / scale) * scale;
    }
    const int n = snprintf(text, sizeof(text), "%.*f", precision, f);
    if (n > 0 && (size_t)n < sizeof(text)) pgd_parse_f64((pgd_sv){text, (size_t)n}, &out);
    return out;
}

static jval *f_round(jrun *r, jval *v, const jargs *args) {
    jval *arg[2];
    int64_t precision = 0;
    if (!jbind(r, "round", "precision,method", args, arg, 2)) return NULL;
    if (arg[0] && !jas_int(arg[0], &precision))
        return jfail(r, "round: precision must be an integer");
    if (precision > 60 || precision < -60) return jfail(r, "round: precision is out of range");
    if (!jis_num(v))
        return v->type == JV_UNDEF
                   ? jundef_fail(r, v)
                   : jfail(r, "type %s doesn't define __round__ method", jtype_name(v));
    const pgd_sv method = arg[1] && arg[1]->type == JV_STR ? jsv(arg[1]) : PGD_SV("common");
    const double f = jas_double(v), scale = pow(10, (double)precision);
    if (pgd_sv_eq(method, PGD_SV("common"))) {
        if (v->type != JV_FLOAT && precision >= 0) return v;
        const double out = round_common(f, (int)precision);
        return v->type == JV_FLOAT ? jfloat(r, out) : jint(r, (int64_t)out);
    }
    if (pgd_sv_eq(method, PGD_SV("ceil"))) return jfloat(r, ceil(f * scale) / scale);
    if (pgd_sv_eq(method, PGD_SV("floor"))) return jfloat(r, floor(f * scale) / scale);
    return jfail(r, "method must be common, ceil or floor");
}

static jval *f_filesizeformat(jrun *r, jval *v, const jargs *args) {
    static const char units[] = "kMGTPEZY";
    jval *arg[1];
    char text[64];
    double f = 0;
    if (!jbind(r, "filesizeformat", "binary", args, arg, 1)) return NULL;
    const bool binary = arg[0] && jtruth(arg[0]);
    const double base = binary ? 1024 : 1000;
    if (jis_num(v))
        f = jas_double(v);
    else if (v->type != JV_STR || !str_to_double(v, &f))
        return jfail(r, "could not convert to float: '%s'", jtype_name(v));
    if (f == 1) return jstr_const(r, "1 Byte");
    int n;
    if (f < base) {
        n = snprintf(text, sizeof(text), "%.0f Bytes", trunc(f));
    } else {
        size_t i = 0;
        double unit = base * base;
        for (; i < 7 && f >= unit; i++)
            unit *= base;
        const char prefix = binary && i == 0 ? 'K' : units[i];
        n = snprintf(text, sizeof(text), "%.1f %c%sB", base * f / unit, prefix, binary ? "i" : "");
    }
    jsb b = {0};
    jsb_put(r, &b, (pgd_sv){text, (size_t)n}, true);
    return jsb_done(r, &b);
}

/* ---- any value ---------------------------------------------------------------------------- */

static jval *f_default(jrun *r, jval *v, const jargs *args) {
    jval *arg[2];
    if (!jbind(r, "default", "default_value,boolean", args, arg, 2)) return NULL;
    const bool use = v->type == JV_UNDEF || (arg[1] && jtruth(arg[1]) && !jtruth(v));
    if (!use) return v;
    return arg[0] ? arg[0] : r->v_empty;
}

static jval *f_tojson(jrun *r, jval *v, const jargs *args) {
    jargs all = *args;
    all.pos = jalloc_array(r, args->n + 1, sizeof(jval *));
    if (!all.pos) return NULL;
    all.pos[0] = v;
    if (args->n) memcpy(all.pos + 1, args->pos, args->n * sizeof(jval *));
    all.n = args->n + 1;
    return jtojson(r, &all);
}

static jval *f_attr(jrun *r, jval *v, const jargs *args) {
    jval *arg[1];
    if (!jbind(r, "attr", "name!", args, arg, 1)) return NULL;
    if (arg[0]->type != JV_STR) return jfail(r, "attribute name must be string");
    const char *const method = jmethod_find(v, jsv(arg[0]));
    if (method || v->type == JV_NAMESPACE || v->type == JV_LOOP) return jgetattr(r, v, jsv(arg[0]));
    return jundef_attr(r, v, arg[0]); /* members of a dict are no attributes */
}

static jval *f_length(jrun *r, jval *v, const jargs *args) {
    if (!jbind(r, "length", "", args, NULL, 0)) return NULL;
    const int64_t n = jlength(r, v);
    return n < 0 ? NULL : jint(r, n);
}

static jval *f_pprint(jrun *r, jval *v, const jargs *args) {
    return jbind(r, "pprint", "", args, NULL, 0) ? jto_repr(r, v) : NULL;
}

const jfilter_def jfilters_num[] = {
    {"length", f_length},
    {"count", f_length},
    {"tojson", f_tojson},
    {"default", f_default},
    {"d", f_default},
    {"int", f_int},
    {"float", f_float},
    {"round", f_round},
    {"abs", f_abs},
    {"attr", f_attr},
    {"filesizeformat", f_filesizeformat},
    {"pprint", f_pprint},
    {NULL, NULL},
};
