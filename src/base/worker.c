/* Job threads: a queue in order, and n threads that take from it.
 *
 * For work that takes from a fraction of a millisecond upwards (parse, render, tokenize), so a
 * mutex and a condition variable are cheap enough. A job belongs to the queue from submit until its
 * `done` is called on the worker that ran it; after that call the job is not touched again. Destroy
 * runs everything that is queued, then joins; nobody may submit during or after it. No priorities,
 * no cancellation: a job that has become pointless finds that out itself. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "pagoda/mem.h"
#include "pagoda/pool.h"

enum { MAX_WORKERS = 256 };

struct pgd_workers {
    pthread_mutex_t lock; /* guards the fields up to `leaving` */
    pthread_cond_t more;
    pgd_job *first;
    pgd_job **last;
    uint32_t queued;
    bool leaving;
    char name[12]; /* with "-nnn" it fits a thread's 15 characters */
    uint32_t n_threads;
    pthread_t threads[];
};

/* The next job, or NULL when the queue is empty and will stay so. */
static pgd_job *take(pgd_workers *w) {
    (void)pthread_mutex_lock(&w->lock);
    while (!w->first && !w->leaving)
        (void)pthread_cond_wait(&w->more, &w->lock);
    pgd_job *const job = w->first;
    if (job) {
        w->first = job->next;
        if (!w->first) w->last = &w->first;
        w->queued--;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return job;
}

static void *worker_main(void *arg) {
    pgd_workers *w = arg;
    (void)pthread_setname_np(pthread_self(), w->name);
    for (pgd_job *job = take(w); job; job = take(w)) {
        job->run(job);
        job->done(job);
    }
    return NULL;
}

static void stop(pgd_workers *w, uint32_t n_started) {
    (void)pthread_mutex_lock(&w->lock);
    w->leaving = true;
    (void)pthread_cond_broadcast(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
    for (uint32_t i = 0; i < n_started; i++)
        (void)pthread_join(w->threads[i], NULL);
    (void)pthread_cond_destroy(&w->more);
    (void)pthread_mutex_destroy(&w->lock);
    pgd_free(w);
}

pgd_status pgd_workers_create(pgd_workers **out, uint32_t n_threads, const char *name) {
    if (n_threads == 0 || n_threads > MAX_WORKERS) return PGD_E_LIMIT;
    pgd_workers *w = pgd_calloc(1, sizeof *w + n_threads * sizeof w->threads[0]);
    if (!w) return PGD_E_NOMEM;
    w->n_threads = n_threads;
    w->last = &w->first;
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    (void)pthread_mutex_init(&w->lock, NULL); /* neither can fail with default attributes */
    (void)pthread_cond_init(&w->more, NULL);
    for (uint32_t i = 0; i < n_threads; i++) {
        if (pthread_create(&w->threads[i], NULL, worker_main, w) != 0) {
            stop(w, i);
            return PGD_E_LIMIT;
        }
    }
    *out = w;
    return PGD_OK;
}

void pgd_workers_destroy(pgd_workers **w) {
    if (!w || !*w) return;
    stop(*w, (*w)->n_threads);
    *w = NULL;
}

void pgd_workers_submit(pgd_workers *w, pgd_job *job) {
    job->next = NULL;
    (void)pthread_mutex_lock(&w->lock);
    *w->last = job;
    w->last = &job->next;
    w->queued++;
    (void)pthread_cond_signal(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
}

uint32_t pgd_workers_queued(const pgd_workers *w) {
    pgd_workers *m = (pgd_workers *)w; /* the lock must be taken; the queue is not changed */
    (void)pthread_mutex_lock(&m->lock);
    const uint32_t n = m->queued;
    (void)pthread_mutex_unlock(&m->lock);
    return n;
}
