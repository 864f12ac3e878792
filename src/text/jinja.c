/* The public face of the template engine: compile once, render many times. A compiled template is
 * one arena with the tree and is never written again; a render owns an arena of its own, bounded by
 * the limits, and copies its result out. Also here: the failure record and the budgets that all
 * other files of the engine draw on.
 *
 * Thread: a template is shared read-only; a render belongs to the calling thread. */
#include "jinja_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pagoda/mem.h"

/* A chat of 100 messages takes some 10^4 steps and 0.2 ms; 10^7 is a second of work or two. Depth
 * 1000 is a macro that calls itself some 100 times, as those that print nested schemas do, and fits
 * a stack of 512 KiB (test_jinja runs it on one). */
const pgd_jinja_limits pgd_jinja_limits_default = {
    .max_steps = 10 * 1000 * 1000,
    .max_output_bytes = (size_t)64 << 20,
    .max_memory_bytes = (size_t)256 << 20,
    .max_depth = 1000,
};

pgd_status pgd_jinja_compile_with(pgd_sv source, const jlex_options *opt, pgd_jinja **out,
                                  pgd_error *err) {
    *out = NULL;
    pgd_arena *a = NULL;
    if (pgd_arena_create(&a, 0) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "no memory for a template");
    jtok *tok = NULL;
    size_t n = 0;
    pgd_status st = PGD_E_NOMEM;
    pgd_jinja *t = pgd_arena_zalloc(a, sizeof(*t));
    if (!t) {
        pgd_fail(err, PGD_E_NOMEM, "no memory for a template");
        goto out;
    }
    t->arena = a;
    st = jlex(a, source, opt, &tok, &n, err);
    if (st != PGD_OK) goto out;
    jparser p = {.a = a, .t = t, .tok = tok, .err = err};
    st = jparse_template(&p);
    if (st == PGD_OK) *out = t;
out:
    if (st != PGD_OK) pgd_arena_destroy(&a);
    return st;
}

pgd_status pgd_jinja_compile(pgd_sv source, pgd_jinja **out, pgd_error *err) {
    const jlex_options opt = {.trim_blocks = true, .lstrip_blocks = true};
    return pgd_jinja_compile_with(source, &opt, out, err);
}

void pgd_jinja_destroy(pgd_jinja **t) {
    if (!t || !*t) return;
    pgd_arena *a = (*t)->arena;
    *t = NULL;
    pgd_arena_destroy(&a);
}

void pgd_rendered_fini(pgd_rendered *r) {
    if (!r) return;
    pgd_buf_fini(&r->text);
    pgd_free(r->control);
    *r = (pgd_rendered){0};
}

/* ---- failure and budgets ------------------------------------------------------------------ */

jval *jfail(jrun *r, const char *fmt, ...) {
    if (r->status != PGD_OK) return NULL;
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    r->status = pgd_fail(r->err, PGD_E_INVALID, "template line %u: %s", r->line, msg);
    return NULL;
}

jval *jfail_code(jrun *r, pgd_status code, const char *fmt, ...) {
    if (r->status != PGD_OK) return NULL;
    char msg[PGD_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    r->status = pgd_fail(r->err, code, "%s", msg);
    return NULL;
}

void *jalloc(jrun *r, size_t bytes) {
    void *const p = r->status == PGD_OK ? pgd_arena_alloc(r->a, bytes) : NULL;
    if (p) return p;
    const size_t used = pgd_arena_used(r->a), limit = r->lim->max_memory_bytes;
    if (used >= limit || bytes > (limit - used) / 2) /* the arena rounds and keeps chunk headers */
        jfail_code(r, PGD_E_LIMIT, "the template uses more than %zu bytes of memory", limit);
    else
        jfail_code(r, PGD_E_NOMEM, "no memory to render the template");
    return NULL;
}

void *jalloc_array(jrun *r, size_t n, size_t bytes) {
    size_t total;
    if (!pgd_mul_size(n ? n : 1, bytes, &total)) {
        jfail_code(r, PGD_E_LIMIT, "the template uses more memory than allowed");
        return NULL;
    }
    return jalloc(r, total);
}

bool jsteps(jrun *r, size_t n) {
    if (r->status != PGD_OK) return false;
    r->steps += n;
    if (r->steps <= r->lim->max_steps) return true;
    jfail_code(r, PGD_E_LIMIT, "the template takes more than %llu steps",
               (unsigned long long)r->lim->max_steps);
    return false;
}

bool jstep(jrun *r) {
    return jsteps(r, 1);
}

bool jenter(jrun *r) {
    if (r->status != PGD_OK) return false;
    if (r->depth < r->lim->max_depth) {
        r->depth++;
        return true;
    }
    jfail_code(r, PGD_E_LIMIT, "the template nests deeper than %u", r->lim->max_depth);
    return false;
}

void jleave(jrun *r) {
    r->depth--;
}

/* ---- render ------------------------------------------------------------------------------- */

static bool make_constants(jrun *r) {
    r->v_null = jnew(r, JV_NULL);
    r->v_true = jnew(r, JV_BOOL);
    r->v_false = jnew(r, JV_BOOL);
    r->v_empty = jstr_const(r, "");
    if (!r->v_null || !r->v_true || !r->v_false || !r->v_empty) return false;
    r->v_true->as.b = true;
    return true;
}

/* Bind every name the template knows to its context member or global function, once, so that a
 * variable is an array read. */
static bool bind_globals(jrun *r, const jval *context) {
    const pgd_jinja *const t = r->t;
    r->globals = jalloc_array(r, t->n_names, sizeof(jval *));
    jscope *root = jalloc(r, sizeof(*root));
    if (!r->globals || !root) return false;
    memset(root, 0, sizeof(*root));
    root->v = jalloc_array(r, t->n_names, sizeof(jvar));
    if (!root->v) return false;
    memset(root->v, 0, t->n_names * sizeof(jvar));
    r->root = root;
    for (uint32_t i = 0; i < t->n_names; i++) {
        const char *name = NULL;
        r->globals[i] = context ? jdict_get_sv(context, t->names[i]) : NULL;
        if (r->globals[i]) continue;
        const jfunc fn = jglobal_find(t->names[i], &name);
        if (!fn) continue;
        jval *v = jnew(r, JV_FUNC);
        if (!v) return false;
        v->as.func.fn = fn;
        v->as.func.name = name;
        r->globals[i] = v;
    }
    return true;
}

static pgd_status copy_out(const jsb *b, pgd_rendered *out, pgd_error *err) {
    pgd_rendered res = {0};
    if (b->n) pgd_buf_put(&res.text, b->p, b->n);
    bool ok = !res.text.failed;
    if (ok && b->n_span) {
        res.control = pgd_calloc(b->n_span, sizeof(*res.control));
        ok = res.control != NULL;
        if (ok) memcpy(res.control, b->span, b->n_span * sizeof(*res.control));
        res.n_control = res.cap_control = b->n_span;
    }
    if (!ok) {
        pgd_rendered_fini(&res);
        return pgd_fail(err, PGD_E_NOMEM, "no memory for the rendered template");
    }
    *out = res;
    return PGD_OK;
}

pgd_status pgd_jinja_render(const pgd_jinja *t, const pgd_jinja_value *context,
                            const pgd_jinja_limits *lim, pgd_rendered *out, pgd_error *err) {
    *out = (pgd_rendered){0};
    jrun r = {.t = t, .lim = lim ? lim : &pgd_jinja_limits_default, .err = err};
    if (context && context->type != JV_DICT)
        return pgd_fail(err, PGD_E_INVALID, "the template context is not a dict");
    if (pgd_arena_create(&r.a, r.lim->max_memory_bytes) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "no memory to render the template");
    jsb text = {.is_output = true};
    r.out = &text;
    if (make_constants(&r) && bind_globals(&r, context)) jexec(&r, r.root, &t->body);
    if (r.status == PGD_OK && text.failed)
        jfail_code(&r, PGD_E_INTERNAL, "template output failed without a reason");
    if (r.status == PGD_OK) r.status = copy_out(&text, out, err);
    pgd_arena_destroy(&r.a);
    return r.status;
}
