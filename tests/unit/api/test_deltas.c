/* From token logs to bytes, with scripted tokens and no engine: stop strings and code points cut by
 * tokens, every grouping of wake-ups, logprobs that stay with their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/call.h"
#include "fold.h"
#include "pagoda/mem.h"
#include "support.h"

enum { HEL = 256, LO, WOR, LD, ST, OP, THE, END, BANG, EMOJI, BOS, IM_START, IM_END, PAD };

static pgd_api *api;
static pgd_api_loop *loop;
static pgd_tokenizer *tok;
static pgd_model_spec spec = {.vocab_size = 272, .eos_ids = {IM_END}, .n_eos = 1};
static const char *const names[] = {"m"};

static void no_wake(void *ctx) {
    (void)ctx;
}

static int set_up(void **state) {
    (void)state;
    const pgd_api_options opt = {.n_workers = 1};
    tok = test_tokenizer();
    const pgd_api_model model = {.tokenizer = tok,
                                 .spec = &spec,
                                 .names = names,
                                 .n_names = 1,
                                 .max_model_len = 512,
                                 .max_logprobs = 20};
    if (pgd_api_create(&opt, &api, NULL) != PGD_OK) return -1;
    pgd_api_attach(api, &model);
    return pgd_api_loop_create(api, no_wake, NULL, &loop) == PGD_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    pgd_api_loop_destroy(&loop);
    pgd_api_destroy(&api);
    pgd_tokenizer_destroy(&tok);
    return 0;
}

/* A call in phase RUN as prep leaves it, its requests never submitted. */
static pgd_call *open_call(const char *body) {
    pgd_call *const c = pgd_calloc(1, sizeof *c);
    c->api = api;
    c->loop = loop;
    c->model = &api->model_data;
    c->route = PGD_ROUTE_COMPLETIONS;
    c->wire = &api_wire_completions;
    if (strstr(body, "\"chat\"")) c->wire = &api_wire_chat; /* shape only; the prompt is a text */
    (void)snprintf(c->id, sizeof c->id, "x-1");
    pgd_buf_puts(&c->body, body);
    api_prep_run(c);
    if (c->err.status != PGD_OK) fail_msg("%s", c->err.msg);
    c->phase = API_RUN;
    return c;
}

static void log_token(pgd_call *c, uint32_t choice, int32_t id) {
    pgd_toklog *const log = &c->g.requests[0].r.out[choice];
    const uint32_t n = atomic_load(&log->len);
    assert_true(n < log->cap);
    log->token[n] = id;
    if (log->logprob) log->logprob[n] = -0.25f * (float)(n + 1);
    for (uint32_t k = 0; k < c->g.n_top; k++)
        log->top[n * c->g.n_top + k] = (pgd_top){.id = 'a' + (int32_t)k, .logprob = -1.0f};
    atomic_store(&log->len, n + 1);
}

static void log_finish(pgd_call *c, uint32_t choice, pgd_finish why, int32_t stop_token) {
    pgd_toklog *const log = &c->g.requests[0].r.out[choice];
    log->stop_token = stop_token;
    atomic_store(&log->finish, (uint32_t)why);
}

/* Feed the script in groups drawn from *seed (0: one by one), end with `why`, fold the answer. */
static void play(const char *body, const int32_t *ids, size_t n, pgd_finish why, uint64_t seed,
                 fold *out) {
    pgd_call *c = open_call(body);
    for (size_t at = 0; at < n;) {
        size_t group = seed ? 1 + test_rand(&seed) % 4 : 1;
        for (; group && at < n; group--)
            log_token(c, 0, ids[at++]);
        (void)api_call_pump(c, 0, c->g.n_choices);
        (void)pgd_utf8_count(c->out.p, c->out.n);
    }
    log_finish(c, 0, why, n ? ids[n - 1] : 0);
    (void)api_call_pump(c, 0, c->g.n_choices);
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    assert_int_equal(pgd_call_http_status(c), 200);
    if (c->g.stream)
        fold_stream(out, pgd_buf_sv(&c->out), c->g.include_usage ? FOLD_USAGE : 0);
    else
        fold_answer(out, pgd_buf_sv(&c->out));
    pgd_call_release(&c);
}

static void text_is(const char *body, const int32_t *ids, size_t n, pgd_finish why,
                    const char *text, const char *stop_reason) {
    for (uint64_t seed = 0; seed < 6; seed++) {
        fold f;
        play(body, ids, n, why, seed, &f);
        assert_string_equal(f.choice[0].text.p ? f.choice[0].text.p : "", text);
        assert_string_equal(f.choice[0].stop_reason.p, stop_reason);
        fold_fini(&f);
    }
}

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void a_stop_string_cut_by_tokens_is_trimmed(void **state) {
    (void)state;
    const int32_t ids[] = {HEL, LO, ST, OP, WOR, LD};
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stop\":\"STOP\"}", ids, N(ids), PGD_FINISH_LENGTH,
            "Hello", "\"STOP\"");
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stop\":[\"zz\",\"loSTO\"],\"stream\":true}", ids,
            N(ids), PGD_FINISH_LENGTH, "Hel", "\"loSTO\"");
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stop\":\"STOP\",\"stream\":true,"
            "\"include_stop_str_in_output\":true}",
            ids, N(ids), PGD_FINISH_LENGTH, "HelloSTOP", "\"STOP\"");
}

static void text_held_for_a_stop_string_comes_when_it_does_not_match(void **state) {
    (void)state;
    const int32_t ids[] = {HEL, LO, ST, WOR, LD, ST};
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stop\":\"STOP\",\"stream\":true}", ids, N(ids),
            PGD_FINISH_LENGTH, "HelloST worldST", "null");
}

static void min_tokens_keeps_stop_strings_quiet(void **state) {
    (void)state;
    const int32_t ids[] = {ST, OP, HEL, ST, OP, LO};
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stop\":\"STOP\",\"min_tokens\":2,\"stream\":true}",
            ids, N(ids), PGD_FINISH_LENGTH, "STOPHel", "\"STOP\"");
}

static void code_points_cut_by_tokens_come_whole(void **state) {
    (void)state;
    const int32_t ids[] = {'x', 0xF0, 0x9F, 0x98, 0x80, 0xC3, 0xA9, 'y'};
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stream\":true}", ids, N(ids), PGD_FINISH_LENGTH,
            "x\xF0\x9F\x98\x80\xC3\xA9y", "null");
    const int32_t cut[] = {'x', 0xF0, 0x9F};
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stream\":true}", cut, N(cut), PGD_FINISH_LENGTH,
            "x\xEF\xBF\xBD", "null");
}

static void end_tokens_are_not_shown_and_user_stop_ids_are_named(void **state) {
    (void)state;
    const int32_t eos[] = {HEL, LO, IM_END};
    text_is("{\"model\":\"m\",\"prompt\":\"a\"}", eos, N(eos), PGD_FINISH_STOP, "Hello", "null");
    const int32_t user[] = {HEL, LO, LD};
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stop_token_ids\":[259]}", user, N(user),
            PGD_FINISH_STOP, "Hello", "259");
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"stop_token_ids\":[259],"
            "\"include_stop_str_in_output\":true}",
            user, N(user), PGD_FINISH_STOP, "Hellold", "259");
}

static void special_tokens_are_shown_only_on_request(void **state) {
    (void)state;
    const int32_t ids[] = {HEL, IM_START, LO, IM_END, BANG};
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"ignore_eos\":true}", ids, N(ids),
            PGD_FINISH_LENGTH, "Hello!\n", "null");
    text_is("{\"model\":\"m\",\"prompt\":\"a\",\"ignore_eos\":true,\"skip_special_tokens\":false}",
            ids, N(ids), PGD_FINISH_LENGTH, "Hel<|im_start|>lo<|im_end|>!\n", "null");
}

static void each_token_is_one_chunk_when_the_reader_keeps_up(void **state) {
    (void)state;
    const int32_t ids[] = {HEL, LO, WOR, LD};
    fold f;
    play("{\"model\":\"m\",\"prompt\":\"a\",\"stream\":true}", ids, N(ids), PGD_FINISH_LENGTH, 5,
         &f);
    assert_int_equal(f.n_content_chunks, 4);
    fold_fini(&f);
}

/* The tokens and their end positions in each chunk, as the wire shows them. */
static void logprobs_come_with_the_chunk_that_holds_the_text(void **state) {
    (void)state;
    pgd_call *c = open_call("{\"model\":\"m\",\"prompt\":\"a\",\"stream\":true,\"logprobs\":1,"
                            "\"stop\":\"STOP\"}");
    const int32_t ids[] = {HEL, ST, 0xC3, 0xA9, LO};
    static const char *const want[] = {
        "\"text\":\"Hel\",\"logprobs\":{\"tokens\":[\"Hel\"],\"token_logprobs\":[-0.25],"
        "\"top_logprobs\":[{\"a\":-1.0,\"Hel\":-0.25}],\"text_offset\":[0]}",
        NULL, /* "ST" may begin the stop string */
        NULL, /* half of a code point */
        "\"text\":\"ST\xC3\xA9\",\"logprobs\":{\"tokens\":[\"ST\",\"bytes:\\\\xc3\","
        "\"bytes:\\\\xa9\"],",
        "\"text\":\"lo\",\"logprobs\":{\"tokens\":[\"lo\"]"};
    for (size_t i = 0; i < N(ids); i++) {
        pgd_buf_clear(&c->out);
        log_token(c, 0, ids[i]);
        (void)api_call_pump(c, 0, c->g.n_choices);
        if (!want[i] && c->out.n) fail_msg("chunk %zu: %s", i, c->out.p);
        if (want[i] && (!c->out.n || !strstr(c->out.p, want[i])))
            fail_msg("chunk %zu: %s", i, c->out.n ? c->out.p : "none");
    }
    pgd_call_release(&c);
}

static void tokens_behind_a_stop_string_have_no_logprobs(void **state) {
    (void)state;
    const int32_t ids[] = {HEL, LO, ST, OP};
    for (uint64_t seed = 0; seed < 6; seed++) {
        fold f;
        play("{\"model\":\"m\",\"prompt\":\"a\",\"logprobs\":0,\"stop\":\"oST\",\"chat\":0}", ids,
             N(ids), PGD_FINISH_LENGTH, seed, &f);
        assert_int_equal(f.choice[0].n_logprobs, 2); /* "lo" is cut, "ST" is gone */
        assert_string_equal(f.choice[0].text.p, "Hel"
                                                "l");
        fold_fini(&f);
    }
}

/* A SentencePiece-like decoder, which strips the first space of a text: an answer follows its
 * prompt, so its own first space must stay. */
static void the_first_token_keeps_its_space(void **state) {
    (void)state;
    static const char json[] =
        "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{\"id\":0,"
        "\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
        "\"normalized\":false,\"special\":true}],\"normalizer\":null,\"pre_tokenizer\":null,"
        "\"post_processor\":null,\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":"
        "\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"},{\"type\":"
        "\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,"
        "\"stop\":0}]},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
        "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
        "\"byte_fallback\":true,\"vocab\":{\"<s>\":0,\"\xE2\x96\x81Hello\":1,"
        "\"\xE2\x96\x81world\":2,\"<0xC3>\":3,\"<0xA9>\":4,\"!\":5},\"merges\":[]}}";
    pgd_tokenizer *pieces = NULL;
    pgd_error err = {0};
    if (pgd_tokenizer_parse((pgd_sv){json, sizeof json - 1}, &pieces, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    const pgd_tokenizer *const before = api->model_data.tokenizer;
    api->model_data.tokenizer = pieces;
    const int32_t ids[] = {2, 3, 4, 2};
    text_is("{\"model\":\"m\",\"prompt\":[0,1],\"stream\":true}", ids, N(ids), PGD_FINISH_LENGTH,
            " world\xC3\xA9 world", "null");
    text_is("{\"model\":\"m\",\"prompt\":[0,1],\"echo\":true}", ids, N(ids), PGD_FINISH_LENGTH,
            "Hello world\xC3\xA9 world", "null");
    text_is("{\"model\":\"m\",\"prompt\":[1,1,1,1,1,1,1,1,1,1,1],\"logprobs\":0}", ids, N(ids),
            PGD_FINISH_LENGTH, " world\xC3\xA9 world", "null");
    api->model_data.tokenizer = before;
    pgd_tokenizer_destroy(&pieces);
}

static void random_scripts_stream_as_they_answer(void **state) {
    (void)state;
    uint64_t seed = 77;
    print_message("seed %llu\n", (unsigned long long)seed);
    static const char *const extras[] = {"",
                                         ",\"logprobs\":2",
                                         ",\"logprobs\":0,\"return_token_ids\":true",
                                         ",\"return_token_ids\":true,\"skip_special_tokens\":false",
                                         ",\"logprobs\":1,\"return_tokens_as_token_ids\":true",
                                         ",\"logprobs\":1,\"echo\":true"};
    static const char *const stops[] = {"", ",\"stop\":[\"ST\",\"STOP\"]",
                                        ",\"stop\":[\"lo wor\",\"\xC3\xA9\"]",
                                        ",\"stop\":\"\xF0\x9F\x98\x80\",\"min_tokens\":3",
                                        (",\"stop\":[\"\xEF\xBF\xBD\"],"
                                         "\"include_stop_str_in_output\":true")};
    for (int round = 0; round < 1500; round++) {
        int32_t ids[12];
        const size_t n = 1 + test_rand(&seed) % N(ids);
        for (size_t i = 0; i < n; i++) {
            static const int32_t often[] = {ST, OP, LO, WOR, 0xC3, 0xA9, 0xF0, 0x9F, 0x98, 0x80};
            ids[i] = test_rand(&seed) % 3 ? often[test_rand(&seed) % N(often)]
                                          : (int32_t)(test_rand(&seed) % 272);
        }
        char body[512];
        const char *const extra = extras[test_rand(&seed) % N(extras)];
        const char *const stop = stops[test_rand(&seed) % N(stops)];
        const char *const chat = strstr(extra, "echo")  ? ""
                                 : test_rand(&seed) % 2 ? ",\"chat\":0"
                                                        : "";
        fold whole, parts;
        (void)snprintf(body, sizeof body, "{\"model\":\"m\",\"prompt\":\"h\xC3\xA9y\"%s%s%s}",
                       extra, stop, chat);
        play(body, ids, n, PGD_FINISH_LENGTH, 0, &whole);
        (void)snprintf(
            body, sizeof body,
            "{\"model\":\"m\",\"prompt\":\"h\xC3\xA9y\",\"stream\":true,\"stream_options\":"
            "{\"include_usage\":true}%s%s%s}",
            extra, stop, chat);
        play(body, ids, n, PGD_FINISH_LENGTH, test_rand(&seed), &parts);
        fold_assert_equal(&whole, &parts);
        fold_fini(&whole);
        fold_fini(&parts);
    }
}

static void choices_end_apart_and_count_what_they_used(void **state) {
    (void)state;
    pgd_call *c = open_call("{\"model\":\"m\",\"prompt\":\"a\",\"n\":2,\"stop\":\"STOP\"}");
    log_token(c, 1, HEL);
    log_token(c, 0, ST);
    (void)api_call_pump(c, 0, c->g.n_choices);
    log_token(c, 0, OP);
    log_token(c, 0, LO); /* late token of a choice that has ended */
    log_token(c, 1, LO);
    log_finish(c, 1, PGD_FINISH_LENGTH, 0);
    (void)api_call_pump(c, 0, c->g.n_choices);
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    pgd_json_doc *doc = test_json(c->out.p, c->out.n);
    const pgd_json *const v = pgd_json_root(doc);
    test_str_is(v, "choices.0.text", "");
    test_str_is(v, "choices.0.finish_reason", "stop");
    test_str_is(v, "choices.1.text", "Hello");
    test_str_is(v, "choices.1.finish_reason", "length");
    test_int_is(v, "usage.completion_tokens", 4);
    test_int_is(v, "usage.total_tokens", 6);
    pgd_json_free(&doc);
    pgd_call_release(&c);
}

static void the_engines_failure_is_an_error_not_an_answer(void **state) {
    (void)state;
    static const char *const bodies[] = {"{\"model\":\"m\",\"prompt\":\"a\"}",
                                         "{\"model\":\"m\",\"prompt\":\"a\",\"stream\":true}"};
    for (int streamed = 0; streamed < 2; streamed++) {
        pgd_call *c = open_call(bodies[streamed]);
        log_token(c, 0, HEL);
        (void)api_call_pump(c, 0, c->g.n_choices);
        (void)snprintf(c->g.requests[0].r.error, sizeof c->g.requests[0].r.error, "device lost");
        c->g.requests[0].r.error_code = PGD_E_DEVICE;
        log_finish(c, 0, PGD_FINISH_ERROR, 0);
        (void)api_call_pump(c, 0, c->g.n_choices);
        assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
        if (streamed) {
            fold f;
            fold_stream(&f, pgd_buf_sv(&c->out), 0);
            assert_non_null(strstr(f.error.p, "internal_error"));
            assert_non_null(strstr(f.error.p, "device lost"));
            assert_int_equal(pgd_call_http_status(c), 200);
            fold_fini(&f);
        } else {
            pgd_json_doc *doc = test_json(c->out.p, c->out.n);
            test_str_is(pgd_json_root(doc), "error.code", "internal_error");
            assert_int_equal(pgd_call_http_status(c), 503);
            pgd_json_free(&doc);
        }
        pgd_call_release(&c);
    }
}

static void unread_output_leaves_tokens_in_their_log(void **state) {
    (void)state;
    pgd_call *c = open_call("{\"model\":\"m\",\"prompt\":\"a\",\"stream\":true}");
    log_token(c, 0, HEL);
    (void)api_call_pump(c, 0, c->g.n_choices);
    for (int i = 0; i < 7; i++)
        log_token(c, 0, HEL);
    pgd_buf filler = {0};
    for (int i = 0; i < API_BACKLOG_BYTES / 16 + 1; i++)
        pgd_buf_puts(&filler, ": 345678901234\n\n");
    pgd_buf_putsv(&c->out, pgd_buf_sv(&filler)); /* a reader that stands still */
    const size_t before = c->out.n;
    (void)api_call_pump(c, 0, c->g.n_choices);
    assert_int_equal(c->out.n, before);
    log_finish(c, 0, PGD_FINISH_LENGTH, 0);
    (void)api_call_pump(c, 0, c->g.n_choices);
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_STREAMING);
    pgd_buf_clear(pgd_call_output(c)); /* it reads: what waited comes at the next look */
    fold f;
    fold_stream(&f, pgd_buf_sv(pgd_call_output(c)), 0);
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    assert_string_equal(f.choice[0].text.p, "HelHelHelHelHelHelHel");
    fold_fini(&f);
    pgd_buf_fini(&filler);
    pgd_call_release(&c);
}

/* The whole answer, allocation n of it failing; -1: none. Returns whether that one was reached. */
static bool score_with_failure(const char *body, int64_t n, pgd_buf *out) {
    pgd_call *c = open_call(body);
    log_token(c, 0, BOS);
    log_token(c, 0, IM_START);
    log_finish(c, 0, PGD_FINISH_LENGTH, 0);
    (void)pgd_mem_fail_after(n);
    (void)api_call_pump(c, 0, c->g.n_choices);
    const bool fired = pgd_mem_fail_after(-1);
    assert_int_equal(pgd_call_get_state(c), PGD_CALL_DONE);
    assert_true(fired || c->err.status == PGD_OK);
    pgd_buf_clear(out);
    if (c->err.status == PGD_OK) pgd_buf_putsv(out, pgd_buf_sv(&c->out));
    pgd_call_release(&c);
    return fired;
}

/* Control tokens: without text, so that their logprobs come with the end. */
static void logprobs_are_never_lost_in_silence(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"m\",\"prompt\":[65],\"max_tokens\":9,\"logprobs\":0",
        "{\"model\":\"m\",\"prompt\":[65],\"max_tokens\":9,\"logprobs\":0,\"user\":\"chat\""};
    pgd_buf body = {0}, want = {0}, got = {0};
    for (size_t i = 0; i < 4; i++) {
        pgd_buf_clear(&body);
        pgd_buf_putf(&body, "%s,\"stream\":%s}", bodies[i / 2], i % 2 ? "true" : "false");
        assert_false(score_with_failure(body.p, -1, &want));
        assert_non_null(strstr(want.p, "<|im_start|>"));
        int64_t n = 0;
        for (; score_with_failure(body.p, n, &got); n++)
            if (got.n) assert_string_equal(got.p, want.p);
        assert_true(n > 2);
    }
    pgd_buf_fini(&body);
    pgd_buf_fini(&want);
    pgd_buf_fini(&got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_string_cut_by_tokens_is_trimmed),
        cmocka_unit_test(text_held_for_a_stop_string_comes_when_it_does_not_match),
        cmocka_unit_test(min_tokens_keeps_stop_strings_quiet),
        cmocka_unit_test(code_points_cut_by_tokens_come_whole),
        cmocka_unit_test(end_tokens_are_not_shown_and_user_stop_ids_are_named),
        cmocka_unit_test(special_tokens_are_shown_only_on_request),
        cmocka_unit_test(each_token_is_one_chunk_when_the_reader_keeps_up),
        cmocka_unit_test(logprobs_come_with_the_chunk_that_holds_the_text),
        cmocka_unit_test(tokens_behind_a_stop_string_have_no_logprobs),
        cmocka_unit_test(the_first_token_keeps_its_space),
        cmocka_unit_test(random_scripts_stream_as_they_answer),
        cmocka_unit_test(choices_end_apart_and_count_what_they_used),
        cmocka_unit_test(the_engines_failure_is_an_error_not_an_answer),
        cmocka_unit_test(unread_output_leaves_tokens_in_their_log),
        cmocka_unit_test(logprobs_are_never_lost_in_silence),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
