/* The life of one connection: read a head, read a body, hand a call to the API, send what it
 * produces, again.
 *
 * Reading goes on while a call works, because that is how a vanished client is noticed; a client
 * that half-closes counts as gone. What it pipelines meanwhile is kept up to a bound. Writes go
 * straight to the socket; only what the kernel does not take is queued. Deadlines are checked by
 * the loop's tick, so that a slow client costs no timer. All on the loop's thread. A response is
 * complete before the next head is looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/auth.h"
#include "http/guard.h"
#include "http/page.h"
#include "http/server.h"
#include "pagoda/clock.h"
#include "pagoda/log.h"
#include "pagoda/mem.h"

enum { MAX_PIPELINED_BYTES = 256 * 1024, MAX_UNSENT_BYTES = 256 * 1024 };
static const uint64_t linger_ns = 1000000000u;

static void advance(pgd_conn *c);

static void set_state(pgd_conn *c, pgd_conn_state s) {
    c->state = s;
    c->since_ns = uv_hrtime();
    c->byte_ns = c->since_ns;
}

/* --- end of life ---------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *h) {
    pgd_conn *c = h->data;
    pgd_http_loop *l = c->loop;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    const uint32_t left = atomic_fetch_sub(&l->http->n_conns, 1) - 1;
    pgd_metric_set(l->http->m_connections, left);
    pgd_buf_fini(&c->in);
    pgd_buf_fini(&c->body);
    pgd_buf_fini(&c->arg);
    pgd_buf_fini(&c->query);
    pgd_buf_fini(&c->out);
    pgd_buf_fini(&c->flight);
    pgd_free(c);
}

static void drop_call(pgd_conn *c) {
    if (c->call == NULL) return;
    if (pgd_call_get_state(c->call) != PGD_CALL_DONE) pgd_call_abort(c->call);
    pgd_call_release(&c->call);
}

void pgd_conn_close(pgd_conn *c) {
    if (c->state == PGD_CONN_CLOSED) return;
    drop_call(c);
    set_state(c, PGD_CONN_CLOSED);
    uv_close(&c->io.handle, on_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status) {
    pgd_conn *c = req->data;
    if (status != 0) pgd_conn_close(c);
}

/* Close our side and wait for the client's, so that it reads our last bytes before a reset. */
static void linger(pgd_conn *c) {
    if (c->state == PGD_CONN_CLOSED) return;
    set_state(c, PGD_CONN_LINGER);
    c->shutdown_req.data = c;
    if (uv_shutdown(&c->shutdown_req, &c->io.stream, on_shutdown) != 0) pgd_conn_close(c);
}

/* --- sending -------------------------------------------------------------------------------- */

/* Requests that became a call are logged by the API. */
static void log_refusal(const pgd_conn *c) {
    pgd_log(PGD_LOG_INFO, "http", "refused status=%d method=%s path=%s key=%s request_id=%s",
            c->status, c->method[0] != '\0' ? c->method : "-", c->row != NULL ? c->row->path : "-",
            c->key != NULL ? c->key->id : "-", c->request_id);
}

static void count_response(const pgd_conn *c) {
    const pgd_route route = c->row != NULL ? c->row->route : PGD_ROUTE_NONE;
    const int class = c->status / 100;
    if (class >= 1 && class < PGD_HTTP_STATUS_CLASSES)
        pgd_metric_add(c->loop->http->m_requests[route][class], 1);
}

/* All bytes of the response have left. */
static void finish_response(pgd_conn *c) {
    count_response(c);
    if (c->loop->http->opt->access_log && c->status >= 400 && !c->had_call) log_refusal(c);
    c->response_done = false;
    if (!c->keep_alive || c->loop->quiesced) {
        linger(c);
        return;
    }
    if (c->body.cap > 1u << 20) pgd_buf_fini(&c->body);
    set_state(c, PGD_CONN_IDLE);
}

static void flush(pgd_conn *c);

static void on_written(uv_write_t *req, int status) {
    pgd_conn *c = req->data;
    c->writing = false;
    if (c->state == PGD_CONN_CLOSED) return;
    if (status != 0) {
        pgd_conn_close(c);
        return;
    }
    c->byte_ns = uv_hrtime();
    pgd_buf_clear(&c->flight);
    flush(c);
    pgd_conn_pump(c);
}

/* Send c->out; when a finished response has left completely, end it. */
static void flush(pgd_conn *c) {
    if (c->writing || c->state == PGD_CONN_CLOSED) return;
    if (c->out.failed) { /* no memory for the response: only a reset can say so */
        pgd_conn_close(c);
        return;
    }
    if (c->out.n > 0) {
        uv_buf_t b = uv_buf_init(c->out.p, (unsigned)c->out.n);
        const int n = uv_try_write(&c->io.stream, &b, 1);
        if (n < 0 && n != UV_EAGAIN) {
            pgd_conn_close(c);
            return;
        }
        if (n > 0) {
            c->sent_bytes += (uint64_t)n;
            c->byte_ns = uv_hrtime();
            pgd_buf_drop_front(&c->out, (size_t)n);
        }
    }
    if (c->out.n > 0) {
        const pgd_buf t = c->flight;
        c->flight = c->out;
        c->out = t;
        c->sent_bytes += c->flight.n;
        uv_buf_t b = uv_buf_init(c->flight.p, (unsigned)c->flight.n);
        c->write_req.data = c;
        c->writing = true;
        if (uv_write(&c->write_req, &c->io.stream, &b, 1, on_written) != 0) {
            c->writing = false;
            pgd_conn_close(c);
        }
        return;
    }
    if (c->response_done) finish_response(c);
}

/* Take what the call has produced. Does not look at further requests: advance's loop does, so that
 * a thousand pipelined requests cost no recursion. */
static void pump(pgd_conn *c) {
    if (c->call == NULL || c->state != PGD_CONN_HANDLING) return;
    const pgd_call_state s = pgd_call_get_state(c->call);
    if (s == PGD_CALL_PREPARING) return;
    if (c->writing && c->out.n > MAX_UNSENT_BYTES)
        return; /* a slow reader: tokens wait in their log */
    pgd_buf *body = pgd_call_output(c->call);
    if (!c->head_sent) {
        if (c->loop->quiesced) c->keep_alive = false;
        pgd_reply_head(c, pgd_call_http_status(c->call), pgd_call_content_type(c->call),
                       pgd_call_headers(c->call), s == PGD_CALL_DONE ? (int64_t)body->n : -1);
    }
    if (body->n > 0 && !c->is_head) {
        if (c->chunked_out) pgd_buf_putf(&c->out, "%zx\r\n", body->n);
        pgd_buf_putsv(&c->out, pgd_buf_sv(body));
        if (c->chunked_out) pgd_buf_puts(&c->out, "\r\n");
    }
    pgd_buf_clear(body);
    if (s == PGD_CALL_DONE) {
        if (c->chunked_out && !c->is_head) pgd_buf_puts(&c->out, "0\r\n\r\n");
        c->response_done = true;
        pgd_call_release(&c->call);
    }
    flush(c);
}

void pgd_conn_pump(pgd_conn *c) {
    pump(c);
    if (c->state == PGD_CONN_IDLE) advance(c);
}

/* --- receiving ------------------------------------------------------------------------------ */

static void refuse(pgd_conn *c, int status, const char *code, const char *message,
                   const char *extra_headers, bool fatal) {
    set_state(c, PGD_CONN_HANDLING);
    pgd_reply_refuse(c, status, code, message, extra_headers, fatal);
    flush(c);
}

/* Bytes that are no well-formed request: answer and close. */
static void refuse_bytes(pgd_conn *c, int status, const char *why) {
    pgd_metric_add(c->loop->http->m_parse_errors, 1);
    pgd_buf_clear(&c->in);
    c->row = NULL;
    c->had_call = false;
    refuse(c, status, NULL, why, NULL, true);
}

static void begin_call(pgd_conn *c) {
    const pgd_api_request rq = {
        .route = c->row->route,
        .arg = pgd_buf_sv(&c->arg),
        .query = pgd_buf_sv(&c->query),
        .remove = pgd_sv_eq(pgd_sv_c(c->method), PGD_SV("DELETE")),
        .body = &c->body,
        .request_id = pgd_sv_c(c->request_id),
        .tenant = c->key != NULL ? pgd_sv_c(c->key->tenant) : (pgd_sv){"", 0},
        .may_set_priority =
            c->loop->http->opt->n_keys == 0 || (c->key != NULL && c->key->may_set_priority),
        .timeout_ns = c->timeout_ns,
        .user = c,
    };
    if (c->admin && (c->row->methods & PGD_POST) != 0)
        pgd_log(PGD_LOG_INFO, "http", "operator asks path=%s uid=%u pid=%d", c->row->path,
                c->peer_uid, c->peer_pid);
    set_state(c, PGD_CONN_HANDLING);
    c->call = pgd_api_begin(c->loop->api, &rq);
    c->had_call = c->call != NULL;
    if (c->call == NULL) {
        refuse(c, 503, "server_overloaded", "The server is out of memory, try again later.",
               "retry-after: 1\r\n", true);
        return;
    }
    pump(c);
}

static bool copy_printable(pgd_sv s, char *out, size_t cap) {
    if (s.n == 0 || s.n >= cap) return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f) return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* Copy out of the head what outlives it. */
static void reset_request(pgd_conn *c, const pgd_http_head *h) {
    const pgd_http_options *opt = c->loop->http->opt;
    c->row = NULL;
    c->key = NULL;
    c->framing = h->framing;
    c->body_left = h->content_length;
    c->chunked = (pgd_chunked){0};
    const bool leaving = pgd_api_get_state(c->loop->http->api) == PGD_API_LEAVING;
    c->keep_alive = h->keep_alive && !c->loop->quiesced && !leaving;
    c->http10 = h->minor == 0;
    c->is_head = pgd_sv_eq(h->method, PGD_SV("HEAD"));
    c->head_sent = c->chunked_out = c->response_done = c->had_call = false;
    c->sent_bytes = 0;
    c->request_id[0] = c->origin[0] = c->method[0] = '\0';
    pgd_buf_clear(&c->body);
    pgd_buf_clear(&c->arg);
    pgd_buf_clear(&c->query);
    copy_printable(h->method, c->method, sizeof(c->method));
    copy_printable(pgd_http_field_get(h, "x-request-id"), c->request_id, sizeof(c->request_id));
    const pgd_sv origin = pgd_http_field_get(h, "origin");
    if (origin.p != NULL && pgd_cors_allows(opt, origin))
        copy_printable(origin, c->origin, sizeof(c->origin));
    uint64_t ms = 0;
    if (!pgd_parse_u64(pgd_http_field_get(h, "x-request-timeout-ms"), &ms) || ms > 86400000) ms = 0;
    c->timeout_ns = ms * 1000000u;
}

static bool needs_key(const pgd_http_options *opt, const pgd_route_row *row) {
    if (opt->n_keys == 0 || (row->flags & PGD_ROUTE_OPEN)) return false;
    return !(row->flags & PGD_ROUTE_METRIC) || opt->metrics_need_key;
}

static void answer_page(pgd_conn *c, const pgd_http_page *page, const pgd_http_head *h,
                        bool has_body) {
    if (has_body) c->keep_alive = false; /* it stays unread */
    set_state(c, PGD_CONN_HANDLING);
    pgd_reply_page(c, page, h);
    flush(c);
}

/* Whether a browser makes the request for a page that has no business here; it is answered then. */
static bool refuse_foreign(pgd_conn *c, const pgd_http_head *h, bool has_body) {
    const pgd_http *http = c->loop->http;
    const pgd_sv host = pgd_http_field_get(h, "host"); /* none: HTTP/1.0, which no browser speaks */
    char text[320], name[65];
    if (c->admin) return false; /* no browser opens unix sockets */
    if (http->checks_hosts && host.p != NULL && !pgd_guard_host(http->opt, host)) {
        pgd_guard_quote(host, name, sizeof(name));
        (void)snprintf(
            text, sizeof(text),
            "The Host header '%s' is none of this server's names, which guards against DNS "
            "rebinding. Use localhost or the address, or start the server with "
            "--allowed-host and the name.",
            name);
        refuse(c, 421, "host_not_allowed", text, NULL, has_body);
        return true;
    }
    if (!pgd_sv_eq(h->method, PGD_SV("POST")) || pgd_guard_post(h)) return false;
    pgd_guard_quote(pgd_http_field_get(h, "content-type"), name, sizeof(name));
    (void)snprintf(text, sizeof(text),
                   "A POST from a web page (it has an Origin or Sec-Fetch-Site header) needs "
                   "`Content-Type: application/json`; this one says '%s'.",
                   name);
    refuse(c, 415, "unsupported_content_type", text, NULL, has_body);
    return true;
}

static unsigned method_of(const pgd_conn *c, const pgd_http_head *h) {
    if (c->is_head || pgd_sv_eq(h->method, PGD_SV("GET"))) return PGD_GET;
    if (pgd_sv_eq(h->method, PGD_SV("POST"))) return PGD_POST;
    return pgd_sv_eq(h->method, PGD_SV("DELETE")) ? PGD_DELETE : 0;
}

/* Everything that can be refused, or is a page, before the body is read. Returns whether the
 * request goes on. */
static bool admit(pgd_conn *c, const pgd_http_head *h) {
    const pgd_http_options *opt = c->loop->http->opt;
    const bool has_body = h->framing != PGD_BODY_NONE;
    pgd_sv arg;
    c->row = pgd_route_find(h->target, &c->loop->scratch, &arg);
    if (c->row != NULL && !pgd_route_is_offered(c->row, c->admin)) c->row = NULL;
    const pgd_http_page *page = c->row != NULL ? pgd_page_find(opt, c->row, arg) : NULL;
    if (page == NULL && c->row != NULL && c->row->route == PGD_ROUTE_PAGE) c->row = NULL;
    const bool options = pgd_sv_eq(h->method, PGD_SV("OPTIONS"));
    if (refuse_foreign(c, h, has_body)) return false;
    if (c->row == NULL) {
        refuse(
            c, 404, "unknown_url",
            c->admin
                ? "Unknown path. This socket has GET /requests, POST /requests/{id}/cancel, POST "
                  "/reset_prefix_cache, GET /server_info, /metrics, /version and the probes."
                : "Unknown path. GET / with `accept: application/json` lists what is here.",
            NULL, has_body);
        return false;
    }
    pgd_buf_putsv(&c->arg, arg);
    const size_t query = pgd_sv_find(h->target, PGD_SV("?"), 0);
    if (query < h->target.n)
        pgd_buf_put(&c->query, h->target.p + query + 1, h->target.n - query - 1);
    if (options) {
        if (has_body) c->keep_alive = false;
        set_state(c, PGD_CONN_HANDLING);
        pgd_reply_options(c, pgd_route_allow(c->row));
        flush(c);
        return false;
    }
    if ((c->row->methods & method_of(c, h)) == 0) {
        char allow[64];
        (void)snprintf(allow, sizeof(allow), "allow: %s\r\n", pgd_route_allow(c->row));
        refuse(c, 405, "method_not_supported",
               "This path does not take that method; see the Allow header.", allow, has_body);
        return false;
    }
    if (page != NULL && pgd_page_wanted(pgd_http_field_get(h, "accept"))) {
        answer_page(c, page, h, has_body);
        return false;
    }
    c->key = pgd_auth_find(opt, h);
    if (c->key == NULL && !c->admin && needs_key(opt, c->row)) {
        refuse(c, 401, "invalid_api_key",
               "Missing or incorrect API key. Send it as `Authorization: Bearer KEY`.",
               "www-authenticate: Bearer\r\n", has_body);
        return false;
    }
    if (h->framing == PGD_BODY_LENGTH && h->content_length > opt->max_body_bytes) {
        char text[128];
        (void)snprintf(text, sizeof(text), "The request body is larger than %zu bytes.",
                       opt->max_body_bytes);
        refuse(c, 413, "request_too_large", text, NULL, true);
        return false;
    }
    return true;
}

/* A complete head is at the front of c->in. */
static void on_head(pgd_conn *c, const pgd_http_head *h, size_t head_bytes) {
    reset_request(c, h);
    const bool go_on = admit(c, h);
    if (c->state == PGD_CONN_CLOSED) return;
    pgd_buf_drop_front(&c->in, head_bytes); /* h is dead from here */
    if (!go_on) {
        if (!c->keep_alive) pgd_buf_clear(&c->in);
        return;
    }
    if (c->framing == PGD_BODY_NONE) {
        begin_call(c);
        return;
    }
    const pgd_api_state state = pgd_api_get_state(c->loop->http->api);
    const bool refusing = state != PGD_API_READY && state != PGD_API_LEAVING;
    if (refusing && (c->row->flags & PGD_ROUTE_MODEL_USE)) { /* refused without reading the body */
        c->keep_alive = false;
        begin_call(c);
        return;
    }
    if (h->expect_continue && c->in.n == 0) {
        pgd_buf_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        flush(c);
        if (c->state == PGD_CONN_CLOSED) return;
    }
    set_state(c, PGD_CONN_BODY);
}

static void on_body_bytes(pgd_conn *c) {
    const pgd_http_options *opt = c->loop->http->opt;
    size_t used = 0;
    bool complete;
    if (c->framing == PGD_BODY_LENGTH) {
        used = c->in.n < c->body_left ? c->in.n : (size_t)c->body_left;
        pgd_buf_put(&c->body, c->in.p, used);
        c->body_left -= used;
        complete = c->body_left == 0;
    } else {
        int status = 0;
        const char *why = NULL;
        const pgd_parse r = pgd_chunked_decode(&c->chunked, c->in.p, c->in.n, opt->max_body_bytes,
                                               &c->body, &used, &status, &why);
        if (r == PGD_PARSE_BAD) {
            refuse_bytes(c, status, why);
            return;
        }
        complete = r == PGD_PARSE_OK;
    }
    pgd_buf_drop_front(&c->in, used);
    c->byte_ns = uv_hrtime();
    if (c->body.failed) {
        refuse(c, 503, "server_overloaded", "The server is out of memory, try again later.",
               "retry-after: 1\r\n", true);
        pgd_buf_clear(&c->in);
    } else if (complete) {
        begin_call(c);
    }
}

/* Do what the bytes in c->in allow. */
static void advance(pgd_conn *c) {
    while (c->in.n > 0) {
        if (c->state == PGD_CONN_IDLE) {
            set_state(c, PGD_CONN_HEAD);
            c->head_from = 0;
        }
        if (c->state == PGD_CONN_HEAD) {
            pgd_http_head head;
            size_t head_bytes = 0;
            int status = 0;
            const char *why = NULL;
            const pgd_parse r =
                pgd_http_parse_head(c->in.p, c->in.n, c->loop->http->opt->max_head_bytes,
                                    &c->head_from, &head, &head_bytes, &status, &why);
            if (r == PGD_PARSE_MORE) return;
            if (r == PGD_PARSE_BAD)
                refuse_bytes(c, status, why);
            else
                on_head(c, &head, head_bytes);
        } else if (c->state == PGD_CONN_BODY) {
            on_body_bytes(c);
        } else {
            return;
        }
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    const pgd_conn *c = h->data;
    *buf = uv_buf_init(c->loop->read_buf, sizeof(c->loop->read_buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    pgd_conn *c = stream->data;
    if (n == 0 || c->state == PGD_CONN_CLOSED) return;
    if (n < 0) {
        pgd_conn_close(c);
        return;
    }
    if (c->state == PGD_CONN_LINGER) return;
    pgd_buf_put(&c->in, buf->base, (size_t)n);
    if (c->in.failed || (c->state == PGD_CONN_HANDLING && c->in.n > MAX_PIPELINED_BYTES)) {
        pgd_conn_close(c);
        return;
    }
    advance(c);
}

/* Take the waiting connection from the listener, which may be of either kind. */
static bool take(pgd_conn *c, uv_stream_t *listener) {
    if (!c->admin) {
        if (uv_accept(listener, &c->io.stream) != 0) return false;
        uv_tcp_nodelay(&c->io.tcp, 1);
        return true;
    }
    uv_os_fd_t fd = -1;
    if (uv_accept(listener, &c->io.stream) != 0 || uv_fileno(&c->io.handle, &fd) != 0) return false;
    if (pgd_admin_peer(fd, &c->peer_uid, &c->peer_pid)) return true;
    pgd_log(PGD_LOG_WARN, "http", "admin socket: refused uid=%u pid=%d", c->peer_uid, c->peer_pid);
    return false;
}

void pgd_conn_accept(pgd_http_loop *l, uv_stream_t *listener) {
    pgd_conn *c = pgd_calloc(1, sizeof(*c));
    if (c == NULL) return; /* the backlog is tried again when the next one arrives */
    c->loop = l;
    c->admin = listener == (uv_stream_t *)&l->admin;
    if (c->admin)
        uv_pipe_init(&l->uv, &c->io.pipe, 0);
    else
        uv_tcp_init(&l->uv, &c->io.tcp);
    c->io.handle.data = c;
    c->next = l->conns;
    if (c->next != NULL) c->next->prev = c;
    l->conns = c;
    const uint32_t n = atomic_fetch_add(&l->http->n_conns, 1) + 1;
    pgd_metric_set(l->http->m_connections, n);
    set_state(c, PGD_CONN_IDLE);
    if (!take(c, listener) || uv_read_start(&c->io.stream, on_alloc, on_read) != 0) {
        pgd_conn_close(c);
        return;
    }
    /* a server that is full is when its operator needs it */
    if (n > l->http->opt->max_connections && !c->admin)
        refuse(c, 503, "server_overloaded", "Too many connections, try again later.",
               "retry-after: 1\r\n", true);
}

/* --- deadlines ------------------------------------------------------------------------------ */

static void tick_response(pgd_conn *c, uint64_t now_ns, bool full_second) {
    if (c->writing) {
        const size_t queued = uv_stream_get_write_queue_size(&c->io.stream);
        if (queued != c->queued_bytes) c->byte_ns = now_ns;
        c->queued_bytes = queued;
        if (now_ns - c->byte_ns > c->loop->http->opt->stall_timeout_ns) {
            pgd_log(PGD_LOG_WARN, "http", "client takes no bytes, closing request_id=%s",
                    c->request_id);
            pgd_conn_close(c);
            return;
        }
    }
    if (full_second && c->call != NULL && pgd_call_tick(c->call)) pgd_conn_pump(c);
}

void pgd_conn_tick(pgd_conn *c, uint64_t now_ns, bool full_second) {
    const pgd_http_options *opt = c->loop->http->opt;
    const uint64_t age = now_ns > c->since_ns ? now_ns - c->since_ns : 0;
    const uint64_t quiet = now_ns > c->byte_ns ? now_ns - c->byte_ns : 0;
    switch (c->state) {
    case PGD_CONN_IDLE:
        if ((c->loop->quiesced && !c->admin) || age > opt->idle_timeout_ns) pgd_conn_close(c);
        break;
    case PGD_CONN_HEAD:
        if (age > opt->head_timeout_ns)
            refuse_bytes(c, 408, "the request head did not arrive in time");
        break;
    case PGD_CONN_BODY:
        if (age > opt->body_timeout_ns || quiet > opt->body_idle_ns)
            refuse_bytes(c, 408, "the request body did not arrive in time");
        break;
    case PGD_CONN_HANDLING:
        tick_response(c, now_ns, full_second);
        break;
    case PGD_CONN_LINGER:
        if (age > linger_ns) pgd_conn_close(c);
        break;
    case PGD_CONN_CLOSED:
        break;
    }
}
