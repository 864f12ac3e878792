"""Writes questions.jsonl and heldout.jsonl from the generators' held-out phrasings and documents.

Training never uses a phrasing whose hash falls into the held-out tenth, nor a document of the
held-out fiftieth (scripts/train/skills/phrasing.py and feed.py), so nothing here was trained on.
"""

import argparse
import gzip
import json
import os
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "scripts" / "train"))

# skill -> number of questions; the closed skills of the model card have the most
COUNTS = {"capital": 200, "currency": 200, "language": 200, "define": 300, "arithmetic": 300, "units": 200,
          "retrieval": 80, "json": 150, "tool_call": 100, "tool_result": 60}
DEFAULT = 50
SKIP = {"mixed", "portrait", "name_some", "define_rarer", "define_thing"}
# Whole sentences that no training phrasing is built from: what is asked is {np}.
NEW_FRAMES = ["I'd be grateful if you told me {np}.", "Could you look up {np} for me?", "My homework asks for {np}.",
              "Whisper {np} to me.", "I bet you know {np}!", "Explain to me what {np} might be.",
              "Somebody asked me about {np}, what should I say?", "Let's see if you can work out {np}.",
              "Everyone but me seems to know {np}.", "Would it be possible to learn {np} from you?"]


def expected(made):
    """(kind, expect) of a generated dialogue's last message."""
    last = made["messages"][-1]
    if last.get("tool_calls"):
        return "calls", [[c["function"]["name"], c["function"]["arguments"]] for c in last["tool_calls"]]
    if made["skill"] == "story":
        return "story", None
    if made["skill"] == "json":
        return "json", json.loads(last["content"])
    return "exact", last["content"]


def api_messages(messages):
    """As the API wants them: arguments of earlier calls are strings there."""
    out = []
    for message in messages:
        message = dict(message)
        if message.get("tool_calls"):
            message["tool_calls"] = [
                {"id": f"call_{i}", "type": "function",
                 "function": {**c["function"], "arguments": json.dumps(c["function"]["arguments"], ensure_ascii=False)}}
                for i, c in enumerate(message["tool_calls"])]
        if message["role"] == "tool":
            message["tool_call_id"] = "call_0"
        out.append(message)
    return out


def questions(seed):
    """Yields question records until every skill has its number."""
    import skills
    rng = random.Random(seed)
    have = {}
    functions = [generate for generate, _ in skills.ALL]
    for _ in range(60000):
        made = rng.choice(functions)(rng, "eval")
        skill = made["skill"]
        if skill in SKIP or have.get(skill, 0) >= COUNTS.get(skill, DEFAULT):
            continue
        have[skill] = have.get(skill, 0) + 1
        kind, expect = expected(made)
        record = {"skill": skill, "kind": kind, "messages": api_messages(made["messages"][:-1]), "expect": expect}
        if made.get("tools"):
            record["tools"] = made["tools"]
        yield record


def new_wordings(seed, each=60):
    """Questions in NEW_FRAMES, to see how far the skills reach beyond the frames of training."""
    from skills import maths, words, world
    rng = random.Random(seed)
    for _ in range(each):
        for relation, noun in (("capital", "the capital of {}"), ("currency", "the currency of {}"),
                               ("language", "the main language of {}")):
            country = rng.choice(world.COUNTRIES)
            yield new_wording(rng, noun.format(country["name"]), world.RELATIONS[relation][0](country))
        entry = rng.choice(words.lexicon())
        yield new_wording(rng, f'the meaning of "{entry["word"]}"', words.definition(entry))
        a, sign, b = maths.operands(rng)
        yield new_wording(rng, f"{a} {maths.SIGNS[sign]} {b}", f"{a} {sign} {b} = {maths.worked(a, sign, b)}.")


def new_wording(rng, noun, answer):
    user = rng.choice(NEW_FRAMES).replace("{np}", noun)
    return {"skill": "new_wording", "kind": "exact", "messages": [{"role": "user", "content": user}], "expect": answer}


def held_out_texts(corpus, count, seed):
    """`count` pieces of held-out prose, cut at a paragraph, about 1,500 characters each."""
    from feed import held_out_document
    with gzip.open(corpus / "prose.jsonl.gz", "rt", encoding="utf-8") as file:
        docs = [doc for doc in map(json.loads, file) if held_out_document(doc["text"])]
    random.Random(seed).shuffle(docs)
    for doc in docs[:count]:
        cut = max(doc["text"].rfind("\n", 0, 1500), doc["text"].rfind(". ", 0, 1500) + 1)
        yield {"source": doc["source"], "text": doc["text"][: cut if cut > 200 else 1500].strip()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    os.environ["PAGODA_CORPUS"] = str(args.corpus)
    records = list(questions(args.seed)) + list(new_wordings(args.seed))
    for name, records in (("questions.jsonl", records),
                          ("heldout.jsonl", held_out_texts(args.corpus, 60, args.seed))):
        with open(HERE / name, "w", encoding="utf-8") as out:
            for record in records:
                out.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
