#include "tokenizer/oniguruma.h"

#include <fmt/format.h>

#include <utility>

#include "tokenizer/char_class.h"
#include "tokenizer/oniguruma_bracket.h"
#include "tokenizer/oniguruma_class.h"
#include "tokenizer/oniguruma_reader.h"
#include "tokenizer/utf8.h"

namespace prefold {
namespace {

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_{pattern} {}

  std::string translate() {
    const size_t bad = find_invalid_utf8(in_.pattern);
    if (bad != std::string_view::npos) in_.refuse("text that is not UTF-8", bad);
    std::string text = alternatives({}, 0);
    if (in_.pos < in_.pattern.size()) in_.refuse("\")\" without \"(\"", in_.pos);
    return text;
  }

 private:
  // A piece of the translation; what may follow depends on what it is.
  struct Atom {
    std::string text;
    bool repeatable = true;
    char32_t folded = 0;  // a letter matched in either case
  };

  // Up to the end of the pattern or a ")" that is not consumed.
  std::string alternatives(OnigurumaOptions options, int depth) {
    if (depth > kMaxOnigurumaDepth) {
      in_.refuse(fmt::format("more than {} nested groups", kMaxOnigurumaDepth), in_.pos);
    }
    std::string text;
    bool first_branch = true;
    while (true) {
      const size_t begin = in_.pos;
      if (inline_options(options)) {
        // Oniguruma reads a(?i)b|c as a(?i:b|c), so only at the very beginning is it simple.
        if (!first_branch || begin != pos_of_group_) in_.refuse("options inside a group", begin);
        pos_of_group_ = in_.pos;
        continue;
      }
      text += branch(options, depth);
      first_branch = false;
      if (!in_.accept("|")) return text;
      text += "|";
    }
  }

  bool inline_options(OnigurumaOptions& options) {
    const size_t close = in_.pattern.find(')', in_.pos);
    if (!in_.at("(?") || close == std::string_view::npos) return false;
    const std::string_view letters = in_.pattern.substr(in_.pos + 2, close - in_.pos - 2);
    if (letters.empty() || letters.find_first_not_of("imx-") != std::string_view::npos)
      return false;
    set_options(letters, options);
    in_.pos = close + 1;
    return true;
  }

  void set_options(std::string_view letters, OnigurumaOptions& options) const {
    bool on = true;
    for (const char letter : letters) {
      if (letter == '-') on = false;
      if (letter == 'i') options.ignore_case = on;
      if (letter == 'm') options.dot_all = on;  // Ruby's m is the s of others
      if (letter == 'x' && on) in_.refuse("option x", in_.pos);
    }
  }

  std::string branch(OnigurumaOptions options, int depth) {
    std::string text;
    char32_t previous_folded = 0;
    while (!in_.at_end() && !in_.at("|") && !in_.at(")")) {
      const size_t begin = in_.pos;
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
        in_.refuse(fmt::format("\"{}\" without regard to case", pair), at);
      }
    }
  }

  bool skip_comment() {
    if (!in_.at("(?#")) return false;
    const size_t close = in_.pattern.find(')', in_.pos);
    if (close == std::string_view::npos) in_.refuse("a comment without end", in_.pos);
    in_.pos = close + 1;
    return true;
  }

  std::string repeated(Atom atom, size_t begin) {
    bool was_interval = false;
    bool was_repeated = false;
    while (true) {
      const size_t operator_at = in_.pos;
      std::string repeat;
      bool exact = false;
      if (in_.accept("*")) {
        repeat = "*";
      } else if (in_.accept("+")) {
        repeat = "+";
      } else if (in_.accept("?")) {
        repeat = "?";
      } else if (!interval(in_, repeat, exact)) {
        return atom.text;
      }
      if (!atom.repeatable) in_.refuse("a repeated assertion", begin);
      if (was_repeated && !was_interval) in_.refuse("a repetition of a repetition", operator_at);
      // A second operator repeats the first repetition: Ruby has no possessive intervals.
      if (was_repeated) atom.text = "(?:" + atom.text + ")";
      was_interval = repeat[0] == '{';
      was_repeated = true;
      if (in_.accept("?")) {
        if (exact) in_.refuse("\"{n}?\"", operator_at);
        repeat += "?";
        was_interval = false;
      } else if (!was_interval && in_.accept("+")) {
        repeat += "+";
      }
      atom.text += repeat;
    }
  }

  Atom next_atom(OnigurumaOptions options, int depth) {
    const size_t begin = in_.pos;
    if (in_.at("(")) return group(options, depth);
    if (in_.accept("[")) {
      ClassText set;
      const bool negated = bracket(in_, set, options, depth + 1);
      return {set.pattern(negated)};
    }
    if (in_.accept(".")) {
      ClassText set;
      if (options.dot_all) {
        set.add_any();
      } else {
        set.add_range('\n', '\n');
      }
      return {set.pattern(!options.dot_all)};
    }
    if (in_.accept("^")) return {R"((?:\A|(?<=\n)(?!\z)))", false};
    if (in_.accept("$")) return {R"((?=\n|\z))", false};
    if (in_.accept("\\")) return escaped(options, begin);
    if (in_.at("*") || in_.at("+") || in_.at("?")) in_.refuse("a repetition of nothing", begin);
    return literal(next_char(in_.pattern, in_.pos), options, begin);
  }

  Atom literal(char32_t c, OnigurumaOptions options, size_t begin) const {
    if (!options.ignore_case) return {escape_for_pcre2(c)};
    if (c >= 0x80) in_.refuse("a character outside of ASCII without regard to case", begin);
    if (!is_ascii_letter(c)) return {escape_for_pcre2(c)};
    return {"(?i:" + escape_for_pcre2(c) + ")", true, c | 0x20};
  }

  Atom group(OnigurumaOptions options, int depth) {
    const size_t begin = in_.pos;
    Atom atom;
    if (in_.accept("(?:")) {
      atom.text = "(?:";
    } else if (in_.accept("(?=") || in_.accept("(?!") || in_.accept("(?<=") || in_.accept("(?<!")) {
      atom.text = in_.pattern.substr(begin, in_.pos - begin);
      atom.repeatable = false;
    } else if (in_.accept("(?>")) {
      atom.text = "(?>";
    } else if (in_.at("(?<") || in_.at("(?'")) {
      const size_t close = in_.pattern.find(in_.at("(?<") ? '>' : '\'', in_.pos + 3);
      if (close == std::string_view::npos) in_.refuse("a group name without end", begin);
      in_.pos = close + 1;
      atom.text = "(?:";
    } else if (in_.accept("(?")) {
      const size_t colon = in_.pattern.find_first_not_of("imx-", in_.pos);
      if (colon == std::string_view::npos || in_.pattern[colon] != ':' || colon == in_.pos) {
        in_.refuse(fmt::format("\"{}\"", in_.pattern.substr(begin, next_in(begin + 2) - begin)),
                   begin);
      }
      set_options(in_.pattern.substr(in_.pos, colon - in_.pos), options);
      in_.pos = colon + 1;
      atom.text = "(?:";
    } else {
      ++in_.pos;
      atom.text = "(?:";
    }
    pos_of_group_ = in_.pos;
    atom.text += alternatives(options, depth + 1);
    if (!in_.accept(")")) in_.refuse("\"(\" without \")\"", begin);
    atom.text += ")";
    return atom;
  }

  size_t next_in(size_t pos) const {
    if (pos >= in_.pattern.size()) return in_.pattern.size();
    size_t next = pos;
    next_char(in_.pattern, next);
    return next;
  }

  Atom escaped(OnigurumaOptions options, size_t begin) {
    if (in_.at_end()) in_.refuse("\"\\\" at its end", begin);
    if (in_.accept("A")) return {"\\A", false};
    if (in_.accept("z")) return {"\\z", false};
    if (in_.accept("Z")) return {R"((?=\n?\z))", false};
    if (in_.at("b") || in_.at("B")) return word_boundary(in_.pattern[in_.pos++] == 'b');
    if (in_.accept("R")) return {R"((?>\r\n|[\x{a}-\x{d}\x{85}\x{2028}\x{2029}]))"};
    ClassText set;
    if (class_escape(in_, set, options, begin)) return {set.pattern(false)};
    return literal(character_escape(in_, begin), options, begin);
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

  OnigurumaReader in_;
  size_t pos_of_group_ = 0;  // where the innermost group's inside begins
};

}  // namespace

std::string translate_oniguruma(std::string_view pattern) {
  return Translator(pattern).translate();
}

}  // namespace prefold
