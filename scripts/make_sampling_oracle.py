#!/usr/bin/env python3
"""Writes tests/data/sampling_oracle.json: the distributions that vLLM samples from.

    scripts/make_sampling_oracle.py >tests/data/sampling_oracle.json

Each case has logits, parameters, prompt and output so far, and the probability of every token that
can come next, by vLLM's own functions in the order of its sampler: logit_bias, penalties,
temperature, min_p, top_k, top_p. Needs vllm and torch.
"""
import json
import random
import sys

import torch
from vllm._custom_ops import apply_repetition_penalties_torch
from vllm.model_executor.layers.utils import get_token_bin_counts_and_mask
from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch

N_VOCAB = 40
N_CASES = 60


def penalised(logits, case):
    """As vllm.model_executor.layers.utils.apply_penalties, whose custom op needs a GPU."""
    tokens = lambda ids: torch.tensor([ids if ids else [N_VOCAB]])
    _, in_prompt = get_token_bin_counts_and_mask(tokens(case["prompt"]), N_VOCAB, 1)
    counts, in_output = get_token_bin_counts_and_mask(tokens(case["output"]), N_VOCAB, 1)
    apply_repetition_penalties_torch(
        logits, in_prompt, in_output, torch.tensor([case["repetition_penalty"]])
    )
    logits -= torch.tensor([[case["frequency_penalty"]]]) * counts
    logits -= torch.tensor([[case["presence_penalty"]]]) * in_output
    return logits


def distribution(case):
    logits = torch.tensor([case["logits"]])
    for token, bias in case["logit_bias"].items():
        logits[0, int(token)] += bias
    logits = penalised(logits, case) / case["temperature"]
    if case["min_p"] > 0:  # vllm/v1/sample/logits_processor/builtin.py, MinPLogitsProcessor
        weights = torch.softmax(logits, dim=-1)
        least = weights.amax(dim=-1, keepdim=True) * case["min_p"]
        logits.masked_fill_(weights < least, -float("inf"))
    top_k = torch.tensor([case["top_k"]]) if case["top_k"] > 0 else None
    top_p = torch.tensor([case["top_p"]]) if case["top_p"] < 1 else None
    logits = apply_top_k_top_p_pytorch(logits, top_k, top_p)
    return torch.softmax(logits, dim=-1)[0]


def random_case(rng):
    ids = lambda n: [rng.randrange(N_VOCAB) for _ in range(n)]
    few = lambda usual, *others: usual if rng.random() < 0.5 else rng.choice(others)
    return {
        "logits": [round(rng.gauss(0, 3), 4) for _ in range(N_VOCAB)],
        "temperature": rng.choice([0.5, 1.0, 1.0, 1.5]),
        "top_k": few(0, 3, 10, N_VOCAB),
        "top_p": few(1.0, 0.3, 0.8, 0.95),
        "min_p": few(0.0, 0.02, 0.2),
        "repetition_penalty": few(1.0, 0.7, 1.3, 2.0),
        "presence_penalty": few(0.0, -1.5, 0.5, 2.0),
        "frequency_penalty": few(0.0, -0.5, 0.4, 1.0),
        "logit_bias": {str(i): rng.choice([-100, -2.5, 1, 4]) for i in ids(few(0, 1, 3))},
        "prompt": ids(rng.randrange(12)),
        "output": ids(rng.randrange(12)),
    }


def main():
    rng = random.Random(7)
    cases = []
    for _ in range(N_CASES):
        case = random_case(rng)
        case["probabilities"] = {
            str(i): round(p, 6) for i, p in enumerate(distribution(case).tolist()) if p > 0
        }
        cases.append(case)
    sys.stdout.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
