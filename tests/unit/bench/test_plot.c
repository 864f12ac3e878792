/* The SVG writer: round ticks, coordinates inside the panel, markup escaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "bench/plot.h"
#include "pagoda/str.h"

static void ticks_are_round(void **state) {
    (void)state;
    const double cases[][3] = {{100, 4, 25},     {1, 5, 0.2},   {7, 4, 2}, {9, 4, 2.5},
                               {0.03, 6, 0.005}, {5e6, 4, 2e6}, {0, 4, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const double got = bench_tick_step(cases[i][0], (int)cases[i][1]);
        assert_true(fabs(got / cases[i][2] - 1) < 1e-9);
    }
}

/* Every "x y" of a path lies in the panel. */
static void check_path(const char *path, double left, double right, double top, double bottom) {
    size_t n = 0;
    for (const char *p = path; *p != '"'; p++) {
        if (*p != 'M' && *p != 'L') continue;
        double x = 0, y = 0;
        const size_t xn = strcspn(p + 1, " "), yn = strcspn(p + 2 + xn, "LHMV\"");
        assert_true(pgd_parse_f64((pgd_sv){p + 1, xn}, &x));
        assert_true(pgd_parse_f64((pgd_sv){p + 2 + xn, yn}, &y));
        assert_true(x >= left && x <= right && y >= top && y <= bottom);
        n++;
    }
    assert_true(n > 0);
}

static void lines_stay_inside_their_panel(void **state) {
    (void)state;
    const double x[] = {0, 1, 5, 1000}, y[] = {0, 3, 2, 900};
    const bench_line line = {"a", x, y, 4};
    for (int area = 0; area < 2; area++) {
        const bench_chart c = {.left = 100,
                               .top = 50,
                               .width = 300,
                               .height = 200,
                               .title = "t",
                               .x_label = "s",
                               .area = area,
                               .line = &line,
                               .n_lines = 1};
        pgd_buf svg = {0};
        bench_svg_chart(&svg, &c);
        const char *path = strstr(svg.p, "<path class=\"l l0\" d=\"");
        assert_non_null(path);
        check_path(path + 22, 100, 400, 50, 250);
        pgd_buf_fini(&svg);
    }
}

static void names_are_escaped_and_both_themes_are_there(void **state) {
    (void)state;
    pgd_buf svg = {0};
    bench_svg_begin(&svg, 10, 10, "a<b>&c");
    bench_svg_end(&svg);
    assert_non_null(strstr(svg.p, ">a&lt;b>&amp;c</text>"));
    assert_non_null(strstr(svg.p, "prefers-color-scheme:dark"));
    pgd_buf_fini(&svg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(lines_stay_inside_their_panel),
        cmocka_unit_test(names_are_escaped_and_both_themes_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
