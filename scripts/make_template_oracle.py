#!/usr/bin/env python3
"""Writes tests/data/templates/{snippets,chats}.json: what transformers' own chat template code
renders, or that it fails, for many small templates and for whole ones in the styles of well-known
model families over a set of conversations. Run from the root of the sources:

    python3 scripts/make_template_oracle.py [MODEL.gguf]

The committed files: transformers 5.23.0, jinja2 3.1.6, Python 3.11, and the template of
SmolLM2-135M-Instruct. Snippets are scripts/template_snippets.txt, separated by lines of "----";
whole templates are tests/data/templates/*.jinja."""
import datetime
import glob
import importlib.metadata
import json
import os
import re
import sys
import time

os.environ["TZ"] = "UTC"
time.tzset()

import jinja2
from transformers.utils import chat_template_utils

FOLDER = "tests/data/templates"
NOW = 1732276800 + 45296  # 2024-11-22, Friday, 24:34:56 less 12 hours


class FixedDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, tz)


chat_template_utils.datetime = FixedDatetime

VARIABLES = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi <b>there</b> & \"you\""},
        {"role": "assistant", "content": "Héllo wörld ✓ 😀"},
    ],
    "bos_token": "<s>",
    "eos_token": "</s>",
    "n": 7,
    "x": 2.5,
    "word": "straße ΌΣΟΣ ǆ",
    "text": "  one two  three\nfour\t five  ",
    "items": [3, 1, 2],
    "empty": [],
    "nothing": None,
    "flag": True,
    "person": {"name": "Ann", "age": 30, "tags": ["a", "b"], "home": {"city": "Oslo"}},
    "people": [
        {"name": "bob", "age": 20, "on": True, "city": "X"},
        {"name": "Ann", "age": 30, "on": False, "city": "y"},
        {"name": "cid", "age": 20, "on": True},
    ],
    "mixed": [1, 2.0, "3", None, True, [1, 'it\'s "q"'], {"k": "v\n"}],
}


def render(template, variables):
    """As PreTrainedTokenizerBase.apply_chat_template, from the variables on."""
    variables = dict(variables)
    messages = [
        {k: v for k, v in message.items() if v is not None}
        for message in variables.pop("messages", [])
    ]
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            conversations=[messages],
            chat_template=template,
            tools=variables.pop("tools", None),
            documents=variables.pop("documents", None),
            add_generation_prompt=variables.pop("add_generation_prompt", False),
            **variables,
        )
        rendered[0].encode()
        return {"text": rendered[0]}
    except Exception as e:
        # The words of raise_exception must come through; other messages are Python's own.
        raised = type(e) is jinja2.exceptions.TemplateError
        return {"error": str(e) if raised else type(e).__name__, "raised": raised}


def tool(name, description, properties, required):
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": properties, "required": required},
        },
    }


TOOLS = [
    tool("get_weather", "Weather in a city",
         {"city": {"type": "string", "description": "Name <of> the \"city\""},
          "unit": {"type": "string", "enum": ["C", "F"]}}, ["city"]),
    tool("add", "Adds", {"a": {"type": "number"}, "b": {"type": "number"}}, ["a", "b"]),
]

CALL = {"type": "function", "id": "call00001",
        "function": {"name": "get_weather", "arguments": {"city": "Zürich", "unit": "C"}}}

CONVERSATIONS = {
    "one": [{"role": "user", "content": "Hello!"}],
    "system": [
        {"role": "system", "content": "  You are a pirate.\n"},
        {"role": "user", "content": " Who\nare you? "},
    ],
    "turns": [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And 3+3? <|im_end|> [INST]"},
        {"role": "assistant", "content": "6  "},
        {"role": "user", "content": "日本語で 😀"},
    ],
    "thinking": [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "<think>\nhmm\n</think>\n\nBecause."},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "reasoning_content": "Think again.", "content": "Yes."},
    ],
    "tools": [
        {"role": "system", "content": "Use tools."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "call00001",
         "content": "{\"t\": 3.5}"},
        {"role": "assistant", "content": "It is 3.5 °C."},
        {"role": "user", "content": "Thanks"},
    ],
    "parts": [
        {"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image"},
                                     {"type": "text", "text": "what is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "A cat"}]},
    ],
    "text_parts": [
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "text", "text": "One "},
                                     {"type": "text", "text": " two"}]},
    ],
    "calls": [
        {"role": "user", "content": "Weather, and a sum?"},
        {"role": "assistant", "content": "", "tool_calls": [
            CALL,
            {"type": "function", "id": "call00002",
             "function": {"name": "add", "arguments": {"a": 1.5, "b": [1, {"x": None}],
                                                       "c": "q\"'<>&"}}}]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "1"},
        {"role": "tool", "name": "add", "tool_call_id": "call00002", "content": "{\"sum\": 2}"},
    ],
    "modes": [
        {"role": "system", "content": "Short. /no_think"},
        {"role": "user", "content": "Go /think"},
        {"role": "assistant", "content": "<think>\nhmm\n</think>\n\nGone."},
    ],
    "wrong_order": [
        {"role": "assistant", "content": "I begin"},
        {"role": "assistant", "content": "and go on"},
    ],
    "unknown_role": [{"role": "wizard", "content": "Abracadabra"}],
}


DOCUMENTS = [{"title": "T <1>", "text": "Doc one"},
             {"title": "U", "text": "two\nlines", "doc_id": 3}]

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

# Sets of variables besides the messages, each for templates in which its name occurs.
EXTRAS = {
    "": {},
    "add_generation_prompt": {"add_generation_prompt": True},
    "tools": {"add_generation_prompt": True, "tools": TOOLS},
    "enable_thinking": {"add_generation_prompt": True, "enable_thinking": False},
    "documents": {"add_generation_prompt": True, "documents": DOCUMENTS},
    "controls": {"add_generation_prompt": True, "documents": DOCUMENTS, "thinking": True,
                 "available_tools": TOOLS[1:], "controls": {"citations": True, "length": "long"}},
    "python_tools": {"python_tools": TOOLS[:1]},
    "builtin_tools": {"builtin_tools": ["get_weather"], "date_string": "1 May 2025",
                      "tools_in_user_message": False, "tools": TOOLS[:1]},
    "safety_mode": {"safety_mode": "STRICT", "documents": DOCUMENTS, "tools": TOOLS},
    "citation_mode": {"citation_mode": "accurate", "documents": DOCUMENTS},
}


def write(name, data):
    with open(f"{FOLDER}/{name}.json", "w", encoding="utf-8") as f:
        json.dump(data, f, ensure_ascii=False, indent=0, separators=(",", ":"))
        f.write("\n")


def main():
    if len(sys.argv) > 1:
        import gguf
        field = gguf.GGUFReader(sys.argv[1]).fields["tokenizer.chat_template"]
        with open(f"{FOLDER}/smollm2.jinja", "w", encoding="utf-8", newline="") as f:
            f.write(bytes(field.parts[field.data[0]]).decode())
    origin = {p: importlib.metadata.version(p) for p in ("transformers", "jinja2")}

    with open("scripts/template_snippets.txt", encoding="utf-8", newline="") as f:
        snippets = f.read().split("\n----\n")
    snippets[-1] = snippets[-1].removesuffix("\n")
    # Line ends that a text file does not keep.
    snippets += ["a\r\nb\rc\r\n", "{{ 'a\r\nb' }}\r\n\r\n", "x\n", "x\n\n", ""]
    cases = [{"template": s, **render(s, VARIABLES)} for s in snippets]
    # One that fails hides the others of its line: those are tried one by one.
    for case in [c for c in cases if "error" in c and "{%" not in c["template"]]:
        parts = re.split(r"(?<=\}\})[ |]+(?=\{\{)", case["template"])
        if len(parts) > 1:
            cases += [{"template": s, **render(s, VARIABLES)} for s in parts]
    write("snippets", {"origin": origin, "now": NOW, "variables": VARIABLES, "cases": cases})

    cases = []
    for path in sorted(glob.glob(f"{FOLDER}/*.jinja")):
        with open(path, encoding="utf-8", newline="") as f:
            template = f.read()
        for name, messages in CONVERSATIONS.items():
            seen = []  # what changes nothing is left out
            for extra in [word for word in EXTRAS if word in template]:
                out = render(template, {"messages": messages, **TOKENS, **EXTRAS[extra]})
                if out not in seen:
                    cases.append({"template": os.path.basename(path), "conversation": name,
                                  "extra": extra, **out})
                seen.append(out)
    write("chats", {"origin": origin, "now": NOW, "conversations": CONVERSATIONS,
                    "variables": TOKENS, "extras": EXTRAS, "cases": cases})
    failed = sum("error" in c for c in cases)
    print(f"{len(snippets)} snippets, {len(cases)} chats ({failed} of them fail)")


main()
