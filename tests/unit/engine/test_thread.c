/* The engine on its own thread, the simulator on another, several submitting threads and one
 * reader: what the sanitizers should see. Answers are compared after everything has ended; nothing
 * here depends on how fast anything is. */
#include "rig.h"

#include <pthread.h>
#include <string.h>

#include "pagoda/mem.h"

enum { N_THREADS = 3, N_EACH = 40 };

typedef struct crowd {
    rig g;
    pgd_mailbox *bell;
    rig_req *req; /* [N_THREADS * N_EACH] */
    _Atomic uint32_t n_refused;
    _Atomic bool failed;
} crowd;

typedef struct client {
    crowd *c;
    uint32_t first;
} client;

static void ring_bell(void *ctx) {
    pgd_mailbox_wake(ctx);
}

static void *submit_some(void *arg) {
    const client *me = arg;
    for (uint32_t i = 0; i < N_EACH; i++) {
        rig_req *q = &me->c->req[me->first + i];
        while (pgd_engine_submit(me->c->g.e, &q->r, NULL) == PGD_E_BUSY) /* the queue is small */
            atomic_fetch_add(&me->c->n_refused, 1);
    }
    return NULL;
}

/* The event loop's part: done first, dirty second, clear the mark, then read. Every fifth request
 * is cancelled when its first tokens are seen; one choice in seven is stopped, while there is an
 * engine. Returns how many ended. */
static uint32_t read_once(crowd *c) {
    uint32_t n = 0;
    pgd_link *done = pgd_stack_take_all(&c->g.sink.done);
    pgd_link *dirty = pgd_stack_take_all(&c->g.sink.dirty);
    while (dirty) {
        rig_req *q = (rig_req *)(void *)PGD_FROM_LINK(dirty, pgd_request, dirty_link);
        dirty = dirty->next; /* read before the mark is cleared: it may be pushed again */
        (void)atomic_exchange_explicit(&q->r.dirty, 0, memory_order_acq_rel);
        const uint32_t len = atomic_load_explicit(&q->out[0].len, memory_order_acquire);
        if (len <= 2 || !c->g.e) continue;
        if (q->r.id % 5 == 0) pgd_engine_cancel(c->g.e, &q->r, PGD_CANCEL_CLIENT);
        if (q->r.id % 7 == 0) pgd_engine_stop_choice(c->g.e, &q->r, 0);
    }
    for (; done; done = done->next, n++) {
        rig_req *q = (rig_req *)(void *)PGD_FROM_LINK(done, pgd_request, done_link);
        if (q->done) atomic_store(&c->failed, true);
        q->done = true;
    }
    return n;
}

static void open_crowd(crowd *c) {
    memset(c, 0, sizeof *c);
    rig_init(&c->g);
    c->g.clock = pgd_clock_monotonic();
    c->g.sim.realtime = true;
    c->g.sim.step_base_ns = 20000;
    c->g.sim.limits.n_pages = 40;
    c->g.opt.checks = false; /* allocates; the invariants are the simulation's business */
    const pgd_clock real = pgd_clock_monotonic();
    c->g.opt.clock = &real;
    c->req = pgd_calloc(N_THREADS * N_EACH, sizeof *c->req);
    assert_non_null(c->req);
    assert_int_equal(pgd_mailbox_create(&c->bell), PGD_OK);
    rig_open(&c->g);
    c->g.opt.clock = NULL;
    c->g.sink.wake = ring_bell;
    c->g.sink.ctx = c->bell;
    for (uint32_t i = 0; i < N_THREADS * N_EACH; i++) {
        rig_request(&c->g, &c->req[i], 4 + i % 23, 8, i + 1, 5 + i % 17);
        c->req[i].r.n_choices = 1 + i % 3;
        c->req[i].r.priority = (int32_t)(i % 2);
    }
    assert_int_equal(pgd_engine_start(c->g.e, NULL), PGD_OK);
}

static void close_crowd(crowd *c) {
    pgd_engine_destroy(&c->g.e);
    assert_string_equal(pgd_sim_fault(c->g.exec), "");
    c->g.exec->destroy(c->g.exec);
    pgd_mailbox_destroy(&c->bell);
    pgd_free(c->req);
}

static void a_crowd_of_threads_is_answered_like_the_oracle(void **state) {
    (void)state;
    static crowd c;
    pthread_t t[N_THREADS];
    client me[N_THREADS];
    open_crowd(&c);
    for (uint32_t i = 0; i < N_THREADS; i++) {
        me[i] = (client){.c = &c, .first = i * N_EACH};
        assert_int_equal(pthread_create(&t[i], NULL, submit_some, &me[i]), 0);
    }
    uint32_t n_done = 0;
    while (n_done < N_THREADS * N_EACH) {
        n_done += read_once(&c);
        if (n_done < N_THREADS * N_EACH) pgd_mailbox_wait(c.bell, UINT64_MAX);
    }
    for (uint32_t i = 0; i < N_THREADS; i++)
        (void)pthread_join(t[i], NULL);
    assert_false(atomic_load(&c.failed));
    for (uint32_t i = 0; i < N_THREADS * N_EACH; i++) {
        const rig_req *q = &c.req[i];
        assert_true(q->done);
        for (uint32_t k = 0; k < q->r.n_choices; k++) {
            rig_assert_oracle(&c.g, q, k);
            if (rig_finish(q, k) == PGD_FINISH_LENGTH)
                assert_int_equal(rig_len(q, k), q->r.max_new_tokens);
            else
                assert_int_equal(rig_finish(q, k), PGD_FINISH_CANCELLED);
        }
    }
    pgd_engine_stats st;
    pgd_engine_get_stats(c.g.e, &st);
    assert_int_equal(st.inside, 0);
    close_crowd(&c);
}

static void destroy_with_steps_in_flight_ends_everybody(void **state) {
    (void)state;
    static crowd c;
    open_crowd(&c);
    for (uint32_t i = 0; i < 10; i++)
        rig_submit(&c.g, &c.req[i]);
    /* request 4 has id 5: it would be cancelled, were there still an engine */
    while (atomic_load(&c.req[4].out[0].len) <= 2 &&
           atomic_load(&c.req[4].out[0].finish) == PGD_FINISH_NONE)
        pgd_mailbox_wait(c.bell, 1000000);
    pgd_engine_destroy(&c.g.e);
    assert_int_equal(read_once(&c), 10);
    for (uint32_t i = 0; i < 10; i++)
        for (uint32_t k = 0; k < c.req[i].r.n_choices; k++)
            assert_true(rig_finish(&c.req[i], k) != PGD_FINISH_NONE);
    close_crowd(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_of_threads_is_answered_like_the_oracle),
        cmocka_unit_test(destroy_with_steps_in_flight_ends_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
