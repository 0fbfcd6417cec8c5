#!/usr/bin/env python3
"""Writes tests/data/rope_oracle.txt: rotary frequencies as transformers computes them (in f32), one
case a line: scaling theta rotary_dim factor original_context beta_fast beta_slow magnitude f0 f1 ...
Needs the Python packages torch and transformers; the file in the repository was made with
transformers 5.23.0 and torch 2.15.0. Run from the root of the sources.
"""

import pathlib

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

CASES = [
    # scaling, theta, rotary_dim, factor, original_context, beta_fast, beta_slow
    ("linear", 10000.0, 64, 4.0, 2048, 32.0, 1.0),
    ("yarn", 10000.0, 128, 16.0, 4096, 32.0, 1.0),
    ("yarn", 1000000.0, 128, 4.0, 32768, 32.0, 1.0),
    ("yarn", 500000.0, 64, 8.0, 8192, 16.0, 2.0),
    ("yarn", 10000.0, 8, 2.0, 128, 32.0, 1.0),
]


def main():
    lines = []
    for scaling, theta, dim, factor, original, fast, slow in CASES:
        parameters = {"rope_type": scaling, "rope_theta": theta, "factor": factor}
        if scaling == "yarn":
            parameters |= {"original_max_position_embeddings": original, "beta_fast": fast,
                           "beta_slow": slow}
        config = LlamaConfig(hidden_size=dim * 4, num_attention_heads=4, head_dim=dim,
                             max_position_embeddings=int(original * factor),
                             rope_parameters=parameters)
        frequencies, magnitude = ROPE_INIT_FUNCTIONS[scaling](config, device="cpu")
        values = [theta, dim, factor, original, fast, slow, magnitude, *frequencies.tolist()]
        lines.append(" ".join([scaling, *(f"{value:.9g}" for value in values)]))
    pathlib.Path("tests/data/rope_oracle.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
