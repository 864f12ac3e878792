/* Time. The engine and everything under test reads time through a pgd_clock, so that the simulator
 * can run on virtual time. Monotonic nanoseconds. Wall time is only for logs and `created` fields.
 */
#ifndef PAGODA_CLOCK_H
#define PAGODA_CLOCK_H

#include <stdint.h>

typedef struct pgd_clock {
    uint64_t (*now_ns)(void *ctx);
    void *ctx;
} pgd_clock;

/* CLOCK_MONOTONIC. */
pgd_clock pgd_clock_monotonic(void);
uint64_t pgd_clock_now(const pgd_clock *c);
/* Seconds and nanoseconds since 1970, UTC. */
uint64_t pgd_wall_ns(void);

#endif
