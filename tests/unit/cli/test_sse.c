/* Server-sent events, cut at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/sse.h"

/* Append "<data>" to the buffer in ctx. */
static pgd_status note(void *ctx, pgd_sv data, pgd_error *err) {
    (void)err;
    pgd_buf *out = ctx;
    pgd_buf_putc(out, '<');
    pgd_buf_putsv(out, data);
    pgd_buf_putc(out, '>');
    return PGD_OK;
}

/* Whole, in two pieces at every cut, and byte by byte. */
static void check(const char *stream, const char *want) {
    const pgd_sv all = pgd_sv_c(stream);
    for (size_t cut = 0; cut <= all.n + 1; cut++) {
        cli_sse s = {0};
        pgd_buf out = {0};
        pgd_error err = {0};
        if (cut <= all.n) {
            assert_int_equal(cli_sse_feed(&s, (pgd_sv){all.p, cut}, note, &out, &err), PGD_OK);
            assert_int_equal(cli_sse_feed(&s, (pgd_sv){all.p + cut, all.n - cut}, note, &out, &err),
                             PGD_OK);
        } else {
            for (size_t i = 0; i < all.n; i++)
                assert_int_equal(cli_sse_feed(&s, (pgd_sv){all.p + i, 1}, note, &out, &err),
                                 PGD_OK);
        }
        assert_string_equal(out.p != NULL ? out.p : "", want);
        pgd_buf_fini(&out);
        cli_sse_fini(&s);
    }
}

static void events_are_found_wherever_the_stream_is_cut(void **state) {
    (void)state;
    check("", "");
    check("data: a\n\ndata: b\n\n", "<a><b>");
    check("data: a\r\n\r\ndata: b\r\n\r\n", "<a><b>");
    check("data: a\r\rdata: b\r\r", "<a><b>");
    check("\xef\xbb\xbf"
          "data: a\n\n",
          "<a>");
    check("data: caf\xc3\xa9\n\n", "<caf\xc3\xa9>");
}

static void fields_are_read_as_the_standard_says(void **state) {
    (void)state;
    check("data:a\n\ndata:  b\n\n", "<a>< b>");
    check("data: a\ndata: b\n\n", "<a\nb>");
    check("data\n\n", "<>");
    check("data: a: b\n\n", "<a: b>");
    check(": keep-alive\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\n", "<a>");
    check("database: a\n\nDATA: b\n\n", "");
    check("\n\n\ndata: a\n\n\n\n", "<a>");
}

static void an_event_cut_off_by_the_end_does_not_count(void **state) {
    (void)state;
    check("data: a\n\ndata: b\n", "<a>");
    check("data: a\n\ndata: b", "<a>");
}

static pgd_status refuse(void *ctx, pgd_sv data, pgd_error *err) {
    (void)data;
    ++*(int *)ctx;
    return pgd_fail(err, PGD_E_CANCELLED, "enough");
}

static void the_receiver_can_stop_the_stream(void **state) {
    (void)state;
    cli_sse s = {0};
    int n = 0;
    assert_int_equal(cli_sse_feed(&s, PGD_SV("data: a\n\ndata: b\n\n"), refuse, &n, NULL),
                     PGD_E_CANCELLED);
    assert_int_equal(n, 1);
    cli_sse_fini(&s);
}

static void an_event_without_end_is_bounded(void **state) {
    (void)state;
    cli_sse s = {0};
    pgd_buf out = {0};
    char block[65536];
    memset(block, 'x', sizeof(block));
    pgd_status status = PGD_OK;
    size_t fed = 0;
    while (status == PGD_OK && fed < (64u << 20)) {
        status = cli_sse_feed(&s, (pgd_sv){block, sizeof(block)}, note, &out, NULL);
        fed += sizeof(block);
    }
    assert_int_equal(status, PGD_E_LIMIT);
    assert_true(fed <= (17u << 20));
    cli_sse_fini(&s);
    pgd_buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_found_wherever_the_stream_is_cut),
        cmocka_unit_test(fields_are_read_as_the_standard_says),
        cmocka_unit_test(an_event_cut_off_by_the_end_does_not_count),
        cmocka_unit_test(the_receiver_can_stop_the_stream),
        cmocka_unit_test(an_event_without_end_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
