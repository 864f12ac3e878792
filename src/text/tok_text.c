/* Text buffers of the tokenizer: bytes with the offsets they came from, and the byte-level
 * alphabet.
 *
 * Invariant: with `track` set, origin has one entry per byte and never decreases. Without it the
 * array is left alone, so that the common case (no control spans to map through a normalizer)
 * pays nothing. Allocation failures are sticky in the buffer and checked once per step.
 * Thread: the owner of the buffer. Does not validate UTF-8; callers hand in valid text. */
#include "tok_text.h"

#include <string.h>

#include "pagoda/mem.h"

void *pgd_tok_grow(void *p, size_t *cap, size_t need, size_t item_bytes) {
    if (need <= *cap) return p;
    size_t want = *cap < 16 ? 16 : *cap;
    while (want < need) {
        if (want > SIZE_MAX / 2) return NULL;
        want *= 2;
    }
    size_t bytes = 0;
    if (!pgd_mul_size(want, item_bytes, &bytes)) return NULL;
    void *const bigger = pgd_realloc(p, bytes);
    if (bigger != NULL) *cap = want;
    return bigger;
}

void pgd_tok_text_fini(pgd_tok_text *t) {
    pgd_buf_fini(&t->buf);
    pgd_free(t->origin);
    *t = (pgd_tok_text){0};
}

void pgd_tok_text_clear(pgd_tok_text *t, bool track) {
    pgd_buf_clear(&t->buf);
    t->track = track;
}

/* Room for n more origins; false (and a failed buffer) when memory ran out. */
static bool reserve_origin(pgd_tok_text *t, size_t n) {
    uint32_t *const o = pgd_tok_grow(t->origin, &t->origin_cap, t->buf.n + n, sizeof *o);
    if (o == NULL) {
        t->buf.failed = true;
        return false;
    }
    t->origin = o;
    return true;
}

void pgd_tok_text_put(pgd_tok_text *t, const char *p, size_t n, uint32_t origin) {
    if (t->track) {
        if (t->buf.failed || !reserve_origin(t, n)) return;
        for (size_t i = 0; i < n; i++) {
            t->origin[t->buf.n + i] = origin;
        }
    }
    pgd_buf_put(&t->buf, p, n);
}

void pgd_tok_text_put_cp(pgd_tok_text *t, uint32_t cp, uint32_t origin) {
    char s[4];
    pgd_tok_text_put(t, s, pgd_utf8_encode(cp, s), origin);
}

void pgd_tok_text_copy(pgd_tok_text *t, const pgd_tok_text *src, size_t begin, size_t end) {
    if (begin >= end) return;
    if (t->track) {
        if (t->buf.failed || !reserve_origin(t, end - begin)) return;
        for (size_t i = begin; i < end; i++) {
            t->origin[t->buf.n + i - begin] = pgd_tok_text_origin(src, i);
        }
    }
    pgd_buf_put(&t->buf, src->buf.p + begin, end - begin);
}

void pgd_tok_put_byte_level(pgd_tok_text *t, const char *s, size_t n, uint32_t origin) {
    char chunk[256];
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (used + 4 > sizeof chunk) {
            pgd_tok_text_put(t, chunk, used, origin);
            used = 0;
        }
        const uint32_t cp = pgd_tok_byte_char((uint8_t)s[i]);
        if (cp < 0x80) {
            chunk[used++] = (char)cp;
        } else {
            used += pgd_utf8_encode(cp, chunk + used);
        }
    }
    pgd_tok_text_put(t, chunk, used, origin);
}
