"""Finding a fact that stands anywhere in a long text, among facts of the same kind."""

import functools
import gzip
import json
import os
import pathlib

from .maths import NAMES
from .phrasing import ask, capital_first, held_out
from .stories import story
from .world import COUNTRIES

CITIES = [c["capital"] for c in COUNTRIES if c["capital"].isalpha() and c["capital"].isascii()]
COLORS = "red blue green yellow white black brown gray pink purple orange silver golden".split()
JOBS = """baker teacher doctor farmer sailor painter lawyer nurse pilot cook driver gardener writer
singer dentist carpenter engineer librarian plumber tailor""".split()
THINGS = """key map lamp passport ladder camera piano telescope violin suitcase hammer diary ticket
umbrella bicycle helmet rope tent radio blanket""".split()
ROOMS = """kitchen cellar attic garage library office garden shed hall bedroom workshop pantry
bathroom closet tower""".split()
GATES = """north south east west main old garden river harbor market school museum station castle
bridge library hospital factory airport theater""".split()
TEAMS = """sales design budget research safety music travel history sports planning kitchen garden
science security training""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
# (statement, noun phrases, whole questions, {slot: choices}); {k} is the key, {v} the value
KINDS = [
    ("The access code of the {k} gate is {v}.", ["the access code of the {k} gate", "the code for the {k} gate"],
     ["Which code opens the {k} gate?", "What code does the {k} gate need?", "How do I open the {k} gate, with which code?"], GATES, "code"),
    ("The secret word of {k} is {v}.", ["the secret word of {k}", "{k}'s secret word"],
     ["Which secret word does {k} have?", "What secret word does {k} use?"], NAMES, "word"),
    ("{k} lives in {v}.", ["the city where {k} lives", "the home of {k}"],
     ["Where does {k} live?", "In which city does {k} live?", "Which city is {k}'s home?", "What city does {k} live in?", "Where is {k}'s home?"], NAMES, CITIES),
    ("{k} works as a {v}.", ["the job of {k}", "{k}'s job", "the profession of {k}"],
     ["What does {k} do for a living?", "What is {k}'s work?", "What does {k} work as?", "What job does {k} have?"], NAMES, JOBS),
    ("The favorite color of {k} is {v}.", ["the favorite color of {k}", "{k}'s favorite color"],
     ["Which color does {k} like best?", "What color does {k} prefer?", "Which is the favorite color of {k}?"], NAMES, COLORS),
    ("The {k} is kept in the {v}.", ["the place where the {k} is kept", "the place of the {k}"],
     ["Where is the {k}?", "Where is the {k} kept?", "Where can I find the {k}?", "In which room is the {k}?"],
     THINGS, ROOMS),
    ("The {k} team meets on {v}.", ["the day when the {k} team meets", "the meeting day of the {k} team"],
     ["When does the {k} team meet?", "On which day does the {k} team meet?", "What day does the {k} team meet?"], TEAMS, DAYS),
    ("{k} is {v} years old.", ["the age of {k}", "{k}'s age"], ["How old is {k}?", "What age is {k}?"], NAMES, "age"),
    ("The room number of {k} is {v}.", ["the room number of {k}", "{k}'s room number"],
     ["In which room is {k} staying?", "Which room does {k} have?", "What room is {k} in?"], NAMES, "room"),
    ("The price of the {k} is {v} dollars.", ["the price of the {k}", "the cost of the {k}"],
     ["How much is the {k}?", "How much does the {k} cost?", "What does the {k} cost?", "What is the {k} sold for?"], THINGS, "price"),
    ("{k}'s train leaves at {v}.", ["the departure time of {k}'s train"],
     ["When does {k}'s train leave?", "At what time does {k}'s train leave?", "What time does the train of {k} leave?"], NAMES, "time"),
]
SYLLABLES = "ba ko ri ta mu le so ni fa du pe zo vi ga lo he na ti ru sa".split()


def value_of(rng, choices):
    """A value for a statement: from a list, or made up by kind."""
    if isinstance(choices, list):
        return rng.choice(choices)
    return {"code": lambda: f"{rng.randint(0, 9999):04d}", "age": lambda: str(rng.randint(5, 98)),
            "word": lambda: "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3))),
            "room": lambda: str(rng.randint(1, 999)), "price": lambda: str(rng.randint(1, 999)),
            "time": lambda: f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"}[choices]()


@functools.cache
def paragraphs():
    """Paragraphs of prose to hide facts in, from prose.jsonl.gz in PAGODA_CORPUS."""
    path = pathlib.Path(os.environ.get("PAGODA_CORPUS", "corpus")) / "prose.jsonl.gz"
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            doc = json.loads(line)
            if doc["source"] != "wordnet-base":
                found += [p for p in doc["text"].split("\n\n") if 80 < len(p) < 700 and "  " not in p]
    return found


def wordnet_lines(rng, count):
    """A few of the lexicon's definitions as plain sentences."""
    from .words import lexicon
    return [f"{capital_first(e['word'])} ({e['pos']}): {e['gloss']}." for e in rng.choices(lexicon(), k=count)]


def filler(rng, chars):
    """About `chars` characters of text that has nothing to do with the fact."""
    parts, size = [], 0
    kind = rng.random()
    while size < chars:
        if kind < 0.45:
            text = rng.choice(paragraphs())
        elif kind < 0.8:
            text = story(rng)
        else:
            text = " ".join(wordnet_lines(rng, 3))
        parts.append(text)
        size += len(text)
    return parts


def facts(rng, kind, count):
    """`count` statements of one kind about different keys, as (key, statement)."""
    statement, _, _, keys, values = kind
    chosen = rng.sample(keys, count)
    return [(key, capital_first(statement.format(k=key, v=value_of(rng, values)))) for key in chosen]


def compose(rng, chars):
    """A text of about `chars` characters with facts in it; returns (text, kind, key, statement)."""
    kind = rng.choice(KINDS)
    wanted = facts(rng, kind, rng.choice((1, 1, 2, 3, 4, 6)))
    key, statement = rng.choice(wanted)
    parts = filler(rng, chars) if chars else []
    sentences = [s for _, s in wanted]
    for other in rng.sample(KINDS, rng.randint(0, 4)):
        if other is not kind:
            sentences += [s for _, s in facts(rng, other, rng.randint(1, 2))]
    rng.shuffle(sentences)
    for sentence in sentences:
        at = rng.randint(0, len(parts))
        if parts and rng.random() < 0.5:
            at = min(at, len(parts) - 1)
            parts[at] += " " + sentence
        else:
            parts.insert(at, sentence)
    return rng.choice(("\n\n", "\n", " ")).join(parts), kind, key, statement


def question_for(rng, split, kind, key):
    _, nouns, direct, _, _ = kind
    return ask(rng, split, nouns, direct, plain=split == "train" and rng.random() < 0.5, k=key)


LEADS = ["Read this text.\n\n{t}\n\n{q}", "{t}\n\n{q}", "Text:\n{t}\n\nQuestion: {q}", "{q}\n\n{t}",
         "Here is a text:\n\n{t}\n\nNow answer: {q}", "Use this text to answer.\n\n{t}\n\n{q}",
         "Answer from the text below: {q}\n\n{t}", "Context: {t}\nQuestion: {q}", "{t}\n{q}",
         "I found these notes.\n{t}\n\n{q}", "Document:\n{t}\n\nBased on the document: {q}",
         "Question: {q}\nText: {t}", "<text>\n{t}\n</text>\n{q}", "My notes: {t}\n\n{q}"]


def lead_for(rng, split):
    while True:
        lead = rng.choice(LEADS)
        if split == "eval" or not held_out(lead):
            return lead


def size_of(rng, split):
    """Characters of filler: short often, up to about 1,500 tokens, sometimes more in training."""
    roll = rng.random()
    if split == "eval":
        return rng.choice((0, 1000, 2500, 4500, 5500))
    if roll < 0.35:
        return rng.choice((0, 0, 200, 500))
    if roll < 0.7:
        return rng.randint(500, 2500)
    if roll < 0.97:
        return rng.randint(2500, 6000)
    return rng.randint(6000, 13000)


def find(rng, split):
    """Text and question in one turn, or the text in the system prompt or an earlier turn."""
    text, kind, key, statement = compose(rng, size_of(rng, split))
    question = question_for(rng, split, kind, key)
    form = rng.random()
    if form < 0.7:
        messages = [{"role": "user", "content": lead_for(rng, split).format(t=text, q=question)}]
    elif form < 0.85:
        messages = [{"role": "system", "content": text}, {"role": "user", "content": question}]
    else:
        ack = "I have read the text."
        messages = [{"role": "user", "content": rng.choice(["Please read this:\n", "Remember this text.\n\n",
                                                            "Here is a text.\n"]) + text},
                    {"role": "assistant", "content": ack}, {"role": "user", "content": question}]
    return {"skill": "retrieval", "messages": messages + [{"role": "assistant", "content": statement}]}


def several(rng, split):
    """Several questions about one text, one after another."""
    kind = rng.choice(KINDS)
    known = facts(rng, kind, rng.randint(3, 6))
    parts = filler(rng, rng.choice((0, 300, 1500))) + [s for _, s in known]
    rng.shuffle(parts)
    messages = [{"role": "system", "content": " ".join(parts)}]
    for key, statement in rng.sample(known, rng.randint(2, 3)):
        messages += [{"role": "user", "content": question_for(rng, split, kind, key)},
                     {"role": "assistant", "content": statement}]
    return {"skill": "retrieval", "messages": messages}


def missing(rng, split):
    """The text does not hold the answer."""
    kind = rng.choice(KINDS)
    known = facts(rng, kind, rng.randint(2, 4))
    (key, _), rest = known[0], known[1:]
    parts = filler(rng, rng.choice((0, 400, 2000))) + [s for _, s in rest]
    rng.shuffle(parts)
    text = lead_for(rng, split).format(t=" ".join(parts), q=question_for(rng, split, kind, key))
    return {"skill": "retrieval_missing", "messages": [
        {"role": "user", "content": text}, {"role": "assistant", "content": "The text does not say that."}]}


GENERATORS = [(find, 6), (several, 1), (missing, 2)]
