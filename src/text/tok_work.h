/* Scratch of one encode call: the text as it stands after the steps done so far, and the pieces it
 * is cut into. Private to the tokenizer; owned by the call, so that tokenizers are shared freely.
 */
#ifndef PGD_TEXT_TOK_WORK_H
#define PGD_TEXT_TOK_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "tok_regex.h"
#include "tok_text.h"

/* A piece of the text, or a token already decided. */
typedef struct pgd_tok_piece {
    size_t begin, end; /* in the current text; unused for tokens */
    int32_t id;        /* >= 0: an added token; -1: text that is still to be tokenized */
    bool at_start;     /* its first byte came from the very start of the caller's text */
} pgd_tok_piece;

/* A part of a piece, and whether a splitting pattern matched it. */
typedef struct pgd_tok_match {
    size_t begin, end;
    bool match;
} pgd_tok_match;

typedef struct pgd_tok_symbol {
    int32_t id; /* -1: merged into its left neighbour */
    int64_t prev, next;
} pgd_tok_symbol;

typedef struct pgd_tok_merge {
    uint32_t rank;
    int32_t new_id;
    size_t pos;
} pgd_tok_merge;

/* A queue of merges of one rank (bpe_merge.c). */
typedef struct pgd_tok_waiting {
    size_t pos;
    int32_t new_id;
    int32_t next; /* 0: none */
} pgd_tok_waiting;
typedef struct pgd_tok_queue {
    int32_t head, tail;
    bool unsorted;
} pgd_tok_queue;

typedef struct pgd_tok_best {
    double score;
    size_t from; /* SIZE_MAX: not reached */
    int32_t id;
} pgd_tok_best;

typedef struct pgd_tok_work {
    pgd_sv text;                 /* what the pieces point into: the caller's text, or cur.buf */
    pgd_tok_text cur, next, tmp; /* tmp: scratch of normalizers and prefixes */
    pgd_tok_piece *pieces;
    size_t n, cap;
    pgd_tok_piece *out; /* pieces of the step being built */
    size_t out_n, out_cap;
    pgd_tok_match *matches;
    size_t n_matches, matches_cap;
    pgd_tok_matcher *matcher; /* created when a pattern first needs it */
    /* models */
    pgd_tok_symbol *symbols;
    size_t symbols_cap;
    pgd_tok_merge *heap;
    size_t heap_n, heap_cap;
    pgd_tok_queue *queues; /* [n_merges + 1], all empty between runs; NULL until needed */
    pgd_tok_waiting *waiting;
    size_t waiting_n, waiting_cap;
    pgd_tok_best *best;
    size_t best_cap;
    pgd_buf word;
} pgd_tok_work;

void pgd_tok_work_fini(pgd_tok_work *w);
/* Append to the pieces being built; empty text pieces are dropped, as `tokenizers` does. */
pgd_status pgd_tok_work_emit(pgd_tok_work *w, pgd_tok_piece piece);
/* The pieces being built become the pieces. */
void pgd_tok_work_flip_pieces(pgd_tok_work *w);
/* The text being built (next) becomes the text. */
void pgd_tok_work_flip_text(pgd_tok_work *w);
pgd_status pgd_tok_work_add_match(pgd_tok_work *w, size_t begin, size_t end, bool match);

#endif
