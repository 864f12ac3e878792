/* GET /server_info: what this server is and what a request gets that says nothing: version, names,
 * limits, effective sampling defaults, output formats, the engine's numbers of the moment, and the
 * memory plan as it was made at start. Nothing in it depends on requests of others but for counts.
 * Thread: the loop's. */
#include "call.h"
#include "pagoda/jsonw.h"

static void put_num(pgd_jsonw *w, const char *key, double v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_f64(w, v);
}

static void put_count(pgd_jsonw *w, const char *key, uint64_t v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_u64(w, v);
}

static void put_str(pgd_jsonw *w, const char *key, const char *v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_cstr(w, v);
}

/* As prep settles them. */
static void put_defaults(pgd_jsonw *w, const pgd_generation_config *gc) {
    const pgd_generation_config none = {.do_sample = true};
    const pgd_generation_config *const g = gc ? gc : &none;
    const double plain = g->do_sample ? 1.0 : 0.0;
    pgd_jsonw_key(w, "default_sampling");
    pgd_jsonw_obj(w);
    put_num(w, "temperature", g->has_temperature && g->do_sample ? g->temperature : plain);
    put_num(w, "top_p", g->has_top_p ? g->top_p : 1.0);
    pgd_jsonw_key(w, "top_k");
    pgd_jsonw_i64(w, g->has_top_k ? g->top_k : 0);
    put_num(w, "min_p", g->has_min_p ? g->min_p : 0.0);
    put_num(w, "repetition_penalty", g->has_repetition_penalty ? g->repetition_penalty : 1.0);
    pgd_jsonw_key(w, "max_tokens");
    if (g->has_max_new_tokens && g->max_new_tokens)
        pgd_jsonw_u64(w, g->max_new_tokens);
    else
        pgd_jsonw_null(w);
    pgd_jsonw_end_obj(w);
}

static void put_model(pgd_jsonw *w, const pgd_api *a, const pgd_api_model *m) {
    pgd_jsonw_key(w, "model");
    pgd_jsonw_obj(w);
    pgd_jsonw_key(w, "names");
    pgd_jsonw_arr(w);
    for (uint32_t i = 0; i < m->n_names; i++)
        pgd_jsonw_cstr(w, m->names[i]);
    pgd_jsonw_end_arr(w);
    put_str(w, "architecture", m->spec->architecture);
    put_count(w, "vocab_size", m->spec->vocab_size);
    put_count(w, "max_model_len", m->max_model_len);
    put_count(w, "max_logprobs", m->max_logprobs);
    pgd_jsonw_key(w, "chat_template");
    pgd_jsonw_bool(w, m->chat != NULL);
    put_str(w, "tool_call_parser", api_tool_format_name(a->formats.tools));
    put_str(w, "reasoning_parser", api_think_format_name(a->formats.think));
    pgd_jsonw_key(w, "priorities");
    pgd_jsonw_bool(w, m->enable_priority);
    pgd_jsonw_end_obj(w);
    put_defaults(w, m->generation);
}

static void put_engine(pgd_jsonw *w, const pgd_api_model *m) {
    pgd_engine_stats st = {0};
    pgd_engine_get_stats(m->engine, &st);
    pgd_jsonw_key(w, "engine");
    pgd_jsonw_obj(w);
    put_count(w, "running", st.running);
    put_count(w, "waiting", st.waiting);
    put_count(w, "kv_blocks_total", st.kv_pages_total);
    put_count(w, "kv_blocks_free", st.kv_pages_free);
    put_count(w, "kv_blocks_cached", st.kv_pages_cached);
    put_count(w, "steps", st.steps);
    put_count(w, "preemptions", st.preemptions);
    put_count(w, "prompt_tokens", st.prompt_tokens);
    put_count(w, "cached_tokens", st.cached_tokens);
    put_count(w, "generated_tokens", st.generated_tokens);
    pgd_jsonw_end_obj(w);
}

void api_server_info_write(const pgd_api *a, pgd_buf *out) {
    static const char *const states[] = {[PGD_API_LOADING] = "loading",
                                         [PGD_API_READY] = "ready",
                                         [PGD_API_LEAVING] = "leaving",
                                         [PGD_API_DRAINING] = "draining",
                                         [PGD_API_DEAD] = "dead"};
    const pgd_api_model *const m = atomic_load_explicit(&a->model, memory_order_acquire);
    pgd_jsonw w;
    pgd_jsonw_init(&w, out);
    pgd_jsonw_obj(&w);
    put_str(&w, "version", PGD_VERSION);
    put_str(&w, "state", states[pgd_api_get_state(a)]);
    put_count(&w, "calls", pgd_api_active(a));
    put_count(&w, "max_calls", a->opt.max_queued);
    put_count(&w, "response_store_bytes", a->opt.response_store_bytes);
    if (m) {
        put_model(&w, a, m);
        put_engine(&w, m);
        if (m->memory_plan) {
            pgd_jsonw_key(&w, "memory_plan");
            pgd_jsonw_raw(&w, pgd_sv_c(m->memory_plan));
        }
    }
    pgd_jsonw_end_obj(&w);
}
