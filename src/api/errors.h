/* What an API call fails with, before it becomes JSON. The HTTP status comes from the pgd_status
 * (status.c holds the only mapping); type follows from it. Texts and codes are those of OpenAI,
 * since clients match on them. */
#ifndef PAGODA_API_ERRORS_H
#define PAGODA_API_ERRORS_H

#include <stdint.h>

#include "pagoda/json.h"
#include "pagoda/status.h"
#include "pagoda/str.h"

enum { API_PARAM_BYTES = 160, API_MSG_BYTES = 1024, API_QUOTE_BYTES = 72 };

typedef struct api_error {
    pgd_status status;           /* PGD_OK: none */
    const char *code;            /* literal; NULL writes null */
    char param[API_PARAM_BYTES]; /* "" writes null */
    char msg[API_MSG_BYTES];
    uint32_t retry_after_ms;        /* 0: no such header */
    int64_t n_prompt_tokens, n_ctx; /* n_ctx > 0: added to the object */
} api_error;

/* Record the failure and return status. param may be NULL. */
pgd_status api_fail(api_error *e, pgd_status status, const char *code, const char *param,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A failure of a lower module: memory and bugs get texts of their own, the rest keeps err's. */
pgd_status api_fail_from(api_error *e, const pgd_error *err, const char *code, const char *param);
pgd_status api_fail_nomem(api_error *e);

/* The texts of the usual refusals. `want` and `value` as in "an integer", "16". */
pgd_status api_fail_missing(api_error *e, const char *param);
pgd_status api_fail_type(api_error *e, const char *param, const char *want, const pgd_json *got);
pgd_status api_fail_unsupported(api_error *e, const char *param);

/* At most 64 bytes of s, cut at a code point, as a C string. */
const char *api_quote(char out[API_QUOTE_BYTES], pgd_sv s);

/* {"error":{...}} appended to out. */
void api_error_write(const api_error *e, pgd_buf *out);

#endif
