/* A client of many SSE streams: how many token events a second one server delivers, and how late.
 *
 *     bench_sse PORT MODEL STREAMS TOKENS [RATE]
 *
 * Opens STREAMS connections, asks each for TOKENS tokens (ignore_eos), and counts events as they
 * arrive, one epoll loop, one thread. RATE is what the server offers each stream (60 tokens a
 * second with `--device sim`). The lag of event k of a stream is its arrival minus (t0 + k / RATE),
 * t0 being the stream's best case, so queueing anywhere shows and clock offsets do not. Only the
 * time in which all streams are active counts. Prints one JSON object. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct stream {
    int fd;
    unsigned n_events;
    unsigned matched; /* of "\ndata: " */
    bool done;
    double *at; /* [tokens + 4] arrival times */
} stream;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int open_stream(int port, const char *model, unsigned index, unsigned n_tokens) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) die("connect");
    char body[512], request[1024];
    const int n =
        snprintf(body, sizeof(body),
                 "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"stream "
                 "%u\"}],\"max_tokens\":%u,\"ignore_eos\":true,\"stream\":true}",
                 model, index, n_tokens);
    const int m =
        snprintf(request, sizeof(request),
                 "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                 "%d\r\n\r\n%s",
                 n, body);
    if (write(fd, request, (size_t)m) != m) die("write");
    return fd;
}

/* Count event starts; the pattern may be cut anywhere. "data: [DONE]" ends the stream. */
static void consume(stream *s, const char *p, size_t n, double t, unsigned cap) {
    static const char pattern[] = "\ndata: ";
    for (size_t i = 0; i < n; i++) {
        if (pattern[s->matched] == '\0') {
            if (p[i] == '[')
                s->done = true;
            else if (s->n_events++ < cap)
                s->at[s->n_events - 1] = t;
            s->matched = 0;
        } else if (p[i] == pattern[s->matched]) {
            s->matched++;
        } else {
            s->matched = p[i] == '\n' ? 1 : 0;
        }
    }
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(stream *s, unsigned n, unsigned cap, double rate) {
    double begin = 0, end = 1e300;
    for (unsigned i = 0; i < n; i++) {
        const unsigned k = s[i].n_events < cap ? s[i].n_events : cap;
        if (k < 2) continue;
        if (s[i].at[0] > begin) begin = s[i].at[0];
        if (s[i].at[k - 1] < end) end = s[i].at[k - 1];
    }
    double *lag = malloc((size_t)n * cap * sizeof(*lag));
    size_t n_lag = 0, total = 0;
    for (unsigned i = 0; i < n; i++) {
        const unsigned k = s[i].n_events < cap ? s[i].n_events : cap;
        double t0 = 1e300;
        for (unsigned j = 0; j < k; j++)
            if (s[i].at[j] - (double)j / rate < t0) t0 = s[i].at[j] - (double)j / rate;
        for (unsigned j = 0; j < k; j++) {
            if (s[i].at[j] < begin || s[i].at[j] > end) continue;
            total++;
            lag[n_lag++] = s[i].at[j] - (double)j / rate - t0;
        }
    }
    qsort(lag, n_lag, sizeof(*lag), by_value);
    if (n_lag == 0 || end <= begin) {
        printf("{\"error\":\"the streams were never active together\"}\n");
        exit(1);
    }
    printf("{\"streams\":%u,\"seconds_all_active\":%.2f,\"events_per_second\":%.0f,"
           "\"offered_per_second\":%.0f,\"lag_ms\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}}\n",
           n, end - begin, (double)total / (end - begin), rate * n, 1e3 * lag[n_lag / 2],
           1e3 * lag[n_lag * 99 / 100], 1e3 * lag[n_lag - 1]);
    free(lag);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: bench_sse PORT MODEL STREAMS TOKENS [RATE]\n");
        return 2;
    }
    const int port = (int)strtol(argv[1], NULL, 10);
    const unsigned n = (unsigned)strtoul(argv[3], NULL, 10);
    const unsigned n_tokens = (unsigned)strtoul(argv[4], NULL, 10);
    const double rate = argc > 5 ? strtod(argv[5], NULL) : 60;
    const unsigned cap = n_tokens + 4;
    stream *s = calloc(n, sizeof(*s));
    const int ep = epoll_create1(0);
    if (s == NULL || ep < 0) die("start");
    for (unsigned i = 0; i < n; i++) {
        s[i].at = calloc(cap, sizeof(double));
        if (s[i].at == NULL) die("memory");
        s[i].fd = open_stream(port, argv[2], i, n_tokens);
        struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, s[i].fd, &ev) != 0) die("epoll_ctl");
    }
    static char buf[1 << 16];
    const double give_up = now() + 300;
    for (unsigned left = n; left > 0 && now() < give_up;) {
        struct epoll_event ev[256];
        const int k = epoll_wait(ep, ev, 256, 1000);
        const double t = now();
        for (int e = 0; e < k; e++) {
            stream *x = &s[ev[e].data.u32];
            const ssize_t got = read(x->fd, buf, sizeof(buf));
            if (got < 0 && errno == EINTR) continue;
            if (got > 12 && x->n_events == 0 && memcmp(buf, "HTTP/1.1 200", 12) != 0 &&
                memcmp(buf, "HTTP/", 5) == 0) {
                fprintf(stderr, "refused: %.*s\n", (int)got, buf);
                return 1;
            }
            if (got > 0) consume(x, buf, (size_t)got, t, cap);
            if (got <= 0 || x->done) {
                close(x->fd);
                left--;
            }
        }
    }
    report(s, n, cap, rate);
    for (unsigned i = 0; i < n; i++)
        free(s[i].at);
    free(s);
    return 0;
}
