#!/usr/bin/env python3
"""Writes tests/data/int4/: matrices of GPTQ and AWQ checkpoints, packed and dequantised here in
NumPy by their published layouts, as safetensors. Needs the packages numpy and safetensors. Run from
the root of the sources; a second run gives the same bytes.

  gptq.safetensors     first version: zeros are stored less one; groups of 32, symmetric and not
  gptq_v2.safetensors  zeros as they are; groups of 64
  gptq_act_order.safetensors  groups of 32 whose inputs lie anywhere (g_idx is shuffled)
  awq.safetensors      GEMM packing; groups of 128 (a), and all inputs as one group (b)
Each matrix NAME has the stored tensors NAME.{qweight,qzeros,scales,g_idx} and NAME.wanted, its f32
weights (outputs, inputs).
"""

import pathlib

import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path("tests/data/int4")
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # the output that the i-th 4 bits of a word hold


def pack(numbers, order=range(8)):
    """The last axis, eight 4-bit numbers to an int32."""
    grouped = numbers.reshape(*numbers.shape[:-1], -1, 8).astype(np.uint32)
    words = np.zeros(grouped.shape[:-1], dtype=np.uint32)
    for i, which in enumerate(order):
        words |= grouped[..., which] << np.uint32(4 * i)
    return words.view(np.int32)


def random_matrix(rng, n_in, n_out, group, symmetric):
    quants = rng.integers(0, 16, (n_in, n_out))
    zeros = np.full((n_in // group, n_out), 8) if symmetric else rng.integers(
        1, 17, (n_in // group, n_out))
    scales = rng.uniform(0.001, 0.02, zeros.shape).astype(np.float16)
    rows = np.arange(n_in) // group
    wanted = scales[rows].astype(np.float32) * (quants - zeros[rows]).astype(np.float32)
    return quants, zeros, scales, np.ascontiguousarray(wanted.T)


def gptq(rng, name, n_in, n_out, group, less_one, symmetric=False):
    quants, zeros, scales, wanted = random_matrix(rng, n_in, n_out, group, symmetric)
    if not less_one:
        zeros = np.minimum(zeros, 15)
        wanted = np.ascontiguousarray(
            (scales[np.arange(n_in) // group].astype(np.float32) *
             (quants - zeros[np.arange(n_in) // group]).astype(np.float32)).T)
    return {
        f"{name}.qweight": np.ascontiguousarray(pack(np.ascontiguousarray(quants.T)).T),
        f"{name}.qzeros": pack(zeros - (1 if less_one else 0)),
        f"{name}.scales": scales,
        f"{name}.g_idx": (np.arange(n_in) // group).astype(np.int32),
        f"{name}.wanted": wanted,
    }


def act_order(rng, name, n_in, n_out, group):
    quants, zeros, scales, _ = random_matrix(rng, n_in, n_out, group, False)
    group_of = rng.permutation(np.arange(n_in) // group)
    return gptq_tensors(name, quants, zeros, scales, group_of) | {
        f"{name}.wanted": gptq_values(quants, zeros, scales, group_of),
    }


def gptq_tensors(name, quants, zeros, scales, group_of):
    """As the first version stores them; quants (inputs, outputs), zeros from 1 to 16."""
    return {
        f"{name}.qweight": np.ascontiguousarray(pack(np.ascontiguousarray(quants.T)).T),
        f"{name}.qzeros": pack(zeros - 1),
        f"{name}.scales": scales,
        f"{name}.g_idx": group_of.astype(np.int32),
    }


def gptq_values(quants, zeros, scales, group_of):
    """The f32 weights (outputs, inputs)."""
    values = scales[group_of].astype(np.float32) * (quants - zeros[group_of]).astype(np.float32)
    return np.ascontiguousarray(values.T)


def awq(rng, name, n_in, n_out, group):
    quants, zeros, scales, wanted = random_matrix(rng, n_in, n_out, group, False)
    zeros = np.minimum(zeros, 15)
    rows = np.arange(n_in) // group
    wanted = scales[rows].astype(np.float32) * (quants - zeros[rows]).astype(np.float32)
    return {
        f"{name}.qweight": pack(quants, AWQ_ORDER),
        f"{name}.qzeros": pack(zeros, AWQ_ORDER),
        f"{name}.scales": scales,
        f"{name}.wanted": np.ascontiguousarray(wanted.T),
    }


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20261126)
    save_file({**gptq(rng, "a", 64, 24, 32, True),
               **gptq(rng, "b", 96, 16, 32, True, symmetric=True)}, OUT / "gptq.safetensors")
    save_file(gptq(rng, "a", 128, 16, 64, False), OUT / "gptq_v2.safetensors")
    save_file(act_order(np.random.default_rng(20261127), "a", 96, 16, 32),
              OUT / "gptq_act_order.safetensors")
    save_file({**awq(rng, "a", 256, 16, 128), **awq(rng, "b", 64, 8, 64)}, OUT / "awq.safetensors")


if __name__ == "__main__":
    main()
