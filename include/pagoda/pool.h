/* Fork-join thread pool of the CPU backend: n threads (the caller is one of them), pinned where
 * allowed, static split of an index range; workers spin briefly, then sleep on a futex. One caller
 * at a time, no nesting. */
#ifndef PAGODA_POOL_H
#define PAGODA_POOL_H

#include <stdint.h>

#include "pagoda/status.h"

typedef struct pgd_pool pgd_pool;
/* n_threads >= 1; 0 means the cores this process may use. Errors: PGD_E_NOMEM, PGD_E_LIMIT. */
pgd_status pgd_pool_create(pgd_pool **out, uint32_t n_threads);
void pgd_pool_destroy(pgd_pool **p);
uint32_t pgd_pool_threads(const pgd_pool *p);
/* Give the calling thread, which is to be the only caller, the core that no worker has; nothing
 * happens when the workers are not pinned. Otherwise the scheduler may leave the caller on a
 * worker's core for a while, and everything runs at half speed. Threads created by a pinned thread
 * inherit its core: unpin (back to the mask of creation) before creating any. */
void pgd_pool_pin_caller(pgd_pool *p);
void pgd_pool_unpin_caller(pgd_pool *p);
/* Call fn(arg, begin, end, thread) so that the ranges cover [0, n) exactly once; each range is a
 * multiple of `grain` long except the last. Returns when all are done. A NULL pool runs inline. */
typedef void (*pgd_pool_fn)(void *arg, uint64_t begin, uint64_t end, uint32_t thread);
void pgd_pool_for(pgd_pool *p, uint64_t n, uint64_t grain, pgd_pool_fn fn, void *arg);

/* Job threads for work that must not run on the event loop (parse, render, tokenize). */
typedef struct pgd_workers pgd_workers;
typedef struct pgd_job {
    struct pgd_job *next;
    void (*run)(struct pgd_job *job);  /* on a worker thread */
    void (*done)(struct pgd_job *job); /* on the same worker thread, after run: hand it back */
} pgd_job;
pgd_status pgd_workers_create(pgd_workers **out, uint32_t n_threads, const char *name);
/* Runs what is queued, then joins. */
void pgd_workers_destroy(pgd_workers **w);
void pgd_workers_submit(pgd_workers *w, pgd_job *job); /* any thread; job moves */
uint32_t pgd_workers_queued(const pgd_workers *w);

#endif
