/* The functions that every template can call: those of jinja2 (range, dict, namespace, cycler,
 * joiner) and the two that `transformers` adds (raise_exception, strftime_now). lipsum is left out.
 * Thread: one run, one thread. */
#include "jinja_int.h"

#include <inttypes.h>
#include <string.h>

#include "pagoda/clock.h"

enum { MAX_RANGE = 100000 }; /* the sandbox of jinja2 has the same bound */

static jval *g_range(jrun *r, const jargs *args) {
    int64_t part[3] = {0, 0, 1};
    if (args->n_kw) return jfail(r, "range() takes no keyword arguments");
    if (args->n < 1 || args->n > 3)
        return jfail(r, "range expected 1 to 3 arguments, got %zu", args->n);
    for (size_t i = 0; i < args->n; i++) {
        if (args->pos[i]->type == JV_UNDEF) return jundef_fail(r, args->pos[i]);
        if (!jas_int(args->pos[i], &part[args->n == 1 ? 1 : i]))
            return jfail(r, "'%s' object cannot be interpreted as an integer",
                         jtype_name(args->pos[i]));
    }
    const int64_t step = part[2];
    if (!step) return jfail(r, "range() arg 3 must not be zero");
    for (int i = 0; i < 3; i++)
        if (part[i] > INT64_MAX / 4 || part[i] < INT64_MIN / 4)
            return jfail(r, "range() argument is too large");
    int64_t n = 0;
    if (step > 0 && part[1] > part[0]) n = (part[1] - part[0] - 1) / step + 1;
    if (step < 0 && part[1] < part[0]) n = (part[0] - part[1] - 1) / -step + 1;
    if (n > MAX_RANGE)
        return jfail(r, "Range too big. The sandbox blocks ranges larger than %d.", MAX_RANGE);
    jval *v = jnew(r, JV_RANGE);
    if (!v) return NULL;
    v->as.range.start = part[0];
    v->as.range.step = step;
    v->as.range.n = n;
    return v;
}

/* Members from a mapping or pairs (the only positional argument), then keyword arguments. */
static jval *fill_dict(jrun *r, jval *d, const jargs *args, const char *fname) {
    if (!d) return NULL;
    if (args->n > 1) return jfail(r, "%s expected at most 1 argument, got %zu", fname, args->n);
    if (args->n && (args->pos[0]->type == JV_DICT || args->pos[0]->type == JV_NAMESPACE)) {
        const jdict *const from = &args->pos[0]->as.d;
        for (size_t i = 0; i < from->n; i++)
            if (!jdict_set(r, d, from->e[i].key, from->e[i].val)) return NULL;
    } else if (args->n) {
        jiter it;
        jval *item;
        if (!jiter_init(r, &it, args->pos[0])) return NULL;
        while ((item = jiter_next(&it)) != NULL) {
            jval *const pair = jlist_of(r, item, JQ_LIST);
            if (!pair) return NULL;
            if (pair->as.q.n != 2) return jfail(r, "%s: an element is not a pair", fname);
            if (!jdict_set(r, d, pair->as.q.v[0], pair->as.q.v[1])) return NULL;
        }
        if (r->status != PGD_OK) return NULL;
    }
    for (size_t k = 0; k < args->n_kw; k++)
        if (!jdict_set(r, d, jstr_trusted(r, args->kw_name[k]), args->kw[k])) return NULL;
    return d;
}

static jval *g_dict(jrun *r, const jargs *args) {
    return fill_dict(r, jdict_new(r), args, "dict");
}

static jval *g_namespace(jrun *r, const jargs *args) {
    return fill_dict(r, jnew(r, JV_NAMESPACE), args, "namespace");
}

static jval *g_cycler(jrun *r, const jargs *args) {
    if (!args->n) return jfail(r, "at least one item has to be provided");
    jval *v = jnew(r, JV_CYCLER);
    if (!v) return NULL;
    v->as.cycler.v = args->pos; /* arguments live as long as the render */
    v->as.cycler.n = args->n;
    return v;
}

jval *jcycler_next(jrun *r, jval *self, const jargs *args) {
    if (!jbind(r, "next", "", args, NULL, 0)) return NULL;
    jval *const v = self->as.cycler.v[self->as.cycler.pos];
    self->as.cycler.pos = (self->as.cycler.pos + 1) % self->as.cycler.n;
    return v;
}

jval *jcycler_reset(jrun *r, jval *self, const jargs *args) {
    if (!jbind(r, "reset", "", args, NULL, 0)) return NULL;
    self->as.cycler.pos = 0;
    return r->v_null;
}

jval *jcycler_attr(jrun *r, jval *c, pgd_sv name) {
    if (pgd_sv_eq(name, PGD_SV("current"))) return c->as.cycler.v[c->as.cycler.pos];
    const char *const method = jmethod_find(c, name);
    jval *v = method ? jnew(r, JV_METHOD) : NULL;
    if (!v) return NULL;
    v->as.method.self = c;
    v->as.method.name = method;
    return v;
}

static jval *g_joiner(jrun *r, const jargs *args) {
    jval *sep[1];
    if (!jbind(r, "joiner", "sep", args, sep, 1)) return NULL;
    jval *v = jnew(r, JV_JOINER);
    if (!v) return NULL;
    v->as.joiner.sep = sep[0] ? sep[0] : jstr_const(r, ", ");
    return v->as.joiner.sep ? v : NULL;
}

static jval *g_raise(jrun *r, const jargs *args) {
    jval *v[1];
    if (!jbind(r, "raise_exception", "message!", args, v, 1)) return NULL;
    const jval *const s = jto_str(r, v[0]);
    if (!s) return NULL;
    const int n = s->as.s.n > PGD_ERROR_MSG_BYTES ? PGD_ERROR_MSG_BYTES : (int)s->as.s.n;
    return jfail_code(r, PGD_E_INVALID, "%.*s", n, s->as.s.p);
}

static jval *g_strftime(jrun *r, const jargs *args) {
    jval *v[1];
    if (!jbind(r, "strftime_now", "format!", args, v, 1)) return NULL;
    if (v[0]->type != JV_STR) return jfail(r, "strftime_now() argument must be a string");
    int64_t now = r->lim->now_unix;
    if (!now) now = (int64_t)(pgd_wall_ns() / 1000000000U);
    return jstrftime(r, now, v[0]);
}

jfunc jglobal_find(pgd_sv name, const char **static_name) {
    static const struct {
        const char *name;
        jfunc fn;
    } globals[] = {
        {"range", g_range},           {"dict", g_dict},     {"cycler", g_cycler},
        {"namespace", g_namespace},   {"joiner", g_joiner}, {"raise_exception", g_raise},
        {"strftime_now", g_strftime},
    };
    for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
        if (!pgd_sv_eq(name, pgd_sv_c(globals[i].name))) continue;
        *static_name = globals[i].name;
        return globals[i].fn;
    }
    return NULL;
}
