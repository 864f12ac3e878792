/* Incremental reading of server-sent events (WHATWG HTML, 9.2.6).
 *
 * Lines end in CRLF, LF or CR; a byte order mark at the start is skipped; comments and all fields
 * but `data` are ignored, since no OpenAI-compatible server gives them a meaning. An event that the
 * stream's end cuts off is dropped, as the standard says. Runs on the loop thread. */
#include "bench/sse.h"

#include <string.h>

enum { MAX_EVENT_BYTES = 16 << 20 };

static void take_line(bench_sse *s, pgd_sv line, bench_sse_fn fn, void *ctx) {
    if (!s->started) {
        s->started = true;
        if (pgd_sv_starts(line, PGD_SV("\xef\xbb\xbf"))) line.p += 3, line.n -= 3;
    }
    if (line.n == 0) {
        if (s->has_data) fn(ctx, pgd_buf_sv(&s->data));
        s->has_data = false;
        pgd_buf_clear(&s->data);
        return;
    }
    if (!pgd_sv_starts(line, PGD_SV("data"))) return;
    pgd_sv value = {line.p + 4, line.n - 4};
    if (value.n > 0) {
        if (value.p[0] != ':') return; /* some longer name */
        value.p++, value.n--;
        if (value.n > 0 && value.p[0] == ' ') value.p++, value.n--;
    }
    if (s->has_data) pgd_buf_putc(&s->data, '\n');
    pgd_buf_putsv(&s->data, value);
    s->has_data = true;
}

pgd_status bench_sse_feed(bench_sse *s, const char *in, size_t n, bench_sse_fn fn, void *ctx) {
    size_t at = 0;
    while (at < n) {
        if (s->skip_lf) {
            s->skip_lf = false;
            if (in[at] == '\n') {
                at++;
                continue;
            }
        }
        size_t end = at;
        while (end < n && in[end] != '\n' && in[end] != '\r')
            end++;
        if (end - at > MAX_EVENT_BYTES || s->line.n + s->data.n > MAX_EVENT_BYTES)
            return PGD_E_LIMIT;
        if (end == n || s->line.n > 0) pgd_buf_put(&s->line, in + at, end - at);
        if (end < n) {
            const bool whole = s->line.n == 0;
            take_line(s, whole ? (pgd_sv){in + at, end - at} : pgd_buf_sv(&s->line), fn, ctx);
            pgd_buf_clear(&s->line);
            s->skip_lf = in[end] == '\r';
        }
        if (s->line.failed || s->data.failed) return PGD_E_NOMEM;
        at = end + 1;
    }
    return PGD_OK;
}

void bench_sse_clear(bench_sse *s) {
    pgd_buf_clear(&s->line);
    pgd_buf_clear(&s->data);
    s->has_data = s->started = s->skip_lf = false;
}

void bench_sse_fini(bench_sse *s) {
    pgd_buf_fini(&s->line);
    pgd_buf_fini(&s->data);
    *s = (bench_sse){0};
}
