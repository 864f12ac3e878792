/* Helpers shared by the API's tests: the small tokenizer and chat template of data/, and JSON
 * without ceremony. All of it fails the running test when something is wrong. */
#ifndef TESTS_API_SUPPORT_H
#define TESTS_API_SUPPORT_H

#include "pagoda/chat.h"
#include "pagoda/grammar.h"
#include "pagoda/json.h"
#include "pagoda/tokenizer.h"

pgd_tokenizer *test_tokenizer(void);
pgd_chat *test_chat(void);
/* A token for each byte, its id, and the end token 256. The caller destroys it. */
pgd_vocab *test_byte_vocab(void);

/* Parse text; the caller frees with pgd_json_free. */
pgd_json_doc *test_json(const char *text, size_t n);
/* Walk a path such as "choices.0.message.content"; fails the test when a step is missing. */
const pgd_json *test_at(const pgd_json *v, const char *path);
/* As test_at, NULL when a step is missing. */
const pgd_json *test_find(const pgd_json *v, const char *path);
void test_str_is(const pgd_json *v, const char *path, const char *want);
void test_int_is(const pgd_json *v, const char *path, int64_t want);
int64_t test_int(const pgd_json *v, const char *path);

/* splitmix64: seeds are printed by the tests that use it. */
uint64_t test_rand(uint64_t *state);

#endif
