/* Text made from the configuration table: terminal help, the reference page, and the effective
 * values. Runs on the main thread. */
#include <string.h>

#include "app/config_table.h"

enum { HELP_WIDTH = 92, HELP_INDENT = 10 };

static bool shows_default(const pgd_config_row *row) {
    return row->def != NULL && !(row->type == PGD_CONFIG_BOOL && strcmp(row->def, "false") == 0);
}

void pgd_config_help(pgd_buf *out) {
    pgd_buf_puts(out,
                 "pagoda serve MODEL [flags]\n\n"
                 "Serve a Hugging Face model folder through the OpenAI HTTP API.\n\n"
                 "  pagoda serve configs/models/pagoda-tiny --port 8000\n"
                 "  curl http://127.0.0.1:8000/v1/chat/completions -d '{\"model\": "
                 "\"pagoda-tiny\",\n"
                 "    \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'\n\n"
                 "Every flag can also stand in a YAML file (--config) under its name, or in the\n"
                 "environment as PAGODA_ and the name in capitals with underscores. The command "
                 "line wins\nover the environment, the environment over the file.\n");
    for (size_t g = 0; g < pgd_config_n_groups; g++) {
        pgd_buf_putf(out, "\n%s\n", pgd_config_groups[g].title);
        for (size_t i = 0; i < pgd_config_groups[g].n; i++) {
            const pgd_config_row *row = &pgd_config_groups[g].rows[i];
            const bool on = row->type == PGD_CONFIG_BOOL && strcmp(row->def, "true") == 0;
            pgd_buf_putf(out, "  --%s%s%s%s", on ? "[no-]" : "", row->name,
                         row->arg != NULL ? " " : "", row->arg != NULL ? row->arg : "");
            if (shows_default(row)) pgd_buf_putf(out, "  (default: %s)", row->def);
            pgd_buf_putc(out, '\n');
            pgd_buf_put_wrapped(out, row->help, HELP_INDENT, HELP_WIDTH);
        }
    }
}

/* '|' would end a table cell. */
static void put_cell(pgd_buf *out, const char *s) {
    for (; *s != '\0'; s++) {
        if (*s == '|') pgd_buf_putc(out, '\\');
        pgd_buf_putc(out, *s);
    }
}

void pgd_config_markdown(pgd_buf *out) {
    pgd_buf_puts(out,
                 "# Configuration\n\n"
                 "Made by `pagoda config-reference` from the table in `src/app/config_table.c`; a "
                 "test compares them.\n\n"
                 "Each row is a flag (`--name`), a key of the YAML file given with `--config` "
                 "(`name: value`), and an\nenvironment variable (`PAGODA_NAME`, dashes as "
                 "underscores, lists separated by commas). The command\nline wins over the "
                 "environment, the environment over the file. Boolean flags are written `--name` "
                 "or\n`--no-name`.\n");
    for (size_t g = 0; g < pgd_config_n_groups; g++) {
        pgd_buf_putf(out, "\n## %s\n\n| name | value | default | meaning |\n|---|---|---|---|\n",
                     pgd_config_groups[g].title);
        for (size_t i = 0; i < pgd_config_groups[g].n; i++) {
            const pgd_config_row *row = &pgd_config_groups[g].rows[i];
            pgd_buf_putf(out, "| `%s` | ", row->name);
            put_cell(out, row->type == PGD_CONFIG_BOOL ? "true|false" : row->arg);
            if (row->type == PGD_CONFIG_COUNT)
                pgd_buf_putf(out, ", %llu to %llu", (unsigned long long)row->min,
                             (unsigned long long)row->max);
            pgd_buf_putf(out, " | %s | ", row->def != NULL ? row->def : "");
            put_cell(out, row->help);
            pgd_buf_puts(out, " |\n");
        }
    }
}

static void print_value(const pgd_config *c, const pgd_config_row *row, pgd_buf *out) {
    const char *at = (const char *)c + row->offset;
    switch (row->type) {
    case PGD_CONFIG_COUNT:
    case PGD_CONFIG_BYTES:
        pgd_buf_put_u64(out, *(const uint64_t *)(const void *)at);
        break;
    case PGD_CONFIG_SECONDS:
    case PGD_CONFIG_SHARE:
        pgd_buf_putf(out, "%g", *(const double *)(const void *)at);
        break;
    case PGD_CONFIG_BOOL:
        pgd_buf_puts(out, *(const bool *)(const void *)at ? "true" : "false");
        break;
    case PGD_CONFIG_STRING:
    case PGD_CONFIG_CHOICE: {
        const char *s = *(const char *const *)(const void *)at;
        pgd_buf_putf(out, "\"%s\"", s != NULL ? s : "");
        break;
    }
    case PGD_CONFIG_LIST: {
        const pgd_config_list *list = (const pgd_config_list *)(const void *)at;
        pgd_buf_putc(out, '[');
        for (uint32_t i = 0; i < list->n; i++)
            pgd_buf_putf(out, "%s\"%s\"", i > 0 ? ", " : "", row->secret ? "***" : list->v[i]);
        pgd_buf_putc(out, ']');
        break;
    }
    }
}

void pgd_config_print(const pgd_config *c, pgd_buf *out) {
    for (size_t g = 0; g + 1 < pgd_config_n_groups; g++) { /* the last group only says what to do */
        pgd_buf_putf(out, "# %s\n", pgd_config_groups[g].title);
        for (size_t i = 0; i < pgd_config_groups[g].n; i++) {
            const pgd_config_row *row = &pgd_config_groups[g].rows[i];
            pgd_buf_putf(out, "%s: ", row->name);
            print_value(c, row, out);
            pgd_buf_putc(out, '\n');
        }
    }
}
