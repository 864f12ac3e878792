/* Commit one result: what was in flight becomes fact. Rows become committed KV, full pages enter
 * the tree (so that equal prompts in flight meet at their chunk ends), the sampled token is
 * appended to its log and may end the sequence. A sequence that ended earlier ignores what steps in
 * flight still bring: neither token nor KV of such a row is ever seen. Invariant: samples and
 * scores come in plan order, and each belongs to the flight entry at the same place. Thread:
 * engine. Does not plan. */
#include "engine_int.h"

#include <string.h>

#include "pagoda/grammar.h"

static void insert_pages(pgd_engine *e, pgd_seq *s) {
    const uint32_t n = s->n_kv / e->page_tokens;
    if (!e->opt.prefix_caching || n <= s->n_tree) return;
    (void)pgd_radix_insert(e->tree, s->req->cache_ns, seq_toks(s), s->pages, s->n_tree, n, s->fence,
                           &s->node, &s->tab_lo, &s->tab_hi);
    s->n_tree = n;
}

static void append(pgd_toklog *log, uint32_t i, int32_t token, float logprob, const pgd_top *top,
                   uint32_t n_top, uint32_t cap_top) {
    PGD_ASSERT(i < log->cap);
    log->token[i] = token;
    if (log->logprob) log->logprob[i] = logprob;
    if (log->top && cap_top) {
        /* Fewer alternatives than asked for leave ids of -1 behind. */
        for (uint32_t k = 0; k < cap_top; k++)
            log->top[(size_t)i * cap_top + k] = k < n_top ? top[k] : (pgd_top){.id = -1};
    }
    /* Pairs with the reader's acquire: the item is complete. */
    atomic_store_explicit(&log->len, i + 1, memory_order_release);
}

static bool is_stop(const pgd_sampling *p, int32_t token) {
    for (uint32_t i = 0; i < p->n_stop_ids; i++)
        if (p->stop_ids[i] == token) return true;
    return false;
}

static void take_token(pgd_engine *e, pgd_seq *s, const pgd_sample_out *o) {
    pgd_request *r = s->req;
    pgd_toklog *log = s->log;
    const uint32_t i = s->n_known - s->n_prompt;
    if (o->flags & PGD_OUT_BAD_LOGITS || o->token < 0 ||
        (uint32_t)o->token >= e->info->limits.vocab_size) {
        pgd_metric_add(e->m.corrupted, 1);
        eng_fail_job(e, s->job, PGD_E_DEVICE,
                     "the model produced NaN or infinite logits for this request");
        return;
    }
    if (!eng_match_token(e, s, o->token)) return;
    append(log, i, o->token, o->logprob, o->top, o->n_top, r->sampling.n_top);
    s->n_known++;
    eng_observe_token(e, s);
    eng_touch(e, r);
    /* Under a grammar the mask has seen to min_tokens. */
    const bool may_stop = s->match || i >= r->sampling.min_tokens;
    const bool stop = may_stop && is_stop(&r->sampling, o->token);
    if (stop || (s->match && pgd_matcher_done(s->match))) {
        log->stop_token = stop ? o->token : -1;
        insert_pages(e, s);
        eng_finish_seq(e, s, PGD_FINISH_STOP);
    } else if (s->n_known == s->max_known) {
        insert_pages(e, s);
        eng_finish_seq(e, s, PGD_FINISH_LENGTH);
    }
}

/* Add the state of the prompt token at pos, row `row` of the result. */
static void pool_state(const pgd_engine *e, pgd_request *r, uint32_t pos, const void *hidden,
                       size_t row) {
    if (pos != r->n_pooled) return; /* once more after a preemption */
    r->n_pooled++;
    if (r->pool_last && r->n_pooled + 1 < r->n_prompt) return;
    pgd_exec_add_hidden(e->info, hidden, row, r->pooled);
}

/* Positions scored before a preemption come again and are skipped. row: of the first, among the
 * hidden states. */
static void take_scores(pgd_engine *e, const pgd_seq *s, const pgd_score_out *o, uint32_t n,
                        const void *hidden, size_t row) {
    pgd_request *r = s->req;
    for (uint32_t i = 0; i < n; i++, o++) {
        if (r->pooled && hidden) pool_state(e, r, o->position - 1, hidden, row + i);
        const uint32_t have = atomic_load_explicit(&r->scores->len, memory_order_relaxed);
        if (o->position != have + 1 || o->position >= s->n_prompt) continue;
        append(r->scores, have, r->prompt[o->position], o->logprob, o->top, o->n_top,
               r->sampling.n_top);
    }
    eng_touch(e, r);
}

static void commit_entry(pgd_engine *e, const flight_entry *f, const pgd_sample_out *sample,
                         const pgd_score_out *score, const void *hidden, size_t row) {
    pgd_seq *s = f->seq;
    if (!seq_is_live(s)) return;
    s->n_kv += f->rows;
    if (f->n_score) take_scores(e, s, score, f->n_score, hidden, row);
    if (s->choice == 0 && s->n_kv >= s->n_prompt && !s->job->prompt_done) eng_unpark(e, s->job);
    if (f->sampled) take_token(e, s, sample);
    if (!seq_is_live(s)) return;
    insert_pages(e, s);
    if (s->max_known == s->n_prompt && s->n_kv == s->max_known - 1) /* only scored */
        eng_finish_seq(e, s, PGD_FINISH_LENGTH);
}

/* Whether the result is the one awaited; a device error or a mix-up is fatal. */
static bool is_expected(pgd_engine *e, const flight *f, const pgd_step_result *r) {
    uint32_t n_sample = 0, n_score = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        n_sample += f->entry[i].sampled;
        n_score += f->entry[i].n_score;
    }
    if (r->status != PGD_OK) {
        eng_fatal(e, r->status, "the compute device failed");
        return false;
    }
    if (r->step != f->step || r->digest != f->digest || r->n_sample != n_sample ||
        r->n_score != n_score) {
        eng_fatal(e, PGD_E_INTERNAL, "the executor answered another plan than the one awaited");
        return false;
    }
    return true;
}

/* The walk below follows pointers that no cache line is near to; asking for the lines a few
 * sequences ahead takes about a fifth off its time at 1,024 sequences. */
static void look_ahead(const flight *f, uint32_t i) {
    enum { NEAR = 8, FAR = 16 };
    if (i + FAR < f->n) {
        const pgd_seq *s = f->entry[i + FAR].seq;
        __builtin_prefetch(s->log);
        __builtin_prefetch(&s->req->sampling.n_top);
        __builtin_prefetch(&s->req->sampling.stop_ids);
        __builtin_prefetch(&s->req->dirty, 1);
    }
    if (i + NEAR < f->n) {
        const pgd_seq *s = f->entry[i + NEAR].seq;
        __builtin_prefetch(&s->log->token[s->n_known - s->n_prompt], 1);
    }
}

void eng_commit(pgd_engine *e, const pgd_step_result *r) {
    flight *f = &e->flight[e->flight_head];
    PGD_ASSERT(e->n_flights > 0);
    e->flight_head = (e->flight_head + 1) % ENG_FLY_MAX;
    e->n_flights--;
    if (atomic_load_explicit(&e->fatal, memory_order_relaxed) || !is_expected(e, f, r)) return;
    e->passed = f->step;
    pgd_page_pool_pass(e->pool, f->step);
    /* No sequence may see this step in flight any more before the first is committed: a failing
     * request ends all its choices. */
    for (uint32_t i = 0; i < f->n; i++)
        f->entry[i].seq->fly[f->step % ENG_FLY_MAX] = (seq_fly){0};
    const pgd_sample_out *sample = r->sample;
    const pgd_score_out *score = r->score;
    size_t row = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const flight_entry *en = &f->entry[i];
        look_ahead(f, i);
        if (en->sampled && sample->slot != en->seq->slot) {
            eng_fatal(e, PGD_E_INTERNAL, "the executor answered out of plan order");
            return;
        }
        commit_entry(e, en, sample, score, r->hidden, row);
        row += en->n_score + en->sampled;
        sample += en->sampled;
        score += en->n_score;
    }
    eng_observe_step(e, f);
}
