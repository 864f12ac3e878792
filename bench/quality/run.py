#!/usr/bin/env python3
"""Scores a served model through the OpenAI API: exact match per skill, perplexity on held-out text.

usage: run.py [--url http://127.0.0.1:8000/v1] [--model pagoda-tiny] [--out scores.json]
Standard library only. Answers come from /chat/completions at temperature 0; perplexity from
/completions with echo and logprobs.
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import sys
import urllib.error
import urllib.request

import score

HERE = pathlib.Path(__file__).resolve().parent


class Client:
    """Posts JSON to an OpenAI-compatible server."""

    def __init__(self, url, key, timeout):
        self.url, self.key, self.timeout = url.rstrip("/"), key, timeout

    def post(self, path, body):
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as problem:
            raise SystemExit(f"{path}: HTTP {problem.code}: {problem.read().decode(errors='replace')[:500]}")


def answer(client, model, question):
    """(is correct, text) for one question."""
    body = {"model": model, "messages": question["messages"], "temperature": 0,
            "max_tokens": 400 if question["kind"] == "story" else 160}
    if question.get("tools"):
        body["tools"] = question["tools"]
    choice = client.post("/chat/completions", body)["choices"][0]
    finished = choice["finish_reason"] in ("stop", "tool_calls")
    return score.correct(question, choice["message"], finished), choice["message"]


def log_likelihood(client, model, text):
    """(sum of log probabilities, number of tokens) of a text; its first token has none."""
    body = {"model": model, "prompt": text, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0}
    logprobs = client.post("/completions", body)["choices"][0]["logprobs"]
    values = [value for value in logprobs["token_logprobs"][:-1] if value is not None]
    return sum(values), len(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--model", default="pagoda-tiny")
    parser.add_argument("--api-key", default=os.environ.get("OPENAI_API_KEY", ""))
    parser.add_argument("--skills", help="comma-separated, default all")
    parser.add_argument("--limit", type=int, default=0, help="questions per skill, default all")
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--no-perplexity", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, help="where to write the scores as JSON")
    parser.add_argument("--wrong", type=pathlib.Path, help="where to write wrong answers, JSON lines")
    args = parser.parse_args()
    client = Client(args.url, args.api_key, args.timeout)
    wanted = set(args.skills.split(",")) if args.skills else None
    chosen, taken = [], {}
    for line in open(HERE / "questions.jsonl", encoding="utf-8"):
        question = json.loads(line)
        taken[question["skill"]] = taken.get(question["skill"], 0) + 1
        if (not wanted or question["skill"] in wanted) and (not args.limit or taken[question["skill"]] <= args.limit):
            chosen.append(question)
    results, wrong = {}, []
    with concurrent.futures.ThreadPoolExecutor(args.parallel) as pool:
        for question, (good, message) in zip(chosen, pool.map(lambda q: answer(client, args.model, q), chosen)):
            results.setdefault(question["skill"], []).append(good)
            if not good:
                wrong.append({"skill": question["skill"], "asked": question["messages"][-1].get("content"),
                              "expect": question["expect"], "got": message})
    report = {"model": args.model, "scores": score.table(results)}
    if not args.no_perplexity:
        texts = [json.loads(line)["text"] for line in open(HERE / "heldout.jsonl", encoding="utf-8")]
        with concurrent.futures.ThreadPoolExecutor(args.parallel) as pool:
            sums = list(pool.map(lambda t: log_likelihood(client, args.model, t), texts))
        report["perplexity"] = round(math.exp(-sum(s for s, _ in sums) / sum(n for _, n in sums)), 3)
    print(score.show(report["scores"]))
    if "perplexity" in report:
        print(f"\nperplexity on held-out text: {report['perplexity']}")
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + "\n")
    if args.wrong:
        args.wrong.write_text("".join(json.dumps(w, ensure_ascii=False) + "\n" for w in wrong))


if __name__ == "__main__":
    sys.exit(main())
