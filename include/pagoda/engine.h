/* The engine owns every sequence, KV page and prefix-tree node. One thread runs: take submitted
 * and cancelled requests, commit results of finished steps, plan the next step (a pure function of
 * the state), hand it to the executor, publish tokens. It never touches a device, reads the real
 * clock or allocates in the step path. Tests and the simulator call pgd_engine_step themselves
 * instead of starting the thread. */
#ifndef PAGODA_ENGINE_H
#define PAGODA_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/clock.h"
#include "pagoda/exec.h"
#include "pagoda/metrics.h"
#include "pagoda/request.h"
#include "pagoda/status.h"

typedef struct pgd_engine pgd_engine;

typedef struct pgd_engine_options {
    uint32_t max_num_seqs;           /* running at once; <= the executor's limit */
    uint32_t max_num_batched_tokens; /* budget of a step; <= the executor's limit */
    uint32_t max_model_len;
    uint32_t max_queued; /* waiting requests: more are refused with PGD_E_BUSY */
    uint32_t max_bypass; /* how often one waiting request may be overtaken; 0: 32 */
    bool prefix_caching;
    bool checks; /* verify the invariants of pool, tree and sequences after every step (tests) */
    const pgd_clock *clock; /* NULL: monotonic */
    pgd_metrics *metrics;   /* NULL: none */
} pgd_engine_options;

/* The executor is borrowed and must outlive the engine. */
pgd_status pgd_engine_create(pgd_exec *exec, const pgd_engine_options *opt, pgd_engine **out,
                             pgd_error *err);
/* Stop the thread if it runs and wait until the executor has rung for its steps in flight (at most
 * 5 s). Requests still alive end with PGD_FINISH_ERROR. An engine that is stepped by hand must have
 * no step in flight on an executor with a thread of its own. */
void pgd_engine_destroy(pgd_engine **e);

/* Start the engine's own thread. */
pgd_status pgd_engine_start(pgd_engine *e, pgd_error *err);

/* Tokens that the device samples from: what a grammar's vocabulary must have; 0 where the executor
 * takes no masks. Any thread. */
uint32_t pgd_engine_vocab_size(const pgd_engine *e);

/* Hand over a request (any thread). From here on the engine answers on req->sink. Errors, the
 * request then untouched: PGD_E_BUSY (queue full, draining), PGD_E_DEVICE (engine dead),
 * PGD_E_LIMIT (prompt longer than max_model_len - 1 or than all KV pages can hold). */
pgd_status pgd_engine_submit(pgd_engine *e, pgd_request *req, pgd_error *err);
/* Ask for the end of a request that was submitted and whose done link was not yet taken (any
 * thread): sets req->cancel and wakes the engine. Its pages are free within a step. */
void pgd_engine_cancel(pgd_engine *e, pgd_request *req, pgd_cancel_reason reason);
/* Choice i met a stop string: its sequence ends, the others go on. Any thread, same rule. */
void pgd_engine_stop_choice(pgd_engine *e, pgd_request *req, uint32_t choice);

/* No new requests from now on; those inside go on. Any thread. */
void pgd_engine_drain(pgd_engine *e);
/* End everything that is inside with PGD_CANCEL_SHUTDOWN. Any thread. */
void pgd_engine_cancel_all(pgd_engine *e);
/* Forget all cached prefixes that no sequence uses, of every namespace. Those in use stay, and are
 * found again later. Any thread; done between steps, at the next turn. */
void pgd_engine_reset_prefix_cache(pgd_engine *e);
/* The same, and the answer comes back on reset->sink. Any thread. Every reset that was asked for
 * is answered, by a dead engine and at destroy too. */
void pgd_engine_ask_cache_reset(pgd_engine *e, pgd_cache_reset *reset);

/* One turn of the loop, for tests and simulation: inbox, results, plan, submit. Returns whether
 * anything was done. Not while the thread runs. */
bool pgd_engine_step(pgd_engine *e);

/* A snapshot, any thread, no lock. */
typedef struct pgd_engine_stats {
    uint32_t running, waiting, inside; /* inside: requests not yet done */
    uint32_t kv_pages_total, kv_pages_free, kv_pages_cached, kv_pages_held;
    uint64_t steps, preemptions, evicted_pages;
    uint64_t prompt_tokens, cached_tokens, generated_tokens;
    uint64_t heartbeat_ns;    /* last turn of the loop; an idle thread turns once a second */
    uint64_t oldest_step_ns;  /* submit time of the oldest step in flight; 0: none */
    uint64_t queue_oldest_ns; /* arrival of the oldest waiting request; 0: none */
    bool draining, fatal;
    char fatal_msg[160];
} pgd_engine_stats;
void pgd_engine_get_stats(const pgd_engine *e, pgd_engine_stats *out);

/* Full check of all invariants (idle or between steps, engine thread or no thread). Errors:
 * PGD_E_INTERNAL with what is wrong. */
pgd_status pgd_engine_check(const pgd_engine *e, pgd_error *err);

#endif
