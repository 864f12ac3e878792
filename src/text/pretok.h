/* Pre-tokenizers of tokenizer.json, flattened to a list of steps. Immutable after parsing. */
#ifndef PGD_TEXT_PRETOK_H
#define PGD_TEXT_PRETOK_H

#include "pagoda/arena.h"
#include "pagoda/json.h"
#include "tok_json.h"
#include "tok_work.h"

typedef enum pgd_split_behavior {
    PGD_SPLIT_REMOVED,
    PGD_SPLIT_ISOLATED,
    PGD_SPLIT_MERGED_WITH_PREVIOUS,
    PGD_SPLIT_MERGED_WITH_NEXT,
    PGD_SPLIT_CONTIGUOUS,
} pgd_split_behavior;

typedef enum pgd_pretok_kind {
    PGD_PRETOK_BYTE_LEVEL,
    PGD_PRETOK_SPLIT,
    PGD_PRETOK_METASPACE,
    PGD_PRETOK_CLASS, /* split on the code points for which `is` holds */
    PGD_PRETOK_WORDS, /* runs of word characters, runs of the rest, white space dropped */
    PGD_PRETOK_CHAR,
    PGD_PRETOK_FIXED_LENGTH,
} pgd_pretok_kind;

typedef enum pgd_prepend { PGD_PREPEND_ALWAYS, PGD_PREPEND_FIRST, PGD_PREPEND_NEVER } pgd_prepend;

typedef struct pgd_pretok_step {
    pgd_pretok_kind kind;
    pgd_split_behavior behavior;
    bool invert;           /* SPLIT: the pattern matches what is not a delimiter */
    bool add_prefix_space; /* BYTE_LEVEL */
    bool split;            /* METASPACE: cut before each replacement */
    pgd_prepend prepend;   /* METASPACE */
    uint32_t cp;           /* METASPACE, CHAR */
    size_t length;         /* FIXED_LENGTH, in code points */
    bool (*is)(uint32_t);  /* CLASS */
    pgd_sv literal;        /* SPLIT on a plain text */
    pgd_tok_regex *re;     /* SPLIT by pattern, BYTE_LEVEL with its own pattern */
} pgd_pretok_step;

typedef struct pgd_pretok {
    pgd_pretok_step *steps; /* owned by the arena given to parse */
    size_t n;
    bool needs_start; /* a step asks whether a piece is at the start of the text */
} pgd_pretok;

/* Parse the node (NULL or null: no steps). Errors: PGD_E_FORMAT, PGD_E_UNSUPPORTED, PGD_E_NOMEM. */
pgd_status pgd_pretok_parse(const pgd_json *node, pgd_arena *arena, pgd_pretok *out,
                            pgd_error *err);
/* Cut w's text pieces further. Errors: PGD_E_NOMEM, PGD_E_LIMIT. */
pgd_status pgd_pretok_apply(const pgd_pretok *pt, pgd_tok_work *w, pgd_error *err);

#endif
