/* Tests of the template engine: what may stand after `is`, and what select() and its kin name.
 * Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

static bool t_defined(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type != JV_UNDEF;
    return true;
}

static bool t_undefined(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_UNDEF;
    return true;
}

static bool t_none(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_NULL;
    return true;
}

static bool t_boolean(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_BOOL;
    return true;
}

static bool t_true(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_BOOL && v->as.b;
    return true;
}

static bool t_false(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_BOOL && !v->as.b;
    return true;
}

static bool t_integer(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_INT;
    return true;
}

static bool t_float(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_FLOAT;
    return true;
}

static bool t_number(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = jis_num(v);
    return true;
}

static bool t_string(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_STR;
    return true;
}

static bool t_mapping(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_DICT;
    return true;
}

static bool t_sequence(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args; /* what has a length and items; even undefined has */
    *out = v->type == JV_UNDEF || v->type == JV_STR || v->type == JV_DICT || v->type == JV_RANGE ||
           (v->type == JV_SEQ && v->sub <= JQ_TUPLE);
    return true;
}

static bool t_iterable(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = jiterable(v);
    return true;
}

static bool t_callable(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args; /* Undefined has __call__, though it only raises */
    *out = v->type == JV_FUNC || v->type == JV_METHOD || v->type == JV_MACRO ||
           v->type == JV_LOOP || v->type == JV_JOINER || v->type == JV_UNDEF;
    return true;
}

static bool t_escaped(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_STR && v->markup;
    return true;
}

static bool remainder_is(jrun *r, jval *v, jval *by, int64_t want, bool *out) {
    jval *const m = jbinop(r, '%', v, by);
    jval *const w = m ? jint(r, want) : NULL;
    if (!w) return false;
    *out = jequal(r, m, w);
    return true;
}

static bool t_odd(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)args;
    jval *const two = jint(r, 2);
    return two && remainder_is(r, v, two, 1, out);
}

static bool t_even(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)args;
    jval *const two = jint(r, 2);
    return two && remainder_is(r, v, two, 0, out);
}

static bool t_divisibleby(jrun *r, jval *v, const jargs *args, bool *out) {
    return remainder_is(r, v, args->pos[0], 0, out);
}

static bool t_eq(jrun *r, jval *v, const jargs *args, bool *out) {
    return jcompare(r, JOP2('=', '='), v, args->pos[0], out);
}

static bool t_ne(jrun *r, jval *v, const jargs *args, bool *out) {
    return jcompare(r, JOP2('!', '='), v, args->pos[0], out);
}

static bool t_lt(jrun *r, jval *v, const jargs *args, bool *out) {
    return jcompare(r, '<', v, args->pos[0], out);
}

static bool t_le(jrun *r, jval *v, const jargs *args, bool *out) {
    return jcompare(r, JOP2('<', '='), v, args->pos[0], out);
}

static bool t_gt(jrun *r, jval *v, const jargs *args, bool *out) {
    return jcompare(r, '>', v, args->pos[0], out);
}

static bool t_ge(jrun *r, jval *v, const jargs *args, bool *out) {
    return jcompare(r, JOP2('>', '='), v, args->pos[0], out);
}

/* Identity: singletons and small integers are one object in Python, other values only themselves.
 */
static bool t_sameas(jrun *r, jval *v, const jargs *args, bool *out) {
    const jval *const o = args->pos[0];
    const bool small = v->type == JV_NULL || v->type == JV_BOOL || v->type == JV_INT;
    *out = v == o || (small && v->type == o->type && jequal(r, v, o));
    return true;
}

static bool t_in(jrun *r, jval *v, const jargs *args, bool *out) {
    return jcontains(r, v, args->pos[0], out);
}

static bool case_is(jrun *r, const jval *v, const char *method, bool *out) {
    const jargs none = {0};
    jval *const s = jto_str(r, v);
    const jval *const yes = s ? jstr_method(r, s, method, &none) : NULL;
    if (!yes) return false;
    *out = jtruth(yes);
    return true;
}

static bool t_lower(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)args;
    return case_is(r, v, "islower", out);
}

static bool t_upper(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)args;
    return case_is(r, v, "isupper", out);
}

static bool t_filter(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_STR && jfilter_find(jsv(v)) != NULL;
    return true;
}

static bool t_test(jrun *r, jval *v, const jargs *args, bool *out) {
    (void)r, (void)args;
    *out = v->type == JV_STR && jtest_find(jsv(v)) != NULL;
    return true;
}

static const jtest_def tests[] = {
    {"defined", t_defined, 0},
    {"undefined", t_undefined, 0},
    {"none", t_none, 0},
    {"string", t_string, 0},
    {"mapping", t_mapping, 0},
    {"sequence", t_sequence, 0},
    {"iterable", t_iterable, 0},
    {"boolean", t_boolean, 0},
    {"true", t_true, 0},
    {"false", t_false, 0},
    {"integer", t_integer, 0},
    {"float", t_float, 0},
    {"number", t_number, 0},
    {"callable", t_callable, 0},
    {"escaped", t_escaped, 0},
    {"odd", t_odd, 0},
    {"even", t_even, 0},
    {"divisibleby", t_divisibleby, 1},
    {"eq", t_eq, 1},
    {"==", t_eq, 1},
    {"equalto", t_eq, 1},
    {"ne", t_ne, 1},
    {"!=", t_ne, 1},
    {"lt", t_lt, 1},
    {"<", t_lt, 1},
    {"lessthan", t_lt, 1},
    {"le", t_le, 1},
    {"<=", t_le, 1},
    {"gt", t_gt, 1},
    {">", t_gt, 1},
    {"greaterthan", t_gt, 1},
    {"ge", t_ge, 1},
    {">=", t_ge, 1},
    {"sameas", t_sameas, 1},
    {"in", t_in, 1},
    {"lower", t_lower, 0},
    {"upper", t_upper, 0},
    {"filter", t_filter, 0},
    {"test", t_test, 0},
};

const jtest_def *jtest_find(pgd_sv name) {
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (pgd_sv_eq(name, pgd_sv_c(tests[i].name))) return &tests[i];
    return NULL;
}

bool jtest_run(jrun *r, const jtest_def *t, jval *v, const jargs *args, bool *out) {
    if (args->n != t->n_args || args->n_kw)
        return jfail(r, "test '%s' takes %u argument(s), %zu given", t->name, t->n_args,
                     args->n + args->n_kw) != NULL;
    return t->fn(r, v, args, out) && r->status == PGD_OK;
}
