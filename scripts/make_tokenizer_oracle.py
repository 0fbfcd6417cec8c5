#!/usr/bin/env python3
"""Makes the fixtures of tests/tokenizer: small vocabularies and the ids that other engines give.

    make_tokenizer_oracle.py --texts DIR --out tests/data/tokenizer [--gguf SmolLM2.gguf]

DIR holds gsm8k_train.jsonl (openai/grade-school-math, MIT) and humaneval_prompts.jsonl
(openai/human-eval, MIT). The byte-level vocabularies are trained here with Hugging Face
`tokenizers`, the llama-style ones with `sentencepiece`; the ids are those of `tokenizers`, and for
the llama-style vocabularies compared with `sentencepiece` too. The committed files were made with
tokenizers 0.23.3, sentencepiece 0.2.3, gguf 0.19.0 (README.md beside them).
--gguf: also writes smollm2_ids.json, the ids of the vocabulary in that file.
"""

import argparse
import io
import json
import pathlib
import random

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED = ["<tool_call>", "<tool_call>>", "  <-"]

# Written for this file.
SENTENCES = [
    "The quick brown fox jumps over the lazy dog; it didn't stop, and we'll say they've won.",
    "Der schnelle braune Fuchs springt über den faulen Hund, während die Bäume grün sind.",
    "El veloz murciélago hindú comía feliz cardillo y kiwi; ¿qué pasó después, señor?",
    "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, και τελειώνω.",
    "敏捷的棕色狐狸跳过了懒狗,然后它在森林里睡着了。",
    "いろはにほへと ちりぬるを わかよたれそ つねならむ、東京タワー。",
    "다람쥐 헌 쳇바퀴에 타고파. 오늘은 날씨가 좋습니다.",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश करने वाले राम",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน",
    "Tiếng Việt có nhiều dấu: ắ ằ ẳ ẵ ặ, và câu này khá ngắn.",
    "Pijamalı hasta yağız şoföre çabucak güvendi. İstanbul'da ışık.",
    "Zażółć gęślą jaźń; příliš žluťoučký kůň úpěl ďábelské ódy.",
    "def f(x):\n    return [i**2 for i in range(x) if i % 2 == 0]\n\n\nclass A:\n\tpass\n",
    "for (int i = 0; i < n; ++i) { sum += a[i] * 0x1F; }  // O(n)\r\n\r\n\r\n",
    "SELECT a, b FROM t WHERE c >= 3.14159 AND d != 'x''y';",
    "https://example.org/path?q=1&r=%20#frag  user@example.com  C:\\dir\\file.txt",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️ 🏳️‍🌈 1️⃣ ☃ 𝒳𝔜𝟙 ﬁ ﬃ ß ẞ ſ",
]

POOLS = {
    "ascii": [chr(c) for c in range(32, 127)],
    "controls": [chr(c) for c in range(32)] + ["\x7f", "\x80", "\x9f"],
    "spaces": [*"   \t\n\r\v\f\x85\xa0\u1680\u180e\u2003\u200a\u200b\u2028\u2029\u202f\u205f\u3000"],
    "newlines": [*"  \n\n\r\n\t x1."],
    "digits": [*"0123456789٣٤७²³½Ⅷ①๔𝟗〇", "\u0bf1"],
    "letters": [*"aAbzéßñøŁığſΩλжЯעبहक्षあア漢字한글ǅʰªº𐐀𝔘"],
    "marks": ["e\u0301", "a\u0300\u0323", "\u0301", "\u0308", "\u094d", "\u200d", "\u200c", "\ufe0f"],
    "emoji": ["👍", "🏽", "❤️", "👩‍👧", "🇫", "🇷", "☃", "©", "\U0001fae8"],
    "contractions": ["'s", "'S", "'ll", "'LL", "'Re", "'vE", "'d", "'ſ", "’s", "'", "''", "I", "x "],
    "rare": ["\ufeff", "\ufffd", "\uffff", "\ue000", "\U0010ffff", "\u0378", "\U000e0001", "\x00"],
    "new": ["\u1c89", "\U000323af", "\U00031350", "\U00010d4a", "\U00010d41", "\U00011de1",
            "\U00016ff4", "\U0001e5f2", "\u088f", "\U0001ccf3", "a", " ", "1", "."],
    "special": [*CONTROL, *USER_DEFINED, "<|im_", "im_end|>", "<", "|>", "<tool", "  ", " ", "<s>",
                "</s>", "<unk>", "<0x41>", "▁", "▁▁", "a", "hello", "<pin>", "<pin"],
    "punctuation": [*"!?.,;:-_()[]{}<>/\\|@#$%^&*+=~`\"'", "…", "—", "«", "»", "、", "。", "\n", " "],
}


def read_texts(folder):
    questions, code = [], []
    for line in (folder / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        questions.append(record["question"] + "\n" + record["answer"])
    for line in (folder / "humaneval_prompts.jsonl").read_text(encoding="utf-8").splitlines():
        code.append(json.loads(line)["prompt"])
    return questions, code


def make_corpus(questions, code, rng):
    corpus = ["", " ", "  ", "\n", "a", " a", "a ", "\x00", *SENTENCES]
    for text in rng.sample(questions, 90) + rng.sample(code, 90):
        start = rng.randrange(len(text))
        corpus.append(text[start : start + rng.randint(5, 160)])
    names = list(POOLS)
    for name in names:
        for _ in range(45):
            corpus.append("".join(rng.choices(POOLS[name], k=rng.randint(1, 10))))
    for _ in range(700):  # short runs of several pools
        parts = []
        for _ in range(rng.randint(1, 5)):
            parts += rng.choices(POOLS[rng.choice(names)], k=rng.randint(1, 4))
        corpus.append("".join(parts))
    for _ in range(150):  # words of the sentences torn apart by something rare
        sentence = rng.choice(SENTENCES)
        cut = rng.randrange(len(sentence))
        middle = "".join(rng.choices(POOLS[rng.choice(names)], k=2))
        corpus.append(sentence[max(0, cut - 12) : cut] + middle + sentence[cut : cut + 12])
    for unit in ["a", " ", "\n", "\t ", "ab", "1", "é", "▁", "'s", " \n", "哈"]:
        corpus += [unit * n for n in (3, 17, 64)]
    assert all("\ud800" > c or c > "\udfff" for text in corpus for c in text)
    return list(dict.fromkeys(corpus))


def kinds_of(tokens, control, user_defined):
    word = {t: "control" for t in control} | {t: "user" for t in user_defined}
    return [word.get(t, "normal") for t in tokens]


def byte_level_splitter(pre):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if pre == "gpt-2":
        return gpt2
    if pre == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    pattern = {"llama-bpe": LLAMA3, "qwen2": QWEN2}[pre]
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), behavior="isolated"), byte_level]
    )


def byte_level_tokenizer(pre, tokens, merges, control, user_defined):
    model = BPE(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=merges,
        ignore_merges=pre == "llama-bpe",
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = byte_level_splitter(pre)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in user_defined])
    return tokenizer


def train_byte_level(pre, texts, rng):
    """(spec, tokenizer). smollm's alphabet lacks the bytes that the texts lack."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = byte_level_splitter(pre)
    alphabet = [] if pre == "smollm" else pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=900, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get) + USER_DEFINED
    merges = [tuple(merge) for merge in model["merges"]]
    if pre == "llama-bpe":  # some tokens that only a whole word can reach
        merges = [merge for merge in merges if rng.random() > 0.15]
    spec = {
        "model": "gpt2",
        "pre": pre,
        "tokens": tokens,
        "kinds": kinds_of(tokens, CONTROL, USER_DEFINED),
        "merges": [" ".join(merge) for merge in merges],
    }
    return spec, byte_level_tokenizer(pre, tokens, merges, CONTROL, USER_DEFINED)


def llama_merges(pieces, scores):
    ids = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for piece in pieces:
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        pairs = [pair for pair in pairs if pair[0] in ids and pair[1] in ids]
        pairs.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges += [(pair, scores[ids[piece]]) for pair in pairs]
    return [pair for pair, _ in sorted(merges, key=lambda merge: -merge[1])]


def train_llama(texts, byte_fallback, add_space_prefix):
    """(spec, tokenizer, sentencepiece processor)."""
    model_bytes = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in texts for line in text.split("\n") if line),
        model_writer=model_bytes,
        model_type="bpe",
        vocab_size=1000 if byte_fallback else 500,
        character_coverage=0.998 if byte_fallback else 0.98,
        byte_fallback=byte_fallback,
        add_dummy_prefix=add_space_prefix,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        user_defined_symbols=["<pin>"],
        minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model_bytes.getvalue())
    word = {1: "normal", 2: "unknown", 3: "control", 4: "user", 5: "unused", 6: "byte"}
    tokens = [piece.piece for piece in proto.pieces]
    scores = [piece.score for piece in proto.pieces]
    kinds = [word[piece.type] for piece in proto.pieces]
    spec = {
        "model": "llama",
        "tokens": tokens,
        "kinds": kinds,
        "scores": scores,
        "unknown_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "add_space_prefix": add_space_prefix,
    }
    tokenizer = Tokenizer(
        BPE(
            vocab={token: i for i, token in enumerate(tokens)},
            merges=llama_merges(tokens, scores),
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=byte_fallback,
        )
    )
    prepend = [normalizers.Prepend("▁")] if add_space_prefix else []
    tokenizer.normalizer = normalizers.Sequence([*prepend, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(" ", 1, 0)] if add_space_prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    special = [t for t, kind in zip(tokens, kinds) if kind in ("control", "unknown")]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken("<pin>", normalized=False)])
    processor = sentencepiece.SentencePieceProcessor(model_proto=model_bytes.getvalue())
    return spec, tokenizer, processor


def compare_with_sentencepiece(name, tokenizer, processor, corpus):
    """sentencepiece knows no special tokens in text and no prefix after user-defined ones."""
    plain = [text for text in corpus if not any(t in text for t in ("<s>", "</s>", "<unk>", "<pin>"))]
    differing = [
        text
        for text in plain
        if processor.encode(text) != tokenizer.encode(text, add_special_tokens=False).ids
    ]
    print(f"{name}: sentencepiece differs on {len(differing)} of {len(plain)}: {differing[:5]!r}")


def ids_of(tokenizer, corpus):
    tokenizer.encode_special_tokens = False
    parsed = [tokenizer.encode(text, add_special_tokens=False).ids for text in corpus]
    tokenizer.encode_special_tokens = True
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in corpus]
    tokenizer.encode_special_tokens = False
    differing = {str(i): ids for i, ids in enumerate(plain) if ids != parsed[i]}
    return {"ids": parsed, "ids_without_control": differing}


def decode_cases(tokenizer, spec, encoded, rng):
    """Random ids and pieces of real encodings: both end inside characters."""
    n = len(spec["tokens"])
    bytes_first = [i for i, kind in enumerate(spec["kinds"]) if kind == "byte"] or range(3, 200)
    sequences = [[rng.randrange(n) for _ in range(rng.randint(1, 8))] for _ in range(80)]
    sequences += [
        [rng.choice(bytes_first) if rng.random() < 0.8 else rng.randrange(n) for _ in range(6)]
        for _ in range(80)
    ]
    for ids in rng.sample([ids for ids in encoded if len(ids) > 2], 80):
        start = rng.randrange(len(ids))
        sequences.append(ids[start : start + 12])
    return [
        {
            "ids": ids,
            "text": tokenizer.decode(ids, skip_special_tokens=True),
            "text_with_special": tokenizer.decode(ids, skip_special_tokens=False),
        }
        for ids in sequences
    ]


def write(path, value):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")
    print(f"{path.name}: {len(text)} bytes")


def write_family(out, name, spec, tokenizer, corpus, rng):
    encoded = ids_of(tokenizer, corpus)
    decoded = decode_cases(tokenizer, spec, encoded["ids"], rng)
    write(out / f"{name}.json", {"spec": spec, **encoded, "decode": decoded})


def write_smollm2(out, gguf_path, corpus):
    from gguf import GGUFReader

    fields = GGUFReader(gguf_path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(line.split(" ")) for line in fields["tokenizer.ggml.merges"].contents()]
    control = [token for token, kind in zip(tokens, types) if kind == 3]
    tokenizer = byte_level_tokenizer("smollm", tokens, merges, control, [])
    write(out / "smollm2_ids.json", ids_of(tokenizer, corpus))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--gguf", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    rng = random.Random(20240607)
    questions, code = read_texts(args.texts)
    corpus = make_corpus(questions, code, rng)
    write(args.out / "corpus.json", corpus)
    texts = questions[:200] + code[:60] + SENTENCES * 20
    for pre in ("gpt-2", "smollm", "llama-bpe", "qwen2"):
        spec, tokenizer = train_byte_level(pre, texts, rng)
        write_family(args.out, pre, spec, tokenizer, corpus, rng)
    for name, byte_fallback, prefix in (("llama", True, True), ("llama_no_bytes", False, False)):
        spec, tokenizer, processor = train_llama(texts, byte_fallback, prefix)
        compare_with_sentencepiece(name, tokenizer, processor, corpus)
        write_family(args.out, name, spec, tokenizer, corpus, rng)
    if args.gguf:
        write_smollm2(args.out, args.gguf, corpus)


if __name__ == "__main__":
    main()
