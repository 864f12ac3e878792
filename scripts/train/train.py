"""Runs the next training stage on one GPU (or, for a trial, on a CPU).

The state folder holds state.json (stages done), the bf16 weights and, on the machine that ran the
last stage, full.pt with fp32 weights and optimizer state. Without full.pt a stage starts from the
bf16 weights with a short warm-up, so a bare machine needs only the weights. One call runs one
stage; the stages are timed, so that each is as long on any GPU.
"""

import argparse
import json
import math
import pathlib
import queue
import threading
import time

import torch

import export
from feed import LONG_MAX, SHORT_MAX, Feed
from model import SHAPES, Model, pick_attention
from optim import Optimizer

# minutes, prose share of the long documents, share of long documents, [(fraction of time, lr)]
STAGES = [
    {"minutes": 5.5, "prose": 0.5, "long": 0.5, "lr": [(0, 1), (0.75, 1), (1, 0.1)]},
    {"minutes": 5.5, "prose": 0.5, "long": 0.5, "lr": [(0, 1), (0.75, 1), (1, 0.1)]},
    {"minutes": 7.0, "prose": 0.3, "long": 0.375, "lr": [(0, 0.7), (0.2, 0.7), (1, 0)]},
]
DRAFT_STAGES = [{"minutes": 1.0, "prose": 0.3, "long": 0.375, "lr": [(0, 1), (0.3, 1), (1, 0)]}]
WARM_UP = 60


def learning_rate(points, fraction):
    """Linear interpolation of the schedule's points."""
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        if fraction <= x1:
            return y0 + (y1 - y0) * (fraction - x0) / max(x1 - x0, 1e-9)
    return points[-1][1]


def read_state(folder):
    path = folder / "state.json"
    return json.loads(path.read_text()) if path.exists() else {"done": 0, "log": []}


def prefetch(feed, device, depth=8):
    """Yields steps on the device, packed by a thread ahead of time."""
    waiting = queue.Queue(depth)

    def fill():
        for arrays in feed.steps():
            tensors = [torch.from_numpy(a) for a in arrays]
            waiting.put([t.pin_memory() for t in tensors] if device == "cuda" else tensors)

    threading.Thread(target=fill, daemon=True).start()
    while True:
        yield [t.to(device, non_blocking=True) for t in waiting.get()]


def build(shape, state_dir, device, compiled):
    """The model on the device, its loss function, and whether optimizer state can be had."""
    model = Model(SHAPES[shape], pick_attention(device)).to(device)
    model.stream = torch.bfloat16 if device == "cuda" else torch.float32
    full = state_dir / "full.pt"
    saved = torch.load(full, map_location=device) if full.exists() else None
    if saved:
        model.load_state_dict(saved["model"])
    elif (state_dir / "model.safetensors").exists() or list(state_dir.glob("model.safetensors.part*")):
        export.load_weights(model, export.join(state_dir))
        model.to(device)
    loss = torch.compile(model.loss) if compiled else model.loss
    return model, loss, saved


def backward(loss_of, batch, device):
    """The loss of a batch, its gradients in place."""
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        loss = loss_of(*batch)
    loss.backward()
    return loss


def run(args, stage, state):
    """Trains one stage; returns its log entry."""
    feed = Feed(args.scratch, args.corpus, args.tokenizer, args.seed + state["done"], args.workers,
                stage["prose"], stage["long"], args.step_tokens)  # before CUDA starts: it forks
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(state["done"] + 1)
    torch.set_float32_matmul_precision("high")
    model, loss_of, saved = build(args.shape, args.state, device, device == "cuda" and not args.eager)
    optimizer = Optimizer(model, args.matrix_lr, args.embed_lr)
    if saved:
        optimizer.load(saved["optimizer"])
    seconds = 60 * (args.minutes or stage["minutes"])
    start, step, average, last = None, 0, None, time.time()
    for tokens, positions, targets, weights, long_cu, short_cu in prefetch(feed, device):
        regions = [(0, feed.long_tokens, long_cu, LONG_MAX),
                   (feed.long_tokens, args.step_tokens, short_cu, SHORT_MAX)]
        batch = (tokens, positions, regions, targets, weights)
        try:
            loss = backward(loss_of, batch, device)
        except Exception as problem:  # a compiler's trouble must not cost the stage
            if start is not None or loss_of == model.loss:
                raise
            print(f"without torch.compile: {problem}", flush=True)
            loss_of = model.loss
            model.zero_grad(set_to_none=True)
            loss = backward(loss_of, batch, device)
        if start is None:  # compilation is over
            start = time.time()
            print(f"first step after {start - last:.1f} s, loss {loss.item():.3f}", flush=True)
        fraction = min(1.0, (time.time() - start) / seconds)
        scale = learning_rate(stage["lr"], fraction) * min(1.0, (step + 1) / WARM_UP)
        optimizer.step(scale)
        model.zero_grad(set_to_none=True)
        step += 1
        if step % args.log_every == 0 or fraction >= 1 or step == args.max_steps:
            value = loss.item()
            if not math.isfinite(value):
                raise RuntimeError(f"loss is {value} at step {step}")
            average = value if average is None else 0.9 * average + 0.1 * value
            rate = step * args.step_tokens / max(time.time() - start, 1e-9)
            print(f"step {step} loss {value:.4f} avg {average:.4f} lr {scale:.3f} {rate / 1e6:.2f} Mtok/s "
                  f"shards {feed.fresh}+{feed.reused} {time.time() - start:.0f}s", flush=True)
        if fraction >= 1 or step == args.max_steps:
            break
    feed.stop()
    save(args, model, optimizer)
    return {"stage": state["done"] + 1, "steps": step, "tokens": step * args.step_tokens,
            "fresh_shards": feed.fresh, "reused_shards": feed.reused, "loss": round(average, 4),
            "seconds": round(time.time() - start), "device": torch.cuda.get_device_name() if device == "cuda" else "cpu"}


def save(args, model, optimizer):
    """bf16 weights, and everything in fp32 for the same machine."""
    for part in args.state.glob("model.safetensors.part*"):
        part.unlink()
    export.write_folder(model, args.state)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state()}, args.state / "full.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="pagoda-tiny")
    parser.add_argument("--state", type=pathlib.Path, required=True)
    parser.add_argument("--corpus", type=pathlib.Path, required=True, help="words and prose")
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="tokenizer.json")
    parser.add_argument("--scratch", type=pathlib.Path, default="/dev/shm/pagoda-shards")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--step-tokens", type=int, default=131072)
    parser.add_argument("--minutes", type=float, help="instead of the stage's own length")
    parser.add_argument("--max-steps", type=int, default=0)
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--embed-lr", type=float, default=0.003)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--log-every", type=int, default=100)
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    args = parser.parse_args()
    args.state.mkdir(parents=True, exist_ok=True)
    state = read_state(args.state)
    stages = DRAFT_STAGES if args.shape.endswith("draft") else STAGES
    if state["done"] >= len(stages):
        print("all stages are done")
        return
    print(f"{args.shape}: stage {state['done'] + 1} of {len(stages)}", flush=True)
    state["log"].append(run(args, stages[state["done"]], state))
    state["done"] += 1
    (args.state / "state.json").write_text(json.dumps(state, indent=2) + "\n")
    print(json.dumps(state["log"][-1]))


if __name__ == "__main__":
    main()
