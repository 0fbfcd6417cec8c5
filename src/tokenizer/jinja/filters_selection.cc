// map, select, reject and their siblings: they apply another filter or test to each item, and give
// the items one by one as they are asked for.
#include <fmt/format.h>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtin_table.h"
#include "tokenizer/jinja/iterate.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/sorting.h"

namespace prefold::jinja {
namespace {

using ItemFn = std::function<Value(Runtime& rt, const Value& item)>;

// The filter or test named by args.positional[first], with the arguments after it.
ItemFn named_function(Runtime& rt, const CallArgs& args, size_t first, bool is_filter) {
  const Value& name = args.positional[first];
  Builtin function = nullptr;
  if (name.is_string()) function = is_filter ? find_filter(name.text()) : find_test(name.text());
  if (function == nullptr) {
    rt.fail(fmt::format("no {} named {}", is_filter ? "filter" : "test", repr(rt, name)));
  }
  CallArgs rest;
  rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(first),
                         args.positional.end());
  rest.named = args.named;
  return [function, rest = std::move(rest)](Runtime& run, const Value& item) {
    CallArgs item_args = rest;
    item_args.positional[0] = item;
    return function(run, std::move(item_args));
  };
}

// What map does to each item.
ItemFn mapping_function(Runtime& rt, const CallArgs& args) {
  if (args.positional.size() > 1) return named_function(rt, args, 1, true);
  Value attribute;
  Value otherwise;
  for (const auto& [name, value] : args.named) {
    if (name == "attribute") {
      attribute = value;
    } else if (name == "default") {
      otherwise = value;
    }
  }
  if (attribute.is_missing()) rt.fail("map requires a filter argument");
  for (const auto& [name, value] : args.named) {
    if (name != "attribute" && name != "default") {
      rt.fail("unexpected keyword argument '" + name + "'");
    }
  }
  return [getter = attribute_getter(rt, attribute, otherwise)](Runtime&, const Value& item) {
    return getter(item);
  };
}

// What select and its siblings ask of each item.
ItemFn selecting_function(Runtime& rt, const CallArgs& args, bool by_attribute) {
  size_t first = 1;
  KeyFn getter = attribute_getter(rt, {});
  if (by_attribute) {
    if (args.positional.size() < 2) rt.fail("missing parameter for attribute name");
    getter = attribute_getter(rt, args.positional[1]);
    first = 2;
  }
  ItemFn test = [](Runtime&, const Value& item) { return item; };
  if (args.positional.size() > first) test = named_function(rt, args, first, false);
  return [getter = std::move(getter), test = std::move(test)](Runtime& run, const Value& item) {
    return Value::boolean(truthy(test(run, getter(item))));
  };
}

// A generator over the items of args.positional[0]. `prepare` runs when the first item is wanted.
// `produce` sets the result for an item, or returns false to leave it out.
Value per_item(Runtime& rt, CallArgs args, std::function<ItemFn(Runtime&, const CallArgs&)> prepare,
               bool (*produce)(const Value& outcome, const Value& item, Value* result)) {
  if (args.positional.empty()) rt.fail("filter without input");
  return rt.generator([args = std::move(args), prepare = std::move(prepare), produce,
                       items = std::shared_ptr<Iterator>(),
                       function = ItemFn()](Runtime& run, Value* result) mutable {
    if (items == nullptr) {
      if (!truthy(args.positional[0])) return false;
      function = prepare(run, args);
      items = iterate(run, args.positional[0]);
    }
    for (Value item; items->next(run, &item);) {
      run.step();
      if (produce(function(run, item), item, result)) return true;
    }
    return false;
  });
}

Value map(Runtime& rt, CallArgs args) {
  return per_item(rt, std::move(args), mapping_function,
                  [](const Value& outcome, const Value&, Value* result) {
                    *result = outcome;
                    return true;
                  });
}

bool keep_if_true(const Value& outcome, const Value& item, Value* result) {
  *result = item;
  return truthy(outcome);
}
bool keep_if_false(const Value& outcome, const Value& item, Value* result) {
  *result = item;
  return !truthy(outcome);
}

template <bool kByAttribute, bool kKeeps>
Value choose(Runtime& rt, CallArgs args) {
  return per_item(
      rt, std::move(args),
      [](Runtime& run, const CallArgs& given) {
        return selecting_function(run, given, kByAttribute);
      },
      kKeeps ? keep_if_true : keep_if_false);
}

constexpr std::array<NamedBuiltin, 5> kFilters = {{
    {"map", map},
    {"reject", choose<false, false>},
    {"rejectattr", choose<true, false>},
    {"select", choose<false, true>},
    {"selectattr", choose<true, true>},
}};

}  // namespace

Builtin find_selection_filter(std::string_view name) { return find_builtin(kFilters, name); }

}  // namespace prefold::jinja
