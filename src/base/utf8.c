/* Strict UTF-8 (RFC 3629): decode, encode, and where a cut-off tail begins.
 *
 * One table-free decoder does all the judging; the other functions call it, so that "valid" has one
 * meaning in the program. Overlong forms, surrogates and values above U+10FFFF are invalid. Runs
 * over ASCII eight bytes at a time, since that is most of what it sees. Does not repair: what to do
 * with bad bytes is the caller's business. Thread: any. */
#include <string.h>

#include "pagoda/str.h"

static bool is_tail(unsigned char c) {
    return (c & 0xC0) == 0x80;
}

/* Length that a lead byte announces; 0 for a byte that starts nothing (80..C1, F5..FF). */
static size_t announced(unsigned char c) {
    if (c < 0x80) return 1;
    if (c < 0xC2) return 0;
    if (c < 0xE0) return 2;
    if (c < 0xF0) return 3;
    return c < 0xF5 ? 4 : 0;
}

/* Whether a second byte is possible after this lead (this is where overlongs, surrogates and
 * values beyond U+10FFFF show). */
static bool second_ok(unsigned char lead, unsigned char c) {
    if (!is_tail(c)) return false;
    if (lead == 0xE0) return c >= 0xA0;
    if (lead == 0xED) return c < 0xA0;
    if (lead == 0xF0) return c >= 0x90;
    return lead != 0xF4 || c < 0x90;
}

size_t pgd_utf8_decode(const char *s, size_t n, uint32_t *cp) {
    const unsigned char *u = (const unsigned char *)s;
    const size_t len = n ? announced(u[0]) : 0;
    if (len == 0 || len > n) return 0;
    if (len == 1) {
        *cp = u[0];
        return 1;
    }
    if (!second_ok(u[0], u[1])) return 0;
    uint32_t v = (uint32_t)(u[0] & (0x7F >> len)) << 6 | (u[1] & 0x3F);
    for (size_t i = 2; i < len; i++) {
        if (!is_tail(u[i])) return 0;
        v = v << 6 | (u[i] & 0x3F);
    }
    *cp = v;
    return len;
}

size_t pgd_utf8_valid_prefix(const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        if (n - i >= sizeof word) {
            memcpy(&word, s + i, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                i += sizeof word;
                continue;
            }
        }
        uint32_t cp;
        const size_t len = pgd_utf8_decode(s + i, n - i, &cp);
        if (len == 0) break;
        i += len;
    }
    return i;
}

size_t pgd_utf8_encode(uint32_t cp, char out[4]) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        if (cp >= 0xD800 && cp < 0xE000) return 0;
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    if (cp > 0x10FFFF) return 0;
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t pgd_utf8_incomplete_tail(const char *s, size_t n) {
    const unsigned char *u = (const unsigned char *)s;
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char c = u[n - back];
        if (is_tail(c)) continue;
        if (announced(c) <= back) return 0;
        return back == 1 || second_ok(c, u[n - back + 1]) ? back : 0;
    }
    return 0;
}

size_t pgd_utf8_count(const char *s, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !is_tail((unsigned char)s[i]);
    return count;
}
