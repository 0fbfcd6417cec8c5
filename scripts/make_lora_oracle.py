#!/usr/bin/env python3
"""Writes tests/data/lora/MODEL-NAME/, small random LoRA adapters for models of tests/data/models, as
PEFT saves them, and tests/data/e2e/lora_MODEL.json, what transformers with PEFT makes of the models
with and without them, in f32 with eager attention.

The adapters differ in rank, scale, type, and in how they name what they change. B is not zero, and
large enough that every answer changes. Needs torch, transformers and peft (versions: in the files).

usage: make_lora_oracle.py [MODEL ...]     (all of them without a name)
"""

import argparse
import json
import pathlib
import shutil
import zlib

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model

import make_tiny_architectures as tiny

LORA = tiny.ROOT / "tests/data/lora"
PROMPTS = ["ids_150", "shared_a", "shared_b"]
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32

# Of each model: name, type, and what PEFT is told.
ADAPTERS = {
    "llama3": {
        "a": (F32, dict(r=8, lora_alpha=16,
                        target_modules=ATTENTION + ["gate_proj", "up_proj", "down_proj"])),
        "b": (F16, dict(r=4, lora_alpha=6, use_rslora=True,
                        target_modules=r".*\.layers\.1\..*\.(q_proj|down_proj)")),
    },
    "qwen2": {
        "a": (BF16, dict(r=5, lora_alpha=7, target_modules="all-linear")),
        "b": (F32, dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"],
                        rank_pattern={"v_proj": 12}, alpha_pattern={"layers.0.self_attn.q_proj": 3})),
    },
    "gpt2": {
        "a": (F32, dict(r=4, lora_alpha=8, fan_in_fan_out=True,
                        target_modules=["c_attn", "c_proj", "c_fc"])),
        "b": (F16, dict(r=8, lora_alpha=8, fan_in_fan_out=True, target_modules=["c_attn"],
                        layers_to_transform=[1], layers_pattern="h")),
    },
    "gpt_neox": {
        "a": (F32, dict(r=6, lora_alpha=9, target_modules="all-linear")),
    },
    "phi3": {
        "a": (F32, dict(r=8, lora_alpha=12,
                        target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])),
        "b": (F16, dict(r=16, lora_alpha=16, target_modules=["qkv_proj"])),
    },
    "gemma2": {
        "a": (BF16, dict(r=4, lora_alpha=8, target_modules="all-linear")),
    },
    "granite": {
        "a": (BF16, dict(r=4, lora_alpha=8, target_modules="all-linear",
                         exclude_modules=["up_proj"])),
    },
}


@torch.no_grad()
def draw(model, generator, dtype):
    """A keeps the size of its inputs, B gives about a third of what the model's own matrix does."""
    for name, values in model.named_parameters():
        if "lora_" not in name:
            continue
        deviation = values.shape[1] ** -0.5 * (0.2 if "lora_B" in name else 1.0)
        noise = deviation * torch.randn(values.shape, generator=generator)
        values.copy_(noise.to(dtype).to(values.dtype))


def make_adapter(model_name, name, dtype, settings):
    base = tiny.load_model(tiny.MODELS / model_name, torch.float32)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
    draw(model, torch.Generator().manual_seed(zlib.crc32(f"{model_name}-{name}".encode())), dtype)
    for parameter_name, values in model.named_parameters():
        if "lora_" in parameter_name:
            values.data = values.data.to(dtype)
    folder = LORA / f"{model_name}-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = model_name
    for key, value in config.items():  # sets come in any order
        config[key] = sorted(value) if isinstance(value, list) else value
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    return folder


def load_adapted(model_name, folders, dtype):
    model = tiny.load_model(tiny.MODELS / model_name, dtype)
    first, *others = folders
    model = PeftModel.from_pretrained(model, folders[first], adapter_name=first)
    for name in others:
        model.load_adapter(folders[name], adapter_name=name)
    return model.to(dtype).eval()


def write_oracle(model_name, folders):
    model = load_adapted(model_name, folders, torch.float32)
    exact = load_adapted(model_name, folders, torch.float64)
    prompts = tiny.prompts()
    cases, worst = [], 0.0
    for name in folders:
        model.set_adapter(name), exact.set_adapter(name)
        for prompt in PROMPTS:
            case = tiny.make_case(model, f"{name}/{prompt}", prompts[prompt], 256)
            case["lora"] = name
            log_probs = tiny.log_probs_of(exact, prompts[prompt])
            for kept in case["next_token"]:
                error = log_probs[kept["position"]][kept["ids"]] - torch.tensor(kept["logprobs"])
                worst = max(worst, error.abs().max().item())
            cases.append(case)
    with model.disable_adapter():
        base = tiny.make_case(model, "base/shared_a", prompts["shared_a"], 256)
    least = min((base["next_token"][-1]["logprobs"][0] - case["next_token"][-1]["logprobs"][0]) ** 2
                for case in cases if case["name"].endswith("shared_a"))
    cases.append(base)
    oracle = {
        "schema": "oracle/1",
        "model": model_name,
        "origin": "scripts/make_lora_oracle.py: transformers with peft in f32, eager attention",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__,
                     "peft": peft.__version__},
        "tolerance": tiny.TOLERANCE,
        "f32_vs_f64_max": float(f"{worst:.1e}"),
        "max_tokens": tiny.N_GREEDY,
        "cases": cases,
    }
    out = tiny.OUT / f"lora_{model_name}.json"
    text = json.dumps(oracle, separators=(",", ":"))
    out.write_text(text.replace('{"name":"', '\n{"name":"') + "\n", encoding="utf-8")
    margins = [m for case in cases for m in case["greedy"]["margins"]]
    close = sum(m <= tiny.TOLERANCE["margin"] for m in margins)
    n_bytes = sum(path.stat().st_size for folder in folders.values() for path in folder.iterdir())
    print(f"{model_name}: adapters {n_bytes} bytes, oracle {out.stat().st_size}; {len(margins)} greedy"
          f" tokens, {close} too close to call, f32 against f64 {worst:.1e}, least change of a"
          f" log-probability {least ** 0.5:.2g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    for model_name in parser.parse_args().models or list(ADAPTERS):
        folders = {name: make_adapter(model_name, name, dtype, settings)
                   for name, (dtype, settings) in ADAPTERS[model_name].items()}
        write_oracle(model_name, folders)


if __name__ == "__main__":
    main()
