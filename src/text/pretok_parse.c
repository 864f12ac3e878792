/* Reading the pre_tokenizer node of tokenizer.json into steps.
 *
 * Sequences are flattened, since a sequence only runs its members in order. The pattern of
 * ByteLevel is GPT-2's, compiled like any other. Thread: the loader's. Does not apply anything. */
#include "pretok.h"
#include "tok_unicode.h"

enum { MAX_STEPS = 32 };

static const char GPT2_PATTERN[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

typedef struct parser {
    pgd_arena *arena;
    pgd_pretok *pt;
    pgd_error *err;
} parser;

static pgd_status add(parser *p, const pgd_tj_path *at, pgd_pretok_step step) {
    if (p->pt->n == MAX_STEPS) {
        return pgd_fail(p->err, PGD_E_LIMIT, "%s: more than %d pre-tokenizers", at->s, MAX_STEPS);
    }
    p->pt->steps[p->pt->n++] = step;
    return PGD_OK;
}

static pgd_status parse_behavior(parser *p, const pgd_json *node, const pgd_tj_path *at,
                                 pgd_split_behavior *out) {
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const pgd_json *const v = pgd_json_get(node, "behavior");
    pgd_sv s;
    if (pgd_json_as_str(v, &s)) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (pgd_sv_eq(s, pgd_sv_c(names[i]))) {
                *out = (pgd_split_behavior)i;
                return PGD_OK;
            }
        }
        return pgd_fail(p->err, PGD_E_UNSUPPORTED, "%s.behavior \"%.*s\": no such behavior here",
                        at->s, (int)(s.n < 60 ? s.n : 60), s.p);
    }
    return pgd_tj_wrong(v, at, "behavior", "a string", p->err);
}

static pgd_status parse_split(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    pgd_pretok_step s = {.kind = PGD_PRETOK_SPLIT};
    PGD_TRY(pgd_tj_pattern(node, at, "pattern", p->arena, &s.literal, &s.re, p->err));
    PGD_TRY(parse_behavior(p, node, at, &s.behavior));
    PGD_TRY(pgd_tj_bool(node, at, "invert", false, &s.invert, p->err));
    return add(p, at, s);
}

static pgd_status parse_byte_level(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    pgd_pretok_step s = {.kind = PGD_PRETOK_BYTE_LEVEL};
    bool use_regex = true;
    PGD_TRY(pgd_tj_bool(node, at, "add_prefix_space", true, &s.add_prefix_space, p->err));
    PGD_TRY(pgd_tj_bool(node, at, "use_regex", true, &use_regex, p->err));
    if (use_regex) {
        PGD_TRY(
            pgd_tj_regex(pgd_sv_c(GPT2_PATTERN), false, at, "use_regex", p->arena, &s.re, p->err));
    }
    return add(p, at, s);
}

static pgd_status parse_metaspace(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    pgd_pretok_step s = {.kind = PGD_PRETOK_METASPACE, .prepend = PGD_PREPEND_ALWAYS};
    bool add_prefix = true;
    PGD_TRY(pgd_tj_char(node, at, "replacement", &s.cp, p->err));
    PGD_TRY(pgd_tj_bool(node, at, "split", true, &s.split, p->err));
    PGD_TRY(pgd_tj_bool(node, at, "add_prefix_space", true, &add_prefix, p->err));
    const pgd_json *const scheme = pgd_json_get(node, "prepend_scheme");
    if (!pgd_json_is_null(scheme)) {
        pgd_sv v;
        if (!pgd_json_as_str(scheme, &v)) {
            return pgd_tj_wrong(scheme, at, "prepend_scheme", "a string", p->err);
        }
        if (pgd_sv_eq(v, PGD_SV("first"))) {
            s.prepend = PGD_PREPEND_FIRST;
        } else if (pgd_sv_eq(v, PGD_SV("never"))) {
            s.prepend = PGD_PREPEND_NEVER;
        } else if (!pgd_sv_eq(v, PGD_SV("always"))) {
            return pgd_tj_unknown(v, at, "prepend_scheme", p->err);
        }
    }
    if (!add_prefix) s.prepend = PGD_PREPEND_NEVER; /* files older than prepend_scheme */
    p->pt->needs_start = p->pt->needs_start || s.prepend == PGD_PREPEND_FIRST;
    return add(p, at, s);
}

static pgd_status parse_one(void *ctx, const pgd_json *node, const pgd_tj_path *at, pgd_sv type) {
    parser *const p = ctx;
    pgd_pretok_step s = {.behavior = PGD_SPLIT_REMOVED};
    if (pgd_sv_eq(type, PGD_SV("Split"))) return parse_split(p, node, at);
    if (pgd_sv_eq(type, PGD_SV("ByteLevel"))) return parse_byte_level(p, node, at);
    if (pgd_sv_eq(type, PGD_SV("Metaspace"))) return parse_metaspace(p, node, at);
    if (pgd_sv_eq(type, PGD_SV("Whitespace"))) {
        s.kind = PGD_PRETOK_WORDS;
        return add(p, at, s);
    }
    s.kind = PGD_PRETOK_CLASS;
    if (pgd_sv_eq(type, PGD_SV("WhitespaceSplit"))) {
        s.is = pgd_uc_is_space;
        return add(p, at, s);
    }
    if (pgd_sv_eq(type, PGD_SV("BertPreTokenizer"))) {
        s.is = pgd_uc_is_space;
        PGD_TRY(add(p, at, s));
        s.is = pgd_uc_is_punct;
        s.behavior = PGD_SPLIT_ISOLATED;
        return add(p, at, s);
    }
    if (pgd_sv_eq(type, PGD_SV("Punctuation"))) {
        s.is = pgd_uc_is_punct;
        s.behavior = PGD_SPLIT_ISOLATED;
        if (pgd_json_get(node, "behavior") != NULL) {
            PGD_TRY(parse_behavior(p, node, at, &s.behavior));
        }
        return add(p, at, s);
    }
    if (pgd_sv_eq(type, PGD_SV("Digits"))) {
        bool single = false;
        PGD_TRY(pgd_tj_bool(node, at, "individual_digits", false, &single, p->err));
        s.is = pgd_uc_is_numeric;
        s.behavior = single ? PGD_SPLIT_ISOLATED : PGD_SPLIT_CONTIGUOUS;
        return add(p, at, s);
    }
    if (pgd_sv_eq(type, PGD_SV("CharDelimiterSplit")) || pgd_sv_eq(type, PGD_SV("Delimiter"))) {
        s.kind = PGD_PRETOK_CHAR;
        PGD_TRY(pgd_tj_char(node, at, "delimiter", &s.cp, p->err));
        return add(p, at, s);
    }
    if (pgd_sv_eq(type, PGD_SV("FixedLength"))) {
        int64_t length = 5;
        PGD_TRY(pgd_tj_uint(node, at, "length", 5, INT32_MAX, &length, p->err));
        if (length == 0) return pgd_fail(p->err, PGD_E_FORMAT, "%s.length is 0", at->s);
        s.kind = PGD_PRETOK_FIXED_LENGTH;
        s.length = (size_t)length;
        return add(p, at, s);
    }
    return pgd_tj_unknown(type, at, "pre-tokenizer", p->err);
}

pgd_status pgd_pretok_parse(const pgd_json *node, pgd_arena *arena, pgd_pretok *out,
                            pgd_error *err) {
    *out = (pgd_pretok){0};
    if (pgd_json_is_null(node)) return PGD_OK;
    out->steps = pgd_arena_array(arena, MAX_STEPS, sizeof *out->steps);
    if (out->steps == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    parser p = {arena, out, err};
    const pgd_tj_path at = pgd_tj_root("pre_tokenizer");
    return pgd_tj_each(node, &at, "pretokenizers", parse_one, &p, err);
}
