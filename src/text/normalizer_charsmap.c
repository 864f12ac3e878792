/* SentencePiece's precompiled character map.
 *
 * The blob is: u32 little-endian size of the trie in bytes, the trie (a Darts double array of u32),
 * then the replacement pool. The rules of application are those of `tokenizers`: a grapheme of
 * fewer than six bytes is looked up whole, and the *shortest* prefix that the trie knows replaces
 * all of it; otherwise each code point is looked up alone. All offsets come from the file, so each
 * is checked before use. Thread: any after parsing. */
#include <string.h>

#include "normalizer.h"
#include "tok_unicode.h"

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decoded bytes in the arena, aligned to 16. False on a character outside the alphabet. */
static bool base64_decode(pgd_sv s, pgd_arena *arena, uint8_t **out, size_t *n) {
    while (s.n > 0 && s.p[s.n - 1] == '=') {
        s.n--;
    }
    uint8_t *const p = pgd_arena_alloc(arena, s.n / 4 * 3 + 4);
    *out = p;
    *n = 0;
    if (p == NULL) return true;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < s.n; i++) {
        const int d = base64_digit(s.p[i]);
        if (d < 0) return false;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            p[(*n)++] = (uint8_t)(bits >> have);
        }
    }
    return true;
}

static uint32_t load_le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

pgd_status pgd_charsmap_parse(pgd_sv base64, const pgd_tj_path *at, pgd_arena *arena,
                              pgd_charsmap *out, pgd_error *err) {
    uint8_t *blob = NULL;
    size_t n = 0;
    if (!base64_decode(base64, arena, &blob, &n)) {
        return pgd_fail(err, PGD_E_FORMAT, "%s.precompiled_charsmap: not base64", at->s);
    }
    if (blob == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    const size_t trie_bytes = n >= 4 ? load_le32(blob) : 0;
    if (n < 8 || trie_bytes > n - 4 || trie_bytes % 4 != 0 || trie_bytes == 0) {
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s.precompiled_charsmap: trie of %zu bytes in a map of %zu", at->s,
                        trie_bytes, n);
    }
    uint32_t *const trie = pgd_arena_array(arena, trie_bytes / 4, sizeof *trie);
    if (trie == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    for (size_t i = 0; i < trie_bytes / 4; i++) {
        trie[i] = load_le32(blob + 4 + i * 4);
    }
    const char *const pool = (const char *)blob + 4 + trie_bytes;
    const size_t pool_n = n - 4 - trie_bytes;
    if (pgd_utf8_valid_prefix(pool, pool_n) != pool_n) {
        return pgd_fail(err, PGD_E_FORMAT, "%s.precompiled_charsmap: replacements are not UTF-8",
                        at->s);
    }
    *out = (pgd_charsmap){trie, trie_bytes / 4, pool, pool_n};
    return PGD_OK;
}

static size_t unit_offset(uint32_t unit) {
    return (size_t)(unit >> 10) << ((unit & (1u << 9)) >> 6);
}

/* The replacement of the shortest known prefix of s, or false. */
static bool lookup(const pgd_charsmap *cm, const char *s, size_t n, pgd_sv *out) {
    size_t node = unit_offset(cm->trie[0]);
    for (size_t i = 0; i < n && s[i] != '\0'; i++) {
        const uint8_t c = (uint8_t)s[i];
        node ^= c;
        if (node >= cm->n_trie) return false;
        const uint32_t unit = cm->trie[node];
        if ((unit & ((1u << 31) | 0xFF)) != c) return false;
        node ^= unit_offset(unit);
        if (node >= cm->n_trie) return false;
        if ((unit >> 8 & 1) != 0) {
            const size_t at = cm->trie[node] & 0x7FFFFFFF;
            /* an offset into the middle of a character would emit broken UTF-8 */
            if (at >= cm->pool_n || ((uint8_t)cm->pool[at] & 0xC0) == 0x80) return false;
            const char *const end = memchr(cm->pool + at, 0, cm->pool_n - at);
            *out = (pgd_sv){cm->pool + at,
                            end == NULL ? cm->pool_n - at : (size_t)(end - (cm->pool + at))};
            return true;
        }
    }
    return false;
}

static void map_grapheme(const pgd_charsmap *cm, const pgd_tok_text *in, size_t begin, size_t end,
                         pgd_tok_text *out) {
    const char *const s = in->buf.p;
    pgd_sv r;
    if (end - begin < 6 && lookup(cm, s + begin, end - begin, &r)) {
        pgd_tok_text_put(out, r.p, r.n, pgd_tok_text_origin(in, begin));
        return;
    }
    for (size_t i = begin, len = 0; i < end; i += len) {
        pgd_tok_cp(s, end, i, &len);
        if (lookup(cm, s + i, len, &r)) {
            pgd_tok_text_put(out, r.p, r.n, pgd_tok_text_origin(in, i));
        } else {
            pgd_tok_text_copy(out, in, i, i + len);
        }
    }
}

void pgd_charsmap_apply(const pgd_charsmap *cm, const pgd_tok_text *in, pgd_tok_text *out) {
    const size_t n = in->buf.n;
    size_t begin = 0;
    int32_t state = 0;
    while (begin < n) {
        size_t len = 0;
        uint32_t prev = pgd_tok_cp(in->buf.p, n, begin, &len);
        size_t end = begin + len;
        while (end < n) {
            const uint32_t next = pgd_tok_cp(in->buf.p, n, end, &len);
            if (pgd_uc_grapheme_break(prev, next, &state)) break;
            prev = next;
            end += len;
        }
        map_grapheme(cm, in, begin, end, out);
        begin = end;
    }
}
