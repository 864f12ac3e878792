/* The simulator's private parts: what both of its files know. */
#ifndef PGD_EXEC_SIM_EXEC_H
#define PGD_EXEC_SIM_EXEC_H

#include <stdatomic.h>

#include "pagoda/exec.h"

enum { SIM_UNWRITTEN = -1, SIM_OWNER_NONE = -1, SIM_OWNER_COPY = -2 };

typedef struct sim_slot {
    int32_t *table; /* [max_pages_per_seq] page ids, SIM_UNWRITTEN where never told */
    int32_t *history;
    uint32_t n_history; /* 0 unless penalties need it */
    uint32_t n_prompt;
    int32_t last; /* last sampled token */
    bool ready;
    pgd_sampling sampling;
} sim_slot;

typedef struct sim_page {
    uint64_t touched; /* last step that read or wrote it */
    int32_t owner;    /* slot of its last writer, or SIM_OWNER_* */
} sim_page;

/* One plan's buffers, from begin to release. */
typedef struct sim_step {
    uint64_t *blob; /* max_plan_bytes */
    uint64_t *late; /* pgd_plan_late_room */
    bool late_due;  /* wants a late part that was not handed over; engine thread */
    pgd_step_result result;
    pgd_sample_out *sample;       /* [max_seqs] */
    pgd_score_out *score;         /* [max_tokens] */
    float *hidden;                /* [max_tokens][hidden_width]; NULL: none */
    uint64_t submit_ns, ready_ns; /* virtual time */
    atomic_bool done;
} sim_step;

typedef struct sim_device {
    pgd_sim_options opt;
    sim_slot *slot;            /* [max_slots] */
    sim_page *page;            /* [n_pages] */
    int32_t *tok;              /* [n_pages][page_tokens] */
    int32_t *text;             /* [max_model_len + 1] gathered sequence */
    _Atomic uint64_t released; /* steps up to here have been given back: their pages are at rest */
    pgd_error fault;
} sim_device;

/* Run a plan and fill step->result; the device's state moves on. Thread: the one that runs plans.
 */
void sim_run(sim_device *d, sim_step *step);

#endif
