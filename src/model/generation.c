/* generation_config.json: the sampling defaults its authors recommend, and the ids that end a turn.
 *
 * End ids are added to those of config.json, as vLLM does: an instruct model often lists its end of
 * turn only here. Values out of range are refused with the field's name, since a default that
 * silently became another one would change every answer. Fields that this program does not know
 * are ignored: they belong to decoding strategies (beams, contrastive search, ...) that a request
 * cannot ask for either. */
#include "config.h"

#include <string.h>

static pgd_status number(const fields *f, const char *key, double lo, double hi, bool *has,
                         double *out, pgd_error *err) {
    *has = field_present(f, key);
    return field_f64(f, key, lo, hi, out, err);
}

static pgd_status counts(const fields *f, pgd_generation_config *g, pgd_error *err) {
    uint32_t top_k = 0;
    g->has_top_k = field_present(f, "top_k");
    PGD_TRY(field_u32(f, "top_k", 0, INT32_MAX, &top_k, err));
    g->top_k = (int32_t)top_k;
    g->has_max_new_tokens = field_present(f, "max_new_tokens");
    return field_u32(f, "max_new_tokens", 1, INT32_MAX, &g->max_new_tokens, err);
}

static pgd_status from_root(const fields *f, pgd_model_spec *spec, pgd_generation_config *g,
                            pgd_error *err) {
    if (pgd_json_typeof(f->obj) != PGD_JSON_OBJECT)
        return pgd_fail(err, PGD_E_FORMAT, "%s: holds %s, expected an object", f->file,
                        pgd_json_type_name(f->obj));
    PGD_TRY(number(f, "temperature", 0, 100, &g->has_temperature, &g->temperature, err));
    PGD_TRY(number(f, "top_p", 1e-6, 1, &g->has_top_p, &g->top_p, err));
    PGD_TRY(number(f, "min_p", 0, 1, &g->has_min_p, &g->min_p, err));
    PGD_TRY(number(f, "repetition_penalty", 1e-3, 1e3, &g->has_repetition_penalty,
                   &g->repetition_penalty, err));
    PGD_TRY(counts(f, g, err));
    PGD_TRY(field_bool(f, "do_sample", &g->do_sample, err));
    if (spec->bos_id < 0) {
        uint32_t n = 0;
        PGD_TRY(config_token_ids(f, "bos_token_id", spec->vocab_size, &spec->bos_id, &n, 1, err));
    }
    return config_token_ids(f, "eos_token_id", spec->vocab_size, spec->eos_ids, &spec->n_eos,
                            PGD_MAX_EOS_IDS, err);
}

pgd_status pgd_generation_parse(const char *json, size_t n, pgd_model_spec *spec,
                                pgd_generation_config *out, pgd_error *err) {
    pgd_json_doc *doc = NULL;
    *out = (pgd_generation_config){.do_sample = true};
    if (!n) return PGD_OK;
    if (pgd_json_parse((pgd_sv){json, n}, &pgd_json_limits_file, &doc, err) != PGD_OK)
        return pgd_wrap(err, "generation_config.json");
    const fields f = {"generation_config.json", "", pgd_json_root(doc)};
    const pgd_status s = from_root(&f, spec, out, err);
    pgd_json_free(&doc);
    return s;
}
