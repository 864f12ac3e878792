/* A model's raw text, byte by byte, taken apart into what a client gets: text, reasoning, tool
 * calls. One parser a choice; formats are static tables chosen once for a model (parse_pick.c).
 *
 *   raw text ─► markers ─┬─ text ──────────────► TEXT
 *                        ├─ <think> … </think> ► REASONING
 *                        └─ a call ────────────► TOOL_BEGIN, TOOL_ARGS …, TOOL_END
 *
 * The output of a model is untrusted. Nothing is an error: a call that turns out malformed before
 * its name and the start of its arguments are known comes back as text, with its markers; one that
 * breaks later has begun for the client already, so the rest of it goes on as arguments, verbatim.
 * Work is linear in the text, nothing recurses, memory is at most the text that is not decided yet.
 * The pieces do not depend on how the text was cut into feeds. Thread: the choice's. */
#ifndef PAGODA_API_PARSE_H
#define PAGODA_API_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/arena.h"
#include "pagoda/chat.h"
#include "pagoda/json.h"
#include "pagoda/status.h"
#include "pagoda/str.h"

typedef enum api_piece_kind {
    API_TEXT,
    API_REASONING,
    API_TOOL_BEGIN, /* bytes: the id (id_len of them, 0: none of the model's), then the name */
    API_TOOL_ARGS,  /* bytes: the next part of the arguments' JSON text */
    API_TOOL_END    /* no bytes */
} api_piece_kind;

typedef struct api_piece {
    uint8_t kind, id_len;
    size_t len;
    uint64_t raw_end; /* raw bytes that are accounted for once this piece is delivered */
} api_piece;

/* Pieces in order, their bytes joined in `bytes`. {0} is empty. bytes.failed: out of memory. */
typedef struct api_pieces {
    pgd_buf bytes;
    api_piece *v;
    size_t n, cap;
} api_pieces;

/* Append; TEXT, REASONING and TOOL_ARGS join the last piece if that is of their kind, TEXT only
 * where nothing of the raw text lies between: so a TEXT piece is the raw text
 * [raw_end - len, raw_end), and pieces do not depend on how the raw text came. */
void api_pieces_add(api_pieces *p, api_piece_kind kind, pgd_sv bytes, uint64_t raw_end);
void api_pieces_fini(api_pieces *p);

typedef struct api_tool_format api_tool_format;
typedef struct api_think_format api_think_format;

/* What a model speaks: NULL where it has no such thing. */
typedef struct api_formats {
    const api_tool_format *tools;
    const api_think_format *think;
    unsigned signs; /* api_sign bits seen in what the template writes */
} api_formats;

/* Which of a family's forms a template writes its calls in. */
typedef enum api_sign {
    API_SIGN_FUNCTION_TAG = 1, /* <function= */
    API_SIGN_ARGS = 2,         /* [ARGS] */
    API_SIGN_FENCE = 4,        /* ```json */
    API_SIGN_ACTION = 8,       /* Action: and a fence */
    API_SIGN_LFM = 16          /* <|tool_call_start|>[ */
} api_sign;

/* Choose by name ("auto" or NULL: from what the template writes; "none"). chat may be NULL. Errors:
 * PGD_E_INVALID for a name that is no format. */
pgd_status api_formats_pick(const pgd_chat *chat, const char *tools, const char *think,
                            api_formats *out, pgd_error *err);
const char *api_tool_format_name(const api_tool_format *f);   /* "none" for NULL */
const char *api_think_format_name(const api_think_format *f); /* "none" for NULL */
/* Length of the call ids that the model's template takes; 0: any. */
uint32_t api_tool_id_digits(const api_tool_format *f);
/* Whether text of a special token matters to the parser: it is a marker or a part of one. */
bool api_formats_need(const api_formats *f, pgd_sv token);
typedef enum api_open {
    API_OPEN_NOTHING,
    API_OPEN_REASONING,
    API_OPEN_ANSWER, /* a block of reasoning was closed: there will be none */
    API_OPEN_MESSAGE /* harmony: the text of an answer */
} api_open;
/* What the prompt leaves open, by the last marker that the template itself wrote (in a control
 * span: text of users opens nothing). */
api_open api_prompt_open(const api_formats *f, const pgd_rendered *prompt);

/* The declared tools, as far as parsing needs them; in an arena. */
typedef struct api_toolset api_toolset;
/* tools: the request's array, nested or flat. Errors: PGD_E_NOMEM. */
pgd_status api_toolset_create(const pgd_json *tools, pgd_arena *a, const api_toolset **out);

typedef struct api_parser api_parser;

typedef struct api_parser_options {
    api_formats formats;
    const api_toolset *tools; /* NULL: calls are not looked for and stay text */
    api_open open;            /* by the prompt */
    bool keep_reasoning;      /* reasoning comes as text, with its markers */
} api_parser_options;

/* out is borrowed until destroy. Errors: PGD_E_NOMEM. */
pgd_status api_parser_create(const api_parser_options *opt, api_pieces *out, api_parser **p);
void api_parser_destroy(api_parser **p);
void api_parser_feed(api_parser *p, const char *s, size_t n);
/* The text has ended: what is held is decided. */
void api_parser_finish(api_parser *p);
/* Whether the next byte would be reasoning. */
bool api_parser_in_reasoning(const api_parser *p);

#endif
