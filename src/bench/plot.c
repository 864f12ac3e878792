/* A small writer of SVG line charts, and the picture of a result.
 *
 * One self-contained document: no scripts, no fonts, colours by CSS with a dark variant, so that it
 * can be put into a README as it is. Lines differ in dash pattern as well as colour. Axes begin at
 * zero. One thread. */
#include "bench/plot.h"

#include <math.h>

#include "bench/result.h"

enum { MARGIN_LEFT = 54, MARGIN_RIGHT = 14, MARGIN_TOP = 34, MARGIN_BOTTOM = 38 };
enum { CDF_POINTS = 201, WIDTH = 960, HEIGHT = 620 };

static void put_text(pgd_buf *out, const char *s) {
    for (; *s != '\0'; s++) {
        if (*s == '<')
            pgd_buf_puts(out, "&lt;");
        else if (*s == '&')
            pgd_buf_puts(out, "&amp;");
        else
            pgd_buf_putc(out, *s);
    }
}

void bench_svg_begin(pgd_buf *out, double width, double height, const char *title) {
    pgd_buf_putf(out,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" "
                 "height=\"%g\" font-family=\"system-ui,sans-serif\" font-size=\"12\">\n"
                 "<style>\n"
                 ".bg{fill:#fff}.t{fill:#222}.m{fill:#666}.g{stroke:#ddd}.x{stroke:#888}\n"
                 ".l{fill:none;stroke-width:1.8}.l0{stroke:#0b62a8}.l1{stroke:#c2410c;"
                 "stroke-dasharray:6 3}.l2{stroke:#15803d;stroke-dasharray:2 3}\n"
                 ".a{fill:#0b62a8;fill-opacity:.18;stroke:none}\n"
                 "@media (prefers-color-scheme:dark){.bg{fill:#14171a}.t{fill:#e6e6e6}"
                 ".m{fill:#9aa0a6}.g{stroke:#30353a}.x{stroke:#7a8087}\n"
                 ".l0{stroke:#6db5f2}.l1{stroke:#fb923c}.l2{stroke:#4ade80}.a{fill:#6db5f2}}\n"
                 "</style>\n<rect class=\"bg\" width=\"100%%\" height=\"100%%\"/>\n",
                 width, height, width, height);
    pgd_buf_puts(out, "<text class=\"t\" x=\"16\" y=\"24\" font-size=\"14\" font-weight=\"600\">");
    put_text(out, title);
    pgd_buf_puts(out, "</text>\n");
}

void bench_svg_end(pgd_buf *out) {
    pgd_buf_puts(out, "</svg>\n");
}

double bench_tick_step(double max, int n) {
    if (!(max > 0)) return 1;
    const double raw = max / n, power = pow(10, floor(log10(raw)));
    const double lead = raw / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 2.5 ? 2.5 : lead <= 5 ? 5 : 10);
}

/* Where data meets pixels. */
typedef struct frame {
    double x0, y0, w, h, x_max, y_max;
} frame;

static double px(const frame *f, double x) {
    return f->x0 + f->w * (x < f->x_max ? x : f->x_max) / f->x_max;
}

static double py(const frame *f, double y) {
    return f->y0 + f->h * (1 - (y < f->y_max ? y : f->y_max) / f->y_max);
}

static frame make_frame(const bench_chart *c) {
    double x_max = 0, y_max = c->y_max;
    for (size_t k = 0; k < c->n_lines; k++) {
        for (size_t i = 0; i < c->line[k].n; i++) {
            x_max = fmax(x_max, c->line[k].x[i]);
            if (c->y_max <= 0) y_max = fmax(y_max, 1.05 * c->line[k].y[i]);
        }
    }
    if (c->area && c->n_lines > 0 && c->line[0].n > 1) x_max += c->line[0].x[1] - c->line[0].x[0];
    return (frame){.x0 = c->left + MARGIN_LEFT,
                   .y0 = c->top + MARGIN_TOP,
                   .w = c->width - MARGIN_LEFT - MARGIN_RIGHT,
                   .h = c->height - MARGIN_TOP - MARGIN_BOTTOM,
                   .x_max = x_max > 0 ? x_max : 1,
                   .y_max = y_max > 0 ? y_max : 1};
}

static void put_axes(pgd_buf *out, const bench_chart *c, const frame *f) {
    pgd_buf_putf(out, "<text class=\"t\" x=\"%.1f\" y=\"%.1f\" font-weight=\"600\">", f->x0,
                 c->top + 20);
    put_text(out, c->title);
    pgd_buf_puts(out, "</text>\n");
    const double dy = bench_tick_step(f->y_max, 4), dx = bench_tick_step(f->x_max, 6);
    for (int i = 0; i * dy <= f->y_max * 1.0001; i++) {
        const double y = i * dy;
        pgd_buf_putf(out,
                     "<line class=\"g\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                     "<text class=\"m\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
                     f->x0, f->x0 + f->w, py(f, y), py(f, y), f->x0 - 6, py(f, y) + 4, y);
    }
    for (int i = 0; i * dx <= f->x_max * 1.0001; i++) {
        const double x = i * dx;
        pgd_buf_putf(out,
                     "<line class=\"g\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                     "<text class=\"m\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.6g</text>\n",
                     px(f, x), px(f, x), f->y0, f->y0 + f->h, px(f, x), f->y0 + f->h + 15, x);
    }
    pgd_buf_putf(out,
                 "<line class=\"x\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                 "<text class=\"m\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                 f->x0, f->x0 + f->w, f->y0 + f->h, f->y0 + f->h, f->x0 + f->w / 2,
                 f->y0 + f->h + 31);
    put_text(out, c->x_label);
    pgd_buf_puts(out, "</text>\n");
}

static void put_line(pgd_buf *out, const frame *f, const bench_line *l, size_t k) {
    pgd_buf_putf(out, "<path class=\"l l%zu\" d=\"", k);
    for (size_t i = 0; i < l->n; i++)
        pgd_buf_putf(out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', px(f, l->x[i]), py(f, l->y[i]));
    pgd_buf_puts(out, "\"/>\n");
}

/* y[i] holds from x[i] to x[i + 1]; the last one is as wide as the first. */
static void put_area(pgd_buf *out, const frame *f, const bench_line *l) {
    const double wide = l->n > 1 ? l->x[1] - l->x[0] : f->x_max;
    pgd_buf puts = {0};
    for (size_t i = 0; i < l->n; i++)
        pgd_buf_putf(&puts, "%s%.1f %.1fH%.1f", i == 0 ? "" : "L", px(f, l->x[i]), py(f, l->y[i]),
                     px(f, l->x[i] + wide));
    if (puts.failed || l->n == 0)
        out->failed = out->failed || puts.failed;
    else
        pgd_buf_putf(out,
                     "<path class=\"a\" d=\"M%.1f %.1fL%sV%.1fZ\"/>\n"
                     "<path class=\"l l0\" d=\"M%s\"/>\n",
                     px(f, l->x[0]), py(f, 0), puts.p, py(f, 0), puts.p);
    pgd_buf_fini(&puts);
}

void bench_svg_chart(pgd_buf *out, const bench_chart *c) {
    const frame f = make_frame(c);
    put_axes(out, c, &f);
    for (size_t k = 0; k < c->n_lines; k++) {
        if (c->area)
            put_area(out, &f, &c->line[k]);
        else if (c->line[k].n > 0)
            put_line(out, &f, &c->line[k], k);
        if (c->n_lines < 2) continue;
        const double y = f.y0 + f.h - 12 - 16 * (double)(c->n_lines - 1 - k), x = f.x0 + f.w - 90;
        pgd_buf_putf(out,
                     "<line class=\"l l%zu\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                     "<text class=\"t\" x=\"%.1f\" y=\"%.1f\">",
                     k, x, x + 26, y - 4, y - 4, x + 32, y);
        put_text(out, c->line[k].name);
        pgd_buf_puts(out, "</text>\n");
    }
}

/* ---- the picture of a result ---- */

typedef struct cdf {
    double x[CDF_POINTS], y[CDF_POINTS];
    bench_line line;
} cdf;

/* The distribution up to its 99.5th percentile, so that one stray value does not flatten it. */
static void make_cdf(const pgd_samples *s, const char *name, cdf *out) {
    out->line = (bench_line){name, out->x, out->y, s->n > 0 ? CDF_POINTS : 0};
    for (size_t i = 0; i < out->line.n; i++) {
        const double q = 0.995 * (double)i / (CDF_POINTS - 1);
        out->x[i] = pgd_quantile(s->v, s->n, q);
        out->y[i] = 100 * q;
    }
}

static void put_cdf(pgd_buf *out, double left, double top, double width, const char *title,
                    const bench_line *line, size_t n_lines) {
    const bench_chart c = {.left = left,
                           .top = top,
                           .width = width,
                           .height = 280,
                           .title = title,
                           .x_label = "ms",
                           .y_max = 100,
                           .line = line,
                           .n_lines = n_lines};
    bench_svg_chart(out, &c);
}

void bench_result_put_svg(const bench_result *r, const char *title, pgd_buf *out) {
    bench_svg_begin(out, WIDTH, HEIGHT, title);
    cdf ttft, tpot, itl, e2e;
    make_cdf(&r->ttft, "TTFT", &ttft);
    make_cdf(&r->tpot, "TPOT", &tpot);
    make_cdf(&r->itl, "ITL", &itl);
    make_cdf(&r->e2e, "E2E", &e2e);
    const bench_line gaps[] = {tpot.line, itl.line};
    put_cdf(out, 0, 36, 320, "TTFT, % of requests within", &ttft.line, 1);
    put_cdf(out, 320, 36, 320, "TPOT and ITL, % within", gaps, 2);
    put_cdf(out, 640, 36, 320, "E2E, % of requests within", &e2e.line, 1);
    double at[BENCH_MAX_BINS];
    for (uint32_t i = 0; i < r->n_bins; i++)
        at[i] = r->bin_s * i;
    const bench_line rate = {"output tokens/s", at, r->bin, r->n_bins};
    const bench_chart c = {.top = 320,
                           .width = WIDTH,
                           .height = 290,
                           .title = "Output tokens a second",
                           .x_label = "seconds from the start",
                           .area = true,
                           .line = &rate,
                           .n_lines = 1};
    bench_svg_chart(out, &c);
    bench_svg_end(out);
}
