#!/usr/bin/env python3
"""Writes tests/data/models/NAME/, small random-weight models of every architecture as Hugging Face
folders, and tests/data/e2e/NAME.json, what transformers makes of them in f32 with eager attention.

Windows are shorter than the prompts and longer than a KV block, caps are low enough to bite, and
weights are scaled so that the most probable token usually leads by far. tests/data/README.md
describes the files. Needs torch and transformers (versions: in the files).

usage: make_tiny_architectures.py [NAME ...]     (all of them without a name)
"""

import argparse
import json
import math
import pathlib
import zlib

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "tests/data/models"
OUT = ROOT / "tests/data/e2e"
TOKENIZER = MODELS / "tiny_tokenizer.json"

VOCAB = 288
N_TOP = 10     # log-probabilities kept of each distribution
N_EDGE = 3     # positions kept at each end of a prompt
N_GREEDY = 24  # tokens of each continuation
TOLERANCE = {"logprob": 2e-3, "margin": 0.02}

BASE = dict(
    vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
    tie_word_embeddings=True, bos_token_id=0, eos_token_id=2, pad_token_id=0,
)
HEAD_16 = dict(head_dim=16)
HALF = [1.0, 1.3, 1.7, 2.2, 3.0, 4.0, 5.5, 7.0]  # divisors of eight frequencies


def rope(**parameters):
    return {"rope_parameters": {"rope_theta": 10000.0, **parameters}}


# What a model changes of BASE. "long": the run allows the whole context, which longrope and dynamic
# scaling depend on; "max_model_len": it allows so much.
ARCHITECTURES = {
    "llama3": ("llama", HEAD_16 | rope(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64) | dict(attention_bias=True, mlp_bias=True)),
    "llama_yarn": ("llama", HEAD_16 | rope(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=64)),
    "llama_dynamic": ("llama", HEAD_16 | rope(rope_type="dynamic", factor=4.0)
                      | dict(max_position_embeddings=64)),
    "mistral": ("mistral", HEAD_16 | dict(sliding_window=48)),
    "ministral": ("ministral", HEAD_16 | dict(
        sliding_window=48, layer_types=["sliding_attention", "full_attention"])),
    "qwen2": ("qwen2", dict(
        use_sliding_window=True, sliding_window=48, max_window_layers=1)),
    "qwen3": ("qwen3", HEAD_16),
    "gemma": ("gemma", dict(head_dim=32, num_attention_heads=2, num_key_value_heads=1)),
    "gemma2": ("gemma2", HEAD_16 | dict(
        sliding_window=48, query_pre_attn_scalar=24, attn_logit_softcapping=3.0,
        final_logit_softcapping=12.0)),
    "gemma3_text": ("gemma3_text", dict(
        head_dim=32, num_key_value_heads=1, num_attention_heads=2, num_hidden_layers=3,
        intermediate_size=64, sliding_window=48, query_pre_attn_scalar=20,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
        })),
    "phi3": ("phi3", dict(
        original_max_position_embeddings=64, sliding_window=100, tie_word_embeddings=False,
        intermediate_size=64) | rope(
            rope_type="longrope", short_factor=[1.0 + 0.1 * i for i in range(8)],
            long_factor=HALF, original_max_position_embeddings=64)),
    "phi4": ("phi3", dict(partial_rotary_factor=0.75, sliding_window=None) | rope(
        rope_type="default", partial_rotary_factor=0.75)),
    "smollm3": ("smollm3", dict(
        num_hidden_layers=3, intermediate_size=64, no_rope_layer_interval=2,
        no_rope_layers=[1, 0, 1], use_sliding_window=False)),
    "granite": ("granite", dict(
        embedding_multiplier=1.4, residual_multiplier=0.8, attention_multiplier=0.17,
        logits_scaling=1.5)),
    "olmo2": ("olmo2", dict(tie_word_embeddings=False, intermediate_size=64)),
    "olmo": ("olmo", dict(clip_qkv=1.5, intermediate_size=64, num_key_value_heads=1)),
    "gpt2": ("gpt2", dict(
        n_embd=64, n_layer=2, n_head=4, n_positions=256, n_inner=96, vocab_size=VOCAB)),
    "gpt_neox": ("gpt_neox", dict(
        num_attention_heads=4, rotary_pct=0.25, tie_word_embeddings=False,
        use_parallel_residual=True)),
    "gpt_neox_sequential": ("gpt_neox", dict(
        num_attention_heads=4, rotary_pct=0.5, tie_word_embeddings=False,
        use_parallel_residual=False)),
    "phi": ("phi", dict(tie_word_embeddings=False, partial_rotary_factor=0.5)),
    "starcoder2": ("starcoder2", dict(
        num_key_value_heads=1, sliding_window=48, hidden_act="gelu_pytorch_tanh")),
    "stablelm": ("stablelm", dict(
        partial_rotary_factor=0.25, use_qkv_bias=True, tie_word_embeddings=False,
        intermediate_size=64)),
    "stablelm_parallel": ("stablelm", dict(
        partial_rotary_factor=0.25, use_parallel_residual=True)),
    "stablelm_heads": ("stablelm", dict(
        partial_rotary_factor=0.25, use_parallel_residual=True, qk_layernorm=True,
        intermediate_size=32)),
    "cohere": ("cohere", dict(logit_scale=0.7)),
    "cohere_heads": ("cohere", dict(logit_scale=0.7, use_qk_norm=True, intermediate_size=32)),
    "cohere2": ("cohere2", dict(
        logit_scale=0.7, intermediate_size=32, sliding_window=48,
        layer_types=["sliding_attention", "full_attention"])),
}
HEAD_NORMS = ("q_layernorm.norms", "k_layernorm.norms")
DTYPES = {"qwen2": torch.float16, "gpt2": torch.float16, "olmo": torch.float32}


def config_of(name):
    kind, changes = ARCHITECTURES[name]
    values = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    values = values | changes if kind == "gpt2" else BASE | changes
    return AutoConfig.for_model(kind, **values)


def deviation(name, is_gemma, n_in):
    """Keeps every linear output near 1, and scores spread enough to matter. Embeddings are small
    beside what the layers add, so that a token does not simply predict itself."""
    if any(part in name for part in ("embed", "wte", "wpe", "lm_head")):
        return 0.06 if is_gemma else 0.25
    if any(part in name for part in ("o_proj", "down_proj", "c_proj", "dense", "fc2")):
        return 2 * n_in**-0.5
    if any(part in name for part in ("q_proj", "k_proj", "qkv", "query_key_value", "c_attn")):
        return 1.5 * n_in**-0.5
    return n_in**-0.5


@torch.no_grad()
def draw_weights(model, name, generator):
    kind = model.config.model_type
    is_gemma = kind.startswith("gemma")
    norm_mean = 0.0 if is_gemma else 1.0
    for parameter_name, values in model.named_parameters():
        noise = torch.randn(values.shape, generator=generator)
        if any(part in parameter_name for part in HEAD_NORMS) or (
                values.dim() == 2 and any(p in parameter_name for p in ("q_norm", "k_norm"))):
            values.copy_(1.5 + 0.4 * noise)  # heads differ by far
            continue
        if values.dim() == 1:
            is_norm = "norm" in parameter_name or "ln_" in parameter_name
            mean = norm_mean if is_norm and parameter_name.endswith("weight") else 0.0
            is_last = any(part in parameter_name for part in ("model.norm", "final", "ln_f"))
            if is_last and parameter_name.endswith("weight"):
                mean += 6.0 if is_gemma else 0.6
            if any(part in parameter_name for part in ("q_norm", "k_norm")):
                mean += 0.5
            values.copy_(mean + 0.1 * noise)
            continue
        is_conv = kind == "gpt2" and any(p in parameter_name for p in ("c_attn", "c_proj", "c_fc"))
        n_in = values.shape[0] if is_conv else values.shape[1]
        values.copy_(deviation(parameter_name, is_gemma, n_in) * noise)


def make_tokenizer():
    """A byte-level BPE vocabulary shared by all of them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, show_progress=False,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    text = (ROOT / "data/bench/articles.txt").read_text(encoding="utf-8")
    tokenizer.train_from_iterator([text], trainer)
    TOKENIZER.write_text(tokenizer.to_str() + "\n", encoding="utf-8")


def make_model(name):
    folder = MODELS / name
    config = config_of(name)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    draw_weights(model, name, torch.Generator().manual_seed(zlib.crc32(name.encode())))
    model = model.to(DTYPES.get(name, torch.bfloat16))
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    link = folder / "tokenizer.json"
    link.unlink(missing_ok=True)
    link.symlink_to(pathlib.Path("..") / TOKENIZER.name)
    return folder


def load_model(folder, dtype):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    assert model.config._attn_implementation == "eager" and model.dtype == dtype
    return model.eval()


def prompts():
    """Ids around the ends of windows and blocks; the last three share 100 tokens."""
    ids = [5 + (i * i * 31 + 7 * i) % (VOCAB - 5) for i in range(200)]
    return {
        "ids_1": ids[:1],
        "ids_33": ids[:33],
        "ids_49": ids[10:59],
        "ids_150": ids[:150],
        "shared_a": ids[:100] + ids[150:160],
        "shared_b": ids[:100] + ids[160:200],
    }


@torch.no_grad()
def log_probs_of(model, ids):
    return torch.log_softmax(model(torch.tensor([ids]), use_cache=False).logits[0].double(), dim=-1)


def top(log_probs):
    order = torch.argsort(log_probs, descending=True, stable=True)[:N_TOP]
    return {"ids": order.tolist(), "logprobs": [round(log_probs[i].item(), 5) for i in order]}


def greedy(model, ids, limit):
    """Every step anew from the whole sequence: no cache whose keys were rotated otherwise."""
    tokens, margins = [], []
    while len(tokens) < N_GREEDY and 2 not in tokens and len(ids) + len(tokens) < limit:
        best = torch.topk(log_probs_of(model, ids + tokens)[-1], 2)
        tokens.append(best.indices[0].item())
        margins.append(round((best.values[0] - best.values[1]).item(), 4))
    return {"token_ids": tokens, "margins": margins}


def make_case(model, name, ids, limit):
    log_probs = log_probs_of(model, ids)
    kept = [p for p in range(len(ids)) if p < N_EDGE or p >= len(ids) - N_EDGE]
    return {
        "name": name,
        "prompt_token_ids": ids,
        "next_token": [{"position": p} | top(log_probs[p]) for p in kept],
        "greedy": greedy(model, ids, limit),
    }


def write_oracle(folder, out_name, max_model_len=None, least=0, prepare=None):
    """least: prompts of so many tokens only."""
    model = load_model(folder, torch.float32)
    exact = load_model(folder, torch.float64)
    limit = max_model_len or model.config.max_position_embeddings
    if prepare:
        prepare(model), prepare(exact)
    cases, worst = [], 0.0
    for name, ids in prompts().items():
        if not least <= len(ids) < limit:
            continue
        case = make_case(model, name, ids, limit)
        log_probs = log_probs_of(exact, ids)
        for kept in case["next_token"]:
            error = log_probs[kept["position"]][kept["ids"]] - torch.tensor(kept["logprobs"])
            worst = max(worst, error.abs().max().item())
        cases.append(case)
    oracle = {
        "schema": "oracle/1",
        "model": folder.name,
        "origin": "scripts/make_tiny_architectures.py: transformers in f32, eager attention",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "tolerance": TOLERANCE,
        "f32_vs_f64_max": float(f"{worst:.1e}"),
    }
    oracle["max_tokens"] = N_GREEDY
    if max_model_len:
        oracle["max_model_len"] = max_model_len
    oracle["cases"] = cases
    out = OUT / f"{out_name}.json"
    text = json.dumps(oracle, separators=(",", ":"))
    out.write_text(text.replace('{"name":"', '\n{"name":"') + "\n", encoding="utf-8")
    margins = [m for case in cases for m in case["greedy"]["margins"]]
    close = sum(m <= TOLERANCE["margin"] for m in margins)
    distinct = len({t for case in cases for t in case["greedy"]["token_ids"]})
    n_bytes = sum(path.stat().st_size for path in folder.iterdir() if not path.is_symlink())
    print(f"{out_name}: model {n_bytes} bytes, oracle {out.stat().st_size}; {len(margins)} greedy"
          f" tokens, {distinct} distinct, {close} too close to call, median lead"
          f" {sorted(margins)[len(margins) // 2]:.2f}, f32 against f64 {worst:.1e}")


def grow_dynamic(model):
    """Makes transformers scale for the longest sequence of the run, as we do."""
    positions = torch.arange(256)[None]
    model.model.rotary_emb(torch.zeros(1, 256, 64, dtype=model.dtype), positions)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names or list(ARCHITECTURES)
    OUT.mkdir(parents=True, exist_ok=True)
    if not TOKENIZER.exists():
        make_tokenizer()
    for name in names:
        folder = make_model(name)
        if name == "phi3":  # two sets of factors, by what the run allows
            write_oracle(folder, "phi3", least=65)
            write_oracle(folder, "phi3_short", max_model_len=64)
        elif name == "llama_dynamic":
            write_oracle(folder, name, max_model_len=256, least=65, prepare=grow_dynamic)
        else:
            write_oracle(folder, name)


if __name__ == "__main__":
    main()
