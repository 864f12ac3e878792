/* Macros and callers of the template engine: a body with parameters and the scope it was defined
 * in. Binding follows jinja2: missing parameters take their default, seen from inside the macro, or
 * are undefined; surplus arguments are errors unless the body mentions varargs or kwargs.
 *
 * Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

jval *jmacro_new(jrun *r, jscope *s, const jnode *n, pgd_sv name) {
    jval *v = jnew(r, JV_MACRO);
    jmacro *m = jalloc(r, sizeof(*m));
    if (!v || !m) return NULL;
    *m = (jmacro){.params = n->params, .body = &n->kids, .scope = s, .name = name};
    v->as.macro = m;
    for (; s; s = s->parent) /* loops must not reuse a scope that the macro still sees */
        s->captured = true;
    return v;
}

static size_t param_of(const jparams *p, pgd_sv name) {
    for (size_t i = 0; i < p->n; i++)
        if (pgd_sv_eq(p->name[i], name)) return i;
    return SIZE_MAX;
}

/* Positional arguments to parameters, the surplus to varargs. */
static bool bind_positional(jrun *r, const jmacro *m, jscope *s, const jargs *args) {
    const jparams *const p = m->params;
    if (args->n > p->n && !p->uses_varargs)
        return jfail(r, "macro '%.*s' takes not more than %zu argument(s)", (int)m->name.n,
                     m->name.p, p->n) != NULL;
    for (size_t i = 0; i < args->n && i < p->n; i++)
        if (!jscope_set(r, s, p->id[i], args->pos[i])) return false;
    if (!p->uses_varargs) return true;
    jval *rest = jseq_new(r, JQ_TUPLE, 0);
    for (size_t i = p->n; rest && i < args->n; i++)
        if (!jseq_push(r, rest, args->pos[i])) return false;
    return jscope_set(r, s, r->t->id_varargs, rest);
}

static bool bind_one_keyword(jrun *r, const jmacro *m, jscope *s, const jargs *args, size_t k,
                             jval *rest) {
    const jparams *const p = m->params;
    const pgd_sv name = args->kw_name[k];
    const size_t i = param_of(p, name);
    if (i != SIZE_MAX) {
        if (i < args->n)
            return jfail(r, "macro '%.*s' got multiple values for argument '%.*s'", (int)m->name.n,
                         m->name.p, (int)name.n, name.p) != NULL;
        return jscope_set(r, s, p->id[i], args->kw[k]);
    }
    if (p->uses_caller && pgd_sv_eq(name, PGD_SV("caller")))
        return jscope_set(r, s, r->t->id_caller, args->kw[k]);
    if (!p->uses_kwargs)
        return jfail(r, "macro '%.*s' takes no keyword argument '%.*s'", (int)m->name.n, m->name.p,
                     (int)name.n, name.p) != NULL;
    return jdict_set(r, rest, jstr_trusted(r, name), args->kw[k]);
}

static bool is_bound(const jscope *s, uint32_t id) {
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].id == id) return true;
    return false;
}

static bool bind_defaults(jrun *r, const jmacro *m, jscope *s) {
    const jparams *const p = m->params;
    const size_t first = p->n - p->defaults.n;
    for (size_t i = 0; i < p->n; i++) {
        if (is_bound(s, p->id[i])) continue;
        jval *const v = i >= first ? jeval(r, s, p->defaults.v[i - first])
                                   : jundef_hint(r, "a macro parameter was not provided");
        if (!jscope_set(r, s, p->id[i], v)) return false;
    }
    if (!p->uses_caller || is_bound(s, r->t->id_caller)) return true;
    return jscope_set(r, s, r->t->id_caller, jundef_hint(r, "No caller defined"));
}

static jval *call_body(jrun *r, const jmacro *m, const jargs *args) {
    jscope *const s = jscope_new(r, m->scope);
    if (!s || !bind_positional(r, m, s, args)) return NULL;
    jval *rest = NULL;
    if (m->params->uses_kwargs) {
        rest = jdict_new(r);
        if (!jscope_set(r, s, r->t->id_kwargs, rest)) return NULL;
    }
    for (size_t k = 0; k < args->n_kw; k++)
        if (!bind_one_keyword(r, m, s, args, k, rest)) return NULL;
    if (!bind_defaults(r, m, s)) return NULL;
    return jcapture(r, s, m->body);
}

jval *jmacro_call(jrun *r, const jmacro *m, const jargs *args) {
    const uint32_t line = r->line;
    if (!jenter(r)) return NULL;
    jval *const v = call_body(r, m, args);
    jleave(r);
    if (v) r->line = line;
    return v;
}
