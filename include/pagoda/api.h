/* The API layer: typed JSON requests in, response bytes out, neutral to the transport. One pgd_call
 * lives from the end of a request's body to the last byte of its response. The transport creates
 * calls and pulls their bytes on its loop thread; parsing, rendering and tokenizing run on the
 * API's workers; tokens come from the engine thread. A call is touched by the loop thread only,
 * except while a worker holds it (state PGD_CALL_PREPARING). */
#ifndef PAGODA_API_H
#define PAGODA_API_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/chat.h"
#include "pagoda/clock.h"
#include "pagoda/engine.h"
#include "pagoda/metrics.h"
#include "pagoda/model.h"
#include "pagoda/status.h"
#include "pagoda/str.h"
#include "pagoda/tokenizer.h"

typedef enum pgd_route {
    PGD_ROUTE_NONE = 0,
    PGD_ROUTE_ROOT,            /* GET / : what is here */
    PGD_ROUTE_CHAT,            /* POST /v1/chat/completions */
    PGD_ROUTE_COMPLETIONS,     /* POST /v1/completions */
    PGD_ROUTE_EMBEDDINGS,      /* POST /v1/embeddings */
    PGD_ROUTE_MESSAGES,        /* POST /v1/messages */
    PGD_ROUTE_COUNT_TOKENS,    /* POST /v1/messages/count_tokens */
    PGD_ROUTE_RESPONSES,       /* POST /v1/responses */
    PGD_ROUTE_INPUT_TOKENS,    /* POST /v1/responses/input_tokens */
    PGD_ROUTE_RESPONSE,        /* GET, DELETE /v1/responses/{id}; arg = decoded id */
    PGD_ROUTE_RESPONSE_CANCEL, /* POST /v1/responses/{id}/cancel; arg = decoded id */
    PGD_ROUTE_INPUT_ITEMS,     /* GET /v1/responses/{id}/input_items; arg = decoded id */
    PGD_ROUTE_MODELS,          /* GET /v1/models */
    PGD_ROUTE_MODEL,           /* GET /v1/models/{id}; arg = decoded id */
    PGD_ROUTE_TOKENIZE,
    PGD_ROUTE_DETOKENIZE,
    PGD_ROUTE_APPLY_TEMPLATE, /* POST /apply-template */
    PGD_ROUTE_CANCEL,         /* POST /v1/requests/{id}/cancel; arg = decoded id */
    PGD_ROUTE_SERVER_INFO,    /* GET /server_info */
    PGD_ROUTE_HEALTH,         /* = ready; also /ping, /ready, /readyz */
    PGD_ROUTE_LIVE,           /* /livez, /live */
    PGD_ROUTE_STARTUP,        /* /startupz */
    PGD_ROUTE_METRICS,        /* /metrics */
    PGD_ROUTE_VERSION,        /* /version */
    PGD_ROUTE_PAGE,           /* a fixed page; the transport answers it alone */
    /* The operator's: of any tenant, so the transport offers them to nobody else. */
    PGD_ROUTE_REQUESTS,    /* GET /requests: what is under way */
    PGD_ROUTE_CANCEL_ANY,  /* POST /requests/{id}/cancel; arg = decoded id */
    PGD_ROUTE_RESET_CACHE, /* POST /reset_prefix_cache; answered when it is done */
    PGD_ROUTE_N
} pgd_route;

/* Whether the clients of the route are Anthropic's: their errors have another shape. */
bool pgd_route_is_anthropic(pgd_route r);

typedef struct pgd_api pgd_api;           /* one a process */
typedef struct pgd_api_loop pgd_api_loop; /* one an event loop */
typedef struct pgd_call pgd_call;

typedef struct pgd_api_options {
    pgd_metrics *metrics; /* NULL: none */
    const pgd_clock *clock;
    uint32_t n_workers;
    uint32_t max_queued;          /* calls inside the API and engine; more get 503 */
    uint64_t keep_alive_ns;       /* SSE comment when nothing was sent for so long; 0: never */
    uint64_t default_deadline_ns; /* 0: none */
    size_t response_store_bytes;  /* kept responses of /v1/responses; 0: none are kept */
    bool trace_requests;          /* one log line a request (never its content) */
    const char *system_fingerprint;
} pgd_api_options;

pgd_status pgd_api_create(const pgd_api_options *opt, pgd_api **out, pgd_error *err);
/* All calls must be released and the engine gone. */
void pgd_api_destroy(pgd_api **api);

/* What answers requests once loading is over. Everything is borrowed until destroy. */
typedef struct pgd_api_model {
    pgd_engine *engine;
    const pgd_tokenizer *tokenizer;
    const pgd_chat *chat; /* NULL: no chat template */
    const pgd_model_spec *spec;
    const pgd_generation_config *generation; /* NULL: ignored (--generation-config vllm) */
    const char *const *names;                /* served names, the first is the main one */
    uint32_t n_names;
    uint32_t max_model_len;
    uint32_t max_logprobs; /* at most PGD_MAX_TOP_LOGPROBS */
    uint64_t created;      /* unix seconds */
    bool embeddings;       /* the executor reports hidden states */
    bool enable_priority;  /* honour `priority` */
    /* Names of output formats, as --tool-call-parser and --reasoning-parser list them; NULL: auto.
     * A name that is none of them is logged, and output stays text. */
    const char *tool_call_parser, *reasoning_parser;
    const char *memory_plan; /* a JSON object, shown by /server_info; NULL: none */
} pgd_api_model;

/* The output formats that attach chooses for a template (NULL: none), by name, "none" included.
 * Errors: PGD_E_INVALID for a name that is no format. Thread: any. */
pgd_status pgd_api_pick_formats(const pgd_chat *chat, const char *tool_call_parser,
                                const char *reasoning_parser, const char **tools,
                                const char **reasoning, pgd_error *err);

typedef enum pgd_api_state {
    PGD_API_LOADING, /* 503 + Retry-After for calls; live, not ready */
    PGD_API_READY,
    PGD_API_LEAVING,  /* serves as before, but not ready: balancers shall go elsewhere; model
                         attached */
    PGD_API_DRAINING, /* running calls go on, new ones 503, not ready */
    PGD_API_DEAD,     /* fatal: not live, 503 */
} pgd_api_state;

/* Any thread. attach publishes the model and moves LOADING to READY. `progress` of loading is
 * 0..1000 (borrowed atomic, may be NULL). */
void pgd_api_set_progress(pgd_api *api, const _Atomic uint32_t *progress);
void pgd_api_attach(pgd_api *api, const pgd_api_model *model);
void pgd_api_set_state(pgd_api *api, pgd_api_state s);
pgd_api_state pgd_api_get_state(const pgd_api *api);
/* Calls that are not yet finished (for drain). Any thread. */
uint32_t pgd_api_active(const pgd_api *api);

/* wake(ctx) is called from workers and from the engine thread when something of this loop's calls
 * has changed; it must be cheap and may coalesce (uv_async_send). */
pgd_status pgd_api_loop_create(pgd_api *api, void (*wake)(void *ctx), void *ctx,
                               pgd_api_loop **out);
void pgd_api_loop_destroy(pgd_api_loop **l);
/* Shut-down, loop thread: block until no worker holds a call of this loop any more, so that no wake
 * comes from a worker afterwards. Drain once more behind it to free released calls. */
void pgd_api_loop_wait(pgd_api_loop *l);
/* Loop thread, after a wake: bring all changed calls up to date and report each once. */
void pgd_api_loop_drain(pgd_api_loop *l, void (*changed)(pgd_call *call, void *ctx), void *ctx);

typedef struct pgd_api_request {
    pgd_route route;
    pgd_sv arg;        /* of routes with an {id} in their path: the id */
    pgd_sv query;      /* of the URL, behind the ? */
    bool remove;       /* the method is DELETE */
    pgd_buf *body;     /* contents move into the call; *body is left empty */
    pgd_sv request_id; /* "" : the API makes one */
    pgd_sv tenant;     /* cache and fairness group of the caller; "" without keys */
    bool may_set_priority;
    uint64_t timeout_ns; /* the client's own deadline hint; 0: none */
    void *user;          /* handed back by pgd_call_user */
} pgd_api_request;

/* Start a call. Loop thread. Never NULL unless memory is exhausted. Small routes are DONE at
 * return; the others are PREPARING. */
pgd_call *pgd_api_begin(pgd_api_loop *l, const pgd_api_request *rq);

typedef enum pgd_call_state {
    PGD_CALL_PREPARING, /* nothing to send yet */
    PGD_CALL_STREAMING, /* status and headers are fixed, output grows */
    PGD_CALL_DONE       /* output is complete (and was never STREAMING, or has ended) */
} pgd_call_state;

pgd_call_state pgd_call_get_state(const pgd_call *c);
void *pgd_call_user(const pgd_call *c);
/* Valid from STREAMING or DONE on. */
int pgd_call_http_status(const pgd_call *c);
const char *pgd_call_content_type(const pgd_call *c);
/* Extra headers as complete "name: value\r\n" lines (x-request-id, retry-after, ...). */
pgd_sv pgd_call_headers(const pgd_call *c);
/* Bytes to send; the transport consumes them with pgd_buf_clear or pgd_buf_drop_front. */
pgd_buf *pgd_call_output(pgd_call *c);
/* Loop thread, about once a second: keep-alive comments, deadlines. Returns whether the call
 * changed. */
bool pgd_call_tick(pgd_call *c);
/* The client is gone: stop all work for it. The call produces nothing more. A call in the
 * background goes on: it is DONE for the transport, and the API keeps what comes of it. */
void pgd_call_abort(pgd_call *c);
/* The transport lets go (after DONE or abort); memory goes when the engine and workers have let
 * go too. *c = NULL. */
void pgd_call_release(pgd_call **c);

/* End the calls that are under way with this request id or answer id: the client gets an error.
 * tenant: only those of this one; NULL: of any. Returns how many. Any thread. */
uint32_t pgd_api_cancel(pgd_api *api, pgd_sv id, const pgd_sv *tenant);

/* An error body {"error": {...}} in OpenAI's shape appended to out, for the transport's own
 * refusals (413, 431, 404, 405, 401, 400). code may be NULL (null). */
void pgd_api_error_body(pgd_buf *out, const char *message, const char *type, const char *param,
                        const char *code);
/* The same in Anthropic's shape: {"type": "error", "error": {"type", "message"}, "request_id"}. The
 * type follows from the HTTP status. */
void pgd_api_error_body_anthropic(pgd_buf *out, int http, const char *message,
                                  const char *request_id);

#endif
