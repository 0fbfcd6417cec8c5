#include "tokenizer/jinja/scope.h"

#include <algorithm>
#include <functional>

#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/special_names.h"
#include "tokenizer/jinja/symbols.h"
#include "tokenizer/jinja/token.h"

namespace prefold::jinja {
namespace {

// --- First pass over a block: the names that it reads and sets itself, inner blocks left out. ---

class Analysis {
 public:
  explicit Analysis(int64_t* work) : work_(*work) {}

  void expr(const ExprPtr& node, Symbols* symbols) {
    if (node != nullptr) expr(*node, symbols);
  }
  void expr(const Expr& node, Symbols* symbols) {
    if (node.kind == ExprKind::kName || node.kind == ExprKind::kNamespace) symbols->load(node.text);
    for_each_child(node, [&](const Expr& child) { expr(child, symbols); });
  }
  static void target(const Expr& node, Symbols* symbols) {
    if (node.kind == ExprKind::kName) symbols->store(node.text);
    if (node.kind == ExprKind::kNamespace) symbols->load(node.text);
    for (const ExprPtr& child : node.children) target(*child, symbols);
  }
  static void parameter(const Expr& node, Symbols* symbols) {
    if (node.kind == ExprKind::kName) symbols->declare_parameter(node.text);
    for (const ExprPtr& child : node.children) parameter(*child, symbols);
  }
  void body(const Body& statements, Symbols* symbols) {
    for (const auto& stmt : statements) visit(*stmt, symbols);
  }

 private:
  void visit(const Stmt& stmt, Symbols* symbols) {
    switch (stmt.kind) {
      case StmtKind::kText:
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        return;
      case StmtKind::kPrint:
        for (const ExprPtr& node : stmt.exprs) expr(node, symbols);
        return;
      case StmtKind::kIf:
        visit_if(stmt, symbols);
        return;
      case StmtKind::kFor:
      case StmtKind::kCallBlock:
      case StmtKind::kFilterBlock:
        expr(stmt.exprs[0], symbols);
        return;
      case StmtKind::kSet:
        expr(stmt.exprs[0], symbols);
        target(*stmt.target, symbols);
        return;
      case StmtKind::kSetBlock:
        target(*stmt.target, symbols);
        return;
      case StmtKind::kMacro:
        symbols->store(stmt.text);
        return;
      case StmtKind::kWith:
        for (size_t i = stmt.exprs.size() / 2; i < stmt.exprs.size(); ++i) {
          expr(stmt.exprs[i], symbols);
        }
        return;
    }
  }

  Symbols branch(const Body& statements, const Symbols& start) {
    work_ += static_cast<int64_t>(start.size()) + 1;
    if (work_ > kMaxResolveWork) {
      fail_at_line(1, "too many variables and if-blocks to keep track of");
    }
    Symbols symbols = start;
    body(statements, &symbols);
    return symbols;
  }

  void visit_if(const Stmt& stmt, Symbols* symbols) {
    const bool has_else = stmt.bodies.size() > stmt.exprs.size();
    expr(stmt.exprs[0], symbols);
    std::vector<Symbols> branches;
    branches.push_back(branch(stmt.bodies[0], *symbols));
    Symbols elifs = branch({}, *symbols);
    for (size_t i = 1; i < stmt.exprs.size(); ++i) {
      expr(stmt.exprs[i], &elifs);
      elifs.merge_branches({branch(stmt.bodies[i], elifs)});
    }
    branches.push_back(std::move(elifs));
    if (has_else) branches.push_back(branch(stmt.bodies.back(), *symbols));
    symbols->merge_branches(branches);
  }

  int64_t& work_;
};

// --- Second pass: gives every name its place and goes into the inner blocks. ---

class Resolver {
 public:
  void run(Template* tree) {
    FunctionScope function{&tree->function, nullptr, {}};
    Symbols symbols(nullptr, &function);
    analysis_.body(tree->body, &symbols);
    body(&tree->body, {&symbols});
    tree->scope = symbols.to_scope();
  }

 private:
  // Where a statement stands.
  struct Frame {
    Symbols* symbols;
    bool is_soft = false;  // inside an if: unknown filters and tests fail only when they run
    bool in_loop = false;  // break and continue are allowed

    Frame inner(Symbols* inner_symbols) const { return {inner_symbols, false, in_loop}; }
    Frame soft() const { return {symbols, true, in_loop}; }
  };

  void name(Expr* node, const Frame& frame) { node->variable = frame.symbols->resolve(node->text); }

  void expr(const ExprPtr& node, const Frame& frame) {
    if (node != nullptr) expr(node.get(), frame);
  }
  void expr(Expr* node, Frame frame) {
    if (node->kind == ExprKind::kName || node->kind == ExprKind::kNamespace) name(node, frame);
    if (node->kind == ExprKind::kCondition) frame = frame.soft();
    if (!frame.is_soft) {
      if (node->kind == ExprKind::kFilter && find_filter(node->text) == nullptr) {
        fail_at_line(node->line, unknown_filter_message(node->text));
      }
      if (node->kind == ExprKind::kTest && find_test(node->text) == nullptr) {
        fail_at_line(node->line, "no test named \"" + node->text + "\"");
      }
    }
    for_each_child(*node, [&](const Expr& child) { expr(const_cast<Expr*>(&child), frame); });
  }

  void body(Body* statements, const Frame& frame) {
    for (const auto& stmt : *statements) visit(stmt.get(), frame);
  }

  void visit(Stmt* stmt, const Frame& frame) {
    switch (stmt->kind) {
      case StmtKind::kText:
        return;
      case StmtKind::kPrint:
        for (const ExprPtr& node : stmt->exprs) expr(node, frame);
        return;
      case StmtKind::kIf:
        for (const ExprPtr& node : stmt->exprs) expr(node, frame.soft());
        for (Body& inner : stmt->bodies) body(&inner, frame.soft());
        return;
      case StmtKind::kSet:
        expr(stmt->exprs[0], frame);
        expr(stmt->target, frame);
        return;
      case StmtKind::kFor:
        visit_for(stmt, frame);
        return;
      case StmtKind::kSetBlock:
        expr(stmt->target, frame);
        visit_block(stmt, frame, false);
        return;
      case StmtKind::kFilterBlock:
        visit_block(stmt, frame, true);
        return;
      case StmtKind::kMacro:
        expr(stmt->target, frame);
        visit_macro(stmt, frame);
        return;
      case StmtKind::kCallBlock:
        visit_macro(stmt, frame);
        expr(stmt->exprs[0], frame);
        return;
      case StmtKind::kWith:
        visit_with(stmt, frame);
        return;
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        if (!frame.in_loop) {
          fail_at_line(stmt->line, stmt->kind == StmtKind::kBreak ? "\"break\" outside a loop"
                                                                  : "\"continue\" outside a loop");
        }
        return;
    }
  }

  void visit_block(Stmt* stmt, const Frame& frame, bool filter_is_inside) {
    Symbols symbols(frame.symbols, frame.symbols->function());
    analysis_.body(stmt->bodies[0], &symbols);
    if (filter_is_inside) analysis_.expr(stmt->exprs[0], &symbols);
    const Frame inner = frame.inner(&symbols);
    body(&stmt->bodies[0], inner);
    expr(stmt->exprs[0], inner);
    stmt->scopes.push_back(symbols.to_scope());
  }

  void visit_with(Stmt* stmt, const Frame& frame) {
    Symbols symbols(frame.symbols, frame.symbols->function());
    const size_t n_targets = stmt->exprs.size() / 2;
    for (size_t i = 0; i < n_targets; ++i) Analysis::parameter(*stmt->exprs[i], &symbols);
    analysis_.body(stmt->bodies[0], &symbols);
    const Frame inner = frame.inner(&symbols);
    for (size_t i = 0; i < stmt->exprs.size(); ++i) {
      expr(stmt->exprs[i], i < n_targets ? inner : frame);
    }
    body(&stmt->bodies[0], inner);
    stmt->scopes.push_back(symbols.to_scope());
  }

  // A function that is made inside others keeps them alive.
  static FunctionScope inner_function(Function* function, FunctionScope* parent) {
    for (FunctionScope* outer = parent; outer != nullptr; outer = outer->parent) {
      outer->function->has_inner = true;
    }
    return FunctionScope{function, parent, {}};
  }

  void visit_for(Stmt* stmt, const Frame& frame) {
    stmt->functions.resize(2);
    stmt->scopes.resize(3);
    refuse_stores_to_loop(*stmt);
    expr(stmt->exprs[0], frame);

    FunctionScope* function = frame.symbols->function();
    FunctionScope own =
        inner_function(&stmt->functions[0], stmt->is_recursive ? function : nullptr);
    if (stmt->is_recursive) {
      own.parent = function;
      function = &own;
    }
    Symbols loop(frame.symbols, function);
    stmt->is_extended =
        stmt->is_recursive || !special_names_read({"loop"}, stmt->bodies[0]).empty();
    if (stmt->is_extended) loop.declare_parameter("loop");
    Analysis::parameter(*stmt->target, &loop);
    analysis_.body(stmt->bodies[0], &loop);
    Frame inner = frame.inner(&loop);
    inner.in_loop = true;
    expr(stmt->target, inner);
    body(&stmt->bodies[0], inner);
    if (stmt->is_extended) stmt->loop_variable = loop.resolve("loop");
    stmt->scopes[0] = loop.to_scope();

    Symbols otherwise(frame.symbols, function);
    analysis_.body(stmt->bodies[1], &otherwise);
    Frame else_frame = frame.inner(&otherwise);
    else_frame.in_loop = frame.in_loop && !stmt->is_recursive;
    body(&stmt->bodies[1], else_frame);
    stmt->scopes[1] = otherwise.to_scope();

    if (stmt->exprs[1] == nullptr) return;
    FunctionScope test_function = inner_function(&stmt->functions[1], function);
    Symbols test(frame.symbols, &test_function);
    Analysis::parameter(*stmt->test_target, &test);
    analysis_.expr(stmt->exprs[1], &test);
    const Frame test_frame{&test, false, false};
    expr(stmt->test_target, test_frame);
    expr(stmt->exprs[1], test_frame);
    stmt->scopes[2] = test.to_scope();
  }

  static bool stores_to_loop(const ExprPtr& target) {
    if (target == nullptr) return false;
    return (target->kind == ExprKind::kName && target->text == "loop") ||
           std::any_of(target->children.begin(), target->children.end(), stores_to_loop);
  }
  static void refuse_stores_to_loop(const Stmt& stmt) {
    // Names of macros and their parameters are free.
    if (stmt.kind != StmtKind::kMacro && stores_to_loop(stmt.target)) {
      fail_at_line(stmt.line, "can't assign to special variable \"loop\" in a for-loop");
    }
    for (const Body& inner : stmt.bodies) {
      for (const auto& child : inner) {
        if (child->kind != StmtKind::kFor) refuse_stores_to_loop(*child);  // loops check themselves
      }
    }
  }

  void visit_macro(Stmt* stmt, const Frame& frame) {
    MacroSignature& macro = stmt->macro;
    stmt->functions.resize(1);
    FunctionScope function = inner_function(&stmt->functions[0], frame.symbols->function());
    Symbols symbols(frame.symbols, &function);
    for (const ExprPtr& parameter : macro.parameters) Analysis::parameter(*parameter, &symbols);
    for (const ExprPtr& value : macro.defaults) analysis_.expr(value, &symbols);
    analysis_.body(stmt->bodies[0], &symbols);

    const std::set<std::string> special =
        special_names_read({"caller", "kwargs", "varargs"}, stmt->bodies[0]);
    const auto has_parameter = [&macro](std::string_view text) {
      return std::any_of(macro.parameters.begin(), macro.parameters.end(),
                         [text](const ExprPtr& parameter) { return parameter->text == text; });
    };
    if (special.count("caller") != 0) {
      macro.takes_caller = true;
      if (has_parameter("caller")) {
        check_caller_default(*stmt);
      } else {
        macro.caller = {0, symbols.declare_parameter("caller")};
      }
    }
    if (special.count("kwargs") != 0 && !has_parameter("kwargs")) {
      macro.takes_kwargs = true;
      macro.kwargs = {0, symbols.declare_parameter("kwargs")};
    }
    if (special.count("varargs") != 0 && !has_parameter("varargs")) {
      macro.takes_varargs = true;
      macro.varargs = {0, symbols.declare_parameter("varargs")};
    }
    const Frame inner{&symbols, false, false};
    for (const ExprPtr& parameter : macro.parameters) expr(parameter, inner);
    for (const ExprPtr& value : macro.defaults) expr(value, inner);
    body(&stmt->bodies[0], inner);
    stmt->scopes.push_back(symbols.to_scope());
  }

  static void check_caller_default(const Stmt& stmt) {
    const MacroSignature& macro = stmt.macro;
    const size_t n_required = macro.parameters.size() - macro.defaults.size();
    for (size_t i = 0; i < n_required; ++i) {
      if (macro.parameters[i]->text == "caller") {
        fail_at_line(stmt.line,
                     "the special \"caller\" argument must be omitted or have a default");
      }
    }
  }

  int64_t work_ = 0;
  Analysis analysis_{&work_};
};

}  // namespace

void resolve_scopes(Template* tree) { Resolver().run(tree); }

}  // namespace prefold::jinja
