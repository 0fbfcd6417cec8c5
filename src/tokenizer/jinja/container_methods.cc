#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/iterate.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"

namespace prefold::jinja {
namespace {

Value view(Runtime& rt, const Value& self, CallArgs args, std::string_view name, DictPart part) {
  bind(rt, name, std::move(args), {}, 0);
  return Value::payload(Kind::kDictView,
                        std::make_shared<const DictViewData>(DictViewData{self, part}));
}

Value dict_keys(Runtime& rt, const Value& self, CallArgs args) {
  return view(rt, self, std::move(args), "keys", DictPart::kKeys);
}
Value dict_values(Runtime& rt, const Value& self, CallArgs args) {
  return view(rt, self, std::move(args), "values", DictPart::kValues);
}
Value dict_items(Runtime& rt, const Value& self, CallArgs args) {
  return view(rt, self, std::move(args), "items", DictPart::kItems);
}

Value dict_get(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "get", std::move(args), {"", ""}, 1);
  size_t hash = 0;
  rt.step(1 + given[0].weight() / 8);
  if (!hash_key(given[0], &hash))
    rt.fail(fmt::format("unhashable type: '{}'", type_name(given[0])));
  const Value* item = self.as_dict().find(given[0]);
  if (item != nullptr) return *item;
  return given[1].is_missing() ? Value::none() : given[1];
}

// Lists and dicts never change, so a copy is the thing itself.
Value copy(Runtime& rt, const Value& self, CallArgs args) {
  bind(rt, "copy", std::move(args), {}, 0);
  return self;
}

Value sequence_index(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "index", std::move(args), {"", "", ""}, 1);
  const std::vector<Value> items = collect(rt, self);
  const Bounds bounds = clamp_bounds(rt, static_cast<int64_t>(items.size()), given[1], given[2]);
  for (int64_t i = bounds.start; i < bounds.stop; ++i) {
    if (equal_values(rt, items[static_cast<size_t>(i)], given[0])) return Value::integer(i);
  }
  rt.fail(repr(rt, given[0]) + fmt::format(" is not in {}", type_name(self)));
}

Value sequence_count(Runtime& rt, const Value& self, CallArgs args) {
  const std::vector<Value> given = bind(rt, "count", std::move(args), {""}, 1);
  const std::vector<Value> items = collect(rt, self);
  return Value::integer(std::count_if(items.begin(), items.end(), [&](const Value& item) {
    return equal_values(rt, item, given[0]);
  }));
}

constexpr std::array<Method, 5> kDictMethods = {{
    {"copy", copy},
    {"get", dict_get},
    {"items", dict_items},
    {"keys", dict_keys},
    {"values", dict_values},
}};
constexpr std::array<Method, 3> kListMethods = {{
    {"copy", copy},
    {"count", sequence_count},
    {"index", sequence_index},
}};
constexpr std::array<Method, 2> kTupleMethods = {{
    {"count", sequence_count},
    {"index", sequence_index},
}};

template <size_t N>
const Method* find_in(const std::array<Method, N>& methods, std::string_view name) {
  const auto found = std::find_if(methods.begin(), methods.end(),
                                  [name](const Method& method) { return method.name == name; });
  return found == methods.end() ? nullptr : &*found;
}

}  // namespace

const Method* find_container_method(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::kDict:
      return find_in(kDictMethods, name);
    case Kind::kList:
      return find_in(kListMethods, name);
    case Kind::kTuple:
    case Kind::kRange:
      return find_in(kTupleMethods, name);
    default:
      return nullptr;
  }
}

}  // namespace prefold::jinja
