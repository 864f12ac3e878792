/* Commit: stops known one step late, bad logits, device failure, an executor that mixes things up,
 * and what metrics, stats and health say. */
#include "rig.h"

#include <string.h>

#include "pagoda/log.h"

/* The oracle's i-th output token of choice 0. */
static int32_t oracle(const rig *g, const rig_req *q, uint32_t i) {
    int32_t text[2 * RIG_LEN], t = 0;
    uint32_t n = q->r.n_prompt;
    memcpy(text, q->prompt, n * sizeof *text);
    for (uint32_t k = 0; k <= i; k++) {
        t = pgd_sim_next_token(&g->sim, text, n, q->r.sampling.seed, 0);
        text[n++] = t;
    }
    return t;
}

static void a_stop_token_is_the_last_of_the_log_and_late_rows_vanish(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_init(&g);
    g.sim.steps_in_flight = 3; /* two wasted rows are in flight when the stop is known */
    rig_open(&g);
    rig_request(&g, &q, 8, 0, 1, 60);
    q.r.sampling.stop_ids[0] = oracle(&g, &q, 4);
    q.r.sampling.n_stop_ids = 1;
    rig_submit(&g, &q);
    rig_settle(&g);
    assert_int_equal(rig_finish(&q, 0), PGD_FINISH_STOP);
    assert_int_equal(rig_len(&q, 0), 5);
    assert_int_equal(q.out[0].token[4], q.r.sampling.stop_ids[0]);
    assert_int_equal(q.out[0].stop_token, q.r.sampling.stop_ids[0]);
    /* 13 tokens are known and 12 have KV; the stop token's own, computed by a wasted row, must not
     * make a fourth page reachable. */
    assert_int_equal(rig_pages(&g).cached, 3);
    assert_int_equal(rig_pages(&g).free, rig_pages(&g).total - 3);
    rig_close(&g);
}

static void min_tokens_keeps_stop_ids_away(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_start(&g);
    rig_request(&g, &q, 8, 0, 1, 30);
    q.r.sampling.stop_ids[0] = oracle(&g, &q, 0);
    q.r.sampling.n_stop_ids = 1;
    q.r.sampling.min_tokens = 10;
    rig_submit(&g, &q);
    rig_settle(&g);
    assert_true(rig_len(&q, 0) >= 10);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(q.out[0].token[i] != q.r.sampling.stop_ids[0]);
    rig_close(&g);
}

static void bad_logits_end_only_their_request(void **state) {
    (void)state;
    rig g;
    rig_req q[8];
    uint32_t n_bad = 0;
    rig_init(&g);
    g.sim.bad_mean = 60;
    rig_open(&g);
    for (uint32_t i = 0; i < 8; i++)
        rig_ask(&g, &q[i], 6, 0, i, 20);
    rig_settle(&g);
    for (uint32_t i = 0; i < 8; i++) {
        assert_true(q[i].done);
        if (rig_finish(&q[i], 0) == PGD_FINISH_ERROR) {
            n_bad++;
            assert_int_equal(q[i].r.error_code, PGD_E_DEVICE);
            assert_true(q[i].r.error[0] != 0);
        } else {
            assert_int_equal(rig_len(&q[i], 0), 20);
        }
        rig_assert_oracle(&g, &q[i], 0);
    }
    assert_true(n_bad > 0 && n_bad < 8);
    rig_close(&g);
}

static void a_device_failure_ends_everything_and_refuses_the_rest(void **state) {
    (void)state;
    rig g;
    rig_req q[3];
    pgd_engine_stats st;
    pgd_error err = {0};
    rig_init(&g);
    pgd_log_setup(PGD_LOG_OFF, PGD_LOG_TEXT);
    g.sim.fail_at_step = 4;
    g.opt.max_num_seqs = 1;
    rig_open(&g);
    for (uint32_t i = 0; i < 2; i++)
        rig_ask(&g, &q[i], 6, 0, i, 20);
    rig_settle(&g);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(q[i].done);
        assert_int_equal(rig_finish(&q[i], 0), PGD_FINISH_ERROR);
        assert_int_equal(q[i].r.error_code, PGD_E_DEVICE);
    }
    rig_request(&g, &q[2], 6, 0, 3, 20);
    assert_int_equal(pgd_engine_submit(g.e, &q[2].r, &err), PGD_E_DEVICE);
    pgd_engine_get_stats(g.e, &st);
    assert_true(st.fatal && st.fatal_msg[0]);
    assert_int_equal(st.inside, 0);
    rig_close(&g);
}

/* An executor that answers with the digest of another plan. */
typedef struct liar {
    pgd_exec port;
    pgd_exec *inner;
    pgd_step_result result;
} liar;

static const pgd_exec_info *liar_info(const pgd_exec *x) {
    const pgd_exec *in = ((const liar *)(const void *)x)->inner;
    return in->info(in);
}
static void *liar_begin(pgd_exec *x) {
    pgd_exec *in = ((liar *)(void *)x)->inner;
    return in->begin(in);
}
static void liar_submit(pgd_exec *x) {
    pgd_exec *in = ((liar *)(void *)x)->inner;
    in->submit(in);
}
static const pgd_step_result *liar_poll(pgd_exec *x) {
    liar *l = (liar *)(void *)x;
    const pgd_step_result *r = l->inner->poll(l->inner);
    if (!r) return NULL;
    l->result = *r;
    l->result.digest ^= r->step == 3;
    return &l->result;
}
static void liar_release(pgd_exec *x) {
    pgd_exec *in = ((liar *)(void *)x)->inner;
    in->release(in);
}
static void liar_on_result(pgd_exec *x, void (*fn)(void *), void *ctx) {
    pgd_exec *in = ((liar *)(void *)x)->inner;
    in->on_result(in, fn, ctx);
}

static void an_answer_to_another_plan_is_fatal(void **state) {
    (void)state;
    rig g;
    rig_req q;
    rig_init(&g);
    pgd_log_setup(PGD_LOG_OFF, PGD_LOG_TEXT);
    rig_open(&g);
    liar l = {.port = {.info = liar_info,
                       .begin = liar_begin,
                       .submit = liar_submit,
                       .poll = liar_poll,
                       .release = liar_release,
                       .on_result = liar_on_result},
              .inner = g.exec};
    pgd_engine_destroy(&g.e);
    assert_int_equal(pgd_engine_create(&l.port, &g.opt, &g.e, NULL), PGD_OK);
    rig_run(&g, &q, 6, 0, 1, 20);
    assert_int_equal(rig_finish(&q, 0), PGD_FINISH_ERROR);
    assert_int_equal(q.r.error_code, PGD_E_INTERNAL);
    assert_true(rig_len(&q, 0) < 20);
    rig_close(&g);
}

static void the_age_of_a_step_and_the_heartbeat_are_told(void **state) {
    (void)state;
    rig g;
    rig_req q[2];
    pgd_engine_stats st;
    rig_init(&g);
    g.sim.clock = &g.clock;
    g.sim.step_base_ns = UINT64_C(100000000000);
    g.opt.max_num_seqs = 1;
    rig_open(&g);
    rig_ask(&g, &q[0], 6, 0, 1, 20);
    rig_step(&g);
    const uint64_t submitted = g.now_ns;
    g.now_ns += 5000;
    rig_ask(&g, &q[1], 6, 0, 2, 20); /* waits for the only place */
    g.now_ns += 5000;
    rig_step(&g);
    pgd_engine_get_stats(g.e, &st);
    assert_true(st.oldest_step_ns == submitted);
    assert_true(st.heartbeat_ns == submitted + 10000);
    assert_true(st.queue_oldest_ns == submitted + 5000);
    rig_close(&g);
}

static void metrics_carry_the_names_of_vllm(void **state) {
    (void)state;
    static const char *const want[] = {
        "vllm:num_requests_running{",
        "vllm:num_requests_waiting{",
        "vllm:kv_cache_usage_perc{",
        "vllm:num_preemptions_total{model_name=\"m\"} 0",
        "vllm:prompt_tokens_total{model_name=\"m\"} 26",
        "vllm:generation_tokens_total{model_name=\"m\"} 10",
        "vllm:prefix_cache_queries_total{model_name=\"m\"} 26",
        "vllm:prefix_cache_hits_total{model_name=\"m\"} 12",
        "vllm:request_success_total{model_name=\"m\",finished_reason=\"length\"} 2",
        "vllm:request_success_total{model_name=\"m\",finished_reason=\"abort\"} 0",
        "vllm:time_to_first_token_seconds_count{model_name=\"m\"} 2",
        "vllm:inter_token_latency_seconds_count{model_name=\"m\"} 8",
        "vllm:e2e_request_latency_seconds_count{model_name=\"m\"} 2",
        "vllm:request_queue_time_seconds_count{model_name=\"m\"} 2",
        "vllm:iteration_tokens_total_bucket{",
        "vllm:prompt_tokens_by_source_total{model_name=\"m\",source=\"local_compute\"} 14",
        "vllm:request_inference_time_seconds_count{model_name=\"m\"} 2",
        "vllm:request_max_num_generation_tokens_sum{model_name=\"m\"} 10",
        "vllm:request_prefill_kv_computed_tokens_sum{model_name=\"m\"} 14",
        "vllm:request_prompt_tokens_sum{model_name=\"m\"} 26",
        "vllm:request_generation_tokens_sum{model_name=\"m\"} 10",
        "vllm:cache_config_info{model_name=\"m\",block_size=\"4\",num_gpu_blocks=\"64\"",
        "pagoda_kv_blocks{model_name=\"m\",state=\"cached\"}",
    };
    rig g;
    rig_req q[2];
    pgd_buf text = {0};
    rig_init(&g);
    assert_int_equal(pgd_metrics_create(&g.opt.metrics, "model_name=\"m\""), PGD_OK);
    rig_open(&g);
    for (uint32_t i = 0; i < 2; i++)
        rig_run(&g, &q[i], 13, 13, i, 5);
    pgd_metrics_render(g.opt.metrics, &text);
    pgd_buf_putc(&text, 0);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        if (!strstr(text.p, want[i])) fail_msg("missing: %s", want[i]);
    pgd_buf_fini(&text);
    rig_close(&g);
    pgd_metrics_destroy(&g.opt.metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_token_is_the_last_of_the_log_and_late_rows_vanish),
        cmocka_unit_test(min_tokens_keeps_stop_ids_away),
        cmocka_unit_test(bad_logits_end_only_their_request),
        cmocka_unit_test(a_device_failure_ends_everything_and_refuses_the_rest),
        cmocka_unit_test(an_answer_to_another_plan_is_fatal),
        cmocka_unit_test(the_age_of_a_step_and_the_heartbeat_are_told),
        cmocka_unit_test(metrics_carry_the_names_of_vllm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
