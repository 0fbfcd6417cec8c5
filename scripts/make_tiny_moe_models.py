#!/usr/bin/env python3
"""Writes tests/data/models/{mixtral,qwen2_moe,qwen3_moe,olmoe}/: Hugging Face models of a few layers of
experts with random bf16 weights and a small byte-level BPE tokenizer, and tests/data/e2e/<name>.json,
what transformers makes of them in f32. tests/data/README.md describes the files. A second run gives
the same bytes. Needs torch, transformers, tokenizers, safetensors (versions: in the oracles)."""

import hashlib
import json
import pathlib
import shutil

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import MixtralConfig, OlmoeConfig, Qwen2MoeConfig, Qwen3MoeConfig
from transformers import AutoModelForCausalLM

import make_oracles
from gguf_to_hf import versions

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "tests/data/models"
SEED = 20240411
VOCAB = 320
EOS = 0
LENGTHS = (1, 2, 16, 33, 65, 150)

COMMON = dict(
    vocab_size=VOCAB,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
    tie_word_embeddings=True,
    bos_token_id=None,
    eos_token_id=EOS,
    pad_token_id=None,
    dtype="bfloat16",
)
CONFIGS = {
    "mixtral": MixtralConfig(
        **COMMON, intermediate_size=32, num_local_experts=4, num_experts_per_tok=2
    ),
    "qwen2_moe": Qwen2MoeConfig(
        **COMMON,
        intermediate_size=64,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
        num_experts=4,
        num_experts_per_tok=3,
        norm_topk_prob=False,
    ),
    "qwen3_moe": Qwen3MoeConfig(
        **COMMON,
        head_dim=32,
        intermediate_size=64,
        moe_intermediate_size=32,
        num_experts=5,
        num_experts_per_tok=2,
        norm_topk_prob=True,
        mlp_only_layers=[],
    ),
    "olmoe": OlmoeConfig(
        **COMMON,
        intermediate_size=32,
        num_experts=4,
        num_experts_per_tok=3,
        norm_topk_prob=False,
        clip_qkv=3.0,
    ),
}


def train_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    line = (ROOT / "data/fewshot.jsonl").read_text(encoding="utf-8").splitlines()[0]
    tokenizer.train_from_iterator([json.loads(line)["prompt"]], trainer)
    return tokenizer


def scale_of(name, shape):
    """Every linear output stays near 1, router logits and attention scores spread enough."""
    if "embed_tokens" in name:
        return 1.0
    gain = 2.0 if any(part in name for part in ("o_proj", "down_proj", "gate.weight")) else 1.0
    gain = 1.5 if any(part in name for part in ("q_proj", "k_proj")) else gain
    return gain * shape[-1] ** -0.5


@torch.no_grad()
def randomise(model):
    generator = torch.Generator().manual_seed(SEED)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            values = 1 + 0.1 * noise
        elif name.endswith(".bias"):
            values = 0.1 * noise
        else:
            values = scale_of(name, parameter.shape) * noise
        parameter.copy_(values.to(torch.bfloat16))


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def write_oracle(name, folder):
    # Read back, so that the oracle is of what the files hold.
    def load(dtype):
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="eager", experts_implementation="eager"
        ).eval()

    f32, f64 = load(torch.float32), load(torch.float64)
    cases, worst = [], 0.0
    for n in LENGTHS:
        ids = [1 + (i * i * 31 + 7 * i) % (VOCAB - 1) for i in range(n)]
        log_probs = make_oracles.prompt_log_probs(f32, ids)
        exact = make_oracles.prompt_log_probs(f64, ids)
        worst = max(worst, (log_probs - exact).abs().max().item())
        cases.append(
            {
                "name": f"ids_{n}",
                "prompt_token_ids": ids,
                "next_token": [
                    {"position": p} | make_oracles.top(log_probs[p]) for p in make_oracles.edges(n)
                ],
                "greedy": make_oracles.greedy(f32, ids, EOS),
            }
        )
    oracle = {
        "schema": "oracle/1",
        "model": name,
        "model_sha256": digest(folder),
        "origin": "scripts/make_tiny_moe_models.py: transformers in f32, eager attention",
        "versions": versions(),
        "tolerance": make_oracles.TOLERANCE,
        "f32_vs_f64_max": float(f"{worst:.1e}"),
        "cases": cases,
    }
    out = make_oracles.OUT / f"{name}.json"
    text = json.dumps(oracle, separators=(",", ":"))
    out.write_text(text.replace('{"name":"', '\n{"name":"') + "\n", encoding="utf-8")
    margins = [m for case in cases for m in case["greedy"]["margins"]]
    close = sum(m <= make_oracles.TOLERANCE["margin"] for m in margins)
    size = (folder / "model.safetensors").stat().st_size
    print(
        f"{name}: {size} bytes, oracle {out.stat().st_size} bytes, {len(margins)} greedy tokens,"
        f" {close} too close to call, f32 against f64 {worst:.1e}"
    )


def main():
    tokenizer = train_tokenizer()
    for name, config in CONFIGS.items():
        folder = MODELS / name
        shutil.rmtree(folder, ignore_errors=True)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        randomise(model)
        model.save_pretrained(folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        write_oracle(name, folder)


if __name__ == "__main__":
    main()
