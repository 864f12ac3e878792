/* The gate: what any thread may call to hand a request over. Everything about a request that could
 * upset a later step is refused here, on the caller's thread, so that one bad request never reaches
 * the others: ranges of ids and sampling values, room in the logs, pages and plan bytes. The job
 * (with a sequence per choice, and its matcher) is allocated here too; the engine thread never
 * allocates. */
#include "engine_int.h"

#include <math.h>
#include <stddef.h>

#include "pagoda/grammar.h"
#include "pagoda/mem.h"

static pgd_status check_ids(const pgd_engine *e, const char *what, const int32_t *ids, uint32_t n,
                            pgd_error *err) {
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= e->info->limits.vocab_size)
            return pgd_fail(err, PGD_E_INVALID, "%s %u is %d, outside the vocabulary of %u", what,
                            i, ids[i], e->info->limits.vocab_size);
    return PGD_OK;
}

static pgd_status check_sampling(const pgd_engine *e, const pgd_sampling *s, pgd_error *err) {
    if (!(s->flags & PGD_SAMPLE_GREEDY) && !(s->temperature > 0 && isfinite(s->temperature)))
        return pgd_fail(err, PGD_E_INVALID, "temperature %g: want above 0", (double)s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1) || !(s->min_p >= 0 && s->min_p <= 1))
        return pgd_fail(err, PGD_E_INVALID, "top_p %g, min_p %g: want (0, 1] and [0, 1]",
                        (double)s->top_p, (double)s->min_p);
    if (!(s->repetition_penalty > 0 && isfinite(s->repetition_penalty)) ||
        !isfinite(s->presence_penalty) || !isfinite(s->frequency_penalty))
        return pgd_fail(err, PGD_E_INVALID, "penalties %g, %g, %g: want finite, the first above 0",
                        (double)s->repetition_penalty, (double)s->presence_penalty,
                        (double)s->frequency_penalty);
    if (s->n_top > PGD_MAX_TOP_LOGPROBS || s->n_stop_ids > PGD_MAX_STOP_IDS)
        return pgd_fail(err, PGD_E_INVALID, "%u top logprobs, %u stop ids: at most %d and %d",
                        s->n_top, s->n_stop_ids, PGD_MAX_TOP_LOGPROBS, PGD_MAX_STOP_IDS);
    return check_ids(e, "stop id", s->stop_ids, s->n_stop_ids, err);
}

static pgd_status check_log(const pgd_toklog *l, const char *what, uint32_t n,
                            const pgd_sampling *s, pgd_error *err) {
    if (!l || l->cap < n || !l->token || (s->n_top > 0 && !l->top) ||
        (s->flags & PGD_SAMPLE_LOGPROBS && !l->logprob))
        return pgd_fail(err, PGD_E_INVALID, "%s log has no room for %u tokens and their logprobs",
                        what, n);
    return PGD_OK;
}

/* Tokens at which a choice of r ends for length. */
static uint32_t max_known(const pgd_engine *e, const pgd_request *r) {
    const uint64_t n = (uint64_t)r->n_prompt + r->max_new_tokens;
    return n < e->max_ctx ? (uint32_t)n : e->max_ctx;
}

static pgd_status check_request(const pgd_engine *e, const pgd_request *r, pgd_error *err) {
    const uint32_t score_only = r->max_new_tokens == 0;
    if (r->n_choices == 0 || r->n_choices > PGD_MAX_N || r->n_prompt == 0 || !r->sink || !r->out ||
        (score_only && !r->score_prompt) || r->n_bias > PGD_MAX_BIAS)
        return pgd_fail(err, PGD_E_INVALID, "request of %u choices, %u prompt tokens, %u new ones",
                        r->n_choices, r->n_prompt, r->max_new_tokens);
    if (r->n_prompt > e->max_ctx - 1)
        return pgd_fail(
            err, PGD_E_LIMIT,
            "the prompt has %u tokens; the context holds %u, one of them for the answer",
            r->n_prompt, e->max_ctx);
    PGD_TRY(check_ids(e, "prompt token", r->prompt, r->n_prompt, err));
    PGD_TRY(check_sampling(e, &r->sampling, err));
    for (uint32_t i = 0; i < r->n_bias; i++) {
        PGD_TRY(check_ids(e, "bias", &r->bias[i].id, 1, err));
        if (isnan(r->bias[i].value))
            return pgd_fail(err, PGD_E_INVALID, "bias of token %d is not a number", r->bias[i].id);
    }
    if (r->grammar && !e->exec->begin_late)
        return pgd_fail(err, PGD_E_UNSUPPORTED, "this device does not mask logits: no grammars");
    if (r->grammar && pgd_grammar_vocab_size(r->grammar) != e->info->limits.vocab_size)
        return pgd_fail(err, PGD_E_INTERNAL, "a grammar for %u tokens, the device has %u",
                        pgd_grammar_vocab_size(r->grammar), e->info->limits.vocab_size);
    if (r->pooled && (!e->info->hidden_width || !score_only || r->n_choices != 1))
        return pgd_fail(err, PGD_E_UNSUPPORTED, "this device reports no hidden states");
    const uint32_t known = max_known(e, r);
    for (uint32_t i = 0; i < r->n_choices; i++)
        PGD_TRY(check_log(&r->out[i], "output", known - r->n_prompt, &r->sampling, err));
    if (r->score_prompt) PGD_TRY(check_log(r->scores, "score", r->n_prompt - 1, &r->sampling, err));
    const size_t bytes = sched_max_bytes(r, known, e->opt.max_num_batched_tokens, e->page_tokens);
    if (bytes > e->info->limits.max_plan_bytes)
        return pgd_fail(err, PGD_E_LIMIT,
                        "the request may need %zu bytes of a step plan, at most %u", bytes,
                        e->info->limits.max_plan_bytes);
    return PGD_OK;
}

static pgd_job *make_job(const pgd_engine *e, pgd_request *r) {
    pgd_job *job = pgd_calloc(1, sizeof *job + r->n_choices * sizeof job->seq[0]);
    if (!job) return NULL;
    job->req = r;
    job->n_seqs = r->n_choices;
    for (uint32_t i = 0; i < r->n_choices; i++)
        job->seq[i] = (pgd_seq){.job = job,
                                .req = r,
                                .log = &r->out[i],
                                .choice = i,
                                .priority = r->priority,
                                .state = i ? SEQ_PARKED : SEQ_WAITING,
                                .n_prompt = r->n_prompt,
                                .n_known = r->n_prompt,
                                .max_known = max_known(e, r),
                                .node = PGD_NO_NODE,
                                .tab_lo = UINT32_MAX};
    for (uint32_t i = 0; r->grammar && i < r->n_choices; i++) {
        if (pgd_matcher_create(&job->seq[i].match, r->grammar) == PGD_OK) continue;
        job_free(job);
        return NULL;
    }
    return job;
}

uint32_t pgd_engine_vocab_size(const pgd_engine *e) {
    return e->exec->begin_late ? e->info->limits.vocab_size : 0;
}

pgd_status pgd_engine_submit(pgd_engine *e, pgd_request *r, pgd_error *err) {
    if (atomic_load_explicit(&e->fatal, memory_order_acquire))
        return pgd_fail(err, PGD_E_DEVICE, "the engine has failed: %s", e->fatal_msg);
    if (atomic_load_explicit(&e->draining, memory_order_relaxed))
        return pgd_fail(err, PGD_E_BUSY, "the server is draining");
    PGD_TRY(check_request(e, r, err));
    if (atomic_fetch_add_explicit(&e->n_queued, 1, memory_order_relaxed) >= e->opt.max_queued) {
        atomic_fetch_sub_explicit(&e->n_queued, 1, memory_order_relaxed);
        return pgd_fail(err, PGD_E_BUSY, "the queue is full: %u requests are waiting",
                        e->opt.max_queued);
    }
    pgd_job *job = make_job(e, r);
    if (!job) {
        atomic_fetch_sub_explicit(&e->n_queued, 1, memory_order_relaxed);
        return pgd_fail(err, PGD_E_NOMEM, "out of memory for a request of %u choices",
                        r->n_choices);
    }
    atomic_fetch_add_explicit(&e->n_inside, 1, memory_order_relaxed);
    pgd_mailbox_push(e->inbox, &job->link);
    return PGD_OK;
}

static void set_look(pgd_engine *e) {
    /* Pairs with the exchange in the engine's turn: what was set before is seen by its sweep. */
    atomic_store_explicit(&e->look, true, memory_order_release);
    pgd_mailbox_wake(e->inbox);
}

void pgd_engine_cancel(pgd_engine *e, pgd_request *r, pgd_cancel_reason why) {
    uint32_t none = PGD_CANCEL_NONE; /* the first reason stays */
    (void)atomic_compare_exchange_strong_explicit(&r->cancel, &none, (uint32_t)why,
                                                  memory_order_relaxed, memory_order_relaxed);
    set_look(e);
}

void pgd_engine_stop_choice(pgd_engine *e, pgd_request *r, uint32_t choice) {
    PGD_ASSERT(choice < r->n_choices);
    (void)atomic_fetch_or_explicit(&r->stop_choices[choice / 32], 1U << (choice % 32),
                                   memory_order_relaxed);
    set_look(e);
}

void pgd_engine_drain(pgd_engine *e) {
    atomic_store_explicit(&e->draining, true, memory_order_relaxed);
    pgd_mailbox_wake(e->inbox);
}

void pgd_engine_cancel_all(pgd_engine *e) {
    atomic_store_explicit(&e->cancel_all, true, memory_order_relaxed);
    set_look(e);
}

void pgd_engine_ask_cache_reset(pgd_engine *e, pgd_cache_reset *reset) {
    pgd_stack_push(&e->resets, &reset->link); /* before the flag: whoever sees that takes this */
    pgd_engine_reset_prefix_cache(e);
}

void pgd_engine_reset_prefix_cache(pgd_engine *e) {
    atomic_store_explicit(&e->reset_cache, true, memory_order_relaxed);
    set_look(e);
}
