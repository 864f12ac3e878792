"""The official openai client, unchanged, against the server."""

import asyncio
import unittest

import openai
from openai import AsyncOpenAI, OpenAI

from harness import ServerTest

HELLO = [{"role": "user", "content": "Say hello."}]


class OpenAIClient(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "alias/tiny")

    def setUp(self):
        self.client = OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)

    def tearDown(self):
        self.client.close()

    def test_lists_models_and_aliases(self):
        ids = [m.id for m in self.client.models.list()]
        self.assertEqual(ids, ["tiny", "alias/tiny"])
        self.assertEqual(self.client.models.retrieve("alias/tiny").id, "alias/tiny")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("other")

    def test_chat(self):
        r = self.client.chat.completions.create(
            model="tiny", messages=HELLO, max_tokens=12, temperature=0
        )
        self.assertEqual(r.object, "chat.completion")
        self.assertEqual(r.choices[0].message.role, "assistant")
        self.assertIsInstance(r.choices[0].message.content, str)
        self.assertIn(r.choices[0].finish_reason, ("stop", "length"))
        self.assertEqual(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens)
        self.assertIsNotNone(r.usage.prompt_tokens_details.cached_tokens)
        self.assertTrue(r._request_id)

    def test_stream_folds_to_the_same_text(self):
        kwargs = dict(model="tiny", messages=HELLO, max_tokens=24, temperature=1.0, seed=7)
        whole = self.client.chat.completions.create(**kwargs)
        text, finish, usage, roles = "", None, None, 0
        stream = self.client.chat.completions.create(
            stream=True, stream_options={"include_usage": True}, **kwargs
        )
        for chunk in stream:
            if chunk.usage is not None:
                usage = chunk.usage
            for choice in chunk.choices:
                roles += choice.delta.role == "assistant"
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(finish, whole.choices[0].finish_reason)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)
        self.assertEqual(roles, 1)

    def test_n_choices_differ_and_repeat_with_the_seed(self):
        kwargs = dict(
            model="tiny", messages=HELLO, max_tokens=16, temperature=1.5, n=3, seed=11,
            extra_body={"ignore_eos": True},
        )
        a = self.client.chat.completions.create(**kwargs)
        b = self.client.chat.completions.create(**kwargs)
        texts = [c.message.content for c in a.choices]
        self.assertEqual([c.index for c in a.choices], [0, 1, 2])
        self.assertGreater(len(set(texts)), 1)
        self.assertEqual(texts, [c.message.content for c in b.choices])
        self.assertEqual(a.usage.completion_tokens, 48)

    def test_logprobs(self):
        r = self.client.chat.completions.create(
            model="tiny", messages=HELLO, max_tokens=8, temperature=0, logprobs=True,
            top_logprobs=3,
        )
        content = r.choices[0].logprobs.content
        for item in content:
            self.assertLessEqual(item.logprob, 0)
            self.assertEqual(len(item.top_logprobs), 3)
            self.assertAlmostEqual(item.top_logprobs[0].logprob, item.logprob, places=5)
            self.assertEqual(item.top_logprobs[0].token, item.token)
        shown = b"".join(bytes(i.bytes) for i in content).decode(errors="replace")
        self.assertTrue(shown.startswith(r.choices[0].message.content))

    def test_stop_string_is_trimmed(self):
        kwargs = dict(model="tiny", messages=HELLO, max_tokens=40, temperature=0)
        text = self.client.chat.completions.create(**kwargs).choices[0].message.content
        stop = text[len(text) // 2 :][:3]
        r = self.client.chat.completions.create(stop=[stop], **kwargs)
        self.assertEqual(r.choices[0].message.content, text[: text.index(stop)])
        self.assertEqual(r.choices[0].finish_reason, "stop")

    def test_completions_with_text_tokens_and_echo(self):
        r = self.client.completions.create(
            model="tiny", prompt="The capital of France is", max_tokens=5, temperature=0, echo=True,
            logprobs=2,
        )
        self.assertTrue(r.choices[0].text.startswith("The capital of France is"))
        lp = r.choices[0].logprobs
        self.assertEqual(len(lp.tokens), len(lp.token_logprobs))
        self.assertIsNone(lp.token_logprobs[0])
        self.assertEqual(r.choices[0].text, "".join(lp.tokens))
        ids = self.server.post("/tokenize", {"prompt": "The capital of France is"})[1]["tokens"]
        a = self.client.completions.create(model="tiny", prompt=ids, max_tokens=5, temperature=0)
        b = self.client.completions.create(
            model="tiny", prompt=[ids, ids], max_tokens=5, temperature=0
        )
        self.assertEqual([a.choices[0].text] * 2, [c.text for c in b.choices])
        self.assertEqual(r.choices[0].text, "The capital of France is" + a.choices[0].text)

    def test_scoring_without_generation(self):
        r = self.client.completions.create(
            model="tiny", prompt="Water is wet.", max_tokens=0, echo=True, logprobs=1
        )
        self.assertEqual(r.choices[0].text, "Water is wet.")
        self.assertEqual(r.usage.completion_tokens, 0)
        self.assertTrue(all(x <= 0 for x in r.choices[0].logprobs.token_logprobs[1:]))

    def test_errors_come_as_their_classes(self):
        create = self.client.chat.completions.create
        with self.assertRaises(openai.NotFoundError) as e:
            create(model="nope", messages=HELLO)
        self.assertEqual(e.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as e:
            create(model="tiny", messages=HELLO, temperature=3)
        self.assertEqual(e.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as e:
            create(model="tiny", messages=[{"role": "user", "content": "x " * 20000}])
        self.assertEqual(e.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.BadRequestError) as e:
            create(model="tiny", messages=HELLO, response_format={"type": "yaml"})
        self.assertEqual(e.exception.param, "response_format.type")
        with self.assertRaises(openai.BadRequestError) as e:
            create(model="tiny", messages=[{"role": "robot", "content": "x"}])
        self.assertEqual(e.exception.param, "messages[0].role")

    def test_leaving_a_stream_frees_its_pages(self):
        stream = self.client.chat.completions.create(
            model="tiny", messages=HELLO, stream=True, max_tokens=1500,
            extra_body={"ignore_eos": True},
        )
        next(iter(stream))
        stream.close()
        self.server.wait_metric("vllm:num_requests_running", 0)

    def test_client_timeout(self):
        impatient = self.client.with_options(timeout=0.05)
        with self.assertRaises(openai.APITimeoutError):
            impatient.chat.completions.create(
                model="tiny", messages=HELLO, max_tokens=1900, extra_body={"ignore_eos": True}
            )
        self.server.wait_metric("vllm:num_requests_running", 0)

    def test_async_streams_side_by_side(self):
        async def one(client, seed):
            text = ""
            stream = await client.chat.completions.create(
                model="tiny", messages=HELLO, max_tokens=20, temperature=1.0, seed=seed, stream=True
            )
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
            return text

        async def crowd():
            async with AsyncOpenAI(base_url=self.server.url + "/v1", api_key="none") as client:
                return await asyncio.gather(*(one(client, s % 4) for s in range(16)))

        texts = asyncio.run(crowd())
        for i, text in enumerate(texts):
            self.assertEqual(text, texts[i % 4])


class Retries(unittest.TestCase):
    def test_client_retries_while_the_server_loads(self):
        from harness import Server

        server = Server(wait=False)
        try:
            import time

            for _ in range(200):  # the port opens before the model is there
                try:
                    server.get("/livez")
                    break
                except OSError:
                    time.sleep(0.005)
            with OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=8) as client:
                name = client.chat.completions.create(
                    model="pagoda-tiny", messages=HELLO, max_tokens=1
                ).model
            self.assertEqual(name, "pagoda-tiny")
        finally:
            server.stop()
