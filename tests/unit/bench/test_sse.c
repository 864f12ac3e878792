/* Server-sent events: every split of a stream gives the same events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/sse.h"
#include "pagoda/mem.h"

/* Events joined by '|' . */
static void collect(void *ctx, pgd_sv data) {
    pgd_buf *all = ctx;
    pgd_buf_putsv(all, data);
    pgd_buf_putc(all, '|');
}

static void count_event(void *ctx, pgd_sv data) {
    (void)data;
    ++*(size_t *)ctx;
}

static const struct {
    const char *text, *events;
} streams[] = {
    {"data: a\n\ndata: b\n\n", "a|b|"},
    {"data: a\r\n\r\ndata: b\r\n\r\n", "a|b|"},
    {"data: a\r\rdata: b\r\r", "a|b|"},
    {"data:a\ndata:  b\n\n", "a\n b|"},
    {"data\n\ndata:\n\n", "||"},
    {": a comment\n\n\n: another\ndata: x\n: in between\ndata: y\n\n", "x\ny|"},
    {"event: ping\nid: 7\nretry: 10\ndatum: no\ndata: yes\n\n", "yes|"},
    {"event: nothing\n\ndata: x\n\n", "x|"},
    {"\xef\xbb\xbf"
     "data: after the mark\n\n",
     "after the mark|"},
    {"data: \xef\xbb\xbfkept\n\n", "\xef\xbb\xbfkept|"},
    {"data: whole\n\ndata: cut off", "whole|"},
    {"data: whole\n\ndata: cut off\n", "whole|"},
    {"data: {\"a\":1}\n\ndata: [DONE]\n\n", "{\"a\":1}|[DONE]|"},
};

static void every_split_of_a_stream_reads_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        const char *text = streams[i].text;
        const size_t n = strlen(text);
        for (size_t a = 0; a <= n; a++) {
            for (size_t b = a; b <= n; b++) {
                bench_sse s = {0};
                pgd_buf all = {0};
                assert_int_equal(bench_sse_feed(&s, text, a, collect, &all), PGD_OK);
                assert_int_equal(bench_sse_feed(&s, text + a, b - a, collect, &all), PGD_OK);
                assert_int_equal(bench_sse_feed(&s, text + b, n - b, collect, &all), PGD_OK);
                if (strcmp(all.p != NULL ? all.p : "", streams[i].events) != 0)
                    fail_msg("stream %zu cut at %zu and %zu: '%s'", i, a, b, all.p);
                pgd_buf_fini(&all);
                bench_sse_fini(&s);
            }
        }
    }
}

static void byte_by_byte_is_no_exception(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        bench_sse s = {0};
        pgd_buf all = {0};
        for (const char *p = streams[i].text; *p != '\0'; p++)
            assert_int_equal(bench_sse_feed(&s, p, 1, collect, &all), PGD_OK);
        assert_string_equal(all.p != NULL ? all.p : "", streams[i].events);
        pgd_buf_fini(&all);
        bench_sse_fini(&s);
    }
}

static void a_cleared_reader_forgets_the_half_line(void **state) {
    (void)state;
    bench_sse s = {0};
    pgd_buf all = {0};
    assert_int_equal(bench_sse_feed(&s, "data: old\ndata: ol", 18, collect, &all), PGD_OK);
    bench_sse_clear(&s);
    assert_int_equal(bench_sse_feed(&s, "data: new\n\n", 11, collect, &all), PGD_OK);
    assert_string_equal(all.p, "new|");
    pgd_buf_fini(&all);
    bench_sse_fini(&s);
}

static void an_endless_event_is_refused(void **state) {
    (void)state;
    bench_sse s = {0};
    pgd_buf all = {0};
    char line[4096];
    memset(line, 'x', sizeof(line));
    pgd_status st = PGD_OK;
    for (int i = 0; i < 8192 && st == PGD_OK; i++)
        st = bench_sse_feed(&s, line, sizeof(line), collect, &all);
    assert_int_equal(st, PGD_E_LIMIT);
    assert_int_equal(all.n, 0);
    bench_sse_fini(&s);
    pgd_buf_fini(&all);
}

static void memory_that_runs_out_is_an_error(void **state) {
    (void)state;
    pgd_status s = PGD_E_NOMEM;
    int64_t n = 0;
    for (; s != PGD_OK; n++) {
        bench_sse sse = {0};
        size_t n_events = 0;
        pgd_mem_fail_after(n);
        s = bench_sse_feed(&sse, "data: a\nda", 10, count_event, &n_events);
        if (s == PGD_OK) s = bench_sse_feed(&sse, "ta: b\n\n", 7, count_event, &n_events);
        pgd_mem_fail_after(-1);
        assert_int_equal(n_events, s == PGD_OK ? 1 : 0);
        bench_sse_fini(&sse);
    }
    assert_true(n > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_a_stream_reads_the_same),
        cmocka_unit_test(byte_by_byte_is_no_exception),
        cmocka_unit_test(a_cleared_reader_forgets_the_half_line),
        cmocka_unit_test(an_endless_event_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
