/* Fuzz target of the schema compiler: a JSON Schema from outside. What is checked is in
 * grammar_fuzz.h. */
#include "grammar_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    grammar_fuzz(PGD_GRAMMAR_JSON_SCHEMA, data, size);
    return 0;
}
