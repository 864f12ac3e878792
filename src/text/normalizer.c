/* Normalizers: text in, text out, one step after the other.
 *
 * A step reads one text and appends to another, then the two change places. With origins tracked,
 * every output byte names the byte of the caller's text that it came from, which is how control
 * spans and "first word" survive normalization. All steps are O(n).
 * Thread: parsing the loader's, applying any (scratch belongs to the call). Does not split text. */
#include "normalizer.h"

#include <string.h>

#include "tok_unicode.h"

typedef enum step_kind {
    STEP_FORM, /* NFC, NFD, NFKC, NFKD */
    STEP_LOWERCASE,
    STEP_STRIP,
    STEP_STRIP_ACCENTS,
    STEP_STRIP_NONSPACING,
    STEP_CLEAN,
    STEP_SPACE_CHINESE,
    STEP_REPLACE,
    STEP_PREPEND,
    STEP_CHARSMAP,
    STEP_NMT,
    STEP_BYTE_LEVEL,
} step_kind;

struct pgd_normalizer_step {
    step_kind kind;
    pgd_uc_form form;
    bool left, right;  /* STRIP */
    pgd_sv pattern;    /* REPLACE of a plain text */
    pgd_sv content;    /* REPLACE, PREPEND */
    pgd_tok_regex *re; /* REPLACE by pattern */
    pgd_charsmap map;
};

/* ---- Applying ---- */

static void lowercase(const pgd_tok_text *in, pgd_tok_text *out) {
    const size_t n = in->buf.n;
    for (size_t i = 0, len = 0; i < n; i += len) {
        uint32_t low[2];
        const uint32_t cp = pgd_tok_cp(in->buf.p, n, i, &len);
        const size_t k = pgd_uc_lower(cp, low);
        for (size_t j = 0; j < k; j++) {
            pgd_tok_text_put_cp(out, low[j], pgd_tok_text_origin(in, i));
        }
    }
}

static void strip(const pgd_normalizer_step *s, const pgd_tok_text *in, pgd_tok_text *out) {
    size_t begin = 0, end = in->buf.n, len = 0;
    while (s->left && begin < end && pgd_uc_is_space(pgd_tok_cp(in->buf.p, end, begin, &len))) {
        begin += len;
    }
    while (s->right && end > begin) {
        size_t i = end - 1;
        while (i > begin && ((uint8_t)in->buf.p[i] & 0xC0) == 0x80) {
            i--;
        }
        if (!pgd_uc_is_space(pgd_tok_cp(in->buf.p, end, i, &len))) break;
        end = i;
    }
    pgd_tok_text_copy(out, in, begin, end);
}

static void keep_unless(bool (*drop)(uint32_t), const pgd_tok_text *in, pgd_tok_text *out) {
    const size_t n = in->buf.n;
    size_t kept_from = 0;
    for (size_t i = 0, len = 0; i < n; i += len) {
        if (!drop(pgd_tok_cp(in->buf.p, n, i, &len))) continue;
        pgd_tok_text_copy(out, in, kept_from, i);
        kept_from = i + len;
    }
    pgd_tok_text_copy(out, in, kept_from, n);
}

/* BertNormalizer's clean_text: no controls, every white space a space. */
static void clean(const pgd_tok_text *in, pgd_tok_text *out) {
    const size_t n = in->buf.n;
    for (size_t i = 0, len = 0; i < n; i += len) {
        const uint32_t cp = pgd_tok_cp(in->buf.p, n, i, &len);
        const bool blank = cp == '\t' || cp == '\n' || cp == '\r';
        if (!blank && (cp == 0 || cp == 0xFFFD || pgd_uc_is_other(cp))) continue;
        if (blank || pgd_uc_is_space(cp)) {
            pgd_tok_text_put(out, " ", 1, pgd_tok_text_origin(in, i));
        } else {
            pgd_tok_text_copy(out, in, i, i + len);
        }
    }
}

/* BERT's idea of a Chinese character. */
static bool is_chinese(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static void space_chinese(const pgd_tok_text *in, pgd_tok_text *out) {
    const size_t n = in->buf.n;
    for (size_t i = 0, len = 0; i < n; i += len) {
        const bool chinese = is_chinese(pgd_tok_cp(in->buf.p, n, i, &len));
        if (chinese) pgd_tok_text_put(out, " ", 1, pgd_tok_text_origin(in, i));
        pgd_tok_text_copy(out, in, i, i + len);
        if (chinese) pgd_tok_text_put(out, " ", 1, pgd_tok_text_origin(in, i));
    }
}

/* SentencePiece's nmt rules: some controls go, others and odd spaces become a space. */
static void nmt(const pgd_tok_text *in, pgd_tok_text *out) {
    const size_t n = in->buf.n;
    for (size_t i = 0, len = 0; i < n; i += len) {
        const uint32_t c = pgd_tok_cp(in->buf.p, n, i, &len);
        if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
            c == 0x9F) {
            continue;
        }
        if (c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
            (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
            c == 0xFEFF || c == 0xFFFD) {
            pgd_tok_text_put(out, " ", 1, pgd_tok_text_origin(in, i));
        } else {
            pgd_tok_text_copy(out, in, i, i + len);
        }
    }
}

static void byte_level(const pgd_tok_text *in, pgd_tok_text *out) {
    if (!in->track) {
        pgd_tok_put_byte_level(out, in->buf.p, in->buf.n, 0);
        return;
    }
    for (size_t i = 0; i < in->buf.n; i++) {
        pgd_tok_put_byte_level(out, in->buf.p + i, 1, pgd_tok_text_origin(in, i));
    }
}

/* Origin of what replaces in[begin, end): the last replaced byte, as `tokenizers` aligns it. */
static uint32_t replaced_origin(const pgd_tok_text *in, size_t begin, size_t end) {
    if (in->buf.n == 0) return 0;
    return pgd_tok_text_origin(in, end > begin ? end - 1 : begin > 0 ? begin - 1 : 0);
}

pgd_status pgd_normalizer_replace(const pgd_tok_text *in, pgd_tok_text *out, pgd_sv literal,
                                  const pgd_tok_regex *re, pgd_sv content, pgd_tok_matcher **m,
                                  pgd_error *err) {
    const pgd_sv text = pgd_buf_sv(&in->buf);
    if (re != NULL && *m == NULL && pgd_tok_matcher_create(m) != PGD_OK) {
        return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    }
    pgd_tok_regex_iter it = {re, *m, text, 0, SIZE_MAX};
    size_t done = 0;
    /* `tokenizers` finds nothing in an empty text, not even an empty match. */
    while (text.n > 0) {
        size_t begin = 0, end = 0;
        if (re != NULL) {
            bool found = false;
            PGD_TRY(pgd_tok_regex_next(&it, &found, &begin, &end, err));
            if (!found) break;
        } else {
            begin = pgd_sv_find(text, literal, done);
            if (begin == SIZE_MAX) break;
            end = begin + literal.n;
        }
        pgd_tok_text_copy(out, in, done, begin);
        pgd_tok_text_put(out, content.p, content.n, replaced_origin(in, begin, end));
        done = end;
    }
    pgd_tok_text_copy(out, in, done, text.n);
    if (out->buf.failed) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    return PGD_OK;
}

static pgd_status apply_step(const pgd_normalizer_step *s, const pgd_tok_text *in,
                             pgd_tok_text *out, pgd_tok_matcher **m, pgd_error *err) {
    switch (s->kind) {
    case STEP_FORM:
        if (pgd_uc_normalize(s->form, in, out) != PGD_OK) out->buf.failed = true;
        break;
    case STEP_LOWERCASE:
        lowercase(in, out);
        break;
    case STEP_STRIP:
        strip(s, in, out);
        break;
    case STEP_STRIP_ACCENTS:
        keep_unless(pgd_uc_is_mark, in, out);
        break;
    case STEP_STRIP_NONSPACING:
        keep_unless(pgd_uc_is_nonspacing, in, out);
        break;
    case STEP_CLEAN:
        clean(in, out);
        break;
    case STEP_SPACE_CHINESE:
        space_chinese(in, out);
        break;
    case STEP_REPLACE:
        return pgd_normalizer_replace(in, out, s->pattern, s->re, s->content, m, err);
    case STEP_PREPEND:
        if (in->buf.n > 0) {
            pgd_tok_text_put(out, s->content.p, s->content.n, pgd_tok_text_origin(in, 0));
        }
        pgd_tok_text_copy(out, in, 0, in->buf.n);
        break;
    case STEP_CHARSMAP:
        pgd_charsmap_apply(&s->map, in, out);
        break;
    case STEP_NMT:
        nmt(in, out);
        break;
    case STEP_BYTE_LEVEL:
        byte_level(in, out);
        break;
    }
    return out->buf.failed ? pgd_fail(err, PGD_E_NOMEM, "out of memory") : PGD_OK;
}

pgd_status pgd_normalizer_apply(const pgd_normalizer *nz, pgd_tok_text *text, pgd_tok_text *tmp,
                                pgd_tok_matcher **m, pgd_error *err) {
    for (size_t i = 0; i < nz->n; i++) {
        pgd_tok_text_clear(tmp, text->track);
        PGD_TRY(apply_step(&nz->steps[i], text, tmp, m, err));
        const pgd_tok_text swap = *text;
        *text = *tmp;
        *tmp = swap;
    }
    return PGD_OK;
}

/* ---- Parsing ---- */

enum { MAX_STEPS = 64 };

typedef struct parser {
    pgd_arena *arena;
    pgd_normalizer *nz;
    pgd_error *err;
} parser;

static pgd_status add(parser *p, const pgd_tj_path *at, pgd_normalizer_step step) {
    if (p->nz->n == MAX_STEPS) {
        return pgd_fail(p->err, PGD_E_LIMIT, "%s: more than %d normalizers", at->s, MAX_STEPS);
    }
    p->nz->steps[p->nz->n++] = step;
    return PGD_OK;
}

static pgd_status parse_replace(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    pgd_normalizer_step s = {.kind = STEP_REPLACE};
    PGD_TRY(pgd_tj_pattern(node, at, "pattern", p->arena, &s.pattern, &s.re, p->err));
    PGD_TRY(pgd_tj_str(node, at, "content", p->arena, &s.content, p->err));
    return add(p, at, s);
}

static pgd_status parse_bert(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    bool clean_text = true, chinese = true, lower = true, accents = true;
    PGD_TRY(pgd_tj_bool(node, at, "clean_text", true, &clean_text, p->err));
    PGD_TRY(pgd_tj_bool(node, at, "handle_chinese_chars", true, &chinese, p->err));
    PGD_TRY(pgd_tj_bool(node, at, "lowercase", true, &lower, p->err));
    PGD_TRY(pgd_tj_bool(node, at, "strip_accents", lower, &accents, p->err));
    if (clean_text) PGD_TRY(add(p, at, (pgd_normalizer_step){.kind = STEP_CLEAN}));
    if (chinese) PGD_TRY(add(p, at, (pgd_normalizer_step){.kind = STEP_SPACE_CHINESE}));
    if (accents) {
        PGD_TRY(add(p, at, (pgd_normalizer_step){.kind = STEP_FORM, .form = PGD_UC_NFD}));
        PGD_TRY(add(p, at, (pgd_normalizer_step){.kind = STEP_STRIP_NONSPACING}));
    }
    if (lower) PGD_TRY(add(p, at, (pgd_normalizer_step){.kind = STEP_LOWERCASE}));
    return PGD_OK;
}

static pgd_status parse_with_fields(parser *p, const pgd_json *node, const pgd_tj_path *at,
                                    pgd_sv type) {
    pgd_normalizer_step s = {0};
    if (pgd_sv_eq(type, PGD_SV("BertNormalizer")) || pgd_sv_eq(type, PGD_SV("Bert"))) {
        return parse_bert(p, node, at);
    }
    if (pgd_sv_eq(type, PGD_SV("Replace"))) return parse_replace(p, node, at);
    if (pgd_sv_eq(type, PGD_SV("Strip"))) {
        s.kind = STEP_STRIP;
        PGD_TRY(pgd_tj_bool(node, at, "strip_left", true, &s.left, p->err));
        PGD_TRY(pgd_tj_bool(node, at, "strip_right", true, &s.right, p->err));
        return add(p, at, s);
    }
    if (pgd_sv_eq(type, PGD_SV("Prepend"))) {
        s.kind = STEP_PREPEND;
        PGD_TRY(pgd_tj_str(node, at, "prepend", p->arena, &s.content, p->err));
        return add(p, at, s);
    }
    if (pgd_sv_eq(type, PGD_SV("Precompiled"))) {
        pgd_sv base64;
        const pgd_json *const v = pgd_json_get(node, "precompiled_charsmap");
        if (pgd_json_is_null(v)) return PGD_OK; /* a model trained with the identity rule */
        if (!pgd_json_as_str(v, &base64)) {
            return pgd_tj_wrong(v, at, "precompiled_charsmap", "a string", p->err);
        }
        if (base64.n == 0) return PGD_OK;
        s.kind = STEP_CHARSMAP;
        PGD_TRY(pgd_charsmap_parse(base64, at, p->arena, &s.map, p->err));
        return add(p, at, s);
    }
    return pgd_tj_unknown(type, at, "normalizer", p->err);
}

static pgd_status parse_one(void *ctx, const pgd_json *node, const pgd_tj_path *at, pgd_sv type) {
    static const struct {
        const char *name;
        pgd_normalizer_step step;
    } plain[] = {
        {"NFC", {.kind = STEP_FORM, .form = PGD_UC_NFC}},
        {"NFD", {.kind = STEP_FORM, .form = PGD_UC_NFD}},
        {"NFKC", {.kind = STEP_FORM, .form = PGD_UC_NFKC}},
        {"NFKD", {.kind = STEP_FORM, .form = PGD_UC_NFKD}},
        {"Lowercase", {.kind = STEP_LOWERCASE}},
        {"StripAccents", {.kind = STEP_STRIP_ACCENTS}},
        {"Nmt", {.kind = STEP_NMT}},
        {"ByteLevel", {.kind = STEP_BYTE_LEVEL}},
    };
    parser *const p = ctx;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (pgd_sv_eq(type, pgd_sv_c(plain[i].name))) return add(p, at, plain[i].step);
    }
    return parse_with_fields(p, node, at, type);
}

pgd_status pgd_normalizer_parse(const pgd_json *node, pgd_arena *arena, pgd_normalizer *out,
                                pgd_error *err) {
    *out = (pgd_normalizer){0};
    if (pgd_json_is_null(node)) return PGD_OK;
    out->steps = pgd_arena_array(arena, MAX_STEPS, sizeof *out->steps);
    if (out->steps == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    parser p = {arena, out, err};
    const pgd_tj_path at = pgd_tj_root("normalizer");
    return pgd_tj_each(node, &at, "normalizers", parse_one, &p, err);
}
