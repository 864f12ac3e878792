/* HTTP client of the load generator.
 *
 * A connection carries one request at a time. Kept-alive connections wait in a list, are watched
 * while they do, and are taken last-in first-out. A kept connection that the server closes just as
 * a request goes out (before any byte of a response) is no failure of the server: that request is
 * sent again, once, on a new connection. Receive memory is one buffer of the client, since libuv
 * hands over what it read before it reads the next socket.
 *
 * Callers are told of ends through on_done, always from the loop and never from within send.
 * Runs on the loop thread. */
#include "bench/client.h"

#include <stdio.h>
#include <string.h>

#include "bench/reply.h"
#include "pagoda/mem.h"

enum { MAX_ADDRESSES = 8, READ_BYTES = 256 << 10, SWEEP_MS = 50 };

typedef struct conn {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    bench_client *client;
    bench_exchange *x; /* NULL while idle */
    pgd_buf out;       /* request bytes, kept for the retry; owned */
    bench_reply reply;
    bool reused, got_bytes, closing, writing, retried;
    struct conn *next, *prev;           /* in the list of all */
    struct conn *next_idle, *prev_idle; /* while idle */
} conn;

struct bench_client {
    uv_loop_t *loop;
    bench_client_options opt;
    struct sockaddr_storage addr[MAX_ADDRESSES];
    uint32_t n_addr, addr_at;
    bool connected_once, closing;
    uint64_t n_opened;
    uv_timer_t sweep;
    conn *all, *idle;
    char buffer[READ_BYTES];
};

const char *bench_fault_name(bench_fault f) {
    static const char *const names[BENCH_FAULT_N] = {"ok",       "connect",  "closed",
                                                     "timeout",  "http_4xx", "http_5xx",
                                                     "protocol", "stream",   "memory"};
    return names[f];
}

/* ---- URL ---- */

pgd_status bench_url_parse(const char *text, bench_url *out, pgd_error *err) {
    memset(out, 0, sizeof(*out));
    const pgd_sv all = pgd_sv_c(text);
    if (pgd_sv_starts(all, PGD_SV("https://")))
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "--url: https is not spoken here; measure behind the TLS proxy, or through "
                        "one that speaks plain HTTP on this side");
    if (!pgd_sv_starts(all, PGD_SV("http://")))
        return pgd_fail(err, PGD_E_INVALID, "--url: '%s' is not http://host[:port][/path]", text);
    const char *host = text + 7;
    const size_t authority = strcspn(host, "/?#");
    const char *end = host + authority;
    if (*end == '?' || *end == '#' || memchr(host, '@', authority) != NULL)
        return pgd_fail(err, PGD_E_INVALID, "--url: '%s' is not http://host[:port][/path]", text);
    const char *close = *host == '[' ? memchr(host, ']', authority) : NULL; /* [::1]:8000 */
    const char *from = close != NULL ? close : host;
    const char *colon = memchr(from, ':', (size_t)(end - from));
    const char *host_end = close != NULL ? close : colon != NULL ? colon : end;
    if (close != NULL) host++;
    const size_t host_n = (size_t)(host_end - host);
    const pgd_sv port =
        colon != NULL ? (pgd_sv){colon + 1, (size_t)(end - colon - 1)} : PGD_SV("80");
    uint64_t number = 0;
    if (host_n == 0 || host_n >= sizeof(out->host) || !pgd_parse_u64(port, &number) ||
        number == 0 || number > 65535)
        return pgd_fail(err, PGD_E_INVALID, "--url: '%s' has no host or no port in 1..65535", text);
    memcpy(out->host, host, host_n);
    (void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)number);
    pgd_sv path = pgd_sv_c(end);
    while (pgd_sv_ends(path, PGD_SV("/")))
        path.n--;
    if (pgd_sv_ends(path, PGD_SV("/v1"))) path.n -= 3;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] <= ' ' || path.p[i] == '?' || path.p[i] == '#' || path.p[i] == 127)
            return pgd_fail(err, PGD_E_INVALID, "--url: forbidden byte in the path of '%s'", text);
    if (path.n >= sizeof(out->path))
        return pgd_fail(err, PGD_E_INVALID, "--url: path of over %zu bytes", sizeof(out->path) - 1);
    memcpy(out->path, path.p, path.n);
    return PGD_OK;
}

/* ---- connections ---- */

static void idle_remove(conn *k) {
    bench_client *c = k->client;
    if (c->idle != k && k->prev_idle == NULL) return;
    if (k->prev_idle != NULL)
        k->prev_idle->next_idle = k->next_idle;
    else
        c->idle = k->next_idle;
    if (k->next_idle != NULL) k->next_idle->prev_idle = k->prev_idle;
    k->next_idle = k->prev_idle = NULL;
}

static void idle_push(conn *k) {
    bench_client *c = k->client;
    k->prev_idle = NULL;
    k->next_idle = c->idle;
    if (c->idle != NULL) c->idle->prev_idle = k;
    c->idle = k;
}

static void on_closed(uv_handle_t *h) {
    conn *k = h->data;
    bench_client *c = k->client;
    if (k->prev != NULL)
        k->prev->next = k->next;
    else
        c->all = k->next;
    if (k->next != NULL) k->next->prev = k->prev;
    pgd_buf_fini(&k->out);
    bench_reply_fini(&k->reply);
    pgd_free(k);
}

static void conn_close(conn *k) {
    if (k->closing) return;
    k->closing = true;
    idle_remove(k);
    uv_close((uv_handle_t *)&k->tcp, on_closed);
}

/* End the exchange of k; the connection is closed unless it can carry another. */
static void finish(conn *k, bench_fault fault, const char *why) {
    bench_exchange *x = k->x;
    k->x = NULL;
    const bool keep = fault == BENCH_OK && k->client->opt.keep_alive && k->reply.keep_alive &&
                      !k->writing && !k->client->closing;
    if (keep)
        idle_push(k);
    else
        conn_close(k);
    if (x != NULL) x->on_done(x, fault, why);
}

static conn *conn_open(bench_client *c);

/* Send the request of k again on a new connection. False when memory is out. A write of k that is
 * still under way is over once k is closing, so its bytes may move. */
static bool retry(conn *k) {
    conn *fresh = conn_open(k->client);
    if (fresh == NULL) return false;
    fresh->x = k->x;
    fresh->out = k->out;
    fresh->retried = true;
    k->out = (pgd_buf){0};
    k->x = NULL;
    conn_close(k);
    return true;
}

/* The connection broke, or was closed by the server. */
static void on_break(conn *k) {
    if (k->x == NULL) {
        conn_close(k);
        return;
    }
    if (!k->got_bytes && k->reused && !k->retried && retry(k)) return;
    if (k->got_bytes && bench_reply_close(&k->reply) == BENCH_PARSE_DONE) {
        k->reply.keep_alive = false;
        finish(k, BENCH_OK, "");
        return;
    }
    finish(k, BENCH_CLOSED,
           k->got_bytes ? k->reply.why : "the server closed the connection without an answer");
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf) {
    (void)hint;
    conn *k = h->data;
    *buf = uv_buf_init(k->client->buffer, sizeof(k->client->buffer));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
    conn *k = s->data;
    if (n == 0 || k->closing) return;
    if (n < 0 || k->x == NULL) { /* bytes that nobody asked for end an idle connection, too */
        on_break(k);
        return;
    }
    k->got_bytes = true;
    const char *in = buf->base;
    size_t left = (size_t)n;
    while (left > 0) {
        const bool had_head = k->reply.head_done;
        size_t used = 0;
        pgd_sv data;
        const bench_parse p = bench_reply_feed(&k->reply, in, left, &used, &data);
        in += used;
        left -= used;
        if (!had_head && k->reply.head_done)
            k->x->on_head(k->x, k->reply.status, k->reply.event_stream);
        if (data.n > 0) k->x->on_body(k->x, data);
        if (p == BENCH_PARSE_BAD) {
            finish(k, BENCH_PROTOCOL, k->reply.why);
            return;
        }
        if (p == BENCH_PARSE_DONE) {
            if (left > 0) k->reply.keep_alive = false;
            finish(k, BENCH_OK, "");
            return;
        }
    }
}

static void on_written(uv_write_t *w, int status) {
    conn *k = w->data;
    k->writing = false;
    /* a server may answer and close before it has read all: its answer, or the end, comes by read
     */
    if (status < 0 && status != UV_ECANCELED && !k->closing && k->x != NULL && !k->got_bytes &&
        status != UV_EPIPE && status != UV_ECONNRESET)
        finish(k, BENCH_CLOSED, uv_strerror(status));
}

static void fail_later(bench_client *c, bench_exchange *x, const char *why);

static void conn_send(conn *k) {
    bench_reply_init(&k->reply);
    k->got_bytes = false;
    k->writing = true;
    k->write.data = k;
    uv_buf_t buf = uv_buf_init(k->out.p, (unsigned)k->out.n);
    const int rc = uv_write(&k->write, (uv_stream_t *)&k->tcp, &buf, 1, on_written);
    if (rc == 0) return;
    bench_exchange *x = k->x;
    k->x = NULL;
    conn_close(k);
    fail_later(k->client, x, uv_strerror(rc));
}

static void on_connected(uv_connect_t *r, int status) {
    conn *k = r->data;
    bench_client *c = k->client;
    if (k->closing) return;
    if (status == 0) status = uv_read_start((uv_stream_t *)&k->tcp, on_alloc, on_read);
    if (status < 0) {
        /* the first address that answers is the one to stay with */
        if (!c->connected_once && c->addr_at + 1 < c->n_addr && k->x != NULL) {
            c->addr_at++;
            if (retry(k)) return;
        }
        finish(k, BENCH_CONNECT, uv_strerror(status));
        return;
    }
    c->connected_once = true;
    if (k->x != NULL) conn_send(k);
}

/* A connection on its way; NULL without memory. A failure to even try ends in on_connected. */
static conn *conn_open(bench_client *c) {
    conn *k = pgd_calloc(1, sizeof(*k));
    if (k == NULL) return NULL;
    if (uv_tcp_init(c->loop, &k->tcp) != 0) {
        pgd_free(k);
        return NULL;
    }
    k->client = c;
    k->tcp.data = k;
    k->connect.data = k;
    k->next = c->all;
    if (c->all != NULL) c->all->prev = k;
    c->all = k;
    c->n_opened++;
    uv_tcp_nodelay(&k->tcp, 1);
    const struct sockaddr *to = (const struct sockaddr *)&c->addr[c->addr_at];
    if (uv_tcp_connect(&k->connect, &k->tcp, to, on_connected) != 0) {
        conn_close(k);
        return NULL;
    }
    return k;
}

static void on_sweep(uv_timer_t *t) {
    bench_client *c = t->data;
    const uint64_t now = uv_hrtime();
    for (conn *k = c->all, *next; k != NULL; k = next) {
        next = k->next; /* closing is deferred: entries leave the list in on_closed only */
        if (!k->closing && k->x != NULL && k->x->deadline_ns != 0 && now > k->x->deadline_ns)
            finish(k, BENCH_TIMEOUT, "no complete answer within --timeout");
    }
}

/* ---- the client ---- */

static pgd_status resolve(bench_client *c, pgd_error *err) {
    const bench_url *u = c->opt.url;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    uv_getaddrinfo_t req;
    const int rc = uv_getaddrinfo(c->loop, &req, NULL, u->host, u->port, &hints);
    if (rc != 0)
        return pgd_fail(err, PGD_E_NOT_FOUND, "cannot resolve %s: %s", u->host, uv_strerror(rc));
    for (const struct addrinfo *a = req.addrinfo; a != NULL && c->n_addr < MAX_ADDRESSES;
         a = a->ai_next)
        if (a->ai_addrlen <= sizeof(c->addr[0]))
            memcpy(&c->addr[c->n_addr++], a->ai_addr, a->ai_addrlen);
    uv_freeaddrinfo(req.addrinfo);
    return c->n_addr > 0 ? PGD_OK : pgd_fail(err, PGD_E_NOT_FOUND, "%s has no address", u->host);
}

pgd_status bench_client_create(uv_loop_t *loop, const bench_client_options *opt, bench_client **out,
                               pgd_error *err) {
    bench_client *c = pgd_calloc(1, sizeof(*c));
    if (c == NULL) return pgd_fail(err, PGD_E_NOMEM, "no memory for the client");
    c->loop = loop;
    c->opt = *opt;
    const pgd_status s = resolve(c, err);
    if (s != PGD_OK) {
        pgd_free(c);
        return s;
    }
    uv_timer_init(loop, &c->sweep);
    c->sweep.data = c;
    uv_timer_start(&c->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    uv_unref((uv_handle_t *)&c->sweep);
    *out = c;
    return PGD_OK;
}

void bench_client_close(bench_client *c) {
    c->closing = true;
    for (conn *k = c->all; k != NULL; k = k->next)
        conn_close(k);
    if (!uv_is_closing((uv_handle_t *)&c->sweep)) uv_close((uv_handle_t *)&c->sweep, NULL);
}

void bench_client_free(bench_client **c) {
    pgd_free(*c);
    *c = NULL;
}

uint64_t bench_client_opened(const bench_client *c) {
    return c->n_opened;
}

static void put_request(const bench_client *c, const char *method, const char *path, pgd_sv body,
                        pgd_buf *out) {
    const bench_url *u = c->opt.url;
    const bool v6 = strchr(u->host, ':') != NULL;
    pgd_buf_putf(
        out, "%s %s%s HTTP/1.1\r\nHost: %s%s%s:%s\r\nAccept: */*\r\nUser-Agent: pagoda-bench\r\n",
        method, u->path, path, v6 ? "[" : "", u->host, v6 ? "]" : "", u->port);
    if (c->opt.api_key != NULL) pgd_buf_putf(out, "Authorization: Bearer %s\r\n", c->opt.api_key);
    if (!c->opt.keep_alive) pgd_buf_puts(out, "Connection: close\r\n");
    if (body.n > 0)
        pgd_buf_putf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.n);
    pgd_buf_puts(out, "\r\n");
    pgd_buf_putsv(out, body);
}

/* Fails an exchange from the loop, since callers must not hear of it within send. */
typedef struct late_failure {
    uv_timer_t timer;
    bench_exchange *x;
    const char *why;
} late_failure;

static void on_late_closed(uv_handle_t *h) {
    pgd_free(h->data);
}

static void on_late(uv_timer_t *t) {
    late_failure *f = t->data;
    f->x->on_done(f->x, BENCH_CONNECT, f->why);
    uv_close((uv_handle_t *)t, on_late_closed);
}

static void fail_later(bench_client *c, bench_exchange *x, const char *why) {
    late_failure *f = pgd_calloc(1, sizeof(*f));
    PGD_ASSERT(f != NULL); /* the generator itself cannot go on without a few bytes */
    f->x = x;
    f->why = why;
    f->timer.data = f;
    uv_timer_init(c->loop, &f->timer);
    uv_timer_start(&f->timer, on_late, 0, 0);
}

void bench_client_send(bench_client *c, bench_exchange *x, const char *method, const char *path,
                       pgd_sv body) {
    conn *k = c->idle;
    if (k != NULL) {
        idle_remove(k);
        k->reused = true;
    } else {
        k = conn_open(c);
    }
    if (k == NULL) {
        fail_later(c, x, "out of memory or sockets (ulimit -n)");
        return;
    }
    pgd_buf_clear(&k->out);
    put_request(c, method, path, body, &k->out);
    if (k->out.failed) {
        conn_close(k);
        fail_later(c, x, "out of memory or sockets (ulimit -n)");
        return;
    }
    k->x = x;
    k->retried = false;
    if (k->reused) conn_send(k);
}

/* ---- fetch ---- */

typedef struct fetch {
    bench_exchange x;
    pgd_buf *out;
    int status;
    bool done;
    bench_fault fault;
    const char *why;
} fetch;

static void fetch_head(bench_exchange *x, int status, bool event_stream) {
    (void)event_stream;
    ((fetch *)(void *)x)->status = status;
}

static void fetch_body(bench_exchange *x, pgd_sv data) {
    fetch *f = (fetch *)(void *)x;
    if (f->out->n + data.n <= (64u << 20)) pgd_buf_putsv(f->out, data);
}

static void fetch_done(bench_exchange *x, bench_fault fault, const char *why) {
    fetch *f = (fetch *)(void *)x;
    f->done = true;
    f->fault = fault;
    f->why = why;
}

pgd_status bench_client_fetch(bench_client *c, const char *method, const char *path, pgd_sv body,
                              pgd_buf *out, pgd_error *err) {
    fetch f = {.x = {fetch_head, fetch_body, fetch_done, uv_hrtime() + 60000000000u}, .out = out};
    bench_client_send(c, &f.x, method, path, body);
    while (!f.done)
        uv_run(c->loop, UV_RUN_ONCE);
    if (f.fault != BENCH_OK || out->failed)
        return pgd_fail(err, PGD_E_IO, "%s http://%s:%s%s%s: %s", method, c->opt.url->host,
                        c->opt.url->port, c->opt.url->path, path, f.why);
    if (f.status != 200)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "%s %s: HTTP status %d: %.*s", method, path,
                        f.status, (int)(out->n < 200 ? out->n : 200), out->n > 0 ? out->p : "");
    return PGD_OK;
}
