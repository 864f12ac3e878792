/* The strict JSON checker, shared by the two halves of json.h; private to base. */
#ifndef PGD_BASE_JSON_CHECK_H
#define PGD_BASE_JSON_CHECK_H

/* Bounds that hold whatever the caller's limits say: cJSON refuses deeper nesting, and copies a
 * number into a buffer of 64 bytes. */
enum { JSON_HARD_DEPTH = 1000, JSON_NUMBER_BYTES = 63 };

#endif
