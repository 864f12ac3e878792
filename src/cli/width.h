/* Columns that text takes on a terminal, and where one may stop between its characters. */
#ifndef PAGODA_CLI_WIDTH_H
#define PAGODA_CLI_WIDTH_H

#include <stddef.h>
#include <stdint.h>

#include "pagoda/str.h"

typedef struct cli_range {
    uint32_t first, last; /* both inclusive */
} cli_range;

extern const cli_range cli_width_none[], cli_width_two[];
extern const size_t cli_width_none_n, cli_width_two_n;

/* 0, 1 or 2. Control characters count 0: callers never print them. */
unsigned cli_width(uint32_t cp);
/* Sum over valid UTF-8. */
size_t cli_width_text(pgd_sv text);

/* The next / previous place in valid UTF-8 where a cursor may stand: behind a character with all
 * marks that combine with it and all that zero-width joiners tie to it. `at` is between two code
 * points; the ends of the text stay where they are. */
size_t cli_next_stop(pgd_sv text, size_t at);
size_t cli_prev_stop(pgd_sv text, size_t at);

#endif
