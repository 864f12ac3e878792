"""The operator's unix socket: who may use it, what it does, and that the port does none of it."""

import http.client
import json
import os
import signal
import socket
import stat
import tempfile
import threading
import time
import unittest

from harness import Server

HELLO = [{"role": "user", "content": "Say hello."}]
LONG = {"model": "tiny", "messages": HELLO, "ignore_eos": True, "max_tokens": 2000}
PROMPT = {"model": "tiny", "prompt": "one two three four five six seven eight nine ten " * 4,
          "max_tokens": 1}


class UnixConnection(http.client.HTTPConnection):
    """What curl --unix-socket does."""

    def __init__(self, path):
        super().__init__("pagoda", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, method, target, body=None):
    """(status, parsed JSON or text)"""
    c = UnixConnection(path)
    try:
        c.request(method, target, body)
        r = c.getresponse()
        data = r.read()
        is_json = r.getheader("content-type", "").startswith("application/json")
        return r.status, json.loads(data) if is_json else data.decode()
    finally:
        c.close()


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pagoda-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "admin.sock")

    def serve(self, *flags, **more):
        return Server("--served-model-name", "tiny", "--admin-socket", self.path, *flags, **more)


class Verbs(Folder):
    def setUp(self):
        super().setUp()
        # two loops: the socket is the first one's, requests are on either
        self.server = self.serve("--api-key", "one", "two", "--http-threads", "2")
        self.addCleanup(self.stop)

    def stop(self):
        self.assertEqual(self.server.stop(), 0, self.server.read_log())

    def post(self, path, key, body=b"", headers=None):
        headers = {"authorization": f"Bearer {key}", **(headers or {})}
        status, _, data = self.server.request("POST", path, body, headers)
        return status, json.loads(data)

    def cached(self):
        status, reply = self.post("/v1/completions", "one", PROMPT)
        self.assertEqual(status, 200, reply)
        return reply["usage"]["prompt_tokens_details"]["cached_tokens"]

    def wait_listed(self, state):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            listed = ask(self.path, "GET", "/requests")[1]["data"]
            if listed and listed[0]["state"] == state and listed[0]["output_tokens"] > 0:
                return listed
            time.sleep(0.02)
        raise AssertionError(f"not {state}: {listed}")

    def test_the_file_is_its_owners_alone(self):
        info = os.lstat(self.path)
        self.assertTrue(stat.S_ISSOCK(info.st_mode))
        self.assertEqual(stat.S_IMODE(info.st_mode), 0o600)
        self.assertEqual(info.st_uid, os.geteuid())

    def test_a_reset_empties_the_cache(self):
        self.assertEqual(self.cached(), 0)
        self.assertGreater(self.cached(), 0)
        status, reply = ask(self.path, "POST", "/reset_prefix_cache")
        self.assertEqual((status, reply["object"]), (200, "prefix_cache.reset"))
        self.assertGreater(reply["pages_freed"], 0)
        self.assertEqual(reply["pages_kept"], 0)
        self.assertEqual(self.cached(), 0)
        self.assertGreater(self.cached(), 0)

    def test_any_tenants_request_is_listed_and_cancelled(self):
        replies = []
        thread = threading.Thread(target=lambda: replies.append(
            self.post("/v1/chat/completions", "one", LONG, {"x-request-id": "job-1"})))
        thread.start()
        (row,) = self.wait_listed("running")
        self.assertEqual((row["id"], row["route"], row["tenant"]), ("job-1", "chat", "key-0"))
        self.assertGreater(row["prompt_tokens"], 0)
        self.assertEqual(self.post("/v1/requests/job-1/cancel", "two")[0], 404)
        # a reset in between frees nothing under the running one
        self.assertEqual(ask(self.path, "POST", "/reset_prefix_cache")[0], 200)
        status, reply = ask(self.path, "POST", "/requests/job-1/cancel")
        self.assertEqual((status, reply["cancelled"]), (200, True))
        thread.join(20)
        status, reply = replies[0]
        self.assertEqual((status, reply["error"]["code"]), (499, "request_cancelled"))
        self.assertEqual(ask(self.path, "POST", "/requests/job-1/cancel")[0], 404)
        self.assertEqual(ask(self.path, "GET", "/requests")[1]["data"], [])

    def test_it_answers_probes_and_numbers_without_a_key_and_no_model(self):
        self.assertEqual(ask(self.path, "GET", "/readyz"), (200, {"status": "ready"}))
        self.assertEqual(ask(self.path, "GET", "/server_info")[1]["state"], "ready")
        self.assertIn("pagoda_http_connections", ask(self.path, "GET", "/metrics")[1])
        for method, target in (("POST", "/v1/completions"), ("GET", "/v1/models"), ("GET", "/"),
                               ("GET", "/status"), ("POST", "/v1/requests/a/cancel")):
            status, reply = ask(self.path, method, target, b"{}" if method == "POST" else None)
            self.assertEqual((status, reply["error"]["code"]), (404, "unknown_url"), target)
        status, reply = ask(self.path, "GET", "/reset_prefix_cache")
        self.assertEqual((status, reply["error"]["code"]), (405, "method_not_supported"))

    def test_the_port_knows_none_of_it(self):
        for method, target in (("POST", "/reset_prefix_cache"), ("GET", "/requests"),
                               ("POST", "/requests/a/cancel")):
            for headers in ({}, {"authorization": "Bearer one"}):
                status, _, data = self.server.request(method, target, headers=headers)
                code = json.loads(data)["error"]["code"]
                self.assertEqual((status, code), (404, "unknown_url"), target)


class File(Folder):
    def test_it_comes_and_goes_with_the_server(self):
        server = self.serve()
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.lexists(self.path))

    def test_it_serves_while_the_model_loads_and_while_the_server_drains(self):
        server = self.serve("--drain-timeout", "60", wait=False)
        end = time.monotonic() + 20
        while not os.path.lexists(self.path) and time.monotonic() < end:
            time.sleep(0.002)
        status, reply = ask(self.path, "POST", "/reset_prefix_cache")
        self.assertIn((status, reply.get("error", {}).get("code")),
                      ((503, "model_loading"), (200, None)))
        server.wait_ready()
        # it would outlast the test: only the cancel ends the drain
        thread = threading.Thread(target=lambda: server.request(
            "POST", "/v1/chat/completions", LONG, {"x-request-id": "long"}))
        thread.start()
        server.wait_metric("vllm:num_requests_running", 1)
        server.process.send_signal(signal.SIGTERM)
        while ask(self.path, "GET", "/server_info")[1]["state"] != "draining":
            time.sleep(0.01)
        self.assertEqual(ask(self.path, "POST", "/requests/long/cancel")[0], 200)
        thread.join(20)
        self.assertEqual(server.process.wait(30), 0, server.read_log())
        self.assertFalse(os.path.lexists(self.path))

    def test_that_of_a_dead_server_is_replaced(self):
        dead = self.serve()
        dead.process.kill()
        dead.process.wait()
        self.assertTrue(os.path.lexists(self.path))
        server = self.serve()
        self.assertEqual(ask(self.path, "GET", "/livez")[0], 200)
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.lexists(self.path))

    def test_that_of_a_live_one_is_not(self):
        server = self.serve()
        second = self.serve(wait=False)
        self.assertEqual(second.process.wait(30), 2)
        self.assertIn(f"admin socket {self.path}: another process listens there", second.read_log())
        self.assertEqual(ask(self.path, "GET", "/livez")[0], 200)
        self.assertEqual(server.stop(), 0)

    def test_a_file_that_is_no_socket_stays(self):
        with open(self.path, "w") as f:
            f.write("mine")
        server = self.serve(wait=False)
        self.assertEqual(server.process.wait(30), 2)
        self.assertIn("no socket", server.read_log())
        with open(self.path) as f:
            self.assertEqual(f.read(), "mine")
