/* safetensors headers: whatever is accepted lies inside the file, tensor by tensor. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* A copy of exactly size bytes, so that the sanitizer sees any read past them. */
    uint8_t *const copy = malloc(size ? size : 1);
    check(copy != NULL);
    if (size) memcpy(copy, data, size);
    st_file *f = NULL;
    pgd_error err = {0};
    const pgd_status s = st_open_bytes("fuzz", copy, size, &f, &err);
    check((s == PGD_OK) == (f != NULL));
    check(s == PGD_OK || err.msg[0] != '\0');
    volatile uint8_t sum = 0;
    for (size_t i = 0; f && i < st_count(f); i++) {
        const st_tensor *const t = st_at(f, i);
        check(st_find(f, t->name) == t);
        check(t->ndim <= ST_MAX_DIMS && t->begin <= t->end);
        if (t->end == t->begin) continue;
        check(t->data >= copy && t->data + (t->end - t->begin) <= copy + size);
        sum = (uint8_t)(sum + t->data[0] + t->data[t->end - t->begin - 1]);
    }
    st_close(&f);
    free(copy);
    return 0;
}
