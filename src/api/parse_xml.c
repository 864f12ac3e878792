/* Calls as a name and tagged parameters, from behind the opening marker on:
 *
 *   NAME>\n<parameter=KEY>\nvalue\n</parameter>\n … </function>             Qwen3-Coder and kin
 *   NAME\n<arg_key>KEY</arg_key>\n<arg_value>value</arg_value> … </tool_call>   GLM
 *   NAME" …<|sep|><|open|>argument key="KEY" type="number"<|sep|>value<|close|>argument<|sep|> …
 *                                                                          Kimi K3
 *
 * A form is a row of strings (xml_form). Where values carry no types the tool's schema says what is
 * a string; the rest is JSON where it parses, and a string otherwise. Strings stream inside an open
 * quote, other values come at their end. Thread: the choice's. */
#include <stdio.h>
#include <string.h>

#include "pagoda/json.h"
#include "pagoda/jsonw.h"
#include "parse_int.h"

enum { X_NAME, X_HEAD, X_BETWEEN, X_KEY, X_VALUE_HEAD, X_VALUE_FIRST, X_VALUE };
enum { MAX_HEAD = API_MAX_NAME + 64 };

void xml_init(api_parser *p) {
    p->xml = (xml_machine){0};
    pgd_buf_clear(&p->word);
    pgd_buf_clear(&p->args);
}

/* The form is broken: the arguments go on verbatim with what is in word (c, its last byte, not). */
static step broken(api_parser *p) {
    if (p->begun && p->word.n) parse_args(p, p->word.p, p->word.n - 1);
    return STEP_FAIL;
}

/* Whether the word ends with `end` now; then that is taken off. */
static bool word_ended(api_parser *p, const char *end) {
    const pgd_sv e = pgd_sv_c(end);
    if (!pgd_sv_ends(pgd_buf_sv(&p->word), e)) return false;
    p->word.n -= e.n;
    return true;
}

static step name_byte(api_parser *p, char c) {
    const xml_form *const f = p->f.tools->xml;
    /* a name that a tag ends */
    const bool tag = c == '<' && !f->head_end;
    if (!tag) parse_hold(p, &p->word, c);
    if (!tag && !word_ended(p, f->name_end))
        return p->word.n > API_MAX_NAME ? STEP_FAIL : STEP_MORE;
    const pgd_sv name = parse_trimmed(pgd_buf_sv(&p->word));
    if (name.n > API_MAX_NAME) return STEP_FAIL;
    memcpy(p->name, name.p ? name.p : "", name.n);
    p->name_len = name.n;
    if (!parse_begin_call(p)) return STEP_FAIL;
    p->xml.state = f->head_end ? X_HEAD : X_BETWEEN;
    pgd_buf_clear(&p->word);
    return tag ? xml_byte(p, c) : STEP_MORE;
}

static step head_byte(api_parser *p, char c) {
    parse_hold(p, &p->word, c);
    if (!word_ended(p, p->f.tools->xml->head_end))
        return p->word.n > MAX_HEAD ? broken(p) : STEP_MORE;
    pgd_buf_clear(&p->word);
    p->xml.state = X_BETWEEN;
    return STEP_MORE;
}

static step between_byte(api_parser *p, char c) {
    const xml_form *const f = p->f.tools->xml;
    const char *const tags[] = {f->param, f->close[0], f->close[1]};
    if (!p->word.n && parse_white(c)) return STEP_MORE;
    parse_hold(p, &p->word, c);
    const int r = parse_match(pgd_buf_sv(&p->word), tags, 3);
    if (r == -2) return broken(p);
    if (r == -1) return STEP_MORE;
    pgd_buf_clear(&p->word);
    if (r == 0) {
        p->xml.state = X_KEY;
        return STEP_MORE;
    }
    if (p->xml.any) parse_args(p, "}", 1);
    return STEP_DONE;
}

static void put_quoted(api_parser *p, pgd_sv s) {
    pgd_buf b = {0};
    pgd_buf_putc(&b, '"');
    pgd_json_escape(&b, s);
    pgd_buf_putc(&b, '"');
    if (b.failed) p->out->bytes.failed = true;
    parse_args(p, b.p, b.n);
    pgd_buf_fini(&b);
}

/* The kind of the value is known: what precedes it in JSON, behind the key. */
static void open_value(api_parser *p) {
    parse_args(p, ": ", 2);
    if (p->xml.kind == PARAM_STRING) parse_args(p, "\"", 1);
    p->xml.state = X_VALUE_FIRST;
    pgd_buf_clear(&p->word);
    pgd_buf_clear(&p->args);
}

static step key_byte(api_parser *p, char c) {
    const xml_form *const f = p->f.tools->xml;
    parse_hold(p, &p->word, c);
    if (!word_ended(p, f->key_end)) return p->word.n > MAX_HEAD ? broken(p) : STEP_MORE;
    const pgd_sv key = parse_trimmed(pgd_buf_sv(&p->word));
    p->xml.kind = (uint8_t)toolset_param(p->tools, (pgd_sv){p->name, p->name_len}, key);
    parse_args(p, p->xml.any ? ", " : "{", p->xml.any ? 2 : 1);
    p->xml.any = true;
    put_quoted(p, key);
    pgd_buf_clear(&p->word);
    if (f->value_begin)
        p->xml.state = X_VALUE_HEAD;
    else
        open_value(p);
    return STEP_MORE;
}

static step value_head_byte(api_parser *p, char c) {
    parse_hold(p, &p->word, c);
    if (!word_ended(p, p->f.tools->xml->value_begin))
        return p->word.n > MAX_HEAD ? broken(p) : STEP_MORE;
    const pgd_sv head = pgd_buf_sv(&p->word);
    if (pgd_sv_find(head, PGD_SV("type=\"string\""), 0) != SIZE_MAX)
        p->xml.kind = PARAM_STRING;
    else if (pgd_sv_find(head, PGD_SV("type="), 0) != SIZE_MAX)
        p->xml.kind = PARAM_ANY;
    open_value(p);
    return STEP_MORE;
}

/* One byte inside a JSON string. */
static void put_string_byte(api_parser *p, char c) {
    char b[8] = {c};
    size_t n = 1;
    if (c == '"' || c == '\\')
        n = (size_t)snprintf(b, sizeof b, "\\%c", c);
    else if (c == '\n')
        n = (size_t)snprintf(b, sizeof b, "\\n");
    else if ((unsigned char)c < 0x20)
        n = (size_t)snprintf(b, sizeof b, "\\u%04x", (unsigned)c);
    parse_args(p, b, n);
}

static void put_typed(api_parser *p) {
    static const char *const python[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    const pgd_sv raw = pgd_buf_sv(&p->args), v = parse_trimmed(raw);
    const bool null = pgd_sv_eq(v, PGD_SV("null"));
    pgd_sv json = {NULL, 0};
    if (p->xml.kind == PARAM_STRING_OR_NULL) {
        if (null) json = v;
    } else if (v.n) {
        for (size_t i = 0; i < sizeof python / sizeof python[0]; i++)
            if (pgd_sv_eq(v, pgd_sv_c(python[i][0]))) json = pgd_sv_c(python[i][1]);
        if (!json.p && pgd_json_validate(v, &pgd_json_limits_request, NULL) == PGD_OK) json = v;
    }
    if (json.p)
        parse_args(p, json.p, json.n);
    else
        put_quoted(p, raw);
}

static step value_byte(api_parser *p, char c) {
    const xml_form *const f = p->f.tools->xml;
    if (p->xml.state == X_VALUE_FIRST) {
        p->xml.state = X_VALUE;
        if (c == '\n' && f->trim) return STEP_MORE;
    }
    parse_hold(p, &p->word, c);
    while (p->word.n) {
        const int r = parse_match(pgd_buf_sv(&p->word), f->value_end, 2);
        if (r == -1) return STEP_MORE;
        if (r >= 0) break;
        if (p->xml.kind == PARAM_STRING)
            put_string_byte(p, p->word.p[0]);
        else
            pgd_buf_putc(&p->args, p->word.p[0]);
        pgd_buf_drop_front(&p->word, 1);
    }
    if (!p->word.n) return STEP_MORE;
    if (p->xml.kind == PARAM_STRING)
        parse_args(p, "\"", 1);
    else
        put_typed(p);
    pgd_buf_clear(&p->word);
    pgd_buf_clear(&p->args);
    p->xml.state = X_BETWEEN;
    return STEP_MORE;
}

step xml_byte(api_parser *p, char c) {
    switch (p->xml.state) {
    case X_NAME:
        return name_byte(p, c);
    case X_HEAD:
        return head_byte(p, c);
    case X_BETWEEN:
        return between_byte(p, c);
    case X_KEY:
        return key_byte(p, c);
    case X_VALUE_HEAD:
        return value_head_byte(p, c);
    default:
        return value_byte(p, c);
    }
}
