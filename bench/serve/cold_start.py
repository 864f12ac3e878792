#!/usr/bin/env python3
"""Time from exec to the first token of a large model whose weights lie in the page cache.

    bench/serve/cold_start.py [--binary build/cuda/pagoda] [--config bench/model/llama-3.1-8b]
                              [--folder /dev/shm/pagoda-cold] [--rounds 3] [-- SERVE FLAGS]

Writes a model folder of the config's shapes first (random bf16 weights in shards of 4 GB, the bundled
model's tokenizer), which does not count; then starts the server a few times and asks for one token
as soon as it is ready. Prints one JSON object; times are medians in seconds. Needs Python alone.
"""

import argparse
import http.client
import json
import pathlib
import random
import shutil
import socket
import statistics
import struct
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARD = 4 << 30


def tensors(config):
    """(name, shape) of a Llama model, in the order of its layers."""
    d, ff, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads, kv, size = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    yield "model.embed_tokens.weight", (vocab, d)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", (d,)
        yield layer + "self_attn.q_proj.weight", (heads * size, d)
        yield layer + "self_attn.k_proj.weight", (kv * size, d)
        yield layer + "self_attn.v_proj.weight", (kv * size, d)
        yield layer + "self_attn.o_proj.weight", (d, heads * size)
        yield layer + "post_attention_layernorm.weight", (d,)
        yield layer + "mlp.gate_proj.weight", (ff, d)
        yield layer + "mlp.up_proj.weight", (ff, d)
        yield layer + "mlp.down_proj.weight", (d, ff)
    yield "model.norm.weight", (d,)
    if not config.get("tie_word_embeddings"):
        yield "lm_head.weight", (vocab, d)


def byte_count(shape):
    count = 2
    for n in shape:
        count *= n
    return count


def noise(size):
    """A block of bf16 values of about 0.02, either sign: exponent bytes of 2^-7 to 2^-5."""
    rng = random.Random(1)
    low, high = rng.randbytes(size // 2), rng.randbytes(size // 2)
    table = bytes((b & 0x80) | 0x3C | (b & 1) for b in range(256))
    block = bytearray(size)
    block[0::2], block[1::2] = low, high.translate(table)
    return bytes(block)


def write_shard(path, entries, block):
    header, at = {}, 0
    for name, shape in entries:
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + byte_count(shape)]}
        at += byte_count(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb", buffering=0) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        left = at
        while left:
            left -= file.write(block[:min(left, len(block))])


def write_model(folder, config_file):
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads(config_file.read_text())
    shards, size = [[]], 0
    for entry in tensors(config):
        if size + byte_count(entry[1]) > SHARD and shards[-1]:
            shards.append([])
            size = 0
        shards[-1].append(entry)
        size += byte_count(entry[1])
    block, index = noise(64 << 20), {}
    for i, entries in enumerate(shards):
        name = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / name, entries, block)
        index.update((tensor, name) for tensor, _ in entries)
    total = sum(byte_count(shape) for shard in shards for _, shape in shard)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index}))
    shutil.copy(config_file, folder / "config.json")
    tiny = ROOT / "configs/models/pagoda-tiny"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny / name, folder / name)
    return total


def warm(folder):
    """Read every file once, so that it lies in the page cache."""
    for path in folder.iterdir():
        with open(path, "rb", buffering=0) as file:
            while file.read(64 << 20):
                pass


def ask(port, method, path, body=None):
    """Status of a request; 0 when nobody listens yet."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, json.dumps(body) if body else None,
                           {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status
    except OSError:
        return 0


def start_once(args, flags):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    begin = time.monotonic()
    server = subprocess.Popen([args.binary, "serve", args.folder, "--served-model-name", "cold",
                               "--port", str(port), "--log-level", "warning", *flags])
    try:
        while ask(port, "GET", "/readyz") != 200:
            if server.poll() is not None or time.monotonic() - begin > 300:
                raise SystemExit("the server did not become ready")
            time.sleep(0.005)
        ready = time.monotonic() - begin
        status = ask(port, "POST", "/v1/completions",
                     {"model": "cold", "prompt": [1, 2, 3], "max_tokens": 1, "temperature": 0})
        if status != 200:
            raise SystemExit(f"the first completion answered {status}")
        return ready, time.monotonic() - begin
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/cuda/pagoda"))
    parser.add_argument("--config", type=pathlib.Path, default=ROOT / "bench/model/llama-3.1-8b")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/dev/shm/pagoda-cold"))
    parser.add_argument("--rounds", type=int, default=3)
    args, flags = parser.parse_known_args()
    flags = [flag for flag in flags if flag != "--"]
    total = write_model(args.folder, args.config / "config.json")
    warm(args.folder)
    try:
        times = [start_once(args, flags) for _ in range(args.rounds)]
    finally:
        shutil.rmtree(args.folder)
    ready, first = zip(*times)
    print(json.dumps({"bytes": total, "ready_s": round(statistics.median(ready), 3),
                      "first_token_s": round(statistics.median(first), 3),
                      "rounds": [round(t, 3) for t in first]}))


if __name__ == "__main__":
    main()
