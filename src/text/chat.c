/* From chat messages to prompt text: chooses the template, gives it the variables that
 * `transformers` gives, renders, and leaves the last message open when asked to. Normalising the
 * messages is in chat_messages.c, loading in chat_load.c, finding out what a template takes in
 * chat_probe.c. Thread: a pgd_chat is shared read-only; a render belongs to the calling thread. */
#include "chat_int.h"

#include <string.h>

#include "pagoda/mem.h"

/* Bound of the values built from one request; the render has limits of its own. */
enum { CONTEXT_BYTES = 512 << 20 };

static bool set_json(pgd_arena *a, pgd_jinja_value *ctx, const char *name, const pgd_json *v) {
    /* Empty lists count as absent: templates ask `tools is not none` as often as `if tools`. */
    const bool none =
        pgd_json_is_null(v) || (pgd_json_typeof(v) == PGD_JSON_ARRAY && !pgd_json_first(v));
    return pgd_jinja_set(a, ctx, pgd_sv_c(name),
                         none ? pgd_jinja_null(a) : pgd_jinja_from_json(a, v));
}

/* Efforts that clients may name are ours to print as control text; any other is data. */
static bool known_effort(pgd_sv s) {
    static const char *const names[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (pgd_sv_eq(s, pgd_sv_c(names[i]))) return true;
    return false;
}

pgd_jinja_value *chat_context(pgd_arena *a, const pgd_chat *c, const pgd_chat_input *in,
                              pgd_jinja_value *messages) {
    pgd_jinja_value *ctx = pgd_jinja_dict(a);
    bool ok = ctx && messages;
    /* First what the client names, then ours, which wins. */
    for (const pgd_json *v = pgd_json_first(in->template_kwargs); ok && v; v = pgd_json_next(v))
        ok = pgd_jinja_set_untrusted(a, ctx, pgd_sv_c(pgd_json_key(v)), pgd_jinja_from_json(a, v));
    for (size_t i = 0; ok && i < c->n_tokens;
         i++) /* values are shared; renders never change them */
        ok = pgd_jinja_set(a, ctx, c->tokens[i].name, (pgd_jinja_value *)c->tokens[i].value);
    if (ok && in->reasoning_effort.n)
        ok = pgd_jinja_set(
            a, ctx, PGD_SV("reasoning_effort"),
            pgd_jinja_str(a, in->reasoning_effort, known_effort(in->reasoning_effort)));
    ok = ok && set_json(a, ctx, "tools", in->tools) && set_json(a, ctx, "documents", in->documents);
    ok = ok && pgd_jinja_set(a, ctx, PGD_SV("add_generation_prompt"),
                             pgd_jinja_bool(a, in->add_generation_prompt));
    ok = ok && pgd_jinja_set(a, ctx, PGD_SV("messages"), messages);
    return ok ? ctx : NULL;
}

/* ---- an open last message ----------------------------------------------------------------- */

static size_t find_last(pgd_sv s, pgd_sv needle) {
    size_t at = SIZE_MAX, from = 0;
    while ((from = pgd_sv_find(s, needle, from)) != SIZE_MAX)
        at = from++;
    return at;
}

static void cut_at(pgd_rendered *r, size_t n) {
    r->text.n = n;
    if (r->text.p) r->text.p[n] = 0;
    while (r->n_control && r->control[r->n_control - 1].begin >= n)
        r->n_control--;
    if (r->n_control && r->control[r->n_control - 1].end > n) r->control[r->n_control - 1].end = n;
}

/* Cut the text where the tag behind the last message stands. The tag ends in a blank: when the
 * template has stripped it, it strips content, and so must we. */
static pgd_status leave_open(pgd_rendered *r, pgd_error *err) {
    const pgd_sv tag = PGD_SV(CHAT_CONTINUE_TAG), bare = {tag.p, tag.n - 1};
    const pgd_sv text = pgd_buf_sv(&r->text);
    size_t at = find_last(text, bare);
    if (at == SIZE_MAX)
        return pgd_fail(err, PGD_E_INVALID,
                        "continue_final_message: the chat template does not print the content of "
                        "the last message");
    const bool whole = at + tag.n <= text.n && text.p[at + bare.n] == ' ';
    while (!whole && at && strchr(" \t\n\r", text.p[at - 1]))
        at--;
    cut_at(r, at);
    return PGD_OK;
}

/* ---- render ------------------------------------------------------------------------------- */

static const chat_template *choose(const pgd_chat *c, const pgd_chat_input *in) {
    const bool tools = in->tools && pgd_json_first(in->tools);
    if (c->tool_use.jinja && (tools || !c->standard.jinja)) return &c->tool_use;
    return &c->standard;
}

static pgd_status fail_param(char param[128], const char *name, pgd_error *err, const char *msg) {
    memcpy(param, name, strlen(name) + 1);
    return pgd_fail(err, PGD_E_INVALID, "%s: %s", name, msg);
}

static pgd_status check_input(const pgd_chat_input *in, char param[128], pgd_error *err) {
    if (in->tools && !pgd_json_is_null(in->tools) && pgd_json_typeof(in->tools) != PGD_JSON_ARRAY)
        return fail_param(param, "tools", err, "must be an array");
    if (in->documents && !pgd_json_is_null(in->documents) &&
        pgd_json_typeof(in->documents) != PGD_JSON_ARRAY)
        return fail_param(param, "documents", err, "must be an array");
    if (in->template_kwargs && !pgd_json_is_null(in->template_kwargs) &&
        pgd_json_typeof(in->template_kwargs) != PGD_JSON_OBJECT)
        return fail_param(param, "chat_template_kwargs", err, "must be an object");
    if (in->continue_final_message && in->add_generation_prompt)
        return fail_param(param, "continue_final_message", err,
                          "cannot be used together with add_generation_prompt");
    return PGD_OK;
}

pgd_status pgd_chat_render(const pgd_chat *c, const pgd_chat_input *in, pgd_rendered *out,
                           char param[128], pgd_error *err) {
    const chat_template *const t = choose(c, in);
    pgd_arena *a = NULL;
    pgd_jinja_value *messages = NULL;
    param[0] = 0;
    *out = (pgd_rendered){0};
    PGD_TRY(check_input(in, param, err));
    if (pgd_arena_create(&a, CONTEXT_BYTES) != PGD_OK)
        return pgd_fail(err, PGD_E_NOMEM, "no memory for the messages");
    pgd_status st = chat_messages(a, &t->caps, in, &messages, param, err);
    if (st == PGD_OK) {
        const pgd_jinja_value *const ctx = chat_context(a, c, in, messages);
        st = ctx ? pgd_jinja_render(t->jinja, ctx, NULL, out, err)
                 : pgd_fail(err, PGD_E_NOMEM, "no memory for the messages");
    }
    if (st == PGD_OK && in->continue_final_message) st = leave_open(out, err);
    if (st != PGD_OK) pgd_rendered_fini(out);
    pgd_arena_destroy(&a);
    return st;
}
