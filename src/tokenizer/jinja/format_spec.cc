#include "tokenizer/jinja/format_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

constexpr int64_t kMaxPrecision = 500;

bool is_align(char32_t c) { return c == '<' || c == '>' || c == '=' || c == '^'; }

int64_t read_number(Runtime& rt, std::string_view text, size_t* pos) {
  int64_t number = 0;
  while (*pos < text.size() && text[*pos] >= '0' && text[*pos] <= '9') {
    number = number * 10 + (text[(*pos)++] - '0');
    if (number > kMaxFormatWidth) rt.fail("too wide a field in a format");
  }
  return number;
}

// "-12345.6" with a separator every `size` digits before the point; hex digits count as digits.
std::string group_digits(const std::string& digits, char separator, size_t size) {
  const size_t n_whole = digits.find_first_of(".e%");
  std::string whole = digits.substr(0, n_whole);
  for (size_t at = whole.size(); at > size; at -= size) whole.insert(at - size, 1, separator);
  return n_whole == std::string::npos ? whole : whole + digits.substr(n_whole);
}

std::string sign_text(bool is_negative, const FormatSpec& spec) {
  if (is_negative) return "-";
  return spec.sign == '-' ? "" : std::string(1, spec.sign);
}

std::string print_real(const char* layout, int64_t precision, double number) {
  const int n = std::snprintf(nullptr, 0, layout, static_cast<int>(precision), number);
  std::string out(static_cast<size_t>(n) + 1, '\0');
  std::snprintf(out.data(), out.size(), layout, static_cast<int>(precision), number);
  out.pop_back();
  return out;
}

// A positive number's digits.
std::string real_digits(Runtime& rt, double number, const FormatSpec& spec) {
  const int64_t precision = std::min(spec.precision.value_or(6), kMaxPrecision);
  if (spec.precision.value_or(0) > kMaxPrecision) rt.fail("too precise a number in a format");
  switch (spec.type) {
    case 'e':
      return print_real(spec.alternate ? "%#.*e" : "%.*e", precision, number);
    case 'E':
      return print_real(spec.alternate ? "%#.*E" : "%.*E", precision, number);
    case 'f':
    case 'F':
      return print_real(spec.alternate ? "%#.*f" : "%.*f", precision, number);
    case 'g':
    case 'n':
      return print_real(spec.alternate ? "%#.*g" : "%.*g", precision, number);
    case 'G':
      return print_real(spec.alternate ? "%#.*G" : "%.*G", precision, number);
    case '%':
      return print_real("%.*f", precision, number * 100) + "%";
    default:
      break;
  }
  if (!spec.precision) return float_repr(number);
  // No type: as 'g', but with at least one digit after the point.
  std::string digits = print_real("%.*g", std::max<int64_t>(precision, 1), number);
  if (digits.find_first_of(".en") == std::string::npos) digits += ".0";
  return digits;
}

}  // namespace

FormatSpec parse_format_spec(Runtime& rt, std::string_view text) {
  FormatSpec spec;
  size_t pos = 0;
  if (!text.empty()) {
    size_t after_fill = 0;
    const char32_t fill = decode_at(text, &after_fill);
    if (after_fill < text.size() && is_align(static_cast<unsigned char>(text[after_fill]))) {
      spec.fill = fill;
      spec.align = text[after_fill];
      pos = after_fill + 1;
    } else if (is_align(fill)) {
      spec.align = text[0];
      pos = 1;
    }
  }
  const auto take = [&](std::string_view choices) {
    return pos < text.size() && choices.find(text[pos]) != std::string_view::npos ? text[pos++]
                                                                                  : '\0';
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  spec.zero = take("0") != 0;
  spec.width = read_number(rt, text, &pos);
  spec.grouping = take(",_");
  if (take(".") != 0) {
    const size_t start = pos;
    spec.precision = read_number(rt, text, &pos);
    if (pos == start) rt.fail("format specifier missing precision");
  }
  if (pos < text.size()) spec.type = text[pos++];
  if (pos < text.size()) rt.fail(fmt::format("invalid format specifier '{}'", std::string(text)));
  return spec;
}

std::string pad_to_width(Runtime& rt, std::string text, const FormatSpec& spec, char own_align) {
  const int64_t n_missing = spec.width - count_code_points(text);
  if (n_missing <= 0) return text;
  rt.step(1 + n_missing / 32);
  const bool zero = spec.zero && spec.align == 0;
  const char align = spec.align != 0 ? spec.align : (zero && own_align == '>') ? '=' : own_align;
  const char32_t fill = spec.zero && spec.fill == U' ' ? U'0' : spec.fill;
  const int64_t n_left = align == '<' ? 0 : align == '^' ? n_missing / 2 : n_missing;
  std::string left;
  std::string right;
  for (int64_t i = 0; i < n_left; ++i) append_utf8(&left, fill);
  for (int64_t i = n_left; i < n_missing; ++i) append_utf8(&right, fill);
  size_t n_sign = 0;
  if (align == '=') {
    if (!text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ')) n_sign = 1;
    if (spec.alternate && text.size() > n_sign + 1 && text[n_sign] == '0' &&
        std::string_view("xXob").find(text[n_sign + 1]) != std::string_view::npos) {
      n_sign += 2;
    }
  }
  return text.substr(0, n_sign) + left + text.substr(n_sign) + right;
}

std::string format_int(Runtime& rt, int64_t number, const FormatSpec& spec) {
  const uint64_t magnitude =
      number < 0 ? ~static_cast<uint64_t>(number) + 1 : static_cast<uint64_t>(number);
  std::string prefix;
  std::string digits;
  switch (spec.type) {
    case 0:
    case 'd':
    case 'n':
      digits = fmt::format("{}", magnitude);
      break;
    case 'x':
      prefix = "0x";
      digits = fmt::format("{:x}", magnitude);
      break;
    case 'X':
      prefix = "0X";
      digits = fmt::format("{:X}", magnitude);
      break;
    case 'o':
      prefix = "0o";
      digits = fmt::format("{:o}", magnitude);
      break;
    case 'b':
      prefix = "0b";
      digits = fmt::format("{:b}", magnitude);
      break;
    default:
      rt.fail(fmt::format("unknown format code '{}' for an integer", spec.type));
  }
  if (spec.grouping != 0) {
    const bool is_decimal_type = prefix.empty();
    if (spec.grouping == ',' && !is_decimal_type) rt.fail("cannot specify ',' with this format");
    digits = group_digits(digits, spec.grouping, is_decimal_type ? 3 : 4);
  }
  return sign_text(number < 0, spec) + (spec.alternate ? prefix : "") + digits;
}

std::string format_real(Runtime& rt, double number, const FormatSpec& spec) {
  constexpr std::string_view kTypes = "eEfFgGn%";
  if (spec.type != 0 && kTypes.find(spec.type) == std::string_view::npos) {
    rt.fail(fmt::format("unknown format code '{}' for a float", spec.type));
  }
  std::string digits;
  if (std::isfinite(number)) {
    digits = real_digits(rt, std::fabs(number), spec);
  } else {
    digits = std::isnan(number) ? "nan" : "inf";
    if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G') {
      digits = std::isnan(number) ? "NAN" : "INF";
    }
    if (spec.type == '%') digits += '%';
  }
  if (spec.grouping != 0) digits = group_digits(digits, spec.grouping, 3);
  return sign_text(std::signbit(number) && !std::isnan(number), spec) + digits;
}

std::string format_value(Runtime& rt, const Value& value, const FormatSpec& spec, bool is_empty) {
  if (is_empty) return to_text(rt, value);
  if (value.is_string()) {
    if (spec.type != 0 && spec.type != 's') {
      rt.fail(fmt::format("unknown format code '{}' for a string", spec.type));
    }
    if (spec.align == '=' || spec.sign != '-' || spec.alternate || spec.grouping != 0) {
      rt.fail("a number's format given for a string");
    }
    std::string text = value.text();
    if (spec.precision && *spec.precision < value.n_chars()) {
      const std::u32string chars = to_code_points(text);
      text = to_utf8(std::u32string_view(chars).substr(0, static_cast<size_t>(*spec.precision)));
    }
    return pad_to_width(rt, std::move(text), spec, '<');
  }
  if (value.is_integral()) {
    constexpr std::string_view kRealTypes = "eEfFgG%";
    if (spec.type != 0 && kRealTypes.find(spec.type) != std::string_view::npos) {
      return pad_to_width(rt, format_real(rt, value.as_real(), spec), spec, '>');
    }
    if (spec.precision) rt.fail("precision not allowed in an integer's format");
    if (spec.type == 'c') {
      const int64_t c = value.as_int();
      if (c < 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) rt.fail("%c: not a character");
      std::string text;
      append_utf8(&text, static_cast<char32_t>(c));
      return pad_to_width(rt, std::move(text), spec, '>');
    }
    return pad_to_width(rt, format_int(rt, value.as_int(), spec), spec, '>');
  }
  if (value.kind() == Kind::kFloat) {
    return pad_to_width(rt, format_real(rt, value.as_real(), spec), spec, '>');
  }
  rt.fail(fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
}

}  // namespace prefold::jinja
