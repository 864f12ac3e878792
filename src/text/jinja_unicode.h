/* Private to src/text: the Unicode properties and case mappings that Python's str methods need.
 * Thread: any; pure functions. */
#ifndef PGD_TEXT_JINJA_UNICODE_H
#define PGD_TEXT_JINJA_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool juc_printable(uint32_t cp); /* str.isprintable */
bool juc_alpha(uint32_t cp);     /* category L */
bool juc_digit(uint32_t cp);     /* category Nd */
bool juc_numeric(uint32_t cp);   /* category N */
bool juc_upper(uint32_t cp);     /* category Lu */
bool juc_lower(uint32_t cp);     /* category Ll */
bool juc_title(uint32_t cp);     /* category Lt */
/* Full upper mapping (German sharp s gives two letters); returns how many of out[] were written. */
size_t juc_to_upper(uint32_t cp, uint32_t out[3]);
size_t juc_to_title(uint32_t cp, uint32_t out[3]);
size_t juc_to_lower(uint32_t cp, uint32_t out[3]);

#endif
