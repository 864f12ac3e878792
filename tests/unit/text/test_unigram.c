/* Unigram segmentation against a search over all segmentations, on random vocabularies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tok_test.h"

enum { MAX_TOKENS = 24, MAX_TEXT = 10 };

typedef struct random_unigram {
    char token[MAX_TOKENS][8];
    double score[MAX_TOKENS];
    int n;
} random_unigram;

/* Token 0 is unknown; scores are distinct powers so that sums never tie by chance. */
static void draw(random_unigram *u, uint64_t *seed) {
    snprintf(u->token[0], sizeof u->token[0], "?");
    u->score[0] = -1.0;
    u->n = 1;
    while (u->n < MAX_TOKENS) {
        char s[8];
        const uint32_t len = 1 + tok_random(seed, 4);
        for (uint32_t i = 0; i < len; i++) {
            s[i] = (char)('a' + tok_random(seed, 3));
        }
        s[len] = '\0';
        bool known = false;
        for (int i = 0; i < u->n; i++) {
            known = known || strcmp(u->token[i], s) == 0;
        }
        if (known) {
            if (tok_random(seed, 20) == 0) break;
            continue;
        }
        snprintf(u->token[u->n], sizeof u->token[u->n], "%s", s);
        u->score[u->n++] = -1.0 - tok_random(seed, 1000000) / 65536.0;
    }
}

static pgd_tokenizer *as_tokenizer(const random_unigram *u) {
    pgd_buf json = {0};
    pgd_buf_puts(&json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[");
    for (int i = 0; i < u->n; i++) {
        pgd_buf_putf(&json, "%s[\"%s\",%.17g]", i > 0 ? "," : "", u->token[i], u->score[i]);
    }
    pgd_buf_puts(&json, "]}}");
    pgd_tokenizer *tok = tok_make(json.p);
    pgd_buf_fini(&json);
    return tok;
}

typedef struct path {
    double score;
    int32_t ids[MAX_TEXT];
    size_t n;
} path;

static int token_of(const random_unigram *u, const char *s, size_t len) {
    for (int i = 1; i < u->n; i++) {
        if (strlen(u->token[i]) == len && memcmp(u->token[i], s, len) == 0) return i;
    }
    return 0;
}

/* The best segmentation of text[0..end), by trying every last token; of equal ones the one whose
 * last token starts first. A letter that is no token may be unknown, at score unk. */
static path best_of(const random_unigram *u, double unk, const char *text, size_t end) {
    path best = {.score = 0, .n = 0};
    if (end == 0) return best;
    best.score = -1e300;
    for (size_t start = 0; start < end; start++) {
        const int id = token_of(u, text + start, end - start);
        if (id == 0 && end - start > 1) continue;
        path p = best_of(u, unk, text, start);
        p.score += id == 0 ? unk : u->score[id];
        p.ids[p.n++] = id;
        if (p.score > best.score) best = p;
    }
    return best;
}

static void segmentation_is_the_best_of_all(void **state) {
    const uint64_t first_seed = 77;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)first_seed);
    uint64_t seed = first_seed;
    for (int round = 0; round < 300; round++) {
        random_unigram u;
        draw(&u, &seed);
        double unk = 0;
        for (int i = 0; i < u.n; i++) {
            unk = u.score[i] - 10.0 < unk ? u.score[i] - 10.0 : unk;
        }
        char text[MAX_TEXT + 1];
        const uint32_t len = 1 + tok_random(&seed, MAX_TEXT);
        for (uint32_t i = 0; i < len; i++) {
            text[i] = (char)('a' + tok_random(&seed, 3));
        }
        text[len] = '\0';
        path f = best_of(&u, unk, text, len);
        size_t n = 0; /* runs of unknowns fuse */
        for (size_t i = 0; i < f.n; i++) {
            if (f.ids[i] != 0 || n == 0 || f.ids[n - 1] != 0) f.ids[n++] = f.ids[i];
        }
        pgd_tokenizer *tok = as_tokenizer(&u);
        tok_expect(tok, pgd_sv_c(text), 0, NULL, 0, f.ids, n);
        pgd_tokenizer_destroy(&tok);
    }
}

static void neighbouring_unknowns_fuse(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[["
                                  "\"<unk>\",0],[\"a\",-1],[\"b\",-2],[\"ab\",-2.5]]}}");
    tok_expect(tok, PGD_SV("xyzab\xE4\xB8\xAD"), 0, NULL, 0, TOK_IDS(0, 3, 0));
    pgd_tokenizer_destroy(&tok);
}

static void byte_fallback_spells_unknowns_when_all_bytes_exist(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":"
                                  "true,\"vocab\":[[\"<unk>\",0],[\"a\",-1],[\"<0xC3>\",-3],"
                                  "[\"<0xA9>\",-3]]}}");
    tok_expect(tok, PGD_SV("a\xC3\xA9"), 0, NULL, 0, TOK_IDS(1, 2, 3));
    tok_expect(tok, PGD_SV("a\xC3\xA8"), 0, NULL, 0, TOK_IDS(1, 0));
    pgd_tokenizer_destroy(&tok);
}

static void a_missing_unknown_token_is_an_error_of_the_request(void **state) {
    (void)state;
    pgd_tokenizer *tok =
        tok_make("{\"model\":{\"type\":\"Unigram\",\"unk_id\":null,\"vocab\":[[\"a\",-1]]}}");
    pgd_ids ids = {0};
    pgd_error err = {0};
    tok_expect(tok, PGD_SV("aa"), 0, NULL, 0, TOK_IDS(0, 0));
    assert_int_equal(pgd_tokenizer_encode(tok, PGD_SV("ab"), 0, NULL, 0, &ids, &err),
                     PGD_E_UNSUPPORTED);
    assert_int_equal(ids.n, 0);
    pgd_ids_fini(&ids);
    pgd_tokenizer_destroy(&tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segmentation_is_the_best_of_all),
        cmocka_unit_test(neighbouring_unknowns_fuse),
        cmocka_unit_test(byte_fallback_spells_unknowns_when_all_bytes_exist),
        cmocka_unit_test(a_missing_unknown_token_is_an_error_of_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
