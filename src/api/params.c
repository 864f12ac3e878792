/* The field table and the extraction of typed values.
 *
 * One row a field; rows are sorted by name so that a lookup is a binary search (a body may hold a
 * million members). Rows of one name differ in their routes. First the last occurrence of every
 * known member is found (duplicates: the last wins), then values are read in document order, so
 * that the first error is the first in the text. Adding a plain field is one row and one member of
 * api_fields. Thread: any. */
#include "params.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "translate.h"

typedef enum row_kind {
    ROW_BOOL,
    ROW_INT,
    ROW_NUM,
    ROW_STR,
    ROW_ARRAY,
    ROW_OBJECT,
    ROW_ANY,    /* node; its reader checks it */
    ROW_REFUSED /* known, not served: any value but false, "" and [] is an error */
} row_kind;

typedef struct row {
    const char *name;
    double min, max; /* numbers; strings: length in bytes, max 0 = any */
    uint16_t offset;
    uint8_t kind, routes;
    bool open_min; /* the minimum itself is excluded */
} row;

#define GEN (API_ON_CHAT | API_ON_COMPLETIONS)
#define CHATTY (API_ON_CHAT | API_ON_TOKENIZE)
#define TEXTY (API_ON_TOKENIZE | API_ON_DETOKENIZE)
#define ALL (GEN | TEXTY)
#define AT(member) offsetof(api_fields, member)
#define BOOL(nm, on, m)                                                                            \
    { .name = (nm), .kind = ROW_BOOL, .routes = (on), .offset = AT(m) }
#define INT(nm, on, m, lo, hi)                                                                     \
    { .name = (nm), .kind = ROW_INT, .routes = (on), .offset = AT(m), .min = (lo), .max = (hi) }
#define NUM(nm, on, m, lo, hi)                                                                     \
    { .name = (nm), .kind = ROW_NUM, .routes = (on), .offset = AT(m), .min = (lo), .max = (hi) }
#define STR(nm, on, m, lo, hi)                                                                     \
    { .name = (nm), .kind = ROW_STR, .routes = (on), .offset = AT(m), .min = (lo), .max = (hi) }
#define ARRAY(nm, on, m)                                                                           \
    { .name = (nm), .kind = ROW_ARRAY, .routes = (on), .offset = AT(m) }
#define OBJECT(nm, on, m)                                                                          \
    { .name = (nm), .kind = ROW_OBJECT, .routes = (on), .offset = AT(m) }
#define ANY(nm, on, m)                                                                             \
    { .name = (nm), .kind = ROW_ANY, .routes = (on), .offset = AT(m) }
#define REFUSED(nm, on)                                                                            \
    { .name = (nm), .kind = ROW_REFUSED, .routes = (on) }

#define I32_MAX 2147483647.0
#define I64_MIN_D (-9223372036854775808.0)
#define I64_MAX_D 9223372036854775807.0

/* clang-format off */
static const row rows[] = {
    BOOL("add_generation_prompt", CHATTY, add_generation_prompt),
    BOOL("add_special", TEXTY, add_special),
    BOOL("add_special_tokens", ALL, add_special),
    REFUSED("allowed_token_ids", GEN),
    REFUSED("bad_words", GEN),
    INT("best_of", API_ON_COMPLETIONS, best_of, 0, 20),
    STR("cache_salt", GEN, cache_salt, 1, API_MAX_SALT_BYTES),
    REFUSED("chat_template", CHATTY),
    OBJECT("chat_template_kwargs", CHATTY, template_kwargs),
    STR("content", API_ON_TOKENIZE, content, 0, 0),
    BOOL("continue_final_message", CHATTY, continue_final),
    ARRAY("documents", API_ON_CHAT, documents),
    STR("ebnf", GEN, ebnf, 0, 0),
    REFUSED("echo", API_ON_CHAT),
    BOOL("echo", API_ON_COMPLETIONS, echo),
    NUM("frequency_penalty", GEN, frequency_penalty, -2, 2),
    ANY("function_call", API_ON_CHAT, function_call),
    ARRAY("functions", API_ON_CHAT, functions),
    STR("grammar", GEN, grammar, 0, 0),
    ARRAY("guided_choice", GEN, guided_choice),
    STR("guided_grammar", GEN, guided_grammar, 0, 0),
    ANY("guided_json", GEN, guided_json),
    STR("guided_regex", GEN, guided_regex, 0, 0),
    BOOL("ignore_eos", GEN, ignore_eos),
    BOOL("include_reasoning", API_ON_CHAT, include_reasoning),
    BOOL("include_stop_str_in_output", GEN, include_stop),
    ANY("json_schema", GEN, json_schema),
    OBJECT("logit_bias", GEN, logit_bias),
    REFUSED("logprob_token_ids", GEN),
    BOOL("logprobs", API_ON_CHAT, logprobs),
    INT("logprobs", API_ON_COMPLETIONS, n_logprobs, 0, 5),
    INT("max_completion_tokens", API_ON_CHAT, max_completion_tokens, 1, I64_MAX_D),
    INT("max_tokens", API_ON_CHAT, max_tokens, 1, I64_MAX_D),
    INT("max_tokens", API_ON_COMPLETIONS, max_tokens, 0, I64_MAX_D),
    ARRAY("messages", CHATTY, messages),
    OBJECT("metadata", GEN, ignored_node),
    NUM("min_p", GEN, min_p, 0, 1),
    INT("min_tokens", GEN, min_tokens, 0, I64_MAX_D),
    ARRAY("modalities", API_ON_CHAT, modalities),
    STR("model", ALL, model, 0, 0),
    INT("n", GEN, n, 1, 128),
    BOOL("no_stop_trim", GEN, include_stop),
    BOOL("parallel_tool_calls", API_ON_CHAT, parallel_tool_calls),
    NUM("presence_penalty", GEN, presence_penalty, -2, 2),
    INT("priority", GEN, priority, -I32_MAX - 1, I32_MAX),
    ANY("prompt", API_ON_COMPLETIONS | API_ON_TOKENIZE, prompt),
    REFUSED("prompt_logprobs", GEN),
    STR("reasoning_effort", API_ON_CHAT, reasoning_effort, 0, 64),
    STR("reasoning_format", API_ON_CHAT, reasoning_format, 0, 64),
    STR("regex", GEN, regex, 0, 0),
    {.name = "repeat_penalty", .kind = ROW_NUM, .routes = GEN, .offset = AT(repetition_penalty),
     .min = 0, .max = 1000, .open_min = true},
    {.name = "repetition_penalty", .kind = ROW_NUM, .routes = GEN, .offset = AT(repetition_penalty),
     .min = 0, .max = 1000, .open_min = true},
    STR("request_id", GEN, request_id, 0, 0),
    OBJECT("response_format", GEN, response_format),
    BOOL("return_token_ids", GEN, return_token_ids),
    BOOL("return_token_strs", API_ON_TOKENIZE, return_token_strs),
    BOOL("return_tokens_as_token_ids", GEN, tokens_as_ids),
    STR("rid", GEN, request_id, 0, 0),
    STR("safety_identifier", GEN, ignored_str, 0, 0),
    INT("seed", GEN, seed, I64_MIN_D, I64_MAX_D),
    BOOL("separate_reasoning", API_ON_CHAT, separate_reasoning),
    STR("service_tier", API_ON_CHAT, service_tier, 0, 0),
    BOOL("skip_special_tokens", GEN, skip_special),
    BOOL("spaces_between_special_tokens", GEN, ignored_bool),
    ANY("stop", GEN, stop),
    ARRAY("stop_token_ids", GEN, stop_token_ids),
    BOOL("store", API_ON_CHAT, ignored_bool),
    BOOL("stream", GEN, stream),
    OBJECT("stream_options", GEN, stream_options),
    REFUSED("structural_tag", GEN),
    OBJECT("structured_outputs", GEN, structured_outputs),
    STR("suffix", API_ON_COMPLETIONS, suffix, 0, 0),
    NUM("temperature", GEN, temperature, 0, 2),
    REFUSED("thinking_token_budget", GEN),
    ARRAY("tokens", API_ON_DETOKENIZE, tokens),
    ANY("tool_choice", API_ON_CHAT, tool_choice),
    ARRAY("tools", CHATTY, tools),
    INT("top_k", GEN, top_k, -1, I32_MAX),
    INT("top_logprobs", API_ON_CHAT, top_logprobs, 0, PGD_MAX_TOP_LOGPROBS),
    NUM("top_p", GEN, top_p, 0, 1),
    INT("truncate_prompt_tokens", GEN, truncate_prompt_tokens, -1, I64_MAX_D),
    STR("truncation_side", GEN, truncation_side, 0, 0),
    REFUSED("use_beam_search", GEN),
    STR("user", GEN, ignored_str, 0, 0),
    BOOL("with_pieces", API_ON_TOKENIZE, return_token_strs),
};
/* clang-format on */
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static const row *find_row(const char *name, unsigned route) {
    size_t lo = 0, hi = N_ROWS;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (strcmp(rows[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < N_ROWS && strcmp(rows[lo].name, name) == 0; lo++)
        if (rows[lo].routes & route) return &rows[lo];
    return NULL;
}

static pgd_status fail_range(const row *r, const char *what, const char *got, bool above,
                             api_error *e) {
    const char *code = r->kind == ROW_INT
                           ? above ? "integer_above_max_value" : "integer_below_min_value"
                       : above ? "decimal_above_max_value"
                               : "decimal_below_min_value";
    const char *relation = above ? "<=" : r->open_min ? ">" : ">=";
    return api_fail(e, PGD_E_INVALID, code, r->name,
                    "Invalid '%s': %s %s value. Expected a value %s %.15g, but got %s instead.",
                    r->name, what, above ? "above maximum" : "below minimum", relation,
                    above ? r->max : r->min, got);
}

/* Integers: literals of any size, and integral decimals (16.0), as clients of loose languages send
 * them. What no int64 holds is out of range by its sign, not of a wrong type. */
static pgd_status read_int(const row *r, const pgd_json *v, api_opt_int *out, api_error *e) {
    double d;
    if (!pgd_json_as_f64(v, &d)) return api_fail_type(e, r->name, "an integer", v);
    int64_t i;
    char got[64];
    if (!pgd_json_as_i64(v, &i)) {
        pgd_sv digits;
        const bool integral = pgd_json_is_integer_literal(v) || fabs(d) >= 9007199254740992.0;
        if (!integral) return api_fail_type(e, r->name, "an integer", v);
        if (pgd_json_big_digits(v, &digits) && digits.n < sizeof got)
            (void)snprintf(got, sizeof got, "%.*s", (int)digits.n, digits.p);
        else
            (void)snprintf(got, sizeof got, "%.15g", d);
        return fail_range(r, "integer", got, d > 0, e);
    }
    (void)snprintf(got, sizeof got, "%lld", (long long)i);
    if ((double)i < r->min) return fail_range(r, "integer", got, false, e);
    if ((double)i > r->max) return fail_range(r, "integer", got, true, e);
    *out = (api_opt_int){true, i};
    return PGD_OK;
}

static pgd_status read_num(const row *r, const pgd_json *v, api_opt_num *out, api_error *e) {
    double d;
    if (!pgd_json_as_f64(v, &d)) return api_fail_type(e, r->name, "a decimal", v);
    char got[64];
    (void)snprintf(got, sizeof got, "%.15g", d);
    if (d > r->max) return fail_range(r, "decimal", got, true, e);
    /* negated so that a NaN fails too */
    if (!(d >= r->min) || (r->open_min && d <= r->min))
        return fail_range(r, "decimal", got, false, e);
    *out = (api_opt_num){true, d};
    return PGD_OK;
}

static pgd_status read_str(const row *r, const pgd_json *v, pgd_sv *out, api_error *e) {
    if (!pgd_json_as_str(v, out)) return api_fail_type(e, r->name, "a string", v);
    if (r->max > 0 && (double)out->n > r->max)
        return api_fail(e, PGD_E_INVALID, "string_above_max_length", r->name,
                        "Invalid '%s': string too long. Expected a string with maximum length "
                        "%.0f, but got a string with length %zu instead.",
                        r->name, r->max, out->n);
    if ((double)out->n < r->min)
        return api_fail(e, PGD_E_INVALID, "string_below_min_length", r->name,
                        "Invalid '%s': string too short. Expected a string with minimum length "
                        "%.0f, but got a string with length %zu instead.",
                        r->name, r->min, out->n);
    return PGD_OK;
}

static pgd_status read_refused(const row *r, const pgd_json *v, api_error *e) {
    bool b;
    pgd_sv s;
    const bool off = (pgd_json_as_bool(v, &b) && !b) || (pgd_json_as_str(v, &s) && s.n == 0) ||
                     (pgd_json_typeof(v) == PGD_JSON_ARRAY && !pgd_json_first(v));
    return off ? PGD_OK : api_fail_unsupported(e, r->name);
}

static pgd_status read_value(const row *r, const pgd_json *v, api_fields *out, api_error *e) {
    void *const at = (char *)out + r->offset;
    switch ((row_kind)r->kind) {
    case ROW_BOOL:
        if (!pgd_json_as_bool(v, &((api_opt_bool *)at)->v))
            return api_fail_type(e, r->name, "a boolean", v);
        ((api_opt_bool *)at)->given = true;
        return PGD_OK;
    case ROW_INT:
        return read_int(r, v, at, e);
    case ROW_NUM:
        return read_num(r, v, at, e);
    case ROW_STR:
        return read_str(r, v, at, e);
    case ROW_ARRAY:
        if (pgd_json_typeof(v) != PGD_JSON_ARRAY) return api_fail_type(e, r->name, "an array", v);
        break;
    case ROW_OBJECT:
        if (pgd_json_typeof(v) != PGD_JSON_OBJECT) return api_fail_type(e, r->name, "an object", v);
        break;
    case ROW_ANY:
        break;
    case ROW_REFUSED:
        return read_refused(r, v, e);
    }
    *(const pgd_json **)at = v;
    return PGD_OK;
}

pgd_status api_fields_read(const pgd_json *body, unsigned route, api_fields *out, api_error *e) {
    *out = (api_fields){0};
    PGD_TRY(api_check_object(e, body));
    const pgd_json *last[N_ROWS] = {0};
    for (const pgd_json *v = pgd_json_first(body); v; v = pgd_json_next(v)) {
        const row *const r = find_row(pgd_json_key(v), route);
        if (r) last[r - rows] = v;
    }
    for (const pgd_json *v = pgd_json_first(body); v; v = pgd_json_next(v)) {
        const row *const r = find_row(pgd_json_key(v), route);
        if (!r || last[r - rows] != v || pgd_json_is_null(v)) continue;
        PGD_TRY(read_value(r, v, out, e));
    }
    return PGD_OK;
}

size_t api_fields_count(void) {
    return N_ROWS;
}

const char *api_fields_name(size_t i, unsigned *routes) {
    *routes = rows[i].routes;
    return rows[i].name;
}
