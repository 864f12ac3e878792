/* See sse_fold.h. Each event is split off by its blank line, is one data line (with its name in
 * front where the protocol names events), has no control character but the line ends, and is JSON
 * to the server's own validator, which is stricter than RFC 8259.
 *
 * Rules of a protocol are states of `reader`: chunks (chat, completions) keep a record a choice,
 * blocks (messages) and items (responses) have one open at most. Where the writer gives up for want
 * of memory an event may be missing between two others: then only the framing, the order of starts
 * and ends, and silence behind the end are asserted. */
#include "sse_fold.h"

#include <string.h>

#include "pagoda/jsonw.h"
#include "sse_json.h"

enum { MAX_CHOICES = 16, LP_PARTS = 4 };

typedef struct choice {
    bool seen, finished;
    int64_t n_calls;
    pgd_buf text, reasoning, calls, ids, prompt_ids, lp[LP_PARTS], end;
} choice;

typedef struct reader {
    const sse_asked *a;
    sse_fold *out;
    size_t n_events;
    bool had_usage, failed;
    choice choice[MAX_CHOICES]; /* chunks */
    int64_t completion_tokens;  /* chunks: of the last usage */
    pgd_buf id;                 /* of the answer */
    bool open, signed_;         /* a block or item; a block of thinking has its signature */
    int64_t n_done;             /* blocks or items that were closed */
    bool message_ended;         /* messages: message_delta was there */
    int64_t sequence;           /* responses: the next number */
    pgd_buf kind, item;         /* of what is open: its type, and its id */
    pgd_buf part, lp;           /* of what is open: joined deltas, and their logprobs */
} reader;

static void same_or_set(pgd_buf *b, pgd_sv now) {
    PGD_ASSERT(now.n > 0);
    if (!b->n) pgd_buf_putsv(b, now);
    PGD_ASSERT(pgd_sv_eq(pgd_buf_sv(b), now));
}

static void put_part(pgd_buf *out, const char *name, const pgd_buf *b) {
    pgd_buf_putf(out, "%s=", name);
    pgd_json_escape(out, pgd_buf_sv(b));
    pgd_buf_putc(out, '\n');
}

/* ---- chat and completions ---- */

static bool is_chat(const reader *r) {
    return r->a->route == PGD_ROUTE_CHAT;
}

static choice *choice_of(reader *r, const pgd_json *v) {
    const int64_t i = node_int_at(v, "index");
    PGD_ASSERT(i >= 0 && i < r->a->n_choices && i < MAX_CHOICES);
    choice *const ch = &r->choice[i];
    PGD_ASSERT(!ch->finished);
    return ch;
}

/* What a chunk's choice and an answer's have alike. */
static void take_common(reader *r, choice *ch, const pgd_json *v) {
    static const char *const keys[LP_PARTS] = {"tokens", "token_logprobs", "top_logprobs",
                                               "text_offset"};
    const pgd_json *const lp = node_at(v, "logprobs"), *const ids = pgd_json_get(v, "token_ids");
    const pgd_json *const prompt = pgd_json_get(v, "prompt_token_ids");
    if (!pgd_json_is_null(lp) && is_chat(r)) node_put_members(&ch->lp[0], node_at(lp, "content"));
    for (size_t i = 0; i < LP_PARTS && !pgd_json_is_null(lp) && !is_chat(r); i++) {
        node_put_members(&ch->lp[i], node_at(lp, keys[i]));
        PGD_ASSERT(pgd_json_count(node_at(lp, keys[i])) == pgd_json_count(node_at(lp, keys[0])));
    }
    if (ids) node_put_members(&ch->ids, ids);
    if (prompt) {
        PGD_ASSERT(!ch->prompt_ids.n);
        node_put(&ch->prompt_ids, prompt);
    }
    if (pgd_json_is_null(node_at(v, "finish_reason"))) return;
    const pgd_sv why = node_str_at(v, "finish_reason");
    PGD_ASSERT(sv_is(why, "stop") || sv_is(why, "length") || sv_is(why, "tool_calls"));
    ch->finished = true;
    node_put(&ch->end, node_at(v, "finish_reason"));
    node_put(&ch->end, node_at(v, "stop_reason"));
}

static void take_reasoning(choice *ch, const pgd_json *v) {
    if (!pgd_json_get(v, "reasoning") && !pgd_json_get(v, "reasoning_content")) return;
    PGD_ASSERT(pgd_sv_eq(node_str_at(v, "reasoning"), node_str_at(v, "reasoning_content")));
    pgd_buf_putsv(&ch->reasoning, node_str_at(v, "reasoning"));
}

static void begin_call(choice *ch, const pgd_json *call) {
    PGD_ASSERT(node_str_at(call, "id").n > 0 && sv_is(node_str_at(call, "type"), "function"));
    const pgd_sv name = node_str_at(node_at(call, "function"), "name");
    PGD_ASSERT(name.n > 0);
    ch->n_calls++;
    pgd_buf_puts(&ch->calls, "\ncall ");
    pgd_buf_putsv(&ch->calls, name);
    pgd_buf_putc(&ch->calls, ' ');
    pgd_buf_putsv(&ch->calls, node_str_at(node_at(call, "function"), "arguments"));
}

static void take_call_delta(const reader *r, choice *ch, const pgd_json *calls) {
    const pgd_json *const call = pgd_json_first(calls);
    PGD_ASSERT(pgd_json_count(calls) == 1);
    const int64_t i = node_int_at(call, "index");
    if (pgd_json_get(call, "id")) {
        PGD_ASSERT(i == ch->n_calls && !node_str_at(node_at(call, "function"), "arguments").n);
        begin_call(ch, call);
        return;
    }
    PGD_ASSERT(i == ch->n_calls - 1 || r->a->no_memory);
    PGD_ASSERT(!pgd_json_get(node_at(call, "function"), "name"));
    pgd_buf_putsv(&ch->calls, node_str_at(node_at(call, "function"), "arguments"));
}

static void take_delta(const reader *r, choice *ch, const pgd_json *delta) {
    const pgd_json *const role = pgd_json_get(delta, "role"), *const content =
                                                                  pgd_json_get(delta, "content");
    PGD_ASSERT(ch->seen == !role); /* once, and first */
    if (role) PGD_ASSERT(sv_is(node_str(role), "assistant") && !node_str_at(delta, "content").n);
    if (!role && !ch->finished)
        PGD_ASSERT(pgd_json_count(delta) == (pgd_json_get(delta, "reasoning") ? 2 : 1));
    if (ch->finished) PGD_ASSERT(!pgd_json_count(delta));
    if (content) pgd_buf_putsv(&ch->text, node_str(content));
    take_reasoning(ch, delta);
    if (pgd_json_get(delta, "tool_calls")) take_call_delta(r, ch, node_at(delta, "tool_calls"));
}

static void take_usage(reader *r, const pgd_json *usage) {
    const int64_t n = node_int_at(usage, "completion_tokens");
    PGD_ASSERT(n >= r->completion_tokens);
    PGD_ASSERT(node_int_at(usage, "total_tokens") == n + node_int_at(usage, "prompt_tokens"));
    r->completion_tokens = n;
}

static void check_chunk_usage(reader *r, const pgd_json *v, bool last) {
    const pgd_json *const usage = pgd_json_get(v, "usage");
    PGD_ASSERT(!r->a->usage == !usage && !r->had_usage);
    if (!last) {
        if (usage) PGD_ASSERT(pgd_json_is_null(usage) == !r->a->continuous);
        if (!pgd_json_is_null(usage)) take_usage(r, usage);
        return;
    }
    PGD_ASSERT(r->a->usage);
    for (uint32_t i = 0; i < r->a->n_choices; i++)
        PGD_ASSERT(r->choice[i].finished);
    take_usage(r, usage);
    node_put(&r->out->usage, usage);
    r->had_usage = true;
}

/* Choices announce themselves in the order of their indexes. */
static void check_order(const reader *r, const choice *ch) {
    for (const choice *c = r->choice; c < ch; c++)
        PGD_ASSERT(c->seen);
}

static void take_chunk(reader *r, const pgd_json *v) {
    const pgd_json *const error = pgd_json_get(v, "error");
    PGD_ASSERT(!r->failed);
    if (error) {
        PGD_ASSERT(pgd_json_count(v) == 1 && node_str_at(error, "type").n &&
                   node_at(error, "code"));
        pgd_buf_putsv(&r->out->error, node_str_at(error, "message"));
        r->failed = true;
        return;
    }
    same_or_set(&r->id, node_str_at(v, "id"));
    PGD_ASSERT(
        sv_is(node_str_at(v, "object"), is_chat(r) ? "chat.completion.chunk" : "text_completion"));
    PGD_ASSERT(node_int_at(v, "created") > 0 && node_str_at(v, "model").n > 0);
    const pgd_json *const choices = node_at(v, "choices");
    PGD_ASSERT(pgd_json_count(choices) <= 1);
    const pgd_json *const c = pgd_json_first(choices);
    check_chunk_usage(r, v, !c);
    if (!c) return;
    choice *const ch = choice_of(r, c);
    if (is_chat(r)) check_order(r, ch);
    if (pgd_json_get(v, "prompt_token_ids")) {
        PGD_ASSERT(ch == r->choice && !ch->seen);
        node_put(&ch->prompt_ids, node_at(v, "prompt_token_ids"));
    }
    take_common(r, ch, c);
    if (is_chat(r))
        take_delta(r, ch, node_at(c, "delta"));
    else
        pgd_buf_putsv(&ch->text, node_str_at(c, "text"));
    ch->seen = true;
}

static void put_choices(reader *r) {
    for (uint32_t i = 0; i < r->a->n_choices; i++) {
        const choice *const ch = &r->choice[i];
        pgd_buf *const b = &r->out->text;
        PGD_ASSERT(ch->finished || r->failed || r->a->no_memory);
        pgd_buf_putf(b, "choice %u\n", i);
        put_part(b, "text", &ch->text);
        put_part(b, "reasoning", &ch->reasoning);
        put_part(b, "calls", &ch->calls);
        put_part(b, "ids", &ch->ids);
        put_part(b, "prompt_ids", &ch->prompt_ids);
        for (size_t k = 0; k < LP_PARTS; k++)
            put_part(b, "logprobs", &ch->lp[k]);
        put_part(b, "end", &ch->end);
    }
}

static void take_choices(reader *r, const pgd_json *v) {
    PGD_ASSERT(pgd_json_count(node_at(v, "choices")) == r->a->n_choices);
    for (const pgd_json *c = pgd_json_first(node_at(v, "choices")); c; c = pgd_json_next(c)) {
        choice *const ch = choice_of(r, c);
        const pgd_json *const message = is_chat(r) ? node_at(c, "message") : c;
        const pgd_json *const text = node_at(message, is_chat(r) ? "content" : "text");
        take_common(r, ch, c);
        PGD_ASSERT(ch->finished);
        if (!pgd_json_is_null(text)) pgd_buf_putsv(&ch->text, node_str(text));
        take_reasoning(ch, message);
        const pgd_json *k = pgd_json_first(pgd_json_get(message, "tool_calls"));
        for (; k; k = pgd_json_next(k))
            begin_call(ch, k);
    }
    if (pgd_json_get(v, "prompt_token_ids"))
        node_put(&r->choice[0].prompt_ids, node_at(v, "prompt_token_ids"));
    node_put(&r->out->usage, node_at(v, "usage"));
    put_choices(r);
}

/* ---- messages ---- */

static void put_block_head(pgd_buf *b, const pgd_json *block) {
    pgd_buf_putsv(b, node_str_at(block, "type"));
    if (!sv_is(node_str_at(block, "type"), "tool_use")) return;
    PGD_ASSERT(node_str_at(block, "id").n > 0);
    pgd_buf_putc(b, ' ');
    pgd_buf_putsv(b, node_str_at(block, "name"));
}

static void open_block(reader *r, const pgd_json *e) {
    const pgd_json *const block = node_at(e, "content_block");
    PGD_ASSERT(!r->open && !r->message_ended && node_int_at(e, "index") == r->n_done);
    r->open = true;
    r->signed_ = false;
    pgd_buf_clear(&r->part);
    pgd_buf_clear(&r->kind);
    pgd_buf_putsv(&r->kind, node_str_at(block, "type"));
    put_block_head(&r->out->text, block);
}

static void more_of_block(reader *r, const pgd_json *e) {
    static const char *const forms[][3] = {{"text_delta", "text", "text"},
                                           {"thinking_delta", "thinking", "thinking"},
                                           {"input_json_delta", "partial_json", "tool_use"}};
    const pgd_json *const d = node_at(e, "delta");
    PGD_ASSERT(r->open && node_int_at(e, "index") == r->n_done && !r->signed_);
    if (sv_is(node_str_at(d, "type"), "signature_delta")) {
        PGD_ASSERT(sv_is(pgd_buf_sv(&r->kind), "thinking") && node_str_at(d, "signature").n > 0);
        r->signed_ = true;
        return;
    }
    size_t i = 0;
    while (i < 3 && !sv_is(node_str_at(d, "type"), forms[i][0]))
        i++;
    PGD_ASSERT(i < 3 && sv_is(pgd_buf_sv(&r->kind), forms[i][2]) &&
               node_str_at(d, forms[i][1]).n > 0);
    pgd_buf_putsv(&r->part, node_str_at(d, forms[i][1]));
}

static void put_input(pgd_buf *b, pgd_sv text);

/* A call's input: an object, or {"raw": …} around a text that is the beginning of one. */
static void put_input_node(pgd_buf *b, const pgd_json *input) {
    pgd_sv raw;
    PGD_ASSERT(pgd_json_typeof(input) == PGD_JSON_OBJECT);
    if (pgd_json_count(input) == 1 && pgd_json_as_str(pgd_json_get(input, "raw"), &raw))
        put_input(b, raw);
    else if (pgd_json_first(input))
        node_put(b, input);
}

static void put_input(pgd_buf *b, pgd_sv text) {
    pgd_json_doc *doc = node_parse(text, false);
    if (doc && pgd_json_typeof(pgd_json_root(doc)) == PGD_JSON_OBJECT)
        put_input_node(b, pgd_json_root(doc));
    else
        pgd_json_escape(b, text);
    pgd_json_free(&doc);
}

static void put_block_body(pgd_buf *b, bool call, pgd_sv text) {
    pgd_buf_putc(b, ':');
    if (call)
        put_input(b, text);
    else
        pgd_json_escape(b, text);
    pgd_buf_putc(b, '\n');
}

static void close_block(reader *r, const pgd_json *e) {
    const bool thinking = sv_is(pgd_buf_sv(&r->kind), "thinking");
    PGD_ASSERT(r->open && node_int_at(e, "index") == r->n_done && r->signed_ == thinking);
    put_block_body(&r->out->text, sv_is(pgd_buf_sv(&r->kind), "tool_use"), pgd_buf_sv(&r->part));
    r->open = false;
    r->n_done++;
}

static void put_message_end(reader *r, const pgd_json *delta, const pgd_json *usage) {
    node_put(&r->out->text, node_at(delta, "stop_reason"));
    node_put(&r->out->text, node_at(delta, "stop_sequence"));
    node_put(&r->out->usage, usage);
}

static void take_message_event(reader *r, const pgd_json *e) {
    const pgd_sv type = node_str_at(e, "type");
    PGD_ASSERT(!r->failed);
    if (sv_is(type, "error")) {
        pgd_buf_putsv(&r->out->error, node_str_at(node_at(e, "error"), "message"));
        r->failed = r->out->ended = true;
    } else if (r->n_events == 0) {
        const pgd_json *const m = node_at(e, "message");
        PGD_ASSERT(sv_is(type, "message_start") && !pgd_json_count(node_at(m, "content")));
        PGD_ASSERT(sv_is(node_str_at(m, "role"), "assistant") && node_str_at(m, "id").n > 0);
    } else if (sv_is(type, "content_block_start")) {
        open_block(r, e);
    } else if (sv_is(type, "content_block_delta")) {
        more_of_block(r, e);
    } else if (sv_is(type, "content_block_stop")) {
        close_block(r, e);
    } else if (sv_is(type, "message_delta")) {
        PGD_ASSERT(!r->open && !r->message_ended);
        r->message_ended = true;
        put_message_end(r, node_at(e, "delta"), node_at(e, "usage"));
    } else if (sv_is(type, "message_stop")) {
        PGD_ASSERT(r->message_ended);
        r->out->ended = true;
    } else {
        PGD_ASSERT(sv_is(type, "ping"));
    }
}

static void take_message(reader *r, const pgd_json *v) {
    PGD_ASSERT(sv_is(node_str_at(v, "type"), "message") &&
               sv_is(node_str_at(v, "role"), "assistant"));
    for (const pgd_json *b = pgd_json_first(node_at(v, "content")); b; b = pgd_json_next(b)) {
        const pgd_sv type = node_str_at(b, "type");
        pgd_buf *const out = &r->out->text;
        put_block_head(out, b);
        if (sv_is(type, "tool_use")) {
            pgd_buf_putc(out, ':');
            put_input_node(out, node_at(b, "input"));
            pgd_buf_putc(out, '\n');
        } else {
            const bool thinking = sv_is(type, "thinking");
            PGD_ASSERT(thinking ? node_str_at(b, "signature").n > 0 : sv_is(type, "text"));
            put_block_body(out, false, node_str_at(b, thinking ? "thinking" : "text"));
        }
    }
    put_message_end(r, v, node_at(v, "usage"));
}

/* ---- responses ---- */

/* An item without the ids, which differ from answer to answer. */
static void put_item(pgd_buf *b, const pgd_json *item) {
    const bool call = pgd_json_get(item, "call_id");
    PGD_ASSERT(node_str_at(item, "id").n > 0 && (!call || node_str_at(item, "call_id").n > 0));
    for (const pgd_json *m = pgd_json_first(item); m; m = pgd_json_next(m)) {
        const char *const key = pgd_json_key(m);
        if (strcmp(key, "id") == 0 || strcmp(key, "call_id") == 0) continue;
        pgd_buf_putf(b, "%s=", key);
        node_put(b, m);
        pgd_buf_putc(b, ' ');
    }
    pgd_buf_putc(b, '\n');
}

static void put_response(reader *r, const pgd_json *response, pgd_buf *items) {
    const pgd_json *const error = node_at(response, "error");
    const pgd_sv status = node_str_at(response, "status");
    for (const pgd_json *i = pgd_json_first(node_at(response, "output")); i; i = pgd_json_next(i))
        put_item(items, i);
    r->failed = !pgd_json_is_null(error);
    PGD_ASSERT(r->failed == (sv_is(status, "failed") || sv_is(status, "cancelled")));
    PGD_ASSERT(sv_is(status, "incomplete") ==
               !pgd_json_is_null(node_at(response, "incomplete_details")));
    if (r->failed) pgd_buf_putsv(&r->out->error, node_str_at(error, "message"));
    node_put(&r->out->usage, node_at(response, "usage"));
}

static void end_response(reader *r, const pgd_json *e) {
    const pgd_json *const response = node_at(e, "response");
    pgd_buf items = {0};
    put_response(r, response, &items);
    pgd_sv type = node_str_at(e, "type"), status = node_str_at(response, "status");
    if (sv_is(status, "cancelled")) status = PGD_SV("failed");
    PGD_ASSERT(pgd_sv_starts(type, PGD_SV("response.")) && pgd_sv_ends(type, status));
    PGD_ASSERT(r->failed || !r->open);
    PGD_ASSERT(r->failed || pgd_sv_eq(pgd_buf_sv(&items), pgd_buf_sv(&r->out->text)));
    node_put(&r->out->text, node_at(response, "status"));
    pgd_buf_fini(&items);
    r->out->ended = true;
}

static void open_item(reader *r, const pgd_json *e) {
    const pgd_json *const item = node_at(e, "item");
    PGD_ASSERT(!r->open && sv_is(node_str_at(item, "status"), "in_progress"));
    r->open = true;
    pgd_buf_clear(&r->part);
    pgd_buf_clear(&r->lp);
    pgd_buf_clear(&r->item);
    pgd_buf_putsv(&r->item, node_str_at(item, "id"));
}

static void close_item(reader *r, const pgd_json *e) {
    PGD_ASSERT(r->open && pgd_sv_eq(node_str_at(node_at(e, "item"), "id"), pgd_buf_sv(&r->item)));
    put_item(&r->out->text, node_at(e, "item"));
    r->open = false;
    r->n_done++;
}

/* A delta, or an event that repeats what the deltas were. */
static void more_of_item(reader *r, const pgd_json *e) {
    const pgd_sv type = node_str_at(e, "type");
    PGD_ASSERT(r->open && pgd_sv_eq(node_str_at(e, "item_id"), pgd_buf_sv(&r->item)));
    if (pgd_sv_ends(type, PGD_SV(".delta"))) {
        pgd_buf_putsv(&r->part, node_str_at(e, "delta"));
        if (pgd_json_get(e, "logprobs")) node_put_members(&r->lp, node_at(e, "logprobs"));
        return;
    }
    static const char *const keys[] = {"text", "arguments", "input"};
    const pgd_json *const of = pgd_json_get(e, "part") ? node_at(e, "part") : e;
    if (pgd_sv_ends(type, PGD_SV("content_part.added"))) {
        PGD_ASSERT(!node_str_at(of, "text").n);
        return;
    }
    size_t i = 0;
    while (i < 3 && !pgd_json_get(of, keys[i]))
        i++;
    PGD_ASSERT(i < 3 && pgd_sv_ends(type, PGD_SV(".done")));
    if (r->a->no_memory) return;
    PGD_ASSERT(pgd_sv_eq(node_str_at(of, keys[i]), pgd_buf_sv(&r->part)));
    if (!pgd_json_get(of, "logprobs")) return;
    pgd_buf lp = {0};
    node_put_members(&lp, node_at(of, "logprobs"));
    PGD_ASSERT(pgd_sv_eq(pgd_buf_sv(&lp), pgd_buf_sv(&r->lp)));
    pgd_buf_fini(&lp);
}

static void take_response_event(reader *r, const pgd_json *e) {
    static const char *const first[] = {"response.created", "response.in_progress"};
    const pgd_sv type = node_str_at(e, "type");
    const int64_t number = node_int_at(e, "sequence_number");
    PGD_ASSERT(number == r->sequence || (r->a->no_memory && number > r->sequence));
    r->sequence = number + 1;
    const pgd_json *const response = pgd_json_get(e, "response");
    if (response) same_or_set(&r->id, node_str_at(response, "id"));
    if (r->n_events < 2) {
        PGD_ASSERT(sv_is(type, first[r->n_events]) &&
                   sv_is(node_str_at(response, "status"), "in_progress"));
        return;
    }
    if (response) {
        end_response(r, e);
        return;
    }
    PGD_ASSERT(node_int_at(e, "output_index") == r->n_done);
    if (pgd_sv_ends(type, PGD_SV("output_item.added")))
        open_item(r, e);
    else if (pgd_sv_ends(type, PGD_SV("output_item.done")))
        close_item(r, e);
    else
        more_of_item(r, e);
}

/* ---- bytes ---- */

static bool is_named(const sse_asked *a) {
    return a->route == PGD_ROUTE_MESSAGES || a->route == PGD_ROUTE_RESPONSES;
}

/* Take `prefix` and the rest of its line off the front of an event. */
static pgd_sv line_of(pgd_sv *event, pgd_sv prefix) {
    pgd_sv line = {event->p, event->n};
    PGD_ASSERT(pgd_sv_cut(event, PGD_SV("\n"), &line));
    PGD_ASSERT(pgd_sv_starts(line, prefix) && line.n > prefix.n);
    return (pgd_sv){line.p + prefix.n, line.n - prefix.n};
}

static void take_event(reader *r, pgd_sv event) {
    pgd_sv name = {"", 0};
    PGD_ASSERT(!r->out->ended); /* nothing comes behind the end */
    for (size_t i = 0; i < event.n; i++)
        PGD_ASSERT((uint8_t)event.p[i] >= 0x20 || event.p[i] == '\n');
    PGD_ASSERT(pgd_utf8_valid_prefix(event.p, event.n) == event.n);
    if (pgd_sv_starts(event, PGD_SV(":"))) {
        PGD_ASSERT(pgd_sv_find(event, PGD_SV("\n"), 0) == SIZE_MAX);
        return;
    }
    if (is_named(r->a)) name = line_of(&event, PGD_SV("event: "));
    const pgd_sv data = line_of(&event, PGD_SV("data: "));
    PGD_ASSERT(!event.n);
    if (!is_named(r->a) && sv_is(data, "[DONE]")) {
        r->out->ended = true;
        return;
    }
    pgd_json_doc *doc = node_parse(data, true);
    const pgd_json *const v = pgd_json_root(doc);
    if (name.n) PGD_ASSERT(pgd_sv_eq(name, node_str_at(v, "type")));
    if (r->a->route == PGD_ROUTE_MESSAGES)
        take_message_event(r, v);
    else if (r->a->route == PGD_ROUTE_RESPONSES)
        take_response_event(r, v);
    else
        take_chunk(r, v);
    pgd_json_free(&doc);
    r->n_events++;
}

static void reader_fini(reader *r) {
    for (size_t i = 0; i < MAX_CHOICES; i++) {
        choice *const ch = &r->choice[i];
        pgd_buf *const b[] = {&ch->text, &ch->reasoning,  &ch->calls,
                              &ch->ids,  &ch->prompt_ids, &ch->end};
        for (size_t k = 0; k < sizeof b / sizeof b[0]; k++)
            pgd_buf_fini(b[k]);
        for (size_t k = 0; k < LP_PARTS; k++)
            pgd_buf_fini(&ch->lp[k]);
    }
    pgd_buf *const b[] = {&r->id, &r->kind, &r->item, &r->part, &r->lp};
    for (size_t k = 0; k < sizeof b / sizeof b[0]; k++)
        pgd_buf_fini(b[k]);
}

void sse_fold_stream(const sse_asked *a, pgd_sv bytes, sse_fold *out) {
    reader r = {.a = a, .out = out};
    pgd_sv event;
    while (bytes.n) {
        const size_t end = pgd_sv_find(bytes, PGD_SV("\n\n"), 0);
        PGD_ASSERT(end != SIZE_MAX && end > 0); /* the blank line */
        event = (pgd_sv){bytes.p, end};
        take_event(&r, event);
        bytes = (pgd_sv){bytes.p + end + 2, bytes.n - end - 2};
    }
    PGD_ASSERT(out->ended || a->no_memory);
    if (!is_named(a)) put_choices(&r);
    if (!is_named(a) && out->ended && !r.failed) PGD_ASSERT(a->usage == r.had_usage);
    reader_fini(&r);
}

void sse_fold_answer(const sse_asked *a, pgd_sv json, sse_fold *out) {
    reader r = {.a = a, .out = out};
    pgd_json_doc *doc = node_parse(json, true);
    const pgd_json *const v = pgd_json_root(doc);
    const pgd_json *const error = pgd_json_get(v, "error");
    out->ended = true;
    if (!pgd_json_is_null(error)) {
        pgd_buf_putsv(&out->error, node_str_at(error, "message"));
    } else if (a->route == PGD_ROUTE_MESSAGES) {
        take_message(&r, v);
    } else if (a->route == PGD_ROUTE_RESPONSES) {
        put_response(&r, v, &out->text);
        node_put(&out->text, node_at(v, "status"));
    } else {
        take_choices(&r, v);
    }
    pgd_json_free(&doc);
    reader_fini(&r);
}

void sse_fold_fini(sse_fold *f) {
    pgd_buf_fini(&f->text);
    pgd_buf_fini(&f->usage);
    pgd_buf_fini(&f->error);
}
