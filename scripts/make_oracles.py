#!/usr/bin/env python3
"""Writes tests/data/e2e/*.json: what Hugging Face transformers makes of the default model and of the
two tiny ones, for comparison with our engine. tests/data/README.md describes the files.

usage: make_oracles.py PATH_OF_DEFAULT_MODEL.gguf      (scripts/get-model prints that path)
"""

import json
import pathlib
import sys

import gguf
import torch
from transformers import DynamicCache

import gguf_to_hf

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "tests/data/models"
OUT = ROOT / "tests/data/e2e"

N_TOP = 20       # log-probabilities kept of each distribution
N_EDGE = 8       # positions kept at each end of a prompt
N_GREEDY = 32    # tokens of each continuation

TOLERANCE = {"logprob": 2e-3, "margin": 0.02}

# A case is a name and one of: text, messages, ids.
CHATS = [
    ("chat_capital", [{"role": "user", "content": "What is the capital of France?"}]),
    ("chat_sky", [{"role": "user", "content": "Explain in two sentences why the sky is blue."}]),
    ("chat_planets", [{"role": "user", "content": "Name the planets of the solar system in order."}]),
    ("chat_bonjour", [{"role": "user", "content": "Répondez en français : combien font 12 × 12 ?"}]),
]
CHAT_WITH_SYSTEM = (
    "chat_system",
    [
        {"role": "system", "content": "You answer in one word."},
        {"role": "user", "content": "Is water wet?"},
    ],
)
CHAT_OF_THREE_TURNS = (
    "chat_turns",
    [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "The capital of France is Paris."},
        {"role": "user", "content": "And of Italy?"},
    ],
)
TEXTS = [
    ("text_one_word", "The"),
    ("text_colours", "The three primary colours are red, yellow and"),
    ("text_story", "Once upon a time, in a village at the foot of a mountain, there lived"),
    ("text_digits", "Pi is 3.14159265358979 and e is 2.718281828; 1234567 + 7654321 ="),
    ("text_code", 'def strlen(string: str) -> int:\n    """ Return length of given string """\n    return'),
    ("text_spaces", "  leading,\ttab,\n\n\n  blank lines   and trailing spaces   "),
    ("text_accents", "Der Fluß fließt über Ärger und Öl; el niño comió piñas en São Paulo."),
    ("text_scripts", "日本語のテキスト、한국어 문장, русский текст и ελληνικά"),
    ("text_emoji", "Emoji: 👩‍🚀🚀🎉 and flags 🇫🇷, then plain words again"),
    ("text_json", '{"name": "prefold", "tags": ["batch", "prefix"], "n": 3, "nested": {"a": null}}'),
    ("text_html", "<html>\n  <body>\n    <h1>Prices &amp; dates</h1>\n    <p>From $12.50, 1 May 2024"),
    ("text_question", "Q: A train leaves at 9:45 and arrives at 11:10. How long does it take?\nA:"),
    ("text_repeats", "one two three one two three one two three one two"),
]
# Lengths around powers of two, where blocks and tiles begin and end.
EDGE_LENGTHS = (1, 2, 16, 17, 31, 33, 64, 65, 128, 300)


def few_shot_prompt():
    with open(ROOT / "data/fewshot.jsonl", encoding="utf-8") as file:
        return json.loads(file.readline())["prompt"]


def edge_cases(vocab_size):
    """Prompts of arbitrary normal tokens, given as ids."""
    ids = [260 + (i * i * 31 + 7 * i) % (vocab_size - 260) for i in range(max(EDGE_LENGTHS))]
    return [(f"ids_{n}", ids[:n]) for n in EDGE_LENGTHS]


def top(log_probs):
    """The N_TOP most probable ids, ties by lower id, with their natural logarithms."""
    order = torch.argsort(log_probs, descending=True, stable=True)[:N_TOP]
    return {"ids": order.tolist(), "logprobs": [round(log_probs[i].item(), 5) for i in order]}


def edges(n):
    return [p for p in range(n) if p < N_EDGE or p >= n - N_EDGE]


@torch.no_grad()
def prompt_log_probs(model, ids):
    logits = model(torch.tensor([ids])).logits[0]
    return torch.log_softmax(logits.double(), dim=-1)


@torch.no_grad()
def greedy(model, ids, eos_id):
    """Token ids up to N_GREEDY or the end of turn, and the lead of each over the runner-up."""
    cache = DynamicCache()
    step = torch.tensor([ids])
    tokens, margins = [], []
    while len(tokens) < N_GREEDY and eos_id not in tokens:
        logits = model(step, past_key_values=cache, use_cache=True).logits[0, -1]
        best = torch.topk(torch.log_softmax(logits.double(), dim=-1), 2)
        tokens.append(best.indices[0].item())
        margins.append(round((best.values[0] - best.values[1]).item(), 4))
        step = torch.tensor([tokens[-1:]])
    return {"token_ids": tokens, "margins": margins}


def make_case(model, tokenizer, meta, name, prompt):
    case = {"name": name}
    if isinstance(prompt, list) and isinstance(prompt[0], int):
        ids = prompt
    elif isinstance(prompt, list):
        case["messages"] = prompt
        case["rendered"] = gguf_to_hf.render_chat(meta, prompt)
        ids = tokenizer.encode(case["rendered"])
    else:
        case["text"] = prompt
        bos = [meta["tokenizer.ggml.bos_token_id"]] if meta["tokenizer.ggml.add_bos_token"] else []
        ids = bos + tokenizer.encode(prompt)
    case["prompt_token_ids"] = ids
    log_probs = prompt_log_probs(model, ids)
    case["next_token"] = [{"position": p} | top(log_probs[p]) for p in edges(len(ids))]
    case["greedy"] = greedy(model, ids, meta["tokenizer.ggml.eos_token_id"])
    case["greedy"]["text"] = tokenizer.decode(case["greedy"]["token_ids"])
    return case


def rounding_of_f32(path, cases):
    """Largest difference of the log-probabilities kept here from those of the model in f64."""
    model = gguf_to_hf.load_model(path, torch.float64)
    worst = 0.0
    for case in cases:
        log_probs = prompt_log_probs(model, case["prompt_token_ids"])
        for kept in case["next_token"]:
            exact = log_probs[kept["position"]][kept["ids"]]
            worst = max(worst, (exact - torch.tensor(kept["logprobs"])).abs().max().item())
    return worst


def write_oracle(path, tokenizer_of, prompts_of):
    meta = gguf_to_hf.metadata(gguf.GGUFReader(path))
    tokenizer = tokenizer_of(meta)
    model = gguf_to_hf.load_model(path)
    cases = [make_case(model, tokenizer, meta, *prompt) for prompt in prompts_of(meta)]
    oracle = {
        "schema": "oracle/1",
        "model": path.name,
        "model_sha256": gguf_to_hf.sha256(path),
        "origin": "scripts/make_oracles.py: transformers LlamaForCausalLM in f32, eager attention,"
        " weights dequantised by gguf-py",
        "versions": gguf_to_hf.versions(),
        "tolerance": TOLERANCE,
        "f32_vs_f64_max": float(f"{rounding_of_f32(path, cases):.1e}"),
        "cases": cases,
    }
    out = OUT / (path.stem.split(".")[0].lower().replace("-", "_") + ".json")
    # One case a line: compact, yet a changed case shows as one changed line.
    text = json.dumps(oracle, ensure_ascii=False, separators=(",", ":"))
    out.write_text(text.replace('{"name":"', '\n{"name":"') + "\n", encoding="utf-8")
    margins = [m for case in cases for m in case["greedy"]["margins"]]
    close = sum(m <= TOLERANCE["margin"] for m in margins)
    print(f"{out.name}: {len(cases)} cases, {len(margins)} greedy tokens, {close} of them too close to"
          f" call, f32 against f64 {oracle['f32_vs_f64_max']}, {out.stat().st_size} bytes")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    OUT.mkdir(parents=True, exist_ok=True)
    chats = CHATS + [CHAT_OF_THREE_TURNS]
    write_oracle(
        MODELS / "tiny_bpe.gguf",
        gguf_to_hf.BpeTokenizer,
        lambda meta: chats + [CHAT_WITH_SYSTEM] + TEXTS + edge_cases(len(meta["tokenizer.ggml.tokens"])),
    )
    write_oracle(
        MODELS / "tiny_spm.gguf",
        lambda meta: gguf_to_hf.SpmTokenizer(meta, MODELS / "tiny_spm.model"),
        lambda meta: chats + TEXTS + edge_cases(len(meta["tokenizer.ggml.tokens"])),
    )
    write_oracle(
        pathlib.Path(sys.argv[1]),
        gguf_to_hf.BpeTokenizer,
        lambda meta: chats + [CHAT_WITH_SYSTEM] + TEXTS + [("text_few_shot", few_shot_prompt())],
    )


if __name__ == "__main__":
    main()
