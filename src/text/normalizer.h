/* Normalizers of tokenizer.json, flattened to a list of steps. Immutable after parsing. */
#ifndef PGD_TEXT_NORMALIZER_H
#define PGD_TEXT_NORMALIZER_H

#include "pagoda/arena.h"
#include "pagoda/json.h"
#include "tok_json.h"
#include "tok_regex.h"
#include "tok_text.h"

typedef struct pgd_normalizer_step pgd_normalizer_step;
typedef struct pgd_normalizer {
    pgd_normalizer_step *steps; /* owned by the arena given to parse */
    size_t n;
} pgd_normalizer;

/* Parse the node (NULL or null: no steps). Memory comes from arena, compiled patterns are freed by
 * its cleanups. Errors: PGD_E_FORMAT, PGD_E_UNSUPPORTED, PGD_E_NOMEM. */
pgd_status pgd_normalizer_parse(const pgd_json *node, pgd_arena *arena, pgd_normalizer *out,
                                pgd_error *err);
/* Normalize *text in place; *tmp is scratch (the two are swapped around). *m is created when a
 * pattern first needs it. Errors: PGD_E_NOMEM, PGD_E_LIMIT. */
pgd_status pgd_normalizer_apply(const pgd_normalizer *nz, pgd_tok_text *text, pgd_tok_text *tmp,
                                pgd_tok_matcher **m, pgd_error *err);

/* SentencePiece's precompiled character map: a Darts trie from byte sequences to offsets in a pool
 * of NUL-terminated replacements. */
typedef struct pgd_charsmap {
    const uint32_t *trie;
    size_t n_trie;
    const char *pool;
    size_t pool_n;
} pgd_charsmap;
/* Decode the base64 text of tokenizer.json into the arena. Errors: PGD_E_FORMAT, PGD_E_NOMEM. */
pgd_status pgd_charsmap_parse(pgd_sv base64, const pgd_tj_path *at, pgd_arena *arena,
                              pgd_charsmap *out, pgd_error *err);
/* Append the mapped text to out. O(n). */
void pgd_charsmap_apply(const pgd_charsmap *cm, const pgd_tok_text *in, pgd_tok_text *out);

/* Copy the parts of in to out, each match of `re` (or of the text `literal` when re is NULL)
 * replaced by content. Also used by the Replace decoder. */
pgd_status pgd_normalizer_replace(const pgd_tok_text *in, pgd_tok_text *out, pgd_sv literal,
                                  const pgd_tok_regex *re, pgd_sv content, pgd_tok_matcher **m,
                                  pgd_error *err);

#endif
