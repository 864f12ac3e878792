/* Service-level objectives: goodput counts the requests that met all of them.
 *
 * One thread. */
#include "bench/slo.h"

#include <stddef.h>
#include <string.h>

#include "pagoda/str.h"

static const struct {
    const char *name;
    size_t in_slo, in_latency;
} rows[] = {
    {"ttft", offsetof(bench_slo, ttft), offsetof(bench_latency, ttft)},
    {"tpot", offsetof(bench_slo, tpot), offsetof(bench_latency, tpot)},
    {"itl", offsetof(bench_slo, itl), offsetof(bench_latency, itl)},
    {"e2e", offsetof(bench_slo, e2e), offsetof(bench_latency, e2e)},
};
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static pgd_status parse_one(pgd_sv item, bench_slo *out, pgd_error *err) {
    const size_t colon = pgd_sv_find(item, PGD_SV(":"), 0);
    double ms = 0;
    if (colon < item.n && pgd_parse_f64((pgd_sv){item.p + colon + 1, item.n - colon - 1}, &ms) &&
        ms > 0) {
        for (size_t i = 0; i < N_ROWS; i++) {
            if (!pgd_sv_eq((pgd_sv){item.p, colon}, pgd_sv_c(rows[i].name))) continue;
            *(double *)(void *)((char *)out + rows[i].in_slo) = ms;
            return PGD_OK;
        }
    }
    return pgd_fail(err, PGD_E_INVALID,
                    "--goodput: '%.*s' is not NAME:MILLISECONDS with NAME one of ttft, tpot, itl, "
                    "e2e",
                    (int)(item.n < 60 ? item.n : 60), item.p);
}

pgd_status bench_slo_parse(const char *text, bench_slo *out, pgd_error *err) {
    *out = (bench_slo){0};
    if (text == NULL) return PGD_OK;
    const pgd_sv all = pgd_sv_c(text);
    for (size_t at = 0; at <= all.n;) {
        size_t end = pgd_sv_find(all, PGD_SV(","), at);
        if (end > all.n) end = all.n;
        PGD_TRY(parse_one((pgd_sv){all.p + at, end - at}, out, err));
        at = end + 1;
    }
    return PGD_OK;
}

static double limit(const bench_slo *s, size_t i) {
    return *(const double *)(const void *)((const char *)s + rows[i].in_slo);
}

bool bench_slo_any(const bench_slo *s) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (limit(s, i) > 0) return true;
    return false;
}

bool bench_slo_met(const bench_slo *s, const bench_latency *l) {
    for (size_t i = 0; i < N_ROWS; i++) {
        const double got = *(const double *)(const void *)((const char *)l + rows[i].in_latency);
        if (limit(s, i) > 0 && got > limit(s, i)) return false;
    }
    return true;
}
