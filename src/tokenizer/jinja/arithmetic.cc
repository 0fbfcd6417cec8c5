#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"

namespace prefold::jinja {
namespace {

constexpr const char* kSpelling[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void fail_overflow(Runtime& rt) {
  rt.fail("an integer leaves the 64 bits it has here");
}
[[noreturn]] void fail_zero(Runtime& rt) { rt.fail("division by zero"); }

// Both floors, as Python's // and %: the remainder has the sign of the divisor.
int64_t floor_div(Runtime& rt, int64_t a, int64_t b) {
  if (b == 0) fail_zero(rt);
  if (b == -1) {
    if (a == std::numeric_limits<int64_t>::min()) fail_overflow(rt);
    return -a;
  }
  const int64_t quotient = a / b;
  return quotient - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

int64_t floor_mod(Runtime& rt, int64_t a, int64_t b) {
  if (b == 0) fail_zero(rt);
  if (b == -1) return 0;
  const int64_t remainder = a % b;
  return remainder + ((remainder != 0 && (remainder < 0) != (b < 0)) ? b : 0);
}

double float_mod(double a, double b) {
  const double remainder = std::fmod(a, b);
  if (remainder == 0) return std::copysign(0.0, b);
  return (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

// CPython's own way: exact where a - remainder is.
double float_floor_div(double a, double b) {
  const double quotient = (a - float_mod(a, b)) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value int_power(Runtime& rt, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail_zero(rt);
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base == 0 || base == 1) return Value::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
  int64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i) {  // |base| >= 2: overflows within 64 rounds
    if (__builtin_mul_overflow(result, base, &result)) fail_overflow(rt);
  }
  return Value::integer(result);
}

Value int_arithmetic(Runtime& rt, BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  switch (op) {
    case BinaryOp::kAdd:
      overflows = __builtin_add_overflow(a, b, &result);
      break;
    case BinaryOp::kSub:
      overflows = __builtin_sub_overflow(a, b, &result);
      break;
    case BinaryOp::kMul:
      overflows = __builtin_mul_overflow(a, b, &result);
      break;
    case BinaryOp::kDiv:
      if (b == 0) fail_zero(rt);
      return Value::real(
          static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    case BinaryOp::kFloorDiv:
      result = floor_div(rt, a, b);
      break;
    case BinaryOp::kMod:
      result = floor_mod(rt, a, b);
      break;
    case BinaryOp::kPow:
      return int_power(rt, a, b);
  }
  if (overflows) fail_overflow(rt);
  return Value::integer(result);
}

Value float_arithmetic(Runtime& rt, BinaryOp op, double a, double b) {
  const bool divides = op == BinaryOp::kDiv || op == BinaryOp::kFloorDiv || op == BinaryOp::kMod;
  if (divides && b == 0) fail_zero(rt);
  switch (op) {
    case BinaryOp::kAdd:
      return Value::real(a + b);
    case BinaryOp::kSub:
      return Value::real(a - b);
    case BinaryOp::kMul:
      return Value::real(a * b);
    case BinaryOp::kDiv:
      return Value::real(a / b);
    case BinaryOp::kFloorDiv:
      return Value::real(float_floor_div(a, b));
    case BinaryOp::kMod:
      return Value::real(float_mod(a, b));
    case BinaryOp::kPow:
      break;
  }
  if (a == 0 && b < 0) fail_zero(rt);
  if (a < 0 && std::isfinite(b) && b != std::floor(b)) {
    rt.fail("a complex number is no value of a template");
  }
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
    rt.fail("numerical result out of range");
  }
  return Value::real(result);
}

Value repeat_text(Runtime& rt, const Value& text, int64_t n) {
  const auto n_bytes = static_cast<int64_t>(text.text().size());
  if (n <= 0 || n_bytes == 0) return rt.string("", text.is_markup());
  if (n > kMaxStringBytes / n_bytes) rt.fail("a repeated text is too long");
  std::string out;
  out.reserve(static_cast<size_t>(n * n_bytes));
  for (int64_t i = 0; i < n; ++i) out += text.text();
  return rt.string(std::move(out), text.is_markup());
}

Value repeat_list(Runtime& rt, const Value& list, int64_t n) {
  const auto size = static_cast<int64_t>(list.items().size());
  const int64_t limit = kMaxHeapBytes / static_cast<int64_t>(sizeof(Value));
  if (n > 0 && size > 0 && n > limit / size) rt.fail("a repeated list is too long");
  std::vector<Value> items;
  for (int64_t i = 0; i < n; ++i) {
    rt.step(1 + size / 4);
    items.insert(items.end(), list.items().begin(), list.items().end());
  }
  return list.kind() == Kind::kList ? rt.list(std::move(items)) : rt.tuple(std::move(items));
}

Value multiply_sequence(Runtime& rt, const Value& sequence, const Value& count) {
  return sequence.is_string() ? repeat_text(rt, sequence, count.as_int())
                              : repeat_list(rt, sequence, count.as_int());
}

// Joining with a text that counts as HTML escapes the other one.
Value add_texts(Runtime& rt, const Value& a, const Value& b) {
  const bool markup = a.is_markup() || b.is_markup();
  const Value left = markup ? escape_html(rt, a) : a;
  const Value right = markup ? escape_html(rt, b) : b;
  check_text_size(rt, left.text().size() + right.text().size());
  return rt.string(left.text() + right.text(), markup);
}

Value add_lists(Runtime& rt, const Value& a, const Value& b) {
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.kind() == Kind::kList ? rt.list(std::move(items)) : rt.tuple(std::move(items));
}

bool is_repeatable(const Value& value) { return value.is_string() || value.is_sequence(); }

}  // namespace

Value binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return int_arithmetic(rt, op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return float_arithmetic(rt, op, a.as_real(), b.as_real());
  if (op == BinaryOp::kMod && a.is_string()) return format_percent(rt, a, b);
  if (a.is_undefined()) rt.fail(a.message());
  if (b.is_undefined()) rt.fail(b.message());
  if (op == BinaryOp::kAdd) {
    if (a.is_string() && b.is_string()) return add_texts(rt, a, b);
    if (a.is_sequence() && a.kind() == b.kind()) return add_lists(rt, a, b);
  }
  if (op == BinaryOp::kMul) {
    if (is_repeatable(a) && b.is_integral()) return multiply_sequence(rt, a, b);
    if (is_repeatable(b) && a.is_integral()) return multiply_sequence(rt, b, a);
  }
  rt.fail(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'",
                      kSpelling[static_cast<size_t>(op)], type_name(a), type_name(b)));
}

Value negate(Runtime& rt, const Value& value) {
  if (value.is_undefined()) rt.fail(value.message());
  if (value.is_integral()) return int_arithmetic(rt, BinaryOp::kSub, 0, value.as_int());
  if (value.kind() == Kind::kFloat) return Value::real(-value.as_real());
  rt.fail(fmt::format("bad operand type for unary -: '{}'", type_name(value)));
}

Value plus(Runtime& rt, const Value& value) {
  if (value.is_undefined()) rt.fail(value.message());
  if (value.is_integral()) return Value::integer(value.as_int());
  if (value.kind() == Kind::kFloat) return value;
  rt.fail(fmt::format("bad operand type for unary +: '{}'", type_name(value)));
}

}  // namespace prefold::jinja
