/* Conversations: editing, saving, loading. */
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

#include "cli/conversation.h"
#include "pagoda/fs.h"
#include "pagoda/json.h"
#include "pagoda/mem.h"

typedef struct folder {
    char dir[64], file[96], beside[112];
} folder;

static int make_folder(void **state) {
    folder *f = malloc(sizeof(*f));
    if (f == NULL) return -1;
    snprintf(f->dir, sizeof(f->dir), "/tmp/pagoda-cli-XXXXXX");
    *state = f;
    if (mkdtemp(f->dir) == NULL) return -1;
    snprintf(f->file, sizeof(f->file), "%s/talk.json", f->dir);
    snprintf(f->beside, sizeof(f->beside), "%s.partial", f->file);
    return 0;
}

static int remove_folder(void **state) {
    folder *f = *state;
    remove(f->file);
    remove(f->beside);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void put_file(const char *path, const char *text) {
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void add(cli_conversation *c, cli_role role, const char *text) {
    assert_int_equal(cli_conversation_add(c, role, pgd_sv_c(text), NULL), PGD_OK);
}

static void assert_messages(const cli_conversation *c, const char *want) {
    pgd_buf out = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &out);
    cli_conversation_put_json(c, &w);
    assert_string_equal(out.p, want);
    pgd_buf_fini(&out);
}

static void the_system_prompt_is_the_first_message(void **state) {
    (void)state;
    cli_conversation c = {0};
    assert_int_equal(cli_conversation_system(&c).n, 0);
    add(&c, CLI_USER, "hi");
    assert_int_equal(cli_conversation_set_system(&c, PGD_SV("be brief"), NULL), PGD_OK);
    assert_messages(&c, "[{\"role\":\"system\",\"content\":\"be brief\"},"
                        "{\"role\":\"user\",\"content\":\"hi\"}]");
    assert_int_equal(cli_conversation_set_system(&c, PGD_SV("be long"), NULL), PGD_OK);
    assert_true(pgd_sv_eq(cli_conversation_system(&c), PGD_SV("be long")));
    cli_conversation_clear(&c);
    assert_messages(&c, "[{\"role\":\"system\",\"content\":\"be long\"}]");
    assert_int_equal(cli_conversation_set_system(&c, PGD_SV(""), NULL), PGD_OK);
    assert_messages(&c, "[]");
    cli_conversation_fini(&c);
}

static void what_is_saved_is_loaded_again(void **state) {
    const folder *f = *state;
    cli_conversation c = {0};
    cli_conversation d = {0};
    pgd_error err = {0};
    add(&c, CLI_SYSTEM, "sys \"quoted\" \\");
    add(&c, CLI_USER, "two\nlines\tand \xe4\xb8\xad \xf0\x9f\x98\x80");
    add(&c, CLI_ASSISTANT, "\x1b[31m stays as the model wrote it");
    add(&c, CLI_USER, "");
    assert_int_equal(cli_conversation_save(&c, f->file, &err), PGD_OK);
    assert_int_equal(cli_conversation_load(&d, f->file, &err), PGD_OK);
    assert_int_equal(d.n, c.n);
    for (size_t i = 0; i < c.n; i++) {
        assert_int_equal(d.v[i].role, c.v[i].role);
        assert_true(pgd_sv_eq(pgd_buf_sv(&d.v[i].text), pgd_buf_sv(&c.v[i].text)));
    }
    struct stat st;
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(pgd_fs_exists(f->beside));
    cli_conversation_fini(&c);
    cli_conversation_fini(&d);
}

static void the_file_is_a_json_array_of_messages(void **state) {
    const folder *f = *state;
    cli_conversation c = {0};
    pgd_buf text = {0};
    add(&c, CLI_USER, "hi");
    add(&c, CLI_ASSISTANT, "hello");
    assert_int_equal(cli_conversation_save(&c, f->file, NULL), PGD_OK);
    assert_int_equal(pgd_fs_read(f->file, 4096, &text, NULL), PGD_OK);
    assert_string_equal(text.p, "[\n  {\"role\":\"user\",\"content\":\"hi\"},\n"
                                "  {\"role\":\"assistant\",\"content\":\"hello\"}\n]\n");
    assert_int_equal(pgd_json_validate(pgd_buf_sv(&text), &pgd_json_limits_file, NULL), PGD_OK);
    pgd_buf_fini(&text);
    cli_conversation_fini(&c);
}

static void an_object_with_messages_is_loaded_too(void **state) {
    const folder *f = *state;
    cli_conversation c = {0};
    put_file(f->file, "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},"
                      "{\"role\":\"user\",\"content\":\"u\",\"name\":\"n\"}]}");
    assert_int_equal(cli_conversation_load(&c, f->file, NULL), PGD_OK);
    assert_messages(&c, "[{\"role\":\"system\",\"content\":\"s\"},"
                        "{\"role\":\"user\",\"content\":\"u\"}]");
    cli_conversation_fini(&c);
}

static void a_bad_file_is_named_and_changes_nothing(void **state) {
    const folder *f = *state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "talk.json"},
        {"[", "talk.json"},
        {"3", "array of messages"},
        {"{}", "array of messages"},
        {"{\"messages\":{}}", "an object"},
        {"[3]", "message 0: \"role\""},
        {"[{\"role\":\"tool\",\"content\":\"x\"}]", "message 0: \"role\""},
        {"[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\"}]", "message 1: \"content\""},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", "got an array"},
        {"[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"system\",\"content\":\"x\"}]",
         "message 1: only the first"},
    };
    cli_conversation c = {0};
    add(&c, CLI_USER, "kept");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pgd_error err = {0};
        put_file(f->file, cases[i].text);
        assert_true(cli_conversation_load(&c, f->file, &err) != PGD_OK);
        if (strstr(err.msg, cases[i].want) == NULL || strstr(err.msg, "talk.json") == NULL)
            fail_msg("'%s' lacks '%s'", err.msg, cases[i].want);
        assert_messages(&c, "[{\"role\":\"user\",\"content\":\"kept\"}]");
    }
    pgd_error err = {0};
    assert_int_equal(cli_conversation_load(&c, "/nonexistent/x.json", &err), PGD_E_NOT_FOUND);
    cli_conversation_fini(&c);
}

static void a_failed_save_leaves_the_old_file(void **state) {
    const folder *f = *state;
    cli_conversation c = {0};
    pgd_error err = {0};
    pgd_buf text = {0};
    add(&c, CLI_USER, "new");
    put_file(f->file, "old");
    assert_int_equal(mkdir(f->beside, 0700), 0); /* writing beside the target fails */
    assert_int_equal(cli_conversation_save(&c, f->file, &err), PGD_E_IO);
    assert_int_equal(rmdir(f->beside), 0);
    assert_int_equal(pgd_fs_read(f->file, 100, &text, NULL), PGD_OK);
    assert_string_equal(text.p, "old");
    assert_int_equal(cli_conversation_save(&c, "/nonexistent/x.json", &err), PGD_E_IO);
    assert_int_equal(cli_conversation_save(&c, f->dir, &err), PGD_E_IO);
    assert_non_null(strstr(err.msg, "not a regular file"));
    pgd_buf_fini(&text);
    cli_conversation_fini(&c);
}

static void without_memory_nothing_changes(void **state) {
    const folder *f = *state;
    cli_conversation saved = {0};
    add(&saved, CLI_SYSTEM, "s");
    add(&saved, CLI_USER, "u");
    assert_int_equal(cli_conversation_save(&saved, f->file, NULL), PGD_OK);
    cli_conversation_fini(&saved);
    cli_conversation c = {0};
    add(&c, CLI_USER, "kept");
    pgd_status status = PGD_E_NOMEM;
    for (int64_t n = 0; status != PGD_OK; n++) {
        assert_messages(&c, "[{\"role\":\"user\",\"content\":\"kept\"}]");
        pgd_mem_fail_after(n);
        status = cli_conversation_load(&c, f->file, NULL);
        pgd_mem_fail_after(-1);
        assert_true(n < 1000);
    }
    assert_int_equal(c.n, 2);
    cli_conversation_fini(&c);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_system_prompt_is_the_first_message),
        IN_FOLDER(what_is_saved_is_loaded_again),
        IN_FOLDER(the_file_is_a_json_array_of_messages),
        IN_FOLDER(an_object_with_messages_is_loaded_too),
        IN_FOLDER(a_bad_file_is_named_and_changes_nothing),
        IN_FOLDER(a_failed_save_leaves_the_old_file),
        IN_FOLDER(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
