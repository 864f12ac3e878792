"""Streams cut at every byte: the golden ones, and our own as they came, through the official
clients. A network may cut anywhere, also within a character or a line's end: each stream comes
byte by byte, and in two pieces cut at many places."""

import importlib
import json
import os
import unittest

import anthropic
import openai

from harness import ServerTest

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "sse")
HELLO = [{"role": "user", "content": "Say hello and write é, 漢字 and 🙂."}]
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Replay:
    """An official client whose every request is answered with `data`, cut after `at` bytes, or
    everywhere when that is None."""

    def __init__(self, sdk, make, **kwargs):
        # the HTTP library that this version of the client is built on
        name = sdk.DefaultHttpxClient.__mro__[1].__module__.split(".")[0]
        http = importlib.import_module(name)
        replay = self

        class Cut(http.SyncByteStream):
            def __iter__(self):
                data, at = replay.data, replay.at
                if at is None:
                    yield from (data[i : i + 1] for i in range(len(data)))
                else:
                    yield from (p for p in (data[:at], data[at:]) if p)

        def answer(_):
            headers = {"content-type": "text/event-stream; charset=utf-8"}
            return http.Response(200, headers=headers, stream=Cut())

        self.data, self.at = b"", 0
        self.client = make(api_key="none", max_retries=0, http_client=sdk.DefaultHttpxClient(
            transport=http.MockTransport(answer)), **kwargs)


def chat(client):
    with client.chat.completions.stream(model="m", messages=HELLO) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion().model_dump()


def responses(client):
    with client.responses.stream(model="m", input="q") as stream:
        for _ in stream:
            pass
        return stream.get_final_response().model_dump()


def messages(client):
    with client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
        for _ in stream:
            pass
        return stream.get_final_message().model_dump()


READERS = {"chat": chat, "responses": responses, "messages": messages}


def check(test, kind, data):
    if kind == "messages":
        replay = Replay(anthropic, anthropic.Anthropic, base_url="http://x")
    else:
        replay = Replay(openai, openai.OpenAI, base_url="http://x/v1")
    replay.data = data
    whole = READERS[kind](replay.client)
    for at in (None, *range(1, len(data), max(1, len(data) // 50))):
        replay.at = at
        test.assertEqual(READERS[kind](replay.client), whole, f"{kind} cut at {at}")
    replay.client.close()
    return whole


class Golden(unittest.TestCase):
    def read(self, kind):
        with open(os.path.join(GOLDEN, kind + ".sse"), "rb") as f:
            return f.read()

    def test_messages(self):
        whole = check(self, "messages", self.read("messages"))
        self.assertEqual([b["type"] for b in whole["content"]], ["thinking", "text", "tool_use"])

    def test_responses(self):
        whole = check(self, "responses", self.read("responses"))
        self.assertEqual([i["type"] for i in whole["output"]],
                         ["reasoning", "message", "function_call"])

    def test_chat(self):
        check(self, "chat", self.read("chat"))


class Ours(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    def stream(self, path, body):
        body = {"model": "tiny", "stream": True, "temperature": 0, **body}
        status, _, data = self.server.request("POST", path, body)
        self.assertEqual(status, 200, data)
        return data

    def test_chat(self):
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
        whole = check(self, "chat", self.stream("/v1/chat/completions", {
            "messages": HELLO, "stop": "."}))
        self.assertTrue(whole["choices"][0]["message"]["content"])
        whole = check(self, "chat", self.stream("/v1/chat/completions", {
            "messages": QUESTION, "tools": [tool]}))
        call = whole["choices"][0]["message"]["tool_calls"][0]["function"]
        self.assertEqual(json.loads(call["arguments"]), {"city": "Paris"})

    def test_responses(self):
        tool = {"type": "function", "name": "get_weather", "parameters": WEATHER}
        check(self, "responses", self.stream("/v1/responses", {
            "input": HELLO, "stop": "."}))
        whole = check(self, "responses", self.stream("/v1/responses", {
            "input": QUESTION, "tools": [tool]}))
        self.assertEqual(json.loads(whole["output"][-1]["arguments"]), {"city": "Paris"})

    def test_messages(self):
        tool = {"name": "get_weather", "input_schema": WEATHER}
        check(self, "messages", self.stream("/v1/messages", {
            "messages": HELLO, "max_tokens": 12}))
        whole = check(self, "messages", self.stream("/v1/messages", {
            "messages": QUESTION, "tools": [tool], "max_tokens": 64}))
        self.assertEqual(whole["content"][-1]["input"], {"city": "Paris"})
