/* A program as text, for people: what runs, in which types and shapes, and how long it took.
 *
 * Layers of one program differ in their addresses only (and in the window), so the operations of
 * all layers with one name share a line; times are sums over layers and steps. */
#include "program.h"

#include <inttypes.h>
#include <string.h>

static void describe_shape(const program_op *o, pgd_buf *out) {
    switch (o->op) {
    case PGD_OP_LINEAR: {
        const pgd_linear_args *const a = &o->args.linear;
        pgd_buf_putf(out, " %s %" PRIu32 " -> %" PRIu32 "%s", pgd_dtype_name(a->w->dtype), a->w->k,
                     a->w->n, a->bias.data ? " + bias" : "");
        break;
    }
    case PGD_OP_ATTN: {
        const pgd_attn_args *const a = &o->args.attn;
        pgd_buf_putf(out, " %s pages, %" PRIu32 "/%" PRIu32 " heads of %" PRIu32,
                     pgd_dtype_name(a->kv_type), a->n_heads, a->n_kv_heads, a->head_dim);
        if (a->window) pgd_buf_putf(out, ", window %" PRIu32, a->window);
        break;
    }
    case PGD_OP_EMBED:
        pgd_buf_putf(out, " %s %" PRIu64 " x %" PRIu64, pgd_dtype_name(o->args.embed.table.dtype),
                     o->args.embed.table.shape[0], o->args.embed.table.shape[1]);
        break;
    case PGD_OP_NORM:
        pgd_buf_putf(out, " %" PRIu64 " to %s", o->args.norm.x.shape[1],
                     pgd_dtype_name(o->args.norm.y.dtype));
        break;
    default:
        break;
    }
}

/* Whether an operation before i has the name of i. */
static bool seen(const program *p, uint32_t i) {
    for (uint32_t j = 0; j < i; j++)
        if (strcmp(p->op[j].name, p->op[i].name) == 0) return true;
    return false;
}

static void describe_group(const program *p, uint32_t first, uint64_t all_ns, pgd_buf *out) {
    const char *const name = p->op[first].name;
    uint32_t n = 0;
    uint64_t calls = 0, ns = 0;
    for (uint32_t i = first; i < p->n_ops; i++) {
        if (strcmp(p->op[i].name, name) != 0) continue;
        n++;
        calls += p->op[i].calls;
        ns += p->op[i].ns;
    }
    pgd_buf_putf(out, "%-16s %-12s x%-3" PRIu32, name, pgd_op_name(p->op[first].op), n);
    if (p->clock)
        pgd_buf_putf(out, " %8" PRIu64 " calls %10.3f ms %5.1f %%", calls, (double)ns / 1e6,
                     all_ns ? 100 * (double)ns / (double)all_ns : 0);
    describe_shape(&p->op[first], out);
    pgd_buf_putc(out, '\n');
}

void program_describe(const program *p, pgd_buf *out) {
    uint64_t all_ns = 0;
    for (uint32_t i = 0; i < p->n_ops; i++)
        all_ns += p->op[i].ns;
    for (uint32_t i = 0; i < p->n_ops; i++)
        if (!seen(p, i)) describe_group(p, i, all_ns, out);
}
