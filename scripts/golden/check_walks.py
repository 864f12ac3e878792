#!/usr/bin/env python3
"""Judge documents that random walks over the masks gave. Exit status 1 when one is invalid.

    check_schemas tests/golden/grammar/schemas.jsonl --walks 40 --out walks.jsonl
    scripts/golden/check_walks.py walks.jsonl        needs: pip install jsonschema rfc3339-validator

Rows are {"schema", "text"}. Duplicate keys count as wrong where the schema lists the key.
"""
import json
import re
import sys
from decimal import Decimal

import jsonschema


SPACE = "\\t-\\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"


CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": SPACE}


def ecma(pattern):
    """Python's \\s holds U+001C..U+001F, its \\d and \\w every script, its $ a last line break. (A
    complement inside a class is left as it is.)"""
    out, inside, i = "", False, 0
    while i < len(pattern):
        c = pattern[i]
        i += 1
        if c == "\\" and i < len(pattern):
            e = pattern[i]
            i += 1
            if e in CLASSES:
                out += CLASSES[e] if inside else f"[{CLASSES[e]}]"
            elif e in "DWS" and not inside:
                out += f"[^{CLASSES[e.lower()]}]"
            else:
                out += c + e
            continue
        inside = c == "[" or (inside and c != "]")
        out += "\\Z" if c == "$" and not inside else c
    return out


def multiple_of(validator, value, instance, schema):
    """On decimals, free of binary rounding."""
    if validator.is_type(instance, "number") and Decimal(repr(instance)) % Decimal(repr(value)):
        yield jsonschema.ValidationError(f"{instance!r} is not a multiple of {value!r}")


def pattern(validator, value, instance, schema):
    if validator.is_type(instance, "string") and not re.search(ecma(value), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {value!r}")


def main():
    cls = jsonschema.validators.extend(jsonschema.Draft202012Validator,
                                       {"multipleOf": multiple_of, "pattern": pattern})
    checker = cls.FORMAT_CHECKER
    n = bad = 0
    with open(sys.argv[1], encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            n += 1
            try:
                cls(row["schema"], format_checker=checker).validate(json.loads(row["text"]))
            except (ValueError, jsonschema.ValidationError) as e:
                bad += 1
                if bad <= 20:
                    print(f"row {n}: {row['text'][:300]!r}: {str(e).splitlines()[0]}\n  {json.dumps(row['schema'])[:600]}")
    print(f"{n} documents, {bad} invalid")
    return 1 if bad or not n else 0


sys.exit(main())
