// namespace(): the one thing whose members a template can set.
#pragma once

#include <string>
#include <string_view>

#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

class NamespaceObject : public Object {
 public:
  explicit NamespaceObject(Heap* heap) : members_(heap) {}
  std::string type_name() const override { return "Namespace"; }
  void append_repr(Runtime& rt, std::string* out) override;
  Value attribute(Runtime& rt, std::string_view name) override;
  // Fails for names that start with an underscore, as transformers' own namespace does.
  void set(Runtime& rt, const Value& name, Value value);

 private:
  DictData members_;
};

// The namespace that a value is, or null.
NamespaceObject* as_namespace(const Value& value);

}  // namespace prefold::jinja
