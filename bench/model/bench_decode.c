/* Decode speed of a whole model through engine and executor, against a plain read loop.
 *
 *     bench_decode --model DIR [--threads N] [--isa NAME] [--tokens N] [--streams N]
 *
 * Weights are random (only config.json is read). Prints, as one JSON object: bytes a second of a
 * plain read loop over a buffer of 512 MiB with the same threads, decode at batch 1 (tokens a
 * second and weight bytes a second), their ratio, and the throughput of N concurrent streams over
 * one. Each figure is the best of three rounds, the rounds interleaved, so that a busy moment of
 * the machine hits all alike. */
#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/clock.h"
#include "pagoda/cpu.h"
#include "pagoda/engine.h"
#include "pagoda/exec.h"
#include "pagoda/mem.h"
#include "pagoda/model.h"
#include "pagoda/pool.h"

enum { READ_BYTES = 512 << 20, MAX_STREAMS = 64, N_PROMPT = 16, ROUNDS = 3 };

static double seconds(void) {
    const pgd_clock c = pgd_clock_monotonic();
    return 1e-9 * (double)pgd_clock_now(&c);
}

static void die(const char *what, const pgd_error *err) {
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

/* --- the yardstick -------------------------------------------------------------------------- */

typedef struct read_job {
    const uint8_t *data;
    uint64_t sum[64 * 8]; /* one line a thread */
} read_job;

__attribute__((target("avx2"))) static void read_range(void *arg, uint64_t begin, uint64_t end,
                                                       uint32_t thread) {
    read_job *j = arg;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (uint64_t i = begin; i < end; i++) {
        const __m256i *p = (const __m256i *)(const void *)(j->data + i * 128);
        a = _mm256_xor_si256(a, _mm256_load_si256(p));
        b = _mm256_xor_si256(b, _mm256_load_si256(p + 1));
        c = _mm256_xor_si256(c, _mm256_load_si256(p + 2));
        d = _mm256_xor_si256(d, _mm256_load_si256(p + 3));
    }
    a = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    j->sum[(size_t)thread * 8] ^= (uint64_t)_mm256_extract_epi64(a, 0);
}

static double read_rate(pgd_pool *pool, const uint8_t *data) {
    read_job job = {.data = data};
    const double t = seconds();
    pgd_pool_for(pool, READ_BYTES / 128, 4096, read_range, &job);
    const double rate = READ_BYTES / (seconds() - t);
    return job.sum[0] == 42 ? 0 : rate; /* keeps the loads alive */
}

/* --- the model ------------------------------------------------------------------------------ */

typedef struct bench {
    pgd_exec *exec;
    pgd_engine *engine;
    pgd_sink sink;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool wake;
    int32_t prompt[MAX_STREAMS][N_PROMPT];
    uint32_t n_round;
} bench;

static void on_wake(void *ctx) {
    bench *b = ctx;
    pthread_mutex_lock(&b->mutex);
    b->wake = true;
    pthread_cond_signal(&b->woken);
    pthread_mutex_unlock(&b->mutex);
}

static void wait_wake(bench *b) {
    pthread_mutex_lock(&b->mutex);
    while (!b->wake)
        pthread_cond_wait(&b->woken, &b->mutex);
    b->wake = false;
    pthread_mutex_unlock(&b->mutex);
}

/* Tokens a second of n streams that decode n_tokens each, counted from when all have begun. */
static double decode_rate(bench *b, uint32_t n, uint32_t n_tokens) {
    static pgd_request request[MAX_STREAMS];
    static pgd_toklog log[MAX_STREAMS];
    int32_t *tokens = pgd_calloc((size_t)n * n_tokens, sizeof(*tokens));
    if (tokens == NULL) abort();
    memset(request, 0, sizeof(request));
    memset(log, 0, sizeof(log));
    b->n_round++;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < N_PROMPT; j++)
            b->prompt[i][j] = (int32_t)(100 * b->n_round + 7 * i + j);
        log[i].cap = n_tokens;
        log[i].token = tokens + (size_t)i * n_tokens;
        pgd_request *r = &request[i];
        r->id = b->n_round * 1000u + i;
        r->prompt = b->prompt[i];
        r->n_prompt = N_PROMPT;
        r->n_choices = 1;
        r->max_new_tokens = n_tokens;
        r->sampling.flags = PGD_SAMPLE_GREEDY;
        r->sampling.temperature = r->sampling.top_p = r->sampling.repetition_penalty = 1;
        r->sink = &b->sink;
        r->out = &log[i];
        pgd_error err = {0};
        if (pgd_engine_submit(b->engine, r, &err) != PGD_OK) die("submit", &err);
    }
    double begin = 0, end = 0;
    uint64_t counted_from = 0;
    for (uint32_t n_done = 0; n_done < n;) {
        wait_wake(b);
        for (pgd_link *l = pgd_stack_take_all(&b->sink.done); l != NULL; l = l->next)
            n_done++;
        for (pgd_link *l = pgd_stack_take_all(&b->sink.dirty), *next; l != NULL; l = next) {
            next = l->next;
            atomic_exchange(&PGD_FROM_LINK(l, pgd_request, dirty_link)->dirty, 0);
        }
        uint64_t total = 0;
        bool all = true;
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t len = atomic_load(&log[i].len);
            total += len;
            all = all && len > 0;
        }
        end = seconds();
        if (all && begin == 0) {
            begin = end;
            counted_from = total;
        }
        if (n_done == n) counted_from = total - counted_from;
    }
    pgd_free(tokens);
    return (double)counted_from / (end - begin);
}

static void open_bench(bench *b, const pgd_model *model, uint32_t n_threads, int32_t isa,
                       uint32_t n_streams) {
    pgd_error err = {0};
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->woken, NULL);
    b->sink.wake = on_wake;
    b->sink.ctx = b;
    const pgd_exec_options x = {
        .device = "cpu",
        .n_threads = n_threads,
        .isa = isa,
        .max_seqs = n_streams,
        .max_tokens = 512,
        .max_model_len = 1024,
        .kv_bytes = 1ull << 30,
        .dummy_weights = true,
    };
    if (pgd_exec_open(model, &x, NULL, &b->exec, &err) != PGD_OK) die("exec", &err);
    const pgd_engine_options e = {.max_num_seqs = n_streams,
                                  .max_num_batched_tokens = 512,
                                  .max_model_len = 1024,
                                  .max_queued = 256};
    if (pgd_engine_create(b->exec, &e, &b->engine, &err) != PGD_OK) die("engine", &err);
    if (pgd_engine_start(b->engine, &err) != PGD_OK) die("engine thread", &err);
}

/* Bytes of weights that one decode step reads: every matrix once; of the embedding only a row. */
static double streamed_bytes(const pgd_model *model) {
    static const pgd_slot_kind kinds[] = {PGD_W_QKV, PGD_W_O, PGD_W_GATE_UP, PGD_W_DOWN};
    const pgd_model_spec *m = pgd_model_get_spec(model);
    double bytes = 0;
    for (uint32_t i = 0; i <= m->n_layers; i++) {
        for (size_t k = 0; k < (i < m->n_layers ? 4u : 1u); k++) {
            pgd_slot_parts parts;
            pgd_model_slot(model, i < m->n_layers ? kinds[k] : PGD_W_LM_HEAD, i, &parts);
            for (uint32_t p = 0; p < parts.n_parts; p++)
                bytes += (double)parts.part[p].shape[0] * (double)parts.part[p].shape[1] *
                         (double)pgd_dtype_bytes(parts.part[p].dtype);
        }
    }
    return bytes;
}

static const char *option(int argc, char **argv, const char *name, const char *fallback) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    return fallback;
}

static double max(double a, double b) {
    return a > b ? a : b;
}

int main(int argc, char **argv) {
    const uint32_t n_threads = (uint32_t)strtoul(option(argc, argv, "--threads", "2"), NULL, 10);
    const uint32_t n_tokens = (uint32_t)strtoul(option(argc, argv, "--tokens", "24"), NULL, 10);
    const uint32_t n_streams = (uint32_t)strtoul(option(argc, argv, "--streams", "16"), NULL, 10);
    const char *isa_name = option(argc, argv, "--isa", NULL);
    pgd_error err = {0};
    pgd_isa isa = pgd_cpu_detect();
    if (isa_name != NULL && pgd_isa_parse(isa_name, &isa, &err) != PGD_OK) die("--isa", &err);
    if (n_streams == 0 || n_streams > MAX_STREAMS) return 2;
    pgd_model *model = NULL;
    if (pgd_model_open(option(argc, argv, "--model", "bench/model/dummy-1b"),
                       PGD_MODEL_DUMMY_WEIGHTS, &model, &err) != PGD_OK)
        die("model", &err);
    static bench b;
    open_bench(&b, model, n_threads, (int32_t)isa, n_streams);
    const double weights = streamed_bytes(model);
    uint8_t *data = pgd_aligned_alloc(READ_BYTES, 4096);
    if (data == NULL) abort();
    memset(data, 1, READ_BYTES);
    double read = 0, one = 0, many = 0;
    for (int r = 0; r < ROUNDS; r++) {
        pgd_pool *pool = NULL; /* made anew, so that its threads do not spin beside the model's */
        if (pgd_pool_create(&pool, n_threads) != PGD_OK) abort();
        pgd_pool_pin_caller(pool);
        for (int k = 0; k < 3; k++)
            read = max(read, read_rate(pool, data));
        pgd_pool_unpin_caller(pool);
        pgd_pool_destroy(&pool);
        one = max(one, decode_rate(&b, 1, n_tokens));
        many = max(many, decode_rate(&b, n_streams, n_tokens));
    }
    printf("{\"isa\":\"%s\",\"threads\":%u,\"weight_gb\":%.3f,\"read_gb_per_s\":%.2f,"
           "\"decode_tokens_per_s\":%.3f,\"decode_gb_per_s\":%.2f,\"decode_over_read\":%.3f,"
           "\"streams\":%u,\"streams_tokens_per_s\":%.2f,\"streams_over_one\":%.2f}\n",
           pgd_isa_name(isa), n_threads, weights / 1e9, read / 1e9, one, one * weights / 1e9,
           one * weights / read, n_streams, many, many / one);
    pgd_engine_destroy(&b.engine);
    b.exec->destroy(b.exec);
    pgd_model_close(&model);
    pgd_aligned_free(data, READ_BYTES);
    return 0;
}
