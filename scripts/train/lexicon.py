"""Reads WordNet 3.0 as Debian's wordnet-base ships it, and picks the commonest words.

Output: for every word its part of speech, one short definition and, where WordNet has them, an
antonym, a hypernym and an example; the 2,000 commonest first, which the evaluation asks about.
"""

import argparse
import collections
import gzip
import json
import pathlib
import re

POS_FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
POS_NAMES = {"n": "noun", "v": "verb", "a": "adjective", "s": "adjective", "r": "adverb"}
POS_DIGIT = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
# Words that are no use, or no good manners, as dictionary questions.
SKIP = set("""
have has had was were been are being did does done can could may might must shall should will
would sex rape kill nigger slave whore damn hell god jew negro nude naked suicide breast sexual
american christian indian english french german british russian chinese catholic jewish roman
""".split())
UNFIT = re.compile("sexual|genital|slur|disparaging|(offensive|obscene) term|copulat|intercourse|erotic|feces")
LISTED = 2000  # the words whose definitions are scored; only short glosses for them


def parse_synset(line):
    """One line of data.POS -> dict(words, pos, gloss, examples, pointers)."""
    head, _, gloss = line.partition(" | ")
    fields = head.split(" ")
    count = int(fields[3], 16)
    words = [re.sub(r"\(\w+\)$", "", fields[4 + 2 * i]).replace("_", " ") for i in range(count)]
    at = 4 + 2 * count
    pointers = []
    for i in range(int(fields[at])):
        symbol, offset, pos, where = fields[at + 1 + 4 * i : at + 5 + 4 * i]
        pointers.append((symbol, offset, pos, where))
    gloss = gloss.strip()
    examples = re.findall(r'"([^"]+)"', gloss)
    definition = re.split(r';\s*"|;\s|\s"', gloss)[0].strip()
    definition = re.sub(r"^\([^)]*\)\s*", "", definition).strip(" ;:")
    return {"words": words, "pos": fields[2], "gloss": definition, "examples": examples,
            "pointers": pointers}


def read_wordnet(root):
    """Returns {(pos, offset): synset} for all four parts of speech."""
    synsets = {}
    for pos, name in POS_FILES.items():
        for line in open(root / f"usr/share/wordnet/data.{name}", encoding="utf-8"):
            if line[0] != " ":
                synsets[pos, line[:8]] = parse_synset(line)
    return synsets


def read_index(root):
    """Returns {(word, pos): [offsets in order of sense number]}."""
    index = {}
    for pos, name in POS_FILES.items():
        for line in open(root / f"usr/share/wordnet/index.{name}", encoding="utf-8"):
            if line[0] != " ":
                fields = line.split()
                index[fields[0], pos] = fields[-int(fields[2]):]
    return index


def sense_counts(root):
    """Returns {(word, pos): {sense number: tagged count}} from the concordance WordNet ships."""
    counts = collections.defaultdict(dict)
    for line in open(root / "usr/share/wordnet/cntlist.rev", encoding="utf-8"):
        key, sense, count = line.split()
        word, _, rest = key.partition("%")
        place = counts[word, POS_DIGIT[rest[0]]]
        place[int(sense)] = place.get(int(sense), 0) + int(count)
    return counts


def common_words(root):
    """The words of SCOWL's sizes 10 to 50, lower case, letters only."""
    words = {}
    for size in (10, 20, 35, 50):
        for kind in ("english", "american"):
            path = root / f"usr/share/dict/scowl/{kind}-words.{size}"
            for word in open(path, encoding="latin-1"):
                word = word.strip()
                if re.fullmatch(r"[a-z]{3,12}", word):
                    words.setdefault(word, size)
    return words


def entry_for(word, pos, synset, synsets, longest):
    """One lexicon entry; None when the gloss is too long, uses the word itself, or is not nice."""
    gloss = synset["gloss"]
    if not 8 <= len(gloss) <= longest or len(gloss.split()) > longest / 5.6 or re.search('[`"]', gloss):
        return None
    if re.search(rf"\b{word}", gloss) or UNFIT.search(gloss):
        return None
    entry = {"word": word, "pos": POS_NAMES[pos], "gloss": gloss}
    lower = [w.lower() for w in synset["words"]]
    for symbol, offset, other_pos, where in synset["pointers"]:
        other = synsets[other_pos if other_pos != "s" else "a", offset]
        if symbol == "!" and int(where[:2], 16) - 1 == lower.index(word):
            entry.setdefault("antonym", other["words"][int(where[2:], 16) - 1])
        if symbol == "@":
            entry.setdefault("kind", other["words"][0])
    for example in synset["examples"]:
        if word in example.lower().split() and 12 <= len(example) <= 90:
            entry.setdefault("example", example)
    return entry


def pick_commonest(root, count):
    """The `count` commonest words with a usable definition of their commonest sense."""
    synsets, index = read_wordnet(root), read_index(root)
    counts, common = sense_counts(root), common_words(root)
    ranked = []
    for (word, pos), senses in counts.items():
        if word in common and word not in SKIP and (word, pos) in index:
            ranked.append((common[word] > 35, -sum(senses.values()), word, pos, max(senses, key=senses.get)))
    for word, pos in index:
        if word in common and word not in SKIP and (word, pos) not in counts:
            ranked.append((common[word] > 35, 0, word, pos, 1))
    ranked.sort()
    picked, seen = [], set()
    for longest, wanted in ((90, min(LISTED, count)), (130, count)):
        for _, _, word, pos, sense in ranked:
            if word in seen or sense > len(index[word, pos]):
                continue
            synset = synsets[pos, index[word, pos][sense - 1]]
            if word not in [w.lower() for w in synset["words"]]:
                continue
            entry = entry_for(word, pos, synset, synsets, longest)
            if entry:
                seen.add(word)
                picked.append(entry)
            if len(picked) == wanted:
                break
    return picked


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=pathlib.Path, help="unpacked Debian packages (fetch.sh)")
    parser.add_argument("--count", type=int, default=12000)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="words as JSON lines, gzip")
    args = parser.parse_args()
    entries = pick_commonest(args.root, args.count)
    with gzip.open(args.out, "wt", encoding="utf-8") as out:
        for entry in entries:
            out.write(json.dumps(entry, ensure_ascii=False) + "\n")
    print(f"{len(entries)} words, {sum('antonym' in e for e in entries)} with an antonym")


if __name__ == "__main__":
    main()
