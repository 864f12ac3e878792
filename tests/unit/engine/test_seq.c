/* Sequence states, and the counting rule against random chunking, depth and acceptance of samples.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/seq.h"
#include "pagoda/rng.h"

static void a_life_with_a_preemption_passes_through_all_states(void **state) {
    (void)state;
    static const struct {
        seq_event ev;
        seq_state to;
    } life[] = {{SEQ_EV_UNPARK, SEQ_WAITING},    {SEQ_EV_ADMIT, SEQ_RUNNING},
                {SEQ_EV_PREEMPT, SEQ_PREEMPTED}, {SEQ_EV_RELEASED, SEQ_WAITING},
                {SEQ_EV_ADMIT, SEQ_RUNNING},     {SEQ_EV_FINISH, SEQ_DRAINING},
                {SEQ_EV_RELEASED, SEQ_DONE}};
    pgd_seq s = {.state = SEQ_PARKED};
    for (size_t i = 0; i < sizeof life / sizeof life[0]; i++) {
        seq_transition(&s, life[i].ev);
        assert_int_equal(s.state, life[i].to);
    }
}

static void a_sequence_that_holds_nothing_is_done_at_once(void **state) {
    (void)state;
    pgd_seq waiting = {.state = SEQ_WAITING}, parked = {.state = SEQ_PARKED};
    seq_transition(&waiting, SEQ_EV_FINISH);
    seq_transition(&parked, SEQ_EV_FINISH);
    assert_int_equal(waiting.state, SEQ_DONE);
    assert_int_equal(parked.state, SEQ_DONE);
}

static void importance_is_priority_then_age(void **state) {
    (void)state;
    const pgd_seq a = {.priority = 0, .order = 1}, b = {.priority = 0, .order = 2},
                  c = {.priority = -1, .order = 3};
    assert_true(seq_before(&a, &b));
    assert_false(seq_before(&b, &a));
    assert_true(seq_before(&c, &a));
    assert_false(seq_before(&a, &a));
}

/* Play random steps: rows never pass the goal, the rule never goes below zero, and when nothing is
 * in flight and nothing is wanted, every token but the last has its KV. */
static void the_counting_rule_is_exact_at_any_depth(void **state) {
    (void)state;
    uint64_t rng = 42, seen = 0;
    print_message("seed 42\n");
    for (int round = 0; round < 2000; round++) {
        const uint32_t prompt = 1 + (uint32_t)(pgd_rng_next(&rng) % 50);
        const uint32_t extra = 1 + (uint32_t)(pgd_rng_next(&rng) % 30);
        const uint64_t depth = 1 + pgd_rng_next(&rng) % 3;
        pgd_seq s = {.n_prompt = prompt, .n_known = prompt, .max_known = prompt + extra};
        uint64_t head = 0, tail = 0;
        while (s.n_known < s.max_known) {
            const uint32_t want = seq_want(&s);
            assert_true(want <= s.max_known);
            if (want && tail - head < depth && pgd_rng_next(&rng) % 3) {
                const uint32_t rows = 1 + (uint32_t)(pgd_rng_next(&rng) % want);
                const bool sample = seq_start(&s) + rows == s.n_known + seq_fly_samples(&s);
                s.fly[tail++ % ENG_FLY_MAX] = (seq_fly){.rows = rows, .samples = sample};
            } else if (head < tail) {
                seq_fly *f = &s.fly[head++ % ENG_FLY_MAX];
                s.n_kv += f->rows;
                s.n_known += f->samples;
                *f = (seq_fly){0};
                seen++;
            }
            assert_true(seq_start(&s) <= seq_goal(&s));
        }
        assert_int_equal(seq_want(&s), 0);
        assert_int_equal(s.n_kv, s.max_known - 1);
    }
    assert_true(seen > 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_with_a_preemption_passes_through_all_states),
        cmocka_unit_test(a_sequence_that_holds_nothing_is_done_at_once),
        cmocka_unit_test(importance_is_priority_then_age),
        cmocka_unit_test(the_counting_rule_is_exact_at_any_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
