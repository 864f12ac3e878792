"""What a client and a supervisor see of the GPU backend: a library of another build, and a GPU that
fails in the middle of streams. The library is a fake (tests/unit/device/fake_cuda.c) that samples
one token for ever and fails after 40 steps of 10 ms."""

import http.client
import json
import os
import shutil
import tempfile
import time
import unittest

import harness
from harness import BINARY, MODEL, Server

NAME = os.path.basename(MODEL)
BUILD = os.path.dirname(os.path.abspath(BINARY))
FAKE = os.path.join(BUILD, "fake", "libpagoda_cuda.so")


@unittest.skipUnless(os.path.exists(FAKE), "the fake CUDA library was not built")
class FailingGpu(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.binary = shutil.copy(BINARY, self.folder)  # it looks beside itself
        self.library = shutil.copy(FAKE, self.folder)
        self.addCleanup(setattr, harness, "BINARY", harness.BINARY)
        harness.BINARY = self.binary

    def test_streams_end_with_an_error_and_the_process_leaves_with_71(self):
        server = Server("--device", "cuda")
        self.addCleanup(server.stop)
        self.assertIn("cuda made of paper", server.read_log())
        c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        c.request("POST", "/v1/completions", json.dumps(
            {"model": NAME, "prompt": "Hi", "max_tokens": 2000, "ignore_eos": True,
             "stream": True}), {"Content-Type": "application/json"})
        r = c.getresponse()
        self.assertEqual(r.status, 200)
        self.addCleanup(c.close)
        events = [e for e in r.read().decode().split("\n\n")
                  if e.startswith("data: ") and "[DONE]" not in e]
        failed = time.monotonic()
        self.assertGreater(len(events), 5, "the stream had begun")
        self.assertIn("error", json.loads(events[-1][6:]))
        self.assertEqual(server.process.wait(timeout=5), 71, server.read_log())
        self.assertLess(time.monotonic() - failed, 5)
        self.assertIn("fell off the bus", server.read_log())

    def test_health_turns_false_and_new_requests_are_refused(self):
        server = Server("--device", "auto")
        self.addCleanup(server.stop)
        keep = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        status, seen = 200, set()
        keep.request("POST", "/v1/completions", json.dumps(
            {"model": NAME, "prompt": "Hi", "max_tokens": 2000, "ignore_eos": True}),
            {"Content-Type": "application/json"})
        self.assertEqual(keep.getresponse().status, 503)
        keep.close()
        while server.process.poll() is None:
            try:
                seen.add(server.get("/health")[0])
                status = server.post("/v1/completions", {
                    "model": NAME, "prompt": "Hi", "max_tokens": 1})[0]
            except OSError:
                pass
            time.sleep(0.01)
        self.assertIn(503, seen, server.read_log())
        self.assertEqual(status, 503)
        self.assertEqual(server.process.returncode, 71)

    def test_a_library_of_another_build_is_refused(self):
        with open(self.library, "rb") as f:
            data = f.read()
        with open(self.binary, "rb") as f:
            program = f.read()
        at = next(i for i in range(0, len(data) - 32) if data[i:i + 32].isalnum()
                  and all(b in b"0123456789abcdef" for b in data[i:i + 32])
                  and data[i:i + 32] in program)
        with open(self.library, "wb") as f:
            f.write(data[:at] + b"0" * 32 + data[at + 32:])
        server = Server("--device", "cuda", wait=False)
        self.assertEqual(server.process.wait(timeout=20), 78, server.read_log())
        self.assertIn("install both from one build", server.read_log())


if __name__ == "__main__":
    unittest.main()
