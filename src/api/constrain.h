/* What a request demands of the form of its output, and the grammar made of it.
 *
 *   response_format, structured_outputs, guided_* … ─► api_demand ─┐
 *   tools, tool_choice, strict ─► api_tool_rule ─► calls ──────────┼─► specification ─► grammar
 *   what the prompt leaves open ─► thought first ──────────────────┘        (cached)
 *
 * Everything here runs on workers; memory is the call's arena. */
#ifndef PAGODA_API_CONSTRAIN_H
#define PAGODA_API_CONSTRAIN_H

#include "call.h"
#include "pagoda/grammar.h"

/* ---- the demand of one field (demand.c) ---- */

typedef struct api_demand {
    const char *param; /* the field, with its path; NULL: none */
    pgd_grammar_spec spec;
} api_demand;
/* Errors: PGD_E_INVALID with the field's path; more than one demand. */
pgd_status api_read_demand(const api_fields *f, pgd_arena *a, api_demand *out, api_error *e);

/* ---- which tools may, or must, be called (tool_choice.c) ---- */

typedef enum api_tool_mode {
    API_TOOLS_NONE,     /* no tools, or tool_choice "none" */
    API_TOOLS_AUTO,     /* as the model likes */
    API_TOOLS_REQUIRED, /* at least one call */
    API_TOOLS_NAMED     /* one call of one tool */
} api_tool_mode;

typedef struct api_tool {
    pgd_sv name;
    const pgd_json *parameters; /* NULL: none */
    bool strict, allowed;
    const char *path; /* of its parameters, for messages */
} api_tool;

typedef struct api_tool_rule {
    api_tool_mode mode;
    bool limited; /* some tools may not be called, or one is strict: `auto` needs a grammar too */
    api_tool *tool;
    size_t n_tools;
} api_tool_rule;
pgd_status api_read_tool_rule(const api_fields *f, pgd_arena *a, api_tool_rule *out, api_error *e);

/* ---- specifications (spec.c) ---- */

typedef struct api_builder {
    pgd_arena *arena;
    const api_controls *controls;
    bool failed; /* out of memory */
} api_builder;

/* Text that the model writes; control tokens in it are recognised. */
pgd_grammar_spec api_spec_text(api_builder *b, const char *text);
pgd_sv api_spec_control(api_builder *b, pgd_sv text);
/* SEQ or ALT of parts (copied); those of kind SEQ without parts are left out. */
pgd_grammar_spec api_spec_join(api_builder *b, pgd_grammar_kind kind, const pgd_grammar_spec *parts,
                               size_t n);
#define API_SEQ(b, ...)                                                                            \
    api_spec_join(b, PGD_GRAMMAR_SEQ, (const pgd_grammar_spec[]){__VA_ARGS__},                     \
                  sizeof((const pgd_grammar_spec[]){__VA_ARGS__}) / sizeof(pgd_grammar_spec))
#define API_ALT(b, ...)                                                                            \
    api_spec_join(b, PGD_GRAMMAR_ALT, (const pgd_grammar_spec[]){__VA_ARGS__},                     \
                  sizeof((const pgd_grammar_spec[]){__VA_ARGS__}) / sizeof(pgd_grammar_spec))
pgd_grammar_spec api_spec_optional(api_builder *b, pgd_grammar_spec x);
/* x, min to max (0: any number of) times, with `between` in between. */
pgd_grammar_spec api_spec_repeat(api_builder *b, pgd_grammar_spec x, pgd_grammar_spec between,
                                 uint32_t min, uint32_t max);
/* Free text without any of the texts (borrowed, all with a terminating empty one). */
pgd_grammar_spec api_spec_free(api_builder *b, const char *const *without, size_t n,
                               const char *not_first);
/* Free text up to and with `end`. */
pgd_grammar_spec api_spec_until(api_builder *b, const char *end, const char *const *without,
                                size_t n);
pgd_grammar_spec api_spec_json(pgd_sv schema, bool lenient, const char *name);

/* ---- calls of tools in the model's own form (tool_grammar.c, tool_args.c) ---- */

/* Whether the format has a form for calls. */
bool api_can_call(const api_formats *f);
/* Calls of the allowed tools: at least one, exactly one when `single`. */
pgd_status api_spec_calls(api_builder *b, const api_formats *f, const api_tool_rule *rule,
                          bool single, pgd_grammar_spec *out, api_error *e);
/* Arguments between tags or commas, as a tool's schema describes them. */
typedef struct api_args_form {
    const char *param, *key_end; /* a parameter opens with param KEY key_end, */
    const char *value_end;       /* and value_end closes it */
    const char *raw_end;         /* what text values may not hold; NULL: all values are JSON */
    const char *between;
    bool typed; /* the value's type stands before key_end, as ` type="…` */
} api_args_form;
pgd_status api_spec_args(api_builder *b, const api_args_form *form, const api_tool *t,
                         pgd_grammar_spec *out, api_error *e);
/* The schema of a tool's arguments as JSON text, made to say that it is an object's. *none: there
 * are no arguments. */
pgd_status api_args_schema(api_builder *b, const api_tool *t, pgd_sv *text, bool *none,
                           api_error *e);
/* Texts that open a call in free text. At most `max`. */
size_t api_call_openers(const api_formats *f, const char **out, size_t max);
/* The byte that begins a call without a marker, 0: none. */
char api_call_bare(const api_formats *f);

/* ---- all of it (constrain.c) ---- */

/* c->g.grammar by the fields, or NULL where the output is free. Call it when the prompts and the
 * parsing are settled. */
pgd_status api_constrain(pgd_call *c, const api_fields *f);

#endif
