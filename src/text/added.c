/* Added tokens: finding them in a text and reading them from tokenizer.json.
 *
 * At each place the longest token counts, and the search goes on behind it. A token may ask to
 * stand as a single word, or to swallow the white space beside it. With limits, a match must lie
 * inside one control span of the caller's text; the search runs as if nothing outside were there,
 * so text of users can neither form a control token nor break one. Stripping white space may cross
 * a span's border: that removes blanks, as `tokenizers` does, and makes no token. Thread: any after
 * parsing. Does not normalize; the caller does between the two passes. */
#include "added.h"

#include <string.h>

#include "pagoda/mem.h"
#include "tok_unicode.h"

/* ---- Matching ---- */

typedef struct scan {
    const pgd_added *a;
    const pgd_tok_trie *trie;
    const pgd_added_limits *lim;
    const uint32_t *origin;
    size_t text_n;
    pgd_tok_work *w;
    size_t span; /* index of the first span that may still matter */
} scan;

static size_t origin_of(const scan *s, size_t i) {
    if (i >= s->w->text.n) return s->text_n;
    return s->origin == NULL ? i : s->origin[i];
}

/* Whether a token may begin at byte i; *last: the end of its span in the caller's text. */
static bool may_begin(scan *s, size_t i, size_t *last) {
    if (!s->lim->limited) {
        *last = SIZE_MAX;
        return true;
    }
    const size_t at = origin_of(s, i);
    while (s->span < s->lim->n && s->lim->spans[s->span].end <= at) {
        s->span++;
    }
    if (s->span == s->lim->n || s->lim->spans[s->span].begin > at) return false;
    *last = s->lim->spans[s->span].end;
    return true;
}

/* Whether a match may end before byte i. Bytes that share an origin came from one segment; ending
 * inside one would leave it unclear which bytes of the caller were matched. */
static bool may_end(const scan *s, size_t i, size_t last) {
    if (!s->lim->limited) return true;
    if (s->origin != NULL && i < s->w->text.n && i > 0 && s->origin[i] == s->origin[i - 1]) {
        return false;
    }
    return origin_of(s, i) <= last;
}

/* Index of the longest token at byte i of a piece that ends at `end`, or -1; *stop: its end. */
static int32_t longest_at(scan *s, size_t i, size_t end, size_t *stop) {
    const char *const text = s->w->text.p;
    size_t last = 0;
    if (s->trie->root[(uint8_t)text[i]] == 0 || !may_begin(s, i, &last)) return -1;
    int32_t found = -1;
    uint32_t node = 0;
    for (size_t j = i; j < end; j++) {
        node = pgd_tok_trie_step(s->trie, node, (uint8_t)text[j]);
        if (node == 0) break;
        if (s->trie->value[node] < 0 || !may_end(s, j + 1, last)) continue;
        found = s->trie->value[node];
        *stop = j + 1;
    }
    return found;
}

/* Start of the code point that ends before byte i (> begin). */
static size_t previous(const char *text, size_t begin, size_t i) {
    do {
        i--;
    } while (i > begin && ((uint8_t)text[i] & 0xC0) == 0x80);
    return i;
}

static bool stands_alone(const scan *s, const pgd_tok_piece *p, size_t begin, size_t end) {
    const char *const text = s->w->text.p;
    size_t len = 0;
    if (begin > p->begin) {
        const size_t at = previous(text, p->begin, begin);
        if (pgd_uc_is_word(pgd_tok_cp(text, p->end, at, &len))) return false;
    }
    return end >= p->end || !pgd_uc_is_word(pgd_tok_cp(text, p->end, end, &len));
}

static size_t strip_left(const scan *s, size_t floor, size_t begin) {
    size_t len = 0;
    while (begin > floor) {
        const size_t at = previous(s->w->text.p, floor, begin);
        if (!pgd_uc_is_space(pgd_tok_cp(s->w->text.p, begin, at, &len))) break;
        begin = at;
    }
    return begin;
}

static size_t strip_right(const scan *s, size_t end, size_t ceiling) {
    size_t len = 0;
    while (end < ceiling && pgd_uc_is_space(pgd_tok_cp(s->w->text.p, ceiling, end, &len))) {
        end += len;
    }
    return end;
}

static pgd_status emit_text(scan *s, const pgd_tok_piece *p, size_t begin, size_t end) {
    return pgd_tok_work_emit(s->w,
                             (pgd_tok_piece){begin, end, -1, p->at_start && begin == p->begin});
}

static pgd_status split_piece(scan *s, const pgd_tok_piece *p) {
    size_t done = p->begin; /* text before this is emitted */
    for (size_t i = p->begin; i < p->end;) {
        size_t stop = 0;
        const int32_t index = longest_at(s, i, p->end, &stop);
        if (index < 0) {
            i++; /* inside a code point the trie has no key that starts there */
            continue;
        }
        const pgd_added_token *const t = &s->a->tokens[index];
        size_t begin = i;
        i = stop;
        if (t->single_word && !stands_alone(s, p, begin, stop)) continue;
        if (t->lstrip) begin = strip_left(s, done, begin);
        if (t->rstrip) stop = strip_right(s, stop, p->end);
        if (done < begin) PGD_TRY(emit_text(s, p, done, begin));
        PGD_TRY(pgd_tok_work_emit(s->w, (pgd_tok_piece){0, 0, t->id, false}));
        done = stop;
    }
    if (done < p->end) PGD_TRY(emit_text(s, p, done, p->end));
    return PGD_OK;
}

pgd_status pgd_added_split(const pgd_added *a, bool normed, const pgd_added_limits *lim,
                           const uint32_t *origin, size_t text_n, pgd_tok_work *w) {
    if (!(normed ? a->has_normed : a->has_raw)) return PGD_OK;
    scan s = {a, normed ? &a->normed : &a->raw, lim, origin, text_n, w, 0};
    w->out_n = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (w->pieces[i].id >= 0) {
            PGD_TRY(pgd_tok_work_emit(w, w->pieces[i]));
        } else {
            PGD_TRY(split_piece(&s, &w->pieces[i]));
        }
    }
    pgd_tok_work_flip_pieces(w);
    return PGD_OK;
}

/* ---- Parsing ---- */

static pgd_status normalize_content(const pgd_normalizer *nz, pgd_arena *arena, pgd_added_token *t,
                                    pgd_error *err) {
    t->normalized_content = t->content;
    if (!t->normalized || nz->n == 0) return PGD_OK;
    pgd_tok_text text = {0}, tmp = {0};
    pgd_tok_matcher *m = NULL;
    pgd_tok_text_put(&text, t->content.p, t->content.n, 0);
    pgd_status st = pgd_normalizer_apply(nz, &text, &tmp, &m, err);
    if (st == PGD_OK) st = pgd_tj_copy(arena, pgd_buf_sv(&text.buf), &t->normalized_content);
    pgd_tok_matcher_destroy(&m);
    pgd_tok_text_fini(&text);
    pgd_tok_text_fini(&tmp);
    return st;
}

static pgd_status parse_token(const pgd_json *v, const pgd_tj_path *at, pgd_arena *arena,
                              pgd_added_token *t, pgd_error *err) {
    if (pgd_json_typeof(v) != PGD_JSON_OBJECT) return pgd_tj_wrong(v, at, "", "an object", err);
    *t = (pgd_added_token){0};
    PGD_TRY(pgd_tj_str(v, at, "content", arena, &t->content, err));
    PGD_TRY(pgd_tj_bool(v, at, "single_word", false, &t->single_word, err));
    PGD_TRY(pgd_tj_bool(v, at, "lstrip", false, &t->lstrip, err));
    PGD_TRY(pgd_tj_bool(v, at, "rstrip", false, &t->rstrip, err));
    PGD_TRY(pgd_tj_bool(v, at, "special", false, &t->special, err));
    return pgd_tj_bool(v, at, "normalized", !t->special, &t->normalized, err);
}

/* Put t into a: a second token of the same content replaces the first. */
static pgd_status add(pgd_added *a, pgd_added_token t, const pgd_tok_vocab *vocab,
                      int32_t *next_id) {
    uint64_t index = a->n;
    if (pgd_strmap_get(a->by_content, t.content, &index)) {
        t.id = a->tokens[index].id;
    } else {
        t.id = pgd_tok_vocab_id(vocab, t.content);
        if (t.id < 0) t.id = (*next_id)++;
        a->n++;
        PGD_TRY(pgd_strmap_put(a->by_content, t.content, index));
    }
    a->tokens[index] = t;
    if (t.id > a->max_id) a->max_id = t.id;
    return PGD_OK;
}

static pgd_status build_trie(const pgd_added *a, bool normed, pgd_tok_trie *trie, bool *has) {
    pgd_tok_key *const keys = pgd_calloc(a->n + 1, sizeof *keys);
    if (keys == NULL) return PGD_E_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (a->tokens[i].normalized != normed) continue;
        const pgd_sv key = normed ? a->tokens[i].normalized_content : a->tokens[i].content;
        if (key.n > 0) keys[n++] = (pgd_tok_key){key, (int32_t)i};
    }
    *has = n > 0;
    const pgd_status st = n > 0 ? pgd_tok_trie_build(trie, keys, n) : PGD_OK;
    pgd_free(keys);
    return st;
}

static void free_tries(void *arg) {
    pgd_added *const a = arg;
    pgd_tok_trie_fini(&a->raw);
    pgd_tok_trie_fini(&a->normed);
}

pgd_status pgd_added_parse(const pgd_json *list, const pgd_tok_vocab *vocab,
                           const pgd_normalizer *nz, pgd_arena *arena, pgd_added *out,
                           pgd_error *err) {
    *out = (pgd_added){.max_id = -1};
    if (pgd_json_is_null(list)) return PGD_OK;
    const pgd_tj_path root = pgd_tj_root("added_tokens");
    if (pgd_json_typeof(list) != PGD_JSON_ARRAY) {
        return pgd_tj_wrong(list, &root, "", "an array", err);
    }
    const size_t n = pgd_json_count(list);
    if (n == 0) return PGD_OK;
    out->tokens = pgd_arena_array(arena, n, sizeof *out->tokens);
    if (out->tokens == NULL || vocab->n_entries + n > PGD_TOK_MAX_ID ||
        pgd_tok_strmap(arena, n, &out->by_content) != PGD_OK) {
        return pgd_fail(err, PGD_E_NOMEM, "added_tokens: no memory for %zu tokens", n);
    }
    int32_t next_id = (int32_t)vocab->n_entries;
    size_t i = 0;
    for (const pgd_json *v = pgd_json_first(list); v != NULL; v = pgd_json_next(v), i++) {
        const pgd_tj_path at = pgd_tj_item(&(pgd_tj_path){"tokenizer"}, "added_tokens", i);
        pgd_added_token t = {0};
        PGD_TRY(parse_token(v, &at, arena, &t, err));
        if (t.content.n == 0) continue;
        PGD_TRY(normalize_content(nz, arena, &t, err));
        if (add(out, t, vocab, &next_id) != PGD_OK) {
            return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        }
    }
    pgd_status st = build_trie(out, false, &out->raw, &out->has_raw);
    if (st == PGD_OK) st = build_trie(out, true, &out->normed, &out->has_normed);
    if (st == PGD_OK) st = pgd_arena_cleanup(arena, free_tries, out);
    if (st != PGD_OK) {
        free_tries(out);
        return pgd_fail(err, st, "added_tokens: cannot build their tries");
    }
    return PGD_OK;
}
