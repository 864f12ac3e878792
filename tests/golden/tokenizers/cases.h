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
 *
 *   text, ids           encoding must give exactly ids, also with one control span over everything
 *   add_special_tokens  run the post-processor
 *   plain               true: added tokens are ordinary text
 *   control             [[begin, end], ...]: byte spans in which alone added tokens match
 *   decoded             decoding ids, special tokens kept, must give this
 *   decoded_skip        the same with special tokens left out
 *
 * All but ids are optional; without text only decoding is checked. Whatever is decoded is also
 * decoded one id at a time. Cases with text_pair are skipped. */
void run_cases(const pgd_tokenizer *tok, const char *path, case_counts *counts);

#endif
