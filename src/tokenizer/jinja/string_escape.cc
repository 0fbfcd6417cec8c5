#include "tokenizer/jinja/string_escape.h"

#include <fmt/format.h>

#include <charconv>

#include "tokenizer/jinja/token.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

// \xNN, \uNNNN or \UNNNNNNNN whose letter is raw[i]; returns the place after it.
size_t unescape_hex(std::string_view raw, size_t i, int32_t line, std::string* out) {
  const size_t n_digits = raw[i] == 'x' ? 2 : raw[i] == 'u' ? 4 : 8;
  const std::string_view digits = raw.substr(i + 1, n_digits);
  uint32_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() < n_digits || result.ptr != digits.data() + n_digits) {
    fail_at_line(line, fmt::format("truncated \\{} escape in a string", raw[i]));
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
    fail_at_line(line, fmt::format("\\{}{} in a string is not a character", raw[i], digits));
  }
  append_utf8(out, value);
  return i + 1 + n_digits;
}

// A backslash before any other character stays. Before one that is not ASCII it turns that
// character into the text of its own escape, as Python's unicode-escape codec does when fed so.
size_t keep_unknown_escape(std::string_view raw, size_t i, std::string* out) {
  const char32_t c = decode_at(raw, &i);
  out->push_back('\\');
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else {
    const auto code = static_cast<uint32_t>(c);
    *out += c < 0x100     ? fmt::format("x{:02x}", code)
            : c < 0x10000 ? fmt::format("u{:04x}", code)
                          : fmt::format("U{:08x}", code);
  }
  return i;
}

}  // namespace

std::string unescape(std::string_view raw, int32_t line) {
  std::string out;
  for (size_t i = 0; i < raw.size();) {
    if (raw[i] != '\\' || i + 1 == raw.size()) {
      out.push_back(raw[i++]);
      continue;
    }
    ++i;
    const char c = raw[i];
    constexpr std::string_view kFrom = "\\'\"abfnrtv";
    constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t simple = kFrom.find(c); simple != std::string_view::npos) {
      out.push_back(kTo[simple]);
      ++i;
    } else if (c == '\n') {
      ++i;
    } else if (c >= '0' && c <= '7') {
      char32_t value = 0;
      for (int n = 0; n < 3 && i < raw.size() && raw[i] >= '0' && raw[i] <= '7'; ++n) {
        value = value * 8 + static_cast<char32_t>(raw[i++] - '0');
      }
      append_utf8(&out, value);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      i = unescape_hex(raw, i, line, &out);
    } else if (c == 'N') {
      fail_at_line(line, "string escape \\N{...} is not supported");
    } else {
      i = keep_unknown_escape(raw, i, &out);
    }
  }
  return out;
}

}  // namespace prefold::jinja
