#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <string>
#include <utility>

#include "tokenizer/jinja/expression_parser.h"
#include "tokenizer/jinja/parser.h"
#include "tokenizer/jinja/scope.h"
#include "tokenizer/jinja/token_stream.h"

namespace prefold::jinja {
namespace {

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens)
      : in_(std::move(tokens)), expressions_(&in_) {}

  Body whole_template() { return body({}, nullptr); }

 private:
  using EndTags = std::initializer_list<std::string_view>;

  static std::unique_ptr<Stmt> make_stmt(StmtKind kind, int32_t line) {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->line = line;
    return stmt;
  }

  // Statements up to one of `end_tags`, which is left as the current token. `opener` is the tag
  // that must be closed, for messages; null for the whole template.
  Body body(EndTags end_tags, const Token* opener) {
    const TokenStream::Nesting nesting(&in_);
    Body out;
    for (;;) {
      switch (in_.current().type) {
        case TokenType::kEnd:
          if (opener != nullptr) fail_unclosed(*opener, end_tags);
          return out;
        case TokenType::kData: {
          auto stmt = make_stmt(StmtKind::kText, in_.line());
          stmt->text = in_.next().text;
          out.push_back(std::move(stmt));
          break;
        }
        case TokenType::kVariableBegin: {
          in_.next();
          auto stmt = make_stmt(StmtKind::kPrint, in_.line());
          stmt->exprs.push_back(expressions_.tuple({}));
          in_.expect(TokenType::kVariableEnd, "end of print statement");
          out.push_back(std::move(stmt));
          break;
        }
        case TokenType::kBlockBegin: {
          in_.next();
          for (std::string_view tag : end_tags) {
            if (in_.current().is_name(tag)) return out;
          }
          out.push_back(statement(end_tags));
          in_.expect(TokenType::kBlockEnd, "end of statement block");
          break;
        }
        default:
          in_.fail(fmt::format("unexpected '{}'", describe(in_.current())));
      }
    }
  }

  // The body of the tag `opener`, from its "%}" on; a colon before it is allowed.
  Body block(const Token& opener, EndTags end_tags) {
    in_.skip_operator(":");
    in_.expect(TokenType::kBlockEnd, "end of statement block");
    return body(end_tags, &opener);
  }
  // The same, with the single end tag taken away.
  Body closed_block(const Token& opener, std::string_view end_tag) {
    Body out = block(opener, {end_tag});
    in_.next();
    return out;
  }

  static std::string join(EndTags tags) {
    std::string out;
    for (std::string_view tag : tags) {
      out += (out.empty() ? "'" : " or '") + std::string(tag) + "'";
    }
    return out;
  }

  [[noreturn]] static void fail_unclosed(const Token& opener, EndTags end_tags) {
    fail_at_line(opener.line, "\"" + opener.text + "\" is not closed; wanted " + join(end_tags));
  }

  std::unique_ptr<Stmt> statement(EndTags end_tags) {
    if (in_.current().type != TokenType::kName) in_.fail("tag name expected");
    const Token tag = in_.next();
    if (tag.text == "for") return parse_for(tag);
    if (tag.text == "if") return parse_if(tag);
    if (tag.text == "set") return parse_set(tag);
    if (tag.text == "print") return parse_print(tag);
    if (tag.text == "macro") return parse_macro(tag);
    if (tag.text == "call") return parse_call_block(tag);
    if (tag.text == "filter") return parse_filter_block(tag);
    if (tag.text == "with") return parse_with(tag);
    if (tag.text == "generation") return parse_generation(tag);
    if (tag.text == "break") return make_stmt(StmtKind::kBreak, tag.line);
    if (tag.text == "continue") return make_stmt(StmtKind::kContinue, tag.line);
    constexpr std::array<std::string_view, 6> kUnsupported = {"include", "import",     "from",
                                                              "extends", "autoescape", "block"};
    for (std::string_view name : kUnsupported) {
      if (tag.text == name) fail_at_line(tag.line, "\"" + tag.text + "\" is not supported");
    }
    fail_at_line(tag.line, "unknown tag \"" + tag.text + "\"" +
                               (end_tags.size() == 0 ? "" : "; looking for " + join(end_tags)));
  }

  std::unique_ptr<Stmt> parse_for(const Token& tag) {
    auto stmt = make_stmt(StmtKind::kFor, tag.line);
    stmt->target = expressions_.target(false);
    stmt->test_target = clone_target(*stmt->target);
    in_.expect_name("in");
    stmt->exprs.push_back(expressions_.tuple({.with_condition = false}));
    stmt->exprs.push_back(in_.skip_name("if") ? expressions_.expression() : nullptr);
    stmt->is_recursive = in_.skip_name("recursive");
    stmt->bodies.push_back(block(tag, {"endfor", "else"}));
    if (in_.next().text == "else") {
      stmt->bodies.push_back(closed_block(tag, "endfor"));
    } else {
      stmt->bodies.emplace_back();
    }
    return stmt;
  }

  std::unique_ptr<Stmt> parse_if(const Token& tag) {
    auto stmt = make_stmt(StmtKind::kIf, tag.line);
    for (;;) {
      stmt->exprs.push_back(expressions_.tuple({.with_condition = false}));
      stmt->bodies.push_back(block(tag, {"elif", "else", "endif"}));
      const std::string end = in_.next().text;
      if (end == "elif") continue;
      if (end == "else") stmt->bodies.push_back(closed_block(tag, "endif"));
      return stmt;
    }
  }

  std::unique_ptr<Stmt> parse_set(const Token& tag) {
    ExprPtr target = expressions_.target(true);
    if (in_.skip_operator("=")) {
      auto stmt = make_stmt(StmtKind::kSet, tag.line);
      stmt->target = std::move(target);
      stmt->exprs.push_back(expressions_.tuple({}));
      return stmt;
    }
    auto stmt = make_stmt(StmtKind::kSetBlock, tag.line);
    stmt->target = std::move(target);
    stmt->exprs.push_back(expressions_.filters(nullptr));
    stmt->bodies.push_back(closed_block(tag, "endset"));
    return stmt;
  }

  std::unique_ptr<Stmt> parse_print(const Token& tag) {
    auto stmt = make_stmt(StmtKind::kPrint, tag.line);
    while (in_.current().type != TokenType::kBlockEnd) {
      if (!stmt->exprs.empty()) in_.expect_operator(",");
      stmt->exprs.push_back(expressions_.expression());
    }
    return stmt;
  }

  void parse_signature(Stmt* stmt) {
    MacroSignature& macro = stmt->macro;
    in_.expect_operator("(");
    while (!in_.current().is_operator(")")) {
      if (!macro.parameters.empty()) in_.expect_operator(",");
      ExprPtr parameter = expressions_.name_target();
      for (const ExprPtr& other : macro.parameters) {
        if (other->text == parameter->text) {
          in_.fail("duplicate parameter \"" + parameter->text + "\"");
        }
      }
      macro.parameters.push_back(std::move(parameter));
      if (in_.skip_operator("=")) {
        macro.defaults.push_back(expressions_.expression());
      } else if (!macro.defaults.empty()) {
        in_.fail("non-default argument follows default argument");
      }
    }
    in_.expect_operator(")");
  }

  std::unique_ptr<Stmt> parse_macro(const Token& tag) {
    auto stmt = make_stmt(StmtKind::kMacro, tag.line);
    stmt->target = expressions_.name_target();
    stmt->text = stmt->target->text;
    parse_signature(stmt.get());
    stmt->bodies.push_back(closed_block(tag, "endmacro"));
    return stmt;
  }

  std::unique_ptr<Stmt> parse_call_block(const Token& tag) {
    auto stmt = make_stmt(StmtKind::kCallBlock, tag.line);
    if (in_.current().is_operator("(")) parse_signature(stmt.get());
    stmt->exprs.push_back(expressions_.expression());
    if (stmt->exprs[0]->kind != ExprKind::kCall) fail_at_line(tag.line, "expected a call");
    stmt->bodies.push_back(closed_block(tag, "endcall"));
    return stmt;
  }

  std::unique_ptr<Stmt> parse_generation(const Token& tag) {
    auto stmt = make_stmt(StmtKind::kCallBlock, tag.line);
    stmt->exprs.emplace_back();
    stmt->bodies.push_back(closed_block(tag, "endgeneration"));
    return stmt;
  }

  std::unique_ptr<Stmt> parse_filter_block(const Token& tag) {
    auto stmt = make_stmt(StmtKind::kFilterBlock, tag.line);
    stmt->exprs.push_back(expressions_.filter_block());
    stmt->bodies.push_back(closed_block(tag, "endfilter"));
    return stmt;
  }

  std::unique_ptr<Stmt> parse_with(const Token& tag) {
    auto stmt = make_stmt(StmtKind::kWith, tag.line);
    std::vector<ExprPtr> values;
    while (in_.current().type != TokenType::kBlockEnd) {
      if (!values.empty()) in_.expect_operator(",");
      stmt->exprs.push_back(expressions_.target(false));
      in_.expect_operator("=");
      values.push_back(expressions_.expression());
    }
    for (ExprPtr& value : values) stmt->exprs.push_back(std::move(value));
    stmt->bodies.push_back(closed_block(tag, "endwith"));
    return stmt;
  }

  TokenStream in_;
  ExpressionParser expressions_;
};

}  // namespace

Template compile(std::string_view source) {
  Template tree;
  tree.body = StatementParser(tokenize(source)).whole_template();
  resolve_scopes(&tree);
  return tree;
}

}  // namespace prefold::jinja
