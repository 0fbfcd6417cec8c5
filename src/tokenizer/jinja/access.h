// Attributes, subscripts, slices, calls and methods of values, as the sandboxed environment gives
// them: what Python's object lacks is Undefined, and so is what would change a list or dict.
#pragma once

#include <string_view>

#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

struct Method {
  std::string_view name;
  Value (*call)(Runtime& rt, const Value& self, CallArgs args);
};

// value.name: the attribute if there is one, else value["name"], else Undefined.
Value get_attribute(Runtime& rt, const Value& value, std::string_view name);
// value[key]: the item if there is one, else the attribute of that name, else Undefined.
Value get_item(Runtime& rt, const Value& value, const Value& key);
// value[start:stop:step]; absent parts are None.
Value get_slice(Runtime& rt, const Value& value, const Value& start, const Value& stop,
                const Value& step);
// The attribute proper, without items: kMissing if there is none.
Value find_attribute(Runtime& rt, const Value& value, std::string_view name);

// A method of a string, list, tuple, dict or range; null if there is none. Fails for methods that
// Python has and this language subset lacks.
const Method* find_method(Runtime& rt, const Value& value, std::string_view name);
const Method* find_string_method(std::string_view name);
const Method* find_container_method(Kind kind, std::string_view name);

bool is_callable(const Value& value);
Value call_value(Runtime& rt, const Value& callee, CallArgs args);

// Python's bounds of [start:stop] over n_items, clamped; either may be None or missing.
struct Bounds {
  int64_t start;
  int64_t stop;
};
Bounds clamp_bounds(Runtime& rt, int64_t n_items, const Value& start, const Value& stop);

// Bytes at which the code point begins; the text's size for an index past the end.
size_t byte_offset(const Value& text, int64_t char_idx);
// The code points [start, stop) of a string.
std::string_view char_range(const Value& text, int64_t start, int64_t stop);

// Arguments of methods and filters.
int64_t to_index(Runtime& rt, const Value& value);  // an int or bool
const std::string& to_string_argument(Runtime& rt, const Value& value, std::string_view what);
bool is_given(const Value& value);  // neither missing nor None

}  // namespace prefold::jinja
