/* Metrics and their Prometheus text.
 *
 * A series is a label set with its atomics; a family is a name with the series shown under it. One
 * series may hang in two families (its name and its alias). One thread at a time registers, and the
 * lists only grow at their ends through atomic links, so rendering needs no lock even while the
 * loader still adds series. Updates are relaxed: nothing is ordered by a counter. A histogram's
 * count is not stored but summed from its buckets, so that
 * "+Inf" and _count always agree in one rendering. Thread: updates and render any. */
#include "pagoda/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "num.h"
#include "pagoda/mem.h"

typedef enum kind { COUNTER, GAUGE, HISTOGRAM } kind;

struct pgd_metric {
    pgd_metric *next_owned;
    char *labels; /* owned: the constant labels and its own, comma separated, no braces */
    kind kind;
    const double *bounds; /* histogram: [n_bounds], borrowed */
    size_t n_bounds;
    _Atomic uint64_t value;    /* counter: count; gauge and histogram: bits of a double (sum) */
    _Atomic uint64_t *buckets; /* histogram: [n_bounds + 1], not cumulative */
};

typedef struct entry {
    _Atomic(struct entry *) next;
    pgd_metric *series;
} entry;

typedef struct family {
    _Atomic(struct family *) next;
    const char *name, *help; /* borrowed literals */
    kind kind;
    _Atomic(entry *) first;
    _Atomic(entry *) *last; /* where the next one is linked; the registering thread's */
} family;

struct pgd_metrics {
    char *const_labels; /* owned */
    pgd_metric *owned;
    _Atomic(family *) first;
    _Atomic(family *) *last;
};

static uint64_t bits_of(double v) {
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static double double_of(uint64_t u) {
    double v;
    memcpy(&v, &u, sizeof v);
    return v;
}

pgd_status pgd_metrics_create(pgd_metrics **out, const char *const_labels) {
    pgd_metrics *m = pgd_calloc(1, sizeof *m);
    if (!m) return PGD_E_NOMEM;
    m->last = &m->first;
    m->const_labels = pgd_strndup(const_labels, strlen(const_labels));
    if (!m->const_labels) {
        pgd_free(m);
        return PGD_E_NOMEM;
    }
    *out = m;
    return PGD_OK;
}

static void free_series(pgd_metric *s) {
    if (!s) return;
    pgd_free(s->labels);
    pgd_free(s->buckets);
    pgd_free(s);
}

void pgd_metrics_destroy(pgd_metrics **m) {
    if (!m || !*m) return;
    for (family *f = (*m)->first; f;) {
        for (entry *e = f->first; e;) {
            entry *const next = e->next;
            pgd_free(e);
            e = next;
        }
        family *const next = f->next;
        pgd_free(f);
        f = next;
    }
    for (pgd_metric *s = (*m)->owned; s;) {
        pgd_metric *const next = s->next_owned;
        free_series(s);
        s = next;
    }
    pgd_free((*m)->const_labels);
    pgd_free(*m);
    *m = NULL;
}

/* The family of that name, made when missing. One name has one kind: anything else is our bug. */
static family *get_family(pgd_metrics *m, const char *name, const char *help, kind k) {
    for (family *f = m->first; f; f = f->next) {
        if (strcmp(f->name, name) != 0) continue;
        PGD_ASSERT(f->kind == k);
        return f;
    }
    family *f = pgd_calloc(1, sizeof *f);
    if (!f) return NULL;
    f->name = name;
    f->help = help;
    f->kind = k;
    f->last = &f->first;
    *m->last = f;
    m->last = &f->next;
    return f;
}

static bool hang(family *f, pgd_metric *s) {
    entry *e = f ? pgd_calloc(1, sizeof *e) : NULL;
    if (!e) return false;
    e->series = s;
    *f->last = e;
    f->last = &e->next;
    return true;
}

static char *join_labels(const char *a, const char *b) {
    pgd_buf text = {0};
    pgd_buf_puts(&text, a);
    if (*a && *b) pgd_buf_putc(&text, ',');
    pgd_buf_puts(&text, b);
    if (text.failed) pgd_buf_fini(&text);
    return text.p;
}

typedef struct spec {
    const char *name, *alias, *labels, *help;
    kind kind;
    const double *bounds;
    size_t n_bounds;
} spec;

static pgd_metric *add(pgd_metrics *m, const spec *d) {
    pgd_metric *s = m ? pgd_calloc(1, sizeof *s) : NULL;
    if (!s) return NULL;
    s->kind = d->kind;
    s->bounds = d->bounds;
    s->n_bounds = d->n_bounds;
    s->labels = join_labels(m->const_labels, d->labels);
    if (d->kind == HISTOGRAM) s->buckets = pgd_calloc(d->n_bounds + 1, sizeof *s->buckets);
    if (!s->labels || (d->kind == HISTOGRAM && !s->buckets)) {
        free_series(s);
        return NULL;
    }
    s->next_owned = m->owned; /* from here the registry frees it, hung or not */
    m->owned = s;
    if (!hang(get_family(m, d->name, d->help, d->kind), s)) return NULL;
    if (d->alias && !hang(get_family(m, d->alias, d->help, d->kind), s)) return NULL;
    return s;
}

pgd_metric *pgd_metrics_counter(pgd_metrics *m, const char *name, const char *alias,
                                const char *labels, const char *help) {
    return add(m, &(spec){name, alias, labels, help, COUNTER, NULL, 0});
}

pgd_metric *pgd_metrics_gauge(pgd_metrics *m, const char *name, const char *alias,
                              const char *labels, const char *help) {
    return add(m, &(spec){name, alias, labels, help, GAUGE, NULL, 0});
}

pgd_metric *pgd_metrics_histogram(pgd_metrics *m, const char *name, const char *alias,
                                  const char *labels, const char *help, const double *bounds,
                                  size_t n) {
    for (size_t i = 1; i < n; i++)
        PGD_ASSERT(bounds[i - 1] < bounds[i]);
    return add(m, &(spec){name, alias, labels, help, HISTOGRAM, bounds, n});
}

void pgd_metric_add(pgd_metric *c, uint64_t by) {
    if (!c) return;
    PGD_ASSERT(c->kind == COUNTER);
    atomic_fetch_add_explicit(&c->value, by, memory_order_relaxed);
}

void pgd_metric_set(pgd_metric *g, double v) {
    if (!g) return;
    PGD_ASSERT(g->kind == GAUGE);
    atomic_store_explicit(&g->value, bits_of(v), memory_order_relaxed);
}

void pgd_metric_observe(pgd_metric *h, double v) {
    if (!h || isnan(v)) return; /* a NaN would poison the sum for ever */
    PGD_ASSERT(h->kind == HISTOGRAM);
    size_t i = 0;
    while (i < h->n_bounds && v > h->bounds[i])
        i++;
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    uint64_t old = atomic_load_explicit(&h->value, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&h->value, &old, bits_of(double_of(old) + v),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static uint64_t bucket(const pgd_metric *h, size_t i) {
    return atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
}

double pgd_metric_value(const pgd_metric *s) {
    if (!s) return 0;
    const uint64_t raw = atomic_load_explicit(&s->value, memory_order_relaxed);
    if (s->kind == COUNTER) return (double)raw;
    if (s->kind == GAUGE) return double_of(raw);
    uint64_t count = 0;
    for (size_t i = 0; i <= s->n_bounds; i++)
        count += bucket(s, i);
    return (double)count;
}

static void put_double(pgd_buf *out, double v) {
    char text[NUM_TEXT_BYTES];
    if (isnan(v))
        pgd_buf_puts(out, "NaN");
    else if (isinf(v))
        pgd_buf_puts(out, v > 0 ? "+Inf" : "-Inf");
    else
        pgd_buf_put(out, text, num_format_f64(text, v));
}

/* "name_suffix{labels} " up to where the value stands. */
static void put_head(pgd_buf *out, const char *name, const char *suffix, const char *labels) {
    pgd_buf_puts(out, name);
    pgd_buf_puts(out, suffix);
    if (*labels) pgd_buf_putf(out, "{%s}", labels);
    pgd_buf_putc(out, ' ');
}

static void put_bucket(pgd_buf *out, const char *name, const pgd_metric *s, double bound,
                       uint64_t count) {
    pgd_buf_putf(out, "%s_bucket{%s%sle=\"", name, s->labels, *s->labels ? "," : "");
    put_double(out, bound);
    pgd_buf_puts(out, "\"} ");
    pgd_buf_put_u64(out, count);
    pgd_buf_putc(out, '\n');
}

static void put_histogram(pgd_buf *out, const char *name, const pgd_metric *s) {
    uint64_t count = 0;
    for (size_t i = 0; i <= s->n_bounds; i++) {
        count += bucket(s, i);
        put_bucket(out, name, s, i < s->n_bounds ? s->bounds[i] : (double)INFINITY, count);
    }
    put_head(out, name, "_sum", s->labels);
    put_double(out, double_of(atomic_load_explicit(&s->value, memory_order_relaxed)));
    pgd_buf_putc(out, '\n');
    put_head(out, name, "_count", s->labels);
    pgd_buf_put_u64(out, count);
    pgd_buf_putc(out, '\n');
}

static void put_series(pgd_buf *out, const char *name, const pgd_metric *s) {
    if (s->kind == HISTOGRAM) {
        put_histogram(out, name, s);
        return;
    }
    const uint64_t raw = atomic_load_explicit(&s->value, memory_order_relaxed);
    put_head(out, name, "", s->labels);
    if (s->kind == COUNTER)
        pgd_buf_put_u64(out, raw);
    else
        put_double(out, double_of(raw));
    pgd_buf_putc(out, '\n');
}

void pgd_metrics_render(const pgd_metrics *m, pgd_buf *out) {
    static const char *const types[] = {"counter", "gauge", "histogram"};
    for (const family *f = m->first; f; f = f->next) {
        pgd_buf_putf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
                     types[f->kind]);
        for (const entry *e = f->first; e; e = e->next)
            put_series(out, f->name, e->series);
    }
}
