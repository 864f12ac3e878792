"""Countries: capitals, currencies, languages, continents, and short portraits."""

import pathlib

from .phrasing import ask, capital_first, item

ROWS = [line.split("\t") for line in
        (pathlib.Path(__file__).parent.parent / "data/countries.tsv").read_text("utf-8").splitlines()
        if line and line[0] != "#"]
COUNTRIES = [dict(zip(("name", "capital", "currency", "code", "language", "continent"), row))
             for row in ROWS]
ONE_WORD = [" Answer with the name only.", " Just the name, please.", " Only the name.",
            " Give only the name.", " Reply with nothing but the name."]


def many(text):
    """True when a language field names several languages."""
    return " and " in text


def capital_sentence(c):
    return f"The capital of {c['name']} is {c['capital'].rstrip('.')}."


def currency_sentence(c):
    return f"The currency of {c['name']} is the {c['currency']}."


def language_sentence(c):
    if many(c["language"]):
        return f"The main languages of {c['name']} are {c['language']}."
    return f"The main language of {c['name']} is {c['language']}."


def continent_sentence(c):
    return f"{capital_first(c['name'])} is in {c['continent']}."


def code_sentence(c):
    return f"The currency code of {c['name']} is {c['code']}."


# relation -> (sentence, bare field, noun phrases, whole questions)
RELATIONS = {
    "capital": (capital_sentence, "capital",
                ["the capital of {x}", "the capital city of {x}", "{x}'s capital",
                 "the name of the capital of {x}", "{x}'s capital city"],
                ["Which city is the capital of {x}?", "What city is the capital of {x}?",
                 "{x}: what is its capital?", "Where is the government of {x}, in which capital?",
                 "What is the capital city called in {x}?", "Capital of {x}?",
                 "Which city serves as the capital of {x}?", "If I go to {x}, what is its capital?"]),
    "currency": (currency_sentence, "currency",
                 ["the currency of {x}", "{x}'s currency", "the money used in {x}",
                  "the official currency of {x}", "the name of the currency of {x}"],
                 ["What money do people use in {x}?", "Which currency is used in {x}?",
                  "What currency does {x} use?", "How do people pay in {x}, with which currency?",
                  "What do you pay with in {x}?", "Which currency do I need in {x}?",
                  "What money should I take to {x}?", "Currency of {x}?"]),
    "language": (language_sentence, "language",
                 ["the language of {x}", "the main language of {x}", "the official language of {x}",
                  "the language spoken in {x}", "the languages of {x}"],
                 ["What language do people speak in {x}?", "Which language is spoken in {x}?",
                  "What do they speak in {x}?", "What language is used in {x}?",
                  "Which languages are spoken in {x}?", "What languages do people speak in {x}?",
                  "In {x}, what language do people speak?", "Language of {x}?"]),
    "continent": (continent_sentence, "continent",
                  ["the continent of {x}", "the continent where {x} is", "{x}'s continent"],
                  ["Which continent is {x} in?", "On which continent is {x}?", "Where is {x}?",
                   "In what part of the world is {x}?", "What continent does {x} belong to?",
                   "Where in the world is {x}?", "Where can I find {x}?"]),
    "code": (code_sentence, "code",
             ["the currency code of {x}", "the ISO currency code of {x}",
              "the three-letter currency code of {x}"],
             ["Which currency code does {x} use?", "What code does the currency of {x} have?",
              "What is the ISO code for the money of {x}?"]),
}


def question(rng, split, relation, country, plain=False):
    """(question, answer sentence) about one relation of one country."""
    sentence, _, nouns, direct = RELATIONS[relation]
    return (ask(rng, split, nouns, direct, plain=plain, x=country["name"]), sentence(country))


def simple(rng, split):
    """One relation of one country; a sixth of the time the bare name is wanted."""
    relation = rng.choices(list(RELATIONS), (4, 3, 3, 1.5, 1))[0]
    country = rng.choice(COUNTRIES)
    text, answer = question(rng, split, relation, country)
    if rng.random() < 1 / 6 and relation != "code":
        return item(relation + "_bare", text + rng.choice(ONE_WORD),
                    country[RELATIONS[relation][1]])
    return item(relation, text, answer)


def reverse(rng, split):
    """Which country has this capital?"""
    c = rng.choice(COUNTRIES)
    text = ask(rng, split, ["the country whose capital is {x}", "the country with the capital {x}"],
               ["Which country has the capital {x}?", "{x} is the capital of which country?",
                "Of which country is {x} the capital?", "What country is {x} the capital of?",
                "Which country is governed from {x}?"], x=c["capital"])
    return item("capital_of", text, f"{c['capital']} is the capital of {c['name']}.".replace("..", "."))


def portrait_text(c):
    """A short paragraph of all we know about a country."""
    verb = "are" if many(c["language"]) else "is"
    noun = "languages" if many(c["language"]) else "language"
    return (f"{capital_first(c['name'])} is a country in {c['continent']}. Its capital is "
            f"{c['capital'].rstrip('.')}. The main {noun} {verb} {c['language']}, and people pay with "
            f"the {c['currency']}.")


def portrait(rng, split):
    c = rng.choice(COUNTRIES)
    text = ask(rng, split, ["some facts about {x}", "something about {x}"],
               ["Tell me about {x}.", "What do you know about {x}?", "Describe {x}.",
                "Can you tell me about {x}?", "What can you say about {x}?", "Introduce {x} to me.",
                "Write a few sentences about {x}.", "I want to learn about {x}."], x=c["name"])
    return item("portrait", text, portrait_text(c))


def yes_no(rng, split):
    """Is X the capital of Y?"""
    c = rng.choice(COUNTRIES)
    other = c if rng.random() < 0.5 else rng.choice(COUNTRIES)
    text = ask(rng, split, (), ["Is {y} the capital of {x}?", "Is it true that {y} is the capital of {x}?",
               "{y} is the capital of {x}, right?", "Is the capital of {x} {y}?",
               "Am I right that {y} is the capital of {x}?"], x=c["name"], y=other["capital"])
    if other["capital"] == c["capital"]:
        return item("capital_yes_no", text, capital_sentence(c)[:-1] + ", so the answer is yes.")
    return item("capital_yes_no", text, capital_sentence(c)[:-1] + ", so the answer is no.")


def follow_up(rng, split):
    """Two or three questions, the later ones only naming the next country or relation."""
    relation = rng.choice(["capital", "currency", "language"])
    first = rng.choice(COUNTRIES)
    text, answer = question(rng, split, relation, first)
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    country = first
    for _ in range(rng.randint(1, 2)):
        if rng.random() < 0.6:
            country = rng.choice(COUNTRIES)
            text = ask(rng, split, (), ["And of {x}?", "And {x}?", "What about {x}?", "How about {x}?",
                       "And what about {x}?", "The same for {x}, please.", "Now for {x}.",
                       "Then {x}?", "OK, and {x}?", "Next: {x}.", "And for {x}?"], x=country["name"])
        else:
            relation = rng.choice([r for r in ("capital", "currency", "language") if r != relation])
            text = ask(rng, split, (), ["And its {r}?", "What is its {r}?", "And the {r}?",
                       "What about its {r}?", "And what is the {r} there?", "Now tell me its {r}.",
                       "What is the {r} of that country?"], r=relation)
        messages += [{"role": "user", "content": text},
                     {"role": "assistant", "content": RELATIONS[relation][0](country)}]
    return {"skill": "follow_up", "messages": messages}


GENERATORS = [(simple, 8), (reverse, 1.5), (portrait, 1.5), (yes_no, 6), (follow_up, 2.5)]
