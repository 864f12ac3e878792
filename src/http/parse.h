/* Strict, incremental parsing of HTTP/1.1 requests (RFC 9112). Private to src/http. */
#ifndef PGD_HTTP_PARSE_H
#define PGD_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/str.h"

enum { PGD_HTTP_MAX_HEADERS = 100, PGD_HTTP_MAX_TARGET = 8192 };

typedef struct pgd_http_field {
    pgd_sv name, value; /* views into the head; value without surrounding blanks */
} pgd_http_field;

typedef enum pgd_http_framing { PGD_BODY_NONE, PGD_BODY_LENGTH, PGD_BODY_CHUNKED } pgd_http_framing;

/* A parsed head; views point into the caller's bytes. */
typedef struct pgd_http_head {
    pgd_sv method, target;
    unsigned minor; /* HTTP/1.minor */
    pgd_http_field field[PGD_HTTP_MAX_HEADERS];
    uint32_t n_fields;
    pgd_http_framing framing;
    uint64_t content_length;
    bool keep_alive;
    bool expect_continue;
} pgd_http_head;

typedef enum pgd_parse {
    PGD_PARSE_MORE, /* not complete yet */
    PGD_PARSE_OK,
    PGD_PARSE_BAD /* *status and *why say what to answer; the connection must close */
} pgd_parse;

/* Find a complete head at the start of in[0..n). from is where the last search stopped (0 at
 * first; updated), so that slow arrival costs linear time. On OK *head_bytes is its length.
 * Control bytes and bare line feeds are refused as soon as they are seen. */
pgd_parse pgd_http_parse_head(const char *in, size_t n, size_t max_bytes, size_t *from,
                              pgd_http_head *out, size_t *head_bytes, int *status,
                              const char **why);

/* First field of that (lower-case) name, or an empty view with p == NULL. */
pgd_sv pgd_http_field_get(const pgd_http_head *h, const char *lower_name);
bool pgd_http_name_eq(pgd_sv name, const char *lower_name);

/* Chunked bodies. {0} is the start. */
typedef struct pgd_chunked {
    uint8_t state;
    uint8_t digits;
    uint32_t line_bytes; /* of the size line or the trailer section */
    uint64_t left;       /* data bytes left of the current chunk */
} pgd_chunked;

/* Decode in[0..n), appending data to body (at most max_body bytes in all). *used is what was
 * consumed; OK means the last chunk and the trailers are behind. */
pgd_parse pgd_chunked_decode(pgd_chunked *c, const char *in, size_t n, size_t max_body,
                             pgd_buf *body, size_t *used, int *status, const char **why);

/* Decode %XX of a path segment into out. False on a bad escape or an escaped NUL. */
bool pgd_http_percent_decode(pgd_sv in, pgd_buf *out);

#endif
