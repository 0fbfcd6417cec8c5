#!/usr/bin/env python3
"""Converts a small PEFT adapter to GGUF by the conventions of llama.cpp's convert_lora_to_gguf.py,
for tests: names by gguf-py's own map, rows of B permuted and regrouped as hf_to_gguf.py does with
those of the model's matrices.

  lora_to_gguf.py MODEL_FOLDER ADAPTER_FOLDER OUT.gguf [--quantise]

--quantise: A as Q8_0 and B as F16, else both as F32. Needs the packages gguf and numpy. The files of
tests/data/lora were made with gguf 0.19.0:

  for name in llama3 gpt2 gpt_neox phi3; do
    scripts/lora_to_gguf.py tests/data/models/$name tests/data/lora/$name-a tests/data/lora/$name-a.gguf
  done
  scripts/lora_to_gguf.py --quantise tests/data/models/llama3 tests/data/lora/llama3-a \\
    tests/data/lora/llama3-a-q8.gguf
"""

import argparse
import json
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

import hf_to_gguf


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("adapter", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--quantise", action="store_true")
    args = parser.parse_args()
    converter = hf_to_gguf.Converter(args.model)
    config = json.loads((args.adapter / "adapter_config.json").read_text())
    tensors, _ = hf_to_gguf.load_tensors(args.adapter)
    writer = gguf.GGUFWriter(args.out, converter.arch)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(config["lora_alpha"]))
    for name, value in sorted(tensors.items()):
        module, half = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".", 1)
        ours = converter.names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        if ours is None:
            raise SystemExit(f"no GGUF name for {name}")
        if half == "lora_B" and converter.arch != "gpt2":  # gpt2's B is not stored transposed
            value = converter.convert(f"{module}.weight", value)
        kind = Type.F32
        if args.quantise:
            kind = Type.Q8_0 if half == "lora_A" else Type.F16
        writer.add_tensor(f"{ours}.{half.lower()}",
                          gguf.quants.quantize(np.ascontiguousarray(value), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
