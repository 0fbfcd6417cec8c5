#include "tokenizer/oniguruma.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "tokenizer/char_class.h"
#include "tokenizer/oniguruma_class.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

constexpr int kMaxDepth = 100;
constexpr uint32_t kMaxRepeat = 65535;  // PCRE2's limit

bool is_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string translate() {
    const size_t bad = find_invalid_utf8(pattern_);
    if (bad != std::string_view::npos) refuse("text that is not UTF-8", bad);
    std::string text = alternatives({}, 0);
    if (pos_ < pattern_.size()) refuse("\")\" without \"(\"", pos_);
    return text;
  }

 private:
  struct Options {
    bool ignore_case = false;
    bool dot_all = false;
  };
  // A piece of the translation; what may follow depends on what it is.
  struct Atom {
    std::string text;
    bool repeatable = true;
    char32_t folded = 0;  // a letter matched in either case
  };

  [[noreturn]] void refuse(std::string_view what, size_t at) const {
    throw FormatError(
        fmt::format("the regular expression has {} at byte {}, which is not supported", what, at));
  }

  bool at_end() const { return pos_ == pattern_.size(); }
  bool at(std::string_view text) const { return pattern_.substr(pos_, text.size()) == text; }
  bool accept(std::string_view text) {
    if (!at(text)) return false;
    pos_ += text.size();
    return true;
  }

  // Up to the end of the pattern or a ")" that is not consumed.
  std::string alternatives(Options options, int depth) {
    if (depth > kMaxDepth) refuse(fmt::format("more than {} nested groups", kMaxDepth), pos_);
    std::string text;
    bool first_branch = true;
    while (true) {
      const size_t begin = pos_;
      if (inline_options(options)) {
        // Oniguruma reads a(?i)b|c as a(?i:b|c), so only at the very beginning is it simple.
        if (!first_branch || begin != pos_of_group_) refuse("options inside a group", begin);
        pos_of_group_ = pos_;
        continue;
      }
      text += branch(options, depth);
      first_branch = false;
      if (!accept("|")) return text;
      text += "|";
    }
  }

  bool inline_options(Options& options) {
    const size_t close = pattern_.find(')', pos_);
    if (!at("(?") || close == std::string_view::npos) return false;
    const std::string_view letters = pattern_.substr(pos_ + 2, close - pos_ - 2);
    if (letters.empty() || letters.find_first_not_of("imx-") != std::string_view::npos)
      return false;
    set_options(letters, options);
    pos_ = close + 1;
    return true;
  }

  void set_options(std::string_view letters, Options& options) const {
    bool on = true;
    for (const char letter : letters) {
      if (letter == '-') on = false;
      if (letter == 'i') options.ignore_case = on;
      if (letter == 'm') options.dot_all = on;  // Ruby's m is the s of others
      if (letter == 'x' && on) refuse("option x", pos_);
    }
  }

  std::string branch(Options options, int depth) {
    std::string text;
    char32_t previous_folded = 0;
    while (!at_end() && !at("|") && !at(")")) {
      const size_t begin = pos_;
      if (skip_comment()) continue;
      Atom atom = next_atom(options, depth);
      check_folding(previous_folded, atom.folded, begin);
      previous_folded = atom.folded;
      text += repeated(std::move(atom), begin);
    }
    return text;
  }

  // Without regard to case, "ss" would also match U+00DF, and the like.
  void check_folding(char32_t first, char32_t second, size_t at) const {
    for (const std::string_view pair : {"ss", "ff", "fi", "fl", "st"}) {
      if (first == static_cast<char32_t>(pair[0]) && second == static_cast<char32_t>(pair[1])) {
        refuse(fmt::format("\"{}\" without regard to case", pair), at);
      }
    }
  }

  bool skip_comment() {
    if (!at("(?#")) return false;
    const size_t close = pattern_.find(')', pos_);
    if (close == std::string_view::npos) refuse("a comment without end", pos_);
    pos_ = close + 1;
    return true;
  }

  std::string repeated(Atom atom, size_t begin) {
    bool was_interval = false;
    bool was_repeated = false;
    while (true) {
      const size_t operator_at = pos_;
      std::string repeat;
      bool exact = false;
      if (accept("*")) {
        repeat = "*";
      } else if (accept("+")) {
        repeat = "+";
      } else if (accept("?")) {
        repeat = "?";
      } else if (!interval(repeat, exact)) {
        return atom.text;
      }
      if (!atom.repeatable) refuse("a repeated assertion", begin);
      if (was_repeated && !was_interval) refuse("a repetition of a repetition", operator_at);
      // A second operator repeats the first repetition: Ruby has no possessive intervals.
      if (was_repeated) atom.text = "(?:" + atom.text + ")";
      was_interval = repeat[0] == '{';
      was_repeated = true;
      if (accept("?")) {
        if (exact) refuse("\"{n}?\"", operator_at);
        repeat += "?";
        was_interval = false;
      } else if (!was_interval && accept("+")) {
        repeat += "+";
      }
      atom.text += repeat;
    }
  }

  // {n}, {n,}, {n,m}, {,m}; anything else is a plain "{".
  bool interval(std::string& repeat, bool& exact) {
    if (!at("{")) return false;
    const size_t close = pattern_.find('}', pos_);
    if (close == std::string_view::npos) return false;
    const std::string_view inside = pattern_.substr(pos_ + 1, close - pos_ - 1);
    const size_t comma = inside.find(',');
    const std::string_view low = inside.substr(0, comma);
    const std::string_view high = comma == std::string_view::npos ? low : inside.substr(comma + 1);
    const auto digits = [](std::string_view text) {
      return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    };
    if (!digits(low) || !digits(high) || (low.empty() && high.empty())) return false;
    const auto number = [&](std::string_view text) {
      uint32_t value = 0;
      for (const char c : text)
        value = std::min(value * 10 + static_cast<uint32_t>(c - '0'), 100000u);
      if (value > kMaxRepeat) refuse(fmt::format("more than {} repetitions", kMaxRepeat), pos_);
      return value;
    };
    const uint32_t from = number(low);
    const uint32_t to = number(high);
    if (!high.empty() && to < from) refuse("an interval that ends before it begins", pos_);
    exact = comma == std::string_view::npos;
    repeat = exact ? fmt::format("{{{}}}", from)
                   : fmt::format("{{{},{}}}", from, high.empty() ? "" : std::to_string(to));
    pos_ = close + 1;
    return true;
  }

  Atom next_atom(Options options, int depth) {
    const size_t begin = pos_;
    if (at("(")) return group(options, depth);
    if (accept("[")) {
      ClassText set;
      const bool negated = bracket(set, options, depth + 1);
      return {set.pattern(negated)};
    }
    if (accept(".")) {
      ClassText set;
      if (options.dot_all) {
        set.add_any();
      } else {
        set.add_range('\n', '\n');
      }
      return {set.pattern(!options.dot_all)};
    }
    if (accept("^")) return {R"((?:\A|(?<=\n)(?!\z)))", false};
    if (accept("$")) return {R"((?=\n|\z))", false};
    if (accept("\\")) return escaped(options, begin);
    if (at("*") || at("+") || at("?")) refuse("a repetition of nothing", begin);
    return literal(next_char(pattern_, pos_), options, begin);
  }

  Atom literal(char32_t c, Options options, size_t begin) const {
    if (!options.ignore_case) return {escape_for_pcre2(c)};
    if (c >= 0x80) refuse("a character outside of ASCII without regard to case", begin);
    if (!is_letter(c)) return {escape_for_pcre2(c)};
    return {"(?i:" + escape_for_pcre2(c) + ")", true, c | 0x20};
  }

  Atom group(Options options, int depth) {
    const size_t begin = pos_;
    Atom atom;
    if (accept("(?:")) {
      atom.text = "(?:";
    } else if (accept("(?=") || accept("(?!") || accept("(?<=") || accept("(?<!")) {
      atom.text = pattern_.substr(begin, pos_ - begin);
      atom.repeatable = false;
    } else if (accept("(?>")) {
      atom.text = "(?>";
    } else if (at("(?<") || at("(?'")) {
      const size_t close = pattern_.find(at("(?<") ? '>' : '\'', pos_ + 3);
      if (close == std::string_view::npos) refuse("a group name without end", begin);
      pos_ = close + 1;
      atom.text = "(?:";
    } else if (accept("(?")) {
      const size_t colon = pattern_.find_first_not_of("imx-", pos_);
      if (colon == std::string_view::npos || pattern_[colon] != ':' || colon == pos_) {
        refuse(fmt::format("\"{}\"", pattern_.substr(begin, next_in(begin + 2) - begin)), begin);
      }
      set_options(pattern_.substr(pos_, colon - pos_), options);
      pos_ = colon + 1;
      atom.text = "(?:";
    } else {
      ++pos_;
      atom.text = "(?:";
    }
    pos_of_group_ = pos_;
    atom.text += alternatives(options, depth + 1);
    if (!accept(")")) refuse("\"(\" without \")\"", begin);
    atom.text += ")";
    return atom;
  }

  size_t next_in(size_t pos) const {
    if (pos >= pattern_.size()) return pattern_.size();
    size_t next = pos;
    next_char(pattern_, next);
    return next;
  }

  Atom escaped(Options options, size_t begin) {
    if (at_end()) refuse("\"\\\" at its end", begin);
    if (accept("A")) return {"\\A", false};
    if (accept("z")) return {"\\z", false};
    if (accept("Z")) return {R"((?=\n?\z))", false};
    if (at("b") || at("B")) return word_boundary(pattern_[pos_++] == 'b');
    if (accept("R")) return {R"((?>\r\n|[\x{a}-\x{d}\x{85}\x{2028}\x{2029}]))"};
    ClassText set;
    if (class_escape(set, options, begin)) return {set.pattern(false)};
    return literal(character_escape(begin), options, begin);
  }

  Atom word_boundary(bool wanted) const {
    ClassText set;
    set.add(*find_regex_class("w"), false);
    const std::string word = set.pattern(false);
    const auto look = [&](const char* before, const char* after) {
      return "(?<" + std::string(before) + word + ")(?" + after + word + ")";
    };
    return {wanted ? "(?:" + look("=", "!") + "|" + look("!", "=") + ")"
                   : "(?:" + look("=", "=") + "|" + look("!", "!") + ")",
            false};
  }

  // \s, \d, \w, \h, \p{...} and their opposites.
  bool class_escape(ClassText& set, Options options, size_t begin) {
    const char letter = pattern_[pos_];
    const bool upper = letter >= 'A' && letter <= 'Z';
    switch (letter) {
      case 's':
      case 'S':
        set.add_spaces(upper);
        break;
      case 'd':
      case 'D':
        set.add(*find_regex_class("Nd"), upper);
        break;
      case 'w':
      case 'W':
        if (options.ignore_case) refuse("\\w without regard to case", begin);
        set.add(*find_regex_class("w"), upper);
        break;
      case 'h':
      case 'H': {
        ClassText digits;
        digits.add_range('0', '9');
        digits.add_range('a', 'f');
        digits.add_range('A', 'F');
        set.add(digits, upper);
        break;
      }
      case 'N': {
        ClassText newline;
        newline.add_range('\n', '\n');
        set.add(newline, true);
        break;
      }
      case 'O':
        set.add_any();
        break;
      case 'p':
      case 'P':
        ++pos_;
        property(set, upper, options, begin);
        return true;
      default:
        return false;
    }
    ++pos_;
    return true;
  }

  void property(ClassText& set, bool negated, Options options, size_t begin) {
    const size_t close = pattern_.find('}', pos_);
    if (!accept("{") || close == std::string_view::npos) refuse("\\p without {...}", begin);
    if (accept("^")) negated = !negated;
    const std::string_view name = pattern_.substr(pos_, close - pos_);
    pos_ = close + 1;
    const RegexClass* known = find_regex_class(name);
    if (options.ignore_case) refuse("\\p{...} without regard to case", begin);
    if (known == nullptr || known->name == "w") {
      refuse(fmt::format("the property \"{}\"", name), begin);
    }
    set.add(*known, negated);
  }

  // One character written with a backslash, which is consumed.
  char32_t character_escape(size_t begin) {
    switch (pattern_[pos_]) {
      case 't':
        return ++pos_, '\t';
      case 'n':
        return ++pos_, '\n';
      case 'r':
        return ++pos_, '\r';
      case 'f':
        return ++pos_, '\f';
      case 'v':
        return ++pos_, '\v';
      case 'a':
        return ++pos_, '\a';
      case 'e':
        return ++pos_, 0x1b;
      case 'x':
        ++pos_;
        if (accept("{")) {
          const char32_t c = hexadecimal(1, 8, begin);
          if (!accept("}")) refuse("\\x{ without }", begin);
          return c;
        } else {
          const char32_t c = hexadecimal(1, 2, begin);
          if (c >= 0x80) refuse("a byte of a character", begin);
          return c;
        }
      case 'u':
        ++pos_;
        return hexadecimal(4, 4, begin);
      default:
        break;
    }
    const char32_t c = next_char(pattern_, pos_);
    if (is_letter(c) || is_digit(c)) {
      refuse(fmt::format("\"\\{}\"", static_cast<char>(c)), begin);
    }
    return c;
  }

  char32_t hexadecimal(int min_digits, int max_digits, size_t begin) {
    char32_t value = 0;
    int n = 0;
    for (; n < max_digits && !at_end(); ++n, ++pos_) {
      const char32_t c = static_cast<unsigned char>(pattern_[pos_]);
      const char32_t low = c | 0x20;
      if (!is_digit(c) && !(low >= 'a' && low <= 'f')) break;
      value = value * 16 + (is_digit(c) ? c - '0' : low - 'a' + 10);
    }
    if (n < min_digits || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
      refuse("a number that is no character", begin);
    }
    return value;
  }

  // After "[", past "]". Returns whether the whole is negated.
  bool bracket(ClassText& set, Options options, int depth) {
    const size_t begin = pos_ - 1;
    if (depth > kMaxDepth) refuse(fmt::format("more than {} nested groups", kMaxDepth), begin);
    const bool negated = accept("^");
    std::vector<ClassText> operands(1);
    bool at_start = true;
    while (true) {
      if (at_end()) refuse("\"[\" without \"]\"", begin);
      if (at("]") && !(at_start && pattern_.find(']', pos_ + 1) != std::string_view::npos)) break;
      at_start = false;
      if (accept("&&")) {
        operands.emplace_back();
        continue;
      }
      class_item(operands.back(), options, depth);
    }
    ++pos_;
    for (const ClassText& operand : operands) {
      if (operand.inside.empty() && operand.others.empty()) refuse("an empty set", begin);
    }
    if (operands.size() == 1) {
      set = std::move(operands[0]);
      return negated;
    }
    std::string both = "(?:";
    for (size_t i = 0; i + 1 < operands.size(); ++i)
      both += "(?=" + operands[i].pattern(false) + ")";
    set.others.push_back(both + operands.back().pattern(false) + ")");
    return negated;
  }

  void class_item(ClassText& set, Options options, int depth) {
    const size_t begin = pos_;
    if (at("[:")) {
      posix_class(set, begin);
      return;
    }
    if (accept("[")) {
      ClassText inner;
      const bool negated = bracket(inner, options, depth + 1);
      set.add(inner, negated);
      return;
    }
    if (at("\\") && pos_ + 1 < pattern_.size()) {
      ++pos_;
      if (class_escape(set, options, begin)) return;
      --pos_;
    }
    const char32_t first = class_character(begin);
    const bool range = at("-") && !at("-]") && !at("-&&") && !at("-[");
    if (!range) {
      add_to_class(first, first, set, options, begin);
      return;
    }
    const size_t dash = pos_++;
    if (at("\\")) {  // "a-\s" is three items
      ClassText ignored;
      ++pos_;
      if (at_end()) refuse("\"\\\" at its end", dash);
      if (class_escape(ignored, options, begin)) refuse("a range that ends in a class", dash);
      --pos_;
    }
    const char32_t last = class_character(dash);
    if (last < first) refuse("a range that ends before it begins", begin);
    add_to_class(first, last, set, options, begin);
  }

  void add_to_class(char32_t first, char32_t last, ClassText& set, Options options,
                    size_t begin) const {
    set.add_range(first, last);
    if (!options.ignore_case) return;
    if (last >= 0x80) refuse("a character outside of ASCII without regard to case", begin);
    for (char32_t c = first; c <= last; ++c) {
      if (!is_letter(c)) continue;
      set.add_range(c ^ 0x20, c ^ 0x20);
      if ((c | 0x20) == 's') set.add_range(0x17f, 0x17f);
      if ((c | 0x20) == 'k') set.add_range(0x212a, 0x212a);
    }
  }

  char32_t class_character(size_t begin) {
    if (!accept("\\")) return next_char(pattern_, pos_);
    if (at_end()) refuse("\"\\\" at its end", begin);
    if (accept("b")) return '\b';
    return character_escape(begin);
  }

  void posix_class(ClassText& set, size_t begin) {
    const size_t close = pattern_.find(":]", pos_ + 2);
    if (close == std::string_view::npos) refuse("\"[:\" without \":]\"", begin);
    std::string_view name = pattern_.substr(pos_ + 2, close - pos_ - 2);
    pos_ = close + 2;
    const bool negated = name.substr(0, 1) == "^";
    if (negated) name.remove_prefix(1);
    if (name == "space") {
      set.add_spaces(negated);
    } else if (name == "digit") {
      set.add(*find_regex_class("Nd"), negated);
    } else if (name == "word") {
      set.add(*find_regex_class("w"), negated);
    } else {
      refuse(fmt::format("[:{}:]", name), begin);
    }
  }

  std::string_view pattern_;
  size_t pos_ = 0;
  size_t pos_of_group_ = 0;  // where the innermost group's inside begins
};

}  // namespace

std::string translate_oniguruma(std::string_view pattern) {
  return Translator(pattern).translate();
}

}  // namespace prefold
