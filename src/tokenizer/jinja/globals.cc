// The global functions: range, dict, namespace, cycler, joiner, raise_exception, strftime_now.
#include <ctime>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtin_table.h"
#include "tokenizer/jinja/iterate.h"
#include "tokenizer/jinja/namespace.h"
#include "tokenizer/jinja/print.h"

namespace prefold::jinja {
namespace {

class GlobalFunction : public Object {
 public:
  GlobalFunction(std::string name, Builtin function)
      : name_(std::move(name)), function_(function) {}
  std::string type_name() const override { return "function"; }
  void append_repr(Runtime&, std::string* out) override { *out += "<function " + name_ + ">"; }
  bool callable() const override { return true; }
  Value call(Runtime& rt, CallArgs args) override { return function_(rt, std::move(args)); }

 private:
  std::string name_;
  Builtin function_;
};

Value range(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "range", std::move(args), {"", "", ""}, 1);
  const int64_t first = to_index(rt, given[0]);
  const int64_t step = given[2].is_missing() ? 1 : to_index(rt, given[2]);
  if (step == 0) rt.fail("range() arg 3 must not be zero");
  if (given[1].is_missing()) return Value::range(0, first, 1);
  return Value::range(first, to_index(rt, given[1]), step);
}

// dict(mapping or pairs, **names), into `set`.
template <typename Set>
void each_entry(Runtime& rt, CallArgs args, const Set& set) {
  if (args.positional.size() > 1) rt.fail("dict expected at most 1 argument");
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is_undefined()) rt.fail(source.message());
    if (source.is_dict()) {
      for (const auto& [key, value] : source.as_dict().entries()) set(key, value);
    } else {
      for (const Value& pair : collect(rt, source)) {
        const std::vector<Value> parts = collect(rt, pair);
        if (parts.size() != 2) rt.fail("a dictionary is made from pairs; length 2 is required");
        set(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : args.named) set(rt.string(name), value);
}

Value dict(Runtime& rt, CallArgs args) {
  const std::shared_ptr<DictData> out = rt.new_dict();
  each_entry(rt, std::move(args),
             [&](const Value& key, const Value& value) { rt.set_item(out.get(), key, value); });
  return Value::dict(out);
}

Value make_namespace(Runtime& rt, CallArgs args) {
  auto* out = rt.own<NamespaceObject>(rt.heap());
  each_entry(rt, std::move(args),
             [&](const Value& key, const Value& value) { out->set(rt, key, value); });
  return Value::object(out);
}

// Hands out its items in turn.
class Cycler : public Object {
 public:
  explicit Cycler(Value items) : items_(std::move(items)) {}
  std::string type_name() const override { return "Cycler"; }
  Value attribute(Runtime& rt, std::string_view name) override {
    const std::vector<Value>& items = items_.items();
    if (name == "current") return items[place_];
    if (name == "items") return items_;
    if (name == "pos") return Value::integer(static_cast<int64_t>(place_));
    if (name == "next") {
      return Value::object(rt.own<Step>(this, true));
    }
    if (name == "reset") return Value::object(rt.own<Step>(this, false));
    return {};
  }

 private:
  class Step : public Object {
   public:
    Step(Cycler* cycler, bool advances) : cycler_(cycler), advances_(advances) {}
    std::string type_name() const override { return "method"; }
    bool callable() const override { return true; }
    Value call(Runtime& rt, CallArgs args) override {
      bind(rt, advances_ ? "next" : "reset", std::move(args), {}, 0);
      const size_t place = cycler_->place_;
      const size_t n_items = cycler_->items_.items().size();
      cycler_->place_ = advances_ ? (place + 1) % n_items : 0;
      return advances_ ? cycler_->items_.items()[place] : Value::none();
    }

   private:
    Cycler* cycler_;
    bool advances_;
  };

  Value items_;
  size_t place_ = 0;
};

Value make_cycler(Runtime& rt, CallArgs args) {
  if (!args.named.empty()) rt.fail("cycler() takes no keyword arguments");
  if (args.positional.empty()) rt.fail("at least one item has to be provided");
  return Value::object(rt.own<Cycler>(rt.tuple(std::move(args.positional))));
}

// Nothing on the first call, the separator from then on.
class Joiner : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value attribute(Runtime&, std::string_view name) override {
    if (name == "sep") return separator_;
    if (name == "used") return Value::boolean(is_used_);
    return {};
  }
  Value call(Runtime& rt, CallArgs args) override {
    bind(rt, "joiner", std::move(args), {}, 0);
    if (is_used_) return separator_;
    is_used_ = true;
    return rt.string("");
  }

 private:
  Value separator_;
  bool is_used_ = false;
};

Value make_joiner(Runtime& rt, CallArgs args) {
  const std::vector<Value> given = bind(rt, "joiner", std::move(args), {"sep"}, 0);
  return Value::object(rt.own<Joiner>(given[0].is_missing() ? rt.string(", ") : given[0]));
}

Value raise_exception(Runtime& rt, CallArgs args) {
  rt.fail(to_text(rt, bind(rt, "raise_exception", std::move(args), {"message"}, 1)[0]));
}

// In local time, as datetime.now().
Value strftime_now(Runtime& rt, CallArgs args) {
  const Value format = bind(rt, "strftime_now", std::move(args), {"format"}, 1)[0];
  const std::string& layout = to_string_argument(rt, format, "strftime_now() argument");
  if (layout.size() > 1000) rt.fail("strftime_now: the format is too long");
  if (layout.find('\0') != std::string::npos) rt.fail("embedded null character");
  const std::time_t now = rt.now_unix_s();
  std::tm local{};
  if (localtime_r(&now, &local) == nullptr) rt.fail("strftime_now: the time is out of range");
  // The leading space tells an empty result from one that does not fit. A width as in "%99999Y"
  // can make the result long.
  std::string out(1 << 16, '\0');
  const size_t n_bytes = std::strftime(out.data(), out.size(), (" " + layout).c_str(), &local);
  if (n_bytes == 0) rt.fail("strftime_now: the result is too long");
  return rt.string(out.substr(1, n_bytes - 1));
}

constexpr std::array<NamedBuiltin, 7> kFunctions = {{
    {"cycler", make_cycler},
    {"dict", dict},
    {"joiner", make_joiner},
    {"namespace", make_namespace},
    {"raise_exception", raise_exception},
    {"range", range},
    {"strftime_now", strftime_now},
}};

}  // namespace

void NamespaceObject::append_repr(Runtime& rt, std::string* out) {
  *out += "<Namespace {";
  bool is_first = true;
  for (const auto& [name, value] : members_.entries()) {
    if (!is_first) *out += ", ";
    is_first = false;
    jinja::append_repr(rt, name, out);
    *out += ": ";
    jinja::append_repr(rt, value, out);
  }
  *out += "}>";
}

Value NamespaceObject::attribute(Runtime&, std::string_view name) {
  const Value* member = members_.find(name);
  return member == nullptr ? Value() : *member;
}

void NamespaceObject::set(Runtime& rt, const Value& name, Value value) {
  if (name.is_string() && name.text().substr(0, 1) == "_") {
    rt.fail("a namespace cannot hold attributes that start with an underscore: " + name.text());
  }
  rt.set_item(&members_, name, std::move(value));
}

NamespaceObject* as_namespace(const Value& value) {
  return value.kind() == Kind::kObject ? dynamic_cast<NamespaceObject*>(value.as_object())
                                       : nullptr;
}

Value find_global(std::string_view name) {
  // Made once; they hold no state.
  static std::vector<GlobalFunction> functions = [] {
    std::vector<GlobalFunction> out;
    for (const NamedBuiltin& entry : kFunctions)
      out.emplace_back(std::string(entry.name), entry.call);
    return out;
  }();
  for (size_t i = 0; i < kFunctions.size(); ++i) {
    if (kFunctions[i].name == name) return Value::object(&functions[i]);
  }
  return {};
}

}  // namespace prefold::jinja
