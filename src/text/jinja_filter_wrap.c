/* The rarer text filters of the template engine: wordwrap, wordcount, striptags, xmlattr.
 * Thread: one run, one thread. */
#include "jinja_int.h"

#include <stdlib.h>
#include <string.h>

#include "jinja_unicode.h"

/* ---- wordwrap ----------------------------------------------------------------------------- */

typedef struct wrapper {
    jrun *r;
    const jval *line;
    jsb out;
    const jval *joint; /* between lines */
    size_t width;
    size_t begin, end, chars; /* of the output line so far, trailing white space included */
    size_t solid;             /* where its last word ends */
    bool any;                 /* a line was put */
    bool break_long, hyphens;
} wrapper;

static void flush(wrapper *x) {
    if (x->solid > x->begin) {
        if (x->any) jsb_put_str(x->r, &x->out, x->joint);
        jsb_put_sub(x->r, &x->out, x->line, x->begin, x->solid);
        x->any = true;
    }
    x->begin = x->solid = x->end;
    x->chars = 0;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word(char c) {
    return is_letter(c) || (c >= '0' && c <= '9');
}

/* Length of a run of two or more hyphens at p[i] that stands between words, 0 otherwise. */
static size_t dash(const char *p, size_t n, size_t i) {
    size_t end = i;
    if (!i || !(is_word(p[i - 1]) || (p[i - 1] && strchr("!\"'&.,?", p[i - 1])))) return 0;
    while (end < n && p[end] == '-')
        end++;
    return end - i >= 2 && end < n && is_word(p[end]) ? end - i : 0;
}

/* Whether a line may end after the hyphen p[i - 1]: two letters (or letter, hyphen, letter) before
 * it in the chunk that starts at begin, and letters behind it. The rules of Python's textwrap. */
static bool breaks_after(const char *p, size_t n, size_t begin, size_t i) {
    if (i < begin + 3 || p[i - 1] != '-' || !is_letter(p[i - 2])) return false;
    const bool before =
        is_letter(p[i - 3]) || (i >= begin + 4 && p[i - 3] == '-' && is_letter(p[i - 4]));
    if (!before || i >= n || !is_letter(p[i])) return false;
    return (i + 1 < n && is_letter(p[i + 1])) ||
           (i + 2 < n && p[i + 1] == '-' && is_letter(p[i + 2]));
}

/* End of the chunk at i: a run of white space, a dash between words, or a word. */
static size_t chunk_end(const jval *s, size_t i, bool hyphens, bool *space) {
    const char *const p = s->as.s.p;
    const size_t n = s->as.s.n, begin = i, run = hyphens ? dash(p, n, i) : 0;
    size_t w;
    *space = jspace_at(p + i, n - i) != 0;
    if (run) return i + run;
    while (i < n) {
        w = jspace_at(p + i, n - i);
        if ((w != 0) != *space) break;
        i += w ? w : 1;
        if (!*space && hyphens && (breaks_after(p, n, begin, i) || (i < n && dash(p, n, i)))) break;
    }
    return i;
}

/* Where to cut p[begin, cut) instead of at cut: behind its last hyphen that is not its beginning.
 */
static size_t cut_at_hyphen(const char *p, size_t begin, size_t cut) {
    size_t k = cut;
    while (k > begin && p[k - 1] != '-')
        k--;
    for (size_t i = begin; i + 1 < k; i++)
        if (p[i] != '-') return k;
    return cut;
}

static void put_chunk(wrapper *x, size_t begin, size_t end, bool space) {
    const bool break_long = x->break_long;
    const char *const p = x->line->as.s.p;
    size_t chars = jutf8_chars(p + begin, end - begin);
    if (x->chars + chars > x->width) {
        if (space) { /* white space at the end of a line goes */
            x->end = end;
            flush(x);
            return;
        }
        if (chars <= x->width || !break_long) {
            x->end = begin;
            flush(x);
        }
        while (break_long && x->chars + chars > x->width) { /* a word wider than a line */
            size_t room = x->width - x->chars, cut = begin;
            while (room--)
                do
                    cut++;
                while (cut < end && ((unsigned char)p[cut] & 0xc0) == 0x80);
            if (x->hyphens) cut = cut_at_hyphen(p, begin, cut);
            x->solid = x->end = cut;
            flush(x);
            begin = cut;
            chars = jutf8_chars(p + begin, end - begin);
        }
    }
    if (space && !x->chars && x->any) { /* no line but the first starts with white space */
        x->begin = x->solid = x->end = end;
        return;
    }
    x->chars += chars;
    x->end = end;
    if (!space) x->solid = end;
}

static jval *wrap_line(jrun *r, const jval *line, const jval *joint, size_t width, bool break_long,
                       bool hyphens) {
    wrapper x = {.r = r,
                 .line = line,
                 .joint = joint,
                 .width = width,
                 .break_long = break_long,
                 .hyphens = hyphens};
    for (size_t i = 0; i < line->as.s.n && jstep(r);) {
        bool space;
        const size_t end = chunk_end(line, i, hyphens, &space);
        put_chunk(&x, i, end, space);
        i = end;
    }
    x.end = line->as.s.n;
    flush(&x);
    return jsb_done(r, &x.out);
}

static jval *f_wordwrap(jrun *r, jval *v, const jargs *args) {
    jval *arg[4];
    int64_t width = 79;
    if (!jbind(r, "wordwrap", "width,break_long_words,wrapstring,break_on_hyphens", args, arg, 4))
        return NULL;
    if (arg[0] && !jas_int(arg[0], &width)) return jfail(r, "wordwrap: width must be an integer");
    if (width <= 0) return jfail(r, "invalid width (must be > 0)");
    if (v->type != JV_STR) return jfail(r, "wordwrap: '%s' is not a string", jtype_name(v));
    const bool has_joint = arg[2] && arg[2]->type == JV_STR;
    jval *const joint = has_joint ? arg[2] : jstr_const(r, "\n");
    jval *const lines = joint ? jstr_splitlines(r, v, false) : NULL;
    if (!lines) return NULL;
    jsb b = {0};
    for (size_t i = 0; i < lines->as.q.n; i++) {
        const jval *const line = wrap_line(r, lines->as.q.v[i], joint, (size_t)width,
                                           !arg[1] || jtruth(arg[1]), !arg[3] || jtruth(arg[3]));
        if (!line) return NULL;
        if (i) jsb_put_str(r, &b, joint);
        jsb_put_str(r, &b, line);
    }
    return jsb_done(r, &b);
}

static jval *f_wordcount(jrun *r, jval *v, const jargs *args) {
    const jval *const s = jbind(r, "wordcount", "", args, NULL, 0) ? jto_str(r, v) : NULL;
    if (!s || !jsteps(r, s->as.s.n / 16)) return NULL;
    int64_t words = 0;
    bool inside = false;
    for (size_t i = 0; i < s->as.s.n;) {
        uint32_t c;
        const size_t w = pgd_utf8_decode(s->as.s.p + i, s->as.s.n - i, &c);
        const bool word = c == '_' || juc_alpha(c) || juc_numeric(c);
        words += word && !inside;
        inside = word;
        i += w ? w : 1;
    }
    return jint(r, words);
}

/* ---- markup ------------------------------------------------------------------------------- */

/* The entity at p[0..n) (after the '&') into out; its length with ';', or 0. */
static size_t entity(const char *p, size_t n, char out[4], size_t *n_out) {
    static const struct {
        const char *name;
        char c;
    } named[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        const size_t w = strlen(named[i].name);
        if (n < w || memcmp(p, named[i].name, w) != 0) continue;
        out[0] = named[i].c;
        *n_out = 1;
        return w;
    }
    if (n < 3 || p[0] != '#') return 0;
    const bool hex = p[1] == 'x' || p[1] == 'X';
    char digits[12];
    size_t k = 0, i = hex ? 2 : 1;
    while (i < n && p[i] != ';' && k < sizeof(digits) - 1)
        digits[k++] = p[i++];
    digits[k] = 0;
    if (i >= n || p[i] != ';' || !k) return 0;
    char *end;
    const unsigned long cp = strtoul(digits, &end, hex ? 16 : 10);
    *n_out = *end || cp > 0x10ffff ? 0 : pgd_utf8_encode((uint32_t)cp, out);
    return *n_out ? i + 1 : 0;
}

/* The text of s without comments and tags, white space runs as one blank, entities decoded. */
static jval *strip_tags(jrun *r, const jval *s) {
    const pgd_sv t = jsv(s);
    jsb b = {0};
    bool blank = false;
    for (size_t i = 0; i < t.n && !b.failed;) {
        size_t w, n_out;
        char out[4];
        if (t.p[i] == '<') {
            const bool comment = pgd_sv_starts((pgd_sv){t.p + i, t.n - i}, PGD_SV("<!--"));
            const size_t end = pgd_sv_find(t, comment ? PGD_SV("-->") : PGD_SV(">"), i);
            if (end != SIZE_MAX) {
                i = end + (comment ? 3 : 1);
                continue;
            }
        }
        if ((w = jspace_at(t.p + i, t.n - i)) != 0) {
            blank = b.n != 0;
            i += w;
            continue;
        }
        if (blank) jsb_puts(r, &b, " ");
        blank = false;
        if (t.p[i] == '&' && (w = entity(t.p + i + 1, t.n - i - 1, out, &n_out)) != 0) {
            jsb_put(r, &b, (pgd_sv){out, n_out}, true);
            i += w + 1;
            continue;
        }
        jsb_put(r, &b, (pgd_sv){t.p + i, 1}, true);
        i++;
    }
    return jsb_done_as(r, &b, jstr_all_trusted(s));
}

static jval *f_striptags(jrun *r, jval *v, const jargs *args) {
    const jval *const s = jbind(r, "striptags", "", args, NULL, 0) ? jto_str(r, v) : NULL;
    return s && jsteps(r, s->as.s.n / 16) ? strip_tags(r, s) : NULL;
}

static bool bad_attr_name(pgd_sv s) {
    for (size_t i = 0; i < s.n; i++)
        if (strchr(" \t\n\r\f\v/>=", s.p[i])) return true;
    return false;
}

static jval *f_xmlattr(jrun *r, jval *v, const jargs *args) {
    jval *arg[1];
    jsb b = {0};
    if (!jbind(r, "xmlattr", "autospace", args, arg, 1)) return NULL;
    if (v->type != JV_DICT) return jfail(r, "'%s' object has no attribute 'items'", jtype_name(v));
    const bool space = !arg[0] || jtruth(arg[0]);
    for (size_t i = 0; i < v->as.d.n; i++) {
        const jentry *const e = &v->as.d.e[i];
        if (e->val->type == JV_NULL || e->val->type == JV_UNDEF) continue;
        const jval *key = jto_str(r, e->key), *val = jto_str(r, e->val);
        if (!key || !val) return NULL;
        if (bad_attr_name(jsv(key))) return jfail(r, "Invalid character in attribute name");
        if (!(key = jescape_html(r, key)) || !(val = jescape_html(r, val))) return NULL;
        if (b.n || space) jsb_puts(r, &b, " ");
        jsb_put_str(r, &b, key);
        jsb_puts(r, &b, "=\"");
        jsb_put_str(r, &b, val);
        jsb_puts(r, &b, "\"");
    }
    return jsb_done(r, &b);
}

const jfilter_def jfilters_wrap[] = {
    {"wordwrap", f_wordwrap},
    {"wordcount", f_wordcount},
    {"striptags", f_striptags},
    {"xmlattr", f_xmlattr},
    {NULL, NULL},
};
