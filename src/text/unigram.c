/* Unigram language model: the segmentation with the highest sum of scores.
 *
 * One forward pass keeps, for every byte offset, the best score of any segmentation that ends there
 * (Viterbi); the trie lists the tokens that start at a place, so a text of n bytes costs O(n times
 * the longest token). A character that is no token by itself may also be the unknown token, at ten
 * below the lowest score. Neighbouring unknowns fuse into one before they are looked up again, and
 * with byte_fallback they become their bytes.
 * Thread: any after parsing. Does not sample. */
#include <math.h>
#include <string.h>

#include "pagoda/mem.h"
#include "tok_model.h"

struct pgd_unigram {
    const pgd_tok_vocab *vocab;
    pgd_tok_trie trie;
    double *scores; /* [vocab->n_ids] */
    double unk_score;
    int32_t unk; /* -1: none */
    bool byte_fallback;
    int32_t bytes[256];
};

static void reach(pgd_tok_best *target, double score, size_t from, int32_t id) {
    if (target->from == SIZE_MAX || score > target->score) {
        *target = (pgd_tok_best){score, from, id};
    }
}

/* Fill w->best[0..n]. False when the unknown token is needed and missing. */
static bool forward(const pgd_unigram *m, pgd_tok_work *w, pgd_sv s) {
    for (size_t i = 0; i <= s.n; i++) {
        w->best[i] = (pgd_tok_best){0, SIZE_MAX, 0};
    }
    for (size_t i = 0, len = 0; i < s.n; i += len) {
        const double here = w->best[i].score;
        bool single = false;
        pgd_tok_cp(s.p, s.n, i, &len);
        uint32_t node = 0;
        for (size_t j = i; j < s.n; j++) {
            node = pgd_tok_trie_step(&m->trie, node, (uint8_t)s.p[j]);
            if (node == 0) break;
            const int32_t id = m->trie.value[node];
            if (id < 0) continue;
            reach(&w->best[j + 1], here + m->scores[id], i, id);
            single = single || j + 1 == i + len;
        }
        if (single) continue;
        if (m->unk < 0 && w->best[i + len].from == SIZE_MAX) return false;
        if (m->unk >= 0) reach(&w->best[i + len], here + m->unk_score, i, m->unk);
    }
    return true;
}

/* Emit the text of one segment (a token or a fused run of unknowns). */
static pgd_status emit(const pgd_unigram *m, pgd_sv s, pgd_ids *out) {
    const int32_t id = pgd_tok_vocab_id(m->vocab, s);
    if (id >= 0) return pgd_ids_push(out, id);
    bool all = m->byte_fallback;
    for (size_t i = 0; i < s.n && all; i++) {
        all = m->bytes[(uint8_t)s.p[i]] >= 0;
    }
    if (!all) return pgd_ids_push(out, m->unk);
    for (size_t i = 0; i < s.n; i++) {
        PGD_TRY(pgd_ids_push(out, m->bytes[(uint8_t)s.p[i]]));
    }
    return PGD_OK;
}

pgd_status pgd_unigram_encode(const pgd_unigram *m, pgd_tok_work *w, pgd_sv word, pgd_ids *out) {
    pgd_tok_best *const best = pgd_tok_grow(w->best, &w->best_cap, word.n + 1, sizeof *best);
    if (best == NULL) return PGD_E_NOMEM;
    w->best = best;
    if (!forward(m, w, word)) return PGD_E_UNSUPPORTED;
    /* Turn the back links around: from[] of a segment's start becomes its end. */
    size_t next = SIZE_MAX;
    int32_t next_id = -1;
    for (size_t end = word.n;;) {
        const pgd_tok_best b = best[end];
        best[end].from = next;
        best[end].id = next_id;
        if (end == 0) break;
        next = end;
        next_id = b.id;
        end = b.from;
    }
    for (size_t i = 0; i < word.n;) {
        size_t end = best[i].from;
        if (best[i].id == m->unk) {
            while (end < word.n && best[end].id == m->unk) {
                end = best[end].from;
            }
        }
        PGD_TRY(emit(m, (pgd_sv){word.p + i, end - i}, out));
        i = end;
    }
    return PGD_OK;
}

/* ---- Parsing ---- */

static const pgd_tj_path MODEL = {"model"};

static void free_trie(void *arg) {
    pgd_tok_trie_fini(arg);
}

static pgd_status parse_entries(pgd_unigram *m, const pgd_json *list, pgd_arena *arena,
                                pgd_tok_vocab *v, pgd_tok_key *keys, pgd_error *err) {
    double lowest = INFINITY;
    int32_t id = 0;
    for (const pgd_json *e = pgd_json_first(list); e != NULL; e = pgd_json_next(e), id++) {
        const pgd_json *const text = pgd_json_first(e);
        const pgd_json *const score = text == NULL ? NULL : pgd_json_next(text);
        pgd_sv s;
        double d = 0;
        if (pgd_json_typeof(e) != PGD_JSON_ARRAY || !pgd_json_as_str(text, &s) ||
            !pgd_json_as_f64(score, &d)) {
            return pgd_fail(err, PGD_E_FORMAT, "model.vocab[%d]: wanted [\"token\", score]",
                            (int)id);
        }
        if (pgd_tj_copy(arena, s, &v->str[id]) != PGD_OK ||
            pgd_strmap_put(v->ids, v->str[id], (uint64_t)id) != PGD_OK) {
            return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        }
        m->scores[id] = d;
        lowest = d < lowest ? d : lowest;
        keys[id] = (pgd_tok_key){v->str[id], id};
    }
    m->unk_score = lowest - 10.0;
    return PGD_OK;
}

static pgd_status parse_vocab(pgd_unigram *m, const pgd_json *list, pgd_arena *arena,
                              pgd_tok_vocab *v, pgd_error *err) {
    *v = (pgd_tok_vocab){0};
    if (list == NULL || pgd_json_typeof(list) != PGD_JSON_ARRAY) {
        return pgd_tj_wrong(list, &MODEL, "vocab", "an array", err);
    }
    const size_t n = pgd_json_count(list);
    if (n > PGD_TOK_MAX_ID) {
        return pgd_fail(err, PGD_E_LIMIT, "model.vocab: %zu entries, at most %d", n,
                        PGD_TOK_MAX_ID);
    }
    v->n_ids = n;
    v->n_entries = n;
    v->str = pgd_arena_array(arena, n + 1, sizeof *v->str);
    m->scores = pgd_arena_array(arena, n + 1, sizeof *m->scores);
    pgd_tok_key *const keys = pgd_calloc(n + 1, sizeof *keys);
    pgd_status st = PGD_OK;
    if (v->str == NULL || m->scores == NULL || keys == NULL ||
        pgd_tok_strmap(arena, n, &v->ids) != PGD_OK) {
        st = pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    if (st == PGD_OK) st = parse_entries(m, list, arena, v, keys, err);
    if (st == PGD_OK) {
        st = pgd_tok_trie_build(&m->trie, keys, n);
        if (st != PGD_OK) {
            st = pgd_fail(err, st, "model.vocab: cannot build its trie");
        } else if (pgd_arena_cleanup(arena, free_trie, &m->trie) != PGD_OK) {
            pgd_tok_trie_fini(&m->trie);
            st = pgd_fail(err, PGD_E_NOMEM, "out of memory");
        }
    }
    pgd_free(keys);
    return st;
}

pgd_status pgd_unigram_parse(const pgd_json *model, pgd_arena *arena, pgd_tok_vocab *vocab,
                             pgd_unigram **out, pgd_error *err) {
    pgd_unigram *const m = pgd_arena_zalloc(arena, sizeof *m);
    if (m == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    m->vocab = vocab;
    PGD_TRY(parse_vocab(m, pgd_json_get(model, "vocab"), arena, vocab, err));
    PGD_TRY(pgd_tj_bool(model, &MODEL, "byte_fallback", false, &m->byte_fallback, err));
    int64_t unk = -1;
    PGD_TRY(pgd_tj_uint(model, &MODEL, "unk_id", -1, PGD_TOK_MAX_ID, &unk, err));
    if (unk >= (int64_t)vocab->n_ids) {
        return pgd_fail(err, PGD_E_FORMAT, "model.unk_id %lld, but model.vocab has %zu entries",
                        (long long)unk, vocab->n_ids);
    }
    m->unk = (int32_t)unk;
    pgd_tok_vocab_bytes(vocab, m->bytes);
    *out = m;
    return PGD_OK;
}
