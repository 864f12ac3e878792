/* JSON without ceremony for sse_fold.c: what is not there, or is of another type, is an assertion
 * that fails. */
#ifndef TESTS_FUZZ_SSE_JSON_H
#define TESTS_FUZZ_SSE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/json.h"
#include "pagoda/str.h"

bool sv_is(pgd_sv s, const char *what);
/* A member, which may be null. */
const pgd_json *node_at(const pgd_json *v, const char *key);
pgd_sv node_str(const pgd_json *v);
pgd_sv node_str_at(const pgd_json *v, const char *key);
int64_t node_int_at(const pgd_json *v, const char *key);
/* One spelling of a value; of an array's members, each with a comma behind. */
void node_put(pgd_buf *b, const pgd_json *v);
void node_put_members(pgd_buf *b, const pgd_json *array);
/* must: it is valid; else NULL where it is not. An escaped NUL, which the validator refuses and RFC
 * 8259 allows, is read as U+0001: a model may write one into the arguments of a call. */
pgd_json_doc *node_parse(pgd_sv text, bool must);

#endif
