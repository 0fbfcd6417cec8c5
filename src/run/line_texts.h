// What only the result's line needs of an input line: written to a temporary file when the line is
// read, and read back when its answer is there.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/spill_file.h"

namespace prefold {

struct LineText {
  std::string id;
  nlohmann::ordered_json metadata;  // as those of Request
  nlohmann::ordered_json beside_body;
  std::optional<std::string> echoed_text;  // of a text prompt
};

class LineTexts {
 public:
  // Returns where it is. Throws Error as SpillFile does.
  int64_t add(const LineText& text);
  LineText get(int64_t at) const;

 private:
  SpillFile file_;
};

}  // namespace prefold
