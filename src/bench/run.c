/* The schedule of a run.
 *
 * One function, pump, decides everything: it starts what is due and may start, and arms a timer for
 * what is not yet. It is called at the start, when the timer fires and when a request ends. The
 * timer is a timerfd, since libuv's timers have a resolution of a millisecond, which is the length
 * of an interesting TTFT.
 *
 * A request's clock starts when it is handed to the client, so connecting counts; waiting here for
 * a free stream in the open loop does not (it is reported on its own, as lag). Runs on the loop
 * thread. */
#include "bench/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "pagoda/mem.h"

enum { GIVE_UP_AFTER = 100, PROGRESS_MS = 250, STREAM_ARRIVALS = 32 };

static uint64_t now_of(const bench_run *r) {
    return uv_hrtime() - r->zero_ns;
}

static void pump(bench_run *r);

static bool is_full(const bench_run *r) {
    return r->n_active == r->load.concurrency && r->n_first >= r->load.concurrency;
}

static void on_first(bench_call *c) {
    bench_run *r = c->ctx;
    r->n_first++;
    if (!r->load.open && r->full_from_ns == 0 && is_full(r)) r->full_from_ns = now_of(r);
}

static void on_end(bench_call *c) {
    bench_run *r = c->ctx;
    r->n_active--;
    r->n_ended++;
    if (c->rec->fault != BENCH_OK) r->n_failed++;
    /* a server that answers nothing would be asked as fast as it can refuse */
    if (r->n_failed == r->n_ended && r->n_ended >= GIVE_UP_AFTER + r->load.concurrency)
        r->exhausted = true;
    r->end_ns = now_of(r);
    c->next = r->spare;
    r->spare = c;
    pump(r);
    if (r->full_from_ns != 0 && r->full_to_ns == 0 && r->n_active < r->load.concurrency)
        r->full_to_ns = r->end_ns;
}

static bench_call *take_call(bench_run *r) {
    bench_call *c = r->spare;
    if (c != NULL)
        r->spare = c->next;
    else
        c = pgd_calloc(1, sizeof(*c));
    return c;
}

static bench_record *new_record(bench_run *r) {
    if (r->n_started == r->cap_rec) {
        const size_t cap = r->cap_rec == 0 ? 1024 : 2 * r->cap_rec;
        bench_record **grown = pgd_realloc(r->rec, cap * sizeof(bench_record *));
        if (grown == NULL) return NULL;
        r->rec = grown;
        r->cap_rec = cap;
    }
    return pgd_calloc(1, sizeof(bench_record));
}

/* Send the next request. False when memory is out: the run then ends with what is in flight. */
static bool start_one(bench_run *r, uint64_t due_ns) {
    bench_call *c = take_call(r);
    bench_record *rec = c != NULL ? new_record(r) : NULL;
    if (rec == NULL) {
        if (c != NULL) c->next = r->spare, r->spare = c;
        return false;
    }
    rec->index = r->load.first_index + r->n_started;
    rec->item = bench_workload_item(r->workload, rec->index);
    rec->due_ns = due_ns;
    r->rec[r->n_started++] = rec;
    r->n_active++;
    if (r->n_active > r->n_peak) r->n_peak = r->n_active;
    c->rec = rec;
    c->zero_ns = r->zero_ns;
    c->n_chunks = &r->n_chunks;
    c->on_first = on_first;
    c->on_end = on_end;
    c->ctx = r;
    pgd_buf_clear(&r->body);
    bench_ask_put(r->ask, r->prompts, &rec->item, rec->index, &r->body);
    bench_call_start(c, r->client, r->ask->chat ? "/v1/chat/completions" : "/v1/completions",
                     pgd_buf_sv(&r->body), r->load.timeout_ns);
    return true;
}

/* When the request after the last started one arrives in the open loop. */
static uint64_t next_arrival(bench_run *r) {
    if (r->load.rate > 0) return (uint64_t)(1e9 * bench_arrivals_next(&r->arrivals));
    const bench_trace *t = &r->workload->trace;
    return (uint64_t)(1e6 * r->load.time_scale * t->row[r->n_started % t->n].arrival_ms);
}

/* When the next request may go out: 0 for at once, UINT64_MAX for not before another ends. */
static uint64_t due(const bench_run *r) {
    const bench_load *l = &r->load;
    if (l->concurrency > 0 && r->n_active >= l->concurrency) return UINT64_MAX;
    if (l->open) return r->next_due_ns;
    if (r->n_started >= l->concurrency) return 0;
    return l->stagger_ns / l->concurrency * r->n_started;
}

static void arm(bench_run *r, uint64_t at_ns) {
    const uint64_t abs = r->zero_ns + at_ns; /* uv_hrtime is CLOCK_MONOTONIC */
    const struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(abs / 1000000000u), .tv_nsec = (long)(abs % 1000000000u)}};
    (void)timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void pump(bench_run *r) {
    const bench_load *l = &r->load;
    while (!r->exhausted) {
        const uint64_t at = due(r), now = now_of(r);
        const uint64_t begin = l->open ? r->next_due_ns : at > now && at != UINT64_MAX ? at : now;
        if (r->n_started >= l->n_requests || (l->duration_ns > 0 && begin >= l->duration_ns)) {
            r->exhausted = true;
            break;
        }
        if (at == UINT64_MAX) break;
        if (at > now) {
            arm(r, at);
            break;
        }
        if (!start_one(r, l->open || at > 0 ? at : now)) {
            r->exhausted = r->no_memory = true;
            break;
        }
        if (l->open && r->n_started < l->n_requests) r->next_due_ns = next_arrival(r);
    }
    if (r->exhausted && r->n_active == 0) r->finished = true;
}

static void on_due(uv_poll_t *p, int status, int events) {
    (void)status, (void)events;
    bench_run *r = p->data;
    uint64_t fired = 0;
    if (read(r->timer_fd, &fired, sizeof(fired)) < 0 && errno != EAGAIN) return;
    pump(r);
}

static void on_interrupt(uv_signal_t *s, int number) {
    (void)number;
    bench_run *r = s->data;
    r->interrupted = r->exhausted = true;
    uv_signal_stop(s); /* the next one ends the program */
    (void)fputs("\nstopping: waiting for the requests in flight (interrupt again to end at once)\n",
                stderr);
    if (r->n_active == 0) r->finished = true;
}

static void on_progress(uv_timer_t *t) {
    bench_run *r = t->data;
    const uint64_t now = now_of(r);
    const double gap_s = 1e-9 * (double)(now - r->shown_ns);
    const double rate = gap_s > 0 ? (double)(r->n_chunks - r->shown_chunks) / gap_s : 0;
    char of[32] = "";
    if (r->load.n_requests != UINT64_MAX)
        (void)snprintf(of, sizeof(of), "/%llu", (unsigned long long)r->load.n_requests);
    (void)fprintf(stderr,
                  "\r\033[K%s%s%.1f s  %llu%s done  %llu in flight  %llu failed  %.0f chunks/s",
                  r->label, r->label[0] != '\0' ? "  " : "", 1e-9 * (double)now,
                  (unsigned long long)r->n_ended, of, (unsigned long long)r->n_active,
                  (unsigned long long)r->n_failed, rate);
    (void)fflush(stderr);
    r->shown_ns = now;
    r->shown_chunks = r->n_chunks;
}

static void on_handle_closed(uv_handle_t *h) {
    ((bench_run *)h->data)->n_handles--;
}

static pgd_status open_handles(bench_run *r, pgd_error *err) {
    r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (r->timer_fd < 0)
        return pgd_fail(err, PGD_E_IO, "cannot create a timer: %s", strerror(errno));
    r->due_poll.data = r->progress_timer.data = r->interrupt.data = r;
    uv_poll_init(r->loop, &r->due_poll, r->timer_fd);
    uv_poll_start(&r->due_poll, UV_READABLE, on_due);
    uv_timer_init(r->loop, &r->progress_timer);
    if (r->progress) uv_timer_start(&r->progress_timer, on_progress, PROGRESS_MS, PROGRESS_MS);
    uv_signal_init(r->loop, &r->interrupt);
    uv_signal_start(&r->interrupt, on_interrupt, SIGINT);
    r->n_handles = 3;
    return PGD_OK;
}

static void close_handles(bench_run *r) {
    uv_close((uv_handle_t *)&r->due_poll, on_handle_closed);
    uv_close((uv_handle_t *)&r->progress_timer, on_handle_closed);
    uv_close((uv_handle_t *)&r->interrupt, on_handle_closed);
    while (r->n_handles > 0)
        uv_run(r->loop, UV_RUN_ONCE);
    close(r->timer_fd);
    if (r->progress) (void)fputs("\r\033[K", stderr);
}

pgd_status bench_run_go(bench_run *r, pgd_error *err) {
    PGD_TRY(open_handles(r, err));
    r->zero_ns = uv_hrtime();
    if (r->load.open) {
        r->arrivals = (bench_arrivals){
            .rate = r->load.rate,
            .burstiness = r->load.burstiness,
            .state = bench_seed(r->workload->seed, STREAM_ARRIVALS, r->load.first_index)};
        r->next_due_ns = next_arrival(r);
    }
    pump(r);
    while (!r->finished)
        uv_run(r->loop, UV_RUN_ONCE);
    close_handles(r);
    return r->no_memory ? pgd_fail(err, PGD_E_NOMEM, "no memory for the record of request %llu",
                                   (unsigned long long)r->n_started)
                        : PGD_OK;
}

void bench_run_fini(bench_run *r) {
    for (uint64_t i = 0; i < r->n_started; i++) {
        bench_record_fini(r->rec[i]);
        pgd_free(r->rec[i]);
    }
    pgd_free(r->rec);
    r->rec = NULL;
    r->n_started = 0;
    for (bench_call *c = r->spare, *next; c != NULL; c = next) {
        next = c->next;
        bench_call_fini(c);
        pgd_free(c);
    }
    r->spare = NULL;
    pgd_buf_fini(&r->body);
}
