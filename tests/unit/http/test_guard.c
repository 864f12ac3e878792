/* Names that mean this server, and what a page's POST must look like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/guard.h"

static void expect_hosts(const pgd_http_options *opt, const char *const *hosts, size_t n,
                         bool want) {
    for (size_t i = 0; i < n; i++)
        if (pgd_guard_host(opt, pgd_sv_c(hosts[i])) != want)
            fail_msg("'%s' is %s", hosts[i], want ? "refused" : "taken");
}

#define EXPECT(opt, want, ...)                                                                     \
    do {                                                                                           \
        static const char *const hosts[] = {__VA_ARGS__};                                          \
        expect_hosts(opt, hosts, sizeof(hosts) / sizeof(hosts[0]), want);                          \
    } while (0)

static void loopback_answers_to_its_own_names(void **state) {
    (void)state;
    static const char *const bound[] = {"127.0.0.1", "localhost", "127.3.2.1", "::1"};
    for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
        pgd_http_options opt = pgd_http_options_default;
        opt.host = bound[i];
        assert_true(pgd_guard_checks_hosts(&opt));
        EXPECT(&opt, true, "localhost", "localhost:8000", "LocalHost:1", "127.0.0.1",
               "127.0.0.1:8000", "127.255.0.9:80", "[::1]", "[::1]:8000", "[0:0::1]", "::1");
        EXPECT(&opt, false, "", ":", ":80", "a", "evil.example", "evil.example:8000",
               "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost", "localhost.",
               "localhost:80a", "localhost:80:80", "localhost@evil.example", "127.0.0.1 ",
               "127.0.0.1,evil.example", "0.0.0.0", "10.0.0.1:8000", "128.0.0.1", "127.1",
               "2130706433", "0x7f.0.0.1", "[::1", "::1]", "[]", "[::1]x", "[::1]:x", "[::2]",
               "[::ffff:10.0.0.1]", "fe80::1", "*");
        EXPECT(&opt, false, "host.docker.internal", "my-server");
    }
    assert_false(pgd_guard_host(&pgd_http_options_default, (pgd_sv){"127.0.0.1\0", 10}));
    assert_false(pgd_guard_host(&pgd_http_options_default, (pgd_sv){NULL, 0}));
}

static void listed_names_are_taken_whatever_case_and_port(void **state) {
    (void)state;
    static const char *const names[] = {"Box.example", "proxy:8443", "[fd00::7]", "10.1.2.3"};
    pgd_http_options opt = pgd_http_options_default;
    opt.allowed_hosts = names;
    opt.n_allowed_hosts = 4;
    EXPECT(&opt, true, "box.example", "BOX.EXAMPLE:1", "proxy", "proxy:9", "[fd00::7]:80",
           "10.1.2.3", "localhost");
    EXPECT(&opt, false, "a.box.example", "box.exampl", "10.1.2.4", "[fd00::8]", "evil.example");
    static const char *const any[] = {"a", "*"};
    opt.allowed_hosts = any;
    opt.n_allowed_hosts = 2;
    EXPECT(&opt, true, "evil.example", "", "[");
}

static void elsewhere_only_given_names_are_checked(void **state) {
    (void)state;
    static const char *const names[] = {"llm.example"};
    pgd_http_options opt = pgd_http_options_default;
    opt.host = "0.0.0.0";
    assert_false(pgd_guard_checks_hosts(&opt));
    opt.allowed_hosts = names;
    opt.n_allowed_hosts = 1;
    assert_true(pgd_guard_checks_hosts(&opt));
    EXPECT(&opt, true, "llm.example", "10.0.0.7:8000", "[fd00::1]:8000", "localhost", "127.0.0.1");
    EXPECT(&opt, false, "evil.example", "llm.example.evil.example", "");
}

static pgd_http_head head_of(const char *const *pairs) {
    pgd_http_head h;
    memset(&h, 0, sizeof(h));
    for (; pairs[0] != NULL; pairs += 2)
        h.field[h.n_fields++] = (pgd_http_field){pgd_sv_c(pairs[0]), pgd_sv_c(pairs[1])};
    return h;
}

static void a_post_from_a_page_must_be_json(void **state) {
    (void)state;
    static const struct {
        const char *pairs[8];
        bool want;
    } cases[] = {
        {{NULL}, true},
        {{"content-type", "application/x-www-form-urlencoded", NULL}, true}, /* curl -d */
        {{"content-type", "text/plain", "sec-fetch-site", "none", NULL}, true},
        {{"content-type", "text/plain", "sec-fetch-site", "same-origin", NULL}, true},
        {{"origin", "http://a", NULL}, false},
        {{"origin", "null", NULL}, false},
        {{"origin", "", NULL}, false},
        {{"origin", "http://a", "content-type", "text/plain", NULL}, false},
        {{"origin", "http://a", "content-type", "text/plain;application/json", NULL}, false},
        {{"origin", "http://a", "content-type", "text/plain, application/json", NULL}, false},
        {{"origin", "http://a", "content-type", "application/x-www-form-urlencoded", NULL}, false},
        {{"origin", "http://a", "content-type", "multipart/form-data; boundary=json", NULL}, false},
        {{"origin", "http://a", "content-type", "application/jsonp", NULL}, false},
        {{"origin", "http://a", "content-type", ";application/json", NULL}, false},
        {{"sec-fetch-site", "cross-site", NULL}, false},
        {{"sec-fetch-site", "same-site", "content-type", "text/plain", NULL}, false},
        {{"sec-fetch-site", "what", "content-type", "text/plain", NULL}, false},
        {{"origin", "http://a", "sec-fetch-site", "same-origin", "content-type", "text/plain",
          NULL},
         false},
        {{"origin", "http://a", "content-type", "application/json", NULL}, true},
        {{"Origin", "http://a", "Content-Type", "Application/JSON ; charset=utf-8", NULL}, true},
        {{"sec-fetch-site", "cross-site", "content-type", "application/json", NULL}, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const pgd_http_head h = head_of(cases[i].pairs);
        if (pgd_guard_post(&h) != cases[i].want) fail_msg("case %zu", i);
    }
}

static void values_are_quoted_short_and_printable(void **state) {
    (void)state;
    char out[8];
    pgd_guard_quote(PGD_SV("a\xff\n\"b"), out, sizeof(out));
    assert_string_equal(out, "a??\"b");
    pgd_guard_quote(PGD_SV("0123456789"), out, sizeof(out));
    assert_string_equal(out, "0123456");
    pgd_guard_quote((pgd_sv){NULL, 0}, out, sizeof(out));
    assert_string_equal(out, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_answers_to_its_own_names),
        cmocka_unit_test(listed_names_are_taken_whatever_case_and_port),
        cmocka_unit_test(elsewhere_only_given_names_are_checked),
        cmocka_unit_test(a_post_from_a_page_must_be_json),
        cmocka_unit_test(values_are_quoted_short_and_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
