/* The simulator's device: runs one plan on pages that remember tokens. Order of effects as plan.h
 * says: inits, tables, copies, forward, sampling. Owns nothing (sim_exec.c does). What it checks
 * beyond pgd_plan_check, because only a device could notice:
 *   - a sequence runs on an initialised slot and reads only positions that were written;
 *   - a page that a step in flight touches is not written by another sequence (a page freed and
 *     reused before its fence has passed), and two sequences never write one page in a step;
 *   - penalties see exactly the tokens of the sequence.
 * Anything else that goes wrong with pages changes the gathered text, hence the sampled token, and
 * the oracle tells. Deliberately does not model time. */
#include "sim_exec.h"

#include <string.h>

#include "pagoda/hash.h"

static uint64_t text_hash(const int32_t *tok, uint32_t n, uint64_t salt) {
    return pgd_hash64(tok, (size_t)n * sizeof *tok, salt);
}

static uint64_t sample_hash(const int32_t *tok, uint32_t n, uint64_t seed, uint32_t choice) {
    return text_hash(tok, n, seed * UINT64_C(0x9E3779B97F4A7C15) + choice);
}

int32_t pgd_sim_next_token(const pgd_sim_options *opt, const int32_t *tok, uint32_t n,
                           uint64_t seed, uint32_t choice) {
    const uint64_t h = sample_hash(tok, n, seed, choice);
    const bool has_eos = opt->eos_id >= 0 && opt->mean_len > 0;
    if (has_eos && (h >> 40) % opt->mean_len == 0) return opt->eos_id;
    const int32_t t = (int32_t)((uint32_t)h % opt->limits.vocab_size);
    if (!has_eos || t != opt->eos_id) return t;
    return (int32_t)(((uint32_t)t + 1) % opt->limits.vocab_size);
}

static int32_t nth_allowed(const uint32_t *mask, uint32_t n_words, uint32_t n) {
    for (uint32_t w = 0; w < n_words; w++) {
        const uint32_t here = (uint32_t)__builtin_popcount(mask[w]);
        if (n >= here) {
            n -= here;
            continue;
        }
        uint32_t bits = mask[w];
        for (; n > 0; n--)
            bits &= bits - 1;
        return (int32_t)(w * 32 + (uint32_t)__builtin_ctz(bits));
    }
    return -1;
}

static int32_t allowed(const pgd_sim_options *opt, int32_t token, uint64_t hash,
                       const uint32_t *mask) {
    const uint32_t n_words = pgd_mask_words(opt->limits.vocab_size);
    uint32_t n = 0;
    if (!mask || mask[(uint32_t)token / 32] >> ((uint32_t)token % 32) & 1) return token;
    for (uint32_t w = 0; w < n_words; w++)
        n += (uint32_t)__builtin_popcount(mask[w]);
    return n ? nth_allowed(mask, n_words, (uint32_t)(hash >> 16) % n) : token;
}

int32_t pgd_sim_allowed_token(const pgd_sim_options *opt, const int32_t *tok, uint32_t n,
                              uint64_t seed, uint32_t choice, const uint32_t *mask) {
    return allowed(opt, pgd_sim_next_token(opt, tok, n, seed, choice),
                   sample_hash(tok, n, seed, choice), mask);
}

bool pgd_sim_bad_logits(const pgd_sim_options *opt, const int32_t *tok, uint32_t n, uint64_t seed,
                        uint32_t choice) {
    return opt->bad_mean && (sample_hash(tok, n, seed, choice) >> 20) % opt->bad_mean == 0;
}

float pgd_sim_logprob(const int32_t *tok, uint32_t n) {
    return -(float)(text_hash(tok, n, 0) % 8192) / 512.0F;
}

static pgd_status broken(sim_device *d, uint64_t step, const char *what, uint32_t slot, int64_t a,
                         int64_t b) {
    return pgd_fail(&d->fault, PGD_E_INTERNAL, "sim step %llu: %s (slot %u, %lld, %lld)",
                    (unsigned long long)step, what, slot, (long long)a, (long long)b);
}

static const void *at(const pgd_plan *p, uint32_t off) {
    return (const char *)p + off;
}

static pgd_status apply_inits(sim_device *d, const pgd_plan *p) {
    const pgd_plan_init *in = at(p, p->off_init);
    for (uint32_t i = 0; i < p->n_init; i++, in++) {
        sim_slot *s = &d->slot[in->slot];
        if (in->n_history > d->opt.max_model_len)
            return broken(d, p->step, "history past the context", in->slot, in->n_history, 0);
        s->ready = true;
        s->last = SIM_UNWRITTEN;
        s->n_prompt = in->n_prompt;
        s->sampling = in->sampling;
        s->n_history = in->n_history;
        if (in->n_history)
            memcpy(s->history, at(p, in->off_history), in->n_history * sizeof *s->history);
        /* Entries of the sequence before must never be read. */
        for (uint32_t k = 0; k < d->opt.limits.max_pages_per_seq; k++)
            s->table[k] = SIM_UNWRITTEN;
    }
    return PGD_OK;
}

static void apply_tables(sim_device *d, const pgd_plan *p) {
    const pgd_plan_table *t = at(p, p->off_table);
    for (uint32_t i = 0; i < p->n_table; i++, t++)
        memcpy(d->slot[t->slot].table + t->first, at(p, t->off_pages), t->n * sizeof(int32_t));
}

static pgd_status apply_copies(sim_device *d, const pgd_plan *p) {
    const uint32_t size = d->opt.limits.page_tokens;
    const pgd_plan_copy *c = at(p, p->off_copy);
    for (uint32_t i = 0; i < p->n_copy; i++, c++) {
        const int32_t *src = &d->tok[(size_t)c->src * size];
        sim_page *dst = &d->page[c->dst];
        if (dst->touched > atomic_load_explicit(&d->released, memory_order_relaxed))
            return broken(d, p->step, "copy onto a page in flight", 0, c->dst,
                          (int64_t)dst->touched);
        for (uint32_t k = 0; k < c->n_tokens; k++)
            if (src[k] == SIM_UNWRITTEN)
                return broken(d, p->step, "copy of an unwritten position", 0, c->src, k);
        memcpy(&d->tok[(size_t)c->dst * size], src, c->n_tokens * sizeof *src);
        *dst = (sim_page){.touched = p->step, .owner = SIM_OWNER_COPY};
        d->page[c->src].touched = p->step;
    }
    return PGD_OK;
}

static pgd_status write_row(sim_device *d, const pgd_plan *p, const pgd_plan_seq *q, uint32_t pos,
                            int32_t token) {
    const uint32_t size = d->opt.limits.page_tokens;
    const int32_t id = d->slot[q->slot].table[pos / size];
    if (id == SIM_UNWRITTEN) return broken(d, p->step, "row without a page", q->slot, pos, token);
    sim_page *g = &d->page[id];
    const int32_t me = (int32_t)q->slot;
    const uint64_t released = atomic_load_explicit(&d->released, memory_order_relaxed);
    const bool mine = g->owner == me || (g->owner == SIM_OWNER_COPY && g->touched == p->step);
    if (!mine && g->touched > released)
        return broken(d, p->step, "write to another sequence's page in flight", q->slot, id,
                      (int64_t)g->touched);
    *g = (sim_page){.touched = p->step, .owner = me};
    d->tok[(size_t)id * size + pos % size] = token;
    return PGD_OK;
}

static pgd_status write_rows(sim_device *d, const pgd_plan *p, const pgd_plan_seq *q) {
    const sim_slot *s = &d->slot[q->slot];
    const int32_t *id = (const int32_t *)at(p, p->off_ids) + q->q_start;
    if (!s->ready) return broken(d, p->step, "slot without init", q->slot, q->kv_start, 0);
    for (uint32_t k = 0; k < q->n_new; k++) {
        const bool late = k == 0 && q->flags & PGD_PLAN_LATE_ID;
        const int32_t token = late ? s->last : id[k];
        if (token == SIM_UNWRITTEN)
            return broken(d, p->step, "late id before any sample", q->slot, q->kv_start, k);
        PGD_TRY(write_row(d, p, q, q->kv_start + k, token));
    }
    return PGD_OK;
}

/* The text of the sequence through its table: positions [0, n) into d->text. */
static pgd_status gather(sim_device *d, const pgd_plan *p, const pgd_plan_seq *q, uint32_t n) {
    const uint32_t size = d->opt.limits.page_tokens;
    const sim_slot *s = &d->slot[q->slot];
    for (uint32_t i = 0; i < n; i += size) {
        const int32_t id = s->table[i / size];
        const uint32_t k = n - i < size ? n - i : size;
        if (id == SIM_UNWRITTEN) return broken(d, p->step, "read without a page", q->slot, i, n);
        memcpy(d->text + i, &d->tok[(size_t)id * size], k * sizeof *d->text);
        d->page[id].touched = p->step;
        for (uint32_t j = i; j < i + k; j++)
            if (d->text[j] == SIM_UNWRITTEN)
                return broken(d, p->step, "read of an unwritten position", q->slot, j, id);
    }
    const uint32_t m = s->n_history < n ? s->n_history : n;
    if (s->sampling.flags & PGD_SAMPLE_PENALTIES &&
        (m == 0 || memcmp(s->history, d->text, m * sizeof *d->text) != 0))
        return broken(d, p->step, "penalties see another history", q->slot, s->n_history, n);
    return PGD_OK;
}

static uint32_t fill_top(const sim_device *d, const pgd_sampling *sp, int32_t token, float logprob,
                         pgd_top *top) {
    for (uint32_t i = 0; i < sp->n_top; i++)
        top[i] = (pgd_top){.id = (int32_t)(((uint32_t)token + i) % d->opt.limits.vocab_size),
                           .logprob = logprob - (float)i};
    return sp->n_top;
}

static bool is_stop_id(const pgd_sampling *sp, int32_t token) {
    for (uint32_t i = 0; i < sp->n_stop_ids; i++)
        if (sp->stop_ids[i] == token) return true;
    return false;
}

/* d->text holds n tokens. mask: of the late part, or NULL. */
static pgd_status sample(sim_device *d, const pgd_plan *p, const pgd_plan_seq *q, uint32_t n,
                         const uint32_t *mask, pgd_sample_out *out) {
    sim_slot *s = &d->slot[q->slot];
    const pgd_sampling *sp = &s->sampling;
    int32_t t = pgd_sim_next_token(&d->opt, d->text, n, sp->seed, sp->choice);
    if (n < s->n_prompt) return broken(d, p->step, "sample inside the prompt", q->slot, n, t);
    while (n - s->n_prompt < sp->min_tokens && is_stop_id(sp, t))
        t = (int32_t)(((uint32_t)t + 1) % d->opt.limits.vocab_size);
    t = allowed(&d->opt, t, sample_hash(d->text, n, sp->seed, sp->choice), mask);
    *out = (pgd_sample_out){.slot = q->slot, .token = t};
    if (pgd_sim_bad_logits(&d->opt, d->text, n, sp->seed, sp->choice))
        out->flags = PGD_OUT_BAD_LOGITS;
    if (sp->flags & PGD_SAMPLE_LOGPROBS) {
        d->text[n] = t;
        out->logprob = pgd_sim_logprob(d->text, n + 1);
        out->n_top = fill_top(d, sp, t, out->logprob, out->top);
    }
    s->last = t;
    if (s->n_history) {
        if (s->n_history != n)
            return broken(d, p->step, "history out of step", q->slot, s->n_history, n);
        s->history[s->n_history++] = t;
    }
    return PGD_OK;
}

float pgd_sim_hidden(const int32_t *tok, uint32_t n, uint32_t j) {
    return pgd_sim_logprob(tok, n) + (float)j;
}

/* State of the row at pos, which is the n-th with logits of this step. */
static void hidden(const sim_device *d, uint32_t pos, sim_step *step) {
    const uint32_t width = d->opt.hidden_width;
    float *const out =
        step->hidden + (size_t)(step->result.n_sample + step->result.n_score) * width;
    step->result.hidden = step->hidden;
    for (uint32_t j = 0; j < width; j++)
        out[j] = pgd_sim_hidden(d->text, pos + 1, j);
}

static void score(const sim_device *d, const pgd_plan_seq *q, sim_step *step) {
    const pgd_sampling *sp = &d->slot[q->slot].sampling;
    for (uint32_t k = 0; k < q->n_new; k++) {
        const uint32_t pos = q->kv_start + k + 1;
        if (k + 1 == q->n_new) {
            if (q->score_next < 0) return;
            d->text[pos] = q->score_next;
        }
        if (q->flags & PGD_PLAN_HIDDEN) hidden(d, pos - 1, step);
        pgd_score_out *o = &step->score[step->result.n_score++];
        *o = (pgd_score_out){.slot = q->slot, .position = pos};
        o->logprob = pgd_sim_logprob(d->text, pos + 1);
        o->n_top = fill_top(d, sp, d->text[pos], o->logprob, o->top);
    }
}

static pgd_status forward(sim_device *d, const pgd_plan *p, sim_step *step) {
    const pgd_plan_seq *seq = at(p, p->off_seq);
    const uint32_t n_words = pgd_mask_words(d->opt.limits.vocab_size);
    const uint32_t *mask = (const void *)((const char *)step->late + sizeof(pgd_plan_late));
    for (uint32_t i = 0; i < p->n_seq; i++)
        PGD_TRY(write_rows(d, p, &seq[i]));
    for (uint32_t i = 0; i < p->n_seq; i++) {
        const pgd_plan_seq *q = &seq[i];
        const uint32_t n = q->kv_start + q->n_new;
        if (n > d->opt.max_model_len)
            return broken(d, p->step, "past the context", q->slot, n, d->opt.max_model_len);
        PGD_TRY(gather(d, p, q, n));
        if (q->flags & PGD_PLAN_SCORE) score(d, q, step);
        const bool masked = q->flags & PGD_PLAN_MASK;
        if (q->flags & PGD_PLAN_SAMPLE)
            PGD_TRY(
                sample(d, p, q, n, masked ? mask : NULL, &step->sample[step->result.n_sample++]));
        if (masked) mask += n_words;
    }
    return PGD_OK;
}

void sim_run(sim_device *d, sim_step *step) {
    const pgd_plan *p = (const pgd_plan *)step->blob;
    step->result =
        (pgd_step_result){.step = p->step,
                          .digest = p->digest,
                          .sample = step->sample,
                          .score = step->score,
                          .device_ns = d->opt.step_base_ns + d->opt.step_token_ns * p->n_tok};
    pgd_status s = d->fault.code;
    if (s == PGD_OK) s = pgd_plan_check(p, p->bytes, &d->opt.limits, &d->fault);
    if (s == PGD_OK && p->n_mask) s = pgd_plan_late_check(p, step->late, &d->opt.limits, &d->fault);
    if (s == PGD_OK && d->opt.fail_at_step && p->step >= d->opt.fail_at_step) s = PGD_E_DEVICE;
    if (s == PGD_OK) {
        s = apply_inits(d, p);
        apply_tables(d, p);
    }
    if (s == PGD_OK) s = apply_copies(d, p);
    if (s == PGD_OK) s = forward(d, p, step);
    step->result.status = s;
}
