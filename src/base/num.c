/* Shortest decimal text of a floating-point number.
 *
 * Tries rising precisions and takes the first that reads back to the same value: at most three
 * tries for a double (15 digits always survive the way there, 17 always the way back) and four for
 * a float (6 and 9). A value written with few digits is found at the first try; %g drops trailing
 * zeros. Printing and reading use the "C" locale, which the program never leaves (see str.c).
 * Thread: any. */
#include "num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned finish(char out[NUM_TEXT_BYTES]) {
    size_t n = strlen(out);
    if (!strpbrk(out, ".e")) {
        memcpy(out + n, ".0", 3);
        n += 2;
    }
    return (unsigned)n;
}

unsigned num_format_f64(char out[NUM_TEXT_BYTES], double v) {
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, NUM_TEXT_BYTES, "%.*g", digits, v);
        if (strtod(out, NULL) == v) break;
    }
    return finish(out);
}

unsigned num_format_f32(char out[NUM_TEXT_BYTES], float v) {
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(out, NUM_TEXT_BYTES, "%.*g", digits, (double)v);
        if (strtof(out, NULL) == v) break;
    }
    return finish(out);
}
