/* Chat rendering: choosing a template of a model folder, bringing messages into the shape it takes,
 * JSON paths of what is wrong, and leaving the last message open. Templates are small ones in the
 * styles that real models use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pagoda/chat.h"
#include "pagoda/json.h"
#include "pagoda/mem.h"

/* ---- model folders ------------------------------------------------------------------------ */

typedef struct folder {
    char path[64];
} folder;

static int make_folder(void **state) {
    folder *f = malloc(sizeof(*f));
    if (!f) return -1;
    snprintf(f->path, sizeof(f->path), "/tmp/pagoda-chat-XXXXXX");
    *state = f;
    return mkdtemp(f->path) ? 0 : -1;
}

static const char *const names[] = {"chat_template.jinja",
                                    "chat_template.json",
                                    "tokenizer_config.json",
                                    "other.jinja",
                                    "additional_chat_templates/tool_use.jinja",
                                    "additional_chat_templates"};

static int remove_folder(void **state) {
    folder *const f = *state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", f->path, names[i]);
        remove(path);
    }
    rmdir(f->path);
    free(f);
    return 0;
}

static void put(const folder *f, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    FILE *const out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static pgd_chat *load(const folder *f) {
    pgd_chat *c = NULL;
    pgd_error err = {0};
    if (pgd_chat_load(f->path, NULL, &c, &err) != PGD_OK) fail_msg("%s", err.msg);
    assert_non_null(c);
    return c;
}

/* ---- rendering ---------------------------------------------------------------------------- */

typedef struct result {
    pgd_status status;
    pgd_error err;
    char param[128];
    pgd_rendered out;
} result;

/* Render {"messages": ..., "tools": ..., ...} as a request body would come. */
static result render_body(const pgd_chat *c, const char *body, bool prompt, bool open) {
    result r = {0};
    pgd_json_doc *doc = NULL;
    if (pgd_json_parse(pgd_sv_c(body), &pgd_json_limits_request, &doc, &r.err) != PGD_OK)
        fail_msg("%s: %s", body, r.err.msg);
    const pgd_json *const root = pgd_json_root(doc);
    const pgd_chat_input in = {
        .messages = pgd_json_get(root, "messages"),
        .tools = pgd_json_get(root, "tools"),
        .documents = pgd_json_get(root, "documents"),
        .template_kwargs = pgd_json_get(root, "chat_template_kwargs"),
        .add_generation_prompt = prompt,
        .continue_final_message = open,
    };
    r.status = pgd_chat_render(c, &in, &r.out, r.param, &r.err);
    pgd_json_free(&doc);
    return r;
}

static void check_body(const pgd_chat *c, const char *body, bool open, const char *want) {
    result r = render_body(c, body, !open, open);
    if (r.status != PGD_OK) fail_msg("%s: %s", body, r.err.msg);
    assert_string_equal(r.out.text.p ? r.out.text.p : "", want);
    pgd_rendered_fini(&r.out);
}

static void check(const pgd_chat *c, const char *messages, const char *want) {
    char body[8192];
    snprintf(body, sizeof(body), "{\"messages\":%s}", messages);
    check_body(c, body, false, want);
}

static void check_error(const pgd_chat *c, const char *messages, pgd_status status,
                        const char *param) {
    char body[4096];
    snprintf(body, sizeof(body), "{\"messages\":%s}", messages);
    result r = render_body(c, body, true, false);
    assert_int_equal(r.status, status);
    assert_string_equal(r.param, param);
    assert_true(r.err.msg[0] != 0);
    assert_int_equal(r.out.text.n, 0);
}

/* Prints every message; knows no parts, no developer, and only a first system message. */
#define PLAIN                                                                                      \
    "{%- for m in messages %}{%- if m.role == 'system' and not loop.first %}"                      \
    "{{ raise_exception('system must be first') }}{% endif %}[{{ m.role }}:{{ m.content + '' }}"   \
    "{%- for c in m.tool_calls or [] %}<{{ c.function.name }} "                                    \
    "{%- for k, v in c.function.arguments.items() %}{{ k }}={{ v }};{% endfor %}>{% endfor %}]"    \
    "{%- endfor %}{% if tools is not none %}T{{ tools | length }}{% endif %}"                      \
    "{% if add_generation_prompt %}>{% endif %}"

#define USER "{\"role\":\"user\",\"content\":\"Hi\"}"

static pgd_chat *load_text(void **state, const char *text) {
    put(*state, "chat_template.jinja", text);
    return load(*state);
}

/* ---- files -------------------------------------------------------------------------------- */

static void a_folder_without_template_gives_none(void **state) {
    pgd_chat *c = NULL;
    pgd_error err = {0};
    put(*state, "tokenizer_config.json", "{\"bos_token\":\"<s>\"}");
    assert_int_equal(pgd_chat_load(((folder *)*state)->path, NULL, &c, &err), PGD_OK);
    assert_null(c);
}

static void the_jinja_file_wins_over_the_config(void **state) {
    put(*state, "tokenizer_config.json",
        "{\"chat_template\":\"config\",\"bos_token\":{\"content\":\"<s>\"},"
        "\"eos_token\":\"</s>\",\"pad_token\":null,\"image_token\":\"<img>\"}");
    pgd_chat *c = load(*state);
    check(c, "[" USER "]", "config");
    pgd_chat_destroy(&c);
    c = load_text(state, "{{ bos_token }}{{ eos_token }}{{ image_token }}{{ pad_token is "
                         "defined }}");
    check(c, "[" USER "]", "<s></s><img>False");
    pgd_chat_destroy(&c);
}

static void named_templates_are_chosen_by_tools(void **state) {
    put(*state, "tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"default\",\"template\":\"D\"},"
        "{\"name\":\"tool_use\",\"template\":\"T{{ tools | length }}\"},"
        "{\"name\":\"rag\",\"template\":\"R\"}]}");
    pgd_chat *c = load(*state);
    check(c, "[" USER "]", "D");
    check_body(c, "{\"messages\":[" USER "],\"tools\":[{\"type\":\"function\"}]}", false, "T1");
    check_body(c, "{\"messages\":[" USER "],\"tools\":[]}", false, "D");
    pgd_chat_destroy(&c);
}

static void other_places_for_templates_are_found(void **state) {
    char path[256];
    put(*state, "chat_template.json", "{\"chat_template\":\"J{{ messages | length }}\"}");
    snprintf(path, sizeof(path), "%s/additional_chat_templates", ((folder *)*state)->path);
    assert_int_equal(mkdir(path, 0700), 0);
    put(*state, "additional_chat_templates/tool_use.jinja", "A");
    pgd_chat *c = load(*state);
    check(c, "[" USER "]", "J1");
    check_body(c, "{\"messages\":[" USER "],\"tools\":[{}]}", false, "A");
    pgd_chat_destroy(&c);
    pgd_error err = {0};
    put(*state, "other.jinja", "over");
    snprintf(path, sizeof(path), "%s/other.jinja", ((folder *)*state)->path);
    assert_int_equal(pgd_chat_load(((folder *)*state)->path, path, &c, &err), PGD_OK);
    check(c, "[" USER "]", "over");
    pgd_chat_destroy(&c);
}

static void damaged_files_are_named(void **state) {
    const folder *const f = *state;
    pgd_chat *c = NULL;
    pgd_error err = {0};
    put(f, "chat_template.jinja", "a\n{% if %}");
    assert_int_equal(pgd_chat_load(f->path, NULL, &c, &err), PGD_E_FORMAT);
    assert_non_null(strstr(err.msg, "chat_template.jinja"));
    assert_non_null(strstr(err.msg, "line 2"));
    err = (pgd_error){0};
    put(f, "tokenizer_config.json", "{\"chat_template\":5}");
    put(f, "chat_template.jinja", "fine");
    assert_int_equal(pgd_chat_load(f->path, "/nonexistent/x.jinja", &c, &err), PGD_E_NOT_FOUND);
    err = (pgd_error){0};
    put(f, "tokenizer_config.json", "{");
    assert_int_equal(pgd_chat_load(f->path, NULL, &c, &err), PGD_E_FORMAT);
    assert_non_null(strstr(err.msg, "tokenizer_config.json"));
    assert_null(c);
}

/* ---- messages ----------------------------------------------------------------------------- */

static void content_comes_as_the_template_takes_it(void **state) {
    pgd_chat *c = load_text(state, PLAIN);
    check(c,
          "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
          "{\"type\":\"text\",\"text\":\"b\"}]}]",
          "[user:a\nb]>");
    check(c, "[" USER ",{\"role\":\"assistant\"}," USER "]", "[user:Hi][assistant:][user:Hi]>");
    check(c, "[" USER ",{\"role\":\"assistant\",\"content\":null,\"refusal\":\"No.\"}]",
          "[user:Hi][assistant:No.]>");
    check(c, "[{\"role\":\"user\",\"content\":\"\"}]", "[user:]>");
    pgd_chat_destroy(&c);
    c = load_text(state,
                  "{% for m in messages %}{% for p in m.content %}"
                  "{% if p.type == 'text' %}({{ p.text }}){% endif %}{% endfor %}{% endfor %}");
    check(c, "[" USER "]", "(Hi)"); /* a template for parts only: strings are wrapped */
    check(c,
          "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
          "{\"type\":\"text\",\"text\":\"b\"}]}]",
          "(a)(b)");
    pgd_chat_destroy(&c);
}

static void system_messages_move_to_the_front_when_they_must(void **state) {
    pgd_chat *c = load_text(state, PLAIN);
    check(c, "[{\"role\":\"system\",\"content\":\"A\"}," USER "]", "[system:A][user:Hi]>");
    check(c,
          "[{\"role\":\"system\",\"content\":\"A\"}," USER
          ",{\"role\":\"system\",\"content\":\"B\"},"
          "{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"C\"}]}]",
          "[system:A\n\nB\n\nC][user:Hi]>");
    check(c, "[{\"role\":\"developer\",\"content\":\"D\"}," USER "]", "[system:D][user:Hi]>");
    pgd_chat_destroy(&c);
    c = load_text(state, "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}");
    check(c, "[" USER ",{\"role\":\"system\",\"content\":\"B\"}]", "[user:Hi][system:B]");
    check(c, "[{\"role\":\"developer\",\"content\":\"D\"}," USER "]", "[system:D][user:Hi]");
    pgd_chat_destroy(&c);
    c = load_text(state, "{% for m in messages %}{% if m.role in ['system', 'developer'] %}D"
                         "{% endif %}[{{ m.role }}:{{ m.content }}]{% endfor %}");
    check(c, "[{\"role\":\"developer\",\"content\":\"D\"}]", "D[developer:D]");
    pgd_chat_destroy(&c);
    /* Takes one system or developer message, in front, and drops others without a word. */
    c = load_text(state,
                  "{% if messages[0].role in ['system', 'developer'] %}{{ messages[0].role }}="
                  "{{ messages[0].content }};{% endif %}{% for m in messages if m.role in "
                  "['user', 'assistant'] %}{{ m.content }}{% endfor %}");
    check(c, "[{\"role\":\"developer\",\"content\":\"D\"}," USER "]", "developer=D;Hi");
    check(c,
          "[{\"role\":\"developer\",\"content\":\"D\"}," USER
          ",{\"role\":\"developer\",\"content\":\"E\"}]",
          "developer=D\n\nE;Hi");
    check(
        c,
        "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"developer\",\"content\":\"D\"}," USER
        "]",
        "system=S\n\nD;Hi");
    pgd_chat_destroy(&c);
}

#define CALL(args)                                                                                 \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"            \
    "\"function\",\"function\":{\"name\":\"f\",\"arguments\":" args "}}]}"

static void arguments_become_objects_where_the_template_wants_them(void **state) {
    pgd_chat *c = load_text(state, PLAIN);
    check(c, "[" USER "," CALL("\"{\\\"a\\\": 1, \\\"b\\\": true}\"") "]",
          "[user:Hi][assistant:<fa=1;b=True;>]>");
    check(c, "[" USER "," CALL("{\"a\":2}") "]", "[user:Hi][assistant:<fa=2;>]>");
    check(c, "[" USER "," CALL("\"\"") "]", "[user:Hi][assistant:<f>]>");
    check(c, "[" USER "," CALL("null") "]", "[user:Hi][assistant:<f>]>");
    check(c, "[" USER "," CALL("\"{broken\"") "]", "[user:Hi][assistant:<fraw={broken;>]>");
    pgd_chat_destroy(&c);
}

static void arguments_stay_text_where_the_template_prints_them(void **state) {
    pgd_chat *c = load_text(
        state, "{% for m in messages %}[{% if m.content is not none %}{{ m.content }}{% endif %}"
               "{% for c in m.tool_calls or [] %}{{ '<' + c.function.name + ':' + "
               "c.function.arguments + '>' }}{% endfor %}]{% endfor %}");
    check(c, "[" USER "," CALL("\"{\\\"a\\\":  1}\"") "]", "[Hi][<f:{\"a\":  1}>]");
    check(c, "[" USER "," CALL("{\"a\":2}") "]", "[Hi][<f:{\"a\":2}>]");
    pgd_chat_destroy(&c);
}

static void null_content_is_kept_where_calls_need_it(void **state) {
    pgd_chat *c = load_text(
        state, "{% for m in messages %}{% if m.content is none %}<{{ m.tool_calls[0].function.name "
               "}}>{% else %}[{{ m.content }}]{% endif %}{% endfor %}");
    check(c, "[" USER "," CALL("\"{}\"") "]", "[Hi]<f>");
    check(c, "[" USER ",{\"role\":\"assistant\",\"tool_calls\":[]}]", "[Hi][]");
    check(c, "[" USER ",{\"role\":\"assistant\",\"tool_calls\":null,\"content\":\"x\"}]",
          "[Hi][x]");
    pgd_chat_destroy(&c);
}

static void reasoning_goes_by_both_names(void **state) {
    pgd_chat *c = load_text(state, "{% for m in messages %}[{{ m.reasoning }}|{{ "
                                   "m.reasoning_content }}|{{ m.name }}]{% endfor %}");
    check(c,
          "[" USER ",{\"role\":\"assistant\",\"reasoning\":\"r\"},"
          "{\"role\":\"assistant\",\"reasoning_content\":\"q\",\"name\":\"bob\"}]",
          "[||][r|r|][q|q|bob]");
    pgd_chat_destroy(&c);
}

static void members_keep_the_order_of_the_client(void **state) {
    pgd_chat *c = load_text(state, "{% for m in messages %}{{ m | tojson }}{% endfor %}");
    check(c,
          "[{\"content\":\"\",\"zork\":1,\"tool_calls\":[{\"function\":{\"arguments\":\"{}\","
          "\"name\":\"f\"},\"id\":\"c\"}],\"name\":null,\"role\":\"assistant\"}]",
          "{\"content\": \"\", \"zork\": 1, \"tool_calls\": [{\"function\": {\"arguments\": {}, "
          "\"name\": \"f\"}, \"id\": \"c\", \"type\": \"function\"}], \"role\": \"assistant\"}");
    pgd_chat_destroy(&c);
}

static void a_template_that_needs_tools_is_probed_with_some(void **state) {
    pgd_chat *c =
        load_text(state, "{% for t in tools %}{{ t.function.name }};{% endfor %}"
                         "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}");
    check_body(c,
               "{\"messages\":[" USER ",{\"role\":\"system\",\"content\":\"B\"}],\"tools\":[{"
               "\"function\":{\"name\":\"f\"}}]}",
               false, "f;[user:Hi][system:B]");
    pgd_chat_destroy(&c);
}

static void arguments_stay_text_where_objects_would_be_escaped(void **state) {
    pgd_chat *c = load_text(
        state, "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{% set a = "
               "c.function.arguments if c.function.arguments is string else c.function.arguments | "
               "tojson | safe %}{{ '{\"name\": \"' + c.function.name + '\", \"a\": ' + a + '}' }}"
               "{% endfor %}{% endfor %}");
    check(c, "[" USER "," CALL("\"{\\\"a\\\":1}\"") "]", "Hi{\"name\": \"f\", \"a\": {\"a\":1}}");
    pgd_chat_destroy(&c);
}

static void failing_memory_fails_the_request_cleanly(void **state) {
    pgd_chat *c = load_text(state, PLAIN);
    pgd_json_doc *doc = NULL;
    const char *const text =
        "[{\"role\":\"developer\",\"content\":\"A\"}," USER
        "," CALL("\"{\\\"a\\\":[1]}\"") ","
                                        "{\"role\":\"tool\",\"content\":[{\"type\":\"text\","
                                        "\"text\":\"r\"}]},"
                                        "{\"role\":\"system\",\"content\":\"B\"}]";
    assert_int_equal(pgd_json_parse(pgd_sv_c(text), &pgd_json_limits_request, &doc, NULL), PGD_OK);
    const pgd_chat_input in = {.messages = pgd_json_root(doc)};
    bool done = false;
    for (int64_t n = 0; n < 400 && !done; n++) {
        result r = {0};
        pgd_mem_fail_after(n);
        r.status = pgd_chat_render(c, &in, &r.out, r.param, &r.err);
        done = !pgd_mem_fail_after(-1);
        if (done) assert_int_equal(r.status, PGD_OK);
        if (r.status == PGD_OK)
            assert_string_equal(r.out.text.p,
                                "[system:A\n\nB][user:Hi][assistant:<fa=[1];>][tool:r]");
        pgd_rendered_fini(&r.out);
    }
    assert_true(done);
    pgd_json_free(&doc);
    pgd_chat_destroy(&c);
}

static void tool_results_are_paired_by_order(void **state) {
    pgd_chat *c = load_text(state, "{% for m in messages %}[{{ m.tool_call_id }}]{% endfor %}");
    check(c,
          "[" USER ",{\"role\":\"assistant\",\"tool_calls\":["
          "{\"id\":\"c1\",\"function\":{\"name\":\"f\"}},{\"id\":\"c2\",\"function\":{\"name\":"
          "\"f\"}}]}"
          ",{\"role\":\"tool\",\"content\":\"1\"},{\"role\":\"tool\",\"content\":\"2\"},"
          "{\"role\":\"tool\",\"content\":\"3\"}]",
          "[][][c1][c2][]");
    check(c, "[{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"1\"}]", "[x]");
    pgd_chat_destroy(&c);
}

/* ---- errors ------------------------------------------------------------------------------- */

static void errors_carry_the_path_of_the_part(void **state) {
    pgd_chat *c = load_text(state, PLAIN);
    check_error(c, "5", PGD_E_INVALID, "messages");
    check_error(c, "[]", PGD_E_INVALID, "messages");
    check_error(c, "[5]", PGD_E_INVALID, "messages[0]");
    check_error(c, "[{}]", PGD_E_INVALID, "messages[0].role");
    check_error(c, "[" USER ",{\"role\":\"critic\"}]", PGD_E_INVALID, "messages[1].role");
    check_error(c, "[{\"role\":\"user\"}]", PGD_E_INVALID, "messages[0].content");
    check_error(c, "[{\"role\":\"user\",\"content\":5}]", PGD_E_INVALID, "messages[0].content");
    check_error(c, "[{\"role\":\"user\",\"content\":[5]}]", PGD_E_INVALID,
                "messages[0].content[0]");
    check_error(c, "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{}]}]",
                PGD_E_INVALID, "messages[0].content[1].type");
    check_error(c, "[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", PGD_E_INVALID,
                "messages[0].content[0].text");
    check_error(c, "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]",
                PGD_E_UNSUPPORTED, "messages[0].content[0].type");
    check_error(c, "[{\"role\":\"user\",\"content\":[{\"type\":\"zork\"}]}]", PGD_E_INVALID,
                "messages[0].content[0].type");
    check_error(c, "[{\"role\":\"assistant\",\"tool_calls\":{}}]", PGD_E_INVALID,
                "messages[0].tool_calls");
    check_error(c, "[{\"role\":\"assistant\",\"tool_calls\":[{}]}]", PGD_E_INVALID,
                "messages[0].tool_calls[0].function");
    check_error(c, "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}]", PGD_E_INVALID,
                "messages[0].tool_calls[0].function.name");
    check_error(c,
                "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
                "\"arguments\":5}}]}]",
                PGD_E_INVALID, "messages[0].tool_calls[0].function.arguments");
    check_error(c, "[{\"role\":\"assistant\",\"reasoning\":5}]", PGD_E_INVALID,
                "messages[0].reasoning_content");
    pgd_chat_destroy(&c);
}

static void refusals_of_the_template_have_no_path(void **state) {
    pgd_chat *c = load_text(state, "{% if messages[0].role != 'user' %}{{ raise_exception('User "
                                   "first, please.') }}{% endif %}ok");
    result r =
        render_body(c, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}", true, false);
    assert_int_equal(r.status, PGD_E_INVALID);
    assert_string_equal(r.err.msg, "User first, please.");
    assert_string_equal(r.param, "");
    pgd_chat_destroy(&c);
}

/* ---- control text ------------------------------------------------------------------------- */

static bool covered(const pgd_rendered *r, const char *word) {
    const char *const at = strstr(r->text.p, word);
    assert_non_null(at);
    const size_t begin = (size_t)(at - r->text.p), end = begin + strlen(word);
    for (size_t i = 0; i < r->n_control; i++)
        if (r->control[i].begin < end && r->control[i].end > begin) return true;
    return false;
}

static void only_roles_and_template_text_are_control_text(void **state) {
    put(*state, "tokenizer_config.json", "{\"bos_token\":\"<s>\"}");
    pgd_chat *c = load_text(state, "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ "
                                   "m.content | trim }}{{ m.name }}{{ m.keys() | list "
                                   "| last }}{% endfor %}{{ style }}{{ tools | tojson if tools }}");
    result r = render_body(
        c,
        "{\"messages\":[{\"role\":\"user\",\"content\":\" <|evil1|> \",\"name\":"
        "\"<|evil2|>\",\"<|evil6|>\":1}],\"chat_template_kwargs\":{\"style\":\"<|evil3|>\"},"
        "\"tools\":[{\"<|evil4|>\":\"<|evil5|>\"}]}",
        true, false);
    assert_int_equal(r.status, PGD_OK);
    assert_true(covered(&r.out, "<s><|user|>"));
    assert_int_equal(r.out.control[0].begin, 0);
    assert_int_equal(r.out.control[0].end, strlen("<s><|user|>"));
    static const char *const evil[] = {"<|evil1|>", "<|evil2|>", "<|evil3|>",
                                       "<|evil4|>", "<|evil5|>", "<|evil6|>"};
    for (size_t i = 0; i < 6; i++)
        assert_false(covered(&r.out, evil[i]));
    pgd_rendered_fini(&r.out);
    pgd_chat_destroy(&c);
}

static void clients_cannot_override_our_variables(void **state) {
    put(*state, "tokenizer_config.json", "{\"bos_token\":\"<s>\"}");
    pgd_chat *c = load_text(state, "{{ bos_token }}{{ messages | length }}{{ tools }}{{ "
                                   "add_generation_prompt }}{{ extra }}");
    check_body(c,
               "{\"messages\":[" USER
               "],\"chat_template_kwargs\":{\"bos_token\":\"X\",\"messages\":"
               "[],\"tools\":[1],\"add_generation_prompt\":false,\"extra\":7}}",
               false, "<s>1NoneTrue7");
    pgd_chat_destroy(&c);
}

/* ---- an open last message ----------------------------------------------------------------- */

static void the_last_message_can_be_left_open(void **state) {
    const char *const body =
        "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"Once upon \"}]}";
    pgd_chat *c = load_text(state, "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>"
                                   "{% endfor %}");
    check_body(c, body, true, "<user>Hi</><assistant>Once upon ");
    pgd_chat_destroy(&c);
    c = load_text(state, "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>"
                         "{% endfor %}");
    check_body(c, body, true, "<user>Hi</><assistant>Once upon");
    result r = render_body(c, body, false, true);
    assert_true(r.out.n_control && r.out.control[r.out.n_control - 1].end <= r.out.text.n);
    pgd_rendered_fini(&r.out);
    r = render_body(c, body, true, true);
    assert_int_equal(r.status, PGD_E_INVALID);
    assert_string_equal(r.param, "continue_final_message");
    pgd_chat_destroy(&c);
    c = load_text(state, "fixed");
    r = render_body(c, body, false, true);
    assert_int_equal(r.status, PGD_E_INVALID);
    pgd_chat_destroy(&c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_folder_without_template_gives_none),
        TEST(the_jinja_file_wins_over_the_config),
        TEST(named_templates_are_chosen_by_tools),
        TEST(other_places_for_templates_are_found),
        TEST(damaged_files_are_named),
        TEST(content_comes_as_the_template_takes_it),
        TEST(system_messages_move_to_the_front_when_they_must),
        TEST(arguments_become_objects_where_the_template_wants_them),
        TEST(arguments_stay_text_where_the_template_prints_them),
        TEST(null_content_is_kept_where_calls_need_it),
        TEST(reasoning_goes_by_both_names),
        TEST(members_keep_the_order_of_the_client),
        TEST(a_template_that_needs_tools_is_probed_with_some),
        TEST(arguments_stay_text_where_objects_would_be_escaped),
        TEST(failing_memory_fails_the_request_cleanly),
        TEST(tool_results_are_paired_by_order),
        TEST(errors_carry_the_path_of_the_part),
        TEST(refusals_of_the_template_have_no_path),
        TEST(only_roles_and_template_text_are_control_text),
        TEST(clients_cannot_override_our_variables),
        TEST(the_last_message_can_be_left_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
