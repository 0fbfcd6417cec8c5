// The JSON files of a model folder, which nobody vetted: read whole, then looked up by key with
// type and range checked.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

// The file's text. Throws Error (missing, unreadable) or FormatError (more than 64 MiB).
std::string read_text_file(const std::string& path);

// One object, in whose objects no key occurs twice (sorted by key: headers have many thousands).
// `path` serves for messages. Throws FormatError.
nlohmann::json parse_json_object(const std::string& path, std::string_view text);

// A view of an object that outlives it. A key that is absent or null gives none; one of another
// type or out of the (inclusive) range a FormatError naming file, key, value and what was wanted.
class JsonObject {
 public:
  // prefix: of keys in messages, "rope_scaling." of a nested object.
  JsonObject(std::string path, std::string prefix, const nlohmann::json& object)
      : path_(std::move(path)), prefix_(std::move(prefix)), object_(&object) {}

  const std::string& path() const { return path_; }
  std::string name_of(std::string_view key) const { return prefix_ + std::string(key); }

  bool has(std::string_view key) const;  // also null
  std::optional<int64_t> find_int(std::string_view key, int64_t least, int64_t most) const;
  std::optional<double> find_number(std::string_view key, double least, double most) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string> find_string(std::string_view key) const;
  std::optional<std::vector<double>> find_numbers(std::string_view key, double least,
                                                  double most) const;
  std::optional<std::vector<std::string>> find_strings(std::string_view key) const;
  std::optional<JsonObject> find_object(std::string_view key) const;
  // Null if absent or null.
  const nlohmann::json* find(std::string_view key) const;

  [[noreturn]] void throw_unexpected(std::string_view key, std::string_view wanted) const;

  // Keys that no look-up has asked for.
  std::vector<std::string> unread() const;

 private:
  std::string path_;
  std::string prefix_;
  const nlohmann::json* object_;
  mutable std::set<std::string, std::less<>> read_;
};

}  // namespace prefold
