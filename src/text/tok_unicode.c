/* Unicode properties and normalization forms over utf8proc.
 *
 * Properties come from tables that `tokenizers` itself answered for (tok_unicode_tables.c), because
 * its parts follow different Unicode versions; mappings and combining classes are utf8proc's, kept
 * to the code points that `tokenizers` knows.
 * Normalization works segment by segment: a segment starts at a code point that nothing before it
 * can combine with, so text is normalized in pieces of a few bytes and ASCII is copied. Within a
 * segment code points are decomposed, marks sorted by combining class and, for the C forms,
 * composed. utf8proc's own sorting is quadratic on long runs of marks, hence the counting sort
 * here: text is untrusted. Thread: any; no state. Does not fold case and does not know locales. */
#include "tok_unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "pagoda/mem.h"
#include "tok_unicode_tables.h"

/* Whether cp lies in one of the n sorted ranges. */
static bool in_ranges(const pgd_uc_range *r, size_t n, uint32_t cp) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (r[mid].last < cp) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < n && r[lo].first <= cp;
}

bool pgd_uc_is_space(uint32_t cp) {
    if (cp < 0x80) return cp == ' ' || (cp >= 9 && cp <= 13);
    return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool pgd_uc_is_numeric(uint32_t cp) {
    if (cp < 0x80) return cp >= '0' && cp <= '9';
    return in_ranges(pgd_uc_numeric, pgd_uc_numeric_n, cp);
}

bool pgd_uc_is_punct(uint32_t cp) {
    if (cp < 0x80) {
        return (cp >= 33 && cp <= 47) || (cp >= 58 && cp <= 64) || (cp >= 91 && cp <= 96) ||
               (cp >= 123 && cp <= 126);
    }
    return in_ranges(pgd_uc_punct, pgd_uc_punct_n, cp);
}

bool pgd_uc_is_mark(uint32_t cp) {
    return cp >= 0x300 && in_ranges(pgd_uc_mark, pgd_uc_mark_n, cp);
}

bool pgd_uc_is_nonspacing(uint32_t cp) {
    return cp >= 0x300 && in_ranges(pgd_uc_nonspacing, pgd_uc_nonspacing_n, cp);
}

bool pgd_uc_is_other(uint32_t cp) {
    if (cp < 0x80) return cp < 0x20 || cp == 0x7F;
    return in_ranges(pgd_uc_other, pgd_uc_other_n, cp);
}

bool pgd_uc_is_word(uint32_t cp) {
    if (cp < 0x80) {
        return (cp >= '0' && cp <= '9') || (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z') ||
               cp == '_';
    }
    return in_ranges(pgd_uc_word, pgd_uc_word_n, cp);
}

size_t pgd_uc_lower(uint32_t cp, uint32_t out[2]) {
    if (cp < 0x80) {
        out[0] = cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
        return 1;
    }
    if (cp == 0x130) { /* the one unconditional entry of SpecialCasing that grows */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    for (size_t i = 0; i < pgd_uc_lower_extra_n; i++) {
        if (pgd_uc_lower_extra[i].first == cp) {
            out[0] = pgd_uc_lower_extra[i].last;
            return 1;
        }
    }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    return 1;
}

bool pgd_uc_grapheme_break(uint32_t a, uint32_t b, int32_t *state) {
    return utf8proc_grapheme_break_stateful((utf8proc_int32_t)a, (utf8proc_int32_t)b, state);
}

/* ---- Normalization ---- */

/* Combining class as `tokenizers` has it: marks newer than its tables count as starters. */
static unsigned combining_class(utf8proc_int32_t cp) {
    if (cp < 0x300) return 0;
    const unsigned c = (unsigned)utf8proc_get_property(cp)->combining_class & 0xFFu;
    if (c == 0 || !in_ranges(pgd_uc_combines, pgd_uc_combines_n, (uint32_t)cp)) return 0;
    return c;
}

/* Seconds of compositions that are newer than the tables of `tokenizers` (Unicode 13 and 16). */
static bool composes_late(uint32_t cp) {
    return cp == 0x11930 || (cp >= 0x113B8 && cp <= 0x113C9) || (cp >= 0x1611E && cp <= 0x16129) ||
           (cp >= 0x16D63 && cp <= 0x16D6A);
}

/* Whether no decomposition of cp can interact with what stands before it. Conservative: marks,
 * conjoining jamo, and compatibility jamo and sound marks whose mapping starts with one continue a
 * segment; combining class 0 alone is not enough. Marks newer than `tokenizers` start one, so that
 * utf8proc, which knows them, does not compose across them. */
static bool starts_segment(uint32_t cp) {
    if (cp < 0x300) return true;
    if (cp >= 0x4E00 && cp < 0xA000) return true;
    if ((cp >= 0x1160 && cp <= 0x11FF) || (cp >= 0xD7B0 && cp <= 0xD7FF)) return false;
    if ((cp >= 0x3131 && cp <= 0x318E) || (cp >= 0xFF9E && cp <= 0xFFDC)) return false;
    if (composes_late(cp)) return true;
    const utf8proc_property_t *const p = utf8proc_get_property((utf8proc_int32_t)cp);
    if (p->combining_class != 0) return combining_class((utf8proc_int32_t)cp) == 0;
    return p->category != UTF8PROC_CATEGORY_MN && p->category != UTF8PROC_CATEGORY_MC &&
           p->category != UTF8PROC_CATEGORY_ME;
}

typedef struct cp_list {
    utf8proc_int32_t *v, *tmp;
    size_t n, cap, tmp_cap;
} cp_list;

/* Stable order by combining class of one run of non-starters v[0..n): insertion for the usual few,
 * counting sort for long runs. */
static pgd_status sort_marks(cp_list *l, utf8proc_int32_t *v, size_t n) {
    if (n <= 16) {
        for (size_t i = 1; i < n; i++) {
            const utf8proc_int32_t x = v[i];
            size_t j = i;
            for (; j > 0 && combining_class(v[j - 1]) > combining_class(x); j--) {
                v[j] = v[j - 1];
            }
            v[j] = x;
        }
        return PGD_OK;
    }
    utf8proc_int32_t *const tmp = pgd_tok_grow(l->tmp, &l->tmp_cap, n, sizeof *tmp);
    if (tmp == NULL) return PGD_E_NOMEM;
    l->tmp = tmp;
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++) {
        start[combining_class(v[i]) + 1]++;
    }
    for (size_t c = 1; c <= 256; c++) {
        start[c] += start[c - 1];
    }
    for (size_t i = 0; i < n; i++) {
        tmp[start[combining_class(v[i])]++] = v[i];
    }
    memcpy(v, tmp, n * sizeof *v);
    return PGD_OK;
}

static pgd_status order_marks(cp_list *l) {
    size_t i = 0;
    while (i < l->n) {
        if (combining_class(l->v[i]) == 0) {
            i++;
            continue;
        }
        size_t j = i + 1;
        while (j < l->n && combining_class(l->v[j]) != 0) {
            j++;
        }
        PGD_TRY(sort_marks(l, l->v + i, j - i));
        i = j;
    }
    return PGD_OK;
}

static pgd_status decompose(cp_list *l, uint32_t cp, utf8proc_option_t opt) {
    int boundclass = 0;
    utf8proc_int32_t *grown = pgd_tok_grow(l->v, &l->cap, l->n + 32, sizeof *grown);
    if (grown == NULL) return PGD_E_NOMEM;
    l->v = grown;
    if (!in_ranges(pgd_uc_decomposes, pgd_uc_decomposes_n, cp)) {
        l->v[l->n++] = (utf8proc_int32_t)cp;
        return PGD_OK;
    }
    const utf8proc_ssize_t got =
        utf8proc_decompose_char((utf8proc_int32_t)cp, l->v + l->n, 32, opt, &boundclass);
    if (got < 0 || got > 32) { /* unassigned for utf8proc: stands for itself */
        l->v[l->n++] = (utf8proc_int32_t)cp;
        return PGD_OK;
    }
    l->n += (size_t)got;
    return PGD_OK;
}

/* One segment in.buf[begin, end) of more than plain ASCII. */
static pgd_status normalize_segment(pgd_uc_form form, const pgd_tok_text *in, size_t begin,
                                    size_t end, cp_list *l, pgd_tok_text *out) {
    const bool compat = form == PGD_UC_NFKC || form == PGD_UC_NFKD;
    const bool compose = form == PGD_UC_NFC || form == PGD_UC_NFKC;
    const utf8proc_option_t opt =
        (utf8proc_option_t)(UTF8PROC_DECOMPOSE | (compat ? UTF8PROC_COMPAT : 0));
    l->n = 0;
    for (size_t i = begin, len = 0; i < end; i += len) {
        const uint32_t cp = pgd_tok_cp(in->buf.p, end, i, &len);
        PGD_TRY(decompose(l, cp, opt));
    }
    PGD_TRY(order_marks(l));
    if (compose) {
        const utf8proc_ssize_t got = utf8proc_normalize_utf32(
            l->v, (utf8proc_ssize_t)l->n, (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
        if (got < 0) return PGD_E_INTERNAL;
        l->n = (size_t)got;
    }
    const uint32_t origin = pgd_tok_text_origin(in, begin);
    PGD_ASSERT(l->v != NULL || l->n == 0);
    for (size_t i = 0; i < l->n; i++) {
        pgd_tok_text_put_cp(out, (uint32_t)l->v[i], origin);
    }
    return PGD_OK;
}

/* End of the run of ASCII at i of which every byte is followed by ASCII or by the text's end: such
 * bytes are segments of their own and unchanged by all forms. */
static size_t plain_end(const char *s, size_t n, size_t i) {
    size_t j = i;
    while (j < n && (uint8_t)s[j] < 0x80) {
        j++;
    }
    return j == n || j == i ? j : j - 1;
}

pgd_status pgd_uc_normalize(pgd_uc_form form, const pgd_tok_text *in, pgd_tok_text *out) {
    const char *const s = in->buf.p;
    const size_t n = in->buf.n;
    cp_list l = {0};
    pgd_status st = PGD_OK;
    for (size_t i = 0; i < n && st == PGD_OK;) {
        const size_t plain = plain_end(s, n, i);
        pgd_tok_text_copy(out, in, i, plain);
        i = plain;
        if (i >= n) break;
        size_t len = 0;
        pgd_tok_cp(s, n, i, &len);
        size_t end = i + len;
        while (end < n) {
            const uint32_t cp = pgd_tok_cp(s, n, end, &len);
            if (starts_segment(cp)) break;
            end += len;
        }
        st = normalize_segment(form, in, i, end, &l, out);
        i = end;
    }
    pgd_free(l.v);
    pgd_free(l.tmp);
    if (st == PGD_OK && out->buf.failed) st = PGD_E_NOMEM;
    return st;
}
