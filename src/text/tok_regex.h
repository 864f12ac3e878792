/* Patterns of tokenizer.json, the only face of PCRE2 in this program. Patterns are written for
 * Oniguruma, which `tokenizers` uses; they are translated where the two differ. A compiled pattern
 * is immutable and shared; a matcher holds the scratch memory of one call. */
#ifndef PGD_TEXT_TOK_REGEX_H
#define PGD_TEXT_TOK_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_tok_regex pgd_tok_regex;
/* Compile a pattern; literal: match the text itself. Errors: PGD_E_UNSUPPORTED with the reason and
 * place, PGD_E_NOMEM. */
pgd_status pgd_tok_regex_compile(pgd_sv pattern, bool literal, pgd_tok_regex **out, pgd_error *err);
void pgd_tok_regex_free(pgd_tok_regex **re);
/* The Oniguruma pattern in PCRE2's syntax, appended to out. Errors: PGD_E_UNSUPPORTED. */
pgd_status pgd_tok_regex_translate(pgd_sv pattern, pgd_buf *out, pgd_error *err);

typedef struct pgd_tok_matcher pgd_tok_matcher;
pgd_status pgd_tok_matcher_create(pgd_tok_matcher **out);
void pgd_tok_matcher_destroy(pgd_tok_matcher **m);

/* Successive matches in one text. Start with {re, matcher, text, 0, SIZE_MAX}. */
typedef struct pgd_tok_regex_iter {
    const pgd_tok_regex *re;
    pgd_tok_matcher *m;
    pgd_sv text;
    size_t from;     /* where the next search starts */
    size_t last_end; /* end of the previous match, SIZE_MAX before the first */
} pgd_tok_regex_iter;
/* *found and [*begin, *end) of the next match. An empty match at the end of the previous one is
 * skipped, as Oniguruma's iterator does. Errors: PGD_E_LIMIT (match or heap limit), PGD_E_NOMEM. */
pgd_status pgd_tok_regex_next(pgd_tok_regex_iter *it, bool *found, size_t *begin, size_t *end,
                              pgd_error *err);

#endif
