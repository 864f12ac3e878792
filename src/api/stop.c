/* Stop strings by Knuth-Morris-Pratt, one automaton a string.
 *
 * At most 16 strings of 1 KiB: 16 border tables of 2 KiB at most a call and 32 bytes a choice,
 * where one Aho-Corasick automaton would need megabytes for its transitions. Each byte costs
 * amortised constant work a string. What is held back is the longest suffix that begins some stop
 * string, no more. Stop strings are whole UTF-8, so a match (and a cut) begins at a code point. */
#include "stop.h"

#include <string.h>

pgd_status api_stops_add(api_stops *s, pgd_arena *a, pgd_sv text) {
    if (s->n == API_MAX_STOPS || text.n == 0 || text.n > API_MAX_STOP_BYTES) return PGD_E_LIMIT;
    char *const copy = pgd_arena_strndup(a, text.p, text.n);
    uint16_t *const border = pgd_arena_array(a, text.n, sizeof *border);
    if (!copy || !border) return PGD_E_NOMEM;
    uint16_t k = 0;
    for (size_t i = 1; i < text.n; i++) {
        while (k && copy[k] != copy[i])
            k = border[k - 1];
        if (copy[k] == copy[i]) k++;
        border[i] = k;
    }
    s->text[s->n] = (pgd_sv){copy, text.n};
    s->border[s->n] = border;
    s->n++;
    return PGD_OK;
}

/* One byte through one automaton; whether the whole string is matched now. */
static bool advance(pgd_sv text, const uint16_t *border, uint16_t *matched, char c) {
    uint16_t k = *matched;
    while (k && text.p[k] != c)
        k = border[k - 1];
    if (text.p[k] == c) k++;
    *matched = k;
    return k == text.n;
}

bool api_stop_feed(const api_stops *s, api_stop_scan *scan, const char *piece, size_t n,
                   api_stop_hit *hit) {
    for (size_t at = 0; at < n; at++) {
        bool any = false;
        for (uint32_t i = 0; i < s->n; i++) {
            if (!advance(s->text[i], s->border[i], &scan->matched[i], piece[at])) continue;
            if (any && s->text[i].n <= hit->len_bytes) continue;
            *hit = (api_stop_hit){.which = i, .end = at + 1, .len_bytes = s->text[i].n};
            any = true;
        }
        if (any) return true;
    }
    return false;
}

size_t api_stop_hold(const api_stops *s, const api_stop_scan *scan) {
    size_t hold = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (scan->matched[i] > hold) hold = scan->matched[i];
    return hold;
}
