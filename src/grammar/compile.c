/* Rule expressions -> automaton.
 *
 * Built backwards: pgd_fa_expr(x, next) makes the nodes of x that go on to `next` and returns where
 * they start. A rule in last position is a jump and needs no stack; any other is a call. Short
 * repetitions are written out; long ones become counters that live on the stack, so that a string
 * of up to 10,000 characters costs no more nodes than one of two.
 * Inside AND and DIFF everything is written out, rules too: their operands must be regular, which
 * the depth bound enforces.
 * Thread: the caller's. Memory: arrays of the pgd_fa; work arrays are freed before it returns. */
#include <string.h>

#include "fa.h"
#include "pagoda/hash.h"
#include "pagoda/map.h"
#include "pagoda/mem.h"

enum { UNROLL_NODES = 48 }; /* repetitions of up to so many nodes are written out */

static uint32_t failed(pgd_fa_build *b, pgd_status st) {
    if (b->ir->st == PGD_OK) b->ir->st = st;
    return PGD_FA_DEAD;
}

uint32_t pgd_fa_add(pgd_fa_build *b, pgd_fa_kind kind, uint32_t a, uint32_t next) {
    pgd_fa *const fa = b->fa;
    if (!pgd_ir_step(b->ir, 1)) return PGD_FA_DEAD;
    if (fa->n_nodes >= b->ir->lim->max_states) return failed(b, PGD_E_LIMIT);
    if (!pgd_gr_reserve((void **)&fa->nodes, fa->n_nodes, &fa->cap_nodes, sizeof *fa->nodes))
        return failed(b, PGD_E_NOMEM);
    fa->nodes[fa->n_nodes] = (pgd_fa_node){(uint32_t)kind, a, next};
    return (uint32_t)fa->n_nodes++;
}

/* The slot of the table where `set` is or belongs. */
static size_t set_slot(const pgd_fa_build *b, const pgd_byteset *set) {
    size_t i = (size_t)(set->w[0] * 0x9E3779B97F4A7C15u ^ set->w[1] * 0xC2B2AE3D27D4EB4Fu ^
                        set->w[2] * 0x165667B19E3779F9u ^ set->w[3] * 0x27D4EB2F165667C5u);
    for (i ^= i >> 29;; i++) {
        const uint32_t id = b->set_table[i & (b->cap_set_table - 1)];
        if (id == 0 || memcmp(&b->fa->sets[id - 1], set, sizeof *set) == 0)
            return i & (b->cap_set_table - 1);
    }
}

static bool grow_set_table(pgd_fa_build *b) {
    const size_t cap = b->cap_set_table ? b->cap_set_table * 2 : 256;
    uint32_t *const table = pgd_calloc(cap, sizeof *table);
    if (!table) return false;
    pgd_free(b->set_table);
    b->set_table = table;
    b->cap_set_table = cap;
    for (size_t i = 0; i < b->fa->n_sets; i++)
        table[set_slot(b, &b->fa->sets[i])] = (uint32_t)i + 1;
    return true;
}

uint32_t pgd_fa_set(pgd_fa_build *b, const pgd_byteset *set) {
    pgd_fa *const fa = b->fa;
    if (fa->n_sets * 2 >= b->cap_set_table && !grow_set_table(b)) return failed(b, PGD_E_NOMEM);
    const size_t slot = set_slot(b, set);
    if (b->set_table[slot]) return b->set_table[slot] - 1;
    if (!pgd_gr_reserve((void **)&fa->sets, fa->n_sets, &fa->cap_sets, sizeof *fa->sets))
        return failed(b, PGD_E_NOMEM);
    fa->sets[fa->n_sets] = *set;
    b->set_table[slot] = (uint32_t)++fa->n_sets;
    return (uint32_t)fa->n_sets - 1;
}

static uint32_t literal(pgd_fa_build *b, const pgd_ir_node *x, uint32_t next) {
    for (uint32_t i = x->b; i-- > 0 && b->ir->st == PGD_OK;) {
        pgd_byteset one = {{0}};
        pgd_byteset_add(&one, (uint8_t)b->ir->bytes.p[x->a + i]);
        next = pgd_fa_add(b, PGD_FA_K_BYTES, pgd_fa_set(b, &one), next);
    }
    return next;
}

static uint32_t alternatives(pgd_fa_build *b, const pgd_ir_node *x, uint32_t next) {
    uint32_t all = PGD_FA_DEAD;
    for (uint32_t i = x->b; i-- > 0 && b->ir->st == PGD_OK;) {
        const uint32_t one = pgd_fa_expr(b, b->ir->list[x->a + i], next);
        all = all == PGD_FA_DEAD ? one : pgd_fa_add(b, PGD_FA_K_SPLIT, one, all);
    }
    return all;
}

/* Nodes that x would need, counted up to `cap`. */
static uint32_t size_upto(const pgd_ir *ir, uint32_t x, uint32_t cap) {
    const pgd_ir_node n = ir->nodes[x];
    uint32_t sum = 1;
    if (n.op == PGD_OP_LIT) return n.b < cap ? n.b : cap;
    if (n.op == PGD_OP_SEQ || n.op == PGD_OP_ALT)
        for (uint32_t i = 0; i < n.b && sum < cap; i++)
            sum += size_upto(ir, ir->list[n.a + i], cap - sum);
    if (n.op == PGD_OP_COUNT) {
        const uint64_t times = n.c == PGD_IR_INF ? (uint64_t)n.b + 1 : n.c;
        const uint64_t all = 1 + times * size_upto(ir, n.a, cap);
        sum = all < cap ? (uint32_t)all : cap;
    }
    return n.op == PGD_OP_AND || n.op == PGD_OP_DIFF || sum > cap ? cap : sum;
}

static bool nullable(const pgd_fa_build *b, uint32_t x) {
    const pgd_ir *const ir = b->ir;
    const pgd_ir_node n = ir->nodes[x];
    switch ((pgd_ir_op)n.op) {
    case PGD_OP_EMPTY:
        return true;
    case PGD_OP_RULE:
        return b->rule_nullable[n.a];
    case PGD_OP_COUNT:
        return n.b == 0 || nullable(b, n.a);
    case PGD_OP_AND:
        return nullable(b, n.a) && nullable(b, n.b);
    case PGD_OP_DIFF:
        return nullable(b, n.a) && !nullable(b, n.b);
    case PGD_OP_SEQ:
    case PGD_OP_ALT:
        for (uint32_t i = 0; i < n.b; i++)
            if (nullable(b, ir->list[n.a + i]) != (n.op == PGD_OP_SEQ)) return n.op == PGD_OP_ALT;
        return n.op == PGD_OP_SEQ;
    default:
        return false;
    }
}

/* x* going on to next. */
static uint32_t star(pgd_fa_build *b, uint32_t x, uint32_t next) {
    const uint32_t loop = pgd_fa_add(b, PGD_FA_K_SPLIT, PGD_FA_DEAD, next);
    const uint32_t body = pgd_fa_expr(b, x, loop);
    if (b->ir->st == PGD_OK) b->fa->nodes[loop].a = body;
    return loop;
}

static uint32_t unrolled(pgd_fa_build *b, const pgd_ir_node *x, uint32_t next) {
    uint32_t at = next;
    if (x->c == PGD_IR_INF)
        at = star(b, x->a, next);
    else
        for (uint32_t i = x->b; i < x->c && b->ir->st == PGD_OK; i++)
            at = pgd_fa_add(b, PGD_FA_K_SPLIT, pgd_fa_expr(b, x->a, at), next);
    for (uint32_t i = 0; i < x->b && b->ir->st == PGD_OK; i++)
        at = pgd_fa_expr(b, x->a, at);
    return at;
}

static uint32_t count(pgd_fa_build *b, const pgd_ir_node *x, uint32_t next) {
    pgd_fa *const fa = b->fa;
    const uint64_t times = x->c == PGD_IR_INF ? x->b : x->c;
    const bool shorter = times * size_upto(b->ir, x->a, UNROLL_NODES + 1) <= UNROLL_NODES;
    if (shorter || times <= 1 || b->inlined || nullable(b, x->a)) return unrolled(b, x, next);
    if (!pgd_gr_reserve((void **)&fa->counters, fa->n_counters, &fa->cap_counters,
                        sizeof *fa->counters))
        return failed(b, PGD_E_NOMEM);
    const uint32_t id = (uint32_t)fa->n_counters++;
    fa->counters[id] = (pgd_fa_counter){PGD_FA_DEAD, x->b, x->c};
    const uint32_t entry = pgd_fa_expr(b, x->a, PGD_FA_END);
    if (b->ir->st == PGD_OK) fa->counters[id].entry = entry;
    return pgd_fa_add(b, PGD_FA_K_COUNT, id, next);
}

/* A rule inside a product: its body, once for each continuation. */
static uint32_t inlined(pgd_fa_build *b, uint32_t rule, uint32_t next) {
    const uint64_t key = (uint64_t)rule << 32 | next;
    uint64_t at = 0;
    if (pgd_map64_get(b->inlined, key, &at)) return (uint32_t)at;
    const uint32_t entry = pgd_fa_add(b, PGD_FA_K_SPLIT, PGD_FA_DEAD, PGD_FA_DEAD);
    if (b->ir->st == PGD_OK && pgd_map64_put(b->inlined, key, entry) != PGD_OK)
        return failed(b, PGD_E_NOMEM);
    const uint32_t body = pgd_fa_expr(b, b->ir->rules[rule].body, next);
    if (b->ir->st == PGD_OK) b->fa->nodes[entry].a = body;
    return entry;
}

static uint32_t product(pgd_fa_build *b, const pgd_ir_node *x, uint32_t next) {
    struct pgd_map64 *const outer = b->inlined;
    uint32_t operand[2] = {PGD_FA_DEAD, PGD_FA_DEAD}, first = 0;
    for (int i = 0; i < 2 && b->ir->st == PGD_OK; i++) {
        const uint32_t mark = first = pgd_fa_add(b, PGD_FA_K_MARK, 0, 0);
        b->inlined = NULL;
        if (pgd_map64_create(&b->inlined, 16) != PGD_OK) (void)failed(b, PGD_E_NOMEM);
        if (b->inlined) operand[i] = pgd_fa_expr(b, i == 0 ? x->a : x->b, mark);
        pgd_map64_destroy(&b->inlined);
    }
    b->inlined = outer;
    return pgd_fa_product(b, operand[0], operand[1], first, x->op == PGD_OP_DIFF, next);
}

static uint32_t expr(pgd_fa_build *b, const pgd_ir_node *x, uint32_t next) {
    switch ((pgd_ir_op)x->op) {
    case PGD_OP_EMPTY:
        return next;
    case PGD_OP_SET:
        return pgd_fa_add(b, PGD_FA_K_BYTES, pgd_fa_set(b, &b->ir->sets[x->a]), next);
    case PGD_OP_LIT:
        return literal(b, x, next);
    case PGD_OP_SEQ:
        for (uint32_t i = x->b; i-- > 0 && b->ir->st == PGD_OK;)
            next = pgd_fa_expr(b, b->ir->list[x->a + i], next);
        return next;
    case PGD_OP_ALT:
        return alternatives(b, x, next);
    case PGD_OP_COUNT:
        return count(b, x, next);
    case PGD_OP_RULE:
        if (b->inlined) return inlined(b, x->a, next);
        if (next == PGD_FA_END) return b->rule_entry[x->a];
        return pgd_fa_add(b, PGD_FA_K_CALL, b->rule_entry[x->a], next);
    case PGD_OP_AND:
    case PGD_OP_DIFF:
        return product(b, x, next);
    default:
        return PGD_FA_DEAD;
    }
}

uint32_t pgd_fa_expr(pgd_fa_build *b, uint32_t x, uint32_t next) {
    if (b->ir->st != PGD_OK) return PGD_FA_DEAD;
    if (b->depth >= 8 * b->ir->lim->max_depth + 64) return failed(b, PGD_E_LIMIT);
    b->depth++;
    const pgd_ir_node n = b->ir->nodes[x];
    const uint32_t at = expr(b, &n, next);
    b->depth--;
    return at;
}

/* Which rules match the empty text: the least fixed point. */
static void find_nullable(pgd_fa_build *b) {
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t r = b->ir->n_rules; r-- > 0 && pgd_ir_step(b->ir, 1);) {
            if (b->rule_nullable[r] || !nullable(b, b->ir->rules[r].body)) continue;
            b->rule_nullable[r] = 1;
            changed = true;
        }
    }
}

uint32_t pgd_fa_classes(const pgd_fa *fa, const uint8_t *mark, uint8_t class_of[256]) {
    uint32_t n = 1;
    memset(class_of, 0, 256);
    for (size_t s = 0; s < fa->n_sets && n < 256; s++) {
        uint32_t split[256] = {0}; /* class -> its part inside the set, + 1 */
        bool outside[256] = {false};
        if (mark && !mark[s]) continue;
        for (unsigned c = 0; c < 256; c++)
            outside[class_of[c]] |= !pgd_byteset_has(&fa->sets[s], (uint8_t)c);
        for (unsigned c = 0; c < 256; c++) {
            const uint8_t k = class_of[c];
            if (!pgd_byteset_has(&fa->sets[s], (uint8_t)c) || !outside[k]) continue;
            if (!split[k]) split[k] = ++n;
            class_of[c] = (uint8_t)(split[k] - 1);
        }
    }
    return n;
}

static void find_classes(pgd_fa *fa) {
    fa->n_classes = pgd_fa_classes(fa, NULL, fa->class_of);
    for (unsigned c = 256; c-- > 0;)
        fa->byte_of[fa->class_of[c]] = (uint8_t)c;
}

static void build(pgd_fa_build *b, uint32_t root) {
    pgd_ir *const ir = b->ir;
    (void)pgd_fa_add(b, PGD_FA_K_DEAD, 0, 0);
    (void)pgd_fa_add(b, PGD_FA_K_END, 0, 0);
    for (size_t r = 0; r < ir->n_rules && ir->st == PGD_OK; r++)
        b->rule_entry[r] = pgd_fa_add(b, PGD_FA_K_SPLIT, PGD_FA_DEAD, PGD_FA_DEAD);
    for (size_t r = 0; r < ir->n_rules && ir->st == PGD_OK; r++) {
        const uint32_t body = pgd_fa_expr(b, ir->rules[r].body, PGD_FA_END);
        if (ir->st == PGD_OK) b->fa->nodes[b->rule_entry[r]].a = body;
    }
    b->fa->root = pgd_fa_expr(b, root, PGD_FA_END);
}

pgd_status pgd_fa_compile(pgd_fa *fa, pgd_ir *ir, uint32_t root, pgd_error *err) {
    pgd_fa_build b = {.ir = ir, .fa = fa};
    pgd_status st = PGD_OK;
    b.rule_entry = pgd_calloc(ir->n_rules + 1, sizeof *b.rule_entry);
    b.rule_nullable = pgd_calloc(ir->n_rules + 1, 1);
    if (!b.rule_entry || !b.rule_nullable) {
        (void)failed(&b, PGD_E_NOMEM);
    } else {
        find_nullable(&b);
        build(&b, root);
    }
    st = pgd_ir_check(ir, err);
    if (st == PGD_OK) {
        find_classes(fa);
        st = pgd_fa_analyze(&b, err);
    }
    pgd_free(b.rule_entry);
    pgd_free(b.rule_nullable);
    pgd_free(b.set_table);
    return st;
}

void pgd_fa_fini(pgd_fa *fa) {
    pgd_free(fa->nodes);
    pgd_free(fa->sets);
    pgd_free(fa->counters);
    pgd_free(fa->alive);
    *fa = (pgd_fa){0};
}
