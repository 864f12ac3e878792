/* The strict request parser: what it accepts, what it refuses, and that arrival in pieces changes
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/parse.h"
#include "pagoda/str.h"

/* A text with its length, so that NUL bytes can be written. */
#define T(lit) (lit), sizeof(lit) - 1

static pgd_parse parse(const char *in, size_t n, pgd_http_head *head, size_t *bytes, int *status) {
    size_t from = 0;
    const char *why = NULL;
    *status = 0;
    const pgd_parse r = pgd_http_parse_head(in, n, 32768, &from, head, bytes, status, &why);
    if (r == PGD_PARSE_BAD) assert_non_null(why);
    return r;
}

static const struct {
    const char *text;
    size_t n;
    int status;
} ambiguous[] = {
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
     400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
     400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 3\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tfolded\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\nHost: a\n\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nX: a\x01\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nX: a\x7f\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\n"), 400},
    {T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501},
    {T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"), 501},
    {T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
       "chunked\r\n\r\n"),
     400},
    {T("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {T("POST / HTTP/2.0\r\nHost: a\r\n\r\n"), 505},
    {T("POST / HTTP/1.2\r\nHost: a\r\n\r\n"), 505},
    {T("POST / http/1.1\r\nHost: a\r\n\r\n"), 400},
    {T("POST  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {T("POST / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400},
    {T("POST /a b HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {T("POST http://x/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {T("POST /#f HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {T("POST /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {T("P(ST / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {T("/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {T("POST /\r\nHost: a\r\n\r\n"), 400},
    {T("\r\n\r\n"), 400},
    {T("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), 417},
    {T("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400}, /* TLS to a plain port */
};

static void refuses_what_two_parsers_could_read_differently(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(ambiguous) / sizeof(ambiguous[0]); i++) {
        pgd_http_head head;
        size_t bytes = 0;
        int status = 0;
        if (parse(ambiguous[i].text, ambiguous[i].n, &head, &bytes, &status) != PGD_PARSE_BAD ||
            status != ambiguous[i].status)
            fail_msg("case %zu: got status %d for: %s", i, status, ambiguous[i].text);
    }
}

static void reads_an_ordinary_head(void **state) {
    (void)state;
    const char text[] = "\r\nPOST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: a:8000\r\n"
                        "content-LENGTH:  12 \r\nConnection: Foo , close\r\nX-Empty:\r\n\r\nbody";
    pgd_http_head h;
    size_t bytes = 0;
    int status = 0;
    assert_int_equal(parse(text, sizeof(text) - 1, &h, &bytes, &status), PGD_PARSE_OK);
    assert_int_equal(bytes, sizeof(text) - 1 - 4);
    assert_true(pgd_sv_eq(h.method, PGD_SV("POST")));
    assert_true(pgd_sv_eq(h.target, PGD_SV("/v1/chat/completions?x=1")));
    assert_int_equal(h.framing, PGD_BODY_LENGTH);
    assert_int_equal(h.content_length, 12);
    assert_false(h.keep_alive);
    assert_true(pgd_sv_eq(pgd_http_field_get(&h, "host"), PGD_SV("a:8000")));
    assert_int_equal(pgd_http_field_get(&h, "x-empty").n, 0);
    assert_non_null(pgd_http_field_get(&h, "x-empty").p);
    assert_null(pgd_http_field_get(&h, "x-absent").p);
}

static void http10_closes_unless_asked_to_keep_alive(void **state) {
    (void)state;
    pgd_http_head h;
    size_t bytes;
    int status;
    assert_int_equal(parse(T("GET / HTTP/1.0\r\n\r\n"), &h, &bytes, &status), PGD_PARSE_OK);
    assert_false(h.keep_alive);
    assert_int_equal(
        parse(T("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), &h, &bytes, &status),
        PGD_PARSE_OK);
    assert_true(h.keep_alive);
}

static void a_head_in_pieces_reads_like_a_whole_one(void **state) {
    (void)state;
    const char text[] = "GET /health HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    size_t from = 0, bytes = 0;
    int status = 0;
    const char *why = NULL;
    pgd_http_head h;
    for (size_t n = 1; n < sizeof(text) - 1; n++)
        assert_int_equal(pgd_http_parse_head(text, n, 32768, &from, &h, &bytes, &status, &why),
                         PGD_PARSE_MORE);
    assert_int_equal(
        pgd_http_parse_head(text, sizeof(text) - 1, 32768, &from, &h, &bytes, &status, &why),
        PGD_PARSE_OK);
    assert_int_equal(bytes, sizeof(text) - 1);
    assert_int_equal(h.n_fields, 2);
}

static void limits_are_answered_by_their_own_status(void **state) {
    (void)state;
    pgd_buf b = {0};
    pgd_http_head h;
    size_t bytes;
    int status;
    pgd_buf_puts(&b, "GET /");
    for (int i = 0; i < 9000; i++)
        pgd_buf_putc(&b, 'a');
    pgd_buf_puts(&b, " HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(parse(b.p, b.n, &h, &bytes, &status), PGD_PARSE_BAD);
    assert_int_equal(status, 414);
    pgd_buf_clear(&b);
    pgd_buf_puts(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 100; i++)
        pgd_buf_putf(&b, "X-%d: y\r\n", i);
    pgd_buf_puts(&b, "\r\n");
    assert_int_equal(parse(b.p, b.n, &h, &bytes, &status), PGD_PARSE_BAD);
    assert_int_equal(status, 431);
    pgd_buf_clear(&b);
    pgd_buf_puts(&b, "GET / HTTP/1.1\r\nX: ");
    while (b.n < 40000)
        pgd_buf_putc(&b, 'a');
    assert_int_equal(parse(b.p, b.n, &h, &bytes, &status), PGD_PARSE_BAD);
    assert_int_equal(status, 431);
    pgd_buf_fini(&b);
}

static pgd_parse decode_split(const char *in, size_t n, size_t piece, pgd_buf *body, size_t *used,
                              int *status) {
    pgd_chunked c = {0};
    const char *why = NULL;
    pgd_parse r = PGD_PARSE_MORE;
    *used = 0;
    while (*used < n && r == PGD_PARSE_MORE) {
        size_t step = 0;
        const size_t have = n - *used < piece ? n - *used : piece;
        r = pgd_chunked_decode(&c, in + *used, have, 1000, body, &step, status, &why);
        *used += step;
    }
    return r;
}

static void chunked_bodies_decode_the_same_at_every_split(void **state) {
    (void)state;
    const char text[] =
        "5;ext=\"a\"\r\nhello\r\n1\r\n \r\n05\r\nworld\r\n0\r\nTrailer: x\r\n\r\nGET /";
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        pgd_buf body = {0};
        size_t used = 0;
        int status = 0;
        assert_int_equal(decode_split(text, sizeof(text) - 1, piece, &body, &used, &status),
                         PGD_PARSE_OK);
        assert_true(pgd_sv_eq(pgd_buf_sv(&body), PGD_SV("hello world")));
        assert_int_equal(used, sizeof(text) - 1 - 5);
        pgd_buf_fini(&body);
    }
}

static void malformed_chunks_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"\r\n", 400},
        {"g\r\n", 400},
        {"5 \r\nhello", 400},
        {"5\nhello\r\n", 400},
        {"5\r\nhelloX\r\n", 400},
        {"5\r\nhello\rX", 400},
        {"-1\r\n", 400},
        {"0x5\r\nhello", 400},
        {"1000000000000000\r\n", 400},
        {"ffff\r\n", 413},
        {"0\r\nX\x01: y\r\n\r\n", 400},
        {"0\r\n\rX", 400},
        {"3e9\r\n", 413},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pgd_buf body = {0};
        pgd_buf in = {0};
        pgd_buf_puts(&in, cases[i].text);
        while (in.n < 2000 && cases[i].status == 413)
            pgd_buf_putc(&in, 'x');
        size_t used = 0;
        int status = 0;
        const pgd_parse r = decode_split(in.p, in.n, in.n, &body, &used, &status);
        if (r != PGD_PARSE_BAD || status != cases[i].status)
            fail_msg("case %zu (%s): status %d", i, cases[i].text, status);
        pgd_buf_fini(&body);
        pgd_buf_fini(&in);
    }
}

static void percent_escapes_decode_and_nul_is_refused(void **state) {
    (void)state;
    pgd_buf b = {0};
    assert_true(pgd_http_percent_decode(PGD_SV("org%2Fname%3a1"), &b));
    assert_true(pgd_sv_eq(pgd_buf_sv(&b), PGD_SV("org/name:1")));
    assert_false(pgd_http_percent_decode(PGD_SV("a%00"), &b));
    assert_false(pgd_http_percent_decode(PGD_SV("a%2"), &b));
    assert_false(pgd_http_percent_decode(PGD_SV("a%zz"), &b));
    pgd_buf_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_two_parsers_could_read_differently),
        cmocka_unit_test(reads_an_ordinary_head),
        cmocka_unit_test(http10_closes_unless_asked_to_keep_alive),
        cmocka_unit_test(a_head_in_pieces_reads_like_a_whole_one),
        cmocka_unit_test(limits_are_answered_by_their_own_status),
        cmocka_unit_test(chunked_bodies_decode_the_same_at_every_split),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(percent_escapes_decode_and_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
