// Filters that give numbers.
#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtin_table.h"
#include "tokenizer/jinja/format_spec.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

// Takes single underscores between digits away, as Python's int() and float() allow them.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto is_digit_at = [&](size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !is_digit_at(i - 1) || !is_digit_at(i + 1)) return std::nullopt;
  }
  return out;
}

// int(text, base); nothing if it is no integer. Fails if it needs more than 64 bits.
std::optional<int64_t> parse_int(Runtime& rt, std::string_view text, int64_t base) {
  text = strip_left(strip_right(text));
  bool is_negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    is_negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const auto skip_prefix = [&](char letter, int64_t prefix_base) {
    if (text.size() < 2 || text[0] != '0' || (text[1] | 0x20) != letter) return;
    if (base != 0 && base != prefix_base) return;
    base = prefix_base;
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
  };
  skip_prefix('x', 16);
  skip_prefix('o', 8);
  skip_prefix('b', 2);
  if (base == 0) {
    base = 10;
    const bool is_zero = text.find_first_not_of("0_") == std::string_view::npos;
    if (text.size() > 1 && text[0] == '0' && !is_zero) return std::nullopt;
  }
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
  const std::string signed_digits = (is_negative ? "-" : "") + *digits;
  int64_t number = 0;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto result = std::from_chars(signed_digits.data(), end, number, static_cast<int>(base));
  if (result.ptr != end) return std::nullopt;
  if (result.ec != std::errc()) rt.fail("an integer leaves the 64 bits it has here");
  return number;
}

std::optional<double> parse_float(std::string_view text) {
  text = strip_left(strip_right(text));
  bool is_negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    is_negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || (*digits)[0] == '-' || (*digits)[0] == '+') {
    return std::nullopt;
  }
  const std::string lower = to_lower(*digits);
  if (lower.find("nan(") != std::string::npos) return std::nullopt;
  double number = 0;
  const char* end = lower.data() + lower.size();
  const auto result = std::from_chars(lower.data(), end, number);
  if (result.ptr != end) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    number = std::strtod(lower.c_str(), nullptr);  // infinity or zero, as Python says
  } else if (result.ec != std::errc()) {
    return std::nullopt;
  }
  return is_negative ? -number : number;
}

int64_t truncate_float(Runtime& rt, double number) {
  if (!(std::fabs(number) < 9.2e18)) rt.fail("cannot convert the float to an integer of 64 bits");
  return static_cast<int64_t>(number);
}

Value to_int(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "int", std::move(args), {"value", "default", "base"}, 1);
  const Value& value = given[0];
  const Value otherwise = given[1].is_missing() ? Value::integer(0) : given[1];
  if (value.is_undefined()) rt.fail(value.message());
  if (value.is_integral()) return Value::integer(value.as_int());
  if (value.kind() == Kind::kFloat) {
    if (std::isnan(value.as_real())) return otherwise;
    return Value::integer(truncate_float(rt, value.as_real()));
  }
  if (!value.is_string()) return otherwise;
  rt.step_text(value.text().size());
  const int64_t base = given[2].is_missing() ? 10 : to_index(rt, given[2]);
  if (base == 0 || (base >= 2 && base <= 36)) {
    if (const auto number = parse_int(rt, value.text(), base)) return Value::integer(*number);
  }
  const std::optional<double> number = parse_float(value.text());
  if (!number || !std::isfinite(*number)) return otherwise;
  return Value::integer(truncate_float(rt, *number));
}

Value to_float(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "float", std::move(args), {"value", "default"}, 1);
  const Value& value = given[0];
  if (value.is_undefined()) rt.fail(value.message());
  if (value.is_number()) return Value::real(value.as_real());
  if (value.is_string()) {
    rt.step_text(value.text().size());
    if (const auto number = parse_float(value.text())) return Value::real(*number);
  }
  return given[1].is_missing() ? Value::real(0) : given[1];
}

Value abs(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "abs", std::move(args), {""}, 1)[0];
  if (value.is_integral()) {
    return value.as_int() < 0 ? negate(rt, value) : Value::integer(value.as_int());
  }
  if (value.kind() == Kind::kFloat) return Value::real(std::fabs(value.as_real()));
  rt.fail(fmt::format("bad operand type for abs(): '{}'", type_name(value)));
}

// Python's round(number, precision): correctly rounded from the exact value, ties to even.
double round_float(double number, int64_t precision) {
  if (!std::isfinite(number) || precision > 323) return number;
  if (precision < -308) return std::copysign(0.0, number);
  if (precision < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(number / scale) * scale;
  }
  const std::string digits = fmt::format("{:.{}f}", number, precision);
  return std::strtod(digits.c_str(), nullptr);
}

int64_t round_int(Runtime& rt, int64_t number, int64_t precision) {
  if (precision >= 0) return number;
  if (precision < -18) return 0;
  int64_t scale = 1;
  for (int64_t i = 0; i > precision; --i) scale *= 10;
  if (number < INT64_MIN + scale || number > INT64_MAX - scale)
    rt.fail("round: too large a number");
  const int64_t remainder = ((number % scale) + scale) % scale;
  const int64_t low = number - remainder;
  const bool up = remainder * 2 > scale || (remainder * 2 == scale && (low / scale) % 2 != 0);
  return up ? low + scale : low;
}

Value round(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "round", std::move(args), {"value", "precision", "method"}, 1);
  const Value& value = given[0];
  const int64_t precision = given[1].is_missing() ? 0 : to_index(rt, given[1]);
  const std::string method =
      given[2].is_missing() ? "common" : to_string_argument(rt, given[2], "method");
  if (method != "common" && method != "ceil" && method != "floor") {
    rt.fail("round: method must be common, ceil or floor");
  }
  if (!value.is_number()) rt.fail(fmt::format("type {} cannot be rounded", type_name(value)));
  if (method == "common") {
    if (value.is_integral()) return Value::integer(round_int(rt, value.as_int(), precision));
    return Value::real(round_float(value.as_real(), precision));
  }
  const Value scale = binary(rt, BinaryOp::kPow, Value::integer(10), Value::integer(precision));
  const Value scaled = binary(rt, BinaryOp::kMul, value, scale);
  const double whole =
      method == "ceil" ? std::ceil(scaled.as_real()) : std::floor(scaled.as_real());
  if (!std::isfinite(whole)) rt.fail("cannot convert float infinity or NaN to integer");
  return Value::real(whole / scale.as_real());
}

constexpr std::array<NamedBuiltin, 4> kFilters = {{
    {"abs", abs},
    {"float", to_float},
    {"int", to_int},
    {"round", round},
}};

}  // namespace

Builtin find_number_filter(std::string_view name) { return find_builtin(kFilters, name); }

}  // namespace prefold::jinja
