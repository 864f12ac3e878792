/* Status codes: their names, their HTTP answers, and the text of a pgd_error.
 *
 * Invariants: a message is always NUL-terminated and never ends inside a UTF-8 sequence, so that it
 * can be put into a JSON body as it is when its parts were valid. Formatting goes through a buffer
 * of its own, because callers do pass err->msg as an argument. Nothing here allocates: errors must
 * work when memory is what ran out. Thread: any. */
#include "pagoda/status.h"

#undef pgd_fail /* see the header: a macro for the static analyser */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/str.h"

static const struct {
    const char *name;
    int http;
} codes[PGD_STATUS_N] = {
    [PGD_OK] = {"ok", 200},
    [PGD_E_INVALID] = {"invalid", 400},
    [PGD_E_FORMAT] = {"format", 400},
    [PGD_E_UNSUPPORTED] = {"unsupported", 400},
    [PGD_E_NOT_FOUND] = {"not_found", 404},
    [PGD_E_LIMIT] = {"limit", 400},
    [PGD_E_NOMEM] = {"no_memory", 503},
    [PGD_E_IO] = {"io", 500},
    [PGD_E_PERM] = {"permission", 403},
    [PGD_E_BUSY] = {"busy", 503},
    [PGD_E_TIMEOUT] = {"timeout", 504},
    [PGD_E_CANCELLED] = {"cancelled", 499},
    [PGD_E_DEVICE] = {"device", 503},
    [PGD_E_INTERNAL] = {"internal", 500},
};

/* Cut msg at the start of a code point that does not fit whole. */
static void trim_tail(char *msg) {
    const size_t n = strlen(msg);
    msg[n - pgd_utf8_incomplete_tail(msg, n)] = '\0';
}

pgd_status pgd_fail(pgd_error *err, pgd_status code, const char *fmt, ...) {
    if (!err) return code;
    char msg[PGD_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(msg, sizeof msg, fmt, ap) < 0) msg[0] = '\0';
    va_end(ap);
    trim_tail(msg);
    err->code = code;
    memcpy(err->msg, msg, strlen(msg) + 1);
    return code;
}

pgd_status pgd_wrap(pgd_error *err, const char *fmt, ...) {
    if (!err) return PGD_E_INTERNAL;
    char place[PGD_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(place, sizeof place, fmt, ap) < 0) place[0] = '\0';
    va_end(ap);
    char msg[2 * PGD_ERROR_MSG_BYTES + 2];
    (void)snprintf(msg, sizeof msg, "%s: %s", place, err->msg);
    msg[PGD_ERROR_MSG_BYTES - 1] = '\0';
    trim_tail(msg);
    memcpy(err->msg, msg, strlen(msg) + 1);
    return err->code;
}

const char *pgd_status_name(pgd_status s) {
    return (unsigned)s < PGD_STATUS_N ? codes[s].name : "unknown";
}

int pgd_status_http(pgd_status s) {
    return (unsigned)s < PGD_STATUS_N ? codes[s].http : 500;
}

_Noreturn void pgd_assert_fail(const char *expr, const char *file, int line) {
    (void)fprintf(stderr, "pagoda: broken invariant at %s:%d: %s\n", file, line, expr);
    (void)fflush(stderr);
    abort();
}
