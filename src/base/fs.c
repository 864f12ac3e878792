/* Files: bounded whole reads, read-only maps, paths.
 *
 * Paths come from the command line and from a model's index file; names from the latter are checked
 * by their reader before they get here. Reading stops at the bound however large the file claims to
 * be or grows. A map is private and read-only; if somebody truncates the file while it is mapped,
 * touching the lost part raises SIGBUS: model files must not be rewritten in place while served.
 * Thread: any. */
#include "pagoda/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16 };

/* strerror_r of glibc: thread-safe, may return a constant. */
static pgd_status fail_errno(pgd_error *err, const char *what, const char *path) {
    const int e = errno;
    char text[128];
    const pgd_status code = e == ENOENT || e == ENOTDIR ? PGD_E_NOT_FOUND
                            : e == EACCES || e == EPERM ? PGD_E_PERM
                            : e == ENOMEM               ? PGD_E_NOMEM
                                                        : PGD_E_IO;
    return pgd_fail(err, code, "cannot %s '%s': %s", what, path, strerror_r(e, text, sizeof text));
}

/* Read until the end or one byte past the bound. */
static pgd_status read_all(int fd, const char *path, size_t max_bytes, pgd_buf *out,
                           pgd_error *err) {
    const size_t before = out->n;
    for (;;) {
        if (pgd_buf_reserve(out, READ_BYTES) != PGD_OK)
            return pgd_fail(err, PGD_E_NOMEM, "cannot read '%s': out of memory", path);
        const ssize_t got = read(fd, out->p + out->n, out->cap - out->n - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(err, "read", path);
        if (got == 0) return PGD_OK;
        out->n += (size_t)got;
        out->p[out->n] = '\0';
        if (out->n - before > max_bytes)
            return pgd_fail(err, PGD_E_LIMIT, "'%s' is larger than %zu bytes", path, max_bytes);
    }
}

pgd_status pgd_fs_read(const char *path, size_t max_bytes, pgd_buf *out, pgd_error *err) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(err, "open", path);
    const pgd_status s = read_all(fd, path, max_bytes, out, err);
    (void)close(fd);
    return s;
}

bool pgd_fs_exists(const char *path) {
    return access(path, F_OK) == 0;
}

bool pgd_fs_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* O_NONBLOCK so that a FIFO in the model's folder is refused instead of waited for. */
pgd_status pgd_fs_map_open(const char *path, pgd_fs_map *out, pgd_error *err) {
    struct stat st;
    pgd_status s = PGD_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(err, "open", path);
    *out = (pgd_fs_map){0};
    if (fstat(fd, &st) != 0) {
        s = fail_errno(err, "stat", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        s = pgd_fail(err, PGD_E_IO, "cannot map '%s': not a regular file", path);
        goto out;
    }
    if (st.st_size == 0) goto out;
    void *const p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        s = fail_errno(err, "map", path);
        goto out;
    }
    *out = (pgd_fs_map){.data = p, .bytes = (size_t)st.st_size};
out:
    (void)close(fd);
    return s;
}

void pgd_fs_map_close(pgd_fs_map *m) {
    if (m->data) (void)munmap((void *)(uintptr_t)m->data, m->bytes);
    *m = (pgd_fs_map){0};
}

void pgd_fs_map_idle(const pgd_fs_map *m) {
    if (m->data) (void)madvise((void *)(uintptr_t)m->data, m->bytes, MADV_DONTNEED);
}

pgd_status pgd_fs_join(char *out, size_t out_bytes, const char *dir, const char *name,
                       pgd_error *err) {
    const size_t n = strlen(dir);
    const char *slash = n > 0 && dir[n - 1] == '/' ? "" : "/";
    const int len = snprintf(out, out_bytes, "%s%s%s", dir, slash, name);
    if (len < 0 || (size_t)len >= out_bytes)
        return pgd_fail(err, PGD_E_LIMIT, "path too long (at most %zu bytes): %s%s%s",
                        out_bytes ? out_bytes - 1 : 0, dir, slash, name);
    return PGD_OK;
}
