#include "tokenizer/jinja/runtime.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "tokenizer/jinja/builtins.h"

namespace prefold::jinja {
namespace {

class Generator : public Object {
 public:
  explicit Generator(std::function<bool(Runtime&, Value*)> next) : next_(std::move(next)) {}
  std::string type_name() const override { return "generator"; }
  bool is_generator() const override { return true; }
  bool next(Runtime& rt, Value* item) override {
    if (is_done_) return false;
    const Runtime::Depth depth(&rt);
    rt.step();
    is_done_ = !next_(rt, item);
    return !is_done_;
  }

 private:
  std::function<bool(Runtime&, Value*)> next_;
  bool is_done_ = false;
};

}  // namespace

void Object::append_repr(Runtime&, std::string* out) {
  *out += fmt::format("<{} object>", type_name());
}

Value Object::call(Runtime& rt, CallArgs) {
  rt.fail(fmt::format("'{}' object is not callable", type_name()));
}

Value Runtime::lookup(std::string_view name) const {
  if (variables_.is_dict()) {
    if (const Value* value = variables_.as_dict().find(name)) return *value;
  }
  return find_global(name);
}

void Runtime::fail(std::string_view what) const {
  throw RequestError("template_error", fmt::format("chat template, line {}: {}", line_, what));
}

void Runtime::set_item(DictData* dict, const Value& key, Value value) {
  step(1 + key.weight() / 8);
  size_t hash = 0;
  if (!hash_key(key, &hash)) fail(fmt::format("unhashable type: '{}'", type_name(key)));
  dict->set(key, std::move(value));
}

Value Runtime::generator(std::function<bool(Runtime&, Value*)> next) {
  return Value::object(own<Generator>(std::move(next)));
}

std::vector<Value> bind(Runtime& rt, std::string_view callee, CallArgs args,
                        std::initializer_list<std::string_view> parameters, size_t n_required) {
  if (args.positional.size() > parameters.size()) {
    rt.fail(fmt::format("{}() takes at most {} arguments ({} given)", callee, parameters.size(),
                        args.positional.size()));
  }
  std::vector<Value> out = std::move(args.positional);
  out.resize(parameters.size());
  for (auto& [name, value] : args.named) {
    const auto place = std::find(parameters.begin(), parameters.end(), name);
    if (name.empty() || place == parameters.end()) {
      rt.fail(fmt::format("{}() got an unexpected keyword argument '{}'", callee, name));
    }
    Value& slot = out[static_cast<size_t>(place - parameters.begin())];
    if (!slot.is_missing()) {
      rt.fail(fmt::format("{}() got multiple values for argument '{}'", callee, name));
    }
    slot = std::move(value);
  }
  for (size_t i = 0; i < n_required; ++i) {
    if (out[i].is_missing()) {
      rt.fail(fmt::format("{}() missing required argument {}", callee, i + 1));
    }
  }
  return out;
}

}  // namespace prefold::jinja
