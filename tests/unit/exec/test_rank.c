/* The rank executor through its public face: greedy tokens of all golden models with one to three
 * steps in flight, page copies, slot reuse, refusals, and what a failing device or allocation does.
 */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "exec/rank.h"
#include "pagoda/mem.h"
#include "pagoda/queue.h"

typedef struct runner {
    pgd_model *model;
    pgd_exec *x;
    plan_writer pw;
    _Atomic uint32_t notified;
    uint64_t n_submitted, n_polled;
    pgd_mailbox *wake;
} runner;

static void on_result(void *ctx) {
    runner *r = ctx;
    r->notified++;
    pgd_mailbox_wake(r->wake);
}

static void runner_open(runner *r, const char *name, const pgd_exec_options *opt) {
    pgd_error err = {0};
    memset(r, 0, sizeof *r);
    r->model = golden_model(name);
    assert_int_equal(pgd_mailbox_create(&r->wake), PGD_OK);
    if (pgd_exec_open(r->model, opt, NULL, &r->x, &err) != PGD_OK) fail_msg("%s", err.msg);
    r->x->on_result(r->x, on_result, r);
}

static void runner_close(runner *r) {
    r->x->destroy(r->x);
    pgd_mailbox_destroy(&r->wake);
    pgd_model_close(&r->model);
}

/* Submit the collected plan; false when all buffers are in flight. */
static bool submit(runner *r) {
    void *buf = r->x->begin(r->x);
    if (!buf) return false;
    (void)pw_write(&r->pw, buf, r->x->info(r->x)->limits.max_plan_bytes);
    r->x->submit(r->x);
    r->n_submitted++;
    return true;
}

/* The next result, whenever it comes; checks that steps come in order. */
static const pgd_step_result *wait_result(runner *r) {
    const pgd_step_result *res;
    while (!(res = r->x->poll(r->x)))
        pgd_mailbox_wait(r->wake, 1000000000);
    assert_int_equal(res->step, r->n_polled);
    r->n_polled++;
    return res;
}

/* One step of which the only sampled token matters. */
static pgd_sample_out step_sample(runner *r) {
    assert_true(submit(r));
    const pgd_step_result *res = wait_result(r);
    assert_int_equal(res->status, PGD_OK);
    assert_int_equal(res->n_sample, 1);
    const pgd_sample_out out = res->sample[0];
    r->x->release(r->x);
    return out;
}

static uint32_t give_pages(runner *r, uint32_t slot, uint32_t which, uint32_t n_tokens,
                           int32_t *pages) {
    const pgd_plan_limits *lim = &r->x->info(r->x)->limits;
    const uint32_t n = (n_tokens + lim->page_tokens - 1) / lim->page_tokens;
    page_order(lim, which, pages, n);
    pw_table(&r->pw, slot, 0, pages, n);
    return n;
}

static void generate(const char *name, uint32_t in_flight) {
    runner r;
    golden g;
    int32_t pages[64];
    golden_load(name, &g);
    pgd_exec_options opt = small_options(64);
    opt.max_model_len = g.max_model_len;
    opt.steps_in_flight = in_flight;
    runner_open(&r, name, &opt);
    const pgd_sampling s = greedy_sampling(0);
    pw_init(&r.pw, 3, g.n_prompt, &s, NULL, 0, NULL, 0);
    (void)give_pages(&r, 3, 0, g.n_prompt + g.n_greedy, pages);
    uint32_t at = 0, n_seen = 0, n_asked = 0;
    while (n_seen < g.n_greedy) {
        if (n_asked < g.n_greedy && r.n_submitted - r.n_polled < in_flight) {
            const uint32_t left = at < g.n_prompt ? g.n_prompt - at : 0;
            const uint32_t n = left > 64 ? 64 : left ? left : 1;
            const bool sample = at + n >= g.n_prompt;
            pw_seq(&r.pw, 3, left ? g.prompt + at : NULL, n, at,
                   (sample ? PGD_PLAN_SAMPLE : 0U) | (left ? 0U : PGD_PLAN_LATE_ID), -1);
            assert_true(submit(&r));
            at += n;
            n_asked += sample;
            continue;
        }
        if (r.n_submitted - r.n_polled == in_flight) assert_null(r.x->begin(r.x));
        const pgd_step_result *res = wait_result(&r);
        assert_int_equal(res->status, PGD_OK);
        if (res->n_sample) {
            assert_int_equal(res->sample[0].slot, 3);
            if (res->sample[0].token != g.greedy[n_seen])
                fail_msg("%s, %u in flight: token %u is %d, transformers has %d", name, in_flight,
                         n_seen, res->sample[0].token, g.greedy[n_seen]);
            n_seen++;
        }
        r.x->release(r.x);
    }
    assert_int_equal(r.notified, r.n_submitted);
    runner_close(&r);
    golden_free(&g);
}

static void greedy_tokens_equal_those_of_transformers(void **state) {
    (void)state;
    for (size_t i = 0; i < n_golden; i++)
        generate(golden_names[i], 1);
}

static void late_ids_give_the_same_tokens_with_steps_in_flight(void **state) {
    (void)state;
    for (uint32_t n = 2; n <= 3; n++) {
        generate("llama-llama3-bf16", n);
        generate("qwen2-window-f32", n);
    }
}

/* Two sequences of one prompt: the second gets copies of the first's pages and one token. */
static void copied_pages_continue_as_the_original(void **state) {
    (void)state;
    static const char *const names[] = {"mistral-window-bf16", "llama-mha-f32", "qwen3-f16"};
    for (size_t i = 0; i < 3; i++) {
        runner r;
        golden g;
        int32_t a[64], b[64];
        const pgd_sampling s = greedy_sampling(5);
        golden_load(names[i], &g);
        const pgd_exec_options opt = small_options(256);
        runner_open(&r, names[i], &opt);
        const uint32_t n = g.n_prompt - 1;
        pw_init(&r.pw, 0, g.n_prompt, &s, NULL, 0, NULL, 0);
        (void)give_pages(&r, 0, 0, g.n_prompt, a);
        pw_seq(&r.pw, 0, g.prompt, n, 0, 0, -1);
        assert_true(submit(&r));
        assert_int_equal(wait_result(&r)->status, PGD_OK);
        r.x->release(r.x);

        pw_init(&r.pw, 5, g.n_prompt, &s, NULL, 0, NULL, 0);
        const uint32_t n_pages = give_pages(&r, 5, 1, g.n_prompt, b);
        for (uint32_t p = 0; p < n_pages; p++)
            pw_copy(&r.pw, (uint32_t)a[p], (uint32_t)b[p], p + 1 < n_pages ? 16 : n - 16 * p);
        pw_seq(&r.pw, 5, g.prompt + n, 1, n, PGD_PLAN_SAMPLE, -1);
        const pgd_sample_out copy = step_sample(&r);
        pw_seq(&r.pw, 0, g.prompt + n, 1, n, PGD_PLAN_SAMPLE, -1);
        const pgd_sample_out original = step_sample(&r);
        assert_int_equal(copy.token, g.greedy[0]);
        assert_int_equal(original.token, g.greedy[0]);
        assert_memory_equal(copy.top, original.top, sizeof copy.top);
        runner_close(&r);
        golden_free(&g);
    }
}

/* Run the prompt in a slot and return its sample. */
static pgd_sample_out prompt_sample(runner *r, const golden *g, const pgd_sampling *s,
                                    const pgd_bias *bias, uint32_t n_bias) {
    int32_t pages[64];
    const uint32_t n_history = s->flags & PGD_SAMPLE_PENALTIES ? g->n_prompt : 0;
    pw_init(&r->pw, 2, g->n_prompt, s, g->prompt, n_history, bias, n_bias);
    (void)give_pages(r, 2, 0, g->n_prompt, pages);
    pw_seq(&r->pw, 2, g->prompt, g->n_prompt, 0, PGD_PLAN_SAMPLE, -1);
    return step_sample(r);
}

static void a_reused_slot_forgets_its_last_sequence(void **state) {
    (void)state;
    runner r;
    golden g;
    golden_load("llama-bias-f32", &g);
    const pgd_exec_options opt = small_options(256);
    runner_open(&r, "llama-bias-f32", &opt);
    const pgd_sampling plain = greedy_sampling(3);
    const pgd_sample_out first = prompt_sample(&r, &g, &plain, NULL, 0);
    assert_int_equal(first.token, g.greedy[0]);

    const pgd_bias bias[] = {{17, 100}, {g.greedy[0], -100}};
    assert_int_equal(prompt_sample(&r, &g, &plain, bias, 2).token, 17);

    pgd_sampling penalized = plain;
    penalized.flags |= PGD_SAMPLE_PENALTIES;
    penalized.presence_penalty = 2;
    penalized.repetition_penalty = 1.3F;
    const pgd_sample_out other = prompt_sample(&r, &g, &penalized, NULL, 0);
    assert_true(other.token != 17);

    const pgd_sample_out again = prompt_sample(&r, &g, &plain, NULL, 0);
    assert_int_equal(again.token, first.token);
    assert_memory_equal(again.top, first.top, sizeof again.top);
    runner_close(&r);
    golden_free(&g);
}

static void a_wrong_plan_fails_its_step_and_no_other(void **state) {
    (void)state;
    runner r;
    golden g;
    const pgd_sampling s = greedy_sampling(0);
    golden_load("qwen2-bf16", &g);
    const pgd_exec_options opt = small_options(256);
    runner_open(&r, "qwen2-bf16", &opt);
    assert_int_equal(prompt_sample(&r, &g, &s, NULL, 0).token, g.greedy[0]);

    pw_seq(&r.pw, 2, g.prompt, 1, 0, PGD_PLAN_SAMPLE, -1);
    pgd_plan *p = r.x->begin(r.x);
    (void)pw_write(&r.pw, p, r.x->info(r.x)->limits.max_plan_bytes);
    p->digest ^= 1;
    r.x->submit(r.x);
    r.n_submitted++;
    const pgd_step_result *res = wait_result(&r);
    assert_int_equal(res->status, PGD_E_INTERNAL);
    assert_int_equal(res->n_sample, 0);
    r.x->release(r.x);
    assert_int_equal(prompt_sample(&r, &g, &s, NULL, 0).token, g.greedy[0]);
    runner_close(&r);
    golden_free(&g);
}

/* --- refusals ------------------------------------------------------------------------------- */

static void assert_refused(const pgd_exec_options *opt, pgd_status status, const char *text) {
    pgd_error err = {0};
    pgd_exec *x = NULL;
    pgd_model *m = golden_model("llama-mha-f32");
    assert_int_equal(pgd_exec_open(m, opt, NULL, &x, &err), status);
    assert_null(x);
    if (!strstr(err.msg, text)) fail_msg("'%s' does not mention '%s'", err.msg, text);
    pgd_model_close(&m);
}

static void options_that_cannot_be_met_are_refused_by_name(void **state) {
    (void)state;
    pgd_exec_options o = small_options(64);
    o.page_tokens = 24;
    assert_refused(&o, PGD_E_INVALID, "--block-size is 24");
    o = small_options(64);
    o.max_seqs = 9000;
    assert_refused(&o, PGD_E_INVALID, "--max-num-seqs is 9000");
    o = small_options(1 << 21);
    assert_refused(&o, PGD_E_INVALID, "--max-num-batched-tokens is 2097152");
    o = small_options(64);
    o.gpu_memory_utilization = 1.5;
    assert_refused(&o, PGD_E_INVALID, "--gpu-memory-utilization is 1.5");
    o = small_options(64);
    o.max_model_len = 257;
    assert_refused(&o, PGD_E_INVALID, "--max-model-len is 257, the model's context is 256");
    o = small_options(64);
    o.kv_bytes = 1000;
    assert_refused(&o, PGD_E_NOMEM, "--kv-cache-memory-bytes");
    o = small_options(64);
    o.kv_bytes = 64 << 10;
    o.max_model_len = 256;
    assert_refused(&o, PGD_E_NOMEM, "--max-model-len 256 needs");
    o = small_options(64);
    o.kv_bytes = 1ULL << 60;
    assert_refused(&o, PGD_E_NOMEM, "memory available");
    o = small_options(64);
    o.device = "tpu";
    assert_refused(&o, PGD_E_UNSUPPORTED, "--device is 'tpu'");
    o.device = "cuda"; /* there is none beside the test */
    assert_refused(&o, PGD_E_NOT_FOUND, "libpagoda_cuda.so");
    o = small_options(64);
    o.steps_in_flight = 4;
    assert_refused(&o, PGD_E_INVALID, "expected 1 to 3");
}

static void a_default_context_is_cut_to_what_the_pool_holds(void **state) {
    (void)state;
    runner r;
    pgd_exec_options o = small_options(64);
    o.kv_bytes = 64 << 10;
    runner_open(&r, "llama-mha-f32", &o);
    const pgd_exec_info *i = r.x->info(r.x);
    assert_true(i->max_model_len < 256 && i->max_model_len > 0);
    assert_int_equal(i->max_model_len, i->limits.n_pages * i->limits.page_tokens);
    assert_true(i->kv_bytes <= o.kv_bytes);
    assert_int_equal(i->limits.max_slots, 2 * o.max_seqs);
    runner_close(&r);
}

static void a_step_has_the_devices_default_size(void **state) {
    (void)state;
    runner r;
    pgd_exec_options o = small_options(0);
    o.max_seqs = 0;
    runner_open(&r, "llama-mha-f32", &o);
    const pgd_plan_limits *l = &r.x->info(r.x)->limits;
    assert_int_equal(l->max_seqs, 64);
    assert_int_equal(l->max_slots, 128);
    assert_int_equal(l->max_tokens, 512);
    runner_close(&r);
}

static void the_default_pool_is_a_quarter_of_memory_and_at_most_4_gib(void **state) {
    (void)state;
    runner r;
    pgd_exec_options o = small_options(64);
    const uint64_t before = pgd_mem_available();
    o.kv_bytes = 0;
    runner_open(&r, "llama-mha-f32", &o);
    const pgd_exec_info *i = r.x->info(r.x);
    assert_true(i->kv_bytes > 0 && i->kv_bytes <= 4ULL << 30);
    assert_true(i->kv_bytes <= before / 4 + before / 16); /* others may have freed some since */
    assert_int_equal(i->kv_bytes % i->limits.n_pages, 0);
    assert_int_equal(i->max_model_len, 256);
    assert_true(i->weight_bytes > 0 && i->workspace_bytes > 0);
    runner_close(&r);
}

/* --- faults --------------------------------------------------------------------------------- */

typedef struct fault {
    int64_t fail_alloc; /* of the rank thread after the device is open; -1: none */
    pgd_op missing;     /* PGD_OP_N: none */
    pgd_op failing;
} fault;

static pgd_status failing_op(pgd_device *d, const void *args, const pgd_step_view *step) {
    (void)d;
    (void)args;
    (void)step;
    return PGD_E_DEVICE;
}

static pgd_status open_faulty(void *ctx, const pgd_exec_options *opt, pgd_device **out,
                              pgd_error *err) {
    const fault *f = ctx;
    const pgd_cpu_options o = {.n_threads = opt->n_threads, .isa = opt->isa};
    PGD_TRY(pgd_device_open_cpu(&o, out, err));
    if (f->missing < PGD_OP_N) (*out)->op[f->missing] = NULL;
    if (f->failing < PGD_OP_N) (*out)->op[f->failing] = failing_op;
    (void)pgd_mem_fail_after(f->fail_alloc);
    return PGD_OK;
}

static void a_failed_device_fails_all_later_steps(void **state) {
    (void)state;
    fault f = {.fail_alloc = -1, .missing = PGD_OP_N, .failing = PGD_OP_ATTN};
    const pgd_exec_options opt = small_options(64);
    const int32_t id = 5, page = 0;
    const pgd_sampling s = greedy_sampling(0);
    runner r = {.model = golden_model("qwen2-bf16")};
    pgd_error err = {0};
    assert_int_equal(pgd_mailbox_create(&r.wake), PGD_OK);
    if (rank_open(r.model, &opt, (rank_device){open_faulty, &f}, NULL, &r.x, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    r.x->on_result(r.x, on_result, &r);
    for (int i = 0; i < 3; i++) {
        pw_init(&r.pw, 0, 1, &s, NULL, 0, NULL, 0);
        pw_table(&r.pw, 0, 0, &page, 1);
        pw_seq(&r.pw, 0, &id, 1, 0, PGD_PLAN_SAMPLE, -1);
        assert_true(submit(&r));
        assert_int_equal(wait_result(&r)->status, PGD_E_DEVICE);
        r.x->release(r.x);
    }
    runner_close(&r);
}

static void a_missing_operation_is_an_error_at_load(void **state) {
    (void)state;
    for (uint32_t op = 0; op < PGD_OP_N; op++) {
        fault f = {.fail_alloc = -1, .missing = (pgd_op)op, .failing = PGD_OP_N};
        const pgd_exec_options opt = small_options(64);
        pgd_model *m = golden_model("llama-mha-f32");
        pgd_exec *x = NULL;
        pgd_error err = {0};
        const rank_device dev = {open_faulty, &f};
        const pgd_status s = rank_open(m, &opt, dev, NULL, &x, &err);
        if (op == PGD_OP_LOGITS_MASK) { /* only grammars need it */
            assert_int_equal(s, PGD_OK);
            assert_null(x->begin_late);
            x->destroy(x);
        } else {
            assert_int_equal(s, PGD_E_UNSUPPORTED);
            assert_non_null(strstr(err.msg, pgd_op_name((pgd_op)op)));
        }
        pgd_model_close(&m);
    }
}

static void every_failed_allocation_while_loading_is_reported(void **state) {
    (void)state;
    pgd_model *m = golden_model("llama-bias-f32");
    const pgd_exec_options opt = small_options(64);
    int64_t n = 0;
    for (;; n++) {
        fault f = {.fail_alloc = n, .missing = PGD_OP_N, .failing = PGD_OP_N};
        pgd_exec *x = NULL;
        pgd_error err = {0};
        const pgd_status s = rank_open(m, &opt, (rank_device){open_faulty, &f}, NULL, &x, &err);
        if (s == PGD_OK) {
            x->destroy(x);
            break;
        }
        assert_int_equal(s, PGD_E_NOMEM);
        assert_true(err.msg[0] != '\0');
    }
    print_message("%lld allocations failed in turn\n", (long long)n);
    assert_true(n > 20);
    pgd_model_close(&m);
}

static void dummy_weights_run_any_configuration(void **state) {
    (void)state;
    char path[1024];
    pgd_error err = {0};
    pgd_exec *x = NULL;
    _Atomic uint32_t progress = 0;
    runner r = {0};
    golden g;
    golden_load("qwen3-tied-bf16", &g);
    (void)snprintf(path, sizeof path, "%s/tests/golden/logits/qwen3-tied-bf16", PGD_SOURCE_DIR);
    assert_int_equal(pgd_model_open(path, PGD_MODEL_DUMMY_WEIGHTS, &r.model, &err), PGD_OK);
    pgd_exec_options opt = small_options(256);
    assert_int_equal(pgd_exec_open(r.model, &opt, &progress, &x, &err), PGD_E_INVALID);
    opt.dummy_weights = true;
    if (pgd_exec_open(r.model, &opt, &progress, &x, &err) != PGD_OK) fail_msg("%s", err.msg);
    assert_int_equal(progress, 1000);
    r.x = x;
    assert_int_equal(pgd_mailbox_create(&r.wake), PGD_OK);
    x->on_result(x, on_result, &r);
    const pgd_sampling s = greedy_sampling(1);
    const pgd_sample_out a = prompt_sample(&r, &g, &s, NULL, 0);
    const pgd_sample_out b = prompt_sample(&r, &g, &s, NULL, 0);
    assert_int_equal(a.flags, 0);
    assert_int_equal(a.token, b.token);
    runner_close(&r);
    golden_free(&g);
}

static void the_program_is_described_and_timed(void **state) {
    (void)state;
    runner r;
    golden g;
    pgd_buf text = {0};
    golden_load("qwen3-f16", &g);
    pgd_exec_options opt = small_options(256);
    opt.profile = true;
    runner_open(&r, "qwen3-f16", &opt);
    const pgd_sampling s = greedy_sampling(1);
    assert_int_equal(prompt_sample(&r, &g, &s, NULL, 0).token, g.greedy[0]);
    pgd_exec_describe(r.x, &text);
    print_message("%s", text.p);
    static const char *const expected[] = {"embed", "attn.qkv", "ffn.gate_up", "head.lm",
                                           "f16 32 -> 192"};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (!strstr(text.p, expected[i])) fail_msg("no '%s' in the description", expected[i]);
    pgd_buf_fini(&text);
    runner_close(&r);
    golden_free(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_tokens_equal_those_of_transformers),
        cmocka_unit_test(late_ids_give_the_same_tokens_with_steps_in_flight),
        cmocka_unit_test(copied_pages_continue_as_the_original),
        cmocka_unit_test(a_reused_slot_forgets_its_last_sequence),
        cmocka_unit_test(a_wrong_plan_fails_its_step_and_no_other),
        cmocka_unit_test(options_that_cannot_be_met_are_refused_by_name),
        cmocka_unit_test(a_default_context_is_cut_to_what_the_pool_holds),
        cmocka_unit_test(a_step_has_the_devices_default_size),
        cmocka_unit_test(the_default_pool_is_a_quarter_of_memory_and_at_most_4_gib),
        cmocka_unit_test(a_failed_device_fails_all_later_steps),
        cmocka_unit_test(a_missing_operation_is_an_error_at_load),
        cmocka_unit_test(every_failed_allocation_while_loading_is_reported),
        cmocka_unit_test(dummy_weights_run_any_configuration),
        cmocka_unit_test(the_program_is_described_and_timed),
    };
    return cmocka_run_group_tests_name("exec_rank", tests, NULL, NULL);
}
