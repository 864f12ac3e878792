/* Addresses of servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/url.h"

static void addresses_are_taken_apart(void **state) {
    (void)state;
    static const struct {
        const char *text, *host, *port, *base, *authority;
    } cases[] = {
        {"http://127.0.0.1:8000", "127.0.0.1", "8000", "/v1", "127.0.0.1:8000"},
        {"http://localhost:8000/", "localhost", "8000", "/v1", "localhost:8000"},
        {"http://localhost:8000/v1", "localhost", "8000", "/v1", "localhost:8000"},
        {"http://localhost:8000/v1///", "localhost", "8000", "/v1", "localhost:8000"},
        {"http://example.org/llm", "example.org", "80", "/llm/v1", "example.org:80"},
        {"http://example.org/api/v1/", "example.org", "80", "/api/v1", "example.org:80"},
        {"localhost:8080", "localhost", "8080", "/v1", "localhost:8080"},
        {"http://[::1]:8000", "::1", "8000", "/v1", "[::1]:8000"},
        {"http://[fe80::1]", "fe80::1", "80", "/v1", "[fe80::1]:80"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cli_url url;
        pgd_error err = {0};
        assert_int_equal(cli_url_parse(cases[i].text, &url, &err), PGD_OK);
        assert_string_equal(url.host, cases[i].host);
        assert_string_equal(url.port, cases[i].port);
        assert_string_equal(url.base, cases[i].base);
        assert_string_equal(url.authority, cases[i].authority);
    }
}

static void what_is_no_address_is_refused_with_a_reason(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
        pgd_status status;
    } cases[] = {
        {"https://api.example.org/v1", "https is not spoken", PGD_E_UNSUPPORTED},
        {"ftp://host", "unknown scheme", PGD_E_INVALID},
        {"", "no host", PGD_E_INVALID},
        {"http://", "no host", PGD_E_INVALID},
        {"http://:8000", "no host", PGD_E_INVALID},
        {"http://host:", "port", PGD_E_INVALID},
        {"http://host:0", "port", PGD_E_INVALID},
        {"http://host:65536", "port", PGD_E_INVALID},
        {"http://host:80a", "port", PGD_E_INVALID},
        {"http://[::1", "']'", PGD_E_INVALID},
        {"http://[::1]x", "behind ']'", PGD_E_INVALID},
        {"http://user:pw@host", "user name", PGD_E_INVALID},
        {"http://host/?a=b", "query", PGD_E_INVALID},
        {"http://host/\r\nEvil: 1", "control", PGD_E_INVALID},
        {"http://host/a b", "blanks", PGD_E_INVALID},
        {"http://h\xc3\xb6st", "non-ASCII", PGD_E_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cli_url url;
        pgd_error err = {0};
        assert_int_equal(cli_url_parse(cases[i].text, &url, &err), cases[i].status);
        if (strstr(err.msg, cases[i].want) == NULL)
            fail_msg("'%s' lacks '%s'", err.msg, cases[i].want);
    }
}

static void long_parts_are_refused(void **state) {
    (void)state;
    static const char *const shapes[] = {"http://%s", "http://host/%s", "http://host:%s"};
    char part[2000];
    memset(part, 'a', sizeof(part) - 1);
    part[sizeof(part) - 1] = '\0';
    for (size_t i = 0; i < 3; i++) {
        char text[2100];
        cli_url url;
        size_t at = (size_t)(strstr(shapes[i], "%s") - shapes[i]);
        memcpy(text, shapes[i], at);
        memcpy(text + at, part, sizeof(part));
        assert_int_equal(cli_url_parse(text, &url, NULL), PGD_E_INVALID);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(what_is_no_address_is_refused_with_a_reason),
        cmocka_unit_test(long_parts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
