/* Filling pgd_config from defaults, file, environment and command line, through the table.
 *
 * Runs on the main thread before any other exists. Strings live in the configuration's arena. The
 * environment is an argument, so that nothing else in the program reads it. */
#include <stdio.h>
#include <string.h>

#include "app/config_table.h"

static void *field(pgd_config *c, const pgd_config_row *row) {
    return (char *)c + row->offset;
}

static pgd_status parse_bytes(pgd_sv v, uint64_t *out) {
    uint64_t unit = 1;
    pgd_sv digits = v;
    if (pgd_sv_ends(digits, PGD_SV("iB")))
        digits.n -= 2;
    else if (pgd_sv_ends(digits, PGD_SV("B")))
        digits.n -= 1;
    if (digits.n > 0) {
        switch (digits.p[digits.n - 1]) {
        case 'K':
            unit = 1ull << 10;
            break;
        case 'M':
            unit = 1ull << 20;
            break;
        case 'G':
            unit = 1ull << 30;
            break;
        case 'k':
            unit = 1000;
            break;
        case 'm':
            unit = 1000000;
            break;
        case 'g':
            unit = 1000000000;
            break;
        default:
            break;
        }
        if (unit != 1) digits.n--;
    }
    uint64_t n = 0;
    if (!pgd_parse_u64(digits, &n) || (n != 0 && unit > UINT64_MAX / n)) return PGD_E_INVALID;
    *out = n * unit;
    return PGD_OK;
}

static bool is_choice(const char *choices, pgd_sv v) {
    const pgd_sv all = pgd_sv_c(choices);
    for (size_t at = 0; at <= all.n;) {
        size_t end = pgd_sv_find(all, PGD_SV("|"), at);
        if (end > all.n) end = all.n;
        if (pgd_sv_eq((pgd_sv){all.p + at, end - at}, v)) return true;
        at = end + 1;
    }
    return false;
}

static pgd_status set_number(pgd_config *c, const pgd_config_row *row, pgd_sv v, const char *where,
                             pgd_error *err) {
    uint64_t n = 0;
    const bool bytes = row->type == PGD_CONFIG_BYTES;
    const bool ok = bytes ? parse_bytes(v, &n) == PGD_OK : pgd_parse_u64(v, &n);
    if (!ok)
        return pgd_fail(err, PGD_E_INVALID, "%s: '%.*s' is not %s", where, (int)v.n, v.p,
                        bytes ? "a number of bytes such as 512M or 4G" : "a whole number");
    if (n < row->min || n > row->max)
        return pgd_fail(err, PGD_E_INVALID, "%s: %llu is not in %llu..%llu", where,
                        (unsigned long long)n, (unsigned long long)row->min,
                        (unsigned long long)row->max);
    *(uint64_t *)field(c, row) = n;
    return PGD_OK;
}

static pgd_status append(pgd_config *c, const pgd_config_row *row, const char *s) {
    pgd_config_list *list = field(c, row);
    const char **grown = pgd_arena_array(c->arena, list->n + 1u, sizeof(*grown));
    if (grown == NULL) return PGD_E_NOMEM;
    if (list->n > 0) memcpy(grown, list->v, list->n * sizeof(*grown));
    grown[list->n] = s;
    list->v = grown;
    list->n++;
    return PGD_OK;
}

pgd_status pgd_config_set(pgd_config *c, const pgd_config_row *row, pgd_sv v, const char *where,
                          pgd_error *err) {
    char *copy = pgd_arena_strndup(c->arena, v.p, v.n);
    if (copy == NULL) return pgd_fail(err, PGD_E_NOMEM, "%s: out of memory", where);
    switch (row->type) {
    case PGD_CONFIG_COUNT:
    case PGD_CONFIG_BYTES:
        return set_number(c, row, v, where, err);
    case PGD_CONFIG_SECONDS: {
        double s = 0;
        if (!pgd_parse_f64(v, &s) || s < 0 || s > 1e9)
            return pgd_fail(err, PGD_E_INVALID, "%s: '%s' is not a number of seconds", where, copy);
        *(double *)field(c, row) = s;
        return PGD_OK;
    }
    case PGD_CONFIG_SHARE: {
        double share = 0;
        if (!pgd_parse_f64(v, &share) || !(share > 0) || share > 1)
            return pgd_fail(err, PGD_E_INVALID, "%s: '%s' is not a number above 0 and at most 1",
                            where, copy);
        *(double *)field(c, row) = share;
        return PGD_OK;
    }
    case PGD_CONFIG_BOOL: {
        const bool yes = is_choice("true|1|yes|on", v);
        if (!yes && !is_choice("false|0|no|off", v))
            return pgd_fail(err, PGD_E_INVALID, "%s: '%s' is neither true nor false", where, copy);
        *(bool *)field(c, row) = yes;
        return PGD_OK;
    }
    case PGD_CONFIG_CHOICE:
        if (!is_choice(row->choices, v))
            return pgd_fail(err, PGD_E_INVALID, "%s: '%s' is none of %s", where, copy,
                            row->choices);
        *(const char **)field(c, row) = copy;
        return PGD_OK;
    case PGD_CONFIG_LIST:
        if (v.n == 0) return pgd_fail(err, PGD_E_INVALID, "%s: empty value", where);
        return append(c, row, copy) == PGD_OK
                   ? PGD_OK
                   : pgd_fail(err, PGD_E_NOMEM, "%s: out of memory", where);
    case PGD_CONFIG_STRING:
        *(const char **)field(c, row) = v.n > 0 ? copy : NULL;
        return PGD_OK;
    }
    return pgd_fail(err, PGD_E_INTERNAL, "%s: row without a type", where);
}

static pgd_status set_defaults(pgd_config *c, pgd_error *err) {
    for (size_t g = 0; g < pgd_config_n_groups; g++) {
        for (size_t i = 0; i < pgd_config_groups[g].n; i++) {
            const pgd_config_row *row = &pgd_config_groups[g].rows[i];
            if (row->def != NULL)
                PGD_TRY(pgd_config_set(c, row, pgd_sv_c(row->def), row->name, err));
        }
    }
    return PGD_OK;
}

/* A later source replaces a list instead of adding to it. */
static void clear_list(pgd_config *c, const pgd_config_row *row) {
    if (row->type == PGD_CONFIG_LIST)
        *(pgd_config_list *)field(c, row) = (pgd_config_list){NULL, 0};
}

static const char *env_value(const char *const *env, const char *name) {
    const size_t n = strlen(name);
    for (; env != NULL && *env != NULL; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') return *env + n + 1;
    return NULL;
}

static pgd_status set_env(pgd_config *c, const char *const *env, pgd_error *err) {
    for (size_t g = 0; g < pgd_config_n_groups; g++) {
        for (size_t i = 0; i < pgd_config_groups[g].n; i++) {
            const pgd_config_row *row = &pgd_config_groups[g].rows[i];
            char name[64];
            pgd_config_env_name(row, name);
            const char *value = env_value(env, name);
            if (value == NULL) continue;
            /* Kubernetes puts PAGODA_PORT=tcp://... there when a Service is named pagoda */
            if (strcmp(row->name, "port") == 0 && strncmp(value, "tcp://", 6) == 0) continue;
            clear_list(c, row);
            const pgd_sv all = pgd_sv_c(value);
            if (row->type != PGD_CONFIG_LIST) {
                PGD_TRY(pgd_config_set(c, row, all, name, err));
                continue;
            }
            for (size_t at = 0; at < all.n;) { /* commas separate items */
                size_t end = pgd_sv_find(all, PGD_SV(","), at);
                if (end > all.n) end = all.n;
                PGD_TRY(pgd_config_set(c, row, (pgd_sv){all.p + at, end - at}, name, err));
                at = end + 1;
            }
        }
    }
    return PGD_OK;
}

/* Parse --name, --name=value, --name value, --no-name; lists take all that follows. *i moves on. */
static pgd_status set_flag(pgd_config *c, int n_args, const char *const *args, int *i,
                           pgd_error *err) {
    const char *arg = args[*i];
    if (strcmp(arg, "-h") == 0) arg = "--help";
    if (strncmp(arg, "--", 2) != 0)
        return pgd_fail(err, PGD_E_INVALID, "unexpected argument '%s' (see --help)", arg);
    const char *name = arg + 2;
    const char *eq = strchr(name, '=');
    const size_t name_n = eq != NULL ? (size_t)(eq - name) : strlen(name);
    const pgd_config_row *row = pgd_config_find(name, name_n);
    char where[96];
    (void)snprintf(where, sizeof(where), "--%.*s", (int)(name_n < 80 ? name_n : 80), name);
    if (row == NULL && name_n > 3 && memcmp(name, "no-", 3) == 0) {
        row = pgd_config_find(name + 3, name_n - 3);
        if (row != NULL && row->type == PGD_CONFIG_BOOL && eq == NULL) {
            (*i)++;
            return pgd_config_set(c, row, PGD_SV("false"), where, err);
        }
        row = NULL;
    }
    if (row == NULL) return pgd_fail(err, PGD_E_INVALID, "unknown flag %s (see --help)", where);
    (*i)++;
    clear_list(c, row);
    if (eq != NULL) return pgd_config_set(c, row, pgd_sv_c(eq + 1), where, err);
    if (row->type == PGD_CONFIG_BOOL) return pgd_config_set(c, row, PGD_SV("true"), where, err);
    if (*i == n_args || strncmp(args[*i], "--", 2) == 0)
        return pgd_fail(err, PGD_E_INVALID, "%s: needs a value (%s)", where, row->arg);
    do {
        PGD_TRY(pgd_config_set(c, row, pgd_sv_c(args[(*i)++]), where, err));
    } while (row->type == PGD_CONFIG_LIST && *i < n_args && strncmp(args[*i], "--", 2) != 0);
    return PGD_OK;
}

/* The file must be read before the other sources, but they name it. */
static const char *config_path(int n_args, const char *const *args, const char *const *env) {
    const char *path = env_value(env, "PAGODA_CONFIG");
    for (int i = 0; i < n_args; i++) {
        if (strncmp(args[i], "--config=", 9) == 0)
            path = args[i] + 9;
        else if (strcmp(args[i], "--config") == 0 && i + 1 < n_args)
            path = args[i + 1];
    }
    return path;
}

static pgd_status load(int n_args, const char *const *args, const char *const *env, pgd_config *c,
                       pgd_error *err) {
    PGD_TRY(set_defaults(c, err));
    const char *path = config_path(n_args, args, env);
    if (path != NULL) PGD_TRY(pgd_config_load_yaml(c, path, err));
    PGD_TRY(set_env(c, env, err));
    int i = 0;
    if (n_args > 0 && args[0][0] != '-') {
        PGD_TRY(pgd_config_set(c, pgd_config_find("model", 5), pgd_sv_c(args[0]), "model", err));
        i = 1;
    }
    while (i < n_args)
        PGD_TRY(set_flag(c, n_args, args, &i, err));
    const uint64_t b = c->block_size;
    if (b != 0 && (b < 16 || (b & (b - 1)) != 0))
        return pgd_fail(err, PGD_E_INVALID,
                        "--block-size: %llu is no power of two in 16..256 (or 0)",
                        (unsigned long long)b);
    return PGD_OK;
}

pgd_status pgd_config_load(int n_args, const char *const *args, const char *const *env,
                           pgd_config *out, pgd_error *err) {
    memset(out, 0, sizeof(*out));
    if (pgd_arena_create(&out->arena, 4u << 20) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "no memory for the configuration");
    const pgd_status s = load(n_args, args, env, out, err);
    if (s != PGD_OK) pgd_config_fini(out);
    return s;
}

void pgd_config_fini(pgd_config *c) {
    pgd_arena_destroy(&c->arena);
    memset(c, 0, sizeof(*c));
}
