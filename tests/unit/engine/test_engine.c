/* The engine's behaviours one by one, on the simulator: what a request, a chat, a crowd see. */
#include "rig.h"

#include <string.h>

static void alone_a_request_is_what_the_oracle_says(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_start(&g);
    rig_run(&g, &q, 10, 0, 1, 20);
    assert_true(q.done);
    assert_int_equal(rig_len(&q, 0), 20);
    assert_int_equal(rig_finish(&q, 0), PGD_FINISH_LENGTH);
    assert_true(atomic_load(&q.r.scheduled_ns) && atomic_load(&q.r.first_token_ns));
    rig_assert_oracle(&g, &q, 0);
    rig_close(&g);
}

static void chunks_and_company_change_nothing(void **state) {
    (void)state;
    rig g;
    rig_req q[6];
    rig_init(&g);
    g.opt.max_num_batched_tokens = 7;
    rig_open(&g);
    for (uint32_t i = 0; i < 6; i++)
        rig_ask(&g, &q[i], 20 + i, 9, i, 12);
    rig_settle(&g);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(rig_len(&q[i], 0), 12);
        rig_assert_oracle(&g, &q[i], 0);
    }
    rig_close(&g);
}

static void the_context_ends_an_answer_with_length(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_init(&g);
    g.opt.max_model_len = 16;
    rig_open(&g);
    rig_run(&g, &q, 10, 0, 1, 100);
    assert_int_equal(rig_len(&q, 0), 6);
    assert_int_equal(rig_finish(&q, 0), PGD_FINISH_LENGTH);
    rig_close(&g);
}

static void the_next_turn_of_a_chat_hits_prompt_and_answer(void **state) {
    (void)state;
    rig g;
    rig_req a, b;
    rig_start(&g);
    rig_run(&g, &a, 10, 0, 1, 11); /* KV of 20 tokens: five pages */
    rig_request(&g, &b, 30, 0, 2, 4);
    memcpy(b.prompt, a.prompt, 10 * sizeof b.prompt[0]);
    memcpy(b.prompt + 10, a.token[0], 11 * sizeof b.prompt[0]);
    rig_submit(&g, &b);
    rig_settle(&g);
    assert_int_equal(atomic_load(&b.r.n_cached), 20);
    rig_assert_oracle(&g, &b, 0);
    rig_close(&g);
}

static void an_equal_prompt_leaves_one_token_to_compute(void **state) {
    (void)state;
    rig g;
    rig_req a, b;
    rig_start(&g);
    rig_run(&g, &a, 12, 12, 1, 4);
    rig_run(&g, &b, 12, 12, 2, 4);
    assert_int_equal(atomic_load(&b.r.n_cached),
                     8); /* of 12: the third page holds the last token */
    rig_assert_oracle(&g, &b, 0);
    rig_close(&g);
}

static void another_namespace_hits_nothing(void **state) {
    (void)state;
    rig g;
    rig_req a, b;
    rig_start(&g);
    rig_run(&g, &a, 12, 12, 1, 4);
    rig_request(&g, &b, 12, 12, 2, 4);
    b.r.cache_ns[15] = 1;
    rig_submit(&g, &b);
    rig_settle(&g);
    assert_int_equal(atomic_load(&b.r.n_cached), 0);
    rig_close(&g);
}

static void equal_prompts_at_once_end_up_on_the_same_pages(void **state) {
    (void)state;
    rig g;
    rig_req q[3];
    rig_init(&g);
    g.opt.max_num_batched_tokens = 12; /* all three in prefill together, chunk by chunk */
    rig_open(&g);
    for (uint32_t i = 0; i < 3; i++)
        rig_ask(&g, &q[i], 17, 17, 5, 8); /* same seed too: the answers are equal */
    rig_settle(&g);
    for (uint32_t i = 0; i < 3; i++)
        rig_assert_oracle(&g, &q[i], 0);
    assert_int_equal(rig_pages(&g).cached, 6); /* 24 of 25 tokens have KV: as if there were one */
    rig_close(&g);
}

static void choices_share_the_prompt_and_copy_its_last_page(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_init(&g);
    g.sim.steps_in_flight = 1;
    rig_open(&g);
    rig_request(&g, &q, 11, 0, 1, 30); /* two full pages, two of three tokens copied */
    q.r.n_choices = 3;
    rig_submit(&g, &q);
    rig_step(&g); /* choice 0 prefills; its siblings are parked */
    assert_int_equal(g.e->n_run, 1);
    rig_step(&g);
    assert_int_equal(g.e->n_run, 3);
    const pgd_seq *s = g.e->run[0], *t = g.e->run[1], *u = g.e->run[2];
    assert_memory_equal(s->pages, t->pages, 2 * sizeof(uint32_t));
    assert_memory_equal(s->pages, u->pages, 2 * sizeof(uint32_t));
    assert_true(s->pages[2] != t->pages[2] && t->pages[2] != u->pages[2]);
    assert_int_equal(t->n_kv, 10); /* one prompt token left to compute */
    assert_int_equal(seq_fly_rows(t), 1);
    rig_settle(&g);
    for (uint32_t c = 0; c < 3; c++) {
        assert_int_equal(rig_len(&q, c), 30);
        rig_assert_oracle(&g, &q, c);
    }
    rig_close(&g);
}

static void choices_share_without_a_prefix_cache_too(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_init(&g);
    g.opt.prefix_caching = false;
    rig_open(&g);
    rig_request(&g, &q, 11, 0, 1, 9);
    q.r.n_choices = 4;
    rig_submit(&g, &q);
    while (g.e->n_run < 4)
        rig_step(&g);
    assert_memory_equal(g.e->run[0]->pages, g.e->run[3]->pages, 2 * sizeof(uint32_t));
    rig_settle(&g);
    for (uint32_t c = 0; c < 4; c++)
        rig_assert_oracle(&g, &q, c);
    assert_int_equal(rig_pages(&g).free, rig_pages(&g).total);
    rig_close(&g);
}

static void siblings_go_on_when_choice_0_is_stopped_before_its_prompt_is_done(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_init(&g);
    g.opt.max_num_batched_tokens = 4;
    rig_open(&g);
    rig_request(&g, &q, 20, 0, 1, 5);
    q.r.n_choices = 2;
    rig_submit(&g, &q);
    rig_step(&g);
    pgd_engine_stop_choice(g.e, &q.r, 0);
    rig_settle(&g);
    assert_int_equal(rig_finish(&q, 0), PGD_FINISH_CANCELLED);
    assert_int_equal(rig_finish(&q, 1), PGD_FINISH_LENGTH);
    rig_assert_oracle(&g, &q, 1);
    assert_true(q.done);
    rig_close(&g);
}

static void a_cancelled_request_frees_its_pages_when_its_last_step_has_passed(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_init(&g);
    g.opt.prefix_caching = false;
    g.sim.clock = &g.clock; /* results wait for their time: steps stay in flight */
    g.sim.step_base_ns = 100;
    rig_open(&g);
    rig_ask(&g, &q, 10, 0, 1, 50);
    for (int i = 0; i < 10; i++) {
        rig_step(&g);
        g.now_ns += 50;
    }
    assert_true(rig_len(&q, 0) > 0);
    assert_true(g.e->n_flights > 0);
    pgd_engine_cancel(g.e, &q.r, PGD_CANCEL_CLIENT);
    g.now_ns -= 50; /* nothing new comes back in this turn */
    const uint32_t len = rig_len(&q, 0);
    rig_step(&g);
    assert_int_equal(rig_finish(&q, 0), PGD_FINISH_CANCELLED);
    assert_false(q.done);
    assert_true(rig_pages(&g).held > 0);
    g.now_ns += 1000;
    rig_step(&g); /* the steps in flight have passed */
    assert_int_equal(rig_pages(&g).free, rig_pages(&g).total);
    assert_true(q.done);
    assert_int_equal(rig_len(&q, 0), len);
    rig_close(&g);
}

static void deadlines_end_waiting_and_running_ones(void **state) {
    (void)state;
    rig g;
    rig_req q[2];
    rig_init(&g);
    g.opt.max_num_seqs = 1;
    rig_open(&g);
    for (uint32_t i = 0; i < 2; i++) {
        rig_request(&g, &q[i], 10, 0, i, 100);
        q[i].r.deadline_ns = g.now_ns + 500 + i;
        rig_submit(&g, &q[i]);
    }
    rig_step(&g);
    rig_step(&g);
    g.now_ns += 501;
    rig_settle(&g);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(q[i].done);
        assert_int_equal(rig_finish(&q[i], 0), PGD_FINISH_CANCELLED);
        assert_int_equal(atomic_load(&q[i].r.cancel), PGD_CANCEL_DEADLINE);
    }
    assert_true(rig_len(&q[0], 0) > 0);
    assert_int_equal(rig_len(&q[1], 0), 0);
    rig_close(&g);
}

static void too_many_for_the_pages_are_preempted_and_answer_the_same(void **state) {
    (void)state;
    rig g;
    rig_req q[4];
    rig_init(&g);
    g.sim.limits.n_pages = 16;
    rig_open(&g);
    for (uint32_t i = 0; i < 4; i++) {
        rig_request(&g, &q[i], 6, 0, i, 40); /* 12 pages each at the end */
        if (i == 2) q[i].r.sampling.flags |= PGD_SAMPLE_PENALTIES;
        rig_submit(&g, &q[i]);
    }
    rig_settle(&g);
    pgd_engine_stats st;
    pgd_engine_get_stats(g.e, &st);
    assert_true(st.preemptions > 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(rig_len(&q[i], 0), 40);
        rig_assert_oracle(&g, &q[i], 0);
    }
    rig_close(&g);
}

static void a_higher_priority_runs_first_and_is_not_preempted(void **state) {
    (void)state;
    rig g;
    rig_req q[3];
    rig_init(&g);
    g.sim.limits.n_pages = 14;
    g.opt.max_num_seqs = 2;
    rig_open(&g);
    for (uint32_t i = 0; i < 3; i++) {
        rig_request(&g, &q[i], 6, 0, i, 40);
        q[i].r.priority = 2 - (int32_t)i; /* the last is the most important */
        rig_submit(&g, &q[i]);
    }
    while (!q[0].done && !q[1].done && !q[2].done)
        rig_step(&g);
    assert_true(q[2].done); /* first: it never lost its pages */
    rig_settle(&g);
    for (uint32_t i = 0; i < 3; i++)
        rig_assert_oracle(&g, &q[i], 0);
    rig_close(&g);
}

static void a_prompt_is_scored_without_the_cache(void **state) {
    (void)state;
    rig g;
    rig_req a, b;
    rig_init(&g);
    g.opt.max_num_batched_tokens = 5;
    rig_open(&g);
    rig_run(&g, &a, 18, 18, 1, 3);
    rig_request(&g, &b, 18, 18, 2, 0);
    b.r.score_prompt = true;
    rig_submit(&g, &b);
    rig_settle(&g);
    assert_int_equal(rig_finish(&b, 0), PGD_FINISH_LENGTH);
    assert_int_equal(rig_len(&b, 0), 0);
    assert_int_equal(atomic_load(&b.scores.len), 17);
    assert_int_equal(atomic_load(&b.r.n_cached), 0);
    for (uint32_t i = 0; i < 17; i++) {
        assert_int_equal(b.scores.token[i], b.prompt[i + 1]);
        assert_true(b.scores.logprob[i] == pgd_sim_logprob(b.prompt, i + 2));
    }
    rig_close(&g);
}

/* The sum, or the last, of the states of all tokens but the one that only ends the prompt. */
static void a_prompt_is_pooled_in_chunks_and_without_the_cache(void **state) {
    (void)state;
    for (uint32_t n = 2; n < 40; n += 9) {
        for (int last = 0; last < 2; last++) {
            rig g;
            rig_req a, b;
            double sum[4] = {0};
            rig_init(&g);
            g.opt.max_num_batched_tokens = 5;
            rig_open(&g);
            rig_run(&g, &a, n, n, 1, 3);
            rig_request(&g, &b, n, n, 2, 0);
            b.r.score_prompt = true;
            b.r.pooled = sum;
            b.r.pool_last = last;
            rig_submit(&g, &b);
            rig_settle(&g);
            assert_int_equal(rig_finish(&b, 0), PGD_FINISH_LENGTH);
            assert_int_equal(b.r.n_pooled, n - 1);
            for (uint32_t j = 0; j < 4; j++) {
                double want = 0;
                for (uint32_t i = last ? n - 1 : 1; i < n; i++)
                    want += (double)pgd_sim_hidden(b.prompt, i, j);
                assert_true(sum[j] == want);
            }
            rig_close(&g);
        }
    }
}

static void one_token_has_nothing_to_score(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_start(&g);
    rig_request(&g, &q, 1, 0, 1, 0);
    q.r.score_prompt = true;
    q.r.n_choices = 2;
    rig_submit(&g, &q);
    rig_settle(&g);
    assert_true(q.done);
    assert_int_equal(rig_finish(&q, 1), PGD_FINISH_LENGTH);
    rig_close(&g);
}

static void a_reset_forgets_what_nobody_uses(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_start(&g);
    rig_run(&g, &q, 20, 0, 1, 4);
    assert_true(rig_pages(&g).cached > 0);
    pgd_engine_reset_prefix_cache(g.e);
    rig_settle(&g);
    assert_int_equal(rig_pages(&g).free, rig_pages(&g).total);
    rig_close(&g);
}

/* The reset that was answered since the last look; NULL: none. */
static pgd_cache_reset *answered(rig *g) {
    pgd_link *const at = pgd_stack_take_all(&g->sink.resets);
    if (at == NULL) return NULL;
    assert_null(at->next);
    return PGD_FROM_LINK(at, pgd_cache_reset, link);
}

static void a_reset_leaves_running_ones_alone_and_says_what_it_freed(void **state) {
    (void)state;
    rig g;
    rig_req q[3];
    pgd_cache_reset reset = {.sink = &g.sink};
    rig_start(&g);
    rig_run(&g, &q[0], 20, 20, 1, 4); /* leaves the stem, and an answer of its own */
    rig_run(&g, &q[1], 16, 0, 2, 4);
    const uint32_t cached = rig_pages(&g).cached;
    rig_ask(&g, &q[2], 24, 20, 3, 30); /* runs on the stem's pages */
    while (rig_len(&q[2], 0) < 3)
        rig_step(&g);
    const uint32_t n_hit = atomic_load(&q[2].r.n_cached);
    assert_int_equal(n_hit, 20);
    const pgd_page_pool_counts before = rig_pages(&g);
    assert_int_equal(before.cached, cached - n_hit / RIG_PAGE);
    g.n_wakes = 0;
    pgd_engine_ask_cache_reset(g.e, &reset);
    assert_null(answered(&g));
    (void)pgd_engine_step(g.e);
    assert_ptr_equal(answered(&g), &reset);
    assert_int_equal(g.n_wakes, 1);
    assert_int_equal(reset.pages_freed, before.cached);
    assert_true(reset.pages_kept >= n_hit / RIG_PAGE);
    assert_int_equal(rig_pages(&g).cached, 0);
    assert_true(rig_pages(&g).held >= before.held);
    rig_settle(&g);
    assert_true(q[2].done);
    assert_int_equal(rig_len(&q[2], 0), 30);
    rig_assert_oracle(&g, &q[2], 0);
    rig_run(&g, &q[1], 16, 0, 2, 4); /* forgotten */
    assert_int_equal(atomic_load(&q[1].r.n_cached), 0);
    rig_run(&g, &q[0], 20, 20, 1, 4); /* kept: it was in use */
    assert_true(atomic_load(&q[0].r.n_cached) > 0);
    rig_assert_oracle(&g, &q[0], 0);
    rig_close(&g);
}

static void resets_are_answered_by_an_engine_that_ends(void **state) {
    (void)state;
    rig g;
    pgd_cache_reset reset[2] = {{.sink = &g.sink}, {.sink = &g.sink}};
    rig_start(&g);
    for (int i = 0; i < 2; i++)
        pgd_engine_ask_cache_reset(g.e, &reset[i]);
    rig_close(&g);
    uint32_t n = 0;
    for (pgd_link *at = pgd_stack_take_all(&g.sink.resets); at; at = at->next)
        n++;
    assert_int_equal(n, 2);
}

static void a_sink_is_woken_once_a_turn(void **state) {
    (void)state;
    rig g;
    rig_req q[5];
    rig_start(&g);
    for (uint32_t i = 0; i < 5; i++)
        rig_ask(&g, &q[i], 4, 0, i, 10);
    while (!q[0].done) {
        g.n_wakes = 0;
        rig_step(&g);
        assert_true(g.n_wakes <= 1);
    }
    rig_settle(&g);
    rig_close(&g);
}

static void destroy_ends_what_is_inside_with_an_error(void **state) {
    (void)state;
    rig g;
    rig_req q[2];
    rig_init(&g);
    g.opt.max_num_seqs = 1;
    rig_open(&g);
    for (uint32_t i = 0; i < 2; i++) {
        rig_ask(&g, &q[i], 10, 0, i, 50);
        rig_step(&g);
    }
    rig_close(&g);
    rig_read(&g);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(q[i].done);
        assert_int_equal(rig_finish(&q[i], 0), PGD_FINISH_ERROR);
        assert_true(q[i].r.error[0] != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_a_request_is_what_the_oracle_says),
        cmocka_unit_test(chunks_and_company_change_nothing),
        cmocka_unit_test(the_context_ends_an_answer_with_length),
        cmocka_unit_test(the_next_turn_of_a_chat_hits_prompt_and_answer),
        cmocka_unit_test(an_equal_prompt_leaves_one_token_to_compute),
        cmocka_unit_test(another_namespace_hits_nothing),
        cmocka_unit_test(equal_prompts_at_once_end_up_on_the_same_pages),
        cmocka_unit_test(choices_share_the_prompt_and_copy_its_last_page),
        cmocka_unit_test(choices_share_without_a_prefix_cache_too),
        cmocka_unit_test(siblings_go_on_when_choice_0_is_stopped_before_its_prompt_is_done),
        cmocka_unit_test(a_cancelled_request_frees_its_pages_when_its_last_step_has_passed),
        cmocka_unit_test(deadlines_end_waiting_and_running_ones),
        cmocka_unit_test(too_many_for_the_pages_are_preempted_and_answer_the_same),
        cmocka_unit_test(a_higher_priority_runs_first_and_is_not_preempted),
        cmocka_unit_test(a_prompt_is_scored_without_the_cache),
        cmocka_unit_test(a_prompt_is_pooled_in_chunks_and_without_the_cache),
        cmocka_unit_test(one_token_has_nothing_to_score),
        cmocka_unit_test(a_reset_forgets_what_nobody_uses),
        cmocka_unit_test(a_reset_leaves_running_ones_alone_and_says_what_it_freed),
        cmocka_unit_test(resets_are_answered_by_an_engine_that_ends),
        cmocka_unit_test(a_sink_is_woken_once_a_turn),
        cmocka_unit_test(destroy_ends_what_is_inside_with_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
