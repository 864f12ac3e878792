/* Paths to routes: one table, read on the loop thread. Endpoints are added here and in src/api;
 * nothing else knows paths. The main five also answer without their /v1, and slashes are forgiven,
 * because base URLs are typed by people. */
#include "http/route.h"

#include <string.h>

#include "http/parse.h"

static const pgd_route_row rows[] = {
    {"/", PGD_ROUTE_ROOT, PGD_GET, PGD_ROUTE_OPEN},
    {"/v1/chat/completions", PGD_ROUTE_CHAT, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/chat/completions", PGD_ROUTE_CHAT, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/v1/completions", PGD_ROUTE_COMPLETIONS, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/completions", PGD_ROUTE_COMPLETIONS, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/v1/responses", PGD_ROUTE_RESPONSES, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/responses", PGD_ROUTE_RESPONSES, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/v1/responses/input_tokens", PGD_ROUTE_INPUT_TOKENS, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/v1/messages", PGD_ROUTE_MESSAGES, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/messages", PGD_ROUTE_MESSAGES, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/v1/messages/count_tokens", PGD_ROUTE_COUNT_TOKENS, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/v1/models", PGD_ROUTE_MODELS, PGD_GET, 0},
    {"/models", PGD_ROUTE_MODELS, PGD_GET, 0},
    {"/v1/models/", PGD_ROUTE_MODEL, PGD_GET, 0},
    {"/models/", PGD_ROUTE_MODEL, PGD_GET, 0},
    {"/tokenize", PGD_ROUTE_TOKENIZE, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/v1/tokenize", PGD_ROUTE_TOKENIZE, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/detokenize", PGD_ROUTE_DETOKENIZE, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/v1/detokenize", PGD_ROUTE_DETOKENIZE, PGD_POST, PGD_ROUTE_MODEL_USE},
    {"/health", PGD_ROUTE_HEALTH, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
    {"/ping", PGD_ROUTE_HEALTH, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
    {"/ready", PGD_ROUTE_HEALTH, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
    {"/readyz", PGD_ROUTE_HEALTH, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
    {"/live", PGD_ROUTE_LIVE, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
    {"/livez", PGD_ROUTE_LIVE, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
    {"/startupz", PGD_ROUTE_STARTUP, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
    {"/metrics", PGD_ROUTE_METRICS, PGD_GET, PGD_ROUTE_METRIC | PGD_ROUTE_QUIET},
    {"/version", PGD_ROUTE_VERSION, PGD_GET, 0},
    {"/status", PGD_ROUTE_PAGE, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
    {"/web/", PGD_ROUTE_PAGE, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET},
};

/* Path of target without query, with single slashes and no trailing one, into out. */
static void normalise(pgd_sv target, pgd_buf *out) {
    for (size_t i = 0; i < target.n && target.p[i] != '?'; i++) {
        const bool repeated = target.p[i] == '/' && out->n > 0 && out->p[out->n - 1] == '/';
        if (!repeated) pgd_buf_putc(out, target.p[i]);
    }
    while (out->n > 1 && out->p[out->n - 1] == '/')
        out->n--;
}

const pgd_route_row *pgd_route_find(pgd_sv target, pgd_buf *scratch, pgd_sv *arg) {
    *arg = (pgd_sv){NULL, 0};
    pgd_buf_clear(scratch);
    normalise(target, scratch);
    if (scratch->failed) return NULL;
    const pgd_sv path = pgd_buf_sv(scratch);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (pgd_sv_eq(path, pgd_sv_c(rows[i].path))) return &rows[i];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const pgd_sv prefix = pgd_sv_c(rows[i].path);
        if (prefix.n < 2 || prefix.p[prefix.n - 1] != '/' || !pgd_sv_starts(path, prefix)) continue;
        const size_t path_n = path.n;
        if (!pgd_http_percent_decode((pgd_sv){path.p + prefix.n, path_n - prefix.n}, scratch))
            return NULL;
        if (scratch->failed) return NULL;
        *arg = (pgd_sv){scratch->p + path_n, scratch->n - path_n};
        return &rows[i];
    }
    return NULL;
}

const char *pgd_route_allow(const pgd_route_row *row) {
    return row->methods == PGD_POST ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
}
