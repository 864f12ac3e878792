/* Calls in the form that a model writes them, as specifications: one row a form. What these rows
 * admit, the parser of the format (parse_pick.c) takes apart; tests walk through all of them.
 *
 *   first  ( open NAME mid ARGS close )  between  ( … )  last
 *
 * Where a family has several forms, the template's own text tells which: the first row of the
 * format whose `sign` was seen in it, or that has none. Thread: a worker; tables are immutable. */
#include <string.h>

#include "constrain.h"
#include "parse_int.h"

typedef enum args_kind { ARGS_JSON, ARGS_LISTED } args_kind;

typedef struct call_form {
    const char *format;
    api_sign sign; /* 0: any */
    const char *first, *open, *mid, *close, *between, *last;
    args_kind args;
    api_args_form listed;
    bool single; /* a turn ends with its first call */
} call_form;

#define DS "\xEF\xBD\x9C"
#define DS_ "\xE2\x96\x81"
#define DS_CALL_BEGIN "<" DS "tool" DS_ "call" DS_ "begin" DS ">"
#define DS_CALL_END "<" DS "tool" DS_ "call" DS_ "end" DS ">"
#define DS_CALLS_BEGIN "<" DS "tool" DS_ "calls" DS_ "begin" DS ">"
#define DS_CALLS_END "<" DS "tool" DS_ "calls" DS_ "end" DS ">"
#define DS_SEP "<" DS "tool" DS_ "sep" DS ">"

/* clang-format off */
static const call_form forms[] = {
    {.format = "hermes", .sign = API_SIGN_FUNCTION_TAG, .open = "<tool_call>\n<function=",
     .mid = ">\n", .close = "</function>\n</tool_call>", .between = "\n", .args = ARGS_LISTED,
     .listed = {.param = "<parameter=", .key_end = ">\n", .value_end = "\n</parameter>\n",
                .raw_end = "</parameter>"}},
    {.format = "hermes", .open = "<tool_call>\n{\"name\": \"", .mid = "\", \"arguments\": ",
     .close = "}\n</tool_call>", .between = "\n"},
    {.format = "llama3_json", .open = "{\"name\": \"", .mid = "\", \"parameters\": ", .close = "}",
     .between = "; "},
    {.format = "mistral", .sign = API_SIGN_ARGS, .open = "[TOOL_CALLS]", .mid = "[ARGS]"},
    {.format = "mistral", .first = "[TOOL_CALLS][", .open = "{\"name\": \"",
     .mid = "\", \"arguments\": ", .close = "}", .between = ", ", .last = "]"},
    {.format = "deepseek", .sign = API_SIGN_FENCE, .first = DS_CALLS_BEGIN,
     .open = DS_CALL_BEGIN "function" DS_SEP, .mid = "\n```json\n", .close = "\n```" DS_CALL_END,
     .between = "\n", .last = DS_CALLS_END},
    {.format = "deepseek", .first = DS_CALLS_BEGIN, .open = DS_CALL_BEGIN, .mid = DS_SEP,
     .close = DS_CALL_END, .last = DS_CALLS_END},
    {.format = "kimi_k2", .first = "<|tool_calls_section_begin|>",
     .open = "<|tool_call_begin|>functions.", .mid = ":#<|tool_call_argument_begin|>",
     .close = "<|tool_call_end|>", .last = "<|tool_calls_section_end|>"},
    {.format = "kimi_k3", .first = "<|open|>tools<|sep|>", .open = "<|open|>call tool=\"",
     .mid = "\"<|sep|>", .close = "<|close|>call<|sep|>", .last = "<|close|>tools<|sep|>",
     .args = ARGS_LISTED,
     .listed = {.param = "<|open|>argument key=\"", .typed = true, .key_end = "\"<|sep|>",
                .value_end = "<|close|>argument<|sep|>", .raw_end = "<|close|>"}},
    {.format = "glm", .open = "<tool_call>", .mid = "\n", .close = "</tool_call>", .between = "\n",
     .args = ARGS_LISTED,
     .listed = {.param = "<arg_key>", .key_end = "</arg_key>\n<arg_value>",
                .value_end = "</arg_value>\n", .raw_end = "</arg_value>"}},
    {.format = "cohere", .sign = API_SIGN_ACTION, .first = "Action:\n```json\n[\n",
     .open = "    {\n        \"tool_name\": \"", .mid = "\",\n        \"parameters\": ",
     .close = "\n    }", .between = ",\n", .last = "\n]\n```"},
    {.format = "cohere", .first = "<|START_ACTION|>[\n",
     .open = "    {\"tool_call_id\": \"#\", \"tool_name\": \"", .mid = "\", \"parameters\": ",
     .close = "}", .between = ",\n", .last = "\n]<|END_ACTION|>"},
    {.format = "granite", .first = "<|tool_call|>[", .open = "{\"name\": \"",
     .mid = "\", \"arguments\": ", .close = "}", .between = ", ", .last = "]"},
    {.format = "gigachat", .open = "<|function_call|>{\"name\": \"", .mid = "\", \"arguments\": ",
     .close = "}", .single = true},
    {.format = "pythonic", .sign = API_SIGN_LFM, .first = "<|tool_call_start|>[", .mid = "(",
     .close = ")", .between = ", ", .last = "]<|tool_call_end|>", .args = ARGS_LISTED,
     .listed = {.key_end = "=", .between = ", "}},
    {.format = "pythonic", .first = "[", .mid = "(", .close = ")", .between = ", ", .last = "]",
     .args = ARGS_LISTED, .listed = {.key_end = "=", .between = ", "}},
    {.format = "harmony", .open = "<|channel|>commentary to=functions.",
     .mid = " <|constrain|>json<|message|>", .single = true},
};
/* clang-format on */

static const call_form *form_of(const api_formats *f) {
    const char *const name = api_tool_format_name(f->tools);
    for (size_t i = 0; f->tools && i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(forms[i].format, name) == 0 &&
            (!forms[i].sign || f->signs & (unsigned)forms[i].sign))
            return &forms[i];
    return NULL;
}

bool api_can_call(const api_formats *f) {
    return form_of(f) != NULL;
}

/* Text in which # is a number of a call. */
static pgd_grammar_spec numbered(api_builder *b, const char *text) {
    const char *const at = text ? strchr(text, '#') : NULL;
    if (!at) return api_spec_text(b, text);
    const char *const head = pgd_arena_strndup(b->arena, text, (size_t)(at - text));
    b->failed = b->failed || !head;
    const pgd_grammar_spec number = {.kind = PGD_GRAMMAR_REGEX, .text = PGD_SV("[0-9]{1,3}")};
    return API_SEQ(b, api_spec_text(b, head), number, api_spec_text(b, at + 1));
}

static pgd_status one_call(api_builder *b, const call_form *f, const api_tool *t,
                           pgd_grammar_spec *out, api_error *e) {
    pgd_grammar_spec args = {.kind = PGD_GRAMMAR_TEXT, .text = PGD_SV("{}")};
    const char *const name = pgd_arena_strndup(b->arena, t->name.p, t->name.n);
    b->failed = b->failed || !name;
    pgd_sv schema;
    bool none;
    PGD_TRY(api_args_schema(b, t, &schema, &none, e));
    if (f->args == ARGS_LISTED)
        PGD_TRY(api_spec_args(b, &f->listed, t, &args, e));
    else if (!none)
        args = api_spec_json(schema, !t->strict, t->path);
    const pgd_grammar_spec plain = {.kind = PGD_GRAMMAR_TEXT, .text = pgd_sv_c(name ? name : "")};
    *out = API_SEQ(b, plain, numbered(b, f->mid), args);
    return PGD_OK;
}

pgd_status api_spec_calls(api_builder *b, const api_formats *formats, const api_tool_rule *rule,
                          bool single, pgd_grammar_spec *out, api_error *e) {
    const call_form *const f = form_of(formats);
    pgd_grammar_spec *const alt = pgd_arena_array(b->arena, rule->n_tools, sizeof *alt);
    size_t n = 0;
    if (!alt) return api_fail_nomem(e);
    for (size_t i = 0; i < rule->n_tools; i++)
        if (rule->tool[i].allowed) PGD_TRY(one_call(b, f, &rule->tool[i], &alt[n++], e));
    const pgd_grammar_spec call =
        API_SEQ(b, numbered(b, f->open), api_spec_join(b, PGD_GRAMMAR_ALT, alt, n),
                api_spec_text(b, f->close));
    const uint32_t max = single || f->single ? 1 : 0;
    *out = API_SEQ(b, api_spec_text(b, f->first),
                   api_spec_repeat(b, call, api_spec_text(b, f->between), 1, max),
                   api_spec_text(b, f->last));
    return b->failed ? api_fail_nomem(e) : PGD_OK;
}

size_t api_call_openers(const api_formats *f, const char **out, size_t max) {
    size_t n = 0;
    for (size_t i = 0; f->tools && i < API_MAX_MARKERS && f->tools->markers[i].text; i++)
        if (f->tools->markers[i].use == MARK_OPEN && n < max) out[n++] = f->tools->markers[i].text;
    return n;
}

char api_call_bare(const api_formats *f) {
    return f->tools ? f->tools->bare : '\0';
}
