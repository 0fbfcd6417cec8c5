#!/usr/bin/env python3
"""Converts a small Hugging Face folder to GGUF by the conventions of llama.cpp's converters, for
tests: names by gguf-py's own map, q and k permuted where that program wants neighbouring pairs,
norms of gemma raised by one, experts stacked, fused matrices as it fuses them.

  hf_to_gguf.py FOLDER OUT.gguf [--split N]

--split N: N files OUT-00001-of-0000N.gguf. Matrices keep their stored type; the vocabulary is made
up, one token for each id, but for the end-of-sequence token. Needs the packages gguf and numpy. The
files of tests/data/models/gguf were made with gguf 0.19.0:

  for name in cohere cohere_heads gemma3_text gpt2 gpt_neox llama3 phi3 qwen3 stablelm_heads; do
    scripts/hf_to_gguf.py tests/data/models/$name tests/data/models/gguf/$name.gguf
  done
"""

import argparse
import json
import pathlib
import re

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

ARCHITECTURES = {
    "cohere": "command-r", "cohere2": "cohere2", "gemma": "gemma", "gemma2": "gemma2", "gemma3_text": "gemma3",
    "gpt2": "gpt2", "gpt_neox": "gptneox", "granite": "granite", "llama": "llama",
    "mistral": "llama", "mixtral": "llama", "olmo": "olmo", "olmo2": "olmo2", "olmoe": "olmoe",
    "phi": "phi2", "phi3": "phi3", "qwen2": "qwen2", "qwen2_moe": "qwen2moe", "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe", "smollm3": "smollm3", "stablelm": "stablelm",
    "starcoder2": "starcoder2",
}
PERMUTED = {"granite", "llama", "olmo", "smollm3"}
LAYER_NORMS = {"cohere2", "command-r", "gpt2", "gptneox", "olmo", "phi2", "stablelm", "starcoder2"}


def permute(weight, n_heads):
    """Rows for pairs of neighbours, of rows for pairs half a head apart."""
    return (weight.reshape(n_heads, 2, weight.shape[0] // n_heads // 2, *weight.shape[1:])
            .swapaxes(1, 2).reshape(weight.shape))


DTYPES = {"F32": (np.float32, Type.F32), "F16": (np.float16, Type.F16), "BF16": (np.uint16, Type.BF16)}


def load_tensors(folder):
    """Values in f32 by name, and the type that they are stored in."""
    tensors, stored = {}, Type.F32
    for path in sorted(folder.glob("*.safetensors")):
        content = path.read_bytes()
        begin = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:begin])
        header.pop("__metadata__", None)
        for name, entry in header.items():
            dtype, stored = DTYPES[entry["dtype"]]
            first, last = entry["data_offsets"]
            value = np.frombuffer(content[begin + first:begin + last], dtype)
            if entry["dtype"] == "BF16":
                value = (value.astype(np.uint32) << 16).view(np.float32)
            tensors[name] = value.astype(np.float32).reshape(entry["shape"])
    return tensors, stored


def stack_experts(tensors):
    stacked, groups = {}, {}
    for name, value in tensors.items():
        found = re.fullmatch(r"(.*\.experts)\.(\d+)\.(\w+)\.weight", name)
        if found:
            groups.setdefault((found[1], found[3]), {})[int(found[2])] = value
        else:
            stacked[name] = value
    for (prefix, part), experts in groups.items():
        stacked[f"{prefix}.{part}.weight"] = np.stack([experts[i] for i in sorted(experts)])
    return stack_heads(stacked)


def stack_heads(tensors):
    """Norms of single heads, one under another."""
    stacked, groups = {}, {}
    for name, value in tensors.items():
        found = re.fullmatch(r"(.*)\.norms\.(\d+)\.weight", name)
        if found:
            groups.setdefault(found[1], {})[int(found[2])] = value
        else:
            stacked[name] = value
    for prefix, heads in groups.items():
        stacked[f"{prefix}.weight"] = np.stack([heads[i] for i in sorted(heads)])
    return stacked


class Converter:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        c = self.config
        self.arch = ARCHITECTURES[c["model_type"]]
        self.n_layers = c.get("num_hidden_layers", c.get("n_layer"))
        self.n_heads = c.get("num_attention_heads", c.get("n_head"))
        self.n_kv_heads = c.get("num_key_value_heads") or self.n_heads
        if c["model_type"] in ("gpt2", "gpt_neox"):  # transformers does not read the key there
            self.n_kv_heads = self.n_heads
        self.hidden = c.get("hidden_size", c.get("n_embd"))
        self.head_dim = c.get("head_dim") or self.hidden // self.n_heads
        self.rope = c.get("rope_parameters") or {}
        tensors, self.stored = load_tensors(folder)
        self.tensors = stack_experts(tensors)
        arch = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == self.arch)
        self.names = gguf.get_tensor_name_map(arch, self.n_layers)

    def metadata(self, writer):
        c = self.config
        writer.add_name("Converted")
        writer.add_block_count(self.n_layers)
        writer.add_context_length(c.get("max_position_embeddings", c.get("n_positions")))
        writer.add_embedding_length(self.hidden)
        writer.add_feed_forward_length(c.get("intermediate_size") or c.get("n_inner")
                                       or 4 * self.hidden)
        writer.add_head_count(self.n_heads)
        writer.add_head_count_kv(self.n_kv_heads)
        writer.add_key_length(self.head_dim)
        writer.add_value_length(self.head_dim)
        eps = next((c[k] for k in ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon",
                                   "norm_epsilon") if k in c), 1e-5)
        if self.arch in LAYER_NORMS:
            writer.add_layer_norm_eps(eps)
        else:
            writer.add_layer_norm_rms_eps(eps)
        self.rope_metadata(writer)
        self.feature_metadata(writer)

    def rope_metadata(self, writer):
        if self.arch == "gpt2":
            return
        rope = self.rope.get("full_attention", self.rope)
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_dimension_count(
            int(self.head_dim * rope.get("partial_rotary_factor", 1.0)))
        kind = rope.get("rope_type", "default")
        if kind in ("linear", "yarn"):
            writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
            writer.add_rope_scaling_factor(rope["factor"])
        if kind in ("yarn", "longrope"):
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if kind == "longrope":
            original = rope["original_max_position_embeddings"]
            factor = self.config["max_position_embeddings"] / original
            writer.add_rope_scaling_attn_factors(
                float(np.sqrt(1 + np.log(factor) / np.log(original))))
            self.extra = {"rope_factors_long.weight": rope["long_factor"],
                          "rope_factors_short.weight": rope["short_factor"]}
        if kind == "llama3":
            self.extra = {"rope_freqs.weight": llama3_factors(rope, self.head_dim)}

    extra = {}

    def feature_metadata(self, writer):
        c = self.config
        n_experts = c.get("num_local_experts") or c.get("num_experts")
        if n_experts:
            writer.add_expert_count(n_experts)
            writer.add_expert_used_count(c["num_experts_per_tok"])
        if "moe_intermediate_size" in c:
            writer.add_expert_feed_forward_length(c["moe_intermediate_size"])
        if "shared_expert_intermediate_size" in c:
            writer.add_expert_shared_feed_forward_length(c["shared_expert_intermediate_size"])
        if self.arch in ("gemma2", "gemma3", "phi3") and c.get("sliding_window"):
            writer.add_sliding_window(c["sliding_window"])
        if self.arch in ("gemma2", "gemma3"):
            writer.add_sliding_window_pattern(
                [kind == "sliding_attention" for kind in c["layer_types"]])
            writer.add_attention_scale(c["query_pre_attn_scalar"] ** -0.5)
        if self.arch == "gemma3":
            writer.add_float32("gemma3.rope.freq_base_swa",
                               self.rope["sliding_attention"]["rope_theta"])
        if self.arch == "gemma2":
            writer.add_attn_logit_softcapping(c["attn_logit_softcapping"])
            writer.add_final_logit_softcapping(c["final_logit_softcapping"])
        if self.arch in ("gptneox", "stablelm"):
            writer.add_parallel_residual(c["use_parallel_residual"])
        if self.arch == "olmo" and c.get("clip_qkv"):
            writer.add_clamp_kqv(c["clip_qkv"])
        if self.arch == "cohere2":
            writer.add_sliding_window(c["sliding_window"])
            writer.add_sliding_window_pattern(
                [kind == "sliding_attention" for kind in c["layer_types"]])
        if self.arch in ("cohere2", "command-r"):
            writer.add_logit_scale(c["logit_scale"])
        if self.arch == "granite":
            writer.add_attention_scale(c["attention_multiplier"])
            writer.add_embedding_scale(c["embedding_multiplier"])
            writer.add_residual_scale(c["residual_multiplier"])
            writer.add_logit_scale(c["logits_scaling"])

    def convert(self, name, value):
        c = self.config
        if self.arch == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight",
                                                  ".c_fc.weight")):
            value = value.T
        if self.arch == "gptneox" and ".query_key_value." in name:
            by_head = value.reshape(self.n_heads, 3, self.head_dim, *value.shape[1:])
            value = by_head.swapaxes(0, 1).reshape(value.shape)
        if self.arch.startswith("gemma") and name.endswith("norm.weight"):
            value = value + 1
        if self.arch in PERMUTED and re.search(r"\.[qk]_proj\.", name):
            value = permute(value, self.n_heads if ".q_proj." in name else self.n_kv_heads)
        return np.ascontiguousarray(value)

    def converted_tensors(self):
        tied = self.config.get("tie_word_embeddings", False)
        for name, value in self.tensors.items():
            if tied and name in ("lm_head.weight", "embed_out.weight"):
                continue
            if re.search(r"\.(attn\.bias|masked_bias|inv_freq)$", name):
                continue
            ours = self.names.get_name(name, try_suffixes=(".weight", ".bias"))
            if ours is None:
                raise SystemExit(f"no GGUF name for {name}")
            yield ours, self.convert(name, value)
        for name, values in self.extra.items():
            yield name, np.array(values, dtype=np.float32)


def llama3_factors(rope, dim):
    frequencies = rope["rope_theta"] ** (-np.arange(0, dim, 2) / dim)
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * np.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return 1 / ((1 - smooth) / rope["factor"] + smooth)


def add_tokenizer(writer, config):
    spelled = ["t", "0", "t0"]
    n_tokens = config["vocab_size"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(spelled + [f"u{i}" for i in range(n_tokens - len(spelled))])
    writer.add_token_types([1] * n_tokens)
    writer.add_token_merges(["t 0"])
    writer.add_add_bos_token(False)
    if config.get("eos_token_id") is not None:
        writer.add_eos_token_id(config["eos_token_id"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--split", type=int, default=0)
    args = parser.parse_args()
    converter = Converter(args.folder)
    writer = gguf.GGUFWriter(args.out, converter.arch)
    converter.metadata(writer)
    add_tokenizer(writer, converter.config)
    names_and_values = list(converter.converted_tensors())
    if args.split:
        writer.split_max_tensors = -(-len(names_and_values) // args.split)
    for name, value in names_and_values:
        is_norm = name.endswith("_norm.weight")
        kind = converter.stored if value.ndim > 1 and not is_norm else Type.F32
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
