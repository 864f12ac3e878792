"""Structured output through the real server and the official client: what the bundled model writes
is what was asked for, whatever it would rather have written."""

import json
import re
from typing import List, Literal

import openai
from openai import OpenAI
from pydantic import BaseModel, Field

from harness import ServerTest

ASK = [{"role": "user", "content": "Tell me about a person who lives in Paris."}]


class Pet(BaseModel):
    kind: Literal["cat", "dog", "bird"]
    age: int


class Person(BaseModel):
    name: str = Field(pattern="^[A-Z][a-z]{1,10}$")
    city: Literal["Paris", "Rome"]
    pets: List[Pet] = Field(max_length=2)


class Structured(ServerTest):
    FLAGS = ("--served-model-name", "tiny")

    def setUp(self):
        self.client = OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)

    def tearDown(self):
        self.client.close()

    def create(self, **kwargs):
        body = {"model": "tiny", "messages": ASK, "temperature": 0.8, "max_tokens": 300, **kwargs}
        return self.client.chat.completions.create(**body)

    def test_parse_gives_the_model_class(self):
        for seed in range(8):
            r = self.client.chat.completions.parse(
                model="tiny", messages=ASK, response_format=Person, seed=seed, max_tokens=300
            )
            self.assertEqual(r.choices[0].finish_reason, "stop")
            person = r.choices[0].message.parsed
            self.assertRegex(person.name, "^[A-Z][a-z]{1,10}$")
            self.assertLessEqual(len(person.pets), 2)

    def test_the_streaming_helper_parses_too(self):
        with self.client.chat.completions.stream(
            model="tiny", messages=ASK, response_format=Person, seed=3, max_tokens=300
        ) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        self.assertIn("content.delta", kinds)
        self.assertIsInstance(final.choices[0].message.parsed, Person)
        whole = self.client.chat.completions.parse(
            model="tiny", messages=ASK, response_format=Person, seed=3, max_tokens=300
        )
        self.assertEqual(final.choices[0].message.content, whole.choices[0].message.content)

    def test_an_answer_that_is_cut_says_so(self):
        with self.assertRaises(openai.LengthFinishReasonError):
            self.client.chat.completions.parse(
                model="tiny", messages=ASK, response_format=Person, max_tokens=5
            )

    def test_json_object(self):
        ended = 0
        for seed in range(6):
            choice = self.create(seed=seed, response_format={"type": "json_object"}).choices[0]
            self.assertTrue(choice.message.content.startswith("{"))
            if choice.finish_reason == "stop":
                self.assertIsInstance(json.loads(choice.message.content), dict)
                ended += 1
        self.assertGreater(ended, 0)

    def test_regex_choice_and_grammar(self):
        phone, rows = r"\+\d{2} \d{3}-\d{4}", "root ::= row row\nrow ::= [a-c] [0-9] \"\\n\""
        checks = {
            "regex": (phone, lambda t: re.fullmatch(phone, t)),
            "choice": (["north", "south"], lambda t: t in ("north", "south")),
            "grammar": (rows, lambda t: re.fullmatch("([a-c][0-9]\n){2}", t)),
        }
        for kind, (source, holds) in checks.items():
            for extra in ({"structured_outputs": {kind: source}}, {"guided_" + kind: source}):
                for stream in (False, True):
                    r = self.create(seed=1, n=2, stream=stream, extra_body=extra)
                    texts = ["", ""]
                    if stream:
                        for chunk in r:
                            for c in chunk.choices:
                                texts[c.index] += c.delta.content or ""
                    else:
                        texts = [c.message.content for c in r.choices]
                    for text in texts:
                        self.assertTrue(holds(text), (kind, text))

    def test_the_same_seed_gives_the_same_text_in_a_crowd(self):
        def ask(seed):
            return self.create(seed=seed, response_format={"type": "json_object"})

        alone = ask(5).choices[0].message.content
        crowd = self.create(seed=5, n=8, response_format={"type": "json_object"})
        self.assertEqual(crowd.choices[0].message.content, alone)
        self.assertEqual(ask(5).choices[0].message.content, alone)

    def test_logprobs_are_of_what_was_allowed(self):
        r = self.create(
            logprobs=True, top_logprobs=3, extra_body={"guided_choice": ["yes", "no"]}
        )
        first = r.choices[0].logprobs.content[0]
        for top in first.top_logprobs:
            self.assertTrue("yes".startswith(top.token) or "no".startswith(top.token), top.token)

    def test_completions(self):
        r = self.client.completions.create(
            model="tiny", prompt="One, two,", max_tokens=20, extra_body={"regex": "[0-9]{3}!"}
        )
        self.assertRegex(r.choices[0].text, "^[0-9]{3}!$")

    def test_structural_tags(self):
        schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}},
                  "required": ["city"], "additionalProperties": False}
        old = {"type": "structural_tag", "triggers": ["<f="],
               "structures": [{"begin": "<f=where>", "schema": schema, "end": "</f>"}]}
        content = {"type": "json_schema", "json_schema": schema}
        tag = {"type": "tag", "begin": "<f=where>", "content": content, "end": "</f>"}
        new = {"type": "structural_tag", "format": {
            "type": "triggered_tags", "triggers": ["<f="], "tags": [tag],
            "at_least_one": True, "stop_after_first": True}}
        for seed in range(3):
            r = self.create(seed=seed, response_format=new).choices[0]
            self.assertEqual(r.finish_reason, "stop")
            self.assertRegex(r.message.content, r'^<f=where>\{\s*"city"\s*:[^<]*\}</f>$')
            self.assertIn(json.loads(r.message.content[9:-4])["city"], ("Paris", "Rome"))
        free = self.create(seed=1, max_tokens=40, response_format=old).choices[0].message.content
        self.assertGreater(len(free), 0)
        self.assertEqual(free.count("<f="), free.count("<f=where>"))
        as_text = {"structured_outputs": {"structural_tag": json.dumps(new)}}
        text = self.create(seed=2, extra_body=as_text).choices[0].message.content
        self.assertEqual(text, r.message.content)
        old["structures"][0]["schema"] = {"if": {}}
        with self.assertRaises(openai.BadRequestError) as e:
            self.create(response_format=old)
        self.assertEqual(e.exception.param, "response_format")
        self.assertIn("structures[0].schema: schema #/if", str(e.exception))
        del old["triggers"]
        with self.assertRaises(openai.BadRequestError) as e:
            self.create(response_format=old)
        self.assertEqual(e.exception.param, "response_format.triggers")

    def test_a_bad_schema_is_named(self):
        schema = {"type": "object", "properties": {"a": {"if": {}}}}
        with self.assertRaises(openai.BadRequestError) as e:
            self.create(
                response_format={"type": "json_schema",
                                 "json_schema": {"name": "s", "schema": schema}}
            )
        self.assertEqual(e.exception.code, "invalid_json_schema")
        self.assertEqual(e.exception.param, "response_format.json_schema.schema")
        self.assertIn("#/properties/a/if", str(e.exception))
