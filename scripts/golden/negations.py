#!/usr/bin/env python3
"""Write tests/golden/grammar/negations.jsonl: schemas with `not` and with branches of oneOf that
overlap, and values, labelled by the Python package jsonschema.

    pip install jsonschema
    scripts/golden/negations.py > tests/golden/grammar/negations.jsonl

Valid objects have one member at most, since the order of members is the grammar's to choose;
invalid ones come in every order.
"""
import itertools
import json
import random

from jsonschema import Draft202012Validator

SCALARS = [0, 1, 2, 3, -1, -3, 0.5, 1.5, "", "a", "b", "ab", "ba", "abc", True, False, None]
LEAVES = [
    {"type": "integer"}, {"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "null"},
    {"type": ["string", "null"]}, {"type": ["integer", "boolean"]}, {"const": 0}, {"const": "a"},
    {"const": None}, {"enum": [1, "b", True]}, {"enum": [0, 2, "ab", False, None]},
    {"type": "string", "enum": ["a", "b", "ab"]}, {"type": "integer", "minimum": -1},
    {"type": "number", "maximum": 1.5}, {"minimum": 1}, {"exclusiveMaximum": 1}, {"maxLength": 1},
    {"type": "string", "minLength": 2}, {"type": "string", "pattern": "^a"}, {"pattern": "b$"}, {}, True, False,
]


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def object(self, depth):
        r = self.rng
        s = {"type": "object", "properties": {n: self.schema(depth - 1) for n in r.sample("abc", r.randint(1, 2))}}
        if r.random() < 0.6:
            s["required"] = r.sample("abc", r.randint(1, 2))
        if r.random() < 0.5:
            s["additionalProperties"] = False
        return s

    def schema(self, depth):
        r = self.rng
        kind = r.random()
        if depth <= 0 or kind < 0.45:
            return r.choice(LEAVES)
        if kind < 0.75:
            return self.object(depth)
        if kind < 0.8:
            return {"type": "array", r.choice(["minItems", "maxItems"]): r.randint(0, 2)}
        if kind < 0.88:
            return {"not": self.schema(depth - 1)}
        return {r.choice(["oneOf", "anyOf", "allOf"]): [self.schema(depth - 1) for _ in range(2)]}

    def top(self):
        if self.rng.random() < 0.25:
            return {"not": self.schema(2)}
        return {"oneOf": [self.schema(2) for _ in range(self.rng.randint(2, 3))]}


def written():
    """What people write: exactly one of some members, a variant without a tag, one type inside another."""
    yield {"type": "object", "properties": {n: {"type": "integer"} for n in "abc"}, "additionalProperties": False,
           "oneOf": [{"required": [n]} for n in "abc"]}
    yield {"type": "object", "oneOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": 2}}}]}
    yield {"oneOf": [{"type": "integer"}, {"type": "number"}, {"type": "string"}]}
    yield {"oneOf": [{"enum": ["a", "b"]}, {"type": "string", "minLength": 1}]}
    yield {"type": "object", "properties": {"a": {"type": "string"}}, "not": {"required": ["b"]}}
    yield {"type": "string", "not": {"enum": ["a", "ab", ""]}}
    yield {"type": "integer", "not": {"const": 0}}
    yield {"$defs": {"t": {"oneOf": [{"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}}}, {
        "type": "object", "required": ["b"]}, {"type": "null"}]}}, "$ref": "#/$defs/t"}


def values():
    yield from SCALARS
    yield from ([], [1], ["a", 2], [1, 2, 3], {})
    for n in "abcd":
        for v in SCALARS[::2] + [{}, {"a": 1}, {"b": "a"}, []]:
            yield {n: v}
    rng = random.Random(3)
    for names in [*itertools.combinations("abc", 2)] * 4 + ["abc"] * 3:
        yield {n: rng.choice(SCALARS) for n in names}


def spellings(v):
    if not isinstance(v, dict):
        return [json.dumps(v, separators=(",", ":"))]
    return [json.dumps(dict(p), separators=(",", ":")) for p in itertools.permutations(v.items())]


def main():
    rng, maker = random.Random(1), Maker(2)
    schemas = list(written())
    while len(schemas) < 90:
        schemas.append(maker.top())
    for s in schemas:
        good = Draft202012Validator(s).is_valid
        valid = [spellings(v)[0] for v in values() if good(v) and not (isinstance(v, dict) and len(v) > 1)]
        invalid = [t for v in values() if not good(v) for t in spellings(v)]
        if valid:
            print(json.dumps({"schema": s, "valid": rng.sample(valid, min(12, len(valid))),
                              "invalid": rng.sample(invalid, min(16, len(invalid)))}, separators=(",", ":")))


main()
