/* Plumbing of the CPU backend: memory is host memory, upload and download are copies, nothing is
 * asynchronous, so `done` is always true and `fatal` never has anything to say.
 *
 * Owns the thread pool and the per-thread work space of the kernels. The work space has the size
 * that attention needs from the start and grows while weights are packed; the step path allocates
 * nothing. Thread: the rank's. Does not pack weights (cpu_pack.c) and does not choose kernels
 * (cpu_table.c). */
#include "cpu_internal.h"

#include <stdio.h>
#include <string.h>

#include "pagoda/mem.h"

enum { DEVICE_ALIGN = 64, SCRATCH_ALIGN = 4096, SCRATCH_MIN = 384 * 1024, LOGITS_ROWS = 64 };

static void *cpu_alloc(pgd_device *d, uint64_t bytes) {
    (void)d;
    return bytes <= SIZE_MAX ? pgd_aligned_alloc((size_t)bytes, DEVICE_ALIGN) : NULL;
}

static void cpu_free(pgd_device *d, void *p, uint64_t bytes) {
    (void)d;
    pgd_aligned_free(p, (size_t)bytes);
}

static pgd_status cpu_copy(pgd_device *d, void *dst, const void *src, uint64_t bytes) {
    (void)d;
    if (bytes) memcpy(dst, src, (size_t)bytes);
    return PGD_OK;
}

static uint64_t cpu_mem_available(pgd_device *d) {
    (void)d;
    return pgd_mem_available();
}

/* bf16 so that the dot products run on both halves of a register; f16 has no such instruction. */
static pgd_dtype cpu_act_type(pgd_device *d, pgd_dtype w_type) {
    (void)d;
    return w_type == PGD_BF16 ? PGD_BF16 : PGD_F32;
}

/* The per-thread work space grows while weights are packed. */
static pgd_status cpu_work_space(pgd_device *d, const pgd_device_limits *l, uint64_t *bytes,
                                 pgd_error *err) {
    (void)d;
    (void)l;
    (void)err;
    *bytes = 0;
    return PGD_OK;
}

static pgd_status cpu_reserve(pgd_device *d, const pgd_device_limits *l, pgd_error *err) {
    (void)d;
    (void)l;
    (void)err;
    return PGD_OK;
}

static pgd_status cpu_begin(pgd_device *d, uint32_t i) {
    pgd_cpu_device *const c = pgd_cpu_of(d);
    c->begin_ns[i] = pgd_clock_now(&c->clock);
    return PGD_OK;
}

static pgd_status cpu_mark(pgd_device *d, uint32_t i) {
    pgd_cpu_device *const c = pgd_cpu_of(d);
    c->mark_ns[i] = pgd_clock_now(&c->clock);
    return PGD_OK;
}

static bool cpu_done(pgd_device *d, uint32_t i) {
    (void)d;
    (void)i;
    return true;
}

static uint64_t cpu_step_ns(pgd_device *d, uint32_t i) {
    const pgd_cpu_device *const c = pgd_cpu_of(d);
    return c->mark_ns[i] - c->begin_ns[i];
}

static void cpu_sync(pgd_device *d) {
    (void)d;
}

static bool cpu_supports_linear(pgd_device *d, pgd_dtype x_type, pgd_dtype w_type) {
    (void)d;
    if (w_type == PGD_BF16) return x_type == PGD_BF16;
    return (w_type == PGD_F32 || w_type == PGD_F16) && x_type == PGD_F32;
}

static void cpu_free_weight(pgd_device *d, pgd_weight *w) {
    (void)d;
    pgd_aligned_free(w->data, (size_t)w->bytes);
    *w = (pgd_weight){0};
}

pgd_cpu_kv_shape pgd_cpu_kv_shape_of(uint32_t n_kv_heads, uint32_t head_dim, uint32_t page_tokens,
                                     pgd_dtype kv_type) {
    pgd_cpu_kv_shape s = {.dp = pgd_cpu_round_up(head_dim, PGD_CPU_LANES),
                          .elt_bytes = (uint32_t)pgd_dtype_bytes(kv_type)};
    s.head_bytes = (uint64_t)page_tokens * s.dp * s.elt_bytes;
    s.v_offset = n_kv_heads * s.head_bytes;
    return s;
}

static uint64_t cpu_kv_page_bytes(pgd_device *d, uint32_t n_kv_heads, uint32_t head_dim,
                                  uint32_t page_tokens, pgd_dtype kv_type) {
    const pgd_device_info *i = &d->info;
    const bool type_ok = kv_type == PGD_F32 || kv_type == PGD_BF16 || kv_type == PGD_F16;
    const bool page_ok = page_tokens >= i->page_tokens_min && page_tokens <= i->page_tokens_max &&
                         (page_tokens & (page_tokens - 1)) == 0;
    if (!type_ok || !page_ok || !head_dim || head_dim > PGD_CPU_MAX_HEAD) return 0;
    return 2 * pgd_cpu_kv_shape_of(n_kv_heads, head_dim, page_tokens, kv_type).v_offset;
}

static const char *cpu_fatal(pgd_device *d) {
    (void)d;
    return NULL;
}

static void cpu_close(pgd_device *d) {
    pgd_cpu_device *c = pgd_cpu_of(d);
    pgd_pool_destroy(&c->pool);
    pgd_aligned_free(c->scratch, c->n_threads * c->scratch_bytes);
    pgd_free(c);
}

pgd_status pgd_cpu_reserve(pgd_cpu_device *c, size_t bytes, pgd_error *err) {
    if (bytes <= c->scratch_bytes) return PGD_OK;
    size_t each, all;
    if (!pgd_add_size(bytes, SCRATCH_ALIGN - 1, &each))
        return pgd_fail(err, PGD_E_LIMIT, "cpu work space of %zu bytes overflows", bytes);
    each &= ~(size_t)(SCRATCH_ALIGN - 1);
    unsigned char *p = NULL;
    if (pgd_mul_size(each, c->n_threads, &all)) p = pgd_aligned_alloc(all, SCRATCH_ALIGN);
    if (!p)
        return pgd_fail(err, PGD_E_NOMEM,
                        "no memory for the cpu work space: %zu bytes for each of "
                        "%u threads",
                        each, c->n_threads);
    if (c->scratch) pgd_aligned_free(c->scratch, c->n_threads * c->scratch_bytes);
    c->scratch = p;
    c->scratch_bytes = each;
    return PGD_OK;
}

static void fill_base(pgd_cpu_device *c) {
    pgd_device *b = &c->base;
    (void)snprintf(b->info.name, sizeof b->info.name, "cpu %s, %u thread%s", pgd_isa_name(c->isa),
                   c->n_threads, c->n_threads == 1 ? "" : "s");
    b->info.page_tokens_default = 16;
    b->info.page_tokens_min = 16;
    b->info.page_tokens_max = 256;
    b->info.max_seqs_default = 64;
    b->info.max_tokens_default = 512;
    b->info.logits_rows = LOGITS_ROWS;
    b->info.host_memory = true;
    b->info.mem_total = pgd_mem_total();
    b->info.mem_available = pgd_mem_available();
#define PGD_CPU_FILL(U, l) b->op[PGD_OP_##U] = pgd_cpu_##l;
    PGD_OPS(PGD_CPU_FILL)
#undef PGD_CPU_FILL
    b->alloc = cpu_alloc;
    b->free = cpu_free;
    b->upload = cpu_copy;
    b->download = cpu_copy;
    b->mem_available = cpu_mem_available;
    b->act_type = cpu_act_type;
    b->work_space = cpu_work_space;
    b->reserve = cpu_reserve;
    b->supports_linear = cpu_supports_linear;
    b->pack_linear = pgd_cpu_pack_linear;
    b->free_weight = cpu_free_weight;
    b->fill_uniform = pgd_cpu_fill_uniform;
    b->kv_page_bytes = cpu_kv_page_bytes;
    b->host_alloc = cpu_alloc;
    b->host_free = cpu_free;
    b->send = cpu_copy;
    b->fetch = cpu_copy;
    b->begin = cpu_begin;
    b->mark = cpu_mark;
    b->done = cpu_done;
    b->step_ns = cpu_step_ns;
    b->sync = cpu_sync;
    b->fatal = cpu_fatal;
    b->close = cpu_close;
}

pgd_status pgd_device_open_cpu(const pgd_cpu_options *opt, pgd_device **out, pgd_error *err) {
    const pgd_isa best = pgd_cpu_detect();
    if (opt->isa >= PGD_ISA_N || opt->isa < -1)
        return pgd_fail(err, PGD_E_INVALID, "cpu: instruction set %d, expected -1 to %d", opt->isa,
                        PGD_ISA_N - 1);
    const pgd_isa isa = opt->isa < 0 ? best : (pgd_isa)opt->isa;
    if (isa > best)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "cpu: %s was asked for, this processor has %s",
                        pgd_isa_name(isa), pgd_isa_name(best));
    pgd_cpu_device *c = pgd_calloc(1, sizeof *c);
    if (!c) return pgd_fail(err, PGD_E_NOMEM, "cpu: no memory for the device");
    c->isa = isa;
    c->clock = pgd_clock_monotonic();
    pgd_status st = pgd_pool_create(&c->pool, opt->n_threads);
    if (st != PGD_OK) {
        pgd_free(c);
        return pgd_fail(err, st, "cpu: cannot start %u threads", opt->n_threads);
    }
    c->n_threads = pgd_pool_threads(c->pool);
    st = pgd_cpu_reserve(c, SCRATCH_MIN, err);
    if (st != PGD_OK) {
        pgd_pool_destroy(&c->pool);
        pgd_free(c);
        return st;
    }
    pgd_cpu_fill_kernels(&c->k, isa);
    fill_base(c);
    *out = &c->base;
    return PGD_OK;
}

pgd_pool *pgd_device_cpu_pool(pgd_device *d) {
    return pgd_cpu_of(d)->pool;
}
