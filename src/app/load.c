/* What the loader does: the model folder first (cheap, finds most mistakes), then the executor
 * with its weights and KV pages, then the engine. Runs on the loader thread, or on the main thread
 * for --check-config. */
#include <stdio.h>
#include <string.h>

#include "app/memory_plan.h"
#include "app/serve.h"
#include "pagoda/cpu.h"
#include "pagoda/fs.h"
#include "pagoda/log.h"

static pgd_status open_folder(pgd_server *s, pgd_error *err) {
    const pgd_config *c = s->config;
    if (c->model == NULL)
        return pgd_fail(err, PGD_E_INVALID,
                        "no model given: pagoda serve MODEL, --model, or PAGODA_MODEL");
    if (!pgd_fs_is_dir(c->model))
        return pgd_fail(err, PGD_E_NOT_FOUND, "model '%s' is no folder", c->model);
    const bool no_weights = strcmp(c->load_format, "dummy") == 0 || strcmp(c->device, "sim") == 0;
    return pgd_model_open(c->model, no_weights ? PGD_MODEL_DUMMY_WEIGHTS : 0u, &s->model, err);
}

static pgd_status open_tokenizer(pgd_server *s, pgd_error *err) {
    char path[4096];
    PGD_TRY(pgd_fs_join(path, sizeof(path), s->config->model, "tokenizer.json", err));
    return pgd_tokenizer_load(path, &s->tokenizer, err);
}

static pgd_status open_template(pgd_server *s, pgd_error *err) {
    return pgd_chat_load(s->config->model, s->config->chat_template, &s->chat, err);
}

static pgd_status check_context(pgd_server *s, pgd_error *err) {
    const pgd_model_spec *spec = pgd_model_get_spec(s->model);
    if (s->config->max_model_len > spec->max_position)
        return pgd_fail(err, PGD_E_INVALID,
                        "--max-model-len: %llu is more than the %u positions of the model",
                        (unsigned long long)s->config->max_model_len, spec->max_position);
    return PGD_OK;
}

static pgd_status check_vocabulary(pgd_server *s, pgd_error *err) {
    const pgd_model_spec *spec = pgd_model_get_spec(s->model);
    if (pgd_tokenizer_vocab_size(s->tokenizer) > spec->vocab_size)
        return pgd_fail(err, PGD_E_FORMAT,
                        "tokenizer.json has ids up to %u, but config.json says vocab_size %u",
                        pgd_tokenizer_vocab_size(s->tokenizer) - 1, spec->vocab_size);
    return PGD_OK;
}

const pgd_server_part pgd_server_model_parts[PGD_SERVER_MODEL_PARTS] = {
    {.name = "model", .run = open_folder},
    {.name = "tokenizer", .run = open_tokenizer},
    {.name = "chat template", .run = open_template},
    {.name = "context", .run = check_context, .needs_all = true},
    {.name = "vocabulary", .run = check_vocabulary, .needs_all = true},
};

pgd_status pgd_server_open_model(pgd_server *s, pgd_error *err) {
    for (size_t i = 0; i < PGD_SERVER_MODEL_PARTS; i++)
        PGD_TRY(pgd_server_model_parts[i].run(s, err));
    return PGD_OK;
}

enum { SIM_SEQS = 64, SIM_TOKENS = 512 }; /* unless the configuration says */

/* 60 tokens a second for each stream, whatever the number of streams. */
static pgd_status open_sim(pgd_server *s, pgd_error *err) {
    const pgd_config *c = s->config;
    const uint32_t page = c->block_size != 0 ? (uint32_t)c->block_size : 16;
    const uint32_t len = c->max_model_len != 0 ? (uint32_t)c->max_model_len
                                               : pgd_model_get_spec(s->model)->max_position;
    const uint32_t per_seq = (len + page - 1) / page;
    const uint32_t seqs = c->max_num_seqs != 0 ? (uint32_t)c->max_num_seqs : SIM_SEQS;
    const uint32_t tokens =
        c->max_num_batched_tokens != 0 ? (uint32_t)c->max_num_batched_tokens : SIM_TOKENS;
    pgd_sim_options opt = {
        .limits = {.max_seqs = seqs,
                   .max_tokens = tokens,
                   .max_slots = 2 * seqs,
                   .max_pages_per_seq = per_seq,
                   .page_tokens = page,
                   .n_pages = per_seq * seqs,
                   .vocab_size = pgd_tokenizer_vocab_size(s->tokenizer)},
        .steps_in_flight = (uint32_t)c->steps_in_flight,
        .max_model_len = len,
        .eos_id = -1,
        .mean_len = 1,
        .step_base_ns = 1000000000u / 60,
        .clock = &s->clock,
        .realtime = true,
    };
    opt.limits.max_plan_bytes = (uint32_t)pgd_plan_room(&opt.limits, len);
    return pgd_exec_open_sim(&opt, &s->exec, err);
}

pgd_status pgd_server_exec_options(const pgd_config *c, pgd_exec_options *out, pgd_error *err) {
    pgd_isa isa = PGD_ISA_SCALAR;
    const bool auto_isa = strcmp(c->cpu_isa, "auto") == 0;
    if (!auto_isa) PGD_TRY(pgd_isa_parse(c->cpu_isa, &isa, err));
    *out = (pgd_exec_options){
        .device = c->device,
        .n_threads = (uint32_t)c->threads,
        .isa = auto_isa ? -1 : (int32_t)isa,
        .max_seqs = (uint32_t)c->max_num_seqs,
        .max_tokens = (uint32_t)c->max_num_batched_tokens,
        .max_model_len = (uint32_t)c->max_model_len,
        .page_tokens = (uint32_t)c->block_size,
        .kv_bytes = c->kv_cache_memory_bytes,
        .gpu_memory_utilization = c->gpu_memory_utilization,
        .enforce_eager = c->enforce_eager,
        .steps_in_flight = (uint32_t)c->steps_in_flight,
        .hidden_states = c->enable_embeddings,
        .dummy_weights = strcmp(c->load_format, "dummy") == 0,
    };
    return PGD_OK;
}

static pgd_status open_exec(pgd_server *s, pgd_error *err) {
    pgd_exec_options opt;
    if (strcmp(s->config->device, "sim") == 0) return open_sim(s, err);
    PGD_TRY(pgd_server_exec_options(s->config, &opt, err));
    return pgd_exec_open(s->model, &opt, &s->load_progress, &s->exec, err);
}

static void report_memory(pgd_server *s) {
    const pgd_exec_info *info = s->exec->info(s->exec);
    pgd_buf line = {0};
    pgd_memory_plan_put(info, true, &line);
    pgd_log(PGD_LOG_INFO, "app", "memory plan of %s: %s", info->device_name,
            line.p != NULL ? line.p : "");
    pgd_buf_fini(&line);
    pgd_jsonw w;
    pgd_jsonw_init(&w, &s->memory_plan);
    pgd_memory_plan_json(info, &w);
}

pgd_status pgd_server_start_engine(pgd_server *s, pgd_error *err) {
    const pgd_config *c = s->config;
    PGD_TRY(open_exec(s, err));
    report_memory(s);
    const pgd_exec_info *info = s->exec->info(s->exec);
    const uint32_t max_model_len = info->max_model_len;
    const pgd_engine_options opt = {
        .max_num_seqs = info->limits.max_seqs,
        .max_num_batched_tokens = info->limits.max_tokens,
        .max_model_len = max_model_len,
        .max_queued = (uint32_t)c->max_queued_requests,
        .max_bypass = (uint32_t)c->max_bypass,
        .prefix_caching = c->enable_prefix_caching,
        .clock = &s->clock,
        .metrics = s->metrics,
    };
    PGD_TRY(pgd_engine_create(s->exec, &opt, &s->engine, err));
    PGD_TRY(pgd_engine_start(s->engine, err));
    const bool use_generation = strcmp(c->generation_config, "vllm") != 0;
    const pgd_api_model model = {
        .engine = s->engine,
        .tokenizer = s->tokenizer,
        .chat = s->chat,
        .spec = pgd_model_get_spec(s->model),
        .generation = use_generation ? pgd_model_get_generation(s->model) : NULL,
        .names = s->names.v,
        .n_names = s->names.n,
        .max_model_len = max_model_len,
        .max_logprobs = (uint32_t)c->max_logprobs,
        .created = pgd_wall_ns() / 1000000000u,
        .tool_call_parser = c->tool_call_parser,
        .reasoning_parser = c->reasoning_parser,
        .memory_plan = s->memory_plan.failed ? NULL : s->memory_plan.p,
        .embeddings = s->exec->info(s->exec)->hidden_width > 0,
        .enable_priority = strcmp(c->scheduling_policy, "priority") == 0,
    };
    pgd_api_attach(s->api, &model);
    return PGD_OK;
}
