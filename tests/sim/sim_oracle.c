/* What each request must answer, computed from its prompt alone with the simulator's hash: the same
 * bytes whatever the batch, chunks, cache and preemptions were. */
#include "sim.h"

#include <string.h>

typedef struct answer {
    int32_t text[2 * SIM_MAX_LEN]; /* prompt and output */
    uint32_t n_out;
    int32_t stop_token;
    pgd_finish finish; /* PGD_FINISH_ERROR: bad logits after n_out tokens */
} answer;

static bool is_stop(const pgd_sampling *p, int32_t t) {
    for (uint32_t i = 0; i < p->n_stop_ids; i++)
        if (p->stop_ids[i] == t) return true;
    return false;
}

/* The mask of the next token, with what min_tokens takes from it. */
static void mask_of(pgd_matcher *m, const pgd_sampling *p, uint32_t n_out, uint32_t *row) {
    uint32_t less[2];
    if (pgd_matcher_mask(m, row, NULL) != PGD_OK) row[0] = row[1] = 0;
    memcpy(less, row, sizeof less);
    for (uint32_t i = 0; i < p->n_stop_ids; i++)
        less[p->stop_ids[i] / 32] &= ~(1U << (p->stop_ids[i] % 32));
    if (n_out < p->min_tokens && (less[0] || less[1])) memcpy(row, less, sizeof less);
}

/* The token after n; *last: it ends the answer. */
static int32_t next_token(const scenario *s, const pgd_sampling *p, pgd_matcher *m, const answer *a,
                          uint32_t n, uint32_t choice, bool *last) {
    uint32_t row[2];
    if (!m) {
        int32_t t = pgd_sim_next_token(&s->sim, a->text, n, p->seed, choice);
        while (a->n_out < p->min_tokens && is_stop(p, t))
            t = (t + 1) % SIM_VOCAB;
        *last = a->n_out >= p->min_tokens && is_stop(p, t);
        return t;
    }
    mask_of(m, p, a->n_out, row);
    const int32_t t = pgd_sim_allowed_token(&s->sim, a->text, n, p->seed, choice, row);
    const bool ok = pgd_matcher_advance(m, (uint32_t)t, NULL) == PGD_OK;
    *last = !ok || is_stop(p, t) || pgd_matcher_done(m);
    return ok ? t : -1; /* no text has it: the check of tokens fails */
}

static void solve(const scenario *s, const sim_req *q, uint32_t choice, uint32_t max_ctx,
                  answer *a) {
    const pgd_request *r = &q->r;
    const pgd_sampling *p = &r->sampling;
    pgd_matcher *m = NULL;
    uint32_t n = r->n_prompt, end = n + r->max_new_tokens;
    if (end > max_ctx) end = max_ctx;
    memcpy(a->text, q->prompt, n * sizeof a->text[0]);
    a->finish = PGD_FINISH_LENGTH;
    a->n_out = 0;
    a->stop_token = -1;
    if (r->grammar) (void)pgd_matcher_create(&m, r->grammar);
    for (bool last = false; n < end && !last;) {
        if (pgd_sim_bad_logits(&s->sim, a->text, n, p->seed, choice)) {
            a->finish = PGD_FINISH_ERROR;
            break;
        }
        const int32_t t = next_token(s, p, m, a, n, choice, &last);
        a->text[n++] = t;
        a->n_out++;
        if (last) a->finish = PGD_FINISH_STOP;
        if (last && is_stop(p, t)) a->stop_token = t;
    }
    pgd_matcher_destroy(&m);
}

static const char *check_logprob(const pgd_sampling *p, const pgd_toklog *log, uint32_t i,
                                 const int32_t *text, uint32_t n) {
    const float want = pgd_sim_logprob(text, n);
    if (!(p->flags & PGD_SAMPLE_LOGPROBS)) return NULL;
    if (log->logprob[i] != want) return "a logprob differs from the oracle";
    for (uint32_t k = 0; k < p->n_top; k++) {
        const pgd_top *t = &log->top[i * p->n_top + k];
        if (t->id != (text[n - 1] + (int32_t)k) % SIM_VOCAB || t->logprob != want - (float)k)
            return "a top logprob differs from the oracle";
    }
    return NULL;
}

static const char *check_tokens(const sim_req *q, uint32_t choice, const answer *a) {
    const pgd_toklog *log = &q->out[choice];
    const uint32_t len = atomic_load(&log->len), n = q->r.n_prompt;
    if (len > a->n_out) return "more tokens than the oracle";
    for (uint32_t i = 0; i < len; i++) {
        if (log->token[i] != a->text[n + i]) return "a token differs from the oracle";
        const char *w = check_logprob(&q->r.sampling, log, i, a->text, n + i + 1);
        if (w) return w;
    }
    return NULL;
}

static const char *check_finish(const sim_req *q, uint32_t choice, const answer *a, bool any_bad,
                                bool failed) {
    const pgd_toklog *log = &q->out[choice];
    const pgd_finish f = (pgd_finish)atomic_load(&log->finish);
    switch (f) {
    case PGD_FINISH_STOP:
        if (log->stop_token != a->stop_token) return "stop token";
        /* fall through */
    case PGD_FINISH_LENGTH:
        if (f != a->finish) return "finish reason differs from the oracle";
        return atomic_load(&log->len) == a->n_out ? NULL : "fewer tokens than the oracle";
    case PGD_FINISH_CANCELLED:
        return q->asked_end || q->stopped >> choice & 1 ? NULL : "cancelled, but nobody asked";
    case PGD_FINISH_ERROR:
        if (!q->r.error[0] || q->r.error_code == PGD_OK) return "error without text";
        return failed || any_bad ? NULL : "an error, but nothing failed";
    case PGD_FINISH_NONE:
    default:
        return "no finish";
    }
}

static const char *check_scores(const sim_req *q) {
    const pgd_request *r = &q->r;
    const uint32_t n = atomic_load(&r->scores->len);
    const pgd_finish f = (pgd_finish)atomic_load(&q->out[0].finish);
    if (n > r->n_prompt - 1) return "more scores than positions";
    if (n < r->n_prompt - 1 && (f == PGD_FINISH_STOP || f == PGD_FINISH_LENGTH))
        return "scores are missing";
    for (uint32_t i = 0; i < n; i++) {
        if (r->scores->token[i] != q->prompt[i + 1]) return "a scored token is another one";
        const char *w = check_logprob(&r->sampling, r->scores, i, q->prompt, i + 2);
        if (w) return w;
    }
    return NULL;
}

static const char *check_pooled(const sim_req *q) {
    const pgd_request *r = &q->r;
    const pgd_finish f = (pgd_finish)atomic_load(&q->out[0].finish);
    if (f != PGD_FINISH_LENGTH) return NULL; /* cut short: nobody reads it */
    for (uint32_t j = 0; j < SIM_WIDTH; j++) {
        double want = 0;
        for (uint32_t i = r->pool_last ? r->n_prompt - 1 : 1; i && i < r->n_prompt; i++)
            want += (double)pgd_sim_hidden(q->prompt, i, j);
        if (r->pooled[j] != want) return "pooled states differ from the oracle";
    }
    return NULL;
}

const char *sim_check_request(const scenario *s, const sim_req *q, uint32_t max_ctx, bool failed) {
    answer a[SIM_MAX_N];
    bool bad = false;
    for (uint32_t c = 0; c < q->r.n_choices; c++) {
        solve(s, q, c, max_ctx, &a[c]);
        bad |= a[c].finish == PGD_FINISH_ERROR;
    }
    for (uint32_t c = 0; c < q->r.n_choices; c++) {
        const char *w = check_tokens(q, c, &a[c]);
        if (!w) w = check_finish(q, c, &a[c], bad, failed);
        if (w) return w;
    }
    if (q->r.pooled && check_pooled(q)) return check_pooled(q);
    return q->r.score_prompt ? check_scores(q) : NULL;
}

/* Tokens of q's prompt that o's text shares. */
static uint32_t common(const sim_req *q, const sim_req *o) {
    uint32_t best = 0;
    for (uint32_t c = 0; c < o->r.n_choices; c++) {
        const uint32_t n = o->r.n_prompt + atomic_load(&o->out[c].len);
        uint32_t k = 0;
        while (k < q->r.n_prompt && k < n &&
               q->prompt[k] ==
                   (k < o->r.n_prompt ? o->prompt[k] : o->out[c].token[k - o->r.n_prompt]))
            k++;
        if (k > best) best = k;
    }
    return best;
}

/* A hit must have come from the same namespace, be whole pages, and leave a token to compute. */
const char *sim_check_cache(const scenario *s, const sim_req *q) {
    const uint32_t n = atomic_load(&q->r.n_cached);
    uint32_t most = 0;
    if (n == 0) return NULL;
    if (n >= q->r.n_prompt) return "cached tokens leave nothing to compute";
    if (n % s->sim.limits.page_tokens) return "cached tokens are not whole pages";
    if (!s->opt.prefix_caching || q->r.score_prompt) return "a hit where the cache is off";
    for (uint32_t i = 0; i < s->n_reqs; i++) {
        const sim_req *o = &s->req[i];
        if (o == q || !o->submitted || memcmp(o->r.cache_ns, q->r.cache_ns, 16) != 0) continue;
        const uint32_t k = common(q, o);
        if (k > most) most = k;
    }
    return n <= most ? NULL : "a hit that no request of the namespace explains";
}
