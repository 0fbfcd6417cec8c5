#include "tokenizer/json_value.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace prefold {
namespace {

constexpr size_t kShownBytes = 80;

std::string shown(const nlohmann::json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

}  // namespace

void JsonValue::fail(std::string_view what) const {
  if (path_.empty()) throw FormatError(fmt::format("{}: {}", file_, what));
  throw FormatError(fmt::format("{}: \"{}\" {}", file_, path_, what));
}

void JsonValue::refuse(std::string_view wanted) const {
  if (path_.empty()) fail(fmt::format("the document is {}; wanted {}", shown(*value_), wanted));
  fail(fmt::format("is {}; wanted {}", shown(*value_), wanted));
}

const std::string& JsonValue::string() const {
  if (!value_->is_string()) refuse("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonValue::boolean() const {
  if (!value_->is_boolean()) refuse("true or false");
  return value_->get<bool>();
}

int64_t JsonValue::integer(int64_t min, int64_t max) const {
  const bool fits = value_->is_number_unsigned()
                        ? value_->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX)
                        : value_->is_number_integer();
  if (!fits || value_->get<int64_t>() < min || value_->get<int64_t>() > max) {
    refuse(fmt::format("an integer from {} to {}", min, max));
  }
  return value_->get<int64_t>();
}

double JsonValue::number() const {
  if (!value_->is_number() || !std::isfinite(value_->get<double>())) refuse("a number");
  return value_->get<double>();
}

size_t JsonValue::array_size() const {
  if (!value_->is_array()) refuse("an array");
  return value_->size();
}

JsonValue JsonValue::element(size_t i) const {
  return {(*value_)[i], file_, fmt::format("{}[{}]", path_, i)};
}

JsonValue JsonValue::member(std::string_view key) const {
  if (!value_->is_object()) refuse("an object");
  const auto found = value_->find(key);
  if (found == value_->end()) fail(fmt::format("has no \"{}\"", key));
  return {*found, file_, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key)};
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const {
  if (!value_->is_object()) refuse("an object");
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return member(key);
}

bool JsonValue::boolean_or(std::string_view key, bool if_absent) const {
  const auto found = find(key);
  return found ? found->boolean() : if_absent;
}

std::string JsonValue::string_or(std::string_view key, std::string_view if_absent) const {
  const auto found = find(key);
  return found ? found->string() : std::string(if_absent);
}

void JsonValue::allow_only(std::initializer_list<std::string_view> keys) const {
  if (!value_->is_object()) refuse("an object");
  for (const auto& [key, value] : value_->items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      fail(fmt::format("has a \"{}\", which is not supported", key.substr(0, kShownBytes)));
    }
  }
}

nlohmann::json parse_json(std::string_view text, std::string_view file) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw FormatError(fmt::format("{}: not valid JSON at byte {}", file, error.byte));
  } catch (const nlohmann::json::exception&) {
    throw FormatError(fmt::format("{}: has a number that is out of range", file));
  }
}

}  // namespace prefold
