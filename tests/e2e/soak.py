#!/usr/bin/env python3
"""Soak: many clients do what clients do, well and badly, for a while; nothing may be left behind.

    tests/e2e/soak.py --binary build/asan/pagoda [--minutes 15] [--clients 24] [--seed N]

Each client draws one action after another from its own seeded generator: chats and completions,
streamed or not, with few or many tokens, shared prefixes, several choices, stop strings, deadlines;
streams left in the middle; bodies cut off; malformed JSON and fields; probes and metrics. A seeded
request that is repeated must give the same answer every time. At the end no request may be running
or waiting, no KV block may be held, memory may not have grown without bound, and the server must
drain with exit code 0 (which, in a sanitizer build, includes the leak check).
"""

import argparse
import http.client
import json
import os
import random
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ANSWER_S = 600  # a sanitizer on a machine that others use too is slow; only silence is a failure


class Client(threading.Thread):
    def __init__(self, server, seed, end, answers, lock):
        super().__init__(daemon=True)
        self.server, self.end, self.answers, self.lock = server, end, answers, lock
        self.rng = random.Random(seed)
        self.counts = {}
        self.slowest = 0
        self.error = None

    def run(self):
        actions = [self.chat, self.chat, self.completion, self.leave_stream, self.cut_body,
                   self.bad_field, self.bad_json, self.probe, self.repeat]
        try:
            while time.monotonic() < self.end:
                action = self.rng.choice(actions)
                begun = time.monotonic()
                action()
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.counts[action.__name__] = self.counts.get(action.__name__, 0) + 1
        except Exception as e:  # noqa: BLE001: reported by the main thread
            self.error = f"{type(e).__name__}: {e}"

    def body(self):
        r = self.rng
        words = r.choice(["alpha ", "river stone ", "one two three "])
        body = {
            "model": "pagoda-tiny",
            "messages": [{"role": "user", "content": words * r.choice([1, 5, 40, 200])}],
            "max_tokens": r.choice([1, 5, 20, 80]),
            "temperature": r.choice([0, 0.7, 1.3]),
            "stream": r.random() < 0.5,
            "n": r.choice([1, 1, 1, 3]),
        }
        if r.random() < 0.3:
            body["stop"] = r.choice(["e", "the", [".", "a b"]])
        if r.random() < 0.2:
            body["logprobs"], body["top_logprobs"] = True, 3
        if r.random() < 0.2:
            body["frequency_penalty"] = 0.5
        if r.random() < 0.2:
            body["ignore_eos"] = True
        return body

    def request(self, method, path, data=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=ANSWER_S)
        try:
            c.request(method, path, data, headers or {})
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def check(self, status, allowed, text=b""):
        if status not in allowed:
            raise AssertionError(f"status {status}: {text[:300]!r}")

    def chat(self):
        headers = {"X-Request-Timeout-Ms": "50"} if self.rng.random() < 0.1 else {}
        status, text = self.request("POST", "/v1/chat/completions", json.dumps(self.body()), headers)
        self.check(status, (200, 503, 504), text)

    def completion(self):
        n = self.rng.choice([1, 3, 30, 700])
        prompt = [self.rng.randrange(300, 4000) for _ in range(n)]
        body = {"model": "pagoda-tiny", "prompt": self.rng.choice([prompt, [prompt, prompt[:1]]]),
                "max_tokens": self.rng.choice([0, 3, 30]), "echo": True, "logprobs": 2}
        status, text = self.request("POST", "/v1/completions", json.dumps(body))
        self.check(status, (200, 503), text)

    def send_raw(self, body, part):
        data = json.dumps(body).encode()
        s = socket.create_connection(("127.0.0.1", self.server.port), timeout=ANSWER_S)
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                  % len(data) + data[: int(len(data) * part)])
        return s

    def leave_stream(self):
        with self.send_raw(dict(self.body(), stream=True, max_tokens=400, ignore_eos=True), 1) as s:
            if self.rng.random() < 0.7:
                s.recv(self.rng.choice([1, 100, 5000]))
            time.sleep(self.rng.choice([0, 0.001, 0.05]))

    def cut_body(self):
        with self.send_raw(self.body(), self.rng.random()):
            time.sleep(self.rng.choice([0, 0.01]))

    def bad_field(self):
        key, value = self.rng.choice([("temperature", 9), ("n", -1), ("messages", []), ("stop", 7),
                                      ("max_tokens", 2**70), ("logit_bias", {"x": 1}),
                                      ("response_format", {"type": "yaml"})])
        status, text = self.request("POST", "/v1/chat/completions",
                                    json.dumps(dict(self.body(), **{key: value})))
        self.check(status, (400, 503), text)

    def bad_json(self):
        status, text = self.request("POST", "/v1/chat/completions",
                                    self.rng.choice(["{", "[1", '{"a":"\\u0000"}', "\xff", ""]))
        self.check(status, (400, 503), text)

    def probe(self):
        for path in ("/livez", "/readyz", "/metrics", "/v1/models"):
            self.check(self.request("GET", path)[0], (200,))

    def repeat(self):
        """One of a few seeded requests, whose answer must never change."""
        i = self.rng.randrange(8)
        body = {"model": "pagoda-tiny", "seed": i, "temperature": 1.0, "max_tokens": 24,
                "messages": [{"role": "user", "content": f"Question {i}: " + "word " * (30 * i)}]}
        status, text = self.request("POST", "/v1/chat/completions", json.dumps(body))
        self.check(status, (200, 503), text)
        if status != 200:
            return
        answer = json.loads(text)["choices"][0]["message"]["content"]
        with self.lock:
            first = self.answers.setdefault(i, answer)
        if answer != first:
            raise AssertionError(f"request {i} answered {answer!r}, before {first!r}")


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(x.split()[1]) for x in f if x.startswith("VmRSS")) / 1024


def blocks_held(server):
    for line in server.get("/metrics")[1].decode().splitlines():
        if line.startswith("pagoda_kv_blocks") and 'state="active"' in line:
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError("no metric pagoda_kv_blocks")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--model", default=os.path.join(ROOT, "configs/models/pagoda-tiny"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    args = parser.parse_args()
    os.environ["PAGODA_TEST_BINARY"] = os.path.abspath(args.binary)
    os.environ["PAGODA_TEST_MODEL"] = os.path.abspath(args.model)
    sys.path.insert(0, HERE)
    # what the address sanitizer keeps back to catch late uses is no growth of the server's
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"
    from harness import Server

    print(f"soak: seed {args.seed}, {args.minutes:g} minutes, {args.clients} clients", flush=True)
    server = Server("--kv-cache-memory-bytes", "24M", "--max-num-seqs", "16", "--no-access-log",
                    "--max-queued-requests", "64", "--log-level", "warning")
    end = time.monotonic() + 60 * args.minutes
    answers, lock = {}, threading.Lock()
    clients = [Client(server, args.seed + i, end, answers, lock) for i in range(args.clients)]
    for c in clients:
        c.start()
    time.sleep(min(30, 20 * args.minutes))
    warm = resident(server.process.pid)
    for c in clients:
        c.join()
    failures = [c.error for c in clients if c.error]
    server.wait_metric("vllm:num_requests_running", 0, 30)
    server.wait_metric("vllm:num_requests_waiting", 0, 30)
    patience = time.monotonic() + 30  # the last step of the last sequence may still run
    while (held := blocks_held(server)) != 0 and time.monotonic() < patience:
        time.sleep(0.1)
    if held != 0:
        failures.append(f"{held:g} KV blocks are still held")
    now = resident(server.process.pid)
    if now > 1.5 * warm + 64:
        failures.append(f"memory grew from {warm:.0f} to {now:.0f} MiB")
    code = server.stop()
    if code != 0:
        failures.append(f"the server exited {code}:\n{server.read_log()[-4000:]}")
    totals = {}
    for c in clients:
        for name, n in c.counts.items():
            totals[name] = totals.get(name, 0) + n
    slowest = max(c.slowest for c in clients)
    print(f"soak: {totals}, memory {warm:.0f} -> {now:.0f} MiB, slowest answer {slowest:.1f} s")
    for f in failures:
        print(f"soak: FAILED: {f}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
