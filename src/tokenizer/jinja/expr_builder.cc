#include "tokenizer/jinja/expr_builder.h"

#include <algorithm>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/token.h"

namespace prefold::jinja {
namespace {

// Accounts for a node's new child (or none): trees are walked by recursion, so depth is bounded.
void note_depth(Expr* node, const ExprPtr& child) {
  if (child == nullptr) return;
  node->depth = std::max(node->depth, child->depth + 1);
  if (node->depth > kMaxTreeDepth) fail_at_line(node->line, "an expression is nested too deeply");
}

}  // namespace

ExprPtr make_expr(ExprKind kind, int32_t line) {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

void add_child(Expr* node, ExprPtr child) {
  note_depth(node, child);
  node->children.push_back(std::move(child));
}

void set_arguments(Expr* node, Arguments arguments) {
  for (const ExprPtr& argument : arguments.positional) note_depth(node, argument);
  for (const auto& [name, argument] : arguments.named) note_depth(node, argument);
  note_depth(node, arguments.star);
  note_depth(node, arguments.double_star);
  node->arguments = std::move(arguments);
}

}  // namespace prefold::jinja
