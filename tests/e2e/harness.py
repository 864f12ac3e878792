"""Starting and stopping servers, and plain HTTP over raw sockets."""

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

BINARY = os.environ.get("PAGODA_TEST_BINARY", "")
MODEL = os.environ.get("PAGODA_TEST_MODEL", "")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One pagoda process. Its log is kept and shown when something goes wrong."""

    def __init__(self, *flags, model=None, wait=True, env=None):
        self.port = free_port()
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.model = model or MODEL
        command = [BINARY, "serve", self.model, "--port", str(self.port), *flags]
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=self.log, env={**os.environ, **(env or {})}
        )
        self.url = f"http://127.0.0.1:{self.port}"
        if wait:
            self.wait_ready()

    def read_log(self):
        with open(self.log.name) as f:
            return f.read()

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"server exited {self.process.returncode}:\n{self.read_log()}")
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"server not ready:\n{self.read_log()}")

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, bytes)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
            c.request(method, path, data, headers or {})
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def get(self, path, headers=None):
        status, _, body = self.request("GET", path, headers=headers)
        return status, body

    def post(self, path, body, headers=None, timeout=60):
        """(status, parsed JSON)"""
        status, _, data = self.request("POST", path, body, headers, timeout)
        return status, json.loads(data)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def raw(self, data, timeout=10):
        """Send bytes, return everything until the server closes (or the timeout)."""
        with self.connect() as s:
            s.settimeout(timeout)
            s.sendall(data)
            out = b""
            try:
                while chunk := s.recv(65536):
                    out += chunk
            except (TimeoutError, ConnectionResetError):
                pass
            return out

    def metric(self, name):
        """Sum of all series of a family."""
        total = 0.0
        found = False
        for line in self.get("/metrics")[1].decode().splitlines():
            if line.startswith(name + "{") or line.startswith(name + " "):
                total += float(line.rsplit(" ", 1)[1])
                found = True
        if not found:
            raise AssertionError(f"no metric {name}")
        return total

    def wait_metric(self, name, value, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.metric(name) == value:
                return
            time.sleep(0.02)
        raise AssertionError(f"{name} is {self.metric(name)}, not {value}")

    def stop(self, sig=signal.SIGTERM, seconds=30):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"server did not stop:\n{self.read_log()}") from None
        return code

    def __del__(self):
        self.log.close()


class ServerTest(unittest.TestCase):
    """A test class that shares one server started with FLAGS."""

    FLAGS = ()
    ENV = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.FLAGS, env=cls.ENV)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        if code != 0:
            raise AssertionError(f"server exited {code}:\n{cls.server.read_log()}")


class ThinkingServerTest(ServerTest):
    """The bundled model does not think; a template that opens a block makes its answer reasoning."""

    @classmethod
    def setUpClass(cls):
        with open(os.path.join(MODEL, "tokenizer_config.json")) as f:
            template = json.load(f)["chat_template"]
        cls.file = tempfile.NamedTemporaryFile("w", suffix=".jinja")
        cls.file.write(template + "{{- '<think>\\n' if enable_thinking else '' -}}")
        cls.file.flush()
        cls.server = Server("--served-model-name", "tiny", "--chat-template", cls.file.name)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.file.close()


def sse_events(body):
    """Strict reading of an SSE body: the list of data payloads; comments are skipped."""
    assert body.endswith(b"\n\n"), "the last event is not terminated"
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        for line in block.split("\n"):
            if line.startswith(":"):
                continue
            assert line.startswith("data: "), f"unexpected SSE line {line!r}"
            events.append(line[6:])
    return events


def typed_events(body):
    """Strict reading of an SSE body whose events are named by the type of their data."""
    assert body.endswith(b"\n\n")
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        assert name.startswith("event: ") and data.startswith("data: "), block
        value = json.loads(data[6:])
        assert value["type"] == name[7:]
        events.append(value)
    return events
