/* Fuzz target of the ebnf compiler: an EBNF grammar from outside. What is checked is in
 * grammar_fuzz.h. */
#include "grammar_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    grammar_fuzz(PGD_GRAMMAR_EBNF, data, size);
    return 0;
}
