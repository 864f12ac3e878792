/* Logits, scores and greedy tokens of the golden models against transformers (float32 on the stored
 * weights), and the same prompt in different chunks to the bit. */
#include "harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pagoda/mem.h"

/* What a type may differ by. bf16 rounds activations and pages to 8 bits of mantissa; f16 models
 * compute in f32 and round only pages on the CPU, on a GPU they round activations too, to 11 bits;
 * f32 differs by the order of sums. The worst cases measured on the CPU are an order below each
 * bound. */
typedef struct bounds {
    double kl, logprob, gap; /* gap: top-1 may differ where the best two are closer */
} bounds;

static bounds bounds_of(pgd_dtype t) {
    if (t == PGD_BF16) return (bounds){1e-4, 0.1, 0.05};
    if (t == PGD_F16) return on_gpu() ? (bounds){1e-5, 0.03, 0.01} : (bounds){1e-6, 0.005, 0.002};
    return (bounds){1e-11, 1e-4, 1e-5};
}

static double log_sum_exp(const float *x, uint32_t n) {
    double max = x[0], sum = 0;
    for (uint32_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (uint32_t i = 0; i < n; i++)
        sum += exp(x[i] - max);
    return max + log(sum);
}

static double kl_divergence(const float *want, const float *got, uint32_t n) {
    const double zw = log_sum_exp(want, n), zg = log_sum_exp(got, n);
    double kl = 0;
    for (uint32_t i = 0; i < n; i++)
        kl += exp(want[i] - zw) * ((want[i] - zw) - (got[i] - zg));
    return kl;
}

static uint32_t argmax(const float *x, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* Run a check on every golden model that runs on this device. */
static void with_each_golden(void (*check)(rig *r, const golden *g, const char *name)) {
    for (size_t i = 0; i < n_golden; i++) {
        rig r;
        golden g;
        if (!golden_runs(golden_names[i])) continue;
        golden_load(golden_names[i], &g);
        pgd_exec_options opt = small_options(256);
        opt.max_model_len = g.max_model_len;
        rig_open(&r, golden_names[i], &opt);
        check(&r, &g, golden_names[i]);
        rig_close(&r);
        golden_free(&g);
    }
}

enum { MAX_PAGES = 64 };

/* The slot becomes the prompt's, greedy with n_top logprobs; pages are borrowed until the step. */
static void admit(rig *r, uint32_t slot, const golden *g, uint32_t n_top,
                  int32_t pages[MAX_PAGES]) {
    const uint32_t page = r->z.limits.page_tokens, n_pages = (g->n_prompt + page - 1) / page;
    const pgd_sampling s = greedy_sampling(n_top);
    assert_true(n_pages <= MAX_PAGES);
    page_order(&r->z.limits, slot, pages, n_pages);
    pw_init(&r->pw, slot, g->n_prompt, &s, NULL, 0, NULL, 0);
    pw_table(&r->pw, slot, 0, pages, n_pages);
}

/* One prompt in a slot: scores of all positions ([0] unused), and the sampled token. */
typedef struct fed {
    pgd_score_out *score; /* [n_prompt], owned */
    pgd_sample_out sample;
} fed;

/* Feed the prompt in chunks (the last one `tail` rows when it is not 0). */
static fed feed(rig *r, uint32_t slot, const golden *g, uint32_t chunk, uint32_t tail) {
    int32_t pages[MAX_PAGES];
    fed f = {.score = pgd_calloc(g->n_prompt, sizeof *f.score)};
    admit(r, slot, g, PGD_MAX_TOP_LOGPROBS, pages);
    const uint32_t body = g->n_prompt - tail;
    for (uint32_t at = 0; at < g->n_prompt;) {
        const uint32_t end = at < body ? body : g->n_prompt;
        const uint32_t n = end - at < chunk ? end - at : chunk;
        const bool last = at + n == g->n_prompt;
        pw_seq(&r->pw, slot, g->prompt + at, n, at, PGD_PLAN_SCORE | (last ? PGD_PLAN_SAMPLE : 0U),
               last ? -1 : g->prompt[at + n]);
        rig_step(r);
        memcpy(f.score + at + 1, r->score, (n - (last ? 1 : 0)) * sizeof *f.score);
        at += n;
    }
    f.sample = r->sample[0];
    return f;
}

static void check_logits(const rig *r, const golden *g, uint32_t first, const char *name) {
    const bounds b = bounds_of(pgd_model_get_spec(r->model)->dtype);
    double worst = 0;
    float *logits = rig_logits(r, g->n_prompt - first);
    for (uint32_t i = 0; i < g->n_pos; i++) {
        const float *want = g->logits + (size_t)i * g->vocab;
        const float *got = logits + (size_t)((uint32_t)g->pos[i] - first) * g->vocab;
        const double kl = kl_divergence(want, got, g->vocab);
        const uint32_t best = argmax(want, g->vocab), ours = argmax(got, g->vocab);
        if (ours != best && want[best] - want[ours] > b.gap)
            fail_msg("%s: position %d: token %u, expected %u", name, g->pos[i], ours, best);
        worst = kl > worst ? kl : worst;
    }
    pgd_free(logits);
    print_message("%s: KL at most %.2e\n", name, worst);
    assert_true(worst < b.kl);
}

static void check_scores(const rig *r, const golden *g, const fed *f, const char *name) {
    const bounds b = bounds_of(pgd_model_get_spec(r->model)->dtype);
    double worst = 0;
    for (uint32_t i = 1; i < g->n_prompt; i++) {
        const double d = fabs((double)f->score[i].logprob - (double)g->logprob[i]);
        assert_int_equal(f->score[i].position, i);
        worst = d > worst || isnan(d) ? d : worst;
    }
    print_message("%s: prompt logprobs differ by at most %.2e\n", name, worst);
    assert_true(worst < b.logprob);
}

static void check_prompt(rig *r, const golden *g, const char *name) {
    /* rows that stay in the logits buffer: the last tile */
    const uint32_t tail = on_gpu() ? g->n_prompt : 30;
    fed f = feed(r, 1, g, 256, tail);
    check_logits(r, g, on_gpu() ? 0 : g->n_prompt - tail, name);
    check_scores(r, g, &f, name);
    assert_int_equal(f.sample.token, g->greedy[0]);
    pgd_free(f.score);
}

static void logits_and_scores_match_transformers(void **state) {
    (void)state;
    with_each_golden(check_prompt);
}

/* log P(next) that a hidden state means, by the head's weights in double precision. */
static double logprob_of(const rig *r, size_t row, int32_t next) {
    const pgd_tensor *const act = &r->prog.ws.rows_act;
    const pgd_exec_info info = {.hidden_width = (uint32_t)act->shape[1], .hidden_type = act->dtype};
    pgd_slot_parts head;
    pgd_model_slot(r->model, PGD_W_LM_HEAD, 0, &head);
    const pgd_tensor *const w = &head.part[0];
    const uint32_t vocab = (uint32_t)w->shape[0], width = info.hidden_width;
    double *const h = pgd_calloc(width, sizeof *h);
    float *const logits = pgd_calloc(vocab, sizeof *logits);
    pgd_exec_add_hidden(&info, r->hidden, row, h);
    for (uint32_t t = 0; t < vocab; t++) {
        double sum = 0;
        for (size_t j = 0, at = (size_t)t * width; j < width; j++, at++)
            sum += h[j] * (w->dtype == PGD_F32 ? (double)((const float *)w->data)[at]
                           : w->dtype == PGD_BF16
                               ? (double)pgd_bf16_to_f32(((const uint16_t *)w->data)[at])
                               : (double)pgd_f16_to_f32(((const uint16_t *)w->data)[at]));
        logits[t] = (float)sum;
    }
    const double lp = (double)logits[next] - log_sum_exp(logits, vocab);
    pgd_free(h);
    pgd_free(logits);
    return lp;
}

/* Rows of all tiles arrive, each at its place: what they say of the next token is what transformers
 * says. */
static void check_hidden(rig *r, const golden *g, const char *name) {
    int32_t pages[MAX_PAGES];
    double worst = 0;
    admit(r, 1, g, 0, pages);
    pw_seq(&r->pw, 1, g->prompt, g->n_prompt, 0, PGD_PLAN_SCORE | PGD_PLAN_HIDDEN, 0);
    rig_step(r);
    for (uint32_t p = 0; p + 1 < g->n_prompt; p += 5) {
        const double d = fabs(logprob_of(r, p, g->prompt[p + 1]) - (double)g->logprob[p + 1]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    print_message("%s: logprobs from hidden states differ by at most %.2e\n", name, worst);
    assert_true(worst < bounds_of(pgd_model_get_spec(r->model)->dtype).logprob);
}

static void hidden_states_mean_what_transformers_says(void **state) {
    (void)state;
    with_each_golden(check_hidden);
}

static void assert_same(const fed *a, const fed *b, uint32_t n) {
    for (uint32_t i = 1; i < n; i++) {
        assert_memory_equal(&a->score[i].logprob, &b->score[i].logprob, sizeof(float));
        assert_int_equal(a->score[i].n_top, PGD_MAX_TOP_LOGPROBS);
        assert_memory_equal(a->score[i].top, b->score[i].top, sizeof a->score[i].top);
    }
    assert_int_equal(a->sample.token, b->sample.token);
    assert_memory_equal(&a->sample.logprob, &b->sample.logprob, sizeof(float));
    assert_memory_equal(a->sample.top, b->sample.top, sizeof a->sample.top);
}

static void check_chunks(rig *r, const golden *g, const char *name) {
    static const uint32_t chunks[] = {7, 1, 16, 64};
    (void)name;
    fed whole = feed(r, 0, g, 256, 0);
    for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
        fed f = feed(r, (uint32_t)c + 1, g, chunks[c], 0);
        assert_same(&whole, &f, g->n_prompt);
        pgd_free(f.score);
    }
    pgd_free(whole.score);
}

static void chunks_of_any_size_give_the_same_bits(void **state) {
    (void)state;
    with_each_golden(check_chunks);
}

/* --- alone and in a crowd ------------------------------------------------------------------- */

enum { CROWD = 6, CROWD_DECODE = 5 };

typedef struct member {
    int32_t tok[256]; /* prompt, then what was sampled */
    uint32_t n_prompt, at, n_sampled;
    pgd_score_out score[256]; /* by position */
    pgd_sample_out sample[CROWD_DECODE];
    int32_t pages[16];
} member;

static void member_init(member *m, uint32_t i, const golden *g) {
    memset(m, 0, sizeof *m);
    m->n_prompt = 10 + 23 * i;
    for (uint32_t j = 0; j < m->n_prompt; j++)
        m->tok[j] = g->prompt[(j + 17 * i) % g->n_prompt];
}

static void member_admit(rig *r, member *m, uint32_t i) {
    pgd_sampling s = greedy_sampling(4);
    s.flags = PGD_SAMPLE_LOGPROBS | PGD_SAMPLE_PENALTIES;
    s.temperature = 0.9F;
    s.top_p = 0.95F;
    s.presence_penalty = 0.3F;
    s.seed = 1000 + i;
    const uint32_t n_pages = 256 / r->z.limits.page_tokens;
    page_order(&r->z.limits, i, m->pages, n_pages);
    pw_init(&r->pw, i, m->n_prompt, &s, m->tok, m->n_prompt, NULL, 0);
    pw_table(&r->pw, i, 0, m->pages, n_pages);
}

/* Up to n rows of prompt, or one of decode; false when the member is finished. */
static bool member_rows(rig *r, member *m, uint32_t i, uint32_t n) {
    if (m->n_sampled == CROWD_DECODE) return false;
    const uint32_t left = m->at < m->n_prompt ? m->n_prompt - m->at : 0;
    const uint32_t rows = left ? (n < left ? n : left) : 1;
    const bool sample = m->at + rows >= m->n_prompt;
    pw_seq(&r->pw, i, left ? m->tok + m->at : NULL, rows, m->at,
           (left ? PGD_PLAN_SCORE : PGD_PLAN_LATE_ID) | (sample ? PGD_PLAN_SAMPLE : 0U),
           sample ? -1 : m->tok[m->at + rows]);
    m->at += rows;
    return true;
}

static void collect(const rig *r, member *all) {
    const pgd_plan *p = r->plan;
    for (uint32_t i = 0; i < p->n_score; i++)
        all[r->score[i].slot].score[r->score[i].position] = r->score[i];
    for (uint32_t i = 0; i < p->n_sample; i++) {
        member *m = &all[r->sample[i].slot];
        m->sample[m->n_sampled++] = r->sample[i];
    }
}

static void run_alone(rig *r, member *all, const golden *g) {
    for (uint32_t i = 0; i < CROWD; i++) {
        member_init(&all[i], i, g);
        member_admit(r, &all[i], i);
        while (member_rows(r, &all[i], i, 256)) {
            rig_step(r);
            collect(r, all);
        }
    }
}

static void run_crowd(rig *r, member *all, const golden *g) {
    bool any = true;
    for (uint32_t i = 0; i < CROWD; i++)
        member_init(&all[i], i, g);
    for (uint32_t step = 0; any; step++) {
        any = step < CROWD;
        if (step < CROWD) member_admit(r, &all[step], step); /* one joins at every step */
        for (uint32_t i = 0; i < CROWD && i <= step; i++)
            any |= member_rows(r, &all[i], i, 1 + (step * 7 + i * 5) % 19);
        if (!any) break;
        rig_step(r);
        collect(r, all);
    }
}

static void check_crowd(rig *r, const golden *g, const char *name) {
    (void)name;
    if (g->max_model_len != 256) return; /* what a member's arrays are made for */
    member *alone = pgd_calloc(2 * CROWD, sizeof *alone), *crowd = alone + CROWD;
    assert_non_null(alone);
    run_alone(r, alone, g);
    run_crowd(r, crowd, g);
    for (uint32_t i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].n_sampled, CROWD_DECODE);
        assert_int_equal(crowd[i].score[1].n_top, 4);
        assert_memory_equal(alone[i].score, crowd[i].score, sizeof alone[i].score);
        assert_memory_equal(alone[i].sample, crowd[i].sample, sizeof alone[i].sample);
    }
    pgd_free(alone);
}

static void a_crowd_changes_no_bit(void **state) {
    (void)state;
    with_each_golden(check_crowd);
}

/* Every instruction set this machine has stays within the bounds, and one thread equals two. */
static void every_isa_matches_and_threads_do_not_matter(void **state) {
    (void)state;
    static const char *const names[] = {"llama-llama3-bf16", "qwen3-f16", "llama-bias-f32"};
    if (on_gpu()) return;
    for (int isa = PGD_ISA_SCALAR; isa <= (int)pgd_cpu_detect(); isa++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            golden g;
            fed f[2];
            golden_load(names[i], &g);
            for (uint32_t t = 0; t < 2; t++) {
                rig r;
                pgd_exec_options opt = small_options(256);
                opt.max_model_len = g.max_model_len;
                opt.isa = isa;
                opt.n_threads = t + 1;
                rig_open(&r, names[i], &opt);
                f[t] = feed(&r, 0, &g, 256, 30);
                check_logits(&r, &g, g.n_prompt - 30, names[i]);
                rig_close(&r);
            }
            assert_same(&f[0], &f[1], g.n_prompt);
            pgd_free(f[0].score);
            pgd_free(f[1].score);
            golden_free(&g);
        }
}

int main(int argc, char **argv) {
    harness_args(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_and_scores_match_transformers),
        cmocka_unit_test(hidden_states_mean_what_transformers_says),
        cmocka_unit_test(chunks_of_any_size_give_the_same_bits),
        cmocka_unit_test(a_crowd_changes_no_bit),
        cmocka_unit_test(every_isa_matches_and_threads_do_not_matter),
    };
    return cmocka_run_group_tests_name("exec_logits", tests, NULL, NULL);
}
