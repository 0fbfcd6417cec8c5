#include "tokenizer/jinja/iterate.h"

#include <fmt/format.h>

#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

class EmptyIterator : public Iterator {
 public:
  bool next(Runtime&, Value*) override { return false; }
};

class ListIterator : public Iterator {
 public:
  explicit ListIterator(Value list) : list_(std::move(list)) {}
  bool next(Runtime&, Value* item) override {
    if (place_ == list_.items().size()) return false;
    *item = list_.items()[place_++];
    return true;
  }

 private:
  Value list_;
  size_t place_ = 0;
};

class TextIterator : public Iterator {
 public:
  explicit TextIterator(Value text) : text_(std::move(text)) {}
  bool next(Runtime& rt, Value* item) override {
    const std::string& text = text_.text();
    if (place_ == text.size()) return false;
    const size_t start = place_;
    decode_at(text, &place_);
    *item = rt.string(text.substr(start, place_ - start));
    return true;
  }

 private:
  Value text_;
  size_t place_ = 0;
};

class DictIterator : public Iterator {
 public:
  DictIterator(Value dict, DictPart part) : dict_(std::move(dict)), part_(part) {}
  bool next(Runtime& rt, Value* item) override {
    const auto& entries = dict_.as_dict().entries();
    if (place_ == entries.size()) return false;
    const auto& [key, value] = entries[place_++];
    *item = part_ == DictPart::kKeys     ? key
            : part_ == DictPart::kValues ? value
                                         : rt.tuple({key, value});
    return true;
  }

 private:
  Value dict_;
  DictPart part_;
  size_t place_ = 0;
};

class RangeIterator : public Iterator {
 public:
  explicit RangeIterator(const RangeData& range) : range_(range) {}
  bool next(Runtime&, Value* item) override {
    if (place_ == range_.n_items) return false;
    *item = Value::integer(range_.start + place_++ * range_.step);
    return true;
  }

 private:
  RangeData range_;
  int64_t place_ = 0;
};

class GeneratorIterator : public Iterator {
 public:
  explicit GeneratorIterator(Object* generator) : generator_(generator) {}
  bool next(Runtime& rt, Value* item) override { return generator_->next(rt, item); }

 private:
  Object* generator_;
};

}  // namespace

std::unique_ptr<Iterator> find_iterator(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return std::make_unique<EmptyIterator>();
    case Kind::kString:
      return std::make_unique<TextIterator>(value);
    case Kind::kList:
    case Kind::kTuple:
      return std::make_unique<ListIterator>(value);
    case Kind::kDict:
      return std::make_unique<DictIterator>(value, DictPart::kKeys);
    case Kind::kDictView:
      return std::make_unique<DictIterator>(value.as_view().dict, value.as_view().part);
    case Kind::kRange:
      return std::make_unique<RangeIterator>(value.as_range());
    case Kind::kObject:
      if (value.as_object()->is_generator()) {
        return std::make_unique<GeneratorIterator>(value.as_object());
      }
      return nullptr;
    default:
      return nullptr;
  }
}

std::unique_ptr<Iterator> iterate(Runtime& rt, const Value& value) {
  std::unique_ptr<Iterator> iterator = find_iterator(value);
  if (iterator == nullptr) rt.fail(fmt::format("'{}' object is not iterable", type_name(value)));
  return iterator;
}

std::vector<Value> collect(Runtime& rt, const Value& value) {
  if (value.is_sequence()) {
    rt.step(1 + static_cast<int64_t>(value.items().size() / 4));
    return value.items();
  }
  std::vector<Value> items;
  const std::unique_ptr<Iterator> iterator = iterate(rt, value);
  for (Value item; iterator->next(rt, &item);) {
    rt.step();
    items.push_back(std::move(item));
  }
  return items;
}

std::optional<int64_t> length_of(Runtime& rt, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return value.n_chars();
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(value.as_dict().entries().size());
    case Kind::kDictView:
      return static_cast<int64_t>(value.as_view().dict.as_dict().entries().size());
    case Kind::kRange:
      return value.as_range().n_items;
    case Kind::kObject:
      return value.as_object()->length(rt);
    default:
      return std::nullopt;
  }
}

}  // namespace prefold::jinja
