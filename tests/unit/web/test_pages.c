/* The embedded pages through a real server: headers, compression, conditional and HEAD requests,
 * and nothing at all when they are off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "pagoda/api.h"
#include "pagoda/clock.h"
#include "pagoda/web.h"

enum { MAX_ALL_GZIP_BYTES = 60 * 1024 };

typedef struct rig {
    pgd_clock clock;
    pgd_api *api;
    pgd_http *http;
    pgd_http_options options;
    pgd_api_key key;
    pthread_t thread;
    pgd_buf answer; /* of the last request */
} rig;

static void *run_http(void *http) {
    pgd_http_run(http);
    return NULL;
}

static void start(rig *r, bool with_pages) {
    memset(r, 0, sizeof(*r));
    r->clock = pgd_clock_monotonic();
    const pgd_api_options api = {.clock = &r->clock, .n_workers = 1, .max_queued = 4};
    pgd_error err = {0};
    assert_int_equal(pgd_api_create(&api, &r->api, &err), PGD_OK);
    r->options = pgd_http_options_default;
    r->options.port = 0;
    pgd_http_key_from_secret(PGD_SV("secret"), 0, &r->key);
    r->options.keys = &r->key; /* pages need none */
    r->options.n_keys = 1;
    if (with_pages) {
        r->options.pages = pgd_web_pages;
        r->options.n_pages = pgd_web_n_pages;
    }
    assert_int_equal(pgd_http_create(r->api, &r->options, &r->http, &err), PGD_OK);
    assert_int_equal(pthread_create(&r->thread, NULL, run_http, r->http), 0);
}

static void stop(rig *r) {
    pgd_http_stop(r->http);
    pthread_join(r->thread, NULL);
    pgd_http_destroy(&r->http);
    pgd_api_destroy(&r->api);
    pgd_buf_fini(&r->answer);
}

/* Connect and send; returns the socket. */
static int dial(rig *r, const char *start, const char *rest) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct timeval patience = {.tv_sec = 20}; /* a lost answer fails, it does not hang */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(pgd_http_port(r->http))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    pgd_buf_clear(&r->answer);
    pgd_buf_puts(&r->answer, start);
    pgd_buf_puts(&r->answer, rest);
    assert_int_equal(send(fd, r->answer.p, r->answer.n, 0), (ssize_t)r->answer.n);
    return fd;
}

/* Everything until the server closes, into r->answer. */
static void read_to_end(rig *r, int fd) {
    char part[4096];
    pgd_buf_clear(&r->answer);
    for (ssize_t n; (n = recv(fd, part, sizeof(part), 0)) > 0;)
        pgd_buf_put(&r->answer, part, (size_t)n);
    close(fd);
    pgd_buf_putc(&r->answer, '\0'); /* for strstr over the head */
}

/* Send a request (method and path, further header lines) and read the answer to its end. Returns
 * the status. */
static int ask(rig *r, const char *line, const char *headers) {
    char start[256];
    (void)snprintf(start, sizeof(start), "%s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
                   line);
    pgd_buf rest = {0};
    pgd_buf_putf(&rest, "%s\r\n", headers);
    const int fd = dial(r, start, rest.p);
    pgd_buf_fini(&rest);
    read_to_end(r, fd);
    int status = 0;
    assert_int_equal(sscanf(r->answer.p, "HTTP/1.1 %d ", &status), 1);
    return status;
}

static bool has(const rig *r, const char *text) {
    return strstr(r->answer.p, text) != NULL;
}

/* The body of the last answer. */
static pgd_sv body(const rig *r) {
    const char *end = strstr(r->answer.p, "\r\n\r\n");
    assert_non_null(end);
    return (pgd_sv){end + 4, r->answer.n - 1 - (size_t)(end + 4 - r->answer.p)};
}

static const pgd_http_page *page_of(const char *path) {
    for (uint32_t i = 0; i < pgd_web_n_pages; i++)
        if (strcmp(pgd_web_pages[i].path, path) == 0) return &pgd_web_pages[i];
    return NULL;
}

static pgd_sv bytes_of(const pgd_http_page *page) {
    return (pgd_sv){page->body, page->n_body};
}

static void every_page_is_served_without_a_key_and_fenced_in(void **state) {
    rig *r = *state;
    for (uint32_t i = 0; i < pgd_web_n_pages; i++) {
        const pgd_http_page *page = &pgd_web_pages[i];
        char text[256];
        (void)snprintf(text, sizeof(text), "GET %s", page->path);
        assert_int_equal(ask(r, text, ""), 200);
        assert_true(pgd_sv_eq(body(r), bytes_of(page)));
        (void)snprintf(text, sizeof(text), "\r\ncontent-type: %s\r\n", page->content_type);
        assert_true(has(r, text));
        (void)snprintf(text, sizeof(text), "\r\netag: %s\r\n", page->etag);
        assert_true(has(r, text));
        assert_true(has(r, "\r\ncontent-security-policy: default-src 'none'; "));
        assert_true(has(r, "frame-ancestors 'none'"));
        assert_false(has(r, "unsafe"));
        assert_true(has(r, "\r\ncache-control: no-cache\r\n"));
        assert_true(has(r, "\r\nvary: accept, accept-encoding\r\n"));
        assert_true(has(r, "\r\nx-content-type-options: nosniff\r\n"));
        assert_true(has(r, "\r\nx-request-id: "));
        assert_false(has(r, "\r\ncontent-encoding:"));
    }
}

static void gzip_is_smaller_and_has_its_own_tag(void **state) {
    rig *r = *state;
    size_t all = 0;
    for (uint32_t i = 0; i < pgd_web_n_pages; i++)
        all += pgd_web_pages[i].n_gzip;
    assert_in_range(all, 1, MAX_ALL_GZIP_BYTES);
    const pgd_http_page *page = page_of("/web/style.css");
    assert_int_equal(ask(r, "GET /web/style.css", "accept-encoding: br, gzip\r\n"), 200);
    assert_true(has(r, "\r\ncontent-encoding: gzip\r\n"));
    assert_true(has(r, page->gzip_etag));
    assert_true(body(r).n < page->n_body);
    /* the packed form: deflate, without a time */
    assert_memory_equal(body(r).p, "\x1f\x8b\x08\x00\x00\x00\x00\x00", 8);
    /* its last four bytes are the length of what it holds */
    const uint8_t *end = (const uint8_t *)body(r).p + body(r).n;
    assert_int_equal(end[-4] | end[-3] << 8 | end[-2] << 16, page->n_body);
}

static void a_known_page_is_not_sent_again(void **state) {
    rig *r = *state;
    const pgd_http_page *page = page_of("/");
    char header[128];
    (void)snprintf(header, sizeof(header), "if-none-match: \"x\", %s\r\n", page->etag);
    assert_int_equal(ask(r, "GET /", header), 304);
    assert_int_equal(body(r).n, 0);
    assert_true(has(r, page->etag));
    assert_true(has(r, "content-security-policy"));
    /* the tag of the plain form says nothing about the packed one */
    (void)snprintf(header, sizeof(header), "accept-encoding: gzip\r\nif-none-match: %s\r\n",
                   page->etag);
    assert_int_equal(ask(r, "GET /", header), 200);
    (void)snprintf(header, sizeof(header), "accept-encoding: gzip\r\nif-none-match: %s\r\n",
                   page->gzip_etag);
    assert_int_equal(ask(r, "GET /", header), 304);
}

static void head_has_the_headers_alone(void **state) {
    rig *r = *state;
    char length[64];
    (void)snprintf(length, sizeof(length), "\r\ncontent-length: %zu\r\n",
                   page_of("/status")->n_body);
    assert_int_equal(ask(r, "HEAD /status", ""), 200);
    assert_true(has(r, length));
    assert_int_equal(body(r).n, 0);
}

static void other_methods_and_unknown_files_are_refused(void **state) {
    rig *r = *state;
    assert_int_equal(ask(r, "POST /status", "content-length: 0\r\n"), 405);
    assert_true(has(r, "\r\nallow: GET, HEAD, OPTIONS\r\n"));
    assert_int_equal(ask(r, "DELETE /", ""), 405);
    assert_int_equal(ask(r, "GET /web/", ""), 404);
    assert_int_equal(ask(r, "GET /web/nothing.js", ""), 404);
    assert_int_equal(ask(r, "GET /web/../status", ""), 404);
}

/* More bytes than the kernel takes at once: what was pipelined behind a page must not be lost. */
static void pipelined_requests_survive_a_full_socket(void **state) {
    enum { N = 1000 };
    rig *r = *state;
    pgd_buf text = {0};
    for (int i = 1; i < N; i++)
        pgd_buf_puts(&text, "host: localhost\r\n\r\nGET /web/playground.js HTTP/1.1\r\n");
    pgd_buf_puts(&text, "host: localhost\r\nconnection: close\r\n\r\n");
    const int fd = dial(r, "GET /web/playground.js HTTP/1.1\r\n", text.p);
    sleep(1); /* let it fill up */
    read_to_end(r, fd);
    uint32_t n = 0;
    for (size_t at = 0;
         (at = pgd_sv_find(pgd_buf_sv(&r->answer), PGD_SV("HTTP/1.1 200 OK"), at)) < r->answer.n;
         at++)
        n++;
    assert_int_equal(n, N);
    assert_true(r->answer.n > N * page_of("/web/playground.js")->n_body);
    pgd_buf_fini(&text);
}

static void json_is_still_there_for_those_who_ask(void **state) {
    rig *r = *state;
    assert_int_equal(ask(r, "GET /", "accept: application/json\r\n"), 200);
    assert_true(has(r, "\"endpoints\":"));
}

static void switched_off_there_is_nothing(void **state) {
    (void)state;
    rig r;
    start(&r, false);
    assert_int_equal(ask(&r, "GET /status", ""), 404);
    assert_int_equal(ask(&r, "POST /status", "content-length: 0\r\n"), 404);
    assert_int_equal(ask(&r, "GET /web/playground.js", ""), 404);
    assert_int_equal(ask(&r, "GET /", "accept: text/html\r\n"), 200);
    assert_true(has(&r, "\r\ncontent-type: application/json\r\n"));
    assert_true(has(&r, "\"endpoints\":"));
    stop(&r);
}

/* Every file that `text` names after `mark` must be a page. Returns how many there are. */
static uint32_t check_names(pgd_sv text, const char *mark, const char *folder) {
    uint32_t n = 0;
    size_t at = 0;
    while ((at = pgd_sv_find(text, pgd_sv_c(mark), at)) < text.n) {
        at += strlen(mark);
        const size_t end = pgd_sv_find(text, PGD_SV("\""), at);
        char path[128];
        (void)snprintf(path, sizeof(path), "%s%.*s", folder, (int)(end - at), text.p + at);
        if (page_of(path) == NULL) fail_msg("%s is no page", path);
        n++;
    }
    return n;
}

static void pages_name_only_files_that_are_there(void **state) {
    (void)state;
    assert_in_range(check_names(bytes_of(page_of("/")), "src=\"", "/"), 1, 9);
    assert_in_range(check_names(bytes_of(page_of("/")), "rel=\"stylesheet\" href=\"", "/"), 1, 1);
    assert_in_range(check_names(bytes_of(page_of("/status")), "src=\"", "/"), 1, 9);
    uint32_t n = 0;
    for (uint32_t i = 0; i < pgd_web_n_pages; i++)
        n += check_names(bytes_of(&pgd_web_pages[i]), " from \"./", "/web/");
    assert_in_range(n, 3, 99);
}

static int set_up(void **state) {
    static rig r; /* the group's fixture */
    start(&r, true);
    *state = &r;
    return 0;
}

static int tear_down(void **state) {
    stop(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_is_served_without_a_key_and_fenced_in),
        cmocka_unit_test(gzip_is_smaller_and_has_its_own_tag),
        cmocka_unit_test(a_known_page_is_not_sent_again),
        cmocka_unit_test(head_has_the_headers_alone),
        cmocka_unit_test(other_methods_and_unknown_files_are_refused),
        cmocka_unit_test(pipelined_requests_survive_a_full_socket),
        cmocka_unit_test(json_is_still_there_for_those_who_ask),
        cmocka_unit_test(switched_off_there_is_nothing),
        cmocka_unit_test(pages_name_only_files_that_are_there),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
