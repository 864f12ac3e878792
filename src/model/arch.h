/* The table of model families: what differs between architectures that share one decoder. */
#ifndef PAGODA_MODEL_ARCH_H
#define PAGODA_MODEL_ARCH_H

#include <stdint.h>

#include "pagoda/model.h"
#include "pagoda/str.h"

enum {
    ARCH_QKV_BIAS = 1,        /* q, k and v always have biases */
    ARCH_ATTENTION_BIAS = 2,  /* the field attention_bias gives biases to q, k, v and o */
    ARCH_MLP_BIAS = 4,        /* the field mlp_bias gives biases to gate, up and down */
    ARCH_QK_NORM = 8,         /* RMSNorm of each q and k head */
    ARCH_WINDOW_ALL = 16,     /* sliding_window holds for every layer */
    ARCH_WINDOW_SWITCHED = 32 /* use_sliding_window, max_window_layers, layer_types */
};

/* Defaults are those of the configuration classes of transformers: a field that a config.json
 * leaves out means them. 0 = no default of its own (derived from other fields). */
typedef struct arch_row {
    const char *name;       /* in architectures */
    const char *model_type; /* used when architectures is missing */
    unsigned flags;
    uint32_t n_kv_heads, head_dim, max_position, sliding_window, max_window_layers;
    int32_t bos_id, eos_id; /* -1: none */
} arch_row;

const arch_row *arch_find(pgd_sv name, pgd_sv model_type);
/* "LlamaForCausalLM, ..." for messages. */
const char *arch_names(void);

/* Tensor name of part `part` of a slot after the layer prefix, or of the whole model for global
 * slots; NULL when the slot has no such part. */
const char *arch_tensor_name(pgd_slot_kind kind, uint32_t part);
bool arch_slot_is_global(pgd_slot_kind kind);

#endif
