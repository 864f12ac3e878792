/* Reading JSON. A strict validator (RFC 8259, UTF-8, depth, node and byte limits, no trailing
 * bytes, no NUL) runs before cJSON builds the tree, since cJSON is lax and amplifies memory.
 * Duplicate keys: the last one wins. Integers keep all their digits within int64/uint64. Nodes are
 * borrowed from their document and immutable. Thread: a document may be read by any one thread. */
#ifndef PAGODA_JSON_H
#define PAGODA_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_json_doc pgd_json_doc; /* owned tree */
typedef struct pgd_json pgd_json;         /* borrowed node */

typedef enum pgd_json_type {
    PGD_JSON_NULL,
    PGD_JSON_BOOL,
    PGD_JSON_NUMBER,
    PGD_JSON_STRING,
    PGD_JSON_ARRAY,
    PGD_JSON_OBJECT
} pgd_json_type;

typedef struct pgd_json_limits {
    size_t max_bytes;
    size_t max_nodes;
    uint32_t max_depth;
} pgd_json_limits;

/* Limits for request bodies (32 MiB, 2 M nodes, depth 128) and for local model files. */
extern const pgd_json_limits pgd_json_limits_request;
extern const pgd_json_limits pgd_json_limits_file;

/* Only check that text is one valid JSON value within the limits. Errors: PGD_E_FORMAT with line,
 * column and reason; PGD_E_LIMIT. */
pgd_status pgd_json_validate(pgd_sv text, const pgd_json_limits *lim, pgd_error *err);
/* Validate and build. *out is owned by the caller. Errors as validate, and PGD_E_NOMEM. */
pgd_status pgd_json_parse(pgd_sv text, const pgd_json_limits *lim, pgd_json_doc **out,
                          pgd_error *err);
void pgd_json_free(pgd_json_doc **doc);
const pgd_json *pgd_json_root(const pgd_json_doc *doc);

pgd_json_type pgd_json_typeof(const pgd_json *v);
/* "an object", "a string", "an integer", "a decimal", "a boolean", "an array", "null": for
 * messages. */
const char *pgd_json_type_name(const pgd_json *v);

/* Case-exact member lookup (the last of duplicates), NULL when obj is NULL, no object, or lacks
 * it. O(members): walk with first/next where many are read. */
const pgd_json *pgd_json_get(const pgd_json *obj, const char *key);
/* Children of an array or object in order; NULL at the end. key is NULL in arrays. */
const pgd_json *pgd_json_first(const pgd_json *v);
const pgd_json *pgd_json_next(const pgd_json *v);
const char *pgd_json_key(const pgd_json *v);
size_t pgd_json_count(const pgd_json *v);

/* Value access; false / empty when v is NULL or has another type. as_i64 accepts integral numbers
 * written as 16.0 too. */
bool pgd_json_is_null(const pgd_json *v); /* true for NULL (absent) and for JSON null */
bool pgd_json_as_bool(const pgd_json *v, bool *out);
bool pgd_json_as_i64(const pgd_json *v, int64_t *out);
bool pgd_json_as_u64(const pgd_json *v, uint64_t *out);
bool pgd_json_as_f64(const pgd_json *v, double *out);
bool pgd_json_as_str(const pgd_json *v, pgd_sv *out);
/* True when the number was written without fraction and exponent ("1", not "1.0"). */
bool pgd_json_is_integer_literal(const pgd_json *v);
/* The digits as written of an integer literal of 2^53 or more (either sign), which a double may not
 * hold; false for any other node. Borrowed from the document. */
bool pgd_json_big_digits(const pgd_json *v, pgd_sv *out);

#endif
