// Values of the template language: Python's None, bool, int (64 bits), float, str, list, tuple,
// dict, range and dict views, Jinja's Undefined, and objects with identity (namespaces, macros,
// loops, generators), which the render's Runtime owns. Strings, lists and dicts never change once
// made, so they can be shared freely and cannot form cycles.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace prefold::jinja {

// Counts the bytes that the values of one render hold at the moment.
class Heap {
 public:
  explicit Heap(int64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  // Throws RequestError if the limit would be passed.
  void charge(int64_t n_bytes);
  void release(int64_t n_bytes) { live_bytes_ -= n_bytes; }

 private:
  int64_t limit_bytes_;
  int64_t live_bytes_ = 0;
};

// Holds part of a heap for as long as it lives; a null heap (constants of a template) is free.
class HeapCharge {
 public:
  HeapCharge(Heap* heap, int64_t n_bytes) : heap_(heap), n_bytes_(n_bytes) {
    if (heap_ != nullptr) heap_->charge(n_bytes_);
  }
  ~HeapCharge() {
    if (heap_ != nullptr) heap_->release(n_bytes_);
  }
  HeapCharge(const HeapCharge&) = delete;
  HeapCharge& operator=(const HeapCharge&) = delete;

 private:
  Heap* heap_;
  int64_t n_bytes_;
};

enum class Kind : uint8_t {
  kMissing,  // no value at all: an unset variable, an absent argument; never seen by a template
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kDictView,
  kRange,
  kMethod,
  kObject,
};

class Object;
class Value;
struct Method;

struct StringData;
struct ListData;
struct DictData;
struct RangeData;
struct DictViewData;
struct MethodData;

class Value {
 public:
  Value() = default;
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool b);
  static Value integer(int64_t i);
  static Value real(double f);
  static Value object(Object* object);
  static Value string(Heap* heap, std::string text, bool markup = false);
  static Value list(Heap* heap, std::vector<Value> items);
  static Value tuple(Heap* heap, std::vector<Value> items);
  // A pair of groupby: a tuple whose items also go by the names "grouper" and "list".
  static Value group(Heap* heap, Value grouper, Value members);
  static Value dict(std::shared_ptr<const DictData> data);
  static Value range(int64_t start, int64_t stop, int64_t step);
  // What an operation on it shall say, e.g. "'x' is undefined".
  static Value undefined(std::string message);
  static Value payload(Kind kind, std::shared_ptr<const void> data);

  Kind kind() const { return kind_; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  bool is_dict() const { return kind_ == Kind::kDict; }
  bool is_integral() const { return kind_ == Kind::kBool || kind_ == Kind::kInt; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }
  // A string that counts as HTML already (the filters safe and escape).
  bool is_markup() const { return markup_; }
  bool is_group() const { return group_; }

  bool as_bool() const { return scalar_.i != 0; }
  int64_t as_int() const { return scalar_.i; }  // of kInt and kBool
  double as_real() const {
    return kind_ == Kind::kFloat ? scalar_.f : static_cast<double>(scalar_.i);
  }
  Object* as_object() const { return scalar_.object; }
  const std::string& text() const;          // of kString
  const std::string& message() const;       // of kUndefined
  int64_t n_chars() const;                  // of kString, in code points
  const std::vector<Value>& items() const;  // of kList and kTuple
  const DictData& as_dict() const;
  const RangeData& as_range() const;
  const DictViewData& as_view() const;
  const MethodData& as_method() const;
  const void* identity() const { return data_.get(); }
  // How deeply lists and dicts are nested inside.
  int32_t depth() const;
  // What walking through the value costs, in steps: items at every level, and text by its length.
  int64_t weight() const;
  // The same string with the mark changed.
  Value with_markup(bool markup) const;

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kMissing;
  bool markup_ = false;
  bool group_ = false;
  union {
    int64_t i;
    double f;
    Object* object;
  } scalar_ = {0};
  std::shared_ptr<const void> data_;
};

struct StringData {
  std::string text;
  int64_t n_chars;
  HeapCharge charge;
};

struct ListData {
  std::vector<Value> items;
  int32_t depth;
  int64_t weight;
  HeapCharge charge;
};

struct RangeData {
  int64_t start;
  int64_t stop;
  int64_t step;
  int64_t n_items;
};

enum class DictPart { kKeys, kValues, kItems };

struct DictViewData {
  Value dict;
  DictPart part;
};

// A method of a value taken without calling it: {% set f = text.strip %}.
struct MethodData {
  Value self;
  const Method* method;
};

// Insertion-ordered, keyed as Python keys: 1, 1.0 and True are one key.
struct DictData {
  explicit DictData(Heap* heap) : heap_(heap) {}
  ~DictData();
  DictData(const DictData&) = delete;
  DictData& operator=(const DictData&) = delete;

  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const { return entries_; }
  // Null if absent. The key must be hashable (hash_key).
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  // Replaces the value of a key that is there already. Only while the dict is being made, and for
  // the attributes of a namespace.
  void set(const Value& key, Value value);
  int32_t depth() const { return depth_; }
  int64_t weight() const { return weight_; }

 private:
  std::vector<Entry> entries_;
  std::unordered_multimap<size_t, size_t> index_;  // hash to place; only for larger dicts
  Heap* heap_;
  int64_t charged_bytes_ = 0;
  int32_t depth_ = 1;
  int64_t weight_ = 1;
};

// False for values that Python cannot hash (lists, dicts).
bool hash_key(const Value& key, size_t* hash);
// Python's ==. Bounded by the depth of values.
bool equal(const Value& a, const Value& b);
// Python's bool().
bool truthy(const Value& value);
// Python's name of the type: "str", "list", ...
std::string type_name(const Value& value);

}  // namespace prefold::jinja
