#!/usr/bin/env python3
"""Perplexity of texts by the log-probabilities that prefold gives their tokens.

  perplexity.py prompts TEXT ... > prompts.jsonl     passages out of text files, to be scored
  perplexity.py compare FIRST.jsonl OTHER.jsonl ...  perplexity of each results file, and how far
                                                     its log-probabilities are from the first's
"""

import argparse
import json
import math


def write_prompts(paths, n_passages, n_chars):
    texts = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    text = "\n".join(texts)
    for i in range(n_passages):
        begin = i * len(text) // n_passages
        line = {"id": f"passage-{i}", "prompt": text[begin : begin + n_chars], "max_tokens": 1,
                "temperature": 0, "prompt_logprobs": 0}
        print(json.dumps(line, ensure_ascii=False))


def read_logprobs(path):
    """Of every prompt token but the first, passages by id."""
    logprobs = []
    with open(path, encoding="utf-8") as file:
        results = sorted((json.loads(line) for line in file), key=lambda result: result["id"])
    for result in results:
        if "prompt_logprobs" not in result:
            raise SystemExit(f"{path}: {result['id']} has no prompt_logprobs")
        logprobs += [token["logprob"] for token in result["prompt_logprobs"][1:]]
    return logprobs


def compare(paths):
    first = read_logprobs(paths[0])
    first_perplexity = math.exp(-sum(first) / len(first))
    print(f"{paths[0]}: {len(first)} tokens, perplexity {first_perplexity:.4f}")
    for path in paths[1:]:
        other = read_logprobs(path)
        if len(other) != len(first):
            raise SystemExit(f"{path}: {len(other)} tokens, {paths[0]} has {len(first)}")
        perplexity = math.exp(-sum(other) / len(other))
        apart = sorted(abs(a - b) for a, b in zip(first, other))
        print(f"{path}: perplexity {perplexity:.4f} ({100 * (perplexity / first_perplexity - 1):+.3f} %)"
              f", |difference of log-probability| median {apart[len(apart) // 2]:.2e}"
              f", p99 {apart[len(apart) * 99 // 100]:.2e}, largest {apart[-1]:.2e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    prompts = commands.add_parser("prompts")
    prompts.add_argument("texts", nargs="+")
    prompts.add_argument("--passages", type=int, default=10)
    prompts.add_argument("--chars", type=int, default=5000)
    comparison = commands.add_parser("compare")
    comparison.add_argument("results", nargs="+")
    args = parser.parse_args()
    if args.command == "prompts":
        write_prompts(args.texts, args.passages, args.chars)
    else:
        compare(args.results)


main()
