/* Statements of the template engine: output, conditions, assignments, blocks. Loops and macros are
 * in files of their own.
 *
 * A body is executed with the scope it writes to; output goes to r->out, which blocks that capture
 * text swap for a while. A flow other than OK ends the body at once. Thread: one run, one thread.
 */
#include "jinja_int.h"

#include <string.h>

jscope *jscope_new(jrun *r, jscope *parent) {
    jscope *s = jalloc(r, sizeof(*s));
    if (!s) return NULL;
    memset(s, 0, sizeof(*s));
    s->parent = parent;
    return s;
}

/* ---- assignment --------------------------------------------------------------------------- */

static bool unpack(jrun *r, jscope *s, const jnode *target, jval *v) {
    jval *const items = jlist_of(r, v, JQ_LIST);
    const size_t want = target->kids.n;
    if (!items) return false;
    if (items->as.q.n != want) {
        if (items->as.q.n > want)
            return jfail(r, "too many values to unpack (expected %zu)", want) != NULL;
        return jfail(r, "not enough values to unpack (expected %zu, got %zu)", want,
                     items->as.q.n) != NULL;
    }
    for (size_t i = 0; i < want; i++)
        if (!jassign(r, s, target->kids.v[i], items->as.q.v[i])) return false;
    return true;
}

bool jassign(jrun *r, jscope *s, const jnode *target, jval *v) {
    if (!v) return false;
    switch (target->kind) {
    case JE_NAME:
        return jscope_set(r, s, target->id, v);
    case JE_NSREF: {
        jval *const ns = jscope_get(r, s, target->id);
        if (!ns) return false;
        if (ns->type != JV_NAMESPACE)
            return jfail(r, "cannot assign attribute on non-namespace object") != NULL;
        return jdict_set(r, ns, target->konst, v);
    }
    default: {
        if (!jenter(r)) return false;
        const bool ok = unpack(r, s, target, v);
        jleave(r);
        return ok;
    }
    }
}

/* ---- statements --------------------------------------------------------------------------- */

jval *jcapture(jrun *r, jscope *s, const jnodes *body) {
    jsb text = {0};
    jsb *const outer = r->out;
    r->out = &text;
    const jflow flow = jexec(r, s, body);
    r->out = outer;
    return flow == JFLOW_ERROR ? NULL : jsb_done(r, &text);
}

static jflow exec_print(jrun *r, jscope *s, const jnode *n) {
    for (size_t i = 0; i < n->kids.n; i++) {
        const jval *const v = jeval(r, s, n->kids.v[i]);
        if (!v || !jput_str(r, r->out, v)) return JFLOW_ERROR;
    }
    return JFLOW_OK;
}

static jflow exec_if(jrun *r, jscope *s, const jnode *n) {
    for (size_t i = 0; i < n->kids.n; i++) {
        const jnode *const branch = n->kids.v[i];
        const jval *const v = jeval(r, s, branch->a);
        if (!v) return JFLOW_ERROR;
        if (jtruth(v)) return jexec(r, s, &branch->kids);
    }
    return jexec(r, s, &n->orelse);
}

static jflow exec_set_block(jrun *r, jscope *s, const jnode *n) {
    jscope *const inner = jscope_new(r, s);
    jval *v = inner ? jcapture(r, inner, &n->kids) : NULL;
    if (v && n->b) v = japply_filter(r, s, n->b, v);
    return v && jassign(r, s, n->a, v) ? JFLOW_OK : JFLOW_ERROR;
}

static jflow exec_filter_block(jrun *r, jscope *s, const jnode *n) {
    jscope *const inner = jscope_new(r, s);
    jval *v = inner ? jcapture(r, inner, &n->kids) : NULL;
    if (v) v = japply_filter(r, inner, n->a, v);
    return v && jput_str(r, r->out, v) ? JFLOW_OK : JFLOW_ERROR;
}

static jflow exec_with(jrun *r, jscope *s, const jnode *n) {
    jscope *const inner = jscope_new(r, s);
    if (!inner) return JFLOW_ERROR;
    for (size_t i = 0; i < n->orelse.n; i++) /* values are seen from outside */
        if (!jassign(r, inner, n->a->kids.v[i], jeval(r, s, n->orelse.v[i]))) return JFLOW_ERROR;
    return jexec(r, inner, &n->kids);
}

/* The body of a call block is passed to the called macro as the keyword argument `caller`. */
static jflow exec_call(jrun *r, jscope *s, const jnode *n) {
    jargs args;
    jval *const caller = jmacro_new(r, s, n, n->name);
    jval *const callee = caller ? jeval(r, s, n->a->a) : NULL;
    if (!callee || !jeval_args(r, s, n->a->args, &args)) return JFLOW_ERROR;
    if (!args.kw) {
        args.kw = jalloc(r, sizeof(jval *));
        args.kw_name = jalloc(r, sizeof(pgd_sv));
        if (!args.kw || !args.kw_name) return JFLOW_ERROR;
    }
    args.kw_name[args.n_kw] = PGD_SV("caller"); /* jeval_args leaves room for it */
    args.kw[args.n_kw++] = caller;
    r->line = n->line;
    const jval *const v = jcall(r, callee, &args);
    return v && jput_str(r, r->out, v) ? JFLOW_OK : JFLOW_ERROR;
}

static jflow exec_macro(jrun *r, jscope *s, const jnode *n) {
    return jscope_set(r, s, n->id, jmacro_new(r, s, n, n->name)) ? JFLOW_OK : JFLOW_ERROR;
}

/* {% generation %} marks what the assistant said, for training; here its text is just output. The
 * body has a scope of its own, as the call block that `transformers` makes of it. */
static jflow exec_generation(jrun *r, jscope *s, const jnode *n) {
    jscope *const inner = jscope_new(r, s);
    return inner ? jexec(r, inner, &n->kids) : JFLOW_ERROR;
}

static jflow exec_one(jrun *r, jscope *s, const jnode *n) {
    switch (n->kind) {
    case JS_DATA:
        jsb_put_str(r, r->out, n->konst);
        return JFLOW_OK;
    case JS_PRINT:
        return exec_print(r, s, n);
    case JS_IF:
        return exec_if(r, s, n);
    case JS_FOR:
        return jloop_exec(r, s, n);
    case JS_SET:
        return jassign(r, s, n->a, jeval(r, s, n->b)) ? JFLOW_OK : JFLOW_ERROR;
    case JS_SETBLOCK:
        return exec_set_block(r, s, n);
    case JS_MACRO:
        return exec_macro(r, s, n);
    case JS_CALL:
        return exec_call(r, s, n);
    case JS_FILTER:
        return exec_filter_block(r, s, n);
    case JS_WITH:
        return exec_with(r, s, n);
    case JS_GENERATION:
        return exec_generation(r, s, n);
    case JS_BREAK:
        return JFLOW_BREAK;
    case JS_CONTINUE:
        return JFLOW_CONTINUE;
    default:
        jfail(r, "expression in place of a statement");
        return JFLOW_ERROR;
    }
}

jflow jexec(jrun *r, jscope *s, const jnodes *body) {
    jflow flow = JFLOW_OK;
    if (!body->n) return JFLOW_OK;
    if (!jenter(r)) return JFLOW_ERROR;
    for (size_t i = 0; i < body->n && flow == JFLOW_OK; i++) {
        r->line = body->v[i]->line;
        flow = jstep(r) ? exec_one(r, s, body->v[i]) : JFLOW_ERROR;
    }
    jleave(r);
    return r->status == PGD_OK && !r->out->failed ? flow : JFLOW_ERROR;
}
