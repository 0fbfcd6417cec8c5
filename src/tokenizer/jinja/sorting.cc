#include "tokenizer/jinja/sorting.h"

#include <algorithm>
#include <charconv>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

Value path_step(Runtime& rt, const std::string& text) {
  const bool is_index = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!is_index) return rt.string(text);
  int64_t index = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), index);
  if (result.ec != std::errc()) rt.fail("an index leaves the 64 bits it has here");
  return Value::integer(index);
}

// One attribute path, without commas.
KeyFn path_getter(Runtime& rt, const Value& attribute, const Value& otherwise) {
  std::vector<Value> path;
  if (attribute.is_string()) {
    for (const std::string& step : split(attribute.text(), '.')) {
      path.push_back(path_step(rt, step));
    }
  } else if (is_given(attribute)) {
    path.push_back(attribute);
  }
  return [&rt, path = std::move(path), otherwise](const Value& item) {
    Value value = item;
    for (const Value& step : path) {
      value = get_item(rt, value, step);
      if (value.is_undefined() && is_given(otherwise)) value = otherwise;
    }
    return value;
  };
}

}  // namespace

Value ignore_case(Runtime& rt, const Value& value) {
  if (!value.is_string()) return value;
  rt.step_text(8 * value.text().size());
  return rt.string(to_lower(value.text()));
}

KeyFn attribute_getter(Runtime& rt, const Value& attribute, const Value& otherwise) {
  return path_getter(rt, attribute, otherwise);
}

KeyFn sort_key(Runtime& rt, const Value& attribute, bool case_sensitive) {
  std::vector<KeyFn> getters;
  if (attribute.is_string()) {
    for (const std::string& path : split(attribute.text(), ',')) {
      getters.push_back(path_getter(rt, rt.string(path), {}));
    }
  } else {
    getters.push_back(path_getter(rt, attribute, {}));
  }
  return [&rt, getters = std::move(getters), case_sensitive](const Value& item) {
    std::vector<Value> keys;
    for (const KeyFn& getter : getters) {
      const Value key = getter(item);
      keys.push_back(case_sensitive ? key : ignore_case(rt, key));
    }
    return rt.list(std::move(keys));
  };
}

std::vector<Value> sorted_by(Runtime& rt, std::vector<Value> items, const KeyFn& key,
                             bool reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  keyed.reserve(items.size());
  for (Value& item : items) {
    Value item_key = key(item);
    keyed.emplace_back(std::move(item_key), std::move(item));
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&rt, reverse](const auto& a, const auto& b) {
    return reverse ? less(rt, b.first, a.first) : less(rt, a.first, b.first);
  });
  for (size_t i = 0; i < items.size(); ++i) items[i] = std::move(keyed[i].second);
  return items;
}

}  // namespace prefold::jinja
