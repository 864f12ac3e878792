/* An answer as a row of items, one open at a time: what the protocols that number blocks of an
 * answer (Messages, Responses) share. Pieces become items by their kind: a text, a block of
 * reasoning, a call. White space opens no item: it waits for the text that follows, and at the end
 * of all it is dropped. Thread: the call's loop. */
#ifndef PAGODA_API_ITEMS_H
#define PAGODA_API_ITEMS_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/str.h"
#include "parse_int.h"

struct pgd_call;

typedef struct api_item {
    uint8_t kind;     /* API_TEXT, API_REASONING or API_TOOL_BEGIN */
    char id[32];      /* the protocol's own name of it */
    pgd_buf call_id;  /* a call's, JSON-escaped */
    pgd_buf name;     /* a call's */
    pgd_buf text;     /* text, reasoning, or arguments */
    pgd_buf logprobs; /* a text's: JSON fragments, comma separated */
    jscan scan;       /* a call's arguments, where the protocol needs them to be JSON */
    uint8_t state;    /* and how that went */
    bool whole;       /* it has ended by itself */
} api_item;

typedef struct api_items {
    api_item *v;
    uint32_t n, cap;
    bool open; /* the last one goes on */
    uint8_t space_kind;
    pgd_buf space; /* what may become the start of an item of space_kind */
} api_items;

/* What a protocol does with them. All are called whether the answer is streamed or not. */
typedef struct api_item_events {
    /* A new item, the last of c->items; of a call the piece that began it. */
    void (*open)(struct pgd_call *c, api_item *it, const api_piece *v, pgd_sv bytes);
    /* More of it; the bytes are not yet in it->text: this function puts them there. */
    void (*more)(struct pgd_call *c, api_item *it, pgd_sv bytes);
    /* whole: it ended by itself. */
    void (*close)(struct pgd_call *c, api_item *it, bool whole);
} api_item_events;

/* Take a piece. Out of memory ends the call. */
void api_items_take(struct pgd_call *c, const api_item_events *ev, const api_piece *v,
                    pgd_sv bytes);
/* The answer ended. whole: not by its length. */
void api_items_end(struct pgd_call *c, const api_item_events *ev, bool whole);
/* Index of an item. */
uint32_t api_item_index(const struct pgd_call *c, const api_item *it);
void api_items_fini(api_items *s);

#endif
