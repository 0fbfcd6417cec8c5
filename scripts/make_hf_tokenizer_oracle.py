#!/usr/bin/env python3
"""Makes tests/data/tokenizer/hf: tokenizer.json parts and what Hugging Face `tokenizers` does.

    make_hf_tokenizer_oracle.py --texts DIR --out tests/data/tokenizer/hf

DIR holds gsm8k_train.jsonl (openai/grade-school-math, MIT). Three small vocabularies are trained
here (byte-level BPE without any splitting, so that each split shows; SentencePiece BPE; Unigram).
pipelines.json has the components of many models' tokenizer.json files around them; <name>.bin has,
for each pipeline, a hash of the ids of each of 5,000 texts and of 500 decoded texts. The texts and
ids come from pools.json by a generator that tests/tokenizer/hf_fixture.h has too.
The committed files were made with tokenizers 0.23.3 and sentencepiece 0.2.3.
"""

import argparse
import base64
import io
import json
import pathlib
import struct
import tempfile
import unicodedata

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from make_tokenizer_oracle import POOLS, SENTENCES, llama_merges

N_TEXTS = 5000
N_DECODED = 500
MASK = (1 << 64) - 1
SPACE = "\u2581"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDING}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NOT_HAN = r"&&[^\p{Han}]]"
KIMI = (
    r"[\p{Han}]+|"
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER[:-1]}{NOT_HAN}*{LOWER[:-1]}{NOT_HAN}+{ENDING}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{UPPER[:-1]}{NOT_HAN}+{LOWER[:-1]}{NOT_HAN}*{ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
DEEPSEEK_V3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"


def rng_stream(seed):
    """xorshift64*, whose twin is in hf_fixture.h."""
    state = seed
    while True:
        state ^= state >> 12
        state ^= state << 25 & MASK
        state ^= state >> 27
        yield (state * 0x2545F4914F6CDD1D & MASK) >> 33


def make_text(pools, draw):
    text = []
    for _ in range(1 + next(draw) % 5):
        pool = pools[next(draw) % len(pools)]
        for _ in range(1 + next(draw) % 4):
            text.append(pool[next(draw) % len(pool)])
    return "".join(text)


def fnv(data, start=0xCBF29CE484222325):
    for byte in data:
        start = (start ^ byte) * 0x100000001B3 & MASK
    return start


def fold(value):
    return (value ^ value >> 16 ^ value >> 32 ^ value >> 48) & 0xFFFF


def make_pools(questions):
    pools = [list(dict.fromkeys(pool)) for pool in POOLS.values()]
    words = " ".join(questions[:40]).split(" ")
    pools.append([word + " " for word in words[:300]])
    pools.append([" " + word for word in words[300:500]])
    pools.append(SENTENCES)
    pools.append([w + " " for s in SENTENCES for w in s.split(" ")][:200])
    pools.append(["<|tool|>", "<lstrip>", "<rstrip>", "<word>", "<Norm É>", "<norm É>", "\u0301",
                  "<|im_end|>", "<|im_start|>", " ", "  ", "\n", "\t", "a", "_", "é", ".", "word",
                  "<both>", "      ", "<s>", "</s>", "<unk>", "\u3000"])
    pools.append(["ﬁ", "①", "Å", "A\u030a", "각", "가", "ㄱㅏㄱ".replace("ㄱ", "\u1100").replace("ㅏ", "\u1161"),
                  "ｱ", "ﾞ", "Ⅷ", "½", "ﷺ", "q\u0307\u0323", "\u1e9b\u0323", "\u0344", "İ", "ß", "Σ",
                  "ς", "\r\n", "\u200d", "e\u0301", "\u0b47\u0b3e", "\U0001d15e", "\u2126"])
    return pools


# ---------------------------------------------------------------- vocabularies


def byte_level_model(texts):
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = BpeTrainer(
        vocab_size=1400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False, max_token_length=14)
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


def train_sentencepiece(texts, **options):
    model_bytes = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in texts for line in text.split("\n") if line),
        model_writer=model_bytes, remove_extra_whitespaces=False, minloglevel=2, num_threads=1,
        allow_whitespace_only_pieces=True, **options)
    return sentencepiece_model_pb2.ModelProto.FromString(model_bytes.getvalue())


def sentencepiece_bpe_model(texts, byte_fallback):
    proto = train_sentencepiece(
        texts, model_type="bpe", vocab_size=1100 if byte_fallback else 700,
        character_coverage=0.99 if byte_fallback else 0.98, byte_fallback=byte_fallback,
        normalization_rule_name="identity", split_digits=True)
    pieces = [piece.piece for piece in proto.pieces]
    return {
        "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": byte_fallback,
        "ignore_merges": False, "vocab": {piece: i for i, piece in enumerate(pieces)},
        "merges": [" ".join(m) for m in llama_merges(pieces, [p.score for p in proto.pieces])],
    }


def charsmap_rules(pools):
    """NFKC and a little of nmt's white space for the characters at hand, as sentencepiece's TSV."""
    characters = sorted({c for pool in pools for text in pool for c in text})
    rules = {}
    for c in characters:
        mapped = unicodedata.normalize("NFKC", c)
        if mapped != c:
            rules[c] = mapped
        for mark in "\u0301\u0300\u0308\u030a\u0323":
            if unicodedata.normalize("NFKC", c + mark) != mapped + mark:
                rules[c + mark] = unicodedata.normalize("NFKC", c + mark)
    rules |= {c: " " for c in "\t\n\r\u2028\u2029\u200b\u3000"}
    rules |= {c: "" for c in "\x01\x02\x7f\u200d"} | {"\r\n": " "}
    to_hex = lambda text: " ".join(f"{ord(c):X}" for c in text)
    return "".join(f"{to_hex(k)}\t{to_hex(v)}\n" for k, v in sorted(rules.items()))


def unigram_model(texts, pools, byte_fallback):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write(charsmap_rules(pools))
        rules.flush()
        proto = train_sentencepiece(
            texts, model_type="unigram", vocab_size=1000 if byte_fallback else 800,
            character_coverage=0.98, byte_fallback=byte_fallback,
            normalization_rule_tsv=rules.name)
    vocab = [[piece.piece, piece.score] for piece in proto.pieces]
    model = {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": byte_fallback}
    return model, base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


# ---------------------------------------------------------------- components


def added(content, **flags):
    token = dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False,
                 special=True)
    return token | flags


SPECIAL = [added("<|im_start|>"), added("<|im_end|>"), added("<|tool|>", special=False)]
FLAGGED = SPECIAL + [
    added("<lstrip>", lstrip=True), added("<rstrip>", rstrip=True, special=False),
    added("<both>", lstrip=True, rstrip=True), added("<word>", single_word=True, special=False),
    added("<Norm É>", normalized=True, special=False), added("word", single_word=True, special=False),
    added("      ", normalized=False, special=False), added("<é>", special=False),
]
LLAMA_SPECIAL = [added("<unk>"), added("<s>"), added("</s>"), added("<|im_end|>", rstrip=True)]

NFC, NFKC, NFD, NFKD = ({"type": name} for name in ("NFC", "NFKC", "NFD", "NFKD"))
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
BYTES_GPT2 = BYTES | {"use_regex": True}
BYTE_DECODER = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                "use_regex": True}


def sequence(*parts, key="pretokenizers"):
    return {"type": "Sequence", key: list(parts)}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def metaspace(scheme="always", split_words=True):
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme,
            "split": split_words}


def byte_level(*splits, normalizer=None, added_tokens=SPECIAL, post=None, **model):
    return {"model": "byte_level", "overrides": model, "normalizer": normalizer,
            "pre_tokenizer": sequence(*splits) if len(splits) > 1 else splits[0],
            "post_processor": post, "decoder": BYTE_DECODER, "added_tokens": added_tokens}


def template(prefix, suffix=()):
    special = {t: {"id": t, "ids": [t], "tokens": [t]} for t in (*prefix, *suffix)}
    item = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    single = [*map(item, prefix), {"Sequence": {"id": "A", "type_id": 0}}, *map(item, suffix)]
    pair = single + [{"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair,
            "special_tokens": special}


LLAMA_DECODER = sequence(replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                         {"type": "Strip", "content": " ", "start": 1, "stop": 0}, key="decoders")
GEMMA_DECODER = sequence(replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                         key="decoders")


def llama(normalizer, pre_tokenizer, decoder, model="llama", tokens=LLAMA_SPECIAL, **overrides):
    return {"model": model, "overrides": overrides, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": template(["<s>"]),
            "decoder": decoder, "added_tokens": tokens}


def pipelines(charsmap):
    digits = {"type": "Digits", "individual_digits": True}
    digit_runs = {"type": "Digits", "individual_digits": False}
    precompiled = {"type": "Precompiled", "precompiled_charsmap": charsmap}
    prepend_replace = sequence({"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE),
                               key="normalizers")
    deepseek = [split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
                split("[一-龥ࠀ-一가-퟿]+"), digits, BYTES]
    found = {
        "gpt2": byte_level(BYTES_GPT2),
        "roberta": byte_level(BYTES_GPT2 | {"add_prefix_space": True}, added_tokens=FLAGGED, post={
            "type": "RobertaProcessing", "sep": ["<|im_end|>", "<|im_end|>"],
            "cls": ["<|im_start|>", "<|im_start|>"], "trim_offsets": True,
            "add_prefix_space": True}),
        "gpt_neox": byte_level(BYTES_GPT2, normalizer=NFC, added_tokens=FLAGGED),
        "starcoder": byte_level(digits, BYTES_GPT2),
        "command_r": byte_level(digits, BYTES_GPT2, normalizer=NFC, post=template(["<|im_start|>"])),
        "llama3": byte_level(split(LLAMA3), BYTES, ignore_merges=True, post=sequence(
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
             "use_regex": True}, template(["<|im_start|>"], ["<|im_end|>"]), key="processors")),
        "qwen2": byte_level(split(QWEN2), BYTES, normalizer=NFC),
        "qwen35": byte_level(split(QWEN35), BYTES, normalizer=NFC),
        "gpt4o": byte_level(split(GPT4O), BYTES),
        "tekken": byte_level(split(TEKKEN), BYTES, ignore_merges=True),
        "kimi": byte_level(split(KIMI), BYTES),
        "cl100k": byte_level(split(CL100K, "Removed", True), BYTES),
        "deepseek_v3": byte_level(split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"),
                                  split(DEEPSEEK_V3), BYTES),
        "deepseek_coder": byte_level(*deepseek),
        "falcon": byte_level({"type": "Punctuation", "behavior": "Contiguous"}, BYTES_GPT2,
                             digit_runs, split("[0-9][0-9][0-9]")),
        "bloom": byte_level(split(BLOOM), BYTES),
        "tiny_aya": byte_level(split(r"\d{1,3}(?=(?:\d{3})*\b)"), split(GPT4O), BYTES),
        "llama2": llama(prepend_replace, None, LLAMA_DECODER),
        "llama2_unknown": llama(prepend_replace, None, LLAMA_DECODER, model="llama_no_bytes"),
        "unfused_unknown": llama(replace(" ", SPACE), None, GEMMA_DECODER, model="llama_no_bytes",
                                 fuse_unk=False),
        "mistral": llama(None, metaspace("first", False), LLAMA_DECODER),
        "gemma": llama(replace(" ", SPACE), split(" ", "MergedWithPrevious", kind="String"),
                       GEMMA_DECODER),
        "phi3": llama(prepend_replace, None, LLAMA_DECODER, tokens=LLAMA_SPECIAL + FLAGGED),
        "t5": {"model": "unigram", "overrides": {}, "normalizer": precompiled,
               "pre_tokenizer": metaspace(), "post_processor": template([], ["</s>"]),
               "decoder": metaspace(), "added_tokens": LLAMA_SPECIAL},
        "xlm_roberta": {"model": "unigram", "overrides": {}, "normalizer": sequence(
            precompiled, {"type": "Strip", "strip_left": False, "strip_right": True},
            replace(" {2,}", SPACE, "Regex"), key="normalizers"),
            "pre_tokenizer": sequence({"type": "WhitespaceSplit"}, metaspace()),
            "post_processor": template(["<s>"], ["</s>"]), "decoder": metaspace(),
            "added_tokens": LLAMA_SPECIAL + FLAGGED},
        "unigram_bytes": {"model": "unigram_bytes", "overrides": {}, "normalizer": sequence(
            replace("``", '"'), NFKD, {"type": "StripAccents"}, {"type": "Lowercase"}, precompiled,
            key="normalizers"), "pre_tokenizer": metaspace("first"), "post_processor": None,
            "decoder": sequence({"type": "ByteFallback"}, metaspace("first"), key="decoders"),
            "added_tokens": LLAMA_SPECIAL},
    }
    # Components that few models use, one by one.
    for name, steps, normalizer in (
        ("whitespace", [{"type": "Whitespace"}, BYTES], NFKC),
        ("whitespace_split", [{"type": "WhitespaceSplit"}, BYTES], NFD),
        ("char_delimiter", [{"type": "CharDelimiterSplit", "delimiter": "a"}, BYTES],
         {"type": "Strip", "strip_left": True, "strip_right": True}),
        ("punctuation", [{"type": "Punctuation", "behavior": "MergedWithPrevious"}, BYTES],
         {"type": "Lowercase"}),
        ("merged_with_next", [split(r"\s", "MergedWithNext"), BYTES], {"type": "StripAccents"}),
        ("contiguous", [split(r"\w|\b\d", "Contiguous", True), BYTES], NFKD),
        ("anchors", [split(r"^\s*\h|\n?$|(?<=[[:space:]])[^\W\d_]{2,}?|\S(?!\z)"), BYTES],
         replace(r"(?<!\r)\n+", "\\n", "Regex")),
        ("empty_matches", [split(r"(?=\p{Lu})|x*", "Isolated"), BYTES], None),
        ("byte_normalizer", [split("Ġ+", "MergedWithNext")], {"type": "ByteLevel"}),
    ):
        found[name] = byte_level(*steps, normalizer=normalizer, added_tokens=FLAGGED)
    found["no_decoder"] = byte_level(BYTES_GPT2) | {"decoder": None}
    found["strip_decoder"] = llama(None, metaspace("never"), sequence(
        {"type": "Strip", "content": SPACE, "start": 1, "stop": 0}, {"type": "Fuse"},
        {"type": "Strip", "content": "e", "start": 2, "stop": 0}, key="decoders"))
    return found


def assemble(models, pipeline):
    """The tokenizer.json; added tokens get the next free ids, names in ids become ids."""
    model = json.loads(json.dumps(models[pipeline["model"]])) | pipeline["overrides"]
    pieces = model["vocab"]
    ids = dict(pieces) if isinstance(pieces, dict) else {p: i for i, (p, _) in enumerate(pieces)}
    tokens = []
    next_id = len(ids)
    for token in pipeline["added_tokens"]:
        if token["content"] in ids:
            tokens.append({"id": ids[token["content"]]} | token)
        else:
            tokens.append({"id": next_id} | token)
            ids[token["content"]] = next_id
            next_id += 1
    post = pipeline["post_processor"]
    text = json.dumps(post)
    for part in [post] + (post or {}).get("processors", []) if post else []:
        for special in part.get("special_tokens", {}).values():
            special["ids"] = [ids.get(i, i) for i in special["ids"]]
        for key in ("sep", "cls"):
            if key in part:
                part[key] = [part[key][0], ids.get(part[key][1], part[key][1])]
    document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
                "normalizer": pipeline["normalizer"], "pre_tokenizer": pipeline["pre_tokenizer"],
                "post_processor": json.loads(json.dumps(post)), "decoder": pipeline["decoder"],
                "model": model}
    pipeline["post_processor"] = json.loads(text)
    return document, next_id


def answers(tokenizer, n_ids, pools):
    draw = rng_stream(0x9E3779B97F4A7C15)
    hashes = []
    for _ in range(N_TEXTS):
        text = make_text(pools, draw)
        value = fnv(b"")
        for plain in (False, True):
            tokenizer.encode_special_tokens = plain
            ids = tokenizer.encode(text, add_special_tokens=not plain).ids
            value = fnv(struct.pack(f"<{len(ids) + 1}i", *ids, -1), value)
        hashes.append(fold(value))
    tokenizer.encode_special_tokens = False
    for _ in range(N_DECODED):
        ids = [next(draw) % n_ids for _ in range(1 + next(draw) % 12)]
        value = fnv(b"")
        for skip in (True, False):
            text = tokenizer.decode(ids, skip_special_tokens=skip)
            value = fnv(text.encode() + b"\xff", value)
        hashes.append(fold(value))
    return hashes


def write(path, value):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {len(text)} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--whole", type=pathlib.Path, help="also write each tokenizer.json here")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lines = (args.texts / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines[:400]]
    pools = make_pools(questions)
    write(args.out / "pools.json", pools)

    draw = rng_stream(7)
    texts = questions[:150] + [make_text(pools, draw) for _ in range(3000)] + SENTENCES * 10
    texts = [text.replace("\x00", "") for text in texts]
    unigram, charsmap = unigram_model(texts, pools, False)
    models = {
        "byte_level": byte_level_model(texts),
        "llama": sentencepiece_bpe_model(texts, True),
        "llama_no_bytes": sentencepiece_bpe_model(texts, False),
        "unigram": unigram,
        "unigram_bytes": unigram_model(texts, pools, True)[0],
    }
    for name, model in models.items():
        write(args.out / f"model_{name}.json", model)
    found = pipelines(charsmap)
    write(args.out / "pipelines.json", found)
    for name, pipeline in found.items():
        document, n_ids = assemble(models, pipeline)
        text = json.dumps(document)
        if args.whole:
            args.whole.mkdir(parents=True, exist_ok=True)
            (args.whole / f"{name}.json").write_text(text)
        hashes = answers(Tokenizer.from_str(text), n_ids, pools)
        (args.out / f"{name}.bin").write_bytes(struct.pack(f"<{len(hashes)}H", *hashes))
        print(name)


if __name__ == "__main__":
    main()
