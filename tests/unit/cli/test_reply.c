/* HTTP responses, cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/reply.h"

static pgd_status note(void *ctx, const cli_reply *reply, pgd_sv body, pgd_error *err) {
    (void)err;
    assert_true(reply->status > 0);
    pgd_buf_putsv(ctx, body);
    return PGD_OK;
}

typedef struct seen {
    pgd_status status; /* of the first failure, or of the close */
    int http;
    bool event_stream, done;
    pgd_buf body;
} seen;

static seen read_cut(pgd_sv all, size_t cut) {
    seen s = {0};
    cli_reply r = {0};
    s.status = cli_reply_feed(&r, (pgd_sv){all.p, cut}, note, &s.body, NULL);
    if (s.status == PGD_OK)
        s.status = cli_reply_feed(&r, (pgd_sv){all.p + cut, all.n - cut}, note, &s.body, NULL);
    s.done = r.done;
    if (s.status == PGD_OK) s.status = cli_reply_close(&r, NULL);
    s.http = r.status;
    s.event_stream = r.event_stream;
    cli_reply_fini(&r);
    return s;
}

static void check(const char *text, int http, const char *body) {
    const pgd_sv all = pgd_sv_c(text);
    for (size_t cut = 0; cut <= all.n; cut++) {
        seen s = read_cut(all, cut);
        assert_int_equal(s.status, PGD_OK);
        assert_int_equal(s.http, http);
        assert_string_equal(s.body.p != NULL ? s.body.p : "", body);
        pgd_buf_fini(&s.body);
    }
}

static void check_bad(const char *text, pgd_status want) {
    const pgd_sv all = pgd_sv_c(text);
    for (size_t cut = 0; cut <= all.n; cut++) {
        seen s = read_cut(all, cut);
        assert_int_equal(s.status, want);
        pgd_buf_fini(&s.body);
    }
}

static void a_body_ends_where_its_framing_says(void **state) {
    (void)state;
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellojunk", 200, "hello");
    check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "");
    check("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    check("HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, "until the end");
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, world..."
          "\r\n0\r\nTrailer: x\r\n\r\n",
          200, "hello, world...");
    check("HTTP/1.1 200\ncontent-length:2\n\nok", 200, "ok"); /* bare line feeds, no phrase */
}

static void interim_responses_are_skipped(void **state) {
    (void)state;
    check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n"
          "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
          404, "no");
}

static void content_type_is_noted_in_any_case(void **state) {
    (void)state;
    const char *head = "HTTP/1.1 200 OK\r\nCONTENT-TYPE:  Text/Event-Stream; charset=utf-8\r\n"
                       "Content-Length: 0\r\n\r\n";
    seen s = read_cut(pgd_sv_c(head), 0);
    assert_true(s.event_stream);
    s = read_cut(PGD_SV("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"), 0);
    assert_false(s.event_stream);
}

static void unclear_framing_is_refused(void **state) {
    (void)state;
    check_bad("SSH-2.0-OpenSSH\r\n\r\n", PGD_E_FORMAT);
    check_bad("HTTP/2 200\r\n\r\n", PGD_E_FORMAT);
    check_bad("HTTP/1.1 2x0 OK\r\n\r\n", PGD_E_FORMAT);
    check_bad("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", PGD_E_FORMAT);
    check_bad("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", PGD_E_FORMAT);
    check_bad("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", PGD_E_FORMAT);
    check_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", PGD_E_FORMAT);
    check_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", PGD_E_FORMAT);
    check_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              "ffffffffffffffff\r\n",
              PGD_E_FORMAT);
    check_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", PGD_E_FORMAT);
}

static void an_early_end_is_an_error(void **state) {
    (void)state;
    check_bad("", PGD_E_IO);
    check_bad("HTTP/1.1 200 OK\r\n", PGD_E_IO);
    check_bad("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", PGD_E_IO);
    check_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", PGD_E_IO);
}

static void an_endless_head_is_bounded(void **state) {
    (void)state;
    pgd_buf text = {0};
    pgd_buf_puts(&text, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 8000; i++)
        pgd_buf_puts(&text, "X-Filler: 0123456789\r\n");
    seen s = read_cut(pgd_buf_sv(&text), 10);
    assert_int_equal(s.status, PGD_E_LIMIT);
    pgd_buf_clear(&text);
    for (int i = 0; i < 8000; i++)
        pgd_buf_puts(&text, "HTTP/1.1 100 Continue\r\n\r\n");
    s = read_cut(pgd_buf_sv(&text), 10);
    assert_int_equal(s.status, PGD_E_LIMIT);
    pgd_buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_ends_where_its_framing_says),
        cmocka_unit_test(interim_responses_are_skipped),
        cmocka_unit_test(content_type_is_noted_in_any_case),
        cmocka_unit_test(unclear_framing_is_refused),
        cmocka_unit_test(an_early_end_is_an_error),
        cmocka_unit_test(an_endless_head_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
