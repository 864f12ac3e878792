/* The post_processor node of tokenizer.json: which ids stand before and after an encoded text.
 *
 * For a single text every post-processor comes down to a template of ids around the text;
 * pairs of texts are not encoded here. ByteLevel only trims offsets, which we do not report.
 * Thread: the loader's. */
#include "tokenizer_impl.h"

enum { MAX_POST = 64 };

typedef struct parser {
    pgd_tokenizer *t;
    pgd_error *err;
    bool done; /* a member of a sequence has set the template */
} parser;

static pgd_status put(parser *p, const pgd_tj_path *at, int32_t item) {
    if (p->t->post_n == MAX_POST) {
        return pgd_fail(p->err, PGD_E_LIMIT, "%s: more than %d items", at->s, MAX_POST);
    }
    p->t->post[p->t->post_n++] = item;
    return PGD_OK;
}

static pgd_status put_id(parser *p, const pgd_tj_path *at, const pgd_json *v) {
    int64_t id = 0;
    if (!pgd_json_as_i64(v, &id) || id < 0 || id > PGD_TOK_MAX_ID) {
        return pgd_fail(p->err, PGD_E_FORMAT, "%s: wanted a token id between 0 and %d", at->s,
                        PGD_TOK_MAX_ID);
    }
    return put(p, at, (int32_t)id);
}

/* The ids of special token `name` in special_tokens. */
static pgd_status put_special(parser *p, const pgd_tj_path *at, const pgd_json *specials,
                              pgd_sv name) {
    for (const pgd_json *s = pgd_json_first(specials); s != NULL; s = pgd_json_next(s)) {
        if (!pgd_sv_eq(pgd_sv_c(pgd_json_key(s)), name)) continue;
        const pgd_json *const ids = pgd_json_get(s, "ids");
        for (const pgd_json *v = pgd_json_first(ids); v != NULL; v = pgd_json_next(v)) {
            PGD_TRY(put_id(p, at, v));
        }
        return PGD_OK;
    }
    return pgd_fail(p->err, PGD_E_FORMAT, "%s: \"%.*s\" is not in special_tokens", at->s,
                    (int)(name.n < 60 ? name.n : 60), name.p);
}

static pgd_status parse_template(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    const pgd_json *const single = pgd_json_get(node, "single");
    const pgd_json *const specials = pgd_json_get(node, "special_tokens");
    if (single == NULL || pgd_json_typeof(single) != PGD_JSON_ARRAY) {
        return pgd_tj_wrong(single, at, "single", "an array", p->err);
    }
    p->t->post_n = 0;
    size_t i = 0;
    for (const pgd_json *v = pgd_json_first(single); v != NULL; v = pgd_json_next(v), i++) {
        const pgd_tj_path item = pgd_tj_item(at, "single", i);
        const pgd_json *const special = pgd_json_get(v, "SpecialToken");
        const pgd_json *const sequence = pgd_json_get(v, "Sequence");
        pgd_sv id;
        if (special != NULL && pgd_json_as_str(pgd_json_get(special, "id"), &id)) {
            PGD_TRY(put_special(p, &item, specials, id));
        } else if (sequence != NULL && pgd_json_as_str(pgd_json_get(sequence, "id"), &id) &&
                   pgd_sv_eq(id, PGD_SV("A"))) {
            PGD_TRY(put(p, &item, PGD_POST_TEXT));
        } else {
            return pgd_fail(p->err, PGD_E_FORMAT, "%s: wanted a SpecialToken or Sequence A",
                            item.s);
        }
    }
    return PGD_OK;
}

/* BertProcessing and RobertaProcessing: cls, text, sep, each given as ["token", id]. */
static pgd_status parse_cls_sep(parser *p, const pgd_json *node, const pgd_tj_path *at) {
    const pgd_json *const cls = pgd_json_first(pgd_json_get(node, "cls"));
    const pgd_json *const sep = pgd_json_first(pgd_json_get(node, "sep"));
    if (cls == NULL || sep == NULL) {
        return pgd_fail(p->err, PGD_E_FORMAT, "%s: wanted cls and sep as [\"token\", id]", at->s);
    }
    p->t->post_n = 0;
    PGD_TRY(put_id(p, at, pgd_json_next(cls)));
    PGD_TRY(put(p, at, PGD_POST_TEXT));
    return put_id(p, at, pgd_json_next(sep));
}

static pgd_status parse_one(void *ctx, const pgd_json *node, const pgd_tj_path *at, pgd_sv type) {
    parser *const p = ctx;
    if (pgd_sv_eq(type, PGD_SV("ByteLevel"))) return PGD_OK;
    if (p->done) {
        return pgd_fail(p->err, PGD_E_UNSUPPORTED,
                        "%s: a second post-processor that adds tokens is not supported", at->s);
    }
    p->done = true;
    if (pgd_sv_eq(type, PGD_SV("TemplateProcessing"))) return parse_template(p, node, at);
    if (pgd_sv_eq(type, PGD_SV("BertProcessing")) || pgd_sv_eq(type, PGD_SV("RobertaProcessing"))) {
        return parse_cls_sep(p, node, at);
    }
    return pgd_tj_unknown(type, at, "post-processor", p->err);
}

pgd_status pgd_tokenizer_parse_post(pgd_tokenizer *t, const pgd_json *node, pgd_error *err) {
    t->post = pgd_arena_array(t->arena, MAX_POST, sizeof *t->post);
    if (t->post == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    t->post[0] = PGD_POST_TEXT;
    t->post_n = 1;
    if (pgd_json_is_null(node)) return PGD_OK;
    parser p = {t, err, false};
    const pgd_tj_path at = pgd_tj_root("post_processor");
    return pgd_tj_each(node, &at, "processors", parse_one, &p, err);
}
