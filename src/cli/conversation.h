/* The messages of a conversation, and keeping them in a file. */
#ifndef PAGODA_CLI_CONVERSATION_H
#define PAGODA_CLI_CONVERSATION_H

#include "pagoda/jsonw.h"
#include "pagoda/str.h"

typedef enum cli_role { CLI_SYSTEM, CLI_USER, CLI_ASSISTANT } cli_role;

typedef struct cli_message {
    cli_role role;
    pgd_buf text; /* owned, valid UTF-8 */
} cli_message;

/* {0} is an empty conversation. */
typedef struct cli_conversation {
    cli_message *v; /* owned */
    size_t n, cap;
} cli_conversation;

void cli_conversation_fini(cli_conversation *c);
/* Append a copy. Errors: PGD_E_NOMEM; the conversation is then as before. */
pgd_status cli_conversation_add(cli_conversation *c, cli_role role, pgd_sv text, pgd_error *err);
void cli_conversation_drop_last(cli_conversation *c);
/* The system prompt, which is the first message if there is one; empty: none. */
pgd_sv cli_conversation_system(const cli_conversation *c);
/* Replace it; empty text removes it. Errors: PGD_E_NOMEM. */
pgd_status cli_conversation_set_system(cli_conversation *c, pgd_sv text, pgd_error *err);
/* Forget all messages but the system prompt. */
void cli_conversation_clear(cli_conversation *c);

/* The array that requests carry as "messages". */
void cli_conversation_put_json(const cli_conversation *c, pgd_jsonw *w);
/* Write that array to a file, one message a line. The file is replaced as a whole or not at all,
 * and readable by its owner only. Errors: PGD_E_IO, PGD_E_NOMEM, naming the path. */
pgd_status cli_conversation_save(const cli_conversation *c, const char *path, pgd_error *err);
/* Replace *c by what the file holds: an array of {"role", "content"} or an object with such an
 * array as "messages". Errors name path, message and field; *c is then untouched. */
pgd_status cli_conversation_load(cli_conversation *c, const char *path, pgd_error *err);

#endif
