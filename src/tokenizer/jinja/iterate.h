// Going through the items of a value, one by one.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual bool next(Runtime& rt, Value* item) = 0;
};

// Null if the value cannot be gone through.
std::unique_ptr<Iterator> find_iterator(const Value& value);
// The same, failing with Python's message.
std::unique_ptr<Iterator> iterate(Runtime& rt, const Value& value);
// All items; fails if the value cannot be gone through.
std::vector<Value> collect(Runtime& rt, const Value& value);

// Python's len(), if the value has one.
std::optional<int64_t> length_of(Runtime& rt, const Value& value);

}  // namespace prefold::jinja
