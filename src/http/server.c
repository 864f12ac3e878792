/* Event loops: listeners, wake-ups from other threads, the tick, and the end.
 *
 * Loop 0 runs on the caller's thread, further loops on threads of their own with SO_REUSEPORT
 * listeners; a connection stays on the loop that accepted it. Other threads touch a loop only
 * through its uv_async: the API and the engine wake it, quiesce and stop set a flag and wake it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/guard.h"
#include "http/server.h"
#include "pagoda/clock.h"
#include "pagoda/log.h"
#include "pagoda/mem.h"

enum { TICK_MS = 250, BACKLOG = 1024 };

#define SECONDS(n) ((uint64_t)(n)*1000000000u)

const pgd_http_options pgd_http_options_default = {
    .host = "127.0.0.1",
    .port = 8000,
    .n_loops = 1,
    .max_body_bytes = 32u << 20,
    .max_head_bytes = 32u << 10,
    .max_connections = 4096,
    .head_timeout_ns = SECONDS(10),
    .body_timeout_ns = SECONDS(120),
    .body_idle_ns = SECONDS(30),
    .idle_timeout_ns = SECONDS(75),
    .stall_timeout_ns = SECONDS(60),
};

static void on_connection(uv_stream_t *s, int status) {
    pgd_http_loop *l = s->data;
    if (status == 0)
        pgd_conn_accept(l, s);
    else
        pgd_log(PGD_LOG_WARN, "http", "accept failed: %s", uv_strerror(status));
}

static void on_changed(pgd_call *call, void *ctx) {
    (void)ctx;
    pgd_conn_pump(pgd_call_user(call));
}

static void close_handle(uv_handle_t *h) {
    if (!uv_is_closing(h)) uv_close(h, NULL);
}

static void quiesce(pgd_http_loop *l) {
    l->quiesced = true;
    close_handle((uv_handle_t *)&l->listener); /* the operator's stays: a drain may need a hand */
    for (pgd_conn *c = l->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->state == PGD_CONN_IDLE && !c->admin) pgd_conn_close(c);
    }
}

static void stop(pgd_http_loop *l) {
    l->stopped = true;
    close_handle((uv_handle_t *)&l->listener);
    if (l->has_admin) {
        pgd_admin_close(&l->http->admin);
        close_handle((uv_handle_t *)&l->admin);
    }
    close_handle((uv_handle_t *)&l->tick);
    /* stays open, since the engine may still wake us, but no longer keeps the loop running */
    uv_unref((uv_handle_t *)&l->wake);
    for (pgd_conn *c = l->conns, *next; c != NULL; c = next) {
        next = c->next;
        pgd_conn_close(c);
    }
}

static void on_wake(uv_async_t *a) {
    pgd_http_loop *l = a->data;
    pgd_api_loop_drain(l->api, on_changed, l);
    if (atomic_load(&l->http->quiesce) && !l->quiesced) quiesce(l);
    if (atomic_load(&l->http->stop) && !l->stopped) stop(l);
}

static void on_tick(uv_timer_t *t) {
    pgd_http_loop *l = t->data;
    const uint64_t now = uv_hrtime();
    const bool full_second = l->n_ticks++ % (1000 / TICK_MS) == 0;
    if (full_second) pgd_reply_date(l->date);
    for (pgd_conn *c = l->conns, *next; c != NULL; c = next) {
        next = c->next;
        pgd_conn_tick(c, now, full_second);
    }
}

static void wake_loop(void *ctx) {
    pgd_http_loop *l = ctx;
    uv_async_send(&l->wake);
}

/* --- start ---------------------------------------------------------------------------------- */

static pgd_status parse_address(const char *host, uint16_t port, struct sockaddr_storage *out,
                                pgd_error *err) {
    if (host == NULL || strcmp(host, "localhost") == 0) host = "127.0.0.1";
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0) return PGD_OK;
    if (uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) == 0) return PGD_OK;
    return pgd_fail(err, PGD_E_INVALID,
                    "host '%s' is no numeric IPv4 or IPv6 address (use 0.0.0.0 for all)", host);
}

bool pgd_http_host_is_loopback(const char *host) {
    struct sockaddr_storage addr = {0};
    pgd_error err;
    if (parse_address(host, 0, &addr, &err) != PGD_OK) return false;
    if (addr.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&addr)->sin6_addr) != 0;
    return ntohl(((struct sockaddr_in *)&addr)->sin_addr.s_addr) >> 24 == 127;
}

static pgd_status listen_on(pgd_http_loop *l, const struct sockaddr_storage *addr, bool shared,
                            pgd_error *err) {
    pgd_http *h = l->http;
    int e = uv_tcp_init_ex(&l->uv, &l->listener, addr->ss_family);
    l->listener.data = l;
    uv_os_fd_t fd = -1;
    const int one = 1;
    if (e == 0 && shared && uv_fileno((uv_handle_t *)&l->listener, &fd) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0)
        e = uv_translate_sys_error(errno);
    if (e == 0) e = uv_tcp_bind(&l->listener, (const struct sockaddr *)addr, 0);
    if (e == 0) e = uv_listen((uv_stream_t *)&l->listener, BACKLOG, on_connection);
    if (e != 0)
        return pgd_fail(err, PGD_E_IO, "cannot listen on %s port %u: %s",
                        h->opt->host != NULL ? h->opt->host : "127.0.0.1", h->opt->port,
                        uv_strerror(e));
    struct sockaddr_storage bound;
    int n = (int)sizeof(bound);
    if (uv_tcp_getsockname(&l->listener, (struct sockaddr *)&bound, &n) == 0) {
        const in_port_t port = bound.ss_family == AF_INET6
                                   ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                   : ((struct sockaddr_in *)&bound)->sin_port;
        h->port = ntohs(port);
    }
    return PGD_OK;
}

static pgd_status listen_for_operator(pgd_http *h, pgd_http_loop *l, pgd_error *err) {
    PGD_TRY(pgd_admin_open(h->opt->admin_socket, &h->admin, err));
    int e = uv_pipe_init(&l->uv, &l->admin, 0);
    l->has_admin = e == 0;
    l->admin.data = l;
    if (e == 0) e = uv_pipe_open(&l->admin, h->admin.fd);
    if (e == 0) h->admin.fd = -1; /* libuv closes it */
    if (e == 0) e = uv_listen((uv_stream_t *)&l->admin, BACKLOG, on_connection);
    if (e == 0) return PGD_OK;
    return pgd_fail(err, PGD_E_IO, "admin socket %s: %s", h->opt->admin_socket, uv_strerror(e));
}

static pgd_status start_loop(pgd_http *h, uint32_t i, pgd_error *err) {
    pgd_http_loop *l = pgd_calloc(1, sizeof(*l));
    if (l == NULL) return pgd_fail(err, PGD_E_NOMEM, "no memory for an event loop");
    h->loop[h->n_loops++] = l;
    l->http = h;
    int e = uv_loop_init(&l->uv);
    if (e == 0) e = uv_async_init(&l->uv, &l->wake, on_wake);
    if (e == 0) e = uv_timer_init(&l->uv, &l->tick);
    if (e != 0) return pgd_fail(err, PGD_E_IO, "event loop: %s", uv_strerror(e));
    l->wake.data = l;
    l->tick.data = l;
    PGD_TRY(pgd_api_loop_create(h->api, wake_loop, l, &l->api));
    pgd_reply_date(l->date);
    struct sockaddr_storage addr = {0};
    /* later loops bind the port that the first was given */
    PGD_TRY(parse_address(h->opt->host, i == 0 ? h->opt->port : h->port, &addr, err));
    PGD_TRY(listen_on(l, &addr, h->opt->n_loops > 1, err));
    if (i == 0 && h->opt->admin_socket != NULL) PGD_TRY(listen_for_operator(h, l, err));
    e = uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
    return e == 0 ? PGD_OK : pgd_fail(err, PGD_E_IO, "event loop timer: %s", uv_strerror(e));
}

static void register_metrics(pgd_http *h) {
    pgd_metrics *m = h->opt->metrics;
    if (m == NULL) return;
    static const char *const handler[PGD_ROUTE_N] = {
        [PGD_ROUTE_NONE] = "none",
        [PGD_ROUTE_ROOT] = "/",
        [PGD_ROUTE_CHAT] = "/v1/chat/completions",
        [PGD_ROUTE_COMPLETIONS] = "/v1/completions",
        [PGD_ROUTE_MESSAGES] = "/v1/messages",
        [PGD_ROUTE_COUNT_TOKENS] = "/v1/messages/count_tokens",
        [PGD_ROUTE_EMBEDDINGS] = "/v1/embeddings",
        [PGD_ROUTE_RESPONSES] = "/v1/responses",
        [PGD_ROUTE_INPUT_TOKENS] = "/v1/responses/input_tokens",
        [PGD_ROUTE_RESPONSE] = "/v1/responses/{id}",
        [PGD_ROUTE_RESPONSE_CANCEL] = "/v1/responses/{id}/cancel",
        [PGD_ROUTE_INPUT_ITEMS] = "/v1/responses/{id}/input_items",
        [PGD_ROUTE_MODELS] = "/v1/models",
        [PGD_ROUTE_MODEL] = "/v1/models/{id}",
        [PGD_ROUTE_TOKENIZE] = "/tokenize",
        [PGD_ROUTE_DETOKENIZE] = "/detokenize",
        [PGD_ROUTE_APPLY_TEMPLATE] = "/apply-template",
        [PGD_ROUTE_CANCEL] = "/v1/requests/{id}/cancel",
        [PGD_ROUTE_SERVER_INFO] = "/server_info",
        [PGD_ROUTE_HEALTH] = "/health",
        [PGD_ROUTE_LIVE] = "/livez",
        [PGD_ROUTE_STARTUP] = "/startupz",
        [PGD_ROUTE_METRICS] = "/metrics",
        [PGD_ROUTE_VERSION] = "/version",
        [PGD_ROUTE_PAGE] = "pages",
        [PGD_ROUTE_REQUESTS] = "/requests",
        [PGD_ROUTE_CANCEL_ANY] = "/requests/{id}/cancel",
        [PGD_ROUTE_RESET_CACHE] = "/reset_prefix_cache",
    };
    for (int r = 0; r < PGD_ROUTE_N; r++) {
        for (int s = 2; s < PGD_HTTP_STATUS_CLASSES; s++) {
            char labels[96];
            (void)snprintf(labels, sizeof(labels), "handler=\"%s\",status=\"%dxx\"", handler[r], s);
            h->m_requests[r][s] = pgd_metrics_counter(m, "http_requests_total", NULL, labels,
                                                      "Responses by route and status class.");
        }
    }
    h->m_connections =
        pgd_metrics_gauge(m, "pagoda_http_connections", NULL, "", "Open HTTP connections.");
    h->m_parse_errors = pgd_metrics_counter(m, "pagoda_http_parse_errors_total", NULL, "",
                                            "Requests refused as malformed, or too slow.");
}

pgd_status pgd_http_create(pgd_api *api, const pgd_http_options *opt, pgd_http **out,
                           pgd_error *err) {
    *out = NULL;
    if (opt->n_loops == 0 || opt->n_loops > 64)
        return pgd_fail(err, PGD_E_INVALID, "http threads: %u is not in 1..64", opt->n_loops);
    pgd_http *h = pgd_calloc(1, sizeof(*h));
    if (h == NULL) return pgd_fail(err, PGD_E_NOMEM, "no memory for the HTTP server");
    h->opt = opt;
    h->api = api;
    h->admin.fd = -1;
    h->checks_hosts = pgd_guard_checks_hosts(opt);
    h->loop = pgd_calloc(opt->n_loops, sizeof(pgd_http_loop *));
    if (h->loop == NULL) {
        pgd_free(h);
        return pgd_fail(err, PGD_E_NOMEM, "no memory for the HTTP server");
    }
    register_metrics(h);
    for (uint32_t i = 0; i < opt->n_loops; i++) {
        const pgd_status s = start_loop(h, i, err);
        if (s != PGD_OK) {
            pgd_http_destroy(&h);
            return s;
        }
    }
    *out = h;
    return PGD_OK;
}

uint16_t pgd_http_port(const pgd_http *h) {
    return h->port;
}

uint32_t pgd_http_connections(const pgd_http *h) {
    return atomic_load(&h->n_conns);
}

/* --- run and end ---------------------------------------------------------------------------- */

static void run_loop(void *arg) {
    pgd_http_loop *l = arg;
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void pgd_http_run(pgd_http *h) {
    for (uint32_t i = 1; i < h->n_loops; i++) {
        h->loop[i]->started = uv_thread_create(&h->loop[i]->thread, run_loop, h->loop[i]) == 0;
        if (!h->loop[i]->started) pgd_log(PGD_LOG_ERROR, "http", "cannot start loop thread %u", i);
    }
    run_loop(h->loop[0]);
    for (uint32_t i = 1; i < h->n_loops; i++)
        if (h->loop[i]->started) uv_thread_join(&h->loop[i]->thread);
}

void pgd_http_quiesce(pgd_http *h) {
    atomic_store(&h->quiesce, true);
    for (uint32_t i = 0; i < h->n_loops; i++)
        uv_async_send(&h->loop[i]->wake);
}

void pgd_http_stop(pgd_http *h) {
    if (atomic_exchange(&h->stop, true)) return;
    for (uint32_t i = 0; i < h->n_loops; i++)
        uv_async_send(&h->loop[i]->wake);
}

static void close_walk(uv_handle_t *handle, void *arg) {
    (void)arg;
    close_handle(handle);
}

void pgd_http_destroy(pgd_http **ph) {
    pgd_http *h = *ph;
    if (h == NULL) return;
    pgd_admin_close(&h->admin);
    for (uint32_t i = 0; i < h->n_loops; i++) {
        pgd_http_loop *l = h->loop[i];
        if (l->api != NULL) {
            pgd_api_loop_wait(l->api);
            pgd_api_loop_drain(l->api, on_changed, l); /* frees aborted calls */
        }
        uv_walk(&l->uv, close_walk, NULL);
        uv_run(&l->uv, UV_RUN_DEFAULT);
        if (uv_loop_close(&l->uv) != 0) pgd_log(PGD_LOG_ERROR, "http", "event loop still in use");
        pgd_api_loop_destroy(&l->api);
        pgd_buf_fini(&l->scratch);
        pgd_free(l);
    }
    pgd_free(h->loop);
    pgd_free(h);
    *ph = NULL;
}
