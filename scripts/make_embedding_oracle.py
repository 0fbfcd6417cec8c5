#!/usr/bin/env python3
"""Writes tests/data/e2e/tiny_bpe_embeddings.json: transformers' hidden states after the final norm
of the tiny byte-level BPE model, those of the last token and the mean over all tokens, each made
unit length, for comparison with our embedding lines. tests/data/README.md describes the file."""

import json
import pathlib

import gguf
import torch

import gguf_to_hf

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "tests/data/models/tiny_bpe.gguf"
OUT = ROOT / "tests/data/e2e/tiny_bpe_embeddings.json"

SHARED = "The quick brown fox jumps over the lazy dog. " * 9  # some blocks of the KV cache
TEXTS = [
    "a",
    "The capital of France is Paris.",
    SHARED,
    SHARED + "And then it sleeps.",
    SHARED + "And then it runs away, as foxes do.",
    "日本語のテキスト und Ärger",
]
IDS = [261 + (i * i * 31 + 7 * i) % 200 for i in range(100)]


@torch.no_grad()
def embed(model, ids):
    hidden = model.model(torch.tensor([ids])).last_hidden_state[0].double()
    pooled = {"last": hidden[-1], "mean": hidden.mean(dim=0)}
    return {
        name: [round(value, 7) for value in torch.nn.functional.normalize(vector, dim=0).tolist()]
        for name, vector in pooled.items()
    }


def main():
    meta = gguf_to_hf.metadata(gguf.GGUFReader(MODEL))
    tokenizer = gguf_to_hf.BpeTokenizer(meta)
    model = gguf_to_hf.load_model(MODEL)
    bos = [meta["tokenizer.ggml.bos_token_id"]] if meta["tokenizer.ggml.add_bos_token"] else []
    cases = []
    for text in TEXTS:
        ids = bos + tokenizer.encode(text)
        cases.append({"input": text, "n_tokens": len(ids)} | embed(model, ids))
    cases.append({"input": IDS, "n_tokens": len(IDS)} | embed(model, IDS))
    oracle = {
        "schema": "embedding-oracle/1",
        "model": MODEL.name,
        "model_sha256": gguf_to_hf.sha256(MODEL),
        "origin": "scripts/make_embedding_oracle.py: transformers LlamaModel in f32",
        "versions": gguf_to_hf.versions(),
        "cases": cases,
    }
    text = json.dumps(oracle, ensure_ascii=False, separators=(",", ":"))
    OUT.write_text(text.replace('{"input":', '\n{"input":') + "\n", encoding="utf-8")
    print(f"{OUT.name}: {len(cases)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
