/* One streamed completion.
 *
 * Tokens are counted by `usage`, which servers send in the last event when asked: events may carry
 * several tokens (or a held-back part of one), so chunks are only the fallback. Times are taken as
 * events come out of the parser, some microseconds after the read that brought them. A chunk counts
 * when it brings text to the user (content, reasoning or tool calls); the opening event of a chat
 * with its role does not, or TTFT would measure the server's politeness.
 *
 * Runs on the loop thread. */
#include "bench/call.h"

#include <stdio.h>
#include <string.h>

#include "pagoda/json.h"
#include "pagoda/mem.h"

enum { MAX_TEXT_BYTES = 64 << 10 };

void bench_ask_put(const bench_ask *a, const bench_prompts *p, const bench_item *item,
                   uint64_t index, pgd_buf *out) {
    pgd_buf_puts(out, "{\"model\":\"");
    pgd_json_escape(out, pgd_sv_c(a->model));
    pgd_buf_puts(out,
                 a->chat ? "\",\"messages\":[{\"role\":\"user\",\"content\":" : "\",\"prompt\":");
    bench_prompt_put(p, item, index, out);
    pgd_buf_putf(out, "%s,\"max_tokens\":%u", a->chat ? "}]" : "", item->n_out);
    if (!a->natural_stop) pgd_buf_putf(out, ",\"min_tokens\":%u,\"ignore_eos\":true", item->n_out);
    pgd_buf_putf(out, ",\"temperature\":%.6g,\"stream\":true", a->temperature);
    pgd_buf_puts(out, ",\"stream_options\":{\"include_usage\":true}");
    pgd_buf_putsv(out, a->extra_members);
    pgd_buf_putc(out, '}');
}

void bench_record_fini(bench_record *r) {
    pgd_free(r->chunk_us);
    r->chunk_us = NULL;
    r->n_chunks = r->cap_chunks = 0;
}

static void set_fault(bench_record *r, bench_fault fault, pgd_sv why) {
    if (r->fault != BENCH_OK) return; /* the first one tells */
    r->fault = fault;
    size_t n = why.n < BENCH_WHY_BYTES - 1 ? why.n : BENCH_WHY_BYTES - 1;
    n = pgd_utf8_valid_prefix(why.p, n);
    if (n > 0) memcpy(r->why, why.p, n);
    r->why[n] = '\0';
}

static void push_chunk(bench_call *c, uint64_t now_ns) {
    bench_record *r = c->rec;
    if (r->n_chunks == r->cap_chunks) {
        const uint32_t cap = r->cap_chunks == 0 ? r->item.n_out / 2 + 16 : 2 * r->cap_chunks;
        uint32_t *grown = pgd_realloc(r->chunk_us, cap * sizeof(*grown));
        if (grown == NULL) {
            set_fault(r, BENCH_MEMORY, PGD_SV("no memory for timestamps"));
            return;
        }
        r->chunk_us = grown;
        r->cap_chunks = cap;
    }
    r->chunk_us[r->n_chunks++] = (uint32_t)((now_ns - c->zero_ns - r->start_ns) / 1000);
    ++*c->n_chunks;
    if (c->streaming) return;
    c->streaming = true;
    c->on_first(c);
}

static bool has_text(const pgd_json *v) {
    pgd_sv s;
    return pgd_json_as_str(v, &s) && s.n > 0;
}

static void take_choices(bench_call *c, const pgd_json *choices, uint64_t now_ns) {
    bool text = false;
    for (const pgd_json *ch = pgd_json_first(choices); ch != NULL; ch = pgd_json_next(ch)) {
        const pgd_json *delta = pgd_json_get(ch, "delta");
        text = text || has_text(pgd_json_get(ch, "text")) ||
               has_text(pgd_json_get(delta, "content")) ||
               has_text(pgd_json_get(delta, "reasoning_content")) ||
               has_text(pgd_json_get(delta, "reasoning")) ||
               pgd_json_count(pgd_json_get(delta, "tool_calls")) > 0;
        if (!pgd_json_is_null(pgd_json_get(ch, "finish_reason"))) c->finished = true;
    }
    if (text || (c->finished && c->rec->n_chunks == 0)) push_chunk(c, now_ns);
}

static void take_usage(bench_record *r, const pgd_json *usage) {
    uint64_t out = 0;
    if (!pgd_json_as_u64(pgd_json_get(usage, "completion_tokens"), &out)) return;
    r->has_usage = true;
    r->n_output = out;
    pgd_json_as_u64(pgd_json_get(usage, "prompt_tokens"), &r->n_prompt);
    const pgd_json *details = pgd_json_get(usage, "prompt_tokens_details");
    if (pgd_json_as_u64(pgd_json_get(details, "cached_tokens"), &r->n_cached)) r->has_cached = true;
}

/* The message of an OpenAI error object, or the whole text. */
static void put_error(bench_record *r, bench_fault fault, const pgd_json *root, pgd_sv text) {
    const pgd_json *error = pgd_json_get(root, "error");
    pgd_sv message = text;
    if (!pgd_json_as_str(pgd_json_get(error, "message"), &message) &&
        !pgd_json_as_str(error, &message))
        pgd_json_as_str(pgd_json_get(root, "message"), &message);
    set_fault(r, fault, message);
}

/* A second try at what our parser is too strict for: models without training say anything, and
 * escaped NULs, lone surrogates and broken UTF-8 do reach clients. Only whether there is text
 * matters here, so all of them may become blanks. */
static pgd_status parse_leniently(pgd_sv data, pgd_json_doc **doc, pgd_error *err) {
    pgd_buf copy = {0};
    pgd_buf_putsv(&copy, data);
    if (copy.failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    for (size_t i = 0; i < copy.n; i++) {
        char *p = copy.p + i;
        if ((unsigned char)*p >= 0x80) *p = ' ';
        if (*p == '\\' && copy.n - i >= 6 && p[1] == 'u') { /* a blank: u0020 */
            memset(p + 2, '0', 4);
            p[4] = '2';
        }
    }
    const pgd_status s = pgd_json_parse(pgd_buf_sv(&copy), &pgd_json_limits_request, doc, err);
    pgd_buf_fini(&copy);
    return s;
}

void bench_call_event(bench_call *c, pgd_sv data, uint64_t now_ns) {
    if (pgd_sv_eq(data, PGD_SV("[DONE]"))) {
        c->done_mark = true;
        return;
    }
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    if (pgd_json_parse(data, &pgd_json_limits_request, &doc, NULL) != PGD_OK &&
        parse_leniently(data, &doc, &err) != PGD_OK) {
        pgd_wrap(&err, "an event holds no JSON");
        set_fault(c->rec, BENCH_PROTOCOL, pgd_sv_c(err.msg));
        return;
    }
    const pgd_json *root = pgd_json_root(doc);
    if (!pgd_json_is_null(pgd_json_get(root, "error"))) put_error(c->rec, BENCH_STREAM, root, data);
    take_choices(c, pgd_json_get(root, "choices"), now_ns);
    take_usage(c->rec, pgd_json_get(root, "usage"));
    pgd_json_free(&doc);
}

static void settle_status(bench_call *c) {
    bench_record *r = c->rec;
    pgd_json_doc *doc = NULL;
    const pgd_sv text = pgd_buf_sv(&c->text);
    if (text.n > 0) pgd_json_parse(text, &pgd_json_limits_request, &doc, NULL);
    const bench_fault fault = r->http_status >= 500   ? BENCH_HTTP_5XX
                              : r->http_status >= 400 ? BENCH_HTTP_4XX
                                                      : BENCH_PROTOCOL;
    put_error(r, fault, doc != NULL ? pgd_json_root(doc) : NULL, text);
    pgd_json_free(&doc);
}

void bench_call_settle(bench_call *c, bench_fault fault, const char *why) {
    bench_record *r = c->rec;
    if (fault != BENCH_OK)
        set_fault(r, fault, pgd_sv_c(why));
    else if (r->http_status != 200)
        settle_status(c);
    else if (!c->event_stream)
        set_fault(r, BENCH_PROTOCOL, PGD_SV("the answer is no text/event-stream"));
    else if (!c->finished && !c->done_mark)
        set_fault(r, BENCH_CLOSED, PGD_SV("the stream ended without a finish reason"));
    else if (r->n_chunks == 0)
        set_fault(r, BENCH_PROTOCOL, PGD_SV("the stream held no choice"));
    if (!r->has_usage) r->n_output = r->n_chunks;
}

static void on_event(void *ctx, pgd_sv data) {
    bench_call_event(ctx, data, uv_hrtime());
}

static void on_head(bench_exchange *x, int status, bool event_stream) {
    bench_call *c = (bench_call *)(void *)x;
    c->rec->http_status = status;
    c->event_stream = event_stream;
}

static void on_body(bench_exchange *x, pgd_sv data) {
    bench_call *c = (bench_call *)(void *)x;
    if (c->rec->http_status == 200 && c->event_stream) {
        if (bench_sse_feed(&c->sse, data.p, data.n, on_event, c) != PGD_OK)
            set_fault(c->rec, BENCH_PROTOCOL, PGD_SV("an event is over 16 MiB"));
    } else if (c->text.n < MAX_TEXT_BYTES) {
        const size_t room = MAX_TEXT_BYTES - c->text.n;
        pgd_buf_put(&c->text, data.p, data.n < room ? data.n : room);
    }
}

static void on_done(bench_exchange *x, bench_fault fault, const char *why) {
    bench_call *c = (bench_call *)(void *)x;
    c->rec->end_ns = uv_hrtime() - c->zero_ns;
    bench_call_settle(c, fault, why);
    c->on_end(c);
}

void bench_call_start(bench_call *c, bench_client *client, const char *path, pgd_sv body,
                      uint64_t timeout_ns) {
    c->event_stream = c->finished = c->done_mark = c->streaming = false;
    bench_sse_clear(&c->sse);
    pgd_buf_clear(&c->text);
    c->x.on_head = on_head;
    c->x.on_body = on_body;
    c->x.on_done = on_done;
    const uint64_t now = uv_hrtime();
    c->rec->start_ns = now - c->zero_ns;
    c->x.deadline_ns = timeout_ns > 0 ? now + timeout_ns : 0;
    bench_client_send(client, &c->x, "POST", path, body);
}

void bench_call_fini(bench_call *c) {
    bench_sse_fini(&c->sse);
    pgd_buf_fini(&c->text);
}
