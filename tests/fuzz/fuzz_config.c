/* config.json and generation_config.json, split at the first NUL byte: an accepted spec keeps the
 * bounds that the code behind it relies on, and its rotary table is finite. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pagoda/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok) {
    if (!ok) abort();
}

static void check_rope(const pgd_model_spec *s) {
    float cos[1024], sin[1024]; /* head_dim is at most 1024 */
    check(s->rope.rotary_dim % 2 == 0 && s->rope.rotary_dim <= s->head_dim);
    pgd_rope_table(&s->rope, s->max_position - 1, 1, s->max_position, cos, sin);
    for (uint32_t i = 0; i < s->rope.rotary_dim / 2; i++)
        check(isfinite(cos[i]) && isfinite(sin[i]));
}

static void check_spec(const pgd_model_spec *s) {
    check(s->vocab_size > 0 && s->d_model > 0 && s->n_layers > 0 && s->d_ff > 0);
    check(s->n_kv_heads > 0 && s->n_heads % s->n_kv_heads == 0);
    check(s->head_dim >= 2 && s->head_dim <= 1024 && s->max_position > 0);
    check(s->window_from_layer <= s->window_to_layer && s->window_to_layer <= s->n_layers);
    check(s->n_eos <= PGD_MAX_EOS_IDS && s->bos_id < (int32_t)s->vocab_size);
    for (uint32_t i = 0; i < s->n_eos; i++)
        check(s->eos_ids[i] >= 0 && s->eos_ids[i] < (int32_t)s->vocab_size);
    check(s->architecture[0] != '\0' && strlen(s->architecture) < PGD_MODEL_NAME_BYTES);
    check_rope(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *const nul = size ? memchr(data, 0, size) : NULL;
    const size_t n = nul ? (size_t)(nul - data) : size;
    const size_t rest = nul ? size - n - 1 : 0;
    pgd_model_spec spec;
    pgd_generation_config g;
    pgd_error err = {0};
    if (pgd_model_spec_parse((const char *)data, n, &spec, &err) != PGD_OK) {
        check(err.msg[0] != '\0');
        return 0;
    }
    check_spec(&spec);
    if (pgd_generation_parse(nul ? (const char *)nul + 1 : "", rest, &spec, &g, &err) == PGD_OK)
        check_spec(&spec);
    else
        check(err.msg[0] != '\0');
    return 0;
}
