/* Building rule expressions.
 *
 * Owns the arrays of a pgd_ir. The constructors simplify as they go (nothing times anything is
 * nothing, an alternative of one is that one), so that later passes never meet degenerate nodes.
 * SEQ and ALT have any number of children: a literal of 60,000 bytes or an enum of 10,000 values
 * adds no depth, and recursion over expressions is bounded by the nesting that the parsers allow.
 * Thread: the caller's. Does not know what the expressions mean. */
#include "ir.h"

#include <string.h>

#include "pagoda/mem.h"

bool pgd_gr_reserve(void **p, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return true;
    const size_t want = *cap ? *cap * 2 : 64;
    size_t bytes = 0;
    if (!pgd_mul_size(want, size, &bytes)) return false;
    void *const q = pgd_realloc(*p, bytes);
    if (!q) return false;
    *p = q;
    *cap = want;
    return true;
}

static uint32_t failed(pgd_ir *ir, pgd_status st) {
    if (ir->st == PGD_OK) ir->st = st;
    return PGD_IR_FAIL;
}

static uint32_t node(pgd_ir *ir, pgd_ir_node v) {
    if (!pgd_ir_step(ir, 1)) return PGD_IR_FAIL;
    if (ir->n_nodes >= ir->lim->max_nodes) return failed(ir, PGD_E_LIMIT);
    if (!pgd_gr_reserve((void **)&ir->nodes, ir->n_nodes, &ir->cap_nodes, sizeof *ir->nodes))
        return failed(ir, PGD_E_NOMEM);
    ir->nodes[ir->n_nodes] = v;
    return (uint32_t)ir->n_nodes++;
}

pgd_status pgd_ir_init(pgd_ir *ir, const pgd_grammar_limits *lim) {
    *ir = (pgd_ir){.lim = lim};
    (void)node(ir, (pgd_ir_node){.op = PGD_OP_FAIL});
    (void)node(ir, (pgd_ir_node){.op = PGD_OP_EMPTY});
    return ir->st;
}

void pgd_ir_fini(pgd_ir *ir) {
    pgd_free(ir->nodes);
    pgd_free(ir->list);
    pgd_free(ir->stack);
    pgd_free(ir->sets);
    pgd_free(ir->rules);
    pgd_buf_fini(&ir->bytes);
    *ir = (pgd_ir){0};
}

bool pgd_ir_step(pgd_ir *ir, uint64_t n) {
    if (ir->st != PGD_OK) return false;
    ir->steps += n;
    if (ir->steps > ir->lim->max_steps) (void)failed(ir, PGD_E_LIMIT);
    return ir->st == PGD_OK;
}

pgd_status pgd_ir_check(const pgd_ir *ir, pgd_error *err) {
    if (ir->st == PGD_E_NOMEM) return pgd_fail(err, PGD_E_NOMEM, "out of memory for the grammar");
    if (ir->st == PGD_E_LIMIT)
        return pgd_fail(err, PGD_E_LIMIT,
                        "the grammar is too large: more than %llu steps or %u nodes to compile",
                        (unsigned long long)ir->lim->max_steps, ir->lim->max_nodes);
    return ir->st;
}

uint32_t pgd_ir_set(pgd_ir *ir, const pgd_byteset *set) {
    if (!(set->w[0] | set->w[1] | set->w[2] | set->w[3])) return PGD_IR_FAIL;
    if (!pgd_gr_reserve((void **)&ir->sets, ir->n_sets, &ir->cap_sets, sizeof *ir->sets))
        return failed(ir, PGD_E_NOMEM);
    ir->sets[ir->n_sets] = *set;
    return node(ir, (pgd_ir_node){.op = PGD_OP_SET, .a = (uint32_t)ir->n_sets++});
}

uint32_t pgd_ir_range(pgd_ir *ir, uint8_t lo, uint8_t hi) {
    pgd_byteset s = {{0}};
    for (unsigned b = lo; b <= hi; b++)
        pgd_byteset_add(&s, (uint8_t)b);
    return pgd_ir_set(ir, &s);
}

uint32_t pgd_ir_lit(pgd_ir *ir, pgd_sv text) {
    if (text.n == 0) return PGD_IR_EMPTY;
    if (ir->bytes.n + text.n > ir->lim->max_nodes) return failed(ir, PGD_E_LIMIT);
    const uint32_t at = (uint32_t)ir->bytes.n;
    pgd_buf_putsv(&ir->bytes, text);
    if (ir->bytes.failed) return failed(ir, PGD_E_NOMEM);
    return node(ir, (pgd_ir_node){.op = PGD_OP_LIT, .a = at, .b = (uint32_t)text.n});
}

uint32_t pgd_ir_count(pgd_ir *ir, uint32_t x, uint32_t min, uint32_t max) {
    if (min > max) return PGD_IR_FAIL;
    if (x == PGD_IR_EMPTY || max == 0) return PGD_IR_EMPTY;
    if (x == PGD_IR_FAIL) return min == 0 ? PGD_IR_EMPTY : PGD_IR_FAIL;
    if (min == 1 && max == 1) return x;
    const bool anchor = ir->nodes[x].anchor;
    return node(ir, (pgd_ir_node){PGD_OP_COUNT, anchor, false, x, min, max});
}

uint32_t pgd_ir_opt(pgd_ir *ir, uint32_t x) {
    return pgd_ir_count(ir, x, 0, 1);
}

uint32_t pgd_ir_and(pgd_ir *ir, uint32_t a, uint32_t b) {
    if (a == PGD_IR_FAIL || b == PGD_IR_FAIL) return PGD_IR_FAIL;
    if (a == b) return a;
    return node(ir, (pgd_ir_node){.op = PGD_OP_AND, .a = a, .b = b});
}

uint32_t pgd_ir_diff(pgd_ir *ir, uint32_t a, uint32_t b) {
    if (a == PGD_IR_FAIL || b == PGD_IR_FAIL) return a;
    return node(ir, (pgd_ir_node){.op = PGD_OP_DIFF, .a = a, .b = b});
}

uint32_t pgd_ir_look(pgd_ir *ir, pgd_ir_op op, uint32_t x, uint32_t negative) {
    return node(ir, (pgd_ir_node){.op = (uint8_t)op, .anchor = true, .a = x, .b = negative});
}

uint32_t pgd_ir_anchor(pgd_ir *ir, pgd_ir_op op) {
    return node(ir, (pgd_ir_node){.op = (uint8_t)op, .anchor = true});
}

size_t pgd_ir_mark(const pgd_ir *ir) {
    return ir->n_stack;
}

void pgd_ir_push(pgd_ir *ir, uint32_t x) {
    if (!pgd_gr_reserve((void **)&ir->stack, ir->n_stack, &ir->cap_stack, sizeof *ir->stack)) {
        (void)failed(ir, PGD_E_NOMEM);
        return;
    }
    ir->stack[ir->n_stack++] = x;
}

/* A list node of all above mark, which are dropped from the stack. */
static uint32_t list_node(pgd_ir *ir, size_t mark, pgd_ir_op op) {
    const size_t n = ir->n_stack - mark, at = ir->n_list;
    bool anchor = false;
    for (size_t i = mark; i < ir->n_stack; i++) {
        if (ir->n_list >= ir->lim->max_nodes) return failed(ir, PGD_E_LIMIT);
        if (!pgd_gr_reserve((void **)&ir->list, ir->n_list, &ir->cap_list, sizeof *ir->list))
            return failed(ir, PGD_E_NOMEM);
        ir->list[ir->n_list++] = ir->stack[i];
        anchor |= ir->nodes[ir->stack[i]].anchor;
    }
    ir->n_stack = mark;
    return node(ir, (pgd_ir_node){(uint8_t)op, anchor, false, (uint32_t)at, (uint32_t)n, 0});
}

uint32_t pgd_ir_seq(pgd_ir *ir, size_t mark) {
    size_t n = mark;
    if (ir->st != PGD_OK) return PGD_IR_FAIL;
    for (size_t i = mark; i < ir->n_stack; i++) {
        if (ir->stack[i] == PGD_IR_FAIL) {
            ir->n_stack = mark;
            return PGD_IR_FAIL;
        }
        if (ir->stack[i] != PGD_IR_EMPTY) ir->stack[n++] = ir->stack[i];
    }
    ir->n_stack = n;
    if (n > mark + 1) return list_node(ir, mark, PGD_OP_SEQ);
    ir->n_stack = mark;
    return n == mark ? PGD_IR_EMPTY : ir->stack[mark];
}

uint32_t pgd_ir_alt(pgd_ir *ir, size_t mark) {
    size_t n = mark;
    if (ir->st != PGD_OK) return PGD_IR_FAIL;
    for (size_t i = mark; i < ir->n_stack; i++)
        if (ir->stack[i] != PGD_IR_FAIL) ir->stack[n++] = ir->stack[i];
    ir->n_stack = n;
    if (n > mark + 1) return list_node(ir, mark, PGD_OP_ALT);
    ir->n_stack = mark;
    return n == mark ? PGD_IR_FAIL : ir->stack[mark];
}

uint32_t pgd_ir_seq2(pgd_ir *ir, uint32_t a, uint32_t b) {
    const size_t mark = pgd_ir_mark(ir);
    pgd_ir_push(ir, a);
    pgd_ir_push(ir, b);
    return pgd_ir_seq(ir, mark);
}

uint32_t pgd_ir_alt2(pgd_ir *ir, uint32_t a, uint32_t b) {
    const size_t mark = pgd_ir_mark(ir);
    pgd_ir_push(ir, a);
    pgd_ir_push(ir, b);
    return pgd_ir_alt(ir, mark);
}

uint32_t pgd_ir_new_rule(pgd_ir *ir, pgd_sv name) {
    const uint32_t at = (uint32_t)ir->bytes.n;
    if (ir->n_rules >= ir->lim->max_nodes) return failed(ir, PGD_E_LIMIT);
    pgd_buf_putsv(&ir->bytes, name);
    if (ir->bytes.failed ||
        !pgd_gr_reserve((void **)&ir->rules, ir->n_rules, &ir->cap_rules, sizeof *ir->rules))
        return failed(ir, PGD_E_NOMEM);
    ir->rules[ir->n_rules] = (pgd_ir_rule){PGD_IR_FAIL, at, (uint32_t)name.n};
    return (uint32_t)ir->n_rules++;
}

uint32_t pgd_ir_rule_ref(pgd_ir *ir, uint32_t rule) {
    return node(ir, (pgd_ir_node){.op = PGD_OP_RULE, .a = rule});
}
