/* bench_masks [free [constrained [step_us [seconds]]]]: what grammars in a batch cost the others.
 *
 * `free` requests (default 64) decode on the simulated device, which takes step_us (default 2000) a
 * step whatever is in it, alone and beside `constrained` ones (default 64) that write JSON over a
 * vocabulary of 131,072 made-up tokens. The time of a step is the time between tokens of every free
 * request. Prints it for alternating windows of `seconds` (default 3) each, then the medians. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pagoda/engine.h"
#include "pagoda/exec.h"
#include "pagoda/grammar.h"
#include "pagoda/mem.h"
#include "pagoda/rng.h"

enum {
    VOCAB = 131072,
    EOS = VOCAB - 1,
    LEN = 32768,
    PROMPT = 16,
    ROUNDS = 4,
    MAX_REQS = 256,
    MAX_LATES = 65536
};

static const char SCHEMA[] =
    "{\"type\":\"array\",\"minItems\":100000,\"items\":{\"type\":\"object\",\"properties\":{"
    "\"name\":{"
    "\"type\":\"string\",\"maxLength\":30},\"n\":{\"type\":\"integer\"},\"kind\":{\"enum\":["
    "\"red\","
    "\"green\",\"blue\"]},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
    "\"maxLength\":8}}},"
    "\"required\":[\"name\",\"n\",\"kind\",\"tags\"],\"additionalProperties\":false}}";

/* The simulator, with a clock around the engine's work on each late part. */
typedef struct timed {
    pgd_exec port;
    pgd_exec *inner;
    uint64_t begun_ns, n;
    double us[MAX_LATES]; /* CPU time of the engine's thread */
} timed;

typedef struct bench {
    timed exec;
    pgd_engine *e;
    pgd_vocab *vocab;
    pgd_grammar *g;
    pgd_sink sink;
    pgd_request req[MAX_REQS];
    pgd_toklog out[MAX_REQS];
    int32_t prompt[PROMPT];
    uint32_t n_free, n_constrained, step_us, seconds;
} bench;

static void no_wake(void *ctx) {
    (void)ctx;
}

static uint64_t now(void) {
    const pgd_clock c = pgd_clock_monotonic();
    return pgd_clock_now(&c);
}

static uint64_t cpu_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static timed *self(pgd_exec *x) {
    return (timed *)(void *)x;
}
static const pgd_exec_info *timed_info(const pgd_exec *x) {
    const pgd_exec *in = ((const timed *)(const void *)x)->inner;
    return in->info(in);
}
static void *timed_begin(pgd_exec *x) {
    return self(x)->inner->begin(self(x)->inner);
}
static void timed_submit(pgd_exec *x) {
    self(x)->inner->submit(self(x)->inner);
}
static pgd_plan_late *timed_begin_late(pgd_exec *x) {
    self(x)->begun_ns = cpu_ns();
    return self(x)->inner->begin_late(self(x)->inner);
}
static void timed_submit_late(pgd_exec *x) {
    timed *t = self(x);
    if (t->n < MAX_LATES) t->us[t->n++] = (double)(cpu_ns() - t->begun_ns) / 1e3;
    t->inner->submit_late(t->inner);
}
static const pgd_step_result *timed_poll(pgd_exec *x) {
    return self(x)->inner->poll(self(x)->inner);
}
static void timed_release(pgd_exec *x) {
    self(x)->inner->release(self(x)->inner);
}
static void timed_on_result(pgd_exec *x, void (*fn)(void *), void *ctx) {
    self(x)->inner->on_result(self(x)->inner, fn, ctx);
}

static void must(pgd_status s, const pgd_error *err) {
    if (s == PGD_OK) return;
    (void)fprintf(stderr, "bench_masks: %s\n", err->msg);
    exit(1);
}

/* Bytes, what JSON is made of (often, so that strings end), and words of letters. */
static void make_vocab(bench *b) {
    static const char *const marks[] = {"\"", "\",", "\": ", "{\"", "\"}", "},", "]", "],", ", \""};
    pgd_sv *const tokens = pgd_calloc(VOCAB, sizeof *tokens);
    char *const text = pgd_malloc((size_t)VOCAB * 8);
    const uint32_t eos = EOS;
    uint64_t rng = 5;
    pgd_error err = {0};
    if (!tokens || !text) exit(1);
    for (uint32_t i = 0; i < VOCAB; i++) {
        char *const t = text + (size_t)i * 8;
        size_t n = 0;
        if (i < 256) {
            t[n++] = (char)i;
        } else if (i % 16 == 0) {
            tokens[i] = pgd_sv_c(marks[i / 16 % (sizeof marks / sizeof marks[0])]);
            continue;
        } else {
            if (pgd_rng_next(&rng) >> 60 < 8) t[n++] = ' ';
            for (size_t len = n + 1 + (pgd_rng_next(&rng) >> 40) % 6; n < len; n++)
                t[n] = (char)('a' + (pgd_rng_next(&rng) >> 40) % 26);
        }
        tokens[i] = (pgd_sv){t, n};
    }
    must(pgd_vocab_create(&b->vocab, tokens, VOCAB, &eos, 1, &err), &err);
    const pgd_grammar_spec spec = {.kind = PGD_GRAMMAR_JSON_SCHEMA, .text = PGD_SV(SCHEMA)};
    must(pgd_grammar_compile(&b->g, &spec, b->vocab, NULL, &err), &err);
    pgd_free(tokens);
    pgd_free(text);
}

static void open_engine(bench *b) {
    pgd_error err = {0};
    const pgd_sim_options sim = {.limits = {.max_seqs = MAX_REQS,
                                            .max_tokens = 4096,
                                            .max_slots = 2 * MAX_REQS,
                                            .max_pages_per_seq = LEN / 64,
                                            .page_tokens = 64,
                                            .n_pages = MAX_REQS * 256,
                                            .vocab_size = VOCAB,
                                            .max_plan_bytes = 8 << 20},
                                 .steps_in_flight = 2,
                                 .max_model_len = LEN,
                                 .eos_id = -1,
                                 .step_base_ns = 1000ULL * b->step_us,
                                 .realtime = true};
    const pgd_engine_options opt = {.max_num_seqs = MAX_REQS,
                                    .max_num_batched_tokens = 4096,
                                    .max_model_len = LEN,
                                    .max_queued = MAX_REQS};
    must(pgd_exec_open_sim(&sim, &b->exec.inner, &err), &err);
    b->exec.port = (pgd_exec){.info = timed_info,
                              .begin = timed_begin,
                              .submit = timed_submit,
                              .begin_late = timed_begin_late,
                              .submit_late = timed_submit_late,
                              .poll = timed_poll,
                              .release = timed_release,
                              .on_result = timed_on_result};
    must(pgd_engine_create(&b->exec.port, &opt, &b->e, &err), &err);
    must(pgd_engine_start(b->e, &err), &err);
    b->sink.wake = no_wake;
}

static void submit(bench *b, uint32_t i, bool constrained) {
    pgd_error err = {0};
    if (!b->out[i].token) b->out[i].token = pgd_calloc(LEN, sizeof(int32_t));
    if (!b->out[i].token) exit(1);
    b->out[i] = (pgd_toklog){.cap = LEN, .token = b->out[i].token};
    b->req[i] = (pgd_request){
        .id = i + 1,
        .prompt = b->prompt,
        .n_prompt = PROMPT,
        .n_choices = 1,
        .max_new_tokens = LEN,
        .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = i},
        .grammar = constrained ? b->g : NULL,
        .sink = &b->sink,
        .out = &b->out[i]};
    must(pgd_engine_submit(b->e, &b->req[i], &err), &err);
}

static void sleep_ms(uint32_t ms) {
    const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

/* Microseconds between tokens of the free requests, with so many others. */
static double window(bench *b, uint32_t n_constrained) {
    for (uint32_t i = 0; i < b->n_free + n_constrained; i++)
        submit(b, i, i >= b->n_free);
    sleep_ms(700); /* prompts done, masks met once */
    const uint32_t before = atomic_load(&b->out[0].len);
    const uint64_t start = now();
    sleep_ms(1000 * b->seconds);
    const uint32_t n = atomic_load(&b->out[0].len) - before;
    const double us = (double)(now() - start) / 1e3 / (n ? n : 1);
    uint32_t constrained_tokens = 0;
    for (uint32_t i = 0; i < n_constrained; i++)
        constrained_tokens += atomic_load(&b->out[b->n_free + i].len);
    pgd_engine_cancel_all(b->e);
    pgd_engine_stats st;
    do {
        sleep_ms(5);
        pgd_engine_get_stats(b->e, &st);
    } while (st.inside);
    (void)pgd_stack_take_all(&b->sink.done);
    (void)pgd_stack_take_all(&b->sink.dirty);
    printf("%3u free, %3u constrained: %8.1f us a step (%u steps, %u constrained tokens)\n",
           b->n_free, n_constrained, us, n, constrained_tokens);
    return us;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint32_t argument(int argc, char **argv, int i, uint32_t otherwise) {
    int64_t v = otherwise;
    if (argc > i) (void)pgd_parse_i64(pgd_sv_c(argv[i]), &v);
    return (uint32_t)v;
}

int main(int argc, char **argv) {
    static bench b;
    double alone[ROUNDS], beside[ROUNDS];
    b.n_free = argument(argc, argv, 1, 64);
    b.n_constrained = argument(argc, argv, 2, 64);
    b.step_us = argument(argc, argv, 3, 2000);
    b.seconds = argument(argc, argv, 4, 3);
    if (b.n_free < 1 || b.n_free + b.n_constrained > MAX_REQS) return 2;
    make_vocab(&b);
    open_engine(&b);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        alone[i] = window(&b, 0);
        beside[i] = window(&b, b.n_constrained);
    }
    qsort(alone, ROUNDS, sizeof *alone, by_value);
    qsort(beside, ROUNDS, sizeof *beside, by_value);
    const double a = (alone[1] + alone[2]) / 2, c = (beside[1] + beside[2]) / 2;
    printf("medians: alone %.1f us, beside constrained ones %.1f us: %+.2f %%\n", a, c,
           100 * (c / a - 1));
    pgd_engine_destroy(&b.e);
    const uint64_t n = b.exec.n;
    qsort(b.exec.us, n, sizeof *b.exec.us, by_value);
    if (n)
        printf("masks of one step, CPU time of the engine: median %.0f us, p99 %.0f us, max %.0f "
               "us (%.2f us a mask)\n",
               b.exec.us[n / 2], b.exec.us[n * 99 / 100], b.exec.us[n - 1],
               b.exec.us[n / 2] / b.n_constrained);
    b.exec.inner->destroy(b.exec.inner);
    pgd_grammar_release(&b.g);
    pgd_vocab_destroy(&b.vocab);
    for (uint32_t i = 0; i < MAX_REQS; i++)
        pgd_free(b.out[i].token);
    return 0;
}
