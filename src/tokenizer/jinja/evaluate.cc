#include <fmt/format.h>

#include "base/check.h"
#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/namespace.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"

namespace prefold::jinja {

Value& Evaluator::slot(const VariableRef& variable) {
  Activation* at = activation_;
  for (int32_t i = 0; i < variable.n_hops; ++i) at = at->parent;
  return at->slots[static_cast<size_t>(variable.slot)];
}

Value Evaluator::eval_name(const Expr& node) {
  const Value& value = slot(node.variable);
  return value.is_missing() ? Value::undefined("'" + node.text + "' is undefined") : value;
}

Value Evaluator::eval(const Expr& node) {
  const Runtime::Depth depth(&rt_);
  rt_.step();
  switch (node.kind) {
    case ExprKind::kConst:
      return node.value;
    case ExprKind::kName:
      return eval_name(node);
    case ExprKind::kTuple:
      return rt_.tuple(eval_all(node.children));
    case ExprKind::kList:
      return rt_.list(eval_all(node.children));
    case ExprKind::kDict:
      return eval_dict(node);
    case ExprKind::kNegate:
      return negate(rt_, eval(*node.children[0]));
    case ExprKind::kPlus:
      return plus(rt_, eval(*node.children[0]));
    case ExprKind::kNot:
      return Value::boolean(!truthy(eval(*node.children[0])));
    case ExprKind::kBinary: {
      const Value left = eval(*node.children[0]);
      const Value right = eval(*node.children[1]);
      rt_.set_line(node.line);
      return binary(rt_, node.binary_op, left, right);
    }
    case ExprKind::kAnd: {
      Value left = eval(*node.children[0]);
      return truthy(left) ? eval(*node.children[1]) : left;
    }
    case ExprKind::kOr: {
      Value left = eval(*node.children[0]);
      return truthy(left) ? left : eval(*node.children[1]);
    }
    case ExprKind::kConcat:
      return eval_concat(node);
    case ExprKind::kCompare:
      return eval_compare(node);
    case ExprKind::kCondition:
      if (truthy(eval(*node.children[0]))) return eval(*node.children[1]);
      if (node.children.size() > 2) return eval(*node.children[2]);
      return Value::undefined(
          "the inline if-expression evaluated to false and no else section was defined.");
    case ExprKind::kAttribute:
      return get_attribute(rt_, eval(*node.children[0]), node.text);
    case ExprKind::kItem: {
      const Value object = eval(*node.children[0]);
      return get_item(rt_, object, eval(*node.children[1]));
    }
    case ExprKind::kSlice: {
      const auto part = [&](size_t i) {
        return node.children[i] == nullptr ? Value::none() : eval(*node.children[i]);
      };
      const Value object = eval(*node.children[0]);
      const Value start = part(1);
      const Value stop = part(2);
      return get_slice(rt_, object, start, stop, part(3));
    }
    case ExprKind::kCall:
      return call(node, {});
    case ExprKind::kFilter:
      return filter(node, eval(*node.children[0]));
    case ExprKind::kTest:
      return eval_test(node);
    case ExprKind::kNamespace:
      break;  // only ever a target
  }
  check_failed("unreachable: a target is evaluated", __FILE__, __LINE__);
}

std::vector<Value> Evaluator::eval_all(const std::vector<ExprPtr>& nodes) {
  std::vector<Value> values;
  values.reserve(nodes.size());
  for (const ExprPtr& node : nodes) values.push_back(eval(*node));
  return values;
}

Value Evaluator::eval_dict(const Expr& node) {
  const std::shared_ptr<DictData> dict = rt_.new_dict();
  for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
    const Value key = eval(*node.children[i]);
    rt_.set_item(dict.get(), key, eval(*node.children[i + 1]));
  }
  return Value::dict(dict);
}

Value Evaluator::eval_concat(const Expr& node) {
  std::string out;
  for (const ExprPtr& child : node.children) append_text(rt_, eval(*child), &out);
  return rt_.string(std::move(out));
}

Value Evaluator::eval_compare(const Expr& node) {
  Value left = eval(*node.children[0]);
  for (size_t i = 0; i < node.compare_ops.size(); ++i) {
    Value right = eval(*node.children[i + 1]);
    rt_.set_line(node.line);
    if (!compare(rt_, node.compare_ops[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

CallArgs Evaluator::eval_arguments(const Arguments& arguments, std::vector<Value> first) {
  CallArgs args{std::move(first), {}};
  for (const ExprPtr& node : arguments.positional) args.positional.push_back(eval(*node));
  for (const auto& [name, node] : arguments.named) args.named.emplace_back(name, eval(*node));
  if (arguments.star != nullptr) {
    for (Value& value : collect(rt_, eval(*arguments.star))) {
      args.positional.push_back(std::move(value));
    }
  }
  if (arguments.double_star == nullptr) return args;
  const Value names = eval(*arguments.double_star);
  if (!names.is_dict()) rt_.fail("the argument after ** must be a mapping");
  for (const auto& [name, value] : names.as_dict().entries()) {
    const std::string& text = to_string_argument(rt_, name, "the name of an argument");
    rt_.step(1 + static_cast<int64_t>(args.named.size() / 8));
    for (const auto& given : args.named) {
      if (given.first == text) rt_.fail("multiple values for keyword argument '" + text + "'");
    }
    args.named.emplace_back(text, value);
  }
  return args;
}

Value Evaluator::call(const Expr& node, const Value& caller) {
  const Expr& callee = *node.children[0];
  const auto arguments = [&] {
    CallArgs args = eval_arguments(node.arguments, {});
    if (!caller.is_missing()) args.named.emplace_back("caller", caller);
    rt_.set_line(node.line);
    return args;
  };
  if (callee.kind == ExprKind::kAttribute) {
    // Methods of values are called directly, without making a value of the method.
    const Value self = eval(*callee.children[0]);
    rt_.set_line(node.line);
    if (!self.is_undefined()) {
      if (const Method* method = find_method(rt_, self, callee.text)) {
        return method->call(rt_, self, arguments());
      }
    }
    const Value function = get_attribute(rt_, self, callee.text);
    return call_value(rt_, function, arguments());
  }
  const Value function = eval(callee);
  return call_value(rt_, function, arguments());
}

Value Evaluator::filter(const Expr& node, const Value& input) {
  const Builtin function = find_filter(node.text);
  CallArgs args = eval_arguments(node.arguments, {input});
  rt_.set_line(node.line);
  if (function == nullptr) rt_.fail(unknown_filter_message(node.text));
  return function(rt_, std::move(args));
}

Value Evaluator::filter_text(const Expr& node, const Value& text) {
  const Runtime::Depth depth(&rt_);
  const Value input = node.children[0] == nullptr ? text : filter_text(*node.children[0], text);
  return filter(node, input);
}

Value Evaluator::eval_test(const Expr& node) {
  const Builtin function = find_test(node.text);
  const Value input = eval(*node.children[0]);
  CallArgs args = eval_arguments(node.arguments, {input});
  rt_.set_line(node.line);
  if (function == nullptr) rt_.fail("no test named \"" + node.text + "\"");
  return Value::boolean(truthy(function(rt_, std::move(args))));
}

void Evaluator::unpack(const Expr& target, const Value& value) {
  const std::unique_ptr<Iterator> items = iterate(rt_, value);
  std::vector<Value> parts;
  Value item;
  while (parts.size() < target.children.size() && items->next(rt_, &item)) parts.push_back(item);
  if (parts.size() < target.children.size()) {
    rt_.fail(fmt::format("not enough values to unpack (expected {}, got {})",
                         target.children.size(), parts.size()));
  }
  if (items->next(rt_, &item)) {
    rt_.fail(fmt::format("too many values to unpack (expected {})", target.children.size()));
  }
  for (size_t i = 0; i < parts.size(); ++i) assign(*target.children[i], parts[i]);
}

void Evaluator::assign(const Expr& target, const Value& value) {
  const Runtime::Depth depth(&rt_);
  switch (target.kind) {
    case ExprKind::kName:
      slot(target.variable) = value;
      return;
    case ExprKind::kNamespace: {
      NamespaceObject* object = as_namespace(slot(target.variable));
      if (object == nullptr) rt_.fail("cannot assign attribute on non-namespace object");
      object->set(rt_, rt_.string(target.attribute), value);
      return;
    }
    default:
      unpack(target, value);
  }
}

}  // namespace prefold::jinja
