"""The official openai client's responses helpers, unchanged, against /v1/responses."""

import json
import time
import unittest

import openai
from openai import OpenAI

from harness import Server, ServerTest, ThinkingServerTest, typed_events

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
    "strict": False,
}
HELLO = "Say hello."
QUESTION = "What is the weather in Paris?"
RESULT = '{"temperature": 21, "sky": "sunny"}'


def events_of(body):
    events = typed_events(body)
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    return events


def fold(events):
    """The output that the events build up, each step checked against the ones before."""
    kinds = [e["type"].removeprefix("response.") for e in events]
    assert kinds[:2] == ["created", "in_progress"]
    assert kinds[-1] in ("completed", "incomplete", "failed")
    output, item, text = [], None, ""
    for kind, e in zip(kinds[2:-1], events[2:-1]):
        if kind == "output_item.added":
            assert item is None and e["output_index"] == len(output)
            item, text = e["item"], ""
            assert item["status"] == "in_progress"
            continue
        assert e["output_index"] == len(output)
        assert e.get("item_id", item["id"]) == item["id"]
        if kind.endswith(".delta"):
            text += e["delta"]
        elif kind == "content_part.added":
            assert e["part"]["text"] == ""
        elif kind == "content_part.done":
            assert e["part"]["text"] == text
        elif kind == "output_item.done":
            assert e["item"]["id"] == item["id"]
            output.append(e["item"])
            item = None
        else:
            assert kind.endswith(".done")
            assert text == e.get("text", e.get("arguments", e.get("input")))
    assert item is None
    final = events[-1]["response"]
    assert final["output"] == output
    return final


def without_ids(value):
    """Two answers are alike but for random ids, times, and what the cache did."""
    if isinstance(value, dict):
        return {
            k: without_ids(v) for k, v in value.items()
            if k not in ("id", "call_id", "created_at", "completed_at", "input_tokens_details")
        }
    return [without_ids(v) for v in value] if isinstance(value, list) else value


class Responses(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    def setUp(self):
        self.client = OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)
        self.responses = self.client.responses

    def tearDown(self):
        self.client.close()

    def create(self, input=HELLO, **kwargs):
        return self.responses.create(
            **{"model": "tiny", "temperature": 0, "max_output_tokens": 64, "input": input, **kwargs}
        )

    def same(self, **body):
        body = {"model": "tiny", "temperature": 0, "max_output_tokens": 64, **body}
        status, plain = self.server.post("/v1/responses", body)
        self.assertEqual(status, 200, plain)
        _, _, stream = self.server.request("POST", "/v1/responses", dict(body, stream=True))
        self.assertEqual(without_ids(fold(events_of(stream))), without_ids(plain))
        return plain

    def test_a_response(self):
        r = self.create(max_output_tokens=12, instructions="Be brief.", metadata={"a": "b"})
        self.assertRegex(r.id, r"^resp_[0-9A-Za-z]{24}$")
        self.assertEqual((r.object, r.model, r.instructions), ("response", "tiny", "Be brief."))
        self.assertEqual(r.metadata, {"a": "b"})
        self.assertIn(r.status, ("completed", "incomplete"))
        self.assertTrue(r.output_text)
        self.assertEqual(r.usage.total_tokens, r.usage.input_tokens + r.usage.output_tokens)
        self.assertIsNotNone(r.usage.input_tokens_details.cached_tokens)

    def test_the_text_is_that_of_chat(self):
        chat = self.client.chat.completions.create(
            model="tiny", temperature=0, max_tokens=40,
            messages=[{"role": "system", "content": "Be brief."},
                      {"role": "user", "content": HELLO}],
        ).choices[0].message.content
        for items in (
            HELLO,
            [{"role": "user", "content": HELLO}],
            [{"type": "message", "role": "user",
              "content": [{"type": "input_text", "text": HELLO}]}],
        ):
            r = self.create(items, instructions="Be brief.", max_output_tokens=40)
            self.assertEqual(r.output_text, chat)

    def test_folded_streams_are_plain_responses(self):
        self.assertEqual(self.same(input=HELLO)["output"][0]["type"], "message")
        cut = self.same(input=HELLO, max_output_tokens=3)
        self.assertEqual(cut["status"], "incomplete")
        self.assertEqual(cut["incomplete_details"], {"reason": "max_output_tokens"})
        self.assertEqual(cut["output"][0]["status"], "incomplete")
        self.same(input=HELLO, temperature=1.0, top_p=0.9, seed=3)
        call = self.same(input=QUESTION, tools=[WEATHER])
        self.assertEqual(call["output"][0]["type"], "function_call")
        told = self.same(input=HELLO, include=["message.output_text.logprobs"], top_logprobs=2,
                         max_output_tokens=8)
        part = told["output"][0]["content"][0]
        self.assertEqual("".join(t["token"] for t in part["logprobs"]), part["text"])
        self.assertEqual(len(part["logprobs"][0]["top_logprobs"]), 2)

    def test_the_streaming_helper(self):
        whole = self.create(max_output_tokens=24)
        text, kinds = "", []
        with self.responses.stream(
            model="tiny", temperature=0, max_output_tokens=24, input=HELLO
        ) as stream:
            for event in stream:
                kinds.append(event.type)
                if event.type == "response.output_text.delta":
                    text += event.delta
            final = stream.get_final_response()
        self.assertEqual(text, whole.output_text)
        self.assertEqual(final.output_text, text)
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)
        self.assertEqual(kinds[:2], ["response.created", "response.in_progress"])

    def test_a_tool_is_called_and_answers(self):
        r = self.create(QUESTION, tools=[WEATHER])
        call = r.output[-1]
        self.assertEqual((call.type, call.name, json.loads(call.arguments)),
                         ("function_call", "get_weather", {"city": "Paris"}))
        self.assertRegex(call.call_id, r"^call_")
        history = [{"role": "user", "content": QUESTION}, *[i.model_dump() for i in r.output],
                   {"type": "function_call_output", "call_id": call.call_id, "output": RESULT}]
        answer = self.create(history, tools=[WEATHER])
        for word in ("21", "sunny", "Paris"):
            self.assertIn(word, answer.output_text)
        parts = [{"type": "input_text", "text": RESULT}]
        again = self.create(history[:-1] + [dict(history[-1], output=parts)], tools=[WEATHER])
        self.assertEqual(again.output_text, answer.output_text)

    def test_the_helper_builds_the_arguments_of_a_call(self):
        with self.responses.stream(
            model="tiny", temperature=0, input=QUESTION, tools=[WEATHER]
        ) as stream:
            deltas = [e.delta for e in stream
                      if e.type == "response.function_call_arguments.delta"]
            final = stream.get_final_response()
        self.assertEqual(json.loads("".join(deltas)), {"city": "Paris"})
        self.assertEqual(json.loads(final.output[-1].arguments), {"city": "Paris"})

    def test_counting(self):
        n = self.server.post("/v1/responses/input_tokens", {"model": "tiny", "input": HELLO})[1]
        self.assertEqual(n["object"], "response.input_tokens")
        self.assertEqual(n["input_tokens"], self.create(max_output_tokens=1).usage.input_tokens)
        self.assertEqual(
            self.responses.input_tokens.count(model="tiny", input=HELLO).input_tokens,
            n["input_tokens"],
        )

    def test_a_conversation_goes_on_from_a_kept_response(self):
        first = self.create(QUESTION, tools=[WEATHER], instructions="Be brief.")
        call = first.output[-1]
        output = {"type": "function_call_output", "call_id": call.call_id, "output": RESULT}
        by_id = self.create([output], tools=[WEATHER], previous_response_id=first.id)
        by_hand = self.create(
            [{"role": "user", "content": QUESTION}, *[i.model_dump() for i in first.output],
             output], tools=[WEATHER])
        self.assertEqual(by_id.output_text, by_hand.output_text)
        self.assertEqual(by_id.previous_response_id, first.id)
        self.assertEqual(self.responses.retrieve(by_id.id).output_text, by_id.output_text)
        items = self.responses.input_items.list(by_id.id).data
        self.assertEqual([i.type for i in items], ["function_call_output"])
        self.responses.delete(by_id.id)
        with self.assertRaises(openai.NotFoundError):
            self.responses.retrieve(by_id.id)
        with self.assertRaises(openai.NotFoundError) as e:
            self.create("x", previous_response_id=by_id.id)
        self.assertEqual(e.exception.code, "previous_response_not_found")
        unkept = self.create(max_output_tokens=1, store=False)
        with self.assertRaises(openai.NotFoundError):
            self.responses.retrieve(unkept.id)

    def test_items_may_be_named(self):
        first = self.create(QUESTION, tools=[WEATHER])
        call = first.output[-1]
        output = {"type": "function_call_output", "call_id": call.call_id, "output": RESULT}

        def go_on(items):
            return self.create([{"role": "user", "content": QUESTION}, *items, output],
                               tools=[WEATHER])
        named = go_on([{"type": "item_reference", "id": i.id} for i in first.output])
        whole = go_on([i.model_dump() for i in first.output])
        self.assertEqual(named.output_text, whole.output_text)
        self.assertEqual(named.usage.input_tokens, whole.usage.input_tokens)
        items = self.responses.input_items.list(named.id, order="asc").data
        self.assertEqual([i.type for i in items],
                         ["message", *[i.type for i in first.output], "function_call_output"])
        with self.assertRaises(openai.NotFoundError) as e:
            self.create([{"type": "item_reference", "id": "msg_none"}])
        self.assertEqual(e.exception.code, "item_not_found")

    def ended(self, id):
        while (r := self.responses.retrieve(id)).status in ("queued", "in_progress"):
            self.assertEqual((r.output, r.usage), ([], None))
            time.sleep(0.01)
        return r

    def test_in_the_background(self):
        plain = self.create(max_output_tokens=24)
        r = self.create(max_output_tokens=24, background=True)
        self.assertEqual((r.status, r.background, r.output), ("queued", True, []))
        end = self.ended(r.id)
        self.assertEqual((end.status, end.output_text), (plain.status, plain.output_text))
        self.assertEqual(end.usage.output_tokens, plain.usage.output_tokens)
        self.assertEqual(self.create("Go on.", previous_response_id=r.id).status, "completed")
        endless = dict(background=True, max_output_tokens=1500, extra_body={"ignore_eos": True})
        r = self.create(**endless)
        with self.assertRaises(openai.BadRequestError) as e:
            self.create(previous_response_id=r.id)
        self.assertEqual(e.exception.code, "response_in_progress")
        self.assertEqual(self.responses.cancel(r.id).status, "cancelled")
        self.assertEqual(self.ended(r.id).status, "cancelled")
        self.assertEqual(self.responses.cancel(r.id).status, "cancelled")
        self.responses.delete(r.id)

    def test_the_background_outlives_its_client(self):
        body = json.dumps({"model": "tiny", "input": HELLO, "background": True,
                           "max_output_tokens": 200, "ignore_eos": True}).encode()
        with self.server.connect() as s:
            s.sendall(b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                      % (len(body), body))
            reply = b""
            while not reply.endswith(b"}"):
                reply += s.recv(65536)
        r = json.loads(reply.split(b"\r\n\r\n", 1)[1])
        end = self.ended(r["id"])
        self.assertEqual((end.status, end.usage.output_tokens), ("incomplete", 200))

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError):
            self.create(model="other")
        with self.assertRaises(openai.BadRequestError) as e:
            self.create("x " * 20000)
        self.assertEqual((e.exception.code, e.exception.param),
                         ("context_length_exceeded", "input"))
        for change, param in (
            ({"input": []}, "input"),
            ({"input": 3}, "input"),
            ({"max_output_tokens": 0}, "max_output_tokens"),
            ({"temperature": "hot"}, "temperature"),
            ({"background": True, "store": False}, "background"),
            ({"background": True, "stream": True}, "stream"),
            ({"conversation": "conv_1"}, "conversation"),
            ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
            ({"input": [{"type": "message", "role": "user",
                         "content": [{"type": "input_image", "image_url": "x"}]}]},
             "input[0].content[0].type"),
            ({"input": [{"type": "function_call_output", "call_id": "c", "output": "1"}]},
             "input"),
            ({"input": [{"type": "strange"}]}, "input[0].type"),
            ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ):
            body = {"model": "tiny", "input": HELLO, "max_output_tokens": 4, **change}
            status, reply = self.server.post("/v1/responses", body)
            self.assertEqual((status, reply["error"]["param"]), (400, param), reply)
            self.assertEqual(set(reply["error"]) - {"n_ctx", "n_prompt_tokens"},
                             {"message", "type", "param", "code"})

    def test_a_body_as_codex_sends_it(self):
        tools = [
            dict(WEATHER, name=f"tool_{i}") for i in range(3)
        ] + [
            {"type": "namespace", "name": "mcp", "description": "d",
             "tools": [dict(WEATHER, name="inner")]},
            {"type": "custom", "name": "apply_patch", "description": "Patch files.",
             "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
            {"type": "web_search", "external_web_access": False},
            {"type": "local_shell"},
        ]
        body = {
            "model": "tiny", "stream": True, "store": False, "instructions": "You are Codex.",
            "input": [
                {"type": "message", "role": "developer",
                 "content": [{"type": "input_text", "text": "<permissions>none</permissions>"}]},
                {"type": "message", "role": "user",
                 "content": [{"type": "input_text", "text": "What is the weather in Paris?"}]},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
                {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch",
                 "input": "*** Begin", "status": "completed"},
                {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
                {"type": "web_search_call", "id": "ws_1", "status": "completed"},
                {"type": "local_shell_call", "call_id": "c2", "status": "completed",
                 "action": {"type": "exec", "command": ["ls"]}},
                {"type": "local_shell_call_output", "call_id": "c2", "output": "a b"},
                {"type": "message", "role": "user",
                 "content": [{"type": "input_text", "text": "Go on."}]},
            ],
            "tools": tools, "tool_choice": "auto", "parallel_tool_calls": True,
            "reasoning": {"effort": "medium", "summary": "auto"},
            "include": ["reasoning.encrypted_content"], "prompt_cache_key": "conv-1",
            "text": {"verbosity": "medium"}, "client_metadata": {"x": "y"},
            "max_output_tokens": 16,
        }
        status, _, data = self.server.request("POST", "/v1/responses", body)
        self.assertEqual(status, 200, data)
        final = fold(events_of(data))
        self.assertEqual(final["text"], {"verbosity": "medium", "format": {"type": "text"}})
        self.assertEqual(final["tools"], tools)
        self.assertIsInstance(final["usage"]["total_tokens"], int)


class Tenants(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "--api-key", "one", "two")

    def test_nobody_sees_what_others_asked(self):
        one, two = (
            OpenAI(base_url=self.server.url + "/v1", api_key=key, max_retries=0).responses
            for key in ("one", "two")
        )
        r = one.create(model="tiny", input=HELLO, max_output_tokens=2)
        self.assertEqual(one.retrieve(r.id).id, r.id)
        for attempt in (
            lambda: two.retrieve(r.id),
            lambda: two.delete(r.id),
            lambda: two.input_items.list(r.id),
            lambda: two.create(model="tiny", input=HELLO, previous_response_id=r.id),
        ):
            with self.assertRaises(openai.NotFoundError):
                attempt()
        self.assertEqual(one.retrieve(r.id).id, r.id)


class Leaving(unittest.TestCase):
    def test_a_drain_waits_for_the_background_until_its_deadline(self):
        for timeout, n, code in (("30", 300, 0), ("0.2", 1900, 3)):
            server = Server("--served-model-name", "tiny", "--drain-timeout", timeout)
            status, _ = server.post("/v1/responses", {
                "model": "tiny", "input": HELLO, "background": True, "ignore_eos": True,
                "max_output_tokens": n})
            self.assertEqual(status, 200)
            self.assertEqual(server.stop(), code, server.read_log())
            self.assertEqual(f"n_out={n} " in server.read_log(), code == 0, server.read_log())


class Reasoning(ThinkingServerTest):
    def test_reasoning_items(self):
        on = {"chat_template_kwargs": {"enable_thinking": True}}
        ask = dict(model="tiny", temperature=0, max_output_tokens=8, input=HELLO,
                   include=["reasoning.encrypted_content"], extra_body=on)
        with OpenAI(base_url=self.server.url + "/v1", api_key="none") as client:
            r = client.responses.create(**ask)
            self.assertEqual([i.type for i in r.output], ["reasoning"])
            text = r.output[0].content[0].text
            self.assertTrue(text and r.output[0].encrypted_content)
            self.assertGreater(r.usage.output_tokens_details.reasoning_tokens, 0)
            with client.responses.stream(**ask) as stream:
                deltas = [e.delta for e in stream if e.type == "response.reasoning_text.delta"]
            self.assertEqual("".join(deltas), text)
            item = r.output[0].model_dump()
            counts = []
            for change in ({}, {"content": []}):  # as text, and as clients keep it sealed
                items = [{"role": "user", "content": HELLO}, {**item, **change},
                         {"role": "assistant", "content": "Hello."},
                         {"role": "user", "content": "Again."}]
                counts.append(client.responses.create(**{**ask, "input": items}).usage.input_tokens)
            self.assertEqual(counts[0], counts[1])
            off = {**ask, "extra_body": None, "reasoning": {"effort": "none"}}
            self.assertEqual(client.responses.create(**off).output[0].type, "message")
