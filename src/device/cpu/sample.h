/* Pieces that the scalar and the vector kernels of sampling share. Private to src/device/cpu. */
#ifndef PGD_CPU_SAMPLE_H
#define PGD_CPU_SAMPLE_H

#include "cpu_internal.h"
#include "cpu_math.h"

enum { PGD_CPU_SUM_CHUNK = 1024 }; /* floats added in f32 before their sum goes to a double */

/* No noise exceeds this: -ln(-ln(1 - 2^-24)) = 16.64. Tokens further below the best so far cannot
 * win, and get no noise. */
#define PGD_CPU_GUMBEL_MAX 17.0F
#define PGD_CPU_MASS_ONE 0x1p30F

/* exp(z - max) in units of 2^-30, rounded to nearest even. 0 <= result <= 2^30. */
static inline uint32_t pgd_cpu_mass_of(float z, float max) {
    /* products below 2^23 round by the addition; larger ones are whole already */
    const float m = pgd_cpu_exp(z - max) * PGD_CPU_MASS_ONE;
    const float r = m < 0x1p23F ? (m + 0x1p23F) - 0x1p23F : m;
    return (uint32_t)r;
}

static inline float pgd_cpu_gumbel(const pgd_cpu_noise *n, uint32_t token) {
    const float u = pgd_rng_uniform(n->seed, n->choice, n->position, PGD_RNG_SAMPLE, token);
    return -pgd_cpu_log(-pgd_cpu_log(u));
}

#endif
