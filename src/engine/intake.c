/* Requests on the engine thread: they come in, are cancelled or stopped between steps, fail, and
 * end exactly once. Ends are published in two moments: a choice's finish as soon as it is decided
 * (the client need not wait), the request's done mark when no step in flight can touch it any more;
 * that push is the engine's last touch, after it the job is gone. Invariants: a job is in the list
 * of jobs from intake to its done mark; n_done counts its sequences in SEQ_DONE. Thread: engine. */
#include "engine_int.h"

#include <stdio.h>

#include "pagoda/log.h"

static void link_job(pgd_engine *e, pgd_job *job) {
    job->prev = e->last_job;
    job->next = NULL;
    *(job->prev ? &job->prev->next : &e->jobs) = job;
    e->last_job = job;
    if (!e->oldest_queued) e->oldest_queued = job;
}

static void unlink_job(pgd_engine *e, pgd_job *job) {
    *(job->prev ? &job->prev->next : &e->jobs) = job->next;
    *(job->next ? &job->next->prev : &e->last_job) = job->prev;
    if (e->oldest_queued == job) e->oldest_queued = job->next;
}

void eng_leave_queue_count(pgd_engine *e, pgd_job *job) {
    if (job->scheduled) return;
    job->scheduled = true;
    atomic_fetch_sub_explicit(&e->n_queued, 1, memory_order_relaxed);
    while (e->oldest_queued && e->oldest_queued->scheduled)
        e->oldest_queued = e->oldest_queued->next;
}

static void take_in(pgd_engine *e, pgd_job *job) {
    const pgd_request *r = job->req;
    link_job(e, job);
    for (uint32_t i = 0; i < job->n_seqs; i++)
        job->seq[i].order = e->next_order++;
    eng_queue(e, &job->seq[0]);
    if (r->deadline_ns && r->deadline_ns < e->next_deadline_ns)
        e->next_deadline_ns = r->deadline_ns;
    if (atomic_load_explicit(&e->fatal, memory_order_relaxed)) {
        eng_fail_job(e, job, e->fatal_code, e->fatal_msg);
    } else if (r->max_new_tokens == 0) {
        /* Only scores: choice 0 computes them, unless there is nothing to score. */
        const uint32_t n_compute = r->n_prompt > 1;
        for (uint32_t i = job->n_seqs; i-- > n_compute;)
            eng_finish_seq(e, &job->seq[i], PGD_FINISH_LENGTH);
    }
}

void eng_intake(pgd_engine *e, bool *did) {
    pgd_link *at = pgd_mailbox_take_all(e->inbox);
    while (at) {
        pgd_link *next = at->next; /* the job may be gone after take_in */
        take_in(e, PGD_FROM_LINK(at, pgd_job, link));
        *did = true;
        at = next;
    }
}

void eng_unpark(pgd_engine *e, pgd_job *job) {
    job->prompt_done = true;
    for (uint32_t i = 1; i < job->n_seqs; i++) {
        if (job->seq[i].state != SEQ_PARKED) continue;
        seq_transition(&job->seq[i], SEQ_EV_UNPARK);
        eng_queue(e, &job->seq[i]);
    }
}

void eng_seq_done(pgd_engine *e, pgd_seq *s) {
    pgd_job *job = s->job;
    pgd_request *r = job->req;
    if (++job->n_done < job->n_seqs) return;
    eng_leave_queue_count(e, job);
    eng_observe_done(e, job);
    unlink_job(e, job);
    job_free(job);
    atomic_fetch_sub_explicit(&e->n_inside, 1, memory_order_relaxed);
    eng_note_sink(e, r->sink);
    pgd_stack_push(&r->sink->done, &r->done_link); /* the last touch */
}

void eng_finish_seq(pgd_engine *e, pgd_seq *s, pgd_finish why) {
    const seq_state was = (seq_state)s->state;
    pgd_request *r = s->req;
    PGD_ASSERT(was != SEQ_DRAINING && was != SEQ_DONE);
    /* Pairs with the reader's acquire: every token of this choice was stored before. */
    atomic_store_explicit(&s->log->finish, (uint32_t)why, memory_order_release);
    eng_touch(e, r);
    pgd_metric_add(e->m.success[why], s->choice == 0);
    seq_transition(s, SEQ_EV_FINISH);
    if (was == SEQ_RUNNING) eng_run_remove(e, s);
    if (was == SEQ_WAITING) eng_unqueue(e, s);
    /* Choices that waited for this one's prompt go on without it. */
    if (s->choice == 0 && !s->job->prompt_done) eng_unpark(e, s->job);
    if (s->state == SEQ_DONE) eng_seq_done(e, s);
}

/* End every choice that has not ended. The job may be gone afterwards. */
static void finish_all(pgd_engine *e, pgd_job *job, pgd_finish why) {
    uint32_t open = 0;
    for (uint32_t i = 0; i < job->n_seqs; i++)
        open += job->seq[i].state != SEQ_DRAINING && job->seq[i].state != SEQ_DONE;
    for (uint32_t i = job->n_seqs; open > 0 && i-- > 0;) {
        pgd_seq *s = &job->seq[i];
        if (s->state == SEQ_DRAINING || s->state == SEQ_DONE) continue;
        open--; /* the last one may take the job with it */
        eng_finish_seq(e, s, why);
    }
}

void eng_cancel_job(pgd_engine *e, pgd_job *job, pgd_cancel_reason why) {
    uint32_t none = PGD_CANCEL_NONE;
    (void)atomic_compare_exchange_strong_explicit(&job->req->cancel, &none, (uint32_t)why,
                                                  memory_order_relaxed, memory_order_relaxed);
    finish_all(e, job, PGD_FINISH_CANCELLED);
}

void eng_fail_job(pgd_engine *e, pgd_job *job, pgd_status code, const char *msg) {
    if (!job->failed) {
        job->failed = true;
        job->req->error_code = code;
        (void)snprintf(job->req->error, sizeof job->req->error, "%s", msg);
    }
    finish_all(e, job, PGD_FINISH_ERROR);
}

static void stop_choices(pgd_engine *e, pgd_job *job) {
    const pgd_request *r = job->req;
    const uint32_t n = job->n_seqs; /* the job may end with its last choice */
    uint32_t n_done = job->n_done;
    for (uint32_t i = 0; i < n && n_done < n; i++) {
        pgd_seq *s = &job->seq[i];
        if (s->state == SEQ_DRAINING || s->state == SEQ_DONE) continue;
        const uint32_t bits = atomic_load_explicit(&r->stop_choices[i / 32], memory_order_relaxed);
        if (!(bits >> (i % 32) & 1)) continue;
        n_done += !seq_has_slot(s);
        eng_finish_seq(e, s, PGD_FINISH_CANCELLED);
    }
}

void eng_sweep(pgd_engine *e) {
    const bool all = atomic_exchange_explicit(&e->cancel_all, false, memory_order_relaxed);
    for (pgd_job *job = e->jobs, *next; job; job = next) {
        next = job->next;
        const uint32_t why = atomic_load_explicit(&job->req->cancel, memory_order_relaxed);
        if (all || why != PGD_CANCEL_NONE)
            eng_cancel_job(e, job, all ? PGD_CANCEL_SHUTDOWN : (pgd_cancel_reason)why);
        else
            stop_choices(e, job);
    }
    if (atomic_exchange_explicit(&e->reset_cache, false, memory_order_relaxed)) eng_reset_cache(e);
}

void eng_reset_cache(pgd_engine *e) {
    /* Those that are taken here were asked for before what follows; a later one sets the flag
     * again. Several in one turn are one reset. */
    pgd_link *at = pgd_stack_take_all(&e->resets);
    const uint32_t freed = pgd_radix_evict(e->tree, UINT32_MAX);
    while (at) {
        pgd_link *next = at->next; /* the reset may be gone after the push */
        pgd_cache_reset *reset = PGD_FROM_LINK(at, pgd_cache_reset, link);
        reset->pages_freed = freed;
        reset->pages_kept = pgd_radix_pages(e->tree);
        eng_note_sink(e, reset->sink);
        pgd_stack_push(&reset->sink->resets, &reset->link); /* the last touch */
        at = next;
    }
}

void eng_sweep_deadlines(pgd_engine *e) {
    e->next_deadline_ns = UINT64_MAX;
    for (pgd_job *job = e->jobs, *next; job; job = next) {
        next = job->next;
        const uint64_t t = job->req->deadline_ns;
        if (t == 0) continue;
        if (t <= e->now_ns)
            eng_cancel_job(e, job, PGD_CANCEL_DEADLINE);
        else if (t < e->next_deadline_ns)
            e->next_deadline_ns = t;
    }
}

void eng_fatal(pgd_engine *e, pgd_status code, const char *msg) {
    e->fatal_code = code;
    (void)snprintf(e->fatal_msg, sizeof e->fatal_msg, "%s", msg);
    atomic_store_explicit(&e->fatal, true, memory_order_release); /* the message is complete */
    pgd_metric_set(e->m.fatal, 1);
    pgd_log(PGD_LOG_ERROR, "engine", "fatal: %s; ending all requests status=%s", msg,
            pgd_status_name(code));
    for (pgd_job *job = e->jobs, *next; job; job = next) {
        next = job->next;
        eng_fail_job(e, job, code, msg);
    }
    /* The device touches no request, and nothing will be planned again: no fence to wait for. */
    for (uint32_t i = 0; i < e->n_leave; i++)
        e->leave[i]->fence = 0;
}
