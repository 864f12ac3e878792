/* A model on a device with an engine, and batches of requests run on it, without HTTP.
 *
 * The same engine and executor as the server's, so that the difference to `bench serve` is the
 * price of everything above them. Prompts are random token ids, greedy, without stop ids: every
 * request reaches its length. Token times are those at which the waiting thread sees the engine's
 * wake-up, once a step. Owns the main thread of its command; the engine has one of its own. */
#include "app/bench_engine.h"

#include <stdio.h>
#include <string.h>

#include "pagoda/cpu.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

static void on_wake(void *ctx) {
    pgd_offline *o = ctx;
    pthread_mutex_lock(&o->mutex);
    o->wake = true;
    pthread_cond_signal(&o->woken);
    pthread_mutex_unlock(&o->mutex);
}

static void wait_wake(pgd_offline *o) {
    pthread_mutex_lock(&o->mutex);
    while (!o->wake)
        pthread_cond_wait(&o->woken, &o->mutex);
    o->wake = false;
    pthread_mutex_unlock(&o->mutex);
}

pgd_status pgd_offline_open(const pgd_offline_flags *f, uint32_t max_seqs, uint32_t max_len,
                            uint32_t max_requests, bool prefix_caching, pgd_offline *out,
                            pgd_error *err) {
    memset(out, 0, sizeof(*out));
    pthread_mutex_init(&out->mutex, NULL);
    pthread_cond_init(&out->woken, NULL);
    out->clock = pgd_clock_monotonic();
    out->sink.wake = on_wake;
    out->sink.ctx = out;
    const bool dummy = strcmp(f->load_format, "dummy") == 0;
    PGD_TRY(pgd_model_open(f->model, dummy ? PGD_MODEL_DUMMY_WEIGHTS : 0, &out->model, err));
    const pgd_model_spec *spec = pgd_model_get_spec(out->model);
    if (max_len > spec->max_position)
        return pgd_fail(err, PGD_E_INVALID,
                        "%u tokens of prompt and output are more than the %u positions of the "
                        "model",
                        max_len, spec->max_position);
    pgd_isa isa = PGD_ISA_SCALAR;
    const bool auto_isa = strcmp(f->cpu_isa, "auto") == 0;
    if (!auto_isa) PGD_TRY(pgd_isa_parse(f->cpu_isa, &isa, err));
    const pgd_exec_options x = {
        .device = f->device,
        .n_threads = (uint32_t)f->threads,
        .isa = auto_isa ? -1 : (int32_t)isa,
        .max_seqs = max_seqs,
        .max_tokens = (uint32_t)f->max_num_batched_tokens,
        .max_model_len = max_len,
        .page_tokens = (uint32_t)f->block_size,
        .kv_bytes = f->kv_cache_memory_bytes,
        .enforce_eager = f->enforce_eager,
        .steps_in_flight = (uint32_t)f->steps_in_flight,
        .dummy_weights = dummy,
    };
    PGD_TRY(pgd_exec_open(out->model, &x, NULL, &out->exec, err));
    const pgd_engine_options e = {
        .max_num_seqs = max_seqs,
        .max_num_batched_tokens = out->exec->info(out->exec)->limits.max_tokens,
        .max_model_len = max_len,
        .max_queued = max_requests,
        .prefix_caching = prefix_caching,
        .clock = &out->clock,
    };
    PGD_TRY(pgd_engine_create(out->exec, &e, &out->engine, err));
    return pgd_engine_start(out->engine, err);
}

void pgd_offline_close(pgd_offline *o) {
    pgd_engine_destroy(&o->engine);
    if (o->exec != NULL) o->exec->destroy(o->exec);
    o->exec = NULL;
    pgd_model_close(&o->model);
    pthread_cond_destroy(&o->woken);
    pthread_mutex_destroy(&o->mutex);
}

static void fill(pgd_offline *o, pgd_offline_item *it, int32_t *prompt, pgd_bench_lengths len,
                 uint64_t seed) {
    const uint32_t vocab = pgd_model_get_spec(o->model)->vocab_size;
    const uint32_t low = vocab > 1024 ? 256 : 0; /* special ids mostly come first */
    for (uint32_t k = 0; k < len.n_in; k++)
        prompt[k] = (int32_t)(low + pgd_rng_next(&seed) % (vocab - low));
    pgd_request *r = &it->req;
    r->id = ++o->next_id;
    r->prompt = prompt;
    r->n_prompt = len.n_in;
    r->n_choices = 1;
    r->max_new_tokens = len.n_out;
    r->sampling.flags = PGD_SAMPLE_GREEDY;
    r->sampling.temperature = r->sampling.top_p = r->sampling.repetition_penalty = 1;
    r->sink = &o->sink;
    r->out = &it->log;
    it->log.cap = len.n_out;
}

pgd_status pgd_offline_items(pgd_offline *o, const pgd_bench_lengths *lengths, uint32_t n,
                             uint64_t seed, pgd_offline_item **out, pgd_error *err) {
    pgd_offline_item *items = pgd_calloc(n, sizeof(*items));
    for (uint32_t i = 0; items != NULL && i < n; i++) {
        int32_t *prompt = pgd_calloc(lengths[i].n_in, sizeof(*prompt));
        items[i].req.prompt = prompt;
        items[i].log.token = pgd_calloc(lengths[i].n_out, sizeof(int32_t));
        items[i].token_ns = pgd_calloc(lengths[i].n_out, sizeof(uint64_t));
        if (prompt == NULL || items[i].log.token == NULL || items[i].token_ns == NULL) {
            pgd_offline_items_free(items, n);
            items = NULL;
            break;
        }
        fill(o, &items[i], prompt, lengths[i], seed ^ (uint64_t)i << 32);
    }
    if (items == NULL) return pgd_fail(err, PGD_E_NOMEM, "no memory for %u requests", n);
    *out = items;
    return PGD_OK;
}

void pgd_offline_items_free(pgd_offline_item *items, uint32_t n) {
    for (uint32_t i = 0; items != NULL && i < n; i++) {
        pgd_free((void *)(uintptr_t)items[i].req.prompt);
        pgd_free(items[i].log.token);
        pgd_free(items[i].token_ns);
    }
    pgd_free(items);
}

/* Take what the engine handed back; returns how many requests are done by it. */
static uint32_t collect(pgd_offline *o) {
    uint32_t n_done = 0;
    for (pgd_link *l = pgd_stack_take_all(&o->sink.done); l != NULL; l = l->next)
        n_done++;
    const uint64_t now = pgd_clock_now(&o->clock);
    for (pgd_link *l = pgd_stack_take_all(&o->sink.dirty), *next; l != NULL; l = next) {
        next = l->next;
        pgd_offline_item *it = PGD_FROM_LINK(l, pgd_offline_item, req.dirty_link);
        atomic_exchange(&it->req.dirty, 0);
        const uint32_t len = atomic_load(&it->log.len);
        while (it->seen < len)
            it->token_ns[it->seen++] = now;
    }
    return n_done;
}

pgd_status pgd_offline_run(pgd_offline *o, pgd_offline_item *items, uint32_t n, pgd_error *err) {
    pgd_status s = PGD_OK;
    uint32_t n_sent = 0;
    for (; n_sent < n && s == PGD_OK; n_sent++) {
        pgd_offline_item *it = &items[n_sent];
        it->submit_ns = it->req.arrival_ns = pgd_clock_now(&o->clock);
        s = pgd_engine_submit(o->engine, &it->req, err);
        if (s != PGD_OK) break;
    }
    if (s != PGD_OK) pgd_engine_cancel_all(o->engine);
    for (uint32_t n_done = collect(o); n_done < n_sent; n_done += collect(o))
        wait_wake(o);
    for (uint32_t i = 0; s == PGD_OK && i < n; i++) {
        if (items[i].seen == items[i].req.max_new_tokens) continue;
        s = pgd_fail(err, PGD_E_DEVICE, "request %u ended after %u of %u tokens: %s", i,
                     items[i].seen, items[i].req.max_new_tokens, items[i].req.error);
    }
    return s;
}

void pgd_offline_put_json(const pgd_offline *o, const pgd_offline_flags *f, pgd_jsonw *w) {
    const pgd_exec_info *info = o->exec->info(o->exec);
    const pgd_model_spec *spec = pgd_model_get_spec(o->model);
    pgd_engine_stats stats;
    pgd_engine_get_stats(o->engine, &stats);
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"n_layers", spec->n_layers},
        {"d_model", spec->d_model},
        {"vocab_size", spec->vocab_size},
        {"weight_bytes", info->weight_bytes},
        {"kv_bytes", info->kv_bytes},
        {"workspace_bytes", info->workspace_bytes},
        {"block_size", info->limits.page_tokens},
        {"max_num_seqs", info->limits.max_seqs},
        {"max_num_batched_tokens", info->limits.max_tokens},
        {"max_model_len", info->max_model_len},
        {"steps_in_flight", info->steps_in_flight},
        {"steps", stats.steps},
        {"preemptions", stats.preemptions},
        {"cached_tokens", stats.cached_tokens},
    };
    pgd_jsonw_key(w, "engine");
    pgd_jsonw_obj(w);
    pgd_jsonw_key(w, "device");
    pgd_jsonw_cstr(w, info->device_name);
    pgd_jsonw_key(w, "load_format");
    pgd_jsonw_cstr(w, f->load_format);
    pgd_jsonw_key(w, "architecture");
    pgd_jsonw_cstr(w, spec->architecture);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        pgd_jsonw_key(w, numbers[i].key);
        pgd_jsonw_u64(w, numbers[i].value);
    }
    pgd_jsonw_end_obj(w);
}
