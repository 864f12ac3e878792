/* Flags of a command from one table: parsing and help text. */
#ifndef PAGODA_CLI_FLAGS_H
#define PAGODA_CLI_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/str.h"

typedef enum cli_flag_kind {
    CLI_FLAG_TEXT,   /* const char *, borrowed from the arguments; valid UTF-8 */
    CLI_FLAG_COUNT,  /* cli_count, within min..max */
    CLI_FLAG_NUMBER, /* cli_number, within min..max */
    CLI_FLAG_SWITCH  /* bool, takes no value */
} cli_flag_kind;

/* A number that may be absent. */
typedef struct cli_count {
    bool set;
    uint64_t v;
} cli_count;
typedef struct cli_number {
    bool set;
    double v;
} cli_number;

typedef struct cli_flag {
    const char *name; /* without dashes */
    cli_flag_kind kind;
    size_t offset; /* in the options */
    double min, max;
    const char *arg, *help;
} cli_flag;

typedef struct cli_command {
    const char *name, *usage; /* "chat", "[flags]" */
    const char *about;        /* lines of the help text, each ending in a line feed */
    const cli_flag *flags;
    size_t n_flags;
    size_t positional; /* offset of the first of max_positional adjacent const char * */
    size_t max_positional;
} cli_command;

/* Fill *options (zeroed or with defaults) from --name value, --name=value, -h (--help) and
 * positional arguments; "--" ends the flags. Errors: PGD_E_INVALID naming the argument, what it got
 * and what it takes. */
pgd_status cli_flags_parse(const cli_command *command, int n_args, const char *const *args,
                           void *options, pgd_error *err);
void cli_flags_help(const cli_command *command, pgd_buf *out);

#endif
