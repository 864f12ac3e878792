/* Filters of the template engine over sequences. Where jinja2 gives a lazy generator, so does this
 * in what shows (printing, truth, being used up once), but the items are computed at once. Thread:
 * one run, one thread. */
#include "jinja_int.h"

#include <string.h>

static jval *f_first(jrun *r, jval *v, const jargs *args) {
    jiter it;
    if (!jbind(r, "first", "", args, NULL, 0) || !jiter_init(r, &it, v)) return NULL;
    jval *const item = jiter_next(&it);
    if (item || r->status != PGD_OK) return item;
    return jundef_hint(r, "No first item, sequence was empty.");
}

static jval *f_last(jrun *r, jval *v, const jargs *args) {
    if (!jbind(r, "last", "", args, NULL, 0)) return NULL;
    if (v->type == JV_SEQ && v->sub == JQ_GEN)
        return jfail(r, "'generator' object is not reversible");
    if (v->type == JV_STR && v->as.s.chars)
        return jstr_sub(r, v, jstr_offset(v, v->as.s.chars - 1), v->as.s.n);
    jval *const items = jlist_of(r, v, JQ_LIST);
    if (!items) return NULL;
    if (items->as.q.n) return items->as.q.v[items->as.q.n - 1];
    return jundef_hint(r, "No last item, sequence was empty.");
}

static jval *f_list(jrun *r, jval *v, const jargs *args) {
    return jbind(r, "list", "", args, NULL, 0) ? jlist_of(r, v, JQ_LIST) : NULL;
}

static jval *f_items(jrun *r, jval *v, const jargs *args) {
    if (!jbind(r, "items", "", args, NULL, 0)) return NULL;
    if (v->type == JV_UNDEF) return jseq_new(r, JQ_GEN, 0);
    if (v->type != JV_DICT) return jfail(r, "Can only get item pairs from a mapping.");
    jval *const items = jmethod_call(r, v, "items", args);
    if (items) items->sub = JQ_GEN;
    return items;
}

static jval *f_random(jrun *r, jval *v, const jargs *args) {
    (void)v, (void)args;
    return jfail(r, "the filter 'random' is not supported: a prompt must be reproducible");
}

static jval *f_reverse(jrun *r, jval *v, const jargs *args) {
    if (!jbind(r, "reverse", "", args, NULL, 0)) return NULL;
    if (v->type == JV_STR) {
        jval *const minus = jint(r, -1);
        return minus ? jslice(r, v, NULL, NULL, minus) : NULL;
    }
    jval *const items = jlist_of(r, v, JQ_GEN);
    if (!items) return NULL;
    for (size_t i = 0, k = items->as.q.n; i + 1 < k; i++) {
        jval *const t = items->as.q.v[i];
        items->as.q.v[i] = items->as.q.v[--k];
        items->as.q.v[k] = t;
    }
    return items;
}

/* ---- order -------------------------------------------------------------------------------- */

/* The sort key of item: itself or its attribute(s) ("a,b" gives a tuple), case folded if asked. */
static jval *sort_key(jrun *r, jval *item, const jval *attr, bool fold) {
    if (!attr || attr->type == JV_NULL) return fold ? jfold_case(r, item) : item;
    if (attr->type != JV_STR || pgd_sv_find(jsv(attr), PGD_SV(","), 0) == SIZE_MAX) {
        jval *const v = jattr_path(r, item, attr, NULL);
        return v && fold ? jfold_case(r, v) : v;
    }
    jval *key = jseq_new(r, JQ_TUPLE, 2);
    const pgd_sv p = jsv(attr);
    for (size_t i = 0; key && i <= p.n;) {
        size_t end = pgd_sv_find(p, PGD_SV(","), i);
        if (end == SIZE_MAX) end = p.n;
        jval *const part = jstr_sub(r, attr, i, end);
        jval *v = part ? jattr_path(r, item, part, NULL) : NULL;
        if (v && fold) v = jfold_case(r, v);
        if (!jseq_push(r, key, v)) return NULL;
        i = end + 1;
    }
    return key;
}

/* Items of v and their keys; NULL on failure. */
static jval *keyed(jrun *r, jval *v, const jval *attr, bool fold, jval ***keys) {
    jval *const items = jlist_of(r, v, JQ_LIST);
    if (!items) return NULL;
    *keys = jalloc_array(r, items->as.q.n, sizeof(jval *));
    if (!*keys) return NULL;
    for (size_t i = 0; i < items->as.q.n; i++)
        if (!((*keys)[i] = sort_key(r, items->as.q.v[i], attr, fold))) return NULL;
    return items;
}

static jval *f_sort(jrun *r, jval *v, const jargs *args) {
    jval *arg[3], **keys;
    if (!jbind(r, "sort", "reverse,case_sensitive,attribute", args, arg, 3)) return NULL;
    jval *const items = keyed(r, v, arg[2], !(arg[1] && jtruth(arg[1])), &keys);
    if (!items) return NULL;
    const bool reverse = arg[0] && jtruth(arg[0]);
    return jsort(r, items->as.q.v, keys, items->as.q.n, reverse) ? items : NULL;
}

static jval *f_dictsort(jrun *r, jval *v, const jargs *args) {
    jval *arg[3], **keys;
    if (!jbind(r, "dictsort", "case_sensitive,by,reverse", args, arg, 3)) return NULL;
    if (v->type == JV_UNDEF) return jundef_fail(r, v);
    if (v->type != JV_DICT) return jfail(r, "'%s' object has no attribute 'items'", jtype_name(v));
    const bool fold = !(arg[0] && jtruth(arg[0]));
    int64_t pos = 0;
    if (arg[1] && arg[1]->type == JV_STR && pgd_sv_eq(jsv(arg[1]), PGD_SV("value")))
        pos = 1;
    else if (arg[1] && !(arg[1]->type == JV_STR && pgd_sv_eq(jsv(arg[1]), PGD_SV("key"))))
        return jfail(r, "You can only sort by either \"key\" or \"value\"");
    const jargs none = {0};
    jval *const pairs = jmethod_call(r, v, "items", &none);
    jval *const which = jint(r, pos);
    jval *const items = pairs && which ? keyed(r, pairs, which, fold, &keys) : NULL;
    if (!items) return NULL;
    return jsort(r, items->as.q.v, keys, items->as.q.n, arg[2] && jtruth(arg[2])) ? items : NULL;
}

static jval *f_unique(jrun *r, jval *v, const jargs *args) {
    jval *arg[2], **keys;
    if (!jbind(r, "unique", "case_sensitive,attribute", args, arg, 2)) return NULL;
    jval *const items = keyed(r, v, arg[1], !(arg[0] && jtruth(arg[0])), &keys);
    jval *const seen = jdict_new(r), *const out = jseq_new(r, JQ_GEN, 0);
    if (!items || !seen || !out) return NULL;
    for (size_t i = 0; i < items->as.q.n; i++) {
        if (jdict_get(seen, keys[i])) continue;
        if (!jdict_set(r, seen, keys[i], r->v_true)) return NULL;
        if (!jseq_push(r, out, items->as.q.v[i])) return NULL;
    }
    return out;
}

static jval *extreme(jrun *r, jval *v, const jargs *args, bool max) {
    jval *arg[2], **keys;
    if (!jbind(r, max ? "max" : "min", "case_sensitive,attribute", args, arg, 2)) return NULL;
    jval *const items = keyed(r, v, arg[1], !(arg[0] && jtruth(arg[0])), &keys);
    if (!items) return NULL;
    if (!items->as.q.n) return jundef_hint(r, "No aggregated item, sequence was empty.");
    size_t best = 0;
    for (size_t i = 1; i < items->as.q.n; i++) {
        bool better;
        if (!jcompare(r, max ? '>' : '<', keys[i], keys[best], &better)) return NULL;
        if (better) best = i;
    }
    return items->as.q.v[best];
}

static jval *f_min(jrun *r, jval *v, const jargs *args) {
    return extreme(r, v, args, false);
}

static jval *f_max(jrun *r, jval *v, const jargs *args) {
    return extreme(r, v, args, true);
}

/* ---- grouping ----------------------------------------------------------------------------- */

static jval *f_groupby(jrun *r, jval *v, const jargs *args) {
    jval *arg[3], **keys;
    if (!jbind(r, "groupby", "attribute!,default,case_sensitive", args, arg, 3)) return NULL;
    const bool fold = !(arg[2] && jtruth(arg[2]));
    jval *const items = jlist_of(r, v, JQ_LIST), *const out = jseq_new(r, JQ_LIST, 0);
    if (!items || !out) return NULL;
    const size_t n = items->as.q.n;
    keys = jalloc_array(r, n, sizeof(jval *));
    if (!keys) return NULL;
    for (size_t i = 0; i < n; i++) {
        jval *const key = jattr_path(r, items->as.q.v[i], arg[0], arg[1]);
        if (!key || !(keys[i] = fold ? jfold_case(r, key) : key)) return NULL;
    }
    if (!jsort(r, items->as.q.v, keys, n, false)) return NULL;
    for (size_t i = 0; i < n;) {
        jval *const group = jseq_new(r, JQ_LIST, 0);
        jval *const name = jattr_path(r, items->as.q.v[i], arg[0], arg[1]);
        const size_t first = i;
        for (; i < n && jequal(r, keys[i], keys[first]); i++)
            if (!group || !jseq_push(r, group, items->as.q.v[i])) return NULL;
        if (r->status != PGD_OK || !group || !name) return NULL;
        jval *const pair = jpair(r, name, group);
        if (!pair) return NULL;
        pair->markup = true; /* has .grouper and .list */
        if (!jseq_push(r, out, pair)) return NULL;
    }
    return out;
}

static jval *f_batch(jrun *r, jval *v, const jargs *args) {
    jval *arg[2];
    int64_t size;
    if (!jbind(r, "batch", "linecount!,fill_with", args, arg, 2)) return NULL;
    jval *const items = jlist_of(r, v, JQ_LIST), *const out = jseq_new(r, JQ_GEN, 0);
    if (!items || !out) return NULL;
    if (!jas_int(arg[0], &size) || size < 1 || size > INT32_MAX)
        return jfail(r, "batch: the size must be a positive integer");
    jval *row = NULL;
    for (size_t i = 0; i < items->as.q.n; i++) {
        if (i % (size_t)size == 0) {
            row = jseq_new(r, JQ_LIST, 0);
            if (!row || !jseq_push(r, out, row)) return NULL;
        }
        if (!jseq_push(r, row, items->as.q.v[i])) return NULL;
    }
    const bool fill = row && arg[1] && arg[1]->type != JV_NULL;
    while (fill && row->as.q.n < (size_t)size)
        if (!jstep(r) || !jseq_push(r, row, arg[1])) return NULL;
    return out;
}

static jval *f_slice(jrun *r, jval *v, const jargs *args) {
    jval *arg[2];
    int64_t slices;
    if (!jbind(r, "slice", "slices!,fill_with", args, arg, 2)) return NULL;
    jval *const items = jlist_of(r, v, JQ_LIST), *const out = jseq_new(r, JQ_GEN, 0);
    if (!items || !out) return NULL;
    if (!jas_int(arg[0], &slices) || slices < 1 || slices > INT32_MAX)
        return jfail(r, "slice: the number of slices must be a positive integer");
    const size_t n = items->as.q.n, each = n / (size_t)slices, extra = n % (size_t)slices;
    size_t at = 0;
    for (size_t s = 0; s < (size_t)slices; s++) {
        jval *const row = jseq_new(r, JQ_LIST, 0);
        if (!row || !jstep(r) || !jseq_push(r, out, row)) return NULL;
        for (size_t k = 0; k < each + (s < extra ? 1 : 0); k++)
            if (!jseq_push(r, row, items->as.q.v[at++])) return NULL;
        if (arg[1] && arg[1]->type != JV_NULL && s >= extra && !jseq_push(r, row, arg[1]))
            return NULL;
    }
    return out;
}

static jval *f_sum(jrun *r, jval *v, const jargs *args) {
    jval *arg[2], *item;
    jiter it;
    if (!jbind(r, "sum", "attribute,start", args, arg, 2) || !jiter_init(r, &it, v)) return NULL;
    jval *total = arg[1] ? arg[1] : jint(r, 0);
    if (total && total->type == JV_STR) return jfail(r, "sum() can't sum strings");
    while (total && (item = jiter_next(&it)) != NULL) {
        if (arg[0] && arg[0]->type != JV_NULL && !(item = jattr_path(r, item, arg[0], NULL)))
            return NULL;
        total = jbinop(r, '+', total, item);
    }
    return r->status == PGD_OK ? total : NULL;
}

static jval *f_join(jrun *r, jval *v, const jargs *args) {
    jval *arg[2], *item;
    jiter it;
    jsb b = {0};
    if (!jbind(r, "join", "d,attribute", args, arg, 2)) return NULL;
    const jval *const sep = arg[0] ? jto_str(r, arg[0]) : r->v_empty;
    if (!sep || !jiter_init(r, &it, v)) return NULL;
    for (bool first = true; (item = jiter_next(&it)) != NULL; first = false) {
        if (arg[1] && arg[1]->type != JV_NULL && !(item = jattr_path(r, item, arg[1], NULL)))
            return NULL;
        if (!first) jsb_put_str(r, &b, sep);
        if (!jput_str(r, &b, item)) return NULL;
    }
    return r->status == PGD_OK ? jsb_done(r, &b) : NULL;
}

const jfilter_def jfilters_seq[] = {
    {"join", f_join},       {"first", f_first},       {"last", f_last},       {"list", f_list},
    {"items", f_items},     {"dictsort", f_dictsort}, {"sort", f_sort},       {"unique", f_unique},
    {"reverse", f_reverse}, {"min", f_min},           {"max", f_max},         {"sum", f_sum},
    {"batch", f_batch},     {"slice", f_slice},       {"groupby", f_groupby}, {"random", f_random},
    {NULL, NULL},
};
