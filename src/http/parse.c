/* Strict HTTP/1.1 request parsing.
 *
 * Owns no memory: heads are views into the connection's input. Anything on which two parsers could
 * disagree is refused instead of repaired (bare LF, NUL and other controls, obs-fold, blank before
 * the colon, duplicate Host or Content-Length, Content-Length with Transfer-Encoding, any coding
 * but one "chunked"), since a proxy in front may have read it the other way: that is how requests
 * are smuggled (RFC 9112, section 11.2). Runs on the loop thread. Does not route and does not
 * interpret fields beyond framing. */
#include "http/parse.h"

#include <string.h>

static bool is_token_char(unsigned char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool pgd_http_name_eq(pgd_sv name, const char *lower_name) {
    size_t i = 0;
    for (; i < name.n && lower_name[i] != '\0'; i++)
        if (lower(name.p[i]) != lower_name[i]) return false;
    return i == name.n && lower_name[i] == '\0';
}

pgd_sv pgd_http_field_get(const pgd_http_head *h, const char *lower_name) {
    for (uint32_t i = 0; i < h->n_fields; i++)
        if (pgd_http_name_eq(h->field[i].name, lower_name)) return h->field[i].value;
    return (pgd_sv){NULL, 0};
}

static pgd_parse bad(int code, const char *text, int *status, const char **why) {
    *status = code;
    *why = text;
    return PGD_PARSE_BAD;
}

/* Split off the line that starts at *at; a line ends in CRLF, which the caller has seen to exist.
 */
static pgd_sv next_line(const char *in, size_t n, size_t *at) {
    const char *begin = in + *at;
    const char *cr = memchr(begin, '\r', n - *at);
    const pgd_sv line = {begin, (size_t)(cr - begin)};
    *at += line.n + 2;
    return line;
}

static pgd_parse parse_request_line(pgd_sv line, pgd_http_head *h, int *status, const char **why) {
    const char *sp = memchr(line.p, ' ', line.n);
    if (sp == NULL || sp == line.p) return bad(400, "malformed request line", status, why);
    h->method = (pgd_sv){line.p, (size_t)(sp - line.p)};
    for (size_t i = 0; i < h->method.n; i++)
        if (!is_token_char((unsigned char)h->method.p[i]))
            return bad(400, "malformed method", status, why);
    const char *target = sp + 1;
    const size_t rest = line.n - h->method.n - 1;
    const char *sp2 = memchr(target, ' ', rest);
    if (sp2 == NULL) return bad(400, "malformed request line", status, why);
    h->target = (pgd_sv){target, (size_t)(sp2 - target)};
    const pgd_sv version = {sp2 + 1, rest - h->target.n - 1};
    if (version.n != 8 || memcmp(version.p, "HTTP/", 5) != 0 || version.p[6] != '.')
        return bad(400, "malformed HTTP version", status, why);
    if (version.p[5] != '1' || (version.p[7] != '0' && version.p[7] != '1'))
        return bad(505, "only HTTP/1.0 and HTTP/1.1 are spoken here", status, why);
    h->minor = (unsigned)(version.p[7] - '0');
    if (h->target.n > PGD_HTTP_MAX_TARGET) return bad(414, "request target too long", status, why);
    if (h->target.n == 0 || (h->target.p[0] != '/' && h->target.p[0] != '*'))
        return bad(400, "the request target must be a path", status, why);
    for (size_t i = 0; i < h->target.n; i++) {
        const unsigned char c = (unsigned char)h->target.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return bad(400, "forbidden byte in the request target", status, why);
    }
    return PGD_PARSE_OK;
}

static pgd_sv trim_blanks(pgd_sv s) {
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static pgd_parse parse_field(pgd_sv line, pgd_http_head *h, int *status, const char **why) {
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return bad(400, "folded header lines are refused", status, why);
    const char *colon = memchr(line.p, ':', line.n);
    if (colon == NULL || colon == line.p) return bad(400, "malformed header line", status, why);
    const pgd_sv name = {line.p, (size_t)(colon - line.p)};
    for (size_t i = 0; i < name.n; i++)
        if (!is_token_char((unsigned char)name.p[i]))
            return bad(400, "forbidden byte in a header name", status, why);
    if (h->n_fields == PGD_HTTP_MAX_HEADERS) return bad(431, "more than 100 headers", status, why);
    h->field[h->n_fields].name = name;
    h->field[h->n_fields].value = trim_blanks((pgd_sv){colon + 1, line.n - name.n - 1});
    h->n_fields++;
    return PGD_PARSE_OK;
}

static bool has_list_item(pgd_sv value, const char *lower_item) {
    size_t at = 0;
    while (at <= value.n) {
        size_t end = at;
        while (end < value.n && value.p[end] != ',')
            end++;
        if (pgd_http_name_eq(trim_blanks((pgd_sv){value.p + at, end - at}), lower_item))
            return true;
        at = end + 1;
    }
    return false;
}

/* Framing and connection fields: each of the single-valued ones at most once. */
static pgd_parse interpret_fields(pgd_http_head *h, int *status, const char **why) {
    uint32_t n_length = 0, n_host = 0, n_coding = 0;
    h->keep_alive = h->minor == 1;
    for (uint32_t i = 0; i < h->n_fields; i++) {
        const pgd_http_field *f = &h->field[i];
        if (pgd_http_name_eq(f->name, "content-length")) {
            if (n_length++ > 0) return bad(400, "duplicate Content-Length", status, why);
            if (f->value.n == 0 || f->value.n > 18 || !pgd_parse_u64(f->value, &h->content_length))
                return bad(400, "Content-Length is no number", status, why);
            for (size_t j = 0; j < f->value.n; j++) /* the number parser may accept a sign */
                if (f->value.p[j] < '0' || f->value.p[j] > '9')
                    return bad(400, "Content-Length is no number", status, why);
        } else if (pgd_http_name_eq(f->name, "transfer-encoding")) {
            if (n_coding++ > 0) return bad(400, "duplicate Transfer-Encoding", status, why);
            if (!pgd_http_name_eq(f->value, "chunked"))
                return bad(501, "the only transfer coding spoken here is chunked", status, why);
        } else if (pgd_http_name_eq(f->name, "host")) {
            if (n_host++ > 0) return bad(400, "duplicate Host", status, why);
        } else if (pgd_http_name_eq(f->name, "connection")) {
            if (has_list_item(f->value, "close"))
                h->keep_alive = false;
            else if (h->minor == 0 && has_list_item(f->value, "keep-alive"))
                h->keep_alive = true;
        } else if (pgd_http_name_eq(f->name, "expect")) {
            if (!pgd_http_name_eq(f->value, "100-continue"))
                return bad(417, "the only expectation known is 100-continue", status, why);
            h->expect_continue = h->minor == 1;
        }
    }
    if (n_length > 0 && n_coding > 0)
        return bad(400, "Content-Length together with Transfer-Encoding", status, why);
    if (n_coding > 0 && h->minor == 0)
        return bad(400, "Transfer-Encoding in HTTP/1.0", status, why);
    if (n_host == 0 && h->minor == 1) return bad(400, "missing Host header", status, why);
    h->framing = n_coding > 0                            ? PGD_BODY_CHUNKED
                 : n_length > 0 && h->content_length > 0 ? PGD_BODY_LENGTH
                                                         : PGD_BODY_NONE;
    return PGD_PARSE_OK;
}

/* Check bytes [*from, n) and look for the blank line. */
static pgd_parse find_end(const char *in, size_t n, size_t max_bytes, size_t *from, size_t *end,
                          int *status, const char **why) {
    for (size_t i = *from; i < n; i++) {
        const unsigned char c = (unsigned char)in[i];
        if (c == '\n') {
            if (i == 0 || in[i - 1] != '\r') return bad(400, "bare line feed", status, why);
            if (i >= 3 && in[i - 2] == '\n') {
                *end = i + 1;
                return PGD_PARSE_OK;
            }
        } else if (i > 0 && in[i - 1] == '\r') {
            return bad(400, "bare carriage return", status, why);
        } else if (c != '\r' && c != '\t' && (c < 0x20 || c == 0x7f)) {
            return bad(400, "control byte in the request head", status, why);
        }
        if (i >= max_bytes) return bad(431, "request head too large", status, why);
    }
    *from = n;
    return PGD_PARSE_MORE;
}

pgd_parse pgd_http_parse_head(const char *in, size_t n, size_t max_bytes, size_t *from,
                              pgd_http_head *out, size_t *head_bytes, int *status,
                              const char **why) {
    size_t end = 0;
    const pgd_parse found = find_end(in, n, max_bytes, from, &end, status, why);
    if (found != PGD_PARSE_OK) return found;
    memset(out, 0, sizeof(*out));
    size_t at = 0;
    if (in[0] == '\r') at = 2; /* one empty line before the request line (RFC 9112, 2.2) */
    if (at + 2 >= end) return bad(400, "empty request", status, why);
    pgd_parse r = parse_request_line(next_line(in, end, &at), out, status, why);
    while (r == PGD_PARSE_OK && at + 2 < end)
        r = parse_field(next_line(in, end, &at), out, status, why);
    if (r == PGD_PARSE_OK) r = interpret_fields(out, status, why);
    if (r == PGD_PARSE_OK) *head_bytes = end;
    return r;
}

/* --- chunked bodies ------------------------------------------------------------------------ */

enum {
    CH_SIZE,     /* hexadecimal digits */
    CH_EXT,      /* extension, ignored up to a bound */
    CH_SIZE_LF,  /* the LF of the size line */
    CH_DATA,     /* left bytes of data */
    CH_DATA_CR,  /* the CR after data */
    CH_DATA_LF,  /* the LF after data */
    CH_TRAILER,  /* start of a trailer line, or the end */
    CH_FIELD,    /* inside a trailer line, ignored */
    CH_FIELD_LF, /* LF of a trailer line */
    CH_END_LF,   /* last LF */
    CH_DONE
};

enum { MAX_CHUNK_LINE = 256, MAX_TRAILER = 8192 };

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* One byte that is no chunk data. */
static pgd_parse chunked_byte(pgd_chunked *c, char b, int *status, const char **why) {
    const bool text = b == '\t' || ((unsigned char)b >= 0x20 && b != 0x7f);
    switch (c->state) {
    case CH_SIZE: {
        const int d = hex_digit(b);
        if (d >= 0) {
            if (++c->digits > 15) return bad(400, "chunk size too large", status, why);
            c->left = c->left * 16 + (uint64_t)d;
            return PGD_PARSE_MORE;
        }
        if (c->digits == 0) return bad(400, "chunk without a size", status, why);
        if (b == '\r')
            c->state = CH_SIZE_LF;
        else if (b == ';')
            c->state = CH_EXT;
        else
            return bad(400, "forbidden byte in a chunk size", status, why);
        return PGD_PARSE_MORE;
    }
    case CH_EXT:
        if (++c->line_bytes > MAX_CHUNK_LINE)
            return bad(400, "chunk extension too long", status, why);
        if (b == '\r')
            c->state = CH_SIZE_LF;
        else if (!text)
            return bad(400, "forbidden byte in a chunk extension", status, why);
        return PGD_PARSE_MORE;
    case CH_SIZE_LF:
        if (b != '\n') return bad(400, "malformed chunk size line", status, why);
        c->state = c->left > 0 ? CH_DATA : CH_TRAILER;
        c->line_bytes = 0;
        c->digits = 0;
        return PGD_PARSE_MORE;
    case CH_DATA_CR:
    case CH_DATA_LF:
        if (b != (c->state == CH_DATA_CR ? '\r' : '\n'))
            return bad(400, "chunk longer than its size", status, why);
        c->state = c->state == CH_DATA_CR ? CH_DATA_LF : CH_SIZE;
        return PGD_PARSE_MORE;
    case CH_TRAILER:
    case CH_FIELD:
        if (++c->line_bytes > MAX_TRAILER) return bad(431, "trailers too large", status, why);
        if (b == '\r')
            c->state = c->state == CH_TRAILER ? CH_END_LF : CH_FIELD_LF;
        else if (!text)
            return bad(400, "forbidden byte in a trailer", status, why);
        else
            c->state = CH_FIELD;
        return PGD_PARSE_MORE;
    case CH_FIELD_LF:
    case CH_END_LF:
        if (b != '\n') return bad(400, "malformed trailer", status, why);
        c->state = c->state == CH_END_LF ? CH_DONE : CH_TRAILER;
        return c->state == CH_DONE ? PGD_PARSE_OK : PGD_PARSE_MORE;
    default:
        return bad(400, "malformed chunked body", status, why);
    }
}

pgd_parse pgd_chunked_decode(pgd_chunked *c, const char *in, size_t n, size_t max_body,
                             pgd_buf *body, size_t *used, int *status, const char **why) {
    size_t at = 0;
    pgd_parse r = PGD_PARSE_MORE;
    while (at < n && r == PGD_PARSE_MORE) {
        if (c->state != CH_DATA) {
            r = chunked_byte(c, in[at++], status, why);
            continue;
        }
        const size_t take = c->left < n - at ? (size_t)c->left : n - at;
        if (take > max_body - body->n) {
            r = bad(413, "request body too large", status, why);
            break;
        }
        pgd_buf_put(body, in + at, take);
        at += take;
        c->left -= take;
        if (c->left == 0) c->state = CH_DATA_CR;
    }
    *used = at;
    return r;
}

bool pgd_http_percent_decode(pgd_sv in, pgd_buf *out) {
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '%') {
            pgd_buf_putc(out, in.p[i]);
            continue;
        }
        if (i + 2 >= in.n) return false;
        const int hi = hex_digit(in.p[i + 1]), lo = hex_digit(in.p[i + 2]);
        if (hi < 0 || lo < 0 || hi * 16 + lo == 0) return false;
        pgd_buf_putc(out, (char)(hi * 16 + lo));
        i += 2;
    }
    return true;
}
