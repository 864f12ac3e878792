/* Metrics: counters, gauges and histograms with at most a few constant label sets, shown as
 * Prometheus text 0.0.4. Updates are relaxed atomics (any thread, no lock); rendering reads a
 * possibly torn but monotone picture. Series are registered by one thread at a time, while others
 * may render. */
#ifndef PAGODA_METRICS_H
#define PAGODA_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_metrics pgd_metrics; /* the registry */
typedef struct pgd_metric pgd_metric;   /* one series; borrowed from the registry */

/* const_labels, such as `model_name="m",engine="0"`, is put on every series (may be ""). */
pgd_status pgd_metrics_create(pgd_metrics **out, const char *const_labels);
void pgd_metrics_destroy(pgd_metrics **m);

/* Register a series. name and help are borrowed literals; labels is "" or `finished_reason="stop"`
 * (copied). Series of one family share name and help. alias is NULL or a second family name under
 * which the same value is exported. Returns NULL when memory is exhausted. */
pgd_metric *pgd_metrics_counter(pgd_metrics *m, const char *name, const char *alias,
                                const char *labels, const char *help);
pgd_metric *pgd_metrics_gauge(pgd_metrics *m, const char *name, const char *alias,
                              const char *labels, const char *help);
/* bounds: n ascending upper bounds (borrowed), +Inf is implied. */
pgd_metric *pgd_metrics_histogram(pgd_metrics *m, const char *name, const char *alias,
                                  const char *labels, const char *help, const double *bounds,
                                  size_t n);

/* NULL series are ignored, so that callers need no registry in tests. */
void pgd_metric_add(pgd_metric *c, uint64_t by);  /* counter */
void pgd_metric_set(pgd_metric *g, double v);     /* gauge */
void pgd_metric_observe(pgd_metric *h, double v); /* histogram */
double pgd_metric_value(const pgd_metric *s);     /* counter or gauge; histogram: count */

/* Append the whole exposition, # HELP and # TYPE once a family. */
void pgd_metrics_render(const pgd_metrics *m, pgd_buf *out);

#endif
