/* Tokenizers as Hugging Face `tokenizer.json` describes them: normalizer, pre-tokenizer, model
 * (BPE, Unigram, WordPiece), post-processor, decoder, added tokens. Encoding and decoding equal the
 * `tokenizers` library. A tokenizer is immutable after load and shared read-only by all threads;
 * scratch memory lives in per-call state. Text is valid UTF-8 (the caller has checked). */
#ifndef PAGODA_TOKENIZER_H
#define PAGODA_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_tokenizer pgd_tokenizer;

/* Growable list of token ids. {0} is empty. Owned; free with pgd_ids_fini. */
typedef struct pgd_ids {
    int32_t *v;
    size_t n, cap;
} pgd_ids;
void pgd_ids_fini(pgd_ids *ids);
pgd_status pgd_ids_push(pgd_ids *ids, int32_t id);

/* Parse a tokenizer.json (text is only read during the call). Errors: PGD_E_FORMAT and
 * PGD_E_UNSUPPORTED name the JSON path and what was expected. */
pgd_status pgd_tokenizer_parse(pgd_sv tokenizer_json, pgd_tokenizer **out, pgd_error *err);
/* Read and parse the file at path; messages name it. */
pgd_status pgd_tokenizer_load(const char *path, pgd_tokenizer **out, pgd_error *err);
void pgd_tokenizer_destroy(pgd_tokenizer **tok);

/* Half-open byte range of a text. */
typedef struct pgd_span {
    size_t begin, end;
} pgd_span;

enum {
    PGD_ENCODE_ADD_SPECIAL = 1, /* run the post-processor (BOS, [CLS], ...) */
    /* Match added tokens inside the `control` spans only; elsewhere their text is ordinary text. So
     * that text of users never becomes a control token. Without the flag they match everywhere. */
    PGD_ENCODE_CONTROL_SPANS = 2,
};

/* Append the ids of text to out. control: ascending, disjoint spans in which added tokens may
 * match (a match must lie inside one span); used with PGD_ENCODE_CONTROL_SPANS only.
 * Errors: PGD_E_NOMEM, PGD_E_LIMIT (regex limits). O(n log n) whatever the text. */
pgd_status pgd_tokenizer_encode(const pgd_tokenizer *tok, pgd_sv text, unsigned flags,
                                const pgd_span *control, size_t n_control, pgd_ids *out,
                                pgd_error *err);

/* Append the text of ids[0..n) to out as `tokenizers` decodes it (decoder chain applied;
 * byte-level pieces that form no valid UTF-8 become U+FFFD). Ids outside the vocabulary:
 * PGD_E_INVALID naming the index. skip_special drops added tokens marked special. */
pgd_status pgd_tokenizer_decode(const pgd_tokenizer *tok, const int32_t *ids, size_t n,
                                bool skip_special, pgd_buf *out, pgd_error *err);

/* Number of ids (largest id + 1, added tokens included). */
uint32_t pgd_tokenizer_vocab_size(const pgd_tokenizer *tok);
/* Id of a token's exact string (as it stands in the vocabulary or added tokens), or -1. */
int32_t pgd_tokenizer_id_of(const pgd_tokenizer *tok, pgd_sv token);
/* The vocabulary string of id ("Ġthe"), empty when id is unknown. Borrowed. */
pgd_sv pgd_tokenizer_token(const pgd_tokenizer *tok, int32_t id);
/* The raw bytes that id stands for in the middle of a text (" the"): appended to out. These are
 * the `bytes` of logprobs; a byte-fallback or partial piece may be no valid UTF-8. */
void pgd_tokenizer_token_bytes(const pgd_tokenizer *tok, int32_t id, pgd_buf *out);
/* Whether id is an added token marked special. */
bool pgd_tokenizer_is_special(const pgd_tokenizer *tok, int32_t id);
/* Whether encoding with PGD_ENCODE_ADD_SPECIAL starts with this id; -1 when with none. */
int32_t pgd_tokenizer_bos(const pgd_tokenizer *tok);

/* Incremental decoding of one growing sequence. The concatenation of everything emitted, flush
 * included, equals pgd_tokenizer_decode of all ids; text is held back while it may still change
 * (cut UTF-8, decoder context). Constant work a token. One thread. */
typedef struct pgd_detok pgd_detok;
pgd_status pgd_detok_create(const pgd_tokenizer *tok, bool skip_special, pgd_detok **out);
void pgd_detok_destroy(pgd_detok **d);
/* Append what id makes certain to out (maybe nothing). Errors: PGD_E_INVALID, PGD_E_NOMEM. */
pgd_status pgd_detok_push(pgd_detok *d, int32_t id, pgd_buf *out);
/* Emit what is held back, as the end of the text. */
pgd_status pgd_detok_flush(pgd_detok *d, pgd_buf *out);

#endif
