// The state of one render that all operations share: its variables, what it owns, what it has
// spent, and the line being run, for messages.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/object.h"

namespace prefold::jinja {

class Runtime {
 public:
  explicit Runtime(int64_t now_unix_s) : now_unix_s_(now_unix_s), heap_(kMaxHeapBytes) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Heap* heap() { return &heap_; }
  int64_t now_unix_s() const { return now_unix_s_; }

  void set_variables(Value dict) { variables_ = std::move(dict); }
  // A variable of the render, else a global function, else kMissing.
  Value lookup(std::string_view name) const;

  void set_line(int32_t line) { line_ = line; }
  int32_t line() const { return line_; }
  // Ends the render: RequestError("template_error") naming the line.
  [[noreturn]] void fail(std::string_view what) const;

  // Accounts for work; ends the render when there has been too much of it.
  void step(int64_t n = 1) {
    if (n > steps_left_) fail("takes too long");
    steps_left_ -= n;
  }
  void step_text(size_t n_bytes) { step(1 + static_cast<int64_t>(n_bytes / 32)); }

  Value string(std::string text, bool markup = false) {
    step_text(text.size());
    return Value::string(&heap_, std::move(text), markup);
  }
  Value list(std::vector<Value> items) {
    step(1 + static_cast<int64_t>(items.size() / 4));
    return Value::list(&heap_, std::move(items));
  }
  Value tuple(std::vector<Value> items) {
    step(1 + static_cast<int64_t>(items.size() / 4));
    return Value::tuple(&heap_, std::move(items));
  }
  std::shared_ptr<DictData> new_dict() { return std::make_shared<DictData>(&heap_); }
  // dict[key] = value while the dict is made; fails for keys that cannot be hashed.
  void set_item(DictData* dict, const Value& key, Value value);

  // Keeps an object until the render ends.
  template <typename T, typename... Args>
  T* own(Args&&... args) {
    heap_.charge(kObjectBytes);  // never released: neither is the object
    auto object = std::make_unique<T>(std::forward<Args>(args)...);
    T* plain = object.get();
    owned_.push_back(std::shared_ptr<void>(std::move(object)));
    return plain;
  }
  // An object that gives the items `next` sets, until it returns false.
  Value generator(std::function<bool(Runtime&, Value*)> next);

  // One more level of evaluation while it lives.
  class Depth {
   public:
    explicit Depth(Runtime* rt) : rt_(rt) {
      if (++rt_->depth_ > kMaxEvalDepth) rt_->fail("nested too deeply");
    }
    ~Depth() { --rt_->depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Runtime* rt_;
  };

 private:
  static constexpr int64_t kObjectBytes = 256;

  int64_t now_unix_s_;
  Heap heap_;  // outlives the values below, which give back to it
  Value variables_;
  std::vector<std::shared_ptr<void>> owned_;
  int64_t steps_left_ = kMaxSteps;
  int32_t line_ = 1;
  int32_t depth_ = 0;
};

// The arguments in the order of `parameters`; absent ones are kMissing. A parameter named "" is
// taken by position only. Fails as Python does for too many, unknown, repeated or missing ones.
std::vector<Value> bind(Runtime& rt, std::string_view callee, CallArgs args,
                        std::initializer_list<std::string_view> parameters, size_t n_required);

}  // namespace prefold::jinja
