/* Rotary tables.
 *
 * Inverse frequencies are computed in float32 with the operations of transformers in their order,
 * since a rounding there is multiplied by the position: at position 100,000 one unit in the last
 * place is already 0.006 rad. Powers, sines and cosines go through double and are rounded once,
 * which is within one unit of what any float32 library gives.
 *
 * Dynamic NTK scaling. transformers recomputes the frequencies from the longest sequence that it
 * has seen, so a token's keys depend on what came later and on who shared the batch; pages in a
 * cache would have to be rewritten. A server whose answers depend on the request alone must fix
 * them: they are those of a sequence of seq_len tokens, and the executor passes the context length
 * it serves (--max-model-len). Up to max_position_embeddings that is the unscaled RoPE, which is
 * what transformers gives a sequence that short; at the default (max_position_embeddings times the
 * factor) it is what vLLM computes. */
#include "pagoda/model.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* 1 / base^(2i / dim). */
static float inv_freq(double base, uint32_t i, uint32_t dim) {
    const float exponent = (float)(2 * i) / (float)dim;
    return 1.0f / (float)pow((double)(float)base, (double)exponent);
}

static float llama3_freq(const pgd_rope_spec *r, float f) {
    const float low = (float)r->low_freq_factor, high = (float)r->high_freq_factor;
    const float context = (float)r->original_max_position, factor = (float)r->factor;
    const float wavelen = (float)(2 * pi) / f;
    if (wavelen < context / high) return f;
    if (wavelen > context / low) return f / factor;
    const float smooth = (context / wavelen - low) / (high - low);
    return (1 - smooth) * f / factor + smooth * f;
}

/* Dimension at which a wave turns n_rot times within the original context. */
static double yarn_dim(const pgd_rope_spec *r, double n_rot) {
    return (r->rotary_dim * log(r->original_max_position / (n_rot * 2 * pi))) / (2 * log(r->theta));
}

static float yarn_freq(const pgd_rope_spec *r, uint32_t i) {
    double low = yarn_dim(r, r->beta_fast), high = yarn_dim(r, r->beta_slow);
    if (r->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    if (low < 0) low = 0;
    if (high > r->rotary_dim - 1) high = r->rotary_dim - 1;
    if (high == low) high += 0.001; /* keeps the ramp finite */
    const float exponent = (float)(2 * i) / (float)r->rotary_dim;
    const float turn = (float)pow((double)(float)r->theta, (double)exponent);
    float ramp = ((float)i - (float)low) / (float)(high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    const float keep = 1 - ramp;
    return 1.0f / ((float)r->factor * turn) * (1 - keep) + 1.0f / turn * keep;
}

static float frequency(const pgd_rope_spec *r, uint32_t i, uint32_t seq_len) {
    const double dim = r->rotary_dim;
    switch (r->kind) {
    case PGD_ROPE_DEFAULT:
        return inv_freq(r->theta, i, r->rotary_dim);
    case PGD_ROPE_LINEAR:
        return inv_freq(r->theta, i, r->rotary_dim) / (float)r->factor;
    case PGD_ROPE_DYNAMIC: {
        const double orig = r->original_max_position;
        const double len = seq_len > orig ? seq_len : orig;
        const double stretch = r->factor * len / orig - (r->factor - 1);
        return inv_freq(r->theta * pow(stretch, dim / (dim - 2)), i, r->rotary_dim);
    }
    case PGD_ROPE_LLAMA3:
        return llama3_freq(r, inv_freq(r->theta, i, r->rotary_dim));
    case PGD_ROPE_YARN:
        return yarn_freq(r, i);
    }
    PGD_ASSERT(false); /* the enum has no other value */
    return 0;
}

void pgd_rope_table(const pgd_rope_spec *r, uint32_t first, uint32_t n, uint32_t seq_len,
                    float *out_cos, float *out_sin) {
    const uint32_t half = r->rotary_dim / 2;
    const float scale = (float)r->attention_factor;
    for (uint32_t i = 0; i < half; i++) {
        const float f = frequency(r, i, seq_len);
        for (uint32_t p = 0; p < n; p++) {
            const double angle = (double)((float)(first + p) * f);
            out_cos[(size_t)p * half + i] = (float)cos(angle) * scale;
            out_sin[(size_t)p * half + i] = (float)sin(angle) * scale;
        }
    }
}
