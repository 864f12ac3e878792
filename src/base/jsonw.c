/* Writing JSON as it comes.
 *
 * The writer's stack has one byte a level: which bracket, and whether an item was written. Wrong
 * use is a bug of ours and asserts; what is written may be user input, so nothing about the data
 * asserts: a parsed tree may be nested deeper than the writer's own stack, and is therefore written
 * by recursion outside of it (its depth was bounded when it was parsed). Thread: as the buffer. */
#include "pagoda/jsonw.h"

#include <math.h>

#include "num.h"

enum { IN_OBJECT = 1, HAS_ITEM = 2 };

void pgd_jsonw_init(pgd_jsonw *w, pgd_buf *buf) {
    *w = (pgd_jsonw){.buf = buf};
}

/* Comma where one is due; a value directly in an object needs its key first. */
static void before_value(pgd_jsonw *w) {
    if (w->depth == 0) return;
    uint8_t *const level = &w->stack[w->depth - 1];
    if (*level & IN_OBJECT) {
        PGD_ASSERT(w->after_key);
        w->after_key = false;
        return;
    }
    if (*level & HAS_ITEM) pgd_buf_putc(w->buf, ',');
    *level |= HAS_ITEM;
}

static void open_level(pgd_jsonw *w, uint8_t kind, char bracket) {
    before_value(w);
    PGD_ASSERT(w->depth < PGD_JSONW_MAX_DEPTH);
    w->stack[w->depth++] = kind;
    pgd_buf_putc(w->buf, bracket);
}

static void close_level(pgd_jsonw *w, uint8_t kind, char bracket) {
    PGD_ASSERT(w->depth > 0 && (w->stack[w->depth - 1] & IN_OBJECT) == kind && !w->after_key);
    w->depth--;
    pgd_buf_putc(w->buf, bracket);
}

void pgd_jsonw_obj(pgd_jsonw *w) {
    open_level(w, IN_OBJECT, '{');
}

void pgd_jsonw_end_obj(pgd_jsonw *w) {
    close_level(w, IN_OBJECT, '}');
}

void pgd_jsonw_arr(pgd_jsonw *w) {
    open_level(w, 0, '[');
}

void pgd_jsonw_end_arr(pgd_jsonw *w) {
    close_level(w, 0, ']');
}

static void put_string(pgd_buf *b, pgd_sv s) {
    pgd_buf_putc(b, '"');
    pgd_json_escape(b, s);
    pgd_buf_putc(b, '"');
}

void pgd_jsonw_key(pgd_jsonw *w, const char *key) {
    PGD_ASSERT(w->depth > 0 && (w->stack[w->depth - 1] & IN_OBJECT) && !w->after_key);
    if (w->stack[w->depth - 1] & HAS_ITEM) pgd_buf_putc(w->buf, ',');
    w->stack[w->depth - 1] |= HAS_ITEM;
    put_string(w->buf, pgd_sv_c(key));
    pgd_buf_putc(w->buf, ':');
    w->after_key = true;
}

void pgd_jsonw_str(pgd_jsonw *w, pgd_sv s) {
    before_value(w);
    put_string(w->buf, s);
}

void pgd_jsonw_cstr(pgd_jsonw *w, const char *s) {
    if (s)
        pgd_jsonw_str(w, pgd_sv_c(s));
    else
        pgd_jsonw_null(w);
}

void pgd_jsonw_i64(pgd_jsonw *w, int64_t v) {
    before_value(w);
    pgd_buf_put_i64(w->buf, v);
}

void pgd_jsonw_u64(pgd_jsonw *w, uint64_t v) {
    before_value(w);
    pgd_buf_put_u64(w->buf, v);
}

static void put_f64(pgd_buf *b, double v) {
    char text[NUM_TEXT_BYTES];
    if (isfinite(v))
        pgd_buf_put(b, text, num_format_f64(text, v));
    else
        pgd_buf_puts(b, "null");
}

void pgd_jsonw_f64(pgd_jsonw *w, double v) {
    before_value(w);
    put_f64(w->buf, v);
}

void pgd_jsonw_f32(pgd_jsonw *w, float v) {
    char text[NUM_TEXT_BYTES];
    before_value(w);
    if (isfinite(v))
        pgd_buf_put(w->buf, text, num_format_f32(text, v));
    else
        pgd_buf_puts(w->buf, "null");
}

void pgd_jsonw_bool(pgd_jsonw *w, bool v) {
    before_value(w);
    pgd_buf_puts(w->buf, v ? "true" : "false");
}

void pgd_jsonw_null(pgd_jsonw *w) {
    before_value(w);
    pgd_buf_puts(w->buf, "null");
}

void pgd_jsonw_raw(pgd_jsonw *w, pgd_sv json) {
    before_value(w);
    pgd_buf_putsv(w->buf, json);
}

static void put_number(pgd_buf *b, const pgd_json *v) {
    pgd_sv digits;
    int64_t i;
    double d = 0;
    if (pgd_json_big_digits(v, &digits)) {
        pgd_buf_putsv(b, digits);
    } else if (pgd_json_is_integer_literal(v) && pgd_json_as_i64(v, &i)) {
        pgd_buf_put_i64(b, i);
    } else {
        (void)pgd_json_as_f64(v, &d);
        put_f64(b, d);
    }
}

static void put_node(pgd_buf *b, const pgd_json *v);

static void put_children(pgd_buf *b, const pgd_json *v, bool object) {
    pgd_buf_putc(b, object ? '{' : '[');
    for (const pgd_json *c = pgd_json_first(v); c; c = pgd_json_next(c)) {
        if (c != pgd_json_first(v)) pgd_buf_putc(b, ',');
        if (object) {
            put_string(b, pgd_sv_c(pgd_json_key(c)));
            pgd_buf_putc(b, ':');
        }
        put_node(b, c);
    }
    pgd_buf_putc(b, object ? '}' : ']');
}

static void put_node(pgd_buf *b, const pgd_json *v) {
    bool flag = false;
    pgd_sv s = {0};
    switch (pgd_json_typeof(v)) {
    case PGD_JSON_BOOL:
        (void)pgd_json_as_bool(v, &flag);
        pgd_buf_puts(b, flag ? "true" : "false");
        return;
    case PGD_JSON_NUMBER:
        put_number(b, v);
        return;
    case PGD_JSON_STRING:
        (void)pgd_json_as_str(v, &s);
        put_string(b, s);
        return;
    case PGD_JSON_ARRAY:
    case PGD_JSON_OBJECT:
        put_children(b, v, pgd_json_typeof(v) == PGD_JSON_OBJECT);
        return;
    case PGD_JSON_NULL:
        pgd_buf_puts(b, "null");
        return;
    }
}

void pgd_jsonw_node(pgd_jsonw *w, const pgd_json *v) {
    before_value(w);
    if (v)
        put_node(w->buf, v);
    else
        pgd_buf_puts(w->buf, "null");
}

/* The two-character escape of c, or 0 when it has none. */
static char short_escape(char c) {
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

void pgd_json_escape(pgd_buf *b, pgd_sv s) {
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        pgd_buf_put(b, s.p + from, i - from);
        from = i + 1;
        const char two = short_escape((char)c);
        const char text[6] = {'\\', two ? two : 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        pgd_buf_put(b, text, two ? 2 : 6);
    }
    if (from < s.n) pgd_buf_put(b, s.p + from, s.n - from);
}
