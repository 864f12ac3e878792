/* Byte pair encoding: the characters of a word, and reading the model.
 *
 * A word starts as one symbol per code point, which bpe_merge.c then merges. A code point without a
 * token becomes its bytes, or the unknown token, or vanishes, as the file says.
 *
 * Merges live in an open-addressing table of our own instead of a pgd_map64: this lookup is the
 * innermost loop of encoding, and the table never changes after the load.
 * Thread: any after parsing. Dropout, a training device, is ignored as it is at inference. */
#include <string.h>

#include "bpe_impl.h"
#include "pagoda/mem.h"

/* ---- Encoding ---- */

typedef struct symbol_list {
    pgd_tok_work *w;
    size_t n;
    int32_t unk; /* an unknown token that waits for its run to end, -1 when none */
} symbol_list;

static pgd_status add_symbol(symbol_list *l, int32_t id) {
    pgd_tok_work *const w = l->w;
    if (l->n == w->symbols_cap) {
        pgd_tok_symbol *const s = pgd_tok_grow(w->symbols, &w->symbols_cap, l->n + 1, sizeof *s);
        if (s == NULL) return PGD_E_NOMEM;
        w->symbols = s;
    }
    w->symbols[l->n++].id = id;
    return PGD_OK;
}

static pgd_status flush_unk(symbol_list *l) {
    if (l->unk < 0) return PGD_OK;
    const int32_t id = l->unk;
    l->unk = -1;
    return add_symbol(l, id);
}

/* A character outside the vocabulary: its bytes if all of them have tokens, else the unknown token.
 * As in `tokenizers`, bytes do not flush an unknown token that is still waiting. */
static pgd_status add_unknown(const pgd_bpe *m, symbol_list *l, pgd_sv s) {
    if (m->byte_fallback) {
        bool all = true;
        for (size_t i = 0; i < s.n; i++) {
            all = all && m->bytes[(uint8_t)s.p[i]] >= 0;
        }
        if (all) {
            for (size_t i = 0; i < s.n; i++) {
                PGD_TRY(add_symbol(l, m->bytes[(uint8_t)s.p[i]]));
            }
            return PGD_OK;
        }
    }
    if (m->unk < 0) return PGD_OK;
    if (!m->fuse_unk) PGD_TRY(flush_unk(l));
    l->unk = m->unk;
    return PGD_OK;
}

static pgd_status add_char(const pgd_bpe *m, symbol_list *l, pgd_sv word, size_t i, size_t len,
                           uint32_t cp) {
    const bool decorated = (i > 0 && m->prefix.n > 0) || (i + len == word.n && m->suffix.n > 0);
    pgd_sv s = {word.p + i, len};
    int32_t id;
    if (!decorated) {
        id = cp < PGD_BPE_LOW_CHARS ? m->low[cp] : pgd_tok_vocab_id(m->vocab, s);
    } else {
        pgd_buf *const b = &l->w->word;
        pgd_buf_clear(b);
        if (i > 0) pgd_buf_putsv(b, m->prefix);
        pgd_buf_putsv(b, s);
        if (i + len == word.n) pgd_buf_putsv(b, m->suffix);
        if (b->failed) return PGD_E_NOMEM;
        s = pgd_buf_sv(b);
        id = pgd_tok_vocab_id(m->vocab, s);
    }
    if (id < 0) return add_unknown(m, l, s);
    PGD_TRY(flush_unk(l));
    return add_symbol(l, id);
}

pgd_status pgd_bpe_encode(const pgd_bpe *m, pgd_tok_work *w, pgd_sv word, pgd_ids *out) {
    if (m->ignore_merges) {
        const int32_t id = pgd_tok_vocab_id(m->vocab, word);
        if (id >= 0) return pgd_ids_push(out, id);
    }
    symbol_list l = {w, 0, -1};
    for (size_t i = 0, len = 0; i < word.n; i += len) {
        const uint32_t cp = pgd_tok_cp(word.p, word.n, i, &len);
        PGD_TRY(add_char(m, &l, word, i, len, cp));
    }
    PGD_TRY(flush_unk(&l));
    if (l.n == 0) return PGD_OK;
    PGD_TRY(pgd_bpe_merge_word(m, w, l.n));
    for (int64_t i = 0; i >= 0; i = w->symbols[i].next) {
        PGD_TRY(pgd_ids_push(out, w->symbols[i].id));
    }
    return PGD_OK;
}

/* ---- Parsing ---- */

static const pgd_tj_path MODEL = {"model"};

/* The two halves of merge e: "a b" or ["a", "b"]. */
static pgd_status merge_halves(const pgd_json *e, size_t index, pgd_sv *a, pgd_sv *b,
                               pgd_error *err) {
    pgd_sv s;
    if (pgd_json_as_str(e, &s)) {
        const size_t at = pgd_sv_find(s, PGD_SV(" "), 0);
        if (at != SIZE_MAX && pgd_sv_find(s, PGD_SV(" "), at + 1) == SIZE_MAX) {
            *a = (pgd_sv){s.p, at};
            *b = (pgd_sv){s.p + at + 1, s.n - at - 1};
            return PGD_OK;
        }
    } else if (pgd_json_typeof(e) == PGD_JSON_ARRAY && pgd_json_count(e) == 2 &&
               pgd_json_as_str(pgd_json_first(e), a) &&
               pgd_json_as_str(pgd_json_next(pgd_json_first(e)), b)) {
        return PGD_OK;
    }
    return pgd_fail(err, PGD_E_FORMAT, "model.merges[%zu]: wanted \"a b\" or [\"a\", \"b\"]",
                    index);
}

static void put_merge(pgd_bpe *m, uint64_t pair, uint32_t rank, int32_t new_id) {
    size_t i = pgd_bpe_slot(pair, m->mask);
    while (m->slots[i].pair != UINT64_MAX && m->slots[i].pair != pair) {
        i = (i + 1) & m->mask;
    }
    m->slots[i] = (pgd_bpe_merge){pair, rank, new_id};
}

static pgd_status add_merge(pgd_bpe *m, const pgd_json *e, size_t index, uint32_t rank,
                            pgd_buf *joined, pgd_error *err) {
    pgd_sv a = {NULL, 0}, b = {NULL, 0};
    PGD_TRY(merge_halves(e, index, &a, &b, err));
    if (b.n < m->prefix.n) {
        return pgd_fail(err, PGD_E_FORMAT,
                        "model.merges[%zu]: right half is shorter than the "
                        "continuing_subword_prefix",
                        index);
    }
    pgd_buf_clear(joined);
    pgd_buf_putsv(joined, a);
    pgd_buf_put(joined, b.p + m->prefix.n, b.n - m->prefix.n);
    if (joined->failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    const int32_t ia = pgd_tok_vocab_id(m->vocab, a), ib = pgd_tok_vocab_id(m->vocab, b);
    const int32_t merged = pgd_tok_vocab_id(m->vocab, pgd_buf_sv(joined));
    if (ia < 0 || ib < 0 || merged < 0 || a.n == 0 || b.n == m->prefix.n) {
        return pgd_fail(err, PGD_E_FORMAT,
                        "model.merges[%zu]: \"%.*s\" + \"%.*s\" needs tokens that are not in "
                        "model.vocab",
                        index, (int)(a.n < 60 ? a.n : 60), a.p, (int)(b.n < 60 ? b.n : 60), b.p);
    }
    put_merge(m, (uint64_t)(uint32_t)ia << 32 | (uint32_t)ib, rank, merged);
    const size_t bit = pgd_bpe_join_bit(m->edges[ia].last, m->edges[ib].first);
    m->joins[bit / 64] |= (uint64_t)1 << (bit % 64);
    return PGD_OK;
}

/* First and last characters of all tokens; an empty token has none and joins nothing. */
static pgd_status find_edges(pgd_bpe *m, pgd_arena *arena, pgd_error *err) {
    m->edges = pgd_arena_array(arena, m->vocab->n_ids + 1, sizeof *m->edges);
    m->joins = pgd_arena_array(arena, PGD_BPE_JOIN_BITS / 64, sizeof *m->joins);
    if (m->edges == NULL || m->joins == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    for (size_t id = 0; id < m->vocab->n_ids; id++) {
        const pgd_sv s = m->vocab->str[id];
        if (s.n == 0) continue;
        size_t last = s.n - 1, len = 0;
        while (last > 0 && ((uint8_t)s.p[last] & 0xC0) == 0x80) {
            last--;
        }
        m->edges[id] =
            (pgd_bpe_edges){pgd_tok_cp(s.p, s.n, 0, &len), pgd_tok_cp(s.p, s.n, last, &len)};
    }
    return PGD_OK;
}

static pgd_status parse_merges(pgd_bpe *m, const pgd_json *list, pgd_arena *arena, pgd_error *err) {
    if (list == NULL || pgd_json_typeof(list) != PGD_JSON_ARRAY) {
        return pgd_tj_wrong(list, &MODEL, "merges", "an array", err);
    }
    const size_t count = pgd_json_count(list);
    size_t slots = 16;
    while (slots < count * 2) {
        slots *= 2;
    }
    m->slots = pgd_arena_array(arena, slots, sizeof *m->slots);
    if (m->slots == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    memset(m->slots, 0xFF, slots * sizeof *m->slots);
    m->mask = slots - 1;
    m->n_merges = count;
    pgd_buf joined = {0};
    pgd_status st = PGD_OK;
    size_t index = 0;
    uint32_t rank = 0;
    for (const pgd_json *e = pgd_json_first(list); e != NULL && st == PGD_OK;
         e = pgd_json_next(e), index++) {
        pgd_sv s;
        if (pgd_json_as_str(e, &s) && pgd_sv_starts(s, PGD_SV("#version"))) continue;
        st = add_merge(m, e, index, rank++, &joined, err);
    }
    pgd_buf_fini(&joined);
    return st;
}

pgd_status pgd_bpe_parse(const pgd_json *model, const pgd_tok_vocab *vocab, pgd_arena *arena,
                         pgd_bpe **out, pgd_error *err) {
    pgd_bpe *const m = pgd_arena_zalloc(arena, sizeof *m);
    if (m == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    m->vocab = vocab;
    pgd_sv unk;
    PGD_TRY(pgd_tj_opt_str(model, &MODEL, "unk_token", arena, &unk, err));
    PGD_TRY(pgd_tj_opt_str(model, &MODEL, "continuing_subword_prefix", arena, &m->prefix, err));
    PGD_TRY(pgd_tj_opt_str(model, &MODEL, "end_of_word_suffix", arena, &m->suffix, err));
    PGD_TRY(pgd_tj_bool(model, &MODEL, "byte_fallback", false, &m->byte_fallback, err));
    PGD_TRY(pgd_tj_bool(model, &MODEL, "fuse_unk", false, &m->fuse_unk, err));
    PGD_TRY(pgd_tj_bool(model, &MODEL, "ignore_merges", false, &m->ignore_merges, err));
    m->unk = unk.p == NULL ? -1 : pgd_tok_vocab_id(vocab, unk);
    if (unk.p != NULL && m->unk < 0) {
        return pgd_fail(err, PGD_E_FORMAT, "model.unk_token \"%.*s\" is not in model.vocab",
                        (int)(unk.n < 60 ? unk.n : 60), unk.p);
    }
    pgd_tok_vocab_bytes(vocab, m->bytes);
    for (uint32_t cp = 0; cp < PGD_BPE_LOW_CHARS; cp++) {
        char s[4];
        m->low[cp] = pgd_tok_vocab_id(vocab, (pgd_sv){s, pgd_utf8_encode(cp, s)});
    }
    PGD_TRY(find_edges(m, arena, err));
    PGD_TRY(parse_merges(m, pgd_json_get(model, "merges"), arena, err));
    *out = m;
    return PGD_OK;
}
