// Searches for a TextPattern as Hugging Face tokenizers do.
#pragma once

#include <optional>
#include <string_view>

#include "tokenizer/char_class.h"
#include "tokenizer/regex.h"
#include "tokenizer/text_steps.h"

namespace prefold {

class PatternFinder {
 public:
  // Throws FormatError for regular expressions that are not supported and empty strings.
  explicit PatternFinder(TextPattern pattern);

  // Cuts text into its matches and what lies between: fn(begin, end, is_match), in order. Only
  // matches can be empty; one that directly follows a match is none.
  template <typename Fn>
  void for_each_part(std::string_view text, Fn&& fn) const {
    size_t done = 0;
    const auto report = [&](size_t begin, size_t end) {
      if (done < begin) fn(done, begin, false);
      fn(begin, end, true);
      done = end;
    };
    if (regex_) {
      find_by_regex(text, report);
    } else if (pattern_.kind == TextPattern::Kind::kString) {
      for (size_t at = 0; (at = text.find(pattern_.text, done)) != std::string_view::npos;) {
        report(at, at + pattern_.text.size());
      }
    } else if (pattern_.kind == TextPattern::Kind::kWords) {
      for (size_t pos = 0; pos < text.size();) {
        const size_t begin = pos;
        const CharGroup group = group_of(next_char(text, pos));
        for (size_t next = pos; next < text.size() && group_of(next_char(text, next)) == group;) {
          pos = next;
        }
        if (group != CharGroup::kSpace) report(begin, pos);
      }
    } else {
      for (size_t pos = 0; pos < text.size();) {
        const size_t begin = pos;
        if (is_one(next_char(text, pos))) report(begin, pos);
      }
    }
    if (done < text.size()) fn(done, text.size(), false);
  }

 private:
  template <typename Fn>
  void find_by_regex(std::string_view text, Fn&& report) const {
    if (text.empty()) return;
    std::optional<size_t> last_end;
    Regex::Match match;
    for (size_t pos = 0; pos <= text.size() && regex_->find(text, pos, match);) {
      if (match.end == match.begin && match.end == last_end) {
        if (pos == text.size()) return;
        next_char(text, pos);
        continue;
      }
      report(match.begin, match.end);
      pos = match.end;
      last_end = match.end;
    }
  }
  enum class CharGroup { kWord, kSpace, kOther };
  static CharGroup group_of(char32_t c) {
    if (is_word_character(c)) return CharGroup::kWord;
    return is_white_space(c) ? CharGroup::kSpace : CharGroup::kOther;
  }
  bool is_one(char32_t c) const {
    switch (pattern_.kind) {
      case TextPattern::Kind::kNumeric:
        return is_numeric(c);
      case TextPattern::Kind::kPunctuation:
        return is_punctuation(c);
      default:
        return is_white_space(c);
    }
  }

  TextPattern pattern_;
  std::optional<Regex> regex_;  // kRegex
};

// text with each match as content.
void replace_all(const PatternFinder& finder, std::string_view text, std::string_view content,
                 std::string& out);

}  // namespace prefold
