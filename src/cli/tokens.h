/* What a tokenizer makes of a text, as a table. */
#ifndef PAGODA_CLI_TOKENS_H
#define PAGODA_CLI_TOKENS_H

#include "pagoda/tokenizer.h"

/* A row a token: index, id, the vocabulary's string, and the text it stands for, quoted and
 * escaped; then the counts. Fit for a terminal. */
void cli_tokens_table(const pgd_tokenizer *tok, const pgd_ids *ids, pgd_sv text, pgd_buf *out);
/* The ids alone on one line, as cli_tokens_parse reads them. */
void cli_tokens_ids(const pgd_ids *ids, pgd_buf *out);
/* "1 2 3", "1,2,3" or "[1, 2, 3]". Errors: PGD_E_INVALID naming what is no id; PGD_E_NOMEM. */
pgd_status cli_tokens_parse(pgd_sv text, pgd_ids *out, pgd_error *err);

#endif
