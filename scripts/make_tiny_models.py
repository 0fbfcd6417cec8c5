#!/usr/bin/env python3
"""Writes tests/data/models/tiny_{bpe,spm,odd}.gguf: llama-architecture models of a few
hundred kilobytes at most with random weights, for tests of the whole path from text to tokens.

The weights are scaled so that the most probable token usually leads by far: greedy continuations
are then decided by the model, not by rounding. Between them the two models hold every tensor type
that we read. Needs torch, transformers, tokenizers, sentencepiece, gguf (versions: tests/data).
"""

import io
import json
import pathlib

import gguf
import numpy as np
import sentencepiece
import torch
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import gguf_to_hf
from gguf_to_hf import BYTE, CONTROL, NORMAL, UNKNOWN

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/data/models"
SEED = 20240411

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INST = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token }}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported.') }}{% endif %}{% endfor %}"
)

# K-quants are not in gguf-py's quantize(): their blocks are drawn at random, which is as good for
# random weights. Bytes of a block, byte offsets of its f16 scale and (if any) f16 minimum, and the
# minimum as a multiple of the scale that centres the values on zero.
K_BLOCKS = {
    Type.Q2_K: (84, 80, 82, 1.5),
    Type.Q3_K: (110, 108, None, 0.0),
    Type.Q4_K: (144, 0, 2, 7.5),
    Type.Q5_K: (176, 0, 2, 15.5),
    Type.Q6_K: (210, 208, None, 0.0),
}


def random_k_quant(rng, shape, kind, std):
    """Blocks of a K-quant whose values have mean about 0 and the given standard deviation."""
    n_bytes, scale_at, min_at, min_ratio = K_BLOCKS[kind]
    rows, columns = shape
    blocks = rng.integers(0, 256, (rows * columns // 256, n_bytes), dtype=np.uint8)

    def set_scale(scale):
        blocks[:, scale_at : scale_at + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
        if min_at is not None:
            low = np.float16(scale * min_ratio).tobytes()
            blocks[:, min_at : min_at + 2] = np.frombuffer(low, np.uint8)
        return blocks.reshape(rows, -1)

    set_scale(1.0)
    scale = std / dequantize(blocks, kind).std()
    return set_scale(scale)


class TensorWriter:
    """Draws random weights from one stream and adds them to a GGUF file."""

    def __init__(self, writer):
        self.writer = writer
        self.rng = np.random.default_rng(SEED)

    def vector(self, name, n, mean=1.0):
        values = mean * (1 + 0.1 * self.rng.standard_normal(n))
        self.writer.add_tensor(name, values.astype(np.float32))

    def matrix(self, name, shape, kind, std, permute_heads=None):
        if kind in K_BLOCKS:
            data = random_k_quant(self.rng, shape, kind, std)
        else:
            values = (std * self.rng.standard_normal(shape)).astype(np.float32)
            if permute_heads:
                values = gguf_to_hf.permute(values, permute_heads)
            data = quantize(values, kind)
        self.writer.add_tensor(name, data, raw_dtype=kind)


def add_layers(tensors, shape, kinds_of_layers):
    """Standard deviations keep every linear output near 1, and scores spread enough to matter."""
    hidden, heads, kv_heads, head_dim, ffn = shape
    for layer, kinds in enumerate(kinds_of_layers):
        q, k, v, o, gate, up, down = kinds
        pre = f"blk.{layer}."
        into = hidden**-0.5
        tensors.vector(pre + "attn_norm.weight", hidden)
        tensors.matrix(pre + "attn_q.weight", (heads * head_dim, hidden), q, 1.5 * into, heads)
        tensors.matrix(pre + "attn_k.weight", (kv_heads * head_dim, hidden), k, 1.5 * into, kv_heads)
        tensors.matrix(pre + "attn_v.weight", (kv_heads * head_dim, hidden), v, into)
        tensors.matrix(
            pre + "attn_output.weight", (hidden, heads * head_dim), o, 2 * (heads * head_dim) ** -0.5
        )
        tensors.vector(pre + "ffn_norm.weight", hidden)
        tensors.matrix(pre + "ffn_gate.weight", (ffn, hidden), gate, into)
        tensors.matrix(pre + "ffn_up.weight", (ffn, hidden), up, into)
        tensors.matrix(pre + "ffn_down.weight", (hidden, ffn), down, 2 * ffn**-0.5)


def add_architecture(writer, shape, n_layers, context, theta):
    hidden, heads, kv_heads, head_dim, ffn = shape
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(theta)
    writer.add_layer_norm_rms_eps(1e-5)


def training_text():
    """Prompts of data/, without repeats of the few-shot head."""
    texts = []
    for line in (ROOT / "data/mixed.jsonl").read_text(encoding="utf-8").splitlines():
        body = json.loads(line)
        body = body.get("body", body)
        texts += [message["content"] for message in body.get("messages", [])]
        texts += [body["prompt"]] if "prompt" in body else []
    few_shot = (ROOT / "data/fewshot.jsonl").read_text(encoding="utf-8").splitlines()
    texts.append(json.loads(few_shot[0])["prompt"])
    return texts


def add_bpe_vocabulary(writer, size):
    """A byte-level BPE vocabulary with the qwen2 pre-tokenizer; returns its size."""
    split = pre_tokenizers.Split(Regex(gguf_to_hf.QWEN2_SPLIT), behavior="isolated")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(training_text(), trainer)
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in vocab])
    writer.add_token_types([CONTROL if token in special else NORMAL for token, _ in vocab])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)
    return len(vocab)


def add_spm_vocabulary(writer, size):
    """A SentencePiece BPE vocabulary with byte fallback; returns its size and the model's bytes."""
    model = io.BytesIO()
    lines = [line for text in training_text() for line in text.split("\n") if line]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        byte_fallback=True,
        character_coverage=0.99,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(len(pieces))

    def kind(i):
        if pieces.is_unknown(i):
            return UNKNOWN
        if pieces.is_control(i):
            return CONTROL
        return BYTE if pieces.is_byte(i) else NORMAL

    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([pieces.id_to_piece(i) for i in ids])
    writer.add_token_scores([pieces.get_score(i) for i in ids])
    writer.add_token_types([kind(i) for i in ids])
    writer.add_bos_token_id(pieces.bos_id())
    writer.add_eos_token_id(pieces.eos_id())
    writer.add_unk_token_id(pieces.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(INST)
    return len(pieces), model.getvalue()


def llama3_frequency_factors(head_dim, theta):
    """What each rotary frequency is divided by: transformers' own llama3 scaling, factor 8."""
    scaling = {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128,
    }
    config = LlamaConfig(
        hidden_size=head_dim, num_attention_heads=1, head_dim=head_dim,
        max_position_embeddings=1024, rope_parameters=scaling,
    )
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    return (plain / scaled.double()).float().numpy()


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def new_writer(name):
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", "llama")
    writer.add_name(name)
    writer.add_description("Random weights, for tests; made by scripts/make_tiny_models.py")
    return writer


def make_tiny_bpe():
    shape = hidden, _, _, head_dim, _ = 128, 4, 2, 32, 256
    writer = new_writer("tiny_bpe")
    add_architecture(writer, shape, n_layers=2, context=2048, theta=10000.0)
    vocab = add_bpe_vocabulary(writer, 512)
    tensors = TensorWriter(writer)
    # Tied: logits come from these rows too. Small beside the layers' outputs, so that a token does
    # not simply predict itself; the final norm makes up for it.
    tensors.matrix("token_embd.weight", (vocab, hidden), Type.Q8_0, 0.25)
    # q, k, v, o, gate, up, down
    add_layers(tensors, shape, [
        (Type.Q4_0, Type.Q4_1, Type.Q8_0, Type.Q5_0, Type.Q4_0, Type.Q5_1, Type.Q6_K),
        (Type.F16, Type.BF16, Type.F32, Type.Q4_1, Type.Q5_1, Type.Q4_1, Type.Q4_K),
    ])
    tensors.vector("output_norm.weight", hidden, mean=1.6)
    finish(writer)


def make_tiny_spm():
    # Heads of 48: not hidden / heads, and no multiple of a wide vector.
    shape = hidden, _, _, head_dim, _ = 256, 4, 1, 48, 256
    theta = 10000.0
    writer = new_writer("tiny_spm")
    add_architecture(writer, shape, n_layers=2, context=1024, theta=theta)
    vocab, spm_model = add_spm_vocabulary(writer, 448)
    (OUT / "tiny_spm.model").write_bytes(spm_model)
    tensors = TensorWriter(writer)
    tensors.matrix("token_embd.weight", (vocab, hidden), Type.Q6_K, 0.3)
    # q and k in a K-quant stay in the order drawn: permuted random rows are random rows.
    add_layers(tensors, shape, [
        (Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q8_0, Type.Q2_K, Type.Q4_K, Type.Q3_K),
        (Type.Q5_K, Type.Q6_K, Type.Q2_K, Type.Q5_1, Type.Q4_0, Type.Q3_K, Type.Q5_K),
    ])
    tensors.vector("output_norm.weight", hidden, mean=1.2)
    tensors.matrix("output.weight", (vocab, hidden), Type.Q5_0, 0.25)
    writer.add_tensor("rope_freqs.weight", llama3_frequency_factors(head_dim, theta))
    finish(writer)


def make_tiny_odd():
    """A vocabulary of an odd size, as many models have: nothing rounds it up."""
    shape = hidden, _, _, _, _ = 64, 2, 1, 32, 96
    writer = new_writer("tiny_odd")
    add_architecture(writer, shape, n_layers=1, context=512, theta=10000.0)
    vocab = add_bpe_vocabulary(writer, 301)
    tensors = TensorWriter(writer)
    tensors.matrix("token_embd.weight", (vocab, hidden), Type.Q4_0, 0.3)
    add_layers(tensors, shape, [(Type.Q4_0, Type.Q4_0, Type.Q4_0, Type.Q8_0, Type.Q4_1, Type.Q4_1,
                                 Type.F16)])
    tensors.vector("output_norm.weight", hidden, mean=1.6)
    finish(writer)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    make_tiny_bpe()
    make_tiny_spm()
    make_tiny_odd()
