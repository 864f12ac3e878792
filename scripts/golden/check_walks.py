#!/usr/bin/env python3
"""Judge documents that random walks over the masks gave. Exit status 1 when one is invalid.

    check_schemas tests/golden/grammar/schemas.jsonl --walks 40 --out walks.jsonl
    scripts/golden/check_walks.py walks.jsonl        needs: pip install jsonschema rfc3339-validator

Rows are {"schema", "text"}. Duplicate keys count as wrong where the schema lists the key.
"""
import json
import sys

import jsonschema


def close(m):
    """multipleOf on decimals, free of binary rounding."""
    from decimal import Decimal

    def check(validator, value, instance, schema):
        if validator.is_type(instance, "number") and Decimal(repr(instance)) % Decimal(repr(value)):
            yield jsonschema.ValidationError(f"{instance!r} is not a multiple of {value!r}")
    return jsonschema.validators.extend(m, {"multipleOf": check})


def main():
    cls = close(jsonschema.Draft202012Validator)
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
