/* The private picture of the output parser, shared by parse*.c.
 *
 *   TEXT ──open marker──► BODY ──done──► TEXT      a candidate's raw bytes stay in `held` until the
 *    │ ▲                    │                      call begins, so that a failure gives them back
 *    ▼ │ close marker       └──failed──► held becomes text (or reasoning)
 *   THINK ──open marker of a call, at a line's start──► BODY
 *
 * A body machine takes one byte and says whether it goes on, is done with that byte, was done
 * before it, or cannot go on. */
#ifndef PAGODA_API_PARSE_INT_H
#define PAGODA_API_PARSE_INT_H

#include "parse.h"

enum {
    API_MAX_NAME = 128,   /* bytes of a function's name */
    API_MAX_CALL_ID = 96, /* bytes of an id that the model wrote */
    API_MAX_DEPTH = 256,  /* nesting of arguments; deeper is malformed */
    API_MAX_MARKERS = 10,
};

typedef enum step { STEP_MORE, STEP_DONE, STEP_DONE_BEFORE, STEP_FAIL } step;

typedef enum body_kind {
    BODY_NONE,
    BODY_CALL,   /* {"name", "arguments"}, an array of those, or <function=…> */
    BODY_NAMED,  /* name, separator, arguments */
    BODY_PYTHON, /* [f(a=1), g()] */
    BODY_XML,    /* name, then tagged parameters: an xml_form */
} body_kind;

typedef enum marker_use {
    MARK_OPEN,      /* begins a call */
    MARK_DROP,      /* structure around calls: vanishes */
    MARK_DROP_AFTER /* vanishes behind a call only */
} marker_use;

/* A form of BODY_XML: what stands between the parts, see parse_xml.c. */
typedef struct xml_form {
    const char *name_end, *head_end; /* head_end: text up to it is skipped; NULL: none */
    const char *param, *key_end;
    const char *value_begin; /* what precedes it may say type="string"; NULL: none */
    const char *value_end[2];
    const char *close[2];
    bool trim; /* a newline at both ends of a value belongs to the form */
} xml_form;

typedef struct marker {
    const char *text;
    uint8_t use, body;
} marker;

struct api_tool_format {
    const char *name;
    const char *probe[4]; /* any of these in what the template writes means this format */
    marker markers[API_MAX_MARKERS];
    const xml_form *xml;  /* BODY_XML */
    const char *sep[2];   /* BODY_NAMED: between name and arguments */
    const char *close[3]; /* ends a malformed call's arguments */
    char bare;            /* a call may begin without a marker, with this byte, at the start */
    char between;         /* stands between calls (llama: ';') */
    uint8_t bare_body;    /* body_kind */
    uint8_t id_digits;
    bool own_ids; /* the model's call ids are part of the form and go to the client */
    bool harmony;
};

struct api_think_format {
    const char *name;
    const char *open, *close;
    const char *drop[6]; /* structure around the answer's text (cohere) */
    bool harmony;
};

/* ---- JSON, one byte at a time ---- */

typedef struct jscan {
    uint8_t state, literal, at;
    uint16_t depth;
    uint8_t stack[API_MAX_DEPTH / 8]; /* bit: 1 in an object */
} jscan;
/* One value from its first byte on. STEP_DONE_BEFORE ends a number. */
void jscan_init(jscan *s);
step jscan_byte(jscan *s, char c);
bool jscan_in_string(const jscan *s);

/* The text of a JSON (or Python) string, escapes undone, one byte at a time behind the opening
 * quote. Lone surrogates become U+FFFD. */
typedef struct unescape {
    uint8_t state, digits;
    uint32_t unit, high;
} unescape;
/* Append what c makes certain. STEP_DONE at the closing quote. */
step unescape_byte(unescape *u, char c, char quote, pgd_buf *out);

/* ---- the machines of bodies ---- */

typedef struct call_machine {
    uint8_t state, key, seen;
    bool in_array;
    unescape str;
    jscan scan;
} call_machine;

typedef struct named_machine {
    uint8_t state;
    jscan scan;
} named_machine;

typedef struct xml_machine {
    uint8_t state, kind; /* param_kind of the value */
    bool any;            /* the call has a parameter */
} xml_machine;

typedef struct python_machine {
    uint8_t state;
    char quote;
    bool is_key, any; /* the string is a dict's key; the call has an argument */
    uint16_t depth;
    unescape str;
    char stack[API_MAX_DEPTH]; /* the closing byte due at each level */
} python_machine;

typedef struct harmony_machine {
    uint8_t channel; /* api_piece_kind of the message's text */
    bool in_header, in_call;
    bool marked;     /* the header has had a marker */
    bool need_start; /* only <|start|> may come */
} harmony_machine;

typedef enum parse_mode {
    MODE_TEXT,
    MODE_THINK,
    MODE_BODY,
    MODE_VERBATIM,
    MODE_HARMONY
} parse_mode;

struct api_parser {
    api_formats f;
    const api_toolset *tools;
    api_pieces *out;
    uint64_t pos; /* raw bytes taken */
    uint8_t mode; /* parse_mode */
    uint8_t back; /* MODE_TEXT or MODE_THINK: where a failed candidate returns to */
    uint8_t body; /* body_kind */
    bool keep_reasoning;
    bool started;       /* some text that is not white space went out */
    bool after_call;    /* nothing but white space since a call */
    bool skip_newlines; /* just behind a think marker */
    bool think_done;
    bool line_start; /* of reasoning */
    bool bare;       /* the candidate began without a marker */
    bool begun;      /* the candidate is a call: TOOL_BEGIN went out */
    bool has_args;   /* and some TOOL_ARGS */
    pgd_buf space;   /* white space not yet decided; precedes held */
    pgd_buf held;    /* raw bytes that may be (or are) the start of something */
    pgd_buf word;    /* a machine's scratch: key, name, value */
    pgd_buf args;    /* arguments that came before the name */
    char name[API_MAX_NAME + 1], id[API_MAX_CALL_ID + 1];
    size_t name_len, id_len;
    union {
        call_machine call;
        named_machine named;
        python_machine python;
    } m;
    xml_machine xml; /* beside m: <tool_call> decides between JSON and this */
    harmony_machine harmony;
};

/* parse.c */
/* Append c to b, a buffer of the parser, and report it where that fails. */
void parse_hold(api_parser *p, pgd_buf *b, char c);
void parse_emit(api_parser *p, api_piece_kind kind, const char *s, size_t n);
/* The candidate is a call: its name is known. False: the name cannot be, it is no call. */
bool parse_begin_call(api_parser *p);
/* More of the arguments; before the call has begun they wait in p->args. */
void parse_args(api_parser *p, const char *s, size_t n);
/* A byte of arguments in JSON: checked and handed on, control characters in strings escaped. */
step parse_json_args(api_parser *p, jscan *scan, char c);
bool parse_white(char c);
pgd_sv parse_trimmed(pgd_sv s);
/* The call is complete; {} where no arguments came. */
void parse_end_call(api_parser *p);
/* How the text in b stands to the list of n markers: index of the one it equals, -1 when it begins
 * one, -2 when none. */
int parse_match(pgd_sv b, const char *const *list, size_t n);

/* the machines */
void call_init(api_parser *p);
step call_byte(api_parser *p, char c);
void named_init(api_parser *p);
step named_byte(api_parser *p, char c);
void xml_init(api_parser *p);
step xml_byte(api_parser *p, char c);
void python_init(api_parser *p);
step python_byte(api_parser *p, char c);
void harmony_init(api_parser *p, api_open open);
void harmony_byte(api_parser *p, char c);
void harmony_finish(api_parser *p);

/* toolset.c */
typedef enum param_kind {
    PARAM_ANY,    /* JSON if it is some, else a string */
    PARAM_STRING, /* always a string */
    PARAM_STRING_OR_NULL
} param_kind;
bool toolset_has(const api_toolset *t, pgd_sv name);
param_kind toolset_param(const api_toolset *t, pgd_sv tool, pgd_sv param);

#endif
