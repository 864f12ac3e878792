/* Pieces into items.
 *
 * Invariants: at most the last item is open; open, more and close come in that order for each item,
 * so that a serialiser never has to look back; what the items hold does not depend on how pieces
 * were cut. A piece that the wire was handed while the call was failing is ignored. Thread: the
 * call's loop. */
#include "items.h"

#include "call.h"
#include "pagoda/mem.h"

uint32_t api_item_index(const pgd_call *c, const api_item *it) {
    return (uint32_t)(it - c->items.v);
}

static bool fail_nomem(pgd_call *c) {
    api_error e = {0};
    (void)api_fail_nomem(&e);
    api_call_fail(c, &e);
    return false;
}

static bool new_item(pgd_call *c, uint8_t kind, api_item **out) {
    api_items *const s = &c->items;
    if (s->n == s->cap) {
        const uint32_t cap = s->cap ? 2 * s->cap : 4;
        api_item *const v = pgd_realloc(s->v, cap * sizeof *v);
        if (!v) return fail_nomem(c);
        s->v = v;
        s->cap = cap;
    }
    *out = &s->v[s->n++];
    **out = (api_item){.kind = kind};
    s->open = true;
    return true;
}

/* The item that is open, or NULL. */
static api_item *open_item(const api_items *s) {
    if (!s->open) return NULL;
    PGD_ASSERT(s->v && s->n);
    return &s->v[s->n - 1];
}

static void close_last(pgd_call *c, const api_item_events *ev, bool whole) {
    api_items *const s = &c->items;
    api_item *const it = open_item(s);
    if (!it || c->phase != API_RUN) return;
    s->open = false;
    it->whole = whole;
    if (it->text.failed || it->name.failed || it->call_id.failed || it->logprobs.failed)
        (void)fail_nomem(c);
    else
        ev->close(c, it, whole);
}

static bool is_white(pgd_sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (!parse_white(s.p[i])) return false;
    return true;
}

/* Text or reasoning. */
static void take_text(pgd_call *c, const api_item_events *ev, const api_piece *v, pgd_sv bytes) {
    api_items *const s = &c->items;
    api_item *it = open_item(s);
    if (!it || it->kind != v->kind) {
        close_last(c, ev, true);
        if (s->space_kind != v->kind) pgd_buf_clear(&s->space);
        s->space_kind = v->kind;
        if (is_white(bytes)) {
            pgd_buf_putsv(&s->space, bytes);
            if (s->space.failed) (void)fail_nomem(c);
            return;
        }
        if (c->phase != API_RUN || !new_item(c, v->kind, &it)) return;
        ev->open(c, it, v, bytes);
        if (s->space.n && c->phase == API_RUN) {
            pgd_buf_putsv(&s->space, bytes);
            bytes = pgd_buf_sv(&s->space);
            if (s->space.failed && !fail_nomem(c)) return;
        }
    }
    if (c->phase == API_RUN) ev->more(c, it, bytes);
    pgd_buf_clear(&s->space);
}

void api_items_take(pgd_call *c, const api_item_events *ev, const api_piece *v, pgd_sv bytes) {
    api_items *const s = &c->items;
    api_item *it = NULL;
    switch ((api_piece_kind)v->kind) {
    case API_TEXT:
    case API_REASONING:
        take_text(c, ev, v, bytes);
        return;
    case API_TOOL_BEGIN:
        close_last(c, ev, true);
        pgd_buf_clear(&s->space);
        if (c->phase != API_RUN || !new_item(c, API_TOOL_BEGIN, &it)) return;
        pgd_buf_put(&it->name, bytes.p + v->id_len, bytes.n - v->id_len);
        ev->open(c, it, v, bytes);
        return;
    case API_TOOL_ARGS:
        if (s->open) ev->more(c, &s->v[s->n - 1], bytes);
        return;
    case API_TOOL_END:
        close_last(c, ev, true);
        return;
    }
}

void api_items_end(pgd_call *c, const api_item_events *ev, bool whole) {
    close_last(c, ev, whole);
}

void api_items_fini(api_items *s) {
    for (uint32_t i = 0; i < s->n; i++) {
        pgd_buf_fini(&s->v[i].call_id);
        pgd_buf_fini(&s->v[i].name);
        pgd_buf_fini(&s->v[i].text);
        pgd_buf_fini(&s->v[i].logprobs);
    }
    pgd_free(s->v);
    pgd_buf_fini(&s->space);
    *s = (api_items){0};
}
