"""The playground and the status page: over plain HTTP, and in a headless Chromium."""

import gzip
import json
import shutil
import signal
import subprocess
import threading
import unittest

import chromium
from harness import Server, ServerTest

READY = "document.querySelector('#health').textContent === 'ready'"
FILES = ("/", "/status", "/web/style.css", "/web/playground.js", "/web/answer.js", "/web/client.js",
         "/web/form.js", "/web/status.js", "/web/metrics.js", "/web/dom.js", "/web/icon.svg")


class Pages(unittest.TestCase):
    """What is served, without a browser."""

    def test_packed_pages_hold_the_plain_ones(self):
        server = Server()
        total = 0
        for path in FILES:
            plain = server.request("GET", path)[2]
            status, headers, packed = server.request("GET", path, headers={"Accept-Encoding": "gzip"})
            self.assertEqual((status, headers["content-encoding"]), (200, "gzip"), path)
            self.assertEqual(gzip.decompress(packed), plain, path)
            total += len(packed)
        self.assertLessEqual(total, 60 * 1024)
        self.assertEqual(server.stop(), 0)

    def test_they_are_off_on_a_public_address_and_on_when_asked_for(self):
        for flags, on in ((("--host", "0.0.0.0"), False), (("--playground", "off"), False),
                          (("--host", "0.0.0.0", "--playground", "on"), True)):
            with self.subTest(flags=flags):
                server = Server(*flags)
                self.assertEqual(server.get("/status")[0], 200 if on else 404)
                self.assertEqual(server.get("/web/style.css")[0], 200 if on else 404)
                kind = server.request("GET", "/", headers={"Accept": "text/html"})[1]["content-type"]
                self.assertEqual(kind, "text/html; charset=utf-8" if on else "application/json")
                self.assertEqual(server.stop(), 0)


class BrowserTest(ServerTest):
    """Tests that share a server and a browser; each gets a tab of its own."""

    @classmethod
    def setUpClass(cls):
        if chromium.find() is None:
            raise unittest.SkipTest("no chromium here (apt-get install chromium): the playground was "
                                    "not tried in a browser")
        super().setUpClass()
        cls.browser = chromium.Browser()
        cls.addClassCleanup(cls.browser.close)

    def open(self, path="/", wait=READY, **options):
        page = self.browser.page(**options)
        self.addCleanup(page.close)
        page.goto(self.server.url + path)
        page.wait(wait)
        return page

    def ask(self, page, text):
        """Type a message, press Enter, wait for the end of the answer; returns its text."""
        before = page.evaluate("document.querySelectorAll('.turn.assistant').length")
        page.fill("#draft", text)
        page.key("Enter")
        return self.answer(page, before + 1)

    def answer(self, page, number):
        page.wait(f"document.querySelectorAll('.turn.assistant').length === {number} && "
                  "document.querySelector('#send').textContent === 'Send'")
        return page.evaluate("[...document.querySelectorAll('.answer')].at(-1).innerText")

    def assert_quiet(self, page, *known):
        """No exception, no refusal by the content policy, nothing asked of other servers."""
        self.assertEqual([c for c in page.complaints() if not any(k in c for k in known)], [])
        for request in page.requests():
            self.assertTrue(request["url"].startswith(self.server.url + "/"), request["url"])


class Chat(BrowserTest):
    def test_an_answer_streams_and_survives_a_reload(self):
        page = self.open()
        page.evaluate("window.sizes = new Set(); new MutationObserver(() => sizes.add("
                      "document.querySelector('.answer')?.innerText.length)).observe("
                      "document.querySelector('#log'), {subtree: true, childList: true})")
        page.fill("#temperature", "0")
        answer = self.ask(page, "Tell me a short story.")
        self.assertGreater(page.evaluate("sizes.size"), 5, "the answer came in one piece")
        for fact in ("to first token", "tokens/s", "tokens out", "tokens in (0 cached)", "in all"):
            self.assertIn(fact, answer)
        plain = self.server.post("/v1/chat/completions", {
            "model": "pagoda-tiny", "temperature": 0,
            "messages": [{"role": "user", "content": "Tell me a short story."}]})[1]
        text = plain["choices"][0]["message"]["content"]
        self.assertEqual(page.text(".answer .text"), text)
        spoken = page.evaluate("document.querySelector('#announce').textContent")
        self.assertTrue(spoken and text.endswith(spoken), spoken)
        page.reload()
        page.wait(READY)
        self.assertEqual(page.text(".answer .text"), text)
        self.assertEqual(page.evaluate("document.querySelector('#temperature').value"), "0")
        self.assertRegex(self.ask(page, "And one more."), r"tokens in \([1-9]\d* cached\)")
        self.assert_quiet(page)

    def test_stop_ends_the_answer_on_the_server_too(self):
        page = self.open()
        page.evaluate("new MutationObserver((_, o) => { if (document.querySelector('.answer .text')"
                      "?.textContent) { o.disconnect(); document.querySelector('#send').click(); } })"
                      ".observe(document.querySelector('#log'), {subtree: true, childList: true})")
        answer = self.ask(page, "Tell me a short story.")
        self.assertTrue(answer.endswith("stopped"), answer)
        self.server.wait_metric("pagoda_num_requests_running", 0)
        self.assert_quiet(page)

    def test_the_last_turn_can_be_edited_and_made_again(self):
        page = self.open()
        page.fill("#temperature", "0")
        self.assertIn("Paris", self.ask(page, "What is the capital of France?"))
        page.click(".turn.user .actions button")
        self.assertEqual(page.evaluate("document.querySelector('#draft').value"),
                         "What is the capital of France?")
        self.assertEqual(page.evaluate("document.querySelector('#log').childElementCount"), 0)
        self.assertIn("Tokyo", self.ask(page, "What is the capital of Japan?"))
        page.click(".turn.assistant .actions button:last-child")
        self.assertIn("Tokyo", self.answer(page, 1))
        page.click("#clear")
        self.assertTrue(page.evaluate("!document.querySelector('#empty').hidden"))
        self.assert_quiet(page)

    def test_tokens_are_coloured_and_tell_their_alternatives_to_the_keyboard(self):
        page = self.open()
        page.click("#logprobs")
        page.fill("#top_logprobs", "3")
        page.fill("#temperature", "1.5")
        self.ask(page, "Tell me a short story.")
        joined = page.evaluate("document.querySelector('.tokens').textContent")
        self.assertEqual(page.evaluate("JSON.parse(sessionStorage['pagoda.chat']).at(-1).content"), joined)
        self.assertGreater(page.evaluate("new Set([...document.querySelectorAll('.token')]"
                                         ".map((t) => t.className)).size"), 2)
        self.assertEqual(page.evaluate("document.querySelectorAll('.token[tabindex=\"0\"]').length"), 1)
        page.evaluate("document.querySelector('.token').focus()")
        page.key("ArrowRight")
        self.assertTrue(page.evaluate("document.activeElement === document.querySelectorAll('.token')[1]"))
        self.assertRegex(page.text("#tip"), r"logprob -?\d")
        self.assertEqual(page.evaluate("document.querySelectorAll('#tip li').length"), 3)
        page.key("Escape")
        self.assertTrue(page.evaluate("document.querySelector('#tip').hidden"))
        self.assert_quiet(page)

    def test_calls_are_shown_and_take_results(self):
        page = self.open()
        page.fill("#temperature", "0")
        page.evaluate("document.querySelectorAll('#settings details').forEach((d) => { d.open = true; })")
        page.click("[data-example=tools]")
        answer = self.ask(page, "What is the weather in Paris?")
        self.assertIn("get_weather", answer)
        self.assertIn('"city": "Paris"', answer)
        page.fill("#result-0", '{"temperature": 18, "sky": "cloudy"}')
        page.click(".results button")
        self.assertIn("18", self.answer(page, 2))
        sent = json.loads(page.requests("POST")[-1]["postData"])
        self.assertEqual([m["role"] for m in sent["messages"]], ["user", "assistant", "tool"])
        self.assert_quiet(page)

    def test_errors_name_their_field(self):
        page = self.open()
        page.fill("#temperature", "7")
        answer = self.ask(page, "Hi")
        self.assertIn("Expected a value <= 2", answer)
        self.assertIn("Field: temperature", answer)
        self.assertEqual(page.evaluate("document.querySelector('[aria-invalid]').id"), "temperature")
        page.fill("#temperature", "0")
        page.click(".turn.assistant .actions button:last-child")
        self.assertNotIn("Expected", self.answer(page, 1))
        posts = len(page.requests("POST"))
        page.evaluate("document.querySelectorAll('#settings details').forEach((d) => { d.open = true; })")
        page.fill("#schema", '{"type": ')
        page.fill("#draft", "Hi")
        page.key("Enter")
        page.wait("document.querySelector('#schema-error').textContent.includes('no JSON')")
        self.assertEqual(page.evaluate("document.activeElement.id"), "schema")
        self.assertEqual(len(page.requests("POST")), posts, "it was sent all the same")
        self.assert_quiet(page, "status of 400")

    def test_a_schema_is_sent_as_response_format(self):
        page = self.open()
        page.evaluate("document.querySelectorAll('#settings details').forEach((d) => { d.open = true; })")
        page.click("[data-example=schema]")
        self.ask(page, "Ada is 36 years old.")
        sent = json.loads(page.requests("POST")[-1]["postData"])
        self.assertEqual(sent["response_format"]["type"], "json_schema")
        self.assertEqual(sent["response_format"]["json_schema"]["schema"]["required"], ["name", "age"])

    def test_the_curl_line_does_what_the_page_did(self):
        page = self.open()
        page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        page.fill("#temperature", "0")
        page.fill("#draft", "What's the capital of \"France\"?\n`$HOME` \\ '")
        page.click("#curl")
        command = page.wait("window.copied")
        if shutil.which("curl"):
            out = subprocess.run(["sh", "-c", command.replace("curl ", "curl -s ", 1)],
                                 capture_output=True, timeout=60, check=True).stdout.decode()
            curl = "".join(json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                           for line in out.split("\n") if line.startswith('data: {"') and '"delta"' in line)
            page.click("#send")
            self.answer(page, 1)
            self.assertEqual(page.evaluate("JSON.parse(sessionStorage['pagoda.chat']).at(-1).content"), curl)

    def test_markup_is_text_and_cannot_be_anything_else(self):
        page = self.open()
        self.ask(page, "<img src=x onerror=\"window.bad = 1\"> **bold** `<b>code</b>`")
        self.assertFalse(page.evaluate("document.querySelector('#log img, #log b:not(.facts b)')"))
        self.assertIn("<img src=x", page.text(".turn.user"))
        self.assertFalse(page.evaluate("'bad' in window"))
        refused = page.evaluate("(() => { try { document.querySelector('#log').innerHTML = '<i>x</i>'; }"
                                " catch (e) { return e.name; } })()")
        self.assertEqual(refused, "TypeError", "trusted types do not hold")
        self.assert_quiet(page, "TrustedHTML")

    def play(self, page, *chunks):
        """Answer the page's next chat request with these chunks instead of the server's."""
        data = "".join(f"data: {json.dumps(c) if isinstance(c, dict) else c}\n\n" for c in chunks)
        page.evaluate(f"(() => {{ const real = fetch; window.fetch = (url, init) => init?.method === 'POST'"
                      f" ? Promise.resolve(new Response({json.dumps(data)})) : real(url, init); }})()")

    def test_reasoning_is_folded_and_markers_of_tokens_have_their_place(self):
        def chunk(delta, *tokens):
            return {"choices": [{"index": 0, "delta": delta, "logprobs": {"content": [
                {"token": t, "logprob": -0.5, "bytes": b, "top_logprobs": []} for t, b in tokens]}}]}
        page = self.open()
        self.play(page, chunk({"role": "assistant", "content": ""}),
                  chunk({"reasoning_content": "Hm.", "reasoning": "Hm."}, ("<t>Hm.", list(b"<t>Hm."))),
                  chunk({"content": ""}, ("\\xc3", [0xC3])),
                  chunk({"content": "\u00e9!"}, ("!", [0xA9, 0x21])),
                  {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, "[DONE]")
        answer = self.ask(page, "Think.")
        self.assertIn("\u00e9!", answer)
        self.assertFalse(page.evaluate("document.querySelector('.reasoning').open"))
        self.assertEqual(page.evaluate("document.querySelector('.thought').textContent"), "Hm.")
        self.assertEqual(page.evaluate("document.querySelector('.raw .tokens').textContent"), "<t>Hm.\u00e9!")
        self.assert_quiet(page)

    def test_what_breaks_in_the_middle_keeps_what_came(self):
        part = {"choices": [{"index": 0, "delta": {"content": "Half an"}}]}
        failure = {"error": {"message": "The step failed.", "code": "internal_error"}}
        for chunks, words in (((part, failure), ("The step failed.", "internal_error")),
                              ((part,), ("The connection ended",))):
            page = self.open()
            self.play(page, *chunks)
            answer = self.ask(page, "Go on.")
            for word in ("Half an", "Try again", *words):
                self.assertIn(word, answer + page.text(".turn.assistant .actions"))
            self.assert_quiet(page)

    def test_streams_are_read_alike_wherever_they_are_cut(self):
        page = self.open()
        good = page.evaluate("""(async () => {
          const { eventsOf } = await import("./web/client.js");
          const bytes = new TextEncoder().encode(': hi\\n\\ndata: {"a":"é😀"}\\r\\n\\r\\n' +
            "id: 1\\ndata:b\\ndata: c\\n\\ndata: lost");
          const want = JSON.stringify(['{"a":"é😀"}', "b\\nc"]);
          const wrong = [];
          for (let cut = 0; cut <= bytes.length; cut++) {
            const stream = new ReadableStream({ start(c) {
              c.enqueue(bytes.slice(0, cut)); c.enqueue(bytes.slice(cut)); c.close(); } });
            const events = [];
            for await (const e of eventsOf(stream)) events.push(e);
            if (JSON.stringify(events) !== want) wrong.push([cut, events]);
          }
          return wrong;
        })()""")
        self.assertEqual(good, [])

    def test_text_is_cut_into_paragraphs_and_code(self):
        page = self.open()
        blocks = page.evaluate("""(async () => {
          const { blocksOf } = await import("./web/answer.js");
          const texts = ["a\\n\\n\\nb\\nc", "x\\n```py\\n1\\n\\n2\\n```\\ny", "```\\nopen",
                         "~~~\\n```\\n~~~\\n", ""];
          return texts.map((t) => blocksOf(t).map((b) => (b.code ? "C:" : "P:") + b.text));
        })()""")
        self.assertEqual(blocks, [["P:a", "P:b\nc"], ["P:x", "C:1\n\n2", "P:y"], ["C:open"], ["C:```"], []])


class Access(BrowserTest):
    def test_all_can_be_reached_and_seen_by_the_keyboard(self):
        page = self.open()
        page.evaluate("document.querySelectorAll('#settings details').forEach((d) => { d.open = true; });"
                      "document.querySelector('.skip').focus()")
        seen = []
        for _ in range(60):
            name, outline = page.evaluate(
                "(() => { const e = document.activeElement; const s = getComputedStyle(e);"
                " return [e.id || e.textContent.trim().slice(0, 20), s.outlineStyle + s.outlineWidth]; })()")
            if page.evaluate("document.activeElement === document.body"):
                break  # past the last one
            self.assertEqual(outline, "solid2px", f"{name} does not show its focus")
            seen.append(name)
            page.key("Tab")
        wanted = ["model", "toggle-settings", "scroll", "draft", "curl", "send", "system", "temperature",
                  "stop", "logprobs", "schema", "tools", "tool_choice", "key", "reset"]
        self.assertEqual([n for n in seen if n in wanted], wanted)

    def test_every_field_has_a_name(self):
        for path in ("/", "/status"):
            page = self.open(path)
            unnamed = page.evaluate("[...document.querySelectorAll('input, select, textarea')].filter("
                                    "(e) => !e.labels.length).map((e) => e.id)")
            self.assertEqual(unnamed, [])
            self.assertEqual(page.evaluate("document.documentElement.lang"), "en")

    def test_a_phone_never_scrolls_sideways(self):
        wide = "document.documentElement.scrollWidth > innerWidth"
        page = self.open(width=360, height=640, touch=True)
        page.evaluate("document.querySelector('#logprobs').checked = true")
        page.fill("#draft", "Repeat: " + "w" * 200)
        page.click("#send")
        self.answer(page, 1)
        self.assertFalse(page.evaluate(wide))
        page.click("#toggle-settings")
        self.assertTrue(page.evaluate("document.querySelector('#system').offsetHeight > 0"))
        self.assertFalse(page.evaluate(wide))
        small = page.evaluate("[...document.querySelectorAll('button, select, input')].filter("
                              "(e) => e.offsetHeight && e.offsetHeight < 40 && e.type !== 'checkbox')"
                              ".map((e) => e.id || e.textContent)")
        self.assertEqual(small, [], "too small for a finger")
        self.assertFalse(self.open("/status", width=360, height=640, touch=True).evaluate(wide))


class Key(BrowserTest):
    FLAGS = ("--api-key", "sesame-7", "--metrics-require-key")

    def test_a_key_is_asked_for_and_kept_in_memory_alone(self):
        page = self.open(wait="document.querySelector('#health').textContent === 'needs an API key'")
        self.ask(page, "Hi")
        self.assertIn("API key", page.text(".error"))
        self.assertEqual(page.evaluate("document.activeElement.id"), "key")
        page.fill("#key", "sesame-7")
        page.evaluate("document.querySelector('#draft').focus()")
        page.wait(READY)
        page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        self.assertNotIn("API key", self.ask(page, "Hi again"))
        page.click("#curl")
        self.assertIn('"authorization: Bearer $PAGODA_API_KEY"', page.wait("window.copied"))
        for place in ("JSON.stringify(sessionStorage) + JSON.stringify(localStorage) + document.cookie",
                      "window.copied", "location.href"):
            self.assertNotIn("sesame-7", page.evaluate(place))
        page.reload()
        page.wait("document.querySelector('#health').textContent === 'needs an API key'")
        self.assert_quiet(page, "status of 401")

    def test_the_status_page_asks_too(self):
        page = self.open("/status", wait="!document.querySelector('#key-form').hidden")
        page.fill("#key", "sesame-7")
        page.key("Enter")
        page.wait(READY)
        page.wait("document.querySelector('#key-form').hidden")
        page.wait("document.querySelector('#facts').innerText.includes('0.1.0')")


class Leaving(BrowserTest):
    def test_both_pages_say_that_the_server_is_about_to_go(self):
        server = Server("--drain-delay", "8")
        pages = [self.browser.page() for _ in range(2)]
        for page, path in zip(pages, ("/", "/status")):
            self.addCleanup(page.close)
            page.goto(server.url + path)
            page.wait(READY)
        server.process.send_signal(signal.SIGTERM)
        for page in pages:
            page.wait("document.querySelector('#health').textContent === "
                      "'The server is shutting down.'")
        # it still serves, and the form keeps its models
        self.assertEqual(pages[0].evaluate("document.querySelector('#model').value"), "pagoda-tiny")
        self.assertEqual(server.process.wait(30), 0, server.read_log())
        for page in pages:
            page.wait("document.querySelector('#health').textContent === "
                      "'The server cannot be reached.'")


class Status(BrowserTest):
    FLAGS = ("--kv-cache-memory-bytes", "4M")

    def test_numbers_follow_the_server(self):
        page = self.open("/status")
        body = {"model": "pagoda-tiny", "temperature": 0, "max_tokens": 40, "ignore_eos": True,
                "messages": [{"role": "user", "content": "What is the capital of France? " * 20}]}
        seen = threading.Event()  # the page looks once a second, an answer may take a tenth of that

        def keep_asking():
            while not seen.is_set():
                self.server.post("/v1/chat/completions", body)

        threads = [threading.Thread(target=keep_asking) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            page.wait("document.querySelector('#running').textContent > 0")
            page.wait("document.querySelector('.map .used') !== null")
            page.wait("document.querySelector('#out-rate').textContent !== '0.00'")
        finally:
            seen.set()
        for t in threads:
            t.join()
        page.wait("document.querySelector('#running').textContent === '0'")
        page.wait("document.querySelector('.map .cached') !== null")
        count = len(page.evaluate("[...document.querySelectorAll('.map span')].map((e) => e.className)"))
        blocks = int(self.server.metric("pagoda_kv_blocks"))
        self.assertEqual(count, min(blocks, 512))
        self.assertRegex(page.text("#hits"), r"^\d")
        done = int(self.server.metric("pagoda_request_success_total"))
        page.wait(f"document.querySelector('#facts').innerText.includes('Requests done\\n{done}')")
        self.assertRegex(page.text("#histograms"), rf"{done} measured")
        self.assertRegex(page.text("#histograms"), r"p50\s*\d")
        self.assert_quiet(page)

    def test_a_hidden_tab_asks_for_nothing(self):
        page = self.open("/status")
        page.evaluate("window.away = true; Object.defineProperty(document, 'hidden', {get: () => away});"
                      "document.dispatchEvent(new Event('visibilitychange'))")
        page.evaluate("new Promise((done) => setTimeout(done, 300))")  # what was under way may end
        before = len(page.requests())
        page.evaluate("new Promise((done) => setTimeout(done, 2500))")
        self.assertEqual(len(page.requests()), before)
        page.evaluate("away = false; document.dispatchEvent(new Event('visibilitychange'))")
        page.evaluate("new Promise((done) => setTimeout(done, 300))")
        self.assertGreater(len(page.requests()), before)

    def test_metrics_are_read_as_prometheus_means_them(self):
        page = self.open("/status")
        out = page.evaluate(r"""(async () => {
          const m = await import("./web/metrics.js");
          const f = m.parseMetrics('# HELP a b\na{x="1,\\"}\\n",y="2"} 3\na{x="4"} 1e2 1700000000\n' +
            'h_bucket{le="0.1"} 0\nh_bucket{le="0.2"} 4\nh_bucket{le="+Inf"} 8\nh_sum 3.5\nh_count 8\n');
          const h = m.histogramOf(f, "h");
          return [f.get("a")[0].labels.x, m.sumOf(f, "a"), m.sumOf(f, "a", {x: "4"}), h.counts, h.count,
                  m.quantileOf(h, 0.25), m.quantileOf(h, 0.99),
                  m.histogramSince(h, {...h, counts: [0, 3, 1], count: 4}).counts,
                  Number.isNaN(m.quantileOf({bounds: [1], counts: [0]}, 0.5))];
        })()""")
        self.assertEqual(out[:5], ['1,"}\n', 103, 100, [0, 4, 4], 8])
        self.assertAlmostEqual(out[5], 0.15)
        self.assertEqual(out[6:], [0.2, [0, 1, 3], True])

    def test_the_map_shows_shares_to_the_last_cell(self):
        page = self.open("/status")
        out = page.evaluate("""(async () => {
          const { cellsOf } = await import("./web/status.js");
          return [cellsOf([1, 2, 0, 1], 4), cellsOf([5, 3, 1, 7], 8), cellsOf([0, 0, 0, 9], 3)];
        })()""")
        self.assertEqual(out, [[0, 1, 1, 3], [0, 0, [[0, 0.5], [1, 1]], 1, [[2, 0.5], [3, 1]], 3, 3, 3],
                               [3, 3, 3]])
