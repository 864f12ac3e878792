"""Words: definitions, opposites, spelling, letters and counting, over the 2,000 commonest words."""

import functools
import gzip
import json
import os
import pathlib

from .phrasing import ask, item

# asked with answers of their own in talk.FACTS
COMMON_FACT_WORDS = "computer program token sun moon ice water dozen internet pi half".split()
FRUIT = """apple pear plum cherry banana orange lemon grape melon peach carrot onion potato tomato
bread cheese butter milk egg rice salt sugar pepper honey tea coffee soup cake fish nut bean pea
hammer saw nail rope lamp chair table spoon fork knife cup plate bowl box bag book pen pencil paper
shirt coat hat shoe sock glove scarf cat dog horse cow sheep goat hen duck goose mouse rabbit fox
bear wolf lion tiger red blue green yellow white black brown gray pink purple""".split()


LISTED = 2000  # the commonest words, whose definitions are scored


@functools.cache
def all_words():
    """The entries of words.jsonl.gz by falling frequency, in the folder PAGODA_CORPUS names."""
    path = pathlib.Path(os.environ.get("PAGODA_CORPUS", "corpus")) / "words.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@functools.cache
def lexicon():
    """The listed words."""
    return all_words()[:LISTED]


@functools.cache
def rarer():
    """The words after the listed ones."""
    return all_words()[LISTED:]


@functools.cache
def opposites():
    """Entries with a one-word antonym."""
    return [e for e in lexicon() if e.get("antonym", "").isalpha()]


def quoted(rng, word):
    """The word as people write it in a question."""
    return rng.choice([f'"{word}"', f"'{word}'", word, word, f'"{word}"'])


def definition(entry):
    """The canonical answer of the dictionary skill."""
    to = "to " if entry["pos"] == "verb" and not entry["gloss"].startswith("to ") else ""
    return f'The word "{entry["word"]}" is {article(entry["pos"])}. It means: {to}{entry["gloss"]}.'


def article(pos):
    return ("an " if pos[0] == "a" else "a ") + pos


def define(rng, split, entry=None):
    entry = entry or rng.choice(lexicon())
    text = ask(rng, split, ["the meaning of {x}", "the definition of {x}", "the meaning of the word {x}",
                            "a definition of {x}", "the definition of the word {x}",
                            "a definition for the word {x}"],
               ["What does {x} mean?", "Define {x}.", "Please define {x}.", "Explain the word {x}.",
                "What does the word {x} mean?", "Define the word {x}.", "How would you define {x}?",
                "What is meant by {x}?", "Look up {x}.", "Can you define {x}?", "Can you explain {x}?",
                "Explain what {x} means.", "Tell me what {x} means.", "I do not know the word {x}.",
                "Could you explain what {x} means?", "What do people mean by {x}?",
                "How does a dictionary define {x}?", "What does it mean when someone says {x}?",
                "Look up the word {x} in the dictionary."], x=quoted(rng, entry["word"]))
    return item("define", text, definition(entry))


def define_rarer(rng, split):
    """The same for rarer words; the evaluation scores the listed ones only."""
    made = define(rng, split, rng.choice(rarer()))
    return {**made, "skill": "define_rarer"}


def define_thing(rng, split):
    """What is a door? The listed and rarer nouns."""
    while True:
        entry = rng.choice(all_words())
        if entry["pos"] == "noun" and entry["word"] not in COMMON_FACT_WORDS:
            break
    text = ask(rng, split, (), ["What is {x}?", "What's {x}?", "Tell me what {x} is.", "Explain what {x} is.",
               "Do you know what {x} is?", "Can you tell me what {x} is?", "Please explain what {x} is."],
               x=("an " if entry["word"][0] in "aeiou" else "a ") + entry["word"])
    return item("define_thing", text, definition(entry))


def opposite(rng, split):
    entry = rng.choice(opposites())
    text = ask(rng, split, ["the opposite of {x}", "an antonym of {x}", "the antonym of {x}",
                            "a word that means the opposite of {x}"],
               ["Which word is the opposite of {x}?", "What word means the opposite of {x}?",
                "Which word is an antonym of {x}?"], x=quoted(rng, entry["word"]))
    return item("opposite", text, f'The opposite of "{entry["word"]}" is "{entry["antonym"]}".')


def spell(rng, split):
    word = rng.choice(lexicon())["word"]
    text = ask(rng, split, ["the spelling of {x}", "the letters of {x}", "the letters of the word {x}"],
               ["How do you spell {x}?", "Spell {x}.", "Spell the word {x}.", "Please spell {x}.",
                "How is {x} spelled?", "Can you spell {x}?", "Spell {x} for me.", "Spell out {x}.",
                "Which letters are in {x}?", "How do I spell the word {x}?", "Spell {x} letter by letter.",
                "Write {x} letter by letter."], x=quoted(rng, word))
    return item("spell", text, f'The word "{word}" is spelled {"-".join(word)}.')


def backwards(rng, split):
    word = rng.choice(lexicon())["word"]
    text = ask(rng, split, ["{x} spelled backwards", "the letters of {x} in reverse order"],
               ["Spell {x} backwards.", "How do you spell {x} backwards?", "Reverse the word {x}.",
                "Spell the word {x} from the end.", "Write {x} backwards."], x=quoted(rng, word))
    return item("backwards", text, f'The word "{word}" is spelled {"-".join(word)}. '
                f'Backwards it is {"-".join(reversed(word))}.')


def count_letters(rng, split):
    word = rng.choice(lexicon())["word"]
    text = ask(rng, split, ["the number of letters in {x}", "the length of the word {x}"],
               ["How many letters does {x} have?", "How many letters are in {x}?",
                "How many letters are there in the word {x}?", "Count the letters in {x}.",
                "How long is the word {x}?", "Count the letters of {x}."], x=quoted(rng, word))
    return item("count_letters", text,
                f'The word "{word}" is spelled {"-".join(word)}. It has {len(word)} letters.')


def count_letter(rng, split):
    word = rng.choice(lexicon())["word"]
    letter = rng.choice(word) if rng.random() < 0.8 else rng.choice("abcdefghijklmnopqrstuvwxyz")
    text = ask(rng, split, ['the number of times "{y}" appears in {x}'],
               ['How many times does the letter "{y}" appear in {x}?', 'How many "{y}"s are in {x}?',
                'How often does "{y}" appear in {x}?', 'Count the letter "{y}" in {x}.',
                'How many times is "{y}" in the word {x}?'], x=quoted(rng, word), y=letter)
    n = word.count(letter)
    times = "1 time" if n == 1 else f"{n} times"
    return item("count_letter", text, f'The word "{word}" is spelled {"-".join(word)}. '
                f'The letter "{letter}" appears {times}.')


def first_last(rng, split):
    word = rng.choice(lexicon())["word"]
    which = rng.choice(["first", "last"])
    text = ask(rng, split, ["the {y} letter of {x}", "the {y} letter of the word {x}"],
               ["Which letter is the {y} in {x}?", "What letter is {y} in {x}?"],
               x=quoted(rng, word), y=which)
    letter = word[0] if which == "first" else word[-1]
    return item("first_last", text, f'The word "{word}" is spelled {"-".join(word)}. '
                f'Its {which} letter is "{letter}".')


def count_items(rng, split):
    """Counts the things in a list of up to twelve, or finds the position of one."""
    things = rng.sample(FRUIT, rng.randint(2, 12))
    listed = ", ".join(things)
    text = ask(rng, split, (), ["How many words are in this list: {x}?", "Count these: {x}.",
               "How many things are listed here: {x}?", "How many items are there: {x}?",
               "Count the words in this list: {x}.", "Here is a list: {x}. How many words does it have?",
               "{x}. How many is that?", "My list says {x}. How many things are on it?"], x=listed)
    return item("count_items", text, f"The list has {len(things)} items.")


def sort_words(rng, split):
    things = rng.sample(FRUIT, rng.randint(3, 6))
    text = ask(rng, split, (), ["Sort these words: {x}.", "Put these words in alphabetical order: {x}.",
               "Sort alphabetically: {x}.", "Order these words from A to Z: {x}.",
               "Please sort this list by letter: {x}.", "Alphabetize these: {x}."], x=", ".join(things))
    return item("sort_words", text, f"In alphabetical order: {', '.join(sorted(things))}.")


GENERATORS = [(define, 7), (define_rarer, 6), (define_thing, 4), (opposite, 1.5), (spell, 2), (backwards, 2),
              (count_letters, 1.5), (count_letter, 8), (first_last, 1.2), (count_items, 1.5), (sort_words, 3)]
