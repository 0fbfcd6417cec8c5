// The inside of the interpreter: one call of one function of a template at work. evaluate.cc holds
// the expressions, interpreter.cc the statements, macro.cc and loop.cc what they build.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/iterate.h"
#include "tokenizer/jinja/runtime.h"

namespace prefold::jinja {

// The variables of one call of a function, and those of the function around it.
struct Activation {
  Activation* parent;
  std::vector<Value> slots;
};

// Slots for a call of `function`. They live as long as the render where inner functions may still
// need them, else as long as this holds them.
class ActivationHolder {
 public:
  ActivationHolder(Runtime& rt, const Function& function, Activation* parent);
  Activation* get() const { return activation_; }

 private:
  std::unique_ptr<Activation> own_;
  Activation* activation_;
};

enum class Flow { kNormal, kBreak, kContinue };

class Evaluator {
 public:
  Evaluator(Runtime& rt, Activation* activation) : rt_(rt), activation_(activation) {}

  Runtime& runtime() { return rt_; }

  // Expressions (evaluate.cc).
  Value eval(const Expr& node);
  void assign(const Expr& target, const Value& value);
  // A call, with `caller` added where a call block makes it.
  Value call(const Expr& node, const Value& caller);
  // A filter on `input`.
  Value filter(const Expr& node, const Value& input);
  // Filters of a set or filter block: the innermost has no input of its own.
  Value filter_text(const Expr& node, const Value& text);

  // Statements (interpreter.cc).
  Flow run(const Body& body, std::string* out);
  void enter(const Scope& scope);
  void leave(const Scope& scope);
  void set_slot(const VariableRef& variable, Value value) { slot(variable) = std::move(value); }

  // A loop over a value; `depth0` counts the recursive loops around it (loop.cc).
  Flow run_loop(const Stmt& stmt, const Value& iterable, int64_t depth0, Object* recursion,
                std::string* out);

 private:
  Value& slot(const VariableRef& variable);
  Value eval_name(const Expr& node);
  Value eval_compare(const Expr& node);
  Value eval_concat(const Expr& node);
  Value eval_dict(const Expr& node);
  Value eval_test(const Expr& node);
  std::vector<Value> eval_all(const std::vector<ExprPtr>& nodes);
  CallArgs eval_arguments(const Arguments& arguments, std::vector<Value> first);
  void unpack(const Expr& target, const Value& value);

  Flow run_statement(const Stmt& stmt, std::string* out);
  Flow run_if(const Stmt& stmt, std::string* out);
  Flow run_for(const Stmt& stmt, std::string* out);
  Flow run_set_block(const Stmt& stmt);
  Flow run_filter_block(const Stmt& stmt, std::string* out);
  Flow run_with(const Stmt& stmt, std::string* out);
  void run_set(const Stmt& stmt);
  void run_call_block(const Stmt& stmt, std::string* out);
  void append_block(const Value& value, std::string* out);
  void check_namespaces(const Expr& target);

  Runtime& rt_;
  Activation* activation_;
};

// A macro, or the body of a call block, as a value (macro.cc).
Value make_macro(Runtime& rt, const Stmt& stmt, Activation* outer);
// {% for ... recursive %}: runs the whole loop in an activation of its own (loop.cc).
std::string run_recursive_loop(Runtime& rt, const Stmt& stmt, Activation* outer,
                               const Value& iterable);

}  // namespace prefold::jinja
