/* Calls as JSON objects: {"name": …, "arguments": {…}} in any order of keys, alone or in an array,
 * with the names that families use (parameters, tool_name, tool_call_id). Where the object is not
 * JSON but <function=…> (as newer Qwen models write inside <tool_call>), the XML machine takes
 * over.
 *
 * A call begins when its name is known and its arguments have started, so that text which only
 * looks like a call stays text as long as possible; arguments that came first wait for the name.
 * They stream as the model wrote them, but for raw control characters in strings, which are
 * escaped, and arguments given as a JSON string, whose text is taken. Thread: the choice's. */
#include <string.h>

#include "parse_int.h"

enum {
    C_START,
    C_XML_START, /* "<function=" so far: word */
    C_XML,
    C_KEY_OR_END,
    C_KEY,
    C_KEY_STR,
    C_COLON,
    C_VALUE,
    C_NAME_STR,
    C_ID_STR,
    C_ARGS,
    C_ARGS_STR,
    C_SKIP,
    C_AFTER_VALUE,
    C_AFTER_CALL, /* in an array */
    C_NEXT_CALL
};

enum { K_OTHER, K_NAME, K_ARGS, K_ID };
enum { SEEN_NAME = 1, SEEN_ARGS = 2, SEEN_ANY = 4 };

void call_init(api_parser *p) {
    memset(&p->m.call, 0, sizeof p->m.call);
}

static void open_object(api_parser *p) {
    p->m.call.state = C_KEY_OR_END;
    p->m.call.seen &= SEEN_ANY;
    pgd_buf_clear(&p->args);
}

static uint8_t key_of(const api_parser *p) {
    static const struct {
        const char *text;
        uint8_t key;
    } keys[] = {{"name", K_NAME},       {"tool_name", K_NAME},  {"function", K_NAME},
                {"arguments", K_ARGS},  {"parameters", K_ARGS}, {"id", K_ID},
                {"tool_call_id", K_ID}, {"type", K_OTHER}};
    const pgd_sv word = pgd_buf_sv(&p->word);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (pgd_sv_eq(word, pgd_sv_c(keys[i].text))) return keys[i].key;
    return UINT8_MAX;
}

/* The name is known; the arguments too, or they start now. */
static step begin(api_parser *p) {
    if (p->begun) return STEP_MORE;
    return parse_begin_call(p) ? STEP_MORE : STEP_FAIL;
}

static step args_byte(api_parser *p, char c) {
    call_machine *const m = &p->m.call;
    const step s = parse_json_args(p, &m->scan, c);
    if (s != STEP_DONE) return s;
    m->seen |= SEEN_ARGS;
    m->state = C_AFTER_VALUE;
    return STEP_MORE;
}

static step args_string_byte(api_parser *p, char c) {
    call_machine *const m = &p->m.call;
    pgd_buf_clear(&p->word);
    const step s = unescape_byte(&m->str, c, '"', &p->word);
    if (s == STEP_FAIL) return s;
    parse_args(p, p->word.p, p->word.n);
    if (s == STEP_MORE) return s;
    m->seen |= SEEN_ARGS;
    m->state = C_AFTER_VALUE;
    return STEP_MORE;
}

/* First byte of a value that is not white space. */
static step open_value(api_parser *p, char c) {
    call_machine *const m = &p->m.call;
    m->str = (unescape){0};
    jscan_init(&m->scan);
    pgd_buf_clear(&p->word);
    if (m->key == K_NAME && !(m->seen & SEEN_NAME)) {
        m->state = C_NAME_STR;
        return c == '"' ? STEP_MORE : STEP_FAIL;
    }
    if (m->key == K_ID && c == '"') {
        m->state = C_ID_STR;
        return STEP_MORE;
    }
    if (m->key == K_ARGS && !(m->seen & SEEN_ARGS) && (c == '{' || c == '"' || c == '[')) {
        if ((m->seen & SEEN_NAME) && begin(p) == STEP_FAIL) return STEP_FAIL;
        m->state = c == '"' ? C_ARGS_STR : C_ARGS;
        return c == '"' ? STEP_MORE : args_byte(p, c);
    }
    m->state = C_SKIP;
    return jscan_byte(&m->scan, c);
}

static step name_byte(api_parser *p, char c) {
    call_machine *const m = &p->m.call;
    const step s = unescape_byte(&m->str, c, '"', &p->word);
    if (s == STEP_FAIL || p->word.n > API_MAX_NAME) return STEP_FAIL;
    if (s == STEP_MORE) return s;
    p->name_len = p->word.n;
    memcpy(p->name, p->word.p ? p->word.p : "", p->word.n);
    m->seen |= SEEN_NAME;
    m->state = C_AFTER_VALUE;
    return m->seen & SEEN_ARGS ? begin(p) : STEP_MORE;
}

static step id_byte(api_parser *p, char c) {
    const step s = unescape_byte(&p->m.call.str, c, '"', &p->word);
    if (s != STEP_DONE) return s;
    p->m.call.state = C_AFTER_VALUE;
    if (!p->begun && p->f.tools->own_ids && p->word.n <= API_MAX_CALL_ID) {
        p->id_len = p->word.n;
        memcpy(p->id, p->word.p ? p->word.p : "", p->word.n);
    }
    return STEP_MORE;
}

static step end_object(api_parser *p) {
    call_machine *const m = &p->m.call;
    /* without a marker, a name alone is no call */
    if (!p->begun && (p->bare || !(m->seen & SEEN_NAME))) return STEP_FAIL;
    if (!p->begun && begin(p) == STEP_FAIL) return STEP_FAIL;
    parse_end_call(p);
    m->seen |= SEEN_ANY;
    m->state = C_AFTER_CALL;
    return m->in_array ? STEP_MORE : STEP_DONE;
}

static step frame_byte(api_parser *p, char c);

static step skip_byte(api_parser *p, char c) {
    const step s = jscan_byte(&p->m.call.scan, c);
    if (s == STEP_MORE || s == STEP_FAIL) return s;
    p->m.call.state = C_AFTER_VALUE;
    return s == STEP_DONE ? STEP_MORE : parse_white(c) ? STEP_MORE : frame_byte(p, c);
}

static step key_byte(api_parser *p, char c) {
    call_machine *const m = &p->m.call;
    const step s = unescape_byte(&m->str, c, '"', &p->word);
    if (s == STEP_FAIL || p->word.n > API_MAX_NAME) return STEP_FAIL;
    if (s == STEP_MORE) return s;
    m->key = key_of(p);
    m->state = C_COLON;
    /* an answer in JSON is not a call: that shows at its first strange key */
    if (p->bare && m->key == UINT8_MAX) return STEP_FAIL;
    return STEP_MORE;
}

static step start_byte(api_parser *p, char c) {
    call_machine *const m = &p->m.call;
    if (c == '[' && !m->in_array) {
        m->in_array = true;
        return STEP_MORE;
    }
    if (c == '{') {
        open_object(p);
        return STEP_MORE;
    }
    if (c != '<' || m->in_array) return STEP_FAIL;
    m->state = C_XML_START;
    pgd_buf_clear(&p->word);
    parse_hold(p, &p->word, c);
    return STEP_MORE;
}

static step xml_start_byte(api_parser *p, char c) {
    static const char *const open[] = {"<function="};
    parse_hold(p, &p->word, c);
    const int r = parse_match(pgd_buf_sv(&p->word), open, 1);
    if (r == -2) return STEP_FAIL;
    if (r == -1) return STEP_MORE;
    xml_init(p);
    p->m.call.state = C_XML;
    return STEP_MORE;
}

/* What may stand between values: white space is skipped by the caller. */
static step frame_byte(api_parser *p, char c) {
    call_machine *const m = &p->m.call;
    switch (m->state) {
    case C_KEY_OR_END:
    case C_KEY:
        if (c == '}' && m->state == C_KEY_OR_END) return end_object(p);
        m->state = C_KEY_STR;
        m->str = (unescape){0};
        pgd_buf_clear(&p->word);
        return c == '"' ? STEP_MORE : STEP_FAIL;
    case C_COLON:
        m->state = C_VALUE;
        return c == ':' ? STEP_MORE : STEP_FAIL;
    case C_VALUE:
        return open_value(p, c);
    case C_AFTER_VALUE:
        if (c == '}') return end_object(p);
        m->state = C_KEY;
        return c == ',' ? STEP_MORE : STEP_FAIL;
    case C_AFTER_CALL:
        if (c == ']') return STEP_DONE;
        m->state = C_NEXT_CALL;
        return c == ',' ? STEP_MORE : STEP_FAIL;
    default: /* C_NEXT_CALL */
        if (c != '{') return STEP_FAIL;
        open_object(p);
        return STEP_MORE;
    }
}

static step inner_byte(api_parser *p, char c) {
    switch (p->m.call.state) {
    case C_START:
        return parse_white(c) ? STEP_MORE : start_byte(p, c);
    case C_XML_START:
        return xml_start_byte(p, c);
    case C_XML:
        return xml_byte(p, c);
    case C_KEY_STR:
        return key_byte(p, c);
    case C_NAME_STR:
        return name_byte(p, c);
    case C_ID_STR:
        return id_byte(p, c);
    case C_ARGS:
        return args_byte(p, c);
    case C_ARGS_STR:
        return args_string_byte(p, c);
    case C_SKIP:
        return skip_byte(p, c);
    default:
        return parse_white(c) ? STEP_MORE : frame_byte(p, c);
    }
}

step call_byte(api_parser *p, char c) {
    call_machine *const m = &p->m.call;
    const step s = inner_byte(p, c);
    /* whole arguments stay whole: what follows them is text */
    if (s == STEP_FAIL && p->begun && (m->seen & SEEN_ARGS)) return STEP_DONE_BEFORE;
    if (s == STEP_MORE && (m->state == C_AFTER_CALL || m->state == C_NEXT_CALL))
        pgd_buf_clear(&p->held);
    return s;
}
