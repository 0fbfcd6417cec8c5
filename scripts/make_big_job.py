#!/usr/bin/env python3
"""Writes a large job to standard output, one JSON object a line; the same for the same arguments.

    scripts/make_big_job.py --prompts 100000 --groups 1000 >job.jsonl          # texts of data/bench
    scripts/make_big_job.py --prompts 1000000 --groups 20000 --ids >job.jsonl  # token ids: no tokeniser

Each prompt is the prefix of its group and an ending of its own. With --systems, groups are divided among
so many prefixes that come before their own; with --skew, group i gets a share like 1 / (i + 1)^SKEW. With --ids, ids are below
--vocabulary, and --prefix-tokens and --own-tokens are exact; with texts they are words. A share of
--duplicates repeats an earlier prompt. Needs nothing but Python.
"""
import argparse
import bisect
import itertools
import json
import pathlib
import random
import sys

TEXTS = pathlib.Path(__file__).resolve().parent.parent / "data" / "bench"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--prompts", type=int, required=True)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--prefix-tokens", type=int, default=80)
    parser.add_argument("--systems", type=int, default=0)
    parser.add_argument("--system-tokens", type=int, default=300)
    parser.add_argument("--skew", type=float, default=0.0)
    parser.add_argument("--own-tokens", type=int, default=20)
    parser.add_argument("--duplicates", type=float, default=0.0, help="share of prompts, 0 to 1")
    parser.add_argument("--max-tokens", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=256)
    parser.add_argument("--ids", action="store_true", help="prompt_token_ids instead of prompt")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    rng = random.Random(args.seed)
    if args.ids:
        units = [str(i) for i in range(20, args.vocabulary)]
        join = ",".join
    else:
        units = (TEXTS / "articles.txt").read_text().split()
        join = " ".join

    def piece(n):
        """n neighbouring words of the texts, or n random ids."""
        if args.ids:
            return rng.choices(units, k=n)
        start = rng.randrange(max(1, len(units) - n))
        return units[start : start + n]

    prefixes = [join(piece(args.prefix_tokens)) for _ in range(args.groups)]
    if args.systems > 0:
        systems = [join(piece(args.system_tokens)) for _ in range(args.systems)]
        prefixes = [join([systems[g % args.systems], prefix]) for g, prefix in enumerate(prefixes)]
    shares = list(itertools.accumulate((g + 1) ** -args.skew for g in range(args.groups)))

    def group():
        return rng.randrange(args.groups) if args.skew == 0 else bisect.bisect(shares, rng.random() * shares[-1])

    prompts_made = []
    for i in range(args.prompts):
        if prompts_made and rng.random() < args.duplicates:
            prompt = prompts_made[rng.randrange(len(prompts_made))]
        else:
            prompt = join([prefixes[group()], *piece(args.own_tokens)])
            if args.duplicates > 0:
                prompts_made.append(prompt)
        field = f'"prompt_token_ids":[{prompt}]' if args.ids else f'"prompt":{json.dumps(prompt)}'
        sys.stdout.write(
            f'{{"id":"q{i}",{field},"max_tokens":{args.max_tokens},"temperature":0,"ignore_eos":true}}\n'
        )


if __name__ == "__main__":
    main()
