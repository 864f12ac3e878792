/* The parser of the template engine, expressions, with jinja2's precedence:
 *   inline if < or < and < not < comparison, in < + - < ~ < * / // % < unary, ** < postfix < filter
 * Unary minus binds tighter than a filter but `-x|f` filters x first, as in jinja2 (the operand of
 * an unary operator takes no filter; the whole unary does).
 *
 * Invariants: as jinja_parse.c. Recursion happens only through unary operators and brackets, both
 * counted in p->depth. Thread: any. */
#include "jinja_int.h"

#include <string.h>

static jnode *parse_unary(jparser *p, bool with_filter);

static jnode *parse_const(jparser *p, jval *v, uint32_t line) {
    jnode *n = jparse_node(p, JE_CONST, line);
    if (!n) return NULL;
    if (!v) return jparse_fail(p, line, "template is too large");
    n->konst = v;
    return n;
}

static jnode *parse_name(jparser *p) {
    const jtok *const t = p->tok++;
    if (jtok_is_name(t, "true") || jtok_is_name(t, "True"))
        return parse_const(p, pgd_jinja_bool(p->a, true), t->line);
    if (jtok_is_name(t, "false") || jtok_is_name(t, "False"))
        return parse_const(p, pgd_jinja_bool(p->a, false), t->line);
    if (jtok_is_name(t, "none") || jtok_is_name(t, "None"))
        return parse_const(p, pgd_jinja_null(p->a), t->line);
    jnode *n = jparse_node(p, JE_NAME, t->line);
    if (!n) return NULL;
    n->name = t->text;
    n->id = jparse_intern(p, t->text);
    p->saw_caller |= n->id == p->t->id_caller;
    p->saw_varargs |= n->id == p->t->id_varargs;
    p->saw_kwargs |= n->id == p->t->id_kwargs;
    return n;
}

/* Adjacent literals join, as in Python. */
static jnode *parse_string(jparser *p) {
    const uint32_t line = p->tok->line;
    size_t total = 0, n = 0;
    for (const jtok *t = p->tok; t->kind == JT_STRING; t++)
        total += t->text.n;
    char *joined = pgd_arena_alloc(p->a, total + 1);
    if (!joined) return jparse_fail(p, line, "template is too large");
    for (; p->tok->kind == JT_STRING; p->tok++) {
        if (p->tok->text.n) memcpy(joined + n, p->tok->text.p, p->tok->text.n);
        n += p->tok->text.n;
    }
    return parse_const(p, pgd_jinja_str(p->a, (pgd_sv){joined, total}, true), line);
}

static jnode *parse_list(jparser *p) {
    jnode *n = jparse_node(p, JE_LIST, p->tok->line);
    p->tok++;
    while (n && !jtok_is_op(p->tok, ']')) {
        if (n->kids.n && !jparse_expect_op(p, ',')) return NULL;
        if (jtok_is_op(p->tok, ']')) break;
        if (!jparse_push(p, &n->kids, jparse_expression(p))) return NULL;
    }
    p->tok++;
    return n;
}

static jnode *parse_dict(jparser *p) {
    jnode *n = jparse_node(p, JE_DICT, p->tok->line);
    p->tok++;
    while (n && !jtok_is_op(p->tok, '}')) {
        if (n->kids.n && !jparse_expect_op(p, ',')) return NULL;
        if (jtok_is_op(p->tok, '}')) break;
        if (!jparse_push(p, &n->kids, jparse_expression(p))) return NULL;
        if (!jparse_expect_op(p, ':')) return NULL;
        if (!jparse_push(p, &n->kids, jparse_expression(p))) return NULL;
    }
    p->tok++;
    return n;
}

static jnode *parse_primary_inner(jparser *p) {
    char buf[48];
    const jtok *const t = p->tok;
    switch (t->kind) {
    case JT_NAME:
        return parse_name(p);
    case JT_STRING:
        return parse_string(p);
    case JT_INT:
        p->tok++;
        return parse_const(p, pgd_jinja_int(p->a, t->i), t->line);
    case JT_FLOAT:
        p->tok++;
        return parse_const(p, pgd_jinja_float(p->a, t->f), t->line);
    case JT_OP:
        if (t->op == '(') {
            p->tok++;
            jnode *n = jparse_tuple(p, JTUP_PARENS);
            return n && jparse_expect_op(p, ')') ? n : NULL;
        }
        if (t->op == '[') return parse_list(p);
        if (t->op == '{') return parse_dict(p);
        break;
    default:
        break;
    }
    return jparse_fail(p, 0, "unexpected %s", jtok_describe(t, buf));
}

static jnode *parse_primary(jparser *p) {
    if (++p->depth > JINJA_MAX_PARSE_DEPTH)
        return jparse_fail(p, 0, "expressions are nested too deep");
    jnode *const n = parse_primary_inner(p);
    p->depth--;
    return n;
}

/* ---- postfix: .name [item] (call) --------------------------------------------------------- */

static bool at_subscript_end(const jparser *p) {
    return jtok_is_op(p->tok, ']') || jtok_is_op(p->tok, ',');
}

static jnode *parse_subscribed(jparser *p) {
    const uint32_t line = p->tok->line;
    jnode *first = NULL;
    if (!jtok_is_op(p->tok, ':')) {
        first = jparse_expression(p);
        if (!first || !jtok_is_op(p->tok, ':')) return first;
    }
    p->tok++;
    jnode *n = jparse_node(p, JE_SLICE, line);
    if (!n) return NULL;
    n->a = first;
    if (!jtok_is_op(p->tok, ':') && !at_subscript_end(p) && !(n->b = jparse_expression(p)))
        return NULL;
    if (jparse_skip_op(p, ':') && !at_subscript_end(p) && !(n->c = jparse_expression(p)))
        return NULL;
    return n;
}

static jnode *parse_item(jparser *p, jnode *obj) {
    jnode *n = jparse_node(p, JE_ITEM, p->tok->line);
    p->tok++;
    if (!n) return NULL;
    n->a = obj;
    jnodes subs = {0};
    while (!jtok_is_op(p->tok, ']')) {
        if (subs.n && !jparse_expect_op(p, ',')) return NULL;
        if (!jparse_push(p, &subs, parse_subscribed(p))) return NULL;
    }
    p->tok++;
    if (subs.n == 1) {
        n->b = subs.v[0];
        return n;
    }
    jnode *tuple = jparse_node(p, JE_TUPLE, n->line);
    if (!tuple) return NULL;
    tuple->kids = subs;
    n->b = tuple;
    return n;
}

static jnode *parse_attr(jparser *p, jnode *obj) {
    const jtok *const t = ++p->tok;
    const bool by_name = t->kind == JT_NAME;
    if (!by_name && t->kind != JT_INT)
        return jparse_fail(p, 0, "expected name or number after '.'");
    jnode *n = jparse_node(p, by_name ? JE_ATTR : JE_ITEM, t->line);
    p->tok++;
    if (!n) return NULL;
    n->a = obj;
    if (by_name) {
        n->name = t->text;
        /* Kept as a value too: what an undefined attribute reports and how dicts are searched. */
        n->konst = pgd_jinja_str(p->a, t->text, true);
        return n->konst ? n : jparse_fail(p, 0, "template is too large");
    }
    n->b = parse_const(p, pgd_jinja_int(p->a, t->i), t->line);
    return n->b ? n : NULL;
}

static bool push_kwarg(jparser *p, jcallargs *ca) {
    const pgd_sv name = p->tok->text;
    p->tok += 2;
    const size_t i = ca->kw.n, old_cap = ca->kw.cap;
    if (!jparse_push(p, &ca->kw, jparse_expression(p))) return false;
    if (ca->kw.cap != old_cap) {
        pgd_sv *grown = pgd_arena_array(p->a, ca->kw.cap, sizeof(*grown));
        if (!grown) return jparse_fail(p, 0, "template is too large") != NULL;
        if (i) memcpy(grown, ca->kw_name, i * sizeof(*grown));
        ca->kw_name = grown;
    }
    ca->kw_name[i] = name;
    return true;
}

static bool parse_one_arg(jparser *p, jcallargs *ca) {
    bool ok;
    if (jparse_skip_op(p, '*')) {
        ok = !ca->star && !ca->star_star;
        if (ok && !(ca->star = jparse_expression(p))) return false;
    } else if (jparse_skip_op(p, JOP2('*', '*'))) {
        ok = !ca->star_star;
        if (ok && !(ca->star_star = jparse_expression(p))) return false;
    } else if (p->tok->kind == JT_NAME && jtok_is_op(p->tok + 1, '=')) {
        ok = !ca->star_star;
        if (ok && !push_kwarg(p, ca)) return false;
    } else {
        ok = !ca->star && !ca->star_star && !ca->kw.n;
        if (ok && !jparse_push(p, &ca->pos, jparse_expression(p))) return false;
    }
    if (!ok) jparse_fail(p, 0, "invalid syntax for function call expression");
    return ok;
}

static jcallargs *parse_args(jparser *p) {
    jcallargs *ca = pgd_arena_zalloc(p->a, sizeof(*ca));
    if (!ca) {
        jparse_fail(p, 0, "template is too large");
        return NULL;
    }
    if (!jparse_expect_op(p, '(')) return NULL;
    bool comma = false;
    while (!jtok_is_op(p->tok, ')')) {
        if (comma && !jparse_expect_op(p, ',')) return NULL;
        if (comma && jtok_is_op(p->tok, ')')) break;
        if (!parse_one_arg(p, ca)) return NULL;
        comma = true;
    }
    p->tok++;
    return ca;
}

static jcallargs *no_args(jparser *p) {
    jcallargs *ca = pgd_arena_zalloc(p->a, sizeof(*ca));
    if (!ca) jparse_fail(p, 0, "template is too large");
    return ca;
}

static jnode *parse_call(jparser *p, jnode *callee) {
    jnode *n = jparse_node(p, JE_CALL, p->tok->line);
    if (!n) return NULL;
    n->a = callee;
    n->args = parse_args(p);
    return n->args ? n : NULL;
}

static jnode *parse_postfix(jparser *p, jnode *n) {
    while (n) {
        if (jtok_is_op(p->tok, '.'))
            n = parse_attr(p, n);
        else if (jtok_is_op(p->tok, '['))
            n = parse_item(p, n);
        else if (jtok_is_op(p->tok, '('))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* ---- filters and tests -------------------------------------------------------------------- */

/* A dotted name, as filters and tests may have. */
static bool dotted_name(jparser *p, pgd_sv *out) {
    char buf[48];
    if (p->tok->kind != JT_NAME) {
        jparse_fail(p, 0, "expected a name, got %s", jtok_describe(p->tok, buf));
        return false;
    }
    *out = p->tok->text;
    p->tok++;
    if (!jtok_is_op(p->tok, '.')) return true;
    jparse_fail(p, 0, "no filter or test has a dot in its name");
    return false;
}

jnode *jparse_filters(jparser *p, jnode *node, bool inline_first) {
    while (inline_first || jtok_is_op(p->tok, '|')) {
        if (!inline_first) p->tok++;
        inline_first = false;
        jnode *n = jparse_node(p, JE_FILTER, p->tok->line);
        if (!n || !dotted_name(p, &n->name)) return NULL;
        n->a = node;
        n->args = jtok_is_op(p->tok, '(') ? parse_args(p) : no_args(p);
        if (!n->args) return NULL;
        n->filter = jfilter_find(n->name);
        if (!n->filter && !p->soft)
            return jparse_fail(p, n->line, "no filter named '%.*s'", (int)n->name.n, n->name.p);
        node = n;
    }
    return node;
}

/* Whether the current token begins the bare argument of a test (`x is divisibleby 3`). */
static bool starts_test_arg(const jparser *p) {
    const jtok *const t = p->tok;
    if (t->kind == JT_NAME)
        return !jtok_is_name(t, "else") && !jtok_is_name(t, "or") && !jtok_is_name(t, "and");
    return t->kind == JT_STRING || t->kind == JT_INT || t->kind == JT_FLOAT || jtok_is_op(t, '[') ||
           jtok_is_op(t, '{');
}

static jnode *parse_test(jparser *p, jnode *node) {
    jnode *n = jparse_node(p, JE_TEST, p->tok->line);
    p->tok++;
    if (!n) return NULL;
    const bool negated = jparse_skip_name(p, "not");
    if (!dotted_name(p, &n->name)) return NULL;
    n->a = node;
    if (jtok_is_op(p->tok, '(')) {
        n->args = parse_args(p);
    } else {
        n->args = no_args(p);
        if (n->args && starts_test_arg(p)) {
            if (jtok_is_name(p->tok, "is"))
                return jparse_fail(p, 0, "you cannot chain multiple tests with is");
            if (!jparse_push(p, &n->args->pos, parse_postfix(p, parse_primary(p)))) return NULL;
        }
    }
    if (!n->args) return NULL;
    n->test = jtest_find(n->name);
    if (!n->test && !p->soft)
        return jparse_fail(p, n->line, "no test named '%.*s'", (int)n->name.n, n->name.p);
    if (!negated) return n;
    jnode *negation = jparse_node(p, JE_NOT, n->line);
    if (!negation) return NULL;
    negation->a = n;
    return negation;
}

static jnode *parse_filter_expr(jparser *p, jnode *n) {
    while (n) {
        if (jtok_is_op(p->tok, '|'))
            n = jparse_filters(p, n, false);
        else if (jtok_is_name(p->tok, "is"))
            n = parse_test(p, n);
        else if (jtok_is_op(p->tok, '('))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* ---- operators ---------------------------------------------------------------------------- */

static jnode *parse_unary(jparser *p, bool with_filter) {
    const jtok *const t = p->tok;
    jnode *n;
    if (jtok_is_op(t, '-') || jtok_is_op(t, '+')) {
        if (++p->depth > JINJA_MAX_PARSE_DEPTH)
            return jparse_fail(p, 0, "expressions are nested too deep");
        p->tok++;
        n = jparse_node(p, t->op == '-' ? JE_NEG : JE_POS, t->line);
        if (!n || !(n->a = parse_unary(p, false))) return NULL;
        p->depth--;
    } else {
        n = parse_primary(p);
    }
    n = parse_postfix(p, n);
    return with_filter ? parse_filter_expr(p, n) : n;
}

static jnode *binary(jparser *p, jkind kind, int op, jnode *a, jnode *b, uint32_t line) {
    if (!a || !b) return NULL;
    jnode *n = jparse_node(p, kind, line);
    if (!n) return NULL;
    n->op = op;
    n->a = a;
    n->b = b;
    return n;
}

static jnode *parse_pow(jparser *p) {
    jnode *left = parse_unary(p, true);
    while (left && jtok_is_op(p->tok, JOP2('*', '*'))) {
        const uint32_t line = p->tok->line;
        p->tok++;
        left = binary(p, JE_BIN, JOP2('*', '*'), left, parse_unary(p, true), line);
    }
    return left;
}

static jnode *parse_product(jparser *p) {
    jnode *left = parse_pow(p);
    while (left && (jtok_is_op(p->tok, '*') || jtok_is_op(p->tok, '/') || jtok_is_op(p->tok, '%') ||
                    jtok_is_op(p->tok, JOP2('/', '/')))) {
        const jtok *const t = p->tok++;
        left = binary(p, JE_BIN, t->op, left, parse_pow(p), t->line);
    }
    return left;
}

static jnode *parse_concat(jparser *p) {
    jnode *first = parse_product(p);
    if (!first || !jtok_is_op(p->tok, '~')) return first;
    jnode *n = jparse_node(p, JE_CONCAT, p->tok->line);
    if (!n || !jparse_push(p, &n->kids, first)) return NULL;
    while (jparse_skip_op(p, '~'))
        if (!jparse_push(p, &n->kids, parse_product(p))) return NULL;
    return n;
}

static jnode *parse_sum(jparser *p) {
    jnode *left = parse_concat(p);
    while (left && (jtok_is_op(p->tok, '+') || jtok_is_op(p->tok, '-'))) {
        const jtok *const t = p->tok++;
        left = binary(p, JE_BIN, t->op, left, parse_concat(p), t->line);
    }
    return left;
}

/* The comparison operator at the current token (consumed), or 0. 'i' is in, 'n' is not in. */
static int take_comparison(jparser *p) {
    static const int ops[] = {JOP2('=', '='), JOP2('!', '='), '<', '>',
                              JOP2('<', '='), JOP2('>', '=')};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (jparse_skip_op(p, ops[i])) return ops[i];
    if (jparse_skip_name(p, "in")) return 'i';
    if (jtok_is_name(p->tok, "not") && jtok_is_name(p->tok + 1, "in")) {
        p->tok += 2;
        return 'n';
    }
    return 0;
}

static jnode *parse_compare(jparser *p) {
    const uint32_t line = p->tok->line;
    jnode *first = parse_sum(p), *n = NULL;
    int op;
    while (first && (op = take_comparison(p)) != 0) {
        if (!n) {
            if (!(n = jparse_node(p, JE_CMP, line))) return NULL;
            n->a = first;
        }
        jnode *operand = jparse_node(p, JE_CMP, p->tok->line);
        if (!operand || !(operand->a = parse_sum(p))) return NULL;
        operand->op = op;
        if (!jparse_push(p, &n->kids, operand)) return NULL;
    }
    return n ? n : first;
}

static jnode *parse_not(jparser *p) {
    if (!jtok_is_name(p->tok, "not")) return parse_compare(p);
    if (++p->depth > JINJA_MAX_PARSE_DEPTH)
        return jparse_fail(p, 0, "expressions are nested too deep");
    jnode *n = jparse_node(p, JE_NOT, p->tok->line);
    p->tok++;
    if (!n || !(n->a = parse_not(p))) return NULL;
    p->depth--;
    return n;
}

static jnode *parse_and(jparser *p) {
    jnode *left = parse_not(p);
    while (left && jparse_skip_name(p, "and"))
        left = binary(p, JE_AND, 0, left, parse_not(p), left->line);
    return left;
}

static jnode *parse_or(jparser *p) {
    jnode *left = parse_and(p);
    while (left && jparse_skip_name(p, "or"))
        left = binary(p, JE_OR, 0, left, parse_and(p), left->line);
    return left;
}

jnode *jparse_expression(jparser *p) {
    if (++p->depth > JINJA_MAX_PARSE_DEPTH)
        return jparse_fail(p, 0, "expressions are nested too deep");
    jnode *n = parse_or(p);
    while (n && jtok_is_name(p->tok, "if")) {
        jnode *cond = jparse_node(p, JE_COND, p->tok->line);
        p->tok++;
        if (!cond || !(cond->a = parse_or(p))) return NULL;
        cond->b = n;
        if (jparse_skip_name(p, "else") && !(cond->c = jparse_expression(p))) return NULL;
        n = cond;
    }
    p->depth--;
    return n;
}

static bool at_tuple_end(const jparser *p, unsigned flags) {
    const jtok *const t = p->tok;
    return t->kind == JT_VAR_END || t->kind == JT_BLOCK_END || jtok_is_op(t, ')') ||
           ((flags & JTUP_END_RECURSIVE) && jtok_is_name(t, "recursive"));
}

jnode *jparse_tuple(jparser *p, unsigned flags) {
    char buf[48];
    jnode *tuple = jparse_node(p, JE_TUPLE, p->tok->line);
    if (!tuple) return NULL;
    bool is_tuple = false;
    for (;;) {
        if (tuple->kids.n && !jparse_expect_op(p, ',')) return NULL;
        if (at_tuple_end(p, flags)) break;
        jnode *const item = flags & JTUP_NO_COND ? parse_or(p) : jparse_expression(p);
        if (!jparse_push(p, &tuple->kids, item)) return NULL;
        if (!jtok_is_op(p->tok, ',')) break;
        is_tuple = true;
    }
    if (is_tuple) return tuple;
    if (tuple->kids.n) return tuple->kids.v[0];
    if (!(flags & JTUP_PARENS))
        return jparse_fail(p, 0, "expected an expression, got %s", jtok_describe(p->tok, buf));
    return tuple;
}

/* ---- assignment targets ------------------------------------------------------------------- */

static jnode *parse_target_item(jparser *p, bool with_ns) {
    char buf[48];
    const jtok *const t = p->tok;
    if (jparse_skip_op(p, '(')) {
        jnode *n = jparse_target(p, with_ns);
        return n && jparse_expect_op(p, ')') ? n : NULL;
    }
    if (t->kind != JT_NAME) return jparse_fail(p, 0, "cannot assign to %s", jtok_describe(t, buf));
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (jtok_is_name(t, reserved[i])) return jparse_fail(p, 0, "cannot assign to a constant");
    const bool ns = with_ns && jtok_is_op(t + 1, '.');
    jnode *n = jparse_node(p, ns ? JE_NSREF : JE_NAME, t->line);
    if (!n) return NULL;
    n->id = jparse_intern(p, t->text);
    n->name = t->text;
    p->tok++;
    if (!ns) return n;
    p->tok++;
    if (p->tok->kind != JT_NAME) return jparse_fail(p, 0, "expected a name after '.'");
    n->name = p->tok->text;
    n->konst = pgd_jinja_str(p->a, n->name, true);
    p->tok++;
    return n->konst ? n : jparse_fail(p, 0, "template is too large");
}

jnode *jparse_target(jparser *p, bool with_ns) {
    if (++p->depth > JINJA_MAX_PARSE_DEPTH)
        return jparse_fail(p, 0, "expressions are nested too deep");
    jnode *first = parse_target_item(p, with_ns);
    p->depth--;
    if (!first || !jtok_is_op(p->tok, ',')) return first;
    jnode *tuple = jparse_node(p, JE_TUPLE, first->line);
    if (!tuple || !jparse_push(p, &tuple->kids, first)) return NULL;
    while (jparse_skip_op(p, ',')) {
        if (p->tok->kind != JT_NAME && !jtok_is_op(p->tok, '(')) break;
        if (jtok_is_name(p->tok, "in")) break;
        if (!jparse_push(p, &tuple->kids, parse_target_item(p, with_ns))) return NULL;
    }
    return tuple;
}
