"""pagoda chat through a pseudo terminal and through pipes."""

import fcntl
import http.server
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unittest

from harness import BINARY, ServerTest, free_port

PROMPT = "> "


class FakeServer:
    """An OpenAI-compatible server whose answers a test writes: `script` is called with the handler
    and the request's JSON for every chat completion. Keeps the requests."""

    def __init__(self, script):
        self.requests = []
        self.headers = []
        self.hung_up = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                self.reply(200, {"data": [{"id": "fake-1"}, {"id": "fake-2"}]})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                outer.headers.append(dict(self.headers))
                try:
                    script(self, body)
                except OSError:
                    outer.hung_up.set()
                self.close_connection = True

            def reply(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def begin(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()

            def chunk(self, data):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

            def event(self, data):
                text = data if isinstance(data, str) else json.dumps(data)
                self.chunk(f"data: {text}\n\n".encode())

            def text(self, text, kind="content"):
                self.event({"choices": [{"index": 0, "delta": {kind: text}}]})

            def end_answer(self, tokens):
                self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                self.event({"choices": [], "usage": {"prompt_tokens": 3,
                                                     "completion_tokens": tokens}})
                self.event("[DONE]")
                self.chunk(b"")

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


def echo(handler, body):
    handler.begin()
    handler.text("you said ")
    handler.text(body["messages"][-1]["content"])
    handler.end_answer(4)


def endless(handler, body):
    handler.begin()
    handler.text("once upon")
    while True:
        time.sleep(0.02)
        handler.text(" a time")


class Terminal:
    """pagoda at a pseudo terminal, as its controlling one."""

    def __init__(self, *args, env=None):
        self.screen = ""
        self.seen = 0
        self.parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(child)
        self.child = child  # kept open, to look at the settings afterwards

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environment = {**os.environ, "TERM": "xterm", **(env or {})}
        for name in ("NO_COLOR", "PAGODA_API_KEY"):
            if name not in (env or {}):
                environment.pop(name, None)
        self.process = subprocess.Popen(
            [BINARY, "chat", *args], stdin=child, stdout=child, stderr=child,
            env=environment, preexec_fn=take_terminal)

    def type(self, text):
        os.write(self.parent, text.encode() if isinstance(text, str) else text)

    def pump(self, seconds):
        if select.select([self.parent], [], [], seconds)[0]:
            self.screen += os.read(self.parent, 65536).decode(errors="replace")
            return True
        return False

    def expect(self, pattern, seconds=30):
        """Wait for a pattern behind what was already matched; returns the match."""
        end = time.monotonic() + seconds
        while True:
            m = re.compile(pattern, re.S).search(self.screen, self.seen)
            if m:
                self.seen = m.end()
                return m
            if time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} in {self.screen[self.seen:]!r}")
            self.pump(0.1)

    def prompt(self):
        return self.expect(re.escape(PROMPT) + r"(\x1b\[0m)?\r\x1b\[2C")

    def raw(self):
        return not termios.tcgetattr(self.child)[3] & termios.ICANON

    def finish(self, seconds=20):
        """Exit code; reads on meanwhile, so that the program does not block."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.pump(0.05)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running; the screen: {self.screen!r}")
        while self.pump(0):
            pass
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.parent)
        os.close(self.child)


class Case(unittest.TestCase):
    def fake(self, script=echo):
        server = FakeServer(script)
        self.addCleanup(server.close)
        return server

    def terminal(self, server, *args, env=None):
        t = Terminal("--url", server.url, *args, env=env)
        self.addCleanup(t.close)
        t.prompt()
        return t

    def assert_restored(self, t):
        self.assertEqual(termios.tcgetattr(t.child), t.before)
        self.assertEqual(t.screen.count("\x1b[?2004h"), t.screen.count("\x1b[?2004l"))
        self.assertGreater(t.screen.count("\x1b[?2004l"), 0)


class AtATerminal(Case):
    def test_a_prompt_is_answered_and_the_conversation_kept(self):
        server = self.fake()
        t = self.terminal(server, "--system", "be brief", "--temperature", "0.5",
                          "--max-tokens", "9")
        self.assertTrue(t.raw())
        t.type("hello\r")
        t.expect(r"you said hello\r\n")
        t.expect(r"\x1b\[2m\[4 tokens.*first after \d+ ms\]\x1b\[0m")
        t.prompt()
        t.type("again\r")
        t.expect("you said again")
        t.prompt()
        t.type("\x04")
        self.assertEqual(t.finish(), 0)
        self.assert_restored(t)
        self.assertEqual(server.requests[1], {
            "model": "fake-1",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "you said hello"},
                {"role": "user", "content": "again"},
            ],
            "temperature": 0.5,
            "max_tokens": 9,
            "stream": True,
            "stream_options": {"include_usage": True},
        })

    def test_the_line_is_edited_and_history_comes_back(self):
        server = self.fake()
        t = self.terminal(server)
        t.type("wörld\x1b[D\x1b[D\x1b[D\x1b[D\x7fW\x01hello \r")
        t.expect("you said")
        t.prompt()
        t.type("\x1b[A!\r")
        t.expect("you said")
        t.prompt()
        self.assertEqual([r["messages"][-1]["content"] for r in server.requests],
                         ["hello Wörld", "hello Wörld!"])

    def test_a_paste_of_several_lines_is_one_prompt(self):
        server = self.fake()
        t = self.terminal(server)
        t.type("\x1b[200~one\ntwo\x1b[31m\nthree\x1b[201~")
        t.expect("three")
        self.assertEqual(server.requests, [])
        t.type("\r")
        t.expect("you said")
        t.prompt()
        self.assertEqual(server.requests[0]["messages"][-1]["content"], "one\ntwo[31m\nthree")

    def test_ctrl_c_stops_an_answer_and_keeps_what_came(self):
        server = self.fake(endless)
        t = self.terminal(server)
        t.type("tell\r")
        t.expect("a time a time")
        t.type("\x03")
        t.expect(r"\[~\d+ tokens.*stopped\]")
        t.prompt()
        self.assertTrue(server.hung_up.wait(10), "the connection was not closed")
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "talk.json")
            t.type(f"/save {path}\r")
            t.expect("saved 2 messages")
            with open(path) as f:
                saved = json.load(f)
            self.assertEqual(saved[0], {"role": "user", "content": "tell"})
            self.assertRegex(saved[1]["content"], r"^once upon( a time)+$")
            t.prompt()
            t.type("/clear\r")
            t.prompt()
            t.type(f"/load {path}\r")
            t.expect("loaded 2 messages")
        t.prompt()
        t.type("/quit\r")
        self.assertEqual(t.finish(), 0)
        self.assert_restored(t)

    def test_ctrl_c_before_the_first_token_takes_the_prompt_back(self):
        silent = threading.Event()
        self.addCleanup(silent.set)
        server = self.fake(lambda handler, body: silent.wait(30))
        t = self.terminal(server)
        t.type("hello\r")
        end = time.monotonic() + 10
        while not server.requests and time.monotonic() < end:
            t.pump(0.05)
        t.type("\x03")
        t.expect("stopped before it began")
        t.prompt()
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "talk.json")
            t.type(f"/save {path}\r")
            t.expect("saved 0 messages")
        t.prompt()
        t.type("\x1b[A\x1b[A")
        t.expect("hello")

    def test_ctrl_c_at_the_prompt_drops_the_line(self):
        server = self.fake()
        t = self.terminal(server)
        t.type("not this\x03")
        t.prompt()
        t.type("this\r")
        t.expect("you said")
        t.prompt()
        self.assertEqual(server.requests[0]["messages"][-1]["content"], "this")

    def test_what_is_typed_during_an_answer_waits_for_the_prompt(self):
        go_on = threading.Event()

        def slow(handler, body):
            if len(body["messages"]) == 1:
                handler.begin()
                handler.text("slow")
                go_on.wait(20)
                handler.end_answer(1)
            else:
                echo(handler, body)

        server = self.fake(slow)
        t = self.terminal(server)
        t.type("first\r")
        t.expect("slow")
        t.type("second\r")
        time.sleep(0.1)
        go_on.set()
        t.expect("you said second")

    def test_control_characters_of_the_model_never_reach_the_terminal(self):
        def evil(handler, body):
            handler.begin()
            handler.text("a\x1b]0;owned\x07b\x1b")
            handler.text("[2Jc\x9b31md\rX\u202ee")
            handler.end_answer(1)

        t = self.terminal(self.fake(evil), env={"NO_COLOR": "1"})
        begin = len(t.screen)
        t.type("x\r")
        t.expect("tokens?.*first after")
        t.prompt()
        shown = t.screen[begin:]
        self.assertIn("a\u241b]0;owned\u2407b\u241b[2Jc\ufffd31md\u240dX\ufffde", shown)
        # the editor's own: erase below, cursor up, cursor right
        for sequence in re.findall(r"\x1b.{1,4}", shown):
            self.assertRegex(sequence, r"^\x1b\[(J|\d+[AC])")
        self.assertNotIn("\x07", shown)

    def test_no_color_is_respected(self):
        t = self.terminal(self.fake(), env={"NO_COLOR": "1"})
        t.type("x\r")
        t.expect(r"\n\[4 tokens")
        t.prompt()
        self.assertIsNone(re.search(r"\x1b\[[\d;]*m", t.screen))

    def test_reasoning_is_shown_apart_and_not_sent_back(self):
        def thinking(handler, body):
            handler.begin()
            handler.text("hmm", "reasoning_content")
            handler.text("yes")
            handler.end_answer(2)

        server = self.fake(thinking)
        t = self.terminal(server)
        t.type("x\r")
        t.expect(r"\x1b\[2mhmm\x1b\[0m\r\n\r\nyes\r\n")
        t.prompt()
        t.type("y\r")
        t.expect("yes")
        t.prompt()
        self.assertEqual(server.requests[1]["messages"][1],
                         {"role": "assistant", "content": "yes"})

    def test_an_error_of_the_server_is_shown_and_the_session_goes_on(self):
        def refuse(handler, body):
            if len(body["messages"][-1]["content"]) > 3:
                handler.reply(400, {"error": {"message": "too \x1b[7mlong"}})
            else:
                echo(handler, body)

        server = self.fake(refuse)
        t = self.terminal(server)
        t.type("longer\r")
        t.expect("error:.*too \u241b\\[7mlong \\(HTTP 400\\)")
        t.prompt()
        t.type("ok\r")
        t.expect("you said ok")
        self.assertEqual(len(server.requests[1]["messages"]), 1)

    def test_commands_list_models_and_explain_themselves(self):
        server = self.fake()
        t = self.terminal(server)
        t.type("/model\r")
        t.expect(r"\* fake-1\r\n  fake-2")
        t.type("/model fake-2\r")
        t.expect("asking fake-2")
        t.type("/help\r")
        t.expect("/system.*/quit")
        t.type("/nonsense\r")
        t.expect("no command /nonsense")
        t.type("//help\r")
        t.expect("you said /help")
        self.assertEqual(server.requests[0]["model"], "fake-2")

    def test_signals_give_the_terminal_back(self):
        for sig, script in ((signal.SIGTERM, echo), (signal.SIGHUP, endless),
                            (signal.SIGQUIT, endless)):
            with self.subTest(sig=sig):
                server = self.fake(script)
                t = self.terminal(server)
                if script is endless:
                    t.type("go\r")
                    t.expect("a time")
                self.assertTrue(t.raw())
                t.process.send_signal(sig)
                self.assertEqual(t.finish(), 128 + sig)
                self.assert_restored(t)

    def test_ctrl_z_stops_with_the_terminal_given_back(self):
        server = self.fake()
        t = self.terminal(server)
        t.type("half\x1a")
        self.assertTrue(os.WIFSTOPPED(os.waitpid(t.process.pid, os.WUNTRACED)[1]))
        self.assertEqual(termios.tcgetattr(t.child), t.before)
        t.process.send_signal(signal.SIGCONT)
        t.expect("half")
        t.type(" line\r")
        t.expect("you said")
        self.assertEqual(server.requests[0]["messages"][-1]["content"], "half line")

    def test_without_a_server_it_says_how_to_start_one(self):
        port = free_port()
        t = Terminal("--url", f"http://127.0.0.1:{port}")
        self.addCleanup(t.close)
        self.assertEqual(t.finish(), 1)
        self.assertIn(f"pagoda serve MODEL_DIR --port {port}", t.screen)
        self.assert_restored(t)


class InAPipe(Case):
    def chat(self, *args, text="", env=None):
        environment = {k: v for k, v in os.environ.items() if k != "PAGODA_API_KEY"}
        r = subprocess.run([BINARY, "chat", *args], input=text.encode(), capture_output=True,
                           timeout=60, env={**environment, **(env or {})})
        return r.returncode, r.stdout.decode(), r.stderr.decode()

    def test_every_line_is_a_prompt_of_one_conversation(self):
        server = self.fake()
        code, out, err = self.chat("--url", server.url, text="one\n\n/quit\r\nlast")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(out, "you said one\nyou said /quit\nyou said last\n")
        self.assertEqual(len(server.requests[2]["messages"]), 5)

    def test_once_takes_the_whole_input_as_one_prompt(self):
        server = self.fake()
        code, out, err = self.chat("--url", server.url + "/v1/", "--once", "--model", "m",
                                   text="one\ntwo\n")
        self.assertEqual((code, out, err), (0, "you said one\ntwo\n", ""))
        self.assertEqual(server.requests[0]["model"], "m")

    def test_the_key_comes_from_the_environment_or_a_flag(self):
        server = self.fake()
        self.chat("--url", server.url, text="x", env={"PAGODA_API_KEY": "first,second"})
        self.chat("--url", server.url, "--api-key", "mine", text="x",
                  env={"PAGODA_API_KEY": "first"})
        self.chat("--url", server.url, text="x")
        keys = [h.get("Authorization") for h in server.headers]
        self.assertEqual(keys, ["Bearer first", "Bearer mine", None])

    def test_reasoning_and_control_characters_stay_out(self):
        def evil(handler, body):
            handler.begin()
            handler.text("thoughts", "reasoning")
            handler.text("a\x1b[2Jb\n")
            handler.end_answer(1)

        code, out, _ = self.chat("--url", self.fake(evil).url, text="x")
        self.assertEqual((code, out), (0, "a\u241b[2Jb\n"))

    def test_an_answer_that_breaks_off_is_a_failure_after_its_text(self):
        def broken(handler, body):
            handler.begin()
            handler.text("half")
            if body["messages"][-1]["content"] == "event":
                handler.event({"error": {"message": "out of pages"}})

        server = self.fake(broken)
        code, out, err = self.chat("--url", server.url, text="event\nnever sent\n")
        self.assertEqual((code, out), (1, "half\n"))
        self.assertIn("out of pages", err)
        self.assertEqual(len(server.requests), 1)
        code, out, err = self.chat("--url", server.url, text="cut\n")
        self.assertEqual((code, out), (1, "half\n"))
        self.assertIn("closed the connection", err)

    def test_mistakes_have_exit_codes_and_sentences(self):
        port = free_port()
        server = self.fake(lambda handler, body: handler.reply(200, {"ok": True}))
        for args, want_code, want in (
            (["--url", "https://example.org"], 2, "https is not spoken"),
            (["--url", "http://host:x"], 2, "port"),
            (["--temperature", "hot"], 2, "--temperature"),
            (["--bogus"], 2, "unknown flag --bogus"),
            (["--api-key", "a b"], 2, "visible ASCII"),
            (["--url", f"http://127.0.0.1:{port}"], 1, f"pagoda serve MODEL_DIR --port {port}"),
            (["--url", server.url], 1, "OpenAI-compatible?"),
        ):
            with self.subTest(args=args):
                code, out, err = self.chat(*args, text="x\n")
                self.assertEqual((code, out), (want_code, ""), err)
                self.assertIn(want, err)
        code, _, err = self.chat("--url", server.url, "--once", text="\n")
        self.assertEqual(code, 1)
        self.assertIn("no prompt", err)
        self.assertEqual(self.chat("--help")[0], 0)


class WithPagoda(ServerTest):
    FLAGS = ("--api-key", "secret")

    def test_the_bundled_model_answers_at_a_terminal(self):
        t = Terminal("--url", self.server.url, "--temperature", "0", "--max-tokens", "20",
                     env={"PAGODA_API_KEY": "secret"})
        self.addCleanup(t.close)
        t.expect("at http://127.0.0.1")
        t.prompt()
        t.type("Tell me a story.\r")
        m = t.expect(r"\[(\d+) tokens?, ([\d.]+) tokens/s, first after \d+ ms", 60)
        self.assertLessEqual(int(m.group(1)), 20)
        t.prompt()
        t.type("\x04")
        self.assertEqual(t.finish(), 0)

    def test_a_stopped_answer_frees_its_slot(self):
        t = Terminal("--url", self.server.url, env={"PAGODA_API_KEY": "secret"})
        self.addCleanup(t.close)
        t.prompt()
        t.type("Tell me a very long story.\r")
        t.expect(r"\r\n\w+")
        t.type("\x03")
        t.prompt()
        self.server.wait_metric("vllm:num_requests_running", 0)

    def test_a_wrong_key_is_the_servers_own_message(self):
        r = subprocess.run([BINARY, "chat", "--url", self.server.url, "--api-key", "wrong"],
                           input=b"x\n", capture_output=True, timeout=60)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"HTTP 401", r.stderr)


if __name__ == "__main__":
    unittest.main()
