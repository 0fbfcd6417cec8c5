#!/usr/bin/env python3
"""Writes a GGUF model of the shapes of Mistral 7B with random 4-bit weights (Q4_K): 4.1 GB, to
measure how long a model of that size takes to load and how much memory it needs. What it answers
means nothing. Needs the Python packages gguf and numpy.

  make_big_model.py OUT.gguf [--layers 32]
"""

import argparse

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCAB, CONTEXT = 4096, 14336, 32, 8, 128, 32000, 32768


def random_q4_k(rng, rows, columns):
    """Blocks of random quants and scales whose weights are about 0.02 around zero."""
    n_blocks = rows * columns // 256
    blocks = rng.integers(0, 256, (n_blocks, 144), dtype=np.uint8)
    d = np.full(n_blocks, 1.4e-4, dtype=np.float16)
    blocks[:, 0:2] = d.view(np.uint8).reshape(-1, 2)
    blocks[:, 2:4] = (d * np.float16(7.5)).view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def add_metadata(writer, n_layers):
    writer.add_name("Random 7B")
    writer.add_block_count(n_layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    letters = [chr(c) for c in range(33, 127)]
    writer.add_token_list(letters + [f"t{i}" for i in range(VOCAB - len(letters))])
    writer.add_token_types([1] * VOCAB)
    writer.add_token_merges(["t 0"])
    writer.add_add_bos_token(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, default=32)
    args = parser.parse_args()
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(args.out, "llama")
    add_metadata(writer, args.layers)
    # Every layer has the same weights: one copy of each is in memory here.
    shapes = {"attn_q": (HEADS * HEAD_DIM, HIDDEN), "attn_k": (KV_HEADS * HEAD_DIM, HIDDEN),
              "attn_v": (KV_HEADS * HEAD_DIM, HIDDEN), "attn_output": (HIDDEN, HEADS * HEAD_DIM),
              "ffn_gate": (FFN, HIDDEN), "ffn_up": (FFN, HIDDEN), "ffn_down": (HIDDEN, FFN)}
    weights = {part: random_q4_k(rng, *shape) for part, shape in shapes.items()}
    norm = np.ones(HIDDEN, dtype=np.float32)
    for name in ("token_embd.weight", "output.weight"):
        writer.add_tensor(name, random_q4_k(rng, VOCAB, HIDDEN), raw_dtype=Type.Q4_K)
    for layer in range(args.layers):
        for part, weight in weights.items():
            writer.add_tensor(f"blk.{layer}.{part}.weight", weight, raw_dtype=Type.Q4_K)
        for part in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{part}.weight", norm)
    writer.add_tensor("output_norm.weight", norm)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
