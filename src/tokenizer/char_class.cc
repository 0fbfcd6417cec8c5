#include "tokenizer/char_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <utility>

namespace prefold {
namespace {

#include "tokenizer/char_tables.inc"

bool contains(std::span<const CharRange> ranges, char32_t c) {
  const auto range = std::upper_bound(ranges.begin(), ranges.end(), c,
                                      [](char32_t x, const CharRange& r) { return x < r.first; });
  return range != ranges.begin() && c <= std::prev(range)->last;
}

std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == ' ' || c == '-' || c == '_') continue;
    plain.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return plain;
}

// Oniguruma's long names of the categories.
constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {
    {"letter", "L"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"control", "Cc"},
    {"format", "Cf"},
};

}  // namespace

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return contains(kNumeric, c);
}

bool is_punctuation(char32_t c) { return contains(kPunctuation, c); }

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return contains(kWhiteSpace, c);
}

bool is_word_character(char32_t c) { return contains(kWordCharacters, c); }

bool is_mark(char32_t c) { return c >= 0x300 && contains(kMarks, c); }

bool is_inert_in_normalization(char32_t c) {
  return c >= 0x300 && contains(kInertInNormalization, c);
}

void append_lowercase(char32_t c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    return;
  }
  if (c == 0x130) {
    out.append("i\xcc\x87");
    return;
  }
  const auto ours = std::lower_bound(std::begin(kLowercase), std::end(kLowercase), c,
                                     [](const auto& pair, char32_t x) { return pair.first < x; });
  if (ours != std::end(kLowercase) && ours->first == c) {
    append_char(ours->second, out);
  } else {
    append_char(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
  }
}

const RegexClass* find_regex_class(std::string_view name) {
  std::string plain = plain_name(name);
  for (const auto& [long_name, short_name] : kLongNames) {
    if (plain == long_name) plain = plain_name(short_name);
  }
  for (const RegexClass& known : kRegexClasses) {
    if (plain_name(known.name) == plain) return &known;
  }
  return nullptr;
}

char32_t next_char(std::string_view text, size_t& pos) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[pos + i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) {
    ++pos;
    return lead;
  }
  char32_t c;
  if (lead < 0xe0) {
    c = (lead & 0x1fu) << 6 | (byte(1) & 0x3fu);
    pos += 2;
  } else if (lead < 0xf0) {
    c = (lead & 0xfu) << 12 | (byte(1) & 0x3fu) << 6 | (byte(2) & 0x3fu);
    pos += 3;
  } else {
    c = (lead & 0x7u) << 18 | (byte(1) & 0x3fu) << 12 | (byte(2) & 0x3fu) << 6 | (byte(3) & 0x3fu);
    pos += 4;
  }
  return c;
}

void append_char(char32_t c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
    return;
  }
  if (c < 0x800) {
    out.push_back(static_cast<char>(0xc0 | c >> 6));
  } else {
    if (c < 0x10000) {
      out.push_back(static_cast<char>(0xe0 | c >> 12));
    } else {
      out.push_back(static_cast<char>(0xf0 | c >> 18));
      out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3f)));
    }
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
  }
  out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
}

size_t previous_char(std::string_view text, size_t pos) {
  do --pos;
  while (pos > 0 && (static_cast<uint8_t>(text[pos]) & 0xc0) == 0x80);
  return pos;
}

}  // namespace prefold
