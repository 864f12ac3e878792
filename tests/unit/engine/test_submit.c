/* The gate: what is refused, with which code, and that a refused request leaves nothing behind. */
#include "rig.h"

#include <math.h>
#include <string.h>

#include "pagoda/mem.h"

static pgd_status try(rig *g, rig_req *q, pgd_error *err) {
    *err = (pgd_error){0};
    const pgd_status s = pgd_engine_submit(g->e, &q->r, err);
    if (s != PGD_OK) assert_true(err->msg[0] != 0);
    assert_int_equal(atomic_load(&g->e->n_queued), s == PGD_OK);
    assert_int_equal(atomic_load(&g->e->n_inside), s == PGD_OK);
    return s;
}

static void values_that_could_upset_a_step_are_refused(void **state) {
    (void)state;
    rig g;
    rig_start(&g);
    const pgd_bias nan_bias = {.id = 1, .value = NAN}, far_bias = {.id = RIG_VOCAB, .value = 1};
    for (int i = 0;; i++) {
        rig_req q;
        pgd_error err;
        rig_request(&g, &q, 10, 0, 1, 5);
        pgd_sampling *p = &q.r.sampling;
        if (i == 0) q.prompt[3] = RIG_VOCAB;
        if (i == 1) q.prompt[9] = -1;
        if (i == 2) q.r.n_prompt = 0;
        if (i == 3) q.r.n_choices = 0;
        if (i == 4) q.r.n_choices = PGD_MAX_N + 1;
        if (i == 5) q.r.max_new_tokens = 0;
        if (i == 6) p->temperature = 0;
        if (i == 7) p->temperature = NAN;
        if (i == 8) p->top_p = 0;
        if (i == 9) p->min_p = 2;
        if (i == 10) p->repetition_penalty = 0;
        if (i == 11) p->presence_penalty = INFINITY;
        if (i == 12) p->n_top = PGD_MAX_TOP_LOGPROBS + 1;
        if (i == 13) p->n_stop_ids = PGD_MAX_STOP_IDS + 1;
        if (i == 14) p->stop_ids[p->n_stop_ids++] = RIG_VOCAB;
        if (i == 15) q.r.n_bias = 1, q.r.bias = &nan_bias;
        if (i == 16) q.r.n_bias = 1, q.r.bias = &far_bias;
        if (i == 17) q.out[0].cap = 4;
        if (i == 18) q.out[0].logprob = NULL;
        if (i == 19) p->n_top = 1; /* no room for alternatives */
        if (i == 20) q.r.score_prompt = true, q.r.scores = NULL;
        if (i == 21) q.r.sink = NULL;
        if (i == 22) break;
        if (try(&g, &q, &err) != PGD_E_INVALID) fail_msg("case %d: %s", i, err.msg);
    }
    rig_close(&g);
}

static void a_prompt_must_leave_room_for_one_token(void **state) {
    (void)state;
    rig g;
    rig_req q;
    pgd_error err;
    rig_init(&g);
    g.opt.max_model_len = 16;
    rig_open(&g);
    rig_request(&g, &q, 16, 0, 1, 5);
    assert_int_equal(try(&g, &q, &err), PGD_E_LIMIT);
    rig_request(&g, &q, 15, 0, 1, 5);
    assert_int_equal(try(&g, &q, &err), PGD_OK);
    rig_settle(&g);
    assert_int_equal(rig_len(&q, 0), 1);
    rig_close(&g);
}

static void a_prompt_that_no_pool_can_hold_is_refused(void **state) {
    (void)state;
    rig g;
    rig_req q;
    pgd_error err;
    rig_init(&g);
    g.sim.limits.n_pages = 4;
    rig_open(&g);
    rig_request(&g, &q, 16, 0, 1, 5);
    assert_int_equal(try(&g, &q, &err), PGD_E_LIMIT);
    rig_close(&g);
}

static void a_full_queue_answers_busy(void **state) {
    (void)state;
    rig g;
    rig_req q[3];
    rig_init(&g);
    g.opt.max_queued = 2;
    rig_open(&g);
    for (uint32_t i = 0; i < 3; i++) {
        rig_request(&g, &q[i], 4, 0, i, 4);
        assert_int_equal(pgd_engine_submit(g.e, &q[i].r, NULL), i < 2 ? PGD_OK : PGD_E_BUSY);
    }
    rig_settle(&g);
    assert_true(q[0].done && q[1].done && !q[2].done);
    rig_submit(&g, &q[2]); /* room again */
    rig_settle(&g);
    assert_true(q[2].done);
    rig_close(&g);
}

static void draining_refuses_new_ones_and_finishes_the_rest(void **state) {
    (void)state;
    rig g;
    rig_req q[2];
    pgd_engine_stats st;
    rig_start(&g);
    rig_request(&g, &q[0], 4, 0, 1, 9);
    rig_request(&g, &q[1], 4, 0, 2, 9);
    rig_submit(&g, &q[0]);
    pgd_engine_drain(g.e);
    assert_int_equal(pgd_engine_submit(g.e, &q[1].r, NULL), PGD_E_BUSY);
    rig_settle(&g);
    assert_int_equal(rig_finish(&q[0], 0), PGD_FINISH_LENGTH);
    pgd_engine_get_stats(g.e, &st);
    assert_true(st.draining);
    assert_int_equal(st.inside, 0);
    rig_close(&g);
}

static void cancel_all_ends_everything_with_shutdown(void **state) {
    (void)state;
    rig g;
    rig_req q[2];
    rig_init(&g);
    g.opt.max_num_seqs = 1;
    rig_open(&g);
    for (uint32_t i = 0; i < 2; i++) {
        rig_ask(&g, &q[i], 4, 0, i, 60);
        rig_step(&g);
    }
    pgd_engine_cancel_all(g.e);
    rig_settle(&g);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(rig_finish(&q[i], 0), PGD_FINISH_CANCELLED);
        assert_int_equal(atomic_load(&q[i].r.cancel), PGD_CANCEL_SHUTDOWN);
        assert_true(q[i].done);
    }
    rig_close(&g);
}

static void a_request_cancelled_before_the_engine_saw_it_ends_too(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_start(&g);
    rig_request(&g, &q, 4, 0, 1, 9);
    q.r.n_choices = 3;
    rig_submit(&g, &q);
    pgd_engine_cancel(g.e, &q.r, PGD_CANCEL_CLIENT);
    rig_step(&g);
    assert_true(q.done);
    for (uint32_t c = 0; c < 3; c++)
        assert_int_equal(rig_finish(&q, c), PGD_FINISH_CANCELLED);
    rig_close(&g);
}

static void memory_running_out_fails_the_request_or_the_start_cleanly(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_start(&g);
    rig_request(&g, &q, 4, 0, 1, 2);
    pgd_mem_fail_after(0);
    const pgd_status s = pgd_engine_submit(g.e, &q.r, NULL);
    assert_true(pgd_mem_fail_after(-1));
    assert_int_equal(s, PGD_E_NOMEM);
    assert_int_equal(atomic_load(&g.e->n_queued), 0);
    pgd_engine_destroy(&g.e);
    for (int64_t n = 0;; n++) {
        pgd_mem_fail_after(n);
        const pgd_status c = pgd_engine_create(g.exec, &g.opt, &g.e, NULL);
        const bool fired = pgd_mem_fail_after(-1);
        assert_int_equal(c, fired ? PGD_E_NOMEM : PGD_OK);
        if (!fired) break;
        assert_null(g.e);
    }
    rig_close(&g);
}

static void options_beyond_the_executor_are_refused(void **state) {
    (void)state;
    rig g;
    pgd_engine *e = NULL;
    pgd_error err = {0};
    rig_start(&g);
    pgd_engine_options o = g.opt;
    o.max_num_seqs = 9;
    assert_int_equal(pgd_engine_create(g.exec, &o, &e, &err), PGD_E_INVALID);
    o = g.opt;
    o.max_num_batched_tokens = 65;
    assert_int_equal(pgd_engine_create(g.exec, &o, &e, &err), PGD_E_INVALID);
    o = g.opt;
    o.max_queued = 0;
    assert_int_equal(pgd_engine_create(g.exec, &o, &e, &err), PGD_E_INVALID);
    rig_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_could_upset_a_step_are_refused),
        cmocka_unit_test(a_prompt_must_leave_room_for_one_token),
        cmocka_unit_test(a_prompt_that_no_pool_can_hold_is_refused),
        cmocka_unit_test(a_full_queue_answers_busy),
        cmocka_unit_test(draining_refuses_new_ones_and_finishes_the_rest),
        cmocka_unit_test(cancel_all_ends_everything_with_shutdown),
        cmocka_unit_test(a_request_cancelled_before_the_engine_saw_it_ends_too),
        cmocka_unit_test(memory_running_out_fails_the_request_or_the_start_cleanly),
        cmocka_unit_test(options_beyond_the_executor_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
