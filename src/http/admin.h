/* The operator's unix socket as a file. Private to src/http. */
#ifndef PGD_HTTP_ADMIN_H
#define PGD_HTTP_ADMIN_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "pagoda/status.h"

typedef struct pgd_admin_socket {
    int fd; /* listens; -1: handed over, or none */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* "": none */
    dev_t dev;
    ino_t ino; /* of the file that was made */
} pgd_admin_socket;

/* Make a listening unix socket of mode 0600 at path; the file of a server that is gone is replaced.
 * Errors: PGD_E_INVALID (a path that is too long), PGD_E_IO: somebody listens there, the file is no
 * socket, the folder does not take it. */
pgd_status pgd_admin_open(const char *path, pgd_admin_socket *out, pgd_error *err);
/* Remove the file unless it is another's by now, and close the descriptor unless it was handed over
 * (then close that afterwards). Harmless a second time. */
void pgd_admin_close(pgd_admin_socket *s);
/* Whether the peer of a connected unix socket is this user or root; *uid and *pid are its own. */
bool pgd_admin_peer(int fd, unsigned *uid, int *pid);

#endif
