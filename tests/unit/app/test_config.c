/* Configuration: sources and their order, types, bounds, and errors that name the culprit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/config_table.h"
#include "pagoda/fs.h"

static pgd_status load(const char *const *args, const char *const *env, pgd_config *c,
                       pgd_error *err) {
    int n = 0;
    while (args[n] != NULL)
        n++;
    *err = (pgd_error){0};
    return pgd_config_load(n, args, env, c, err);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_ENV ((const char *const[]){NULL})

static void defaults_are_those_of_the_table(void **state) {
    (void)state;
    pgd_config c;
    pgd_error err;
    assert_int_equal(load(ARGS("dir"), NO_ENV, &c, &err), PGD_OK);
    assert_string_equal(c.model, "dir");
    assert_string_equal(c.host, "127.0.0.1");
    assert_int_equal(c.port, 8000);
    assert_int_equal(c.max_body_bytes, 32u << 20);
    assert_true(c.enable_prefix_caching);
    assert_false(c.check_config);
    assert_int_equal(c.api_key.n, 0);
    pgd_config_fini(&c);
}

static void flags_take_every_common_form(void **state) {
    (void)state;
    pgd_config c;
    pgd_error err;
    assert_int_equal(
        load(ARGS("m", "--port=9", "--served-model-name", "a", "b", "--no-enable-prefix-caching",
                  "--kv-cache-memory-bytes", "2G", "--request-timeout", "1.5", "--check-config"),
             NO_ENV, &c, &err),
        PGD_OK);
    assert_int_equal(c.port, 9);
    assert_int_equal(c.served_model_name.n, 2);
    assert_string_equal(c.served_model_name.v[1], "b");
    assert_false(c.enable_prefix_caching);
    assert_int_equal(c.kv_cache_memory_bytes, 2ull << 30);
    assert_true(c.request_timeout == 1.5);
    assert_true(c.check_config);
    pgd_config_fini(&c);
}

static char *temp_yaml(const char *text) {
    static char path[] = "/tmp/pagoda-config-XXXXXX";
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void command_line_beats_environment_beats_file(void **state) {
    (void)state;
    pgd_config c;
    pgd_error err;
    char *path = temp_yaml("# comment\nport: 1\nmax-num-seqs: 2\nhost: 0.0.0.0\n"
                           "api-key: [k1, k2]\nserved-model-name: x\n");
    char from_env[64];
    snprintf(from_env, sizeof(from_env), "PAGODA_CONFIG=%s", path);
    const char *const env[] = {from_env, "PAGODA_PORT=3", "PAGODA_MAX_NUM_SEQS=4",
                               "PAGODA_SERVED_MODEL_NAME=y,z", NULL};
    assert_int_equal(load(ARGS("m", "--port", "5"), env, &c, &err), PGD_OK);
    assert_int_equal(c.port, 5);
    assert_int_equal(c.max_num_seqs, 4);
    assert_string_equal(c.host, "0.0.0.0");
    assert_int_equal(c.api_key.n, 2);
    assert_int_equal(c.served_model_name.n, 2);
    assert_string_equal(c.served_model_name.v[0], "y");
    pgd_buf text = {0};
    pgd_config_print(&c, &text);
    assert_null(strstr(text.p, "k1")); /* secrets are masked */
    pgd_buf_fini(&text);
    pgd_config_fini(&c);
    unlink(path);
}

static void errors_name_source_value_and_bound(void **state) {
    (void)state;
    static const struct {
        const char *flag, *value, *want;
    } cases[] = {
        {"--port", "70000", "--port: 70000 is not in 0..65535"},
        {"--port", "x", "--port: 'x' is not a whole number"},
        {"--port", "-1", "--port: '-1' is not a whole number"},
        {"--max-body-bytes", "1Q", "--max-body-bytes: '1Q' is not a number of bytes"},
        {"--log-level", "loud", "--log-level: 'loud' is none of"},
        {"--block-size", "24", "--block-size: 24 is no power of two"},
        {"--drain-timeout", "-3", "--drain-timeout: '-3' is not a number of seconds"},
        {"--gpu-memory-utilization", "0", "'0' is not a number above 0 and at most 1"},
        {"--gpu-memory-utilization", "1.01", "'1.01' is not a number above 0 and at most 1"},
        {"--prot", "1", "unknown flag --prot"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pgd_config c;
        pgd_error err;
        assert_int_equal(load(ARGS("m", cases[i].flag, cases[i].value), NO_ENV, &c, &err),
                         PGD_E_INVALID);
        if (strstr(err.msg, cases[i].want) == NULL) fail_msg("got: %s", err.msg);
    }
    pgd_config c;
    pgd_error err;
    assert_int_equal(load(ARGS("m", "--port"), NO_ENV, &c, &err), PGD_E_INVALID);
    const char *const env[] = {"PAGODA_PORT=x", NULL};
    assert_int_equal(load(ARGS("m"), env, &c, &err), PGD_E_INVALID);
    assert_non_null(strstr(err.msg, "PAGODA_PORT"));
}

static void a_bad_file_is_refused_with_its_line(void **state) {
    (void)state;
    static const char *const bad[] = {"a: b\n",         "port: [1, 2]\n",      "- port\n",
                                      "port: {x: 1}\n", "port: 1\nport2: 2\n", "port: \"\n",
                                      "host: *x\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *path = temp_yaml(bad[i]);
        pgd_config c;
        pgd_error err;
        assert_int_not_equal(load(ARGS("m", "--config", path), NO_ENV, &c, &err), PGD_OK);
        if (strstr(err.msg, path) == NULL) fail_msg("got: %s", err.msg);
        unlink(path);
    }
}

static void every_row_has_its_own_name_and_field(void **state) {
    (void)state;
    for (size_t g = 0; g < pgd_config_n_groups; g++)
        for (size_t i = 0; i < pgd_config_groups[g].n; i++) {
            const pgd_config_row *row = &pgd_config_groups[g].rows[i];
            assert_ptr_equal(pgd_config_find(row->name, strlen(row->name)), row);
            for (size_t h = 0; h < pgd_config_n_groups; h++)
                for (size_t j = 0; j < pgd_config_groups[h].n; j++) {
                    const pgd_config_row *other = &pgd_config_groups[h].rows[j];
                    if (other != row) assert_int_not_equal(other->offset, row->offset);
                }
        }
}

static void the_reference_page_is_up_to_date(void **state) {
    (void)state;
    pgd_buf page = {0}, made = {0};
    pgd_error err = {0};
    if (pgd_fs_read(PGD_SOURCE_DIR "/docs/config.md", 1u << 20, &page, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    pgd_config_markdown(&made);
    assert_string_equal(page.p, made.p);
    pgd_buf_fini(&page);
    pgd_buf_fini(&made);
}

static void the_variable_of_a_kubernetes_service_is_no_port(void **state) {
    (void)state;
    pgd_config c;
    pgd_error err;
    const char *const env[] = {"PAGODA_PORT=tcp://10.0.0.1:8000", NULL};
    assert_int_equal(load(ARGS("m"), env, &c, &err), PGD_OK);
    assert_int_equal(c.port, 8000);
    pgd_config_fini(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(flags_take_every_common_form),
        cmocka_unit_test(command_line_beats_environment_beats_file),
        cmocka_unit_test(errors_name_source_value_and_bound),
        cmocka_unit_test(a_bad_file_is_refused_with_its_line),
        cmocka_unit_test(the_variable_of_a_kubernetes_service_is_no_port),
        cmocka_unit_test(every_row_has_its_own_name_and_field),
        cmocka_unit_test(the_reference_page_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
