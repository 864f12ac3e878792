/* Command lines of the small commands.
 *
 * They have no configuration file and no environment, so the server's table (src/app) would be too
 * much for them. Arguments that are no UTF-8 are refused here once, because they end up in JSON.
 * Thread: any. */
#include "cli/flags.h"

#include <stdio.h>
#include <string.h>

static pgd_status set_value(const cli_flag *f, const char *value, void *options, pgd_error *err) {
    void *at = (char *)options + f->offset;
    const pgd_sv text = pgd_sv_c(value);
    uint64_t count = 0;
    double number = 0;
    switch (f->kind) {
    case CLI_FLAG_TEXT:
        *(const char **)at = value;
        return PGD_OK;
    case CLI_FLAG_COUNT:
        if (!pgd_parse_u64(text, &count) || (double)count < f->min || (double)count > f->max)
            return pgd_fail(err, PGD_E_INVALID, "--%s: '%s' is no whole number in %.0f..%.0f",
                            f->name, value, f->min, f->max);
        *(cli_count *)at = (cli_count){true, count};
        return PGD_OK;
    case CLI_FLAG_NUMBER:
        if (!pgd_parse_f64(text, &number) || number < f->min || number > f->max)
            return pgd_fail(err, PGD_E_INVALID, "--%s: '%s' is no number in %g..%g", f->name, value,
                            f->min, f->max);
        *(cli_number *)at = (cli_number){true, number};
        return PGD_OK;
    case CLI_FLAG_SWITCH:
        *(bool *)at = true;
        return PGD_OK;
    }
    return PGD_OK;
}

static const cli_flag *find(const cli_command *command, pgd_sv name) {
    for (size_t i = 0; i < command->n_flags; i++)
        if (pgd_sv_eq(pgd_sv_c(command->flags[i].name), name)) return &command->flags[i];
    return NULL;
}

/* args[*i] is a flag; *i moves behind it and its value. */
static pgd_status take_flag(const cli_command *command, int n_args, const char *const *args, int *i,
                            void *options, pgd_error *err) {
    const char *arg = args[(*i)++];
    pgd_sv name = strcmp(arg, "-h") == 0 ? PGD_SV("help") : pgd_sv_c(arg);
    if (pgd_sv_starts(name, PGD_SV("--"))) name = (pgd_sv){name.p + 2, name.n - 2};
    const char *eq = strchr(arg, '=');
    if (eq != NULL) name.n = (size_t)(eq - name.p);
    const cli_flag *f = find(command, name);
    if (f == NULL)
        return pgd_fail(err, PGD_E_INVALID, "unknown flag %s (see pagoda %s --help)", arg,
                        command->name);
    if (f->kind == CLI_FLAG_SWITCH) {
        if (eq != NULL) return pgd_fail(err, PGD_E_INVALID, "--%s takes no value", f->name);
        return set_value(f, "", options, err);
    }
    if (eq != NULL) return set_value(f, eq + 1, options, err);
    if (*i == n_args)
        return pgd_fail(err, PGD_E_INVALID, "--%s needs a value (%s)", f->name, f->arg);
    return set_value(f, args[(*i)++], options, err);
}

pgd_status cli_flags_parse(const cli_command *command, int n_args, const char *const *args,
                           void *options, pgd_error *err) {
    size_t n_positional = 0;
    bool flags = true;
    for (int i = 0; i < n_args; i++) {
        const pgd_sv arg = pgd_sv_c(args[i]);
        if (pgd_utf8_valid_prefix(arg.p, arg.n) != arg.n)
            return pgd_fail(err, PGD_E_INVALID, "argument %d is no valid UTF-8", i + 1);
    }
    for (int i = 0; i < n_args;) {
        if (flags && strcmp(args[i], "--") == 0) {
            flags = false;
            i++;
        } else if (flags && args[i][0] == '-' && args[i][1] != '\0') {
            PGD_TRY(take_flag(command, n_args, args, &i, options, err));
        } else {
            if (n_positional == command->max_positional)
                return pgd_fail(err, PGD_E_INVALID,
                                "unexpected argument '%s' (see pagoda %s --help)", args[i],
                                command->name);
            const char **first = (void *)((char *)options + command->positional);
            first[n_positional++] = args[i++];
        }
    }
    return PGD_OK;
}

void cli_flags_help(const cli_command *command, pgd_buf *out) {
    pgd_buf_putf(out, "pagoda %s %s\n\n%s\n", command->name, command->usage, command->about);
    for (size_t i = 0; i < command->n_flags; i++) {
        const cli_flag *f = &command->flags[i];
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s%s%s", f->name, f->arg[0] != '\0' ? " " : "",
                       f->arg);
        pgd_buf_putf(out, "  %-22s %s\n", left, f->help);
    }
}
