/* Helpers of the executor's tests; see harness.h. Failures abort through cmocka's asserts, on the
 * test's own thread. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/fs.h"
#include "pagoda/mem.h"

const char *const golden_names[] = {
    "llama-mha-f32",      "llama-llama3-bf16",       "llama-linear-f16",
    "llama-dynamic-bf16", "llama-dynamic-short-f32", "llama-yarn-bf16",
    "llama-bias-f32",     "llama-gelu-sharded-bf16", "mistral-window-bf16",
    "qwen2-bf16",         "qwen2-window-f32",        "qwen3-tied-bf16",
    "qwen3-f16",          "wide-llama-64-bf16",      "wide-mistral-96-bf16",
    "wide-qwen3-128-f16",
};
const size_t n_golden = sizeof golden_names / sizeof golden_names[0];

static const char *device = "cpu", *golden_root = PGD_SOURCE_DIR "/tests/golden/logits";

void harness_args(int argc, char **argv) {
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--device") == 0) {
            device = argv[i + 1];
        } else if (i + 1 < argc && strcmp(argv[i], "--golden") == 0) {
            golden_root = argv[i + 1];
        } else {
            (void)fprintf(stderr, "usage: %s [--device cpu|cuda] [--golden DIR]\n", argv[0]);
            exit(2);
        }
    }
}

bool on_gpu(void) {
    return strcmp(device, "cuda") == 0;
}

bool golden_runs(const char *name) {
    return !on_gpu() || strncmp(name, "wide-", 5) == 0;
}

static void golden_dir(const char *name, char *out, size_t n) {
    (void)snprintf(out, n, "%s/%s", golden_root, name);
}

void golden_load(const char *name, golden *out) {
    char path[1024];
    pgd_error err = {0};
    memset(out, 0, sizeof *out);
    golden_dir(name, path, sizeof path - 16);
    (void)strncat(path, "/golden.bin", sizeof path - strlen(path) - 1);
    if (pgd_fs_read(path, 1 << 20, &out->file, &err) != PGD_OK) fail_msg("%s", err.msg);
    const uint32_t *h = (const uint32_t *)(const void *)out->file.p;
    assert_true(out->file.n > 32 && h[0] == 0x474C4750 && h[1] == 1);
    out->vocab = h[2];
    out->max_model_len = h[3];
    out->n_prompt = h[4];
    out->n_pos = h[5];
    out->n_greedy = h[6];
    out->prompt = (const int32_t *)(h + 8);
    out->logprob = (const float *)(const void *)(out->prompt + out->n_prompt);
    out->pos = (const int32_t *)(const void *)(out->logprob + out->n_prompt);
    out->logits = (const float *)(const void *)(out->pos + out->n_pos);
    out->greedy = (const int32_t *)(const void *)(out->logits + (size_t)out->n_pos * out->vocab);
    out->gap = (const float *)(const void *)(out->greedy + out->n_greedy);
    assert_ptr_equal(out->gap + out->n_greedy, out->file.p + out->file.n);
}

void golden_free(golden *g) {
    pgd_buf_fini(&g->file);
}

pgd_model *golden_model(const char *name) {
    char path[1024];
    pgd_error err = {0};
    pgd_model *m = NULL;
    golden_dir(name, path, sizeof path);
    if (pgd_model_open(path, 0, &m, &err) != PGD_OK) fail_msg("%s", err.msg);
    return m;
}

void pw_seq(plan_writer *w, uint32_t slot, const int32_t *ids, uint32_t n, uint32_t kv_start,
            uint32_t flags, int32_t score_next) {
    assert_true(w->n_seq < PW_MAX);
    w->ids[w->n_seq] = ids;
    w->seq[w->n_seq++] = (pgd_plan_seq){.slot = slot,
                                        .q_start = w->n_tok,
                                        .n_new = n,
                                        .kv_start = kv_start,
                                        .flags = flags,
                                        .score_next = score_next};
    w->n_tok += n;
}

void pw_init(plan_writer *w, uint32_t slot, uint32_t n_prompt, const pgd_sampling *s,
             const int32_t *history, uint32_t n_history, const pgd_bias *bias, uint32_t n_bias) {
    assert_true(w->n_init < PW_MAX);
    w->history[w->n_init] = history;
    w->bias[w->n_init] = bias;
    w->init[w->n_init++] = (pgd_plan_init){.slot = slot,
                                           .n_prompt = n_prompt,
                                           .n_history = n_history,
                                           .n_bias = n_bias,
                                           .sampling = *s};
}

void pw_table(plan_writer *w, uint32_t slot, uint32_t first, const int32_t *pages, uint32_t n) {
    assert_true(w->n_table < PW_MAX);
    w->pages[w->n_table] = pages;
    w->table[w->n_table++] = (pgd_plan_table){.slot = slot, .first = first, .n = n};
}

void pw_copy(plan_writer *w, uint32_t src, uint32_t dst, uint32_t n_tokens) {
    assert_true(w->n_copy < PW_MAX);
    w->copy[w->n_copy++] = (pgd_plan_copy){.src = src, .dst = dst, .n_tokens = n_tokens};
}

typedef struct blob {
    char *p;
    uint32_t at, room;
} blob;

static uint32_t append(blob *b, const void *data, size_t bytes) {
    const uint32_t off = b->at;
    assert_true(b->at + bytes + 8 <= b->room);
    if (bytes) memcpy(b->p + off, data, bytes);
    b->at = (uint32_t)(off + bytes + 7) & ~7U;
    return off;
}

/* Lists first: their offsets must be known when the structs that point to them are written. */
static void write_lists(plan_writer *w, blob *b) {
    for (uint32_t i = 0; i < w->n_init; i++) {
        w->init[i].off_history = append(b, w->history[i], w->init[i].n_history * sizeof(int32_t));
        w->init[i].off_bias = append(b, w->bias[i], w->init[i].n_bias * sizeof(pgd_bias));
    }
    for (uint32_t i = 0; i < w->n_table; i++)
        w->table[i].off_pages = append(b, w->pages[i], w->table[i].n * sizeof(int32_t));
}

static uint32_t section_bytes(uint32_t n, size_t size) {
    return (uint32_t)(n * size + 7) & ~7U;
}

uint32_t pw_write(plan_writer *w, void *out, uint32_t room) {
    static const int32_t late = -1;
    blob b = {out, 0, room};
    pgd_plan *p = out;
    memset(out, 0, room);
    *p = (pgd_plan){.magic = PGD_PLAN_MAGIC,
                    .version = PGD_PLAN_VERSION,
                    .step = w->step,
                    .n_seq = w->n_seq,
                    .n_tok = w->n_tok,
                    .n_init = w->n_init,
                    .n_table = w->n_table,
                    .n_copy = w->n_copy};
    p->off_seq = section_bytes(1, sizeof *p);
    p->off_ids = p->off_seq + section_bytes(w->n_seq, sizeof w->seq[0]);
    p->off_init = p->off_ids + section_bytes(w->n_tok, sizeof(int32_t));
    p->off_table = p->off_init + section_bytes(w->n_init, sizeof w->init[0]);
    p->off_copy = p->off_table + section_bytes(w->n_table, sizeof w->table[0]);
    p->off_aux = p->off_copy + section_bytes(w->n_copy, sizeof w->copy[0]);
    b.at = p->off_aux;
    write_lists(w, &b);
    p->bytes = b.at;
    memcpy(b.p + p->off_seq, w->seq, w->n_seq * sizeof w->seq[0]);
    memcpy(b.p + p->off_init, w->init, w->n_init * sizeof w->init[0]);
    memcpy(b.p + p->off_table, w->table, w->n_table * sizeof w->table[0]);
    memcpy(b.p + p->off_copy, w->copy, w->n_copy * sizeof w->copy[0]);
    for (uint32_t i = 0; i < w->n_seq; i++) {
        const pgd_plan_seq *s = &w->seq[i];
        memcpy(b.p + p->off_ids + s->q_start * sizeof(int32_t), w->ids[i] ? w->ids[i] : &late,
               s->n_new * sizeof(int32_t));
        if (s->flags & PGD_PLAN_SAMPLE) p->n_sample++;
        if (s->flags & PGD_PLAN_MASK) p->n_mask++;
        if (s->flags & PGD_PLAN_SCORE) p->n_score += s->n_new - (s->score_next < 0);
    }
    p->digest = pgd_plan_digest(p);
    const uint64_t next = w->step + 1;
    memset(w, 0, sizeof *w);
    w->step = next;
    return p->bytes;
}

pgd_sampling greedy_sampling(uint32_t n_top) {
    return (pgd_sampling){.flags = PGD_SAMPLE_GREEDY | (n_top ? PGD_SAMPLE_LOGPROBS : 0U),
                          .temperature = 1,
                          .top_p = 1,
                          .repetition_penalty = 1,
                          .n_top = n_top};
}

void page_order(const pgd_plan_limits *lim, uint32_t which, int32_t *out, uint32_t n) {
    const uint32_t base = which * lim->max_pages_per_seq;
    assert_true(base + n <= lim->n_pages);
    for (uint32_t i = 0; i < n; i++) /* 0, last, 1, last - 1, ... */
        out[i] = (int32_t)(base + (i % 2 ? lim->max_pages_per_seq - 1 - i / 2 : i / 2));
}

pgd_exec_options small_options(uint32_t max_tokens) {
    return (pgd_exec_options){.device = device,
                              .n_threads = 2,
                              .isa = -1,
                              .max_seqs = 8,
                              .max_tokens = max_tokens,
                              .page_tokens = on_gpu() ? 0 : 16,
                              .kv_bytes = 4 << 20};
}

static size_t hidden_bytes(const rig *r) {
    return r->z.limits.max_tokens * r->prog.ws.rows_act.shape[1] * sizeof(float);
}

void rig_open(rig *r, const char *golden_name, const pgd_exec_options *opt) {
    pgd_error err = {0};
    memset(r, 0, sizeof *r);
    r->model = golden_model(golden_name);
    const pgd_cpu_options cpu = {.n_threads = opt->n_threads, .isa = opt->isa};
    const pgd_model_spec *spec = pgd_model_get_spec(r->model);
    const pgd_status s =
        on_gpu() ? pgd_device_open_cuda(&r->dev, &err) : pgd_device_open_cpu(&cpu, &r->dev, &err);
    if (s != PGD_OK || sizing_decide(opt, r->model, r->dev, &r->z, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    r->mem.dev = r->dev;
    const pgd_plan_limits *lim = &r->z.limits;
    r->prog.kv = (kv_pool){.type = spec->dtype,
                           .n_layers = spec->n_layers,
                           .n_pages = lim->n_pages,
                           .page_tokens = lim->page_tokens,
                           .n_kv_heads = spec->n_kv_heads,
                           .head_dim = spec->head_dim,
                           .page_bytes = r->z.page_bytes};
    if (r->dev->reserve(r->dev, &r->z.device, &err) != PGD_OK ||
        devmem_array(&r->mem, "kv", r->z.page_bytes * spec->n_layers, lim->n_pages, &r->prog.kv.kv,
                     &err) != PGD_OK ||
        loader_load(r->model, &r->mem, NULL, &r->weights, &err) != PGD_OK ||
        program_build(&r->prog, spec, &r->weights, &r->mem, lim, r->z.max_model_len, &err) !=
            PGD_OK)
        fail_msg("%s", err.msg);
    r->plan = r->dev->host_alloc(r->dev, lim->max_plan_bytes);
    r->sample = r->dev->host_alloc(r->dev, lim->max_seqs * sizeof *r->sample);
    r->score = r->dev->host_alloc(r->dev, lim->max_tokens * sizeof *r->score);
    r->hidden = r->dev->host_alloc(r->dev, hidden_bytes(r));
    assert_true(r->plan && r->sample && r->score && r->hidden);
}

void rig_close(rig *r) {
    const pgd_plan_limits *lim = &r->z.limits;
    r->dev->host_free(r->dev, r->plan, lim->max_plan_bytes);
    r->dev->host_free(r->dev, r->sample, lim->max_seqs * sizeof *r->sample);
    r->dev->host_free(r->dev, r->score, lim->max_tokens * sizeof *r->score);
    r->dev->host_free(r->dev, r->hidden, hidden_bytes(r));
    program_fini(&r->prog);
    loader_free(r->dev, &r->weights);
    devmem_free_all(&r->mem);
    r->dev->close(r->dev);
    pgd_model_close(&r->model);
}

void rig_step(rig *r) {
    pgd_error err = {0};
    const uint32_t bytes = pw_write(&r->pw, r->plan, r->z.limits.max_plan_bytes);
    if (pgd_plan_check(r->plan, bytes, &r->z.limits, &err) != PGD_OK) fail_msg("%s", err.msg);
    const step_out out = {.sample = r->sample,
                          .score = r->score,
                          .hidden = program_wants_hidden(r->plan) ? r->hidden : NULL};
    pgd_noalloc_begin();
    program_step part;
    pgd_status s = program_launch_body(&r->prog, r->plan, &part);
    if (s == PGD_OK) s = program_launch_head(&r->prog, &part, NULL, &out);
    pgd_noalloc_end();
    r->dev->sync(r->dev);
    if (r->dev->fatal(r->dev)) fail_msg("%s", r->dev->fatal(r->dev));
    assert_int_equal(s, PGD_OK);
}

float *rig_logits(const rig *r, uint32_t n) {
    const size_t bytes = (size_t)n * r->prog.ws.logits.shape[1] * sizeof(float);
    float *out = pgd_malloc(bytes);
    assert_non_null(out);
    assert_int_equal(r->dev->download(r->dev, out, r->prog.ws.logits.data, bytes), PGD_OK);
    return out;
}
