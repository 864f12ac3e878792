/* A conversation in memory and in files.
 *
 * The saved form is exactly what a request's "messages" holds, so that it serves other programs,
 * too. Files are read as untrusted: roles and types are checked, content must be text (parts with
 * images and tool calls are refused by name, for this client could not show them). Saving writes
 * beside the target and renames, so that a full disk does not cost the last good copy. Thread: the
 * owner's. */
#include "cli/conversation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pagoda/fs.h"
#include "pagoda/json.h"
#include "pagoda/mem.h"

enum { MAX_FILE_BYTES = 64 << 20 };

static const char *role_name(cli_role role) {
    return role == CLI_SYSTEM ? "system" : role == CLI_USER ? "user" : "assistant";
}

void cli_conversation_fini(cli_conversation *c) {
    while (c->n > 0)
        cli_conversation_drop_last(c);
    pgd_free(c->v);
    *c = (cli_conversation){0};
}

static pgd_status insert(cli_conversation *c, size_t at, cli_role role, pgd_sv text,
                         pgd_error *err) {
    if (c->n == c->cap) {
        const size_t cap = c->cap == 0 ? 16 : c->cap * 2;
        size_t bytes = 0;
        cli_message *v = pgd_mul_size(cap, sizeof(*v), &bytes) ? pgd_realloc(c->v, bytes) : NULL;
        if (v == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        c->v = v;
        c->cap = cap;
    }
    cli_message m = {.role = role};
    pgd_buf_putsv(&m.text, text);
    if (m.text.failed) {
        pgd_buf_fini(&m.text);
        return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    memmove(c->v + at + 1, c->v + at, (c->n - at) * sizeof(*c->v));
    c->v[at] = m;
    c->n++;
    return PGD_OK;
}

pgd_status cli_conversation_add(cli_conversation *c, cli_role role, pgd_sv text, pgd_error *err) {
    return insert(c, c->n, role, text, err);
}

void cli_conversation_drop_last(cli_conversation *c) {
    if (c->n > 0) pgd_buf_fini(&c->v[--c->n].text);
}

static bool has_system(const cli_conversation *c) {
    return c->n > 0 && c->v[0].role == CLI_SYSTEM;
}

pgd_sv cli_conversation_system(const cli_conversation *c) {
    return has_system(c) ? pgd_buf_sv(&c->v[0].text) : PGD_SV("");
}

pgd_status cli_conversation_set_system(cli_conversation *c, pgd_sv text, pgd_error *err) {
    const bool had = has_system(c);
    if (text.n > 0) PGD_TRY(insert(c, 0, CLI_SYSTEM, text, err));
    if (had) {
        const size_t at = text.n > 0 ? 1 : 0;
        pgd_buf_fini(&c->v[at].text);
        c->n--;
        memmove(c->v + at, c->v + at + 1, (c->n - at) * sizeof(*c->v));
    }
    return PGD_OK;
}

void cli_conversation_clear(cli_conversation *c) {
    const size_t keep = has_system(c) ? 1 : 0;
    while (c->n > keep)
        cli_conversation_drop_last(c);
}

static void put_message(const cli_message *m, pgd_jsonw *w) {
    pgd_jsonw_obj(w);
    pgd_jsonw_key(w, "role");
    pgd_jsonw_cstr(w, role_name(m->role));
    pgd_jsonw_key(w, "content");
    pgd_jsonw_str(w, m->text.n > 0 ? pgd_buf_sv(&m->text) : PGD_SV(""));
    pgd_jsonw_end_obj(w);
}

void cli_conversation_put_json(const cli_conversation *c, pgd_jsonw *w) {
    pgd_jsonw_arr(w);
    for (size_t i = 0; i < c->n; i++)
        put_message(&c->v[i], w);
    pgd_jsonw_end_arr(w);
}

static pgd_status fail_errno(pgd_error *err, const char *what, const char *path) {
    char text[128] = "";
    if (strerror_r(errno, text, sizeof(text)) != 0) text[0] = '\0';
    return pgd_fail(err, PGD_E_IO, "cannot %s '%s': %s", what, path, text);
}

static pgd_status write_file(const char *path, pgd_sv text, pgd_error *err) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return fail_errno(err, "write", path);
    while (text.n > 0) {
        const ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const pgd_status status = fail_errno(err, "write", path);
            (void)close(fd);
            return status;
        }
        text.p += n;
        text.n -= (size_t)n;
    }
    return close(fd) == 0 ? PGD_OK : fail_errno(err, "write", path);
}

/* Renaming over a device or a link would replace it by a file. */
static bool may_replace(const char *path) {
    struct stat st;
    return lstat(path, &st) != 0 || S_ISREG(st.st_mode);
}

pgd_status cli_conversation_save(const cli_conversation *c, const char *path, pgd_error *err) {
    if (!may_replace(path))
        return pgd_fail(err, PGD_E_IO, "cannot write '%s': not a regular file", path);
    pgd_buf text = {0};
    pgd_buf beside = {0};
    pgd_buf_puts(&text, "[");
    for (size_t i = 0; i < c->n; i++) {
        pgd_jsonw w;
        pgd_buf_puts(&text, i > 0 ? ",\n  " : "\n  ");
        pgd_jsonw_init(&w, &text);
        put_message(&c->v[i], &w);
    }
    pgd_buf_puts(&text, "\n]\n");
    pgd_buf_putf(&beside, "%s.partial", path);
    pgd_status status = PGD_OK;
    if (text.failed || beside.failed) {
        status = pgd_fail(err, PGD_E_NOMEM, "cannot save '%s': out of memory", path);
    } else {
        status = write_file(beside.p, pgd_buf_sv(&text), err);
        if (status == PGD_OK && rename(beside.p, path) != 0)
            status = fail_errno(err, "write", path);
        if (status != PGD_OK) (void)unlink(beside.p);
    }
    pgd_buf_fini(&beside);
    pgd_buf_fini(&text);
    return status;
}

static bool parse_role(pgd_sv name, cli_role *out) {
    if (pgd_sv_eq(name, PGD_SV("user")))
        *out = CLI_USER;
    else if (pgd_sv_eq(name, PGD_SV("assistant")))
        *out = CLI_ASSISTANT;
    else if (pgd_sv_eq(name, PGD_SV("system")) || pgd_sv_eq(name, PGD_SV("developer")))
        *out = CLI_SYSTEM;
    else
        return false;
    return true;
}

static pgd_status take_messages(cli_conversation *c, const pgd_json *root, pgd_error *err) {
    const pgd_json *list =
        pgd_json_typeof(root) == PGD_JSON_OBJECT ? pgd_json_get(root, "messages") : root;
    if (list == NULL || pgd_json_typeof(list) != PGD_JSON_ARRAY)
        return pgd_fail(err, PGD_E_FORMAT,
                        "want an array of messages or an object with one as \"messages\", got %s",
                        list == NULL ? "an object without it" : pgd_json_type_name(list));
    for (const pgd_json *m = pgd_json_first(list); m != NULL; m = pgd_json_next(m)) {
        pgd_sv name = {0};
        pgd_sv text = {0};
        cli_role role = CLI_USER;
        if (!pgd_json_as_str(pgd_json_get(m, "role"), &name) || !parse_role(name, &role))
            return pgd_fail(err, PGD_E_FORMAT,
                            "message %zu: \"role\" must be system, user or assistant", c->n);
        if (role == CLI_SYSTEM && c->n > 0)
            return pgd_fail(err, PGD_E_FORMAT,
                            "message %zu: only the first may be a system message", c->n);
        const pgd_json *content = pgd_json_get(m, "content");
        if (!pgd_json_as_str(content, &text))
            return pgd_fail(err, PGD_E_FORMAT, "message %zu: \"content\" must be text, got %s",
                            c->n, pgd_json_type_name(content));
        PGD_TRY(cli_conversation_add(c, role, text, err));
    }
    return PGD_OK;
}

pgd_status cli_conversation_load(cli_conversation *c, const char *path, pgd_error *err) {
    pgd_buf text = {0};
    pgd_json_doc *doc = NULL;
    cli_conversation loaded = {0};
    pgd_status status = pgd_fs_read(path, MAX_FILE_BYTES, &text, err);
    if (status == PGD_OK) {
        status = pgd_json_parse(pgd_buf_sv(&text), &pgd_json_limits_file, &doc, err);
        if (status == PGD_OK) status = take_messages(&loaded, pgd_json_root(doc), err);
        if (status != PGD_OK) (void)pgd_wrap(err, "cannot load '%s'", path);
    }
    if (status == PGD_OK) {
        const cli_conversation old = *c;
        *c = loaded;
        loaded = old;
    }
    cli_conversation_fini(&loaded);
    pgd_json_free(&doc);
    pgd_buf_fini(&text);
    return status;
}
