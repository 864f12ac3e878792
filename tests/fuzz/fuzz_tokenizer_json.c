/* Fuzz target of the tokenizer loader: any bytes as tokenizer.json. What loads must encode and
 * decode a few texts without error other than those of the contract, with ids inside the
 * vocabulary, and decoding one id at a time must give the text of decoding all. */
#include <stdint.h>

#include "pagoda/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_both_ways(const pgd_tokenizer *tok, const pgd_ids *ids) {
    pgd_buf whole = {0}, parts = {0};
    pgd_detok *d = NULL;
    const pgd_status st = pgd_tokenizer_decode(tok, ids->v, ids->n, false, &whole, NULL);
    PGD_ASSERT(pgd_detok_create(tok, false, &d) == PGD_OK);
    pgd_status one = PGD_OK;
    for (size_t i = 0; i < ids->n && one == PGD_OK; i++) {
        one = pgd_detok_push(d, ids->v[i], &parts);
    }
    if (one == PGD_OK) one = pgd_detok_flush(d, &parts);
    PGD_ASSERT(one == st);
    if (st == PGD_OK) PGD_ASSERT(pgd_sv_eq(pgd_buf_sv(&whole), pgd_buf_sv(&parts)));
    pgd_detok_destroy(&d);
    pgd_buf_fini(&whole);
    pgd_buf_fini(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const texts[] = {"", " ", "Hello, world! it's 123",
                                        "aaaaaaaaaaaaaaaaaaaaaaa",
                                        "a\xCC\x81\xE4\xB8\xAD\xF0\x9F\x98\x80<s>[SEP]\n\n x"};
    pgd_tokenizer *tok = NULL;
    pgd_error err = {0};
    if (pgd_tokenizer_parse((pgd_sv){(const char *)data, size}, &tok, &err) != PGD_OK) {
        PGD_ASSERT(err.msg[0] != '\0' && tok == NULL);
        return 0;
    }
    const int32_t n = (int32_t)pgd_tokenizer_vocab_size(tok);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        pgd_ids ids = {0};
        const pgd_sv text = pgd_sv_c(texts[i]);
        const pgd_span all = {0, text.n};
        const unsigned flags =
            i % 2 == 0 ? PGD_ENCODE_ADD_SPECIAL : PGD_ENCODE_ADD_SPECIAL | PGD_ENCODE_CONTROL_SPANS;
        const pgd_status st = pgd_tokenizer_encode(tok, text, flags, &all, 1, &ids, &err);
        PGD_ASSERT(st == PGD_OK || st == PGD_E_LIMIT || st == PGD_E_UNSUPPORTED ||
                   st == PGD_E_NOMEM);
        for (size_t k = 0; k < ids.n; k++) {
            PGD_ASSERT(ids.v[k] >= 0 && ids.v[k] < n);
        }
        if (st == PGD_OK) decode_both_ways(tok, &ids);
        pgd_ids_fini(&ids);
    }
    for (int32_t id = -1; id <= n && id < 300; id++) {
        pgd_buf bytes = {0};
        (void)pgd_tokenizer_token(tok, id);
        pgd_tokenizer_token_bytes(tok, id, &bytes);
        pgd_buf_fini(&bytes);
    }
    pgd_tokenizer_destroy(&tok);
    return 0;
}
