"""Generators of dialogues, one module per group of skills, mixed by weight.

Every generator takes (rng, split) with split "train" or "eval" and returns a dict with `skill`,
`messages` (the last one is the assistant's) and sometimes `tools`.
"""

from .chatlib import dumps
from . import dialogue, maths, retrieval, stories, structured, talk, tools, words, world

# Share of dialogues by module; retrieval's are many times longer than the others.
MIX = [(world, 14), (words, 22), (maths, 22), (stories, 5), (talk, 5), (retrieval, 8), (structured, 9),
       (tools, 12), (dialogue, 16)]
ALL = [(generate, weight * share / sum(w for _, w in module.GENERATORS))
       for module, share in MIX for generate, weight in module.GENERATORS]
_FUNCTIONS = [generate for generate, _ in ALL]
_WEIGHTS = [weight for _, weight in ALL]


def example(rng, split="train"):
    """One dialogue of the mixture."""
    return rng.choices(_FUNCTIONS, _WEIGHTS)[0](rng, split)


def sample_texts(rng, count):
    """Text of dialogues and tool schemas without control tokens, for training the tokenizer."""
    for _ in range(count):
        made = example(rng)
        for tool in made.get("tools", ()):
            yield dumps(tool["function"])
        for message in made["messages"]:
            yield message["content"]
            for call in message.get("tool_calls", ()):
                yield dumps(call["function"])
