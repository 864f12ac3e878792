/* The private picture of a call, shared by the files of this module.
 *
 *   begin ──► PREP (a worker holds it) ──► RUN (tokens arrive) ──► ENDED
 *     └── small routes and refusals ─────────────────────────────────┘
 *
 * In the background, a call is detached as RUN begins: for the transport it is DONE then, and it
 * goes on to ENDED without it.
 *
 * The loop thread owns a call except what the worker fills during PREP: everything under "filled
 * by prep" and `err`; the hand-over is the loop's `prepared` stack. A call's memory goes when the
 * transport has released it, no worker holds it and the engine has pushed all its requests on the
 * done stack (n_inside == 0). */
#ifndef PAGODA_API_CALL_H
#define PAGODA_API_CALL_H

#include <pthread.h>

#include "errors.h"
#include "grammars.h"
#include "items.h"
#include "pagoda/api.h"
#include "pagoda/arena.h"
#include "pagoda/pool.h"
#include "params.h"
#include "parse.h"
#include "stop.h"

enum {
    API_ID_BYTES = 48,
    API_REQUEST_ID_BYTES = 132,
    API_COALESCE_BYTES = 16 << 10, /* unsent output above this: several tokens share a chunk */
    API_BACKLOG_BYTES = 1 << 20,   /* and above this, tokens wait in their log */
    API_MAX_INSIDE = 256,          /* requests of one call in the engine at once */
};

typedef struct api_metrics {
    pgd_metric *rejected_queue_full, *rejected_loading, *rejected_draining, *rejected_dead;
    pgd_metric *queue_timeouts, *timeouts;
    pgd_metric *gone_prep, *gone_queued, *gone_running;
    pgd_metric *prep_seconds, *stop_string_ends, *prompt_rejects;
    pgd_metric *grammar_seconds, *grammar_rejects;
} api_metrics;

struct pgd_api {
    pgd_api_options opt;
    pgd_clock clock;
    pgd_workers *workers;
    _Atomic uint32_t state; /* pgd_api_state */
    _Atomic uint32_t active;
    _Atomic uint64_t next_id;
    _Atomic(const _Atomic uint32_t *) progress;
    /* Published once by attach: stored (release) after model_data is filled, loaded (acquire). */
    _Atomic(const pgd_api_model *) model;
    pgd_api_model model_data;
    api_formats formats;    /* of the model's output; written with model_data, as is */
    api_grammars *grammars; /* NULL: none can be compiled */
    uint8_t boot_key[32];   /* of cache namespaces; never leaves the process */
    api_metrics m;
    pthread_mutex_t live_lock; /* guards what live.c says */
    pgd_call *live;
    struct api_store *store; /* of responses; NULL: none are kept */
};

struct pgd_api_loop {
    pgd_api *api;
    void (*wake)(void *ctx);
    void *ctx;
    pgd_sink sink;
    _Atomic uint32_t cancels; /* some call of this loop was asked to end */
    pgd_stack prepared;       /* pgd_call.prepared_link; pushed by workers */
    pgd_call *changed;        /* doubly linked through changed_prev/next; loop thread */
    /* Jobs that workers have not fully let go of; lowered (release) as the last touch of one. */
    _Atomic uint32_t with_workers;
};

/* A token whose text is not yet on its way: where its text ends in the choice's raw text (bytes),
 * and at which code point it begins. */
typedef struct api_pending {
    uint64_t end, begin_cp;
} api_pending;

typedef struct api_choice {
    struct api_request *rq;
    uint32_t i_log; /* index in rq->r.out */
    uint32_t index; /* in the response */
    pgd_detok *detok;
    uint32_t n_seen;      /* tokens taken from the log */
    uint32_t n_sent;      /* of these, handed to the wire (with logprobs and token ids) */
    pgd_buf raw;          /* scratch: what the newest token decoded to */
    uint64_t raw_total;   /* bytes decoded so far */
    uint64_t n_cp;        /* code points decoded so far; includes the echoed prompt */
    api_parser *parser;   /* NULL: the raw text is the text */
    api_pieces pieces;    /* taken apart, not yet sent */
    size_t n_scanned;     /* pieces that were looked at for stop strings and calls, */
    size_t scanned_bytes; /* and bytes: the last piece may have grown since */
    api_stop_scan scan;
    uint32_t n_calls;     /* tool calls that began, */
    uint32_t n_begun;     /* and of these, on the wire */
    uint32_t n_reasoning; /* tokens of reasoning */
    /* Shown tokens that were not sent: [n_sent, n_sent + n_pending). Kept only when logprobs or
     * token ids are wanted. */
    api_pending *pending;
    size_t n_pending, cap_pending;
    uint64_t last_end;  /* where the raw text of token n_sent - 1 ends */
    uint64_t text_end;  /* where that of the last TEXT that was sent ends */
    pgd_finish finish;  /* NONE while open */
    int32_t stop_token; /* user's stop token that ended it, or -1 */
    int32_t stop_index; /* stop string that ended it, or -1 */
    bool opened;        /* its first chunk was sent */
    bool echoed;        /* its prompt was sent (echo) */
    /* Text of a non-streamed answer; logprob fragments, comma separated, of the answer or of the
     * chunk being written (chat uses lp[0]; completions: tokens, values, tops, offsets). */
    pgd_buf answer, lp[4];
    pgd_buf reasoning, calls; /* not streamed: the same for the rest; calls as JSON */
} api_choice;

/* One engine request: one prompt with its n choices. */
typedef struct api_request {
    pgd_request r;
    pgd_call *call;
    pgd_ids prompt;
    pgd_buf echo; /* text of the prompt, when echoed */
    void *logs;   /* memory of the token logs */
    uint32_t first_choice;
    bool inside;   /* submitted and not yet seen on the done stack */
    bool finished; /* its done link was taken: no engine call may name it any more */
} api_request;

typedef struct api_gen {
    bool stream, include_usage, continuous_usage, echo, include_stop, skip_special;
    bool want_logprobs, want_ids, tokens_as_ids, keep_pending;
    uint32_t n_top;
    bool ignored_priority;
    const char *service_tier; /* NULL: not asked */
    bool parse;               /* choices have a parser, made from these */
    bool drop_reasoning;      /* the client does not want it */
    bool one_call;            /* the first call ends the choice */
    bool named_tool;          /* tool_choice names the one to call */
    pgd_grammar *grammar;     /* one reference, of all requests; NULL: free output */
    api_parser_options parsing;
    api_stops stops;
    uint32_t n_user_stop_ids;
    int32_t user_stop_ids[API_MAX_STOP_IDS];
    uint32_t n_requests, n_choices, n_open;
    uint32_t n_submitted; /* requests [0, n_submitted) were handed to the engine */
    api_request *requests;
    api_choice *choices;
    bool began;     /* stream: the role chunks are out */
    pgd_buf prefix; /* stream: start of each chunk up to `"choices":[` */
} api_gen;

/* Why a worker need not go on: the answer is a timeout, or nobody waits for any. */
typedef enum api_give_up { API_GO_ON, API_EXPIRED, API_GONE } api_give_up;

typedef enum api_phase { API_PREP, API_RUN, API_ENDED } api_phase;

struct pgd_call {
    pgd_api *api;
    pgd_api_loop *loop;
    const pgd_api_model *model; /* set when the call was admitted */
    const struct api_wire *wire;
    pgd_route route;
    void *user;
    api_phase phase;
    bool streaming;   /* headers fixed before the end */
    bool with_worker; /* a worker holds it: what prep fills is not ours */
    bool released, counted, backlog, in_changed;
    _Atomic uint32_t give_up; /* api_give_up; also read by the worker, to stop early */
    pgd_job job;
    pgd_link prepared_link;
    pgd_call *live_prev, *live_next; /* live.c; under its lock, like the next four */
    bool is_live, cancel_asked;
    bool is_prepared;      /* the requests are there, and nothing but atomics changes in them */
    bool detached;         /* the client has its answer, the work goes on */
    bool resetting;        /* the engine has what follows */
    pgd_cache_reset reset; /* of the prefix cache; admin.c */
    pgd_call *changed_prev, *changed_next;
    uint64_t begin_ns, deadline_ns, prep_ns, last_out_ns, first_token_ns;
    uint64_t created; /* unix seconds */
    char id[API_ID_BYTES];
    char request_id[API_REQUEST_ID_BYTES];
    bool id_is_ours; /* the client named none in its headers */
    pgd_buf body, tenant;
    bool may_set_priority;

    /* filled by prep */
    pgd_arena *arena;
    pgd_sv model_name;
    api_gen g;
    api_items items;               /* of the answer, where the protocol has items */
    struct api_response *response; /* responses: what its object repeats of the request */
    struct {
        bool base64, mean, raw; /* raw: not scaled to length 1 */
    } embed;                    /* embeddings */
    uint64_t asked_tokens;      /* messages: max_tokens */
    bool background;            /* the client does not wait for the end */
    uint32_t n_inside;

    api_error err;
    int http;
    const char *content_type;
    pgd_buf headers, out;
    size_t mark; /* out up to here is whole events */
};

/* How events of a call become bytes: one for each protocol, streamed or not. All on the loop. */
typedef struct api_wire {
    const char *id_prefix, *object;
    const char *chunk_object; /* NULL: the stream has no chunks of choices */
    /* A worker's: the body as a chat client would have sent it; NULL where it is one as it is. */
    pgd_status (*translate)(pgd_call *c, const pgd_json *body, pgd_buf *out);
    /* The first token is there: what opens the stream. */
    void (*begin)(pgd_call *c);
    /* The prompt as the beginning of the text (echo); NULL where there is no such thing. */
    void (*echo)(pgd_call *c, api_choice *ch);
    /* A piece (or the part of one that `bytes` is) and the tokens [n_sent, to) that go with it;
     * n_sent moves on behind. */
    void (*piece)(pgd_call *c, api_choice *ch, const api_piece *piece, pgd_sv bytes, uint32_t to);
    /* The choice has ended. Tokens [n_sent, to) are shown but brought no more text; token ids go
     * on to n_seen. */
    void (*finish)(pgd_call *c, api_choice *ch, uint32_t to);
    /* Not streamed: the whole answer. */
    void (*answer)(pgd_call *c);
    /* The stream has ended well: what comes behind the last choice. */
    void (*end)(pgd_call *c);
    /* The call fails with c->err: the events that say so if it is streaming, else the body. */
    void (*error)(pgd_call *c);
    /* Streamed, and nothing was sent for a while. */
    void (*keep_alive)(pgd_call *c);
    /* In the background: the answer for now; and what becomes of the end (c->err says how), for
     * which nobody waits. NULL where nothing runs there. */
    void (*accept)(pgd_call *c);
    void (*settle)(pgd_call *c);
} api_wire;
extern const api_wire api_wire_chat, api_wire_completions, api_wire_messages, api_wire_responses,
    api_wire_embeddings;
/* Of a route that a worker serves. */
const api_wire *api_wire_of(pgd_route r);
/* Whether the prompt of the route is a conversation. */
bool api_is_chat(pgd_route r);

/* prep.c: the worker's part of generation and (de)tokenization. Fills the call or c->err. */
void api_prep_run(pgd_call *c);
/* embeddings.c: give the request what the engine needs for one. */
pgd_status api_prep_embedding(pgd_call *c, api_request *q);
/* prep_prompt.c: how many choices a call may have, */
uint32_t api_max_choices(const pgd_call *c);
/* and prompts as token ids, one api_request each. */
pgd_status api_prep_prompts(pgd_call *c, const api_fields *f);
/* Render and tokenize messages (add_generation_prompt and so on from f). */
pgd_status api_encode_chat(pgd_call *c, const api_fields *f, pgd_ids *out);
/* Render alone; fini *out. */
pgd_status api_render_chat(pgd_call *c, const api_fields *f, pgd_rendered *out);
pgd_status api_encode_text(pgd_call *c, pgd_sv text, bool add_special, const char *param,
                           pgd_ids *out);
/* messages_in.c: what a chat client would have sent instead of an Anthropic body; also of
 * count_tokens. */
pgd_status api_messages_to_chat(pgd_call *c, const pgd_json *body, pgd_buf *out);
/* responses_in.c: the same of a Responses body; also of input_tokens. */
pgd_status api_responses_to_chat(pgd_call *c, const pgd_json *body, pgd_buf *out);
/* tokenize.c: on a worker; the answer is written to c->out. */
pgd_status api_run_tokenize(pgd_call *c, const pgd_json *body);
pgd_status api_run_detokenize(pgd_call *c, const pgd_json *body);
/* The prompt of a chat body as text. */
pgd_status api_run_apply_template(pgd_call *c, const pgd_json *body);
/* The number of prompt tokens of a chat body, as the route's protocol says it. */
pgd_status api_run_count(pgd_call *c, const pgd_json *chat);
/* The served name that `name` means (param "model"), or model_not_found. */
pgd_status api_pick_model(const pgd_api_model *m, pgd_sv name, api_error *e);

/* deltas.c: bring a choice up to date with its log; end it. */
void api_choice_pump(pgd_call *c, api_choice *ch);
/* Whether the request needs no engine: nothing is to be generated or scored. */
bool api_request_is_empty(const api_request *q);
void api_choice_fini(api_choice *ch);

/* logprobs.c: append token `t` of the choice (or of its prompt) as logprob fragments to ch->lp. */
void api_logprob_chat(const pgd_call *c, api_choice *ch, uint32_t t);
void api_logprob_legacy(const pgd_call *c, api_choice *ch, uint32_t t, uint64_t begin_cp);
/* All prompt tokens in the legacy form (echo). */
void api_logprob_prompt(const pgd_call *c, api_choice *ch);

/* usage.c */
void api_usage_write(const pgd_call *c, pgd_buf *out);
uint32_t api_prompt_tokens(const pgd_call *c);
uint32_t api_cached_tokens(const pgd_call *c);
uint32_t api_completion_tokens(const pgd_call *c);
uint32_t api_reasoning_tokens(const pgd_call *c);
const char *api_finish_name(const api_choice *ch);
/* The id of a call: what the model called it (the first id_len of bytes), or a new one: prefix and
 * 24 characters, or the form that the model's template takes. JSON-escaped. */
void api_call_id_write(const pgd_call *c, const char *prefix, const api_piece *v, pgd_sv bytes,
                       pgd_buf *out);
/* `null`, the stop string, or the stop token id. */
void api_stop_reason_write(const pgd_call *c, const api_choice *ch, pgd_buf *out);
/* [1,2,3] */
void api_ids_write(const int32_t *ids, size_t n, pgd_buf *out);

/* usage.c: an SSE chunk around one choice object. */
void api_chunk_open(pgd_call *c);
/* prompt: NULL, or prompt_token_ids of the chunk. */
void api_chunk_close(pgd_call *c, const pgd_ids *prompt);
/* The ends of a stream of chunks: usage where it is wanted and [DONE]; an error; a comment. */
void api_chunks_end(pgd_call *c);
void api_chunks_error(pgd_call *c);
void api_comment(pgd_call *c);
/* Start of a non-streamed answer up to `"choices":[`, and its end. */
void api_answer_open(pgd_call *c);
void api_answer_close(pgd_call *c, const pgd_ids *prompt);

/* call.c */
/* n base62 characters (about 6 bits each) and a NUL; n at most 32. */
void api_random_id(char *out, size_t n);
/* Take the client's name of the request if it is 1..128 printable ASCII characters. */
bool api_take_request_id(pgd_call *c, pgd_sv wanted);
void api_call_fix_headers(pgd_call *c, int http, const char *content_type);
/* Close one SSE event written since the last mark: on memory failure the event is undone and the
 * call fails. */
void api_call_event_done(pgd_call *c);
void api_call_fail(pgd_call *c, const api_error *e);
void api_call_end(pgd_call *c);
/* The stream goes out: headers are fixed now. */
void api_call_start_stream(pgd_call *c);
/* Cancel what the engine still holds. */
void api_call_cancel(pgd_call *c, pgd_cancel_reason reason);
/* Choices [first, first + n). */
bool api_call_pump(pgd_call *c, uint32_t first, uint32_t n);
/* Hand the engine more of a batch's requests, as many as it takes now. */
void api_call_submit(pgd_call *c);
void api_call_prepared(pgd_call *c);
void api_call_changed(pgd_call *c);
/* Free when nobody holds it. */
void api_call_collect(pgd_call *c);

/* live.c: the list of calls under way. */
void api_live_add(pgd_call *c);
void api_live_remove(pgd_call *c);
/* api_take_request_id of a call that is in the list. */
bool api_live_rename(pgd_call *c, pgd_sv wanted);
/* Loop: end this call if somebody asked for that; end all of the loop's. */
bool api_live_check(pgd_call *c);
void api_live_drain(pgd_api_loop *l);
/* Loop: the client has its answer, the work goes on. */
void api_live_detach(pgd_call *c);
/* Look at a detached call by the id of its answer, under the list's lock; see may be NULL. Returns
 * whether there is one. What prep has filled and atomics may be read. Any thread. */
bool api_live_see(pgd_api *a, pgd_sv id, pgd_sv tenant, void (*see)(const pgd_call *c, void *ctx),
                  void *ctx);
/* The call has its requests: others may read them. */
void api_live_prepared(pgd_call *c);
/* tenant NULL: whoever's it is. */
void api_answer_cancel(pgd_call *c, pgd_sv id, const pgd_sv *tenant);
/* All calls under way, oldest first, as JSON. */
void api_live_write(pgd_api *a, pgd_buf *out);

/* route.c */
const char *api_route_name(pgd_route r);
/* answers of the small routes; writes c->out and headers. */
void api_route_small(pgd_call *c, const pgd_api_request *rq);
void api_answer_json(pgd_call *c, int http);
/* models.c, admin.c */
void api_models_write(const pgd_api_model *m, pgd_buf *out);
pgd_status api_model_write(const pgd_api_model *m, pgd_sv id, pgd_buf *out, api_error *e);
void api_root_write(const pgd_api *a, pgd_buf *out);
void api_server_info_write(const pgd_api *a, pgd_buf *out);
void api_version_write(pgd_buf *out);
void api_metrics_write(const pgd_api *a, pgd_buf *out);
/* Have the engine forget cached prefixes; the answer comes with a drain. */
void api_answer_reset(pgd_call *c);
void api_resets_drain(pgd_api_loop *l);
/* NULL when the probe passes, else why not. */
const char *api_not_live(const pgd_api *a);
const char *api_not_ready(const pgd_api *a, char text[256]);

/* Admission: PGD_OK, or why no new work is taken now (with retry_after). */
pgd_status api_admit(pgd_api *a, api_error *e);
pgd_status api_overloaded(pgd_api *a, api_error *e);

#endif
