#include "tokenizer/pattern_finder.h"

#include <utility>

#include "base/error.h"
#include "tokenizer/oniguruma.h"

namespace prefold {

PatternFinder::PatternFinder(TextPattern pattern) : pattern_(std::move(pattern)) {
  switch (pattern_.kind) {
    case TextPattern::Kind::kString:
      if (pattern_.text.empty()) throw FormatError("the pattern is an empty string");
      break;
    case TextPattern::Kind::kRegex:
      regex_.emplace(translate_oniguruma(pattern_.text));
      break;
    default:
      break;
  }
}

void replace_all(const PatternFinder& finder, std::string_view text, std::string_view content,
                 std::string& out) {
  out.clear();
  finder.for_each_part(text, [&](size_t begin, size_t end, bool is_match) {
    out.append(is_match ? content : text.substr(begin, end - begin));
  });
}

}  // namespace prefold
