/* The request fields this server knows: one table (name, type, range, routes, where it lands), and
 * the typed extraction that follows it. Unknown fields are ignored, null means absent, known fields
 * are strictly typed. A field that is known but not served yet is refused, never ignored. */
#ifndef PAGODA_API_PARAMS_H
#define PAGODA_API_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "errors.h"
#include "pagoda/json.h"
#include "pagoda/sampling.h"
#include "pagoda/str.h"
#include "stop.h"

enum {
    API_MAX_MESSAGES = 16384,
    API_MAX_PARTS = 1024,
    API_MAX_TOOLS = 1024,
    API_MAX_CHOICES = 1024, /* prompts x n of one call */
    API_MAX_INPUTS = 2048,  /* of one call of embeddings, as OpenAI has it */
    API_MAX_STOP_IDS = 48,  /* what 16 eos ids leave of PGD_MAX_STOP_IDS */
    API_MAX_SALT_BYTES = 128,
};

/* Routes that know a field. */
enum { API_ON_CHAT = 1, API_ON_COMPLETIONS = 2, API_ON_TOKENIZE = 4, API_ON_DETOKENIZE = 8 };

typedef struct api_opt_bool {
    bool given, v;
} api_opt_bool;
typedef struct api_opt_int {
    bool given;
    int64_t v;
} api_opt_int;
typedef struct api_opt_num {
    bool given;
    double v;
} api_opt_num;

/* Typed fields of a body. Nodes and strings are borrowed from the document; absent ones are NULL or
 * have p == NULL. */
typedef struct api_fields {
    pgd_sv model, cache_salt, request_id, reasoning_effort, reasoning_format, content, suffix,
        truncation_side, service_tier;
    api_opt_num temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    api_opt_int n, best_of, max_tokens, max_completion_tokens, min_tokens, top_k, top_logprobs,
        n_logprobs, seed, priority, truncate_prompt_tokens;
    api_opt_bool stream, logprobs, echo, ignore_eos, include_stop, skip_special,
        add_generation_prompt, continue_final, add_special, return_token_ids, tokens_as_ids,
        return_token_strs, parallel_tool_calls, include_reasoning, separate_reasoning, ignored_bool;
    const pgd_json *messages, *prompt, *stop, *stop_token_ids, *logit_bias, *tools, *tool_choice,
        *response_format, *stream_options, *template_kwargs, *documents, *modalities, *functions,
        *function_call, *tokens, *structured_outputs, *guided_json, *guided_choice, *json_schema,
        *ignored_node;
    pgd_sv guided_regex, guided_grammar, regex, ebnf, grammar;
    pgd_sv ignored_str;
} api_fields;

/* Read the fields of body that `route` (one API_ON_ bit) knows. Errors, in document order: type,
 * range, length, unsupported. Thread: any. O(bytes). */
pgd_status api_fields_read(const pgd_json *body, unsigned route, api_fields *out, api_error *e);

/* Structured values (param_values.c); each names the JSON path of what is wrong. */
pgd_status api_read_stop(const pgd_json *v, pgd_arena *a, api_stops *out, api_error *e);
/* ids[0..*n): token ids below vocab; at most `max`. path is the field's name. */
pgd_status api_read_ids(const pgd_json *v, const char *path, uint32_t vocab, int32_t *ids,
                        size_t max, size_t *n, api_error *e);
pgd_status api_read_bias(const pgd_json *v, uint32_t vocab, pgd_arena *a, pgd_bias **out,
                         uint32_t *n, api_error *e);
typedef struct api_stream_options {
    bool include_usage, continuous_usage;
} api_stream_options;
pgd_status api_read_stream_options(const pgd_json *v, api_stream_options *out, api_error *e);
/* Refuse what is known but not served: audio, functions, infilling. */
pgd_status api_check_served(const api_fields *f, api_error *e);
/* messages and tools: counts and kinds that need no template. */
pgd_status api_check_messages(const pgd_json *messages, api_error *e);
pgd_status api_check_tools(const pgd_json *tools, api_error *e);
/* Tools in the nested form that templates expect: *doc (owned by the caller) and its root when any
 * tool came flat ({"type", "name", "parameters"}, or with "input_schema"), else tools itself. */
pgd_status api_nest_tools(const pgd_json *tools, pgd_json_doc **doc, const pgd_json **out,
                          api_error *e);
/* Whether tools are to be shown to the model (present, not empty, tool_choice not "none"). */
bool api_wants_tools(const api_fields *f);

/* For tests: the rows' names and routes in table order. */
size_t api_fields_count(void);
const char *api_fields_name(size_t row, unsigned *routes);

#endif
