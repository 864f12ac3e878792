"""Structured output and forced calls through the Responses and the Messages protocol."""

import json
from typing import Literal

from anthropic import Anthropic
from openai import OpenAI
from pydantic import BaseModel

from harness import ServerTest

QUESTION = "Tell me about a city."


class City(BaseModel):  # every text of it is short: a small model may go on with lists for ever
    name: Literal["Paris", "Rome", "Oslo"]
    size: Literal["big", "small"]
    coast: bool


SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": ["Paris", "Rome"]}, "big": {"type": "boolean"}},
    "required": ["name", "big"],
    "additionalProperties": False,
}
TOOLS = {"weather": "city", "time": "zone"}


def parameters(key):
    return {"type": "object", "properties": {key: {"enum": ["a", "b"]}}, "required": [key],
            "additionalProperties": False}


class ResponsesFormats(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    def setUp(self):
        self.client = OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)
        self.ask = dict(model="tiny", input=QUESTION, max_output_tokens=200, temperature=0)

    def tearDown(self):
        self.client.close()

    def test_parse(self):
        r = self.client.responses.parse(text_format=City, **self.ask)
        self.assertEqual(r.status, "completed")
        self.assertIsInstance(r.output_parsed, City)
        self.assertEqual(r.text.format.type, "json_schema")

    def test_the_streaming_helper_parses(self):
        with self.client.responses.stream(text_format=City, **self.ask) as stream:
            for _ in stream:
                pass
            self.assertIsInstance(stream.get_final_response().output_parsed, City)

    def test_json_object(self):
        r = self.client.responses.create(text={"format": {"type": "json_object"}}, **self.ask)
        if r.status == "completed":
            self.assertIsInstance(json.loads(r.output_text), dict)

    def test_forced_calls(self):
        tools = [{"type": "function", "name": n, "parameters": parameters(k), "strict": True}
                 for n, k in TOOLS.items()]
        for choice, names in (
            ("required", set(TOOLS)),
            ({"type": "function", "name": "time"}, {"time"}),
            ({"type": "allowed_tools", "mode": "required",
              "tools": [{"type": "function", "name": "weather"}]}, {"weather"}),
        ):
            r = self.client.responses.create(
                tools=tools, tool_choice=choice, parallel_tool_calls=False, **self.ask)
            call = r.output[-1]
            self.assertEqual(call.type, "function_call")
            self.assertIn(call.name, names)
            self.assertIn(json.loads(call.arguments)[TOOLS[call.name]], ("a", "b"))
            self.assertEqual(r.status, "completed")

    def test_a_custom_tool_can_be_forced(self):
        r = self.client.responses.create(
            tools=[{"type": "custom", "name": "note"}],
            tool_choice={"type": "custom", "name": "note"}, **self.ask)
        call = r.output[-1]
        self.assertEqual((call.type, call.name), ("custom_tool_call", "note"))
        self.assertIsInstance(call.input, str)

    def test_a_bad_schema_is_named(self):
        status, reply = self.server.post("/v1/responses", {
            **self.ask, "text": {"format": {"type": "json_schema", "name": "n", "strict": True,
                                            "schema": {"type": "object", "not": {}}}}})
        self.assertEqual((status, reply["error"]["param"][:11]), (400, "text.format"), reply)


class MessagesFormats(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    def setUp(self):
        self.client = Anthropic(base_url=self.server.url, api_key="none", max_retries=0)

    def tearDown(self):
        self.client.close()

    def ask(self, extra_body=None, **kwargs):
        return self.client.messages.create(
            model="tiny", max_tokens=200, messages=[{"role": "user", "content": QUESTION}],
            extra_body={"temperature": 0, **(extra_body or {})}, **kwargs)

    def test_output_format(self):
        r = self.ask(extra_body={"output_config": {
            "format": {"type": "json_schema", "schema": SCHEMA}}})
        value = json.loads(r.content[0].text)
        self.assertEqual(set(value), {"name", "big"})
        self.assertEqual(r.stop_reason, "end_turn")

    def test_forced_calls(self):
        tools = [{"name": n, "input_schema": parameters(k)} for n, k in TOOLS.items()]
        for choice, names in (({"type": "any", "disable_parallel_tool_use": True}, set(TOOLS)),
                              ({"type": "tool", "name": "time"}, {"time"})):
            r = self.ask(tools=tools, tool_choice=choice)
            call = r.content[-1]
            self.assertEqual((call.type, r.stop_reason), ("tool_use", "tool_use"))
            self.assertIn(call.name, names)
            self.assertIn(call.input[TOOLS[call.name]], ("a", "b"))
        status, reply = self.server.post("/v1/messages", {
            "model": "tiny", "max_tokens": 5, "messages": [{"role": "user", "content": "q"}],
            "tools": tools, "tool_choice": {"type": "tool", "name": "nothing"}})
        self.assertEqual((status, reply["error"]["type"]), (400, "invalid_request_error"))
