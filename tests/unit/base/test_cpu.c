/* Tests of cpu.c: against what the kernel says of the same machine. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pagoda/cpu.h"

static void names_and_levels_round_trip(void **state) {
    (void)state;
    for (int i = 0; i < PGD_ISA_N; i++) {
        pgd_isa isa;
        assert_int_equal(pgd_isa_parse(pgd_isa_name((pgd_isa)i), &isa, NULL), PGD_OK);
        assert_int_equal(isa, i);
    }
    pgd_isa isa = PGD_ISA_AVX2;
    pgd_error err = {0};
    assert_int_equal(pgd_isa_parse("sse9", &isa, &err), PGD_E_INVALID);
    assert_non_null(strstr(err.msg, "avx512bf16"));
    assert_int_equal(isa, PGD_ISA_AVX2);
    assert_string_equal(pgd_isa_name(PGD_ISA_N), "unknown");
}

/* Whether /proc/cpuinfo lists every one of the flags. */
static int kernel_lists(const char *const *flags, size_t n) {
    static char line[16384];
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return 0;
    int found = 0;
    while (!found && fgets(line, sizeof line, f))
        found = strncmp(line, "flags", 5) == 0;
    (void)fclose(f);
    line[strcspn(line, "\n")] = ' ';
    for (size_t i = 0; i < n; i++) {
        char word[32];
        (void)snprintf(word, sizeof word, " %s ", flags[i]);
        if (!strstr(line, word)) return 0;
    }
    return found;
}

static void the_level_agrees_with_the_kernels_flags(void **state) {
    (void)state;
    static const char *const flags[] = {"avx2",     "fma",      "f16c",     "avx512f",
                                        "avx512bw", "avx512dq", "avx512vl", "avx512_bf16"};
    const pgd_isa isa = pgd_cpu_detect();
    assert_int_equal(isa >= PGD_ISA_AVX2, kernel_lists(flags, 3));
    assert_int_equal(isa >= PGD_ISA_AVX512, kernel_lists(flags, 7));
    assert_int_equal(isa >= PGD_ISA_AVX512BF16, kernel_lists(flags, 8));
}

static void cores_follow_the_affinity_mask(void **state) {
    (void)state;
    cpu_set_t all;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    const uint32_t n = pgd_cpu_count();
    assert_in_range(n, 1, (uint32_t)CPU_COUNT(&all));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(pgd_cpu_count(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(pgd_cpu_count(), n);
}

static void memory_is_within_what_the_machine_has(void **state) {
    (void)state;
    const uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_in_range(pgd_mem_total(), 1 << 20, physical);
    assert_in_range(pgd_mem_available(), 1, pgd_mem_total());
}

static void a_known_cache_is_larger_than_a_first_level_one(void **state) {
    (void)state;
    const uint64_t bytes = pgd_cpu_l3_bytes();
    if (bytes) assert_in_range(bytes, 128 << 10, (uint64_t)4 << 30);
    assert_int_equal(bytes % 1024, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_levels_round_trip),
        cmocka_unit_test(the_level_agrees_with_the_kernels_flags),
        cmocka_unit_test(cores_follow_the_affinity_mask),
        cmocka_unit_test(memory_is_within_what_the_machine_has),
        cmocka_unit_test(a_known_cache_is_larger_than_a_first_level_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
