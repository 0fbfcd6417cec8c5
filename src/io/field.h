// Checked access to one member of a line's JSON. Each getter throws RequestError("invalid_value")
// with a message such as: "max_tokens" is -5; expected an integer from 1 to 2147483647
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/json_line.h"

namespace prefold {

struct Field {
  std::string name;  // as messages show it, without quotes: max_tokens, messages[2].role
  Json& value;       // may be moved from
};

[[noreturn]] void throw_invalid_value(const std::string& message);
[[noreturn]] void throw_unexpected(const Field& field, std::string_view expected);

// Accepts a number without a fraction, 64.0 as well as 64, as JSON does not tell them apart.
int64_t get_integer(const Field& field, int64_t min, int64_t max);
int32_t get_int32(const Field& field, int32_t min, int32_t max);

// A number from min to max, or, with min_excluded, above min and up to max.
float get_float(const Field& field, double min, double max, bool min_excluded = false);

bool get_bool(const Field& field);
std::string get_string(const Field& field);

// An array of 1 to max_count token ids (0 to max_count, if may_be_empty).
std::vector<int32_t> get_token_ids(const Field& field, size_t max_count, bool may_be_empty);

}  // namespace prefold
