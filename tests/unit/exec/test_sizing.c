/* Sizes on a device with memory of its own: the CPU device, told that its memory is not the host's,
 * with totals of the test's choice. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
    pgd_model *model;
    pgd_device *dev;
    pgd_exec_options opt;
    sizing z;
    pgd_error err;
} fixture;

static void fixture_open(fixture *f, uint64_t total, uint64_t available) {
    const pgd_cpu_options cpu = {.n_threads = 1, .isa = -1};
    *f = (fixture){.model = golden_model("wide-llama-64-bf16"), .opt = small_options(64)};
    assert_int_equal(pgd_device_open_cpu(&cpu, &f->dev, &f->err), PGD_OK);
    f->dev->info.host_memory = false;
    f->dev->info.mem_total = total;
    f->dev->info.mem_available = available;
    f->opt.kv_bytes = 0;
}

static void fixture_close(fixture *f) {
    f->dev->close(f->dev);
    pgd_model_close(&f->model);
}

static pgd_status decide(fixture *f) {
    return sizing_decide(&f->opt, f->model, f->dev, &f->z, &f->err);
}

static void the_pool_gets_what_the_share_leaves(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f, 1000 << 20, 800 << 20); /* others hold 200 MiB */
    f.opt.gpu_memory_utilization = 0.75;
    assert_int_equal(decide(&f), PGD_OK);
    const uint64_t page = f.z.page_bytes * pgd_model_get_spec(f.model)->n_layers;
    const uint64_t left = (550ULL << 20) - f.z.weight_bytes - f.z.workspace_bytes;
    assert_int_equal(f.z.kv_bytes, left / page * page);
    assert_int_equal(f.z.limits.n_pages, left / page);
    assert_int_equal(f.z.device.plan.n_pages, f.z.limits.n_pages);
    f.opt.gpu_memory_utilization = 0; /* 0.9 */
    assert_int_equal(decide(&f), PGD_OK);
    assert_true(f.z.kv_bytes > left && f.z.kv_bytes <= 700ULL << 20);
    fixture_close(&f);
}

static void an_asked_pool_beyond_the_share_is_refused_by_name(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f, 1000 << 20, 1000 << 20);
    f.opt.gpu_memory_utilization = 0.5;
    f.opt.kv_bytes = 600 << 20;
    assert_int_equal(decide(&f), PGD_E_NOMEM);
    assert_non_null(strstr(f.err.msg, "raise --gpu-memory-utilization"));
    f.opt.kv_bytes = 300 << 20;
    assert_int_equal(decide(&f), PGD_OK);
    f.opt.kv_bytes = 0;
    f.dev->info.mem_available = 400 << 20; /* others hold more than the share leaves */
    assert_int_equal(decide(&f), PGD_E_NOMEM);
    fixture_close(&f);
}

static void the_embedding_and_the_plan_count_as_device_memory(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f, 1ULL << 30, 1ULL << 30);
    assert_int_equal(decide(&f), PGD_OK);
    const pgd_model_spec *s = pgd_model_get_spec(f.model);
    const uint64_t weights = f.z.weight_bytes, space = f.z.workspace_bytes;
    f.dev->info.host_memory = true;
    assert_int_equal(decide(&f), PGD_OK);
    assert_int_equal(weights - f.z.weight_bytes, 2ULL * s->vocab_size * s->d_model);
    const pgd_plan_limits *l = &f.z.limits;
    const uint64_t results = l->max_tokens * sizeof(pgd_score_out) +
                             l->max_seqs * sizeof(pgd_sample_out) + l->max_plan_bytes;
    assert_int_equal(f.z.workspace_bytes + l->max_plan_bytes + pgd_plan_late_room(l), space);
    const uint64_t staging = f.z.steps_in_flight * (results + pgd_plan_late_room(l));
    assert_int_equal(f.z.staging_bytes, staging);
    f.opt.hidden_states = true; /* of the activations' type: bf16 */
    assert_int_equal(decide(&f), PGD_OK);
    assert_int_equal(f.z.staging_bytes - staging,
                     2ULL * f.z.steps_in_flight * l->max_tokens * s->d_model);
    fixture_close(&f);
}

/* What doctor shows is what serve would take: the plan without loading against the loaded. */
static void a_plan_without_loading_says_what_loading_takes(void **state) {
    (void)state;
    pgd_error err = {0};
    pgd_model *const model = golden_model("wide-llama-64-bf16");
    const pgd_exec_options opt = small_options(64);
    pgd_exec_info plan;
    pgd_exec *x;
    if (pgd_exec_plan(model, &opt, &plan, &err) != PGD_OK) fail_msg("%s", err.msg);
    assert_int_equal(pgd_exec_open(model, &opt, NULL, &x, &err), PGD_OK);
    const pgd_exec_info *const real = x->info(x);
    assert_memory_equal(&plan.limits, &real->limits, sizeof plan.limits);
    assert_string_equal(plan.device_name, real->device_name);
    assert_int_equal(plan.max_model_len, real->max_model_len);
    assert_int_equal(plan.kv_bytes, real->kv_bytes);
    assert_int_equal(plan.workspace_bytes, real->workspace_bytes);
    assert_int_equal(plan.staging_bytes, real->staging_bytes);
    assert_int_equal(plan.mem_total, real->mem_total);
    assert_true(plan.mem_free > 0 && plan.mem_free <= plan.mem_total);
    /* panels are padded, so the packed weights are a little more */
    assert_true(plan.weight_bytes <= real->weight_bytes);
    assert_true(real->weight_bytes - plan.weight_bytes < real->weight_bytes / 8);
    x->destroy(x);

    pgd_exec_options bad = opt;
    bad.kv_bytes = 1ULL << 60;
    assert_int_equal(pgd_exec_plan(model, &bad, &plan, &err), PGD_E_NOMEM);
    assert_non_null(strstr(err.msg, "lower --kv-cache-memory-bytes"));
    pgd_model *m = model;
    pgd_model_close(&m);
}

static void a_block_size_that_the_device_lacks_is_refused_by_name(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f, 1ULL << 30, 1ULL << 30);
    f.dev->info.page_tokens_default = f.dev->info.page_tokens_min = f.dev->info.page_tokens_max =
        64;
    f.opt.page_tokens = 16;
    assert_int_equal(decide(&f), PGD_E_INVALID);
    assert_non_null(strstr(f.err.msg, "--block-size is 16"));
    assert_non_null(strstr(f.err.msg, "has blocks of 64 tokens only"));
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pool_gets_what_the_share_leaves),
        cmocka_unit_test(an_asked_pool_beyond_the_share_is_refused_by_name),
        cmocka_unit_test(the_embedding_and_the_plan_count_as_device_memory),
        cmocka_unit_test(a_plan_without_loading_says_what_loading_takes),
        cmocka_unit_test(a_block_size_that_the_device_lacks_is_refused_by_name),
    };
    return cmocka_run_group_tests_name("exec_sizing", tests, NULL, NULL);
}
