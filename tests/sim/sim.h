/* Simulation of the engine: one 64-bit seed draws a small scenario (machine, limits, requests,
 * faults), the real engine runs it on the simulated device in virtual time, and everything is
 * checked after each turn and at the end. */
#ifndef PGD_TESTS_SIM_H
#define PGD_TESTS_SIM_H

#include "pagoda/engine.h"
#include "pagoda/exec.h"
#include "pagoda/grammar.h"
#include "pagoda/rng.h"

enum {
    SIM_MAX_REQS = 16,
    SIM_MAX_LEN = 96,
    SIM_MAX_N = 4,
    SIM_MAX_TOP = 3,
    SIM_VOCAB = 40,
    SIM_WIDTH = 3
};

/* When a request is cancelled, in terms of what it has reached. */
typedef enum cancel_at {
    CANCEL_NEVER,
    CANCEL_AT_ONCE, /* right after submit, the inbox not yet read */
    CANCEL_QUEUED,  /* some turns after submit */
    CANCEL_SCHEDULED,
    CANCEL_FIRST_TOKEN,
    CANCEL_LATER, /* after some tokens */
} cancel_at;

typedef struct sim_req {
    pgd_request r;
    double pooled[SIM_WIDTH];
    pgd_toklog out[SIM_MAX_N], scores;
    int32_t prompt[SIM_MAX_LEN];
    int32_t token[SIM_MAX_N + 1][SIM_MAX_LEN];
    float logprob[SIM_MAX_N + 1][SIM_MAX_LEN];
    pgd_top top[SIM_MAX_N + 1][SIM_MAX_LEN * SIM_MAX_TOP];
    pgd_bias bias[2];
    uint64_t at_ns; /* of arrival */
    cancel_at cancel;
    uint32_t cancel_delay; /* turns, or tokens */
    uint32_t i_grammar;    /* of sim_grammar; 0: none */
    uint32_t stop_choice;  /* >= n_choices: never */
    uint32_t stop_len;     /* when that choice has so many tokens */
    /* progress */
    bool submitted, refused, done, asked_end;
    uint32_t turns;
    uint32_t stopped; /* bit: choice asked to stop */
    uint32_t seen_len[SIM_MAX_N];
    uint32_t seen_finish[SIM_MAX_N];
} sim_req;

typedef struct scenario {
    uint64_t seed, rng;
    pgd_sim_options sim;
    pgd_engine_options opt;
    uint32_t n_reqs;
    uint32_t drain_turn, cancel_all_turn, reset_turn; /* 0: never */
    bool grows;                                       /* short prompts, long answers */
    uint32_t idle_reader;                             /* the reader looks once in so many turns */
    sim_req req[SIM_MAX_REQS];
} scenario;

/* sim_draw.c: everything about the scenario follows from the seed. */
void sim_draw(scenario *s, uint64_t seed);
uint32_t sim_rand(scenario *s, uint32_t n); /* [0, n) */

/* sim_grammar.c: grammars over the simulator's vocabulary, made once for all scenarios (a run may
 * not depend on what earlier ones left in them). */
enum { SIM_GRAMMARS = 4 };
bool sim_grammars_create(void);
void sim_grammars_destroy(void);
pgd_grammar *sim_grammar(uint32_t i, bool has_eos); /* i in 1..SIM_GRAMMARS */

/* sim_oracle.c: what a request must answer, computed alone. Return NULL or what is wrong. */
const char *sim_check_request(const scenario *s, const sim_req *q, uint32_t max_ctx, bool failed);
const char *sim_check_cache(const scenario *s, const sim_req *q);

typedef struct sim_totals {
    uint64_t steps, preemptions, evicted, cached_tokens, generated, fatal, turns;
    uint64_t finished[PGD_FINISH_ERROR + 1], refused;
} sim_totals;

/* sim_run.c: run a scenario. Returns a hash of all that happened; *what is NULL or says what went
 * wrong (text lies in text[n]). */
uint64_t sim_run_scenario(scenario *s, sim_totals *t, char *text, size_t n, const char **what);

#endif
