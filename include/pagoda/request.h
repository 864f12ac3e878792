/* One generation request as it crosses from the API to the engine and back. Everything but the
 * token logs, counters and `cancel` is immutable after submit. The API owns the memory; it may be
 * freed only after the engine has pushed the request on its sink's done stack (the engine's last
 * touch) and the HTTP side has let go too.
 *
 * Tokens travel through append-only logs: the engine stores the items, then `len` (release), then
 * marks the request dirty; the reader takes the done stack first, the dirty stack second, clears
 * `dirty`, then reads `len` (acquire). No queue can overflow and slow readers coalesce. */
#ifndef PAGODA_REQUEST_H
#define PAGODA_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/queue.h"
#include "pagoda/sampling.h"
#include "pagoda/status.h"

typedef struct pgd_grammar pgd_grammar;

enum { PGD_MAX_N = 128 };

typedef enum pgd_finish {
    PGD_FINISH_NONE = 0,
    PGD_FINISH_STOP,      /* an eos or stop token: the last item of the log, also in stop_token; or
                             its grammar allowed nothing more: stop_token is -1 */
    PGD_FINISH_LENGTH,    /* max_new_tokens or the context */
    PGD_FINISH_CANCELLED, /* the client left, a stop string matched, or a deadline passed */
    PGD_FINISH_ERROR,     /* the device failed, or memory can never suffice: see error */
} pgd_finish;

/* Output of one choice. Arrays have room for cap tokens, at least min(max_new_tokens,
 * max_model_len - n_prompt) of them; written by the engine only. */
typedef struct pgd_toklog {
    uint32_t cap;
    int32_t *token;
    float *logprob; /* NULL without logprobs */
    pgd_top *top;   /* [cap][n_top], NULL when n_top is 0; an unused place has id -1 */
    _Atomic uint32_t len;
    _Atomic uint32_t finish; /* pgd_finish; stored (release) after the last len */
    int32_t stop_token;      /* valid with PGD_FINISH_STOP */
} pgd_toklog;

/* Where the engine hands tokens back: one per event loop. wake is called at most once a step, from
 * the engine thread, after everything of the step was pushed. */
typedef struct pgd_sink {
    pgd_stack dirty;  /* pgd_request.dirty_link */
    pgd_stack done;   /* pgd_request.done_link */
    pgd_stack resets; /* pgd_cache_reset.link */
    void (*wake)(void *ctx);
    void *ctx;
} pgd_sink;

/* A reset of the prefix cache that somebody waits for. The waiter owns the memory; the engine has
 * it from the ask until it pushes the link on the sink's stack, which is its last touch. */
typedef struct pgd_cache_reset {
    pgd_sink *sink;
    /* The answer: pages that became free, and cached pages that stay because sequences use them. */
    uint32_t pages_freed, pages_kept;
    pgd_link link;
} pgd_cache_reset;

typedef enum pgd_cancel_reason {
    PGD_CANCEL_NONE = 0,
    PGD_CANCEL_CLIENT,   /* disconnected, or asked for by id */
    PGD_CANCEL_STOP,     /* every choice has met a stop string */
    PGD_CANCEL_DEADLINE, /* its deadline passed */
    PGD_CANCEL_SHUTDOWN, /* drain deadline */
} pgd_cancel_reason;

typedef struct pgd_request {
    uint64_t id;          /* unique in this process, for logs and the engine's tables */
    uint64_t arrival_ns;  /* monotonic */
    uint64_t deadline_ns; /* monotonic; 0: none */
    int32_t priority;     /* lower runs earlier */
    uint8_t cache_ns[16]; /* prefix-cache namespace: keyed hash of (tenant, salt) */
    const int32_t *prompt;
    uint32_t n_prompt;
    uint32_t n_choices;
    uint32_t max_new_tokens; /* >= 1, or 0 with score_prompt: only score */
    bool score_prompt;       /* logprobs of prompt tokens 1..n_prompt-1 (echo) */
    /* An embedding: the sum of the prompt's final hidden states but the last token's (which is
     * only there to end it), or the state of the one before the last with pool_last. With
     * score_prompt, max_new_tokens 0 and one choice; zeroed by the caller, complete at the end. */
    double *pooled; /* [executor's hidden_width]; NULL: none wanted */
    bool pool_last;
    uint32_t n_pooled;     /* states so far; the engine's */
    pgd_sampling sampling; /* of choice 0; the others differ in `choice` alone */
    const pgd_bias *bias;
    uint32_t n_bias;
    /* Every choice is a text of it, unless it ends early; NULL: free. Its reference is the API's
     * until the request is done. While a grammar lets a text go on, stop ids are masked below
     * min_tokens; where it does not, the text ends whatever min_tokens and the stop ids say. */
    pgd_grammar *grammar;
    pgd_sink *sink;

    pgd_toklog *out;         /* [n_choices] */
    pgd_toklog *scores;      /* score_prompt: item i is position i + 1; else NULL */
    _Atomic uint32_t cancel; /* pgd_cancel_reason; set by the API, read by the engine */
    _Atomic uint32_t stop_choices[PGD_MAX_N / 32]; /* bit i: choice i met a stop string */
    _Atomic uint32_t n_cached; /* prompt tokens served from the prefix cache (choice 0) */
    _Atomic uint64_t scheduled_ns, first_token_ns; /* 0 until then */
    char error[160]; /* valid with PGD_FINISH_ERROR: for people; set before finish */
    pgd_status error_code;

    _Atomic uint32_t dirty;
    pgd_link dirty_link, done_link;
    void *api; /* the API's own record */
} pgd_request;

#define PGD_FROM_LINK(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
