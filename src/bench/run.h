/* One run of the load generator: starts requests when they are due and keeps what became of them.
 * Private to src/bench. */
#ifndef PGD_BENCH_RUN_H
#define PGD_BENCH_RUN_H

#include "bench/call.h"

/* Closed loop: `concurrency` streams, each sends its next request when the last has ended; they
 * start evenly over stagger_ns. Open loop: requests go out when they arrive (by rate, or as the
 * trace says), but while `concurrency` are in flight (0: no bound) they wait here. */
typedef struct bench_load {
    bool open;
    uint64_t concurrency;
    double rate, burstiness; /* rate 0: arrivals of the trace, times time_scale */
    double time_scale;
    uint64_t n_requests;  /* UINT64_MAX: until duration_ns */
    uint64_t duration_ns; /* nothing is started from then on; 0: no bound */
    uint64_t stagger_ns, timeout_ns;
    uint64_t first_index; /* of the workload */
} bench_load;

typedef struct bench_run {
    /* set by the caller; borrowed */
    uv_loop_t *loop;
    bench_client *client;
    const bench_ask *ask;
    const bench_prompts *prompts;
    const bench_workload *workload;
    bench_load load;
    const char *label; /* "warm-up", "" */
    bool progress;     /* a live line on stderr */

    /* results; times from the start of the run */
    bench_record **rec; /* [n_started], owned */
    size_t cap_rec;
    uint64_t n_started, n_ended, n_failed, n_chunks, n_active, n_peak;
    uint64_t end_ns;                   /* the last response ended */
    uint64_t full_from_ns, full_to_ns; /* all streams active, each past a first token; 0: never */
    bool interrupted;

    /* private */
    uint64_t zero_ns, n_first, next_due_ns;
    bench_arrivals arrivals;
    bool exhausted, finished, no_memory;
    bench_call *spare; /* calls to use again */
    int timer_fd;
    uv_poll_t due_poll;
    uv_timer_t progress_timer;
    uv_signal_t interrupt;
    uint32_t n_handles;
    uint64_t shown_ns, shown_chunks;
    pgd_buf body;
} bench_run;

/* Run to the end. Errors: PGD_E_NOMEM, PGD_E_IO (no timer). The results are valid after success;
 * bench_run_fini frees them. */
pgd_status bench_run_go(bench_run *r, pgd_error *err);
void bench_run_fini(bench_run *r);

#endif
