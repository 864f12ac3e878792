/* A conversation with a server: requests, and answers as they stream.
 *
 * Nothing is shown before it went through cli_clean. The server keeps no state: each request
 * carries the whole conversation, whose beginning its prefix cache knows. The stream is left at
 * "[DONE]" without waiting for the connection's end. Thread: main. */
#include "cli/session.h"

#include "cli/answer.h"
#include "cli/clean.h"
#include "cli/sse.h"
#include "cli/tty.h"
#include "pagoda/clock.h"
#include "pagoda/json.h"

enum { MAX_BODY_BYTES = 4 << 20 };

#define DIM "\x1b[2m"
#define PLAIN "\x1b[0m"

void cli_chat_fini(cli_chat *c) {
    pgd_buf_fini(&c->api_key);
    pgd_buf_fini(&c->model);
    pgd_buf_fini(&c->own_path);
    cli_conversation_fini(&c->talk);
}

static cli_request request_of(const cli_chat *c, const char *method, const char *path,
                              pgd_sv body) {
    return (cli_request){
        .method = method,
        .path = path,
        .api_key = c->api_key.n > 0 ? c->api_key.p : NULL,
        .body = body,
    };
}

/* Collect a body; ctx is the pgd_buf. */
static pgd_status collect(void *ctx, const cli_reply *reply, pgd_sv body, pgd_error *err) {
    (void)reply;
    pgd_buf *out = ctx;
    if (out->n + body.n > MAX_BODY_BYTES)
        return pgd_fail(err, PGD_E_LIMIT, "the response is longer than %d bytes", MAX_BODY_BYTES);
    pgd_buf_putsv(out, body);
    return out->failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory") : PGD_OK;
}

static pgd_status fail_status(const cli_reply *reply, pgd_sv body, pgd_error *err) {
    pgd_buf text = {0};
    cli_error_text(reply->status, reply->reason, body, &text);
    const pgd_status status = pgd_fail(err, PGD_E_INVALID, "%s", text.p != NULL ? text.p : "");
    pgd_buf_fini(&text);
    return status;
}

static pgd_status read_models(pgd_sv body, pgd_buf *out, pgd_error *err) {
    pgd_json_doc *doc = NULL;
    if (pgd_json_parse(body, &pgd_json_limits_request, &doc, err) != PGD_OK)
        return pgd_wrap(err, "the server's list of models");
    const pgd_json *data = pgd_json_get(pgd_json_root(doc), "data");
    for (const pgd_json *m = pgd_json_first(data); m != NULL; m = pgd_json_next(m)) {
        pgd_sv id = {0};
        if (!pgd_json_as_str(pgd_json_get(m, "id"), &id) || id.n == 0) continue;
        pgd_buf_putsv(out, id);
        pgd_buf_putc(out, '\n');
    }
    pgd_json_free(&doc);
    if (out->failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    if (out->n == 0)
        return pgd_fail(err, PGD_E_FORMAT, "the server lists no model; name one with --model");
    return PGD_OK;
}

pgd_status cli_chat_models(const cli_chat *c, pgd_buf *out, pgd_error *err) {
    pgd_buf body = {0};
    cli_reply reply = {0};
    const cli_request request = request_of(c, "GET", "/models", PGD_SV(""));
    pgd_status status = cli_exchange(&c->url, &request, &c->wait, &reply, collect, &body, err);
    if (status == PGD_OK && reply.status != 200)
        status = fail_status(&reply, pgd_buf_sv(&body), err);
    else if (status == PGD_OK)
        status = read_models(pgd_buf_sv(&body), out, err);
    cli_reply_fini(&reply);
    pgd_buf_fini(&body);
    return status;
}

pgd_status cli_chat_choose_model(cli_chat *c, pgd_error *err) {
    if (c->model.n > 0) return PGD_OK;
    pgd_buf names = {0};
    const pgd_status status = cli_chat_models(c, &names, err);
    if (status == PGD_OK)
        pgd_buf_put(&c->model, names.p, pgd_sv_find(pgd_buf_sv(&names), PGD_SV("\n"), 0));
    pgd_buf_fini(&names);
    return status;
}

void cli_chat_put_request(const cli_chat *c, pgd_buf *out) {
    const cli_chat_options *o = &c->options;
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "model");
    pgd_jsonw_str(&w, pgd_buf_sv(&c->model));
    pgd_jsonw_key(&w, "messages");
    cli_conversation_put_json(&c->talk, &w);
    if (o->temperature.set) {
        pgd_jsonw_key(&w, "temperature");
        pgd_jsonw_f64(&w, o->temperature.v);
    }
    if (o->top_p.set) {
        pgd_jsonw_key(&w, "top_p");
        pgd_jsonw_f64(&w, o->top_p.v);
    }
    if (o->max_tokens.set) {
        pgd_jsonw_key(&w, "max_tokens");
        pgd_jsonw_u64(&w, o->max_tokens.v);
    }
    if (o->seed.set) {
        pgd_jsonw_key(&w, "seed");
        pgd_jsonw_u64(&w, o->seed.v);
    }
    pgd_jsonw_key(&w, "stream");
    pgd_jsonw_bool(&w, true);
    pgd_jsonw_key(&w, "stream_options");
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "include_usage");
    pgd_jsonw_bool(&w, true);
    pgd_jsonw_end_obj(&w);
    pgd_jsonw_end_obj(&w);
}

/* An answer on its way to the screen. */
typedef struct stream {
    const cli_chat *c;
    cli_answer answer;
    cli_sse sse;
    cli_clean clean;
    pgd_buf error_body; /* of a response that is no stream */
    cli_piece kind;     /* of the piece shown last */
    bool shown;         /* anything at all */
    bool line_open;     /* the last byte of it was no line feed */
    bool failed;        /* writing failed */
} stream;

/* Write and free. */
static void put_out(stream *s, pgd_buf *text) {
    if (text->n > 0) {
        s->shown = true;
        if (cli_write_all(s->c->out, pgd_buf_sv(text)) != PGD_OK) s->failed = true;
    }
    pgd_buf_fini(text);
}

/* Reasoning is dim and has a paragraph of its own; a pipe gets the answer alone. */
static void show_piece(void *ctx, cli_piece kind, pgd_sv piece) {
    stream *s = ctx;
    if (kind == CLI_PIECE_REASONING && !s->c->tty) return;
    const bool dim = kind == CLI_PIECE_REASONING && s->c->colour;
    pgd_buf text = {0};
    pgd_buf clean = {0};
    if (s->shown && kind != s->kind) {
        cli_clean_end(&s->clean, &text);
        pgd_buf_puts(&text, "\n\n");
    }
    s->kind = kind;
    cli_clean_feed(&s->clean, piece, &clean);
    if (clean.n > 0) {
        s->line_open = clean.p[clean.n - 1] != '\n';
        pgd_buf_puts(&text, dim ? DIM : "");
        pgd_buf_putsv(&text, pgd_buf_sv(&clean));
        pgd_buf_puts(&text, dim ? PLAIN : "");
    }
    pgd_buf_fini(&clean);
    put_out(s, &text);
}

static pgd_status take_event(void *ctx, pgd_sv data, pgd_error *err) {
    stream *s = ctx;
    const pgd_clock clock = pgd_clock_monotonic();
    PGD_TRY(cli_answer_event(&s->answer, data, pgd_clock_now(&clock), err));
    if (s->failed) return pgd_fail(err, PGD_E_IO, "cannot write the answer");
    /* nothing of interest follows: leave the connection */
    return s->answer.done ? PGD_E_CANCELLED : PGD_OK;
}

static pgd_status take_body(void *ctx, const cli_reply *reply, pgd_sv body, pgd_error *err) {
    stream *s = ctx;
    if (reply->status != 200 || !reply->event_stream)
        return collect(&s->error_body, reply, body, err);
    return cli_sse_feed(&s->sse, body, take_event, s, err);
}

/* What an exchange that ended by itself amounts to. */
static pgd_status judge(const stream *s, const cli_reply *reply, pgd_error *err) {
    if (reply->status != 200) return fail_status(reply, pgd_buf_sv(&s->error_body), err);
    if (!reply->event_stream)
        return pgd_fail(err, PGD_E_FORMAT,
                        "the server at http://%s did not answer with a stream of events; is it "
                        "OpenAI-compatible?",
                        s->c->url.authority);
    if (!s->answer.done && s->answer.finish[0] == '\0')
        return pgd_fail(err, PGD_E_IO, "the answer broke off");
    return PGD_OK;
}

static void end_shown(stream *s, pgd_status status) {
    const bool stopped = status == PGD_E_CANCELLED;
    const bool any = s->answer.n_pieces > 0;
    pgd_buf text = {0};
    cli_clean_end(&s->clean, &text);
    if (s->line_open || text.n > 0) pgd_buf_putc(&text, '\n');
    if (s->c->tty && (any || stopped || status == PGD_OK)) {
        pgd_buf_puts(&text, s->c->colour ? DIM "[" : "[");
        if (any || !stopped)
            cli_answer_put_stats(&s->answer, stopped, &text);
        else
            pgd_buf_puts(&text, "stopped before it began");
        pgd_buf_puts(&text, s->c->colour ? "]" PLAIN "\n" : "]\n");
    }
    put_out(s, &text);
}

static pgd_status stream_answer(cli_chat *c, stream *s, pgd_error *err) {
    const pgd_clock clock = pgd_clock_monotonic();
    pgd_buf body = {0};
    cli_reply reply = {0};
    cli_chat_put_request(c, &body);
    if (body.failed) {
        pgd_buf_fini(&body);
        return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    const cli_request request = request_of(c, "POST", "/chat/completions", pgd_buf_sv(&body));
    s->answer.sent_ns = pgd_clock_now(&clock);
    pgd_status status = cli_exchange(&c->url, &request, &c->wait, &reply, take_body, s, err);
    if (status == PGD_OK || s->answer.done) status = judge(s, &reply, err);
    cli_reply_fini(&reply);
    pgd_buf_fini(&body);
    return status;
}

pgd_status cli_chat_ask(cli_chat *c, pgd_sv prompt, pgd_error *err) {
    PGD_TRY(cli_chat_choose_model(c, err));
    PGD_TRY(cli_conversation_add(&c->talk, CLI_USER, prompt, err));
    stream s = {.c = c, .answer = {.show = show_piece}};
    s.answer.ctx = &s;
    pgd_status status = stream_answer(c, &s, err);
    end_shown(&s, status);
    const pgd_sv text = pgd_buf_sv(&s.answer.text);
    if (status == PGD_OK || text.n > 0) {
        const pgd_status kept = cli_conversation_add(&c->talk, CLI_ASSISTANT, text, err);
        if (kept != PGD_OK) {
            cli_conversation_drop_last(&c->talk);
            status = kept;
        }
    } else {
        cli_conversation_drop_last(&c->talk);
    }
    cli_answer_fini(&s.answer);
    cli_sse_fini(&s.sse);
    pgd_buf_fini(&s.error_body);
    return status;
}
