/* One grammar of all that a request says about its output.
 *
 *   [ thought  end marker ]  ( answer by the demand | calls | free text in which calls may stand )
 *
 * So that tools, a schema and reasoning hold at once, in any combination. What the prompt leaves
 * open decides about the thought: inside one it goes on to its end; where a block was opened and
 * closed there is none; else the model may begin one, if it has a token for that (one that has none
 * does not think by itself, and would be lured into spelling the marker). Where nothing is demanded
 * there is no grammar, and no step pays for masks. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "constrain.h"
#include "grammars.h"
#include "parse_int.h"

typedef struct composer {
    pgd_call *c;
    api_builder b;
    api_demand demand;
    api_tool_rule tools;
    bool may_call; /* calls are looked for in the output */
    const char *opener[API_MAX_MARKERS];
    size_t n_openers;
} composer;

static const pgd_grammar_spec nothing = {.kind = PGD_GRAMMAR_SEQ};

/* ---- thought first ---- */

static pgd_grammar_spec thought_end(composer *k, const api_think_format *t) {
    /* an opened call would end the thought for the parser */
    const size_t n = k->may_call ? k->n_openers : 0;
    const pgd_grammar_spec newlines = {.kind = PGD_GRAMMAR_REGEX, .text = PGD_SV("\n{0,2}")};
    return API_SEQ(&k->b, api_spec_until(&k->b, t->close, k->opener, n), newlines);
}

/* `answer` behind what the format has in front of answers, and before what it has behind them. */
static pgd_grammar_spec framed(composer *k, const api_think_format *t, pgd_grammar_spec answer) {
    if (!t->drop[0]) return answer;
    return API_SEQ(&k->b, api_spec_optional(&k->b, api_spec_text(&k->b, t->drop[0])), answer,
                   api_spec_optional(&k->b, api_spec_text(&k->b, t->drop[1])));
}

static pgd_grammar_spec after_thought(composer *k, pgd_grammar_spec body) {
    const api_think_format *const t = k->c->g.parsing.formats.think;
    if (!t) return body;
    const pgd_grammar_spec end = thought_end(k, t);
    switch (k->c->g.parsing.open) {
    case API_OPEN_REASONING:
        return API_SEQ(&k->b, end, body);
    case API_OPEN_NOTHING:
        if (!api_grammars_has_token(k->c->api->grammars, t->open)) return body;
        return API_SEQ(&k->b,
                       api_spec_optional(&k->b, API_SEQ(&k->b, api_spec_text(&k->b, t->open), end)),
                       body);
    case API_OPEN_ANSWER:
    case API_OPEN_MESSAGE:
        break;
    }
    return body;
}

/* harmony: an analysis message may come first; answers have a header of their own. */
static pgd_grammar_spec harmony(composer *k, pgd_grammar_spec answer, pgd_grammar_spec calls) {
    api_builder *const b = &k->b;
    const pgd_grammar_spec end =
        API_SEQ(b, api_spec_until(b, "<|end|>", NULL, 0), api_spec_text(b, "<|start|>assistant"));
    const pgd_grammar_spec analysis =
        API_SEQ(b, api_spec_text(b, "<|channel|>analysis<|message|>"), end);
    const bool open = k->c->g.parsing.open == API_OPEN_MESSAGE;
    const pgd_grammar_spec final =
        open ? answer : API_SEQ(b, api_spec_text(b, "<|channel|>final<|message|>"), answer);
    const bool has_answer = answer.kind != PGD_GRAMMAR_SEQ || answer.n_parts;
    const bool has_calls = calls.kind != PGD_GRAMMAR_SEQ || calls.n_parts;
    const pgd_grammar_spec body = !has_calls    ? final
                                  : !has_answer ? calls
                                                : API_ALT(b, final, calls);
    if (open) return body;
    if (k->c->g.parsing.open == API_OPEN_REASONING) return API_SEQ(b, end, body);
    return API_SEQ(b, api_spec_optional(b, analysis), body);
}

/* ---- the answer ---- */

static bool is_harmony(const composer *k) {
    const api_formats *const f = &k->c->g.parsing.formats;
    return (f->tools && f->tools->harmony) || (f->think && f->think->harmony);
}

/* Free text in which calls may stand: what `auto` means when some tool is strict. */
static pgd_grammar_spec with_calls(composer *k, pgd_grammar_spec calls) {
    api_builder *const b = &k->b;
    const char bare[] = {api_call_bare(&k->c->g.parsing.formats), '\0'};
    const pgd_grammar_spec text = api_spec_free(b, k->opener, k->n_openers, "");
    if (!bare[0]) return API_SEQ(b, text, api_spec_optional(b, API_SEQ(b, calls, text)));
    /* a call without a marker begins the text, so other texts may not begin like one */
    const char *const first = bare[0] == '{' ? "{ \n\r\t" : "[ \n\r\t";
    return API_ALT(b, calls, api_spec_free(b, k->opener, k->n_openers, first));
}

static pgd_status compose(composer *k, pgd_grammar_spec *out) {
    api_builder *const b = &k->b;
    const api_tool_mode mode = k->tools.mode;
    const bool must = mode == API_TOOLS_REQUIRED || mode == API_TOOLS_NAMED;
    pgd_grammar_spec calls = nothing, answer = nothing;
    if (k->may_call)
        PGD_TRY(api_spec_calls(b, &k->c->g.parsing.formats, &k->tools, k->c->g.one_call, &calls,
                               &k->c->err));
    if (!must && k->demand.param) {
        answer = k->demand.spec;
        answer.name = k->demand.param;
    }
    if (is_harmony(k)) {
        if (!must && !k->demand.param) answer = api_spec_free(b, NULL, 0, "");
        *out = harmony(k, answer, calls);
    } else {
        const api_think_format *const t = k->c->g.parsing.formats.think;
        pgd_grammar_spec body = must ? calls : t ? framed(k, t, answer) : answer;
        if (!must && k->demand.param && k->may_call) body = API_ALT(b, body, calls);
        if (!must && !k->demand.param) body = with_calls(k, calls);
        *out = after_thought(k, body);
    }
    return b->failed ? api_fail_nomem(&k->c->err) : PGD_OK;
}

/* ---- compiling ---- */

/* The field that a message of the compiler is about: it begins with the name of the part. */
static const char *blamed(const composer *k, const char *msg) {
    for (size_t i = 0; i < k->tools.n_tools; i++) {
        const size_t n = strlen(k->tools.tool[i].path);
        if (strncmp(msg, k->tools.tool[i].path, n) == 0 && msg[n] == ':')
            return k->tools.tool[i].path;
    }
    return k->demand.param ? k->demand.param : "tools";
}

static pgd_status compile(composer *k, const pgd_grammar_spec *spec) {
    pgd_error err = {0};
    api_grammars *const g = k->c->api->grammars;
    const uint64_t start = pgd_clock_now(&k->c->api->clock);
    const pgd_status st = api_grammars_get(g, spec, &k->c->g.grammar, &err);
    const uint64_t took = pgd_clock_now(&k->c->api->clock) - start;
    pgd_metric_observe(k->c->api->m.grammar_seconds, (double)took * 1e-9);
    if (st == PGD_OK) return PGD_OK;
    pgd_metric_add(k->c->api->m.grammar_rejects, 1);
    const char *const param = blamed(k, err.msg);
    const size_t n = strlen(param);
    const char *why = err.msg; /* without the name, which the text below gives */
    if (strncmp(why, param, n) == 0 && why[n] == ':' && why[n + 1] == ' ') why += n + 2;
    pgd_error shown = {.code = err.code};
    const bool schema = param != k->demand.param || k->demand.spec.kind == PGD_GRAMMAR_JSON_SCHEMA;
    (void)snprintf(shown.msg, sizeof shown.msg, "Invalid %s for '%s': %.800s",
                   schema ? "schema" : "grammar", param, why);
    return api_fail_from(&k->c->err, &shown, schema ? "invalid_json_schema" : "invalid_grammar",
                         param);
}

static pgd_status check_served(const composer *k, const api_fields *f) {
    const char *const param = k->demand.param ? k->demand.param : "tool_choice";
    const bool must = k->tools.mode == API_TOOLS_REQUIRED || k->tools.mode == API_TOOLS_NAMED;
    if (must && !api_can_call(&k->c->g.parsing.formats))
        return api_fail(&k->c->err, PGD_E_UNSUPPORTED, "unsupported_value", "tool_choice",
                        "Unsupported value: 'tool_choice' other than 'none' and 'auto' needs a "
                        "model whose chat template has a known form of tool calls.");
    if (f->continue_final.given && f->continue_final.v)
        return api_fail(&k->c->err, PGD_E_UNSUPPORTED, "unsupported_value", param,
                        "Unsupported value: '%s' cannot be combined with "
                        "'continue_final_message'.",
                        param);
    if (k->c->api->grammars) return PGD_OK;
    return api_fail_unsupported(&k->c->err, param);
}

pgd_status api_constrain(pgd_call *c, const api_fields *f) {
    composer k = {.c = c, .b = {.arena = c->arena}};
    pgd_grammar_spec spec;
    PGD_TRY(api_read_demand(f, c->arena, &k.demand, &c->err));
    if (api_is_chat(c->route)) PGD_TRY(api_read_tool_rule(f, c->arena, &k.tools, &c->err));
    const bool limited = k.tools.mode == API_TOOLS_AUTO && k.tools.limited;
    const bool must = k.tools.mode == API_TOOLS_REQUIRED || k.tools.mode == API_TOOLS_NAMED;
    if (!k.demand.param && !limited && !must) return PGD_OK;
    PGD_TRY(check_served(&k, f));
    k.b.controls = api_grammars_controls(c->api->grammars);
    k.may_call = k.tools.mode != API_TOOLS_NONE && api_can_call(&c->g.parsing.formats);
    k.n_openers = api_call_openers(&c->g.parsing.formats, k.opener, API_MAX_MARKERS);
    if (!k.demand.param && !k.may_call) return PGD_OK; /* no calls in this model's output */
    c->g.named_tool = k.tools.mode == API_TOOLS_NAMED;
    c->g.one_call = c->g.one_call || c->g.named_tool;
    PGD_TRY(compose(&k, &spec));
    return compile(&k, &spec);
}
