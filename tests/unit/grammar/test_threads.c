/* Several threads on one grammar: each walks with its own matcher and must see the masks that a
 * single thread sees. Little memory, so that states are collected under the others' feet. */
#include <pthread.h>

#include "gr_test.h"

#include "pagoda/rng.h"

static const char *const TEXTS[] = {"{\"", "\":", ",\"", "12", "abc", "},{", "[[", "]]", "\"}"};
enum { N_TEXTS = sizeof TEXTS / sizeof TEXTS[0], EOS = 256 + N_TEXTS, WORDS = (EOS + 32) / 32 };
enum { THREADS = 4, WALKS = 12, STEPS = 60 };

typedef struct job {
    pgd_grammar *g;
    uint64_t seed;
    uint64_t digest; /* of all masks seen */
    bool failed;
} job;

static void *run(void *arg) {
    job *const j = arg;
    uint32_t bits[WORDS] = {0};
    uint64_t rng = j->seed;
    for (int w = 0; w < WALKS && !j->failed; w++) {
        pgd_matcher *m = NULL;
        j->failed = pgd_matcher_create(&m, j->g) != PGD_OK;
        for (int step = 0; step < STEPS && !j->failed; step++) {
            uint32_t n = 0, allowed[EOS + 1];
            j->failed = pgd_matcher_mask(m, bits, NULL) != PGD_OK;
            for (uint32_t i = 0; i < WORDS; i++)
                j->digest = j->digest * 1099511628211u + bits[i];
            for (uint32_t id = 0; id <= EOS; id++)
                if (gr_bit(bits, id)) allowed[n++] = id;
            const uint32_t id = n ? allowed[pgd_rng_next(&rng) % n] : EOS;
            if (id == EOS || pgd_matcher_advance(m, id, NULL) != PGD_OK) break;
            if (step % 7 == 6) (void)pgd_matcher_rollback(m, 2, NULL);
        }
        pgd_matcher_destroy(&m);
    }
    return NULL;
}

static pgd_grammar *make(pgd_vocab *v) {
    pgd_grammar_limits lim = pgd_grammar_limits_default;
    const pgd_grammar_spec spec = {.kind = PGD_GRAMMAR_JSON_OBJECT};
    pgd_grammar *g = NULL;
    lim.run_bytes = 600000;
    lim.mask_bytes = 8192;
    assert_int_equal(pgd_grammar_compile(&g, &spec, v, &lim, NULL), PGD_OK);
    return g;
}

static void threads_sharing_a_grammar_see_the_same_masks_as_one(void **state) {
    (void)state;
    pgd_vocab *v = gr_vocab(TEXTS, N_TEXTS);
    pgd_grammar *alone = make(v), *shared = make(v);
    job one[THREADS] = {{0}}, many[THREADS] = {{0}};
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        one[i] = (job){.g = alone, .seed = i + 1};
        many[i] = (job){.g = shared, .seed = i + 1};
        (void)run(&one[i]);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &many[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_false(one[i].failed);
        assert_false(many[i].failed);
        assert_true(one[i].digest == many[i].digest);
    }
    pgd_grammar_release(&alone);
    pgd_grammar_release(&shared);
    pgd_vocab_destroy(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_sharing_a_grammar_see_the_same_masks_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
