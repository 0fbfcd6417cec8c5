// Things with identity: namespaces, macros, loops, generators, functions. A render's Runtime owns
// them all until it ends; values hold plain pointers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace prefold::jinja {

class Runtime;

struct CallArgs {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Object {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual void append_repr(Runtime& rt, std::string* out);

  // kMissing if there is none of that name.
  virtual Value attribute(Runtime&, std::string_view) { return {}; }

  virtual bool callable() const { return false; }
  virtual Value call(Runtime& rt, CallArgs args);

  // A generator gives its items once. next returns false at the end.
  virtual bool is_generator() const { return false; }
  virtual bool next(Runtime&, Value*) { return false; }

  virtual std::optional<int64_t> length(Runtime&) { return std::nullopt; }
};

}  // namespace prefold::jinja
