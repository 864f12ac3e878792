/* The engine's private parts: its state and the functions its files offer each other. All of it
 * belongs to the engine thread but for the fields marked shared. */
#ifndef PGD_ENGINE_INT_H
#define PGD_ENGINE_INT_H

#include <pthread.h>

#include "pagoda/engine.h"
#include "sched.h"

enum { ENG_MAX_SINKS = 64 };

/* One step handed to the executor and not yet answered. */
typedef struct flight_entry {
    pgd_seq *seq;
    uint32_t rows, n_score;
    bool sampled, masked;
} flight_entry;

typedef struct flight {
    uint64_t step, digest, submit_ns;
    uint32_t n;
    uint32_t n_tok;
    uint32_t n_mask;
    bool late_due;       /* its masks were not handed over yet */
    flight_entry *entry; /* [max_num_seqs] */
} flight;

typedef struct engine_metrics {
    pgd_metric *running, *waiting, *kv_usage, *queue_oldest, *step_age, *fatal;
    pgd_metric *kv_free, *kv_active, *kv_cached, *kv_retiring;
    pgd_metric *preemptions, *prompt_tokens, *prompt_tokens_cached, *generation_tokens;
    pgd_metric *from_compute, *from_cache, *prefix_queries, *prefix_hits, *evictions, *corrupted;
    pgd_metric *success[PGD_FINISH_ERROR + 1]; /* by pgd_finish; [0] unused */
    pgd_metric *ttft, *itl, *e2e, *queue_time, *prefill_time, *decode_time, *inference_time, *tpot;
    pgd_metric *iteration_tokens, *req_prompt, *req_generation, *req_max_generation,
        *req_max_tokens, *req_computed, *req_n;
    pgd_metric *step_seconds;
} engine_metrics;

/* Written by the engine thread, read by any: relaxed, each number is true by itself. */
typedef struct shared_stats {
    _Atomic uint32_t running, waiting;
    _Atomic uint32_t pages_free, pages_cached, pages_held;
    _Atomic uint64_t steps, preemptions, evicted, prompt_tokens, cached_tokens, generated_tokens;
    _Atomic uint64_t heartbeat_ns, oldest_step_ns, queue_oldest_ns;
} shared_stats;

struct pgd_engine {
    pgd_exec *exec;
    const pgd_exec_info *info;
    pgd_engine_options opt;
    pgd_clock clock;
    uint32_t page_tokens;
    uint32_t max_ctx; /* tokens of a sequence: context, page table and pool allow no more */

    /* pages and slots */
    pgd_page_pool *pool;
    pgd_radix *tree;
    uint32_t *table; /* [max_slots][max_pages_per_seq]: what each slot's sequence holds */
    uint32_t *free_slot, n_free_slots;

    /* sequences */
    pgd_job *jobs, *last_job, *oldest_queued; /* oldest job never admitted, at or after it */
    pgd_seq **run;                            /* [max_num_seqs] most important first */
    uint32_t n_run;
    pgd_seq **leave; /* [max_slots] preempted and draining */
    uint32_t n_leave;
    pgd_seq *waiting, *last_waiting;
    uint32_t n_waiting;
    uint64_t next_order;
    uint64_t next_deadline_ns; /* of any live job; UINT64_MAX: none */
    bool pressed;

    /* steps */
    flight flight[ENG_FLY_MAX];
    uint32_t flight_head, n_flights;
    uint64_t next_step, passed;
    sched_out choices;

    /* publishing */
    pgd_sink *sink[ENG_MAX_SINKS];
    uint32_t n_sinks;
    uint64_t now_ns; /* read once a turn and once a result */
    engine_metrics m;

    /* shared */
    pgd_mailbox *inbox;
    atomic_bool look; /* some request was cancelled or stopped, or a flag below was set */
    atomic_bool draining, cancel_all, reset_cache, fatal, stop;
    pgd_stack resets; /* pgd_cache_reset.link, not yet answered */
    _Atomic uint32_t n_inside, n_queued;
    _Atomic uint64_t n_notified; /* steps for which the executor has rung */
    shared_stats stats;
    char fatal_msg[160]; /* set before fatal (release) */
    pgd_status fatal_code;
    pthread_t thread;
    bool started;
};

/* intake.c: requests come in, are cancelled, end. */
void eng_intake(pgd_engine *e, bool *did);
void eng_sweep(pgd_engine *e);           /* cancels, stops and control flags */
void eng_reset_cache(pgd_engine *e);     /* and answer whoever asked */
void eng_sweep_deadlines(pgd_engine *e); /* and find the next one */
void eng_finish_seq(pgd_engine *e, pgd_seq *s, pgd_finish why);
void eng_cancel_job(pgd_engine *e, pgd_job *job, pgd_cancel_reason why);
void eng_fail_job(pgd_engine *e, pgd_job *job, pgd_status code, const char *msg);
void eng_seq_done(pgd_engine *e, pgd_seq *s); /* may end and free its job */
void eng_leave_queue_count(pgd_engine *e, pgd_job *job);
void eng_unpark(pgd_engine *e, pgd_job *job);
/* Latch: everything ends with an error, nothing is planned any more. */
void eng_fatal(pgd_engine *e, pgd_status code, const char *msg);

/* engine.c: publishing. */
void eng_touch(pgd_engine *e, pgd_request *r);
void eng_note_sink(pgd_engine *e, pgd_sink *s);

/* preempt.c: the queue, the running set, and giving slots and pages back. */
void eng_queue(pgd_engine *e, pgd_seq *s);
void eng_unqueue(pgd_engine *e, pgd_seq *s);
void eng_run_add(pgd_engine *e, pgd_seq *s);
void eng_run_remove(pgd_engine *e, pgd_seq *s);
void eng_preempt(pgd_engine *e, pgd_seq *s);
void eng_release(pgd_engine *e, pgd_seq *s);
bool eng_release_passed(pgd_engine *e);

/* apply.c: plan one step and submit it. Whether there was one. */
bool eng_plan_step(pgd_engine *e);

/* plan.c: write the choices into buf. Fills f but for its time. */
void eng_encode(pgd_engine *e, const sched_out *c, void *buf, flight *f);

/* result.c: commit one result. */
void eng_commit(pgd_engine *e, const pgd_step_result *r);

/* mask.c: grammars. */
/* Hand over the masks of the oldest step in flight, if it waits for some. */
void eng_give_masks(pgd_engine *e);
/* No result will be read any more: let every step in flight end, whatever it samples. */
void eng_abandon_masks(pgd_engine *e);
/* The grammar of s takes a token that is about to be committed. False: the request has failed. */
bool eng_match_token(pgd_engine *e, pgd_seq *s, int32_t token);

/* stats.c */
void eng_metrics_init(pgd_engine *e);
void eng_publish_stats(pgd_engine *e);
void eng_observe_admitted(pgd_engine *e, const pgd_job *job, uint32_t n_cached);
void eng_observe_token(pgd_engine *e, pgd_seq *s);
void eng_observe_done(pgd_engine *e, const pgd_job *job);
void eng_observe_step(pgd_engine *e, const flight *f);

/* check.c */
void eng_assert_checks(const pgd_engine *e);

#endif
