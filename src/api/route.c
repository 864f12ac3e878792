/* Routes that answer on the loop: models, probes, metrics, version, root, and the operator's.
 *
 * None of them waits or touches the engine but for a lock-free snapshot of its numbers, so a probe
 * is true and fast whatever the load; a reset of the prefix cache is asked for here and answered by
 * the loop's drain. Thread: the loop's. */
#include "call.h"
#include "pagoda/jsonw.h"
#include "response.h"

const char *api_route_name(pgd_route r) {
    static const char *const names[PGD_ROUTE_N] = {
        [PGD_ROUTE_CHAT] = "chat",
        [PGD_ROUTE_COMPLETIONS] = "completions",
        [PGD_ROUTE_MESSAGES] = "messages",
        [PGD_ROUTE_COUNT_TOKENS] = "count_tokens",
        [PGD_ROUTE_RESPONSES] = "responses",
        [PGD_ROUTE_INPUT_TOKENS] = "input_tokens",
        [PGD_ROUTE_APPLY_TEMPLATE] = "apply_template",
        [PGD_ROUTE_EMBEDDINGS] = "embeddings",
        [PGD_ROUTE_TOKENIZE] = "tokenize",
        [PGD_ROUTE_DETOKENIZE] = "detokenize",
    };
    return r < PGD_ROUTE_N && names[r] ? names[r] : "other";
}

bool pgd_route_is_anthropic(pgd_route r) {
    return r == PGD_ROUTE_MESSAGES || r == PGD_ROUTE_COUNT_TOKENS;
}

/* c->out holds the answer: close the call with it. */
void api_answer_json(pgd_call *c, int http) {
    if (c->out.failed) {
        api_error e = {0};
        (void)api_fail_nomem(&e);
        c->out.failed = false;
        api_call_fail(c, &e);
        return;
    }
    api_call_fix_headers(c, http, "application/json");
    c->mark = c->out.n;
    api_call_end(c);
}

static void answer_probe(pgd_call *c, const char *why_not, const char *code, const char *yes) {
    if (why_not) {
        api_error e = {.retry_after_ms = 2000};
        (void)api_fail(&e, PGD_E_BUSY, code, NULL, "%s", why_not);
        api_call_fail(c, &e);
        return;
    }
    pgd_buf_putf(&c->out, "{\"status\":\"%s\"}", yes);
    api_answer_json(c, 200);
}

static void answer_models(pgd_call *c, pgd_sv arg) {
    const pgd_api_model *const m = atomic_load_explicit(&c->api->model, memory_order_acquire);
    api_error e = {0};
    if (!m) {
        e.retry_after_ms = 2000;
        (void)api_fail(&e, PGD_E_BUSY, "model_loading", NULL,
                       "The model is still loading. Please try again in 2s.");
    } else if (c->route == PGD_ROUTE_MODEL) {
        (void)api_model_write(m, arg, &c->out, &e);
    } else {
        api_models_write(m, &c->out);
    }
    if (e.status != PGD_OK)
        api_call_fail(c, &e);
    else
        api_answer_json(c, 200);
}

static void answer_startup(pgd_call *c) {
    const pgd_api *const a = c->api;
    if (atomic_load_explicit(&a->model, memory_order_acquire)) {
        answer_probe(c, api_not_live(a), "internal_error", "started");
        return;
    }
    const _Atomic uint32_t *const p = atomic_load_explicit(&a->progress, memory_order_acquire);
    const uint32_t permille = p ? atomic_load_explicit(p, memory_order_relaxed) : 0;
    api_error e = {.retry_after_ms = 2000};
    (void)api_fail(&e, PGD_E_BUSY, "model_loading", NULL, "The model is loading: %u.%u%% done.",
                   permille / 10, permille % 10);
    api_call_fail(c, &e);
}

static void answer_metrics(pgd_call *c) {
    api_metrics_write(c->api, &c->out);
    if (c->out.failed) {
        api_answer_json(c, 200); /* which then says so */
        return;
    }
    api_call_fix_headers(c, 200, "text/plain; version=0.0.4; charset=utf-8");
    api_call_end(c);
}

void api_route_small(pgd_call *c, const pgd_api_request *rq) {
    char text[256];
    const char *why;
    switch (c->route) {
    case PGD_ROUTE_MODELS:
    case PGD_ROUTE_MODEL:
        answer_models(c, rq->arg);
        return;
    case PGD_ROUTE_CANCEL:
        api_answer_cancel(c, rq->arg, &rq->tenant);
        return;
    case PGD_ROUTE_CANCEL_ANY:
        api_answer_cancel(c, rq->arg, NULL);
        return;
    case PGD_ROUTE_RESET_CACHE:
        api_answer_reset(c);
        return;
    case PGD_ROUTE_REQUESTS:
        api_live_write(c->api, &c->out);
        break;
    case PGD_ROUTE_SERVER_INFO:
        api_server_info_write(c->api, &c->out);
        break;
    case PGD_ROUTE_RESPONSE_CANCEL:
        api_answer_response_cancel(c, rq->arg);
        return;
    case PGD_ROUTE_RESPONSE:
    case PGD_ROUTE_INPUT_ITEMS:
        api_answer_kept(c, rq->arg, rq->query, rq->remove);
        return;
    case PGD_ROUTE_HEALTH:
        why = api_not_ready(c->api, text);
        answer_probe(c, why,
                     pgd_api_get_state(c->api) == PGD_API_LOADING ? "model_loading" : "not_ready",
                     "ready");
        return;
    case PGD_ROUTE_LIVE:
        answer_probe(c, api_not_live(c->api), "internal_error", "live");
        return;
    case PGD_ROUTE_STARTUP:
        answer_startup(c);
        return;
    case PGD_ROUTE_METRICS:
        answer_metrics(c);
        return;
    case PGD_ROUTE_VERSION:
        api_version_write(&c->out);
        break;
    case PGD_ROUTE_ROOT:
        api_root_write(c->api, &c->out);
        break;
    default: { /* a route of a transport that this build does not know */
        api_error e = {0};
        (void)api_fail(&e, PGD_E_NOT_FOUND, "unknown_url", NULL, "Invalid URL.");
        api_call_fail(c, &e);
        return;
    }
    }
    api_answer_json(c, 200);
}
