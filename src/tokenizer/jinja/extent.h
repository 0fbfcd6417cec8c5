// The bounds on lists and dicts.
#pragma once

#include <cstdint>
#include <string>

#include "tokenizer/jinja/value.h"

namespace prefold::jinja {

// Throws RequestError("template_error").
[[noreturn]] void refuse_value(const std::string& what);

// Nesting and size of a container that holds `items`, bounded.
struct Extent {
  int32_t depth = 1;
  int64_t weight = 1;

  void add(const Value& item);
};

}  // namespace prefold::jinja
