"""Writes a model folder: config.json and a bf16 model.safetensors (random weights without --from).

Also splits and joins the weights in parts below 16 MB, for machines that pass small files only.
"""

import argparse
import pathlib

import torch
from safetensors.torch import load_file, save_file

from model import SHAPES, Model, config_json

PART = 15_000_000


def bf16_state(model):
    """The checkpoint tensors in bf16, without wrappers' prefixes."""
    return {name.removeprefix("_orig_mod."): tensor.detach().to("cpu", torch.bfloat16).contiguous()
            for name, tensor in model.state_dict().items()}


def write_folder(model, folder):
    """config.json and model.safetensors of a trained or fresh model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config_json(model.shape))
    save_file(bf16_state(model), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def split(path, out):
    """Copies a file as out/NAME.part0, .part1, ..."""
    data = path.read_bytes()
    for i in range(0, len(data), PART):
        (out / f"{path.name}.part{i // PART}").write_bytes(data[i : i + PART])


def join(folder, name="model.safetensors"):
    """Puts NAME.part* in a folder back together; returns the path."""
    parts = sorted(folder.glob(name + ".part*"))
    if parts:
        (folder / name).write_bytes(b"".join(p.read_bytes() for p in parts))
    return folder / name


def load_weights(model, path):
    """Loads a checkpoint into the model, strictly."""
    model.load_state_dict({k: v.float() for k, v in load_file(path).items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--from", dest="source", type=pathlib.Path,
                        help="folder with model.safetensors or its parts")
    args = parser.parse_args()
    torch.manual_seed(1)
    model = Model(SHAPES[args.shape])
    if args.source:
        load_weights(model, join(args.source))
    write_folder(model, args.folder)
    print(sum(p.numel() for p in model.parameters()), "parameters")


if __name__ == "__main__":
    main()
