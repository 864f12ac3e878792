"""What pages of other sites may not do with a server on the user's machine."""

import json
import unittest

from harness import Server, ServerTest

ASK = {"model": "tiny", "prompt": "one", "max_tokens": 1}


class Rebinding(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "--allowed-host", "box.example")

    def as_host(self, host, method="GET", path="/v1/models", body=None, headers=None):
        status, _, data = self.server.request(method, path, body, {"Host": host, **(headers or {})})
        return status, data

    def test_names_of_this_machine_and_listed_ones_pass(self):
        port = self.server.port
        for host in ("localhost", f"localhost:{port}", "127.0.0.1", f"127.0.0.1:{port}",
                     f"127.9.9.9:{port}", f"[::1]:{port}", "box.example", f"BOX.example:{port}"):
            with self.subTest(host=host):
                self.assertEqual(self.as_host(host)[0], 200)

    def test_other_names_are_refused_everywhere(self):
        cases = [("GET", "/"), ("GET", "/web/playground.js"), ("GET", "/v1/models"),
                 ("GET", "/metrics"), ("GET", "/readyz"), ("GET", "/nothing"),
                 ("POST", "/v1/completions"), ("OPTIONS", "/v1/completions")]
        for method, path in cases:
            with self.subTest(method=method, path=path):
                body = json.dumps(ASK).encode() if method == "POST" else None
                status, data = self.as_host(f"evil.example:{self.server.port}", method, path, body,
                                            {"Content-Type": "application/json"})
                error = json.loads(data)["error"]
                self.assertEqual((status, error["code"]), (421, "host_not_allowed"))
                self.assertIn(f"The Host header 'evil.example:{self.server.port}'",
                              error["message"])
                self.assertIn("--allowed-host", error["message"])
        status, data = self.as_host("evil.example", "POST", "/v1/messages", b"{}")
        self.assertEqual((status, json.loads(data)["type"]), (421, "error"))

    def test_a_refused_body_is_not_taken_for_a_request(self):
        inner = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
        out = self.server.raw(b"POST /tokenize HTTP/1.1\r\nHost: evil.example\r\n"
                              b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
        self.assertEqual(out.count(b"HTTP/1.1 "), 1)
        self.assertTrue(out.startswith(b"HTTP/1.1 421 Misdirected Request\r\n"))

    def test_http_1_0_needs_no_host(self):
        self.assertIn(b" 200 OK", self.server.raw(b"GET /livez HTTP/1.0\r\n\r\n"))


class PublicAddress(unittest.TestCase):
    def test_names_are_free_unless_some_are_given(self):
        for flags, want in (((), 200), (("--allowed-host", "llm.example"), 421)):
            server = Server("--host", "0.0.0.0", "--served-model-name", "tiny", *flags)
            try:
                for host, status in (("llm.example", 200), ("10.0.0.7:8000", 200),
                                     ("other.example", want)):
                    got = server.request("GET", "/readyz", headers={"Host": host})[0]
                    self.assertEqual(got, status, (flags, host))
            finally:
                self.assertEqual(server.stop(), 0)


class Posts(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "--allowed-origins", "http://good.example")

    def post(self, headers, path="/v1/completions", body=None):
        body = json.dumps(ASK).encode() if body is None else body
        status, _, data = self.server.request("POST", path, body, headers)
        return status, json.loads(data)

    def test_what_a_browser_sends_without_asking_is_refused(self):
        origins = [{"Origin": "http://evil.example"}, {"Origin": "null"},
                   {"Origin": "http://good.example"}, {"Sec-Fetch-Site": "cross-site"}]
        types = ["text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded",
                 "multipart/form-data; boundary=b", None]
        for origin in origins:
            for kind in types:
                with self.subTest(origin=origin, kind=kind):
                    headers = {**origin, **({"Content-Type": kind} if kind else {})}
                    status, reply = self.post(headers)
                    self.assertEqual((status, reply["error"]["code"]),
                                     (415, "unsupported_content_type"))
                    self.assertIn("Content-Type", reply["error"]["message"])
        # nothing was done: a body-less cancel is a simple request too
        status, reply = self.post({"Origin": "http://evil.example"}, "/v1/requests/a/cancel", b"")
        self.assertEqual(status, 415)

    def test_json_passes_and_the_browser_asks_before_it(self):
        for origin, allowed in (("http://good.example", True), ("http://evil.example", False)):
            status, headers, _ = self.server.request(
                "OPTIONS", "/v1/completions",
                headers={"Origin": origin, "Access-Control-Request-Method": "POST",
                         "Access-Control-Request-Headers": "content-type"})
            self.assertEqual(status, 204)
            self.assertEqual("access-control-allow-headers" in headers, allowed)
            status, _ = self.post({"Origin": origin,
                                   "Content-Type": "application/json; charset=utf-8"})
            self.assertEqual(status, 200)

    def test_clients_that_are_no_pages_may_say_what_they_like(self):
        for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"},
                        {"Content-Type": "text/plain"}, {"Sec-Fetch-Mode": "cors"},
                        {"Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"}):
            with self.subTest(headers=headers):
                self.assertEqual(self.post(headers)[0], 200)
