// Settings in a file: TOML 1.0 (read by toml++), as far as a list of options goes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

enum class TomlType { kString, kNumber, kBool };

struct TomlValue {
  TomlType type = TomlType::kString;
  std::string text;  // a string's characters; a number in decimal; "true" or "false"

  bool operator==(const TomlValue&) const = default;
};

struct TomlSetting {
  std::string key;
  int64_t line = 0;  // of the value, from 1
  bool is_array = false;
  std::vector<TomlValue> values;  // exactly one, where it is not an array

  bool operator==(const TomlSetting&) const = default;
};

// The file's keys in the order in which they stand there. Throws FormatError "NAME:LINE: ..." for
// what is not TOML, for tables, and for values that are no string, number, boolean or array of
// these.
std::vector<TomlSetting> parse_toml(std::string_view text, const std::string& name);

}  // namespace prefold
