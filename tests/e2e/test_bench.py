"""pagoda bench against a real server, and against servers that misbehave."""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import threading
import unittest
import xml.etree.ElementTree

from harness import BINARY, MODEL, ServerTest


def bench(*args):
    """(exit code, stdout, stderr, result file or None)"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result.json")
        run = subprocess.run(
            [BINARY, "bench", *args, "--json", path], capture_output=True, text=True, timeout=120
        )
        result = None
        if os.path.exists(path):
            with open(path) as f:
                result = json.load(f)
        return run.returncode, run.stdout, run.stderr, result


class AgainstPagoda(ServerTest):
    def serve(self, *args):
        code, out, err, result = bench("serve", "--url", self.server.url, *args)
        self.assertEqual(code, 0, out + err)
        self.assertEqual(result["result"]["errors"], {}, out)
        self.assertIn("output tokens/s", out)
        return result

    def test_closed_loop_counts_every_token(self):
        r = self.serve(
            "--concurrency", "4", "--num-requests", "20", "--input-len", "10:60",
            "--output-len", "5:12", "--seed", "3", "--warmup", "3", "--stagger", "0.05",
            "--goodput", "e2e:3600000",
        )
        result, rows = r["result"], r["per_request"]
        self.assertEqual(r["kind"], "serve")
        self.assertEqual(r["model"], "pagoda-tiny")
        self.assertEqual(r["workload"]["seed"], 3)
        self.assertIn("--goodput", r["command"])
        self.assertEqual(result["requests"], 20)
        self.assertEqual(result["succeeded"], 20)
        self.assertEqual(result["other_length"], 0)
        self.assertEqual(result["without_usage"], 0)
        self.assertEqual(result["prompt_tokens"], sum(rows["prompt_tokens"]))
        self.assertEqual(result["output_tokens"], sum(rows["output_tokens"]))
        self.assertTrue(all(10 <= n <= 60 for n in rows["prompt_tokens"]))
        self.assertTrue(all(5 <= n <= 12 for n in rows["output_tokens"]))
        self.assertEqual(r["load"]["loop"], "closed")
        self.assertEqual(r["load"]["peak_in_flight"], 4)
        self.assertEqual(result["goodput"]["n"], 20)
        self.assertGreater(result["steady"]["output_tokens"], 0)
        for name in ("ttft_ms", "tpot_ms", "e2e_ms"):
            s = result[name]
            self.assertEqual(s["n"], 20)
            order = [s[k] for k in ("min", "p50", "p90", "p95", "p99", "max")]
            self.assertEqual(order, sorted(order))
        for ttft, e2e in zip(rows["ttft_ms"], rows["e2e_ms"]):
            self.assertLessEqual(ttft, e2e)
        series = result["output_tokens_over_time"]
        self.assertAlmostEqual(
            sum(series["per_s"]) * series["bin_s"], result["output_tokens"], delta=1
        )

    def test_one_seed_asks_for_the_same(self):
        args = ("--num-requests", "5", "--input-len", "20:90", "--output-len", "1:9", "--seed")
        a, b, c = (self.serve(*args, seed)["per_request"] for seed in ("11", "11", "12"))
        self.assertEqual(a["prompt_tokens"], b["prompt_tokens"])
        self.assertEqual(a["output_tokens"], b["output_tokens"])
        self.assertNotEqual(a["prompt_tokens"], c["prompt_tokens"])
        # the second run finds the first one's prompts in the cache
        self.assertGreater(sum(b["cached_tokens"]), sum(a["cached_tokens"]))

    def test_text_is_as_long_as_asked(self):
        tokenizer = os.path.join(MODEL, "tokenizer.json")
        for args in (
            ("--endpoint", "chat"),
            ("--prompt", "text"),
            ("--prompt", "text", "--tokenizer", tokenizer),
            ("--prompt", "tokens", "--tokenizer", tokenizer),
            ("--prompt", "tokens", "--token-ids", "300:8000"),
        ):
            r = self.serve("--num-requests", "6", "--input-len", "40", "--output-len", "4", *args)
            self.assertEqual(r["per_request"]["prompt_tokens"], [40] * 6, args)
            self.assertEqual(r["per_request"]["output_tokens"], [4] * 6)

    def test_prefixes_are_found_in_the_cache(self):
        r = self.serve(
            "--workload", "prefix", "--num-prefixes", "2", "--prefix-len", "64", "--suffix-len",
            "16", "--output-len", "2", "--num-requests", "8",
        )
        cached = r["per_request"]["cached_tokens"]
        self.assertEqual(cached[:2], [0, 0])
        self.assertEqual(cached[2:], [64] * 6)
        self.assertEqual(r["result"]["cached_tokens"], sum(cached))

    def test_open_loop_by_rate(self):
        r = self.serve(
            "--rate", "200", "--num-requests", "30", "--input-len", "8", "--output-len", "2",
            "--concurrency", "3", "--connection", "close",
        )
        self.assertEqual(r["load"]["loop"], "open, by rate")
        self.assertLessEqual(r["load"]["peak_in_flight"], 3)
        self.assertEqual(r["result"]["start_lag_ms"]["n"], 30)
        self.assertGreaterEqual(r["load"]["connections"], 30)
        self.assertIsNone(r["result"]["steady"])

    def test_duration_bounds_the_run(self):
        r = self.serve("--duration", "0.3", "--input-len", "8", "--output-len", "2")
        self.assertGreater(r["result"]["requests"], 0)
        self.assertTrue(all(s <= 0.3 for s in r["per_request"]["start_s"]))

    def test_trace(self):
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as f:
            f.write("arrival_ms,input_tokens,output_tokens\n0,30,5\n40,40,6\n200,50,7\n")
            f.flush()
            args = ("--workload", "trace", "--trace", f.name)
            r = self.serve(*args, "--time-scale", "0.5")
            self.assertEqual(r["per_request"]["prompt_tokens"], [30, 40, 50])
            self.assertEqual(r["per_request"]["output_tokens"], [5, 6, 7])
            for start, arrival in zip(r["per_request"]["start_s"], (0, 0.02, 0.1)):
                self.assertGreaterEqual(start, arrival - 0.0001)
            code, _, err, _ = bench("serve", "--url", self.server.url, *args, "--num-requests", "4")
            self.assertEqual(code, 2)
            self.assertIn("only 3 requests", err)
            f.write("x,1,1\n")
            f.flush()
            code, _, err, _ = bench("serve", "--url", self.server.url, *args)
            self.assertEqual(code, 2)
            self.assertIn("line 5: arrival_ms: 'x'", err)

    def test_svg_is_well_formed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.svg")
            self.serve("--num-requests", "5", "--input-len", "8", "--output-len", "4", "--svg", path)
            root = xml.etree.ElementTree.parse(path).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        self.assertGreaterEqual(len(root.findall(".//{*}path")), 5)

    def test_a_refused_request_is_told_with_its_message(self):
        code, out, err, r = bench(
            "serve", "--url", self.server.url, "--model", "nope", "--num-requests", "3"
        )
        self.assertEqual(code, 1)
        self.assertIn("no request succeeded", err)
        self.assertEqual(r["result"]["errors"]["http_4xx"]["n"], 3)
        self.assertIn("nope", r["result"]["errors"]["http_4xx"]["first"])
        self.assertEqual(r["per_request"]["error"], ["http_4xx"] * 3)

    def test_extra_members_reach_the_server(self):
        code, _, _, r = bench(
            "serve", "--url", self.server.url, "--num-requests", "1", "--extra-body",
            '{"temperature": 9}',
        )
        self.assertEqual(code, 1)
        self.assertIn("temperature", r["result"]["errors"]["http_4xx"]["first"])


class ThousandStreams(ServerTest):
    FLAGS = (
        "--device", "sim", "--max-num-seqs", "1024", "--max-num-batched-tokens", "4096",
        "--max-queued-requests", "2048", "--log-level", "warning",
    )

    def test_a_thousand_streams_at_once(self):
        code, out, err, r = bench(
            "serve", "--url", self.server.url, "--concurrency", "1000", "--num-requests", "1500",
            "--input-len", "8", "--output-len", "20", "--timeout", "100",
        )
        self.assertEqual(code, 0, out + err)
        self.assertEqual(r["load"]["peak_in_flight"], 1000)
        self.assertEqual(r["result"]["succeeded"], 1500, r["result"]["errors"])
        self.assertEqual(r["result"]["output_tokens"], 1500 * 20)

    def test_an_interrupt_ends_the_run_with_a_result(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "r.json")
            p = subprocess.Popen(
                [BINARY, "bench", "serve", "--url", self.server.url, "--duration", "100",
                 "--input-len", "8", "--output-len", "4", "--json", path],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            self.server.wait_metric("vllm:num_requests_running", 1)
            p.send_signal(signal.SIGINT)
            self.assertEqual(p.wait(60), 0)
            with open(path) as f:
                self.assertTrue(json.load(f)["load"]["interrupted"])


class Odd:
    """A server that answers /v1/completions in one of several odd ways, on a thread of its own."""

    EVENT = b'data: {"choices":[{"text":"a","finish_reason":null}]}\n\n'
    LAST = (
        b'data: {"choices":[{"text":"b","finish_reason":"length"}]}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":4}}\n\n'
    )
    DONE = b"data: [DONE]\n\n"
    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

    def __init__(self, mode):
        self.mode = mode
        self.started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.main()))
        self.thread.start()
        self.started.wait()

    async def main(self):
        self.loop = asyncio.get_running_loop()
        self.over = asyncio.Event()
        server = await asyncio.start_server(self.client, "127.0.0.1", 0)
        self.url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        self.started.set()
        await self.over.wait()
        server.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()

    def chunked(self, *pieces):
        return b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(
            b"%x\r\n%s\r\n" % (len(p), p) for p in pieces
        )

    def answer(self):
        whole = self.EVENT + self.LAST + self.DONE
        return {
            "good": self.HEAD + self.chunked(self.EVENT, self.LAST, self.DONE) + b"0\r\n\r\n",
            "silent-close": self.HEAD + b"Content-Length: %d\r\n\r\n" % len(whole) + whole,
            "until-close": self.HEAD + b"\r\n" + whole,
            "500": b"HTTP/1.1 500 X\r\nContent-Length: 20\r\n\r\n" + b'{"error":"it broke"}',
            "cut": self.HEAD + self.chunked(self.EVENT),
            "no-finish": self.HEAD + self.chunked(self.EVENT) + b"0\r\n\r\n",
            "error-event": self.HEAD
                   + self.chunked(self.EVENT, b'data: {"error":{"message":"died"}}\n\n')
                   + b"0\r\n\r\n",
            "no-stream": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "garbage": b"no http at all\r\n\r\n",
            "stall": self.HEAD + self.chunked(self.EVENT),
        }[self.mode]

    async def client(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                await reader.readexactly(length)
                if b" /v1/completions " not in head:
                    writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                    continue
                for byte in self.answer():  # in the smallest pieces
                    writer.write(bytes([byte]))
                await writer.drain()
                if self.mode == "stall":
                    await asyncio.sleep(60)
                if self.mode in ("silent-close", "until-close", "cut", "garbage"):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


class AgainstOddServers(unittest.TestCase):
    def run_against(self, mode, *args):
        server = Odd(mode)
        try:
            return bench(
                "serve", "--url", server.url, "--model", "m", "--num-requests", "6",
                "--concurrency", "2", "--output-len", "4", *args,
            )
        finally:
            server.stop()

    def test_good_answers_of_every_framing(self):
        for mode in ("good", "silent-close", "until-close"):
            code, out, err, r = self.run_against(mode)
            self.assertEqual(code, 0, mode + out + err)
            self.assertEqual(r["result"]["succeeded"], 6, mode + out)
            self.assertEqual(r["result"]["output_tokens"], 24)
            self.assertEqual(r["result"]["prompt_tokens"], 42)
            self.assertIsNone(r["result"]["cached_tokens"])
            self.assertIn("words, not tokens", r["workload"]["prompts"])

    def test_kept_connections_are_used_again(self):
        r = self.run_against("good")[3]
        self.assertLessEqual(r["load"]["connections"], 3)
        r = self.run_against("good", "--connection", "close")[3]
        self.assertGreaterEqual(r["load"]["connections"], 6)

    def test_faults_are_counted_by_kind(self):
        kinds = {
            "500": "http_5xx", "cut": "closed", "no-finish": "closed", "error-event": "stream",
            "no-stream": "protocol", "garbage": "protocol",
        }
        for mode, kind in kinds.items():
            code, out, err, r = self.run_against(mode)
            self.assertEqual(code, 1, mode + out + err)
            self.assertEqual(r["result"]["failed"], 6, mode)
            self.assertEqual(list(r["result"]["errors"]), [kind], mode)
            self.assertEqual(r["result"]["errors"][kind]["n"], 6)

    def test_a_stalled_stream_times_out(self):
        r = self.run_against("stall", "--timeout", "0.2")[3]
        self.assertEqual(r["result"]["errors"]["timeout"]["n"], 6)

    def test_nobody_there(self):
        server = Odd("good")
        server.stop()
        code, _, err, r = bench("serve", "--url", "http://127.0.0.1:1")
        self.assertEqual(code, 1)
        self.assertIn("connection refused", err)
        self.assertIsNone(r)


class InProcess(unittest.TestCase):
    def test_latency(self):
        code, out, err, r = bench(
            "latency", MODEL, "--device", "cpu", "--batch-size", "3", "--input-len", "20",
            "--output-len", "5", "--iterations", "4", "--warmup", "1",
            "--kv-cache-memory-bytes", "64M",
        )
        self.assertEqual(code, 0, out + err)
        self.assertEqual(r["result"]["e2e_ms"]["n"], 4)
        # the engine may begin with the first request before the last one is there
        self.assertTrue(0 < r["result"]["decode_step_ms"]["n"] <= 4 * 4)
        self.assertLessEqual(r["result"]["ttft_ms"]["max"], r["result"]["e2e_ms"]["max"])
        self.assertEqual(r["engine"]["cached_tokens"], 0)
        self.assertIn("decode step", out)

    def test_throughput_with_random_weights(self):
        code, out, err, r = bench(
            "throughput", MODEL, "--load-format", "dummy", "--device", "cpu", "--num-requests",
            "9", "--input-len", "5:20", "--output-len", "6", "--max-num-seqs", "4",
            "--kv-cache-memory-bytes", "64M",
        )
        self.assertEqual(code, 0, out + err)
        self.assertEqual(r["result"]["requests"], 9)
        self.assertEqual(r["result"]["output_tokens"], 54)
        self.assertTrue(45 <= r["result"]["prompt_tokens"] <= 180)
        self.assertEqual(r["engine"]["load_format"], "dummy")


class CommandLine(unittest.TestCase):
    def test_help_and_mistakes(self):
        for args, code in (
            (["bench", "--help"], 0), (["bench"], 2), (["bench", "nope"], 2),
            (["bench", "serve", "--help"], 0), (["bench", "latency", "--help"], 0),
            (["bench", "throughput", "--help"], 0), (["bench", "serve"], 2),
            (["bench", "serve", "--url", "https://x"], 2), (["bench", "latency"], 2),
            (["bench", "serve", "--url", "http://x", "--goodput", "fast"], 2),
            (["bench", "serve", "--url", "http://x", "--extra-body", "[1]"], 2),
        ):
            run = subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=60)
            self.assertEqual(run.returncode, code, args)
            self.assertTrue(run.stdout if code == 0 else run.stderr, args)
            self.assertFalse(run.stderr if code == 0 else run.stdout, args)
