/* All configuration rows. Names follow `vllm serve` where it has the knob, so that a deployment
 * moves over by changing its image; defaults are safe for a server that faces a network. */
#include "app/config_table.h"

#include <ctype.h>
#include <string.h>

#define AT(field) offsetof(pgd_config, field)
#define ROW_STRING(n, f, d, a, h)                                                                  \
    { .name = (n), .type = PGD_CONFIG_STRING, .offset = AT(f), .def = (d), .arg = (a), .help = (h) }
#define ROW_LIST(n, f, a, h)                                                                       \
    { .name = (n), .type = PGD_CONFIG_LIST, .offset = AT(f), .arg = (a), .help = (h) }
#define ROW_COUNT(n, f, d, lo, hi, h)                                                              \
    {                                                                                              \
        .name = (n), .type = PGD_CONFIG_COUNT, .offset = AT(f), .def = (d), .min = (lo),           \
        .max = (hi), .arg = "N", .help = (h)                                                       \
    }
#define ROW_BYTES(n, f, d, lo, hi, h)                                                              \
    {                                                                                              \
        .name = (n), .type = PGD_CONFIG_BYTES, .offset = AT(f), .def = (d), .min = (lo),           \
        .max = (hi), .arg = "BYTES", .help = (h)                                                   \
    }
#define ROW_SECONDS(n, f, d, h)                                                                    \
    {                                                                                              \
        .name = (n), .type = PGD_CONFIG_SECONDS, .offset = AT(f), .def = (d), .arg = "SECONDS",    \
        .help = (h)                                                                                \
    }
#define ROW_SHARE(n, f, d, h)                                                                      \
    {                                                                                              \
        .name = (n), .type = PGD_CONFIG_SHARE, .offset = AT(f), .def = (d), .arg = "SHARE",        \
        .help = (h)                                                                                \
    }
#define ROW_BOOL(n, f, d, h)                                                                       \
    { .name = (n), .type = PGD_CONFIG_BOOL, .offset = AT(f), .def = (d), .help = (h) }
#define ROW_CHOICE(n, f, d, c, h)                                                                  \
    {                                                                                              \
        .name = (n), .type = PGD_CONFIG_CHOICE, .offset = AT(f), .def = (d), .choices = (c),       \
        .arg = (c), .help = (h)                                                                    \
    }

static const pgd_config_row model_rows[] = {
    ROW_STRING("model", model, NULL, "DIR",
               "Hugging Face model folder: config.json, *.safetensors, tokenizer.json. Also the "
               "first plain argument."),
    ROW_LIST("served-model-name", served_model_name, "NAME ...",
             "Names under which the model is served; the first is reported. One that ends in * "
             "stands for all that begin so. Default: the folder's name."),
    ROW_CHOICE("load-format", load_format, "auto", "auto|safetensors|dummy",
               "Where weights come from. dummy: random values, for speed measurements of any "
               "config.json."),
    ROW_STRING("chat-template", chat_template, NULL, "FILE",
               "Jinja chat template to use instead of the model's."),
    ROW_CHOICE("tool-call-parser", tool_call_parser, "auto",
               "auto|none|hermes|llama3_json|pythonic|mistral|deepseek|harmony|kimi_k2|cohere|"
               "granite|gigachat|glm|kimi_k3",
               "Form in which the model writes tool calls. auto: by what its chat template writes; "
               "none: calls stay text."),
    ROW_CHOICE("reasoning-parser", reasoning_parser, "auto",
               "auto|none|think|mistral|cohere|seed|harmony|kimi_k3",
               "Form of the model's reasoning blocks, which answers carry apart from the text. "
               "auto: by the chat template; none: they stay text."),
    ROW_STRING("generation-config", generation_config, "auto", "auto|vllm",
               "auto: sampling defaults of generation_config.json apply; vllm: they are ignored."),
    ROW_COUNT("max-model-len", max_model_len, "0", 0, 1u << 24,
              "Context length in tokens, prompt and output. 0: the model's own."),
    ROW_COUNT("max-logprobs", max_logprobs, "20", 0, 20,
              "Most alternatives a request may ask for in top_logprobs."),
};

static const pgd_config_row device_rows[] = {
    ROW_CHOICE("device", device, "auto", "auto|cpu|cuda|sim",
               "Where the model runs. auto: the first NVIDIA GPU when this build has the CUDA "
               "backend and the GPU can run it, else the CPU. sim: no model, invented tokens, for "
               "load tests of everything else."),
    ROW_SHARE("gpu-memory-utilization", gpu_memory_utilization, "0.9",
              "Share of the GPU's memory to use; what weights and work space leave becomes KV "
              "blocks."),
    ROW_BOOL("enforce-eager", enforce_eager, "false",
             "Launch every operation of a decode step by itself instead of a recorded graph."),
    ROW_COUNT("threads", threads, "0", 0, 1024, "CPU threads for the model. 0: all cores."),
    ROW_CHOICE("cpu-isa", cpu_isa, "auto", "auto|scalar|avx2|avx512|avx512bf16",
               "Instruction set of the CPU kernels. Results are bit-equal within one."),
};

static const pgd_config_row engine_rows[] = {
    ROW_COUNT("max-num-seqs", max_num_seqs, "0", 0, 4096,
              "Most sequences running at once. 0: 64 on the CPU, 256 on a GPU."),
    ROW_COUNT("max-num-batched-tokens", max_num_batched_tokens, "0", 0, 1u << 20,
              "Token budget of one step: decode tokens and chunks of prompts. 0: 512 on the CPU, "
              "8192 on a GPU."),
    ROW_COUNT("block-size", block_size, "0", 0, 256,
              "Tokens in one KV block, a power of two. 0: 16 on the CPU, 64 on a GPU, which has no "
              "other."),
    ROW_BYTES("kv-cache-memory-bytes", kv_cache_memory_bytes, "0", 0, 1ull << 50,
              "Memory for KV blocks. 0: on the CPU a quarter of what is free, at most 4 GiB; on a "
              "GPU what --gpu-memory-utilization leaves."),
    ROW_BOOL("enable-embeddings", enable_embeddings, "true",
             "Serve /v1/embeddings. Costs host memory for the hidden states of a step's tokens."),
    ROW_BOOL("enable-prefix-caching", enable_prefix_caching, "true",
             "Reuse KV blocks of equal prompt prefixes (within one tenant)."),
    ROW_CHOICE("scheduling-policy", scheduling_policy, "priority", "fcfs|priority",
               "priority: the request field `priority` counts (lower runs earlier); fcfs: it is "
               "ignored."),
    ROW_COUNT("max-queued-requests", max_queued_requests, "512", 1, 1u << 20,
              "Requests waiting or running; more are answered 503 with Retry-After."),
    ROW_COUNT("max-bypass", max_bypass, "32", 1, 1u << 20,
              "How often a waiting request may be overtaken by one with a longer cached prefix."),
    ROW_COUNT("steps-in-flight", steps_in_flight, "2", 1, 3,
              "Steps planned ahead of their results."),
};

static const pgd_config_row server_rows[] = {
    ROW_STRING("host", host, "127.0.0.1", "ADDRESS",
               "Address to listen on; 0.0.0.0 for all interfaces."),
    ROW_COUNT("port", port, "8000", 0, 65535, "Port to listen on. 0: any free one."),
    {.name = "api-key",
     .type = PGD_CONFIG_LIST,
     .offset = AT(api_key),
     .arg = "KEY ...",
     .secret = true,
     .help = "Accepted API keys. Prefer the environment or --api-key-file: command lines are "
             "visible to other users."},
    ROW_STRING("api-key-file", api_key_file, NULL, "FILE",
               "File of keys, one a line: id:sha256[:tenant[:priority]]."),
    ROW_STRING("admin-socket", admin_socket, NULL, "PATH",
               "Unix socket for the operator, of mode 0600: lists and cancels requests of anybody, "
               "and resets the prefix cache, in HTTP. None by default."),
    ROW_BOOL("metrics-require-key", metrics_require_key, "false",
             "Ask for a key at /metrics as well (probes never do)."),
    ROW_LIST("allowed-origins", allowed_origins, "ORIGIN ...",
             "Origins that browsers may call from (CORS), or *. None by default."),
    ROW_LIST("allowed-host", allowed_host, "NAME ...",
             "Names by which a server on loopback may be called (Host header, ports aside) besides "
             "localhost and loopback addresses, or *; others are answered 421. On a public address "
             "names are checked only if some are given."),
    ROW_CHOICE("playground", playground, "auto", "auto|on|off",
               "The chat page at / and the status page at /status. auto: only if --host is an "
               "address of this machine alone (loopback)."),
    ROW_COUNT("http-threads", http_threads, "1", 1, 64, "Event loops, each with its own thread."),
    ROW_COUNT("api-workers", api_workers, "2", 1, 256,
              "Threads that parse, render and tokenize requests."),
    ROW_BYTES("max-body-bytes", max_body_bytes, "32M", 1024, 1ull << 32,
              "Largest request body; more is answered 413."),
    ROW_COUNT("max-connections", max_connections, "4096", 1, 1u << 20,
              "Most open connections; more are answered 503."),
    ROW_BYTES("response-store-bytes", response_store_bytes, "256M", 0, 1ull << 40,
              "Memory for responses of /v1/responses that are kept, for an hour at most, to go on "
              "from or to be read again. 0: none are kept."),
    ROW_SECONDS("request-timeout", request_timeout, "0",
                "Deadline of a request from its arrival; a header x-request-timeout-ms may "
                "shorten it. 0: none."),
    ROW_SECONDS("sse-keep-alive-interval", sse_keep_alive, "10",
                "A comment is sent on a stream that was silent for so long. 0: never."),
    ROW_SECONDS("head-timeout", head_timeout, "10", "Time for a request head to arrive."),
    ROW_SECONDS("body-timeout", body_timeout, "120", "Time for a request body to arrive."),
    ROW_SECONDS("idle-timeout", idle_timeout, "75", "Keep-alive time of an idle connection."),
    ROW_SECONDS("stall-timeout", stall_timeout, "60",
                "A client that takes no byte of its response for so long is dropped."),
    ROW_SECONDS("drain-delay", drain_delay, "0",
                "After SIGTERM, go on accepting for so long (not ready), for balancers to notice."),
    ROW_SECONDS("drain-timeout", drain_timeout, "150",
                "After that, time for running and queued requests to finish."),
    ROW_SECONDS("step-stall-limit", stall_limit, "120",
                "/livez fails when a step takes longer, or the engine has not moved for so long."),
};

static const pgd_config_row log_rows[] = {
    ROW_CHOICE("log-level", log_level, "info", "debug|info|warning|error|off",
               "Least severity that is logged. Prompts and outputs never are."),
    ROW_CHOICE("log-format", log_format, "text", "text|json", "Form of the log lines on stderr."),
    ROW_BOOL("access-log", access_log, "true", "One line for each finished request."),
};

static const pgd_config_row action_rows[] = {
    ROW_STRING("config", config, NULL, "FILE", "YAML file with these keys (without the dashes)."),
    ROW_BOOL("check-config", check_config, "false",
             "Check configuration and model folder, print the effective values, and exit."),
    ROW_BOOL("help", help, "false", "Show this text."),
};

#define GROUP(t, r)                                                                                \
    { (t), (r), sizeof(r) / sizeof((r)[0]) }
const pgd_config_group pgd_config_groups[] = {
    GROUP("Model", model_rows),   GROUP("Device", device_rows), GROUP("Engine", engine_rows),
    GROUP("Server", server_rows), GROUP("Logging", log_rows),   GROUP("Actions", action_rows),
};
const size_t pgd_config_n_groups = sizeof(pgd_config_groups) / sizeof(pgd_config_groups[0]);

const pgd_config_row *pgd_config_find(const char *name, size_t n) {
    for (size_t g = 0; g < pgd_config_n_groups; g++) {
        for (size_t i = 0; i < pgd_config_groups[g].n; i++) {
            const pgd_config_row *row = &pgd_config_groups[g].rows[i];
            if (strlen(row->name) == n && memcmp(row->name, name, n) == 0) return row;
        }
    }
    return NULL;
}

void pgd_config_env_name(const pgd_config_row *row, char out[64]) {
    size_t n = 0;
    for (const char *p = "PAGODA_"; *p != '\0'; p++)
        out[n++] = *p;
    for (const char *p = row->name; *p != '\0' && n < 63; p++)
        out[n++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    out[n] = '\0';
}
