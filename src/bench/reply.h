/* Incremental parsing of HTTP/1.1 responses. Private to src/bench. */
#ifndef PGD_BENCH_REPLY_H
#define PGD_BENCH_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/str.h"

typedef enum bench_parse { BENCH_PARSE_MORE, BENCH_PARSE_DONE, BENCH_PARSE_BAD } bench_parse;

/* One response. bench_reply_init, then feed until it is done; fini frees the line buffer. */
typedef struct bench_reply {
    uint8_t state;
    bool has_length, chunked, keep_alive;
    bool head_done;    /* status and the fields below are valid */
    bool event_stream; /* Content-Type: text/event-stream */
    int status;
    uint64_t left; /* of the body, or of the current chunk */
    size_t head_bytes;
    pgd_buf line;    /* of the head, or a chunk's size; owned */
    const char *why; /* with BENCH_PARSE_BAD; static text */
} bench_reply;

void bench_reply_init(bench_reply *r);
void bench_reply_fini(bench_reply *r);
/* Take in[0..n). *used is what was consumed and *data a piece of the body within it (maybe empty):
 * call again with the rest while the answer is MORE and bytes are left. DONE: the response is
 * complete; bytes behind *used are not its own. */
bench_parse bench_reply_feed(bench_reply *r, const char *in, size_t n, size_t *used, pgd_sv *data);
/* The connection was closed: DONE when that ends the body, else BAD. */
bench_parse bench_reply_close(bench_reply *r);

#endif
