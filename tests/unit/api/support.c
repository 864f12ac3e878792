#include "support.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

pgd_tokenizer *test_tokenizer(void) {
    pgd_tokenizer *tok = NULL;
    pgd_error err = {0};
    if (pgd_tokenizer_load(API_TEST_DATA "/tokenizer.json", &tok, &err) != PGD_OK)
        fail_msg("%s", err.msg);
    return tok;
}

pgd_chat *test_chat(void) {
    pgd_chat *chat = NULL;
    pgd_error err = {0};
    if (pgd_chat_load(API_TEST_DATA, NULL, &chat, &err) != PGD_OK) fail_msg("%s", err.msg);
    assert_non_null(chat);
    return chat;
}

pgd_vocab *test_byte_vocab(void) {
    char bytes[256];
    pgd_sv tokens[257];
    const uint32_t eos = 256;
    pgd_vocab *v = NULL;
    for (size_t i = 0; i < eos; i++) {
        bytes[i] = (char)i;
        tokens[i] = (pgd_sv){&bytes[i], 1};
    }
    tokens[eos] = PGD_SV("");
    assert_int_equal(pgd_vocab_create(&v, tokens, eos + 1, &eos, 1, NULL), PGD_OK);
    return v;
}

pgd_json_doc *test_json(const char *text, size_t n) {
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    if (pgd_json_parse((pgd_sv){text, n}, &pgd_json_limits_request, &doc, &err) != PGD_OK)
        fail_msg("%s in: %.*s", err.msg, (int)(n < 400 ? n : 400), text);
    return doc;
}

const pgd_json *test_find(const pgd_json *v, const char *path) {
    char key[64];
    while (v && *path) {
        const size_t n = strcspn(path, ".");
        assert_true(n < sizeof key);
        memcpy(key, path, n);
        key[n] = '\0';
        path += n + (path[n] == '.');
        int64_t i;
        if (pgd_json_typeof(v) == PGD_JSON_ARRAY && pgd_parse_i64(pgd_sv_c(key), &i)) {
            v = pgd_json_first(v);
            while (v && i--)
                v = pgd_json_next(v);
        } else {
            v = pgd_json_get(v, key);
        }
    }
    return v;
}

const pgd_json *test_at(const pgd_json *v, const char *path) {
    const pgd_json *const found = test_find(v, path);
    if (!found) fail_msg("no '%s' in the JSON", path);
    return found;
}

void test_str_is(const pgd_json *v, const char *path, const char *want) {
    pgd_sv s;
    if (!pgd_json_as_str(test_at(v, path), &s)) fail_msg("'%s' is no string", path);
    assert_string_equal(s.p, want);
}

int64_t test_int(const pgd_json *v, const char *path) {
    int64_t i = 0;
    if (!pgd_json_as_i64(test_at(v, path), &i)) fail_msg("'%s' is no integer", path);
    return i;
}

void test_int_is(const pgd_json *v, const char *path, int64_t want) {
    assert_int_equal(test_int(v, path), want);
}

uint64_t test_rand(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
