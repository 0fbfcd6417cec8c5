// Values as text: Python's str() and repr(), and json.dumps.
#pragma once

#include <string>

#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

std::string float_repr(double number);
std::string string_repr(const std::string& text);

void append_repr(Runtime& rt, const Value& value, std::string* out);
std::string repr(Runtime& rt, const Value& value);
// What {{ value }} prints.
void append_text(Runtime& rt, const Value& value, std::string* out);
std::string to_text(Runtime& rt, const Value& value);
// str(value), but a string stays itself, markup or not.
Value soft_text(Runtime& rt, const Value& value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool is_indented = false;
  std::string indent;  // one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(Runtime& rt, const Value& value, const JsonStyle& style);

// Output and intermediate text may not grow beyond the limit.
void check_text_size(Runtime& rt, size_t n_bytes);

}  // namespace prefold::jinja
