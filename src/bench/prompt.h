/* Prompts of a wanted length in tokens, as JSON. Private to src/bench. */
#ifndef PGD_BENCH_PROMPT_H
#define PGD_BENCH_PROMPT_H

#include "bench/workload.h"

enum { BENCH_MAX_WORDS = 160 };

/* What prompts are made of: token ids, or words that are one token each. */
typedef struct bench_prompts {
    bool tokens;                       /* arrays of ids; else text */
    uint64_t seed;                     /* of the words or ids drawn */
    uint32_t extra;                    /* tokens that template and begin-of-text add to n words */
    const char *word[BENCH_MAX_WORDS]; /* static text */
    uint32_t n_words;
    pgd_bench_range ids; /* tokens are drawn from it unless n_id > 0 */
    int32_t *id;         /* owned */
    size_t n_id;
    const char *lengths; /* how lengths were found, for the result: static text */
} bench_prompts;

void bench_prompts_fini(bench_prompts *p);

/* Counts the tokens that a prompt of this text would have. */
typedef pgd_status (*bench_count_fn)(void *ctx, pgd_sv text, uint64_t *n, pgd_error *err);

/* Choose the words that cost exactly one token in the middle of a text, and measure `extra`.
 * Errors: those of count, and PGD_E_UNSUPPORTED when too few words qualify. */
pgd_status bench_prompts_calibrate(bench_prompts *p, bench_count_fn count, void *ctx,
                                   pgd_error *err);
/* Take all words as one token each, extra 0: without any tokenizer. */
void bench_prompts_assume(bench_prompts *p);
/* A text of all words, for whoever wants the ids of their tokens. */
void bench_prompts_sample(pgd_buf *out);

/* Append the prompt of request `index` as a JSON value: an array of ids or a string. Requests share
 * exactly the first item->n_prefix tokens of their prefix. */
void bench_prompt_put(const bench_prompts *p, const bench_item *item, uint64_t index, pgd_buf *out);

#endif
