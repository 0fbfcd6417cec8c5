// What only the result's line needs of an input line: written to a temporary file when the line is
// read, and read back when its answer is there. In memory: 5 bytes a request.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/spill_file.h"

namespace prefold {

struct LineText {
  std::string id;
  bool id_is_integer = false;
  nlohmann::ordered_json metadata;  // as those of Request
  nlohmann::ordered_json beside_body;
  std::optional<std::string> echoed_text;  // of a text prompt
};

class LineTexts {
 public:
  // Of the next request; the first one is 0. Throws Error as SpillFile does.
  void add(const LineText& text);
  // The next request has the same one as the last.
  void add_again();

  LineText get(int32_t request) const;

 private:
  // So many requests have one base; even if all were lines of the largest size, the distance from
  // it fits 32 bits.
  static constexpr size_t kRequestsPerBase = 8;
  void add_place(int64_t begin);
  int64_t place_of(size_t request) const;

  std::vector<int64_t> bases_;
  std::vector<uint32_t> distances_;  // by request
  SpillFile file_;
};

}  // namespace prefold
