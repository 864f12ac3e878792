/* Random valid requests of both generation routes, a function of their seed. */
#ifndef TESTS_API_BODIES_H
#define TESTS_API_BODIES_H

#include <stdbool.h>

#include "pagoda/api.h"

/* Write a body; with `stream` the same request asks for a stream, and *flags is what fold_stream
 * must know. */
pgd_route test_random_body(uint64_t seed, bool stream, unsigned *flags, char *out, size_t cap);

#endif
