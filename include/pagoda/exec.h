/* Executors run plans. `pgd_exec` is the port through which the engine drives a model on a device
 * (the rank executor: builder, program, slots, sampler on a rank thread) or the simulator. The
 * engine lends no memory: it writes each plan into a buffer the executor lends, and reads results
 * in order. At most `steps_in_flight` plans are outstanding. */
#ifndef PAGODA_EXEC_H
#define PAGODA_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/clock.h"
#include "pagoda/model.h"
#include "pagoda/plan.h"
#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_exec pgd_exec;

typedef struct pgd_exec_info {
    pgd_plan_limits limits;
    uint32_t steps_in_flight;
    uint32_t max_model_len;
    /* The memory plan. staging: the steps' plans and results on the host, pinned beside a GPU.
     * graph_bytes is measured when they are recorded; 0 before, and without. */
    uint64_t kv_bytes, weight_bytes, workspace_bytes, staging_bytes, graph_bytes;
    uint64_t mem_total, mem_free; /* of the device when it was opened; 0: it has no memory */
    bool host_memory;             /* the device's memory is the host's */
    /* Of the hidden states that results may have; 0: this executor reports none. */
    uint32_t hidden_width;
    pgd_dtype hidden_type;
    char device_name[96]; /* "cpu avx512bf16, 2 threads" */
} pgd_exec_info;

/* Implemented by each executor; the first member of its struct. Thread: the engine's, except where
 * noted. */
struct pgd_exec {
    const pgd_exec_info *(*info)(const pgd_exec *x);
    /* A buffer of limits.max_plan_bytes for the next plan, or NULL when steps_in_flight plans are
     * outstanding. Borrowed until submit. */
    void *(*begin)(pgd_exec *x);
    /* Run the plan written into the buffer of the last begin. Never blocks. */
    void (*submit)(pgd_exec *x);
    /* The late part of a plan with n_mask > 0 (plan.h): begin_late lends the buffer of the oldest
     * submitted plan whose late part is due, submit_late hands it over. Once for each such plan, in
     * order, any time after its submit: its forward pass does not wait, its logits do. Blocks
     * never; the result of the step before does not wait either. NULL: it takes no such plans. */
    pgd_plan_late *(*begin_late)(pgd_exec *x);
    void (*submit_late)(pgd_exec *x);
    /* The oldest finished step, or NULL. Borrowed until release. */
    const pgd_step_result *(*poll)(pgd_exec *x);
    void (*release)(pgd_exec *x);
    /* Call fn(ctx) from any thread whenever a step has finished. Set once before the first plan. */
    void (*on_result)(pgd_exec *x, void (*fn)(void *ctx), void *ctx);
    void (*destroy)(pgd_exec *x);
};

typedef struct pgd_exec_options {
    const char *device;     /* "cpu" | "cuda" | "auto": cuda where it can be used, else cpu */
    uint32_t n_threads;     /* CPU: 0 = all cores */
    int32_t isa;            /* CPU: a pgd_isa, or -1 for the best there is */
    uint32_t max_seqs;      /* --max-num-seqs; 0: device default. There are twice as many slots. */
    uint32_t max_tokens;    /* --max-num-batched-tokens; 0: device default */
    uint32_t max_model_len; /* 0: of the model */
    uint32_t page_tokens;   /* --block-size; 0: device default */
    uint64_t kv_bytes;      /* --kv-cache-memory-bytes; 0: device default */
    double gpu_memory_utilization; /* CUDA: share of the device's memory to use; 0: 0.9 */
    uint32_t steps_in_flight;      /* 1..3; 0: 2 */
    bool enforce_eager;            /* CUDA: no graphs */
    bool hidden_states;            /* results may have them: some pinned memory on the host */
    bool dummy_weights;            /* --load-format dummy: the model must have been opened so */
    bool profile;                  /* time every operation, for pgd_exec_describe */
} pgd_exec_options;

/* Load the model onto the device and start its rank thread. progress (may be NULL) is written with
 * 0..1000 as weights load. The model is borrowed until destroy (weights of the CPU device may stay
 * mapped). Errors name the missing op, the memory that lacked, or the limit. */
pgd_status pgd_exec_open(const pgd_model *model, const pgd_exec_options *opt,
                         _Atomic uint32_t *progress, pgd_exec **out, pgd_error *err);
/* What pgd_exec_open would decide, without loading anything: opens the device, sizes, and closes it
 * again. Same options, same errors; weight_bytes is what the files say, before the device's own
 * padding. */
pgd_status pgd_exec_plan(const pgd_model *model, const pgd_exec_options *opt, pgd_exec_info *out,
                         pgd_error *err);
/* Append the program of an executor of pgd_exec_open as text, one line for each operation of a
 * layer and of the head: name, operation, types and shape, and with opt.profile calls, time and
 * share. Thread: the engine's, with no step in flight. */
void pgd_exec_describe(const pgd_exec *x, pgd_buf *out);
/* Device time of all finished steps of an executor of pgd_exec_open: what is missing to the wall
 * clock is time in which the device waited. Any thread. */
uint64_t pgd_exec_busy_ns(const pgd_exec *x);

/* Simulator: no model; each page remembers the tokens written to it, and the token sampled after a
 * sequence is a hash of all tokens found through its page table (so that any page shared, freed or
 * copied wrongly changes the text), of its seed and choice. Every plan is checked, and every write
 * and read against what a device could do; the first fault is reported as PGD_E_INTERNAL in the
 * step's result and its text kept. */
/* sum[j] += element j of row `row` of a result's hidden states; sum: [hidden_width]. */
void pgd_exec_add_hidden(const pgd_exec_info *info, const void *hidden, size_t row, double *sum);

typedef struct pgd_sim_options {
    pgd_plan_limits limits;
    uint32_t steps_in_flight, max_model_len;
    int32_t eos_id; /* sampled with probability 1 / mean_len; -1: never */
    uint32_t mean_len;
    uint32_t bad_mean;     /* a sample has bad logits with probability 1 / bad_mean; 0: never */
    uint64_t step_base_ns; /* cost model: base + per_token * n_tok */
    uint64_t step_token_ns;
    uint32_t hidden_width;  /* as pgd_exec_info; the type is f32 */
    uint64_t fail_at_step;  /* report PGD_E_DEVICE from this step on; 0: never */
    const pgd_clock *clock; /* results are ready when their time has come; NULL: at once */
    bool realtime;          /* own thread that sleeps for the cost (monotonic clock), load tests */
} pgd_sim_options;
pgd_status pgd_exec_open_sim(const pgd_sim_options *opt, pgd_exec **out, pgd_error *err);
/* The first fault that the simulator met, "" without one. Between steps. */
const char *pgd_sim_fault(const pgd_exec *sim);

/* The token that the simulator samples after tok[0..n): the oracle of the tests. While fewer than
 * min_tokens were generated and the token is a stop id, the next id follows instead (modulo the
 * vocabulary). */
int32_t pgd_sim_next_token(const pgd_sim_options *opt, const int32_t *tok, uint32_t n,
                           uint64_t seed, uint32_t choice);
/* The same under a mask of pgd_mask_words: that token when it is allowed, else an allowed one of
 * the hash's choice. mask NULL: none. */
int32_t pgd_sim_allowed_token(const pgd_sim_options *opt, const int32_t *tok, uint32_t n,
                              uint64_t seed, uint32_t choice, const uint32_t *mask);
/* Whether that sample has bad logits. */
bool pgd_sim_bad_logits(const pgd_sim_options *opt, const int32_t *tok, uint32_t n, uint64_t seed,
                        uint32_t choice);
/* Element j of the hidden state of tok[n - 1] after the tokens before it. */
float pgd_sim_hidden(const int32_t *tok, uint32_t n, uint32_t j);
/* The logprob that the simulator reports for tok[n - 1] after the tokens before it. */
float pgd_sim_logprob(const int32_t *tok, uint32_t n);

#endif
