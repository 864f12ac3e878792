/* Reading the decoder node of tokenizer.json into stages.
 *
 * Sequences are flattened. Fuse and ByteLevel turn the list of tokens into one growing text, so
 * every stage behind them is marked `fused`: it sees chunks of a single token. Thread: the
 * loader's. Does not decode. */
#include "decoder.h"

enum { MAX_STRIP = 1 << 16 };

typedef struct parser {
    pgd_arena *arena;
    pgd_decoder *dec;
    pgd_error *err;
} parser;

static pgd_status add(parser *p, const pgd_tj_path *at, pgd_decoder_stage s) {
    if (p->dec->n == PGD_DECODER_MAX_STAGES) {
        return pgd_fail(p->err, PGD_E_LIMIT, "%s: more than %d decoders", at->s,
                        PGD_DECODER_MAX_STAGES);
    }
    if (p->dec->n > 0) {
        const pgd_decoder_stage *const before = &p->dec->stage[p->dec->n - 1];
        s.fused = before->fused || before->kind == PGD_DECODE_FUSE ||
                  before->kind == PGD_DECODE_BYTE_LEVEL;
    }
    p->dec->stage[p->dec->n++] = s;
    return PGD_OK;
}

static pgd_status parse_replace(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    pgd_decoder_stage s = {.kind = PGD_DECODE_REPLACE};
    PGD_TRY(pgd_tj_pattern(node, at, "pattern", p->arena, &s.pattern, &s.re, p->err));
    PGD_TRY(pgd_tj_str(node, at, "content", p->arena, &s.content, p->err));
    return add(p, at, s);
}

static pgd_status parse_metaspace(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    pgd_decoder_stage s = {.kind = PGD_DECODE_METASPACE};
    bool prefix = true;
    PGD_TRY(pgd_tj_str(node, at, "replacement", p->arena, &s.content, p->err));
    if (pgd_utf8_count(s.content.p, s.content.n) != 1) {
        return pgd_fail(p->err, PGD_E_FORMAT, "%s.replacement: wanted exactly one character",
                        at->s);
    }
    PGD_TRY(pgd_tj_bool(node, at, "add_prefix_space", true, &prefix, p->err));
    const pgd_json *const scheme = pgd_json_get(node, "prepend_scheme");
    pgd_sv v = {0};
    if (!pgd_json_is_null(scheme) && !pgd_json_as_str(scheme, &v)) {
        return pgd_tj_wrong(scheme, at, "prepend_scheme", "a string", p->err);
    }
    s.drop_first = prefix && !pgd_sv_eq(v, PGD_SV("never"));
    return add(p, at, s);
}

static pgd_status parse_strip(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    pgd_decoder_stage s = {.kind = PGD_DECODE_STRIP};
    int64_t start = 0, stop = 0;
    PGD_TRY(pgd_tj_char(node, at, "content", &s.cp, p->err));
    PGD_TRY(pgd_tj_uint(node, at, "start", 0, MAX_STRIP, &start, p->err));
    PGD_TRY(pgd_tj_uint(node, at, "stop", 0, MAX_STRIP, &stop, p->err));
    s.start = (size_t)start;
    s.stop = (size_t)stop;
    return add(p, at, s);
}

/* A string member with a default. */
static pgd_status text_or(parser *p, const pgd_json *node, const pgd_tj_path *at, const char *key,
                          pgd_sv fallback, pgd_sv *out) {
    PGD_TRY(pgd_tj_opt_str(node, at, key, p->arena, out, p->err));
    if (out->p == NULL) *out = fallback;
    return PGD_OK;
}

static pgd_status parse_one(void *ctx, const pgd_json *node, const pgd_tj_path *at, pgd_sv type) {
    parser *const p = ctx;
    pgd_decoder_stage s = {0};
    if (pgd_sv_eq(type, PGD_SV("Replace"))) return parse_replace(p, node, at);
    if (pgd_sv_eq(type, PGD_SV("Metaspace"))) return parse_metaspace(p, node, at);
    if (pgd_sv_eq(type, PGD_SV("Strip"))) return parse_strip(p, node, at);
    if (pgd_sv_eq(type, PGD_SV("ByteLevel"))) {
        s.kind = PGD_DECODE_BYTE_LEVEL;
    } else if (pgd_sv_eq(type, PGD_SV("ByteFallback"))) {
        s.kind = PGD_DECODE_BYTE_FALLBACK;
    } else if (pgd_sv_eq(type, PGD_SV("Fuse"))) {
        s.kind = PGD_DECODE_FUSE;
    } else if (pgd_sv_eq(type, PGD_SV("WordPiece"))) {
        s.kind = PGD_DECODE_WORDPIECE;
        PGD_TRY(text_or(p, node, at, "prefix", PGD_SV("##"), &s.pattern));
        PGD_TRY(pgd_tj_bool(node, at, "cleanup", true, &s.cleanup, p->err));
    } else if (pgd_sv_eq(type, PGD_SV("BPEDecoder"))) {
        s.kind = PGD_DECODE_BPE;
        PGD_TRY(text_or(p, node, at, "suffix", PGD_SV("</w>"), &s.pattern));
    } else if (pgd_sv_eq(type, PGD_SV("CTC"))) {
        s.kind = PGD_DECODE_CTC;
        PGD_TRY(text_or(p, node, at, "pad_token", PGD_SV("<pad>"), &s.pattern));
        PGD_TRY(text_or(p, node, at, "word_delimiter_token", PGD_SV("|"), &s.content));
        PGD_TRY(pgd_tj_bool(node, at, "cleanup", true, &s.cleanup, p->err));
    } else {
        return pgd_tj_unknown(type, at, "decoder", p->err);
    }
    return add(p, at, s);
}

pgd_status pgd_decoder_parse(const pgd_json *node, pgd_arena *arena, pgd_decoder *out,
                             pgd_error *err) {
    *out = (pgd_decoder){0};
    if (pgd_json_is_null(node)) {
        out->stage[0] = (pgd_decoder_stage){.kind = PGD_DECODE_JOIN};
        out->n = 1;
        return PGD_OK;
    }
    parser p = {arena, out, err};
    const pgd_tj_path at = pgd_tj_root("decoder");
    return pgd_tj_each(node, &at, "decoders", parse_one, &p, err);
}
