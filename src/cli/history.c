/* The history of a line editor.
 *
 * Bounded, and never written to a file: prompts are nobody else's business, and who wants to keep a
 * conversation has /save. Thread: as the owner. */
#include "cli/history.h"

#include <string.h>

#include "pagoda/mem.h"

void cli_history_add(cli_history *h, pgd_sv line) {
    if (line.n == 0) return;
    if (h->n > 0 && pgd_sv_eq(pgd_buf_sv(&h->v[h->n - 1]), line)) return;
    if (h->n == h->cap && h->cap < CLI_HISTORY_MAX) {
        const size_t cap = h->cap == 0 ? 16 : h->cap * 2;
        const size_t bounded = cap < CLI_HISTORY_MAX ? cap : CLI_HISTORY_MAX;
        pgd_buf *v = pgd_realloc(h->v, bounded * sizeof(*v));
        if (v == NULL) return;
        h->v = v;
        h->cap = bounded;
    }
    pgd_buf copy = {0};
    pgd_buf_putsv(&copy, line);
    if (copy.failed) {
        pgd_buf_fini(&copy);
        return;
    }
    if (h->n == CLI_HISTORY_MAX) {
        pgd_buf_fini(&h->v[0]);
        memmove(h->v, h->v + 1, (h->n - 1) * sizeof(*h->v));
        h->n--;
    }
    h->v[h->n++] = copy;
}

void cli_history_fini(cli_history *h) {
    for (size_t i = 0; i < h->n; i++)
        pgd_buf_fini(&h->v[i]);
    pgd_free(h->v);
    *h = (cli_history){0};
}
