// Metadata of one architecture, whose keys begin with its name: "llama.block_count".
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/gguf_metadata.h"
#include "model/model_limits.h"

namespace prefold {

// Lookups by the name behind the architecture's. Each returns nothing for an absent key, unless it
// says otherwise, and throws FormatError naming key, value and what was wanted.
class GgufKeys {
 public:
  GgufKeys(const GgufMetadata& metadata, std::string_view architecture)
      : metadata_(metadata), architecture_(architecture) {}

  const GgufMetadata& metadata() const { return metadata_; }
  std::string_view path() const { return metadata_.path; }
  std::string full(std::string_view name) const {
    return fmt::format("{}.{}", architecture_, name);
  }

  std::optional<int32_t> integer(std::string_view name, int64_t least, int64_t most) const {
    const auto value = find_int(metadata_, full(name), least, most);
    if (!value) return std::nullopt;
    return static_cast<int32_t>(*value);
  }
  int32_t size(std::string_view name, int64_t most) const {
    return static_cast<int32_t>(require_int(metadata_, full(name), 1, most));
  }
  std::optional<double> number(std::string_view name, double least, double most) const {
    return find_number(metadata_, full(name), least, most);
  }
  // A scale, or 1 where there is none or it is zero, which stands for none.
  float scale(std::string_view name) const {
    const double value = number(name, 0.0, kMaxScale).value_or(1.0);
    return static_cast<float>(value == 0.0 ? 1.0 : value);
  }
  bool flag(std::string_view name, bool by_default) const {
    return find_bool(metadata_, full(name)).value_or(by_default);
  }
  [[noreturn]] void refuse(std::string_view name, std::string_view value,
                           std::string_view why) const {
    throw FormatError(fmt::format("{}: \"{}\" is {}; {}", path(), full(name), value, why));
  }

 private:
  const GgufMetadata& metadata_;
  std::string_view architecture_;
};

}  // namespace prefold
