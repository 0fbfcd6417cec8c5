#include "tokenizer/jinja/special_names.h"

#include <utility>

namespace prefold::jinja {
namespace {

class SpecialNames {
 public:
  explicit SpecialNames(std::set<std::string> names) : names_(std::move(names)) {}

  std::set<std::string> read_in(const Body& body) {
    visit(body);
    return std::move(read_);
  }

 private:
  void read(const ExprPtr& node) {
    if (node != nullptr) read(*node);
  }
  void read(const Expr& node) {
    if (node.kind == ExprKind::kName && names_.count(node.text) != 0) read_.insert(node.text);
    for_each_child(node, [this](const Expr& child) { read(child); });
  }
  void set(const ExprPtr& target) {
    if (target == nullptr) return;
    if (target->kind == ExprKind::kName) names_.erase(target->text);
    for (const ExprPtr& child : target->children) set(child);
  }
  void visit(const Body& body) {
    for (const auto& stmt : body) visit(*stmt);
  }
  void visit(const Stmt& stmt) {
    switch (stmt.kind) {
      case StmtKind::kFor:
        set(stmt.target);
        read(stmt.exprs[0]);
        for (const Body& body : stmt.bodies) visit(body);
        read(stmt.exprs[1]);
        return;
      case StmtKind::kIf:
        for (size_t i = 0; i < stmt.bodies.size(); ++i) {
          if (i < stmt.exprs.size()) read(stmt.exprs[i]);
          visit(stmt.bodies[i]);
        }
        return;
      case StmtKind::kWith: {
        const size_t n_targets = stmt.exprs.size() / 2;
        for (size_t i = 0; i < n_targets; ++i) set(stmt.exprs[i]);
        for (size_t i = n_targets; i < stmt.exprs.size(); ++i) read(stmt.exprs[i]);
        visit(stmt.bodies[0]);
        return;
      }
      case StmtKind::kCallBlock:
      case StmtKind::kMacro:
        for (const ExprPtr& expr : stmt.exprs) read(expr);
        for (const ExprPtr& parameter : stmt.macro.parameters) set(parameter);
        for (const ExprPtr& value : stmt.macro.defaults) read(value);
        for (const Body& body : stmt.bodies) visit(body);
        return;
      case StmtKind::kFilterBlock:
        visit(stmt.bodies[0]);
        read(stmt.exprs[0]);
        return;
      default:
        set(stmt.target);
        for (const ExprPtr& expr : stmt.exprs) read(expr);
        for (const Body& body : stmt.bodies) visit(body);
    }
  }

  std::set<std::string> names_;
  std::set<std::string> read_;
};

}  // namespace

std::set<std::string> special_names_read(std::set<std::string> names, const Body& body) {
  return SpecialNames(std::move(names)).read_in(body);
}

}  // namespace prefold::jinja
