/* Bytes of a terminal in raw mode -> keys. */
#ifndef PAGODA_CLI_KEYS_H
#define PAGODA_CLI_KEYS_H

#include <stdbool.h>

#include "pagoda/str.h"

typedef enum cli_key_kind {
    CLI_KEY_NONE,
    CLI_KEY_TEXT,    /* one code point in `text` (line feeds and tabs of a paste too) */
    CLI_KEY_ENTER,   /* the line is done */
    CLI_KEY_NEWLINE, /* Alt-Enter: a line feed in the text */
    CLI_KEY_LEFT,
    CLI_KEY_RIGHT,
    CLI_KEY_UP,
    CLI_KEY_DOWN,
    CLI_KEY_WORD_LEFT,
    CLI_KEY_WORD_RIGHT,
    CLI_KEY_HOME,
    CLI_KEY_END,
    CLI_KEY_BACKSPACE,
    CLI_KEY_DELETE,
    CLI_KEY_DELETE_OR_EOF, /* Ctrl-D */
    CLI_KEY_CUT_TO_START,
    CLI_KEY_CUT_TO_END,
    CLI_KEY_CUT_WORD,
    CLI_KEY_CUT_WORD_RIGHT,
    CLI_KEY_INTERRUPT, /* Ctrl-C */
    CLI_KEY_SUSPEND,   /* Ctrl-Z */
    CLI_KEY_REDRAW     /* Ctrl-L: on a fresh screen */
} cli_key_kind;

typedef struct cli_key {
    cli_key_kind kind;
    char text[4];
    unsigned n;
} cli_key;

/* State between bytes. {0} is the beginning. */
typedef struct cli_keys {
    enum { CLI_KEYS_GROUND, CLI_KEYS_ESC, CLI_KEYS_CSI, CLI_KEYS_SS3 } state;
    char part[16]; /* parameters of a control sequence, or a cut code point */
    unsigned n_part;
    bool too_long;        /* the sequence in hand did not fit and means nothing */
    bool paste;           /* within a bracketed paste */
    unsigned paste_match; /* bytes of the paste's end mark seen */
    bool paste_cr;        /* the paste's last character was CR */
} cli_keys;

/* Take one byte. Writes the keys that it completes (0 up to CLI_KEYS_MAX) and returns how many. */
enum { CLI_KEYS_MAX = 8 };
unsigned cli_keys_feed(cli_keys *k, char byte, cli_key out[CLI_KEYS_MAX]);
/* Whether an escape sequence has begun: when no byte follows soon, it was the Escape key. */
bool cli_keys_waiting(const cli_keys *k);
void cli_keys_expire(cli_keys *k);

#endif
