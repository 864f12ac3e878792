/* A model on a device with an engine, and batches of requests run on it: what `pagoda bench
 * latency` and `throughput` share. Private to src/app. One thread, beside the engine's. */
#ifndef PGD_APP_BENCH_ENGINE_H
#define PGD_APP_BENCH_ENGINE_H

#include <pthread.h>

#include "pagoda/bench.h"
#include "pagoda/clock.h"
#include "pagoda/engine.h"
#include "pagoda/exec.h"
#include "pagoda/model.h"

/* The flags that both commands have; the head of their options. */
typedef struct pgd_offline_flags {
    const char *model, *device, *load_format, *cpu_isa, *json;
    uint64_t threads, max_num_batched_tokens, block_size, kv_cache_memory_bytes, steps_in_flight;
    uint64_t seed;
    bool enforce_eager, help;
} pgd_offline_flags;

/* One request of a batch and when its tokens came (monotonic ns). */
typedef struct pgd_offline_item {
    pgd_request req;
    pgd_toklog log;
    uint32_t seen; /* tokens */
    uint64_t submit_ns;
    uint64_t *token_ns; /* [max_new_tokens], owned: when each token was seen */
} pgd_offline_item;

typedef struct pgd_offline {
    pgd_clock clock;
    pgd_model *model;
    pgd_exec *exec;
    pgd_engine *engine;
    pgd_sink sink;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool wake;
    uint64_t next_id;
} pgd_offline;

/* Open the model folder (only config.json with load_format dummy) and start the engine for max_seqs
 * sequences of max_len tokens and max_requests waiting ones. Close in any case. */
pgd_status pgd_offline_open(const pgd_offline_flags *f, uint32_t max_seqs, uint32_t max_len,
                            uint32_t max_requests, bool prefix_caching, pgd_offline *out,
                            pgd_error *err);
void pgd_offline_close(pgd_offline *o);

/* Make `n` requests of the given lengths with random tokens of `seed`. *out is owned by the caller:
 * pgd_offline_items_free. Errors: PGD_E_NOMEM. */
pgd_status pgd_offline_items(pgd_offline *o, const pgd_bench_lengths *lengths, uint32_t n,
                             uint64_t seed, pgd_offline_item **out, pgd_error *err);
void pgd_offline_items_free(pgd_offline_item *items, uint32_t n);
/* Submit all of them at once and wait for the last. Errors: a request that was refused or did not
 * reach its length. */
pgd_status pgd_offline_run(pgd_offline *o, pgd_offline_item *items, uint32_t n, pgd_error *err);

/* "engine": {...} of a result file. */
void pgd_offline_put_json(const pgd_offline *o, const pgd_offline_flags *f, pgd_jsonw *w);

#endif
