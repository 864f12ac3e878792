/* The rows of the configuration, in the order in which help shows them. Private to src/app. */
#ifndef PGD_APP_CONFIG_TABLE_H
#define PGD_APP_CONFIG_TABLE_H

#include <stddef.h>

#include "pagoda/config.h"

typedef enum pgd_config_type {
    PGD_CONFIG_STRING,
    PGD_CONFIG_LIST,
    PGD_CONFIG_COUNT,   /* uint64 within min..max */
    PGD_CONFIG_BYTES,   /* uint64, suffixes K M G (1024) or k m g (1000) with optional B/iB */
    PGD_CONFIG_SECONDS, /* double >= 0 */
    PGD_CONFIG_SHARE,   /* double above 0, at most 1 */
    PGD_CONFIG_BOOL,    /* --x, --no-x; in file and environment true/false */
    PGD_CONFIG_CHOICE   /* one of `choices`, separated by '|' */
} pgd_config_type;

typedef struct pgd_config_row {
    const char *name; /* flag without dashes, key of the file; PAGODA_NAME in the environment */
    pgd_config_type type;
    bool secret;     /* shown as *** */
    size_t offset;   /* in pgd_config */
    const char *def; /* as one would write it; NULL: empty */
    uint64_t min, max;
    const char *choices;
    const char *arg; /* placeholder in help */
    const char *help;
} pgd_config_row;

typedef struct pgd_config_group {
    const char *title;
    const pgd_config_row *rows;
    size_t n;
} pgd_config_group;

extern const pgd_config_group pgd_config_groups[];
extern const size_t pgd_config_n_groups;

/* The row of that name (length n), or NULL. */
const pgd_config_row *pgd_config_find(const char *name, size_t n);
/* "PAGODA_MAX_NUM_SEQS" into out[64]. */
void pgd_config_env_name(const pgd_config_row *row, char out[64]);
/* Set one value, adding to lists. where: "--port", "PAGODA_PORT", "pagoda.yaml:3: port". */
pgd_status pgd_config_set(pgd_config *c, const pgd_config_row *row, pgd_sv value, const char *where,
                          pgd_error *err);
/* Read a YAML file into c. */
pgd_status pgd_config_load_yaml(pgd_config *c, const char *path, pgd_error *err);

#endif
