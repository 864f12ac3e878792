/* The operator's socket as a file, and which routes are offered where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/admin.h"
#include "http/route.h"

typedef struct folder {
    char dir[64], path[96];
} folder;

static folder make_folder(void) {
    folder f;
    memcpy(f.dir, "/tmp/pagoda-admin-XXXXXX", 25);
    assert_non_null(mkdtemp(f.dir));
    (void)snprintf(f.path, sizeof(f.path), "%s/s", f.dir);
    return f;
}

static void drop_folder(const folder *f) {
    (void)unlink(f->path);
    assert_int_equal(rmdir(f->dir), 0); /* nothing else was left in it */
}

/* A connected client, or -1. */
static int dial(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0) return fd;
    close(fd);
    return -1;
}

static bool exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

static void expect_error(const char *path, pgd_status want, const char *text) {
    pgd_admin_socket s;
    pgd_error err = {0};
    assert_int_equal(pgd_admin_open(path, &s, &err), want);
    if (strstr(err.msg, text) == NULL) fail_msg("got: %s", err.msg);
    assert_int_equal(s.fd, -1);
}

static void it_is_for_its_owner_alone_whatever_the_umask(void **state) {
    (void)state;
    static const mode_t masks[] = {0, 022, 077};
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        const folder f = make_folder();
        pgd_admin_socket s;
        pgd_error err = {0};
        struct stat st;
        const mode_t old = umask(masks[i]);
        assert_int_equal(pgd_admin_open(f.path, &s, &err), PGD_OK);
        (void)umask(old);
        assert_int_equal(stat(f.path, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        assert_int_equal(st.st_mode & 07777, 0600);
        const int client = dial(f.path);
        assert_true(client >= 0);
        const int fd = accept(s.fd, NULL, NULL);
        unsigned uid;
        int pid;
        assert_true(pgd_admin_peer(fd, &uid, &pid));
        assert_int_equal(uid, geteuid());
        assert_int_equal(pid, getpid());
        close(fd);
        close(client);
        pgd_admin_close(&s);
        assert_false(exists(f.path));
        pgd_admin_close(&s);
        drop_folder(&f);
    }
}

static void what_is_no_unix_socket_has_no_peer(void **state) {
    (void)state;
    int fd[2];
    unsigned uid;
    int pid;
    assert_int_equal(pipe(fd), 0);
    assert_false(pgd_admin_peer(fd[0], &uid, &pid));
    close(fd[0]);
    close(fd[1]);
}

static void the_file_of_a_dead_server_is_replaced(void **state) {
    (void)state;
    const folder f = make_folder();
    pgd_admin_socket dead, s;
    pgd_error err = {0};
    assert_int_equal(pgd_admin_open(f.path, &dead, &err), PGD_OK);
    close(dead.fd); /* as a process does that is killed */
    assert_true(exists(f.path));
    assert_int_equal(pgd_admin_open(f.path, &s, &err), PGD_OK);
    const int client = dial(f.path);
    assert_true(client >= 0);
    close(client);
    pgd_admin_close(&s);
    assert_false(exists(f.path));
    drop_folder(&f);
}

static void a_file_that_became_anothers_is_left_to_it(void **state) {
    (void)state;
    const folder f = make_folder();
    pgd_admin_socket first, second;
    pgd_error err = {0};
    assert_int_equal(pgd_admin_open(f.path, &first, &err), PGD_OK);
    assert_int_equal(unlink(f.path), 0); /* somebody tidied up */
    assert_int_equal(pgd_admin_open(f.path, &second, &err), PGD_OK);
    pgd_admin_close(&first);
    assert_true(exists(f.path));
    pgd_admin_close(&second);
    assert_false(exists(f.path));
    drop_folder(&f);
}

static void the_file_of_a_live_server_stays(void **state) {
    (void)state;
    const folder f = make_folder();
    pgd_admin_socket s;
    pgd_error err = {0};
    assert_int_equal(pgd_admin_open(f.path, &s, &err), PGD_OK);
    expect_error(f.path, PGD_E_IO, "another process listens there");
    int client[64], n = 0; /* until its queue is full */
    while (n < 64) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", f.path);
        client[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        const bool taken = connect(client[n], (struct sockaddr *)&at, sizeof(at)) == 0;
        n++;
        if (!taken) break;
    }
    assert_true(n < 64);
    expect_error(f.path, PGD_E_IO, "another process listens there");
    while (n > 0)
        close(client[--n]);
    assert_true(exists(f.path));
    pgd_admin_close(&s);
    drop_folder(&f);
}

static void other_files_are_left_alone(void **state) {
    (void)state;
    const folder f = make_folder();
    FILE *file = fopen(f.path, "w");
    assert_non_null(file);
    (void)fclose(file);
    expect_error(f.path, PGD_E_IO, "no socket");
    assert_true(exists(f.path));
    assert_int_equal(unlink(f.path), 0);
    assert_int_equal(symlink("/tmp/nowhere", f.path), 0);
    expect_error(f.path, PGD_E_IO, "no socket");
    assert_true(exists(f.path));
    drop_folder(&f);
}

static void paths_that_cannot_be_are_named(void **state) {
    (void)state;
    char longest[200];
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    expect_error(longest, PGD_E_INVALID, "199 bytes");
    expect_error("", PGD_E_INVALID, "0 bytes");
    expect_error("/nowhere/at/all/s", PGD_E_IO, "cannot open its folder");
    expect_error("/proc/s", PGD_E_IO, "/proc/s");
}

static void a_held_folder_is_not_waited_for_for_ever(void **state) {
    (void)state;
    const folder f = make_folder();
    const int fd = open(f.dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    expect_error(f.path, PGD_E_IO, "cannot lock its folder");
    close(fd);
    drop_folder(&f);
}

typedef struct racer {
    pthread_t thread;
    const char *path;
    pgd_admin_socket s;
    pgd_status status;
} racer;

static void *race(void *arg) {
    racer *r = arg;
    pgd_error err = {0};
    r->status = pgd_admin_open(r->path, &r->s, &err);
    return NULL;
}

static void of_many_that_start_at_once_one_wins(void **state) {
    (void)state;
    enum { RACERS = 8, ROUNDS = 20 };
    for (int round = 0; round < ROUNDS; round++) {
        const folder f = make_folder();
        pgd_admin_socket dead;
        pgd_error err = {0};
        assert_int_equal(pgd_admin_open(f.path, &dead, &err), PGD_OK);
        close(dead.fd);
        racer r[RACERS];
        int n_won = 0, winner = -1;
        for (int i = 0; i < RACERS; i++) {
            r[i].path = f.path;
            assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
        }
        for (int i = 0; i < RACERS; i++) {
            pthread_join(r[i].thread, NULL);
            if (r[i].status == PGD_OK) {
                n_won++;
                winner = i;
            }
        }
        assert_int_equal(n_won, 1);
        const int client = dial(f.path);
        assert_true(client >= 0);
        close(client);
        pgd_admin_close(&r[winner].s);
        drop_folder(&f);
    }
}

static void the_port_and_the_socket_offer_different_routes(void **state) {
    (void)state;
    static const struct {
        const char *path;
        bool port, socket;
    } cases[] = {{"/reset_prefix_cache", false, true},
                 {"//reset_prefix_cache/", false, true},
                 {"/requests", false, true},
                 {"/requests/a/cancel", false, true},
                 {"/v1/requests/a/cancel", true, false},
                 {"/server_info", true, true},
                 {"/metrics", true, true},
                 {"/version", true, true},
                 {"/livez", true, true},
                 {"/readyz", true, true},
                 {"/startupz", true, true},
                 {"/", true, false},
                 {"/v1/models", true, false},
                 {"/v1/responses/a", true, false},
                 {"/v1/chat/completions", true, false},
                 {"/tokenize", true, false},
                 {"/status", true, false},
                 {"/web/playground.js", true, false}};
    pgd_buf scratch = {0};
    pgd_sv arg;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const pgd_route_row *row = pgd_route_find(pgd_sv_c(cases[i].path), &scratch, &arg);
        assert_non_null(row);
        if (pgd_route_is_offered(row, false) != cases[i].port ||
            pgd_route_is_offered(row, true) != cases[i].socket)
            fail_msg("%s", cases[i].path);
    }
    assert_null(pgd_route_find(PGD_SV("/requests/cancel"), &scratch, &arg));
    pgd_buf_fini(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_for_its_owner_alone_whatever_the_umask),
        cmocka_unit_test(what_is_no_unix_socket_has_no_peer),
        cmocka_unit_test(the_file_of_a_dead_server_is_replaced),
        cmocka_unit_test(a_file_that_became_anothers_is_left_to_it),
        cmocka_unit_test(the_file_of_a_live_server_stays),
        cmocka_unit_test(other_files_are_left_alone),
        cmocka_unit_test(paths_that_cannot_be_are_named),
        cmocka_unit_test(a_held_folder_is_not_waited_for_for_ever),
        cmocka_unit_test(of_many_that_start_at_once_one_wins),
        cmocka_unit_test(the_port_and_the_socket_offer_different_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
