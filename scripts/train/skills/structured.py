"""Answers in JSON: cards of facts, and fields extracted from a sentence."""

import json

from .maths import NAMES, THINGS
from .phrasing import ask, held_out, item
from .retrieval import CITIES, COLORS, DAYS, JOBS, TEAMS
from .talk import SURNAMES
from .words import FRUIT, lexicon
from .world import COUNTRIES

ENDS = ["Answer in JSON with the keys {k}.", "Reply as JSON with {k}.", "Give me JSON with the keys {k}.",
        "Return a JSON object with the fields {k}.", "Use JSON with the keys {k}.",
        "Output JSON only, with the keys {k}.", "The answer should be JSON with {k}.",
        "Respond with a JSON object that has the keys {k}.", "Write it as a JSON object with {k}.",
        "As JSON, please, with the keys {k}.", "Format: JSON object with {k}.", "JSON keys: {k}.",
        "I need a JSON object with the keys {k}.", "Please respond in JSON using the keys {k}."]


def key_list(rng, keys):
    """The wanted keys as people list them."""
    keys = [f'"{k}"' for k in keys] if rng.random() < 0.5 else list(keys)
    return ", ".join(keys[:-1]) + " and " + keys[-1] if len(keys) > 1 else keys[0]


def closing(rng, split, keys):
    while True:
        end = rng.choice(ENDS)
        if held_out(end) == (split == "eval"):
            return end.format(k=key_list(rng, keys))


def join(rng, body, end):
    """The body and the request for JSON, in either order."""
    return rng.choice([f"{body} {end}", f"{end} {body}", f"{body}\n{end}", f"{end}\n\n{body}",
                       f"{body}\n\n{end}"])


def answer(value):
    return json.dumps(value, ensure_ascii=False)


def country_card(rng, split):
    c = rng.choice(COUNTRIES)
    name = c["name"].removeprefix("the ")
    fields = {"country": name, "capital": c["capital"], "currency": c["currency"],
              "language": c["language"], "continent": c["continent"], "currency_code": c["code"]}
    keys = rng.sample(["capital", "currency", "language", "continent", "currency_code"], rng.randint(1, 3))
    if rng.random() < 0.7:
        keys.insert(0, "country")
    body = ask(rng, split, ["facts about {x}", "the data of {x}", "information about {x}"],
               ["Describe {x}.", "Tell me about {x}.", "I need data on {x}.", "Make a card for {x}."],
               plain=True, x=c["name"])
    return item("json", join(rng, body, closing(rng, split, keys)), answer({k: fields[k] for k in keys}))


def person_card(rng, split):
    """Extracts a person's fields from a sentence that tells them in some order."""
    name = rng.choice(NAMES) + (" " + rng.choice(SURNAMES) if rng.random() < 0.6 else "")
    values = {"name": name, "age": rng.randint(5, 98), "city": rng.choice(CITIES), "job": rng.choice(JOBS)}
    n, a, c, j = values.values()
    art = "an" if j[0] in "aeiou" else "a"
    text = rng.choice([
        f"{n} is {a} years old, lives in {c} and works as {art} {j}.",
        f"{n}, {art} {j} from {c}, is {a}.", f"My neighbor {n} is {art} {j}. {n} is {a} and lives in {c}.",
        f"In {c} lives {n}, aged {a}, who works as {art} {j}.",
        f"Hi, I am {n}. I am {a} years old and I work as {art} {j} in {c}.",
        f"At {a}, {n} still works as {art} {j} in {c}.",
        f"Meet {n}! Age: {a}. Home: {c}. Work: {j}.",
        f"The {j} {n} turned {a} last week and moved to {c}."])
    keys = rng.sample(list(values), rng.randint(2, 4))
    lead = rng.choice(["Extract the data: ", "Extract the fields from this text: ", "Text: ",
                       "Read this: ", "", "Turn this into data: ", "Parse this sentence: "])
    return item("json", join(rng, lead + text, closing(rng, split, keys)), answer({k: values[k] for k in keys}))


def order_card(rng, split):
    """Extracts an order: thing, number, color, day."""
    values = {"item": rng.choice(THINGS), "quantity": rng.randint(2, 99), "color": rng.choice(COLORS),
              "day": rng.choice(DAYS)}
    i, q, c, d = values.values()
    text = rng.choice([f"I would like {q} {c} {i} by {d}.", f"Please send {q} {i} in {c} on {d}.",
                       f"We need {q} {i}, all {c}, and they should arrive on {d}.",
                       f"Order: {c} {i}, {q} of them, delivery {d}.",
                       f"On {d} bring me {q} {c} {i}.", f"Can I have {q} {c} {i} this {d}?"])
    keys = rng.sample(list(values), rng.randint(2, 4))
    return item("json", join(rng, text, closing(rng, split, keys)), answer({k: values[k] for k in keys}))


def event_card(rng, split):
    values = {"team": rng.choice(TEAMS), "day": rng.choice(DAYS), "city": rng.choice(CITIES),
              "time": f"{rng.randint(7, 21):02d}:{rng.choice(('00', '15', '30', '45'))}"}
    t, d, c, h = values.values()
    text = rng.choice([f"The {t} team meets on {d} at {h} in {c}.", f"Meeting of the {t} team: {d}, {h}, {c}.",
                       f"In {c}, the {t} team will meet at {h} on {d}.",
                       f"Don't forget: {d} at {h} is the meeting of the {t} team in {c}."])
    keys = rng.sample(list(values), rng.randint(2, 4))
    return item("json", join(rng, text, closing(rng, split, keys)), answer({k: values[k] for k in keys}))


def word_card(rng, split):
    entry = rng.choice(lexicon())
    values = {"word": entry["word"], "part_of_speech": entry["pos"], "definition": entry["gloss"],
              "length": len(entry["word"])}
    keys = rng.sample(["part_of_speech", "definition", "length"], rng.randint(1, 2))
    if rng.random() < 0.7:
        keys.insert(0, "word")
    body = ask(rng, split, ["facts about the word {x}"], ['Describe the word {x}.', 'Analyze the word {x}.',
               'Explain the word {x}.', "Look up the word {x}."], plain=True, x=f'"{entry["word"]}"')
    return item("json", join(rng, body, closing(rng, split, keys)), answer({k: values[k] for k in keys}))


def array(rng, split):
    """A list as a JSON array."""
    things = rng.sample(FRUIT, rng.randint(2, 8))
    text = ask(rng, split, (), ["Write this list as a JSON array: {x}.", "Turn these words into a JSON array: {x}.",
               "Make a JSON array of {x}.", "As a JSON array: {x}.", "Give me {x} as a JSON list.",
               "Convert this list to JSON: {x}."], x=", ".join(things))
    return item("json", text, answer(things))


def sum_card(rng, split):
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    text = ask(rng, split, ["the sum of {a} and {b}"], ["Add {a} and {b}.", "How much is {a} plus {b}?",
               "Calculate {a} + {b}."], plain=True, a=a, b=b)
    key = rng.choice(["result", "sum", "answer", "value", "total"])
    return item("json", join(rng, text, closing(rng, split, [key])), answer({key: a + b}))


GENERATORS = [(country_card, 3), (person_card, 4), (order_card, 2), (event_card, 2), (word_card, 3),
              (array, 1.5), (sum_card, 1)]
