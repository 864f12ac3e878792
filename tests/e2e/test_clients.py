"""Clients that many applications use: LangChain and LiteLLM. They are large, so they are not in
requirements.txt; without requirements-clients.txt installed these tests are skipped."""

import importlib.util
import json
import os
import unittest

from harness import ServerTest

HAVE = {name: importlib.util.find_spec(name) for name in ("langchain_openai", "litellm")}
HELLO = "Say hello."
QUESTION = "What is the weather in Paris?"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city",
        "parameters": SCHEMA,
    },
}


@unittest.skipUnless(HAVE["langchain_openai"], "langchain-openai is not installed")
class LangChain(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    def model(self, **kwargs):
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(
            base_url=self.server.url + "/v1", api_key="none", model="tiny", max_retries=0,
            temperature=0, **{"max_tokens": 64, **kwargs}
        )

    def test_invoke_and_stream(self):
        whole = self.model().invoke(HELLO)
        self.assertTrue(whole.content)
        self.assertGreater(whole.usage_metadata["input_tokens"], 0)
        chunks = list(self.model(stream_usage=True).stream(HELLO))
        self.assertEqual("".join(c.content for c in chunks), whole.content)
        usages = [c.usage_metadata for c in chunks if c.usage_metadata]
        self.assertEqual(sum(u["output_tokens"] for u in usages),
                         whole.usage_metadata["output_tokens"])

    def test_messages_and_logprobs(self):
        r = self.model(logprobs=True, max_tokens=4).invoke(
            [("system", "Be brief."), ("human", HELLO), ("ai", "Hello."), ("human", HELLO)]
        )
        self.assertEqual(len(r.response_metadata["logprobs"]["content"]),
                         r.usage_metadata["output_tokens"])
        self.assertEqual(r.response_metadata["finish_reason"], "length")

    def test_tools(self):
        from langchain_core.messages import HumanMessage, ToolMessage

        model = self.model().bind_tools([WEATHER])
        call = model.invoke(QUESTION)
        self.assertEqual(call.tool_calls[0]["args"], {"city": "Paris"})
        gathered = None
        for chunk in model.stream(QUESTION):
            gathered = chunk if gathered is None else gathered + chunk
        self.assertEqual(gathered.tool_calls[0]["args"], {"city": "Paris"})
        answer = model.invoke([
            HumanMessage(QUESTION), call,
            ToolMessage('{"temperature": 21, "sky": "sunny"}',
                        tool_call_id=call.tool_calls[0]["id"]),
        ])
        self.assertIn("sunny", answer.content)

    def test_the_responses_api(self):
        r = self.model(use_responses_api=True).invoke(HELLO)
        self.assertEqual(r.text, self.model().invoke(HELLO).content)
        streamed = "".join(c.text for c in self.model(use_responses_api=True).stream(HELLO))
        self.assertEqual(streamed, r.text)


def load_litellm():
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch one
    import litellm

    litellm.suppress_debug_info = True
    return litellm


@unittest.skipUnless(HAVE["litellm"], "litellm is not installed")
class LiteLLM(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    def complete(self, provider="openai", messages=None, **kwargs):
        litellm = load_litellm()
        base = self.server.url + ("" if provider == "anthropic" else "/v1")
        return litellm.completion(
            model=f"{provider}/tiny", api_base=base, api_key="none", num_retries=0,
            messages=messages or [{"role": "user", "content": HELLO}],
            **{"max_tokens": 40, "temperature": 0, **kwargs},
        )

    def test_providers_agree(self):
        texts = [self.complete(p).choices[0].message.content
                 for p in ("openai", "hosted_vllm", "anthropic")]
        self.assertEqual(texts, [texts[0]] * 3)

    def test_streams(self):
        for provider in ("openai", "anthropic"):
            whole = self.complete(provider).choices[0].message.content
            chunks = self.complete(provider, stream=True)
            text = "".join(c.choices[0].delta.content or "" for c in chunks)
            self.assertEqual(text, whole)

    def test_tools(self):
        for provider in ("openai", "anthropic"):
            r = self.complete(provider, [{"role": "user", "content": QUESTION}], tools=[WEATHER])
            call = r.choices[0].message.tool_calls[0].function
            self.assertEqual((call.name, json.loads(call.arguments)),
                             ("get_weather", {"city": "Paris"}))
            self.assertEqual(r.choices[0].finish_reason, "tool_calls")

    def test_errors_are_understood(self):
        litellm = load_litellm()
        with self.assertRaises(litellm.ContextWindowExceededError):
            self.complete(messages=[{"role": "user", "content": "x " * 20000}])
        with self.assertRaises(litellm.NotFoundError):
            litellm.completion(model="openai/other", api_base=self.server.url + "/v1",
                               api_key="none", num_retries=0,
                               messages=[{"role": "user", "content": HELLO}])
