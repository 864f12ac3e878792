/* The models of tokenizer.json: from one word to ids. Immutable after parsing, shared read-only;
 * scratch is in the call's pgd_tok_work. Private to the tokenizer. */
#ifndef PGD_TEXT_TOK_MODEL_H
#define PGD_TEXT_TOK_MODEL_H

#include "pagoda/arena.h"
#include "pagoda/json.h"
#include "pagoda/map.h"
#include "pagoda/tokenizer.h"
#include "tok_json.h"
#include "tok_trie.h"
#include "tok_work.h"

enum { PGD_TOK_MAX_ID = (1 << 24) - 1 }; /* ids above are refused: they size arrays */

/* Strings and ids of the model's own vocabulary. */
typedef struct pgd_tok_vocab {
    pgd_sv *str;  /* [n_ids], p == NULL where an id has no token; arena */
    size_t n_ids; /* largest id + 1 */
    size_t n_entries;
    pgd_strmap *ids; /* string -> id; destroyed by the arena's cleanups */
} pgd_tok_vocab;

/* Parse {"token": id, ...}. Errors: PGD_E_FORMAT, PGD_E_NOMEM. */
pgd_status pgd_tok_vocab_parse(const pgd_json *obj, const pgd_tj_path *at, pgd_arena *arena,
                               pgd_tok_vocab *out, pgd_error *err);
/* Id of s, or -1. */
static inline int32_t pgd_tok_vocab_id(const pgd_tok_vocab *v, pgd_sv s) {
    uint64_t id = 0;
    return pgd_strmap_get(v->ids, s, &id) ? (int32_t)id : -1;
}
/* Ids of "<0x00>".."<0xFF>", -1 where missing. */
void pgd_tok_vocab_bytes(const pgd_tok_vocab *v, int32_t out[256]);
/* An empty map registered with the arena for destruction. Errors: PGD_E_NOMEM. */
pgd_status pgd_tok_strmap(pgd_arena *arena, size_t hint, pgd_strmap **out);

typedef struct pgd_bpe pgd_bpe;
pgd_status pgd_bpe_parse(const pgd_json *model, const pgd_tok_vocab *vocab, pgd_arena *arena,
                         pgd_bpe **out, pgd_error *err);
/* Append the ids of word (not empty) to out. Errors: PGD_E_NOMEM. O(n log n). */
pgd_status pgd_bpe_encode(const pgd_bpe *m, pgd_tok_work *w, pgd_sv word, pgd_ids *out);

typedef struct pgd_unigram pgd_unigram;
/* Also fills the vocabulary, which this model writes as a list with scores. */
pgd_status pgd_unigram_parse(const pgd_json *model, pgd_arena *arena, pgd_tok_vocab *vocab,
                             pgd_unigram **out, pgd_error *err);
/* Errors: PGD_E_NOMEM; PGD_E_UNSUPPORTED when the text needs the unknown token and there is none.
 */
pgd_status pgd_unigram_encode(const pgd_unigram *m, pgd_tok_work *w, pgd_sv word, pgd_ids *out);

typedef struct pgd_wordpiece pgd_wordpiece;
/* WordPiece and (whole_words) WordLevel. */
pgd_status pgd_wordpiece_parse(const pgd_json *model, bool whole_words, const pgd_tok_vocab *vocab,
                               pgd_arena *arena, pgd_wordpiece **out, pgd_error *err);
pgd_status pgd_wordpiece_encode(const pgd_wordpiece *m, pgd_sv word, pgd_ids *out);

#endif
