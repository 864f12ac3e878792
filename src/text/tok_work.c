/* Memory of one encode call: growth and release of the arrays in pgd_tok_work.
 *
 * Invariant: pieces are in text order and index `text`; tokens among them have no text. Thread: the
 * caller's. Does not shrink: a call lives for one text. */
#include "tok_work.h"

#include "pagoda/mem.h"

void pgd_tok_work_fini(pgd_tok_work *w) {
    pgd_tok_text_fini(&w->cur);
    pgd_tok_text_fini(&w->next);
    pgd_tok_text_fini(&w->tmp);
    pgd_free(w->pieces);
    pgd_free(w->out);
    pgd_free(w->matches);
    pgd_tok_matcher_destroy(&w->matcher);
    pgd_free(w->symbols);
    pgd_free(w->heap);
    pgd_free(w->queues);
    pgd_free(w->waiting);
    pgd_free(w->best);
    pgd_buf_fini(&w->word);
    *w = (pgd_tok_work){0};
}

pgd_status pgd_tok_work_emit(pgd_tok_work *w, pgd_tok_piece piece) {
    if (piece.id < 0 && piece.begin >= piece.end) return PGD_OK;
    if (w->out_n == w->out_cap) {
        pgd_tok_piece *const p = pgd_tok_grow(w->out, &w->out_cap, w->out_n + 1, sizeof *p);
        if (p == NULL) return PGD_E_NOMEM;
        w->out = p;
    }
    w->out[w->out_n++] = piece;
    return PGD_OK;
}

void pgd_tok_work_flip_pieces(pgd_tok_work *w) {
    pgd_tok_piece *const p = w->pieces;
    const size_t cap = w->cap;
    w->pieces = w->out;
    w->n = w->out_n;
    w->cap = w->out_cap;
    w->out = p;
    w->out_n = 0;
    w->out_cap = cap;
}

void pgd_tok_work_flip_text(pgd_tok_work *w) {
    const pgd_tok_text t = w->cur;
    w->cur = w->next;
    w->next = t;
    w->text = pgd_buf_sv(&w->cur.buf);
}

pgd_status pgd_tok_work_add_match(pgd_tok_work *w, size_t begin, size_t end, bool match) {
    if (w->n_matches == w->matches_cap) {
        pgd_tok_match *const m =
            pgd_tok_grow(w->matches, &w->matches_cap, w->n_matches + 1, sizeof *m);
        if (m == NULL) return PGD_E_NOMEM;
        w->matches = m;
    }
    w->matches[w->n_matches++] = (pgd_tok_match){begin, end, match};
    return PGD_OK;
}
