/* Restricting an expression to texts of so many characters.
 *
 * The general way is an intersection with "any character, min to max times", which is written out:
 * dear where max is large. Most patterns that come with a length need less: the length follows from
 * the pattern, or only one repetition in it can vary, whose bounds can then be tightened.
 * Thread: the caller's. Recursion is along expressions, whose depth the parsers bound. */
#include "ir.h"

typedef struct lengths {
    uint64_t min, max; /* PGD_IR_INF and above: no bound */
} lengths;

static uint64_t times(uint64_t a, uint64_t b) {
    if (a == 0 || b == 0) return 0;
    return a >= PGD_IR_INF || b >= PGD_IR_INF || a * b >= PGD_IR_INF ? PGD_IR_INF : a * b;
}

static lengths lengths_of(pgd_ir *ir, uint32_t x) {
    const pgd_ir_node n = ir->nodes[x];
    lengths all = {0, 0};
    if (n.one_char) return (lengths){1, 1};
    if (!pgd_ir_step(ir, 1)) return (lengths){0, PGD_IR_INF};
    switch ((pgd_ir_op)n.op) {
    case PGD_OP_EMPTY:
        return all;
    case PGD_OP_SEQ:
        for (uint32_t i = 0; i < n.b; i++) {
            const lengths one = lengths_of(ir, ir->list[n.a + i]);
            all.min = all.min + one.min < PGD_IR_INF ? all.min + one.min : PGD_IR_INF;
            all.max = all.max + one.max < PGD_IR_INF ? all.max + one.max : PGD_IR_INF;
        }
        return all;
    case PGD_OP_ALT:
        all = (lengths){PGD_IR_INF, 0};
        for (uint32_t i = 0; i < n.b; i++) {
            const lengths one = lengths_of(ir, ir->list[n.a + i]);
            if (one.min < all.min) all.min = one.min;
            if (one.max > all.max) all.max = one.max;
        }
        return all;
    case PGD_OP_COUNT:
        all = lengths_of(ir, n.a);
        return (lengths){times(all.min, n.b), times(all.max, n.c)};
    default: /* bytes that are not known to be characters, or rules */
        return (lengths){0, PGD_IR_INF};
    }
}

/* The repetition of one character n with its bounds moved to leave `fixed` characters to others. */
static uint32_t tightened(pgd_ir *ir, const pgd_ir_node *n, uint64_t fixed, uint32_t min,
                          uint32_t max) {
    const uint64_t lo = min > fixed ? min - fixed : 0;
    if (max != PGD_IR_INF && max < fixed) return PGD_IR_FAIL;
    const uint64_t hi = max == PGD_IR_INF ? PGD_IR_INF : max - fixed;
    const uint32_t from = lo > n->b ? (uint32_t)lo : n->b, to = hi < n->c ? (uint32_t)hi : n->c;
    return from > to ? PGD_IR_FAIL : pgd_ir_count(ir, n->a, from, to);
}

/* Tighten x if it is a repetition of one character, or a sequence with only one such part whose
 * length varies. False when it is neither. */
static bool tighten(pgd_ir *ir, uint32_t x, uint32_t min, uint32_t max, uint32_t *out) {
    const pgd_ir_node n = ir->nodes[x];
    uint32_t varies = UINT32_MAX;
    uint64_t fixed = 0;
    if (n.op == PGD_OP_COUNT && ir->nodes[n.a].one_char) {
        *out = tightened(ir, &n, 0, min, max);
        return true;
    }
    if (n.op != PGD_OP_SEQ) return false;
    for (uint32_t i = 0; i < n.b; i++) {
        const pgd_ir_node c = ir->nodes[ir->list[n.a + i]];
        const lengths one = lengths_of(ir, ir->list[n.a + i]);
        if (one.min == one.max) {
            fixed += one.min;
        } else if (varies == UINT32_MAX && c.op == PGD_OP_COUNT && ir->nodes[c.a].one_char) {
            varies = i;
        } else {
            return false;
        }
    }
    if (varies == UINT32_MAX) return false;
    const size_t mark = pgd_ir_mark(ir);
    for (uint32_t i = 0; i < n.b; i++) {
        const uint32_t child = ir->list[n.a + i];
        const pgd_ir_node c = ir->nodes[child];
        pgd_ir_push(ir, i == varies ? tightened(ir, &c, fixed, min, max) : child);
    }
    *out = pgd_ir_seq(ir, mark);
    return true;
}

uint32_t pgd_ir_limit_chars(pgd_ir *ir, uint32_t x, uint32_t min, uint32_t max, uint32_t any_char) {
    const pgd_ir_node n = ir->nodes[x];
    const lengths l = lengths_of(ir, x);
    uint32_t out = PGD_IR_FAIL;
    if (l.min >= min && (max == PGD_IR_INF || l.max <= max)) return x;
    if (l.max < min || (max != PGD_IR_INF && l.min > max)) return PGD_IR_FAIL;
    if (n.op == PGD_OP_ALT && !n.one_char) {
        const size_t mark = pgd_ir_mark(ir);
        for (uint32_t i = 0; i < n.b; i++)
            pgd_ir_push(ir, pgd_ir_limit_chars(ir, ir->list[n.a + i], min, max, any_char));
        return pgd_ir_alt(ir, mark);
    }
    if (tighten(ir, x, min, max, &out)) return out;
    /* what the pattern demands anyway need not be counted */
    const uint32_t lo = l.min >= min ? 0 : min, hi = l.max <= max ? PGD_IR_INF : max;
    return pgd_ir_and(ir, x, pgd_ir_count(ir, any_char, lo, hi));
}
