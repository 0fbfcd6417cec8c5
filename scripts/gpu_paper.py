#!/usr/bin/env python3
"""The CUDA engine on paper: bytes, FLOPs, launches and roofline times, computed, not measured.

  scripts/gpu_paper.py     prints the tables of docs/gpu.md, in Markdown

A kernel's time is the larger of bytes / DRAM bandwidth and FLOPs / tensor-core peak, as published;
kernels follow one another, launches cost nothing, every byte that is read twice by a kernel comes
from a cache the second time. So the times are bounds that a real GPU stays above.

The step is the steady state of BatchLLM's workload (arXiv 2412.03594): groups of 16 prompts with a
prefix of 2000 tokens, 200 of their own and 100 answered; rows of decodes and prefill in the
proportion of the job, ROWS of them together. Activations and KV cache are f16, weights have 4 bits
and a scale and a minimum every 32 (5 bits each), embeddings and LM head are f16.
"""

from dataclasses import dataclass

ROWS = 2048
PREFIX, DISTINCT, OUTPUT, DEGREE = 2000, 200, 100, 16
WEIGHT_BYTES = 0.5 + 4 / 32


@dataclass
class Gpu:
    name: str
    bytes_per_s: float
    flops: float  # f16 with f32 accumulation, dense


# Datasheets of the A100 80 GB SXM and the H100 SXM; the emulator's estimates use the same.
GPUS = [Gpu("A100", 2039e9, 312e12), Gpu("H100", 3350e9, 989.4e12)]


@dataclass
class Model:
    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int


MODELS = [
    Model("Llama-3-8B", 32, 4096, 32, 8, 128, 14336, 128256),
    Model("SmolLM2-135M", 30, 576, 9, 3, 64, 1536, 49152),
]


@dataclass
class Step:
    """Rows of one step, and what attention reads and multiplies for them."""
    decodes: float
    prefills: float
    positions_read: float  # K and V, each position once for every kernel item that needs it
    pairs: float           # (row, visible position)

    @property
    def rows(self):
        return self.decodes + self.prefills


def make_step(share_prefill, share_attention):
    decodes = OUTPUT - 1  # of a request; its first token comes from the prompt's last row
    prefills = PREFIX / DEGREE + DISTINCT if share_prefill else PREFIX + DISTINCT
    requests = ROWS / (decodes + prefills)  # that begin, and end, in a step
    n_decodes, n_prefills = requests * decodes, requests * prefills
    own = DISTINCT + OUTPUT / 2
    if share_attention:
        read = n_decodes / DEGREE * PREFIX + n_decodes * own
        read += requests / DEGREE * 2 * PREFIX + requests * DISTINCT
    else:
        read = n_decodes * (PREFIX + own) + requests * (PREFIX + DISTINCT)
        read += requests / DEGREE * PREFIX if share_prefill else 0
    pairs = n_decodes * (PREFIX + own) + requests * DISTINCT * (PREFIX + DISTINCT / 2)
    pairs += (requests / DEGREE if share_prefill else requests) * PREFIX * PREFIX / 2
    return Step(n_decodes, n_prefills, read, pairs)


@dataclass
class Work:
    name: str
    launches: int
    bytes: float
    flops: float = 0.0

    def seconds(self, gpu):
        return max(self.bytes / gpu.bytes_per_s, self.flops / gpu.flops)


def product(name, rows, n_in, n_out, weight_bytes, out_bytes, launches):
    return Work(name, launches,
                launches * (n_in * n_out * weight_bytes + rows * (2 * n_in + out_bytes * n_out)),
                launches * 2.0 * rows * n_in * n_out)


def works(model, step):
    """All kernels of a step, those of the layers together."""
    rows, layers = step.rows, model.layers
    q, kv = model.heads * model.head_dim, model.kv_heads * model.head_dim
    sampled = step.decodes * OUTPUT / (OUTPUT - 1)
    return [
        Work("embed", 1, rows * model.hidden * 6),
        Work("norm", 2 * layers + 1, (2 * layers * rows + sampled) * model.hidden * 6),
        product("gemm: query, key, value", rows, model.hidden, q + 2 * kv, WEIGHT_BYTES, 2, layers),
        Work("rope_append", layers, layers * rows * (2 * (2 * q + 4 * kv) + 4 * model.head_dim)),
        Work("attention", layers,
             layers * (step.positions_read * 4 * kv + rows * 4 * q),
             layers * step.pairs * 4 * q),
        product("gemm: attention output", rows, q, model.hidden, WEIGHT_BYTES, 8, layers),
        product("gemm: gate, up", rows, model.hidden, 2 * model.ffn, WEIGHT_BYTES, 2, layers),
        Work("gated", layers, layers * rows * model.ffn * 6),
        product("gemm: down", rows, model.ffn, model.hidden, WEIGHT_BYTES, 8, layers),
        product("gemm: LM head", sampled, model.hidden, model.vocab, 2, 4, 1),
        Work("logits_parts, sampling", 2, sampled * model.vocab * 4),
    ]


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def print_kernels(model, step):
    print(f"{model.name}, {step.rows:.0f} rows: {step.decodes:.0f} decodes, "
          f"{step.prefills:.0f} of prefill, sharing on\n")
    print("| kernel | launches | GB | TFLOP |"
          + "".join(f" {gpu.name} ms | bound by |" for gpu in GPUS))
    print("|---|---:|---:|---:|" + "---:|---|" * len(GPUS))
    total = Work("together", 0, 0.0)
    seconds = [0.0] * len(GPUS)
    for work in works(model, step):
        cells = ""
        for i, gpu in enumerate(GPUS):
            seconds[i] += work.seconds(gpu)
            bound = "DRAM" if work.bytes / gpu.bytes_per_s > work.flops / gpu.flops else "tensor"
            cells += f" {number(work.seconds(gpu) * 1e3)} | {bound} |"
        print(f"| {work.name} | {work.launches} | {number(work.bytes / 1e9)} | "
              f"{number(work.flops / 1e12) if work.flops else '-'} |{cells}")
        total.launches += work.launches
        total.bytes += work.bytes
        total.flops += work.flops
    print(f"| together | {total.launches} | {number(total.bytes / 1e9)} | "
          f"{number(total.flops / 1e12)} |"
          + "".join(f" {number(s * 1e3)} | |" for s in seconds) + "\n")


MODES = [
    ("prefix computed once, read once a group", True, True),
    ("prefix computed once, read by each member", True, False),
    ("nothing shared", False, False),
]


def print_workload():
    print("| model | sharing | rows a request |"
          + "".join(f" {gpu.name} tokens/s | ratio |" for gpu in GPUS))
    print("|---|---|---:|" + "---:|---:|" * len(GPUS))
    for model in MODELS:
        rates = {}
        for name, share_prefill, share_attention in MODES:
            step = make_step(share_prefill, share_attention)
            sampled = step.decodes * OUTPUT / (OUTPUT - 1)
            rates[name] = [sampled / sum(work.seconds(gpu) for work in works(model, step))
                           for gpu in GPUS]
        base = rates[MODES[-1][0]]
        for name, share_prefill, share_attention in MODES:
            step = make_step(share_prefill, share_attention)
            rows = step.rows / step.decodes * (OUTPUT - 1)
            print(f"| {model.name} | {name} | {rows:.0f} |"
                  + "".join(f" {rate:,.0f} | {rate / of:.2f} |"
                            for rate, of in zip(rates[name], base)))


def main():
    for model in MODELS:
        print_kernels(model, make_step(True, True))
    print_workload()


if __name__ == "__main__":
    main()
