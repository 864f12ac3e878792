/* Showing tokens.
 *
 * A tokenizer file is untrusted and tokens hold arbitrary bytes, so strings are escaped: control
 * characters and bytes that are no UTF-8 as \n, \t or \xHH. A piece of a character that the
 * tokenizer cut is shown as such. Thread: any. */
#include "cli/tokens.h"

#include <stdio.h>

#include "cli/clean.h"
#include "cli/width.h"

enum { MAX_COLUMN = 32 };

static void put_byte(unsigned char c, pgd_buf *out) {
    if (c == '\n')
        pgd_buf_puts(out, "\\n");
    else if (c == '\t')
        pgd_buf_puts(out, "\\t");
    else if (c == '\r')
        pgd_buf_puts(out, "\\r");
    else
        pgd_buf_putf(out, "\\x%02x", c);
}

/* special: further characters to escape by a backslash. */
static void put_escaped(pgd_sv s, const char *special, pgd_buf *out) {
    for (size_t at = 0; at < s.n;) {
        uint32_t cp = 0;
        const size_t len = pgd_utf8_decode(s.p + at, s.n - at, &cp);
        if (len == 0 || cp < 0x20 || cp == 0x7f) {
            put_byte((unsigned char)s.p[at], out);
            at++;
            continue;
        }
        for (const char *c = special; *c != '\0'; c++)
            if (cp == (uint32_t)*c) pgd_buf_putc(out, '\\');
        cli_clean_text((pgd_sv){s.p + at, len}, out); /* C1 and reordering controls */
        at += len;
    }
}

static size_t digits(uint64_t v) {
    size_t n = 1;
    for (; v >= 10; v /= 10)
        n++;
    return n;
}

static void put_padded(pgd_sv s, size_t columns, pgd_buf *out) {
    pgd_buf_putsv(out, s);
    for (size_t n = cli_width_text(s); n < columns; n++)
        pgd_buf_putc(out, ' ');
}

static void put_row(const pgd_tokenizer *tok, int32_t id, size_t columns, pgd_buf *out) {
    pgd_buf cell = {0};
    put_escaped(pgd_tokenizer_token(tok, id), "", &cell);
    put_padded(pgd_buf_sv(&cell), columns, out);
    pgd_buf_clear(&cell);
    if (pgd_tokenizer_is_special(tok, id)) {
        pgd_buf_puts(out, "  special\n");
    } else {
        pgd_tokenizer_token_bytes(tok, id, &cell);
        pgd_buf_puts(out, "  \"");
        put_escaped(pgd_buf_sv(&cell), "\"\\", out);
        pgd_buf_puts(out, "\"\n");
    }
    pgd_buf_fini(&cell);
}

/* Width of the column of token strings; a few long ones may stick out. */
static size_t token_columns(const pgd_tokenizer *tok, const pgd_ids *ids) {
    pgd_buf cell = {0};
    size_t columns = 5;
    for (size_t i = 0; i < ids->n; i++) {
        pgd_buf_clear(&cell);
        put_escaped(pgd_tokenizer_token(tok, ids->v[i]), "", &cell);
        const size_t w = cli_width_text(pgd_buf_sv(&cell));
        if (w > columns) columns = w < MAX_COLUMN ? w : MAX_COLUMN;
    }
    pgd_buf_fini(&cell);
    return columns;
}

void cli_tokens_table(const pgd_tokenizer *tok, const pgd_ids *ids, pgd_sv text, pgd_buf *out) {
    const int index_w = (int)digits(ids->n);
    const size_t id_digits = digits(pgd_tokenizer_vocab_size(tok));
    const int id_w = (int)(id_digits > 2 ? id_digits : 2);
    const size_t columns = token_columns(tok, ids);
    if (ids->n > 0) {
        pgd_buf_putf(out, "%*s  %*s  ", index_w, "#", id_w, "id");
        put_padded(PGD_SV("token"), columns, out);
        pgd_buf_puts(out, "  text\n");
    }
    for (size_t i = 0; i < ids->n; i++) {
        pgd_buf_putf(out, "%*zu  %*d  ", index_w, i, id_w, (int)ids->v[i]);
        put_row(tok, ids->v[i], columns, out);
    }
    pgd_buf_putf(out, "%zu token%s, %zu byte%s, %zu character%s", ids->n, ids->n == 1 ? "" : "s",
                 text.n, text.n == 1 ? "" : "s", pgd_utf8_count(text.p, text.n),
                 pgd_utf8_count(text.p, text.n) == 1 ? "" : "s");
    if (ids->n > 0) pgd_buf_putf(out, ", %.2f bytes a token", (double)text.n / (double)ids->n);
    pgd_buf_putc(out, '\n');
}

void cli_tokens_ids(const pgd_ids *ids, pgd_buf *out) {
    for (size_t i = 0; i < ids->n; i++)
        pgd_buf_putf(out, i > 0 ? " %d" : "%d", (int)ids->v[i]);
    pgd_buf_putc(out, '\n');
}

static bool separates(char c) {
    return c == ' ' || c == ',' || c == '\t' || c == '\n' || c == '\r' || c == '[' || c == ']';
}

pgd_status cli_tokens_parse(pgd_sv text, pgd_ids *out, pgd_error *err) {
    for (size_t at = 0; at < text.n;) {
        if (separates(text.p[at])) {
            at++;
            continue;
        }
        size_t end = at;
        while (end < text.n && !separates(text.p[end]))
            end++;
        uint64_t id = 0;
        const pgd_sv word = {text.p + at, end - at};
        if (!pgd_parse_u64(word, &id) || id > INT32_MAX)
            return pgd_fail(err, PGD_E_INVALID, "--decode: '%.*s' is no token id",
                            (int)(word.n < 40 ? word.n : 40), word.p);
        if (pgd_ids_push(out, (int32_t)id) != PGD_OK)
            return pgd_fail(err, PGD_E_NOMEM, "out of memory");
        at = end;
    }
    return PGD_OK;
}
