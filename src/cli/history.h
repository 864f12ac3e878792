/* Lines entered before, newest last, in memory only. */
#ifndef PAGODA_CLI_HISTORY_H
#define PAGODA_CLI_HISTORY_H

#include "pagoda/str.h"

enum { CLI_HISTORY_MAX = 1000 };

/* {0} is empty. */
typedef struct cli_history {
    pgd_buf *v; /* owned, each too */
    size_t n, cap;
} cli_history;

/* Add a copy; an empty line, and one equal to the newest, are not added. The oldest leaves when
 * there are CLI_HISTORY_MAX. Without memory nothing is added: a history is no reason to fail. */
void cli_history_add(cli_history *h, pgd_sv line);
void cli_history_fini(cli_history *h);

#endif
