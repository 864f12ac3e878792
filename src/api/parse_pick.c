/* The formats, and which of them a model speaks.
 *
 * A format is chosen by what the model's template writes for a small conversation with a tool call
 * and a thought: that shows the markers as they stand in the prompt, whatever the template's source
 * looks like. Templates that refuse such messages still write their instructions for tools. The
 * first row with a probe in that text wins, so that special forms stand before general ones.
 * Thread: the loading thread; tables are immutable. */
#include <string.h>

#include "parse_int.h"

#define DS_CALLS_BEGIN                                                                             \
    "<\xEF\xBD\x9Ctool\xE2\x96\x81"                                                                \
    "calls\xE2\x96\x81"                                                                            \
    "begin\xEF\xBD\x9C>"
#define DS_CALLS_END                                                                               \
    "<\xEF\xBD\x9Ctool\xE2\x96\x81"                                                                \
    "calls\xE2\x96\x81"                                                                            \
    "end\xEF\xBD\x9C>"
#define DS_CALL_BEGIN                                                                              \
    "<\xEF\xBD\x9Ctool\xE2\x96\x81"                                                                \
    "call\xE2\x96\x81"                                                                             \
    "begin\xEF\xBD\x9C>"
#define DS_CALL_END                                                                                \
    "<\xEF\xBD\x9Ctool\xE2\x96\x81"                                                                \
    "call\xE2\x96\x81"                                                                             \
    "end\xEF\xBD\x9C>"
#define DS_SEP "<\xEF\xBD\x9Ctool\xE2\x96\x81sep\xEF\xBD\x9C>"

/* clang-format off */
static const xml_form qwen_xml = {
    .name_end = ">", .param = "<parameter=", .key_end = ">",
    .value_end = {"</parameter>", "\n</parameter>"}, .close = {"</function>", "</tool_call>"},
    .trim = true};
static const xml_form glm_xml = {
    .name_end = "\n", .param = "<arg_key>", .key_end = "</arg_key>", .value_begin = "<arg_value>",
    .value_end = {"</arg_value>"}, .close = {"</tool_call>"}};
static const xml_form k3_xml = {
    .name_end = "\"", .head_end = "<|sep|>", .param = "<|open|>argument key=\"", .key_end = "\"",
    .value_begin = "<|sep|>", .value_end = {"<|close|>argument<|sep|>"},
    .close = {"<|close|>call<|sep|>"}};
static const api_tool_format tool_formats[] = {
    {.name = "harmony", .probe = {"<|channel|>"}, .harmony = true},
    {.name = "deepseek", .probe = {DS_CALL_BEGIN},
     .markers = {{DS_CALL_BEGIN, MARK_OPEN, BODY_NAMED}, {DS_CALL_END, MARK_DROP_AFTER, 0},
                 {DS_CALLS_BEGIN, MARK_DROP, 0}, {DS_CALLS_END, MARK_DROP, 0},
                 {"```", MARK_DROP_AFTER, 0}},
     .sep = {DS_SEP}, .close = {DS_CALL_END, DS_CALLS_END}},
    {.name = "kimi_k2", .probe = {"<|tool_call_argument_begin|>"},
     .markers = {{"<|tool_call_begin|>", MARK_OPEN, BODY_NAMED},
                 {"<|tool_call_end|>", MARK_DROP_AFTER, 0},
                 {"<|tool_calls_section_begin|>", MARK_DROP, 0},
                 {"<|tool_calls_section_end|>", MARK_DROP, 0}},
     .sep = {"<|tool_call_argument_begin|>"},
     .close = {"<|tool_call_end|>", "<|tool_calls_section_end|>"}, .own_ids = true},
    {.name = "mistral", .probe = {"[TOOL_CALLS]"},
     .markers = {{"[TOOL_CALLS]", MARK_OPEN, BODY_NAMED}},
     .sep = {"[ARGS]"}, .close = {"[TOOL_CALLS]"}, .id_digits = 9, .own_ids = true},
    {.name = "cohere", .probe = {"<|START_ACTION|>", "Action:\n```json\n"},
     .markers = {{"<|START_ACTION|>", MARK_OPEN, BODY_CALL}, {"<|END_ACTION|>", MARK_DROP_AFTER, 0},
                 {"Action:\n```json\n", MARK_OPEN, BODY_CALL}, {"```", MARK_DROP_AFTER, 0}},
     .close = {"<|END_ACTION|>"}, .own_ids = true},
    {.name = "glm", .probe = {"<arg_key>"},
     .markers = {{"<tool_call>", MARK_OPEN, BODY_XML}}, .xml = &glm_xml,
     .close = {"</tool_call>"}},
    {.name = "kimi_k3", .probe = {"<|open|>call tool="},
     .markers = {{"<|open|>call tool=\"", MARK_OPEN, BODY_XML},
                 {"<|open|>tools<|sep|>", MARK_DROP, 0}, {"<|close|>tools<|sep|>", MARK_DROP, 0}},
     .xml = &k3_xml, .close = {"<|close|>call<|sep|>"}},
    {.name = "hermes", .probe = {"<tool_call>", "<function="},
     .markers = {{"<tool_call>", MARK_OPEN, BODY_CALL}, {"</tool_call>", MARK_DROP_AFTER, 0},
                 {"<function=", MARK_OPEN, BODY_XML}},
     .xml = &qwen_xml, .close = {"</tool_call>"}},
    {.name = "granite", .probe = {"<|tool_call|>"},
     .markers = {{"<|tool_call|>", MARK_OPEN, BODY_CALL}}},
    {.name = "gigachat", .probe = {"<|function_call|>"},
     .markers = {{"<|function_call|>", MARK_OPEN, BODY_CALL}}},
    {.name = "pythonic", .probe = {"[func_name1(", "<|python_start|>", "<|tool_call_start|>["},
     .markers = {{"<|tool_call_start|>", MARK_OPEN, BODY_PYTHON},
                 {"<|tool_call_end|>", MARK_DROP_AFTER, 0},
                 {"<|python_start|>", MARK_OPEN, BODY_PYTHON},
                 {"<|python_end|>", MARK_DROP_AFTER, 0},
                 {"<|python_tag|>", MARK_OPEN, BODY_PYTHON}},
     .bare = '[', .bare_body = BODY_PYTHON},
    {.name = "llama3_json", .probe = {"<|python_tag|>", "<|start_header_id|>"},
     .markers = {{"<|python_tag|>", MARK_OPEN, BODY_CALL}},
     .bare = '{', .bare_body = BODY_CALL, .between = ';'},
};
static const api_think_format think_formats[] = {
    {.name = "harmony", .open = "<|channel|>", .close = "<|end|>", .harmony = true},
    {.name = "cohere", .open = "<|START_THINKING|>", .close = "<|END_THINKING|>",
     .drop = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"}},
    {.name = "kimi_k3", .open = "<|open|>think<|sep|>", .close = "<|close|>think<|sep|>",
     .drop = {"<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"}},
    {.name = "seed", .open = "<seed:think>", .close = "</seed:think>"},
    {.name = "mistral", .open = "[THINK]", .close = "[/THINK]"},
    {.name = "think", .open = "<think>", .close = "</think>"},
};
/* clang-format on */
enum {
    N_TOOLS = sizeof tool_formats / sizeof tool_formats[0],
    N_THINKS = sizeof think_formats / sizeof think_formats[0]
};

const char *api_tool_format_name(const api_tool_format *f) {
    return f ? f->name : "none";
}

const char *api_think_format_name(const api_think_format *f) {
    return f ? f->name : "none";
}

uint32_t api_tool_id_digits(const api_tool_format *f) {
    return f ? f->id_digits : 0;
}

/* ---- choosing ---- */

static const char probe_messages[] =
    "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"probe_tool\",\"description\":"
    "\"d\",\"parameters\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"string\","
    "\"description\":\"e\"}}}}}],"
    "\"kwargs\":{\"enable_thinking\":true,\"thinking\":true},"
    "\"talks\":[[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"\","
    "\"reasoning_content\":\"b\",\"tool_calls\":[{\"id\":\"abcdefghi\",\"type\":\"function\","
    "\"function\":{\"name\":\"probe_tool\",\"arguments\":\"{\\\"x\\\": \\\"c\\\"}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"abcdefghi\",\"name\":\"probe_tool\","
    "\"content\":\"d\"}],"
    "[{\"role\":\"user\",\"content\":\"a\"}]]}";

/* What the template writes, with tools and without; nothing where it refuses. */
static pgd_status render_probes(const pgd_chat *chat, pgd_buf *out, pgd_error *err) {
    pgd_json_doc *doc = NULL;
    PGD_TRY(pgd_json_parse(PGD_SV(probe_messages), &pgd_json_limits_request, &doc, err));
    const pgd_json *const root = pgd_json_root(doc);
    for (int with_tools = 0; with_tools < 2; with_tools++) {
        const pgd_json *talk = pgd_json_first(pgd_json_get(root, "talks"));
        for (; talk; talk = pgd_json_next(talk)) {
            const pgd_chat_input in = {.messages = talk,
                                       .tools = with_tools ? pgd_json_get(root, "tools") : NULL,
                                       .template_kwargs = pgd_json_get(root, "kwargs"),
                                       .add_generation_prompt = true};
            pgd_rendered r = {0};
            char param[128];
            pgd_error ignored = {0};
            if (pgd_chat_render(chat, &in, &r, param, &ignored) == PGD_OK)
                pgd_buf_putsv(out, pgd_buf_sv(&r.text));
            pgd_buf_putc(out, '\0');
            pgd_rendered_fini(&r);
        }
    }
    pgd_json_free(&doc);
    return out->failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory for the template's probes")
                       : PGD_OK;
}

static bool has(pgd_sv text, const char *what) {
    return what && pgd_sv_find(text, pgd_sv_c(what), 0) != SIZE_MAX;
}

static const api_tool_format *tools_in(pgd_sv text) {
    for (size_t i = 0; i < N_TOOLS; i++)
        for (size_t k = 0; k < sizeof tool_formats[i].probe / sizeof tool_formats[i].probe[0]; k++)
            if (has(text, tool_formats[i].probe[k])) return &tool_formats[i];
    return NULL;
}

static const api_think_format *think_in(pgd_sv text) {
    for (size_t i = 0; i < N_THINKS; i++) {
        const api_think_format *const f = &think_formats[i];
        if (has(text, f->open) || (!f->harmony && has(text, f->close))) return f;
    }
    return NULL;
}

static unsigned signs_in(pgd_sv text) {
    static const struct {
        const char *text;
        api_sign sign;
    } signs[] = {{"<function=", API_SIGN_FUNCTION_TAG},
                 {"[ARGS]", API_SIGN_ARGS},
                 {"```json", API_SIGN_FENCE},
                 {"Action:\n```json", API_SIGN_ACTION},
                 {"<|tool_call_start|>[", API_SIGN_LFM}};
    unsigned all = 0;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (has(text, signs[i].text)) all |= (unsigned)signs[i].sign;
    return all;
}

static bool is_auto(const char *name) {
    return !name || strcmp(name, "auto") == 0;
}

pgd_status api_formats_pick(const pgd_chat *chat, const char *tools, const char *think,
                            api_formats *out, pgd_error *err) {
    *out = (api_formats){0};
    bool tools_known = is_auto(tools) || strcmp(tools, "none") == 0;
    bool think_known = is_auto(think) || strcmp(think, "none") == 0;
    for (size_t i = 0; !tools_known && i < N_TOOLS; i++)
        if (strcmp(tools, tool_formats[i].name) == 0) {
            out->tools = &tool_formats[i];
            tools_known = true;
        }
    for (size_t i = 0; !think_known && i < N_THINKS; i++)
        if (strcmp(think, think_formats[i].name) == 0) {
            out->think = &think_formats[i];
            think_known = true;
        }
    if (!tools_known)
        return pgd_fail(err, PGD_E_INVALID, "tool-call-parser: '%s' is no known format", tools);
    if (!think_known)
        return pgd_fail(err, PGD_E_INVALID, "reasoning-parser: '%s' is no known format", think);
    if (!chat) return PGD_OK;
    pgd_buf text = {0};
    const pgd_status st = render_probes(chat, &text, err);
    if (st == PGD_OK && is_auto(tools)) out->tools = tools_in(pgd_buf_sv(&text));
    if (st == PGD_OK && is_auto(think)) out->think = think_in(pgd_buf_sv(&text));
    if (st == PGD_OK) out->signs = signs_in(pgd_buf_sv(&text));
    pgd_buf_fini(&text);
    return st;
}

/* ---- tokens and prompts ---- */

static bool related(pgd_sv token, const char *text) {
    if (!text) return false;
    const pgd_sv m = pgd_sv_c(text);
    return pgd_sv_find(m, token, 0) != SIZE_MAX || pgd_sv_find(token, m, 0) != SIZE_MAX;
}

bool api_formats_need(const api_formats *f, pgd_sv token) {
    static const char *const harmony[] = {"<|message|>",   "<|start|>", "<|channel|>",
                                          "<|constrain|>", "<|end|>",   "<|return|>",
                                          "<|call|>"};
    bool need = false;
    if (!token.n) return false;
    if ((f->tools && f->tools->harmony) || (f->think && f->think->harmony))
        for (size_t i = 0; i < sizeof harmony / sizeof harmony[0]; i++)
            need = need || related(token, harmony[i]);
    if (f->tools) {
        for (size_t i = 0; i < API_MAX_MARKERS; i++)
            need = need || related(token, f->tools->markers[i].text);
        need = need || related(token, f->tools->sep[0]) || related(token, f->tools->sep[1]);
        need = need || (f->tools->id_digits && related(token, "[CALL_ID]"));
    }
    if (!f->think || f->think->harmony) return need;
    for (size_t i = 0; i < sizeof f->think->drop / sizeof f->think->drop[0]; i++)
        need = need || related(token, f->think->drop[i]);
    return need || related(token, f->think->open) || related(token, f->think->close);
}

/* Offset of the last `what` in s, or SIZE_MAX. */
static size_t find_last(pgd_sv s, const char *what) {
    size_t at = SIZE_MAX;
    const pgd_sv w = pgd_sv_c(what);
    for (size_t i = pgd_sv_find(s, w, 0); i != SIZE_MAX; i = pgd_sv_find(s, w, i + w.n))
        at = i;
    return at;
}

/* SIZE_MAX (nowhere) counts as before everything. */
static bool later(size_t a, size_t b) {
    return a != SIZE_MAX && (b == SIZE_MAX || a > b);
}

static api_open harmony_open(pgd_sv tail) {
    const size_t message = find_last(tail, "<|message|>");
    if (!later(message, find_last(tail, "<|start|>")) ||
        !later(message, find_last(tail, "<|end|>")) || !later(message, find_last(tail, "<|call|>")))
        return API_OPEN_NOTHING;
    const size_t channel = find_last((pgd_sv){tail.p, message}, "<|channel|>analysis");
    return later(channel, find_last((pgd_sv){tail.p, message}, "<|start|>")) ? API_OPEN_REASONING
                                                                             : API_OPEN_MESSAGE;
}

api_open api_prompt_open(const api_formats *f, const pgd_rendered *prompt) {
    if (!prompt->n_control) return API_OPEN_NOTHING;
    /* the last of what the template wrote without a break: the generation prompt, or what stands in
     * front of an answer to be continued */
    size_t i = prompt->n_control - 1;
    const size_t end = prompt->control[i].end;
    while (i && prompt->control[i - 1].end == prompt->control[i].begin)
        i--;
    const size_t begin = prompt->control[i].begin;
    const pgd_sv tail = {prompt->text.p + begin, end - begin};
    if ((f->think && f->think->harmony) || (f->tools && f->tools->harmony))
        return harmony_open(tail);
    if (!f->think) return API_OPEN_NOTHING;
    const size_t close = find_last(tail, f->think->close);
    if (later(find_last(tail, f->think->open), close)) return API_OPEN_REASONING;
    return close == SIZE_MAX ? API_OPEN_NOTHING : API_OPEN_ANSWER;
}
