/* Parsing of HTTP/1.1 responses (RFC 9112) for a client that asks once a connection.
 *
 * The connection is closed after the response, so nothing that follows can be mistaken for another
 * one; strict is what decides where the body ends (length, chunk sizes, no coding but chunked), the
 * rest is lenient. Interim responses (1xx) are skipped. Head and framing lines are bounded. Body
 * bytes are passed on without a copy. Thread: as the state. */
#include "cli/reply.h"

#include <stdio.h>
#include <string.h>

enum { MAX_HEAD_BYTES = 64 << 10 };

void cli_reply_fini(cli_reply *r) {
    pgd_buf_fini(&r->line);
}

static pgd_sv trim(pgd_sv s) {
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Whether s begins with (or, when whole, is) the lower-case word, in any case of letters. */
static bool begins(pgd_sv s, pgd_sv word) {
    if (s.n < word.n) return false;
    for (size_t i = 0; i < word.n; i++) {
        const char c = s.p[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c + 32) : c) != word.p[i]) return false;
    }
    return true;
}

static bool equals(pgd_sv s, pgd_sv word) {
    return s.n == word.n && begins(s, word);
}

static pgd_status take_status_line(cli_reply *r, pgd_sv line, pgd_error *err) {
    uint64_t status = 0;
    if (!pgd_sv_starts(line, PGD_SV("HTTP/1.")) || line.n < 12 || line.p[8] != ' ' ||
        !pgd_parse_u64((pgd_sv){line.p + 9, 3}, &status) || status < 100 ||
        (line.n > 12 && line.p[12] != ' '))
        return pgd_fail(err, PGD_E_FORMAT, "the other side does not speak HTTP/1.1");
    r->status = -(int)status; /* negative until the head is complete */
    const pgd_sv reason = line.n > 13 ? (pgd_sv){line.p + 13, line.n - 13} : PGD_SV("");
    (void)snprintf(r->reason, sizeof(r->reason), "%.*s", (int)(reason.n < 60 ? reason.n : 60),
                   reason.p);
    return PGD_OK;
}

static pgd_status take_field(cli_reply *r, pgd_sv line, pgd_error *err) {
    const size_t colon = pgd_sv_find(line, PGD_SV(":"), 0);
    if (colon > line.n) return pgd_fail(err, PGD_E_FORMAT, "malformed header in the response");
    const pgd_sv name = {line.p, colon};
    const pgd_sv value = trim((pgd_sv){line.p + colon + 1, line.n - colon - 1});
    if (equals(name, PGD_SV("content-length"))) {
        uint64_t n = 0;
        if (!pgd_parse_u64(value, &n) || (r->has_length && n != r->left))
            return pgd_fail(err, PGD_E_FORMAT, "unclear Content-Length in the response");
        r->has_length = true;
        r->left = n;
    } else if (equals(name, PGD_SV("transfer-encoding"))) {
        if (!equals(value, PGD_SV("chunked")))
            return pgd_fail(err, PGD_E_FORMAT, "unknown Transfer-Encoding in the response");
        r->chunked = true;
    } else if (equals(name, PGD_SV("content-type"))) {
        r->event_stream = begins(value, PGD_SV("text/event-stream"));
    }
    return PGD_OK;
}

static void end_head(cli_reply *r) {
    r->status = -r->status;
    if (r->status < 200) { /* interim: the answer proper follows; its bytes still count */
        r->status = 0;
        r->chunked = r->has_length = r->event_stream = false;
        r->left = 0;
        return;
    }
    if (r->status == 204 || r->status == 304) {
        r->done = true;
    } else if (r->chunked) {
        r->state = CLI_REPLY_CHUNK_SIZE;
    } else if (r->has_length) {
        r->state = CLI_REPLY_SIZED;
        r->done = r->left == 0;
    } else {
        r->state = CLI_REPLY_UNTIL_CLOSE;
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static pgd_status take_chunk_size(cli_reply *r, pgd_sv line, pgd_error *err) {
    size_t i = 0;
    r->left = 0;
    for (; i < line.n && i < 15 && hex_digit(line.p[i]) >= 0; i++)
        r->left = r->left << 4 | (uint64_t)hex_digit(line.p[i]);
    const pgd_sv rest = trim((pgd_sv){line.p + i, line.n - i});
    if (i == 0 || (rest.n > 0 && rest.p[0] != ';'))
        return pgd_fail(err, PGD_E_FORMAT, "malformed chunk size in the response");
    r->state = r->left > 0 ? CLI_REPLY_CHUNK : CLI_REPLY_TRAILER;
    return PGD_OK;
}

/* A line of the head or the framing, without its end. */
static pgd_status take_line(cli_reply *r, pgd_sv line, pgd_error *err) {
    switch (r->state) {
    case CLI_REPLY_HEAD:
        if (r->status == 0) return take_status_line(r, line, err);
        if (line.n > 0) return take_field(r, line, err);
        end_head(r);
        return PGD_OK;
    case CLI_REPLY_CHUNK_SIZE:
        return take_chunk_size(r, line, err);
    case CLI_REPLY_CHUNK_END:
        if (line.n > 0)
            return pgd_fail(err, PGD_E_FORMAT, "a chunk of the response exceeds its size");
        r->state = CLI_REPLY_CHUNK_SIZE;
        return PGD_OK;
    default: /* the trailer */
        if (line.n == 0) r->done = true;
        return PGD_OK;
    }
}

static bool in_body(const cli_reply *r) {
    return r->state == CLI_REPLY_SIZED || r->state == CLI_REPLY_CHUNK ||
           r->state == CLI_REPLY_UNTIL_CLOSE;
}

/* Pass body bytes on; returns how many of the n were used through *used. */
static pgd_status take_body(cli_reply *r, pgd_sv bytes, size_t *used, cli_body_fn fn, void *ctx,
                            pgd_error *err) {
    size_t n = bytes.n;
    if (r->state != CLI_REPLY_UNTIL_CLOSE) {
        if (n > r->left) n = (size_t)r->left;
        r->left -= n;
        if (r->left == 0 && r->state == CLI_REPLY_CHUNK) r->state = CLI_REPLY_CHUNK_END;
        if (r->left == 0 && r->state == CLI_REPLY_SIZED) r->done = true;
    }
    *used = n;
    return fn(ctx, r, (pgd_sv){bytes.p, n}, err);
}

pgd_status cli_reply_feed(cli_reply *r, pgd_sv bytes, cli_body_fn fn, void *ctx, pgd_error *err) {
    size_t at = 0;
    while (at < bytes.n && !r->done) {
        const pgd_sv rest = {bytes.p + at, bytes.n - at};
        if (in_body(r)) {
            size_t used = 0;
            PGD_TRY(take_body(r, rest, &used, fn, ctx, err));
            at += used;
            continue;
        }
        const char *lf = memchr(rest.p, '\n', rest.n);
        const size_t n = lf != NULL ? (size_t)(lf - rest.p) : rest.n;
        pgd_buf_put(&r->line, rest.p, n);
        at += lf != NULL ? n + 1 : n;
        if (r->state == CLI_REPLY_HEAD || r->state == CLI_REPLY_TRAILER) r->head_bytes += n + 1;
        if (r->line.failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        if (r->head_bytes > MAX_HEAD_BYTES || r->line.n > MAX_HEAD_BYTES)
            return pgd_fail(err, PGD_E_LIMIT, "the head of the response is too long");
        if (lf == NULL) break;
        pgd_sv line = pgd_buf_sv(&r->line);
        if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
        PGD_TRY(take_line(r, line, err));
        pgd_buf_clear(&r->line);
    }
    return PGD_OK;
}

pgd_status cli_reply_close(cli_reply *r, pgd_error *err) {
    if (r->state == CLI_REPLY_UNTIL_CLOSE) r->done = true;
    if (r->done) return PGD_OK;
    return pgd_fail(err, PGD_E_IO, "the server closed the connection %s",
                    r->status > 0 ? "within its answer" : "without an answer");
}
