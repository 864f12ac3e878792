/* Structured output: JSON Schema, regular expressions, EBNF and choice lists become one automaton
 * over bytes, which says for each position of a text which tokens may come next.
 *
 * Three objects. A vocabulary is a tokenizer's tokens as a byte trie: made once, shared read-only.
 * A grammar is compiled against one vocabulary (on a worker) and shared by every request that asks
 * for the same text; behind its lock it keeps what matchers have found out so far: automaton states
 * and bitmasks, in memory that is reserved at compile time and bounded. A matcher is one sequence's
 * place in a grammar: small, copied explicitly, rolled back by tokens.
 *
 * The mask is exact: a token's bit is set if and only if all of its bytes can be consumed and the
 * text can still be completed within the stated limits. Text ends (an end token's bit is set)
 * exactly where the grammar may end.
 *
 * Threads: vocabulary and grammar any; a matcher belongs to one thread at a time. Operations on
 * matchers of one grammar take that grammar's mutex, on different grammars they do not meet. After
 * compile no operation but create and copy allocates. */
#ifndef PAGODA_GRAMMAR_H
#define PAGODA_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/str.h"

typedef struct pgd_json pgd_json;
typedef struct pgd_vocab pgd_vocab;
typedef struct pgd_grammar pgd_grammar;
typedef struct pgd_matcher pgd_matcher;

/* Build from the bytes of n tokens, index = token id; copied. Tokens that may never appear in
 * constrained text (control tokens, ids without text) are empty, and so are treated tokens longer
 * than 1024 bytes. eos lists the ids that end a text; their bytes are ignored. Owned by the caller;
 * must outlive the grammars compiled against it. Errors: PGD_E_INVALID (an id out of range),
 * PGD_E_NOMEM. */
pgd_status pgd_vocab_create(pgd_vocab **out, const pgd_sv *tokens, uint32_t n, const uint32_t *eos,
                            uint32_t n_eos, pgd_error *err);
void pgd_vocab_destroy(pgd_vocab **v);
uint32_t pgd_vocab_size(const pgd_vocab *v);
/* 32-bit words of one mask row: ceil(size / 32). Bit id % 32 of word id / 32 is token id. */
size_t pgd_vocab_mask_words(const pgd_vocab *v);

/* Bounds of compiling and of running. Steps are elementary operations, some tens of nanoseconds
 * each, so that a refusal does not depend on the machine. */
typedef struct pgd_grammar_limits {
    size_t max_source_bytes; /* text of the schema, pattern or grammar */
    uint32_t max_depth;      /* nesting of the source */
    uint32_t max_nodes;      /* rule expressions, about 16 bytes each */
    uint32_t max_states;     /* automaton nodes, 16 bytes each */
    uint64_t max_steps;      /* of compiling */
    uint64_t max_mask_steps; /* of computing one mask or consuming one token */
    uint32_t max_stack;      /* open rules at one point of the text: bounds nesting of the output */
    size_t run_bytes;        /* lazily built automaton states; reserved, touched only when used */
    size_t mask_bytes;       /* cached bitmasks, likewise */
} pgd_grammar_limits;

/* 256 KiB, depth 128, 1 M nodes, 2 M states, 40 M steps, 4 M mask steps, stack 512, 32 MiB, 8 MiB.
 */
extern const pgd_grammar_limits pgd_grammar_limits_default;

typedef enum pgd_grammar_kind {
    PGD_GRAMMAR_JSON_SCHEMA, /* text or json: a schema, draft 2020-12 subset */
    PGD_GRAMMAR_JSON_OBJECT, /* any JSON object */
    PGD_GRAMMAR_REGEX,       /* text: a pattern that the whole output matches */
    PGD_GRAMMAR_EBNF,        /* text: GBNF, or the like-minded part of Lark */
    PGD_GRAMMAR_CHOICE,      /* choices: the output is one of them */
    /* What joins those: a thought that ends with a marker, then an answer or calls of tools. */
    PGD_GRAMMAR_TEXT,  /* text: these bytes */
    PGD_GRAMMAR_FREE,  /* any bytes in which none of choices occurs, not beginning with a byte of
                          text */
    PGD_GRAMMAR_UNTIL, /* the same, up to and with the first occurrence of text (not empty) */
    PGD_GRAMMAR_SEQ,   /* parts, one after the other */
    PGD_GRAMMAR_ALT,   /* one of parts */
    PGD_GRAMMAR_REPEAT /* parts[0], min to max (0: any number of) times, parts[1], if there is one,
                          between */
} pgd_grammar_kind;

/* Begins the text of a control token, in a vocabulary as in TEXT, UNTIL and choices. No UTF-8 text
 * holds this byte, so such a token is allowed where it is named and nowhere else: FREE and UNTIL
 * do not cross it. */
enum { PGD_GRAMMAR_CONTROL = 0xFF };

/* Whitespace between the tokens of JSON. None is ever allowed around the whole document. */
typedef enum pgd_json_space {
    PGD_JSON_SPACE_NONE, /* compact: no whitespace */
    PGD_JSON_SPACE_ANY   /* runs of at most 32 spaces, tabs, line ends: models loop on more */
} pgd_json_space;

typedef struct pgd_grammar_spec {
    pgd_grammar_kind kind;
    pgd_sv text;
    const pgd_json *json; /* a parsed schema instead of text; borrowed during compile */
    const pgd_sv *choices;
    size_t n_choices;
    const struct pgd_grammar_spec *parts;
    size_t n_parts;
    uint32_t min, max;
    pgd_json_space space;
    bool lenient;     /* a schema that cannot be honoured admits any object instead */
    const char *name; /* begins the messages about this part; NULL: none */
} pgd_grammar_spec;

/* Compile. *out has one reference, owned by the caller. lim NULL: the defaults. Thread: any, meant
 * for a worker. Errors: PGD_E_INVALID (malformed source; of a schema with the JSON pointer of the
 * place), PGD_E_UNSUPPORTED (a keyword or construct that cannot be honoured, by name and place; a
 * left-recursive rule), PGD_E_LIMIT, PGD_E_NOMEM. A grammar that no text matches is
 * PGD_E_INVALID. */
pgd_status pgd_grammar_compile(pgd_grammar **out, const pgd_grammar_spec *spec,
                               const pgd_vocab *vocab, const pgd_grammar_limits *lim,
                               pgd_error *err);
pgd_grammar *pgd_grammar_retain(pgd_grammar *g);
/* Drop one reference, *g = NULL; the last one frees. NULL-safe. */
void pgd_grammar_release(pgd_grammar **g);
/* Tokens of the vocabulary that it was compiled against. */
uint32_t pgd_grammar_vocab_size(const pgd_grammar *g);
/* Bytes that this grammar holds or has reserved: for a cache's accounts. */
size_t pgd_grammar_bytes(const pgd_grammar *g);

/* At most so many tokens can be taken back. */
enum { PGD_MATCHER_UNDO = 64 };

/* At the start of g, of which it holds a reference. Owned by the caller. Errors: PGD_E_NOMEM. */
pgd_status pgd_matcher_create(pgd_matcher **out, pgd_grammar *g);
/* A second matcher at the same place with the same past. Errors: PGD_E_NOMEM. */
pgd_status pgd_matcher_copy(pgd_matcher **out, const pgd_matcher *m);
/* Put dst, of the same grammar, where src is; allocates nothing. */
void pgd_matcher_assign(pgd_matcher *dst, const pgd_matcher *src);
void pgd_matcher_destroy(pgd_matcher **m);

/* Consume one token. An end token finishes the text. Errors: PGD_E_INVALID when the mask forbids it
 * (the matcher stays where it was), PGD_E_LIMIT (likewise). O(bytes) once the states are known. */
pgd_status pgd_matcher_advance(pgd_matcher *m, uint32_t token, pgd_error *err);
/* Consume text that came without token borders as if it were one token. */
pgd_status pgd_matcher_advance_bytes(pgd_matcher *m, pgd_sv bytes, pgd_error *err);
/* Take back the last n advances. Errors: PGD_E_INVALID when n is more than were made or than
 * PGD_MATCHER_UNDO (the matcher stays). */
pgd_status pgd_matcher_rollback(pgd_matcher *m, uint32_t n, pgd_error *err);
/* How many advances can be taken back now. */
uint32_t pgd_matcher_undoable(const pgd_matcher *m);

/* Write the mask of the next token into bits [pgd_vocab_mask_words]. Never empty while the text is
 * not finished; once finished it is empty. Errors: PGD_E_LIMIT. */
pgd_status pgd_matcher_mask(pgd_matcher *m, uint32_t *bits, pgd_error *err);
/* Whether the text so far is complete (an end token is allowed). */
bool pgd_matcher_accepts(const pgd_matcher *m);
/* Whether nothing but an end token is allowed, or one was consumed: generation may stop. */
bool pgd_matcher_done(const pgd_matcher *m);

#endif
