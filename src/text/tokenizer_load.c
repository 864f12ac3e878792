/* Loading a tokenizer.json: parsing the parts and the table of ids.
 *
 * Everything a tokenizer holds lives in one arena, with cleanups for what does not (maps, tries,
 * compiled patterns), so a load that fails half-way and a destroyed tokenizer take the same path.
 * Truncation and padding in the file are ignored: they are settings of the program that wrote it.
 * Thread: the loader's. Does not encode. */
#include "pagoda/fs.h"
#include "pagoda/mem.h"
#include "tokenizer_impl.h"

enum { MAX_FILE_BYTES = 256 * 1024 * 1024 };

static pgd_status parse_vocab_object(pgd_tokenizer *t, const pgd_json *model, pgd_error *err) {
    const pgd_tj_path at = pgd_tj_root("model.vocab");
    return pgd_tok_vocab_parse(pgd_json_get(model, "vocab"), &at, t->arena, &t->vocab, err);
}

/* The model's type; files of old versions leave it out, so its fields tell it then. */
static pgd_sv model_type(const pgd_json *model) {
    pgd_sv type = {0};
    if (pgd_json_as_str(pgd_json_get(model, "type"), &type)) return type;
    const pgd_json *const vocab = pgd_json_get(model, "vocab");
    if (pgd_json_get(model, "merges") != NULL) return PGD_SV("BPE");
    if (vocab != NULL && pgd_json_typeof(vocab) == PGD_JSON_ARRAY) return PGD_SV("Unigram");
    if (pgd_json_get(model, "max_input_chars_per_word") != NULL) return PGD_SV("WordPiece");
    return PGD_SV("WordLevel");
}

static pgd_status parse_model(pgd_tokenizer *t, const pgd_json *model, pgd_error *err) {
    const pgd_tj_path at = pgd_tj_root("model");
    if (model == NULL || pgd_json_typeof(model) != PGD_JSON_OBJECT) {
        return pgd_tj_wrong(model, &at, "", "an object", err);
    }
    const pgd_sv type = model_type(model);
    if (pgd_sv_eq(type, PGD_SV("Unigram"))) {
        t->kind = PGD_MODEL_UNIGRAM;
        return pgd_unigram_parse(model, t->arena, &t->vocab, &t->unigram, err);
    }
    if (pgd_sv_eq(type, PGD_SV("BPE"))) {
        t->kind = PGD_MODEL_BPE;
        PGD_TRY(parse_vocab_object(t, model, err));
        return pgd_bpe_parse(model, &t->vocab, t->arena, &t->bpe, err);
    }
    const bool level = pgd_sv_eq(type, PGD_SV("WordLevel"));
    if (!level && !pgd_sv_eq(type, PGD_SV("WordPiece"))) {
        return pgd_tj_unknown(type, &at, "model", err);
    }
    t->kind = PGD_MODEL_WORDPIECE;
    PGD_TRY(parse_vocab_object(t, model, err));
    return pgd_wordpiece_parse(model, level, &t->vocab, t->arena, &t->wordpiece, err);
}

/* The table of ids: the model's tokens, then the added ones over them. */
static pgd_status build_info(pgd_tokenizer *t, pgd_error *err) {
    t->n_ids = t->vocab.n_ids;
    if (t->added.max_id >= 0 && (size_t)t->added.max_id >= t->n_ids) {
        t->n_ids = (size_t)t->added.max_id + 1;
    }
    t->info = pgd_arena_array(t->arena, t->n_ids + 1, sizeof *t->info);
    if (t->info == NULL) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    for (size_t id = 0; id < t->vocab.n_ids; id++) {
        t->info[id] = (pgd_tok_info){t->vocab.str[id], t->vocab.str[id], false, false};
    }
    for (size_t i = 0; i < t->added.n; i++) {
        const pgd_added_token *const a = &t->added.tokens[i];
        t->info[a->id] = (pgd_tok_info){a->content, a->normalized_content, a->special, false};
    }
    /* `tokenizers` leaves out what *reads* like a special token, whatever its id */
    for (size_t id = 0; id < t->n_ids; id++) {
        uint64_t index = 0;
        if (t->info[id].decode.p == NULL || t->added.by_content == NULL ||
            !pgd_strmap_get(t->added.by_content, t->info[id].decode, &index)) {
            continue;
        }
        t->info[id].skip = t->added.tokens[index].special;
    }
    return PGD_OK;
}

static pgd_status check_post(const pgd_tokenizer *t, pgd_error *err) {
    for (size_t i = 0; i < t->post_n; i++) {
        const int32_t id = t->post[i];
        if (id != PGD_POST_TEXT && ((size_t)id >= t->n_ids || t->info[id].str.p == NULL)) {
            return pgd_fail(err, PGD_E_FORMAT,
                            "post_processor: id %d is no token of this vocabulary", (int)id);
        }
    }
    return PGD_OK;
}

static pgd_status parse_parts(pgd_tokenizer *t, const pgd_json *root, pgd_error *err) {
    const pgd_tj_path at = pgd_tj_root("tokenizer.json");
    if (pgd_json_typeof(root) != PGD_JSON_OBJECT) {
        return pgd_tj_wrong(root, &at, "", "an object", err);
    }
    PGD_TRY(parse_model(t, pgd_json_get(root, "model"), err));
    PGD_TRY(pgd_normalizer_parse(pgd_json_get(root, "normalizer"), t->arena, &t->normalizer, err));
    PGD_TRY(pgd_pretok_parse(pgd_json_get(root, "pre_tokenizer"), t->arena, &t->pretok, err));
    PGD_TRY(pgd_decoder_parse(pgd_json_get(root, "decoder"), t->arena, &t->decoder, err));
    PGD_TRY(pgd_tokenizer_parse_post(t, pgd_json_get(root, "post_processor"), err));
    PGD_TRY(pgd_added_parse(pgd_json_get(root, "added_tokens"), &t->vocab, &t->normalizer, t->arena,
                            &t->added, err));
    PGD_TRY(build_info(t, err));
    return check_post(t, err);
}

pgd_status pgd_tokenizer_parse(pgd_sv json, pgd_tokenizer **out, pgd_error *err) {
    *out = NULL;
    pgd_arena *arena = NULL;
    if (pgd_arena_create(&arena, 0) != PGD_OK) return pgd_fail(err, PGD_E_NOMEM, "out of memory");
    pgd_tokenizer *const t = pgd_arena_zalloc(arena, sizeof *t);
    pgd_json_doc *doc = NULL;
    pgd_status st = t == NULL ? pgd_fail(err, PGD_E_NOMEM, "out of memory") : PGD_OK;
    if (st == PGD_OK) {
        t->arena = arena;
        st = pgd_json_parse(json, &pgd_json_limits_file, &doc, err);
    }
    if (st == PGD_OK) st = parse_parts(t, pgd_json_root(doc), err);
    pgd_json_free(&doc);
    if (st == PGD_OK) {
        *out = t;
    } else {
        pgd_arena_destroy(&arena);
    }
    return st;
}

pgd_status pgd_tokenizer_load(const char *path, pgd_tokenizer **out, pgd_error *err) {
    *out = NULL;
    pgd_buf text = {0};
    pgd_status st = pgd_fs_read(path, MAX_FILE_BYTES, &text, err);
    if (st == PGD_OK) {
        st = pgd_tokenizer_parse(pgd_buf_sv(&text), out, err);
        if (st != PGD_OK) (void)pgd_wrap(err, "%s", path);
    }
    pgd_buf_fini(&text);
    return st;
}

void pgd_tokenizer_destroy(pgd_tokenizer **tok) {
    if (*tok == NULL) return;
    pgd_arena *arena = (*tok)->arena;
    *tok = NULL;
    pgd_arena_destroy(&arena);
}
