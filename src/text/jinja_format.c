/* "%" formatting and str.format of the template engine.
 *
 * Taint is exact: pieces of the format keep theirs, inserted strings keep theirs. Attribute access
 * in replacement fields goes through the same sandbox as expressions. Thread: one run, one thread.
 */
#include "jinja_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- "%" ---------------------------------------------------------------------------------- */

typedef struct percent {
    jrun *r;
    const jval *fmt;
    jval *args;
    size_t next; /* of positional arguments */
    jsb out;
} percent;

static jval *next_arg(percent *x) {
    const jval *const a = x->args;
    if (a->type == JV_SEQ && a->sub == JQ_TUPLE)
        return x->next < a->as.q.n ? a->as.q.v[x->next++]
                                   : jfail(x->r, "not enough arguments for format string");
    if (x->next++) return jfail(x->r, "not enough arguments for format string");
    return x->args;
}

/* "(name)" at *i: the member of the mapping. */
static jval *named_arg(percent *x, size_t *i) {
    const pgd_sv f = jsv(x->fmt);
    const size_t end = pgd_sv_find(f, PGD_SV(")"), *i);
    if (end == SIZE_MAX) return jfail(x->r, "incomplete format key");
    if (x->args->type != JV_DICT) return jfail(x->r, "format requires a mapping");
    const pgd_sv key = {f.p + *i + 1, end - *i - 1};
    jval *const v = jdict_get_sv(x->args, key);
    *i = end + 1;
    x->next = 1;
    return v ? v : jfail(x->r, "KeyError: '%.*s'", (int)key.n, key.p);
}

static bool read_size(percent *x, size_t *i, size_t *out, bool *left) {
    const pgd_sv f = jsv(x->fmt);
    if (*i < f.n && f.p[*i] == '*') {
        int64_t v;
        const jval *const arg = next_arg(x);
        if (!arg) return false;
        if (!jas_int(arg, &v)) return jfail(x->r, "* wants int") != NULL;
        if (v < 0 && left) *left = true;
        *out = (size_t)(v < 0 ? -v : v);
        (*i)++;
        return true;
    }
    for (*out = 0; *i < f.n && f.p[*i] >= '0' && f.p[*i] <= '9' && *out < 1000000; (*i)++)
        *out = *out * 10 + (size_t)(f.p[*i] - '0');
    return true;
}

static bool percent_number(percent *x, const jval *v, jfmt_spec *spec) {
    jrun *const r = x->r;
    if (!jis_num(v)) {
        if (v->type == JV_UNDEF) return jundef_fail(r, v) != NULL;
        if (strchr("xXo", spec->type))
            return jfail(r, "%%%c format: an integer is required, not %s", spec->type,
                         jtype_name(v)) != NULL;
        if (strchr("diu", spec->type))
            return jfail(r, "%%%c format: a real number is required, not %s", spec->type,
                         jtype_name(v)) != NULL;
        return jfail(r, "must be real number, not %s", jtype_name(v)) != NULL;
    }
    if (strchr("diuxXo", spec->type) && v->type == JV_FLOAT) {
        if (strchr("xXo", spec->type))
            return jfail(r, "%%%c format: an integer is required, not float", spec->type) != NULL;
        if (!(v->as.f > -9e18 && v->as.f < 9e18))
            return jfail(r, "cannot convert float to integer") != NULL;
        if (!(v = jint(r, (int64_t)v->as.f))) return false;
    }
    if (strchr("iu", spec->type)) spec->type = 'd';
    if (strchr("dxXo", spec->type) && spec->has_precision && spec->precision) {
        /* precision of an integer is its least number of digits */
        if (spec->precision > spec->width) {
            spec->width = spec->precision;
            spec->align = '=';
            spec->fill = PGD_SV("0");
        }
        spec->has_precision = false;
    }
    return jfmt_number(r, &x->out, v, spec);
}

static bool percent_char(percent *x, const jval *v, const jfmt_spec *spec) {
    char utf8[4];
    int64_t i;
    if (v->type == JV_STR && v->as.s.chars == 1) return jfmt_text(x->r, &x->out, v, spec);
    if (!jas_int(v, &i) || i < 0 || i > 0x10ffff)
        return jfail(x->r, "%%c requires int or char") != NULL;
    const size_t n = pgd_utf8_encode((uint32_t)i, utf8);
    jsb one = {0};
    jsb_put(x->r, &one, (pgd_sv){utf8, n}, true);
    const jval *const s = jsb_done(x->r, &one);
    return s && jfmt_text(x->r, &x->out, s, spec);
}

/* The conversion whose '%' stands just before *i. */
static bool conversion(percent *x, size_t *i) {
    const pgd_sv f = jsv(x->fmt);
    jfmt_spec spec = {0};
    bool left = false, zero = false;
    jval *v = NULL;
    if (*i < f.n && f.p[*i] == '(' && !(v = named_arg(x, i))) return false;
    for (; *i < f.n && strchr("-+ #0", f.p[*i]) && f.p[*i]; (*i)++) {
        left |= f.p[*i] == '-';
        zero |= f.p[*i] == '0';
        spec.alt |= f.p[*i] == '#';
        if (f.p[*i] == '+' || (f.p[*i] == ' ' && !spec.sign)) spec.sign = f.p[*i];
    }
    if (!read_size(x, i, &spec.width, &left)) return false;
    if (*i < f.n && f.p[*i] == '.') {
        (*i)++;
        spec.has_precision = true;
        if (!read_size(x, i, &spec.precision, NULL)) return false;
    }
    while (*i < f.n && (f.p[*i] == 'h' || f.p[*i] == 'l' || f.p[*i] == 'L'))
        (*i)++;
    if (*i >= f.n) return jfail(x->r, "incomplete format") != NULL;
    spec.type = f.p[(*i)++];
    if (spec.type == '%') {
        jsb_put_sub(x->r, &x->out, x->fmt, *i - 1, *i);
        return true;
    }
    if (!strchr("sradiuxXoeEfFgGc", spec.type))
        return jfail(x->r, "unsupported format character '%c'", spec.type) != NULL;
    if (!v && !(v = next_arg(x))) return false;
    spec.align = left ? '<' : '>';
    if (strchr("sra", spec.type)) {
        const jval *const s = spec.type == 's' ? jto_str(x->r, v) : jto_repr(x->r, v);
        return s && jfmt_text(x->r, &x->out, s, &spec);
    }
    if (spec.type == 'c') return percent_char(x, v, &spec);
    if (zero && !left) {
        spec.align = '=';
        spec.fill = PGD_SV("0");
    }
    return percent_number(x, v, &spec);
}

jval *jpercent(jrun *r, const jval *fmt, jval *args) {
    percent x = {.r = r, .fmt = fmt, .args = args};
    const pgd_sv f = jsv(fmt);
    size_t done = 0, at;
    while ((at = pgd_sv_find(f, PGD_SV("%"), done)) != SIZE_MAX) {
        jsb_put_sub(r, &x.out, fmt, done, at);
        done = at + 1;
        if (!jstep(r) || !conversion(&x, &done)) return NULL;
    }
    jsb_put_sub(r, &x.out, fmt, done, f.n);
    const bool tuple = args->type == JV_SEQ && args->sub == JQ_TUPLE;
    const bool left_over = tuple ? x.next < args->as.q.n
                                 : !x.next && args->type != JV_DICT && args->type != JV_SEQ &&
                                       args->type != JV_UNDEF; /* these count as mappings */
    if (left_over) return jfail(r, "not all arguments converted during string formatting");
    return jsb_done(r, &x.out);
}

/* ---- str.format --------------------------------------------------------------------------- */

typedef struct formatter {
    jrun *r;
    const jargs *args;
    jval *mapping; /* of format_map, or NULL */
    int64_t next;  /* automatic field number; -1: numbers were given */
} formatter;

static jval *field_by_number(formatter *x, int64_t i) {
    if (x->mapping) return jfail(x->r, "Format string contains positional fields");
    if (i < 0 || (uint64_t)i >= x->args->n)
        return jfail(x->r, "Replacement index %" PRId64 " out of range for positional args tuple",
                     i);
    return x->args->pos[i];
}

static jval *field_first(formatter *x, pgd_sv name) {
    int64_t i;
    if (!name.n) {
        if (x->next < 0)
            return jfail(x->r, "cannot switch from manual field specification to automatic field "
                               "numbering");
        return field_by_number(x, x->next++);
    }
    if (pgd_parse_i64(name, &i)) {
        if (x->next > 0)
            return jfail(x->r, "cannot switch from automatic field numbering to manual field "
                               "specification");
        x->next = -1;
        return field_by_number(x, i);
    }
    if (x->mapping && x->mapping->type == JV_DICT) {
        jval *const v = jdict_get_sv(x->mapping, name);
        if (v) return v;
    }
    for (size_t k = 0; k < x->args->n_kw; k++)
        if (pgd_sv_eq(x->args->kw_name[k], name)) return x->args->kw[k];
    return jfail(x->r, "KeyError: '%.*s'", (int)name.n, name.p);
}

static size_t span_until(pgd_sv s, size_t i, const char *stops) {
    while (i < s.n && (!s.p[i] || !strchr(stops, s.p[i])))
        i++;
    return i;
}

/* name(.attr | [key])* */
static jval *field_value(formatter *x, pgd_sv name) {
    size_t i = span_until(name, 0, ".[");
    jval *v = field_first(x, (pgd_sv){name.p, i});
    while (v && i < name.n) {
        const bool attr = name.p[i] == '.';
        const size_t end = span_until(name, i + 1, attr ? ".[" : "]");
        const pgd_sv part = {name.p + i + 1, end - i - 1};
        int64_t n;
        if (!part.n || (!attr && end >= name.n)) return jfail(x->r, "bad replacement field");
        if (attr) {
            v = jgetattr(x->r, v, part);
        } else {
            jval *const key = pgd_parse_i64(part, &n) ? jint(x->r, n) : jstr_trusted(x->r, part);
            v = key ? jgetitem(x->r, v, key) : NULL;
        }
        i = attr ? end : end + 1;
    }
    return v;
}

static size_t parse_size(pgd_sv s, size_t *i) {
    size_t v = 0;
    for (; *i < s.n && s.p[*i] >= '0' && s.p[*i] <= '9' && v < 1000000; (*i)++)
        v = v * 10 + (size_t)(s.p[*i] - '0');
    return v;
}

/* [[fill]align][sign][#][0][width][grouping][.precision][type] */
static bool parse_spec(jrun *r, pgd_sv s, jfmt_spec *out) {
    size_t i = 0;
    uint32_t c;
    *out = (jfmt_spec){.explicit_ = s.n != 0};
    const size_t w = s.n ? pgd_utf8_decode(s.p, s.n, &c) : 0;
    if (w && w < s.n && strchr("<>=^", s.p[w])) {
        out->fill = (pgd_sv){s.p, w};
        out->align = s.p[w];
        i = w + 1;
    } else if (s.n && s.p[0] && strchr("<>=^", s.p[0])) {
        out->align = s.p[i++];
    }
    if (i < s.n && (s.p[i] == '+' || s.p[i] == '-' || s.p[i] == ' ')) out->sign = s.p[i++];
    if (i < s.n && s.p[i] == '#') {
        out->alt = true;
        i++;
    }
    if (i < s.n && s.p[i] == '0') {
        if (!out->align) out->align = '=';
        if (!out->fill.n) out->fill = PGD_SV("0");
        i++;
    }
    out->width = parse_size(s, &i);
    if (i < s.n && (s.p[i] == ',' || s.p[i] == '_')) out->group = s.p[i++];
    if (i < s.n && s.p[i] == '.') {
        i++;
        const size_t digits = i;
        out->has_precision = true;
        out->precision = parse_size(s, &i);
        if (i == digits) return jfail(r, "Format specifier missing precision") != NULL;
    }
    if (i < s.n) out->type = s.p[i++];
    return i == s.n || jfail(r, "Invalid format specifier '%.*s'", (int)s.n, s.p) != NULL;
}

static bool put_formatted(jrun *r, jsb *b, const jval *v, pgd_sv spec_text) {
    jfmt_spec spec;
    if (!parse_spec(r, spec_text, &spec)) return false;
    if (!spec.explicit_) return jput_str(r, b, v);
    if (jis_num(v)) return jfmt_number(r, b, v, &spec);
    if (v->type != JV_STR)
        return jfail(r, "unsupported format string passed to %s.__format__", jtype_name(v)) != NULL;
    if ((spec.type && spec.type != 's') || spec.align == '=' || spec.sign || spec.group)
        return jfail(r, "Invalid format specifier '%.*s' for object of type 'str'",
                     (int)spec_text.n, spec_text.p) != NULL;
    return jfmt_text(r, b, v, &spec);
}

static jval *format_text(formatter *x, const jval *fmt, int level);

/* The replacement field fmt[begin, end), braces excluded. */
static bool put_field(formatter *x, jsb *b, const jval *fmt, size_t begin, size_t end, int level) {
    const pgd_sv f = {fmt->as.s.p + begin, end - begin};
    const size_t name_end = span_until(f, 0, "!:");
    size_t i = name_end;
    char conv = 0;
    if (i < f.n && f.p[i] == '!') {
        if (i + 1 >= f.n) return jfail(x->r, "end of string while looking for conversion") != NULL;
        conv = f.p[i + 1];
        i += 2;
        if (i < f.n && f.p[i] != ':') return jfail(x->r, "expected ':' after conversion") != NULL;
    }
    const jval *v = field_value(x, (pgd_sv){f.p, name_end});
    if (!v) return false;
    if (conv && conv != 's' && conv != 'r' && conv != 'a')
        return jfail(x->r, "Unknown conversion specifier '%c'", conv) != NULL;
    if (conv && !(v = conv == 's' ? jto_str(x->r, v) : jto_repr(x->r, v))) return false;
    if (i >= f.n) return jput_str(x->r, b, v);
    const jval *const spec = jstr_sub(x->r, fmt, begin + i + 1, end);
    const jval *const text = spec ? format_text(x, spec, level + 1) : NULL;
    return text && put_formatted(x->r, b, v, jsv(text));
}

static jval *format_text(formatter *x, const jval *fmt, int level) {
    const pgd_sv f = jsv(fmt);
    jsb b = {0};
    size_t done = 0;
    if (level > 2) return jfail(x->r, "Max string recursion exceeded");
    for (size_t i = 0; i < f.n;) {
        const char c = f.p[i];
        if (c != '{' && c != '}') {
            i++;
            continue;
        }
        jsb_put_sub(x->r, &b, fmt, done, i);
        if (i + 1 < f.n && f.p[i + 1] == c) { /* doubled: one brace */
            jsb_put_sub(x->r, &b, fmt, i, i + 1);
            done = i += 2;
            continue;
        }
        if (c == '}') return jfail(x->r, "Single '}' encountered in format string");
        size_t end = i + 1, open = 1;
        for (; end < f.n; end++) {
            open += f.p[end] == '{';
            if (f.p[end] == '}' && --open == 0) break;
        }
        if (end >= f.n) return jfail(x->r, "expected '}' before end of string");
        if (!jstep(x->r) || !put_field(x, &b, fmt, i + 1, end, level)) return NULL;
        done = i = end + 1;
    }
    jsb_put_sub(x->r, &b, fmt, done, f.n);
    return jsb_done(x->r, &b);
}

jval *jstr_format(jrun *r, const jval *fmt, const jargs *args, jval *mapping) {
    formatter x = {.r = r, .args = args, .mapping = mapping};
    return format_text(&x, fmt, 0);
}
