/* WordPiece (greedy longest match) and WordLevel (whole words).
 *
 * Two tries answer "longest token from here": one over the vocabulary for the start of a word, one
 * over the tokens that carry the continuing prefix for the rest. A word in which any place has no
 * match, or which is too long, is one unknown token. O(n times the longest token).
 * Thread: any after parsing. Does not split text into words. */
#include <string.h>

#include "pagoda/mem.h"
#include "tok_model.h"

struct pgd_wordpiece {
    const pgd_tok_vocab *vocab;
    pgd_tok_trie start, rest;
    size_t max_chars;
    int32_t unk; /* -1: the vocabulary lacks it */
    bool whole_words;
};

/* Longest key of t that is a prefix of s: its length (0 when none) and id. */
static size_t longest(const pgd_tok_trie *t, pgd_sv s, int32_t *id) {
    uint32_t node = 0;
    size_t best = 0;
    for (size_t i = 0; i < s.n; i++) {
        node = pgd_tok_trie_step(t, node, (uint8_t)s.p[i]);
        if (node == 0) break;
        if (t->value[node] < 0) continue;
        best = i + 1;
        *id = t->value[node];
    }
    return best;
}

static pgd_status emit_unk(const pgd_wordpiece *m, pgd_ids *out) {
    return m->unk < 0 ? PGD_E_UNSUPPORTED : pgd_ids_push(out, m->unk);
}

pgd_status pgd_wordpiece_encode(const pgd_wordpiece *m, pgd_sv word, pgd_ids *out) {
    if (m->whole_words) {
        const int32_t id = pgd_tok_vocab_id(m->vocab, word);
        return id >= 0 ? pgd_ids_push(out, id) : emit_unk(m, out);
    }
    if (pgd_utf8_count(word.p, word.n) > m->max_chars) return emit_unk(m, out);
    const size_t before = out->n;
    for (size_t i = 0; i < word.n;) {
        int32_t id = -1;
        const size_t len =
            longest(i == 0 ? &m->start : &m->rest, (pgd_sv){word.p + i, word.n - i}, &id);
        if (len == 0) {
            out->n = before;
            return emit_unk(m, out);
        }
        PGD_TRY(pgd_ids_push(out, id));
        i += len;
    }
    return PGD_OK;
}

/* ---- Parsing ---- */

static const pgd_tj_path MODEL = {"model"};

static void free_tries(void *arg) {
    pgd_wordpiece *const m = arg;
    pgd_tok_trie_fini(&m->start);
    pgd_tok_trie_fini(&m->rest);
}

static pgd_status build_tries(pgd_wordpiece *m, pgd_sv prefix) {
    const pgd_tok_vocab *const v = m->vocab;
    pgd_tok_key *const keys = pgd_calloc(v->n_ids + 1, sizeof *keys);
    if (keys == NULL) return PGD_E_NOMEM;
    size_t n = 0;
    for (size_t id = 0; id < v->n_ids; id++) {
        if (v->str[id].p != NULL) keys[n++] = (pgd_tok_key){v->str[id], (int32_t)id};
    }
    pgd_status st = pgd_tok_trie_build(&m->start, keys, n);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!pgd_sv_starts(keys[i].key, prefix)) continue;
        const pgd_sv tail = {keys[i].key.p + prefix.n, keys[i].key.n - prefix.n};
        keys[kept++] = (pgd_tok_key){tail, keys[i].value};
    }
    if (st == PGD_OK) st = pgd_tok_trie_build(&m->rest, keys, kept);
    pgd_free(keys);
    return st;
}

pgd_status pgd_wordpiece_parse(const pgd_json *model, bool whole_words, const pgd_tok_vocab *vocab,
                               pgd_arena *arena, pgd_wordpiece **out, pgd_error *err) {
    pgd_wordpiece *const m = pgd_arena_zalloc(arena, sizeof *m);
    if (m == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    m->vocab = vocab;
    m->whole_words = whole_words;
    pgd_sv unk, prefix;
    PGD_TRY(pgd_tj_opt_str(model, &MODEL, "unk_token", arena, &unk, err));
    if (unk.p == NULL) unk = whole_words ? PGD_SV("<unk>") : PGD_SV("[UNK]");
    m->unk = pgd_tok_vocab_id(vocab, unk);
    if (!whole_words) {
        int64_t max_chars = 100;
        PGD_TRY(pgd_tj_opt_str(model, &MODEL, "continuing_subword_prefix", arena, &prefix, err));
        if (prefix.p == NULL) prefix = PGD_SV("##");
        PGD_TRY(pgd_tj_uint(model, &MODEL, "max_input_chars_per_word", 100, INT32_MAX, &max_chars,
                            err));
        m->max_chars = (size_t)max_chars;
        const pgd_status st = build_tries(m, prefix);
        if (st != PGD_OK || pgd_arena_cleanup(arena, free_tries, m) != PGD_OK) {
            free_tries(m);
            return pgd_fail(err, st == PGD_OK ? PGD_E_NOMEM : st,
                            "model.vocab: cannot build its tries");
        }
    }
    *out = m;
    return PGD_OK;
}
