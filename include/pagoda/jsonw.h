/* Writing JSON into a buffer as it comes, without a tree. Commas and nesting are kept by the
 * writer; wrong use (a value where a key is due) is a bug and asserts. Strings must be valid UTF-8;
 * control characters, quotes and backslashes are escaped, all else is written as it is.
 * Doubles are written with the fewest digits that read back to the same value, integral ones with
 * ".0" so that they stay decimals; infinities and NaN become null. Failure of the buffer is seen in
 * buf->failed. */
#ifndef PAGODA_JSONW_H
#define PAGODA_JSONW_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/json.h"
#include "pagoda/str.h"

enum { PGD_JSONW_MAX_DEPTH = 64 };

typedef struct pgd_jsonw {
    pgd_buf *buf;
    uint32_t depth;
    bool after_key;
    uint8_t stack[PGD_JSONW_MAX_DEPTH]; /* '{' or '[' and whether an item was written */
} pgd_jsonw;

/* Append to buf (borrowed while the writer is used). */
void pgd_jsonw_init(pgd_jsonw *w, pgd_buf *buf);
void pgd_jsonw_obj(pgd_jsonw *w);
void pgd_jsonw_end_obj(pgd_jsonw *w);
void pgd_jsonw_arr(pgd_jsonw *w);
void pgd_jsonw_end_arr(pgd_jsonw *w);
void pgd_jsonw_key(pgd_jsonw *w, const char *key);
void pgd_jsonw_str(pgd_jsonw *w, pgd_sv s);
void pgd_jsonw_cstr(pgd_jsonw *w, const char *s); /* NULL writes null */
void pgd_jsonw_i64(pgd_jsonw *w, int64_t v);
void pgd_jsonw_u64(pgd_jsonw *w, uint64_t v);
void pgd_jsonw_f64(pgd_jsonw *w, double v);
void pgd_jsonw_f32(pgd_jsonw *w, float v); /* shortest for float, as logprobs are */
void pgd_jsonw_bool(pgd_jsonw *w, bool v);
void pgd_jsonw_null(pgd_jsonw *w);
/* Insert text that is already JSON. */
void pgd_jsonw_raw(pgd_jsonw *w, pgd_sv json);
/* Write a parsed node, recursively. */
void pgd_jsonw_node(pgd_jsonw *w, const pgd_json *v);

/* The escaped form of s without the quotes, appended to b. */
void pgd_json_escape(pgd_buf *b, pgd_sv s);

#endif
