/* A library in the place of libpagoda_cuda.so, for tests of what happens when a GPU fails: a device
 * whose operations compute nothing, which samples one token for ever, 10 ms a step, and which falls
 * off the bus after FAIL_AFTER steps. tests/e2e/test_device.py serves with it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "device/cuda/cuda_library.h"
#include "pagoda/mem.h"

enum { FAIL_AFTER = 40, TOKEN = 100, STEP_MS = 10, PAGE_BYTES = 4096 };

typedef struct fake_device {
    pgd_device base;
    uint32_t n_steps;
    const pgd_plan *plan; /* of the running step */
} fake_device;

static fake_device *fake_of(pgd_device *d) {
    return (fake_device *)(void *)d;
}

static void *fake_alloc(pgd_device *d, uint64_t bytes) {
    (void)d;
    return pgd_aligned_alloc(bytes, 64);
}

static void fake_free(pgd_device *d, void *p, uint64_t bytes) {
    (void)d;
    pgd_aligned_free(p, bytes);
}

static pgd_status fake_copy(pgd_device *d, void *dst, const void *src, uint64_t bytes) {
    (void)d;
    memcpy(dst, src, bytes);
    return PGD_OK;
}

static uint64_t fake_available(pgd_device *d) {
    return d->info.mem_available;
}

static pgd_dtype fake_act_type(pgd_device *d, pgd_dtype t) {
    (void)d;
    return t;
}

static pgd_status fake_work_space(pgd_device *d, const pgd_device_limits *l, uint64_t *bytes,
                                  pgd_error *err) {
    (void)d;
    (void)l;
    (void)err;
    *bytes = 0;
    return PGD_OK;
}

static pgd_status fake_reserve(pgd_device *d, const pgd_device_limits *l, pgd_error *err) {
    (void)d;
    (void)l;
    (void)err;
    return PGD_OK;
}

static bool fake_supports(pgd_device *d, pgd_dtype x, pgd_dtype w) {
    (void)d;
    (void)x;
    (void)w;
    return true;
}

static pgd_status fake_pack(pgd_device *d, const pgd_tensor *parts, uint32_t n_parts,
                            uint32_t interleave, pgd_dtype dtype, uint64_t seed, pgd_weight *out,
                            pgd_error *err) {
    (void)d;
    (void)parts;
    (void)n_parts;
    (void)interleave;
    (void)seed;
    (void)err;
    *out = (pgd_weight){.n = 1, .k = 1, .dtype = dtype};
    return PGD_OK;
}

static void fake_free_weight(pgd_device *d, pgd_weight *w) {
    (void)d;
    (void)w;
}

static pgd_status fake_fill(pgd_device *d, void *dst, pgd_dtype type, uint64_t n) {
    (void)d;
    (void)dst;
    (void)type;
    (void)n;
    return PGD_OK;
}

static uint64_t fake_page(pgd_device *d, uint32_t n_heads, uint32_t head_dim, uint32_t tokens,
                          pgd_dtype type) {
    (void)d;
    (void)n_heads;
    (void)head_dim;
    (void)tokens;
    (void)type;
    return PAGE_BYTES;
}

static pgd_status fake_begin(pgd_device *d, uint32_t i) {
    (void)i;
    fake_of(d)->n_steps++;
    return PGD_OK;
}

static pgd_status fake_mark(pgd_device *d, uint32_t i) {
    (void)d;
    (void)i;
    return PGD_OK;
}

static bool fake_done(pgd_device *d, uint32_t i) {
    (void)d;
    (void)i;
    return true;
}

static uint64_t fake_step_ns(pgd_device *d, uint32_t i) {
    (void)d;
    (void)i;
    return STEP_MS * 1000000ULL;
}

static void fake_sync(pgd_device *d) {
    (void)d;
}

static const char *fake_fatal(pgd_device *d) {
    return fake_of(d)->n_steps > FAIL_AFTER ? "fell off the bus" : NULL;
}

static void fake_close(pgd_device *d) {
    pgd_free(d);
}

static pgd_status nothing(pgd_device *d, const void *args, const pgd_step_view *step) {
    (void)args;
    (void)step;
    return fake_fatal(d) ? PGD_E_DEVICE : PGD_OK;
}

static pgd_status step_fill(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_step_fill_args *const a = args;
    (void)step;
    fake_of(d)->plan = a->plan;
    return nothing(d, args, step);
}

static pgd_status sample(pgd_device *d, const void *args, const pgd_step_view *step) {
    const pgd_sample_args *const a = args;
    const pgd_plan *const p = fake_of(d)->plan;
    const pgd_plan_seq *const seq = (const void *)((const char *)p + p->off_seq);
    const struct timespec pause = {.tv_nsec = STEP_MS * 1000000L};
    uint32_t n = 0;
    (void)nanosleep(&pause, NULL);
    for (uint32_t i = 0; i < p->n_seq; i++)
        if (seq[i].flags & PGD_PLAN_SAMPLE)
            a->sample_out[n++] = (pgd_sample_out){.slot = seq[i].slot, .token = TOKEN};
    return nothing(d, args, step);
}

static void fill(pgd_device *b) {
    (void)snprintf(b->info.name, sizeof b->info.name, "cuda made of paper");
    b->info.page_tokens_default = b->info.page_tokens_min = b->info.page_tokens_max = 64;
    b->info.max_seqs_default = 8;
    b->info.max_tokens_default = 512;
    b->info.logits_rows = 64;
    b->info.host_memory = true;
    b->info.mem_total = b->info.mem_available = 1ULL << 30;
    for (uint32_t i = 0; i < PGD_OP_N; i++)
        b->op[i] = nothing;
    b->op[PGD_OP_STEP_FILL] = step_fill;
    b->op[PGD_OP_SAMPLE] = sample;
    b->alloc = b->host_alloc = fake_alloc;
    b->free = b->host_free = fake_free;
    b->upload = b->download = b->send = b->fetch = fake_copy;
    b->mem_available = fake_available;
    b->act_type = fake_act_type;
    b->work_space = fake_work_space;
    b->reserve = fake_reserve;
    b->supports_linear = fake_supports;
    b->pack_linear = fake_pack;
    b->free_weight = fake_free_weight;
    b->fill_uniform = fake_fill;
    b->kv_page_bytes = fake_page;
    b->begin = fake_begin;
    b->mark = fake_mark;
    b->done = fake_done;
    b->step_ns = fake_step_ns;
    b->sync = fake_sync;
    b->fatal = fake_fatal;
    b->close = fake_close;
}

static pgd_status fake_open(pgd_device **out, pgd_error *err) {
    fake_device *const f = pgd_calloc(1, sizeof *f);
    if (!f) return pgd_fail(err, PGD_E_NOMEM, "no memory for the device");
    fill(&f->base);
    *out = &f->base;
    return PGD_OK;
}

extern const pgd_cuda_library pagoda_cuda;
__attribute__((visibility("default")))
const pgd_cuda_library pagoda_cuda = {PGD_BUILD_ID, fake_open};
