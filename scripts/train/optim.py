"""Muon for the layers' matrices, AdamW for the embedding and the norms."""

import collections

import torch


@torch.no_grad()
def orthogonalize(batch, steps=5):
    """Newton-Schulz iteration towards the nearest orthogonal matrices; batch is (n, rows, cols)."""
    x = batch.bfloat16() if batch.is_cuda else batch
    flipped = x.shape[1] > x.shape[2]
    if flipped:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.mT if flipped else x).float()


class Optimizer:
    """Both optimizers under one learning-rate scale."""

    def __init__(self, model, matrix_lr=0.02, embed_lr=0.003, momentum=0.95, decay=0.02):
        self.matrix_lr, self.momentum, self.decay = matrix_lr, momentum, decay
        self.embed_lr = embed_lr
        self.groups = collections.defaultdict(list)
        rest = []
        for name, p in model.named_parameters():
            if p.dim() == 2 and "embed" not in name:
                self.groups[tuple(p.shape)].append(p)
            else:
                rest.append(p)
        self.velocity = {shape: torch.zeros(len(ps), *shape, device=ps[0].device)
                         for shape, ps in self.groups.items()}
        self.adam = torch.optim.AdamW(rest, lr=embed_lr, betas=(0.9, 0.98), weight_decay=0.0,
                                      fused=rest[0].is_cuda)

    @torch.no_grad()
    def step(self, scale):
        """One update with both learning rates multiplied by `scale`."""
        for shape, params in self.groups.items():
            gradient = torch.stack([p.grad for p in params])
            velocity = self.velocity[shape]
            velocity.lerp_(gradient, 1 - self.momentum)
            update = orthogonalize(gradient.lerp(velocity, self.momentum))
            lr = self.matrix_lr * scale
            factor = max(1.0, shape[0] / shape[1]) ** 0.5
            torch._foreach_mul_(params, 1 - lr * self.decay)
            torch._foreach_add_(params, list(update.unbind()), alpha=-lr * factor)
        for group in self.adam.param_groups:
            group["lr"] = self.embed_lr * scale
        self.adam.step()

    def state(self):
        return {"velocity": self.velocity, "adam": self.adam.state_dict()}

    def load(self, state):
        for shape, tensor in state["velocity"].items():
            self.velocity[shape].copy_(tensor)
        self.adam.load_state_dict(state["adam"])
