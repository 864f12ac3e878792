#!/usr/bin/env python3
"""Make tests/golden/tokenizers: small tokenizers of every kind and what `tokenizers` does with them.

For each configuration below it writes NAME.json (a tokenizer.json) and NAME.jsonl (cases; fields in
tests/golden/tokenizers/cases.h). The tests read them; nothing else needs Python.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf
    scripts/golden/make_tokenizers.py tests/golden/tokenizers
"""

import json
import os
import random
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers import decoders as D
from tokenizers import models as M
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P
from tokenizers import processors as R
from tokenizers import trainers as TR

TRAIN = """The quick brown fox jumps over the lazy dog, and the dog does not mind. It's what we'll
do; they've said so. In 2024 there were 1234567 of them, 3.14 each. Über den Wolken muß die Freiheit
wohl grenzenlos sein. L'été dernier, à Nîmes, le café était fermé. Привет, мир! Это тест. Γειά σου
Κόσμε. 你好,世界。今天天气很好。こんにちは世界、カタカナ。안녕하세요 세계. مرحبا بالعالم. שלום עולם. नमस्ते दुनिया
int main(void) { return printf("%d\\n", x->y[i] + 0x1F); } def f(self, *args): return {k: v for k in a}
if (a == b && c != d) { i++; }  /* comment */ // another  <html><body class="x">text</body></html>
the then there these those this that thing things think thought through the the and and of of to to in
is was are were be been being have has had do does did will would can could may might must shall should
""".split("\n")

TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", " \n ", "a", "Hello, world!", "  leading and trailing  ",
    "It's what they'd've said: WE'LL SEE, you're I'm", "1234567890 3.14 1e10 ½ Ⅳ ² ٣٤٥ 12",
    "int main(void)\n{\n\treturn x->y[i] + 0x1F;  // comment\n}\r\n", "def f(self, *a):\n    return {k: v}\n",
    "naïve café Ångström — “quotes” … ‘single’", "e\u0301 a\u0308\u0323 q\u0307\u0323 \u0301alone ﬁ ﬂ Ⅷ ㌔ ①",
    "İstanbul ẞ ſ Σίσυφος ΟΔΟΣ ǅ", "你好,世界。今天天氣很好!「引用」", "カタカナ ひらがな ｶﾞ ﾊﾟ ー 漢字", "한국어 텍스트 각 힣 ㄱㅏ ᄀᆞ",
    "مرحبا بالعالم ٱلسَّلَام", "שלום עוֹלָם", "नमस्ते दुनिया क्षि", "สวัสดีชาวโลก", "ไม่มีช่องว่าง",
    "😀😃 👨‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪🇫🇷 ☃️ 1️⃣", "𝕳𝖊𝖑𝖑𝖔 𐍈 𠜎𠜱 🜁 \U000e0041", "a\u200bb\u200dc\ufeffd\u2060e\u00adf",
    "x\u00a0y\u3000z\u2003w\u1680v\u2028u\u2029t\u0085s\u180er", "\u0001\u0007\u007f\u009f\ufffd\uffff\ue000",
    "<s>text</s> <unk> [CLS] [SEP] <|endoftext|> <0x41>", "Say <|im_start|>user\nhi<|im_end|> now", "##ing ▁word Ġtoken",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    " " * 70 + "x", "\n" * 70, "ab" * 60, "=" * 90, "😀" * 30, "\u0301" * 40, "the" * 40,
    "line\r\nline\n\n\nline\r\r \t x", "ied 4 ½ months", "Führer", "a.b,c;d:e!f?g", "--- *** ___ @@@ ###", "C++ C# F# a_b a-b",
    "http://example.com/a?b=c&d=%20#frag user@example.org", "\\n \\t \\u00e9 \\\\", "ΑΒΓ абв АБВ ÀÈ",
]

HARD = TEXTS
SHORT = TEXTS[:34] + TEXTS[35:36] + TEXTS[43:]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KIMI = (
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = {"<0x%02X>" % b: b + 1 for b in range(256)}


def byte_model():
    """Every byte a token: ids show the normalized text."""
    return Tokenizer(M.BPE(vocab={"<unk>": 0, **BYTES}, merges=[], unk_token="<unk>", byte_fallback=True))


def piece_model():
    """Every character a token, other ids at the start of a word: ids show where words begin."""
    chars = sorted(set("".join(TEXTS + TRAIN)) - {"\n"} | {"\n", "▁"})
    vocab = {"[UNK]": 0}
    for c in chars:
        vocab[c] = len(vocab)
    for c in chars:
        vocab["##" + c] = len(vocab)
    return Tokenizer(M.WordPiece(vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=200))


def train(tok, trainer):
    tok.train_from_iterator(TRAIN, trainer)
    return tok


def byte_bpe(pre, specials=(), size=480, **kw):
    tok = Tokenizer(M.BPE(**kw))
    tok.pre_tokenizer = pre
    tok.decoder = D.ByteLevel()
    return train(tok, TR.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=list(specials),
                                    initial_alphabet=P.ByteLevel.alphabet()))


def spm_bpe(size=420, **kw):
    """SentencePiece-like BPE with byte fallback, trained on whole lines cut before each ▁."""
    trained = Tokenizer(M.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = P.Metaspace()
    train(trained, TR.BpeTrainer(vocab_size=size, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for t in list(BYTES) + list(model["vocab"]):
        vocab.setdefault(t, len(vocab))
    return Tokenizer(M.BPE(vocab=vocab, merges=[tuple(m) for m in model["merges"]], unk_token="<unk>", fuse_unk=True,
                           byte_fallback=True, **kw))


def unigram(size=300, byte_fallback=False, pre=None, normalizer=None):
    tok = Tokenizer(M.Unigram())
    tok.pre_tokenizer = pre or P.Metaspace()
    if normalizer is not None:
        tok.normalizer = normalizer
    train(tok, TR.UnigramTrainer(vocab_size=size, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"],
                                 unk_token="<unk>"))
    if byte_fallback:
        model = json.loads(tok.to_str())["model"]
        vocab = [tuple(v) for v in model["vocab"]] + [(b, -30.0) for b in BYTES]
        tok.model = M.Unigram(vocab, model["unk_id"], True)
    return tok


def wordpiece(size=320, **bert):
    tok = Tokenizer(M.WordPiece(unk_token="[UNK]"))
    tok.normalizer = N.BertNormalizer(**bert)
    tok.pre_tokenizer = P.BertPreTokenizer()
    tok.decoder = D.WordPiece()
    return train(tok, TR.WordPieceTrainer(vocab_size=size, show_progress=False,
                                          special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))


def charsmap():
    """A small SentencePiece character map, compiled by SentencePiece itself."""
    rules = [("A", "a"), ("É", "e"), ("e\u0301", "é"), ("ﬁ", "fi"), ("①", "1"), ("\u3000", " "), ("\t", " "),
             ("ｶ", "カ"), ("ｶﾞ", "ガ"), ("…", "..."), ("\u200b", ""), ("👍🏽", "+"), ("漢", "汉"), ("a\u0308\u0323", "ạ̈")]
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/rules.tsv", "w") as f:
            for a, b in rules:
                f.write("%s\t%s\n" % (" ".join("%X" % ord(c) for c in a), " ".join("%X" % ord(c) for c in b)))
        with open(d + "/text", "w") as f:
            f.write("\n".join(TRAIN))
        sentencepiece.SentencePieceTrainer.Train(
            input=d + "/text", model_prefix=d + "/m", vocab_size=200, normalization_rule_tsv=d + "/rules.tsv",
            minloglevel=2, hard_vocab_limit=False)
        m = sentencepiece_model_pb2.ModelProto()
        with open(d + "/m.model", "rb") as f:
            m.ParseFromString(f.read())
    return m.normalizer_spec.precompiled_charsmap


def with_bytes(**parts):
    return assemble(byte_model(), **parts)


def with_pieces(pre):
    return assemble(piece_model(), pre=pre)


def assemble(tok, normalizer=None, pre=None, decoder=None, post=None, special=(), added=()):
    if normalizer is not None:
        tok.normalizer = normalizer
    if pre is not None:
        tok.pre_tokenizer = pre
    if decoder is not None:
        tok.decoder = decoder
    if special:
        tok.add_special_tokens(list(special))
    if added:
        tok.add_tokens(list(added))
    if post is not None:
        tok.post_processor = post(tok) if callable(post) and not hasattr(post, "process") else post
    return tok


def bos(token, after=None):
    def make(tok):
        single = token + " $A" + (" " + after if after else "")
        names = [token] + ([after] if after else [])
        return R.TemplateProcessing(single=single, pair=single + " $B", special_tokens=[(t, tok.token_to_id(t)) for t in names])

    return make


def models():
    gpt2 = P.ByteLevel(add_prefix_space=False)
    chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    yield "gpt2", assemble(byte_bpe(gpt2, ["<|endoftext|>"]), post=R.ByteLevel(trim_offsets=False)), HARD
    yield "roberta", assemble(
        byte_bpe(P.ByteLevel(add_prefix_space=True), ["<s>", "</s>", "<unk>"]), post=R.RobertaProcessing(("</s>", 1), ("<s>", 0)),
        special=[AddedToken("<mask>", lstrip=True, special=True)]), HARD
    split = P.Sequence([P.Split(Regex(LLAMA3), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield "llama3", assemble(byte_bpe(split, ignore_merges=True), special=["<s>"] + chat,
                             post=lambda t: R.Sequence([R.ByteLevel(), bos("<s>")(t)])), HARD
    qwen = P.Sequence([P.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield "qwen2", assemble(byte_bpe(qwen), normalizer=N.NFC(), special=chat, added=[AddedToken("<think>", normalized=False)]), HARD
    for name, pattern in (("o200k", O200K), ("kimi", KIMI)):
        pre = P.Sequence([P.Split(Regex(pattern), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])
        yield name, byte_bpe(pre, size=400), HARD
    deepseek = P.Sequence([
        P.Split(Regex(r"\p{N}{1,3}"), "isolated"), P.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        P.Split(Regex("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                      "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"), "isolated"),
        P.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield "deepseek", byte_bpe(deepseek, size=400), HARD
    llama_decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    yield "llama2", assemble(
        spm_bpe(), normalizer=N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), decoder=llama_decoder, post=bos("<s>"),
        special=["<s>", "</s>", AddedToken("<unk>", normalized=True, special=True)], added=["<pad>"]), HARD
    yield "llama2_first", assemble(spm_bpe(), pre=P.Metaspace(prepend_scheme="first", split=False), decoder=llama_decoder,
                                   special=["<s>", "</s>"], post=bos("<s>", "</s>")), HARD
    yield "gemma", assemble(spm_bpe(), normalizer=N.Replace(" ", "▁"), pre=P.Split(" ", "merged_with_previous"),
                            decoder=D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()]), added=["\n\n", "▁▁▁"]), HARD
    old = Tokenizer(M.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    old.normalizer, old.pre_tokenizer, old.decoder = N.Sequence([N.NFC(), N.Lowercase()]), P.BertPreTokenizer(), D.BPEDecoder()
    yield "openai_gpt", train(old, TR.BpeTrainer(vocab_size=300, show_progress=False, special_tokens=["<unk>"],
                                                 end_of_word_suffix="</w>")), HARD
    for fuse in (False, True):
        pre = Tokenizer(M.BPE(unk_token="<unk>", continuing_subword_prefix="##", fuse_unk=fuse))
        pre.pre_tokenizer = P.Whitespace()
        yield "bpe_prefix_fuse%d" % fuse, train(pre, TR.BpeTrainer(
            vocab_size=260, show_progress=False, special_tokens=["<unk>"], continuing_subword_prefix="##", limit_alphabet=40)), SHORT
    bare = Tokenizer(M.BPE())
    bare.pre_tokenizer = P.WhitespaceSplit()
    yield "bpe_no_unk", train(bare, TR.BpeTrainer(vocab_size=200, show_progress=False, limit_alphabet=30)), SHORT
    yield "t5", assemble(unigram(pre=P.Sequence([P.WhitespaceSplit(), P.Metaspace()])), decoder=D.Metaspace(),
                         post=bos("<pad>", "</s>")), HARD
    yield "unigram_bytes", assemble(unigram(byte_fallback=True, normalizer=N.NFKC()), decoder=D.Sequence([D.ByteFallback(), D.Metaspace()])), HARD
    yield "unigram_nmt", unigram(normalizer=N.Sequence([N.Nmt(), N.NFKC(), N.Lowercase()]), pre=P.Metaspace(prepend_scheme="never")), SHORT
    yield "bert_uncased", assemble(wordpiece(), post=R.BertProcessing(("[SEP]", 3), ("[CLS]", 2))), HARD
    cased = wordpiece(lowercase=False, handle_chinese_chars=False, clean_text=False, strip_accents=False)
    yield "bert_cased", assemble(cased, decoder=D.WordPiece(cleanup=False), post=bos("[CLS]", "[SEP]")), HARD
    yield "bert_accents", wordpiece(strip_accents=True, lowercase=False), SHORT
    level = Tokenizer(M.WordLevel(unk_token="<unk>"))
    level.pre_tokenizer = P.Whitespace()
    yield "wordlevel", train(level, TR.WordLevelTrainer(vocab_size=150, show_progress=False, special_tokens=["<unk>"])), SHORT
    every = [AddedToken("[L]", lstrip=True, normalized=False), AddedToken("[R]", rstrip=True, normalized=False),
             AddedToken("[LR]", lstrip=True, rstrip=True, normalized=False), AddedToken("word", single_word=True),
             AddedToken("Café", normalized=True), AddedToken("[L][R]", normalized=False), AddedToken("dog", normalized=True, rstrip=True)]
    texts = ["a [L] b [R] c [LR] d", "[L][R][LR]", "[L] [R]  [LR]   x", "a\n [L]\t\u3000[R]\n\nb", "word words word. sword _word wordé",
             "CAFÉ café cafe\u0301 Cafe", "dog  dogs DOG x", "[L][L] [R][R]", " [R] [R] ", "[l] [LR[L]", "word", "x[L]word[R]", "<s>dog</s>"]
    yield "added", assemble(byte_bpe(gpt2, size=300), normalizer=N.Sequence([N.NFC(), N.Lowercase()]), added=every, special=["<s>", "</s>"]), texts
    yield "added_bert", assemble(wordpiece(), added=every), texts


def normalizers():
    decoder = D.Sequence([D.ByteFallback(), D.Fuse()])
    table = {
        "nfd": N.NFD(), "nfkc": N.NFKC(), "nfkd": N.NFKD(), "strip_accents": N.Sequence([N.NFD(), N.StripAccents()]),
        "strip": N.Strip(), "lstrip": N.Strip(True, False), "rstrip": N.Strip(False, True), "lowercase": N.Lowercase(), "nmt": N.Nmt(),
        "replace": N.Sequence([N.Replace("the", "THE"), N.Replace(Regex(r"\s+"), " "), N.Replace(Regex(r"\d"), "#"), N.Replace(Regex("x*"), "-")]),
        "prepend": N.Sequence([N.Prepend("»"), N.ByteLevel()]), "charsmap": N.Precompiled(charsmap()),
    }
    for name, n in table.items():
        yield "norm_" + name, with_bytes(normalizer=n, decoder=decoder), SHORT


def pre_tokenizers():
    behaviors = ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
    for b in behaviors:
        yield "split_" + b, with_pieces(P.Split("e", b)), SHORT[:30]
        yield "split_regex_" + b, with_pieces(P.Split(Regex(r"\w+|[^\w\s]+"), b, invert=b != "contiguous")), SHORT[:30]
        yield "punct_" + b, with_pieces(P.Punctuation(b)), SHORT[:30]
    yield "pre_digits", with_pieces(P.Digits(individual_digits=True)), SHORT[:30]
    yield "pre_digits_run", with_pieces(P.Sequence([P.WhitespaceSplit(), P.Digits(individual_digits=False)])), SHORT[:30]
    yield "pre_char", with_pieces(P.CharDelimiterSplit(" ")), SHORT[:30]
    yield "pre_fixed", with_pieces(P.FixedLength(length=4)), SHORT[:30]
    yield "pre_empty", with_pieces(P.Split(Regex("x*"), "isolated")), SHORT[:20]
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            tok = assemble(piece_model(), pre=P.Metaspace(prepend_scheme=scheme, split=cut), special=["<s>"], normalizer=N.Strip(True, False))
            yield "meta_%s_%d" % (scheme, cut), tok, ["a b  c", " a", "<s>a b<s> c", "x <s>", "", " ", "▁a ▁", "a\tb c"]


def decoders():
    """Decoding only: ids drawn at random."""
    words = ["▁Hello", "▁", "world", "▁▁", "<0xE2>", "<0x82>", "<0xAC>", "<0x20>", "<0xFF>", "##ing", "</w>", "a</w>", "n't", ".", "'s",
             "do", "not", "|", "<pad>", "Ġthe", "â", "Ĥ", "¬", "é", "x y", " ", "  ", "€", "aab", "a", "ab", "<0x+1>", "<0xe9>", "don"]
    table = {
        "none": None, "byte_level": D.ByteLevel(), "fuse": D.Fuse(), "byte_fallback": D.ByteFallback(), "metaspace": D.Metaspace(),
        "metaspace_never": D.Metaspace(prepend_scheme="never"), "wordpiece": D.WordPiece(), "wordpiece_raw": D.WordPiece("##", False),
        "bpe": D.BPEDecoder(), "ctc": D.CTC(), "ctc_raw": D.CTC(cleanup=False), "strip": D.Strip(" ", 1, 0), "replace": D.Replace("▁", " "),
        "replace_regex": D.Replace(Regex("a+"), "<$>"),
        "llama": D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]),
        "fuse_replace": D.Sequence([D.Fuse(), D.Replace("aab", "[]"), D.Replace("▁▁", "_")]),
        "fuse_regex": D.Sequence([D.Fuse(), D.Replace(Regex("a+b?"), "[]")]),
        "fuse_metaspace": D.Sequence([D.ByteFallback(), D.Fuse(), D.Metaspace(prepend_scheme="never")]),
        "fuse_strip": D.Sequence([D.ByteLevel(), D.Strip("a", 2, 0)]),
        "fuse_bpe": D.Sequence([D.Fuse(), D.BPEDecoder("</w>")]),
        "fuse_wordpiece": D.Sequence([D.Fuse(), D.WordPiece()]),
        "bytes_then_fallback": D.Sequence([D.ByteLevel(), D.ByteFallback()]),
        "wordpiece_fuse": D.Sequence([D.WordPiece(), D.Fuse(), D.Replace(" ", "_")]),
    }
    for name, d in table.items():
        tok = Tokenizer(M.WordLevel({w: i for i, w in enumerate(words)}, unk_token="."))
        if d is not None:
            tok.decoder = d
        tok.add_special_tokens(["<s>"])
        yield "dec_" + name, tok, len(words) + 1


def write(folder, name, tok, cases):
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
        f.write(json.dumps(json.loads(tok.to_str(pretty=False)), ensure_ascii=False, separators=(",", ":")) + "\n")
    with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as f:
        for c in cases:
            f.write(json.dumps(c, ensure_ascii=False, separators=(",", ":")) + "\n")


def encoded(tok, texts):
    for i, text in enumerate(texts):
        special = i % 2 == 1
        ids = tok.encode(text, add_special_tokens=special).ids
        case = {"text": text, "ids": ids, "add_special_tokens": special}
        try:
            case["decoded"] = tok.decode(ids, skip_special_tokens=False)
            if i % 3 == 0:
                case["decoded_skip"] = tok.decode(ids, skip_special_tokens=True)
        except BaseException:  # BPEDecoder panics on an empty list
            pass
        yield case


def decoded(tok, n_ids, rng):
    for length in [0, 1, 1, 2, 3] + [rng.randrange(2, 12) for _ in range(25)]:
        ids = [rng.randrange(n_ids) for _ in range(length)]
        try:
            yield {"ids": ids, "decoded": tok.decode(ids, skip_special_tokens=False),
                   "decoded_skip": tok.decode(ids, skip_special_tokens=True)}
        except BaseException:
            pass


def main():
    folder = sys.argv[1]
    for kind in (models, normalizers, pre_tokenizers):
        for name, tok, texts in kind():
            write(folder, name, tok, encoded(tok, texts))
    rng = random.Random(20240501)
    for name, tok, n_ids in decoders():
        write(folder, name, tok, decoded(tok, n_ids, rng))


main()
