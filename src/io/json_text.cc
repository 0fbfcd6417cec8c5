#include "io/json_text.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>

#include "io/utf8.h"

namespace prefold {
namespace {

constexpr float kLowestLogprob = -9999.0f;
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

void append_ascii(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      if (static_cast<unsigned char>(c) < 0x20) {
        out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
      } else {
        out += c;
      }
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view bytes) {
  out += '"';
  while (!bytes.empty()) {
    if (static_cast<unsigned char>(bytes[0]) < 0x80) {
      append_ascii(out, bytes[0]);
      bytes.remove_prefix(1);
      continue;
    }
    const Utf8Char character = first_utf8_char(bytes);
    out += character.valid ? bytes.substr(0, character.n_bytes) : kReplacement;
    bytes.remove_prefix(character.n_bytes);
  }
  out += '"';
}

void append_json_integer(std::string& out, int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void append_json_integers(std::string& out, std::span<const int32_t> values) {
  out += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    append_json_integer(out, values[i]);
  }
  out += ']';
}

void append_json_logprob(std::string& out, float logprob) {
  const bool usable = std::isfinite(logprob) && logprob > kLowestLogprob;
  char digits[32];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, usable ? logprob : kLowestLogprob).ptr;
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void append_json_float(std::string& out, float value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void append_base64(std::string& out, std::span<const float> values) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const size_t n_bytes = values.size() * sizeof(float);
  const auto byte_at = [&](size_t i) -> uint32_t {
    if (i >= n_bytes) return 0;
    return std::bit_cast<uint32_t>(values[i / 4]) >> (i % 4 * 8) & 0xff;
  };
  for (size_t i = 0; i < n_bytes; i += 3) {
    const uint32_t three = byte_at(i) << 16 | byte_at(i + 1) << 8 | byte_at(i + 2);
    for (size_t digit = 0; digit < 4; ++digit) {
      out += i + digit > n_bytes ? '=' : kDigits[three >> (18 - 6 * digit) & 63];
    }
  }
}

void append_json_bytes(std::string& out, std::string_view bytes) {
  out += '[';
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    append_json_integer(out, static_cast<unsigned char>(bytes[i]));
  }
  out += ']';
}

}  // namespace prefold
