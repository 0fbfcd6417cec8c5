// Keys by which filters sort, group and pick items.
#pragma once

#include <functional>
#include <vector>

#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

using KeyFn = std::function<Value(const Value& item)>;

// item.a.b.0 for the attribute "a.b.0" (or the item itself if there is none): steps that are
// digits are list indices. `otherwise`, if given, stands for undefined steps.
KeyFn attribute_getter(Runtime& rt, const Value& attribute, const Value& otherwise = {});
// The same for "a,b.c": a list of keys. Strings are lowered unless case_sensitive.
KeyFn sort_key(Runtime& rt, const Value& attribute, bool case_sensitive);
Value ignore_case(Runtime& rt, const Value& value);

// Stable; items that compare equal keep their order also when reversed.
std::vector<Value> sorted_by(Runtime& rt, std::vector<Value> items, const KeyFn& key, bool reverse);

}  // namespace prefold::jinja
