/* Running JSONL cases {text, ids, add_special_tokens, ...} against a tokenizer. Shared by the
 * golden test and by check_fixtures, which points it at any folder. */
#ifndef PGD_TESTS_TOKENIZER_CASES_H
#define PGD_TESTS_TOKENIZER_CASES_H

#include <stddef.h>

#include "pagoda/tokenizer.h"

typedef struct case_counts {
    size_t run, failed, skipped;
} case_counts;

/* Run every line of the file at path. A mismatch is printed with file and line and counted. Fields:
 *   text, ids, add_special_tokens    encoding must give exactly ids (without text: decode only)
 *   plain (optional, true)           added tokens are ordinary text
 *   control (optional)               [[begin, end], ...] byte spans in which added tokens match
 *   decoded (optional)               decoding ids, special tokens kept, must give this
 *   decoded_skip (optional)          the same with special tokens left out
 * Whatever is decoded is also decoded one id at a time. Cases with text_pair are skipped. */
void run_cases(const pgd_tokenizer *tok, const char *path, case_counts *counts);

#endif
