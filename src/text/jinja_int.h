/* Private to src/text/jinja_*.c: the token, node and value types and the functions that the files
 * of the engine give each other.
 *
 *   jinja_lex.c     source -> tokens (whitespace control happens here)
 *   jinja_parse.c   statements, jinja_expr.c expressions -> tree in the template's arena
 *   jinja_value.c   values, dicts, iteration     jinja_text.c   string building with taint
 *   jinja_ops.c     operators                    jinja_access.c attributes, items, slices
 *   jinja_repr.c    str(), repr(), JSON          jinja_format.c "%" and str.format
 *   jinja_eval.c    expressions                  jinja_exec.c   statements, macros, loops
 *   jinja_str.c     methods of strings           jinja_call.c   other methods, functions
 *   jinja_filter*.c filters                      jinja_test.c   tests
 *   jinja.c         the public face
 *
 * Values are immutable once made, with three exceptions that only a render itself can reach:
 * namespaces, the cursor of a generator, and lists made by the template (list.pop). */
#ifndef PGD_TEXT_JINJA_INT_H
#define PGD_TEXT_JINJA_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/arena.h"
#include "pagoda/jinja.h"
#include "pagoda/status.h"
#include "pagoda/str.h"

typedef pgd_jinja_value jval;
typedef struct jrun jrun;
typedef struct jscope jscope;

/* ---- tokens ------------------------------------------------------------------------------- */

typedef enum jtok_kind {
    JT_EOF,
    JT_DATA,
    JT_VAR_BEGIN,
    JT_VAR_END,
    JT_BLOCK_BEGIN,
    JT_BLOCK_END,
    JT_NAME,
    JT_STRING,
    JT_INT,
    JT_FLOAT,
    JT_OP /* op holds the characters, '/' '/' as ('/' << 8 | '/') */
} jtok_kind;

typedef struct jtok {
    jtok_kind kind;
    int op;
    uint32_t line;
    pgd_sv text; /* data, name, or unescaped string; in the template's arena */
    int64_t i;
    double f;
} jtok;

#define JOP2(a, b) (((a) << 8) | (b))

typedef struct jlex_options {
    bool trim_blocks, lstrip_blocks, keep_trailing_newline;
} jlex_options;

/* Tokens of source into *out (in a), ending in JT_EOF. Errors: PGD_E_FORMAT, PGD_E_NOMEM. */
pgd_status jlex(pgd_arena *a, pgd_sv source, const jlex_options *opt, jtok **out, size_t *n,
                pgd_error *err);

/* ---- tree --------------------------------------------------------------------------------- */

typedef enum jkind {
    /* expressions */
    JE_CONST,
    JE_NAME,
    JE_NSREF,
    JE_TUPLE,
    JE_LIST,
    JE_DICT,
    JE_COND,
    JE_OR,
    JE_AND,
    JE_NOT,
    JE_CMP,
    JE_BIN,
    JE_NEG,
    JE_POS,
    JE_CONCAT,
    JE_ATTR,
    JE_ITEM,
    JE_SLICE,
    JE_CALL,
    JE_FILTER,
    JE_TEST,
    /* statements */
    JS_DATA,
    JS_PRINT,
    JS_IF,
    JS_FOR,
    JS_SET,
    JS_SETBLOCK,
    JS_MACRO,
    JS_CALL,
    JS_FILTER,
    JS_WITH,
    JS_GENERATION,
    JS_BREAK,
    JS_CONTINUE
} jkind;

typedef struct jnode jnode;

typedef struct jnodes {
    jnode **v;
    size_t n, cap;
} jnodes;

typedef struct jcallargs {
    jnodes pos;
    pgd_sv *kw_name;
    jnodes kw;
    jnode *star, *star_star; /* *args, **kwargs or NULL */
} jcallargs;

/* Parameters of a macro or call block: the last n_defaults of them have one. */
typedef struct jparams {
    uint32_t *id;
    pgd_sv *name;
    size_t n;
    jnodes defaults;
    bool uses_caller, uses_varargs, uses_kwargs;
} jparams;

struct jfilter_def;
struct jtest_def;

/* One node type for all kinds; which members mean what stands beside each. */
struct jnode {
    jkind kind;
    uint32_t line;
    int op;           /* JE_BIN; JE_CMP: in kids' own op */
    uint32_t id;      /* interned name of JE_NAME, JE_NSREF, JS_MACRO */
    pgd_sv name;      /* the same as text; JE_ATTR, JE_NSREF: attribute */
    jval *konst;      /* JE_CONST; JS_DATA */
    jnode *a, *b, *c; /* operands; JS_FOR: target, iterable, test; JE_COND: test, then, else */
    jnodes kids;      /* items; body of statements */
    jnodes orelse;    /* JS_FOR: else body; JS_WITH: values */
    jcallargs *args;  /* JE_CALL, JE_FILTER, JE_TEST */
    jparams *params;  /* JS_MACRO, JS_CALL */
    const struct jfilter_def *filter;
    const struct jtest_def *test;
    bool recursive; /* JS_FOR */
};

struct pgd_jinja {
    pgd_arena *arena;
    jnodes body;
    pgd_sv *names; /* by id */
    uint32_t n_names;
    uint32_t id_loop, id_caller, id_varargs, id_kwargs;
};

/* Parser state; errors are sticky. */
typedef struct jparser {
    pgd_arena *a;
    pgd_jinja *t;
    const jtok *tok; /* current */
    pgd_error *err;
    pgd_status status;
    uint32_t depth;      /* of nested constructs */
    uint32_t loop_depth; /* break/continue allowed when > 0 */
    uint32_t soft;       /* > 0: inside if, where unknown filters wait for run time */
    bool saw_caller, saw_varargs, saw_kwargs;
    uint32_t cap_names;
} jparser;

enum { JINJA_MAX_PARSE_DEPTH = 120 };

/* Record a syntax error at line (0: the current token's); returns NULL. */
jnode *jparse_fail(jparser *p, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "'}'", "end of statement block", ...: what tok is, for messages. Into buf. */
const char *jtok_describe(const jtok *tok, char buf[48]);
jnode *jparse_node(jparser *p, jkind kind, uint32_t line);
bool jparse_push(jparser *p, jnodes *list, jnode *n);
uint32_t jparse_intern(jparser *p, pgd_sv name);
bool jtok_is_name(const jtok *tok, const char *name);
bool jtok_is_op(const jtok *tok, int op);
bool jparse_skip_name(jparser *p, const char *name);
bool jparse_skip_op(jparser *p, int op);
bool jparse_expect_op(jparser *p, int op);

enum {
    JTUP_NO_COND = 1,      /* inline if is not part of the items */
    JTUP_PARENS = 2,       /* an empty tuple is allowed */
    JTUP_END_RECURSIVE = 4 /* the name `recursive` ends it */
};
jnode *jparse_tuple(jparser *p, unsigned flags);
jnode *jparse_expression(jparser *p);
/* A name, tuple of names or (with_ns) namespace attribute; ends before `in` for loops. */
jnode *jparse_target(jparser *p, bool with_ns);
/* The chain of filters at the current pipe (or, inline_first, at a filter name) over node. */
jnode *jparse_filters(jparser *p, jnode *node, bool inline_first);
pgd_status jparse_template(jparser *p);

/* ---- values ------------------------------------------------------------------------------- */

typedef enum jtype {
    JV_UNDEF,
    JV_NULL,
    JV_BOOL,
    JV_INT,
    JV_FLOAT,
    JV_STR,
    JV_SEQ,
    JV_DICT,
    JV_RANGE,
    JV_NAMESPACE,
    JV_MACRO,
    JV_FUNC,   /* a global function */
    JV_METHOD, /* a bound method */
    JV_LOOP,
    JV_CYCLER,
    JV_JOINER
} jtype;

typedef enum jseq_kind { JQ_LIST, JQ_TUPLE, JQ_GEN, JQ_KEYS, JQ_VALUES, JQ_ITEMS } jseq_kind;

/* Which bytes of a string the template (or a trusted context string) wrote. */
typedef enum jtaint { JTAINT_TRUSTED, JTAINT_UNTRUSTED, JTAINT_MIXED } jtaint;

typedef struct jstr {
    const char *p; /* valid UTF-8, no terminator promised */
    size_t n, chars;
    const pgd_span *trusted; /* JTAINT_MIXED: ascending disjoint */
    size_t n_trusted;
} jstr;

typedef struct jseq {
    jval **v;
    size_t n, cap;
} jseq;

typedef struct jentry {
    jval *key, *val;
    uint64_t hash;
} jentry;

typedef struct jdict {
    jentry *e;
    size_t n, cap;
    uint32_t *index; /* open addressing over e, 1-based, once n > JDICT_LINEAR; else NULL */
    size_t index_cap;
} jdict;

typedef struct jmacro {
    const jparams *params;
    const jnodes *body;
    jscope *scope; /* where it was defined */
    pgd_sv name;
    jval *caller; /* of a call block around nothing; unused by macros */
} jmacro;

typedef struct jloop jloop;
struct jargs;
typedef jval *(*jfunc)(jrun *r, const struct jargs *args);

typedef struct jundef {
    const char *hint; /* whole message, or NULL */
    const jval *obj;  /* whose attribute it was, or NULL for a variable */
    const jval *key;
} jundef;

struct pgd_jinja_value {
    uint8_t type;  /* jtype */
    uint8_t sub;   /* JV_SEQ: jseq_kind */
    uint8_t taint; /* JV_STR: jtaint */
    bool frozen;   /* from the context: never changed */
    bool markup;   /* JV_STR: came from safe/escape */
    union {
        bool b;
        int64_t i;
        double f;
        jstr s;
        jseq q;
        jdict d; /* also JV_NAMESPACE */
        struct {
            int64_t start, step, n;
        } range;
        jmacro *macro;
        struct {
            const char *name;
            jfunc fn;
        } func;
        struct {
            jval *self;
            const char *name;
        } method;
        jloop *loop;
        struct {
            jval **v;
            size_t n, pos;
        } cycler;
        struct {
            jval *sep;
            bool used;
        } joiner;
        jundef u;
    } as;
};

typedef struct jargs {
    jval **pos;
    size_t n;
    pgd_sv *kw_name;
    jval **kw;
    size_t n_kw;
} jargs;

/* ---- run ---------------------------------------------------------------------------------- */

/* Growing string with taint. Adjacent trusted pieces join into one span. In the run's arena. */
typedef struct jsb {
    char *p;
    size_t n, cap;
    pgd_span *span; /* trusted */
    size_t n_span, cap_span;
    bool failed;
    bool is_output; /* bounded by max_output_bytes */
} jsb;

typedef struct jvar {
    uint32_t id;
    jval *v;
} jvar;

struct jscope {
    jscope *parent;
    jvar *v;
    size_t n, cap;
    bool captured; /* a macro refers to it: must not be reused */
};

struct jrun {
    const pgd_jinja *t;
    pgd_arena *a;
    const pgd_jinja_limits *lim;
    pgd_error *err;
    pgd_status status; /* sticky */
    uint64_t steps;
    uint32_t depth;
    uint32_t line; /* of the node being evaluated */
    jsb *out;
    jscope *root;
    jval **globals; /* by name id: context members and functions, or NULL */
    jval *v_null, *v_true, *v_false, *v_empty;
};

/* jinja.c */
pgd_status pgd_jinja_compile_with(pgd_sv source, const jlex_options *opt, pgd_jinja **out,
                                  pgd_error *err);
/* Record the first failure, with the line; return NULL. */
jval *jfail(jrun *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with a code of its own, without the line. */
jval *jfail_code(jrun *r, pgd_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void *jalloc(jrun *r, size_t bytes); /* records PGD_E_LIMIT or PGD_E_NOMEM */
void *jalloc_array(jrun *r, size_t n, size_t bytes);
/* Count one unit of work / n of them; false (and failure recorded) when spent. */
bool jstep(jrun *r);
bool jsteps(jrun *r, size_t n);
bool jenter(jrun *r); /* depth + 1, checked; pair with jleave */
void jleave(jrun *r);

/* jinja_value.c */
jval *jnew(jrun *r, jtype t);
jval *jbool(jrun *r, bool b);
jval *jint(jrun *r, int64_t i);
jval *jfloat(jrun *r, double f);
jval *jseq_new(jrun *r, jseq_kind kind, size_t cap);
bool jseq_push(jrun *r, jval *seq, jval *v);
jval *jdict_new(jrun *r);
jval *jpair(jrun *r, jval *a, jval *b);                  /* tuple of two */
bool jdict_set(jrun *r, jval *dict, jval *key, jval *v); /* false: unhashable or memory */
jval *jdict_get(const jval *dict, const jval *key);      /* NULL: absent */
jval *jdict_get_sv(const jval *dict, pgd_sv key);
bool jdict_put(pgd_arena *a, jdict *d, jval *key, jval *v, uint64_t hash);
bool jhash(const jval *v, uint64_t *out); /* false: not hashable */
jval *jundef_name(jrun *r, pgd_sv name);
jval *jundef_attr(jrun *r, const jval *obj, const jval *key);
jval *jundef_hint(jrun *r, const char *hint);
/* Fail with the message of an undefined value. Returns NULL. */
jval *jundef_fail(jrun *r, const jval *u);
bool jtruth(const jval *v);
bool jequal(jrun *r, const jval *a, const jval *b); /* depth-checked: check r->status after */
const char *jtype_name(const jval *v);              /* Python's: "str", "int", "NoneType" */
bool jis_num(const jval *v);                        /* bool, int, float */
bool jas_int(const jval *v, int64_t *out);          /* bool and int */
double jas_double(const jval *v);
pgd_sv jsv(const jval *s);

/* Iteration over anything iterable. jiter_init fails with Python's message. */
typedef struct jiter {
    jrun *r;
    jval *v;
    size_t i;
} jiter;
bool jiter_init(jrun *r, jiter *it, jval *v);
jval *jiter_next(jiter *it); /* NULL at the end or on failure */
bool jiterable(const jval *v);
/* A fresh list of all items; NULL on failure. */
jval *jlist_of(jrun *r, jval *v, jseq_kind kind);
/* Number of items, -1 with failure recorded when v has no length. */
int64_t jlength(jrun *r, const jval *v);

/* jinja_text.c */
jval *jstr_const(jrun *r, const char *s);                         /* trusted, borrowed literal */
jval *jstr_trusted(jrun *r, pgd_sv s);                            /* borrowed */
jval *jstr_untrusted(jrun *r, pgd_sv s);                          /* borrowed */
jval *jstr_like(jrun *r, pgd_sv s, const jval *like);             /* untrusted if any of like is */
jval *jstr_sub(jrun *r, const jval *s, size_t begin, size_t end); /* byte range, exact taint */
jval *jstr_concat(jrun *r, const jval *a, const jval *b);
size_t jstr_offset(const jval *s, size_t ch); /* byte offset of a code point index */
bool jstr_all_trusted(const jval *s);
void jsb_put(jrun *r, jsb *b, pgd_sv s, bool trusted);
void jsb_puts(jrun *r, jsb *b, const char *s); /* trusted literal */
void jsb_put_sub(jrun *r, jsb *b, const jval *s, size_t begin, size_t end);
void jsb_put_str(jrun *r, jsb *b, const jval *s);
void jsb_fill(jrun *r, jsb *b, pgd_sv ch, size_t times, bool trusted);
jval *jsb_done(jrun *r, jsb *b); /* moved into a string value; NULL when it failed */
/* All of it trusted or untrusted, whatever was put. */
jval *jsb_done_as(jrun *r, jsb *b, bool trusted);
size_t jutf8_chars(const char *p, size_t n);
bool jis_space(uint32_t cp); /* str.isspace of Python, as strip() uses it */
/* Length of the white space at p[0..n) / at its end: 0 when there is none. */
size_t jspace_at(const char *p, size_t n);
size_t jspace_before(const char *p, size_t n);

/* jinja_repr.c */
bool jput_str(jrun *r, jsb *b, const jval *v);  /* str(v) */
bool jput_repr(jrun *r, jsb *b, const jval *v); /* repr(v) */
jval *jto_str(jrun *r, const jval *v);          /* str(v) as a value; v itself for strings */
jval *jto_repr(jrun *r, const jval *v);
size_t jfloat_repr(double f, char out[40]);
bool jany_untrusted(jrun *r, const jval *v); /* some string inside is not all trusted */

/* jinja_json.c */
jval *jtojson(jrun *r, const jargs *args);

/* jinja_ops.c */
jval *jbinop(jrun *r, int op, jval *a, jval *b);
jval *jneg(jrun *r, jval *v);
bool jcompare(jrun *r, int op, const jval *a, const jval *b, bool *out); /* == != < > <= >= */
bool jcontains(jrun *r, jval *item, jval *container, bool *out);
bool jless(jrun *r, const jval *a, const jval *b, bool *out);
jval *jescape_html(jrun *r, const jval *s);

/* jinja_access.c */
jval *jgetattr(jrun *r, jval *obj, pgd_sv name);
jval *jgetitem(jrun *r, jval *obj, jval *key);
jval *jslice(jrun *r, jval *obj, jval *start, jval *stop, jval *step);

/* jinja_format.c, jinja_fmtnum.c */
typedef struct jfmt_spec {
    pgd_sv fill;                        /* one code point */
    char align, sign, type, group;      /* 0: not given */
    bool alt, has_precision, explicit_; /* explicit_: anything was given at all */
    size_t width, precision;
} jfmt_spec;
jval *jpercent(jrun *r, const jval *fmt, jval *args);
jval *jstr_format(jrun *r, const jval *fmt, const jargs *args, jval *mapping);
/* Append a number as spec says. False with failure recorded. */
bool jfmt_number(jrun *r, jsb *b, const jval *v, const jfmt_spec *spec);
/* Append text padded to spec->width. */
bool jfmt_text(jrun *r, jsb *b, const jval *text, const jfmt_spec *spec);

/* jinja_eval.c */
jval *jeval(jrun *r, jscope *s, const jnode *n);
bool jeval_args(jrun *r, jscope *s, const jcallargs *ca, jargs *out);
/* The chain of filters n over input, which stands at its innermost end (NULL: n has its own). */
jval *japply_filter(jrun *r, jscope *s, const jnode *n, jval *input);
bool jscope_set(jrun *r, jscope *s, uint32_t id, jval *v);
jval *jscope_get(jrun *r, jscope *s, uint32_t id); /* undefined when absent */

/* jinja_exec.c */
typedef enum jflow { JFLOW_OK, JFLOW_BREAK, JFLOW_CONTINUE, JFLOW_ERROR } jflow;
jflow jexec(jrun *r, jscope *s, const jnodes *body);
bool jassign(jrun *r, jscope *s, const jnode *target, jval *v);
jscope *jscope_new(jrun *r, jscope *parent);
/* The output of body as a string. */
jval *jcapture(jrun *r, jscope *s, const jnodes *body);

/* jinja_macro.c */
jval *jmacro_call(jrun *r, const jmacro *m, const jargs *args);
jval *jmacro_new(jrun *r, jscope *s, const jnode *n, pgd_sv name);

/* jinja_loop.c */
jflow jloop_exec(jrun *r, jscope *s, const jnode *n);
jval *jloop_attr(jrun *r, jval *loop, pgd_sv name); /* NULL: no such attribute */
jval *jloop_method(jrun *r, const jval *loop, const char *name, const jargs *args);
jval *jloop_recurse(jrun *r, const jval *loop, const jargs *args);

/* jinja_str.c (dispatch, find, replace, pad), jinja_split.c, jinja_case.c */
const char *jstr_method_find(pgd_sv name); /* static name or NULL */
jval *jstr_method(jrun *r, jval *self, const char *name, const jargs *args);
jval *jstr_strip(jrun *r, const jval *s, const jval *chars, bool left, bool right);
jval *jstr_splitlines(jrun *r, const jval *self, bool keep_ends);
jval *jstr_replace(jrun *r, const jval *self, const jval *from, const jval *to, int64_t count);
typedef enum jcase {
    JCASE_UPPER,
    JCASE_LOWER,
    JCASE_TITLE, /* str.title: words are runs of cased characters */
    JCASE_WORDS, /* the title filter: words end at white space and - ( { [ < */
    JCASE_CAPITALIZE,
    JCASE_SWAP
} jcase;
jval *jstr_case(jrun *r, const jval *self, jcase how);
jval *jstr_center(jrun *r, const jval *self, int64_t width, char align, pgd_sv fill);
typedef jval *(*jstr_fn)(jrun *r, jval *self, const jargs *args);
typedef struct jstr_def {
    const char *name;
    jstr_fn fn;
} jstr_def;
extern const jstr_def jstr_split_methods[], jstr_test_methods[]; /* ended by a NULL name */

/* jinja_call.c */
jval *jcall(jrun *r, jval *callee, const jargs *args);
const char *jmethod_find(const jval *obj, pgd_sv name); /* static name or NULL */
bool jmethod_mutates(const jval *obj, pgd_sv name);
jval *jmethod_call(jrun *r, jval *self, const char *name, const jargs *args);

/* jinja_global.c */
jfunc jglobal_find(pgd_sv name, const char **static_name);
jval *jcycler_attr(jrun *r, jval *c, pgd_sv name); /* NULL: no such attribute */
jval *jcycler_next(jrun *r, jval *self, const jargs *args);
jval *jcycler_reset(jrun *r, jval *self, const jargs *args);

/* Arguments by position or name. spec: "name" or "name!" (required), separated by commas. Fills
 * out[] (NULL for absent) and fails on unknown, doubled or missing ones. */
bool jbind(jrun *r, const char *fname, const char *spec, const jargs *args, jval **out,
           size_t n_out);

/* jinja_filter.c, jinja_filter_seq.c, jinja_filter_text.c, jinja_filter_pick.c,
 * jinja_filter_wrap.c */
typedef jval *(*jfilter_fn)(jrun *r, jval *v, const jargs *args);
typedef struct jfilter_def {
    const char *name;
    jfilter_fn fn;
} jfilter_def;
extern const jfilter_def jfilters_seq[], jfilters_text[], jfilters_pick[], jfilters_num[],
    jfilters_wrap[];
const jfilter_def *jfilter_find(pgd_sv name);
/* item's attribute path ("a.b.0" or an index); undefined when absent. */
jval *jattr_path(jrun *r, jval *item, const jval *path, jval *dflt);
/* Strings lowered, for case-insensitive sorting. */
jval *jfold_case(jrun *r, jval *v);
/* Stable sort of items by keys (both n long). False on failure. */
bool jsort(jrun *r, jval **items, jval **keys, size_t n, bool reverse);

/* jinja_test.c */
typedef bool (*jtest_fn)(jrun *r, jval *v, const jargs *args, bool *out);
typedef struct jtest_def {
    const char *name;
    jtest_fn fn;
    uint8_t n_args;
} jtest_def;
const jtest_def *jtest_find(pgd_sv name);
bool jtest_run(jrun *r, const jtest_def *t, jval *v, const jargs *args, bool *out);

/* jinja_time.c */
jval *jstrftime(jrun *r, int64_t unix_s, const jval *fmt);

#endif
