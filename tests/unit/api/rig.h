/* The API over the real engine and the simulated device, all on the test's thread but for the API's
 * workers, on virtual time. Each turn takes one engine step, drains the loop and moves the clock.
 */
#ifndef TESTS_API_RIG_H
#define TESTS_API_RIG_H

#include <stdatomic.h>

#include "fold.h"
#include "pagoda/api.h"
#include "pagoda/exec.h"
#include "support.h"

/* Ids of data/tokenizer.json. */
enum {
    T_HEL = 256,
    T_LO,
    T_WOR,
    T_LD,
    T_ST,
    T_OP,
    T_THE,
    T_END,
    T_BANG,
    T_EMOJI,
    T_BOS,
    T_IM_START,
    T_IM_END,
    T_PAD,
    T_VOCAB
};

enum { RIG_WIDTH = 7 }; /* of hidden states; no multiple of 3, so that base64 is padded */

typedef struct rig_options {
    uint32_t max_model_len; /* 0: 256 */
    uint32_t mean_len;      /* of answers; 0: no end token is sampled */
    uint32_t max_queued, engine_queued, max_seqs, n_pages, max_logprobs;
    uint64_t keep_alive_ns, deadline_ns, fail_at_step;
    const pgd_generation_config *generation;
    bool enable_priority, no_chat, not_attached, trace;
    bool no_embeddings;
    bool no_store; /* of responses; else 1 MiB */
    bool threaded; /* the engine runs its own thread, on real time */
    const char *tool_parser, *think_parser;
} rig_options;

typedef struct rig {
    pgd_metrics *metrics;
    pgd_api *api;
    pgd_api_loop *loop;
    pgd_exec *exec;
    pgd_engine *engine;
    pgd_tokenizer *tok;
    pgd_chat *chat;
    pgd_model_spec spec;
    pgd_sim_options sim;
    pgd_api_model model;
    pgd_clock clock;
    _Atomic uint64_t now;
    _Atomic uint32_t wakes;
    uint64_t turn_ns; /* the clock's move a turn; 1 ms */
    uint32_t n_changed;
    bool hold_engine; /* turns take no engine step */
    bool threaded;
} rig;

void rig_open(rig *r, const rig_options *opt);
void rig_close(rig *r);

pgd_call *rig_begin(rig *r, pgd_route route, const char *body);
pgd_call *rig_begin_as(rig *r, const pgd_api_request *rq, const char *body);
void rig_turn(rig *r);
/* Turn until the worker has handed the call back. */
void rig_wait_prepared(rig *r, pgd_call *c);
/* Turn until DONE. */
void rig_wait(rig *r, pgd_call *c);
/* Turn until the engine has nothing inside. */
void rig_settle(rig *r);

typedef struct rig_reply {
    int status;
    char content_type[64];
    pgd_buf headers, body;
} rig_reply;

/* Wait for the call, take its reply, release it. */
void rig_finish(rig *r, pgd_call *c, rig_reply *out);
void rig_post(rig *r, pgd_route route, const char *body, rig_reply *out);
void rig_reply_fini(rig_reply *p);
/* The value of a header, "" when it is not there. Valid until the next call. */
const char *rig_header(const rig_reply *p, const char *name);
/* Post, expect this status and error code; checks the error object's shape. param NULL: any. */
void rig_expect_error(rig *r, pgd_route route, const char *body, int status, const char *param,
                      const char *code);
/* A response of the tenant; its id where it is one. */
void rig_respond(rig *r, const char *tenant, const char *body, rig_reply *out, char id[64]);
/* Ask a route with an id in its path; the status. */
int rig_ask(rig *r, pgd_route route, const char *tenant, const char *id, const char *query,
            bool remove, rig_reply *out);
/* Post and fold, stream or not by what comes back; flags as fold_stream. */
void rig_fold(rig *r, pgd_route route, const char *body, unsigned flags, fold *out);

#endif
