/* Strings of the template engine: building them piece by piece with exact taint, cutting them, and
 * white space as Python defines it.
 *
 *   text     <|user|>\nhello <|x|>\n<|end|>
 *   trusted  [--------)           [------)      bytes the template wrote; the rest came from data
 *
 * Invariants: spans of a mixed string are ascending, disjoint, non-empty and not adjacent; a string
 * is wholly trusted, wholly untrusted or mixed; an empty string is trusted. Bytes may be shared by
 * many strings and never change. Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

size_t jutf8_chars(const char *p, size_t n) {
    size_t chars = 0;
    PGD_ASSERT(p || !n);
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)p[i] & 0xc0) != 0x80;
    return chars;
}

bool jis_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t jspace_at(const char *p, size_t n) {
    uint32_t c;
    if (!n) return 0;
    const size_t w = pgd_utf8_decode(p, n, &c);
    return w && jis_space(c) ? w : 0;
}

size_t jspace_before(const char *p, size_t n) {
    if (!n) return 0;
    size_t begin = n - 1;
    while (begin && n - begin < 4 && ((unsigned char)p[begin] & 0xc0) == 0x80)
        begin--;
    return jspace_at(p + begin, n - begin) == n - begin ? n - begin : 0;
}

/* ---- making ------------------------------------------------------------------------------- */

/* Counting characters reads every byte, even of a slice that copies nothing: it costs steps. */
static jval *str_view(jrun *r, pgd_sv s, jtaint taint) {
    jval *v = jsteps(r, s.n / 64) ? jnew(r, JV_STR) : NULL;
    if (!v) return NULL;
    v->as.s.p = s.p ? s.p : "";
    v->as.s.n = s.n;
    v->as.s.chars = jutf8_chars(s.p, s.n);
    v->taint = (uint8_t)(s.n ? taint : JTAINT_TRUSTED);
    return v;
}

jval *jstr_const(jrun *r, const char *s) {
    return str_view(r, pgd_sv_c(s), JTAINT_TRUSTED);
}

jval *jstr_trusted(jrun *r, pgd_sv s) {
    return str_view(r, s, JTAINT_TRUSTED);
}

jval *jstr_untrusted(jrun *r, pgd_sv s) {
    return str_view(r, s, JTAINT_UNTRUSTED);
}

bool jstr_all_trusted(const jval *s) {
    return s->taint == JTAINT_TRUSTED || s->as.s.n == 0;
}

jval *jstr_like(jrun *r, pgd_sv s, const jval *like) {
    return str_view(r, s, jstr_all_trusted(like) ? JTAINT_TRUSTED : JTAINT_UNTRUSTED);
}

size_t jstr_offset(const jval *s, size_t ch) {
    const jstr *const t = &s->as.s;
    if (t->chars == t->n) return ch < t->n ? ch : t->n;
    size_t i = 0;
    while (i < t->n && ch) {
        i++;
        while (i < t->n && ((unsigned char)t->p[i] & 0xc0) == 0x80)
            i++;
        ch--;
    }
    return i;
}

/* First span of a mixed string that ends after pos. */
static size_t first_span(const jstr *t, size_t pos) {
    size_t lo = 0, hi = t->n_trusted;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (t->trusted[mid].end > pos)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

jval *jstr_sub(jrun *r, const jval *s, size_t begin, size_t end) {
    const jstr *const t = &s->as.s;
    jval *v = str_view(r, (pgd_sv){t->p + begin, end - begin}, (jtaint)s->taint);
    if (!v) return NULL;
    v->markup = s->markup;
    if (s->taint != JTAINT_MIXED || begin == end) return v;
    const size_t from = first_span(t, begin);
    size_t to = from;
    while (to < t->n_trusted && t->trusted[to].begin < end)
        to++;
    if (from == to) {
        v->taint = JTAINT_UNTRUSTED;
        return v;
    }
    if (to == from + 1 && t->trusted[from].begin <= begin && t->trusted[from].end >= end) {
        v->taint = JTAINT_TRUSTED;
        return v;
    }
    pgd_span *spans = jalloc_array(r, to - from, sizeof(*spans));
    if (!spans) return NULL;
    for (size_t i = from; i < to; i++) {
        spans[i - from].begin = max_size(t->trusted[i].begin, begin) - begin;
        spans[i - from].end = min_size(t->trusted[i].end, end) - begin;
    }
    v->as.s.trusted = spans;
    v->as.s.n_trusted = to - from;
    return v;
}

static bool sb_room(jrun *r, jsb *b, size_t extra);

jval *jstr_concat(jrun *r, const jval *a, const jval *b) {
    jsb out = {0};
    if (!sb_room(r, &out, a->as.s.n + b->as.s.n)) return NULL;
    jsb_put_str(r, &out, a);
    jsb_put_str(r, &out, b);
    return jsb_done(r, &out);
}

/* ---- building ----------------------------------------------------------------------------- */

static bool sb_room(jrun *r, jsb *b, size_t extra) {
    if (b->failed) return false;
    if (extra <= b->cap - b->n) return true;
    if (b->is_output &&
        extra > r->lim->max_output_bytes - min_size(b->n, r->lim->max_output_bytes)) {
        jfail_code(r, PGD_E_LIMIT, "the template makes more than %zu bytes of text",
                   r->lim->max_output_bytes);
        b->failed = true;
        return false;
    }
    size_t cap = b->cap ? b->cap * 2 : 64;
    if (cap - b->n < extra) cap = b->n + extra; /* cannot overflow: both are held in memory */
    char *grown = jalloc(r, cap);
    if (!grown) {
        b->failed = true;
        return false;
    }
    if (b->n) memcpy(grown, b->p, b->n);
    b->p = grown;
    b->cap = cap;
    return true;
}

static void sb_mark(jrun *r, jsb *b, size_t begin, size_t end) {
    if (b->n_span && b->span[b->n_span - 1].end == begin) {
        b->span[b->n_span - 1].end = end;
        return;
    }
    if (b->n_span == b->cap_span) {
        const size_t cap = b->cap_span ? b->cap_span * 2 : 4;
        pgd_span *grown = jalloc_array(r, cap, sizeof(*grown));
        if (!grown) {
            b->failed = true;
            return;
        }
        if (b->n_span) memcpy(grown, b->span, b->n_span * sizeof(*grown));
        b->span = grown;
        b->cap_span = cap;
    }
    b->span[b->n_span++] = (pgd_span){begin, end};
}

void jsb_put(jrun *r, jsb *b, pgd_sv s, bool trusted) {
    if (!s.n || !sb_room(r, b, s.n)) return;
    memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
    if (trusted) sb_mark(r, b, b->n - s.n, b->n);
}

void jsb_puts(jrun *r, jsb *b, const char *s) {
    jsb_put(r, b, pgd_sv_c(s), true);
}

void jsb_put_sub(jrun *r, jsb *b, const jval *s, size_t begin, size_t end) {
    const jstr *const t = &s->as.s;
    const size_t base = b->n;
    jsb_put(r, b, (pgd_sv){t->p + begin, end - begin}, s->taint == JTAINT_TRUSTED);
    if (s->taint != JTAINT_MIXED || b->failed) return;
    for (size_t i = first_span(t, begin); i < t->n_trusted && t->trusted[i].begin < end; i++)
        sb_mark(r, b, base + max_size(t->trusted[i].begin, begin) - begin,
                base + min_size(t->trusted[i].end, end) - begin);
}

void jsb_put_str(jrun *r, jsb *b, const jval *s) {
    jsb_put_sub(r, b, s, 0, s->as.s.n);
}

void jsb_fill(jrun *r, jsb *b, pgd_sv ch, size_t times, bool trusted) {
    for (size_t i = 0; i < times && !b->failed; i++)
        jsb_put(r, b, ch, trusted);
}

jval *jsb_done(jrun *r, jsb *b) {
    if (b->failed) return NULL;
    jtaint taint = JTAINT_MIXED;
    if (!b->n_span)
        taint = JTAINT_UNTRUSTED;
    else if (b->n_span == 1 && b->span[0].begin == 0 && b->span[0].end == b->n)
        taint = JTAINT_TRUSTED;
    jval *v = str_view(r, (pgd_sv){b->p, b->n}, taint);
    if (v && v->taint == JTAINT_MIXED) {
        v->as.s.trusted = b->span;
        v->as.s.n_trusted = b->n_span;
    }
    return v;
}

jval *jsb_done_as(jrun *r, jsb *b, bool trusted) {
    if (b->failed) return NULL;
    return str_view(r, (pgd_sv){b->p, b->n}, trusted ? JTAINT_TRUSTED : JTAINT_UNTRUSTED);
}
