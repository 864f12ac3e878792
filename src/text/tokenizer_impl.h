/* What a tokenizer is made of. Private to src/text's tokenizer files. */
#ifndef PGD_TEXT_TOKENIZER_IMPL_H
#define PGD_TEXT_TOKENIZER_IMPL_H

#include "added.h"
#include "decoder.h"
#include "normalizer.h"
#include "pagoda/tokenizer.h"
#include "pretok.h"
#include "tok_model.h"

typedef enum pgd_model_kind {
    PGD_MODEL_BPE,
    PGD_MODEL_UNIGRAM,
    PGD_MODEL_WORDPIECE /* and WordLevel */
} pgd_model_kind;

/* One item of the post-processor's template: an id, or the encoded text. */
enum { PGD_POST_TEXT = -1 };

/* What decoding needs about an id. */
typedef struct pgd_tok_info {
    pgd_sv str;    /* p == NULL: no such token */
    pgd_sv decode; /* what the decoder gets: str, or an added token's normalized form */
    bool special;  /* an added token marked special */
    bool skip;     /* skip_special leaves it out */
} pgd_tok_info;

struct pgd_tokenizer {
    pgd_arena *arena; /* owns everything below */
    pgd_normalizer normalizer;
    pgd_pretok pretok;
    pgd_model_kind kind;
    pgd_tok_vocab vocab;
    pgd_bpe *bpe;
    pgd_unigram *unigram;
    pgd_wordpiece *wordpiece;
    pgd_added added;
    pgd_decoder decoder;
    int32_t *post; /* [post_n] ids and PGD_POST_TEXT; encoding without specials keeps the latter */
    size_t post_n;
    pgd_tok_info *info; /* [n_ids] */
    size_t n_ids;
};

/* Fill post/post_n from the post_processor node (tokenizer_post.c). */
pgd_status pgd_tokenizer_parse_post(pgd_tokenizer *t, const pgd_json *node, pgd_error *err);

#endif
