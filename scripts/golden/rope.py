#!/usr/bin/env python3
"""Inverse frequencies and attention factors of real-sized RoPE configurations, by `transformers`.

    python3 scripts/golden/rope.py > tests/golden/logits/rope.txt      (torch and transformers 5)

One line a case, tab-separated: name, config.json on one line, context length that Pagoda derives,
sequence length for dynamic scaling, attention factor, inverse frequencies (%.9g).
"""
import json

import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SHAPE = dict(vocab_size=1000, hidden_size=2048, intermediate_size=64, num_hidden_layers=1,
             num_attention_heads=16, num_key_value_heads=4)
YARN = dict(type="yarn", factor=4.0, original_max_position_embeddings=32768)
# name: (class, fields as config.json has them, context, seq_len)
CASES = {
    "default": ("Llama", dict(max_position_embeddings=4096, rope_theta=10000.0), 4096, 0),
    "theta in rope_parameters": ("Qwen3", dict(
        max_position_embeddings=40960, head_dim=128,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0)), 40960, 0),
    "linear": ("Llama", dict(max_position_embeddings=2048, rope_theta=10000.0,
                             rope_scaling=dict(type="linear", factor=8.0)), 16384, 0),
    "dynamic at its context": ("Llama", dict(
        max_position_embeddings=4096, rope_theta=10000.0,
        rope_scaling=dict(type="dynamic", factor=2.0)), 8192, 8192),
    "dynamic below": ("Llama", dict(
        max_position_embeddings=4096, rope_theta=10000.0,
        rope_scaling=dict(type="dynamic", factor=2.0)), 8192, 3000),
    "llama 3.1": ("Llama", dict(
        max_position_embeddings=131072, rope_theta=500000.0,
        rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=8192)), 131072, 0),
    "llama 3.2": ("Llama", dict(
        max_position_embeddings=131072, head_dim=64, rope_parameters=dict(
            rope_type="llama3", rope_theta=500000.0, factor=32.0, low_freq_factor=1.0,
            high_freq_factor=4.0, original_max_position_embeddings=8192)), 131072, 0),
    "qwen 2.5 yarn": ("Qwen2", dict(max_position_embeddings=32768, rope_theta=1000000.0,
                                    rope_scaling=YARN), 131072, 0),
    "yarn with mscale": ("Llama", dict(
        max_position_embeddings=163840, rope_theta=10000.0,
        rope_scaling=dict(type="yarn", factor=40.0, beta_fast=32, beta_slow=1, mscale=1.0,
                          mscale_all_dim=0.8, original_max_position_embeddings=4096)), 163840, 0),
    "yarn untruncated": ("Llama", dict(
        max_position_embeddings=131072, rope_theta=150000.0,
        rope_scaling=dict(rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0,
                          truncate=False, attention_factor=1.25,
                          original_max_position_embeddings=4096)), 131072, 0),
}


def main():
    for name, (family, fields, context, seq_len) in CASES.items():
        raw = {"architectures": [family + "ForCausalLM"], **SHAPE, **fields}
        config = getattr(transformers, family + "Config").from_dict(json.loads(json.dumps(raw)))
        kind = config.rope_parameters["rope_type"]
        if kind == "default":
            dim = getattr(config, "head_dim", None) or SHAPE["hidden_size"] // 16
            theta = config.rope_parameters["rope_theta"]
            inv_freq = 1.0 / (theta ** (torch.arange(0, dim, 2, dtype=torch.float) / dim))
            factor = 1.0
        else:
            inv_freq, factor = ROPE_INIT_FUNCTIONS[kind](config, None, seq_len=seq_len or None)
        print(name, json.dumps(raw), context, seq_len, f"{factor:.9g}",
              *(f"{f:.9g}" for f in inv_freq.tolist()), sep="\t")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main()
