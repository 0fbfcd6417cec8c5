// Settings in a file: the part of TOML 1.0 that a list of options needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

enum class TomlType { kString, kNumber, kBool };

struct TomlValue {
  TomlType type = TomlType::kString;
  std::string text;  // a string's characters; a number without underscores; "true" or "false"

  bool operator==(const TomlValue&) const = default;
};

struct TomlSetting {
  std::string key;
  int64_t line = 0;  // from 1
  bool is_array = false;
  std::vector<TomlValue> values;  // exactly one, where it is not an array

  bool operator==(const TomlSetting&) const = default;
};

// Reads `key = value` lines and # comments. A key is of letters, digits, - and _; a value is a
// string in "..." (with TOML's escapes) or '...', a decimal number, true or false, or an array of
// these, over several lines if need be. All that is read here means the same in TOML; what else
// TOML has (tables, dotted and quoted keys, dates, inf, other bases, strings of several lines) is
// refused. Throws FormatError "NAME:LINE: ..." for that, for a key that stands there twice, for
// control characters and for what is not UTF-8.
std::vector<TomlSetting> parse_toml(std::string_view text, const std::string& name);

}  // namespace prefold
