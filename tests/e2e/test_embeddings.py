"""/v1/embeddings through the official client, and against arithmetic done here."""

import base64
import math
import struct

import openai
from openai import OpenAI

from harness import ServerTest

TEXTS = ["The sky is blue.", "The sky was blue.", "Seventeen ships sail.", "x"]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b))


class Embeddings(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "--max-num-batched-tokens", "32")

    def setUp(self):
        self.client = OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)
        self.create = self.client.embeddings.create

    def tearDown(self):
        self.client.close()

    def vectors(self, input, **extra):
        r = self.create(model="tiny", input=input, extra_body=extra or None)
        self.assertEqual([d.index for d in r.data], list(range(len(r.data))))
        return [d.embedding for d in r.data]

    def test_floats_and_base64_are_the_same(self):
        by_client = self.create(model="tiny", input=TEXTS)  # asks for base64
        plain = self.server.post("/v1/embeddings", {"model": "tiny", "input": TEXTS})[1]
        packed = self.server.post(
            "/v1/embeddings", {"model": "tiny", "input": TEXTS, "encoding_format": "base64"})[1]
        self.assertEqual(plain["object"], "list")
        for i in range(len(TEXTS)):
            floats = plain["data"][i]["embedding"]
            raw = base64.b64decode(packed["data"][i]["embedding"], validate=True)
            self.assertEqual(list(struct.unpack(f"<{len(floats)}f", raw)),
                             [struct.unpack("<f", struct.pack("<f", x))[0] for x in floats])
            for a, b in zip(by_client.data[i].embedding, floats):
                self.assertAlmostEqual(a, b, places=6)
            self.assertAlmostEqual(math.sqrt(cosine(floats, floats)), 1, places=5)
        self.assertEqual(by_client.usage.prompt_tokens, by_client.usage.total_tokens)

    def test_a_text_does_not_depend_on_its_batch(self):
        for pooling in ("last", "mean"):
            long = "word " * 60  # several steps of 32 tokens
            together = self.vectors(TEXTS + [long], pooling=pooling)
            for text, vector in zip(TEXTS + [long], together):
                self.assertEqual(self.vectors(text, pooling=pooling)[0], vector)

    def test_last_and_mean_are_what_they_say(self):
        ids = self.server.post("/tokenize", {"prompt": TEXTS[0]})[1]["tokens"]
        ends = [self.vectors([ids[: n + 1]], normalize=False)[0] for n in range(len(ids))]
        mean = self.vectors(TEXTS[0], pooling="mean", normalize=False)[0]
        for j, got in enumerate(mean):
            self.assertAlmostEqual(got, sum(e[j] for e in ends) / len(ends), places=4)
        self.assertEqual(ends[-1], self.vectors(TEXTS[0], normalize=False)[0])

    def test_likeness_means_something(self):
        a, b, c, _ = self.vectors(TEXTS, pooling="mean")
        self.assertGreater(cosine(a, b), cosine(a, c))

    def test_token_arrays_and_usage(self):
        ids = [self.server.post("/tokenize", {"prompt": t})[1]["tokens"] for t in TEXTS]
        self.assertEqual(self.vectors(ids), self.vectors(TEXTS))
        self.assertEqual(self.vectors(ids[0]), self.vectors(TEXTS[0]))
        r = self.create(model="tiny", input=TEXTS)
        self.assertEqual(r.usage.prompt_tokens, sum(map(len, ids)))

    def test_errors(self):
        for change, param in (
            ({"input": ""}, "input"),
            ({"input": ["a", ""]}, "input"),
            ({"input": []}, "input"),
            ({"input": None}, "input"),
            ({"input": [["a"]]}, "input[0][0]"),
            ({"dimensions": 2}, "dimensions"),
            ({"encoding_format": "int8"}, "encoding_format"),
            ({"pooling": "max"}, "pooling"),
            ({"input": "x " * 20000}, "input"),
            ({"input": ["x"] * 2049}, "input"),
        ):
            status, reply = self.server.post(
                "/v1/embeddings", {"model": "tiny", "input": "x", **change})
            self.assertEqual((status, reply["error"]["param"]), (400, param), reply)
        with self.assertRaises(openai.NotFoundError):
            self.create(model="other", input="x")


class Off(ServerTest):
    FLAGS = ("--served-model-name", "tiny", "--no-enable-embeddings")

    def test_they_can_be_left_out(self):
        status, reply = self.server.post("/v1/embeddings", {"model": "tiny", "input": "x"})
        self.assertEqual((status, reply["error"]["code"]), (400, "unsupported_value"))
