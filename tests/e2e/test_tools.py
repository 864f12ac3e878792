"""Tool calls through the real server and the official client: a question, a call, its result, an
answer, streamed and not. The bundled model writes Hermes calls."""

import json

from openai import OpenAI

from harness import ServerTest, ThinkingServerTest, sse_events

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]
RESULT = '{"temperature": 21, "sky": "sunny"}'
BASE = dict(model="tiny", temperature=0, tools=[WEATHER])


class Tools(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    def setUp(self):
        self.client = OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)
        self.create = self.client.chat.completions.create

    def tearDown(self):
        self.client.close()

    def call(self, **kwargs):
        return self.create(messages=QUESTION, **{**BASE, **kwargs}).choices[0]

    def assert_is_the_call(self, tool_calls):
        self.assertEqual(len(tool_calls), 1)
        self.assertEqual(tool_calls[0].function.name, "get_weather")
        self.assertEqual(json.loads(tool_calls[0].function.arguments), {"city": "Paris"})

    def test_the_model_calls(self):
        choice = self.call()
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertIsNone(choice.message.content)
        self.assert_is_the_call(choice.message.tool_calls)
        self.assertEqual(choice.message.tool_calls[0].type, "function")
        self.assertRegex(choice.message.tool_calls[0].id, r"^call_[0-9A-Za-z]{24}$")

    def test_a_stream_folds_to_the_same_call(self):
        whole = self.call()
        name, arguments, ids, finish = "", "", [], None
        first = True
        for chunk in self.create(messages=QUESTION, stream=True, **BASE):
            choice = chunk.choices[0]
            finish = choice.finish_reason or finish
            for delta in choice.delta.tool_calls or []:
                self.assertEqual(delta.index, 0)
                if first:
                    self.assertEqual((delta.type, delta.function.arguments), ("function", ""))
                else:
                    self.assertIsNone(delta.id)
                    self.assertIsNone(delta.type)
                    self.assertIsNone(delta.function.name)
                first = False
                ids += [delta.id] if delta.id else []
                name += delta.function.name or ""
                arguments += delta.function.arguments or ""
        self.assertEqual(len(ids), 1)
        self.assertEqual(finish, "tool_calls")
        self.assertEqual(name, whole.message.tool_calls[0].function.name)
        self.assertEqual(arguments, whole.message.tool_calls[0].function.arguments)

    def test_the_streaming_helper_understands_it(self):
        with self.client.chat.completions.stream(messages=QUESTION, **BASE) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_completion()
        self.assertIn("tool_calls.function.arguments.delta", kinds)
        self.assertIn("tool_calls.function.arguments.done", kinds)
        self.assertEqual(final.choices[0].finish_reason, "tool_calls")
        self.assert_is_the_call(final.choices[0].message.tool_calls)

    def test_round_trip(self):
        message = self.call().message
        history = QUESTION + [
            message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": RESULT},
        ]
        answer = self.create(messages=history, **BASE).choices[0]
        self.assertEqual(answer.finish_reason, "stop")
        self.assertIsNone(answer.message.tool_calls)
        for word in ("21", "sunny", "Paris"):
            self.assertIn(word, answer.message.content)
        text = ""
        for chunk in self.create(messages=history, stream=True, **BASE):
            self.assertIsNone(chunk.choices[0].delta.tool_calls)
            text += chunk.choices[0].delta.content or ""
        self.assertEqual(text, answer.message.content)

    def test_history_as_lax_clients_send_it(self):
        call = {"id": "call_1", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
        strict = {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
        }
        result = {"role": "tool", "tool_call_id": "call_1", "content": RESULT}
        texts = []
        for assistant, tool in (
            ({"role": "assistant", "content": None, "tool_calls": [strict]}, result),
            ({"role": "assistant", "content": "", "tool_calls": [call]}, result),
            (
                {"role": "assistant", "tool_calls": [strict]},
                {"role": "tool", "content": [{"type": "text", "text": RESULT}]},
            ),
        ):
            status, reply = self.server.post(
                "/v1/chat/completions", dict(BASE, messages=QUESTION + [assistant, tool])
            )
            self.assertEqual(status, 200, reply)
            texts.append(reply["choices"][0]["message"]["content"])
        self.assertEqual(texts, [texts[0]] * 3)

    def test_calls_stay_text_when_nobody_wants_them(self):
        choice = self.call(tool_choice="none")
        self.assertIsNone(choice.message.tool_calls)
        self.assertEqual(choice.finish_reason, "stop")

    def test_logprobs_cover_the_call(self):
        choice = self.call(logprobs=True)
        shown = b"".join(bytes(t.bytes) for t in choice.logprobs.content).decode()
        self.assertTrue(shown.startswith("<tool_call>"), shown)
        streamed = []
        for chunk in self.create(messages=QUESTION, stream=True, logprobs=True, **BASE):
            if chunk.choices[0].logprobs:
                streamed += chunk.choices[0].logprobs.content
        self.assertEqual(
            [t.token for t in streamed], [t.token for t in choice.logprobs.content]
        )

    def test_one_call_and_its_usage(self):
        r = self.create(messages=QUESTION, parallel_tool_calls=False, **BASE)
        self.assert_is_the_call(r.choices[0].message.tool_calls)
        self.assertEqual(r.usage.completion_tokens_details.reasoning_tokens, 0)

    def test_a_cut_call_ends_with_length(self):
        choice = self.call(max_tokens=14)
        self.assertEqual(choice.finish_reason, "length")
        self.assertEqual(choice.message.tool_calls[0].function.name, "get_weather")

    def test_forced_calls_come_even_where_nothing_asks_for_one(self):
        hello = [{"role": "user", "content": "Hello, how are you?"}]
        named = {"type": "function", "function": {"name": "get_weather"}}
        for choice, finish in (("required", "tool_calls"), (named, "stop")):
            body = dict(BASE, messages=hello, tool_choice=choice, parallel_tool_calls=False)
            whole = self.create(**body).choices[0]
            self.assertEqual(whole.finish_reason, finish)
            self.assertIsNone(whole.message.content)
            self.assertEqual(len(whole.message.tool_calls), 1)
            call = whole.message.tool_calls[0].function
            self.assertEqual(call.name, "get_weather")
            self.assertIsInstance(json.loads(call.arguments)["city"], str)
            with self.client.chat.completions.stream(**body) as stream:
                streamed = stream.get_final_completion().choices[0]
            self.assertEqual(streamed.finish_reason, finish)
            self.assertEqual(streamed.message.tool_calls[0].function.arguments, call.arguments)

    def test_an_unknown_name_cannot_be_forced(self):
        choice = {"type": "function", "function": {"name": "no"}}
        status, reply = self.server.post(
            "/v1/chat/completions", dict(BASE, messages=QUESTION, tool_choice=choice)
        )
        self.assertEqual((status, reply["error"]["param"]), (400, "tool_choice"))
        self.assertEqual(reply["error"]["code"], "invalid_value")


class NoParser(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "--tool-call-parser", "none")

    def test_the_flag_leaves_calls_in_the_text(self):
        body = dict(BASE, messages=QUESTION)
        message = self.server.post("/v1/chat/completions", body)[1]["choices"][0]["message"]
        self.assertNotIn("tool_calls", message)
        self.assertTrue(message["content"].startswith("<tool_call>"))
        reply = self.server.request("POST", "/v1/chat/completions", dict(body, stream=True))[2]
        events = [json.loads(e) for e in sse_events(reply) if e != "[DONE]"]
        text = "".join(e["choices"][0]["delta"].get("content", "") for e in events)
        self.assertEqual(text, message["content"])


class Reasoning(ThinkingServerTest):
    def ask(self, **kwargs):
        body = dict(model="tiny", messages=[{"role": "user", "content": "Say hello."}],
                    temperature=0, max_tokens=8, **kwargs)
        return self.server.post("/v1/chat/completions", body)[1]

    def test_the_prompt_opens_the_block(self):
        on = {"enable_thinking": True}
        reply = self.ask(chat_template_kwargs=on)
        message = reply["choices"][0]["message"]
        self.assertIsNone(message["content"])
        self.assertTrue(message["reasoning_content"])
        self.assertEqual(message["reasoning"], message["reasoning_content"])
        usage = reply["usage"]
        self.assertGreater(usage["completion_tokens_details"]["reasoning_tokens"], 0)
        with OpenAI(base_url=self.server.url + "/v1", api_key="none") as client:
            stream = client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "Say hello."}], temperature=0,
                max_tokens=8, stream=True, extra_body={"chat_template_kwargs": on},
            )
            text = "".join(
                getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in stream
            )
        self.assertEqual(text, message["reasoning_content"])
        hidden = self.ask(chat_template_kwargs=on, include_reasoning=False)
        self.assertNotIn("reasoning", hidden["choices"][0]["message"])

    def test_a_demand_waits_for_the_end_of_the_block(self):
        on, demand = {"enable_thinking": True}, {"guided_choice": ["yes", "no"]}
        free = self.ask(chat_template_kwargs=on)["choices"][0]["message"]
        bound = self.ask(chat_template_kwargs=on, **demand)["choices"][0]["message"]
        self.assertIsNone(bound["content"])
        self.assertEqual(bound["reasoning_content"], free["reasoning_content"])
        choice = self.ask(**demand)["choices"][0]
        self.assertIn(choice["message"]["content"], ("yes", "no"))
        self.assertEqual(choice["finish_reason"], "stop")

    def test_without_it_the_answer_is_content(self):
        message = self.ask()["choices"][0]["message"]
        self.assertTrue(message["content"])
        self.assertNotIn("reasoning_content", message)
