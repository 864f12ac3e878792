/* Splitting methods of strings in the template engine. Pieces share the bytes of the string and
 * keep exact taint. Thread: one run, one thread. */
#include "jinja_int.h"

#include <string.h>

static bool split_args(jrun *r, const jargs *args, jval **sep, int64_t *max) {
    jval *v[2];
    *max = -1;
    if (!jbind(r, "split", "sep,maxsplit", args, v, 2)) return false;
    *sep = v[0] && v[0]->type != JV_NULL ? v[0] : NULL;
    if (*sep && (*sep)->type == JV_UNDEF) return jundef_fail(r, *sep) != NULL;
    if (*sep && (*sep)->type != JV_STR)
        return jfail(r, "must be str or None, not %s", jtype_name(*sep)) != NULL;
    if (*sep && !(*sep)->as.s.n) return jfail(r, "empty separator") != NULL;
    if (v[1] && !jas_int(v[1], max)) return jfail(r, "maxsplit must be an integer") != NULL;
    return true;
}

static bool push_piece(jrun *r, jval *out, const jval *s, size_t begin, size_t end) {
    return jstep(r) && jseq_push(r, out, jstr_sub(r, s, begin, end));
}

static jval *split_space(jrun *r, const jval *s, int64_t max) {
    jval *out = jseq_new(r, JQ_LIST, 0);
    const char *const p = s->as.s.p;
    const size_t n = s->as.s.n;
    size_t i = 0, w;
    while (out) {
        while ((w = jspace_at(p + i, n - i)) != 0)
            i += w;
        if (i >= n) break;
        size_t end = i;
        if (max >= 0 && (int64_t)out->as.q.n >= max) end = n;
        while (end < n && !jspace_at(p + end, n - end))
            end++;
        if (!push_piece(r, out, s, i, end)) return NULL;
        i = end;
    }
    return out;
}

static jval *split_sep(jrun *r, const jval *s, pgd_sv sep, int64_t max) {
    jval *out = jseq_new(r, JQ_LIST, 0);
    size_t from = 0, at;
    while (out && max-- != 0 && (at = pgd_sv_find(jsv(s), sep, from)) != SIZE_MAX) {
        if (!push_piece(r, out, s, from, at)) return NULL;
        from = at + sep.n;
    }
    return out && push_piece(r, out, s, from, s->as.s.n) ? out : NULL;
}

static void reverse_items(jval *list) {
    jval **const v = list->as.q.v;
    for (size_t i = 0, k = list->as.q.n; i + 1 < k; i++) {
        jval *const t = v[i];
        v[i] = v[--k];
        v[k] = t;
    }
}

static jval *rsplit_space(jrun *r, const jval *s, int64_t max) {
    jval *out = jseq_new(r, JQ_LIST, 0);
    const char *const p = s->as.s.p;
    size_t end = s->as.s.n, w;
    while (out) {
        while ((w = jspace_before(p, end)) != 0)
            end -= w;
        if (!end) break;
        size_t begin = end;
        if (max >= 0 && (int64_t)out->as.q.n >= max) begin = 0;
        while (begin && !jspace_before(p, begin))
            begin--;
        if (!push_piece(r, out, s, begin, end)) return NULL;
        end = begin;
    }
    if (out) reverse_items(out);
    return out;
}

static jval *rsplit_sep(jrun *r, const jval *s, pgd_sv sep, int64_t max) {
    jval *out = jseq_new(r, JQ_LIST, 0);
    size_t end = s->as.s.n;
    for (size_t i = end; out && max != 0 && i >= sep.n;) {
        if (memcmp(s->as.s.p + i - sep.n, sep.p, sep.n) != 0) {
            i--;
            continue;
        }
        if (!push_piece(r, out, s, i, end)) return NULL;
        end = i -= sep.n;
        max--;
    }
    if (!out || !push_piece(r, out, s, 0, end)) return NULL;
    reverse_items(out);
    return out;
}

static jval *m_split(jrun *r, jval *self, const jargs *args) {
    jval *sep;
    int64_t max;
    if (!split_args(r, args, &sep, &max) || !jsteps(r, self->as.s.n / 64)) return NULL;
    return sep ? split_sep(r, self, jsv(sep), max) : split_space(r, self, max);
}

static jval *m_rsplit(jrun *r, jval *self, const jargs *args) {
    jval *sep;
    int64_t max;
    if (!split_args(r, args, &sep, &max) || !jsteps(r, self->as.s.n / 64)) return NULL;
    return sep ? rsplit_sep(r, self, jsv(sep), max) : rsplit_space(r, self, max);
}

/* Length of the line end at p[0..n), 0 when there is none. */
static size_t line_end(const char *p, size_t n) {
    uint32_t c;
    const size_t w = pgd_utf8_decode(p, n, &c);
    if (c == '\r' && n > 1 && p[1] == '\n') return 2;
    const bool end =
        (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
    return end ? w : 0;
}

jval *jstr_splitlines(jrun *r, const jval *self, bool keep_ends) {
    jval *out = jseq_new(r, JQ_LIST, 0);
    const char *const p = self->as.s.p;
    const size_t n = self->as.s.n;
    size_t begin = 0;
    if (!jsteps(r, n / 64)) return NULL;
    for (size_t i = 0; out && i < n;) {
        const size_t w = line_end(p + i, n - i);
        if (!w) {
            i++;
            continue;
        }
        if (!push_piece(r, out, self, begin, keep_ends ? i + w : i)) return NULL;
        begin = i += w;
    }
    if (out && begin < n && !push_piece(r, out, self, begin, n)) return NULL;
    return out;
}

static jval *m_splitlines(jrun *r, jval *self, const jargs *args) {
    jval *v[1];
    if (!jbind(r, "splitlines", "keepends", args, v, 1)) return NULL;
    return jstr_splitlines(r, self, v[0] && jtruth(v[0]));
}

static jval *three(jrun *r, jval *a, jval *b, jval *c) {
    jval *t = jseq_new(r, JQ_TUPLE, 3);
    return t && jseq_push(r, t, a) && jseq_push(r, t, b) && jseq_push(r, t, c) ? t : NULL;
}

static jval *partition(jrun *r, jval *self, const jargs *args, bool last) {
    jval *v[1];
    if (!jbind(r, "partition", "sep!", args, v, 1)) return NULL;
    if (v[0]->type != JV_STR) return jfail(r, "must be str, not %s", jtype_name(v[0]));
    const pgd_sv s = jsv(self), sep = jsv(v[0]);
    if (!sep.n) return jfail(r, "empty separator");
    size_t at = SIZE_MAX;
    for (size_t from = 0; (from = pgd_sv_find(s, sep, from)) != SIZE_MAX; from++) {
        at = from;
        if (!last) break;
    }
    if (at == SIZE_MAX)
        return last ? three(r, r->v_empty, r->v_empty, self)
                    : three(r, self, r->v_empty, r->v_empty);
    return three(r, jstr_sub(r, self, 0, at), v[0], jstr_sub(r, self, at + sep.n, s.n));
}

static jval *m_partition(jrun *r, jval *self, const jargs *args) {
    return partition(r, self, args, false);
}

static jval *m_rpartition(jrun *r, jval *self, const jargs *args) {
    return partition(r, self, args, true);
}

const jstr_def jstr_split_methods[] = {
    {"split", m_split},         {"rsplit", m_rsplit},         {"splitlines", m_splitlines},
    {"partition", m_partition}, {"rpartition", m_rpartition}, {NULL, NULL},
};
