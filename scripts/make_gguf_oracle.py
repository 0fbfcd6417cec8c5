#!/usr/bin/env python3
"""Writes tests/data/gguf/: what gguf-py (the reference reader and writer of the GGUF format) makes
of stored blocks, and a tiny model file. Needs the Python packages gguf and numpy; the files in the
repository were made with gguf 0.19.0 and numpy 2.4.6. Run from the root of the sources.

  TYPE.bin   stored blocks of that type, then the f32 values gguf.quants.dequantize gives for them
  tiny.gguf  a llama model of two layers with random weights of many types
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

OUT = pathlib.Path("tests/data/gguf")

# Where the f16 scales and minima lie in a block.
F16_OFFSETS = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}
# Of types added later, so that the files of the others stay as they are.
LATER_F16_OFFSETS = {Type.IQ4_NL: [0], Type.IQ4_XS: [0], Type.MXFP4: []}
# Largest, smallest normal, largest and smallest subnormal, zeros, infinities, NaN, one, a third.
EXTREME_F16 = [0x7BFF, 0xFBFF, 0x0400, 0x03FF, 0x8001, 0x0000, 0x8000, 0x7C00, 0xFC00, 0x7E01,
               0x3C00, 0x3555]
PLAIN_BITS = {
    Type.F16: (np.uint16, EXTREME_F16),
    Type.BF16: (np.uint16, [0x7F7F, 0xFF7F, 0x0080, 0x0001, 0x8000, 0x7F80, 0xFF80, 0x7FC1]),
    Type.F32: (np.uint32, [0x7F7FFFFF, 0x00000001, 0x80000000, 0x7F800000, 0x7FC00001]),
}


def quantised_blocks(rng, qtype):
    block_elements, block_bytes = gguf.GGML_QUANT_SIZES[qtype]
    n_random = 12 if block_elements == 32 else 3
    random = rng.integers(0, 256, (n_random, block_bytes), dtype=np.uint8)
    usual = rng.integers(0, 256, (n_random, block_bytes), dtype=np.uint8)
    extreme = rng.integers(0, 256, (len(EXTREME_F16), block_bytes), dtype=np.uint8)
    for offset in {**F16_OFFSETS, **LATER_F16_OFFSETS}[qtype]:
        scales = rng.normal(0, 0.01, n_random).astype(np.float16)
        usual[:, offset:offset + 2] = scales.view(np.uint8).reshape(n_random, 2)
        bits = rng.permutation(np.array(EXTREME_F16, dtype=np.uint16))
        extreme[:, offset:offset + 2] = bits.view(np.uint8).reshape(-1, 2)
    zeros = np.zeros((1, block_bytes), dtype=np.uint8)
    return np.concatenate([random, usual, extreme, zeros, zeros + 0xFF])


def write_oracle(rng, qtype):
    if qtype in PLAIN_BITS:
        dtype, extreme = PLAIN_BITS[qtype]
        random = rng.integers(0, np.iinfo(dtype).max, 50, dtype=dtype, endpoint=True)
        stored = np.concatenate([random, np.array(extreme, dtype=dtype)]).view(np.uint8)
    else:
        stored = quantised_blocks(rng, qtype)
    with np.errstate(all="ignore"):
        values = gguf.quants.dequantize(stored, qtype)
    content = stored.tobytes() + np.ascontiguousarray(values, dtype="<f4").tobytes()
    (OUT / f"{qtype.name}.bin").write_bytes(content)


def add_quantised(rng, writer, name, rows, columns, qtype):
    weights = rng.normal(0, 0.3, (rows, columns)).astype(np.float32)
    writer.add_tensor(name, gguf.quants.quantize(weights, qtype), raw_dtype=qtype)


def write_tiny_model(rng):
    n_layers, hidden, n_heads, n_kv_heads, head_dim, ffn, vocab = 2, 32, 4, 2, 8, 64, 64
    writer = gguf.GGUFWriter(OUT / "tiny.gguf", "llama")
    writer.add_name("Tiny")
    writer.add_block_count(n_layers)
    writer.add_context_length(128)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_kv_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    letters = [chr(c) for c in range(33, 33 + vocab - 4)]
    writer.add_token_list(["<|endoftext|>", "<|im_end|>"] + letters + ["in", "ing"])
    writer.add_token_types([3, 3] + [1] * (vocab - 2))
    writer.add_token_merges(["i n", "in g"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")

    add_quantised(rng, writer, "token_embd.weight", vocab, hidden, Type.Q8_0)
    for layer in range(n_layers):
        def name(part):
            return f"blk.{layer}.{part}.weight"
        types = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.F16, Type.BF16, Type.Q8_0]
        types = types[layer:] + types[:layer]
        norm = rng.normal(1, 0.1, hidden).astype(np.float32)
        writer.add_tensor(name("attn_norm"), norm)
        add_quantised(rng, writer, name("attn_q"), n_heads * head_dim, hidden, types[0])
        add_quantised(rng, writer, name("attn_k"), n_kv_heads * head_dim, hidden, types[1])
        add_quantised(rng, writer, name("attn_v"), n_kv_heads * head_dim, hidden, types[2])
        add_quantised(rng, writer, name("attn_output"), hidden, n_heads * head_dim, types[3])
        writer.add_tensor(name("ffn_norm"), norm[::-1].copy())
        add_quantised(rng, writer, name("ffn_gate"), ffn, hidden, types[4])
        add_quantised(rng, writer, name("ffn_up"), ffn, hidden, types[5])
        add_quantised(rng, writer, name("ffn_down"), hidden, ffn, types[6])
    writer.add_tensor("output_norm.weight", np.linspace(0.5, 1.5, hidden, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20240611)
    for qtype in [*PLAIN_BITS, *F16_OFFSETS]:
        write_oracle(rng, qtype)
    write_tiny_model(rng)
    rng = np.random.default_rng(20261126)
    for qtype in LATER_F16_OFFSETS:
        write_oracle(rng, qtype)


if __name__ == "__main__":
    main()
