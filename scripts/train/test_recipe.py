"""Tests of the recipe that need no GPU: python3 -m unittest discover -s scripts/train.

Needs jinja2; PAGODA_CORPUS must name a folder made by make_corpus.sh.
"""

import json
import os
import pathlib
import random
import unittest

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

import chat
from skills import phrasing

HERE = pathlib.Path(__file__).resolve().parent
HAVE_CORPUS = (pathlib.Path(os.environ.get("PAGODA_CORPUS", "corpus")) / "words.jsonl.gz").exists()


def template():
    """chat_template.jinja, compiled as transformers does."""
    def fail(message):
        raise jinja2.exceptions.TemplateError(message)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    env.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    env.globals["raise_exception"] = fail
    return env.from_string((HERE / "chat_template.jinja").read_text().rstrip("\n"))


class Recipe(unittest.TestCase):
    def same(self, messages, tools=None, generate=False):
        wanted = template().render(messages=messages, tools=tools, add_generation_prompt=generate)
        got = "".join(text for text, _ in chat.render(messages, tools, generate))
        self.assertEqual(wanted, got)

    def test_both_renderings_agree_on_plain_turns(self):
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"},
                 {"role": "user", "content": " spaces \n kept "}]
        self.same(turns, generate=True)
        self.same([{"role": "system", "content": "Be brief."}] + turns, generate=True)

    @unittest.skipUnless(HAVE_CORPUS, "no corpus")
    def test_both_renderings_agree_on_a_thousand_dialogues(self):
        import skills
        rng = random.Random(7)
        for _ in range(1000):
            made = skills.example(rng)
            self.same(made["messages"], made.get("tools"))

    def test_training_and_evaluation_never_share_a_phrasing(self):
        patterns = [f"{a}{f}{e}" for a in phrasing.OPENINGS for f in phrasing.FRAMES for e in phrasing.ENDINGS]
        rng = random.Random(7)
        for _ in range(300):
            pattern = phrasing.choose(rng, "eval", phrasing.FRAMES)
            self.assertIn(pattern, patterns)
            self.assertTrue(phrasing.held_out(pattern))
            self.assertFalse(phrasing.held_out(phrasing.choose(rng, "train", phrasing.FRAMES)))

    @unittest.skipUnless(HAVE_CORPUS, "no corpus")
    def test_arithmetic_answers_are_right(self):
        from skills import maths
        rng = random.Random(7)
        for _ in range(2000):
            a, sign, b = maths.operands(rng)
            last = maths.worked(a, sign, b).split("= ")[-1]
            self.assertEqual(int(last), {"+": a + b, "-": a - b, "×": a * b, "÷": a / max(b, 1)}[sign])


if __name__ == "__main__":
    unittest.main()
