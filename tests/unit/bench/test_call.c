/* What a stream of events becomes: chunks, tokens, faults; request bodies; URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/call.h"
#include "pagoda/json.h"
#include "pagoda/mem.h"

typedef struct fixture {
    bench_record rec;
    bench_call call;
    uint64_t n_chunks;
    int n_first;
} fixture;

static void on_first(bench_call *c) {
    ++((fixture *)c->ctx)->n_first;
}

static void begin(fixture *f) {
    memset(f, 0, sizeof(*f));
    f->rec.http_status = 200;
    f->rec.item.n_out = 3;
    f->call.rec = &f->rec;
    f->call.event_stream = true;
    f->call.n_chunks = &f->n_chunks;
    f->call.on_first = on_first;
    f->call.ctx = f;
}

static void end(fixture *f) {
    bench_call_fini(&f->call);
    bench_record_fini(&f->rec);
}

/* Event k comes k + 1 ms after the start. */
static void feed(fixture *f, const char *const *events) {
    for (uint64_t k = 0; events[k] != NULL; k++)
        bench_call_event(&f->call, pgd_sv_c(events[k]), (k + 1) * 1000000);
    bench_call_settle(&f->call, BENCH_OK, "");
}

static void a_chat_counts_from_its_first_text_not_from_its_role(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    feed(&f,
         (const char *[]){"{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                          "\"finish_reason\":null}]}",
                          "{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}",
                          "{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}",
                          "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}",
                          "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,"
                          "\"prompt_tokens_details\":{\"cached_tokens\":4}}}",
                          "[DONE]", NULL});
    assert_int_equal(f.rec.fault, BENCH_OK);
    assert_int_equal(f.rec.n_chunks, 2);
    assert_int_equal(f.rec.chunk_us[0], 2000);
    assert_int_equal(f.rec.chunk_us[1], 3000);
    assert_int_equal(f.rec.n_prompt, 9);
    assert_int_equal(f.rec.n_output, 3);
    assert_int_equal(f.rec.n_cached, 4);
    assert_true(f.rec.has_cached);
    assert_int_equal(f.n_first, 1);
    assert_int_equal(f.n_chunks, 2);
    end(&f);
}

static void without_usage_tokens_are_chunks(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    feed(&f, (const char *[]){"{\"choices\":[{\"text\":\"a\"}]}",
                              "{\"choices\":[{\"text\":\"b\","
                              "\"finish_reason\":\"stop\"}]}",
                              NULL});
    assert_int_equal(f.rec.fault, BENCH_OK);
    assert_false(f.rec.has_usage);
    assert_int_equal(f.rec.n_output, 2);
    end(&f);
}

static void a_stream_without_text_counts_its_end(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    feed(&f, (const char *[]){"{\"choices\":[{\"text\":\"\"}]}",
                              "{\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}",
                              "[DONE]", NULL});
    assert_int_equal(f.rec.fault, BENCH_OK);
    assert_int_equal(f.rec.n_chunks, 1);
    assert_int_equal(f.rec.chunk_us[0], 2000);
    end(&f);
}

static void what_untrained_models_say_is_read_all_the_same(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    feed(&f, (const char *[]){
                 "{\"choices\":[{\"text\":\"\\u0000\"}]}", "{\"choices\":[{\"text\":\"\\ud83d\"}]}",
                 "{\"choices\":[{\"text\":\"\xff\"}]}",
                 "{\"choices\":[{\"text\":\"\\\\u00\",\"finish_reason\":\"stop\"}]}", NULL});
    assert_string_equal(f.rec.why, "");
    assert_int_equal(f.rec.n_chunks, 4);
    end(&f);
}

static void faults_are_told_apart(void **state) {
    (void)state;
    const struct {
        const char *event;
        bool finish;
        bench_fault fault;
        const char *why;
    } cases[] = {
        {"{\"error\":{\"message\":\"engine died\"}}", false, BENCH_STREAM, "engine died"},
        {"{\"error\":\"plain\"}", false, BENCH_STREAM, "plain"},
        {"{\"choices\":[{\"text\":\"a\"}]}", false, BENCH_CLOSED, "without a finish reason"},
        {"no json", false, BENCH_PROTOCOL, "an event holds no JSON"},
        {"[DONE]", false, BENCH_PROTOCOL, "no choice"},
        {"{\"choices\":[]}", true, BENCH_PROTOCOL, "no choice"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture f;
        begin(&f);
        feed(&f, (const char *[]){cases[i].event, cases[i].finish ? "[DONE]" : NULL, NULL});
        assert_int_equal(f.rec.fault, cases[i].fault);
        assert_non_null(strstr(f.rec.why, cases[i].why));
        end(&f);
    }
}

static void an_error_status_brings_its_message(void **state) {
    (void)state;
    const struct {
        int status;
        const char *text;
        bench_fault fault;
        const char *why;
    } cases[] = {
        {404, "{\"error\":{\"message\":\"no such model\"}}", BENCH_HTTP_4XX, "no such model"},
        {400, "{\"message\":\"bad\"}", BENCH_HTTP_4XX, "bad"},
        {503, "<html>busy</html>", BENCH_HTTP_5XX, "<html>busy</html>"},
        {500, "", BENCH_HTTP_5XX, ""},
        {302, "moved", BENCH_PROTOCOL, "moved"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture f;
        begin(&f);
        f.rec.http_status = cases[i].status;
        pgd_buf_puts(&f.call.text, cases[i].text);
        bench_call_settle(&f.call, BENCH_OK, "");
        assert_int_equal(f.rec.fault, cases[i].fault);
        assert_string_equal(f.rec.why, cases[i].why);
        end(&f);
    }
}

static void a_long_message_is_cut_at_a_code_point(void **state) {
    (void)state;
    fixture f;
    begin(&f);
    f.rec.http_status = 500;
    for (int i = 0; i < 150; i++)
        pgd_buf_puts(&f.call.text, "\xc3\xa9");
    bench_call_settle(&f.call, BENCH_OK, "");
    assert_int_equal(strlen(f.rec.why), BENCH_WHY_BYTES - 2); /* 198: an odd byte is left out */
    end(&f);
}

static const pgd_json *body_of(const bench_ask *ask, const bench_prompts *p, pgd_json_doc **doc) {
    const bench_item item = {.n_in = 4, .n_out = 17};
    pgd_buf text = {0};
    bench_ask_put(ask, p, &item, 0, &text);
    assert_int_equal(pgd_json_parse(pgd_buf_sv(&text), &pgd_json_limits_request, doc, NULL),
                     PGD_OK);
    pgd_buf_fini(&text);
    return pgd_json_root(*doc);
}

static void bodies_ask_for_an_exact_length_and_for_usage(void **state) {
    (void)state;
    bench_prompts p = {.seed = 1};
    bench_prompts_assume(&p);
    for (int chat = 0; chat < 2; chat++) {
        const bench_ask ask = {.chat = chat,
                               .model = "a \"b\"",
                               .temperature = 0.5,
                               .extra_members = PGD_SV(",\"top_k\":3")};
        pgd_json_doc *doc = NULL;
        const pgd_json *b = body_of(&ask, &p, &doc);
        int64_t n = 0;
        bool yes = false;
        pgd_sv s;
        assert_true(pgd_json_as_str(pgd_json_get(b, "model"), &s));
        assert_true(pgd_sv_eq(s, PGD_SV("a \"b\"")));
        assert_true(pgd_json_as_i64(pgd_json_get(b, "max_tokens"), &n) && n == 17);
        assert_true(pgd_json_as_i64(pgd_json_get(b, "min_tokens"), &n) && n == 17);
        assert_true(pgd_json_as_bool(pgd_json_get(b, "ignore_eos"), &yes) && yes);
        assert_true(pgd_json_as_i64(pgd_json_get(b, "top_k"), &n) && n == 3);
        const pgd_json *options = pgd_json_get(b, "stream_options");
        assert_true(pgd_json_as_bool(pgd_json_get(options, "include_usage"), &yes) && yes);
        const pgd_json *message = pgd_json_first(pgd_json_get(b, "messages"));
        assert_true(pgd_json_as_str(
            chat ? pgd_json_get(message, "content") : pgd_json_get(b, "prompt"), &s));
        pgd_json_free(&doc);
    }
}

static void natural_stop_sends_no_foreign_fields(void **state) {
    (void)state;
    bench_prompts p = {.seed = 1};
    bench_prompts_assume(&p);
    const bench_ask ask = {.model = "m", .natural_stop = true};
    pgd_json_doc *doc = NULL;
    const pgd_json *b = body_of(&ask, &p, &doc);
    assert_null(pgd_json_get(b, "ignore_eos"));
    assert_null(pgd_json_get(b, "min_tokens"));
    pgd_json_free(&doc);
}

static void urls_are_taken_apart(void **state) {
    (void)state;
    const struct {
        const char *text, *host, *port, *path;
    } good[] = {
        {"http://localhost:8000", "localhost", "8000", ""},
        {"http://localhost:8000/", "localhost", "8000", ""},
        {"http://example.org/v1", "example.org", "80", ""},
        {"http://example.org/v1/", "example.org", "80", ""},
        {"http://h:1/base/v1", "h", "1", "/base"},
        {"http://h:1/base", "h", "1", "/base"},
        {"http://[::1]:8000", "::1", "8000", ""},
        {"http://[::1]/x", "::1", "80", "/x"},
    };
    bench_url u;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(bench_url_parse(good[i].text, &u, NULL), PGD_OK);
        assert_string_equal(u.host, good[i].host);
        assert_string_equal(u.port, good[i].port);
        assert_string_equal(u.path, good[i].path);
    }
    const char *const bad[] = {"",           "localhost:8000", "ftp://h",      "http://",
                               "http://:1",  "http://h:",      "http://h:0",   "http://h:65536",
                               "http://h:x", "http://u@h",     "http://h?x=1", "http://h/a b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (bench_url_parse(bad[i], &u, NULL) != PGD_E_INVALID) fail_msg("'%s' passed", bad[i]);
    pgd_error err = {0};
    assert_int_equal(bench_url_parse("https://h", &u, &err), PGD_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "https"));
}

static void memory_that_runs_out_is_a_fault_of_the_request(void **state) {
    (void)state;
    int n_memory = 0, n_ok = 0;
    for (int64_t n = 0; n < 40; n++) {
        fixture f;
        begin(&f);
        pgd_mem_fail_after(n);
        feed(&f,
             (const char *[]){"{\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}", NULL});
        pgd_mem_fail_after(-1);
        assert_int_equal(f.rec.n_chunks, f.rec.fault == BENCH_OK ? 1 : 0);
        n_memory += f.rec.fault == BENCH_MEMORY;
        n_ok += f.rec.fault == BENCH_OK; /* reading the event again needs memory only once more */
        end(&f);
    }
    assert_int_equal(n_memory, 1); /* its timestamp */
    assert_int_equal(n_ok, 39);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_counts_from_its_first_text_not_from_its_role),
        cmocka_unit_test(without_usage_tokens_are_chunks),
        cmocka_unit_test(a_stream_without_text_counts_its_end),
        cmocka_unit_test(what_untrained_models_say_is_read_all_the_same),
        cmocka_unit_test(faults_are_told_apart),
        cmocka_unit_test(an_error_status_brings_its_message),
        cmocka_unit_test(a_long_message_is_cut_at_a_code_point),
        cmocka_unit_test(bodies_ask_for_an_exact_length_and_for_usage),
        cmocka_unit_test(natural_stop_sends_no_foreign_fields),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(memory_that_runs_out_is_a_fault_of_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
