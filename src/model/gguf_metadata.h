// Typed, range-checked look-ups in GGUF metadata. A key that is absent gives nullopt (find_*) or a
// FormatError (require_*); one of another type or out of range a FormatError naming file, key,
// value and what was wanted.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf.h"

namespace prefold {

// Owns nothing: views of the file's path and of a parsed file.
struct GgufMetadata {
  std::string_view path;
  const std::vector<GgufEntry>* entries = nullptr;
};

// The range is inclusive.
std::optional<int64_t> find_int(const GgufMetadata& metadata, std::string_view key, int64_t least,
                                int64_t most);
int64_t require_int(const GgufMetadata& metadata, std::string_view key, int64_t least,
                    int64_t most);

// Floats, or integers as floats; always finite.
std::optional<double> find_number(const GgufMetadata& metadata, std::string_view key, double least,
                                  double most);

std::optional<bool> find_bool(const GgufMetadata& metadata, std::string_view key);
std::optional<std::string_view> find_string(const GgufMetadata& metadata, std::string_view key);

// Null if absent. element_types: those that will do.
const GgufArray* find_array(const GgufMetadata& metadata, std::string_view key,
                            std::initializer_list<GgufType> element_types);

}  // namespace prefold
