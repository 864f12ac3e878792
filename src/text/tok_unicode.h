/* Unicode properties and normalization as `tokenizers` has them; the tokenizer's only face of
 * utf8proc. Thread: any; all functions are pure. */
#ifndef PGD_TEXT_TOK_UNICODE_H
#define PGD_TEXT_TOK_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tok_text.h"

bool pgd_uc_is_space(uint32_t cp);      /* White_Space */
bool pgd_uc_is_numeric(uint32_t cp);    /* Nd, Nl, No */
bool pgd_uc_is_punct(uint32_t cp);      /* ASCII punctuation and symbols, and category P */
bool pgd_uc_is_mark(uint32_t cp);       /* Mn, Mc, Me */
bool pgd_uc_is_nonspacing(uint32_t cp); /* Mn */
bool pgd_uc_is_other(uint32_t cp);      /* Cc, Cf, Co */
bool pgd_uc_is_word(uint32_t cp);       /* \w of UTS 18: alphabetic, marks, Nd, Pc, join controls */

/* Full lower-case mapping without context; returns how many of out[] were written (1..2). */
size_t pgd_uc_lower(uint32_t cp, uint32_t out[2]);

typedef enum pgd_uc_form { PGD_UC_NFC, PGD_UC_NFD, PGD_UC_NFKC, PGD_UC_NFKD } pgd_uc_form;
/* Append the normalized form of in to out. O(n) whatever the text. Errors: PGD_E_NOMEM. */
pgd_status pgd_uc_normalize(pgd_uc_form form, const pgd_tok_text *in, pgd_tok_text *out);

/* Whether an extended grapheme cluster ends between a and b; *state is 0 at the start of a text. */
bool pgd_uc_grapheme_break(uint32_t a, uint32_t b, int32_t *state);

#endif
