/* What a response of /v1/responses is beside its items: the request's values that its object
 * repeats, and the names under which tools were shown to the model. Filled by the worker that
 * translates the body, read by the loop. */
#ifndef PAGODA_API_RESPONSE_H
#define PAGODA_API_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "errors.h"
#include "pagoda/json.h"
#include "pagoda/jsonw.h"
#include "pagoda/map.h"
#include "pagoda/str.h"
#include "response_store.h"
#include "translate.h"

struct pgd_call;

typedef enum api_tool_kind {
    API_TOOL_FUNCTION,
    API_TOOL_CUSTOM, /* free text: shown as a function of one string */
} api_tool_kind;

/* A tool whose calls do not go back as they come. */
typedef struct api_alias {
    api_tool_kind kind;
    pgd_sv shown;    /* to the model */
    pgd_sv name, ns; /* to the client; ns.n 0: in no namespace */
} api_alias;

typedef struct api_response {
    pgd_buf echo; /* members of the object, each with a comma behind */
    bool encrypted;
    api_alias *alias; /* in the call's arena */
    size_t n_alias, cap_alias;
    uint64_t seq;       /* of the next event */
    bool store;         /* it is to be kept, */
    pgd_buf input;      /* and this is its input then */
    api_kept *previous; /* counted; the response that it goes on from, or NULL */
} api_response;

void api_response_destroy(api_response **r);
const api_alias *api_find_alias(const api_response *r, pgd_sv shown);

/* The state of a translation. */
typedef struct api_reader {
    struct pgd_call *c;
    api_error *e;
    pgd_jsonw w;
    pgd_strmap *calls; /* ids of calls seen so far */
    /* the assistant's turn that is being put together; JSON, comma separated */
    pgd_buf parts, reasoning, tool_calls;
    bool in_turn;
    pgd_json_doc **docs; /* of kept responses; ids in `calls` are theirs */
    size_t n_docs, cap_docs;
    api_kept *previous; /* counted */
    /* response_refs.c: responses whose items the input names, each with one of `docs` */
    const pgd_json **named; /* the outputs */
    size_t n_named, named_bytes;
} api_reader;

/* response_items.c: items of an array as messages; path is the array's name in errors. */
pgd_status api_put_items(api_reader *r, const pgd_json *items, const char *path);
/* Close the assistant's turn, if one is open. */
pgd_status api_end_turn(api_reader *r);
/* response_refs.c: each item may be named once, so that a body cannot grow without bound. */
pgd_status api_check_references(api_reader *r, const pgd_json *input);
/* The item itself, or the one that it names, of a kept response of the tenant. Errors: an item that
 * is not there; path is that of the naming one. */
pgd_status api_find_item(api_reader *r, const pgd_json *item, const char *path,
                         const pgd_json **out);
/* Read a text that is kept; the tree lives as long as the reader's translation. */
pgd_status api_read_kept(api_reader *r, pgd_sv text, const pgd_json **root);
/* response_keep.c: input items as they are kept, what is named in place of its name. Errors: those
 * of api_find_item. */
pgd_status api_keep_input(api_reader *r, const pgd_json *input, pgd_buf *b);
/* Loop: the response has ended with this object; keep it if it is to be kept. */
void api_keep_response(struct pgd_call *c, pgd_sv object);
/* Answer GET and DELETE of a response and GET of its input items. */
void api_answer_kept(struct pgd_call *c, pgd_sv id, pgd_sv query, bool remove);
/* Answer POST …/cancel: a response that is under way ends, one that has ended stays as it is. */
void api_answer_response_cancel(struct pgd_call *c, pgd_sv id);
/* response_tools.c: members `tools` and `tool_choice`. */
pgd_status api_put_response_tools(api_reader *r, const pgd_json *body);

#endif
