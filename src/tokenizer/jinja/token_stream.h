// The tokens of a template as the parsers walk over them, and the bound on nesting.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/token.h"

namespace prefold::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[place_]; }
  const Token& look() const { return tokens_[place_ + 1 < tokens_.size() ? place_ + 1 : place_]; }
  int32_t line() const { return current().line; }

  Token next() {
    if (place_ + 1 == tokens_.size()) return current();
    return std::move(tokens_[place_++]);
  }
  bool skip_name(std::string_view name) {
    if (!current().is_name(name)) return false;
    next();
    return true;
  }
  bool skip_operator(std::string_view op) {
    if (!current().is_operator(op)) return false;
    next();
    return true;
  }
  Token expect_operator(std::string_view op) {
    if (!current().is_operator(op)) fail_expected(op);
    return next();
  }
  Token expect_name() {
    if (current().type != TokenType::kName) fail_expected("name");
    return next();
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) fail_expected(name);
  }
  void expect(TokenType type, std::string_view what) {
    if (current().type != type) fail_expected(what);
    next();
  }
  [[noreturn]] void fail(const std::string& what) const { fail_at_line(line(), what); }
  [[noreturn]] void fail_expected(std::string_view what) const {
    fail(fmt::format("expected '{}', got '{}'", std::string(what), describe(current())));
  }

  // One level of nesting while it lives.
  class Nesting {
   public:
    explicit Nesting(TokenStream* stream) : stream_(stream) {
      if (++stream_->depth_ > kMaxParseDepth) stream_->fail("nested too deeply");
    }
    ~Nesting() { --stream_->depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    TokenStream* stream_;
  };

 private:
  std::vector<Token> tokens_;
  size_t place_ = 0;
  int32_t depth_ = 0;
};

}  // namespace prefold::jinja
