// Making nodes of expressions. The depth of the tree is bounded here, so that it can be walked and
// freed by recursion.
#pragma once

#include <utility>

#include "tokenizer/jinja/ast.h"

namespace prefold::jinja {

ExprPtr make_expr(ExprKind kind, int32_t line);
// Null children are allowed where a kind of node has optional ones.
void add_child(Expr* node, ExprPtr child);
void set_arguments(Expr* node, Arguments arguments);

template <typename... Children>
ExprPtr make_node(ExprKind kind, int32_t line, Children... children) {
  ExprPtr node = make_expr(kind, line);
  (add_child(node.get(), std::move(children)), ...);
  return node;
}

}  // namespace prefold::jinja
