"""Scores a model folder with transformers on this machine, with the questions of bench/quality.

For the training machine, where no server runs; bench/quality/run.py does the same through the API.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent
QUALITY = HERE.parent.parent / "bench" / "quality"
sys.path.insert(0, str(QUALITY))
import score  # noqa: E402


@torch.no_grad()
def answers(model, tokenizer, questions, device, batch=512):
    """Yields (question, text, finished), greedily, in batches of like length."""
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    rows = []
    for question in questions:
        text = tokenizer.apply_chat_template(question["messages"], tools=question.get("tools"), tokenize=False,
                                             add_generation_prompt=True)
        rows.append((tokenizer.encode(text, add_special_tokens=False), question))
    rows.sort(key=lambda row: (row[1]["kind"] == "story", len(row[0])))
    for at in range(0, len(rows), batch):
        part = rows[at : at + batch]
        width = max(len(ids) for ids, _ in part)
        tokens = torch.full((len(part), width), stop, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for i, (ids, _) in enumerate(part):
            tokens[i, width - len(ids):] = torch.tensor(ids)
            mask[i, width - len(ids):] = 1
        limit = 400 if any(q["kind"] == "story" for _, q in part) else 160
        out = model.generate(input_ids=tokens.to(device), attention_mask=mask.to(device), max_new_tokens=limit,
                             do_sample=False, temperature=None, top_p=None, top_k=None, eos_token_id=stop,
                             pad_token_id=stop)
        for (_, question), row in zip(part, out[:, width:].tolist()):
            finished = stop in row
            row = row[: row.index(stop)] if finished else row
            yield question, tokenizer.decode(row, skip_special_tokens=True), finished


@torch.no_grad()
def perplexity(model, tokenizer, texts, device):
    """exp of the mean negative log likelihood over all tokens but each text's first."""
    total, count = 0.0, 0
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)], device=device)
        logits = model(ids).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return math.exp(total / count)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=0, help="questions per skill, default all")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--wrong", type=pathlib.Path)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began = time.time()
    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(args.folder, dtype=dtype).to(device).eval()
    questions, taken = [], {}
    for line in open(QUALITY / "questions.jsonl", encoding="utf-8"):
        question = json.loads(line)
        taken[question["skill"]] = taken.get(question["skill"], 0) + 1
        if not args.limit or taken[question["skill"]] <= args.limit:
            questions.append(question)
    results, wrong = {}, []
    for question, text, finished in answers(model, tokenizer, questions, device):
        good = score.correct(question, {"content": text}, finished)
        results.setdefault(question["skill"], []).append(good)
        if not good or question["kind"] == "story":
            wrong.append({"skill": question["skill"], "asked": question["messages"][-1]["content"][-400:],
                          "expect": question["expect"], "got": text})
    texts = [json.loads(line)["text"] for line in open(QUALITY / "heldout.jsonl", encoding="utf-8")]
    report = {"model": args.folder.name, "scores": score.table(results),
              "perplexity": round(perplexity(model, tokenizer, texts, device), 3)}
    print(score.show(report["scores"]))
    print(f"\nperplexity on held-out text: {report['perplexity']}   ({time.time() - began:.0f} s, {device})")
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + "\n")
    if args.wrong:
        args.wrong.write_text("".join(json.dumps(w, ensure_ascii=False) + "\n" for w in wrong))


if __name__ == "__main__":
    main()
