// The part of expressions after a primary value: subscripts, calls, filters and tests.
#include <utility>

#include "tokenizer/jinja/expr_builder.h"
#include "tokenizer/jinja/expression_parser.h"

namespace prefold::jinja {

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
