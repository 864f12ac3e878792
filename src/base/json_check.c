/* The strict JSON checker: RFC 8259, and what cJSON would let pass.
 *
 * One pass, no recursion (a bit a level says whether it is an object), no allocation, linear in the
 * text. Refuses bytes that are not UTF-8, NUL bytes and \u0000 (cJSON's strings end there), lone
 * surrogate escapes, bare control characters, leading zeros, numbers beyond a double's range,
 * a byte order mark and anything after the value. Counts values and depth so that the tree built
 * afterwards has a known bound. Duplicate keys are allowed; json.c lets the last one win.
 * Thread: any. */
#include "json_check.h"

#include "pagoda/json.h"

typedef struct checker {
    const unsigned char *s;
    size_t n, i, nodes, max_nodes;
    uint32_t depth, max_depth;
    pgd_error *err;
    uint8_t object_bits[JSON_HARD_DEPTH / 8 + 1]; /* bit d: level d is an object */
} checker;

const pgd_json_limits pgd_json_limits_request = {
    .max_bytes = (size_t)32 << 20, .max_nodes = (size_t)2 << 20, .max_depth = 128};
const pgd_json_limits pgd_json_limits_file = {
    .max_bytes = (size_t)512 << 20, .max_nodes = (size_t)32 << 20, .max_depth = 256};

/* Fail at byte `at`. Line and column (in characters) are counted only now, when they are wanted. */
static pgd_status fail_at(const checker *c, size_t at, pgd_status code, const char *reason) {
    size_t line = 1;
    size_t start = 0;
    for (size_t i = 0; i < at; i++) {
        if (c->s[i] != '\n') continue;
        line++;
        start = i + 1;
    }
    const size_t column = 1 + pgd_utf8_count((const char *)c->s + start, at - start);
    return pgd_fail(c->err, code, "JSON: line %zu, column %zu: %s", line, column, reason);
}

static pgd_status bad(const checker *c, const char *reason) {
    return fail_at(c, c->i, PGD_E_FORMAT, c->i < c->n ? reason : "the text ends early");
}

/* The byte at the cursor, or 0 at the end; a NUL byte is refused wherever it stands because no
 * branch accepts 0. */
static unsigned char peek(const checker *c) {
    return c->i < c->n ? c->s[c->i] : 0;
}

static void skip_blanks(checker *c) {
    while (c->i < c->n &&
           (c->s[c->i] == ' ' || c->s[c->i] == '\n' || c->s[c->i] == '\r' || c->s[c->i] == '\t'))
        c->i++;
}

static bool is_digit(unsigned char b) {
    return b >= '0' && b <= '9';
}

/* Four hexadecimal digits at the cursor. */
static pgd_status hex4(checker *c, uint32_t *out) {
    uint32_t v = 0;
    for (int k = 0; k < 4; k++, c->i++) {
        const unsigned char b = peek(c);
        const unsigned char low = b | 0x20;
        if (is_digit(b))
            v = v << 4 | (uint32_t)(b - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (uint32_t)(low - 'a' + 10);
        else
            return bad(c, "\\u needs four hexadecimal digits");
    }
    *out = v;
    return PGD_OK;
}

/* After "\u". */
static pgd_status unicode_escape(checker *c) {
    const size_t at = c->i - 2;
    uint32_t unit = 0;
    PGD_TRY(hex4(c, &unit));
    if (unit == 0) return fail_at(c, at, PGD_E_FORMAT, "\\u0000 is not allowed in a string");
    if (unit < 0xD800 || unit > 0xDFFF) return PGD_OK;
    const bool pair =
        unit < 0xDC00 && c->n - c->i >= 2 && c->s[c->i] == '\\' && c->s[c->i + 1] == 'u';
    if (!pair) return fail_at(c, at, PGD_E_FORMAT, "half of a surrogate pair");
    c->i += 2;
    PGD_TRY(hex4(c, &unit));
    if (unit < 0xDC00 || unit > 0xDFFF)
        return fail_at(c, at, PGD_E_FORMAT, "half of a surrogate pair");
    return PGD_OK;
}

static pgd_status escape(checker *c) {
    c->i++;
    switch (peek(c)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        c->i++;
        return PGD_OK;
    case 'u':
        c->i++;
        return unicode_escape(c);
    default:
        return bad(c, "unknown escape in a string");
    }
}

/* A string whose opening quote is at the cursor. */
static pgd_status string(checker *c) {
    c->i++;
    for (;;) {
        /* the run of plain bytes, then one look at what ended it */
        const size_t from = c->i;
        while (c->i < c->n && c->s[c->i] >= 0x20 && c->s[c->i] != '"' && c->s[c->i] != '\\')
            c->i++;
        const size_t run = c->i - from;
        const size_t ok = pgd_utf8_valid_prefix((const char *)c->s + from, run);
        if (ok < run) return fail_at(c, from + ok, PGD_E_FORMAT, "invalid UTF-8 in a string");
        if (peek(c) == '"') {
            c->i++;
            return PGD_OK;
        }
        if (peek(c) != '\\') return bad(c, "control character in a string");
        PGD_TRY(escape(c));
    }
}

static pgd_status digits(checker *c) {
    if (!is_digit(peek(c))) return bad(c, "a digit is due here");
    while (is_digit(peek(c)))
        c->i++;
    return PGD_OK;
}

static pgd_status number(checker *c) {
    const size_t from = c->i;
    bool exponent = false;
    if (peek(c) == '-') c->i++;
    const size_t whole = c->i;
    const bool zero = peek(c) == '0';
    PGD_TRY(digits(c));
    if (zero && c->i - whole > 1) return fail_at(c, from, PGD_E_FORMAT, "leading zero");
    if (peek(c) == '.') {
        c->i++;
        PGD_TRY(digits(c));
    }
    if (peek(c) == 'e' || peek(c) == 'E') {
        exponent = true;
        c->i++;
        if (peek(c) == '+' || peek(c) == '-') c->i++;
        PGD_TRY(digits(c));
    }
    const size_t len = c->i - from;
    if (len > JSON_NUMBER_BYTES)
        return fail_at(c, from, PGD_E_LIMIT, "number of more than 63 characters");
    double v;
    if (exponent && !pgd_parse_f64((pgd_sv){(const char *)c->s + from, len}, &v))
        return fail_at(c, from, PGD_E_FORMAT, "number too large");
    return PGD_OK;
}

static pgd_status literal(checker *c, const char *word) {
    for (; *word; word++, c->i++)
        if (peek(c) != (unsigned char)*word) return bad(c, "unknown word");
    return PGD_OK;
}

static bool in_object(const checker *c) {
    const uint32_t d = c->depth - 1;
    return (c->object_bits[d / 8] >> d % 8 & 1) != 0;
}

/* "key" : , leaving the cursor where the value is due. */
static pgd_status key(checker *c) {
    skip_blanks(c);
    if (peek(c) != '"') return bad(c, "a key in double quotes is due here");
    PGD_TRY(string(c));
    skip_blanks(c);
    if (peek(c) != ':') return bad(c, "':' is due here");
    c->i++;
    return PGD_OK;
}

/* Enter the array or object at the cursor. *empty when it closed at once. */
static pgd_status open_level(checker *c, bool *empty) {
    if (c->depth == c->max_depth) return fail_at(c, c->i, PGD_E_LIMIT, "nested too deeply");
    const bool object = c->s[c->i++] == '{';
    const uint32_t d = c->depth++;
    const uint8_t bit = (uint8_t)(1u << d % 8);
    c->object_bits[d / 8] =
        (uint8_t)(object ? c->object_bits[d / 8] | bit : c->object_bits[d / 8] & ~bit);
    skip_blanks(c);
    *empty = peek(c) == (object ? '}' : ']');
    if (*empty) {
        c->i++;
        c->depth--;
        return PGD_OK;
    }
    return object ? key(c) : PGD_OK;
}

/* One value, or the opening of one (*complete false: its first member's value is due next). */
static pgd_status value(checker *c, bool *complete) {
    skip_blanks(c);
    if (c->nodes++ == c->max_nodes) return fail_at(c, c->i, PGD_E_LIMIT, "too many values");
    *complete = true;
    switch (peek(c)) {
    case '{':
    case '[':
        return open_level(c, complete);
    case '"':
        return string(c);
    case 't':
        return literal(c, "true");
    case 'f':
        return literal(c, "false");
    case 'n':
        return literal(c, "null");
    default:
        if (peek(c) == '-' || is_digit(peek(c))) return number(c);
        return bad(c, "a value is due here");
    }
}

/* Close levels until a comma asks for another value or the text is complete. */
static pgd_status after_value(checker *c, bool *done) {
    while (c->depth > 0) {
        skip_blanks(c);
        const bool object = in_object(c);
        const unsigned char b = peek(c);
        if (b == ',') {
            c->i++;
            *done = false;
            return object ? key(c) : PGD_OK;
        }
        if (b != (object ? '}' : ']'))
            return bad(c, object ? "',' or '}' is due here" : "',' or ']' is due here");
        c->i++;
        c->depth--;
    }
    *done = true;
    return PGD_OK;
}

pgd_status pgd_json_validate(pgd_sv text, const pgd_json_limits *lim, pgd_error *err) {
    if (text.n > lim->max_bytes)
        return pgd_fail(err, PGD_E_LIMIT, "JSON: %zu bytes, at most %zu are allowed", text.n,
                        lim->max_bytes);
    checker c = {.s = (const unsigned char *)text.p,
                 .n = text.n,
                 .max_nodes = lim->max_nodes,
                 .max_depth = lim->max_depth < JSON_HARD_DEPTH ? lim->max_depth : JSON_HARD_DEPTH,
                 .err = err};
    for (bool done = false; !done;) {
        bool complete = false;
        PGD_TRY(value(&c, &complete));
        if (complete) PGD_TRY(after_value(&c, &done));
    }
    skip_blanks(&c);
    return c.i == c.n ? PGD_OK : bad(&c, "text after the value");
}
