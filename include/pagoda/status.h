/* Status codes and error text. Every function that can fail returns a pgd_status; functions whose
 * failure a person will read also take a pgd_error as their last argument. The lowest caller states
 * the fact (what, where, got, wanted), each caller above may prepend its place with pgd_wrap. */
#ifndef PAGODA_STATUS_H
#define PAGODA_STATUS_H

typedef enum pgd_status {
    PGD_OK = 0,
    PGD_E_INVALID,     /* a caller's value is wrong (request field, flag) */
    PGD_E_FORMAT,      /* a file or message is damaged or not what it claims to be */
    PGD_E_UNSUPPORTED, /* well formed, but this program does not do it */
    PGD_E_NOT_FOUND,
    PGD_E_LIMIT,   /* a stated bound is exceeded */
    PGD_E_NOMEM,   /* memory ran out; the request fails, the process lives */
    PGD_E_IO,      /* read, write, socket */
    PGD_E_PERM,    /* not allowed */
    PGD_E_BUSY,    /* queue full, loading, draining: try again later */
    PGD_E_TIMEOUT, /* a deadline passed */
    PGD_E_CANCELLED,
    PGD_E_DEVICE,   /* the compute device failed */
    PGD_E_INTERNAL, /* a bug of ours that was caught */
    PGD_STATUS_N
} pgd_status;

enum { PGD_ERROR_MSG_BYTES = 1024 };

/* Holds the first failure. Owned by the caller, usually on its stack; initialise with {0}. */
typedef struct pgd_error {
    pgd_status code;
    char msg[PGD_ERROR_MSG_BYTES]; /* NUL-terminated UTF-8, truncated at a code point */
} pgd_error;

/* Record code and a formatted message in err (err may be NULL). Returns code, so that callers write
 * `return pgd_fail(err, PGD_E_FORMAT, "...")`. */
pgd_status pgd_fail(pgd_error *err, pgd_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__
/* The static analyser sees one file at a time: tell it that a failure is the code given. */
#define pgd_fail(err, code, ...) ((void)(pgd_fail)(err, code, __VA_ARGS__), (code))
#endif

/* Prepend "<formatted>: " to an error already recorded. Returns err's code (PGD_E_INTERNAL when
 * err is NULL), so that callers write `return pgd_wrap(err, "loading %s", path)`. */
pgd_status pgd_wrap(pgd_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Short lower-case name of a code ("invalid", "format", ...). Never NULL. */
const char *pgd_status_name(pgd_status s);

/* The HTTP status that answers a code (200 for PGD_OK). The only such mapping in the program. */
int pgd_status_http(pgd_status s);

/* Propagate any failure of expr unchanged. */
#define PGD_TRY(expr)                                                                              \
    do {                                                                                           \
        const pgd_status pgd_try_status_ = (expr);                                                 \
        if (pgd_try_status_ != PGD_OK) return pgd_try_status_;                                     \
    } while (0)

/* A broken invariant of our own code: print and abort. Kept in release builds on cold paths. */
void pgd_assert_fail(const char *expr, const char *file, int line) __attribute__((noreturn));
#define PGD_ASSERT(cond) ((cond) ? (void)0 : pgd_assert_fail(#cond, __FILE__, __LINE__))

#endif
