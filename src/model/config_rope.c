/* The rotary part of config.json, in both spellings.
 *
 * Up to transformers 4: `rope_theta` beside `rope_scaling` {"type" or "rope_type", factor, ...}.
 * From 5 on: `rope_parameters` {"rope_type", "rope_theta", ...}. When both objects are there,
 * rope_scaling wins, as it does in transformers. Defaults and the meaning of each field follow
 * modeling_rope_utils of transformers; values that it only warns about are refused here, because
 * a server has no one to read the warning.
 *
 * max_position becomes the context that the scaling gives, by the rule of vLLM, so that the default
 * --max-model-len agrees: linear and dynamic multiply max_position_embeddings by the factor, yarn
 * multiplies original_max_position_embeddings, llama3 leaves it (it is already the long one). */
#include "config.h"

#include <math.h>

typedef struct rope_name {
    const char *name;
    pgd_rope_kind kind;
} rope_name;

static const rope_name rope_names[] = {
    {"default", PGD_ROPE_DEFAULT}, {"linear", PGD_ROPE_LINEAR}, {"dynamic", PGD_ROPE_DYNAMIC},
    {"llama3", PGD_ROPE_LLAMA3},   {"yarn", PGD_ROPE_YARN},
};

enum { MAX_CONTEXT = 1 << 27 };

/* Fields of other rotary schemes: present means the mathematics is not ours. */
static const char *const foreign_keys[] = {
    "mrope_section",  "long_factor",       "short_factor",        "axial_dims",
    "full_attention", "sliding_attention", "llama_4_scaling_beta"};

static pgd_status rope_kind(const fields *f, pgd_rope_kind *out, pgd_error *err) {
    const char *key = field_present(f, "rope_type") ? "rope_type" : "type";
    pgd_sv name = PGD_SV("default");
    PGD_TRY(field_str(f, key, &name, err));
    for (size_t i = 0; i < sizeof rope_names / sizeof rope_names[0]; i++) {
        if (!pgd_sv_eq(name, pgd_sv_c(rope_names[i].name))) continue;
        *out = rope_names[i].kind;
        return PGD_OK;
    }
    return field_refuse(f, key, PGD_E_UNSUPPORTED, "default, linear, dynamic, llama3 or yarn", err);
}

static pgd_status refuse_foreign(const fields *f, pgd_error *err) {
    for (size_t i = 0; i < sizeof foreign_keys / sizeof foreign_keys[0]; i++)
        if (field_present(f, foreign_keys[i]))
            return field_refuse(f, foreign_keys[i], PGD_E_UNSUPPORTED, "no such field", err);
    return PGD_OK;
}

static pgd_status rotary_dim(const fields *f, const pgd_model_spec *spec, pgd_error *err) {
    double part = 1;
    PGD_TRY(field_f64(f, "partial_rotary_factor", 0, 1, &part, err));
    if (part < 1) return field_refuse(f, "partial_rotary_factor", PGD_E_UNSUPPORTED, "1", err);
    if (spec->head_dim % 2)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "config.json: head_dim is %u, expected an even number", spec->head_dim);
    return PGD_OK;
}

static pgd_status required_f64(const fields *f, const char *key, double lo, double hi, double *out,
                               pgd_error *err) {
    if (!field_present(f, key)) return field_refuse(f, key, PGD_E_FORMAT, "a number", err);
    return field_f64(f, key, lo, hi, out, err);
}

static double yarn_mscale(double scale, double m) {
    return scale <= 1 ? 1 : 0.1 * m * log(scale) + 1;
}

static pgd_status yarn_fields(const fields *f, pgd_rope_spec *r, pgd_error *err) {
    double mscale = 0, mscale_all = 0, attention = 0;
    PGD_TRY(field_f64(f, "mscale", 0, 1e3, &mscale, err));
    PGD_TRY(field_f64(f, "mscale_all_dim", 0, 1e3, &mscale_all, err));
    PGD_TRY(field_f64(f, "attention_factor", 1e-6, 1e6, &attention, err));
    r->beta_fast = 32;
    r->beta_slow = 1;
    PGD_TRY(field_f64(f, "beta_fast", 1e-6, 1e6, &r->beta_fast, err));
    PGD_TRY(field_f64(f, "beta_slow", 1e-6, 1e6, &r->beta_slow, err));
    r->truncate = true;
    PGD_TRY(field_bool(f, "truncate", &r->truncate, err));
    if (attention > 0)
        r->attention_factor = attention;
    else if (mscale > 0 && mscale_all > 0)
        r->attention_factor = yarn_mscale(r->factor, mscale) / yarn_mscale(r->factor, mscale_all);
    else
        r->attention_factor = yarn_mscale(r->factor, 1);
    return PGD_OK;
}

static pgd_status llama3_fields(const fields *f, pgd_rope_spec *r, pgd_error *err) {
    PGD_TRY(required_f64(f, "low_freq_factor", 1e-6, 1e6, &r->low_freq_factor, err));
    PGD_TRY(required_f64(f, "high_freq_factor", 1e-6, 1e6, &r->high_freq_factor, err));
    if (r->high_freq_factor <= r->low_freq_factor)
        return field_refuse(f, "high_freq_factor", PGD_E_FORMAT, "more than low_freq_factor", err);
    return PGD_OK;
}

static pgd_status scale_context(const fields *f, pgd_model_spec *spec, pgd_error *err) {
    const pgd_rope_spec *r = &spec->rope;
    double context = spec->max_position;
    if (r->kind == PGD_ROPE_LINEAR || r->kind == PGD_ROPE_DYNAMIC)
        context *= r->factor;
    else if (r->kind == PGD_ROPE_YARN)
        context = r->original_max_position * r->factor;
    if (context > MAX_CONTEXT)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "%s: field '%sfactor' is %g and stretches the context to %.0f tokens, "
                        "expected at most %d",
                        f->file, f->prefix, r->factor, context, MAX_CONTEXT);
    spec->max_position = (uint32_t)context;
    return PGD_OK;
}

/* theta: inside the object from transformers 5 on, beside it before. */
static pgd_status theta_field(const fields *root, const fields *f, pgd_rope_spec *r,
                              pgd_error *err) {
    r->theta = 10000;
    PGD_TRY(field_f64(root, "rope_theta", 1, 1e12, &r->theta, err));
    return field_f64(f, "rope_theta", 1, 1e12, &r->theta, err);
}

static pgd_status original_max_field(const fields *root, const fields *f, pgd_model_spec *spec,
                                     pgd_error *err) {
    static const char key[] = "original_max_position_embeddings";
    uint32_t *out = &spec->rope.original_max_position;
    *out = spec->max_position;
    /* Dynamic scaling counts from max_position_embeddings whatever this field says. */
    if (spec->rope.kind == PGD_ROPE_DYNAMIC) return PGD_OK;
    PGD_TRY(field_u32(f, key, 1, MAX_CONTEXT, out, err));
    return field_u32(root, key, 1, MAX_CONTEXT, out, err);
}

pgd_status config_rope(const fields *root, pgd_model_spec *spec, pgd_error *err) {
    const bool old = field_present(root, "rope_scaling");
    const char *key = old ? "rope_scaling" : "rope_parameters";
    const fields f = {root->file, old ? "rope_scaling." : "rope_parameters.",
                      pgd_json_get(root->obj, key)};
    pgd_rope_spec *r = &spec->rope;
    *r = (pgd_rope_spec){.factor = 1, .attention_factor = 1, .rotary_dim = spec->head_dim};
    if (field_present(root, key) && pgd_json_typeof(f.obj) != PGD_JSON_OBJECT)
        return field_refuse(root, key, PGD_E_FORMAT, "an object", err);
    PGD_TRY(refuse_foreign(&f, err));
    PGD_TRY(rope_kind(&f, &r->kind, err));
    PGD_TRY(theta_field(root, &f, r, err));
    PGD_TRY(rotary_dim(&f, spec, err));
    PGD_TRY(rotary_dim(root, spec, err));
    PGD_TRY(original_max_field(root, &f, spec, err));
    if (r->kind == PGD_ROPE_DEFAULT) return PGD_OK;
    PGD_TRY(required_f64(&f, "factor", 1, 1e4, &r->factor, err));
    if (r->kind == PGD_ROPE_DYNAMIC && spec->head_dim < 4)
        return pgd_fail(err, PGD_E_UNSUPPORTED,
                        "config.json: head_dim is %u, dynamic RoPE scaling needs at least 4",
                        spec->head_dim);
    if (r->kind == PGD_ROPE_LLAMA3) PGD_TRY(llama3_fields(&f, r, err));
    if (r->kind == PGD_ROPE_YARN) PGD_TRY(yarn_fields(&f, r, err));
    if (r->kind == PGD_ROPE_YARN && r->theta <= 1)
        return pgd_fail(err, PGD_E_FORMAT, "config.json: rope_theta is 1, yarn needs more");
    return scale_context(&f, spec, err);
}
