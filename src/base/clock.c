/* The real clocks behind pgd_clock.
 *
 * Everything that decides by time takes a pgd_clock, so that the simulator can hand it virtual
 * time; this file is the only place that asks the kernel. Monotonic time for decisions and
 * durations, wall time only for what people read. Thread: any. */
#include "pagoda/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t id) {
    struct timespec t;
    (void)clock_gettime(id, &t); /* cannot fail for the two clocks used here */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t monotonic_ns(void *ctx) {
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC);
}

pgd_clock pgd_clock_monotonic(void) {
    return (pgd_clock){.now_ns = monotonic_ns, .ctx = NULL};
}

uint64_t pgd_clock_now(const pgd_clock *c) {
    return c->now_ns(c->ctx);
}

uint64_t pgd_wall_ns(void) {
    return read_clock(CLOCK_REALTIME);
}
