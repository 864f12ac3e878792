/* The wire of /v1/responses: typed events with rising numbers, each item announced, filled and
 * closed before the next one begins.
 *
 *   response.created, response.in_progress,
 *   output_item.added, content_part.added, …delta …, …done, content_part.done, output_item.done, …
 *   response.completed | response.incomplete | response.failed
 *
 * The last event repeats all items; clients' helpers return what stands there. The text of calls to
 * custom tools comes in one delta, since it is a JSON string on the way from the model. After the
 * headers an error is response.failed, as clients expect it. Thread: loop. */
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "pagoda/jsonw.h"
#include "response_out.h"

static void open_event(pgd_call *c, const char *type) {
    pgd_buf_putf(&c->out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%llu", type, type,
                 (unsigned long long)c->response->seq++);
}

static void close_event(pgd_call *c) {
    pgd_buf_puts(&c->out, "}\n\n");
    api_call_event_done(c);
}

/* The events that open a stream; the caller closes them. */
static void put_begin(pgd_call *c) {
    static const char *const types[] = {"response.created", "response.in_progress"};
    c->response->seq = 0; /* those of a first try may have been undone */
    for (size_t i = 0; i < 2; i++) {
        open_event(c, types[i]);
        pgd_buf_puts(&c->out, ",\"response\":");
        api_put_response_begun(c, "in_progress", &c->out);
        pgd_buf_puts(&c->out, "}\n\n");
    }
}

/* The last event, with the whole object, which is kept; the caller closes it. */
static void put_end(pgd_call *c, const char *type, const char *status) {
    open_event(c, type);
    pgd_buf_puts(&c->out, ",\"response\":");
    const size_t from = c->out.n;
    api_put_response(c, status, &c->out);
    if (!c->out.failed) api_keep_response(c, (pgd_sv){c->out.p + from, c->out.n - from});
    pgd_buf_puts(&c->out, "}\n\n");
}

static void begin(pgd_call *c) {
    put_begin(c);
    api_call_event_done(c);
}

/* ---- items ---- */

static void put_item_event(pgd_call *c, const char *type, const api_item *it, api_item_at at) {
    open_event(c, type);
    pgd_buf_putf(&c->out, ",\"output_index\":%u,\"item\":", api_item_index(c, it));
    api_put_item(c, it, at, &c->out);
    close_event(c);
}

/* `,"item_id":…,"output_index":…` and, of texts, the part's index. */
static void put_place(pgd_call *c, const api_item *it) {
    pgd_buf_putf(&c->out, ",\"item_id\":\"%s\",\"output_index\":%u", it->id, api_item_index(c, it));
    if (it->kind != API_TOOL_BEGIN) pgd_buf_puts(&c->out, ",\"content_index\":0");
}

static void put_part_event(pgd_call *c, const char *type, const api_item *it, bool empty) {
    open_event(c, type);
    put_place(c, it);
    pgd_buf_puts(&c->out, ",\"part\":");
    api_put_part(it, empty, &c->out);
    close_event(c);
}

static void open_item(pgd_call *c, api_item *it, const api_piece *v, pgd_sv bytes) {
    const bool call = it->kind == API_TOOL_BEGIN;
    const char *const prefix = it->kind == API_TEXT        ? "msg_"
                               : it->kind == API_REASONING ? "rs_"
                               : api_item_is_custom(c, it) ? "ctc_"
                                                           : "fc_";
    const size_t n = strlen(prefix);
    memcpy(it->id, prefix, n);
    api_random_id(it->id + n, 24);
    if (call) api_call_id_write(c, "call_", v, bytes, &it->call_id);
    if (!c->g.stream) return;
    if (it->call_id.failed || it->name.failed) c->out.failed = true; /* no call goes out unnamed */
    put_item_event(c, "response.output_item.added", it, API_ITEM_BEGINS);
    if (!call && c->phase == API_RUN) put_part_event(c, "response.content_part.added", it, true);
}

/* Logprobs that wait in the choice belong to the text that goes out now. */
static void take_logprobs(pgd_call *c, api_item *it, pgd_buf *b) {
    pgd_buf *const lp = &c->g.choices[0].lp[0];
    if (lp->n && it->logprobs.n) pgd_buf_putc(&it->logprobs, ',');
    pgd_buf_putsv(&it->logprobs, pgd_buf_sv(lp));
    if (b) pgd_buf_putsv(b, pgd_buf_sv(lp));
    if (lp->failed) it->logprobs.failed = true;
    if (lp->failed && b) b->failed = true; /* half an entry */
    pgd_buf_clear(lp);
}

static void more_of_item(pgd_call *c, api_item *it, pgd_sv bytes) {
    pgd_buf_putsv(&it->text, bytes);
    const bool text = it->kind == API_TEXT;
    if (!c->g.stream && text) take_logprobs(c, it, NULL);
    if (!c->g.stream || api_item_is_custom(c, it)) return;
    open_event(c, text                        ? "response.output_text.delta"
                  : it->kind == API_REASONING ? "response.reasoning_text.delta"
                                              : "response.function_call_arguments.delta");
    put_place(c, it);
    pgd_buf_putc(&c->out, ',');
    api_put_text(&c->out, "delta", bytes);
    if (text) {
        pgd_buf_puts(&c->out, ",\"logprobs\":[");
        take_logprobs(c, it, &c->out);
        pgd_buf_putc(&c->out, ']');
    }
    close_event(c);
}

static void close_text(pgd_call *c, const api_item *it) {
    const bool text = it->kind == API_TEXT;
    open_event(c, text ? "response.output_text.done" : "response.reasoning_text.done");
    put_place(c, it);
    pgd_buf_putc(&c->out, ',');
    api_put_text(&c->out, "text", pgd_buf_sv(&it->text));
    if (text) {
        pgd_buf_puts(&c->out, ",\"logprobs\":[");
        pgd_buf_putsv(&c->out, pgd_buf_sv(&it->logprobs));
        pgd_buf_putc(&c->out, ']');
    }
    close_event(c);
    if (c->phase == API_RUN) put_part_event(c, "response.content_part.done", it, false);
}

static void close_custom(pgd_call *c, const api_item *it) {
    static const char *const types[] = {"response.custom_tool_call_input.delta",
                                        "response.custom_tool_call_input.done"};
    static const char *const keys[] = {"delta", "input"};
    for (int i = 0; i < 2 && c->phase == API_RUN; i++) {
        open_event(c, types[i]);
        put_place(c, it);
        pgd_buf_putf(&c->out, ",\"%s\":\"", keys[i]);
        api_put_custom_input(it, &c->out);
        pgd_buf_putc(&c->out, '"');
        close_event(c);
    }
}

static void close_call(pgd_call *c, const api_item *it) {
    const api_alias *const a = api_item_alias(c, it);
    open_event(c, "response.function_call_arguments.done");
    put_place(c, it);
    pgd_buf_putc(&c->out, ',');
    api_put_text(&c->out, "name", a ? a->name : pgd_buf_sv(&it->name));
    pgd_buf_putc(&c->out, ',');
    api_put_text(&c->out, "arguments", pgd_buf_sv(&it->text));
    close_event(c);
}

static void close_item(pgd_call *c, api_item *it, bool whole) {
    if (!c->g.stream) return;
    if (it->kind != API_TOOL_BEGIN)
        close_text(c, it);
    else if (api_item_is_custom(c, it))
        close_custom(c, it);
    else
        close_call(c, it);
    if (c->phase == API_RUN)
        put_item_event(c, "response.output_item.done", it, whole ? API_ITEM_WHOLE : API_ITEM_CUT);
}

static const api_item_events events = {
    .open = open_item, .more = more_of_item, .close = close_item};

/* Only tokens that end in text, raw text (from, until], are told: those of reasoning, calls and
 * markers have no place in the protocol. */
static void tell_logprobs(pgd_call *c, api_choice *ch, uint32_t to, uint64_t from, uint64_t until) {
    if (!c->g.want_logprobs) return;
    for (uint32_t t = ch->n_sent; t < to; t++) {
        const uint64_t end = ch->pending[t - ch->n_sent].end;
        if (end > from && end <= until) api_logprob_chat(c, ch, t);
    }
}

static void piece(pgd_call *c, api_choice *ch, const api_piece *v, pgd_sv bytes, uint32_t to) {
    if (v->kind == API_TEXT) tell_logprobs(c, ch, to, v->raw_end - bytes.n, v->raw_end);
    api_items_take(c, &events, v, bytes);
}

/* A token that a stop string cut where the text sent before ends has only an empty delta left. */
static void finish(pgd_call *c, api_choice *ch, uint32_t to) {
    api_items *const s = &c->items;
    tell_logprobs(c, ch, to, 0, ch->text_end);
    if (ch->lp[0].n && s->open && s->v[s->n - 1].kind == API_TEXT)
        more_of_item(c, &s->v[s->n - 1], (pgd_sv){0});
    if (c->phase != API_RUN) return;
    api_items_end(c, &events, ch->finish != PGD_FINISH_LENGTH);
}

/* ---- the end ---- */

static const char *final_status(const pgd_call *c) {
    return c->g.choices[0].finish == PGD_FINISH_LENGTH ? "incomplete" : "completed";
}

static void end(pgd_call *c) {
    const char *const status = final_status(c);
    put_end(c, status[0] == 'i' ? "response.incomplete" : "response.completed", status);
}

static void answer(pgd_call *c) {
    api_put_response(c, final_status(c), &c->out);
    if (!c->out.failed) api_keep_response(c, pgd_buf_sv(&c->out));
}

/* Fields go by other names in the body that chat has judged. */
static void rename_param(api_error *e) {
    static const char *const names[][2] = {{"messages", "input"},
                                           {"max_completion_tokens", "max_output_tokens"},
                                           {"response_format", "text.format"},
                                           {"reasoning_effort", "reasoning.effort"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (pgd_sv_starts(pgd_sv_c(e->param), pgd_sv_c(names[i][0])))
            (void)snprintf(e->param, sizeof e->param, "%s", names[i][1]);
}

static void keep_as(pgd_call *c, const char *status) {
    pgd_buf object = {0};
    api_put_response(c, status, &object);
    if (!object.failed) api_keep_response(c, pgd_buf_sv(&object));
    pgd_buf_fini(&object);
}

static const char *failed_status(const pgd_call *c) {
    return c->err.status == PGD_E_CANCELLED ? "cancelled" : "failed";
}

static void error(pgd_call *c) {
    if (!c->streaming) {
        rename_param(&c->err);
        /* one that was cancelled can be read again like one that ended */
        if (c->err.status == PGD_E_CANCELLED && c->phase == API_RUN && c->response)
            keep_as(c, "cancelled");
        api_error_write(&c->err, &c->out);
        return;
    }
    if (!c->g.began) put_begin(c); /* a comment, if anything, was all that went out */
    put_end(c, "response.failed", failed_status(c));
}

/* ---- in the background ---- */

static void accept(pgd_call *c) {
    api_put_response_begun(c, "queued", &c->out);
}

static void settle(pgd_call *c) {
    keep_as(c, c->err.status == PGD_OK ? final_status(c) : failed_status(c));
}

const api_wire api_wire_responses = {.id_prefix = "resp_",
                                     .translate = api_responses_to_chat,
                                     .begin = begin,
                                     .piece = piece,
                                     .finish = finish,
                                     .answer = answer,
                                     .end = end,
                                     .error = error,
                                     .accept = accept,
                                     .settle = settle,
                                     .keep_alive = api_comment};
