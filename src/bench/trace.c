/* Trace files: CSV of arrivals and lengths, as published for production services.
 *
 * Strict: a line that is not understood is an error with its number, never skipped, since a trace
 * that silently loses rows measures another load. One thread. */
#include <string.h>

#include "bench/workload.h"
#include "pagoda/mem.h"

enum { MAX_TOKENS = 1 << 24 };
static const char *const columns[] = {"arrival_ms", "input_tokens", "output_tokens"};

static pgd_status push(bench_trace *t, size_t *cap, bench_trace_row row) {
    if (t->n == *cap) {
        const size_t grown_cap = *cap == 0 ? 1024 : 2 * *cap;
        bench_trace_row *grown = pgd_realloc(t->row, grown_cap * sizeof(*grown));
        if (grown == NULL) return PGD_E_NOMEM;
        t->row = grown;
        *cap = grown_cap;
    }
    t->row[t->n++] = row;
    return PGD_OK;
}

static pgd_status parse_tokens(pgd_sv field, size_t line, int column, uint32_t *out,
                               pgd_error *err) {
    uint64_t n = 0;
    if (!pgd_parse_u64(field, &n) || n == 0 || n > MAX_TOKENS)
        return pgd_fail(err, PGD_E_FORMAT, "line %zu: %s: '%.*s' is no whole number in 1..%d", line,
                        columns[column], (int)(field.n < 40 ? field.n : 40), field.p, MAX_TOKENS);
    *out = (uint32_t)n;
    return PGD_OK;
}

static pgd_status parse_line(pgd_sv line, size_t number, double last_ms, bench_trace_row *row,
                             pgd_error *err) {
    pgd_sv field[3];
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        size_t end = pgd_sv_find(line, PGD_SV(","), at);
        if (end > line.n) end = line.n;
        if ((end < line.n) != (i < 2))
            return pgd_fail(err, PGD_E_FORMAT, "line %zu: want 3 columns %s,%s,%s, got '%.*s'",
                            number, columns[0], columns[1], columns[2],
                            (int)(line.n < 80 ? line.n : 80), line.p);
        field[i] = (pgd_sv){line.p + at, end - at};
        at = end + 1;
    }
    if (!pgd_parse_f64(field[0], &row->arrival_ms) || row->arrival_ms < 0 || row->arrival_ms > 1e12)
        return pgd_fail(err, PGD_E_FORMAT, "line %zu: %s: '%.*s' is no number of milliseconds",
                        number, columns[0], (int)(field[0].n < 40 ? field[0].n : 40), field[0].p);
    if (row->arrival_ms < last_ms)
        return pgd_fail(err, PGD_E_FORMAT, "line %zu: arrives at %.15g ms, before the line above",
                        number, row->arrival_ms);
    PGD_TRY(parse_tokens(field[1], number, 1, &row->n_in, err));
    return parse_tokens(field[2], number, 2, &row->n_out, err);
}

static pgd_status parse(pgd_sv text, bench_trace *out, pgd_error *err) {
    size_t cap = 0, number = 0;
    double last_ms = 0;
    for (pgd_sv line; pgd_sv_cut(&text, PGD_SV("\n"), &line);) {
        number++;
        if (pgd_sv_ends(line, PGD_SV("\r"))) line.n--;
        if (line.n == 0 || line.p[0] == '#') continue;
        if (out->n == 0 && pgd_sv_eq(line, PGD_SV("arrival_ms,input_tokens,output_tokens")))
            continue;
        bench_trace_row row = {0, 0, 0};
        PGD_TRY(parse_line(line, number, last_ms, &row, err));
        last_ms = row.arrival_ms;
        if (push(out, &cap, row) != PGD_OK)
            return pgd_fail(err, PGD_E_NOMEM, "no memory for a trace of over %zu lines", out->n);
    }
    return out->n > 0 ? PGD_OK : pgd_fail(err, PGD_E_FORMAT, "holds no request");
}

pgd_status bench_trace_parse(pgd_sv text, bench_trace *out, pgd_error *err) {
    *out = (bench_trace){0};
    const pgd_status s = parse(text, out, err);
    if (s != PGD_OK) bench_trace_fini(out);
    return s;
}

void bench_trace_fini(bench_trace *t) {
    pgd_free(t->row);
    *t = (bench_trace){0};
}
