/* Interning and stepping of lines, frames and configs.
 *
 * Every number is found in one of three open-addressing tables, so a state reached twice is the
 * same state and its transitions and masks are computed once. All memory was reserved at creation;
 * an operation that finds a half full stops with `full` set and leaves the tables valid.
 *
 * A config is closed in one pass over a growing list of items: an item whose line can end goes on
 * in the frame below, a call puts a frame on the stack, except where nothing follows (so right
 * recursion needs no stack). Items without a byte to consume are only passed through.
 * Thread: whoever holds the grammar's lock. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "pagoda/mem.h"

static uint32_t fail(pgd_store *s, const char *why, bool full) {
    if (s->st == PGD_OK) {
        s->st = PGD_E_LIMIT;
        s->why = why;
        s->full = full;
    }
    return PGD_CONFIG_NONE;
}

static uint32_t no_room(pgd_store *s) {
    return fail(s, "the grammar needs more run-time memory than it may have", true);
}

void pgd_store_begin(pgd_store *s) {
    s->st = PGD_OK;
    s->why = NULL;
    s->full = s->cut = false;
    s->steps = 0;
}

bool pgd_store_spend(pgd_store *s, uint64_t steps) {
    s->steps += steps;
    if (s->steps > s->lim->max_mask_steps) (void)fail(s, "one token takes too many steps", false);
    return s->st == PGD_OK;
}

static uint32_t mix(uint32_t h, uint32_t v) {
    const uint64_t x = ((uint64_t)h << 32 | v) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

static uint32_t mix_all(const uint32_t *v, size_t n, uint32_t h) {
    for (size_t i = 0; i < n; i++)
        h = mix(h, v[i]);
    return h;
}

/* n words of the pool; 0 when there is no room (0 itself is never handed out). */
static uint32_t take(pgd_store *s, uint32_t n) {
    pgd_half *const h = s->h;
    if (n > h->cap_pool - h->n_pool) return no_room(s);
    h->n_pool += n;
    return h->n_pool - n;
}

static uint32_t new_row(pgd_store *s) {
    const uint32_t row = take(s, s->fa->n_classes);
    if (row) memset(s->h->pool + row, 0, s->fa->n_classes * sizeof(uint32_t));
    return row;
}

/* ---- Lines ---- */

uint32_t pgd_store_line(pgd_store *s, uint32_t n) {
    pgd_half *const h = s->h;
    uint32_t slot = mix_all(s->nodes, n, n) & h->table_mask;
    for (; h->line_table[slot]; slot = (slot + 1) & h->table_mask) {
        const pgd_line *const l = &h->lines[h->line_table[slot]];
        if (l->n == n && memcmp(h->pool + l->at, s->nodes, n * sizeof *s->nodes) == 0)
            return h->line_table[slot];
    }
    const uint32_t at = h->n_lines < h->cap ? take(s, n) : no_room(s);
    if (!at || !pgd_store_spend(s, n)) return PGD_CONFIG_NONE;
    pgd_line l = {.at = at, .n = n};
    memcpy(h->pool + at, s->nodes, n * sizeof *s->nodes);
    for (uint32_t i = 0; i < n; i++) {
        l.ends |= s->nodes[i] == PGD_FA_END;
        l.has_bytes |= s->fa->nodes[s->nodes[i]].kind == PGD_FA_K_BYTES;
    }
    h->lines[h->n_lines] = l;
    h->line_table[slot] = h->n_lines;
    return h->n_lines++;
}

/* Add to nodes[0..n) what `start` leads to without a byte. */
static uint32_t closure(pgd_store *s, uint32_t start, uint32_t n) {
    const pgd_fa *const fa = s->fa;
    uint32_t depth = 0;
    if (s->stamp[start] != s->now && fa->alive[start]) s->node_stack[depth++] = start;
    s->stamp[start] = s->now;
    while (depth > 0) {
        const uint32_t at = s->node_stack[--depth];
        const pgd_fa_node u = fa->nodes[at];
        uint32_t to[2] = {PGD_FA_DEAD, PGD_FA_DEAD};
        s->steps++;
        if (u.kind == PGD_FA_K_SPLIT) {
            to[0] = u.a;
            to[1] = u.b;
        } else {
            s->nodes[n++] = at;
            if (u.kind == PGD_FA_K_COUNT && fa->counters[u.a].min == 0) to[0] = u.b;
        }
        for (int k = 0; k < 2; k++) {
            if (s->stamp[to[k]] == s->now || !fa->alive[to[k]]) continue;
            s->stamp[to[k]] = s->now;
            s->node_stack[depth++] = to[k];
        }
    }
    return n;
}

static int by_value(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void sort_words(uint32_t *v, uint32_t n) {
    if (n > 12) {
        qsort(v, n, sizeof *v, by_value);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        const uint32_t x = v[i];
        uint32_t k = i;
        for (; k > 0 && v[k - 1] > x; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

static uint32_t next_stamp(pgd_store *s) {
    if (++s->now == 0) { /* wrapped: old stamps would look new */
        memset(s->stamp, 0, s->fa->n_nodes * sizeof *s->stamp);
        s->now = 1;
    }
    return s->now;
}

static uint32_t line_at(pgd_store *s, uint32_t node) {
    (void)next_stamp(s);
    const uint32_t n = closure(s, node, 0);
    sort_words(s->nodes, n);
    return pgd_store_line(s, n);
}

/* Line l after a byte of class k; the empty line when there is nothing. 0 on error. */
static uint32_t line_step(pgd_store *s, uint32_t l, uint32_t k) {
    pgd_half *const h = s->h;
    const pgd_fa *const fa = s->fa;
    if (!h->lines[l].row) h->lines[l].row = new_row(s);
    const uint32_t row = h->lines[l].row;
    if (!row || h->pool[row + k]) return row ? h->pool[row + k] : 0;
    uint32_t n = 0;
    (void)next_stamp(s);
    for (uint32_t i = 0; i < h->lines[l].n; i++) {
        const pgd_fa_node u = fa->nodes[h->pool[h->lines[l].at + i]];
        if (u.kind == PGD_FA_K_BYTES && pgd_byteset_has(&fa->sets[u.a], fa->byte_of[k]))
            n = closure(s, u.b, n);
    }
    sort_words(s->nodes, n);
    const uint32_t to = pgd_store_spend(s, h->lines[l].n) ? pgd_store_line(s, n) : 0;
    h->pool[row + k] = to;
    return to;
}

/* The calls of line l, those of one rule together. */
static bool find_calls(pgd_store *s, uint32_t l) {
    pgd_half *const h = s->h;
    const pgd_fa *const fa = s->fa;
    uint32_t n_calls = 0;
    for (uint32_t i = 0; i < h->lines[l].n; i++)
        n_calls += fa->nodes[h->pool[h->lines[l].at + i]].kind >= PGD_FA_K_CALL;
    const uint32_t calls = take(s, 3 * n_calls);
    if (!calls) return false;
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->lines[l].n; i++) {
        const pgd_fa_node u = fa->nodes[h->pool[h->lines[l].at + i]];
        bool first = u.kind >= PGD_FA_K_CALL;
        for (uint32_t k = 0; k < i && first; k++) {
            const pgd_fa_node w = fa->nodes[h->pool[h->lines[l].at + k]];
            first = w.kind != u.kind || w.a != u.a;
        }
        if (!first) continue;
        (void)next_stamp(s);
        uint32_t n_ret = 0;
        for (uint32_t k = i; k < h->lines[l].n; k++) {
            const pgd_fa_node w = fa->nodes[h->pool[h->lines[l].at + k]];
            if (w.kind == u.kind && w.a == u.a) n_ret = closure(s, w.b, n_ret);
        }
        sort_words(s->nodes, n_ret);
        const bool counts = u.kind == PGD_FA_K_COUNT;
        const uint32_t ret = pgd_store_line(s, n_ret);
        const uint32_t entry = ret ? line_at(s, counts ? fa->counters[u.a].entry : u.a) : 0;
        if (!entry || !pgd_store_spend(s, i + 1)) return false;
        h->pool[calls + n++] = counts ? u.a + 1 : 0;
        h->pool[calls + n++] = entry;
        h->pool[calls + n++] = ret;
    }
    h->lines[l].calls = calls;
    h->lines[l].n_calls = n / 3;
    h->lines[l].called = true;
    return true;
}

/* ---- Frames ---- */

static bool same_frame(const pgd_frame *a, const pgd_frame *b) {
    return a->ret == b->ret && a->below == b->below && a->body == b->body && a->min == b->min &&
           a->max == b->max;
}

uint32_t pgd_store_frame(pgd_store *s, pgd_frame f) {
    pgd_half *const h = s->h;
    const uint32_t key[5] = {f.ret, f.below, f.body, f.min, f.max};
    uint32_t slot = mix_all(key, 5, 1) & h->table_mask;
    for (; h->frame_table[slot]; slot = (slot + 1) & h->table_mask)
        if (same_frame(&h->frames[h->frame_table[slot]], &f)) return h->frame_table[slot];
    if (h->n_frames >= h->cap) return no_room(s);
    const uint32_t id = h->n_frames++;
    h->frame_table[slot] = id;
    f.depth = h->frames[f.below].depth + 1;
    f.clamped = id;
    f.moved = 0;
    h->frames[id] = f;
    /* A token of n bytes ends at most n rounds: more left to do, or allowed, look alike. */
    pgd_frame c = f;
    c.below = h->frames[f.below].clamped;
    if (c.max != PGD_IR_INF && c.max > s->vocab->max_len + 1) c.max = PGD_IR_INF;
    if (c.min > s->vocab->max_len + 1) c.min = s->vocab->max_len + 1;
    if (same_frame(&c, &f)) return id;
    const uint32_t clamped = pgd_store_frame(s, c); /* its own clamp is itself: no deeper */
    if (!clamped) return PGD_CONFIG_NONE;
    h->frames[id].clamped = clamped;
    return id;
}

/* ---- Configs ---- */

static void begin_items(pgd_store *s) {
    s->n_items = 0;
    if (++s->item_now >= UINT32_MAX / PGD_MAX_ITEMS - 1) {
        memset(s->item_table, 0, 4 * PGD_MAX_ITEMS * sizeof *s->item_table);
        s->item_now = 1;
    }
}

static bool add_item(pgd_store *s, uint32_t line, uint32_t frame) {
    const uint32_t base = s->item_now * PGD_MAX_ITEMS;
    uint32_t slot = mix(line, frame) & (4 * PGD_MAX_ITEMS - 1);
    for (; s->item_table[slot] >= base; slot = (slot + 1) & (4 * PGD_MAX_ITEMS - 1)) {
        const uint32_t i = s->item_table[slot] - base;
        if (s->items[i][0] == line && s->items[i][1] == frame) return true;
    }
    if (s->n_items == PGD_MAX_ITEMS) {
        (void)fail(s, "the grammar is too ambiguous: too many readings of one text", false);
        return false;
    }
    s->item_table[slot] = base + s->n_items;
    s->items[s->n_items][0] = line;
    s->items[s->n_items++][1] = frame;
    return true;
}

/* The rule above frame f ended. False on error. */
static bool pop(pgd_store *s, uint32_t frame, bool *accepts) {
    if (frame == 0) {
        *accepts = true;
        return true;
    }
    const pgd_frame f = s->h->frames[frame];
    if (!f.body) return add_item(s, f.ret, f.below);
    pgd_frame again = f;
    again.min = f.min ? f.min - 1 : 0;
    again.max = f.max == PGD_IR_INF ? f.max : f.max - 1;
    if (again.min == 0 && !add_item(s, f.ret, f.below)) return false;
    if (again.max == 0) return true;
    const uint32_t next = pgd_store_frame(s, again);
    return next && add_item(s, f.body, next);
}

static bool push_calls(pgd_store *s, uint32_t line, uint32_t frame) {
    pgd_half *const h = s->h;
    if (!h->lines[line].called && !find_calls(s, line)) return false;
    const pgd_line l = h->lines[line];
    for (uint32_t i = 0; i < l.n_calls; i++) {
        const uint32_t counter = h->pool[l.calls + 3 * i], entry = h->pool[l.calls + 3 * i + 1];
        const pgd_line *const ret = &h->lines[h->pool[l.calls + 3 * i + 2]];
        const bool tail = !counter && ret->n == 1 && ret->ends;
        pgd_frame f = {.ret = h->pool[l.calls + 3 * i + 2], .below = frame};
        if (counter) {
            f.body = entry;
            f.min = s->fa->counters[counter - 1].min;
            f.max = s->fa->counters[counter - 1].max;
        }
        if (!tail && h->frames[frame].depth >= s->lim->max_stack) {
            s->cut = true;
            continue;
        }
        const uint32_t on = tail ? frame : pgd_store_frame(s, f);
        if ((!tail && !on) || !add_item(s, entry, on)) return false;
    }
    return true;
}

static int by_item(const void *a, const void *b) {
    const uint32_t *const x = a, *const y = b;
    if (x[0] != y[0]) return x[0] < y[0] ? -1 : 1;
    return x[1] < y[1] ? -1 : x[1] > y[1];
}

uint32_t pgd_store_config(pgd_store *s, bool accepts) {
    pgd_half *const h = s->h;
    const uint32_t n = s->n_items;
    if (n == 0 && !accepts) return PGD_CONFIG_DEAD;
    if (n > 1) qsort(s->items, n, sizeof *s->items, by_item);
    uint32_t slot = mix_all(&s->items[0][0], 2 * (size_t)n, accepts) & h->table_mask;
    for (; h->config_table[slot]; slot = (slot + 1) & h->table_mask) {
        const pgd_config *const c = &h->configs[h->config_table[slot]];
        if (c->n == n && c->accepts == accepts &&
            memcmp(h->pool + c->at, s->items, n * sizeof *s->items) == 0)
            return h->config_table[slot];
    }
    const uint32_t at = h->n_configs < h->cap ? take(s, 2 * n) : no_room(s);
    if (!at || !pgd_store_spend(s, n)) return PGD_CONFIG_NONE;
    memcpy(h->pool + at, s->items, n * sizeof *s->items);
    h->configs[h->n_configs] = (pgd_config){.at = at, .n = n, .accepts = accepts};
    h->config_table[slot] = h->n_configs;
    return h->n_configs++;
}

/* Close the items and intern those that consume bytes. */
static uint32_t close_items(pgd_store *s) {
    bool accepts = false;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->n_items; i++) { /* the list grows as it is read */
        const uint32_t line = s->items[i][0], frame = s->items[i][1];
        if (s->h->lines[line].ends && !pop(s, frame, &accepts)) return PGD_CONFIG_NONE;
        if (!push_calls(s, line, frame)) return PGD_CONFIG_NONE;
    }
    if (!pgd_store_spend(s, s->n_items)) return PGD_CONFIG_NONE;
    for (uint32_t i = 0; i < s->n_items; i++) {
        if (!s->h->lines[s->items[i][0]].has_bytes) continue;
        s->items[kept][0] = s->items[i][0];
        s->items[kept++][1] = s->items[i][1];
    }
    s->n_items = kept;
    return pgd_store_config(s, accepts);
}

uint32_t pgd_store_find_step(pgd_store *s, uint32_t c, uint32_t k) {
    pgd_half *const h = s->h;
    if (c <= PGD_CONFIG_ENDED) return PGD_CONFIG_DEAD;
    if (!h->configs[c].row) h->configs[c].row = new_row(s);
    if (!h->configs[c].row) return PGD_CONFIG_NONE;
    const pgd_config from = h->configs[c];
    begin_items(s);
    for (uint32_t i = 0; i < from.n; i++) {
        const uint32_t line = line_step(s, h->pool[from.at + 2 * i], k);
        if (!line) return PGD_CONFIG_NONE;
        if (h->lines[line].n && !add_item(s, line, h->pool[from.at + 2 * i + 1]))
            return PGD_CONFIG_NONE;
    }
    const uint32_t to = close_items(s);
    h->pool[from.row + k] = to;
    return to;
}

uint32_t pgd_store_clamp(pgd_store *s, uint32_t c) {
    pgd_half *const h = s->h;
    if (h->configs[c].clamped || c <= PGD_CONFIG_ENDED) return h->configs[c].clamped;
    const pgd_config from = h->configs[c];
    begin_items(s);
    for (uint32_t i = 0; i < from.n; i++) {
        const uint32_t frame = h->frames[h->pool[from.at + 2 * i + 1]].clamped;
        if (!add_item(s, h->pool[from.at + 2 * i], frame)) return PGD_CONFIG_NONE;
    }
    const uint32_t to = pgd_store_config(s, from.accepts);
    h->configs[c].clamped = to;
    return to;
}

static bool find_start(pgd_store *s) {
    const uint32_t line = line_at(s, s->fa->root);
    begin_items(s);
    s->start = line && add_item(s, line, 0) ? close_items(s) : PGD_CONFIG_NONE;
    return s->start != PGD_CONFIG_NONE;
}

/* ---- Memory ---- */

void pgd_store_clear(pgd_store *s) {
    pgd_half *const h = s->h;
    const size_t bytes = ((size_t)h->table_mask + 1) * sizeof(uint32_t);
    memset(h->line_table, 0, bytes);
    memset(h->frame_table, 0, bytes);
    memset(h->config_table, 0, bytes);
    h->n_pool = 1;
    h->n_lines = h->n_frames = 1;
    h->n_configs = PGD_CONFIG_ENDED + 1;
    memset(h->frames, 0, sizeof *h->frames);
    memset(h->configs, 0, h->n_configs * sizeof *h->configs);
    for (uint32_t c = 0; c < h->n_configs; c++)
        h->configs[c].clamped = c;
}

bool pgd_store_crowded(const pgd_store *s) {
    const pgd_half *const h = s->h;
    const uint32_t cap = h->cap / 4 * 3;
    return h->n_pool > h->cap_pool / 4 * 3 || h->n_lines > cap || h->n_frames > cap ||
           h->n_configs > cap;
}

/* Reserve one half, and write nothing: pages are given out as they are first touched, and what is
 * read was written before (the tables by pgd_store_clear, the rest when it is taken). */
static bool half_init(pgd_half *h, size_t bytes) {
    uint32_t cap = 256;
    while (cap < (1u << 20) && (size_t)cap * 2 * 256 <= bytes)
        cap *= 2;
    h->cap = cap;
    h->table_mask = 2 * cap - 1;
    const size_t heads = cap * (sizeof(pgd_line) + sizeof(pgd_frame) + sizeof(pgd_config));
    const size_t tables = 3 * (size_t)2 * cap * sizeof(uint32_t);
    const size_t rest = bytes > heads + tables + 65536 ? bytes - heads - tables : 65536;
    h->cap_pool = rest / 4 < UINT32_MAX ? (uint32_t)(rest / 4) : UINT32_MAX;
    h->block = pgd_malloc(heads + tables + (size_t)h->cap_pool * 4);
    if (!h->block) return false;
    h->lines = h->block;
    h->frames = (pgd_frame *)(h->lines + cap);
    h->configs = (pgd_config *)(h->frames + cap);
    h->line_table = (uint32_t *)(h->configs + cap);
    h->frame_table = h->line_table + 2 * (size_t)cap;
    h->config_table = h->frame_table + 2 * (size_t)cap;
    h->pool = h->config_table + 2 * (size_t)cap;
    return true;
}

pgd_status pgd_store_init(pgd_store *s, const pgd_fa *fa, const pgd_vocab *vocab,
                          const pgd_grammar_limits *lim) {
    *s = (pgd_store){.fa = fa, .vocab = vocab, .lim = lim, .h = &s->halves[0]};
    const size_t mask = vocab->n_words * sizeof(uint32_t);
    const size_t slots = mask ? lim->mask_bytes / mask : 1;
    s->n_slots = slots < 1 ? 1 : slots > 65536 ? 65536 : (uint32_t)slots;
    s->nodes = pgd_calloc(fa->n_nodes, sizeof *s->nodes);
    s->node_stack = pgd_calloc(fa->n_nodes, sizeof *s->node_stack);
    s->stamp = pgd_calloc(fa->n_nodes, sizeof *s->stamp);
    s->items = pgd_calloc(PGD_MAX_ITEMS, sizeof *s->items);
    s->item_table = pgd_calloc(4 * PGD_MAX_ITEMS, sizeof *s->item_table);
    s->walk = pgd_calloc((size_t)vocab->max_len + 1, sizeof *s->walk);
    s->masks = pgd_malloc(s->n_slots * mask + 1);
    s->slot_config = pgd_calloc(s->n_slots, sizeof *s->slot_config);
    s->slot_used = pgd_calloc(s->n_slots, 1);
    if (!s->nodes || !s->node_stack || !s->stamp || !s->items || !s->item_table || !s->walk ||
        !s->masks || !s->slot_config || !s->slot_used ||
        !half_init(&s->halves[0], lim->run_bytes / 2) ||
        !half_init(&s->halves[1], lim->run_bytes / 2))
        return PGD_E_NOMEM;
    pgd_store_begin(s);
    pgd_store_clear(s);
    return find_start(s) ? PGD_OK : s->st;
}

void pgd_store_fini(pgd_store *s) {
    pgd_free(s->nodes);
    pgd_free(s->node_stack);
    pgd_free(s->stamp);
    pgd_free(s->items);
    pgd_free(s->item_table);
    pgd_free(s->walk);
    pgd_free(s->masks);
    pgd_free(s->slot_config);
    pgd_free(s->slot_used);
    pgd_free(s->halves[0].block);
    pgd_free(s->halves[1].block);
    *s = (pgd_store){0};
}
