/* Finding the chat template of a model folder, in the order in which `transformers` looks:
 * chat_template.jinja, chat_template.json, tokenizer_config.json; and the special tokens that
 * templates name (bos_token and its kin).
 *
 * All files are untrusted data: bounded, checked, and nothing in them is code beyond the sandboxed
 * template. Thread: any; a pgd_chat is immutable once loaded. */
#include "chat_int.h"

#include <string.h>

#include "pagoda/fs.h"
#include "pagoda/mem.h"

enum { MAX_TEMPLATE_BYTES = 4 << 20, MAX_CONFIG_BYTES = 64 << 20, PATH_BYTES = 4096 };

typedef struct loader {
    const char *dir;
    pgd_chat *c;
    pgd_json_doc *config; /* tokenizer_config.json, or NULL */
    char config_path[PATH_BYTES];
    pgd_error *err;
} loader;

/* Read dir/name into out; *found false when there is no such file. */
static pgd_status read_in(loader *l, const char *name, size_t max, char path[PATH_BYTES],
                          pgd_buf *out, bool *found) {
    PGD_TRY(pgd_fs_join(path, PATH_BYTES, l->dir, name, l->err));
    *found = pgd_fs_exists(path);
    return *found ? pgd_fs_read(path, max, out, l->err) : PGD_OK;
}

/* ---- special tokens ----------------------------------------------------------------------- */

/* A token is written as a string or as an object with its content. */
static bool token_text(const pgd_json *v, pgd_sv *out) {
    if (pgd_json_as_str(v, out)) return true;
    return pgd_json_typeof(v) == PGD_JSON_OBJECT &&
           pgd_json_as_str(pgd_json_get(v, "content"), out);
}

static pgd_status load_tokens(loader *l) {
    const pgd_json *const root = pgd_json_root(l->config);
    pgd_chat *const c = l->c;
    c->tokens = pgd_arena_array(c->arena, pgd_json_count(root) + 1, sizeof(*c->tokens));
    if (!c->tokens) return pgd_fail(l->err, PGD_E_NOMEM, "no memory for special tokens");
    for (const pgd_json *v = pgd_json_first(root); v; v = pgd_json_next(v)) {
        const pgd_sv key = pgd_sv_c(pgd_json_key(v));
        pgd_sv text;
        if (!pgd_sv_ends(key, PGD_SV("_token")) || !token_text(v, &text)) continue;
        const char *const name = pgd_arena_strndup(c->arena, key.p, key.n);
        const pgd_jinja_value *const value = pgd_jinja_str(c->arena, text, true);
        if (!name || !value) return pgd_fail(l->err, PGD_E_NOMEM, "no memory for special tokens");
        c->tokens[c->n_tokens++] = (chat_token){{name, key.n}, value};
    }
    return PGD_OK;
}

static pgd_status load_config(loader *l) {
    pgd_buf text = {0};
    bool found;
    pgd_status st =
        read_in(l, "tokenizer_config.json", MAX_CONFIG_BYTES, l->config_path, &text, &found);
    if (st == PGD_OK && found) {
        st = pgd_json_parse(pgd_buf_sv(&text), &pgd_json_limits_file, &l->config, l->err);
        if (st == PGD_OK && pgd_json_typeof(pgd_json_root(l->config)) != PGD_JSON_OBJECT)
            st = pgd_fail(l->err, PGD_E_FORMAT, "expected an object");
        if (st != PGD_OK) pgd_wrap(l->err, "%s", l->config_path);
    }
    pgd_buf_fini(&text);
    return st == PGD_OK && l->config ? load_tokens(l) : st;
}

/* ---- templates ---------------------------------------------------------------------------- */

static pgd_status compile(loader *l, pgd_sv source, const char *path, chat_template *out) {
    if (out->jinja) return PGD_OK; /* the first of a name wins */
    if (source.n > MAX_TEMPLATE_BYTES)
        return pgd_fail(l->err, PGD_E_LIMIT, "%s: the chat template is larger than %d bytes", path,
                        MAX_TEMPLATE_BYTES);
    if (pgd_jinja_compile(source, &out->jinja, l->err) != PGD_OK)
        return pgd_wrap(l->err, "%s: chat template", path);
    chat_probe(l->c, out, source, &out->caps);
    return PGD_OK;
}

/* Templates of a `chat_template` member: a string, or a list of {name, template}. */
static pgd_status compile_member(loader *l, const pgd_json *v, const char *path) {
    pgd_sv source, name;
    if (pgd_json_is_null(v)) return PGD_OK;
    if (pgd_json_as_str(v, &source)) return compile(l, source, path, &l->c->standard);
    if (pgd_json_typeof(v) != PGD_JSON_ARRAY)
        return pgd_fail(l->err, PGD_E_FORMAT,
                        "%s: chat_template: expected a string or a list, got %s", path,
                        pgd_json_type_name(v));
    for (const pgd_json *t = pgd_json_first(v); t; t = pgd_json_next(t)) {
        if (!pgd_json_as_str(pgd_json_get(t, "name"), &name) ||
            !pgd_json_as_str(pgd_json_get(t, "template"), &source))
            return pgd_fail(l->err, PGD_E_FORMAT,
                            "%s: chat_template: an element lacks a name or a template", path);
        if (pgd_sv_eq(name, PGD_SV("default"))) PGD_TRY(compile(l, source, path, &l->c->standard));
        if (pgd_sv_eq(name, PGD_SV("tool_use"))) PGD_TRY(compile(l, source, path, &l->c->tool_use));
    }
    return PGD_OK;
}

static pgd_status compile_file(loader *l, const char *name, chat_template *out) {
    char path[PATH_BYTES];
    pgd_buf text = {0};
    bool found;
    pgd_status st = read_in(l, name, MAX_TEMPLATE_BYTES, path, &text, &found);
    if (st == PGD_OK && found) st = compile(l, pgd_buf_sv(&text), path, out);
    pgd_buf_fini(&text);
    return st;
}

static pgd_status compile_json_file(loader *l) {
    char path[PATH_BYTES];
    pgd_buf text = {0};
    pgd_json_doc *doc = NULL;
    bool found;
    pgd_status st = read_in(l, "chat_template.json", MAX_TEMPLATE_BYTES, path, &text, &found);
    if (st == PGD_OK && found) {
        st = pgd_json_parse(pgd_buf_sv(&text), &pgd_json_limits_file, &doc, l->err);
        if (st != PGD_OK) pgd_wrap(l->err, "%s", path);
    }
    if (st == PGD_OK && doc)
        st = compile_member(l, pgd_json_get(pgd_json_root(doc), "chat_template"), path);
    pgd_json_free(&doc);
    pgd_buf_fini(&text);
    return st;
}

static pgd_status load_override(loader *l, const char *path) {
    pgd_buf text = {0};
    pgd_status st = pgd_fs_read(path, MAX_TEMPLATE_BYTES, &text, l->err);
    if (st == PGD_OK) st = compile(l, pgd_buf_sv(&text), path, &l->c->standard);
    pgd_buf_fini(&text);
    return st;
}

static pgd_status load_templates(loader *l, const char *override_path) {
    if (override_path) return load_override(l, override_path);
    PGD_TRY(compile_file(l, "chat_template.jinja", &l->c->standard));
    PGD_TRY(compile_file(l, "additional_chat_templates/tool_use.jinja", &l->c->tool_use));
    if (!l->c->standard.jinja) PGD_TRY(compile_json_file(l));
    if (!l->c->standard.jinja && l->config)
        PGD_TRY(compile_member(l, pgd_json_get(pgd_json_root(l->config), "chat_template"),
                               l->config_path));
    return PGD_OK;
}

pgd_status pgd_chat_load(const char *model_dir, const char *override_path, pgd_chat **out,
                         pgd_error *err) {
    loader l = {.dir = model_dir, .err = err};
    *out = NULL;
    pgd_chat *c = pgd_calloc(1, sizeof(*c));
    if (!c || pgd_arena_create(&c->arena, 0) != PGD_OK) {
        pgd_free(c);
        return pgd_fail(err, PGD_E_NOMEM, "no memory for the chat template");
    }
    l.c = c;
    pgd_status st = load_config(&l);
    if (st == PGD_OK) st = load_templates(&l, override_path);
    pgd_json_free(&l.config);
    const bool none = !c->standard.jinja && !c->tool_use.jinja;
    if (st != PGD_OK || none) {
        pgd_chat_destroy(&c);
        return st;
    }
    *out = c;
    return PGD_OK;
}

void pgd_chat_destroy(pgd_chat **c) {
    if (!c || !*c) return;
    pgd_jinja_destroy(&(*c)->standard.jinja);
    pgd_jinja_destroy(&(*c)->tool_use.jinja);
    pgd_arena_destroy(&(*c)->arena);
    pgd_free(*c);
    *c = NULL;
}
