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

#define TOOLS                                                                                      \
    "[{\"type\":\"function\",\"function\":{\"name\":\"QxToolQx\",\"description\":\"d\","           \
    "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]"

typedef struct probe {
    const pgd_chat *c;
    const chat_template *t;
    const pgd_json *tools; /* given to every render, or NULL */
    pgd_buf out;           /* of the last render */
} probe;

/* Render messages (JSON text), unchanged, into p->out. False when the template refuses. */
static bool render(probe *p, const char *messages) {
    pgd_json_doc *doc = NULL;
    pgd_arena *a = NULL;
    pgd_rendered r = {0};
    bool ok = false;
    pgd_buf_clear(&p->out);
    if (pgd_json_parse(pgd_sv_c(messages), &pgd_json_limits_file, &doc, NULL) != PGD_OK)
        return false;
    if (pgd_arena_create(&a, 0) == PGD_OK) {
        const pgd_chat_input in = {
            .messages = pgd_json_root(doc), .tools = p->tools, .add_generation_prompt = true};
        pgd_jinja_value *const list = pgd_jinja_from_json(a, in.messages);
        const pgd_jinja_value *const ctx = chat_context(a, p->c, &in, list);
        ok = ctx && pgd_jinja_render(p->t->jinja, ctx, NULL, &r, NULL) == PGD_OK;
    }
    if (ok) pgd_buf_putsv(&p->out, pgd_buf_sv(&r.text));
    pgd_rendered_fini(&r);
    pgd_arena_destroy(&a);
    pgd_json_free(&doc);
    return ok && !p->out.failed;
}

static size_t find(const probe *p, const char *word) {
    return pgd_sv_find(pgd_buf_sv(&p->out), pgd_sv_c(word), 0);
}

static bool has(const probe *p, const char *word) {
    return find(p, word) != SIZE_MAX;
}

#define CALL_CONTENT(content, args)                                                                \
    "{\"role\":\"assistant\",\"content\":" content ",\"tool_calls\":[{\"id\":\"call_0001\","       \
    "\"type\":\"function\",\"function\":{\"name\":\"QxLookQx\",\"arguments\":" args "}}]}"
#define CALL(args) CALL_CONTENT("\"\"", args)
#define PARTS "[{\"type\":\"text\",\"text\":\"" W1 "\"}]"
#define USER "{\"role\":\"user\",\"content\":\"Hi\"}"

/* Parts are taken when their text comes out and nothing of the list around it does. */
static bool takes_parts(probe *p, const char *messages) {
    return render(p, messages) && has(p, W1) && !has(p, "'text'") && !has(p, "\"text\"");
}

static void probe_content(probe *p, chat_caps *caps) {
    caps->strings = render(p, "[{\"role\":\"user\",\"content\":\"" W1 "\"}]") && has(p, W1);
    caps->parts[CHAT_USER] = takes_parts(p, "[{\"role\":\"user\",\"content\":" PARTS "}]");
    caps->parts[CHAT_SYSTEM] =
        takes_parts(p, "[{\"role\":\"system\",\"content\":" PARTS "}," USER "]");
    caps->parts[CHAT_DEVELOPER] =
        takes_parts(p, "[{\"role\":\"developer\",\"content\":" PARTS "}," USER "]");
    caps->parts[CHAT_ASSISTANT] =
        takes_parts(p, "[" USER ",{\"role\":\"assistant\",\"content\":" PARTS "}," USER "]");
    caps->parts[CHAT_TOOL] =
        takes_parts(p, "[" USER "," CALL("{}") ",{\"role\":\"tool\",\"tool_call_id\":\"call_0001\","
                                               "\"name\":\"QxLookQx\",\"content\":" PARTS "}]");
    if (caps->strings || caps->parts[CHAT_USER]) return;
    caps->strings = true; /* neither shows: a template without user text; keep it simple */
}

/* Whether a call comes out; calls are tried with empty content or (older templates of DeepSeek show
 * them in that case only) with null, as caps says. */
static bool shows_call(probe *p, const chat_caps *caps, const char *with_empty,
                       const char *with_null) {
    return render(p, caps->null_content ? with_null : with_empty) && has(p, "QxLookQx");
}

/* Arguments as an object come out well when the call shows and is not printed as a Python dict (a
 * template that writes them as they are expects JSON text). */
static void probe_arguments(probe *p, chat_caps *caps) {
#define TRY(args)                                                                                  \
    shows_call(p, caps, "[" USER "," CALL(args) "]", "[" USER "," CALL_CONTENT("null", args) "]")
#define OBJECT "{\"" W1 "\":\"" W2 "\"}"
#define JSON_TEXT "\"{\\\"" W1 "\\\":\\\"" W2 "\\\"}\""
    if (!TRY(OBJECT) && !TRY(JSON_TEXT)) {
        caps->null_content = true;
        if (!TRY(OBJECT) && !TRY(JSON_TEXT)) caps->null_content = false;
    }
    const bool object = TRY(OBJECT);
    /* ... or with quotes that mixing safe and plain text has escaped */
    const bool python = object && (has(p, "'" W1 "'") || has(p, "&#34;") || has(p, "&#39;"));
    caps->arguments_string = TRY("\"" W3 "\"");
    caps->arguments_object = object && !python;
    if (!object && !caps->arguments_string) caps->arguments_object = true; /* no calls either way */
#undef TRY
#undef OBJECT
#undef JSON_TEXT
}

static bool in_order(const probe *p) {
    return has(p, W1) && has(p, W2) && has(p, W3) && find(p, W1) < find(p, W2) &&
           find(p, W2) < find(p, W3);
}

static void probe_roles(probe *p, pgd_sv source, chat_caps *caps) {
    /* A template that prints whatever role it is given does not know the role: it must name it. */
    caps->developer = pgd_sv_find(source, PGD_SV("developer"), 0) != SIZE_MAX &&
                      render(p, "[{\"role\":\"developer\",\"content\":\"" W1 "\"}," USER "]") &&
                      has(p, W1);
#define LATER(role)                                                                                \
    "[{\"role\":\"system\",\"content\":\"" W1 "\"}," USER ",{\"role\":\"assistant\",\"content\":"  \
    "\"" W2 "\"},{\"role\":\"" role "\",\"content\":\"" W3 "\"}," USER "]"
    caps->system_in_place = render(p, LATER("system")) && in_order(p);
    caps->developer_in_place = caps->developer && render(p, LATER("developer")) && in_order(p);
#undef LATER
}

void chat_probe(const pgd_chat *c, const chat_template *t, pgd_sv source, chat_caps *out) {
    probe p = {.c = c, .t = t};
    pgd_json_doc *tools = NULL;
    *out = (chat_caps){0};
    /* A template made for tools may fail without any. */
    if (!render(&p, "[" USER "]") &&
        pgd_json_parse(PGD_SV(TOOLS), &pgd_json_limits_file, &tools, NULL) == PGD_OK)
        p.tools = pgd_json_root(tools);
    probe_content(&p, out);
    probe_arguments(&p, out);
    probe_roles(&p, source, out);
    pgd_json_free(&tools);
    pgd_buf_fini(&p.out);
}
