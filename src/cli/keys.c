/* Bytes of a terminal -> keys, as a state machine.
 *
 * Knows what xterm, the Linux console and those that imitate them send for the keys that a line
 * editor uses; every other sequence is read to its end and means nothing, so that no remnants of it
 * become text. Within a bracketed paste all is text: line feeds do not submit, and control
 * characters (a pasted ESC as well) are dropped, for the text is shown again; only Ctrl-C keeps its
 * meaning, as terminals keep it out of pastes themselves. Bytes that are no
 * UTF-8 are dropped. No timing in here: the caller decides when a lone ESC was the Escape key.
 * Thread: as the state. */
#include "cli/keys.h"

#include <string.h>

static const char paste_end[] = "\x1b[201~";
enum { PASTE_END_BYTES = sizeof(paste_end) - 1 };

typedef struct sink {
    cli_key *out;
    unsigned n;
} sink;

static void emit(sink *s, cli_key_kind kind) {
    if (kind != CLI_KEY_NONE && s->n < CLI_KEYS_MAX) s->out[s->n++] = (cli_key){.kind = kind};
}

static void emit_text(sink *s, const char *text, size_t n) {
    if (s->n == CLI_KEYS_MAX) return;
    cli_key *key = &s->out[s->n++];
    *key = (cli_key){.kind = CLI_KEY_TEXT, .n = (unsigned)n};
    memcpy(key->text, text, n);
}

static cli_key_kind control_key(unsigned char c) {
    switch (c) {
    case 0x01: /* Ctrl-A */
        return CLI_KEY_HOME;
    case 0x02:
        return CLI_KEY_LEFT;
    case 0x03:
        return CLI_KEY_INTERRUPT;
    case 0x04:
        return CLI_KEY_DELETE_OR_EOF;
    case 0x05: /* Ctrl-E */
        return CLI_KEY_END;
    case 0x06:
        return CLI_KEY_RIGHT;
    case 0x08:
    case 0x7f:
        return CLI_KEY_BACKSPACE;
    case '\n':
    case '\r':
        return CLI_KEY_ENTER;
    case 0x0b: /* Ctrl-K */
        return CLI_KEY_CUT_TO_END;
    case 0x0c:
        return CLI_KEY_REDRAW;
    case 0x0e: /* Ctrl-N */
        return CLI_KEY_DOWN;
    case 0x10: /* Ctrl-P */
        return CLI_KEY_UP;
    case 0x15: /* Ctrl-U */
        return CLI_KEY_CUT_TO_START;
    case 0x17: /* Ctrl-W */
        return CLI_KEY_CUT_WORD;
    case 0x1a:
        return CLI_KEY_SUSPEND;
    default:
        return CLI_KEY_NONE;
    }
}

/* Printable bytes: collect a code point. A byte that cannot go on with what is held drops that and
 * begins anew. */
static void take_text(cli_keys *k, char byte, sink *s) {
    for (int attempt = 0; attempt < 2; attempt++) {
        k->part[k->n_part++] = byte;
        uint32_t cp = 0;
        const size_t len = pgd_utf8_decode(k->part, k->n_part, &cp);
        if (len > 0) {
            if (cp < 0x80 || cp >= 0xa0) emit_text(s, k->part, len); /* not C1 */
            k->n_part = 0;
            return;
        }
        if (pgd_utf8_incomplete_tail(k->part, k->n_part) == k->n_part) return;
        const bool alone = k->n_part == 1;
        k->n_part = 0;
        if (alone) return;
    }
}

static void take_ground(cli_keys *k, char byte, sink *s) {
    const unsigned char c = (unsigned char)byte;
    if (c >= 0x20 && c != 0x7f) {
        take_text(k, byte, s);
        return;
    }
    k->n_part = 0;
    if (c == 0x1b)
        k->state = CLI_KEYS_ESC;
    else
        emit(s, control_key(c));
}

static void take_escape(cli_keys *k, char byte, sink *s) {
    k->n_part = 0;
    k->too_long = false;
    k->state = CLI_KEYS_GROUND;
    switch (byte) {
    case '[':
        k->state = CLI_KEYS_CSI;
        return;
    case 'O':
        k->state = CLI_KEYS_SS3;
        return;
    case 0x1b:
        k->state = CLI_KEYS_ESC;
        return;
    case '\r':
    case '\n':
        emit(s, CLI_KEY_NEWLINE);
        return;
    case 'b':
        emit(s, CLI_KEY_WORD_LEFT);
        return;
    case 'f':
        emit(s, CLI_KEY_WORD_RIGHT);
        return;
    case 'd':
        emit(s, CLI_KEY_CUT_WORD_RIGHT);
        return;
    case 0x08:
    case 0x7f:
        emit(s, CLI_KEY_CUT_WORD);
        return;
    case 0x03: /* never swallow the way out */
        emit(s, CLI_KEY_INTERRUPT);
        return;
    default:
        return;
    }
}

/* Keys named by the final byte, alike after CSI and SS3. word: with Ctrl or Alt held. */
static cli_key_kind letter_key(char final, bool word) {
    switch (final) {
    case 'A':
        return CLI_KEY_UP;
    case 'B':
        return CLI_KEY_DOWN;
    case 'C':
        return word ? CLI_KEY_WORD_RIGHT : CLI_KEY_RIGHT;
    case 'D':
        return word ? CLI_KEY_WORD_LEFT : CLI_KEY_LEFT;
    case 'F':
        return CLI_KEY_END;
    case 'H':
        return CLI_KEY_HOME;
    default:
        return CLI_KEY_NONE;
    }
}

/* Keys named by a number before '~'. */
static cli_key_kind number_key(pgd_sv number) {
    if (pgd_sv_eq(number, PGD_SV("1")) || pgd_sv_eq(number, PGD_SV("7"))) return CLI_KEY_HOME;
    if (pgd_sv_eq(number, PGD_SV("4")) || pgd_sv_eq(number, PGD_SV("8"))) return CLI_KEY_END;
    if (pgd_sv_eq(number, PGD_SV("3"))) return CLI_KEY_DELETE;
    return CLI_KEY_NONE;
}

static void take_sequence(cli_keys *k, char byte, sink *s) {
    const unsigned char c = (unsigned char)byte;
    if (c < 0x20) { /* a terminal would obey it in passing: here it ends the sequence */
        k->state = CLI_KEYS_GROUND;
        take_ground(k, byte, s);
        return;
    }
    /* parameters; and the console's F1..F5 are CSI [ A..E */
    if (c < 0x40 || (byte == '[' && k->n_part == 0 && !k->too_long)) {
        if (k->n_part < sizeof(k->part))
            k->part[k->n_part++] = byte;
        else
            k->too_long = true;
        return;
    }
    const pgd_sv params = {k->part, k->n_part};
    k->state = CLI_KEYS_GROUND;
    k->n_part = 0;
    if (k->too_long || c > 0x7e || pgd_sv_starts(params, PGD_SV("["))) return;
    if (byte == '~' && pgd_sv_eq(params, PGD_SV("200"))) {
        k->paste = true;
        k->paste_match = 0;
        k->paste_cr = false;
    } else if (byte == '~') {
        size_t digits = pgd_sv_find(params, PGD_SV(";"), 0);
        if (digits > params.n) digits = params.n;
        emit(s, number_key((pgd_sv){params.p, digits}));
    } else {
        emit(s, letter_key(byte,
                           pgd_sv_ends(params, PGD_SV(";5")) || pgd_sv_ends(params, PGD_SV(";3"))));
    }
}

/* One byte that is certainly content of a paste. */
static void take_pasted(cli_keys *k, char byte, sink *s) {
    const bool after_cr = k->paste_cr;
    const unsigned char c = (unsigned char)byte;
    k->paste_cr = byte == '\r';
    if (c >= 0x20 && c != 0x7f) {
        take_text(k, byte, s);
        return;
    }
    k->n_part = 0;
    if (byte == '\r' || (byte == '\n' && !after_cr)) emit_text(s, "\n", 1);
    if (byte == '\t') emit_text(s, "\t", 1);
    if (c == 0x03) { /* a paste whose end got lost must not lock the keyboard */
        k->paste = false;
        emit(s, CLI_KEY_INTERRUPT);
    }
}

static void take_paste(cli_keys *k, char byte, sink *s) {
    if (byte == paste_end[k->paste_match]) {
        if (++k->paste_match == PASTE_END_BYTES) {
            k->paste = false;
            k->n_part = 0;
        }
        return;
    }
    /* no end mark after all: its bytes were content, and this one may begin the mark */
    const unsigned matched = k->paste_match;
    k->paste_match = 0;
    for (unsigned i = 0; i < matched; i++)
        take_pasted(k, paste_end[i], s);
    if (byte == paste_end[0])
        k->paste_match = 1;
    else
        take_pasted(k, byte, s);
}

unsigned cli_keys_feed(cli_keys *k, char byte, cli_key out[CLI_KEYS_MAX]) {
    sink s = {out, 0};
    if (k->paste) {
        take_paste(k, byte, &s);
        return s.n;
    }
    switch (k->state) {
    case CLI_KEYS_GROUND:
        take_ground(k, byte, &s);
        break;
    case CLI_KEYS_ESC:
        take_escape(k, byte, &s);
        break;
    case CLI_KEYS_CSI:
        take_sequence(k, byte, &s);
        break;
    case CLI_KEYS_SS3:
        k->state = CLI_KEYS_GROUND;
        if ((unsigned char)byte < 0x20)
            take_ground(k, byte, &s);
        else
            emit(&s, letter_key(byte, false));
        break;
    }
    return s.n;
}

bool cli_keys_waiting(const cli_keys *k) {
    return !k->paste && k->state != CLI_KEYS_GROUND;
}

void cli_keys_expire(cli_keys *k) {
    if (!cli_keys_waiting(k)) return;
    k->state = CLI_KEYS_GROUND;
    k->n_part = 0;
}
