/* A Hugging Face model folder as data: config.json becomes a pgd_model_spec through one table of
 * families, safetensors become named views, and each weight slot of the program knows which tensors
 * fill it. Everything in the folder is untrusted: shapes, offsets and types are checked before use,
 * and nothing is executed. Knows no device. Immutable after open, shared read-only. */
#ifndef PAGODA_MODEL_H
#define PAGODA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "pagoda/status.h"
#include "pagoda/tensor.h"

typedef enum pgd_rope_kind {
    PGD_ROPE_DEFAULT,
    PGD_ROPE_LINEAR,
    PGD_ROPE_DYNAMIC,
    PGD_ROPE_LLAMA3,
    PGD_ROPE_YARN
} pgd_rope_kind;

typedef struct pgd_rope_spec {
    pgd_rope_kind kind;
    double theta;
    double factor;
    double low_freq_factor, high_freq_factor; /* llama3 */
    uint32_t original_max_position;           /* llama3, yarn, dynamic */
    double beta_fast, beta_slow;              /* yarn */
    double attention_factor;                  /* yarn: multiplies cos and sin; resolved, never 0 */
    bool truncate;                            /* yarn: round the correction range outward */
    uint32_t rotary_dim;                      /* even, <= head_dim */
} pgd_rope_spec;

typedef enum pgd_act { PGD_ACT_SILU, PGD_ACT_GELU_TANH } pgd_act;

enum { PGD_MAX_EOS_IDS = 16, PGD_MODEL_NAME_BYTES = 64 };

typedef struct pgd_model_spec {
    char architecture[PGD_MODEL_NAME_BYTES]; /* "LlamaForCausalLM" */
    pgd_dtype dtype; /* the weights are used in: dtype or torch_dtype; without it that of the
                        embedding as stored (PGD_DTYPE_N from pgd_model_spec_parse then) */
    uint32_t vocab_size, d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff;
    uint32_t max_position;   /* context length of the checkpoint, RoPE scaling included */
    uint32_t sliding_window; /* tokens a query sees, itself included; 0: all */
    uint32_t window_from_layer, window_to_layer; /* layers [from, to) use the window */
    double rms_eps;
    bool qkv_bias, o_bias, mlp_bias, qk_norm, tied_embeddings;
    pgd_act act;
    pgd_rope_spec rope;
    int32_t bos_id; /* -1: none */
    int32_t eos_ids[PGD_MAX_EOS_IDS];
    uint32_t n_eos;
} pgd_model_spec;

/* Defaults of generation_config.json; `has_*` false where the file says nothing. */
typedef struct pgd_generation_config {
    bool has_temperature, has_top_p, has_top_k, has_min_p, has_repetition_penalty,
        has_max_new_tokens;
    double temperature, top_p, min_p, repetition_penalty;
    int32_t top_k;
    uint32_t max_new_tokens;
    bool do_sample; /* false only when the file says so: temperature then defaults to 0 */
} pgd_generation_config;

/* Parse config.json text. Errors: PGD_E_UNSUPPORTED / PGD_E_FORMAT naming the field, what it holds
 * and what was expected. Keys that change the mathematics (quantization_config, layer types we
 * lack, ...) are errors. */
pgd_status pgd_model_spec_parse(const char *config_json, size_t n, pgd_model_spec *out,
                                pgd_error *err);
/* Parse generation_config.json text (n may be 0: no file). Adds its end ids to spec->eos_ids.
 * Errors as above. */
pgd_status pgd_generation_parse(const char *json, size_t n, pgd_model_spec *spec,
                                pgd_generation_config *out, pgd_error *err);

/* Weight slots of the decoder program. Per-layer slots take a layer index. */
typedef enum pgd_slot_kind {
    PGD_W_EMBED,      /* [vocab, d_model] */
    PGD_W_FINAL_NORM, /* [d_model] */
    PGD_W_LM_HEAD,    /* [vocab, d_model]; the embedding itself when tied */
    PGD_W_ATTN_NORM,  /* [d_model] */
    PGD_W_QKV,        /* q, k, v stacked: [(n_heads + 2 n_kv_heads) head_dim, d_model] */
    PGD_W_QKV_BIAS,
    PGD_W_Q_NORM, /* [head_dim] */
    PGD_W_K_NORM,
    PGD_W_O, /* [d_model, n_heads head_dim] */
    PGD_W_O_BIAS,
    PGD_W_FFN_NORM,
    PGD_W_GATE_UP, /* gate and up, two parts of [d_ff, d_model] each */
    PGD_W_GATE_UP_BIAS,
    PGD_W_DOWN, /* [d_model, d_ff] */
    PGD_W_DOWN_BIAS,
    PGD_W_N
} pgd_slot_kind;

/* The tensors that fill one slot, in order; rows add up to the slot's rows. Data is borrowed from
 * the open model (mapped files) and may have any alignment and any float type. */
enum { PGD_SLOT_MAX_PARTS = 3 };
typedef struct pgd_slot_parts {
    uint32_t n_parts;
    pgd_tensor part[PGD_SLOT_MAX_PARTS];
} pgd_slot_parts;

typedef struct pgd_model pgd_model;

enum {
    PGD_MODEL_DUMMY_WEIGHTS = 1
}; /* read config only; slots have NULL data and the right shapes */

/* Open the folder: config, generation config, safetensors (single or sharded with index). Checks
 * that every slot's tensors exist with the right shape and a float type, and that the files hold no
 * other tensors (a bias that config.json does not speak of would change the answers). */
pgd_status pgd_model_open(const char *dir, unsigned flags, pgd_model **out, pgd_error *err);
void pgd_model_close(pgd_model **m);
const pgd_model_spec *pgd_model_get_spec(const pgd_model *m);
const pgd_generation_config *pgd_model_get_generation(const pgd_model *m);
/* Opened with PGD_MODEL_DUMMY_WEIGHTS. */
bool pgd_model_is_dummy(const pgd_model *m);
/* Whether this model has the slot at all (biases, q/k norms). */
bool pgd_model_has_slot(const pgd_model *m, pgd_slot_kind kind);
/* layer is ignored for global slots. Never fails after a successful open. */
void pgd_model_slot(const pgd_model *m, pgd_slot_kind kind, uint32_t layer, pgd_slot_parts *out);
/* Bytes of all weights in the files. */
uint64_t pgd_model_weight_bytes(const pgd_model *m);

/* The device has its own copy of the weights: the mapped files stop counting as memory in use. What
 * is still read from them comes back by itself. */
void pgd_model_weights_idle(const pgd_model *m);

/* cos and sin tables for positions [first, first + n): out_cos/out_sin [n][rotary_dim / 2] f32, as
 * transformers computes them (inverse frequencies in float32, attention factor applied). For
 * PGD_ROPE_DYNAMIC the frequencies are those of a sequence of seq_len tokens. */
void pgd_rope_table(const pgd_rope_spec *r, uint32_t first, uint32_t n, uint32_t seq_len,
                    float *out_cos, float *out_sin);

#endif
