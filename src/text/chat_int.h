/* Private to src/text/chat*.c. */
#ifndef PGD_TEXT_CHAT_INT_H
#define PGD_TEXT_CHAT_INT_H

#include "pagoda/arena.h"
#include "pagoda/chat.h"

typedef enum chat_role {
    CHAT_SYSTEM,
    CHAT_USER,
    CHAT_ASSISTANT,
    CHAT_TOOL,
    CHAT_DEVELOPER,
    CHAT_FUNCTION,
    CHAT_IPYTHON,
    CHAT_N_ROLES
} chat_role;

extern const char *const chat_role_names[CHAT_N_ROLES];

/* What a template can take, found by rendering small probes when it is loaded. */
typedef struct chat_caps {
    bool strings;             /* string content is printed */
    bool parts[CHAT_N_ROLES]; /* a list of text parts is printed as their text */
    bool developer;           /* the role has a meaning of its own */
    bool system_in_place;     /* later system messages are printed where they stand */
    bool developer_in_place;  /* and developer messages */
    bool arguments_object;    /* arguments of tool calls may be objects */
    bool arguments_string;    /* and strings that are no JSON */
    bool null_content;        /* tool calls show only when the content is null */
} chat_caps;

typedef struct chat_template {
    pgd_jinja *jinja; /* owned; NULL: the model has none of this name */
    chat_caps caps;
} chat_template;

typedef struct chat_token {
    pgd_sv name;                  /* "bos_token" */
    const pgd_jinja_value *value; /* trusted */
} chat_token;

struct pgd_chat {
    pgd_arena *arena;       /* names and values of the special tokens */
    chat_template standard; /* "default" */
    chat_template tool_use; /* used when tools are given */
    chat_token *tokens;
    size_t n_tokens;
};

/* Text that no message holds, appended to the last message to find where it ends. */
#define CHAT_CONTINUE_TAG "PAGODA_CONTINUE_FINAL_MESSAGE "

/* Messages of a request as the template's list. Errors as pgd_chat_render. */
pgd_status chat_messages(pgd_arena *a, const chat_caps *caps, const pgd_chat_input *in,
                         pgd_jinja_value **out, char param[128], pgd_error *err);

/* The variables of a render besides `messages`. Returns NULL when the arena is exhausted. */
pgd_jinja_value *chat_context(pgd_arena *a, const pgd_chat *c, const pgd_chat_input *in,
                              pgd_jinja_value *messages);

/* Fill t->caps. */
void chat_probe(const pgd_chat *c, const chat_template *t, pgd_sv source, chat_caps *out);

#endif
