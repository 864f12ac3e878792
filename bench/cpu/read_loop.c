/* The plain read loop that decode is measured against: nothing but loads and additions. */
#include "bench_cpu.h"

enum { LANE_BYTES = 64, LANES = 8 };
typedef uint64_t lane __attribute__((vector_size(32)));

static void read_range(void *arg, uint64_t begin, uint64_t end, uint32_t thread) {
    const lane *p = arg;
    lane sum[LANES] = {{0}};
    (void)thread;
    for (uint64_t i = begin; i + 4 <= end; i += 4)
        for (uint64_t j = 0; j < LANES; j++)
            sum[j] += p[2 * i + j];
    for (uint64_t j = 0; j < LANES; j++)
        __asm__ volatile("" : : "m"(sum[j])); /* the sums count as used */
}

void bench_read(pgd_pool *pool, const void *p, uint64_t bytes) {
    pgd_pool_for(pool, bytes / LANE_BYTES, 4096, read_range, (void *)(uintptr_t)p);
}
