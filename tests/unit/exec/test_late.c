/* Late parts through the rank executor: masks decide what is sampled, the step before does not wait
 * for them, and a rank that waits can be closed. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/queue.h"

typedef struct runner {
    pgd_model *model;
    pgd_exec *x;
    plan_writer pw;
    pgd_mailbox *wake;
    uint32_t vocab;
    int32_t pages[64];
    uint32_t n_pages;
} runner;

enum { N_PROMPT = 12, N_CONTEXT = 40 };
static const int32_t prompt[N_PROMPT] = {5, 9, 2, 7, 1, 8, 3, 6, 4, 11, 10, 12};

static void on_result(void *ctx) {
    pgd_mailbox_wake(((runner *)ctx)->wake);
}

static void runner_open(runner *r) {
    pgd_error err = {0};
    const pgd_exec_options opt = {.n_threads = 2,
                                  .isa = -1,
                                  .max_seqs = 4,
                                  .max_tokens = 16,
                                  .kv_bytes = 1 << 20,
                                  .max_model_len = 64,
                                  .steps_in_flight = 2};
    memset(r, 0, sizeof *r);
    r->model = golden_model("llama-llama3-bf16");
    assert_int_equal(pgd_mailbox_create(&r->wake), PGD_OK);
    if (pgd_exec_open(r->model, &opt, NULL, &r->x, &err) != PGD_OK) fail_msg("%s", err.msg);
    r->x->on_result(r->x, on_result, r);
    const pgd_plan_limits *const l = &r->x->info(r->x)->limits;
    r->vocab = l->vocab_size;
    r->n_pages = (N_CONTEXT + l->page_tokens - 1) / l->page_tokens;
    page_order(l, 0, r->pages, r->n_pages);
}

static void runner_close(runner *r) {
    r->x->destroy(r->x);
    pgd_mailbox_destroy(&r->wake);
    pgd_model_close(&r->model);
}

static void submit(runner *r) {
    void *const buf = r->x->begin(r->x);
    assert_non_null(buf);
    (void)pw_write(&r->pw, buf, r->x->info(r->x)->limits.max_plan_bytes);
    r->x->submit(r->x);
}

/* The whole prompt in slot 1, then (late ids) one token a step. */
static void plan_prompt(runner *r, uint32_t flags) {
    const pgd_sampling s = greedy_sampling(0);
    pw_init(&r->pw, 1, N_PROMPT, &s, NULL, 0, NULL, 0);
    pw_table(&r->pw, 1, 0, r->pages, r->n_pages);
    pw_seq(&r->pw, 1, prompt, N_PROMPT, 0, PGD_PLAN_SAMPLE | flags, -1);
    submit(r);
}

static void plan_next(runner *r, uint32_t i, uint32_t flags) {
    pw_seq(&r->pw, 1, NULL, 1, N_PROMPT + i, PGD_PLAN_SAMPLE | PGD_PLAN_LATE_ID | flags, -1);
    submit(r);
}

/* A mask of one row that allows the n given tokens. */
static void give(runner *r, uint64_t step, const int32_t *ids, uint32_t n) {
    pgd_plan_late *const late = r->x->begin_late(r->x);
    const uint32_t words = pgd_mask_words(r->vocab);
    *late = (pgd_plan_late){.magic = PGD_PLAN_LATE_MAGIC,
                            .bytes = (uint32_t)sizeof *late + 4 * words,
                            .step = step,
                            .n_mask = 1,
                            .n_words = words};
    memset(pgd_plan_late_row(late, 0), 0, words * sizeof(uint32_t));
    for (uint32_t i = 0; i < n; i++)
        pgd_plan_late_row(late, 0)[ids[i] / 32] |= 1U << (ids[i] % 32);
    r->x->submit_late(r->x);
}

static pgd_sample_out take(runner *r, pgd_status want) {
    const pgd_step_result *res;
    while (!(res = r->x->poll(r->x)))
        pgd_mailbox_wait(r->wake, 1000000000);
    assert_int_equal(res->status, want);
    const pgd_sample_out out = want == PGD_OK ? res->sample[0] : (pgd_sample_out){0};
    r->x->release(r->x);
    return out;
}

/* Under a mask a step samples an allowed token; with all allowed, what it samples without one. */
static void masks_decide_what_is_sampled(void **state) {
    (void)state;
    runner r;
    int32_t all[4096], free_token[3];
    runner_open(&r);
    assert_true(r.vocab <= 4096);
    for (uint32_t i = 0; i < r.vocab; i++)
        all[i] = (int32_t)i;
    plan_prompt(&r, 0);
    free_token[0] = take(&r, PGD_OK).token;
    plan_prompt(&r, PGD_PLAN_MASK);
    give(&r, 1, all, r.vocab);
    assert_int_equal(take(&r, PGD_OK).token, free_token[0]);
    for (int32_t only = 3; only < 90; only += 29) {
        const int32_t two[2] = {only, (free_token[0] + 1) % (int32_t)r.vocab};
        plan_prompt(&r, PGD_PLAN_MASK);
        give(&r, r.pw.step - 1, two, 1);
        assert_int_equal(take(&r, PGD_OK).token, only);
        plan_prompt(&r, PGD_PLAN_MASK);
        give(&r, r.pw.step - 1, two, 2);
        const int32_t t = take(&r, PGD_OK).token;
        assert_true(t == two[0] || t == two[1]);
    }
    runner_close(&r);
}

/* The order of an engine: step N + 1 is submitted, step N comes back, then N + 1 gets its masks. */
static void the_step_before_does_not_wait_for_masks(void **state) {
    (void)state;
    runner r;
    runner_open(&r);
    plan_prompt(&r, PGD_PLAN_MASK);
    const int32_t first = 17;
    give(&r, 0, &first, 1);
    for (uint32_t i = 0; i < 20; i++) {
        plan_next(&r, i, PGD_PLAN_MASK);
        const int32_t was = take(&r, PGD_OK).token, next = (was + 5) % (int32_t)r.vocab;
        assert_int_equal(was, (17 + 5 * (int32_t)i) % (int32_t)r.vocab);
        give(&r, i + 1, &next, 1);
    }
    (void)take(&r, PGD_OK);
    runner_close(&r);
}

static void a_wrong_late_part_fails_its_step(void **state) {
    (void)state;
    runner r;
    runner_open(&r);
    plan_prompt(&r, PGD_PLAN_MASK);
    give(&r, 0, NULL, 0); /* allows nothing */
    (void)take(&r, PGD_E_DEVICE);
    runner_close(&r);
}

static void a_rank_that_waits_for_masks_can_be_closed(void **state) {
    (void)state;
    runner r;
    runner_open(&r);
    plan_prompt(&r, PGD_PLAN_MASK);
    runner_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_decide_what_is_sampled),
        cmocka_unit_test(the_step_before_does_not_wait_for_masks),
        cmocka_unit_test(a_wrong_late_part_fails_its_step),
        cmocka_unit_test(a_rank_that_waits_for_masks_can_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
