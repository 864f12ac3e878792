/* The parser's frame: markers in text and reasoning, white space around them, candidates that fail,
 * and the list of pieces. What a call looks like inside is the machines' business (parse_*.c).
 *
 * Invariants: every raw byte is in exactly one place: delivered, in `space`, in `held`, or (when it
 * is structure) gone; `held` ends at `pos`. A marker is recognised by its text, whether or not it
 * was a token of its own. Thread: the choice's. */
#include <stdio.h>
#include <string.h>

#include "pagoda/mem.h"
#include "parse_int.h"

/* ---- pieces ---- */

static bool joins(api_piece_kind kind) {
    return kind == API_TEXT || kind == API_REASONING || kind == API_TOOL_ARGS;
}

/* Text goes on only where its raw text does: bytes of TEXT and of its raw text are the same. */
static bool goes_on(const api_piece *last, api_piece_kind kind, size_t n, uint64_t raw_end) {
    return last->kind == kind && joins(kind) && (kind != API_TEXT || last->raw_end + n == raw_end);
}

void api_pieces_add(api_pieces *p, api_piece_kind kind, pgd_sv bytes, uint64_t raw_end) {
    if (p->n && goes_on(&p->v[p->n - 1], kind, bytes.n, raw_end)) {
        api_piece *const last = &p->v[p->n - 1];
        pgd_buf_putsv(&p->bytes, bytes);
        if (p->bytes.failed) return;
        last->len += bytes.n;
        last->raw_end = raw_end;
        return;
    }
    if (p->n == p->cap) {
        const size_t cap = p->cap ? 2 * p->cap : 8;
        api_piece *const v = pgd_realloc(p->v, cap * sizeof *v);
        if (!v) {
            p->bytes.failed = true;
            return;
        }
        p->v = v;
        p->cap = cap;
    }
    pgd_buf_putsv(&p->bytes, bytes);
    if (p->bytes.failed) return;
    p->v[p->n++] = (api_piece){.kind = (uint8_t)kind, .len = bytes.n, .raw_end = raw_end};
}

void api_pieces_fini(api_pieces *p) {
    pgd_buf_fini(&p->bytes);
    pgd_free(p->v);
    *p = (api_pieces){0};
}

/* ---- what machines use ---- */

void parse_hold(api_parser *p, pgd_buf *b, char c) {
    pgd_buf_putc(b, c);
    if (b->failed) p->out->bytes.failed = true; /* at once: b may be cleared with this very byte */
}

void parse_emit(api_parser *p, api_piece_kind kind, const char *s, size_t n) {
    if (n || !joins(kind)) api_pieces_add(p->out, kind, (pgd_sv){s, n}, p->pos - p->held.n);
}

int parse_match(pgd_sv b, const char *const *list, size_t n) {
    int found = -2;
    if (!b.n) return -1; /* (memory ran out) */
    for (size_t i = 0; i < n && list[i]; i++) {
        const size_t len = strlen(list[i]);
        if (b.n > len || memcmp(b.p, list[i], b.n) != 0) continue;
        if (b.n == len) return (int)i;
        found = -1;
    }
    return found;
}

static bool name_is_sane(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || strchr("\"<>{}\x7F", s[i])) return false;
    return n > 0;
}

bool parse_begin_call(api_parser *p) {
    if (!name_is_sane(p->name, p->name_len)) return false;
    if (p->bare && !toolset_has(p->tools, (pgd_sv){p->name, p->name_len})) return false;
    pgd_buf_clear(&p->space);
    pgd_buf_clear(&p->held);
    pgd_buf b = {0};
    pgd_buf_put(&b, p->id, p->id_len);
    pgd_buf_put(&b, p->name, p->name_len);
    if (b.failed) p->out->bytes.failed = true;
    parse_emit(p, API_TOOL_BEGIN, b.p, b.n);
    if (p->out->n) p->out->v[p->out->n - 1].id_len = (uint8_t)p->id_len;
    pgd_buf_fini(&b);
    p->begun = p->started = true;
    p->has_args = false;
    p->think_done = p->think_done || p->back == MODE_THINK;
    p->back = MODE_TEXT;
    parse_args(p, p->args.p, p->args.n);
    pgd_buf_clear(&p->args);
    return true;
}

void parse_args(api_parser *p, const char *s, size_t n) {
    if (!p->begun) {
        pgd_buf_put(&p->args, s, n);
        return;
    }
    parse_emit(p, API_TOOL_ARGS, s, n);
    p->has_args = p->has_args || n;
}

step parse_json_args(api_parser *p, jscan *scan, char c) {
    const bool raw_control = (unsigned char)c < 0x20 && jscan_in_string(scan);
    const step s = jscan_byte(scan, c);
    if (s == STEP_FAIL) return s;
    char escaped[8];
    if (raw_control)
        parse_args(p, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)c));
    else
        parse_args(p, &c, 1);
    return s;
}

bool parse_white(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

pgd_sv parse_trimmed(pgd_sv s) {
    while (s.n && parse_white(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && parse_white(s.p[s.n - 1]))
        s.n--;
    return s;
}

void parse_end_call(api_parser *p) {
    if (!p->has_args) parse_args(p, "{}", 2);
    parse_emit(p, API_TOOL_END, NULL, 0);
    p->begun = false;
    p->after_call = true;
    p->name_len = p->id_len = 0;
}

/* ---- text and reasoning ---- */

/* First byte of held, which is no marker's: take it off. */
static char release(api_parser *p) {
    const char c = p->held.p[0];
    pgd_buf_drop_front(&p->held, 1);
    return c;
}

/* The space goes out in front of `n` bytes that were taken off `held`. */
static void flush_space(api_parser *p, api_piece_kind kind, size_t n) {
    if (p->space.n) api_pieces_add(p->out, kind, pgd_buf_sv(&p->space), p->pos - p->held.n - n);
    pgd_buf_clear(&p->space);
}

static void put_text(api_parser *p, char c) {
    if (p->skip_newlines && c == '\n') return;
    p->skip_newlines = false;
    const char between = p->f.tools ? p->f.tools->between : '\0';
    if ((parse_white(c) && (!p->started || p->after_call)) || (p->after_call && between == c)) {
        parse_hold(p, &p->space, c);
        return;
    }
    flush_space(p, API_TEXT, 1);
    p->started = true;
    p->after_call = false;
    parse_emit(p, API_TEXT, &c, 1);
}

static void put_reasoning(api_parser *p, char c) {
    if (c == '\n') {
        p->line_start = true;
        if (!p->skip_newlines) parse_hold(p, &p->space, c);
        return;
    }
    p->skip_newlines = false;
    flush_space(p, API_REASONING, 1);
    p->line_start = p->line_start && c == ' ';
    parse_emit(p, API_REASONING, &c, 1);
}

static step body_step(api_parser *p, char c) {
    switch ((body_kind)p->body) {
    case BODY_CALL:
        return call_byte(p, c);
    case BODY_NAMED:
        return named_byte(p, c);
    case BODY_PYTHON:
        return python_byte(p, c);
    case BODY_XML:
        return xml_byte(p, c);
    case BODY_NONE:
        break;
    }
    return STEP_FAIL;
}

static void open_body(api_parser *p, body_kind body, bool bare) {
    p->back = p->mode;
    p->mode = MODE_BODY;
    p->body = (uint8_t)body;
    p->bare = bare;
    p->begun = p->has_args = false;
    p->name_len = p->id_len = 0;
    pgd_buf_clear(&p->word);
    pgd_buf_clear(&p->args);
    if (body == BODY_CALL) call_init(p);
    if (body == BODY_NAMED) named_init(p);
    if (body == BODY_PYTHON) python_init(p);
    if (body == BODY_XML) xml_init(p);
}

/* How held stands to one marker: 1 equal, -1 begins it, 0 neither. */
static int against(const api_parser *p, const char *text) {
    const int r = parse_match(pgd_buf_sv(&p->held), &text, 1);
    return r == 0 ? 1 : r == -1 ? -1 : 0;
}

/* Look for a tool marker. True: held may be or was one. */
static bool try_tools(api_parser *p, bool in_thought) {
    bool maybe = false;
    for (size_t i = 0; p->tools && i < API_MAX_MARKERS && p->f.tools->markers[i].text; i++) {
        const marker *const m = &p->f.tools->markers[i];
        if (in_thought && m->use == MARK_DROP_AFTER) continue;
        if (m->use == MARK_DROP_AFTER && !p->after_call) continue;
        const int r = against(p, m->text);
        maybe = maybe || r < 0;
        if (r <= 0) continue;
        if (m->use == MARK_OPEN) {
            open_body(p, (body_kind)m->body, false);
            return true;
        }
        pgd_buf_clear(&p->held);
        if (p->after_call) pgd_buf_clear(&p->space); /* inside the structure */
        return true;
    }
    return maybe;
}

static bool try_think(api_parser *p) {
    const api_think_format *const t = p->f.think;
    if (!t) return false;
    bool maybe = false;
    if (!p->started && !p->think_done && !p->keep_reasoning) {
        const int r = against(p, t->open);
        maybe = r < 0;
        if (r > 0) {
            pgd_buf_clear(&p->held);
            pgd_buf_clear(&p->space);
            p->mode = MODE_THINK;
            p->skip_newlines = p->line_start = true;
            return true;
        }
    }
    const int r = parse_match(pgd_buf_sv(&p->held), t->drop, sizeof t->drop / sizeof t->drop[0]);
    if (r >= 0) pgd_buf_clear(&p->held);
    return maybe || r >= -1;
}

static void text_byte(api_parser *p, char c) {
    parse_hold(p, &p->held, c);
    while (p->held.n) {
        if (try_tools(p, false)) return;
        if (try_think(p)) return;
        const bool may_open = p->tools && p->f.tools->bare && (!p->started || p->after_call);
        if (may_open && p->held.n == 1 && p->held.p[0] == p->f.tools->bare) {
            open_body(p, (body_kind)p->f.tools->bare_body, true);
            (void)body_step(p, c); /* takes its own first byte */
            return;
        }
        put_text(p, release(p));
    }
}

static void think_byte(api_parser *p, char c) {
    parse_hold(p, &p->held, c);
    while (p->held.n) {
        const int r = against(p, p->f.think->close);
        if (r < 0) return;
        if (r > 0) {
            pgd_buf_clear(&p->held);
            pgd_buf_clear(&p->space);
            p->mode = MODE_TEXT;
            p->think_done = p->skip_newlines = true;
            return;
        }
        /* a call that begins a line (or has control tokens of its own) ends a block left open */
        const bool may_open = p->line_start || p->held.n < 2 || p->held.p[0] == '[' ||
                              (p->held.p[1] == '|' || (unsigned char)p->held.p[1] == 0xEF);
        if (may_open && try_tools(p, true)) return;
        put_reasoning(p, release(p));
    }
}

/* ---- candidates ---- */

static void mode_byte(api_parser *p, char c);

static void body_done(api_parser *p) {
    pgd_buf_clear(&p->held); /* an end marker: accounted for with the end of the call */
    if (p->begun) parse_end_call(p);
    pgd_buf_clear(&p->space);
    p->mode = MODE_TEXT;
}

/* What is held (without c, its last byte) is no call: it is text again; c is looked at anew. */
static void body_failed(api_parser *p, char c) {
    pgd_buf raw = p->held;
    p->held = (pgd_buf){0};
    raw.n -= raw.n ? 1 : 0;
    const api_piece_kind kind = p->back == MODE_THINK ? API_REASONING : API_TEXT;
    p->pos--;
    if (raw.n) {
        flush_space(p, kind, raw.n);
        parse_emit(p, kind, raw.p, raw.n);
        if (kind == API_TEXT) p->started = true;
        p->after_call = p->skip_newlines = p->line_start = false;
    }
    p->pos++;
    pgd_buf_fini(&raw);
    p->mode = p->back;
    mode_byte(p, c);
}

static void body_byte(api_parser *p, char c) {
    if (!p->begun) parse_hold(p, &p->held, c);
    switch (body_step(p, c)) {
    case STEP_MORE:
        return;
    case STEP_DONE:
        body_done(p);
        return;
    case STEP_DONE_BEFORE:
        p->pos--;
        body_done(p);
        p->pos++;
        mode_byte(p, c);
        return;
    case STEP_FAIL:
        break;
    }
    if (!p->begun) {
        body_failed(p, c);
        return;
    }
    p->mode = MODE_VERBATIM;
    mode_byte(p, c);
}

static void verbatim_byte(api_parser *p, char c) {
    parse_hold(p, &p->held, c);
    while (p->held.n) {
        const int r = parse_match(pgd_buf_sv(&p->held), p->f.tools->close,
                                  sizeof p->f.tools->close / sizeof p->f.tools->close[0]);
        if (r == -1) return;
        if (r >= 0) {
            body_done(p);
            return;
        }
        const char first = release(p);
        parse_args(p, &first, 1);
    }
}

static void mode_byte(api_parser *p, char c) {
    switch ((parse_mode)p->mode) {
    case MODE_TEXT:
        text_byte(p, c);
        break;
    case MODE_THINK:
        think_byte(p, c);
        break;
    case MODE_BODY:
        body_byte(p, c);
        break;
    case MODE_VERBATIM:
        verbatim_byte(p, c);
        break;
    case MODE_HARMONY:
        harmony_byte(p, c);
        break;
    }
}

/* ---- public ---- */

pgd_status api_parser_create(const api_parser_options *opt, api_pieces *out, api_parser **parser) {
    api_parser *const p = pgd_calloc(1, sizeof *p);
    if (!p) return PGD_E_NOMEM;
    p->f = opt->formats;
    p->tools = p->f.tools ? opt->tools : NULL;
    p->out = out;
    p->keep_reasoning = opt->keep_reasoning;
    if ((p->f.think && p->f.think->harmony) || (p->f.tools && p->f.tools->harmony)) {
        p->keep_reasoning = p->keep_reasoning || !p->f.think;
        p->mode = MODE_HARMONY;
        harmony_init(p, opt->open);
    } else if (opt->open == API_OPEN_REASONING && p->f.think && !p->keep_reasoning) {
        p->mode = MODE_THINK;
        p->skip_newlines = p->line_start = true;
    }
    *parser = p;
    return PGD_OK;
}

void api_parser_destroy(api_parser **parser) {
    if (!parser || !*parser) return;
    api_parser *const p = *parser;
    pgd_buf_fini(&p->space);
    pgd_buf_fini(&p->held);
    pgd_buf_fini(&p->word);
    pgd_buf_fini(&p->args);
    pgd_free(p);
    *parser = NULL;
}

/* Memory that ran out anywhere inside shows where the owner looks. */
static void report_failure(api_parser *p) {
    if (p->space.failed || p->held.failed || p->word.failed || p->args.failed)
        p->out->bytes.failed = true;
}

void api_parser_feed(api_parser *p, const char *s, size_t n) {
    for (size_t i = 0; i < n && !p->out->bytes.failed; i++) {
        p->pos++;
        mode_byte(p, s[i]);
        report_failure(p);
    }
}

void api_parser_finish(api_parser *p) {
    if (p->mode == MODE_HARMONY) {
        harmony_finish(p);
        return;
    }
    if (p->begun && p->mode == MODE_VERBATIM) {
        pgd_buf rest = p->held;
        p->held = (pgd_buf){0};
        parse_args(p, rest.p, rest.n);
        pgd_buf_fini(&rest);
    }
    if (p->begun) {
        body_done(p);
        return;
    }
    const uint8_t mode = p->mode == MODE_BODY ? p->back : p->mode;
    const api_piece_kind kind = mode == MODE_THINK ? API_REASONING : API_TEXT;
    pgd_buf rest = p->held;
    p->held = (pgd_buf){0};
    if (rest.n || !p->after_call) flush_space(p, kind, rest.n);
    parse_emit(p, kind, rest.p, rest.n);
    pgd_buf_fini(&rest);
    p->mode = MODE_TEXT;
}

bool api_parser_in_reasoning(const api_parser *p) {
    if (p->mode == MODE_HARMONY)
        return !p->harmony.in_header && p->harmony.channel == API_REASONING;
    return p->mode == MODE_THINK || (p->mode == MODE_BODY && p->back == MODE_THINK);
}
