/* Decoding as a stream: token strings go in one by one, text comes out as soon as it is certain.
 *
 * `tokenizers` defines a decoder as a function from the list of all tokens to a list of strings
 * that are then joined. Here each stage is the streaming form of that function, so that the
 * incremental detokenizer and the decoding of a whole list are the same code and cannot differ. Up
 * to a Fuse or ByteLevel a stage receives whole tokens; behind one it receives chunks (always whole
 * code points) of the single token that the list has become. A stage whose function needs that
 * whole token, which no published tokenizer has, holds everything until the end.
 *
 *     what is held back      until
 *     cut UTF-8 (<= 3 bytes) the rest arrives, or can no longer arrive
 *     <0xNN> tokens          the run of them ends: one bad byte turns the whole run into U+FFFD
 *     the last token         another one follows (BPEDecoder treats the last one differently)
 *     a suffix that may be the start of a Replace pattern, or may be stripped at the end
 *
 * Thread: one per decoding. Does not look up ids. */
#include "decoder.h"

#include <string.h>

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

typedef enum event { TOKEN, CHUNK, END } event;

static pgd_status feed(pgd_decoding *d, size_t i, event e, pgd_sv s, pgd_buf *out);

static pgd_status pass(pgd_decoding *d, size_t i, event e, pgd_sv s, pgd_buf *out) {
    return feed(d, i + 1, e, s, out);
}

/* ---- Helpers on single strings ---- */

/* Append s to out with every `from` replaced by `to`. */
static void replace_text(pgd_sv s, pgd_sv from, pgd_sv to, pgd_buf *out) {
    size_t done = 0;
    while (from.n > 0) {
        const size_t at = pgd_sv_find(s, from, done);
        if (at == SIZE_MAX) break;
        pgd_buf_put(out, s.p + done, at - done);
        pgd_buf_putsv(out, to);
        done = at + from.n;
    }
    if (done < s.n) pgd_buf_put(out, s.p + done, s.n - done); /* an empty s may have no address */
}

/* WordPiece's clean-up of spaces before punctuation and English contractions, in place. */
static void clean_up(pgd_buf *b) {
    /* every rule starts with a space and one of these; most tokens have neither */
    bool any = false;
    for (size_t i = 0; i + 1 < b->n && !any; i++) {
        any = b->p[i] == ' ' && strchr(".?!,'nd", b->p[i + 1]) != NULL;
    }
    if (!any) return;
    static const char *const rules[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const pgd_sv from = pgd_sv_c(rules[i][0]);
        if (pgd_sv_find(pgd_buf_sv(b), from, 0) == SIZE_MAX) continue;
        pgd_buf t = {0};
        replace_text(pgd_buf_sv(b), from, pgd_sv_c(rules[i][1]), &t);
        t.failed = t.failed || b->failed;
        pgd_buf_fini(b);
        *b = t;
    }
}

/* The value of "<0xNN>", or -1. As from_str_radix of Rust, a leading plus is a digit's place. */
static int fallback_byte(pgd_sv t) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    if (t.n != 6 || memcmp(t.p, "<0x", 3) != 0 || t.p[5] != '>') return -1;
    const char *const hi = t.p[3] == '+' ? digits : memchr(digits, t.p[3], 32);
    const char *const lo = memchr(digits, t.p[4], 32);
    if (hi == NULL || lo == NULL) return -1;
    return (int)((hi - digits) % 16 * 16 + (lo - digits) % 16);
}

/* The bytes of a byte-level token: its characters mapped back, or itself when one is foreign. */
static void byte_level_bytes(pgd_sv t, pgd_buf *out) {
    const size_t before = out->n;
    for (size_t i = 0, len = 0; i < t.n; i += len) {
        const int b = pgd_tok_char_byte(pgd_tok_cp(t.p, t.n, i, &len));
        if (b < 0) {
            out->n = before;
            pgd_buf_putsv(out, t);
            return;
        }
        pgd_buf_putc(out, (char)b);
    }
}

/* Length of the ill-formed sequence at s (which no code point starts); *cut: it may still become
 * one. These are the "maximal subparts" that Rust replaces by one U+FFFD each. */
static size_t bad_length(const uint8_t *s, size_t n, bool *cut) {
    *cut = false;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 1;
    const size_t want = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    uint8_t lo = 0x80, hi = 0xBF;
    if (s[0] == 0xE0) lo = 0xA0;
    if (s[0] == 0xED) hi = 0x9F;
    if (s[0] == 0xF0) lo = 0x90;
    if (s[0] == 0xF4) hi = 0x8F;
    size_t i = 1;
    for (; i < want && i < n; i++) {
        if (s[i] < lo || s[i] > hi) return i;
        lo = 0x80;
        hi = 0xBF;
    }
    *cut = i == n && i < want;
    return i;
}

/* Move the decided bytes of held to out as UTF-8, ill-formed ones as U+FFFD. */
static void take_lossy(pgd_buf *held, bool final, pgd_buf *out) {
    size_t i = 0;
    while (i < held->n) {
        const size_t good = pgd_utf8_valid_prefix(held->p + i, held->n - i);
        pgd_buf_put(out, held->p + i, good);
        i += good;
        if (i == held->n) break;
        bool cut = false;
        const size_t bad = bad_length((const uint8_t *)held->p + i, held->n - i, &cut);
        if (cut && !final) break;
        pgd_buf_puts(out, REPLACEMENT);
        i += bad;
    }
    pgd_buf_drop_front(held, i);
}

/* ---- Whole tokens ---- */

static void strip_token(const pgd_decoder_stage *s, pgd_sv t, pgd_buf *out) {
    size_t begin = 0, end = t.n, len = 0;
    for (size_t k = 0; k < s->start && begin < end; k++) {
        if (pgd_tok_cp(t.p, end, begin, &len) != s->cp) break;
        begin += len;
    }
    char c[4];
    const size_t cn = pgd_utf8_encode(s->cp, c);
    for (size_t k = 0; k < s->stop && end - begin >= cn; k++) {
        if (memcmp(t.p + end - cn, c, cn) != 0) break;
        end -= cn;
    }
    if (end > begin) pgd_buf_put(out, t.p + begin, end - begin);
}

static pgd_status replace_regex(pgd_decoding *d, const pgd_decoder_stage *s, pgd_sv t,
                                pgd_buf *out) {
    pgd_tok_text in = {0}, done = {0};
    pgd_buf_putsv(&in.buf, t);
    pgd_status st = in.buf.failed ? PGD_E_NOMEM
                                  : pgd_normalizer_replace(&in, &done, (pgd_sv){0}, s->re,
                                                           s->content, &d->m, NULL);
    pgd_buf_putsv(out, pgd_buf_sv(&done.buf));
    pgd_tok_text_fini(&in);
    pgd_tok_text_fini(&done);
    return st;
}

/* Write what becomes of token number `index` to out. */
static pgd_status map_token(pgd_decoding *d, const pgd_decoder_stage *s, size_t index, bool last,
                            pgd_sv t, pgd_buf *out) {
    switch (s->kind) {
    case PGD_DECODE_STRIP:
        strip_token(s, t, out);
        break;
    case PGD_DECODE_REPLACE:
        if (s->re != NULL) return replace_regex(d, s, t, out);
        replace_text(t, s->pattern, s->content, out);
        break;
    case PGD_DECODE_METASPACE:
        replace_text(t, s->content, index == 0 && s->drop_first ? PGD_SV("") : PGD_SV(" "), out);
        break;
    case PGD_DECODE_WORDPIECE:
        if (index > 0 && pgd_sv_starts(t, s->pattern)) {
            pgd_buf_put(out, t.p + s->pattern.n, t.n - s->pattern.n);
        } else {
            if (index > 0) pgd_buf_putc(out, ' ');
            pgd_buf_putsv(out, t);
        }
        if (s->cleanup) clean_up(out);
        break;
    case PGD_DECODE_BPE:
        replace_text(t, s->pattern, last ? PGD_SV("") : PGD_SV(" "), out);
        break;
    case PGD_DECODE_CTC: {
        replace_text(t, s->pattern, PGD_SV(""), out);
        if (!s->cleanup) break;
        clean_up(out);
        pgd_buf b = {0};
        replace_text(pgd_buf_sv(out), s->content, PGD_SV(" "), &b);
        pgd_buf_clear(out);
        pgd_buf_putsv(out, pgd_buf_sv(&b));
        out->failed = out->failed || b.failed;
        pgd_buf_fini(&b);
        break;
    }
    default:
        pgd_buf_putsv(out, t);
        break;
    }
    return PGD_OK;
}

static pgd_status map_and_pass(pgd_decoding *d, size_t i, bool last, event e, pgd_sv t,
                               pgd_buf *out) {
    pgd_decoder_state *const st = &d->st[i];
    pgd_buf_clear(&st->out);
    PGD_TRY(map_token(d, &d->dec->stage[i], st->seen++, last, t, &st->out));
    if (st->out.failed) return PGD_E_NOMEM;
    if (d->dec->stage[i].kind == PGD_DECODE_CTC && st->out.n == 0) return PGD_OK;
    return pass(d, i, e, pgd_buf_sv(&st->out), out);
}

/* The run of byte tokens in held has ended. */
static pgd_status flush_bytes(pgd_decoding *d, size_t i, pgd_buf *out) {
    pgd_buf *const held = &d->st[i].held;
    if (held->n == 0) return PGD_OK;
    if (held->failed) return PGD_E_NOMEM;
    pgd_status st = PGD_OK;
    if (pgd_utf8_valid_prefix(held->p, held->n) == held->n) {
        st = pass(d, i, TOKEN, pgd_buf_sv(held), out);
    } else {
        for (size_t k = 0; k < held->n && st == PGD_OK; k++) {
            st = pass(d, i, TOKEN, pgd_sv_c(REPLACEMENT), out);
        }
    }
    pgd_buf_clear(held);
    return st;
}

static pgd_status byte_level_event(pgd_decoding *d, size_t i, event e, pgd_sv t, pgd_buf *out) {
    pgd_decoder_state *const st = &d->st[i];
    pgd_buf_clear(&st->out);
    if (e == TOKEN) byte_level_bytes(t, &st->held);
    take_lossy(&st->held, e == END, &st->out);
    if (st->held.failed || st->out.failed) return PGD_E_NOMEM;
    if (st->out.n > 0) PGD_TRY(pass(d, i, CHUNK, pgd_buf_sv(&st->out), out));
    return e == END ? pass(d, i, END, (pgd_sv){0}, out) : PGD_OK;
}

static pgd_status bpe_event(pgd_decoding *d, size_t i, event e, pgd_sv t, pgd_buf *out) {
    pgd_decoder_state *const st = &d->st[i];
    if (st->has_held) {
        PGD_TRY(map_and_pass(d, i, e == END, TOKEN, pgd_buf_sv(&st->held), out));
    }
    if (e == END) return pass(d, i, END, (pgd_sv){0}, out);
    pgd_buf_clear(&st->held);
    pgd_buf_putsv(&st->held, t);
    st->has_held = true;
    return st->held.failed ? PGD_E_NOMEM : PGD_OK;
}

static pgd_status ctc_event(pgd_decoding *d, size_t i, pgd_sv t, pgd_buf *out) {
    pgd_decoder_state *const st = &d->st[i];
    if (st->has_held && pgd_sv_eq(pgd_buf_sv(&st->held), t)) return PGD_OK;
    pgd_buf_clear(&st->held);
    pgd_buf_putsv(&st->held, t);
    st->has_held = true;
    if (st->held.failed) return PGD_E_NOMEM;
    return map_and_pass(d, i, false, TOKEN, t, out);
}

static pgd_status token_event(pgd_decoding *d, size_t i, event e, pgd_sv t, pgd_buf *out) {
    const pgd_decoder_stage *const s = &d->dec->stage[i];
    pgd_decoder_state *const st = &d->st[i];
    if (s->kind == PGD_DECODE_BYTE_LEVEL) return byte_level_event(d, i, e, t, out);
    if (s->kind == PGD_DECODE_BPE) return bpe_event(d, i, e, t, out);
    if (s->kind == PGD_DECODE_BYTE_FALLBACK) {
        const int b = e == END ? -1 : fallback_byte(t);
        if (b >= 0) {
            pgd_buf_putc(&st->held, (char)b);
            return st->held.failed ? PGD_E_NOMEM : PGD_OK;
        }
        PGD_TRY(flush_bytes(d, i, out));
        return pass(d, i, e, t, out);
    }
    if (e == END) return pass(d, i, END, t, out);
    switch (s->kind) {
    case PGD_DECODE_JOIN:
        if (st->seen++ > 0) PGD_TRY(pass(d, i, TOKEN, PGD_SV(" "), out));
        return pass(d, i, TOKEN, t, out);
    case PGD_DECODE_FUSE:
        return pass(d, i, CHUNK, t, out);
    case PGD_DECODE_CTC:
        return ctc_event(d, i, t, out);
    default:
        return map_and_pass(d, i, false, TOKEN, t, out);
    }
}

/* ---- Chunks of one token ---- */

/* Length of the longest end of s that begins `pattern` without completing it. */
static size_t partial_match(pgd_sv s, pgd_sv pattern) {
    size_t k = pattern.n > 0 ? pattern.n - 1 : 0;
    for (k = k < s.n ? k : s.n; k > 0; k--) {
        if (memcmp(s.p + s.n - k, pattern.p, k) == 0) break;
    }
    return k;
}

static void replace_chunk(const pgd_decoder_stage *s, pgd_decoder_state *st, event e) {
    const pgd_sv to = s->kind == PGD_DECODE_BPE ? PGD_SV("") : s->content;
    const pgd_sv all = pgd_buf_sv(&st->held);
    size_t done = 0;
    for (size_t at; (at = pgd_sv_find(all, s->pattern, done)) != SIZE_MAX;) {
        pgd_buf_put(&st->out, all.p + done, at - done);
        pgd_buf_putsv(&st->out, to);
        done = at + s->pattern.n;
    }
    const pgd_sv rest = {all.p + done, all.n - done};
    const size_t keep = e == END ? 0 : partial_match(rest, s->pattern);
    pgd_buf_put(&st->out, rest.p, rest.n - keep);
    pgd_buf_drop_front(&st->held, all.n - keep);
}

static void strip_chunk(const pgd_decoder_stage *s, pgd_decoder_state *st, event e) {
    char c[4];
    const size_t cn = pgd_utf8_encode(s->cp, c);
    const pgd_sv all = pgd_buf_sv(&st->held);
    size_t begin = 0, end = all.n;
    while (!st->past_start && begin < all.n) {
        if (st->seen == s->start ||
            !pgd_sv_starts((pgd_sv){all.p + begin, all.n - begin}, (pgd_sv){c, cn})) {
            st->past_start = true;
        } else {
            begin += cn;
            st->seen++;
        }
    }
    for (size_t k = 0; k < s->stop && end - begin >= cn; k++) {
        if (memcmp(all.p + end - cn, c, cn) != 0) break;
        end -= cn;
    }
    pgd_buf_put(&st->out, all.p + begin, end - begin);
    pgd_buf_drop_front(&st->held, e == END ? all.n : end);
}

static pgd_status chunk_event(pgd_decoding *d, size_t i, event e, pgd_sv t, pgd_buf *out) {
    const pgd_decoder_stage *const s = &d->dec->stage[i];
    pgd_decoder_state *const st = &d->st[i];
    if (s->kind == PGD_DECODE_FUSE) return pass(d, i, e, t, out);
    pgd_buf_clear(&st->out);
    pgd_buf_putsv(&st->held, t);
    if (st->held.failed) return PGD_E_NOMEM;
    const bool streams = (s->kind == PGD_DECODE_REPLACE && s->re == NULL) ||
                         (s->kind == PGD_DECODE_BPE && s->pattern.n > 0);
    if (streams) {
        replace_chunk(s, st, e);
    } else if (s->kind == PGD_DECODE_STRIP) {
        strip_chunk(s, st, e);
    } else if (s->kind == PGD_DECODE_METASPACE) {
        PGD_TRY(map_token(d, s, 0, false, t, &st->out));
        pgd_buf_clear(&st->held);
    } else if (e == END && s->kind == PGD_DECODE_BYTE_LEVEL) {
        pgd_buf bytes = {0};
        byte_level_bytes(pgd_buf_sv(&st->held), &bytes);
        take_lossy(&bytes, true, &st->out);
        const bool failed = bytes.failed;
        pgd_buf_fini(&bytes);
        if (failed) return PGD_E_NOMEM;
    } else if (e == END && s->kind == PGD_DECODE_BYTE_FALLBACK) {
        const int b = fallback_byte(pgd_buf_sv(&st->held));
        if (b < 0) {
            pgd_buf_putsv(&st->out, pgd_buf_sv(&st->held));
        } else if (b < 0x80) {
            pgd_buf_putc(&st->out, (char)b);
        } else {
            pgd_buf_puts(&st->out, REPLACEMENT);
        }
    } else if (e == END) {
        PGD_TRY(map_token(d, s, 0, true, pgd_buf_sv(&st->held), &st->out));
    }
    if (st->out.failed || st->held.failed) return PGD_E_NOMEM;
    if (st->out.n > 0) PGD_TRY(pass(d, i, CHUNK, pgd_buf_sv(&st->out), out));
    return e == END ? pass(d, i, END, (pgd_sv){0}, out) : PGD_OK;
}

static pgd_status feed(pgd_decoding *d, size_t i, event e, pgd_sv s, pgd_buf *out) {
    if (i == d->dec->n) {
        if (s.n > 0) pgd_buf_putsv(out, s);
        return out->failed ? PGD_E_NOMEM : PGD_OK;
    }
    return d->dec->stage[i].fused ? chunk_event(d, i, e, s, out) : token_event(d, i, e, s, out);
}

/* ---- Public ---- */

void pgd_decoding_init(pgd_decoding *d, const pgd_decoder *dec) {
    memset(d, 0, sizeof *d);
    d->dec = dec;
}

void pgd_decoding_fini(pgd_decoding *d) {
    for (size_t i = 0; i < PGD_DECODER_MAX_STAGES; i++) {
        pgd_buf_fini(&d->st[i].held);
        pgd_buf_fini(&d->st[i].out);
    }
    pgd_tok_matcher_destroy(&d->m);
}

pgd_status pgd_decoding_push(pgd_decoding *d, pgd_sv token, pgd_buf *out) {
    return feed(d, 0, TOKEN, token, out);
}

pgd_status pgd_decoding_finish(pgd_decoding *d, pgd_buf *out) {
    return feed(d, 0, END, (pgd_sv){0}, out);
}

void pgd_decoder_middle(const pgd_decoder *dec, pgd_sv token, pgd_buf *out) {
    pgd_decoding d;
    pgd_decoding_init(&d, dec);
    pgd_buf cur = {0}, next = {0};
    bool bytes = false; /* cur is raw bytes now: later stages only join */
    pgd_status st = PGD_OK;
    pgd_buf_putsv(&cur, token);
    for (size_t i = 0; i < dec->n && !bytes; i++) {
        const pgd_decoder_stage *const s = &dec->stage[i];
        pgd_buf_clear(&next);
        if (s->kind == PGD_DECODE_BYTE_LEVEL) {
            byte_level_bytes(pgd_buf_sv(&cur), &next);
            bytes = true;
        } else if (s->kind == PGD_DECODE_BYTE_FALLBACK) {
            const int b = fallback_byte(pgd_buf_sv(&cur));
            if (b < 0) continue;
            pgd_buf_putc(&next, (char)b);
            bytes = true;
        } else if (s->fused && s->kind == PGD_DECODE_STRIP) {
            continue; /* acts on the ends of the text only */
        } else {
            st = map_token(&d, s, 1, false, pgd_buf_sv(&cur), &next);
        }
        if (st != PGD_OK || cur.failed || next.failed) break;
        const pgd_buf t = cur;
        cur = next;
        next = t;
    }
    pgd_buf_putsv(out, pgd_buf_sv(&cur));
    if (cur.failed || next.failed || st == PGD_E_NOMEM) out->failed = true;
    pgd_buf_fini(&cur);
    pgd_buf_fini(&next);
    pgd_decoding_fini(&d);
}
