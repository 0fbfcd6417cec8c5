#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/string_escape.h"
#include "tokenizer/jinja/token.h"
#include "tokenizer/jinja/unicode.h"

namespace prefold::jinja {
namespace {

// "\r\n" and "\r" become "\n"; one newline at the very end is dropped (keep_trailing_newline off).
std::string normalize_newlines(std::string_view source, bool drop_last) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out.push_back(source[i]);
    }
  }
  if (drop_last && !out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_ascii_digit(c) || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source, true)) {}

  std::vector<Token> run() {
    while (pos_ < source_.size()) read_data();
    push(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest(size_t from) const { return std::string_view(source_).substr(from); }
  bool starts_at(size_t pos, std::string_view text) const {
    return rest(std::min(pos, source_.size())).substr(0, text.size()) == text;
  }
  size_t skip_spaces(size_t pos) const { return source_.size() - strip_left(rest(pos)).size(); }

  // Moves to `pos`, keeping count of lines.
  void advance_to(size_t pos) {
    line_ +=
        static_cast<int32_t>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                        source_.begin() + static_cast<std::ptrdiff_t>(pos), '\n'));
    if (pos > pos_) at_line_start_ = source_[pos - 1] == '\n';
    pos_ = pos;
  }

  void push(TokenType type, std::string text) {
    tokens_.push_back(Token{type, line_, std::move(text), {}});
  }

  // Text before a tag whose opening carries `sign` ('-', '+' or 0).
  void push_data(std::string_view text, char sign, bool is_variable) {
    if (sign == '-') {
      text = strip_right(text);
    } else if (sign != '+' && !is_variable) {
      const size_t newline = text.rfind('\n');
      const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line_begin > 0 || at_line_start_) && strip_left(text.substr(line_begin)).empty()) {
        text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) push(TokenType::kData, std::string(text));
  }

  void read_data() {
    size_t tag = pos_;
    while (tag < source_.size() && !starts_at(tag, "{%") && !starts_at(tag, "{{") &&
           !starts_at(tag, "{#")) {
      ++tag;
    }
    const std::string_view text = std::string_view(source_).substr(pos_, tag - pos_);
    if (tag == source_.size()) {
      push(TokenType::kData, std::string(text));
      advance_to(tag);
      return;
    }
    const char kind = source_[tag + 1];
    size_t inside = tag + 2;
    char sign = 0;
    if (inside < source_.size() && (source_[inside] == '-' || source_[inside] == '+')) {
      sign = source_[inside++];
    }
    push_data(text, sign, kind == '{');
    if (kind == '#') {
      advance_to(inside);
      read_comment();
    } else if (std::optional<size_t> raw = kind == '%' ? match_raw_begin(inside) : std::nullopt) {
      advance_to(*raw);
      read_raw();
    } else {
      advance_to(inside);
      push(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin, "");
      read_tag(kind == '{');
    }
  }

  // The place after "raw %}" or "raw -%}" and the spaces that the latter takes.
  std::optional<size_t> match_raw_begin(size_t pos) const {
    pos = skip_spaces(pos);
    if (!starts_at(pos, "raw")) return std::nullopt;
    pos = skip_spaces(pos + 3);
    if (starts_at(pos, "%}")) return pos + 2;
    if (starts_at(pos, "-%}")) return skip_spaces(pos + 3);
    return std::nullopt;
  }

  // The place after a closing that starts at `pos`: "+X", "-X" and spaces, or "X" and one newline.
  std::optional<size_t> match_block_end(size_t pos, std::string_view closing) const {
    const bool signed_end = starts_at(pos, "+") || starts_at(pos, "-");
    if (signed_end && starts_at(pos + 1, closing)) {
      const size_t after = pos + 1 + closing.size();
      return source_[pos] == '-' ? skip_spaces(after) : after;
    }
    if (!starts_at(pos, closing)) return std::nullopt;
    const size_t after = pos + closing.size();
    return starts_at(after, "\n") ? after + 1 : after;
  }

  void read_comment() {
    if (pos_ == source_.size()) return;  // Jinja accepts "{#" as the last thing of a template
    size_t end = source_.find("#}", pos_);
    if (end == std::string::npos) fail_at_line(line_, "missing end of comment tag");
    if (end > pos_ && (source_[end - 1] == '+' || source_[end - 1] == '-')) --end;
    advance_to(*match_block_end(end, "#}"));
  }

  void read_raw() {
    if (pos_ == source_.size()) return;
    for (size_t tag = source_.find("{%", pos_); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      size_t inside = tag + 2;
      char sign = 0;
      if (starts_at(inside, "-") || starts_at(inside, "+")) sign = source_[inside++];
      inside = skip_spaces(inside);
      if (!starts_at(inside, "endraw")) continue;
      const std::optional<size_t> end = match_block_end(skip_spaces(inside + 6), "%}");
      if (!end) continue;
      push_data(std::string_view(source_).substr(pos_, tag - pos_), sign, false);
      advance_to(*end);
      return;
    }
    fail_at_line(line_, "missing end of raw directive");
  }

  std::optional<size_t> match_tag_end(bool is_variable) const {
    if (!is_variable) return match_block_end(pos_, "%}");
    if (starts_at(pos_, "-}}")) return skip_spaces(pos_ + 3);
    if (starts_at(pos_, "}}")) return pos_ + 2;
    return std::nullopt;
  }

  void read_tag(bool is_variable) {
    std::string open_brackets;
    while (pos_ < source_.size()) {
      if (open_brackets.empty()) {
        if (std::optional<size_t> end = match_tag_end(is_variable)) {
          push(is_variable ? TokenType::kVariableEnd : TokenType::kBlockEnd, "");
          advance_to(*end);
          return;
        }
      }
      const size_t after_spaces = skip_spaces(pos_);
      if (after_spaces > pos_) {
        advance_to(after_spaces);
      } else if (is_ascii_digit(source_[pos_])) {
        read_number();
      } else if (is_name_byte(source_[pos_])) {
        read_name();
      } else if (source_[pos_] == '\'' || source_[pos_] == '"') {
        read_string();
      } else {
        read_operator(&open_brackets);
      }
    }
  }

  void read_name() {
    size_t end = pos_;
    while (end < source_.size() && is_name_byte(source_[end])) ++end;
    // Spaces outside ASCII end a name too.
    for (size_t i = pos_; i < end;) {
      const size_t start = i;
      if (is_space(decode_at(source_, &i))) end = start;
    }
    push(TokenType::kName, source_.substr(pos_, end - pos_));
    advance_to(end);
  }

  // The end of digits with single underscores between them, or `pos` if there are none.
  template <typename IsDigit>
  size_t skip_digits(size_t pos, IsDigit is_digit_char) const {
    size_t end = pos;
    while (end < source_.size()) {
      if (is_digit_char(source_[end])) {
        ++end;
      } else if (source_[end] == '_' && end > pos && end + 1 < source_.size() &&
                 is_digit_char(source_[end + 1])) {
        ++end;
      } else {
        break;
      }
    }
    return end;
  }

  // The end of a float at pos_, or pos_ if it is none.
  size_t match_float() const {
    if (pos_ > 0 && source_[pos_ - 1] == '.') return pos_;
    const size_t whole = skip_digits(pos_, is_ascii_digit);
    size_t end = whole;
    if (starts_at(end, ".")) {
      const size_t fraction = skip_digits(end + 1, is_ascii_digit);
      if (fraction > end + 1) end = fraction;
    }
    if (starts_at(end, "e") || starts_at(end, "E")) {
      size_t digits = end + 1;
      if (starts_at(digits, "+") || starts_at(digits, "-")) ++digits;
      const size_t exponent = skip_digits(digits, is_ascii_digit);
      if (exponent > digits) return exponent;
    }
    return end > whole ? end : pos_;
  }

  void read_number() {
    const size_t float_end = match_float();
    size_t end = float_end;
    size_t digits = pos_;
    int base = 10;
    if (float_end == pos_) {
      const char prefix = starts_at(pos_, "0") && pos_ + 1 < source_.size()
                              ? static_cast<char>(source_[pos_ + 1] | 0x20)
                              : '\0';
      end = prefix == 'x'   ? match_prefixed(base = 16)
            : prefix == 'o' ? match_prefixed(base = 8)
            : prefix == 'b' ? match_prefixed(base = 2)
                            : pos_;
      if (end > pos_) {
        digits = pos_ + 2;
      } else {
        base = 10;
        // A number that starts with 0 has no other digits: "012" is 0 and then 12.
        end = source_[pos_] == '0' ? skip_digits(pos_, [](char c) { return c == '0'; })
                                   : skip_digits(pos_, is_ascii_digit);
      }
    }
    std::string plain = source_.substr(digits, end - digits);
    plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
    Token token{TokenType::kInteger, line_, source_.substr(pos_, end - pos_), {}};
    if (float_end > pos_) {
      token.type = TokenType::kFloat;
      double number = 0;
      const auto result = std::from_chars(plain.data(), plain.data() + plain.size(), number);
      // Too large or too small for a double: infinity or zero, as in Python.
      if (result.ec != std::errc()) number = std::strtod(plain.c_str(), nullptr);
      token.number = Value::real(number);
    } else {
      int64_t number = 0;
      const auto result = std::from_chars(plain.data(), plain.data() + plain.size(), number, base);
      if (result.ec != std::errc()) fail_at_line(line_, "number out of range: " + token.text);
      token.number = Value::integer(number);
    }
    tokens_.push_back(std::move(token));
    advance_to(end);
  }

  // The end of a number such as 0x_ff at pos_, or pos_.
  size_t match_prefixed(int base) const {
    const auto is_base_digit = [base](char c) {
      const char lower = static_cast<char>(c | 0x20);
      if (base == 16 && lower >= 'a' && lower <= 'f') return true;
      return c >= '0' && c < '0' + std::min(base, 10);
    };
    size_t first = pos_ + 2;
    if (starts_at(first, "_")) ++first;
    const size_t end = skip_digits(first, is_base_digit);
    return end > first ? end : pos_;
  }

  void read_string() {
    const char quote = source_[pos_];
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_at_line(line_, "a string is not closed");
    push(TokenType::kString,
         unescape(std::string_view(source_).substr(pos_ + 1, end - pos_ - 1), line_));
    advance_to(end + 1);
  }

  void read_operator(std::string* open_brackets) {
    constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto found = std::find_if(kOperators.begin(), kOperators.end(),
                                    [this](std::string_view op) { return starts_at(pos_, op); });
    if (found == kOperators.end()) {
      fail_at_line(line_, fmt::format("unexpected character '{}'", source_[pos_]));
    }
    const std::string_view op = *found;
    if (op == "(" || op == "[" || op == "{") {
      open_brackets->push_back(op == "(" ? ')' : op == "[" ? ']' : '}');
    } else if (op == ")" || op == "]" || op == "}") {
      if (open_brackets->empty()) fail_at_line(line_, fmt::format("unexpected '{}'", op));
      if (open_brackets->back() != op[0]) {
        fail_at_line(line_,
                     fmt::format("unexpected '{}', expected '{}'", op, open_brackets->back()));
      }
      open_brackets->pop_back();
    }
    push(TokenType::kOperator, std::string(op));
    advance_to(pos_ + op.size());
  }

  std::string source_;
  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int32_t line_ = 1;
  bool at_line_start_ = true;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  if (static_cast<int64_t>(source.size()) > kMaxSourceBytes) {
    throw FormatError(fmt::format("chat template: {} bytes long; at most {} are read",
                                  source.size(), kMaxSourceBytes));
  }
  if (!is_utf8(source)) throw FormatError("chat template: is not UTF-8 text");
  return Lexer(source).run();
}

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::kData:
      return "template data / text";
    case TokenType::kVariableBegin:
      return "begin of print statement";
    case TokenType::kVariableEnd:
      return "end of print statement";
    case TokenType::kBlockBegin:
      return "begin of statement block";
    case TokenType::kBlockEnd:
      return "end of statement block";
    case TokenType::kString:
      return "string";
    case TokenType::kInteger:
      return "integer";
    case TokenType::kFloat:
      return "float";
    case TokenType::kEnd:
      return "end of template";
    default:
      return token.text;
  }
}

void fail_at_line(int32_t line, const std::string& what) {
  throw FormatError(fmt::format("chat template, line {}: {}", line, what));
}

}  // namespace prefold::jinja
