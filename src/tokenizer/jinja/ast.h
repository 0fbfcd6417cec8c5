// The syntax tree. One struct for expressions and one for statements, each with a kind; which
// members a kind uses is said beside it. Names carry the place of their variable once
// resolve_scopes (scope.h) has run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace prefold::jinja {

enum class BinaryOp : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

// Where a variable lives: `n_hops` functions outwards, in that function's slot `slot`.
struct VariableRef {
  int32_t n_hops = 0;
  int32_t slot = -1;
};

enum class ExprKind : uint8_t {
  kConst,      // value
  kName,       // text; variable
  kNamespace,  // as a target only: text is the variable, attribute its member; variable
  kTuple,      // children
  kList,       // children
  kDict,       // children: key, value, key, value, ...
  kNegate,     // children[0]
  kPlus,       // children[0]
  kNot,        // children[0]
  kBinary,     // binary_op; children[0], children[1]
  kAnd,        // children[0], children[1]
  kOr,         // children[0], children[1]
  kConcat,     // children: joined as text
  kCompare,    // children: n + 1 operands of n compare_ops, chained as in Python
  kCondition,  // children: test, then, and else if there is one
  kAttribute,  // text; children[0]
  kItem,       // children: object, key
  kSlice,      // children: object, start, stop, step; the last three may be null
  kCall,       // arguments; children[0] is what is called
  kFilter,     // text, arguments; children[0] is the input, null in filter blocks
  kTest,       // text, arguments; children[0] is the input
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;         // *list
  ExprPtr double_star;  // **dict
};

struct Expr {
  ExprKind kind;
  int32_t line;
  int32_t depth = 1;  // nodes on the longest path down, so that walking it is bounded
  std::string text;
  std::string attribute;
  Value value;
  BinaryOp binary_op = BinaryOp::kAdd;
  std::vector<CompareOp> compare_ops;
  std::vector<ExprPtr> children;
  Arguments arguments;
  VariableRef variable;
};

// Calls visit(child) for every expression directly inside another one.
template <typename Visit>
void for_each_child(const Expr& node, const Visit& visit) {
  const auto visit_if_any = [&visit](const ExprPtr& child) {
    if (child != nullptr) visit(*child);
  };
  for (const ExprPtr& child : node.children) visit_if_any(child);
  for (const ExprPtr& child : node.arguments.positional) visit_if_any(child);
  for (const auto& [name, child] : node.arguments.named) visit_if_any(child);
  visit_if_any(node.arguments.star);
  visit_if_any(node.arguments.double_star);
}

// How a scope's variable gets its first value.
struct VariableLoad {
  enum class From : uint8_t { kContext, kOuter, kNothing, kParameter };
  int32_t slot = -1;
  From from = From::kNothing;
  std::string name;   // kContext: looked up among the render's variables and the globals
  VariableRef outer;  // kOuter: copied from there
};

// A block with variables of its own; they are set up when it is entered.
struct Scope {
  std::vector<VariableLoad> loads;
};

// What runs with slots of its own: the template, a macro, a call block's body, the body of a
// recursive loop, the filter of a loop.
struct Function {
  int32_t n_slots = 0;
  bool has_inner = false;  // holds functions that may outlive a call of it
};

enum class StmtKind : uint8_t {
  kText,       // text
  kPrint,      // exprs: printed one after another
  kIf,         // exprs: tests; bodies: one for each test, and one more for else
  kFor,        // target, test_target, exprs[0] iterable, exprs[1] test or null; bodies: loop, else;
               // scopes: loop, else, test; functions: loop (if recursive), test; is_extended,
               // is_recursive, loop_variable
  kSet,        // target, exprs[0]
  kSetBlock,   // target, bodies[0], exprs[0] filter or null; scopes[0]
  kMacro,      // text is the name, target its variable, macro; bodies[0], scopes[0], functions[0]
  kCallBlock,  // exprs[0] the call (null: a generation block), macro; bodies[0], scopes[0],
               // functions[0]
  kFilterBlock,  // exprs[0]; bodies[0]; scopes[0]
  kWith,         // targets in exprs[0, n), values in exprs[n, 2n); bodies[0]; scopes[0]
  kBreak,
  kContinue,
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

struct MacroSignature {
  std::vector<ExprPtr> parameters;  // kName
  std::vector<ExprPtr> defaults;    // of the last parameters
  // Special variables that the body reads and gets as further parameters.
  bool takes_caller = false;
  bool takes_kwargs = false;
  bool takes_varargs = false;
  VariableRef caller;
  VariableRef kwargs;
  VariableRef varargs;
};

struct Stmt {
  StmtKind kind;
  int32_t line;
  std::string text;
  ExprPtr target;
  ExprPtr test_target;
  std::vector<ExprPtr> exprs;
  std::vector<Body> bodies;
  MacroSignature macro;
  std::vector<Scope> scopes;
  std::vector<Function> functions;
  bool is_extended = false;  // the body reads `loop`
  bool is_recursive = false;
  VariableRef loop_variable;
};

struct Template {
  Body body;
  Scope scope;
  Function function;
};

}  // namespace prefold::jinja
