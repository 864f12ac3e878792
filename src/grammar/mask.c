/* The bitmask of a config: which tokens may come next.
 *
 * Cached by the clamped config, in slots that are reused when all are taken (second chance). A miss
 * walks the vocabulary trie in order, one table lookup a node, leaving out every subtree whose
 * first byte is dead. Inside free text, where nearly everything is allowed, that would be most of
 * the trie; so first it is asked how many plain characters in a row, whichever they are, the config
 * accepts. Tokens of at most that many are then taken over as one bitmask made with the vocabulary,
 * and the walk leaves them out too.
 * Thread: whoever holds the grammar's lock. Allocates nothing. */
#include <string.h>

#include "store.h"

enum { MAX_LEVEL = 16, MAX_PLACES = 64 };

/* ---- How many plain characters are accepted ---- */

/* Places in a character: between characters, or inside one with so many bytes to come and perhaps a
 * tighter bound on the next. */
typedef enum place {
    BETWEEN,
    ONE,
    TWO,
    THREE,
    AFTER_E0,
    AFTER_E2,
    AFTER_E2_80,
    AFTER_ED,
    AFTER_F0,
    AFTER_F4
} place;

typedef struct edge {
    uint8_t from, to, lo, hi;
} edge;

/* The characters that pgd_is_plain (vocab.h) admits, as bytes. */
static const edge EDGES[] = {
    {BETWEEN, BETWEEN, 0x20, 0x21},
    {BETWEEN, BETWEEN, 0x23, 0x5B},
    {BETWEEN, BETWEEN, 0x5D, 0x7E},
    {BETWEEN, ONE, 0xC2, 0xDF},
    {BETWEEN, AFTER_E0, 0xE0, 0xE0},
    {BETWEEN, TWO, 0xE1, 0xE1},
    {BETWEEN, AFTER_E2, 0xE2, 0xE2},
    {BETWEEN, TWO, 0xE3, 0xEC},
    {BETWEEN, AFTER_ED, 0xED, 0xED},
    {BETWEEN, TWO, 0xEE, 0xEF},
    {BETWEEN, AFTER_F0, 0xF0, 0xF0},
    {BETWEEN, THREE, 0xF1, 0xF3},
    {BETWEEN, AFTER_F4, 0xF4, 0xF4},
    {ONE, BETWEEN, 0x80, 0xBF},
    {TWO, ONE, 0x80, 0xBF},
    {THREE, TWO, 0x80, 0xBF},
    {AFTER_E0, ONE, 0xA0, 0xBF},
    {AFTER_E2, AFTER_E2_80, 0x80, 0x80},
    {AFTER_E2, ONE, 0x81, 0xBF},
    {AFTER_E2_80, BETWEEN, 0x80, 0xA7},
    {AFTER_E2_80, BETWEEN, 0xAA, 0xBF},
    {AFTER_ED, ONE, 0x80, 0x9F},
    {AFTER_F0, TWO, 0x90, 0xBF},
    {AFTER_F4, TWO, 0x80, 0x8F},
};

typedef struct places {
    uint32_t config[MAX_PLACES];
    uint8_t place[MAX_PLACES];
    uint32_t n;
} places;

static bool add_place(places *p, uint32_t config, uint8_t at) {
    for (uint32_t i = 0; i < p->n; i++)
        if (p->config[i] == config && p->place[i] == at) return true;
    if (p->n == MAX_PLACES) return false;
    p->config[p->n] = config;
    p->place[p->n++] = at;
    return true;
}

/* Put into `to` all places between characters that one more plain character leads to from the
 * configs in `from`. False when some character is refused, or on error. */
static bool one_character(pgd_store *s, const places *from, places *to) {
    places inside = *from; /* grows by the places inside characters */
    to->n = 0;
    for (uint32_t i = 0; i < inside.n; i++) {
        for (size_t e = 0; e < sizeof EDGES / sizeof EDGES[0]; e++) {
            if (EDGES[e].from != inside.place[i]) continue;
            uint32_t last = UINT32_MAX;
            for (unsigned b = EDGES[e].lo; b <= EDGES[e].hi; b++) {
                const uint32_t k = s->fa->class_of[b];
                if (k == last) continue;
                last = k;
                const uint32_t c = pgd_store_step(s, inside.config[i], k);
                if (c <= PGD_CONFIG_DEAD) return false;
                if (!add_place(EDGES[e].to == BETWEEN ? to : &inside, c, EDGES[e].to)) return false;
            }
        }
    }
    return true;
}

/* The largest slice all of whose tokens config c accepts; PGD_SLICES when there is none. */
static uint32_t find_slice(pgd_store *s, uint32_t c) {
    places now = {.n = 0}, next, seen = {.n = 0};
    uint32_t level = 0;
    (void)add_place(&now, c, BETWEEN);
    while (level < MAX_LEVEL && one_character(s, &now, &next)) {
        bool fresh = false;
        level++;
        for (uint32_t i = 0; i < now.n; i++)
            (void)add_place(&seen, now.config[i], BETWEEN);
        for (uint32_t i = 0; i < next.n; i++) {
            const uint32_t n = seen.n;
            if (!add_place(&seen, next.config[i], BETWEEN) || seen.n != n) fresh = true;
            seen.n = n;
        }
        if (!fresh) return PGD_SLICES - 1; /* nowhere new: it goes on like this */
        now = next;
    }
    uint32_t slice = PGD_SLICES;
    for (uint32_t i = 0; i + 1 < PGD_SLICES && pgd_slice_need[i] <= level; i++)
        slice = i;
    return slice;
}

/* ---- The walk ---- */

static bool walk(pgd_store *s, uint32_t c, uint32_t *bits) {
    const pgd_vocab *const v = s->vocab;
    const uint32_t slice = find_slice(s, c);
    if (s->st != PGD_OK) return false;
    const uint8_t done = slice < PGD_SLICES ? pgd_slice_need[slice] : 0;
    if (slice < PGD_SLICES)
        memcpy(bits, v->slices + slice * v->n_words, v->n_words * sizeof *bits);
    else
        memset(bits, 0, v->n_words * sizeof *bits);
    uint64_t visited = 0;
    s->walk[0] = c;
    for (uint32_t i = 1; i < v->n_trie;) {
        const pgd_trie_node *const t = &v->trie[i];
        if (t->need <= done) {
            i += t->skip;
            continue;
        }
        const uint32_t to = pgd_store_step(s, s->walk[t->depth - 1], s->fa->class_of[t->byte]);
        visited++;
        if (to <= PGD_CONFIG_DEAD) {
            if (to == PGD_CONFIG_NONE) return false;
            i += t->skip;
            continue;
        }
        s->walk[t->depth] = to;
        for (uint32_t k = t->first; k < t[1].first; k++)
            bits[v->tok[k] / 32] |= 1u << (v->tok[k] % 32);
        i++;
    }
    return pgd_store_spend(s, visited);
}

/* A free slot, taking one from a config whose mask was not asked for of late. */
static uint32_t take_slot(pgd_store *s) {
    for (;;) {
        const uint32_t slot = s->hand;
        s->hand = (s->hand + 1) % s->n_slots;
        if (s->slot_config[slot] && s->slot_used[slot]) {
            s->slot_used[slot] = 0;
            continue;
        }
        if (s->slot_config[slot]) s->h->configs[s->slot_config[slot]].mask = 0;
        s->slot_config[slot] = 0;
        return slot;
    }
}

pgd_status pgd_store_mask(pgd_store *s, uint32_t c, uint32_t *bits) {
    const pgd_vocab *const v = s->vocab;
    const uint32_t clamped = pgd_store_clamp(s, c);
    if (!clamped) return s->st;
    if (clamped <= PGD_CONFIG_ENDED) {
        memset(bits, 0, v->n_words * sizeof *bits);
        return PGD_OK;
    }
    pgd_config *const at = &s->h->configs[clamped];
    if (!at->mask) {
        const uint32_t slot = take_slot(s);
        uint32_t *const mask = s->masks + slot * v->n_words;
        if (!walk(s, clamped, mask)) return s->st;
        for (uint32_t i = 0; i < v->n_eos && at->accepts; i++)
            mask[v->eos[i] / 32] |= 1u << (v->eos[i] % 32);
        s->slot_config[slot] = clamped;
        at->mask = slot + 1;
    }
    s->slot_used[at->mask - 1] = 1;
    memcpy(bits, s->masks + (at->mask - 1) * v->n_words, v->n_words * sizeof *bits);
    return PGD_OK;
}
