"""A llama-architecture GGUF file as a Hugging Face model: the truth our engine is compared with.

The weights are dequantised to f32 by gguf-py and put into transformers' LlamaForCausalLM through a
state dict of our own; transformers' GGUF loader is not used, because it changes the tokenizer (it
drops the digit split of "smollm").
"""

import hashlib
import importlib.metadata
import re

import gguf
import numpy as np
import sentencepiece
import torch
from gguf.quants import dequantize
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # tokenizer.ggml.token_type


def versions():
    """Of all that takes part in an oracle, for its origin note."""
    names = ("torch", "transformers", "tokenizers", "sentencepiece", "gguf", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def metadata(reader):
    return {key: field.contents() for key, field in reader.fields.items()}


def unpermute(weight, n_heads):
    """Undoes the row order that llama GGUFs give q and k, for rotation of neighbouring pairs."""
    rows, columns = weight.shape
    pairs = weight.reshape(n_heads, rows // n_heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def permute(weight, n_heads):
    """The opposite of unpermute: Hugging Face's row order to GGUF's."""
    rows, columns = weight.shape
    halves = weight.reshape(n_heads, 2, rows // n_heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def tensor_names(n_layers):
    """Hugging Face parameter name -> GGUF tensor name, without output.weight."""
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
    }
    parts = {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    for layer in range(n_layers):
        for theirs, stored in parts.items():
            names[f"model.layers.{layer}.{theirs}.weight"] = f"blk.{layer}.{stored}.weight"
    return names


def load_model(path, dtype=torch.float32):
    """The model in eager attention, evaluation mode. Weights are f32 values held as dtype."""
    reader = gguf.GGUFReader(path)
    meta = metadata(reader)
    stored = {t.name: t for t in reader.tensors}
    n_heads = meta["llama.attention.head_count"]
    n_kv_heads = meta["llama.attention.head_count_kv"]
    hidden = meta["llama.embedding_length"]
    config = LlamaConfig(
        vocab_size=len(meta["tokenizer.ggml.tokens"]),
        hidden_size=hidden,
        intermediate_size=meta["llama.feed_forward_length"],
        num_hidden_layers=meta["llama.block_count"],
        num_attention_heads=n_heads,
        num_key_value_heads=n_kv_heads,
        head_dim=meta.get("llama.attention.key_length", hidden // n_heads),
        max_position_embeddings=meta["llama.context_length"],
        rms_norm_eps=meta["llama.attention.layer_norm_rms_epsilon"],
        rope_theta=meta["llama.rope.freq_base"],
        tie_word_embeddings="output.weight" not in stored,
        attn_implementation="eager",
    )

    def weight(name):
        tensor = stored.pop(name)
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if name.endswith("attn_q.weight"):
            values = unpermute(values, n_heads)
        elif name.endswith("attn_k.weight"):
            values = unpermute(values, n_kv_heads)
        return torch.tensor(values.copy(), dtype=dtype)

    state = {name: weight(src) for name, src in tensor_names(config.num_hidden_layers).items()}
    tied = config.tie_word_embeddings
    state["lm_head.weight"] = state["model.embed_tokens.weight"] if tied else weight("output.weight")
    frequency_factors = stored.pop("rope_freqs.weight", None)
    if stored:
        raise SystemExit(f"{path}: tensors that this script does not know: {', '.join(stored)}")

    model = LlamaForCausalLM(config).to(dtype).eval()
    model.load_state_dict(state)
    if model.config.rope_parameters["rope_theta"] != meta["llama.rope.freq_base"]:
        raise SystemExit(f"{path}: transformers did not take the rope theta of the file")
    if frequency_factors is not None:
        rotary = model.model.rotary_emb
        rotary.inv_freq = rotary.inv_freq / torch.tensor(frequency_factors.data.copy())
    return model


def load_bpe_tokenizer(meta):
    """The byte-level BPE tokenizer of GGUF metadata, as transformers would have it."""
    tokens = meta["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    pre = meta["tokenizer.ggml.pre"]
    if pre == "smollm":
        split = pre_tokenizers.Digits(individual_digits=True)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    elif pre == "qwen2":
        split = pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    else:
        raise SystemExit(f'pre-tokenizer "{pre}": this script knows smollm and qwen2')
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = meta["tokenizer.ggml.token_type"]
    control = [t for t, kind in zip(tokens, kinds) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False)


class BpeTokenizer:
    """encode(text) and decode(ids) of a byte-level BPE file; spelled control tokens are parsed."""

    def __init__(self, meta):
        self.tokenizer = load_bpe_tokenizer(meta)

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def decode(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=True)


class SpmTokenizer:
    """The same for a SentencePiece model, which must hold the GGUF file's pieces.

    Text between control tokens is encoded piece by piece, each with SentencePiece's leading space,
    as transformers' LlamaTokenizer (legacy) and GGUF engines do.
    """

    def __init__(self, meta, model_path):
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(model_path))
        tokens = meta["tokenizer.ggml.tokens"]
        if tokens != [self.pieces.id_to_piece(i) for i in range(len(self.pieces))]:
            raise SystemExit(f"{model_path} is not the vocabulary of the GGUF file")
        kinds = meta["tokenizer.ggml.token_type"]
        self.tokens = tokens
        self.control = {t: i for i, (t, k) in enumerate(zip(tokens, kinds)) if k == CONTROL}
        self.silent = {i for i, kind in enumerate(kinds) if kind in (UNKNOWN, CONTROL)}
        # The decoder of transformers' LlamaTokenizer.
        self.decoder = decoders.Sequence([
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ])

    def encode(self, text):
        ids = []
        for part in re.split("(" + "|".join(map(re.escape, self.control)) + ")", text):
            ids += [self.control[part]] if part in self.control else self.pieces.encode(part)
        return ids

    def decode(self, ids):
        return self.decoder.decode([self.tokens[i] for i in ids if i not in self.silent])


def render_chat(meta, messages):
    """The messages through the file's chat template, by transformers, with a generation prompt."""
    tokens = meta["tokenizer.ggml.tokens"]
    renderer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE()),
        bos_token=tokens[meta["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[meta["tokenizer.ggml.eos_token_id"]],
        chat_template=meta["tokenizer.chat_template"],
    )
    return renderer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
