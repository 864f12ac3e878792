/* The file of the operator's socket: who may open it, and that it is there exactly while a server
 * listens.
 *
 * The mode is the authentication. It is set on the descriptor before bind, which makes the file
 * with it, and looked at afterwards, so that there is no moment at which others could connect.
 * Between bind and listen nobody can connect either. A file that is there already is replaced only
 * if a connect to it is refused, which the kernel does when no process listens; looking, removing
 * and making are one step under a lock on the folder, since of two servers that start at once
 * one would otherwise remove the other's. The lock is released with the descriptor, so none is
 * ever left behind. Main thread before the loops run, loop 0's thread at the end. */
#include "http/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 16, LOCK_TRIES = 100 };

static pgd_status fail_errno(pgd_error *err, const char *path, const char *what) {
    return pgd_fail(err, PGD_E_IO, "admin socket %s: %s: %s", path, what, strerror(errno));
}

/* Lock the folder of path; *fd is the lock. */
static pgd_status lock_folder(const char *path, int *fd, pgd_error *err) {
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    const char *slash = strrchr(path, '/');
    const size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    memcpy(folder, path, n);
    folder[n] = '\0';
    const char *name = slash == NULL ? "." : n == 0 ? "/" : folder;
    *fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) return fail_errno(err, path, "cannot open its folder");
    const struct timespec pause = {.tv_nsec = 20000000};
    for (int i = 0; flock(*fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || i == LOCK_TRIES) {
            const pgd_status s = fail_errno(err, path, "cannot lock its folder");
            close(*fd);
            return s;
        }
        (void)nanosleep(&pause, NULL);
    }
    return PGD_OK;
}

/* Remove a socket file on which nobody listens. */
static pgd_status remove_stale(const struct sockaddr_un *at, pgd_error *err) {
    struct stat st;
    if (lstat(at->sun_path, &st) != 0)
        return errno == ENOENT ? PGD_OK : fail_errno(err, at->sun_path, "cannot look at it");
    if (!S_ISSOCK(st.st_mode))
        return pgd_fail(err, PGD_E_IO, "admin socket %s: a file is there that is no socket",
                        at->sun_path);
    /* not blocking, since the queue of a busy listener may be full */
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail_errno(err, at->sun_path, "socket");
    const int e = connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 ? 0 : errno;
    close(fd);
    if (e == 0 || e == EAGAIN)
        return pgd_fail(err, PGD_E_IO, "admin socket %s: another process listens there",
                        at->sun_path);
    errno = e;
    if (e != ECONNREFUSED) return fail_errno(err, at->sun_path, "cannot tell whether it is in use");
    return unlink(at->sun_path) == 0 || errno == ENOENT
               ? PGD_OK
               : fail_errno(err, at->sun_path, "cannot remove the old one");
}

static pgd_status make(const struct sockaddr_un *at, pgd_admin_socket *s, pgd_error *err) {
    struct stat st;
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) return fail_errno(err, at->sun_path, "socket");
    if (fchmod(s->fd, 0600) != 0) return fail_errno(err, at->sun_path, "fchmod");
    if (bind(s->fd, (const struct sockaddr *)at, sizeof(*at)) != 0)
        return fail_errno(err, at->sun_path, "cannot make it");
    memcpy(s->path, at->sun_path, sizeof(s->path)); /* from here on it is ours to remove */
    if (lstat(s->path, &st) != 0) return fail_errno(err, at->sun_path, "cannot look at it");
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    if (!S_ISSOCK(st.st_mode) || (st.st_mode & 0177) != 0)
        return pgd_fail(err, PGD_E_IO,
                        "admin socket %s: the file system made it with mode %04o, not 0600",
                        at->sun_path, (unsigned)(st.st_mode & 07777));
    if (listen(s->fd, BACKLOG) != 0) return fail_errno(err, at->sun_path, "listen");
    return PGD_OK;
}

pgd_status pgd_admin_open(const char *path, pgd_admin_socket *out, pgd_error *err) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    *out = (pgd_admin_socket){.fd = -1};
    const size_t n = strlen(path);
    if (n == 0 || n >= sizeof(at.sun_path))
        return pgd_fail(err, PGD_E_INVALID,
                        "admin socket '%s': the path has %zu bytes; a unix socket takes 1 to %zu",
                        path, n, sizeof(at.sun_path) - 1);
    memcpy(at.sun_path, path, n + 1);
    int lock;
    PGD_TRY(lock_folder(path, &lock, err));
    pgd_status s = remove_stale(&at, err);
    if (s == PGD_OK) s = make(&at, out, err);
    if (s != PGD_OK) pgd_admin_close(out);
    close(lock);
    return s;
}

void pgd_admin_close(pgd_admin_socket *s) {
    struct stat st;
    /* While we listen nobody replaces the file, and its inode number is not given to another. */
    if (s->path[0] != '\0' && lstat(s->path, &st) == 0 && st.st_dev == s->dev &&
        st.st_ino == s->ino)
        (void)unlink(s->path);
    s->path[0] = '\0';
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

bool pgd_admin_peer(int fd, unsigned *uid, int *pid) {
    struct ucred peer;
    socklen_t n = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0) return false;
    *uid = peer.uid;
    *pid = peer.pid;
    return peer.uid == 0 || peer.uid == geteuid();
}
