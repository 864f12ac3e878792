/* Paths to routes: one table, read on the loop thread. Endpoints are added here and in src/api;
 * nothing else knows paths. The main five also answer without their /v1, and slashes are forgiven,
 * because base URLs are typed by people. */
#include "http/route.h"

#include <string.h>

#include "http/parse.h"

enum { PROBE = PGD_ROUTE_OPEN | PGD_ROUTE_QUIET | PGD_ROUTE_BOTH };

static const pgd_route_row rows[] = {
    {"/", PGD_ROUTE_ROOT, PGD_GET, PGD_ROUTE_OPEN, NULL},
    {"/v1/chat/completions", PGD_ROUTE_CHAT, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/chat/completions", PGD_ROUTE_CHAT, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/completions", PGD_ROUTE_COMPLETIONS, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/completions", PGD_ROUTE_COMPLETIONS, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/embeddings", PGD_ROUTE_EMBEDDINGS, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/embeddings", PGD_ROUTE_EMBEDDINGS, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/responses", PGD_ROUTE_RESPONSES, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/responses", PGD_ROUTE_RESPONSES, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/responses/input_tokens", PGD_ROUTE_INPUT_TOKENS, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/responses/", PGD_ROUTE_RESPONSE_CANCEL, PGD_POST, 0, "/cancel"},
    {"/v1/requests/", PGD_ROUTE_CANCEL, PGD_POST, 0, "/cancel"},
    {"/v1/responses/", PGD_ROUTE_INPUT_ITEMS, PGD_GET, 0, "/input_items"},
    {"/v1/responses/", PGD_ROUTE_RESPONSE, PGD_GET | PGD_DELETE, 0, NULL},
    {"/v1/messages", PGD_ROUTE_MESSAGES, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/messages", PGD_ROUTE_MESSAGES, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/messages/count_tokens", PGD_ROUTE_COUNT_TOKENS, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/models", PGD_ROUTE_MODELS, PGD_GET, 0, NULL},
    {"/models", PGD_ROUTE_MODELS, PGD_GET, 0, NULL},
    {"/v1/models/", PGD_ROUTE_MODEL, PGD_GET, 0, NULL},
    {"/models/", PGD_ROUTE_MODEL, PGD_GET, 0, NULL},
    {"/tokenize", PGD_ROUTE_TOKENIZE, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/tokenize", PGD_ROUTE_TOKENIZE, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/detokenize", PGD_ROUTE_DETOKENIZE, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/detokenize", PGD_ROUTE_DETOKENIZE, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/apply-template", PGD_ROUTE_APPLY_TEMPLATE, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/v1/apply-template", PGD_ROUTE_APPLY_TEMPLATE, PGD_POST, PGD_ROUTE_MODEL_USE, NULL},
    {"/server_info", PGD_ROUTE_SERVER_INFO, PGD_GET, PGD_ROUTE_BOTH, NULL},
    {"/health", PGD_ROUTE_HEALTH, PGD_GET, PROBE, NULL},
    {"/ping", PGD_ROUTE_HEALTH, PGD_GET, PROBE, NULL},
    {"/ready", PGD_ROUTE_HEALTH, PGD_GET, PROBE, NULL},
    {"/readyz", PGD_ROUTE_HEALTH, PGD_GET, PROBE, NULL},
    {"/live", PGD_ROUTE_LIVE, PGD_GET, PROBE, NULL},
    {"/livez", PGD_ROUTE_LIVE, PGD_GET, PROBE, NULL},
    {"/startupz", PGD_ROUTE_STARTUP, PGD_GET, PROBE, NULL},
    {"/metrics", PGD_ROUTE_METRICS, PGD_GET, PGD_ROUTE_METRIC | PGD_ROUTE_QUIET | PGD_ROUTE_BOTH,
     NULL},
    {"/version", PGD_ROUTE_VERSION, PGD_GET, PGD_ROUTE_BOTH, NULL},
    {"/status", PGD_ROUTE_PAGE, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET, NULL},
    {"/web/", PGD_ROUTE_PAGE, PGD_GET, PGD_ROUTE_OPEN | PGD_ROUTE_QUIET, NULL},
    {"/requests", PGD_ROUTE_REQUESTS, PGD_GET, PGD_ROUTE_ADMIN, NULL},
    {"/requests/", PGD_ROUTE_CANCEL_ANY, PGD_POST, PGD_ROUTE_ADMIN, "/cancel"},
    {"/reset_prefix_cache", PGD_ROUTE_RESET_CACHE, PGD_POST, PGD_ROUTE_ADMIN, NULL},
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
        const pgd_sv prefix = pgd_sv_c(rows[i].path), suffix = pgd_sv_c(rows[i].suffix);
        if (prefix.n < 2 || prefix.p[prefix.n - 1] != '/' || !pgd_sv_starts(path, prefix)) continue;
        if (path.n <= prefix.n + suffix.n || !pgd_sv_ends(path, suffix)) continue;
        const size_t path_n = path.n;
        /* the decoded text goes behind the path: make room first, so that the path stays */
        if (pgd_buf_reserve(scratch, path_n) != PGD_OK) return NULL;
        const pgd_sv raw = {scratch->p + prefix.n, path_n - prefix.n - suffix.n};
        if (!pgd_http_percent_decode(raw, scratch)) return NULL;
        if (scratch->failed) return NULL;
        *arg = (pgd_sv){scratch->p + path_n, scratch->n - path_n};
        return &rows[i];
    }
    return NULL;
}

bool pgd_route_is_offered(const pgd_route_row *row, bool admin) {
    const unsigned there = PGD_ROUTE_ADMIN | PGD_ROUTE_BOTH;
    return admin ? (row->flags & there) != 0 : (row->flags & PGD_ROUTE_ADMIN) == 0;
}

const char *pgd_route_allow(const pgd_route_row *row) {
    if (row->methods & PGD_DELETE) return "GET, HEAD, DELETE, OPTIONS";
    return row->methods == PGD_POST ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
}
