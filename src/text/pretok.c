/* Pre-tokenization: cutting text pieces into the words that the model sees.
 *
 * A step goes over all pieces once. Most only move borders; Metaspace and ByteLevel also rewrite
 * the text, into a second buffer that then takes the first one's place. A splitter first lists the
 * parts of a piece (matched or not), then one rule per behavior joins or drops them, exactly as
 * `tokenizers` does it. Pieces that are added tokens pass through.
 * Thread: the caller's. O(n) per step apart from what a pattern itself costs. */
#include "pretok.h"

#include <string.h>

#include "tok_unicode.h"

/* ---- Listing the parts of a text ---- */

/* Parts of text[0..n) by runs of code points: each code point that `is` is a match of its own. */
static pgd_status match_class(pgd_tok_work *w, pgd_sv text, bool (*is)(uint32_t), uint32_t only) {
    size_t done = 0;
    for (size_t i = 0, len = 0; i < text.n; i += len) {
        const uint32_t cp = pgd_tok_cp(text.p, text.n, i, &len);
        if (!(is == NULL ? cp == only : is(cp))) continue;
        if (done < i) PGD_TRY(pgd_tok_work_add_match(w, done, i, false));
        PGD_TRY(pgd_tok_work_add_match(w, i, i + len, true));
        done = i + len;
    }
    if (done < text.n) PGD_TRY(pgd_tok_work_add_match(w, done, text.n, false));
    return PGD_OK;
}

static pgd_status match_literal(pgd_tok_work *w, pgd_sv text, pgd_sv literal, bool invert) {
    size_t done = 0;
    for (;;) {
        const size_t at = pgd_sv_find(text, literal, done);
        if (at == SIZE_MAX) break;
        if (done < at) PGD_TRY(pgd_tok_work_add_match(w, done, at, invert));
        PGD_TRY(pgd_tok_work_add_match(w, at, at + literal.n, !invert));
        done = at + literal.n;
    }
    if (done < text.n) PGD_TRY(pgd_tok_work_add_match(w, done, text.n, invert));
    return PGD_OK;
}

static pgd_status match_regex(pgd_tok_work *w, pgd_sv text, const pgd_tok_regex *re, bool invert,
                              pgd_error *err) {
    if (w->matcher == NULL && pgd_tok_matcher_create(&w->matcher) != PGD_OK) return PGD_E_NOMEM;
    pgd_tok_regex_iter it = {re, w->matcher, text, 0, SIZE_MAX};
    size_t done = 0;
    for (;;) {
        bool found = false;
        size_t begin = 0, end = 0;
        PGD_TRY(pgd_tok_regex_next(&it, &found, &begin, &end, err));
        if (!found) break;
        if (done != begin) PGD_TRY(pgd_tok_work_add_match(w, done, begin, invert));
        PGD_TRY(pgd_tok_work_add_match(w, begin, end, !invert));
        done = end;
    }
    if (done != text.n) PGD_TRY(pgd_tok_work_add_match(w, done, text.n, invert));
    return PGD_OK;
}

/* \w+|[^\w\s]+ with everything else (white space) as the delimiter. */
static pgd_status match_words(pgd_tok_work *w, pgd_sv text) {
    int kind = -1; /* of the run that begins at `begin`: 0 space, 1 word, 2 other */
    size_t begin = 0;
    for (size_t i = 0, len = 0; i < text.n; i += len) {
        const uint32_t cp = pgd_tok_cp(text.p, text.n, i, &len);
        const int k = pgd_uc_is_word(cp) ? 1 : pgd_uc_is_space(cp) ? 0 : 2;
        if (k == kind) continue;
        if (kind >= 0) PGD_TRY(pgd_tok_work_add_match(w, begin, i, kind == 0));
        kind = k;
        begin = i;
    }
    if (kind >= 0) PGD_TRY(pgd_tok_work_add_match(w, begin, text.n, kind == 0));
    return PGD_OK;
}

static pgd_status match_fixed(pgd_tok_work *w, pgd_sv text, size_t length) {
    size_t begin = 0, count = 0;
    for (size_t i = 0, len = 0; i < text.n; i += len) {
        pgd_tok_cp(text.p, text.n, i, &len);
        if (++count < length && i + len < text.n) continue;
        PGD_TRY(pgd_tok_work_add_match(w, begin, i + len, false));
        begin = i + len;
        count = 0;
    }
    return PGD_OK;
}

/* ---- Joining parts into pieces ---- */

/* Emit part [m->begin, to) of the piece p. */
static pgd_status emit(pgd_tok_work *w, const pgd_tok_piece *p, size_t begin, size_t end) {
    return pgd_tok_work_emit(w, (pgd_tok_piece){.begin = p->begin + begin,
                                                .end = p->begin + end,
                                                .id = -1,
                                                .at_start = p->at_start && begin == 0});
}

/* Cut the piece p by w->matches (offsets relative to p->begin) and emit what the behavior keeps. */
static pgd_status apply_behavior(pgd_tok_work *w, const pgd_tok_piece *p, pgd_split_behavior how) {
    const pgd_tok_match *const m = w->matches;
    const size_t n = w->n_matches;
    for (size_t i = 0; i < n;) {
        size_t j = i + 1; /* parts i..j-1 become one piece */
        switch (how) {
        case PGD_SPLIT_REMOVED:
            if (m[i].match) {
                i++;
                continue;
            }
            break;
        case PGD_SPLIT_ISOLATED:
            break;
        case PGD_SPLIT_MERGED_WITH_PREVIOUS:
            if (!m[i].match && j < n && m[j].match) j++;
            break;
        case PGD_SPLIT_MERGED_WITH_NEXT:
            if (m[i].match && j < n && !m[j].match) j++;
            break;
        case PGD_SPLIT_CONTIGUOUS:
            while (j < n && m[j].match == m[i].match) {
                j++;
            }
            break;
        }
        PGD_TRY(emit(w, p, m[i].begin, m[j - 1].end));
        i = j;
    }
    return PGD_OK;
}

/* ---- Steps ---- */

static pgd_sv piece_text(const pgd_tok_work *w, const pgd_tok_piece *p) {
    return (pgd_sv){w->text.p + p->begin, p->end - p->begin};
}

static pgd_status split_piece(const pgd_pretok_step *s, pgd_tok_work *w, const pgd_tok_piece *p,
                              pgd_error *err) {
    const pgd_sv text = piece_text(w, p);
    w->n_matches = 0;
    switch (s->kind) {
    case PGD_PRETOK_SPLIT:
        if (s->re != NULL) {
            PGD_TRY(match_regex(w, text, s->re, s->invert, err));
        } else {
            PGD_TRY(match_literal(w, text, s->literal, s->invert));
        }
        break;
    case PGD_PRETOK_WORDS:
        PGD_TRY(match_words(w, text));
        break;
    case PGD_PRETOK_FIXED_LENGTH:
        PGD_TRY(match_fixed(w, text, s->length));
        return apply_behavior(w, p, PGD_SPLIT_ISOLATED);
    default:
        PGD_TRY(match_class(w, text, s->is, s->cp));
        break;
    }
    return apply_behavior(w, p, s->behavior);
}

/* Spaces become the replacement, one is put before the piece where the scheme asks for it, and the
 * result is cut before every replacement. */
static pgd_status metaspace_piece(const pgd_pretok_step *s, pgd_tok_work *w,
                                  const pgd_tok_piece *p) {
    const pgd_sv text = piece_text(w, p);
    char rep[4];
    const size_t rep_n = pgd_utf8_encode(s->cp, rep);
    pgd_buf *const out = &w->next.buf;
    const size_t begin = out->n;
    const bool has = text.p[0] == ' ' || (text.n >= rep_n && memcmp(text.p, rep, rep_n) == 0);
    if (!has &&
        (s->prepend == PGD_PREPEND_ALWAYS || (s->prepend == PGD_PREPEND_FIRST && p->at_start))) {
        pgd_buf_put(out, rep, rep_n);
    }
    for (size_t i = 0; i < text.n;) {
        const char *const space = memchr(text.p + i, ' ', text.n - i);
        const size_t end = space == NULL ? text.n : (size_t)(space - text.p);
        pgd_buf_put(out, text.p + i, end - i);
        if (space != NULL) pgd_buf_put(out, rep, rep_n);
        i = end + (space != NULL);
    }
    if (out->failed) return PGD_E_NOMEM;
    const pgd_tok_piece whole = {begin, out->n, -1, p->at_start};
    if (!s->split) return pgd_tok_work_emit(w, whole);
    w->n_matches = 0;
    PGD_TRY(match_class(w, (pgd_sv){out->p + begin, out->n - begin}, NULL, s->cp));
    return apply_behavior(w, &whole, PGD_SPLIT_MERGED_WITH_NEXT);
}

static pgd_status byte_level_piece(const pgd_pretok_step *s, pgd_tok_work *w,
                                   const pgd_tok_piece *p, pgd_error *err) {
    pgd_sv text = piece_text(w, p);
    if (s->add_prefix_space && text.p[0] != ' ') {
        pgd_tok_text_clear(&w->tmp, false);
        pgd_buf_putc(&w->tmp.buf, ' ');
        pgd_buf_putsv(&w->tmp.buf, text);
        if (w->tmp.buf.failed) return PGD_E_NOMEM;
        text = pgd_buf_sv(&w->tmp.buf);
    }
    w->n_matches = 0;
    if (s->re != NULL) {
        PGD_TRY(match_regex(w, text, s->re, false, err));
    } else {
        PGD_TRY(pgd_tok_work_add_match(w, 0, text.n, false));
    }
    for (size_t i = 0; i < w->n_matches; i++) {
        const pgd_tok_match *const m = &w->matches[i];
        const size_t begin = w->next.buf.n;
        pgd_tok_put_byte_level(&w->next, text.p + m->begin, m->end - m->begin, 0);
        if (w->next.buf.failed) return PGD_E_NOMEM;
        PGD_TRY(pgd_tok_work_emit(
            w, (pgd_tok_piece){begin, w->next.buf.n, -1, p->at_start && m->begin == 0}));
    }
    return PGD_OK;
}

static pgd_status apply_step(const pgd_pretok_step *s, pgd_tok_work *w, pgd_error *err) {
    const bool rewrites = s->kind == PGD_PRETOK_METASPACE || s->kind == PGD_PRETOK_BYTE_LEVEL;
    if (rewrites) {
        pgd_tok_text_clear(&w->next, false);
        /* typical growth; the buffer grows further by itself */
        if (pgd_buf_reserve(&w->next.buf, w->text.n + w->text.n / 2 + 16) != PGD_OK) {
            return PGD_E_NOMEM;
        }
    }
    w->out_n = 0;
    for (size_t i = 0; i < w->n; i++) {
        const pgd_tok_piece *const p = &w->pieces[i];
        if (p->id >= 0) {
            PGD_TRY(pgd_tok_work_emit(w, *p));
        } else if (s->kind == PGD_PRETOK_METASPACE) {
            PGD_TRY(metaspace_piece(s, w, p));
        } else if (s->kind == PGD_PRETOK_BYTE_LEVEL) {
            PGD_TRY(byte_level_piece(s, w, p, err));
        } else {
            PGD_TRY(split_piece(s, w, p, err));
        }
    }
    pgd_tok_work_flip_pieces(w);
    if (rewrites) pgd_tok_work_flip_text(w);
    return PGD_OK;
}

pgd_status pgd_pretok_apply(const pgd_pretok *pt, pgd_tok_work *w, pgd_error *err) {
    for (size_t i = 0; i < pt->n; i++) {
        const pgd_status st = apply_step(&pt->steps[i], w, err);
        if (st == PGD_E_NOMEM) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        PGD_TRY(st);
    }
    return PGD_OK;
}
