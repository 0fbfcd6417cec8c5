#include "tokenizer/jinja/unicode.h"

#include <algorithm>
#include <iterator>

namespace prefold::jinja {
namespace {

// Code points first, first + stride, ..., last.
struct ClassRow {
  uint32_t first;
  uint32_t last;
  uint32_t stride;
};
// The same, each mapped to itself + delta.
struct MapRow {
  uint32_t first;
  uint32_t last;
  uint32_t stride;
  int32_t delta;
};
// One code point that becomes up to three; unused places are 0.
struct SpecialRow {
  uint32_t from;
  uint32_t to[3];
};

#include "tokenizer/jinja/unicode_tables.inc"

// Rows of stride 2 may interleave with their successor, so a few rows before the bound are tried.
template <typename Row, size_t N>
const Row* find_row(const Row (&rows)[N], char32_t c) {
  const Row* bound =
      std::upper_bound(std::begin(rows), std::end(rows), c,
                       [](char32_t value, const Row& row) { return value < row.first; });
  for (int back = 0; back < 4 && bound != std::begin(rows); ++back) {
    --bound;
    if (c <= bound->last && (c - bound->first) % bound->stride == 0) return bound;
  }
  return nullptr;
}

template <size_t N>
bool in_class(const ClassRow (&rows)[N], char32_t c) {
  return find_row(rows, c) != nullptr;
}

template <size_t N, size_t M>
void append_mapped(std::string* out, char32_t c, const MapRow (&rows)[N],
                   const SpecialRow (&specials)[M]) {
  if (const MapRow* row = find_row(rows, c)) {
    append_utf8(out, static_cast<char32_t>(static_cast<int32_t>(c) + row->delta));
    return;
  }
  const SpecialRow* special =
      std::lower_bound(std::begin(specials), std::end(specials), c,
                       [](const SpecialRow& row, char32_t value) { return row.from < value; });
  if (special == std::end(specials) || special->from != c) {
    append_utf8(out, c);
    return;
  }
  for (uint32_t to : special->to) {
    if (to != 0) append_utf8(out, to);
  }
}

void append_upper(std::string* out, char32_t c) {
  append_mapped(out, c, kToUpper, kToUpperSpecial);
}
void append_title(std::string* out, char32_t c) {
  append_mapped(out, c, kToTitle, kToTitleSpecial);
}

// Characters that do not end a word for the rule of the final sigma (the common ones).
bool is_case_ignorable(char32_t c) {
  return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`' || c == 0xAD || c == 0xB7 ||
         c == 0x2019 || (c >= 0x300 && c <= 0x36F);
}

// Greek: a capital sigma is final if a cased letter stands before it and none after it.
bool is_final_sigma(std::u32string_view text, size_t i) {
  size_t before = i;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  size_t after = i + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

void append_lower(std::string* out, std::u32string_view text, size_t i) {
  if (text[i] == 0x3A3) {
    append_utf8(out, is_final_sigma(text, i) ? 0x3C2 : 0x3C3);
  } else {
    append_mapped(out, text[i], kToLower, kToLowerSpecial);
  }
}

}  // namespace

bool is_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i < n) return false;
    char32_t c = lead & (0xFFu >> (n + 1));
    for (size_t k = 1; k < n; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte & 0xC0) != 0x80) return false;
      c = (c << 6) | (byte & 0x3Fu);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10FFFF))) return false;
    if (c >= 0xD800 && c < 0xE000) return false;
    i += n;
  }
  return true;
}

char32_t decode_at(std::string_view text, size_t* pos) {
  const auto lead = static_cast<unsigned char>(text[(*pos)++]);
  if (lead < 0x80) return lead;
  const int n_more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  char32_t c = lead & (0x3Fu >> n_more);
  for (int k = 0; k < n_more && *pos < text.size(); ++k) {
    c = (c << 6) | (static_cast<unsigned char>(text[(*pos)++]) & 0x3Fu);
  }
  return c;
}

char32_t decode_before(std::string_view text, size_t* pos) {
  do {
    --*pos;
  } while (*pos > 0 && (static_cast<unsigned char>(text[*pos]) & 0xC0) == 0x80);
  size_t start = *pos;
  return decode_at(text, &start);
}

void append_utf8(std::string* out, char32_t c) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (c >> 6)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (c >> 12)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (c >> 18)));
    out->push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

std::u32string to_code_points(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) out.push_back(decode_at(text, &pos));
  return out;
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  for (char32_t c : text) append_utf8(&out, c);
  return out;
}

int64_t count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_alpha(char32_t c) { return in_class(kAlpha, c); }
bool is_decimal(char32_t c) { return in_class(kDecimal, c); }
bool is_digit(char32_t c) { return in_class(kDigit, c); }
bool is_numeric(char32_t c) { return in_class(kNumeric, c); }
bool is_alnum(char32_t c) { return is_alpha(c) || is_digit(c) || is_numeric(c); }
bool is_upper(char32_t c) { return in_class(kUpper, c); }
bool is_lower(char32_t c) { return in_class(kLower, c); }
bool is_title(char32_t c) { return in_class(kTitle, c); }
bool is_cased(char32_t c) { return is_upper(c) || is_lower(c) || is_title(c); }
bool is_printable(char32_t c) { return !in_class(kNotPrintable, c); }

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) append_upper(&out, decode_at(text, &pos));
  return out;
}

std::string to_lower(std::string_view text) {
  const std::u32string chars = to_code_points(text);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < chars.size(); ++i) append_lower(&out, chars, i);
  return out;
}

std::string to_title(std::string_view text) {
  const std::u32string chars = to_code_points(text);
  std::string out;
  out.reserve(text.size());
  bool in_word = false;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (in_word) {
      append_lower(&out, chars, i);
    } else {
      append_title(&out, chars[i]);
    }
    in_word = is_cased(chars[i]);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  const std::u32string chars = to_code_points(text);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < chars.size(); ++i) {
    if (i == 0) {
      append_title(&out, chars[i]);
    } else {
      append_lower(&out, chars, i);
    }
  }
  return out;
}

std::string swap_case(std::string_view text) {
  const std::u32string chars = to_code_points(text);
  std::string out;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (is_upper(chars[i])) {
      append_lower(&out, chars, i);
    } else if (is_lower(chars[i])) {
      append_upper(&out, chars[i]);
    } else {
      append_utf8(&out, chars[i]);
    }
  }
  return out;
}

std::string_view strip_left(std::string_view text) {
  size_t start = 0;
  while (start < text.size()) {
    size_t next = start;
    if (!is_space(decode_at(text, &next))) break;
    start = next;
  }
  return text.substr(start);
}

std::string_view strip_right(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t previous = end;
    if (!is_space(decode_before(text, &previous))) break;
    end = previous;
  }
  return text.substr(0, end);
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t pos = 0; pos < text.size();) {
    const size_t line_end = pos;
    const char32_t c = decode_at(text, &pos);
    if (!is_line_break(c)) continue;
    if (c == '\r' && pos < text.size() && text[pos] == '\n') ++pos;
    lines.push_back(text.substr(start, (keep_ends ? pos : line_end) - start));
    start = pos;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

}  // namespace prefold::jinja
