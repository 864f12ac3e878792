"""The model in plain PyTorch: Qwen3's shape, over one flat row of packed documents.

Parameter names are those of transformers' Qwen3ForCausalLM, so a state dict is a checkpoint. Input
is a flat row of T tokens with the starts of its documents; attention never crosses a document.
The row comes in regions (long documents, then short ones), so that the kernel's grid, which is
documents x longest document, stays small.
"""

import dataclasses
import json

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Shape:
    """Sizes of one model; names as in config.json."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int = 64
    vocab_size: int = 8192
    max_position_embeddings: int = 4096
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6


SHAPES = {
    "pagoda-tiny": Shape(384, 896, 8, 6, 2),
    "pagoda-tiny-draft": Shape(128, 384, 4, 2, 1),
    "micro": Shape(64, 128, 2, 2, 1, head_dim=32),  # for trying the pipeline on a CPU
}


def config_json(shape):
    """The config.json of a shape, loadable by transformers as it is."""
    return json.dumps({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", **dataclasses.asdict(shape),
        "attention_bias": False, "attention_dropout": 0.0, "hidden_act": "silu",
        "initializer_range": 0.02, "rope_scaling": None, "sliding_window": None,
        "use_sliding_window": False, "max_window_layers": shape.num_hidden_layers,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True,
        "bos_token_id": None, "eos_token_id": 8178, "pad_token_id": 8176}, indent=2) + "\n"


def attend_masked(q, k, v, regions):
    """Masked attention through SDPA: slow, for machines without the varlen kernel."""
    out = []
    for start, end, cu, _ in regions:
        doc = torch.bucketize(torch.arange(end - start, device=q.device), cu[1:].contiguous(), right=True)
        mask = (doc[:, None] == doc[None, :]).tril()
        part = (t[start:end].transpose(0, 1)[None] for t in (q, k, v))
        attended = F.scaled_dot_product_attention(*part, attn_mask=mask, enable_gqa=True)
        out.append(attended[0].transpose(0, 1))
    return torch.cat(out)


def attend_varlen(q, k, v, regions):
    """Attention within each document, by the flash kernel for packed rows."""
    from torch.nn.attention.varlen import varlen_attn
    return torch.cat([varlen_attn(q[a:b], k[a:b], v[a:b], cu, cu, longest, longest, window_size=(-1, 0))
                      for a, b, cu, longest in regions])


def attend_repeated(q, k, v, regions):
    """attend_varlen for kernels that want as many key heads as query heads."""
    groups = q.shape[1] // k.shape[1]
    return attend_varlen(q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1), regions)


def pick_attention(device):
    """The fastest of the above that agrees with attend_masked here, forwards and backwards."""
    if device != "cuda":
        return attend_masked
    cu = torch.tensor([0, 50, 180, 256, 256], dtype=torch.int32, device=device)
    inputs = [torch.randn(256, heads, 64, device=device, dtype=torch.bfloat16, requires_grad=True)
              for heads in (6, 2, 2)]

    def results(attend):
        out = attend(*inputs, [(0, 256, cu, 512)])
        return [out, *torch.autograd.grad(out.float().square().sum(), inputs)]

    wanted = results(attend_masked)
    for attend in (attend_varlen, attend_repeated):
        try:
            found = results(attend)
        except (RuntimeError, ImportError) as problem:
            print(f"{attend.__name__}: {problem}", flush=True)
            continue
        worst = max(((a - b).float().norm() / b.float().norm()).item() for a, b in zip(found, wanted))
        print(f"{attend.__name__}: relative difference {worst:.4f}", flush=True)
        if worst < 0.03:
            return attend
    return attend_masked


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight, self.eps).to(x.dtype)


def rotate(x, cos, sin):
    """RoPE, halves layout; x is (T, heads, head_dim), cos and sin are (T, 1, head_dim / 2)."""
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, s, attend):
        super().__init__()
        self.s, self.attend = s, attend
        self.q_proj = nn.Linear(s.hidden_size, s.num_attention_heads * s.head_dim, bias=False)
        self.k_proj = nn.Linear(s.hidden_size, s.num_key_value_heads * s.head_dim, bias=False)
        self.v_proj = nn.Linear(s.hidden_size, s.num_key_value_heads * s.head_dim, bias=False)
        self.o_proj = nn.Linear(s.num_attention_heads * s.head_dim, s.hidden_size, bias=False)
        self.q_norm = RMSNorm(s.head_dim, s.rms_norm_eps)
        self.k_norm = RMSNorm(s.head_dim, s.rms_norm_eps)

    def forward(self, x, cos, sin, regions):
        total, d = x.shape[0], self.s.head_dim
        q = rotate(self.q_norm(self.q_proj(x).view(total, -1, d)), cos, sin)
        k = rotate(self.k_norm(self.k_proj(x).view(total, -1, d)), cos, sin)
        v = self.v_proj(x).view(total, -1, d)
        return self.o_proj(self.attend(q, k, v, regions).reshape(total, -1))


class MLP(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.gate_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.up_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.down_proj = nn.Linear(s.intermediate_size, s.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, s, attend):
        super().__init__()
        self.self_attn, self.mlp = Attention(s, attend), MLP(s)
        self.input_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)

    def forward(self, x, *where):
        x = x + self.self_attn(self.input_layernorm(x), *where)
        return x + self.mlp(self.post_attention_layernorm(x))


class Inner(nn.Module):
    def __init__(self, s, attend):
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocab_size, s.hidden_size)
        self.layers = nn.ModuleList(Layer(s, attend) for _ in range(s.num_hidden_layers))
        self.norm = RMSNorm(s.hidden_size, s.rms_norm_eps)


class Model(nn.Module):
    """The language model; the output head is the embedding."""

    def __init__(self, shape, attend=attend_masked):
        super().__init__()
        self.shape = shape
        self.stream = torch.float32  # of the residual stream; bfloat16 under autocast
        self.model = Inner(shape, attend)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.normal_(p, std=0.02 / (2 * shape.num_hidden_layers) ** 0.5)

    def forward(self, tokens, positions, regions):
        """tokens, positions: (T,). Returns logits (T, vocab).

        regions: [(start, end, cu, longest)], cu the document starts in the region and its length,
        int32, longest an upper bound of the documents' lengths.
        """
        half = torch.arange(0, self.shape.head_dim, 2, device=tokens.device, dtype=torch.float32)
        angle = positions[:, None].float() * self.shape.rope_theta ** (-half / self.shape.head_dim)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        x = F.embedding(tokens, self.model.embed_tokens.weight)
        x = x.to(self.stream)
        for layer in self.model.layers:
            x = layer(x, cos, sin, regions)
        return F.linear(self.model.norm(x), self.model.embed_tokens.weight)

    def loss(self, tokens, positions, regions, targets, weights):
        """Weighted mean cross entropy; weights are zero where there is no target."""
        logits = self(tokens, positions, regions)
        each = F.cross_entropy(logits.float(), targets, reduction="none")
        return (each * weights).sum() / weights.sum().clamp(min=1.0)
