#include "model/json_object.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/gguf.h"

namespace prefold {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFileBytes = 64 << 20;

std::string shown(const Json& value) {
  return printable(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}

// Refuses keys that occur twice in one object: readers disagree which of them counts.
class NoDuplicates {
 public:
  explicit NoDuplicates(const std::string& path) : path_(path) {}

  bool operator()(int, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      keys_.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys_.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) {
        throw FormatError(fmt::format("{}: key \"{}\" occurs twice", path_, printable(key)));
      }
    }
    return true;
  }

 private:
  const std::string& path_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

std::string read_text_file(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    throw Error(fmt::format("{}: there is no such file", path));
  }
  std::ifstream file(path, std::ios::binary);
  const std::uintmax_t n_bytes = std::filesystem::file_size(path, error);
  if (!file || error) throw Error(fmt::format("{}: cannot be read", path));
  if (n_bytes > kMaxFileBytes) {
    throw FormatError(
        fmt::format("{}: has {} bytes; wanted at most {}", path, n_bytes, kMaxFileBytes));
  }
  std::string text(static_cast<size_t>(n_bytes), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (static_cast<size_t>(file.gcount()) != text.size()) {
    throw Error(fmt::format("{}: cannot be read", path));
  }
  return text;
}

Json parse_json_object(const std::string& path, std::string_view text) {
  Json root;
  try {
    root = Json::parse(text.begin(), text.end(), NoDuplicates(path));
  } catch (const Json::exception& error) {
    throw FormatError(fmt::format("{}: is not JSON: {}", path, printable(error.what())));
  }
  if (!root.is_object()) {
    throw FormatError(fmt::format("{}: is {}; wanted an object", path, root.type_name()));
  }
  return root;
}

const Json* JsonObject::find(std::string_view key) const {
  read_.emplace(key);
  const auto found = object_->find(std::string(key));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

bool JsonObject::has(std::string_view key) const {
  read_.emplace(key);
  return object_->find(std::string(key)) != object_->end();
}

void JsonObject::throw_unexpected(std::string_view key, std::string_view wanted) const {
  const auto found = object_->find(std::string(key));
  throw FormatError(fmt::format("{}: \"{}\" is {}; {}", path_, name_of(key),
                                found == object_->end() ? "missing" : shown(*found), wanted));
}

std::optional<int64_t> JsonObject::find_int(std::string_view key, int64_t least,
                                            int64_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number_integer() &&
                    !(value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX);
  if (!fits || value->get<int64_t>() < least || value->get<int64_t>() > most) {
    throw_unexpected(key, fmt::format("wanted an integer from {} to {}", least, most));
  }
  return value->get<int64_t>();
}

std::optional<double> JsonObject::find_number(std::string_view key, double least,
                                              double most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most)) {
    throw_unexpected(key, fmt::format("wanted a number from {} to {}", least, most));
  }
  return value->get<double>();
}

std::optional<bool> JsonObject::find_bool(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) throw_unexpected(key, "wanted true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonObject::find_string(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) throw_unexpected(key, "wanted a string");
  return value->get<std::string>();
}

std::optional<std::vector<double>> JsonObject::find_numbers(std::string_view key, double least,
                                                            double most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::string wanted = fmt::format("wanted an array of numbers from {} to {}", least, most);
  if (!value->is_array()) throw_unexpected(key, wanted);
  std::vector<double> numbers;
  for (const Json& element : *value) {
    if (!element.is_number()) throw_unexpected(key, wanted);
    numbers.push_back(element.get<double>());
    if (!(numbers.back() >= least && numbers.back() <= most)) throw_unexpected(key, wanted);
  }
  return numbers;
}

std::optional<std::vector<std::string>> JsonObject::find_strings(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) throw_unexpected(key, "wanted an array of strings");
  std::vector<std::string> strings;
  for (const Json& element : *value) {
    if (!element.is_string()) throw_unexpected(key, "wanted an array of strings");
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

std::optional<JsonObject> JsonObject::find_object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) throw_unexpected(key, "wanted an object");
  return JsonObject(path_, name_of(key) + ".", *value);
}

std::vector<std::string> JsonObject::unread() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object_->items()) {
    if (read_.find(key) == read_.end()) keys.push_back(key);
  }
  return keys;
}

}  // namespace prefold
