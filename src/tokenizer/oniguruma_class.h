// Bracket expressions of Oniguruma, on their way to PCRE2.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/char_class.h"

namespace prefold {

// A set of characters as PCRE2 text: the union of what can stand inside one bracket expression and
// of whole expressions that match one character each.
struct ClassText {
  std::string inside;
  std::vector<std::string> others;

  void add_range(char32_t first, char32_t last);
  void add(const RegexClass& known, bool negated);
  void add_spaces(bool negated);
  void add_any();
  void add(const ClassText& set, bool negated) { others.push_back(set.pattern(negated)); }

  // One character in the set, or outside of it.
  std::string pattern(bool negated) const;
};

std::string escape_for_pcre2(char32_t c);

}  // namespace prefold
