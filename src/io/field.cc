#include "io/field.h"

#include <cmath>
#include <limits>
#include <optional>

#include "base/error.h"

namespace prefold {
namespace {

constexpr int32_t kMaxInt32 = std::numeric_limits<int32_t>::max();

std::optional<int64_t> as_int64(const Json& value) {
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number_float()) {
    const double number = value.get<double>();
    const double limit = 9223372036854775808.0;  // 2^63
    if (number != std::floor(number) || number < -limit || number >= limit) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  return std::nullopt;
}

}  // namespace

void throw_invalid_value(const std::string& message) {
  throw RequestError("invalid_value", message);
}

void throw_unexpected(const Field& field, std::string_view expected) {
  throw_invalid_value(
      fmt::format("\"{}\" is {}; expected {}", field.name, show_value(field.value), expected));
}

int64_t get_integer(const Field& field, int64_t min, int64_t max) {
  const std::optional<int64_t> number = as_int64(field.value);
  if (!number.has_value() || *number < min || *number > max) {
    throw_unexpected(field, fmt::format("an integer from {} to {}", min, max));
  }
  return *number;
}

int32_t get_int32(const Field& field, int32_t min, int32_t max) {
  return static_cast<int32_t>(get_integer(field, min, max));
}

float get_float(const Field& field, double min, double max, bool min_excluded) {
  const double number = field.value.is_number() ? field.value.get<double>() : max + 1;
  if (number > max || number < min || (min_excluded && number == min)) {
    throw_unexpected(field, min_excluded ? fmt::format("a number above {:g}, up to {:g}", min, max)
                                         : fmt::format("a number from {:g} to {:g}", min, max));
  }
  const auto rounded = static_cast<float>(number);
  // What is above an excluded bound stays above it when rounded to f32.
  if (min_excluded && rounded <= static_cast<float>(min)) {
    return std::nextafter(static_cast<float>(min), static_cast<float>(max));
  }
  return rounded;
}

bool get_bool(const Field& field) {
  if (!field.value.is_boolean()) throw_unexpected(field, "true or false");
  return field.value.get<bool>();
}

std::string get_string(const Field& field) {
  if (!field.value.is_string()) throw_unexpected(field, "a string");
  return std::move(field.value.get_ref<std::string&>());
}

std::vector<int32_t> get_token_ids(const Field& field, size_t max_count, bool may_be_empty) {
  if (!field.value.is_array()) throw_unexpected(field, "an array of token ids");
  if (field.value.empty() && !may_be_empty) {
    throw_unexpected(field, "at least one token id");
  }
  if (field.value.size() > max_count) {
    throw_invalid_value(fmt::format("\"{}\" has {} entries; expected at most {}", field.name,
                                    field.value.size(), max_count));
  }
  std::vector<int32_t> ids;
  ids.reserve(field.value.size());
  for (Json& id : field.value) {
    const std::optional<int64_t> number = id.is_number_float() ? std::nullopt : as_int64(id);
    if (!number.has_value() || *number < 0 || *number > kMaxInt32) {
      throw_unexpected({fmt::format("{}[{}]", field.name, ids.size()), id},
                       fmt::format("a token id from 0 to {}", kMaxInt32));
    }
    ids.push_back(static_cast<int32_t>(*number));
  }
  return ids;
}

}  // namespace prefold
