/* Making text that a model or a server wrote fit for a terminal.
 *
 * A terminal obeys escape sequences: they retitle it, move its cursor over what stands there, fill
 * the clipboard, and with some make it type. So of the controls only line feed and tab pass. The
 * others become visible: C0 their pictures (U+241B for ESC), DEL U+2421; C1 (U+0080..9F, which some
 * terminals obey too), bytes that are no UTF-8, and the bidirectional embeddings and overrides that
 * can make text read otherwise than it is, U+FFFD. CR LF counts as a line feed. What comes out does
 * not depend on where the pieces were cut. Thread: as the state. */
#include "cli/clean.h"

#include <string.h>

static void put_cp(uint32_t cp, pgd_buf *out) {
    char bytes[4];
    pgd_buf_put(out, bytes, pgd_utf8_encode(cp, bytes));
}

static bool reorders(uint32_t cp) {
    return (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069);
}

static void put_clean(cli_clean *c, uint32_t cp, pgd_buf *out) {
    if (c->after_cr) {
        c->after_cr = false;
        if (cp != '\n') put_cp(0x2400 + '\r', out);
    }
    if (cp == '\r') {
        c->after_cr = true;
        return;
    }
    if (cp < 0x20 && cp != '\n' && cp != '\t')
        cp += 0x2400; /* its picture */
    else if (cp == 0x7f)
        cp = 0x2421;
    else if ((cp >= 0x80 && cp < 0xa0) || reorders(cp))
        cp = 0xFFFD;
    put_cp(cp, out);
}

void cli_clean_feed(cli_clean *c, pgd_sv piece, pgd_buf *out) {
    for (size_t at = 0; at < piece.n || c->n_part > 0;) {
        char bytes[8];
        size_t n = c->n_part;
        memcpy(bytes, c->part, n);
        size_t take = piece.n - at;
        if (take > 4) take = 4;
        if (take > 0) memcpy(bytes + n, piece.p + at, take);
        n += take;
        uint32_t cp = 0xFFFD;
        size_t len = pgd_utf8_decode(bytes, n, &cp);
        if (len == 0) {
            if (n < 4 && pgd_utf8_incomplete_tail(bytes, n) == n) { /* the next piece decides */
                memcpy(c->part, bytes, n);
                c->n_part = (unsigned)n;
                return;
            }
            cp = 0xFFFD;
            len = 1;
        }
        put_clean(c, cp, out);
        /* what was decoded comes off the held bytes first, then off the piece */
        const size_t from_part = len < c->n_part ? len : c->n_part;
        memmove(c->part, c->part + from_part, c->n_part - from_part);
        c->n_part -= (unsigned)from_part;
        at += len - from_part;
    }
}

void cli_clean_end(cli_clean *c, pgd_buf *out) {
    for (unsigned i = 0; i < c->n_part; i++)
        put_clean(c, 0xFFFD, out);
    if (c->after_cr) put_cp(0x2400 + '\r', out);
    *c = (cli_clean){0};
}

void cli_clean_text(pgd_sv text, pgd_buf *out) {
    cli_clean c = {0};
    cli_clean_feed(&c, text, out);
    cli_clean_end(&c, out);
}
