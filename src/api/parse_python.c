/* Calls as Python: [f(a=1, b="x"), g()], as Llama 4 and other "pythonic" models write them.
 *
 * Literals become JSON as they come: True, False, None, strings of either quote, lists, tuples and
 * dicts with string keys. A call begins at its first keyword (or its closing parenthesis), so that
 * a list of words, a Markdown link or an index stays text; what is no keyword call is no call.
 * Thread: the choice's. */
#include <string.h>

#include "pagoda/jsonw.h"
#include "parse_int.h"

enum {
    P_OPEN,
    P_NAME,
    P_KEY, /* a keyword, or the end of the call */
    P_VALUE,
    P_ITEM, /* behind an opening bracket or a comma inside one */
    P_STRING,
    P_WORD, /* a number or a name */
    P_COLON,
    P_AFTER_VALUE,
    P_AFTER_CALL
};

void python_init(api_parser *p) {
    memset(&p->m.python, 0, sizeof p->m.python);
}

static bool word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-' || c == '+';
}

/* The form is broken: what word holds goes on with the verbatim arguments. */
static step broken(api_parser *p) {
    if (p->begun) parse_args(p, p->word.p, p->word.n);
    return STEP_FAIL;
}

static step begin(api_parser *p) {
    return p->begun || parse_begin_call(p) ? STEP_MORE : STEP_FAIL;
}

static step name_byte(api_parser *p, char c) {
    if (parse_white(c) && !p->word.n) return STEP_MORE;
    if (word_char(c)) {
        parse_hold(p, &p->word, c);
        return p->word.n > API_MAX_NAME ? STEP_FAIL : STEP_MORE;
    }
    if (c != '(' || !p->word.n) return STEP_FAIL;
    memcpy(p->name, p->word.p, p->word.n);
    p->name_len = p->word.n;
    pgd_buf_clear(&p->word);
    p->m.python.state = P_KEY;
    p->m.python.any = false;
    return STEP_MORE;
}

static step end_call(api_parser *p) {
    if (begin(p) == STEP_FAIL) return STEP_FAIL;
    if (p->m.python.any) parse_args(p, "}", 1);
    parse_end_call(p);
    p->m.python.state = P_AFTER_CALL;
    return STEP_MORE;
}

static step key_byte(api_parser *p, char c) {
    python_machine *const m = &p->m.python;
    if (parse_white(c)) return STEP_MORE;
    if (c == ')' && !p->word.n) return end_call(p);
    if (word_char(c)) {
        parse_hold(p, &p->word, c);
        return p->word.n > API_MAX_NAME ? broken(p) : STEP_MORE;
    }
    if (c != '=' || !p->word.n) return broken(p);
    if (begin(p) == STEP_FAIL) return STEP_FAIL;
    parse_args(p, m->any ? ", \"" : "{\"", m->any ? 3 : 2);
    parse_args(p, p->word.p, p->word.n); /* word characters need no escapes */
    parse_args(p, "\": ", 3);
    pgd_buf_clear(&p->word);
    m->any = true;
    m->state = P_VALUE;
    return STEP_MORE;
}

static step open_bracket(api_parser *p, char c) {
    python_machine *const m = &p->m.python;
    if (m->depth == API_MAX_DEPTH) return broken(p);
    m->stack[m->depth++] = c == '{' ? '}' : c == '[' ? ']' : ')';
    parse_args(p, c == '{' ? "{" : "[", 1);
    m->state = P_ITEM;
    m->is_key = c == '{';
    m->any = false; /* of this bracket; the call's own is true again behind it */
    return STEP_MORE;
}

static step close_bracket(api_parser *p, char c) {
    python_machine *const m = &p->m.python;
    if (!m->depth || m->stack[m->depth - 1] != c) return broken(p);
    m->depth--;
    parse_args(p, c == '}' ? "}" : "]", 1);
    m->any = true;
    m->state = P_AFTER_VALUE;
    return STEP_MORE;
}

static step value_byte(api_parser *p, char c) {
    python_machine *const m = &p->m.python;
    if (parse_white(c)) return STEP_MORE;
    if (c == '"' || c == '\'') {
        m->state = P_STRING;
        m->quote = c;
        m->str = (unescape){0};
        pgd_buf_clear(&p->word);
        parse_args(p, "\"", 1);
        return STEP_MORE;
    }
    if (m->is_key) return broken(p);
    if (c == '{' || c == '[' || c == '(') return open_bracket(p, c);
    if (!word_char(c)) return broken(p);
    m->state = P_WORD;
    parse_hold(p, &p->word, c);
    return STEP_MORE;
}

static step item_byte(api_parser *p, char c) {
    python_machine *const m = &p->m.python;
    if (parse_white(c)) return STEP_MORE;
    if (c == m->stack[m->depth - 1]) return close_bracket(p, c);
    if (m->any) parse_args(p, ", ", 2);
    m->is_key = m->stack[m->depth - 1] == '}';
    m->state = P_VALUE;
    return value_byte(p, c);
}

static step string_byte(api_parser *p, char c) {
    python_machine *const m = &p->m.python;
    pgd_buf_clear(&p->word);
    const step s = unescape_byte(&m->str, c, m->quote, &p->word);
    if (s == STEP_FAIL) return s;
    pgd_buf b = {0};
    pgd_json_escape(&b, pgd_buf_sv(&p->word));
    if (b.failed) p->out->bytes.failed = true;
    parse_args(p, b.p, b.n);
    pgd_buf_fini(&b);
    pgd_buf_clear(&p->word);
    if (s == STEP_MORE) return s;
    parse_args(p, "\"", 1);
    m->state = m->is_key ? P_COLON : P_AFTER_VALUE;
    m->is_key = false;
    return STEP_MORE;
}

static step after_value_byte(api_parser *p, char c) {
    python_machine *const m = &p->m.python;
    if (parse_white(c)) return STEP_MORE;
    m->any = true;
    if (c == ',') {
        m->state = m->depth ? P_ITEM : P_KEY;
        return STEP_MORE;
    }
    if (!m->depth && c == ')') return end_call(p);
    return close_bracket(p, c);
}

static step word_byte(api_parser *p, char c) {
    static const char *const names[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                                           {"true", "true"}, {"false", "false"}, {"null", "null"}};
    if (word_char(c)) {
        parse_hold(p, &p->word, c);
        return p->word.n > API_MAX_NAME ? broken(p) : STEP_MORE;
    }
    const pgd_sv word = pgd_buf_sv(&p->word);
    pgd_sv json = {NULL, 0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (pgd_sv_eq(word, pgd_sv_c(names[i][0]))) json = pgd_sv_c(names[i][1]);
    if (!json.p && pgd_json_validate(word, &pgd_json_limits_request, NULL) == PGD_OK) json = word;
    if (!json.p) return broken(p);
    parse_args(p, json.p, json.n);
    pgd_buf_clear(&p->word);
    p->m.python.state = P_AFTER_VALUE;
    return after_value_byte(p, c);
}

static step after_call_byte(api_parser *p, char c) {
    pgd_buf_clear(&p->held);
    if (parse_white(c)) return STEP_MORE;
    if (c == ']') return STEP_DONE;
    if (c != ',') {
        parse_hold(p, &p->held, c);
        return STEP_FAIL;
    }
    p->m.python.state = P_NAME;
    return STEP_MORE;
}

step python_byte(api_parser *p, char c) {
    switch (p->m.python.state) {
    case P_OPEN:
        if (parse_white(c)) return STEP_MORE;
        p->m.python.state = P_NAME;
        return c == '[' ? STEP_MORE : STEP_FAIL;
    case P_NAME:
        return name_byte(p, c);
    case P_KEY:
        return key_byte(p, c);
    case P_VALUE:
        return value_byte(p, c);
    case P_ITEM:
        return item_byte(p, c);
    case P_STRING:
        return string_byte(p, c);
    case P_WORD:
        return word_byte(p, c);
    case P_COLON:
        if (parse_white(c)) return STEP_MORE;
        if (c != ':') return broken(p);
        parse_args(p, ": ", 2);
        p->m.python.state = P_VALUE;
        return STEP_MORE;
    case P_AFTER_VALUE:
        return after_value_byte(p, c);
    default:
        return after_call_byte(p, c);
    }
}
