/* Make the scheduler's choices true, once, and hand the step over. Order: victims leave; admitted
 * sequences lock what they share (before anything is evicted, so that the eviction cannot take it);
 * cached pages are evicted as far as free ones lack; every choice gets its new pages; the plan is
 * written and submitted. The scheduler counted pages with the same rules, so nothing here can fail:
 * a shortage would be a bug and asserts. Thread: engine. Decides nothing. */
#include "engine_int.h"

static void take_slot(pgd_engine *e, pgd_seq *s) {
    PGD_ASSERT(e->n_free_slots > 0);
    s->slot = e->free_slot[--e->n_free_slots];
    s->pages = e->table + (size_t)s->slot * e->info->limits.max_pages_per_seq;
    s->n_pages = 0;
}

/* Those of its class in front of it that stay behind were overtaken. */
static void count_bypass(pgd_engine *e, const pgd_seq *s) {
    for (pgd_seq *w = s->prev; w && w->priority == s->priority; w = w->prev)
        if (w->picked != e->next_step) w->bypassed++;
}

static void share_pages(pgd_engine *e, const sched_choice *c) {
    pgd_seq *s = c->seq;
    if (c->n_tree_pages) {
        const uint32_t n = pgd_radix_match(e->tree, s->req->cache_ns, seq_toks(s), c->n_tree_pages,
                                           s->pages, &s->node);
        PGD_ASSERT(n == c->n_tree_pages);
    }
    s->n_tree = s->n_pages = c->n_tree_pages;
    while (s->n_pages < c->n_shared) {
        const uint32_t page = c->donor->pages[s->n_pages];
        pgd_page_pool_ref(e->pool, page);
        s->pages[s->n_pages++] = page;
    }
}

static void admit(pgd_engine *e, const sched_choice *c) {
    pgd_seq *s = c->seq;
    pgd_job *job = s->job;
    count_bypass(e, s);
    eng_unqueue(e, s);
    seq_transition(s, SEQ_EV_ADMIT);
    take_slot(e, s);
    share_pages(e, c);
    s->n_kv = c->start;
    s->tab_lo = 0;
    s->tab_hi = s->n_pages;
    eng_run_add(e, s);
    if (job->scheduled) return;
    eng_leave_queue_count(e, job);
    const uint32_t n_cached = s->choice == 0 ? c->n_tree_pages * e->page_tokens : 0;
    atomic_store_explicit(&job->req->n_cached, n_cached, memory_order_relaxed);
    atomic_store_explicit(&job->req->scheduled_ns, e->now_ns, memory_order_relaxed);
    eng_observe_admitted(e, job, n_cached);
}

static void new_pages(pgd_engine *e, pgd_seq *s, uint32_t n) {
    if (n == 0) return;
    if (s->n_pages < s->tab_lo) s->tab_lo = s->n_pages;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t page = pgd_page_pool_alloc(e->pool);
        PGD_ASSERT(page != PGD_NO_PAGE);
        s->pages[s->n_pages++] = page;
    }
    s->tab_hi = s->n_pages;
}

static void make_room(pgd_engine *e, uint32_t n_pages) {
    pgd_page_pool_counts c;
    pgd_page_pool_get_counts(e->pool, &c);
    if (n_pages <= c.free) return;
    const uint32_t n = pgd_radix_evict(e->tree, n_pages - c.free);
    atomic_fetch_add_explicit(&e->stats.evicted, n, memory_order_relaxed);
    pgd_metric_add(e->m.evictions, n);
}

static void apply(pgd_engine *e, const sched_out *out) {
    uint32_t n_pages = 0;
    for (uint32_t i = 0; i < out->n_victims; i++)
        eng_preempt(e, out->victim[i]);
    if (out->n_victims) (void)eng_release_passed(e);
    for (uint32_t i = 0; i < out->n_choices; i++) {
        const sched_choice *c = &out->choice[i];
        if (c->admit) admit(e, c);
        n_pages += c->n_new_pages;
    }
    make_room(e, n_pages);
    for (uint32_t i = 0; i < out->n_choices; i++)
        new_pages(e, out->choice[i].seq, out->choice[i].n_new_pages);
    e->pressed = out->pressed;
}

bool eng_plan_step(pgd_engine *e) {
    if (e->n_flights == e->info->steps_in_flight || (e->n_run == 0 && !e->waiting)) return false;
    sched_out *out = &e->choices;
    const sched_in in = {.step = e->next_step,
                         .passed = e->passed,
                         .run = e->run,
                         .n_run = e->n_run,
                         .leave = e->leave,
                         .n_leave = e->n_leave,
                         .waiting = e->waiting,
                         .max_seqs = e->opt.max_num_seqs,
                         .max_tokens = e->opt.max_num_batched_tokens,
                         .n_free_slots = e->n_free_slots,
                         .max_bytes = e->info->limits.max_plan_bytes,
                         .page_tokens = e->page_tokens,
                         .max_bypass = e->opt.max_bypass,
                         .pool = e->pool,
                         .tree = e->opt.prefix_caching ? e->tree : NULL,
                         .pressed = e->pressed};
    sched_step(&in, out);
    apply(e, out);
    if (out->n_choices == 0) return out->n_victims > 0;
    void *buf = e->exec->begin(e->exec);
    PGD_ASSERT(buf);
    flight *f = &e->flight[(e->flight_head + e->n_flights++) % ENG_FLY_MAX];
    f->submit_ns = e->now_ns;
    f->step = e->next_step++;
    eng_encode(e, out, buf, f);
    e->exec->submit(e->exec);
    atomic_fetch_add_explicit(&e->stats.steps, 1, memory_order_relaxed);
    return true;
}
