/* The tokenizer as a whole: added tokens and control spans, questions about ids, refusals with the
 * JSON path, and behaviour when memory runs out at any allocation. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pagoda/mem.h"
#include "tok_test.h"

/* Characters are tokens; "ab" merges. 10 <|s|> special, 11 [N] matched after normalization (lower
 * case), 12 <|strip|> takes white space on both sides, 13 <t> an ordinary added token. */
#define PARTS(normalizer, rest)                                                                    \
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<\":3,\"|\":4,\"s\":5,"    \
    "\">\":6,\" \":7,\"[\":8,\"n\":9,\"]\":14,\"t\":15,\"<|s|>\":10,\"[N]\":11,\"<|strip|>\":12,"  \
    "\"<t>\":13},\"merges\":[\"a b\"]},\"normalizer\":" normalizer ",\"added_tokens\":["           \
    "{\"id\":10,\"content\":\"<|s|>\",\"special\":true,\"normalized\":false},"                     \
    "{\"id\":11,\"content\":\"[N]\",\"special\":false,\"normalized\":true},"                       \
    "{\"id\":12,\"content\":\"<|strip|>\",\"special\":true,\"normalized\":false,\"lstrip\":true,"  \
    "\"rstrip\":true},"                                                                            \
    "{\"id\":13,\"content\":\"<t>\",\"special\":false,\"normalized\":false}]" rest "}"

static const char PLAIN[] = PARTS("null", "");
static const char LOWER[] = PARTS("{\"type\":\"Lowercase\"}", "");

static void added_tokens_match_anywhere_without_control_spans(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(PLAIN);
    tok_expect(tok, PGD_SV("ab<|s|>a"), 0, NULL, 0, TOK_IDS(2, 10, 0));
    tok_expect(tok, PGD_SV("a <|strip|>  b"), 0, NULL, 0, TOK_IDS(0, 12, 1));
    tok_expect(tok, PGD_SV("<t>[N]"), 0, NULL, 0, TOK_IDS(13, 11));
    pgd_tokenizer_destroy(&tok);
    assert_null(tok);
}

static void text_outside_control_spans_is_ordinary_and_one_run(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(PLAIN);
    const unsigned f = PGD_ENCODE_CONTROL_SPANS;
    /* no span: nothing matches, and "a" + "b" around the text still merge as one run */
    tok_expect(tok, PGD_SV("<|s|>"), f, NULL, 0, TOK_IDS(3, 4, 5, 4, 6));
    tok_expect(tok, PGD_SV("ab"), f, NULL, 0, TOK_IDS(2));
    /* the span covers the first only */
    const pgd_span first = {0, 5};
    tok_expect(tok, PGD_SV("<|s|><|s|>"), f, &first, 1, TOK_IDS(10, 3, 4, 5, 4, 6));
    /* a border between spans and plain text does not cut a merge */
    const pgd_span a = {0, 1};
    tok_expect(tok, PGD_SV("ab"), f, &a, 1, TOK_IDS(2));
    pgd_tokenizer_destroy(&tok);
}

static void a_match_must_lie_inside_one_span(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(PLAIN);
    const unsigned f = PGD_ENCODE_CONTROL_SPANS;
    const pgd_span halves[] = {{0, 2}, {2, 5}};
    tok_expect(tok, PGD_SV("<|s|>"), f, halves, 2, TOK_IDS(3, 4, 5, 4, 6));
    /* user text "<|s" before a control token cannot break it or join it */
    const pgd_span tail = {3, 8};
    tok_expect(tok, PGD_SV("<|s<|s|>"), f, &tail, 1, TOK_IDS(3, 4, 5, 10));
    const pgd_span short_by_one = {0, 4};
    tok_expect(tok, PGD_SV("<|s|>"), f, &short_by_one, 1, TOK_IDS(3, 4, 5, 4, 6));
    pgd_tokenizer_destroy(&tok);
}

static void normalized_tokens_obey_spans_of_the_original_text(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(LOWER);
    /* U+0130 grows from 2 to 3 bytes in lower case, so offsets shift */
    const pgd_sv text = PGD_SV("\xC4\xB0[N][N]");
    const pgd_span second = {5, 8};
    tok_expect(tok, text, PGD_ENCODE_CONTROL_SPANS, &second, 1, TOK_IDS(8, 9, 14, 11));
    const pgd_span first = {2, 5};
    tok_expect(tok, text, PGD_ENCODE_CONTROL_SPANS, &first, 1, TOK_IDS(11, 8, 9, 14));
    tok_expect(tok, text, PGD_ENCODE_CONTROL_SPANS, NULL, 0, TOK_IDS(8, 9, 14, 8, 9, 14));
    tok_expect(tok, text, 0, NULL, 0, TOK_IDS(11, 11));
    pgd_tokenizer_destroy(&tok);
}

static void post_processor_adds_tokens_only_when_asked(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(
        PARTS("null", ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
                      "{\"SpecialToken\":{\"id\":\"<|s|>\",\"type_id\":0}},{\"Sequence\":{\"id\":"
                      "\"A\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"<|s|>\":{\"id\":"
                      "\"<|s|>\",\"ids\":[10],\"tokens\":[\"<|s|>\"]}}}"));
    tok_expect(tok, PGD_SV("a"), PGD_ENCODE_ADD_SPECIAL, NULL, 0, TOK_IDS(10, 0));
    tok_expect(tok, PGD_SV("a"), 0, NULL, 0, TOK_IDS(0));
    assert_int_equal(pgd_tokenizer_bos(tok), 10);
    pgd_tokenizer_destroy(&tok);
}

static void questions_about_ids_are_answered(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(PLAIN);
    assert_int_equal(pgd_tokenizer_vocab_size(tok), 16);
    assert_int_equal(pgd_tokenizer_id_of(tok, PGD_SV("ab")), 2);
    assert_int_equal(pgd_tokenizer_id_of(tok, PGD_SV("<|s|>")), 10);
    assert_int_equal(pgd_tokenizer_id_of(tok, PGD_SV("zz")), -1);
    assert_true(pgd_sv_eq(pgd_tokenizer_token(tok, 13), PGD_SV("<t>")));
    assert_int_equal(pgd_tokenizer_token(tok, 99).n, 0);
    assert_int_equal(pgd_tokenizer_token(tok, -1).n, 0);
    assert_true(pgd_tokenizer_is_special(tok, 10));
    assert_false(pgd_tokenizer_is_special(tok, 13));
    assert_false(pgd_tokenizer_is_special(tok, 1000));
    assert_int_equal(pgd_tokenizer_bos(tok), -1);
    pgd_tokenizer_destroy(&tok);
}

static void decoding_refuses_ids_outside_the_vocabulary(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(PLAIN);
    pgd_buf out = {0};
    pgd_error err = {0};
    const int32_t ids[] = {0, 16};
    assert_int_equal(pgd_tokenizer_decode(tok, ids, 2, false, &out, &err), PGD_E_INVALID);
    assert_non_null(strstr(err.msg, "token 1 is 16"));
    const int32_t negative = -3;
    assert_int_equal(pgd_tokenizer_decode(tok, &negative, 1, false, &out, NULL), PGD_E_INVALID);
    pgd_buf_fini(&out);
    pgd_tokenizer_destroy(&tok);
}

static void damaged_files_are_refused_with_the_json_path(void **state) {
    static const struct {
        const char *json;
        pgd_status status;
        const char *mentions;
    } cases[] = {
        {"[]", PGD_E_FORMAT, "tokenizer.json is an array"},
        {"{}", PGD_E_FORMAT, "model is absent"},
        {"{\"model\":{\"type\":\"Foo\"}}", PGD_E_UNSUPPORTED, "model.type \"Foo\""},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", PGD_E_FORMAT,
         "model.vocab[\"a\"]"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}}", PGD_E_FORMAT,
         "model.vocab[\"a\"]"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":16000000},\"merges\":[]}}", PGD_E_FORMAT,
         "largest id 16000000"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", PGD_E_FORMAT,
         "model.merges[0]"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b c\"]}}", PGD_E_FORMAT,
         "model.merges[0]"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}}",
         PGD_E_FORMAT, "model.unk_token"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", PGD_E_FORMAT, "model.vocab[0]"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":1}}", PGD_E_FORMAT,
         "model.unk_id"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"normalizer\":{\"type\":"
         "\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Bar\"}]}}",
         PGD_E_UNSUPPORTED, "normalizer.normalizers[1].type \"Bar\""},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"pre_tokenizer\":{\"type\":"
         "\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Isolated\"}}",
         PGD_E_UNSUPPORTED, "pre_tokenizer"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"pre_tokenizer\":{\"type\":"
         "\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":\"Odd\"}}",
         PGD_E_UNSUPPORTED, "pre_tokenizer.behavior"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"decoder\":{\"type\":"
         "\"Sequence\",\"decoders\":[{\"type\":\"X\"}]}}",
         PGD_E_UNSUPPORTED, "decoder.decoders[0].type \"X\""},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"post_processor\":{\"type\":"
         "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"q\"}}]}}",
         PGD_E_FORMAT, "post_processor.single[0]"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"post_processor\":{\"type\":"
         "\"BertProcessing\",\"cls\":[\"c\",7],\"sep\":[\"s\",8]}}",
         PGD_E_FORMAT, "id 7"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"added_tokens\":[{\"id\":1}]}",
         PGD_E_FORMAT, "added_tokens[0].content"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"normalizer\":{\"type\":"
         "\"Precompiled\",\"precompiled_charsmap\":\"////\"}}",
         PGD_E_FORMAT, "normalizer.precompiled_charsmap"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgd_tokenizer *tok = NULL;
        pgd_error err = {0};
        const pgd_status st = pgd_tokenizer_parse(pgd_sv_c(cases[i].json), &tok, &err);
        if (st != cases[i].status || strstr(err.msg, cases[i].mentions) == NULL) {
            fail_msg("case %zu: %s: %s", i, pgd_status_name(st), err.msg);
        }
        assert_null(tok);
    }
}

static const char RICH[] = PARTS(
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Replace\",\"pattern\":"
    "{\"Regex\":\"x+\"},\"content\":\"b\"}]}",
    ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\" ?\\\\w+|\\\\W\"},"
    "\"behavior\":\"Isolated\"},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":"
    "\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,"
    "\"stop\":0}]}");

/* A text with a run long enough for the queues of bpe_merge.c and for counting sort of marks. */
static void rich_text(pgd_buf *text) {
    pgd_buf_puts(text, "ab <|s|> axx [N]<t>");
    for (int i = 0; i < 100; i++) {
        pgd_buf_puts(text, "ab\xCC\x81");
    }
    for (int i = 0; i < 100; i++) {
        pgd_buf_puts(text, "ab");
    }
}

static void every_failing_allocation_is_reported_and_leaks_nothing(void **state) {
    (void)state;
    pgd_buf text = {0};
    rich_text(&text);
    bool loaded = false;
    for (int64_t n = 0; n < 100000 && !loaded; n++) {
        pgd_tokenizer *tok = NULL;
        pgd_mem_fail_after(n);
        const pgd_status st = pgd_tokenizer_parse(pgd_sv_c(RICH), &tok, NULL);
        (void)pgd_mem_fail_after(-1);
        loaded = st == PGD_OK;
        if (!loaded) assert_int_equal(st, PGD_E_NOMEM);
        pgd_tokenizer_destroy(&tok);
    }
    assert_true(loaded);
    pgd_tokenizer *tok = tok_make(RICH);
    bool encoded = false;
    for (int64_t n = 0; n < 100000 && !encoded; n++) {
        pgd_ids ids = {0};
        pgd_buf out = {0};
        pgd_mem_fail_after(n);
        pgd_status st = pgd_tokenizer_encode(tok, pgd_buf_sv(&text), 0, NULL, 0, &ids, NULL);
        if (st == PGD_OK) st = pgd_tokenizer_decode(tok, ids.v, ids.n, false, &out, NULL);
        (void)pgd_mem_fail_after(-1);
        encoded = st == PGD_OK;
        if (!encoded) assert_int_equal(st, PGD_E_NOMEM);
        pgd_ids_fini(&ids);
        pgd_buf_fini(&out);
    }
    assert_true(encoded);
    pgd_tokenizer_destroy(&tok);
    pgd_buf_fini(&text);
}

static void bytes_of_a_token_are_whole_or_marked_as_failed(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make(RICH);
    const uint32_t n_ids = pgd_tokenizer_vocab_size(tok);
    assert_true(n_ids > 0);
    for (uint32_t id = 0; id < n_ids; id++) {
        pgd_buf want = {0};
        pgd_tokenizer_token_bytes(tok, (int32_t)id, &want);
        bool fired = true;
        for (int64_t n = 0; fired; n++) {
            pgd_buf out = {0};
            pgd_mem_fail_after(n);
            pgd_tokenizer_token_bytes(tok, (int32_t)id, &out);
            fired = pgd_mem_fail_after(-1);
            if (!fired) assert_false(out.failed);
            if (!out.failed) assert_true(pgd_sv_eq(pgd_buf_sv(&out), pgd_buf_sv(&want)));
            pgd_buf_fini(&out);
        }
        pgd_buf_fini(&want);
    }
    pgd_tokenizer_destroy(&tok);
}

typedef struct reader {
    const pgd_tokenizer *tok;
    pgd_sv text;
    pgd_ids ids;
    pgd_status status;
} reader;

static void *read_many_times(void *arg) {
    reader *const r = arg;
    for (int i = 0; i < 50 && r->status == PGD_OK; i++) {
        r->ids.n = 0;
        r->status = pgd_tokenizer_encode(r->tok, r->text, 0, NULL, 0, &r->ids, NULL);
    }
    return NULL;
}

static void threads_share_one_tokenizer(void **state) {
    enum { N = 4 };
    (void)state;
    pgd_tokenizer *tok = tok_make(RICH);
    pgd_buf text = {0};
    rich_text(&text);
    reader readers[N];
    pthread_t threads[N];
    for (int i = 0; i < N; i++) {
        readers[i] = (reader){.tok = tok, .text = pgd_buf_sv(&text)};
        assert_int_equal(pthread_create(&threads[i], NULL, read_many_times, &readers[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readers[i].status, PGD_OK);
        tok_expect(tok, pgd_buf_sv(&text), 0, NULL, 0, readers[i].ids.v, readers[i].ids.n);
        pgd_ids_fini(&readers[i].ids);
    }
    pgd_buf_fini(&text);
    pgd_tokenizer_destroy(&tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_tokens_match_anywhere_without_control_spans),
        cmocka_unit_test(text_outside_control_spans_is_ordinary_and_one_run),
        cmocka_unit_test(a_match_must_lie_inside_one_span),
        cmocka_unit_test(normalized_tokens_obey_spans_of_the_original_text),
        cmocka_unit_test(post_processor_adds_tokens_only_when_asked),
        cmocka_unit_test(questions_about_ids_are_answered),
        cmocka_unit_test(decoding_refuses_ids_outside_the_vocabulary),
        cmocka_unit_test(damaged_files_are_refused_with_the_json_path),
        cmocka_unit_test(threads_share_one_tokenizer),
        cmocka_unit_test(every_failing_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(bytes_of_a_token_are_whole_or_marked_as_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
