/* A text under normalization: bytes, and where asked for the offset in the caller's text from which
 * each byte came. Private to the tokenizer. One thread. */
#ifndef PGD_TEXT_TOK_TEXT_H
#define PGD_TEXT_TOK_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_tok_text {
    pgd_buf buf;
    uint32_t *origin; /* [buf.n] when track, non-decreasing */
    size_t origin_cap;
    bool track;
} pgd_tok_text;

void pgd_tok_text_fini(pgd_tok_text *t);
/* Empty, memory kept. */
void pgd_tok_text_clear(pgd_tok_text *t, bool track);
/* Append n bytes that all came from `origin`. A failure shows in t->buf.failed. */
void pgd_tok_text_put(pgd_tok_text *t, const char *p, size_t n, uint32_t origin);
void pgd_tok_text_put_cp(pgd_tok_text *t, uint32_t cp, uint32_t origin);
/* Append src[begin, end) with its origins. */
void pgd_tok_text_copy(pgd_tok_text *t, const pgd_tok_text *src, size_t begin, size_t end);

/* Origin of byte i of t (0 when origins are not tracked). */
static inline uint32_t pgd_tok_text_origin(const pgd_tok_text *t, size_t i) {
    return t->track ? t->origin[i] : 0;
}

/* p (of *cap items) with room for `need` items of item_bytes, or NULL when memory ran out (p is
 * then still valid). */
void *pgd_tok_grow(void *p, size_t *cap, size_t need, size_t item_bytes);

/* The code point at s[i], which is valid UTF-8 there; *len is its length in bytes. */
static inline uint32_t pgd_tok_cp(const char *s, size_t n, size_t i, size_t *len) {
    const uint8_t c = (uint8_t)s[i];
    if (c < 0x80) {
        *len = 1;
        return c;
    }
    uint32_t cp = 0xFFFD;
    *len = pgd_utf8_decode(s + i, n - i, &cp);
    if (*len == 0) { /* not UTF-8: the caller's contract is broken; stay in bounds all the same */
        *len = 1;
        return 0xFFFD;
    }
    return cp;
}

/* Byte-level alphabet of GPT-2: printable Latin-1 stands for itself, the 68 others for
 * U+0100..U+0143 in byte order. */
static inline uint32_t pgd_tok_byte_char(uint8_t b) {
    if ((b >= 33 && b <= 126) || (b >= 161 && b != 173)) return b;
    if (b < 33) return 256u + b;
    if (b == 173) return 256u + 67u;
    return 256u + 33u + (b - 127u);
}
/* The byte that cp stands for in that alphabet, or -1. */
static inline int pgd_tok_char_byte(uint32_t cp) {
    if (cp < 256) return pgd_tok_byte_char((uint8_t)cp) == cp ? (int)cp : -1;
    if (cp < 256 + 33) return (int)cp - 256;
    if (cp < 256 + 67) return (int)cp - 256 - 33 + 127;
    return cp == 256 + 67 ? 173 : -1;
}
/* Append the byte-level form of s[0..n). */
void pgd_tok_put_byte_level(pgd_tok_text *t, const char *s, size_t n, uint32_t origin);

#endif
