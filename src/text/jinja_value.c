/* Values of the template engine: making them, dicts, equality and hashing, truth, iteration, and
 * the undefined value with its messages.
 *
 * Invariants: values live in the run's arena (or the caller's, for a context) and are never freed
 * alone; a dict keeps insertion order, its hash index is a cache of e[] and the seed is the dict's
 * address, so that chosen keys cannot collide. Recursion over data is counted (jenter). Thread: one
 * arena, one thread. */
#include "jinja_int.h"

#include <math.h>
#include <string.h>

#include "pagoda/hash.h"

enum { JDICT_LINEAR = 8 };

jval *jnew(jrun *r, jtype t) {
    jval *v = jalloc(r, sizeof(*v));
    if (!v) return NULL;
    memset(v, 0, sizeof(*v));
    v->type = (uint8_t)t;
    return v;
}

jval *jbool(jrun *r, bool b) {
    return b ? r->v_true : r->v_false;
}

jval *jint(jrun *r, int64_t i) {
    jval *v = jnew(r, JV_INT);
    if (v) v->as.i = i;
    return v;
}

jval *jfloat(jrun *r, double f) {
    jval *v = jnew(r, JV_FLOAT);
    if (v) v->as.f = f;
    return v;
}

pgd_sv jsv(const jval *s) {
    return (pgd_sv){s->as.s.p, s->as.s.n};
}

const char *jtype_name(const jval *v) {
    static const char *const names[] = {
        [JV_UNDEF] = "Undefined", [JV_NULL] = "NoneType",
        [JV_BOOL] = "bool",       [JV_INT] = "int",
        [JV_FLOAT] = "float",     [JV_STR] = "str",
        [JV_SEQ] = "list",        [JV_DICT] = "dict",
        [JV_RANGE] = "range",     [JV_NAMESPACE] = "Namespace",
        [JV_MACRO] = "Macro",     [JV_FUNC] = "function",
        [JV_METHOD] = "method",   [JV_LOOP] = "LoopContext",
        [JV_CYCLER] = "Cycler",   [JV_JOINER] = "Joiner",
    };
    static const char *const seqs[] = {
        [JQ_LIST] = "list",      [JQ_TUPLE] = "tuple",        [JQ_GEN] = "generator",
        [JQ_KEYS] = "dict_keys", [JQ_VALUES] = "dict_values", [JQ_ITEMS] = "dict_items",
    };
    return v->type == JV_SEQ ? seqs[v->sub] : names[v->type];
}

/* ---- sequences ---------------------------------------------------------------------------- */

jval *jseq_new(jrun *r, jseq_kind kind, size_t cap) {
    jval *v = jnew(r, JV_SEQ);
    if (!v) return NULL;
    v->sub = (uint8_t)kind;
    if (cap) {
        v->as.q.v = jalloc_array(r, cap, sizeof(jval *));
        if (!v->as.q.v) return NULL;
        v->as.q.cap = cap;
    }
    return v;
}

/* Room for one more; the arena cannot grow a block in place, so capacity doubles. */
static bool seq_grow(pgd_arena *a, jseq *q) {
    const size_t cap = q->cap ? q->cap * 2 : 4;
    jval **grown = pgd_arena_array(a, cap, sizeof(*grown));
    if (!grown) return false;
    if (q->n) memcpy(grown, q->v, q->n * sizeof(*grown));
    q->v = grown;
    q->cap = cap;
    return true;
}

bool jseq_push(jrun *r, jval *seq, jval *v) {
    if (!v) return false;
    jseq *const q = &seq->as.q;
    if (q->n == q->cap) {
        const size_t cap = q->cap ? q->cap * 2 : 4;
        jval **grown = jalloc_array(r, cap, sizeof(*grown));
        if (!grown) return false;
        if (q->n) memcpy(grown, q->v, q->n * sizeof(*grown));
        q->v = grown;
        q->cap = cap;
    }
    q->v[q->n++] = v;
    return true;
}

jval *jpair(jrun *r, jval *a, jval *b) {
    jval *t = jseq_new(r, JQ_TUPLE, 2);
    if (!t || !jseq_push(r, t, a) || !jseq_push(r, t, b)) return NULL;
    return t;
}

/* ---- equality and hashing ----------------------------------------------------------------- */

bool jis_num(const jval *v) {
    return v->type == JV_BOOL || v->type == JV_INT || v->type == JV_FLOAT;
}

bool jas_int(const jval *v, int64_t *out) {
    if (v->type == JV_BOOL)
        *out = v->as.b;
    else if (v->type == JV_INT)
        *out = v->as.i;
    else
        return false;
    return true;
}

double jas_double(const jval *v) {
    if (v->type == JV_FLOAT) return v->as.f;
    return v->type == JV_BOOL ? (double)v->as.b : (double)v->as.i;
}

/* Depth without a run, for hashing tuples as keys: deeper ones are called unhashable. */
static bool hash_at(const jval *v, uint64_t *out, int depth) {
    int64_t i;
    switch (v->type) {
    case JV_STR:
        *out = pgd_hash64(v->as.s.p, v->as.s.n, 1);
        return true;
    case JV_NULL:
        *out = 2;
        return true;
    case JV_BOOL:
    case JV_INT:
        jas_int(v, &i);
        *out = pgd_hash64(&i, sizeof(i), 3);
        return true;
    case JV_FLOAT:
        if (v->as.f >= -9e18 && v->as.f <= 9e18 && v->as.f == floor(v->as.f)) {
            i = (int64_t)v->as.f; /* 1.0 and 1 are the same key */
            *out = pgd_hash64(&i, sizeof(i), 3);
        } else {
            *out = pgd_hash64(&v->as.f, sizeof(v->as.f), 4);
        }
        return true;
    case JV_SEQ:
        if (v->sub != JQ_TUPLE || depth > 16) return false;
        *out = 5;
        for (size_t k = 0; k < v->as.q.n; k++) {
            uint64_t h;
            if (!hash_at(v->as.q.v[k], &h, depth + 1)) return false;
            *out = *out * 0x9e3779b97f4a7c15U + h;
        }
        return true;
    default:
        return false;
    }
}

bool jhash(const jval *v, uint64_t *out) {
    return hash_at(v, out, 0);
}

static bool same_seq_type(const jval *a, const jval *b) {
    return a->sub == b->sub && (a->sub == JQ_LIST || a->sub == JQ_TUPLE);
}

static bool seq_equal(jrun *r, const jval *a, const jval *b) {
    if (a->as.q.n != b->as.q.n || !same_seq_type(a, b)) return a == b;
    for (size_t i = 0; i < a->as.q.n; i++)
        if (!jequal(r, a->as.q.v[i], b->as.q.v[i])) return false;
    return true;
}

static bool dict_equal(jrun *r, const jval *a, const jval *b) {
    if (a->as.d.n != b->as.d.n) return false;
    for (size_t i = 0; i < a->as.d.n; i++) {
        const jval *const other = jdict_get(b, a->as.d.e[i].key);
        if (!other || !jequal(r, a->as.d.e[i].val, other)) return false;
    }
    return true;
}

bool jequal(jrun *r, const jval *a, const jval *b) {
    if (a == b) return true;
    if (jis_num(a) && jis_num(b)) {
        int64_t x, y;
        if (jas_int(a, &x) && jas_int(b, &y)) return x == y;
        return jas_double(a) == jas_double(b);
    }
    if (a->type != b->type || !jstep(r)) return false;
    switch (a->type) {
    case JV_UNDEF:
    case JV_NULL:
        return true;
    case JV_STR:
        return a->as.s.n == b->as.s.n && jsteps(r, a->as.s.n / 64) && pgd_sv_eq(jsv(a), jsv(b));
    case JV_SEQ:
    case JV_DICT: {
        if (!jenter(r)) return false;
        const bool same = a->type == JV_SEQ ? seq_equal(r, a, b) : dict_equal(r, a, b);
        jleave(r);
        return same;
    }
    case JV_RANGE:
        return memcmp(&a->as.range, &b->as.range, sizeof(a->as.range)) == 0;
    default:
        return false;
    }
}

/* Equality of keys: hashable values only, whose tuples are shallow (hash_at has bounded them). */
static bool key_equal(const jval *a, const jval *b) {
    if (a == b) return true;
    if (jis_num(a) && jis_num(b)) {
        int64_t x, y;
        if (jas_int(a, &x) && jas_int(b, &y)) return x == y;
        return jas_double(a) == jas_double(b);
    }
    if (a->type != b->type) return false;
    if (a->type == JV_STR) return pgd_sv_eq(jsv(a), jsv(b));
    if (a->type == JV_NULL) return true;
    if (a->type != JV_SEQ || a->as.q.n != b->as.q.n) return false;
    for (size_t i = 0; i < a->as.q.n; i++)
        if (!key_equal(a->as.q.v[i], b->as.q.v[i])) return false;
    return true;
}

/* ---- dicts -------------------------------------------------------------------------------- */

jval *jdict_new(jrun *r) {
    return jnew(r, JV_DICT);
}

static size_t index_slot(const jdict *d, uint64_t hash) {
    const uint64_t seed = (uint64_t)(uintptr_t)d;
    return (size_t)(((hash ^ seed) * 0x9e3779b97f4a7c15U) >> 20) & (d->index_cap - 1);
}

static const jentry *dict_find(const jdict *d, const jval *key, uint64_t hash) {
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++)
            if (d->e[i].hash == hash && key_equal(d->e[i].key, key)) return &d->e[i];
        return NULL;
    }
    for (size_t s = index_slot(d, hash); d->index[s]; s = (s + 1) & (d->index_cap - 1)) {
        const jentry *const e = &d->e[d->index[s] - 1];
        if (e->hash == hash && key_equal(e->key, key)) return e;
    }
    return NULL;
}

static bool reindex(pgd_arena *a, jdict *d) {
    const size_t cap = d->cap * 4; /* a power of two: load is at most 1/4 .. 1/2 */
    uint32_t *index = pgd_arena_array(a, cap, sizeof(*index));
    if (!index || d->cap >= UINT32_MAX) return false;
    d->index = index;
    d->index_cap = cap;
    for (size_t i = 0; i < d->n; i++) {
        size_t s = index_slot(d, d->e[i].hash);
        while (index[s])
            s = (s + 1) & (cap - 1);
        index[s] = (uint32_t)i + 1;
    }
    return true;
}

bool jdict_put(pgd_arena *a, jdict *d, jval *key, jval *v, uint64_t hash) {
    const jentry *const found = dict_find(d, key, hash);
    if (found) {
        d->e[found - d->e].val = v;
        return true;
    }
    if (d->n == d->cap) {
        const size_t cap = d->cap ? d->cap * 2 : 4;
        jentry *grown = pgd_arena_array(a, cap, sizeof(*grown));
        if (!grown) return false;
        if (d->n) memcpy(grown, d->e, d->n * sizeof(*grown));
        d->e = grown;
        d->cap = cap;
        if (cap > JDICT_LINEAR && !reindex(a, d)) return false;
    }
    d->e[d->n] = (jentry){key, v, hash};
    d->n++;
    if (d->index) {
        size_t s = index_slot(d, hash);
        while (d->index[s])
            s = (s + 1) & (d->index_cap - 1);
        d->index[s] = (uint32_t)d->n;
    }
    return true;
}

bool jdict_set(jrun *r, jval *dict, jval *key, jval *v) {
    uint64_t h;
    if (!key || !v) return false;
    if (!jhash(key, &h)) return jfail(r, "unhashable type: '%s'", jtype_name(key)) != NULL;
    if (!jstep(r)) return false;
    if (jdict_put(r->a, &dict->as.d, key, v, h)) return true;
    return jfail_code(r, PGD_E_LIMIT, "the template uses more memory than allowed") != NULL;
}

jval *jdict_get(const jval *dict, const jval *key) {
    uint64_t h;
    if (!jhash(key, &h)) return NULL;
    const jentry *const e = dict_find(&dict->as.d, key, h);
    return e ? e->val : NULL;
}

jval *jdict_get_sv(const jval *dict, pgd_sv key) {
    const jval k = {.type = JV_STR, .as.s = {.p = key.p, .n = key.n}};
    return jdict_get(dict, &k);
}

/* ---- undefined ---------------------------------------------------------------------------- */

jval *jundef_name(jrun *r, pgd_sv name) {
    jval *v = jnew(r, JV_UNDEF);
    if (!v) return NULL;
    v->as.u.key = jstr_trusted(r, name);
    return v->as.u.key ? v : NULL;
}

jval *jundef_attr(jrun *r, const jval *obj, const jval *key) {
    jval *v = jnew(r, JV_UNDEF);
    if (!v) return NULL;
    v->as.u.obj = obj;
    v->as.u.key = key;
    return v;
}

jval *jundef_hint(jrun *r, const char *hint) {
    jval *v = jnew(r, JV_UNDEF);
    if (v) v->as.u.hint = hint;
    return v;
}

jval *jundef_fail(jrun *r, const jval *u) {
    const jundef *const d = &u->as.u;
    if (d->hint) return jfail(r, "%s", d->hint);
    jsb key = {0};
    if (!d->key || !jput_repr(r, &key, d->key)) return jfail(r, "value is undefined");
    const int n = key.n > 200 ? 200 : (int)key.n;
    if (!d->obj) return jfail(r, "%.*s is undefined", n, key.p);
    const char *const type = d->obj->type == JV_NULL ? "None" : jtype_name(d->obj);
    const char *const suffix = d->obj->type == JV_NULL ? "" : " object";
    if (d->key->type != JV_STR) return jfail(r, "%s%s has no element %.*s", type, suffix, n, key.p);
    return jfail(r, "'%s%s' has no attribute %.*s", type, suffix, n, key.p);
}

/* ---- truth, length, iteration ------------------------------------------------------------- */

bool jtruth(const jval *v) {
    switch (v->type) {
    case JV_UNDEF:
    case JV_NULL:
        return false;
    case JV_BOOL:
        return v->as.b;
    case JV_INT:
        return v->as.i != 0;
    case JV_FLOAT:
        return v->as.f != 0;
    case JV_STR:
        return v->as.s.n != 0;
    case JV_SEQ: /* a generator is true, empty or not, as in Python */
        return v->sub == JQ_GEN || v->as.q.n != 0;
    case JV_DICT:
        return v->as.d.n != 0;
    case JV_RANGE:
        return v->as.range.n != 0;
    default:
        return true;
    }
}

int64_t jlength(jrun *r, const jval *v) {
    switch (v->type) {
    case JV_UNDEF:
        return 0;
    case JV_STR:
        return (int64_t)v->as.s.chars;
    case JV_SEQ:
        if (v->sub != JQ_GEN) return (int64_t)v->as.q.n;
        break;
    case JV_DICT:
        return (int64_t)v->as.d.n;
    case JV_RANGE:
        return v->as.range.n;
    default:
        break;
    }
    jfail(r, "object of type '%s' has no len()", jtype_name(v));
    return -1;
}

bool jiterable(const jval *v) {
    return v->type == JV_UNDEF || v->type == JV_STR || v->type == JV_SEQ || v->type == JV_DICT ||
           v->type == JV_RANGE || v->type == JV_LOOP;
}

bool jiter_init(jrun *r, jiter *it, jval *v) {
    *it = (jiter){.r = r, .v = v};
    if (jiterable(v) && v->type != JV_LOOP) return true;
    jfail(r, "'%s' object is not iterable", jtype_name(v));
    return false;
}

jval *jiter_next(jiter *it) {
    jval *const v = it->v;
    if (!jstep(it->r)) return NULL;
    switch (v->type) {
    case JV_STR: {
        if (it->i >= v->as.s.n) return NULL;
        size_t end = it->i + 1;
        while (end < v->as.s.n && ((unsigned char)v->as.s.p[end] & 0xc0) == 0x80)
            end++;
        jval *const ch = jstr_sub(it->r, v, it->i, end);
        it->i = end;
        return ch;
    }
    case JV_SEQ:
        if (it->i >= v->as.q.n) return NULL;
        if (v->sub == JQ_GEN) { /* what is taken from a generator is gone */
            v->as.q.n--;
            return *v->as.q.v++;
        }
        return v->as.q.v[it->i++];
    case JV_DICT:
        return it->i < v->as.d.n ? v->as.d.e[it->i++].key : NULL;
    case JV_RANGE: {
        if ((int64_t)it->i >= v->as.range.n) return NULL;
        return jint(it->r, v->as.range.start + (int64_t)it->i++ * v->as.range.step);
    }
    default:
        return NULL;
    }
}

jval *jlist_of(jrun *r, jval *v, jseq_kind kind) {
    jiter it;
    jval *item, *out = jseq_new(r, kind, 0);
    if (!out || !jiter_init(r, &it, v)) return NULL;
    while ((item = jiter_next(&it)) != NULL)
        if (!jseq_push(r, out, item)) return NULL;
    return r->status == PGD_OK ? out : NULL;
}

/* ---- building a context (public) ---------------------------------------------------------- */

static jval *ctx_new(pgd_arena *a, jtype t) {
    jval *v = pgd_arena_zalloc(a, sizeof(*v));
    if (!v) return NULL;
    v->type = (uint8_t)t;
    v->frozen = true;
    return v;
}

pgd_jinja_value *pgd_jinja_null(pgd_arena *a) {
    return ctx_new(a, JV_NULL);
}

pgd_jinja_value *pgd_jinja_bool(pgd_arena *a, bool b) {
    jval *v = ctx_new(a, JV_BOOL);
    if (v) v->as.b = b;
    return v;
}

pgd_jinja_value *pgd_jinja_int(pgd_arena *a, int64_t i) {
    jval *v = ctx_new(a, JV_INT);
    if (v) v->as.i = i;
    return v;
}

pgd_jinja_value *pgd_jinja_float(pgd_arena *a, double f) {
    jval *v = ctx_new(a, JV_FLOAT);
    if (v) v->as.f = f;
    return v;
}

pgd_jinja_value *pgd_jinja_str(pgd_arena *a, pgd_sv s, bool trusted) {
    jval *v = ctx_new(a, JV_STR);
    if (!v) return NULL;
    v->as.s.p = pgd_arena_strndup(a, s.p ? s.p : "", s.n);
    if (!v->as.s.p) return NULL;
    v->as.s.n = s.n;
    v->as.s.chars = jutf8_chars(s.p, s.n);
    v->taint = trusted ? JTAINT_TRUSTED : JTAINT_UNTRUSTED;
    return v;
}

pgd_jinja_value *pgd_jinja_list(pgd_arena *a) {
    return ctx_new(a, JV_SEQ);
}

pgd_jinja_value *pgd_jinja_dict(pgd_arena *a) {
    return ctx_new(a, JV_DICT);
}

bool pgd_jinja_push(pgd_arena *a, pgd_jinja_value *list, pgd_jinja_value *v) {
    if (!list || !v) return false;
    PGD_ASSERT(list->type == JV_SEQ);
    if (list->as.q.n == list->as.q.cap && !seq_grow(a, &list->as.q)) return false;
    list->as.q.v[list->as.q.n++] = v;
    return true;
}

static bool ctx_set(pgd_arena *a, jval *dict, pgd_sv key, jval *v, bool trusted) {
    uint64_t h;
    if (!dict || !v) return false;
    PGD_ASSERT(dict->type == JV_DICT);
    jval *const k = pgd_jinja_str(a, key, trusted);
    return k && jhash(k, &h) && jdict_put(a, &dict->as.d, k, v, h);
}

bool pgd_jinja_set(pgd_arena *a, pgd_jinja_value *dict, pgd_sv key, pgd_jinja_value *v) {
    return ctx_set(a, dict, key, v, true);
}

bool pgd_jinja_set_untrusted(pgd_arena *a, pgd_jinja_value *dict, pgd_sv key, pgd_jinja_value *v) {
    return ctx_set(a, dict, key, v, false);
}

static jval *from_object(pgd_arena *a, const pgd_json *v) {
    jval *d = pgd_jinja_dict(a);
    for (const pgd_json *c = pgd_json_first(v); d && c; c = pgd_json_next(c))
        if (!ctx_set(a, d, pgd_sv_c(pgd_json_key(c)), pgd_jinja_from_json(a, c), false))
            return NULL;
    return d;
}

/* Recursion is bounded by the depth limit of the JSON reader. */
pgd_jinja_value *pgd_jinja_from_json(pgd_arena *a, const pgd_json *v) {
    bool b;
    int64_t i;
    double f;
    pgd_sv s;
    if (pgd_json_is_null(v)) return pgd_jinja_null(a);
    switch (pgd_json_typeof(v)) {
    case PGD_JSON_BOOL:
        return pgd_jinja_bool(a, pgd_json_as_bool(v, &b) && b);
    case PGD_JSON_NUMBER:
        if (pgd_json_is_integer_literal(v) && pgd_json_as_i64(v, &i)) return pgd_jinja_int(a, i);
        return pgd_json_as_f64(v, &f) ? pgd_jinja_float(a, f) : pgd_jinja_null(a);
    case PGD_JSON_STRING:
        return pgd_json_as_str(v, &s) ? pgd_jinja_str(a, s, false) : NULL;
    case PGD_JSON_OBJECT:
        return from_object(a, v);
    case PGD_JSON_ARRAY: {
        jval *l = pgd_jinja_list(a);
        for (const pgd_json *c = pgd_json_first(v); c; c = pgd_json_next(c))
            if (!pgd_jinja_push(a, l, pgd_jinja_from_json(a, c))) return NULL;
        return l;
    }
    default:
        return pgd_jinja_null(a);
    }
}
