/* A small engine on the simulator for the engine's tests: pages of 4 tokens, results at once unless
 * a test holds time, and one reader. Not an oracle of policy: tests state what they expect. */
#ifndef PGD_TESTS_UNIT_ENGINE_RIG_H
#define PGD_TESTS_UNIT_ENGINE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine_int.h"

enum { RIG_PAGE = 4, RIG_LEN = 128, RIG_N = 4, RIG_VOCAB = 1000 };

typedef struct rig_req {
    pgd_request r;
    pgd_toklog out[RIG_N], scores;
    int32_t prompt[RIG_LEN], token[RIG_N + 1][RIG_LEN];
    float logprob[RIG_N + 1][RIG_LEN];
    bool done;
} rig_req;

typedef struct rig {
    pgd_sim_options sim;
    pgd_engine_options opt;
    pgd_exec *exec;
    pgd_engine *e;
    pgd_clock clock;
    uint64_t now_ns;
    pgd_sink sink;
    uint32_t n_wakes;
} rig;

/* Defaults; a test changes what it needs, then opens. */
void rig_init(rig *g);
void rig_open(rig *g);
void rig_start(rig *g); /* both: the defaults as they are */
void rig_close(rig *g);

/* n prompt tokens: `same` of a common stem, the rest from `salt`. */
void rig_request(rig *g, rig_req *q, uint32_t n, uint32_t same, uint32_t salt, uint32_t max_new);
void rig_submit(rig *g, rig_req *q);
/* The request as it is, submitted; rig_run also settles. */
void rig_ask(rig *g, rig_req *q, uint32_t n, uint32_t same, uint32_t salt, uint32_t max_new);
void rig_run(rig *g, rig_req *q, uint32_t n, uint32_t same, uint32_t salt, uint32_t max_new);
/* Step until nothing moves; marks requests done. */
void rig_settle(rig *g);
void rig_step(rig *g);
void rig_read(rig *g);
pgd_page_pool_counts rig_pages(const rig *g);
uint32_t rig_len(const rig_req *q, uint32_t choice);
pgd_finish rig_finish(const rig_req *q, uint32_t choice);
/* The output of a choice is what the oracle says after the prompt. */
void rig_assert_oracle(const rig *g, const rig_req *q, uint32_t choice);

#endif
