#include "tokenizer/jinja/expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

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

// Accounts for a node's new child (or none): trees are walked by recursion, so depth is bounded.
void note_depth(Expr* node, const ExprPtr& child) {
  if (child == nullptr) return;
  node->depth = std::max(node->depth, child->depth + 1);
  if (node->depth > kMaxTreeDepth) fail_at_line(node->line, "an expression is nested too deeply");
}

void add_child(Expr* node, ExprPtr child) {
  note_depth(node, child);
  node->children.push_back(std::move(child));
}

template <typename... Children>
ExprPtr make_node(ExprKind kind, int32_t line, Children... children) {
  ExprPtr node = make_expr(kind, line);
  (add_child(node.get(), std::move(children)), ...);
  return node;
}

void set_arguments(Expr* node, Arguments arguments) {
  for (const ExprPtr& argument : arguments.positional) note_depth(node, argument);
  for (const auto& [name, argument] : arguments.named) note_depth(node, argument);
  note_depth(node, arguments.star);
  note_depth(node, arguments.double_star);
  node->arguments = std::move(arguments);
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

ExprPtr make_expr(ExprKind kind, int32_t line) {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

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

ExprPtr ExpressionParser::postfix(ExprPtr node) {
  for (;;) {
    const Token& token = in_.current();
    if (token.is_operator(".") || token.is_operator("[")) {
      node = subscript(std::move(node));
    } else if (token.is_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr ExpressionParser::postfix_filters(ExprPtr node) {
  for (;;) {
    const Token& token = in_.current();
    if (token.is_operator("|")) {
      node = filters(std::move(node));
    } else if (token.is_name("is")) {
      node = test(std::move(node));
    } else if (token.is_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr node) {
  const int32_t line = in_.line();
  if (in_.skip_operator(".")) {
    const Token& token = in_.current();
    if (token.type == TokenType::kName) {
      ExprPtr result = make_node(ExprKind::kAttribute, line, std::move(node));
      result->text = in_.next().text;
      return result;
    }
    if (token.type != TokenType::kInteger) in_.fail("expected name or number after '.'");
    ExprPtr key = make_expr(ExprKind::kConst, line);
    key->value = in_.next().number;
    return make_node(ExprKind::kItem, line, std::move(node), std::move(key));
  }
  in_.expect_operator("[");
  if (in_.current().is_operator(":"))
    return slice(make_node(ExprKind::kSlice, line, std::move(node), ExprPtr()), line);
  ExprPtr keys = make_expr(ExprKind::kTuple, line);
  while (!in_.current().is_operator("]")) {
    if (!keys->children.empty()) in_.expect_operator(",");
    ExprPtr key = expression();
    if (in_.current().is_operator(":")) {
      if (!keys->children.empty()) in_.fail("a slice among several subscripts is not supported");
      return slice(make_node(ExprKind::kSlice, line, std::move(node), std::move(key)), line);
    }
    add_child(keys.get(), std::move(key));
  }
  in_.expect_operator("]");
  ExprPtr key = keys->children.size() == 1 ? std::move(keys->children[0]) : std::move(keys);
  return make_node(ExprKind::kItem, line, std::move(node), std::move(key));
}

// The rest of a slice after its start, which `node` holds already: ":stop:step]".
ExprPtr ExpressionParser::slice(ExprPtr node, int32_t line) {
  in_.expect_operator(":");
  const auto part = [this]() -> ExprPtr {
    const Token& token = in_.current();
    if (token.is_operator(":") || token.is_operator("]") || token.is_operator(",")) return nullptr;
    return expression();
  };
  add_child(node.get(), part());
  add_child(node.get(), in_.skip_operator(":") ? part() : nullptr);
  if (in_.current().is_operator(",")) {
    fail_at_line(line, "a slice among several subscripts is not supported");
  }
  in_.expect_operator("]");
  return node;
}

Arguments ExpressionParser::arguments() {
  Arguments out;
  in_.expect_operator("(");
  const auto ensure = [this](bool condition) {
    if (!condition) in_.fail("invalid syntax for function call expression");
  };
  bool is_first = true;
  while (!in_.current().is_operator(")")) {
    if (!is_first) {
      in_.expect_operator(",");
      if (in_.current().is_operator(")")) break;
    }
    is_first = false;
    if (in_.skip_operator("*")) {
      ensure(out.star == nullptr && out.double_star == nullptr);
      out.star = expression();
    } else if (in_.skip_operator("**")) {
      ensure(out.double_star == nullptr);
      out.double_star = expression();
    } else if (in_.current().type == TokenType::kName && in_.look().is_operator("=")) {
      ensure(out.double_star == nullptr);
      std::string name = in_.next().text;
      in_.next();
      for (const auto& [other, value] : out.named) {
        if (other == name) in_.fail("keyword argument repeated: " + name);
      }
      ExprPtr value = expression();
      out.named.emplace_back(std::move(name), std::move(value));
    } else {
      ensure(out.star == nullptr && out.double_star == nullptr && out.named.empty());
      out.positional.push_back(expression());
    }
  }
  in_.expect_operator(")");
  return out;
}

ExprPtr ExpressionParser::call(ExprPtr callee) {
  ExprPtr node = make_node(ExprKind::kCall, in_.line(), std::move(callee));
  set_arguments(node.get(), arguments());
  return node;
}

std::string ExpressionParser::dotted_name() {
  std::string name = in_.expect_name().text;
  while (in_.skip_operator(".")) name += fmt::format(".{}", in_.expect_name().text);
  return name;
}

ExprPtr ExpressionParser::filters(ExprPtr input) {
  while (in_.skip_operator("|")) input = filter(std::move(input));
  return input;
}

ExprPtr ExpressionParser::filter_block() { return filters(filter(nullptr)); }

ExprPtr ExpressionParser::filter(ExprPtr input) {
  ExprPtr node = make_node(ExprKind::kFilter, in_.line(), std::move(input));
  node->text = dotted_name();
  if (in_.current().is_operator("(")) set_arguments(node.get(), arguments());
  return node;
}

ExprPtr ExpressionParser::test(ExprPtr input) {
  const int32_t line = in_.next().line;
  const bool negated = in_.skip_name("not");
  ExprPtr node = make_node(ExprKind::kTest, line, std::move(input));
  node->text = dotted_name();
  const Token& token = in_.current();
  const bool is_value = token.type == TokenType::kName || token.type == TokenType::kString ||
                        token.type == TokenType::kInteger || token.type == TokenType::kFloat ||
                        token.is_operator("[") || token.is_operator("{");
  if (token.is_operator("(")) {
    set_arguments(node.get(), arguments());
  } else if (is_value && !token.is_name("else") && !token.is_name("or") && !token.is_name("and")) {
    if (token.is_name("is")) in_.fail("tests cannot be chained with 'is'");
    const TokenStream::Nesting nesting(&in_);
    Arguments single;
    single.positional.push_back(postfix(primary(false)));
    set_arguments(node.get(), std::move(single));
  }
  return negated ? make_node(ExprKind::kNot, line, std::move(node)) : std::move(node);
}

}  // namespace prefold::jinja
