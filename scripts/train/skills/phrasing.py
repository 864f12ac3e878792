"""Question phrasings: many ways to ask, a tenth of them held out for the evaluation by their hash.

A phrasing is a pattern such as "Could you tell me {np}?" before its subject is filled in. The hash
of the whole pattern (opening, frame, noun phrase, ending) decides whether training or evaluation
may use it, so the evaluation never sees a way of asking that training saw.
"""

import hashlib

OPENINGS = [""] * 8 + ["Hello! ", "Hi, ", "Quick question: ", "Please help me. ", "One more thing: ",
            "I have a question. ", "Hey! ", "A question for you: ", "Good morning. ", "OK. "]
ENDINGS = [""] * 8 + [" Thanks!", " Thank you.", " I need it for school.", " Please be brief.",
           " It is for a quiz."]
FRAMES = [
    "What is {np}?", "What's {np}?", "Tell me {np}.", "Please tell me {np}.", "Name {np}.",
    "Can you tell me {np}?", "Could you tell me {np}?", "Do you know {np}?", "I need {np}.",
    "I would like to know {np}.", "I want to know {np}.", "Give me {np}.", "Please give me {np}.",
    "What would {np} be?", "Can you give me {np}?", "I forgot {np}. What is it?", "{Np}?",
    "{Np}, please.", "I am looking for {np}.", "Would you tell me {np}?", "State {np}.",
    "Do you happen to know {np}?", "Let me know {np}.", "I am trying to remember {np}.",
    "Remind me of {np}.", "Help me find {np}.", "Find {np}.", "Which is {np}?", "Say {np}.",
    "Can you remind me of {np}?", "I can't remember {np}.", "Any idea what {np} is?",
    "Would you know {np}?", "What do you know about {np}?", "Write down {np}.", "Show me {np}.",
]


def held_out(pattern):
    """True for the tenth of all patterns that only the evaluation uses."""
    return hashlib.md5(pattern.encode()).digest()[0] < 26


def capital_first(text):
    return text[:1].upper() + text[1:]


def choose(rng, split, patterns, plain=False):
    """A pattern of this split; `plain` leaves out openings and endings. split: train or eval."""
    while True:
        pattern = rng.choice(patterns)
        if not plain:
            pattern = rng.choice(OPENINGS) + pattern + rng.choice(ENDINGS)
        if held_out(pattern) == (split == "eval"):
            return pattern


def ask(rng, split, nouns=(), direct=(), plain=False, **slots):
    """Fills a held-in or held-out phrasing.

    nouns: noun phrases ("the capital of {x}") put into FRAMES; direct: whole questions.
    """
    while True:
        if nouns and (not direct or rng.random() < 0.6):
            noun = rng.choice(nouns)
            pattern = rng.choice(FRAMES)
            pattern = pattern.replace("{np}", noun).replace("{Np}", capital_first(noun))
        else:
            pattern = rng.choice(direct)
        if not plain:
            pattern = rng.choice(OPENINGS) + pattern + rng.choice(ENDINGS)
        if held_out(pattern) == (split == "eval"):
            break
    text = pattern.format(**slots)
    roll = rng.random()
    if roll < 0.06:  # some people do not bother
        text = text.rstrip("?.! ")
    elif roll < 0.10:
        text = text[0].lower() + text[1:]
    return capital_first(text) if roll >= 0.10 else text


def item(skill, user, answer, **more):
    """One single-turn example."""
    return {"skill": skill, "messages": [{"role": "user", "content": user},
                                         {"role": "assistant", "content": answer}], **more}
