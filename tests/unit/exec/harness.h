/* Shared by the executor's tests: golden files, a writer of plans, and a rig that runs a program on
 * a device without a rank thread, so that a test can look at logits.
 *
 *   test_exec_logits [--device cpu|cuda] [--golden DIR]
 *
 * On the GPU the models whose head size it takes are run; DIR is tests/golden/logits of a machine
 * that has no source tree. */
#ifndef PAGODA_TESTS_EXEC_HARNESS_H
#define PAGODA_TESTS_EXEC_HARNESS_H

#include "exec/program.h"
#include "exec/sizing.h"
#include "pagoda/exec.h"
#include "pagoda/model.h"
#include "pagoda/plan.h"
#include "pagoda/str.h"

/* tests/golden/logits/<name>/golden.bin; see scripts/golden/logits.py. */
typedef struct golden {
    uint32_t vocab, max_model_len, n_prompt, n_pos, n_greedy;
    const int32_t *prompt, *pos, *greedy;
    const float *logprob, *logits, *gap;
    pgd_buf file;
} golden;

extern const char *const golden_names[];
extern const size_t n_golden;
/* Before any test. Exits on an argument that it does not know. */
void harness_args(int argc, char **argv);
/* Whether tests run on the GPU, and whether this model does there. */
bool on_gpu(void);
bool golden_runs(const char *name);
void golden_load(const char *name, golden *out);
void golden_free(golden *g);
pgd_model *golden_model(const char *name);

/* Collects the parts of a plan, then writes the blob. Lists are borrowed until plan_write. */
enum { PW_MAX = 64 };
typedef struct plan_writer {
    pgd_plan_seq seq[PW_MAX];
    const int32_t *ids[PW_MAX]; /* of each seq, NULL: a late id */
    pgd_plan_init init[PW_MAX];
    const int32_t *history[PW_MAX];
    const pgd_bias *bias[PW_MAX];
    pgd_plan_table table[PW_MAX];
    const int32_t *pages[PW_MAX];
    pgd_plan_copy copy[PW_MAX];
    uint32_t n_seq, n_init, n_table, n_copy, n_tok;
    uint64_t step;
} plan_writer;

void pw_seq(plan_writer *w, uint32_t slot, const int32_t *ids, uint32_t n, uint32_t kv_start,
            uint32_t flags, int32_t score_next);
void pw_init(plan_writer *w, uint32_t slot, uint32_t n_prompt, const pgd_sampling *s,
             const int32_t *history, uint32_t n_history, const pgd_bias *bias, uint32_t n_bias);
void pw_table(plan_writer *w, uint32_t slot, uint32_t first, const int32_t *pages, uint32_t n);
void pw_copy(plan_writer *w, uint32_t src, uint32_t dst, uint32_t n_tokens);
/* Write the blob into out (room bytes) and start the next step's collection. Returns its bytes. */
uint32_t pw_write(plan_writer *w, void *out, uint32_t room);

/* Greedy, with n_top logprobs. */
pgd_sampling greedy_sampling(uint32_t n_top);
/* A scrambled but fixed page order: page i of sequence `which`, disjoint between sequences. */
void page_order(const pgd_plan_limits *lim, uint32_t which, int32_t *out, uint32_t n);

typedef struct rig {
    pgd_model *model;
    pgd_device *dev;
    devmem mem;
    sizing z;
    exec_weights weights;
    program prog;
    void *plan;
    plan_writer pw;
    pgd_sample_out *sample;
    pgd_score_out *score;
    void *hidden; /* [max_tokens, d_model] of rows_act, of steps that want them */
} rig;

void rig_open(rig *r, const char *golden_name, const pgd_exec_options *opt);
void rig_close(rig *r);
/* Write, check and run the collected plan; asserts that all of it succeeds. */
void rig_step(rig *r);
/* The first n rows of the logits buffer, [n, vocab]. Owned by the caller: pgd_free. */
float *rig_logits(const rig *r, uint32_t n);
pgd_exec_options small_options(uint32_t max_tokens);

#endif
