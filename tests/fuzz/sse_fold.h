/* A strict reader of the streams and plain answers of the four generation routes, for fuzz_sse.c:
 * both are folded into one text, which must be the same for the same output of a model, and every
 * rule of the wire is asserted on the way. It shares no code with the writers, nor with the folds
 * of the unit tests. */
#ifndef TESTS_FUZZ_SSE_FOLD_H
#define TESTS_FUZZ_SSE_FOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/api.h"
#include "pagoda/str.h"

/* What the request asked for, and what happened to it. */
typedef struct sse_asked {
    pgd_route route; /* CHAT, COMPLETIONS, MESSAGES or RESPONSES */
    uint32_t n_choices;
    bool usage, continuous; /* stream_options */
    bool no_memory;         /* an allocation failed: the end may lack, events were undone */
} sse_asked;

typedef struct sse_fold {
    bool ended;    /* the last event of a stream was there */
    pgd_buf text;  /* the answer */
    pgd_buf usage; /* where it was told */
    pgd_buf error; /* the message; empty: it ended well */
} sse_fold;

/* All bytes that the client of a stream got. */
void sse_fold_stream(const sse_asked *a, pgd_sv bytes, sse_fold *out);
/* The body of a plain answer, or of an error. */
void sse_fold_answer(const sse_asked *a, pgd_sv json, sse_fold *out);
void sse_fold_fini(sse_fold *f);

#endif
