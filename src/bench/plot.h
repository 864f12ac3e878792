/* A small writer of SVG line charts. Private to src/bench. */
#ifndef PGD_BENCH_PLOT_H
#define PGD_BENCH_PLOT_H

#include "pagoda/str.h"

/* A line through (x[i], y[i]); x ascending. */
typedef struct bench_line {
    const char *name; /* in the legend; plain text */
    const double *x, *y;
    size_t n;
} bench_line;

typedef struct bench_chart {
    double left, top, width, height; /* of the whole panel, in pixels */
    const char *title, *x_label;
    double y_max; /* 0: of the data */
    bool area;    /* fill below the (only) line, drawn in steps */
    const bench_line *line;
    size_t n_lines; /* at most 3 */
} bench_chart;

/* The document's head with its colours for light and dark, and its end. */
void bench_svg_begin(pgd_buf *out, double width, double height, const char *title);
void bench_svg_chart(pgd_buf *out, const bench_chart *c);
void bench_svg_end(pgd_buf *out);

/* A round step so that `max` has about n of them: 1, 2, 2.5 or 5 times a power of ten. */
double bench_tick_step(double max, int n);

#endif
