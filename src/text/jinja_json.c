/* The tojson filter, as `transformers` defines it for chat templates: json.dumps of CPython with
 * ensure_ascii=False by default and the arguments ensure_ascii, indent, separators, sort_keys; no
 * HTML escapes.
 *
 * Taint: the whole result is untrusted when any string in the value is, since escapes move bytes.
 * Recursion is counted (jenter). Thread: one run, one thread. */
#include "jinja_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct dumper {
    jrun *r;
    jsb b;
    pgd_sv item_sep, key_sep;
    pgd_sv indent; /* one level; p NULL: all on one line */
    bool ascii, sort_keys;
} dumper;

static void put(dumper *d, pgd_sv s) {
    jsb_put(d->r, &d->b, s, true);
}

static bool needs_escape(unsigned char c, bool ascii) {
    return c < 0x20 || c == '"' || c == '\\' || (ascii && c >= 0x7f);
}

static void put_escape(dumper *d, uint32_t c) {
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    char esc[16];
    const char *const simple = c < 0x80 && c ? strchr(from, (int)c) : NULL;
    int n;
    if (simple)
        n = snprintf(esc, sizeof(esc), "\\%c", to[simple - from]);
    else if (c < 0x10000)
        n = snprintf(esc, sizeof(esc), "\\u%04x", c);
    else
        n = snprintf(esc, sizeof(esc), "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                     0xdc00 + ((c - 0x10000) & 0x3ff));
    put(d, (pgd_sv){esc, (size_t)n});
}

static void put_string(dumper *d, pgd_sv s) {
    put(d, PGD_SV("\""));
    size_t plain = 0;
    for (size_t i = 0; i < s.n;) {
        if (!needs_escape((unsigned char)s.p[i], d->ascii)) {
            i++;
            continue;
        }
        uint32_t c;
        size_t w = pgd_utf8_decode(s.p + i, s.n - i, &c);
        if (!w) w = 1;
        put(d, (pgd_sv){s.p + plain, i - plain});
        if (c == 0x7f)
            put(d, (pgd_sv){s.p + i, w});
        else
            put_escape(d, c);
        i += w;
        plain = i;
    }
    put(d, (pgd_sv){s.p + plain, s.n - plain});
    put(d, PGD_SV("\""));
}

static void newline(dumper *d, uint32_t level) {
    if (!d->indent.p) return;
    put(d, PGD_SV("\n"));
    jsb_fill(d->r, &d->b, d->indent, level, true);
}

static bool put_number(dumper *d, const jval *v) {
    char text[48];
    size_t n;
    if (v->type == JV_INT) {
        n = (size_t)snprintf(text, sizeof(text), "%" PRId64, v->as.i);
    } else if (isnan(v->as.f)) {
        n = (size_t)snprintf(text, sizeof(text), "NaN");
    } else if (isinf(v->as.f)) {
        n = (size_t)snprintf(text, sizeof(text), v->as.f < 0 ? "-Infinity" : "Infinity");
    } else {
        n = jfloat_repr(v->as.f, text);
    }
    put(d, (pgd_sv){text, n});
    return true;
}

static bool put_value(dumper *d, const jval *v, uint32_t level);

static bool put_list(dumper *d, const jseq *q, uint32_t level) {
    if (!q->n) {
        put(d, PGD_SV("[]"));
        return true;
    }
    put(d, PGD_SV("["));
    for (size_t i = 0; i < q->n; i++) {
        if (i) put(d, d->item_sep);
        newline(d, level + 1);
        if (!put_value(d, q->v[i], level + 1)) return false;
    }
    newline(d, level);
    put(d, PGD_SV("]"));
    return true;
}

static bool put_key(dumper *d, const jval *k) {
    switch (k->type) {
    case JV_STR:
        put_string(d, jsv(k));
        return true;
    case JV_NULL:
        put(d, PGD_SV("\"null\""));
        return true;
    case JV_BOOL:
        put(d, k->as.b ? PGD_SV("\"true\"") : PGD_SV("\"false\""));
        return true;
    case JV_INT:
    case JV_FLOAT:
        put(d, PGD_SV("\""));
        put_number(d, k);
        put(d, PGD_SV("\""));
        return true;
    default:
        return jfail(d->r, "keys must be str, int, float, bool or None, not %s", jtype_name(k)) !=
               NULL;
    }
}

/* Entries in key order as *out: keys into items and sorted values beside them. */
static bool sorted_entries(dumper *d, const jdict *dict, jval ***keys, jval ***vals) {
    *keys = jalloc_array(d->r, dict->n, sizeof(jval *));
    *vals = jalloc_array(d->r, dict->n, sizeof(jval *));
    jval **sort_keys = jalloc_array(d->r, dict->n, sizeof(jval *));
    if (!*keys || !*vals || !sort_keys) return false;
    for (size_t i = 0; i < dict->n; i++) {
        jval *const pair = jpair(d->r, dict->e[i].key, dict->e[i].val);
        if (!pair) return false;
        (*vals)[i] = pair;
        sort_keys[i] = dict->e[i].key;
    }
    if (!jsort(d->r, *vals, sort_keys, dict->n, false)) return false;
    for (size_t i = 0; i < dict->n; i++) {
        jval *const pair = (*vals)[i];
        (*keys)[i] = pair->as.q.v[0];
        (*vals)[i] = pair->as.q.v[1];
    }
    return true;
}

static bool put_dict(dumper *d, const jdict *dict, uint32_t level) {
    jval **keys = NULL, **vals = NULL;
    if (!dict->n) {
        put(d, PGD_SV("{}"));
        return true;
    }
    if (d->sort_keys && !sorted_entries(d, dict, &keys, &vals)) return false;
    put(d, PGD_SV("{"));
    for (size_t i = 0; i < dict->n; i++) {
        if (i) put(d, d->item_sep);
        newline(d, level + 1);
        if (!put_key(d, keys ? keys[i] : dict->e[i].key)) return false;
        put(d, d->key_sep);
        if (!put_value(d, vals ? vals[i] : dict->e[i].val, level + 1)) return false;
    }
    newline(d, level);
    put(d, PGD_SV("}"));
    return true;
}

static bool put_value(dumper *d, const jval *v, uint32_t level) {
    bool ok = true;
    if (!jstep(d->r)) return false;
    switch (v->type) {
    case JV_NULL:
        put(d, PGD_SV("null"));
        break;
    case JV_BOOL:
        put(d, v->as.b ? PGD_SV("true") : PGD_SV("false"));
        break;
    case JV_INT:
    case JV_FLOAT:
        put_number(d, v);
        break;
    case JV_STR:
        put_string(d, jsv(v));
        break;
    case JV_SEQ:
        if (v->sub != JQ_LIST && v->sub != JQ_TUPLE)
            return jfail(d->r, "Object of type %s is not JSON serializable", jtype_name(v)) != NULL;
        if (!jenter(d->r)) return false;
        ok = put_list(d, &v->as.q, level);
        jleave(d->r);
        break;
    case JV_DICT:
        if (!jenter(d->r)) return false;
        ok = put_dict(d, &v->as.d, level);
        jleave(d->r);
        break;
    default:
        return jfail(d->r, "Object of type %s is not JSON serializable", jtype_name(v)) != NULL;
    }
    return ok && !d->b.failed;
}

static bool set_indent(dumper *d, const jval *indent) {
    int64_t n;
    if (!indent || indent->type == JV_NULL) return true;
    d->item_sep = PGD_SV(",");
    if (indent->type == JV_STR) {
        d->indent = jsv(indent);
        return true;
    }
    if (!jas_int(indent, &n))
        return jfail(d->r, "tojson: indent must be a number or string") != NULL;
    if (n > 64) return jfail(d->r, "tojson: indent %" PRId64 " is too large", n) != NULL;
    if (n < 0) n = 0;
    char *blanks = jalloc(d->r, (size_t)n + 1);
    if (!blanks) return false;
    memset(blanks, ' ', (size_t)n + 1);
    d->indent = (pgd_sv){blanks, (size_t)n};
    return true;
}

static bool set_separators(dumper *d, const jval *sep) {
    if (!sep || sep->type == JV_NULL) return true;
    if (sep->type != JV_SEQ || sep->as.q.n != 2 || sep->as.q.v[0]->type != JV_STR ||
        sep->as.q.v[1]->type != JV_STR)
        return jfail(d->r, "tojson: separators must be a pair of strings") != NULL;
    d->item_sep = jsv(sep->as.q.v[0]);
    d->key_sep = jsv(sep->as.q.v[1]);
    return true;
}

/* args: the value, then ensure_ascii, indent, separators, sort_keys. */
jval *jtojson(jrun *r, const jargs *args) {
    jval *v[5];
    if (!jbind(r, "tojson", "x!,ensure_ascii,indent,separators,sort_keys", args, v, 5)) return NULL;
    dumper d = {.r = r, .item_sep = PGD_SV(", "), .key_sep = PGD_SV(": ")};
    d.ascii = v[1] && jtruth(v[1]);
    d.sort_keys = v[4] && jtruth(v[4]);
    if (!set_indent(&d, v[2]) || !set_separators(&d, v[3]) || !put_value(&d, v[0], 0)) return NULL;
    return jsb_done_as(r, &d.b, !jany_untrusted(r, v[0]));
}
