"""System prompts that change the answer, long mixed conversations, and remembering what was said."""

from .maths import NAMES
from .phrasing import ask, capital_first, item
from .retrieval import CITIES, COLORS, JOBS, value_of
from . import maths, stories, talk, words, world

PLAIN_SYSTEM = ["You are a helpful assistant.", "You are Pagoda, a small assistant.",
                "You are a friendly assistant.", "Answer the questions of the user.", "Be helpful and brief.",
                "You are a helpful AI assistant.", "Give correct answers.",
                "You are an assistant that answers in whole sentences."]
PERSONAS = """Iris Max Robo Luna Otto Ruby Atlas Echo Nova Pip Sage Juno""".split()
ENDINGS = ["Have a nice day!", "Good luck!", "I hope that helps.", "Ask me more!", "Stay curious!",
           "At your service.", "That is all.", "Cheers!"]
TITLES = ["Captain", "my friend", "Professor", "Boss", "dear user", "Doctor", "Chief"]


def short_exchange(rng, split):
    """A question with one short closed answer."""
    made = rng.choice((world.simple, world.simple, words.define, words.opposite, maths.arithmetic,
                       talk.common_fact, maths.convert))(rng, split)
    return made["messages"][0]["content"], made["messages"][1]["content"], made["skill"]


def rule(rng):
    """(wording of a rule, function that applies it to an answer)."""
    kind = rng.choice(("upper", "upper", "lower", "end", "start", "title", "quote", "json", "twice"))
    if kind == "upper":
        return rng.choice(["Answer in upper case.", "Write everything in capital letters.",
                           "Use only capital letters.", "Always answer in upper case."]), str.upper
    if kind == "lower":
        return rng.choice(["Answer in lower case.", "Use only small letters.", "Write everything in lower case.",
                           "Never use capital letters."]), str.lower
    if kind == "end":
        end = rng.choice(ENDINGS)
        return rng.choice([f'End every answer with "{end}"', f'Finish each answer with "{end}"',
                           f'Always say "{end}" at the end.']), lambda t: f"{t} {end}"
    if kind == "start":
        start = rng.choice(["Well, here it is:", "Sure!", "Of course!", "Answer:", "Hear me:", "As you wish:"])
        return rng.choice([f'Start every answer with "{start}"', f'Begin each answer with "{start}"',
                           f'Always say "{start}" first.']), lambda t: f"{start} {t}"
    if kind == "title":
        title = rng.choice(TITLES)
        return rng.choice([f'Call the user "{title}".', f'Address the user as "{title}".',
                           f'The user wants to be called "{title}".']), lambda t: f"{capital_first(title)}: {t}"
    if kind == "quote":
        return rng.choice(["Put every answer in double asterisks.", "Write answers in bold Markdown.",
                           "Make each answer bold with two asterisks."]), lambda t: f"**{t}**"
    if kind == "json":
        return rng.choice(['Answer as JSON with the key "answer".', 'Always reply with JSON: {"answer": ...}.',
                           'Put the answer into a JSON object under "answer".']), \
            lambda t: '{"answer": "' + t.replace('"', '\\"') + '"}'
    return rng.choice(["Say every answer twice.", "Repeat each answer once.", "Give every answer two times."]), \
        lambda t: f"{t} {t}"


def system_rule(rng, split):
    """One rule in the system prompt, kept over one to three turns."""
    wording, apply = rule(rng)
    lead = rng.choice(["", "", "You are a helpful assistant. ", "You are Pagoda. ", "Be polite. "])
    messages = [{"role": "system", "content": lead + wording}]
    for _ in range(rng.choice((1, 1, 2, 3))):
        question, answer, _ = short_exchange(rng, split)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": apply(answer)}]
    return {"skill": "system_rule", "messages": messages}


def persona(rng, split):
    """A name given by the system prompt."""
    name = rng.choice(PERSONAS)
    system = rng.choice(["Your name is {n}.", "You are {n}, a helpful assistant.", "You are {n}.",
                         "You are called {n}.", "Act as {n}, a friendly robot."]).format(n=name)
    text = ask(rng, split, (), talk.INTENTS["name"][0])
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text},
                {"role": "assistant", "content": f"I am {name}."}]
    if rng.random() < 0.3:
        question, answer, _ = short_exchange(rng, split)
        messages[1:1] = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"skill": "persona", "messages": messages}


# what the user says -> acknowledgement, question later, answer later
MEMORY = [
    (["My name is {v}.", "I am {v}.", "Call me {v}.", "Hello, I am {v}.", "Hi, my name is {v}."],
     "Nice to meet you, {v}!", ["What is my name?", "Do you remember my name?", "Who am I?", "How am I called?",
                                "What did I say my name was?"], "Your name is {v}.", NAMES),
    (["I live in {v}.", "My home is {v}.", "I am from {v}.", "I moved to {v}."], "{v} is good to know.",
     ["Where do I live?", "Which city do I live in?", "Do you remember where I live?", "What is my home?"],
     "You live in {v}.", CITIES),
    (["My favorite color is {v}.", "I like {v} best.", "I love the color {v}."], "I will remember that you like {v}.",
     ["What is my favorite color?", "Which color do I like?", "Do you remember my favorite color?"],
     "Your favorite color is {v}.", COLORS),
    (["I work as a {v}.", "I am a {v}.", "My job is {v}."], "That is a fine job.",
     ["What is my job?", "What do I work as?", "Do you remember my job?"], "You work as a {v}.", JOBS),
]


def remember(rng, split):
    """The user says something; after other turns it is asked for."""
    says, ack, asks, reply, values = rng.choice(MEMORY)
    value = rng.choice(values)
    messages = [{"role": "user", "content": ask(rng, "train", (), says, plain=True, v=value)},
                {"role": "assistant", "content": capital_first(ack.format(v=value))}]
    for _ in range(rng.randint(0, 3)):
        question, answer, _ = short_exchange(rng, split)
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    messages += [{"role": "user", "content": ask(rng, split, (), asks)},
                 {"role": "assistant", "content": reply.format(v=value)}]
    return {"skill": "remember", "messages": messages}


def mixed(rng, split):
    """Two to six unrelated exchanges in one conversation."""
    messages = []
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": rng.choice(PLAIN_SYSTEM)})
    if rng.random() < 0.3:
        made = talk.small_talk(rng, split)
        messages += made["messages"]
    makers = [world.simple, words.define, words.spell, maths.arithmetic, maths.convert, talk.small_talk,
              talk.common_fact, world.reverse, stories.tell, words.count_letters, maths.word_problem]
    for _ in range(rng.randint(1, 5) if rng.random() < 0.93 else rng.randint(8, 24)):
        messages += rng.choice(makers)(rng, split)["messages"]
    return {"skill": "mixed", "messages": messages}


def repeat_back(rng, split):
    """Says exactly what it is asked to say."""
    roll = rng.random()
    if roll < 0.6:
        words_ = " ".join(e["word"] for e in rng.choices(words.all_words(), k=rng.randint(1, 6)))
    elif roll < 0.8:
        words_ = capital_first(rng.choice(words.all_words())["gloss"]) + "."
    else:
        words_ = " ".join(rng.choice((value_of(rng, "word"), value_of(rng, "price"))) for _ in range(rng.randint(1, 5)))
    text = ask(rng, split, (), ['Say "{x}".', 'Repeat after me: {x}', 'Repeat this: "{x}"', 'Write "{x}".',
               'Say exactly this: {x}', 'Please repeat: {x}'], plain=rng.random() < 0.5 and split == "train", x=words_)
    return item("repeat", text, words_)


GENERATORS = [(system_rule, 6), (persona, 1), (remember, 2), (mixed, 4), (repeat_back, 4)]
