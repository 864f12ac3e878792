/* BPE merging against a reference that rescans the whole word for the best pair, on random
 * vocabularies and words on both sides of the length where queues take over from the heap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tok_test.h"

enum { MAX_MERGES = 60, MAX_WORD = 1600 };

typedef struct random_bpe {
    char token[MAX_MERGES + 8][64];
    int n_tokens, n_letters;
    int left[MAX_MERGES], right[MAX_MERGES], made[MAX_MERGES];
    int n_merges;
} random_bpe;

static int token_id(const random_bpe *b, const char *s) {
    for (int i = 0; i < b->n_tokens; i++) {
        if (strcmp(b->token[i], s) == 0) return i;
    }
    return -1;
}

static void swap_ints(int *a, int *b) {
    const int t = *a;
    *a = *b;
    *b = t;
}

/* A few letters and random merges of tokens that exist already; each pair once. Short limits on the
 * tokens' length make many pairs give the same token, so that candidates come in out of order. */
static void draw_vocabulary(random_bpe *b, uint64_t *seed) {
    static const char *const letters[] = {"a", "b", "c", "\xC3\xA9"};
    const int n_letters = 2 + (int)tok_random(seed, 3);
    const size_t longest = 3 + tok_random(seed, 10);
    b->n_tokens = n_letters;
    b->n_letters = n_letters;
    b->n_merges = 0;
    for (int i = 0; i < n_letters; i++) {
        snprintf(b->token[i], sizeof b->token[i], "%s", letters[i]);
    }
    const int want = 5 + (int)tok_random(seed, MAX_MERGES - 5);
    for (int tries = 0; tries < 500 && b->n_merges < want; tries++) {
        const int l = (int)tok_random(seed, (uint32_t)b->n_tokens);
        const int r = (int)tok_random(seed, (uint32_t)b->n_tokens);
        char s[160];
        snprintf(s, sizeof s, "%s%s", b->token[l], b->token[r]);
        bool known = strlen(s) > longest;
        for (int i = 0; i < b->n_merges; i++) {
            known = known || (b->left[i] == l && b->right[i] == r);
        }
        if (known) continue;
        int id = token_id(b, s);
        if (id < 0) {
            id = b->n_tokens++;
            snprintf(b->token[id], sizeof b->token[id], "%.60s", s);
        }
        b->left[b->n_merges] = l;
        b->right[b->n_merges] = r;
        b->made[b->n_merges++] = id;
    }
    /* a file may rank a merge below those that make its parts */
    for (int i = b->n_merges - 1; i > 0 && n_letters != 2; i--) {
        const int j = (int)tok_random(seed, (uint32_t)i + 1);
        swap_ints(&b->left[i], &b->left[j]);
        swap_ints(&b->right[i], &b->right[j]);
        swap_ints(&b->made[i], &b->made[j]);
    }
}

static pgd_tokenizer *as_tokenizer(const random_bpe *b) {
    pgd_buf json = {0};
    pgd_buf_puts(&json, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (int i = 0; i < b->n_tokens; i++) {
        pgd_buf_putf(&json, "%s\"%s\":%d", i > 0 ? "," : "", b->token[i], i);
    }
    pgd_buf_puts(&json, "},\"merges\":[");
    for (int i = 0; i < b->n_merges; i++) {
        pgd_buf_putf(&json, "%s[\"%s\",\"%s\"]", i > 0 ? "," : "", b->token[b->left[i]],
                     b->token[b->right[i]]);
    }
    pgd_buf_puts(&json, "]}}");
    pgd_tokenizer *tok = tok_make(json.p);
    pgd_buf_fini(&json);
    return tok;
}

/* Candidates as the contract has them: the lowest rank, then the leftmost; a candidate noted for a
 * place stays valid when the pair there now makes the same token. */
typedef struct candidate {
    int rank, pos;
} candidate;

static int find_rank(const random_bpe *b, int l, int r) {
    for (int i = 0; i < b->n_merges; i++) {
        if (b->left[i] == l && b->right[i] == r) return i;
    }
    return -1;
}

typedef struct reference {
    const random_bpe *b;
    int id[MAX_WORD], next[MAX_WORD], prev[MAX_WORD];
    candidate waiting[4 * MAX_WORD];
    int n_waiting;
} reference;

static void note(reference *f, int pos) {
    if (pos < 0 || f->next[pos] < 0) return;
    const int rank = find_rank(f->b, f->id[pos], f->id[f->next[pos]]);
    if (rank >= 0) f->waiting[f->n_waiting++] = (candidate){rank, pos};
}

static size_t merge_by_rescanning(const random_bpe *b, const int *word, int n, int32_t *out) {
    static reference f;
    f.b = b;
    f.n_waiting = 0;
    for (int i = 0; i < n; i++) {
        f.id[i] = word[i];
        f.prev[i] = i - 1;
        f.next[i] = i + 1 < n ? i + 1 : -1;
    }
    for (int i = 0; i < n; i++) {
        note(&f, i);
    }
    while (f.n_waiting > 0) {
        int best = 0;
        for (int i = 1; i < f.n_waiting; i++) {
            const candidate *const c = &f.waiting[i], *const d = &f.waiting[best];
            if (c->rank < d->rank || (c->rank == d->rank && c->pos < d->pos)) best = i;
        }
        const candidate c = f.waiting[best];
        f.waiting[best] = f.waiting[--f.n_waiting];
        if (f.id[c.pos] < 0 || f.next[c.pos] < 0) continue;
        const int right = f.next[c.pos];
        const int now = find_rank(b, f.id[c.pos], f.id[right]);
        if (now < 0 || b->made[now] != b->made[c.rank]) continue;
        f.id[c.pos] = b->made[c.rank];
        f.id[right] = -1;
        f.next[c.pos] = f.next[right];
        if (f.next[right] >= 0) f.prev[f.next[right]] = c.pos;
        note(&f, f.prev[c.pos]);
        note(&f, c.pos);
    }
    size_t k = 0;
    for (int i = 0; i >= 0; i = f.next[i]) {
        out[k++] = f.id[i];
    }
    return k;
}

static void merging_equals_rescanning_the_word_each_time(void **state) {
    const uint64_t first_seed = 20240613;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)first_seed);
    uint64_t seed = first_seed;
    for (int round = 0; round < 60; round++) {
        static random_bpe b;
        draw_vocabulary(&b, &seed);
        pgd_tokenizer *tok = as_tokenizer(&b);
        for (int k = 0; k < 20; k++) {
            int word[MAX_WORD];
            int32_t want[MAX_WORD];
            const int n = 1 + (int)tok_random(&seed, k % 5 == 0 ? MAX_WORD - 1 : 90);
            const uint32_t letters = 1 + tok_random(&seed, k % 2 == 0 ? 2 : (uint32_t)b.n_letters);
            pgd_buf text = {0};
            for (int i = 0; i < n; i++) {
                word[i] = (int)tok_random(&seed, letters);
                pgd_buf_puts(&text, b.token[word[i]]);
            }
            const size_t m = merge_by_rescanning(&b, word, n, want);
            tok_expect(tok, pgd_buf_sv(&text), 0, NULL, 0, want, m);
            pgd_buf_fini(&text);
        }
        pgd_tokenizer_destroy(&tok);
    }
}

static void both_forms_of_merges_and_the_version_line_are_read(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,"
                                  "\"ab\":3,\"abc\":4},\"merges\":[\"#version: 0.2\",\"a b\","
                                  "[\"ab\",\"c\"]]}}");
    tok_expect(tok, PGD_SV("abcab"), 0, NULL, 0, TOK_IDS(4, 3));
    pgd_tokenizer_destroy(&tok);
}

static void unknown_characters_become_bytes_unknowns_or_nothing(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"<unk>\":1,"
                                  "\"<0xC3>\":2,\"<0xA9>\":3},\"merges\":[],\"unk_token\":"
                                  "\"<unk>\",\"byte_fallback\":true,\"fuse_unk\":true}}");
    tok_expect(tok, PGD_SV("a\xC3\xA9"), 0, NULL, 0, TOK_IDS(0, 2, 3));
    tok_expect(tok, PGD_SV("zza"), 0, NULL, 0, TOK_IDS(1, 0));
    pgd_tokenizer_destroy(&tok);
    tok = tok_make("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}");
    tok_expect(tok, PGD_SV("zaz"), 0, NULL, 0, TOK_IDS(0));
    tok_expect(tok, PGD_SV("zz"), 0, NULL, 0, NULL, 0);
    pgd_tokenizer_destroy(&tok);
}

static void ignore_merges_takes_whole_words_from_the_vocabulary(void **state) {
    (void)state;
    pgd_tokenizer *tok = tok_make("{\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{"
                                  "\"a\":0,\"b\":1,\"aba\":2},\"merges\":[]}}");
    tok_expect(tok, PGD_SV("aba"), 0, NULL, 0, TOK_IDS(2));
    tok_expect(tok, PGD_SV("abab"), 0, NULL, 0, TOK_IDS(0, 1, 0, 1));
    pgd_tokenizer_destroy(&tok);
}

/* A merge that gives a token which also stands in the word from the start makes a candidate to the
 * left of those that wait already. "#" + "#a" reads "#a" with the prefix "#"; then pairs of "#a"
 * must merge from the left, so that the odd one is left over at the end. */
static void a_late_candidate_on_the_left_still_merges_first(void **state) {
    (void)state;
    pgd_tokenizer *tok =
        tok_make("{\"model\":{\"type\":\"BPE\",\"continuing_subword_prefix\":\"#\","
                 "\"vocab\":{\"#\":0,\"#a\":1,\"#aa\":2},\"merges\":[[\"#\","
                 "\"#a\"],[\"#a\",\"#a\"]]}}");
    for (int n = 61; n <= 401; n += 68) { /* odd; below and above the length for queues */
        pgd_buf text = {0};
        int32_t want[401];
        size_t n_want = 0;
        pgd_buf_putc(&text, '#');
        for (int i = 0; i < n; i++) {
            pgd_buf_putc(&text, 'a');
            if (i % 2 == 1) want[n_want++] = 2;
        }
        want[n_want++] = 1;
        tok_expect(tok, pgd_buf_sv(&text), 0, NULL, 0, want, n_want);
        pgd_buf_fini(&text);
    }
    pgd_tokenizer_destroy(&tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_equals_rescanning_the_word_each_time),
        cmocka_unit_test(a_late_candidate_on_the_left_still_merges_first),
        cmocka_unit_test(both_forms_of_merges_and_the_version_line_are_read),
        cmocka_unit_test(unknown_characters_become_bytes_unknowns_or_nothing),
        cmocka_unit_test(ignore_merges_takes_whole_words_from_the_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
