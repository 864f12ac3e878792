/* Decoders of tokenizer.json, flattened to a list of stages, run as a stream. Immutable after
 * parsing. */
#ifndef PGD_TEXT_DECODER_H
#define PGD_TEXT_DECODER_H

#include "pagoda/arena.h"
#include "pagoda/json.h"
#include "normalizer.h"
#include "tok_json.h"
#include "tok_regex.h"

typedef enum pgd_decoder_kind {
    PGD_DECODE_JOIN, /* no decoder: tokens with a space between */
    PGD_DECODE_BYTE_LEVEL,
    PGD_DECODE_BYTE_FALLBACK,
    PGD_DECODE_FUSE,
    PGD_DECODE_STRIP,
    PGD_DECODE_REPLACE,
    PGD_DECODE_METASPACE,
    PGD_DECODE_WORDPIECE,
    PGD_DECODE_BPE,
    PGD_DECODE_CTC,
} pgd_decoder_kind;

typedef struct pgd_decoder_stage {
    pgd_decoder_kind kind;
    bool fused;         /* its input is one growing token, not a list (a stage before it joins) */
    bool cleanup;       /* WORDPIECE, CTC */
    bool drop_first;    /* METASPACE: the first token loses its replacements */
    pgd_sv pattern;     /* REPLACE of a plain text, WORDPIECE prefix, BPE suffix, CTC pad */
    pgd_sv content;     /* REPLACE, CTC word delimiter, METASPACE replacement */
    pgd_tok_regex *re;  /* REPLACE by pattern */
    uint32_t cp;        /* STRIP */
    size_t start, stop; /* STRIP */
} pgd_decoder_stage;

enum { PGD_DECODER_MAX_STAGES = 16 };

typedef struct pgd_decoder {
    pgd_decoder_stage stage[PGD_DECODER_MAX_STAGES];
    size_t n;
} pgd_decoder;

/* Parse the node (NULL or null: JOIN). Errors: PGD_E_FORMAT, PGD_E_UNSUPPORTED, PGD_E_NOMEM. */
pgd_status pgd_decoder_parse(const pgd_json *node, pgd_arena *arena, pgd_decoder *out,
                             pgd_error *err);

/* State of one stage while a text is decoded. */
typedef struct pgd_decoder_state {
    pgd_buf held;    /* input that cannot be passed on yet */
    pgd_buf out;     /* scratch: what is passed on */
    size_t seen;     /* tokens so far; STRIP on fused input: characters stripped at the start */
    bool past_start; /* STRIP on fused input: the start is done */
    bool has_held;   /* a whole token (maybe empty) is in held */
} pgd_decoder_state;

typedef struct pgd_decoding {
    const pgd_decoder *dec;
    pgd_decoder_state st[PGD_DECODER_MAX_STAGES];
    pgd_tok_matcher *m;
} pgd_decoding;

void pgd_decoding_init(pgd_decoding *d, const pgd_decoder *dec);
void pgd_decoding_fini(pgd_decoding *d);
/* Feed one token's string; append what is certain to out. Amortised O(token). Errors: PGD_E_NOMEM,
 * PGD_E_LIMIT. */
pgd_status pgd_decoding_push(pgd_decoding *d, pgd_sv token, pgd_buf *out);
/* The text is complete: append the rest to out. */
pgd_status pgd_decoding_finish(pgd_decoding *d, pgd_buf *out);

/* The bytes that a token stands for in the middle of a text, appended to out. */
void pgd_decoder_middle(const pgd_decoder *dec, pgd_sv token, pgd_buf *out);

#endif
