/* Probes, metrics, version and the root page, and the operator's reset of the prefix cache.
 *
 * live: the process is not known to be broken; it never depends on load or on the queue. ready: a
 * model is attached, the engine's steps make progress, no drain, nothing fatal; overload never
 * flips it. A step that has been in flight for longer than STALL_NS means a stuck device: an idle
 * engine has none in flight, so its old heartbeat proves nothing.
 *
 * A reset lives in its call, whose memory therefore stays until the engine has answered, whatever
 * became of the client. Thread: the loop's. */
#include <stdio.h>

#include "call.h"
#include "pagoda/jsonw.h"
#include "pagoda/log.h"

#define STALL_NS (120ull * 1000000000ull)

const char *api_not_live(const pgd_api *a) {
    return pgd_api_get_state(a) == PGD_API_DEAD ? "The engine has failed." : NULL;
}

const char *api_not_ready(const pgd_api *a, char text[256]) {
    switch (pgd_api_get_state(a)) {
    case PGD_API_LOADING:
        return "The model is loading.";
    case PGD_API_LEAVING:
    case PGD_API_DRAINING:
        return "The server is shutting down.";
    case PGD_API_DEAD:
        return "The engine has failed.";
    case PGD_API_READY:
        break;
    }
    const pgd_api_model *const m = atomic_load_explicit(&a->model, memory_order_acquire);
    if (!m) return "The model is loading.";
    pgd_engine_stats st;
    pgd_engine_get_stats(m->engine, &st);
    if (st.fatal) {
        (void)snprintf(text, 256, "The engine has failed: %s", st.fatal_msg);
        return text;
    }
    const uint64_t now = pgd_clock_now(&a->clock);
    if (st.oldest_step_ns && now > st.oldest_step_ns && now - st.oldest_step_ns > STALL_NS) {
        (void)snprintf(text, 256, "The engine makes no progress: a step is in flight for %llu s.",
                       (unsigned long long)((now - st.oldest_step_ns) / 1000000000u));
        return text;
    }
    return NULL;
}

void api_version_write(pgd_buf *out) {
    pgd_buf_puts(out, "{\"version\":\"" PGD_VERSION "\"}");
}

void api_root_write(const pgd_api *a, pgd_buf *out) {
    static const char *const endpoints[] = {"POST /v1/chat/completions",
                                            "POST /v1/completions",
                                            "POST /v1/embeddings",
                                            "POST /v1/responses",
                                            "POST /v1/responses/input_tokens",
                                            "GET /v1/responses/{id}",
                                            "DELETE /v1/responses/{id}",
                                            "GET /v1/responses/{id}/input_items",
                                            "POST /v1/messages",
                                            "POST /v1/messages/count_tokens",
                                            "GET /v1/models",
                                            "GET /v1/models/{id}",
                                            "POST /v1/responses/{id}/cancel",
                                            "POST /v1/requests/{id}/cancel",
                                            "POST /tokenize",
                                            "POST /detokenize",
                                            "POST /apply-template",
                                            "GET /server_info",
                                            "GET /health",
                                            "GET /livez",
                                            "GET /readyz",
                                            "GET /startupz",
                                            "GET /metrics",
                                            "GET /version"};
    const pgd_api_model *const m = atomic_load_explicit(&a->model, memory_order_acquire);
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "name");
    pgd_jsonw_cstr(&w, "pagoda");
    pgd_jsonw_key(&w, "version");
    pgd_jsonw_cstr(&w, PGD_VERSION);
    pgd_jsonw_key(&w, "model");
    pgd_jsonw_cstr(&w, m ? m->names[0] : NULL);
    pgd_jsonw_key(&w, "endpoints");
    pgd_jsonw_arr(&w);
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++)
        pgd_jsonw_cstr(&w, endpoints[i]);
    pgd_jsonw_end_arr(&w);
    pgd_jsonw_end_obj(&w);
}

void api_metrics_write(const pgd_api *a, pgd_buf *out) {
    if (a->opt.metrics) pgd_metrics_render(a->opt.metrics, out);
}

/* ---- the prefix cache ---- */

void api_answer_reset(pgd_call *c) {
    const pgd_api_model *const m = atomic_load_explicit(&c->api->model, memory_order_acquire);
    if (!m) {
        api_error e = {.retry_after_ms = 2000};
        (void)api_fail(&e, PGD_E_BUSY, "model_loading", NULL,
                       "The model is still loading. Please try again in 2s.");
        api_call_fail(c, &e);
        return;
    }
    c->reset = (pgd_cache_reset){.sink = &c->loop->sink};
    c->resetting = true;
    pgd_engine_ask_cache_reset(m->engine, &c->reset);
}

static void answer_reset(pgd_call *c) {
    pgd_log(PGD_LOG_INFO, "api", "operator resets the prefix cache freed=%u kept=%u request_id=%s",
            c->reset.pages_freed, c->reset.pages_kept, c->request_id);
    if (c->phase == API_ENDED) return; /* nobody waits any more */
    pgd_jsonw w;
    pgd_jsonw_init(&w, &c->out);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "object");
    pgd_jsonw_cstr(&w, "prefix_cache.reset");
    pgd_jsonw_key(&w, "pages_freed");
    pgd_jsonw_u64(&w, c->reset.pages_freed);
    pgd_jsonw_key(&w, "pages_kept");
    pgd_jsonw_u64(&w, c->reset.pages_kept);
    pgd_jsonw_end_obj(&w);
    api_answer_json(c, 200);
    api_call_changed(c);
}

void api_resets_drain(pgd_api_loop *l) {
    for (pgd_link *at = pgd_stack_take_all(&l->sink.resets); at;) {
        pgd_cache_reset *const reset = PGD_FROM_LINK(at, pgd_cache_reset, link);
        pgd_call *const c = PGD_FROM_LINK(reset, pgd_call, reset);
        at = at->next; /* collect may free it */
        c->resetting = false;
        answer_reset(c);
        api_call_collect(c);
    }
}
