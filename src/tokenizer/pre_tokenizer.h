// The first cut of byte-level BPE: text into words that are merged each on its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/regex.h"

namespace prefold {

class PreTokenizer {
 public:
  // name: as in tokenizer.ggml.pre. Throws FormatError that lists the known names.
  explicit PreTokenizer(const std::string& name);

  // A word that is in the vocabulary as a whole is that token, whatever the merges say
  // ("ignore_merges" of Hugging Face tokenizers).
  bool whole_words_first() const { return whole_words_first_; }

  // Calls fn(word) for each word in order; the words together are text, which must be UTF-8.
  template <typename Fn>
  void for_each_word(std::string_view text, Fn&& fn) const {
    if (!digit_) return split(word_, text, fn, fn);
    // Digits stand alone, and the words between them end there: "a  1" has the word "  ", where
    // the pattern alone would leave a space to the digit.
    split(*digit_, text, fn, [&](std::string_view between) { split(word_, between, fn, fn); });
  }

 private:
  template <typename MatchFn, typename GapFn>
  static void split(const Regex& regex, std::string_view text, MatchFn&& on_match, GapFn&& on_gap) {
    size_t pos = 0;
    Regex::Match match;
    while (pos < text.size() && regex.find(text, pos, match) && match.end > match.begin) {
      if (match.begin > pos) on_gap(text.substr(pos, match.begin - pos));
      on_match(text.substr(match.begin, match.end - match.begin));
      pos = match.end;
    }
    if (pos < text.size()) on_gap(text.substr(pos));
  }

  Regex word_;
  std::optional<Regex> digit_;
  bool whole_words_first_;
};

}  // namespace prefold
