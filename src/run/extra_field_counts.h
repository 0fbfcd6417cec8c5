// Which unknown fields a job's lines have: they go to the results, and are told once.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "plan/request.h"

namespace prefold {

class ExtraFieldCounts {
 public:
  void add(const Request& request);
  bool none() const { return lines_.empty(); }

  // "category (3 lines), label (1,000 lines) and others": the first few names, in order.
  std::string to_text() const;

 private:
  static constexpr size_t kMostNames = 16;
  std::map<std::string, int64_t> lines_;  // by name
  bool has_others_ = false;
};

}  // namespace prefold
