/* map, select, reject, selectattr and rejectattr of the template engine: filters that apply another
 * filter or test to each item. Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

/* args without the first n positional ones. */
static jargs drop(const jargs *args, size_t n) {
    jargs out = *args;
    if (!n) return out; /* pos may be NULL */
    out.pos += n;
    out.n -= n;
    return out;
}

/* map(attribute=..., default=...) */
static jval *map_attr(jrun *r, jval *v, const jargs *args) {
    jval *arg[2], *item;
    jiter it;
    jval *const out = jseq_new(r, JQ_GEN, 0);
    if (!jbind(r, "map", "attribute!,default", args, arg, 2) || !jiter_init(r, &it, v)) return NULL;
    while (out && (item = jiter_next(&it)) != NULL)
        if (!jseq_push(r, out, jattr_path(r, item, arg[0], arg[1]))) return NULL;
    return r->status == PGD_OK ? out : NULL;
}

static jval *f_map(jrun *r, jval *v, const jargs *args) {
    jval *item;
    jiter it;
    if (!jtruth(v)) return jseq_new(r, JQ_GEN, 0);
    if (!args->n && args->n_kw) return map_attr(r, v, args);
    if (!args->n) return jfail(r, "map requires a filter argument");
    const jval *const name = args->pos[0];
    const jfilter_def *const f = name->type == JV_STR ? jfilter_find(jsv(name)) : NULL;
    if (!f)
        return name->type == JV_STR
                   ? jfail(r, "No filter named '%.*s'.", (int)name->as.s.n, name->as.s.p)
                   : jfail(r, "map: the name of the filter must be a string");
    const jargs rest = drop(args, 1);
    jval *const out = jseq_new(r, JQ_GEN, 0);
    if (!out || !jiter_init(r, &it, v) || !jenter(r)) return NULL; /* map('map', ...) nests */
    while ((item = jiter_next(&it)) != NULL)
        if (!jseq_push(r, out, f->fn(r, item, &rest))) return NULL;
    jleave(r);
    return r->status == PGD_OK ? out : NULL;
}

static jval *pick(jrun *r, jval *v, const jargs *args, bool by_attr, bool keep) {
    jval *item;
    jiter it;
    if (!jtruth(v)) return jseq_new(r, JQ_GEN, 0);
    if (by_attr && !args->n) return jfail(r, "Missing parameter for attribute name");
    const jval *const attr = by_attr ? args->pos[0] : NULL;
    const jargs named = drop(args, by_attr ? 1 : 0);
    const jval *const name = named.n ? named.pos[0] : NULL;
    const jtest_def *const test = name && name->type == JV_STR ? jtest_find(jsv(name)) : NULL;
    if (name && !test)
        return name->type == JV_STR
                   ? jfail(r, "No test named '%.*s'.", (int)name->as.s.n, name->as.s.p)
                   : jfail(r, "the name of a test must be a string");
    const jargs rest = drop(&named, name ? 1 : 0);
    jval *const out = jseq_new(r, JQ_GEN, 0);
    if (!out || !jiter_init(r, &it, v)) return NULL;
    while ((item = jiter_next(&it)) != NULL) {
        jval *const subject = attr ? jattr_path(r, item, attr, NULL) : item;
        bool yes;
        if (!subject) return NULL;
        if (!test)
            yes = jtruth(subject);
        else if (!jtest_run(r, test, subject, &rest, &yes))
            return NULL;
        if (yes == keep && !jseq_push(r, out, item)) return NULL;
    }
    return r->status == PGD_OK ? out : NULL;
}

static jval *f_select(jrun *r, jval *v, const jargs *args) {
    return pick(r, v, args, false, true);
}

static jval *f_reject(jrun *r, jval *v, const jargs *args) {
    return pick(r, v, args, false, false);
}

static jval *f_selectattr(jrun *r, jval *v, const jargs *args) {
    return pick(r, v, args, true, true);
}

static jval *f_rejectattr(jrun *r, jval *v, const jargs *args) {
    return pick(r, v, args, true, false);
}

const jfilter_def jfilters_pick[] = {
    {"map", f_map},
    {"select", f_select},
    {"reject", f_reject},
    {"selectattr", f_selectattr},
    {"rejectattr", f_rejectattr},
    {NULL, NULL},
};
