/* The policy. Every running sequence gets what it wants, most important first; what is left of the
 * budget goes to the queue. Rules, in the order they bite:
 *   - a decode row is never starved by a prefill chunk of the same step, and a chunk never by more
 *     than to one row;
 *   - pages: free ones, then cached ones; a chunk shrinks to what there is; at none, the least
 *     important running sequence is preempted, never one more important than who asks. Pages that
 *     are on their way back (retiring, leaving) are waited for instead;
 *   - the queue is served from its head within a priority; one with a longer cached prefix may
 *     overtake, and nobody is overtaken more than max_bypass times;
 *   - admission needs pages for all known tokens on top of what running prefills still need, plus a
 *     reserve; no admission in a step that lacked pages, and after a preemption not until the
 *     reserve is larger (otherwise the victim would come straight back to be the next victim).
 * Progress: the most important running sequence can always get pages from the others, and with
 * nothing running the head of the queue needs no reserve. Thread: engine. Pure: what it decides
 * is done by apply.c. */
#include "sched.h"

enum {
    WINDOW = 32,        /* how far the queue is searched for a longer cached prefix */
    PLAN_SLACK = 5 * 8, /* alignment of the sections */
};

typedef struct pass {
    const sched_in *in;
    sched_out *out;
    uint32_t budget;     /* rows left */
    uint32_t n_decode;   /* running ones still to come that want one row */
    uint32_t end;        /* run[end..n_run) are victims */
    uint32_t avail;      /* pages to be had now: free or cached */
    uint32_t soon;       /* pages on their way back; only counted once pages lack */
    uint32_t promised;   /* pages that running sequences still need for tokens already known */
    uint32_t n_overtook; /* admissions of this step that went before the head */
    size_t bytes;        /* of the plan left */
    bool soon_counted, lacked;
} pass;

static uint32_t min_u32(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static uint32_t pages_for(const pass *p, uint32_t n_tokens) {
    return (n_tokens + p->in->page_tokens - 1) / p->in->page_tokens;
}

static size_t choice_bytes(const pgd_request *r, uint32_t rows, uint32_t n_table, uint32_t n_init,
                           uint32_t n_history) {
    size_t n = sizeof(pgd_plan_seq) + (size_t)rows * sizeof(int32_t);
    if (n_table) n += sizeof(pgd_plan_table) + (size_t)n_table * sizeof(int32_t) + 8;
    if (!n_init) return n;
    if (r->sampling.flags & PGD_SAMPLE_PENALTIES) n += (size_t)n_history * sizeof(int32_t) + 8;
    return n + sizeof(pgd_plan_init) + sizeof(pgd_plan_copy) + (size_t)r->n_bias * sizeof(pgd_bias);
}

size_t sched_max_bytes(const pgd_request *r, uint32_t max_known, uint32_t max_rows,
                       uint32_t page_tokens) {
    const uint32_t rows = min_u32(max_rows, max_known), pages = max_known / page_tokens + 1;
    return sizeof(pgd_plan) + PLAN_SLACK + choice_bytes(r, rows, pages, 1, max_known);
}

static bool take_bytes(pass *p, size_t n) {
    if (n > p->bytes) return false;
    p->bytes -= n;
    return true;
}

/* ---- running ---- */

static void count_soon(pass *p) {
    if (p->soon_counted) return;
    pgd_page_pool_counts c;
    pgd_page_pool_get_counts(p->in->pool, &c);
    p->soon_counted = true;
    p->soon = c.retiring;
    for (uint32_t i = 0; i < p->in->n_leave; i++)
        p->soon += seq_exclusive_pages(p->in->leave[i], p->in->pool);
}

/* Preempt the least important running sequence, if it is less important than run[i]. */
static bool take_victim(pass *p, uint32_t i) {
    if (p->end <= i + 1) return false;
    pgd_seq *v = p->in->run[--p->end];
    const uint32_t n = seq_exclusive_pages(v, p->in->pool);
    if (v->fence <= p->in->passed)
        p->avail += n;
    else
        p->soon += n;
    p->n_decode -= seq_want(v) == 1;
    p->out->victim[p->out->n_victims++] = v;
    return true;
}

/* Pages lack for run[i], which needs `need`: make sure that they come. Whether it can run now. */
static bool find_pages(pass *p, uint32_t i, uint32_t need) {
    count_soon(p);
    p->lacked = true;
    while (need > p->avail && need > p->avail + p->soon)
        if (!take_victim(p, i)) break;
    if (need <= p->avail) return true;
    p->soon -= min_u32(p->soon, need - p->avail); /* spoken for */
    return false;
}

static uint32_t rows_for(const pass *p, uint32_t want) {
    if (want <= 1) return min_u32(want, p->budget);
    const uint32_t spare = p->budget > p->n_decode ? p->budget - p->n_decode : 1;
    return min_u32(want, min_u32(spare, p->budget));
}

static void run_one(pass *p, uint32_t i) {
    pgd_seq *s = p->in->run[i];
    const uint32_t start = seq_start(s), goal = seq_goal(s), want = goal - start;
    p->n_decode -= want == 1;
    uint32_t rows = rows_for(p, want), n_new = 0;
    if (rows > 0 && pages_for(p, start + rows) > s->n_pages) {
        const uint64_t room = ((uint64_t)s->n_pages + p->avail) * p->in->page_tokens;
        if (room > start) {
            if (start + rows > room) rows = (uint32_t)(room - start);
        } else if (!find_pages(p, i, 1)) {
            rows = 0;
        } else {
            rows = min_u32(rows, (s->n_pages + 1) * p->in->page_tokens - start);
        }
        if (rows)
            n_new = pages_for(p, start + rows) - min_u32(s->n_pages, pages_for(p, start + rows));
    }
    const uint32_t n_diff = n_new + (s->tab_hi > s->tab_lo ? s->n_pages - s->tab_lo : 0);
    if (rows && !take_bytes(p, choice_bytes(s->req, rows, n_diff, 0, 0))) rows = n_new = 0;
    const uint32_t have = s->n_pages + n_new, all = pages_for(p, goal);
    p->promised += all > have ? all - have : 0;
    if (!rows) return;
    p->avail -= n_new;
    p->budget -= rows;
    p->out->choice[p->out->n_choices++] =
        (sched_choice){.seq = s, .start = start, .rows = rows, .n_new_pages = n_new};
}

/* ---- waiting ---- */

/* What a waiting sequence would not have to compute. */
static void probe(const pass *p, sched_choice *c, uint32_t *n_idle) {
    const pgd_seq *s = c->seq;
    const uint32_t size = p->in->page_tokens;
    *n_idle = 0;
    if (seq_scoring(s)) return;
    if (p->in->tree) /* one token is left to compute: its logits are wanted */
        c->n_tree_pages = pgd_radix_peek(p->in->tree, s->req->cache_ns, seq_toks(s),
                                         (s->n_known - 1) / size, n_idle);
    c->n_shared = c->n_tree_pages;
    c->start = c->n_tree_pages * size;
    pgd_seq *donor = s->job->n_seqs > 1 ? seq_donor(s) : NULL;
    if (!donor) return;
    const uint32_t same = min_u32(min_u32(s->n_known - 1, s->n_prompt), donor->n_kv);
    if (same <= c->start) return;
    c->donor = donor;
    c->start = same;
    c->n_copy = same % size;
    if (same / size > c->n_shared) c->n_shared = same / size;
}

static bool try_admit(pass *p, pgd_seq *s) {
    const uint32_t n_running = p->end + (p->out->n_choices > 0);
    sched_choice c = {.seq = s, .admit = true};
    uint32_t n_idle;
    probe(p, &c, &n_idle);
    const uint32_t goal = seq_goal(s), all = pages_for(p, goal) - c.n_shared;
    pgd_page_pool_counts n;
    pgd_page_pool_get_counts(p->in->pool, &n);
    uint64_t reserve = p->promised;
    if (n_running > 0) reserve += p->in->pressed ? n.total / 16 + p->end : n.total / 100;
    if (all + reserve + n_idle > p->avail) return false;
    c.rows = min_u32(goal - c.start, p->budget);
    c.n_new_pages = pages_for(p, c.start + c.rows) - c.n_shared;
    const uint32_t n_table = c.n_shared + c.n_new_pages;
    if (!take_bytes(p, choice_bytes(s->req, c.rows, n_table, 1, s->n_known))) return false;
    p->avail -= c.n_new_pages + n_idle;
    p->promised += all - c.n_new_pages;
    p->budget -= c.rows;
    s->picked = p->in->step;
    p->out->choice[p->out->n_choices++] = c;
    p->out->pressed = false;
    return true;
}

static uint32_t cached_pages(const pass *p, pgd_seq *s) {
    if (!p->in->tree || seq_scoring(s)) return 0;
    const uint64_t version = pgd_radix_version(p->in->tree) + 1; /* 0: never looked */
    if (s->peek_version != version) {
        uint32_t n_idle;
        s->peek_version = version;
        s->peek_pages = pgd_radix_peek(p->in->tree, s->req->cache_ns, seq_toks(s),
                                       (s->n_known - 1) / p->in->page_tokens, &n_idle);
    }
    return s->peek_pages;
}

static pgd_seq *next_waiting(const pass *p, pgd_seq *s) {
    while (s && s->picked == p->in->step)
        s = s->next;
    return s;
}

/* The one with the longest cached prefix among those who may go before the head. */
static pgd_seq *longest_cached(const pass *p, pgd_seq *head) {
    pgd_seq *best = head;
    uint32_t best_pages = cached_pages(p, head), n = 0;
    for (pgd_seq *s = head; s->bypassed + p->n_overtook < p->in->max_bypass && ++n < WINDOW;) {
        s = next_waiting(p, s->next);
        if (!s || s->priority != head->priority) break;
        const uint32_t pages = cached_pages(p, s);
        if (pages > best_pages) {
            best = s;
            best_pages = pages;
        }
    }
    return best;
}

static void admit_waiting(pass *p) {
    uint32_t n_seqs = p->end, n_slots = p->in->n_free_slots;
    while (n_seqs < p->in->max_seqs && n_slots > 0 && p->budget > 0) {
        if (p->end > 0 && p->avail <= p->promised) return; /* nobody fits */
        pgd_seq *head = next_waiting(p, p->in->waiting);
        if (!head) return;
        pgd_seq *best = longest_cached(p, head);
        if (try_admit(p, best))
            p->n_overtook += best != head;
        else if (best == head || !try_admit(p, head))
            return;
        n_seqs++;
        n_slots--;
    }
}

void sched_step(const sched_in *in, sched_out *out) {
    pgd_page_pool_counts n;
    pgd_page_pool_get_counts(in->pool, &n);
    pass p = {.in = in,
              .out = out,
              .budget = in->max_tokens,
              .end = in->n_run,
              .avail = n.free + n.cached,
              .bytes = in->max_bytes - sizeof(pgd_plan) - PLAN_SLACK};
    out->n_choices = out->n_victims = 0;
    out->pressed = in->pressed;
    for (uint32_t i = 0; i < in->n_run; i++)
        p.n_decode += seq_want(in->run[i]) == 1;
    for (uint32_t i = 0; i < p.end; i++)
        run_one(&p, i);
    if (out->n_victims > 0) out->pressed = true;
    if (!p.lacked) admit_waiting(&p);
}
