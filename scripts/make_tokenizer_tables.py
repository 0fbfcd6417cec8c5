#!/usr/bin/env python3
"""Writes src/tokenizer/char_tables.inc: which characters Hugging Face `tokenizers` counts as what.

    make_tokenizer_tables.py > src/tokenizer/char_tables.inc

Every character is put through `tokenizers` itself, since its parts (Oniguruma, Rust's standard
library, several crates) follow different versions of Unicode. Needs `tokenizers`, `unicodedata2`,
and the shared libraries of PCRE2 (8 bit) and utf8proc, whose answers are what the tables correct.
The committed file was made with tokenizers 0.23.3 and unicodedata2 18.0.0; "missing from PCRE2" is
as of Unicode 14, the oldest that the build accepts.
"""

import ctypes
import ctypes.util

import unicodedata2
from tokenizers import Regex, normalizers, pre_tokenizers

CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
TEXT = "".join(map(chr, CHARACTERS))
CATEGORIES = (
    "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp Cc Cf"
).split()
SCRIPTS = (
    "Han Hiragana Katakana Hangul Latin Greek Cyrillic Arabic Hebrew Thai Devanagari Bengali Tamil "
    "Georgian Armenian"
).split()


def ranges(characters):
    found = []
    for c in sorted(characters):
        if found and (found[-1][1] + 1 == c or (found[-1][1], c) == (0xD7FF, 0xE000)):
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def kept(pre_tokenizer):
    characters = set()
    for _, (begin, end) in pre_tokenizer.pre_tokenize_str(TEXT):
        characters.update(CHARACTERS[begin:end])
    return characters


def oniguruma(pattern):
    return kept(pre_tokenizers.Split(Regex(pattern), "removed", invert=True))


def pcre2(pattern):
    """What the characters that one match each of pattern cover; small texts, for the JIT stack."""
    lib = ctypes.CDLL(ctypes.util.find_library("pcre2-8") or "libpcre2-8.so.0")
    lib.pcre2_compile_8.restype = lib.pcre2_match_data_create_8.restype = ctypes.c_void_p
    lib.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(ctypes.c_size_t)
    error, at = ctypes.c_int(), ctypes.c_size_t()
    source = ("(?:" + pattern + ")++").encode()
    utf_ucp = ctypes.c_uint32(0x000A0000)
    code = ctypes.c_void_p(
        lib.pcre2_compile_8(source, ctypes.c_size_t(len(source)), utf_ucp, ctypes.byref(error),
                            ctypes.byref(at), None))
    assert code.value, (pattern, error)
    data = ctypes.c_void_p(lib.pcre2_match_data_create_8(ctypes.c_uint32(4), None))
    subject = TEXT.encode()
    characters, pos = set(), 0
    while True:
        rc = lib.pcre2_match_8(code, subject, ctypes.c_size_t(len(subject)), ctypes.c_size_t(pos),
                               ctypes.c_uint32(0x40000000), data, None)
        if rc == -1:
            return characters
        assert rc > 0, rc
        begin, end = lib.pcre2_get_ovector_pointer_8(data)[0:2]
        characters.update(map(ord, subject[begin:end].decode()))
        pos = end


def removed_by(pre_tokenizer):
    return set(CHARACTERS) - kept(pre_tokenizer)


def numeric():
    """What Digits cuts off: the character stands alone between two letters."""
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str(
        "\n".join("a" + chr(c) + "a" for c in CHARACTERS))
    return {ord(piece) for piece, _ in pieces if len(piece) == 1}


def is_word():
    """\\w of Rust's regex crate: "a" and the character are one piece of Whitespace's."""
    pieces = pre_tokenizers.Whitespace().pre_tokenize_str("\n".join("a" + chr(c) for c in CHARACTERS))
    words = [piece for piece, _ in pieces if piece.startswith("a")]
    return {ord(piece[1]) for piece in words if len(piece) == 2}


def normalization_extras():
    """Characters that today's Unicode decomposes, composes or reorders and `tokenizers` does not."""
    nfkd = normalizers.NFKD()
    nfc = normalizers.NFC()
    extras = set()
    for c in CHARACTERS:
        char = chr(c)
        if unicodedata2.normalize("NFKD", char) != nfkd.normalize_str(char):
            extras.add(c)
        elif unicodedata2.combining(char):  # is it put before U+0345, of the highest class, 240?
            low = "a\u0345" + char
            high = "a" + char + "\u0334"
            want = (unicodedata2.normalize("NFKD", low), unicodedata2.normalize("NFKD", high))
            if (nfkd.normalize_str(low), nfkd.normalize_str(high)) != want:
                extras.add(c)
        elif len(unicodedata2.normalize("NFD", char)) > 1:
            decomposed = unicodedata2.normalize("NFD", char)
            if nfc.normalize_str(decomposed) != unicodedata2.normalize("NFC", decomposed):
                extras.add(c)
    return extras


def lowercase_extras():
    utf8proc = ctypes.CDLL(ctypes.util.find_library("utf8proc") or "libutf8proc.so.2")
    lower = normalizers.Lowercase()
    pairs = []
    for c in CHARACTERS:
        text = lower.normalize_str(chr(c))
        if len(text) == 1 and ord(text) != utf8proc.utf8proc_tolower(c):
            pairs.append((c, ord(text)))
        elif len(text) > 1:
            assert c == 0x130, hex(c)  # which the program knows
    return pairs


def print_table(name, characters):
    print(f"constexpr CharRange {name}[] = {{")
    line = "   "
    for begin, end in ranges(characters):
        item = f" {{{begin:#x}, {end:#x}}},"
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")


def main():
    print("// Made by scripts/make_tokenizer_tables.py; do not edit.")
    print("// Characters as Hugging Face tokenizers classify them, by its own answers.")
    print_table("kNumeric", numeric())
    print_table("kPunctuation", removed_by(pre_tokenizers.Punctuation("removed")))
    print_table("kWhiteSpace", removed_by(pre_tokenizers.WhitespaceSplit()))
    print_table("kWordCharacters", is_word())
    accents = normalizers.StripAccents()
    print_table("kMarks", {c for c in CHARACTERS if accents.normalize_str(chr(c)) == ""})
    print_table("kInertInNormalization", normalization_extras())
    named = []
    for name in CATEGORIES:
        ours, theirs = oniguruma(rf"\p{{{name}}}"), pcre2(rf"\p{{{name}}}")
        extra = ours - theirs
        if theirs - ours:
            # U+1171E has changed its category.
            named.append((name, "", ours))
        else:
            named.append((name, rf"\p{{{name}}}", extra))
    for name in SCRIPTS:
        named.append((name, "", oniguruma(rf"\p{{{name}}}")))
    named.append(("w", "", oniguruma(r"\w")))
    for name, _, characters in named:
        if characters:
            print_table(f"kClass{name}", characters)
    print("constexpr RegexClass kRegexClasses[] = {")
    for name, pattern, characters in named:
        table = f"kClass{name}" if characters else "{}"
        print(f'    {{"{name}", R"({pattern})", {table}}},')
    print("};")
    print("constexpr std::pair<char32_t, char32_t> kLowercase[] = {")
    for upper, lower in lowercase_extras():
        print(f"    {{{upper:#x}, {lower:#x}}},")
    print("};")


if __name__ == "__main__":
    main()
