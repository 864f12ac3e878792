/* What a chat template can take, found out when it is loaded by rendering small conversations and
 * looking for their words in the result. Reading the template's source instead would have to follow
 * macros and aliases; a render cannot be wrong about itself.
 *
 * Thread: any. A probe that fails only means that the template cannot take that form. */
#include "chat_int.h"

#include <stdio.h>
#include <string.h>

#include "pagoda/json.h"

/* Words that no template holds. */
#define W1 "QxProbeOneQx"
#define W2 "QxProbeTwoQx"
#define W3 "QxProbeThreeQx"

/* Render messages (JSON text), unchanged, into out. False when the template refuses. */
static bool render(const pgd_chat *c, const chat_template *t, const char *messages, pgd_buf *out) {
    pgd_json_doc *doc = NULL;
    pgd_arena *a = NULL;
    pgd_rendered r = {0};
    bool ok = false;
    pgd_buf_clear(out);
    if (pgd_json_parse(pgd_sv_c(messages), &pgd_json_limits_file, &doc, NULL) != PGD_OK)
        return false;
    if (pgd_arena_create(&a, 0) == PGD_OK) {
        const pgd_chat_input in = {.messages = pgd_json_root(doc), .add_generation_prompt = true};
        pgd_jinja_value *const list = pgd_jinja_from_json(a, in.messages);
        const pgd_jinja_value *const ctx = chat_context(a, c, &in, list);
        ok = ctx && pgd_jinja_render(t->jinja, ctx, NULL, &r, NULL) == PGD_OK;
    }
    if (ok) pgd_buf_putsv(out, pgd_buf_sv(&r.text));
    pgd_rendered_fini(&r);
    pgd_arena_destroy(&a);
    pgd_json_free(&doc);
    return ok && !out->failed;
}

static size_t find(const pgd_buf *b, const char *word) {
    return pgd_sv_find(pgd_buf_sv(b), pgd_sv_c(word), 0);
}

static bool has(const pgd_buf *b, const char *word) {
    return find(b, word) != SIZE_MAX;
}

#define CALL_CONTENT(content, args)                                                                \
    "{\"role\":\"assistant\",\"content\":" content ",\"tool_calls\":[{\"id\":\"call_0001\","       \
    "\"type\":\"function\",\"function\":{\"name\":\"QxLookQx\",\"arguments\":" args "}}]}"
#define CALL(args) CALL_CONTENT("\"\"", args)
#define PARTS "[{\"type\":\"text\",\"text\":\"" W1 "\"}]"
#define USER "{\"role\":\"user\",\"content\":\"Hi\"}"

/* Parts are taken when their text comes out and nothing of the list around it does. */
static bool takes_parts(const pgd_chat *c, const chat_template *t, const char *messages,
                        pgd_buf *out) {
    return render(c, t, messages, out) && has(out, W1) && !has(out, "'text'") &&
           !has(out, "\"text\"");
}

static void probe_content(const pgd_chat *c, const chat_template *t, pgd_buf *out,
                          chat_caps *caps) {
    caps->strings =
        render(c, t, "[{\"role\":\"user\",\"content\":\"" W1 "\"}]", out) && has(out, W1);
    caps->parts[CHAT_USER] = takes_parts(c, t, "[{\"role\":\"user\",\"content\":" PARTS "}]", out);
    caps->parts[CHAT_SYSTEM] =
        takes_parts(c, t, "[{\"role\":\"system\",\"content\":" PARTS "}," USER "]", out);
    caps->parts[CHAT_DEVELOPER] =
        takes_parts(c, t, "[{\"role\":\"developer\",\"content\":" PARTS "}," USER "]", out);
    caps->parts[CHAT_ASSISTANT] = takes_parts(
        c, t, "[" USER ",{\"role\":\"assistant\",\"content\":" PARTS "}," USER "]", out);
    caps->parts[CHAT_TOOL] =
        takes_parts(c, t,
                    "[" USER "," CALL("{}") ",{\"role\":\"tool\",\"tool_call_id\":\"call_0001\","
                                            "\"name\":\"QxLookQx\",\"content\":" PARTS "}]",
                    out);
    if (caps->strings || caps->parts[CHAT_USER]) return;
    caps->strings = true; /* neither shows: a template without user text; keep it simple */
}

/* Whether a call comes out; calls are tried with empty content or (older templates of DeepSeek show
 * them in that case only) with null, as caps says. */
static bool shows_call(const pgd_chat *c, const chat_template *t, const chat_caps *caps,
                       const char *with_empty, const char *with_null, pgd_buf *out) {
    return render(c, t, caps->null_content ? with_null : with_empty, out) && has(out, "QxLookQx");
}

/* Arguments as an object come out well when the call shows and is not printed as a Python dict (a
 * template that writes them as they are expects JSON text). */
static void probe_arguments(const pgd_chat *c, const chat_template *t, pgd_buf *out,
                            chat_caps *caps) {
#define TRY(args)                                                                                  \
    shows_call(c, t, caps, "[" USER "," CALL(args) "]",                                            \
               "[" USER "," CALL_CONTENT("null", args) "]", out)
#define OBJECT "{\"" W1 "\":\"" W2 "\"}"
#define JSON_TEXT "\"{\\\"" W1 "\\\":\\\"" W2 "\\\"}\""
    if (!TRY(OBJECT) && !TRY(JSON_TEXT)) {
        caps->null_content = true;
        if (!TRY(OBJECT) && !TRY(JSON_TEXT)) caps->null_content = false;
    }
    const bool object = TRY(OBJECT);
    const bool python = object && has(out, "'" W1 "'");
    caps->arguments_string = TRY("\"" W3 "\"");
    caps->arguments_object = object && !python;
    if (!object && !caps->arguments_string) caps->arguments_object = true; /* no calls either way */
#undef TRY
#undef OBJECT
#undef JSON_TEXT
}

static bool in_order(const pgd_buf *out) {
    return has(out, W1) && has(out, W2) && has(out, W3) && find(out, W1) < find(out, W2) &&
           find(out, W2) < find(out, W3);
}

static void probe_roles(const pgd_chat *c, const chat_template *t, pgd_sv source, pgd_buf *out,
                        chat_caps *caps) {
    /* A template that prints whatever role it is given does not know the role: it must name it. */
    caps->developer =
        pgd_sv_find(source, PGD_SV("developer"), 0) != SIZE_MAX &&
        render(c, t, "[{\"role\":\"developer\",\"content\":\"" W1 "\"}," USER "]", out) &&
        has(out, W1);
#define LATER(role)                                                                                \
    "[{\"role\":\"system\",\"content\":\"" W1 "\"}," USER ",{\"role\":\"assistant\",\"content\":"  \
    "\"" W2 "\"},{\"role\":\"" role "\",\"content\":\"" W3 "\"}," USER "]"
    caps->system_in_place = render(c, t, LATER("system"), out) && in_order(out);
    caps->developer_in_place =
        caps->developer && render(c, t, LATER("developer"), out) && in_order(out);
#undef LATER
}

void chat_probe(const pgd_chat *c, const chat_template *t, pgd_sv source, chat_caps *out) {
    pgd_buf text = {0};
    *out = (chat_caps){0};
    probe_content(c, t, &text, out);
    probe_arguments(c, t, &text, out);
    probe_roles(c, t, source, &text, out);
    pgd_buf_fini(&text);
}
