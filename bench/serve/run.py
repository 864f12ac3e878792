#!/usr/bin/env python3
"""Figures of a running server on the bundled model: start, first token, cache, memory, fan-out.

    bench/serve/run.py [--binary build/release/pagoda] [--model configs/models/pagoda-tiny]
                       [--sse build/release/bench_sse]

Prints one JSON object. Each figure is measured in its own fresh process; ratios are taken within
one process, interleaved, medians over the rounds.
"""

import argparse
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, args, *flags):
        self.port = free_port()
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            [args.binary, "serve", args.model, "--port", str(self.port), "--log-level", "warning", *flags]
        )

    def request(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        c.request(method, path, json.dumps(body) if body else None)
        r = c.getresponse()
        return r.status, r.read()

    def wait_ready(self):
        while True:
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                sys.exit("the server did not start")
            time.sleep(0.001)

    def first_token(self, body):
        """Seconds from sending the request to the first chunk with content."""
        data = json.dumps({**body, "stream": True}).encode()
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            begin = time.monotonic()
            s.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data)
                + data
            )
            seen = b""
            while b"data: {" not in seen:
                chunk = s.recv(65536)
                if not chunk:
                    sys.exit(f"no answer: {seen!r}")
                seen += chunk
            return time.monotonic() - begin

    def proc(self):
        """(resident bytes, CPU seconds)"""
        with open(f"/proc/{self.process.pid}/status") as f:
            rss = next(int(x.split()[1]) * 1024 for x in f if x.startswith("VmRSS"))
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return rss, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def start_to_first_token(args, rounds=7):
    times = []
    for _ in range(rounds):
        s = Server(args)
        s.wait_ready()
        s.first_token({"model": "pagoda-tiny", "prompt": "Hello", "max_tokens": 1})
        times.append(time.monotonic() - s.begin)
        s.stop()
    return statistics.median(times)


def cached_over_uncached(args, rounds=15, n_tokens=1500):
    s = Server(args)
    s.wait_ready()
    rng = random.Random(1)
    cold, warm = [], []
    for _ in range(rounds):
        body = {
            "model": "pagoda-tiny",
            "prompt": [rng.randrange(300, 8000) for _ in range(n_tokens)],
            "max_tokens": 1,
            "ignore_eos": True,
        }
        cold.append(s.first_token(body))
        warm.append(s.first_token(body))
    s.stop()
    return statistics.median(cold), statistics.median(warm)


def idle(args, seconds=20):
    """RSS above weights and the touched KV pool, and the share of one core, at rest."""
    s = Server(args, "--kv-cache-memory-bytes", "64M")
    s.wait_ready()
    s.first_token({"model": "pagoda-tiny", "prompt": "Hello", "max_tokens": 8})
    time.sleep(1)
    rss, cpu = s.proc()
    time.sleep(seconds)
    share = (s.proc()[1] - cpu) / seconds
    weights = os.path.getsize(os.path.join(args.model, "model.safetensors"))
    s.stop()
    return rss, rss - weights, share


def fan_out(args, streams=1000, tokens=600):
    s = Server(
        args, "--device", "sim", "--max-num-seqs", str(streams), "--max-queued-requests", "4096",
        "--max-num-batched-tokens", "8192", "--max-model-len", "1024", "--no-access-log",
    )
    s.wait_ready()
    out = subprocess.run(
        [args.sse, str(s.port), "pagoda-tiny", str(streams), str(tokens)],
        capture_output=True, text=True, check=True,
    ).stdout
    s.stop()
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/pagoda"))
    parser.add_argument("--model", default=os.path.join(ROOT, "configs/models/pagoda-tiny"))
    parser.add_argument("--sse", default=os.path.join(ROOT, "build/release/bench_sse"))
    args = parser.parse_args()
    start = start_to_first_token(args)
    cold, warm = cached_over_uncached(args)
    rss, above, share = idle(args)
    print(json.dumps({
        "start_to_first_token_s": round(start, 3),
        "ttft_1500_uncached_s": round(cold, 4),
        "ttft_1500_cached_s": round(warm, 4),
        "ttft_cached_over_uncached": round(warm / cold, 3),
        "rss_mb": round(rss / 1e6, 1),
        "rss_above_weights_mb": round(above / 1e6, 1),
        "idle_cpu_share": round(share, 4),
        "fan_out": fan_out(args),
    }, indent=1))


if __name__ == "__main__":
    main()
