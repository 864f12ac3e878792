/* The serve command: everything the server is made of, in the order in which it is built. Private
 * to src/app. */
#ifndef PGD_APP_SERVE_H
#define PGD_APP_SERVE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "pagoda/api.h"
#include "pagoda/chat.h"
#include "pagoda/config.h"
#include "pagoda/engine.h"
#include "pagoda/exec.h"
#include "pagoda/http.h"
#include "pagoda/model.h"
#include "pagoda/tokenizer.h"

/* Exit codes of the program (docs/operations.md). */
enum {
    PGD_EXIT_OK = 0,
    PGD_EXIT_CONFIG = 2,
    PGD_EXIT_DRAIN_CUT = 3, /* the drain deadline cut streams */
    PGD_EXIT_DEVICE = 71,
    PGD_EXIT_STALLED = 73,
    PGD_EXIT_MODEL = 78
};

typedef enum pgd_load_state { PGD_LOAD_RUNNING, PGD_LOAD_DONE, PGD_LOAD_FAILED } pgd_load_state;

typedef struct pgd_server {
    const pgd_config *config;
    pgd_config_list names;       /* under which the model is served */
    const char *default_name[1]; /* the folder's name */
    pgd_http_options http_options;
    pgd_api_key *keys; /* owned */
    uint32_t n_keys;
    pgd_metrics *metrics;
    pgd_clock clock;
    pgd_api *api;
    pgd_http *http;
    /* built by the loader thread */
    pgd_model *model;
    pgd_tokenizer *tokenizer;
    pgd_chat *chat;
    pgd_exec *exec;
    pgd_engine *engine;
    pgd_buf memory_plan;            /* JSON, lent to the API */
    _Atomic uint32_t load_progress; /* 0..1000 */
    _Atomic int load_state;         /* pgd_load_state */
    pthread_t loader, monitor;
    sigset_t signals;
    _Atomic int exit_code;
} pgd_server;

/* serve.c: run the server; returns the exit code. */
int pgd_serve(const pgd_config *config);

/* serve.c: everything up to the open port, which is bound and listens; nothing is answered before
 * the HTTP loops run. No model is needed. Errors name the flag. */
pgd_status pgd_server_start_front(pgd_server *s, pgd_error *err);
/* Free whatever was built. No other thread of the server may run. */
void pgd_server_close(pgd_server *s);

/* load.c: the model folder in parts. */
typedef struct pgd_server_part {
    const char *name;
    pgd_status (*run)(pgd_server *s, pgd_error *err);
    bool needs_all; /* runs only when those before it were good */
} pgd_server_part;
enum { PGD_SERVER_MODEL_PARTS = 5 };
extern const pgd_server_part pgd_server_model_parts[PGD_SERVER_MODEL_PARTS];
/* All parts in order, up to the first that fails. */
pgd_status pgd_server_open_model(pgd_server *s, pgd_error *err);
/* What the executor is asked for; --device sim has no such options. */
pgd_status pgd_server_exec_options(const pgd_config *c, pgd_exec_options *out, pgd_error *err);
/* The executor, then the engine; the API answers from then on. */
pgd_status pgd_server_start_engine(pgd_server *s, pgd_error *err);

/* daemon.c: the monitor thread: signals, drain, watchdog. */
void *pgd_server_monitor(void *server);

#endif
