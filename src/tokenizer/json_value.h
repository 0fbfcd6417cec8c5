// A place in a JSON document that nobody vetted: reading it checks it, and errors say where it is.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace prefold {

class JsonValue {
 public:
  // value and file outlive this. path: "model.vocab", empty for the whole document.
  JsonValue(const nlohmann::json& value, std::string_view file, std::string path)
      : value_(&value), file_(file), path_(std::move(path)) {}

  const nlohmann::json& json() const { return *value_; }
  const std::string& path() const { return path_; }
  bool is_null() const { return value_->is_null(); }
  bool is_string() const { return value_->is_string(); }
  bool is_object() const { return value_->is_object(); }

  // Throw FormatError unless the value is of that kind.
  const std::string& string() const;
  bool boolean() const;
  int64_t integer(int64_t min, int64_t max) const;
  double number() const;  // finite
  size_t array_size() const;

  JsonValue element(size_t i) const;                          // of an array, i < array_size()
  JsonValue member(std::string_view key) const;               // throws if there is none
  std::optional<JsonValue> find(std::string_view key) const;  // nothing if absent or null

  bool boolean_or(std::string_view key, bool if_absent) const;
  std::string string_or(std::string_view key, std::string_view if_absent) const;

  // Throws for a member that is none of keys: it would be ignored in silence.
  void allow_only(std::initializer_list<std::string_view> keys) const;

  // Throws FormatError: the file, this place, its value, and what was wanted.
  [[noreturn]] void refuse(std::string_view wanted) const;
  // The same with a reason of one's own after "file: "path"".
  [[noreturn]] void fail(std::string_view what) const;

 private:
  const nlohmann::json* value_;
  std::string_view file_;
  std::string path_;
};

// Parses text. Throws FormatError naming file and place.
nlohmann::json parse_json(std::string_view text, std::string_view file);

}  // namespace prefold
