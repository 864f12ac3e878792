/* Sizes, decided once.
 *
 * Weights and workspace follow from the model and the step limits; the KV pool gets what the user
 * says, else on the CPU a quarter of the memory that is left, at most 4 GiB, and on a device with
 * memory of its own what the rest of --gpu-memory-utilization leaves (what other programs hold
 * counts as used). A context length that the user asked for and that cannot be held is an error
 * with the numbers; a default one is cut to what the pool holds. Slots are twice max_seqs: a
 * finished sequence keeps its slot until its last step in flight has passed, while its successor
 * already runs. Thread: the rank's. */
#include "sizing.h"

#include <inttypes.h>
#include <string.h>

#include "loader.h"
#include "program.h"
#include "slots.h"

enum {
    MAX_SEQS = PGD_PLAN_MAX_SLOTS / 2,
    MAX_TOKENS = 1 << 20,
    MAX_PAGES = 1 << 20, /* the engine keeps some bytes for each */
    KV_SHARE = 4,
};

static const uint64_t kv_default_max = 4ULL << 30;

static double gib(uint64_t bytes) {
    return (double)bytes / (double)(1ULL << 30);
}

static pgd_status check_options(const pgd_exec_options *o, pgd_error *err) {
    if (o->max_seqs > MAX_SEQS)
        return pgd_fail(err, PGD_E_INVALID, "--max-num-seqs is %" PRIu32 ", expected at most %d",
                        o->max_seqs, MAX_SEQS);
    if (o->max_tokens > MAX_TOKENS)
        return pgd_fail(err, PGD_E_INVALID,
                        "--max-num-batched-tokens is %" PRIu32 ", expected at most %d",
                        o->max_tokens, MAX_TOKENS);
    if (o->steps_in_flight > PGD_MAX_STEPS_IN_FLIGHT)
        return pgd_fail(err, PGD_E_INVALID, "steps in flight: %" PRIu32 ", expected 1 to %d",
                        o->steps_in_flight, PGD_MAX_STEPS_IN_FLIGHT);
    if (o->gpu_memory_utilization < 0 || o->gpu_memory_utilization > 1)
        return pgd_fail(err, PGD_E_INVALID,
                        "--gpu-memory-utilization is %g, expected above 0 and at most 1",
                        o->gpu_memory_utilization);
    return PGD_OK;
}

static pgd_status decide_page(const pgd_exec_options *o, const pgd_model_spec *s, pgd_device *dev,
                              sizing *z, pgd_error *err) {
    const pgd_device_info *const i = &dev->info;
    const uint32_t t = o->page_tokens ? o->page_tokens : i->page_tokens_default;
    if (i->page_tokens_min == i->page_tokens_max && t != i->page_tokens_min)
        return pgd_fail(err, PGD_E_INVALID,
                        "--block-size is %" PRIu32 ", device %s has blocks of %" PRIu32
                        " tokens only",
                        t, i->name, i->page_tokens_min);
    if (t < i->page_tokens_min || t > i->page_tokens_max || (t & (t - 1)))
        return pgd_fail(err, PGD_E_INVALID,
                        "--block-size is %" PRIu32 ", expected a power of two from %" PRIu32
                        " to %" PRIu32,
                        t, i->page_tokens_min, i->page_tokens_max);
    z->limits.page_tokens = t;
    z->page_bytes = dev->kv_page_bytes(dev, s->n_kv_heads, s->head_dim, t, s->dtype);
    if (!z->page_bytes)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "device %s cannot hold keys and values of %" PRIu32
                        " heads of size %" PRIu32 " in %s",
                        i->name, s->n_kv_heads, s->head_dim, pgd_dtype_name(s->dtype));
    return PGD_OK;
}

static pgd_status decide_context(const pgd_exec_options *o, const pgd_model_spec *s, sizing *z,
                                 pgd_error *err) {
    z->max_model_len = o->max_model_len ? o->max_model_len : s->max_position;
    if (z->max_model_len > s->max_position)
        return pgd_fail(err, PGD_E_INVALID,
                        "--max-model-len is %" PRIu32 ", the model's context is %" PRIu32,
                        z->max_model_len, s->max_position);
    return PGD_OK;
}

static pgd_status decide_plan_bytes(sizing *z, pgd_error *err) {
    const uint64_t all = pgd_plan_room(&z->limits, z->max_model_len);
    if (all > UINT32_MAX)
        return pgd_fail(err, PGD_E_LIMIT, "a step plan of %" PRIu64 " bytes is too large", all);
    z->limits.max_plan_bytes = (uint32_t)all;
    return PGD_OK;
}

static void decide_pages_per_seq(sizing *z) {
    const uint32_t t = z->limits.page_tokens;
    z->limits.max_pages_per_seq = z->max_model_len / t + (z->max_model_len % t != 0);
}

/* window: that of the layers if all have one. */
static void decide_device_limits(const pgd_model_spec *s, const pgd_device *dev, sizing *z) {
    const bool all = s->window_from_layer == 0 && s->window_to_layer >= s->n_layers;
    z->device = (pgd_device_limits){.plan = z->limits,
                                    .tile_rows = program_tile_rows(dev, z->limits.max_tokens),
                                    .n_heads = s->n_heads,
                                    .n_kv_heads = s->n_kv_heads,
                                    .head_dim = s->head_dim,
                                    .window = all ? s->sliding_window : 0,
                                    .dtype = s->dtype};
}

/* What each step in flight has on the host: rank.c allocates it. */
static uint64_t step_bytes(const pgd_exec_options *o, const pgd_model_spec *s, pgd_device *dev,
                           const pgd_plan_limits *l) {
    const uint64_t hidden = o->hidden_states ? pgd_dtype_bytes(dev->act_type(dev, s->dtype)) : 0;
    return l->max_plan_bytes + (dev->op[PGD_OP_LOGITS_MASK] ? pgd_plan_late_room(l) : 0) +
           l->max_seqs * sizeof(pgd_sample_out) +
           l->max_tokens * (sizeof(pgd_score_out) + hidden * s->d_model);
}

/* What a step needs, given the most pages there can be. */
static pgd_status decide_work_space(const pgd_model_spec *s, pgd_device *dev, uint64_t max_pages,
                                    sizing *z, pgd_error *err) {
    const pgd_plan_limits *const l = &z->limits;
    uint64_t own = 0;
    z->limits.n_pages = (uint32_t)(max_pages < MAX_PAGES ? max_pages : MAX_PAGES);
    decide_device_limits(s, dev, z);
    PGD_TRY(dev->work_space(dev, &z->device, &own, err));
    z->workspace_bytes = program_bytes(dev, s, l, z->max_model_len) + own;
    return PGD_OK;
}

/* Memory that this executor may take. */
static uint64_t budget(const pgd_exec_options *o, const pgd_device_info *i) {
    if (i->host_memory) return i->mem_available;
    const double share = o->gpu_memory_utilization > 0 ? o->gpu_memory_utilization : 0.9;
    const uint64_t may = (uint64_t)(share * (double)i->mem_total);
    const uint64_t others = i->mem_total - i->mem_available;
    return may > others ? may - others : 0;
}

static pgd_status does_not_fit(const sizing *z, const pgd_device *dev, uint64_t may, uint64_t kv,
                               pgd_error *err) {
    return pgd_fail(err, PGD_E_NOMEM,
                    "device %s has %.2f GiB of memory available; the model needs %.2f GiB for "
                    "weights, %.2f GiB for work space and %.2f GiB for the KV cache: lower "
                    "--kv-cache-memory-bytes, --max-num-batched-tokens or --max-num-seqs, or %s",
                    dev->info.name, gib(may), gib(z->weight_bytes), gib(z->workspace_bytes),
                    gib(kv),
                    dev->info.host_memory ? "free memory" : "raise --gpu-memory-utilization");
}

static pgd_status decide_pages(const pgd_exec_options *o, const pgd_model_spec *s, pgd_device *dev,
                               sizing *z, pgd_error *err) {
    const uint64_t page = z->page_bytes * s->n_layers; /* of all layers */
    const uint64_t may = budget(o, &dev->info);
    PGD_TRY(decide_work_space(s, dev, (o->kv_bytes ? o->kv_bytes : may) / page, z, err));
    z->staging_bytes = z->steps_in_flight * step_bytes(o, s, dev, &z->limits);
    const uint64_t fixed =
        z->weight_bytes + z->workspace_bytes + (dev->info.host_memory ? z->staging_bytes : 0);
    const uint64_t left = fixed < may ? may - fixed : 0;
    const uint64_t share = dev->info.host_memory ? left / KV_SHARE : left;
    uint64_t kv = o->kv_bytes;
    if (!kv) kv = dev->info.host_memory && share > kv_default_max ? kv_default_max : share;
    if (left == 0 || kv > left) return does_not_fit(z, dev, may, kv, err);
    const uint64_t n = kv / page;
    z->limits.n_pages = (uint32_t)(n < MAX_PAGES ? n : MAX_PAGES);
    z->kv_bytes = z->limits.n_pages * page;
    if (!z->limits.n_pages)
        return pgd_fail(err, PGD_E_NOMEM,
                        "the KV cache may take %" PRIu64 " bytes and one block of %" PRIu32
                        " tokens needs %" PRIu64 ": raise --kv-cache-memory-bytes",
                        kv, z->limits.page_tokens, page);
    if (z->limits.n_pages >= z->limits.max_pages_per_seq) return PGD_OK;
    if (o->max_model_len)
        return pgd_fail(err, PGD_E_NOMEM,
                        "--max-model-len %" PRIu32 " needs %.3f GiB of KV cache, there are %.3f: "
                        "raise --kv-cache-memory-bytes or ask for at most %" PRIu32 " tokens",
                        o->max_model_len, gib(page * z->limits.max_pages_per_seq), gib(z->kv_bytes),
                        z->limits.n_pages * z->limits.page_tokens);
    z->max_model_len = z->limits.n_pages * z->limits.page_tokens;
    decide_pages_per_seq(z);
    return PGD_OK;
}

void sizing_tell(const sizing *z, const pgd_exec_options *opt, const pgd_model *model,
                 pgd_device *dev, pgd_exec_info *out) {
    const pgd_model_spec *const s = pgd_model_get_spec(model);
    *out = (pgd_exec_info){.limits = z->limits,
                           .steps_in_flight = z->steps_in_flight,
                           .max_model_len = z->max_model_len,
                           .kv_bytes = z->kv_bytes,
                           .weight_bytes = z->weight_bytes,
                           .workspace_bytes = z->workspace_bytes,
                           .staging_bytes = z->staging_bytes,
                           .mem_total = dev->info.mem_total,
                           .mem_free = dev->info.mem_available,
                           .host_memory = dev->info.host_memory,
                           .hidden_width = opt->hidden_states ? s->d_model : 0,
                           .hidden_type = dev->act_type(dev, s->dtype)};
    _Static_assert(sizeof out->device_name == sizeof dev->info.name, "a name fits");
    memcpy(out->device_name, dev->info.name, sizeof out->device_name);
}

pgd_status sizing_decide(const pgd_exec_options *opt, const pgd_model *model, pgd_device *dev,
                         sizing *out, pgd_error *err) {
    const pgd_model_spec *const s = pgd_model_get_spec(model);
    PGD_TRY(check_options(opt, err));
    const uint32_t seqs = opt->max_seqs ? opt->max_seqs : dev->info.max_seqs_default;
    *out = (sizing){.steps_in_flight = opt->steps_in_flight ? opt->steps_in_flight : 2};
    out->limits = (pgd_plan_limits){.max_seqs = seqs,
                                    .max_tokens = opt->max_tokens ? opt->max_tokens
                                                                  : dev->info.max_tokens_default,
                                    .max_slots = 2 * seqs,
                                    .vocab_size = s->vocab_size};
    PGD_TRY(decide_page(opt, s, dev, out, err));
    PGD_TRY(decide_context(opt, s, out, err));
    decide_pages_per_seq(out);
    PGD_TRY(decide_plan_bytes(out, err));
    out->weight_bytes = loader_estimate(model, dev);
    PGD_TRY(decide_pages(opt, s, dev, out, err));
    decide_device_limits(s, dev, out);
    return PGD_OK;
}
