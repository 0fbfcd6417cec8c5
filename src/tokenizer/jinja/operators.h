// Python's operators on values.
#pragma once

#include <string>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

Value binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b);
Value negate(Runtime& rt, const Value& value);
Value plus(Runtime& rt, const Value& value);

bool compare(Runtime& rt, CompareOp op, const Value& a, const Value& b);
// Python's <: fails for types that have no order.
bool less(Runtime& rt, const Value& a, const Value& b);
bool equal_values(Runtime& rt, const Value& a, const Value& b);
// item in container.
bool contains(Runtime& rt, const Value& container, const Value& item);

// & < > ' " as HTML entities, unless the value counts as HTML already.
Value escape_html(Runtime& rt, const Value& value);

// text % arguments (str_format.cc).
Value format_percent(Runtime& rt, const Value& format, const Value& arguments);

}  // namespace prefold::jinja
