#!/usr/bin/env python3
"""Write tests/golden/grammar/patterns.jsonl: patterns with lookahead and random texts, labelled by
Python's re (which reads these patterns as ECMA-262 does but for `$`, which is made `\\Z`).

    scripts/golden/patterns.py > tests/golden/grammar/patterns.jsonl
"""
import json
import random
import re

PATTERNS = [
    r"^(?=.*[A-Z])(?=.*\d)[A-Za-z\d]{4,8}$",
    r"^(?!.*bad)[a-d]+$",
    r"(?=ab)a",
    r"(?!ab)a",
    r"^a(?=b)[ab]*(?!c)[abc]?$",
    r"a(?!b)|^b(?=c)",
    r"^(?!foo$|bar$)[a-z]{1,5}$",
    r"^(?=a|b)(?!ab)[abc]{2,4}",
    r"c(?=$)",
    r"^(?!.*aa)(?!.*bb)[ab]{1,6}$",
    r"^[ab]+(?=c)c$",
    r"x(?=.{2}$)",
    r"^(?=.{3,5}$)[ab]+c*$",
    r"^(?!-)[a-c-]{1,6}$",
]
WORDS = ["foo", "bar", "bad", "abad", "Ab1c", "AAAA1", "cc", "xab", "xx12", "abab", "b", "bc", "foob"]


def main():
    rng = random.Random(7)
    for pattern in PATTERNS:
        valid, invalid = set(), set()
        for _ in range(4000):
            letters = "abcdAB19- fobarx" if rng.random() < 0.3 else "abc"
            text = "".join(rng.choice(letters) for _ in range(rng.randint(0, 7)))
            if rng.random() < 0.1:
                text = rng.choice(WORDS)
            hit = re.search(pattern.replace("$", r"\Z"), text)
            (valid if hit else invalid).add(json.dumps(text))
        print(json.dumps({
            "schema": {"type": "string", "pattern": pattern},
            "valid": rng.sample(sorted(valid), min(40, len(valid))),
            "invalid": rng.sample(sorted(invalid), min(40, len(invalid))),
        }, separators=(",", ":")))


main()
