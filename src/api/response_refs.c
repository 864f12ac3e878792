/* Items that the input names instead of holding them: {"type": "item_reference", "id": …}.
 *
 * An item is found through the table of kept responses, as one of a response's output. Names are
 * short and what they stand for is long, so a body names an item once, a response is read once
 * however many of its items are named, and all that are read hold no more than a body may. What a
 * response holds are never names. Trees live until the translation is over, since ids of calls are
 * theirs. Thread: a worker. */
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "response.h"

enum { MAX_NAMED = 256 }; /* responses that one body may name items of */

static bool is_reference(const pgd_json *item) {
    return api_has_type(item, "item_reference");
}

/* Errors: it is among `seen`, made when it is NULL. */
static pgd_status see_once(api_reader *r, pgd_strmap **seen, pgd_sv id) {
    uint64_t before;
    char quoted[API_QUOTE_BYTES];
    if (*seen && pgd_strmap_get(*seen, id, &before))
        return api_fail(r->e, PGD_E_INVALID, "invalid_value", "input",
                        "Duplicate item found with id %s. Remove duplicate items from your input "
                        "and try again.",
                        api_quote(quoted, id));
    const bool made = *seen || pgd_strmap_create(seen, 16) == PGD_OK;
    return made && pgd_strmap_put(*seen, id, 1) == PGD_OK ? PGD_OK : api_fail_nomem(r->e);
}

pgd_status api_check_references(api_reader *r, const pgd_json *input) {
    pgd_status st = PGD_OK;
    pgd_strmap *seen = NULL;
    pgd_sv id;
    for (const pgd_json *v = pgd_json_first(input); v && st == PGD_OK; v = pgd_json_next(v))
        if (is_reference(v) && pgd_json_as_str(pgd_json_get(v, "id"), &id))
            st = see_once(r, &seen, id);
    pgd_strmap_destroy(&seen);
    return st;
}

static pgd_status keep_doc(api_reader *r, pgd_json_doc *doc) {
    if (r->n_docs == r->cap_docs) {
        const size_t cap = r->cap_docs ? 2 * r->cap_docs : 16;
        pgd_json_doc **const v = pgd_arena_array(r->c->arena, cap, sizeof *v);
        if (!v) {
            pgd_json_free(&doc);
            return api_fail_nomem(r->e);
        }
        if (r->n_docs) memcpy(v, r->docs, r->n_docs * sizeof *v);
        r->docs = v;
        r->cap_docs = cap;
    }
    r->docs[r->n_docs++] = doc;
    return PGD_OK;
}

pgd_status api_read_kept(api_reader *r, pgd_sv text, const pgd_json **root) {
    pgd_json_doc *doc = NULL;
    pgd_error err = {0};
    const pgd_status st = pgd_json_parse(text, &pgd_json_limits_file, &doc, &err);
    if (st != PGD_OK)
        return st == PGD_E_NOMEM ? api_fail_nomem(r->e) : api_fail_from(r->e, &err, NULL, NULL);
    PGD_TRY(keep_doc(r, doc));
    *root = pgd_json_root(doc);
    return PGD_OK;
}

/* The item of this id in a response's output, or NULL. */
static const pgd_json *item_of(const pgd_json *output, pgd_sv id) {
    pgd_sv s;
    for (const pgd_json *v = pgd_json_first(output); v; v = pgd_json_next(v))
        if (pgd_json_as_str(pgd_json_get(v, "id"), &s) && pgd_sv_eq(s, id)) return v;
    return NULL;
}

/* Read the response, which becomes the last of r->named; k stays the caller's. */
static pgd_status read_named(api_reader *r, const api_kept *k, const char *path) {
    const pgd_json *root = NULL;
    r->named_bytes += k->object.n;
    if (r->n_named == MAX_NAMED || r->named_bytes > pgd_json_limits_request.max_bytes)
        return api_fail(r->e, PGD_E_INVALID, "context_length_exceeded", path,
                        "Invalid '%s': the items that the input names are of too many or too long "
                        "responses.",
                        path);
    if (!r->named) r->named = pgd_arena_array(r->c->arena, MAX_NAMED, sizeof *r->named);
    if (!r->named) return api_fail_nomem(r->e);
    PGD_TRY(api_read_kept(r, pgd_buf_sv(&k->object), &root));
    r->named[r->n_named++] = pgd_json_get(root, "output");
    return PGD_OK;
}

pgd_status api_find_item(api_reader *r, const pgd_json *item, const char *path,
                         const pgd_json **out) {
    pgd_call *const c = r->c;
    pgd_sv id;
    char quoted[API_QUOTE_BYTES], at[API_PARAM_BYTES];
    *out = item;
    if (!is_reference(item)) return PGD_OK;
    (void)snprintf(at, sizeof at, "%s.id", path);
    if (!pgd_json_as_str(pgd_json_get(item, "id"), &id))
        return api_fail_type(r->e, at, "a string", pgd_json_get(item, "id"));
    *out = NULL;
    for (size_t i = 0; i < r->n_named && !*out; i++)
        *out = item_of(r->named[i], id);
    if (*out) return PGD_OK;
    api_kept *k = api_store_get_by_item(c->api->store, id, pgd_buf_sv(&c->tenant),
                                        pgd_clock_now(&c->api->clock));
    if (k) {
        const pgd_status st = read_named(r, k, at);
        api_kept_release(&k);
        if (st != PGD_OK) return st;
        *out = item_of(r->named[r->n_named - 1], id);
    }
    if (*out) return PGD_OK;
    return api_fail(r->e, PGD_E_NOT_FOUND, "item_not_found", at,
                    "Item with id '%s' not found. Items are kept with the response that they are "
                    "the output of; send the item itself.",
                    api_quote(quoted, id));
}
