/* Tests of fs.c, in a folder of their own below the build's working folder. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pagoda/fs.h"
#include "pagoda/mem.h"

static char dir[] = "pagoda-fs-XXXXXX";
static char path[256];

static const char *write_file(const void *data, size_t n) {
    assert_int_equal(pgd_fs_join(path, sizeof path, dir, "file", NULL), PGD_OK);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static void a_file_is_appended_whole(void **state) {
    (void)state;
    enum { N = 300001 };
    static char data[N];
    for (size_t i = 0; i < N; i++)
        data[i] = (char)(i * 31 >> 3);
    pgd_buf b = {0};
    pgd_buf_puts(&b, ">");
    assert_int_equal(pgd_fs_read(write_file(data, N), N, &b, NULL), PGD_OK);
    assert_int_equal(b.n, N + 1);
    assert_memory_equal(b.p + 1, data, N);
    assert_int_equal(b.p[b.n], 0);
    pgd_buf_fini(&b);
}

static void a_larger_file_than_the_bound_is_refused(void **state) {
    (void)state;
    pgd_error err = {0};
    pgd_buf b = {0};
    assert_int_equal(pgd_fs_read(write_file("12345", 5), 4, &b, &err), PGD_E_LIMIT);
    assert_non_null(strstr(err.msg, path));
    pgd_buf_clear(&b);
    assert_int_equal(pgd_fs_read(path, 5, &b, &err), PGD_OK);
    assert_string_equal(b.p, "12345");
    pgd_buf_clear(&b);
    assert_int_equal(pgd_fs_read("/dev/zero", 100000, &b, &err), PGD_E_LIMIT);
    pgd_buf_fini(&b);
}

static void failures_name_the_path_and_the_reason(void **state) {
    (void)state;
    pgd_error err = {0};
    pgd_buf b = {0};
    pgd_fs_map m;
    assert_int_equal(pgd_fs_read("nowhere/at/all", 9, &b, &err), PGD_E_NOT_FOUND);
    assert_string_equal(err.msg, "cannot open 'nowhere/at/all': No such file or directory");
    assert_int_equal(pgd_fs_map_open("nowhere/at/all", &m, &err), PGD_E_NOT_FOUND);
    assert_int_equal(pgd_fs_read(dir, 9, &b, &err), PGD_E_IO);
    assert_int_equal(pgd_fs_map_open(dir, &m, &err), PGD_E_IO);
    assert_non_null(strstr(err.msg, "not a regular file"));
    pgd_buf_fini(&b);
    (void)pgd_mem_fail_after(0);
    assert_int_equal(pgd_fs_read(write_file("x", 1), 9, &b, &err), PGD_E_NOMEM);
    assert_true(pgd_mem_fail_after(-1));
    pgd_buf_fini(&b);
}

static void a_map_shows_the_bytes_of_the_file(void **state) {
    (void)state;
    pgd_fs_map m;
    assert_int_equal(pgd_fs_map_open(write_file("a\0b", 3), &m, NULL), PGD_OK);
    assert_int_equal(m.bytes, 3);
    assert_memory_equal(m.data, "a\0b", 3);
    pgd_fs_map_close(&m);
    assert_null(m.data);
    pgd_fs_map_close(&m);
    assert_int_equal(pgd_fs_map_open(write_file("", 0), &m, NULL), PGD_OK);
    assert_null(m.data);
    assert_int_equal(m.bytes, 0);
    pgd_fs_map_close(&m);
}

/* Opening a FIFO for reading would wait for a writer for ever. */
static void a_fifo_is_refused_instead_of_waited_for(void **state) {
    (void)state;
    char fifo[256];
    pgd_fs_map m;
    assert_int_equal(pgd_fs_join(fifo, sizeof fifo, dir, "fifo", NULL), PGD_OK);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(pgd_fs_map_open(fifo, &m, NULL), PGD_E_IO);
    assert_int_equal(unlink(fifo), 0);
}

static void existence_and_folders_are_told_apart(void **state) {
    (void)state;
    (void)write_file("x", 1);
    assert_true(pgd_fs_exists(path));
    assert_false(pgd_fs_is_dir(path));
    assert_true(pgd_fs_is_dir(dir));
    assert_false(pgd_fs_exists("nowhere"));
    assert_false(pgd_fs_is_dir("nowhere"));
}

static void joining_is_bounded_and_adds_one_slash(void **state) {
    (void)state;
    char out[8];
    pgd_error err = {0};
    assert_int_equal(pgd_fs_join(out, sizeof out, "ab", "cd", NULL), PGD_OK);
    assert_string_equal(out, "ab/cd");
    assert_int_equal(pgd_fs_join(out, sizeof out, "ab/", "cdef", NULL), PGD_OK);
    assert_string_equal(out, "ab/cdef");
    assert_int_equal(pgd_fs_join(out, sizeof out, "ab/", "cdefg", &err), PGD_E_LIMIT);
    assert_non_null(strstr(err.msg, "ab/cdefg"));
}

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_appended_whole),
        cmocka_unit_test(a_larger_file_than_the_bound_is_refused),
        cmocka_unit_test(failures_name_the_path_and_the_reason),
        cmocka_unit_test(a_map_shows_the_bytes_of_the_file),
        cmocka_unit_test(a_fifo_is_refused_instead_of_waited_for),
        cmocka_unit_test(existence_and_folders_are_told_apart),
        cmocka_unit_test(joining_is_bounded_and_adds_one_slash),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
