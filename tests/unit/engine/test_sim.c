/* The simulator itself, since every other test of the engine trusts it: plans written by hand,
 * right ones answered by the oracle, and each physical mistake named. Pages of 4 tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/exec.h"

enum { MAX = 4 };

typedef struct draft {
    pgd_plan_seq seq[MAX];
    int32_t ids[MAX * 8];
    pgd_plan_init init[MAX];
    pgd_plan_table table[MAX];
    int32_t page[MAX][4];
    int32_t history[8];
    pgd_plan_copy copy[MAX];
    uint32_t n_seq, n_ids, n_init, n_table, n_copy;
} draft;

static pgd_exec *open_sim(pgd_sim_options *o) {
    pgd_exec *x = NULL;
    *o = (pgd_sim_options){.limits = {.max_seqs = MAX,
                                      .max_tokens = 32,
                                      .max_slots = MAX,
                                      .max_pages_per_seq = 8,
                                      .page_tokens = 4,
                                      .n_pages = 8,
                                      .vocab_size = 100,
                                      .max_plan_bytes = 8192},
                           .steps_in_flight = 3,
                           .max_model_len = 32,
                           .eos_id = -1};
    assert_int_equal(pgd_exec_open_sim(o, &x, NULL), PGD_OK);
    return x;
}

static void add_init(draft *d, uint32_t slot, uint32_t n_prompt, uint32_t flags) {
    d->init[d->n_init++] = (pgd_plan_init){
        .slot = slot,
        .n_prompt = n_prompt,
        .sampling = {
            .flags = flags, .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 9}};
}

static void add_page(draft *d, uint32_t slot, uint32_t first, int32_t page) {
    d->page[d->n_table][0] = page;
    d->table[d->n_table++] = (pgd_plan_table){.slot = slot, .first = first, .n = 1};
}

/* Rows [start, start + n) with ids id, id + 1, ...; id < 0: one late row. */
static void add_rows(draft *d, uint32_t slot, uint32_t start, uint32_t n, int32_t id) {
    const uint32_t flags = PGD_PLAN_SAMPLE | (id < 0 ? (uint32_t)PGD_PLAN_LATE_ID : 0);
    d->seq[d->n_seq++] = (pgd_plan_seq){.slot = slot,
                                        .q_start = d->n_ids,
                                        .n_new = n,
                                        .kv_start = start,
                                        .flags = flags,
                                        .score_next = -1};
    for (uint32_t i = 0; i < n; i++)
        d->ids[d->n_ids++] = id < 0 ? -1 : id + (int32_t)i;
}

static uint32_t put(char *base, uint32_t *at, const void *v, size_t n) {
    const uint32_t off = (*at + 7) & ~7U;
    if (n) memcpy(base + off, v, n);
    *at = off + (uint32_t)n;
    return off;
}

static void submit(pgd_exec *x, draft *d, uint64_t step) {
    char *base = x->begin(x);
    assert_non_null(base);
    memset(base, 0, 8192);
    pgd_plan *p = (pgd_plan *)(void *)base;
    *p = (pgd_plan){.magic = PGD_PLAN_MAGIC,
                    .version = PGD_PLAN_VERSION,
                    .step = step,
                    .n_seq = d->n_seq,
                    .n_tok = d->n_ids,
                    .n_sample = d->n_seq,
                    .n_init = d->n_init,
                    .n_table = d->n_table,
                    .n_copy = d->n_copy};
    uint32_t at = sizeof *p;
    p->off_seq = put(base, &at, d->seq, d->n_seq * sizeof d->seq[0]);
    p->off_ids = put(base, &at, d->ids, d->n_ids * sizeof d->ids[0]);
    p->off_init = put(base, &at, d->init, d->n_init * sizeof d->init[0]);
    p->off_table = put(base, &at, d->table, d->n_table * sizeof d->table[0]);
    p->off_copy = put(base, &at, d->copy, d->n_copy * sizeof d->copy[0]);
    p->off_aux = put(base, &at, NULL, 0);
    for (uint32_t i = 0; i < d->n_table; i++)
        ((pgd_plan_table *)(void *)(base + p->off_table))[i].off_pages =
            put(base, &at, d->page[i], d->table[i].n * sizeof(int32_t));
    for (uint32_t i = 0; i < d->n_init; i++)
        if (d->init[i].n_history)
            ((pgd_plan_init *)(void *)(base + p->off_init))[i].off_history =
                put(base, &at, d->history, d->init[i].n_history * sizeof(int32_t));
    p->bytes = (at + 7) & ~7U;
    p->digest = pgd_plan_digest(p);
    x->submit(x);
    *d = (draft){0};
}

static int32_t answer(pgd_exec *x) {
    const pgd_step_result *r = x->poll(x);
    assert_non_null(r);
    if (r->status != PGD_OK) fail_msg("%s", pgd_sim_fault(x));
    const int32_t t = r->sample[0].token;
    x->release(x);
    return t;
}

static void expect_fault(pgd_exec *x, const char *what) {
    const pgd_step_result *r = NULL;
    while ((r = x->poll(x)) && r->status == PGD_OK)
        x->release(x);
    assert_non_null(r);
    assert_int_equal(r->status, PGD_E_INTERNAL);
    if (!strstr(pgd_sim_fault(x), what)) fail_msg("'%s' in: %s", what, pgd_sim_fault(x));
    x->destroy(x);
}

/* Slot 0, prompt 10 11 12 on page 2. */
static void start_one(pgd_exec *x, draft *d, uint64_t step) {
    add_init(d, 0, 3, 0);
    add_page(d, 0, 0, 2);
    add_rows(d, 0, 0, 3, 10);
    submit(x, d, step);
}

static void samples_are_the_oracles_also_with_ids_still_on_the_device(void **state) {
    (void)state;
    pgd_sim_options o;
    pgd_exec *x = open_sim(&o);
    draft d = {0};
    int32_t text[8] = {10, 11, 12};
    start_one(x, &d, 1);
    add_rows(&d, 0, 3, 1, -1);
    submit(x, &d, 2);
    for (uint32_t n = 3; n < 5; n++) {
        text[n] = answer(x);
        assert_int_equal(text[n], pgd_sim_next_token(&o, text, n, 9, 0));
    }
    x->destroy(x);
}

static void no_more_plans_are_taken_than_may_be_in_flight(void **state) {
    (void)state;
    pgd_sim_options o;
    pgd_exec *x = open_sim(&o);
    draft d = {0};
    start_one(x, &d, 1);
    for (uint64_t s = 2; s < 4; s++) {
        if (s == 3) add_page(&d, 0, 1, 5);
        add_rows(&d, 0, (uint32_t)s + 1, 1, -1);
        submit(x, &d, s);
    }
    assert_null(x->begin(x));
    (void)answer(x);
    assert_non_null(x->begin(x));
    x->destroy(x);
}

static void a_page_written_by_another_while_in_flight_is_a_fault(void **state) {
    (void)state;
    pgd_sim_options o;
    pgd_exec *x = open_sim(&o);
    draft d = {0};
    start_one(x, &d, 1);
    add_init(&d, 1, 3, 0);
    add_page(&d, 1, 0, 2); /* page 2 is freed too early */
    add_rows(&d, 1, 0, 3, 20);
    submit(x, &d, 2);
    expect_fault(x, "another sequence's page in flight");
}

static void the_same_page_is_fine_once_the_step_has_passed(void **state) {
    (void)state;
    pgd_sim_options o;
    pgd_exec *x = open_sim(&o);
    draft d = {0};
    start_one(x, &d, 1);
    (void)answer(x);
    add_init(&d, 1, 3, 0);
    add_page(&d, 1, 0, 2);
    add_rows(&d, 1, 0, 3, 20);
    submit(x, &d, 2);
    const int32_t text[3] = {20, 21, 22};
    assert_int_equal(answer(x), pgd_sim_next_token(&o, text, 3, 9, 0));
    x->destroy(x);
}

static void a_copy_carries_the_tokens_and_never_lands_on_a_page_in_flight(void **state) {
    (void)state;
    pgd_sim_options o;
    pgd_exec *x = open_sim(&o);
    draft d = {0};
    start_one(x, &d, 1);
    add_init(&d, 1, 3, 0);
    add_page(&d, 1, 0, 3);
    d.copy[d.n_copy++] = (pgd_plan_copy){.src = 2, .dst = 3, .n_tokens = 2};
    add_rows(&d, 1, 2, 1, 12);
    submit(x, &d, 2);
    assert_int_equal(answer(x), answer(x)); /* the same text, seed and choice */
    add_rows(&d, 0, 3, 1, -1);
    submit(x, &d, 3);
    add_page(&d, 1, 1, 2);
    d.copy[d.n_copy++] = (pgd_plan_copy){.src = 3, .dst = 2, .n_tokens = 1};
    add_rows(&d, 1, 3, 1, -1);
    submit(x, &d, 4);
    expect_fault(x, "copy onto a page in flight");
}

static void reads_and_writes_need_pages_that_were_told_and_written(void **state) {
    (void)state;
    pgd_sim_options o;
    draft d = {0};
    pgd_exec *x = open_sim(&o);
    add_init(&d, 0, 3, 0);
    add_rows(&d, 0, 0, 3, 10);
    submit(x, &d, 1);
    expect_fault(x, "row without a page");
    x = open_sim(&o);
    add_init(&d, 0, 3, 0);
    add_page(&d, 0, 0, 2);
    add_rows(&d, 0, 1, 2, 10); /* position 0 was never written */
    submit(x, &d, 1);
    expect_fault(x, "unwritten position");
    x = open_sim(&o);
    add_page(&d, 0, 0, 2);
    add_rows(&d, 0, 0, 1, 10);
    submit(x, &d, 1);
    expect_fault(x, "slot without init");
    x = open_sim(&o);
    add_init(&d, 0, 3, 0);
    add_page(&d, 0, 0, 2);
    add_rows(&d, 0, 0, 1, -1);
    submit(x, &d, 1);
    expect_fault(x, "late id before any sample");
}

static void penalties_must_see_the_text(void **state) {
    (void)state;
    pgd_sim_options o;
    draft d = {0};
    pgd_exec *x = open_sim(&o);
    add_init(&d, 0, 3, PGD_SAMPLE_PENALTIES);
    d.init[0].n_history = 3;
    memcpy(d.history, (const int32_t[]){10, 11, 99}, 3 * sizeof(int32_t));
    add_page(&d, 0, 0, 2);
    add_rows(&d, 0, 0, 3, 10);
    submit(x, &d, 1);
    expect_fault(x, "penalties see another history");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_the_oracles_also_with_ids_still_on_the_device),
        cmocka_unit_test(no_more_plans_are_taken_than_may_be_in_flight),
        cmocka_unit_test(a_page_written_by_another_while_in_flight_is_a_fault),
        cmocka_unit_test(the_same_page_is_fine_once_the_step_has_passed),
        cmocka_unit_test(a_copy_carries_the_tokens_and_never_lands_on_a_page_in_flight),
        cmocka_unit_test(reads_and_writes_need_pages_that_were_told_and_written),
        cmocka_unit_test(penalties_must_see_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
