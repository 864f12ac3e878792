/* Making room: copy what is still needed from one half of the store to the other.
 *
 * Needed are the start and every config that a matcher stands on or may go back to, with their
 * lines and frames. Transitions and masks are dropped and found again. Numbers change, so the
 * matchers, which the grammar lists, are rewritten. The old half holds each thing's new number
 * while this runs.
 * Thread: whoever holds the grammar's lock. Allocates nothing. Recursion is along a stack, which
 * max_stack bounds. */
#include <string.h>

#include "store.h"

static uint32_t move_line(pgd_store *s, pgd_half *old, uint32_t line) {
    pgd_line *const l = &old->lines[line];
    if (l->moved) return l->moved;
    memcpy(s->nodes, old->pool + l->at, l->n * sizeof *s->nodes);
    l->moved = pgd_store_line(s, l->n);
    return l->moved;
}

static uint32_t move_frame(pgd_store *s, pgd_half *old, uint32_t frame) {
    if (frame == 0) return 0;
    pgd_frame *const f = &old->frames[frame];
    if (f->moved) return f->moved;
    pgd_frame copy = *f;
    copy.below = move_frame(s, old, f->below);
    copy.ret = move_line(s, old, f->ret);
    copy.body = f->body ? move_line(s, old, f->body) : 0;
    if (!copy.ret || (f->body && !copy.body) || (f->below && !copy.below)) return 0;
    f->moved = pgd_store_frame(s, copy);
    return f->moved;
}

static uint32_t move_config(pgd_store *s, pgd_half *old, uint32_t config) {
    if (config <= PGD_CONFIG_ENDED) return config;
    pgd_config *const c = &old->configs[config];
    if (c->moved) return c->moved;
    for (uint32_t i = 0; i < c->n; i++) {
        const uint32_t *const item = old->pool + c->at + 2 * i;
        const uint32_t line = move_line(s, old, item[0]), frame = move_frame(s, old, item[1]);
        if (!line || (item[1] && !frame)) return PGD_CONFIG_NONE;
        s->items[i][0] = line;
        s->items[i][1] = frame;
    }
    s->n_items = c->n;
    c->moved = pgd_store_config(s, c->accepts);
    return c->moved;
}

bool pgd_store_collect(pgd_grammar *g) {
    pgd_store *const s = &g->store;
    pgd_half *const old = s->h;
    s->h = old == &s->halves[0] ? &s->halves[1] : &s->halves[0];
    pgd_store_clear(s);
    pgd_store_begin(s);
    memset(s->slot_config, 0, s->n_slots * sizeof *s->slot_config);
    s->start = move_config(s, old, s->start);
    bool ok = s->start != PGD_CONFIG_NONE;
    for (pgd_matcher *m = g->matchers; m && ok; m = m->next) {
        m->at = move_config(s, old, m->at);
        m->on = move_config(s, old, m->on);
        ok = m->at != PGD_CONFIG_NONE && m->on != PGD_CONFIG_NONE;
        for (uint32_t i = 0; i < m->n_past && ok; i++) {
            uint32_t *const past =
                &m->past[(m->head + 2 * PGD_MATCHER_UNDO - 1 - i) % PGD_MATCHER_UNDO];
            *past = move_config(s, old, *past);
            ok = *past != PGD_CONFIG_NONE;
        }
    }
    return ok;
}
