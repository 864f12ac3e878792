/* Rotary tables against the frequencies that transformers computes for real configurations
 * (tests/golden/logits/rope.txt, made by scripts/golden/rope.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/fs.h"
#include "pagoda/mem.h"
#include "pagoda/model.h"
#include "pagoda/str.h"

static const char golden_path[] = PGD_SOURCE_DIR "/tests/golden/logits/rope.txt";

/* The next field of *line up to a tab or its end. */
static pgd_sv next_field(pgd_sv *line) {
    const size_t tab = pgd_sv_find(*line, PGD_SV("\t"), 0);
    const size_t n = tab == SIZE_MAX ? line->n : tab;
    const pgd_sv f = {line->p, n};
    const size_t used = tab == SIZE_MAX ? n : n + 1;
    *line = (pgd_sv){line->p + used, line->n - used};
    return f;
}

static double next_number(pgd_sv *line) {
    double v = 0;
    const pgd_sv f = next_field(line);
    if (!pgd_parse_f64(f, &v)) fail_msg("no number: '%.*s'", (int)f.n, f.p);
    return v;
}

/* At position 1 the angle is the frequency itself; a later position checks the float32 product. */
static void check_frequency(const char *name, const pgd_rope_spec *r, uint32_t seq_len, uint32_t i,
                            double want, double factor) {
    const uint32_t half = r->rotary_dim / 2, far = 4000;
    float c[512], s[512];
    pgd_rope_table(r, 1, 1, seq_len, c, s);
    const double got = atan2((double)s[i], (double)c[i]);
    if (fabs(got - want) > 4e-7 * want + 1e-12)
        fail_msg("%s: frequency %u of %u is %.9g, transformers has %.9g", name, i, half, got, want);
    assert_true(fabs(hypot((double)s[i], (double)c[i]) - factor) < 1e-6 * factor);
    pgd_rope_table(r, far, 1, seq_len, c, s);
    const double angle = far * want; /* one float32 unit of the angle is up to 2.5e-4 */
    assert_true(fabs((double)c[i] - factor * cos(angle)) < 1e-3);
    assert_true(fabs((double)s[i] - factor * sin(angle)) < 1e-3);
}

static void check_case(pgd_sv line) {
    char name[64];
    pgd_model_spec spec;
    pgd_error err = {0};
    const pgd_sv title = next_field(&line), config = next_field(&line);
    (void)snprintf(name, sizeof name, "%.*s", (int)title.n, title.p);
    if (pgd_model_spec_parse(config.p, config.n, &spec, &err) != PGD_OK)
        fail_msg("%s: %s", name, err.msg);
    const double context = next_number(&line), seq_len = next_number(&line);
    const double factor = next_number(&line);
    assert_int_equal(spec.max_position, (uint32_t)context);
    assert_true(fabs(spec.rope.attention_factor - factor) < 1e-6);
    for (uint32_t i = 0; i < spec.rope.rotary_dim / 2; i++)
        check_frequency(name, &spec.rope, (uint32_t)seq_len, i, next_number(&line), factor);
    assert_int_equal(line.n, 0);
}

static void frequencies_equal_those_of_transformers(void **state) {
    (void)state;
    pgd_buf text = {0};
    pgd_error err = {0};
    uint32_t n = 0;
    if (pgd_fs_read(golden_path, 1 << 20, &text, &err) != PGD_OK) fail_msg("%s", err.msg);
    for (size_t at = 0; at < text.n;) {
        const size_t end = pgd_sv_find(pgd_buf_sv(&text), PGD_SV("\n"), at);
        assert_true(end != SIZE_MAX);
        check_case((pgd_sv){text.p + at, end - at});
        at = end + 1;
        n++;
    }
    assert_int_equal(n, 10);
    pgd_buf_fini(&text);
}

static void a_table_is_the_same_in_one_piece_or_several(void **state) {
    (void)state;
    const pgd_rope_spec r = {.kind = PGD_ROPE_LLAMA3,
                             .theta = 500000,
                             .factor = 8,
                             .low_freq_factor = 1,
                             .high_freq_factor = 4,
                             .original_max_position = 8192,
                             .attention_factor = 1,
                             .rotary_dim = 16};
    float whole[2][64 * 8], part[2][64 * 8];
    pgd_rope_table(&r, 100, 64, 4096, whole[0], whole[1]);
    for (uint32_t p = 0; p < 64; p += 16)
        pgd_rope_table(&r, 100 + p, 16, 4096, part[0] + p * 8, part[1] + p * 8);
    assert_memory_equal(whole, part, sizeof whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_equal_those_of_transformers),
        cmocka_unit_test(a_table_is_the_same_in_one_piece_or_several),
    };
    return cmocka_run_group_tests_name("model_rope", tests, NULL, NULL);
}
