"""Short stories from a grammar: a hero, a place, a wish or a trouble, help, and a quiet end."""

from .phrasing import ask, item

ANIMALS = """fox owl bear rabbit mouse cat dog duck frog squirrel hedgehog turtle goat pony deer
crow robin badger otter lamb""".split()
ADJECTIVES = """little brave shy old young clever curious quiet kind lazy hungry tiny cheerful
lonely gentle sleepy proud careful""".split()
PLACES = [("in a forest", "under the tall trees"), ("in a village", "near the stone bridge"),
          ("in a valley", "beside a slow river"), ("in a town", "behind the old market"),
          ("on an island", "close to the white beach"), ("on a farm", "next to the red barn"),
          ("on a mountain", "in a small wooden hut"), ("in a garden", "between the roses"),
          ("in a city", "above a bakery"), ("on a meadow", "where the grass was high"),
          ("by the sea", "in a house with a blue door"), ("in the desert", "near a single well"),
          ("on a hill", "beside an old windmill"), ("by a lake", "among the reeds")]
GIRLS = """Anna Clara Emma Grace Ivy Kate Mia Olga Rosa Tina Wendy Zoe Bella Dana Elena Hana Lily
Nora Lucy Maya Ada Ruth""".split()
BOYS = """Ben David Felix Henry Jack Leo Noah Paul Sam Victor Yusuf Amir Carlos Finn Max Tom Oscar
Peter Hugo Simon Karl Otis""".split()
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


def cast(rng, other=None):
    """The name, kind and pronouns of someone in a story, unlike `other`."""
    she = rng.random() < 0.5
    kind = rng.choice(ANIMALS)
    if rng.random() < 0.45:
        kind = rng.choice(["girl" if she else "boy", "baker", "farmer", "painter", "sailor", "teacher"])
    made = {"name": rng.choice(GIRLS if she else BOYS), "kind": kind, "adj": rng.choice(ADJECTIVES),
            "he": "she" if she else "he", "him": "her" if she else "him", "his": "her" if she else "his"}
    if other and (made["name"] == other["name"] or made["kind"] == other["kind"]):
        return cast(rng, other)
    return made


def opening(rng, hero, place):
    a = article(f"{hero['adj']} {hero['kind']}")
    where, near = place
    there = where[0].upper() + where[1:]
    return rng.choice([
        f"Once upon a time there was {a} named {hero['name']}, who lived {where}, {near}.",
        f"{there}, {near}, lived {a} called {hero['name']}.",
        f"{hero['name']} was {a} who lived {where}, {near}.",
        f"Long ago, {where}, {near}, there lived {a}. Everyone called {hero['him']} {hero['name']}.",
        f"There once was {a}. {hero['his'].capitalize()} name was {hero['name']}, and {hero['he']} lived {where}.",
        f"Far away, {where}, {a} named {hero['name']} had a little home {near}."])


def lost(rng, hero, friend, thing):
    n, f = hero["name"], friend["name"]
    bad, good = rng.choice(FEELINGS_BAD), rng.choice(FEELINGS_GOOD)
    where = rng.choice(["under a bush", "in a hollow tree", "behind a big stone", "in the mud by the water",
                        "on top of a wall", "inside an old boot", "below the stairs"])
    return [
        rng.choice([f"One day {n} lost a {thing}.", f"One morning the {thing} was gone.",
                    f"{n} had {article(thing)} and loved it, but one day it was gone."]),
        rng.choice([f"{n} looked everywhere but could not find it.", f"{hero['he'].capitalize()} searched the whole day.",
                    f"{n} asked everyone, but nobody had seen it."]),
        rng.choice([f"{n} felt {bad}.", f"{hero['he'].capitalize()} sat down and felt {bad}."]),
        rng.choice([f"Then {f} the {friend['kind']} came by and asked what was wrong.",
                    f"A {friend['kind']} named {f} heard the crying and stopped.",
                    f"{f}, {article(friend['adj'])} {friend['kind']}, offered to help."]),
        rng.choice([f'"Let us look together," said {f}.', f'"Two pairs of eyes see more than one," said {f}.',
                    f'"Do not give up," said {f}.']),
        rng.choice([f"They looked until the sun went down, and at last they found the {thing} {where}.",
                    f"Soon {f} saw something shine {where}. It was the {thing}!",
                    f"After a while they found the {thing} {where}."]),
        rng.choice([f"{n} was {good} and thanked {f}.", f"{n} was {good} and thanked {friend['him']}.",
                    f'"Thank you!" said {n}, and {hero["he"]} was {good}.']),
    ]


def journey(rng, hero, friend, thing):
    n, f = hero["name"], friend["name"]
    goal = rng.choice(["the sea", "the top of the hill", "the other side of the river", "the king's castle",
                       "the end of the road", "the old tower", "the house of the moon"])
    return [
        rng.choice([f"{n} had always wanted to see {goal}.", f"{n} dreamed of {goal} every night.",
                    f"Nobody {hero['he']} knew had ever been to {goal}, but {n} wanted to go."]),
        rng.choice([f"So one day {n} packed a {thing} and some bread and set out.",
                    f"One day {n} took a {thing}, closed the door and began to walk."]),
        rng.choice(["The road was long and full of stones.", "The path went up and down.",
                    "The way was dark, and the trees made strange sounds."]),
        rng.choice([f"In the evening {hero['he']} was {rng.choice(FEELINGS_BAD)} and wanted to turn back.",
                    f"After many hours {hero['he']} sat down and could not go on."]),
        rng.choice([f"There {n} met {f}, {article(friend['adj'])} {friend['kind']}, who knew the way.",
                    f"Then a {friend['kind']} named {f} came along and shared some soup."]),
        rng.choice([f'"We can walk together," said {f}.', f'"It is not far now," said {f} with a smile.',
                    f'"I am going there too," said {f}.']),
        rng.choice([f"The next day they reached {goal}, and it was more beautiful than {hero['he']} had dreamed.",
                    f"When the sun came up, they stood before {goal}."]),
        f"{n} was {rng.choice(FEELINGS_GOOD)}.",
    ]


def gift(rng, hero, friend, thing):
    n, f = hero["name"], friend["name"]
    return [
        f"{n} wanted to make {article(thing)} for {f} the {friend['kind']}, whose birthday was near.",
        rng.choice([f"But {hero['he']} had never made {article(thing)} before.",
                    f"It was hard work, and the first {thing} broke at once.",
                    f"The first {thing} was crooked, and the second was worse."]),
        rng.choice([f"{n} tried again and again.", f"{hero['he'].capitalize()} worked all night by the light of a candle.",
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


def storm(rng, hero, friend, thing):
    n, f, he = hero["name"], friend["name"], hero["he"]
    return [
        rng.choice([f"One night a great storm came, and {n} woke up.", f"One evening the wind grew loud around {n}'s home."]),
        rng.choice(["The trees bent low, and the rain beat against the door.", "Thunder rolled, and the lights went out."]),
        rng.choice([f"Outside somebody called for help. It was {f} the {friend['kind']}.",
                    f"Then {n} heard a small voice. {f}, {article(friend['adj'])} {friend['kind']}, was out in the rain."]),
        rng.choice([f"{n} was {rng.choice(FEELINGS_BAD)}, but {he} took a {thing} and went out.",
                    f"{he.capitalize()} did not want to leave the warm room, but {he} took a {thing} and ran."]),
        rng.choice([f'"Hold on to the {thing}!" cried {n}.', f'"Come with me!" shouted {n}.']),
        rng.choice([f"Step by step they came back to the house.", f"Together they fought their way home."]),
        rng.choice([f"They drank hot tea until the storm was over, and {f} was {rng.choice(FEELINGS_GOOD)}.",
                    f"In the morning the sky was clear, and both were {rng.choice(FEELINGS_GOOD)}."]),
    ]


def stranger(rng, hero, friend, thing):
    n, f, he = hero["name"], friend["name"], hero["he"]
    return [
        rng.choice([f"One day {article(friend['kind'])} named {f} moved in next door.",
                    f"One day a stranger came, {article(friend['adj'])} {friend['kind']} named {f}."]),
        rng.choice([f"Nobody spoke to {friend['him']}, because {friend['he']} looked so different.",
                    f"The others whispered and stayed away from {friend['him']}."]),
        rng.choice([f"{n} was {rng.choice(FEELINGS_BAD)} about that.", f"That did not seem right to {n}."]),
        rng.choice([f"So {he} took {article(thing)} as a present and knocked at the door.",
                    f"So {he} went over and asked for help with a broken {thing}."]),
        rng.choice([f'"Please come in," said {f}.', f'"You are my first guest," said {f} with a smile.']),
        rng.choice([f"They talked until it was dark, and {f} told of lands beyond the sea.",
                    f"They ate soup and laughed, and soon the others came to listen too."]),
        f"{f} was {rng.choice(FEELINGS_GOOD)}, and so was {n}.",
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
    friend = cast(rng, hero)
    thing = thing or rng.choice(OBJECTS)
    parts = [opening(rng, hero, rng.choice(PLACES))]
    if rng.random() < 0.6:
        parts.append(rng.choice(WEATHER))
    parts += rng.choice((lost, journey, gift, quarrel, storm, stranger))(rng, hero, friend, thing)
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
