/* The parser of the template engine, statements: tokens to a tree in the template's arena. Grammar
 * and messages follow jinja2 3.1 with the loop-control extension and the generation tag of
 * `transformers`. import, include, extends, block and autoescape are refused: a chat template is
 * one text without a loader.
 *
 * Invariants: after the first error p->status is set, every function returns NULL or false and the
 * tree is thrown away; nesting is bounded by JINJA_MAX_PARSE_DEPTH. Thread: any. */
#include "jinja_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

jnode *jparse_fail(jparser *p, uint32_t line, const char *fmt, ...) {
    if (p->status != PGD_OK) return NULL;
    char msg[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    p->status =
        pgd_fail(p->err, PGD_E_FORMAT, "template line %u: %s", line ? line : p->tok->line, msg);
    return NULL;
}

const char *jtok_describe(const jtok *tok, char buf[48]) {
    switch (tok->kind) {
    case JT_EOF:
        return "end of template";
    case JT_DATA:
        return "template data";
    case JT_VAR_BEGIN:
        return "begin of print statement";
    case JT_VAR_END:
        return "end of print statement";
    case JT_BLOCK_BEGIN:
        return "begin of statement block";
    case JT_BLOCK_END:
        return "end of statement block";
    case JT_NAME:
        (void)snprintf(buf, 48, "'%.*s'", tok->text.n > 40 ? 40 : (int)tok->text.n, tok->text.p);
        return buf;
    case JT_STRING:
        return "a string";
    case JT_INT:
    case JT_FLOAT:
        return "a number";
    case JT_OP:
        if (tok->op >> 8)
            (void)snprintf(buf, 48, "'%c%c'", tok->op >> 8, tok->op & 255);
        else
            (void)snprintf(buf, 48, "'%c'", tok->op);
        return buf;
    }
    return "?";
}

static jnode *nomem(jparser *p) {
    if (p->status == PGD_OK) p->status = pgd_fail(p->err, PGD_E_NOMEM, "template is too large");
    return NULL;
}

jnode *jparse_node(jparser *p, jkind kind, uint32_t line) {
    jnode *n = pgd_arena_zalloc(p->a, sizeof(*n));
    if (!n) return nomem(p);
    n->kind = kind;
    n->line = line;
    return n;
}

bool jparse_push(jparser *p, jnodes *list, jnode *n) {
    if (!n) return false;
    if (list->n == list->cap) {
        const size_t cap = list->cap ? list->cap * 2 : 4;
        jnode **grown = pgd_arena_array(p->a, cap, sizeof(*grown));
        if (!grown) return nomem(p) != NULL;
        if (list->n) memcpy(grown, list->v, list->n * sizeof(*grown));
        list->v = grown;
        list->cap = cap;
    }
    list->v[list->n++] = n;
    return true;
}

/* Names become small integers, so that a variable is found by comparing ints. Linear search: real
 * templates have fewer than 200 names. */
uint32_t jparse_intern(jparser *p, pgd_sv name) {
    pgd_jinja *const t = p->t;
    for (uint32_t i = 0; i < t->n_names; i++)
        if (pgd_sv_eq(t->names[i], name)) return i;
    if (t->n_names == p->cap_names) {
        const uint32_t cap = p->cap_names ? p->cap_names * 2 : 64;
        pgd_sv *grown = pgd_arena_array(p->a, cap, sizeof(*grown));
        if (!grown) {
            nomem(p);
            return 0;
        }
        if (t->n_names) memcpy(grown, t->names, t->n_names * sizeof(*grown));
        t->names = grown;
        p->cap_names = cap;
    }
    t->names[t->n_names] = name;
    return t->n_names++;
}

bool jtok_is_name(const jtok *tok, const char *name) {
    return tok->kind == JT_NAME && pgd_sv_eq(tok->text, pgd_sv_c(name));
}

bool jtok_is_op(const jtok *tok, int op) {
    return tok->kind == JT_OP && tok->op == op;
}

bool jparse_skip_name(jparser *p, const char *name) {
    if (!jtok_is_name(p->tok, name)) return false;
    p->tok++;
    return true;
}

bool jparse_skip_op(jparser *p, int op) {
    if (!jtok_is_op(p->tok, op)) return false;
    p->tok++;
    return true;
}

bool jparse_expect_op(jparser *p, int op) {
    char buf[48], want[48];
    if (jparse_skip_op(p, op)) return true;
    const jtok wanted = {.kind = JT_OP, .op = op};
    jparse_fail(p, 0, "expected %s, got %s", jtok_describe(&wanted, want),
                jtok_describe(p->tok, buf));
    return false;
}

static bool expect_block_end(jparser *p) {
    char buf[48];
    if (p->tok->kind == JT_BLOCK_END) {
        p->tok++;
        return true;
    }
    jparse_fail(p, 0, "expected end of statement block, got %s", jtok_describe(p->tok, buf));
    return false;
}

static bool expect_name(jparser *p, pgd_sv *out) {
    char buf[48];
    if (p->tok->kind != JT_NAME) {
        jparse_fail(p, 0, "expected a name, got %s", jtok_describe(p->tok, buf));
        return false;
    }
    *out = p->tok->text;
    p->tok++;
    return true;
}

/* ---- statements --------------------------------------------------------------------------- */

static bool parse_body(jparser *p, jnodes *out, const char *tag, const char *const *ends,
                       uint32_t line);

/* Body of `tag` up to {% end %}, which is consumed. */
static bool body_to(jparser *p, jnodes *out, const char *tag, const char *end, uint32_t line) {
    const char *const ends[] = {end, NULL};
    if (!parse_body(p, out, tag, ends, line)) return false;
    p->tok++;
    return expect_block_end(p);
}

static jnode *parse_if(jparser *p, uint32_t line) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    jnode *n = jparse_node(p, JS_IF, line);
    if (!n) return NULL;
    p->soft++;
    for (;;) {
        /* kids: one branch node each: a = test, kids = body */
        jnode *branch = jparse_node(p, JS_IF, p->tok->line);
        if (!branch || !jparse_push(p, &n->kids, branch)) return NULL;
        branch->a = jparse_tuple(p, JTUP_NO_COND);
        if (!branch->a || !parse_body(p, &branch->kids, "if", ends, line)) return NULL;
        const jtok *const end = p->tok++;
        if (jtok_is_name(end, "elif")) continue;
        if (jtok_is_name(end, "else") && !body_to(p, &n->orelse, "if", "endif", line)) return NULL;
        if (jtok_is_name(end, "endif") && !expect_block_end(p)) return NULL;
        break;
    }
    p->soft--;
    return n;
}

static jnode *parse_for(jparser *p, uint32_t line) {
    static const char *const ends[] = {"endfor", "else", NULL};
    char buf[48];
    jnode *n = jparse_node(p, JS_FOR, line);
    if (!n || !(n->a = jparse_target(p, false))) return NULL;
    if (!jparse_skip_name(p, "in"))
        return jparse_fail(p, 0, "expected 'in', got %s", jtok_describe(p->tok, buf));
    if (!(n->b = jparse_tuple(p, JTUP_NO_COND | JTUP_END_RECURSIVE))) return NULL;
    if (jparse_skip_name(p, "if") && !(n->c = jparse_expression(p))) return NULL;
    n->recursive = jparse_skip_name(p, "recursive");
    p->loop_depth++;
    if (!parse_body(p, &n->kids, "for", ends, line)) return NULL;
    p->loop_depth--;
    const jtok *const end = p->tok++;
    if (jtok_is_name(end, "else")) return body_to(p, &n->orelse, "for", "endfor", line) ? n : NULL;
    return expect_block_end(p) ? n : NULL;
}

static jnode *parse_set(jparser *p, uint32_t line) {
    jnode *const target = jparse_target(p, true);
    if (!target) return NULL;
    const bool plain = jparse_skip_op(p, '=');
    jnode *n = jparse_node(p, plain ? JS_SET : JS_SETBLOCK, line);
    if (!n) return NULL;
    n->a = target;
    if (plain) {
        n->b = jparse_tuple(p, 0);
        return n->b && expect_block_end(p) ? n : NULL;
    }
    if (jtok_is_op(p->tok, '|') && !(n->b = jparse_filters(p, NULL, false))) return NULL;
    return body_to(p, &n->kids, "set", "endset", line) ? n : NULL;
}

static bool parse_signature(jparser *p, jparams *out) {
    jnodes names = {0};
    if (!jparse_expect_op(p, '(')) return false;
    while (!jtok_is_op(p->tok, ')')) {
        pgd_sv name;
        if (names.n && !jparse_expect_op(p, ',')) return false;
        jnode *arg = jparse_node(p, JE_NAME, p->tok->line);
        if (!arg || !expect_name(p, &name)) return false;
        arg->name = name;
        arg->id = jparse_intern(p, name);
        if (jparse_skip_op(p, '=')) {
            if (!jparse_push(p, &out->defaults, jparse_expression(p))) return false;
        } else if (out->defaults.n) {
            jparse_fail(p, 0, "non-default argument follows default argument");
            return false;
        }
        if (!jparse_push(p, &names, arg)) return false;
    }
    p->tok++;
    out->n = names.n;
    out->id = pgd_arena_array(p->a, names.n ? names.n : 1, sizeof(*out->id));
    out->name = pgd_arena_array(p->a, names.n ? names.n : 1, sizeof(*out->name));
    if (!out->id || !out->name) return nomem(p) != NULL;
    for (size_t i = 0; i < names.n; i++) {
        out->id[i] = names.v[i]->id;
        out->name[i] = names.v[i]->name;
    }
    return true;
}

/* The body of a macro or call block: a function of its own, so loops around it do not count, and
 * which of the special names it uses is noted for the calls. */
static bool parse_function_body(jparser *p, jnode *n, const char *tag, const char *end) {
    const bool caller = p->saw_caller, varargs = p->saw_varargs, kwargs = p->saw_kwargs;
    const uint32_t loops = p->loop_depth;
    p->saw_caller = p->saw_varargs = p->saw_kwargs = false;
    p->loop_depth = 0;
    if (!body_to(p, &n->kids, tag, end, n->line)) return false;
    n->params->uses_caller = p->saw_caller;
    n->params->uses_varargs = p->saw_varargs;
    n->params->uses_kwargs = p->saw_kwargs;
    p->saw_caller |= caller;
    p->saw_varargs |= varargs;
    p->saw_kwargs |= kwargs;
    p->loop_depth = loops;
    return true;
}

static jnode *with_params(jparser *p, jkind kind, uint32_t line) {
    jnode *n = jparse_node(p, kind, line);
    if (!n) return NULL;
    n->params = pgd_arena_zalloc(p->a, sizeof(*n->params));
    return n->params ? n : nomem(p);
}

static jnode *parse_macro(jparser *p, uint32_t line) {
    jnode *n = with_params(p, JS_MACRO, line);
    if (!n || !expect_name(p, &n->name)) return NULL;
    n->id = jparse_intern(p, n->name);
    if (!parse_signature(p, n->params)) return NULL;
    return parse_function_body(p, n, "macro", "endmacro") ? n : NULL;
}

static jnode *parse_call_block(jparser *p, uint32_t line) {
    jnode *n = with_params(p, JS_CALL, line);
    if (!n) return NULL;
    n->name = PGD_SV("caller");
    if (jtok_is_op(p->tok, '(') && !parse_signature(p, n->params)) return NULL;
    n->a = jparse_expression(p);
    if (!n->a) return NULL;
    if (n->a->kind != JE_CALL)
        return jparse_fail(p, line, "invalid call block: expected a function call");
    return parse_function_body(p, n, "call", "endcall") ? n : NULL;
}

static jnode *parse_filter_block(jparser *p, uint32_t line) {
    jnode *n = jparse_node(p, JS_FILTER, line);
    if (!n || !(n->a = jparse_filters(p, NULL, true))) return NULL;
    return body_to(p, &n->kids, "filter", "endfilter", line) ? n : NULL;
}

static jnode *parse_with(jparser *p, uint32_t line) {
    jnode *n = jparse_node(p, JS_WITH, line);
    if (!n) return NULL;
    jnode *targets = jparse_node(p, JE_TUPLE, line);
    if (!targets) return NULL;
    n->a = targets;
    while (p->tok->kind != JT_BLOCK_END) {
        if (targets->kids.n && !jparse_expect_op(p, ',')) return NULL;
        if (!jparse_push(p, &targets->kids, jparse_target(p, false))) return NULL;
        if (!jparse_expect_op(p, '=')) return NULL;
        if (!jparse_push(p, &n->orelse, jparse_expression(p))) return NULL;
    }
    return body_to(p, &n->kids, "with", "endwith", line) ? n : NULL;
}

static jnode *parse_generation(jparser *p, uint32_t line) {
    jnode *n = with_params(p, JS_GENERATION, line);
    return n && parse_function_body(p, n, "generation", "endgeneration") ? n : NULL;
}

static jnode *parse_print(jparser *p, uint32_t line) {
    jnode *n = jparse_node(p, JS_PRINT, line);
    if (!n) return NULL;
    while (p->tok->kind != JT_BLOCK_END) {
        if (n->kids.n && !jparse_expect_op(p, ',')) return NULL;
        if (!jparse_push(p, &n->kids, jparse_expression(p))) return NULL;
    }
    return expect_block_end(p) ? n : NULL;
}

static jnode *parse_loop_control(jparser *p, uint32_t line) {
    const bool is_break = jtok_is_name(p->tok - 1, "break");
    if (!p->loop_depth)
        return jparse_fail(p, line, "%s outside of a loop", is_break ? "break" : "continue");
    jnode *n = jparse_node(p, is_break ? JS_BREAK : JS_CONTINUE, line);
    return n && expect_block_end(p) ? n : NULL;
}

static jnode *parse_refused(jparser *p, uint32_t line) {
    const pgd_sv tag = p->tok[-1].text;
    return jparse_fail(p, line, "tag '%.*s' is not supported in chat templates", (int)tag.n, tag.p);
}

typedef jnode *(*statement_fn)(jparser *p, uint32_t line);
static const struct {
    const char *tag;
    statement_fn fn;
} statements[] = {
    {"if", parse_if},
    {"for", parse_for},
    {"set", parse_set},
    {"macro", parse_macro},
    {"call", parse_call_block},
    {"filter", parse_filter_block},
    {"with", parse_with},
    {"generation", parse_generation},
    {"print", parse_print},
    {"break", parse_loop_control},
    {"continue", parse_loop_control},
    {"include", parse_refused},
    {"import", parse_refused},
    {"from", parse_refused},
    {"extends", parse_refused},
    {"block", parse_refused},
    {"autoescape", parse_refused},
};

static jnode *parse_statement(jparser *p, const char *tag) {
    char buf[48];
    const jtok *const name = p->tok;
    if (name->kind != JT_NAME)
        return jparse_fail(p, 0, "tag name expected, got %s", jtok_describe(name, buf));
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (!jtok_is_name(name, statements[i].tag)) continue;
        if (++p->depth > JINJA_MAX_PARSE_DEPTH)
            return jparse_fail(p, 0, "statements are nested too deep");
        p->tok++;
        jnode *const n = statements[i].fn(p, name->line);
        p->depth--;
        return n;
    }
    if (tag)
        return jparse_fail(p, 0, "unknown tag %s; the innermost open block is '%s'",
                           jtok_describe(name, buf), tag);
    return jparse_fail(p, 0, "unknown tag %s", jtok_describe(name, buf));
}

static bool parse_data(jparser *p, jnodes *out) {
    jnode *n = jparse_node(p, JS_DATA, p->tok->line);
    jval *v = pgd_jinja_str(p->a, p->tok->text, true);
    if (!n || !v) return nomem(p) != NULL;
    n->konst = v;
    p->tok++;
    return jparse_push(p, out, n);
}

static bool parse_output(jparser *p, jnodes *out) {
    char buf[48];
    p->tok++;
    jnode *n = jparse_node(p, JS_PRINT, p->tok->line);
    if (!n || !jparse_push(p, &n->kids, jparse_tuple(p, 0))) return false;
    if (p->tok->kind != JT_VAR_END) {
        jparse_fail(p, 0, "expected end of print statement, got %s", jtok_describe(p->tok, buf));
        return false;
    }
    p->tok++;
    return jparse_push(p, out, n);
}

/* Statements up to a tag named in ends (NULL: up to the end of the template), which becomes the
 * current token. With ends, the current token first closes the opening tag. */
static bool parse_body(jparser *p, jnodes *out, const char *tag, const char *const *ends,
                       uint32_t line) {
    if (ends) {
        jparse_skip_op(p, ':');
        if (!expect_block_end(p)) return false;
    }
    while (p->status == PGD_OK) {
        switch (p->tok->kind) {
        case JT_EOF:
            if (!ends) return true;
            jparse_fail(p, 0, "unexpected end of template: '%s' of line %u is not closed", tag,
                        line);
            return false;
        case JT_DATA:
            if (!parse_data(p, out)) return false;
            break;
        case JT_VAR_BEGIN:
            if (!parse_output(p, out)) return false;
            break;
        default: /* JT_BLOCK_BEGIN: nothing else stands outside of tags */
            p->tok++;
            for (size_t i = 0; ends && ends[i]; i++)
                if (jtok_is_name(p->tok, ends[i])) return true;
            if (!jparse_push(p, out, parse_statement(p, tag))) return false;
            break;
        }
    }
    return false;
}

pgd_status jparse_template(jparser *p) {
    p->t->id_loop = jparse_intern(p, PGD_SV("loop"));
    p->t->id_caller = jparse_intern(p, PGD_SV("caller"));
    p->t->id_varargs = jparse_intern(p, PGD_SV("varargs"));
    p->t->id_kwargs = jparse_intern(p, PGD_SV("kwargs"));
    if (!parse_body(p, &p->t->body, NULL, NULL, 0) && p->status == PGD_OK)
        p->status = pgd_fail(p->err, PGD_E_NOMEM, "template is too large");
    return p->status;
}
