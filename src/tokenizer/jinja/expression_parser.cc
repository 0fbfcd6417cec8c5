#include "tokenizer/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "tokenizer/jinja/expr_builder.h"

namespace prefold::jinja {
namespace {

using Op = std::pair<std::string_view, BinaryOp>;
constexpr std::array<Op, 2> kSumOps = {Op{"+", BinaryOp::kAdd}, Op{"-", BinaryOp::kSub}};
constexpr std::array<Op, 4> kProductOps = {Op{"*", BinaryOp::kMul}, Op{"/", BinaryOp::kDiv},
                                           Op{"//", BinaryOp::kFloorDiv}, Op{"%", BinaryOp::kMod}};
constexpr std::array<Op, 1> kPowerOps = {Op{"**", BinaryOp::kPow}};
using Compare = std::pair<std::string_view, CompareOp>;
constexpr std::array<Compare, 6> kCompareOps = {
    Compare{"==", CompareOp::kEq}, Compare{"!=", CompareOp::kNe}, Compare{"<", CompareOp::kLt},
    Compare{"<=", CompareOp::kLe}, Compare{">", CompareOp::kGt},  Compare{">=", CompareOp::kGe}};

template <typename T, size_t N>
std::optional<T> match_operator(const Token& token,
                                const std::array<std::pair<std::string_view, T>, N>& table) {
  if (token.type != TokenType::kOperator) return std::nullopt;
  for (const auto& [spelling, op] : table) {
    if (token.text == spelling) return op;
  }
  return std::nullopt;
}

std::string_view kind_name(const Expr& node) {
  switch (node.kind) {
    case ExprKind::kConst:
      return "const";
    case ExprKind::kList:
      return "list";
    case ExprKind::kDict:
      return "dict";
    case ExprKind::kTuple:
      return "tuple";
    case ExprKind::kName:
      return node.text;
    default:
      return "expression";
  }
}

bool can_assign(const Expr& node) {
  if (node.kind == ExprKind::kTuple) {
    return std::all_of(node.children.begin(), node.children.end(),
                       [](const ExprPtr& child) { return can_assign(*child); });
  }
  return node.kind == ExprKind::kName || node.kind == ExprKind::kNamespace;
}

}  // namespace

ExprPtr clone_target(const Expr& target) {
  ExprPtr copy = make_expr(target.kind, target.line);
  copy->text = target.text;
  copy->attribute = target.attribute;
  for (const ExprPtr& child : target.children) add_child(copy.get(), clone_target(*child));
  return copy;
}

ExprPtr ExpressionParser::expression(bool with_condition) {
  return with_condition ? condition() : logical_or();
}

ExprPtr ExpressionParser::condition() {
  const TokenStream::Nesting nesting(&in_);
  ExprPtr node = logical_or();
  while (in_.current().is_name("if")) {
    const int32_t line = in_.next().line;
    ExprPtr test = logical_or();
    if (in_.skip_name("else")) {
      node = make_node(ExprKind::kCondition, line, std::move(test), std::move(node), condition());
    } else {
      node = make_node(ExprKind::kCondition, line, std::move(test), std::move(node));
    }
  }
  return node;
}

ExprPtr ExpressionParser::logical_or() {
  ExprPtr node = logical_and();
  while (in_.current().is_name("or")) {
    const int32_t line = in_.next().line;
    node = make_node(ExprKind::kOr, line, std::move(node), logical_and());
  }
  return node;
}

ExprPtr ExpressionParser::logical_and() {
  ExprPtr node = logical_not();
  while (in_.current().is_name("and")) {
    const int32_t line = in_.next().line;
    node = make_node(ExprKind::kAnd, line, std::move(node), logical_not());
  }
  return node;
}

ExprPtr ExpressionParser::logical_not() {
  if (!in_.current().is_name("not")) return comparison();
  const TokenStream::Nesting nesting(&in_);
  const int32_t line = in_.next().line;
  return make_node(ExprKind::kNot, line, logical_not());
}

ExprPtr ExpressionParser::comparison() {
  ExprPtr first = sum();
  ExprPtr node;
  const int32_t line = in_.line();
  const auto add = [&](CompareOp op) {
    if (node == nullptr) node = make_node(ExprKind::kCompare, line, std::move(first));
    node->compare_ops.push_back(op);
    add_child(node.get(), sum());
  };
  for (;;) {
    if (const auto op = match_operator(in_.current(), kCompareOps)) {
      in_.next();
      add(*op);
    } else if (in_.skip_name("in")) {
      add(CompareOp::kIn);
    } else if (in_.current().is_name("not") && in_.look().is_name("in")) {
      in_.next();
      in_.next();
      add(CompareOp::kNotIn);
    } else {
      return node == nullptr ? std::move(first) : std::move(node);
    }
  }
}

ExprPtr ExpressionParser::sum() {
  ExprPtr node = concatenation();
  while (const auto op = match_operator(in_.current(), kSumOps)) {
    const int32_t line = in_.next().line;
    node = make_node(ExprKind::kBinary, line, std::move(node), concatenation());
    node->binary_op = *op;
  }
  return node;
}

ExprPtr ExpressionParser::concatenation() {
  ExprPtr first = product();
  if (!in_.current().is_operator("~")) return first;
  ExprPtr node = make_node(ExprKind::kConcat, in_.line(), std::move(first));
  while (in_.skip_operator("~")) add_child(node.get(), product());
  return node;
}

ExprPtr ExpressionParser::product() {
  ExprPtr node = power();
  while (const auto op = match_operator(in_.current(), kProductOps)) {
    const int32_t line = in_.next().line;
    node = make_node(ExprKind::kBinary, line, std::move(node), power());
    node->binary_op = *op;
  }
  return node;
}

ExprPtr ExpressionParser::power() {
  ExprPtr node = unary(true);
  while (const auto op = match_operator(in_.current(), kPowerOps)) {
    const int32_t line = in_.next().line;
    node = make_node(ExprKind::kBinary, line, std::move(node), unary(true));
    node->binary_op = *op;
  }
  return node;
}

// Jinja's own order: postfixes bind to the negated value, filters to the whole of it.
ExprPtr ExpressionParser::unary(bool with_filter) {
  const TokenStream::Nesting nesting(&in_);
  const int32_t line = in_.line();
  ExprPtr node;
  if (in_.skip_operator("-")) {
    node = make_node(ExprKind::kNegate, line, unary(false));
  } else if (in_.skip_operator("+")) {
    node = make_node(ExprKind::kPlus, line, unary(false));
  } else {
    node = primary(false);
  }
  node = postfix(std::move(node));
  return with_filter ? postfix_filters(std::move(node)) : std::move(node);
}

ExprPtr ExpressionParser::primary(bool with_namespace) {
  const Token& token = in_.current();
  if (token.is_operator("(")) {
    in_.next();
    ExprPtr node = tuple({.in_parentheses = true});
    in_.expect_operator(")");
    return node;
  }
  if (token.is_operator("[")) return list();
  if (token.is_operator("{")) return dict();
  return name_or_literal(with_namespace);
}

ExprPtr ExpressionParser::name_or_literal(bool with_namespace) {
  ExprPtr node = make_expr(ExprKind::kConst, in_.line());
  switch (in_.current().type) {
    case TokenType::kInteger:
    case TokenType::kFloat:
      node->value = in_.next().number;
      return node;
    case TokenType::kString: {
      std::string text;
      while (in_.current().type == TokenType::kString) text += in_.next().text;
      node->value = Value::string(nullptr, std::move(text));
      return node;
    }
    case TokenType::kName:
      break;
    default:
      in_.fail(fmt::format("unexpected '{}'", describe(in_.current())));
  }
  node->text = in_.next().text;
  if (node->text == "true" || node->text == "True") {
    node->value = Value::boolean(true);
  } else if (node->text == "false" || node->text == "False") {
    node->value = Value::boolean(false);
  } else if (node->text == "none" || node->text == "None") {
    node->value = Value::none();
  } else if (with_namespace && in_.skip_operator(".")) {
    node->kind = ExprKind::kNamespace;
    node->attribute = in_.expect_name().text;
  } else {
    node->kind = ExprKind::kName;
  }
  return node;
}

bool ExpressionParser::at_tuple_end() const {
  const Token& token = in_.current();
  return token.type == TokenType::kVariableEnd || token.type == TokenType::kBlockEnd ||
         token.is_operator(")");
}

ExprPtr ExpressionParser::tuple(const TupleRules& rules) { return tuple_of(rules, false, false); }

ExprPtr ExpressionParser::tuple_of(const TupleRules& rules, bool is_target, bool with_namespace) {
  const TokenStream::Nesting nesting(&in_);
  ExprPtr node = make_expr(ExprKind::kTuple, in_.line());
  bool is_tuple = false;
  for (;;) {
    if (!node->children.empty()) in_.expect_operator(",");
    if (at_tuple_end()) break;
    add_child(node.get(), is_target ? primary(with_namespace) : expression(rules.with_condition));
    if (!in_.current().is_operator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return node;
  if (!node->children.empty()) return std::move(node->children[0]);
  if (!rules.in_parentheses) {
    in_.fail(fmt::format("expected an expression, got '{}'", describe(in_.current())));
  }
  return node;
}

ExprPtr ExpressionParser::target(bool with_namespace) {
  ExprPtr node = tuple_of({}, true, with_namespace);
  if (!can_assign(*node)) {
    fail_at_line(node->line, fmt::format("can't assign to '{}'", std::string(kind_name(*node))));
  }
  return node;
}

ExprPtr ExpressionParser::name_target() {
  const int32_t line = in_.line();
  ExprPtr node = make_expr(ExprKind::kName, line);
  node->text = in_.expect_name().text;
  constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none",
                                                          "True", "False", "None"};
  if (std::find(kConstants.begin(), kConstants.end(), node->text) != kConstants.end()) {
    fail_at_line(line, "can't assign to '" + node->text + "'");
  }
  return node;
}

ExprPtr ExpressionParser::list() {
  ExprPtr node = make_expr(ExprKind::kList, in_.expect_operator("[").line);
  while (!in_.current().is_operator("]")) {
    if (!node->children.empty()) in_.expect_operator(",");
    if (in_.current().is_operator("]")) break;
    add_child(node.get(), expression());
  }
  in_.expect_operator("]");
  return node;
}

ExprPtr ExpressionParser::dict() {
  ExprPtr node = make_expr(ExprKind::kDict, in_.expect_operator("{").line);
  while (!in_.current().is_operator("}")) {
    if (!node->children.empty()) in_.expect_operator(",");
    if (in_.current().is_operator("}")) break;
    add_child(node.get(), expression());
    in_.expect_operator(":");
    add_child(node.get(), expression());
  }
  in_.expect_operator("}");
  return node;
}

}  // namespace prefold::jinja
