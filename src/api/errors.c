/* Error texts and the error object.
 *
 * Every refusal of the API is made here or through api_fail, so that shape (message, type, param,
 * code: all four, code a string or null) and size (a message stays below 1 KiB and quotes at most
 * 64 bytes of input) hold everywhere. Thread: any; nothing is shared. */
#include "errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pagoda/api.h"
#include "pagoda/jsonw.h"

static void write_object(pgd_buf *out, const char *message, const char *type, const char *param,
                         const char *code, int64_t n_prompt, int64_t n_ctx) {
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "error");
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "message");
    pgd_jsonw_cstr(&w, message);
    pgd_jsonw_key(&w, "type");
    pgd_jsonw_cstr(&w, type);
    pgd_jsonw_key(&w, "param");
    pgd_jsonw_cstr(&w, param);
    pgd_jsonw_key(&w, "code");
    pgd_jsonw_cstr(&w, code);
    if (n_ctx > 0) {
        pgd_jsonw_key(&w, "n_prompt_tokens");
        pgd_jsonw_i64(&w, n_prompt);
        pgd_jsonw_key(&w, "n_ctx");
        pgd_jsonw_i64(&w, n_ctx);
    }
    pgd_jsonw_end_obj(&w);
    pgd_jsonw_end_obj(&w);
}

pgd_status api_fail(api_error *e, pgd_status status, const char *code, const char *param,
                    const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    e->status = status;
    e->code = code;
    if (vsnprintf(e->msg, sizeof e->msg, fmt, ap) < 0) e->msg[0] = '\0';
    va_end(ap);
    size_t n = strlen(e->msg);
    e->msg[n - pgd_utf8_incomplete_tail(e->msg, n)] = '\0';
    (void)snprintf(e->param, sizeof e->param, "%s", param ? param : "");
    n = strlen(e->param);
    e->param[n - pgd_utf8_incomplete_tail(e->param, n)] = '\0';
    return status;
}

pgd_status api_fail_nomem(api_error *e) {
    e->retry_after_ms = 1000;
    return api_fail(e, PGD_E_NOMEM, "server_overloaded", NULL,
                    "The server ran out of memory for this request. Please try again.");
}

pgd_status api_fail_from(api_error *e, const pgd_error *err, const char *code, const char *param) {
    if (err->code == PGD_E_NOMEM) return api_fail_nomem(e);
    const int http = pgd_status_http(err->code);
    if (http >= 500)
        return api_fail(e, err->code, "internal_error", NULL, "The server had an error: %s",
                        err->msg);
    return api_fail(e, err->code, code, param, "%s", err->msg);
}

pgd_status api_fail_missing(api_error *e, const char *param) {
    return api_fail(e, PGD_E_INVALID, "missing_required_parameter", param,
                    "Missing required parameter: '%s'.", param);
}

pgd_status api_fail_type(api_error *e, const char *param, const char *want, const pgd_json *got) {
    return api_fail(e, PGD_E_INVALID, "invalid_type", param,
                    "Invalid type for '%s': expected %s, but got %s instead.", param, want,
                    pgd_json_type_name(got));
}

pgd_status api_fail_unsupported(api_error *e, const char *param) {
    return api_fail(e, PGD_E_UNSUPPORTED, "unsupported_parameter", param,
                    "Unsupported parameter: '%s' is not supported by this server.", param);
}

const char *api_quote(char out[API_QUOTE_BYTES], pgd_sv s) {
    const size_t limit = 64;
    size_t n = s.n < limit ? s.n : limit;
    n -= pgd_utf8_incomplete_tail(s.p, n);
    memcpy(out, s.n ? s.p : "", n);
    out[n] = '\0';
    if (n < s.n) (void)snprintf(out + n, API_QUOTE_BYTES - n, "...");
    return out;
}

void api_error_write(const api_error *e, pgd_buf *out) {
    const char *type = pgd_status_http(e->status) >= 500 ? "server_error" : "invalid_request_error";
    write_object(out, e->msg, type, e->param[0] ? e->param : NULL, e->code, e->n_prompt_tokens,
                 e->n_ctx);
}

void pgd_api_error_body(pgd_buf *out, const char *message, const char *type, const char *param,
                        const char *code) {
    write_object(out, message, type, param, code, 0, 0);
}

static const char *anthropic_type(int http) {
    switch (http) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 503:
        return "overloaded_error";
    case 504:
        return "timeout_error";
    default:
        return http < 500 ? "invalid_request_error" : "api_error";
    }
}

void pgd_api_error_body_anthropic(pgd_buf *out, int http, const char *message,
                                  const char *request_id) {
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "type");
    pgd_jsonw_cstr(&w, "error");
    pgd_jsonw_key(&w, "error");
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "type");
    pgd_jsonw_cstr(&w, anthropic_type(http));
    pgd_jsonw_key(&w, "message");
    pgd_jsonw_cstr(&w, message);
    pgd_jsonw_end_obj(&w);
    pgd_jsonw_key(&w, "request_id");
    pgd_jsonw_cstr(&w, request_id);
    pgd_jsonw_end_obj(&w);
}
