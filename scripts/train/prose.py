"""Turns packaged documentation and dictionaries into plain text documents, one JSON string a line.

Sources are permissively licensed or in the public domain; the list is PACKAGES below and in the
model card. Each document is at most MAX_CHARS long, split at paragraph ends.
"""

import argparse
import gzip
import hashlib
import html.parser
import json
import pathlib
import re

import lexicon

MAX_CHARS = 12000
MIN_CHARS = 300
# (name, licence, glob under usr/share)
PACKAGES = [
    ("sqlite3-doc", "public domain", "doc/sqlite3/*.html"),
    ("postgresql-doc-15", "PostgreSQL", "doc/postgresql-doc-15/html/*.html"),
    ("python3.11-doc", "PSF-2.0", "doc/python3.11/html/tutorial/*.html"),
    ("python3.11-doc", "PSF-2.0", "doc/python3.11/html/howto/*.html"),
    ("python3.11-doc", "PSF-2.0", "doc/python3.11/html/faq/*.html"),
    ("python3.11-doc", "PSF-2.0", "doc/python3.11/html/library/*.html"),
    ("rust-doc", "MIT or Apache-2.0", "doc/rust-doc/html/book/*.html"),
    ("rust-doc", "MIT or Apache-2.0", "doc/rust-doc/html/nomicon/*.html"),
    ("rust-doc", "MIT or Apache-2.0", "doc/rust-doc/html/embedded-book/**/*.html"),
    ("rust-doc", "MIT or Apache-2.0", "doc/rust-doc/html/edition-guide/**/*.html"),
]


class Stripper(html.parser.HTMLParser):
    """Collects the text of an HTML page without navigation, scripts and styles."""

    DROP = {"script", "style", "nav", "head", "button", "form", "select", "svg"}
    BLOCK = {"p", "div", "li", "pre", "h1", "h2", "h3", "h4", "tr", "br", "dt", "dd", "blockquote"}

    def __init__(self):
        super().__init__()
        self.parts, self.dropped, self.pre = [], 0, 0

    def handle_starttag(self, tag, attrs):
        cls = dict(attrs).get("class") or ""
        if tag in self.DROP or (tag == "div" and cls in ("sphinxsidebar", "related", "menu")):
            self.dropped += tag in self.DROP
        if tag in self.BLOCK:
            self.parts.append("\n")
        if tag == "p":
            self.parts.append("\n")
        self.pre += tag == "pre"

    def handle_endtag(self, tag):
        if tag in self.DROP:
            self.dropped = max(0, self.dropped - 1)
        if tag in ("p", "pre", "h1", "h2", "h3", "h4"):
            self.parts.append("\n")
        self.pre = max(0, self.pre - (tag == "pre"))

    def handle_data(self, data):
        if not self.dropped:
            self.parts.append(data if self.pre else re.sub(r"\s+", " ", data))


def page_text(path):
    """The readable text of one HTML file."""
    stripper = Stripper()
    stripper.feed(path.read_text(encoding="utf-8", errors="replace"))
    text = "".join(stripper.parts).replace("¶", "").replace("\u00a0", " ")
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def looks_like_prose(paragraph):
    """True for paragraphs of sentences; menus, tables and listings mostly fail."""
    letters = sum(c.isalpha() or c == " " for c in paragraph)
    return len(paragraph) > 60 and letters > 0.75 * len(paragraph) and paragraph.rstrip()[-1] in ".:!?"


def split_document(text):
    """Yields pieces of at most MAX_CHARS, keeping prose and the short listings beside it."""
    piece, size, last_was_prose = [], 0, False
    for paragraph in text.split("\n\n"):
        paragraph = paragraph.strip("\n")
        prose = bool(paragraph.strip()) and looks_like_prose(paragraph)
        if not prose and not (last_was_prose and len(paragraph) < 400):
            last_was_prose = False
            continue
        last_was_prose = prose
        if size + len(paragraph) > MAX_CHARS and piece:
            yield "\n\n".join(piece)
            piece, size = [], 0
        piece.append(paragraph)
        size += len(paragraph) + 2
    if size >= MIN_CHARS:
        yield "\n\n".join(piece)


def dictionary_documents(root, name):
    """The entries of a dictd dictionary, joined into documents with lines unwrapped."""
    with gzip.open(root / f"usr/share/dictd/{name}.dict.dz", "rt", encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"[{}]", "", text)
    text = re.sub(r"(?<=\S)\n {0,8}(?=\S)", " ", text) if name == "jargon" else text
    yield from split_document(re.sub(r"\n[ \t]+", "\n", text) if name == "jargon" else text)


def wordnet_documents(root):
    """Dictionary entries for all of WordNet, in sentences, thirty synsets a document."""
    lines = []
    for synset in lexicon.read_wordnet(root).values():
        name = lexicon.POS_NAMES[synset["pos"]]
        line = f"{', '.join(synset['words'][:4])} ({name}): {synset['gloss']}."
        for example in synset["examples"][:2]:
            line += f" Example: {example[0].upper()}{example[1:]}."
        lines.append(line)
    lines.sort(key=lambda line: hashlib.md5(line.encode()).digest())
    for at in range(0, len(lines), 30):
        yield "\n".join(lines[at : at + 30])


def documents(root):
    """Yields (source, text) for every document, without exact repeats."""
    seen = set()
    streams = [(name, (piece for path in sorted((root / "usr/share").glob(pattern))
                       for piece in split_document(page_text(path))))
               for name, _, pattern in PACKAGES]
    streams += [("dict-jargon", dictionary_documents(root, "jargon")),
                ("dict-devil", dictionary_documents(root, "devil")),
                ("wordnet-base", wordnet_documents(root))]
    for name, stream in streams:
        for text in stream:
            key = hashlib.md5(text.encode()).digest()
            if key not in seen:
                seen.add(key)
                yield name, text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON lines, gzip")
    args = parser.parse_args()
    sizes = {}
    with gzip.open(args.out, "wt", encoding="utf-8") as out:
        for name, text in documents(args.root):
            sizes[name] = sizes.get(name, 0) + len(text)
            out.write(json.dumps({"source": name, "text": text}, ensure_ascii=False) + "\n")
    for name, size in sizes.items():
        print(f"{name:20} {size / 1e6:6.2f} MB")


if __name__ == "__main__":
    main()
