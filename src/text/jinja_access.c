/* Attributes, items and slices in the template engine. `a.b` prefers a method of the type over a
 * dict member and `a['b']` the member over the method, as jinja2's environment does; what is absent
 * is undefined rather than an error, except on undefined itself.
 *
 * There are no host objects: what is reachable is the table of methods per type and the data.
 * Thread: one run, one thread. */
#include "jinja_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static jval *unsafe_method(jrun *r, const jval *obj, pgd_sv name) {
    char *const hint = jalloc(r, 128);
    if (!hint) return NULL;
    (void)snprintf(hint, 128, "access to attribute '%.*s' of '%s' object is unsafe.",
                   name.n > 40 ? 40 : (int)name.n, name.p, jtype_name(obj));
    return jundef_hint(r, hint);
}

/* A method or built-in attribute of obj, or NULL (without failure) when it has none of that name.
 */
static jval *own_attr(jrun *r, jval *obj, pgd_sv name) {
    if (obj->type == JV_LOOP) return jloop_attr(r, obj, name);
    if (obj->type == JV_CYCLER) return jcycler_attr(r, obj, name);
    if (obj->type == JV_MACRO && pgd_sv_eq(name, PGD_SV("name")))
        return jstr_trusted(r, obj->as.macro->name);
    if (obj->type == JV_SEQ && obj->markup && obj->as.q.n == 2) { /* a group of groupby */
        if (pgd_sv_eq(name, PGD_SV("grouper"))) return obj->as.q.v[0];
        if (pgd_sv_eq(name, PGD_SV("list"))) return obj->as.q.v[1];
    }
    if (jmethod_mutates(obj, name)) return unsafe_method(r, obj, name);
    const char *const method = jmethod_find(obj, name);
    if (!method) return NULL;
    jval *v = jnew(r, JV_METHOD);
    if (!v) return NULL;
    v->as.method.self = obj;
    v->as.method.name = method;
    return v;
}

jval *jgetattr(jrun *r, jval *obj, pgd_sv name) {
    if (obj->type == JV_UNDEF) return jundef_fail(r, obj);
    jval *v = obj->type == JV_NAMESPACE ? NULL : own_attr(r, obj, name);
    if (v || r->status != PGD_OK) return v;
    if (obj->type == JV_DICT || obj->type == JV_NAMESPACE) v = jdict_get_sv(obj, name);
    if (v) return v;
    jval *const key = jstr_trusted(r, name);
    return key ? jundef_attr(r, obj, key) : NULL;
}

static jval *char_at(jrun *r, const jval *s, int64_t i) {
    const bool ascii = s->as.s.chars == s->as.s.n; /* otherwise finding the place reads the text */
    if (!ascii && !jsteps(r, s->as.s.n / 64)) return NULL;
    const size_t begin = jstr_offset(s, (size_t)i);
    size_t end = begin + 1;
    while (end < s->as.s.n && ((unsigned char)s->as.s.p[end] & 0xc0) == 0x80)
        end++;
    return jstr_sub(r, s, begin, end);
}

/* Item number i of a string, list, tuple or range; NULL (without failure) when out of range. */
static jval *item_at(jrun *r, const jval *obj, int64_t i) {
    int64_t n = 0;
    if (obj->type == JV_STR)
        n = (int64_t)obj->as.s.chars;
    else if (obj->type == JV_SEQ && obj->sub <= JQ_TUPLE)
        n = (int64_t)obj->as.q.n;
    else if (obj->type == JV_RANGE)
        n = obj->as.range.n;
    if (i < 0) i += n;
    if (i < 0 || i >= n) return NULL;
    if (obj->type == JV_STR) return char_at(r, obj, i);
    if (obj->type == JV_SEQ) return obj->as.q.v[i];
    return jint(r, obj->as.range.start + i * obj->as.range.step);
}

jval *jgetitem(jrun *r, jval *obj, jval *key) {
    int64_t i;
    jval *v = NULL;
    if (obj->type == JV_UNDEF) return jundef_fail(r, obj);
    if (obj->type == JV_DICT)
        v = jdict_get(obj, key);
    else if (jas_int(key, &i))
        v = item_at(r, obj, i);
    if (v || r->status != PGD_OK) return v;
    if (key->type == JV_STR) {
        v = obj->type == JV_NAMESPACE ? jdict_get(obj, key) : own_attr(r, obj, jsv(key));
        if (v || r->status != PGD_OK) return v;
    }
    return jundef_attr(r, obj, key);
}

/* ---- slices ------------------------------------------------------------------------------- */

static bool slice_index(jrun *r, const jval *v, int64_t dflt, int64_t *out) {
    if (!v || v->type == JV_NULL) {
        *out = dflt;
        return true;
    }
    if (jas_int(v, out)) return true;
    if (v->type == JV_UNDEF)
        jundef_fail(r, v);
    else
        jfail(r, "slice indices must be integers or None");
    return false;
}

static int64_t clamp(int64_t i, int64_t low, int64_t high) {
    return i < low ? low : i > high ? high : i;
}

/* first, step and count of the items that [start:stop:step] takes out of n. */
static bool slice_bounds(jrun *r, const jval *const part[3], int64_t n, int64_t *first,
                         int64_t *step, int64_t *count) {
    int64_t start, stop;
    if (!slice_index(r, part[2], 1, step)) return false;
    if (*step == 0) return jfail(r, "slice step cannot be zero") != NULL;
    *step = clamp(*step, -(INT64_C(1) << 40), INT64_C(1) << 40); /* any larger takes one item too */
    const bool back = *step < 0;
    if (!slice_index(r, part[0], back ? INT64_MAX : 0, &start)) return false;
    const bool no_stop = !part[1] || part[1]->type == JV_NULL;
    if (!slice_index(r, part[1], INT64_MAX, &stop)) return false;
    if (start < 0) start += n;
    if (stop < 0) stop += n;
    if (back) {
        start = clamp(start, -1, n - 1);
        stop = no_stop ? -1 : clamp(stop, -1, n - 1);
        *count = start > stop ? (start - stop - *step - 1) / -*step : 0;
    } else {
        start = clamp(start, 0, n);
        stop = clamp(stop, 0, n);
        *count = stop > start ? (stop - start + *step - 1) / *step : 0;
    }
    *first = start;
    return true;
}

static jval *slice_str(jrun *r, jval *s, int64_t first, int64_t step, int64_t count) {
    if (!jsteps(r, s->as.s.n / 64)) return NULL;
    if (step == 1 || !count) {
        const size_t begin = jstr_offset(s, (size_t)first);
        return jstr_sub(r, s, begin, count ? jstr_offset(s, (size_t)(first + count)) : begin);
    }
    if (!jsteps(r, s->as.s.chars)) return NULL;
    size_t *at = jalloc_array(r, s->as.s.chars + 1, sizeof(*at)); /* offset of each character */
    if (!at) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < s->as.s.n; i++)
        if (((unsigned char)s->as.s.p[i] & 0xc0) != 0x80) at[n++] = i;
    at[n] = s->as.s.n;
    jsb b = {0};
    for (int64_t k = 0; k < count; k++) {
        const size_t i = (size_t)(first + k * step);
        jsb_put_sub(r, &b, s, at[i], at[i + 1]);
    }
    return jsb_done(r, &b);
}

static jval *slice_seq(jrun *r, jval *q, int64_t first, int64_t step, int64_t count) {
    if (!jsteps(r, (size_t)count)) return NULL;
    jval *out = jseq_new(r, (jseq_kind)q->sub, (size_t)count);
    for (int64_t k = 0; out && k < count; k++)
        if (!jseq_push(r, out, q->as.q.v[first + k * step])) return NULL;
    return out;
}

jval *jslice(jrun *r, jval *obj, jval *start, jval *stop, jval *step) {
    int64_t first = 0, by = 1, count = 0, n;
    const bool is_seq = obj->type == JV_SEQ && obj->sub <= JQ_TUPLE;
    if (obj->type == JV_UNDEF) return jundef_fail(r, obj);
    if (obj->type != JV_STR && obj->type != JV_RANGE && !is_seq)
        return jundef_attr(r, obj, r->v_null);
    if ((n = jlength(r, obj)) < 0) return NULL;
    const jval *const part[3] = {start, stop, step};
    if (!slice_bounds(r, part, n, &first, &by, &count)) return NULL;
    if (obj->type == JV_STR) return slice_str(r, obj, first, by, count);
    if (is_seq) return slice_seq(r, obj, first, by, count);
    jval *v = jnew(r, JV_RANGE);
    if (!v) return NULL;
    v->as.range.start = obj->as.range.start + first * obj->as.range.step;
    v->as.range.step = obj->as.range.step * by;
    v->as.range.n = count;
    return v;
}
