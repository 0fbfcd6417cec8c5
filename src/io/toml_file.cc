#include "io/toml_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "io/json_line.h"
#include "io/utf8.h"

namespace prefold {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_key_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

class TomlReader {
 public:
  TomlReader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  std::vector<TomlSetting> read() {
    check_characters();
    std::vector<TomlSetting> settings;
    for (skip_lines(); !at_end(); skip_lines()) {
      TomlSetting setting = read_setting();
      for (const TomlSetting& other : settings) {
        if (other.key != setting.key) continue;
        line_ = setting.line;
        fail(fmt::format("\"{}\" stands in line {} already", setting.key, other.line));
      }
      settings.push_back(std::move(setting));
    }
    return settings;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw FormatError(fmt::format("{}:{}: {}", name_, line_, what));
  }

  bool at_end() const { return pos_ == text_.size(); }
  char peek() const { return at_end() ? '\n' : text_[pos_]; }
  std::string_view rest_of_line() const {
    return text_.substr(pos_, std::min(text_.find('\n', pos_), text_.size()) - pos_);
  }

  // Tabs, ends of lines ("\n", "\r\n") and no other control characters; UTF-8 throughout.
  void check_characters() {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
    const size_t n_valid = valid_utf8_prefix(text_);
    for (size_t i = 0; i < text_.size(); ++i) {
      const auto c = static_cast<unsigned char>(text_[i]);
      if (i == n_valid) fail("not UTF-8");
      if (c == '\r' && i + 1 < text_.size() && text_[i + 1] == '\n') continue;
      if ((c < ' ' && c != '\t' && c != '\n') || c == 0x7F) {
        fail(fmt::format("control character {:#04x}", c));
      }
      if (c == '\n') ++line_;
    }
    line_ = 1;
  }

  void skip_spaces() {
    while (!at_end() && (text_[pos_] == ' ' || text_[pos_] == '\t')) ++pos_;
  }

  void skip_comment() {
    if (peek() == '#') pos_ += rest_of_line().size();
    if (peek() == '\r') ++pos_;
  }

  // Blanks, comments and ends of lines.
  void skip_lines() {
    for (;;) {
      skip_spaces();
      skip_comment();
      if (at_end() || text_[pos_] != '\n') return;
      ++pos_;
      ++line_;
    }
  }

  TomlSetting read_setting() {
    TomlSetting setting;
    setting.line = line_;
    if (peek() == '[') fail("tables are not used here; all keys stand at the top");
    while (!at_end() && is_key_char(text_[pos_])) setting.key += text_[pos_++];
    if (setting.key.empty())
      fail(fmt::format("{}; expected key = value", show_text(rest_of_line())));
    skip_spaces();
    if (peek() != '=') fail(fmt::format("no = behind \"{}\"", setting.key));
    ++pos_;
    skip_spaces();
    key_ = setting.key;
    if (peek() == '[') {
      setting.is_array = true;
      read_array(setting.values);
    } else {
      setting.values.push_back(read_value());
    }
    skip_spaces();
    skip_comment();
    if (peek() != '\n') {
      fail(fmt::format("{} behind the value of \"{}\"", show_text(rest_of_line()), key_));
    }
    return setting;
  }

  void read_array(std::vector<TomlValue>& values) {
    const int64_t begin = line_;
    ++pos_;
    for (;;) {
      skip_lines();
      if (peek() == ']') break;
      if (at_end()) unclosed(begin);
      values.push_back(read_value());
      skip_lines();
      if (at_end()) unclosed(begin);
      if (peek() == ']') break;
      if (peek() != ',') {
        fail(fmt::format("{} in the array \"{}\"; expected , or ]", show_text(rest_of_line()),
                         key_));
      }
      ++pos_;
    }
    ++pos_;
  }

  [[noreturn]] void unclosed(int64_t begin) {
    line_ = begin;
    fail(fmt::format("the array \"{}\" has no ] at its end", key_));
  }

  TomlValue read_value() {
    if (peek() == '"') return {TomlType::kString, read_string()};
    if (peek() == '\'') return {TomlType::kString, read_literal_string()};
    const std::string_view line = rest_of_line();
    const std::string word(line.substr(0, line.find_first_of(" \t\r,]#")));
    pos_ += word.size();
    if (word == "true" || word == "false") return {TomlType::kBool, word};
    if (std::optional<std::string> number = plain_number(word)) {
      return {TomlType::kNumber, std::move(*number)};
    }
    fail(fmt::format("\"{}\" is {}; expected a text in quotes, a decimal number, true or false",
                     key_, word.empty() ? "empty" : show_text(word)));
  }

  std::string read_string() {
    if (rest_of_line().starts_with(R"(""")")) fail_long_string();
    ++pos_;
    std::string out;
    while (peek() != '"') {
      if (peek() == '\n' || peek() == '\r') fail_open_string();
      if (peek() == '\\') {
        read_escape(out);
      } else {
        out += text_[pos_++];
      }
    }
    ++pos_;
    return out;
  }

  std::string read_literal_string() {
    if (rest_of_line().starts_with("'''")) fail_long_string();
    const size_t end = rest_of_line().find('\'', 1);
    if (end == std::string_view::npos) fail_open_string();
    const std::string out(text_.substr(pos_ + 1, end - 1));
    pos_ += end + 1;
    return out;
  }

  [[noreturn]] void fail_open_string() const {
    fail(fmt::format("the text of \"{}\" has no quote at its end", key_));
  }
  [[noreturn]] void fail_long_string() const {
    fail(fmt::format("\"{}\": texts of several lines are not used here", key_));
  }

  void read_escape(std::string& out) {
    constexpr std::string_view kNames = "btnfr\"\\";
    constexpr std::string_view kMeanings = "\b\t\n\f\r\"\\";
    ++pos_;
    const char c = peek();
    if (const size_t i = kNames.find(c); i != std::string_view::npos) {
      out += kMeanings[i];
      ++pos_;
      return;
    }
    const size_t n_digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t code = 0;
    size_t n_read = 0;
    for (; n_read < n_digits && pos_ + 1 + n_read < text_.size(); ++n_read) {
      const size_t digit =
          std::string_view("0123456789abcdefABCDEF").find(text_[pos_ + 1 + n_read]);
      if (digit == std::string_view::npos) break;
      code = code * 16 + static_cast<uint32_t>(digit < 16 ? digit : digit - 6);
    }
    if (n_digits == 0 || n_read < n_digits || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000)) {
      fail(fmt::format("\"{}\": no escape of TOML: {}", key_,
                       show_text(fmt::format("\\{}", utf8_head(rest_of_line(), 9)))));
    }
    append_utf8(out, code);
    pos_ += 1 + n_digits;
  }

  // A decimal integer or float, without its underscores.
  static std::optional<std::string> plain_number(const std::string& word) {
    size_t i = 0;
    std::string out;
    if (i < word.size() && (word[i] == '+' || word[i] == '-')) {
      if (word[i] == '-') out += '-';
      ++i;
    }
    // Digits, with single underscores between them.
    const auto digits = [&] {
      const size_t begin = i;
      while (i < word.size() &&
             (is_digit(word[i]) || (word[i] == '_' && i > begin && is_digit(word[i - 1]) &&
                                    i + 1 < word.size() && is_digit(word[i + 1])))) {
        if (word[i] != '_') out += word[i];
        ++i;
      }
      return i > begin;
    };
    const size_t whole = i;
    if (!digits()) return std::nullopt;
    if (word[whole] == '0' && i > whole + 1) return std::nullopt;
    if (i < word.size() && word[i] == '.') {
      out += word[i++];
      if (!digits()) return std::nullopt;
    }
    if (i < word.size() && (word[i] == 'e' || word[i] == 'E')) {
      out += word[i++];
      if (i < word.size() && (word[i] == '+' || word[i] == '-')) out += word[i++];
      if (!digits()) return std::nullopt;
    }
    if (i != word.size()) return std::nullopt;
    return out;
  }

  std::string_view text_;
  const std::string& name_;
  std::string key_;
  size_t pos_ = 0;
  int64_t line_ = 1;
};

}  // namespace

std::vector<TomlSetting> parse_toml(std::string_view text, const std::string& name) {
  return TomlReader(text, name).read();
}

}  // namespace prefold
