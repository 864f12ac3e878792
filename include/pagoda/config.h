/* Configuration: one table of rows makes the command line, the environment, the YAML file, --help
 * and docs/config.md. Later sources win: defaults, file, environment, command line. The result is
 * a frozen struct that is passed down; nothing else reads flags or the environment. */
#ifndef PAGODA_CONFIG_H
#define PAGODA_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/arena.h"
#include "pagoda/status.h"
#include "pagoda/str.h"

/* A list of strings in the configuration's arena. */
typedef struct pgd_config_list {
    const char **v;
    uint32_t n;
} pgd_config_list;

typedef struct pgd_config {
    pgd_arena *arena; /* owns all strings */
    /* model */
    const char *model;
    pgd_config_list served_model_name;
    const char *load_format, *chat_template, *generation_config;
    const char *tool_call_parser, *reasoning_parser;
    uint64_t max_model_len;
    uint64_t max_logprobs;
    /* device */
    const char *device, *cpu_isa;
    uint64_t threads;
    /* engine */
    double gpu_memory_utilization;
    bool enforce_eager;
    uint64_t max_num_seqs, max_num_batched_tokens, block_size, kv_cache_memory_bytes;
    uint64_t max_queued_requests, max_bypass, steps_in_flight;
    bool enable_prefix_caching, enable_embeddings;
    const char *scheduling_policy;
    /* server */
    const char *host;
    uint64_t port, http_threads, api_workers;
    pgd_config_list api_key, allowed_origins, allowed_host;
    const char *api_key_file, *playground, *admin_socket;
    bool metrics_require_key;
    uint64_t max_body_bytes, max_connections, response_store_bytes;
    double request_timeout, sse_keep_alive, head_timeout, body_timeout, idle_timeout, stall_timeout;
    double drain_delay, drain_timeout, stall_limit;
    /* logging */
    const char *log_level, *log_format;
    bool access_log;
    /* what to do */
    const char *config;
    bool check_config, help;
} pgd_config;

/* Read `args` (after the command's name), the environment `env` (NULL-terminated "NAME=value"
 * strings) and the file named by --config or PAGODA_CONFIG. A first argument without dashes is
 * the model. Errors name the source, the key, the value and what was expected. Free with
 * pgd_config_fini. */
pgd_status pgd_config_load(int n_args, const char *const *args, const char *const *env,
                           pgd_config *out, pgd_error *err);
void pgd_config_fini(pgd_config *c);

/* Help text for a terminal, and the reference page docs/config.md. */
void pgd_config_help(pgd_buf *out);
void pgd_config_markdown(pgd_buf *out);
/* The effective configuration as YAML, secrets masked. */
void pgd_config_print(const pgd_config *c, pgd_buf *out);

#endif
