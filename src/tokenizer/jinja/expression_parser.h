// Expressions of the template language, with Jinja's precedences: from loosest to tightest
// if-else, or, and, not, comparisons, + -, ~, * / // %, ** (left to right), unary - +, then
// subscripts, calls, filters and tests.
#pragma once

#include <string_view>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/token_stream.h"

namespace prefold::jinja {

// A copy of a target, not yet resolved.
ExprPtr clone_target(const Expr& target);

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream* stream) : in_(*stream) {}

  struct TupleRules {
    bool with_condition = true;   // may hold if-else
    bool in_parentheses = false;  // "()" is an empty tuple
  };

  ExprPtr expression(bool with_condition = true);
  // One expression, or a tuple of several between commas.
  ExprPtr tuple(const TupleRules& rules);
  // A name or a tuple of names; with_namespace allows ns.attribute.
  ExprPtr target(bool with_namespace);
  ExprPtr name_target();
  // "| name(args) | name ..." applied to `input`, which is null for a block's text.
  ExprPtr filters(ExprPtr input);
  // The same where the first "|" is left out: {% filter name | name %}.
  ExprPtr filter_block();

 private:
  ExprPtr condition();
  ExprPtr logical_or();
  ExprPtr logical_and();
  ExprPtr logical_not();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter);
  ExprPtr primary(bool with_namespace);
  ExprPtr name_or_literal(bool with_namespace);
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr node);
  ExprPtr postfix_filters(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr slice(ExprPtr object, int32_t line);
  ExprPtr filter(ExprPtr input);
  ExprPtr test(ExprPtr input);
  ExprPtr call(ExprPtr callee);
  Arguments arguments();
  std::string dotted_name();
  bool at_tuple_end() const;
  ExprPtr tuple_of(const TupleRules& rules, bool is_target, bool with_namespace);

  TokenStream& in_;
};

}  // namespace prefold::jinja
