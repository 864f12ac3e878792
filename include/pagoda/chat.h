/* From chat messages to prompt text: picks the model's template, normalises the messages as clients
 * send them (parts, developer role, JSON-string arguments, nulls), renders. Immutable after load,
 * shared read-only. */
#ifndef PAGODA_CHAT_H
#define PAGODA_CHAT_H

#include <stdbool.h>

#include "pagoda/jinja.h"
#include "pagoda/json.h"
#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_chat pgd_chat;

/* Load the chat template of a model folder: chat_template.jinja (and for requests with tools
 * additional_chat_templates/tool_use.jinja), else chat_template.json, else `chat_template` of
 * tokenizer_config.json (a string, or a list of named templates: "default", and "tool_use" when
 * tools are given), with every "..._token" of tokenizer_config.json as context. What the template
 * takes (parts, developer role, later system messages, arguments as objects or text) is found by
 * rendering some twenty small conversations. override_path, if not NULL, is a file used instead.
 * *out is NULL with PGD_OK when the model has none (chat requests are then refused). Errors:
 * PGD_E_FORMAT, PGD_E_IO, PGD_E_NOT_FOUND, PGD_E_LIMIT naming the file. */
pgd_status pgd_chat_load(const char *model_dir, const char *override_path, pgd_chat **out,
                         pgd_error *err);
void pgd_chat_destroy(pgd_chat **c);

typedef struct pgd_chat_input {
    const pgd_json *messages;        /* array, as in the request; required */
    const pgd_json *tools;           /* array or NULL */
    const pgd_json *documents;       /* array or NULL */
    const pgd_json *template_kwargs; /* object or NULL; cannot override the names we set */
    pgd_sv reasoning_effort;         /* empty: absent */
    bool add_generation_prompt;
    bool continue_final_message; /* leave the last message open */
} pgd_chat_input;

/* Validate the messages and render them. Errors: PGD_E_INVALID; `param` then holds the JSON path
 * of the offending part ("messages[2].content[0].type"), or is empty when the template itself
 * refused. PGD_E_UNSUPPORTED for part types that the model cannot take (same param rule). */
pgd_status pgd_chat_render(const pgd_chat *c, const pgd_chat_input *in, pgd_rendered *out,
                           char param[128], pgd_error *err);

#endif
