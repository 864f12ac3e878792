/* Columns of code points and cursor stops.
 *
 * The C library's wcwidth follows the process's locale, which this program never sets, so the
 * ranges are tables of our own. Terminals disagree about emoji sequences; a sequence joined by
 * U+200D is counted as the sum of its parts, as those do that do not join them. Grapheme rules
 * beyond marks and joiners (Hangul jamo, flags) are left out: a cursor may stand inside those,
 * which shows but loses nothing. Thread: any. */
#include "cli/width.h"

enum { JOINER = 0x200D };

static bool in_ranges(const cli_range *v, size_t n, uint32_t cp) {
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (cp > v[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && cp >= v[low].first;
}

unsigned cli_width(uint32_t cp) {
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) return 0;
    if (cp < 0x300) return 1;
    if (in_ranges(cli_width_none, cli_width_none_n, cp)) return 0;
    return in_ranges(cli_width_two, cli_width_two_n, cp) ? 2 : 1;
}

/* Decode at `at`; a byte that is no UTF-8 counts as one character, so that every walk ends. */
static size_t decode(pgd_sv text, size_t at, uint32_t *cp) {
    const size_t len = pgd_utf8_decode(text.p + at, text.n - at, cp);
    if (len > 0) return len;
    *cp = 0xFFFD;
    return 1;
}

size_t cli_width_text(pgd_sv text) {
    size_t columns = 0;
    uint32_t cp = 0;
    for (size_t at = 0; at < text.n; at += decode(text, at, &cp)) {
        (void)decode(text, at, &cp);
        columns += cli_width(cp);
    }
    return columns;
}

/* Format characters and marks belong to what is before them; controls stand alone. */
static bool attaches(uint32_t cp) {
    return cp >= 0x300 && cli_width(cp) == 0;
}

size_t cli_next_stop(pgd_sv text, size_t at) {
    if (at >= text.n) return text.n;
    uint32_t cp = 0;
    at += decode(text, at, &cp);
    bool joined = cp == JOINER;
    while (at < text.n) {
        const size_t len = decode(text, at, &cp);
        if (!joined && !attaches(cp)) break;
        joined = cp == JOINER;
        at += len;
    }
    return at;
}

static size_t prev_char(pgd_sv text, size_t at, uint32_t *cp) {
    do {
        at--;
    } while (at > 0 && ((unsigned char)text.p[at] & 0xC0) == 0x80);
    (void)decode(text, at, cp);
    return at;
}

size_t cli_prev_stop(pgd_sv text, size_t at) {
    while (at > 0) {
        uint32_t cp = 0;
        at = prev_char(text, at, &cp);
        if (at == 0) return 0;
        if (attaches(cp)) continue;
        uint32_t before = 0;
        (void)prev_char(text, at, &before);
        if (before != JOINER) return at;
    }
    return 0;
}
