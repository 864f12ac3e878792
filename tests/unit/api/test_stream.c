/* Streams: folded strictly, equal to the plain answer of the same request, alone and in a crowd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const char *pick(const char *const *list, size_t n, uint64_t *seed) {
    return list[test_rand(seed) % n];
}

/* A random valid request; with `stream` the same request asks for a stream. */
static pgd_route random_body(uint64_t seed, bool stream, unsigned *flags, char *out, size_t cap) {
    static const char *const counts[] = {"", ",\"n\":2", ",\"n\":5"};
    static const char *const sampling[] = {
        "", ",\"temperature\":0", ",\"temperature\":0.7,\"top_p\":0.9",
        ",\"top_k\":5,\"min_p\":0.1", ",\"presence_penalty\":1,\"repetition_penalty\":1.1"};
    static const char *const ends[] = {"",
                                       ",\"ignore_eos\":true",
                                       ",\"min_tokens\":4",
                                       ",\"stop\":[\"a\",\"\xC3\xA9\",\" the\"]",
                                       ",\"stop\":\"e\",\"include_stop_str_in_output\":true",
                                       ",\"stop_token_ids\":[65,66,67,97,98,99,100]"};
    static const char *const ids[] = {"", ",\"return_token_ids\":true",
                                      ",\"skip_special_tokens\":false"};
    static const char *const chat_lp[] = {"", ",\"logprobs\":true",
                                          ",\"logprobs\":true,\"top_logprobs\":3"};
    static const char *const text_lp[] = {"", ",\"logprobs\":0", ",\"logprobs\":4",
                                          ",\"logprobs\":2,\"echo\":true", ",\"echo\":true"};
    static const char *const prompts[] = {"\"hello\"", "[1,2,3]", "[\"a\",\"bc\"]", "[[5],[6,7]]",
                                          "\"h\xC3\xA9 \xF0\x9F\x98\x80\""};
    static const char *const asked[] = {"", ",\"stream_options\":{\"include_usage\":true}",
                                        ",\"stream_options\":{\"include_usage\":true,"
                                        "\"continuous_usage_stats\":true}"};
    static const unsigned asked_flags[] = {0, FOLD_USAGE, FOLD_USAGE | FOLD_CONTINUOUS};
    const bool chat = test_rand(&seed) % 2;
    const size_t ask = test_rand(&seed) % N(asked);
    *flags = asked_flags[ask];
    const int n =
        snprintf(out, cap, "{\"model\":\"small\",\"seed\":%u,\"max_tokens\":%u%s%s%s%s%s%s%s,",
                 (unsigned)(test_rand(&seed) % 1000), 1 + (unsigned)(test_rand(&seed) % 24),
                 pick(counts, N(counts), &seed), pick(sampling, N(sampling), &seed),
                 pick(ends, N(ends), &seed), pick(ids, N(ids), &seed),
                 chat ? pick(chat_lp, N(chat_lp), &seed) : pick(text_lp, N(text_lp), &seed),
                 stream ? ",\"stream\":true" : "", stream ? asked[ask] : "");
    assert_true(n > 0 && (size_t)n < cap);
    if (chat)
        (void)snprintf(out + n, cap - (size_t)n,
                       "\"messages\":[{\"role\":\"user\",\"content\":%s}]}",
                       test_rand(&seed) % 2 ? "\"hi\"" : "\"\xE2\x82\xAC\"");
    else
        (void)snprintf(out + n, cap - (size_t)n, "\"prompt\":%s}",
                       pick(prompts, N(prompts), &seed));
    /* min_tokens above max_tokens is refused, rightly: make it fit */
    char *const min = strstr(out, "\"min_tokens\":4");
    if (min) min[13] = '1';
    return chat ? PGD_ROUTE_CHAT : PGD_ROUTE_COMPLETIONS;
}

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
        (void)random_body(one, false, &flags, plain, sizeof plain);
        const pgd_route route = random_body(one, true, &flags, streamed, sizeof streamed);
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
            route[i] = random_body(test_rand(&seed), true, &flags[i], body[i], sizeof body[i]);
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
