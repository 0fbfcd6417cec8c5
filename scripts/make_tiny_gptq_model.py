#!/usr/bin/env python3
"""Writes tests/data/models/llama_act_order/, a small model whose matrices are stored as GPTQ's "act
order" leaves them: 4 bits, groups of 32 inputs that lie anywhere (desc_act, a shuffled g_idx).
Its oracle tests/data/e2e/llama_act_order.json is what transformers makes, in f32, of the weights
that NumPy dequantises (make_int4_oracle.py). Needs torch, transformers and safetensors.

usage: make_tiny_gptq_model.py
"""

import json
import pathlib
import tempfile

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM

import make_tiny_architectures as tiny
from make_int4_oracle import gptq_tensors, gptq_values

NAME = "llama_act_order"
GROUP = 32


def quantise(weight, group_of):
    """4 bits by rounding to nearest: quants (inputs, outputs), zeros from 1 to 16, f16 scales."""
    values = weight.T.numpy().astype(np.float32)
    groups = np.stack([values[group_of == g] for g in range(group_of.max() + 1)])
    low, high = np.minimum(groups.min(axis=1), 0), np.maximum(groups.max(axis=1), 0)
    scales = ((high - low) / 15).astype(np.float16)
    zeros = np.clip(np.rint(-low / scales.astype(np.float32)), 1, 15).astype(np.int64)
    quants = np.rint(values / scales[group_of].astype(np.float32)) + zeros[group_of]
    return np.clip(quants, 0, 15).astype(np.int64), zeros, scales


def main():
    config = AutoConfig.for_model("llama", **tiny.BASE | tiny.HEAD_16)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    tiny.draw_weights(model, NAME, torch.Generator().manual_seed(5))
    rng = np.random.default_rng(5)
    stored, orders = {}, {}
    for name, values in model.named_parameters():
        if ".layers." not in name or values.dim() != 2:
            values.data = values.data.half().float()
            stored[name] = values.detach().half().numpy()
            continue
        # What reads the same rows is calibrated alike; layer 1's v is not, as a later program might
        # leave it.
        block = name.rsplit(".", 2)[0]
        part = name.rsplit(".", 2)[1]
        shares = part in ("q_proj", "k_proj", "gate_proj", "up_proj") or name.endswith(
            "layers.0.self_attn.v_proj.weight")
        key = block if shares else name
        n_in = values.shape[1]
        group_of = orders.setdefault(key, rng.permutation(np.arange(n_in) // GROUP))
        parts = quantise(values.detach(), group_of)
        stored |= gptq_tensors(name.removesuffix(".weight"), *parts, group_of)
        values.data = torch.from_numpy(gptq_values(*parts, group_of))

    folder = tiny.MODELS / NAME
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        dense = pathlib.Path(scratch) / NAME
        model.save_pretrained(dense)
        tiny.write_oracle(dense, NAME)
        config = json.loads((dense / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": True, "sym": False,
        "true_sequential": True, "checkpoint_format": "gptq"}
    config["dtype"] = "float16"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    link = folder / "tokenizer.json"
    link.unlink(missing_ok=True)
    link.symlink_to(pathlib.Path("..") / tiny.TOKENIZER.name)


if __name__ == "__main__":
    main()
