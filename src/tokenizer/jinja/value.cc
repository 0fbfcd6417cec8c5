#include "tokenizer/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/check.h"
#include "base/error.h"
#include "tokenizer/jinja/extent.h"
#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/object.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

std::shared_ptr<const ListData> make_list(Heap* heap, std::vector<Value> items) {
  Extent extent;
  for (const Value& item : items) extent.add(item);
  const auto n_bytes = static_cast<int64_t>(sizeof(ListData) + items.size() * sizeof(Value));
  return std::shared_ptr<const ListData>(
      new ListData{std::move(items), extent.depth, extent.weight, {heap, n_bytes}});
}

}  // namespace

void refuse_value(const std::string& what) {
  throw RequestError("template_error", "chat template: " + what);
}

void Extent::add(const Value& item) {
  depth = std::max(depth, item.depth() + 1);
  weight += item.weight();
  if (depth > kMaxValueDepth) refuse_value("lists or dicts are nested too deeply");
  if (weight > kMaxValueWeight) refuse_value("a list or dict is too large");
}

void Heap::charge(int64_t n_bytes) {
  if (n_bytes > limit_bytes_ - live_bytes_) {
    refuse_value(fmt::format("needs more than {} MiB of memory", limit_bytes_ >> 20));
  }
  live_bytes_ += n_bytes;
}

Value Value::boolean(bool b) {
  Value value(Kind::kBool);
  value.scalar_.i = b ? 1 : 0;
  return value;
}

Value Value::integer(int64_t i) {
  Value value(Kind::kInt);
  value.scalar_.i = i;
  return value;
}

Value Value::real(double f) {
  Value value(Kind::kFloat);
  value.scalar_.f = f;
  return value;
}

Value Value::object(Object* object) {
  Value value(Kind::kObject);
  value.scalar_.object = object;
  return value;
}

Value Value::payload(Kind kind, std::shared_ptr<const void> data) {
  Value value(kind);
  value.data_ = std::move(data);
  return value;
}

Value Value::string(Heap* heap, std::string text, bool markup) {
  const int64_t n_chars = count_code_points(text);
  const auto n_bytes = static_cast<int64_t>(sizeof(StringData) + text.size());
  if (n_bytes > kMaxStringBytes)
    refuse_value(fmt::format("a text grows beyond {} MiB", kMaxStringBytes >> 20));
  Value value = payload(Kind::kString, std::shared_ptr<const StringData>(new StringData{
                                           std::move(text), n_chars, {heap, n_bytes}}));
  value.markup_ = markup;
  return value;
}

Value Value::list(Heap* heap, std::vector<Value> items) {
  return payload(Kind::kList, make_list(heap, std::move(items)));
}

Value Value::tuple(Heap* heap, std::vector<Value> items) {
  return payload(Kind::kTuple, make_list(heap, std::move(items)));
}

Value Value::group(Heap* heap, Value grouper, Value members) {
  Value value = tuple(heap, {std::move(grouper), std::move(members)});
  value.group_ = true;
  return value;
}

Value Value::dict(std::shared_ptr<const DictData> data) {
  return payload(Kind::kDict, std::move(data));
}

Value Value::range(int64_t start, int64_t stop, int64_t step) {
  CHECK(step != 0);
  // Leaves room for the sums that slices of ranges make.
  constexpr int64_t kLimit = int64_t{1} << 61;
  for (int64_t number : {start, stop, step}) {
    if (number > kLimit || number < -kLimit)
      refuse_value("Range too big: its bounds leave 61 bits");
  }
  // Differences are taken as unsigned: they always fit, and there is at least one item.
  uint64_t n_items = 0;
  if (step > 0 && start < stop) {
    n_items = (static_cast<uint64_t>(stop) - static_cast<uint64_t>(start) - 1) /
                  static_cast<uint64_t>(step) +
              1;
  } else if (step < 0 && start > stop) {
    n_items = (static_cast<uint64_t>(start) - static_cast<uint64_t>(stop) - 1) /
                  (~static_cast<uint64_t>(step) + 1) +
              1;
  }
  if (n_items > static_cast<uint64_t>(kMaxRangeItems)) {
    refuse_value(fmt::format("Range too big: ranges are limited to {} items", kMaxRangeItems));
  }
  return payload(Kind::kRange, std::make_shared<const RangeData>(
                                   RangeData{start, stop, step, static_cast<int64_t>(n_items)}));
}

Value Value::undefined(std::string message) {
  return payload(Kind::kUndefined, std::make_shared<const std::string>(std::move(message)));
}

const std::string& Value::text() const { return static_cast<const StringData*>(data_.get())->text; }
const std::string& Value::message() const { return *static_cast<const std::string*>(data_.get()); }
int64_t Value::n_chars() const { return static_cast<const StringData*>(data_.get())->n_chars; }
const std::vector<Value>& Value::items() const {
  return static_cast<const ListData*>(data_.get())->items;
}
const DictData& Value::as_dict() const { return *static_cast<const DictData*>(data_.get()); }
const RangeData& Value::as_range() const { return *static_cast<const RangeData*>(data_.get()); }
const DictViewData& Value::as_view() const {
  return *static_cast<const DictViewData*>(data_.get());
}
const MethodData& Value::as_method() const { return *static_cast<const MethodData*>(data_.get()); }

int32_t Value::depth() const {
  switch (kind_) {
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<const ListData*>(data_.get())->depth;
    case Kind::kDict:
      return as_dict().depth();
    case Kind::kDictView:
      return as_view().dict.depth() + 1;
    case Kind::kMethod:
      return as_method().self.depth() + 1;
    default:
      return 0;
  }
}

int64_t Value::weight() const {
  switch (kind_) {
    case Kind::kString:
      return 1 + static_cast<int64_t>(text().size()) / 64;
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<const ListData*>(data_.get())->weight;
    case Kind::kDict:
      return as_dict().weight();
    case Kind::kDictView:
      return as_view().dict.weight() + 1;
    case Kind::kMethod:
      return as_method().self.weight() + 1;
    default:
      return 1;
  }
}

Value Value::with_markup(bool markup) const {
  Value copy = *this;
  copy.markup_ = markup;
  return copy;
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_real() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return !value.as_dict().entries().empty();
    case Kind::kDictView:
      return !value.as_view().dict.as_dict().entries().empty();
    case Kind::kRange:
      return value.as_range().n_items != 0;
    case Kind::kMethod:
    case Kind::kObject:
      return true;
  }
  return true;
}

std::string type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.is_markup() ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kDictView: {
      const DictPart part = value.as_view().part;
      return part == DictPart::kKeys     ? "dict_keys"
             : part == DictPart::kValues ? "dict_values"
                                         : "dict_items";
    }
    case Kind::kRange:
      return "range";
    case Kind::kMethod:
      return "builtin_function_or_method";
    case Kind::kObject:
      return value.as_object()->type_name();
  }
  return "object";
}

}  // namespace prefold::jinja
