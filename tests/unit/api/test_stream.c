/* Streams: folded strictly, equal to the plain answer of the same request, alone and in a crowd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bodies.h"
#include "rig.h"

static void folded_streams_equal_plain_answers(void **state) {
    (void)state;
    uint64_t seed = 4242;
    print_message("seed %llu\n", (unsigned long long)seed);
    rig r;
    rig_open(&r, &(rig_options){.mean_len = 15});
    for (int i = 0; i < 250; i++) {
        const uint64_t one = test_rand(&seed);
        char plain[1024], streamed[1024];
        unsigned flags;
        (void)test_random_body(one, false, &flags, plain, sizeof plain);
        const pgd_route route = test_random_body(one, true, &flags, streamed, sizeof streamed);
        fold a, b;
        rig_fold(&r, route, plain, 0, &a);
        rig_settle(&r);
        rig_fold(&r, route, streamed, flags, &b);
        /* the second run finds the prompt cached: usage may differ there alone */
        pgd_buf_clear(&a.usage);
        fold_assert_equal(&a, &b);
        fold_fini(&a);
        fold_fini(&b);
    }
    rig_close(&r);
}

static void a_crowd_gets_the_answers_of_the_lonely(void **state) {
    (void)state;
    enum { CROWD = 24 };
    uint64_t seed = 99;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 4; round++) {
        rig r;
        rig_open(&r, &(rig_options){.mean_len = 12});
        fold alone[CROWD];
        pgd_call *calls[CROWD];
        char body[CROWD][1024];
        pgd_route route[CROWD];
        unsigned flags[CROWD];
        for (int i = 0; i < CROWD; i++) {
            route[i] = test_random_body(test_rand(&seed), true, &flags[i], body[i], sizeof body[i]);
            rig_fold(&r, route[i], body[i], flags[i], &alone[i]);
        }
        for (int i = 0; i < CROWD; i++)
            calls[i] = rig_begin(&r, route[i], body[i]);
        for (int i = 0; i < CROWD; i++)
            rig_wait_prepared(&r, calls[i]);
        for (int i = 0; i < CROWD; i++) {
            rig_reply p;
            rig_finish(&r, calls[i], &p);
            fold f;
            fold_stream(&f, pgd_buf_sv(&p.body), flags[i]);
            pgd_buf_clear(&f.usage);
            fold_assert_equal(&alone[i], &f);
            fold_fini(&f);
            fold_fini(&alone[i]);
            rig_reply_fini(&p);
        }
        rig_close(&r);
    }
}

static void choices_differ_and_are_all_there(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){.max_seqs = 8});
    fold f;
    rig_fold(&r, PGD_ROUTE_CHAT,
             "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":12,"
             "\"seed\":1,\"max_tokens\":6,\"stream\":true,\"ignore_eos\":true,"
             "\"stream_options\":{\"include_usage\":true}}",
             FOLD_USAGE, &f);
    assert_int_equal(f.n_choices, 12);
    assert_non_null(strstr(f.usage.p, "\"completion_tokens\":72"));
    assert_string_not_equal(f.choice[0].text.p, f.choice[1].text.p);
    fold_fini(&f);
    rig_close(&r);
}

static void without_a_seed_answers_differ(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    fold a, b;
    static const char body[] = "{\"model\":\"small\",\"prompt\":\"x\",\"max_tokens\":12}";
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, body, 0, &a);
    rig_fold(&r, PGD_ROUTE_COMPLETIONS, body, 0, &b);
    assert_string_not_equal(a.choice[0].text.p, b.choice[0].text.p);
    assert_string_not_equal(a.id.p, b.id.p);
    fold_fini(&a);
    fold_fini(&b);
    rig_close(&r);
}

static void a_stop_string_frees_the_sequence_at_once(void **state) {
    (void)state;
    rig r;
    rig_open(&r, &(rig_options){0});
    /* find what comes, then stop at its first bytes */
    fold f;
    rig_fold(&r, PGD_ROUTE_COMPLETIONS,
             "{\"model\":\"small\",\"prompt\":[7],\"seed\":5,\"max_tokens\":40,\"temperature\":1}",
             0, &f);
    const pgd_sv text = pgd_buf_sv(&f.choice[0].text);
    size_t at = 0;
    while (at + 1 < text.n &&
           !((uint8_t)text.p[at] > 0x22 && (uint8_t)text.p[at] < 0x7F && text.p[at] != '\\'))
        at++;
    assert_true(at + 1 < text.n);
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"small\",\"prompt\":[7],\"seed\":5,\"max_tokens\":200,"
                   "\"stop\":\"%c\",\"temperature\":1}",
                   text.p[at]);
    rig_reply p;
    rig_post(&r, PGD_ROUTE_COMPLETIONS, body, &p);
    pgd_json_doc *doc = test_json(p.body.p, p.body.n);
    pgd_sv got;
    assert_true(pgd_json_as_str(test_at(pgd_json_root(doc), "choices.0.text"), &got));
    assert_int_equal(got.n, at);
    assert_memory_equal(got.p, text.p, at);
    test_str_is(pgd_json_root(doc), "choices.0.finish_reason", "stop");
    pgd_json_free(&doc);
    for (int i = 0; i < 5; i++)
        rig_turn(&r);
    pgd_engine_stats st;
    pgd_engine_get_stats(r.engine, &st);
    assert_int_equal(st.inside, 0);
    rig_reply_fini(&p);
    fold_fini(&f);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folded_streams_equal_plain_answers),
        cmocka_unit_test(a_crowd_gets_the_answers_of_the_lonely),
        cmocka_unit_test(choices_differ_and_are_all_there),
        cmocka_unit_test(without_a_seed_answers_differ),
        cmocka_unit_test(a_stop_string_frees_the_sequence_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
