/* What the engine tells about itself: the snapshot any thread may read, and the metrics. Names are
 * those of vLLM under vllm:, and the same series under pagoda_ with finer buckets where steps are
 * faster than vLLM's first bound. Thread: engine writes; relaxed atomics. Deliberately no series
 * per request and no label from outside. */
#include "engine_int.h"

#include <stdio.h>

static const double TTFT[] = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                              1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
static const double ITL[] = {.001, .002, .003, .004, .005, .006, .007, .008, .01, .0125, .015,
                             .02,  .025, .03,  .05,  .075, .1,   .15,  .2,   .3,  .4,    .5,
                             .75,  1,    2.5,  5,    7.5,  10,   20,   40,   80};
static const double E2E[] = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                             30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
static const double TOKENS[] = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                                1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};
static const double ITERATION[] = {1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};
static const double CHOICES[] = {1, 2, 5, 10, 20};

#define COUNTER(name, help)                                                                        \
    pgd_metrics_counter(r, "pagoda_" name "_total", "vllm:" name "_total", "", help)
/* NOLINTBEGIN(bugprone-macro-parentheses): literals are joined */
#define HISTOGRAM(name, bounds, help)                                                              \
    pgd_metrics_histogram(r, "pagoda_" name, "vllm:" name, "", help, bounds,                       \
                          sizeof bounds / sizeof bounds[0])
/* NOLINTEND(bugprone-macro-parentheses) */

static void init_state(pgd_metrics *r, engine_metrics *m) {
    static const char *const kv = "pagoda_kv_blocks", *const kv_help = "KV blocks by state.";
    m->running = pgd_metrics_gauge(r, "pagoda_num_requests_running", "vllm:num_requests_running",
                                   "", "Sequences in execution batches.");
    m->waiting = pgd_metrics_gauge(r, "pagoda_num_requests_waiting", "vllm:num_requests_waiting",
                                   "", "Sequences waiting to be processed.");
    m->kv_usage = pgd_metrics_gauge(r, "pagoda_kv_cache_usage_perc", "vllm:kv_cache_usage_perc", "",
                                    "KV blocks in use by sequences, 1 = all.");
    m->kv_free = pgd_metrics_gauge(r, kv, NULL, "state=\"free\"", kv_help);
    m->kv_active = pgd_metrics_gauge(r, kv, NULL, "state=\"active\"", kv_help);
    m->kv_cached = pgd_metrics_gauge(r, kv, NULL, "state=\"cached\"", kv_help);
    m->kv_retiring = pgd_metrics_gauge(r, kv, NULL, "state=\"retiring\"", kv_help);
    m->queue_oldest = pgd_metrics_gauge(r, "pagoda_queue_oldest_seconds", NULL, "",
                                        "Age of the oldest request never scheduled.");
    m->step_age = pgd_metrics_gauge(r, "pagoda_step_inflight_age_seconds", NULL, "",
                                    "Age of the oldest step in flight.");
    m->fatal = pgd_metrics_gauge(r, "pagoda_fatal", NULL, "", "1 after the device failed.");
}

static void init_counters(pgd_metrics *r, engine_metrics *m) {
    static const char *const labels[] = {
        [PGD_FINISH_STOP] = "finished_reason=\"stop\"",
        [PGD_FINISH_LENGTH] = "finished_reason=\"length\"",
        [PGD_FINISH_CANCELLED] = "finished_reason=\"abort\"",
        [PGD_FINISH_ERROR] = "finished_reason=\"error\"",
    };
    for (size_t i = PGD_FINISH_STOP; i <= PGD_FINISH_ERROR; i++)
        m->success[i] =
            pgd_metrics_counter(r, "pagoda_request_success_total", "vllm:request_success_total",
                                labels[i], "Requests ended, by reason (of choice 0).");
    m->preemptions = COUNTER("num_preemptions", "Sequences preempted.");
    m->prompt_tokens = COUNTER("prompt_tokens", "Prompt tokens of admitted requests.");
    m->prompt_tokens_cached = COUNTER("prompt_tokens_cached", "Of these, from the prefix cache.");
    m->generation_tokens = COUNTER("generation_tokens", "Tokens generated.");
    static const char *const source = "pagoda_prompt_tokens_by_source_total",
                             *const source_alias = "vllm:prompt_tokens_by_source_total",
                             *const source_help = "Prompt tokens by where their KV came from.";
    m->from_compute =
        pgd_metrics_counter(r, source, source_alias, "source=\"local_compute\"", source_help);
    m->from_cache =
        pgd_metrics_counter(r, source, source_alias, "source=\"local_cache_hit\"", source_help);
    m->prefix_queries = COUNTER("prefix_cache_queries", "Prefix cache queries, in tokens.");
    m->prefix_hits = COUNTER("prefix_cache_hits", "Prefix cache hits, in tokens.");
    m->corrupted = COUNTER("corrupted_requests", "Requests that met NaN or infinite logits.");
    m->evictions = pgd_metrics_counter(r, "pagoda_kv_evictions_total", NULL, "tier=\"device\"",
                                       "Cached KV blocks evicted.");
}

static void init_histograms(pgd_metrics *r, engine_metrics *m) {
    m->ttft = HISTOGRAM("time_to_first_token_seconds", TTFT, "From arrival to the first token.");
    m->itl = HISTOGRAM("inter_token_latency_seconds", ITL, "Between tokens of a sequence.");
    m->tpot = HISTOGRAM("request_time_per_output_token_seconds", ITL,
                        "Mean time per output token after the first, per request.");
    m->e2e = HISTOGRAM("e2e_request_latency_seconds", E2E, "From arrival to the end.");
    m->queue_time = HISTOGRAM("request_queue_time_seconds", E2E, "Waiting to be scheduled.");
    m->prefill_time =
        HISTOGRAM("request_prefill_time_seconds", E2E, "From being scheduled to the first token.");
    m->decode_time = HISTOGRAM("request_decode_time_seconds", E2E, "From first to last token.");
    m->inference_time =
        HISTOGRAM("request_inference_time_seconds", E2E, "From being scheduled to the end.");
    m->iteration_tokens = HISTOGRAM("iteration_tokens_total", ITERATION, "Tokens in a step.");
    m->req_prompt = HISTOGRAM("request_prompt_tokens", TOKENS, "Prompt tokens of a request.");
    m->req_generation = HISTOGRAM("request_generation_tokens", TOKENS, "Tokens it generated.");
    m->req_max_generation =
        HISTOGRAM("request_max_num_generation_tokens", TOKENS, "Tokens of its longest choice.");
    m->req_computed = HISTOGRAM("request_prefill_kv_computed_tokens", TOKENS,
                                "Prompt tokens that the cache did not have.");
    m->req_max_tokens = HISTOGRAM("request_params_max_tokens", TOKENS, "max_tokens asked for.");
    m->req_n = HISTOGRAM("request_params_n", CHOICES, "n asked for.");
    m->step_seconds =
        pgd_metrics_histogram(r, "pagoda_step_seconds", NULL, "",
                              "From submit to result of a step.", ITL, sizeof ITL / sizeof ITL[0]);
}

void eng_metrics_init(pgd_engine *e) {
    pgd_metrics *r = e->opt.metrics;
    char labels[128];
    init_state(r, &e->m);
    init_counters(r, &e->m);
    init_histograms(r, &e->m);
    (void)snprintf(labels, sizeof labels,
                   "block_size=\"%u\",num_gpu_blocks=\"%u\",enable_prefix_caching=\"%s\"",
                   e->page_tokens, e->info->limits.n_pages,
                   e->opt.prefix_caching ? "True" : "False");
    pgd_metric_set(pgd_metrics_gauge(r, "pagoda_cache_config_info", "vllm:cache_config_info",
                                     labels, "KV cache configuration; always 1."),
                   1);
}

static double seconds(uint64_t from_ns, uint64_t to_ns) {
    return to_ns > from_ns ? (double)(to_ns - from_ns) * 1e-9 : 0;
}

void eng_observe_admitted(pgd_engine *e, const pgd_job *job, uint32_t n_cached) {
    const pgd_request *r = job->req;
    const uint64_t n = r->n_prompt;
    atomic_fetch_add_explicit(&e->stats.prompt_tokens, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&e->stats.cached_tokens, n_cached, memory_order_relaxed);
    pgd_metric_add(e->m.prompt_tokens, n);
    pgd_metric_add(e->m.prompt_tokens_cached, n_cached);
    pgd_metric_add(e->m.from_compute, n - n_cached);
    pgd_metric_add(e->m.from_cache, n_cached);
    if (e->opt.prefix_caching) {
        pgd_metric_add(e->m.prefix_queries, n);
        pgd_metric_add(e->m.prefix_hits, n_cached);
    }
    pgd_metric_observe(e->m.queue_time, seconds(r->arrival_ns, e->now_ns));
    pgd_metric_observe(e->m.req_prompt, (double)n);
    pgd_metric_observe(e->m.req_computed, (double)(n - n_cached));
    pgd_metric_observe(e->m.req_max_tokens, r->max_new_tokens);
    pgd_metric_observe(e->m.req_n, r->n_choices);
}

void eng_observe_token(pgd_engine *e, pgd_seq *s) {
    pgd_request *r = s->req;
    if (s->last_token_ns) {
        pgd_metric_observe(e->m.itl, seconds(s->last_token_ns, e->now_ns));
    } else if (atomic_load_explicit(&r->first_token_ns, memory_order_relaxed) == 0) {
        atomic_store_explicit(&r->first_token_ns, e->now_ns, memory_order_relaxed);
        pgd_metric_observe(e->m.ttft, seconds(r->arrival_ns, e->now_ns));
        pgd_metric_observe(
            e->m.prefill_time,
            seconds(atomic_load_explicit(&r->scheduled_ns, memory_order_relaxed), e->now_ns));
    }
    s->last_token_ns = e->now_ns;
}

void eng_observe_done(pgd_engine *e, const pgd_job *job) {
    const pgd_request *r = job->req;
    const uint64_t first = atomic_load_explicit(&r->first_token_ns, memory_order_relaxed);
    const uint64_t scheduled = atomic_load_explicit(&r->scheduled_ns, memory_order_relaxed);
    const double decode = first ? seconds(first, e->now_ns) : 0;
    uint32_t n = 0, longest = 0;
    for (uint32_t i = 0; i < job->n_seqs; i++) {
        const uint32_t len = atomic_load_explicit(&r->out[i].len, memory_order_relaxed);
        n += len;
        if (len > longest) longest = len;
    }
    if (scheduled) pgd_metric_observe(e->m.inference_time, seconds(scheduled, e->now_ns));
    pgd_metric_observe(e->m.req_max_generation, longest);
    pgd_metric_observe(e->m.e2e, seconds(r->arrival_ns, e->now_ns));
    pgd_metric_observe(e->m.req_generation, n);
    if (!first) return;
    pgd_metric_observe(e->m.decode_time, decode);
    if (n > job->n_seqs) pgd_metric_observe(e->m.tpot, decode * job->n_seqs / (n - job->n_seqs));
}

void eng_observe_step(pgd_engine *e, const flight *f) {
    const uint64_t took = e->now_ns > f->submit_ns ? e->now_ns - f->submit_ns : 0;
    uint64_t n_sampled = 0;
    for (uint32_t i = 0; i < f->n; i++)
        n_sampled += f->entry[i].sampled;
    atomic_fetch_add_explicit(&e->stats.generated_tokens, n_sampled, memory_order_relaxed);
    pgd_metric_add(e->m.generation_tokens, n_sampled);
    pgd_metric_observe(e->m.iteration_tokens, f->n_tok);
    pgd_metric_observe(e->m.step_seconds, (double)took * 1e-9);
}

void eng_publish_stats(pgd_engine *e) {
    shared_stats *s = &e->stats;
    pgd_page_pool_counts c;
    pgd_page_pool_get_counts(e->pool, &c);
    const uint64_t step = e->n_flights ? e->flight[e->flight_head].submit_ns : 0;
    const uint64_t arrival = e->oldest_queued ? e->oldest_queued->req->arrival_ns : 0;
    atomic_store_explicit(&s->running, e->n_run, memory_order_relaxed);
    atomic_store_explicit(&s->waiting, e->n_waiting, memory_order_relaxed);
    atomic_store_explicit(&s->pages_free, c.free, memory_order_relaxed);
    atomic_store_explicit(&s->pages_cached, c.cached, memory_order_relaxed);
    atomic_store_explicit(&s->pages_held, c.held, memory_order_relaxed);
    atomic_store_explicit(&s->oldest_step_ns, step, memory_order_relaxed);
    atomic_store_explicit(&s->queue_oldest_ns, arrival, memory_order_relaxed);
    atomic_store_explicit(&s->heartbeat_ns, e->now_ns, memory_order_relaxed);
    if (!e->opt.metrics) return;
    pgd_metric_set(e->m.running, e->n_run);
    pgd_metric_set(e->m.waiting, e->n_waiting);
    pgd_metric_set(e->m.kv_usage, (double)(c.held + c.retiring) / c.total);
    pgd_metric_set(e->m.kv_free, c.free);
    pgd_metric_set(e->m.kv_active, c.held);
    pgd_metric_set(e->m.kv_cached, c.cached);
    pgd_metric_set(e->m.kv_retiring, c.retiring);
    pgd_metric_set(e->m.queue_oldest, arrival ? seconds(arrival, e->now_ns) : 0);
    pgd_metric_set(e->m.step_age, step ? seconds(step, e->now_ns) : 0);
}

void pgd_engine_get_stats(const pgd_engine *e, pgd_engine_stats *out) {
    const shared_stats *s = &e->stats;
    *out = (pgd_engine_stats){
        .running = atomic_load_explicit(&s->running, memory_order_relaxed),
        .waiting = atomic_load_explicit(&s->waiting, memory_order_relaxed),
        .inside = atomic_load_explicit(&e->n_inside, memory_order_relaxed),
        .kv_pages_total = e->info->limits.n_pages,
        .kv_pages_free = atomic_load_explicit(&s->pages_free, memory_order_relaxed),
        .kv_pages_cached = atomic_load_explicit(&s->pages_cached, memory_order_relaxed),
        .kv_pages_held = atomic_load_explicit(&s->pages_held, memory_order_relaxed),
        .steps = atomic_load_explicit(&s->steps, memory_order_relaxed),
        .preemptions = atomic_load_explicit(&s->preemptions, memory_order_relaxed),
        .evicted_pages = atomic_load_explicit(&s->evicted, memory_order_relaxed),
        .prompt_tokens = atomic_load_explicit(&s->prompt_tokens, memory_order_relaxed),
        .cached_tokens = atomic_load_explicit(&s->cached_tokens, memory_order_relaxed),
        .generated_tokens = atomic_load_explicit(&s->generated_tokens, memory_order_relaxed),
        .heartbeat_ns = atomic_load_explicit(&s->heartbeat_ns, memory_order_relaxed),
        .oldest_step_ns = atomic_load_explicit(&s->oldest_step_ns, memory_order_relaxed),
        .queue_oldest_ns = atomic_load_explicit(&s->queue_oldest_ns, memory_order_relaxed),
        .draining = atomic_load_explicit(&e->draining, memory_order_relaxed),
        .fatal =
            atomic_load_explicit(&e->fatal, memory_order_acquire), /* then the message is set */
    };
    if (out->fatal) (void)snprintf(out->fatal_msg, sizeof out->fatal_msg, "%s", e->fatal_msg);
}
