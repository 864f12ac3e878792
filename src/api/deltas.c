/* Token logs become pieces: decode, take apart, look for stop strings, hold back what may still
 * change, hand the rest to the wire.
 *
 *   log: tokens ─► detok ─► raw text ─► parser ─► pieces: [ sent | to send | held: may begin a stop
 * ]
 *
 * Invariants: what a choice sends, joined by kind, is what the parser makes of the decoded text up
 * to its end, cut at a stop string; it does not depend on how tokens were grouped into wake-ups.
 * Without a parser the raw text is one TEXT piece. Stop strings apply to TEXT alone, neither to
 * reasoning nor to calls. A token is sent with the piece that accounts for the last of its raw
 * text, or with a later one; tokens whose bytes the detokenizer still holds (a cut code point) go
 * with the token that completes them. The text of a token that ends the choice (end of sequence,
 * stop token id) is not shown. Thread: the loop's. */
#include <string.h>

#include "call.h"
#include "pagoda/mem.h"

#define NO_TEXT_YET UINT64_MAX

void api_choice_fini(api_choice *ch) {
    pgd_detok_destroy(&ch->detok);
    api_parser_destroy(&ch->parser);
    api_pieces_fini(&ch->pieces);
    pgd_buf_fini(&ch->raw);
    pgd_buf_fini(&ch->answer);
    pgd_buf_fini(&ch->reasoning);
    pgd_buf_fini(&ch->calls);
    for (size_t i = 0; i < sizeof ch->lp / sizeof ch->lp[0]; i++)
        pgd_buf_fini(&ch->lp[i]);
    pgd_free(ch->pending);
    ch->pending = NULL;
}

bool api_request_is_empty(const api_request *q) {
    return q->r.max_new_tokens == 0 && !q->r.pooled &&
           (q->r.n_prompt < 2 || !(q->call->g.echo && q->call->g.want_logprobs));
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
    api_call_start_stream(c);
    c->wire->begin(c);
    c->g.began = c->phase == API_RUN; /* else what it wrote was undone for want of memory */
}

/* Hand on one piece and the tokens whose raw text it brings to an end. */
static void send_piece(pgd_call *c, api_choice *ch, const api_piece *piece, pgd_sv bytes) {
    if (piece->kind == API_REASONING && c->g.drop_reasoning) return;
    uint32_t k = 0;
    while (piece->kind != API_TOOL_END && k < ch->n_pending && ch->pending[k].end <= piece->raw_end)
        k++;
    c->wire->piece(c, ch, piece, bytes, ch->n_sent + k);
    if (piece->kind == API_TEXT) ch->text_end = piece->raw_end;
    if (!k) return;
    ch->last_end = ch->pending[k - 1].end;
    ch->n_sent += k;
    ch->n_pending -= k;
    memmove(ch->pending, ch->pending + k, ch->n_pending * sizeof *ch->pending);
}

/* Send all but the last `hold` bytes, which are TEXT, of one piece or of several. */
static void send_pieces(pgd_call *c, api_choice *ch, size_t hold) {
    api_pieces *const p = &ch->pieces;
    const size_t to = p->bytes.n - hold;
    size_t at = 0, i = 0, held = 0;
    for (; i < p->n && !held && c->phase == API_RUN; i++) {
        api_piece part = p->v[i];
        held = at + part.len > to ? at + part.len - to : 0;
        part.len -= held;
        part.raw_end -= held;
        const bool whole = part.kind == API_TOOL_BEGIN || part.kind == API_TOOL_END;
        if (part.len || whole) send_piece(c, ch, &part, (pgd_sv){p->bytes.p + at, part.len});
        at += part.len;
    }
    if (held) p->v[--i].len = held;
    pgd_buf_drop_front(&p->bytes, at);
    if (i) memmove(p->v, p->v + i, (p->n - i) * sizeof *p->v);
    p->n -= i;
    ch->scanned_bytes = p->bytes.n;
    ch->n_scanned = 0;
}

static void flush(pgd_call *c, api_choice *ch) {
    const bool in_text = ch->pieces.n && ch->pieces.v[ch->pieces.n - 1].kind == API_TEXT;
    send_pieces(c, ch, in_text ? api_stop_hold(&c->g.stops, &ch->scan) : 0);
}

/* Note where the raw text of the newest token lies; `before` is where it ended before that one. */
static bool note_token(pgd_call *c, api_choice *ch, uint64_t before, uint64_t begin_cp) {
    if (!c->g.keep_pending) return true;
    if (ch->n_pending == ch->cap_pending) {
        const size_t cap = ch->cap_pending ? 2 * ch->cap_pending : 16;
        api_pending *const p = pgd_realloc(ch->pending, cap * sizeof *p);
        if (!p) return fail_nomem(c);
        ch->pending = p;
        ch->cap_pending = cap;
    }
    const uint64_t end = ch->raw_total;
    if (end > before) /* completes what earlier tokens began */
        for (size_t i = ch->n_pending; i-- && ch->pending[i].end == NO_TEXT_YET;)
            ch->pending[i].end = end;
    ch->pending[ch->n_pending++] =
        (api_pending){.end = end > before ? end : NO_TEXT_YET, .begin_cp = begin_cp};
    return true;
}

/* Tokens that begin before the end of the text are shown, also when a stop string cut them. */
static uint32_t clip_pending(api_choice *ch, uint64_t total) {
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

/* The choice ends where its raw text has `total` bytes. */
static void end_choice(pgd_call *c, api_choice *ch, pgd_finish finish, uint64_t total) {
    ch->finish = finish;
    c->g.n_open--;
    ch->n_pending = clip_pending(ch, total);
    send_pieces(c, ch, 0);
    if (c->phase == API_RUN) c->wire->finish(c, ch, ch->n_sent + (uint32_t)ch->n_pending);
}

/* The bytes from `end` on (an offset in all bytes) are gone; piece i, which ends at `piece_end`, or
 * one before it is the last. */
static void end_at(pgd_call *c, api_choice *ch, size_t i, size_t end, size_t piece_end) {
    api_pieces *const p = &ch->pieces;
    while (piece_end - p->v[i].len > end)
        piece_end -= p->v[i--].len;
    api_piece *const last = &p->v[i];
    last->len -= piece_end - end;
    last->raw_end -= piece_end - end;
    p->n = i + 1;
    p->bytes.n = end;
    api_request *const q = ch->rq;
    if (q->inside && !q->finished) pgd_engine_stop_choice(c->model->engine, &q->r, ch->i_log);
    end_choice(c, ch, PGD_FINISH_STOP, last->raw_end);
}

/* A stop string in bytes [from, end) of piece i: cut there and end. */
static bool stopped_by_string(pgd_call *c, api_choice *ch, size_t i, size_t from, size_t end) {
    api_stop_hit hit = {0};
    if (!api_stop_feed(&c->g.stops, &ch->scan, ch->pieces.bytes.p + from, end - from, &hit))
        return false;
    ch->stop_index = (int32_t)hit.which;
    pgd_metric_add(c->api->m.stop_string_ends, 1);
    const size_t behind = from + hit.end;
    end_at(c, ch, i, c->g.include_stop ? behind : behind - hit.len_bytes, end);
    return true;
}

/* Look at what the newest token brought: calls are counted, and a stop string, or the end of the
 * one call that is wanted, ends the choice. */
static bool ended_within(pgd_call *c, api_choice *ch) {
    const bool stops = c->g.stops.n && ch->n_seen > ch->rq->r.sampling.min_tokens;
    api_pieces *const p = &ch->pieces;
    size_t at = 0;
    for (size_t i = 0; i < p->n; at += p->v[i++].len) {
        const api_piece v = p->v[i];
        const size_t from = at > ch->scanned_bytes ? at : ch->scanned_bytes, end = at + v.len;
        const bool fresh = i >= ch->n_scanned;
        if (fresh) ch->n_scanned = i + 1;
        if (fresh && v.kind == API_TOOL_BEGIN) ch->n_calls++;
        if (fresh && v.kind != API_TEXT) ch->scan = (api_stop_scan){{0}};
        if (fresh && v.kind == API_TOOL_END && c->g.one_call) {
            end_at(c, ch, i, end, end);
            return true;
        }
        if (v.kind == API_TEXT && from < end && stops && stopped_by_string(c, ch, i, from, end))
            return true;
    }
    ch->scanned_bytes = at;
    return false;
}

/* What the newest token decoded to (ch->raw) becomes pieces. */
static bool take_raw(pgd_call *c, api_choice *ch) {
    if (!ch->parser) {
        if (ch->raw.n) api_pieces_add(&ch->pieces, API_TEXT, pgd_buf_sv(&ch->raw), ch->raw_total);
    } else {
        const bool before = api_parser_in_reasoning(ch->parser);
        api_parser_feed(ch->parser, ch->raw.p, ch->raw.n);
        if (before || api_parser_in_reasoning(ch->parser)) ch->n_reasoning++;
    }
    return !ch->pieces.bytes.failed || fail_nomem(c);
}

/* The sequence has ended: what the detokenizer and the parser held is decided now, and may complete
 * a stop string. */
static void end_of_sequence(pgd_call *c, api_choice *ch, pgd_finish finish) {
    pgd_buf_clear(&ch->raw);
    if (pgd_detok_flush(ch->detok, &ch->raw) == PGD_E_NOMEM || ch->raw.failed) {
        (void)fail_nomem(c);
        return;
    }
    ch->raw_total += ch->raw.n;
    if (ch->raw.n)
        for (size_t i = ch->n_pending; i-- && ch->pending[i].end == NO_TEXT_YET;)
            ch->pending[i].end = ch->raw_total;
    if (ch->parser) {
        api_parser_feed(ch->parser, ch->raw.p, ch->raw.n);
        api_parser_finish(ch->parser);
    } else if (ch->raw.n) {
        api_pieces_add(&ch->pieces, API_TEXT, pgd_buf_sv(&ch->raw), ch->raw_total);
    }
    if (ch->pieces.bytes.failed)
        (void)fail_nomem(c);
    else if (!ended_within(c, ch))
        end_choice(c, ch, finish, ch->raw_total);
}

/* The engine's own rule: a stop id ends a sequence from token min_tokens on, and under a grammar
 * wherever it comes. */
static bool is_stop_id(const pgd_request *r, uint32_t at, int32_t id) {
    const pgd_sampling *const s = &r->sampling;
    for (uint32_t i = 0; (r->grammar || at >= s->min_tokens) && i < s->n_stop_ids; i++)
        if (s->stop_ids[i] == id) return true;
    return false;
}

/* Where there is a parser the detokenizer shows special tokens, since markers may be some; the
 * others leave the text here. */
static void drop_special(const pgd_call *c, api_choice *ch, int32_t id) {
    const pgd_tokenizer *const tok = c->model->tokenizer;
    if (!ch->parser || !c->g.skip_special || !pgd_tokenizer_is_special(tok, id)) return;
    const pgd_sv text = pgd_tokenizer_token(tok, id);
    if (api_formats_need(&c->g.parsing.formats, text)) return;
    if (pgd_sv_ends(pgd_buf_sv(&ch->raw), text)) ch->raw.n -= text.n;
}

static void note_stop_token(const pgd_call *c, api_choice *ch, int32_t id) {
    for (uint32_t i = 0; i < c->g.n_user_stop_ids; i++)
        if (c->g.user_stop_ids[i] == id) ch->stop_token = id;
}

static void take_token(pgd_call *c, api_choice *ch) {
    const uint32_t at = ch->n_seen++;
    const int32_t id = ch->rq->r.out[ch->i_log].token[at];
    const bool ends = is_stop_id(&ch->rq->r, at, id);
    if (!ends || c->g.include_stop) {
        const uint64_t before = ch->raw_total, cp = ch->n_cp;
        pgd_buf_clear(&ch->raw);
        /* ids past the tokenizer's (padding of the head) have no text: not an error */
        if (pgd_detok_push(ch->detok, id, &ch->raw) == PGD_E_NOMEM || ch->raw.failed) {
            (void)fail_nomem(c);
            return;
        }
        drop_special(c, ch, id);
        ch->raw_total += ch->raw.n;
        ch->n_cp += pgd_utf8_count(ch->raw.p, ch->raw.n);
        if (!note_token(c, ch, before, cp) || !take_raw(c, ch)) return;
        if (ended_within(c, ch)) return;
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
