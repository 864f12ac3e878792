/* Command lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/flags.h"

typedef struct options {
    const char *first, *second; /* adjacent: positional */
    const char *name;
    cli_number t;
    cli_count n;
    bool on;
} options;

static const cli_flag flags[] = {
    {"name", CLI_FLAG_TEXT, offsetof(options, name), 0, 0, "NAME", "a name"},
    {"t", CLI_FLAG_NUMBER, offsetof(options, t), 0, 2, "T", "a number"},
    {"n", CLI_FLAG_COUNT, offsetof(options, n), 1, 10, "N", "a count"},
    {"on", CLI_FLAG_SWITCH, offsetof(options, on), 0, 0, "", "a switch"},
};
static const cli_command command = {.name = "do",
                                    .usage = "A [B]",
                                    .about = "Does it.\n",
                                    .flags = flags,
                                    .n_flags = sizeof(flags) / sizeof(flags[0]),
                                    .positional = offsetof(options, first),
                                    .max_positional = 2};

static void arguments_fill_the_options(void **state) {
    (void)state;
    options o = {0};
    const char *args[] = {"a", "--name", "x=y", "--t=0.5", "--n", "7", "--on", "--", "--b"};
    assert_int_equal(cli_flags_parse(&command, 9, args, &o, NULL), PGD_OK);
    assert_string_equal(o.first, "a");
    assert_string_equal(o.second, "--b");
    assert_string_equal(o.name, "x=y");
    assert_true(o.t.set && o.t.v == 0.5);
    assert_true(o.n.set && o.n.v == 7);
    assert_true(o.on);
}

static void nothing_given_leaves_everything_as_it_was(void **state) {
    (void)state;
    options o = {.name = "default"};
    assert_int_equal(cli_flags_parse(&command, 0, NULL, &o, NULL), PGD_OK);
    assert_string_equal(o.name, "default");
    assert_false(o.t.set || o.n.set || o.on);
    assert_null(o.first);
}

static void mistakes_are_named(void **state) {
    (void)state;
    static const struct {
        const char *args[3];
        int n;
        const char *want;
    } cases[] = {
        {{"--nme", "x"}, 2, "unknown flag --nme (see pagoda do --help)"},
        {{"-x"}, 1, "unknown flag -x"},
        {{"--name"}, 1, "--name needs a value (NAME)"},
        {{"--t", "3"}, 2, "--t: '3' is no number in 0..2"},
        {{"--t", "nan"}, 2, "--t: 'nan'"},
        {{"--n", "0"}, 2, "--n: '0' is no whole number in 1..10"},
        {{"--n=1.5"}, 1, "--n: '1.5'"},
        {{"--on=1"}, 1, "--on takes no value"},
        {{"a", "b", "c"}, 3, "unexpected argument 'c'"},
        {{"a", "\xff"}, 2, "argument 2 is no valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        options o = {0};
        pgd_error err = {0};
        assert_int_equal(cli_flags_parse(&command, cases[i].n, cases[i].args, &o, &err),
                         PGD_E_INVALID);
        if (strstr(err.msg, cases[i].want) == NULL)
            fail_msg("'%s' lacks '%s'", err.msg, cases[i].want);
    }
}

static void help_names_every_flag(void **state) {
    (void)state;
    pgd_buf out = {0};
    cli_flags_help(&command, &out);
    assert_true(pgd_sv_starts(pgd_buf_sv(&out), PGD_SV("pagoda do A [B]\n\nDoes it.\n")));
    for (size_t i = 0; i < command.n_flags; i++) {
        assert_non_null(strstr(out.p, flags[i].name));
        assert_non_null(strstr(out.p, flags[i].help));
    }
    pgd_buf_fini(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_fill_the_options),
        cmocka_unit_test(nothing_given_leaves_everything_as_it_was),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(help_names_every_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
