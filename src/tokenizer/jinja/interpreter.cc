#include "tokenizer/jinja/interpreter.h"

#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/namespace.h"
#include "tokenizer/jinja/print.h"

namespace prefold::jinja {

ActivationHolder::ActivationHolder(Runtime& rt, const Function& function, Activation* parent) {
  Activation fresh{parent, std::vector<Value>(static_cast<size_t>(function.n_slots))};
  rt.step(1 + function.n_slots / 8);
  if (function.has_inner) {
    rt.heap()->charge(static_cast<int64_t>(fresh.slots.size() * sizeof(Value)));
    activation_ = rt.own<Activation>(std::move(fresh));
  } else {
    own_ = std::make_unique<Activation>(std::move(fresh));
    activation_ = own_.get();
  }
}

void Evaluator::enter(const Scope& scope) {
  for (const VariableLoad& load : scope.loads) {
    Value& variable = activation_->slots[static_cast<size_t>(load.slot)];
    switch (load.from) {
      case VariableLoad::From::kContext:
        variable = rt_.lookup(load.name);
        break;
      case VariableLoad::From::kOuter:
        variable = slot(load.outer);
        break;
      case VariableLoad::From::kNothing:
        variable = Value();
        break;
      case VariableLoad::From::kParameter:
        break;
    }
  }
  rt_.step(static_cast<int64_t>(scope.loads.size()));
}

void Evaluator::leave(const Scope& scope) {
  for (const VariableLoad& load : scope.loads) {
    activation_->slots[static_cast<size_t>(load.slot)] = Value();
  }
}

Flow Evaluator::run(const Body& body, std::string* out) {
  for (const auto& stmt : body) {
    const Flow flow = run_statement(*stmt, out);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Flow Evaluator::run_statement(const Stmt& stmt, std::string* out) {
  const Runtime::Depth depth(&rt_);
  rt_.step();
  rt_.set_line(stmt.line);
  switch (stmt.kind) {
    case StmtKind::kText:
      rt_.step_text(stmt.text.size());
      *out += stmt.text;
      check_text_size(rt_, out->size());
      return Flow::kNormal;
    case StmtKind::kPrint:
      for (const ExprPtr& node : stmt.exprs) append_text(rt_, eval(*node), out);
      return Flow::kNormal;
    case StmtKind::kIf:
      return run_if(stmt, out);
    case StmtKind::kFor:
      return run_for(stmt, out);
    case StmtKind::kSet:
      run_set(stmt);
      return Flow::kNormal;
    case StmtKind::kSetBlock:
      return run_set_block(stmt);
    case StmtKind::kMacro:
      assign(*stmt.target, make_macro(rt_, stmt, activation_));
      return Flow::kNormal;
    case StmtKind::kCallBlock:
      run_call_block(stmt, out);
      return Flow::kNormal;
    case StmtKind::kFilterBlock:
      return run_filter_block(stmt, out);
    case StmtKind::kWith:
      return run_with(stmt, out);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Flow Evaluator::run_if(const Stmt& stmt, std::string* out) {
  for (size_t i = 0; i < stmt.exprs.size(); ++i) {
    if (truthy(eval(*stmt.exprs[i]))) return run(stmt.bodies[i], out);
  }
  return stmt.bodies.size() > stmt.exprs.size() ? run(stmt.bodies.back(), out) : Flow::kNormal;
}

Flow Evaluator::run_for(const Stmt& stmt, std::string* out) {
  const Value iterable = eval(*stmt.exprs[0]);
  rt_.set_line(stmt.line);
  if (!stmt.is_recursive) return run_loop(stmt, iterable, 0, nullptr, out);
  append_text(rt_, rt_.string(run_recursive_loop(rt_, stmt, activation_, iterable)), out);
  return Flow::kNormal;
}

// Attributes may be set on namespaces only; that is checked before the value is computed.
void Evaluator::check_namespaces(const Expr& target) {
  if (target.kind == ExprKind::kNamespace && as_namespace(slot(target.variable)) == nullptr) {
    rt_.fail("cannot assign attribute on non-namespace object");
  }
  for (const ExprPtr& child : target.children) check_namespaces(*child);
}

void Evaluator::run_set(const Stmt& stmt) {
  check_namespaces(*stmt.target);
  const Value value = eval(*stmt.exprs[0]);
  rt_.set_line(stmt.line);
  assign(*stmt.target, value);
}

Flow Evaluator::run_set_block(const Stmt& stmt) {
  std::string text;
  enter(stmt.scopes[0]);
  const Flow flow = run(stmt.bodies[0], &text);
  if (flow != Flow::kNormal) return flow;
  Value value = rt_.string(std::move(text));
  if (stmt.exprs[0] != nullptr) value = filter_text(*stmt.exprs[0], value);
  assign(*stmt.target, value);
  leave(stmt.scopes[0]);
  return Flow::kNormal;
}

Flow Evaluator::run_filter_block(const Stmt& stmt, std::string* out) {
  std::string text;
  enter(stmt.scopes[0]);
  const Flow flow = run(stmt.bodies[0], &text);
  if (flow != Flow::kNormal) return flow;
  append_block(filter_text(*stmt.exprs[0], rt_.string(std::move(text))), out);
  leave(stmt.scopes[0]);
  return Flow::kNormal;
}

Flow Evaluator::run_with(const Stmt& stmt, std::string* out) {
  enter(stmt.scopes[0]);
  const size_t n_targets = stmt.exprs.size() / 2;
  for (size_t i = 0; i < n_targets; ++i) {
    assign(*stmt.exprs[i], eval(*stmt.exprs[n_targets + i]));
  }
  const Flow flow = run(stmt.bodies[0], out);
  leave(stmt.scopes[0]);
  return flow;
}

void Evaluator::run_call_block(const Stmt& stmt, std::string* out) {
  const Value body = make_macro(rt_, stmt, activation_);
  // A generation block only marks text: its body is printed as it is.
  const Value result =
      stmt.exprs[0] == nullptr ? body.as_object()->call(rt_, {}) : call(*stmt.exprs[0], body);
  append_block(result, out);
}

// Filter and call blocks print text only; other values are not turned into text.
void Evaluator::append_block(const Value& value, std::string* out) {
  if (!value.is_string()) rt_.fail("a block gave a " + type_name(value) + " instead of text");
  append_text(rt_, value, out);
}

std::string render(const Template& tree, Runtime& rt) {
  const ActivationHolder activation(rt, tree.function, nullptr);
  Evaluator evaluator(rt, activation.get());
  std::string out;
  evaluator.enter(tree.scope);
  evaluator.run(tree.body, &out);
  return out;
}

}  // namespace prefold::jinja
