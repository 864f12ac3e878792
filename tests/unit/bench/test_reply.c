/* The response parser: every split of every response gives the same body, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/reply.h"
#include "pagoda/mem.h"

/* A text with its length, so that NUL bytes can be written. */
#define T(lit) (lit), sizeof(lit) - 1

typedef struct outcome {
    bench_parse parse;
    int status;
    bool keep_alive, event_stream;
    size_t used; /* of all bytes */
    pgd_buf body;
} outcome;

/* Feed pieces cut at a and b (of n); close at the end when asked. */
static void feed(const char *in, size_t n, size_t a, size_t b, bool close, outcome *out) {
    bench_reply r = {0};
    bench_reply_init(&r);
    *out = (outcome){.parse = BENCH_PARSE_MORE};
    const size_t cut[] = {0, a, b, n};
    for (int k = 0; k < 3 && out->parse == BENCH_PARSE_MORE; k++) {
        size_t at = cut[k];
        while (at < cut[k + 1] && out->parse == BENCH_PARSE_MORE) {
            /* a copy, so that reading beyond the piece is seen by the sanitizer */
            const size_t len = cut[k + 1] - at;
            char *piece = test_malloc(len);
            memcpy(piece, in + at, len);
            size_t used = 0;
            pgd_sv data;
            out->parse = bench_reply_feed(&r, piece, len, &used, &data);
            assert_true(used <= len);
            pgd_buf_putsv(&out->body, data);
            at += used;
            test_free(piece);
        }
        out->used = at;
    }
    if (close && out->parse == BENCH_PARSE_MORE) out->parse = bench_reply_close(&r);
    if (out->parse == BENCH_PARSE_BAD) assert_non_null(r.why);
    out->status = r.status;
    out->keep_alive = r.keep_alive;
    out->event_stream = r.event_stream;
    bench_reply_fini(&r);
}

static const struct {
    const char *text;
    size_t n;
    int status;
    const char *body;
    bool keep_alive, event_stream, close;
    size_t left; /* bytes of the next response */
} good[] = {
    {T("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 200, "hello", true, false, false, 0},
    {T("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP"), 200, "hello", true, false, false,
     4},
    {T("HTTP/1.1 200 \r\ncontent-length:0\r\n\r\n"), 200, "", true, false, false, 0},
    {T("HTTP/1.1 404\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"), 404, "no", false, false,
     false, 0},
    {T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream; "
       "charset=utf-8\r\n\r\n5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\n\r\n"),
     200, "hello world", true, true, false, 0},
    {T("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n00A\r\n0123456789\r\n0\r\nX: y\r\nZ: "
       "1\r\n\r\n"),
     200, "0123456789", true, false, false, 0},
    {T("HTTP/1.1 200 OK\n\nto the end"), 200, "to the end", false, false, true, 0},
    {T("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), 200, "x", false, false, false, 0},
    {T("HTTP/1.0 200 OK\r\nConnection: Foo, Keep-Alive\r\nContent-Length: 1\r\n\r\nx"), 200, "x",
     true, false, false, 0},
    {T("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 "
       "OK\r\nContent-Length: 2\r\n\r\nok"),
     200, "ok", true, false, false, 0},
    {T("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"), 204, "", true, false, false, 0},
    {T("HTTP/1.1 200 OK\nContent-Length:\t3 \nX:\n\na\0b"), 200, "a", true, false, false, 0},
    {T("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), 200, "abc", true,
     false, false, 0},
    {T("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
       "\r\n"),
     200, "a", false, false, false, 0},
};

static void every_split_of_a_response_reads_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        for (size_t a = 0; a <= good[i].n; a++) {
            for (size_t b = a; b <= good[i].n; b++) {
                outcome o;
                feed(good[i].text, good[i].n, a, b, good[i].close, &o);
                if (o.parse != BENCH_PARSE_DONE)
                    fail_msg("case %zu cut at %zu and %zu: not done", i, a, b);
                assert_int_equal(o.status, good[i].status);
                assert_string_equal(o.body.p != NULL ? o.body.p : "", good[i].body);
                assert_int_equal(o.keep_alive, good[i].keep_alive);
                assert_int_equal(o.event_stream, good[i].event_stream);
                pgd_buf_fini(&o.body);
            }
        }
        outcome whole;
        feed(good[i].text, good[i].n, good[i].n, good[i].n, good[i].close, &whole);
        assert_int_equal(whole.used, good[i].n - good[i].left);
        pgd_buf_fini(&whole.body);
    }
}

static const struct {
    const char *text;
    size_t n;
} refused[] = {
    {T("SSH-2.0-x\r\n")},
    {T("HTTP/2 200 OK\r\n\r\n")},
    {T("HTTP/1.1 2x0 OK\r\n\r\n")},
    {T("HTTP/1.1 2000 OK\r\n\r\n")},
    {T("HTTP/1.1 099 OK\r\n\r\n")},
    {T("HTTP/1.1 200 OK\r\nno colon\r\n\r\n")},
    {T("HTTP/1.1 200 OK\r\n: empty name\r\n\r\n")},
    {T("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")},
    {T("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc")},
    {T("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")},
    {T("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n")},
    {T("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")},
    {T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")},
    {T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n")},
    {T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")},
    {T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n")},
};

static void a_response_of_doubtful_length_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        for (size_t a = 0; a <= refused[i].n; a++) {
            outcome o;
            feed(refused[i].text, refused[i].n, a, a, true, &o);
            if (o.parse != BENCH_PARSE_BAD) fail_msg("case %zu cut at %zu passed", i, a);
            pgd_buf_fini(&o.body);
        }
    }
}

static void a_connection_that_ends_early_is_no_response(void **state) {
    (void)state;
    static const char text[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        outcome o;
        feed(text, n, n, n, true, &o);
        assert_int_equal(o.parse, BENCH_PARSE_BAD);
        pgd_buf_fini(&o.body);
    }
}

static void heads_and_chunk_lines_are_bounded(void **state) {
    (void)state;
    const char *begin[] = {"HTTP/1.1 200 OK\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"};
    const char *more[] = {"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
                          "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"};
    for (int k = 0; k < 2; k++) {
        bench_reply r = {0};
        bench_reply_init(&r);
        size_t used = 0, sent = 0;
        pgd_sv data;
        const char *at = begin[k];
        bench_parse p = BENCH_PARSE_MORE;
        while (p == BENCH_PARSE_MORE && sent < 200000) {
            p = bench_reply_feed(&r, at, strlen(at), &used, &data);
            at += used;
            sent += used;
            if (*at == '\0') at = more[k];
        }
        assert_int_equal(p, BENCH_PARSE_BAD);
        assert_non_null(strstr(r.why, "too long"));
        bench_reply_fini(&r);
    }
}

static void memory_that_runs_out_ends_the_response(void **state) {
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    bench_parse p = BENCH_PARSE_BAD;
    int64_t n = 0;
    for (; p != BENCH_PARSE_DONE; n++) {
        bench_reply r = {0};
        bench_reply_init(&r);
        size_t used = 0;
        pgd_sv data;
        p = BENCH_PARSE_MORE;
        pgd_mem_fail_after(n);
        for (const char *at = text; p == BENCH_PARSE_MORE; at += used)
            p = bench_reply_feed(&r, at, sizeof(text) - 1 - (size_t)(at - text), &used, &data);
        pgd_mem_fail_after(-1);
        if (p == BENCH_PARSE_BAD) assert_string_equal(r.why, "out of memory");
        bench_reply_fini(&r);
    }
    assert_true(n > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_a_response_reads_the_same),
        cmocka_unit_test(a_response_of_doubtful_length_is_refused),
        cmocka_unit_test(a_connection_that_ends_early_is_no_response),
        cmocka_unit_test(heads_and_chunk_lines_are_bounded),
        cmocka_unit_test(memory_that_runs_out_ends_the_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
