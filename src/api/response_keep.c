/* What is kept of a response: its input with ids, as it came but for names of items, in whose place
 * the items stand; and the answers of the routes that read it back.
 *
 * An item without an id gets one, text becomes a part, so that every list reads alike; nothing else
 * changes. Lists are paged by cutting the text at its separators. Thread: a worker writes the
 * input, the loop does the rest. */
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "pagoda/mem.h"
#include "response_out.h"

enum { DEFAULT_LIMIT = 20, MAX_LIMIT = 100 };

/* ---- writing ---- */

static void put_id(pgd_buf *b, const pgd_json *item) {
    char id[32];
    pgd_sv given;
    pgd_buf_puts(b, "{\"id\":\"");
    if (pgd_json_as_str(pgd_json_get(item, "id"), &given) && given.n) {
        pgd_json_escape(b, given);
    } else {
        api_random_id(id, 24);
        pgd_buf_putf(b, "%s%s",
                     api_has_type(item, "message") || !api_member(item, "type") ? "msg_" : "item_",
                     id);
    }
    pgd_buf_putc(b, '"');
}

static void put_text_content(pgd_buf *b, pgd_sv text, bool assistant) {
    pgd_buf_putf(b, "[{\"type\":\"%s\",", assistant ? "output_text" : "input_text");
    api_put_text(b, "text", text);
    pgd_buf_puts(b, "}]");
}

static void put_item(pgd_buf *b, const pgd_json *item) {
    pgd_sv text;
    if (b->n) pgd_buf_puts(b, API_ITEM_SEP);
    put_id(b, item);
    if (!api_member(item, "type")) pgd_buf_puts(b, ",\"type\":\"message\"");
    for (const pgd_json *v = pgd_json_first(item); v; v = pgd_json_next(v)) {
        const char *const key = pgd_json_key(v);
        if (strcmp(key, "id") == 0 || pgd_json_is_null(v)) continue;
        pgd_buf_puts(b, ",\"");
        pgd_json_escape(b, pgd_sv_c(key));
        pgd_buf_puts(b, "\":");
        if (strcmp(key, "content") == 0 && pgd_json_as_str(v, &text)) {
            put_text_content(b, text, api_is_str(pgd_json_get(item, "role"), "assistant"));
        } else {
            pgd_jsonw w;
            pgd_jsonw_init(&w, b);
            pgd_jsonw_node(&w, v);
        }
    }
    pgd_buf_putc(b, '}');
}

static pgd_status put_items(api_reader *r, const pgd_json *input, pgd_buf *b) {
    size_t i = 0;
    for (const pgd_json *v = pgd_json_first(input); v; v = pgd_json_next(v), i++) {
        const pgd_json *item;
        char at[64];
        (void)snprintf(at, sizeof at, "input[%zu]", i);
        PGD_TRY(api_find_item(r, v, at, &item));
        put_item(b, item);
    }
    return PGD_OK;
}

pgd_status api_keep_input(api_reader *r, const pgd_json *input, pgd_buf *b) {
    pgd_sv text;
    if (!pgd_json_as_str(input, &text)) return put_items(r, input, b);
    put_id(b, NULL);
    pgd_buf_puts(b, ",\"type\":\"message\",\"role\":\"user\",\"content\":");
    put_text_content(b, text, false);
    pgd_buf_putc(b, '}');
    return PGD_OK;
}

void api_keep_response(pgd_call *c, pgd_sv object) {
    api_response *const r = c->response;
    if (!r || !r->store) return;
    api_kept *const k = api_kept_create(r->previous);
    if (!k) return; /* it is only a cache: the answer itself is fine */
    r->previous = NULL;
    pgd_buf_putsv(&k->id, pgd_sv_c(c->id));
    pgd_buf_putsv(&k->tenant, pgd_buf_sv(&c->tenant));
    pgd_buf_putsv(&k->object, object);
    for (uint32_t i = 0; i < c->items.n; i++)
        pgd_buf_putf(&k->items, "%s\n", c->items.v[i].id);
    if (c->detached) { /* others may be reading it */
        pgd_buf_putsv(&k->input, pgd_buf_sv(&r->input));
    } else {
        k->input = r->input;
        r->input = (pgd_buf){0};
    }
    api_kept *whole = k;
    if (k->id.failed || k->tenant.failed || k->object.failed || k->input.failed || k->items.failed)
        api_kept_release(&whole);
    else
        api_store_put(c->api->store, k, pgd_clock_now(&c->api->clock));
}

/* ---- reading back ---- */

static void fail_unknown(pgd_call *c, pgd_sv id) {
    api_error e = {0};
    char quoted[API_QUOTE_BYTES];
    (void)api_fail(&e, PGD_E_NOT_FOUND, "response_not_found", "response_id",
                   "Response with id '%s' not found.", api_quote(quoted, id));
    api_call_fail(c, &e);
}

/* The value of a query parameter, "" when it is not there. Ids and numbers need no decoding. */
static pgd_sv query_value(pgd_sv query, pgd_sv key) {
    for (pgd_sv pair; pgd_sv_cut(&query, PGD_SV("&"), &pair);)
        if (pair.n > key.n && pgd_sv_starts(pair, key) && pair.p[key.n] == '=')
            return (pgd_sv){pair.p + key.n + 1, pair.n - key.n - 1};
    return (pgd_sv){"", 0};
}

typedef struct page {
    pgd_sv items; /* what is left of the list */
    bool asc;
} page;

/* The next item, from the front or from the back; n 0 at the end. */
static pgd_sv next_item(page *p) {
    const pgd_sv sep = PGD_SV(API_ITEM_SEP);
    pgd_sv s = p->items;
    if (!s.n) return s;
    size_t cut = SIZE_MAX;
    for (size_t at = 0; (at = pgd_sv_find(s, sep, at)) != SIZE_MAX; at += sep.n) {
        cut = at;
        if (p->asc) break;
    }
    if (cut == SIZE_MAX) {
        p->items.n = 0;
        return s;
    }
    const pgd_sv head = {s.p, cut}, tail = {s.p + cut + sep.n, s.n - cut - sep.n};
    p->items = p->asc ? tail : head;
    return p->asc ? head : tail;
}

/* The id at the front of an item, as JSON text. */
static pgd_sv id_of(pgd_sv item) {
    const size_t from = sizeof "{\"id\":" - 1;
    const size_t end = pgd_sv_find(item, PGD_SV("\","), from);
    return (pgd_sv){item.p + from, end == SIZE_MAX ? 0 : end + 1 - from};
}

static void put_quoted(pgd_buf *b, const char *key, pgd_sv json) {
    pgd_buf_putf(b, ",\"%s\":", key);
    pgd_buf_putsv(b, json.n ? json : PGD_SV("null"));
}

static void put_page(pgd_call *c, pgd_sv items, pgd_sv query) {
    const pgd_sv after = query_value(query, PGD_SV("after"));
    page p = {.items = items, .asc = pgd_sv_eq(query_value(query, PGD_SV("order")), PGD_SV("asc"))};
    uint64_t limit = DEFAULT_LIMIT, n = 0;
    if (pgd_parse_u64(query_value(query, PGD_SV("limit")), &limit) && (!limit || limit > MAX_LIMIT))
        limit = limit ? MAX_LIMIT : DEFAULT_LIMIT;
    bool skip = after.n > 0;
    pgd_sv first = {0}, last = {0};
    pgd_buf *const b = &c->out;
    pgd_buf_puts(b, "{\"object\":\"list\",\"data\":[");
    while (p.items.n && n < limit) {
        const pgd_sv item = next_item(&p), id = id_of(item);
        if (skip) {
            skip = !(id.n == after.n + 2 && memcmp(id.p + 1, after.p, after.n) == 0);
            continue;
        }
        if (n++) pgd_buf_putc(b, ',');
        if (!first.n) first = id;
        last = id;
        pgd_buf_putsv(b, item);
    }
    pgd_buf_putc(b, ']');
    put_quoted(b, "first_id", first);
    put_quoted(b, "last_id", last);
    pgd_buf_putf(b, ",\"has_more\":%s}", p.items.n ? "true" : "false");
}

static void remove_kept(pgd_call *c, pgd_sv id) {
    const pgd_sv tenant = pgd_buf_sv(&c->tenant);
    if (api_live_see(c->api, id, tenant, NULL, NULL)) {
        api_error e = {0};
        char quoted[API_QUOTE_BYTES];
        (void)api_fail(&e, PGD_E_INVALID, "response_in_progress", "response_id",
                       "Response with id '%s' has not ended yet. Cancel it first.",
                       api_quote(quoted, id));
        api_call_fail(c, &e);
    } else if (!api_store_remove(c->api->store, id, tenant)) {
        fail_unknown(c, id);
    } else {
        pgd_buf_puts(&c->out, "{\"id\":\"");
        pgd_json_escape(&c->out, id);
        pgd_buf_puts(&c->out, "\",\"object\":\"response\",\"deleted\":true}");
        api_answer_json(c, 200);
    }
}

/* Who asks about a response in the background, and for which items. */
typedef struct visit {
    pgd_call *from;
    pgd_sv query;
} visit;

static void show_begun(const pgd_call *c, void *ctx) {
    const visit *const v = ctx;
    const uint64_t scheduled =
        atomic_load_explicit(&c->g.requests[0].r.scheduled_ns, memory_order_relaxed);
    if (v->from->route == PGD_ROUTE_INPUT_ITEMS)
        put_page(v->from, pgd_buf_sv(&c->response->input), v->query);
    else
        api_put_response_begun(c, scheduled ? "in_progress" : "queued", &v->from->out);
}

/* The table comes second: a response is put there before it leaves the list. */
void api_answer_kept(pgd_call *c, pgd_sv id, pgd_sv query, bool remove) {
    const pgd_sv tenant = pgd_buf_sv(&c->tenant);
    if (remove) {
        remove_kept(c, id);
        return;
    }
    if (!api_live_see(c->api, id, tenant, show_begun, &(visit){c, query})) {
        api_kept *k = api_store_get(c->api->store, id, tenant, pgd_clock_now(&c->api->clock));
        if (!k) {
            fail_unknown(c, id);
            return;
        }
        if (c->route == PGD_ROUTE_INPUT_ITEMS)
            put_page(c, pgd_buf_sv(&k->input), query);
        else
            pgd_buf_putsv(&c->out, pgd_buf_sv(&k->object));
        api_kept_release(&k);
    }
    api_answer_json(c, 200);
}

static void show_cancelled(const pgd_call *c, void *ctx) {
    api_put_response_begun(c, "cancelled", ctx);
}

void api_answer_response_cancel(pgd_call *c, pgd_sv id) {
    const pgd_sv tenant = pgd_buf_sv(&c->tenant);
    if (api_live_see(c->api, id, tenant, show_cancelled, &c->out) &&
        pgd_api_cancel(c->api, id, &tenant)) {
        api_answer_json(c, 200);
        return;
    }
    pgd_buf_clear(&c->out); /* of one that has ended between the two */
    api_kept *k = api_store_get(c->api->store, id, tenant, pgd_clock_now(&c->api->clock));
    if (k) {
        pgd_buf_putsv(&c->out, pgd_buf_sv(&k->object));
        api_kept_release(&k);
    } else if (pgd_sv_starts(id, PGD_SV("resp_")) && pgd_api_cancel(c->api, id, &tenant)) {
        /* the other loop may still be at work on it: its object comes with a GET */
        pgd_buf_puts(&c->out, "{\"id\":\"");
        pgd_json_escape(&c->out, id);
        pgd_buf_putf(&c->out,
                     "\",\"object\":\"response\",\"created_at\":%llu,\"status\":\"cancelled\","
                     "\"error\":null,\"incomplete_details\":null,\"output\":[],\"usage\":null}",
                     (unsigned long long)c->created);
    } else {
        fail_unknown(c, id);
        return;
    }
    api_answer_json(c, 200);
}
