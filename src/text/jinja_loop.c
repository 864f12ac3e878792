/* The for statement of the template engine and its `loop` object. Items are pulled one by one, and
 * further only when the body asks (loop.last, loop.nextitem, loop.length), because a filter `if`
 * may depend on what earlier rounds did; this is jinja2's order too.
 *
 *   items[0 .. n)   taken from the iterable so far, index0 is the one the body sees
 *
 * Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

struct jloop {
    const jnode *node;
    jscope *outer;
    jiter it;
    jval **items;
    size_t n, cap;
    bool drained;
    size_t index0, depth0;
    jval *changed; /* arguments of the last loop.changed(), or NULL */
};

/* Whether the filter of the loop lets v pass. */
static bool passes(jrun *r, jloop *l, jval *v, bool *yes) {
    *yes = true;
    if (!l->node->c) return true;
    jscope *const s = jscope_new(r, l->outer);
    if (!s || !jassign(r, s, l->node->a, v)) return false;
    const jval *const t = jeval(r, s, l->node->c);
    if (!t) return false;
    *yes = jtruth(t);
    return true;
}

/* Take items until there are more than `upto`, or none are left. */
static bool pull(jrun *r, jloop *l, size_t upto) {
    while (!l->drained && l->n <= upto) {
        bool yes;
        jval *const v = jiter_next(&l->it);
        if (!v) {
            l->drained = true;
            break;
        }
        if (!passes(r, l, v, &yes)) return false;
        if (!yes) continue;
        if (l->n == l->cap) {
            const size_t cap = l->cap ? l->cap * 2 : 8;
            jval **grown = jalloc_array(r, cap, sizeof(*grown));
            if (!grown) return false;
            if (l->n) memcpy(grown, l->items, l->n * sizeof(*grown));
            l->items = grown;
            l->cap = cap;
        }
        l->items[l->n++] = v;
    }
    return r->status == PGD_OK;
}

/* Scope of the next round: the last one again, emptied, unless a macro holds on to it. */
static jscope *round_scope(jrun *r, jloop *l, jscope *last) {
    if (!last || last->captured) return jscope_new(r, l->outer);
    last->n = 0;
    return last;
}

static jflow run_loop(jrun *r, jloop *l, jval *loop_value) {
    jscope *s = NULL;
    for (l->index0 = 0;; l->index0++) {
        if (!pull(r, l, l->index0)) return JFLOW_ERROR;
        if (l->index0 >= l->n) break;
        s = round_scope(r, l, s);
        if (!s || !jscope_set(r, s, r->t->id_loop, loop_value)) return JFLOW_ERROR;
        r->line = l->node->line;
        if (!jassign(r, s, l->node->a, l->items[l->index0])) return JFLOW_ERROR;
        const jflow flow = jexec(r, s, &l->node->kids);
        if (flow == JFLOW_ERROR) return JFLOW_ERROR;
        if (flow == JFLOW_BREAK) return JFLOW_OK;
    }
    if (l->n || !l->node->orelse.n) return JFLOW_OK;
    jscope *const inner = jscope_new(r, l->outer);
    return inner ? jexec(r, inner, &l->node->orelse) : JFLOW_ERROR;
}

static jflow start_loop(jrun *r, jscope *outer, const jnode *n, jval *iterable, size_t depth0) {
    jval *const v = jnew(r, JV_LOOP);
    jloop *const l = jalloc(r, sizeof(*l));
    if (!v || !l) return JFLOW_ERROR;
    *l = (jloop){.node = n, .outer = outer, .depth0 = depth0};
    v->as.loop = l;
    if (!jiter_init(r, &l->it, iterable)) return JFLOW_ERROR;
    return run_loop(r, l, v);
}

jflow jloop_exec(jrun *r, jscope *s, const jnode *n) {
    jval *const iterable = jeval(r, s, n->b);
    r->line = n->line;
    return iterable ? start_loop(r, s, n, iterable, 0) : JFLOW_ERROR;
}

/* loop(children): the body again over other items, as a string. */
jval *jloop_recurse(jrun *r, const jval *loop, const jargs *args) {
    jloop *const l = loop->as.loop;
    if (!l->node->recursive)
        return jfail(r, "the loop must have the 'recursive' marker to be called recursively");
    if (args->n != 1 || args->n_kw) return jfail(r, "loop() takes exactly one argument");
    jsb text = {0};
    jsb *const outer = r->out;
    if (!jenter(r)) return NULL;
    r->out = &text;
    const jflow flow = start_loop(r, l->outer, l->node, args->pos[0], l->depth0 + 1);
    r->out = outer;
    jleave(r);
    return flow == JFLOW_ERROR ? NULL : jsb_done(r, &text);
}

static jval *neighbour(jrun *r, jloop *l, bool next) {
    if (!next)
        return l->index0 ? l->items[l->index0 - 1] : jundef_hint(r, "there is no previous item");
    if (!pull(r, l, l->index0 + 1)) return NULL;
    return l->index0 + 1 < l->n ? l->items[l->index0 + 1] : jundef_hint(r, "there is no next item");
}

typedef enum loop_attr {
    LA_INDEX,
    LA_INDEX0,
    LA_FIRST,
    LA_LAST,
    LA_LENGTH,
    LA_REVINDEX,
    LA_REVINDEX0,
    LA_DEPTH,
    LA_DEPTH0,
    LA_PREVITEM,
    LA_NEXTITEM,
    LA_N
} loop_attr;

jval *jloop_attr(jrun *r, jval *loop, pgd_sv name) {
    static const char *const names[LA_N] = {"index",  "index0",   "first",     "last",
                                            "length", "revindex", "revindex0", "depth",
                                            "depth0", "previtem", "nextitem"};
    jloop *const l = loop->as.loop;
    int attr = 0;
    while (attr < LA_N && !pgd_sv_eq(name, pgd_sv_c(names[attr])))
        attr++;
    if ((attr == LA_LENGTH || attr == LA_REVINDEX || attr == LA_REVINDEX0) &&
        !pull(r, l, SIZE_MAX - 1))
        return NULL;
    if (attr == LA_LAST && !pull(r, l, l->index0 + 1)) return NULL;
    const int64_t i = (int64_t)l->index0, n = (int64_t)l->n;
    switch (attr) {
    case LA_INDEX:
        return jint(r, i + 1);
    case LA_INDEX0:
        return jint(r, i);
    case LA_FIRST:
        return jbool(r, i == 0);
    case LA_LAST:
        return jbool(r, i + 1 >= n);
    case LA_LENGTH:
        return jint(r, n);
    case LA_REVINDEX:
        return jint(r, n - i);
    case LA_REVINDEX0:
        return jint(r, n - i - 1);
    case LA_DEPTH:
        return jint(r, (int64_t)l->depth0 + 1);
    case LA_DEPTH0:
        return jint(r, (int64_t)l->depth0);
    case LA_PREVITEM:
    case LA_NEXTITEM:
        return neighbour(r, l, attr == LA_NEXTITEM);
    default:
        break;
    }
    const char *const method = jmethod_find(loop, name);
    jval *v = method ? jnew(r, JV_METHOD) : NULL;
    if (!v) return NULL;
    v->as.method.self = loop;
    v->as.method.name = method;
    return v;
}

jval *jloop_method(jrun *r, const jval *loop, const char *name, const jargs *args) {
    jloop *const l = loop->as.loop;
    if (strcmp(name, "cycle") == 0) {
        if (!args->n) return jfail(r, "no items for cycling given");
        return args->pos[l->index0 % args->n];
    }
    jval *now = jseq_new(r, JQ_TUPLE, args->n);
    for (size_t i = 0; now && i < args->n; i++)
        if (!jseq_push(r, now, args->pos[i])) return NULL;
    if (!now) return NULL;
    const bool changed = !l->changed || !jequal(r, l->changed, now);
    l->changed = now;
    return jbool(r, changed);
}
