/* The step plan: the only contract between the engine and the executors. One pointer-free,
 * versioned blob a step, written once by the engine and read by every rank (one upload on a GPU).
 * All offsets count bytes from the start of the blob and are multiples of 8.
 *
 *   header | seq[n_seq] | ids[n_tok] | init[n_init] | table[n_table] | copy[n_copy] | aux[]
 *
 * Order of effects within a step: slot inits, page-table diffs, page copies, forward, sampling.
 *
 * A plan in which grammars have a say comes in two parts. Which tokens a grammar allows depends on
 * the token before, and that one is still being computed when the plan is made. So the forward pass
 * starts with the plan alone, and only the head waits for a second, small blob: pgd_plan_late. */
#ifndef PAGODA_PLAN_H
#define PAGODA_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "pagoda/sampling.h"
#include "pagoda/status.h"

enum {
    PGD_PLAN_MAGIC = 0x31504750,
    PGD_PLAN_VERSION = 2,
    PGD_PLAN_MAX_SLOTS = 1 << 14 /* limits.max_slots is at most this */
};

enum {
    PGD_PLAN_SAMPLE = 1,  /* sample a token after the last row of this sequence */
    PGD_PLAN_LATE_ID = 2, /* the first id is the slot's last sampled token (ids holds -1) */
    PGD_PLAN_SCORE = 4,   /* report the logprob of each row's next token (prompt scoring): of all
                             rows but the last, and of the last when score_next >= 0, which excludes
                             PGD_PLAN_SAMPLE */
    PGD_PLAN_MASK = 8,    /* with PGD_PLAN_SAMPLE: of the tokens that the late part allows */
    PGD_PLAN_HIDDEN = 16, /* with PGD_PLAN_SCORE: the result has the final hidden states */
};

/* One sequence's share of a step: rows [q_start, q_start + n_new) of the step's tokens are the
 * positions [kv_start, kv_start + n_new) of the sequence. */
typedef struct pgd_plan_seq {
    uint32_t slot;
    uint32_t q_start, n_new, kv_start;
    uint32_t flags;
    int32_t score_next; /* PGD_PLAN_SCORE: target of the last row, -1: not scored; else -1 */
} pgd_plan_seq;

/* Prepare a slot for a (new or resumed) sequence. Lists lie in aux. */
typedef struct pgd_plan_init {
    uint32_t slot;
    uint32_t n_prompt;         /* tokens of the prompt */
    uint32_t n_history;        /* known tokens, prompt first; 0 unless penalties need them */
    uint32_t off_history;      /* int32[n_history] */
    uint32_t n_bias, off_bias; /* pgd_bias[n_bias] */
    uint32_t pad_[2];
    pgd_sampling sampling;
} pgd_plan_init;

/* Write page ids into a slot's page table: entries [first, first + n). */
typedef struct pgd_plan_table {
    uint32_t slot, first, n;
    uint32_t off_pages; /* int32[n] in aux */
} pgd_plan_table;

/* Copy the first n_tokens of page src to page dst, all layers. The copies of a plan run side by
 * side: a page that one of them writes is neither read nor written by another. */
typedef struct pgd_plan_copy {
    uint32_t src, dst, n_tokens, pad_;
} pgd_plan_copy;

typedef struct pgd_plan {
    uint32_t magic, version;
    uint64_t step;
    uint64_t digest; /* hash of everything after this field */
    uint32_t bytes;  /* of the whole blob */
    uint32_t n_seq, n_tok, n_sample, n_score, n_init, n_table, n_copy;
    uint32_t off_seq, off_ids, off_init, off_table, off_copy, off_aux;
    uint32_t n_mask; /* sequences with PGD_PLAN_MASK; above 0: a late part follows */
    uint32_t pad_;
} pgd_plan;

/* The late part of a plan with n_mask > 0: behind this header n_mask rows of n_words words, for the
 * sequences with PGD_PLAN_MASK in plan order. Bit id % 32 of word id / 32 is token id; bits past
 * the vocabulary are 0, and no row is without a bit. */
enum { PGD_PLAN_LATE_MAGIC = 0x314C4750 };
typedef struct pgd_plan_late {
    uint32_t magic, bytes; /* bytes: of the whole blob */
    uint64_t step;
    uint32_t n_mask, n_words;
} pgd_plan_late;

/* Words of a mask row. */
static inline uint32_t pgd_mask_words(uint32_t vocab_size) {
    return vocab_size / 32 + (vocab_size % 32 != 0);
}
static inline uint32_t *pgd_plan_late_row(pgd_plan_late *late, uint32_t i) {
    return (uint32_t *)(void *)(late + 1) + (size_t)i * late->n_words;
}

/* What a plan may hold; sizes the buffers of both sides. */
typedef struct pgd_plan_limits {
    uint32_t max_seqs, max_tokens; /* of one step */
    uint32_t max_slots;
    uint32_t max_pages_per_seq, page_tokens, n_pages;
    uint32_t vocab_size;
    uint32_t max_plan_bytes;
} pgd_plan_limits;

/* Full check of a plan against the limits (offsets, counts, ids, pages): the receiver's side of
 * the contract, used by tests, the simulator and remote ranks. Errors: PGD_E_INTERNAL with text. */
pgd_status pgd_plan_check(const void *blob, size_t bytes, const pgd_plan_limits *lim,
                          pgd_error *err);
/* Likewise of the late part that came for a checked plan. O(rows), unless rows are nearly empty. */
pgd_status pgd_plan_late_check(const pgd_plan *plan, const void *late, const pgd_plan_limits *lim,
                               pgd_error *err);
/* Bytes of the largest late part. */
uint64_t pgd_plan_late_room(const pgd_plan_limits *lim);
/* Bytes that a plan buffer needs under these limits (max_plan_bytes itself is not read) when
 * sequences have up to max_model_len tokens: one sequence with everything at its largest always
 * fits, beyond that there is room for about a kilobyte a sequence; what does not fit waits for the
 * next step. */
uint64_t pgd_plan_room(const pgd_plan_limits *lim, uint32_t max_model_len);
/* The digest of a finished plan (field not written): every byte behind that field, and `step`. */
uint64_t pgd_plan_digest(const pgd_plan *plan);

/* One sampled token. */
enum { PGD_OUT_BAD_LOGITS = 1 }; /* NaN or +inf among the logits: token is invalid */
typedef struct pgd_sample_out {
    uint32_t slot;
    int32_t token;
    float logprob; /* meaningful with PGD_SAMPLE_LOGPROBS */
    uint32_t flags, n_top;
    pgd_top top[PGD_MAX_TOP_LOGPROBS];
} pgd_sample_out;

/* One scored prompt position: the logprob of the token at `position`. */
typedef struct pgd_score_out {
    uint32_t slot, position;
    float logprob;
    uint32_t n_top;
    pgd_top top[PGD_MAX_TOP_LOGPROBS];
} pgd_score_out;

/* Result of one step, in plan order. Borrowed from the executor until released. */
typedef struct pgd_step_result {
    uint64_t step, digest;
    pgd_status status; /* not PGD_OK: the device failed, nothing below is valid */
    uint32_t n_sample, n_score;
    const pgd_sample_out *sample;
    const pgd_score_out *score;
    /* Where a sequence asks for them: the final hidden states (behind the last norm) of all rows
     * with logits, [n_sample + n_score][hidden_width] of the executor's hidden_type, rows in plan
     * order, a sequence's scored ones before its sampled one. Else NULL. */
    const void *hidden;
    uint64_t device_ns; /* time the device spent on the step */
} pgd_step_result;

#endif
