/* Run-time states of one grammar, found lazily and shared by its matchers under the grammar's lock.
 *
 *   line    a set of automaton nodes of the running rule(s), closed over SPLIT: one state of the
 *           deterministic automaton of that rule
 *   frame   what follows when the running rule ends: a line to go on with, perhaps a counter, and
 *           the frame below
 *   config  a set of (line, frame): everything that a text so far can mean. The unit of matching,
 *           of the transition table and of the mask cache.
 *
 * All three are interned, so equal things have equal numbers and a stack is shared by all that
 * stand on it. Memory is two halves reserved at compile time; when the one in use is full,
 * pgd_store_collect copies what the matchers still need into the other. */
#ifndef PAGODA_GRAMMAR_STORE_H
#define PAGODA_GRAMMAR_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "fa.h"
#include "vocab.h"

enum {
    PGD_CONFIG_NONE = 0,  /* not known yet, or an error */
    PGD_CONFIG_DEAD = 1,  /* no text gets here */
    PGD_CONFIG_ENDED = 2, /* an end token was consumed */
    PGD_MAX_ITEMS = 2048  /* pairs in one config: more is too ambiguous */
};

typedef struct pgd_line {
    uint32_t at, n;        /* nodes in the pool: BYTES, CALL, COUNT, END; ascending */
    uint32_t calls;        /* calls in the pool, once `called`: triples (counter + 1 or 0, entry
                              line, line to return to) */
    uint32_t n_calls, row; /* row: transitions in the pool, 0 when none are known */
    uint32_t moved;        /* in a half being left: its number in the new one */
    bool called, ends, has_bytes;
} pgd_line;

typedef struct pgd_frame {
    uint32_t ret, below; /* line; frame (0 is the bottom) */
    uint32_t body;       /* 0, or the line at which another round of a counter starts */
    uint32_t min, max;   /* rounds still due and still allowed, the running one included */
    uint32_t depth;
    uint32_t clamped; /* the frame that no token can tell from this one */
    uint32_t moved;
} pgd_frame;

typedef struct pgd_config {
    uint32_t at, n; /* pairs (line, frame) in the pool, ascending */
    uint32_t row;
    uint32_t clamped; /* 0 unknown */
    uint32_t mask;    /* slot + 1, 0 when not cached */
    uint32_t moved;
    bool accepts;
} pgd_config;

typedef struct pgd_half {
    uint32_t *pool;
    uint32_t n_pool, cap_pool;
    pgd_line *lines;
    pgd_frame *frames;
    pgd_config *configs;
    uint32_t n_lines, n_frames, n_configs, cap;        /* cap: of each of the three */
    uint32_t *line_table, *frame_table, *config_table; /* open addressing, 2 * cap_table mask */
    uint32_t table_mask;
    void *block; /* all of the above */
} pgd_half;

typedef struct pgd_store {
    const pgd_fa *fa;
    const pgd_vocab *vocab;
    const pgd_grammar_limits *lim;
    pgd_half halves[2], *h; /* h: the one in use */
    pgd_status st;          /* of the running operation */
    const char *why;
    bool full; /* the failure was want of room: collect and try again */
    bool cut;  /* something was left out because the stack was too deep */
    uint64_t steps;
    uint32_t start; /* config */
    /* scratch */
    uint32_t *nodes, *node_stack, *stamp; /* [fa->n_nodes] */
    uint32_t now;
    uint32_t (*items)[2]; /* [PGD_MAX_ITEMS] */
    uint32_t n_items;
    uint32_t *item_table; /* [4 * PGD_MAX_ITEMS] stamps, then indices */
    uint32_t item_now;
    uint32_t *walk; /* configs by depth of the vocabulary trie */
    /* mask cache: slots of words each */
    uint32_t *masks, *slot_config;
    uint8_t *slot_used;
    uint32_t n_slots, hand;
} pgd_store;

/* A line of the places a matcher has been: config numbers, rewritten by collect. */
struct pgd_matcher {
    pgd_grammar *g;
    pgd_matcher *prev, *next; /* all matchers of g, under its lock */
    uint32_t at, on;          /* configs; on: how far an advance has got, else DEAD */
    uint32_t past[PGD_MATCHER_UNDO];
    uint32_t n_past, head; /* head: where the next one goes */
};

struct pgd_grammar {
    atomic_uint refs;
    pthread_mutex_t lock; /* guards store and matchers */
    pgd_fa fa;
    pgd_grammar_limits lim;
    pgd_store store;
    pgd_matcher *matchers;
    size_t bytes;
};

pgd_status pgd_store_init(pgd_store *s, const pgd_fa *fa, const pgd_vocab *vocab,
                          const pgd_grammar_limits *lim);
void pgd_store_fini(pgd_store *s);
/* Start an operation: no steps used, no error. */
void pgd_store_begin(pgd_store *s);
bool pgd_store_spend(pgd_store *s, uint64_t steps);
/* The config behind c after a byte of class k; DEAD; or NONE with s->st set. Slow path. */
uint32_t pgd_store_find_step(pgd_store *s, uint32_t c, uint32_t k);
/* The config with every counter that no token can exhaust made infinite; NONE on error. */
uint32_t pgd_store_clamp(pgd_store *s, uint32_t c);
/* Intern in the half in use. NONE on error. */
uint32_t pgd_store_line(pgd_store *s, uint32_t n); /* of s->nodes[0..n) */
uint32_t pgd_store_frame(pgd_store *s, pgd_frame f);
uint32_t pgd_store_config(pgd_store *s, bool accepts); /* of s->items */
/* The half in use, emptied; only the reserved numbers exist. */
void pgd_store_clear(pgd_store *s);
/* Whether it is time to collect before another operation. */
bool pgd_store_crowded(const pgd_store *s);
/* Keep what the matchers and the start need, drop the rest, and all masks. False when even that
 * does not fit (never, as they came from a half of the same size). */
bool pgd_store_collect(pgd_grammar *g);
/* Write the mask of config c. NONE of it is defined on failure. */
pgd_status pgd_store_mask(pgd_store *s, uint32_t c, uint32_t *bits);

static inline uint32_t pgd_store_step(pgd_store *s, uint32_t c, uint32_t k) {
    const uint32_t row = s->h->configs[c].row;
    const uint32_t to = row ? s->h->pool[row + k] : PGD_CONFIG_NONE;
    return to ? to : pgd_store_find_step(s, c, k);
}

#endif
