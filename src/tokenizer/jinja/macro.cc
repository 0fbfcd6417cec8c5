#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/print.h"

namespace prefold::jinja {
namespace {

class MacroObject : public Object {
 public:
  MacroObject(const Stmt& stmt, Activation* outer) : stmt_(stmt), outer_(outer) {}

  std::string type_name() const override { return "Macro"; }
  bool callable() const override { return true; }

  void append_repr(Runtime&, std::string* out) override {
    *out +=
        is_anonymous() ? "<Macro anonymous>" : fmt::format("<Macro {}>", string_repr(stmt_.text));
  }

  Value attribute(Runtime& rt, std::string_view name) override {
    const MacroSignature& macro = stmt_.macro;
    if (name == "name") return is_anonymous() ? Value::none() : rt.string(stmt_.text);
    if (name == "catch_kwargs") return Value::boolean(macro.takes_kwargs);
    if (name == "catch_varargs") return Value::boolean(macro.takes_varargs);
    if (name == "caller") return Value::boolean(macro.takes_caller);
    if (name != "arguments") return {};
    std::vector<Value> names;
    for (const ExprPtr& parameter : macro.parameters) names.push_back(rt.string(parameter->text));
    return rt.tuple(std::move(names));
  }

  Value call(Runtime& rt, CallArgs args) override {
    const Depth depth(rt, &n_active_);
    const ActivationHolder activation(rt, stmt_.functions[0], outer_);
    Evaluator evaluator(rt, activation.get());
    bind_arguments(rt, std::move(args), &evaluator);
    std::string out;
    evaluator.run(stmt_.bodies[0], &out);
    return rt.string(std::move(out));
  }

 private:
  // Calls of this macro at work; Python's own limit on recursion stands near this one.
  class Depth {
   public:
    Depth(Runtime& rt, int32_t* n_active) : n_active_(n_active) {
      if (++*n_active_ > kMaxMacroDepth) rt.fail("a macro calls itself too deeply");
    }
    ~Depth() { --*n_active_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    int32_t* n_active_;
  };

  bool is_anonymous() const { return stmt_.kind == StmtKind::kCallBlock; }

  // Removes the argument of that name; kMissing if it was not given.
  static Value take(CallArgs* args, std::string_view name) {
    const auto found = std::find_if(args->named.begin(), args->named.end(),
                                    [name](const auto& given) { return given.first == name; });
    if (found == args->named.end()) return {};
    Value value = std::move(found->second);
    args->named.erase(found);
    return value;
  }

  // Parameters by position, then by name, then their defaults, which may use earlier parameters.
  void bind_arguments(Runtime& rt, CallArgs args, Evaluator* evaluator) {
    const MacroSignature& macro = stmt_.macro;
    const size_t n_parameters = macro.parameters.size();
    std::vector<Value> values(n_parameters);
    for (size_t i = 0; i < n_parameters; ++i) {
      values[i] =
          i < args.positional.size() ? args.positional[i] : take(&args, macro.parameters[i]->text);
    }
    evaluator->enter(stmt_.scopes[0]);
    bind_special(rt, std::move(args), evaluator);
    for (size_t i = 0; i < n_parameters; ++i) {
      evaluator->set_slot(macro.parameters[i]->variable, values[i]);
    }
    const size_t n_required = n_parameters - macro.defaults.size();
    for (size_t i = 0; i < n_parameters; ++i) {
      if (!values[i].is_missing()) continue;
      const Expr& parameter = *macro.parameters[i];
      evaluator->set_slot(
          parameter.variable,
          i >= n_required
              ? evaluator->eval(*macro.defaults[i - n_required])
              : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.text)));
    }
  }

  // caller, kwargs and varargs, for bodies that read them; an error for arguments left over.
  void bind_special(Runtime& rt, CallArgs args, Evaluator* evaluator) {
    const MacroSignature& macro = stmt_.macro;
    if (macro.takes_caller && macro.caller.slot >= 0) {
      Value caller = take(&args, "caller");
      if (caller.is_missing() || caller.is_none()) caller = Value::undefined("No caller defined");
      evaluator->set_slot(macro.caller, std::move(caller));
    }
    if (macro.takes_kwargs) {
      const std::shared_ptr<DictData> named = rt.new_dict();
      for (auto& [name, value] : args.named) rt.set_item(named.get(), rt.string(name), value);
      evaluator->set_slot(macro.kwargs, Value::dict(named));
    } else if (!args.named.empty()) {
      rt.fail(fmt::format("macro {} takes no keyword argument '{}'", string_repr(stmt_.text),
                          args.named[0].first));
    }
    const size_t n_parameters = macro.parameters.size();
    if (macro.takes_varargs) {
      const size_t n_taken = std::min(n_parameters, args.positional.size());
      args.positional.erase(args.positional.begin(),
                            args.positional.begin() + static_cast<std::ptrdiff_t>(n_taken));
      evaluator->set_slot(macro.varargs, rt.tuple(std::move(args.positional)));
    } else if (args.positional.size() > n_parameters) {
      rt.fail(fmt::format("macro {} takes not more than {} argument(s)", string_repr(stmt_.text),
                          n_parameters));
    }
  }

  const Stmt& stmt_;
  Activation* outer_;
  int32_t n_active_ = 0;
};

}  // namespace

Value make_macro(Runtime& rt, const Stmt& stmt, Activation* outer) {
  return Value::object(rt.own<MacroObject>(stmt, outer));
}

}  // namespace prefold::jinja
