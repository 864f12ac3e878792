/* Expressions of the template engine: a walk over the tree. Also variables: a chain of scopes, then
 * the context. Each node costs one step and one level of depth, so that neither a loop nor a deep
 * tree can run away.
 *
 * Scopes follow jinja2: loops, macros, call, filter, with and set blocks open one; `if` does not;
 * assignment always writes the innermost scope. Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

/* ---- variables ---------------------------------------------------------------------------- */

/* The root scope is an array by name id; the others are short lists. */
static jval *scope_find(const jscope *s, uint32_t id) {
    for (; s->parent; s = s->parent)
        for (size_t i = s->n; i-- > 0;)
            if (s->v[i].id == id) return s->v[i].v;
    return s->v[id].v;
}

bool jscope_set(jrun *r, jscope *s, uint32_t id, jval *v) {
    if (!v) return false;
    if (!s->parent) {
        s->v[id].v = v;
        return true;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].id != id) continue;
        s->v[i].v = v;
        return true;
    }
    if (s->n == s->cap) {
        const size_t cap = s->cap ? s->cap * 2 : 4;
        jvar *grown = jalloc_array(r, cap, sizeof(*grown));
        if (!grown) return false;
        if (s->n) memcpy(grown, s->v, s->n * sizeof(*grown));
        s->v = grown;
        s->cap = cap;
    }
    s->v[s->n++] = (jvar){id, v};
    return true;
}

jval *jscope_get(jrun *r, jscope *s, uint32_t id) {
    jval *const v = scope_find(s, id);
    if (v) return v;
    return r->globals[id] ? r->globals[id] : jundef_name(r, r->t->names[id]);
}

/* ---- arguments ---------------------------------------------------------------------------- */

static bool push_kw(jargs *out, pgd_sv name, jval *v) {
    if (!v) return false;
    out->kw_name[out->n_kw] = name;
    out->kw[out->n_kw++] = v;
    return true;
}

static bool star_kwargs(jrun *r, const jval *d, jargs *out) {
    for (size_t i = 0; i < d->as.d.n; i++) {
        const jval *const key = d->as.d.e[i].key;
        if (key->type != JV_STR) return jfail(r, "keywords must be strings") != NULL;
        if (!push_kw(out, jsv(key), d->as.d.e[i].val)) return false;
    }
    return true;
}

bool jeval_args(jrun *r, jscope *s, const jcallargs *ca, jargs *out) {
    *out = (jargs){0};
    if (!ca->pos.n && !ca->kw.n && !ca->star && !ca->star_star) return true;
    jval *star = NULL, *star_star = NULL;
    if (ca->star) {
        jval *const v = jeval(r, s, ca->star);
        if (!v || !(star = jlist_of(r, v, JQ_LIST))) return false;
    }
    if (ca->star_star) {
        if (!(star_star = jeval(r, s, ca->star_star))) return false;
        if (star_star->type != JV_DICT)
            return jfail(r, "argument after ** must be a mapping, not %s", jtype_name(star_star)) !=
                   NULL;
    }
    const size_t n_star = star ? star->as.q.n : 0;
    const size_t n_kw = ca->kw.n + (star_star ? star_star->as.d.n : 0) + 1; /* + caller */
    out->pos = jalloc_array(r, ca->pos.n + n_star + 1, sizeof(jval *));     /* + filter input */
    out->kw = jalloc_array(r, n_kw, sizeof(jval *));
    out->kw_name = jalloc_array(r, n_kw, sizeof(pgd_sv));
    if (!out->pos || !out->kw || !out->kw_name) return false;
    for (size_t i = 0; i < ca->pos.n; i++)
        if (!(out->pos[out->n++] = jeval(r, s, ca->pos.v[i]))) return false;
    for (size_t i = 0; i < n_star; i++)
        out->pos[out->n++] = star->as.q.v[i];
    for (size_t i = 0; i < ca->kw.n; i++)
        if (!push_kw(out, ca->kw_name[i], jeval(r, s, ca->kw.v[i]))) return false;
    return !star_star || star_kwargs(r, star_star, out);
}

/* ---- expressions -------------------------------------------------------------------------- */

static jval *eval_items(jrun *r, jscope *s, const jnode *n) {
    jval *out = jseq_new(r, n->kind == JE_LIST ? JQ_LIST : JQ_TUPLE, n->kids.n);
    for (size_t i = 0; out && i < n->kids.n; i++)
        if (!jseq_push(r, out, jeval(r, s, n->kids.v[i]))) return NULL;
    return out;
}

static jval *eval_dict(jrun *r, jscope *s, const jnode *n) {
    jval *out = jdict_new(r);
    for (size_t i = 0; out && i < n->kids.n; i += 2) {
        jval *const key = jeval(r, s, n->kids.v[i]);
        jval *const v = key ? jeval(r, s, n->kids.v[i + 1]) : NULL;
        if (!jdict_set(r, out, key, v)) return NULL;
    }
    return out;
}

/* a < b < c: every operand once, stopping at the first false. */
static jval *eval_compare(jrun *r, jscope *s, const jnode *n) {
    jval *left = jeval(r, s, n->a);
    for (size_t i = 0; left && i < n->kids.n; i++) {
        const jnode *const operand = n->kids.v[i];
        jval *const right = jeval(r, s, operand->a);
        bool yes = false;
        if (!right) return NULL;
        r->line = n->line;
        if (operand->op == 'i' || operand->op == 'n') {
            if (!jcontains(r, left, right, &yes)) return NULL;
            yes = yes == (operand->op == 'i');
        } else if (!jcompare(r, operand->op, left, right, &yes)) {
            return NULL;
        }
        if (!yes) return r->v_false;
        left = right;
    }
    return left ? r->v_true : NULL;
}

static jval *eval_concat(jrun *r, jscope *s, const jnode *n) {
    jsb b = {0};
    for (size_t i = 0; i < n->kids.n; i++) {
        const jval *const v = jeval(r, s, n->kids.v[i]);
        if (!v || !jput_str(r, &b, v)) return NULL;
    }
    return jsb_done(r, &b);
}

static jval *eval_item(jrun *r, jscope *s, const jnode *n) {
    jval *const obj = jeval(r, s, n->a);
    if (!obj) return NULL;
    if (n->b->kind != JE_SLICE) {
        jval *const key = jeval(r, s, n->b);
        r->line = n->line;
        return key ? jgetitem(r, obj, key) : NULL;
    }
    const jnode *const part[3] = {n->b->a, n->b->b, n->b->c};
    jval *bound[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 3; i++)
        if (part[i] && !(bound[i] = jeval(r, s, part[i]))) return NULL;
    r->line = n->line;
    return jslice(r, obj, bound[0], bound[1], bound[2]);
}

/* Methods are called without making a bound method first. */
static jval *eval_call(jrun *r, jscope *s, const jnode *n) {
    jargs args;
    if (n->a->kind == JE_ATTR) {
        jval *const self = jeval(r, s, n->a->a);
        if (!self) return NULL;
        r->line = n->line;
        const char *const method =
            self->type == JV_NAMESPACE ? NULL : jmethod_find(self, n->a->name);
        if (method && !jmethod_mutates(self, n->a->name)) {
            if (!jeval_args(r, s, n->args, &args)) return NULL;
            r->line = n->line;
            return jmethod_call(r, self, method, &args);
        }
        jval *const callee = jgetattr(r, self, n->a->name);
        if (!callee || !jeval_args(r, s, n->args, &args)) return NULL;
        r->line = n->line;
        return jcall(r, callee, &args);
    }
    jval *const callee = jeval(r, s, n->a);
    if (!callee || !jeval_args(r, s, n->args, &args)) return NULL;
    r->line = n->line;
    return jcall(r, callee, &args);
}

static jval *apply_filter(jrun *r, jscope *s, const jnode *n, jval *input) {
    jargs args;
    if (n->a &&
        !(input = n->a->kind == JE_FILTER ? japply_filter(r, s, n->a, input) : jeval(r, s, n->a)))
        return NULL;
    if (!n->filter) {
        r->line = n->line;
        return jfail(r, "no filter named '%.*s'", (int)n->name.n, n->name.p);
    }
    if (!jstep(r) || !jeval_args(r, s, n->args, &args)) return NULL;
    r->line = n->line;
    return n->filter->fn(r, input, &args);
}

jval *japply_filter(jrun *r, jscope *s, const jnode *n, jval *input) {
    if (!jenter(r)) return NULL; /* a chain of filters is deep to the left */
    jval *const v = apply_filter(r, s, n, input);
    jleave(r);
    return v;
}

static jval *eval_test(jrun *r, jscope *s, const jnode *n) {
    jargs args;
    bool yes;
    jval *const v = jeval(r, s, n->a);
    if (!v || !jeval_args(r, s, n->args, &args)) return NULL;
    r->line = n->line;
    if (!n->test) return jfail(r, "no test named '%.*s'", (int)n->name.n, n->name.p);
    return jtest_run(r, n->test, v, &args, &yes) ? jbool(r, yes) : NULL;
}

static jval *eval_unary(jrun *r, jscope *s, const jnode *n) {
    jval *const v = jeval(r, s, n->a);
    int64_t i;
    if (!v) return NULL;
    r->line = n->line;
    if (n->kind == JE_NOT) return jbool(r, !jtruth(v));
    if (n->kind == JE_NEG) return jneg(r, v);
    if (v->type == JV_FLOAT) return v;
    if (jas_int(v, &i)) return jint(r, i);
    if (v->type == JV_UNDEF) return jundef_fail(r, v);
    return jfail(r, "bad operand type for unary +: '%s'", jtype_name(v));
}

/* The kinds that have two operands or pick one of them. */
static jval *eval_pick(jrun *r, jscope *s, const jnode *n) {
    jval *const a = jeval(r, s, n->a);
    if (!a) return NULL;
    switch (n->kind) {
    case JE_OR:
        return jtruth(a) ? a : jeval(r, s, n->b);
    case JE_AND:
        return jtruth(a) ? jeval(r, s, n->b) : a;
    case JE_COND:
        if (jtruth(a)) return jeval(r, s, n->b);
        if (n->c) return jeval(r, s, n->c);
        return jundef_hint(r, "the inline if-expression evaluated to false and no else section was "
                              "defined.");
    default: { /* JE_BIN */
        jval *const b = jeval(r, s, n->b);
        r->line = n->line;
        return b ? jbinop(r, n->op, a, b) : NULL;
    }
    }
}

static jval *eval_kind(jrun *r, jscope *s, const jnode *n) {
    switch (n->kind) {
    case JE_CONST:
        return n->konst;
    case JE_NAME:
        return jscope_get(r, s, n->id);
    case JE_TUPLE:
    case JE_LIST:
        return eval_items(r, s, n);
    case JE_DICT:
        return eval_dict(r, s, n);
    case JE_COND:
    case JE_OR:
    case JE_AND:
    case JE_BIN:
        return eval_pick(r, s, n);
    case JE_NOT:
    case JE_NEG:
    case JE_POS:
        return eval_unary(r, s, n);
    case JE_CMP:
        return eval_compare(r, s, n);
    case JE_CONCAT:
        return eval_concat(r, s, n);
    case JE_ATTR: {
        jval *const obj = jeval(r, s, n->a);
        r->line = n->line;
        return obj ? jgetattr(r, obj, n->name) : NULL;
    }
    case JE_ITEM:
        return eval_item(r, s, n);
    case JE_CALL:
        return eval_call(r, s, n);
    case JE_FILTER:
        return japply_filter(r, s, n, NULL);
    case JE_TEST:
        return eval_test(r, s, n);
    case JE_SLICE: /* a slice among several subscripts, as in a[1:2, 3] */
        return jfail(r, "a slice cannot stand in a list of subscripts");
    default:
        return jfail(r, "statement in place of an expression");
    }
}

jval *jeval(jrun *r, jscope *s, const jnode *n) {
    if (!jstep(r) || !jenter(r)) return NULL;
    r->line = n->line;
    jval *const v = eval_kind(r, s, n);
    jleave(r);
    return r->status == PGD_OK ? v : NULL;
}
