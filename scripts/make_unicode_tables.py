#!/usr/bin/env python3
"""Writes src/tokenizer/jinja/unicode_tables.inc: the character classes and case mappings that
Python's str methods use, from the Unicode database of the Python that runs this script (the
committed file: Python 3.11, Unicode 14.0). Run from the root of the sources."""
import unicodedata

LAST = 0x110000
SURROGATES = range(0xD800, 0xE000)


def code_points():
    return (c for c in range(LAST) if c not in SURROGATES)


def with_stride(members):
    """Groups sorted numbers into (first, last, stride) with stride 1 or 2."""
    rows, i = [], 0
    while i < len(members):
        stride = 1
        if i + 1 < len(members) and members[i + 1] - members[i] == 2:
            stride = 2
        j = i
        while j + 1 < len(members) and members[j + 1] - members[j] == stride:
            j += 1
        rows.append((members[i], members[j], stride if j > i else 1))
        i = j + 1
    return rows


def class_rows(test):
    return with_stride([c for c in code_points() if test(chr(c))])


def mapping_rows(convert):
    """Rows (first, last, stride, delta) of the one-to-one mappings; the others as (cp, text)."""
    by_delta, special = {}, []
    for c in code_points():
        to = convert(chr(c))
        if to == chr(c):
            continue
        if len(to) == 1:
            by_delta.setdefault(ord(to) - c, []).append(c)
        else:
            special.append((c, [ord(x) for x in to] + [0] * (3 - len(to))))
    rows = [(a, b, s, d) for d, members in by_delta.items() for a, b, s in with_stride(members)]
    return sorted(rows), special


def emit(out, name, kind, rows, cells):
    out.append(f"constexpr {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        cell = " {" + ", ".join(cells(row)) + "},"
        if len(line) + len(cell) > 100:
            out.append(line)
            line = "   "
        line += cell
    out += [line, "};", ""]


def hexes(row):
    return [f"{x:#x}" if i < 2 else str(x) for i, x in enumerate(row)]


def main():
    out = [
        "// Made by scripts/make_unicode_tables.py from Unicode "
        + unicodedata.unidata_version + "; do not edit.",
        "",
    ]
    classes = {
        "kAlpha": str.isalpha,
        "kDecimal": str.isdecimal,
        "kDigit": str.isdigit,
        "kNumeric": str.isnumeric,
        "kUpper": str.isupper,
        "kLower": str.islower,
        "kTitle": lambda c: unicodedata.category(c) == "Lt",
        "kNotPrintable": lambda c: not c.isprintable(),
    }
    for name, test in classes.items():
        emit(out, name, "ClassRow", class_rows(test), hexes)
    for name, convert in {"Upper": str.upper, "Lower": str.lower, "Title": str.title}.items():
        rows, special = mapping_rows(convert)
        emit(out, f"kTo{name}", "MapRow", rows, hexes)
        emit(out, f"kTo{name}Special", "SpecialRow", special,
             lambda row: [f"{row[0]:#x}", "{" + ", ".join(f"{x:#x}" for x in row[1]) + "}"])
    with open("src/tokenizer/jinja/unicode_tables.inc", "w", encoding="utf-8") as f:
        f.write("\n".join(out))


main()
