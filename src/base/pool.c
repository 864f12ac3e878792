/* Fork-join pool of the CPU backend.
 *
 * A call publishes one task and raises `round`; every worker does its own, statically known share
 * and lowers `pending`; the caller does share 0 and waits for the rest. Which thread computes what
 * depends only on (n, grain, threads), never on timing. Waiting spins for a while, because the next
 * operator of a forward pass comes within microseconds, then sleeps on a futex; with more threads
 * than cores it never spins. Order: the task is written before `round` is raised (seq_cst) and read
 * after it is seen; results are written before `pending` falls (acq_rel) and read after it is zero.
 * Workers are pinned only when the pool takes every core of the affinity mask and no cgroup quota
 * is tighter: pinning part of a shared machine would stack all processes on the same first cores.
 * The caller's own thread is pinned only when it asks, since its children would inherit that. */
#include "pagoda/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>

#include "futex.h"
#include "pagoda/clock.h"
#include "pagoda/cpu.h"
#include "pagoda/mem.h"

enum { CACHE_LINE = 64, MAX_THREADS = 1024, SPIN_NS = 50000, SPINS_PER_LOOK = 64 };

typedef struct worker {
    pthread_t thread;
    pgd_pool *pool;
    uint32_t index; /* 1..n_threads-1; 0 is the caller */
} worker;

struct pgd_pool {
    _Alignas(CACHE_LINE) _Atomic uint32_t round; /* futex word of the workers */
    _Atomic uint32_t sleepers;
    _Alignas(CACHE_LINE) _Atomic uint32_t pending; /* futex word of the caller */
    _Atomic uint32_t caller_asleep;
    _Alignas(CACHE_LINE) uint64_t n; /* the task: written by the caller between rounds */
    uint64_t grain;
    pgd_pool_fn fn; /* NULL tells the workers to leave */
    void *arg;
    uint32_t n_threads;
    bool spin, pinned;
    cpu_set_t all, first; /* pinned: the mask at creation, and the caller's core in it */
    worker *workers;      /* [n_threads], the first unused */
};

/* Share t of T: chunks are dealt evenly, whole grains each. */
static void run_share(const pgd_pool *p, uint32_t t) {
    const uint64_t chunks = p->n / p->grain + (p->n % p->grain != 0);
    const uint64_t each = chunks / p->n_threads;
    const uint64_t more = chunks % p->n_threads; /* the first `more` shares have one more */
    const uint64_t first = each * t + (t < more ? t : more);
    const uint64_t count = each + (t < more);
    if (count == 0) return;
    const uint64_t begin = first * p->grain;
    const uint64_t end = first + count == chunks ? p->n : begin + count * p->grain;
    p->fn(p->arg, begin, end, t);
}

/* Spin until *word != seen or the spin time is over; returns the last value read. */
static uint32_t spin_while(_Atomic uint32_t *word, uint32_t seen, bool spin) {
    uint32_t now = atomic_load_explicit(word, memory_order_acquire);
    if (!spin || now != seen) return now;
    const pgd_clock clock = pgd_clock_monotonic();
    const uint64_t start = pgd_clock_now(&clock);
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            spin_hint();
            now = atomic_load_explicit(word, memory_order_acquire);
            if (now != seen) return now;
        }
    } while (pgd_clock_now(&clock) - start < SPIN_NS);
    return now;
}

/* Wait for a round after `seen`. The worker counts itself a sleeper before the kernel compares the
 * word; the caller raises the word before it reads the count: one of them sees the other. */
static uint32_t next_round(pgd_pool *p, uint32_t seen) {
    uint32_t now = spin_while(&p->round, seen, p->spin);
    while (now == seen) {
        atomic_fetch_add(&p->sleepers, 1);
        futex_wait(&p->round, seen, UINT64_MAX);
        atomic_fetch_sub(&p->sleepers, 1);
        now = atomic_load(&p->round);
    }
    return now;
}

static void *worker_main(void *arg) {
    const worker *w = arg;
    pgd_pool *p = w->pool;
    char name[16];
    (void)snprintf(name, sizeof name, "pgd-cpu-%u", w->index);
    (void)pthread_setname_np(pthread_self(), name);
    for (uint32_t round = 0;;) {
        round = next_round(p, round);
        if (!p->fn) return NULL;
        run_share(p, w->index);
        if (atomic_fetch_sub(&p->pending, 1) == 1 && atomic_load(&p->caller_asleep))
            futex_wake(&p->pending, 1);
    }
}

static void wait_for_workers(pgd_pool *p) {
    uint32_t left = atomic_load_explicit(&p->pending, memory_order_acquire);
    while (left != 0) {
        left = spin_while(&p->pending, left, p->spin);
        if (left == 0) return;
        atomic_store(&p->caller_asleep, 1);
        left = atomic_load(&p->pending);
        if (left != 0) futex_wait(&p->pending, left, UINT64_MAX);
        atomic_store(&p->caller_asleep, 0);
        left = atomic_load(&p->pending);
    }
}

static void start_round(pgd_pool *p) {
    atomic_fetch_add(&p->round, 1);
    if (atomic_load(&p->sleepers)) futex_wake(&p->round, INT32_MAX);
}

/* Core of the mask for each worker, when the pool fills the mask. Refusal costs only speed. */
static void pin_workers(pgd_pool *p) {
    if (sched_getaffinity(0, sizeof p->all, &p->all) != 0) return;
    if ((uint32_t)CPU_COUNT(&p->all) != p->n_threads || pgd_cpu_count() != p->n_threads) return;
    uint32_t index = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &p->all)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (index == 0)
            p->first = one;
        else
            (void)pthread_setaffinity_np(p->workers[index].thread, sizeof one, &one);
        index++;
    }
    p->pinned = true;
}

/* Ask workers 1..n_started to leave, and free the pool. */
static void stop(pgd_pool *p, uint32_t n_started) {
    p->fn = NULL;
    start_round(p);
    for (uint32_t i = 1; i <= n_started; i++)
        (void)pthread_join(p->workers[i].thread, NULL);
    pgd_free(p->workers);
    pgd_aligned_free(p, sizeof *p);
}

pgd_status pgd_pool_create(pgd_pool **out, uint32_t n_threads) {
    if (n_threads == 0) n_threads = pgd_cpu_count();
    if (n_threads > MAX_THREADS) return PGD_E_LIMIT;
    pgd_pool *p = pgd_aligned_alloc(sizeof *p, CACHE_LINE);
    if (!p) return PGD_E_NOMEM;
    p->n_threads = n_threads;
    p->spin = n_threads <= pgd_cpu_count();
    p->workers = pgd_calloc(n_threads, sizeof *p->workers);
    if (!p->workers) {
        pgd_aligned_free(p, sizeof *p);
        return PGD_E_NOMEM;
    }
    for (uint32_t i = 1; i < n_threads; i++) {
        worker *w = &p->workers[i];
        w->pool = p;
        w->index = i;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            stop(p, i - 1);
            return PGD_E_LIMIT;
        }
    }
    pin_workers(p);
    *out = p;
    return PGD_OK;
}

void pgd_pool_destroy(pgd_pool **p) {
    if (!p || !*p) return;
    stop(*p, (*p)->n_threads - 1);
    *p = NULL;
}

uint32_t pgd_pool_threads(const pgd_pool *p) {
    return p ? p->n_threads : 1;
}

void pgd_pool_pin_caller(pgd_pool *p) {
    if (p->pinned) (void)pthread_setaffinity_np(pthread_self(), sizeof p->first, &p->first);
}

void pgd_pool_unpin_caller(pgd_pool *p) {
    if (p->pinned) (void)pthread_setaffinity_np(pthread_self(), sizeof p->all, &p->all);
}

void pgd_pool_for(pgd_pool *p, uint64_t n, uint64_t grain, pgd_pool_fn fn, void *arg) {
    if (n == 0) return;
    if (grain == 0) grain = 1;
    if (!p || p->n_threads == 1 || n <= grain) {
        fn(arg, 0, n, 0);
        return;
    }
    p->n = n;
    p->grain = grain;
    p->fn = fn;
    p->arg = arg;
    atomic_store(&p->pending, p->n_threads - 1);
    start_round(p);
    run_share(p, 0);
    wait_for_workers(p);
}
