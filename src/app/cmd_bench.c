/* `pagoda bench`: dispatch, and the two measurements that run the engine in this process.
 *
 * latency: one batch at a time, the figure of a user alone or of a fixed crowd. Its decode steps
 * are the gaps between the tokens of the stream that began last, while all others were still there:
 * a batch whose prompts take several steps has fewer streams before and after. throughput:
 * everything is there at the start, the figure of an offline job. Both draw new prompts for every
 * batch, so that no prefix is found in the cache. `serve` is the load generator of src/bench. Main
 * thread. */
#include "app/cmd_bench.h"

#include <stdio.h>
#include <string.h>

#include "app/bench_engine.h"
#include "pagoda/mem.h"

#define ROW(kind, n, at, d, lo, hi, a, h)                                                          \
    {                                                                                              \
        .name = (n), .type = PGD_BENCH_##kind, .offset = (at), .def = (d), .min = (lo),            \
        .max = (hi), .arg = (a), .help = (h)                                                       \
    }
#define FLAG(f) offsetof(pgd_offline_flags, f)
/* The head of both tables. */
#define OFFLINE_ROWS                                                                               \
    {.name = "Model and device", .type = PGD_BENCH_GROUP},                                         \
        ROW(STRING, "model", FLAG(model), NULL, 0, 0, "DIR",                                       \
            "Model folder; with --load-format dummy only its config.json is read. Also the first " \
            "plain argument."),                                                                    \
        ROW(CHOICE, "load-format", FLAG(load_format), "auto", 0, 0, "auto|dummy",                  \
            "dummy: random weights."),                                                             \
        ROW(CHOICE, "device", FLAG(device), "auto", 0, 0, "auto|cpu|cuda",                         \
            "auto: the GPU when this build and machine have one, else the CPU."),                  \
        ROW(SWITCH, "enforce-eager", FLAG(enforce_eager), NULL, 0, 0, NULL,                        \
            "GPU: no recorded graphs."),                                                           \
        ROW(COUNT, "threads", FLAG(threads), "0", 0, 1024, "N", "CPU threads. 0: all cores."),     \
        ROW(CHOICE, "cpu-isa", FLAG(cpu_isa), "auto", 0, 0, "auto|scalar|avx2|avx512|avx512bf16",  \
            "Instruction set of the CPU kernels."),                                                \
        ROW(COUNT, "max-num-batched-tokens", FLAG(max_num_batched_tokens), "0", 0, 1 << 20, "N",   \
            "Token budget of a step. 0: 512 on the CPU, 8192 on a GPU."),                          \
        ROW(COUNT, "block-size", FLAG(block_size), "0", 0, 256, "N",                               \
            "Tokens of a KV block. 0: the device's default."),                                     \
        ROW(BYTES, "kv-cache-memory-bytes", FLAG(kv_cache_memory_bytes), "0", 0, 9e15, "BYTES",    \
            "Memory for KV blocks. 0: the device's default."),                                     \
        ROW(COUNT, "steps-in-flight", FLAG(steps_in_flight), "2", 1, 3, "N",                       \
            "Steps planned ahead of their results."),                                              \
        {.name = "Measurement", .type = PGD_BENCH_GROUP},                                          \
        ROW(COUNT, "seed", FLAG(seed), "1", 0, 9e18, "N", "Of lengths and prompts."),              \
        ROW(STRING, "json", FLAG(json), NULL, 0, 0, "FILE",                                        \
            "Write the result with command and machine."),                                         \
        ROW(SWITCH, "help", FLAG(help), NULL, 0, 0, NULL, "Show this text.")

typedef struct latency_flags {
    pgd_offline_flags base; /* first */
    uint64_t batch_size, input_len, output_len, iterations, warmup;
} latency_flags;

static const pgd_bench_flag latency_rows[] = {
    OFFLINE_ROWS,
    ROW(COUNT, "batch-size", offsetof(latency_flags, batch_size), "1", 1, 4096, "N",
        "Sequences that start together."),
    ROW(COUNT, "input-len", offsetof(latency_flags, input_len), "32", 1, 1 << 24, "N",
        "Prompt tokens of each."),
    ROW(COUNT, "output-len", offsetof(latency_flags, output_len), "128", 1, 1 << 24, "N",
        "Output tokens of each."),
    ROW(COUNT, "iterations", offsetof(latency_flags, iterations), "10", 1, 100000, "N",
        "Batches to measure."),
    ROW(COUNT, "warmup", offsetof(latency_flags, warmup), "2", 0, 100000, "N",
        "Batches before them that do not count."),
};

typedef struct throughput_flags {
    pgd_offline_flags base; /* first */
    const char *workload;
    pgd_bench_range input_len, output_len;
    uint64_t num_requests, max_num_seqs;
} throughput_flags;

static const pgd_bench_flag throughput_rows[] = {
    OFFLINE_ROWS,
    ROW(CHOICE, "workload", offsetof(throughput_flags, workload), "random", 0, 0, "random|sharegpt",
        "Lengths: drawn evenly from --input-len and --output-len, or ShareGPT-like."),
    ROW(RANGE, "input-len", offsetof(throughput_flags, input_len), "1024", 1, 1 << 24, "N|LOW:HIGH",
        "random: prompt tokens."),
    ROW(RANGE, "output-len", offsetof(throughput_flags, output_len), "128", 1, 1 << 24,
        "N|LOW:HIGH", "random: output tokens."),
    ROW(COUNT, "num-requests", offsetof(throughput_flags, num_requests), "100", 1, 1000000, "N",
        "Requests, all there at the start."),
    ROW(COUNT, "max-num-seqs", offsetof(throughput_flags, max_num_seqs), "64", 1, 4096, "N",
        "Most sequences running at once."),
};

static double ms(uint64_t ns) {
    return 1e-6 * (double)ns;
}

/* A flag parse in which the first plain argument is the model. Returns false when the command is
 * over, with its exit code. */
static bool parse(const char *name, const char *head, const pgd_bench_flag *rows, size_t n_rows,
                  int n_args, const char *const *args, pgd_offline_flags *f, int *code) {
    pgd_error err = {0};
    const int plain = n_args > 0 && args[0][0] != '-' ? 1 : 0;
    pgd_status s = pgd_bench_parse_flags(rows, n_rows, n_args - plain, args + plain, f, &err);
    if (s == PGD_OK && f->help) {
        pgd_buf text = {0};
        pgd_bench_flags_help(head, rows, n_rows, &text);
        if (!text.failed) (void)fputs(text.p, stdout);
        pgd_buf_fini(&text);
        *code = PGD_BENCH_OK;
        return false;
    }
    if (plain) f->model = args[0];
    if (s == PGD_OK && f->model == NULL)
        s = pgd_fail(&err, PGD_E_INVALID, "no model given: pagoda bench %s MODEL", name);
    if (s == PGD_OK) return true;
    (void)fprintf(stderr, "pagoda bench %s: %s\n", name, err.msg);
    *code = PGD_BENCH_USAGE;
    return false;
}

/* The file of --json: head, whatever put() adds, end. */
static pgd_status write_result(const char *kind, const pgd_offline *o, const pgd_offline_flags *f,
                               int n_args, const char *const *args,
                               void (*put)(const void *figures, pgd_jsonw *w), const void *figures,
                               pgd_error *err) {
    if (f->json == NULL) return PGD_OK;
    pgd_buf text = {0};
    pgd_jsonw w;
    pgd_jsonw_init(&w, &text);
    pgd_jsonw_obj(&w);
    pgd_jsonw_key(&w, "kind");
    pgd_jsonw_cstr(&w, kind);
    pgd_bench_put_environment(&w, PGD_VERSION, n_args, args);
    pgd_offline_put_json(o, f, &w);
    pgd_jsonw_key(&w, "result");
    pgd_jsonw_obj(&w);
    put(figures, &w);
    pgd_jsonw_end_obj(&w);
    pgd_jsonw_end_obj(&w);
    pgd_buf_putc(&text, '\n');
    const pgd_status s = text.failed ? pgd_fail(err, PGD_E_NOMEM, "no memory for %s", f->json)
                                     : pgd_bench_write_file(f->json, pgd_buf_sv(&text), err);
    pgd_buf_fini(&text);
    return s;
}

static void put_u64(pgd_jsonw *w, const char *key, uint64_t v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_u64(w, v);
}

static void put_f64(pgd_jsonw *w, const char *key, double v) {
    pgd_jsonw_key(w, key);
    pgd_jsonw_f64(w, v);
}

/* ---- latency ---- */

/* ms from the start of a batch to its last token and until all streams have their first; and of
 * every decode step in which all of them took part. */
typedef struct latency_figures {
    const latency_flags *flags;
    pgd_samples e2e, ttft, step;
    pgd_summary e2e_sum, ttft_sum, step_sum;
} latency_figures;

static void put_latency(const void *figures, pgd_jsonw *w) {
    const latency_figures *g = figures;
    put_u64(w, "batch_size", g->flags->batch_size);
    put_u64(w, "input_len", g->flags->input_len);
    put_u64(w, "output_len", g->flags->output_len);
    pgd_summary_put_json(&g->e2e_sum, "e2e_ms", w);
    pgd_summary_put_json(&g->ttft_sum, "ttft_ms", w);
    pgd_summary_put_json(&g->step_sum, "decode_step_ms", w);
}

static void add_batch(latency_figures *g, const pgd_offline_item *items, uint32_t n) {
    const uint64_t end = g->flags->output_len - 1; /* index of the last token */
    const pgd_offline_item *late = &items[0];
    uint64_t first_gone = UINT64_MAX, last = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t *at = items[i].token_ns;
        if (at[0] > late->token_ns[0]) late = &items[i];
        if (at[end] < first_gone) first_gone = at[end];
        if (at[end] > last) last = at[end];
    }
    pgd_samples_add(&g->e2e, ms(last - items[0].submit_ns));
    pgd_samples_add(&g->ttft, ms(late->token_ns[0] - items[0].submit_ns));
    for (uint64_t k = 1; k <= end && late->token_ns[k] <= first_gone; k++)
        pgd_samples_add(&g->step, ms(late->token_ns[k] - late->token_ns[k - 1]));
}

static pgd_status latency_batch(pgd_offline *o, latency_figures *g, uint64_t round, bool counts,
                                pgd_error *err) {
    const latency_flags *f = g->flags;
    const uint32_t n = (uint32_t)f->batch_size;
    pgd_bench_lengths *lengths = pgd_calloc(n, sizeof(*lengths));
    if (lengths == NULL) return pgd_fail(err, PGD_E_NOMEM, "no memory for the batch");
    for (uint32_t i = 0; i < n; i++)
        lengths[i] = (pgd_bench_lengths){(uint32_t)f->input_len, (uint32_t)f->output_len};
    pgd_offline_item *items = NULL;
    pgd_status s =
        pgd_offline_items(o, lengths, n, f->base.seed + round * 0x9E3779B9u, &items, err);
    if (s == PGD_OK) s = pgd_offline_run(o, items, n, err);
    if (s == PGD_OK && counts) add_batch(g, items, n);
    pgd_offline_items_free(items, n);
    pgd_free(lengths);
    return s;
}

static pgd_status run_latency(pgd_offline *o, latency_figures *g, int n_args,
                              const char *const *args, pgd_error *err) {
    const latency_flags *f = g->flags;
    PGD_TRY(pgd_offline_open(&f->base, (uint32_t)f->batch_size,
                             (uint32_t)(f->input_len + f->output_len), (uint32_t)f->batch_size,
                             false, o, err));
    for (uint64_t i = 0; i < f->warmup + f->iterations; i++)
        PGD_TRY(latency_batch(o, g, i, i >= f->warmup, err));
    g->e2e_sum = pgd_samples_summarize(&g->e2e);
    g->ttft_sum = pgd_samples_summarize(&g->ttft);
    g->step_sum = pgd_samples_summarize(&g->step);
    pgd_buf text = {0};
    pgd_buf_putf(&text,
                 "%s\nbatch %llu, %llu tokens in, %llu out; %llu batches after %llu\nlatency, ms\n",
                 o->exec->info(o->exec)->device_name, (unsigned long long)f->batch_size,
                 (unsigned long long)f->input_len, (unsigned long long)f->output_len,
                 (unsigned long long)f->iterations, (unsigned long long)f->warmup);
    pgd_summary_put_heading(&text);
    pgd_summary_put_row(&g->ttft_sum, "TTFT", &text);
    pgd_summary_put_row(&g->step_sum, "decode step", &text);
    pgd_summary_put_row(&g->e2e_sum, "E2E", &text);
    if (g->step_sum.mean > 0)
        pgd_buf_putf(&text, "decode        %.1f tokens/s (%zu steps)\n",
                     1e3 * (double)f->batch_size / g->step_sum.mean, g->step_sum.n);
    if (!text.failed) (void)fputs(text.p, stdout);
    pgd_buf_fini(&text);
    return write_result("latency", o, &f->base, n_args, args, put_latency, g, err);
}

static int latency(int n_args, const char *const *args) {
    static const char head[] =
        "pagoda bench latency MODEL [flags]\n\n"
        "Latency of a fixed batch through engine and device, without HTTP.\n\n"
        "  pagoda bench latency DIR --load-format dummy --batch-size 8 --input-len 1024\n";
    latency_flags f = {0};
    int code = PGD_BENCH_OK;
    if (!parse("latency", head, latency_rows, sizeof(latency_rows) / sizeof(latency_rows[0]),
               n_args, args, &f.base, &code))
        return code;
    pgd_error err = {0};
    pgd_offline o = {0};
    latency_figures g = {.flags = &f};
    if (run_latency(&o, &g, n_args, args, &err) != PGD_OK) {
        (void)fprintf(stderr, "pagoda bench latency: %s\n", err.msg);
        code = PGD_BENCH_FAILED;
    }
    pgd_offline_close(&o);
    pgd_samples_fini(&g.e2e);
    pgd_samples_fini(&g.ttft);
    pgd_samples_fini(&g.step);
    return code;
}

/* ---- throughput ---- */

typedef struct throughput_figures {
    uint64_t n, n_in, n_out;
    double seconds, busy; /* busy: share of them in which the device ran a step */
} throughput_figures;

static void put_throughput(const void *figures, pgd_jsonw *w) {
    const throughput_figures *g = figures;
    put_u64(w, "requests", g->n);
    put_u64(w, "prompt_tokens", g->n_in);
    put_u64(w, "output_tokens", g->n_out);
    put_f64(w, "seconds", g->seconds);
    put_f64(w, "device_busy", g->busy);
    put_f64(w, "requests_per_s", (double)g->n / g->seconds);
    put_f64(w, "output_tokens_per_s", (double)g->n_out / g->seconds);
    put_f64(w, "total_tokens_per_s", (double)(g->n_in + g->n_out) / g->seconds);
}

static pgd_status measure_throughput(pgd_offline *o, const throughput_flags *f,
                                     const pgd_bench_lengths *lengths, throughput_figures *g,
                                     pgd_error *err) {
    const uint32_t n = (uint32_t)f->num_requests;
    uint32_t longest = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t len = lengths[i].n_in + lengths[i].n_out;
        longest = len > longest ? len : longest;
        g->n_in += lengths[i].n_in;
        g->n_out += lengths[i].n_out;
    }
    PGD_TRY(pgd_offline_open(&f->base, (uint32_t)f->max_num_seqs, longest, n, false, o, err));
    pgd_offline_item *items = NULL;
    PGD_TRY(pgd_offline_items(o, lengths, n, f->base.seed, &items, err));
    const uint64_t busy = pgd_exec_busy_ns(o->exec);
    const pgd_status s = pgd_offline_run(o, items, n, err);
    uint64_t last = 0;
    for (uint32_t i = 0; s == PGD_OK && i < n; i++)
        if (items[i].token_ns[items[i].seen - 1] > last)
            last = items[i].token_ns[items[i].seen - 1];
    g->n = n;
    g->seconds = 1e-9 * (double)(last - items[0].submit_ns);
    g->busy = 1e-9 * (double)(pgd_exec_busy_ns(o->exec) - busy) / g->seconds;
    pgd_offline_items_free(items, n);
    return s;
}

static pgd_status run_throughput(pgd_offline *o, const throughput_flags *f, int n_args,
                                 const char *const *args, pgd_error *err) {
    pgd_bench_lengths *lengths = pgd_calloc(f->num_requests, sizeof(*lengths));
    if (lengths == NULL) return pgd_fail(err, PGD_E_NOMEM, "no memory for the requests");
    for (uint64_t i = 0; i < f->num_requests; i++)
        lengths[i] = pgd_bench_draw_lengths(strcmp(f->workload, "sharegpt") == 0, &f->input_len,
                                            &f->output_len, f->base.seed, i);
    throughput_figures g = {0};
    const pgd_status s = measure_throughput(o, f, lengths, &g, err);
    pgd_free(lengths);
    PGD_TRY(s);
    (void)printf("%s\n%llu requests, %llu prompt tokens, %llu output tokens in %.3f s\n"
                 "throughput    %.2f requests/s, %.1f output tokens/s, %.1f tokens/s in all\n"
                 "device        busy %.1f %% of the time\n",
                 o->exec->info(o->exec)->device_name, (unsigned long long)g.n,
                 (unsigned long long)g.n_in, (unsigned long long)g.n_out, g.seconds,
                 (double)g.n / g.seconds, (double)g.n_out / g.seconds,
                 (double)(g.n_in + g.n_out) / g.seconds, 100 * g.busy);
    return write_result("throughput", o, &f->base, n_args, args, put_throughput, &g, err);
}

static int throughput(int n_args, const char *const *args) {
    static const char head[] =
        "pagoda bench throughput MODEL [flags]\n\n"
        "Tokens a second when all requests are there at the start, without HTTP.\n\n"
        "  pagoda bench throughput DIR --load-format dummy --workload sharegpt --num-requests "
        "500\n";
    throughput_flags f = {0};
    int code = PGD_BENCH_OK;
    if (!parse("throughput", head, throughput_rows,
               sizeof(throughput_rows) / sizeof(throughput_rows[0]), n_args, args, &f.base, &code))
        return code;
    pgd_error err = {0};
    pgd_offline o = {0};
    if (run_throughput(&o, &f, n_args, args, &err) != PGD_OK) {
        (void)fprintf(stderr, "pagoda bench throughput: %s\n", err.msg);
        code = PGD_BENCH_FAILED;
    }
    pgd_offline_close(&o);
    return code;
}

int pgd_cmd_bench(int n_args, const char *const *args) {
    const char *what = n_args > 0 ? args[0] : "";
    if (strcmp(what, "serve") == 0) return pgd_bench_serve(n_args - 1, args + 1, PGD_VERSION);
    if (strcmp(what, "latency") == 0) return latency(n_args - 1, args + 1);
    if (strcmp(what, "throughput") == 0) return throughput(n_args - 1, args + 1);
    const bool asked = strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0;
    if (n_args > 0 && !asked) (void)fprintf(stderr, "pagoda bench: unknown command '%s'\n\n", what);
    (void)fputs("pagoda bench serve --url URL    load any OpenAI-compatible server\n"
                "pagoda bench latency MODEL      one batch through the engine, in this process\n"
                "pagoda bench throughput MODEL   many requests at once, in this process\n\n"
                "Each has --help.\n",
                asked ? stdout : stderr);
    return asked ? PGD_BENCH_OK : PGD_BENCH_USAGE;
}
