/* Same request, same bytes: random requests on a real model give bit-equal tokens and logprobs
 * alone, in a crowd, with any chunk size, with a cold and a warm prefix cache, after preemption,
 * with one and two threads, and on a GPU with recorded graphs and without.
 *
 *     test_determinism --model DIR [--count N] [--seed S] [--isa NAME] [--device cpu|cuda]
 *
 * Each request is first run alone on an engine without a prefix cache; that is the reference. Then
 * every condition runs all of them, 64 at a time, and is compared bit for bit. A difference prints
 * seed, condition, request, choice and position. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/cpu.h"
#include "pagoda/engine.h"
#include "pagoda/exec.h"
#include "pagoda/mem.h"
#include "pagoda/model.h"
#include "pagoda/rng.h"

enum { MAX_PROMPT = 600, MAX_OUT = 64, MAX_CHOICES = 3, N_TOP = 2, CROWD = 64 };

/* What one request asks for; the same in every condition. */
typedef struct spec {
    int32_t prompt[MAX_PROMPT];
    uint32_t n_prompt, n_choices, n_out;
    pgd_sampling sampling;
} spec;

typedef struct output {
    int32_t token[MAX_CHOICES][MAX_OUT];
    float logprob[MAX_CHOICES][MAX_OUT];
    pgd_top top[MAX_CHOICES][MAX_OUT * N_TOP];
    uint32_t len[MAX_CHOICES], finish[MAX_CHOICES];
} output;

typedef struct condition {
    const char *name;
    uint32_t n_threads, max_seqs, chunk, crowd;
    bool caching;
    uint32_t runs;      /* the last run is compared: 2 = warm cache */
    uint32_t kv_tokens; /* 0: plenty */
    bool must_preempt, eager;
} condition;

static const condition conditions[] = {
    {"crowd of 64, chunk 512", 2, 64, 512, CROWD, false, 1, 0, false, false},
    {"crowd of 64, chunk 16", 2, 64, 16, CROWD, false, 1, 0, false, false},
    {"crowd of 64, chunk 100", 2, 64, 100, CROWD, false, 1, 0, false, false},
    {"one thread, chunk 512", 1, 64, 512, CROWD, false, 1, 0, false, false},
    {"cold cache", 2, 64, 512, CROWD, true, 1, 0, false, false},
    {"warm cache", 2, 64, 512, CROWD, true, 2, 0, false, false},
    {"preemption", 2, 64, 100, CROWD, true, 1, 4096, true, false},
};
static const condition without_graphs = {
    "crowd of 64, no graphs", 2, 64, 512, CROWD, false, 1, 0, false, true};

/* --- running requests on an engine ----------------------------------------------------------- */

typedef struct bench {
    pgd_exec *exec;
    pgd_engine *engine;
    pgd_sink sink;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool wake;
} bench;

static void on_wake(void *ctx) {
    bench *b = ctx;
    pthread_mutex_lock(&b->mutex);
    b->wake = true;
    pthread_cond_signal(&b->woken);
    pthread_mutex_unlock(&b->mutex);
}

static void die(const char *what, const pgd_error *err) {
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

static uint64_t kv_bytes_for(const pgd_model_spec *m, uint32_t tokens) {
    return (uint64_t)tokens * m->n_layers * 2 * m->n_kv_heads * m->head_dim *
           pgd_dtype_bytes(m->dtype);
}

/* Where to run. */
typedef struct place {
    const char *device;
    int32_t isa; /* of the CPU */
} place;

static void open_bench(bench *b, const pgd_model *model, const condition *c, const place *p) {
    pgd_error err = {0};
    memset(b, 0, sizeof(*b));
    pthread_mutex_init(&b->mutex, NULL);
    pthread_cond_init(&b->woken, NULL);
    b->sink.wake = on_wake;
    b->sink.ctx = b;
    const pgd_model_spec *m = pgd_model_get_spec(model);
    const pgd_exec_options x = {
        .device = p->device,
        .n_threads = c->n_threads,
        .isa = p->isa,
        .enforce_eager = c->eager,
        .max_seqs = c->max_seqs,
        .max_tokens = c->chunk,
        .max_model_len = 1024,
        .kv_bytes = kv_bytes_for(m, c->kv_tokens != 0 ? c->kv_tokens : 200000),
    };
    if (pgd_exec_open(model, &x, NULL, &b->exec, &err) != PGD_OK) die("exec", &err);
    const pgd_engine_options e = {
        .max_num_seqs = c->max_seqs < c->chunk ? c->max_seqs : c->chunk,
        .max_num_batched_tokens = c->chunk,
        .max_model_len = 1024,
        .max_queued = 4096,
        .prefix_caching = c->caching,
    };
    if (pgd_engine_create(b->exec, &e, &b->engine, &err) != PGD_OK) die("engine", &err);
    if (pgd_engine_start(b->engine, &err) != PGD_OK) die("engine thread", &err);
}

static void close_bench(bench *b) {
    pgd_engine_destroy(&b->engine);
    b->exec->destroy(b->exec);
    pthread_mutex_destroy(&b->mutex);
    pthread_cond_destroy(&b->woken);
}

typedef struct flight {
    pgd_request request;
    pgd_toklog log[MAX_CHOICES];
    output *out;
} flight;

static void submit(bench *b, flight *f, const spec *s, output *out, uint64_t id) {
    memset(f, 0, sizeof(*f));
    f->out = out;
    for (uint32_t i = 0; i < s->n_choices; i++)
        f->log[i] = (pgd_toklog){.cap = s->n_out,
                                 .token = out->token[i],
                                 .logprob = out->logprob[i],
                                 .top = out->top[i]};
    f->request.id = id;
    f->request.prompt = s->prompt;
    f->request.n_prompt = s->n_prompt;
    f->request.n_choices = s->n_choices;
    f->request.max_new_tokens = s->n_out;
    f->request.sampling = s->sampling;
    f->request.sink = &b->sink;
    f->request.out = f->log;
    f->request.api = f;
    pgd_error err = {0};
    if (pgd_engine_submit(b->engine, &f->request, &err) != PGD_OK) die("submit", &err);
}

/* Wait for wake-ups until at least one request is done; returns how many. Their flights are
 * marked free (out = NULL). */
static uint32_t reap(bench *b) {
    uint32_t n = 0;
    while (n == 0) {
        pthread_mutex_lock(&b->mutex);
        while (!b->wake)
            pthread_cond_wait(&b->woken, &b->mutex);
        b->wake = false;
        pthread_mutex_unlock(&b->mutex);
        pgd_link *done = pgd_stack_take_all(&b->sink.done); /* before dirty: see request.h */
        for (pgd_link *l = pgd_stack_take_all(&b->sink.dirty), *next; l != NULL; l = next) {
            next = l->next;
            atomic_exchange(&PGD_FROM_LINK(l, pgd_request, dirty_link)->dirty, 0);
        }
        for (pgd_link *l = done, *next; l != NULL; l = next) {
            next = l->next;
            pgd_request *r = PGD_FROM_LINK(l, pgd_request, done_link);
            flight *f = r->api;
            for (uint32_t i = 0; i < r->n_choices; i++) {
                f->out->len[i] = atomic_load(&f->log[i].len);
                f->out->finish[i] = atomic_load(&f->log[i].finish);
            }
            f->out = NULL;
            n++;
        }
    }
    return n;
}

/* Run all specs, at most `crowd` at a time, in an order drawn from `order_seed`. */
static void run_all(bench *b, const spec *specs, output *out, uint32_t n, uint32_t crowd,
                    uint64_t order_seed) {
    uint32_t *order = pgd_malloc(n * sizeof(*order));
    flight *flights = pgd_calloc(crowd, sizeof(*flights));
    if (order == NULL || flights == NULL) abort();
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t j = (uint32_t)(pgd_rng_next(&order_seed) % i);
        const uint32_t t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
    uint32_t next = 0, inside = 0;
    while (next < n || inside > 0) {
        for (uint32_t k = 0; k < crowd && next < n; k++) {
            if (flights[k].out != NULL) continue;
            const uint32_t i = order[next++];
            submit(b, &flights[k], &specs[i], &out[i], i + 1);
            inside++;
        }
        inside -= reap(b);
    }
    pgd_free(order);
    pgd_free(flights);
}

/* --- requests and comparison ------------------------------------------------------------------ */

static double uniform(uint64_t *rng) {
    return (double)(pgd_rng_next(rng) >> 11) * 0x1p-53;
}

static uint32_t between(uint64_t *rng, uint32_t lo, uint32_t hi) {
    return lo + (uint32_t)(pgd_rng_next(rng) % (hi - lo + 1));
}

/* Half of the prompts share one of four beginnings, so that a cache has something to hit. */
static void draw_spec(spec *s, uint64_t seed, uint32_t index, uint32_t vocab) {
    uint64_t rng = seed * 1000003u + index;
    memset(s, 0, sizeof(*s));
    s->n_prompt = between(&rng, 16, MAX_PROMPT);
    uint64_t shared = seed + between(&rng, 0, 3);
    const uint32_t n_shared = uniform(&rng) < 0.5 ? between(&rng, 0, s->n_prompt) : 0;
    for (uint32_t i = 0; i < s->n_prompt; i++)
        s->prompt[i] = (int32_t)(pgd_rng_next(i < n_shared ? &shared : &rng) % vocab);
    s->n_out = between(&rng, 16, MAX_OUT);
    s->n_choices = between(&rng, 1, MAX_CHOICES);
    pgd_sampling *p = &s->sampling;
    p->flags = PGD_SAMPLE_LOGPROBS;
    p->temperature = (float)(0.7 + 0.5 * uniform(&rng));
    p->top_p = (float)(0.8 + 0.19 * uniform(&rng));
    p->repetition_penalty = 1;
    p->n_top = N_TOP;
    p->seed = pgd_rng_next(&rng);
    if (uniform(&rng) < 1.0 / 3) {
        p->flags |= PGD_SAMPLE_PENALTIES;
        p->repetition_penalty = (float)(1 + 0.3 * uniform(&rng));
        p->presence_penalty = (float)uniform(&rng);
        p->frequency_penalty = (float)uniform(&rng);
    }
}

static bool same_choice(const output *a, const output *b, uint32_t i, uint32_t *at) {
    const uint32_t n = a->len[i] < b->len[i] ? a->len[i] : b->len[i];
    for (*at = 0; *at < n; (*at)++)
        if (a->token[i][*at] != b->token[i][*at] ||
            memcmp(&a->logprob[i][*at], &b->logprob[i][*at], sizeof(float)) != 0 ||
            memcmp(&a->top[i][*at * N_TOP], &b->top[i][*at * N_TOP], N_TOP * sizeof(pgd_top)) != 0)
            return false;
    return a->len[i] == b->len[i] && a->finish[i] == b->finish[i];
}

static uint32_t compare(const char *name, const spec *specs, const output *want, const output *got,
                        uint32_t n, uint64_t seed) {
    uint32_t n_bad = 0;
    for (uint32_t r = 0; r < n; r++) {
        for (uint32_t i = 0; i < specs[r].n_choices; i++) {
            uint32_t at = 0;
            if (same_choice(&want[r], &got[r], i, &at)) continue;
            if (n_bad++ < 5)
                fprintf(stderr,
                        "DIFFERS: seed %llu, %s, request %u (%u prompt tokens), choice %u at token "
                        "%u: %d/%a, alone %d/%a\n",
                        (unsigned long long)seed, name, r, specs[r].n_prompt, i, at,
                        got[r].token[i][at], (double)got[r].logprob[i][at], want[r].token[i][at],
                        (double)want[r].logprob[i][at]);
        }
    }
    return n_bad;
}

static uint32_t complete(const spec *specs, const output *out, uint32_t n) {
    uint32_t n_bad = 0;
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t i = 0; i < specs[r].n_choices; i++)
            if (out[r].len[i] != specs[r].n_out || out[r].finish[i] != PGD_FINISH_LENGTH) n_bad++;
    return n_bad;
}

static uint32_t run_condition(const pgd_model *model, const condition *c, const spec *specs,
                              const output *want, output *got, uint32_t n, uint64_t seed,
                              const place *p) {
    bench b;
    open_bench(&b, model, c, p);
    for (uint32_t k = 0; k < c->runs; k++) {
        memset(got, 0, n * sizeof(*got));
        run_all(&b, specs, got, n, c->crowd, seed + k);
    }
    pgd_engine_stats stats;
    pgd_engine_get_stats(b.engine, &stats);
    uint32_t n_bad = compare(c->name, specs, want, got, n, seed);
    if (c->must_preempt && stats.preemptions == 0) {
        fprintf(stderr, "%s: nothing was preempted, the condition tested nothing\n", c->name);
        n_bad++;
    }
    if (c->runs > 1 && stats.cached_tokens == 0) {
        fprintf(stderr, "%s: nothing was cached, the condition tested nothing\n", c->name);
        n_bad++;
    }
    printf("%-26s %u requests, %llu preemptions, %llu cached tokens: %s\n", c->name, n,
           (unsigned long long)stats.preemptions, (unsigned long long)stats.cached_tokens,
           n_bad == 0 ? "equal" : "DIFFERENT");
    fflush(stdout);
    close_bench(&b);
    return n_bad;
}

static const char *option(int argc, char **argv, const char *name, const char *fallback) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    return fallback;
}

int main(int argc, char **argv) {
    const uint32_t n = (uint32_t)strtoul(option(argc, argv, "--count", "100"), NULL, 10);
    const uint64_t seed = strtoull(option(argc, argv, "--seed", "20261124"), NULL, 10);
    const char *isa_name = option(argc, argv, "--isa", NULL);
    pgd_error err = {0};
    pgd_isa isa = PGD_ISA_SCALAR;
    if (isa_name != NULL && pgd_isa_parse(isa_name, &isa, &err) != PGD_OK) die("--isa", &err);
    const place where = {.device = option(argc, argv, "--device", "cpu"),
                         .isa = isa_name != NULL ? (int32_t)isa : -1};
    pgd_model *model = NULL;
    if (pgd_model_open(option(argc, argv, "--model", "configs/models/pagoda-tiny"), 0, &model,
                       &err) != PGD_OK)
        die("model", &err);
    const uint32_t vocab = pgd_model_get_spec(model)->vocab_size;
    spec *specs = pgd_calloc(n, sizeof(*specs));
    output *want = pgd_calloc(n, sizeof(*want)), *got = pgd_calloc(n, sizeof(*got));
    if (specs == NULL || want == NULL || got == NULL) abort();
    printf("seed %llu, %u requests\n", (unsigned long long)seed, n);
    for (uint32_t i = 0; i < n; i++)
        draw_spec(&specs[i], seed, i, vocab);

    const condition alone = {"alone", 2, 64, 512, 1, false, 1, 0, false, false};
    bench b;
    open_bench(&b, model, &alone, &where);
    printf("device %s\n", b.exec->info(b.exec)->device_name);
    run_all(&b, specs, want, n, 1, seed);
    close_bench(&b);
    uint32_t n_bad = complete(specs, want, n);
    if (n_bad > 0) fprintf(stderr, "%u choices did not run to their length\n", n_bad);
    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
        n_bad += run_condition(model, &conditions[i], specs, want, got, n, seed, &where);
    if (strcmp(where.device, "cuda") == 0)
        n_bad += run_condition(model, &without_graphs, specs, want, got, n, seed, &where);
    pgd_free(specs);
    pgd_free(want);
    pgd_free(got);
    pgd_model_close(&model);
    return n_bad == 0 ? 0 : 1;
}
