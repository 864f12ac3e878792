/* Tests of log.c: stderr is turned into a pipe for the time of a test. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "pagoda/clock.h"
#include "pagoda/json.h"
#include "pagoda/log.h"

static char captured[1 << 16];
static int saved = -1;
static int ends[2];

static void start_capture(void) {
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    saved = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
}

/* Everything written since the start, terminated. */
static const char *end_capture(void) {
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(ends[1]);
    size_t n = 0;
    for (;;) {
        const ssize_t got = read(ends[0], captured + n, sizeof captured - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    captured[n] = '\0';
    (void)close(ends[0]);
    return captured;
}

static size_t count(const char *s, const char *what) {
    size_t n = 0;
    for (const char *p = strstr(s, what); p; p = strstr(p + 1, what))
        n++;
    return n;
}

static void text_lines_have_time_level_component_and_message(void **state) {
    (void)state;
    pgd_log_setup(PGD_LOG_INFO, PGD_LOG_TEXT);
    start_capture();
    pgd_log(PGD_LOG_ERROR, "kv", "evicted pages n=%d", 3);
    const char *s = end_capture();
    assert_int_equal(strlen(s), strlen("2026-01-01T00:00:00.000Z error kv: evicted pages n=3\n"));
    assert_int_equal(s[10], 'T');
    assert_string_equal(s + 24, " error kv: evicted pages n=3\n");
}

static void levels_below_the_set_one_are_silent(void **state) {
    (void)state;
    pgd_log_setup(PGD_LOG_WARN, PGD_LOG_TEXT);
    assert_false(pgd_log_enabled(PGD_LOG_INFO));
    assert_true(pgd_log_enabled(PGD_LOG_WARN));
    start_capture();
    pgd_log(PGD_LOG_DEBUG, "a", "x");
    pgd_log(PGD_LOG_INFO, "a", "x");
    assert_string_equal(end_capture(), "");
    pgd_log_setup(PGD_LOG_OFF, PGD_LOG_TEXT);
    assert_false(pgd_log_enabled(PGD_LOG_ERROR));
    assert_false(pgd_log_enabled(PGD_LOG_OFF));
    start_capture();
    pgd_log(PGD_LOG_ERROR, "a", "x");
    assert_string_equal(end_capture(), "");
}

static void a_message_cannot_forge_a_line(void **state) {
    (void)state;
    pgd_log_setup(PGD_LOG_INFO, PGD_LOG_TEXT);
    start_capture();
    pgd_log(PGD_LOG_ERROR, "http", "model='%s'", "a\nb\x1b[31m\xC2\x9B\xFF\xE2\x82\xAC\"\\");
    const char *s = end_capture();
    assert_int_equal(count(s, "\n"), 1);
    assert_non_null(strstr(s, "model='a\\nb\\u001b[31m\\u009b\xEF\xBF\xBD\xE2\x82\xAC\"\\'\n"));
}

static void json_lines_parse_and_hold_the_message(void **state) {
    (void)state;
    pgd_log_setup(PGD_LOG_INFO, PGD_LOG_JSON);
    start_capture();
    pgd_log(PGD_LOG_ERROR, "http", "say \"%s\"", "\\ \n \x01 \xFF \xE2\x82\xAC");
    const char *s = end_capture();
    pgd_json_doc *doc = NULL;
    pgd_sv v = {0};
    assert_int_equal(pgd_json_parse(pgd_sv_c(s), &pgd_json_limits_request, &doc, NULL), PGD_OK);
    const pgd_json *root = pgd_json_root(doc);
    assert_true(pgd_json_as_str(pgd_json_get(root, "message"), &v));
    assert_true(pgd_sv_eq(v, PGD_SV("say \"\\ \n \x01 \xEF\xBF\xBD \xE2\x82\xAC\"")));
    assert_true(pgd_json_as_str(pgd_json_get(root, "level"), &v));
    assert_true(pgd_sv_eq(v, PGD_SV("error")));
    assert_true(pgd_json_as_str(pgd_json_get(root, "component"), &v));
    assert_true(pgd_sv_eq(v, PGD_SV("http")));
    assert_true(pgd_json_as_str(pgd_json_get(root, "time"), &v));
    assert_int_equal(v.n, 24);
    pgd_json_free(&doc);
}

/* The worst message: every byte becomes six. */
static void the_longest_message_is_one_whole_line(void **state) {
    (void)state;
    static char text[5000];
    memset(text, '\x01', sizeof text - 1);
    pgd_log_setup(PGD_LOG_INFO, PGD_LOG_JSON);
    start_capture();
    pgd_log(PGD_LOG_ERROR, "a", "%s", text);
    const char *s = end_capture();
    assert_int_equal(pgd_json_validate(pgd_sv_c(s), &pgd_json_limits_request, NULL), PGD_OK);
    assert_int_equal(count(s, "\\u0001"), 2047);
    /* and a cut inside a character takes that character away */
    memset(text, 'a', 2046);
    memcpy(text + 2046, "\xE2\x82\xAC", 3);
    start_capture();
    pgd_log(PGD_LOG_ERROR, "a", "%s", text);
    s = end_capture();
    assert_null(strstr(s, "\xEF\xBF\xBD"));
    assert_non_null(strstr(s, "a\"}"));
}

/* 400 lines at once may see one new second begin, hardly three. */
static void a_flood_is_cut_and_counted_but_errors_pass(void **state) {
    (void)state;
    pgd_log_setup(PGD_LOG_INFO, PGD_LOG_TEXT);
    start_capture();
    for (int i = 0; i < 400; i++)
        pgd_log(PGD_LOG_INFO, "a", "flood");
    const size_t lines = count(end_capture(), "flood");
    assert_in_range(lines, 50, 150);
    start_capture();
    for (int i = 0; i < 200; i++)
        pgd_log(PGD_LOG_ERROR, "a", "fire");
    assert_int_equal(count(end_capture(), "fire"), 200);
    const uint64_t second = pgd_wall_ns() / 1000000000u;
    while (pgd_wall_ns() / 1000000000u == second)
        (void)usleep(20000);
    start_capture();
    pgd_log(PGD_LOG_INFO, "a", "after");
    assert_non_null(strstr(end_capture(), "after dropped="));
}

static void level_names_parse(void **state) {
    (void)state;
    pgd_log_level level = PGD_LOG_OFF;
    assert_int_equal(pgd_log_parse_level("debug", &level), PGD_OK);
    assert_int_equal(level, PGD_LOG_DEBUG);
    assert_int_equal(pgd_log_parse_level("warn", &level), PGD_OK);
    assert_int_equal(level, PGD_LOG_WARN);
    assert_int_equal(pgd_log_parse_level("warning", &level), PGD_OK);
    assert_int_equal(level, PGD_LOG_WARN);
    assert_int_equal(pgd_log_parse_level("off", &level), PGD_OK);
    assert_int_equal(level, PGD_LOG_OFF);
    assert_int_equal(pgd_log_parse_level("loud", &level), PGD_E_INVALID);
    assert_int_equal(pgd_log_parse_level("", &level), PGD_E_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_have_time_level_component_and_message),
        cmocka_unit_test(levels_below_the_set_one_are_silent),
        cmocka_unit_test(a_message_cannot_forge_a_line),
        cmocka_unit_test(json_lines_parse_and_hold_the_message),
        cmocka_unit_test(the_longest_message_is_one_whole_line),
        cmocka_unit_test(a_flood_is_cut_and_counted_but_errors_pass),
        cmocka_unit_test(level_names_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
