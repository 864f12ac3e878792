"""Bodies as applications send them, and scoring as evaluation harnesses do it."""

import json
import math

from openai import OpenAI

from harness import ServerTest, sse_events

HELLO = [{"role": "user", "content": "Say hello."}]


class OpenWebUI(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    # What a chat carries: Ollama's parameters, ids of its own, and a trailing slash in the URL.
    BODY = {
        "stream": True,
        "model": "tiny",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}],
        "params": {},
        "tool_servers": [],
        "features": {"image_generation": False, "code_interpreter": False, "web_search": False},
        "variables": {"{{USER_NAME}}": "User"},
        "model_item": {"id": "tiny", "object": "model"},
        "session_id": "abc",
        "chat_id": "c1",
        "id": "m1",
        "background_tasks": {"title_generation": True, "tags_generation": True},
        "stream_options": {"include_usage": True},
        "num_ctx": 4096,
        "keep_alive": "5m",
        "num_predict": 16,
        "options": {"temperature": 0.1},
        "max_tokens": 24,
        "temperature": 0,
    }

    def test_a_chat(self):
        status, _, data = self.server.request("POST", "//v1//chat/completions", self.BODY)
        self.assertEqual(status, 200, data)
        events = sse_events(data)
        self.assertEqual(events[-1], "[DONE]")
        chunks = [json.loads(e) for e in events[:-1]]
        self.assertEqual(chunks[-1]["choices"], [])
        text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1])
        plain = self.server.post("/v1/chat/completions", dict(self.BODY, stream=False))[1]
        self.assertEqual(text, plain["choices"][0]["message"]["content"])

    def test_its_small_tasks(self):
        status, reply = self.server.post("/v1/chat/completions", {
            "model": "tiny", "stream": False, "max_completion_tokens": 8,
            "messages": [{"role": "user", "content": "### Task:\nGenerate a title.\n"}],
            "metadata": {"task": "title_generation", "chat_id": "c1"},
        })
        self.assertEqual(status, 200, reply)

    def test_the_list_of_models(self):
        models = json.loads(self.server.get("//v1/models/")[1])["data"]
        self.assertEqual([m["id"] for m in models], ["tiny"])
        self.assertIn("name", models[0])

    def test_long_lists_of_tools(self):
        tools = [{"type": "function", "function": {
            "name": f"tool_{i}", "description": "d",
            "parameters": {"type": "object", "properties": {}}}} for i in range(40)]
        body = {"model": "tiny", "messages": HELLO, "tools": tools, "max_tokens": 2,
                "tool_choice": "auto", "parallel_tool_calls": True}
        status, reply = self.server.post("/v1/chat/completions", body)
        if status == 400:  # the bundled model's context is short: that must be all that is wrong
            self.assertEqual(reply["error"]["code"], "context_length_exceeded")
        else:
            self.assertEqual(status, 200, reply)
        flat = [{"type": "function", "name": t["function"]["name"]} for t in tools[:3]]
        status, reply = self.server.post("/v1/chat/completions", dict(body, tools=flat))
        self.assertEqual(status, 200, reply)


class Loglikelihood(ServerTest):
    """log P(continuation | context) by echo and logprobs over arrays of tokens, in batches, and the
    same one prompt at a time."""

    FLAGS = ("--served-model-name", "tiny")
    PAIRS = [("The sky is", " blue"), ("Two and two is", " four."), ("Hello", ","),
             ("The sky is", " green and very wide")]

    def setUp(self):
        self.client = OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)

    def tearDown(self):
        self.client.close()

    def tokens(self, text):
        return self.server.post("/tokenize", {"prompt": text, "add_special_tokens": False})[1][
            "tokens"]

    def score(self, prompts, n_context, **kwargs):
        r = self.client.completions.create(
            model="tiny", prompt=prompts, echo=True, logprobs=1, temperature=0,
            **{"max_tokens": 0, **kwargs}
        )
        self.assertEqual(len(r.choices), len(prompts))
        out = []
        for choice, ids, n in zip(r.choices, prompts, n_context):
            lp = choice.logprobs
            self.assertIsNone(lp.token_logprobs[0])
            of = lp.token_logprobs[n : len(ids)]
            greedy = all(value == max(top.values())
                         for value, top in zip(of, lp.top_logprobs[n : len(ids)]))
            out.append((sum(of), greedy))
        return out

    def test_batches_and_single_prompts_agree(self):
        contexts = [self.tokens(c) for c, _ in self.PAIRS]
        prompts = [c + self.tokens(t) for c, (_, t) in zip(contexts, self.PAIRS)]
        lengths = [len(c) for c in contexts]
        batch = self.score(prompts, lengths)
        for (total, _), prompt, n in zip(batch, prompts, lengths):
            self.assertTrue(math.isfinite(total) and total < 0)
            self.assertEqual(self.score([prompt], [n])[0][0], total)
        one_more = self.score(prompts, lengths, max_tokens=1)  # as older harnesses ask
        self.assertEqual([t for t, _ in one_more], [t for t, _ in batch])

    def test_the_greedy_continuation_is_called_greedy(self):
        context = self.tokens("The sky is")
        r = self.client.completions.create(
            model="tiny", prompt=[context], max_tokens=4, temperature=0,
            extra_body={"return_token_ids": True},
        )
        ids = r.choices[0].model_extra["token_ids"]
        self.assertTrue(self.score([context + ids], [len(context)])[0][1])
        told = self.client.completions.create(
            model="tiny", prompt=[context], max_tokens=4, temperature=0, logprobs=1)
        self.assertAlmostEqual(sum(told.choices[0].logprobs.token_logprobs[: len(ids)]),
                               self.score([context + ids], [len(context)])[0][0], places=4)

    def test_text_prompts_score_as_their_tokens(self):
        text = "The sky is blue"
        one = self.score([self.tokens(text)], [1])[0][0]
        r = self.client.completions.create(
            model="tiny", prompt=text, echo=True, logprobs=1, max_tokens=0, temperature=0,
            extra_body={"add_special_tokens": False},
        )
        self.assertEqual(sum(r.choices[0].logprobs.token_logprobs[1:]), one)
        self.assertEqual(r.choices[0].text, text)
