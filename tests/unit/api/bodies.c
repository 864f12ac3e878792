#include "bodies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const char *pick(const char *const *list, size_t n, uint64_t *seed) {
    return list[test_rand(seed) % n];
}

pgd_route test_random_body(uint64_t seed, bool stream, unsigned *flags, char *out, size_t cap) {
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
                                        (",\"stream_options\":{\"include_usage\":true,"
                                         "\"continuous_usage_stats\":true}")};
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
