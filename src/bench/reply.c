/* Incremental parsing of HTTP/1.1 responses (RFC 9112).
 *
 * A load generator meets every server there is, so this is tolerant where nothing can be
 * misunderstood (a bare line feed ends a line, chunk extensions and trailers are skipped, interim
 * 1xx responses too, the body may end with the connection) and strict where the length of the body
 * is at stake: two different lengths, a length that is no number, or a transfer coding other than
 * "chunked" end the measurement of that request instead of guessing. Heads are bounded, body bytes
 * are never copied. Runs on the loop thread. */
#include "bench/reply.h"

#include <string.h>

enum { MAX_HEAD_BYTES = 65536, MAX_CHUNK_LINE = 4096 };

enum {
    AT_STATUS,
    AT_FIELD,
    AT_BODY,       /* `left` bytes */
    AT_CHUNK_SIZE, /* a line */
    AT_CHUNK,      /* `left` bytes */
    AT_CHUNK_END,  /* the line end behind a chunk */
    AT_TRAILER,    /* lines up to an empty one */
    AT_CLOSE,      /* everything up to the end of the connection */
    AT_END
};

void bench_reply_init(bench_reply *r) {
    pgd_buf line = r->line;
    pgd_buf_clear(&line);
    *r = (bench_reply){.line = line, .keep_alive = true};
}

void bench_reply_fini(bench_reply *r) {
    pgd_buf_fini(&r->line);
}

static bench_parse bad(bench_reply *r, const char *why) {
    r->why = why;
    return BENCH_PARSE_BAD;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool same_word(pgd_sv s, const char *word) {
    size_t i = 0;
    for (; i < s.n && word[i] != '\0'; i++)
        if (lower(s.p[i]) != word[i]) return false;
    return i == s.n && word[i] == '\0';
}

/* Whether a comma-separated list names the word. */
static bool has_word(pgd_sv list, const char *word) {
    size_t at = 0;
    while (at < list.n) {
        size_t end = at;
        while (end < list.n && list.p[end] != ',')
            end++;
        pgd_sv item = {list.p + at, end - at};
        while (item.n > 0 && (item.p[0] == ' ' || item.p[0] == '\t'))
            item.p++, item.n--;
        while (item.n > 0 && (item.p[item.n - 1] == ' ' || item.p[item.n - 1] == '\t'))
            item.n--;
        if (same_word(item, word)) return true;
        at = end + 1;
    }
    return false;
}

static bench_parse take_status(bench_reply *r, pgd_sv line) {
    if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[8] != ' ')
        return bad(r, "the response does not begin with an HTTP/1 status line");
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9') return bad(r, "malformed HTTP status");
        status = 10 * status + line.p[i] - '0';
    }
    if (status < 100 || (line.n > 12 && line.p[12] != ' ')) return bad(r, "malformed HTTP status");
    r->status = status;
    r->keep_alive = line.p[7] != '0';
    r->state = AT_FIELD;
    return BENCH_PARSE_MORE;
}

static bench_parse take_length(bench_reply *r, pgd_sv value) {
    uint64_t n = 0;
    if (!pgd_parse_u64(value, &n)) return bad(r, "malformed Content-Length");
    if (r->has_length && n != r->left) return bad(r, "two different Content-Lengths");
    r->has_length = true;
    r->left = n;
    return BENCH_PARSE_MORE;
}

static bench_parse take_field(bench_reply *r, pgd_sv line) {
    const char *colon = memchr(line.p, ':', line.n);
    if (colon == NULL || colon == line.p) return bad(r, "malformed header line");
    const pgd_sv name = {line.p, (size_t)(colon - line.p)};
    pgd_sv value = {colon + 1, line.n - name.n - 1};
    while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == '\t'))
        value.p++, value.n--;
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t'))
        value.n--;
    if (same_word(name, "content-length")) return take_length(r, value);
    if (same_word(name, "transfer-encoding")) {
        if (!same_word(value, "chunked")) return bad(r, "a Transfer-Encoding other than chunked");
        r->chunked = true;
    } else if (same_word(name, "connection")) {
        if (has_word(value, "close"))
            r->keep_alive = false;
        else if (has_word(value, "keep-alive"))
            r->keep_alive = true;
    } else if (same_word(name, "content-type")) {
        static const char kind[] = "text/event-stream";
        const size_t n = sizeof(kind) - 1;
        r->event_stream = value.n >= n && same_word((pgd_sv){value.p, n}, kind);
    }
    return BENCH_PARSE_MORE;
}

/* The empty line behind the head. */
static bench_parse end_head(bench_reply *r) {
    if (r->status < 200) { /* interim: the real head follows */
        const size_t head_bytes = r->head_bytes;
        bench_reply_init(r);
        r->head_bytes = head_bytes; /* endless interim responses meet the bound too */
        return BENCH_PARSE_MORE;
    }
    r->head_done = true;
    if (r->status == 204 || r->status == 304) {
        r->state = AT_END;
        return BENCH_PARSE_DONE;
    }
    if (r->chunked) { /* wins over a length (RFC 9112, 6.3), but then nothing may follow */
        if (r->has_length) r->keep_alive = false;
        r->state = AT_CHUNK_SIZE;
    } else if (r->has_length) {
        r->state = r->left > 0 ? AT_BODY : AT_END;
    } else {
        r->keep_alive = false;
        r->state = AT_CLOSE;
    }
    return r->state == AT_END ? BENCH_PARSE_DONE : BENCH_PARSE_MORE;
}

static bench_parse take_chunk_size(bench_reply *r, pgd_sv line) {
    uint64_t n = 0;
    size_t i = 0;
    for (; i < line.n; i++) {
        const char c = lower(line.p[i]);
        unsigned digit = 0;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            break;
        if (i == 15) return bad(r, "chunk size too large");
        n = n << 4 | digit;
    }
    if (i == 0 || (i < line.n && line.p[i] != ';' && line.p[i] != ' ' && line.p[i] != '\t'))
        return bad(r, "malformed chunk size");
    r->left = n;
    r->state = n > 0 ? AT_CHUNK : AT_TRAILER;
    return BENCH_PARSE_MORE;
}

static bench_parse take_line(bench_reply *r, pgd_sv line) {
    switch (r->state) {
    case AT_STATUS: /* an empty line before the status line is forgiven */
        return line.n == 0 ? BENCH_PARSE_MORE : take_status(r, line);
    case AT_FIELD:
        return line.n == 0 ? end_head(r) : take_field(r, line);
    case AT_CHUNK_SIZE:
        return take_chunk_size(r, line);
    case AT_CHUNK_END:
        if (line.n != 0) return bad(r, "a chunk is longer than its size");
        r->state = AT_CHUNK_SIZE;
        return BENCH_PARSE_MORE;
    default:
        if (line.n != 0) return BENCH_PARSE_MORE;
        r->state = AT_END;
        return BENCH_PARSE_DONE;
    }
}

/* Body bytes: up to `left` of them. */
static bench_parse take_data(bench_reply *r, const char *in, size_t n, size_t *used, pgd_sv *data) {
    const size_t take = r->state == AT_CLOSE || n < r->left ? n : (size_t)r->left;
    *data = (pgd_sv){in, take};
    *used = take;
    if (r->state == AT_CLOSE) return BENCH_PARSE_MORE;
    r->left -= take;
    if (r->left > 0) return BENCH_PARSE_MORE;
    if (r->state == AT_CHUNK) {
        r->state = AT_CHUNK_END;
        return BENCH_PARSE_MORE;
    }
    r->state = AT_END;
    return BENCH_PARSE_DONE;
}

bench_parse bench_reply_feed(bench_reply *r, const char *in, size_t n, size_t *used, pgd_sv *data) {
    *used = 0;
    *data = (pgd_sv){NULL, 0};
    if (r->state == AT_END) return BENCH_PARSE_DONE;
    while (*used < n) {
        if (r->state == AT_BODY || r->state == AT_CHUNK || r->state == AT_CLOSE) {
            size_t taken = 0;
            const bench_parse p = take_data(r, in + *used, n - *used, &taken, data);
            *used += taken;
            return p;
        }
        const char *begin = in + *used;
        const char *lf = memchr(begin, '\n', n - *used);
        const size_t piece = lf != NULL ? (size_t)(lf - begin) : n - *used;
        pgd_buf_put(&r->line, begin, piece);
        *used += piece + (lf != NULL ? 1 : 0);
        const bool in_head = !r->head_done;
        if (in_head || r->state == AT_TRAILER) r->head_bytes += piece + (lf != NULL);
        if (r->line.failed) return bad(r, "out of memory");
        if (r->head_bytes > MAX_HEAD_BYTES || (!in_head && r->line.n > MAX_CHUNK_LINE))
            return bad(r, "response head or chunk line too long");
        if (lf == NULL) return BENCH_PARSE_MORE;
        pgd_sv line = pgd_buf_sv(&r->line);
        if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
        const bench_parse p = take_line(r, line);
        pgd_buf_clear(&r->line);
        if (p != BENCH_PARSE_MORE) return p;
        if (in_head && r->head_done) return BENCH_PARSE_MORE; /* let the caller see the head */
    }
    return BENCH_PARSE_MORE;
}

bench_parse bench_reply_close(bench_reply *r) {
    if (r->state == AT_END || r->state == AT_CLOSE) {
        r->state = AT_END;
        return BENCH_PARSE_DONE;
    }
    return bad(r, "the server closed the connection within the response");
}
