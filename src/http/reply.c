/* Response heads and the transport's own refusals, appended to the connection's output.
 *
 * Every response carries date, x-request-id (from the API for calls, here for refusals) and, when
 * the caller's origin is listed, the CORS headers. Runs on the loop thread. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "http/page.h"
#include "http/server.h"
#include "pagoda/clock.h"
#include "pagoda/hash.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

static const char *reason_of(int status) {
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "Status";
}

void pgd_reply_date(char out[40]) {
    const time_t now = (time_t)(pgd_wall_ns() / 1000000000u);
    struct tm tm;
    if (gmtime_r(&now, &tm) == NULL || strftime(out, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        out[0] = '\0';
}

bool pgd_cors_allows(const pgd_http_options *opt, pgd_sv origin) {
    for (uint32_t i = 0; i < opt->n_cors_origins; i++) {
        const pgd_sv allowed = pgd_sv_c(opt->cors_origins[i]);
        if (pgd_sv_eq(allowed, PGD_SV("*")) || pgd_sv_eq(allowed, origin)) return true;
    }
    return false;
}

static void put_cors(pgd_conn *c) {
    if (c->origin[0] == '\0') return;
    pgd_buf_putf(&c->out,
                 "access-control-allow-origin: %s\r\nvary: origin\r\n"
                 "access-control-expose-headers: x-request-id, retry-after, retry-after-ms\r\n",
                 c->origin);
}

void pgd_reply_head(pgd_conn *c, int status, const char *content_type, pgd_sv extra,
                    int64_t content_length) {
    pgd_buf *out = &c->out;
    c->status = status;
    c->head_sent = true;
    pgd_buf_putf(out, "HTTP/1.1 %d %s\r\ndate: %s\r\nserver: pagoda\r\n", status, reason_of(status),
                 c->loop->date);
    if (content_type != NULL) pgd_buf_putf(out, "content-type: %s\r\n", content_type);
    if (content_length >= 0) {
        pgd_buf_putf(out, "content-length: %lld\r\n", (long long)content_length);
    } else if (c->http10) {
        c->keep_alive = false; /* the end of the connection ends the body */
    } else {
        c->chunked_out = true;
        pgd_buf_puts(out, "transfer-encoding: chunked\r\n");
    }
    if (!c->keep_alive)
        pgd_buf_puts(out, "connection: close\r\n");
    else if (c->http10)
        pgd_buf_puts(out, "connection: keep-alive\r\n");
    put_cors(c);
    pgd_buf_putsv(out, extra);
    pgd_buf_puts(out, "\r\n");
}

/* The caller's request id, or a fresh one. */
static void put_request_id(pgd_conn *c, pgd_buf *out) {
    if (c->request_id[0] == '\0') {
        uint8_t r[12];
        pgd_random_bytes(r, sizeof(r));
        size_t at = (size_t)snprintf(c->request_id, sizeof(c->request_id), "req_");
        for (size_t i = 0; i < sizeof(r); i++)
            at += (size_t)snprintf(c->request_id + at, sizeof(c->request_id) - at, "%02x", r[i]);
    }
    pgd_buf_putf(out, "x-request-id: %s\r\n", c->request_id);
}

void pgd_reply_refuse(pgd_conn *c, int status, const char *code, const char *message,
                      const char *extra_headers, bool fatal) {
    pgd_buf body = {0}, extra = {0};
    const char *type = status >= 500 ? "server_error" : "invalid_request_error";
    if (status == 401) type = "authentication_error";
    put_request_id(c, &extra);
    if (c->row != NULL && pgd_route_is_anthropic(c->row->route)) {
        pgd_api_error_body_anthropic(&body, status, message, c->request_id);
        pgd_buf_putf(&extra, "request-id: %s\r\n", c->request_id);
    } else {
        pgd_api_error_body(&body, message, type, NULL, code);
    }
    if (extra_headers != NULL) pgd_buf_puts(&extra, extra_headers);
    if (fatal) c->keep_alive = false;
    pgd_reply_head(c, status, "application/json", pgd_buf_sv(&extra), (int64_t)body.n);
    if (!c->is_head) pgd_buf_putsv(&c->out, pgd_buf_sv(&body));
    c->response_done = true;
    pgd_buf_fini(&body);
    pgd_buf_fini(&extra);
}

void pgd_reply_options(pgd_conn *c, const char *allow) {
    pgd_buf extra = {0};
    put_request_id(c, &extra);
    pgd_buf_putf(&extra, "allow: %s\r\n", allow);
    if (c->origin[0] != '\0')
        pgd_buf_putf(&extra,
                     "access-control-allow-methods: %s\r\n"
                     "access-control-allow-headers: authorization, content-type, x-api-key, "
                     "x-request-id\r\naccess-control-max-age: 600\r\n",
                     allow);
    pgd_reply_head(c, 204, NULL, pgd_buf_sv(&extra), 0);
    c->response_done = true;
    pgd_buf_fini(&extra);
}

void pgd_reply_page(pgd_conn *c, const pgd_http_page *page, const pgd_http_head *h) {
    const bool gzip =
        page->gzip != NULL && pgd_page_takes_gzip(pgd_http_field_get(h, "accept-encoding"));
    const char *etag = gzip ? page->gzip_etag : page->etag;
    const size_t n = gzip ? page->n_gzip : page->n_body;
    const bool unchanged = pgd_page_unchanged(pgd_http_field_get(h, "if-none-match"), etag);
    pgd_buf extra = {0};
    put_request_id(c, &extra);
    /* no-cache: a browser keeps the page and asks each time, so an upgrade shows at once */
    pgd_buf_putf(&extra, "etag: %s\r\ncache-control: no-cache\r\nvary: accept, accept-encoding\r\n",
                 etag);
    if (gzip && !unchanged) pgd_buf_puts(&extra, "content-encoding: gzip\r\n");
    pgd_buf_puts(&extra, page->headers);
    if (extra.failed) c->out.failed = true; /* flush closes the connection */
    if (unchanged) {
        pgd_reply_head(c, 304, NULL, pgd_buf_sv(&extra), (int64_t)n); /* of the page, none comes */
    } else {
        pgd_reply_head(c, 200, page->content_type, pgd_buf_sv(&extra), (int64_t)n);
        if (!c->is_head) pgd_buf_put(&c->out, gzip ? page->gzip : page->body, n);
    }
    c->response_done = true;
    pgd_buf_fini(&extra);
}
