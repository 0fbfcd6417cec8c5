// DictData, and what decides that two keys or values are the same.
#include <algorithm>
#include <functional>

#include "base/check.h"
#include "tokenizer/jinja/extent.h"
#include "tokenizer/jinja/value.h"

namespace prefold::jinja {
namespace {

constexpr size_t kIndexedDictSize = 16;

// Keys and items compare as sets, values by identity.
bool equal_views(const DictViewData& a, const DictViewData& b) {
  if (a.part != b.part || a.part == DictPart::kValues) return &a == &b;
  const DictData& other = b.dict.as_dict();
  if (a.dict.as_dict().entries().size() != other.entries().size()) return false;
  return std::all_of(a.dict.as_dict().entries().begin(), a.dict.as_dict().entries().end(),
                     [&](const DictData::Entry& entry) {
                       const Value* value = other.find(entry.first);
                       return value != nullptr &&
                              (a.part == DictPart::kKeys || equal(entry.second, *value));
                     });
}

}  // namespace

DictData::~DictData() {
  if (heap_ != nullptr) heap_->release(charged_bytes_);
}

const Value* DictData::find(const Value& key) const {
  if (entries_.size() <= kIndexedDictSize) {
    for (const Entry& entry : entries_) {
      if (equal(entry.first, key)) return &entry.second;
    }
    return nullptr;
  }
  size_t hash = 0;
  if (!hash_key(key, &hash)) return nullptr;
  const auto [begin, end] = index_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const Entry& entry = entries_[it->second];
    if (equal(entry.first, key)) return &entry.second;
  }
  return nullptr;
}

const Value* DictData::find(std::string_view key) const {
  if (entries_.size() > kIndexedDictSize) {
    return find(Value::string(nullptr, std::string(key)));
  }
  for (const Entry& entry : entries_) {
    if (entry.first.is_string() && entry.first.text() == key) return &entry.second;
  }
  return nullptr;
}

void DictData::set(const Value& key, Value value) {
  const Value* old = find(key);
  Extent extent{depth_, old == nullptr ? weight_ : weight_ - old->weight() - key.weight()};
  extent.add(key);
  extent.add(value);
  depth_ = extent.depth;
  weight_ = extent.weight;
  if (old != nullptr) {
    *const_cast<Value*>(old) = std::move(value);
    return;
  }
  constexpr auto kEntryBytes = static_cast<int64_t>(sizeof(Entry) + 4 * sizeof(void*));
  if (heap_ != nullptr) heap_->charge(kEntryBytes);
  charged_bytes_ += kEntryBytes;
  entries_.emplace_back(key, std::move(value));
  const auto add_to_index = [this](size_t place) {
    size_t hash = 0;
    CHECK(hash_key(entries_[place].first, &hash));
    index_.emplace(hash, place);
  };
  if (entries_.size() == kIndexedDictSize + 1) {
    for (size_t i = 0; i < entries_.size(); ++i) add_to_index(i);
  } else if (entries_.size() > kIndexedDictSize + 1) {
    add_to_index(entries_.size() - 1);
  }
}

bool hash_key(const Value& key, size_t* hash) {
  switch (key.kind()) {
    case Kind::kList:
    case Kind::kDict:
    case Kind::kDictView:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      *hash = std::hash<double>()(key.as_real());
      return true;
    case Kind::kFloat:
      *hash = std::hash<double>()(key.as_real());
      return true;
    case Kind::kString:
      *hash = std::hash<std::string>()(key.text());
      return true;
    case Kind::kTuple: {
      size_t all = 0x9E3779B9;
      for (const Value& item : key.items()) {
        size_t one = 0;
        if (!hash_key(item, &one)) return false;
        all = all * 31 + one;
      }
      *hash = all;
      return true;
    }
    case Kind::kObject:
      *hash = std::hash<const void*>()(key.as_object());
      return true;
    default:
      *hash = static_cast<size_t>(key.kind());
      return true;
  }
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    // long double holds every int64 and every double.
    const auto wide = [](const Value& v) {
      return v.is_integral() ? static_cast<long double>(v.as_int())
                             : static_cast<long double>(v.as_real());
    };
    return wide(a) == wide(b);
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return a.identity() == b.identity() || std::equal(a.items().begin(), a.items().end(),
                                                        b.items().begin(), b.items().end(), equal);
    case Kind::kDict: {
      if (a.identity() == b.identity()) return true;
      const DictData& other = b.as_dict();
      if (a.as_dict().entries().size() != other.entries().size()) return false;
      return std::all_of(a.as_dict().entries().begin(), a.as_dict().entries().end(),
                         [&other](const DictData::Entry& entry) {
                           const Value* value = other.find(entry.first);
                           return value != nullptr && equal(entry.second, *value);
                         });
    }
    case Kind::kDictView:
      return equal_views(a.as_view(), b.as_view());
    case Kind::kRange: {
      const RangeData& x = a.as_range();
      const RangeData& y = b.as_range();
      return x.n_items == y.n_items &&
             (x.n_items == 0 || (x.start == y.start && (x.n_items == 1 || x.step == y.step)));
    }
    case Kind::kMethod:
      return a.as_method().method == b.as_method().method &&
             a.as_method().self.identity() == b.as_method().self.identity();
    case Kind::kObject:
      return a.as_object() == b.as_object();
    default:
      return a.identity() == b.identity();
  }
}

}  // namespace prefold::jinja
