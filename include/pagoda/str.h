/* Strings that carry their length: views (borrowed) and growable buffers (owned), and UTF-8.
 * Thread: a buffer belongs to one thread at a time. */
#ifndef PAGODA_STR_H
#define PAGODA_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"

/* Borrowed bytes; p may be NULL only when n is 0. Not NUL-terminated. */
typedef struct pgd_sv {
    const char *p;
    size_t n;
} pgd_sv;

/* View of a string literal / of a C string. */
#define PGD_SV(lit) ((pgd_sv){(lit), sizeof(lit) - 1})
pgd_sv pgd_sv_c(const char *s);
bool pgd_sv_eq(pgd_sv a, pgd_sv b);
bool pgd_sv_starts(pgd_sv s, pgd_sv prefix);
bool pgd_sv_ends(pgd_sv s, pgd_sv suffix);
/* Offset of needle in s at or after `from`, or SIZE_MAX. An empty needle is found at `from`. */
size_t pgd_sv_find(pgd_sv s, pgd_sv needle, size_t from);
/* Take off *rest the part before its first sep, and that sep: lines of a text, items of a list.
 * false when nothing is left, so that a sep at the end has no empty part behind it. */
bool pgd_sv_cut(pgd_sv *rest, pgd_sv sep, pgd_sv *part);

/* Growable byte buffer. {0} is a valid empty buffer. Data is always NUL-terminated when p is not
 * NULL. After a failed append `failed` is set and later appends do nothing, so that a writer may
 * check once at the end. */
typedef struct pgd_buf {
    char *p;
    size_t n, cap;
    bool failed;
} pgd_buf;

void pgd_buf_fini(pgd_buf *b);  /* free, back to {0} */
void pgd_buf_clear(pgd_buf *b); /* n = 0, failed = false, memory kept */
/* Room for `extra` more bytes. Errors: PGD_E_NOMEM. */
pgd_status pgd_buf_reserve(pgd_buf *b, size_t extra);
void pgd_buf_put(pgd_buf *b, const void *data, size_t n);
void pgd_buf_putc(pgd_buf *b, char c);
void pgd_buf_puts(pgd_buf *b, const char *s);
void pgd_buf_putsv(pgd_buf *b, pgd_sv s);
void pgd_buf_putf(pgd_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pgd_buf_put_u64(pgd_buf *b, uint64_t v);
void pgd_buf_put_i64(pgd_buf *b, int64_t v);
/* The words of text (separated by blanks) in lines of at most `width` bytes, each after `indent`
 * blanks and ended by a line feed; a longer word has a line of its own. */
void pgd_buf_put_wrapped(pgd_buf *b, const char *text, size_t indent, size_t width);
/* Remove the first n bytes. */
void pgd_buf_drop_front(pgd_buf *b, size_t n);
pgd_sv pgd_buf_sv(const pgd_buf *b);

/* UTF-8, strict (no surrogates, no overlongs, <= U+10FFFF). */
/* Length of the longest valid prefix of s; == n when all of it is valid. */
size_t pgd_utf8_valid_prefix(const char *s, size_t n);
/* Decode one code point at s (n > 0). Returns its length 1..4 and *cp, or 0 when invalid or cut. */
size_t pgd_utf8_decode(const char *s, size_t n, uint32_t *cp);
/* Encode cp into out[4]; returns the length, 0 when cp is no scalar value. */
size_t pgd_utf8_encode(uint32_t cp, char out[4]);
/* Number of bytes (0..3) at the end of s that begin a code point which is cut off there. */
size_t pgd_utf8_incomplete_tail(const char *s, size_t n);
/* Number of code points in valid UTF-8. */
size_t pgd_utf8_count(const char *s, size_t n);

/* Parse all of s as a decimal integer / a finite number. False when anything else is in it or the
 * value does not fit. */
bool pgd_parse_i64(pgd_sv s, int64_t *out);
bool pgd_parse_u64(pgd_sv s, uint64_t *out);
bool pgd_parse_f64(pgd_sv s, double *out);

#endif
