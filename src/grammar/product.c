/* Intersection and difference of two regular operands.
 *
 * The left operand stays nondeterministic; the right one is followed as a set of its nodes, so that
 * "not" is simply "the set does not contain the end". States are pairs (left node, right set), made
 * as they are reached. Sets and pairs are counted as steps: an operand that explodes ends the
 * compilation with PGD_E_LIMIT.
 * Thread: the caller's. Memory: an arena and maps that live for one product. */
#include <stdlib.h>
#include <string.h>

#include "fa.h"
#include "pagoda/arena.h"
#include "pagoda/map.h"
#include "pagoda/mem.h"

typedef struct rset {
    const uint32_t *v; /* BYTES and MARK nodes, ascending */
    uint32_t n;
    bool accepts;
    uint32_t *next; /* per class of bytes: set + 1, 0 unknown */
} rset;

typedef struct pair {
    uint32_t left, right, node;
} pair;

typedef struct work {
    pgd_fa_build *b;
    pgd_arena *arena;
    pgd_strmap *set_ids;
    pgd_map64 *pair_ids;
    rset *sets;
    size_t n_sets, cap_sets;
    pair *todo;
    size_t n_todo, cap_todo;
    uint32_t *scratch, *stack, *stamp; /* [n_right] nodes of the operands */
    uint32_t n_right, now;
    uint8_t class_of[256]; /* what the right operand tells apart */
    uint32_t n_classes;
    bool negate;
    uint32_t next;
} work;

static uint32_t failed(work *w, pgd_status st) {
    if (w->b->ir->st == PGD_OK) w->b->ir->st = st;
    return 0;
}

/* Add the closure of `start` to scratch[0..n). */
static uint32_t closure(work *w, uint32_t start, uint32_t n) {
    uint32_t depth = 0;
    if (w->stamp[start] != w->now) w->stack[depth++] = start;
    w->stamp[start] = w->now;
    while (depth > 0) {
        const uint32_t at = w->stack[--depth];
        const pgd_fa_node u = w->b->fa->nodes[at];
        if (u.kind == PGD_FA_K_BYTES || u.kind == PGD_FA_K_MARK) w->scratch[n++] = at;
        if (u.kind != PGD_FA_K_SPLIT) continue;
        for (int k = 0; k < 2; k++) {
            const uint32_t v = k == 0 ? u.a : u.b;
            if (w->stamp[v] == w->now) continue;
            w->stamp[v] = w->now;
            w->stack[depth++] = v;
        }
    }
    (void)pgd_ir_step(w->b->ir, 1);
    return n;
}

static int by_value(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The id of the set scratch[0..n). */
static uint32_t intern(work *w, uint32_t n) {
    uint64_t id = 0;
    if (n > 1) qsort(w->scratch, n, sizeof *w->scratch, by_value);
    const pgd_sv key = {(const char *)w->scratch, n * sizeof *w->scratch};
    if (pgd_strmap_get(w->set_ids, key, &id)) return (uint32_t)id;
    uint32_t *const v = pgd_arena_alloc(w->arena, key.n + 1);
    if (!v || !pgd_gr_reserve((void **)&w->sets, w->n_sets, &w->cap_sets, sizeof *w->sets))
        return failed(w, PGD_E_NOMEM);
    if (n) memcpy(v, w->scratch, key.n);
    rset s = {.v = v, .n = n};
    for (uint32_t i = 0; i < n; i++)
        s.accepts |= w->b->fa->nodes[v[i]].kind == PGD_FA_K_MARK;
    w->sets[w->n_sets] = s;
    if (pgd_strmap_put(w->set_ids, (pgd_sv){(const char *)v, key.n}, w->n_sets) != PGD_OK)
        return failed(w, PGD_E_NOMEM);
    (void)pgd_ir_step(w->b->ir, n + 1);
    return (uint32_t)w->n_sets++;
}

static uint32_t move(work *w, uint32_t set, uint8_t byte) {
    const uint8_t k = w->class_of[byte];
    if (!w->sets[set].next) {
        w->sets[set].next = pgd_arena_zalloc(w->arena, w->n_classes * sizeof(uint32_t));
        if (!w->sets[set].next) return failed(w, PGD_E_NOMEM);
    }
    if (w->sets[set].next[k]) return w->sets[set].next[k] - 1;
    uint32_t n = 0;
    w->now++;
    for (uint32_t i = 0; i < w->sets[set].n; i++) {
        const pgd_fa_node u = w->b->fa->nodes[w->sets[set].v[i]];
        if (u.kind == PGD_FA_K_BYTES && pgd_byteset_has(&w->b->fa->sets[u.a], byte))
            n = closure(w, u.b, n);
    }
    (void)pgd_ir_step(w->b->ir, w->sets[set].n + 1);
    const uint32_t to = intern(w, n);
    w->sets[set].next[k] = to + 1;
    return to;
}

/* The node of a pair, which will be filled in when its turn comes. */
static uint32_t pair_node(work *w, uint32_t left, uint32_t right) {
    const uint64_t key = (uint64_t)left << 32 | right;
    uint64_t node = 0;
    if (left == PGD_FA_DEAD || (!w->negate && w->sets[right].n == 0)) return PGD_FA_DEAD;
    if (pgd_map64_get(w->pair_ids, key, &node)) return (uint32_t)node;
    node = pgd_fa_add(w->b, PGD_FA_K_SPLIT, PGD_FA_DEAD, PGD_FA_DEAD);
    if (w->b->ir->st != PGD_OK) return PGD_FA_DEAD;
    if (pgd_map64_put(w->pair_ids, key, node) != PGD_OK ||
        !pgd_gr_reserve((void **)&w->todo, w->n_todo, &w->cap_todo, sizeof *w->todo))
        return failed(w, PGD_E_NOMEM);
    w->todo[w->n_todo++] = (pair){left, right, (uint32_t)node};
    return (uint32_t)node;
}

/* The bytes of one left edge, by where they take the right set: each class of the right operand
 * together, and classes that lead to the same set together. */
static void fill_bytes(work *w, const pair *p, const pgd_fa_node *u) {
    const pgd_byteset from = w->b->fa->sets[u->a];
    pgd_byteset groups[256];
    uint32_t to[256], n = 0, all = PGD_FA_DEAD;
    uint16_t group_of[256] = {0}; /* class -> group + 1 */
    for (unsigned c = 0; c < 256 && w->b->ir->st == PGD_OK; c++) {
        const uint8_t k = w->class_of[c];
        if (!pgd_byteset_has(&from, (uint8_t)c)) continue;
        if (!group_of[k]) {
            const uint32_t target = move(w, p->right, (uint8_t)c);
            uint32_t i = 0;
            while (i < n && to[i] != target)
                i++;
            if (i == n) {
                to[n] = target;
                groups[n++] = (pgd_byteset){{0}};
            }
            group_of[k] = (uint16_t)(i + 1);
        }
        pgd_byteset_add(&groups[group_of[k] - 1], (uint8_t)c);
    }
    for (uint32_t i = 0; i < n && w->b->ir->st == PGD_OK; i++) {
        const uint32_t then = pair_node(w, u->b, to[i]);
        if (then == PGD_FA_DEAD) continue;
        const uint32_t one = pgd_fa_add(w->b, PGD_FA_K_BYTES, pgd_fa_set(w->b, &groups[i]), then);
        all = all == PGD_FA_DEAD ? one : pgd_fa_add(w->b, PGD_FA_K_SPLIT, one, all);
    }
    if (w->b->ir->st == PGD_OK) w->b->fa->nodes[p->node].a = all;
}

static void fill(work *w, const pair *p) {
    const pgd_fa_node u = w->b->fa->nodes[p->left];
    uint32_t a = PGD_FA_DEAD, b = PGD_FA_DEAD;
    switch ((pgd_fa_kind)u.kind) {
    case PGD_FA_K_MARK:
        a = w->sets[p->right].accepts != w->negate ? w->next : PGD_FA_DEAD;
        break;
    case PGD_FA_K_SPLIT:
        a = pair_node(w, u.a, p->right);
        b = pair_node(w, u.b, p->right);
        break;
    case PGD_FA_K_BYTES:
        fill_bytes(w, p, &u);
        return;
    default: /* operands are written out: no calls and counters */
        break;
    }
    if (w->b->ir->st != PGD_OK) return;
    w->b->fa->nodes[p->node].a = a;
    w->b->fa->nodes[p->node].b = b;
}

static uint32_t run(work *w, uint32_t a, uint32_t other) {
    w->now++;
    const uint32_t start = pair_node(w, a, intern(w, closure(w, other, 0)));
    while (w->n_todo > 0 && w->b->ir->st == PGD_OK) {
        const pair p = w->todo[--w->n_todo];
        fill(w, &p);
    }
    return start;
}

/* Fill the classes from the sets of the nodes from `first` on. False when out of memory. */
static bool find_classes(work *w, uint32_t first) {
    const pgd_fa *const fa = w->b->fa;
    uint8_t *const mark = pgd_calloc(fa->n_sets + 1, 1);
    if (!mark) return false;
    for (uint32_t i = first; i < fa->n_nodes; i++)
        if (fa->nodes[i].kind == PGD_FA_K_BYTES) mark[fa->nodes[i].a] = 1;
    w->n_classes = pgd_fa_classes(fa, mark, w->class_of);
    pgd_free(mark);
    return true;
}

uint32_t pgd_fa_product(pgd_fa_build *b, uint32_t a, uint32_t other, uint32_t first, bool negate,
                        uint32_t next) {
    work w = {.b = b, .negate = negate, .next = next, .n_right = (uint32_t)b->fa->n_nodes};
    uint32_t start = PGD_FA_DEAD;
    if (b->ir->st != PGD_OK) return PGD_FA_DEAD;
    w.scratch = pgd_calloc(w.n_right, sizeof *w.scratch);
    w.stack = pgd_calloc(w.n_right, sizeof *w.stack);
    w.stamp = pgd_calloc(w.n_right, sizeof *w.stamp);
    if (w.scratch && w.stack && w.stamp && pgd_arena_create(&w.arena, 0) == PGD_OK &&
        pgd_strmap_create(&w.set_ids, 64) == PGD_OK &&
        pgd_map64_create(&w.pair_ids, 64) == PGD_OK && find_classes(&w, first))
        start = run(&w, a, other);
    else
        (void)failed(&w, PGD_E_NOMEM);
    pgd_free(w.scratch);
    pgd_free(w.stack);
    pgd_free(w.stamp);
    pgd_free(w.sets);
    pgd_free(w.todo);
    pgd_strmap_destroy(&w.set_ids);
    pgd_map64_destroy(&w.pair_ids);
    pgd_arena_destroy(&w.arena);
    return b->ir->st == PGD_OK ? start : PGD_FA_DEAD;
}
