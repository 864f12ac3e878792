/* Streams of the generation routes: whatever a model writes, and however its tokens, the pumps of
 * the loop and the reads of the client interleave, a stream keeps the rules of its wire
 * (sse_fold.c) and folds to the plain answer of the same tokens.
 *
 * Six bytes choose route and options, the rest is the script: each byte is a token of that byte,
 * but for those from OP_FIRST on, which no UTF-8 text has and which steer (ops, below). As in the
 * unit tests' script.c there is no engine: calls are put together as a worker leaves them and their
 * token logs are written here by the engine's rules, since engine and simulator would cost a
 * hundred times the writers that this is about. All from api_prep_run to pgd_call_output is the
 * server's own; tokenizer and template are those of the unit tests.
 *
 * What an error cuts off depends on when it is seen, so answers are compared where none was
 * scripted and no allocation failed; rules of the wire hold always. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "pagoda/mem.h"
#include "sse_fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DATA PGD_SOURCE_DIR "/tests/unit/api/data"

enum { N_VOCAB = 272, EOS = 268, FIRST_WORD = 256, N_BYTES_HEAD = 6, MAX_TOKENS = 200 };
/* The script ends here: more tells nothing new, and costs. */
enum { MAX_SCRIPT = 512 };

/* ops; those with an argument take the next byte */
enum {
    OP_FIRST = 0xF5,
    OP_LOGPROB = 0xF5, /* arg: which value the next tokens have */
    OP_FAIL = 0xF6,    /* arg: allocations of the next pump before one fails */
    OP_REPEAT = 0xF7,  /* arg: the last token comes again as often */
    OP_BYTE = 0xF8,    /* arg: a token of this byte, whatever it is */
    OP_WORD = 0xF9,    /* arg: one of the tokens that are more than a byte, or control tokens */
    OP_PUMP = 0xFA,    /* the loop takes what is logged */
    OP_READ = 0xFB,    /* arg: the client reads so many bytes; 255: all */
    OP_CHOICE = 0xFC,  /* arg: the choice whose tokens follow */
    OP_TICK = 0xFD,    /* time passes: keep-alives */
    OP_END = 0xFE,     /* arg: how the choice, or the request, ends */
    OP_STALL = 0xFF    /* the client has left so much unread that tokens wait in their logs */
};

/* data[1..4] */
enum {
    A_USAGE = 1,
    A_CONTINUOUS = 2,
    A_LOGPROBS = 4,
    A_TOPS = 8,
    A_IDS = 16,
    A_ECHO = 32, /* completions; elsewhere the prompt opens a block of reasoning */
};
enum {
    B_N = 3, /* choices but one */
    B_TOOLS = 4,
    B_KEEP_STOP = 8,
    B_ONE_CALL = 16,
    B_SPECIAL = 32, /* special tokens are shown */
    B_NAMES = 64,   /* tokens by id */
    B_AT_ONCE = 128 /* the plain answer is made in one pump */
};
enum {
    C_DROP_REASONING = 16,
    C_KEEP_REASONING = 32,
    C_MIN_TOKENS = 64,
    C_IGNORE_EOS = 128 /* its low bits: stop strings */
};

static const char *const stop_strings[] = {"\\n\\n", "stop", "\xe2\x80\xa8", "aba"};
static const char *const tool_names[] = {
    "none",    "hermes", "llama3_json", "pythonic", "mistral", "deepseek", "harmony",
    "kimi_k2", "cohere", "granite",     "gigachat", "glm",     "kimi_k3"};
static const char *const think_names[] = {"none", "think",   "mistral", "cohere",
                                          "seed", "harmony", "kimi_k3"};
static const pgd_route routes[] = {PGD_ROUTE_CHAT, PGD_ROUTE_COMPLETIONS, PGD_ROUTE_MESSAGES,
                                   PGD_ROUTE_RESPONSES};
enum { COUNT_TOOLS = 13, COUNT_THINK = 7, COUNT_ROUTES = 4, COUNT_STOPS = 4 };

/* Made once: it is a thousand times the work of a stream. */
typedef struct server {
    uint64_t now_ns;
    pgd_clock clock;
    pgd_api *api;
    pgd_api_loop *loop;
    pgd_model_spec spec;
    pgd_tokenizer *tok;
    pgd_chat *chat;
} server;
static server srv;

static uint64_t now(void *ctx) {
    return *(const uint64_t *)ctx;
}

static void no_wake(void *ctx) {
    (void)ctx;
}

static void start(void) {
    static const char *const names[] = {"m"};
    if (srv.api) return;
    srv.now_ns = 1000000000;
    srv.clock = (pgd_clock){.now_ns = now, .ctx = &srv.now_ns};
    srv.spec = (pgd_model_spec){.vocab_size = N_VOCAB, .eos_ids = {EOS}, .n_eos = 1};
    PGD_ASSERT(pgd_tokenizer_load(DATA "/tokenizer.json", &srv.tok, NULL) == PGD_OK);
    PGD_ASSERT(pgd_chat_load(DATA, NULL, &srv.chat, NULL) == PGD_OK);
    /* no table of responses: what it kept would look like leaks */
    const pgd_api_options opt = {.clock = &srv.clock, .n_workers = 1, .keep_alive_ns = 1};
    const pgd_api_model model = {.tokenizer = srv.tok,
                                 .chat = srv.chat,
                                 .spec = &srv.spec,
                                 .names = names,
                                 .n_names = 1,
                                 .max_model_len = 4096,
                                 .max_logprobs = 20};
    PGD_ASSERT(pgd_api_create(&opt, &srv.api, NULL) == PGD_OK);
    pgd_api_attach(srv.api, &model);
    PGD_ASSERT(pgd_api_loop_create(srv.api, no_wake, NULL, &srv.loop) == PGD_OK);
}

/* ---- the request ---- */

static void put_options(const uint8_t *head, bool chat, pgd_buf *b) {
    const uint8_t a = head[1], o = head[2], s = head[4];
    const bool lp = a & A_LOGPROBS;
    if (lp && !chat) pgd_buf_putf(b, ",\"logprobs\":%d", a & A_TOPS ? 2 : 0);
    if (lp && chat)
        pgd_buf_putf(b,
                     ",\"logprobs\":true,\"top_logprobs\":%d,"
                     "\"include\":[\"message.output_text.logprobs\"]",
                     a & A_TOPS ? 2 : 0);
    if (a & A_IDS) pgd_buf_puts(b, ",\"return_token_ids\":true");
    if (o & B_KEEP_STOP) pgd_buf_puts(b, ",\"include_stop_str_in_output\":true");
    if (o & B_ONE_CALL) pgd_buf_puts(b, ",\"parallel_tool_calls\":false");
    if (o & B_SPECIAL) pgd_buf_puts(b, ",\"skip_special_tokens\":false");
    if (o & B_NAMES) pgd_buf_puts(b, ",\"return_tokens_as_token_ids\":true");
    if (s & C_DROP_REASONING) pgd_buf_puts(b, ",\"include_reasoning\":false");
    if (s & C_KEEP_REASONING) pgd_buf_puts(b, ",\"separate_reasoning\":false");
    if (s & C_MIN_TOKENS) pgd_buf_puts(b, ",\"min_tokens\":3");
    if (s & C_IGNORE_EOS) pgd_buf_puts(b, ",\"ignore_eos\":true");
}

static void put_stops(uint8_t which, const char *key, pgd_buf *b) {
    bool any = false;
    for (size_t i = 0; i < COUNT_STOPS; i++) {
        if (!(which & 1u << i)) continue;
        if (!any) pgd_buf_putf(b, ",\"%s\":[", key);
        pgd_buf_putf(b, "%s\"%s\"", any ? "," : "", stop_strings[i]);
        any = true;
    }
    if (any) pgd_buf_putc(b, ']');
}

static void put_tools(pgd_route route, pgd_buf *b) {
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"s\":{\"type\":\"string\"},"
                                 "\"i\":{\"type\":\"integer\"}}}";
    if (route == PGD_ROUTE_MESSAGES)
        pgd_buf_putf(b, ",\"tools\":[{\"name\":\"f\",\"input_schema\":%s},{\"name\":\"g\"}]",
                     schema);
    else
        pgd_buf_putf(b,
                     ",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":%s},"
                     "{\"type\":\"%s\",\"name\":\"g\"}]",
                     schema, route == PGD_ROUTE_RESPONSES ? "custom" : "function");
}

static void put_body(pgd_route route, const uint8_t *head, bool stream, pgd_buf *b) {
    const bool chat = api_is_chat(route), anthropic = route == PGD_ROUTE_MESSAGES;
    const int max_tokens = head[5] & 1 ? 5 : MAX_TOKENS;
    pgd_buf_putf(b, "{\"model\":\"m\",\"stream\":%s", stream ? "true" : "false");
    if (route == PGD_ROUTE_RESPONSES)
        pgd_buf_putf(b, ",\"input\":\"q\",\"max_output_tokens\":%d", max_tokens);
    else if (chat)
        pgd_buf_putf(b, ",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"max_tokens\":%d",
                     max_tokens);
    else
        pgd_buf_putf(b, ",\"max_tokens\":%d,\"prompt\":%s", head[5] & 2 ? 0 : max_tokens,
                     head[5] & 4 ? "[\"q \\u00e9\",\"p\"]" : "[65,195,169,256]");
    put_options(head, chat, b);
    put_stops(head[4], anthropic ? "stop_sequences" : "stop", b);
    if (route == PGD_ROUTE_CHAT || !chat) pgd_buf_putf(b, ",\"n\":%d", (head[2] & B_N) + 1);
    if (stream && head[1] & A_USAGE)
        pgd_buf_putf(b,
                     ",\"stream_options\":{\"include_usage\":true,"
                     "\"continuous_usage_stats\":%s}",
                     head[1] & A_CONTINUOUS ? "true" : "false");
    if (chat && head[2] & B_TOOLS) put_tools(route, b);
    if (!chat && head[1] & A_ECHO) pgd_buf_puts(b, ",\"echo\":true");
    if (chat && head[1] & A_ECHO)
        pgd_buf_puts(b, ",\"chat_template_kwargs\":{\"enable_thinking\":true}");
    pgd_buf_putc(b, '}');
}

/* ---- the engine's part ---- */

typedef struct run {
    pgd_call *c;
    pgd_buf got;        /* what the client has read */
    size_t n_filler;    /* bytes at the front of the output that stand for what waits there */
    uint32_t i_choice;  /* whose tokens come */
    int32_t last;       /* token */
    uint8_t lp;         /* kind of log-probabilities */
    int64_t fail_after; /* allocations; -1: none fails */
    bool no_memory;     /* one has failed */
    uint32_t n_errors;  /* that the script has */
    bool quiet;         /* not streamed, and all is seen in one pump */
} run;

static float lp_value(const run *r, uint32_t i) {
    const float odd[] = {-0.25f * (float)(i + 1), -INFINITY, NAN, 1.5f, -1e30f, -0.0f};
    return odd[r->lp % (sizeof odd / sizeof odd[0])];
}

static void log_scores(const run *r, const pgd_request *q, pgd_toklog *log, uint32_t i) {
    if (log->logprob) log->logprob[i] = lp_value(r, i);
    for (uint32_t k = 0; log->top && k < q->sampling.n_top; k++)
        log->top[i * q->sampling.n_top + k] =
            (pgd_top){.id = (int32_t)((i * 37 + k * 11 + r->lp) % (N_VOCAB + 1)) - 1,
                      .logprob = lp_value(r, i + k)};
}

static void end_log(pgd_toklog *log, pgd_finish finish, int32_t stop) {
    log->stop_token = stop;
    atomic_store(&log->finish, (uint32_t)finish);
}

/* A token is sampled: the engine's rules of stop ids and lengths. */
static void log_token(run *r, int32_t id) {
    const api_choice *const ch = &r->c->g.choices[r->i_choice];
    const pgd_request *const q = &ch->rq->r;
    pgd_toklog *const log = &q->out[ch->i_log];
    const uint32_t n = atomic_load(&log->len);
    bool stops = false;
    for (uint32_t i = 0; i < q->sampling.n_stop_ids; i++)
        stops = stops || q->sampling.stop_ids[i] == id;
    if (atomic_load(&log->finish) != PGD_FINISH_NONE || q->max_new_tokens == 0) return;
    if (stops && n < q->sampling.min_tokens) return; /* it is masked there */
    log->token[n] = id;
    log_scores(r, q, log, n);
    atomic_store(&log->len, n + 1);
    if (stops)
        end_log(log, PGD_FINISH_STOP, id);
    else if (n + 1 == q->max_new_tokens)
        end_log(log, PGD_FINISH_LENGTH, -1);
    r->last = id;
}

static bool has_ended(const pgd_request *q) {
    for (uint32_t i = 0; i < q->n_choices; i++)
        if (atomic_load(&q->out[i].finish) == PGD_FINISH_NONE) return false;
    return true;
}

static void end_request(run *r, pgd_request *q, pgd_finish finish) {
    for (uint32_t i = 0; i < q->n_choices; i++)
        if (atomic_load(&q->out[i].finish) == PGD_FINISH_NONE) end_log(&q->out[i], finish, -1);
    r->n_errors++;
}

static void cancel_request(run *r, pgd_request *q, pgd_cancel_reason why) {
    atomic_store(&q->cancel, why);
    end_request(r, q, PGD_FINISH_CANCELLED);
}

/* One that has ended stays as it is: what ended it is seen late, or soon, as the pumps come. */
static void end_by(run *r, uint8_t how) {
    api_choice *const ch = &r->c->g.choices[r->i_choice];
    pgd_request *const q = &ch->rq->r;
    pgd_toklog *const log = &q->out[ch->i_log];
    if (how % 5 == 0) {
        log_token(r, EOS);
    } else if (how % 5 == 1) {
        if (atomic_load(&log->finish) == PGD_FINISH_NONE) end_log(log, PGD_FINISH_LENGTH, -1);
    } else if (has_ended(q)) {
        return;
    } else if (how % 5 == 2) {
        (void)snprintf(q->error, sizeof q->error, "device \"0\"\n\ndata: is gone");
        q->error_code = how & 8 ? PGD_E_LIMIT : PGD_OK;
        end_request(r, q, PGD_FINISH_ERROR);
    } else {
        cancel_request(r, q, how % 5 == 3 ? PGD_CANCEL_DEADLINE : PGD_CANCEL_SHUTDOWN);
    }
}

static void log_prompts(const run *r) {
    for (uint32_t i = 0; i < r->c->g.n_requests; i++) {
        const pgd_request *const q = &r->c->g.requests[i].r;
        for (uint32_t k = 0; q->scores && k + 1 < q->n_prompt; k++)
            log_scores(r, q, q->scores, k);
        if (q->scores) atomic_store(&q->scores->len, q->n_prompt - 1);
    }
}

/* ---- the loop's and the client's part ---- */

static void arm(run *r) {
    if (r->fail_after >= 0) (void)pgd_mem_fail_after(r->fail_after);
    r->fail_after = -1;
}

static void disarm(run *r) {
    if (pgd_mem_fail_after(-1)) r->no_memory = true;
}

static void pump(run *r) {
    arm(r);
    (void)api_call_pump(r->c, 0, r->c->g.n_choices);
    disarm(r);
}

/* Filler goes first, and all at once: moving it a little costs as much. */
static void client_reads(run *r, size_t n) {
    arm(r);
    pgd_buf *const out = pgd_call_output(r->c);
    disarm(r);
    const size_t skip = r->n_filler, rest = out->n - skip;
    n = n < rest ? n : rest;
    if (n) pgd_buf_put(&r->got, out->p + skip, n);
    pgd_buf_drop_front(out, skip + n);
    r->n_filler = 0;
}

/* Filler stands for events that nobody has read. */
static void stall(run *r) {
    if (pgd_call_get_state(r->c) != PGD_CALL_STREAMING || r->n_filler) return;
    client_reads(r, SIZE_MAX);
    PGD_ASSERT(pgd_buf_reserve(&r->c->out, API_BACKLOG_BYTES + 2) == PGD_OK);
    r->n_filler = r->c->out.n = API_BACKLOG_BYTES + 1;
}

static void steer(run *r, uint8_t op, uint8_t arg) {
    switch (op) {
    case OP_LOGPROB:
        r->lp = arg;
        break;
    case OP_FAIL:
        r->fail_after = arg;
        break;
    case OP_REPEAT:
        for (; arg; arg--)
            log_token(r, r->last);
        break;
    case OP_BYTE:
        log_token(r, arg);
        break;
    case OP_WORD:
        log_token(r, FIRST_WORD + arg % (N_VOCAB - FIRST_WORD));
        break;
    case OP_PUMP:
        if (!r->quiet) pump(r);
        break;
    case OP_READ:
        if (r->c->g.stream) client_reads(r, arg == 255 ? SIZE_MAX : arg);
        break;
    case OP_CHOICE:
        r->i_choice = arg % r->c->g.n_choices;
        break;
    case OP_TICK:
        srv.now_ns += 1000;
        (void)pgd_call_tick(r->c);
        break;
    case OP_END:
        end_by(r, arg);
        break;
    case OP_STALL:
        stall(r);
        break;
    default:
        break;
    }
}

static bool has_argument(uint8_t op) {
    return op >= OP_FIRST && op != OP_PUMP && op != OP_TICK && op != OP_STALL;
}

static void finish(run *r) {
    for (r->i_choice = 0; r->i_choice < r->c->g.n_choices; r->i_choice++) {
        end_by(r, 0);
        end_by(r, 1); /* where no end token may come */
    }
    pump(r);
    while (r->c->phase != API_ENDED) {
        const size_t before = r->c->out.n;
        client_reads(r, API_COALESCE_BYTES);
        PGD_ASSERT(before || r->c->phase == API_ENDED || r->c->out.n);
    }
    client_reads(r, SIZE_MAX);
    PGD_ASSERT(!r->c->out.n && !r->n_filler && !r->c->out.failed);
    PGD_ASSERT(pgd_call_get_state(r->c) == PGD_CALL_DONE);
}

/* The call as prep leaves it. NULL: its request is refused. */
static pgd_call *make_call(pgd_route route, const uint8_t *head, bool stream) {
    pgd_call *c = pgd_calloc(1, sizeof *c);
    PGD_ASSERT(c);
    c->api = srv.api;
    c->loop = srv.loop;
    c->model = &srv.api->model_data;
    c->route = route;
    c->wire = api_wire_of(route);
    c->begin_ns = srv.now_ns;
    c->created = 1700000000;
    (void)snprintf(c->id, sizeof c->id, "%s1", c->wire->id_prefix);
    (void)snprintf(c->request_id, sizeof c->request_id, "req_1");
    put_body(route, head, stream, &c->body);
    api_prep_run(c);
    c->g.n_submitted = c->g.n_requests; /* and the engine will not hear of it */
    if (c->err.status == PGD_OK) {
        c->phase = API_RUN;
        return c;
    }
    c->phase = API_ENDED;
    pgd_call_release(&c);
    return NULL;
}

/* Play the script; what the client gets is folded. False: the request was refused. */
static bool play(sse_asked *asked, const uint8_t *data, size_t size, bool stream, run *r,
                 sse_fold *out) {
    *r = (run){.c = make_call(asked->route, data, stream), .last = 'a', .fail_after = -1};
    if (!r->c) return false;
    r->quiet = !stream && data[2] & B_AT_ONCE;
    log_prompts(r);
    for (size_t i = N_BYTES_HEAD; i < size; i++) {
        const uint8_t b = data[i];
        const uint8_t arg = has_argument(b) && i + 1 < size ? data[++i] : 0;
        if (b < OP_FIRST)
            log_token(r, b);
        else
            steer(r, b, arg);
    }
    finish(r);
    asked->n_choices = r->c->g.n_choices;
    asked->no_memory = r->no_memory;
    PGD_ASSERT(stream ? pgd_call_http_status(r->c) == 200 || r->c->err.status : r->c->http >= 200);
    if (r->c->streaming)
        sse_fold_stream(asked, pgd_buf_sv(&r->got), out);
    else if (r->got.n || !r->no_memory)
        sse_fold_answer(asked, pgd_buf_sv(&r->got), out);
    pgd_buf_fini(&r->got);
    pgd_call_release(&r->c);
    return true;
}

static void same(const pgd_buf *streamed, const pgd_buf *plain) {
    const bool equal = pgd_sv_eq(pgd_buf_sv(streamed), pgd_buf_sv(plain));
    if (!equal) (void)fprintf(stderr, "streamed: %s\nplain: %s\n", streamed->p, plain->p);
    PGD_ASSERT(equal);
}

static void compare(const sse_fold *a, const sse_fold *b) {
    same(&a->text, &b->text);
    if (a->usage.n && b->usage.n) same(&a->usage, &b->usage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < N_BYTES_HEAD) return 0;
    if (size > MAX_SCRIPT) size = MAX_SCRIPT;
    start();
    PGD_ASSERT(api_formats_pick(NULL, tool_names[data[3] % COUNT_TOOLS],
                                think_names[data[3] / COUNT_TOOLS % COUNT_THINK], &srv.api->formats,
                                NULL) == PGD_OK);
    sse_asked asked = {.route = routes[(uint8_t)(data[0] - '0') % COUNT_ROUTES],
                       .usage = data[1] & A_USAGE,
                       .continuous = data[1] & A_CONTINUOUS};
    run r;
    sse_fold streamed = {0}, plain = {0};
    if (play(&asked, data, size, true, &r, &streamed)) {
        bool whole = !r.no_memory;
        PGD_ASSERT(play(&asked, data, size, false, &r, &plain));
        whole = whole && !r.no_memory;
        const bool well = streamed.ended && plain.ended && !streamed.error.n && !plain.error.n;
        PGD_ASSERT(well || r.n_errors || !whole);
        if (well && whole && !r.n_errors) compare(&streamed, &plain);
        if (whole && r.n_errors == 1 && streamed.error.n && plain.error.n)
            same(&streamed.error, &plain.error);
    }
    sse_fold_fini(&streamed);
    sse_fold_fini(&plain);
    return 0;
}
