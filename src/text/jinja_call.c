/* Calls in the template engine: what is callable, the methods of dicts, lists, tuples and loops,
 * and the binding of arguments to parameter lists.
 *
 * Methods that would change a dict or list are refused, as jinja2's immutable sandbox refuses them;
 * list.pop is the exception that its versions up to 3.1.4 let through, and works on lists made by
 * the template itself. Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

/* ---- binding ------------------------------------------------------------------------------ */

/* The parameter number i of spec ("a!,b,c") into *name; false past the end. */
static bool spec_param(const char *spec, size_t i, pgd_sv *name, bool *required) {
    const char *p = spec;
    for (; *p && i; p++)
        if (*p == ',') i--;
    if (!*p) return false;
    const size_t n = strcspn(p, ",");
    *required = p[n - 1] == '!';
    *name = (pgd_sv){p, *required ? n - 1 : n};
    return true;
}

bool jbind(jrun *r, const char *fname, const char *spec, const jargs *args, jval **out,
           size_t n_out) {
    pgd_sv name;
    bool required;
    if (args->n > n_out)
        return jfail(r, "%s takes at most %zu argument(s) (%zu given)", fname, n_out, args->n) !=
               NULL;
    for (size_t i = 0; i < n_out; i++)
        out[i] = i < args->n ? args->pos[i] : NULL;
    for (size_t k = 0; k < args->n_kw; k++) {
        size_t i = 0;
        while (i < n_out && spec_param(spec, i, &name, &required) &&
               !pgd_sv_eq(name, args->kw_name[k]))
            i++;
        if (i == n_out)
            return jfail(r, "%s got an unexpected keyword argument '%.*s'", fname,
                         (int)args->kw_name[k].n, args->kw_name[k].p) != NULL;
        if (out[i])
            return jfail(r, "%s got multiple values for argument '%.*s'", fname, (int)name.n,
                         name.p) != NULL;
        out[i] = args->kw[k];
    }
    for (size_t i = 0; i < n_out; i++)
        if (spec_param(spec, i, &name, &required) && required && !out[i])
            return jfail(r, "%s: missing argument '%.*s'", fname, (int)name.n, name.p) != NULL;
    return true;
}

/* ---- dicts -------------------------------------------------------------------------------- */

static jval *dict_view(jrun *r, const jval *d, jseq_kind kind) {
    if (!jsteps(r, d->as.d.n)) return NULL;
    jval *out = jseq_new(r, kind, d->as.d.n);
    for (size_t i = 0; out && i < d->as.d.n; i++) {
        const jentry *const e = &d->as.d.e[i];
        jval *const item = kind == JQ_ITEMS  ? jpair(r, e->key, e->val)
                           : kind == JQ_KEYS ? e->key
                                             : e->val;
        if (!jseq_push(r, out, item)) return NULL;
    }
    return out;
}

static jval *d_items(jrun *r, jval *self, const jargs *args) {
    return jbind(r, "items", "", args, NULL, 0) ? dict_view(r, self, JQ_ITEMS) : NULL;
}

static jval *d_keys(jrun *r, jval *self, const jargs *args) {
    return jbind(r, "keys", "", args, NULL, 0) ? dict_view(r, self, JQ_KEYS) : NULL;
}

static jval *d_values(jrun *r, jval *self, const jargs *args) {
    return jbind(r, "values", "", args, NULL, 0) ? dict_view(r, self, JQ_VALUES) : NULL;
}

static jval *d_get(jrun *r, jval *self, const jargs *args) {
    jval *v[2];
    uint64_t h;
    if (!jbind(r, "get", "key!,default", args, v, 2)) return NULL;
    if (!jhash(v[0], &h)) {
        if (v[0]->type != JV_UNDEF) return jfail(r, "unhashable type: '%s'", jtype_name(v[0]));
        return v[1] ? v[1] : r->v_null; /* an undefined key is hashable in Python and never there */
    }
    jval *const found = jdict_get(self, v[0]);
    if (found) return found;
    return v[1] ? v[1] : r->v_null;
}

static jval *d_copy(jrun *r, jval *self, const jargs *args) {
    if (!jbind(r, "copy", "", args, NULL, 0)) return NULL;
    jval *out = jdict_new(r);
    for (size_t i = 0; out && i < self->as.d.n; i++)
        if (!jdict_set(r, out, self->as.d.e[i].key, self->as.d.e[i].val)) return NULL;
    return out;
}

/* ---- lists and tuples --------------------------------------------------------------------- */

static jval *q_index(jrun *r, jval *self, const jargs *args) {
    jval *v[1];
    if (!jbind(r, "index", "value!", args, v, 1)) return NULL;
    for (size_t i = 0; i < self->as.q.n; i++)
        if (jequal(r, self->as.q.v[i], v[0])) return jint(r, (int64_t)i);
    return jfail(r, "the value is not in the %s", jtype_name(self));
}

static jval *q_count(jrun *r, jval *self, const jargs *args) {
    jval *v[1] = {NULL};
    int64_t n = 0;
    if (!jbind(r, "count", "value!", args, v, 1)) return NULL;
    for (size_t i = 0; i < self->as.q.n; i++)
        n += jequal(r, self->as.q.v[i], v[0]);
    return r->status == PGD_OK ? jint(r, n) : NULL;
}

static jval *q_copy(jrun *r, jval *self, const jargs *args) {
    return jbind(r, "copy", "", args, NULL, 0) ? jlist_of(r, self, JQ_LIST) : NULL;
}

static jval *q_pop(jrun *r, jval *self, const jargs *args) {
    jval *v[1] = {NULL};
    int64_t i = -1;
    jseq *const q = &self->as.q;
    if (!jbind(r, "pop", "index", args, v, 1)) return NULL;
    if (v[0] && !jas_int(v[0], &i)) return jfail(r, "pop() index must be an integer");
    if (self->frozen) return jfail(r, "a list of the request cannot be changed by pop()");
    if (!q->n) return jfail(r, "pop from empty list");
    if (i < 0) i += (int64_t)q->n;
    if (i < 0 || i >= (int64_t)q->n) return jfail(r, "pop index out of range");
    jval *const out = q->v[i];
    memmove(q->v + i, q->v + i + 1, (q->n - 1 - (size_t)i) * sizeof(*q->v));
    q->n--;
    return out;
}

/* ---- dispatch ----------------------------------------------------------------------------- */

typedef struct method_def {
    const char *name;
    jstr_fn fn;
} method_def;

static const method_def dict_methods[] = {{"items", d_items},   {"keys", d_keys},
                                          {"values", d_values}, {"get", d_get},
                                          {"copy", d_copy},     {NULL, NULL}};
static const method_def list_methods[] = {
    {"index", q_index}, {"count", q_count}, {"copy", q_copy}, {"pop", q_pop}, {NULL, NULL}};
static const method_def tuple_methods[] = {{"index", q_index}, {"count", q_count}, {NULL, NULL}};

static jval *loop_cycle(jrun *r, jval *self, const jargs *args) {
    return jloop_method(r, self, "cycle", args);
}

static jval *loop_changed(jrun *r, jval *self, const jargs *args) {
    return jloop_method(r, self, "changed", args);
}

static const method_def loop_methods[] = {
    {"cycle", loop_cycle}, {"changed", loop_changed}, {NULL, NULL}};
static const method_def cycler_methods[] = {
    {"next", jcycler_next}, {"reset", jcycler_reset}, {NULL, NULL}};

static const method_def *methods_of(const jval *obj) {
    switch (obj->type) {
    case JV_DICT:
        return dict_methods;
    case JV_SEQ:
        return obj->sub == JQ_LIST ? list_methods : obj->sub == JQ_TUPLE ? tuple_methods : NULL;
    case JV_LOOP:
        return loop_methods;
    case JV_CYCLER:
        return cycler_methods;
    default:
        return NULL;
    }
}

static const method_def *find_method(const jval *obj, pgd_sv name) {
    for (const method_def *d = methods_of(obj); d && d->name; d++)
        if (pgd_sv_eq(name, pgd_sv_c(d->name))) return d;
    return NULL;
}

const char *jmethod_find(const jval *obj, pgd_sv name) {
    if (obj->type == JV_STR) return jstr_method_find(name);
    const method_def *const d = find_method(obj, name);
    return d ? d->name : NULL;
}

bool jmethod_mutates(const jval *obj, pgd_sv name) {
    static const char *const of_dict[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    static const char *const of_list[] = {"append", "clear",  "reverse", "insert",
                                          "sort",   "extend", "remove",  NULL};
    const char *const *list = NULL;
    if (obj->type == JV_DICT) list = of_dict;
    if (obj->type == JV_SEQ && obj->sub == JQ_LIST) list = of_list;
    for (; list && *list; list++)
        if (pgd_sv_eq(name, pgd_sv_c(*list))) return true;
    return false;
}

jval *jmethod_call(jrun *r, jval *self, const char *name, const jargs *args) {
    if (self->type == JV_STR) return jstr_method(r, self, name, args);
    const method_def *const d = find_method(self, pgd_sv_c(name));
    return d ? d->fn(r, self, args) : jfail(r, "'%s' has no method '%s'", jtype_name(self), name);
}

jval *jcall(jrun *r, jval *callee, const jargs *args) {
    switch (callee->type) {
    case JV_FUNC:
        return callee->as.func.fn(r, args);
    case JV_METHOD:
        return jmethod_call(r, callee->as.method.self, callee->as.method.name, args);
    case JV_MACRO:
        return jmacro_call(r, callee->as.macro, args);
    case JV_LOOP:
        return jloop_recurse(r, callee, args);
    case JV_JOINER:
        if (callee->as.joiner.used) return callee->as.joiner.sep;
        callee->as.joiner.used = true;
        return r->v_empty;
    case JV_UNDEF:
        return jundef_fail(r, callee);
    default:
        return jfail(r, "'%s' object is not callable", jtype_name(callee));
    }
}
