/* THE TABLE: one row per model family, one row per weight slot.
 *
 * All families here are the same pre-norm decoder (RMSNorm, rotary attention, gated MLP) and name
 * their tensors alike; a family is its flags and the defaults of fields that its config.json may
 * leave out. Adding a family made of known blocks is one row and one golden model. Data only: the
 * rules that read the flags are in config.c. */
#include "arch.h"

#include <stddef.h>

/* clang-format off */
static const arch_row arch_rows[] = {
    /* name, model_type, flags,
     *   n_kv_heads, head_dim, max_position, sliding_window, max_window_layers, bos, eos */
    {"LlamaForCausalLM", "llama", ARCH_ATTENTION_BIAS | ARCH_MLP_BIAS,
        0, 0, 2048, 0, 0, 1, 2},
    {"MistralForCausalLM", "mistral", ARCH_WINDOW_ALL,
        8, 0, 131072, 4096, 0, 1, 2},
    {"Qwen2ForCausalLM", "qwen2", ARCH_QKV_BIAS | ARCH_WINDOW_SWITCHED,
        0, 0, 32768, 4096, 28, -1, -1},
    {"Qwen3ForCausalLM", "qwen3", ARCH_ATTENTION_BIAS | ARCH_QK_NORM | ARCH_WINDOW_SWITCHED,
        0, 128, 32768, 4096, 28, -1, -1},
};

static const char *const slot_names[PGD_W_N][PGD_SLOT_MAX_PARTS] = {
    [PGD_W_EMBED] = {"model.embed_tokens.weight"},
    [PGD_W_FINAL_NORM] = {"model.norm.weight"},
    [PGD_W_LM_HEAD] = {"lm_head.weight"},
    [PGD_W_ATTN_NORM] = {"input_layernorm.weight"},
    [PGD_W_QKV] = {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"},
    [PGD_W_QKV_BIAS] = {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"},
    [PGD_W_Q_NORM] = {"self_attn.q_norm.weight"},
    [PGD_W_K_NORM] = {"self_attn.k_norm.weight"},
    [PGD_W_O] = {"self_attn.o_proj.weight"},
    [PGD_W_O_BIAS] = {"self_attn.o_proj.bias"},
    [PGD_W_FFN_NORM] = {"post_attention_layernorm.weight"},
    [PGD_W_GATE_UP] = {"mlp.gate_proj.weight", "mlp.up_proj.weight"},
    [PGD_W_GATE_UP_BIAS] = {"mlp.gate_proj.bias", "mlp.up_proj.bias"},
    [PGD_W_DOWN] = {"mlp.down_proj.weight"},
    [PGD_W_DOWN_BIAS] = {"mlp.down_proj.bias"},
};
/* clang-format on */

const arch_row *arch_find(pgd_sv name, pgd_sv model_type) {
    for (size_t i = 0; i < sizeof arch_rows / sizeof arch_rows[0]; i++) {
        const arch_row *r = &arch_rows[i];
        if (name.n ? pgd_sv_eq(name, pgd_sv_c(r->name))
                   : pgd_sv_eq(model_type, pgd_sv_c(r->model_type)))
            return r;
    }
    return NULL;
}

const char *arch_names(void) {
    return "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM";
}

const char *arch_tensor_name(pgd_slot_kind kind, uint32_t part) {
    return part < PGD_SLOT_MAX_PARTS ? slot_names[kind][part] : NULL;
}

bool arch_slot_is_global(pgd_slot_kind kind) {
    return kind == PGD_W_EMBED || kind == PGD_W_FINAL_NORM || kind == PGD_W_LM_HEAD;
}
