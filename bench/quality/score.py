"""Scores one answer against what was expected. Standard library only; used by every runner."""

import json
import re

CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.S)


def calls_in_text(text):
    """[(name, arguments)] of the Hermes calls in a text; None when one of them is broken."""
    calls = []
    for body in CALL.findall(text):
        try:
            call = json.loads(body)
            calls.append((call["name"], call["arguments"]))
        except (ValueError, KeyError, TypeError):
            return None
    return calls


def calls_in_message(message):
    """The calls of an API message, whether the server parsed them or left them in the text."""
    if message.get("tool_calls"):
        try:
            return [(c["function"]["name"], json.loads(c["function"]["arguments"]))
                    for c in message["tool_calls"]]
        except ValueError:
            return None
    return calls_in_text(message.get("content") or "")


def is_story(text):
    """Five sentences or more, none of them twice, and an end."""
    sentences = [s.strip() for s in re.split(r"(?<=[.!?])\s+", text.strip()) if s.strip()]
    return len(sentences) >= 5 and len(set(sentences)) == len(sentences) and text.strip()[-1:] in '.!?"'


def correct(question, message, finished):
    """True when the answer counts. message: {"content", "tool_calls"?}; finished: it ended its turn."""
    text = (message.get("content") or "").strip()
    if not finished:
        return False
    if question["kind"] == "story":
        return is_story(text)
    if question["kind"] == "json":
        try:
            return json.loads(text) == question["expect"]
        except ValueError:
            return False
    if question["kind"] == "calls":
        return calls_in_message(message) == [tuple(c) for c in question["expect"]]
    return text == question["expect"].strip()


def table(results):
    """{skill: [bool]} -> {skill: {"correct", "of", "share"}} in the order of the skills' names."""
    return {skill: {"correct": sum(marks), "of": len(marks), "share": round(sum(marks) / len(marks), 4)}
            for skill, marks in sorted(results.items())}


def show(scores):
    """The table as Markdown."""
    lines = ["| skill | correct | of | share |", "|---|---|---|---|"]
    for skill, s in scores.items():
        lines.append(f"| {skill} | {s['correct']} | {s['of']} | {100 * s['share']:.1f} % |")
    return "\n".join(lines)
