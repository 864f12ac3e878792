#!/usr/bin/env python3
"""Write tokenizer.json: a byte-level BPE of 256 bytes, a few words and control tokens.

Run in this folder. The words have no merges: they are decoded, never produced by encoding, so that
tests can script tokens that cut text anywhere.
"""
import json


def byte_alphabet():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, extra = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


ALPHABET = byte_alphabet()


def piece(text):
    return "".join(ALPHABET[b] for b in text.encode())


WORDS = ["Hel", "lo", " wor", "ld", "ST", "OP", " the", " end", "!\n", "a\U0001f600b"]
CONTROL = ["<|bos|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
vocab = {ALPHABET[b]: b for b in range(256)}
# our JSON reader refuses NUL, so no token may stand for it
vocab = {piece("zero"): 0, **{p: i for p, i in vocab.items() if i}}
for word in WORDS:
    vocab[piece(word)] = len(vocab)
first_control = len(vocab)
added = [
    dict(id=first_control + i, content=c, single_word=False, lstrip=False, rstrip=False,
         normalized=False, special=True)
    for i, c in enumerate(CONTROL)
]
level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)
json.dump(
    dict(
        version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None,
        pre_tokenizer=level,
        post_processor=dict(
            type="TemplateProcessing",
            single=[dict(SpecialToken=dict(id="<|bos|>", type_id=0)),
                    dict(Sequence=dict(id="A", type_id=0))],
            pair=[dict(Sequence=dict(id="A", type_id=0)), dict(Sequence=dict(id="B", type_id=1))],
            special_tokens={"<|bos|>": dict(id="<|bos|>", ids=[first_control],
                                            tokens=["<|bos|>"])}),
        decoder=level,
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                   end_of_word_suffix=None, fuse_unk=False, byte_fallback=False, vocab=vocab,
                   merges=[])),
    open("tokenizer.json", "w"), ensure_ascii=True, indent=0)
