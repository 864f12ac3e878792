/* Reading server-sent events (WHATWG HTML, section 9.2.6) from pieces cut anywhere.
 *
 * A line ends in LF, CR or CR LF; an empty one ends an event; several data lines are joined by line
 * feeds; comments, which servers send to keep a connection alive, and other fields are skipped, as
 * is a byte order mark in front. An event cut off by the end of the stream does not count. Thread:
 * as the state. */
#include "cli/sse.h"

enum { MAX_EVENT_BYTES = 16 << 20 };

static pgd_status end_line(cli_sse *s, cli_sse_fn fn, void *ctx, pgd_error *err) {
    pgd_sv line = pgd_buf_sv(&s->line);
    if (!s->started && pgd_sv_starts(line, PGD_SV("\xef\xbb\xbf"))) {
        line.p += 3;
        line.n -= 3;
    }
    s->started = true;
    pgd_status status = PGD_OK;
    if (line.n == 0) {
        if (s->has_data) status = fn(ctx, pgd_buf_sv(&s->data), err);
        s->has_data = false;
        pgd_buf_clear(&s->data);
    } else {
        size_t name = pgd_sv_find(line, PGD_SV(":"), 0);
        if (name > line.n) name = line.n;
        size_t value = name < line.n ? name + 1 : name;
        if (value < line.n && line.p[value] == ' ') value++;
        if (pgd_sv_eq((pgd_sv){line.p, name}, PGD_SV("data"))) {
            if (s->has_data) pgd_buf_putc(&s->data, '\n');
            pgd_buf_put(&s->data, line.p + value, line.n - value);
            s->has_data = true;
        }
    }
    pgd_buf_clear(&s->line);
    return status;
}

pgd_status cli_sse_feed(cli_sse *s, pgd_sv bytes, cli_sse_fn fn, void *ctx, pgd_error *err) {
    size_t from = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        const char c = bytes.p[i];
        if (c != '\n' && c != '\r') {
            s->after_cr = false;
            continue;
        }
        const bool half = c == '\n' && s->after_cr; /* the second half of CR LF */
        s->after_cr = c == '\r';
        if (!half) {
            pgd_buf_put(&s->line, bytes.p + from, i - from);
            if (s->line.failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
            PGD_TRY(end_line(s, fn, ctx, err));
            if (s->data.failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        }
        from = i + 1;
    }
    if (from < bytes.n) pgd_buf_put(&s->line, bytes.p + from, bytes.n - from);
    if (s->line.failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    if (s->line.n + s->data.n > MAX_EVENT_BYTES)
        return pgd_fail(err, PGD_E_LIMIT, "the server sent an event of more than %d bytes",
                        MAX_EVENT_BYTES);
    return PGD_OK;
}

void cli_sse_fini(cli_sse *s) {
    pgd_buf_fini(&s->line);
    pgd_buf_fini(&s->data);
    *s = (cli_sse){0};
}
