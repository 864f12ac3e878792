/* gpt-oss's harmony: messages with headers, all of them of the assistant here.
 *
 *   <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>commentary
 *   to=functions.f <|constrain|>json<|message|>{…}<|call|>
 *
 * A header is everything up to <|message|>. A recipient makes its message a call, the channel
 * "analysis" makes it reasoning, anything else is text of the answer (commentary without recipient
 * is a preamble that users see). Headers that make no sense are recovered from: their text is text.
 * A recipient's message is arguments as it stands, whatever it holds. Thread: the choice's. */
#include <string.h>

#include "parse_int.h"

enum { M_MESSAGE, M_START, M_CHANNEL, M_CONSTRAIN, M_END, M_RETURN, M_CALL, N_MARKS };
enum { MAX_HEADER = 512 };
static const char *const marks[N_MARKS] = {"<|message|>",   "<|start|>", "<|channel|>",
                                           "<|constrain|>", "<|end|>",   "<|return|>",
                                           "<|call|>"};

void harmony_init(api_parser *p, api_open open) {
    harmony_machine *const h = &p->harmony;
    *h = (harmony_machine){.channel = API_TEXT, .in_header = open == API_OPEN_NOTHING};
    if (open == API_OPEN_REASONING && !p->keep_reasoning) h->channel = API_REASONING;
}

static void open_message(api_parser *p, api_piece_kind kind) {
    p->harmony.in_header = false;
    p->harmony.channel = (uint8_t)kind;
    p->harmony.in_call = false;
    pgd_buf_clear(&p->word);
}

static void open_header(api_parser *p, bool need_start) {
    if (p->harmony.in_call) parse_end_call(p);
    p->harmony = (harmony_machine){
        .channel = API_TEXT, .in_header = true, .marked = !need_start, .need_start = need_start};
    pgd_buf_clear(&p->word);
}

/* The word that follows the last `key` in the header, up to a space or a marker. */
static pgd_sv after(pgd_sv header, pgd_sv key) {
    size_t at = SIZE_MAX;
    for (size_t i = pgd_sv_find(header, key, 0); i != SIZE_MAX; i = pgd_sv_find(header, key, i + 1))
        at = i;
    if (at == SIZE_MAX) return (pgd_sv){NULL, 0};
    pgd_sv word = {header.p + at + key.n, 0};
    while (word.p + word.n < header.p + header.n && word.p[word.n] != ' ' &&
           word.p[word.n] != '<' && word.p[word.n] != '\n')
        word.n++;
    return word;
}

static void end_header(api_parser *p) {
    const pgd_sv header = pgd_buf_sv(&p->word);
    const pgd_sv channel = after(header, PGD_SV("<|channel|>"));
    pgd_sv to = after(header, PGD_SV("to="));
    if (pgd_sv_eq(to, PGD_SV("assistant"))) to.n = 0;
    const pgd_sv prefix = PGD_SV("functions.");
    if (pgd_sv_starts(to, prefix)) to = (pgd_sv){to.p + prefix.n, to.n - prefix.n};
    bool call = p->tools && to.n && to.n <= API_MAX_NAME;
    if (call) {
        memcpy(p->name, to.p, to.n);
        p->name_len = to.n;
        call = parse_begin_call(p);
    }
    const bool thinks = pgd_sv_eq(channel, PGD_SV("analysis")) && !to.n && !p->keep_reasoning;
    open_message(p, call ? API_TOOL_ARGS : thinks ? API_REASONING : API_TEXT);
    p->harmony.in_call = call;
}

/* What should have been a header is text. */
static void recover(api_parser *p) {
    parse_emit(p, API_TEXT, p->word.p, p->word.n);
    open_message(p, API_TEXT);
}

static void header_mark(api_parser *p, int mark) {
    pgd_buf_clear(&p->held);
    if (mark == M_START) {
        open_header(p, false);
    } else if (mark == M_MESSAGE) {
        end_header(p);
    } else if (mark == M_CHANNEL || mark == M_CONSTRAIN) {
        p->harmony.marked = true;
        pgd_buf_puts(&p->word, marks[mark]);
    } else {
        open_header(p, true); /* a message without text */
    }
}

/* A header without markers is one only as far as a recipient may come first. */
static bool plausible(const api_parser *p) {
    static const char *const to[] = {" to="};
    const harmony_machine *const h = &p->harmony;
    if (!p->word.n || p->word.n > MAX_HEADER) return false;
    if (h->marked) return true;
    if (h->need_start) return p->word.p[p->word.n - 1] == '\n';
    return pgd_sv_starts(pgd_buf_sv(&p->word), PGD_SV(" to=")) ||
           parse_match(pgd_buf_sv(&p->word), to, 1) != -2;
}

static char release(api_parser *p) {
    const char c = p->held.p[0];
    pgd_buf_drop_front(&p->held, 1);
    return c;
}

static void put_message(api_parser *p, char c) {
    if (p->harmony.in_call)
        parse_args(p, &c, 1);
    else
        parse_emit(p, (api_piece_kind)p->harmony.channel, &c, 1);
}

void harmony_byte(api_parser *p, char c) {
    parse_hold(p, &p->held, c);
    while (p->held.n) {
        const int r = parse_match(pgd_buf_sv(&p->held), marks, N_MARKS);
        if (r == -1) return;
        if (r >= 0 && p->harmony.in_header) {
            header_mark(p, r);
            return;
        }
        if (r >= M_END || r == M_START || r == M_CHANNEL) {
            pgd_buf_clear(&p->held);
            open_header(p, r >= M_END);
            if (r == M_CHANNEL) pgd_buf_puts(&p->word, marks[r]);
            return;
        }
        const char first = release(p);
        if (!p->harmony.in_header) {
            put_message(p, first);
            continue;
        }
        parse_hold(p, &p->word, first);
        if (!plausible(p)) recover(p);
    }
}

void harmony_finish(api_parser *p) {
    pgd_buf rest = p->held;
    p->held = (pgd_buf){0};
    if (!p->harmony.in_header) {
        for (size_t i = 0; i < rest.n; i++)
            put_message(p, rest.p[i]);
    } else if (!p->harmony.marked && !p->harmony.need_start) { /* else structure that was cut */
        pgd_buf_put(&p->word, rest.p, rest.n);
        parse_emit(p, API_TEXT, p->word.p, p->word.n);
    }
    if (p->harmony.in_call) parse_end_call(p);
    p->harmony.in_call = false;
    pgd_buf_fini(&rest);
}
