#!/usr/bin/env python3
"""Counts, in the emulator, what the CUDA engine's kernels do on the shapes of an 8B model, prints a
table and compares it with tests/cuda/quality.json. Exit status 1 where a kernel is worse than that
allows. Nothing is timed: the times are roofline estimates from published peak rates.

  scripts/gpu_profile.py [--build DIR] [--registers DIR] [--markdown] [--worst] [CASE...]

Each case of `kernel_bench --device cuda --list` runs in a process of its own. A line of the table is
a kernel of a case:
  coalesced  distinct bytes asked for / bytes of the sectors that carry them, in global memory
  conflicts  shared memory wavefronts / those without bank conflicts
  bytes      sectors from and to DRAM with a cold cache that keeps all / what the case must move
  tensor     FLOPs of mma instructions / FLOPs of the case's products: below 1, some are computed
             elsewhere; above 1, rows or positions of tiles are padding
  A100, H100 estimate in microseconds, what binds it, how often the time of DRAM or tensor cores,
             whichever is more, goes into it (1.0 where these bind it), and the resident warps a
             multiprocessor has by the registers and shared memory that ptxas gives the kernel
bytes and tensor are the case's: of all its kernels together. --worst names the source lines that
waste most.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import gpu_registers

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEVICES = {"A100": ("A100-SXM4-80GB", "80"), "H100": ("H100-SXM5-80GB", "90")}


def run_bench(build, arguments, environment):
    env = {key: value for key, value in os.environ.items() if not key.startswith("CUDAEMU_")}
    env["LD_LIBRARY_PATH"] = f"{build}/cuda-emulator/lib"
    env["CUDAEMU_CC"] = "80"
    run = subprocess.run([f"{build}/kernel_bench", "--device", "cuda", *arguments],
                         env=env | environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"gpu_profile: kernel_bench {' '.join(arguments)} ended with status "
                 f"{run.returncode}:\n{run.stdout}{run.stderr}")
    return run.stdout


def warps_per_sm(row, registers, arch):
    """Of the launch, with the shared memory of both; None where ptxas has not been asked."""
    found = {values[arch][0] for (_, kernel), values in registers.items()
             if kernel == row["name"] and arch in values}
    if not found:
        return None
    warps = -(-row["block"][0] * row["block"][1] * row["block"][2] // 32)
    shared = row["static_smem"] + row["dynamic_smem"] + 1024
    shared_sm = {"80": 164, "90": 228}[arch] * 1024
    per_warp = -(-max(found) // 8) * 8 * 32
    blocks = min(32, 64 // warps, shared_sm // shared, 65536 // (per_warp * warps))
    return blocks * warps


def profile_case(build, case, registers):
    """Lines of the table, as dictionaries."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "profile.json"
        output = run_bench(build, ["--once", "--cases", case], {"CUDAEMU_PROFILE": str(file)})
        work = json.loads(output)
        profile = json.loads(file.read_text())
    kernels = [row for row in profile["kernels"] if not row["kernel"].startswith("probe")]
    names = gpu_registers.readable([row["symbol"] for row in kernels])
    kernels = [row | {"name": names[row["symbol"]]} for row in kernels
               if names[row["symbol"]] != "probe"]
    moved = sum(row["dram_read_bytes"] + row["dram_write_bytes"] for row in kernels)
    flops = sum(mma["flops"] for row in kernels for mma in row["mma"])
    lines = []
    for row in kernels:
        line = {
            "case": case,
            "kernel": row["name"],
            "coalesced": row["coalescing_efficiency"],
            "conflicts": row["conflict_factor"],
            "bytes": moved / work["bytes"],
            "tensor": flops / work["flops"] if work["flops"] else None,
            "worst": row["worst"],
        }
        for device, (name, arch) in DEVICES.items():
            estimate = row["estimate"][name]
            roof = max(estimate["dram_us"], estimate["tensor_us"])
            line[device] = {"us": estimate["us"], "bound": estimate["bound"],
                            "over_roof": estimate["us"] / roof,
                            "warps": warps_per_sm(row, registers, arch)}
        lines.append(line)
    return lines


def findings(line, quality):
    """What is worse than allowed."""
    where = f"{line['case']}: {line['kernel']}"
    limits = dict(quality["limits"])
    for rule in quality["exceptions"]:  # a later one overrides those before it
        if re.search(rule["kernel"], where):
            limits |= {key: value for key, value in rule.items() if key in limits}
    wrong = []
    if line["coalesced"] is not None and line["coalesced"] < limits["coalesced_min"]:
        wrong.append(f"{where}: coalescing {line['coalesced']:.3f}, at least "
                     f"{limits['coalesced_min']} wanted")
    if line["conflicts"] is not None and line["conflicts"] > limits["conflicts_max"]:
        wrong.append(f"{where}: bank conflict factor {line['conflicts']:.3f}, at most "
                     f"{limits['conflicts_max']} wanted")
    if line["bytes"] > limits["bytes_max"]:
        wrong.append(f"{where}: moves {line['bytes']:.3f} times what it must, at most "
                     f"{limits['bytes_max']} wanted")
    if line["tensor"] is not None and line["tensor"] < 1:
        wrong.append(f"{where}: {line['tensor']:.3f} of the products are on tensor cores")
    for device in DEVICES:
        if line[device]["over_roof"] > limits[f"{device}_max"]:
            wrong.append(f"{where}: bound by {line[device]['bound']} on {device}, "
                         f"{line[device]['over_roof']:.2f} times the roofline of DRAM and tensor "
                         f"cores, at most {limits[f'{device}_max']} wanted")
    return wrong


def print_table(lines, markdown):
    def number(value, digits=2):
        return "-" if value is None else f"{value:.{digits}f}"

    heads = ["case", "kernel", "coalesced", "conflicts", "bytes", "tensor", *DEVICES]
    rows = [heads]
    for line in lines:
        devices = [f"{line[device]['us']:.1f} {line[device]['bound']} "
                   f"x{line[device]['over_roof']:.2f}, "
                   f"{line[device]['warps'] or '-'} warps" for device in DEVICES]
        rows.append([line["case"], line["kernel"], number(line["coalesced"], 3),
                     number(line["conflicts"]), number(line["bytes"]), number(line["tensor"]),
                     *devices])
    if markdown:
        print("| " + " | ".join(heads) + " |\n|---|---|---:|---:|---:|---:|---|---|")
        for row in rows[1:]:
            print(f"| {row[0]} | `{row[1]}` | " + " | ".join(row[2:]) + " |")
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    for row in rows:
        print(*(cell.ljust(width) for cell, width in zip(row, widths)), sep="  ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--registers", type=pathlib.Path, default=ROOT / "build/gpu-registers",
                        help="working folder of gpu_registers.py")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--worst", action="store_true")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    options = parser.parse_args()

    registers, errors = gpu_registers.collect(options.registers, len(os.sched_getaffinity(0)))
    cases = options.cases or run_bench(options.build, ["--list"], {}).split()
    lines = [line for case in cases for line in profile_case(options.build, case, registers)]
    print_table(lines, options.markdown)
    if options.worst:
        for line in lines:
            for waste in line["worst"]:
                print(f"{line['case']}: {line['kernel']}: {waste['kind']} {waste['factor']:.3f}, "
                      f"{waste['share']:.0%}: {waste['source']} {waste['ptx']}")
    quality = json.loads((ROOT / "tests/cuda/quality.json").read_text())
    for line in lines:
        errors += findings(line, quality)
    for error in errors:
        print(f"gpu_profile: {error}", file=sys.stderr)
    print(f"gpu_profile: {len(cases)} cases, {len(errors)} findings", file=sys.stderr)
    return 1 if errors or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
