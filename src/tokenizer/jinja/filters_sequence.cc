// Filters on sequences and dicts.
#include <fmt/format.h>

#include <unordered_set>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtin_table.h"
#include "tokenizer/jinja/iterate.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/sorting.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

// A generator whose items are all made when the first is wanted.
Value lazy_list(Runtime& rt, std::function<std::vector<Value>(Runtime&)> make) {
  return rt.generator([make = std::move(make), items = std::vector<Value>(), place = size_t{0},
                       is_made = false](Runtime& run, Value* item) mutable {
    if (!is_made) {
      items = make(run);
      is_made = true;
    }
    if (place == items.size()) return false;
    *item = items[place++];
    return true;
  });
}

Value length(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "len", std::move(args), {""}, 1)[0];
  const std::optional<int64_t> n_items = length_of(rt, value);
  if (!n_items) rt.fail(fmt::format("object of type '{}' has no len()", type_name(value)));
  return Value::integer(*n_items);
}

Value default_value(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "default", std::move(args), {"value", "default_value", "boolean"}, 1);
  const bool use_default = given[0].is_undefined() || (truthy(given[2]) && !truthy(given[0]));
  if (!use_default) return given[0];
  return given[1].is_missing() ? rt.string("") : given[1];
}

Value list(Runtime& rt, CallArgs args) {
  return rt.list(collect(rt, bind(rt, "list", std::move(args), {"value"}, 1)[0]));
}

Value first(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "first", std::move(args), {"seq"}, 1)[0];
  Value item;
  if (iterate(rt, value)->next(rt, &item)) return item;
  return Value::undefined("No first item, sequence was empty.");
}

// What reversed() takes: everything that can be walked through, generators excepted.
bool is_reversible(const Value& value) {
  return value.kind() != Kind::kObject && find_iterator(value) != nullptr;
}

Value last(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "last", std::move(args), {"seq"}, 1)[0];
  if (!is_reversible(value))
    rt.fail(fmt::format("'{}' object is not reversible", type_name(value)));
  if (value.is_string()) {
    if (value.n_chars() > 0) return get_item(rt, value, Value::integer(-1));
  } else {
    const std::vector<Value> items = collect(rt, value);
    if (!items.empty()) return items.back();
  }
  return Value::undefined("No last item, sequence was empty.");
}

Value reverse(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "reverse", std::move(args), {"value"}, 1)[0];
  if (value.is_string()) {
    return get_slice(rt, value, Value::none(), Value::none(), Value::integer(-1));
  }
  if (find_iterator(value) == nullptr) rt.fail("argument must be iterable");
  std::vector<Value> items = collect(rt, value);
  std::reverse(items.begin(), items.end());
  if (!is_reversible(value)) return rt.list(std::move(items));
  return lazy_list(rt, [items = std::move(items)](Runtime&) { return items; });
}

Value sort(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "sort", std::move(args), {"value", "reverse", "case_sensitive", "attribute"}, 1);
  const KeyFn key = sort_key(rt, given[3], truthy(given[2]));
  const bool is_reversed = !given[1].is_missing() && to_index(rt, given[1]) != 0;
  return rt.list(sorted_by(rt, collect(rt, given[0]), key, is_reversed));
}

KeyFn picking_key(Runtime& rt, const Value& attribute, bool case_sensitive) {
  return [&rt, getter = attribute_getter(rt, attribute), case_sensitive](const Value& item) {
    const Value key = getter(item);
    return case_sensitive ? key : ignore_case(rt, key);
  };
}

Value unique(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "unique", std::move(args), {"value", "case_sensitive", "attribute"}, 1);
  return lazy_list(rt, [given](Runtime& run) {
    const KeyFn key = picking_key(run, given[2], truthy(given[1]));
    const std::shared_ptr<DictData> seen = run.new_dict();
    std::vector<Value> items;
    for (const Value& item : collect(run, given[0])) {
      const size_t n_seen = seen->entries().size();
      run.set_item(seen.get(), key(item), Value::none());
      if (seen->entries().size() > n_seen) items.push_back(item);
    }
    return items;
  });
}

Value min_or_max(Runtime& rt, CallArgs args, bool wants_max) {
  const std::vector<Value> given = bind(rt, wants_max ? "max" : "min", std::move(args),
                                        {"value", "case_sensitive", "attribute"}, 1);
  const KeyFn key = picking_key(rt, given[2], truthy(given[1]));
  const std::vector<Value> items = collect(rt, given[0]);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Value* best = &items[0];
  Value best_key = key(*best);
  for (size_t i = 1; i < items.size(); ++i) {
    Value item_key = key(items[i]);
    if (wants_max ? less(rt, best_key, item_key) : less(rt, item_key, best_key)) {
      best = &items[i];
      best_key = std::move(item_key);
    }
  }
  return *best;
}

Value min(Runtime& rt, CallArgs args) { return min_or_max(rt, std::move(args), false); }
Value max(Runtime& rt, CallArgs args) { return min_or_max(rt, std::move(args), true); }

Value sum(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "sum", std::move(args), {"iterable", "attribute", "start"}, 1);
  const KeyFn getter = attribute_getter(rt, given[1]);
  Value total = given[2].is_missing() ? Value::integer(0) : given[2];
  if (total.is_string()) rt.fail("sum() can't sum strings");
  for (const Value& item : collect(rt, given[0])) {
    total = binary(rt, BinaryOp::kAdd, total, getter(item));
  }
  return total;
}

Value join(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "join", std::move(args), {"value", "d", "attribute"}, 1);
  const std::string separator = given[1].is_missing() ? "" : to_text(rt, given[1]);
  const KeyFn getter = attribute_getter(rt, given[2]);
  std::string out;
  bool is_first = true;
  const std::unique_ptr<Iterator> items = iterate(rt, given[0]);
  for (Value item; items->next(rt, &item);) {
    if (!is_first) out += separator;
    is_first = false;
    append_text(rt, getter(item), &out);
    rt.step_text(separator.size());
    check_text_size(rt, out.size());
  }
  return rt.string(std::move(out));
}

const DictData& to_mapping(Runtime& rt, const Value& value) {
  if (value.is_undefined()) rt.fail(value.message());
  if (!value.is_dict()) rt.fail("can only get item pairs from a mapping");
  return value.as_dict();
}

Value items(Runtime& rt, CallArgs args) {
  const Value value = bind(rt, "items", std::move(args), {"value"}, 1)[0];
  return lazy_list(rt, [value](Runtime& run) {
    std::vector<Value> pairs;
    if (value.is_undefined()) return pairs;
    for (const auto& [key, item] : to_mapping(run, value).entries()) {
      pairs.push_back(run.tuple({key, item}));
    }
    return pairs;
  });
}

Value dictsort(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "dictsort", std::move(args), {"value", "case_sensitive", "by", "reverse"}, 1);
  const std::string by = given[2].is_missing() ? "key" : to_text(rt, given[2]);
  if (by != "key" && by != "value") rt.fail("you can only sort by either \"key\" or \"value\"");
  std::vector<Value> pairs;
  for (const auto& [key, item] : to_mapping(rt, given[0]).entries()) {
    pairs.push_back(rt.tuple({key, item}));
  }
  const bool case_sensitive = truthy(given[1]);
  const KeyFn key = [&](const Value& pair) {
    const Value& value = pair.items()[by == "key" ? 0 : 1];
    return case_sensitive ? value : ignore_case(rt, value);
  };
  const bool is_reversed = !given[3].is_missing() && to_index(rt, given[3]) != 0;
  return rt.list(sorted_by(rt, std::move(pairs), key, is_reversed));
}

Value batch(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "batch", std::move(args), {"value", "linecount", "fill_with"}, 2);
  return lazy_list(rt, [given](Runtime& run) {
    const Value& size_value = given[1];
    if (!size_value.is_number()) run.fail("batch: the line count must be a number");
    std::vector<Value> rows;
    std::vector<Value> row;
    for (const Value& item : collect(run, given[0])) {
      // A count that no length equals (0, 1.5) puts everything into one row.
      if (equal(Value::integer(static_cast<int64_t>(row.size())), size_value)) {
        rows.push_back(run.list(std::move(row)));
        row.clear();
      }
      row.push_back(item);
    }
    if (row.empty()) return rows;
    if (is_given(given[2])) {
      const int64_t n_missing = to_index(run, size_value) - static_cast<int64_t>(row.size());
      if (n_missing > kMaxRangeItems) run.fail("batch: too many items to fill in");
      for (int64_t i = 0; i < n_missing; ++i) row.push_back(given[2]);
    }
    rows.push_back(run.list(std::move(row)));
    return rows;
  });
}

Value slice(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "slice", std::move(args), {"value", "slices", "fill_with"}, 2);
  return lazy_list(rt, [given](Runtime& run) {
    const std::vector<Value> all = collect(run, given[0]);
    const int64_t n_slices = to_index(run, given[1]);
    std::vector<Value> slices;
    if (n_slices == 0) run.fail("division by zero");
    if (n_slices > kMaxRangeItems) run.fail("slice: too many slices");
    const auto n_items = static_cast<int64_t>(all.size());
    auto at = all.begin();
    for (int64_t i = 0; i < n_slices; ++i) {
      const bool has_extra = i < n_items % n_slices;
      const auto end = at + n_items / n_slices + (has_extra ? 1 : 0);
      std::vector<Value> part(at, end);
      if (is_given(given[2]) && !has_extra) part.push_back(given[2]);
      slices.push_back(run.list(std::move(part)));
      at = end;
    }
    return slices;
  });
}

Value groupby(Runtime& rt, CallArgs args) {
  const std::vector<Value> given =
      bind(rt, "groupby", std::move(args), {"value", "attribute", "default", "case_sensitive"}, 2);
  const KeyFn getter = attribute_getter(rt, given[1], given[2]);
  const bool case_sensitive = truthy(given[3]);
  const KeyFn key = [&](const Value& item) {
    const Value value = getter(item);
    return case_sensitive ? value : ignore_case(rt, value);
  };
  std::vector<Value> groups;
  std::vector<Value> members;
  Value group_key;
  const auto close_group = [&] {
    if (members.empty()) return;
    Value grouper = getter(members[0]);  // the key as the first member spells it
    Value list_value = rt.list(std::move(members));
    groups.push_back(Value::group(rt.heap(), std::move(grouper), std::move(list_value)));
    members.clear();
  };
  for (const Value& item : sorted_by(rt, collect(rt, given[0]), key, false)) {
    Value item_key = key(item);
    if (!members.empty() && !equal_values(rt, item_key, group_key)) close_group();
    group_key = std::move(item_key);
    members.push_back(item);
  }
  close_group();
  return rt.list(std::move(groups));
}

Value attr(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "attr", std::move(args), {"obj", "name"}, 2);
  const std::string& name = to_string_argument(rt, given[1], "attribute name");
  Value attribute = find_attribute(rt, given[0], name);
  if (!attribute.is_missing()) return attribute;
  return Value::undefined(
      fmt::format("'{} object' has no attribute '{}'", type_name(given[0]), name));
}

constexpr std::array<NamedBuiltin, 20> kFilters = {{
    {"attr", attr},
    {"batch", batch},
    {"count", length},
    {"d", default_value},
    {"default", default_value},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", list},
    {"max", max},
    {"min", min},
    {"reverse", reverse},
    {"slice", slice},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
}};

}  // namespace

Builtin find_sequence_filter(std::string_view name) { return find_builtin(kFilters, name); }

}  // namespace prefold::jinja
