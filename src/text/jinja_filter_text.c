/* Filters of the template engine over text. Each takes any value and works on its str(). Cutting
 * filters keep exact taint; those that rewrite characters mark the whole result untrusted when any
 * of the input is. Thread: one run, one thread. Wrapping and markup are in jinja_filter_wrap.c. */
#include "jinja_int.h"

#include <stdio.h>
#include <string.h>

static jval *case_filter(jrun *r, jval *v, const jargs *args, const char *name, jcase how) {
    const jval *const s = jbind(r, name, "", args, NULL, 0) ? jto_str(r, v) : NULL;
    jval *const out = s ? jstr_case(r, s, how) : NULL;
    if (out) out->markup = s->markup;
    return out;
}

static jval *f_upper(jrun *r, jval *v, const jargs *args) {
    return case_filter(r, v, args, "upper", JCASE_UPPER);
}

static jval *f_lower(jrun *r, jval *v, const jargs *args) {
    return case_filter(r, v, args, "lower", JCASE_LOWER);
}

static jval *f_title(jrun *r, jval *v, const jargs *args) {
    return case_filter(r, v, args, "title", JCASE_WORDS);
}

static jval *f_capitalize(jrun *r, jval *v, const jargs *args) {
    return case_filter(r, v, args, "capitalize", JCASE_CAPITALIZE);
}

static jval *f_trim(jrun *r, jval *v, const jargs *args) {
    jval *arg[1];
    if (!jbind(r, "trim", "chars", args, arg, 1)) return NULL;
    const jval *const s = jto_str(r, v);
    return s ? jstr_strip(r, s, arg[0], true, true) : NULL;
}

static jval *f_string(jrun *r, jval *v, const jargs *args) {
    return jbind(r, "string", "", args, NULL, 0) ? jto_str(r, v) : NULL;
}

static jval *f_safe(jrun *r, jval *v, const jargs *args) {
    jval *const s = jbind(r, "safe", "", args, NULL, 0) ? jto_str(r, v) : NULL;
    if (s) s->markup = true;
    return s;
}

static jval *f_escape(jrun *r, jval *v, const jargs *args) {
    const jval *const s = jbind(r, "escape", "", args, NULL, 0) ? jto_str(r, v) : NULL;
    return s ? jescape_html(r, s) : NULL;
}

static jval *f_forceescape(jrun *r, jval *v, const jargs *args) {
    jval *const s = jbind(r, "forceescape", "", args, NULL, 0) ? jto_str(r, v) : NULL;
    if (!s) return NULL;
    s->markup = false;
    return jescape_html(r, s);
}

static jval *f_replace(jrun *r, jval *v, const jargs *args) {
    jval *arg[3];
    int64_t count = -1;
    if (!jbind(r, "replace", "old!,new!,count", args, arg, 3)) return NULL;
    const jval *const s = jto_str(r, v), *const from = jto_str(r, arg[0]);
    const jval *const to = jto_str(r, arg[1]);
    if (!s || !from || !to) return NULL;
    if (arg[2] && arg[2]->type != JV_NULL && !jas_int(arg[2], &count))
        return jfail(r, "replace: count must be an integer");
    jval *const out = jstr_replace(r, s, from, to, count);
    if (out) out->markup = false;
    return out;
}

static jval *f_center(jrun *r, jval *v, const jargs *args) {
    jval *arg[1];
    int64_t width = 80;
    if (!jbind(r, "center", "width", args, arg, 1)) return NULL;
    if (arg[0] && !jas_int(arg[0], &width)) return jfail(r, "center: width must be an integer");
    const jval *const s = jto_str(r, v);
    return s ? jstr_center(r, s, width, '^', PGD_SV(" ")) : NULL;
}

static jval *f_format(jrun *r, jval *v, const jargs *args) {
    const jval *const s = jto_str(r, v);
    if (!s) return NULL;
    if (args->n && args->n_kw)
        return jfail(r, "can't handle positional and keyword arguments at the same time");
    jval *values = args->n_kw ? jdict_new(r) : jseq_new(r, JQ_TUPLE, args->n);
    for (size_t i = 0; values && i < args->n; i++)
        if (!jseq_push(r, values, args->pos[i])) return NULL;
    for (size_t i = 0; values && i < args->n_kw; i++)
        if (!jdict_set(r, values, jstr_trusted(r, args->kw_name[i]), args->kw[i])) return NULL;
    return values ? jpercent(r, s, values) : NULL;
}

static bool indent_line(jrun *r, jsb *b, const jval *line, const jval *by, bool blank) {
    if (line->as.s.n || blank) jsb_put_str(r, b, by);
    jsb_put_str(r, b, line);
    return !b->failed;
}

static jval *f_indent(jrun *r, jval *v, const jargs *args) {
    jval *arg[3];
    int64_t width = 4;
    if (!jbind(r, "indent", "width,first,blank", args, arg, 3)) return NULL;
    if (v->type == JV_UNDEF) return jundef_fail(r, v);
    if (v->type != JV_STR)
        return jfail(r, "unsupported operand type(s) for +=: '%s' and 'str'", jtype_name(v));
    const jval *by = arg[0] && arg[0]->type == JV_STR ? arg[0] : NULL;
    if (!by) {
        if (arg[0] && !jas_int(arg[0], &width)) return jfail(r, "indent: width must be an integer");
        jsb pad = {0};
        if (width > 65536) return jfail(r, "indent: width is too large");
        jsb_fill(r, &pad, PGD_SV(" "), width < 0 ? 0 : (size_t)width, true);
        if (!(by = jsb_done(r, &pad))) return NULL;
    }
    /* The newline that is appended makes a last empty line count, and goes again with the join. */
    jval *const newline = jstr_const(r, "\n");
    const jval *const text = newline ? jstr_concat(r, v, newline) : NULL;
    const jval *const lines = text ? jstr_splitlines(r, text, false) : NULL;
    if (!lines) return NULL;
    const bool first = arg[1] && jtruth(arg[1]), blank = arg[2] && jtruth(arg[2]);
    jsb b = {0};
    for (size_t i = 0; i < lines->as.q.n; i++) {
        const jval *const line = lines->as.q.v[i];
        if (i) jsb_puts(r, &b, "\n");
        if (i ? !indent_line(r, &b, line, by, blank)
              : (first ? !indent_line(r, &b, line, by, true)
                       : (jsb_put_str(r, &b, line), b.failed)))
            return NULL;
    }
    return jsb_done(r, &b);
}

static jval *f_truncate(jrun *r, jval *v, const jargs *args) {
    jval *arg[4];
    int64_t length = 255, leeway = 5;
    if (!jbind(r, "truncate", "length,killwords,end,leeway", args, arg, 4)) return NULL;
    if ((arg[0] && !jas_int(arg[0], &length)) ||
        (arg[3] && arg[3]->type != JV_NULL && !jas_int(arg[3], &leeway)))
        return jfail(r, "truncate: length and leeway must be integers");
    jval *const end = arg[2] ? jto_str(r, arg[2]) : jstr_const(r, "...");
    if (!end) return NULL;
    const int64_t n = jlength(r, v), n_end = (int64_t)end->as.s.chars;
    if (n < 0) return NULL;
    if (length < n_end) return jfail(r, "expected length >= %d, got %d", (int)n_end, (int)length);
    if (leeway < 0) return jfail(r, "expected leeway >= 0, got %d", (int)leeway);
    if (n <= length || n - length <= leeway || v->type != JV_STR) return v;
    size_t cut = jstr_offset(v, (size_t)(length - n_end));
    if (!(arg[1] && jtruth(arg[1]))) { /* back to the last blank, if there is one */
        size_t blank = cut;
        while (blank && v->as.s.p[blank - 1] != ' ')
            blank--;
        if (blank) cut = blank - 1;
    }
    const jval *const kept = jstr_sub(r, v, 0, cut);
    return kept ? jstr_concat(r, kept, end) : NULL;
}

/* ---- URLs --------------------------------------------------------------------------------- */

static void put_quoted(jrun *r, jsb *b, const jval *s, bool query) {
    const bool trusted = jstr_all_trusted(s);
    for (size_t i = 0; i < s->as.s.n; i++) {
        const unsigned char c = (unsigned char)s->as.s.p[i];
        char hex[4] = {(char)c, 0, 0, 0};
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '~' ||
                           (c == '/' && !query);
        if (query && c == ' ')
            hex[0] = '+';
        else if (!plain)
            (void)snprintf(hex, sizeof(hex), "%%%02X", c);
        jsb_put(r, b, pgd_sv_c(hex), trusted);
    }
}

static jval *f_urlencode(jrun *r, jval *v, const jargs *args) {
    jsb b = {0};
    jiter it;
    jval *item;
    if (!jbind(r, "urlencode", "", args, NULL, 0)) return NULL;
    if (v->type == JV_STR || !jiterable(v)) {
        const jval *const s = jto_str(r, v);
        if (!s) return NULL;
        put_quoted(r, &b, s, false);
        return jsb_done(r, &b);
    }
    const jargs none = {0};
    jval *const pairs = v->type == JV_DICT ? jmethod_call(r, v, "items", &none) : v;
    if (!pairs || !jiter_init(r, &it, pairs)) return NULL;
    for (bool first = true; (item = jiter_next(&it)) != NULL; first = false) {
        jval *const pair = jlist_of(r, item, JQ_LIST);
        if (!pair) return NULL;
        if (pair->as.q.n != 2) return jfail(r, "urlencode: an element is not a pair");
        const jval *const key = jto_str(r, pair->as.q.v[0]), *const val =
                                                                 jto_str(r, pair->as.q.v[1]);
        if (!key || !val) return NULL;
        if (!first) jsb_puts(r, &b, "&");
        put_quoted(r, &b, key, true);
        jsb_puts(r, &b, "=");
        put_quoted(r, &b, val, true);
    }
    return r->status == PGD_OK ? jsb_done(r, &b) : NULL;
}

const jfilter_def jfilters_text[] = {
    {"trim", f_trim},
    {"string", f_string},
    {"upper", f_upper},
    {"lower", f_lower},
    {"safe", f_safe},
    {"replace", f_replace},
    {"title", f_title},
    {"capitalize", f_capitalize},
    {"indent", f_indent},
    {"escape", f_escape},
    {"e", f_escape},
    {"forceescape", f_forceescape},
    {"center", f_center},
    {"format", f_format},
    {"truncate", f_truncate},
    {"urlencode", f_urlencode},
    {NULL, NULL},
};
