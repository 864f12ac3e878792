/* Flags of the bench commands, from one table each: parsing and help text.
 *
 * The server's configuration has a table of its own (src/app), with a file and the environment as
 * further sources; a measurement is one command line, which goes into its result file, so here
 * there is nothing but arguments. Strings stay borrowed from the arguments. One thread. */
#include <stdio.h>
#include <string.h>

#include "pagoda/bench.h"

enum { HELP_WIDTH = 92, HELP_INDENT = 10 };

static pgd_status fail_range(const pgd_bench_flag *f, const char *v, pgd_error *err) {
    return pgd_fail(err, PGD_E_INVALID, "--%s: %s is not in %.15g..%.15g", f->name, v, f->min,
                    f->max);
}

static bool is_choice(const char *choices, const char *v) {
    const size_t n = strlen(v);
    for (const char *at = choices;; at++) {
        const size_t len = strcspn(at, "|");
        if (len == n && memcmp(at, v, n) == 0) return true;
        at += len;
        if (*at == '\0') return false;
    }
}

static bool parse_range(pgd_sv v, pgd_bench_range *out) {
    const size_t colon = pgd_sv_find(v, PGD_SV(":"), 0);
    if (colon >= v.n) {
        if (!pgd_parse_u64(v, &out->lo)) return false;
        out->hi = out->lo;
        return true;
    }
    return pgd_parse_u64((pgd_sv){v.p, colon}, &out->lo) &&
           pgd_parse_u64((pgd_sv){v.p + colon + 1, v.n - colon - 1}, &out->hi) &&
           out->lo <= out->hi;
}

static bool parse_bytes(pgd_sv v, uint64_t *out) {
    uint64_t n = 0;
    unsigned shift = 0;
    if (v.n > 0) {
        const char last = v.p[v.n - 1];
        shift = last == 'K' ? 10 : last == 'M' ? 20 : last == 'G' ? 30 : 0;
    }
    if (shift > 0) v.n--;
    if (!pgd_parse_u64(v, &n) || n > UINT64_MAX >> shift) return false;
    *out = n << shift;
    return true;
}

static pgd_status set_value(const pgd_bench_flag *f, const char *v, void *out, pgd_error *err) {
    void *at = (char *)out + f->offset;
    const pgd_sv text = pgd_sv_c(v);
    switch (f->type) {
    case PGD_BENCH_STRING:
        *(const char **)at = v;
        return PGD_OK;
    case PGD_BENCH_CHOICE:
        if (!is_choice(f->arg, v))
            return pgd_fail(err, PGD_E_INVALID, "--%s: '%s' is none of %s", f->name, v, f->arg);
        *(const char **)at = v;
        return PGD_OK;
    case PGD_BENCH_COUNT:
    case PGD_BENCH_BYTES: {
        uint64_t n = 0;
        const bool bytes = f->type == PGD_BENCH_BYTES;
        if (!(bytes ? parse_bytes(text, &n) : pgd_parse_u64(text, &n)))
            return pgd_fail(err, PGD_E_INVALID, "--%s: '%s' is not %s", f->name, v,
                            bytes ? "a number of bytes such as 512M or 4G" : "a whole number");
        if ((double)n < f->min || (double)n > f->max) return fail_range(f, v, err);
        *(uint64_t *)at = n;
        return PGD_OK;
    }
    case PGD_BENCH_NUMBER: {
        double d = 0;
        if (!pgd_parse_f64(text, &d))
            return pgd_fail(err, PGD_E_INVALID, "--%s: '%s' is not a number", f->name, v);
        if (d < f->min || d > f->max) return fail_range(f, v, err);
        *(double *)at = d;
        return PGD_OK;
    }
    case PGD_BENCH_RANGE: {
        pgd_bench_range r = {0, 0};
        if (!parse_range(text, &r))
            return pgd_fail(err, PGD_E_INVALID,
                            "--%s: '%s' is neither a whole number nor LOW:HIGH with LOW <= HIGH",
                            f->name, v);
        if ((double)r.lo < f->min || (double)r.hi > f->max) return fail_range(f, v, err);
        *(pgd_bench_range *)at = r;
        return PGD_OK;
    }
    case PGD_BENCH_SWITCH:
        *(bool *)at = true;
        return PGD_OK;
    case PGD_BENCH_GROUP:
        break;
    }
    return pgd_fail(err, PGD_E_INTERNAL, "--%s: row without a value", f->name);
}

static const pgd_bench_flag *find(const pgd_bench_flag *rows, size_t n_rows, const char *name,
                                  size_t n) {
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i].type != PGD_BENCH_GROUP && strlen(rows[i].name) == n &&
            memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

pgd_status pgd_bench_parse_flags(const pgd_bench_flag *rows, size_t n_rows, int n_args,
                                 const char *const *args, void *out, pgd_error *err) {
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i].def != NULL) PGD_TRY(set_value(&rows[i], rows[i].def, out, err));
    for (int i = 0; i < n_args; i++) {
        const char *arg = strcmp(args[i], "-h") == 0 ? "--help" : args[i];
        if (strncmp(arg, "--", 2) != 0)
            return pgd_fail(err, PGD_E_INVALID, "unexpected argument '%s' (see --help)", arg);
        const char *eq = strchr(arg, '=');
        const size_t n = eq != NULL ? (size_t)(eq - arg - 2) : strlen(arg + 2);
        const pgd_bench_flag *f = find(rows, n_rows, arg + 2, n);
        if (f == NULL)
            return pgd_fail(err, PGD_E_INVALID, "unknown flag --%.*s (see --help)",
                            (int)(n < 80 ? n : 80), arg + 2);
        if (f->type == PGD_BENCH_SWITCH && eq != NULL)
            return pgd_fail(err, PGD_E_INVALID, "--%s takes no value", f->name);
        const char *value = eq != NULL ? eq + 1 : NULL;
        if (value == NULL && f->type != PGD_BENCH_SWITCH) {
            if (i + 1 == n_args)
                return pgd_fail(err, PGD_E_INVALID, "--%s: needs a value (%s)", f->name, f->arg);
            value = args[++i];
        }
        PGD_TRY(set_value(f, value != NULL ? value : "", out, err));
    }
    return PGD_OK;
}

void pgd_bench_flags_help(const char *head, const pgd_bench_flag *rows, size_t n_rows,
                          pgd_buf *out) {
    pgd_buf_puts(out, head);
    for (size_t i = 0; i < n_rows; i++) {
        const pgd_bench_flag *f = &rows[i];
        if (f->type == PGD_BENCH_GROUP) {
            pgd_buf_putf(out, "\n%s\n", f->name);
            continue;
        }
        pgd_buf_putf(out, "  --%s%s%s", f->name, f->arg != NULL ? " " : "",
                     f->arg != NULL ? f->arg : "");
        if (f->def != NULL) pgd_buf_putf(out, "  (default: %s)", f->def);
        pgd_buf_putc(out, '\n');
        pgd_buf_put_wrapped(out, f->help, HELP_INDENT, HELP_WIDTH);
    }
}
