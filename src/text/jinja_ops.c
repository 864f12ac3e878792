/* Operators of the template engine with Python's semantics: arithmetic over bool, int and float,
 * joining and repeating of strings, lists and tuples, comparison, containment. Integers are int64;
 * a result that does not fit is an error, never a wrap.
 *
 * Work is proportional to the data touched and counted (jsteps). Thread: one run, one thread. */
#include "jinja_int.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *op_text(int op, char buf[3]) {
    buf[0] = (char)(op >> 8 ? op >> 8 : op);
    buf[1] = (char)(op >> 8 ? op & 255 : 0);
    buf[2] = 0;
    return buf;
}

static jval *bad_operands(jrun *r, int op, const jval *a, const jval *b) {
    char text[3];
    if (a->type == JV_UNDEF) return jundef_fail(r, a);
    if (b->type == JV_UNDEF) return jundef_fail(r, b);
    if (op == '+' && a->type == JV_STR)
        return jfail(r, "can only concatenate str (not \"%s\") to str", jtype_name(b));
    if (op == '+' && a->type == JV_SEQ && a->sub <= JQ_TUPLE)
        return jfail(r, "can only concatenate %s (not \"%s\") to %s", jtype_name(a), jtype_name(b),
                     jtype_name(a));
    return jfail(r, "unsupported operand type(s) for %s: '%s' and '%s'", op_text(op, text),
                 jtype_name(a), jtype_name(b));
}

/* ---- numbers ------------------------------------------------------------------------------ */

static int64_t floor_div(int64_t a, int64_t b) {
    const int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static bool int_pow(int64_t base, int64_t exp, int64_t *out) {
    int64_t v = 1;
    while (exp) {
        if ((exp & 1) && __builtin_mul_overflow(v, base, &v)) return false;
        exp >>= 1;
        if (exp && __builtin_mul_overflow(base, base, &base)) return false;
    }
    *out = v;
    return true;
}

static jval *int_op(jrun *r, int op, int64_t a, int64_t b) {
    int64_t v = 0;
    bool overflow = false;
    if ((op == '/' || op == '%' || op == JOP2('/', '/')) && b == 0)
        return jfail(r, op == '/' ? "division by zero" : "integer division or modulo by zero");
    switch (op) {
    case '+':
        overflow = __builtin_add_overflow(a, b, &v);
        break;
    case '-':
        overflow = __builtin_sub_overflow(a, b, &v);
        break;
    case '*':
        overflow = __builtin_mul_overflow(a, b, &v);
        break;
    case '/':
        return jfloat(r, (double)a / (double)b);
    case JOP2('/', '/'):
        overflow = a == INT64_MIN && b == -1;
        if (!overflow) v = floor_div(a, b);
        break;
    case '%':
        if (b != -1) v = a - floor_div(a, b) * b;
        break;
    default:
        if (b < 0)
            return a == 0 ? jfail(r, "0.0 cannot be raised to a negative power")
                          : jfloat(r, pow((double)a, (double)b));
        overflow = !int_pow(a, b, &v);
        break;
    }
    return overflow ? jfail(r, "integer result does not fit 64 bits") : jint(r, v);
}

static jval *float_op(jrun *r, int op, double a, double b) {
    switch (op) {
    case '+':
        return jfloat(r, a + b);
    case '-':
        return jfloat(r, a - b);
    case '*':
        return jfloat(r, a * b);
    case '/':
        return b == 0 ? jfail(r, "float division by zero") : jfloat(r, a / b);
    case '%':
    case JOP2('/', '/'): {
        if (b == 0) return jfail(r, "float floor division by zero");
        double m = fmod(a, b), q = (a - m) / b;
        if (m != 0 && (b < 0) != (m < 0)) {
            m += b;
            q -= 1.0;
        }
        if (m == 0) m = copysign(0.0, b);
        if (op == '%') return jfloat(r, m);
        if (q == 0) return jfloat(r, copysign(0.0, a / b));
        const double whole = floor(q);
        return jfloat(r, q - whole > 0.5 ? whole + 1.0 : whole); /* the division rounds */
    }
    default: {
        if (a == 0 && b < 0) return jfail(r, "0.0 cannot be raised to a negative power");
        if (a < 0 && b != floor(b)) return jfail(r, "complex numbers are not supported");
        const double p = pow(a, b);
        if (isinf(p) && isfinite(a) && isfinite(b))
            return jfail(r, "numerical result out of range");
        return jfloat(r, p);
    }
    }
}

jval *jneg(jrun *r, jval *v) {
    int64_t i;
    if (v->type == JV_FLOAT) return jfloat(r, -v->as.f);
    if (jas_int(v, &i))
        return i == INT64_MIN ? jfail(r, "integer result does not fit 64 bits") : jint(r, -i);
    if (v->type == JV_UNDEF) return jundef_fail(r, v);
    return jfail(r, "bad operand type for unary -: '%s'", jtype_name(v));
}

/* ---- joining and repeating ---------------------------------------------------------------- */

jval *jescape_html(jrun *r, const jval *s) {
    if (s->markup) return jstr_sub(r, s, 0, s->as.s.n);
    const jstr *const t = &s->as.s;
    jsb b = {0};
    size_t plain = 0;
    for (size_t i = 0; i < t->n; i++) {
        const char *e = NULL;
        switch (t->p[i]) {
        case '&':
            e = "&amp;";
            break;
        case '<':
            e = "&lt;";
            break;
        case '>':
            e = "&gt;";
            break;
        case '\'':
            e = "&#39;";
            break;
        case '"':
            e = "&#34;";
            break;
        default:
            continue;
        }
        jsb_put_sub(r, &b, s, plain, i);
        jsb_put(r, &b, pgd_sv_c(e), jstr_all_trusted(s));
        plain = i + 1;
    }
    jsb_put_sub(r, &b, s, plain, t->n);
    jval *const out = jsb_done(r, &b);
    if (out) out->markup = true;
    return out;
}

static jval *add_strings(jrun *r, const jval *a, const jval *b) {
    const bool markup = a->markup || b->markup;
    if (markup) { /* text that was marked safe escapes what it is joined with */
        if (!a->markup && !(a = jescape_html(r, a))) return NULL;
        if (!b->markup && !(b = jescape_html(r, b))) return NULL;
    }
    jval *const out = jstr_concat(r, a, b);
    if (out) out->markup = markup;
    return out;
}

static jval *add_seqs(jrun *r, const jval *a, const jval *b) {
    jval *out = jseq_new(r, (jseq_kind)a->sub, a->as.q.n + b->as.q.n);
    if (!out || !jsteps(r, a->as.q.n + b->as.q.n)) return NULL;
    for (size_t i = 0; i < a->as.q.n; i++)
        if (!jseq_push(r, out, a->as.q.v[i])) return NULL;
    for (size_t i = 0; i < b->as.q.n; i++)
        if (!jseq_push(r, out, b->as.q.v[i])) return NULL;
    return out;
}

static jval *repeat(jrun *r, const jval *v, int64_t times) {
    if (times < 0) times = 0;
    if (v->type == JV_STR) {
        jsb b = {0};
        if (v->as.s.n && (uint64_t)times > r->lim->max_memory_bytes / v->as.s.n)
            return jfail_code(r, PGD_E_LIMIT, "the template uses more memory than allowed");
        for (int64_t i = 0; v->as.s.n && i < times && !b.failed; i++)
            jsb_put_str(r, &b, v);
        return jsb_done(r, &b);
    }
    jval *out = jseq_new(r, (jseq_kind)v->sub, 0);
    for (int64_t i = 0; out && v->as.q.n && i < times; i++) {
        if (!jsteps(r, v->as.q.n)) return NULL;
        for (size_t k = 0; k < v->as.q.n; k++)
            if (!jseq_push(r, out, v->as.q.v[k])) return NULL;
    }
    return out;
}

static bool is_list_or_tuple(const jval *v) {
    return v->type == JV_SEQ && v->sub <= JQ_TUPLE;
}

jval *jbinop(jrun *r, int op, jval *a, jval *b) {
    int64_t x, y;
    if (op == '%' && a->type == JV_STR) return jpercent(r, a, b);
    if (jis_num(a) && jis_num(b)) {
        if (jas_int(a, &x) && jas_int(b, &y)) return int_op(r, op, x, y);
        return float_op(r, op, jas_double(a), jas_double(b));
    }
    if (op == '+') {
        if (a->type == JV_STR && b->type == JV_STR) return add_strings(r, a, b);
        if (is_list_or_tuple(a) && is_list_or_tuple(b) && a->sub == b->sub)
            return add_seqs(r, a, b);
    }
    if (op == '*') {
        if ((a->type == JV_STR || is_list_or_tuple(a)) && jas_int(b, &y)) return repeat(r, a, y);
        if ((b->type == JV_STR || is_list_or_tuple(b)) && jas_int(a, &x)) return repeat(r, b, x);
    }
    return bad_operands(r, op, a, b);
}

/* ---- comparison --------------------------------------------------------------------------- */

/* -1, 0, 1, or 2 when the two cannot be ordered (failure recorded); NaN is unequal to all: 3. */
static int order(jrun *r, int op, const jval *a, const jval *b) {
    char text[3];
    int64_t x, y;
    if (jis_num(a) && jis_num(b)) {
        if (jas_int(a, &x) && jas_int(b, &y)) return x < y ? -1 : x > y;
        const double f = jas_double(a), g = jas_double(b);
        return f < g ? -1 : f > g ? 1 : f == g ? 0 : 3;
    }
    if (a->type == JV_STR && b->type == JV_STR) {
        const pgd_sv s = jsv(a), t = jsv(b); /* byte order of UTF-8 is code point order */
        const size_t n = s.n < t.n ? s.n : t.n;
        if (!jsteps(r, n / 64)) return 2;
        const int c = n ? memcmp(s.p, t.p, n) : 0;
        if (c) return c < 0 ? -1 : 1;
        return s.n < t.n ? -1 : s.n > t.n;
    }
    if (is_list_or_tuple(a) && is_list_or_tuple(b) && a->sub == b->sub) {
        if (!jenter(r)) return 2;
        int c = a->as.q.n < b->as.q.n ? -1 : a->as.q.n > b->as.q.n;
        for (size_t i = 0; i < a->as.q.n && i < b->as.q.n; i++) {
            if (jequal(r, a->as.q.v[i], b->as.q.v[i])) continue;
            c = order(r, op, a->as.q.v[i], b->as.q.v[i]);
            break;
        }
        jleave(r);
        return c;
    }
    if (a->type == JV_UNDEF)
        jundef_fail(r, a);
    else if (b->type == JV_UNDEF)
        jundef_fail(r, b);
    else
        jfail(r, "'%s' not supported between instances of '%s' and '%s'", op_text(op, text),
              jtype_name(a), jtype_name(b));
    return 2;
}

bool jcompare(jrun *r, int op, const jval *a, const jval *b, bool *out) {
    if (op == JOP2('=', '=') || op == JOP2('!', '=')) {
        *out = jequal(r, a, b) == (op == JOP2('=', '='));
        return r->status == PGD_OK;
    }
    const int c = order(r, op, a, b);
    if (c == 2 || r->status != PGD_OK) return false;
    if (c == 3)
        *out = false;
    else if (op == '<')
        *out = c < 0;
    else if (op == '>')
        *out = c > 0;
    else if (op == JOP2('<', '='))
        *out = c <= 0;
    else
        *out = c >= 0;
    return true;
}

bool jless(jrun *r, const jval *a, const jval *b, bool *out) {
    return jcompare(r, '<', a, b, out);
}

bool jcontains(jrun *r, jval *item, jval *container, bool *out) {
    *out = false;
    switch (container->type) {
    case JV_STR:
        if (item->type != JV_STR) {
            jfail(r, "'in <string>' requires string as left operand, not %s", jtype_name(item));
            return false;
        }
        if (!jsteps(r, container->as.s.n / 64)) return false;
        *out = pgd_sv_find(jsv(container), jsv(item), 0) != SIZE_MAX;
        return true;
    case JV_DICT: {
        uint64_t h;
        if (!jhash(item, &h)) {
            jfail(r, "unhashable type: '%s'", jtype_name(item));
            return false;
        }
        *out = jdict_get(container, item) != NULL;
        return true;
    }
    default:
        break;
    }
    if (!jiterable(container)) {
        jfail(r, "argument of type '%s' is not iterable", jtype_name(container));
        return false;
    }
    jiter it;
    jval *v;
    if (!jiter_init(r, &it, container)) return false;
    while ((v = jiter_next(&it)) != NULL && !*out)
        *out = jequal(r, v, item);
    return r->status == PGD_OK;
}
