/* Methods of strings in the template engine: dispatch, searching, replacing, padding. Offsets that
 * templates see are in code points, as in Python; inside they are bytes. Cutting and copying keep
 * exact taint.
 *
 * Thread: one run, one thread. Splitting is in jinja_split.c, case and is...() in jinja_case.c. */
#include "jinja_int.h"

#include <string.h>

static bool need_str(jrun *r, const char *method, const jval *v) {
    if (v->type == JV_STR) return true;
    if (v->type == JV_UNDEF) return jundef_fail(r, v) != NULL;
    return jfail(r, "%s() argument must be str, not %s", method, jtype_name(v)) != NULL;
}

/* ---- strip -------------------------------------------------------------------------------- */

/* Length of the character at the front or the end of p[0..n) if it is in chars (white space when
 * chars is NULL), else 0. */
static size_t strippable(const char *p, size_t n, const jval *chars, bool front) {
    if (!n) return 0;
    if (!chars) return front ? jspace_at(p, n) : jspace_before(p, n);
    size_t begin = 0, end = n;
    if (front) {
        end = 1;
        while (end < n && ((unsigned char)p[end] & 0xc0) == 0x80)
            end++;
    } else {
        begin = n - 1;
        while (begin && ((unsigned char)p[begin] & 0xc0) == 0x80)
            begin--;
    }
    const pgd_sv ch = {p + begin, end - begin};
    return pgd_sv_find(jsv(chars), ch, 0) != SIZE_MAX ? ch.n : 0;
}

jval *jstr_strip(jrun *r, const jval *s, const jval *chars, bool left, bool right) {
    size_t begin = 0, end = s->as.s.n, w;
    const char *const p = s->as.s.p;
    if (chars && (chars->type == JV_NULL)) chars = NULL;
    if (chars && !need_str(r, "strip", chars)) return NULL;
    if (!jsteps(r, end / 64)) return NULL;
    while (left && (w = strippable(p + begin, end - begin, chars, true)) != 0)
        begin += w;
    while (right && (w = strippable(p + begin, end - begin, chars, false)) != 0)
        end -= w;
    return jstr_sub(r, s, begin, end);
}

static jval *strip_method(jrun *r, jval *self, const jargs *args, bool left, bool right) {
    jval *chars[1];
    if (!jbind(r, "strip", "chars", args, chars, 1)) return NULL;
    return jstr_strip(r, self, chars[0], left, right);
}

static jval *m_strip(jrun *r, jval *self, const jargs *args) {
    return strip_method(r, self, args, true, true);
}

static jval *m_lstrip(jrun *r, jval *self, const jargs *args) {
    return strip_method(r, self, args, true, false);
}

static jval *m_rstrip(jrun *r, jval *self, const jargs *args) {
    return strip_method(r, self, args, false, true);
}

/* ---- searching ---------------------------------------------------------------------------- */

/* The part of self that the optional start and end (code points) leave, as byte offsets. */
static bool window(jrun *r, const jval *self, const jval *start, const jval *end, size_t *from,
                   size_t *to) {
    const int64_t n = (int64_t)self->as.s.chars;
    int64_t a = 0, b = n;
    if (start && start->type != JV_NULL && !jas_int(start, &a))
        return jfail(r, "slice indices must be integers or None") != NULL;
    if (end && end->type != JV_NULL && !jas_int(end, &b))
        return jfail(r, "slice indices must be integers or None") != NULL;
    if (a < 0) a = a + n < 0 ? 0 : a + n;
    if (b < 0) b = b + n < 0 ? 0 : b + n;
    if (b > n) b = n;
    *from = a > n ? SIZE_MAX : jstr_offset(self, (size_t)a);
    *to = jstr_offset(self, (size_t)b);
    return true;
}

static size_t find_last(pgd_sv s, pgd_sv needle, size_t from) {
    if (needle.n > s.n) return SIZE_MAX;
    for (size_t i = s.n - needle.n + 1; i-- > from;)
        if (!needle.n || memcmp(s.p + i, needle.p, needle.n) == 0) return i;
    return SIZE_MAX;
}

static jval *find_any(jrun *r, jval *self, const jargs *args, bool last, bool must) {
    jval *v[3];
    size_t from = 0, to = 0, at = SIZE_MAX;
    if (!jbind(r, "find", "sub!,start,end", args, v, 3) || !need_str(r, "find", v[0])) return NULL;
    if (!window(r, self, v[1], v[2], &from, &to) || !jsteps(r, self->as.s.n / 64)) return NULL;
    const pgd_sv hay = {self->as.s.p, to};
    if (from <= to) at = last ? find_last(hay, jsv(v[0]), from) : pgd_sv_find(hay, jsv(v[0]), from);
    if (at != SIZE_MAX) return jint(r, (int64_t)jutf8_chars(self->as.s.p, at));
    return must ? jfail(r, "substring not found") : jint(r, -1);
}

static jval *m_find(jrun *r, jval *self, const jargs *args) {
    return find_any(r, self, args, false, false);
}

static jval *m_rfind(jrun *r, jval *self, const jargs *args) {
    return find_any(r, self, args, true, false);
}

static jval *m_index(jrun *r, jval *self, const jargs *args) {
    return find_any(r, self, args, false, true);
}

static jval *m_rindex(jrun *r, jval *self, const jargs *args) {
    return find_any(r, self, args, true, true);
}

static jval *m_count(jrun *r, jval *self, const jargs *args) {
    jval *v[3];
    size_t from = 0, to = 0;
    int64_t count = 0;
    if (!jbind(r, "count", "sub!,start,end", args, v, 3) || !need_str(r, "count", v[0]))
        return NULL;
    if (!window(r, self, v[1], v[2], &from, &to) || !jsteps(r, self->as.s.n / 64)) return NULL;
    const pgd_sv hay = {self->as.s.p, to}, needle = jsv(v[0]);
    if (from > to) return jint(r, 0);
    if (!needle.n) return jint(r, (int64_t)jutf8_chars(hay.p + from, to - from) + 1);
    for (size_t at = from; (at = pgd_sv_find(hay, needle, at)) != SIZE_MAX; at += needle.n)
        count++;
    return jint(r, count);
}

static bool affix(pgd_sv s, const jval *v, bool front) {
    return front ? pgd_sv_starts(s, jsv(v)) : pgd_sv_ends(s, jsv(v));
}

/* startswith and endswith: one string or a tuple of them. */
static jval *has_affix(jrun *r, jval *self, const jargs *args, bool front) {
    jval *v[3];
    size_t from = 0, to = 0;
    const char *const name = front ? "startswith" : "endswith";
    if (!jbind(r, name, "prefix!,start,end", args, v, 3)) return NULL;
    if (!window(r, self, v[1], v[2], &from, &to)) return NULL;
    if (from > to) return jbool(r, false);
    const pgd_sv s = {self->as.s.p + from, to - from};
    if (v[0]->type == JV_SEQ && v[0]->sub == JQ_TUPLE) {
        for (size_t i = 0; i < v[0]->as.q.n; i++) {
            if (!need_str(r, name, v[0]->as.q.v[i])) return NULL;
            if (affix(s, v[0]->as.q.v[i], front)) return jbool(r, true);
        }
        return jbool(r, false);
    }
    if (v[0]->type == JV_UNDEF) return jundef_fail(r, v[0]);
    if (v[0]->type != JV_STR)
        return jfail(r, "%s first arg must be str or a tuple of str, not %s", name,
                     jtype_name(v[0]));
    return jbool(r, affix(s, v[0], front));
}

static jval *m_startswith(jrun *r, jval *self, const jargs *args) {
    return has_affix(r, self, args, true);
}

static jval *m_endswith(jrun *r, jval *self, const jargs *args) {
    return has_affix(r, self, args, false);
}

/* ---- replacing and joining ---------------------------------------------------------------- */

jval *jstr_replace(jrun *r, const jval *self, const jval *from, const jval *to, int64_t count) {
    const pgd_sv s = jsv(self), needle = jsv(from);
    jsb b = {0};
    size_t done = 0;
    if (!jsteps(r, s.n / 16)) return NULL;
    if (!needle.n) { /* between all characters */
        size_t i = 0;
        while (count-- != 0 && !b.failed) {
            jsb_put_str(r, &b, to);
            done = i;
            if (i >= s.n) break;
            for (i++; i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80;)
                i++;
            jsb_put_sub(r, &b, self, done, i);
            done = i;
        }
    } else {
        size_t at;
        while (count-- != 0 && !b.failed && (at = pgd_sv_find(s, needle, done)) != SIZE_MAX) {
            jsb_put_sub(r, &b, self, done, at);
            jsb_put_str(r, &b, to);
            done = at + needle.n;
        }
        if (!done) return jstr_sub(r, self, 0, s.n); /* nothing found: share the bytes */
    }
    jsb_put_sub(r, &b, self, done, s.n);
    return jsb_done(r, &b);
}

static jval *m_replace(jrun *r, jval *self, const jargs *args) {
    jval *v[3];
    int64_t count = -1;
    if (!jbind(r, "replace", "old!,new!,count", args, v, 3)) return NULL;
    if (!need_str(r, "replace", v[0]) || !need_str(r, "replace", v[1])) return NULL;
    if (v[2] && !jas_int(v[2], &count)) return jfail(r, "replace() count must be an integer");
    return jstr_replace(r, self, v[0], v[1], count);
}

static jval *m_join(jrun *r, jval *self, const jargs *args) {
    jval *v[1], *item;
    jiter it;
    jsb b = {0};
    if (!jbind(r, "join", "iterable!", args, v, 1) || !jiter_init(r, &it, v[0])) return NULL;
    for (size_t i = 0; (item = jiter_next(&it)) != NULL; i++) {
        if (item->type != JV_STR)
            return jfail(r, "sequence item %zu: expected str instance, %s found", i,
                         jtype_name(item));
        if (i) jsb_put_str(r, &b, self);
        jsb_put_str(r, &b, item);
    }
    return r->status == PGD_OK ? jsb_done(r, &b) : NULL;
}

static jval *remove_affix(jrun *r, jval *self, const jargs *args, bool front) {
    jval *v[1];
    if (!jbind(r, front ? "removeprefix" : "removesuffix", "affix!", args, v, 1)) return NULL;
    if (!need_str(r, front ? "removeprefix" : "removesuffix", v[0])) return NULL;
    size_t begin = 0, end = self->as.s.n;
    if (affix(jsv(self), v[0], front)) {
        if (front)
            begin = v[0]->as.s.n;
        else
            end -= v[0]->as.s.n;
    }
    return jstr_sub(r, self, begin, end);
}

static jval *m_removeprefix(jrun *r, jval *self, const jargs *args) {
    return remove_affix(r, self, args, true);
}

static jval *m_removesuffix(jrun *r, jval *self, const jargs *args) {
    return remove_affix(r, self, args, false);
}

/* ---- padding ------------------------------------------------------------------------------ */

jval *jstr_center(jrun *r, const jval *self, int64_t width, char align, pgd_sv fill) {
    const int64_t n = (int64_t)self->as.s.chars;
    if (width <= n) return jstr_sub(r, self, 0, self->as.s.n);
    const size_t pad = (size_t)(width - n);
    if (!jsteps(r, pad)) return NULL;
    size_t left = align == '<' ? 0 : pad;
    if (align == '^') left = pad / 2 + (pad & (size_t)width & 1); /* CPython's str.center */
    jsb b = {0};
    jsb_fill(r, &b, fill, left, true);
    jsb_put_str(r, &b, self);
    jsb_fill(r, &b, fill, pad - left, true);
    return jsb_done(r, &b);
}

static jval *pad_method(jrun *r, jval *self, const jargs *args, char align) {
    jval *v[2];
    int64_t width;
    if (!jbind(r, "center", "width!,fillchar", args, v, 2)) return NULL;
    if (!jas_int(v[0], &width)) return jfail(r, "the width must be an integer");
    if (v[1] && (v[1]->type != JV_STR || v[1]->as.s.chars != 1))
        return jfail(r, "The fill character must be exactly one character long");
    return jstr_center(r, self, width, align, v[1] ? jsv(v[1]) : PGD_SV(" "));
}

static jval *m_center(jrun *r, jval *self, const jargs *args) {
    return pad_method(r, self, args, '^');
}

static jval *m_ljust(jrun *r, jval *self, const jargs *args) {
    return pad_method(r, self, args, '<');
}

static jval *m_rjust(jrun *r, jval *self, const jargs *args) {
    return pad_method(r, self, args, '>');
}

static jval *m_zfill(jrun *r, jval *self, const jargs *args) {
    jval *v[1];
    int64_t width;
    if (!jbind(r, "zfill", "width!", args, v, 1)) return NULL;
    if (!jas_int(v[0], &width)) return jfail(r, "the width must be an integer");
    const int64_t n = (int64_t)self->as.s.chars;
    const size_t pad = width > n ? (size_t)(width - n) : 0;
    const bool sign = self->as.s.n && (self->as.s.p[0] == '-' || self->as.s.p[0] == '+');
    if (!jsteps(r, pad)) return NULL;
    jsb b = {0};
    jsb_put_sub(r, &b, self, 0, sign ? 1 : 0);
    jsb_fill(r, &b, PGD_SV("0"), pad, true);
    jsb_put_sub(r, &b, self, sign ? 1 : 0, self->as.s.n);
    return jsb_done(r, &b);
}

static jval *m_format(jrun *r, jval *self, const jargs *args) {
    return jstr_format(r, self, args, NULL);
}

static jval *m_format_map(jrun *r, jval *self, const jargs *args) {
    jval *v[1];
    const jargs none = {0};
    if (!jbind(r, "format_map", "mapping!", args, v, 1)) return NULL;
    return jstr_format(r, self, &none, v[0]);
}

/* ---- dispatch ----------------------------------------------------------------------------- */

static const jstr_def basic_methods[] = {
    {"strip", m_strip},
    {"lstrip", m_lstrip},
    {"rstrip", m_rstrip},
    {"replace", m_replace},
    {"startswith", m_startswith},
    {"endswith", m_endswith},
    {"join", m_join},
    {"format", m_format},
    {"format_map", m_format_map},
    {"find", m_find},
    {"rfind", m_rfind},
    {"index", m_index},
    {"rindex", m_rindex},
    {"count", m_count},
    {"removeprefix", m_removeprefix},
    {"removesuffix", m_removesuffix},
    {"center", m_center},
    {"ljust", m_ljust},
    {"rjust", m_rjust},
    {"zfill", m_zfill},
    {NULL, NULL},
};

static const jstr_def *find_method(pgd_sv name) {
    const jstr_def *const tables[] = {basic_methods, jstr_split_methods, jstr_test_methods};
    for (size_t t = 0; t < 3; t++)
        for (const jstr_def *d = tables[t]; d->name; d++)
            if (pgd_sv_eq(name, pgd_sv_c(d->name))) return d;
    return NULL;
}

const char *jstr_method_find(pgd_sv name) {
    const jstr_def *const d = find_method(name);
    return d ? d->name : NULL;
}

jval *jstr_method(jrun *r, jval *self, const char *name, const jargs *args) {
    const jstr_def *const d = find_method(pgd_sv_c(name));
    if (!d) return jfail(r, "str has no method '%s'", name);
    jval *const v = d->fn(r, self, args);
    /* Text that was marked safe stays so; a fresh string is ours to mark. */
    if (v && v->type == JV_STR && self->markup && v != self && !v->frozen) v->markup = true;
    return v;
}
