/* Sampling parameters as they travel from a request to the device: plain data, validated before. */
#ifndef PAGODA_SAMPLING_H
#define PAGODA_SAMPLING_H

#include <stdint.h>

enum {
    PGD_MAX_TOP_LOGPROBS = 20,
    PGD_MAX_STOP_IDS = 64,
    PGD_MAX_BIAS = 1024,
};

enum {
    PGD_SAMPLE_GREEDY = 1,    /* argmax of the processed logits; lowest id wins ties */
    PGD_SAMPLE_PENALTIES = 2, /* any of the three penalties is active */
    PGD_SAMPLE_LOGPROBS = 4,  /* report logprob of the token and n_top alternatives */
};

/* One sequence's parameters. Processing order: logit bias, min-tokens mask, repetition penalty
 * (prompt and output), presence and frequency penalties (output only); logprobs are taken here;
 * then temperature, min-p, top-k, top-p, and the draw. */
typedef struct pgd_sampling {
    uint32_t flags;
    float temperature; /* > 0 unless greedy */
    float top_p;       /* (0, 1]; 1: off */
    float min_p;       /* [0, 1]; 0: off */
    int32_t top_k;     /* <= 0: off */
    float repetition_penalty, presence_penalty, frequency_penalty;
    uint32_t n_top;      /* 0..PGD_MAX_TOP_LOGPROBS */
    uint32_t min_tokens; /* stop ids are masked until so many tokens were generated */
    uint64_t seed;
    uint32_t choice; /* index of this choice of n: part of the noise key */
    uint32_t n_stop_ids;
    int32_t stop_ids[PGD_MAX_STOP_IDS]; /* eos ids (unless ignore_eos) and stop_token_ids */
} pgd_sampling;

typedef struct pgd_bias {
    int32_t id;
    float value;
} pgd_bias;

typedef struct pgd_top {
    int32_t id;
    float logprob;
} pgd_top;

#endif
