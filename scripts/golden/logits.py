#!/usr/bin/env python3
"""Make the golden models of tests/golden/logits: small random-weight models, one per family, RoPE
scaling and flag, with the logits and greedy tokens that `transformers` computes for them.

    python3 scripts/golden/logits.py [--out tests/golden/logits]      (torch and transformers 5)

The reference is transformers in float32 on the stored (already rounded) weights: that is the
mathematics both sides approximate. A run of transformers in bf16 would add its own roundings (the
residual stream, cos and sin) to the comparison, and Pagoda keeps those in float32.

golden.bin, little endian:
    u32 magic 0x474C4750, version 1, vocab, max_model_len, n_prompt, n_pos, n_greedy, reserved
    i32 prompt[n_prompt]
    f32 logprob[n_prompt]          of prompt[i] after prompt[0..i); [0] is 0
    i32 pos[n_pos]                 positions whose logits follow
    f32 logits[n_pos][vocab]
    i32 greedy[n_greedy]
    f32 gap[n_greedy]              between the best and the second logit of each greedy step
"""
import argparse
import json
import shutil
import struct
from pathlib import Path

import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

VOCAB, GREEDY, POSITIONS = 260, 24, 6
MIN_GAP = 0.08  # of every greedy step: far above what bf16 activations can move a logit
BASE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=80, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
            bos_token_id=1, eos_token_id=2, pad_token_id=None)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64)

# name: (family, dtype, fields, options). "old" writes rope_scaling, rope_theta and torch_dtype as
# transformers 4 did; "shards" splits the weights; "fixed" pins dynamic RoPE to that many tokens.
CASES = {
    "llama-mha-f32": ("Llama", "float32", dict(num_key_value_heads=4), {"old": True}),
    "llama-llama3-bf16": ("Llama", "bfloat16", dict(rope_parameters=LLAMA3), {"old": True}),
    "llama-linear-f16": ("Llama", "float16", dict(
        rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0)), {"old": True}),
    "llama-dynamic-bf16": ("Llama", "bfloat16", dict(
        max_position_embeddings=64,
        rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0)),
        {"old": True, "fixed": 256}),
    "llama-dynamic-short-f32": ("Llama", "float32", dict(
        max_position_embeddings=64,
        rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0)),
        {"prompt": 36, "max_model_len": 64}),
    "llama-yarn-bf16": ("Llama", "bfloat16", dict(rope_parameters=YARN), {}),
    "llama-bias-f32": ("Llama", "float32", dict(attention_bias=True, mlp_bias=True), {}),
    "llama-gelu-sharded-bf16": ("Llama", "bfloat16", dict(
        hidden_act="gelu_pytorch_tanh", num_hidden_layers=3), {"shards": "40KB"}),
    "mistral-window-bf16": ("Mistral", "bfloat16", dict(sliding_window=32, head_dim=16), {}),
    "qwen2-bf16": ("Qwen2", "bfloat16", dict(), {"old": True}),
    "qwen2-window-f32": ("Qwen2", "float32", dict(
        num_hidden_layers=3, use_sliding_window=True, sliding_window=24, max_window_layers=1), {}),
    "qwen3-tied-bf16": ("Qwen3", "bfloat16", dict(head_dim=16, tie_word_embeddings=True), {}),
    "qwen3-f16": ("Qwen3", "float16", dict(head_dim=24, attention_bias=True), {}),
    # head sizes that GPU kernels take; the names sort last, so that the seeds above stay
    "wide-llama-64-bf16": ("Llama", "bfloat16", dict(
        hidden_size=64, head_dim=64, rope_parameters=LLAMA3), {}),
    "wide-mistral-96-bf16": ("Mistral", "bfloat16", dict(
        hidden_size=64, head_dim=96, num_attention_heads=2, num_key_value_heads=1,
        sliding_window=40), {}),
    "wide-qwen3-128-f16": ("Qwen3", "float16", dict(
        hidden_size=64, head_dim=128, num_attention_heads=3, num_key_value_heads=1), {}),
}


def randomize(model, gen):
    """Weights large enough that attention, biases and norms all show in the logits, and small enough
    that so narrow a model does not amplify roundings more than a real one does (with q, k and lm_head
    twice as large, transformers in bf16 is at KL 1e-2 from itself in float32)."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("norm.weight"):
                p.copy_(1 + 0.2 * torch.randn(p.shape, generator=gen))
            elif p.ndim == 1:
                p.copy_(0.3 * torch.randn(p.shape, generator=gen))
            elif "embed_tokens" in name:
                std = 0.2 if model.config.tie_word_embeddings else 1.0  # tied: also the head
                p.copy_(std * torch.randn(p.shape, generator=gen))
            elif "q_proj" in name or "k_proj" in name:
                p.copy_(1.1 * torch.randn(p.shape, generator=gen) / p.shape[1] ** 0.5)
            elif "lm_head" in name:
                p.copy_(1.5 * torch.randn(p.shape, generator=gen) / p.shape[1] ** 0.5)
            else:
                p.copy_(0.8 * torch.randn(p.shape, generator=gen) / p.shape[1] ** 0.5)


def pin_dynamic(model, seq_len):
    """Frequencies of a sequence of seq_len tokens for every token, whatever the sequence is."""
    rotary = model.model.rotary_emb
    inv_freq, _ = ROPE_INIT_FUNCTIONS["dynamic"](model.config, None, seq_len=seq_len)
    rotary.inv_freq = inv_freq
    rotary.rope_type = "default"


def greedy(model, prompt):
    ids, gaps, out = list(prompt), [], []
    for _ in range(GREEDY):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        top = logits.topk(2)
        gaps.append(float(top.values[0] - top.values[1]))
        if gaps[-1] < MIN_GAP:
            break  # this prompt will not do
        out.append(int(top.indices[0]))
        ids.append(out[-1])
    return out, gaps


def spell_old(path):
    """Rewrite config.json the way transformers 4 wrote it."""
    cfg = json.loads(path.read_text())
    rope = cfg.pop("rope_parameters")
    cfg["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    cfg["rope_scaling"] = None if kind == "default" else {
        ("rope_type" if kind == "llama3" else "type"): kind, **rope}
    cfg["torch_dtype"] = cfg.pop("dtype")
    path.write_text(json.dumps(cfg, indent=2, sort_keys=True) + "\n")


def make(name, out):
    family, dtype, fields, opt = CASES[name]
    config = getattr(transformers, family + "Config")(**{**BASE, **fields})
    config._attn_implementation = "eager"
    gen = torch.Generator().manual_seed(1 + sorted(CASES).index(name))
    model = getattr(transformers, family + "ForCausalLM")(config)
    randomize(model, gen)
    model = model.to(getattr(torch, dtype))
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size=opt.get("shards", "50GB"))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if opt.get("old"):
        spell_old(folder / "config.json")
    model = model.to(torch.float32).eval()
    if "fixed" in opt:
        pin_dynamic(model, opt["fixed"])
    n = opt.get("prompt", 150)
    with torch.no_grad():
        for attempt in range(1000):
            prompt = torch.randint(3, VOCAB, (n,), generator=gen).tolist()
            tokens, gaps = greedy(model, prompt)
            if min(gaps) >= MIN_GAP and len(set(tokens)) > 3:
                break
        else:
            raise SystemExit(f"{name}: no prompt with clear greedy choices")
        logits = model(torch.tensor([prompt]), use_cache=False).logits[0]
    logprob = torch.log_softmax(logits.double(), -1)
    pos = [n - 1 - 5 * i for i in range(POSITIONS)][::-1]
    scored = [0.0] + [float(logprob[i - 1, prompt[i]]) for i in range(1, n)]
    blob = struct.pack("<8I", 0x474C4750, 1, VOCAB, opt.get("max_model_len", 256), n, len(pos),
                       GREEDY, 0)
    blob += struct.pack(f"<{n}i{n}f{len(pos)}i", *prompt, *scored, *pos)
    blob += logits[pos].float().numpy().tobytes()
    blob += struct.pack(f"<{GREEDY}i{GREEDY}f", *tokens, *gaps)
    (folder / "golden.bin").write_bytes(blob)
    print(f"{name}: attempt {attempt}, min gap {min(gaps):.3f}, logit std {logits.std():.2f}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    root = Path(__file__).resolve().parents[2]
    p.add_argument("--out", type=Path, default=root / "tests/golden/logits")
    p.add_argument("--only", choices=sorted(CASES))
    args = p.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name in [args.only] if args.only else sorted(CASES):
        make(name, args.out)


if __name__ == "__main__":
    main()
