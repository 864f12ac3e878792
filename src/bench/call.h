/* One streamed completion: its request body, what came back and when. Private to src/bench. */
#ifndef PGD_BENCH_CALL_H
#define PGD_BENCH_CALL_H

#include "bench/client.h"
#include "bench/prompt.h"
#include "bench/sse.h"

/* What is sent besides prompt and length; the same for all requests. */
typedef struct bench_ask {
    bool chat;         /* /v1/chat/completions, else /v1/completions */
    const char *model; /* borrowed */
    double temperature;
    bool natural_stop;    /* let the model end when it likes */
    pgd_sv extra_members; /* `,"key":value...` of --extra-body */
} bench_ask;

/* Append the JSON body of request `index`. */
void bench_ask_put(const bench_ask *a, const bench_prompts *p, const bench_item *item,
                   uint64_t index, pgd_buf *out);

enum { BENCH_WHY_BYTES = 200 };

/* What is known of one request when it has ended. Times are from its start; a chunk is an event
 * that carried text (or, of a stream without any text, the one that ended it). */
typedef struct bench_record {
    uint64_t index;
    bench_item item;
    uint64_t due_ns, start_ns; /* from the start of the run: when it was meant to go out, and did */
    uint32_t *chunk_us;        /* owned */
    uint32_t n_chunks, cap_chunks;
    uint64_t end_ns; /* end of the response, from the start of the run */
    bool has_usage, has_cached;
    uint64_t n_prompt, n_output, n_cached; /* n_output without usage: the chunks */
    int http_status;
    bench_fault fault;
    char why[BENCH_WHY_BYTES]; /* NUL-terminated UTF-8 */
} bench_record;
void bench_record_fini(bench_record *r);

/* A request in flight. */
typedef struct bench_call {
    bench_exchange x;  /* must be first */
    bench_record *rec; /* borrowed until on_end */
    bench_sse sse;
    pgd_buf text;     /* of an answer that is no event stream; owned */
    uint64_t zero_ns; /* start of the run, on uv_hrtime */
    bool event_stream, finished, done_mark;
    bool streaming;     /* the first chunk is here */
    uint64_t *n_chunks; /* counts up with every chunk; borrowed */
    void (*on_first)(struct bench_call *c);
    void (*on_end)(struct bench_call *c);
    void *ctx;
    struct bench_call *next; /* in a list of the owner */
} bench_call;

/* Begin to send. c is zero but for rec, zero_ns, n_chunks, on_first, on_end and ctx; rec has index,
 * item and due_ns. Ends in on_end, after which c may be freed (bench_call_fini) or started again.
 */
void bench_call_start(bench_call *c, bench_client *client, const char *path, pgd_sv body,
                      uint64_t timeout_ns);
void bench_call_fini(bench_call *c);

/* Take one event of the stream at now_ns (tests feed events by hand). */
void bench_call_event(bench_call *c, pgd_sv data, uint64_t now_ns);
/* Judge the record after the exchange ended. */
void bench_call_settle(bench_call *c, bench_fault fault, const char *why);

#endif
