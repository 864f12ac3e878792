/* The tokenizer's public face: encoding, decoding and questions about ids.
 *
 * Encoding runs the file's pipeline on pieces of text: added tokens out, normalize, normalized
 * added tokens out, pre-tokenize, model, post-processor. All scratch is in the call, so a tokenizer
 * is shared read-only by any number of threads. Does not parse (tokenizer_load.c). */
#include "pagoda/tokenizer.h"

#include "pagoda/mem.h"
#include "tokenizer_impl.h"

enum { MAX_TEXT_BYTES = 1 << 30 }; /* origins are 32-bit */

void pgd_ids_fini(pgd_ids *ids) {
    pgd_free(ids->v);
    *ids = (pgd_ids){0};
}

pgd_status pgd_ids_push(pgd_ids *ids, int32_t id) {
    if (ids->n == ids->cap) {
        int32_t *const v = pgd_tok_grow(ids->v, &ids->cap, ids->n + 1, sizeof *v);
        if (v == NULL) return PGD_E_NOMEM;
        ids->v = v;
    }
    ids->v[ids->n++] = id;
    return PGD_OK;
}

/* ---- Encoding ---- */

/* Normalize every text piece into one new text. */
static pgd_status normalize_pieces(const pgd_tokenizer *t, bool track, pgd_tok_work *w,
                                   pgd_error *err) {
    pgd_tok_text one = {0}; /* one piece under normalization */
    pgd_status st = PGD_OK;
    pgd_tok_text_clear(&w->next, track);
    w->out_n = 0;
    for (size_t i = 0; i < w->n && st == PGD_OK; i++) {
        pgd_tok_piece p = w->pieces[i];
        if (p.id < 0) {
            pgd_tok_text_clear(&one, track);
            if (track) {
                for (size_t k = p.begin; k < p.end; k++) {
                    pgd_tok_text_put(&one, w->text.p + k, 1, (uint32_t)k);
                }
            } else {
                pgd_buf_put(&one.buf, w->text.p + p.begin, p.end - p.begin);
            }
            if (one.buf.failed) st = pgd_fail(err, PGD_E_NOMEM, "out of memory");
            if (st == PGD_OK) {
                st = pgd_normalizer_apply(&t->normalizer, &one, &w->tmp, &w->matcher, err);
            }
            p.begin = w->next.buf.n;
            pgd_tok_text_copy(&w->next, &one, 0, one.buf.n);
            p.end = w->next.buf.n;
            p.at_start = p.at_start && track && one.buf.n > 0 && one.origin[0] == 0;
        }
        if (st == PGD_OK && (w->next.buf.failed || pgd_tok_work_emit(w, p) != PGD_OK)) {
            st = pgd_fail(err, PGD_E_NOMEM, "out of memory");
        }
    }
    pgd_tok_text_fini(&one);
    if (st != PGD_OK) return st;
    pgd_tok_work_flip_pieces(w);
    pgd_tok_work_flip_text(w);
    return PGD_OK;
}

/* From the caller's text to words and added tokens in w->pieces. */
static pgd_status cut(const pgd_tokenizer *t, pgd_sv text, const pgd_added_limits *lim,
                      pgd_tok_work *w, pgd_error *err) {
    const pgd_status nomem = PGD_E_NOMEM;
    w->text = text;
    if (pgd_tok_work_emit(w, (pgd_tok_piece){0, text.n, -1, true}) != PGD_OK) {
        return pgd_fail(err, nomem, "out of memory");
    }
    pgd_tok_work_flip_pieces(w);
    if (pgd_added_split(&t->added, false, lim, NULL, text.n, w) != PGD_OK) {
        return pgd_fail(err, nomem, "out of memory");
    }
    const uint32_t *origin = NULL;
    if (t->normalizer.n > 0) {
        const bool track = t->pretok.needs_start || (lim->limited && t->added.has_normed);
        PGD_TRY(normalize_pieces(t, track, w, err));
        if (track) origin = w->cur.origin;
    }
    if (pgd_added_split(&t->added, true, lim, origin, text.n, w) != PGD_OK) {
        return pgd_fail(err, nomem, "out of memory");
    }
    return pgd_pretok_apply(&t->pretok, w, err);
}

static pgd_status encode_word(const pgd_tokenizer *t, pgd_tok_work *w, pgd_sv word, pgd_ids *out) {
    switch (t->kind) {
    case PGD_MODEL_BPE:
        return pgd_bpe_encode(t->bpe, w, word, out);
    case PGD_MODEL_UNIGRAM:
        return pgd_unigram_encode(t->unigram, w, word, out);
    case PGD_MODEL_WORDPIECE:
        return pgd_wordpiece_encode(t->wordpiece, word, out);
    }
    return PGD_E_INTERNAL;
}

static pgd_status encode_pieces(const pgd_tokenizer *t, pgd_tok_work *w, pgd_ids *out,
                                pgd_error *err) {
    for (size_t i = 0; i < w->n; i++) {
        const pgd_tok_piece *const p = &w->pieces[i];
        const pgd_status st =
            p->id >= 0 ? pgd_ids_push(out, p->id)
                       : encode_word(t, w, (pgd_sv){w->text.p + p->begin, p->end - p->begin}, out);
        if (st == PGD_E_UNSUPPORTED) {
            return pgd_fail(err, st,
                            "the text has a character that this tokenizer has no token "
                            "for, and it defines no unknown token");
        }
        if (st != PGD_OK) return pgd_fail(err, st, "out of memory");
    }
    return PGD_OK;
}

pgd_status pgd_tokenizer_encode(const pgd_tokenizer *t, pgd_sv text, unsigned flags,
                                const pgd_span *control, size_t n_control, pgd_ids *out,
                                pgd_error *err) {
    if (text.n > MAX_TEXT_BYTES) {
        return pgd_fail(err, PGD_E_LIMIT, "text of %zu bytes, at most %d", text.n, MAX_TEXT_BYTES);
    }
    const pgd_added_limits lim = {(flags & PGD_ENCODE_CONTROL_SPANS) != 0, control, n_control};
    const size_t before = out->n;
    pgd_tok_work w = {0};
    pgd_status st = cut(t, text, &lim, &w, err);
    for (size_t i = 0; i < t->post_n && st == PGD_OK; i++) {
        if (t->post[i] == PGD_POST_TEXT) {
            st = encode_pieces(t, &w, out, err);
        } else if ((flags & PGD_ENCODE_ADD_SPECIAL) != 0 &&
                   pgd_ids_push(out, t->post[i]) != PGD_OK) {
            st = pgd_fail(err, PGD_E_NOMEM, "out of memory");
        }
    }
    pgd_tok_work_fini(&w);
    if (st != PGD_OK) out->n = before;
    return st;
}

/* ---- Decoding ---- */

pgd_status pgd_tokenizer_decode(const pgd_tokenizer *t, const int32_t *ids, size_t n,
                                bool skip_special, pgd_buf *out, pgd_error *err) {
    pgd_decoding d;
    pgd_decoding_init(&d, &t->decoder);
    pgd_status st = PGD_OK;
    for (size_t i = 0; i < n && st == PGD_OK; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= t->n_ids) {
            st = pgd_fail(err, PGD_E_INVALID, "token %zu is %d, but ids go from 0 to %zu", i,
                          (int)ids[i], t->n_ids == 0 ? 0 : t->n_ids - 1);
            break;
        }
        const pgd_tok_info *const info = &t->info[ids[i]];
        if (info->decode.p == NULL || (skip_special && info->skip)) continue;
        st = pgd_decoding_push(&d, info->decode, out);
        if (st != PGD_OK) (void)pgd_fail(err, st, "decoding token %zu", i);
    }
    if (st == PGD_OK) {
        st = pgd_decoding_finish(&d, out);
        if (st != PGD_OK) (void)pgd_fail(err, st, "decoding the end of the text");
    }
    pgd_decoding_fini(&d);
    return st;
}

/* ---- Ids ---- */

uint32_t pgd_tokenizer_vocab_size(const pgd_tokenizer *t) {
    return (uint32_t)t->n_ids;
}

int32_t pgd_tokenizer_id_of(const pgd_tokenizer *t, pgd_sv token) {
    uint64_t index = 0;
    if (t->added.by_content != NULL && pgd_strmap_get(t->added.by_content, token, &index)) {
        return t->added.tokens[index].id;
    }
    return pgd_tok_vocab_id(&t->vocab, token);
}

pgd_sv pgd_tokenizer_token(const pgd_tokenizer *t, int32_t id) {
    if (id < 0 || (size_t)id >= t->n_ids) return (pgd_sv){0};
    return t->info[id].str;
}

void pgd_tokenizer_token_bytes(const pgd_tokenizer *t, int32_t id, pgd_buf *out) {
    if (id < 0 || (size_t)id >= t->n_ids || t->info[id].str.p == NULL) return;
    uint64_t index = 0;
    if (t->added.by_content != NULL &&
        pgd_strmap_get(t->added.by_content, t->info[id].str, &index)) {
        pgd_buf_putsv(out, t->info[id].str); /* an added token stands for its own text */
        return;
    }
    pgd_decoder_middle(&t->decoder, t->info[id].decode, out);
}

bool pgd_tokenizer_is_special(const pgd_tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < t->n_ids && t->info[id].special;
}

int32_t pgd_tokenizer_bos(const pgd_tokenizer *t) {
    return t->post_n > 0 && t->post[0] != PGD_POST_TEXT ? t->post[0] : -1;
}
