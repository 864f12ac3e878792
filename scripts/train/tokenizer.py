"""Trains the byte-level BPE tokenizer (8,192 ids) and writes its Hugging Face files.

The 256 bytes and the merges come first, the special tokens last. Digits are split one by one, so
that arithmetic sees every digit. No normalizer: text comes back byte for byte.
"""

import argparse
import gzip
import json
import pathlib
import random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers import AddedToken

VOCAB = 8192
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# Ordinary text to clients: not dropped by skip_special_tokens, so tool calls stay visible.
VISIBLE = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>",
           "</tools>"]
RESERVED = [f"<|reserved_{i}|>" for i in range(7)]
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
           r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
HERE = pathlib.Path(__file__).parent


def training_text(corpus, seed=1):
    """Yields text in about the proportions of the training mixture."""
    rng = random.Random(seed)
    for line in gzip.open(corpus / "prose.jsonl.gz", "rt", encoding="utf-8"):
        doc = json.loads(line)
        if doc["source"] in ("wordnet-base", "dict-jargon", "dict-devil") or rng.random() < 0.35:
            yield doc["text"]
    words = [json.loads(line) for line in gzip.open(corpus / "words.jsonl.gz", "rt")]
    for entry in words:
        word = entry["word"]
        yield f"{word} {word.capitalize()} {word}. " * 60
        yield f'What does "{word}" mean? "{word.capitalize()}" means {entry["gloss"]}. ' * 12
    for size in (10, 20):
        path = corpus / f"root/usr/share/dict/scowl/english-words.{size}"
        for word in path.read_text(encoding="latin-1").split():
            yield f"the {word} and {word}, " * 25
    for line in (HERE / "data/countries.tsv").read_text(encoding="utf-8").splitlines():
        if line[0] != "#":
            name, capital, currency, code, language, continent = line.split("\t")
            yield (f"The capital of {name} is {capital}. The currency of {name} is the {currency} "
                   f"({code}). People in {name} speak {language}. It is in {continent}. ") * 120
    from skills import sample_texts  # the generators' own text, once they exist
    yield from sample_texts(rng, 40000)


def train(corpus):
    """Trains and returns the tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    base = VOCAB - len(SPECIAL) - len(VISIBLE) - len(RESERVED)
    trainer = trainers.BpeTrainer(vocab_size=base, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(training_text(corpus), trainer)
    added = [AddedToken(text, special=True, normalized=False) for text in SPECIAL]
    added += [AddedToken(text, special=False, normalized=False) for text in VISIBLE]
    added += [AddedToken(text, special=True, normalized=False) for text in RESERVED]
    tokenizer.add_tokens(added)
    assert tokenizer.get_vocab_size() == VOCAB
    return tokenizer


def write_config(tokenizer, folder):
    """tokenizer_config.json and generation_config.json beside tokenizer.json."""
    ids = {text: tokenizer.token_to_id(text) for text in SPECIAL + VISIBLE + RESERVED}
    decoder = {str(i): {"content": text, "lstrip": False, "normalized": False, "rstrip": False,
                        "single_word": False, "special": text not in VISIBLE}
               for text, i in ids.items()}
    config = {"add_prefix_space": False, "added_tokens_decoder": decoder, "bos_token": None,
              "chat_template": (HERE / "chat_template.jinja").read_text().rstrip("\n"),
              "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>",
              "model_max_length": 4096, "pad_token": "<|endoftext|>", "unk_token": None,
              "tokenizer_class": "PreTrainedTokenizerFast"}
    dump(config, folder / "tokenizer_config.json")
    stops = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    dump({"bos_token_id": None, "eos_token_id": stops, "pad_token_id": stops[1],
          "do_sample": True, "temperature": 0.7, "top_p": 0.9}, folder / "generation_config.json")


def dump(value, path):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=pathlib.Path, help="folder with prose and words")
    parser.add_argument("--out", type=pathlib.Path, nargs="+", required=True,
                        help="model folders to write to")
    args = parser.parse_args()
    tokenizer = train(args.corpus)
    for folder in args.out:
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        write_config(tokenizer, folder)


if __name__ == "__main__":
    main()
