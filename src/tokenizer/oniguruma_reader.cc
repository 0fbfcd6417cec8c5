#include "tokenizer/oniguruma_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "tokenizer/char_class.h"

namespace prefold {
namespace {

constexpr uint32_t kMaxRepeat = 65535;  // PCRE2's limit

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

char32_t hexadecimal(OnigurumaReader& in, int min_digits, int max_digits, size_t begin) {
  char32_t value = 0;
  int n = 0;
  for (; n < max_digits && !in.at_end(); ++n, ++in.pos) {
    const char32_t c = static_cast<unsigned char>(in.pattern[in.pos]);
    const char32_t low = c | 0x20;
    if (!is_digit(c) && !(low >= 'a' && low <= 'f')) break;
    value = value * 16 + (is_digit(c) ? c - '0' : low - 'a' + 10);
  }
  if (n < min_digits || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
    in.refuse("a number that is no character", begin);
  }
  return value;
}

}  // namespace

void OnigurumaReader::refuse(std::string_view what, size_t place) const {
  throw FormatError(
      fmt::format("the regular expression has {} at byte {}, which is not supported", what, place));
}

char32_t character_escape(OnigurumaReader& in, size_t begin) {
  switch (in.pattern[in.pos]) {
    case 't':
      return ++in.pos, '\t';
    case 'n':
      return ++in.pos, '\n';
    case 'r':
      return ++in.pos, '\r';
    case 'f':
      return ++in.pos, '\f';
    case 'v':
      return ++in.pos, '\v';
    case 'a':
      return ++in.pos, '\a';
    case 'e':
      return ++in.pos, 0x1b;
    case 'x':
      ++in.pos;
      if (in.accept("{")) {
        const char32_t c = hexadecimal(in, 1, 8, begin);
        if (!in.accept("}")) in.refuse("\\x{ without }", begin);
        return c;
      } else {
        const char32_t c = hexadecimal(in, 1, 2, begin);
        if (c >= 0x80) in.refuse("a byte of a character", begin);
        return c;
      }
    case 'u':
      ++in.pos;
      return hexadecimal(in, 4, 4, begin);
    default:
      break;
  }
  const char32_t c = next_char(in.pattern, in.pos);
  if (is_ascii_letter(c) || is_digit(c)) {
    in.refuse(fmt::format("\"\\{}\"", static_cast<char>(c)), begin);
  }
  return c;
}

bool interval(OnigurumaReader& in, std::string& repeat, bool& exact) {
  if (!in.at("{")) return false;
  const size_t close = in.pattern.find('}', in.pos);
  if (close == std::string_view::npos) return false;
  const std::string_view inside = in.pattern.substr(in.pos + 1, close - in.pos - 1);
  const size_t comma = inside.find(',');
  const std::string_view low = inside.substr(0, comma);
  const std::string_view high = comma == std::string_view::npos ? low : inside.substr(comma + 1);
  const auto digits = [](std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!digits(low) || !digits(high) || (low.empty() && high.empty())) return false;
  const auto number = [&](std::string_view text) {
    uint32_t value = 0;
    for (const char c : text)
      value = std::min(value * 10 + static_cast<uint32_t>(c - '0'), 100000u);
    if (value > kMaxRepeat) in.refuse(fmt::format("more than {} repetitions", kMaxRepeat), in.pos);
    return value;
  };
  const uint32_t from = number(low);
  const uint32_t to = number(high);
  if (!high.empty() && to < from) in.refuse("an interval that ends before it begins", in.pos);
  exact = comma == std::string_view::npos;
  repeat = exact ? fmt::format("{{{}}}", from)
                 : fmt::format("{{{},{}}}", from, high.empty() ? "" : std::to_string(to));
  in.pos = close + 1;
  return true;
}

}  // namespace prefold
