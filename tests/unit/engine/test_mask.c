/* Grammars in the engine, on the simulator: a constrained answer is a text of its grammar, it does
 * not depend on company, chunks or preemption, and its neighbours do not notice it. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

#include "pagoda/mem.h"

enum { EOS = RIG_VOCAB - 1, N_BYTES = 256 };

typedef struct gram {
    pgd_vocab *vocab;
    pgd_grammar *g;
} gram;

/* Ids 0..255 are bytes, most others one of a few short texts, the last is the end token. */
static void token_text(uint32_t id, char text[4], size_t *n) {
    static const char *const texts[] = {"a", "b", "c", "ab", "\"", "\",", "}", "1", "2", "[", "],"};
    *n = id < N_BYTES ? 1 : 0;
    text[0] = (char)id;
    if (id < N_BYTES || id == EOS) return;
    const char *const t = texts[id % (sizeof texts / sizeof texts[0])];
    *n = strlen(t);
    memcpy(text, t, *n);
}

static void gram_open(gram *c, pgd_grammar_kind kind, const char *source,
                      const pgd_grammar_limits *lim) {
    static char text[RIG_VOCAB][4];
    pgd_sv tokens[RIG_VOCAB];
    const uint32_t eos = EOS;
    pgd_error err = {0};
    for (uint32_t i = 0; i < RIG_VOCAB; i++) {
        tokens[i].p = text[i];
        token_text(i, text[i], &tokens[i].n);
    }
    assert_int_equal(pgd_vocab_create(&c->vocab, tokens, RIG_VOCAB, &eos, 1, NULL), PGD_OK);
    const pgd_grammar_spec spec = {.kind = kind, .text = pgd_sv_c(source)};
    if (pgd_grammar_compile(&c->g, &spec, c->vocab, lim, &err) != PGD_OK) fail_msg("%s", err.msg);
}

static void gram_close(gram *c) {
    pgd_grammar_release(&c->g);
    pgd_vocab_destroy(&c->vocab);
}

static void ask(rig *g, rig_req *q, const gram *c, uint32_t salt, uint32_t max_new) {
    rig_request(g, q, 9 + salt % 5, 4, salt, max_new);
    q->r.grammar = c ? c->g : NULL;
    q->r.sampling.n_stop_ids = 1;
    q->r.sampling.stop_ids[0] = EOS;
    rig_submit(g, q);
}

/* Follow the grammar over a choice's tokens: allowed each, and complete when it says so. */
static void assert_is_text_of(const gram *c, const rig_req *q, uint32_t choice) {
    pgd_matcher *m = NULL;
    assert_int_equal(pgd_matcher_create(&m, c->g), PGD_OK);
    for (uint32_t i = 0; i < rig_len(q, choice); i++)
        assert_int_equal(pgd_matcher_advance(m, (uint32_t)q->out[choice].token[i], NULL), PGD_OK);
    if (rig_finish(q, choice) == PGD_FINISH_STOP) assert_true(pgd_matcher_done(m));
    pgd_matcher_destroy(&m);
}

static void a_constrained_answer_is_a_text_of_its_grammar_and_ends_with_it(void **state) {
    (void)state;
    rig g;
    gram c;
    rig_req q;
    rig_start(&g);
    gram_open(&c, PGD_GRAMMAR_REGEX, "(ab|c){3,6}12", NULL);
    for (uint32_t salt = 1; salt < 40; salt++) {
        ask(&g, &q, &c, salt, 60);
        rig_settle(&g);
        assert_true(q.done);
        assert_int_equal(rig_finish(&q, 0), PGD_FINISH_STOP);
        assert_int_equal(q.out[0].stop_token, -1); /* nothing more was allowed: no end token */
        assert_is_text_of(&c, &q, 0);
    }
    rig_close(&g);
    gram_close(&c);
}

static void where_the_grammar_may_end_an_end_token_ends_it(void **state) {
    (void)state;
    rig g;
    gram c;
    rig_req q;
    uint32_t n_stop = 0;
    rig_init(&g);
    g.sim.eos_id = EOS;
    g.sim.mean_len = 12;
    rig_open(&g);
    gram_open(&c, PGD_GRAMMAR_REGEX, "[abc]+", NULL);
    for (uint32_t salt = 1; salt < 40; salt++) {
        ask(&g, &q, &c, salt, 60);
        rig_settle(&g);
        assert_is_text_of(&c, &q, 0);
        if (rig_finish(&q, 0) != PGD_FINISH_STOP) continue;
        assert_int_equal(q.out[0].stop_token, EOS);
        n_stop++;
    }
    assert_true(n_stop > 20);
    rig_close(&g);
    gram_close(&c);
}

static void min_tokens_holds_end_tokens_back_while_the_grammar_goes_on(void **state) {
    (void)state;
    rig g;
    gram loop, shrt;
    rig_req q;
    rig_init(&g);
    g.sim.eos_id = EOS;
    g.sim.mean_len = 2;
    rig_open(&g);
    gram_open(&loop, PGD_GRAMMAR_REGEX, "[abc]+", NULL);
    gram_open(&shrt, PGD_GRAMMAR_REGEX, "[ab]{1,3}", NULL);
    for (uint32_t salt = 1; salt < 20; salt++) {
        rig_request(&g, &q, 9, 4, salt, 40);
        q.r.grammar = salt % 2 ? loop.g : shrt.g;
        q.r.sampling.n_stop_ids = 1;
        q.r.sampling.stop_ids[0] = EOS;
        q.r.sampling.min_tokens = 11;
        rig_submit(&g, &q);
        rig_settle(&g);
        assert_is_text_of(salt % 2 ? &loop : &shrt, &q, 0);
        assert_int_equal(rig_finish(&q, 0), PGD_FINISH_STOP);
        if (salt % 2)
            assert_true(rig_len(&q, 0) > 11); /* eleven, then the end token */
        else
            assert_true(rig_len(&q, 0) <= 3); /* it had no more to say */
    }
    rig_close(&g);
    gram_close(&loop);
    gram_close(&shrt);
}

/* Twelve requests, every other one constrained, in one engine. */
static void crowd(rig_req *q, const gram *c, uint32_t n_pages, uint32_t max_batched) {
    rig g;
    rig_init(&g);
    g.sim.limits.n_pages = n_pages;
    g.opt.max_num_batched_tokens = max_batched;
    rig_open(&g);
    for (uint32_t i = 0; i < 12; i++)
        ask(&g, &q[i], i % 2 ? c : NULL, i + 1, 40);
    rig_settle(&g);
    if (n_pages < 64) assert_true(atomic_load(&g.e->stats.preemptions) > 0);
    for (uint32_t i = 0; i < 12; i += 2)
        rig_assert_oracle(&g, &q[i], 0); /* free ones answer as if alone */
    rig_close(&g);
}

static void company_chunks_and_preemption_change_nothing(void **state) {
    (void)state;
    gram c;
    gram_open(
        &c, PGD_GRAMMAR_JSON_SCHEMA,
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"enum\":[1,2,"
        "\"ab\"]}}},\"required\":[\"a\"]}",
        NULL);
    rig_req *const many = pgd_calloc(36, sizeof *many);
    assert_non_null(many);
    crowd(many, &c, 64, 64);
    crowd(many + 12, &c, 64, 5);  /* prompts in chunks */
    crowd(many + 24, &c, 26, 64); /* short of pages */
    for (uint32_t i = 1; i < 12; i += 2) {
        rig g;
        rig_req one;
        rig_start(&g);
        ask(&g, &one, &c, i + 1, 40);
        rig_settle(&g);
        assert_is_text_of(&c, &one, 0);
        for (uint32_t k = 0; k < 3; k++) {
            const rig_req *const q = &many[12 * k + i];
            assert_int_equal(rig_len(q, 0), rig_len(&one, 0));
            assert_int_equal(rig_finish(q, 0), rig_finish(&one, 0));
            assert_memory_equal(q->token[0], one.token[0], rig_len(q, 0) * sizeof one.token[0][0]);
            assert_memory_equal(q->logprob[0], one.logprob[0], rig_len(q, 0) * sizeof(float));
        }
        rig_close(&g);
    }
    pgd_free(many);
    gram_close(&c);
}

static void choices_have_a_place_each(void **state) {
    (void)state;
    rig g;
    gram c;
    rig_req q;
    rig_start(&g);
    gram_open(&c, PGD_GRAMMAR_REGEX, "(ab|c){3,9}12", NULL);
    rig_request(&g, &q, 9, 4, 1, 60);
    q.r.grammar = c.g;
    q.r.n_choices = RIG_N;
    rig_submit(&g, &q);
    rig_settle(&g);
    for (uint32_t i = 0; i < RIG_N; i++) {
        assert_int_equal(rig_finish(&q, i), PGD_FINISH_STOP);
        assert_is_text_of(&c, &q, i);
    }
    assert_memory_not_equal(q.token[0], q.token[1], 4 * sizeof q.token[0][0]);
    rig_close(&g);
    gram_close(&c);
}

static void a_mask_that_cannot_be_made_fails_its_request_alone(void **state) {
    (void)state;
    rig g;
    gram c;
    rig_req q[2];
    pgd_grammar_limits lim = pgd_grammar_limits_default;
    lim.max_mask_steps = 40; /* less than a walk over the vocabulary takes */
    rig_start(&g);
    gram_open(&c, PGD_GRAMMAR_REGEX, "[ab]+(1|2[a-c]*){1,30}", &lim);
    ask(&g, &q[0], &c, 1, 30);
    ask(&g, &q[1], NULL, 2, 30);
    rig_settle(&g);
    assert_int_equal(rig_finish(&q[0], 0), PGD_FINISH_ERROR);
    assert_int_equal(q[0].r.error_code, PGD_E_LIMIT);
    assert_non_null(strstr(q[0].r.error, "structured output"));
    assert_int_equal(rig_finish(&q[1], 0), PGD_FINISH_LENGTH);
    rig_assert_oracle(&g, &q[1], 0);
    rig_close(&g);
    gram_close(&c);
}

static void a_vocabulary_of_another_size_is_refused(void **state) {
    (void)state;
    rig g;
    gram c;
    rig_req q;
    pgd_error err = {0};
    rig_init(&g);
    g.sim.limits.vocab_size = RIG_VOCAB + 1;
    rig_open(&g);
    gram_open(&c, PGD_GRAMMAR_REGEX, "a", NULL);
    rig_request(&g, &q, 9, 4, 1, 5);
    q.r.grammar = c.g;
    assert_int_equal(pgd_engine_submit(g.e, &q.r, &err), PGD_E_INTERNAL);
    assert_non_null(strstr(err.msg, "1001"));
    rig_close(&g);
    gram_close(&c);
}

/* The engine's thread stops while the executor waits for masks: nobody may hang. */
static void destroy_does_not_leave_the_executor_waiting(void **state) {
    (void)state;
    for (uint32_t round = 0; round < 8; round++) {
        rig g;
        gram c;
        rig_req q[4];
        const pgd_clock real = pgd_clock_monotonic();
        rig_init(&g);
        g.sim.realtime = true;
        g.sim.step_base_ns = 200000;
        g.opt.checks = false;
        g.opt.clock = &real;
        rig_open(&g);
        gram_open(&c, PGD_GRAMMAR_REGEX, "[abc]*", NULL);
        assert_int_equal(pgd_engine_start(g.e, NULL), PGD_OK);
        for (uint32_t i = 0; i < 4; i++)
            ask(&g, &q[i], &c, i + 1, 100);
        while (atomic_load(&q[3].out[0].len) < round)
            ;
        rig_close(&g);
        for (uint32_t i = 0; i < 4; i++)
            assert_is_text_of(&c, &q[i], 0);
        gram_close(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_constrained_answer_is_a_text_of_its_grammar_and_ends_with_it),
        cmocka_unit_test(where_the_grammar_may_end_an_end_token_ends_it),
        cmocka_unit_test(min_tokens_holds_end_tokens_back_while_the_grammar_goes_on),
        cmocka_unit_test(company_chunks_and_preemption_change_nothing),
        cmocka_unit_test(choices_have_a_place_each),
        cmocka_unit_test(a_mask_that_cannot_be_made_fails_its_request_alone),
        cmocka_unit_test(a_vocabulary_of_another_size_is_refused),
        cmocka_unit_test(destroy_does_not_leave_the_executor_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
