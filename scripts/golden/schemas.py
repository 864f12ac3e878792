#!/usr/bin/env python3
"""Write tests/golden/grammar/schemas.jsonl: JSON Schemas with texts that they accept and reject.

Usage: schemas.py OUT.jsonl        needs: pip install jsonschema==4.26.0 rfc3339-validator==0.1.4

Labels come from the Python package jsonschema (draft 2020-12 with format checks). Every text is
compact JSON whose keys stand in the order in which the schema mentions them, since that is the order
in which the grammar writes them. Schemas are hand-written families plus random ones from a seed;
instances are a shared pool, instances generated from the schema, and small changes of those.
"""
import json
import random
import sys

import jsonschema

SEED = 20260715
MAX_VALID, MAX_INVALID = 10, 14

POOL = [None, True, False, 0, 1, -1, 2, 5, 7, 10, 12, 99, 100, 101, 1000, -5, -100, 0.5, 1.5, -0.25, 2.75,
        3.14, 99.5, 100.5, "", "a", "b", "ab", "abc", "abcd", "x1", "hello", "Hello World", "\u00e9t\u00e9",
        "\u4f60\u597d", "\U0001f600", "a\"b", "a\\b", "line\nbreak", "red", "green", "blue", "123", "2024-02-29",
        [], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], ["a"], ["a", "b"], [1, "a"], ["a", 1], [None], [True],
        [[1], [2]], [{}], {}, {"a": 1}, {"a": "x"}, {"b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": "x"},
        {"a": 1, "b": 2, "c": 3}, {"a": None}, {"a": {"a": 1}}, {"x1": 1}, {"x1": 1, "y": "s"}, {"kind": "cat"},
        {"kind": "dog", "bark": 1}, {"value": 1, "next": None},
        {"value": 1, "next": {"value": 2, "next": None}}]


def obj(props, required=None, **more):
    return {"type": "object", "properties": props,
            "required": list(props) if required is None else required, **more}


INT, STR, NUM, BOOL, NULL = ({"type": t} for t in ("integer", "string", "number", "boolean", "null"))
CLOSED = {"additionalProperties": False}


def scalars():
    yield from (True, {}, INT, STR, NUM, BOOL, NULL, {"type": "array"}, {"type": "object"})
    yield {"type": ["string", "null"]}
    yield {"type": ["integer", "boolean", "array"]}
    yield {"title": "T", "description": "D", "default": 1, "examples": [1], "$comment": "c", "type": "integer",
           "x-vendor": 1, "deprecated": False, "readOnly": True}
    for lo, hi in [(0, 10), (1, 1), (-5, 5), (-100, -1), (7, 123), (99, 101), (0, None), (None, 0), (10, None),
                   (None, -1), (1, 999999), (-1234, 56), (100, 100000), (12, 19), (0, 2147483647)]:
        for kind in ("integer", "number"):
            s = {"type": kind}
            s.update({"minimum": lo} if lo is not None else {})
            s.update({"maximum": hi} if hi is not None else {})
            yield s
    for lo, hi in [(0, 1), (0, 10), (-1, 1), (0.5, 1.5), (-0.25, 2.75), (99.5, 100.5), (3.14, 3.15)]:
        yield {"type": "number", "minimum": lo, "maximum": hi}
        yield {"type": "number", "exclusiveMinimum": lo, "exclusiveMaximum": hi}
        yield {"type": "integer", "exclusiveMinimum": lo, "exclusiveMaximum": hi + 5}
    for m in (2, 3, 5, 7, 10, 25, 100, 0.5, 0.25):
        yield {"type": "integer", "multipleOf": m} if m >= 1 else {"type": "number", "multipleOf": m}
        yield {"type": "integer" if m >= 1 else "number", "multipleOf": m, "minimum": 0, "maximum": 120}
    for lo, hi in [(0, 0), (1, 1), (0, 3), (2, 4), (3, None), (1, 100), (5, 5)]:
        s = {"type": "string", "minLength": lo}
        s.update({"maxLength": hi} if hi is not None else {})
        yield s
    for p in ["^a", "b$", "^ab?$", "^[a-z]+$", "[0-9]", "^[a-z][0-9]$", "^(red|green)$", "^.{2,3}$", "l+o", "^\\d{3}$",
              "^[^a-z]*$", "^\\S+ \\S+$", "^a|b$", "\\w\\d", "^$", "\"", "\\\\", "^[\\u4e00-\\u9fff]+$", "^(?:a|b)*$"]:
        yield {"type": "string", "pattern": p}
        yield {"type": "string", "pattern": p, "minLength": 2, "maxLength": 4}
    yield {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "b$"}, {"maxLength": 3}]}


def constants():
    for v in (1, "a", None, True, 1.5, [1, "a"], {"a": 1}, "a\"b", "", [], {}):
        yield {"const": v}
    yield {"enum": ["red", "green", "blue"]}
    yield {"enum": [1, 2, 3, "a", None, True]}
    yield {"type": "string", "enum": ["red", 1, None]}
    yield {"enum": ["a", "ab", "abc"], "minLength": 2}
    yield {"enum": ["a", "ab", "x1"], "pattern": "\\d"}
    yield {"enum": [1, 5, 10, 100], "minimum": 5, "maximum": 99}
    yield {"enum": [[1, 2], {"a": 1}, "x"]}
    yield {"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}]}
    yield {"enum": ["a", "b"], "const": "b"}


def arrays():
    for lo, hi in [(0, 0), (0, 2), (1, 3), (2, 2), (2, None), (0, 100)]:
        s = {"type": "array", "items": INT, "minItems": lo}
        s.update({"maxItems": hi} if hi is not None else {})
        yield s
        yield {"type": "array", "items": s}
    yield {"type": "array", "items": {"type": ["string", "integer"]}}
    yield {"type": "array", "items": False}
    yield {"type": "array", "items": True, "maxItems": 1, "uniqueItems": True}
    yield {"type": "array", "prefixItems": [INT, STR]}
    yield {"type": "array", "prefixItems": [INT, STR], "items": False}
    yield {"type": "array", "prefixItems": [INT], "items": STR, "minItems": 2, "maxItems": 3}
    yield {"type": "array", "prefixItems": [INT, INT, INT], "items": False, "minItems": 2}
    yield {"type": "array", "prefixItems": [INT, INT], "maxItems": 1}
    yield {"items": INT}
    yield {"allOf": [{"items": {"minimum": 1}}, {"items": INT, "type": "array"}]}


def objects():
    yield obj({"a": INT})
    yield obj({"a": INT}, [])
    yield obj({"a": INT}, [], **CLOSED)
    yield obj({"a": INT, "b": STR}, **CLOSED)
    yield obj({"a": INT, "b": STR}, ["b"], **CLOSED)
    yield obj({"a": INT, "b": INT, "c": INT}, [], **CLOSED)
    yield obj({"a": INT, "b": INT, "c": INT}, ["a", "c"], **CLOSED)
    yield obj({"a": INT, "b": INT}, [], minProperties=1, **CLOSED)
    yield obj({"a": INT, "b": INT, "c": INT}, [], minProperties=2, **CLOSED)
    yield obj({"a": INT, "b": INT, "c": INT}, [], maxProperties=1)
    yield obj({"a": INT}, ["a"], maxProperties=2)
    yield obj({"a": INT, "b": {}, "c": True}, ["a", "b"], minProperties=2, maxProperties=2, **CLOSED)
    yield {"type": "object", "additionalProperties": INT}
    yield {"type": "object", "additionalProperties": STR, "minProperties": 1}
    yield {"type": "object", "maxProperties": 1}
    yield {"type": "object", "required": ["a"]}
    yield {"type": "object", "required": ["a", "b"], "additionalProperties": INT}
    yield {"type": "object", "patternProperties": {"^x": INT}}
    yield {"type": "object", "patternProperties": {"^x": INT}, **CLOSED}
    yield {"type": "object", "patternProperties": {"^x": INT, "1$": {"minimum": 1}}, "additionalProperties": STR}
    yield obj({"x1": {"minimum": 1}}, [], patternProperties={"^x": INT}, **CLOSED)
    yield {"type": "object", "propertyNames": {"pattern": "^[ab]$"}}
    yield {"type": "object", "propertyNames": {"maxLength": 1}, "additionalProperties": INT}
    yield {"type": "object", "propertyNames": {"enum": ["a", "b"]}}
    yield {"properties": {"a": INT}}
    yield {"properties": {"a": False, "b": INT}, "type": "object"}
    yield obj({"a": obj({"a": INT}, **CLOSED)}, **CLOSED)
    yield obj({"a\"q": INT, "tab\t": STR}, [])
    yield {"allOf": [obj({"a": INT}), obj({"b": INT})]}
    yield {"allOf": [obj({"a": INT}, [], **CLOSED), {"required": ["a"]}]}
    yield {"allOf": [obj({"a": {"minimum": 1}}), obj({"a": INT, "b": STR}, ["b"])]}
    yield {"allOf": [{"additionalProperties": INT}, {"properties": {"a": {"maximum": 1}}}], "type": "object"}
    wide = {f"p{i:02}": [INT, STR, BOOL, NULL][i % 4] for i in range(30)}
    yield obj(wide, ["p03", "p17"], **CLOSED)
    yield obj(wide, **CLOSED)


def combinations():
    yield {"anyOf": [INT, STR]}
    yield {"anyOf": [{"type": "string", "maxLength": 1}, {"type": "string", "pattern": "^ab"}]}
    yield {"anyOf": [obj({"a": INT}, **CLOSED), obj({"a": INT, "b": STR}, **CLOSED)]}
    yield {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"}
    yield {"anyOf": [{"minimum": 10}, {"maximum": 0}], "type": "integer"}
    yield {"type": "string", "anyOf": [{"minLength": 4}, {"maxLength": 1}], "pattern": "^[a-z]*$"}
    yield {"oneOf": [INT, STR, NULL]}
    yield {"oneOf": [{"const": 1}, {"const": "a"}, {"enum": [2, 5]}]}
    yield {"oneOf": [{"type": "integer", "maximum": 5}, {"type": "integer", "exclusiveMinimum": 5}]}
    yield {"oneOf": [{"type": "string", "maxLength": 1}, {"type": "string", "minLength": 2}]}
    yield {"oneOf": [{"type": "array", "maxItems": 1}, {"type": "array", "minItems": 3}]}
    pets = [obj({"kind": {"const": "cat"}, "lives": INT}, ["kind"]), obj({"kind": {"const": "dog"}, "bark": INT})]
    yield {"oneOf": pets}
    yield {"anyOf": pets}
    yield {"oneOf": [obj({"a": INT}, **CLOSED), obj({"b": INT}, **CLOSED)]}
    yield {"oneOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/y"}], "$defs": {"x": INT, "y": {"type": "array"}}}
    yield {"allOf": [{"anyOf": [INT, STR]}, {"anyOf": [STR, NULL]}]}
    yield {"allOf": [{"type": ["integer", "string"]}, {"not_used_here": 1}][:1], "minimum": 5, "minLength": 3}
    yield {"anyOf": [{"allOf": [INT, {"minimum": 3}]}, {"allOf": [{"type": "array"}, {"items": BOOL}]}]}
    yield {"anyOf": [True, INT]}
    yield {"anyOf": [False, INT]}


def references():
    node = obj({"value": INT, "next": {"anyOf": [{"$ref": "#"}, NULL]}}, **CLOSED)
    yield node
    yield {"$ref": "#/$defs/n", "$defs": {"n": obj({"value": INT, "next": {"anyOf": [NULL, {"$ref": "#/$defs/n"}]}})}}
    yield {"$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, "$ref": "#/$defs/tree"}
    yield {"definitions": {"p/q~r": INT}, "$ref": "#/definitions/p~1q~0r"}
    yield {"$defs": {"s": {"$anchor": "word", "type": "string"}}, "items": {"$ref": "#word"}, "type": "array"}
    yield {"$defs": {"i": INT}, "$ref": "#/$defs/i", "minimum": 5}
    yield {"$defs": {"j": {"anyOf": [NULL, BOOL, NUM, STR, {"type": "array", "items": {"$ref": "#/$defs/j"}},
                                     {"type": "object", "additionalProperties": {"$ref": "#/$defs/j"}}]}},
           "$ref": "#/$defs/j"}
    yield obj({"a": {"$ref": "#/properties/b"}, "b": INT}, [])
    yield {"$defs": {"e": {"anyOf": [INT, {"type": "array", "prefixItems": [{"enum": ["+", "*"]}, {"$ref": "#/$defs/e"},
           {"$ref": "#/$defs/e"}], "minItems": 3, "items": False}]}}, "$ref": "#/$defs/e"}


FORMATS = {
    "date": (["2024-02-29", "2023-02-28", "2000-02-29", "1999-12-31", "0001-01-01"],
             ["2023-02-29", "1900-02-29", "2024-13-01", "2024-00-10", "2024-04-31", "24-01-01", "2024-1-1", ""]),
    "time": (["12:00:00Z", "23:59:59.123Z", "00:00:00+01:30"], ["24:00:00Z", "12:60:00Z", "12:00:00", "12:00Z"]),
    "date-time": (["2024-02-29T12:00:00Z", "1985-04-12T23:20:50.52Z", "1996-12-19T16:39:57-08:00"],
                  ["2024-02-30T12:00:00Z", "2024-02-29 12:00:00Z", "2024-02-29T12:00:00", "x"]),
    "duration": (["P1Y", "PT1H30M", "P3Y6M4DT12H30M5S", "P2W"], ["P", "PT", "1Y", "P1S", "P1YT"]),
    "email": (["a@b.c", "joe.bloggs@example.com", "x+y@a-b.org"], ["a", "@b", "a@", "a b@c.d", "a..b@c.d"]),
    "hostname": (["example.com", "localhost", "a-b.c"], ["-a.com", "a..b", "a_b", ""]),
    "ipv4": (["0.0.0.0", "255.255.255.255", "10.1.2.3"], ["256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4"]),
    "ipv6": (["::", "::1", "1::", "2001:db8::ff00:42:8329", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::"],
             [":", "1:2:3:4:5:6:7", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "g::"]),
    "uuid": (["123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000000"],
             ["123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400", "x"]),
    "uri": (["http://example.com", "https://a.b/c?d=e#f", "urn:isbn:123", "mailto:a@b.c", "file:///x/y", "a:/"],
            ["example.com", "//a.b", "http://a b", "", "http://[", "%41://a", "http:/a%4"]),
    "json-pointer": (["", "/a", "/a~1b/0", "/"], ["a", "/~", "/~2"]),
}


def names_in_order(schema, out):
    if isinstance(schema, dict):
        for key in ("properties", "required"):
            for name in schema.get(key, []):
                if isinstance(name, str) and name not in out:
                    out.append(name)
        for v in schema.values():
            names_in_order(v, out)
    elif isinstance(schema, list):
        for v in schema:
            names_in_order(v, out)
    return out


def ordered(v, names):
    """v with its keys in the order of names; those of one letter are in the alphabet's everywhere."""
    names = sorted(n for n in names if len(n) == 1) + [n for n in names if len(n) != 1]
    return reordered(v, names)


def reordered(v, names):
    if isinstance(v, list):
        return [reordered(x, names) for x in v]
    if not isinstance(v, dict):
        return v
    rank = {n: i for i, n in enumerate(names)}
    return {k: reordered(v[k], names) for k in sorted(v, key=lambda k: rank.get(k, len(names)))}


class Maker:
    """Random schemas and instances."""

    def __init__(self, rng):
        self.rng = rng

    def schema(self, depth):
        r = self.rng
        kind = r.choice(["int", "num", "str", "bool", "null", "enum", "pattern"] if depth == 0 else
                        ["int", "str", "enum", "array", "object", "object", "any", "union", "tuple", "map"])
        if kind == "int":
            lo = r.randint(-200, 200)
            return r.choice([INT, {"type": "integer", "minimum": lo, "maximum": lo + r.randint(0, 300)},
                             {"type": "integer", "multipleOf": r.choice([2, 3, 5]), "minimum": lo}])
        if kind == "num":
            lo = r.randint(-40, 40) / 4
            return r.choice([NUM, {"type": "number", "minimum": lo, "maximum": lo + r.randint(1, 40) / 4},
                             {"type": "number", "exclusiveMinimum": lo}])
        if kind == "str":
            lo = r.randint(0, 3)
            return r.choice([STR, {"type": "string", "minLength": lo, "maxLength": lo + r.randint(0, 5)}])
        if kind == "pattern":
            return {"type": "string", "pattern": r.choice(["^[a-c]+$", "^x", "[0-9]$", "^(ab|cd)*$"])}
        if kind in ("bool", "null"):
            return {"bool": BOOL, "null": NULL}[kind]
        if kind == "enum":
            return {"enum": r.sample(["red", "green", 1, 2, None, True, "a b"], r.randint(1, 4))}
        if kind == "array":
            lo = r.randint(0, 2)
            return {"type": "array", "items": self.schema(depth - 1), "minItems": lo,
                    "maxItems": lo + r.randint(0, 3)}
        if kind == "tuple":
            items = [self.schema(depth - 1) for _ in range(r.randint(1, 3))]
            return {"type": "array", "prefixItems": items, "items": False, "minItems": r.randint(0, len(items))}
        if kind == "map":
            return {"type": "object", "additionalProperties": self.schema(depth - 1), "maxProperties": r.randint(1, 3)}
        if kind == "any":
            return {"anyOf": [self.schema(depth - 1) for _ in range(r.randint(2, 3))]}
        if kind == "union":
            return {"anyOf": [self.schema(0), NULL]}
        names = sorted(r.sample(["a", "b", "c", "d", "e"], r.randint(1, 4)))
        more = r.choice([{}, CLOSED, CLOSED, {"additionalProperties": self.schema(0)}])
        return obj({n: self.schema(depth - 1) for n in names}, r.sample(names, r.randint(0, len(names))), **more)

    def instance(self, s, root, depth=0):
        r = self.rng
        if depth > 6 or not isinstance(s, dict):
            return r.choice(POOL)
        if "$ref" in s and s["$ref"] == "#":
            return self.instance(root, root, depth + 1)
        for word in ("anyOf", "oneOf"):
            if word in s:
                return self.instance(r.choice(s[word]), root, depth + 1)
        if "const" in s:
            return s["const"]
        if "enum" in s:
            return r.choice(s["enum"])
        kind = s.get("type", "any")
        kind = r.choice(kind) if isinstance(kind, list) else kind
        if kind == "integer":
            lo = s.get("minimum", s.get("maximum", 50) - 60)
            v = r.randint(int(lo), int(max(lo, s.get("maximum", lo + 70))))
            return v - v % s.get("multipleOf", 1) if isinstance(s.get("multipleOf", 1), int) else v
        if kind == "number":
            lo = s.get("minimum", s.get("exclusiveMinimum", -5))
            return round(lo + r.random() * (s.get("maximum", lo + 10) - lo), r.randint(0, 3)) or 0
        if kind == "string":
            n = r.randint(s.get("minLength", 0), min(s.get("maxLength", 8), 12))
            return "".join(r.choice("abcx01 \u00e9\u4f60") for _ in range(n)) if "pattern" not in s else \
                r.choice(["a", "abc", "x", "x9", "abcd", "ab", "cdab", "9"])
        if kind == "boolean":
            return r.random() < 0.5
        if kind == "array":
            head = [self.instance(x, root, depth + 1) for x in s.get("prefixItems", [])]
            n = r.randint(s.get("minItems", 0), min(s.get("maxItems", 3), 5))
            while len(head) < n:
                head.append(self.instance(s.get("items", {}), root, depth + 1))
            return head[:n] if n else []
        if kind == "object":
            req = s.get("required", [])
            return {k: self.instance(v, root, depth + 1) for k, v in s.get("properties", {}).items()
                    if k in req or r.random() < 0.6}
        return None if kind == "null" else r.choice(POOL)

    def changed(self, v):
        """v with one small change somewhere."""
        r = self.rng
        if isinstance(v, dict) and v and r.random() < 0.8:
            k = r.choice(list(v))
            if r.random() < 0.3:
                return {n: x for n, x in v.items() if n != k}
            return {n: self.changed(x) if n == k else x for n, x in v.items()}
        if isinstance(v, dict):
            return {**v, "zz": r.choice(POOL)}
        if isinstance(v, list) and v and r.random() < 0.8:
            i = r.randrange(len(v))
            return v[:i] + ([self.changed(v[i])] if r.random() < 0.7 else []) + v[i + 1:]
        if isinstance(v, list):
            return v + [r.choice(POOL)]
        if isinstance(v, bool) or v is None:
            return r.choice(POOL)
        if isinstance(v, int):
            return v + r.choice([-1000, -1, 1, 7, 1000])
        return r.choice([v + "x", v[:-1], 1, None]) if isinstance(v, str) else r.choice(POOL)


def text(v):
    return json.dumps(v, ensure_ascii=False, separators=(",", ":"))


def rows(rng):
    maker = Maker(rng)
    families = (scalars, constants, arrays, objects, combinations, references)
    schemas = [s for f in families for s in f()]
    schemas += [maker.schema(rng.choice([1, 2, 2, 3])) for _ in range(170)]
    for s in schemas:
        jsonschema.Draft202012Validator.check_schema(s)
        check = jsonschema.Draft202012Validator(s)
        names = names_in_order(s, [])
        made = [maker.instance(s, s) for _ in range(12)] if isinstance(s, dict) else []
        pool = rng.sample(POOL, len(POOL)) + made + [maker.changed(v) for v in made for _ in range(2)]
        good, bad = [], []
        for v in reversed(pool):
            (good if check.is_valid(v) else bad).append(text(ordered(v, names)))
        yield s, list(dict.fromkeys(good))[:MAX_VALID], list(dict.fromkeys(bad))[:MAX_INVALID]
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for name, (good, bad) in FORMATS.items():
        s = {"type": "string", "format": name}
        check = jsonschema.Draft202012Validator(s, format_checker=checker)
        if name in checker.checkers and name != "email":
            assert all(check.is_valid(v) for v in good), name
            assert not any(check.is_valid(v) for v in bad), name
        yield s, [text(v) for v in good], [text(v) for v in bad] + ["1", "null"]
        yield {**s, "maxLength": 10}, [text(v) for v in good if len(v) <= 10], [text(v) for v in good if len(v) > 10]


def main():
    seen = set()
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        for s, good, bad in rows(random.Random(SEED)):
            line = text({"schema": s, "valid": good, "invalid": bad})
            if text(s) not in seen and good:
                f.write(line + "\n")
            seen.add(text(s))


main()
