/* Text from elsewhere made fit for a terminal: no control character gets through. */
#ifndef PAGODA_CLI_CLEAN_H
#define PAGODA_CLI_CLEAN_H

#include "pagoda/str.h"

/* State between two pieces of one text. {0} is a text's beginning. */
typedef struct cli_clean {
    char part[4]; /* the beginning of a code point that the last piece cut off */
    unsigned n_part;
    bool after_cr;
} cli_clean;

/* Append what the piece makes certain to out. */
void cli_clean_feed(cli_clean *c, pgd_sv piece, pgd_buf *out);
/* The text ends: append what was held back; c is a beginning again. */
void cli_clean_end(cli_clean *c, pgd_buf *out);
/* A whole text at once. */
void cli_clean_text(pgd_sv text, pgd_buf *out);

#endif
