/* Shortest decimal text of a floating-point number; private to base. */
#ifndef PGD_BASE_NUM_H
#define PGD_BASE_NUM_H

enum { NUM_TEXT_BYTES = 32 };

/* Finite v in the fewest significant digits that read back to v, with ".0" on integral values that
 * print without an exponent. NUL-terminated into out; returns the length. */
unsigned num_format_f64(char out[NUM_TEXT_BYTES], double v);
unsigned num_format_f32(char out[NUM_TEXT_BYTES], float v);

#endif
