/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw is a pure function of (key, counter), which is what makes a token
 * independent of batch, chunking, cache and preemption. Thread: any. */
#ifndef PAGODA_RNG_H
#define PAGODA_RNG_H

#include <stdint.h>

/* Purposes keep streams of one request apart; they are part of the counter. */
enum { PGD_RNG_SAMPLE = 0, PGD_RNG_DRAFT = 1 };

/* out = Philox4x32-10(key, ctr). */
void pgd_philox4x32(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]);
/* Uniform in (0, 1), 24 bits, for (seed, choice, absolute position, purpose, lane). Lane is the
 * token id when one noise value per vocabulary entry is needed, else 0. Never 0 or 1.
 * A block of Philox holds four words, and four lanes share it: the key is seed, low word first; the
 * counter is (lane / 4, position, choice, purpose); the draw is made from word lane % 4. */
float pgd_rng_uniform(uint64_t seed, uint32_t choice, uint32_t position, uint32_t purpose,
                      uint32_t lane);
/* A small sequential generator for tests and workloads (SplitMix64): advances *state. */
uint64_t pgd_rng_next(uint64_t *state);

#endif
