/* The flag table of the bench commands: defaults, forms, and errors that say what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/options.h"

static pgd_status parse(bench_options *o, pgd_error *err, int n, const char *const *args) {
    *err = (pgd_error){0};
    return bench_options_parse(n, args, o, err);
}
#define PARSE(o, err, ...)                                                                         \
    parse(o, err, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                   \
          (const char *[]){__VA_ARGS__})

static void defaults_come_before_arguments(void **state) {
    (void)state;
    bench_options o;
    pgd_error err;
    assert_int_equal(PARSE(&o, &err, "--url", "http://a:1"), PGD_OK);
    assert_string_equal(o.url, "http://a:1");
    assert_string_equal(o.workload, "random");
    assert_int_equal(o.input_len.lo, 1024);
    assert_int_equal(o.input_len.hi, 1024);
    assert_true(o.burstiness == 1.0);
    assert_null(o.json);
}

static void values_follow_or_are_joined_by_an_equals_sign(void **state) {
    (void)state;
    bench_options o;
    pgd_error err;
    assert_int_equal(PARSE(&o, &err, "--url=http://a:1", "--concurrency=7", "--rate", "2.5",
                           "--input-len", "3:9", "--quiet", "--num-requests", "1", "--num-requests",
                           "2"),
                     PGD_OK);
    assert_int_equal(o.concurrency, 7);
    assert_true(o.rate == 2.5);
    assert_int_equal(o.input_len.lo, 3);
    assert_int_equal(o.input_len.hi, 9);
    assert_true(o.quiet);
    assert_int_equal(o.num_requests, 2); /* the last one counts */
}

static void a_bad_flag_is_named_with_what_it_takes(void **state) {
    (void)state;
    const struct {
        const char *flag, *value, *says;
    } cases[] = {
        {"--nope", "1", "unknown flag --nope"},
        {"--url", NULL, "--url: needs a value (URL)"},
        {"--concurrency", "x", "--concurrency: 'x' is not a whole number"},
        {"--concurrency", "-1", "--concurrency: '-1' is not a whole number"},
        {"--concurrency", "10000001", "--concurrency: 10000001 is not in 0..1000000"},
        {"--rate", "fast", "--rate: 'fast' is not a number"},
        {"--burstiness", "0", "--burstiness: 0 is not in 0.01..10000"},
        {"--input-len", "9:3", "--input-len: '9:3' is neither"},
        {"--input-len", "0:3", "--input-len: 0:3 is not in 1..16777216"},
        {"--input-len", ":", "--input-len: ':' is neither"},
        {"--workload", "rand", "--workload: 'rand' is none of random|sharegpt|prefix|trace"},
        {"--workload", "random|sharegpt", "is none of"},
        {"--quiet=yes", NULL, "--quiet takes no value"},
        {"stray", NULL, "unexpected argument 'stray'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bench_options o;
        pgd_error err;
        const char *args[] = {cases[i].flag, cases[i].value};
        assert_int_equal(parse(&o, &err, cases[i].value != NULL ? 2 : 1, args), PGD_E_INVALID);
        if (strstr(err.msg, cases[i].says) == NULL)
            fail_msg("case %zu: '%s' lacks '%s'", i, err.msg, cases[i].says);
    }
}

static void bytes_take_a_suffix(void **state) {
    (void)state;
    const pgd_bench_flag row = {
        .name = "b", .type = PGD_BENCH_BYTES, .min = 0, .max = 1e15, .arg = "BYTES", .help = "h"};
    const struct {
        const char *text;
        uint64_t want; /* UINT64_MAX: refused */
    } cases[] = {
        {"0", 0},
        {"7", 7},
        {"2K", 2048},
        {"3M", 3u << 20},
        {"4G", 4ull << 30},
        {"G", UINT64_MAX},
        {"", UINT64_MAX},
        {"4GG", UINT64_MAX},
        {"4g", UINT64_MAX},
        {"1.5G", UINT64_MAX},
        {"18446744073709551615G", UINT64_MAX},
        {"1000001G", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t got = 1;
        const char *args[] = {"--b", cases[i].text};
        const bool ok = pgd_bench_parse_flags(&row, 1, 2, args, &got, NULL) == PGD_OK;
        assert_int_equal(ok, cases[i].want != UINT64_MAX);
        if (ok) assert_int_equal(got, cases[i].want);
    }
}

static void flags_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    bench_options o;
    pgd_error err;
    assert_int_equal(PARSE(&o, &err, "--quiet"), PGD_E_INVALID);
    assert_non_null(strstr(err.msg, "--url is missing"));
    assert_int_equal(PARSE(&o, &err, "--url", "u", "--workload", "trace"), PGD_E_INVALID);
    assert_int_equal(PARSE(&o, &err, "--url", "u", "--trace", "f"), PGD_E_INVALID);
    assert_int_equal(PARSE(&o, &err, "--url", "u", "--endpoint", "chat", "--prompt", "tokens"),
                     PGD_E_INVALID);
    assert_int_equal(PARSE(&o, &err, "--url", "u", "--rate", "1", "--stagger", "1"), PGD_E_INVALID);
    assert_int_equal(PARSE(&o, &err, "--url", "u", "--prompt", "text", "--token-ids", "1:9"),
                     PGD_E_INVALID);
    assert_int_equal(PARSE(&o, &err, "--help"), PGD_OK); /* help needs nothing else */
    assert_true(o.help);
}

static void help_names_every_flag(void **state) {
    (void)state;
    pgd_buf text = {0};
    pgd_bench_flags_help(bench_serve_help, bench_serve_flags, bench_n_serve_flags, &text);
    assert_false(text.failed);
    for (size_t i = 0; i < bench_n_serve_flags; i++)
        assert_non_null(strstr(text.p, bench_serve_flags[i].name));
    pgd_buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_before_arguments),
        cmocka_unit_test(values_follow_or_are_joined_by_an_equals_sign),
        cmocka_unit_test(a_bad_flag_is_named_with_what_it_takes),
        cmocka_unit_test(bytes_take_a_suffix),
        cmocka_unit_test(flags_that_contradict_each_other_are_refused),
        cmocka_unit_test(help_names_every_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
