/* Token logs become text: decode, look for stop strings, hold back what may still change, hand the
 * rest to the wire.
 *
 *   log: tokens ─► detok ─► text: [ sent | to send | held: may begin a stop string ]
 *
 * Invariants: what a choice sends, joined, is the decoded text up to its end, cut at a stop string;
 * it does not depend on how tokens were grouped into wake-ups. A token is sent with the piece that
 * holds the last of its text; tokens whose bytes the detokenizer still holds (a cut code point) go
 * with the token that completes them. The text of a token that ends the choice (end of sequence,
 * stop token id) is not shown. Thread: the loop's. */
#include <string.h>

#include "call.h"
#include "pagoda/mem.h"

#define NO_TEXT_YET UINT64_MAX

void api_choice_fini(api_choice *ch) {
    pgd_detok_destroy(&ch->detok);
    pgd_buf_fini(&ch->text);
    pgd_buf_fini(&ch->answer);
    for (size_t i = 0; i < sizeof ch->lp / sizeof ch->lp[0]; i++)
        pgd_buf_fini(&ch->lp[i]);
    pgd_free(ch->pending);
    ch->pending = NULL;
}

bool api_request_is_empty(const api_request *q) {
    return q->r.max_new_tokens == 0 &&
           (q->r.n_prompt < 2 || !(q->call->g.echo && q->call->g.want_logprobs));
}

static uint64_t text_end(const api_choice *ch) {
    return ch->text_sent + ch->text.n;
}

static bool fail_nomem(pgd_call *c) {
    api_error e = {0};
    (void)api_fail_nomem(&e);
    api_call_fail(c, &e);
    return false;
}

static void begin(pgd_call *c) {
    if (!c->first_token_ns) c->first_token_ns = pgd_clock_now(&c->api->clock);
    if (!c->g.stream || c->g.began) return;
    c->g.began = true;
    api_call_start_stream(c);
    c->wire->begin(c);
}

/* Send the first n bytes of the waiting text and the tokens that end within them. */
static void send_text(pgd_call *c, api_choice *ch, size_t n) {
    const uint64_t end = ch->text_sent + n;
    uint32_t k = 0;
    while (k < ch->n_pending && ch->pending[k].end <= end)
        k++;
    c->wire->delta(c, ch, (pgd_sv){ch->text.p, n}, ch->n_sent + k);
    if (k) {
        ch->last_end = ch->pending[k - 1].end;
        ch->n_sent += k;
        ch->n_pending -= k;
        memmove(ch->pending, ch->pending + k, ch->n_pending * sizeof *ch->pending);
    }
    ch->text_sent = end;
    pgd_buf_drop_front(&ch->text, n);
}

static void flush(pgd_call *c, api_choice *ch) {
    const size_t hold = api_stop_hold(&c->g.stops, &ch->scan);
    if (ch->text.n > hold) send_text(c, ch, ch->text.n - hold);
}

/* Note where the text of the newest token lies; `before` is where the text ended before it. */
static bool note_token(pgd_call *c, api_choice *ch, uint64_t before, uint64_t begin_cp) {
    if (!c->g.keep_pending) return true;
    if (ch->n_pending == ch->cap_pending) {
        const size_t cap = ch->cap_pending ? 2 * ch->cap_pending : 16;
        api_pending *const p = pgd_realloc(ch->pending, cap * sizeof *p);
        if (!p) return fail_nomem(c);
        ch->pending = p;
        ch->cap_pending = cap;
    }
    const uint64_t end = text_end(ch);
    if (end > before) /* completes what earlier tokens began */
        for (size_t i = ch->n_pending; i-- && ch->pending[i].end == NO_TEXT_YET;)
            ch->pending[i].end = end;
    ch->pending[ch->n_pending++] =
        (api_pending){.end = end > before ? end : NO_TEXT_YET, .begin_cp = begin_cp};
    return true;
}

/* Tokens that begin before the end of the text are shown, also when a stop string cut them. */
static uint32_t clip_pending(api_choice *ch) {
    const uint64_t total = text_end(ch);
    uint64_t start = ch->last_end;
    uint32_t shown = 0;
    for (size_t i = 0; i < ch->n_pending; i++) {
        const uint64_t end = ch->pending[i].end;
        if (end != NO_TEXT_YET && start >= total && end > total) break;
        if (end != NO_TEXT_YET && end > total) ch->pending[i].end = total;
        if (end != NO_TEXT_YET) start = end;
        shown++;
    }
    return shown;
}

static void end_choice(pgd_call *c, api_choice *ch, pgd_finish finish) {
    ch->finish = finish;
    c->g.n_open--;
    ch->n_pending = clip_pending(ch);
    if (ch->text.n) send_text(c, ch, ch->text.n);
    if (c->phase == API_RUN) c->wire->finish(c, ch, ch->n_sent + (uint32_t)ch->n_pending);
}

/* A stop string in the last `fresh` bytes of the text: cut there and end. */
static bool stopped_by_string(pgd_call *c, api_choice *ch, size_t fresh) {
    if (!c->g.stops.n || ch->n_seen <= ch->rq->r.sampling.min_tokens) return false;
    const size_t from = ch->text.n - fresh;
    api_stop_hit hit = {0};
    if (!api_stop_feed(&c->g.stops, &ch->scan, ch->text.p + from, fresh, &hit)) return false;
    const size_t end = from + hit.end;
    ch->text.n = c->g.include_stop ? end : end - hit.len_bytes;
    ch->stop_index = (int32_t)hit.which;
    pgd_metric_add(c->api->m.stop_string_ends, 1);
    api_request *const q = ch->rq;
    if (q->inside && !q->finished) pgd_engine_stop_choice(c->model->engine, &q->r, ch->i_log);
    end_choice(c, ch, PGD_FINISH_STOP);
    return true;
}

/* The sequence has ended: what the detokenizer held is text now, and may complete a stop string. */
static void end_of_sequence(pgd_call *c, api_choice *ch, pgd_finish finish) {
    const size_t had = ch->text.n;
    const uint64_t before = text_end(ch);
    if (pgd_detok_flush(ch->detok, &ch->text) == PGD_E_NOMEM || ch->text.failed) {
        (void)fail_nomem(c);
        return;
    }
    if (text_end(ch) > before)
        for (size_t i = ch->n_pending; i-- && ch->pending[i].end == NO_TEXT_YET;)
            ch->pending[i].end = text_end(ch);
    if (!stopped_by_string(c, ch, ch->text.n - had)) end_choice(c, ch, finish);
}

/* The engine's own rule: a stop id ends a sequence from token min_tokens on. */
static bool is_stop_id(const pgd_sampling *s, uint32_t at, int32_t id) {
    for (uint32_t i = 0; at >= s->min_tokens && i < s->n_stop_ids; i++)
        if (s->stop_ids[i] == id) return true;
    return false;
}

static void note_stop_token(const pgd_call *c, api_choice *ch, int32_t id) {
    for (uint32_t i = 0; i < c->g.n_user_stop_ids; i++)
        if (c->g.user_stop_ids[i] == id) ch->stop_token = id;
}

static void take_token(pgd_call *c, api_choice *ch) {
    const uint32_t at = ch->n_seen++;
    const int32_t id = ch->rq->r.out[ch->i_log].token[at];
    const bool ends = is_stop_id(&ch->rq->r.sampling, at, id);
    if (!ends || c->g.include_stop) {
        const uint64_t before = text_end(ch), cp = ch->n_cp;
        const size_t had = ch->text.n;
        /* ids past the tokenizer's (padding of the head) have no text: not an error */
        if (pgd_detok_push(ch->detok, id, &ch->text) == PGD_E_NOMEM || ch->text.failed) {
            (void)fail_nomem(c);
            return;
        }
        ch->n_cp += pgd_utf8_count(ch->text.p + had, ch->text.n - had);
        if (!note_token(c, ch, before, cp)) return;
        if (stopped_by_string(c, ch, ch->text.n - had)) return;
    }
    if (!ends) return;
    note_stop_token(c, ch, id);
    end_of_sequence(c, ch, PGD_FINISH_STOP);
}

static void fail_by_engine(pgd_call *c, const pgd_request *r, pgd_finish finish) {
    api_error e = {0};
    if (finish == PGD_FINISH_ERROR) {
        pgd_error err = {.code = r->error_code ? r->error_code : PGD_E_INTERNAL};
        memcpy(err.msg, r->error, sizeof r->error);
        err.msg[sizeof r->error - 1] = '\0';
        (void)api_fail_from(&e, &err, "invalid_value", NULL);
    } else if (atomic_load_explicit(&r->cancel, memory_order_relaxed) == PGD_CANCEL_DEADLINE) {
        pgd_metric_add(c->api->m.timeouts, 1);
        (void)api_fail(&e, PGD_E_TIMEOUT, "timeout", NULL,
                       "The request did not finish within its deadline.");
    } else {
        e.retry_after_ms = 1000;
        (void)api_fail(&e, PGD_E_BUSY, "server_shutting_down", NULL,
                       "The server is shutting down and the request was ended.");
    }
    api_call_fail(c, &e);
}

/* The echoed prompt comes first, with the scores of its tokens when they are wanted. Returns
 * whether the choice may go on. */
static bool echo_first(pgd_call *c, api_choice *ch) {
    if (!c->g.echo || ch->echoed) return true;
    ch->echoed = true;
    begin(c);
    if (c->phase == API_RUN) c->wire->echo(c, ch);
    return c->phase == API_RUN;
}

void api_choice_pump(pgd_call *c, api_choice *ch) {
    const pgd_request *const r = &ch->rq->r;
    const pgd_toklog *const log = &r->out[ch->i_log];
    /* finish before len: a finish that is seen means that the len read after it is the last */
    pgd_finish fin = (pgd_finish)atomic_load_explicit(&log->finish, memory_order_acquire);
    const uint32_t len = atomic_load_explicit(&log->len, memory_order_acquire);
    if (api_request_is_empty(ch->rq)) fin = PGD_FINISH_LENGTH;
    if (fin == PGD_FINISH_ERROR || fin == PGD_FINISH_CANCELLED) {
        if (ch->n_seen == len || fin == PGD_FINISH_ERROR) {
            fail_by_engine(c, r, fin);
            return;
        }
    }
    if (len == 0 && fin == PGD_FINISH_NONE) return;
    if (!echo_first(c, ch)) return;
    while (ch->n_seen < len && ch->finish == PGD_FINISH_NONE && c->phase == API_RUN) {
        if (c->g.stream && c->out.n > API_BACKLOG_BYTES) {
            c->backlog = true; /* until pgd_call_output finds room */
            return;
        }
        begin(c);
        if (c->phase != API_RUN) return;
        take_token(c, ch);
        const bool open = ch->finish == PGD_FINISH_NONE && c->phase == API_RUN;
        if (open && (ch->n_seen == len || (c->g.stream && c->out.n < API_COALESCE_BYTES)))
            flush(c, ch);
    }
    if (ch->finish != PGD_FINISH_NONE || fin == PGD_FINISH_NONE || c->phase != API_RUN) return;
    begin(c);
    if (c->phase != API_RUN) return;
    if (fin == PGD_FINISH_CANCELLED) {
        fail_by_engine(c, r, fin);
        return;
    }
    if (fin == PGD_FINISH_STOP) note_stop_token(c, ch, log->stop_token);
    end_of_sequence(c, ch, fin);
}
