/* The API with its workers and the engine on threads of their own: random calls, some whose client
 * leaves at a random moment. Answers equal those of a quiet single-threaded run. Meant for the
 * thread sanitizer as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bodies.h"
#include "rig.h"

enum { CALLS = 160, BESIDE = 12 };

typedef struct slot {
    pgd_call *call;
    fold want;
    unsigned flags;
    int leaves_after; /* turns; -1: stays */
} slot;

static void check_and_free(slot *s) {
    fold f;
    assert_int_equal(pgd_call_http_status(s->call), 200);
    fold_stream(&f, pgd_buf_sv(pgd_call_output(s->call)), s->flags);
    pgd_buf_clear(&f.usage);
    fold_assert_equal(&s->want, &f);
    fold_fini(&f);
    pgd_call_release(&s->call);
}

static void start(rig *quiet, rig *busy, slot *s, uint64_t *seed) {
    char body[1024];
    const pgd_route route = test_random_body(test_rand(seed), true, &s->flags, body, sizeof body);
    rig_fold(quiet, route, body, s->flags, &s->want);
    s->leaves_after = test_rand(seed) % 4 ? -1 : (int)(test_rand(seed) % 6);
    s->call = rig_begin(busy, route, body);
}

static void threads_do_not_change_answers(void **state) {
    (void)state;
    uint64_t seed = 31;
    print_message("seed %llu\n", (unsigned long long)seed);
    rig quiet, busy;
    rig_open(&quiet, &(rig_options){.mean_len = 12});
    rig_open(&busy, &(rig_options){.mean_len = 12, .threaded = true});
    slot slots[BESIDE] = {{0}};
    int started = 0, ended = 0, left = 0;
    while (ended < CALLS) {
        for (int i = 0; i < BESIDE; i++) {
            slot *const s = &slots[i];
            if (!s->call && started < CALLS) {
                start(&quiet, &busy, s, &seed);
                started++;
            }
            if (!s->call) continue;
            const bool done = pgd_call_get_state(s->call) == PGD_CALL_DONE;
            if (!done && s->leaves_after != 0) {
                s->leaves_after -= s->leaves_after > 0;
                continue;
            }
            if (done) {
                check_and_free(s);
            } else {
                pgd_call_release(&s->call);
                left++;
            }
            fold_fini(&s->want);
            ended++;
        }
        rig_turn(&busy);
    }
    print_message("%d of %d left early\n", left, ended);
    rig_close(&busy);
    rig_close(&quiet);
}

static void clients_that_leave_at_once_leave_nothing(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.threaded = true});
    for (int i = 0; i < 300; i++) {
        pgd_call *c = rig_begin(&r, PGD_ROUTE_COMPLETIONS,
                                "{\"model\":\"small\",\"prompt\":[\"a\",\"b\"],\"n\":3}");
        if (i % 3) rig_turn(&r);
        pgd_call_release(&c);
    }
    pgd_api_loop_wait(r.loop);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_answers),
        cmocka_unit_test(clients_that_leave_at_once_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
