/* config.json → pgd_model_spec.
 *
 * The family's row in arch.c says which fields matter and what they default to. Every number is
 * bounded before it is multiplied by another, so that sizes derived from a spec never overflow 64
 * bits. Fields that are known to change the mathematics in a way we lack are refused unless they
 * hold their neutral value; all other unknown fields are ignored (there are dozens of harmless ones
 * in the wild). Knows no tensors: weights.c checks them against the spec. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "arch.h"

enum {
    MAX_VOCAB = 1 << 22,
    MAX_WIDTH = 1 << 18,
    MAX_LAYERS = 4096,
    MAX_HEADS = 4096,
    MAX_HEAD_DIM = 1024,
    MAX_POSITION = 1 << 27
};

typedef struct neutral_field {
    const char *key;
    double neutral; /* booleans: 0 */
    const char *expected;
} neutral_field;

/* Features of other families (Gemma, Granite, OLMo, Phi, Cohere, mixtures of experts, ...) that
 * appear in configurations derived from the families here. */
static const neutral_field neutral_fields[] = {
    {"num_experts", 0, "no experts (dense model)"},
    {"num_local_experts", 0, "no experts (dense model)"},
    {"n_routed_experts", 0, "no experts (dense model)"},
    {"attn_logit_softcapping", 0, "no soft-capping"},
    {"final_logit_softcapping", 0, "no soft-capping"},
    {"clip_qkv", 0, "no clipping"},
    {"logit_scale", 1, "1"},
    {"logits_scaling", 1, "1"},
    {"residual_multiplier", 1, "1"},
    {"embedding_multiplier", 1, "1"},
    {"scale_emb", 1, "1"},
    {"sliding_window_pattern", 0, "no pattern"},
    {"rope_interleaved", 0, "false"},
    {"alibi", 0, "false"},
    {"use_mrope", 0, "false"},
    {"parallel_attn", 0, "false"},
    {"use_parallel_residual", 0, "false"},
};

static const char *const foreign_objects[] = {
    "quantization_config", "compression_config",   "vision_config",         "audio_config",
    "text_config",         "attention_multiplier", "query_pre_attn_scalar", "no_rope_layers"};

static pgd_status refuse_foreign(const fields *f, pgd_error *err) {
    for (size_t i = 0; i < sizeof foreign_objects / sizeof foreign_objects[0]; i++)
        if (field_present(f, foreign_objects[i]))
            return field_refuse(f, foreign_objects[i], PGD_E_UNSUPPORTED,
                                "no such field: a plain text model with bf16, f16 or f32 weights",
                                err);
    for (size_t i = 0; i < sizeof neutral_fields / sizeof neutral_fields[0]; i++) {
        const neutral_field *n = &neutral_fields[i];
        const pgd_json *v = pgd_json_get(f->obj, n->key);
        bool b = false;
        double d = 0;
        if (pgd_json_is_null(v)) continue;
        if (pgd_json_as_bool(v, &b))
            d = b ? 1 : 0;
        else if (!pgd_json_as_f64(v, &d))
            d = n->neutral + 1;
        if (d < n->neutral || d > n->neutral)
            return field_refuse(f, n->key, PGD_E_UNSUPPORTED, n->expected, err);
    }
    return PGD_OK;
}

static pgd_status find_family(const fields *f, const arch_row **out, pgd_error *err) {
    const pgd_json *list = pgd_json_get(f->obj, "architectures");
    const pgd_json *first = pgd_json_first(list);
    pgd_sv name = {NULL, 0}, type = {NULL, 0};
    PGD_TRY(field_str(f, "model_type", &type, err));
    if (!pgd_json_is_null(list) && (pgd_json_typeof(list) != PGD_JSON_ARRAY ||
                                    pgd_json_count(list) != 1 || !pgd_json_as_str(first, &name)))
        return field_refuse(f, "architectures", PGD_E_FORMAT, "a list of one name", err);
    *out = arch_find(name, type);
    if (*out) return PGD_OK;
    if (!name.n && !type.n)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: neither 'architectures' nor 'model_type' is there, expected %s",
                        f->file, arch_names());
    const pgd_sv got = name.n ? name : type;
    return pgd_fail(err, PGD_E_UNSUPPORTED, "%s: field '%s' names \"%.*s\", expected %s", f->file,
                    name.n ? "architectures" : "model_type", (int)(got.n > 64 ? 64 : got.n), got.p,
                    arch_names());
}

/* "bfloat16", and "torch.bfloat16" as some converters write it. */
static pgd_status dtype_field(const fields *f, pgd_model_spec *s, pgd_error *err) {
    static const struct {
        const char *name;
        pgd_dtype dtype;
    } names[] = {{"float32", PGD_F32}, {"bfloat16", PGD_BF16}, {"float16", PGD_F16}};
    const char *key = field_present(f, "dtype") ? "dtype" : "torch_dtype";
    pgd_sv v = {NULL, 0};
    s->dtype = PGD_DTYPE_N;
    if (!field_present(f, key)) return PGD_OK;
    PGD_TRY(field_str(f, key, &v, err));
    const pgd_sv prefix = PGD_SV("torch.");
    if (pgd_sv_starts(v, prefix)) v = (pgd_sv){v.p + prefix.n, v.n - prefix.n};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (pgd_sv_eq(v, pgd_sv_c(names[i].name))) s->dtype = names[i].dtype;
    if (s->dtype == PGD_DTYPE_N)
        return field_refuse(f, key, PGD_E_UNSUPPORTED, "bfloat16, float16 or float32", err);
    return PGD_OK;
}

static pgd_status shape_fields(const fields *f, const arch_row *row, pgd_model_spec *s,
                               pgd_error *err) {
    PGD_TRY(field_u32_required(f, "vocab_size", 1, MAX_VOCAB, &s->vocab_size, err));
    PGD_TRY(field_u32_required(f, "hidden_size", 1, MAX_WIDTH, &s->d_model, err));
    PGD_TRY(field_u32_required(f, "num_hidden_layers", 1, MAX_LAYERS, &s->n_layers, err));
    PGD_TRY(field_u32_required(f, "num_attention_heads", 1, MAX_HEADS, &s->n_heads, err));
    PGD_TRY(field_u32_required(f, "intermediate_size", 1, MAX_WIDTH * 4, &s->d_ff, err));
    s->n_kv_heads = row->n_kv_heads ? row->n_kv_heads : s->n_heads;
    PGD_TRY(field_u32(f, "num_key_value_heads", 1, MAX_HEADS, &s->n_kv_heads, err));
    if (s->n_heads % s->n_kv_heads)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: num_attention_heads is %u, expected a multiple of "
                        "num_key_value_heads, which is %u",
                        f->file, s->n_heads, s->n_kv_heads);
    s->head_dim = row->head_dim;
    PGD_TRY(field_u32(f, "head_dim", 2, MAX_HEAD_DIM, &s->head_dim, err));
    if (s->head_dim) return PGD_OK;
    s->head_dim = s->d_model / s->n_heads;
    if (s->d_model % s->n_heads || s->head_dim < 2 || s->head_dim > MAX_HEAD_DIM)
        return pgd_fail(err, PGD_E_FORMAT,
                        "%s: hidden_size is %u and num_attention_heads %u without head_dim, "
                        "expected a quotient from 2 to %d",
                        f->file, s->d_model, s->n_heads, MAX_HEAD_DIM);
    return PGD_OK;
}

/* layer_types must describe full layers, then windowed ones (what max_window_layers can say), or
 * the other way round; anything else alternates, which the spec cannot hold. */
static pgd_status layer_types_field(const fields *f, pgd_model_spec *s, pgd_error *err) {
    const pgd_json *list = pgd_json_get(f->obj, "layer_types");
    if (pgd_json_is_null(list)) return PGD_OK;
    if (pgd_json_typeof(list) != PGD_JSON_ARRAY || pgd_json_count(list) != s->n_layers)
        return field_refuse(f, "layer_types", PGD_E_FORMAT, "a list of one name per layer", err);
    uint32_t layer = 0, from = 0, to = 0, runs = 0;
    bool was = false;
    for (const pgd_json *v = pgd_json_first(list); v; v = pgd_json_next(v), layer++) {
        pgd_sv name = {NULL, 0};
        (void)pgd_json_as_str(v, &name);
        const bool windowed = pgd_sv_eq(name, PGD_SV("sliding_attention"));
        if (!windowed && !pgd_sv_eq(name, PGD_SV("full_attention")))
            return pgd_fail(err, PGD_E_UNSUPPORTED,
                            "%s: field 'layer_types' holds \"%.*s\" for layer %u, expected "
                            "full_attention or sliding_attention",
                            f->file, (int)(name.n > 40 ? 40 : name.n), name.p, layer);
        if (windowed && !was) {
            from = layer;
            runs++;
        }
        if (windowed) to = layer + 1;
        was = windowed;
    }
    if (runs > 1)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "%s: field 'layer_types' alternates, expected one run of "
                        "sliding_attention layers",
                        f->file);
    s->window_from_layer = from;
    s->window_to_layer = to;
    return PGD_OK;
}

static pgd_status window_fields(const fields *f, const arch_row *row, pgd_model_spec *s,
                                pgd_error *err) {
    uint32_t window = row->sliding_window, full_layers = row->max_window_layers;
    bool on = false;
    if (!(row->flags & (ARCH_WINDOW_ALL | ARCH_WINDOW_SWITCHED))) return PGD_OK;
    /* An explicit null means "no window", while an absent field means the default. */
    if (pgd_json_get(f->obj, "sliding_window")) window = 0;
    PGD_TRY(field_u32(f, "sliding_window", 1, MAX_POSITION, &window, err));
    if (row->flags & ARCH_WINDOW_ALL) {
        s->window_to_layer = s->n_layers;
    } else {
        PGD_TRY(field_bool(f, "use_sliding_window", &on, err));
        PGD_TRY(field_u32(f, "max_window_layers", 0, MAX_LAYERS, &full_layers, err));
        if (!on) window = 0;
        s->window_from_layer = full_layers < s->n_layers ? full_layers : s->n_layers;
        s->window_to_layer = s->n_layers;
    }
    PGD_TRY(layer_types_field(f, s, err));
    if (!window || s->window_from_layer >= s->window_to_layer)
        window = s->window_from_layer = s->window_to_layer = 0;
    s->sliding_window = window;
    return PGD_OK;
}

static pgd_status bias_fields(const fields *f, const arch_row *row, pgd_model_spec *s,
                              pgd_error *err) {
    bool attention = false;
    if (row->flags & ARCH_ATTENTION_BIAS) PGD_TRY(field_bool(f, "attention_bias", &attention, err));
    if (row->flags & ARCH_MLP_BIAS) PGD_TRY(field_bool(f, "mlp_bias", &s->mlp_bias, err));
    s->qkv_bias = attention || (row->flags & ARCH_QKV_BIAS);
    s->o_bias = attention;
    s->qk_norm = (row->flags & ARCH_QK_NORM) != 0;
    return field_bool(f, "tie_word_embeddings", &s->tied_embeddings, err);
}

static pgd_status act_field(const fields *f, pgd_model_spec *s, pgd_error *err) {
    pgd_sv act = PGD_SV("silu");
    PGD_TRY(field_str(f, "hidden_act", &act, err));
    if (pgd_sv_eq(act, PGD_SV("silu")) || pgd_sv_eq(act, PGD_SV("swish")))
        s->act = PGD_ACT_SILU;
    else if (pgd_sv_eq(act, PGD_SV("gelu_pytorch_tanh")) || pgd_sv_eq(act, PGD_SV("gelu_new")))
        s->act = PGD_ACT_GELU_TANH;
    else
        return field_refuse(f, "hidden_act", PGD_E_UNSUPPORTED, "silu or gelu_pytorch_tanh", err);
    return PGD_OK;
}

pgd_status config_token_ids(const fields *f, const char *key, uint32_t vocab_size, int32_t *ids,
                            uint32_t *n, uint32_t max, pgd_error *err) {
    const pgd_json *v = pgd_json_get(f->obj, key);
    if (pgd_json_is_null(v)) return PGD_OK;
    const bool list = pgd_json_typeof(v) == PGD_JSON_ARRAY;
    for (const pgd_json *e = list ? pgd_json_first(v) : v; e; e = list ? pgd_json_next(e) : NULL) {
        int64_t id;
        uint32_t i = 0;
        char text[FIELD_TEXT_BYTES];
        if (!pgd_json_as_i64(e, &id) || id < 0 || id >= vocab_size)
            return pgd_fail(err, PGD_E_FORMAT,
                            "%s: field '%s' holds %s, expected a token id from 0 to %u", f->file,
                            key, field_text(e, text), vocab_size - 1);
        while (i < *n && ids[i] != (int32_t)id)
            i++;
        if (i < *n) continue;
        if (*n == max)
            return pgd_fail(err, PGD_E_LIMIT, "%s: field '%s' lists more than %u ids", f->file, key,
                            max);
        ids[(*n)++] = (int32_t)id;
    }
    return PGD_OK;
}

/* A negative id or an empty list means "none": some configurations write -1. */
static pgd_status token_fields(const fields *f, const arch_row *row, pgd_model_spec *s,
                               pgd_error *err) {
    int32_t bos = -1;
    uint32_t n_bos = 0;
    int64_t v;
    s->bos_id = -1;
    if (!pgd_json_get(f->obj, "bos_token_id")) {
        s->bos_id = row->bos_id < (int32_t)s->vocab_size ? row->bos_id : -1;
    } else if (!pgd_json_as_i64(pgd_json_get(f->obj, "bos_token_id"), &v) || v != -1) {
        PGD_TRY(config_token_ids(f, "bos_token_id", s->vocab_size, &bos, &n_bos, 1, err));
        s->bos_id = n_bos ? bos : -1;
    }
    if (!pgd_json_get(f->obj, "eos_token_id")) {
        if (row->eos_id >= 0 && row->eos_id < (int32_t)s->vocab_size)
            s->eos_ids[s->n_eos++] = row->eos_id;
        return PGD_OK;
    }
    if (pgd_json_as_i64(pgd_json_get(f->obj, "eos_token_id"), &v) && v == -1) return PGD_OK;
    return config_token_ids(f, "eos_token_id", s->vocab_size, s->eos_ids, &s->n_eos,
                            PGD_MAX_EOS_IDS, err);
}

static pgd_status spec_from_root(const fields *f, pgd_model_spec *s, pgd_error *err) {
    const arch_row *row = NULL;
    if (pgd_json_typeof(f->obj) != PGD_JSON_OBJECT)
        return pgd_fail(err, PGD_E_FORMAT, "%s: holds %s, expected an object", f->file,
                        pgd_json_type_name(f->obj));
    PGD_TRY(find_family(f, &row, err));
    PGD_ASSERT(row != NULL);
    (void)snprintf(s->architecture, sizeof s->architecture, "%s", row->name);
    PGD_TRY(refuse_foreign(f, err));
    PGD_TRY(dtype_field(f, s, err));
    PGD_TRY(shape_fields(f, row, s, err));
    s->max_position = row->max_position;
    PGD_TRY(field_u32(f, "max_position_embeddings", 1, MAX_POSITION, &s->max_position, err));
    s->rms_eps = 1e-6;
    PGD_TRY(field_f64(f, "rms_norm_eps", 0, 1, &s->rms_eps, err));
    PGD_TRY(bias_fields(f, row, s, err));
    PGD_TRY(act_field(f, s, err));
    PGD_TRY(window_fields(f, row, s, err));
    PGD_TRY(token_fields(f, row, s, err));
    return config_rope(f, s, err);
}

pgd_status pgd_model_spec_parse(const char *config_json, size_t n, pgd_model_spec *out,
                                pgd_error *err) {
    pgd_json_doc *doc = NULL;
    memset(out, 0, sizeof *out);
    if (pgd_json_parse((pgd_sv){config_json, n}, &pgd_json_limits_file, &doc, err) != PGD_OK)
        return pgd_wrap(err, "config.json");
    const fields f = {"config.json", "", pgd_json_root(doc)};
    const pgd_status s = spec_from_root(&f, out, err);
    pgd_json_free(&doc);
    return s;
}
