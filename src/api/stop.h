/* Stop strings over a growing text: which of them ends first, and how much text must be held back
 * because a stop string may have begun in it. Patterns are shared by the choices of a call and
 * immutable; each choice has its own scan state. */
#ifndef PAGODA_API_STOP_H
#define PAGODA_API_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/arena.h"
#include "pagoda/status.h"
#include "pagoda/str.h"

enum { API_MAX_STOPS = 16, API_MAX_STOP_BYTES = 1024 };

typedef struct api_stops {
    uint32_t n;
    pgd_sv text[API_MAX_STOPS];      /* in the arena */
    uint16_t *border[API_MAX_STOPS]; /* border[k]: longest proper border of text[0..k] */
} api_stops;

/* Progress of one text: matched[i] bytes of stop i end where the text ends. {0} is the start. */
typedef struct api_stop_scan {
    uint16_t matched[API_MAX_STOPS];
} api_stop_scan;

/* Add a pattern of 1..API_MAX_STOP_BYTES bytes (copied). Errors: PGD_E_NOMEM, PGD_E_LIMIT. */
pgd_status api_stops_add(api_stops *s, pgd_arena *a, pgd_sv text);

typedef struct api_stop_hit {
    uint32_t which;   /* index of the stop string */
    size_t end;       /* offset in the scanned piece just behind the match */
    size_t len_bytes; /* of the stop string; the match may begin before the piece */
} api_stop_hit;

/* Scan the next piece. True at the first byte that completes a stop string; of several that end
 * there, the longest. The scan state is then not meaningful. Amortised O(n * stops). */
bool api_stop_feed(const api_stops *s, api_stop_scan *scan, const char *piece, size_t n,
                   api_stop_hit *hit);
/* Bytes at the end of the text that may be the beginning of a stop string. */
size_t api_stop_hold(const api_stops *s, const api_stop_scan *scan);

#endif
