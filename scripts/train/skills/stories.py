"""Short stories from a grammar: a hero, a place, a wish or a trouble, help, and a quiet end."""

from .maths import NAMES
from .phrasing import ask, item

ANIMALS = """fox owl bear rabbit mouse cat dog duck frog squirrel hedgehog turtle goat pony deer
crow robin badger otter lamb""".split()
ADJECTIVES = """little brave shy old young clever curious quiet kind lazy hungry tiny cheerful
lonely gentle sleepy proud careful""".split()
PLACES = [("forest", "under the tall trees"), ("village", "near the stone bridge"),
          ("valley", "beside a slow river"), ("town", "behind the old market"),
          ("island", "close to the white beach"), ("farm", "next to the red barn"),
          ("mountain", "in a small wooden hut"), ("garden", "between the roses"),
          ("city", "above a bakery"), ("meadow", "where the grass was high"),
          ("harbor", "in a house with a blue door"), ("desert", "near a single well")]
OBJECTS = """lantern key map kite boat bell hat basket book ring coin drum letter blanket umbrella
flute ladder mirror ball clock""".split()
WEATHER = ["It was a bright morning.", "The wind was cold that day.", "Rain fell on the roof.",
           "Snow covered the ground.", "The sun was warm.", "A thick fog lay over the land.",
           "The first leaves were falling.", "The stars were still out.", "It was a hot afternoon.",
           "The sky was gray and quiet."]
FEELINGS_BAD = ["sad", "worried", "afraid", "angry", "tired", "confused", "upset"]
FEELINGS_GOOD = ["happy", "proud", "calm", "glad", "thankful", "full of joy", "relieved"]
LESSONS = ["a friend is worth more than gold", "small steps lead far", "it is good to ask for help",
           "the truth is easier to carry than a lie", "sharing makes everything taste better",
           "patience opens many doors", "being kind is never a waste of time",
           "even the smallest can help the biggest", "it is never too late to say sorry",
           "courage means going on while you are afraid"]


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def cast(rng):
    """The names and things of one story."""
    person = rng.random() < 0.45
    name = rng.choice(NAMES)
    kind = rng.choice(["girl", "boy", "baker", "farmer", "painter", "sailor", "teacher"]) if person \
        else rng.choice(ANIMALS)
    return {"name": name, "kind": kind, "adj": rng.choice(ADJECTIVES)}


def opening(rng, hero, place):
    a = article(f"{hero['adj']} {hero['kind']}")
    return rng.choice([
        f"Once upon a time there was {a} named {hero['name']}, who lived in {article(place[0])}, {place[1]}.",
        f"In {article(place[0])}, {place[1]}, lived {a} called {hero['name']}.",
        f"{hero['name']} was {a} who lived {place[1]} in {article(place[0])}.",
        f"Long ago, {place[1]} in a far {place[0]}, there lived {a}. Everyone called the {hero['kind']} "
        f"{hero['name']}.",
        f"There once was {a}. The name of the {hero['kind']} was {hero['name']}, and home was "
        f"{article(place[0])}."])


def lost(rng, hero, friend, thing):
    n, f = hero["name"], friend["name"]
    bad, good = rng.choice(FEELINGS_BAD), rng.choice(FEELINGS_GOOD)
    where = rng.choice(["under a bush", "in a hollow tree", "behind a big stone", "in the mud by the water",
                        "on top of a wall", "inside an old boot", "below the stairs"])
    return [
        rng.choice([f"One day {n} lost a {thing}.", f"One morning the {thing} was gone.",
                    f"{n} had {article(thing)} and loved it, but one day it was gone."]),
        rng.choice([f"{n} looked everywhere but could not find it.", f"{n} searched the whole day.",
                    f"{n} asked everyone, but nobody had seen it."]),
        f"{n} felt {bad}.",
        rng.choice([f"Then {f} the {friend['kind']} came by and asked what was wrong.",
                    f"A {friend['kind']} named {f} heard the crying and stopped.",
                    f"{f}, {article(friend['adj'])} {friend['kind']}, offered to help."]),
        rng.choice([f'"Let us look together," said {f}.', f'"Two pairs of eyes see more than one," said {f}.',
                    f'"Do not give up," said {f}.']),
        rng.choice([f"They looked until the sun went down, and at last they found the {thing} {where}.",
                    f"Soon {f} saw something shine {where}. It was the {thing}!",
                    f"After a while they found the {thing} {where}."]),
        f"{n} was {good} and thanked {f}.",
    ]


def journey(rng, hero, friend, thing):
    n, f = hero["name"], friend["name"]
    goal = rng.choice(["the sea", "the top of the hill", "the other side of the river", "the king's castle",
                       "the end of the road", "the old tower", "the house of the moon"])
    return [
        rng.choice([f"{n} had always wanted to see {goal}.", f"{n} dreamed of {goal} every night.",
                    f"Nobody {n} knew had ever been to {goal}."]),
        rng.choice([f"So one day {n} packed a {thing} and some bread and set out.",
                    f"One day {n} took a {thing}, closed the door and began to walk."]),
        rng.choice(["The road was long and full of stones.", "The path went up and down.",
                    "The way was dark, and the trees made strange sounds."]),
        rng.choice([f"In the evening {n} was {rng.choice(FEELINGS_BAD)} and wanted to turn back.",
                    f"After many hours {n} sat down and could not go on."]),
        rng.choice([f"There {n} met {f}, {article(friend['adj'])} {friend['kind']}, who knew the way.",
                    f"Then a {friend['kind']} named {f} came along and shared some soup."]),
        rng.choice([f'"We can walk together," said {f}.', f'"It is not far now," said {f} with a smile.',
                    f'"I am going there too," said {f}.']),
        rng.choice([f"The next day they reached {goal}, and it was more beautiful than {n} had dreamed.",
                    f"When the sun came up, they stood before {goal}."]),
        f"{n} was {rng.choice(FEELINGS_GOOD)}.",
    ]


def gift(rng, hero, friend, thing):
    n, f = hero["name"], friend["name"]
    return [
        f"{n} wanted to make {article(thing)} for {f} the {friend['kind']}, whose birthday was near.",
        rng.choice([f"But {n} had never made {article(thing)} before.",
                    f"It was hard work, and the first {thing} broke at once.",
                    f"The first {thing} was crooked, and the second was worse."]),
        rng.choice([f"{n} tried again and again.", f"{n} worked all night by the light of a candle.",
                    f"{n} asked an old neighbor for advice and started over."]),
        rng.choice([f"On the birthday {n} brought the {thing}, a little {rng.choice(FEELINGS_BAD)}.",
                    f"When the day came, {n} put the {thing} into a box with a ribbon."]),
        rng.choice([f'"It is not perfect," said {n}.', f'"I made it myself," said {n} softly.']),
        rng.choice([f'"It is the best {thing} in the world," said {f}.',
                    f'"Nobody ever made anything for me," said {f}.']),
        f"Both of them were {rng.choice(FEELINGS_GOOD)}.",
    ]


def quarrel(rng, hero, friend, thing):
    n, f = hero["name"], friend["name"]
    return [
        f"{n} and {f} the {friend['kind']} were best friends, but one day both wanted the same {thing}.",
        rng.choice([f'"I saw it first!" said {n}.', f'"It is mine!" cried {n}.']),
        rng.choice([f'"No, I did!" said {f}.', f'"You are not fair!" answered {f}.']),
        rng.choice([f"They pulled until the {thing} broke in two.",
                    f"They shouted so loudly that the {thing} fell into the water."]),
        f"Now nobody had a {thing}, and both were {rng.choice(FEELINGS_BAD)}.",
        rng.choice([f"The next morning {n} came with glue and half a cake.",
                    f"After a long night {n} knocked at the door of {f}."]),
        rng.choice([f'"I am sorry," said {n}.', f'"You matter more to me than any {thing}," said {n}.']),
        f"{f} smiled, and soon both were {rng.choice(FEELINGS_GOOD)} again.",
    ]


def ending(rng, hero):
    return rng.choice([
        f"From that day on {hero['name']} knew that {rng.choice(LESSONS)}.",
        f"And so {hero['name']} learned that {rng.choice(LESSONS)}.",
        f"{hero['name']} never forgot that {rng.choice(LESSONS)}.",
        f"That night {hero['name']} slept well and dreamed of the next adventure.",
        f"And they were friends for the rest of their lives.", "The end."])


def story(rng, hero=None, thing=None):
    """One story of eight to twelve sentences."""
    hero = hero or cast(rng)
    friend = cast(rng)
    while friend["name"] == hero["name"] or friend["kind"] == hero["kind"]:
        friend = cast(rng)
    thing = thing or rng.choice(OBJECTS)
    parts = [opening(rng, hero, rng.choice(PLACES))]
    if rng.random() < 0.6:
        parts.append(rng.choice(WEATHER))
    parts += rng.choice((lost, journey, gift, quarrel))(rng, hero, friend, thing)
    parts.append(ending(rng, hero))
    if len(parts) > 6 and rng.random() < 0.4:
        cut = rng.randint(3, 5)
        return " ".join(parts[:cut]) + "\n\n" + " ".join(parts[cut:])
    return " ".join(parts)


def tell(rng, split):
    hero, thing, about = None, None, ""
    roll = rng.random()
    if roll < 0.35:
        hero = cast(rng)
        about = f" about {article(hero['kind'])}"
    elif roll < 0.5:
        hero = cast(rng)
        about = f" about {article(hero['adj'])} {hero['kind']} named {hero['name']}"
    elif roll < 0.65:
        thing = rng.choice(OBJECTS)
        about = f" about {article(thing)}"
    text = ask(rng, split, (), ["Tell me a story{x}.", "Write a short story{x}.", "Tell me a short story{x}.",
               "Please write a story{x}.", "Can you tell me a story{x}?", "I want to hear a story{x}.",
               "Write a little story{x}.", "Could you write me a short story{x}?", "A story{x}, please.",
               "Make up a story{x}.", "Tell a bedtime story{x}.", "Invent a short story{x}.",
               "Do you know a story{x}?", "Write a story{x} for a child."], x=about)
    return item("story", text, story(rng, hero, thing))


GENERATORS = [(tell, 1)]
