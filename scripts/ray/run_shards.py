#!/usr/bin/env python3
"""Answers the shards of a divided job as Ray tasks, wherever the Ray cluster has room.

    prefold plan -m MODEL -i prompts.jsonl --shards 64 --shard-dir FOLDER
    scripts/ray/run_shards.py FOLDER --cpus 8 -- -m MODEL [options of prefold run]
    prefold merge --shard-dir FOLDER -o results.jsonl

FOLDER has to be one that all nodes see. A shard whose worker, node or process dies is begun again by
Ray and goes on where it was; the same command again goes on with whatever is left. Needs `pip install
ray`. Exit status: 0 every line has its result (prefold merge tells which ones failed), else 2.
"""
import argparse
import ctypes
import os
import pathlib
import signal
import subprocess
import sys

import ray

CANNOT_RUN = 2


class Interrupted(Exception):
    """prefold was stopped or killed: the same command goes on."""


def die_with_parent():
    """If Ray's worker is killed, so is its prefold, and the next worker can have the output."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


@ray.remote(retry_exceptions=[Interrupted])
def run_shard(command):
    status = subprocess.run(command, preexec_fn=die_with_parent).returncode
    if status < 0 or status > CANNOT_RUN:
        raise Interrupted(f"{' '.join(command)}: status {status}")
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--cpus", type=float, default=1, help="of a task; pass --threads on too [1]")
    parser.add_argument("--gpus", type=float, default=0, help="of a task [0]")
    parser.add_argument("--retries", type=int, default=20, help="of a shard [20]")
    parser.add_argument("--address", help="of the Ray cluster [the environment's, else this machine]")
    parser.add_argument("options", nargs="+", help="after --: options of prefold run")
    args = parser.parse_args()
    folder = args.folder.resolve()
    shards = sorted(folder.glob("shard-[0-9][0-9][0-9][0-9].jsonl"))
    if not shards or not (folder / "manifest.json").exists():
        print(f"{folder} has no manifest.json with shards: prefold plan --shard-dir makes them",
              file=sys.stderr)
        sys.exit(CANNOT_RUN)

    ray.init(address=args.address)
    script = str(pathlib.Path(__file__).resolve().parent.parent / "run-shard")
    task = run_shard.options(
        num_cpus=args.cpus,
        num_gpus=args.gpus,
        max_retries=args.retries,
        runtime_env={"env_vars": {"PREFOLD": os.environ.get("PREFOLD", "prefold")}},
    )
    waiting = {}
    for number, shard in enumerate(shards):
        waiting[task.remote([script, str(folder), str(number), "-q", *args.options])] = shard.stem
    all_done = True
    while waiting:
        (ready,), _ = ray.wait(list(waiting))
        name = waiting.pop(ready)
        try:
            done = ray.get(ready) != CANNOT_RUN
            print(f"{name}: {'done' if done else 'cannot run'}; {len(waiting)} left", flush=True)
        except ray.exceptions.RayError as error:
            done = False
            print(f"{name}: given up: {error}", file=sys.stderr, flush=True)
        all_done = all_done and done
    sys.exit(0 if all_done else CANNOT_RUN)


if __name__ == "__main__":
    main()
