"""The official anthropic client, unchanged, against /v1/messages."""

import json

import anthropic
from anthropic import Anthropic

from harness import ServerTest, ThinkingServerTest, typed_events

WEATHER = {
    "name": "get_weather",
    "description": "Get the weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
GREEDY = {"extra_body": {"temperature": 0}}  # not all versions of the client name it
HELLO = [{"role": "user", "content": "Say hello."}]
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]
RESULT = '{"temperature": 21, "sky": "sunny"}'


def fold(events):
    """What a client makes of a stream, with the order of events checked."""
    assert events[0]["type"] == "message_start"
    assert [e["type"] for e in events[-2:]] == ["message_delta", "message_stop"]
    message = events[0]["message"]
    open_block, raw = None, ""
    for e in events[1:-1]:
        kind = e["type"]
        if kind == "ping":
            continue
        if kind == "content_block_start":
            assert open_block is None and e["index"] == len(message["content"])
            open_block, raw = e["content_block"], ""
            message["content"].append(open_block)
        elif kind == "content_block_delta":
            assert e["index"] == len(message["content"]) - 1
            delta = dict(e["delta"])
            if delta.pop("type") == "input_json_delta":
                raw += delta["partial_json"]
            else:
                (key, text), = delta.items()
                open_block[key] += text
        elif kind == "content_block_stop":
            if raw:
                open_block["input"] = json.loads(raw)
            open_block = None
        else:
            assert kind == "message_delta" and open_block is None
            message.update(e["delta"])
            message["usage"].update(e["usage"])
    return message


class Messages(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "claude-*")

    def setUp(self):
        self.client = Anthropic(base_url=self.server.url, api_key="none", max_retries=0)

    def tearDown(self):
        self.client.close()

    def create(self, messages=HELLO, **kwargs):
        kwargs = {"model": "tiny", "max_tokens": 64, **GREEDY, **kwargs}
        return self.client.messages.create(messages=messages, **kwargs)

    def same(self, **body):
        """The folded stream is the plain answer."""
        body = {"model": "tiny", "max_tokens": 64, "temperature": 0, **body}
        status, plain = self.server.post("/v1/messages", body)
        self.assertEqual(status, 200, plain)
        status, headers, stream = self.server.request(
            "POST", "/v1/messages", dict(body, stream=True)
        )
        self.assertEqual(status, 200)
        self.assertTrue(headers["content-type"].startswith("text/event-stream"))
        folded = fold(typed_events(stream))
        for m in (plain, folded):
            del m["id"]
            usage = m["usage"]  # the second of the two finds more in the cache
            usage["input_tokens"] += usage.pop("cache_read_input_tokens")
            for block in m["content"]:
                block.pop("id", None)
        self.assertEqual(plain, folded)
        return plain

    def test_a_message(self):
        r = self.create(max_tokens=12)
        self.assertEqual((r.type, r.role, r.model), ("message", "assistant", "tiny"))
        self.assertRegex(r.id, r"^msg_[0-9A-Za-z]{24}$")
        self.assertEqual(r.content[0].type, "text")
        self.assertIn(r.stop_reason, ("end_turn", "max_tokens"))
        self.assertGreater(r.usage.input_tokens + r.usage.cache_read_input_tokens, 0)
        self.assertTrue(r._request_id)

    def test_the_text_is_that_of_chat(self):
        message = self.server.post(
            "/v1/chat/completions",
            {"model": "tiny", "messages": [{"role": "system", "content": "Be brief."}] + HELLO,
             "temperature": 0, "max_tokens": 40},
        )[1]["choices"][0]["message"]
        for system in ("Be brief.", [{"type": "text", "text": "Be brief.",
                                      "cache_control": {"type": "ephemeral"}}]):
            r = self.create(system=system, max_tokens=40)
            self.assertEqual(r.content[0].text, message["content"])

    def test_folded_streams_are_plain_answers(self):
        text = self.same(messages=HELLO)
        self.assertEqual([b["type"] for b in text["content"]], ["text"])
        self.same(messages=HELLO, max_tokens=3)
        self.same(messages=HELLO, temperature=1.0, top_k=20, top_p=0.9, seed=3)
        call = self.same(messages=QUESTION, tools=[WEATHER])
        self.assertEqual([b["type"] for b in call["content"]], ["tool_use"])

    def test_the_streaming_helper(self):
        whole = self.create(max_tokens=24)
        text, kinds = "", []
        with self.client.messages.stream(
            model="tiny", max_tokens=24, messages=HELLO, **GREEDY
        ) as stream:
            for event in stream:
                kinds.append(event.type)
                if event.type == "text":
                    text += event.text
            final = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual(final.content[0].text, text)
        self.assertEqual(final.stop_reason, whole.stop_reason)
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)
        for kind in ("message_start", "content_block_start", "content_block_stop", "message_stop"):
            self.assertEqual(kinds.count(kind), 1)

    def test_stop_sequences_and_limits(self):
        whole = self.create(max_tokens=40).content[0].text
        stop = whole[len(whole) // 2 :][:3]
        r = self.create(max_tokens=40, stop_sequences=[stop])
        self.assertEqual((r.stop_reason, r.stop_sequence), ("stop_sequence", stop))
        self.assertEqual(r.content[0].text, whole[: whole.index(stop)])
        r = self.create(max_tokens=2)
        self.assertEqual((r.stop_reason, r.stop_sequence), ("max_tokens", None))
        self.assertEqual(r.usage.output_tokens, 2)

    def test_a_tool_is_called_and_answers(self):
        r = self.create(QUESTION, tools=[WEATHER])
        self.assertEqual(r.stop_reason, "tool_use")
        call = r.content[-1]
        self.assertEqual((call.type, call.name, call.input),
                         ("tool_use", "get_weather", {"city": "Paris"}))
        self.assertRegex(call.id, r"^toolu_[0-9A-Za-z]{24}$")
        answers = []
        for content in (RESULT, [{"type": "text", "text": RESULT}]):
            history = QUESTION + [
                {"role": "assistant", "content": r.content},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": call.id, "content": content}]},
            ]
            answer = self.create(history, tools=[WEATHER])
            self.assertEqual(answer.stop_reason, "end_turn")
            answers.append(answer.content[0].text)
        self.assertEqual(answers[0], answers[1])
        for word in ("21", "sunny", "Paris"):
            self.assertIn(word, answers[0])

    def test_the_helper_builds_the_input_of_a_call(self):
        with self.client.messages.stream(
            model="tiny", max_tokens=64, messages=QUESTION, tools=[WEATHER], **GREEDY
        ) as stream:
            partial = [e.partial_json for e in stream if e.type == "input_json"]
            final = stream.get_final_message()
        self.assertEqual(json.loads("".join(partial)), {"city": "Paris"})
        self.assertEqual(final.content[-1].input, {"city": "Paris"})
        self.assertEqual(final.stop_reason, "tool_use")

    def test_a_prefill_is_gone_on_with(self):
        whole = self.create(max_tokens=40).content[0].text
        start = whole[:8]
        r = self.create(HELLO + [{"role": "assistant", "content": start}], max_tokens=40)
        self.assertFalse(r.content and r.content[0].text.startswith(start))

    def test_counting(self):
        n = self.client.messages.count_tokens(model="tiny", messages=HELLO).input_tokens
        r = self.create(max_tokens=1)
        usage = r.usage
        self.assertEqual(
            n, usage.input_tokens + usage.cache_read_input_tokens
            + usage.cache_creation_input_tokens
        )
        more = self.client.messages.count_tokens(
            model="tiny", messages=HELLO, tools=[WEATHER], system="Be brief."
        ).input_tokens
        self.assertGreater(more, n)

    def test_cached_tokens_are_told(self):
        long = [{"role": "user", "content": "Tell me about numbers. " * 30}]
        first = self.create(long, max_tokens=1).usage
        again = self.create(long, max_tokens=1).usage
        self.assertGreater(again.cache_read_input_tokens, 0)
        self.assertEqual(first.input_tokens + first.cache_read_input_tokens,
                         again.input_tokens + again.cache_read_input_tokens)

    def test_errors_have_their_shape(self):
        with self.assertRaises(anthropic.NotFoundError) as e:
            self.create(model="other")
        self.assertEqual(e.exception.body["error"]["type"], "not_found_error")
        with self.assertRaises(anthropic.BadRequestError) as e:
            self.create([{"role": "user", "content": "x " * 20000}])
        self.assertRegex(e.exception.body["error"]["message"],
                         r"^prompt is too long: \d+ tokens > \d+ maximum$")
        for change, text in (
            ({"messages": []}, "at least one message"),
            ({"max_tokens": 0}, "max_tokens: Input should be greater"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: "),
            ({"messages": [{"role": "user", "content": [{"type": "image"}]}]},
             "messages.0.content.0.type: this model takes text"),
            ({"messages": QUESTION + [{"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_x", "content": "1"}]}]},
             "messages.1.content.0: unexpected `tool_use_id`"),
            ({"temperature": "hot"}, "temperature"),
            ({"tools": [{"input_schema": {}}]}, "tools.0.name: Field required"),
        ):
            body = {"model": "tiny", "max_tokens": 5, "messages": HELLO, **change}
            status, headers, data = self.server.request("POST", "/v1/messages", body)
            reply = json.loads(data)
            self.assertEqual(status, 400, reply)
            self.assertEqual(set(reply), {"type", "error", "request_id"})
            self.assertEqual((reply["type"], reply["error"]["type"]),
                             ("error", "invalid_request_error"))
            self.assertIn(text, reply["error"]["message"])
            self.assertEqual(headers["request-id"], reply["request_id"])
        status, reply = self.server.post("/v1/messages", b"{")
        self.assertEqual((status, reply["error"]["type"]), (400, "invalid_request_error"))
        status, _, data = self.server.request("GET", "/v1/messages")
        self.assertEqual((status, json.loads(data)["type"]), (405, "error"))

    def test_a_body_as_claude_code_sends_it(self):
        tools = [
            dict(WEATHER, name=f"tool_{i}", description="Does something. " * 20) for i in range(15)
        ] + [WEATHER, {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]
        body = {
            "model": "claude-sonnet-4-5",
            "max_tokens": 32000,
            "system": [
                {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=%s;"},
                {"type": "text", "text": "You are a helpful agent.",
                 "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
            "messages": [{"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>Today is Monday.</system-reminder>"},
                {"type": "text", "text": "What is the weather in Paris?",
                 "cache_control": {"type": "ephemeral"}}]}],
            "tools": tools,
            "metadata": {"user_id": "user_1"},
            "temperature": 1,
            "stream": True,
            "thinking": {"type": "disabled"},
            "context_management": {"edits": []},
            "betas": ["x"],
        }
        headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "claude-code-20250219",
                   "x-api-key": "any", "x-app": "cli"}
        counts = []
        for cch in ("abc", "def"):  # a header of another content changes nothing
            body["system"][0]["text"] = f"x-anthropic-billing-header: cc_version=2; cch={cch};"
            status, _, data = self.server.request("POST", "/v1/messages?beta=true", body, headers)
            if status == 400:  # the bundled model's context is short
                self.assertIn(b"prompt is too long", data)
                body["tools"] = tools[10:]
                status, _, data = self.server.request(
                    "POST", "/v1/messages?beta=true", body, headers)
            self.assertEqual(status, 200, data)
            message = fold(typed_events(data))
            usage = message["usage"]
            counts.append(usage["input_tokens"] + usage["cache_read_input_tokens"])
        self.assertEqual(counts[0], counts[1])
        self.assertGreater(usage["cache_read_input_tokens"], 0)


class Thinking(ThinkingServerTest):
    def test_thinking_blocks(self):
        with Anthropic(base_url=self.server.url, api_key="none", max_retries=0) as client:
            on = {"type": "enabled", "budget_tokens": 1024}
            kwargs = dict(model="tiny", max_tokens=8, messages=HELLO,
                          extra_body={"temperature": 0, "thinking": on})
            whole = client.messages.create(**kwargs)
            self.assertEqual([b.type for b in whole.content], ["thinking"])
            self.assertTrue(whole.content[0].signature)
            with client.messages.stream(**kwargs) as stream:
                kinds = [e.type for e in stream]
                final = stream.get_final_message()
            self.assertIn("thinking", kinds)
            self.assertIn("signature", kinds)
            self.assertEqual(final.content[0].thinking, whole.content[0].thinking)
            self.assertEqual(final.content[0].signature, whole.content[0].signature)
            history = HELLO + [{"role": "assistant", "content": [
                *[b.model_dump() for b in whole.content], {"type": "text", "text": "Hello."}]},
                {"role": "user", "content": "Again."}]
            client.messages.create(**{**kwargs, "messages": history})
            kwargs["extra_body"] = {"temperature": 0, "thinking": {"type": "disabled"}}
            self.assertEqual(client.messages.create(**kwargs).content[0].type, "text")


class Keys(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "--api-key", "secret")

    def test_both_ways_to_send_a_key(self):
        ask = dict(model="tiny", max_tokens=2, messages=HELLO)
        for auth in ({"api_key": "secret"}, {"auth_token": "secret"}):
            with Anthropic(base_url=self.server.url, max_retries=0, **auth) as client:
                client.messages.create(**ask)
        with Anthropic(base_url=self.server.url, max_retries=0, api_key="wrong") as client:
            with self.assertRaises(anthropic.AuthenticationError) as e:
                client.messages.create(**ask)
        self.assertEqual(e.exception.body["error"]["type"], "authentication_error")
        self.assertTrue(e.exception.response.headers["request-id"])
