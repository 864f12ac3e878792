/* Headers that choose among the forms of a page, and which addresses are private. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/page.h"

static void gzip_goes_only_to_clients_that_take_it(void **state) {
    (void)state;
    static const char *const yes[] = {
        "gzip",          "deflate, gzip", "br;q=1.0, GZIP;q=0.5", "*", "br, *", "gzip;q=1",
        "gzip; q=0.001", " gzip ",        "gzip;level=9"};
    static const char *const no[] = {"",
                                     "identity",
                                     "br",
                                     "x-gzip",
                                     "gzip;q=0",
                                     "gzip; q=0.000 ",
                                     "*;q=0, gzip;q=0",
                                     "gzip;q=0, *",
                                     "gzi",
                                     ",,;;,"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(pgd_page_takes_gzip(pgd_sv_c(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(pgd_page_takes_gzip(pgd_sv_c(no[i])));
    assert_false(pgd_page_takes_gzip((pgd_sv){NULL, 0}));
}

static void a_tag_is_found_in_a_list_weak_or_not(void **state) {
    (void)state;
    static const char *const same[] = {"\"ab\"", "W/\"ab\"", "\"x\", \"ab\"", "\"x\" ,W/\"ab\"",
                                       "*"};
    static const char *const other[] = {"", "\"a\"", "ab", "\"ab", "\"abc\"", "W/", "\"ab-gzip\""};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        assert_true(pgd_page_unchanged(pgd_sv_c(same[i]), "\"ab\""));
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_false(pgd_page_unchanged(pgd_sv_c(other[i]), "\"ab\""));
    assert_false(pgd_page_unchanged((pgd_sv){NULL, 0}, "\"ab\""));
}

static void clients_that_ask_for_json_alone_get_no_page(void **state) {
    (void)state;
    assert_true(pgd_page_wanted((pgd_sv){NULL, 0}));
    assert_true(pgd_page_wanted(PGD_SV("*/*")));
    assert_true(pgd_page_wanted(PGD_SV("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")));
    assert_true(pgd_page_wanted(PGD_SV("application/json, text/*;q=0.1")));
    assert_false(pgd_page_wanted(PGD_SV("application/json")));
    assert_false(pgd_page_wanted(PGD_SV("application/json, text/plain")));
    assert_false(pgd_page_wanted(PGD_SV("application/json, */*;q=0")));
}

static void a_page_is_found_by_its_whole_path(void **state) {
    (void)state;
    static const pgd_http_page pages[] = {{.path = "/"}, {.path = "/web/a.js"}};
    pgd_http_options opt = {.pages = pages, .n_pages = 2};
    pgd_buf scratch = {0};
    pgd_sv arg;
    const pgd_route_row *row = pgd_route_find(PGD_SV("/"), &scratch, &arg);
    assert_ptr_equal(pgd_page_find(&opt, row, arg), &pages[0]);
    row = pgd_route_find(PGD_SV("//web/a.js?x=1"), &scratch, &arg);
    assert_ptr_equal(pgd_page_find(&opt, row, arg), &pages[1]);
    static const char *const none[] = {"/web/a.j", "/web/a.js2",  "/web/../web/a.js",
                                       "/status",  "/web/x/a.js", "/web/%2e%2e/a.js"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        row = pgd_route_find(pgd_sv_c(none[i]), &scratch, &arg);
        assert_non_null(row);
        assert_null(pgd_page_find(&opt, row, arg));
    }
    opt.n_pages = 0;
    row = pgd_route_find(PGD_SV("/"), &scratch, &arg);
    assert_null(pgd_page_find(&opt, row, arg));
    pgd_buf_fini(&scratch);
}

static void loopback_addresses_are_told_from_public_ones(void **state) {
    (void)state;
    static const char *const private[] = {"127.0.0.1", "127.3.2.1", "localhost", "::1"};
    static const char *const public[] = {
        "0.0.0.0", "10.0.0.1", "::", "128.0.0.1", "fe80::1", "example.org", "::ffff:127.0.0.1x"};
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
        assert_true(pgd_http_host_is_loopback(private[i]));
    assert_true(pgd_http_host_is_loopback(NULL));
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
        assert_false(pgd_http_host_is_loopback(public[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_goes_only_to_clients_that_take_it),
        cmocka_unit_test(a_tag_is_found_in_a_list_weak_or_not),
        cmocka_unit_test(clients_that_ask_for_json_alone_get_no_page),
        cmocka_unit_test(a_page_is_found_by_its_whole_path),
        cmocka_unit_test(loopback_addresses_are_told_from_public_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
