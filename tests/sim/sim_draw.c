/* Draw a scenario. Features are switched per seed (swarm style), so that many seeds stress few
 * things hard instead of all things a little. Small numbers: pages are scarce on purpose. */
#include "sim.h"

#include <string.h>

uint32_t sim_rand(scenario *s, uint32_t n) {
    return (uint32_t)((pgd_rng_next(&s->rng) >> 16) % n);
}

static bool chance(scenario *s, uint32_t percent) {
    return sim_rand(s, 100) < percent;
}

static uint32_t between(scenario *s, uint32_t lo, uint32_t hi) {
    return lo + sim_rand(s, hi - lo + 1);
}

static void draw_machine(scenario *s) {
    static const uint32_t sizes[] = {1, 2, 4, 4, 8, 16};
    pgd_plan_limits *l = &s->sim.limits;
    l->page_tokens = sizes[sim_rand(s, 6)];
    l->max_seqs = between(s, 1, 8);
    l->max_slots = l->max_seqs * between(s, 1, 2);
    l->max_tokens = chance(s, 30) ? between(s, 1, 8) : between(s, 8, 64);
    l->vocab_size = SIM_VOCAB;
    s->sim.max_model_len = between(s, 8, SIM_MAX_LEN);
    l->max_pages_per_seq = s->sim.max_model_len / l->page_tokens + between(s, 1, 2);
    /* From less than one full context to plenty for everybody. */
    const uint32_t one = (s->sim.max_model_len + l->page_tokens - 1) / l->page_tokens;
    l->n_pages = chance(s, 20)   ? between(s, 2, one + 1)
                 : chance(s, 60) ? between(s, one, 3 * one + 2)
                                 : between(s, 3 * one, 10 * one + 4);
    l->max_plan_bytes = 1 << 16;
    s->sim.steps_in_flight = between(s, 1, 3);
    s->sim.eos_id = chance(s, 80) ? 7 : -1;
    s->sim.hidden_width = SIM_WIDTH;
    s->sim.mean_len = between(s, 2, s->grows ? 200 : 40);
    s->sim.bad_mean = chance(s, 5) ? between(s, 20, 200) : 0;
    s->sim.step_base_ns = between(s, 1, 100);
    s->sim.step_token_ns = sim_rand(s, 4);
    s->sim.fail_at_step = chance(s, 4) ? between(s, 1, 40) : 0;
}

static void draw_engine(scenario *s) {
    pgd_engine_options *o = &s->opt;
    o->max_num_seqs = between(s, 1, s->sim.limits.max_seqs);
    o->max_num_batched_tokens = between(s, 1, s->sim.limits.max_tokens);
    o->max_model_len = between(s, 4, s->sim.max_model_len);
    o->max_queued = chance(s, 10) ? between(s, 1, 3) : SIM_MAX_REQS;
    o->max_bypass = between(s, 1, 5);
    o->prefix_caching = chance(s, 80);
}

static void draw_sampling(scenario *s, pgd_sampling *p, uint32_t features) {
    *p = (pgd_sampling){.temperature = 1,
                        .top_p = 1,
                        .repetition_penalty = 1,
                        .seed = chance(s, 30) ? 5 : pgd_rng_next(&s->rng)};
    if (features & 1 && chance(s, 50)) p->flags |= PGD_SAMPLE_PENALTIES;
    if (features & 2 && chance(s, 50)) {
        p->flags |= PGD_SAMPLE_LOGPROBS;
        p->n_top = sim_rand(s, SIM_MAX_TOP + 1);
    }
    if (s->sim.eos_id >= 0 && chance(s, 90)) p->stop_ids[p->n_stop_ids++] = s->sim.eos_id;
    if (features & 4)
        while (p->n_stop_ids < 4 && chance(s, 50))
            p->stop_ids[p->n_stop_ids++] = (int32_t)sim_rand(s, SIM_VOCAB);
    if (features & 8) p->min_tokens = sim_rand(s, 12);
}

/* Prompts grow from a few stems per scenario, so that prefixes meet inside and across tenants; some
 * continue an earlier request, as the next turn of a chat does. */
static void draw_prompt(scenario *s, uint32_t i) {
    sim_req *q = &s->req[i];
    const uint32_t max = s->opt.max_model_len + (chance(s, 3) ? 3U : 0U) - 1;
    const uint32_t stem = sim_rand(s, 3);
    uint32_t n = between(s, 1, max);
    if (s->grows) n = 1 + n / 6; /* admitted easily, then short of pages: preemptions */
    if (n > SIM_MAX_LEN - 1) n = SIM_MAX_LEN - 1;
    const uint32_t n_stem = sim_rand(s, n + 1);
    for (uint32_t k = 0; k < n; k++)
        q->prompt[k] =
            k < n_stem ? (int32_t)((k * (stem + 3)) % SIM_VOCAB) : (int32_t)sim_rand(s, SIM_VOCAB);
    if (i > 0 && chance(s, 25)) {
        const sim_req *before = &s->req[sim_rand(s, i)];
        const uint32_t same = before->r.n_prompt < n ? before->r.n_prompt : n;
        memcpy(q->prompt, before->prompt, same * sizeof q->prompt[0]);
    }
    q->r.n_prompt = n;
}

static void draw_ends(scenario *s, sim_req *q, uint32_t features) {
    q->stop_choice = SIM_MAX_N;
    if (features & 16 && chance(s, 40)) {
        q->cancel = (cancel_at)between(s, CANCEL_AT_ONCE, CANCEL_LATER);
        q->cancel_delay = sim_rand(s, 6);
    }
    if (features & 32 && chance(s, 30)) q->r.deadline_ns = q->at_ns + between(s, 1, 2000);
    if (features & 64 && chance(s, 30)) {
        q->stop_choice = sim_rand(s, q->r.n_choices);
        q->stop_len = sim_rand(s, 6);
    }
}

static void draw_request(scenario *s, uint32_t i, uint32_t features, uint64_t *now) {
    sim_req *q = &s->req[i];
    pgd_request *r = &q->r;
    if (!chance(s, 40)) *now += sim_rand(s, 400); /* bursts and gaps */
    q->at_ns = *now;
    r->id = i + 1;
    r->arrival_ns = q->at_ns + 1;
    r->priority = features & 128 ? (int32_t)sim_rand(s, 3) - 1 : 0;
    r->cache_ns[15] = features & 256 ? (uint8_t)sim_rand(s, 3) : 0;
    draw_prompt(s, i);
    r->prompt = q->prompt;
    r->n_choices = features & 512 && chance(s, 50) ? between(s, 2, SIM_MAX_N) : 1;
    r->max_new_tokens = chance(s, 80) && !s->grows ? between(s, 1, 30) : between(s, 1, SIM_MAX_LEN);
    if (features & 1024 && chance(s, 40)) {
        r->score_prompt = true;
        if (chance(s, 40)) r->max_new_tokens = 0;
        if (r->max_new_tokens == 0 && r->n_choices == 1 && chance(s, 50)) {
            r->pooled = q->pooled;
            r->pool_last = chance(s, 50);
        }
    }
    draw_sampling(s, &r->sampling, features);
    if (features & 2048 && chance(s, 50)) {
        r->n_bias = 2;
        q->bias[0] = (pgd_bias){.id = 3, .value = -1};
        q->bias[1] = (pgd_bias){.id = 4, .value = 100};
        r->bias = q->bias;
    }
    r->out = q->out;
    for (uint32_t c = 0; c <= SIM_MAX_N; c++) {
        pgd_toklog *log = c < SIM_MAX_N ? &q->out[c] : &q->scores;
        log->cap = SIM_MAX_LEN;
        log->token = q->token[c];
        log->logprob = q->logprob[c];
        log->top = r->sampling.n_top ? q->top[c] : NULL;
    }
    r->scores = r->score_prompt ? &q->scores : NULL;
    draw_ends(s, q, features);
}

/* Behind everything else, so that a seed's scenario stays what it was before there were grammars.
 */
static void draw_grammars(scenario *s) {
    const uint32_t percent = chance(s, 40) ? between(s, 10, 100) : 0;
    for (uint32_t i = 0; i < s->n_reqs; i++) {
        sim_req *q = &s->req[i];
        if (!chance(s, percent) || q->r.max_new_tokens == 0) continue;
        q->i_grammar = between(s, 1, SIM_GRAMMARS);
        q->r.grammar = sim_grammar(q->i_grammar, s->sim.eos_id >= 0);
    }
}

void sim_draw(scenario *s, uint64_t seed) {
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    s->grows = chance(s, 25);
    draw_machine(s);
    draw_engine(s);
    s->n_reqs = between(s, 1, SIM_MAX_REQS);
    s->drain_turn = chance(s, 5) ? between(s, 1, 60) : 0;
    s->cancel_all_turn = chance(s, 4) ? between(s, 1, 60) : 0;
    s->reset_turn = chance(s, 10) ? between(s, 1, 60) : 0;
    s->idle_reader = chance(s, 50) ? 1 : between(s, 1, 7);
    const uint32_t features = (uint32_t)pgd_rng_next(&s->rng) & (uint32_t)pgd_rng_next(&s->rng);
    const uint32_t more = (uint32_t)pgd_rng_next(&s->rng);
    uint64_t now = 0;
    for (uint32_t i = 0; i < s->n_reqs; i++)
        draw_request(s, i, features | (more & 0x2D0), &now); /* n, stops, cancels, priorities */
    draw_grammars(s);
}
