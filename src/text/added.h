/* Added tokens: texts that are cut out before the model sees anything. Immutable after parsing. */
#ifndef PGD_TEXT_ADDED_H
#define PGD_TEXT_ADDED_H

#include "pagoda/arena.h"
#include "pagoda/json.h"
#include "normalizer.h"
#include "tok_model.h"
#include "tok_trie.h"
#include "tok_work.h"

typedef struct pgd_added_token {
    pgd_sv content;            /* as written in the file */
    pgd_sv normalized_content; /* what it looks like after normalization; == content otherwise */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} pgd_added_token;

typedef struct pgd_added {
    pgd_added_token *tokens; /* [n], arena */
    size_t n;
    pgd_strmap *by_content;   /* content -> index; NULL when n is 0 */
    pgd_tok_trie raw, normed; /* values are indices; raw: matched before normalization */
    bool has_raw, has_normed;
    int32_t max_id; /* -1 when n is 0 */
} pgd_added;

/* Parse the array. Ids are assigned as `tokenizers` does: the vocabulary's id when the content is
 * in it, else the next free one. Errors: PGD_E_FORMAT, PGD_E_NOMEM. */
pgd_status pgd_added_parse(const pgd_json *list, const pgd_tok_vocab *vocab,
                           const pgd_normalizer *nz, pgd_arena *arena, pgd_added *out,
                           pgd_error *err);

/* Where added tokens may match. */
typedef struct pgd_added_limits {
    bool limited;          /* false: everywhere */
    const pgd_span *spans; /* in the caller's text, ascending and disjoint */
    size_t n;
} pgd_added_limits;
/* Cut w's text pieces at the added tokens: those matched before (normed false) or after
 * normalization. origin maps bytes of w->text to the caller's text (NULL: they are the same);
 * text_n is the caller's length. Errors: PGD_E_NOMEM. O(n times the longest added token). */
pgd_status pgd_added_split(const pgd_added *a, bool normed, const pgd_added_limits *lim,
                           const uint32_t *origin, size_t text_n, pgd_tok_work *w);

#endif
