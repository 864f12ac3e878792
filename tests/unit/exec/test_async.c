/* The rank executor over an asynchronous device: the CPU, but a step is done late, and the device
 * may have failed by then. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "exec/rank.h"
#include "pagoda/queue.h"

typedef struct runner {
    pgd_model *model;
    pgd_exec *x;
    plan_writer pw;
    uint64_t n_polled;
    pgd_mailbox *wake;
} runner;

static void on_result(void *ctx) {
    runner *r = ctx;
    pgd_mailbox_wake(r->wake);
}

static void runner_close(runner *r) {
    r->x->destroy(r->x);
    pgd_mailbox_destroy(&r->wake);
    pgd_model_close(&r->model);
}

static const pgd_step_result *wait_result(runner *r) {
    const pgd_step_result *res;
    while (!(res = r->x->poll(r->x)))
        pgd_mailbox_wait(r->wake, 1000000000);
    assert_int_equal(res->step, r->n_polled);
    r->n_polled++;
    return res;
}

/* Rank thread only, but for what tests read when it has answered. */
typedef struct slow {
    uint32_t n_marked;      /* steps launched */
    uint32_t n_looks;       /* of the rank at a step that is not done */
    uint32_t marks_for[64]; /* step i is done when so many are launched */
    uint32_t n_done;
    uint32_t fail_at; /* from so many marks on the device has failed; 0: never */
    pgd_status (*mark)(pgd_device *d, uint32_t i);
} slow;
static slow slow_state; /* a device has no room for what a test wants to know */

enum { MANY_LOOKS = 50000 }; /* about a second: then the step is done in any case */

static pgd_status slow_mark(pgd_device *d, uint32_t i) {
    slow_state.n_marked++;
    return slow_state.mark(d, i);
}

static bool slow_done(pgd_device *d, uint32_t i) {
    slow *s = &slow_state;
    (void)d;
    (void)i;
    if (s->n_marked < s->marks_for[s->n_done] && ++s->n_looks < MANY_LOOKS) return false;
    s->n_done++;
    return true;
}

static const char *slow_fatal(pgd_device *d) {
    (void)d;
    return slow_state.fail_at && slow_state.n_done >= slow_state.fail_at ? "fell off the bus"
                                                                         : NULL;
}

static pgd_status open_slow(void *ctx, const pgd_exec_options *opt, pgd_device **out,
                            pgd_error *err) {
    const pgd_cpu_options o = {.n_threads = opt->n_threads, .isa = opt->isa};
    (void)ctx;
    PGD_TRY(pgd_device_open_cpu(&o, out, err));
    slow_state.mark = (*out)->mark;
    (*out)->mark = slow_mark;
    (*out)->done = slow_done;
    (*out)->fatal = slow_fatal;
    return PGD_OK;
}

static void runner_open_slow(runner *r, const char *name, uint32_t in_flight) {
    pgd_error err = {0};
    pgd_exec_options opt = small_options(64);
    opt.steps_in_flight = in_flight;
    *r = (runner){.model = golden_model(name)};
    assert_int_equal(pgd_mailbox_create(&r->wake), PGD_OK);
    if (rank_open(r->model, &opt, (rank_device){open_slow, NULL}, NULL, &r->x, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    r->x->on_result(r->x, on_result, r);
}

/* One more greedy token of a sequence that begins with token 5 in slot 0. */
static void submit_next(runner *r, uint32_t position) {
    static const int32_t id = 5, page = 0;
    const pgd_sampling s = greedy_sampling(0);
    if (position == 0) {
        pw_init(&r->pw, 0, 1, &s, NULL, 0, NULL, 0);
        pw_table(&r->pw, 0, 0, &page, 1);
    }
    pw_seq(&r->pw, 0, position ? NULL : &id, 1, position,
           PGD_PLAN_SAMPLE | (position ? PGD_PLAN_LATE_ID : 0U), -1);
    void *buf = r->x->begin(r->x);
    assert_non_null(buf);
    (void)pw_write(&r->pw, buf, r->x->info(r->x)->limits.max_plan_bytes);
    r->x->submit(r->x);
}

static void the_next_step_is_launched_while_one_runs(void **state) {
    (void)state;
    enum { N = 9 };
    for (uint32_t in_flight = 1; in_flight <= 3; in_flight++) {
        runner r;
        slow_state = (slow){0};
        for (uint32_t i = 0; i < N;
             i++) /* not done before all that may be in flight are launched */
            slow_state.marks_for[i] = i + in_flight < N ? i + in_flight : N;
        runner_open_slow(&r, "qwen2-bf16", in_flight);
        int32_t token[N];
        for (uint32_t sent = 0, seen = 0; seen < N;) {
            if (sent < N && sent - seen < in_flight) {
                submit_next(&r, sent++);
                continue;
            }
            const pgd_step_result *res = wait_result(&r);
            assert_int_equal(res->status, PGD_OK);
            token[seen++] = res->sample[0].token;
            r.x->release(r.x);
        }
        assert_true(slow_state.n_looks < MANY_LOOKS);
        for (uint32_t i = 0; i < N; i++)
            assert_true(token[i] >= 0);
        runner_close(&r);
    }
}

static void a_failure_that_shows_later_fails_the_steps_in_flight(void **state) {
    (void)state;
    runner r;
    slow_state = (slow){.fail_at = 3, .marks_for = {2, 3, 4, 4}};
    runner_open_slow(&r, "qwen2-bf16", 2);
    for (uint32_t i = 0; i < 2; i++)
        submit_next(&r, i);
    for (uint32_t i = 0; i < 6; i++) {
        const pgd_step_result *res = wait_result(&r);
        assert_int_equal(res->status, i < 2 ? PGD_OK : PGD_E_DEVICE);
        assert_int_equal(res->n_sample, i < 2);
        r.x->release(r.x);
        submit_next(&r, i + 2);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(wait_result(&r)->status, PGD_E_DEVICE);
        r.x->release(r.x);
    }
    runner_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_step_is_launched_while_one_runs),
        cmocka_unit_test(a_failure_that_shows_later_fails_the_steps_in_flight),
    };
    return cmocka_run_group_tests_name("exec_async", tests, NULL, NULL);
}
