"""Makes training tokens: worker processes run the generators, the trainer reads their shards.

A shard is two rows of uint16, one of long documents and one of short ones. The low 13 bits are the
token, OWN marks the words that count fully in the loss (the assistant's, and prose), START the
first token of a document.
"""

import gzip
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import time

import numpy as np

OWN, START, TOKEN = 0x8000, 0x4000, 0x1FFF
SHORT_MAX, LONG_MAX = 512, 4096
SHORT_DOCS, LONG_DOCS = 2048, 192  # upper bounds of the documents in one step
SHARD = 1 << 20
USER_WEIGHT = 0.1


def held_out_document(text):
    """True for the fiftieth of the prose that only the evaluation reads."""
    return hashlib.md5(text.encode()).digest()[0] < 5


class Maker:
    """Turns prose and generated dialogues into flagged token arrays."""

    def __init__(self, corpus, tokenizer_file, seed, prose_share):
        os.environ["PAGODA_CORPUS"] = str(corpus)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from tokenizers import Tokenizer

        import chat
        import skills
        self.skills, self.render = skills, chat.render
        self.rng = random.Random(seed)
        self.tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self.end = self.tokenizer.token_to_id("<|endoftext|>")
        self.prose_share = prose_share
        with gzip.open(pathlib.Path(corpus) / "prose.jsonl.gz", "rt", encoding="utf-8") as file:
            self.prose = [doc["text"] for doc in map(json.loads, file)]
        self.prose = [text for text in self.prose if not held_out_document(text)]

    def prose_document(self):
        """One document, or a piece of it that starts at a paragraph."""
        text = self.rng.choice(self.prose)
        if self.rng.random() < 0.5:
            lines = text.split("\n")
            text = "\n".join(lines[self.rng.randrange(len(lines)):])
        ids = self.tokenizer.encode(text.strip()).ids[: LONG_MAX - 1] + [self.end]
        return np.array(ids, np.uint16) | OWN

    def dialogue(self, made):
        """A dialogue's tokens; None when it is too long."""
        segments = self.render(made["messages"], made.get("tools"))
        encoded = self.tokenizer.encode_batch([text for text, _ in segments])
        parts = [np.array(e.ids, np.uint16) | (OWN if own else 0)
                 for e, (_, own) in zip(encoded, segments)]
        row = np.concatenate(parts).astype(np.uint16)
        return row if len(row) <= LONG_MAX else None

    def long_document(self):
        if self.rng.random() < self.prose_share:
            return self.prose_document()
        return self.dialogue(self.skills.retrieval.find(self.rng, "train"))

    def shard(self, long_size, short_size):
        """(long row, short row) of exactly these sizes."""
        sizes, rows, fill = (long_size, short_size), ([], []), [0, 0]
        while fill[0] < long_size or fill[1] < short_size:
            want_long = fill[0] / long_size < fill[1] / short_size
            row = self.long_document() if want_long else self.dialogue(self.skills.example(self.rng))
            if row is None or not len(row):
                continue
            which = 0 if len(row) > SHORT_MAX else 1
            if fill[which] < sizes[which]:
                row[0] |= START
                rows[which].append(row)
                fill[which] += len(row)
        return [np.concatenate(r)[:n] for r, n in zip(rows, sizes)]


def work(index, folder, corpus, tokenizer_file, seed, prose_share, long_share, ahead):
    """One worker: writes shards while fewer than `ahead` wait to be read."""
    os.nice(5)
    maker = Maker(corpus, tokenizer_file, seed * 1000 + index, prose_share)
    long_size = int(SHARD * long_share)
    number = 0
    while True:
        if len(list(folder.glob("*.npz"))) >= ahead:
            time.sleep(0.2)
            continue
        rows = maker.shard(long_size, SHARD - long_size)
        path = folder / f".{index}-{number}.tmp.npz"
        np.savez(path, long=rows[0], short=rows[1])
        path.rename(folder / f"{index}-{number}.npz")
        number += 1


class Feed:
    """Starts the workers and hands out steps."""

    def __init__(self, folder, corpus, tokenizer_file, seed, workers, prose_share, long_share, step_tokens):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.npz"):
            path.unlink()
        self.long_tokens = int(step_tokens * long_share)
        self.short_tokens = step_tokens - self.long_tokens
        self.rng = random.Random(seed)
        self.pool, self.kept, self.reused, self.fresh = [], [], 0, 0
        context = multiprocessing.get_context("fork")
        self.workers = [context.Process(target=work, daemon=True, args=(
            i, self.folder, corpus, tokenizer_file, seed, prose_share, long_share, 256)) for i in range(workers)]
        for process in self.workers:
            process.start()

    def next_shard(self):
        """A fresh shard, or an old one again when the workers lag."""
        while True:
            ready = [p for p in self.folder.glob("*.npz") if p.name[0] != "."]
            if ready:
                path = self.rng.choice(ready)
                with np.load(path) as data:
                    shard = (data["long"], data["short"])
                path.unlink()
                self.kept = (self.kept + [shard])[-64:]
                self.fresh += 1
                return shard
            if len(self.kept) >= 8:
                self.reused += 1
                return self.rng.choice(self.kept)
            if not any(process.is_alive() for process in self.workers):
                raise RuntimeError("all corpus workers have ended")
            time.sleep(0.05)

    def steps(self):
        """Yields (tokens, positions, targets, weights, long cu, short cu) as numpy arrays."""
        while True:
            long_row, short_row = self.next_shard()
            count = min(len(long_row) // self.long_tokens, len(short_row) // self.short_tokens)
            for i in range(count):
                yield pack(long_row[i * self.long_tokens :][: self.long_tokens],
                           short_row[i * self.short_tokens :][: self.short_tokens])

    def stop(self):
        for process in self.workers:
            process.terminate()


def bounds(row, most):
    """Document starts of a row and its length, padded to `most` + 1 entries; int32."""
    starts = np.flatnonzero(row & START)
    starts = np.unique(np.concatenate(([0], starts)))[:most]
    cu = np.full(most + 1, len(row), np.int32)
    cu[: len(starts)] = starts
    return cu


def pack(long_row, short_row):
    """The arrays of one step from its two rows."""
    cus = bounds(long_row, LONG_DOCS), bounds(short_row, SHORT_DOCS)
    row = np.concatenate((long_row, short_row))
    starts = np.concatenate((cus[0][:-1], cus[1][:-1] + len(long_row)))
    marks = np.zeros(len(row) + 1, np.int64)
    marks[starts] = starts
    positions = np.arange(len(row)) - np.maximum.accumulate(marks[:-1])
    following = np.append(row[1:], np.uint16(START))
    weights = np.where(following & OWN, 1.0, USER_WEIGHT).astype(np.float32)
    weights[(following & START) != 0] = 0.0
    weights[len(long_row) - 1] = 0.0
    return ((row & TOKEN).astype(np.int64), positions, (following & TOKEN).astype(np.int64), weights, *cus)
