/* A small HTTP client over plain sockets.
 *
 * Sockets are non-blocking and every wait goes through cli_wait, so that Ctrl-C is heard while
 * connecting and while a model thinks; only the look-up of a name blocks. One request a connection:
 * a person types slower than a connection is made, and closing it is the one way to stop an answer
 * that every server understands. All addresses of a name are tried in turn. Redirects, proxies and
 * compression are not dealt with. Thread: the caller's. */
#include "cli/client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, SILENCE_MS = 600000, READ_BYTES = 16384 };

static pgd_status wait_plain(void *ctx, int fd, short events, int timeout_ms) {
    (void)ctx;
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        const int n = poll(&p, 1, timeout_ms);
        if (n > 0) return PGD_OK;
        if (n == 0) return PGD_E_TIMEOUT;
        if (errno != EINTR) return PGD_E_IO;
    }
}

cli_wait cli_wait_plain(void) {
    return (cli_wait){wait_plain, NULL};
}

static pgd_status fail_wait(pgd_status status, const cli_url *url, const char *doing, int ms,
                            pgd_error *err) {
    if (status == PGD_E_CANCELLED) return pgd_fail(err, status, "stopped");
    if (status == PGD_E_TIMEOUT)
        return pgd_fail(err, status, "%s %s: nothing happened for %d s", doing, url->authority,
                        ms / 1000);
    return pgd_fail(err, status, "%s %s: cannot wait for the socket", doing, url->authority);
}

/* Connect to one address. PGD_E_IO leaves the reason in *error (an errno). */
static pgd_status connect_one(const struct addrinfo *a, const cli_wait *wait, int *out,
                              int *error) {
    const int fd =
        socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0) {
        *error = errno;
        return PGD_E_IO;
    }
    pgd_status status = PGD_OK;
    *error = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    if (*error == EINPROGRESS) {
        socklen_t n = sizeof(*error);
        status = wait->fn(wait->ctx, fd, POLLOUT, CONNECT_MS);
        if (status == PGD_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, error, &n) != 0)
            *error = errno;
    }
    if (status == PGD_OK && *error == 0) {
        *out = fd;
        return PGD_OK;
    }
    (void)close(fd);
    return status == PGD_OK ? PGD_E_IO : status;
}

static pgd_status open_connection(const cli_url *url, const cli_wait *wait, int *out,
                                  pgd_error *err) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int failed = getaddrinfo(url->host, url->port, &hints, &found);
    if (failed != 0)
        return pgd_fail(err, PGD_E_NOT_FOUND, "cannot find the host '%s': %s", url->host,
                        gai_strerror(failed));
    pgd_status status = PGD_E_IO;
    int error = 0;
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        status = connect_one(a, wait, out, &error);
        if (status == PGD_OK || status == PGD_E_CANCELLED) break;
    }
    freeaddrinfo(found);
    if (status == PGD_OK) return PGD_OK;
    if (status != PGD_E_IO) return fail_wait(status, url, "connecting to", CONNECT_MS, err);
    if (error == ECONNREFUSED)
        return pgd_fail(err, PGD_E_NOT_FOUND,
                        "no server answers at http://%s; start one with: pagoda serve MODEL_DIR "
                        "--port %s",
                        url->authority, url->port);
    char text[128] = "";
    if (strerror_r(error, text, sizeof(text)) != 0) text[0] = '\0';
    return pgd_fail(err, PGD_E_IO, "cannot connect to http://%s: %s", url->authority, text);
}

/* Head and body in one buffer: sent apart, the body would wait for the acknowledgement of the head,
 * which costs up to 40 ms (Nagle's algorithm meeting delayed acknowledgements). */
static void write_request(const cli_url *url, const cli_request *request, pgd_buf *out) {
    pgd_buf_putf(out,
                 "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: pagoda-chat\r\nConnection: close\r\n"
                 "Accept: text/event-stream, application/json\r\n",
                 request->method, url->base, request->path, url->authority);
    if (request->api_key != NULL)
        pgd_buf_putf(out, "Authorization: Bearer %s\r\n", request->api_key);
    if (request->body.n > 0)
        pgd_buf_putf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                     request->body.n);
    pgd_buf_puts(out, "\r\n");
    pgd_buf_putsv(out, request->body);
}

/* Whether a failed socket call only has to be tried again, after waiting for it. */
static bool is_again(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* Stops early without complaint when the server closes its side: it may have refused a large body
 * before reading it, and said why. */
static pgd_status send_all(int fd, const cli_url *url, pgd_sv bytes, const cli_wait *wait,
                           pgd_error *err) {
    for (size_t at = 0; at < bytes.n;) {
        const ssize_t n = send(fd, bytes.p + at, bytes.n - at, MSG_NOSIGNAL);
        if (n >= 0) {
            at += (size_t)n;
            continue;
        }
        if (!is_again(errno)) return PGD_OK;
        const pgd_status status = wait->fn(wait->ctx, fd, POLLOUT, SILENCE_MS);
        if (status != PGD_OK) return fail_wait(status, url, "sending to", SILENCE_MS, err);
    }
    return PGD_OK;
}

static pgd_status receive(int fd, const cli_url *url, const cli_wait *wait, cli_reply *reply,
                          cli_body_fn fn, void *ctx, pgd_error *err) {
    char bytes[READ_BYTES];
    while (!reply->done) {
        const pgd_status status = wait->fn(wait->ctx, fd, POLLIN, SILENCE_MS);
        if (status != PGD_OK) return fail_wait(status, url, "waiting for", SILENCE_MS, err);
        const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n < 0 && is_again(errno)) continue;
        if (n <= 0) return cli_reply_close(reply, err);
        PGD_TRY(cli_reply_feed(reply, (pgd_sv){bytes, (size_t)n}, fn, ctx, err));
    }
    return PGD_OK;
}

pgd_status cli_exchange(const cli_url *url, const cli_request *request, const cli_wait *wait,
                        cli_reply *reply, cli_body_fn fn, void *ctx, pgd_error *err) {
    int fd = -1;
    PGD_TRY(open_connection(url, wait, &fd, err));
    pgd_buf bytes = {0};
    write_request(url, request, &bytes);
    pgd_status status = bytes.failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory") : PGD_OK;
    if (status == PGD_OK) status = send_all(fd, url, pgd_buf_sv(&bytes), wait, err);
    if (status == PGD_OK) status = receive(fd, url, wait, reply, fn, ctx, err);
    pgd_buf_fini(&bytes);
    (void)close(fd);
    return status;
}
