/* The flags of `pagoda bench serve`: one table for parsing and help, and the checks between flags.
 *
 * Names follow `vllm bench serve` where it has the knob. One thread. */
#include "bench/options.h"

#include <string.h>

#define AT(field) offsetof(bench_options, field)
#define TITLE(t)                                                                                   \
    { .name = (t), .type = PGD_BENCH_GROUP }
#define STRING(n, f, a, h)                                                                         \
    { .name = (n), .type = PGD_BENCH_STRING, .offset = AT(f), .arg = (a), .help = (h) }
#define CHOICE(n, f, d, c, h)                                                                      \
    { .name = (n), .type = PGD_BENCH_CHOICE, .offset = AT(f), .def = (d), .arg = (c), .help = (h) }
#define SWITCH(n, f, h)                                                                            \
    { .name = (n), .type = PGD_BENCH_SWITCH, .offset = AT(f), .help = (h) }
#define COUNT(n, f, d, lo, hi, h)                                                                  \
    {                                                                                              \
        .name = (n), .type = PGD_BENCH_COUNT, .offset = AT(f), .def = (d), .min = (lo),            \
        .max = (hi), .arg = "N", .help = (h)                                                       \
    }
#define NUMBER(n, f, d, lo, hi, a, h)                                                              \
    {                                                                                              \
        .name = (n), .type = PGD_BENCH_NUMBER, .offset = AT(f), .def = (d), .min = (lo),           \
        .max = (hi), .arg = (a), .help = (h)                                                       \
    }
#define TOKENS(n, f, d, lo, hi, h)                                                                 \
    {                                                                                              \
        .name = (n), .type = PGD_BENCH_RANGE, .offset = AT(f), .def = (d), .min = (lo),            \
        .max = (hi), .arg = "N|LOW:HIGH", .help = (h)                                              \
    }

const pgd_bench_flag bench_serve_flags[] = {
    TITLE("Server"),
    STRING("url", url, "URL", "http://host:port of any OpenAI-compatible server (no TLS)."),
    STRING("model", model, "NAME", "Model to ask for. Default: the first of /v1/models."),
    CHOICE("endpoint", endpoint, "completions", "completions|chat",
           "/v1/completions, or /v1/chat/completions with one user message."),
    STRING("api-key-file", api_key_file, "FILE", "File that holds the API key."),
    CHOICE("connection", connection, "keep-alive", "keep-alive|close",
           "Use connections again, or open one for each request."),
    NUMBER("timeout", timeout, "600", 0.1, 3600, "SECONDS",
           "A request that takes longer has failed."),
    NUMBER("temperature", temperature, "0", 0, 2, "T", "Sampling temperature; 0 is greedy."),
    SWITCH("natural-stop", natural_stop,
           "Do not send ignore_eos and min_tokens: answers may end early. For servers that do not "
           "know these fields."),
    STRING("extra-body", extra_body, "JSON", "Object whose members are added to every request."),

    TITLE("Workload"),
    CHOICE("workload", workload, "random", "random|sharegpt|prefix|trace",
           "random: lengths drawn evenly from --input-len and --output-len. sharegpt: lengths as "
           "in the ShareGPT conversations (a fit; docs/bench.md). prefix: --num-prefixes prompts "
           "of --prefix-len tokens, each request adds --suffix-len of its own. trace: lengths and "
           "arrivals of --trace."),
    TOKENS("input-len", input_len, "1024", 1, 1 << 24, "random: prompt tokens."),
    TOKENS("output-len", output_len, "128", 1, 1 << 24, "random, prefix: output tokens."),
    COUNT("num-prefixes", num_prefixes, "10", 1, 1e9, "prefix: how many shared prefixes."),
    TOKENS("prefix-len", prefix_len, "256", 1, 1 << 24, "prefix: tokens of a shared prefix."),
    TOKENS("suffix-len", suffix_len, "256", 1, 1 << 24, "prefix: tokens of one's own."),
    STRING("trace", trace, "FILE",
           "trace: CSV of arrival_ms,input_tokens,output_tokens, arrivals in order."),
    NUMBER("time-scale", time_scale, "1", 1e-6, 1e6, "X",
           "trace: arrival times are multiplied with it; 0.5 is twice the load."),
    CHOICE("prompt", prompt, "auto", "auto|tokens|text",
           "Send prompts as arrays of token ids, or as text. auto: tokens on completions when ids "
           "are known, else text."),
    STRING("tokenizer", tokenizer, "FILE",
           "tokenizer.json to count with. Default: the server's /tokenize; a server without it is "
           "sent text of as many words."),
    TOKENS("token-ids", token_ids, NULL, 0, 1 << 24,
           "Draw token ids from this range. Default: the tokens of some 150 common words."),
    COUNT("seed", seed, "0", 0, 9e18,
          "Same seed, same requests (a warm server then has them in its prefix cache). 0: another "
          "one each time; the result says which."),

    TITLE("Load"),
    COUNT("concurrency", concurrency, "0", 0, 1e6,
          "Closed loop: so many streams, each sends its next request when the last has ended. With "
          "--rate or a trace: most requests in flight. 0: 1 stream, or no bound."),
    NUMBER("rate", rate, "0", 0, 1e6, "R",
           "Open loop: requests a second, whether or not the server keeps up."),
    NUMBER("burstiness", burstiness, "1", 0.01, 1e4, "B",
           "Open loop: shape of the gamma distributed gaps. 1: Poisson; less: bursts; more: even."),
    COUNT("num-requests", num_requests, "0", 0, 1e9,
          "Requests to send. 0: the whole trace, or 100, or as many as fit in --duration."),
    NUMBER("duration", duration, "0", 0, 1e7, "SECONDS",
           "Start nothing after so long; what is in flight ends. 0: no bound."),
    COUNT("warmup", warmup, "0", 0, 1e6, "Requests to send and forget before measuring."),
    NUMBER("stagger", stagger, "0", 0, 1e5, "SECONDS",
           "Closed loop: streams start evenly over so long, so that equal requests do not stay in "
           "step."),

    TITLE("Result"),
    STRING("goodput", goodput, "LIST",
           "Objectives in milliseconds, such as ttft:200,tpot:50; also itl (a request's own 99th "
           "percentile) and e2e. Counts the requests that meet them all."),
    STRING("json", json, "FILE", "Write everything measured, with command and machine."),
    STRING("svg", svg, "FILE", "Draw the latency distributions and throughput over time."),
    SWITCH("quiet", quiet, "No progress line."),
    SWITCH("help", help, "Show this text."),
};
const size_t bench_n_serve_flags = sizeof(bench_serve_flags) / sizeof(bench_serve_flags[0]);

const char bench_serve_help[] =
    "pagoda bench serve --url URL [flags]\n\n"
    "Load an OpenAI-compatible server with streamed completions and measure what users see.\n\n"
    "  # 64 streams, 1024 tokens in and 256 out, a picture of it\n"
    "  pagoda bench serve --url http://127.0.0.1:8000 --concurrency 64 --num-requests 512 \\\n"
    "      --input-len 1024 --output-len 256 --stagger 5 --json run.json --svg run.svg\n\n"
    "  # ShareGPT-like lengths, 8 requests a second for a minute, how many were good\n"
    "  pagoda bench serve --url http://127.0.0.1:8000 --endpoint chat --workload sharegpt \\\n"
    "      --rate 8 --duration 60 --warmup 8 --goodput ttft:200,itl:50\n\n"
    "Without --rate and without a trace the loop is closed: at most --concurrency requests are in\n"
    "flight, and a slow server is asked less often. TTFT counts from sending to the first text, "
    "E2E\n"
    "to the last, TPOT is the time between them over the tokens, ITL the gaps between events.\n"
    "Tokens are those of the server's usage.\n";

pgd_status bench_options_parse(int n_args, const char *const *args, bench_options *out,
                               pgd_error *err) {
    memset(out, 0, sizeof(*out));
    PGD_TRY(pgd_bench_parse_flags(bench_serve_flags, bench_n_serve_flags, n_args, args, out, err));
    if (out->help) return PGD_OK;
    const bool trace = strcmp(out->workload, "trace") == 0;
    if (out->url == NULL)
        return pgd_fail(err, PGD_E_INVALID, "--url is missing: --url http://host:port");
    if (trace != (out->trace != NULL))
        return pgd_fail(err, PGD_E_INVALID, "--workload trace and --trace FILE go together");
    if (strcmp(out->endpoint, "chat") == 0 && strcmp(out->prompt, "tokens") == 0)
        return pgd_fail(err, PGD_E_INVALID, "--prompt tokens needs --endpoint completions");
    if (out->token_ids.hi > 0 && strcmp(out->prompt, "text") == 0)
        return pgd_fail(err, PGD_E_INVALID, "--token-ids makes no text: --prompt tokens");
    if (out->stagger > 0 && (out->rate > 0 || trace))
        return pgd_fail(err, PGD_E_INVALID, "--stagger is for the closed loop (--concurrency)");
    return PGD_OK;
}
