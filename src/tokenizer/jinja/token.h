// Tokens of a template, and the lexer that makes them: text is split into data and tags with the
// rules of trim_blocks and lstrip_blocks, tags into the tokens of expressions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace prefold::jinja {

enum class TokenType : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type;
  int32_t line;
  std::string text;  // data, name, operator, or the contents of a string
  Value number;      // of kInteger and kFloat

  bool is_name(std::string_view name) const { return type == TokenType::kName && text == name; }
  bool is_operator(std::string_view op) const { return type == TokenType::kOperator && text == op; }
};

// Throws FormatError naming the line. The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

// How messages name a token: 'endfor', 'end of statement block'.
std::string describe(const Token& token);

[[noreturn]] void fail_at_line(int32_t line, const std::string& what);

}  // namespace prefold::jinja
