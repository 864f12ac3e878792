/* See rig.h. */
#include "rig.h"

#include <string.h>

static uint64_t rig_now(void *ctx) {
    return ((const rig *)ctx)->now_ns;
}

static void rig_wake(void *ctx) {
    ((rig *)ctx)->n_wakes++;
}

void rig_init(rig *g) {
    *g = (rig){.now_ns = 1000};
    g->sim = (pgd_sim_options){.limits = {.max_seqs = 8,
                                          .max_tokens = 64,
                                          .max_slots = 16,
                                          .max_pages_per_seq = RIG_LEN / RIG_PAGE,
                                          .page_tokens = RIG_PAGE,
                                          .n_pages = 64,
                                          .vocab_size = RIG_VOCAB,
                                          .max_plan_bytes = 1 << 16},
                               .steps_in_flight = 2,
                               .max_model_len = RIG_LEN,
                               .hidden_width = 4,
                               .eos_id = -1};
    g->opt = (pgd_engine_options){.max_num_seqs = 8,
                                  .max_num_batched_tokens = 64,
                                  .max_model_len = RIG_LEN,
                                  .max_queued = 16,
                                  .prefix_caching = true,
                                  .checks = true};
    g->sink.wake = rig_wake;
}

void rig_open(rig *g) {
    pgd_error err = {0};
    g->sink.ctx = g;
    g->clock = (pgd_clock){.now_ns = rig_now, .ctx = g};
    if (!g->opt.clock) g->opt.clock = &g->clock;
    if (pgd_exec_open_sim(&g->sim, &g->exec, &err) != PGD_OK ||
        pgd_engine_create(g->exec, &g->opt, &g->e, &err) != PGD_OK)
        fail_msg("%s", err.msg);
}

void rig_start(rig *g) {
    rig_init(g);
    rig_open(g);
}

void rig_close(rig *g) {
    pgd_engine_destroy(&g->e);
    assert_null(g->e);
    assert_string_equal(pgd_sim_fault(g->exec), "");
    g->exec->destroy(g->exec);
}

void rig_request(rig *g, rig_req *q, uint32_t n, uint32_t same, uint32_t salt, uint32_t max_new) {
    memset(q, 0, sizeof *q);
    for (uint32_t i = 0; i < n; i++)
        q->prompt[i] = (int32_t)((i < same ? i * 3 : i * 7 + salt * 131 + 1) % RIG_VOCAB);
    q->r = (pgd_request){.id = salt,
                         .arrival_ns = g->now_ns,
                         .prompt = q->prompt,
                         .n_prompt = n,
                         .n_choices = 1,
                         .max_new_tokens = max_new,
                         .sampling = {.temperature = 1,
                                      .top_p = 1,
                                      .repetition_penalty = 1,
                                      .flags = PGD_SAMPLE_LOGPROBS,
                                      .seed = salt},
                         .sink = &g->sink,
                         .out = q->out,
                         .scores = &q->scores};
    for (uint32_t i = 0; i <= RIG_N; i++) {
        pgd_toklog *log = i < RIG_N ? &q->out[i] : &q->scores;
        log->cap = RIG_LEN;
        log->token = q->token[i];
        log->logprob = q->logprob[i];
    }
}

void rig_submit(rig *g, rig_req *q) {
    pgd_error err = {0};
    if (pgd_engine_submit(g->e, &q->r, &err) != PGD_OK) fail_msg("%s", err.msg);
}

void rig_ask(rig *g, rig_req *q, uint32_t n, uint32_t same, uint32_t salt, uint32_t max_new) {
    rig_request(g, q, n, same, salt, max_new);
    rig_submit(g, q);
}

void rig_run(rig *g, rig_req *q, uint32_t n, uint32_t same, uint32_t salt, uint32_t max_new) {
    rig_ask(g, q, n, same, salt, max_new);
    rig_settle(g);
}

void rig_read(rig *g) {
    pgd_link *done = pgd_stack_take_all(&g->sink.done);
    pgd_link *dirty = pgd_stack_take_all(&g->sink.dirty);
    for (; dirty; dirty = dirty->next)
        atomic_store(&PGD_FROM_LINK(dirty, pgd_request, dirty_link)->dirty, 0);
    for (; done; done = done->next)
        ((rig_req *)(void *)PGD_FROM_LINK(done, pgd_request, done_link))->done = true;
}

void rig_step(rig *g) {
    (void)pgd_engine_step(g->e);
    rig_read(g);
}

void rig_settle(rig *g) {
    for (int i = 0; i < 10000 && pgd_engine_step(g->e); i++)
        rig_read(g);
    rig_read(g);
}

pgd_page_pool_counts rig_pages(const rig *g) {
    pgd_page_pool_counts c;
    pgd_page_pool_get_counts(g->e->pool, &c);
    return c;
}

uint32_t rig_len(const rig_req *q, uint32_t choice) {
    return atomic_load(&q->out[choice].len);
}

pgd_finish rig_finish(const rig_req *q, uint32_t choice) {
    return (pgd_finish)atomic_load(&q->out[choice].finish);
}

void rig_assert_oracle(const rig *g, const rig_req *q, uint32_t choice) {
    int32_t text[2 * RIG_LEN];
    uint32_t n = q->r.n_prompt;
    memcpy(text, q->prompt, n * sizeof *text);
    for (uint32_t i = 0; i < rig_len(q, choice); i++, n++) {
        text[n] = pgd_sim_next_token(&g->sim, text, n, q->r.sampling.seed, choice);
        assert_int_equal(q->out[choice].token[i], text[n]);
        assert_true(q->out[choice].logprob[i] == pgd_sim_logprob(text, n + 1));
    }
}
