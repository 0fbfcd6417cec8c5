#include "model/gguf_metadata.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace prefold {
namespace {

const GgufEntry* find(const GgufMetadata& metadata, std::string_view key) {
  const auto found = std::find_if(metadata.entries->begin(), metadata.entries->end(),
                                  [&](const GgufEntry& entry) { return entry.key == key; });
  return found == metadata.entries->end() ? nullptr : &*found;
}

[[noreturn]] void throw_type(const GgufMetadata& metadata, const GgufEntry& entry,
                             std::string_view wanted) {
  throw FormatError(fmt::format("{}: \"{}\" is of type {}; wanted {}", metadata.path, entry.key,
                                name_of(entry.type), wanted));
}

std::string int_range(int64_t least, int64_t most) {
  return fmt::format("an integer from {} to {}", least, most);
}

// Integers as int64; those beyond it as its largest, which no range here admits.
int64_t clamp_to_int64(uint64_t value) {
  return static_cast<int64_t>(
      std::min(value, static_cast<uint64_t>(std::numeric_limits<int64_t>::max())));
}

}  // namespace

std::optional<int64_t> find_int(const GgufMetadata& metadata, std::string_view key, int64_t least,
                                int64_t most) {
  const GgufEntry* entry = find(metadata, key);
  if (entry == nullptr) return std::nullopt;
  int64_t value = 0;
  if (const auto* unsigned_value = std::get_if<uint64_t>(&entry->value)) {
    value = clamp_to_int64(*unsigned_value);
  } else if (const auto* signed_value = std::get_if<int64_t>(&entry->value)) {
    value = *signed_value;
  } else {
    throw_type(metadata, *entry, int_range(least, most));
  }
  if (value < least || value > most) {
    throw FormatError(fmt::format("{}: \"{}\" is {}; wanted {}", metadata.path, key, value,
                                  int_range(least, most)));
  }
  return value;
}

int64_t require_int(const GgufMetadata& metadata, std::string_view key, int64_t least,
                    int64_t most) {
  const auto value = find_int(metadata, key, least, most);
  if (!value) {
    throw FormatError(fmt::format("{}: \"{}\" is missing; wanted {}", metadata.path, key,
                                  int_range(least, most)));
  }
  return *value;
}

std::optional<double> find_number(const GgufMetadata& metadata, std::string_view key, double least,
                                  double most) {
  const GgufEntry* entry = find(metadata, key);
  if (entry == nullptr) return std::nullopt;
  const std::string wanted = fmt::format("a number from {} to {}", least, most);
  double value = 0.0;
  if (const auto* float_value = std::get_if<double>(&entry->value)) {
    value = *float_value;
  } else if (const auto* unsigned_value = std::get_if<uint64_t>(&entry->value)) {
    value = static_cast<double>(*unsigned_value);
  } else if (const auto* signed_value = std::get_if<int64_t>(&entry->value)) {
    value = static_cast<double>(*signed_value);
  } else {
    throw_type(metadata, *entry, wanted);
  }
  if (!(value >= least && value <= most)) {  // NaN included
    throw FormatError(
        fmt::format("{}: \"{}\" is {}; wanted {}", metadata.path, key, value, wanted));
  }
  return value;
}

std::optional<bool> find_bool(const GgufMetadata& metadata, std::string_view key) {
  const GgufEntry* entry = find(metadata, key);
  if (entry == nullptr) return std::nullopt;
  const auto* value = std::get_if<bool>(&entry->value);
  if (value == nullptr) throw_type(metadata, *entry, "a bool");
  return *value;
}

std::optional<std::string_view> find_string(const GgufMetadata& metadata, std::string_view key) {
  const GgufEntry* entry = find(metadata, key);
  if (entry == nullptr) return std::nullopt;
  const auto* value = std::get_if<std::string_view>(&entry->value);
  if (value == nullptr) throw_type(metadata, *entry, "a string");
  return *value;
}

const GgufArray* find_array(const GgufMetadata& metadata, std::string_view key,
                            std::initializer_list<GgufType> element_types) {
  const GgufEntry* entry = find(metadata, key);
  if (entry == nullptr) return nullptr;
  std::string wanted = "an array of";
  for (const GgufType type : element_types) wanted += fmt::format(" {}", name_of(type));
  const auto* array = std::get_if<GgufArray>(&entry->value);
  if (array == nullptr) throw_type(metadata, *entry, wanted);
  if (std::find(element_types.begin(), element_types.end(), array->element_type) ==
      element_types.end()) {
    throw FormatError(fmt::format("{}: \"{}\" is an array of {}; wanted {}", metadata.path, key,
                                  name_of(array->element_type), wanted));
  }
  return array;
}

}  // namespace prefold
