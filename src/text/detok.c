/* Incremental detokenizer: the streaming decoder fed with ids.
 *
 * Decoding of whole lists uses the same stages, so what is emitted here, flush included, is what
 * pgd_tokenizer_decode gives for all ids. Thread: one per detokenizer. Does not know stop strings.
 */
#include "pagoda/mem.h"
#include "tokenizer_impl.h"

struct pgd_detok {
    const pgd_tokenizer *tok; /* borrowed for the detokenizer's life */
    bool skip_special;
    pgd_decoding decoding;
};

pgd_status pgd_detok_create(const pgd_tokenizer *tok, bool skip_special, pgd_detok **out) {
    pgd_detok *const d = pgd_calloc(1, sizeof *d);
    *out = d;
    if (d == NULL) return PGD_E_NOMEM;
    d->tok = tok;
    d->skip_special = skip_special;
    pgd_decoding_init(&d->decoding, &tok->decoder);
    return PGD_OK;
}

void pgd_detok_destroy(pgd_detok **d) {
    if (*d == NULL) return;
    pgd_decoding_fini(&(*d)->decoding);
    pgd_free(*d);
    *d = NULL;
}

pgd_status pgd_detok_push(pgd_detok *d, int32_t id, pgd_buf *out) {
    if (id < 0 || (size_t)id >= d->tok->n_ids) return PGD_E_INVALID;
    const pgd_tok_info *const info = &d->tok->info[id];
    if (info->decode.p == NULL || (d->skip_special && info->skip)) return PGD_OK;
    return pgd_decoding_push(&d->decoding, info->decode, out);
}

pgd_status pgd_detok_flush(pgd_detok *d, pgd_buf *out) {
    return pgd_decoding_finish(&d->decoding, out);
}
