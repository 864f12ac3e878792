/* Case mapping and the is...() methods of strings in the template engine, over Unicode properties.
 *
 * Taint: ASCII text keeps exact ranges, since each byte maps to one; other text becomes untrusted
 * as a whole if any of it is, since characters may grow. Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

#include "jinja_unicode.h"

/* What to do with one character: 'U' upper, 'L' lower, 'T' title. *prev is state: whether the
 * character before belongs to the same word. */
static char action(jcase how, uint32_t c, bool *prev) {
    const bool first = !*prev;
    switch (how) {
    case JCASE_UPPER:
        return 'U';
    case JCASE_LOWER:
        return 'L';
    case JCASE_SWAP:
        return juc_upper(c) ? 'L' : juc_lower(c) ? 'U' : 0;
    case JCASE_CAPITALIZE:
        *prev = true;
        return first ? 'T' : 'L';
    case JCASE_TITLE:
        *prev = juc_upper(c) || juc_lower(c) || juc_title(c);
        return first ? 'T' : 'L';
    case JCASE_WORDS:
        *prev = !(jis_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<');
        return first ? 'U' : 'L';
    }
    return 0;
}

static size_t map_char(char how, uint32_t c, uint32_t out[3]) {
    if (how == 'U') return juc_to_upper(c, out);
    if (how == 'T') return juc_to_title(c, out);
    if (how == 'L') return juc_to_lower(c, out);
    out[0] = c;
    return 1;
}

static jval *case_ascii(jrun *r, const jval *self, jcase how) {
    const size_t n = self->as.s.n;
    char *const p = jalloc(r, n + 1);
    jval *const v = p ? jstr_sub(r, self, 0, n) : NULL;
    bool prev = false;
    if (!v) return NULL;
    for (size_t i = 0; i < n; i++) {
        const char c = self->as.s.p[i];
        const char a = action(how, (uint32_t)(unsigned char)c, &prev);
        p[i] = c;
        if ((a == 'U' || a == 'T') && c >= 'a' && c <= 'z') p[i] = (char)(c - 32);
        if (a == 'L' && c >= 'A' && c <= 'Z') p[i] = (char)(c + 32);
    }
    v->as.s.p = p;
    return v;
}

jval *jstr_case(jrun *r, const jval *self, jcase how) {
    const jstr *const t = &self->as.s;
    if (!jsteps(r, t->n / 16)) return NULL;
    if (t->chars == t->n) return case_ascii(r, self, how);
    jsb b = {0};
    bool prev = false;
    for (size_t i = 0; i < t->n && !b.failed;) {
        uint32_t c, out[3];
        char utf8[12];
        size_t n = 0;
        const size_t w = pgd_utf8_decode(t->p + i, t->n - i, &c);
        if (!w) break;
        const size_t mapped = map_char(action(how, c, &prev), c, out);
        for (size_t k = 0; k < mapped; k++)
            n += pgd_utf8_encode(out[k], utf8 + n);
        jsb_put(r, &b, (pgd_sv){utf8, n}, true);
        i += w;
    }
    return jsb_done_as(r, &b, jstr_all_trusted(self));
}

static jval *no_args(jrun *r, const char *name, const jargs *args) {
    if (!args->n && !args->n_kw) return r->v_true;
    return jfail(r, "str.%s() takes no arguments (%zu given)", name, args->n + args->n_kw);
}

static jval *case_method(jrun *r, jval *self, const jargs *args, const char *name, jcase how) {
    return no_args(r, name, args) ? jstr_case(r, self, how) : NULL;
}

static jval *m_upper(jrun *r, jval *self, const jargs *args) {
    return case_method(r, self, args, "upper", JCASE_UPPER);
}

static jval *m_lower(jrun *r, jval *self, const jargs *args) {
    return case_method(r, self, args, "lower", JCASE_LOWER);
}

static jval *m_title(jrun *r, jval *self, const jargs *args) {
    return case_method(r, self, args, "title", JCASE_TITLE);
}

static jval *m_capitalize(jrun *r, jval *self, const jargs *args) {
    return case_method(r, self, args, "capitalize", JCASE_CAPITALIZE);
}

static jval *m_swapcase(jrun *r, jval *self, const jargs *args) {
    return case_method(r, self, args, "swapcase", JCASE_SWAP);
}

/* ---- is...() ------------------------------------------------------------------------------ */

static bool is_alnum(uint32_t c) {
    return juc_alpha(c) || juc_numeric(c);
}

static bool is_ascii(uint32_t c) {
    return c < 0x80;
}

static bool not_upper(uint32_t c) {
    return !juc_upper(c) && !juc_title(c);
}

static bool not_lower(uint32_t c) {
    return !juc_lower(c) && !juc_title(c);
}

/* Every character passes `all`, and (when given) some character passes `any`. */
static bool every(const jval *s, bool (*all)(uint32_t), bool (*any)(uint32_t)) {
    bool found = !any;
    for (size_t i = 0; i < s->as.s.n;) {
        uint32_t c;
        const size_t w = pgd_utf8_decode(s->as.s.p + i, s->as.s.n - i, &c);
        if (!w || !all(c)) return false;
        if (any && any(c)) found = true;
        i += w;
    }
    return found;
}

static bool title_cased(const jval *s) {
    bool prev = false, found = false;
    for (size_t i = 0; i < s->as.s.n;) {
        uint32_t c;
        const size_t w = pgd_utf8_decode(s->as.s.p + i, s->as.s.n - i, &c);
        if (!w) return false;
        const bool up = juc_upper(c) || juc_title(c), low = juc_lower(c);
        if ((up && prev) || (low && !prev)) return false;
        found |= up || low;
        prev = up || low;
        i += w;
    }
    return found;
}

static jval *is_method(jrun *r, jval *self, const jargs *args, bool (*all)(uint32_t)) {
    return no_args(r, "is...", args) ? jbool(r, self->as.s.n && every(self, all, NULL)) : NULL;
}

static jval *m_isdigit(jrun *r, jval *self, const jargs *args) {
    return is_method(r, self, args, juc_digit);
}

static jval *m_isnumeric(jrun *r, jval *self, const jargs *args) {
    return is_method(r, self, args, juc_numeric);
}

static jval *m_isalpha(jrun *r, jval *self, const jargs *args) {
    return is_method(r, self, args, juc_alpha);
}

static jval *m_isalnum(jrun *r, jval *self, const jargs *args) {
    return is_method(r, self, args, is_alnum);
}

static jval *m_isspace(jrun *r, jval *self, const jargs *args) {
    return is_method(r, self, args, jis_space);
}

static jval *m_isascii(jrun *r, jval *self, const jargs *args) {
    return no_args(r, "isascii", args) ? jbool(r, every(self, is_ascii, NULL)) : NULL;
}

static jval *m_isprintable(jrun *r, jval *self, const jargs *args) {
    return no_args(r, "isprintable", args) ? jbool(r, every(self, juc_printable, NULL)) : NULL;
}

static jval *m_isupper(jrun *r, jval *self, const jargs *args) {
    return no_args(r, "isupper", args) ? jbool(r, every(self, not_lower, juc_upper)) : NULL;
}

static jval *m_islower(jrun *r, jval *self, const jargs *args) {
    return no_args(r, "islower", args) ? jbool(r, every(self, not_upper, juc_lower)) : NULL;
}

static jval *m_istitle(jrun *r, jval *self, const jargs *args) {
    return no_args(r, "istitle", args) ? jbool(r, title_cased(self)) : NULL;
}

const jstr_def jstr_test_methods[] = {
    {"upper", m_upper},         {"lower", m_lower},
    {"title", m_title},         {"capitalize", m_capitalize},
    {"swapcase", m_swapcase},   {"casefold", m_lower},
    {"isdigit", m_isdigit},     {"isdecimal", m_isdigit},
    {"isnumeric", m_isnumeric}, {"isalpha", m_isalpha},
    {"isalnum", m_isalnum},     {"isspace", m_isspace},
    {"isascii", m_isascii},     {"isprintable", m_isprintable},
    {"isupper", m_isupper},     {"islower", m_islower},
    {"istitle", m_istitle},     {NULL, NULL},
};
