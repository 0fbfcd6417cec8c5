#!/usr/bin/env python3
"""Compiles kernels/cuda/*.cu to machine code of sm_75, sm_80 and sm_90 and prints what each kernel
takes: registers a thread, static shared memory a block, bytes spilled to local memory. Exit status
1 if one spills that tests/cuda/quality.json does not allow to, or if anything fails to compile.

  scripts/gpu_registers.py [--work DIR] [--markdown]

What ptxas said is kept in DIR (build/gpu-registers) and asked again only where a source, an included
header or the compiler has changed. --markdown prints the table as docs/gpu.md has it. nvcc is taken
from CUDACXX, PATH or /usr/local/cuda. Needs no GPU.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURES = ("75", "80", "90")
# As CMakeLists.txt compiles them.
FLAGS = ["-std=c++20", "-O3", "-DNDEBUG", "-fmad=false", f"-I{ROOT}/src", f"-I{ROOT}"]


def find_nvcc():
    for nvcc in (os.environ.get("CUDACXX"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"):
        if nvcc and os.path.exists(nvcc):
            return nvcc
    sys.exit("gpu_registers: nvcc is missing (CUDACXX names one that is not in PATH)")


def digest_of(paths, *texts):
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    for path in paths:
        file = pathlib.Path(path)
        digest.update(f"{path}\0".encode() + (file.read_bytes() if file.exists() else b"gone"))
    return digest.hexdigest()


def compile_one(nvcc, version, source, arch, work):
    """(ptxas's messages, None) or (None, error text)."""
    kept = work / f"{source.stem}.sm_{arch}.json"
    command = [nvcc, *FLAGS, f"-arch=sm_{arch}", "-Xptxas", "-v", "-cubin"]
    key = " ".join(command) + version
    if kept.exists():
        old = json.loads(kept.read_text())
        if old["digest"] == digest_of(old["files"], key):
            return old["messages"], None
    output = work / f"{source.stem}.sm_{arch}"
    depfile = f"{output}.d"
    run = subprocess.run(
        command + ["-MD", "-MF", depfile, str(source), "-o", f"{output}.cubin"],
        capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return None, f"{source} for sm_{arch}:\n{run.stdout}{run.stderr}"
    names = pathlib.Path(depfile).read_text().replace("\\\n", " ").split(":", 1)[1].split()
    files = sorted(name for name in names if pathlib.Path(name).is_relative_to(ROOT))
    kept.write_text(json.dumps(
        {"digest": digest_of(files, key), "files": files, "messages": run.stderr}))
    return run.stderr, None


def parse(messages):
    """Mangled name -> (registers, static shared bytes, bytes spilled)."""
    kernels = {}
    name = None
    for line in messages.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            name = match[1]
            kernels[name] = [0, 0, 0]
        elif match := re.search(r"Function properties for (\w+)", line):
            name = match[1]  # of a function that was not inlined too
        elif match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            if name in kernels:
                kernels[name][2] = max(int(match[1]), int(match[2]))
        elif match := re.search(r"Used (\d+) registers", line):
            if name in kernels:
                kernels[name][0] = int(match[1])
                if shared := re.search(r"(\d+) bytes smem", line):
                    kernels[name][1] = int(shared[1])
    return kernels


def readable(names):
    """Mangled -> name with template arguments, without namespaces and parameters."""
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                          check=True).stdout
    short = {}
    for mangled, name in zip(names, text.splitlines()):
        name = name.replace("(anonymous namespace)::", "").replace("prefold::cuda::", "")
        name = re.sub(r"\((\w+)\)(\d+)", r"\2", name)  # (WeightFormat)2
        name = re.sub(r"^void ", "", name)
        depth = 0
        for i, letter in enumerate(name):  # the parameters begin outside of template arguments
            depth += (letter == "<") - (letter == ">")
            if letter == "(" and depth == 0:
                name = name[:i]
                break
        short[mangled] = name
    return short


def collect(work, jobs):
    """{(file, kernel): {arch: (registers, shared, spilled)}}, and a list of errors."""
    nvcc = find_nvcc()
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    work.mkdir(parents=True, exist_ok=True)
    sources = sorted((ROOT / "kernels/cuda").glob("*.cu"))
    table, errors = {}, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = {(source, arch): pool.submit(compile_one, nvcc, version, source, arch, work)
                for source in sources for arch in ARCHITECTURES}
    for (source, arch), run in runs.items():
        messages, error = run.result()
        if error:
            errors.append(error)
            continue
        kernels = parse(messages)
        names = readable(list(kernels))
        for mangled, values in kernels.items():
            table.setdefault((source.stem, names[mangled]), {})[arch] = tuple(values)
    return table, errors


def print_table(table, markdown):
    heads = ["file", "kernel", *(f"registers sm_{arch}" for arch in ARCHITECTURES), "shared bytes", "spilled"]
    rows = []
    for (file, kernel), archs in sorted(table.items()):
        spilled = [f"sm_{arch}: {values[2]}" for arch, values in archs.items() if values[2]]
        rows.append([file, kernel,
                     *(str(archs[arch][0]) if arch in archs else "-" for arch in ARCHITECTURES),
                     str(max(values[1] for values in archs.values())), ", ".join(spilled) or "0"])
    if markdown:
        print("| " + " | ".join(heads) + " |\n|---|---" + "|---:" * (len(heads) - 2) + "|")
        for row in rows:
            print(f"| {row[0]} | `{row[1]}` | " + " | ".join(row[2:]) + " |")
        return
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        print(row[0].ljust(widths[0]), row[1].ljust(widths[1]),
              *(cell.rjust(width) for cell, width in zip(row[2:], widths[2:])), sep="  ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/gpu-registers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()

    table, errors = collect(options.work, options.jobs)
    print_table(table, options.markdown)

    quality = json.loads((ROOT / "tests/cuda/quality.json").read_text())
    allowed = [rule["kernel"] for rule in quality["may_spill"]]
    for (file, kernel), archs in sorted(table.items()):
        if any(re.search(pattern, f"{file}: {kernel}") for pattern in allowed):
            continue
        for arch, (_, _, spilled) in archs.items():
            if spilled:
                errors.append(f"{file}: {kernel} spills {spilled} bytes on sm_{arch}, which "
                              "tests/cuda/quality.json does not allow")
    for error in errors:
        print(f"gpu_registers: {error}", file=sys.stderr)
    print(f"gpu_registers: {len(table)} kernels for {len(ARCHITECTURES)} architectures, "
          f"{len(errors)} failed", file=sys.stderr)
    return 1 if errors or not table else 0


if __name__ == "__main__":
    sys.exit(main())
