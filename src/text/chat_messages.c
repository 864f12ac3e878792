/* Messages as clients send them, checked and brought into the shape that a template takes: content
 * as string or parts, tool-call arguments as object or string, the developer role, system messages
 * at the front where the template wants them there.
 *
 * Roles of the known set are trusted text, all else of a request is not. History is read leniently
 * (null and missing content, arguments that are no JSON, empty tool_calls), since clients replay
 * what models once wrote and one bad message must not spoil the whole conversation; what is
 * structurally wrong gets an error with its JSON path. Thread: any. Does not render. */
#include "chat_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pagoda/jsonw.h"

const char *const chat_role_names[CHAT_N_ROLES] = {"system",    "user",     "assistant", "tool",
                                                   "developer", "function", "ipython"};

typedef struct builder {
    pgd_arena *a;
    const chat_caps *caps;
    const pgd_chat_input *in;
    char *param;
    pgd_error *err;
    pgd_jinja_value *list;
    pgd_buf system; /* texts of system and developer messages that are merged to the front */
    chat_role merged_role;
    bool merge;
    const pgd_json *call; /* the next call without a result, of the last assistant message */
} builder;

static pgd_status fail_at(builder *b, pgd_status code, const char *msg, const char *path, ...)
    __attribute__((format(printf, 4, 5)));

/* Record a failure of the value at path. */
static pgd_status fail_at(builder *b, pgd_status code, const char *msg, const char *path, ...) {
    va_list ap;
    va_start(ap, path);
    (void)vsnprintf(b->param, 128, path, ap);
    va_end(ap);
    return pgd_fail(b->err, code, "%s: %s", b->param, msg);
}

static pgd_status no_memory(builder *b) {
    return pgd_fail(b->err, PGD_E_NOMEM, "no memory for the messages");
}

static bool set(builder *b, pgd_jinja_value *d, const char *key, pgd_jinja_value *v) {
    return pgd_jinja_set(b->a, d, pgd_sv_c(key), v);
}

static const pgd_json *member(const pgd_json *obj, const char *key) {
    const pgd_json *const v = pgd_json_get(obj, key);
    return pgd_json_is_null(v) ? NULL : v;
}

/* ---- content ------------------------------------------------------------------------------ */

/* The text of a content part; images, audio and files are refused, unknown types are errors. */
static pgd_status part_text(builder *b, const pgd_json *part, size_t m, size_t p, pgd_sv *out) {
    static const char *const other[] = {"image_url", "image",     "input_audio", "audio_url",
                                        "audio",     "video_url", "video",       "file"};
    pgd_sv type;
    if (pgd_json_as_str(part, out)) return PGD_OK; /* a bare string in the list */
    if (!part || pgd_json_typeof(part) != PGD_JSON_OBJECT)
        return fail_at(b, PGD_E_INVALID, "a content part must be an object",
                       "messages[%zu].content[%zu]", m, p);
    if (!pgd_json_as_str(pgd_json_get(part, "type"), &type))
        return fail_at(b, PGD_E_INVALID, "a content part needs a type (a string)",
                       "messages[%zu].content[%zu].type", m, p);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        if (pgd_sv_eq(type, pgd_sv_c(other[i])))
            return fail_at(b, PGD_E_UNSUPPORTED, "this model takes text content only",
                           "messages[%zu].content[%zu].type", m, p);
    const bool refusal = pgd_sv_eq(type, PGD_SV("refusal"));
    if (!refusal && !pgd_sv_eq(type, PGD_SV("text")))
        return fail_at(b, PGD_E_INVALID, "unknown content part type",
                       "messages[%zu].content[%zu].type", m, p);
    const char *const key = refusal ? "refusal" : "text";
    if (!pgd_json_as_str(pgd_json_get(part, key), out))
        return fail_at(b, PGD_E_INVALID, "must be a string", "messages[%zu].content[%zu].%s", m, p,
                       key);
    return PGD_OK;
}

static pgd_jinja_value *text_part(builder *b, pgd_sv text) {
    pgd_jinja_value *d = pgd_jinja_dict(b->a);
    if (!set(b, d, "type", pgd_jinja_str(b->a, PGD_SV("text"), true))) return NULL;
    return set(b, d, "text", pgd_jinja_str(b->a, text, false)) ? d : NULL;
}

/* Plain text of a content value: absent and null are empty, parts are joined by newlines. */
static pgd_status content_text(builder *b, const pgd_json *content, size_t m, pgd_buf *out) {
    pgd_sv s;
    if (!content) return PGD_OK;
    if (pgd_json_as_str(content, &s)) {
        pgd_buf_putsv(out, s);
        return PGD_OK;
    }
    if (pgd_json_typeof(content) != PGD_JSON_ARRAY)
        return fail_at(b, PGD_E_INVALID, "content must be a string or an array of parts",
                       "messages[%zu].content", m);
    size_t p = 0;
    for (const pgd_json *c = pgd_json_first(content); c; c = pgd_json_next(c), p++) {
        PGD_TRY(part_text(b, c, m, p, &s));
        if (p) pgd_buf_putc(out, '\n');
        pgd_buf_putsv(out, s);
    }
    return PGD_OK;
}

/* Content as a list of text parts; `tag` goes behind the last text. */
static pgd_status content_parts(builder *b, const pgd_json *content, size_t m, const char *tag,
                                pgd_jinja_value **out) {
    pgd_jinja_value *list = pgd_jinja_list(b->a);
    pgd_buf text = {0};
    pgd_status st = PGD_OK;
    pgd_sv s = {"", 0};
    const bool array = content && pgd_json_typeof(content) == PGD_JSON_ARRAY;
    const pgd_json *c = array ? pgd_json_first(content) : content;
    size_t p = 0;
    do {
        const pgd_json *const next = array && c ? pgd_json_next(c) : NULL;
        if (c && st == PGD_OK) st = part_text(b, c, m, p++, &s);
        pgd_buf_clear(&text);
        pgd_buf_putsv(&text, s);
        if (!next) pgd_buf_puts(&text, tag);
        if (st == PGD_OK && !pgd_jinja_push(b->a, list, text_part(b, pgd_buf_sv(&text))))
            st = no_memory(b);
        c = next;
    } while (c && st == PGD_OK);
    pgd_buf_fini(&text);
    *out = list;
    return st;
}

static pgd_status put_content(builder *b, pgd_jinja_value *msg, chat_role role,
                              const pgd_json *content, size_t m, const char *tag) {
    pgd_jinja_value *v = NULL;
    const bool array = content && pgd_json_typeof(content) == PGD_JSON_ARRAY;
    if (content && !array && pgd_json_typeof(content) != PGD_JSON_STRING)
        return fail_at(b, PGD_E_INVALID, "content must be a string or an array of parts",
                       "messages[%zu].content", m);
    if (b->caps->parts[role] && (array || !b->caps->strings)) {
        PGD_TRY(content_parts(b, content, m, tag, &v));
    } else {
        pgd_buf text = {0};
        const pgd_status st = content_text(b, content, m, &text);
        pgd_buf_puts(&text, tag);
        if (st == PGD_OK && !text.failed) v = pgd_jinja_str(b->a, pgd_buf_sv(&text), false);
        pgd_buf_fini(&text);
        if (st != PGD_OK) return st;
    }
    return set(b, msg, "content", v) ? PGD_OK : no_memory(b);
}

/* ---- tool calls --------------------------------------------------------------------------- */

/* The arguments in the form the template takes. Text that is no JSON object stays text, or becomes
 * {"raw": text} where the template needs an object. */
static pgd_jinja_value *arguments_value(builder *b, const pgd_json *args) {
    pgd_sv s = {0};
    pgd_json_doc *doc = NULL;
    pgd_jinja_value *v = NULL;
    const bool is_text = pgd_json_as_str(args, &s);
    if (!b->caps->arguments_object) { /* text as it came, objects as JSON */
        if (is_text) return pgd_jinja_str(b->a, s, false);
        pgd_buf text = {0};
        pgd_jsonw w;
        pgd_jsonw_init(&w, &text);
        if (args)
            pgd_jsonw_node(&w, args);
        else
            pgd_buf_puts(&text, "{}");
        if (!text.failed) v = pgd_jinja_str(b->a, pgd_buf_sv(&text), false);
        pgd_buf_fini(&text);
        return v;
    }
    if (!is_text) return args ? pgd_jinja_from_json(b->a, args) : pgd_jinja_dict(b->a);
    if (!s.n) return pgd_jinja_dict(b->a);
    const pgd_status st = pgd_json_parse(s, &pgd_json_limits_request, &doc, NULL);
    if (st == PGD_E_NOMEM) return NULL;
    if (st == PGD_OK && pgd_json_typeof(pgd_json_root(doc)) == PGD_JSON_OBJECT) {
        v = pgd_jinja_from_json(b->a, pgd_json_root(doc));
        pgd_json_free(&doc);
        return v;
    }
    pgd_json_free(&doc);
    if (b->caps->arguments_string) return pgd_jinja_str(b->a, s, false);
    v = pgd_jinja_dict(b->a);
    return set(b, v, "raw", pgd_jinja_str(b->a, s, false)) ? v : NULL;
}

static bool listed(const char *const *names, const char *key) {
    for (; *names; names++)
        if (strcmp(*names, key) == 0) return true;
    return false;
}

/* Copy the members of obj in their order, since templates may print whole objects. Those named in
 * `ours` only get their place here and are set later; nulls and empty tool_calls count as absent.
 */
static bool copy_members(builder *b, pgd_jinja_value *out, const pgd_json *obj,
                         const char *const *ours) {
    for (const pgd_json *c = pgd_json_first(obj); c; c = pgd_json_next(c)) {
        const char *const key = pgd_json_key(c);
        if (pgd_json_is_null(c) || strcmp(key, "refusal") == 0) continue;
        if (strcmp(key, "tool_calls") == 0 && !pgd_json_first(c)) continue;
        const bool ok = listed(ours, key) ? set(b, out, key, pgd_jinja_null(b->a))
                                          : pgd_jinja_set_untrusted(b->a, out, pgd_sv_c(key),
                                                                    pgd_jinja_from_json(b->a, c));
        if (!ok) return false;
    }
    return true;
}

static pgd_status put_function(builder *b, pgd_jinja_value *out, const pgd_json *fn, size_t m,
                               size_t k) {
    static const char *const ours[] = {"arguments", NULL};
    const pgd_json *const args = member(fn, "arguments");
    if (args && pgd_json_typeof(args) != PGD_JSON_STRING &&
        pgd_json_typeof(args) != PGD_JSON_OBJECT)
        return fail_at(b, PGD_E_INVALID, "arguments must be a JSON string",
                       "messages[%zu].tool_calls[%zu].function.arguments", m, k);
    if (!copy_members(b, out, fn, ours)) return no_memory(b);
    return set(b, out, "arguments", arguments_value(b, args)) ? PGD_OK : no_memory(b);
}

static pgd_status put_tool_call(builder *b, pgd_jinja_value *list, const pgd_json *call, size_t m,
                                size_t k) {
    static const char *const ours[] = {"function", "type", NULL};
    pgd_sv name;
    if (pgd_json_typeof(call) != PGD_JSON_OBJECT)
        return fail_at(b, PGD_E_INVALID, "a tool call must be an object",
                       "messages[%zu].tool_calls[%zu]", m, k);
    const pgd_json *const fn = member(call, "function");
    if (!fn || pgd_json_typeof(fn) != PGD_JSON_OBJECT)
        return fail_at(b, PGD_E_INVALID, "a tool call needs a function (an object)",
                       "messages[%zu].tool_calls[%zu].function", m, k);
    if (!pgd_json_as_str(pgd_json_get(fn, "name"), &name))
        return fail_at(b, PGD_E_INVALID, "a function call needs a name (a string)",
                       "messages[%zu].tool_calls[%zu].function.name", m, k);
    pgd_jinja_value *out = pgd_jinja_dict(b->a), *f = pgd_jinja_dict(b->a);
    if (!out || !f || !copy_members(b, out, call, ours)) return no_memory(b);
    if (!set(b, out, "type", pgd_jinja_str(b->a, PGD_SV("function"), true))) return no_memory(b);
    PGD_TRY(put_function(b, f, fn, m, k));
    if (!set(b, out, "function", f) || !pgd_jinja_push(b->a, list, out)) return no_memory(b);
    return PGD_OK;
}

/* tool_calls, or the function_call of older clients; an empty list counts as absent. */
static pgd_status put_tool_calls(builder *b, pgd_jinja_value *msg, const pgd_json *src, size_t m) {
    const pgd_json *const calls = member(src, "tool_calls");
    if (!calls) return PGD_OK;
    if (pgd_json_typeof(calls) != PGD_JSON_ARRAY)
        return fail_at(b, PGD_E_INVALID, "tool_calls must be an array", "messages[%zu].tool_calls",
                       m);
    if (!pgd_json_first(calls)) return PGD_OK;
    pgd_jinja_value *list = pgd_jinja_list(b->a);
    size_t k = 0;
    for (const pgd_json *c = pgd_json_first(calls); c; c = pgd_json_next(c), k++)
        PGD_TRY(put_tool_call(b, list, c, m, k));
    return set(b, msg, "tool_calls", list) ? PGD_OK : no_memory(b);
}

/* ---- one message -------------------------------------------------------------------------- */

static pgd_status read_role(builder *b, const pgd_json *msg, size_t m, chat_role *out) {
    pgd_sv role;
    if (!msg || pgd_json_typeof(msg) != PGD_JSON_OBJECT)
        return fail_at(b, PGD_E_INVALID, "a message must be an object", "messages[%zu]", m);
    if (!pgd_json_as_str(pgd_json_get(msg, "role"), &role))
        return fail_at(b, PGD_E_INVALID, "a message needs a role (a string)", "messages[%zu].role",
                       m);
    for (int i = 0; i < CHAT_N_ROLES; i++) {
        if (!pgd_sv_eq(role, pgd_sv_c(chat_role_names[i]))) continue;
        *out = (chat_role)i;
        if (*out == CHAT_DEVELOPER && !b->caps->developer) *out = CHAT_SYSTEM;
        return PGD_OK;
    }
    return fail_at(b, PGD_E_INVALID,
                   "role must be system, developer, user, assistant, tool, function or ipython",
                   "messages[%zu].role", m);
}

/* Reasoning goes by two names among clients and templates: both are set from whichever came. */
static pgd_status put_reasoning(builder *b, pgd_jinja_value *msg, const pgd_json *src, size_t m) {
    const pgd_json *v = member(src, "reasoning_content");
    pgd_sv s;
    if (!v) v = member(src, "reasoning");
    if (!v) return PGD_OK;
    if (!pgd_json_as_str(v, &s))
        return fail_at(b, PGD_E_INVALID, "must be a string", "messages[%zu].reasoning_content", m);
    pgd_jinja_value *text = pgd_jinja_str(b->a, s, false);
    const bool ok =
        text && set(b, msg, "reasoning_content", text) && set(b, msg, "reasoning", text);
    return ok ? PGD_OK : no_memory(b);
}

/* A tool result without tool_call_id answers the next open call. */
static bool put_call_id(builder *b, pgd_jinja_value *msg, const pgd_json *src) {
    const pgd_json *const call = b->call;
    pgd_sv id;
    if (call) b->call = pgd_json_next(call);
    if (member(src, "tool_call_id") || !pgd_json_as_str(pgd_json_get(call, "id"), &id)) return true;
    return set(b, msg, "tool_call_id", pgd_jinja_str(b->a, id, false));
}

static pgd_status put_message(builder *b, const pgd_json *src, size_t m, chat_role role,
                              const char *tag) {
    static const char *const ours[] = {"role",      "content", "tool_calls", "reasoning_content",
                                       "reasoning", NULL};
    pgd_jinja_value *msg = pgd_jinja_dict(b->a);
    const pgd_json *content = member(src, "content");
    pgd_sv text;
    if (!content && role == CHAT_ASSISTANT) {
        content = member(src, "refusal");
        if (content && !pgd_json_as_str(content, &text))
            return fail_at(b, PGD_E_INVALID, "must be a string", "messages[%zu].refusal", m);
    }
    if (!content && role == CHAT_USER)
        return fail_at(b, PGD_E_INVALID, "a user message needs content", "messages[%zu].content",
                       m);
    const pgd_sv name = pgd_sv_c(chat_role_names[role]);
    if (!copy_members(b, msg, src, ours)) return no_memory(b);
    if (!set(b, msg, "role", pgd_jinja_str(b->a, name, true))) return no_memory(b);
    PGD_TRY(put_content(b, msg, role, content, m, tag));
    const bool no_text = !content || (pgd_json_as_str(content, &text) && !text.n);
    if (b->caps->null_content && no_text && !tag[0] && pgd_json_first(member(src, "tool_calls")) &&
        !set(b, msg, "content", pgd_jinja_null(b->a)))
        return no_memory(b);
    PGD_TRY(put_reasoning(b, msg, src, m));
    PGD_TRY(put_tool_calls(b, msg, src, m));
    if (role == CHAT_ASSISTANT) b->call = pgd_json_first(member(src, "tool_calls"));
    if (role == CHAT_TOOL && !put_call_id(b, msg, src)) return no_memory(b);
    return pgd_jinja_push(b->a, b->list, msg) ? PGD_OK : no_memory(b);
}

/* ---- system messages ---------------------------------------------------------------------- */

static bool is_system(chat_role role) {
    return role == CHAT_SYSTEM || role == CHAT_DEVELOPER;
}

/* Whether system and developer messages have to be merged: there are several or one stands later,
 * and the template would refuse or drop it. Also checks that all messages are objects with roles.
 */
static pgd_status look_over(builder *b) {
    size_t m = 0, n[CHAT_N_ROLES] = {0}, last = 0;
    for (const pgd_json *c = pgd_json_first(b->in->messages); c; c = pgd_json_next(c), m++) {
        chat_role role = (chat_role)0;
        PGD_TRY(read_role(b, c, m, &role));
        n[role]++;
        if (is_system(role)) last = m;
    }
    const bool fine = (!n[CHAT_SYSTEM] || b->caps->system_in_place) &&
                      (!n[CHAT_DEVELOPER] || b->caps->developer_in_place);
    b->merge = !fine && (n[CHAT_SYSTEM] + n[CHAT_DEVELOPER] > 1 || last > 0);
    b->merged_role = n[CHAT_SYSTEM] ? CHAT_SYSTEM : CHAT_DEVELOPER;
    return PGD_OK;
}

/* One message with the texts of all system and developer messages. */
static pgd_status merge_systems(builder *b) {
    size_t m = 0, merged = 0;
    for (const pgd_json *c = pgd_json_first(b->in->messages); c; c = pgd_json_next(c), m++) {
        chat_role role = (chat_role)0;
        PGD_TRY(read_role(b, c, m, &role));
        if (!is_system(role)) continue;
        if (merged++) pgd_buf_puts(&b->system, "\n\n");
        PGD_TRY(content_text(b, member(c, "content"), m, &b->system));
    }
    const pgd_sv name = pgd_sv_c(chat_role_names[b->merged_role]);
    pgd_jinja_value *msg = pgd_jinja_dict(b->a), *content;
    if (b->system.failed || !set(b, msg, "role", pgd_jinja_str(b->a, name, true)))
        return no_memory(b);
    if (b->caps->parts[b->merged_role] && !b->caps->strings) {
        content = pgd_jinja_list(b->a);
        if (!pgd_jinja_push(b->a, content, text_part(b, pgd_buf_sv(&b->system))))
            return no_memory(b);
    } else {
        content = pgd_jinja_str(b->a, pgd_buf_sv(&b->system), false);
    }
    if (!set(b, msg, "content", content) || !pgd_jinja_push(b->a, b->list, msg))
        return no_memory(b);
    return PGD_OK;
}

static pgd_status build(builder *b) {
    PGD_TRY(look_over(b));
    if (b->merge) PGD_TRY(merge_systems(b));
    size_t m = 0;
    for (const pgd_json *c = pgd_json_first(b->in->messages); c; c = pgd_json_next(c), m++) {
        chat_role role = (chat_role)0;
        PGD_TRY(read_role(b, c, m, &role));
        if (b->merge && is_system(role)) continue;
        const bool open = b->in->continue_final_message && !pgd_json_next(c);
        PGD_TRY(put_message(b, c, m, role, open ? CHAT_CONTINUE_TAG : ""));
    }
    return PGD_OK;
}

pgd_status chat_messages(pgd_arena *a, const chat_caps *caps, const pgd_chat_input *in,
                         pgd_jinja_value **out, char param[128], pgd_error *err) {
    builder b = {.a = a, .caps = caps, .in = in, .param = param, .err = err};
    param[0] = 0;
    if (!in->messages || pgd_json_typeof(in->messages) != PGD_JSON_ARRAY)
        return fail_at(&b, PGD_E_INVALID, "messages must be an array", "messages");
    if (!pgd_json_first(in->messages))
        return fail_at(&b, PGD_E_INVALID, "messages must not be empty", "messages");
    b.list = pgd_jinja_list(a);
    const pgd_status st = b.list ? build(&b) : no_memory(&b);
    pgd_buf_fini(&b.system);
    *out = b.list;
    return st;
}
