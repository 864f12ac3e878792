"""Renders conversations as text: the fast Python twin of chat_template.jinja.

A conversation is a list of messages as in the OpenAI API. `render` returns segments of text, each
marked as the assistant's own words or not, so that training can weigh them differently.
test_recipe.py holds the two renderings equal.
"""

from skills.chatlib import dumps

TOOL_TAIL = ('</tools>\nTo call a tool, answer with <tool_call>{"name": ..., "arguments": {...}}'
             "</tool_call>.<|im_end|>\n")


def tool_call(name, arguments):
    """The text of one call in Hermes form."""
    return f'<tool_call>{{"name": {dumps(name)}, "arguments": {dumps(arguments)}}}</tool_call>'


def assistant_text(message):
    """Content followed by tool calls, as one string."""
    parts = [message["content"]] if message.get("content") else []
    for call in message.get("tool_calls", ()):
        call = call.get("function", call)
        parts.append(tool_call(call["name"], call["arguments"]))
    return "\n".join(parts)


def render(messages, tools=None, add_generation_prompt=False):
    """Returns [(text, is_assistant)] for a conversation."""
    out, system = [], ""
    if messages and messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    if tools:
        listed = "".join(dumps(tool.get("function", tool)) + "\n" for tool in tools)
        head = system + "\n\n" if system else ""
        out.append((f"<|im_start|>system\n{head}You can call these tools:\n<tools>\n{listed}"
                    + TOOL_TAIL, False))
    elif system:
        out.append((f"<|im_start|>system\n{system}<|im_end|>\n", False))
    for message in messages:
        role = message["role"]
        if role == "assistant":
            out.append(("<|im_start|>assistant\n", False))
            out.append((assistant_text(message) + "<|im_end|>", True))
            out.append(("\n", False))
        elif role == "tool":
            out.append((f"<|im_start|>tool\n<tool_response>{message['content']}</tool_response>"
                        "<|im_end|>\n", False))
        else:
            out.append((f"<|im_start|>{role}\n{message['content']}<|im_end|>\n", False))
    if add_generation_prompt:
        out.append(("<|im_start|>assistant\n", False))
    return out
