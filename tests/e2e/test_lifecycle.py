"""Start, overload, disconnects, drain, and bad starts."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from harness import BINARY, MODEL, Server, ServerTest, free_port

LONG = {
    "model": "pagoda-tiny",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 1500,
    "ignore_eos": True,
    "stream": True,
}


def send(sock, body):
    data = json.dumps(body).encode()
    sock.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data)
        + data
    )


class Disconnects(ServerTest):
    def test_clients_that_leave_at_any_phase_leave_nothing_behind(self):
        pauses = (0, 0.001, 0.005, 0.02, 0.1)
        for i in range(20):
            s = self.server.connect()
            body = dict(LONG, stream=i % 2 == 0)
            body["messages"] = [{"role": "user", "content": f"{i} " + "word " * (i * 40)}]
            send(s, body)
            time.sleep(pauses[i % len(pauses)])
            s.close()
        self.server.wait_metric("vllm:num_requests_running", 0)
        self.server.wait_metric("vllm:num_requests_waiting", 0)
        self.assertEqual(self.server.get("/readyz")[0], 200)


class Overload(ServerTest):
    FLAGS = ("--max-num-seqs", "1", "--max-queued-requests", "2")

    def test_a_full_queue_answers_503_with_retry_after(self):
        socks = [self.server.connect() for _ in range(6)]
        for s in socks:
            send(s, LONG)
            time.sleep(0.05)
        status, headers, body = self.server.request(
            "POST", "/v1/chat/completions", dict(LONG, stream=False))
        self.assertEqual(status, 503, body)
        self.assertGreaterEqual(int(headers["retry-after"]), 1)
        self.assertIn("retry-after-ms", headers)
        self.assertEqual(self.server.get("/readyz")[0], 200, "overload must not flip readiness")
        for s in socks:
            s.close()
        self.server.wait_metric("vllm:num_requests_running", 0)


class Drain(unittest.TestCase):
    def test_sigterm_lets_streams_finish(self):
        server = Server()
        s = server.connect()
        send(s, dict(LONG, max_tokens=150))
        first = s.recv(100)
        self.assertIn(b"200 OK", first)
        server.process.send_signal(signal.SIGTERM)
        out = first
        while chunk := s.recv(65536):
            out += chunk
        s.close()
        self.assertIn(b"data: [DONE]", out)
        self.assertEqual(server.process.wait(20), 0, server.read_log())

    def test_during_the_drain_delay_it_serves_but_is_not_ready(self):
        server = Server("--drain-delay", "3")
        s = server.connect()
        send(s, LONG)
        s.recv(100)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        self.assertEqual(server.get("/readyz")[0], 503)
        self.assertEqual(server.get("/livez")[0], 200)
        status, headers, _ = server.request(
            "POST", "/v1/chat/completions", dict(LONG, stream=False, max_tokens=1))
        self.assertEqual((status, headers["connection"]), (200, "close"))
        s.close()
        self.assertEqual(server.process.wait(30), 0, server.read_log())
        with self.assertRaises(OSError):
            server.get("/livez")

    def test_the_deadline_cuts_streams_with_an_error_event(self):
        server = Server("--drain-timeout", "0.2", "--max-num-seqs", "4")
        s = server.connect()
        send(s, dict(LONG, max_tokens=1900))
        s.recv(100)
        server.process.send_signal(signal.SIGTERM)
        out = b""
        while chunk := s.recv(65536):
            out += chunk
        s.close()
        if b"[DONE]" in out and b'"error"' not in out:
            self.skipTest("the stream was faster than the deadline")
        self.assertIn(b'"error"', out)
        self.assertEqual(server.process.wait(20), 3, server.read_log())


class BadStarts(unittest.TestCase):
    def run_serve(self, *args):
        r = subprocess.run([BINARY, "serve", *args], capture_output=True, text=True, timeout=60)
        return r.returncode, r.stderr

    def broken_model(self, name, change):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        target = os.path.join(d.name, "model")
        shutil.copytree(MODEL, target)
        path = os.path.join(target, name)
        with open(path, "rb") as f:
            data = f.read()
        with open(path, "wb") as f:
            f.write(change(data))
        return target

    def test_configuration_mistakes_exit_2_with_a_sentence(self):
        for args, want in (
            ([], "no model given"),
            ([MODEL, "--prot", "1"], "unknown flag --prot"),
            ([MODEL, "--port", "x"], "--port"),
            ([MODEL, "--api-key-file", "/nonexistent"], "/nonexistent"),
        ):
            code, text = self.run_serve(*args)
            self.assertEqual(code, 2, text)
            self.assertIn(want, text)

    def test_a_taken_port_is_named(self):
        port = free_port()
        import socket

        with socket.socket() as s:
            s.bind(("127.0.0.1", port))
            s.listen()
            code, text = self.run_serve(MODEL, "--port", str(port))
        self.assertEqual(code, 2, text)
        self.assertIn(str(port), text)

    def test_damaged_models_exit_78_naming_file_and_field(self):
        def config(key, value):
            def change(data):
                c = json.loads(data)
                c[key] = value
                return json.dumps(c).encode()

            return change

        for name, change, want in (
            ("config.json", lambda d: b"{", "config.json"),
            ("config.json", config("architectures", ["NoSuchModel"]), "NoSuchModel"),
            ("config.json", config("hidden_size", -1), "hidden_size"),
            ("config.json", config("num_hidden_layers", 1000), "model.layers."),
            ("model.safetensors", lambda d: d[:-1000], "model.safetensors"),
            ("model.safetensors", lambda d: b"\xff" * 8 + d[8:], "model.safetensors"),
            ("tokenizer.json", lambda d: d[: len(d) // 2], "tokenizer.json"),
        ):
            with self.subTest(name=name, want=want):
                code, text = self.run_serve(self.broken_model(name, change), "--port",
                                            str(free_port()))
                self.assertEqual(code, 78, text)
                self.assertIn(want, text)

    def test_check_config(self):
        r = subprocess.run([BINARY, "serve", MODEL, "--check-config"], capture_output=True,
                           text=True, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("max-num-seqs", r.stdout)

    def test_the_example_configuration_is_good(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        r = subprocess.run([BINARY, "serve", "--config", "configs/cpu.yaml", "--check-config"],
                           cwd=root, capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("drain-delay: 10", r.stdout)

    def test_help_and_version(self):
        r = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, timeout=10)
        self.assertEqual(r.returncode, 0)
        self.assertIn("--max-num-batched-tokens", r.stdout)
        self.assertEqual(subprocess.run([BINARY, "version"], capture_output=True).returncode, 0)


class ParallelLoad(ServerTest):
    FLAGS = ("--max-num-seqs", "16", "--kv-cache-memory-bytes", "4M", "--max-model-len", "1024")

    def test_a_crowd_with_little_memory_is_served_completely(self):
        results = []

        def one(i):
            body = dict(LONG, stream=False, max_tokens=60, seed=i)
            body["messages"] = [{"role": "user", "content": f"Tell story {i}. " + "x " * (7 * i)}]
            results.append(self.server.post("/v1/chat/completions", body, timeout=120)[0])

        threads = [threading.Thread(target=one, args=(i,)) for i in range(40)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [200] * 40)
        self.assertGreater(self.server.metric("vllm:num_preemptions_total"), 0)
