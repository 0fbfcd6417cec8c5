#include "tokenizer/jinja/access.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

std::string object_name(const Value& value) {
  if (value.is_none()) return "None";
  const std::string name = type_name(value);
  return (name == "Markup" ? "markupsafe.Markup" : name) + " object";
}

Value no_attribute(const Value& value, std::string_view name) {
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", object_name(value), name));
}

// Methods that the immutable sandbox hides.
bool changes_its_object(const Value& value, std::string_view name) {
  constexpr std::array<std::string_view, 8> kOfLists = {"append", "clear", "pop",    "reverse",
                                                        "insert", "sort",  "extend", "remove"};
  constexpr std::array<std::string_view, 5> kOfDicts = {"clear", "pop", "popitem", "setdefault",
                                                        "update"};
  const auto holds = [name](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return (value.kind() == Kind::kList && holds(kOfLists)) || (value.is_dict() && holds(kOfDicts));
}

// What Python's types have besides; using one is an error that says so.
bool is_unsupported(const Value& value, std::string_view name) {
  constexpr std::array<std::string_view, 6> kOfStrings = {"casefold",  "encode",    "isidentifier",
                                                          "maketrans", "translate", "unescape"};
  constexpr std::array<std::string_view, 12> kOfNumbers = {
      "as_integer_ratio", "bit_count",  "bit_length", "conjugate",
      "denominator",      "from_bytes", "hex",        "imag",
      "is_integer",       "numerator",  "real",       "to_bytes"};
  const auto holds = [name](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return (value.is_string() && holds(kOfStrings)) || (value.is_number() && holds(kOfNumbers)) ||
         (value.is_dict() && name == "fromkeys");
}

// The place of a list index, or nothing if it is out of range.
std::optional<int64_t> item_place(int64_t n_items, int64_t index) {
  if (index < 0) index += n_items;
  if (index < 0 || index >= n_items) return std::nullopt;
  return index;
}

// value[key] as Python gives it; kMissing where Python raises TypeError or LookupError.
Value find_item(Runtime& rt, const Value& value, const Value& key) {
  switch (value.kind()) {
    case Kind::kUndefined:
      rt.fail(value.message());
    case Kind::kDict: {
      size_t hash = 0;
      rt.step(1 + key.weight() / 8);
      if (!hash_key(key, &hash)) return {};
      const Value* item = value.as_dict().find(key);
      return item == nullptr ? Value() : *item;
    }
    case Kind::kString: {
      if (!key.is_integral()) return {};
      const auto place = item_place(value.n_chars(), key.as_int());
      if (!place) return {};
      return rt.string(std::string(char_range(value, *place, *place + 1)), value.is_markup());
    }
    case Kind::kList:
    case Kind::kTuple: {
      if (!key.is_integral()) return {};
      const auto place = item_place(static_cast<int64_t>(value.items().size()), key.as_int());
      return place ? value.items()[static_cast<size_t>(*place)] : Value();
    }
    case Kind::kRange: {
      if (!key.is_integral()) return {};
      const RangeData& range = value.as_range();
      const auto place = item_place(range.n_items, key.as_int());
      return place ? Value::integer(range.start + *place * range.step) : Value();
    }
    default:
      return {};
  }
}

struct SliceRange {
  int64_t start;
  int64_t step;
  int64_t n_items;
};

// Python's slice.indices: the places start, start + step, ... of n_items.
SliceRange slice_range(Runtime& rt, int64_t size, const Value& start, const Value& stop,
                       const Value& step_value) {
  const int64_t step = is_given(step_value) ? to_index(rt, step_value) : 1;
  if (step == 0) rt.fail("slice step cannot be zero");
  const int64_t lowest = step > 0 ? 0 : -1;
  const int64_t highest = step > 0 ? size : size - 1;
  const auto place = [&](const Value& value, int64_t otherwise) {
    if (!is_given(value)) return otherwise;
    int64_t index = to_index(rt, value);
    if (index < 0) index = index < -size ? lowest : index + size;
    return std::clamp(index, lowest, highest);
  };
  const int64_t first = place(start, step > 0 ? lowest : highest);
  const int64_t end = place(stop, step > 0 ? highest : lowest);
  const int64_t span = step > 0 ? end - first : first - end;
  if (span <= 0) return {first, step, 0};
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : ~static_cast<uint64_t>(step) + 1;
  return {first, step, static_cast<int64_t>((static_cast<uint64_t>(span) - 1) / stride) + 1};
}

Value slice_text(Runtime& rt, const Value& text, const SliceRange& range) {
  if (range.n_items == 0) return rt.string("", text.is_markup());
  if (range.step == 1) {
    return rt.string(std::string(char_range(text, range.start, range.start + range.n_items)),
                     text.is_markup());
  }
  const std::u32string chars = to_code_points(text.text());
  rt.step_text(text.text().size());
  std::string out;
  for (int64_t i = 0; i < range.n_items; ++i) {
    append_utf8(&out, chars[static_cast<size_t>(range.start + i * range.step)]);
  }
  return rt.string(std::move(out), text.is_markup());
}

}  // namespace

bool is_given(const Value& value) { return !value.is_missing() && !value.is_none(); }

int64_t to_index(Runtime& rt, const Value& value) {
  if (value.is_undefined()) rt.fail(value.message());
  if (!value.is_integral()) {
    rt.fail(fmt::format("'{}' object cannot be interpreted as an integer", type_name(value)));
  }
  return value.as_int();
}

const std::string& to_string_argument(Runtime& rt, const Value& value, std::string_view what) {
  if (!value.is_string()) rt.fail(fmt::format("{} must be str, not {}", what, type_name(value)));
  return value.text();
}

size_t byte_offset(const Value& text, int64_t char_idx) {
  const std::string& bytes = text.text();
  if (char_idx >= text.n_chars()) return bytes.size();
  if (text.n_chars() == static_cast<int64_t>(bytes.size())) return static_cast<size_t>(char_idx);
  size_t offset = 0;
  for (int64_t i = 0; i < char_idx; ++i) decode_at(bytes, &offset);
  return offset;
}

std::string_view char_range(const Value& text, int64_t start, int64_t stop) {
  if (start >= stop) return {};
  const size_t first = byte_offset(text, start);
  const size_t last = byte_offset(text, stop);
  return std::string_view(text.text()).substr(first, last - first);
}

Bounds clamp_bounds(Runtime& rt, int64_t n_items, const Value& start, const Value& stop) {
  const auto place = [&](const Value& value, int64_t otherwise) {
    if (!is_given(value)) return otherwise;
    int64_t index = to_index(rt, value);
    if (index < 0) index = index < -n_items ? 0 : index + n_items;
    return index;
  };
  return {place(start, 0), std::min(place(stop, n_items), n_items)};
}

const Method* find_method(Runtime& rt, const Value& value, std::string_view name) {
  const Method* method =
      value.is_string() ? find_string_method(name) : find_container_method(value.kind(), name);
  if (method == nullptr && is_unsupported(value, name)) {
    rt.fail(fmt::format("\"{}\" of {} is not supported", name, type_name(value)));
  }
  return method;
}

Value find_attribute(Runtime& rt, const Value& value, std::string_view name) {
  if (value.is_undefined()) rt.fail(value.message());
  if (value.kind() == Kind::kObject) return value.as_object()->attribute(rt, name);
  if (value.is_group() && name == "grouper") return value.items()[0];
  if (value.is_group() && name == "list") return value.items()[1];
  if (changes_its_object(value, name)) {
    return Value::undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(value)));
  }
  const Method* method = find_method(rt, value, name);
  if (method == nullptr) return {};
  return Value::payload(Kind::kMethod,
                        std::make_shared<const MethodData>(MethodData{value, method}));
}

Value get_attribute(Runtime& rt, const Value& value, std::string_view name) {
  if (value.is_dict()) {
    // The usual case, without making a value of the key. Methods come first, as in Python.
    if (find_method(rt, value, name) == nullptr && !changes_its_object(value, name)) {
      rt.step();
      const Value* item = value.as_dict().find(name);
      return item == nullptr ? no_attribute(value, name) : *item;
    }
  }
  Value attribute = find_attribute(rt, value, name);
  return attribute.is_missing() ? no_attribute(value, name) : attribute;
}

Value get_item(Runtime& rt, const Value& value, const Value& key) {
  Value item = find_item(rt, value, key);
  if (!item.is_missing()) return item;
  if (key.is_string()) {
    Value attribute = find_attribute(rt, value, key.text());
    return attribute.is_missing() ? no_attribute(value, key.text()) : attribute;
  }
  return Value::undefined(fmt::format("{} has no element {}", object_name(value), repr(rt, key)));
}

Value get_slice(Runtime& rt, const Value& value, const Value& start, const Value& stop,
                const Value& step) {
  if (value.is_undefined()) rt.fail(value.message());
  if (value.is_string()) {
    rt.step_text(value.text().size());
    return slice_text(rt, value, slice_range(rt, value.n_chars(), start, stop, step));
  }
  if (value.kind() == Kind::kRange) {
    const RangeData& range = value.as_range();
    const SliceRange part = slice_range(rt, range.n_items, start, stop, step);
    const int64_t first = range.start + part.start * range.step;
    const int64_t stride = part.n_items > 1 ? range.step * part.step : range.step;
    return Value::range(first, first + part.n_items * stride, stride);
  }
  if (!value.is_sequence())
    rt.fail(fmt::format("'{}' object is not subscriptable", type_name(value)));
  const SliceRange range =
      slice_range(rt, static_cast<int64_t>(value.items().size()), start, stop, step);
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(range.n_items));
  for (int64_t i = 0; i < range.n_items; ++i) {
    items.push_back(value.items()[static_cast<size_t>(range.start + i * range.step)]);
  }
  return value.kind() == Kind::kList ? rt.list(std::move(items)) : rt.tuple(std::move(items));
}

bool is_callable(const Value& value) {
  return value.is_undefined() || value.kind() == Kind::kMethod ||
         (value.kind() == Kind::kObject && value.as_object()->callable());
}

Value call_value(Runtime& rt, const Value& callee, CallArgs args) {
  rt.step();
  switch (callee.kind()) {
    case Kind::kUndefined:
      rt.fail(callee.message());
    case Kind::kMethod: {
      const MethodData& bound = callee.as_method();
      return bound.method->call(rt, bound.self, std::move(args));
    }
    case Kind::kObject: {
      const Runtime::Depth depth(&rt);
      return callee.as_object()->call(rt, std::move(args));
    }
    default:
      rt.fail(fmt::format("'{}' object is not callable", type_name(callee)));
  }
}

}  // namespace prefold::jinja
